//! The world: what the service knows and does, moment by moment.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write},
    ops::RangeInclusive,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    account::Account,
    faults::{Fault, ReadError},
    form::{self, UploadForm},
    listings::{accept, page, refuse},
    policy::{Noted, Policy},
    reads::{list, metadata},
    video::{self, Video},
};
use crate::{
    api::transport::{HttpMethod, Response},
    clock::Clock,
    domain::{Limit, UnixMillis},
};

/// Why a world's record cannot be kept.
#[derive(Debug, thiserror::Error)]
#[error("the sandbox cannot keep its record in {path}: {cause}")]
pub struct MockError {
    path: String,
    cause: String,
}

/// A request as it arrives.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The value of `Authorization`; empty when there is none.
    pub key: String,
    /// GET or POST.
    pub method: HttpMethod,
    /// Below the API path.
    pub endpoint: String,
    /// The encoded query.
    pub query: String,
    /// The body.
    pub body: String,
}

/// What the client sees of its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ClientView {
    Answer(Response),
    Cut,
    Silence,
}

impl ClientView {
    /// The same, dated as servers date their answers.
    fn dated(self, at: UnixMillis) -> Self {
        let Self::Answer(reply) = self else { return self };
        let timestamp = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
        let date = timestamp.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        Self::Answer(Response { date: Some(date), ..reply })
    }
}

/// What the service counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests to `upload_url`.
    pub uploads: u64,
    /// Of them refused by a limit.
    pub refusals: u64,
    /// Requests to `list_videos` and `get_metadata`.
    pub reads: u64,
    /// Of them refused by a limit.
    pub read_refusals: u64,
    /// Uploads that something went wrong with.
    pub faults: u64,
}

/// The modelled service.
pub struct MockService {
    policy: Policy,
    state: Mutex<MockState>,
}

pub(super) struct MockState {
    clock: Clock,
    rng: fastrand::Rng,
    pub(super) videos: Vec<Video>,
    pub(super) by_number: HashMap<String, usize>,
    /// Effects that have a moment and have not reached it.
    coming: Vec<Video>,
    /// Requests that have not arrived, by when they do; whatever becomes of the client, they do.
    in_transit: BTreeMap<(UnixMillis, u64), Arrival>,
    /// What the clients of those that arrived will see, and when.
    answers: HashMap<u64, (ClientView, UnixMillis)>,
    arrivals: u64,
    accounts: HashMap<String, Account>,
    sequence: u64,
    stats: Stats,
    record: Option<File>,
    refused_host: String,
    /// Videos that somebody deleted.
    deleted: Vec<Video>,
    fault_mode: FaultMode,
}

/// Whether things go wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FaultMode {
    AsPolicy,
    Calm,
}

impl MockService {
    /// An empty world.
    #[must_use]
    pub fn new(policy: Policy, clock: Clock) -> Self {
        let rng = fastrand::Rng::with_seed(policy.seed);
        let state = MockState {
            clock,
            rng,
            videos: Vec::new(),
            by_number: HashMap::new(),
            coming: Vec::new(),
            in_transit: BTreeMap::new(),
            answers: HashMap::new(),
            arrivals: 0,
            accounts: HashMap::new(),
            sequence: 0,
            stats: Stats::default(),
            record: None,
            refused_host: String::new(),
            deleted: Vec::new(),
            fault_mode: FaultMode::AsPolicy,
        };
        Self { policy, state: Mutex::new(state) }
    }

    /// A world that keeps a record in a file, one JSON line per accepted video, and goes on from what is there.
    pub fn with_record(policy: Policy, clock: Clock, path: &Path) -> Result<Self, MockError> {
        let fault = |cause: String| MockError { path: path.display().to_string(), cause };
        let mock = Self::new(policy, clock);
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .map_err(|cause| fault(cause.to_string()))?;
        {
            let mut state = mock.state();
            for line in BufReader::new(&file).lines() {
                let line = line.map_err(|cause| fault(cause.to_string()))?;
                let video: Video = serde_json::from_str(&line).map_err(|cause| fault(cause.to_string()))?;
                state.account(&mock.policy, &video.account).take(&video);
                state.kv_set(video);
            }
            state.record = Some(file);
        }
        Ok(mock)
    }

    /// Lives on by another clock; for tests whose client dies and whose runtime starts anew.
    pub fn set_clock(&self, clock: Clock) {
        self.state().clock = clock;
    }

    /// Every accepted video up to now, in the order of acceptance.
    #[must_use]
    pub fn videos(&self) -> Vec<Video> {
        let mut state = self.state();
        self.let_time_pass(&mut state);
        state.videos.clone()
    }

    /// Every video an account had accepted up to now.
    #[must_use]
    pub fn videos_of(&self, account: &str) -> Vec<Video> {
        let mut state = self.state();
        self.let_time_pass(&mut state);
        state.videos.iter().filter(|video| video.account == account).cloned().collect()
    }

    /// Every video that is, or will be, accepted of all requests made so far.
    #[must_use]
    pub fn videos_ever(&self) -> Vec<Video> {
        let mut state = self.state();
        // what is on the way arrives, whatever becomes of the client
        while let Some(((at, _), _)) = state.in_transit.first_key_value() {
            let at = *at;
            self.let_time_pass_until(&mut state, at);
        }
        state.videos.iter().chain(&state.coming).chain(&state.deleted).cloned().collect()
    }

    /// What was counted so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut state = self.state();
        self.let_time_pass(&mut state);
        state.stats
    }

    /// From now on these caps hold.
    pub fn set_caps(&self, caps: &[Limit]) {
        let mut state = self.state();
        self.let_time_pass(&mut state);
        let MockState { accounts, videos, coming, .. } = &mut *state;
        for (key, account) in accounts {
            let own = videos.iter().chain(&*coming).filter(|video| video.account == *key);
            account.cap_anew(caps, &self.policy, own);
        }
    }

    /// Somebody else uploads a video into the same account and namespace.
    pub fn upload_foreign(&self, account: &str, unique_id: &str, url: &str) {
        let mut state = self.state();
        let now = state.clock.now();
        let form =
            UploadForm { url: url.to_owned(), unique_id: unique_id.to_owned(), ..UploadForm::default() };
        let video = state.make_video(&self.policy, account, form, (now, now));
        state.account(&self.policy, account).take(&video);
        state.kv_set(video);
    }

    /// Something on the way repeats the request that made a video; true if the video is there.
    pub fn upload_again(&self, video_no: &str) -> bool {
        let mut state = self.state();
        self.let_time_pass(&mut state);
        let Some(first) = state.by_number.get(video_no).map(|at| state.videos[*at].clone()) else {
            return false;
        };
        state.sequence += 1;
        let video_no = video::number(first.dated, state.sequence);
        state.kv_set(Video { video_no, ..first });
        true
    }

    /// From now on every source on this host is refused; an empty name refuses none.
    pub fn refuse_host(&self, host: &str) {
        host.clone_into(&mut self.state().refused_host);
    }

    /// From now on nothing goes wrong any more, and nothing is limited.
    pub fn disable_faults(&self) {
        self.state().fault_mode = FaultMode::Calm;
    }

    /// Somebody deletes a video; true if it was there.
    pub fn delete(&self, video_no: &str) -> bool {
        let mut state = self.state();
        self.let_time_pass(&mut state);
        let (deleted, kept): (Vec<Video>, Vec<Video>) =
            std::mem::take(&mut state.videos).into_iter().partition(|video| video.video_no == video_no);
        let was_there = !deleted.is_empty();
        state.videos = kept;
        state.deleted.extend(deleted);
        state.number_anew();
        was_there
    }

    /// Takes a request, lets it arrive and take effect at its moments, and returns what the client sees, when it sees it.
    pub(super) async fn answer(&self, arrival: Arrival) -> ClientView {
        let (clock, number, arrives_at) = {
            let mut state = self.state();
            let now = state.clock.now();
            let arrives_at = now.plus(throw_span(&mut state.rng, &self.policy.way));
            state.arrivals += 1;
            let number = state.arrivals;
            state.in_transit.insert((arrives_at, number), arrival);
            (state.clock.clone(), number, arrives_at)
        };
        clock.sleep_until(arrives_at).await;
        let (sight, seen_at) = {
            let mut state = self.state();
            self.let_time_pass_until(&mut state, arrives_at);
            state.answers.remove(&number).unwrap_or((ClientView::Cut, arrives_at))
        };
        clock.sleep_until(seen_at).await;
        let mut state = self.state();
        self.let_time_pass(&mut state);
        sight
    }

    /// Whatever has reached its moment arrives, is decided and becomes a fact, in the order of the moments.
    fn let_time_pass(&self, state: &mut MockState) {
        let now = state.clock.now();
        self.let_time_pass_until(state, now);
    }

    fn let_time_pass_until(&self, state: &mut MockState, until: UnixMillis) {
        while let Some(first) = state.in_transit.first_entry() {
            let (at, number) = *first.key();
            if at > until {
                break;
            }
            let arrival = first.remove();
            state.let_effects_happen(at);
            let (sight, after) = self.decide(state, &arrival, at);
            let back = throw_span(&mut state.rng, &self.policy.way);
            let served_at = at.plus(after);
            let sight = sight.dated(served_at.plus_ms(self.policy.clock_ahead_ms));
            state.answers.insert(number, (sight, served_at.plus(back)));
        }
        state.let_effects_happen(until);
        if let Some(kept) = self.policy.videos_kept {
            state.forget_all_but(kept);
        }
    }

    fn decide(&self, state: &mut MockState, arrival: &Arrival, now: UnixMillis) -> (ClientView, Duration) {
        let delay = throw_span(&mut state.rng, &self.policy.answer_delay);
        match (arrival.method, arrival.endpoint.as_str()) {
            _ if arrival.key.is_empty() => (refuse("0401", "the API key is missing"), delay),
            (HttpMethod::Post, "upload_url") => self.decide_upload(state, arrival, now, delay),
            (HttpMethod::Post, "list_videos") => (self.read(state, arrival, now, list), delay / 4),
            (HttpMethod::Get, "get_metadata") => (self.read(state, arrival, now, metadata), delay / 4),
            _ => (refuse("0001", "No static resource api."), delay),
        }
    }

    fn decide_upload(
        &self,
        state: &mut MockState,
        arrival: &Arrival,
        now: UnixMillis,
        delay: Duration,
    ) -> (ClientView, Duration) {
        state.stats.uploads += 1;
        // the limiter stands before everything else, so bad requests use it up too
        if state.fault_mode == FaultMode::AsPolicy
            && !state.account(&self.policy, &arrival.key).admits_upload(now)
        {
            state.stats.refusals += 1;
            return (self.busy(), *self.policy.answer_delay.start() / 4);
        }
        let form = match form::read_upload(&arrival.body) {
            Ok(form) => form,
            Err(message) => return (refuse("0003", &message), delay),
        };
        if state.refuses(&form.url) {
            return (refuse("0001", "url is invalid"), delay);
        }
        if self
            .policy
            .credits
            .is_some_and(|credits| state.account(&self.policy, &arrival.key).spent >= credits)
        {
            return (refuse("0402", "You don't have enough points."), delay);
        }
        let number = state.stats.uploads;
        let scripted = self.policy.faults_at.iter().find(|(at, _)| *at == number).map(|(_, fault)| *fault);
        let thrown = self.policy.faults.throw(&mut state.rng);
        let fault = scripted.or(thrown).filter(|_| state.fault_mode == FaultMode::AsPolicy);
        state.stats.faults += u64::from(fault.is_some());
        if fault.is_some_and(|fault| !fault.takes_effect()) {
            return (self.faulty(fault, None), delay);
        }
        let lateness = match fault {
            Some(Fault::Late) => throw_span(&mut state.rng, &(Duration::ZERO..=self.policy.lateness_max)),
            _ => Duration::ZERO,
        };
        let (first, last) = (*self.policy.accepted_at_part.start(), *self.policy.accepted_at_part.end());
        let part = if first < last { first + state.rng.f64() * (last - first) } else { first };
        let accepted_at = now.plus(delay.mul_f64(part) + lateness);
        let video = state.make_video(&self.policy, &arrival.key, form, (now, accepted_at));
        let account = state.account(&self.policy, &arrival.key);
        account.spent += 1;
        account.take(&video);
        state.coming.push(video.clone());
        (self.faulty(fault, Some(&video)), delay)
    }

    /// What the client sees of an upload, with or without a fault.
    fn faulty(&self, fault: Option<Fault>, video: Option<&Video>) -> ClientView {
        let receipt = video.map_or(Value::Null, Video::receipt);
        match fault {
            None => accept(&receipt),
            Some(Fault::CutBefore | Fault::CutAfter | Fault::Late) => ClientView::Cut,
            Some(Fault::Hang) => ClientView::Silence,
            Some(Fault::BadGateway | Fault::BadGatewayBefore) => page(502, "<html>502 Bad Gateway</html>"),
            Some(Fault::Html) => page(200, "<html>Welcome</html>"),
            Some(Fault::HalfJson) => page(200, r#"{"code":"0000","msg":"success","data":{"videoNo":"VI"#),
            Some(Fault::Abnormal | Fault::AbnormalBefore) => refuse("0001", "network abnormal"),
            Some(Fault::Unnamed) => accept(&json!({})),
            Some(Fault::Repeated) => refuse("0409", "Service is busy, try later"),
            Some(Fault::Busy) => self.busy(),
            Some(Fault::Redirect) => {
                let location = Some("https://elsewhere.example/serve/api/v1/upload_url".to_owned());
                ClientView::Answer(Response { status: 307, location, ..Response::default() })
            }
        }
    }

    fn busy(&self) -> ClientView {
        let ClientView::Answer(reply) = refuse("0429", "Request has exceeded the limit.") else {
            return ClientView::Cut;
        };
        let retry_after = self.policy.retry_after.map(|duration| duration.as_secs().to_string());
        ClientView::Answer(Response { retry_after, ..reply })
    }

    fn read(
        &self,
        state: &mut MockState,
        arrival: &Arrival,
        now: UnixMillis,
        read: fn(&MockState, &Policy, &Arrival, UnixMillis, Option<ReadError>) -> ClientView,
    ) -> ClientView {
        state.stats.reads += 1;
        if !state.account(&self.policy, &arrival.key).admits_read(now) {
            state.stats.read_refusals += 1;
            return self.busy();
        }
        let strikes = arrival.endpoint == "list_videos"
            && state.fault_mode == FaultMode::AsPolicy
            && state.rng.f64() < self.policy.read_fault_share;
        let fault = if strikes { state.rng.choice(&self.policy.read_faults).copied() } else { None };
        match fault {
            Some(ReadError::Cut) => ClientView::Cut,
            Some(ReadError::BadGateway) => page(502, "<html>502 Bad Gateway</html>"),
            Some(ReadError::NullData) => accept(&Value::Null),
            Some(ReadError::ShortPage | ReadError::LostPage | ReadError::WrongTotal) | None => {
                read(state, &self.policy, arrival, now, fault)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, MockState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MockState {
    fn account(&mut self, policy: &Policy, key: &str) -> &mut Account {
        self.accounts.entry(key.to_owned()).or_insert_with(|| Account::new(policy))
    }

    fn refuses(&self, url: &str) -> bool {
        !self.refused_host.is_empty() && url.contains(&self.refused_host)
    }

    /// A video of a request that arrived and is accepted at these moments.
    fn make_video(
        &mut self,
        policy: &Policy,
        account: &str,
        form: UploadForm,
        (arrived_at, at): (UnixMillis, UnixMillis),
    ) -> Video {
        self.sequence += 1;
        let noted_at = match policy.noted {
            Noted::Arrival => arrived_at,
            Noted::Acceptance => at,
        };
        let dated = noted_at.plus_ms(policy.clock_ahead_ms);
        let indexing = throw_span(&mut self.rng, &policy.index_delay);
        Video {
            video_no: video::number(dated, self.sequence),
            account: account.to_owned(),
            unique_id: form.unique_id,
            url: form.url,
            tags: form.tags,
            datetime_taken: form.datetime_taken,
            latitude: form.latitude,
            longitude: form.longitude,
            camera_model: form.camera_model,
            created_at: at,
            indexed_at: at.plus(indexing),
            fails: self.rng.f64() < policy.fail_share,
            unlisted: self.rng.f64() < policy.unlisted_share,
            dated,
        }
    }

    /// Whatever has reached its moment by `now` becomes a fact.
    fn let_effects_happen(&mut self, now: UnixMillis) {
        let (mut due, coming): (Vec<Video>, Vec<Video>) =
            std::mem::take(&mut self.coming).into_iter().partition(|video| video.created_at <= now);
        self.coming = coming;
        due.sort_by_key(|video| video.created_at);
        for video in due {
            if let Some(record) = &mut self.record
                && let Ok(line) = serde_json::to_string(&video)
            {
                // the record is the sandbox's own; a full disk must not change what the client sees
                let _ = writeln!(record, "{line}");
            }
            self.kv_set(video);
        }
    }

    fn kv_set(&mut self, video: Video) {
        self.by_number.insert(video.video_no.clone(), self.videos.len());
        self.videos.push(video);
    }

    /// Keeps the newest.
    fn forget_all_but(&mut self, kept: usize) {
        if self.videos.len() >= kept.saturating_mul(2) {
            self.videos.drain(..self.videos.len() - kept);
            self.number_anew();
        }
    }

    fn number_anew(&mut self) {
        let numbered = self.videos.iter().enumerate();
        self.by_number = numbered.map(|(at, video)| (video.video_no.clone(), at)).collect();
    }

    pub(super) fn visible(
        &self,
        policy: &Policy,
        key: &str,
        now: UnixMillis,
    ) -> impl Iterator<Item = &Video> {
        let made_until = now.plus_ms(-i64::try_from(policy.visibility_lag.as_millis()).unwrap_or(0));
        self.videos.iter().filter(move |video| video.account == key && video.created_at <= made_until)
    }
}

fn throw_span(rng: &mut fastrand::Rng, range: &RangeInclusive<Duration>) -> Duration {
    let (low, high) = (range.start().as_millis(), range.end().as_millis().max(range.start().as_millis()));
    let low = u64::try_from(low).unwrap_or(u64::MAX);
    let high = u64::try_from(high).unwrap_or(u64::MAX);
    // where there is nothing to throw for, the dice stay as they are
    Duration::from_millis(if low == high { low } else { rng.u64(low..=high) })
}

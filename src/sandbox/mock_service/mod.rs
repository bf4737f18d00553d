//! A mock of the service: requests take effect at their own times, whether the client waits for them or not.

mod decide;

use std::{
    fs::OpenOptions,
    io::{BufRead, BufReader},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::{
    clock::Clock,
    domain::{Limit, UnixMillis},
    sandbox::{
        arrival::{Arrival, ClientView, ServiceCall},
        form::UploadForm,
        mock_state::{FaultMode, MockState, Stats, random_duration},
        multipart::{ArrivedParts, MultipartReader},
        policy::Policy,
        video::{self, Video},
    },
};

/// The record of accepted videos cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the sandbox cannot keep its record in {path}: {cause}")]
pub struct MockError {
    path: String,
    cause: String,
}

/// A mock of the service. It accepts, indexes, lists and limits like the service, by a [`Policy`].
pub struct MockService {
    pub(super) policy: Policy,
    state: Mutex<MockState>,
    pub(super) call_planned: Notify,
}

impl MockService {
    /// A mock without videos.
    #[must_use]
    pub fn new(policy: Policy, clock: Clock) -> Self {
        let state = MockState::new(policy.seed, clock);
        Self { policy, state: Mutex::new(state), call_planned: Notify::new() }
    }

    /// A mock that records accepted videos in a file, one JSON line each, and starts with those recorded already.
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
                if video.deleted_at.is_some() {
                    state.videos.retain(|own| own.video_no != video.video_no);
                    state.deleted.push(video);
                    state.renumber();
                    continue;
                }
                state.account(&mock.policy, &video.account).take(&video);
                state.add_video(video);
            }
            state.record = Some(file);
        }
        Ok(mock)
    }

    /// Continues with another clock; for tests that restart the client in a new runtime.
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

    /// Every accepted video of an account up to now.
    #[must_use]
    pub fn videos_of(&self, account: &str) -> Vec<Video> {
        let mut state = self.state();
        self.let_time_pass(&mut state);
        state.videos.iter().filter(|video| video.account == account).cloned().collect()
    }

    /// Every video of all requests made so far, also of those that are accepted later.
    #[must_use]
    pub fn videos_ever(&self) -> Vec<Video> {
        let mut state = self.state();
        // a request in transit arrives even if its client is gone
        while let Some(((at, _), _)) = state.in_transit.first_key_value() {
            let at = *at;
            self.let_time_pass_until(&mut state, at);
        }
        state.videos.iter().chain(&state.coming).chain(&state.deleted).cloned().collect()
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut state = self.state();
        self.let_time_pass(&mut state);
        state.stats
    }

    /// Replaces the caps from now on.
    pub fn set_caps(&self, caps: &[Limit]) {
        let mut state = self.state();
        self.let_time_pass(&mut state);
        let MockState { accounts, videos, coming, .. } = &mut *state;
        for (key, account) in accounts {
            let own = videos.iter().chain(&*coming).filter(|video| video.account == *key);
            account.cap_anew(caps, &self.policy, own);
        }
    }

    /// Another tool uploads a video into the same account and namespace.
    pub fn upload_foreign(&self, account: &str, unique_id: &str, url: &str) {
        let mut state = self.state();
        let now = state.clock.now();
        let form =
            UploadForm { url: url.to_owned(), unique_id: unique_id.to_owned(), ..UploadForm::default() };
        let video = state.make_video(&self.policy, account, form, now, now);
        state.account(&self.policy, account).take(&video);
        state.add_video(video);
    }

    /// A proxy repeats the request that made a video. False: there is no such video.
    pub fn upload_again(&self, video_no: &str) -> bool {
        let mut state = self.state();
        self.let_time_pass(&mut state);
        let Some(first) = state.by_number.get(video_no).map(|at| state.videos[*at].clone()) else {
            return false;
        };
        state.sequence += 1;
        let video_no = video::number(first.dated, state.sequence);
        state.add_video(Video { video_no, ..first });
        true
    }

    /// Rejects every source on this host from now on. An empty name: none.
    pub fn refuse_host(&self, host: &str) {
        host.clone_into(&mut self.state().refused_host);
    }

    /// Disables faults and limits from now on.
    pub fn disable_faults(&self) {
        self.state().fault_mode = FaultMode::Disabled;
    }

    /// Faults and limits are in force again.
    pub fn enable_faults(&self) {
        self.state().fault_mode = FaultMode::AsPolicy;
    }

    /// A user deletes a video. False: there is no such video.
    pub fn delete(&self, video_no: &str) -> bool {
        let mut state = self.state();
        self.let_time_pass(&mut state);
        let now = state.clock.now();
        state.delete(|video| video.video_no == video_no, now)
    }

    /// The service brings back every deleted video, and indexes every one whose indexing had failed.
    pub fn restore(&self) {
        let mut state = self.state();
        self.let_time_pass(&mut state);
        for video in std::mem::take(&mut state.deleted) {
            state.add_video(Video { deleted_at: None, ..video });
        }
        state.videos.iter_mut().for_each(|video| video.fails = false);
    }

    /// Every video that was deleted, in the order of its deletion.
    #[must_use]
    pub fn deleted(&self) -> Vec<Video> {
        let mut state = self.state();
        self.let_time_pass(&mut state);
        state.deleted.clone()
    }

    /// The next call to a callback URL, when its time has come. For one receiver at a time.
    pub async fn next_call(&self) -> ServiceCall {
        loop {
            let (clock, next_at) = {
                let mut state = self.state();
                self.let_time_pass(&mut state);
                let now = state.clock.now();
                if let Some(first) = state.calls.first_entry()
                    && first.key().0 <= now
                {
                    return first.remove();
                }
                // a request without a client arrives all the same, and may cause calls
                let next = state.calls.first_key_value().map(|((at, _), _)| *at);
                let arrival = state.in_transit.first_key_value().map(|((at, _), _)| *at);
                (state.clock.clone(), next.into_iter().chain(arrival).min())
            };
            tokio::select! {
                biased;
                () = self.call_planned.notified() => {}
                () = clock.sleep_until(next_at.unwrap_or(UnixMillis(i64::MAX))) => {}
            }
        }
    }

    /// The calls whose time has come reach nobody.
    pub fn lose_calls(&self) {
        let mut state = self.state();
        self.let_time_pass(&mut state);
        let now = state.clock.now();
        state.calls.retain(|(at, _), _| *at > now);
    }

    /// A request with a file begins. Returns after how many bytes of its body the line is cut.
    pub(super) fn begin_file(&self) -> Option<u64> {
        let mut state = self.state();
        state.stats.files += 1;
        let number = state.stats.files;
        let cut = self.policy.file_cuts.iter().find(|cut| cut.file == number);
        let cut = cut.filter(|_| state.fault_mode == FaultMode::AsPolicy);
        state.stats.faults += u64::from(cut.is_some());
        cut.map(|cut| cut.after)
    }

    /// Receives a request whose body is read: the request arrives when its body is whole.
    pub(super) async fn answer_file(&self, arrival: Arrival, reader: MultipartReader) -> ClientView {
        let Some(ArrivedParts { fields, file }) = reader.finish() else { return ClientView::Cut };
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.answer(Arrival { body, file, ..arrival }).await
    }

    /// Receives a request, lets it arrive and take effect at their times, and returns the answer when it reaches the
    /// client.
    pub(super) async fn answer(&self, arrival: Arrival) -> ClientView {
        let (clock, number, arrives_at) = {
            let mut state = self.state();
            let now = state.clock.now();
            let arrives_at = now.plus(random_duration(&mut state.rng, &self.policy.way));
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

    /// Lets every request whose time has come arrive and take effect, in the order of these times.
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
            state.accept_due(at);
            let (sight, after) = self.decide(state, &arrival, at);
            let back = random_duration(&mut state.rng, &self.policy.way);
            let served_at = at.plus(after);
            let sight = sight.dated(served_at.plus_ms(self.policy.clock_ahead_ms));
            state.answers.insert(number, (sight, served_at.plus(back)));
        }
        state.accept_due(until);
    }

    pub(super) fn state(&self) -> MutexGuard<'_, MockState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

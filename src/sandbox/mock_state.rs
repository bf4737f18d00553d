//! The state of the mock: videos, accounts, and requests in transit.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::Write,
    ops::RangeInclusive,
    time::Duration,
};

use super::{
    account::Account,
    arrival::{Arrival, ClientView, ServiceCall},
    form::UploadForm,
    policy::{Noted, Policy},
    video::{self, Video},
};
use crate::{clock::Clock, domain::UnixMillis};

pub(super) struct MockState {
    pub(super) clock: Clock,
    pub(super) rng: fastrand::Rng,
    pub(super) videos: Vec<Video>,
    pub(super) by_number: HashMap<String, usize>,
    /// Videos that are accepted at a later time.
    pub(super) coming: Vec<Video>,
    /// Requests by the time of their arrival. They arrive even if their client is gone.
    pub(super) in_transit: BTreeMap<(UnixMillis, u64), Arrival>,
    /// What the clients of arrived requests will see, and when.
    pub(super) answers: HashMap<u64, (ClientView, UnixMillis)>,
    pub(super) arrivals: u64,
    pub(super) accounts: HashMap<String, Account>,
    pub(super) sequence: u64,
    pub(super) stats: Stats,
    pub(super) record: Option<File>,
    pub(super) refused_host: String,
    pub(super) deleted: Vec<Video>,
    pub(super) fault_mode: FaultMode,
    /// Calls to be made, by their time.
    pub(super) calls: BTreeMap<(UnixMillis, u64), ServiceCall>,
    pub(super) call_number: u64,
    /// Calls have random numbers of their own: everything else is the same with and without them.
    pub(super) call_rng: fastrand::Rng,
}

/// Counters of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests to `upload_url`, and whole requests to `upload`.
    pub uploads: u64,
    /// Requests to `upload` that began.
    pub files: u64,
    /// Uploads refused by a limit.
    pub refusals: u64,
    /// Requests to `list_videos` and `get_metadata`.
    pub reads: u64,
    /// Reads refused by a limit.
    pub read_refusals: u64,
    /// Uploads with a fault.
    pub faults: u64,
    /// Requests to `delete_videos`.
    pub deletions: u64,
    /// Deletions refused by a limit or by a fault.
    pub deletion_refusals: u64,
}

/// Whether faults and limits are in force.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum FaultMode {
    AsPolicy,
    Disabled,
}

impl MockState {
    pub(super) fn new(seed: u64, clock: Clock) -> Self {
        Self {
            clock,
            rng: fastrand::Rng::with_seed(seed),
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
            calls: BTreeMap::new(),
            call_number: 0,
            call_rng: fastrand::Rng::with_seed(!seed),
        }
    }

    pub(super) fn account(&mut self, policy: &Policy, key: &str) -> &mut Account {
        self.accounts.entry(key.to_owned()).or_insert_with(|| Account::new(policy))
    }

    pub(super) fn refuses(&self, url: &str) -> bool {
        !self.refused_host.is_empty() && url.contains(&self.refused_host)
    }

    /// The video of a request that arrives and is accepted at these times.
    pub(super) fn make_video(
        &mut self,
        policy: &Policy,
        account: &str,
        form: UploadForm,
        arrived_at: UnixMillis,
        at: UnixMillis,
    ) -> Video {
        self.sequence += 1;
        let noted_at = match policy.noted {
            Noted::Arrival => arrived_at,
            Noted::Acceptance => at,
        };
        let dated = noted_at.plus_ms(policy.clock_ahead_ms);
        let indexing = random_duration(&mut self.rng, &policy.index_delay);
        Video {
            video_no: video::number(dated, self.sequence),
            account: account.to_owned(),
            unique_id: form.unique_id,
            url: form.url,
            file_size: form.file.map(|file| file.size),
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
            deleted_at: None,
        }
    }

    /// Accepts every video whose time has come.
    pub(super) fn accept_due(&mut self, now: UnixMillis) {
        let (mut due, coming): (Vec<Video>, Vec<Video>) =
            std::mem::take(&mut self.coming).into_iter().partition(|video| video.created_at <= now);
        self.coming = coming;
        due.sort_by_key(|video| video.created_at);
        for video in due {
            self.write_record(&video);
            self.add_video(video);
        }
    }

    fn write_record(&mut self, video: &Video) {
        if let Some(record) = &mut self.record
            && let Ok(line) = serde_json::to_string(video)
        {
            // a full disk under the record must not change what the client sees
            let _ = writeln!(record, "{line}");
        }
    }

    /// Deletes the videos that this chooses. Returns whether there were any.
    pub(super) fn delete(&mut self, is_chosen: impl Fn(&Video) -> bool, now: UnixMillis) -> bool {
        let (deleted, kept): (Vec<Video>, Vec<Video>) =
            std::mem::take(&mut self.videos).into_iter().partition(is_chosen);
        self.videos = kept;
        for video in &deleted {
            self.write_record(&Video { deleted_at: Some(now), ..video.clone() });
        }
        let was_there = !deleted.is_empty();
        self.deleted.extend(deleted);
        self.renumber();
        was_there
    }

    pub(super) fn add_video(&mut self, video: Video) {
        self.by_number.insert(video.video_no.clone(), self.videos.len());
        self.videos.push(video);
    }

    pub(super) fn renumber(&mut self) {
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

/// A random duration of this range.
pub(super) fn random_duration(rng: &mut fastrand::Rng, range: &RangeInclusive<Duration>) -> Duration {
    let (low, high) = (range.start().as_millis(), range.end().as_millis().max(range.start().as_millis()));
    let low = u64::try_from(low).unwrap_or(u64::MAX);
    let high = u64::try_from(high).unwrap_or(u64::MAX);
    // a fixed duration draws no random number
    Duration::from_millis(if low == high { low } else { rng.u64(low..=high) })
}

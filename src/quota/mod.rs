//! The porter: keeps every limit of the account, and holds everybody when the service says "not now".
//!
//! - Only this room mints [`Permit`]s, and every request to the service costs one.
//! - All arithmetic is in the [`Gate`], which is told the time. The porter waits, and decides who goes first: doubts before
//!   uploads before polling, with a floor for reads.
//! - What was spent is on the disk before a request leaves (the ledger's attempts and reads); a fresh porter is told it, so
//!   a restart sends neither earlier nor later than if it had not happened.
//! - What refusals teach is kept over restarts as [`Lessons`].

mod caps;
mod forecast;
mod gate;
mod learned;
mod lessons;
mod margin;
mod pace;
mod status;
mod trouble;
mod window;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

pub use forecast::Forecast;
pub use gate::{Departure, Gate, Heard};
pub use learned::LearnedCap;
pub use lessons::{Lessons, News};
pub use status::{QuotaStatus, WindowStatus};
pub use trouble::{Hold, HoldReason};

use crate::{
    clock::Clock,
    item::UnixMillis,
    limit::{Cap, Rate},
};

/// What a permit is for. The service limits each apart, as far as its documents say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// `upload_url`.
    Upload,
    /// `list_videos`.
    List,
    /// `get_metadata`.
    Metadata,
}

impl Lane {
    /// Every lane.
    pub const ALL: &'static [Self] = &[Self::Upload, Self::List, Self::Metadata];

    /// The word for it, in the ledger and in every output.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::List => "list",
            Self::Metadata => "get",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|lane| lane.word() == word)
    }
}

/// Who asks, in the order in which they go when all want the same slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// A listing that settles what is not known.
    Doubt,
    /// An upload.
    Upload,
    /// A listing that shows how far videos are.
    Watch,
    /// A look at a single video.
    WatchSingly,
}

impl Purpose {
    const ALL: [Self; 4] = [Self::Doubt, Self::Upload, Self::Watch, Self::WatchSingly];

    /// The lane it uses.
    #[must_use]
    pub const fn lane(self) -> Lane {
        match self {
            Self::Doubt | Self::Watch => Lane::List,
            Self::Upload => Lane::Upload,
            Self::WatchSingly => Lane::Metadata,
        }
    }
}

/// The right to make one request now. Not `Clone`; used up by making it.
#[derive(Debug)]
pub struct Permit {
    slot: Slot,
}

/// The turn a permit took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    lane: Lane,
    key: i64,
    taken_at: UnixMillis,
}

impl Permit {
    /// What it is for.
    #[must_use]
    pub const fn lane(&self) -> Lane {
        self.slot.lane
    }

    /// The turn it took, for the lessons of its outcome.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        self.slot
    }

    /// Uses it up, in a request of `lane`.
    pub fn spend(self, lane: Lane) {
        debug_assert_eq!(self.slot.lane, lane, "a permit is spent in its own lane");
    }
}

/// Every limit of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// How often to upload; all of them hold.
    pub upload: Vec<Rate>,
    /// Rolling caps on uploads; all of them hold.
    pub caps: Vec<Cap>,
    /// How often to read listings.
    pub list: Vec<Rate>,
    /// How often to look at single videos.
    pub metadata: Vec<Rate>,
    /// How often to do any of these, where one quota covers all.
    pub total: Vec<Rate>,
}

impl Limits {
    /// The longest span that any of them looks back, in milliseconds.
    #[must_use]
    pub fn span_ms_max(&self) -> i64 {
        let rates = [&self.upload, &self.list, &self.metadata, &self.total];
        let rates = rates.into_iter().flatten().map(|rate| rate.limit().span_ms());
        rates.chain(self.caps.iter().map(|cap| cap.span_ms())).max().unwrap_or(0).max(caps::CAP_SPAN_MS)
    }

    /// The highest count that any rate looks back.
    #[must_use]
    pub fn count_max(&self) -> u32 {
        let rates = [&self.upload, &self.list, &self.metadata, &self.total];
        rates.into_iter().flatten().map(|rate| rate.limit().count()).max().unwrap_or(1)
    }

    /// What stands for uploads, for a reader: `1/min, 120/2h`.
    #[must_use]
    pub fn upload_words(&self) -> String {
        let rates = self.upload.iter().chain(&self.total).map(ToString::to_string);
        rates.chain(self.caps.iter().map(ToString::to_string)).collect::<Vec<_>>().join(", ")
    }
}

/// Something that was spent before this process began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// The lane.
    pub lane: Lane,
    /// The number of the request; negative numbers are the porter's own.
    pub key: i64,
    /// How many requests this stands for.
    pub count: u32,
    /// When it was claimed: it did not leave earlier.
    pub claimed_at: UnixMillis,
    /// It did not leave later.
    pub left_by: UnixMillis,
    /// When it was answered.
    pub answered_at: Option<UnixMillis>,
    /// The latest moment at which the service may have accepted it; none when it did not.
    pub counts_until: Option<UnixMillis>,
    /// How it stands.
    pub state: PastState,
}

/// How something that was spent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PastState {
    /// Its outcome is not known, or it was no upload.
    Open,
    /// Refused for now.
    Refused,
    /// Accepted, and being indexed as far as is known.
    Indexing,
    /// Accepted, and not being indexed any more.
    Final,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered as wished; `noted_at` is the moment the service noted, by its own clock, if it says one.
    Accepted {
        /// By the service's clock.
        noted_at: Option<UnixMillis>,
    },
    /// It was answered, and what it asked for was refused for good.
    Rejected,
    /// It was refused for now, with the wait the service asked for, if it did.
    Refused {
        /// From now on.
        retry_after: Option<Duration>,
    },
    /// The host could not be reached; nothing left.
    NotSent,
    /// It has no clear answer.
    Unclear,
}

/// Why a request cannot leave now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The one before it left a moment ago.
    Spacing,
    /// A rolling cap is full.
    Cap {
        /// Which.
        cap: Cap,
        /// Whether its count was learned.
        is_learned: bool,
    },
    /// The service refused, or does not answer.
    Held(Hold),
    /// One request is out to find out whether the lane is open again.
    Canary,
    /// As many refusals as an hour may have.
    RefusalsSpent,
    /// Somebody else goes first.
    Turn,
}

/// That a request cannot leave now, until when at the latest, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    /// Until when, as far as is known now.
    pub until: UnixMillis,
    /// Why.
    pub why: Why,
}

/// Of so many uploads in a row with a read waiting, the next slot is the read's.
const UPLOADS_PER_READ: u32 = 10;
/// A poll that waited for this long, in milliseconds, goes before everything.
const POLL_AT_LEAST_EVERY_MS: i64 = 5 * 60_000;

/// Hands out permits.
pub struct Porter {
    clock: Clock,
    inner: Mutex<Inner>,
    changed: Notify,
}

struct Inner {
    gate: Gate,
    dice: fastrand::Rng,
    /// How many wait, by purpose.
    waiting: [u32; Purpose::ALL.len()],
    uploads_since_read: u32,
    polled_at: UnixMillis,
}

impl Porter {
    /// A porter for these limits, who knows what was spent and what was learned before.
    #[must_use]
    pub fn new(clock: Clock, limits: Limits, past: &[Past], lessons: Lessons, dice: fastrand::Rng) -> Self {
        let now = clock.now();
        let inner = Inner {
            gate: Gate::new(limits, past, lessons, (now, clock.tick_ms())),
            dice,
            waiting: [0; Purpose::ALL.len()],
            uploads_since_read: 0,
            polled_at: now,
        };
        Self { clock, inner: Mutex::new(inner), changed: Notify::new() }
    }

    /// Waits for the turn. Cancelling the wait costs nothing.
    pub async fn permit(&self, purpose: Purpose) -> Permit {
        let _ticket = Ticket::draw(self, purpose);
        loop {
            let changed = self.changed.notified();
            let now = self.clock.now();
            let taken = self.inner().take(purpose, now);
            match taken {
                Ok(permit) => {
                    self.changed.notify_waiters();
                    return permit;
                }
                Err(Delay { why: Why::Turn | Why::Canary, .. }) => changed.await,
                Err(Delay { until, .. }) => {
                    tokio::select! { biased; () = self.clock.sleep_until(until) => {} () = changed => {} }
                }
            }
        }
    }

    /// What keeps a lane from sending now; none when nothing does.
    #[must_use]
    pub fn delay(&self, lane: Lane) -> Option<Delay> {
        let now = self.clock.now();
        self.inner().gate.delay(lane, now)
    }

    /// An upload is about to leave as request `key`, claimed at `claimed_at`; it may be accepted until `until`.
    pub fn depart(&self, permit: &Permit, key: i64, claimed_at: UnixMillis, until: UnixMillis) -> Departure {
        let now = self.clock.now();
        self.inner().gate.depart(permit.slot.key, key, (claimed_at, now, until))
    }

    /// Learns from an upload's outcome.
    pub fn answer(&self, key: i64, outcome: &Outcome) -> Heard {
        let now = self.clock.now();
        let heard = {
            let mut inner = self.inner();
            let die = inner.dice.f64();
            inner.gate.answer(key, outcome, now, die)
        };
        self.changed.notify_waiters();
        heard
    }

    /// Learns from a read's outcome. Returns the wait this imposed on its lane.
    pub fn hear_read(&self, slot: Slot, outcome: &Outcome) -> Option<Hold> {
        let now = self.clock.now();
        let heard = {
            let mut inner = self.inner();
            let die = inner.dice.f64();
            inner.gate.hear_read(slot, outcome, now, die)
        };
        self.changed.notify_waiters();
        heard.hold
    }

    /// Evidence shows that an open upload was accepted no later than now, or never.
    pub fn settle_later(&self, key: i64, was_accepted: WasAccepted) {
        let now = self.clock.now();
        let accepted_by = match was_accepted {
            WasAccepted::Yes => Some(now),
            WasAccepted::No => None,
        };
        self.inner().gate.settle_later(key, accepted_by);
        self.changed.notify_waiters();
    }

    /// An upload is not being indexed any more.
    pub fn indexed(&self, key: i64) {
        self.inner().gate.indexed(key);
        self.changed.notify_waiters();
    }

    /// The past happened at other moments than was thought, since our clock had jumped: `past` is how it is known now.
    /// Nothing may have been uploaded in between.
    pub fn retell(&self, past: &[Past]) {
        let now = self.clock.now();
        self.inner().gate.retell(past, now);
        self.changed.notify_waiters();
    }

    /// A turn was taken, and nothing was asked: the next may go.
    pub fn give_back(&self, permit: Permit) {
        let Slot { lane, key, .. } = permit.slot;
        permit.spend(lane);
        self.inner().gate.give_back(lane, key);
        self.changed.notify_waiters();
    }

    /// Whether and why a lane waits now.
    #[must_use]
    pub fn hold(&self, lane: Lane) -> Option<Hold> {
        let now = self.clock.now();
        self.inner().gate.hold(lane, now)
    }

    /// The limits it keeps.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.inner().gate.limits().clone()
    }

    /// The slots of uploads to come.
    #[must_use]
    pub fn forecast(&self) -> Forecast {
        let now = self.clock.now();
        status::forecast(&mut self.inner().gate, now)
    }

    /// The slots to come if there were no rate, only caps: for rates that somebody thinks of.
    #[must_use]
    pub fn forecast_of_caps(&self) -> Forecast {
        let now = self.clock.now();
        status::forecast_of_caps(&mut self.inner().gate, now)
    }

    /// Every limit as it stands.
    #[must_use]
    pub fn status(&self) -> QuotaStatus {
        let now = self.clock.now();
        status::status(&mut self.inner().gate, now)
    }

    /// What was learned, if that changed since it was last asked for. Whoever keeps it says so with
    /// [`lessons_are_kept`](Self::lessons_are_kept).
    #[must_use]
    pub fn new_lessons(&self) -> Option<Lessons> {
        self.inner().gate.take_new_lessons().cloned()
    }

    /// These lessons are what a restart will know.
    pub fn lessons_are_kept(&self, lessons: &Lessons) {
        self.inner().gate.lessons_are_kept(lessons.start_lag_ms);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // nothing in here panics between two changes that belong together
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an open upload turned out to be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WasAccepted {
    /// It was.
    Yes,
    /// It never arrived.
    No,
}

impl Inner {
    fn take(&mut self, purpose: Purpose, now: UnixMillis) -> Result<Permit, Delay> {
        let lane = purpose.lane();
        if self.must_let_pass(purpose, now) {
            return Err(Delay { until: now, why: Why::Turn });
        }
        let key = self.gate.take(lane, now)?;
        match purpose {
            Purpose::Upload => self.uploads_since_read += 1,
            Purpose::Doubt => self.uploads_since_read = 0,
            Purpose::Watch | Purpose::WatchSingly => {
                self.uploads_since_read = 0;
                self.polled_at = now;
            }
        }
        Ok(Permit { slot: Slot { lane, key, taken_at: now } })
    }

    /// Whether somebody waits for the same slot who goes first, and could go now.
    fn must_let_pass(&mut self, purpose: Purpose, now: UnixMillis) -> bool {
        let own = self.rank(purpose, now);
        for other in Purpose::ALL {
            let contends = other.lane() == purpose.lane() || !self.gate.limits().total.is_empty();
            if other != purpose
                && contends
                && self.waiting[other as usize] > 0
                && self.rank(other, now) < own
                && self.gate.delay_of_lane(other.lane(), now).is_none()
            {
                return true;
            }
        }
        false
    }

    /// Who goes first: the floor of reads, then the order of purposes.
    fn rank(&self, purpose: Purpose, now: UnixMillis) -> i32 {
        let is_poll = matches!(purpose, Purpose::Watch | Purpose::WatchSingly);
        if is_poll && now.since_ms(self.polled_at) >= POLL_AT_LEAST_EVERY_MS {
            return -2;
        }
        if purpose != Purpose::Upload && self.uploads_since_read >= UPLOADS_PER_READ {
            return -1;
        }
        purpose as i32
    }
}

/// Counts who waits.
struct Ticket<'a> {
    porter: &'a Porter,
    purpose: Purpose,
}

impl<'a> Ticket<'a> {
    fn draw(porter: &'a Porter, purpose: Purpose) -> Self {
        porter.inner().waiting[purpose as usize] += 1;
        Self { porter, purpose }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.porter.inner().waiting[self.purpose as usize] -= 1;
        self.porter.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests;

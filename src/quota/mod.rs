//! The porter: keeps every limit of the account, and holds everybody when the service says "not now".
//!
//! - Only this room mints [`Permit`]s, and every request to the service costs one.
//! - All arithmetic is in the [`AccountLimits`], which is told the time. The porter waits, and decides who goes first: doubts before
//!   uploads before polling, with a floor for reads.
//! - What was spent is on the disk before a request leaves (the ledger's attempts and reads); a fresh porter is told it, so
//!   a restart sends neither earlier nor later than if it had not happened.
//! - What refusals teach is kept over restarts as [`LearnedLimits`].

mod account_limits;
mod cap_estimator;
mod cap_window;
mod caps;
mod circuit_breaker;
mod feedback;
mod forecast;
mod jitter;
mod learned_limits;
mod pacing;
mod rate_window;
mod smoother;
mod status;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

pub use account_limits::{AccountLimits, Departure};
pub use cap_estimator::CapEstimate;
pub use circuit_breaker::{Cooldown, CooldownReason};
pub use feedback::Feedback;
pub use forecast::Forecast;
pub use learned_limits::{LearnedLimits, LimitChange};
pub use status::{QuotaStatus, WindowStatus};

use crate::{
    clock::Clock,
    domain::{Cap, Rate, UnixMillis},
};

/// A time in microseconds since the Unix epoch: departures are spread more finely than milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PreciseTime(pub i64);

impl PreciseTime {
    /// In whole milliseconds, rounded down.
    #[must_use]
    pub const fn millis(self) -> UnixMillis {
        UnixMillis(self.0.div_euclid(1_000))
    }

    /// The time `duration` later.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }

    /// The time `duration` earlier.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }

    /// From `now` until this time; zero when it has passed.
    #[must_use]
    pub fn after(self, now: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(now.0)).unwrap_or(0))
    }
}

impl From<UnixMillis> for PreciseTime {
    fn from(at: UnixMillis) -> Self {
        Self(at.0.saturating_mul(1_000))
    }
}

/// What a permit is for. The service limits each apart, as far as its documents say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `upload_url`.
    Upload,
    /// `list_videos`.
    List,
    /// `get_metadata`.
    Metadata,
}

impl Endpoint {
    /// Every lane.
    pub const ALL: &'static [Self] = &[Self::Upload, Self::List, Self::Metadata];

    /// The word for it, in the ledger and in every output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::List => "list",
            Self::Metadata => "get",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_name(as_str: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|endpoint| endpoint.as_str() == as_str)
    }
}

/// Who asks, in the order in which they go when all want the same slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// A listing that settles what is not known.
    Reconcile,
    /// An upload.
    Upload,
    /// A listing that shows how far videos are.
    Poll,
    /// A look at a single video.
    PollSingle,
}

impl Priority {
    const ALL: [Self; 4] = [Self::Reconcile, Self::Upload, Self::Poll, Self::PollSingle];

    /// The lane it uses.
    #[must_use]
    pub const fn endpoint(self) -> Endpoint {
        match self {
            Self::Reconcile | Self::Poll => Endpoint::List,
            Self::Upload => Endpoint::Upload,
            Self::PollSingle => Endpoint::Metadata,
        }
    }
}

/// The right to make one request now. Not `Clone`; used up by making it.
#[derive(Debug)]
pub struct Permit {
    slot: PermitSlot,
}

/// The turn a permit took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PermitSlot {
    endpoint: Endpoint,
    key: i64,
    taken_at: UnixMillis,
}

impl Permit {
    /// What it is for.
    #[must_use]
    pub const fn endpoint(&self) -> Endpoint {
        self.slot.endpoint
    }

    /// The turn it took, for the lessons of its outcome.
    #[must_use]
    pub const fn slot(&self) -> PermitSlot {
        self.slot
    }

    /// Uses it up, in a request of `lane`.
    pub fn spend(self, endpoint: Endpoint) {
        debug_assert_eq!(self.slot.endpoint, endpoint, "a permit is spent in its own lane");
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
    pub fn period_ms_max(&self) -> i64 {
        let rates = [&self.upload, &self.list, &self.metadata, &self.total];
        let rates = rates.into_iter().flatten().map(|rate| rate.limit().period_ms());
        rates.chain(self.caps.iter().map(|cap| cap.period_ms())).max().unwrap_or(0).max(caps::CAP_SPAN_MS)
    }

    /// The highest count that any rate looks back.
    #[must_use]
    pub fn count_max(&self) -> u32 {
        let rates = [&self.upload, &self.list, &self.metadata, &self.total];
        rates.into_iter().flatten().map(|rate| rate.limit().count()).max().unwrap_or(1)
    }

    /// What stands for uploads, for a reader: `1/min, 120/2h`.
    #[must_use]
    pub fn upload_text(&self) -> String {
        let rates = self.upload.iter().chain(&self.total).map(ToString::to_string);
        rates.chain(self.caps.iter().map(ToString::to_string)).collect::<Vec<_>>().join(", ")
    }
}

/// Something that was spent before this process began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRecord {
    /// The lane.
    pub endpoint: Endpoint,
    /// The number of the request; negative numbers are the porter's own.
    pub key: i64,
    /// How many requests this stands for.
    pub count: u32,
    /// When it was claimed: it did not leave earlier.
    pub claimed_at: UnixMillis,
    /// It did not leave later.
    pub departed_by: UnixMillis,
    /// When it was answered.
    pub answered_at: Option<UnixMillis>,
    /// The latest moment at which the service may have accepted it; none when it did not.
    pub counts_until: Option<UnixMillis>,
    /// How it stands.
    pub state: UsageState,
}

/// How something that was spent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageState {
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
pub enum RequestOutcome {
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
    /// It was accepted, but the answer names no video.
    AcceptedUnidentified,
    /// It has no clear answer, with the wait the service asked for, if it did.
    Unclear {
        /// From now on.
        retry_after: Option<Duration>,
    },
}

/// Why a request cannot leave now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockReason {
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
    Cooldown(Cooldown),
    /// One request is out to find out whether the lane is open again.
    HalfOpenProbe,
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
    pub why: BlockReason,
}

/// Of so many uploads in a row with a read waiting, the next slot is the read's.
const UPLOADS_PER_READ: u32 = 10;
/// A poll that waited for this long, in milliseconds, goes before everything.
const POLL_AT_LEAST_EVERY_MS: i64 = 5 * 60_000;

/// Hands out permits.
pub struct RateLimiter {
    clock: Clock,
    state: Mutex<LimiterState>,
    changed: Notify,
}

struct LimiterState {
    account: AccountLimits,
    rng: fastrand::Rng,
    /// How many wait, by purpose.
    waiting: [u32; Priority::ALL.len()],
    uploads_since_read: u32,
    polled_at: UnixMillis,
}

impl RateLimiter {
    /// A porter for these limits, who knows what was spent and what was learned before.
    #[must_use]
    pub fn new(
        clock: Clock,
        limits: Limits,
        usage: &[UsageRecord],
        learned_limits: LearnedLimits,
        rng: fastrand::Rng,
    ) -> Self {
        let now = clock.now();
        let state = LimiterState {
            account: AccountLimits::new(limits, usage, learned_limits, (now, clock.tick_ms())),
            rng,
            waiting: [0; Priority::ALL.len()],
            uploads_since_read: 0,
            polled_at: now,
        };
        Self { clock, state: Mutex::new(state), changed: Notify::new() }
    }

    /// Waits for the turn. Cancelling the wait costs nothing.
    pub async fn permit(&self, priority: Priority) -> Permit {
        let _ticket = WaitTicket::draw(self, priority);
        loop {
            let changed = self.changed.notified();
            let now = self.clock.now();
            let taken = self.state().take(priority, now);
            match taken {
                Ok(permit) => {
                    self.changed.notify_waiters();
                    return permit;
                }
                Err(Delay { why: BlockReason::Turn | BlockReason::HalfOpenProbe, .. }) => changed.await,
                Err(Delay { until, .. }) => {
                    tokio::select! { biased; () = self.clock.sleep_until(until) => {} () = changed => {} }
                }
            }
        }
    }

    /// What keeps a lane from sending now; none when nothing does.
    #[must_use]
    pub fn delay(&self, endpoint: Endpoint) -> Option<Delay> {
        let now = self.clock.now();
        self.state().account.delay(endpoint, now)
    }

    /// An upload is about to leave as request `key`, claimed at `claimed_at`; it may be accepted until `until`.
    pub fn depart(&self, permit: &Permit, key: i64, claimed_at: UnixMillis, until: UnixMillis) -> Departure {
        let now = PreciseTime(self.clock.now_us());
        let departure = self.state().account.depart(permit.slot.key, key, (claimed_at, now, until));
        if departure == Departure::Now {
            self.changed.notify_waiters();
        }
        departure
    }

    /// Waits until a read may leave.
    pub async fn depart_read(&self, permit: &Permit) {
        loop {
            let now = PreciseTime(self.clock.now_us());
            let departure = self.state().account.depart_read(permit.slot.endpoint, permit.slot.key, now);
            match departure {
                Err(until) => self.clock.sleep_us(until.after(now)).await,
                Ok(()) => return self.changed.notify_waiters(),
            }
        }
    }

    /// Learns from an upload's outcome.
    pub fn answer(&self, key: i64, outcome: &RequestOutcome) -> Feedback {
        let now = self.clock.now();
        let feedback = {
            let mut state = self.state();
            let jitter = state.rng.f64();
            state.account.answer(key, outcome, now, jitter)
        };
        self.changed.notify_waiters();
        feedback
    }

    /// Learns from a read's outcome. Returns the wait this imposed on its lane.
    pub fn on_read(&self, slot: PermitSlot, outcome: &RequestOutcome) -> Option<Cooldown> {
        let now = self.clock.now();
        let feedback = {
            let mut state = self.state();
            let jitter = state.rng.f64();
            state.account.on_read(slot, outcome, now, jitter)
        };
        self.changed.notify_waiters();
        feedback.cooldown
    }

    /// Evidence shows that an open upload was accepted no later than now, or never.
    pub fn resolve_upload(&self, key: i64, was_accepted: WasAccepted) {
        let now = self.clock.now();
        let accepted_by = match was_accepted {
            WasAccepted::Yes => Some(now),
            WasAccepted::No => None,
        };
        self.state().account.resolve_upload(key, accepted_by);
        self.changed.notify_waiters();
    }

    /// An upload is not being indexed any more.
    pub fn indexed(&self, key: i64) {
        self.state().account.indexed(key);
        self.changed.notify_waiters();
    }

    /// The past happened at other moments than was thought, since our clock had jumped: `past` is how it is known now.
    /// Nothing may have been uploaded in between.
    pub fn reload_usage(&self, usage: &[UsageRecord]) {
        let now = self.clock.now();
        self.state().account.reload_usage(usage, now);
        self.changed.notify_waiters();
    }

    /// A turn was taken, and nothing was asked: the next may go.
    pub fn give_back(&self, permit: Permit) {
        let PermitSlot { endpoint, key, .. } = permit.slot;
        permit.spend(endpoint);
        self.state().account.give_back(endpoint, key);
        self.changed.notify_waiters();
    }

    /// Whether and why a lane waits now.
    #[must_use]
    pub fn cooldown(&self, endpoint: Endpoint) -> Option<Cooldown> {
        let now = self.clock.now();
        self.state().account.cooldown(endpoint, now)
    }

    /// The limits it keeps.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.state().account.limits().clone()
    }

    /// The slots of uploads to come.
    #[must_use]
    pub fn forecast(&self) -> Forecast {
        let now = self.clock.now();
        status::forecast(&mut self.state().account, now)
    }

    /// The slots to come if there were no rate, only caps: for rates that somebody thinks of.
    #[must_use]
    pub fn cap_forecast(&self) -> Forecast {
        let now = self.clock.now();
        status::cap_forecast(&mut self.state().account, now)
    }

    /// Every limit as it stands.
    #[must_use]
    pub fn status(&self) -> QuotaStatus {
        let now = self.clock.now();
        status::status(&mut self.state().account, now)
    }

    /// What was learned, if that changed since it was last asked for. Whoever keeps it says so with
    /// [`learned_limits_saved`](Self::lessons_are_kept).
    #[must_use]
    pub fn changed_learned_limits(&self) -> Option<LearnedLimits> {
        self.state().account.take_changed_learned_limits().cloned()
    }

    /// These lessons are what a restart will know.
    pub fn learned_limits_saved(&self, learned_limits: &LearnedLimits) {
        self.state().account.learned_limits_saved(learned_limits.start_lag_ms);
    }

    fn state(&self) -> MutexGuard<'_, LimiterState> {
        // nothing in here panics between two changes that belong together
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

impl LimiterState {
    fn take(&mut self, priority: Priority, now: UnixMillis) -> Result<Permit, Delay> {
        let endpoint = priority.endpoint();
        if self.must_let_pass(priority, now) {
            return Err(Delay { until: now, why: BlockReason::Turn });
        }
        let key = self.account.take(endpoint, now)?;
        match priority {
            Priority::Upload => self.uploads_since_read += 1,
            Priority::Reconcile => self.uploads_since_read = 0,
            Priority::Poll | Priority::PollSingle => {
                self.uploads_since_read = 0;
                self.polled_at = now;
            }
        }
        Ok(Permit { slot: PermitSlot { endpoint, key, taken_at: now } })
    }

    /// Whether somebody waits for the same slot who goes first, and could go now.
    fn must_let_pass(&mut self, priority: Priority, now: UnixMillis) -> bool {
        let own = self.rank(priority, now);
        for other in Priority::ALL {
            let contends = other.endpoint() == priority.endpoint() || !self.account.limits().total.is_empty();
            if other != priority
                && contends
                && self.waiting[other as usize] > 0
                && self.rank(other, now) < own
                && self.account.delay_of_endpoint(other.endpoint(), now).is_none()
            {
                return true;
            }
        }
        false
    }

    /// Who goes first: the floor of reads, then the order of purposes.
    fn rank(&self, priority: Priority, now: UnixMillis) -> i32 {
        let is_poll = matches!(priority, Priority::Poll | Priority::PollSingle);
        if is_poll && now.since_ms(self.polled_at) >= POLL_AT_LEAST_EVERY_MS {
            return -2;
        }
        if priority != Priority::Upload && self.uploads_since_read >= UPLOADS_PER_READ {
            return -1;
        }
        priority as i32
    }
}

/// Counts who waits.
struct WaitTicket<'a> {
    limiter: &'a RateLimiter,
    priority: Priority,
}

impl<'a> WaitTicket<'a> {
    fn draw(limiter: &'a RateLimiter, priority: Priority) -> Self {
        limiter.state().waiting[priority as usize] += 1;
        Self { limiter, priority }
    }
}

impl Drop for WaitTicket<'_> {
    fn drop(&mut self) {
        self.limiter.state().waiting[self.priority as usize] -= 1;
        self.limiter.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests;

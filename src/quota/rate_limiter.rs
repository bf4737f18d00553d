//! The rate limiter: waits for capacity, orders the waiting requests by priority, and issues permits.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use super::{
    account_limits::AccountLimits,
    cap_window::{Acceptance, Spent},
    circuit_breaker::Cooldown,
    departure::{Departure, UploadTimes},
    feedback::Feedback,
    forecast::Forecast,
    learned_limits::LearnedLimits,
    limits::{Limits, RequestOutcome, UsageRecord, WasAccepted},
    permit::{BlockReason, Delay, Endpoint, Permit, PermitSlot, PreciseTime, Priority},
    status::{self, QuotaStatus},
};
use crate::{clock::Clock, domain::UnixMillis};

/// After this many uploads in a row, a waiting read gets the next slot.
const UPLOADS_PER_READ: u32 = 10;

/// A poll that waited for this many milliseconds comes first.
const POLL_AT_LEAST_EVERY_MS: i64 = 5 * 60_000;

/// The rate limiter: issues permits, throttling requests to the limits of the account.
pub struct RateLimiter {
    clock: Clock,
    state: Mutex<LimiterState>,
    changed: Notify,
}

struct LimiterState {
    account: AccountLimits,
    rng: fastrand::Rng,
    /// Waiting requests by priority.
    waiting: [u32; Priority::ALL.len()],
    uploads_since_read: u32,
    polled_at: UnixMillis,
}

impl RateLimiter {
    /// Builds a rate limiter from the limits, the recorded usage and the learned limits.
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
            account: AccountLimits::new(limits, usage, learned_limits, now, clock.tick_ms()),
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

    /// What delays a request to an endpoint now. `None`: nothing.
    #[must_use]
    pub fn delay(&self, endpoint: Endpoint) -> Option<Delay> {
        let now = self.clock.now();
        self.state().account.delay(endpoint, now)
    }

    /// An upload is about to leave as request `key`, claimed at `claimed_at`; it may be accepted until `until`.
    pub fn depart(&self, permit: &Permit, key: i64, claimed_at: UnixMillis, until: UnixMillis) -> Departure {
        let now = PreciseTime(self.clock.now_us());
        let departure = self.state().account.depart(
            permit.slot.key,
            key,
            UploadTimes { claimed_at, departed_at: now, accepted_by: until },
        );
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

    /// Learns from a read's outcome. Returns the cool-down it caused.
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

    /// The last byte of an upload that has left is sent: the next one keeps its distance from it, too.
    pub fn upload_ended(&self, key: i64) {
        let now = PreciseTime(self.clock.now_us());
        {
            let mut state = self.state();
            state.account.upload.pacing.end(key, now);
            state.account.total.end(key, now);
        }
        self.changed.notify_waiters();
    }

    /// The longest distance that the rates of uploads demand.
    #[must_use]
    pub fn upload_interval(&self) -> Duration {
        let state = self.state();
        state.account.upload.pacing.interval().max(state.account.total.interval())
    }

    /// An upload that has left is still being sent: it may be accepted until `until`.
    pub fn still_open(&self, key: i64, until: UnixMillis) {
        self.state().account.caps.log.put(key, Spent { until, certainty: Acceptance::Open });
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

    /// Replaces the recorded usage after a clock skew was measured. Nothing may have been uploaded in between.
    pub fn reload_usage(&self, usage: &[UsageRecord]) {
        let now = self.clock.now();
        self.state().account.reload_usage(usage, now);
        self.changed.notify_waiters();
    }

    /// Keeps other limits from now on. `usage` is what the ledger knows of requests.
    pub fn change_limits(&self, limits: Limits, usage: &[UsageRecord]) {
        let now = self.clock.now();
        self.state().account.change_limits(limits, usage, now);
        self.changed.notify_waiters();
    }

    /// Forgets what was learned of the limits. The windows show it when [`change_limits`](Self::change_limits) builds them anew.
    pub fn forget_learned_limits(&self) {
        self.state().account.forget_learned_limits();
    }

    /// A turn was taken, and nothing was asked: the next may go.
    pub fn give_back(&self, permit: Permit) {
        let PermitSlot { endpoint, key, .. } = permit.slot;
        permit.spend(endpoint);
        self.state().account.give_back(endpoint, key);
        self.changed.notify_waiters();
    }

    /// The cool-down of an endpoint now, if any.
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

    /// The time by the clock of the limiter.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// The upload slots by the caps alone, for the comparison of other rates.
    #[must_use]
    pub fn cap_forecast(&self) -> Forecast {
        let now = self.clock.now();
        status::cap_forecast(&mut self.state().account, now)
    }

    /// Every limit as it is.
    #[must_use]
    pub fn status(&self) -> QuotaStatus {
        let now = self.clock.now();
        status::status(&mut self.state().account, now)
    }

    /// The learned limits, if they changed since the last call. After saving them, the caller calls
    /// [`learned_limits_saved`](Self::learned_limits_saved).
    #[must_use]
    pub fn changed_learned_limits(&self) -> Option<LearnedLimits> {
        self.state().account.take_changed_learned_limits().cloned()
    }

    /// Records that a restart will know these learned limits.
    pub fn learned_limits_saved(&self, learned_limits: &LearnedLimits) {
        self.state().account.learned_limits_saved(learned_limits);
    }

    fn state(&self) -> MutexGuard<'_, LimiterState> {
        // nothing in here panics between two changes that belong together
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
            Priority::Delete => {}
        }
        Ok(Permit { slot: PermitSlot { endpoint, key, taken_at: now } })
    }

    /// Whether a waiting request of higher priority could take the slot now.
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

    /// The rank of a priority: reads that waited too long come first.
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

/// Counts a waiting request until it is dropped.
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

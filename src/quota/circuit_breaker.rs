//! The circuit breaker of an endpoint: after a failure nothing is sent for a while, then one request at a time (half-open)
//! until one passes.

use std::time::Duration;

use super::learned_limits::SavedCooldown;
use crate::{domain::UnixMillis, retry::Backoff};

/// The longest wait that is honoured when a service asks for one: a longer one is a mistake of its clock.
pub(super) const ASKED_WAIT_MAX: Duration = Duration::from_hours(366 * 24);

/// Why the circuit breaker is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CooldownReason {
    Refused,
    Unreachable,
    /// Answers are unclear.
    Unclear,
}

/// An endpoint that is closed for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cooldown {
    pub until: UnixMillis,
    pub reason: CooldownReason,
    /// Failures in a row that led here.
    pub failures: u32,
}

/// The first wait after a refusal, unless twice the spacing is longer.
const REFUSED_WAIT_MIN: Duration = Duration::from_secs(2);
/// The second wait in a row is longer than the slowest documented spacing (one a minute), so spacing cannot explain a
/// further refusal. Half of the wait is fixed and half is jitter.
const PERSISTENT_WAIT: Duration = Duration::from_secs(150);
/// No wait that the service did not ask for is longer.
const REFUSED_WAIT_MAX: Duration = Duration::from_mins(15);
/// Waits while a host is away or answers unclearly.
const FAILURE_BACKOFF: Backoff = Backoff { base: Duration::from_secs(1), delay_max: Duration::from_mins(1) };
/// Unclear answers in a row before the circuit breaker opens.
const UNCLEAR_FREE: u32 = 2;
/// Refusals in a row, each after its wait, that spacing cannot explain.
const PERSISTENT: u32 = 3;

/// The circuit breaker of one endpoint: the failures since the last request that passed.
#[derive(Default)]
pub(super) struct CircuitBreaker {
    cooldown: Option<Cooldown>,
    failures: u32,
    /// Failures among them that were unclear answers.
    unclear: u32,
    /// Refusals of requests that left after the one before them was known.
    pub(super) refusals: u32,
    /// When a request was refused last, or the service asked to wait.
    last_refused_at: Option<UnixMillis>,
    /// While failures last, one request is out at a time: the slot that it took.
    pub(super) half_open_probe: Option<i64>,
}

impl CircuitBreaker {
    /// The hold in force at `now`.
    pub(super) fn cooldown(&self, now: UnixMillis) -> Option<Cooldown> {
        self.cooldown.filter(|cooldown| cooldown.until > now)
    }

    /// Whether requests go alone. A few unclear answers change nothing: the next request may wait for minutes for its answer.
    pub(super) fn lasts(&self) -> bool {
        self.failures > self.unclear.min(UNCLEAR_FREE)
    }

    /// Whether the refusals so far are more than any spacing explains.
    pub(super) const fn is_persistent(&self) -> bool {
        self.refusals >= PERSISTENT
    }

    /// Whether the request with a slot may leave at `now`: the slot may be older than the failure.
    pub(super) fn lets_leave(&self, slot: i64, now: UnixMillis) -> bool {
        self.cooldown(now).is_none()
            && (!self.lasts() || self.half_open_probe.is_none_or(|probe| probe == slot))
    }

    /// Counts a refusal of a request that left at `departed_at`. Those that left before the wait after the last refusal was over
    /// say nothing new.
    pub(super) fn count_refusal(&mut self, departed_at: Option<UnixMillis>, now: UnixMillis) -> bool {
        self.half_open_probe = None;
        self.failures = self.failures.saturating_add(1);
        let refused_at =
            self.last_refused_at.map(|last| self.cooldown.map_or(last, |wait| last.max(wait.until)));
        let is_new = refused_at.zip(departed_at).is_none_or(|(last, left)| left >= last);
        if is_new {
            self.refusals = self.refusals.saturating_add(1);
            self.last_refused_at = Some(now);
        }
        is_new
    }

    /// How long to wait after the refusals so far, where the service does not say.
    pub(super) fn refusal_wait(&self, interval: Duration, jitter: f64) -> Duration {
        let base = REFUSED_WAIT_MIN.max(interval * 2).min(REFUSED_WAIT_MAX);
        let (base, step) = match self.refusals {
            0 | 1 => (base, 1),
            refusals => (base.max(PERSISTENT_WAIT), refusals - 1),
        };
        Backoff { base, delay_max: REFUSED_WAIT_MAX }.delay(step, jitter)
    }

    /// The same for an endpoint that is free of charge: waits grow from the first failure on.
    pub(super) fn read_wait(&self, interval: Duration, jitter: f64) -> Duration {
        let base = REFUSED_WAIT_MIN.max(interval * 2).min(REFUSED_WAIT_MAX);
        Backoff { base, delay_max: REFUSED_WAIT_MAX }.delay(self.failures, jitter)
    }

    /// Opens the circuit breaker. Answers to requests sent before a longer cool-down do not shorten it.
    pub(super) fn cool_down(&mut self, wait: Duration, reason: CooldownReason, now: UnixMillis) -> Cooldown {
        let cooldown = Cooldown { until: now.plus(wait), reason, failures: self.failures };
        let longer = self.cooldown.filter(|known| known.until > cooldown.until).unwrap_or(cooldown);
        let cooldown = Cooldown { failures: self.failures, ..longer };
        self.cooldown = Some(cooldown);
        cooldown
    }

    /// A request did not arrive, or has no clear answer.
    pub(super) fn failed(
        &mut self,
        reason: CooldownReason,
        now: UnixMillis,
        jitter: f64,
    ) -> Option<Cooldown> {
        self.half_open_probe = None;
        self.failures = self.failures.saturating_add(1);
        self.unclear += u32::from(reason == CooldownReason::Unclear);
        let step = match reason {
            CooldownReason::Unclear if self.failures <= UNCLEAR_FREE => return None,
            CooldownReason::Unclear => self.failures - UNCLEAR_FREE,
            CooldownReason::Unreachable | CooldownReason::Refused => self.failures,
        };
        Some(self.cool_down(FAILURE_BACKOFF.delay(step, jitter), reason, now))
    }

    /// A request has no clear answer. A wait that the service asks for is kept, after the first one already.
    pub(super) fn unclear(
        &mut self,
        retry_after: Option<Duration>,
        now: UnixMillis,
        jitter: f64,
    ) -> Option<Cooldown> {
        let cooldown = self.failed(CooldownReason::Unclear, now, jitter);
        match retry_after {
            Some(wait) => {
                // what left before says nothing about the wait
                self.last_refused_at = Some(now);
                // it is in trouble, and says so
                self.unclear = 0;
                Some(self.cool_down(wait.min(ASKED_WAIT_MAX), CooldownReason::Unclear, now))
            }
            None => cooldown,
        }
    }

    /// Waits on, as a run before did.
    pub(super) fn resume(&mut self, saved_cooldown: SavedCooldown, now: UnixMillis) {
        // a clock that was set back makes no wait longer than it was
        let longest = saved_cooldown.until.after_now(saved_cooldown.refused_at);
        let wait = saved_cooldown.until.after_now(now).min(longest);
        self.failures = saved_cooldown.refusals.max(1);
        self.refusals = saved_cooldown.refusals;
        self.last_refused_at = Some(saved_cooldown.refused_at.min(now));
        self.cool_down(wait, CooldownReason::Refused, now);
    }

    /// Whether a request that left at `departed_at` and passed says something of now: one that left before the last refusal came
    /// does not.
    pub(super) fn is_answered_by(&self, departed_at: Option<UnixMillis>) -> bool {
        self.last_refused_at.is_none_or(|last| departed_at.is_none_or(|left| left >= last))
    }

    /// A request passed: the circuit breaker closes. Returns how many refusals that ends.
    pub(super) fn passed(&mut self) -> u32 {
        std::mem::take(self).refusals
    }
}

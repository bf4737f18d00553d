//! When the service does not take requests: how long a lane is held, and that one at a time goes out until one passes.

use std::time::Duration;

use super::lessons::Held;
use crate::{item::UnixMillis, retry::Backoff};

/// …or longer: the longest window known, and what an unanswered request may still do.
pub(super) const ASKED_WAIT_MAX: Duration = Duration::from_mins(140);

/// Why a lane is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldReason {
    /// The service refused.
    Refused,
    /// The host cannot be reached.
    Unreachable,
    /// Answers are unclear.
    Unclear,
}

/// A lane that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Until when.
    pub until: UnixMillis,
    /// Why.
    pub reason: HoldReason,
    /// Failures in a row that led here.
    pub failures: u32,
}

/// The wait after a refusal starts here, or at twice the spacing if that is longer…
const REFUSED_WAIT_MIN: Duration = Duration::from_secs(2);
/// …and the second in a row is long enough for the slowest spacing that any document of the service states, one a minute:
/// after it, a spacing explains no refusal any more. Half of it is certain, half is thrown.
const PERSISTENT_WAIT: Duration = Duration::from_secs(150);
/// No wait that the service did not ask for is longer.
const REFUSED_WAIT_MAX: Duration = Duration::from_mins(15);
/// Waits while a host is away or answers unclearly.
const TROUBLE: Backoff = Backoff { base: Duration::from_secs(1), delay_max: Duration::from_mins(1) };
/// A single unclear answer is bad luck; so many in a row are trouble.
const UNCLEAR_FREE: u32 = 2;
/// So many refusals in a row, each after its wait, are no matter of spacing.
const PERSISTENT: u32 = 3;

/// The failures of a lane since the last request that passed.
#[derive(Default)]
pub(super) struct Trouble {
    hold: Option<Hold>,
    failures: u32,
    /// Refusals of requests that left after the one before them was known.
    pub(super) refusals: u32,
    last_refused_at: Option<UnixMillis>,
    /// While failures last, one request is out at a time.
    pub(super) canary_is_out: bool,
}

impl Trouble {
    /// The hold in force at `now`.
    pub(super) fn hold(&self, now: UnixMillis) -> Option<Hold> {
        self.hold.filter(|hold| hold.until > now)
    }

    /// Whether requests go alone.
    pub(super) const fn lasts(&self) -> bool {
        self.failures > 0
    }

    /// Whether the refusals so far are more than any spacing explains.
    pub(super) const fn is_persistent(&self) -> bool {
        self.refusals >= PERSISTENT
    }

    /// Counts a refusal of a request that left at `left_at`. Those that left before the last refusal came say nothing new.
    pub(super) fn count_refusal(&mut self, left_at: Option<UnixMillis>, now: UnixMillis) -> bool {
        self.canary_is_out = false;
        self.failures = self.failures.saturating_add(1);
        let is_news = self.last_refused_at.zip(left_at).is_none_or(|(last, left)| left >= last);
        if is_news {
            self.refusals = self.refusals.saturating_add(1);
            self.last_refused_at = Some(now);
        }
        is_news
    }

    /// How long to wait after the refusals so far, where the service does not say.
    pub(super) fn refusal_wait(&self, interval: Duration, die: f64) -> Duration {
        let base = REFUSED_WAIT_MIN.max(interval * 2).min(REFUSED_WAIT_MAX);
        let (base, step) = match self.refusals {
            0 | 1 => (base, 1),
            refusals => (base.max(PERSISTENT_WAIT), refusals - 1),
        };
        Backoff { base, delay_max: REFUSED_WAIT_MAX }.delay(step, die)
    }

    /// The same for a lane that is free of charge: waits grow from the first on.
    pub(super) fn read_wait(&self, interval: Duration, die: f64) -> Duration {
        let base = REFUSED_WAIT_MIN.max(interval * 2).min(REFUSED_WAIT_MAX);
        Backoff { base, delay_max: REFUSED_WAIT_MAX }.delay(self.failures, die)
    }

    /// Holds the lane. Answers of requests sent before a longer hold do not shorten it.
    pub(super) fn hold_for(&mut self, wait: Duration, reason: HoldReason, now: UnixMillis) -> Hold {
        let hold = Hold { until: now.plus(wait), reason, failures: self.failures };
        let longer = self.hold.filter(|known| known.until > hold.until).unwrap_or(hold);
        let hold = Hold { failures: self.failures, ..longer };
        self.hold = Some(hold);
        hold
    }

    /// A request did not arrive, or has no clear answer.
    pub(super) fn failed(&mut self, reason: HoldReason, now: UnixMillis, die: f64) -> Option<Hold> {
        self.canary_is_out = false;
        self.failures = self.failures.saturating_add(1);
        let step = match reason {
            HoldReason::Unclear if self.failures <= UNCLEAR_FREE => return None,
            HoldReason::Unclear => self.failures - UNCLEAR_FREE,
            HoldReason::Unreachable | HoldReason::Refused => self.failures,
        };
        Some(self.hold_for(TROUBLE.delay(step, die), reason, now))
    }

    /// Waits on, as a run before did.
    pub(super) fn resume(&mut self, held: Held, now: UnixMillis) {
        // a clock that was set back makes no wait longer than any may be
        let wait = held.until.after_now(now).min(ASKED_WAIT_MAX);
        self.failures = held.refusals.max(1);
        self.refusals = held.refusals;
        self.last_refused_at = Some(held.refused_at.min(now));
        self.hold_for(wait, HoldReason::Refused, now);
    }

    /// Whether a request that left at `left_at` and passed says something of now: one that left before the last refusal came
    /// does not.
    pub(super) fn is_answered_by(&self, left_at: Option<UnixMillis>) -> bool {
        self.last_refused_at.is_none_or(|last| left_at.is_none_or(|left| left >= last))
    }

    /// One passed: the lane is open. Returns how many refusals that ends.
    pub(super) fn passed(&mut self) -> u32 {
        std::mem::take(self).refusals
    }
}

//! The limits learned from refusals, as they are saved over restarts and reported.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::{cap_estimator::CapEstimate, jitter::Jitter};
use crate::domain::UnixMillis;

/// After a refusal that wider spacing would have avoided, the rate is multiplied by this many tenths.
const SLOWER_TENTHS: i64 = 7;
/// The slowest rate, in thousandths of the configured interval.
const SLOWDOWN_MAX: i64 = 50_000;
/// The configured rate comes back after this many requests without a refusal...
const CLEAN_CALLS: u32 = 50;
/// ...and no sooner than this after the last refusal, in milliseconds.
const RECOVERY_MS: i64 = 5 * 60_000;
/// A margin that refusals taught is halved after this many milliseconds without another: networks get better too.
const MARGIN_KEPT_MS: i64 = 24 * 3_600_000;

/// What is known of an account that no document says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LearnedLimits {
    pub(super) jitter: Jitter,
    /// The longest time from a claim to its departure, in milliseconds. `None`: unknown.
    pub(super) start_lag_ms: Option<i64>,
    /// How much longer the interval is than the configured rate's, in thousandths of it.
    pub(super) slowdown_permille: i64,
    clean_calls: u32,
    /// When the speed was last lowered.
    slowed_at: UnixMillis,
    /// When a margin was last widened or reduced.
    margin_at: UnixMillis,
    /// The cool-down after refusals, and how many there were. `None`: the last request passed.
    pub(super) saved_cooldown: Option<SavedCooldown>,
    /// Waits that the service asked for at other endpoints than that of uploads.
    pub(super) asked_waits: Vec<AskedWait>,
    /// What was learned of caps that are not known.
    pub(super) caps: Vec<CapEstimate>,
}

impl Default for LearnedLimits {
    fn default() -> Self {
        Self {
            jitter: Jitter::default(),
            start_lag_ms: None,
            slowdown_permille: 1000,
            clean_calls: 0,
            slowed_at: UnixMillis::default(),
            margin_at: UnixMillis::default(),
            saved_cooldown: None,
            asked_waits: Vec::new(),
            caps: Vec::new(),
        }
    }
}

/// A wait after refusals, as it is kept over restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedCooldown {
    pub(super) until: UnixMillis,
    pub(super) refusals: u32,
    pub(super) refused_at: UnixMillis,
}

/// A wait that the service asked for, as it is kept over restarts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AskedWait {
    /// The word for the endpoint.
    pub(super) endpoint: String,
    pub(super) until: UnixMillis,
    pub(super) asked_at: UnixMillis,
}

/// A change of the learned limits that is reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitChange {
    /// The size of a cap.
    CapLearned(String),
    /// A cap is smaller than before: it was lowered, or another client uploads with this account.
    CapShrank { was: u32, refused_at: u32, duration: String },
    /// A cap is larger than it was.
    CapRises(String),
    /// The rate was too fast. The new interval is this many thousandths of the configured one.
    SlowedDown(i64),
    /// Evenly spaced requests were refused. They leave further apart by this many microseconds than the rate says.
    SpacingWidened(i64),
    /// The hourly budget of refusals is spent.
    RefusalsSpent(u32),
}

impl fmt::Display for LimitChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CapLearned(text) => write!(f, "learned a cap of the account: {text}"),
            Self::CapShrank { was, refused_at, duration } => write!(
                f,
                "refused with {refused_at} uploads in {duration}, where {was} were taken before: the cap was lowered, or another \
                 client uploads with this account (telecine quota spend records such uploads)"
            ),
            Self::CapRises(text) => write!(f, "the cap was raised: {text}"),
            Self::SlowedDown(permille) => {
                let percent = 100_000 / permille.max(&1);
                write!(
                    f,
                    "refused for being too fast: uploads now leave at {percent} % of the configured rate"
                )
            }
            Self::SpacingWidened(us) => write!(
                f,
                "refused although uploads were evenly spaced, because network delays vary: they now leave {:.1} ms further apart \
                 than the rate says",
                Duration::from_micros(us.unsigned_abs()).as_secs_f64() * 1_000.0
            ),
            Self::RefusalsSpent(count) => write!(
                f,
                "{count} refusals within an hour: nothing is sent until the first is an hour old, since the service may \
                 suspend the key"
            ),
        }
    }
}

impl LearnedLimits {
    /// Reads the saved text; the cause if it cannot be read.
    pub fn from_text(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// For the ledger.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What was learned of caps.
    #[must_use]
    pub fn caps(&self) -> &[CapEstimate] {
        &self.caps
    }

    /// The upload speed in percent of the configured rate.
    #[must_use]
    pub const fn speed_percent(&self) -> i64 {
        100_000 / if self.slowdown_permille < 1000 { 1000 } else { self.slowdown_permille }
    }

    /// The spread of network delays in milliseconds, and the number of samples behind it.
    #[must_use]
    pub const fn way(&self) -> (i64, u64) {
        (self.jitter.spread_ms, self.jitter.samples)
    }

    /// A request that passed after a refusal at `refused_at` shows that more distance would have avoided it.
    pub(super) fn slow_down(&mut self, refused_at: UnixMillis) {
        self.clean_calls = 0;
        self.slowed_at = refused_at;
        self.slowdown_permille = (self.slowdown_permille * 10 / SLOWER_TENTHS).min(SLOWDOWN_MAX);
    }

    /// Evenly spaced uploads were refused: they leave further apart. `None`: the margin is as wide as it may be.
    pub(super) fn widen_spacing(
        &mut self,
        interval: Duration,
        tick_ms: i64,
        now: UnixMillis,
    ) -> Option<LimitChange> {
        let interval_us = i64::try_from(interval.as_micros()).unwrap_or(i64::MAX);
        self.margin_at = now;
        self.jitter.widen_spacing(interval_us, tick_ms).map(LimitChange::SpacingWidened)
    }

    /// The margin of windows widens, where a whole count leaves at once.
    pub(super) fn widen_window(&mut self, interval: Duration, tick_ms: i64, now: UnixMillis) {
        let period_ms = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
        self.margin_at = now;
        self.jitter.teach(period_ms, tick_ms);
    }

    /// Counts a request that passed; true when the speed rose by it.
    pub(super) fn count_clean(&mut self, now: UnixMillis) -> bool {
        let is_margin_old = now.since_ms(self.margin_at) >= MARGIN_KEPT_MS;
        if is_margin_old && (self.jitter.taught_ms > 0 || self.jitter.taught_spacing_us > 0) {
            self.margin_at = now;
            self.jitter.taught_ms /= 2;
            self.jitter.taught_spacing_us /= 2;
            return true;
        }
        if self.slowdown_permille <= 1000 {
            return false;
        }
        self.clean_calls = self.clean_calls.saturating_add(1);
        if self.clean_calls < CLEAN_CALLS || now.since_ms(self.slowed_at) < RECOVERY_MS {
            return false;
        }
        self.clean_calls = 0;
        self.slowdown_permille = 1000;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_widened_distance_is_halved_every_day_without_a_refusal() {
        let (mut learned, at) = (LearnedLimits::default(), UnixMillis(1_700_000_000_000));
        learned.widen_spacing(Duration::from_millis(100), 0, at);
        assert_eq!(learned.jitter.taught_spacing_us, 3_030);
        assert!(!learned.count_clean(at.plus_ms(MARGIN_KEPT_MS - 1)));
        assert!(learned.count_clean(at.plus_ms(MARGIN_KEPT_MS)));
        assert!(!learned.count_clean(at.plus_ms(MARGIN_KEPT_MS)));
        assert_eq!(learned.jitter.taught_spacing_us, 1_515);
    }
}

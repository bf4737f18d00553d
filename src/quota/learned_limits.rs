//! What the porter learned, as it is kept over restarts, and what it says of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{cap_estimator::CapEstimate, jitter::Jitter};
use crate::domain::UnixMillis;

/// After a refusal that more distance would have avoided, the rate is multiplied by this many tenths…
const SLOWER_TENTHS: i64 = 7;
/// …but goes no slower than this, in thousandths of the rate's interval.
const SLOWDOWN_MAX: i64 = 50_000;
/// The configured rate comes back after this many requests without a refusal...
const CLEAN_CALLS: u32 = 50;
/// ...and no sooner than this after the last refusal, in milliseconds.
const RECOVERY_MS: i64 = 5 * 60_000;

/// What is known of an account that no document says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LearnedLimits {
    pub(super) jitter: Jitter,
    /// The longest a request took from its claim to its departure, in milliseconds; none while that is not known.
    pub(super) start_lag_ms: Option<i64>,
    /// How much longer the interval is than the configured rate's, in thousandths of it.
    pub(super) slowdown_permille: i64,
    clean_calls: u32,
    /// When the speed was last lowered.
    slowed_at: UnixMillis,
    /// That everybody waits after refusals, and how many there were; none when the last request passed.
    pub(super) saved_cooldown: Option<SavedCooldown>,
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
            saved_cooldown: None,
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

/// Something learned that is worth a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitChange {
    /// The size of a cap.
    CapLearned(String),
    /// A cap is smaller than it was: it was lowered, or somebody else uploads with this account.
    CapShrank {
        /// So many were allowed.
        was: u32,
        /// Refused with so many.
        refused_at: u32,
        /// In this span, for a reader.
        duration: String,
    },
    /// A cap is larger than it was.
    CapRises(String),
    /// The rate was too fast; now it is so many thousandths of the configured interval.
    SlowedDown(i64),
    /// As many refusals as an hour may have: nothing is sent until it is over.
    RefusalsSpent(u32),
}

impl fmt::Display for LimitChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CapLearned(text) => write!(f, "learned a cap of the account: {text}"),
            Self::CapShrank { was, refused_at, duration } => write!(
                f,
                "refused with {refused_at} uploads in {duration}, where {was} were taken before: the cap was lowered, or somebody \
                 else uploads with this account (telecine quota spend records such uploads)"
            ),
            Self::CapRises(text) => write!(f, "the cap rose: {text}"),
            Self::SlowedDown(permille) => {
                let percent = 100_000 / permille.max(&1);
                write!(f, "refused for being too fast; going on at {percent} % of the configured rate")
            }
            Self::RefusalsSpent(count) => write!(
                f,
                "{count} refusals within an hour: nothing is sent until the first is an hour old, since the service may \
                 suspend the key"
            ),
        }
    }
}

impl LearnedLimits {
    /// Reads them back; what cannot be read is learned anew.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
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

    /// How fast the lane may go, in percent of the configured rate.
    #[must_use]
    pub const fn speed_percent(&self) -> i64 {
        100_000 / if self.slowdown_permille < 1000 { 1000 } else { self.slowdown_permille }
    }

    /// The spread of the way in milliseconds, and by how many moments it is known.
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

    /// Counts a request that passed; true when the speed rose by it.
    pub(super) fn count_clean(&mut self, now: UnixMillis) -> bool {
        if self.slowdown_permille <= 1000 && self.jitter.taught_ms == 0 {
            return false;
        }
        self.clean_calls = self.clean_calls.saturating_add(1);
        if self.clean_calls < CLEAN_CALLS {
            return false;
        }
        if self.slowdown_permille <= 1000 {
            self.clean_calls = 0;
            self.jitter.taught_ms = self.jitter.taught_ms * 9 / 10;
            return true;
        }
        if now.since_ms(self.slowed_at) < RECOVERY_MS {
            return false;
        }
        self.clean_calls = 0;
        self.slowdown_permille = 1000;
        true
    }
}

//! Building the limits of an account anew from the records of the ledger, in the middle of a run: after a clock change was
//! measured, and when a command beside the run changed the limits or recorded usage.

use super::{
    Limits, UsageRecord,
    account_limits::{AccountLimits, FOR_EVER},
    jitter::JitterSamples,
    learned_limits::LearnedLimits,
};
use crate::domain::UnixMillis;

/// Departures of the latest time that the records may not show yet, in milliseconds.
const RECORDED_WITHIN_MS: i64 = 5_000;

impl AccountLimits {
    /// Earlier requests happened at other times than was thought, since our clock was set: `usage` is what is known now.
    /// Nothing may have been uploaded in between.
    pub fn reload_usage(&mut self, usage: &[UsageRecord], now: UnixMillis) {
        let mut reloaded =
            Self::new(self.limits.clone(), usage, self.learned_limits.clone(), now, self.tick_ms);
        reloaded.learned_limits_changed = self.learned_limits_changed;
        reloaded.saved_lag_ms = self.saved_lag_ms;
        reloaded.next_key = reloaded.next_key.min(self.next_key);
        std::mem::swap(&mut reloaded.list, &mut self.list);
        std::mem::swap(&mut reloaded.metadata, &mut self.metadata);
        std::mem::swap(&mut reloaded.delete, &mut self.delete);
        *self = reloaded;
    }

    /// Forgets what was learned, and has that saved.
    pub fn forget_learned_limits(&mut self) {
        self.learned_limits = LearnedLimits::default();
        self.learned_limits_changed = true;
        self.samples = JitterSamples::default();
    }

    /// Keeps other limits from now on. `usage` is what the ledger knows of requests; those that it may not know yet are taken
    /// over, so that no window counts less than before.
    pub fn change_limits(&mut self, limits: Limits, usage: &[UsageRecord], now: UnixMillis) {
        let learned = self.learned_limits.clone();
        let old = std::mem::replace(self, Self::new(limits, usage, learned, now, self.tick_ms));
        self.learned_limits_changed = old.learned_limits_changed;
        self.saved_lag_ms = old.saved_lag_ms;
        self.departed_at = old.departed_at;
        self.samples = old.samples;
        self.refused_at = old.refused_at;
        self.passed_in_a_row = old.passed_in_a_row;
        self.passed_before_refusal = old.passed_before_refusal;
        self.next_key = self.next_key.min(old.next_key);
        self.lead = old.lead;
        self.reserved_at = old.reserved_at;
        let since = now.plus_ms(-RECORDED_WITHIN_MS);
        for (own, earlier) in [
            (&mut self.upload, old.upload),
            (&mut self.list, old.list),
            (&mut self.metadata, old.metadata),
            (&mut self.delete, old.delete),
        ] {
            own.breaker = earlier.breaker;
            own.pacing.take_over(earlier.pacing, since);
        }
        self.total.take_over(old.total, since);
        self.caps.log.take_over(&old.caps.log, FOR_EVER);
    }
}

//! Network jitter: learns the margin that the distance between requests must have beyond the limit.
//!
//! Requests take different times to arrive. Two that leave W apart may arrive closer together than W by the
//! difference of their delays. The times that the service notes show this difference: the spread of (noted by the
//! service - left here) is never smaller than the spread of the delays. Until enough samples exist, or when the
//! service notes times only after work of its own, a share of the period is used instead.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// The divisor of the period that gives the margin before anything is measured.
const PRIOR_SHARE: i64 = 40;
/// The smallest unmeasured margin in milliseconds, as delays within a country differ.
const PRIOR_MS_MIN: i64 = 25;
/// The largest unmeasured margin in milliseconds: delays across the world differ by less.
const PRIOR_MS_MAX: i64 = 250;
/// Samples needed before their spread is used. Of 21 equally likely delays, both extremes are missing only four times
/// in a million.
const SAMPLES_MIN: u64 = 256;
/// Only the latest samples of a run count, because two clocks drift apart.
const SAMPLES_KEPT: usize = 1024;
/// A larger spread than measured may still come. A quarter is added, and this many milliseconds.
const SLACK_MS: i64 = 5;
/// The addition is at most this fraction of the period...
const SLACK_SHARE: i64 = 2_000;
/// ...and at least this many milliseconds: times are noted in whole ones, and the extremes are rare.
const SLACK_MS_MIN: i64 = 2;
/// Below a second between departures the unmeasured margin is at most this fraction of the interval.
const SHORT_SHARE: i64 = 66;
/// The margin learned from refusals is at most this fraction of the period.
const TAUGHT_SHARE: i64 = 4;

/// What is known of network delays, over all runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Jitter {
    /// The widest spread seen within one run, in milliseconds.
    pub(super) spread_ms: i64,
    /// Samples that could show a difference: all but the first of each run.
    pub(super) samples: u64,
    /// The margin of a window learned from refusals, in milliseconds. It is kept whatever is measured.
    #[serde(default)]
    pub(super) taught_ms: i64,
    /// The margin between two departures learned from refusals, in microseconds.
    #[serde(default)]
    pub(super) taught_spacing_us: i64,
}

/// The samples of this run.
#[derive(Default)]
pub(super) struct JitterSamples {
    latest: VecDeque<i64>,
    count: u64,
}

impl Jitter {
    /// The margin of a period in milliseconds; `tick_ms` is the granularity of our timers.
    pub(super) fn margin_ms(self, period_ms: i64, tick_ms: i64) -> i64 {
        let prior = (period_ms / PRIOR_SHARE).clamp(PRIOR_MS_MIN, PRIOR_MS_MAX).max(2 * tick_ms);
        let slack = (self.spread_ms / 4 + SLACK_MS).min(period_ms / SLACK_SHARE).max(SLACK_MS_MIN);
        let learned = if self.samples < SAMPLES_MIN { prior } else { prior.min(self.spread_ms + slack) };
        learned.max(self.taught_ms.min(period_ms / TAUGHT_SHARE))
    }

    /// The margin between two departures that are `interval_us` microseconds apart, in microseconds. Below a second it is
    /// a share of the interval only, so that fast rates stay fast; where that is too little, refusals widen it.
    pub(super) fn spacing_margin_us(self, interval_us: i64, tick_ms: i64) -> i64 {
        let share_us = interval_us / SHORT_SHARE;
        let margin_us = self.margin_ms(interval_us / 1_000, 0).saturating_mul(1_000);
        let unrefused_us = if interval_us >= 1_000_000 {
            margin_us.max(tick_ms.saturating_mul(2_000).min(share_us))
        } else {
            margin_us.min(share_us)
        };
        unrefused_us.max(self.taught_spacing_us.min(interval_us / TAUGHT_SHARE))
    }

    /// Takes in how long after its departure the service noted a request, in milliseconds of two clocks.
    pub(super) fn see(&mut self, seen: &mut JitterSamples, noted_after_ms: i64) {
        if seen.latest.len() == SAMPLES_KEPT {
            seen.latest.pop_front();
        }
        seen.latest.push_back(noted_after_ms);
        seen.count += 1;
        self.samples = self.samples.saturating_add(u64::from(seen.count > 1));
        let is_whole = seen.latest.len() == SAMPLES_KEPT;
        let is_extreme = seen.latest.len() < 3 || !seen.spans(noted_after_ms);
        if is_extreme || is_whole && seen.count.is_multiple_of(SAMPLES_KEPT as u64) {
            let (least, most) = (seen.latest.iter().min(), seen.latest.iter().max());
            let spread_ms = least.zip(most).map_or(0, |(least, most)| most - least);
            // a full set of samples replaces the spread, fewer can only raise it
            self.spread_ms = if is_whole { spread_ms } else { self.spread_ms.max(spread_ms) };
        }
    }

    /// Evenly spaced requests were refused: the delays vary by more than the margin between two departures. Returns the
    /// new margin in microseconds. `None`: it is as wide as it may be.
    pub(super) fn widen_spacing(&mut self, interval_us: i64, tick_ms: i64) -> Option<i64> {
        let before_us = self.spacing_margin_us(interval_us, tick_ms);
        self.taught_spacing_us = (before_us * 2).min(interval_us / TAUGHT_SHARE);
        let after_us = self.spacing_margin_us(interval_us, tick_ms);
        (after_us > before_us).then_some(after_us)
    }

    /// A window was refused that should have been kept.
    pub(super) fn teach(&mut self, period_ms: i64, tick_ms: i64) {
        self.taught_ms = (self.margin_ms(period_ms, tick_ms) * 2).min(period_ms / TAUGHT_SHARE);
    }
}

impl JitterSamples {
    /// Whether a value is strictly inside what was seen before it.
    fn spans(&self, value: i64) -> bool {
        let earlier = self.latest.iter().take(self.latest.len() - 1);
        let (mut below, mut above) = (false, false);
        for own in earlier {
            below |= *own <= value;
            above |= *own >= value;
            if below && above {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_kept_until_the_way_is_known_and_the_spread_of_the_way_afterwards() {
        let mut jitter = Jitter::default();
        assert_eq!([jitter.margin_ms(1_000, 0), jitter.margin_ms(60_000, 0)], [25, 250]);
        let (mut seen, mut rng) = (JitterSamples::default(), fastrand::Rng::with_seed(1));
        for _ in 0..300 {
            jitter.see(&mut seen, 7_000 + rng.i64(0..=20));
        }
        assert_eq!(jitter.margin_ms(1_000, 0), 22, "little more than was seen where that is dear");
        assert_eq!(jitter.margin_ms(60_000, 0), 30, "and some slack where it is cheap");
        // a service that notes the time after work of its own shows nothing about network delays
        for _ in 0..300 {
            jitter.see(&mut seen, 7_000 + rng.i64(0..=15_000));
        }
        assert_eq!([jitter.margin_ms(1_000, 0), jitter.margin_ms(60_000, 0)], [25, 250]);
    }

    #[test]
    fn a_way_that_became_better_is_noticed_within_one_run() {
        let mut jitter = Jitter { spread_ms: 200, samples: 10_000, ..Jitter::default() };
        let mut seen = JitterSamples::default();
        for sample in 0..4_000 {
            jitter.see(&mut seen, sample % 11);
        }
        assert_eq!(jitter.spread_ms, 10);
    }

    #[test]
    fn runs_of_one_upload_tell_nothing_of_the_way() {
        let mut jitter = Jitter::default();
        for run in 0..1_000 {
            jitter.see(&mut JitterSamples::default(), run);
        }
        assert_eq!((jitter.samples, jitter.margin_ms(60_000, 0)), (0, 250));
        // of two uploads one has another to differ from
        for run in 0..300 {
            let mut seen = JitterSamples::default();
            jitter.see(&mut seen, run);
            jitter.see(&mut seen, run + 7);
        }
        assert_eq!((jitter.samples, jitter.spread_ms), (300, 7));
    }

    #[test]
    fn a_refusal_widens_the_margin_within_bounds() {
        let mut jitter = Jitter { spread_ms: 10, samples: 1_000, ..Jitter::default() };
        jitter.teach(1_000, 0);
        assert_eq!(jitter.margin_ms(1_000, 0), 24);
        for _ in 0..10 {
            jitter.teach(1_000, 0);
        }
        assert_eq!(jitter.margin_ms(1_000, 0), 250);
    }

    #[test]
    fn refused_requests_that_were_evenly_spaced_go_further_apart_up_to_a_quarter_of_the_interval() {
        let mut jitter = Jitter::default();
        let wider = |jitter: &mut Jitter| jitter.widen_spacing(200_000, 1);
        assert_eq!(jitter.spacing_margin_us(200_000, 1), 3_030);
        let steps: Vec<_> = std::iter::from_fn(|| wider(&mut jitter)).collect();
        assert_eq!(steps, [6_060, 12_120, 24_240, 48_480, 50_000]);
        // a fast rate does not pay for what a slow one learned
        assert_eq!(jitter.spacing_margin_us(20_000, 1), 5_000);
    }
}

//! What refusals teach of a cap whose size no one states.
//!
//! ```text
//!   unknown --refused, and again after waits that no spacing explains--> kept at n
//!   kept at n --a day without refusal, window full--> probing n+1 --passed--> climbing
//!       ^ ^                                              | refused: seen once more, next probe in twice the time
//!       | +----------------------------------------------+
//!       |  refused while climbing: exactly n
//!   climbing <--passed-- draining <--refused below n: lowered, or another client uploads-- kept
//!                          ^   | refused again: drain further
//!                          +---+
//! ```
//!
//! A refusal after a request that passed shows the cap exactly: the service allows what is in the window. A refusal while the
//! window drains shows only that the service allows less.

use serde::{Deserialize, Serialize};

use crate::domain::{Cap, Counting, UnixMillis};

/// A smaller cap is not learned from refusals alone: an overloaded service refuses in the same way.
pub(super) const PLAUSIBLE_MIN: u32 = 5;
/// The first probe of a learned cap comes after this many milliseconds, so at most one refusal a day is spent on it.
const PROBE_AFTER_MS: i64 = 24 * 3_600_000;
/// The longest time between two probes of a learned cap, in milliseconds.
const PROBE_AFTER_MS_MAX: i64 = 7 * 24 * 3_600_000;
/// After each further refusal the window drains to this many tenths.
const DRAIN_TENTHS: u32 = 8;

/// The estimate of a cap, learned from refusals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapEstimate {
    pub period_ms: i64,
    #[serde(default)]
    pub counting: Counting,
    /// A count that was seen to be allowed.
    pub low: u32,
    /// A count that no allowed window was seen to exceed.
    pub high: u32,
    /// How often that was seen.
    pub seen: u32,
    /// When it was seen last.
    pub seen_at: UnixMillis,
    mode: Mode,
    /// Since when nothing was refused.
    clean_since: UnixMillis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Kept,
    /// Since this time; what left before says nothing.
    Probing {
        since: UnixMillis,
    },
    /// The window drains to this; what was in it at the refusal is `high`.
    Draining {
        to: u32,
    },
    /// Up to `high`. `None`: as far as the service allows.
    Climbing {
        high: Option<u32>,
    },
}

/// What a refusal or a passage changed, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EstimateChange {
    Learned,
    SeenAgain,
    Lowered,
    Rises,
}

impl CapEstimate {
    /// The first refusals met with `certain` to `used` uploads in the window.
    pub(super) fn first(cap: Cap, certain: u32, used: u32, now: UnixMillis) -> Self {
        Self {
            period_ms: cap.period_ms(),
            counting: cap.counting(),
            low: certain.max(1),
            high: used.max(certain).max(1),
            seen: 1,
            seen_at: now,
            mode: Mode::Kept,
            clean_since: now,
        }
    }

    /// Whether this was learned of a cap.
    pub(super) fn is_of(&self, cap: &Cap) -> bool {
        (self.period_ms, self.counting) == (cap.period_ms(), cap.counting())
    }

    /// The count that the window may hold. `None`: no bound.
    pub(super) fn ceiling(&self) -> Option<u32> {
        match self.mode {
            Mode::Kept => Some(self.low),
            Mode::Probing { .. } => Some(self.low + 1),
            Mode::Draining { to } => Some(to),
            Mode::Climbing { high } => high,
        }
    }

    /// Whether it is being tested, so that a single refusal is an answer.
    pub(super) const fn is_open(&self) -> bool {
        !matches!(self.mode, Mode::Kept)
    }

    /// Time passes with `used` in the window: a cap that has stood long enough is tested.
    pub(super) fn tick(&mut self, used: u32, now: UnixMillis) {
        let clean_ms = now.since_ms(self.clean_since);
        if self.mode != Mode::Kept || used < self.low {
            return;
        }
        if self.low < self.high && clean_ms >= self.period_ms {
            // requests in doubt may have counted when the cap was learned, so it grows by one after each
            // window without refusal
            self.low += 1;
            self.clean_since = now;
        } else if clean_ms >= (PROBE_AFTER_MS << self.seen.saturating_sub(1).min(3)).min(PROBE_AFTER_MS_MAX) {
            self.mode = Mode::Probing { since: now };
        }
    }

    /// An upload that left at `departed_at` passed.
    pub(super) fn passed(&mut self, departed_at: Option<UnixMillis>) -> Option<EstimateChange> {
        match self.mode {
            Mode::Probing { since } if departed_at.is_some_and(|left| left < since) => None,
            Mode::Draining { .. } if departed_at.is_some_and(|left| left < self.seen_at) => None,
            Mode::Probing { .. } => {
                self.mode = Mode::Climbing { high: None };
                Some(EstimateChange::Rises)
            }
            Mode::Draining { .. } => {
                self.mode = Mode::Climbing { high: Some(self.high.saturating_sub(1).max(1)) };
                None
            }
            Mode::Kept | Mode::Climbing { .. } => None,
        }
    }

    /// An upload was refused with `certain` to `used` others in the window; `is_from_below` when the one before it passed.
    pub(super) fn refused(
        &mut self,
        certain: u32,
        used: u32,
        is_from_below: bool,
        now: UnixMillis,
    ) -> EstimateChange {
        self.clean_since = now;
        self.seen_at = now;
        let was = (self.low, self.high);
        match self.mode {
            Mode::Probing { .. } => {
                self.seen = self.seen.saturating_add(1);
                self.mode = Mode::Kept;
                return EstimateChange::SeenAgain;
            }
            Mode::Climbing { .. } if is_from_below => {
                (self.low, self.high) = (certain.max(1), used.max(certain).max(1));
                self.mode = Mode::Kept;
                self.seen = if was == (self.low, self.high) { self.seen.saturating_add(1) } else { 1 };
                return if self.seen > 1 { EstimateChange::SeenAgain } else { EstimateChange::Learned };
            }
            Mode::Kept | Mode::Draining { .. } | Mode::Climbing { .. } => {}
        }
        self.high = used.max(1);
        self.low = self.low.min(self.high);
        self.seen = 1;
        self.mode = Mode::Draining { to: (used * DRAIN_TENTHS / 10).max(1) };
        EstimateChange::Lowered
    }

    /// `97–100 per 2 h, seen 3 times`.
    #[must_use]
    pub fn text(&self) -> String {
        let duration = std::time::Duration::from_millis(u64::try_from(self.period_ms).unwrap_or(0));
        let count = if self.low == self.high {
            self.low.to_string()
        } else {
            format!("{}\u{2013}{}", self.low, self.high)
        };
        let times = if self.seen == 1 { "once".to_owned() } else { format!("{} times", self.seen) };
        let mode = match self.mode {
            Mode::Kept => "",
            Mode::Probing { .. } => ", being tested",
            Mode::Draining { .. } => ", lowered: waiting until an upload is accepted",
            Mode::Climbing { .. } => ", rising until one is refused",
        };
        format!("{count} per {}, seen {times}{mode}", crate::domain::format_duration(duration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: UnixMillis = UnixMillis(1_700_000_000_000);
    const DAY_MS: i64 = 24 * 3_600_000;

    fn learned(low: u32, high: u32) -> CapEstimate {
        CapEstimate::first("?/2h".parse().unwrap(), low, high, T0)
    }

    #[test]
    fn a_cap_that_stays_is_put_to_the_test_ever_more_rarely() {
        let mut cap = learned(100, 100);
        cap.tick(100, T0.plus_ms(DAY_MS - 1));
        assert_eq!(cap.ceiling(), Some(100));
        cap.tick(99, T0.plus_ms(DAY_MS));
        assert_eq!(cap.ceiling(), Some(100), "a window that is not full tests nothing");
        cap.tick(100, T0.plus_ms(DAY_MS));
        assert_eq!(cap.ceiling(), Some(101));
        assert_eq!(cap.refused(100, 100, true, T0.plus_ms(DAY_MS)), EstimateChange::SeenAgain);
        cap.tick(100, T0.plus_ms(2 * DAY_MS));
        assert_eq!(cap.ceiling(), Some(100), "the next test comes after twice the time");
        assert!(cap.text().starts_with("100 per 2 h, seen 2 times"), "{}", cap.text());
    }

    #[test]
    fn a_cap_that_rose_is_climbed_until_one_is_refused() {
        let mut cap = learned(100, 100);
        cap.tick(100, T0.plus_ms(DAY_MS));
        assert_eq!(cap.passed(Some(T0.plus_ms(DAY_MS - 1))), None, "it left before the test began");
        assert_eq!(cap.passed(Some(T0.plus_ms(DAY_MS))), Some(EstimateChange::Rises));
        assert_eq!(cap.ceiling(), None);
        assert_eq!(cap.refused(150, 150, true, T0.plus_ms(DAY_MS + 1)), EstimateChange::Learned);
        assert_eq!((cap.ceiling(), cap.low, cap.high), (Some(150), 150, 150));
    }

    #[test]
    fn a_cap_that_fell_is_drained_to_and_found_from_below() {
        let mut cap = learned(100, 100);
        assert_eq!(cap.refused(99, 99, true, T0), EstimateChange::Lowered);
        assert_eq!(cap.ceiling(), Some(79));
        assert_eq!(cap.refused(78, 78, false, T0), EstimateChange::Lowered);
        assert_eq!(cap.ceiling(), Some(62));
        assert_eq!(cap.passed(Some(T0)), None);
        assert_eq!(cap.ceiling(), Some(77), "as far as it was refused at");
        assert_eq!(cap.refused(70, 70, true, T0), EstimateChange::Learned);
        assert_eq!((cap.ceiling(), cap.high), (Some(70), 70));
    }

    #[test]
    fn a_cap_learned_with_requests_in_doubt_grows_by_one_a_clean_window() {
        let mut cap = learned(97, 100);
        assert!(cap.text().starts_with("97\u{2013}100 per 2 h, seen once"), "{}", cap.text());
        cap.tick(97, T0.plus_ms(2 * 3_600_000));
        cap.tick(97, T0.plus_ms(2 * 3_600_000 + 1));
        assert_eq!(cap.ceiling(), Some(98));
    }
}

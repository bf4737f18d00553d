//! When each of the next uploads can leave, by everything that is known now: pure arithmetic, for plans and progress.

use std::{collections::VecDeque, time::Duration};

use super::BlockReason;
use crate::domain::{Rate, UnixMillis};

/// Slots that a forecast computes one by one. The rest follows from the slowest limit.
const EXACT_MAX: u64 = 5_000;

/// One limit: a count per milliseconds, and when the requests it counts leave the window.
#[derive(Clone, Debug)]
struct ForecastWindow {
    count: usize,
    period_ms: i64,
    leaving: VecDeque<UnixMillis>,
    /// Why a slot waits for it. `None`: that is normal spacing.
    why: Option<BlockReason>,
}

/// The slots to come, one after the other.
#[derive(Clone, Debug)]
pub struct Forecast {
    now: UnixMillis,
    rules: Vec<ForecastWindow>,
    why: Option<BlockReason>,
}

impl Forecast {
    /// A forecast from `now` on.
    #[must_use]
    pub fn from(now: UnixMillis) -> Self {
        Self { now, rules: Vec::new(), why: None }
    }

    /// Adds a limit: a count per milliseconds, and when the requests it counts leave the window, soonest first.
    #[must_use]
    pub fn with_rule(self, count: u32, period_ms: i64, leaving: Vec<UnixMillis>) -> Self {
        self.with_window(count, period_ms, leaving, None)
    }

    /// Adds a cap in the same way. A slot that waits for it waits for this reason.
    #[must_use]
    pub(super) fn with_cap(
        self,
        count: u32,
        period_ms: i64,
        leaving: Vec<UnixMillis>,
        why: BlockReason,
    ) -> Self {
        self.with_window(count, period_ms, leaving, Some(why))
    }

    fn with_window(
        mut self,
        count: u32,
        period_ms: i64,
        leaving: Vec<UnixMillis>,
        why: Option<BlockReason>,
    ) -> Self {
        let (count, leaving) = (count.max(1) as usize, leaving.into());
        self.rules.push(ForecastWindow { count, period_ms, leaving, why });
        self
    }

    /// With this rate, from an empty window, spread as it says.
    #[must_use]
    pub fn with_rate(self, rate: Rate) -> Self {
        let limit = rate.limit();
        let forecast = self.with_rule(limit.count(), limit.period_ms(), Vec::new());
        if rate.burst() >= limit.count() { forecast } else { forecast.with_spacing(limit.interval()) }
    }

    /// With at least this between two slots.
    #[must_use]
    pub fn with_spacing(self, interval: Duration) -> Self {
        let period_ms = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
        if period_ms == 0 { self } else { self.with_rule(1, period_ms, Vec::new()) }
    }

    /// When the last of `count` uploads can leave, as far as limits decide it. Exact for the next few thousand.
    #[must_use]
    pub fn after(mut self, count: u64) -> UnixMillis {
        let exact = count.min(EXACT_MAX);
        let mut timestamp = self.now;
        for _ in 0..exact {
            timestamp = self.next_slot();
        }
        let left = i64::try_from(count - exact).unwrap_or(i64::MAX);
        let time_for_left = |rule: &ForecastWindow| {
            rule.period_ms.saturating_mul(left) / i64::try_from(rule.count).unwrap_or(i64::MAX)
        };
        timestamp.plus_ms(self.rules.iter().map(time_for_left).max().unwrap_or(0))
    }

    /// What the last slot waited for. `None`: for nothing, or for normal spacing.
    #[must_use]
    pub const fn last_wait(&self) -> Option<BlockReason> {
        self.why
    }

    /// Takes the next slot and says when it is.
    pub fn next_slot(&mut self) -> UnixMillis {
        let mut timestamp = self.now;
        self.why = None;
        for rule in &self.rules {
            if let Some(surplus) = rule.leaving.len().checked_sub(rule.count)
                && rule.leaving[surplus] > timestamp
            {
                timestamp = rule.leaving[surplus];
                self.why = rule.why;
            }
        }
        for rule in &mut self.rules {
            while rule.leaving.front().is_some_and(|leaves| *leaves <= timestamp) {
                rule.leaving.pop_front();
            }
            rule.leaving.push_back(timestamp.plus_ms(rule.period_ms));
        }
        self.now = timestamp;
        timestamp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: UnixMillis = UnixMillis(1_700_000_000_000);

    fn seconds_of(forecast: Forecast, count: u64) -> i64 {
        forecast.after(count).since_ms(T0) / 1000
    }

    #[test]
    fn slots_come_as_the_slowest_limit_lets_them() {
        let rate = |text: &str| text.parse::<Rate>().unwrap();
        assert_eq!(seconds_of(Forecast::from(T0).with_rate(rate("1/s")), 9_812), 9_811);
        assert_eq!(seconds_of(Forecast::from(T0).with_rate(rate("60/min:burst")), 60), 0);
        assert_eq!(seconds_of(Forecast::from(T0).with_rate(rate("60/min:burst")), 61), 60);
        assert_eq!(seconds_of(Forecast::from(T0).with_rate(rate("60/min")), 61), 60);
        let capped = Forecast::from(T0).with_rate(rate("1/s")).with_rule(100, 7_200_000, Vec::new());
        assert_eq!(seconds_of(capped.clone(), 100), 99);
        assert_eq!(seconds_of(capped.clone(), 101), 7_200);
        // far ahead it is the cap alone that counts
        let day = seconds_of(capped, 100_000);
        assert!((7_190_000..=7_200_000).contains(&day), "{day}");
    }

    #[test]
    fn what_is_in_a_window_already_is_waited_for() {
        let leaving = vec![T0.plus_ms(5_000), T0.plus_ms(9_000)];
        let mut forecast = Forecast::from(T0).with_rule(2, 60_000, leaving);
        let slots: Vec<i64> = (0..3).map(|_| forecast.next_slot().since_ms(T0)).collect();
        assert_eq!(slots, [5_000, 9_000, 65_000]);
    }
}

//! Spreads departures evenly (GCRA, the same as a token bucket of one token): one per interval, measured at the departure itself.
//!
//! A slow claim delays the requests after it rather than bringing two close together, and an idle time earns no more than
//! the burst that the rate asks for, which is one unless it says otherwise.

use std::time::Duration;

use super::PreciseTime;
use crate::domain::Rate;

/// The spacing of one rate.
pub(super) struct Smoother {
    rate: Rate,
    interval: Duration,
    /// The theoretical arrival time: when the next request would be due if every one kept its interval.
    due_at: PreciseTime,
    last: PreciseTime,
}

impl Smoother {
    /// A smoother for the slowest of these rates that does not let its whole count leave at once.
    pub(super) fn of(rates: &[Rate]) -> Option<Self> {
        let spread = rates.iter().filter(|rate| rate.burst() < rate.limit().count() || rate.burst() == 1);
        let rate = *spread.max_by_key(|rate| rate.limit().interval())?;
        let never = PreciseTime(i64::MIN / 2);
        Some(Self { rate, interval: rate.limit().interval(), due_at: never, last: never })
    }

    /// The interval of the rate, without slowdown and margin.
    pub(super) fn base_interval(&self) -> Duration {
        self.rate.limit().interval()
    }

    /// From now on departures are `interval` apart. The last departure counts, and nothing of a burst is left.
    pub(super) fn set_interval(&mut self, interval: Duration) {
        if interval != self.interval {
            self.interval = interval;
            self.use_up(self.last);
        }
    }

    /// When a request may leave at the soonest, behind `ahead` others that have not left yet.
    pub(super) fn next_at(&self, now: PreciseTime, ahead: u32) -> PreciseTime {
        let tolerance = self.interval * (self.rate.burst() - 1);
        let due_at = self.due_at.max(now).plus(self.interval * ahead);
        due_at.minus(tolerance).max(now)
    }

    /// A request leaves at `at`.
    pub(super) fn depart(&mut self, at: PreciseTime) {
        self.due_at = self.due_at.max(at).plus(self.interval);
        self.last = self.last.max(at);
    }

    /// The latest departure.
    pub(super) const fn last(&self) -> PreciseTime {
        self.last
    }

    /// A request left at `at` in an earlier run: what it left of a burst is not known, so nothing is.
    pub(super) fn use_up(&mut self, at: PreciseTime) {
        self.last = self.last.max(at);
        self.due_at = self.last.plus(self.interval * self.rate.burst());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: PreciseTime = PreciseTime(1_700_000_000_000_000);

    fn smoother(rate: &str) -> Smoother {
        Smoother::of(&[rate.parse().unwrap()]).unwrap()
    }

    #[test]
    fn two_requests_are_never_closer_than_the_interval_however_long_it_was_idle() {
        for rate in ["5/s", "300/min", "1/s", "1/200ms", "45/s"] {
            let mut smoother = smoother(rate);
            let interval = smoother.base_interval();
            for idle_ms in [0, 1_000, 3_600_000] {
                let at = smoother.next_at(T0, 0).plus(Duration::from_millis(idle_ms));
                smoother.depart(at);
                assert_eq!(smoother.next_at(at, 0), at.plus(interval), "{rate} after {idle_ms} ms");
            }
        }
    }

    #[test]
    fn a_burst_is_only_what_the_rate_asks_for() {
        let mut smoother = smoother("60/min:burst=3");
        for _ in 0..3 {
            assert_eq!(smoother.next_at(T0, 0), T0);
            smoother.depart(T0);
        }
        assert_eq!(smoother.next_at(T0, 0), T0.plus(Duration::from_secs(1)));
        assert!(Smoother::of(&["60/min:burst".parse().unwrap()]).is_none());
    }

    #[test]
    fn a_slower_interval_counts_from_the_last_departure_and_earns_no_burst() {
        for (rate, left) in [("5/s", 1), ("60/min:burst=3", 1)] {
            let mut smoother = smoother(rate);
            for _ in 0..left {
                smoother.depart(T0);
            }
            smoother.set_interval(Duration::from_millis(1_500));
            assert_eq!(smoother.next_at(T0, 0), T0.plus(Duration::from_millis(1_500)), "{rate}");
        }
    }

    #[test]
    fn the_next_departure_waits_for_those_ahead() {
        let mut smoother = smoother("5/s");
        assert_eq!(smoother.next_at(T0, 0), T0);
        assert_eq!(smoother.next_at(T0, 1), T0.plus(Duration::from_millis(200)));
        smoother.depart(T0);
        assert_eq!(smoother.next_at(T0, 1), T0.plus(Duration::from_millis(400)));
    }
}

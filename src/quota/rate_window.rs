//! One rate of an endpoint as a sliding window: at most the given count of departures in any period, exactly. This
//! window keeps the limit. The smoother (GCRA) only spreads departures inside it.

use std::collections::VecDeque;

use crate::domain::{Rate, UnixMillis};

/// Departures kept beside those that the limit counts: this many may turn out not to have left.
const SPARE: usize = 1024;

/// The departures of one rate.
pub(super) struct RateWindow {
    rate: Rate,
    /// The latest departures, those that the limit counts and some before them, sorted by time; each under its key.
    departures: VecDeque<(i64, UnixMillis)>,
}

impl RateWindow {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, departures: VecDeque::new() }
    }

    pub(super) const fn rate(&self) -> Rate {
        self.rate
    }

    /// When the next request may leave behind those that will leave at the times `ahead`. `None`: at `now`. `slowdown` stretches
    /// the period, and `margin_ms` is added for requests that do not take equally long to arrive.
    pub(super) fn free_at(
        &self,
        now: UnixMillis,
        ahead: &[UnixMillis],
        slowdown: Slowdown,
        margin_ms: i64,
    ) -> Option<UnixMillis> {
        let count = self.rate.limit().count() as usize;
        let oldest = (self.departures.len() + ahead.len()).checked_sub(count)?;
        let departed_at = match self.departures.get(oldest) {
            Some((_, departed_at)) => *departed_at,
            None => *ahead.get(oldest - self.departures.len())?,
        };
        Some(departed_at.plus_ms(slowdown.of(self.rate.limit().period_ms()).saturating_add(margin_ms)))
            .filter(|timestamp| *timestamp > now)
    }

    /// Departures that still count at `now`.
    pub(super) fn used(&self, now: UnixMillis) -> u32 {
        let since = now.plus_ms(-self.rate.limit().period_ms());
        let used = self.departures.iter().rev().take_while(|(_, at)| *at > since).count();
        u32::try_from(used).unwrap_or(u32::MAX)
    }

    /// When each departure leaves a window of the given milliseconds, soonest first.
    pub(super) fn leaving(&self, period_ms: i64) -> Vec<UnixMillis> {
        let counted = self.rate.limit().count() as usize;
        let skipped = self.departures.len().saturating_sub(counted);
        self.departures.iter().skip(skipped).map(|(_, at)| at.plus_ms(period_ms)).collect()
    }

    /// A request left.
    pub(super) fn put(&mut self, key: i64, at: UnixMillis) {
        self.departures.push_back((key, at));
        self.sort_last();
        while self.departures.len() > self.rate.limit().count() as usize + SPARE {
            self.departures.pop_front();
        }
    }

    /// The same, where it may be known already.
    pub(super) fn put_once(&mut self, key: i64, at: UnixMillis) {
        self.take_out(key);
        self.put(key, at);
    }

    /// It never left.
    pub(super) fn take_out(&mut self, key: i64) {
        if let Some(place) = self.departures.iter().rposition(|(own, _)| *own == key) {
            self.departures.remove(place);
        }
    }

    /// Every departure that is kept, by its key.
    pub(super) fn departures(&self) -> impl Iterator<Item = (i64, UnixMillis)> + '_ {
        self.departures.iter().copied()
    }

    fn sort_last(&mut self) {
        let mut place = self.departures.len() - 1;
        while place > 0 && self.departures[place - 1].1 > self.departures[place].1 {
            self.departures.swap(place - 1, place);
            place -= 1;
        }
    }
}

/// The slowdown in thousandths of the configured interval: 1000 is the configured rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slowdown(pub(super) i64);

impl Slowdown {
    pub(super) const NONE: Self = Self(1000);

    pub(super) fn of(self, period_ms: i64) -> i64 {
        if self == Self::NONE { period_ms } else { period_ms.saturating_mul(self.0) / 1000 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: UnixMillis = UnixMillis(1_700_000_000_000);

    #[test]
    fn a_window_of_departures_is_exact_whatever_their_order() {
        let mut window = RateWindow::new("3/s".parse().unwrap());
        window.put(1, T0);
        window.put(2, T0.plus_ms(10));
        window.put(3, T0.plus_ms(20));
        assert_eq!(window.free_at(T0.plus_ms(30), &[], Slowdown::NONE, 5), Some(T0.plus_ms(1_005)));
        window.take_out(1);
        window.put(11, T0.plus_ms(15));
        assert_eq!(window.free_at(T0.plus_ms(30), &[], Slowdown::NONE, 5), Some(T0.plus_ms(1_015)));
        assert_eq!(window.used(T0.plus_ms(1_012)), 2);
        window.take_out(3);
        assert_eq!(window.free_at(T0.plus_ms(30), &[], Slowdown::NONE, 5), None);
        assert_eq!(window.free_at(T0.plus_ms(30), &[], Slowdown(2000), 5), None);
    }

    #[test]
    fn requests_that_have_a_slot_count_for_those_behind_them_and_not_for_themselves() {
        let mut window = RateWindow::new("2/s".parse().unwrap());
        window.put(1, T0);
        window.put(2, T0.plus_ms(500));
        let free_at = |ahead: &[i64]| {
            let ahead: Vec<_> = ahead.iter().map(|ms| T0.plus_ms(*ms)).collect();
            window.free_at(T0.plus_ms(600), &ahead, Slowdown::NONE, 5).map(|at| at.since_ms(T0))
        };
        assert_eq!(free_at(&[]), Some(1_005));
        assert_eq!(free_at(&[1_005]), Some(1_505));
        assert_eq!(free_at(&[1_005, 1_505]), Some(2_010));
        assert_eq!(window.leaving(1_000), [T0.plus_ms(1_000), T0.plus_ms(1_500)]);
    }
}

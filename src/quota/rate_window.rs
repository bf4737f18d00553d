//! One rate of a lane: so many departures in any span, spread evenly inside it.
//!
//! The window of departures is exact and is what keeps the limit. The spread is governor's arithmetic on a clock set by
//! hand, so that a lane does not send all at once what it may send in a minute; it never waits by itself.

use std::{
    collections::VecDeque,
    num::NonZeroU32,
    ops::Add,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock as GovernorClock, Reference},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed},
};

use crate::domain::{Rate, UnixMillis};

/// Timers tick in milliseconds; the spread of a faster lane lets as many go at once as fall between so many ticks…
const TICK: Duration = Duration::from_millis(3);
/// …and of any lane two, so that being late once is not being late for ever: the window keeps the limit.
const SPREAD_BURST_MIN: u32 = 2;

/// The departures of one rate.
pub(super) struct RateWindow {
    rate: Rate,
    /// The latest departures, as many as the limit counts, sorted by time; each under its key.
    departures: VecDeque<(i64, UnixMillis)>,
}

impl RateWindow {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, departures: VecDeque::new() }
    }

    pub(super) const fn rate(&self) -> Rate {
        self.rate
    }

    /// When the next request may leave; none when one may leave at `now`. `slowdown_permille` slows the rate down, and
    /// `margin_ms` is added for requests that do not take equally long to arrive.
    pub(super) fn free_at(&self, now: UnixMillis, slowdown: Slowdown, margin_ms: i64) -> Option<UnixMillis> {
        let count = self.rate.limit().count() as usize;
        let oldest = self.departures.len().checked_sub(count)?;
        let (_, departed_at) = self.departures.get(oldest)?;
        Some(departed_at.plus_ms(slowdown.of(self.rate.limit().period_ms()).saturating_add(margin_ms)))
            .filter(|timestamp| *timestamp > now)
    }

    /// Departures that still count at `now`.
    pub(super) fn used(&self, now: UnixMillis) -> u32 {
        let since = now.plus_ms(-self.rate.limit().period_ms());
        let used = self.departures.iter().rev().take_while(|(_, at)| *at > since).count();
        u32::try_from(used).unwrap_or(u32::MAX)
    }

    /// When each departure leaves a window of so many milliseconds, soonest first.
    pub(super) fn leaving(&self, period_ms: i64) -> Vec<UnixMillis> {
        self.departures.iter().map(|(_, at)| at.plus_ms(period_ms)).collect()
    }

    /// A request leaves, or left.
    pub(super) fn put(&mut self, key: i64, at: UnixMillis) {
        self.departures.push_back((key, at));
        self.sort_last();
        while self.departures.len() > self.rate.limit().count() as usize {
            self.departures.pop_front();
        }
    }

    /// It left later than was thought, and has another key from now on.
    pub(super) fn moved(&mut self, key: i64, new_key: i64, at: UnixMillis) {
        self.take_out(key);
        self.put(new_key, at);
    }

    /// It never left.
    pub(super) fn take_out(&mut self, key: i64) {
        if let Some(place) = self.departures.iter().rposition(|(own, _)| *own == key) {
            self.departures.remove(place);
        }
    }

    fn sort_last(&mut self) {
        let mut place = self.departures.len() - 1;
        while place > 0 && self.departures[place - 1].1 > self.departures[place].1 {
            self.departures.swap(place - 1, place);
            place -= 1;
        }
    }
}

/// How much slower than its rate a lane goes, in thousandths of the rate's interval: 1000 is the rate itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slowdown(pub(super) i64);

impl Slowdown {
    pub(super) const NONE: Self = Self(1000);

    fn of(self, period_ms: i64) -> i64 {
        if self == Self::NONE { period_ms } else { period_ms.saturating_mul(self.0) / 1000 }
    }
}

/// Nanoseconds since the gate was opened, as governor counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Elapsed(Duration);

impl Add<Nanos> for Elapsed {
    type Output = Self;

    fn add(self, nanos: Nanos) -> Self {
        Self(self.0 + Duration::from(nanos))
    }
}

impl Reference for Elapsed {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_sub(earlier.0).into()
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(self.0.saturating_sub(duration.into()))
    }
}

/// A clock that shows what it was set to.
#[derive(Clone, Debug, Default)]
struct ManualClock(Arc<AtomicU64>);

impl GovernorClock for ManualClock {
    type Instant = Elapsed;

    fn now(&self) -> Elapsed {
        Elapsed(Duration::from_millis(self.0.load(Ordering::Relaxed)))
    }
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, ManualClock, NoOpMiddleware<Elapsed>>;

/// Spreads a lane's requests evenly; none for rates whose window does so by itself, or that may go at once.
pub(super) struct Smoother {
    clock: ManualClock,
    opened_at: UnixMillis,
    rate: Rate,
    slowdown: Slowdown,
    limiter: Limiter,
}

impl Smoother {
    /// The spread of the slowest of these rates that is to be kept evenly.
    pub(super) fn of(rates: &[Rate], now: UnixMillis) -> Option<Self> {
        let evenly = rates.iter().filter(|rate| rate.burst() < rate.limit().count());
        let rate = *evenly.max_by_key(|rate| rate.limit().interval())?;
        let clock = ManualClock::default();
        let limiter = limiter(rate, Slowdown::NONE, &clock);
        Some(Self { clock, opened_at: now, rate, slowdown: Slowdown::NONE, limiter })
    }

    /// Takes a turn at `now`, or says when the next one is.
    pub(super) fn take(&mut self, now: UnixMillis, slowdown: Slowdown) -> Result<(), UnixMillis> {
        let elapsed_ms = u64::try_from(now.since_ms(self.opened_at)).unwrap_or(0);
        self.clock.0.store(elapsed_ms, Ordering::Relaxed);
        if slowdown != self.slowdown {
            self.slowdown = slowdown;
            self.limiter = limiter(self.rate, slowdown, &self.clock);
        }
        self.limiter.check().map_err(|early| {
            let wait = early.wait_time_from(self.clock.now());
            // up to the next tick: an early timer would ask in vain
            now.plus_ms(i64::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(i64::MAX).max(1))
        })
    }
}

fn limiter(rate: Rate, slowdown: Slowdown, clock: &ManualClock) -> Limiter {
    let permille = u32::try_from(slowdown.0).unwrap_or(u32::MAX);
    let interval = (rate.limit().interval() * permille / 1000).max(Duration::from_nanos(1));
    let by_tick = u32::try_from(TICK.as_nanos() / interval.as_nanos()).unwrap_or(u32::MAX).saturating_add(2);
    let burst = rate.burst().max(SPREAD_BURST_MIN).max(by_tick);
    let quota = Quota::with_period(interval)
        .unwrap_or_else(|| Quota::per_second(NonZeroU32::MIN))
        .allow_burst(NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN));
    RateLimiter::direct_with_clock(quota, clock.clone())
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
        assert_eq!(window.free_at(T0.plus_ms(30), Slowdown::NONE, 5), Some(T0.plus_ms(1_005)));
        window.moved(1, 11, T0.plus_ms(15));
        assert_eq!(window.free_at(T0.plus_ms(30), Slowdown::NONE, 5), Some(T0.plus_ms(1_015)));
        assert_eq!(window.used(T0.plus_ms(1_012)), 2);
        window.take_out(3);
        assert_eq!(window.free_at(T0.plus_ms(30), Slowdown::NONE, 5), None);
        assert_eq!(window.free_at(T0.plus_ms(30), Slowdown(2000), 5), None);
    }

    #[test]
    fn a_spread_is_even_in_the_long_run_and_forgives_being_late() {
        let mut smoother = Smoother::of(&["50/s".parse().unwrap()], T0).unwrap();
        let mut now = T0;
        let mut taken = 0;
        while now.since_ms(T0) < 10_000 {
            // always three milliseconds late
            match smoother.take(now, Slowdown::NONE) {
                Ok(()) => taken += 1,
                Err(at) => now = at.plus_ms(3),
            }
        }
        assert!((498..=503).contains(&taken), "{taken} in ten seconds at 50/s");
        assert!(Smoother::of(&["1/min".parse().unwrap(), "60/min:burst".parse().unwrap()], T0).is_none());
    }
}

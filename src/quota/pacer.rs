//! Even spacing of one lane: governor's arithmetic on our clock. Never `until_ready`: that sleeps on real time.

use std::{num::NonZeroU32, ops::Add, sync::Mutex, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::{Clock as GovernorClock, Reference},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed},
};

use super::lock;
use crate::{clock::Clock, item::UnixMillis, limit::Limit};

/// The spacing is longer than the limit asks by this share of it…
const MARGIN_SHARE: u32 = 20;
/// …but by no more than this: requests do not take equally long to arrive.
const MARGIN_MAX: Duration = Duration::from_millis(250);
/// Timers tick in milliseconds; faster lanes need a burst to keep their rate.
const TICK: Duration = Duration::from_millis(3);

/// Nanoseconds since our clock was made, as governor counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Elapsed(Duration);

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

#[derive(Clone, Debug)]
struct OurClock(Clock);

impl GovernorClock for OurClock {
    type Instant = Elapsed;

    fn now(&self) -> Elapsed {
        Elapsed(self.0.elapsed())
    }
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, OurClock, NoOpMiddleware<Elapsed>>;

pub(super) struct Pacer {
    clock: OurClock,
    quota: Quota,
    interval: Duration,
    state: Mutex<State>,
    /// First come, first served; governor alone lets anybody in.
    turn: tokio::sync::Mutex<()>,
}

struct State {
    limiter: Limiter,
    /// The two latest turns, on the clock's own count; negative before it was made.
    before_last_at_ms: Option<i64>,
    last_at_ms: Option<i64>,
    /// No turn before this, whatever the limiter says.
    not_before_ms: i64,
}

impl Pacer {
    pub(super) fn new(clock: Clock, rate: Limit, last_at: Option<UnixMillis>) -> Self {
        let interval = spacing(rate);
        let burst = NonZeroU32::new(burst(interval)).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(interval)
            .unwrap_or_else(|| Quota::per_second(NonZeroU32::MIN))
            .allow_burst(burst);
        let last_at_ms = last_at.map(|moment| moment.since_ms(clock.now()) + millis(clock.elapsed()));
        let clock = OurClock(clock);
        let state = State {
            limiter: RateLimiter::direct_with_clock(quota, clock.clone()),
            before_last_at_ms: None,
            last_at_ms,
            not_before_ms: last_at_ms.map_or(0, |at_ms| at_ms + millis(interval)),
        };
        Self { clock, quota, interval, state: Mutex::new(state), turn: tokio::sync::Mutex::new(()) }
    }

    /// Waits until the next turn and takes it; says when, on the clock's own count.
    pub(super) async fn ready(&self, clock: &Clock) -> Duration {
        let _turn = self.turn.lock().await;
        loop {
            match self.try_take() {
                Ok(taken_at) => return taken_at,
                Err(wait) => clock.sleep(wait).await,
            }
        }
    }

    fn try_take(&self) -> Result<Duration, Duration> {
        let mut state = lock(&self.state);
        let now = self.clock.now();
        let early_ms = state.not_before_ms - millis(now.0);
        if early_ms > 0 {
            return Err(Duration::from_millis(early_ms.unsigned_abs()));
        }
        state.limiter.check().map_err(|early| early.wait_time_from(now))?;
        state.before_last_at_ms = state.last_at_ms.replace(millis(now.0));
        Ok(now.0)
    }

    /// Gives a turn back that led to no request, if none was taken since. A lane that bursts gives none back: a fresh
    /// limiter would hand out the whole burst anew, and a turn is not worth waiting for there.
    pub(super) fn forgive(&self, taken_at: Duration) {
        let mut state = lock(&self.state);
        if burst(self.interval) > 1 || state.last_at_ms != Some(millis(taken_at)) {
            return;
        }
        state.limiter = RateLimiter::direct_with_clock(self.quota, self.clock.clone());
        state.last_at_ms = state.before_last_at_ms.take();
        state.not_before_ms = state.last_at_ms.map_or(0, |at_ms| at_ms + millis(self.interval));
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// The interval of a rate, with the margin.
fn spacing(rate: Limit) -> Duration {
    let interval = rate.interval();
    interval + (interval / MARGIN_SHARE).min(MARGIN_MAX)
}

fn burst(interval: Duration) -> u32 {
    let slots = TICK.as_nanos() / interval.as_nanos().max(1);
    if slots == 0 { 1 } else { u32::try_from(slots).unwrap_or(u32::MAX).saturating_add(2) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spacing_keeps_a_margin_and_slow_lanes_never_burst() {
        let rate = |text: &str| text.parse::<Limit>().unwrap();
        assert_eq!(spacing(rate("1/min")), Duration::from_millis(60_250));
        assert_eq!(spacing(rate("10/s")), Duration::from_millis(105));
        assert_eq!(burst(spacing(rate("1/min"))), 1);
        assert_eq!(burst(spacing(rate("100/s"))), 1);
        assert!(burst(spacing(rate("5000/s"))) >= 14);
    }
}

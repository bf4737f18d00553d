//! Even spacing of one lane: governor's arithmetic on our clock. Never `until_ready`: that sleeps on real time.

use std::{num::NonZeroU32, ops::Add, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::{Clock as GovernorClock, Reference},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed},
};

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

pub(super) struct Pacer {
    limiter: RateLimiter<NotKeyed, InMemoryState, OurClock, NoOpMiddleware<Elapsed>>,
    clock: OurClock,
    not_before: Option<UnixMillis>,
    /// First come, first served; governor alone lets anybody in.
    turn: tokio::sync::Mutex<()>,
}

impl Pacer {
    pub(super) fn new(clock: Clock, rate: Limit, last_at: Option<UnixMillis>) -> Self {
        let interval = spacing(rate);
        let burst = NonZeroU32::new(burst(interval)).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(interval)
            .unwrap_or_else(|| Quota::per_second(NonZeroU32::MIN))
            .allow_burst(burst);
        let clock = OurClock(clock);
        Self {
            limiter: RateLimiter::direct_with_clock(quota, clock.clone()),
            clock,
            not_before: last_at.map(|moment| moment.plus(interval)),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    /// Waits until the next slot and takes it.
    pub(super) async fn ready(&self, clock: &Clock) {
        let _turn = self.turn.lock().await;
        if let Some(moment) = self.not_before {
            clock.sleep_until(moment).await;
        }
        while let Err(early) = self.limiter.check() {
            clock.sleep(early.wait_time_from(self.clock.now())).await;
        }
    }
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

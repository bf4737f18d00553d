//! The service's side of a quota: it counts what arrives, or what it accepted, and refuses what is too much.

use std::{num::NonZeroU32, ops::RangeInclusive, time::Duration};

use governor::{Quota, RateLimiter, clock::FakeRelativeClock};
use telecine::{
    domain::{Limit, UnixMillis},
    quota::PreciseTime,
    sandbox::{CapCounts, CapMeter, Limiter, RateMeter},
};

/// How a service counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Arrivals, in any trailing span.
    SlidingLog,
    /// Arrivals, by their distance in whole milliseconds.
    Spacing,
    /// Arrivals, by their distance in nanoseconds: GCRA with a burst of one, as the crate `governor` has it.
    Gcra,
    /// Arrivals, by nginx's `limit_req` without a burst: a bucket that leaks in whole milliseconds.
    Nginx,
    /// Arrivals, in each minute of the clock.
    FixedMinute,
    /// Arrivals for the rate; for the cap acceptances, at any time between arrival and answer.
    Acceptances,
}

impl Kind {
    /// Those of which a whole count is allowed in each period.
    pub(crate) const COUNTED: [Self; 4] =
        [Self::SlidingLog, Self::Spacing, Self::FixedMinute, Self::Acceptances];

    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::SlidingLog => "arrivals, sliding log",
            Self::Spacing => "arrivals, distance",
            Self::Gcra => "arrivals, GCRA burst 1",
            Self::Nginx => "arrivals, nginx",
            Self::FixedMinute => "arrivals, fixed minute",
            Self::Acceptances => "acceptances",
        }
    }
}

/// A request on its way through the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// When it was accepted; none when it was refused.
    pub(crate) accepted_at: Option<UnixMillis>,
    /// When its answer is sent.
    pub(crate) served_at: UnixMillis,
}

/// What counts the arrivals.
enum Meter {
    Sandbox(RateMeter),
    Governor { limiter: Box<Governor>, clock: FakeRelativeClock, at: PreciseTime },
    Nginx { rate: i64, excess: i64, last_ms: i64 },
}

type Governor = RateLimiter<
    governor::state::NotKeyed,
    governor::state::InMemoryState,
    FakeRelativeClock,
    governor::middleware::NoOpMiddleware<<FakeRelativeClock as governor::clock::Clock>::Instant>,
>;

impl Meter {
    fn new(kind: Kind, rate: Limit) -> Self {
        let minute = |count: i64| Limit::per_ms(u32::try_from(count).unwrap_or(u32::MAX), 60_000);
        let per_minute = i64::from(rate.count()) * 60_000 / rate.period_ms();
        match kind {
            Kind::SlidingLog | Kind::Acceptances => Self::Sandbox(RateMeter::new(rate, Limiter::Sliding)),
            Kind::Spacing => Self::Sandbox(RateMeter::new(rate, Limiter::Spacing)),
            Kind::FixedMinute => {
                Self::Sandbox(RateMeter::new(minute(per_minute.max(1)).unwrap_or(rate), Limiter::Fixed))
            }
            Kind::Gcra => {
                let clock = FakeRelativeClock::default();
                let period = Duration::from_millis(rate.period_ms().unsigned_abs()) / rate.count();
                let quota = Quota::with_period(period).unwrap_or(Quota::per_second(NonZeroU32::MIN));
                let limiter =
                    RateLimiter::direct_with_clock(quota.allow_burst(NonZeroU32::MIN), clock.clone());
                Self::Governor { limiter: Box::new(limiter), clock, at: PreciseTime(0) }
            }
            Kind::Nginx => Self::Nginx {
                rate: i64::from(rate.count()) * 1_000_000 / rate.period_ms(),
                excess: 0,
                last_ms: i64::MIN / 1_000_000_000,
            },
        }
    }

    fn admits(&mut self, now: PreciseTime) -> bool {
        match self {
            Self::Sandbox(meter) => meter.admits(now.millis()),
            Self::Governor { limiter, clock, at } => {
                clock.advance(now.after(*at));
                *at = now;
                limiter.check().is_ok()
            }
            Self::Nginx { rate, excess, last_ms } => {
                let now_ms = now.millis().0;
                let passed_ms = (now_ms - *last_ms).min(1_000_000_000);
                let after = (*excess - *rate * passed_ms / 1_000 + 1_000).max(0);
                let is_open = after <= 0;
                if is_open {
                    (*excess, *last_ms) = (after, now_ms);
                }
                is_open
            }
        }
    }
}

/// One account at the service.
pub(crate) struct Server {
    kind: Kind,
    rate: Meter,
    cap: Option<CapMeter>,
    reply_ms: RangeInclusive<i64>,
    accepted: Vec<(UnixMillis, UnixMillis)>,
    pub(crate) refusals: u64,
}

impl Server {
    /// A service that lets `rate` arrive and accepts at most `cap`.
    pub(crate) fn new(kind: Kind, rate: Limit, cap: Option<Limit>, reply_ms: RangeInclusive<i64>) -> Self {
        Self {
            kind,
            rate: Meter::new(kind, rate),
            cap: cap.map(|cap| CapMeter::new(cap, CapCounts::Accepted)),
            reply_ms,
            accepted: Vec::new(),
            refusals: 0,
        }
    }

    /// From now on another cap holds; what was accepted counts in it.
    pub(crate) fn set_cap(&mut self, cap: Option<Limit>) {
        self.cap = cap.map(|cap| CapMeter::new(cap, CapCounts::Accepted));
        if let Some(cap) = &mut self.cap {
            for (accepted_at, indexed_at) in &self.accepted {
                cap.take(*accepted_at, *indexed_at);
            }
        }
    }

    /// Another tool uploads with the same account.
    pub(crate) fn take_foreign(&mut self, at: UnixMillis) {
        if let Some(cap) = &mut self.cap {
            cap.take(at, at);
        }
        self.accepted.push((at, at));
    }

    /// A request arrives.
    pub(crate) fn arrive(&mut self, now: PreciseTime, rng: &mut fastrand::Rng) -> Taken {
        let at = now.millis();
        let is_open = self.cap.as_mut().is_none_or(|cap| cap.is_open(at)) && self.rate.admits(now);
        if !is_open {
            self.refusals += 1;
            return Taken { accepted_at: None, served_at: at.plus_ms(5) };
        }
        let reply_ms = rng.i64(self.reply_ms.clone());
        let accepted_at = match self.kind {
            Kind::SlidingLog | Kind::Spacing | Kind::Gcra | Kind::Nginx | Kind::FixedMinute => at,
            Kind::Acceptances => at.plus_ms(rng.i64(0..=reply_ms)),
        };
        if let Some(cap) = &mut self.cap {
            cap.take(accepted_at, accepted_at);
        }
        self.accepted.push((accepted_at, accepted_at));
        Taken { accepted_at: Some(accepted_at), served_at: at.plus_ms(reply_ms) }
    }
}

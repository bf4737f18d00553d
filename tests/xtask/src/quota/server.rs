//! The service's side of a quota: it counts what arrives, or what it accepted, and refuses what is too much.

use std::ops::RangeInclusive;

use telecine::{
    domain::{Limit, UnixMillis},
    sandbox::{CapCounts, CapMeter, Limiter, RateMeter},
};

/// How a service counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Arrivals, in any trailing span.
    SlidingLog,
    /// Arrivals, by their distance: GCRA with a burst of one.
    Spacing,
    /// Arrivals, in each minute of the clock.
    FixedMinute,
    /// Arrivals for the rate; for the cap acceptances, at any time between arrival and answer.
    Acceptances,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::SlidingLog, Self::Spacing, Self::FixedMinute, Self::Acceptances];

    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::SlidingLog => "arrivals, sliding log",
            Self::Spacing => "arrivals, GCRA burst 1",
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

/// One account at the service.
pub(crate) struct Server {
    kind: Kind,
    rate: RateMeter,
    cap: Option<CapMeter>,
    reply_ms: RangeInclusive<i64>,
    accepted: Vec<(UnixMillis, UnixMillis)>,
    pub(crate) refusals: u64,
}

impl Server {
    /// A service that lets `rate` arrive and accepts at most `cap`.
    pub(crate) fn new(kind: Kind, rate: Limit, cap: Option<Limit>, reply_ms: RangeInclusive<i64>) -> Self {
        let minute = |count: i64| Limit::per_ms(u32::try_from(count).unwrap_or(u32::MAX), 60_000);
        let per_minute = i64::from(rate.count()) * 60_000 / rate.period_ms();
        let (limit, limiter) = match kind {
            Kind::SlidingLog | Kind::Acceptances => (rate, Limiter::Sliding),
            Kind::Spacing => (rate, Limiter::Spacing),
            Kind::FixedMinute => (minute(per_minute.max(1)).unwrap_or(rate), Limiter::Fixed),
        };
        Self {
            kind,
            rate: RateMeter::new(limit, limiter),
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
    pub(crate) fn arrive(&mut self, at: UnixMillis, rng: &mut fastrand::Rng) -> Taken {
        let is_open = self.cap.as_mut().is_none_or(|cap| cap.is_open(at)) && self.rate.admits(at);
        if !is_open {
            self.refusals += 1;
            return Taken { accepted_at: None, served_at: at.plus_ms(5) };
        }
        let reply_ms = rng.i64(self.reply_ms.clone());
        let accepted_at = match self.kind {
            Kind::SlidingLog | Kind::Spacing | Kind::FixedMinute => at,
            Kind::Acceptances => at.plus_ms(rng.i64(0..=reply_ms)),
        };
        if let Some(cap) = &mut self.cap {
            cap.take(accepted_at, accepted_at);
        }
        self.accepted.push((accepted_at, accepted_at));
        Taken { accepted_at: Some(accepted_at), served_at: at.plus_ms(reply_ms) }
    }
}

//! How a service counts: rates by the arrival of requests, caps by accepted uploads. Pure: the caller passes the time.

use std::collections::{BTreeMap, VecDeque};

use crate::domain::{Limit, UnixMillis};

/// How a service counts a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limiter {
    /// At most this many arrivals in any trailing span.
    Sliding,
    /// A minimum distance between arrivals: GCRA with a burst of one.
    Spacing,
    /// At most this many arrivals in each span counted from midnight, such as each minute of the clock.
    Fixed,
}

/// What a service's cap counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapCounts {
    /// Uploads accepted in the trailing span.
    Accepted,
    /// Uploads accepted in the trailing span that are still being indexed.
    Indexing,
}

/// A rate as a service counts it.
#[derive(Clone, Debug)]
pub struct RateMeter {
    limit: Limit,
    limiter: Limiter,
    arrivals: VecDeque<UnixMillis>,
}

impl RateMeter {
    /// Nothing has arrived yet.
    #[must_use]
    pub fn new(limit: Limit, limiter: Limiter) -> Self {
        Self { limit, limiter, arrivals: VecDeque::new() }
    }

    /// Whether a request that arrives at `now` is let in; it counts if so.
    pub fn admits(&mut self, now: UnixMillis) -> bool {
        let is_open = self.is_open(now);
        if is_open {
            self.arrivals.push_back(now);
        }
        is_open
    }

    fn is_open(&mut self, now: UnixMillis) -> bool {
        let since = match self.limiter {
            Limiter::Sliding => now.plus_ms(-self.limit.period_ms()),
            Limiter::Spacing => {
                let interval =
                    i64::try_from(self.limit.interval().as_micros().div_ceil(1000)).unwrap_or(i64::MAX);
                return self.arrivals.back().is_none_or(|last| now.since_ms(*last) >= interval);
            }
            Limiter::Fixed => UnixMillis(now.0 - now.0.rem_euclid(self.limit.period_ms()) - 1),
        };
        while self.arrivals.front().is_some_and(|timestamp| *timestamp <= since) {
            self.arrivals.pop_front();
        }
        self.arrivals.len() < self.limit.count() as usize
    }
}

/// A cap as a service counts it: a request takes a place when it is let in, and keeps it until the span after its
/// acceptance is over, or it is indexed.
#[derive(Clone, Debug)]
pub struct CapMeter {
    limit: Limit,
    counts: CapCounts,
    /// How many leave the cap at each time.
    leaves: BTreeMap<UnixMillis, u32>,
    used: u32,
}

impl CapMeter {
    /// Nothing is accepted yet.
    #[must_use]
    pub const fn new(limit: Limit, counts: CapCounts) -> Self {
        Self { limit, counts, leaves: BTreeMap::new(), used: 0 }
    }

    /// Whether there is a place at `now`.
    pub fn is_open(&mut self, now: UnixMillis) -> bool {
        while let Some(first) = self.leaves.first_entry() {
            if *first.key() > now {
                break;
            }
            self.used -= first.remove();
        }
        self.used < self.limit.count()
    }

    /// Takes a place for a request that is accepted at `accepted_at` and indexed at `indexed_at`.
    pub fn take(&mut self, accepted_at: UnixMillis, indexed_at: UnixMillis) {
        let by_span = accepted_at.plus_ms(self.limit.period_ms());
        let leaves_at = match self.counts {
            CapCounts::Accepted => by_span,
            CapCounts::Indexing => by_span.min(indexed_at),
        };
        *self.leaves.entry(leaves_at).or_default() += 1;
        self.used += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: UnixMillis = UnixMillis(1_700_000_000_000);

    fn admitted(limiter: Limiter, arrivals_ms: &[i64]) -> Vec<bool> {
        let mut meter = RateMeter::new("2/s".parse().unwrap(), limiter);
        arrivals_ms.iter().map(|at| meter.admits(T0.plus_ms(*at))).collect()
    }

    #[test]
    fn each_limiter_counts_in_its_own_way() {
        let arrivals = [800, 900, 1_000, 1_500, 1_801];
        assert_eq!(admitted(Limiter::Sliding, &arrivals), [true, true, false, false, true]);
        assert_eq!(admitted(Limiter::Spacing, &arrivals), [true, false, false, true, false]);
        assert_eq!(admitted(Limiter::Fixed, &arrivals), [true, true, true, true, false]);
    }

    #[test]
    fn a_cap_is_full_from_the_admission_until_the_span_after_the_acceptance() {
        let mut cap = CapMeter::new("1/1h".parse().unwrap(), CapCounts::Accepted);
        assert!(cap.is_open(T0));
        cap.take(T0.plus_ms(15_000), T0.plus_ms(60_000));
        assert!(!cap.is_open(T0.plus_ms(3_614_999)));
        assert!(cap.is_open(T0.plus_ms(3_615_000)));
        let mut cap = CapMeter::new("1/1h".parse().unwrap(), CapCounts::Indexing);
        cap.take(T0.plus_ms(15_000), T0.plus_ms(60_000));
        assert!(!cap.is_open(T0.plus_ms(59_999)));
        assert!(cap.is_open(T0.plus_ms(60_000)));
    }
}

//! How often one endpoint, or all of them together, may be called: the windows that keep the rates, and the smoother that
//! spreads the departures inside them.

use std::time::Duration;

use super::{
    PreciseTime,
    jitter::Jitter,
    rate_window::{RateWindow, Slowdown},
    smoother::Smoother,
};
use crate::domain::{Rate, UnixMillis};

/// A request that does not leave this long after it may is taken for lost.
const READY_MAX: Duration = Duration::from_secs(10);

/// What a request has to keep beside the rates themselves.
#[derive(Clone, Copy)]
pub(super) struct Margins {
    /// How much slower than configured to go, after refusals.
    pub(super) slowdown: Slowdown,
    /// How much network delays vary.
    pub(super) jitter: Jitter,
    /// The granularity of our timers, in milliseconds.
    pub(super) tick_ms: i64,
}

impl Margins {
    fn of_window(self, window: &RateWindow) -> i64 {
        self.jitter.margin_ms(window.rate().limit().period_ms(), self.tick_ms)
    }

    /// The interval between two departures for rates that allow one per `interval`.
    fn spaced(self, interval: Duration) -> Duration {
        let us = i64::try_from(interval.as_micros()).unwrap_or(i64::MAX);
        let us = self.slowdown.of(us).saturating_add(self.jitter.spacing_margin_us(us, self.tick_ms));
        Duration::from_micros(u64::try_from(us).unwrap_or(u64::MAX))
    }
}

/// The rates of one endpoint, or of all.
pub(super) struct Pacing {
    windows: Vec<RateWindow>,
    smoother: Option<Smoother>,
    /// Requests that have a slot and have not left yet, with the time from which they may leave.
    ready: Vec<(i64, PreciseTime)>,
}

impl Pacing {
    pub(super) fn new(rates: &[Rate]) -> Self {
        Self {
            windows: rates.iter().copied().map(RateWindow::new).collect(),
            smoother: Smoother::of(rates),
            ready: Vec::new(),
        }
    }

    /// The interval of the slowest rate.
    pub(super) fn interval(&self) -> Duration {
        self.windows.iter().map(|window| window.rate().limit().interval()).max().unwrap_or_default()
    }

    /// Whether departures are spread evenly.
    pub(super) const fn is_spread(&self) -> bool {
        self.smoother.is_some()
    }

    /// When the next request can leave, behind those that have a slot already.
    pub(super) fn next_at(&mut self, now: PreciseTime, margins: Margins) -> PreciseTime {
        // a request that never said that it leaves must not hold up the others
        self.ready.retain(|(_, from)| from.plus(READY_MAX) > now);
        let ahead: Vec<UnixMillis> = self.ready.iter().map(|(_, at)| at.max(&now).millis_up()).collect();
        self.earliest(now, &ahead, margins)
    }

    /// When a request may leave behind others that will leave at the times `ahead`.
    fn earliest(&mut self, now: PreciseTime, ahead: &[UnixMillis], margins: Margins) -> PreciseTime {
        let free_at = |window: &RateWindow| {
            window.free_at(now.millis(), ahead, margins.slowdown, margins.of_window(window))
        };
        let free_at = self.windows.iter().filter_map(free_at).max();
        let mut at = free_at.map_or(now, PreciseTime::from);
        if let Some(smoother) = &mut self.smoother {
            smoother.set_interval(margins.spaced(smoother.base_interval()));
            at = at.max(smoother.next_at(now, u32::try_from(ahead.len()).unwrap_or(u32::MAX)));
        }
        at
    }

    /// A request takes a slot, and will leave at `at` or later.
    pub(super) fn reserve(&mut self, slot: i64, at: PreciseTime) {
        self.ready.push((slot, at));
    }

    /// A request will not leave: its slot is free again.
    pub(super) fn release(&mut self, key: i64) {
        self.ready.retain(|(slot, _)| *slot != key);
        for window in &mut self.windows {
            window.take_out(key);
        }
    }

    /// The time until which a request with a slot has to wait. `None`: it may leave at `now`. Of several that are ready the
    /// first to ask leaves first.
    pub(super) fn must_wait_until(&mut self, now: PreciseTime, margins: Margins) -> Option<PreciseTime> {
        let at = self.earliest(now, &[], margins);
        (at > now).then_some(at)
    }

    /// A request with a slot leaves now, as request `key`.
    pub(super) fn depart(&mut self, slot: i64, key: i64, now: PreciseTime) {
        self.ready.retain(|(ready, _)| *ready != slot);
        for window in &mut self.windows {
            window.put(key, now.millis_up());
        }
        if let Some(smoother) = &mut self.smoother {
            smoother.depart(now);
        }
    }

    /// A request that left earlier is whole now. The service may count it from now on.
    pub(super) fn end(&mut self, key: i64, now: PreciseTime) {
        for window in &mut self.windows {
            window.put_once(key, now.millis_up());
        }
        if let Some(smoother) = &mut self.smoother {
            smoother.use_up(now);
        }
    }

    /// A request left at `at` in an earlier run.
    pub(super) fn replay(&mut self, key: i64, at: UnixMillis) {
        for window in &mut self.windows {
            window.put(key, at);
        }
        if let Some(smoother) = &mut self.smoother {
            smoother.use_up(at.into());
        }
    }

    /// Counts what another pacing of the same endpoint knows: requests with a slot, uploads by their number, and departures
    /// after `since`. What both know is counted once where it has a number, and otherwise twice.
    pub(super) fn take_over(&mut self, earlier: Self, since: UnixMillis) {
        let departures = earlier.windows.iter().flat_map(RateWindow::departures);
        for (key, at) in departures.filter(|(key, at)| *key > 0 || *at > since) {
            for window in &mut self.windows {
                window.put_once(key, at);
            }
        }
        if let (Some(smoother), Some(earlier)) = (&mut self.smoother, &earlier.smoother) {
            smoother.use_up(earlier.last());
        }
        for (slot, at) in earlier.ready {
            self.release(slot);
            self.reserve(slot, at);
        }
    }

    /// Every rate, with the departures that it counts at `now`.
    pub(super) fn in_use(&self, now: UnixMillis) -> Vec<(Rate, u32)> {
        self.windows.iter().map(|window| (window.rate(), window.used(now))).collect()
    }

    /// For every rate how many in how many milliseconds, margins included, and when those that it counts leave it.
    pub(super) fn spans(&self, margins: Margins) -> Vec<(u32, i64, Vec<UnixMillis>)> {
        let of = |window: &RateWindow| {
            let limit = window.rate().limit();
            let period_ms = margins.slowdown.of(limit.period_ms()) + margins.of_window(window);
            (limit.count(), period_ms, window.leaving(period_ms))
        };
        self.windows.iter().map(of).collect()
    }

    /// The interval between two departures, margins included. `None`: a rate's whole count may leave at once.
    pub(super) fn spacing(&self, margins: Margins) -> Option<Duration> {
        self.smoother.as_ref().map(|smoother| margins.spaced(smoother.base_interval()))
    }
}

//! Sliding windows of one endpoint: which requests count at the service, until when, and when the next slot is free.
//!
//! A request counts from its departure. It leaves a window of length W exactly W after the latest time at which the
//! service may have accepted it. That is the time of its answer, or the end of the time in which it may still be
//! accepted. So no window at the service exceeds the limit, whichever time between departure and answer it counts by.

use std::collections::{BTreeSet, HashMap};

use crate::domain::{Counting, UnixMillis};

/// Two clocks may drift apart by one part in this many. Windows are kept longer by it.
const CLOCK_DRIFT_SHARE: i64 = 10_000;
/// The least extension of a window, in milliseconds, for the granularity of both clocks.
const WINDOW_MARGIN_MS_MIN: i64 = 50;

/// What one request weighs in the windows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spent {
    /// The latest time at which the service may have accepted it.
    pub(super) until: UnixMillis,
    /// Whether it was certainly accepted.
    pub(super) certainty: Acceptance,
}

/// Whether a request counts for sure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acceptance {
    /// The service said so.
    Accepted,
    /// It may have been taken.
    Open,
}

/// Everything spent that some window still counts.
#[derive(Default)]
pub(super) struct UsageLog {
    spent: HashMap<i64, Spent>,
    windows: Vec<CapWindow>,
}

struct CapWindow {
    period_ms: i64,
    counting: Counting,
    entries: BTreeSet<(UnixMillis, i64)>,
}

/// A window of a [`UsageLog`], by its place.
pub(super) type WindowIndex = usize;

impl UsageLog {
    /// Adds a window, empty as yet.
    pub(super) fn add_window(&mut self, period_ms: i64, counting: Counting) -> WindowIndex {
        let period_ms = period_ms.saturating_add((period_ms / CLOCK_DRIFT_SHARE).max(WINDOW_MARGIN_MS_MIN));
        self.windows.push(CapWindow { period_ms, counting, entries: BTreeSet::new() });
        self.windows.len() - 1
    }

    /// Counts a request, or replaces its earlier count.
    pub(super) fn put(&mut self, key: i64, spent: Spent) {
        self.take_out(key);
        let until = counted_until(&spent);
        for window in &mut self.windows {
            window.entries.insert((until, key));
        }
        self.spent.insert(key, Spent { until, ..spent });
    }

    /// It was accepted no later than at `at`.
    pub(super) fn accepted_by(&mut self, key: i64, at: UnixMillis) {
        if let Some(known) = self.spent.get(&key).copied() {
            let until = known.until.min(at);
            // an item that was indexed meanwhile has left the windows of those being indexed, and stays out
            for window in &mut self.windows {
                if window.entries.remove(&(known.until, key)) {
                    window.entries.insert((until, key));
                }
            }
            self.spent.insert(key, Spent { until, certainty: Acceptance::Accepted });
        }
    }

    /// If it was accepted, then no later than at `at`.
    pub(super) fn open_until(&mut self, key: i64, at: UnixMillis) {
        self.accepted_by(key, at);
        if let Some(known) = self.spent.get_mut(&key) {
            known.certainty = Acceptance::Open;
        }
    }

    /// It was not accepted.
    pub(super) fn take_out(&mut self, key: i64) {
        if let Some(known) = self.spent.remove(&key) {
            for window in &mut self.windows {
                window.entries.remove(&(known.until, key));
            }
        }
    }

    /// Counts what another log knows and this one does not: uploads by their number, and those that have a slot without an
    /// end. What both know counts until the earlier time.
    pub(super) fn take_over(&mut self, earlier: &Self, without_end: UnixMillis) {
        for (key, spent) in &earlier.spent {
            let known = self.spent.get(key).map(|known| known.until);
            if known.is_none() && (*key > 0 || spent.until == without_end) {
                self.put(*key, *spent);
            } else if known.is_some_and(|until| spent.until < until) {
                self.open_until(*key, spent.until);
                if spent.certainty == Acceptance::Accepted {
                    self.accepted_by(*key, spent.until);
                }
            }
        }
    }

    /// It is not being indexed any more.
    pub(super) fn indexed(&mut self, key: i64) {
        let Some(known) = self.spent.get(&key) else { return };
        for window in self.windows.iter_mut().filter(|window| window.counting == Counting::Indexing) {
            window.entries.remove(&(known.until, key));
        }
    }

    /// How many a window counts at `now`.
    pub(super) fn used(&mut self, window: WindowIndex, now: UnixMillis) -> u32 {
        self.forget_what_left(now);
        self.windows.get(window).map_or(0, |window| u32::try_from(window.entries.len()).unwrap_or(u32::MAX))
    }

    /// How many of them were certainly accepted.
    pub(super) fn certain(&mut self, window: WindowIndex, now: UnixMillis) -> u32 {
        self.forget_what_left(now);
        let Some(window) = self.windows.get(window) else { return 0 };
        let is_certain =
            |key: &i64| self.spent.get(key).is_some_and(|spent| spent.certainty == Acceptance::Accepted);
        u32::try_from(window.entries.iter().filter(|(_, key)| is_certain(key)).count()).unwrap_or(u32::MAX)
    }

    /// When a window of at most `count` has its next free slot. `None`: now.
    pub(super) fn free_at(&mut self, window: WindowIndex, count: u32, now: UnixMillis) -> Option<UnixMillis> {
        self.forget_what_left(now);
        let window = self.windows.get(window)?;
        let surplus = window.entries.len().checked_sub(count as usize)?;
        window.entries.iter().nth(surplus).map(|(until, _)| until.plus_ms(window.period_ms))
    }

    /// When each entry of a window leaves it, soonest first.
    pub(super) fn leaving(&self, window: WindowIndex) -> Vec<UnixMillis> {
        let leaves = |window: &CapWindow| -> Vec<UnixMillis> {
            window.entries.iter().map(|(until, _)| until.plus_ms(window.period_ms)).collect()
        };
        self.windows.get(window).map(leaves).unwrap_or_default()
    }

    fn forget_what_left(&mut self, now: UnixMillis) {
        let longest = self.windows.iter().map(|window| window.period_ms).max();
        for window in &mut self.windows {
            while let Some(&(until, key)) = window.entries.first() {
                if until.plus_ms(window.period_ms) > now {
                    break;
                }
                window.entries.pop_first();
                if Some(window.period_ms) == longest {
                    self.spent.remove(&key);
                }
            }
        }
    }
}

/// Until when a request counts at least.
fn counted_until(spent: &Spent) -> UnixMillis {
    fail::fail_point!("open_requests_not_counted", spent.certainty == Acceptance::Open, |_| UnixMillis(
        i64::MIN
    ));
    spent.until
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: UnixMillis = UnixMillis(1_700_000_000_000);
    const HOUR_MS: i64 = 3_600_000;

    fn open(until_ms: i64) -> Spent {
        Spent { until: T0.plus_ms(until_ms), certainty: Acceptance::Open }
    }

    #[test]
    fn what_was_answered_leaves_after_its_answer_and_what_was_not_after_all_it_could_do() {
        let mut log = UsageLog::default();
        let window = log.add_window(HOUR_MS, Counting::Uploads);
        log.put(1, open(900_000));
        log.put(2, open(900_000));
        log.accepted_by(2, T0.plus_ms(5_000));
        assert_eq!((log.used(window, T0), log.certain(window, T0)), (2, 1));
        let margin = 360;
        assert_eq!(log.free_at(window, 2, T0), Some(T0.plus_ms(5_000 + HOUR_MS + margin)));
        assert_eq!(log.free_at(window, 1, T0), Some(T0.plus_ms(900_000 + HOUR_MS + margin)));
        assert_eq!(log.free_at(window, 3, T0), None);
        log.take_out(1);
        assert_eq!(log.free_at(window, 2, T0), None);
        assert_eq!(log.used(window, T0.plus_ms(2 * HOUR_MS)), 0);
        assert!(log.spent.is_empty(), "what no window counts is forgotten");
    }

    #[test]
    fn what_is_indexed_leaves_the_windows_of_those_being_indexed_only() {
        let mut log = UsageLog::default();
        let uploads = log.add_window(HOUR_MS, Counting::Uploads);
        let indexing = log.add_window(HOUR_MS, Counting::Indexing);
        log.put(1, open(1_000));
        log.indexed(1);
        assert_eq!((log.used(uploads, T0), log.used(indexing, T0)), (1, 0));
        log.accepted_by(1, T0);
        assert_eq!(log.used(indexing, T0), 0, "an answer that comes late does not bring it back");
    }
}

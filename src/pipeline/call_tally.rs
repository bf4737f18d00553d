//! What the stages know of calls of the service: their counts, when the last one came, and how far polls ease off.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::domain::{CallCounts, UnixMillis};

/// While the service calls, a poll may come this much later than scheduled: a call makes it due at once. When no call came for as
/// long, polls are as scheduled.
const EASED_BY_MAX: Duration = Duration::from_mins(2);
/// A run that waits for indexing eases by no more than this part of its wait.
const EASED_BY_PART: u32 = 4;
/// While the service calls, polls are at least this far apart, so that one request covers the videos of several calls.
const POLLS_APART: Duration = Duration::from_secs(30);

/// Counts of calls, and the time of the last one. Shared by the receiver and the stages.
#[derive(Debug)]
pub struct CallTally {
    received: AtomicU64,
    settled: AtomicU64,
    contradicted: AtomicU64,
    refused: AtomicU64,
    own_callbacks: AtomicU64,
    /// 0: none came.
    called_at: AtomicI64,
    eased_by_ms: AtomicI64,
}

impl Default for CallTally {
    fn default() -> Self {
        Self {
            received: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            contradicted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            own_callbacks: AtomicU64::new(0),
            called_at: AtomicI64::new(0),
            eased_by_ms: AtomicI64::new(millis(EASED_BY_MAX)),
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl CallTally {
    /// The counts so far.
    #[must_use]
    pub fn counts(&self) -> CallCounts {
        CallCounts {
            received: self.received.load(Relaxed),
            settled: self.settled.load(Relaxed),
            contradicted: self.contradicted.load(Relaxed),
            refused: self.refused.load(Relaxed),
            own_callbacks: self.own_callbacks.load(Relaxed),
        }
    }

    /// A request to the receiver was no valid call.
    pub fn note_refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(super) fn note_received(&self, at: UnixMillis) {
        self.received.fetch_add(1, Relaxed);
        self.called_at.fetch_max(at.0, Relaxed);
    }

    pub(super) fn note_contradicted(&self) {
        self.contradicted.fetch_add(1, Relaxed);
    }

    pub(super) fn note_settled(&self) {
        self.settled.fetch_add(1, Relaxed);
    }

    pub(super) fn note_own_callback(&self) {
        self.own_callbacks.fetch_add(1, Relaxed);
    }

    /// Bounds how far polls ease off in a run that waits at most `wait` for indexing. `None`: the run does not wait for indexing.
    pub(super) fn ease_within(&self, wait: Option<Duration>) {
        let eased_by = wait.map_or(EASED_BY_MAX, |wait| EASED_BY_MAX.min(wait / EASED_BY_PART));
        self.eased_by_ms.store(millis(eased_by), Relaxed);
    }

    /// For when to schedule a poll that is to be due at `at`, however far polls ease off.
    pub(super) fn hinted_poll(&self, at: UnixMillis) -> UnixMillis {
        at.plus_ms(-self.eased_by_ms.load(Relaxed))
    }

    /// Polls that are scheduled for this time or earlier are those that the service has called for.
    pub(super) fn called_by(&self, now: UnixMillis) -> UnixMillis {
        if self.called_at.load(Relaxed) == 0 { UnixMillis(0) } else { self.hinted_poll(now) }
    }

    /// When a poll is due that is scheduled for a time, where the last one was at `polled_at`.
    pub(super) fn poll_due_at(&self, scheduled: UnixMillis, polled_at: Option<UnixMillis>) -> UnixMillis {
        let called_at = UnixMillis(self.called_at.load(Relaxed));
        let eased_by_ms = self.eased_by_ms.load(Relaxed);
        if called_at.0 == 0 || eased_by_ms == 0 {
            return scheduled;
        }
        let is_quiet_at = called_at.plus_ms(eased_by_ms);
        let eased = scheduled.plus_ms(eased_by_ms).min(scheduled.max(is_quiet_at));
        match polled_at {
            Some(polled_at) if polled_at < is_quiet_at => eased.max(polled_at.plus(POLLS_APART)),
            Some(_) | None => eased,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: UnixMillis = UnixMillis(1_700_000_000_000);

    #[test]
    fn polls_ease_off_while_calls_come_and_are_as_scheduled_when_they_stop() {
        let tally = CallTally::default();
        let due = |tally: &CallTally, scheduled: i64, polled: Option<i64>| {
            tally.poll_due_at(T0.plus_ms(scheduled), polled.map(|ms| T0.plus_ms(ms))).since_ms(T0)
        };
        assert_eq!(due(&tally, 3_000, Some(2_000)), 3_000, "no call has come");
        tally.note_received(T0);
        assert_eq!(due(&tally, 3_000, None), 120_000, "until the calls count as stopped");
        assert_eq!(due(&tally, 500_000, None), 500_000, "they have stopped before");
        tally.note_received(T0.plus_ms(100_000));
        assert_eq!(due(&tally, 3_000, None), 123_000, "no poll is later than eased");
        let hinted = tally.hinted_poll(T0.plus_ms(100_000)).since_ms(T0);
        assert_eq!(due(&tally, hinted, None), 100_000, "a call makes a poll due at once");
        assert_eq!(due(&tally, hinted, Some(98_000)), 128_000, "one poll covers several calls");
        assert_eq!(due(&tally, 260_000, Some(250_000)), 260_000);
    }

    #[test]
    fn a_short_wait_for_indexing_is_not_used_up_by_easing_off() {
        let tally = CallTally::default();
        tally.ease_within(Some(Duration::from_secs(40)));
        tally.note_received(T0);
        assert_eq!(tally.poll_due_at(T0.plus_ms(3_000), None).since_ms(T0), 10_000);
        tally.ease_within(Some(Duration::ZERO));
        assert_eq!(tally.poll_due_at(T0, None), T0);
    }
}

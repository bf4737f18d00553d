//! The ends of requests with files, spaced as their beginnings are: no document says whether the service counts a request when it begins
//! or when it is whole.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::{clock::Clock, domain::UnixMillis};

/// Beside the interval, for requests that take different times to arrive, in microseconds.
const MARGIN_US: i64 = 50_000;

/// When the next request with a file may end, in microseconds since 1970.
#[derive(Debug, Default)]
pub(super) struct EndLane(Mutex<i64>);

impl EndLane {
    /// Waits until a request may end, this long after the one before it. A wait that is cancelled has used up its turn.
    pub(super) async fn take(&self, clock: &Clock, interval: Duration) {
        let now_us = clock.now_us();
        let from_us = {
            let mut next_us = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let from_us = (*next_us).max(now_us);
            let interval_us = i64::try_from(interval.as_micros()).unwrap_or(i64::MAX);
            *next_us = from_us.saturating_add(interval_us).saturating_add(MARGIN_US);
            from_us
        };
        if from_us > now_us {
            clock.sleep_until(UnixMillis(from_us.saturating_add(999) / 1_000)).await;
        }
    }
}

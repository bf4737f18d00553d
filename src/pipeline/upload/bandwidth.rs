//! One limit on the bandwidth of all files together.

use std::sync::{Mutex, PoisonError};

use crate::{clock::Clock, domain::UnixMillis};

/// A part is at most this share of a second of the bandwidth, so that files move smoothly.
const PART_SHARE: u64 = 8;
/// No part is smaller, in bytes.
const PART_MIN: u64 = 4 * 1024;

/// The bandwidth of all files together.
#[derive(Debug, Default)]
pub(super) struct Bandwidth {
    /// In bytes per second. `None`: unlimited.
    limit: Option<u64>,
    /// Until when the bandwidth is used up, in microseconds since 1970.
    used_until_us: Mutex<i64>,
}

impl Bandwidth {
    /// `limit` is in bytes per second. `None` or 0: unlimited.
    pub(super) fn new(limit: Option<u64>) -> Self {
        Self { limit: limit.filter(|limit| *limit > 0), used_until_us: Mutex::default() }
    }

    /// The size of parts, in bytes, if they would be this large without a limit.
    pub(super) fn part(&self, part: u64) -> u64 {
        self.limit.map_or(part, |limit| part.min((limit / PART_SHARE).max(PART_MIN)))
    }

    /// Waits until `bytes` may be sent. A wait that is cancelled has used up their bandwidth.
    pub(super) async fn take(&self, clock: &Clock, bytes: usize) {
        let Some(limit) = self.limit else { return };
        let duration_us = (bytes as u64).saturating_mul(1_000_000) / limit;
        let now_us = clock.now_us();
        let from_us = {
            let mut used_until = self.used_until_us.lock().unwrap_or_else(PoisonError::into_inner);
            let from_us = (*used_until).max(now_us);
            *used_until = from_us.saturating_add(i64::try_from(duration_us).unwrap_or(i64::MAX));
            from_us
        };
        if from_us > now_us {
            clock.sleep_until(UnixMillis(from_us.saturating_add(999) / 1_000)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_files_together_keep_the_limit_and_an_idle_time_saves_nothing_up() {
        let clock = Clock::of_runtime(UnixMillis(1_700_000_000_000));
        let bandwidth = Bandwidth::new(Some(1_000_000));
        let begun_at = clock.now();
        let send = |parts: u32| {
            let (clock, bandwidth) = (&clock, &bandwidth);
            async move {
                for _ in 0..parts {
                    bandwidth.take(clock, 100_000).await;
                }
            }
        };
        tokio::join!(send(20), send(20));
        // the last part may leave when those before it have used up their time
        assert_eq!(clock.now().since_ms(begun_at), 3_900);
        clock.sleep(std::time::Duration::from_mins(1)).await;
        let idle_until = clock.now();
        send(11).await;
        assert_eq!(clock.now().since_ms(idle_until), 1_000);
        assert_eq!(
            (bandwidth.part(256 * 1024), Bandwidth::new(None).part(256 * 1024)),
            (125_000, 256 * 1024)
        );
    }
}

//! When to retry: backoff with jitter, and `Retry-After`. Pure: the caller passes the random number in.

use std::time::Duration;

use crate::domain::UnixMillis;

/// How waits grow: `base`, doubled for every failure in a row, never above `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure, before jitter.
    pub base: Duration,
    /// No wait is longer.
    pub delay_max: Duration,
}

impl Backoff {
    /// The wait after `failures` failures in a row (at least 1), with *equal jitter*: half of it is fixed, half is
    /// multiplied by `jitter` in 0.0..1.0. Full jitter would give waits near zero, which per-minute limits refuse.
    #[must_use]
    pub fn delay(self, failures: u32, jitter: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(30);
        let whole = self.base.saturating_mul(1 << doublings).min(self.delay_max);
        whole / 2 + whole.mul_f64(0.5 * jitter.clamp(0.0, 1.0))
    }
}

/// When to poll an item again that has been open for `age`: after a quarter of its age, within bounds.
///
/// Quick items are then finished quickly, and slow ones cost about log(age) polls.
#[must_use]
pub fn poll_delay(age: Duration, delay_min: Duration, delay_max: Duration) -> Duration {
    (age / 4).clamp(delay_min, delay_max)
}

/// Reads `Retry-After`: seconds, or a date against the `now` given.
#[must_use]
pub fn parse_retry_after(text: &str, now: UnixMillis) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    Some(UnixMillis::parse_http_date(text)?.after_now(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff { base: Duration::from_secs(2), delay_max: Duration::from_mins(1) };

    #[test]
    fn a_wait_is_never_shorter_than_half_its_step_nor_longer_than_the_bound() {
        for failures in [1, 2, 5, 40, u32::MAX] {
            let step = Duration::from_secs(2_u64.saturating_pow(failures.min(31)).min(60));
            assert_eq!(BACKOFF.delay(failures, 0.0), step / 2);
            assert_eq!(BACKOFF.delay(failures, 1.0), step);
        }
    }

    #[test]
    fn polls_become_rarer_with_age() {
        let (min, max) = (Duration::from_secs(3), Duration::from_mins(15));
        let after = |seconds| poll_delay(Duration::from_secs(seconds), min, max).as_secs();
        assert_eq!([after(0), after(60), after(86_400)], [3, 15, 900]);
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let now = UnixMillis(1_445_412_480_000);
        assert_eq!(parse_retry_after("120", now), Some(Duration::from_mins(2)));
        assert_eq!(parse_retry_after("Wed, 21 Oct 2015 07:29:00 GMT", now), Some(Duration::from_mins(1)));
        assert_eq!(parse_retry_after("Wed, 21 Oct 2015 07:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(parse_retry_after("soon", now), None);
        assert_eq!(parse_retry_after("", now), None);
        let longest = parse_retry_after("99999999999999999999999", now);
        assert_eq!(longest, Some(Duration::from_secs(u64::MAX)), "a wait is never shortened");
    }
}

//! When to retry: exponential backoff with jitter, and `Retry-After`. Pure: the caller passes the random number in.

use std::time::Duration;

use crate::domain::{UnixMillis, parse_duration};

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

/// The age below which an item is hardly ever done, by what the polls of a process have shown. Where thousands of items wait, it
/// saves the polls of those that cannot be done yet.
///
/// While none was done, it is the age of the oldest one that is open: the others are behind it. Then it follows the low end of the
/// ages at which items are done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeastAge {
    oldest_open: Duration,
    done: Option<Duration>,
}

impl LeastAge {
    /// It is at most this, so that a service that becomes faster is noticed.
    const MAX: Duration = Duration::from_mins(15);

    /// A poll showed that an item of this age is still open.
    #[must_use]
    pub fn with_open(self, age: Duration) -> Self {
        Self { oldest_open: self.oldest_open.max(age), ..self }
    }

    /// A poll showed that an item of this age is done. It may have been done since the poll before.
    #[must_use]
    pub fn with_done(self, age: Duration) -> Self {
        let low = age.mul_f64(0.8);
        let done = match self.done {
            None => low,
            Some(done) if low < done => low.max(done.mul_f64(0.7)),
            Some(done) => low.min(done.mul_f64(1.05)),
        };
        Self { done: Some(done), ..self }
    }

    /// The time until an item of this age has the least age. It is zero for one that is older.
    #[must_use]
    pub fn after(self, age: Duration) -> Duration {
        self.done.unwrap_or(self.oldest_open).min(Self::MAX).saturating_sub(age)
    }
}

/// A number of seconds from here on is a time since 1970, as some servers write it: nobody asks for a wait of 30 years.
const EPOCH_SECONDS_MIN: f64 = 1e9;
/// A time since 1970 from here on is in milliseconds.
const EPOCH_MILLIS_MIN: f64 = 1e12;

/// The wait after an answer with a `Retry-After` that cannot be read: the service asks for one.
const UNREADABLE_WAIT: Duration = Duration::from_mins(1);

/// The wait that a `Retry-After` asks for. `None`: the answer has none.
#[must_use]
pub fn asked_wait(retry_after: Option<&str>, now: UnixMillis) -> Option<Duration> {
    let text = retry_after.map(str::trim).filter(|text| !text.is_empty())?;
    Some(parse_retry_after(text, now).unwrap_or(UNREADABLE_WAIT))
}

/// Reads `Retry-After`: seconds, also with a fraction or a unit such as `20 seconds` or `1m`, the largest of several numbers, or a
/// date against the `now` given.
#[must_use]
pub fn parse_retry_after(text: &str, now: UnixMillis) -> Option<Duration> {
    let text = text.trim();
    let number = |part: &str| -> Option<f64> {
        let part = part.trim();
        let digits = part.strip_prefix('-').unwrap_or(part).trim_end_matches(['s', 'S']).trim_end();
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let number: f64 = digits.parse().ok().filter(|_| is_number)?;
        Some(if part.starts_with('-') { 0.0 } else { number })
    };
    let numbers: Option<Vec<f64>> = text.split(',').map(number).collect();
    let Some(seconds) = numbers.and_then(|numbers| numbers.into_iter().reduce(f64::max)) else {
        let until = UnixMillis::parse_http_date(text).map(|until| until.after_now(now));
        return until.or_else(|| text.split(',').filter_map(parse_duration).max());
    };
    if seconds < EPOCH_SECONDS_MIN {
        return Some(Duration::try_from_secs_f64(seconds.ceil()).unwrap_or(Duration::MAX));
    }
    let millis = if seconds < EPOCH_MILLIS_MIN { seconds * 1000.0 } else { seconds };
    #[expect(clippy::cast_possible_truncation, reason = "a larger number is the end of time")]
    Some(UnixMillis(millis as i64).after_now(now))
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
    fn items_are_not_polled_before_they_can_be_done() {
        let seconds = Duration::from_secs;
        let new = LeastAge::default();
        assert_eq!(new.after(Duration::ZERO), Duration::ZERO, "nothing is known");
        let open = new.with_open(seconds(100)).with_open(seconds(40));
        assert_eq!((open.after(seconds(30)), open.after(seconds(100))), (seconds(70), Duration::ZERO));
        assert_eq!(open.with_open(seconds(9_000)).after(Duration::ZERO), LeastAge::MAX);
        // what is done counts, and not the one that never ends
        let done = open.with_open(seconds(9_000)).with_done(seconds(50));
        assert_eq!(done.after(Duration::ZERO), seconds(40));
        let faster = (0..20).fold(done, |least, _| least.with_done(seconds(5)));
        assert_eq!(faster.after(Duration::ZERO), seconds(4));
        let slower = (0..100).fold(faster, |least, _| least.with_done(seconds(500)));
        assert_eq!(slower.after(Duration::ZERO), seconds(400));
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let now = UnixMillis(1_445_412_480_000);
        assert_eq!(parse_retry_after("120", now), Some(Duration::from_mins(2)));
        assert_eq!(parse_retry_after("Wed, 21 Oct 2015 07:29:00 GMT", now), Some(Duration::from_mins(1)));
        assert_eq!(parse_retry_after("Wed, 21 Oct 2015 07:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(parse_retry_after("soon", now), None);
        assert_eq!(parse_retry_after("", now), None);
        assert_eq!(parse_retry_after("7.5", now), Some(Duration::from_secs(8)));
        assert_eq!(parse_retry_after("7s", now), Some(Duration::from_secs(7)));
        assert_eq!(parse_retry_after("20 seconds", now), Some(Duration::from_secs(20)));
        assert_eq!(parse_retry_after("1m", now), Some(Duration::from_mins(1)));
        assert_eq!(parse_retry_after("-5", now), Some(Duration::ZERO));
        assert_eq!(parse_retry_after("2015-10-21T07:29:00Z", now), Some(Duration::from_mins(1)));
        assert_eq!(asked_wait(Some("soon"), now), Some(UNREADABLE_WAIT));
        assert_eq!(asked_wait(Some(" "), now), None);
        assert_eq!(parse_retry_after("7, 9", now), Some(Duration::from_secs(9)));
        assert_eq!(parse_retry_after("1445412600", now), Some(Duration::from_mins(2)), "a time, in seconds");
        assert_eq!(parse_retry_after("1445412600000", now), Some(Duration::from_mins(2)));
        assert_eq!(parse_retry_after("86400000", now), Some(Duration::from_hours(24_000)), "never shortened");
    }
}

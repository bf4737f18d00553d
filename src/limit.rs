//! Limits: so many of something in so much time, as a user writes them (`1/min`, `120/2h`), and spans (`90s`, `1h30m`).

use std::{fmt, str::FromStr, time::Duration};

/// At most `count` in any span of `span_ms` milliseconds. Both are positive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    count: u32,
    span_ms: i64,
}

/// A text that is no limit or span; says what was expected.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LimitFault {
    /// Not `COUNT/SPAN`.
    #[error("expected COUNT/SPAN such as 1/min, 10/s or 120/2h")]
    Form,
    /// Zero, or more than can be counted.
    #[error("the count must be a whole number from 1 to 1000000")]
    Count,
    /// Not a span.
    #[error("expected a span such as 500ms, 90s, 10m, 2h or 1h30m, longer than nothing and at most 366d")]
    Span,
}

impl Limit {
    /// A limit of `count` per `span_ms` milliseconds; none when either is not positive.
    #[must_use]
    pub const fn per_ms(count: u32, span_ms: i64) -> Option<Self> {
        if count == 0 || span_ms <= 0 { None } else { Some(Self { count, span_ms }) }
    }

    /// How many.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.count
    }

    /// In how many milliseconds.
    #[must_use]
    pub const fn span_ms(self) -> i64 {
        self.span_ms
    }

    /// The even spacing that keeps this limit.
    #[must_use]
    pub fn interval(self) -> Duration {
        Duration::from_millis(u64::try_from(self.span_ms).unwrap_or(1)) / self.count
    }
}

impl FromStr for Limit {
    type Err = LimitFault;

    fn from_str(text: &str) -> Result<Self, LimitFault> {
        let (count, span) = text.split_once('/').ok_or(LimitFault::Form)?;
        let count: u32 = count.trim().parse().map_err(|_| LimitFault::Count)?;
        if !(1..=1_000_000).contains(&count) {
            return Err(LimitFault::Count);
        }
        let span = span.trim();
        let span = if span.starts_with(|c: char| c.is_ascii_digit()) { parse_span(span) } else { unit(span) };
        let span = span.ok_or(LimitFault::Span)?;
        Self::per_ms(count, i64::try_from(span.as_millis()).map_err(|_| LimitFault::Span)?)
            .ok_or(LimitFault::Span)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, span_ms) = (self.count, self.span_ms);
        match span_ms {
            1_000 => write!(f, "{count}/s"),
            60_000 => write!(f, "{count}/min"),
            3_600_000 => write!(f, "{count}/h"),
            86_400_000 => write!(f, "{count}/day"),
            _ => write!(
                f,
                "{count}/{}",
                show_span(Duration::from_millis(u64::try_from(span_ms).unwrap_or(0))).replace(' ', "")
            ),
        }
    }
}

/// The longest span taken: a year.
const SPAN_MAX: Duration = Duration::from_hours(8784);

/// Reads `500ms`, `90s`, `10m`, `2h`, `7d` and sums of them such as `1h30m`; none for anything else, zero included.
#[must_use]
pub fn parse_span(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut sum = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u32 = rest[..digits].parse().ok()?;
        rest = rest[digits..].trim_start();
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        sum = sum.checked_add(unit(&rest[..letters])?.checked_mul(number)?)?;
        rest = rest[letters..].trim_start();
    }
    (!sum.is_zero() && sum <= SPAN_MAX).then_some(sum)
}

fn unit(word: &str) -> Option<Duration> {
    Some(match word {
        "ms" => Duration::from_millis(1),
        "s" | "sec" | "second" | "seconds" => Duration::from_secs(1),
        "m" | "min" | "minute" | "minutes" => Duration::from_mins(1),
        "h" | "hour" | "hours" => Duration::from_hours(1),
        "d" | "day" | "days" => Duration::from_hours(24),
        _ => return None,
    })
}

/// A span for a reader: the two largest units, such as `2 h 5 min`, `69 d 10 h`, `1.5 s`, `20 ms`.
#[must_use]
pub fn show_span(span: Duration) -> String {
    let seconds = span.as_secs();
    let two = |big: u64, big_word: &str, small: u64, small_word: &str| {
        if small == 0 {
            format!("{big} {big_word}")
        } else {
            format!("{big} {big_word} {small} {small_word}")
        }
    };
    match seconds {
        0 => format!("{} ms", span.as_millis()),
        1..10 if span.subsec_millis() >= 100 => format!("{seconds}.{} s", span.subsec_millis() / 100),
        1..60 => format!("{seconds} s"),
        60..3_600 => two(seconds / 60, "min", seconds % 60, "s"),
        3_600..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_reads_the_way_users_write_it_and_prints_back() {
        for (text, count, span_ms, shown) in [
            ("1/min", 1, 60_000, "1/min"),
            ("120/2h", 120, 7_200_000, "120/2h"),
            (" 10 / s", 10, 1_000, "10/s"),
            ("1000/day", 1000, 86_400_000, "1000/day"),
            ("5/1h30m", 5, 5_400_000, "5/1h30min"),
        ] {
            let limit: Limit = text.parse().unwrap();
            assert_eq!((limit.count(), limit.span_ms()), (count, span_ms), "{text}");
            assert_eq!(limit.to_string(), shown);
            assert_eq!(shown.parse::<Limit>().unwrap(), limit, "{shown} reads back");
        }
        for bad in ["", "1", "0/s", "1/fortnight", "x/min", "1/0s", "1/-1s", "-1/s", "9999999/s", "1/400d"] {
            assert!(bad.parse::<Limit>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_span_reads_as_a_sum_of_units() {
        assert_eq!(parse_span("1h30m"), Some(Duration::from_mins(90)));
        assert_eq!(parse_span("500ms"), Some(Duration::from_millis(500)));
        for bad in ["", "0s", "5", "5x", "-5s", "999999999d", "1.5h"] {
            assert_eq!(parse_span(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_span_is_shown_in_its_two_largest_units() {
        let shown = |seconds| show_span(Duration::from_secs(seconds));
        assert_eq!(shown(6_000_000), "69 d 10 h");
        assert_eq!(shown(7_500), "2 h 5 min");
        assert_eq!(shown(60), "1 min");
        assert_eq!(show_span(Duration::from_millis(1_500)), "1.5 s");
        assert_eq!(show_span(Duration::from_millis(20)), "20 ms");
    }
}

//! Rate limits and caps as a user writes them (`1/min`, `60/min:burst`, `120/2h`), and durations (`90s`, `1h30m`).

use std::{fmt, str::FromStr, time::Duration};

use jiff::{
    Span, SpanRelativeTo, SpanRound, Unit,
    fmt::friendly::{Designator, Spacing, SpanPrinter},
};

/// At most `count` in any period of `period_ms` milliseconds. Both are positive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    count: u32,
    period_ms: i64,
}

/// A text that is not a limit or duration; says what was expected.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LimitError {
    #[error("expected N/PERIOD such as 1/min, 10/s or 120/2h")]
    Form,
    /// Something else than `burst` or `burst=COUNT` behind a rate.
    #[error("expected burst, or burst=COUNT with a count up to the rate's own, such as 60/min:burst=10")]
    Burst,
    /// Something else than `uploads` or `indexing` behind a cap.
    #[error("expected uploads or indexing behind a cap, such as 120/2h:indexing")]
    Counting,
    /// Zero, or more than can be counted.
    #[error("the count must be a whole number from 1 to 1000000")]
    Count,
    /// Not a duration.
    #[error(
        "expected COUNT/TIME such as 1/min, 10/s or 120/2h; {0:?} is not a time (500ms, 90s, 10m or 1h30m, at most 366d)"
    )]
    DurationArg(String),
}

impl Limit {
    /// A limit of `count` per `period_ms` milliseconds. `None`: either is not positive.
    #[must_use]
    pub const fn per_ms(count: u32, period_ms: i64) -> Option<Self> {
        if count == 0 || period_ms <= 0 { None } else { Some(Self { count, period_ms }) }
    }

    /// How many requests the period may have.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.count
    }

    /// The period, in milliseconds.
    #[must_use]
    pub const fn period_ms(self) -> i64 {
        self.period_ms
    }

    /// The even spacing that keeps this limit.
    #[must_use]
    pub fn interval(self) -> Duration {
        Duration::from_millis(u64::try_from(self.period_ms).unwrap_or(1)) / self.count
    }
}

impl FromStr for Limit {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let (count, duration) = text.split_once('/').ok_or(LimitError::Form)?;
        Self::per_ms(count_of(count)?, period_of(duration)?).ok_or_else(|| not_a_time(duration))
    }
}

fn count_of(text: &str) -> Result<u32, LimitError> {
    let count: u32 = text.trim().parse().map_err(|_| LimitError::Count)?;
    if (1..=1_000_000).contains(&count) { Ok(count) } else { Err(LimitError::Count) }
}

/// The period behind the slash, in milliseconds: `2h`, or a bare unit such as `min`.
fn period_of(text: &str) -> Result<i64, LimitError> {
    let text = text.trim();
    let is_bare = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let duration = if is_bare { parse_duration(&format!("1{text}")) } else { parse_duration(text) };
    let milliseconds = duration.ok_or_else(|| not_a_time(text))?.as_millis();
    i64::try_from(milliseconds).map_err(|_| not_a_time(text))
}

fn not_a_time(text: &str) -> LimitError {
    LimitError::DurationArg(crate::redact::clean(text.trim()))
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, format_period(self.period_ms))
    }
}

/// Periods are printed as users write them: `1h30m`.
const PERIOD: SpanPrinter = SpanPrinter::new().designator(Designator::Compact).spacing(Spacing::None);

/// The period behind the slash: `s`, `min`, `h`, `day`, or a sum of units that reads back exactly.
fn format_period(period_ms: i64) -> String {
    match period_ms {
        1_000 => return "s".to_owned(),
        60_000 => return "min".to_owned(),
        3_600_000 => return "h".to_owned(),
        86_400_000 => return "day".to_owned(),
        _ => {}
    }
    let in_units = Span::new()
        .try_milliseconds(period_ms)
        .and_then(|span| span.round(SpanRound::new().largest(Unit::Day).days_are_24_hours()));
    in_units.map_or_else(|_| format!("{period_ms}ms"), |span| PERIOD.span_to_string(&span))
}

/// A rate: a limit whose requests are spaced evenly, unless a burst of the whole count is allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    limit: Limit,
    burst: u32,
}

impl Rate {
    /// The limit, spread evenly over its span.
    #[must_use]
    pub const fn evenly(limit: Limit) -> Self {
        Self { limit, burst: 1 }
    }

    /// A count per period.
    #[must_use]
    pub const fn limit(self) -> Limit {
        self.limit
    }

    /// How many may go at once: from 1 to the limit's count.
    #[must_use]
    pub const fn burst(self) -> u32 {
        self.burst
    }
}

impl FromStr for Rate {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let (limit, burst) = text.split_once(':').map_or((text, None), |(limit, burst)| (limit, Some(burst)));
        let limit: Limit = limit.parse()?;
        let burst = match burst.map(str::trim) {
            None => 1,
            Some("burst") => limit.count,
            Some(as_str) => {
                let count = as_str.strip_prefix("burst=").ok_or(LimitError::Burst)?;
                count_of(count).ok().filter(|count| *count <= limit.count).ok_or(LimitError::Burst)?
            }
        };
        Ok(Self { limit, burst })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.burst {
            1 => self.limit.fmt(f),
            burst if burst == self.limit.count => write!(f, "{}:burst", self.limit),
            burst => write!(f, "{}:burst={burst}", self.limit),
        }
    }
}

/// What a cap of the service counts. Its documents say "concurrent indexing cap" and "rolling 2-hour cap" of the same
/// thing, so both readings are possible.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counting {
    /// Uploads accepted in the trailing span. The safe reading: it never allows more than the other.
    #[default]
    Uploads,
    /// Uploads of the trailing span that are still being indexed.
    Indexing,
}

/// A rolling cap: the most uploads in any period (a sliding window). The count may be unknown and learned from
/// refusals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cap {
    count: Option<u32>,
    period_ms: i64,
    counting: Counting,
}

impl Cap {
    /// A cap whose count is to be learned.
    #[must_use]
    pub const fn unknown(period_ms: i64) -> Self {
        Self { count: None, period_ms, counting: Counting::Uploads }
    }

    /// `None`: to be learned.
    #[must_use]
    pub const fn count(self) -> Option<u32> {
        self.count
    }

    /// The period, in milliseconds.
    #[must_use]
    pub const fn period_ms(self) -> i64 {
        self.period_ms
    }

    /// What the cap counts.
    #[must_use]
    pub const fn counting(self) -> Counting {
        self.counting
    }

    /// The same cap with this count.
    #[must_use]
    pub const fn with_count(self, count: u32) -> Self {
        Self { count: Some(count), ..self }
    }
}

impl From<Limit> for Cap {
    fn from(limit: Limit) -> Self {
        Self { count: Some(limit.count), period_ms: limit.period_ms, counting: Counting::Uploads }
    }
}

impl FromStr for Cap {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let (limit, counting) =
            text.split_once(':').map_or((text, "uploads"), |(limit, what)| (limit, what.trim()));
        let (count, duration) = limit.split_once('/').ok_or(LimitError::Form)?;
        let count = if count.trim() == "?" { None } else { Some(count_of(count)?) };
        let counting = match counting {
            "uploads" => Counting::Uploads,
            "indexing" => Counting::Indexing,
            _ => return Err(LimitError::Counting),
        };
        Ok(Self { count, period_ms: period_of(duration)?, counting })
    }
}

impl fmt::Display for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            Some(count) => write!(f, "{count}/{}", format_period(self.period_ms))?,
            None => write!(f, "?/{}", format_period(self.period_ms))?,
        }
        match self.counting {
            Counting::Uploads => Ok(()),
            Counting::Indexing => f.write_str(":indexing"),
        }
    }
}

/// The longest span taken: a year.
const DURATION_MAX: Duration = Duration::from_hours(8784);

/// Reads `500ms`, `90s`, `10m`, `2h`, `7d`, `1.5h` and sums such as `1h30m`; a day has 24 hours. `None`: anything else, zero
/// included.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let span: Span = text.trim().parse().ok()?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    let duration = Duration::try_from(duration).ok()?;
    (!duration.is_zero() && duration <= DURATION_MAX).then_some(duration)
}

/// A span for a reader: the two largest units, such as `2 h 5 min`, `69 d 10 h`, `1.5 s`, `20 ms`.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let two = |big: u64, big_word: &str, small: u64, small_word: &str| {
        if small == 0 {
            format!("{big} {big_word}")
        } else {
            format!("{big} {big_word} {small} {small_word}")
        }
    };
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..10 if duration.subsec_millis() >= 100 => format!("{seconds}.{} s", duration.subsec_millis() / 100),
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
        for (text, count, period_ms, shown) in [
            ("1/min", 1, 60_000, "1/min"),
            ("120/2h", 120, 7_200_000, "120/2h"),
            (" 10 / s", 10, 1_000, "10/s"),
            ("1000/day", 1000, 86_400_000, "1000/day"),
            ("5/1h30m", 5, 5_400_000, "5/1h30m"),
            ("5/90min", 5, 5_400_000, "5/1h30m"),
            ("7/1500ms", 7, 1_500, "7/1s500ms"),
            ("7/8d", 7, 691_200_000, "7/8d"),
        ] {
            let limit: Limit = text.parse().unwrap();
            assert_eq!((limit.count(), limit.period_ms()), (count, period_ms), "{text}");
            assert_eq!(limit.to_string(), shown);
            assert_eq!(shown.parse::<Limit>().unwrap(), limit, "{shown} reads back");
        }
        for bad in ["", "1", "0/s", "1/fortnight", "x/min", "1/0s", "1/-1s", "-1/s", "9999999/s", "1/400d"] {
            assert!(bad.parse::<Limit>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_rate_says_how_many_may_go_at_once() {
        for (text, burst, shown) in [
            ("10/s", 1, "10/s"),
            ("60/min:burst", 60, "60/min:burst"),
            ("60/min: burst=7", 7, "60/min:burst=7"),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!((rate.burst(), rate.to_string().as_str()), (burst, shown), "{text}");
            assert_eq!(shown.parse::<Rate>().unwrap(), rate);
        }
        for bad in ["10/s:", "10/s:burst=0", "10/s:burst=11", "10/s:fast", "?/s"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_cap_may_be_unknown_and_says_what_it_counts() {
        for text in ["120/2h", "?/2h", "120/2h:indexing", "1000/day", "7/1h30min", "5/1500ms"] {
            let cap: Cap = text.parse().unwrap();
            assert_eq!(cap.to_string().parse::<Cap>().unwrap(), cap, "{text} reads back");
        }
        assert_eq!("?/2h".parse::<Cap>().unwrap().count(), None);
        assert_eq!("9/2h:indexing".parse::<Cap>().unwrap().counting(), Counting::Indexing);
        for bad in ["120", "x/2h", "0/2h", "120/2h:parsed", "?/0s"] {
            assert!(bad.parse::<Cap>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_duration_reads_as_a_sum_of_units() {
        assert_eq!(parse_duration("1h30m"), Some(Duration::from_mins(90)));
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_duration("1.5h"), Some(Duration::from_mins(90)));
        assert_eq!(parse_duration("1 week"), Some(Duration::from_hours(168)));
        for bad in ["", "0s", "5", "5x", "-5s", "999999999d"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_duration_is_shown_in_its_two_largest_units() {
        let shown = |seconds| format_duration(Duration::from_secs(seconds));
        assert_eq!(shown(6_000_000), "69 d 10 h");
        assert_eq!(shown(7_500), "2 h 5 min");
        assert_eq!(shown(60), "1 min");
        assert_eq!(format_duration(Duration::from_millis(1_500)), "1.5 s");
        assert_eq!(format_duration(Duration::from_millis(20)), "20 ms");
    }
}

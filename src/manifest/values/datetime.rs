//! When a video was taken: common spellings become the one the service takes, `yyyy-MM-dd HH:mm:ss`.

use std::{borrow::Cow, fmt, str::FromStr};

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};

/// What to do with an offset such as `+02:00` or `Z`. The service states no time zone for `datetime_taken`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetRule {
    /// Keep the time as it is written, and drop the offset.
    Keep,
    /// Convert to UTC.
    Utc,
}

/// One way to write a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DateFormat {
    /// Day, month, year, with any usual separator and perhaps a time.
    DayFirst,
    /// Month, day, year.
    MonthFirst,
    /// Seconds since 1970.
    EpochSeconds,
    /// Milliseconds since 1970.
    EpochMillis,
    /// A bare year: its first day.
    Year,
    /// By conversion specifications, as strptime has them: `%d.%m.%Y %H:%M`.
    Pattern(String),
}

impl FromStr for DateFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "dmy" => Ok(Self::DayFirst),
            "mdy" => Ok(Self::MonthFirst),
            "epoch-s" => Ok(Self::EpochSeconds),
            "epoch-ms" => Ok(Self::EpochMillis),
            "year" => Ok(Self::Year),
            _ if text.contains('%') => Ok(Self::Pattern(text.to_owned())),
            _ => Err("expected dmy, mdy, epoch-s, epoch-ms, year, or a pattern such as %d.%m.%Y".to_owned()),
        }
    }
}

impl fmt::Display for DateFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DayFirst => "dmy",
            Self::MonthFirst => "mdy",
            Self::EpochSeconds => "epoch-s",
            Self::EpochMillis => "epoch-ms",
            Self::Year => "year",
            Self::Pattern(pattern) => pattern,
        })
    }
}

/// How moments are read and written.
#[derive(Clone, Debug)]
pub struct DateRules {
    /// The only ways there are; every way that can be read one way only, when empty.
    pub formats: Vec<DateFormat>,
    /// What becomes of offsets.
    pub offset: OffsetRule,
    /// The zone of times without offset, and of moments counted from 1970; UTC for these when none.
    pub zone: Option<TimeZone>,
    /// Which of day and month comes first where no format is told: what the first rows of a file show, none to begin with.
    pub found: Option<DateFormat>,
}

impl Default for DateRules {
    fn default() -> Self {
        Self { formats: Vec::new(), offset: OffsetRule::Keep, zone: None, found: None }
    }
}

/// Why a text is no moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatetimeError {
    /// Day and month could be either way round.
    Ambiguous,
    /// A year alone.
    BareYear,
    /// No such day or time.
    Impossible,
    /// Not a spelling that is known, or none of those told.
    Unknown,
}

/// A moment as it is written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Written {
    /// On some clock, with its offset from UTC in minutes if that is written, too.
    Clock(DateTime, Option<i64>),
    /// Counted from 1970.
    Counted(Timestamp),
}

impl DateRules {
    /// Reads a date, or a date with a time; a date alone becomes midnight. What is read is `yyyy-MM-dd HH:mm:ss`, and a real
    /// day of the years 1800 to 9999.
    ///
    /// Without formats told: the year comes first, between `-`, `/`, `.` or `:`, or as `yyyyMMdd`; or the month is written as a
    /// word; or it is counted from 1970 in seconds (10 digits) or milliseconds (13). The time is `HH:mm` or `HH:mm:ss`, with an
    /// optional fraction (dropped), `AM`/`PM`, and an optional `Z`, `UTC`, `GMT`, `+hh`, `+hhmm` or `+hh:mm`.
    pub fn read<'a>(&self, text: &'a str) -> Result<Cow<'a, str>, DatetimeError> {
        let text = super::trim(text);
        if self.formats.is_empty() {
            let is_kept = self.zone.is_none() || self.offset == OffsetRule::Keep;
            if is_kept && is_as_the_service_has_it(text) {
                return Ok(Cow::Borrowed(text));
            }
            let written = match (with_defaults(text), &self.found) {
                (Err(DatetimeError::Ambiguous), Some(found)) => told(text, found)?,
                (written, _) => written?,
            };
            return convert(written, self).map(Cow::Owned);
        }
        let mut error = DatetimeError::Unknown;
        for format in &self.formats {
            match told(text, format) {
                Ok(written) => return convert(written, self).map(Cow::Owned),
                // what is nearly right says more than what is not known at all
                Err(found) if error == DatetimeError::Unknown => error = found,
                Err(_) => {}
            }
        }
        Err(error)
    }
}

/// Whether it is a moment in exactly the service's spelling: most are, and need no work.
fn is_as_the_service_has_it(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() != 19
        || (bytes[4], bytes[7], bytes[10], bytes[13], bytes[16]) != (b'-', b'-', b' ', b':', b':')
    {
        return false;
    }
    let number = |from: usize, to: usize| {
        bytes[from..to]
            .iter()
            .try_fold(0_i16, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i16::from(byte - b'0')))
    };
    let parts = (number(0, 4), number(5, 7), number(8, 10), number(11, 13), number(14, 16), number(17, 19));
    // the last days of months are left to whoever knows calendars
    matches!(parts, (Some(YEAR_MIN..), Some(1..=12), Some(1..=28), Some(..=23), Some(..=59), Some(..=59)))
}

fn convert(written: Written, rules: &DateRules) -> Result<String, DatetimeError> {
    let impossible = |_| DatetimeError::Impossible;
    let zone = || rules.zone.clone().unwrap_or(TimeZone::UTC);
    let timestamp = match (written, rules.offset) {
        (Written::Counted(timestamp), OffsetRule::Utc) => timestamp.to_zoned(TimeZone::UTC).datetime(),
        (Written::Counted(timestamp), OffsetRule::Keep) => timestamp.to_zoned(zone()).datetime(),
        (Written::Clock(clock, _), OffsetRule::Keep) => clock,
        (Written::Clock(clock, Some(minutes)), OffsetRule::Utc) => {
            clock.checked_sub(SignedDuration::from_mins(minutes)).map_err(impossible)?
        }
        (Written::Clock(clock, None), OffsetRule::Utc) => {
            clock.to_zoned(zone()).map_err(impossible)?.with_time_zone(TimeZone::UTC).datetime()
        }
    };
    // no camera is older; a year of two digits was read as one of four
    if timestamp.year() < YEAR_MIN {
        return Err(DatetimeError::Impossible);
    }
    Ok(timestamp.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

const YEAR_MIN: i16 = 1800;

/// Digits alone are counted from 1970 when there are so many of them.
const EPOCH_SECONDS_DIGITS: usize = 10;
const EPOCH_MILLIS_DIGITS: usize = 13;

fn with_defaults(text: &str) -> Result<Written, DatetimeError> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.len() {
        4 if is_digits => return Err(DatetimeError::BareYear),
        EPOCH_SECONDS_DIGITS if is_digits => return told(text, &DateFormat::EpochSeconds),
        EPOCH_MILLIS_DIGITS if is_digits => return told(text, &DateFormat::EpochMillis),
        _ => {}
    }
    if text.bytes().any(|byte| byte.is_ascii_alphabetic())
        && let Some(written) = with_a_month_in_words(text)
    {
        return Ok(written);
    }
    clock(text, YearAt::First)
}

fn told(text: &str, format: &DateFormat) -> Result<Written, DatetimeError> {
    let counted = |timestamp: Result<Timestamp, jiff::Error>| {
        timestamp.map(Written::Counted).map_err(|_| DatetimeError::Impossible)
    };
    let (number, _) = text.split_once('.').unwrap_or((text, ""));
    match format {
        DateFormat::DayFirst => clock(text, YearAt::LastAfterMonth),
        DateFormat::MonthFirst => clock(text, YearAt::LastAfterDay),
        DateFormat::EpochSeconds => {
            counted(Timestamp::from_second(number.parse().map_err(|_| DatetimeError::Unknown)?))
        }
        DateFormat::EpochMillis => {
            counted(Timestamp::from_millisecond(number.parse().map_err(|_| DatetimeError::Unknown)?))
        }
        DateFormat::Year if text.len() == 4 => clock(&format!("{text}-01-01"), YearAt::First),
        DateFormat::Year => Err(DatetimeError::Unknown),
        DateFormat::Pattern(pattern) => by_pattern(text, pattern).ok_or(DatetimeError::Unknown),
    }
}

fn by_pattern(text: &str, pattern: &str) -> Option<Written> {
    let parsed = jiff::fmt::strtime::parse(pattern, text).ok()?;
    let minutes = parsed.offset().map(|offset| i64::from(offset.seconds()) / 60);
    if let Ok(clock) = parsed.to_datetime() {
        return Some(Written::Clock(clock, minutes));
    }
    if let Ok(date) = parsed.to_date() {
        return Some(Written::Clock(date.to_datetime(jiff::civil::Time::midnight()), minutes));
    }
    parsed.to_timestamp().ok().map(Written::Counted)
}

/// Dates whose month is a word can be read one way only.
const WORDED: &[&str] = &[
    "%d %b %Y",
    "%d-%b-%Y",
    "%b %d, %Y",
    "%b %d %Y",
    "%d %B %Y",
    "%B %d, %Y",
    "%B %d %Y",
    "%d %b %y",
    "%d-%b-%y",
    "%b %d, %y",
];
const WORDED_TIMES: &[&str] = &["", " %H:%M", " %H:%M:%S"];

fn with_a_month_in_words(text: &str) -> Option<Written> {
    if let Ok(zoned) = jiff::fmt::rfc2822::parse(text) {
        let minutes = i64::from(zoned.offset().seconds()) / 60;
        return Some(Written::Clock(zoned.datetime(), Some(minutes)));
    }
    let patterns =
        WORDED.iter().flat_map(|date| WORDED_TIMES.iter().map(move |time| format!("{date}{time}")));
    let is_year = |written: &Written| matches!(written, Written::Clock(clock, _) if clock.year() >= YEAR_MIN);
    patterns.into_iter().find_map(|pattern| by_pattern(text, &pattern).filter(is_year))
}

/// What the dates of a sample say: which of day and month comes first, with a text that can be read no other way. None when
/// nothing does, or both.
pub(in crate::manifest) fn order_of<'a>(
    texts: impl Iterator<Item = &'a str>,
) -> Option<(DateFormat, &'a str)> {
    let mut found: Option<(DateFormat, &str)> = None;
    for text in texts.map(str::trim) {
        let reads = |year_at| clock(text, year_at).is_ok();
        if !matches!(clock(text, YearAt::First), Err(DatetimeError::Ambiguous)) {
            continue;
        }
        let format = match (reads(YearAt::LastAfterMonth), reads(YearAt::LastAfterDay)) {
            (true, false) => DateFormat::DayFirst,
            (false, true) => DateFormat::MonthFirst,
            (true, true) | (false, false) => continue,
        };
        match &found {
            Some((known, _)) if *known != format => return None,
            Some(_) => {}
            None => found = Some((format, text)),
        }
    }
    found
}

/// Where the year stands in a date of three numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum YearAt {
    First,
    /// Day, month, year.
    LastAfterMonth,
    /// Month, day, year.
    LastAfterDay,
}

/// A date of numbers, and perhaps a time.
fn clock(text: &str, year_at: YearAt) -> Result<Written, DatetimeError> {
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], text[at + 1..].trim()),
        None => (text, ""),
    };
    let (year, month, day) = read_date(date, year_at)?;
    let clock = read_time(time).ok_or(DatetimeError::Unknown)?;
    let timestamp = DateTime::new(year, month, day, clock.hour, clock.minute, clock.second, 0)
        .map_err(|_| DatetimeError::Impossible)?;
    Ok(Written::Clock(timestamp, clock.offset_minutes))
}

/// Years of two digits from this one on are of the last century, as POSIX has it.
const CENTURY_TURNS_AT: i16 = 69;

fn read_date(text: &str, year_at: YearAt) -> Result<(i16, i8, i8), DatetimeError> {
    let number = |part: &str| -> Result<i16, DatetimeError> {
        if part.is_empty() || part.len() > 4 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(DatetimeError::Unknown);
        }
        part.parse().map_err(|_| DatetimeError::Unknown)
    };
    let small =
        |part: &str| number(part).and_then(|n| i8::try_from(n).map_err(|_| DatetimeError::Impossible));
    if text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok((number(&text[..4])?, small(&text[4..6])?, small(&text[6..])?));
    }
    let parts: Vec<&str> = text.split(['-', '/', '.', ':']).collect();
    let [one, two, three] = parts[..] else { return Err(DatetimeError::Unknown) };
    parts.iter().try_for_each(|part| number(part).map(|_| ()))?;
    let is_year_first = one.len() == 4;
    let is_year_last = matches!(three.len(), 2 | 4) && !is_year_first;
    match (year_at, is_year_first, is_year_last) {
        (YearAt::First, true, _) => Ok((number(one)?, small(two)?, small(three)?)),
        (YearAt::First, false, true) => Err(DatetimeError::Ambiguous),
        (YearAt::LastAfterMonth, _, true) => {
            Ok((full_year(three.len(), number(three)?), small(two)?, small(one)?))
        }
        (YearAt::LastAfterDay, _, true) => {
            Ok((full_year(three.len(), number(three)?), small(one)?, small(two)?))
        }
        _ => Err(DatetimeError::Unknown),
    }
}

const fn full_year(digits: usize, year: i16) -> i16 {
    match (digits, year) {
        (2, CENTURY_TURNS_AT..) => 1900 + year,
        (2, _) => 2000 + year,
        _ => year,
    }
}

struct ClockTime {
    hour: i8,
    minute: i8,
    second: i8,
    offset_minutes: Option<i64>,
}

fn read_time(text: &str) -> Option<ClockTime> {
    let (text, offset_minutes) = split_offset(text)?;
    let lower = text.trim_end().to_ascii_lowercase();
    let (digits, noon) = match lower.strip_suffix("pm") {
        Some(rest) => (rest, Some(12)),
        None => lower.strip_suffix("am").map_or((lower.as_str(), None), |rest| (rest, Some(0))),
    };
    if digits.is_empty() && noon.is_none() {
        return Some(ClockTime { hour: 0, minute: 0, second: 0, offset_minutes });
    }
    let mut parts = digits.trim().split(':');
    let hour = two_digits(parts.next()?)?;
    let minute = two_digits(parts.next()?)?;
    let second = parts.next().map_or(Some(0), |part| {
        let (whole, fraction) = part.split_once(['.', ',']).unwrap_or((part, "0"));
        let is_fraction = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
        if is_fraction { two_digits(whole) } else { None }
    })?;
    if parts.next().is_some() {
        return None;
    }
    let hour = match noon {
        Some(_) if !(1..=12).contains(&hour) => return None,
        Some(noon) => hour % 12 + noon,
        None => hour,
    };
    Some(ClockTime { hour, minute, second, offset_minutes })
}

fn two_digits(text: &str) -> Option<i8> {
    let is_number = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

/// No offset is that large.
const MINUTES_OF_A_DAY: i64 = 24 * 60;

/// Splits `10:00+02:00` into `10:00` and 120 minutes.
fn split_offset(text: &str) -> Option<(&str, Option<i64>)> {
    for zulu in ["Z", "z", "UTC", "GMT"] {
        if let Some(rest) = text.strip_suffix(zulu) {
            return Some((rest.trim_end(), Some(0)));
        }
    }
    let Some(at) = text.rfind(['+', '-']) else { return Some((text, None)) };
    let (time, offset) = text.split_at(at);
    let digits: String = offset[1..].chars().filter(|c| *c != ':').collect();
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let minutes: i64 = match digits.len() {
        1 | 2 => digits.parse::<i64>().ok()? * 60,
        4 => digits[..2].parse::<i64>().ok()? * 60 + digits[2..].parse::<i64>().ok()?,
        _ => return None,
    };
    if minutes >= MINUTES_OF_A_DAY {
        return None;
    }
    Some((time.trim_end(), Some(if offset.starts_with('-') { -minutes } else { minutes })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(formats: &[&str], offset: OffsetRule, zone: Option<&str>) -> DateRules {
        DateRules {
            formats: formats.iter().map(|format| format.parse().unwrap()).collect(),
            offset,
            zone: zone.map(|name| TimeZone::get(name).unwrap()),
            found: None,
        }
    }

    fn read_plain(text: &str) -> Result<Cow<'_, str>, DatetimeError> {
        DateRules::default().read(text)
    }

    #[test]
    fn common_spellings_become_the_services_own() {
        for (text, taken) in [
            ("2006-4-27", "2006-04-27 00:00:00"),
            ("2003-11-14", "2003-11-14 00:00:00"),
            ("20190506", "2019-05-06 00:00:00"),
            ("2019-05-06 07:08", "2019-05-06 07:08:00"),
            ("2019-05-06 07:08:09", "2019-05-06 07:08:09"),
            ("2019-05-31 07:08:09", "2019-05-31 07:08:09"),
            ("2019-05-06T07:08:09Z", "2019-05-06 07:08:09"),
            ("2019-05-06T07:08:09.123456+02:00", "2019-05-06 07:08:09"),
            ("2016/11/17 5:03:54 UTC", "2016-11-17 05:03:54"),
            ("2015-10-21 00:00:00-04", "2015-10-21 00:00:00"),
            ("2019:05:06 10:11:12", "2019-05-06 10:11:12"),
            ("2019.05.06 1:02 PM", "2019-05-06 13:02:00"),
            ("2019-05-06 12:00am", "2019-05-06 00:00:00"),
            ("  2024-02-29  ", "2024-02-29 00:00:00"),
            ("16 Jul 2018", "2018-07-16 00:00:00"),
            ("July 16, 2018 17:21", "2018-07-16 17:21:00"),
            ("Mon, 16 Jul 2018 17:21:00 +0200", "2018-07-16 17:21:00"),
            ("16-Jul-18", "2018-07-16 00:00:00"),
            ("Jul 16, 18", "2018-07-16 00:00:00"),
            ("1531754460", "2018-07-16 15:21:00"),
            ("1531754460123", "2018-07-16 15:21:00"),
        ] {
            assert_eq!(read_plain(text).as_deref(), Ok(taken), "{text}");
        }
    }

    #[test]
    fn a_format_that_is_told_is_the_only_one() {
        for (format, text, taken) in [
            ("dmy", "16/07/2018", Ok("2018-07-16 00:00:00")),
            ("dmy", "5.6.19 17:21", Ok("2019-06-05 17:21:00")),
            ("mdy", "5/6/69", Ok("1969-05-06 00:00:00")),
            ("mdy", "16/07/2018", Err(DatetimeError::Impossible)),
            ("dmy", "2018-07-16", Err(DatetimeError::Unknown)),
            ("year", "1987", Ok("1987-01-01 00:00:00")),
            ("epoch-s", "86400.5", Ok("1970-01-02 00:00:00")),
            ("epoch-ms", "-1000", Ok("1969-12-31 23:59:59")),
            ("epoch-s", "soon", Err(DatetimeError::Unknown)),
            ("%d.%m.%Y um %H:%M", "16.07.2018 um 17:21", Ok("2018-07-16 17:21:00")),
            ("%d.%m.%Y", "16.07.18", Err(DatetimeError::Impossible)),
            ("%Y%j", "2018197", Ok("2018-07-16 00:00:00")),
        ] {
            let rules = rules(&[format], OffsetRule::Keep, None);
            let read = rules.read(text);
            assert_eq!(read.as_deref(), taken.as_ref().map(|taken| *taken), "{format}: {text}");
        }
        let several = rules(&["year", "dmy"], OffsetRule::Keep, None);
        assert_eq!(several.read("1.2.2003").as_deref(), Ok("2003-02-01 00:00:00"));
        assert!("yearly".parse::<DateFormat>().is_err());
    }

    #[test]
    fn an_offset_or_a_zone_is_converted_only_when_told() {
        for (text, zone, taken) in [
            ("2019-05-06T01:30:00+02:00", None, "2019-05-05 23:30:00"),
            ("2015-10-21 22:00:00-04", None, "2015-10-22 02:00:00"),
            ("2015-10-21 22:00:00+0530", None, "2015-10-21 16:30:00"),
            ("2015-10-21 22:00:00Z", Some("Europe/Berlin"), "2015-10-21 22:00:00"),
            ("2015-10-21 22:00:00", None, "2015-10-21 22:00:00"),
            ("2019-07-01 12:00:00", Some("Europe/Berlin"), "2019-07-01 10:00:00"),
            ("2019-01-01 12:00", Some("Europe/Berlin"), "2019-01-01 11:00:00"),
            ("1531754460", Some("Europe/Berlin"), "2018-07-16 15:21:00"),
        ] {
            assert_eq!(rules(&[], OffsetRule::Utc, zone).read(text).as_deref(), Ok(taken), "{text}");
        }
        let kept = rules(&[], OffsetRule::Keep, Some("Europe/Berlin"));
        assert_eq!(kept.read("1531754460").as_deref(), Ok("2018-07-16 17:21:00"), "a clock has to be chosen");
        assert_eq!(kept.read("2019-07-01 12:00:00").as_deref(), Ok("2019-07-01 12:00:00"));
    }

    #[test]
    fn a_sample_tells_which_of_day_and_month_comes_first() {
        let order = |texts: &[&'static str]| order_of(texts.iter().copied());
        assert_eq!(order(&["01/02/2019", "16/07/2018"]), Some((DateFormat::DayFirst, "16/07/2018")));
        assert_eq!(order(&["7/16/18 17:21"]), Some((DateFormat::MonthFirst, "7/16/18 17:21")));
        assert_eq!(order(&["01/02/2019"]), None);
        assert_eq!(order(&["16/07/2018", "07/16/2018"]), None, "both ways in one file");
        assert_eq!(order(&["2019-05-06", "x", "40/40/2000"]), None);
    }

    #[test]
    fn what_could_be_read_two_ways_is_refused() {
        for (text, error) in [
            ("01/02/2019", DatetimeError::Ambiguous),
            ("5/5/19 17:21", DatetimeError::Ambiguous),
            ("2019-02-29", DatetimeError::Impossible),
            ("2019-02-29 00:00:00", DatetimeError::Impossible),
            ("2019-13-01", DatetimeError::Impossible),
            ("2019-01-01 25:00", DatetimeError::Impossible),
            ("2019-01-01 24:00:00", DatetimeError::Impossible),
            ("0000-01-00 00:00:00", DatetimeError::Impossible),
            ("0019-05-06 07:08:09", DatetimeError::Impossible),
            ("1799-12-31 23:59:59", DatetimeError::Impossible),
            ("2019", DatetimeError::BareYear),
            ("yesterday", DatetimeError::Unknown),
            ("2019-01-01 10", DatetimeError::Unknown),
            ("2019-01-01 10:00:00:00", DatetimeError::Unknown),
            ("2019-01-01 13:00 PM", DatetimeError::Unknown),
            ("2019-01-01 10:00+99:99", DatetimeError::Unknown),
            ("20190a06", DatetimeError::Unknown),
            ("２０１９-01-01", DatetimeError::Unknown),
            ("1-2-3-4", DatetimeError::Unknown),
            ("", DatetimeError::Unknown),
        ] {
            assert_eq!(read_plain(text), Err(error), "{text}");
        }
    }
}

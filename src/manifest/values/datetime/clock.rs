//! Dates of numbers and times of day: `2018-07-16 15:21:00+02:00`, `20180716T152100Z`, `16.7.2018 3:21 PM`.

use jiff::civil::{Date, DateTime};

use super::{DatetimeError, Written};

/// Where the year is in a date of three numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum YearAt {
    First,
    /// Day, month, year.
    LastAfterMonth,
    /// Month, day, year.
    LastAfterDay,
}

/// Digits of a date without separators.
const COMPACT_DATE_DIGITS: usize = 8;

/// A date of numbers, and perhaps a time.
pub(super) fn read(text: &str, year_at: YearAt) -> Result<Written, DatetimeError> {
    let is_compact = text.len() > COMPACT_DATE_DIGITS
        && text.as_bytes()[..COMPACT_DATE_DIGITS].iter().all(u8::is_ascii_digit)
        && matches!(text.as_bytes()[COMPACT_DATE_DIGITS], b'_' | b'-');
    let sign = if is_compact { Some(COMPACT_DATE_DIGITS) } else { text.find(['T', 't', ' ', '_']) };
    let (date, time) = match sign {
        Some(at) => (text[..at].trim_end_matches(','), text[at + 1..].trim()),
        None => (text, ""),
    };
    let (year, month, day) = read_date(date, year_at)?;
    let clock = read_time(time).ok_or(DatetimeError::Unknown)?;
    clock.on(year, month, day)
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
    if text.len() == COMPACT_DATE_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok((number(&text[..4])?, small(&text[4..6])?, small(&text[6..])?));
    }
    let parts: Vec<&str> = text.split(['-', '/', '.', ':']).collect();
    let [one, two, three] = parts[..] else { return Err(DatetimeError::Unknown) };
    parts.iter().try_for_each(|part| number(part).map(|_| ()))?;
    // whatever comes first in a date, `01:02:23` is none
    if text.contains(':') && parts.iter().all(|part| part.len() <= 2) && !text.contains(['-', '/', '.']) {
        return Err(DatetimeError::TimeAlone);
    }
    let is_year_first = one.len() == 4;
    let is_year_last = matches!(three.len(), 2 | 4) && !is_year_first;
    match (year_at, is_year_first, is_year_last) {
        (YearAt::First, true, _) => Ok((number(one)?, small(two)?, small(three)?)),
        (YearAt::First, false, true) if three.len() == 2 => Err(DatetimeError::TwoDigitYear),
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

/// A year of two digits as one of four.
pub(super) const fn full_year(digits: usize, year: i16) -> i16 {
    match (digits, year) {
        (2, CENTURY_TURNS_AT..) => 1900 + year,
        (2, _) => 2000 + year,
        _ => year,
    }
}

/// A time of day as it is written.
pub(super) struct ClockTime {
    hour: i8,
    minute: i8,
    second: i8,
    offset_minutes: Option<i64>,
    /// Whether no time is written, so that it is midnight.
    is_absent: bool,
}

impl ClockTime {
    /// This time on a day.
    pub(super) fn on(&self, year: i16, month: i8, day: i8) -> Result<Written, DatetimeError> {
        if self.is_absent {
            return Date::new(year, month, day).map(Written::Day).map_err(|_| DatetimeError::Impossible);
        }
        let timestamp = DateTime::new(year, month, day, self.hour, self.minute, self.second, 0);
        timestamp
            .map(|clock| Written::Clock(clock, self.offset_minutes))
            .map_err(|_| DatetimeError::Impossible)
    }
}

/// Reads a time of day; an empty text is midnight.
pub(super) fn read_time(text: &str) -> Option<ClockTime> {
    let (text, offset_minutes) = split_offset(text)?;
    let lower = text.trim_end().to_ascii_lowercase().replace(['\u{202f}', '\u{a0}'], " ");
    let lower = lower.replace("a.m.", "am").replace("p.m.", "pm");
    let (digits, noon) = match lower.strip_suffix("pm") {
        Some(rest) => (rest, Some(12)),
        None => lower.strip_suffix("am").map_or((lower.as_str(), None), |rest| (rest, Some(0))),
    };
    if digits.is_empty() && noon.is_none() {
        return Some(ClockTime { hour: 0, minute: 0, second: 0, offset_minutes, is_absent: true });
    }
    let digits = digits.trim();
    let (whole, fraction) = digits.split_once(['.', ',']).unwrap_or((digits, "0"));
    let is_fraction = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let parts = match whole.len() {
        6 if !whole.contains(':') => [whole.get(..2), whole.get(2..4), whole.get(4..)],
        4 if !whole.contains(':') && noon.is_none() => [whole.get(..2), whole.get(2..), Some("0")],
        _ => {
            let mut parts = whole.split(':');
            let parts = [parts.next(), parts.next(), parts.next().or(Some("0")), parts.next()];
            if parts[3].is_some() {
                return None;
            }
            [parts[0], parts[1], parts[2]]
        }
    };
    let [hour, minute, second] = parts.map(|part| part.and_then(two_digits));
    let (hour, minute, second) = (hour?, minute?, second.filter(|_| is_fraction)?);
    let hour = match noon {
        Some(_) if !(1..=12).contains(&hour) => return None,
        Some(noon) => hour % 12 + noon,
        None => hour,
    };
    Some(ClockTime { hour, minute, second, offset_minutes, is_absent: false })
}

fn two_digits(text: &str) -> Option<i8> {
    let is_number = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

/// No offset is that large.
const MINUTES_OF_A_DAY: i64 = 24 * 60;

/// Names of zones whose offset is the same everywhere (RFC 2822), in hours.
const ZONES: &[(&str, i64)] = &[
    ("UTC", 0),
    ("GMT", 0),
    ("Z", 0),
    ("z", 0),
    ("EDT", -4),
    ("EST", -5),
    ("CDT", -5),
    ("CST", -6),
    ("MDT", -6),
    ("MST", -7),
    ("PDT", -7),
    ("PST", -8),
];

/// Whether this names a zone.
pub(super) fn is_zone(text: &str) -> bool {
    ZONES.iter().any(|(name, _)| *name == text)
}

/// Splits `10:00+02:00` into `10:00` and 120 minutes. `None`: what follows the time is no offset.
fn split_offset(text: &str) -> Option<(&str, Option<i64>)> {
    // 2018-07-16T15:21:00+02:00[Europe/Berlin]
    let text = text.split_once('[').filter(|(_, zone)| zone.ends_with(']')).map_or(text, |(text, _)| text);
    if let Some((rest, hours)) =
        ZONES.iter().find_map(|(name, hours)| Some((text.strip_suffix(name)?, hours)))
    {
        return Some((rest.trim_end(), Some(hours * 60)));
    }
    let Some(at) = text.rfind(['+', '-', '\u{2212}']) else { return Some((text, None)) };
    let (time, offset) = text.split_at(at);
    let sign_length = offset.chars().next().map_or(0, char::len_utf8);
    let digits: String = offset[sign_length..].chars().filter(|c| *c != ':').collect();
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
    let time = time.trim_end();
    let time = time.strip_suffix("UTC").or_else(|| time.strip_suffix("GMT")).unwrap_or(time).trim_end();
    Some((time, Some(if offset.starts_with('+') { minutes } else { -minutes })))
}

//! When a video was taken: common spellings become the one the service takes, `yyyy-MM-dd HH:mm:ss`.

use jiff::{SignedDuration, civil::DateTime};

/// What to do with an offset such as `+02:00` or `Z`. The service states no time zone for `datetime_taken`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetRule {
    /// Keep the time as it is written, and drop the offset.
    Keep,
    /// Convert to UTC.
    Utc,
}

/// Why a text is no moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DatetimeFault {
    /// Day and month could be either way round.
    Ambiguous,
    /// No such day or time.
    Impossible,
    /// Not a spelling that is known.
    Unknown,
}

/// Reads a date, or a date with a time; a date alone becomes midnight.
///
/// The year comes first, between `-`, `/`, `.` or `:`, or as `yyyyMMdd`. The time is `HH:mm` or `HH:mm:ss`, with an
/// optional fraction (dropped), `AM`/`PM`, and an optional `Z`, `UTC`, `GMT`, `+hh`, `+hhmm` or `+hh:mm`.
pub(super) fn read(text: &str, rule: OffsetRule) -> Result<String, DatetimeFault> {
    let text = text.trim();
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], text[at + 1..].trim()),
        None => (text, ""),
    };
    let (year, month, day) = read_date(date)?;
    let clock = read_time(time).ok_or(DatetimeFault::Unknown)?;
    let moment = DateTime::new(year, month, day, clock.hour, clock.minute, clock.second, 0)
        .map_err(|_| DatetimeFault::Impossible)?;
    let moment = match (rule, clock.offset_minutes) {
        (OffsetRule::Utc, Some(minutes)) => {
            moment.checked_sub(SignedDuration::from_mins(minutes)).map_err(|_| DatetimeFault::Impossible)?
        }
        (OffsetRule::Utc, None) | (OffsetRule::Keep, _) => moment,
    };
    Ok(moment.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

fn read_date(text: &str) -> Result<(i16, i8, i8), DatetimeFault> {
    let number = |part: &str| -> Result<i16, DatetimeFault> {
        if part.is_empty() || part.len() > 4 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(DatetimeFault::Unknown);
        }
        part.parse().map_err(|_| DatetimeFault::Unknown)
    };
    let small =
        |part: &str| number(part).and_then(|n| i8::try_from(n).map_err(|_| DatetimeFault::Impossible));
    if text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok((number(&text[..4])?, small(&text[4..6])?, small(&text[6..])?));
    }
    let parts: Vec<&str> = text.split(['-', '/', '.', ':']).collect();
    match parts[..] {
        [year, month, day] if year.len() == 4 => Ok((number(year)?, small(month)?, small(day)?)),
        [_, _, year] if year.len() == 4 || year.len() == 2 => {
            parts.iter().try_for_each(|part| number(part).map(|_| ()))?;
            Err(DatetimeFault::Ambiguous)
        }
        _ => Err(DatetimeFault::Unknown),
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

    #[test]
    fn common_spellings_become_the_services_own() {
        for (text, taken) in [
            ("2006-4-27", "2006-04-27 00:00:00"),
            ("2003-11-14", "2003-11-14 00:00:00"),
            ("20190506", "2019-05-06 00:00:00"),
            ("2019-05-06 07:08", "2019-05-06 07:08:00"),
            ("2019-05-06T07:08:09Z", "2019-05-06 07:08:09"),
            ("2019-05-06T07:08:09.123456+02:00", "2019-05-06 07:08:09"),
            ("2016/11/17 5:03:54 UTC", "2016-11-17 05:03:54"),
            ("2015-10-21 00:00:00-04", "2015-10-21 00:00:00"),
            ("2019:05:06 10:11:12", "2019-05-06 10:11:12"),
            ("2019.05.06 1:02 PM", "2019-05-06 13:02:00"),
            ("2019-05-06 12:00am", "2019-05-06 00:00:00"),
            ("  2024-02-29  ", "2024-02-29 00:00:00"),
        ] {
            assert_eq!(read(text, OffsetRule::Keep).as_deref(), Ok(taken), "{text}");
        }
    }

    #[test]
    fn an_offset_is_converted_only_when_told() {
        for (text, taken) in [
            ("2019-05-06T01:30:00+02:00", "2019-05-05 23:30:00"),
            ("2015-10-21 22:00:00-04", "2015-10-22 02:00:00"),
            ("2015-10-21 22:00:00+0530", "2015-10-21 16:30:00"),
            ("2015-10-21 22:00:00Z", "2015-10-21 22:00:00"),
            ("2015-10-21 22:00:00", "2015-10-21 22:00:00"),
        ] {
            assert_eq!(read(text, OffsetRule::Utc).as_deref(), Ok(taken), "{text}");
        }
    }

    #[test]
    fn what_could_be_read_two_ways_is_refused() {
        for (text, fault) in [
            ("01/02/2019", DatetimeFault::Ambiguous),
            ("5/5/19 17:21", DatetimeFault::Ambiguous),
            ("2019-02-29", DatetimeFault::Impossible),
            ("2019-13-01", DatetimeFault::Impossible),
            ("2019-01-01 25:00", DatetimeFault::Impossible),
            ("2019", DatetimeFault::Unknown),
            ("yesterday", DatetimeFault::Unknown),
            ("2019-01-01 10", DatetimeFault::Unknown),
            ("2019-01-01 10:00:00:00", DatetimeFault::Unknown),
            ("2019-01-01 13:00 PM", DatetimeFault::Unknown),
            ("2019-01-01 10:00+99:99", DatetimeFault::Unknown),
            ("20190a06", DatetimeFault::Unknown),
            ("２０１９-01-01", DatetimeFault::Unknown),
        ] {
            assert_eq!(read(text, OffsetRule::Keep), Err(fault), "{text}");
        }
    }
}

//! When a video was taken: common spellings become the one the service takes, `yyyy-MM-dd HH:mm:ss`.

mod clock;
mod order;
mod worded;

use std::{borrow::Cow, fmt, str::FromStr};

use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, DateTime, Time, date},
    tz::TimeZone,
};

use clock::YearAt;
pub(in crate::manifest) use order::{maybe_swapped, order_of, order_words};
use worded::Years;

/// What to do with an offset such as `+02:00` or `Z`. The service states no time zone for `datetime_taken`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetRule {
    /// Keep the time as it is written, and drop the offset.
    Keep,
    /// Convert to UTC.
    Utc,
}

/// One way to write a date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DateFormat {
    /// Day, month, year, with any common separator and perhaps a time.
    DayFirst,
    /// Month, day, year.
    MonthFirst,
    /// Seconds since 1970.
    EpochSeconds,
    /// Milliseconds since 1970.
    EpochMillis,
    /// A bare year: its first day.
    Year,
    /// Days since 1899-12-30, as spreadsheets count them.
    Spreadsheet,
    /// Days since 1904-01-01, as old spreadsheets of the Mac count them. A workbook says so itself.
    Spreadsheet1904,
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
            "excel" => Ok(Self::Spreadsheet),
            "excel-1904" => Ok(Self::Spreadsheet1904),
            _ if text.contains('%') => Ok(Self::Pattern(text.to_owned())),
            _ => {
                Err("expected dmy, mdy, epoch-s, epoch-ms, year, excel, excel-1904, or a pattern such as %d.%m.%Y"
                    .to_owned())
            }
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
            Self::Spreadsheet => "excel",
            Self::Spreadsheet1904 => "excel-1904",
            Self::Pattern(pattern) => pattern,
        })
    }
}

/// How dates are read and written.
#[derive(Clone, Debug)]
pub struct DateRules {
    /// The only ways there are. Empty: every way that can be read one way only.
    pub formats: Vec<DateFormat>,
    /// What becomes of offsets.
    pub offset: OffsetRule,
    /// The zone of times without offset, and of times counted from 1970. `None`: UTC for the latter.
    pub zone: Option<TimeZone>,
    /// Which of day and month comes first where no format is given, by the first rows of a file.
    pub found: Option<DateFormat>,
    /// Whether cells are dates by their type, which no format of texts is for. They are read as `yyyy-MM-dd HH:mm:ss`.
    pub has_date_cells: bool,
}

impl Default for DateRules {
    fn default() -> Self {
        Self { formats: Vec::new(), offset: OffsetRule::Keep, zone: None, found: None, has_date_cells: false }
    }
}

/// Why a text is no date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatetimeError {
    /// Day and month could be either way round.
    Ambiguous,
    /// A year alone.
    BareYear,
    /// A year of two digits: it may come first or last.
    TwoDigitYear,
    /// Days as a spreadsheet counts them.
    SpreadsheetSerial,
    /// A time of day or a duration, without a date.
    TimeAlone,
    /// No such day or time.
    Impossible,
    /// Not a spelling that is known, or none of those given.
    Unknown,
}

/// What a date says of its offset from UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::manifest) enum OffsetSeen {
    Minutes(i64),
    /// A time of day without an offset.
    Absent,
    /// The same, and the clocks of the zone show this time twice or never, because they are changed then.
    AtChange,
    /// A number of seconds since 1970, which needs none.
    Counted,
    /// A day without a time.
    Day,
    /// Midnight, as programs write a day without a time.
    Midnight,
}

/// A date as it is written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Written {
    /// On some clock, with its offset from UTC in minutes if that is written, too.
    Clock(DateTime, Option<i64>),
    /// A day alone: there is no time that could be converted.
    Day(Date),
    /// Counted from 1970.
    Counted(Timestamp),
}

impl Written {
    /// The day as it is written. `None`: it is counted.
    fn day(self) -> Option<Date> {
        match self {
            Self::Clock(clock, _) => Some(clock.date()),
            Self::Day(day) => Some(day),
            Self::Counted(_) => None,
        }
    }

    /// What it says of its offset, where it is read by these rules.
    fn offset(self, rules: &DateRules) -> OffsetSeen {
        let is_at_change = |clock, zone: &TimeZone| zone.to_ambiguous_timestamp(clock).is_ambiguous();
        match (self, &rules.zone) {
            (Self::Clock(_, Some(minutes)), _) => OffsetSeen::Minutes(minutes),
            (Self::Clock(clock, None), Some(zone))
                if rules.offset == OffsetRule::Utc && is_at_change(clock, zone) =>
            {
                OffsetSeen::AtChange
            }
            (Self::Clock(clock, None), _) if clock.time() == Time::midnight() => OffsetSeen::Midnight,
            (Self::Clock(_, None), _) => OffsetSeen::Absent,
            (Self::Day(_), _) => OffsetSeen::Day,
            (Self::Counted(_), _) => OffsetSeen::Counted,
        }
    }
}

impl DateRules {
    /// Reads a date, or a date with a time; a date alone becomes midnight. What is read is `yyyy-MM-dd HH:mm:ss`, and a real
    /// day of the years 1800 to 9999.
    ///
    /// Without formats: the year comes first, between `-`, `/`, `.` or `:`, or as `yyyyMMdd`; or the month is an English
    /// word; or it is counted from 1970 in seconds (10 digits), milliseconds (13) or microseconds (16). The time is
    /// `HH:mm`, `HH:mm:ss` or `HHmmss`, with an optional fraction (dropped), `AM`/`PM`, and an optional `Z`, `UTC`, `GMT`,
    /// `+hh`, `+hhmm` or `+hh:mm`.
    pub fn read<'a>(&self, text: &'a str) -> Result<Cow<'a, str>, DatetimeError> {
        self.read_with_offset(text).map(|(read, _)| read)
    }

    /// The same, with what the text says of its offset.
    pub(in crate::manifest) fn read_with_offset<'a>(
        &self,
        text: &'a str,
    ) -> Result<(Cow<'a, str>, OffsetSeen), DatetimeError> {
        let text = super::trim(text);
        if self.formats.is_empty() {
            let is_kept = self.zone.is_none() || self.offset == OffsetRule::Keep;
            if is_kept && is_as_the_service_has_it(text) {
                return Ok((Cow::Borrowed(text), OffsetSeen::Absent));
            }
            let written = match (with_defaults(text), &self.found) {
                (Err(DatetimeError::Ambiguous), Some(found)) => by_format(text, found)?,
                (written, _) => written?,
            };
            return Ok((Cow::Owned(convert(written, self)?), written.offset(self)));
        }
        let written = self.by_formats(text)?;
        Ok((Cow::Owned(convert(written, self)?), written.offset(self)))
    }

    fn by_formats(&self, text: &str) -> Result<Written, DatetimeError> {
        let mut error = DatetimeError::Unknown;
        let mut read = None;
        for format in &self.formats {
            match by_format(text, format) {
                Ok(written) => {
                    read = Some(written);
                    break;
                }
                // what is nearly right says more than what is not known at all
                Err(found) if error == DatetimeError::Unknown => error = found,
                Err(_) => {}
            }
        }
        let cell = if self.has_date_cells && has_shape_of_cells(text) {
            clock::read(text, YearAt::First).ok()
        } else {
            None
        };
        match (read, cell) {
            // it may be a date by its type, or a text of this format
            (Some(text), Some(cell)) if text != cell => Err(DatetimeError::Ambiguous),
            (Some(written), _) | (None, Some(written)) => Ok(written),
            (None, None) => Err(error),
        }
    }

    /// Reads days of spreadsheets as a workbook counts them that says so itself.
    pub(in crate::manifest) fn count_from_1904(&mut self) {
        for format in self.formats.iter_mut().filter(|format| **format == DateFormat::Spreadsheet) {
            *format = DateFormat::Spreadsheet1904;
        }
    }

    /// Reads a date whose time of day is in another column. A date that has a time of its own keeps it.
    pub(in crate::manifest) fn read_with_time(
        &self,
        day: &str,
        time: &str,
    ) -> Result<(String, OffsetSeen), DatetimeError> {
        let as_written = Self { offset: OffsetRule::Keep, zone: None, ..self.clone() };
        let (read, _) = as_written.read_with_offset(day)?;
        let Some(day_alone) = read.strip_suffix(MIDNIGHT) else {
            return self.read_with_offset(day).map(|(read, offset)| (read.into_owned(), offset));
        };
        // a spreadsheet writes a time alone as one of its first days
        let spreadsheet_days = ["1899-12-30", "1899-12-31", "1900-01-00", "1900-01-01"];
        let time = spreadsheet_days.iter().find_map(|first| time.strip_prefix(first)).unwrap_or(time);
        let time = super::trim(time);
        // the time of the same day, with the day before it
        if let Ok((whole, _)) = as_written.read_with_offset(time)
            && time.contains(':')
            && whole.starts_with(day_alone)
        {
            return self.read_with_offset(time).map(|(read, offset)| (read.into_owned(), offset));
        }
        let is_short = time.len() == 3 && time.bytes().all(|byte| byte.is_ascii_digit());
        let zero = if is_short { "0" } else { "" };
        let joined = format!("{day_alone} {zero}{}", time.trim_start_matches('T'));
        let (read, offset) = Self { formats: Vec::new(), ..self.clone() }.read_with_offset(&joined)?;
        Ok((read.into_owned(), offset))
    }
}

/// What a day without a time ends in.
const MIDNIGHT: &str = " 00:00:00";

/// Whether it is written as dates by their type are: `2019-05-06`, perhaps with a time behind it.
fn has_shape_of_cells(text: &str) -> bool {
    const SHAPE: &[u8] = b"0000-00-00 00:00:00";
    let fits = |(own, sign): (u8, &u8)| if *sign == b'0' { own.is_ascii_digit() } else { own == *sign };
    matches!(text.len(), 10 | 19) && text.bytes().zip(SHAPE).all(fits)
}

/// Whether it is a date in exactly the service's spelling: most are, and need no work.
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
    // the last days of months are left to the calendar
    matches!(parts, (Some(YEAR_MIN..), Some(1..=12), Some(1..=28), Some(..=23), Some(..=59), Some(..=59)))
}

fn convert(written: Written, rules: &DateRules) -> Result<String, DatetimeError> {
    let impossible = |_| DatetimeError::Impossible;
    let zone = || rules.zone.clone().unwrap_or(TimeZone::UTC);
    let timestamp = match (written, rules.offset) {
        (Written::Counted(timestamp), OffsetRule::Utc) => timestamp.to_zoned(TimeZone::UTC).datetime(),
        (Written::Counted(timestamp), OffsetRule::Keep) => timestamp.to_zoned(zone()).datetime(),
        (Written::Day(day), OffsetRule::Keep | OffsetRule::Utc) => day.to_datetime(Time::midnight()),
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

/// A number of this many digits counts from 1970.
const EPOCH_SECONDS_DIGITS: usize = 10;
const EPOCH_MILLIS_DIGITS: usize = 13;
const EPOCH_MICROS_DIGITS: usize = 16;
/// Digits of a date and time without separators.
const COMPACT_DIGITS: usize = 14;
/// Days since 1899-12-30 that are likely a date: 1941 to 2078.
const SERIALS: std::ops::Range<f64> = 15_000.0..65_000.0;

fn with_defaults(text: &str) -> Result<Written, DatetimeError> {
    // MediaInfo, and the JSON of .NET
    if let Some(rest) = text.strip_prefix("UTC ") {
        return clock::read(&format!("{rest} UTC"), YearAt::First);
    }
    if let Some(millis) = text.strip_prefix("/Date(").and_then(|rest| rest.strip_suffix(")/")) {
        return by_format(millis.split('+').next().unwrap_or(millis), &DateFormat::EpochMillis);
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !whole.is_empty() && is_digits(whole) && is_digits(fraction) {
        return match whole.len() {
            4 if fraction.is_empty() => Err(DatetimeError::BareYear),
            5 if text.parse().is_ok_and(|days: f64| SERIALS.contains(&days)) => {
                Err(DatetimeError::SpreadsheetSerial)
            }
            EPOCH_SECONDS_DIGITS => by_format(whole, &DateFormat::EpochSeconds),
            EPOCH_MILLIS_DIGITS => by_format(whole, &DateFormat::EpochMillis),
            EPOCH_MICROS_DIGITS => by_format(&whole[..EPOCH_MILLIS_DIGITS], &DateFormat::EpochMillis),
            COMPACT_DIGITS => {
                let (day, time) = whole.split_at(COMPACT_DIGITS - 6);
                clock::read(&format!("{day} {time}"), YearAt::First)
            }
            _ => clock::read(text, YearAt::First),
        };
    }
    if text.contains(|c: char| c.is_ascii_alphabetic())
        && let Some(written) = worded::read(text, Years::FourDigits)
    {
        return written.and_then(not_before_cameras);
    }
    if !text.is_ascii() {
        return clock::read(&in_ascii(text), YearAt::First);
    }
    clock::read(text, YearAt::First)
}

fn not_before_cameras(written: Written) -> Result<Written, DatetimeError> {
    let is_before = written.day().is_some_and(|day| day.year() < YEAR_MIN);
    if is_before { Err(DatetimeError::Impossible) } else { Ok(written) }
}

/// Signs of other scripts as those they represent: blanks of other widths, and `2018年7月16日`.
fn in_ascii(text: &str) -> String {
    let text = text.replace(['\u{202f}', '\u{a0}', '\u{2009}'], " ");
    let text = text.replace(['年', '月', '년', '월'], "-").replace(['日', '일'], " ");
    text.replace("- ", "-").trim_end().to_owned()
}

fn by_format(text: &str, format: &DateFormat) -> Result<Written, DatetimeError> {
    let counted = |timestamp: Result<Timestamp, jiff::Error>| {
        timestamp.map(Written::Counted).map_err(|_| DatetimeError::Impossible)
    };
    let with_words = || worded::read(text, Years::TwoDigitsLast);
    match format {
        DateFormat::DayFirst => {
            with_words().unwrap_or_else(|| clock::read(&in_ascii(text), YearAt::LastAfterMonth))
        }
        DateFormat::MonthFirst => {
            with_words().unwrap_or_else(|| clock::read(&in_ascii(text), YearAt::LastAfterDay))
        }
        DateFormat::EpochSeconds => counted(Timestamp::from_second(whole_number(text)?)),
        DateFormat::EpochMillis => counted(Timestamp::from_millisecond(whole_number(text)?)),
        DateFormat::Year if text.len() == 4 => clock::read(&format!("{text}-01-01"), YearAt::First),
        DateFormat::Year => Err(DatetimeError::Unknown),
        DateFormat::Spreadsheet => by_serial(text, date(1899, 12, 30)),
        DateFormat::Spreadsheet1904 => by_serial(text, date(1904, 1, 1)),
        DateFormat::Pattern(pattern) => by_pattern(text, pattern).ok_or(DatetimeError::Unknown),
    }
}

/// A number without its fraction, which is dropped. What follows a point must be digits: `06.05.2019` is no number.
fn whole_number(text: &str) -> Result<i64, DatetimeError> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = fraction.bytes().all(|byte| byte.is_ascii_digit());
    whole.parse().ok().filter(|_| is_number).ok_or(DatetimeError::Unknown)
}

/// Days since `epoch`, with a fraction for the time of day.
fn by_serial(text: &str, epoch: Date) -> Result<Written, DatetimeError> {
    const DAY_SECONDS: f64 = 86_400.0;
    const DAYS_MAX: f64 = 3_000_000.0;
    /// Digits of a day of today: `43,592` is a day with a separator of thousands, and no day of 1900.
    const DAY_DIGITS: usize = 5;
    if text.find(',').is_some_and(|comma| comma < DAY_DIGITS) {
        return Err(DatetimeError::Unknown);
    }
    let days: f64 = text.replace(',', ".").parse().map_err(|_| DatetimeError::Unknown)?;
    if !(1.0..DAYS_MAX).contains(&days) {
        return Err(DatetimeError::Impossible);
    }
    #[expect(clippy::cast_possible_truncation, reason = "the number of days is bounded")]
    let seconds = (days * DAY_SECONDS).round() as i64;
    let clock = epoch.at(0, 0, 0, 0).checked_add(SignedDuration::from_secs(seconds));
    let clock = clock.map_err(|_| DatetimeError::Impossible)?;
    let is_day = days.fract() == 0.0;
    Ok(if is_day { Written::Day(clock.date()) } else { Written::Clock(clock, None) })
}

fn by_pattern(text: &str, pattern: &str) -> Option<Written> {
    let parsed = jiff::fmt::strtime::parse(pattern, text).ok()?;
    let minutes = parsed.offset().map(|offset| i64::from(offset.seconds()) / 60);
    if let (Ok(date), None) = (parsed.to_date(), parsed.hour()) {
        return Some(Written::Day(date));
    }
    if let Ok(clock) = parsed.to_datetime() {
        return Some(Written::Clock(clock, minutes));
    }
    parsed.to_timestamp().ok().map(Written::Counted)
}

#[cfg(test)]
mod tests;

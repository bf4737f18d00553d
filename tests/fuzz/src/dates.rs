//! Dates: what is read is a moment in the service's spelling, and reads as itself; and every moment is read.

use jiff::tz::TimeZone;
use telecine::manifest::{DateFormat, DateRules, OffsetRule};

use crate::Choices;

/// A zone with summer time, known without a database.
const ZONE: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

/// No moment that is read is of an earlier year: no camera is older.
const YEAR_MIN: u32 = 1800;

/// Checks one date: as it is written, or one that is made of numbers.
pub fn check(input: &[u8]) {
    let Some((mut choices, rest)) = Choices::of(input) else { return };
    if choices.yes() {
        return check_numbers(rest);
    }
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let (rules, text) = rules(&mut choices, text);
    let read = rules.read(text);
    if let Ok(timestamp) = &read {
        assert!(is_moment(timestamp), "{text:?} is read as {timestamp:?}");
        let again = DateRules::default().read(timestamp);
        assert_eq!(again.as_deref(), Ok(&**timestamp), "{text:?} is read as what is none");
    }
    let padded = format!(" {text}\t");
    assert_eq!(rules.read(&padded), read, "blanks around it make {text:?} another date");
}

/// Checks that six numbers are read if they are a moment, and only then: few texts that a fuzzer grows are nearly one.
fn check_numbers(bytes: &[u8]) {
    let Some(([century, year, month, day, hour, minute, second], _)) = bytes.split_first_chunk() else {
        return;
    };
    // the centuries from 1700 to 9900, and of the rest one more than there may be
    let year = 100 * (17 + u32::from(century % 83)) + u32::from(year % 100);
    let (month, day) = (month % 14, day % 33);
    let (hour, minute, second) = (hour % 25, minute % 61, second % 61);
    let timestamp = format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
    let expected = is_moment(&timestamp).then_some(&*timestamp);
    for text in [
        timestamp.clone(),
        timestamp.replace(' ', "T"),
        format!("{year:04}/{month}/{day} {hour}:{minute:02}:{second:02}.5Z"),
    ] {
        assert_eq!(DateRules::default().read(&text).as_deref().ok(), expected, "{text}");
    }
}

/// The rules that are chosen, and what is left of the text: its first line may be a pattern.
fn rules<'a>(choices: &mut Choices, text: &'a str) -> (DateRules, &'a str) {
    let offset = choices.one_of([OffsetRule::Keep, OffsetRule::Utc]);
    let zone = match choices.one_of([None, Some("UTC"), Some(ZONE)]) {
        Some("UTC") => Some(TimeZone::UTC),
        Some(zone) => TimeZone::posix(zone).ok(),
        None => None,
    };
    let found = choices.one_of([None, Some(DateFormat::DayFirst), Some(DateFormat::MonthFirst)]);
    let format = choices.one_of([
        "",
        "excel",
        "dmy",
        "mdy",
        "year",
        "epoch-s",
        "epoch-ms",
        "%d.%m.%Y %H:%M",
        "%s",
        "%Y%j",
        "\n",
    ]);
    let (format, text) =
        if format == "\n" { text.split_once('\n').unwrap_or(("", text)) } else { (format, text) };
    let formats: Vec<DateFormat> = format.parse().into_iter().collect();
    for format in &formats {
        assert_eq!(format.to_string().parse().as_ref(), Ok(format), "a format reads back as it is shown");
    }
    let has_date_cells = choices.one_of([false, true]);
    (DateRules { formats, offset, zone, found, has_date_cells }, text)
}

/// Whether it is `yyyy-MM-dd HH:mm:ss`, and such a day exists.
pub(crate) fn is_moment(text: &str) -> bool {
    let shape = "0000-00-00 00:00:00";
    let fits = |(own, form): (char, char)| if form == '0' { own.is_ascii_digit() } else { own == form };
    if text.len() != shape.len() || !text.chars().zip(shape.chars()).all(fits) {
        return false;
    }
    let number = |from: usize, to: usize| text[from..to].parse::<u32>().unwrap_or(u32::MAX);
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    let is_time = number(11, 13) < 24 && number(14, 16) < 60 && number(17, 19) < 60;
    year >= YEAR_MIN && (1..=days).contains(&day) && is_time
}

//! An open workbook, and the text of its cells.

use std::io::{BufReader, Read, Seek};

use calamine::{DataRef, ExcelDateTime, Xlsx};

const SECONDS_A_DAY: f64 = 86_400.0;

/// Where the bytes of a workbook come from.
pub(super) trait Source: Read + Seek + Send {}
impl<T: Read + Seek + Send> Source for T {}
pub(super) type Book = Xlsx<BufReader<Box<dyn Source>>>;

/// The text of a cell, as CSV would have it. A number whose format is a date is a date.
pub(super) fn text_of(cell: &DataRef<'_>) -> String {
    match cell {
        DataRef::Int(number) => number.to_string(),
        DataRef::Float(number) => number.to_string(),
        DataRef::String(text) | DataRef::DurationIso(text) => text.clone(),
        DataRef::DateTimeIso(text) => text.replacen('T', " ", 1),
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Bool(value) => value.to_string(),
        DataRef::DateTime(date) => date_of(date),
        DataRef::Error(error) => error.to_string(),
        DataRef::Empty => String::new(),
    }
}

fn date_of(date: &ExcelDateTime) -> String {
    let days = date.as_f64();
    if date.is_duration() {
        let seconds = (days * SECONDS_A_DAY).round();
        let (hours, rest) = ((seconds / 3_600.0).trunc(), seconds % 3_600.0);
        return format!("{hours}:{:02}:{:02}", (rest / 60.0).trunc(), rest % 60.0);
    }
    let (year, month, day, hour, minute, second, _) = date.to_ymd_hms_milli();
    if (0.0..1.0).contains(&days) {
        return format!("{hour:02}:{minute:02}:{second:02}");
    }
    let has_time = (hour, minute, second) != (0, 0, 0);
    let time = if has_time { format!(" {hour:02}:{minute:02}:{second:02}") } else { String::new() };
    format!("{year:04}-{month:02}-{day:02}{time}")
}

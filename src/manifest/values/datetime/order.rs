//! What the dates of a sample show: which of day and month comes first, and whether a spreadsheet may have swapped them.

use super::{
    DateFormat, DatetimeError,
    clock::{self, YearAt},
};

/// The order of a date in words.
pub(in crate::manifest) fn order_words(order: &DateFormat) -> &'static str {
    if *order == DateFormat::DayFirst { "day/month/year" } else { "month/day/year" }
}

/// What the dates of a sample say: which of day and month comes first, with a text that can be read no other way.
/// `None`: nothing says it, or both are found.
pub(in crate::manifest) fn order_of<'a>(
    texts: impl Iterator<Item = &'a str>,
) -> Option<(DateFormat, &'a str)> {
    let mut found: Option<(DateFormat, &str)> = None;
    for text in texts.map(str::trim) {
        let reads = |year_at| clock::read(text, year_at).is_ok();
        if !matches!(clock::read(text, YearAt::First), Err(DatetimeError::Ambiguous)) {
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

/// A date of a sample with the year first whose day and month may be swapped. A spreadsheet of the other order turns the texts
/// that it can read into dates, and leaves those with a day above 12 as they are. `None`: some date shows that it did not.
pub(in crate::manifest) fn maybe_swapped<'a>(texts: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const MONTHS: i8 = 12;
    let mut swapped = None;
    for text in texts.map(str::trim) {
        let reads = |year_at| clock::read(text, year_at).is_ok();
        match clock::read(text, YearAt::First) {
            Ok(written) if written.day().is_some_and(|date| date.day() > MONTHS) => return None,
            Ok(written) if written.day().is_some_and(|date| date.day() != date.month()) => {
                swapped = swapped.or(Some(text));
            }
            Err(DatetimeError::Ambiguous) if reads(YearAt::LastAfterDay) == reads(YearAt::LastAfterMonth) => {
                return None;
            }
            Ok(_) | Err(_) => {}
        }
    }
    swapped
}

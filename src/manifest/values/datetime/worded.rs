//! Dates whose month is an English word: `Jul 16, 2018, 3:21:00 PM UTC`, `16-Jul-2018`, `Mon Jul 16 15:21:00 2018`.

use super::{
    DatetimeError, Written,
    clock::{full_year, is_zone, read_time},
};

const MONTHS: &[&str] = &[
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: &[&str] = &["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
/// Words that say nothing of the date.
const FILLERS: &[&str] = &["at", "on", "of", "the"];
/// A name may be cut to this many letters.
const LETTERS_MIN: usize = 3;

/// How many digits a year has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Years {
    FourDigits,
    /// A date of two short numbers ends in its year.
    TwoDigitsLast,
}

/// What a text consists of.
#[derive(Default)]
struct DateParts<'a> {
    month: Option<i8>,
    numbers: Vec<&'a str>,
    time: String,
}

/// Reads a date with a month in words. `None`: there is no month in it, or something that belongs to no date.
pub(super) fn read(text: &str, years: Years) -> Option<Result<Written, DatetimeError>> {
    // Mon Jul 16 2018 15:21:00 GMT+0200 (Central European Summer Time)
    let text = text.split_once('(').map_or(text, |(text, _)| text);
    let mut parts = DateParts::default();
    for word in text.split([' ', ',', '\u{202f}', '\u{a0}']).filter(|word| !word.is_empty()) {
        parts.take(word)?;
    }
    let month = parts.month?;
    let [one, two] = parts.numbers[..] else { return None };
    let (day, year) = match (one.len(), two.len(), years) {
        (1 | 2, 4, _) | (1 | 2, 2, Years::TwoDigitsLast) => (one, two),
        (4, 1 | 2, _) => (two, one),
        (1 | 2, 1 | 2, Years::FourDigits) => return Some(Err(DatetimeError::TwoDigitYear)),
        _ => return None,
    };
    let (day, whole_year) = (day.parse().ok()?, full_year(year.len(), year.parse().ok()?));
    let clock = read_time(&parts.time)?;
    Some(clock.on(whole_year, month, day))
}

impl<'a> DateParts<'a> {
    /// Takes a word. `None`: it belongs to no date.
    fn take(&mut self, word: &'a str) -> Option<()> {
        let bare = word.trim_end_matches('.');
        let lower = bare.to_ascii_lowercase();
        if name_at(&lower, WEEKDAYS).is_some() || FILLERS.contains(&lower.as_str()) {
            return Some(());
        }
        if bare.starts_with(|c: char| c.is_ascii_digit()) && word.contains(':') {
            let is_first = self.time.is_empty();
            self.time.push_str(word);
            return is_first.then_some(());
        }
        let noon = lower.replace('.', "");
        let is_noon = matches!(noon.as_str(), "am" | "pm");
        if is_noon || is_of_zone(bare) {
            let is_behind_time = !self.time.is_empty();
            self.time.push(' ');
            self.time.push_str(if is_noon { &noon } else { bare });
            return is_behind_time.then_some(());
        }
        word.split(['-', '/', '.']).filter(|part| !part.is_empty()).try_for_each(|part| self.take_part(part))
    }

    fn take_part(&mut self, part: &'a str) -> Option<()> {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let (number, letters) = part.split_at(digits);
        let lower = letters.to_ascii_lowercase();
        if !number.is_empty() {
            self.numbers.push(number);
            return matches!(lower.as_str(), "" | "st" | "nd" | "rd" | "th").then_some(());
        }
        let month = name_at(&lower, MONTHS).filter(|_| self.month.is_none())?;
        self.month = Some(month);
        Some(())
    }
}

fn is_of_zone(word: &str) -> bool {
    is_zone(word)
        || word.starts_with(['+', '-'])
            && word.len() > 1
            && word[1..].bytes().all(|b| b.is_ascii_digit() || b == b':')
        || ["GMT", "UTC"]
            .iter()
            .any(|zone| word.starts_with(zone) && word[zone.len()..].starts_with(['+', '-']))
}

/// The number, from 1, of the name that is this word, or begins with it.
fn name_at(word: &str, names: &[&str]) -> Option<i8> {
    let fits = |name: &&str| word.len() >= LETTERS_MIN && name.starts_with(word);
    let at = names.iter().position(|name| fits(name) || (word == "sept" && *name == "september"))?;
    i8::try_from(at + 1).ok()
}

//! One record becomes one row: every value exactly as the service accepts it, or a list of what is wrong.

mod address;
mod advice;
mod notices;
mod place;
mod rules;
mod source;
mod texts;
mod warnings;

use std::{borrow::Cow, cell::RefCell};

use super::{
    borrowed_row::BorrowedRow,
    mapping::{Columns, Field, Transform, ValueSource},
    values::{
        self,
        datetime::OffsetSeen,
        tags::{self, Cell, TagSeparator},
    },
};
use crate::{
    domain::{FileStamp, ObjectStamp, Problem, Submission},
    redact,
};
pub(super) use advice::{Explanation, problem_at};
use advice::{datetime_advice, tag_advice};
pub(super) use notices::Notices;
pub use rules::{LoneComma, RowRules, SameBy, Via};

/// `camera_model` is at most this long, in characters (the service's upload documentation).
const CAMERA_MODEL_MAX: usize = 200;
/// `callback` is at most this long, in characters (the service's upload documentation).
const CALLBACK_MAX: usize = 299;
/// A bound of our own for the namespace, in characters; the service states none.
const NAMESPACE_MAX: usize = 200;

/// Collects what is wrong with one record.
struct Reading<'a> {
    cells: &'a [&'a str],
    columns: &'a Columns,
    rules: &'a RowRules,
    notices: &'a Notices,
    /// Columns whose missing value is counted already: a value may be asked for several times.
    counted: RefCell<Vec<usize>>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    /// Of the file that the address names.
    file: Option<FileStamp>,
    /// Of the object that the address names, where its bytes are sent.
    object: Option<ObjectStamp>,
}

impl<'a> Reading<'a> {
    fn new(cells: &'a [&'a str], columns: &'a Columns, rules: &'a RowRules, notices: &'a Notices) -> Self {
        Self {
            cells,
            columns,
            rules,
            notices,
            counted: RefCell::default(),
            problems: Vec::new(),
            warnings: Vec::new(),
            file: None,
            object: None,
        }
    }
}

/// What a record with a cell for every column says, or everything that is wrong with it.
pub(super) fn convert<'a>(
    cells: &'a [&'a str],
    columns: &'a Columns,
    rules: &'a RowRules,
    notices: &'a Notices,
) -> Result<BorrowedRow<'a>, Vec<Problem>> {
    let mut reading = Reading::new(cells, columns, rules, notices);
    let address = reading.address();
    let tags = reading.optional(Field::Tags, Reading::tags).unwrap_or_default();
    let coordinates = reading.optional(Field::Geo, |reading| {
        let before = reading.problems.len();
        reading.find_unreadable(Field::Latitude);
        reading.find_unreadable(Field::Longitude);
        if reading.problems.len() == before { reading.coordinates() } else { None }
    });
    let datetime_taken = reading.optional(Field::Datetime, Reading::datetime);
    let camera_model =
        reading.optional(Field::CameraModel, |reading| reading.text(Field::CameraModel, CAMERA_MODEL_MAX));
    let callback = reading.optional(Field::Callback, Reading::callback);
    let retain_original_video = reading.optional(Field::RetainOriginalVideo, Reading::retain_original_video);
    let video_transcription_prompt = reading.optional(Field::VideoTranscriptionPrompt, |reading| {
        reading.text(Field::VideoTranscriptionPrompt, super::records::CELL_MAX)
    });
    for field in [Field::UniqueId, Field::Id, Field::Hash, Field::Time] {
        reading.find_unreadable(field);
    }
    let namespace = reading.namespace();
    let external_id = reading.value(Field::Id);
    reading.find_short_numbers();
    let item_id = reading.item_id(external_id.as_ref());
    // `0` of a program that made no digest
    let content_hash = reading.value(Field::Hash).filter(|hash| hash.bytes().any(|byte| byte != b'0'));
    let (Some(address), []) = (address, &reading.problems[..]) else { return Err(reading.problems) };
    Ok(BorrowedRow {
        address,
        file: reading.file,
        object: reading.object,
        namespace,
        item_id,
        tags,
        coordinates,
        datetime_taken,
        camera_model,
        callback,
        retain_original_video,
        video_transcription_prompt,
        external_id,
        content_hash,
        warnings: reading.warnings,
    })
}

/// The problem of a record with more or fewer cells than there are columns.
pub(super) fn wrong_width(expected: usize, found: usize) -> Problem {
    let (what, fix) = if found < expected {
        ("fewer", "write empty cells out, or say --pad-short-rows if only cells at the end are missing")
    } else {
        (
            "more",
            "quote cells that contain the delimiter; --escape '\\' if a backslash precedes quotes in cells",
        )
    };
    let message = format!("the row has {what} cells than the header: {found} and not {expected}");
    problem_at(None, String::new(), Explanation::new("column_count", message, fix))
}

/// The text of one field.
pub(super) fn value_of(cells: &[&str], columns: &Columns, field: Field) -> Option<String> {
    if cells.len() != columns.names().len() {
        return None;
    }
    let (rules, notices) = (RowRules::default(), Notices::default());
    let reading = Reading::new(cells, columns, &rules, &notices);
    reading.value(field).map(Cow::into_owned)
}

/// The problem of a record with a cell that is not UTF-8; `column` counts from 0.
pub(super) fn not_utf8(column: usize, columns: &Columns, cells: &[String]) -> Problem {
    Problem {
        column: columns.names().get(column).cloned().unwrap_or_default(),
        column_number: column + 1,
        value: cells.get(column).map(|cell| redact::opaque(cell)).unwrap_or_default(),
        class: "not_utf8".to_owned(),
        message: "the cell is not UTF-8".to_owned(),
        fix: "name the file's encoding, for example --encoding windows-1252".to_owned(),
    }
}

/// Texts that mean yes, in lower case.
const YES: &[&str] = &["true", "yes", "y", "1", "t", "x", "on", "checked", "1.0", "\u{2713}", "\u{2714}"];
/// Texts that mean no, in lower case.
const NO: &[&str] = &["false", "no", "n", "0", "f", "off", "unchecked", "0.0", "-"];

impl<'a> Reading<'a> {
    /// Reads a field that a row may lack. Where its value cannot be read and `--drop-invalid` names the field, the row
    /// loses the value and takes a warning.
    fn optional<T>(&mut self, field: Field, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let before = self.problems.len();
        let value = read(self);
        self.find_unreadable(field);
        if self.problems.len() == before {
            return value;
        }
        if self.rules.drop_invalid.contains(&field) {
            for problem in self.problems.drain(before..) {
                let message = format!("left out: {}", problem.message);
                let fix = format!("{}; without --drop-invalid the row is invalid", problem.fix);
                let class = "value_dropped".to_owned();
                self.warnings.push(Problem { class, message, fix, ..problem });
            }
        }
        None
    }

    fn problem(&mut self, field: Field, value: String, explanation: Explanation<'_>) {
        self.problems.push(problem_at(self.first(field), value, explanation));
    }

    /// The first column that feeds a field.
    fn first(&self, field: Field) -> Option<(usize, &'a str)> {
        self.columns.first_of(field).map(|number| (number, self.columns.names()[number].as_str()))
    }

    /// Warns of numbers that a spreadsheet has rounded, in cells that name something.
    fn find_short_numbers(&mut self) {
        const NAMING: [Field; 4] = [Field::Id, Field::Url, Field::UniqueId, Field::Tags];
        let begins_so = |cell: &str| cell.as_bytes().first().is_some_and(u8::is_ascii_digit);
        for (column, cell) in self.cells.iter().map(|cell| values::trim(cell)).enumerate() {
            if !begins_so(cell) || !is_scientific(cell) {
                continue;
            }
            let feeds = |field: &Field| {
                let sources = self.columns.of(*field).unwrap_or_default();
                sources.iter().any(|source| source.columns().contains(&column))
            };
            if let Some(field) = NAMING.into_iter().find(feeds) {
                self.warn_of_short_number(field, column, redact::opaque(cell));
            }
        }
    }

    fn item_id(&mut self, id: Option<&Cow<'a, str>>) -> Option<Cow<'a, str>> {
        if self.rules.same_by == SameBy::Url {
            return None;
        }
        if id.is_none() {
            let message = "the row has no id, and with --same-by id an id says which video it is".to_owned();
            let fix = "write one, or map it: --map id=COLUMN";
            self.problem(Field::Id, String::new(), Explanation::new("id_missing", message, fix));
        }
        id.cloned()
    }

    /// The namespace of the row. It is never cut: another namespace is another place.
    fn namespace(&mut self) -> Cow<'a, str> {
        let Some(value) = self.value(Field::UniqueId) else { return Cow::Borrowed(&self.rules.namespace) };
        if value.len() > NAMESPACE_MAX && value.chars().count() > NAMESPACE_MAX {
            let message = format!("a namespace has at most {NAMESPACE_MAX} characters");
            self.problem(
                Field::UniqueId,
                redact::opaque(&value),
                Explanation::new("text_too_long", message, "shorten it"),
            );
        }
        value
    }

    /// The name of the first column that feeds a field, as a mapping takes it.
    fn name_of(&self, field: Field) -> &'a str {
        self.first(field).map_or("COLUMN", |(_, name)| name)
    }

    /// The first empty column among those that make a field.
    fn gap(&self, field: Field) -> Option<(usize, &'a str)> {
        let mut columns = self.columns.of(field)?.iter().flat_map(ValueSource::columns);
        let column = columns.find(|column| self.cell(*column).is_none())?;
        Some((column, self.columns.names()[column].as_str()))
    }

    fn tags(&mut self) -> Option<Vec<Cow<'a, str>>> {
        let (columns, rules, reading) = (self.columns, self.rules, &*self);
        let mut escaped: Option<(bool, String)> = None;
        let cells = columns.of(Field::Tags).unwrap_or_default().iter().flat_map(|source| {
            let cells = reading.tag_cells(source);
            for cell in &cells {
                let (Cell::Parts(text) | Cell::Whole(text)) = cell;
                if matches!(cell, Cell::Parts(_)) && rules.tag_separator == TagSeparator::Default {
                    reading.note_separators(source, text);
                }
                if escaped.is_none() && memchr::memchr2(b'&', b'\\', text.as_bytes()).is_some() {
                    let is_html = has_entity(text);
                    escaped = (is_html || has_escape(text)).then(|| (is_html, redact::opaque(text)));
                }
            }
            cells
        });
        let read = tags::read(cells, &rules.tag_separator, rules.too_long);
        if let Some((is_html, value)) = escaped {
            self.warn_of_escapes(is_html, value);
        }
        match read {
            Ok((tags, is_cut)) => {
                if is_cut {
                    let (count, length) = (Submission::TAGS_MAX, tags::TAG_LENGTH_MAX);
                    let message =
                        format!("tags were cut: at most {count} are taken, of at most {length} characters");
                    self.warn_of_cut(Field::Tags, "", message);
                }
                if let Some(fragment) = tags.iter().find(|tag| tags::is_fragment(tag)) {
                    self.warn_of_fragment(redact::opaque(fragment));
                }
                if rules.lone_comma == LoneComma::Refused && matches!(&tags[..], [lone] if lone.contains(','))
                {
                    let message = "a single tag with a comma may be split by the service".to_owned();
                    let fix = "remove the comma, add a second tag, or leave the marker tag on";
                    self.problem(
                        Field::Tags,
                        redact::opaque(&tags[0]),
                        Explanation::new("tag_comma", message, fix),
                    );
                }
                Some(tags)
            }
            Err(error) => {
                let (value, class, message, fix) = tag_advice(error);
                self.problem(Field::Tags, value, Explanation::new(class, message, fix));
                None
            }
        }
    }

    /// Notes tags with a comma and another separator in one cell: either may be part of a tag.
    fn note_separators(&self, source: &ValueSource, text: &str) {
        let is_mixed = memchr::memchr2(b';', b'|', text.as_bytes()).is_some()
            && memchr::memchr(b',', text.as_bytes()).is_some()
            && !text.starts_with(['[', '{', '"']);
        if let Some(column) = source.columns().first().filter(|_| is_mixed) {
            self.notices.count_two_separators(*column, self.columns.names().len(), text);
        }
    }

    /// The texts that one source gives for tags.
    fn tag_cells(&self, source: &'a ValueSource) -> Vec<Cell<'a>> {
        match source {
            ValueSource::Text(_) | ValueSource::Flag(_) => {
                self.part(Field::Tags, source).map(Cell::Whole).into_iter().collect()
            }
            ValueSource::Transformed(column, transforms) => {
                let is_split = transforms.iter().any(|transform| {
                    matches!(
                        transform,
                        Transform::Split(_) | Transform::Json(_) | Transform::First | Transform::Address
                    )
                });
                let values = self.transformed(*column, transforms).unwrap_or_default().into_iter();
                let whole =
                    |value: Cow<'a, str>| Cell::Whole(tags::label_of(&value).map_or(value, Cow::Owned));
                values.map(|value| if is_split { whole(value) } else { Cell::Parts(value) }).collect()
            }
            ValueSource::Cell(_) | ValueSource::Template(_) => {
                self.part(Field::Tags, source).map(Cell::Parts).into_iter().collect()
            }
        }
    }

    fn datetime(&mut self) -> Option<Cow<'a, str>> {
        let value = self.value(Field::Datetime)?;
        let rules = &self.rules.dates;
        let read = match (&value, self.value(Field::Time)) {
            (value, Some(time)) => {
                rules.read_with_time(value, &time).map(|(read, offset)| (Cow::Owned(read), offset))
            }
            (Cow::Borrowed(text), None) => rules.read_with_offset(text),
            (Cow::Owned(text), None) => {
                rules.read_with_offset(text).map(|(read, offset)| (Cow::Owned(read.into_owned()), offset))
            }
        };
        match read {
            Ok((timestamp, offset)) => {
                self.notices.note_offset(offset);
                if let (OffsetSeen::AtChange, Some(column)) = (offset, self.columns.first_of(Field::Datetime))
                {
                    self.notices.count_at_change(column, self.columns.names().len(), &value);
                }
                Some(timestamp)
            }
            Err(error) => {
                let shown = match self.value(Field::Time) {
                    Some(time) => redact::opaque(&format!("{value} {time}")),
                    None => redact::opaque(&value),
                };
                let (class, message, fix) = datetime_advice(error);
                self.problem(Field::Datetime, shown, Explanation::new(class, message.to_owned(), fix));
                None
            }
        }
    }
}

/// Whether a text holds an entity of HTML. A name before a semicolon may be a tag (`R&B;soul`): only known ones are taken.
fn has_entity(text: &str) -> bool {
    const NAMES: &[&str] = &["amp", "quot", "apos", "lt", "gt", "nbsp", "szlig", "hellip", "ndash", "mdash"];
    const ENDS: &[&str] = &["acute", "grave", "circ", "uml", "tilde", "cedil", "ring", "slash", "quo"];
    let is_entity = |name: &str| {
        let digits = name.strip_prefix('#').map(|number| number.trim_start_matches(['x', 'X']));
        digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
            || NAMES.contains(&name)
            || ENDS
                .iter()
                .any(|end| name.len() > end.len() && name.len() < end.len() + 3 && name.ends_with(end))
    };
    text.split('&').skip(1).any(|rest| rest.split_once(';').is_some_and(|(name, _)| is_entity(name)))
}

/// Whether a text holds a line break or a tab as databases write them.
fn has_escape(text: &str) -> bool {
    // a list as programs write it is read with its escapes
    if text.starts_with('[') {
        return false;
    }
    ["\\n", "\\t", "\\r"].iter().any(|escape| text.contains(escape))
}

/// Whether a text is a number as spreadsheets shorten it: `1.23457E+17`, or as programs do: `1.23456789012346e+17`.
fn is_scientific(text: &str) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once("E+").or_else(|| text.split_once("e+")).is_some_and(|(mantissa, exponent)| {
        let mantissa = mantissa.replacen(['.', ','], "", 1);
        is_digits(&mantissa) && is_digits(exponent)
    })
}

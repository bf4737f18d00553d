//! One record becomes one row: every value exactly as the service accepts it, or a list of what is wrong.

mod address;
mod advice;
mod notices;
mod place;

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    borrowed_row::BorrowedRow,
    mapping::{Columns, Encode, Field, FieldSlot, NotJson, Transform, ValueSource, apply},
    values::{
        self, TooLong,
        coordinates::GeoOrder,
        cut,
        datetime::{DateRules, OffsetRule},
        missing::MissingRules,
        tags::{self, Cell, TagSeparator},
    },
};
use crate::{
    domain::{Problem, SourceUrl, Submission, UrlError},
    redact,
};
pub(super) use advice::problem_at;
use advice::{datetime_advice, tag_advice, url_advice};
pub(super) use notices::Notices;

/// `camera_model` is at most this long, in characters (the service's upload documentation).
const CAMERA_MODEL_MAX: usize = 200;
/// `callback` is at most this long, in characters (the service's upload documentation).
const CALLBACK_MAX: usize = 299;
/// A bound of our own for the namespace, in characters; the service states none.
const NAMESPACE_MAX: usize = 200;

/// How values are read.
#[derive(Clone, Debug)]
pub struct RowRules {
    /// The namespace of rows that name none.
    pub namespace: String,
    pub tag_separator: TagSeparator,
    pub dates: DateRules,
    /// Which coordinate comes first where both stand in one cell.
    pub geo_order: GeoOrder,
    pub too_long: TooLong,
    pub same_by: SameBy,
    pub lone_comma: LoneComma,
    pub missing: MissingRules,
    /// Fields whose value is left out where it cannot be read; the row is sent without it.
    pub drop_invalid: Vec<Field>,
}

impl Default for RowRules {
    fn default() -> Self {
        Self {
            namespace: "default".to_owned(),
            tag_separator: TagSeparator::Default,
            dates: DateRules::default(),
            geo_order: GeoOrder::LatLon,
            too_long: TooLong::Refuse,
            same_by: SameBy::Url,
            lone_comma: LoneComma::Safe,
            missing: MissingRules::default(),
            drop_invalid: Vec::new(),
        }
    }
}

/// By what two rows of one namespace are the same item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameBy {
    /// The address, without what signs it.
    #[default]
    Url,
    /// The user's own id, whatever the address.
    Id,
}

/// A form with one `tags` value that contains a comma may be split by the service into two tags (Spring's rule for a
/// list parameter). With the marker tag there are always two values, and the comma is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoneComma {
    /// Another tag goes along.
    Safe,
    /// It would be alone: refuse the row.
    Refused,
}

/// Collects what is wrong with one record.
struct Reading<'a> {
    cells: &'a [&'a str],
    columns: &'a Columns,
    rules: &'a RowRules,
    notices: &'a Notices,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

/// What a record with a cell for every column says, or everything that is wrong with it.
pub(super) fn convert<'a>(
    cells: &'a [&'a str],
    columns: &'a Columns,
    rules: &'a RowRules,
    notices: &'a Notices,
) -> Result<BorrowedRow<'a>, Vec<Problem>> {
    let mut reading = Reading { cells, columns, rules, notices, problems: Vec::new(), warnings: Vec::new() };
    let address = reading.address();
    let tags = reading.optional(Field::Tags, Reading::tags).unwrap_or_default();
    let coordinates = reading.optional(Field::Geo, Reading::coordinates);
    let datetime_taken = reading.optional(Field::Datetime, Reading::datetime);
    let camera_model =
        reading.optional(Field::CameraModel, |reading| reading.text(Field::CameraModel, CAMERA_MODEL_MAX));
    let callback = reading.optional(Field::Callback, Reading::callback);
    let retain_original_video = reading.optional(Field::RetainOriginalVideo, Reading::retain_original_video);
    let video_transcription_prompt = reading.optional(Field::VideoTranscriptionPrompt, |reading| {
        reading.text(Field::VideoTranscriptionPrompt, super::records::CELL_MAX)
    });
    let namespace = reading.namespace();
    let external_id = reading.external_id();
    let item_id = reading.item_id(external_id.as_ref());
    let content_hash = reading.value(Field::Hash);
    let (Some(address), []) = (address, &reading.problems[..]) else { return Err(reading.problems) };
    Ok(BorrowedRow {
        address,
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
    let message = format!("expected {expected} cells, found {found}");
    let fix = "quote cells that contain the delimiter, and write empty cells out";
    problem_at(None, String::new(), ("column_count", message, fix))
}

/// The text of one field.
pub(super) fn value_of(cells: &[&str], columns: &Columns, field: Field) -> Option<String> {
    if cells.len() != columns.names().len() {
        return None;
    }
    let (rules, notices) = (RowRules::default(), Notices::default());
    let reading = Reading {
        cells,
        columns,
        rules: &rules,
        notices: &notices,
        problems: Vec::new(),
        warnings: Vec::new(),
    };
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

/// What cannot stand in a path as it is; a slash can.
const IN_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');
/// What cannot stand in the value of a parameter as it is.
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Texts that mean yes, in lower case.
const YES: &[&str] = &["true", "yes", "y", "1", "t", "x"];
/// Texts that mean no, in lower case.
const NO: &[&str] = &["false", "no", "n", "0", "f"];

impl<'a> Reading<'a> {
    /// Reads a field that a row may lack. Where its value cannot be read and `--drop-invalid` names the field, the row
    /// loses the value and takes a warning.
    fn optional<T>(&mut self, field: Field, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let before = self.problems.len();
        let value = read(self);
        self.find_unreadable_json(field);
        if self.problems.len() == before {
            return value;
        }
        if self.rules.drop_invalid.contains(&field) {
            for problem in self.problems.drain(before..) {
                let message = format!("left out: {}", problem.message);
                let fix = format!("{}; without --drop-invalid the row is refused", problem.fix);
                let class = "value_dropped".to_owned();
                self.warnings.push(Problem { class, message, fix, ..problem });
            }
        }
        None
    }

    /// The value of a field, joined and trimmed. `None`: empty, missing, or not mapped.
    fn value(&self, field: Field) -> Option<Cow<'a, str>> {
        let sources = self.columns.of(field)?;
        if let [source] = sources {
            return self.part(field, source);
        }
        let parts: Vec<Cow<'_, str>> = sources.iter().filter_map(|source| self.part(field, source)).collect();
        // no half of an address is sent
        let has_gap = field == Field::Url && parts.len() < sources.len();
        (!parts.is_empty() && !has_gap).then(|| Cow::Owned(parts.join(field.joint())))
    }

    /// The text of a cell. `None`: empty or missing.
    fn cell(&self, column: usize) -> Option<&'a str> {
        let text = values::trim(self.cells[column]);
        if text.is_empty() {
            return None;
        }
        if self.rules.missing.is_missing(text) {
            self.notices.count_missing(column, self.cells.len(), text);
            return None;
        }
        Some(text)
    }

    /// What one source gives. `None`: nothing.
    fn part(&self, field: Field, source: &'a ValueSource) -> Option<Cow<'a, str>> {
        match source {
            ValueSource::Cell(column) => self.cell(*column).map(Cow::Borrowed),
            ValueSource::Transformed(column, transforms) => {
                self.transformed(*column, transforms).map(joined)?
            }
            ValueSource::Flag(column) => {
                let cell = values::trim(self.cells[*column]);
                let says_yes = YES.contains(&cell.to_ascii_lowercase().as_str());
                says_yes.then(|| Cow::Borrowed(self.columns.names()[*column].as_str()))
            }
            ValueSource::Text(text) => Some(Cow::Borrowed(text.as_str())).filter(|text| !text.is_empty()),
            ValueSource::Template(slots) => self.fill(field, slots).map(Cow::Owned),
        }
    }

    /// The values that transforms make of a cell. `None`: the cell is empty, missing, or not what they read.
    fn transformed(&self, column: usize, transforms: &[Transform]) -> Option<Vec<Cow<'a, str>>> {
        apply(self.cell(column)?, transforms).ok()
    }

    /// A template with its values. `None`: all of them are empty, or, in an address, one is.
    fn fill(&self, field: Field, slots: &[FieldSlot]) -> Option<String> {
        let (mut has_value, mut has_gap) = (false, false);
        let filled = slots.iter().fold(String::new(), |mut filled, slot| {
            match slot {
                FieldSlot::Text(text) => filled.push_str(text),
                FieldSlot::Cell(column, encode, transforms) => {
                    let value = self.transformed(*column, transforms).and_then(joined);
                    has_value |= value.is_some();
                    has_gap |= value.is_none();
                    let value = value.unwrap_or_default();
                    match encode {
                        Encode::Raw => filled.push_str(&value),
                        Encode::Path => filled.extend(utf8_percent_encode(&value, IN_PATH)),
                        Encode::Query => filled.extend(utf8_percent_encode(&value, IN_QUERY)),
                    }
                }
            }
            filled
        });
        let is_usable = if field == Field::Url { !has_gap } else { has_value || !has_gap };
        is_usable.then_some(filled)
    }

    /// Adds a problem for every cell of a field that is no JSON though its transforms read it as such.
    fn find_unreadable_json(&mut self, field: Field) {
        if !self.columns.has_json_transforms() {
            return;
        }
        let sources = self.columns.of(field).unwrap_or_default().iter();
        for (column, transforms) in sources.flat_map(ValueSource::transformed) {
            let Some(text) = self.cell(column) else { continue };
            if apply(text, transforms) == Err(NotJson) {
                let name = Some((column, self.columns.names()[column].as_str()));
                let fix = "correct the cell, or leave |json out of the mapping";
                let words = ("json_cell", "the cell is not JSON".to_owned(), fix);
                self.problems.push(problem_at(name, redact::opaque(text), words));
            }
        }
    }

    fn problem(&mut self, field: Field, value: String, words: (&str, String, &str)) {
        self.problems.push(problem_at(self.first(field), value, words));
    }

    /// The first column that feeds a field.
    fn first(&self, field: Field) -> Option<(usize, &'a str)> {
        self.columns.first_of(field).map(|number| (number, self.columns.names()[number].as_str()))
    }

    fn warn_of_cut(&mut self, field: Field, value: &str, message: String) {
        let fix = "shorten it in the manifest, or leave --too-long cut out to refuse such rows";
        let words = ("text_cut", message, fix);
        self.warnings.push(problem_at(self.first(field), redact::opaque(value), words));
    }

    /// The user's own id.
    fn external_id(&mut self) -> Option<Cow<'a, str>> {
        let id = self.value(Field::Id)?;
        if is_scientific(&id) {
            let message = "a spreadsheet has shortened this number: different ids look the same".to_owned();
            let fix = "format the column as text before the export";
            let words = ("id_scientific", message, fix);
            self.warnings.push(problem_at(self.first(Field::Id), redact::opaque(&id), words));
        }
        Some(id)
    }

    fn item_id(&mut self, id: Option<&Cow<'a, str>>) -> Option<Cow<'a, str>> {
        if self.rules.same_by == SameBy::Url {
            return None;
        }
        if id.is_none() {
            let message = "the row has no id, and with --same-by id an id says which video it is".to_owned();
            let fix = "write one, or map it: --map id=COLUMN";
            self.problem(Field::Id, String::new(), ("id_missing", message, fix));
        }
        id.cloned()
    }

    /// The namespace of the row. It is never cut: another namespace is another place.
    fn namespace(&mut self) -> Cow<'a, str> {
        let Some(value) = self.value(Field::UniqueId) else { return Cow::Borrowed(&self.rules.namespace) };
        if value.len() > NAMESPACE_MAX && value.chars().count() > NAMESPACE_MAX {
            let message = format!("a namespace has at most {NAMESPACE_MAX} characters");
            self.problem(Field::UniqueId, redact::opaque(&value), ("text_too_long", message, "shorten it"));
        }
        value
    }

    fn address(&mut self) -> Option<Cow<'a, str>> {
        let value = self.value(Field::Url).unwrap_or_default();
        self.find_unreadable_json(Field::Url);
        // the scheme of the first is not asked for
        let may_hold_two = value.len() > 16 && memchr::memmem::find(&value.as_bytes()[8..], b"://").is_some();
        if may_hold_two && address::count(&value) > 1 {
            self.refuse_several_addresses(&value);
            return None;
        }
        let read = match &value {
            Cow::Borrowed(text) => SourceUrl::normalise(text),
            Cow::Owned(text) => SourceUrl::normalise(text).map(|address| Cow::Owned(address.into_owned())),
        };
        match read {
            Ok(address) => {
                if memchr::memmem::find(address.as_bytes(), b"&amp;").is_some() {
                    let message = "&amp; stands in the address: it was written for HTML".to_owned();
                    let fix = format!("decode it: --map 'url={{{}|html}}'", self.name_of(Field::Url));
                    let words = ("url_html_escaped", message, fix.as_str());
                    self.warnings.push(problem_at(self.first(Field::Url), redact::url(&value), words));
                }
                Some(address)
            }
            Err(UrlError::Empty) if !self.problems.is_empty() => None,
            Err(error) => {
                let (class, fix) = url_advice(error);
                let fix = fix.replace("COLUMN", self.name_of(Field::Url));
                let column = self.gap(Field::Url).or_else(|| self.first(Field::Url));
                let words = (class, error.to_string(), fix.as_str());
                self.problems.push(problem_at(column, redact::url(&value), words));
                None
            }
        }
    }

    fn refuse_several_addresses(&mut self, value: &str) {
        let message = format!("the cell holds more than one address ({})", address::count(value));
        let name = self.name_of(Field::Url);
        let fix = if value.starts_with('[') {
            format!("write one address a row, or take the first: --map \"url={{{name}|json 0}}\"")
        } else {
            let separator =
                ['|', ';', ',', '\n'].into_iter().find(|sign| value.contains(*sign)).unwrap_or(' ');
            let separator = if separator == '\n' { ' ' } else { separator };
            format!(
                "write one address a row, or take the first: --map \"url={{{name}|split '{separator}'|first}}\""
            )
        };
        let shown = value.split(['|', ';', ',', ' ', '\n']).next().unwrap_or_default();
        self.problem(Field::Url, redact::url(shown), ("url_several", message, &fix));
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
        let mut escaped: Option<String> = None;
        let cells = columns.of(Field::Tags).unwrap_or_default().iter().flat_map(|source| {
            let cells = reading.tag_cells(source);
            for Cell::Parts(text) | Cell::Whole(text) in &cells {
                if escaped.is_none() && has_entity(text) {
                    escaped = Some(redact::opaque(text));
                }
            }
            cells
        });
        let read = tags::read(cells, &rules.tag_separator, rules.too_long);
        if let Some(value) = escaped {
            let message = "a text written for HTML".to_owned();
            let fix = format!("decode it: --map 'tags={{{}|html}}'", self.name_of(Field::Tags));
            let words = ("text_html_escaped", message, fix.as_str());
            self.warnings.push(problem_at(self.first(Field::Tags), value, words));
        }
        match read {
            Ok((tags, is_cut)) => {
                if is_cut {
                    let (count, length) = (Submission::TAGS_MAX, tags::TAG_LENGTH_MAX);
                    let message = format!("tags were cut to {count} of {length} characters");
                    self.warn_of_cut(Field::Tags, "", message);
                }
                if rules.lone_comma == LoneComma::Refused && matches!(&tags[..], [lone] if lone.contains(','))
                {
                    let message = "a single tag with a comma may be split by the service".to_owned();
                    let fix = "remove the comma, add a second tag, or leave the marker tag on";
                    self.problem(Field::Tags, redact::opaque(&tags[0]), ("tag_comma", message, fix));
                }
                Some(tags)
            }
            Err(error) => {
                let (value, class, message, fix) = tag_advice(error);
                self.problem(Field::Tags, value, (class, message, fix));
                None
            }
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
                    matches!(transform, Transform::Split(_) | Transform::Json(_) | Transform::First)
                });
                let values = self.transformed(*column, transforms).unwrap_or_default().into_iter();
                values.map(|value| if is_split { Cell::Whole(value) } else { Cell::Parts(value) }).collect()
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
                if rules.offset == OffsetRule::Keep {
                    self.notices.note_offset(offset);
                }
                Some(timestamp)
            }
            Err(error) => {
                let shown = match self.value(Field::Time) {
                    Some(time) => redact::opaque(&format!("{value} {time}")),
                    None => redact::opaque(&value),
                };
                let (class, message, fix) = datetime_advice(error);
                self.problem(Field::Datetime, shown, (class, message.to_owned(), fix));
                None
            }
        }
    }

    fn text(&mut self, field: Field, length_max: usize) -> Option<Cow<'a, str>> {
        let mut value = self.value(field)?;
        // in bytes first: few texts are long enough to be counted in characters
        let length = if value.len() > length_max { value.chars().count() } else { 0 };
        if length <= length_max {
            return Some(value);
        }
        if self.rules.too_long == TooLong::Cut {
            self.warn_of_cut(field, &value, format!("{length} characters were cut to {length_max}"));
            cut(value.to_mut(), length_max);
            return Some(value);
        }
        let message = format!("{length} characters, at most {length_max} are taken");
        let fix = "shorten it, or say --too-long cut";
        self.problem(field, redact::opaque(&value), ("text_too_long", message, fix));
        None
    }

    fn callback(&mut self) -> Option<Cow<'a, str>> {
        let value = self.value(Field::Callback)?;
        // an address that is cut is another one
        if value.len() > CALLBACK_MAX && value.chars().count() > CALLBACK_MAX {
            let message = format!("an address of at most {CALLBACK_MAX} characters is taken");
            self.problem(Field::Callback, redact::url(&value), ("text_too_long", message, "shorten it"));
            return None;
        }
        match SourceUrl::parse(&value) {
            Ok(_) => Some(value),
            Err(error) => {
                let words = ("callback_url", error.to_string(), "write an http(s) address");
                self.problem(Field::Callback, redact::url(&value), words);
                None
            }
        }
    }

    fn retain_original_video(&mut self) -> Option<bool> {
        let value = self.value(Field::RetainOriginalVideo)?;
        match value.to_ascii_lowercase().as_str() {
            as_str if YES.contains(&as_str) => Some(true),
            as_str if NO.contains(&as_str) => Some(false),
            _ => {
                let message = "neither true nor false".to_owned();
                let words = ("boolean", message, "write true or false");
                self.problem(Field::RetainOriginalVideo, redact::opaque(&value), words);
                None
            }
        }
    }
}

/// One text of several values.
fn joined(values: Vec<Cow<'_, str>>) -> Option<Cow<'_, str>> {
    match values.len() {
        0 => None,
        1 => values.into_iter().next(),
        _ => Some(Cow::Owned(values.join(" "))),
    }
}

/// Whether a text holds an entity of HTML.
fn has_entity(text: &str) -> bool {
    if memchr::memchr(b'&', text.as_bytes()).is_none() {
        return false;
    }
    ["&amp;", "&quot;", "&#39;", "&#039;", "&apos;", "&lt;", "&gt;", "&nbsp;"]
        .iter()
        .any(|entity| text.contains(entity))
}

/// Whether a text is a number as spreadsheets shorten it: `1.23457E+17`.
fn is_scientific(text: &str) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once("E+").is_some_and(|(mantissa, exponent)| {
        let mantissa = mantissa.replacen(['.', ','], "", 1);
        is_digits(&mantissa) && is_digits(exponent)
    })
}

//! The text of a field: from cells, templates, and transforms.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Explanation, NO, Reading, YES, problem_at};
use crate::{
    domain::is_object_address,
    manifest::{
        mapping::{Encode, Field, FieldSlot, Transform, Unreadable, ValueSource, apply},
        values,
    },
    redact,
};

/// What cannot be in a path as it is; a slash can.
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
/// What cannot be in the value of a parameter as it is.
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

impl<'a> Reading<'a> {
    /// The value of a field, joined and trimmed. `None`: empty, missing, or not mapped.
    pub(super) fn value(&self, field: Field) -> Option<Cow<'a, str>> {
        let sources = self.columns.of(field)?;
        if let [source] = sources {
            return self.part(field, source);
        }
        let parts: Vec<Cow<'_, str>> = sources.iter().filter_map(|source| self.part(field, source)).collect();
        // no half of an address is sent
        let has_gap = field.is_address() && parts.len() < sources.len();
        (!parts.is_empty() && !has_gap).then(|| Cow::Owned(parts.join(field.joint())))
    }

    /// The text of a cell. `None`: empty or missing.
    pub(super) fn cell(&self, column: usize) -> Option<&'a str> {
        let text = as_text(values::trim(self.cells[column]));
        if text.is_empty() {
            return None;
        }
        if self.rules.missing.is_missing(text) {
            let mut counted = self.counted.borrow_mut();
            if !counted.contains(&column) {
                counted.push(column);
                self.notices.count_missing(column, self.cells.len(), text);
            }
            return None;
        }
        Some(text)
    }

    /// What one source gives. `None`: nothing.
    pub(super) fn part(&self, field: Field, source: &'a ValueSource) -> Option<Cow<'a, str>> {
        match source {
            ValueSource::Cell(column) => self.cell(*column).map(Cow::Borrowed),
            ValueSource::Transformed(column, transforms) => {
                self.transformed(*column, transforms).map(joined)?
            }
            ValueSource::Flag(column) => {
                let cell = self.cell(*column)?.to_lowercase();
                let says_yes = YES.contains(&cell.as_str());
                if !says_yes && !NO.contains(&cell.as_str()) {
                    self.notices.count_unclear_flag(*column, self.cells.len(), &cell);
                }
                says_yes.then(|| Cow::Borrowed(self.columns.names()[*column].as_str()))
            }
            ValueSource::Text(text) => Some(Cow::Borrowed(text.as_str())).filter(|text| !text.is_empty()),
            ValueSource::Template(slots) => self.fill(field, slots).map(Cow::Owned),
        }
    }

    /// The values that transforms make of a cell. `None`: the cell is empty, missing, or not what they read.
    pub(super) fn transformed(&self, column: usize, transforms: &[Transform]) -> Option<Vec<Cow<'a, str>>> {
        apply(self.cell(column)?, transforms).ok()
    }

    /// A template with its values. `None`: all of them are empty, or, in an address, one is.
    pub(super) fn fill(&self, field: Field, slots: &[FieldSlot]) -> Option<String> {
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
                        Encode::Raw if field.is_address() && is_object_address(&filled) => {
                            filled.push_str(behind_slash(&filled, &value));
                        }
                        Encode::Raw => filled.push_str(&value),
                        Encode::Path => {
                            let is_of_windows = value.contains('\\');
                            let path = if is_of_windows { value.replace('\\', "/").into() } else { value };
                            let path = behind_slash(&filled, &path);
                            filled.extend(utf8_percent_encode(path, IN_PATH));
                        }
                        Encode::Query => filled.extend(utf8_percent_encode(&value, IN_QUERY)),
                    }
                }
            }
            filled
        });
        let is_usable = if field.is_address() { !has_gap } else { has_value || !has_gap };
        is_usable.then_some(filled)
    }

    /// Adds a problem for every cell of a field that its transforms cannot read.
    pub(super) fn find_unreadable(&mut self, field: Field) {
        if !self.columns.may_be_unreadable() {
            return;
        }
        let sources = self.columns.of(field).unwrap_or_default().iter();
        for (column, transforms) in sources.flat_map(ValueSource::transformed) {
            let Some(text) = self.cell(column) else { continue };
            let (class, message, fix) = match apply(text, transforms) {
                Ok(_) => continue,
                Err(Unreadable::NotJson) => (
                    "json_cell",
                    "the cell is not JSON",
                    "correct the cell, or leave |json out of the mapping",
                ),
                Err(Unreadable::NotUtf8) => (
                    "form_not_utf8",
                    "what is percent-encoded in the cell is not UTF-8",
                    "encode it as UTF-8, or leave |form out of the mapping",
                ),
            };
            let name = Some((column, self.columns.names()[column].as_str()));
            let words = Explanation::new(class, message.to_owned(), fix);
            self.problems.push(problem_at(name, redact::opaque(text), words));
        }
    }
}

/// A path without the slashes at its beginning where there is one before it: `https://host/` and `/2019/a.mp4` are the same
/// video as `https://host/` and `2019/a.mp4`.
fn behind_slash<'a>(before: &str, path: &'a str) -> &'a str {
    if before.ends_with('/') { path.trim_start_matches('/') } else { path }
}

/// The text of `="0012"`, as which programs write a text that a spreadsheet must not read as a number.
fn as_text(cell: &str) -> &str {
    let inner = cell.strip_prefix("=\"").and_then(|inner| inner.strip_suffix('"'));
    inner.filter(|inner| !inner.contains('"')).map_or(cell, values::trim)
}

/// One text of several values.
fn joined(values: Vec<Cow<'_, str>>) -> Option<Cow<'_, str>> {
    match values.len() {
        0 => None,
        1 => values.into_iter().next(),
        _ => Some(Cow::Owned(values.join(" "))),
    }
}

//! Records that are arrays: `[["url", "tags"], ["https://...", "fog"]]`, one array a line, or arrays in an object that names their
//! columns in another key, as pandas writes them with `orient="split"`.

use super::{
    super::RecordError,
    outline::Document,
    value::{cell_of, elements, labels, without_bare_words},
};
use crate::manifest::{Header, addresses::is_web_address, mapping::unique_names};

/// Keys that name the columns of the arrays beside them.
const COLUMNS_KEYS: &[&str] = &["columns", "column_names", "fields", "headers", "header", "names"];

/// The names of the elements of each array.
#[derive(Clone, Debug)]
pub(super) struct ArrayColumns {
    /// As JSON writes them.
    keys: Vec<String>,
    /// Whether the first array holds the names, and is no row.
    pub(super) has_header: bool,
}

impl ArrayColumns {
    /// The names that a document gives beside its arrays, if it does.
    pub(super) fn beside(document: &Document) -> Option<Self> {
        let names = COLUMNS_KEYS.iter().find_map(|key| {
            let (_, value) = document.members.iter().find(|(own, _)| own == key)?;
            names_in(value)
        })?;
        Some(Self::new(&names, false))
    }

    /// The names that the first array holds, or numbers where it is a row.
    pub(super) fn of_first(first: &str, header: Header) -> Result<Self, String> {
        let first = without_bare_words(first.trim());
        let cells = elements(&first);
        if header == Header::Absent {
            let numbers: Vec<String> = (1..=cells.len()).map(|number| format!("#{number}")).collect();
            return Ok(Self::new(&numbers, false));
        }
        let address = cells.iter().position(|cell| is_address(cell));
        let names = names_in(&first).filter(|_| address.is_none());
        names.map(|names| Self::new(&names, true)).ok_or_else(|| {
            let number = address.map_or(1, |at| at + 1);
            format!(
                "each record is an array, and nothing names its columns; name them by number: --no-header --map url=#{number}"
            )
        })
    }

    fn new(names: &[String], has_header: bool) -> Self {
        let key = |name: &String| serde_json::to_string(name).unwrap_or_default();
        Self { keys: unique_names(names).iter().map(key).collect(), has_header }
    }

    /// An array as an object. Elements that are missing at its end are missing keys.
    pub(super) fn object_of(&self, array: &[u8]) -> Result<String, RecordError> {
        let text = std::str::from_utf8(array).map_err(|_| RecordError::NotAnArray)?;
        let text = without_bare_words(text.trim());
        let cells = elements(&text);
        if cells.is_empty() && serde_json::from_str::<Vec<bool>>(&text).is_err() {
            return Err(RecordError::NotAnArray);
        }
        if cells.len() > self.keys.len() {
            return Err(RecordError::LongArray);
        }
        let pairs: Vec<String> =
            self.keys.iter().zip(cells).map(|(key, cell)| format!("{key}:{cell}")).collect();
        Ok(format!("{{{}}}", pairs.join(",")))
    }
}

/// Whether a file that begins so has one array a line. An array of objects is a part of the rows, not a row.
pub(super) fn are_lines(head: &[u8]) -> bool {
    let head = head.trim_ascii_start();
    let (first, rest) = head.split_at(memchr::memchr(b'\n', head).unwrap_or(head.len()));
    let Ok(first) = std::str::from_utf8(first) else { return false };
    let cells = elements(first.trim());
    !cells.is_empty()
        && !cells.iter().all(|cell| cell.starts_with('{'))
        && rest.trim_ascii_start().starts_with(b"[")
}

/// Whether a file that begins so is an array of arrays.
pub(in crate::manifest) fn are_in_array(head: &[u8]) -> bool {
    let inner = head.trim_ascii_start().strip_prefix(b"[").unwrap_or_default().trim_ascii_start();
    let first = inner.strip_prefix(b"[").map(|inner| inner.trim_ascii_start().first().copied());
    first.flatten().is_some_and(|byte| byte.is_ascii_digit() || b"\"n-]".contains(&byte))
}

/// The texts of an array of names, or of objects that each have one.
fn names_in(array: &str) -> Option<Vec<String>> {
    let array = labels(array);
    let cells = elements(&array);
    let is_name =
        |cell: &&str| cell.starts_with('"') || cell.as_bytes().first().is_some_and(u8::is_ascii_digit);
    if cells.is_empty() || !cells.iter().all(|cell| is_name(cell) || *cell == "null") {
        return None;
    }
    cells.into_iter().map(|cell| cell_of(cell).ok()).collect()
}

fn is_address(cell: &str) -> bool {
    cell.strip_prefix('"').is_some_and(|text| is_web_address(text.trim_start()))
}

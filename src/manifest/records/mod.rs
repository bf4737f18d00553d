//! Records: cells with the line they start on, from CSV, JSON, a list or a worksheet, with bounds.
//!
//! A record takes at most [`RECORD_MAX`] bytes of memory, however long it is in the file, and reading continues behind it.

mod blanks;
mod cells;
mod csv;
mod json;
mod links;
mod sheet;
mod sheet_xml;

use std::{borrow::Cow, io, sync::Arc};

use self::{csv::CsvRecords, json::JsonRecords, sheet::SheetRecords};
use super::{
    dialect::{Dialect, Quote},
    json_text::JsonFault,
    source::Bytes,
};
use crate::domain::{Problem, RowError};
pub(super) use blanks::{Marks, WithoutBlanks};
pub(super) use json::{EACH, JsonPlan, PlanError, Reopen, is_json, is_whole_value};
pub(super) use sheet::{SheetChoice, Workbook, WorkbookError};

/// No record is longer, in bytes without quotes.
const RECORD_MAX: usize = 1024 * 1024;
/// No cell that feeds a field is longer, in bytes.
pub(in crate::manifest) const CELL_MAX: usize = 64 * 1024;
/// No record has more cells: as many as a worksheet has columns.
const COLUMNS_MAX: usize = 16 * 1024;

/// The columns that rules and filters name.
#[derive(Clone, Debug, Default)]
pub(super) struct NamedKeys {
    pub(super) all: Vec<String>,
    /// Those that feed the url.
    pub(super) url: Vec<String>,
    /// Those that feed tags.
    pub(super) tags: Vec<String>,
    /// Those of which each value is a row, where the url has several: `url_hd[]`, `url_sd[]`.
    pub(super) each: Vec<String>,
    /// Whether every path into an array is a column.
    pub(super) wants_arrays: bool,
    /// Whether keys may come that the first bytes do not show.
    pub(super) may_come_late: bool,
}

/// A reader of records.
pub(super) enum Records {
    /// Cells between delimiters, or whole lines.
    Csv(Box<CsvRecords>),
    /// Objects, flattened.
    Json(Box<JsonRecords>),
    /// Rows of a worksheet.
    Sheet(Box<SheetRecords>),
}

/// In which shape records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Cells between delimiters, one record a line or more.
    Csv,
    /// JSON: objects one after the other, one a line or not, or in an array.
    Json,
    /// Addresses, one a line.
    List,
    /// The rows of a worksheet.
    Xlsx,
}

/// No delimiter at all: a byte that no record may contain.
const NO_DELIMITER: u8 = 0;
/// Lines of a list that begin with it are no addresses.
const LIST_COMMENT: u8 = b'#';

impl Records {
    /// Cells of lines, with this delimiter, as the dialect has it.
    pub(super) fn csv(bytes: Bytes, delimiter: u8, dialect: &Dialect) -> Self {
        Self::Csv(Box::new(CsvRecords::new(bytes, delimiter, dialect)))
    }

    /// One cell a line.
    pub(super) fn list(bytes: Bytes, dialect: &Dialect) -> Self {
        let comment = dialect.comment.or(Some(LIST_COMMENT));
        Self::csv(
            bytes,
            NO_DELIMITER,
            &Dialect { quote: Quote::None, escape: None, comment, ..dialect.clone() },
        )
    }

    /// Objects, as a plan says.
    pub(super) fn json(bytes: Bytes, plan: Arc<JsonPlan>) -> Self {
        Self::Json(Box::new(JsonRecords::new(bytes, plan)))
    }

    /// Rows of a worksheet.
    pub(super) fn sheet(workbook: &Workbook) -> io::Result<Self> {
        Ok(Self::Sheet(Box::new(SheetRecords::open(workbook)?)))
    }

    /// The line reached.
    pub(super) fn line(&self) -> u64 {
        match self {
            Self::Csv(records) => records.line(),
            Self::Json(records) => records.line(),
            Self::Sheet(records) => records.line(),
        }
    }

    /// The line the record in the buffer starts on.
    pub(super) fn record_line(&self) -> u64 {
        match self {
            Self::Csv(records) => records.record_line(),
            Self::Json(records) => records.record_line(),
            Self::Sheet(records) => records.line(),
        }
    }

    /// Whether more of the file is read already.
    pub(super) fn has_buffered_input(&self) -> bool {
        match self {
            Self::Csv(records) => records.has_buffered_input(),
            Self::Json(records) => records.has_buffered_input(),
            Self::Sheet(_) => true,
        }
    }

    /// Reads the next record into the buffer.
    pub(super) fn read(&mut self) -> io::Result<Next> {
        match self {
            Self::Csv(records) => records.read(),
            Self::Json(records) => records.read(),
            Self::Sheet(records) => records.read(),
        }
    }

    /// Skips this many lines, whatever they hold.
    pub(super) fn skip_lines(&mut self, count: u64) -> io::Result<()> {
        match self {
            Self::Csv(records) => records.skip_lines(count),
            Self::Json(_) => Ok(()),
            Self::Sheet(records) => {
                records.skip_lines(count);
                Ok(())
            }
        }
    }

    /// The record's cells; the 0-based number of the first cell that is not UTF-8 otherwise.
    pub(super) fn cells(&self) -> Result<Vec<&str>, usize> {
        match self {
            Self::Csv(records) => records.cells(),
            Self::Json(records) => Ok(records.cells()),
            Self::Sheet(records) => Ok(records.cells()),
        }
    }

    /// How many cells the record has.
    pub(super) fn width(&self) -> usize {
        match self {
            Self::Csv(records) => records.width(),
            Self::Json(records) => records.cells().len(),
            Self::Sheet(records) => records.cells().len(),
        }
    }

    /// Whether a cell holds an address.
    pub(super) fn has_address(&self) -> bool {
        let is_there = |text: &[u8]| memchr::memmem::find(text, b"://").is_some();
        match self {
            Self::Csv(records) => is_there(records.run_on().0),
            Self::Json(records) => records.cells().iter().any(|cell| is_there(cell.as_bytes())),
            Self::Sheet(records) => records.cells().iter().any(|cell| is_there(cell.as_bytes())),
        }
    }

    /// Appends the record's cells as they are written, one behind the other, and where each ends; returns how many.
    pub(super) fn append_to(&self, text: &mut Vec<u8>, ends: &mut Vec<usize>) -> usize {
        let (start, before) = (text.len(), ends.len());
        match self {
            Self::Csv(records) => {
                let (cells, own_ends) = records.run_on();
                text.extend_from_slice(cells);
                ends.extend(own_ends.iter().map(|end| start + end));
            }
            Self::Json(records) => append(records.cells(), text, ends),
            Self::Sheet(records) => append(records.cells(), text, ends),
        }
        ends.len() - before
    }

    /// The record's cells with what is not UTF-8 replaced, for a report.
    pub(super) fn cells_lossy(&self) -> Vec<String> {
        match self {
            Self::Csv(records) => records.cells_lossy(),
            Self::Json(records) => records.cells().into_iter().map(str::to_owned).collect(),
            Self::Sheet(records) => records.cells().into_iter().map(str::to_owned).collect(),
        }
    }
}

fn append(cells: Vec<&str>, text: &mut Vec<u8>, ends: &mut Vec<usize>) {
    for cell in cells {
        text.extend_from_slice(cell.as_bytes());
        ends.push(text.len());
    }
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A record is in the buffer; it starts on `line`.
    Record { line: u64 },
    /// A record that cannot be taken; the one behind it is next.
    Fault { line: u64, error: RecordError },
    /// The end of the file.
    End,
}

/// Why a record cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RecordError {
    /// Longer than [`RECORD_MAX`].
    TooLong,
    /// More cells than [`COLUMNS_MAX`].
    TooManyColumns,
    /// The file ended inside quotes.
    UnterminatedQuote,
    /// A NUL byte, the mark of a binary or UTF-16 file.
    Nul,
    /// No JSON that can be read, at this place of the file.
    BadJson(Box<JsonFault>),
    /// JSON that is not an object.
    NotAnObject,
    /// Not an array, where each record is one.
    NotAnArray,
    /// An array with more elements than there are columns.
    LongArray,
    /// Two keys that lead to the same column.
    PathTwice(Box<str>),
    /// The file ended inside a JSON value.
    UnterminatedValue,
}

impl RecordError {
    const fn class(&self) -> &'static str {
        match self {
            Self::TooLong => "record_too_long",
            Self::TooManyColumns => "too_many_columns",
            Self::UnterminatedQuote => "unterminated_quote",
            Self::Nul => "nul_byte",
            Self::NotAnObject => "json_object",
            Self::NotAnArray => "json_array",
            Self::LongArray => "column_count",
            Self::BadJson(fault) if fault.key_twice.is_some() => "json_key_twice",
            Self::BadJson(_) => "json_syntax",
            Self::PathTwice(_) => "json_key_twice",
            Self::UnterminatedValue => "unterminated_json",
        }
    }

    pub(super) fn message(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::TooLong => "the record is longer than 1 MiB",
            Self::TooManyColumns => "the record has more than 16,384 cells",
            Self::UnterminatedQuote => {
                "a quote that opens in this record is never closed: everything from here to the end of the file is inside it"
            }
            Self::Nul => "the record contains a NUL byte",
            Self::BadJson(fault) => return Cow::Owned(fault.message()),
            Self::NotAnObject => "not a JSON object",
            Self::NotAnArray => "not a JSON array, and the records of this file are arrays",
            Self::LongArray => "the array has more elements than the file has columns",
            Self::PathTwice(path) => {
                let path = crate::redact::clean(path);
                return Cow::Owned(format!(
                    "two values of the record are called {path}, as a key and as a path"
                ));
            }
            Self::UnterminatedValue => {
                "a JSON value that begins here never ends: everything from here to the end of the file is inside it"
            }
        })
    }

    pub(super) const fn fix(&self) -> &'static str {
        match self {
            Self::TooLong => {
                "shorten it, or write one row a record; a missing closing quote also looks like this"
            }
            Self::TooManyColumns => "check the delimiter (--delimiter)",
            Self::UnterminatedQuote => "close the quote, or double a quote that is part of the text (\"\")",
            Self::Nul => "save the file as UTF-8 text, or name its encoding: --encoding utf-16le",
            Self::NotAnArray => "write one array a row, such as [\"https://host/a.mp4\", \"fog\"]",
            Self::LongArray => "name all columns, or remove the elements behind the last column",
            Self::NotAnObject => "write one object a row, such as {\"url\": \"https://host/a.mp4\"}",
            Self::BadJson(fault) if fault.key_twice.is_none() => {
                "correct it there, or write the file with a JSON library (Python: json.dump)"
            }
            Self::BadJson(_) | Self::PathTwice(_) => "leave one of them out, or give the other another name",
            Self::UnterminatedValue => "close the brace or the quote; the file may have been cut off",
        }
    }

    pub(super) fn into_row_fault(self, line: u64) -> RowError {
        let key = match &self {
            Self::BadJson(fault) => fault.key_twice.as_deref(),
            Self::PathTwice(path) => Some(&**path),
            Self::TooLong
            | Self::TooManyColumns
            | Self::UnterminatedQuote
            | Self::Nul
            | Self::NotAnObject
            | Self::NotAnArray
            | Self::LongArray
            | Self::UnterminatedValue => None,
        };
        let problem = Problem {
            column: key.unwrap_or_default().to_owned(),
            column_number: 0,
            value: String::new(),
            class: self.class().to_owned(),
            message: self.message().into_owned(),
            fix: self.fix().to_owned(),
        };
        RowError { line, cells: Vec::new(), problems: vec![problem] }
    }
}

/// Counts lines as an editor does: a line ends with LF, CR LF or a lone CR.
#[derive(Default)]
struct LineCounter {
    ended: u64,
    /// Bytes that were passed of the line that is not ended.
    passed: u64,
    last_is_cr: bool,
}

impl LineCounter {
    /// The line the next byte is on, counted from 1.
    fn line(&self) -> u64 {
        1 + self.ended
    }

    fn pass(&mut self, bytes: &[u8]) {
        let Some(last) = bytes.last() else { return };
        self.passed = match memchr::memrchr2(b'\n', b'\r', bytes) {
            Some(end) => (bytes.len() - end - 1) as u64,
            None => self.passed + bytes.len() as u64,
        };
        self.ended += memchr::memchr_iter(b'\n', bytes).count() as u64;
        if !self.last_is_cr && memchr::memchr(b'\r', bytes).is_none() {
            return;
        }
        self.ended += memchr::memchr_iter(b'\r', bytes).count() as u64;
        // the LF behind a CR ends the same line
        let pairs = memchr::memchr_iter(b'\r', bytes).filter(|at| bytes.get(at + 1) == Some(&b'\n')).count();
        self.ended -= pairs as u64 + u64::from(self.last_is_cr && bytes[0] == b'\n');
        self.last_is_cr = *last == b'\r';
    }
}

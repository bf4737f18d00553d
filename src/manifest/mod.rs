//! The way in: bytes become rows, each with its line.
//!
//! - Size: a manifest is streamed. Memory is bounded by one record (at most 1 MiB), whatever the file's size.
//! - Faults: a bad row is a [`RowFault`] and the next row is read; only what makes the whole file unreadable is a
//!   [`ManifestError`].
//! - No network, no ledger, no clock.
//!
//! ```text
//!   bytes -> source (unpack, decode) -> records (RFC 4180 and its dialects, caps) -> columns (mapping) -> row (values)
//! ```

mod columns;
mod coordinates;
mod datetime;
mod dialect;
mod records;
mod row;
mod source;
mod survey;
mod tags;
mod unpack;

use std::{fs::File, path::PathBuf};

pub use columns::{Field, MapRule, MapRuleFault};
pub use datetime::OffsetRule;
pub use dialect::{Dialect, Encoding, Quote};
pub use row::{LoneComma, RowRules};
pub use survey::{Example, FaultCount, Met, Survey, survey};
pub use tags::TagSeparator;

use crate::item::{ManifestRow, RowFault};
use columns::Columns;
use records::{Next, Records};

/// The name of standard input on the command line.
pub const STDIN: &str = "-";

/// How to read one manifest.
#[derive(Clone, Debug)]
pub struct ManifestSpec {
    /// A path, or `-` for standard input.
    pub path: String,
    /// How its text is written.
    pub dialect: Dialect,
    /// Whether the first record names the columns.
    pub header: Header,
    /// Which column feeds which field; header names fill in what is not told.
    pub map: Vec<MapRule>,
    /// How values are read.
    pub rules: RowRules,
}

/// Whether the first record of a manifest names its columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// It does.
    Present,
    /// It is a row already; columns are named by number only.
    Absent,
}

/// Why a whole manifest cannot be read. Its text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It cannot be opened.
    #[error("cannot open the manifest {path}; check the path and its permissions")]
    Unreadable {
        /// The path as given.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Reading failed on the way.
    #[error("{path}:{line}: reading the manifest failed; the rows before this line were taken")]
    Broken {
        /// The path as given.
        path: String,
        /// The line reached.
        line: u64,
        /// What the system or the decompressor said.
        source: std::io::Error,
    },
    /// It has no record at all.
    #[error("{path}: the manifest is empty; it needs at least a header line and one row")]
    Empty {
        /// The path as given.
        path: String,
    },
    /// The header record itself is unreadable.
    #[error("{path}:{line}: the header line cannot be read: {reason}")]
    BadHeader {
        /// The path as given.
        path: String,
        /// Where it starts.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// No column holds the URL.
    #[error("{path}:1: no column is recognised as the url; name it: --map url=COLUMN ({hint})")]
    NoUrlColumn {
        /// The path as given.
        path: String,
        /// The columns there are, or what else to try.
        hint: String,
    },
    /// `--map` names a column that is not there.
    #[error("{path}:1: --map {field}=...: there is no column {column}; {hint}")]
    UnknownColumn {
        /// The path as given.
        path: String,
        /// The field it was for.
        field: &'static str,
        /// What was asked for.
        column: String,
        /// The columns there are.
        hint: String,
    },
}

/// An open manifest: an iterator over rows and row faults.
pub struct Manifest {
    path: String,
    file: Option<File>,
    records: Records,
    columns: Columns,
    rules: RowRules,
    first_row_is_read: bool,
    is_own_output: bool,
    stamp: Option<String>,
    found: Vec<String>,
}

impl Manifest {
    /// Opens the file, finds out compression and delimiter, reads the header and resolves the mapping.
    pub fn open(spec: &ManifestSpec) -> Result<Self, ManifestError> {
        let path = spec.path.clone();
        let source::Opened { file, head, bytes, found } = source::open(&path, &spec.dialect)
            .map_err(|source| ManifestError::Unreadable { path: path.clone(), source })?;
        let stamp = file.as_ref().and_then(|file| stamp(file, spec));
        let broken = |source| ManifestError::Broken { path: path.clone(), line: 1, source };
        let delimiter = spec.dialect.delimiter.unwrap_or_else(|| {
            source::guess_delimiter(first_record(&head, &spec.dialect), spec.dialect.quote)
        });
        let mut records = Records::new(bytes, delimiter, &spec.dialect);
        records.skip_lines(spec.dialect.lines_before).map_err(broken)?;
        let first = records.read().map_err(broken)?;
        let line = match first {
            Next::Record { line } => line,
            Next::End => return Err(ManifestError::Empty { path }),
            Next::Fault { line, fault } => {
                return Err(ManifestError::BadHeader { path, line, reason: fault.message().to_owned() });
            }
        };
        let cells = records.cells().map_err(|_| ManifestError::BadHeader {
            path: path.clone(),
            line,
            reason: "it is not UTF-8".to_owned(),
        })?;
        let cells: Vec<String> = cells.into_iter().map(str::to_owned).collect();
        let columns = Columns::resolve(&path, spec.header, &cells, &spec.map)?;
        let is_own_output =
            columns.names().iter().any(|name| name.starts_with(crate::spreadsheet::OWN_PREFIX));
        Ok(Self {
            path,
            file,
            records,
            columns,
            rules: spec.rules.clone(),
            first_row_is_read: spec.header == Header::Absent,
            is_own_output,
            stamp,
            found,
        })
    }

    /// The path as given.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What tells whether the file, and how it is read, are as they were before: its size, time and inode, and the
    /// mapping. None for what is no file.
    #[must_use]
    pub fn stamp(&self) -> Option<String> {
        self.stamp.clone()
    }

    /// A digest of the file that is being read, as it is now; none for a pipe.
    pub fn digest(&self) -> std::io::Result<Option<blake3::Hash>> {
        use std::os::unix::fs::FileExt as _;
        let Some(file) = &self.file else { return Ok(None) };
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; source::BUFFER];
        let mut at = 0;
        loop {
            match file.read_at(&mut buffer, at) {
                Ok(0) => return Ok(Some(hasher.finalize())),
                Ok(count) => {
                    hasher.update(&buffer[..count]);
                    at += count as u64;
                }
                Err(fault) if fault.kind() == std::io::ErrorKind::Interrupted => {}
                Err(fault) => return Err(fault),
            }
        }
    }

    /// The columns' names; `#1`, `#2`, … without a header.
    #[must_use]
    pub fn column_names(&self) -> &[String] {
        self.columns.names()
    }

    /// What was found out about the bytes, for a reader: `zstd`, `windows-1252 (it is not UTF-8)`.
    #[must_use]
    pub fn found(&self) -> &[String] {
        &self.found
    }

    /// What was understood, for a reader: `url=service_file, tags=topic+place`.
    #[must_use]
    pub fn mapping(&self) -> String {
        self.columns.describe()
    }

    /// Columns that feed no field, in their order.
    #[must_use]
    pub fn unused_columns(&self) -> Vec<&str> {
        self.columns.unused()
    }

    /// Whether the next row is at hand, at least in part: if not, reading it may wait for whoever writes the pipe.
    #[must_use]
    pub fn has_more_at_hand(&self) -> bool {
        self.first_row_is_read || self.records.has_more_at_hand()
    }

    /// The next row, or what is wrong with it; none at the end.
    #[expect(
        clippy::should_implement_trait,
        reason = "a lending reader with a fallible step reads better as a loop"
    )]
    pub fn next(&mut self) -> Result<Option<Result<ManifestRow, RowFault>>, ManifestError> {
        let next = if std::mem::take(&mut self.first_row_is_read) {
            Next::Record { line: self.records.record_line() }
        } else {
            self.records.read().map_err(|source| ManifestError::Broken {
                path: self.path.clone(),
                line: self.records.line(),
                source,
            })?
        };
        let line = match next {
            Next::End => return Ok(None),
            Next::Fault { line, fault } => return Ok(Some(Err(fault.into_row_fault(line)))),
            Next::Record { line } => line,
        };
        let cells = match self.records.cells() {
            Ok(cells) => cells,
            Err(column) => {
                let cells = self.records.cells_lossy();
                return Ok(Some(Err(row::not_utf8(line, column, &self.columns, cells))));
            }
        };
        if self.is_own_output {
            let cells: Vec<&str> = cells.into_iter().map(crate::spreadsheet::restore).collect();
            return Ok(Some(row::understand(line, &cells, &self.columns, &self.rules)));
        }
        Ok(Some(row::understand(line, &cells, &self.columns, &self.rules)))
    }
}

/// A head from its first record on.
fn first_record<'a>(head: &'a [u8], dialect: &Dialect) -> &'a [u8] {
    let mut rest = head;
    let mut lines_before = dialect.lines_before;
    loop {
        let is_none =
            rest.first().is_some_and(|byte| b"\r\n".contains(byte) || dialect.comment == Some(*byte));
        if lines_before == 0 && !is_none {
            return rest;
        }
        lines_before = lines_before.saturating_sub(1);
        let Some(end) = memchr::memchr(b'\n', rest) else { return &[] };
        rest = &rest[end + 1..];
    }
}

fn stamp(file: &File, spec: &ManifestSpec) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    let meta = file.metadata().ok()?;
    let reading = format!("{:?} {:?} {:?} {:?}", spec.dialect, spec.header, spec.map, spec.rules);
    let reading = crate::item::hex(&blake3::hash(reading.as_bytes()).as_bytes()[..8]);
    Some(format!("{}:{}.{:09}:{}:{reading}", meta.size(), meta.mtime(), meta.mtime_nsec(), meta.ino()))
}

/// The name under which the ledger knows a manifest: its absolute path, so that the same file is the same from any
/// folder.
#[must_use]
pub fn identity(path: &str) -> String {
    if path == STDIN {
        return STDIN.to_owned();
    }
    std::fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from(path)).display().to_string()
}

#[cfg(test)]
mod tests;

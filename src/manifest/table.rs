//! A table: a file opened, its shape found out, its columns named; rows are cells still.

use std::{
    fs::File,
    io::{self, BufReader, Read as _},
    sync::Arc,
};

use super::{
    Header, ManifestError, ObjectListing,
    convert::wrong_width,
    delimiter,
    dialect::{Dialect, Quote},
    escapes,
    first_header::FirstHeader,
    foreign,
    format::{first_record, format_of, holds_row},
    mapping::unique_names,
    records::{
        EACH, Format, JsonPlan, Marks, NamedKeys, Next, PlanError, RecordError, Records, Reopen, SheetChoice,
        WithoutBlanks, Workbook, WorkbookError, is_whole_value,
    },
    source::{self, Bytes, Opened},
};
use crate::csv_injection::is_own_output;

/// A workbook that comes through a pipe is kept in memory, up to this many bytes.
const PIPED_WORKBOOK_MAX: u64 = 64 * 1024 * 1024;

/// How a file is to be read.
#[derive(Clone)]
pub(super) struct Ask<'a> {
    pub(super) path: &'a str,
    pub(super) dialect: &'a Dialect,
    pub(super) format: Option<Format>,
    pub(super) header: Header,
    /// The columns that rules name.
    pub(super) named: NamedKeys,
    /// What is read instead of a file at the path.
    pub(super) listing: Option<&'a ObjectListing>,
}

impl<'a> Ask<'a> {
    /// A file with a header, of a shape that is found out.
    pub(super) fn with_defaults(path: &'a str, dialect: &'a Dialect) -> Self {
        let (header, named) = (Header::Present, NamedKeys::default());
        Self { path, dialect, format: None, header, named, listing: None }
    }
}

/// A sample has this many rows at most: about as many as the first bytes of a CSV file hold.
const SAMPLE_ROWS_MAX: usize = 1_000;

/// The cells of a row, or what is wrong with them, with their line.
pub(super) type Numbered = (u64, Result<Vec<String>, String>);

/// A file opened as a table.
pub(super) struct Table {
    pub(super) path: String,
    /// The file as it is. `None`: a pipe.
    pub(super) file: Option<File>,
    pub(super) records: Records,
    pub(super) format: Format,
    /// The delimiter of cells, where something does.
    pub(super) delimiter: Option<u8>,
    pub(super) names: Vec<String>,
    /// The cells of the first record, where it may be a header.
    pub(super) first: Vec<String>,
    /// Whether a record of its own names the columns.
    pub(super) has_header: bool,
    /// Whether the record in the buffer is a row, and not the header.
    pub(super) first_row_is_read: bool,
    /// The header, where it could come again.
    header: Option<FirstHeader>,
    /// The first bytes, decoded.
    pub(super) head: Vec<u8>,
    /// What was found out about the bytes, for the user.
    pub(super) found: Vec<String>,
    /// Whether telecine wrote it.
    pub(super) is_own_output: bool,
    /// How its text is written, as far as flags say it or it is found out.
    dialect: Dialect,
    plan: Option<Arc<JsonPlan>>,
    workbook: Option<Workbook>,
    /// Where quotes stand behind blanks.
    marks: Option<Marks>,
    /// The rows of a listing.
    listed: Option<Arc<File>>,
}

impl Table {
    /// Opens the file, finds out compression, encoding, format and delimiter, and names the columns.
    pub(super) fn open(ask: &Ask<'_>) -> Result<Self, ManifestError> {
        let path = ask.path.to_owned();
        let listed = ask.listing.map(|listing| Arc::clone(&listing.file));
        let mut opened = source::open(&path, listed.as_deref(), ask.dialect)
            .map_err(|source| ManifestError::Unreadable { path: path.clone(), source })?;
        if let Some(foreign) = foreign::known(&opened.head) {
            return Err(ManifestError::OtherFormat {
                path,
                what: foreign.what.to_owned(),
                fix: foreign.fix.to_owned(),
            });
        }
        // a file that telecine wrote is read as telecine writes it, whatever flags say of the file it came from
        let with_defaults = Dialect::default();
        let is_own_output = is_own_output(&opened.head);
        let ask = &if is_own_output { Ask::with_defaults(ask.path, &with_defaults) } else { ask.clone() };
        let format = match ask.format {
            _ if foreign::is_zip(&opened.head) => Format::Xlsx,
            None if is_own_output => Format::Csv,
            None => format_of(&opened.head, ask.dialect),
            Some(format) => format,
        };
        let mut table = Self {
            path,
            file: opened.file.take(),
            records: Records::list(source::none(), ask.dialect),
            format,
            delimiter: None,
            names: Vec::new(),
            first: Vec::new(),
            has_header: ask.header == Header::Present && matches!(format, Format::Csv | Format::Xlsx),
            first_row_is_read: false,
            header: None,
            head: Vec::new(),
            found: std::mem::take(&mut opened.found),
            is_own_output,
            dialect: ask.dialect.clone(),
            plan: None,
            workbook: None,
            marks: None,
            listed,
        };
        table.found.extend(ask.listing.map(ObjectListing::found));
        match format {
            Format::Json => table.open_json(ask, &mut opened)?,
            Format::List => {
                let bytes = std::mem::replace(&mut opened.bytes, source::none());
                table.records = Records::list(bytes, ask.dialect);
                if ask.format.is_none() {
                    table.found.push("a list of addresses".to_owned());
                }
                table.read_first(Header::Absent)?;
                table.names = vec!["url".to_owned()];
            }
            Format::Csv => {
                let bytes = std::mem::replace(&mut opened.bytes, source::none());
                table.open_csv(ask, &opened.head, bytes)?;
            }
            Format::Xlsx => table.open_sheet(ask, &mut opened)?,
        }
        table.head = opened.head;
        Ok(table)
    }

    fn open_json(&mut self, ask: &Ask<'_>, opened: &mut Opened) -> Result<(), ManifestError> {
        let broken = |source| ManifestError::Unreadable { path: ask.path.to_owned(), source };
        let reopen = || source::open(ask.path, None, ask.dialect).map(|opened| opened.bytes);
        let is_file = self.file.is_some();
        if !is_file {
            opened.read_more(is_whole_value).map_err(broken)?;
        }
        let reopen: Option<Reopen<'_>> = if is_file { Some(&reopen) } else { None };
        let plan = JsonPlan::of(&opened.head, reopen, &ask.named, ask.header);
        let plan = plan.map_err(|error| match error {
            PlanError::Io(source) => broken(source),
            PlanError::Unclear(what) => ManifestError::RowsUnclear { path: ask.path.to_owned(), what },
            PlanError::NoRecord(line, error) => {
                let what = format!("{}; {}", error.message(), error.fix());
                ManifestError::NoRecord { path: ask.path.to_owned(), line, what }
            }
        })?;
        self.found.push("JSON".to_owned());
        self.found.extend(plan.found.iter().cloned());
        if !is_file {
            self.found.push("a pipe is read once: --map names a key that only later records have".to_owned());
        }
        if plan.names().is_empty() {
            let path = ask.path.to_owned();
            return Err(ManifestError::Empty { path });
        }
        self.names = plan.names().to_vec();
        // arrays have a header, which may come again
        self.header = plan.array_columns_are_named().then(|| FirstHeader::of(&self.names, false));
        let plan = Arc::new(plan);
        let bytes = std::mem::replace(&mut opened.bytes, source::none());
        self.records = Records::json(bytes, Arc::clone(&plan));
        self.plan = Some(plan);
        Ok(())
    }

    fn open_csv(&mut self, ask: &Ask<'_>, head: &[u8], bytes: Bytes) -> Result<(), ManifestError> {
        let named = if ask.dialect.lines_before < 2 { delimiter::named(head) } else { None };
        let (sep, rest) = named.map_or((None, head), |(sep, rest)| (Some(sep), rest));
        if let Some(sep) = sep {
            self.dialect.lines_before = self.dialect.lines_before.max(1);
            self.found.push(format!("its first line names the delimiter {}", delimiter::shown(sep)));
        }
        let rest = if sep.is_some() { rest } else { first_record(rest, ask.dialect) };
        let delimiter = ask.dialect.delimiter.or(sep).unwrap_or_else(|| delimiter::of(rest, ask.dialect));
        self.delimiter = Some(delimiter);
        if let Quote::Byte(quote) = ask.dialect.quote {
            let marks = Marks { delimiter, quote, escape: ask.dialect.escape };
            if !self.is_own_output && marks.stand_behind_blanks(rest) {
                self.found.push("blanks before quotes are skipped".to_owned());
                self.marks = Some(marks);
            }
        }
        self.records = self.csv(bytes, delimiter);
        self.read_first(ask.header)?;
        if escapes::seem_to_be_backslashes(rest, delimiter, &self.dialect, self.names.len()) {
            let text =
                "a backslash seems to precede quotes that are part of a text; if so, say --escape '\\'";
            self.found.push(text.to_owned());
        }
        if escapes::seem_to_be_single_quotes(rest, delimiter, &self.dialect) {
            let text = "cells seem to be in single quotes; if so, say --quote \"'\"";
            self.found.push(text.to_owned());
        }
        Ok(())
    }

    fn csv(&self, bytes: Bytes, delimiter: u8) -> Records {
        let bytes = match self.marks {
            Some(marks) => {
                BufReader::with_capacity(source::BUFFER, Box::new(WithoutBlanks::new(bytes, marks)) as Box<_>)
            }
            None => bytes,
        };
        Records::csv(bytes, delimiter, &self.dialect)
    }

    fn open_sheet(&mut self, ask: &Ask<'_>, opened: &mut Opened) -> Result<(), ManifestError> {
        let path = || ask.path.to_owned();
        let broken = |source| ManifestError::Unreadable { path: path(), source };
        let sheet = ask.dialect.sheet.as_deref();
        let choice = SheetChoice {
            name: sheet,
            lines_before: ask.dialect.lines_before,
            has_header: ask.header == Header::Present,
        };
        let workbook = if self.file.is_some() && self.found.is_empty() {
            Workbook::of_file(ask.path, choice)
        } else {
            let mut bytes = Vec::new();
            let read =
                (&mut opened.bytes).take(PIPED_WORKBOOK_MAX + 1).read_to_end(&mut bytes).map_err(broken)?;
            if read as u64 > PIPED_WORKBOOK_MAX {
                let fix = "save it as a file, and give that file".to_owned();
                return Err(ManifestError::OtherFormat {
                    path: path(),
                    what: "an Excel workbook of more than 64 MiB that is no file".to_owned(),
                    fix,
                });
            }
            Workbook::of_bytes(bytes, choice)
        };
        let workbook = workbook.map_err(|error| {
            let (what, fix) = match error {
                WorkbookError::Other("a zip archive") => {
                    ("a zip archive".to_owned(), foreign::UNPACK.to_owned())
                }
                WorkbookError::Other(what) => (what.to_owned(), foreign::SAVE_AS_CSV.to_owned()),
                WorkbookError::Unreadable(why) => (
                    format!(
                        "a zip archive or an Excel workbook (.xlsx) that cannot be read ({})",
                        crate::redact::clean(&why)
                    ),
                    "save it again, or save its sheet as CSV UTF-8".to_owned(),
                ),
                WorkbookError::NoSheet(names) => (
                    format!(
                        "an Excel workbook without a sheet {}",
                        crate::redact::clean(sheet.unwrap_or("with rows"))
                    ),
                    format!("name one of its sheets with --sheet: {names}"),
                ),
            };
            ManifestError::OtherFormat { path: path(), what, fix }
        })?;
        self.found.extend(workbook.found.iter().cloned());
        self.records = Records::sheet(&workbook).map_err(broken)?;
        self.workbook = Some(workbook);
        self.read_first(ask.header)
    }

    fn read_first(&mut self, header: Header) -> Result<(), ManifestError> {
        let path = || self.path.clone();
        let broken = |source| ManifestError::Broken { path: path(), line: 1, source };
        self.records.skip_lines(self.dialect.lines_before).map_err(broken)?;
        let line = match self.records.read().map_err(broken)? {
            Next::Record { line } => line,
            Next::End => return Err(ManifestError::Empty { path: path() }),
            Next::Fault { line, error } => {
                return Err(ManifestError::BadHeader {
                    path: path(),
                    line,
                    reason: error.message().into_owned(),
                });
            }
        };
        let cells = self.records.cells().map_err(|_| ManifestError::BadHeader {
            path: path(),
            line,
            reason: "it is not UTF-8".to_owned(),
        })?;
        if let Some(cell) = cells.iter().find(|cell| header == Header::Present && holds_row(cell)) {
            let shown = crate::redact::opaque(cell.lines().next().unwrap_or_default());
            let reason =
                format!("a quote that opens in {shown} closes in another line; close it in its own line");
            return Err(ManifestError::BadHeader { path: path(), line, reason });
        }
        self.first = cells.into_iter().map(str::to_owned).collect();
        self.names = match header {
            Header::Present => unique_names(&self.first),
            Header::Absent => (1..=self.first.len()).map(|number| format!("#{number}")).collect(),
        };
        self.first_row_is_read = header == Header::Absent;
        self.header = (header == Header::Present && !self.is_own_output)
            .then(|| FirstHeader::of(&self.first, self.dialect.pads_short_rows));
        Ok(())
    }

    /// What comes next, in the buffer of the records.
    pub(super) fn next(&mut self) -> Result<Next, ManifestError> {
        if std::mem::take(&mut self.first_row_is_read) {
            return Ok(Next::Record { line: self.records.record_line() });
        }
        let next = self.records.read().map_err(|source| ManifestError::Broken {
            path: self.path.clone(),
            line: self.records.line(),
            source,
        })?;
        match (&next, &self.header) {
            (Next::Record { line }, Some(header)) if header.is_another(&self.records) => {
                Err(ManifestError::HeaderAgain { path: self.path.clone(), line: *line })
            }
            _ => Ok(next),
        }
    }

    /// The next row with its line, as many cells as there are columns, or what is wrong with it; none at the end.
    pub(super) fn next_row(&mut self) -> Result<Option<Numbered>, ManifestError> {
        let (line, error): (u64, Option<RecordError>) = match self.next()? {
            Next::End => return Ok(None),
            Next::Fault { line, error } => (line, Some(error)),
            Next::Record { line } => (line, None),
        };
        if let Some(error) = error {
            return Ok(Some((line, Err(error.message().into_owned()))));
        }
        let cells = self.records.cells_lossy();
        let row = if cells.len() == self.names.len() {
            Ok(cells)
        } else {
            Err(wrong_width(self.names.len(), cells.len()).message)
        };
        Ok(Some((line, row)))
    }

    /// Which sheet of a workbook is read, and which others there are. `None`: it is no workbook.
    pub(super) fn workbook_found(&self) -> Option<&str> {
        self.workbook.as_ref()?.found.first().map(String::as_str)
    }

    /// Whether it counts its days from 1904 on.
    pub(super) fn has_1904_epoch(&self) -> bool {
        self.workbook.as_ref().is_some_and(|workbook| workbook.has_1904_epoch)
    }

    /// An array whose elements may be rows: one with addresses before any other.
    pub(super) fn inner_array(&self) -> Option<&str> {
        let plan = self.plan.as_ref()?;
        let names = plan.addresses_in_arrays().iter().chain(plan.paths_into_arrays());
        names.filter_map(|name| name.rsplit_once(EACH)).map(|(array, _)| array).next()
    }

    /// Keys within arrays that look like the url, which no rule names.
    pub(super) fn addresses_in_arrays(&self) -> &[String] {
        self.plan.as_ref().map_or(&[], |plan| plan.addresses_in_arrays())
    }

    /// How many cells each record of the first bytes has when it is cut at this delimiter.
    pub(super) fn sample_cut_at(&self, delimiter: u8, ask: &Ask<'_>) -> Vec<usize> {
        let mut records = Records::csv(source::of(&self.head), delimiter, ask.dialect);
        let mut widths = Vec::new();
        while let Ok(Next::Record { .. }) = records.read() {
            widths.push(records.width());
        }
        widths.sort_unstable();
        widths
    }

    /// The records of the file again, from the first row on. `None`: a pipe is read once.
    pub(super) fn reopened(&self) -> io::Result<Option<Records>> {
        if self.file.is_none() {
            return Ok(None);
        }
        let opened = source::open(&self.path, self.listed.as_deref(), &self.dialect)?;
        let mut records = self.records_of(opened.bytes)?;
        if self.has_header {
            records.read()?;
        }
        Ok(Some(records))
    }

    /// Records of bytes of this file, read as the file is.
    fn records_of(&self, bytes: Bytes) -> io::Result<Records> {
        let mut records = match (self.format, &self.plan, &self.workbook) {
            (Format::Json, Some(plan), _) => Records::json(bytes, Arc::clone(plan)),
            (Format::Xlsx, _, Some(workbook)) => Records::sheet(workbook)?,
            (Format::List, ..) => Records::list(bytes, &self.dialect),
            (Format::Csv | Format::Json | Format::Xlsx, ..) => {
                self.csv(bytes, self.delimiter.unwrap_or(b','))
            }
        };
        records.skip_lines(self.dialect.lines_before)?;
        Ok(records)
    }

    /// The rows of the first bytes, as far as they are whole.
    pub(super) fn sample(&self, header: Header) -> Vec<(u64, Vec<String>)> {
        // the first records of a JSON file may begin behind its first bytes
        let is_reopened = self.format == Format::Json && self.file.is_some();
        let reopened = || source::open(&self.path, None, &self.dialect).ok().map(|opened| opened.bytes);
        let bytes = || {
            let reopened = if is_reopened { reopened() } else { None };
            reopened.unwrap_or_else(|| source::of(&self.head))
        };
        let mut rows = Vec::new();
        let Ok(mut records) = self.records_of(bytes()) else { return rows };
        while rows.len() < SAMPLE_ROWS_MAX {
            match records.read() {
                Ok(Next::Record { line }) => rows.push((line, records.cells_lossy())),
                Ok(Next::Fault { .. }) => {}
                Ok(Next::End) | Err(_) => break,
            }
        }
        // what the first bytes end in may be cut off
        if self.format != Format::Xlsx && !is_reopened && self.head.len() >= source::HEAD_MAX {
            rows.pop();
        }
        let has_header = matches!(self.format, Format::Csv | Format::Xlsx) && header == Header::Present;
        if has_header && !rows.is_empty() {
            rows.remove(0);
        }
        rows
    }
}

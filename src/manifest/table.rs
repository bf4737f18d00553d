//! A table: a file opened, its shape found out, its columns named; rows are cells still.

use std::fs::File;

use super::{
    Header, ManifestError,
    convert::wrong_width,
    dialect::Dialect,
    lint::is_web_address,
    mapping::unique_names,
    records::{Format, Next, RecordError, Records, is_json},
    source,
};

/// What is told of a file.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) path: &'a str,
    pub(super) dialect: &'a Dialect,
    pub(super) format: Option<Format>,
    pub(super) header: Header,
}

impl<'a> Ask<'a> {
    /// A file with a header whose shape nobody told.
    pub(super) const fn with_defaults(path: &'a str, dialect: &'a Dialect) -> Self {
        Self { path, dialect, format: None, header: Header::Present }
    }
}

/// The cells of a row, or what is wrong with them, with their line.
pub(super) type Numbered = (u64, Result<Vec<String>, String>);

/// A file opened as a table.
pub(super) struct Table {
    pub(super) path: String,
    /// The file itself, as it is; none for a pipe.
    pub(super) file: Option<File>,
    pub(super) records: Records,
    pub(super) format: Format,
    /// What stands between cells, where something does.
    pub(super) delimiter: Option<u8>,
    pub(super) names: Vec<String>,
    /// The cells of the first record, where it may be a header.
    pub(super) first: Vec<String>,
    /// Whether the record in the buffer is a row, and not the header.
    pub(super) first_row_is_read: bool,
    /// The first bytes, decoded.
    pub(super) head: Vec<u8>,
    /// What was found out about the bytes, for a reader.
    pub(super) found: Vec<String>,
    /// Whether telecine wrote it.
    pub(super) is_own_output: bool,
}

impl Table {
    /// Opens the file, finds out compression, encoding, format and delimiter, and names the columns.
    pub(super) fn open(ask: &Ask<'_>) -> Result<Self, ManifestError> {
        let path = ask.path.to_owned();
        let source::Opened { file, head, bytes, mut found } = source::open(&path, ask.dialect)
            .map_err(|source| ManifestError::Unreadable { path: path.clone(), source })?;
        // a file of telecine's own is as telecine writes it, whatever is told of the file it came from
        let with_defaults = Dialect::default();
        let is_own_output = is_own_output(&head);
        let ask = &if is_own_output { Ask::with_defaults(ask.path, &with_defaults) } else { *ask };
        let format = match ask.format {
            None if is_own_output => Format::Csv,
            None => format_of(&head, ask.dialect),
            Some(format) => format,
        };
        let mut table = Self {
            path,
            file,
            records: Records::list(source::none(), ask.dialect),
            format,
            delimiter: None,
            names: Vec::new(),
            first: Vec::new(),
            first_row_is_read: false,
            head: Vec::new(),
            found: Vec::new(),
            is_own_output,
        };
        match format {
            Format::Json => {
                (table.records, table.names) = Records::json(bytes, &head);
                found.push("JSON".to_owned());
            }
            Format::List => {
                table.records = Records::list(bytes, ask.dialect);
                if ask.format.is_none() {
                    found.push("a list of addresses".to_owned());
                }
                table.read_first(ask, Header::Absent)?;
                table.names = vec!["url".to_owned()];
            }
            Format::Csv => {
                let delimiter = ask.dialect.delimiter.unwrap_or_else(|| {
                    source::guess_delimiter(first_record(&head, ask.dialect), ask.dialect.quote)
                });
                table.delimiter = Some(delimiter);
                table.records = Records::csv(bytes, delimiter, ask.dialect);
                table.read_first(ask, ask.header)?;
            }
        }
        table.head = head;
        table.found = found;
        Ok(table)
    }

    fn read_first(&mut self, ask: &Ask<'_>, header: Header) -> Result<(), ManifestError> {
        let path = || self.path.clone();
        let broken = |source| ManifestError::Broken { path: ask.path.to_owned(), line: 1, source };
        self.records.skip_lines(ask.dialect.lines_before).map_err(broken)?;
        let line = match self.records.read().map_err(broken)? {
            Next::Record { line } => line,
            Next::End => return Err(ManifestError::Empty { path: path() }),
            Next::Fault { line, error } => {
                return Err(ManifestError::BadHeader {
                    path: path(),
                    line,
                    reason: error.message().to_owned(),
                });
            }
        };
        let cells = self.records.cells().map_err(|_| ManifestError::BadHeader {
            path: path(),
            line,
            reason: "it is not UTF-8".to_owned(),
        })?;
        self.first = cells.into_iter().map(str::to_owned).collect();
        self.names = match header {
            Header::Present => unique_names(&self.first),
            Header::Absent => (1..=self.first.len()).map(|number| format!("#{number}")).collect(),
        };
        self.first_row_is_read = header == Header::Absent;
        Ok(())
    }

    /// What comes next, in the buffer of the records.
    pub(super) fn next(&mut self) -> Result<Next, ManifestError> {
        if std::mem::take(&mut self.first_row_is_read) {
            return Ok(Next::Record { line: self.records.record_line() });
        }
        self.records.read().map_err(|source| ManifestError::Broken {
            path: self.path.clone(),
            line: self.records.line(),
            source,
        })
    }

    /// The next row with its line, as many cells as there are columns, or what is wrong with it; none at the end.
    pub(super) fn next_row(&mut self) -> Result<Option<Numbered>, ManifestError> {
        let (line, error): (u64, Option<RecordError>) = match self.next()? {
            Next::End => return Ok(None),
            Next::Fault { line, error } => (line, Some(error)),
            Next::Record { line } => (line, None),
        };
        if let Some(error) = error {
            return Ok(Some((line, Err(error.message().to_owned()))));
        }
        let cells = self.records.cells_lossy();
        let row = if cells.len() == self.names.len() {
            Ok(cells)
        } else {
            Err(wrong_width(self.names.len(), cells.len()).message)
        };
        Ok(Some((line, row)))
    }

    /// One row for each element of this array; none leaves arrays as they are.
    pub(super) fn split_at(&mut self, array: Option<&str>) {
        self.records.split_at(array);
        if let Records::Json(records) = &self.records {
            self.names = records.names();
        }
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

    /// The rows of the first bytes, as far as they are whole.
    pub(super) fn sample(&self, ask: &Ask<'_>, array: Option<&str>) -> Vec<(u64, Vec<String>)> {
        let dialect = ask.dialect;
        let mut records = match self.format {
            Format::Json => Records::json(source::of(&self.head), &self.head).0,
            Format::List => Records::list(source::of(&self.head), dialect),
            Format::Csv => Records::csv(source::of(&self.head), self.delimiter.unwrap_or(b','), dialect),
        };
        records.split_at(array);
        let has_header = self.format == Format::Csv && ask.header == Header::Present;
        let mut rows = Vec::new();
        if records.skip_lines(dialect.lines_before).is_err() {
            return rows;
        }
        while let Ok(Next::Record { line }) = records.read() {
            rows.push((line, records.cells_lossy()));
        }
        // what the first bytes end in may be cut off
        if self.head.len() >= source::HEAD_MAX {
            rows.pop();
        }
        if has_header && !rows.is_empty() {
            rows.remove(0);
        }
        rows
    }
}

/// Whether the first line is a header of telecine's own.
fn is_own_output(head: &[u8]) -> bool {
    let line = head.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
    let is_own = |name: &[u8]| name.starts_with(crate::csv_injection::OWN_PREFIX.as_bytes());
    line.split(|byte| *byte == b',').filter(|name| is_own(name)).count() >= 2
}

/// In which shape a file that begins so is written.
fn format_of(head: &[u8], dialect: &Dialect) -> Format {
    if dialect.delimiter.is_none() && is_json(head) {
        return Format::Json;
    }
    if dialect.delimiter.is_none() && dialect.lines_before == 0 && is_list(head, dialect) {
        Format::List
    } else {
        Format::Csv
    }
}

/// Of the lines of a list so many are addresses, in percent; the others are faults of their own.
const ADDRESSES_MIN: usize = 80;

/// Whether nearly every line is an address, and no delimiter cuts all of them alike.
fn is_list(head: &[u8], dialect: &Dialect) -> bool {
    let mut lines: Vec<&[u8]> = head.split(|byte| matches!(byte, b'\n' | b'\r')).collect();
    if head.len() >= source::HEAD_MAX {
        lines.pop();
    }
    let comment = dialect.comment.unwrap_or(b'#');
    let lines: Vec<&[u8]> = lines
        .into_iter()
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty() && line[0] != comment)
        .collect();
    let Some(first) = lines.first().filter(|line| is_web_address(*line)) else { return false };
    let count = |line: &[u8], delimiter: u8| memchr::memchr_iter(delimiter, line).count();
    let cuts_alike = |delimiter: &u8| {
        let with_defaults = count(first, *delimiter);
        with_defaults > 0 && lines.iter().all(|line| count(line, *delimiter) == with_defaults)
    };
    let addresses = lines.iter().filter(|line| is_web_address(*line)).count();
    let has_table = b"\t;,|\"".iter().any(cuts_alike) || lines.iter().any(|line| line.contains(&b'\t'));
    !has_table && addresses * 100 >= lines.len() * ADDRESSES_MIN
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_addresses_is_known_by_its_lines() {
        for (head, format) in [
            ("https://h/a.mp4\nhttp://h/b.mp4\n", Format::List),
            ("# mine\n\n  HTTPS://h/a.mp4\r\n", Format::List),
            ("https://h/a.mp4,tag\nhttps://h/b.mp4,tag\n", Format::Csv),
            ("https://h/a,1.mp4\nhttps://h/b c.mp4\nhttps://h/c.mp4\n", Format::List),
            ("https://h/1\nhttps://h/2\nhttps://h/3\nhttps://h/4\nwww.h/5\n", Format::List),
            ("https://h/1\nname\n", Format::Csv),
            ("url\nhttps://h/a.mp4\n", Format::Csv),
            ("# nothing\n", Format::Csv),
            ("{\"url\":\"https://h/a.mp4\"}\n", Format::Json),
        ] {
            assert_eq!(format_of(head.as_bytes(), &Dialect::default()), format, "{head}");
        }
    }
}

//! Records: RFC 4180 with any delimiter, each with the line it starts on, and with caps.
//!
//! This sits on `csv-core`, the engine of the `csv` crate, because that crate neither bounds a record nor tells an
//! unterminated quote at the end of a file from a row. Here a record takes at most [`RECORD_MAX`] bytes of memory,
//! however long it is in the file, and reading continues behind it.

use std::io::{self, BufRead};

use csv_core::ReadRecordResult;

use super::{
    super::{
        dialect::{Dialect, Quote},
        source::Bytes,
    },
    COLUMNS_MAX, LineCounter, Next, RECORD_MAX, RecordError,
};

/// The memory a reader starts with, in bytes and in cells.
const RECORD_START: usize = 8 * 1024;
const CELLS_START: usize = 256;

/// Reads record after record into one reused buffer.
pub(in crate::manifest) struct CsvRecords {
    core: csv_core::Reader,
    comment: Option<u8>,
    bytes: Bytes,
    lines: LineCounter,
    record_line: u64,
    text: Vec<u8>,
    text_len: usize,
    ends: Vec<usize>,
    ends_len: usize,
}

impl CsvRecords {
    /// Reads what `bytes` hold, with this delimiter, as the dialect has it.
    pub(super) fn new(bytes: Bytes, delimiter: u8, dialect: &Dialect) -> Self {
        let mut core = csv_core::ReaderBuilder::new();
        core.delimiter(delimiter).escape(dialect.escape);
        match dialect.quote {
            Quote::Byte(quote) => core.quote(quote),
            Quote::None => core.quoting(false),
        };
        Self {
            core: core.build(),
            comment: dialect.comment,
            bytes,
            lines: LineCounter::default(),
            record_line: 1,
            text: vec![0; RECORD_START],
            text_len: 0,
            ends: vec![0; CELLS_START],
            ends_len: 0,
        }
    }

    /// The line reached.
    pub(super) fn line(&self) -> u64 {
        self.lines.line()
    }

    /// The line the record in the buffer starts on.
    pub(super) const fn record_line(&self) -> u64 {
        self.record_line
    }

    /// Whether more of the file is read already.
    pub(super) fn has_buffered_input(&self) -> bool {
        self.bytes.buffer().iter().any(|byte| !matches!(byte, b'\n' | b'\r'))
    }

    /// Reads the next record into the buffer. A row whose cells are all blank is no record: spreadsheets write such rows.
    pub(super) fn read(&mut self) -> io::Result<Next> {
        loop {
            let next = self.read_any()?;
            let is_record = matches!(next, Next::Record { .. });
            if !is_record || self.ends_len < 2 || !self.text[..self.text_len].trim_ascii().is_empty() {
                return Ok(next);
            }
        }
    }

    fn read_any(&mut self) -> io::Result<Next> {
        if !self.skip_what_is_no_record()? {
            return Ok(Next::End);
        }
        self.record_line = self.lines.line();
        (self.text_len, self.ends_len) = (0, 0);
        let mut overflow = None;
        let mut at_end = false;
        loop {
            let input = self.bytes.fill_buf()?;
            // At the end of the file a line break is added: outside quotes it ends the record, inside quotes it does not.
            let is_added_break = input.is_empty();
            let input = if is_added_break { &b"\n"[..] } else { input };
            let (result, consumed, written, ended) = self.core.read_record(
                input,
                &mut self.text[self.text_len..],
                &mut self.ends[self.ends_len..],
            );
            if is_added_break {
                at_end = true;
            } else {
                self.lines.pass(&input[..consumed]);
                self.bytes.consume(consumed);
            }
            self.text_len += written;
            self.ends_len += ended;
            match result {
                ReadRecordResult::Record => break,
                ReadRecordResult::InputEmpty if at_end => return Ok(self.unterminated_quote()),
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.grow(&mut overflow),
                ReadRecordResult::OutputEndsFull => {
                    if self.ends.len() < COLUMNS_MAX {
                        self.ends.resize((self.ends.len() * 2).min(COLUMNS_MAX), 0);
                    } else {
                        overflow.get_or_insert(RecordError::TooManyColumns);
                        self.ends_len = 0;
                    }
                }
                ReadRecordResult::End => return Ok(Next::End),
            }
        }
        Ok(overflow
            .or_else(|| self.check())
            .map_or(Next::Record { line: self.record_line }, |error| self.error(error)))
    }

    /// The file ends inside a quoted cell.
    fn unterminated_quote(&mut self) -> Next {
        fail::fail_point!("unterminated_quote_accepted", |_| {
            self.ends[self.ends_len] = self.text_len;
            self.ends_len += 1;
            Next::Record { line: self.record_line }
        });
        self.error(RecordError::UnterminatedQuote)
    }

    const fn error(&self, error: RecordError) -> Next {
        Next::Fault { line: self.record_line, error }
    }

    /// Grows the buffer, or, at its bound, starts to overwrite it: the record is lost, the next one is not.
    fn grow(&mut self, overflow: &mut Option<RecordError>) {
        if self.text.len() >= RECORD_MAX || overflow.is_some() {
            overflow.get_or_insert(RecordError::TooLong);
            self.text_len = 0;
        } else {
            let larger = (self.text.len() * 2).min(RECORD_MAX);
            self.text.resize(larger, 0);
        }
    }

    fn check(&self) -> Option<RecordError> {
        memchr::memchr(0, &self.text[..self.text_len]).map(|_| RecordError::Nul)
    }

    /// Blank lines and comments between records are no records; false at the end of the file.
    fn skip_what_is_no_record(&mut self) -> io::Result<bool> {
        loop {
            let input = self.bytes.fill_buf()?;
            let Some(first) = input.first() else { return Ok(false) };
            // the mark of the end of a file of DOS
            if input == [0x1a] {
                self.bytes.consume(1);
                continue;
            }
            if self.comment == Some(*first) {
                self.skip_line()?;
                continue;
            }
            let blank = input.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
            if blank == 0 {
                return Ok(true);
            }
            self.lines.pass(&input[..blank]);
            self.bytes.consume(blank);
        }
    }

    /// Skips this many lines, whatever they hold.
    pub(super) fn skip_lines(&mut self, count: u64) -> io::Result<()> {
        for _ in 0..count {
            self.skip_line()?;
        }
        Ok(())
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let input = self.bytes.fill_buf()?;
            if input.is_empty() {
                return Ok(());
            }
            let end = memchr::memchr2(b'\n', b'\r', input);
            let passed = end.map_or(input.len(), |end| end + 1);
            let is_cr = end.is_some_and(|end| input[end] == b'\r');
            self.lines.pass(&input[..passed]);
            self.bytes.consume(passed);
            if end.is_none() {
                continue;
            }
            // the LF behind a CR ends the same line
            if is_cr && self.bytes.fill_buf()?.first() == Some(&b'\n') {
                self.lines.pass(b"\n");
                self.bytes.consume(1);
            }
            return Ok(());
        }
    }

    /// How many cells the record has.
    pub(super) const fn width(&self) -> usize {
        self.ends_len
    }

    /// The cells one behind the other, and where each ends.
    pub(super) fn run_on(&self) -> (&[u8], &[usize]) {
        (&self.text[..self.text_len], &self.ends[..self.ends_len])
    }

    fn cell_bytes(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends[..self.ends_len].iter().copied());
        starts.zip(&self.ends[..self.ends_len]).map(|(start, end)| &self.text[start..*end])
    }

    /// The record's cells; the 0-based number of the first cell that is not UTF-8 otherwise.
    pub(super) fn cells(&self) -> Result<Vec<&str>, usize> {
        self.cell_bytes()
            .enumerate()
            .map(|(number, cell)| std::str::from_utf8(cell).map_err(|_| number))
            .collect()
    }

    /// The record's cells with what is not UTF-8 replaced, for a report.
    pub(super) fn cells_lossy(&self) -> Vec<String> {
        self.cell_bytes().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor};

    use super::*;

    type Read = Result<(u64, Vec<String>), (u64, RecordError)>;

    fn read_all(text: &[u8]) -> Vec<Read> {
        // with a buffer of 7 bytes nearly every token crosses a boundary
        let bytes: Bytes = BufReader::with_capacity(7, Box::new(Cursor::new(text.to_vec())));
        let mut records = CsvRecords::new(bytes, b',', &Dialect::default());
        let mut all = Vec::new();
        loop {
            match records.read().unwrap() {
                Next::End => return all,
                Next::Fault { line, error } => all.push(Err((line, error))),
                Next::Record { line } => all.push(Ok((line, records.cells_lossy()))),
            }
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is beside faults in a list")]
    fn row(line: u64, cells: &[&str]) -> Read {
        Ok((line, cells.iter().map(|cell| (*cell).to_owned()).collect()))
    }

    #[test]
    fn every_record_knows_the_line_it_starts_on() {
        let text = b"a,b\r\n\r\n\n\"x\ny\",2\n3,\"say \"\"hi\"\"\"\nlast,";
        assert_eq!(
            read_all(text),
            [
                row(1, &["a", "b"]),
                row(4, &["x\ny", "2"]),
                row(6, &["3", "say \"hi\""]),
                row(7, &["last", ""])
            ]
        );
    }

    #[test]
    fn old_line_ends_count_as_lines() {
        assert_eq!(
            read_all(b"a\rb\r\nc\r\rd"),
            [row(1, &["a"]), row(2, &["b"]), row(3, &["c"]), row(5, &["d"])]
        );
    }

    #[test]
    fn a_quote_open_at_the_end_is_an_error_and_not_a_row() {
        assert_eq!(read_all(b"a\n\"b\nc\n"), [row(1, &["a"]), Err((2, RecordError::UnterminatedQuote))]);
        assert_eq!(read_all(b"a\n\""), [row(1, &["a"]), Err((2, RecordError::UnterminatedQuote))]);
        assert_eq!(read_all(b"a\n\"b\""), [row(1, &["a"]), row(2, &["b"])]);
        assert_eq!(read_all(b"a\n\"b\"\"\""), [row(1, &["a"]), row(2, &["b\""])]);
    }

    #[test]
    fn a_giant_record_costs_bounded_memory_and_the_next_row_is_read() {
        let mut text = b"a\n".to_vec();
        text.extend(std::iter::repeat_n(b'x', 3 * RECORD_MAX));
        text.extend(b"\nb\n");
        let bytes: Bytes = BufReader::new(Box::new(Cursor::new(text)));
        let mut records = CsvRecords::new(bytes, b',', &Dialect::default());
        assert_eq!(records.read().unwrap(), Next::Record { line: 1 });
        assert_eq!(records.read().unwrap(), Next::Fault { line: 2, error: RecordError::TooLong });
        assert_eq!(records.read().unwrap(), Next::Record { line: 3 });
        assert_eq!(records.text.len(), RECORD_MAX);
        assert_eq!(records.read().unwrap(), Next::End);
    }

    #[test]
    fn thousands_of_cells_are_read_and_too_many_are_an_error_of_their_row_only() {
        let wide = |count: usize| vec!["x"; count].join(",");
        let text = format!("a\n{}\n{}\nb\n", wide(COLUMNS_MAX), wide(COLUMNS_MAX + 1));
        let read = read_all(text.as_bytes());
        assert_eq!(read[1].as_ref().unwrap().1.len(), COLUMNS_MAX);
        assert_eq!(read[2..], [Err((3, RecordError::TooManyColumns)), row(4, &["b"])]);
    }

    #[test]
    fn a_long_cell_is_read_and_a_nul_byte_is_an_error_of_its_row_only() {
        let long = "y".repeat(RECORD_MAX / 2);
        let text = format!("a\n{long},x\nb\0\nc\n");
        assert_eq!(
            read_all(text.as_bytes()),
            [row(1, &["a"]), row(2, &[&long, "x"]), Err((3, RecordError::Nul)), row(4, &["c"])]
        );
    }

    #[test]
    fn a_row_of_blank_cells_is_no_record() {
        assert_eq!(
            read_all(b"a,b\n,,\n, \n\"\",\"\"\nx,\n\"\"\n"),
            [row(1, &["a", "b"]), row(5, &["x", ""]), row(6, &[""])]
        );
    }

    #[test]
    fn an_empty_file_has_no_record() {
        assert!(read_all(b"").is_empty());
        assert!(read_all(b"\n\r\n\n").is_empty());
    }
}

//! Records from a worksheet of an Excel workbook (.xlsx).
//!
//! The cells are read one after the other in a thread of its own, because the reader of cells borrows the workbook. Memory holds
//! the workbook's texts and a few rows, whatever the number of rows.

use std::{
    fs::File,
    io::{self, BufReader, Cursor, Read},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

use calamine::{Reader as _, SheetType, SheetVisible, Xlsx};

use super::{
    COLUMNS_MAX, Next, RECORD_MAX, RecordError,
    cells::{Book, Source, text_of},
    links::SheetLinks,
    sheet_xml::{LIST_OF_SHEETS, RELATIONS, STYLES, SheetXml, WorkbookXml},
};
use crate::manifest::addresses::is_web_address;

/// The parts of a workbook that are kept in memory unpack to this many bytes at most, together.
const TEXTS_MAX: u64 = 256 * 1024 * 1024;
/// A part that unpacks to more than this many times its size is refused, once it has unpacked to [`RATIO_FROM`] bytes.
const RATIO_MAX: u64 = 200;
const RATIO_FROM: u64 = 64 * 1024 * 1024;
/// Rows that are read ahead.
const ROWS_AHEAD: usize = 64;

/// Where the bytes of a workbook are.
#[derive(Clone, Debug)]
enum WorkbookBytes {
    File(String),
    Memory(Arc<[u8]>),
}

impl WorkbookBytes {
    fn open(&self) -> io::Result<BufReader<Box<dyn Source>>> {
        let source: Box<dyn Source> = match self {
            Self::File(path) => Box::new(File::open(path)?),
            Self::Memory(bytes) => Box::new(Cursor::new(Arc::clone(bytes))),
        };
        Ok(BufReader::new(source))
    }
}

/// A workbook, and the worksheet of it that is read.
#[derive(Clone, Debug)]
pub(in crate::manifest) struct Workbook {
    place: WorkbookBytes,
    sheet: String,
    has_header: bool,
    links: Arc<SheetLinks>,
    /// Whether it counts its days from 1904 on.
    pub(in crate::manifest) has_1904_epoch: bool,
    /// What a user should know about it.
    pub(in crate::manifest) found: Vec<String>,
}

/// Which sheet of a workbook is read, and from where.
#[derive(Clone, Copy, Debug)]
pub(in crate::manifest) struct SheetChoice<'a> {
    /// `None`: the first visible one.
    pub(in crate::manifest) name: Option<&'a str>,
    pub(in crate::manifest) lines_before: u64,
    pub(in crate::manifest) has_header: bool,
}

/// Why a file is no workbook that can be read.
#[derive(Debug)]
pub(in crate::manifest) enum WorkbookError {
    /// It is a zip file of something else.
    Other(&'static str),
    /// It cannot be opened, for this reason.
    Unreadable(String),
    /// There is no such sheet; these there are.
    NoSheet(String),
}

impl Workbook {
    /// A file.
    pub(in crate::manifest) fn of_file(path: &str, choice: SheetChoice<'_>) -> Result<Self, WorkbookError> {
        Self::of(WorkbookBytes::File(path.to_owned()), choice)
    }

    /// Bytes that are there already.
    pub(in crate::manifest) fn of_bytes(
        bytes: Vec<u8>,
        choice: SheetChoice<'_>,
    ) -> Result<Self, WorkbookError> {
        Self::of(WorkbookBytes::Memory(bytes.into()), choice)
    }

    fn of(place: WorkbookBytes, choice: SheetChoice<'_>) -> Result<Self, WorkbookError> {
        let unreadable = |error: &dyn std::fmt::Display| WorkbookError::Unreadable(error.to_string());
        let open = || place.open().map_err(|error| unreadable(&error));
        let xml = check_parts(open()?)?;
        let mut book: Book = Xlsx::new(open()?).map_err(|error| unreadable(&error))?;
        let is_table = |typ: SheetType| typ == SheetType::WorkSheet;
        let all = book.sheets_metadata().iter().cloned().enumerate();
        let sheets: Vec<_> = all.filter(|(_, sheet)| is_table(sheet.typ)).collect();
        let listed = || {
            let names: Vec<String> =
                sheets.iter().take(20).map(|(_, sheet)| crate::redact::clean(&sheet.name)).collect();
            names.join(", ")
        };
        let is_visible = |sheet: &calamine::Sheet| sheet.visible == SheetVisible::Visible;
        let chosen = match choice.name {
            Some(name) => sheets.iter().find(|(_, sheet)| sheet.name == name),
            None => sheets.iter().find(|(_, sheet)| is_visible(sheet)).or(sheets.first()),
        };
        let Some((at, chosen)) = chosen else { return Err(WorkbookError::NoSheet(listed())) };
        let nothing = SheetXml::default();
        let own = xml.sheet(*at).unwrap_or(&nothing);
        let name = crate::redact::clean(&chosen.name);
        let first_row = choice.lines_before + u64::from(choice.has_header);
        let first_row = u32::try_from(first_row).unwrap_or(u32::MAX);
        let links =
            SheetLinks::of(&mut book, &chosen.name, first_row, own).map_err(|error| unreadable(&error))?;
        let found = match (sheets.len(), choice.name) {
            (2.., None) => {
                format!("an Excel workbook, its sheet {name} (--sheet names another: {})", listed())
            }
            _ => format!("an Excel workbook, its sheet {name}"),
        };
        let merged =
            if own.has_merged_cells { merged_rows(&mut book, &chosen.name, first_row) } else { None };
        let found = std::iter::once(found)
            .chain(links.found.iter().cloned())
            .chain(xml.notices(own, &name))
            .chain(merged)
            .collect();
        let has_1904_epoch = book.has_1904_epoch();
        let (sheet, has_header) = (chosen.name.clone(), choice.has_header);
        Ok(Self { sheet, place, has_header, links: Arc::new(links), has_1904_epoch, found })
    }

    fn open(&self) -> io::Result<Book> {
        Xlsx::new(self.place.open()?).map_err(io::Error::other)
    }
}

/// Areas that are named where they are merged over several rows.
const AREAS_SHOWN: usize = 3;

/// That cells behind the header are merged over several rows, if so.
fn merged_rows(book: &mut Book, sheet: &str, first_row: u32) -> Option<String> {
    // a sheet whose areas cannot be read is an error where its cells are read
    let areas = book.merge_cells_by_sheet_name(sheet).ok()?;
    let mut tall =
        areas.iter().filter(|area| area.end.0 > area.start.0 && area.end.0 >= first_row).peekable();
    tall.peek()?;
    let shown: Vec<String> = tall
        .take(AREAS_SHOWN)
        .map(|area| format!("column {} in rows {} to {}", area.start.1 + 1, area.start.0 + 1, area.end.0 + 1))
        .collect();
    Some(format!(
        "cells that are merged over several rows give their value to the first of these rows only ({}): unmerge and fill them",
        shown.join("; ")
    ))
}

/// Unpacks every part once, without keeping it: a small file must not take all memory. Says what the XML shows.
fn check_parts(source: BufReader<Box<dyn Source>>) -> Result<WorkbookXml, WorkbookError> {
    let unreadable = |error: zip::result::ZipError| WorkbookError::Unreadable(error.to_string());
    let mut archive = zip::ZipArchive::new(source).map_err(unreadable)?;
    check_kind(&archive)?;
    let mut texts = 0;
    let mut xml = WorkbookXml::default();
    let mut small = [LIST_OF_SHEETS, RELATIONS, STYLES].map(|name| (name, Vec::new()));
    for at in 0..archive.len() {
        let part = archive.by_index(at).map_err(unreadable)?;
        let name = part.name().map_or_else(|_| "a part".to_owned(), |name| crate::redact::clean(&name));
        let is_sheet = name.to_ascii_lowercase().contains("worksheets/");
        let packed = part.compressed_size().max(1);
        let max = if is_sheet { u64::MAX } else { TEXTS_MAX - texts };
        let max = max.min(RATIO_FROM.max(packed.saturating_mul(RATIO_MAX)));
        // a part that is damaged is an error where it is read
        let mut part = part.take(max.saturating_add(1));
        let kept = small.iter_mut().find(|(own, _)| name.eq_ignore_ascii_case(own));
        let copied = match (is_sheet, kept) {
            (true, _) => io::copy(&mut part, xml.sheet_mut(&name)),
            (false, Some((_, text))) => io::copy(&mut part, text),
            (false, None) => io::copy(&mut part, &mut io::sink()),
        };
        let size = copied.unwrap_or(0);
        if size > max {
            return Err(WorkbookError::Unreadable(format!("{name} unpacks to more than {max} bytes")));
        }
        texts += if is_sheet { 0 } else { size };
        if xml.has_too_many_links() {
            return Err(WorkbookError::Unreadable(format!("{name} has more than 1,000,000 links")));
        }
    }
    let [list, relations, styles] = small.map(|(_, text)| String::from_utf8_lossy(&text).into_owned());
    xml.order_sheets(&list, &relations);
    xml.note_formats(&styles);
    Ok(xml)
}

/// An error where the archive is of another kind.
fn check_kind<R: Read + io::Seek>(archive: &zip::ZipArchive<R>) -> Result<(), WorkbookError> {
    let has =
        |name: &str| archive.file_names().any(|own| own.is_ok_and(|own| own.eq_ignore_ascii_case(name)));
    if has("xl/workbook.bin") {
        return Err(WorkbookError::Other("a binary Excel workbook (.xlsb)"));
    }
    if has("content.xml") && has("mimetype") {
        return Err(WorkbookError::Other("an OpenDocument file (.ods)"));
    }
    if !has(LIST_OF_SHEETS) {
        return Err(WorkbookError::Other("a zip archive"));
    }
    Ok(())
}

/// What the reading thread sends.
enum Message {
    /// The line, its cells, and the links behind them.
    Row(u64, Vec<String>, Vec<String>),
    Fault(u64, RecordError),
    Broken(String),
    End,
}

/// Reads row after row.
pub(in crate::manifest) struct SheetRecords {
    messages: Receiver<Message>,
    line: u64,
    /// Rows up to this one are skipped.
    skipped: u64,
    /// Rows are as wide as the first one at least: a worksheet does not hold empty cells.
    width: usize,
    cells: Vec<String>,
    /// The names of the columns of links, while the header is not read.
    link_names: Option<Vec<String>>,
}

impl SheetRecords {
    pub(super) fn open(workbook: &Workbook) -> io::Result<Self> {
        let (sender, messages) = sync_channel(ROWS_AHEAD);
        let mut book = workbook.open()?;
        let (sheet, links) = (workbook.sheet.clone(), Arc::clone(&workbook.links));
        let link_names = workbook.has_header.then(|| links.columns.values().cloned().collect());
        std::thread::Builder::new().name("worksheet".to_owned()).spawn(move || {
            let last = match send_rows(&mut book, &sheet, &links, &sender) {
                Ok(()) => Message::End,
                Err(error) => Message::Broken(error.to_string()),
            };
            // the reader may have stopped
            let _ = sender.send(last);
        })?;
        Ok(Self { messages, line: 0, skipped: 0, width: 0, cells: Vec::new(), link_names })
    }

    /// The row reached, from 1.
    pub(super) const fn line(&self) -> u64 {
        if self.line == 0 { 1 } else { self.line }
    }

    pub(super) const fn skip_lines(&mut self, count: u64) {
        self.skipped = count;
    }

    pub(super) fn cells(&self) -> Vec<&str> {
        self.cells.iter().map(String::as_str).collect()
    }

    /// Reads the next row that is not empty.
    pub(super) fn read(&mut self) -> io::Result<Next> {
        loop {
            let broken = |text: &str| Err(io::Error::other(format!("the worksheet cannot be read: {text}")));
            match self.messages.recv() {
                Ok(Message::End) => {
                    // a later call finds the end again
                    let (sender, messages) = sync_channel(1);
                    let _ = sender.send(Message::End);
                    self.messages = messages;
                    return Ok(Next::End);
                }
                Ok(Message::Broken(text)) => return broken(&text),
                Err(_) => return broken("it is damaged"),
                Ok(Message::Row(line, ..) | Message::Fault(line, _)) if line <= self.skipped => {}
                Ok(Message::Fault(line, error)) => {
                    self.line = line;
                    return Ok(Next::Fault { line, error });
                }
                Ok(Message::Row(line, cells, links)) => {
                    self.line = line;
                    self.cells = cells;
                    self.width = if self.width == 0 { self.cells.len() } else { self.width };
                    if self.cells.len() < self.width {
                        self.cells.resize(self.width, String::new());
                    }
                    self.cells.extend(self.link_names.take().unwrap_or(links));
                    return Ok(Next::Record { line });
                }
            }
        }
    }
}

/// A row of which not all cells are there yet.
#[derive(Default)]
struct Row {
    line: u64,
    cells: Vec<String>,
    links: Vec<String>,
    bytes: usize,
    error: Option<RecordError>,
}

impl Row {
    fn put(&mut self, column: usize, text: String) {
        self.bytes += text.len();
        if column >= COLUMNS_MAX {
            self.error.get_or_insert(RecordError::TooManyColumns);
        } else if self.bytes > RECORD_MAX {
            self.error.get_or_insert(RecordError::TooLong);
            self.cells.clear();
        } else if text.contains('\0') {
            self.error.get_or_insert(RecordError::Nul);
        } else {
            if self.cells.len() <= column {
                self.cells.resize(column + 1, String::new());
            }
            self.cells[column] = text;
        }
    }

    /// The link in the column that takes it.
    fn put_link(&mut self, at: usize, count: usize, link: String) {
        self.bytes += link.len();
        if self.bytes > RECORD_MAX {
            self.error.get_or_insert(RecordError::TooLong);
        }
        self.links.resize(count, String::new());
        self.links[at] = link;
    }

    /// What is sent of it; none when all cells are blank.
    fn message(self, link_count: usize) -> Option<Message> {
        let Self { line, mut cells, mut links, error, .. } = self;
        if let Some(error) = error {
            return Some(Message::Fault(line, error));
        }
        let end = cells.iter().rposition(|cell| !cell.trim().is_empty())?;
        cells.truncate(end + 1);
        links.resize(link_count, String::new());
        Some(Message::Row(line, cells, links))
    }
}

fn send_rows(
    book: &mut Book,
    sheet: &str,
    links: &SheetLinks,
    sender: &SyncSender<Message>,
) -> Result<(), calamine::XlsxError> {
    let link_count = links.columns.len();
    let mut reader = book.worksheet_cells_reader(sheet)?;
    let mut row = Row::default();
    // rows that the file has in another order are numbered on
    let mut line_max = 0;
    let mut at = None;
    loop {
        let ((own, column), text, formula) = if links.has_formulas {
            let Some(cell) = reader.next_cell_with_formula()? else { break };
            (cell.pos, text_of(&cell.value), cell.formula)
        } else {
            let Some(cell) = reader.next_cell()? else { break };
            (cell.get_position(), text_of(cell.get_value()), None)
        };
        if at != Some(own) {
            at = Some(own);
            line_max = (line_max + 1).max(u64::from(own) + 1);
            let done = std::mem::replace(&mut row, Row { line: line_max, ..Row::default() });
            if let Some(message) = done.message(link_count)
                && sender.send(message).is_err()
            {
                return Ok(());
            }
        }
        if let Some(at) = links.columns.keys().position(|own| *own == column) {
            let is_address = is_web_address(text.trim());
            let link =
                if is_address { Some(text.clone()) } else { links.behind(own, column, formula.as_deref()) };
            row.put_link(at, link_count, link.unwrap_or_default());
        }
        if !text.is_empty() {
            row.put(usize::try_from(column).unwrap_or(usize::MAX), text);
        }
    }
    if let Some(message) = row.message(link_count) {
        let _ = sender.send(message);
    }
    Ok(())
}

//! Reading with several threads: one splits the manifest into batches of records, the others convert them, and the results come
//! out in the order of the file.

use rayon::iter::{IntoParallelRefMutIterator as _, ParallelIterator as _};

use super::{ManifestError, borrowed_row::BorrowedRow, records::Next, row_reader::RowReader, table::Table};
use crate::domain::RowError;

/// Records in one batch at most.
const BATCH_ROWS: usize = 1_024;
/// Bytes of cells in one batch, so that large rows do not take the memory.
const BATCH_BYTES: usize = 256 * 1024;
/// Cells in one batch, so that rows of thousands of columns do not take the memory.
const BATCH_CELLS: usize = 64 * 1024;
/// Batches that are converted while the next ones are split.
const BATCHES: usize = 8;

/// Records as they were split, with their cells one behind the other. It is filled again and again.
#[derive(Default)]
struct RecordBatch {
    text: Vec<u8>,
    ends: Vec<usize>,
    records: Vec<Raw>,
}

/// One record of a batch.
enum Raw {
    /// Its line, and how many cells it has.
    Cells(u64, usize),
    Fault(RowError),
}

impl RecordBatch {
    /// Takes the next records; false at the end.
    fn fill(&mut self, table: &mut Table) -> Result<bool, ManifestError> {
        while self.records.len() < BATCH_ROWS
            && self.text.len() < BATCH_BYTES
            && self.ends.len() < BATCH_CELLS
        {
            match table.next()? {
                Next::End => return Ok(false),
                Next::Fault { line, error } => self.records.push(Raw::Fault(error.into_row_fault(line))),
                Next::Record { line } => {
                    let count = table.records.append_to(&mut self.text, &mut self.ends);
                    self.records.push(Raw::Cells(line, count));
                }
            }
        }
        Ok(true)
    }

    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.records.clear();
    }

    /// Converts every record; `digest` makes of it what is kept.
    fn convert<T>(
        &mut self,
        row_reader: &RowReader<'_>,
        digest: &impl Fn(u64, Result<BorrowedRow<'_>, RowError>) -> T,
    ) -> Vec<T> {
        let Self { text, ends, records } = self;
        // nearly every batch is UTF-8, and then its cells need no check of their own
        let whole = std::str::from_utf8(text).ok();
        let cell_of = |from: usize, to: usize| match whole {
            Some(whole) => whole.get(from..to),
            None => std::str::from_utf8(&text[from..to]).ok(),
        };
        let (mut start, mut at) = (0, 0);
        let mut cells: Vec<&str> = Vec::new();
        let convert_one = |record| match record {
            Raw::Fault(error) => row_reader.fault(error).map(|error| digest(error.line, Err(error))),
            Raw::Cells(line, count) => {
                let own = &ends[at..at + count];
                let bounds = std::iter::once(start).chain(own.iter().copied()).zip(own.iter().copied());
                (start, at) = (own.last().copied().unwrap_or(start), at + count);
                cells.clear();
                cells.extend(bounds.clone().map_while(|(from, to)| cell_of(from, to)));
                if cells.len() == count {
                    return row_reader.digest(line, &cells, digest);
                }
                let lossy = bounds.map(|(from, to)| String::from_utf8_lossy(&text[from..to]).into_owned());
                let fault = row_reader.fault(row_reader.not_utf8(line, cells.len(), lossy.collect()));
                fault.map(|error| digest(line, Err(error)))
            }
        };
        let mut converted = Vec::with_capacity(records.len());
        converted.extend(records.drain(..).filter_map(convert_one));
        converted
    }
}

/// Batches of one step, and whether the table has more.
struct Batches {
    filled: Vec<RecordBatch>,
    has_more: bool,
    /// What ended reading early: it counts behind the records before it.
    error: Option<ManifestError>,
}

impl Batches {
    fn new() -> Self {
        let filled = std::iter::repeat_with(RecordBatch::default).take(BATCHES).collect();
        Self { filled, has_more: true, error: None }
    }

    fn fill(&mut self, table: &mut Table) {
        for batch in &mut self.filled {
            batch.clear();
            if self.has_more {
                match batch.fill(table) {
                    Ok(has_more) => self.has_more = has_more,
                    Err(error) => {
                        self.has_more = false;
                        self.error = Some(error);
                    }
                }
            }
        }
    }
}

/// Reads a table to its end, or until `take` returns false. Every record goes through `digest`, in several threads at once.
/// What comes of a batch of them goes through `take`, in the order of the file.
pub(super) fn read<T: Send>(
    table: &mut Table,
    row_reader: &RowReader<'_>,
    digest: impl Fn(u64, Result<BorrowedRow<'_>, RowError>) -> T + Sync,
    mut take: impl FnMut(Vec<T>) -> bool,
) -> Result<(), ManifestError> {
    let (mut current, mut next) = (Batches::new(), Batches::new());
    current.fill(table);
    loop {
        let has_more = current.has_more;
        next.has_more = has_more;
        let convert = |batch: &mut RecordBatch| batch.convert(row_reader, &digest);
        let ((), converted) = rayon::join(
            || {
                if has_more {
                    next.fill(table);
                }
            },
            || current.filled.par_iter_mut().map(convert).collect::<Vec<Vec<T>>>(),
        );
        if !converted.into_iter().all(&mut take) {
            return Ok(());
        }
        if let Some(error) = current.error.take() {
            return Err(error);
        }
        if !has_more {
            return Ok(());
        }
        std::mem::swap(&mut current, &mut next);
    }
}

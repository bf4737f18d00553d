//! Reading by several hands: one at a time splits a manifest into batches of records, all at once make sense of them, and the
//! results come out in the order of the file.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

use super::{ManifestError, borrowed_row::BorrowedRow, records::Next, row_reader::RowReader, table::Table};
use crate::domain::RowError;

/// Records in one batch at most…
const BATCH_ROWS: usize = 1_024;
/// …and bytes of cells, so that large rows do not take the memory.
const BATCH_BYTES: usize = 256 * 1024;
/// More hands than this wait for the one that splits.
const HANDS_MAX: usize = 4;
/// Batches that may be begun before their turn, for each hand: while one hand is held up, the others do not pile up what they
/// have done.
const AHEAD_MAX: u64 = 4;

/// Records as they were split, with their cells one behind the other. Each hand has one, which it fills again and again.
#[derive(Default)]
struct Batch {
    text: Vec<u8>,
    ends: Vec<usize>,
    records: Vec<Raw>,
}

/// One record of a batch.
enum Raw {
    /// With so many cells.
    Cells(u64, usize),
    Fault(RowError),
}

impl Batch {
    fn fill(&mut self, table: &mut Table) -> Result<bool, ManifestError> {
        self.text.clear();
        self.ends.clear();
        self.records.clear();
        while self.records.len() < BATCH_ROWS && self.text.len() < BATCH_BYTES {
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

    /// Makes sense of every record; `digest` takes what is left of it.
    fn convert<T>(
        &mut self,
        row_reader: &RowReader<'_>,
        digest: &impl Fn(u64, Result<BorrowedRow<'_>, RowError>) -> T,
    ) -> Vec<T> {
        let Self { text, ends, records } = self;
        // nearly every batch is, and then its cells need not be looked at one by one
        let whole = std::str::from_utf8(text).ok();
        let cell_of = |from: usize, to: usize| match whole {
            Some(whole) => whole.get(from..to),
            None => std::str::from_utf8(&text[from..to]).ok(),
        };
        let (mut start, mut at) = (0, 0);
        let mut cells: Vec<&str> = Vec::new();
        let understand_one = |record| match record {
            Raw::Fault(error) => Some(digest(error.line, Err(error))),
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
                Some(digest(line, Err(row_reader.not_utf8(line, cells.len(), lossy.collect()))))
            }
        };
        let mut understood = Vec::with_capacity(records.len());
        understood.extend(records.drain(..).filter_map(understand_one));
        understood
    }
}

/// What all hands share.
struct WorkerQueue<'a> {
    table: Mutex<(u64, &'a mut Table)>,
    /// The batch whose turn it is.
    turn: Mutex<u64>,
    turned: Condvar,
    ahead_max: u64,
    is_over: AtomicBool,
}

impl WorkerQueue<'_> {
    /// Fills the batch with the next records, and says which it is; none at the end.
    fn take(&self, batch: &mut Batch) -> Option<(u64, Result<(), ManifestError>)> {
        let mut desk = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let is_far_ahead =
            |turn: &mut u64| desk.0 >= *turn + self.ahead_max && !self.is_over.load(Ordering::Relaxed);
        drop(self.turned.wait_while(self.turn(), is_far_ahead));
        if self.is_over.load(Ordering::Relaxed) {
            return None;
        }
        let (ended, error) = match batch.fill(desk.1) {
            Ok(more) => (!more, Ok(())),
            Err(error) => (true, Err(error)),
        };
        self.is_over.fetch_or(ended, Ordering::Relaxed);
        desk.0 += 1;
        Some((desk.0 - 1, error))
    }

    fn turn(&self) -> MutexGuard<'_, u64> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is the turn of this batch.
    fn turn_to(&self, number: u64) {
        *self.turn() = number;
        self.turned.notify_all();
    }
}

/// Whoever leaves the desk, even by a panic, sends home those who would wait for it.
struct Leaving<'a, 'b>(&'a WorkerQueue<'b>);

impl Drop for Leaving<'_, '_> {
    fn drop(&mut self) {
        let _turn = self.0.turn();
        self.0.is_over.store(true, Ordering::Relaxed);
        self.0.turned.notify_all();
    }
}

/// Reads a table to its end, or until `take` says that it was enough. Every record goes through `digest`, by several
/// hands at once, and what comes of a batch of them through `take`, in the order of the file.
pub(super) fn read<T: Send>(
    table: &mut Table,
    row_reader: &RowReader<'_>,
    digest: impl Fn(u64, Result<BorrowedRow<'_>, RowError>) -> T + Sync,
    mut take: impl FnMut(Vec<T>) -> bool,
) -> Result<(), ManifestError> {
    // one more than there are cores: one waits for its turn to split
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let workers = (cores + 1).min(HANDS_MAX);
    let desk = WorkerQueue {
        table: Mutex::new((0, table)),
        turn: Mutex::new(0),
        turned: Condvar::new(),
        ahead_max: AHEAD_MAX * workers as u64,
        is_over: AtomicBool::new(false),
    };
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(workers);
        for _ in 0..workers {
            let (sender, desk, digest) = (sender.clone(), &desk, &digest);
            scope.spawn(move || {
                let _leaving = Leaving(desk);
                let mut batch = Batch::default();
                while let Some((number, error)) = desk.take(&mut batch) {
                    // nobody listens any more when enough was seen
                    if sender.send((number, batch.convert(row_reader, digest), error)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let _leaving = Leaving(&desk);
        // batches that came before their turn
        let mut early = BTreeMap::new();
        let mut turn = 0;
        for (number, digested, error) in receiver {
            early.insert(number, (digested, error));
            while let Some((digested, error)) = early.remove(&turn) {
                turn += 1;
                if !take(digested) {
                    return Ok(());
                }
                error?;
                desk.turn_to(turn);
            }
        }
        Ok(())
    })
}

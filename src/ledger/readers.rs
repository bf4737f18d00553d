//! Connections that only read, so that a long read delays no change.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use super::{
    LedgerError, LedgerPlace, Snapshot, commit_queue::panic_text, files::OpenFiles,
    sql::postgres::retry_while_lost,
};
use crate::blocking;

/// The most reads at one time. Others wait.
const READERS_MAX: u32 = 4;

/// The connections of one ledger that read.
pub(super) struct Readers {
    place: LedgerPlace,
    files: OpenFiles,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Snapshot>>,
}

impl Readers {
    pub(super) fn new(place: &LedgerPlace) -> Arc<Self> {
        Arc::new(Self {
            place: place.clone(),
            files: OpenFiles::of(place),
            permits: Arc::new(Semaphore::new(READERS_MAX as usize)),
            idle: Mutex::new(Vec::new()),
        })
    }

    /// Runs `work` on the ledger as of one time.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl Fn(&Snapshot) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let closed = || LedgerError::Broken { cause: "the ledger is closed".to_owned() };
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| closed())?;
        let readers = Arc::clone(self);
        let job = blocking::run(move || {
            let result = retry_while_lost(|| readers.run(&work));
            // the permit belongs to the read: a caller that stops waiting does not end it
            drop(permit);
            result
        });
        match job.await.map_err(tokio::task::JoinError::try_into_panic) {
            Ok(result) => result,
            Err(Ok(panic)) => Err(LedgerError::Panicked { what: panic_text(panic.as_ref()) }),
            Err(Err(_)) => Err(closed()),
        }
    }

    /// Runs the work on an idle connection, or on a new one. After an error of the engine the connection is dropped, unless it was
    /// lost: it connects again by itself.
    fn run<T>(&self, work: impl Fn(&Snapshot) -> Result<T, LedgerError>) -> Result<T, LedgerError> {
        let idle = self.idle().pop();
        let snapshot = idle.map_or_else(|| self.connect(), Ok)?;
        let result = snapshot.at_one_time(work);
        if matches!(result, Ok(_) | Err(LedgerError::ConnectionLost { .. })) {
            self.idle().push(snapshot);
        }
        result
    }

    /// Another connection to the file that is written. A file that has taken its place is not read.
    fn connect(&self) -> Result<Snapshot, LedgerError> {
        self.files.check()?;
        Snapshot::open(&self.place)
    }

    /// Waits for the reads that are running, and refuses later ones. The connection that writes is then the last one, and
    /// moves the log into the main file when it is closed.
    pub(super) async fn close(&self) {
        let running = self.permits.acquire_many(READERS_MAX).await;
        self.permits.close();
        drop(running);
        self.idle().clear();
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Snapshot>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

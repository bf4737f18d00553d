//! The ledger: every item and every request made for it, stored durably in SQLite or PostgreSQL. The stages of the pipeline meet only here.
//!
//! Guarantees:
//! - **Crash**: a function that returned `Ok` has reached the disk (`synchronous=FULL`). One that did not return has
//!   happened completely or not at all. When the ledger is opened, every item found `sending` becomes `in_doubt`, and
//!   the import resumes.
//! - **Intent before request**: [`Ledger::claim`] marks an item as sending and records the request in one transaction. It
//!   returns after the commit. Only this function creates a [`Claim`].
//! - **Idempotency**: admitting the same rows twice changes nothing.
//! - **Concurrency**: one process writes, by a file lock that it holds until it ends. Its changes are queued and
//!   committed in groups. Reads have connections of their own, so that a long read delays no change; a read sees every
//!   change that was returned before it began. What decides a claim is read in the transaction of the claim. Other
//!   processes may only leave orders ([`hand_over`]), which the one that writes carries out.
//! - **Failure**: after a failed commit the ledger accepts no more changes, because a second `fsync` may report success
//!   for data that was lost. The program stops, and the next opening reads what the disk holds.
//! - **Memory**: functions take bounded batches. Only the queue is held in memory.
//! - **Determinism**: callers pass `now`. The ledger reads no clock and draws no random numbers.

mod admission;
mod callback_key;
mod commit_queue;
mod copy;
mod damage;
mod error;
mod files;
mod handing_over;
mod high_water;
mod holder;
mod identity;
mod ids;
mod integrity;
mod library_diff;
mod marker;
mod open;
mod place;
mod probe_ledger;
mod readers;
mod registry;
mod schema;
mod snapshot;
mod sql;
mod store;
mod successor;
#[cfg(test)]
pub(crate) mod tests;
mod types;
mod values;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use admission::{
    Admission, AdmitTerms, DriftedRows, FailedRows, PlannedAction, ProbeRequirement, RerunPolicy,
};
pub use callback_key::CallbackKey;
pub use copy::{CopiedLedger, copy_ledger};
pub use error::LedgerError;
pub use handing_over::hand_over;
pub use holder::running_process;
pub use identity::{Identity, KeyChange, Restored, SecondLedger};
pub use ids::{AttemptId, ItemId, ManifestId, RunId};
pub use library_diff::{DiffEntry, DiffKind, LibraryDiff, ListingPresence};
pub use marker::is_marker;
pub use place::LedgerPlace;
pub use probe_ledger::ProbeLedger;
pub use registry::{RegisteredLedger, follow_ledger, registered_ledger, registered_ledgers};
pub use schema::version as schema_version;
pub use snapshot::{
    AnswerRow, Capture, CauseCount, CauseExample, DeletionRow, EventRow, FaultCount, FilesSent, ItemHistory,
    ItemRow, LastError, ListFilter, ListedItem, ManifestCounts, NO_SERVICE, OpenQuestion, ReasonCount,
    ReportScope, RequestCounts, RequestRow, RequestTimes, RowIssue, RowIssueKind, RunPace, RunRow,
    RunUploads, Snapshot,
};
pub use sql::postgres::DatabaseAddress;
pub use store::Store;
pub use successor::LedgerInUse;
pub use types::{
    Acknowledgement, AttemptResult, BODY_LEASE, BadRow, BadRowCounts, Binding, Bindings, BootTime, BoundBy,
    BoundItem, BoundVideo, CallContradiction, CallReceipt, CalledAttempt, CalledNumber, Claim, ClaimBlocked,
    ClaimOutcome, ClaimTerms, ClockReference, ControlVideo, DeletedRows, DeletionOrder, DeletionTask,
    Expiring, ExternalUsage, HeldResend, KeptReason, LibraryVideo, Marker, Observation, ObservedDelays,
    Order, OrderId, OrderResult, OtherMarker, OwnColumns, PollResult, PollTask, PossibleSender, Question,
    Recovered, ReviewAnswer, ReviewDecision, ReviewOutcome, RunProgress, RunVideo, SentTags, ServiceTime,
    StateCounts, StorageAccess, UndoAction, UnresolvedAttempt, UnresolvedAttempts, UploadUsage, VideoOwner,
};

use crate::{blocking, domain::UnixMillis};
use commit_queue::CommitQueue;
pub(crate) use commit_queue::panic_text;
use damage::CheckBeside;
use readers::Readers;

/// The async handle of the ledger; cheap to clone.
///
/// The stages read by the functions of [`Snapshot`] and write by those of [`Store`].
#[derive(Clone)]
pub struct Ledger {
    commit_queue: Arc<CommitQueue>,
    /// `None`: a scratch ledger. It defers commits, so only the connection that writes sees all of it.
    readers: Option<Arc<Readers>>,
    /// The check for damage that runs beside. `None`: none was due.
    check: Arc<Mutex<Option<CheckBeside>>>,
}

impl Ledger {
    /// Opens the ledger for writing, makes it if it is not there, and turns every item found `sending` into
    /// `in_doubt`. Blocks; call it before the pipeline starts. After a run that did not end, a large ledger is checked for
    /// damage beside the new run: damage ends it at the next change.
    pub fn open(
        place: impl Into<LedgerPlace>,
        identity: &Identity,
        now: UnixMillis,
    ) -> Result<Self, LedgerError> {
        let store = open::open(place, identity, now)?;
        let (is_due, place) = (store.is_check_due(), store.place().clone());
        let ledger = Self::with_readers(store);
        if is_due {
            let queue = Arc::clone(&ledger.commit_queue);
            let check = CheckBeside::start(&place, move |checked| queue.note_checked(checked))?;
            *ledger.lock_check() = Some(check);
        }
        Ok(ledger)
    }

    /// Opens a ledger that is there, without a key: for work that sends nothing. Blocks.
    pub fn open_offline(place: impl Into<LedgerPlace>, now: UnixMillis) -> Result<Self, LedgerError> {
        Ok(Self::with_readers(open::open_offline(&place.into(), now)?))
    }

    /// Opens or creates a ledger that has no owner yet: the first import sets it. Blocks.
    pub fn open_early(
        place: impl Into<LedgerPlace>,
        fresh_secret: [u8; 32],
        now: UnixMillis,
    ) -> Result<Self, LedgerError> {
        Ok(Self::with_readers(open::open_early(place, fresh_secret, now)?))
    }

    /// Opens a scratch ledger for a rehearsal: nothing is synced. Blocks.
    pub fn open_scratch(
        place: impl Into<LedgerPlace>,
        identity: &Identity,
        now: UnixMillis,
    ) -> Result<Self, LedgerError> {
        let store = open::open_scratch(place, identity, now)?;
        Ok(Self { commit_queue: CommitQueue::new(store), readers: None, check: Arc::default() })
    }

    fn with_readers(store: Store) -> Self {
        let readers = Some(Readers::new(store.place()));
        Self { commit_queue: CommitQueue::new(store), readers, check: Arc::default() }
    }

    /// Reads the ledger as of one time. It sees every change that was returned before, and delays no change. The work may be done
    /// twice, when the connection to a database was lost.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl Fn(&Snapshot) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let Some(readers) = &self.readers else {
            return self.commit_queue.run(move |store: &Store| work(store)).await;
        };
        self.commit_queue.refuse_if_broken()?;
        readers.read(work).await
    }

    /// Changes the ledger in one transaction, and returns after its commit. An error undoes the changes of `work`. The work
    /// may be done twice, when that of another caller has to be undone.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&Store) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        self.commit_queue.run(work).await
    }

    /// Claims the next pending item, if the quota allows. It is not left to [`Self::write`], so that a [`Claim`] exists
    /// only after its commit.
    pub async fn claim(&self, terms: Arc<ClaimTerms>, at: UnixMillis) -> Result<ClaimOutcome, LedgerError> {
        self.write(move |store| store.claim(&terms, at)).await
    }

    /// A connection that reads what is committed, for work with many reads such as a report.
    pub async fn snapshot(&self) -> Result<Snapshot, LedgerError> {
        let read = |store: &Store| {
            store.commit_deferred()?;
            Ok(store.place().clone())
        };
        Snapshot::open(self.commit_queue.run(read).await?)
    }

    /// Closes the file and lets the next process in. Calls on other handles fail from now on.
    pub async fn close(self) {
        let check = self.lock_check().take();
        if let Some(check) = check {
            let _ = blocking::run(move || check.stop()).await;
        }
        if let Some(readers) = &self.readers {
            readers.close().await;
        }
        self.commit_queue.close().await;
    }

    fn lock_check(&self) -> MutexGuard<'_, Option<CheckBeside>> {
        self.check.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

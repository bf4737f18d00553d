//! The spine: every item, every request ever made for it, and what is due. Rooms meet only here.
//!
//! What it promises:
//! - **Crash**: a verb that returned `Ok` has reached the disk (`synchronous=FULL`); one that did not return has
//!   happened wholly or not at all. On opening, every item found `sending` becomes `in_doubt`.
//! - **Before the first byte**: [`Ledger::claim`] marks an item as sending and spends its quota in one transaction and
//!   returns after the commit. Nothing else mints a [`Claim`].
//! - **Concurrency**: one writer process, by a lock held for life; inside it, verbs are queued and committed in groups.
//!   Readers ([`Snapshot`]) may look at any time.
//! - **Failure**: after a failed commit the ledger takes nothing more: a second `fsync` may lie. The program stops and
//!   looks again on the next opening.
//! - **Size**: verbs take bounded batches; nothing is held in memory but the queue.
//! - **Determinism**: the ledger is told `now`; it has no clock and no dice.

mod door;
mod fault;
mod queue;
mod schema;
mod snapshot;
mod store;
mod tokens;

use std::{path::Path, sync::Arc};

pub use door::{Identity, KeyChange};
pub use fault::LedgerError;
pub use snapshot::{AsideKind, AsideRow, ItemRow, Prospect, RequestCounts, RunRow, Snapshot};
pub use tokens::{
    Admission, Binding, Bindings, BoundBy, Claim, ClaimAnswer, ClaimTerms, Doubt, FailedRows, Marker,
    Obstacle, Seen, Settlement, Sight, Standing, Tally, Watch, Witness,
};

use crate::item::{ManifestRow, RowFault, UnixMillis, VideoNo};
use queue::Queue;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)+) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub(in crate::ledger) i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    )+ };
}

ids! {
    /// One run of the program on this ledger.
    RunId;
    /// One manifest, known by its absolute path.
    SourceId;
    /// One item.
    ItemId;
    /// One request for an item.
    AttemptId;
}

#[cfg(test)]
impl AttemptId {
    /// An id out of thin air.
    pub(crate) const fn for_tests(number: i64) -> Self {
        Self(number)
    }
}

/// The async handle of the ledger; cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    queue: Arc<Queue>,
}

impl Ledger {
    /// Opens the ledger for writing, makes it if it is not there, and turns every item found `sending` into
    /// `in_doubt`. Blocks; call it before the pipeline starts.
    pub fn open(path: &Path, identity: &Identity, now: UnixMillis) -> Result<Self, LedgerError> {
        let store = door::open(path, identity, now)?;
        Ok(Self { queue: Queue::new(store) })
    }

    /// The latest moment the ledger knows of: no clock may be before it.
    pub async fn latest_moment(&self) -> Result<UnixMillis, LedgerError> {
        self.queue.run(store::Store::latest_moment).await
    }

    /// Begins a run under a fresh name, and forgets the rows former runs set aside.
    pub async fn begin_run(
        &self,
        name: String,
        command: &'static str,
        at: UnixMillis,
    ) -> Result<RunId, LedgerError> {
        self.queue.run(move |store| store.begin_run(&name, command, at)).await
    }

    /// Records how a run ended.
    pub async fn end_run(
        &self,
        run: RunId,
        at: UnixMillis,
        exit_code: u8,
        reason: String,
    ) -> Result<(), LedgerError> {
        self.queue.run(move |store| store.end_run(run, at, exit_code, &reason)).await
    }

    /// Makes a manifest known and begins its reading by `run`. `stamp` tells whether the file is as it was before: then
    /// its items may be sent at once, otherwise each only after it was seen again.
    pub async fn begin_reading(
        &self,
        run: RunId,
        identity: String,
        columns: Vec<String>,
        stamp: Option<String>,
    ) -> Result<SourceId, LedgerError> {
        self.queue.run(move |store| store.begin_reading(run, &identity, &columns, stamp.as_deref())).await
    }

    /// Takes in a batch of rows and faults, and says what became of each. All or nothing.
    pub async fn admit(
        &self,
        run: RunId,
        source: SourceId,
        rows: Vec<Result<ManifestRow, RowFault>>,
        failed: FailedRows,
        at: UnixMillis,
    ) -> Result<Vec<Admission>, LedgerError> {
        self.queue.run(move |store| store.admit(run, source, &rows, failed, at)).await
    }

    /// Records that a manifest was read to its end. Returns how many items waited and are not in it any more; they
    /// are not sent.
    pub async fn end_reading(
        &self,
        run: RunId,
        source: SourceId,
        stamp: Option<String>,
    ) -> Result<u64, LedgerError> {
        self.queue.run(move |store| store.end_reading(run, source, stamp.as_deref())).await
    }

    /// Claims the next pending item, if the quota allows.
    pub async fn claim(&self, terms: Arc<ClaimTerms>, at: UnixMillis) -> Result<ClaimAnswer, LedgerError> {
        self.queue.run(move |store| store.claim(&terms, at)).await
    }

    /// What would keep [`Ledger::claim`] from claiming now; none when nothing would.
    pub async fn obstacle(
        &self,
        terms: Arc<ClaimTerms>,
        at: UnixMillis,
    ) -> Result<Option<Obstacle>, LedgerError> {
        self.queue.run(move |store| Ok(store.obstacle(&terms, at)?.err())).await
    }

    /// Records what became of an attempt.
    pub async fn settle(&self, attempt: AttemptId, settlement: Settlement) -> Result<(), LedgerError> {
        self.queue.run(move |store| store.settle(attempt, &settlement)).await
    }

    /// Every attempt in doubt or counted, oldest first, at most `count_max`.
    pub async fn doubts(&self, count_max: usize) -> Result<Vec<Doubt>, LedgerError> {
        self.queue.run(move |store| store.doubts(count_max)).await
    }

    /// What is known of a namespace and of the videos listed there, at one moment.
    pub async fn bindings(
        &self,
        namespace: String,
        video_nos: Vec<VideoNo>,
    ) -> Result<Bindings, LedgerError> {
        let look = move |store: &store::Store| {
            Ok(Bindings { bound: store.bound(&video_nos)?, open_attempts: store.open_attempts(&namespace)? })
        };
        self.queue.run(look).await
    }

    /// Accepted videos of a namespace that a complete listing must show: named by the service's answer before
    /// `answered_before`, newest first.
    pub async fn witnesses(
        &self,
        namespace: String,
        answered_before: UnixMillis,
    ) -> Result<Vec<Witness>, LedgerError> {
        self.queue.run(move |store| store.witnesses(&namespace, answered_before)).await
    }

    /// How far the service's clock may be behind ours at most, in milliseconds, by its latest answers; negative when it
    /// is ahead, none when no answer tells.
    pub async fn clock_behind_ms(&self) -> Result<Option<i64>, LedgerError> {
        self.queue.run(store::Store::clock_behind_ms).await
    }

    /// Notes when a complete listing first showed nothing that an attempt could be; none forgets it.
    pub async fn note_clear(
        &self,
        attempt: AttemptId,
        clear_at: Option<UnixMillis>,
    ) -> Result<(), LedgerError> {
        self.queue.run(move |store| store.note_clear(attempt, clear_at)).await
    }

    /// Accepted items that are due to be looked at by `until`, soonest first, at most `count_max`.
    pub async fn watches(&self, until: UnixMillis, count_max: usize) -> Result<Vec<Watch>, LedgerError> {
        self.queue.run(move |store| store.watches(until, count_max)).await
    }

    /// When the next accepted item is due to be looked at.
    pub async fn next_look_at(&self) -> Result<Option<UnixMillis>, LedgerError> {
        self.queue.run(store::Store::next_look_at).await
    }

    /// Records what looks at accepted items showed.
    pub async fn observe(&self, sights: Vec<Sight>, at: UnixMillis) -> Result<(), LedgerError> {
        self.queue.run(move |store| store.observe(&sights, at)).await
    }

    /// How many items are in each state.
    pub async fn tally(&self) -> Result<Tally, LedgerError> {
        self.queue.run(store::Store::tally).await
    }

    /// How many items of these manifests wait to be sent, and how many of all are in each state, at one moment.
    pub async fn standing(&self, run: RunId, sources: Vec<SourceId>) -> Result<Standing, LedgerError> {
        let look = move |store: &store::Store| {
            Ok(Standing { pending: store.pending(run, &sources)?, tally: store.tally()? })
        };
        self.queue.run(look).await
    }

    /// When the last request left, in any run.
    pub async fn last_sent_at(&self) -> Result<Option<UnixMillis>, LedgerError> {
        self.queue.run(store::Store::last_sent_at).await
    }

    /// When the service last accepted something, as far as is known.
    pub async fn last_accepted_at(&self) -> Result<Option<UnixMillis>, LedgerError> {
        self.queue.run(store::Store::last_accepted_at).await
    }

    /// A read-only view that sees what is committed; for reports.
    pub async fn snapshot(&self) -> Result<Snapshot, LedgerError> {
        let path = self.queue.run(|store| Ok(store.path().to_path_buf())).await?;
        Snapshot::open(&path)
    }

    /// Closes the file and lets the next process in. Verbs called on other handles fail from now on.
    pub async fn close(self) {
        self.queue.close().await;
    }
}

#[cfg(test)]
mod tests;

//! The ledger: every item and every request made for it, stored durably in SQLite. The stages of the pipeline meet only here.
//!
//! Guarantees:
//! - **Crash**: a function that returned `Ok` has reached the disk (`synchronous=FULL`). One that did not return has
//!   happened completely or not at all. When the ledger is opened, every item found `sending` becomes `in_doubt`, and
//!   the import resumes.
//! - **Intent before request**: [`Ledger::claim`] marks an item as sending and records the request in one transaction. It
//!   returns after the commit. Only this function creates a [`Claim`].
//! - **Idempotency**: admitting the same rows twice changes nothing.
//! - **Concurrency**: one process writes, by a file lock that it holds until it ends. Its changes are queued and
//!   committed in groups. Readers ([`Snapshot`]) may read at any time. Other processes may only leave orders
//!   ([`hand_over`]), which the one that writes carries out.
//! - **Failure**: after a failed commit the ledger accepts no more changes, because a second `fsync` may report success
//!   for data that was lost. The program stops, and the next opening reads what the disk holds.
//! - **Memory**: functions take bounded batches. Only the queue is held in memory.
//! - **Determinism**: callers pass `now`. The ledger reads no clock and draws no random numbers.

mod admission;
mod commit_queue;
mod error;
mod handing_over;
mod high_water;
mod identity;
mod ids;
mod integrity;
mod library_diff;
mod marker;
mod open;
mod schema;
mod snapshot;
mod store;
#[cfg(test)]
mod tests;
mod types;

use std::{path::Path, sync::Arc};

pub use admission::{Admission, AdmitTerms, DriftedRows, FailedRows, ProbeRequirement, RerunPolicy};
pub use error::LedgerError;
pub use handing_over::hand_over;
pub use identity::{Identity, KeyChange, Restored};
pub use ids::{AttemptId, ItemId, ManifestId, RunId};
pub use library_diff::{DiffEntry, DiffKind, LibraryDiff, ListingPresence};
pub use snapshot::{
    ItemRow, OpenQuestion, PlannedAction, RequestCounts, RowIssue, RowIssueKind, RunRow, Snapshot,
};
pub use types::{
    AttemptResult, Binding, Bindings, BootTime, BoundBy, BoundItem, Claim, ClaimBlocked, ClaimOutcome,
    ClaimTerms, ClockReference, ControlVideo, Expiring, ExternalUsage, HeldResend, LibraryVideo, Marker,
    Observation, ObservedDelays, Order, OrderId, OrderResult, PollResult, PollTask, PossibleSender, Question,
    Recovered, ReviewAnswer, ReviewDecision, ReviewOutcome, RunProgress, ServiceTime, StateCounts,
    UnresolvedAttempt, UnresolvedAttempts, UploadUsage, VideoOwner,
};

use crate::domain::{AddressDigest, ManifestRow, Probe, RowError, UnixMillis, VideoNo};
use commit_queue::CommitQueue;
pub(crate) use commit_queue::panic_text;

/// The async handle of the ledger; cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    commit_queue: Arc<CommitQueue>,
}

impl Ledger {
    /// Opens the ledger for writing, makes it if it is not there, and turns every item found `sending` into
    /// `in_doubt`. Blocks; call it before the pipeline starts.
    pub fn open(path: &Path, identity: &Identity, now: UnixMillis) -> Result<Self, LedgerError> {
        let store = open::open(path, identity, now)?;
        Ok(Self { commit_queue: CommitQueue::new(store) })
    }

    /// Opens a ledger that is there, without a key: for work that sends nothing. Blocks.
    pub fn open_offline(path: &Path, now: UnixMillis) -> Result<Self, LedgerError> {
        Ok(Self { commit_queue: CommitQueue::new(open::open_offline(path, now)?) })
    }

    /// Opens a ledger before anything is sent with it, or makes it: whose it is, the first import says. Blocks.
    pub fn open_early(path: &Path, fresh_secret: [u8; 32], now: UnixMillis) -> Result<Self, LedgerError> {
        Ok(Self { commit_queue: CommitQueue::new(open::open_early(path, fresh_secret, now)?) })
    }

    /// Opens a scratch ledger for a plan or a simulation: nothing is synced. Without an identity the file must
    /// exist, such as a copy. Blocks.
    pub fn open_scratch(
        path: &Path,
        identity: Option<&Identity>,
        now: UnixMillis,
    ) -> Result<Self, LedgerError> {
        Ok(Self { commit_queue: CommitQueue::new(open::open_scratch(path, identity, now)?) })
    }

    /// The latest time the ledger knows of: no clock may be before it.
    pub async fn latest_timestamp(&self) -> Result<UnixMillis, LedgerError> {
        self.commit_queue.read(store::Store::latest_timestamp).await
    }

    /// Begins a run and deletes the row issues of earlier runs. `boot` shows how much time really passed since
    /// the last run.
    pub async fn begin_run(
        &self,
        name: String,
        command: &'static str,
        at: UnixMillis,
        boot: Option<BootTime>,
    ) -> Result<RunId, LedgerError> {
        self.commit_queue.run(move |store| store.begin_run(&name, command, at, boot.as_ref())).await
    }

    /// Records how a run ended.
    pub async fn end_run(
        &self,
        run: RunId,
        at: UnixMillis,
        exit_code: u8,
        reason: String,
    ) -> Result<(), LedgerError> {
        self.commit_queue.run(move |store| store.end_run(run, at, exit_code, &reason)).await
    }

    /// Begins the reading of a manifest by `run`. With an unchanged `stamp` its items may be sent at once.
    /// Otherwise each item must be read again first.
    pub async fn begin_manifest_read(
        &self,
        run: RunId,
        identity: String,
        columns: Vec<String>,
        stamp: Option<String>,
    ) -> Result<ManifestId, LedgerError> {
        self.commit_queue
            .run(move |store| store.begin_manifest_read(run, &identity, &columns, stamp.as_deref()))
            .await
    }

    /// Admits a batch of rows and row errors, and returns the outcome of each. All or nothing.
    pub async fn admit(
        &self,
        run: RunId,
        manifest: ManifestId,
        rows: Vec<Result<ManifestRow, RowError>>,
        terms: AdmitTerms,
        at: UnixMillis,
    ) -> Result<Vec<Admission>, LedgerError> {
        self.commit_queue.run(move |store| store.admit(run, manifest, &rows, &terms, at)).await
    }

    /// The latest probes of addresses, in the same order.
    pub async fn probes(&self, addresses: Vec<AddressDigest>) -> Result<Vec<Option<Probe>>, LedgerError> {
        self.commit_queue
            .read(move |store| addresses.into_iter().map(|address| store.probe(address)).collect())
            .await
    }

    /// Records probes of sources. The latest probe of an address counts.
    pub async fn record_probes(&self, probes: Vec<(AddressDigest, Probe)>) -> Result<(), LedgerError> {
        self.commit_queue.run(move |store| store.record_probes(&probes)).await
    }

    /// Records that a manifest was read to its end. Returns how many items waited and are not in it any more; they
    /// are not sent.
    pub async fn end_manifest_read(
        &self,
        run: RunId,
        manifest: ManifestId,
        stamp: Option<String>,
    ) -> Result<u64, LedgerError> {
        self.commit_queue.run(move |store| store.end_manifest_read(run, manifest, stamp.as_deref())).await
    }

    /// Claims the next pending item, if the quota allows.
    pub async fn claim(&self, terms: Arc<ClaimTerms>, at: UnixMillis) -> Result<ClaimOutcome, LedgerError> {
        self.commit_queue.run(move |store| store.claim(&terms, at)).await
    }

    /// What keeps [`Ledger::claim`] from claiming now. `None`: nothing.
    pub async fn claim_blocked(
        &self,
        terms: Arc<ClaimTerms>,
        at: UnixMillis,
    ) -> Result<Option<ClaimBlocked>, LedgerError> {
        self.commit_queue.read(move |store| Ok(store.claim_blocked(&terms, at)?.blocked())).await
    }

    /// The service accepted the key: from now on the ledger belongs to it.
    pub async fn confirm_key(&self) -> Result<(), LedgerError> {
        self.commit_queue.run(store::Store::confirm_key).await
    }

    /// Records what became of an attempt.
    pub async fn settle(&self, attempt: AttemptId, result: AttemptResult) -> Result<(), LedgerError> {
        self.commit_queue.run(move |store| store.settle(attempt, &result)).await
    }

    /// Requests to resolve by evidence, and the delays observed so far, read at one time.
    pub async fn unresolved_attempts(&self, count_max: usize) -> Result<UnresolvedAttempts, LedgerError> {
        let read = move |store: &store::Store| {
            Ok(UnresolvedAttempts { unresolved: store.unresolved(count_max)?, observed: store.observed()? })
        };
        self.commit_queue.read(read).await
    }

    /// What is known of a namespace and of the videos listed there, at one time.
    pub async fn bindings(
        &self,
        namespace: String,
        video_nos: Vec<VideoNo>,
    ) -> Result<Bindings, LedgerError> {
        let read = move |store: &store::Store| {
            Ok(Bindings {
                bound: store.bound(&video_nos)?,
                possible_senders: store.possible_senders(&namespace)?,
            })
        };
        self.commit_queue.read(read).await
    }

    /// Accepted videos of a namespace that a complete listing must show: named by the service's answer before
    /// `answered_before`, newest first.
    pub async fn control_videos(
        &self,
        namespace: String,
        answered_before: UnixMillis,
    ) -> Result<Vec<ControlVideo>, LedgerError> {
        self.commit_queue.read(move |store| store.control_videos(&namespace, answered_before)).await
    }

    /// Leaves an attempt to a human, with the evidence there is.
    pub async fn ask(
        &self,
        attempt: AttemptId,
        question: Question,
        at: UnixMillis,
    ) -> Result<(), LedgerError> {
        self.commit_queue.run(move |store| store.ask(attempt, &question, at)).await
    }

    /// Carries out a human's answer to an item that has no clear outcome, and writes down who gave it, when and why.
    pub async fn answer(&self, item: ItemId, decision: ReviewDecision) -> Result<ReviewOutcome, LedgerError> {
        self.commit_queue.run(move |store| store.answer(item, &decision)).await
    }

    /// Carries out an order of this process.
    pub async fn carry_out(&self, order: Order, at: UnixMillis) -> Result<OrderResult, LedgerError> {
        self.commit_queue.run(move |store| store.carry_out(&order, at)).await
    }

    /// Carries out the orders that other processes have handed over, each once. Returns those it carried out now.
    pub async fn carry_out_handed(&self, at: UnixMillis) -> Result<Vec<(Order, OrderResult)>, LedgerError> {
        if !self.commit_queue.read(store::Store::has_handed_orders).await? {
            return Ok(Vec::new());
        }
        self.commit_queue.run(move |store| store.carry_out_handed(at)).await
    }

    /// The namespaces items are in.
    pub async fn namespaces(&self) -> Result<Vec<String>, LedgerError> {
        self.commit_queue.read(store::Store::namespaces).await
    }

    /// Items that are to be sent again and wait for a search of the listings, oldest first.
    pub async fn held_resends(&self, count_max: usize) -> Result<Vec<HeldResend>, LedgerError> {
        self.commit_queue.read(move |store| store.held_resends(count_max)).await
    }

    /// The listings show no video of an item: it may be sent again.
    pub async fn release(&self, item: ItemId) -> Result<(), LedgerError> {
        self.commit_queue.run(move |store| store.release(item)).await
    }

    /// Whose video each is, in the same order. At most a page's worth at a time.
    pub async fn video_owners(&self, videos: Vec<LibraryVideo>) -> Result<Vec<VideoOwner>, LedgerError> {
        self.commit_queue.read(move |store| store.video_owners(&videos)).await
    }

    /// Remembers videos that carry a marker this ledger does not know: their items are not sent from here.
    pub async fn record_foreign_videos(&self, videos: Vec<LibraryVideo>) -> Result<(), LedgerError> {
        self.commit_queue.run(move |store| store.record_foreign_videos(&videos)).await
    }

    /// Items of a namespace that are bound to a video, in ledger order behind `after`, at most `count_max`.
    pub async fn bound_items(
        &self,
        namespace: String,
        after: ItemId,
        count_max: usize,
    ) -> Result<Vec<BoundItem>, LedgerError> {
        self.commit_queue.read(move |store| store.bound_items(&namespace, after, count_max)).await
    }

    /// Says that this ledger does not know all that was sent; nothing but a recovery opens it until [`Self::end_recovery`].
    pub async fn begin_recovery(&self) -> Result<(), LedgerError> {
        self.commit_queue.run(store::Store::begin_recovery).await
    }

    /// Says that it knows all that was sent.
    pub async fn end_recovery(&self) -> Result<(), LedgerError> {
        self.commit_queue.run(store::Store::end_recovery).await
    }

    /// Binds a video to the item its marker names, if that item waits.
    pub async fn recover(
        &self,
        run: RunId,
        video: LibraryVideo,
        at: UnixMillis,
    ) -> Result<Recovered, LedgerError> {
        self.commit_queue.run(move |store| store.recover(run, &video, at)).await
    }

    /// Records when a complete listing first showed no candidate for an attempt. `None` deletes the record.
    pub async fn record_clear_listing(
        &self,
        attempt: AttemptId,
        clear_at: Option<UnixMillis>,
    ) -> Result<(), LedgerError> {
        self.commit_queue.run(move |store| store.record_clear_listing(attempt, clear_at)).await
    }

    /// Accepted items to poll by `until`, soonest first, at most `count_max`.
    pub async fn poll_tasks(
        &self,
        until: UnixMillis,
        count_max: usize,
    ) -> Result<Vec<PollTask>, LedgerError> {
        self.commit_queue.read(move |store| store.poll_tasks(until, count_max)).await
    }

    /// When the next accepted item is due to be polled.
    pub async fn next_poll_at(&self) -> Result<Option<UnixMillis>, LedgerError> {
        self.commit_queue.read(store::Store::next_poll_at).await
    }

    /// Records the results of polls.
    pub async fn observe(&self, results: Vec<PollResult>, at: UnixMillis) -> Result<(), LedgerError> {
        self.commit_queue.run(move |store| store.observe(&results, at)).await
    }

    /// How many items are in each state.
    pub async fn state_counts(&self) -> Result<StateCounts, LedgerError> {
        self.commit_queue.read(store::Store::state_counts).await
    }

    /// How many items of these manifests wait to be sent, and how many of all are in each state, at one time. A link
    /// that does not live until `alive_at` is dead.
    pub async fn standing(
        &self,
        run: RunId,
        manifests: Vec<ManifestId>,
        alive_at: UnixMillis,
    ) -> Result<RunProgress, LedgerError> {
        let read = move |store: &store::Store| {
            Ok(RunProgress {
                pending: store.pending(run, &manifests)?,
                expired: store.expired(&manifests, alive_at)?,
                state_counts: store.state_counts()?,
                last_accepted_at: store.last_accepted_at()?,
            })
        };
        self.commit_queue.read(read).await
    }

    /// What a manifest is known by.
    pub async fn manifest_name(&self, manifest: ManifestId) -> Result<String, LedgerError> {
        self.commit_queue.read(move |store| store.manifest_name(manifest)).await
    }

    /// Pending items of a manifest whose links expire, soonest first, behind the one given.
    pub async fn expiring(
        &self,
        manifest: ManifestId,
        after: (UnixMillis, ItemId),
        count_max: usize,
    ) -> Result<Vec<Expiring>, LedgerError> {
        self.commit_queue.read(move |store| store.expiring(manifest, after, count_max)).await
    }

    /// Uploads that may count after `since`, and at least the latest `count_min`; reads and foreign requests since then.
    pub async fn past(
        &self,
        since: UnixMillis,
        count_min: u32,
    ) -> Result<(Vec<UploadUsage>, Vec<ExternalUsage>), LedgerError> {
        let read = move |store: &store::Store| store.past(since, count_min);
        self.commit_queue.read(read).await
    }

    /// Writes down a request of ours that is no upload, before it leaves. What left before `counts_since` counts in no window
    /// any more, and may be forgotten.
    pub async fn record_read(
        &self,
        endpoint: &'static str,
        at: UnixMillis,
        counts_since: UnixMillis,
    ) -> Result<(), LedgerError> {
        self.commit_queue.run(move |store| store.record_read(endpoint, at, counts_since)).await
    }

    /// Writes down requests that other tools made with the same account.
    pub async fn record_external_usage(&self, external_usage: ExternalUsage) -> Result<(), LedgerError> {
        self.commit_queue.run(move |store| store.record_external_usage(&external_usage)).await
    }

    /// The text stored under a name.
    pub async fn kv_get(&self, name: &'static str) -> Result<Option<String>, LedgerError> {
        self.commit_queue.read(move |store| store.kv_get(name)).await
    }

    /// Stores a text under a name. `None` deletes it.
    pub async fn kv_set(
        &self,
        name: &'static str,
        value: Option<String>,
        at: UnixMillis,
    ) -> Result<(), LedgerError> {
        self.commit_queue.run(move |store| store.kv_set(name, value.as_deref(), at)).await
    }

    /// Whether it is known how far the wall clock jumped between the run before and this one.
    pub async fn is_clock_skew_known(&self, run: RunId) -> Result<bool, LedgerError> {
        self.commit_queue.read(move |store| store.is_clock_skew_known(run)).await
    }

    /// Writes down how far the wall clock jumped ahead between the run before and this one, in milliseconds.
    pub async fn record_clock_skew(&self, run: RunId, clock_skew_ms: i64) -> Result<(), LedgerError> {
        self.commit_queue.run(move |store| store.record_clock_skew(run, clock_skew_ms)).await
    }

    /// Where our clock and the service's stood together before this run, and when the run before was last known to live.
    pub async fn time_before(
        &self,
        run: RunId,
    ) -> Result<(Option<ClockReference>, Option<UnixMillis>), LedgerError> {
        let read =
            move |store: &store::Store| Ok((store.clock_reference(run)?, store.last_timestamp_before(run)?));
        self.commit_queue.read(read).await
    }

    /// When the last request left, in any run.
    pub async fn last_sent_at(&self) -> Result<Option<UnixMillis>, LedgerError> {
        self.commit_queue.read(store::Store::last_sent_at).await
    }

    /// A read-only view that sees what is committed; for reports.
    pub async fn snapshot(&self) -> Result<Snapshot, LedgerError> {
        let read = |store: &store::Store| {
            store.commit_deferred()?;
            Ok(store.path().to_path_buf())
        };
        Snapshot::open(&self.commit_queue.read(read).await?)
    }

    /// Closes the file and lets the next process in. Verbs called on other handles fail from now on.
    pub async fn close(self) {
        self.commit_queue.close().await;
    }
}

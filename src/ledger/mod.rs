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
mod queue;
mod schema;
mod snapshot;
mod store;

use std::{path::Path, sync::Arc, time::Duration};

pub use door::{Identity, KeyChange};
pub use snapshot::{AsideKind, AsideRow, ItemRow, OpenTime, RunRow, Snapshot};

use crate::{
    item::{ManifestRow, RowFault, Submission, UnixMillis, VideoNo},
    lifecycle::{Event, IllegalTransition, State},
    limit::Limit,
};
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

/// Why the ledger cannot be used. The text says what to do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another process writes it.
    #[error(
        "the ledger {path} is in use by another telecine ({holder}); wait for it, or stop it, then run again"
    )]
    Locked {
        /// The ledger's path.
        path: String,
        /// What the lock file says of its holder.
        holder: String,
    },
    /// Made by a newer program.
    #[error(
        "the ledger {path} has version {found}, this telecine knows {known}; use the newer telecine that made it"
    )]
    Newer {
        /// The ledger's path.
        path: String,
        /// The version in the file.
        found: i64,
        /// The version of this program.
        known: i64,
    },
    /// Some other SQLite file, or no database.
    #[error("{path} is not a telecine ledger; name another file with --ledger")]
    Foreign {
        /// The path given.
        path: String,
    },
    /// Made for another server.
    #[error(
        "the ledger {path} belongs to {theirs}, not to {ours}; give each service a ledger of its own (--ledger)"
    )]
    OtherOrigin {
        /// The ledger's path.
        path: String,
        /// The server in the ledger.
        theirs: String,
        /// The server asked for.
        ours: String,
    },
    /// Made with another key.
    #[error(
        "the ledger {path} was made with another API key; for another account use another ledger (--ledger), \
         for a new key of the same account say --same-account once"
    )]
    OtherKey {
        /// The ledger's path.
        path: String,
    },
    /// Not there.
    #[error("there is no ledger at {path}; it is made by the first import (--ledger names another)")]
    Missing {
        /// The path given.
        path: String,
    },
    /// Its folder or file cannot be made or written.
    #[error("cannot write the ledger {path}: {cause}; choose a writable place with --ledger")]
    Unwritable {
        /// The ledger's path.
        path: String,
        /// What the system said.
        cause: String,
    },
    /// The disk is full.
    #[error(
        "the disk that holds the ledger is full; free some space and give the same command again, nothing is lost"
    )]
    DiskFull,
    /// A commit failed, or SQLite reports damage.
    #[error(
        "the ledger stopped: {cause}; nothing more was sent. Check the disk, then give the same command again"
    )]
    Broken {
        /// What SQLite said.
        cause: String,
    },
    /// A bug: the law does not allow it.
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
    /// A bug: the ledger holds what cannot be.
    #[error("the ledger holds an impossible value: {what}")]
    Impossible {
        /// What was found.
        what: String,
    },
}

impl From<rusqlite::Error> for LedgerError {
    fn from(fault: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match fault.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            Some(ErrorCode::ConstraintViolation) => Self::Impossible { what: fault.to_string() },
            Some(ErrorCode::NotADatabase) => Self::Foreign { path: "the file".to_owned() },
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                Self::Unwritable { path: "file".to_owned(), cause: fault.to_string() }
            }
            _ => Self::Broken { cause: fault.to_string() },
        }
    }
}

#[cfg(test)]
impl AttemptId {
    /// An id out of thin air.
    pub(crate) const fn for_tests(number: i64) -> Self {
        Self(number)
    }
}

impl LedgerError {
    /// The same error with the ledger's path, which SQLite's own errors do not know.
    fn at(self, shown: &str) -> Self {
        let path = shown.to_owned();
        match self {
            Self::Foreign { .. } => Self::Foreign { path },
            Self::Unwritable { cause, .. } => Self::Unwritable { path, cause },
            other @ (Self::Locked { .. }
            | Self::Newer { .. }
            | Self::OtherOrigin { .. }
            | Self::OtherKey { .. }
            | Self::Missing { .. }
            | Self::DiskFull
            | Self::Broken { .. }
            | Self::Illegal(_)
            | Self::Impossible { .. }) => other,
        }
    }
}

/// The right to send one request for one item: minted by the ledger with the quota spent, used up by sending.
#[derive(Debug)]
pub struct Claim {
    /// The request in the ledger.
    pub attempt: AttemptId,
    /// What to send.
    pub submission: Submission,
    /// The marker tag to send along; none when it is switched off or there is no room for it.
    pub marker: Option<String>,
    /// When the claim was committed.
    pub sent_at: UnixMillis,
    /// After this moment the request must not be started any more.
    pub send_before: UnixMillis,
}

/// On which terms to claim.
#[derive(Clone, Debug)]
pub struct ClaimTerms {
    /// The run that claims.
    pub run: RunId,
    /// Only items of these manifests, in this order.
    pub sources: Vec<SourceId>,
    /// The rolling windows to keep.
    pub caps: Vec<Limit>,
    /// A request must start within this span of its claim.
    pub start_within: Duration,
    /// An unanswered request may still be accepted for this long after its sending.
    pub acceptance_lag_max: Duration,
    /// No claim while more of this run's requests than this are in doubt; what a crash left behind does not count.
    pub doubts_max: u64,
    /// Whether to send a marker tag.
    pub marker: Marker,
}

/// Whether requests carry a marker tag by which a lost answer can be settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// Every request with room for it.
    On,
    /// None.
    Off,
}

/// What the ledger says to somebody who would like to send.
#[derive(Debug)]
pub enum ClaimAnswer {
    /// Go.
    Claimed(Box<Claim>),
    /// Not now.
    Obstructed(Obstacle),
}

/// Why nothing can be claimed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// A rolling window is full.
    Full {
        /// The first moment at which a slot is free, as far as is known now.
        free_at: UnixMillis,
        /// The window.
        cap: Limit,
    },
    /// Too many items are in doubt: something is wrong, and sending on would multiply it.
    TooManyDoubts {
        /// How many.
        open: u64,
    },
    /// Nothing is pending.
    NothingPending,
}

/// How an attempt or an item went on.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// What happened.
    pub event: Event,
    /// When.
    pub at: UnixMillis,
    /// The video, where the event binds one, with the evidence.
    pub bound: Option<Binding>,
    /// For a reader: what was said or seen.
    pub cause: Option<String>,
}

impl Settlement {
    /// An event that binds no video.
    #[must_use]
    pub fn new(event: Event, at: UnixMillis, cause: impl Into<Option<String>>) -> Self {
        Self { event, at, bound: None, cause: cause.into() }
    }
}

/// Which video an attempt became, and how that is known.
#[derive(Clone, Debug)]
pub struct Binding {
    /// The number.
    pub video_no: VideoNo,
    /// When, by the service's clock, if it said so.
    pub uploaded_at: Option<UnixMillis>,
    /// The evidence.
    pub by: BoundBy,
}

/// The evidence that bound a video number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoundBy {
    /// The reply to the request itself.
    Reply,
    /// The marker tag on a listed video.
    Marker,
    /// The only video that could be it, in a namespace nobody else uses.
    SoleCandidate,
    /// A human said so.
    Human,
}

impl BoundBy {
    /// The word in the ledger.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Reply => "reply",
            Self::Marker => "marker",
            Self::SoleCandidate => "sole_candidate",
            Self::Human => "human",
        }
    }
}

/// An attempt whose outcome is not known, or whose video is not known.
#[derive(Clone, Debug)]
pub struct Doubt {
    /// The request.
    pub attempt: AttemptId,
    /// [`State::InDoubt`] or [`State::Counted`].
    pub state: State,
    /// When it may have left.
    pub sent_at: UnixMillis,
    /// The latest moment it may have left.
    pub send_before: UnixMillis,
    /// What it carried.
    pub marker: Option<String>,
    /// What it carried.
    pub submission: Submission,
    /// When a complete listing first showed no video that could be it.
    pub clear_at: Option<UnixMillis>,
}

/// An accepted item whose indexing is watched.
#[derive(Clone, Debug)]
pub struct Watch {
    /// The item.
    pub item: ItemId,
    /// Its video.
    pub video_no: VideoNo,
    /// Where the service keeps it.
    pub namespace: String,
    /// Since when the ledger knows it as accepted.
    pub accepted_at: UnixMillis,
    /// Looks in a row in which the service did not show it.
    pub missed: u32,
}

/// What a look at an accepted item showed.
#[derive(Clone, Debug)]
pub struct Sight {
    /// The item.
    pub item: ItemId,
    /// What was seen.
    pub seen: Seen,
}

/// What the service says of an accepted video.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Searchable.
    Indexed,
    /// Indexing failed, with the service's cause.
    Failed(String),
    /// Still being indexed.
    InProgress,
    /// Not shown; it may not be visible yet.
    NotShown,
}

/// What became of one row offered to the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Admission {
    /// A new item.
    Added,
    /// Known, with the same content.
    Known,
    /// Known and never accepted: the new content replaces the old.
    Updated,
    /// Known and already sent with other content: the ledger keeps what was sent.
    Drifted,
    /// Seen before in this run.
    Duplicate {
        /// The line of the first.
        first_line: u64,
    },
    /// Not understood; set aside.
    Faulty,
}

/// What to do with known items that failed to be indexed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedRows {
    /// Leave them.
    Leave,
    /// Send (and pay) them again.
    Retry,
}

/// How many items are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally([u64; State::ALL.len()]);

impl Tally {
    /// How many are in `state`.
    #[must_use]
    pub const fn of(&self, state: State) -> u64 {
        self.0[state as usize]
    }

    /// How many there are.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Items whose outcome is not final, but for those that wait for a human.
    #[must_use]
    pub const fn awaiting_evidence(&self) -> u64 {
        self.of(State::Sending) + self.of(State::InDoubt) + self.of(State::Counted) + self.of(State::Accepted)
    }

    pub(in crate::ledger) fn set(&mut self, state: State, count: u64) {
        self.0[state as usize] = count;
    }
}

/// How far things are, at one moment: counts taken at two moments would not add up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Items of the asked manifests that wait to be sent.
    pub pending: u64,
    /// All items.
    pub tally: Tally,
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

    /// Makes a manifest known and begins its reading by `run`.
    pub async fn begin_reading(
        &self,
        run: RunId,
        identity: String,
        columns: Vec<String>,
    ) -> Result<SourceId, LedgerError> {
        self.queue.run(move |store| store.begin_reading(run, &identity, &columns)).await
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

    /// Records that a manifest was read to its end.
    pub async fn end_reading(&self, run: RunId, source: SourceId) -> Result<(), LedgerError> {
        self.queue.run(move |store| store.end_reading(run, source)).await
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

    /// How many attempts could still become a video of `namespace`: on the wire, in doubt, counted or asked.
    pub async fn open_attempts(&self, namespace: String) -> Result<u64, LedgerError> {
        self.queue.run(move |store| store.open_attempts(&namespace)).await
    }

    /// Those of `video_nos` that are bound to an attempt.
    pub async fn bound(&self, video_nos: Vec<VideoNo>) -> Result<Vec<VideoNo>, LedgerError> {
        self.queue.run(move |store| store.bound(&video_nos)).await
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
    pub async fn standing(&self, sources: Vec<SourceId>) -> Result<Standing, LedgerError> {
        self.queue.run(move |store| Ok(Standing { pending: store.pending(&sources)?, tally: store.tally()? })).await
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

//! What passes between the ledger and the stages: tokens of work out, what became of it in.
//!
//! Three kinds of work, three token types: a [`Claim`] to send, a [`UnresolvedAttempt`] to settle, a [`PollTask`] to look at.

use strum::VariantArray as _;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use super::{AttemptId, ItemId, ManifestId, RunId};
use crate::domain::{AttemptState, ItemEvent, State, Submission, UnixMillis, VideoNo};

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
    /// Whether other items of the same manifests wait.
    pub others_wait: bool,
}

/// On which terms to claim.
#[derive(Clone, Debug)]
pub struct ClaimTerms {
    /// The run that claims.
    pub run: RunId,
    /// Only items of these manifests, in this order.
    pub sources: Vec<ManifestId>,
    /// So many may be on the wire at once.
    pub concurrency: u64,
    /// A link that lives shorter than this is as good as dead: the service fetches it after it took it.
    pub link_life_min: Duration,
    /// By when all that waits will have been sent, as the forecast has it: links that die before that go first.
    pub sent_by: Arc<AtomicI64>,
    /// A request must start within this span of its claim.
    pub start_within: Duration,
    /// An unanswered request may still be accepted for this long after its sending.
    pub acceptance_lag_max: Duration,
    /// Whether to send a marker tag.
    pub marker: Marker,
    /// Uploads that may be paid or at stake in this ledger, ever; none for no bound.
    pub uploads_max: Option<u64>,
    /// No claim while the disk that holds the ledger has fewer bytes free.
    pub disk_free_min: u64,
}

impl ClaimTerms {
    /// Links that die before this go first.
    pub(in crate::ledger) fn urgent_before(&self) -> UnixMillis {
        UnixMillis(self.sent_by.load(Ordering::Relaxed))
    }
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
pub enum ClaimOutcome {
    /// Go.
    Claimed(Box<Claim>),
    /// Not now.
    Blocked(ClaimBlocked),
}

/// Why nothing can be claimed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimBlocked {
    /// Too many items are in doubt: something is wrong, and sending on would multiply it.
    TooManyInDoubt {
        /// How many.
        open: u64,
    },
    /// As many uploads as the budget allows are paid, or at stake.
    BudgetSpent {
        /// How many.
        uploads: u64,
    },
    /// The service has the next item already, by a request this ledger does not know.
    AlreadyUploaded {
        /// The item.
        item: ItemId,
    },
    /// The disk is nearly full: what an answer teaches could not be written down.
    DiskLow {
        /// Bytes free.
        free: u64,
    },
    /// Nothing is pending.
    NothingPending,
}

/// How an attempt or an item went on.
#[derive(Clone, Debug)]
pub struct AttemptResult {
    /// What happened.
    pub event: ItemEvent,
    /// When.
    pub at: UnixMillis,
    /// The video, where the event binds one, with the evidence.
    pub bound: Option<Binding>,
    /// For a reader: what was said or seen.
    pub cause: Option<String>,
}

impl AttemptResult {
    /// An event that binds no video.
    #[must_use]
    pub fn new(event: ItemEvent, at: UnixMillis, cause: impl Into<Option<String>>) -> Self {
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
    Response,
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
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Response => "reply",
            Self::Marker => "marker",
            Self::SoleCandidate => "sole_candidate",
            Self::Human => "human",
        }
    }
}

/// An attempt whose outcome is not known, or whose video is not known.
#[derive(Clone, Debug)]
pub struct UnresolvedAttempt {
    /// The request.
    pub attempt: AttemptId,
    /// [`State::InDoubt`], [`State::AcceptedUnidentified`] or [`State::NeedsReview`].
    pub state: State,
    /// When it was sent, by the service's clock.
    pub service_time: ServiceTime,
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
    /// Earlier attempts of the same item that were found never to have arrived.
    pub absent_before: u32,
}

/// Everything that is to be settled by evidence, and what the evidence is weighed by, at one moment.
#[derive(Clone, Debug)]
pub struct UnresolvedAttempts {
    /// Attempts in doubt, counted or asked, oldest first.
    pub unresolved: Vec<UnresolvedAttempt>,
    /// The longest the service was seen to take.
    pub observed: ObservedDelays,
}

/// What the ledger knows of a namespace, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bindings {
    /// Those of the asked videos that are bound to an attempt.
    pub bound: Vec<VideoNo>,
    /// Attempts that may have made a video there that is bound to none.
    pub possible_senders: Vec<PossibleSender>,
}

/// An attempt that may have made a video: on the wire, in doubt, counted or asked; or settled by a human's word alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PossibleSender {
    /// The request.
    pub attempt: AttemptId,
    /// When it may have left.
    pub sent_at: UnixMillis,
    /// The latest moment it may have left.
    pub send_before: UnixMillis,
    /// When it was sent, by the service's clock.
    pub service_time: ServiceTime,
    /// The marker it carried.
    pub marker: Option<String>,
    /// The other tags it carried.
    pub tags: Vec<String>,
}

/// A question to a human.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What the evidence shows, as a sentence.
    pub text: String,
    /// Videos it could be.
    pub candidates: Vec<VideoNo>,
}

/// A human's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReviewAnswer {
    /// It is this video.
    Adopt(VideoNo),
    /// Send it again; it may be paid twice.
    Resend,
    /// Give it up.
    GiveUp,
}

impl ReviewAnswer {
    /// What happens to the item.
    #[must_use]
    pub const fn event(&self) -> ItemEvent {
        match self {
            Self::Adopt(_) => ItemEvent::Adopted,
            Self::Resend => ItemEvent::ResendOrdered,
            Self::GiveUp => ItemEvent::GivenUp,
        }
    }
}

/// A decision of a human as it is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What.
    pub answer: ReviewAnswer,
    /// Who.
    pub who: String,
    /// Why.
    pub why: String,
    /// When.
    pub at: UnixMillis,
}

/// What a human's answer met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReviewOutcome {
    /// It is written down, and the item moved on.
    Done,
    /// There is no such item.
    NoSuchItem,
    /// The item is not open to an answer: only those without a clear outcome are.
    NotOpen(State),
    /// The video belongs to another item.
    VideoTaken(ItemId),
}

/// A video as the service shows it, for the ledger to recognise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibraryVideo {
    /// Its number.
    pub video_no: VideoNo,
    /// Its tags.
    pub tags: Vec<String>,
    /// Whether a marker would show if it carried one.
    pub shows_tags: bool,
    /// By when it was made, by our clock.
    pub made_by: UnixMillis,
}

/// Whose a video at the service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoOwner {
    /// It is bound to this item.
    Bound(ItemId),
    /// It carries the marker of a request of this item whose outcome is open.
    Open(ItemId),
    /// It carries the marker of a request of this item that is settled otherwise: it was paid beside the books.
    Surplus(ItemId),
    /// It carries the marker of a request of this item that a human gave up, or ordered to be sent again.
    Ordered(ItemId),
    /// It carries a marker of a request of this item that the service answered as rejected.
    Rejected(ItemId),
    /// It carries a marker this ledger does not know. The item is the one of this ledger that the marker names, if there is
    /// one: its row was uploaded with another ledger.
    Foreign(Option<ItemId>),
    /// It carries no marker.
    Unmarked,
    /// It does not show its tags yet, or never will.
    TagsHidden,
}

/// An item that is bound to a video.
#[derive(Clone, Debug)]
pub struct BoundItem {
    /// The item.
    pub item: ItemId,
    /// Where it stands.
    pub state: State,
    /// Its video.
    pub video_no: VideoNo,
    /// Its source, whole.
    pub url: String,
    /// Why it failed, if it did.
    pub cause: Option<String>,
}

/// What became of a video offered for recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovered {
    /// Its item is bound to it now.
    Bound(ItemId),
    /// Its item has another video.
    Surplus(ItemId),
    /// Its item is not to be sent now; that it is there is remembered.
    Remembered(ItemId),
    /// No item of this ledger has its key; that it is there is remembered.
    NoItem,
}

/// When a request was sent, by the service's own clock: that clock is not ours, and ours may have been set since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceTime {
    /// No sooner; none when nothing tells.
    pub earliest: Option<UnixMillis>,
    /// No later; none when nothing tells.
    pub latest: Option<UnixMillis>,
}

/// The longest the service was seen to take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObservedDelays {
    /// From a request to its acceptance.
    pub acceptance: Duration,
    /// From an acceptance to the first listing that shows it.
    pub listing: Duration,
}

/// An accepted video that vouches for a listing: one that does not show it is not complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlVideo {
    /// The video.
    pub video_no: VideoNo,
    /// When it was accepted, by the service's clock.
    pub uploaded_at: Option<UnixMillis>,
}

/// An accepted item whose indexing is watched.
#[derive(Clone, Debug)]
pub struct PollTask {
    /// The item.
    pub item: ItemId,
    /// The request that made it.
    pub attempt: AttemptId,
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
pub struct PollResult {
    /// The item.
    pub item: ItemId,
    /// What was seen.
    pub seen: Observation,
}

/// What the service says of an accepted video.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// Searchable.
    Indexed,
    /// Indexing failed, with the service's cause.
    Failed(String),
    /// Still being indexed.
    InProgress,
    /// Not shown; it may not be visible yet.
    NotShown,
    /// The look itself brought nothing.
    NotLooked,
}

/// How many items are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateCounts([u64; State::VARIANTS.len()]);

impl StateCounts {
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
        self.of(State::Sending)
            + self.of(State::InDoubt)
            + self.of(State::AcceptedUnidentified)
            + self.of(State::Accepted)
    }

    pub(in crate::ledger) fn set(&mut self, state: State, count: u64) {
        self.0[state as usize] = count;
    }
}

/// How far things are, at one moment: counts taken at two moments would not add up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunProgress {
    /// Items of the asked manifests that wait to be sent.
    pub pending: u64,
    /// All items.
    pub state_counts: StateCounts,
    /// Of the pending those whose links are dead: they are not sent.
    pub expired: u64,
    /// When the service last accepted something, as far as is known.
    pub last_accepted_at: Option<UnixMillis>,
}

/// An upload that may still count in a quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadUsage {
    /// The request.
    pub attempt: AttemptId,
    /// When it was claimed.
    pub sent_at: UnixMillis,
    /// The latest moment it may have left.
    pub send_before: UnixMillis,
    /// When it was answered.
    pub answered_at: Option<UnixMillis>,
    /// The latest moment at which the service may have accepted it; none when it did not.
    pub counts_until: Option<UnixMillis>,
    /// How it stands.
    pub state: AttemptState,
    /// Whether the service indexes it, as far as is known.
    pub is_being_indexed: bool,
}

/// What counts in a quota and is no upload of this ledger: reads of ours, and requests of other tools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalUsage {
    /// `upload`, `list` or `get`.
    pub endpoint: String,
    /// When.
    pub at: UnixMillis,
    /// How many.
    pub count: u32,
    /// For a reader.
    pub note: Option<String>,
}

/// A moment by a clock that nobody sets: which boot of the machine, and how long after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootTime {
    /// Which.
    pub id: String,
    /// Milliseconds since it.
    pub since_ms: i64,
}

/// Where two clocks stood together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReference {
    /// Ours.
    pub ours: UnixMillis,
    /// The service's, at the latest.
    pub theirs_at_the_latest: UnixMillis,
}

/// An item that waits and whose link dies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiring {
    /// The item.
    pub item: ItemId,
    /// The manifest it was last seen in.
    pub source: ManifestId,
    /// The line there.
    pub line: u64,
    /// When.
    pub expires_at: UnixMillis,
}

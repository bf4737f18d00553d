//! The work of the upload stage: what may be claimed and sent, and what became of the request.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use crate::{
    domain::{ItemEvent, Submission, UnixMillis, VideoNo},
    ledger::{AttemptId, ItemId, ManifestId, RunId},
};

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
    pub manifests: Vec<ManifestId>,
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

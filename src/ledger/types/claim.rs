//! The work of the upload stage: claims, and the results of their requests.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use crate::{
    domain::{ItemEvent, StorageAccount, Submission, UnixMillis, VideoNo},
    ledger::{AttemptId, ItemId, ManifestId, RunId, StorageAccess},
};

/// The right to send one request for one item. The ledger creates it when the request is recorded. Sending consumes it.
#[derive(Debug)]
pub struct Claim {
    /// Only the ledger sets it, so that no other module can make a claim.
    pub(in crate::ledger) attempt: AttemptId,
    /// The item that it sends.
    pub item: ItemId,
    pub submission: Submission,
    /// `None`: markers are off, or the tags leave no room for one.
    pub marker: Option<String>,
    /// The callback URL of the request, with its token. `None`: no calls are received, or the row has a callback of its own.
    pub callback: Option<String>,
    /// When the claim was committed.
    pub sent_at: UnixMillis,
    /// After this time the request must not be started any more.
    pub send_before: UnixMillis,
    /// Whether other items of the same manifests wait.
    pub others_wait: bool,
    /// What separates the parts of its request, where it carries a file. Nobody can guess it.
    pub boundary: String,
}

/// How long the bytes of a file may be sent before the ledger must be asked again. After a run was killed, the next run knows from it
/// when the last byte can have been sent.
pub const BODY_LEASE: Duration = Duration::from_mins(1);

impl Claim {
    /// The request in the ledger.
    #[must_use]
    pub const fn attempt(&self) -> AttemptId {
        self.attempt
    }
}

/// The terms of a claim.
#[derive(Clone, Debug)]
pub struct ClaimTerms {
    pub run: RunId,
    /// Only items of these manifests, in this order.
    pub manifests: Vec<ManifestId>,
    pub concurrency: u64,
    /// A link that expires sooner is treated as expired: the service fetches the source during or after the
    /// request.
    pub link_life_min: Duration,
    /// When all pending items will have been sent. Claims use it, too.
    pub sent_by: Arc<AtomicI64>,
    /// A request must start within this time of its claim; later it is not sent at all.
    pub start_within: Duration,
    /// An unanswered request may still be accepted for this long after its sending.
    pub acceptance_lag_max: Duration,
    /// Whether to send a marker tag.
    pub marker: Marker,
    /// The beginning of callback URLs, without a slash at its end. `None`: no calls are received.
    pub callback_base: Option<String>,
    /// The most uploads paid or possibly paid in this ledger. `None`: unlimited.
    pub uploads_max: Option<u64>,
    /// No claim while the disk that holds the ledger has fewer bytes free.
    pub disk_free_min: u64,
    /// An item that was refused again and again is claimed only when no other one waits. 0: there is none.
    pub set_aside: Arc<AtomicI64>,
    /// No claim of an object in a bucket while no link to it can be signed.
    pub storage: StorageAccess,
}

impl ClaimTerms {
    /// Items whose links expire before this are sent first.
    pub(in crate::ledger) fn urgent_before(&self) -> UnixMillis {
        UnixMillis(self.sent_by.load(Ordering::Relaxed))
    }
}

/// Whether requests carry a marker tag, which resolves lost answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// Every request with room for a marker tag.
    On,
    Off,
}

/// The outcome of a claim.
#[derive(Debug)]
pub enum ClaimOutcome {
    Claimed(Box<Claim>),
    Blocked(ClaimBlocked),
}

/// Why nothing can be claimed now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimBlocked {
    /// Too many items are in doubt. Something is wrong, and more requests could make it worse.
    TooManyInDoubt {
        open: u64,
    },
    /// The uploads that are paid or may be paid use up the budget.
    BudgetSpent {
        uploads: u64,
    },
    /// The service has the next item already, by a request this ledger does not know.
    AlreadyUploaded {
        item: ItemId,
    },
    /// The disk is nearly full: the ledger might be unable to record an answer.
    DiskLow {
        free: u64,
    },
    /// Items are to be sent again, and the listings have not been searched for their markers yet.
    AwaitsListing {
        items: u64,
        /// Whether a search is due now: none of them has to wait for its video to show.
        is_due: bool,
    },
    /// No link to the next item can be signed until credentials were obtained.
    Unsignable {
        account: StorageAccount,
    },
    /// No link to the items that were looked at can be signed.
    PassedOver {
        /// Whether these are all items that wait. Otherwise the next look goes on behind them.
        is_all: bool,
    },
    NothingPending,
}

/// What happened to an attempt or an item.
#[derive(Clone, Debug)]
pub struct AttemptResult {
    pub event: ItemEvent,
    pub at: UnixMillis,
    /// The video, where the event binds one, with the evidence.
    pub bound: Option<Binding>,
    /// The cause, for a reader.
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
    pub video_no: VideoNo,
    /// When it was uploaded, by the service's clock. `None`: unknown.
    pub uploaded_at: Option<UnixMillis>,
    pub by: BoundBy,
}

/// The evidence that bound a video number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoundBy {
    /// The answer to the request.
    Response,
    /// The marker tag on a listed video.
    Marker,
    /// A call of the service with the token of the request, whose number a read confirmed.
    Callback,
    /// The only candidate, in a namespace without other clients.
    SoleCandidate,
    /// The decision of a human.
    Human,
}

impl BoundBy {
    /// The stable name in the ledger.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Response => "reply",
            Self::Marker => "marker",
            Self::Callback => "callback",
            Self::SoleCandidate => "sole_candidate",
            Self::Human => "human",
        }
    }

    /// Reads the name back.
    #[must_use]
    pub fn from_name(as_str: &str) -> Option<Self> {
        [Self::Response, Self::Marker, Self::Callback, Self::SoleCandidate, Self::Human]
            .into_iter()
            .find(|by| by.as_str() == as_str)
    }
}

//! The work of the reconcile stage: requests without a clear outcome, and the evidence about them.

use std::time::Duration;

use crate::{
    domain::{State, Submission, UnixMillis, VideoNo},
    ledger::{AttemptId, ItemId},
};

/// An attempt whose outcome is not known, or whose video is not known.
#[derive(Clone, Debug)]
pub struct UnresolvedAttempt {
    pub attempt: AttemptId,
    /// [`State::InDoubt`], [`State::AcceptedUnidentified`] or [`State::NeedsReview`].
    pub state: State,
    /// When it was sent, by the service's clock.
    pub service_time: ServiceTime,
    /// The earliest time it may have left.
    pub sent_at: UnixMillis,
    /// The latest time it may have left.
    pub send_before: UnixMillis,
    /// The marker it carried.
    pub marker: Option<String>,
    /// Its content.
    pub submission: Submission,
    /// When a complete listing first showed no video that could be it.
    pub clear_at: Option<UnixMillis>,
    /// How many earlier attempts of the same item were found absent.
    pub absent_before: u32,
    /// Whether the service called with its token. Such a request arrived, whatever the listings show.
    pub was_called: bool,
}

/// Requests to resolve by evidence, and the delays observed so far, read at one time.
#[derive(Clone, Debug)]
pub struct UnresolvedAttempts {
    /// Attempts that are in doubt, accepted but unidentified, or in review; oldest first.
    pub attempts: Vec<UnresolvedAttempt>,
    /// The longest observed delays of the service.
    pub observed: ObservedDelays,
}

/// What the ledger knows of a namespace, at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bindings {
    /// The given videos that are bound to an attempt.
    pub bound: Vec<BoundVideo>,
    /// Attempts without a bound video that may have made one there.
    pub possible_senders: Vec<PossibleSender>,
}

/// A listed video that is bound to an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundVideo {
    pub video_no: VideoNo,
    /// What its attempt was sent with, if the answer of the service named the video. `None`: evidence or a human did.
    pub sent: Option<SentTags>,
    /// When it was accepted, by that answer and the service's clock.
    pub uploaded_at: Option<UnixMillis>,
}

/// The tags of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SentTags {
    /// It carried this marker, and perhaps other tags.
    Marker(String),
    /// It carried no marker, and these tags.
    Plain(Vec<String>),
}

/// An attempt that may have made a video: in flight, without a clear outcome, or resolved by a human without
/// evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PossibleSender {
    pub attempt: AttemptId,
    /// The earliest time it may have left.
    pub sent_at: UnixMillis,
    /// The latest time it may have left.
    pub send_before: UnixMillis,
    /// When it was sent, by the service's clock.
    pub service_time: ServiceTime,
    /// The marker it carried.
    pub marker: Option<String>,
    /// The other tags it carried.
    pub tags: Vec<String>,
}

/// An item that is to be sent again after an answer, and whose markers have not been searched for yet.
#[derive(Clone, Debug)]
pub struct HeldResend {
    pub item: ItemId,
    pub namespace: String,
    /// Whether its request may have made a video although it was answered as rejected.
    pub may_be_there: bool,
    /// Its latest request.
    pub sender: PossibleSender,
}

/// When a request was sent, by the service's clock. It differs from ours, and ours may have been set since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceTime {
    /// `None`: unknown.
    pub earliest: Option<UnixMillis>,
    /// `None`: unknown.
    pub latest: Option<UnixMillis>,
}

/// The longest observed delays of the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObservedDelays {
    /// From a request to its acceptance.
    pub acceptance: Duration,
    /// From an acceptance to the first listing that shows it.
    pub listing: Duration,
}

/// A control video: an accepted video that a complete listing must show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlVideo {
    pub video_no: VideoNo,
    /// When it was accepted, by the service's clock.
    pub uploaded_at: Option<UnixMillis>,
}

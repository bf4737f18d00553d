//! Calls of the service: what became of one, and the numbers to look up.

use crate::{
    domain::{UnixMillis, VideoNo},
    ledger::{AttemptId, UnresolvedAttempt},
};

/// What a call with a valid token meant for the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallReceipt {
    /// The number is recorded, to be looked up.
    Recorded,
    /// The same number was recorded before.
    Repeated,
    /// The video is bound to the request already. It is polled soon, if it is still being indexed.
    Known,
    /// The request is bound to another video, or was found not to be accepted.
    Contradicts(CallContradiction),
    /// The ledger has no such request: it was restored from an older copy.
    NoRequest,
}

/// What a call contradicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallContradiction {
    /// The request is bound to this video.
    Bound(VideoNo),
    /// Two other numbers were given for the request before, or one, and this is the second.
    OtherNumber,
    /// The request ended otherwise, in this state.
    Ended(String),
}

/// A request that may have made the video of a number that a call gave for it.
#[derive(Clone, Debug)]
pub struct CalledAttempt {
    pub unresolved: UnresolvedAttempt,
    /// The only number that was given for it.
    pub video_no: VideoNo,
    /// When the first call came.
    pub called_at: UnixMillis,
}

/// A number that was given for a request that has no known outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalledNumber {
    pub attempt: AttemptId,
    pub video_no: VideoNo,
    /// Whether that video is bound to another request: the number is wrong.
    pub is_wrong: bool,
}

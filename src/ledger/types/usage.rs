//! Requests that count against a quota, and the clocks they are dated by.

use crate::{
    domain::{AttemptState, UnixMillis},
    ledger::AttemptId,
};

/// An upload that may still count in a quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadUsage {
    pub attempt: AttemptId,
    /// When it was claimed.
    pub sent_at: UnixMillis,
    /// The latest time it may have left.
    pub send_before: UnixMillis,
    pub answered_at: Option<UnixMillis>,
    /// The latest time at which the service may have accepted it. `None`: it did not accept it.
    pub counts_until: Option<UnixMillis>,
    pub state: AttemptState,
    /// Whether the service indexes it, as far as is known.
    pub is_being_indexed: bool,
}

/// Usage of a quota that is not an upload of this ledger: its reads, and the requests of other tools.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ExternalUsage {
    /// `upload`, `list` or `get`.
    pub endpoint: String,
    pub at: UnixMillis,
    pub count: u32,
    pub note: Option<String>,
}

/// A time that nobody can set: the boot of the machine, and the time since then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootTime {
    pub id: String,
    /// Milliseconds since the boot.
    pub since_ms: i64,
}

/// One moment on two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReference {
    /// By our clock.
    pub ours: UnixMillis,
    /// By the clock of the service: the latest possible time.
    pub theirs_at_the_latest: UnixMillis,
}

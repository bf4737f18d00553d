//! The admission of rows: its terms, and the outcome of each row.

use super::DeletedRows;
use crate::domain::{Problem, State, UnixMillis};

/// The outcome of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
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
    /// It cannot be sent. Recorded as a row issue.
    Invalid,
    /// Held back: its source is not known to be supported. Recorded as a row issue.
    HeldBack(Box<Problem>),
}

/// What an import would do with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlannedAction {
    /// Known with other content, and left as it was sent.
    Drifted(State),
    /// It is not known: it would be sent.
    New,
    /// It is known, and would be sent (again).
    Resent(State),
    /// It is known with other content, and would be sent with the new content.
    Updated(State),
    /// It is known, and would be left.
    Left(State),
}

/// What to do with known items that failed to be indexed.
#[derive(Default, Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedRows {
    #[default]
    Leave,
    /// Send (and pay) them again.
    Retry,
}

/// What an import does with rows whose item was sent with other content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriftedRows {
    /// The item stays as it was sent, and that is reported.
    #[default]
    Report,
    /// An item that is indexed is sent, and paid, again with the new content; others are reported.
    Resend,
    /// The item stays as it was sent, and that is not reported.
    Ignore,
}

/// What an import requires of rows that it would send: a probe that found their source supported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeRequirement {
    /// Earlier probes do not count.
    pub probed_since: UnixMillis,
    /// The url column, for the message.
    pub column: String,
    /// Its number, from 1.
    pub column_number: usize,
}

/// The terms of an admission.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdmitTerms {
    /// What to do with rows that were sent before.
    pub reruns: RerunPolicy,
    /// What rows must have to be sent. `None`: nothing.
    pub requirement: Option<ProbeRequirement>,
}

/// What an import does with rows that were sent before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RerunPolicy {
    /// Rows that failed or were rejected.
    pub failed: FailedRows,
    /// Rows whose content changed.
    pub drifted: DriftedRows,
    /// Rows whose video was deleted by order.
    pub deleted: DeletedRows,
}

impl FailedRows {
    /// Whether a known item may take new content: only what the service does not have, or is to be paid again by order.
    pub(in crate::ledger) fn let_change(self, state: State) -> bool {
        match state {
            State::Pending | State::Rejected => true,
            State::Failed => self == Self::Retry,
            State::Sending
            | State::InDoubt
            | State::AcceptedUnidentified
            | State::NeedsReview
            | State::Accepted
            | State::Indexed
            | State::Abandoned
            | State::Deleted => false,
        }
    }
}

//! How a run is to go, and how it ended.

use std::time::Duration;

use super::reconcile::{OnDoubt, ReconcileRules};
use crate::{
    domain::{RunOutcome, State, UnixMillis},
    events::Progress,
    ledger::{LibraryDiff, Marker, RerunPolicy, StateCounts},
    manifest::ManifestError,
};

/// How a run is to go; every value is checked already.
#[derive(Clone, Debug)]
pub struct RunPolicy {
    /// End rather than wait longer than this for the quota; none waits as long as it takes.
    pub quota_wait_max: Option<Duration>,
    /// Requests on the wire at most.
    pub concurrency: usize,
    /// Whether to send marker tags.
    pub marker: Marker,
    /// How doubts are weighed.
    pub reconcile: ReconcileRules,
    /// How long to wait for indexing after the last acceptance; none does not wait.
    pub wait: Option<Duration>,
    /// Stop sending after this long.
    pub time_max: Option<Duration>,
    /// Send no more than this.
    pub rows_max: Option<u64>,
    /// Uploads that may be paid or at stake in the ledger, ever.
    pub uploads_max: Option<u64>,
    /// Send nothing while the ledger's disk has fewer bytes free.
    pub disk_free_min: u64,
    /// What to do with rows that failed before.
    pub reruns: RerunPolicy,
    /// Send only rows whose source a look found fit, no longer ago than this; none sends any.
    pub probe_age_max: Option<Duration>,
    /// What to do with what is accepted.
    pub accepted: AcceptedItems,
    /// The namespace of rows that name none.
    pub namespace: String,
}

impl Default for RunPolicy {
    /// A run that uploads one item at a time and does not wait for indexing. Every other run is this one with changes.
    fn default() -> Self {
        Self {
            quota_wait_max: None,
            concurrency: 1,
            marker: Marker::On,
            reconcile: ReconcileRules { quiet: Duration::from_mins(30), on_doubt: OnDoubt::Hold },
            wait: None,
            time_max: None,
            rows_max: None,
            uploads_max: None,
            disk_free_min: 0,
            reruns: RerunPolicy::default(),
            probe_age_max: None,
            accepted: AcceptedItems::Poll,
            namespace: String::new(),
        }
    }
}

/// What a run does with accepted items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptedItems {
    /// Looks at them until each is searchable or has failed.
    Poll,
    /// Leaves them to another run.
    Leave,
}

/// What a run came to.
#[derive(Debug)]
pub struct RunEnd {
    /// How it ended.
    pub outcome: RunOutcome,
    /// Manifests that could not be read to their end.
    pub broken_manifests: Vec<ManifestError>,
    /// The service compared with the ledger, where something was sent and that was affordable.
    pub library_diffs: Vec<LibraryDiff>,
    /// When the quota lets the next upload go.
    pub next_upload_at: UnixMillis,
}

/// The counts of a tally in the words of the progress display.
#[must_use]
pub fn progress_of(state_counts: &StateCounts, sent_by: Option<UnixMillis>) -> Progress {
    Progress {
        items: state_counts.total(),
        pending: state_counts.of(State::Pending),
        sending: state_counts.of(State::Sending),
        in_doubt: state_counts.of(State::InDoubt) + state_counts.of(State::AcceptedUnidentified),
        indexing: state_counts.of(State::Accepted),
        indexed: state_counts.of(State::Indexed),
        failed: state_counts.of(State::Failed),
        rejected: state_counts.of(State::Rejected) + state_counts.of(State::Abandoned),
        needs_review: state_counts.of(State::NeedsReview),
        sent_by,
    }
}

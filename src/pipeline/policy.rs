//! The policy of a run, and its result.

use std::time::Duration;

use super::reconcile::{OnDoubt, ReconcileRules};
use crate::{
    domain::{RunOutcome, State, UnixMillis},
    events::Progress,
    ledger::{LibraryDiff, Marker, RerunPolicy, StateCounts},
    manifest::ManifestError,
};

/// The policy of a run. Every value is checked already.
#[derive(Clone, Debug)]
pub struct RunPolicy {
    /// End instead of waiting longer for the quota. `None`: wait as long as necessary.
    pub quota_wait_max: Option<Duration>,
    /// Requests in flight at most.
    pub concurrency: usize,
    /// Whether to send marker tags.
    pub marker: Marker,
    /// The beginning of callback URLs. `None`: no calls are received.
    pub callback_base: Option<String>,
    /// How requests in doubt are resolved.
    pub reconcile: ReconcileRules,
    /// How long to wait for indexing after the last acceptance. `None`: do not wait.
    pub wait: Option<Duration>,
    /// Stop sending after this time. `None`: unlimited.
    pub time_max: Option<Duration>,
    /// `None`: unlimited.
    pub rows_max: Option<u64>,
    /// The most uploads paid or possibly paid in this ledger. `None`: unlimited.
    pub uploads_max: Option<u64>,
    /// Of all files together, in bytes per second. `None`: unlimited.
    pub bandwidth_max: Option<u64>,
    /// Send nothing while the ledger's disk has fewer bytes free.
    pub disk_free_min: u64,
    /// What to do with rows that failed before.
    pub reruns: RerunPolicy,
    /// Send only rows whose source was found supported by a probe no older than this. `None`: send every row.
    pub probe_age_max: Option<Duration>,
    /// The namespace of rows without one.
    pub namespace: String,
}

impl Default for RunPolicy {
    /// A run that uploads one item at a time and does not wait for indexing. Every other run is this one with changes.
    fn default() -> Self {
        Self {
            quota_wait_max: None,
            concurrency: 1,
            marker: Marker::On,
            callback_base: None,
            reconcile: ReconcileRules { quiet: Duration::from_mins(30), on_doubt: OnDoubt::Hold },
            wait: None,
            time_max: None,
            rows_max: None,
            uploads_max: None,
            bandwidth_max: None,
            disk_free_min: 0,
            reruns: RerunPolicy::default(),
            probe_age_max: None,
            namespace: String::new(),
        }
    }
}

/// The result of a run.
#[derive(Debug)]
pub struct RunEnd {
    pub outcome: RunOutcome,
    /// Manifests that could not be read to their end.
    pub broken_manifests: Vec<ManifestError>,
    /// What the user should know of the manifests, a sentence each.
    pub manifest_notices: Vec<String>,
    /// The service compared with the ledger, where something was sent and that was affordable.
    pub library_diffs: Vec<LibraryDiff>,
    /// When the quota allows the next upload.
    pub next_upload_at: UnixMillis,
}

/// The state counts as the progress display shows them.
#[must_use]
pub fn progress_of(state_counts: &StateCounts, to_send: u64, sent_by: Option<UnixMillis>) -> Progress {
    Progress {
        items: state_counts.total(),
        pending: state_counts.of(State::Pending),
        to_send,
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

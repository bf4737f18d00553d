//! The pipeline: the stages of an import, and the coordinator that runs them.
//!
//! Ingest, preflight, upload, reconcile and poll run concurrently and meet only in the ledger. None calls another, so
//! stopping at any time and resuming later is the same as waiting.

mod call_intake;
mod call_tally;
mod context;
mod coordinator;
mod deletion;
mod forecast;
mod hold;
mod ingest;
mod library_check;
mod library_listing;
mod policy;
mod poll;
mod preflight;
mod probe;
mod reconcile;
mod recover;
mod restore_usage;
mod second_videos;
mod transfer;
mod upload;

pub use call_intake::{CallError, CallIntake, CallRefusal};
pub use call_tally::CallTally;
pub use context::{Context, LEARNED_LIMITS, Signals};
pub use deletion::{DELETION_BATCH, DeletionBatchEnd, DeletionStop, UnfinishedDeletion, delete_batch};
pub use hold::hold_of;
pub use library_check::{Verification, namespaces_ignored, verify};
pub use policy::{RunEnd, RunPolicy, progress_of};
pub use probe::{ProbeOrigin, ProbeStage, ProbeStageError, ProbeTarget, probe_stage};
pub use reconcile::{HORIZON as DOUBT_HORIZON, OnDoubt, ReconcileRules};
pub use recover::{Recovery, RecoveryOutcome, Unmarked, recover};
pub use restore_usage::{
    boot_of, change_limits, forget_learned_limits, learned_limits, restore_usage, usage_records,
};
pub use second_videos::{KeptVideo, SecondVideo, SecondVideos, second_videos};
pub use transfer::Transfers;
pub(crate) use upload::{WAIT_ANNOUNCED_MIN, delay_text};

use crate::{
    api::Transport,
    ledger::{LedgerError, RunId},
    manifest::Manifest,
};
use coordinator::run_stages;

/// Imports manifests: admits their rows and works until every row is resolved, or as far as the policy allows.
pub async fn import<T: Transport>(
    context: Context<T>,
    run: RunId,
    manifests: Vec<Manifest>,
    policy: &RunPolicy,
) -> Result<RunEnd, LedgerError> {
    let rules = ingest::IngestRules { reruns: policy.reruns, probe_age_max: policy.probe_age_max };
    let (manifests, readings) = ingest::begin_manifest_reads(&context, run, manifests, rules).await?;
    let ingest = tokio::spawn(ingest::ingest(context.clone(), run, readings, rules));
    run_stages(context, run, manifests, Some(ingest), policy).await
}

/// Settles what is open and polls; reads no manifest and uploads nothing.
pub async fn reconcile<T: Transport>(
    context: Context<T>,
    run: RunId,
    policy: &RunPolicy,
) -> Result<RunEnd, LedgerError> {
    run_stages(context, run, Vec::new(), None, policy).await
}

//! Recovery: rebuilds a lost ledger, or updates an old one, from the service's listings.
//!
//! The marker tag of a video names its row. Two complete listings are read with a quiet time between them, because a
//! request of a process that was killed may still be in flight. Nothing is sent.

use super::{
    context::Context,
    ingest, library_check,
    library_listing::{CompareError, ListingBound},
};
use crate::{
    api::{IndexStatus, Transport},
    domain::{format_duration, no_row_text},
    events::Event,
    ledger::{LedgerError, Recovered, RunId, Snapshot, Store, VideoOwner},
    manifest::Manifest,
};
use std::time::Duration;

/// What videos without a visible marker are: their tags may not show yet, or they carry no marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmarked {
    /// They may belong to this ledger. The recovery is not finished while there are any.
    MayBeOurs,
    /// They do not belong to this ledger, by an explicit flag of the user.
    AreNot,
}

/// The result of a recovery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    pub listed: u64,
    pub bound: u64,
    /// Videos whose item has another video already: paid twice.
    pub surplus: u64,
    /// Videos with a marker whose row is in none of the manifests.
    pub without_row: u64,
    /// Videos that are being indexed: their tags are not visible yet.
    pub tags_hidden: u64,
    /// Videos that failed to be indexed: they never show their tags.
    pub failed: u64,
    /// Videos without a marker: from another tool, or sent without one.
    pub unmarked: u64,
    /// Videos whose row is not to be sent now. Their existence is recorded.
    pub remembered: u64,
    /// Whether the ledger knows every request that was sent.
    pub is_whole: bool,
}

/// How a recovery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecoveryOutcome {
    /// Both passes were made.
    Complete(Recovery),
    /// A manifest or a listing could not be read. The same command resumes the recovery.
    Incomplete {
        /// For the operator.
        cause: String,
    },
}

/// Reads the manifests, then binds every video that leads to one of their rows.
pub async fn recover<T: Transport>(
    context: &Context<T>,
    run: RunId,
    manifests: Vec<Manifest>,
    quiet: Duration,
    unmarked: Unmarked,
) -> Result<RecoveryOutcome, LedgerError> {
    context.ledger.write(Store::begin_recovery).await?;
    let started_at = context.clock.now();
    let rules = ingest::IngestRules::default();
    let (_, readings) = ingest::begin_manifest_reads(context, run, manifests, rules).await?;
    let ingested = ingest::ingest(context.clone(), run, readings, rules).await?;
    if let Some(broken) = ingested.broken.first() {
        return Ok(RecoveryOutcome::Incomplete { cause: broken.to_string() });
    }
    if let Some(left_out) = ingested.nothing_left {
        return Ok(RecoveryOutcome::Incomplete { cause: no_row_text(left_out) });
    }
    let mut recovery = Recovery::default();
    for pass in 1..=2 {
        if pass == 2 && !quiet.is_zero() {
            let until = started_at.plus(quiet);
            let why = format!(
                "a request may still be in flight; reading the listings again in {}. Imports with this ledger are refused until the \
                 recovery has ended",
                format_duration(quiet)
            );
            context.emit(&Event::Waiting { reason: why, until, hint: None });
            context.clock.sleep_until(until).await;
        }
        match bind_listed(context, run).await {
            Ok(pass) => recovery = Recovery { bound: recovery.bound + pass.bound, ..pass },
            Err(CompareError::Incomplete(incomplete)) => {
                return Ok(RecoveryOutcome::Incomplete { cause: incomplete.cause });
            }
            Err(CompareError::Ledger(error)) => return Err(error),
        }
    }
    // what is still being indexed shows its marker later, whoever sent it
    let has_unmarked = recovery.failed + recovery.unmarked > 0;
    recovery.is_whole = recovery.tags_hidden == 0 && (!has_unmarked || unmarked == Unmarked::AreNot);
    if recovery.is_whole {
        context.ledger.write(Store::end_recovery).await?;
    }
    Ok(RecoveryOutcome::Complete(recovery))
}

/// Reads the listing of every namespace once and binds the videos whose markers name a row.
async fn bind_listed<T: Transport>(context: &Context<T>, run: RunId) -> Result<Recovery, CompareError> {
    let mut pass = Recovery::default();
    for namespace in context.ledger.read(Snapshot::namespaces).await? {
        let Some(listing) = library_check::read(context, &namespace, ListingBound::All).await? else {
            continue;
        };
        for videos in listing.videos.chunks(library_check::BATCH) {
            let listed: Vec<_> =
                videos.iter().map(|video| library_check::as_library_video(video, listing.served)).collect();
            let asked = listed.clone();
            let video_owners = context.ledger.read(move |snapshot| snapshot.video_owners(&asked)).await?;
            for ((video, owner), shown) in listed.into_iter().zip(video_owners).zip(videos) {
                pass.listed += 1;
                match owner {
                    VideoOwner::Bound(_) | VideoOwner::Open(_) | VideoOwner::ResolvedByReview(_) => {}
                    VideoOwner::Unmarked => pass.unmarked += 1,
                    VideoOwner::Surplus(_) => pass.surplus += 1,
                    VideoOwner::TagsHidden if shown.status == IndexStatus::InProgress => {
                        pass.tags_hidden += 1;
                    }
                    VideoOwner::TagsHidden => pass.failed += 1,
                    VideoOwner::Foreign(_) | VideoOwner::Rejected(_) => {
                        let at = context.clock.now();
                        match context.ledger.write(move |store| store.recover(run, &video, at)).await? {
                            Recovered::Bound(_) => pass.bound += 1,
                            Recovered::Surplus(_) => pass.surplus += 1,
                            Recovered::Remembered(_) => pass.remembered += 1,
                            Recovered::NoItem => pass.without_row += 1,
                        }
                    }
                }
            }
        }
    }
    Ok(pass)
}

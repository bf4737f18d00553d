//! A ledger built anew, or brought up to date, from what the service shows.
//!
//! Every video that carries a marker leads to its row. Two complete listings are read, a quiet time apart: a request of
//! whoever died may still be on its way. Nothing is sent.

use super::{
    context::Context,
    ingest, library_check,
    listing::{IncompleteListing, ListingBound},
};
use crate::{
    api::Transport,
    domain::format_duration,
    events::Event,
    ledger::{LedgerError, Recovered, RunId, VideoOwner},
    manifest::Manifest,
};
use std::time::Duration;

/// What to do with videos that show no marker: not yet, or never, or because they carry none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmarked {
    /// They may be ours: the recovery is not finished while there are any.
    MayBeOurs,
    /// They are somebody else's, by the user's word.
    AreNot,
}

/// What a recovery came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Videos listed.
    pub listed: u64,
    /// Items that were bound to their video.
    pub bound: u64,
    /// Videos whose item has another one already: paid twice.
    pub surplus: u64,
    /// Videos with a marker whose row is in none of the manifests.
    pub without_row: u64,
    /// Videos that do not show yet, or never, what they carry.
    pub untold: u64,
    /// Videos without a marker: somebody else's, or sent without one.
    pub unmarked: u64,
    /// Videos whose row is not to be sent now; it is remembered that they are there.
    pub remembered: u64,
    /// Whether the ledger knows all that was sent.
    pub is_whole: bool,
}

/// Why a recovery could not be carried through; giving the same command again goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryError {
    /// What came in the way.
    pub cause: String,
}

/// Reads the manifests, then binds every video that leads to one of their rows.
pub async fn recover<T: Transport>(
    context: &Context<T>,
    run: RunId,
    manifests: Vec<Manifest>,
    quiet: Duration,
    unmarked: Unmarked,
) -> Result<Result<Recovery, RecoveryError>, LedgerError> {
    context.ledger.begin_recovery().await?;
    let started_at = context.clock.now();
    let rules = ingest::IngestRules::default();
    let (_, readings) = ingest::begin_manifest_reads(context, run, manifests, rules).await?;
    let ingested = ingest::ingest(context.clone(), run, readings, rules).await?;
    if let Some(broken) = ingested.broken.first() {
        return Ok(Err(RecoveryError { cause: broken.to_string() }));
    }
    let mut recovery = Recovery::default();
    for pass in 1..=2 {
        if pass == 2 && !quiet.is_zero() {
            let until = started_at.plus(quiet);
            let why =
                format!("a request may still be on its way; looking again in {}", format_duration(quiet));
            context.emit(&Event::Waiting { reason: why, until, hint: None });
            context.clock.sleep_until(until).await;
        }
        match look(context, run).await? {
            Ok(seen) => recovery = Recovery { bound: recovery.bound + seen.bound, ..seen },
            Err(IncompleteListing { cause, .. }) => return Ok(Err(RecoveryError { cause })),
        }
    }
    recovery.is_whole = recovery.untold + recovery.unmarked == 0 || unmarked == Unmarked::AreNot;
    if recovery.is_whole {
        context.ledger.end_recovery().await?;
    }
    Ok(Ok(recovery))
}

/// One complete look at every namespace.
async fn look<T: Transport>(
    context: &Context<T>,
    run: RunId,
) -> Result<Result<Recovery, IncompleteListing>, LedgerError> {
    let mut seen = Recovery::default();
    for namespace in context.ledger.namespaces().await? {
        let listing = match library_check::read(context, &namespace, ListingBound::None).await {
            Ok(Some(listing)) => listing,
            Ok(None) => continue,
            Err(incomplete) => return Ok(Err(incomplete)),
        };
        for videos in listing.videos.chunks(library_check::BATCH) {
            let shown: Vec<_> =
                videos.iter().map(|video| library_check::as_library_video(video, listing.served)).collect();
            let video_owners = context.ledger.video_owners(shown.clone()).await?;
            for (video, owner) in shown.into_iter().zip(video_owners) {
                seen.listed += 1;
                match owner {
                    VideoOwner::Bound(_) | VideoOwner::Open(_) | VideoOwner::Ordered(_) => {}
                    VideoOwner::Unmarked => seen.unmarked += 1,
                    VideoOwner::Surplus(_) => seen.surplus += 1,
                    VideoOwner::TagsHidden => seen.untold += 1,
                    VideoOwner::Foreign(_) | VideoOwner::Rejected(_) => {
                        match context.ledger.recover(run, video, context.clock.now()).await? {
                            Recovered::Bound(_) => seen.bound += 1,
                            Recovered::Surplus(_) => seen.surplus += 1,
                            Recovered::Remembered(_) => seen.remembered += 1,
                            Recovered::NoItem => seen.without_row += 1,
                        }
                    }
                }
            }
        }
    }
    Ok(Ok(seen))
}

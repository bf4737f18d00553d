//! The preflight stage: compares the service's library with the ledger before the first upload, so that nothing is paid twice.
//!
//! - A video may carry the marker of a request that this ledger does not know. It was sent by another ledger, or by a newer
//!   state of this one. Its row is not sent again.
//! - A video may carry the marker of a request that was answered as rejected. It is bound to its row.
//! - The newest pages are read, and the whole library where a foreign video is found. The reconcile stage searches for rows
//!   that are to be sent again.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{
    context::{Context, ReadRefusal},
    library_check::{self, BATCH, Samples, as_library_video},
    library_listing::{self, CompareError, NewestVideos},
    restore_usage,
};
use crate::{
    api::{PAGE_SIZE_MAX, Transport},
    domain::{State, StopReason, UnixMillis, counted, with_separators},
    events::Event,
    ledger::{LedgerError, LibraryVideo, ManifestId, Recovered, RunId, Snapshot, Store, VideoOwner},
    quota::Endpoint,
    retry::Backoff,
};

/// Pages of 200 videos read where nothing indicates another ledger.
const PAGES_AFFORDABLE: u32 = 10;
/// Pages read at most.
const PAGES_MAX: u32 = 20_000;
/// Attempts to reach the service before a run ends.
const ATTEMPTS_MAX: u32 = 4;
/// Attempts to read the list of a service that answers otherwise, about five minutes.
const LIST_ATTEMPTS_MAX: u32 = 10;
/// Between two of them.
const LIST_BACKOFF: Backoff = Backoff { base: Duration::from_secs(2), delay_max: Duration::from_mins(1) };

/// The settings of the preflight stage.
#[derive(Clone, Debug)]
pub(super) struct PreflightTask {
    pub(super) run: RunId,
    pub(super) manifests: Vec<ManifestId>,
    pub(super) namespace: String,
}

/// Waits until an item is pending, then compares. Cancels `done` when sending may begin.
///
/// Returns a refusal when the service refuses every read. Nothing is sent then.
pub(super) async fn preflight<T: Transport>(
    context: Context<T>,
    task: PreflightTask,
    done: CancellationToken,
) -> Result<Option<ReadRefusal>, LedgerError> {
    let drain = context.signals.drain.clone();
    let compared = tokio::select! {
        biased;
        () = drain.cancelled() => Ok(None),
        compared = compare_before_sending(&context, &task) => compared,
    };
    // without a comparison nothing is sent, whether the service or the ledger prevented it
    if !matches!(compared, Ok(None)) {
        drain.cancel();
    }
    done.cancel();
    compared
}

async fn compare_before_sending<T: Transport>(
    context: &Context<T>,
    task: &PreflightTask,
) -> Result<Option<ReadRefusal>, LedgerError> {
    let run = task.run;
    let is_clock_skew_known = context.ledger.read(move |snapshot| snapshot.is_clock_skew_known(run)).await?;
    wait_for_pending(context, task).await?;
    let mut namespaces = context.ledger.read(Snapshot::namespaces).await?;
    if !namespaces.contains(&task.namespace) {
        namespaces.push(task.namespace.clone());
    }
    let mut served_at = None;
    let mut found_foreign = false;
    let mut samples = Samples::default();
    for namespace in &namespaces {
        let mut comparison = Comparison::default();
        let mut read =
            read_when_reached(context, task.run, namespace, 1..=PAGES_AFFORDABLE, &mut comparison).await;
        let is_whole = |newest: &NewestVideos| newest.read >= newest.total;
        if let Ok(newest) = &read
            && comparison.foreign > 0
            && !is_whole(newest)
        {
            let text = format!(
                "{namespace}: videos of another ledger are among the newest; reading all {} before anything is sent",
                counted(newest.total, "video", "videos")
            );
            context.emit(&Event::Message { text });
            let rest = PAGES_AFFORDABLE + 1..=PAGES_MAX;
            read = read_when_reached(context, task.run, namespace, rest, &mut comparison).await;
        }
        match read {
            Ok(newest) => {
                context.ledger.write(Store::confirm_key).await?;
                served_at = newest.served.theirs.or(served_at);
                // a request of this ledger without an answer may have made one of them
                let counts = context.ledger.read(Snapshot::state_counts).await?;
                let open = counts.of(State::Sending) + counts.of(State::InDoubt);
                comparison.hidden = comparison.hidden.saturating_sub(open);
                comparison.announce(context, namespace, &newest);
                if let Some(other) = samples.take(namespace, &newest.first) {
                    let text = library_check::namespaces_ignored(namespace, &other);
                    context.emit(&Event::Message { text });
                }
            }
            Err(CompareError::Ledger(error)) => return Err(error),
            Err(CompareError::Incomplete(incomplete)) if incomplete.refusal.is_some() => {
                return Ok(incomplete.refusal);
            }
            // an upload could not be sent either, and nothing is sent without a comparison once it can
            Err(CompareError::Incomplete(incomplete)) if incomplete.is_unreachable => {
                let cause = format!("{}; giving up after {ATTEMPTS_MAX} attempts", incomplete.cause);
                return Ok(Some(ReadRefusal { reason: StopReason::Unreachable, cause }));
            }
            Err(CompareError::Incomplete(incomplete)) => {
                let cause = format!("{}; giving up after {LIST_ATTEMPTS_MAX} attempts", incomplete.cause);
                return Ok(Some(ReadRefusal { reason: StopReason::Unlisted, cause }));
            }
        }
        found_foreign |= comparison.foreign > 0;
    }
    measure_time(context, task.run, is_clock_skew_known, found_foreign, served_at).await?;
    Ok(None)
}

async fn wait_for_pending<T: Transport>(
    context: &Context<T>,
    task: &PreflightTask,
) -> Result<(), LedgerError> {
    loop {
        let changed = context.signals.next_change();
        let (run, manifests, now) = (task.run, task.manifests.clone(), context.clock.now());
        let read = move |snapshot: &Snapshot| snapshot.run_progress(run, &manifests, now);
        let progress = context.ledger.read(read).await?;
        if progress.pending > 0 {
            return Ok(());
        }
        changed.await;
    }
}

async fn measure_time<T: Transport>(
    context: &Context<T>,
    run: RunId,
    is_clock_skew_known: bool,
    found_foreign: bool,
    served_at: Option<UnixMillis>,
) -> Result<(), LedgerError> {
    if !is_clock_skew_known {
        restore_usage::measure_clock_skew(context, run, served_at).await?;
    }
    if found_foreign || !is_clock_skew_known {
        restore_usage::reload_usage(context, run).await?;
    }
    Ok(())
}

/// What the comparison of one namespace found.
#[derive(Clone, Default)]
struct Comparison {
    /// Videos with a marker that this ledger does not know.
    foreign: u64,
    /// Videos of requests that were answered as rejected, or whose row was to be sent again, bound to their rows now.
    rebound: u64,
    /// Videos that do not show their tags yet, and that no request of this ledger made.
    hidden: u64,
}

impl Comparison {
    fn announce<T>(&self, context: &Context<T>, namespace: &str, newest: &NewestVideos) {
        let say = |text: String| context.emit(&Event::Message { text });
        if self.foreign > 0 {
            say(format!(
                "{namespace}: {} of {} uploaded with another ledger; their rows are not sent from here (use that ledger \
                 with --ledger, or bring this one up to date with telecine recover)",
                with_separators(self.foreign),
                counted(newest.total, "video", "videos")
            ));
        } else if newest.read < newest.total {
            say(format!(
                "{namespace}: the newest {} of {} compared with the ledger; telecine verify compares all",
                with_separators(newest.read),
                counted(newest.total, "video", "videos")
            ));
        }
        if self.rebound > 0 {
            say(format!(
                "{namespace}: found at the service: {}, and not sent again",
                counted(
                    self.rebound,
                    "video of a row that was answered as rejected, or that you had sent again; it is bound to the row",
                    "videos of rows that were answered as rejected, or that you had sent again; they are bound to the rows"
                )
            ));
        }
        if self.hidden > 0 {
            say(format!(
                "{namespace}: {} still being indexed, not uploaded by this ledger. If another machine imports the same rows \
                 now, they are paid twice: stop one of the two",
                counted(self.hidden, "video", "videos")
            ));
        }
    }
}

/// The same as [`read_and_compare`], again where the service is not reached or does not list its videos.
async fn read_when_reached<T: Transport>(
    context: &Context<T>,
    run: RunId,
    namespace: &str,
    pages: std::ops::RangeInclusive<u32>,
    comparison: &mut Comparison,
) -> Result<NewestVideos, CompareError> {
    let before = comparison.clone();
    let (mut unreached, mut unlisted) = (0, 0);
    loop {
        let read = read_and_compare(context, run, namespace, pages.clone(), comparison).await;
        let Err(CompareError::Incomplete(incomplete)) = &read else {
            if unreached + unlisted > 0 {
                context.hold_uploads(run, None).await?;
            }
            return read;
        };
        let held_until = context.limiter.cooldown(Endpoint::List).map(|cooldown| cooldown.until);
        let mut until = held_until.unwrap_or_else(|| context.clock.now());
        let what = if incomplete.is_unreachable {
            unreached += 1;
            "the service cannot be reached"
        } else {
            unlisted += 1;
            until = until.max(context.clock.now().plus(LIST_BACKOFF.delay(unlisted, 0.5)));
            "the service does not list its videos"
        };
        let is_final = incomplete.is_refused && !incomplete.is_unreachable;
        if is_final || unreached >= ATTEMPTS_MAX || unlisted >= LIST_ATTEMPTS_MAX {
            return read;
        }
        let reason = format!("{what} ({}); trying again then", incomplete.cause);
        context.hold_uploads(run, Some((until, &reason))).await?;
        context.emit(&Event::Waiting { reason, until, hint: None });
        context.clock.sleep_until(until).await;
        // the pages that were read are read and counted again
        *comparison = before.clone();
    }
}

/// Reads pages of a namespace, newest first, and compares each with the ledger.
async fn read_and_compare<T: Transport>(
    context: &Context<T>,
    run: RunId,
    namespace: &str,
    pages: std::ops::RangeInclusive<u32>,
    comparison: &mut Comparison,
) -> Result<NewestVideos, CompareError> {
    let last = *pages.end();
    let mut newest = NewestVideos {
        read: u64::from(pages.start() - 1) * u64::from(PAGE_SIZE_MAX),
        ..NewestVideos::default()
    };
    for number in pages {
        let page = library_listing::page(context, namespace, number).await?;
        let is_last = page.videos.is_empty();
        newest.total = page.total_count.unwrap_or(0).max(newest.total);
        newest.served = library_listing::ServedAt { theirs: page.served_at, ours_by: context.clock.now() };
        newest.read += page.videos.len() as u64;
        let videos: Vec<LibraryVideo> =
            page.videos.iter().map(|video| as_library_video(video, newest.served)).collect();
        for videos in videos.chunks(BATCH) {
            compare_page(context, run, videos, comparison).await?;
        }
        if number == 1 {
            newest.first = page.videos;
        }
        library_listing::announce_page(context, namespace, number, newest.total, last);
        if is_last || newest.read >= newest.total {
            break;
        }
    }
    Ok(newest)
}

async fn compare_page<T: Transport>(
    context: &Context<T>,
    run: RunId,
    videos: &[LibraryVideo],
    comparison: &mut Comparison,
) -> Result<(), LedgerError> {
    let listed = videos.to_vec();
    let owners = context.ledger.read(move |snapshot| snapshot.video_owners(&listed)).await?;
    let mut foreign = Vec::new();
    for (video, owner) in videos.iter().zip(owners) {
        match owner {
            VideoOwner::Foreign(_) => foreign.push(video.clone()),
            VideoOwner::Rejected(_) => {
                let (video, at) = (video.clone(), context.clock.now());
                let recovered = context.ledger.write(move |store| store.recover(run, &video, at)).await?;
                comparison.rebound += u64::from(matches!(recovered, Recovered::Bound(_)));
            }
            // a human had the row sent again, and meanwhile its video shows the marker
            VideoOwner::ResolvedByReview(item)
                if context.ledger.read(move |snapshot| snapshot.is_pending(item)).await? =>
            {
                let (video, at) = (video.clone(), context.clock.now());
                let recovered = context.ledger.write(move |store| store.recover(run, &video, at)).await?;
                comparison.rebound += u64::from(matches!(recovered, Recovered::Bound(_)));
            }
            VideoOwner::TagsHidden => comparison.hidden += 1,
            VideoOwner::Bound(_)
            | VideoOwner::Open(_)
            | VideoOwner::Surplus(_)
            | VideoOwner::ResolvedByReview(_)
            | VideoOwner::Unmarked => {}
        }
    }
    if !foreign.is_empty() {
        comparison.foreign += foreign.len() as u64;
        context.ledger.write(move |store| store.record_foreign_videos(&foreign)).await?;
    }
    if comparison.rebound > 0 {
        context.signals.ledger_changed();
    }
    Ok(())
}

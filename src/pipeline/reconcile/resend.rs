//! Before a row is sent again that was rejected or failed, or whose video was deleted, the listings are searched for its markers
//! and its video: the service may have it all the same. A marker shows only when its video is indexed.
//!
//! A row that the service itself rejected is searched for at once. A row that only a rule of the user rejected may have been
//! accepted: it is searched for when the quiet time is over, and sent again when no video is left that it could be.

use std::{collections::HashSet, time::Duration};

use crate::{
    api::{IndexStatus, ListedVideo, Transport, VIDEO_NOS_MAX},
    domain::{UnixMillis, VideoNo, counted},
    events::Event,
    ledger::{HeldResend, ItemId, LedgerError, OtherMarker, Recovered, RunId, Snapshot, VideoOwner},
    pipeline::{
        context::{Context, Noticed},
        library_check::{BATCH, as_library_video},
        library_listing::{self, Listing, ServedAt},
    },
};

use super::{
    calls::{VideoRead, read_video},
    evidence::{self, HORIZON, ListingAccuracy, ReconcileRules, TagsShown},
};

/// When a held row is due for a search, where the last one was at `searched_at`.
pub(super) fn due_at(
    held: &HeldResend,
    rules: &ReconcileRules,
    searched_at: Option<UnixMillis>,
) -> UnixMillis {
    if !held.may_be_there {
        // at once, and again where no listing could be read
        return searched_at.map_or(UnixMillis(0), |timestamp| timestamp.plus(super::PASS_DELAY_MIN));
    }
    let quiet_ends_at = held.sender.send_before.plus(rules.quiet);
    let again = searched_at.map(|timestamp| timestamp.plus(super::PASS_DELAY_MAX.min(rules.quiet)));
    again.map_or(quiet_ends_at, |again| again.max(quiet_ends_at))
}

/// Searches a listing of each namespace for the rows that are due.
pub(super) async fn search<T: Transport>(
    context: &Context<T>,
    run: RunId,
    rules: &ReconcileRules,
    due: Vec<HeldResend>,
) -> Result<(), LedgerError> {
    let mut namespaces: Vec<&str> = due.iter().map(|held| held.namespace.as_str()).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    for namespace in namespaces {
        let own: Vec<&HeldResend> = due.iter().filter(|held| held.namespace == namespace).collect();
        let oldest: Option<Vec<UnixMillis>> =
            own.iter().map(|held| evidence::candidates_from(held.sender.service_time)).collect();
        let since = oldest.and_then(|timestamps| timestamps.into_iter().min());
        let listing = library_listing::read(context, namespace, since, &[]).await;
        if let Err(incomplete) = &listing
            && context.signals.is_first(Noticed::UnreadableListing)
        {
            let text = format!(
                "{namespace}: rows that are to be sent again wait until the listing can be read whole: their videos may be there ({})",
                incomplete.cause
            );
            context.emit(&Event::Message { text });
        }
        // without a listing nothing is known of them
        let Ok(listing) = listing else { continue };
        let found = bind(context, run, namespace, &listing, &own).await?;
        let searched =
            CallSearch { run, served: listing.served, tags: found.accuracy.tags, quiet: rules.quiet };
        if found.bound > 0 {
            let text = format!(
                "{namespace}: {} to be sent again found in the listing; bound to the video there, and not sent",
                counted(found.bound, "row", "rows")
            );
            context.emit(&Event::Message { text });
        }
        for held in own.into_iter().filter(|held| !found.taken.contains(&held.item)) {
            if may_be_sent(held, &found, rules, context.clock.now())
                && !called_video_may_be_its(context, searched, held).await?
            {
                let item = held.item;
                context.ledger.write(move |store| store.release(item)).await?;
            }
        }
        context.signals.ledger_changed();
    }
    Ok(())
}

/// What is known when the numbers are looked up that calls named.
#[derive(Clone, Copy)]
struct CallSearch {
    run: RunId,
    served: ServedAt,
    tags: TagsShown,
    /// How long after a call its video may not be shown yet.
    quiet: Duration,
}

/// What a listing showed of held rows.
struct Found {
    /// Rows that were bound to their videos.
    bound: u64,
    /// Videos of no known row that do not show their tags, or show other tags where these prove nothing.
    hidden: Vec<ListedVideo>,
    /// Rows whose markers are on videos that belong to other rows in the ledger. Their requests arrived, and they are not sent again.
    taken: HashSet<ItemId>,
    accuracy: ListingAccuracy,
}

/// Binds listed videos that carry a marker of a held row.
async fn bind<T: Transport>(
    context: &Context<T>,
    run: RunId,
    namespace: &str,
    listing: &Listing,
    held: &[&HeldResend],
) -> Result<Found, LedgerError> {
    let numbers: Vec<VideoNo> = listing.videos.iter().map(|video| video.video_no.clone()).collect();
    let bound = context.ledger.read(move |snapshot| snapshot.bound_videos(&numbers)).await?;
    let accuracy = super::assess(context, namespace, &listing.videos, &bound).await?;
    let mut found = Found { bound: 0, hidden: Vec::new(), taken: HashSet::new(), accuracy };
    for listed in listing.videos.chunks(BATCH) {
        let videos: Vec<_> = listed.iter().map(|video| as_library_video(video, listing.served)).collect();
        let asked = videos.clone();
        let read =
            move |snapshot: &Snapshot| Ok((snapshot.video_owners(&asked)?, snapshot.other_markers(&asked)?));
        let (owners, others) = context.ledger.read(read).await?;
        for other in others {
            if let Some(held) = held.iter().find(|held| Some(held.item) == other.names) {
                found.taken.insert(held.item);
                announce_taken(context, held.item, &other);
            }
        }
        for ((video, owner), listed) in videos.into_iter().zip(owners).zip(listed) {
            match owner {
                VideoOwner::Rejected(item)
                | VideoOwner::Surplus(item)
                | VideoOwner::ResolvedByReview(item)
                    if held.iter().any(|held| held.item == item) =>
                {
                    let at = context.clock.now();
                    let recovered = context.ledger.write(move |store| store.recover(run, &video, at)).await?;
                    found.bound += u64::from(matches!(recovered, Recovered::Bound(_)));
                }
                VideoOwner::TagsHidden => found.hidden.push(listed.clone()),
                VideoOwner::Unmarked if accuracy.tags != TagsShown::AsSent => {
                    found.hidden.push(listed.clone());
                }
                // it was deleted, or failed to be indexed, when the row was ordered to be sent again
                VideoOwner::Bound(item) if listed.status != IndexStatus::Failed => {
                    if held.iter().any(|held| held.item == item) {
                        found.bound += u64::from(bind_again(context, video.video_no).await?);
                    }
                }
                VideoOwner::Rejected(_)
                | VideoOwner::Surplus(_)
                | VideoOwner::ResolvedByReview(_)
                | VideoOwner::Bound(_)
                | VideoOwner::Open(_)
                | VideoOwner::Foreign(_)
                | VideoOwner::Unmarked => {}
            }
        }
    }
    Ok(found)
}

/// Whether a video that the service called for may be that of the row. It is looked up by its number, since a listing may show it later or
/// never; one that carries a marker of the row is bound to it.
async fn called_video_may_be_its<T: Transport>(
    context: &Context<T>,
    search: CallSearch,
    held: &HeldResend,
) -> Result<bool, LedgerError> {
    let item = held.item;
    let called = context.ledger.read(move |snapshot| snapshot.unbound_numbers_called_for(item)).await?;
    for (video_no, called_at) in called {
        let may_be_its = match read_video(context, &held.namespace, &video_no).await? {
            VideoRead::Failed => true,
            // a service may show a video later than it calls for it
            VideoRead::NotShown => context.clock.now() < called_at.plus(search.quiet),
            // it would be sent again like every row whose video failed
            VideoRead::Shown(video) if video.status == IndexStatus::Failed => false,
            VideoRead::Shown(video) => may_be_of_row(context, search, held, &video).await?,
        };
        if may_be_its {
            if context.signals.is_first(Noticed::CalledVideo(item)) {
                let text = format!(
                    "item {item} is not sent again for now: the service called for its request with the video {video_no}. It is sent \
                     when that video is not there, or shows that it is another row's"
                );
                context.emit(&Event::Message { text });
            }
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a video that is there may be that of a row, by its tags. If it carries a marker of the row, it is bound to it.
async fn may_be_of_row<T>(
    context: &Context<T>,
    search: CallSearch,
    held: &HeldResend,
    video: &ListedVideo,
) -> Result<bool, LedgerError> {
    let shown = as_library_video(video, search.served);
    if !shown.shows_tags || held.sender.marker.is_none() {
        return Ok(true);
    }
    let asked = shown.clone();
    match context.ledger.read(move |snapshot| snapshot.video_owner(&asked)).await? {
        VideoOwner::Rejected(item) | VideoOwner::Surplus(item) | VideoOwner::ResolvedByReview(item)
            if item == held.item =>
        {
            let at = context.clock.now();
            context.ledger.write(move |store| store.recover(search.run, &shown, at)).await?;
            context.signals.ledger_changed();
            Ok(true)
        }
        VideoOwner::Unmarked => Ok(search.tags != TagsShown::AsSent),
        VideoOwner::Rejected(_)
        | VideoOwner::Surplus(_)
        | VideoOwner::ResolvedByReview(_)
        | VideoOwner::Bound(_)
        | VideoOwner::Open(_)
        | VideoOwner::Foreign(_) => Ok(false),
        VideoOwner::TagsHidden => Ok(true),
    }
}

/// Says once in a run that a row is not sent again, and why.
fn announce_taken<T>(context: &Context<T>, held: ItemId, other: &OtherMarker) {
    if context.signals.is_first(Noticed::TakenVideo(held)) {
        let OtherMarker { video_no, item, .. } = other;
        let text = format!(
            "item {held} is not sent again: {video_no} carries its marker, and belongs to item {item} in the ledger. telecine \
             explain {item} shows how it was bound; if you adopted the number: telecine resolve {item} --undo"
        );
        context.emit(&Event::Message { text });
    }
}

async fn bind_again<T>(context: &Context<T>, video_no: VideoNo) -> Result<bool, LedgerError> {
    let at = context.clock.now();
    context.ledger.write(move |store| store.bind_again(&video_no, at)).await
}

/// Videos that are looked for again in one pass.
const LOOKED_FOR_MAX: usize = 1_000;

/// Looks once more for the videos of rows that wait to be sent again, by their numbers: the search may have been hours ago, or in an
/// earlier run. What cannot be read now is looked for in the next pass.
pub(super) async fn look_again<T: Transport>(context: &Context<T>) -> Result<(), LedgerError> {
    let resent = context.ledger.read(|snapshot| snapshot.resent_videos(LOOKED_FOR_MAX)).await?;
    let mut bound = 0;
    for of_namespace in resent.chunk_by(|(one, _), (other, _)| one == other) {
        for videos in of_namespace.chunks(VIDEO_NOS_MAX) {
            let (namespace, _) = &videos[0];
            let numbers: Vec<&VideoNo> = videos.iter().map(|(_, video_no)| video_no).collect();
            let shown = library_listing::read_numbers(context, namespace, &numbers).await.unwrap_or_default();
            for video in shown.into_iter().filter(|video| video.status != IndexStatus::Failed) {
                bound += u64::from(bind_again(context, video.video_no).await?);
            }
        }
    }
    if bound > 0 {
        let text = format!(
            "found at the service: {}; bound to the row, and not sent again",
            counted(bound, "video of a row to be sent again", "videos of rows to be sent again")
        );
        context.emit(&Event::Message { text });
        context.signals.ledger_changed();
    }
    Ok(())
}

/// Whether nothing more is to be learned of a row before it is sent again. A row that was bound is not pending any more.
fn may_be_sent(held: &HeldResend, found: &Found, rules: &ReconcileRules, now: UnixMillis) -> bool {
    // where the service changes tags, no marker shows
    if !held.may_be_there && found.accuracy.tags != TagsShown::Changed {
        return true;
    }
    // a video that never shows its tags proves nothing, and is not waited for for ever
    let is_over = now > held.sender.sent_at.plus(HORIZON);
    let could_be = |video: &ListedVideo| evidence::could_be(&held.sender, video, rules, found.accuracy);
    is_over || !found.hidden.iter().any(could_be)
}

//! The service's library compared with the ledger: at the end of a run, and whole on demand. Whatever breaks a promise is
//! found, whoever broke it.

use std::collections::HashSet;

use super::{
    context::Context,
    listing::{self, IncompleteListing, Listing, ListingBound, ServedAt},
};
use crate::{
    api::{IndexStatus, ListedVideo, Transport},
    domain::VideoNo,
    ledger::{BoundItem, ItemId, LedgerError, LibraryDiff, LibraryVideo, ListingPresence},
    quota::Priority,
};

/// A comparison at the end of a run is made of namespaces with at most this many videos.
pub(super) const AFFORDABLE: ListingBound = ListingBound::Videos(2_000);
/// A listing that is not complete is tried again so often.
const PASSES_MAX: u32 = 3;
/// Videos whose owner is asked for at a time.
pub(super) const BATCH: usize = 1_000;
/// Videos that no listing shows and that are asked for singly, at most: at one a second a few minutes.
const SINGLY_MAX: usize = 200;

/// Compares every namespace of the ledger. Those with more videos than the bound are left out.
pub(super) async fn compare<T: Transport>(
    context: &Context<T>,
    bound: ListingBound,
) -> Result<Result<Vec<LibraryDiff>, IncompleteListing>, LedgerError> {
    let mut library_diffs = Vec::new();
    for namespace in context.ledger.namespaces().await? {
        match read(context, &namespace, bound).await {
            Ok(Some(listing)) => match compare_one(context, &namespace, &listing).await? {
                Ok(library_diff) => library_diffs.push(library_diff),
                Err(incomplete) => return Ok(Err(incomplete)),
            },
            Ok(None) => {}
            Err(incomplete) => return Ok(Err(incomplete)),
        }
    }
    Ok(Ok(library_diffs))
}

pub(super) async fn read<T: Transport>(
    context: &Context<T>,
    namespace: &str,
    bound: ListingBound,
) -> Result<Option<Listing>, IncompleteListing> {
    let mut pass = 1;
    loop {
        match listing::read_whole(context, namespace, bound).await {
            Err(incomplete) if pass < PASSES_MAX && !incomplete.is_refused => pass += 1,
            read => return read,
        }
    }
}

/// Compares every namespace of the ledger, whatever it takes.
pub async fn verify<T: Transport>(
    context: &Context<T>,
) -> Result<Result<Vec<LibraryDiff>, String>, LedgerError> {
    Ok(compare(context, ListingBound::None).await?.map_err(|incomplete| incomplete.cause))
}

async fn compare_one<T: Transport>(
    context: &Context<T>,
    namespace: &str,
    listing: &Listing,
) -> Result<Result<LibraryDiff, IncompleteListing>, LedgerError> {
    let mut library_diff = LibraryDiff::of(namespace);
    for videos in listing.videos.chunks(BATCH) {
        let video_owners = context
            .ledger
            .video_owners(videos.iter().map(|video| as_library_video(video, listing.served)).collect())
            .await?;
        for (video, owner) in videos.iter().zip(video_owners) {
            library_diff.take_listed(&video.video_no, owner);
        }
    }
    let listed: HashSet<&VideoNo> = listing.videos.iter().map(|video| &video.video_no).collect();
    let mut after = ItemId::numbered(0);
    let mut asked = 0;
    loop {
        let items = context.ledger.bound_items(namespace.to_owned(), after, BATCH).await?;
        let Some(last) = items.last() else { return Ok(Ok(library_diff)) };
        after = last.item;
        for item in &items {
            let mut sight = ListingPresence::Shown;
            if !listed.contains(&item.video_no) {
                asked += 1;
                sight = match look_singly(context, namespace, item, asked).await {
                    Ok(sight) => sight,
                    Err(incomplete) => return Ok(Err(incomplete)),
                };
            }
            library_diff.take_bound(item, sight);
        }
    }
}

/// A video that a listing does not show may be there all the same.
async fn look_singly<T: Transport>(
    context: &Context<T>,
    namespace: &str,
    item: &BoundItem,
    asked: usize,
) -> Result<ListingPresence, IncompleteListing> {
    if asked > SINGLY_MAX {
        return Ok(ListingPresence::Missing);
    }
    let mut pass = 1;
    loop {
        // a ledger that takes nothing any more ends the run through whoever asks it next
        let permit = context.read_permit(Priority::PollSingle).await.map_err(|error| IncompleteListing {
            cause: error.to_string(),
            is_refused: true,
            refusal: None,
        })?;
        let slot = permit.slot();
        match context.api.metadata(permit, namespace, &item.video_no).await {
            Ok(video) => {
                context.learn_read(slot);
                let is_shown = video.is_some_and(|video| video.video_no == item.video_no);
                return Ok(if is_shown { ListingPresence::Shown } else { ListingPresence::Missing });
            }
            Err(error) => {
                let refusal = context.learn_read_fault(slot, &error);
                let is_refused = refusal.is_some();
                if is_refused || pass == PASSES_MAX {
                    return Err(IncompleteListing {
                        cause: format!("{}: {error}", item.video_no),
                        is_refused,
                        refusal,
                    });
                }
                pass += 1;
            }
        }
    }
}

/// A listed video as the ledger recognises it.
pub(super) fn as_library_video(video: &ListedVideo, served: ServedAt) -> LibraryVideo {
    LibraryVideo {
        video_no: video.video_no.clone(),
        shows_tags: video.status == IndexStatus::Indexed && !video.tags.is_empty(),
        tags: video.tags.clone(),
        made_by: served.ours(video.created_at),
    }
}

//! Finds second videos of items: several videos at the service that carry a marker of the same item, or are bound to it.

use std::collections::HashMap;

use super::{
    context::Context,
    library_check::{self, Samples},
    library_listing::{CompareError, ListingBound},
};
use crate::{
    api::{IndexStatus, ListedVideo, Transport},
    domain::{UnixMillis, VideoNo},
    ledger::{DeletionTask, ItemId, LedgerError, Snapshot, VideoOwner, is_marker},
};

/// Which video of an item is kept where the ledger is not bound to its oldest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptVideo {
    /// The oldest. The ledger would have none then, so both are kept.
    Oldest,
    /// The one that the ledger is bound to.
    Bound,
}

/// A second video of an item.
#[derive(Clone, Debug)]
pub struct SecondVideo {
    pub namespace: String,
    pub task: DeletionTask,
    /// The video of the item that is kept: its oldest one, or the one that the ledger is bound to.
    pub kept: VideoNo,
}

/// The second videos of a library.
#[derive(Debug, Default)]
pub struct SecondVideos {
    /// Those that may be deleted: a video of the same item that is kept is at the service.
    pub found: Vec<SecondVideo>,
    /// Items with several videos of which none is deleted, each with the reason.
    pub kept: Vec<(ItemId, String)>,
    /// Why the library could not be read completely. `None`: it was.
    pub incomplete: Option<String>,
}

/// A video of an item.
struct ItemVideo {
    video_no: VideoNo,
    created_at: Option<UnixMillis>,
    marker: Option<String>,
    owner: VideoOwner,
    status: IndexStatus,
}

/// Reads every namespace of the ledger.
pub async fn second_videos<T: Transport>(
    context: &Context<T>,
    keep: KeptVideo,
) -> Result<SecondVideos, LedgerError> {
    let mut second = SecondVideos::default();
    match read(context, keep, &mut second).await {
        Ok(()) => Ok(second),
        Err(CompareError::Ledger(error)) => Err(error),
        Err(CompareError::Incomplete(incomplete)) => {
            Ok(SecondVideos { incomplete: Some(incomplete.cause), ..SecondVideos::default() })
        }
    }
}

async fn read<T: Transport>(
    context: &Context<T>,
    keep: KeptVideo,
    second: &mut SecondVideos,
) -> Result<(), CompareError> {
    let mut samples = Samples::default();
    for namespace in context.ledger.read(Snapshot::namespaces).await? {
        let Some(listing) = library_check::read(context, &namespace, ListingBound::All).await? else {
            continue;
        };
        if let Some(other) = samples.take(&namespace, &listing.videos) {
            second.incomplete = Some(library_check::namespaces_ignored(&namespace, &other));
            second.found.clear();
            return Ok(());
        }
        let owners = library_check::owners_of(context, &listing).await?;
        let misbound = library_check::misbound(context, &listing, &owners).await?;
        for (item, copies) in copies_of(&listing.videos, &owners) {
            let copy = copies.iter().find(|copy| misbound.contains_key(&copy.video_no));
            if let Some((copy, bound)) = copy.and_then(|copy| Some((copy, misbound.get(&copy.video_no)?))) {
                let number = &copy.video_no;
                let cause = format!(
                    "{number} may be the only video of its row: the answer to its request named {bound}"
                );
                second.kept.push((item, cause));
            } else if let Err(cause) = take_item(&namespace, item, copies, keep, second) {
                second.kept.push((item, cause));
            }
        }
    }
    Ok(())
}

/// The item of a video, by its number or its marker.
const fn item_of(owner: VideoOwner) -> Option<ItemId> {
    match owner {
        VideoOwner::Bound(item)
        | VideoOwner::Open(item)
        | VideoOwner::Surplus(item)
        | VideoOwner::ResolvedByReview(item)
        | VideoOwner::Rejected(item) => Some(item),
        VideoOwner::Foreign(item) => item,
        VideoOwner::Unmarked | VideoOwner::TagsHidden => None,
    }
}

/// Items with several videos of which one is not bound, each with its videos.
fn copies_of(videos: &[ListedVideo], owners: &[VideoOwner]) -> Vec<(ItemId, Vec<ItemVideo>)> {
    let mut copies: HashMap<ItemId, Vec<ItemVideo>> = HashMap::new();
    // only items with a video that is not bound can have a second one: the others need no memory
    for owner in owners.iter().filter(|owner| !matches!(owner, VideoOwner::Bound(_))) {
        if let Some(item) = item_of(*owner) {
            copies.entry(item).or_default();
        }
    }
    for (video, owner) in videos.iter().zip(owners) {
        if let Some(of_item) = item_of(*owner).and_then(|item| copies.get_mut(&item)) {
            of_item.push(ItemVideo {
                video_no: video.video_no.clone(),
                created_at: video.created_at,
                marker: video.tags.iter().find(|tag| is_marker(tag)).cloned(),
                owner: *owner,
                status: video.status,
            });
        }
    }
    let mut copies: Vec<(ItemId, Vec<ItemVideo>)> =
        copies.into_iter().filter(|(_, copies)| copies.len() > 1).collect();
    copies.sort_by_key(|(item, _)| item.number());
    copies
}

/// Takes the second videos of one item, or says why none is taken.
fn take_item(
    namespace: &str,
    item: ItemId,
    mut copies: Vec<ItemVideo>,
    keep: KeptVideo,
    second: &mut SecondVideos,
) -> Result<(), String> {
    if copies.iter().any(|copy| matches!(copy.owner, VideoOwner::Open(_))) {
        return Err(
            "the outcome of one of its requests is open: telecine reconcile ends that first".to_owned()
        );
    }
    if copies.iter().any(|copy| copy.created_at.is_none()) {
        return Err("the service does not say which of its videos is the oldest".to_owned());
    }
    // of two of the same time the one with the smaller number is older
    copies.sort_by_cached_key(|copy| {
        let number = copy.video_no.as_str().to_owned();
        (copy.created_at, number.len(), number)
    });
    let is_bound = |copy: &ItemVideo| matches!(copy.owner, VideoOwner::Bound(_));
    let is_failed = |copy: &ItemVideo| copy.status == IndexStatus::Failed;
    // one that failed and was replaced by a good one is not what the row has
    if copies.iter().any(|copy| is_bound(copy) && !is_failed(copy)) {
        copies.retain(|copy| !is_bound(copy) || !is_failed(copy));
    }
    let oldest = &copies[0];
    if let Some(good) = copies.iter().find(|copy| !is_failed(copy)).filter(|_| is_failed(oldest)) {
        return Err(format!(
            "its oldest video {} failed to be indexed, and {} did not: the import with --retry-failed binds the row to that one \
             and uploads nothing for it; then give this command again",
            oldest.video_no, good.video_no
        ));
    }
    let younger = copies[1..].iter().find(|copy| is_bound(copy)).filter(|_| !is_bound(oldest));
    let kept = match (younger, keep) {
        (None, _) => oldest.video_no.clone(),
        (Some(bound), KeptVideo::Bound) if bound.status == IndexStatus::Indexed => bound.video_no.clone(),
        (Some(bound), KeptVideo::Bound) => {
            return Err(format!(
                "the video {} that the ledger has is not searchable, and {} is older: nothing is deleted before it is",
                bound.video_no, oldest.video_no
            ));
        }
        (Some(bound), KeptVideo::Oldest) => {
            return Err(format!(
                "the ledger has its younger video {}, and {} is older: --keep-bound deletes the older one. To keep the older one, \
                 delete the younger one by telecine undo RUN (telecine explain {item} names the run), then import with \
                 --reupload-deleted: it binds the row to the older one and uploads nothing for it",
                bound.video_no, oldest.video_no
            ));
        }
    };
    let others = copies.into_iter().filter(|copy| copy.video_no != kept && !is_bound(copy));
    second.found.extend(others.map(|copy| SecondVideo {
        namespace: namespace.to_owned(),
        task: DeletionTask {
            video_no: copy.video_no,
            item,
            attempt: None,
            marker: copy.marker,
            needs_marker: true,
            accepted_by: copy.created_at.unwrap_or_default(),
            is_ordered: false,
            was_listed: true,
        },
        kept: kept.clone(),
    }));
    Ok(())
}

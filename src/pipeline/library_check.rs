//! Compares the service's library with the ledger: after a run where that is cheap, and completely for `verify`.
//!
//! The comparison finds missing, second and foreign videos, whatever their cause.

use std::collections::{HashMap, HashSet};

use super::{
    context::Context,
    library_listing::{self, CompareError, IncompleteListing, Listing, ListingBound, ServedAt},
};
use crate::{
    api::{IndexStatus, ListedVideo, Transport},
    domain::{State, VideoNo, counted},
    events::Event,
    ledger::{
        DiffKind, ItemId, LedgerError, LibraryDiff, LibraryVideo, ListingPresence, Snapshot, VideoOwner,
        is_marker,
    },
    quota::Priority,
};

/// Namespaces with more videos are not compared at the end of a run.
pub(super) const AFFORDABLE: ListingBound = ListingBound::IfAtMost(2_000);
/// How often an incomplete listing is read before the comparison is given up.
const PASSES_MAX: u32 = 3;
/// Videos whose owners are read in one call of the ledger.
pub(super) const BATCH: usize = 1_000;
/// Videos that are asked for one by one because no listing shows them. At one a second this takes a few minutes.
const SINGLY_MAX: usize = 200;
/// Videos of a namespace that are looked for in the others.
const SAMPLE: usize = 200;
/// A namespace that nobody uploads to. It is always the same one, since the service may make a folder of each that is listed.
const UNUSED_NAMESPACE: &str = "telecine-unused";

/// Compares every namespace of the ledger. Those with more videos than the bound are left out.
pub(super) async fn compare<T: Transport>(
    context: &Context<T>,
    bound: ListingBound,
) -> Result<Vec<LibraryDiff>, CompareError> {
    let (mut library_diffs, mut samples) = (Vec::new(), Samples::default());
    for namespace in context.ledger.read(Snapshot::namespaces).await? {
        if let Some(listing) = read(context, &namespace, bound).await? {
            let mut library_diff = compare_one(context, &namespace, &listing).await?;
            library_diff.shared_with = samples.take(&namespace, &listing.videos);
            library_diffs.push(library_diff);
        }
    }
    Ok(library_diffs)
}

/// Some videos of each namespace that was read, to notice a service that ignores namespaces.
#[derive(Default)]
pub(super) struct Samples(Vec<(String, HashSet<VideoNo>)>);

impl Samples {
    /// Takes in listed videos of a namespace. Returns the namespace read before that lists one of them, too: a video is in
    /// one namespace only, so the service ignores namespaces.
    pub(super) fn take(&mut self, namespace: &str, videos: &[ListedVideo]) -> Option<String> {
        let lists_one = |(_, sample): &&(String, HashSet<VideoNo>)| {
            videos.iter().any(|video| sample.contains(&video.video_no))
        };
        let shared_with = self.0.iter().find(lists_one).map(|(other, _)| other.clone());
        let sample = videos.iter().take(SAMPLE).map(|video| video.video_no.clone()).collect();
        self.0.push((namespace.to_owned(), sample));
        shared_with
    }
}

/// Says where two namespaces list the same videos, and where videos carry the markers of other rows.
pub(super) fn announce<T>(context: &Context<T>, library_diffs: &[LibraryDiff]) {
    for library_diff in library_diffs {
        let crossed = library_diff.count(DiffKind::OtherMarker);
        if crossed > 0 {
            let text = format!(
                "{}: {} of one row in the ledger, with the marker of another row; telecine verify lists them with their rows",
                library_diff.namespace,
                counted(crossed, "video is", "videos are"),
            );
            context.emit(&Event::Message { text });
        }
        if let Some(other) = &library_diff.shared_with {
            let text = namespaces_ignored(&library_diff.namespace, other);
            context.emit(&Event::Message { text });
        }
    }
}

/// What it means that two namespaces list the same videos.
#[must_use]
pub fn namespaces_ignored(namespace: &str, other: &str) -> String {
    format!(
        "the service ignores namespaces (unique_id): {other} and {namespace} list the same videos, so each lists the whole \
         account. A namespace separates nothing here: every video of the account may be taken for one of this ledger, and \
         --exclusive holds only if no other client uploads to the account"
    )
}

pub(super) async fn read<T: Transport>(
    context: &Context<T>,
    namespace: &str,
    bound: ListingBound,
) -> Result<Option<Listing>, IncompleteListing> {
    let mut pass = 1;
    loop {
        match library_listing::read_whole(context, namespace, bound).await {
            Err(incomplete) if pass < PASSES_MAX && !incomplete.is_refused => pass += 1,
            read => return read,
        }
    }
}

/// How a comparison of the whole library ended.
#[derive(Debug)]
pub enum Verification {
    /// Every namespace was compared.
    Complete(Vec<LibraryDiff>),
    /// A listing could not be read to its end, with the cause.
    Incomplete(String),
}

/// Compares every namespace of the ledger, however many videos it holds.
pub async fn verify<T: Transport>(context: &Context<T>) -> Result<Verification, LedgerError> {
    match compare_and_doubt(context).await {
        Ok(library_diffs) => Ok(Verification::Complete(library_diffs)),
        Err(CompareError::Incomplete(incomplete)) => Ok(Verification::Incomplete(incomplete.cause)),
        Err(CompareError::Ledger(error)) => Err(error),
    }
}

/// The comparison of every namespace. Where one namespace alone shows nothing of it, a namespace without videos shows whether
/// the service ignores namespaces.
async fn compare_and_doubt<T: Transport>(context: &Context<T>) -> Result<Vec<LibraryDiff>, CompareError> {
    let mut library_diffs = compare(context, ListingBound::All).await?;
    let is_noticed = library_diffs.iter().any(|library_diff| library_diff.shared_with.is_some());
    if let Some(library_diff) = library_diffs.iter_mut().find(|library_diff| library_diff.listed > 0)
        && !is_noticed
        && !library_listing::page(context, UNUSED_NAMESPACE, 1).await?.videos.is_empty()
    {
        library_diff.shared_with = Some(UNUSED_NAMESPACE.to_owned());
    }
    Ok(library_diffs)
}

async fn compare_one<T: Transport>(
    context: &Context<T>,
    namespace: &str,
    listing: &Listing,
) -> Result<LibraryDiff, CompareError> {
    let mut library_diff = LibraryDiff::of(namespace);
    let mut bound = Vec::new();
    let owners = owners_of(context, listing).await?;
    let misbound = misbound(context, listing, &owners).await?;
    for (video, owner) in listing.videos.iter().zip(owners) {
        match (owner, misbound.get(&video.video_no)) {
            (VideoOwner::Surplus(item), Some(other)) => {
                library_diff.take_misbound(&video.video_no, item, other);
            }
            _ => library_diff.take_listed(&video.video_no, owner),
        }
        if matches!(owner, VideoOwner::Bound(_)) {
            bound.push(as_library_video(video, listing.served));
        }
    }
    for videos in bound.chunks(BATCH) {
        let own = videos.to_vec();
        for other in context.ledger.read(move |snapshot| snapshot.other_markers(&own)).await? {
            library_diff.take_other_marker(&other);
        }
    }
    let listed: HashMap<&VideoNo, IndexStatus> =
        listing.videos.iter().map(|video| (&video.video_no, video.status)).collect();
    let mut after = ItemId::numbered(0);
    let (mut asked, mut unlisted) = (0, 0);
    loop {
        let own = namespace.to_owned();
        let items = context.ledger.read(move |snapshot| snapshot.bound_items(&own, after, BATCH)).await?;
        let Some(last) = items.last() else {
            announce_unlisted(context, namespace, unlisted);
            return Ok(library_diff);
        };
        after = last.item;
        for item in &items {
            let status = listed.get(&item.video_no);
            let mut presence = match status {
                Some(IndexStatus::Failed) => ListingPresence::ListedFailed,
                Some(IndexStatus::Indexed) => ListingPresence::ListedIndexed,
                Some(IndexStatus::InProgress) => ListingPresence::Listed,
                None => ListingPresence::Missing,
            };
            if status.is_none() {
                // a deleted video is expected to be missing
                if item.state != State::Deleted && asked < SINGLY_MAX {
                    asked += 1;
                    if is_shown_singly(context, namespace, &item.video_no).await? {
                        presence = ListingPresence::ShownSingly;
                        unlisted += 1;
                    }
                }
            }
            library_diff.take_bound(item, presence);
        }
    }
}

/// The owner of each listed video. One that was replaced because it had failed or was deleted, and is searchable all the same, is a
/// second video of its item.
pub(super) async fn owners_of<T>(
    context: &Context<T>,
    listing: &Listing,
) -> Result<Vec<VideoOwner>, LedgerError> {
    let replaced = context.ledger.read(Snapshot::replaced_videos).await?;
    let mut owners = Vec::with_capacity(listing.videos.len());
    for videos in listing.videos.chunks(BATCH) {
        let listed: Vec<LibraryVideo> =
            videos.iter().map(|video| as_library_video(video, listing.served)).collect();
        let own = context.ledger.read(move |snapshot| snapshot.video_owners(&listed)).await?;
        for (video, owner) in videos.iter().zip(own) {
            let is_second = video.status == IndexStatus::Indexed && replaced.contains(&video.video_no);
            owners.push(if let (VideoOwner::Bound(item), true) = (owner, is_second) {
                VideoOwner::Surplus(item)
            } else {
                owner
            });
        }
    }
    Ok(owners)
}

/// Listed videos that carry the marker of a request of which the ledger has another video, which does not carry it: an answer named
/// the wrong video. Each with the video that the ledger has. Where both carry it, one request made two videos.
pub(super) async fn misbound<T>(
    context: &Context<T>,
    listing: &Listing,
    owners: &[VideoOwner],
) -> Result<HashMap<VideoNo, VideoNo>, LedgerError> {
    let is_surplus = |owner: &VideoOwner| matches!(owner, VideoOwner::Surplus(_));
    let surplus = || listing.videos.iter().zip(owners).filter(|(_, owner)| is_surplus(owner));
    let videos: Vec<LibraryVideo> =
        surplus().map(|(video, _)| as_library_video(video, listing.served)).collect();
    let numbers = context.ledger.read(move |snapshot| snapshot.bound_elsewhere(&videos)).await?;
    let wanted: HashSet<&VideoNo> = numbers.iter().flatten().collect();
    let bound: HashMap<&VideoNo, &ListedVideo> = listing
        .videos
        .iter()
        .filter(|video| wanted.contains(&video.video_no))
        .map(|video| (&video.video_no, video))
        .collect();
    let is_second = |video: &ListedVideo, number: &VideoNo| {
        let marker = video.tags.iter().find(|tag| is_marker(tag));
        bound.get(number).zip(marker).is_some_and(|(bound, marker)| {
            // a failed video never shows its tags
            bound.status == IndexStatus::Failed || bound.tags.contains(marker)
        })
    };
    let misbound = surplus().zip(&numbers).filter_map(|((video, _), number)| {
        let number = number.as_ref().filter(|number| !is_second(video, number))?;
        Some((video.video_no.clone(), number.clone()))
    });
    Ok(misbound.collect())
}

/// Says that a listing leaves out videos that are at the service.
fn announce_unlisted<T>(context: &Context<T>, namespace: &str, count: u64) {
    if count > 0 {
        let text = format!(
            "{namespace}: the listings leave out videos that the service shows by their numbers ({count}); others that they leave \
             out are not found"
        );
        context.emit(&Event::Message { text });
    }
}

/// Asks for one video that a listing does not show: it may exist all the same.
pub(super) async fn is_shown_singly<T: Transport>(
    context: &Context<T>,
    namespace: &str,
    video_no: &VideoNo,
) -> Result<bool, IncompleteListing> {
    let mut pass = 1;
    loop {
        let permit = context.read_permit(Priority::PollSingle).await;
        let permit = permit.map_err(|error| IncompleteListing::without_permit(&error))?;
        let slot = permit.slot();
        match context.api.metadata(permit, namespace, video_no).await {
            Ok(video) => {
                context.learn_read(slot);
                return Ok(video.is_some_and(|video| video.video_no == *video_no));
            }
            Err(error) => {
                let refusal = context.learn_read_fault(slot, &error);
                let is_refused = refusal.is_some();
                if is_refused || pass == PASSES_MAX {
                    return Err(IncompleteListing {
                        cause: format!("{video_no}: {error}"),
                        is_refused,
                        is_unreachable: false,
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

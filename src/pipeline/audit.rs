//! The service compared with the ledger: before anything is sent, when a run is over, and whole on demand.
//!
//! Before: a video that carries the marker of a request which this ledger does not know was sent by a newer state of
//! it, or by one that was lost; its row is not sent again. Afterwards: whatever breaks a promise is found, whoever broke
//! it.

use std::collections::HashSet;

use tokio_util::sync::CancellationToken;

use super::{
    doors::Doors,
    hire,
    listing::{self, Bound, Incomplete, Listing, Newest, Served},
};
use crate::{
    item::VideoNo,
    ledger::{BoundItem, BoundSight, ItemId, LedgerError, Owner, Parity, RunId, ShownVideo, SourceId},
    monitor::Notice,
    quota::Purpose,
    service::{IndexStatus, ListedVideo, Transport},
};

/// A comparison that nobody asked for reads no more pages than this…
const PAGES_AFFORDABLE: u32 = 10;
/// …which is as many videos.
pub(super) const AFFORDABLE: Bound = Bound::Videos(2_000);
/// A listing that is not complete is tried again so often.
const PASSES_MAX: u32 = 3;
/// Videos whose owner is asked for at a time.
pub(super) const BATCH: usize = 1_000;
/// Videos that no listing shows and that are asked for singly, at most: at one a second a few minutes.
const SINGLY_MAX: usize = 200;

/// Waits until something is to be sent, compares what is there with what is known, and lets sending begin.
pub(super) async fn clear_the_way<T: Transport>(
    doors: Doors<T>,
    (run, sources): (RunId, Vec<SourceId>),
    namespace: String,
    way_is_clear: CancellationToken,
) -> Result<(), LedgerError> {
    let drain = doors.signals.drain.clone();
    let compared = tokio::select! {
        biased;
        () = drain.cancelled() => Ok(()),
        compared = note_what_is_elsewhere(&doors, run, &sources, namespace) => compared,
    };
    way_is_clear.cancel();
    compared
}

async fn note_what_is_elsewhere<T: Transport>(
    doors: &Doors<T>,
    run: RunId,
    sources: &[SourceId],
    namespace: String,
) -> Result<(), LedgerError> {
    let is_jump_known = doors.ledger.is_jump_known(run).await?;
    loop {
        let changed = doors.signals.next_change();
        if doors.ledger.standing(run, sources.to_vec(), doors.clock.now()).await?.pending > 0 {
            break;
        }
        changed.await;
    }
    let mut namespaces = doors.ledger.namespaces().await?;
    if !namespaces.contains(&namespace) {
        namespaces.push(namespace);
    }
    let mut served_at = None;
    let mut is_past_news = false;
    for namespace in namespaces {
        let Newest { videos, total, served } =
            match listing::read_newest(doors, &namespace, PAGES_AFFORDABLE).await {
                Ok(read) => read,
                Err(Incomplete { is_refused: true, .. }) => continue,
                Err(Incomplete { cause, .. }) => {
                    let text = format!("{namespace}: not compared with the ledger before sending ({cause})");
                    doors.say(&Notice::Said { text });
                    continue;
                }
            };
        served_at = served.theirs.or(served_at);
        if (videos.len() as u64) < total {
            let text = format!(
                "{namespace}: the newest {} of {total} videos were compared with the ledger; \
                 telecine verify compares all",
                videos.len()
            );
            doors.say(&Notice::Said { text });
        }
        let mut elsewhere = Vec::new();
        for videos in videos.chunks(BATCH) {
            let shown: Vec<ShownVideo> = videos.iter().map(|video| shown(video, served)).collect();
            let owners = doors.ledger.owners(shown.clone()).await?;
            let unknown = shown.into_iter().zip(owners).filter(|(_, owner)| *owner == Owner::Elsewhere);
            elsewhere.extend(unknown.map(|(video, _)| video));
        }
        if !elsewhere.is_empty() {
            let text = format!(
                "{namespace}: {} videos carry markers this ledger does not know; their rows are not sent from here",
                elsewhere.len()
            );
            doors.say(&Notice::Said { text });
            doors.ledger.note_elsewhere(elsewhere).await?;
            is_past_news = true;
        }
    }
    if !is_jump_known {
        hire::learn_the_jump(doors, run, served_at).await?;
    }
    if is_past_news || !is_jump_known {
        hire::retell(doors, run).await?;
    }
    Ok(())
}

/// Compares every namespace of the ledger. Those with more videos than the bound are left out.
pub(super) async fn compare<T: Transport>(
    doors: &Doors<T>,
    bound: Bound,
) -> Result<Result<Vec<Parity>, Incomplete>, LedgerError> {
    let mut parities = Vec::new();
    for namespace in doors.ledger.namespaces().await? {
        match read(doors, &namespace, bound).await {
            Ok(Some(listing)) => match compare_one(doors, &namespace, &listing).await? {
                Ok(parity) => parities.push(parity),
                Err(incomplete) => return Ok(Err(incomplete)),
            },
            Ok(None) => {}
            Err(incomplete) => return Ok(Err(incomplete)),
        }
    }
    Ok(Ok(parities))
}

pub(super) async fn read<T: Transport>(
    doors: &Doors<T>,
    namespace: &str,
    bound: Bound,
) -> Result<Option<Listing>, Incomplete> {
    let mut pass = 1;
    loop {
        match listing::read_whole(doors, namespace, bound).await {
            Err(incomplete) if pass < PASSES_MAX && !incomplete.is_refused => pass += 1,
            read => return read,
        }
    }
}

/// Compares every namespace of the ledger, whatever it takes.
pub async fn verify<T: Transport>(doors: &Doors<T>) -> Result<Result<Vec<Parity>, String>, LedgerError> {
    Ok(compare(doors, Bound::None).await?.map_err(|incomplete| incomplete.cause))
}

async fn compare_one<T: Transport>(
    doors: &Doors<T>,
    namespace: &str,
    listing: &Listing,
) -> Result<Result<Parity, Incomplete>, LedgerError> {
    let mut parity = Parity::of(namespace);
    for videos in listing.videos.chunks(BATCH) {
        let owners =
            doors.ledger.owners(videos.iter().map(|video| shown(video, listing.served)).collect()).await?;
        for (video, owner) in videos.iter().zip(owners) {
            parity.take_listed(&video.video_no, owner);
        }
    }
    let listed: HashSet<&VideoNo> = listing.videos.iter().map(|video| &video.video_no).collect();
    let mut after = ItemId::numbered(0);
    let mut asked = 0;
    loop {
        let items = doors.ledger.bound_items(namespace.to_owned(), after, BATCH).await?;
        let Some(last) = items.last() else { return Ok(Ok(parity)) };
        after = last.item;
        for item in &items {
            let mut sight = BoundSight::Shown;
            if !listed.contains(&item.video_no) {
                asked += 1;
                sight = match look_singly(doors, namespace, item, asked).await {
                    Ok(sight) => sight,
                    Err(incomplete) => return Ok(Err(incomplete)),
                };
            }
            parity.take_bound(item, sight);
        }
    }
}

/// A video that a listing does not show may be there all the same.
async fn look_singly<T: Transport>(
    doors: &Doors<T>,
    namespace: &str,
    item: &BoundItem,
    asked: usize,
) -> Result<BoundSight, Incomplete> {
    if asked > SINGLY_MAX {
        return Ok(BoundSight::Missing);
    }
    let mut pass = 1;
    loop {
        // a ledger that takes nothing any more ends the run through whoever asks it next
        let permit = doors
            .read_permit(Purpose::WatchSingly)
            .await
            .map_err(|fault| Incomplete { cause: fault.to_string(), is_refused: true })?;
        let slot = permit.slot();
        match doors.service.metadata(permit, namespace, &item.video_no).await {
            Ok(video) => {
                doors.learn_read(slot);
                let is_shown = video.is_some_and(|video| video.video_no == item.video_no);
                return Ok(if is_shown { BoundSight::Shown } else { BoundSight::Missing });
            }
            Err(fault) => {
                let is_refused = doors.learn_read_fault(slot, &fault).is_some();
                if is_refused || pass == PASSES_MAX {
                    return Err(Incomplete { cause: format!("{}: {fault}", item.video_no), is_refused });
                }
                pass += 1;
            }
        }
    }
}

/// A listed video as the ledger recognises it.
pub(super) fn shown(video: &ListedVideo, served: Served) -> ShownVideo {
    ShownVideo {
        video_no: video.video_no.clone(),
        shows_tags: video.status == IndexStatus::Indexed && !video.tags.is_empty(),
        tags: video.tags.clone(),
        made_by: served.ours(video.created_at),
    }
}

//! Deletes videos at the service by order, one batch at a time.
//!
//! The ledger has the order before the service is asked. The service answers unknown numbers as deleted, so its answer proves
//! nothing: a video is gone when a listing does not show it any more. The same work may be done again at any point: a request
//! to delete does no harm twice.

use std::{collections::HashMap, time::Duration};

use super::{
    context::{Context, ReadRefusal},
    library_check,
    library_listing::{self, IncompleteListing},
};
use crate::{
    api::{IndexStatus, ListedVideo, ReadError, Transport, VIDEO_NOS_MAX},
    domain::{StopReason, VideoNo},
    ledger::{DeletionOrder, DeletionTask, ItemId, LedgerError, RunId, is_marker},
    quota::Priority,
};

/// Control videos, which stay and are asked for beside those of a batch, so that an empty listing is noticed.
const CONTROLS_MAX: usize = 5;
/// Videos in one request.
pub const DELETION_BATCH: usize = VIDEO_NOS_MAX - CONTROLS_MAX;
/// The waits between a request to delete and the listing after it. While it shows a video, that one is asked for again.
const LIST_AFTER: [Duration; 3] = [Duration::ZERO, Duration::from_secs(10), Duration::from_mins(1)];
/// Where no video must be listed, a second listing after this time must agree.
const SECOND_LISTING_AFTER: Duration = Duration::from_secs(10);
/// Refusals in a row after which the work is left to the next call.
const ASKS_MAX: u32 = 8;
/// A video that no listing has shown may appear in this time after its acceptance.
const MAY_APPEAR_WITHIN: Duration = Duration::from_mins(30);

/// How a batch ended.
#[derive(Debug, Default)]
pub struct DeletionBatchEnd {
    /// Listings prove that these are gone.
    pub gone: Vec<VideoNo>,
    /// Ordered, and not proven to be gone, with what is known.
    pub open: Vec<UnfinishedDeletion>,
    /// Not ordered, with the reason.
    pub kept: Vec<UnfinishedDeletion>,
    /// Why nothing more can be done now. `None`: the next batch can begin.
    pub stop: Option<DeletionStop>,
}

/// A video that is not proven to be gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnfinishedDeletion {
    pub video_no: VideoNo,
    pub item: ItemId,
    pub cause: String,
    /// Whether the service still shows it after it was asked to delete it.
    pub is_ignored: bool,
}

/// Why deletions stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeletionStop {
    /// No request can succeed until the operator acts.
    Refused { reason: StopReason, cause: String },
    /// The same command may succeed later.
    Later { cause: String },
}

impl From<IncompleteListing> for DeletionStop {
    fn from(incomplete: IncompleteListing) -> Self {
        match incomplete.refusal {
            Some(ReadRefusal { reason, cause }) => Self::Refused { reason, cause },
            None => Self::Later { cause: incomplete.cause },
        }
    }
}

/// What a listing shows of a batch.
#[derive(Debug, Default)]
struct BatchListing {
    shown: HashMap<VideoNo, ListedVideo>,
    absence: Absence,
}

/// What it means that a listing does not show a video.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Absence {
    /// Nothing: a control video is missing, too.
    #[default]
    Unproven,
    /// The video is gone: the listing shows a control video, or there is none and a second listing agrees.
    Proven,
    /// No control video was ever listed: the video is gone if a single read does not show it either.
    NeedsSingleRead,
}

/// Deletes the videos of one batch, of one namespace. `made_by` is the run whose videos are deleted: none of them is
/// a control video.
pub async fn delete_batch<T: Transport>(
    context: &Context<T>,
    order: &DeletionOrder,
    made_by: RunId,
    namespace: &str,
    tasks: Vec<DeletionTask>,
) -> Result<DeletionBatchEnd, LedgerError> {
    let own = namespace.to_owned();
    let controls =
        context.ledger.read(move |snapshot| snapshot.kept_videos(&own, made_by, CONTROLS_MAX)).await?;
    let mut batch = Batch { context, namespace, controls, was_control_seen: false };
    let mut end = DeletionBatchEnd::default();
    let before = match batch.list(&tasks).await {
        Ok(listing) => listing,
        Err(stop) => {
            end.open = unfinished(tasks.iter().filter(|task| task.is_ordered), "not tried yet", None);
            end.stop = Some(stop);
            return Ok(end);
        }
    };
    batch.was_control_seen = batch.shows_control(&before);
    let mut open = Vec::with_capacity(tasks.len());
    for mut task in tasks {
        match objection(&task, before.shown.get(&task.video_no)) {
            // what is ordered already may be half done
            Some(cause) if !task.is_ordered => {
                end.kept.extend(unfinished([&task].into_iter(), cause, None));
            }
            Some(_) | None => {
                task.was_listed |= before.shown.contains_key(&task.video_no);
                open.push(task);
            }
        }
    }
    if !open.is_empty() {
        let (order, own, ordered) = (order.clone(), namespace.to_owned(), open.clone());
        let at = context.clock.now();
        context.ledger.write(move |store| store.order_deletions(&order, &own, &ordered, at)).await?;
    }
    batch.ask_and_list(open, before, &mut end).await?;
    Ok(end)
}

struct Batch<'a, T> {
    context: &'a Context<T>,
    namespace: &'a str,
    controls: Vec<VideoNo>,
    was_control_seen: bool,
}

impl<T: Transport> Batch<'_, T> {
    /// Asks for the deletion until listings prove it, a few times.
    async fn ask_and_list(
        &self,
        mut open: Vec<DeletionTask>,
        mut listing: BatchListing,
        end: &mut DeletionBatchEnd,
    ) -> Result<(), LedgerError> {
        let mut waits = LIST_AFTER.into_iter();
        loop {
            // what an earlier call has deleted is not asked for again
            self.prove(&mut open, &listing, end).await?;
            let next = if end.stop.is_some() || open.is_empty() { None } else { waits.next() };
            let Some(wait) = next else { break };
            if let Some(stop) = self.ask(&open).await? {
                end.stop = Some(stop);
                continue;
            }
            self.context.clock.sleep(wait).await;
            match self.list(&open).await {
                Ok(after) => listing = after,
                Err(stop) => end.stop = Some(stop),
            }
        }
        let unproven = "no listing proves yet that it is gone";
        end.open = unfinished(open.iter(), unproven, end.stop.is_none().then_some(&listing));
        Ok(())
    }

    /// Records the videos that are gone by this listing, and moves them from `open` to `end`, or sets its stop.
    async fn prove(
        &self,
        open: &mut Vec<DeletionTask>,
        listing: &BatchListing,
        end: &mut DeletionBatchEnd,
    ) -> Result<(), LedgerError> {
        let now = self.context.clock.now();
        let mut gone = Vec::new();
        for task in &*open {
            if listing.shown.contains_key(&task.video_no) || listing.absence == Absence::Unproven {
                continue;
            }
            if !task.was_listed && task.accepted_by.plus(MAY_APPEAR_WITHIN) > now {
                continue;
            }
            if !task.was_listed || listing.absence == Absence::NeedsSingleRead {
                match library_check::is_shown_singly(self.context, self.namespace, &task.video_no).await {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(incomplete) => {
                        end.stop = Some(incomplete.into());
                        break;
                    }
                }
            }
            gone.push(task.video_no.clone());
        }
        open.retain(|task| !gone.contains(&task.video_no));
        if !gone.is_empty() {
            let (proven, at) = (gone.clone(), self.context.clock.now());
            self.context.ledger.write(move |store| store.prove_deletions(&proven, at)).await?;
        }
        end.gone.extend(gone);
        Ok(())
    }

    /// Makes one request to delete, again while it is refused for now. `None`: it was accepted, or may have been.
    async fn ask(&self, open: &[DeletionTask]) -> Result<Option<DeletionStop>, LedgerError> {
        let numbers: Vec<&VideoNo> = open.iter().map(|task| &task.video_no).collect();
        let mut cause = String::new();
        for _ in 0..ASKS_MAX {
            let permit = self.context.read_permit(Priority::Delete).await?;
            let slot = permit.slot();
            match self.context.api.delete_videos(permit, self.namespace, &numbers).await {
                Ok(()) => {
                    self.context.learn_read(slot);
                    return Ok(None);
                }
                Err(error) => {
                    if let Some(ReadRefusal { reason, cause }) = self.context.learn_read_fault(slot, &error) {
                        return Ok(Some(DeletionStop::Refused { reason, cause }));
                    }
                    match error {
                        // it may have been carried out: the listing says
                        ReadError::Unclear { .. } => return Ok(None),
                        ReadError::RefusedForNow { .. } => {
                            "the service refuses to delete for now".clone_into(&mut cause);
                        }
                        ReadError::NotSent { .. } | ReadError::StopRun { .. } => cause = error.to_string(),
                    }
                }
            }
        }
        Ok(Some(DeletionStop::Later { cause }))
    }

    /// Lists the videos by their numbers. Where no control video was ever listed, it lists them twice.
    async fn list(&self, tasks: &[DeletionTask]) -> Result<BatchListing, DeletionStop> {
        let mut listing = self.list_once(tasks).await?;
        let has_all = tasks.iter().all(|task| listing.shown.contains_key(&task.video_no));
        if has_all || self.shows_control(&listing) {
            listing.absence = Absence::Proven;
        } else if !self.was_control_seen {
            self.context.clock.sleep(SECOND_LISTING_AFTER).await;
            listing.shown.extend(self.list_once(tasks).await?.shown);
            let is_proven = self.controls.is_empty() || self.shows_control(&listing);
            listing.absence = if is_proven { Absence::Proven } else { Absence::NeedsSingleRead };
        }
        Ok(listing)
    }

    async fn list_once(&self, tasks: &[DeletionTask]) -> Result<BatchListing, DeletionStop> {
        let numbers: Vec<&VideoNo> = tasks.iter().map(|task| &task.video_no).chain(&self.controls).collect();
        let videos = match library_listing::read_numbers(self.context, self.namespace, &numbers).await {
            Ok(videos) => videos,
            Err(incomplete) if incomplete.is_refused => return Err(incomplete.into()),
            // a service that does not filter by number shows them in the whole listing
            Err(_) => library_listing::read(self.context, self.namespace, None, &[]).await?.videos,
        };
        let is_meant = |video: &ListedVideo| numbers.contains(&&video.video_no);
        let shown = videos.into_iter().filter(is_meant).map(|video| (video.video_no.clone(), video));
        Ok(BatchListing { shown: shown.collect(), absence: Absence::Unproven })
    }

    fn shows_control(&self, listing: &BatchListing) -> bool {
        self.controls.iter().any(|control| listing.shown.contains_key(control))
    }
}

/// Why a video is not deleted, by what the service shows of it now. `None`: nothing is against it.
fn objection(task: &DeletionTask, shown: Option<&ListedVideo>) -> Option<&'static str> {
    let tags = match shown {
        Some(video) if video.status == IndexStatus::Indexed => video.tags.as_slice(),
        Some(_) | None => &[],
    };
    let has_own = task.marker.as_ref().is_some_and(|marker| tags.contains(marker));
    if has_own {
        return None;
    }
    if tags.iter().any(|tag| is_marker(tag)) {
        return Some("the service shows the marker of another request on it");
    }
    task.needs_marker.then_some(
        "it was bound to its row without a marker, and the service shows no marker of its request: nothing proves whose it is",
    )
}

/// Videos that are not proven to be gone. `listing` is the last one, after the service was asked.
fn unfinished<'a>(
    tasks: impl Iterator<Item = &'a DeletionTask>,
    cause: &str,
    listing: Option<&BatchListing>,
) -> Vec<UnfinishedDeletion> {
    let is_ignored =
        |task: &DeletionTask| listing.is_some_and(|listing| listing.shown.contains_key(&task.video_no));
    let one = |task: &DeletionTask| UnfinishedDeletion {
        video_no: task.video_no.clone(),
        item: task.item,
        cause: if is_ignored(task) {
            "the service still shows it after it was asked to delete it".to_owned()
        } else {
            cause.to_owned()
        },
        is_ignored: is_ignored(task),
    };
    tasks.map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::UnixMillis;

    #[test]
    fn a_marker_on_the_video_decides_whether_it_may_be_deleted() {
        let own = "telecine:000000000000000000000001-00000000000000aa";
        let other = "telecine:000000000000000000000002-00000000000000bb";
        let task = |needs_marker| DeletionTask {
            video_no: VideoNo::parse("VI123456").unwrap(),
            item: ItemId::numbered(1),
            attempt: None,
            marker: Some(own.to_owned()),
            needs_marker,
            accepted_by: UnixMillis(0),
            is_ordered: false,
            was_listed: false,
        };
        let video = |status, tags: &[&str]| ListedVideo {
            video_no: VideoNo::parse("VI123456").unwrap(),
            status,
            created_at: None,
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            cause: None,
        };
        let may_go = |needs_marker, shown: Option<ListedVideo>| {
            objection(&task(needs_marker), shown.as_ref()).is_none()
        };
        let indexed = |tags: &[&str]| Some(video(IndexStatus::Indexed, tags));
        // the answer to its request has named it
        assert!(may_go(false, None) && may_go(false, indexed(&[])) && may_go(false, indexed(&["a", own])));
        assert!(!may_go(false, indexed(&[other])), "another request made it");
        // only elimination or a human has
        assert!(may_go(true, indexed(&["a", own])));
        assert!(!may_go(true, None) && !may_go(true, indexed(&["a"])) && !may_go(true, indexed(&[other])));
        assert!(!may_go(true, Some(video(IndexStatus::InProgress, &[]))));
    }
}

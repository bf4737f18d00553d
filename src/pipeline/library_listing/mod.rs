//! Listings of the service: complete ones, in which the absence of a video is evidence, and those of some video numbers.

mod pages;

use pages::{PageStep, Pages};

use super::context::{Context, ReadRefusal};
use crate::{
    api::{ListPage, ListedVideo, PAGE_SIZE_MAX, ReadError, Transport},
    domain::{UnixMillis, VideoNo},
    events::Event,
    ledger::{ControlVideo, LedgerError},
    quota::{PermitSlot, Priority},
};

/// Pages read at most; a namespace with more is not listed whole.
const PAGES_MAX: u32 = 20_000;

/// How often a page is requested before the listing is given up.
const PAGE_TRIES_MAX: u32 = 3;

/// When a page was served, by both clocks. It converts the creation time of a video to our clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ServedAt {
    /// By the service's clock. `None`: it does not say.
    pub(super) theirs: Option<UnixMillis>,
    /// By our clock: the latest possible time.
    pub(super) ours_by: UnixMillis,
}

impl ServedAt {
    /// The latest time by our clock at which a video can have been made that the service made at `created_at` by its own.
    pub(super) fn ours(self, created_at: Option<UnixMillis>) -> UnixMillis {
        let age_ms = self.theirs.zip(created_at).map_or(0, |(now, then)| now.since_ms(then).max(0));
        self.ours_by.plus_ms(-age_ms)
    }
}

/// Every video of a namespace that was made at or after a time, and perhaps some older ones.
#[derive(Debug)]
pub(super) struct Listing {
    /// When the first page was requested.
    pub(super) begun_at: UnixMillis,
    /// When that page was served.
    pub(super) served: ServedAt,
    pub(super) videos: Vec<ListedVideo>,
    /// Whether it showed a video that is known to be there.
    pub(super) control_video_seen: ControlVideoSeen,
    /// Control videos of the time it covers that it does not show: they were deleted, or it leaves out others as well.
    pub(super) unseen_controls: Vec<VideoNo>,
}

/// Whether a listing showed a control video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ControlVideoSeen {
    /// It showed a video that the service had accepted long enough before.
    Yes,
    /// No video could be expected, or it was not listed: absence proves nothing.
    No,
}

/// Why the library could not be compared with the ledger.
#[derive(Debug)]
pub(super) enum CompareError {
    Incomplete(IncompleteListing),
    Ledger(LedgerError),
}

impl From<IncompleteListing> for CompareError {
    fn from(incomplete: IncompleteListing) -> Self {
        Self::Incomplete(incomplete)
    }
}

impl From<LedgerError> for CompareError {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

/// A listing in which the absence of a video proves nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct IncompleteListing {
    pub(super) cause: String,
    /// Whether trying again is of no use.
    pub(super) is_refused: bool,
    /// Whether the service was not reached.
    pub(super) is_unreachable: bool,
    /// Why no read can succeed until the operator acts, if so.
    pub(super) refusal: Option<ReadRefusal>,
}

impl IncompleteListing {
    /// A read that the ledger did not allow. The next stage that uses the ledger reports the error.
    pub(super) fn without_permit(error: &LedgerError) -> Self {
        Self { is_refused: true, ..incomplete(error.to_string()) }
    }
}

fn incomplete(cause: impl Into<String>) -> IncompleteListing {
    IncompleteListing { cause: cause.into(), is_refused: false, is_unreachable: false, refusal: None }
}

/// A page that was not received. If the service refuses all reads, the poll stage ends the run.
fn failed<T>(context: &Context<T>, slot: PermitSlot, number: u32, error: &ReadError) -> IncompleteListing {
    let refusal = context.learn_read_fault(slot, error);
    let is_unreachable = matches!(error, ReadError::NotSent { .. });
    let is_refused = refusal.is_some() || is_unreachable;
    let cause = if is_unreachable { error.to_string() } else { format!("page {number}: {error}") };
    IncompleteListing { cause, is_refused, is_unreachable, refusal }
}

/// How many videos of a namespace to read at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListingBound {
    /// All, however many there are.
    All,
    /// None, if the first page reports more than this.
    IfAtMost(u64),
}

/// Every video of a namespace, from the first. `None`: there are more than the bound.
pub(super) async fn read_whole<T: Transport>(
    context: &Context<T>,
    namespace: &str,
    bound: ListingBound,
) -> Result<Option<Listing>, IncompleteListing> {
    if let ListingBound::IfAtMost(count_max) = bound {
        let page = page(context, namespace, 1).await?;
        if page.total_count.is_none_or(|total| total > count_max) {
            return Ok(None);
        }
    }
    read(context, namespace, None, &[]).await.map(Some)
}

/// How far the newest videos of a namespace were read.
#[derive(Debug, Default)]
pub(super) struct NewestVideos {
    /// How many were read.
    pub(super) read: u64,
    /// How many there are.
    pub(super) total: u64,
    /// When the last page was served.
    pub(super) served: ServedAt,
    /// The videos of the first page.
    pub(super) first: Vec<ListedVideo>,
}

/// One page, requested again when it is not received.
pub(super) async fn page<T: Transport>(
    context: &Context<T>,
    namespace: &str,
    number: u32,
) -> Result<ListPage, IncompleteListing> {
    requested(context, namespace, PageOf::Namespace(number)).await
}

/// The videos of these numbers that a namespace has, at most [`VIDEO_NOS_MAX`](crate::api::VIDEO_NOS_MAX).
pub(super) async fn read_numbers<T: Transport>(
    context: &Context<T>,
    namespace: &str,
    numbers: &[&VideoNo],
) -> Result<Vec<ListedVideo>, IncompleteListing> {
    let page = requested(context, namespace, PageOf::Numbers(numbers)).await?;
    if page.unreadable > 0 {
        return Err(incomplete("a page holds entries that cannot be read"));
    }
    if page.total_count.is_some_and(|total| total != page.videos.len() as u64) {
        return Err(incomplete("a page states another total than it shows"));
    }
    if page.videos.iter().any(|video| !numbers.contains(&&video.video_no)) {
        return Err(incomplete("a page shows other videos than those that were asked for"));
    }
    Ok(page.videos)
}

/// Which videos a page is to show.
#[derive(Clone, Copy)]
enum PageOf<'a> {
    /// The page of this number of all videos.
    Namespace(u32),
    /// The videos of these numbers.
    Numbers(&'a [&'a VideoNo]),
}

/// A page, requested again when it is not received.
async fn requested<T: Transport>(
    context: &Context<T>,
    namespace: &str,
    of: PageOf<'_>,
) -> Result<ListPage, IncompleteListing> {
    let number = match of {
        PageOf::Namespace(number) => number,
        PageOf::Numbers(_) => 1,
    };
    let mut tries = 0;
    loop {
        let permit = context.read_permit(Priority::Reconcile).await;
        let permit = permit.map_err(|error| IncompleteListing::without_permit(&error))?;
        let slot = permit.slot();
        let page = match of {
            PageOf::Namespace(number) => context.api.list_page(permit, namespace, number).await,
            PageOf::Numbers(numbers) => context.api.list_videos(permit, namespace, numbers).await,
        };
        match page {
            Ok(page) => {
                context.learn_read(slot);
                return Ok(page);
            }
            Err(error) => {
                let failed = failed(context, slot, number, &error);
                tries += 1;
                if tries >= PAGE_TRIES_MAX || failed.is_refused {
                    return Err(failed);
                }
            }
        }
    }
}

/// Says how many pages of a namespace were compared. `pages_max` are read at most.
pub(super) fn announce_page<T>(context: &Context<T>, namespace: &str, page: u32, total: u64, pages_max: u32) {
    let pages =
        u32::try_from(total.div_ceil(u64::from(PAGE_SIZE_MAX))).unwrap_or(u32::MAX).min(pages_max).max(page);
    context.emit(&Event::Comparing { namespace: namespace.to_owned(), page, pages });
}

/// The videos that were made since a time, or all without one, read back to the newest of these control videos.
pub(super) async fn read<T: Transport>(
    context: &Context<T>,
    namespace: &str,
    since: Option<UnixMillis>,
    control_videos: &[ControlVideo],
) -> Result<Listing, IncompleteListing> {
    // evidence is sought in the newest part of a listing, and a comparison reads all of it
    let is_comparison = since.is_none() && control_videos.is_empty();
    // reading goes back to the newest control video
    let newest = control_videos.iter().find_map(|control_video| control_video.uploaded_at);
    let asked_since = since.unwrap_or_default();
    let since = match (since, newest) {
        (Some(since), Some(newest)) => since.min(newest),
        (since, _) => since.unwrap_or_default(),
    };
    let mut pages = Pages::new();
    let mut begun_at = None;
    let mut served = None;
    for number in 1..=PAGES_MAX {
        // the permit may be waited for: what was accepted until then is no younger than this time
        let begun_at = *begun_at.get_or_insert(context.clock.now());
        let page = page(context, namespace, number).await?;
        let served = *served.get_or_insert(ServedAt { theirs: page.served_at, ours_by: context.clock.now() });
        if is_comparison {
            announce_page(context, namespace, number, page.total_count.unwrap_or(0), PAGES_MAX);
        }
        if pages.take(page, since)? == PageStep::Done {
            return Ok(pages.into_listing(begun_at, served, asked_since, control_videos));
        }
    }
    Err(incomplete(format!("more than {PAGES_MAX} pages")))
}

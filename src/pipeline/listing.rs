//! Reads complete listings (pagination), in which the absence of a video is evidence.
//!
//! Pages are counted from the newest video. Uploads meanwhile push videos down: they repeat, which is harmless.
//! Deletions pull videos up: they are skipped, which is not. A listing is complete only when every page arrived, none
//! was short, and the total never fell.

use std::collections::HashSet;

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

/// Pages in a row may repeat those before them, because uploads meanwhile push videos down. More mean that the service does not
/// turn the page.
const REPEATED_MAX: u32 = 3;

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
    /// All videos.
    None,
    /// No videos, if the first page reports more than this.
    Videos(u64),
}

/// Every video of a namespace, from the first. `None`: there are more than the bound.
pub(super) async fn read_whole<T: Transport>(
    context: &Context<T>,
    namespace: &str,
    bound: ListingBound,
) -> Result<Option<Listing>, IncompleteListing> {
    if let ListingBound::Videos(count_max) = bound {
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
        // the next stage that uses the ledger reports the error
        let permit = context.read_permit(Priority::Reconcile).await.map_err(|error| IncompleteListing {
            cause: error.to_string(),
            is_refused: true,
            is_unreachable: false,
            refusal: None,
        })?;
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

/// What the pages have shown so far.
#[derive(Default)]
struct Pages {
    seen: HashSet<VideoNo>,
    videos: Vec<ListedVideo>,
    first_len: usize,
    /// The total that the first page named.
    first_total: Option<u64>,
    total: u64,
    is_descending: bool,
    is_ascending: bool,
    last_created_at: Option<UnixMillis>,
    past_since: u32,
    /// Pages in a row without a video that was not on a page before.
    repeated: u32,
}

#[derive(Debug, PartialEq, Eq)]
enum PageStep {
    Page,
    Done,
}

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
    let mut pages = Pages { is_descending: true, is_ascending: true, ..Pages::default() };
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
            let (seen, unseen): (Vec<&ControlVideo>, Vec<_>) =
                control_videos.iter().partition(|control| pages.seen.contains(&control.video_no));
            let control_video_seen =
                if seen.is_empty() { ControlVideoSeen::No } else { ControlVideoSeen::Yes };
            let is_whole = pages.seen.len() as u64 == pages.total;
            let is_covered = |control: &&&ControlVideo| {
                is_whole || control.uploaded_at.is_some_and(|timestamp| timestamp >= asked_since)
            };
            let unseen_controls =
                unseen.iter().filter(is_covered).map(|control| control.video_no.clone()).collect();
            return Ok(Listing {
                begun_at,
                served,
                videos: pages.videos,
                control_video_seen,
                unseen_controls,
            });
        }
    }
    Err(incomplete(format!("more than {PAGES_MAX} pages")))
}

impl Pages {
    /// Adds one page. Returns whether another is needed.
    fn take(&mut self, page: ListPage, since: UnixMillis) -> Result<PageStep, IncompleteListing> {
        if page.unreadable > 0 {
            return Err(incomplete("a page holds entries that cannot be read"));
        }
        let total = page.total_count.ok_or_else(|| incomplete("a page states no total"))?;
        if total < self.total {
            return Err(incomplete("the total fell while reading: something was deleted"));
        }
        self.total = total;
        let len = page.videos.len();
        if self.first_len == 0 {
            self.first_len = len;
        }
        let is_past_since =
            self.is_descending && self.last_created_at.is_some_and(|timestamp| timestamp < since);
        let known = self.seen.len();
        for video in page.videos {
            self.check_order(video.created_at);
            if self.seen.insert(video.video_no.clone()) {
                self.videos.push(video);
            }
        }
        if self.seen.len() as u64 > total {
            return Err(incomplete("there are more videos than the total says"));
        }
        // uploads meanwhile are before the first page or behind the last, so a full count covers the videos
        // of the first page
        let first_total = *self.first_total.get_or_insert(total);
        let seen = self.seen.len() as u64;
        let is_ordered = self.is_descending || self.is_ascending;
        let has_all = seen == total || (is_ordered && seen >= first_total);
        fail::fail_point!("incomplete_listing_accepted", !has_all, |_| Ok(PageStep::Done));
        if len == 0 && !has_all {
            return Err(incomplete(format!("the pages end after {} of {total} videos", self.seen.len())));
        }
        self.repeated = if self.seen.len() > known { 0 } else { self.repeated + 1 };
        if self.repeated > REPEATED_MAX && !has_all {
            return Err(incomplete(format!("the pages repeat {} of {total} videos", self.seen.len())));
        }
        // behind a full page there may be others, although the total says that there are none
        let is_full = page.page_size.is_some_and(|size| len as u64 >= size);
        if has_all && is_full && self.repeated == 0 {
            return Ok(PageStep::Page);
        }
        // the page behind the first one that is wholly too old was read for the seam
        self.past_since += u32::from(is_past_since && self.is_descending);
        if has_all || self.past_since >= 1 {
            return Ok(PageStep::Done);
        }
        if len < self.first_len {
            return Err(incomplete("a page in the middle is short"));
        }
        Ok(PageStep::Page)
    }

    fn check_order(&mut self, created_at: Option<UnixMillis>) {
        let (falls, rises) = match (self.last_created_at, created_at) {
            (_, None) => (false, false),
            (None, Some(_)) => (true, true),
            (Some(last), Some(own)) => (own <= last, own >= last),
        };
        self.is_descending &= falls;
        self.is_ascending &= rises;
        self.last_created_at = created_at.or(self.last_created_at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::IndexStatus;

    fn page(created: &[i64], total: u64) -> ListPage {
        let video = |timestamp: &i64| ListedVideo {
            video_no: VideoNo::parse(&format!("VI{timestamp:06}")).unwrap(),
            status: IndexStatus::InProgress,
            created_at: Some(UnixMillis(*timestamp)),
            tags: Vec::new(),
            cause: None,
        };
        ListPage {
            videos: created.iter().map(video).collect(),
            total_count: Some(total),
            ..ListPage::default()
        }
    }

    fn read_pages(pages: &[ListPage], since: i64) -> Result<(PageStep, usize), IncompleteListing> {
        let mut read = Pages { is_descending: true, is_ascending: true, ..Pages::default() };
        let mut next = PageStep::Page;
        for (number, page) in pages.iter().enumerate() {
            next = read.take(page.clone(), UnixMillis(since))?;
            if next == PageStep::Done {
                return Ok((next, number + 1));
            }
        }
        Ok((next, pages.len()))
    }

    #[test]
    fn a_video_is_dated_by_our_clock_whatever_the_services_says() {
        let served = ServedAt { theirs: Some(UnixMillis(1_000_000)), ours_by: UnixMillis(9_000_000) };
        assert_eq!(served.ours(Some(UnixMillis(940_000))), UnixMillis(8_940_000), "a minute ago");
        assert_eq!(served.ours(Some(UnixMillis(2_000_000))), served.ours_by, "never in the future");
        let undated = ServedAt { theirs: None, ..served };
        assert_eq!(undated.ours(Some(UnixMillis(940_000))), served.ours_by, "as if it were now");
    }

    #[test]
    fn a_listing_is_complete_when_everything_was_seen() {
        assert_eq!(read_pages(&[page(&[], 0)], 0), Ok((PageStep::Done, 1)));
        assert_eq!(read_pages(&[page(&[9, 8], 3), page(&[7], 3)], 0), Ok((PageStep::Done, 2)));
        // an upload meanwhile pushes one video onto the next page, and is before the first page
        assert_eq!(
            read_pages(&[page(&[9, 8], 4), page(&[8, 7], 5), page(&[6], 5)], 0),
            Ok((PageStep::Done, 3))
        );
        // oldest first it is behind the last
        assert_eq!(read_pages(&[page(&[6, 7], 4), page(&[8, 9], 5)], 0), Ok((PageStep::Done, 2)));
        // without an order its position is unknown
        assert!(read_pages(&[page(&[8, 9, 6], 4), page(&[7], 5)], 0).is_err());
        assert_eq!(read_pages(&[page(&[9, 8], 3), page(&[8, 7], 3)], 0), Ok((PageStep::Done, 2)));
    }

    #[test]
    fn a_full_page_is_followed_by_the_next_one_whatever_the_total_says() {
        let full = |created: &[i64], total: u64| ListPage { page_size: Some(2), ..page(created, total) };
        assert_eq!(read_pages(&[full(&[9, 8], 2)], 0), Ok((PageStep::Page, 1)));
        assert_eq!(read_pages(&[full(&[9, 8], 2), full(&[], 2)], 0), Ok((PageStep::Done, 2)));
        assert_eq!(read_pages(&[full(&[9, 8], 3), full(&[7], 3)], 0), Ok((PageStep::Done, 2)));
        assert_eq!(read_pages(&[full(&[9, 8], 2), full(&[9, 8], 2)], 0), Ok((PageStep::Done, 2)), "repeated");
        // the total is that of the page
        assert!(read_pages(&[full(&[9, 8], 2), full(&[7, 6], 2)], 0).is_err());
    }

    #[test]
    fn reading_stops_early_only_one_page_behind_the_time_and_only_in_order() {
        let pages = [page(&[9, 8], 100), page(&[7, 6], 100), page(&[5, 4], 100), page(&[3, 2], 100)];
        assert_eq!(read_pages(&pages, 7), Ok((PageStep::Done, 3)));
        let unordered = [page(&[8, 9], 100), page(&[7, 6], 100), page(&[5, 4], 100), page(&[3, 2], 100)];
        assert_eq!(read_pages(&unordered, 7), Ok((PageStep::Page, 4)));
    }

    #[test]
    fn a_listing_that_could_hide_something_is_not_complete() {
        let no_total = ListPage { total_count: None, ..page(&[9], 1) };
        let unreadable = ListPage { unreadable: 1, ..page(&[9], 1) };
        for pages in [
            vec![no_total],
            vec![unreadable],
            vec![page(&[9, 8], 4), page(&[7, 6], 3)],
            vec![page(&[9, 8], 9), page(&[7], 9)],
            vec![page(&[9, 8], 9), page(&[], 9)],
            vec![page(&[9, 8], 1)],
            vec![page(&[9, 8], 5); 5],
        ] {
            assert!(read_pages(&pages, 0).is_err(), "{pages:?}");
        }
    }
}

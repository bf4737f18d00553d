//! Whether pages are a complete listing.
//!
//! Pages are counted from the newest video. Uploads meanwhile push videos down: they repeat, which is harmless.
//! Deletions pull videos up: they are skipped, which is not. A listing is complete only when every page arrived, none
//! was short, and the total never fell.

use std::collections::HashSet;

use super::{ControlVideoSeen, IncompleteListing, Listing, ServedAt, incomplete};
use crate::{
    api::{ListPage, ListedVideo},
    domain::{UnixMillis, VideoNo, with_separators},
    ledger::ControlVideo,
};

/// Pages in a row may repeat those before them, because uploads meanwhile push videos down. More mean that the service does not
/// turn the page.
const REPEATED_MAX: u32 = 3;

/// What the pages have shown so far.
#[derive(Default)]
pub(super) struct Pages {
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

/// What the listing needs after a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PageStep {
    Page,
    Done,
}

impl Pages {
    pub(super) fn new() -> Self {
        Self { is_descending: true, is_ascending: true, ..Self::default() }
    }

    /// The listing, when its last page was added. It was begun and served at these times, and covers what was made since.
    pub(super) fn into_listing(
        self,
        begun_at: UnixMillis,
        served: ServedAt,
        since: UnixMillis,
        control_videos: &[ControlVideo],
    ) -> Listing {
        let (seen, unseen): (Vec<&ControlVideo>, Vec<_>) =
            control_videos.iter().partition(|control| self.seen.contains(&control.video_no));
        let is_whole = self.seen.len() as u64 == self.total;
        let is_covered = |control: &&&ControlVideo| {
            is_whole || control.uploaded_at.is_some_and(|timestamp| timestamp >= since)
        };
        let unseen_controls =
            unseen.iter().filter(is_covered).map(|control| control.video_no.clone()).collect();
        let control_video_seen = if seen.is_empty() { ControlVideoSeen::No } else { ControlVideoSeen::Yes };
        Listing { begun_at, served, videos: self.videos, control_video_seen, unseen_controls }
    }

    /// Adds one page. Returns whether another is needed.
    pub(super) fn take(&mut self, page: ListPage, since: UnixMillis) -> Result<PageStep, IncompleteListing> {
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
            return Err(incomplete(format!(
                "the pages end after {} of {} videos",
                with_separators(seen),
                with_separators(total)
            )));
        }
        self.repeated = if self.seen.len() > known { 0 } else { self.repeated + 1 };
        if self.repeated > REPEATED_MAX && !has_all {
            return Err(incomplete(format!(
                "the pages repeat {} of {} videos",
                with_separators(seen),
                with_separators(total)
            )));
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
        let mut read = Pages::new();
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

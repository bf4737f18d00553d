//! What the videos of a listing that are known to come from this ledger show of the service: how far its tags and times can be
//! trusted.

use std::collections::HashMap;

use crate::{
    api::{IndexStatus, ListedVideo},
    domain::{UnixMillis, VideoNo},
    ledger::{BoundVideo, SentTags},
};

/// The clock of the service may differ from ours by this much more than its latest answers showed.
pub(super) const CLOCK_MARGIN_MS: i64 = 60_000;
/// The service adds this tag itself.
const SERVICE_TAG: &str = "api";

/// How far what a listing says of a video can be trusted, by the videos in it that are known to come from this ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pipeline::reconcile) struct ListingAccuracy {
    /// Whether tags that a video does not show prove anything.
    pub(in crate::pipeline::reconcile) tags: TagsShown,
    /// How far the times of the listing are at most from those of the answers to the uploads, in milliseconds. `None`: no
    /// known video shows it, and a time excludes no video.
    pub(in crate::pipeline::reconcile) time_gap_ms: Option<i64>,
}

impl ListingAccuracy {
    pub(in crate::pipeline::reconcile) fn of(listed: &[ListedVideo], bound: &[BoundVideo]) -> Self {
        Self { tags: TagsShown::of(listed, bound), time_gap_ms: time_gap_ms(listed, bound) }
    }

    /// Whether the times of the listing and those of the answers are of one clock.
    pub(in crate::pipeline::reconcile) fn has_one_clock(self) -> bool {
        self.time_gap_ms.is_none_or(|gap_ms| gap_ms <= CLOCK_MARGIN_MS)
    }
}

/// The largest distance between the time of a video in the listing and that in the answer to its upload.
fn time_gap_ms(listed: &[ListedVideo], bound: &[BoundVideo]) -> Option<i64> {
    let uploaded: HashMap<&VideoNo, UnixMillis> =
        bound.iter().filter_map(|video| Some((&video.video_no, video.uploaded_at?))).collect();
    let gap_ms = |video: &ListedVideo| {
        Some(video.created_at?.since_ms(*uploaded.get(&video.video_no)?).saturating_abs())
    };
    listed.iter().filter_map(gap_ms).max()
}

/// How the service shows the tags of videos, by those that are known to come from this ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pipeline::reconcile) enum TagsShown {
    /// As they were sent: a video that shows other tags comes from another client.
    AsSent,
    /// No known video shows its tags yet, so other tags prove nothing.
    Unknown,
    /// Changed, or cut: other tags prove nothing.
    Changed,
}

impl TagsShown {
    /// By the videos of a listing. One that shows its tags otherwise than they were sent is enough: the service may change
    /// long tags only, or those beyond a number.
    pub(in crate::pipeline::reconcile) fn of(listed: &[ListedVideo], bound: &[BoundVideo]) -> Self {
        let sent: HashMap<&VideoNo, &SentTags> =
            bound.iter().filter_map(|video| Some((&video.video_no, video.sent.as_ref()?))).collect();
        let mut shown = Self::Unknown;
        for video in listed.iter().filter(|video| shows_tags(video)) {
            let is_as_sent = match sent.get(&video.video_no) {
                Some(SentTags::Marker(marker)) => video.tags.contains(marker),
                Some(SentTags::Plain(tags)) => plain(tags) == plain(&video.tags),
                None => continue,
            };
            if !is_as_sent {
                return Self::Changed;
            }
            shown = Self::AsSent;
        }
        shown
    }
}

pub(super) fn shows_tags(video: &ListedVideo) -> bool {
    video.status == IndexStatus::Indexed && !video.tags.is_empty()
}

/// Tags without that of the service, in one order.
pub(super) fn plain(tags: &[String]) -> Vec<&String> {
    let mut plain: Vec<&String> = tags.iter().filter(|tag| *tag != SERVICE_TAG).collect();
    plain.sort_unstable();
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::reconcile::evidence::tests::{MINUTE, SENT, video};

    #[test]
    fn known_videos_show_whether_the_service_changes_tags() {
        let bound = |number: &str, sent: Option<SentTags>| BoundVideo {
            video_no: VideoNo::parse(number).unwrap(),
            sent,
            uploaded_at: None,
        };
        let marked = |number: &str| bound(number, Some(SentTags::Marker("telecine:m".to_owned())));
        let plain = |number: &str| bound(number, Some(SentTags::Plain(vec!["b".to_owned(), "a".to_owned()])));
        for (tags, bound, shown) in [
            (&["telecine:m", "api"][..], marked("VI0001"), TagsShown::AsSent),
            (&["TELECINE:M", "api"], marked("VI0001"), TagsShown::Changed),
            (&["api"], marked("VI0001"), TagsShown::Changed),
            (&[], marked("VI0001"), TagsShown::Unknown),
            (&["a", "api", "b"], plain("VI0001"), TagsShown::AsSent),
            (&["a", "api"], plain("VI0001"), TagsShown::Changed),
            (&["x"], marked("VI0002"), TagsShown::Unknown),
            (&["x"], bound("VI0001", None), TagsShown::Unknown),
        ] {
            assert_eq!(TagsShown::of(&[video("VI0001", 1, tags)], &[bound]), shown, "{tags:?}");
        }
        let both = [video("VI0001", 1, &["telecine:m"]), video("VI0002", 1, &["other"])];
        assert_eq!(TagsShown::of(&both, &[marked("VI0001"), marked("VI0002")]), TagsShown::Changed);
    }

    #[test]
    fn known_videos_show_how_far_times_of_the_listing_are_from_those_of_the_answers() {
        let early = [video("VI0001", -8 * 60, &[])];
        let bound = |uploaded_at: Option<i64>| BoundVideo {
            video_no: VideoNo::parse("VI0001").unwrap(),
            sent: None,
            uploaded_at: uploaded_at.map(|minutes| SENT.plus_ms(minutes * MINUTE)),
        };
        let gap = |uploaded_at| ListingAccuracy::of(&early, &[bound(uploaded_at)]).time_gap_ms;
        assert_eq!((gap(Some(0)), gap(Some(-8 * 60)), gap(None)), (Some(8 * 60 * MINUTE), Some(0), None));
    }
}

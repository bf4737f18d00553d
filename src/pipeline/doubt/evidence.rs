//! What a complete listing proves about one doubt. Pure: the same scene gives the same decision.
//!
//! | what the listing shows | what follows |
//! |---|---|
//! | one video with the attempt's marker | it is that video |
//! | two videos with the attempt's marker | a question: it may have been paid twice |
//! | one candidate, one open attempt, nobody else in the namespace | it was accepted; with a marker the video is named when its tags show |
//! | no candidate, quiet time over, twice, apart, in listings that show what is known to be there | it never arrived |
//! | anything else | wait; after a day, a question |

use std::time::Duration;

use crate::{
    item::{UnixMillis, VideoNo},
    ledger::{BoundBy, Doubt},
    lifecycle::State,
    service::{IndexStatus, ListedVideo},
};

/// The service's clock may run this much farther behind ours than its latest answers showed.
const CLOCK_MARGIN_MS: i64 = 60_000;
/// Two clear listings are at least this far apart, or the quiet time if that is shorter.
const LISTINGS_APART: Duration = Duration::from_mins(1);
/// After this long without proof a human is asked.
const HORIZON: Duration = Duration::from_hours(24);
/// Tags that begin so are markers.
const MARKER_PREFIX: &str = "telecine:";
/// The service adds this tag itself.
const SERVICE_TAG: &str = "api";

/// How doubts are weighed.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The quiet time Q: no request is accepted, and none becomes visible, later than this after it could last leave.
    pub quiet: Duration,
    /// Whether anybody else uploads into the namespace.
    pub namespace: NamespaceUse,
}

/// Who uploads into the namespaces of a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamespaceUse {
    /// Perhaps others.
    Shared,
    /// Nobody but this ledger.
    Exclusive,
}

impl Rules {
    /// From when on a listing can prove that an attempt never arrived.
    pub(super) fn quiet_ends_at(&self, doubt: &Doubt) -> UnixMillis {
        doubt.send_before.plus(self.quiet)
    }

    /// How far apart two clear listings are at least.
    pub(super) fn listings_apart(&self) -> Duration {
        LISTINGS_APART.min(self.quiet)
    }
}

/// Videos made before this, by the service's clock, are none of an attempt sent at `sent_at`; none when nothing is known
/// of that clock: then every video is a candidate.
pub(super) fn candidates_from(sent_at: UnixMillis, clock_behind_ms: Option<i64>) -> Option<UnixMillis> {
    clock_behind_ms.map(|behind_ms| sent_at.plus_ms(-(behind_ms + CLOCK_MARGIN_MS)))
}

/// What a complete listing shows, and what the ledger knows beside it.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    /// Videos of the namespace that are bound to no attempt.
    pub(super) unbound: Vec<&'a ListedVideo>,
    /// When the listing was begun.
    pub(super) begun_at: UnixMillis,
    /// Attempts that could still become a video of the namespace, this one included.
    pub(super) open_attempts: u64,
    /// Whether the listing showed videos that are known to be there.
    pub(super) vouched: Vouched,
    /// How far the service's clock is behind ours at most, by its answers; none when no answer tells.
    pub(super) clock_behind_ms: Option<i64>,
}

/// Whether a listing showed that it shows anything at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vouched {
    /// It showed a video that the service had accepted long enough before.
    Yes,
    /// There is none to look for, or it was not shown: absence means nothing.
    No,
}

/// What follows for one doubt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Wait,
    NoteClear(Option<UnixMillis>),
    Found { video_no: VideoNo, uploaded_at: Option<UnixMillis>, by: BoundBy },
    Counted,
    Absent,
    Ask(String),
}

pub(super) fn weigh(doubt: &Doubt, scene: &Scene<'_>, rules: &Rules) -> Decision {
    let marked: Vec<&&ListedVideo> =
        scene.unbound.iter().filter(|video| carries_marker(doubt, video)).collect();
    match marked[..] {
        [video] => return found(video, BoundBy::Marker),
        [first, second, ..] => {
            let question = format!(
                "both {} and {} carry its marker: it may have been paid twice",
                first.video_no, second.video_no
            );
            return Decision::Ask(question);
        }
        [] => {}
    }
    let is_over_horizon = scene.begun_at > doubt.sent_at.plus(HORIZON);
    let candidates: Vec<&&ListedVideo> =
        scene.unbound.iter().filter(|video| could_be(doubt, video, scene.clock_behind_ms)).collect();
    if let [video] = candidates[..]
        && rules.namespace == NamespaceUse::Exclusive
        && scene.open_attempts == 1
    {
        match (doubt.state, &doubt.marker) {
            (_, None) => return found(video, BoundBy::SoleCandidate),
            (State::InDoubt, Some(_)) => return Decision::Counted,
            _ => {}
        }
    }
    let is_quiet = scene.begun_at >= rules.quiet_ends_at(doubt);
    let can_be_absent = candidates.is_empty() && is_quiet && scene.vouched == Vouched::Yes;
    if doubt.state == State::InDoubt && can_be_absent {
        return match doubt.clear_at {
            None => Decision::NoteClear(Some(scene.begun_at)),
            Some(first) if scene.begun_at >= first.plus(rules.listings_apart()) => Decision::Absent,
            Some(_) => Decision::Wait,
        };
    }
    if doubt.clear_at.is_some() && !candidates.is_empty() {
        return Decision::NoteClear(None);
    }
    if is_over_horizon { Decision::Ask(question(&candidates)) } else { Decision::Wait }
}

fn found(video: &ListedVideo, by: BoundBy) -> Decision {
    Decision::Found { video_no: video.video_no.clone(), uploaded_at: video.created_at, by }
}

fn question(candidates: &[&&ListedVideo]) -> String {
    let shown: Vec<&str> = candidates.iter().take(5).map(|video| video.video_no.as_str()).collect();
    match candidates.len() {
        0 => "no video shows its marker after a day".to_owned(),
        count => format!("after a day it could still be one of {count} videos: {}", shown.join(", ")),
    }
}

fn carries_marker(doubt: &Doubt, video: &ListedVideo) -> bool {
    doubt.marker.as_ref().is_some_and(|marker| video.tags.contains(marker))
}

/// Whether a video without the attempt's marker could still be the attempt's.
///
/// Tags show only when a video is indexed; then a marked attempt's video would show the marker, and an unmarked one's
/// its own tags and nobody's marker. A failed video without tags proves nothing.
fn could_be(doubt: &Doubt, video: &ListedVideo, clock_behind_ms: Option<i64>) -> bool {
    let is_older = |from: UnixMillis| video.created_at.is_some_and(|moment| moment < from);
    if candidates_from(doubt.sent_at, clock_behind_ms).is_some_and(is_older) {
        return false;
    }
    let shows_tags = video.status == IndexStatus::Indexed && !video.tags.is_empty();
    if !shows_tags {
        return true;
    }
    if doubt.marker.is_some() {
        return false;
    }
    let mut own: Vec<&str> = doubt.submission.tags.iter().map(String::as_str).collect();
    let mut theirs: Vec<&str> =
        video.tags.iter().map(String::as_str).filter(|tag| *tag != SERVICE_TAG).collect();
    own.retain(|tag| *tag != SERVICE_TAG);
    own.sort_unstable();
    theirs.sort_unstable();
    !theirs.iter().any(|tag| tag.starts_with(MARKER_PREFIX)) && own == theirs
}

#[cfg(test)]
mod tests;

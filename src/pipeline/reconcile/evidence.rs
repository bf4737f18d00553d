//! Decides what a complete listing proves about one request in doubt. Pure: the same input gives the same decision.
//!
//! | what the listing shows | what follows |
//! |---|---|
//! | one video with the attempt's marker | it is that video |
//! | two videos with the attempt's marker | a question: it may have been paid twice |
//! | one candidate that only this attempt can have made, no other client in the namespace | it was accepted; with a marker the video is named when its tags show |
//! | as many candidates as attempts that can have made them, no other client in the namespace | all of them were accepted; which is which shows when the tags do |
//! | no candidate, quiet time over, twice, apart, in listings that show what is known to be there | it never arrived |
//! | anything else | wait; after a day, a question |

use std::time::Duration;

use crate::{
    api::{IndexStatus, ListedVideo},
    domain::{State, UnixMillis, VideoNo},
    ledger::{AttemptId, BoundBy, ObservedDelays, PossibleSender, Question, ServiceTime, UnresolvedAttempt},
    pipeline::listing::ControlVideoSeen,
};

/// The service's clock may be this much farther from ours than its latest answers showed.
const CLOCK_MARGIN_MS: i64 = 60_000;
/// Two clear listings are at least this far apart, or the quiet time if that is shorter.
const LISTINGS_APART: Duration = Duration::from_mins(1);
/// After this long without proof a human is asked.
pub(super) const HORIZON: Duration = Duration::from_hours(24);
/// What the service was seen to take, it may take three times as long.
const OBSERVED_TIMES: u32 = 3;
/// Candidates named in a question.
const CANDIDATES_SHOWN: usize = 5;
/// Tags that begin so are markers.
const MARKER_PREFIX: &str = "telecine:";
/// The service adds this tag itself.
const SERVICE_TAG: &str = "api";

/// The rules for resolving requests in doubt.
#[derive(Clone, Copy, Debug)]
pub struct ReconcileRules {
    /// The quiet time Q: the longest time after the last possible departure in which a request is accepted or
    /// becomes visible.
    pub quiet: Duration,
    /// What may be concluded without a marker.
    pub on_doubt: OnDoubt,
}

/// What a run may conclude of a request without a clear answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDoubt {
    /// An unknown video belongs to this ledger as well: no other client uploads into the namespace.
    Auto,
    /// Only what holds in a shared namespace too: a marker names a video, complete listings without a candidate prove
    /// absence. Everything else is held.
    Hold,
    /// Only a marker identifies a video. Everything else needs a review when the quiet time is over.
    Ask,
}

impl ReconcileRules {
    /// The same rules with a quiet time that covers what was observed.
    #[must_use]
    pub(super) fn with(self, observed: ObservedDelays) -> Self {
        let learned = (observed.acceptance + observed.listing).saturating_mul(OBSERVED_TIMES);
        Self { quiet: self.quiet.max(learned), ..self }
    }

    /// From when on a listing can prove that an attempt never arrived.
    pub(super) fn quiet_ends_at(&self, unresolved: &UnresolvedAttempt) -> UnixMillis {
        unresolved.send_before.plus(self.quiet)
    }

    /// How far apart two clear listings are at least.
    pub(super) fn listings_apart(&self) -> Duration {
        LISTINGS_APART.min(self.quiet)
    }
}

/// Videos made before this, by the service's clock, do not come from the request. `None`: the clock is unknown, and
/// every video is a candidate.
pub(super) fn candidates_from(sent: ServiceTime) -> Option<UnixMillis> {
    sent.earliest.map(|timestamp| timestamp.plus_ms(-CLOCK_MARGIN_MS))
}

/// Whether a review is needed whatever the listings show.
pub(super) fn is_over_horizon(unresolved: &UnresolvedAttempt, at: UnixMillis) -> bool {
    at > unresolved.sent_at.plus(HORIZON)
}

/// What a complete listing shows, and what the ledger knows beside it.
#[derive(Clone, Debug)]
pub(super) struct Evidence<'a> {
    /// Videos of the namespace that are bound to no attempt.
    pub(super) unbound: Vec<&'a ListedVideo>,
    /// When the listing was begun.
    pub(super) begun_at: UnixMillis,
    /// `None`: the service did not say.
    pub(super) served_at: Option<UnixMillis>,
    /// Attempts that may have made them, including those to decide on.
    pub(super) possible_senders: Vec<PossibleSender>,
    /// Whether the listing showed videos that are known to be there.
    pub(super) control_video_seen: ControlVideoSeen,
}

/// What follows for one doubt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Wait,
    NoteClear(Option<UnixMillis>),
    Found { video_no: VideoNo, uploaded_at: Option<UnixMillis>, by: BoundBy },
    Counted,
    Absent,
    Ask(Question),
}

pub(super) fn decide(
    unresolved: &UnresolvedAttempt,
    evidence: &Evidence<'_>,
    rules: &ReconcileRules,
) -> Decision {
    let marked: Vec<&&ListedVideo> =
        evidence.unbound.iter().filter(|video| carries_marker(unresolved, video)).collect();
    match marked[..] {
        [video] => return found(video, BoundBy::Marker),
        [first, second, ..] => {
            let text = format!(
                "both {} and {} carry its marker: it may have been paid twice",
                first.video_no, second.video_no
            );
            return Decision::Ask(Question { text, candidates: numbers(&marked) });
        }
        [] => {}
    }
    // a question that was put is answered by its marker, or by a human
    if unresolved.state == State::NeedsReview {
        return Decision::Wait;
    }
    // an attempt that was resolved since the listing was read needs no decision
    let Some(own) = evidence
        .possible_senders
        .iter()
        .find(|possible_sender| possible_sender.attempt == unresolved.attempt)
    else {
        return Decision::Wait;
    };
    let candidates: Vec<&&ListedVideo> =
        evidence.unbound.iter().filter(|video| could_be(own, video, rules)).collect();
    fail::fail_point!("any_candidate_bound", !candidates.is_empty(), |_| {
        found(candidates[0], BoundBy::SoleCandidate)
    });
    if rules.on_doubt == OnDoubt::Auto
        && let Some(decision) = weigh_alone(unresolved, &candidates, evidence, rules)
    {
        return decision;
    }
    let is_quiet = is_quiet(own, evidence, rules);
    if rules.on_doubt == OnDoubt::Ask && is_quiet {
        return Decision::Ask(question("no video shows its marker", &candidates));
    }
    let can_be_absent =
        candidates.is_empty() && is_quiet && evidence.control_video_seen == ControlVideoSeen::Yes;
    if unresolved.state == State::InDoubt && can_be_absent {
        return match unresolved.clear_at {
            None => Decision::NoteClear(Some(evidence.begun_at)),
            Some(first) if evidence.begun_at >= first.plus(rules.listings_apart()) => Decision::Absent,
            Some(_) => Decision::Wait,
        };
    }
    if unresolved.clear_at.is_some() && !candidates.is_empty() {
        return Decision::NoteClear(None);
    }
    if is_over_horizon(unresolved, evidence.begun_at) {
        return Decision::Ask(question("no video shows its marker after a day", &candidates));
    }
    Decision::Wait
}

/// Whether the quiet time is over, by our clock and by the service's: ours may have been set between two runs.
fn is_quiet(own: &PossibleSender, evidence: &Evidence<'_>, rules: &ReconcileRules) -> bool {
    let by_service = match (evidence.served_at, latest_send(own)) {
        (Some(served_at), Some(sent_by)) => served_at >= sent_by.plus(rules.quiet),
        (None, _) | (_, None) => true,
    };
    evidence.begun_at >= own.send_before.plus(rules.quiet) && by_service
}

/// The latest departure of a request, by the service's clock. `None`: the clock is unknown.
fn latest_send(own: &PossibleSender) -> Option<UnixMillis> {
    let start_ms = own.send_before.since_ms(own.sent_at);
    own.service_time.latest.map(|timestamp| timestamp.plus_ms(start_ms))
}

/// The decision where no other client uploads: every candidate was made by a different attempt of this ledger.
fn weigh_alone(
    unresolved: &UnresolvedAttempt,
    candidates: &[&&ListedVideo],
    evidence: &Evidence<'_>,
    rules: &ReconcileRules,
) -> Option<Decision> {
    let (attempts, videos) = connected_component(unresolved.attempt, evidence, rules);
    if videos == 0 || attempts != videos {
        return None;
    }
    match (candidates, attempts, &unresolved.marker) {
        ([video], 1, None) => Some(found(video, BoundBy::SoleCandidate)),
        _ => (unresolved.state == State::InDoubt).then_some(Decision::Counted),
    }
}

/// How many attempts, and how many videos, hang together with an attempt by "could have made".
fn connected_component(
    attempt: AttemptId,
    evidence: &Evidence<'_>,
    rules: &ReconcileRules,
) -> (usize, usize) {
    let mut attempts = vec![attempt];
    let mut videos: Vec<&VideoNo> = Vec::new();
    loop {
        let before = (attempts.len(), videos.len());
        for possible_sender in &evidence.possible_senders {
            for video in evidence.unbound.iter().filter(|video| could_be(possible_sender, video, rules)) {
                let has_attempt = attempts.contains(&possible_sender.attempt);
                let has_video = videos.contains(&&video.video_no);
                if has_attempt && !has_video {
                    videos.push(&video.video_no);
                }
                if has_video && !has_attempt {
                    attempts.push(possible_sender.attempt);
                }
            }
        }
        if before == (attempts.len(), videos.len()) {
            return before;
        }
    }
}

fn found(video: &ListedVideo, by: BoundBy) -> Decision {
    Decision::Found { video_no: video.video_no.clone(), uploaded_at: video.created_at, by }
}

fn numbers(videos: &[&&ListedVideo]) -> Vec<VideoNo> {
    videos.iter().map(|video| video.video_no.clone()).collect()
}

fn question(what: &str, candidates: &[&&ListedVideo]) -> Question {
    let candidates = numbers(candidates);
    let shown: Vec<&str> = candidates.iter().take(CANDIDATES_SHOWN).map(VideoNo::as_str).collect();
    let text = match candidates.len() {
        0 => format!("{what}, and no listed video could be it"),
        1 => format!("{what}; it could be {}", shown.join(", ")),
        count => format!("{what}; it could be one of {count} videos: {}", shown.join(", ")),
    };
    Question { text, candidates }
}

fn carries_marker(unresolved: &UnresolvedAttempt, video: &ListedVideo) -> bool {
    unresolved.marker.as_ref().is_some_and(|marker| video.tags.contains(marker))
}

/// Whether a video could have been made by an attempt.
///
/// By its date it must be no older than the request and no younger than the latest acceptance. Tags show only when a
/// video is indexed; then a marked attempt's video shows the marker, and an unmarked one's its own tags and no one's
/// marker. A failed video without tags proves nothing.
pub(super) fn could_be(own: &PossibleSender, video: &ListedVideo, rules: &ReconcileRules) -> bool {
    let is_older = |from: UnixMillis| video.created_at.is_some_and(|timestamp| timestamp < from);
    if candidates_from(own.service_time).is_some_and(is_older) {
        return false;
    }
    let latest = latest_send(own).map(|timestamp| timestamp.plus(rules.quiet).plus_ms(CLOCK_MARGIN_MS));
    if latest.is_some_and(|latest| video.created_at.is_some_and(|timestamp| timestamp > latest)) {
        return false;
    }
    let shows_tags = video.status == IndexStatus::Indexed && !video.tags.is_empty();
    if !shows_tags {
        return true;
    }
    if let Some(marker) = &own.marker {
        return video.tags.contains(marker);
    }
    let plain = |tags: &[String]| {
        let mut plain: Vec<String> = tags.iter().filter(|tag| *tag != SERVICE_TAG).cloned().collect();
        plain.sort_unstable();
        plain
    };
    !video.tags.iter().any(|tag| tag.starts_with(MARKER_PREFIX)) && plain(&own.tags) == plain(&video.tags)
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

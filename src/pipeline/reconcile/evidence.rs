//! Decides what a complete listing proves about one request in doubt. It is a pure function: the same input gives the same
//! decision.
//!
//! | what the listing shows | what follows |
//! |---|---|
//! | one video with the attempt's marker | it is that video |
//! | two videos with the attempt's marker | it needs a review: it may have been paid twice |
//! | a video with the attempt's marker that is bound to another attempt | it needs a review: the video was taken for another row |
//! | one candidate that only this attempt can have made, no other client in the namespace | it was accepted; with a marker, the video is bound when its tags are visible |
//! | as many candidates as attempts that can have made them, no other client in the namespace | all of them were accepted; each is bound when its tags are visible |
//! | no candidate after the quiet time, in two listings that are apart and show a control video, and no call for it came | it never arrived |
//! | anything else | wait; after a day, it needs a review |

mod accuracy;
pub(super) mod by_call;
mod components;

use std::{cell::Cell, fmt::Write as _, time::Duration};

use accuracy::{CLOCK_MARGIN_MS, plain, shows_tags};
pub(super) use accuracy::{ListingAccuracy, TagsShown};
use components::{ComponentSize, component_sizes};

use crate::{
    api::ListedVideo,
    domain::{State, UnixMillis, VideoNo, counted},
    ledger::{BoundBy, ObservedDelays, PossibleSender, Question, ServiceTime, UnresolvedAttempt},
    pipeline::library_listing::ControlVideoSeen,
};

/// Two clear listings are at least this far apart, or the quiet time if that is shorter.
const LISTINGS_APART: Duration = Duration::from_mins(1);
/// After this long without proof a request needs a review.
pub const HORIZON: Duration = Duration::from_hours(24);
/// The longest delay observed is multiplied by this: the service may be slower than it was.
const OBSERVED_TIMES: u32 = 3;
/// The most candidates that a question names.
const CANDIDATES_SHOWN: usize = 5;
/// The beginning of every marker tag.
const MARKER_PREFIX: &str = "telecine:";

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
    /// No other client uploads into the namespace, so an unknown video was made by this ledger.
    Auto,
    /// Only what also holds in a shared namespace: a marker or a call identifies a video, and complete listings without a candidate
    /// prove absence. Everything else waits.
    Hold,
    /// Only a marker or a call identifies a video. Everything else needs a review when the quiet time is over.
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

/// Whether a request is so old that it needs a review, whatever the listings show.
pub(super) fn is_over_horizon(unresolved: &UnresolvedAttempt, at: UnixMillis) -> bool {
    at > unresolved.sent_at.plus(HORIZON)
}

/// What a complete listing shows, and what the ledger knows beside it.
#[derive(Clone, Debug)]
pub(super) struct Evidence<'a> {
    /// Videos of the namespace that are bound to no attempt.
    pub(super) unbound: Vec<&'a ListedVideo>,
    /// Videos of the namespace that are bound to other attempts.
    pub(super) bound: Vec<&'a ListedVideo>,
    /// When the listing was begun.
    pub(super) begun_at: UnixMillis,
    /// `None`: the service did not say.
    pub(super) served_at: Option<UnixMillis>,
    /// Attempts that may have made them. The attempt to decide on is one of them.
    pub(super) possible_senders: Vec<PossibleSender>,
    /// Whether the listing showed videos that are known to be there.
    pub(super) control_video_seen: ControlVideoSeen,
    /// What the videos of the listing that are known show of the service.
    pub(super) accuracy: ListingAccuracy,
}

/// What follows for one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// The listing proves nothing yet.
    Wait,
    /// When a complete listing first showed no candidate. `None`: a candidate has appeared since.
    RecordClearListing(Option<UnixMillis>),
    Found {
        video_no: VideoNo,
        uploaded_at: Option<UnixMillis>,
        by: BoundBy,
    },
    /// The service accepted it. Which video it became is not known yet.
    AcceptedUnidentified,
    /// It never arrived.
    Absent,
    /// It needs a review.
    Ask(Question),
}

/// One complete listing, compared with all requests in doubt. What depends on all of them is computed once.
pub(super) struct EvidencePass<'a> {
    evidence: &'a Evidence<'a>,
    rules: &'a ReconcileRules,
    /// For each possible sender, the size of its connected component. Empty where other clients upload, too: there it proves
    /// nothing.
    components: Vec<ComponentSize>,
    /// How many pairs of an attempt and a video were compared.
    compared: Cell<u64>,
}

impl<'a> EvidencePass<'a> {
    pub(super) fn new(evidence: &'a Evidence<'a>, rules: &'a ReconcileRules) -> Self {
        let mut pass = Self { evidence, rules, components: Vec::new(), compared: Cell::new(0) };
        if rules.on_doubt == OnDoubt::Auto {
            let (senders, videos) = (evidence.possible_senders.len(), evidence.unbound.len());
            pass.components = component_sizes(senders, videos, |sender, video| {
                pass.could_be(&evidence.possible_senders[sender], evidence.unbound[video])
            });
        }
        pass
    }

    /// How many pairs of an attempt and a video were compared so far.
    pub(super) fn compared(&self) -> u64 {
        self.compared.get()
    }

    fn could_be(&self, own: &PossibleSender, video: &ListedVideo) -> bool {
        self.compared.set(self.compared.get() + 1);
        could_be(own, video, self.rules, self.evidence.accuracy)
    }

    pub(super) fn decide(&self, unresolved: &UnresolvedAttempt) -> Decision {
        let evidence = self.evidence;
        if let Some(decision) = decide_by_marker(unresolved, evidence) {
            return decision;
        }
        // in review only a marker or a human decides
        if unresolved.state == State::NeedsReview {
            return Decision::Wait;
        }
        // an attempt that was resolved since the listing was read needs no decision
        let mut senders = evidence.possible_senders.iter().enumerate();
        let Some((place, own)) = senders.find(|(_, sender)| sender.attempt == unresolved.attempt) else {
            return Decision::Wait;
        };
        let candidates: Vec<&&ListedVideo> =
            evidence.unbound.iter().filter(|video| self.could_be(own, video)).collect();
        fail::fail_point!("any_candidate_bound", !candidates.is_empty(), |_| {
            found(candidates[0], BoundBy::SoleCandidate)
        });
        if let Some(component) = self.components.get(place)
            && let Some(decision) = decide_without_other_clients(unresolved, &candidates, *component)
        {
            return decision;
        }
        self.decide_with_other_clients(unresolved, own, &candidates)
    }

    /// The decision where other clients may upload, or where the candidates do not add up.
    fn decide_with_other_clients(
        &self,
        unresolved: &UnresolvedAttempt,
        own: &PossibleSender,
        candidates: &[&&ListedVideo],
    ) -> Decision {
        let Self { evidence, rules, .. } = self;
        let is_quiet = is_quiet(own, evidence, rules);
        if rules.on_doubt == OnDoubt::Ask && is_quiet {
            return Decision::Ask(question("no video shows its marker", candidates));
        }
        let can_be_absent = candidates.is_empty()
            && is_quiet
            && !unresolved.was_called
            && evidence.control_video_seen == ControlVideoSeen::Yes;
        if unresolved.state == State::InDoubt && can_be_absent {
            return match unresolved.clear_at {
                None => Decision::RecordClearListing(Some(evidence.begun_at)),
                Some(first) if evidence.begun_at >= first.plus(rules.listings_apart()) => Decision::Absent,
                Some(_) => Decision::Wait,
            };
        }
        if unresolved.clear_at.is_some() && !candidates.is_empty() {
            return Decision::RecordClearListing(None);
        }
        if is_over_horizon(unresolved, evidence.begun_at) {
            return Decision::Ask(question("no video shows its marker after a day", candidates));
        }
        Decision::Wait
    }
}

/// The decision that videos with the marker of the request allow. `None`: no video carries it.
fn decide_by_marker(unresolved: &UnresolvedAttempt, evidence: &Evidence<'_>) -> Option<Decision> {
    let marked: Vec<&&ListedVideo> =
        evidence.unbound.iter().filter(|video| carries_marker(unresolved, video)).collect();
    // one that is bound to another row, as by a wrong number from a human, shows as well that the request arrived
    if let Some(taken) = evidence.bound.iter().find(|video| carries_marker(unresolved, video)) {
        let number = &taken.video_no;
        let text =
            format!("{number}, of another row in the ledger, carries its marker: telecine explain {number}");
        return Some(Decision::Ask(Question { text, candidates: numbers(&marked) }));
    }
    match marked[..] {
        [] => None,
        [video] => Some(found(video, BoundBy::Marker)),
        [first, second, ..] => {
            let text = format!(
                "both {} and {} carry its marker: it may have been paid twice",
                first.video_no, second.video_no
            );
            Some(Decision::Ask(Question { text, candidates: numbers(&marked) }))
        }
    }
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
fn decide_without_other_clients(
    unresolved: &UnresolvedAttempt,
    candidates: &[&&ListedVideo],
    ComponentSize { attempts, videos }: ComponentSize,
) -> Option<Decision> {
    if videos == 0 || attempts != videos {
        return None;
    }
    match (candidates, attempts, &unresolved.marker) {
        ([video], 1, None) => Some(found(video, BoundBy::SoleCandidate)),
        _ => (unresolved.state == State::InDoubt).then_some(Decision::AcceptedUnidentified),
    }
}

fn found(video: &ListedVideo, by: BoundBy) -> Decision {
    Decision::Found { video_no: video.video_no.clone(), uploaded_at: video.created_at, by }
}

fn numbers(videos: &[&&ListedVideo]) -> Vec<VideoNo> {
    videos.iter().map(|video| video.video_no.clone()).collect()
}

fn question(what: &str, candidates: &[&&ListedVideo]) -> Question {
    let untagged = candidates.iter().filter(|video| !shows_tags(video)).count() as u64;
    let candidates = numbers(candidates);
    let shown: Vec<&str> = candidates.iter().take(CANDIDATES_SHOWN).map(VideoNo::as_str).collect();
    let mut text = match candidates.len() {
        0 => format!("{what}, and no listed video could be it"),
        1 => format!("{what}; it could be {}", shown.join(", ")),
        count => format!("{what}; it could be one of {count} videos: {}", shown.join(", ")),
    };
    if untagged > 0 {
        let videos = counted(untagged, "of these shows", "of these show");
        let _ = write!(
            text,
            "; {videos} no tags, as a video that is being indexed or failed, so no marker can be seen"
        );
    }
    Question { text, candidates }
}

fn carries_marker(unresolved: &UnresolvedAttempt, video: &ListedVideo) -> bool {
    unresolved.marker.as_ref().is_some_and(|marker| video.tags.contains(marker))
}

/// Whether a video could have been made by an attempt.
///
/// The video must not be older than the request, and not younger than the latest possible acceptance, as far as its time can be
/// compared with those of the answers. Tags are visible only
/// when a video is indexed. If the service shows them as they were sent, the video of an attempt with a marker carries that
/// marker; the video of an attempt without one carries its own tags and no marker. A failed video without tags proves nothing.
pub(super) fn could_be(
    own: &PossibleSender,
    video: &ListedVideo,
    rules: &ReconcileRules,
    accuracy: ListingAccuracy,
) -> bool {
    if let (Some(created_at), Some(gap_ms)) = (video.created_at, accuracy.time_gap_ms) {
        let from = candidates_from(own.service_time).map(|from| from.plus_ms(gap_ms.saturating_neg()));
        let until = latest_send(own)
            .map(|until| until.plus(rules.quiet).plus_ms(CLOCK_MARGIN_MS.saturating_add(gap_ms)));
        if from.is_some_and(|from| created_at < from) || until.is_some_and(|until| created_at > until) {
            return false;
        }
    }
    if !shows_tags(video) || accuracy.tags != TagsShown::AsSent {
        return true;
    }
    if let Some(marker) = &own.marker {
        return video.tags.contains(marker);
    }
    !video.tags.iter().any(|tag| tag.starts_with(MARKER_PREFIX)) && plain(&own.tags) == plain(&video.tags)
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

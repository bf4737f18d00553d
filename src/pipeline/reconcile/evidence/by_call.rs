//! Decides what a call of the service proves about one request in doubt, when a read has shown the video that it named.
//!
//! The token proves which request caused the call. The number is of the body and may be wrong: another video of the account, or that
//! of another request. It is believed where nothing else contradicts it:
//!
//! | what is known | what follows |
//! |---|---|
//! | the video does not fit the request by its time or its tags | wait |
//! | the video shows the marker of the request | it is that video |
//! | a call for another open request named the same video | wait |
//! | another open request may have made the video, and calls did not name one video for each such request, all different | wait |
//! | anything else | it is that video |
//!
//! So one wrong number among those of requests that were sent at about the same time settles none of them.

use std::collections::HashSet;

use super::{ListingAccuracy, ReconcileRules, TagsShown, carries_marker, could_be};
use crate::{
    api::ListedVideo,
    domain::VideoNo,
    ledger::{AttemptId, BoundBy, CalledNumber, PossibleSender, UnresolvedAttempt},
};

/// A single read does not show how far a listing can be trusted. A video that does not fit at first sight is left to listings.
const AT_FIRST_SIGHT: ListingAccuracy = ListingAccuracy { tags: TagsShown::AsSent, time_gap_ms: Some(0) };

/// What is known beside the call.
pub(in crate::pipeline::reconcile) struct CallEvidence<'a> {
    /// The video that the call named, as a read by its number shows it. It is bound to no request.
    pub(in crate::pipeline::reconcile) video: &'a ListedVideo,
    /// Requests that may have made a video of the namespace, this one included.
    pub(in crate::pipeline::reconcile) possible_senders: &'a [PossibleSender],
    /// The numbers that calls named for requests without a known outcome.
    pub(in crate::pipeline::reconcile) called: &'a [CalledNumber],
}

/// By which evidence the video is that of the request. `None`: the call settles nothing yet. It never proves absence.
pub(in crate::pipeline::reconcile) fn decide_by_call(
    unresolved: &UnresolvedAttempt,
    evidence: &CallEvidence<'_>,
    rules: &ReconcileRules,
) -> Option<BoundBy> {
    let CallEvidence { video, possible_senders, called } = *evidence;
    let fits = |sender: &PossibleSender| could_be(sender, video, rules, AT_FIRST_SIGHT);
    let own = possible_senders.iter().find(|sender| sender.attempt == unresolved.attempt);
    if !own.is_some_and(fits) {
        return None;
    }
    if carries_marker(unresolved, video) {
        return Some(BoundBy::Marker);
    }
    let is_named_for_another =
        called.iter().any(|number| number.attempt != unresolved.attempt && number.video_no == video.video_no);
    let mut named = HashSet::from([&video.video_no]);
    let are_told_apart = possible_senders
        .iter()
        .filter(|sender| sender.attempt != unresolved.attempt && fits(sender))
        .all(|sender| only_number(called, sender.attempt).is_some_and(|number| named.insert(number)));
    (!is_named_for_another && are_told_apart).then_some(BoundBy::Callback)
}

/// The number that calls named for a request. `None`: none, several, or a wrong one.
fn only_number(called: &[CalledNumber], attempt: AttemptId) -> Option<&VideoNo> {
    let mut own = called.iter().filter(|number| number.attempt == attempt);
    own.next().filter(|only| !only.is_wrong && own.next().is_none()).map(|number| &number.video_no)
}

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

#[cfg(test)]
mod tests {
    use super::{
        super::{
            tests::{MINUTE, SENT, possible_sender, rules, unresolved_attempt, video},
            *,
        },
        *,
    };
    use crate::ledger::CalledNumber;

    #[test]
    fn a_call_settles_a_request_only_where_nothing_else_contradicts_its_number() {
        let marked = unresolved_attempt(Some("telecine:x"), &["a"]);
        let plain = unresolved_attempt(None, &["a"]);
        let other = PossibleSender {
            attempt: AttemptId::for_tests(2),
            marker: Some("telecine:y".to_owned()),
            ..possible_sender(&marked)
        };
        let earlier = |sender: &PossibleSender| PossibleSender {
            service_time: ServiceTime {
                earliest: Some(SENT.plus_ms(-120 * MINUTE)),
                latest: Some(SENT.plus_ms(-120 * MINUTE)),
            },
            sent_at: SENT.plus_ms(-120 * MINUTE),
            send_before: SENT.plus_ms(-120 * MINUTE),
            ..sender.clone()
        };
        let number = |attempt, text: &str| CalledNumber {
            attempt: AttemptId::for_tests(attempt),
            video_no: VideoNo::parse(text).unwrap(),
            is_wrong: false,
        };
        let decide = |own: &UnresolvedAttempt,
                      video: ListedVideo,
                      others: &[PossibleSender],
                      called: &[CalledNumber]| {
            let senders: Vec<PossibleSender> =
                std::iter::once(possible_sender(own)).chain(others.iter().cloned()).collect();
            let evidence = CallEvidence { video: &video, possible_senders: &senders, called };
            decide_by_call(own, &evidence, &rules(OnDoubt::Hold))
        };
        let own = [number(1, "VI000001")];
        // before tags are visible: the only request that can have made it
        assert_eq!(decide(&marked, video("VI000001", 1, &[]), &[], &own), Some(BoundBy::Callback));
        assert_eq!(decide(&plain, video("VI000001", 1, &["a", "api"]), &[], &own), Some(BoundBy::Callback));
        assert_eq!(decide(&marked, video("VI000001", 1, &["telecine:x"]), &[], &own), Some(BoundBy::Marker));
        // a video that does not fit by its time or its tags
        assert_eq!(decide(&marked, video("VI000001", -90, &[]), &[], &own), None);
        assert_eq!(decide(&marked, video("VI000001", 90, &[]), &[], &own), None);
        assert_eq!(decide(&marked, video("VI000001", 1, &["telecine:y"]), &[], &own), None);
        assert_eq!(decide(&plain, video("VI000001", 1, &["b"]), &[], &own), None);
        // another request may have made it, until a call names one other video for it
        let others = [other.clone()];
        assert_eq!(decide(&marked, video("VI000001", 1, &[]), &others, &own), None);
        assert_eq!(
            decide(&marked, video("VI000001", 1, &["telecine:x"]), &others, &own),
            Some(BoundBy::Marker)
        );
        assert_eq!(
            decide(&marked, video("VI000001", 1, &[]), &[earlier(&other)], &own),
            Some(BoundBy::Callback)
        );
        let with = |others: &[CalledNumber]| [&own[..], others].concat();
        let named = with(&[number(2, "VI000002")]);
        assert_eq!(decide(&marked, video("VI000001", 1, &[]), &others, &named), Some(BoundBy::Callback));
        let twice = with(&[number(2, "VI000002"), number(2, "VI000003")]);
        assert_eq!(decide(&marked, video("VI000001", 1, &[]), &others, &twice), None);
        // two others that calls do not tell apart: one of the numbers is wrong, and it may be this one
        let third = PossibleSender { attempt: AttemptId::for_tests(3), ..other.clone() };
        let alike = with(&[number(2, "VI000002"), number(3, "VI000002")]);
        assert_eq!(decide(&marked, video("VI000001", 1, &[]), &[other.clone(), third], &alike), None);
        let wrong = with(&[CalledNumber { is_wrong: true, ..number(2, "VI000002") }]);
        assert_eq!(decide(&marked, video("VI000001", 1, &[]), &others, &wrong), None);
        let same = with(&[number(2, "VI000001")]);
        assert_eq!(decide(&marked, video("VI000001", 1, &[]), &others, &same), None);
        assert_eq!(decide(&marked, video("VI000001", 1, &[]), &[earlier(&other)], &same), None);
    }
}

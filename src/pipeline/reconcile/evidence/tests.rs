//! What evidence proves, and what it does not.

use super::*;
use crate::{
    api::IndexStatus,
    domain::{SourceUrl, Submission},
    ledger::AttemptId,
};

pub(super) const SENT: UnixMillis = UnixMillis(1_700_000_000_000);
pub(super) const MINUTE: i64 = 60_000;
/// A service that shows tags and times as they are.
const ACCURATE: ListingAccuracy = ListingAccuracy { tags: TagsShown::AsSent, time_gap_ms: Some(0) };

pub(super) fn unresolved_attempt(marker: Option<&str>, tags: &[&str]) -> UnresolvedAttempt {
    UnresolvedAttempt {
        attempt: AttemptId::for_tests(1),
        service_time: ServiceTime { earliest: Some(SENT), latest: Some(SENT) },
        state: State::InDoubt,
        sent_at: SENT,
        send_before: SENT.plus_ms(5_000),
        marker: marker.map(str::to_owned),
        submission: Submission {
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            ..Submission::new(SourceUrl::parse("https://host/a.mp4").unwrap(), "default".to_owned())
        },
        clear_at: None,
        absent_before: 0,
        was_called: false,
    }
}

pub(super) fn video(number: &str, minutes: i64, tags: &[&str]) -> ListedVideo {
    ListedVideo {
        video_no: VideoNo::parse(number).unwrap(),
        status: if tags.is_empty() { IndexStatus::InProgress } else { IndexStatus::Indexed },
        created_at: Some(SENT.plus_ms(minutes * MINUTE)),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        cause: None,
    }
}

pub(super) fn rules(on_doubt: OnDoubt) -> ReconcileRules {
    ReconcileRules { quiet: Duration::from_mins(30), on_doubt }
}

/// The decision on one request by a pass of its own.
pub(super) fn decide(
    unresolved: &UnresolvedAttempt,
    evidence: &Evidence<'_>,
    rules: &ReconcileRules,
) -> Decision {
    EvidencePass::new(evidence, rules).decide(unresolved)
}

fn decide_at(
    minutes: i64,
    unresolved: &UnresolvedAttempt,
    videos: &[ListedVideo],
    on_doubt: OnDoubt,
) -> Decision {
    let evidence =
        Evidence { possible_senders: vec![possible_sender(unresolved)], ..evidence(minutes, videos) };
    decide(unresolved, &evidence, &rules(on_doubt))
}

pub(super) fn possible_sender(unresolved: &UnresolvedAttempt) -> PossibleSender {
    PossibleSender {
        attempt: unresolved.attempt,
        sent_at: unresolved.sent_at,
        send_before: unresolved.send_before,
        service_time: unresolved.service_time,
        marker: unresolved.marker.clone(),
        tags: unresolved.submission.tags.clone(),
    }
}

fn evidence(minutes: i64, videos: &[ListedVideo]) -> Evidence<'_> {
    Evidence {
        unbound: videos.iter().collect(),
        bound: Vec::new(),
        begun_at: SENT.plus_ms(minutes * MINUTE),
        served_at: Some(SENT.plus_ms(minutes * MINUTE)),
        possible_senders: vec![possible_sender(&unresolved_attempt(Some("telecine:x"), &[]))],
        control_video_seen: ControlVideoSeen::Yes,
        accuracy: ACCURATE,
    }
}

#[test]
fn tags_that_a_video_does_not_show_prove_nothing_unless_known_videos_show_theirs_as_sent() {
    let mut unresolved = unresolved_attempt(Some("telecine:x"), &["a"]);
    unresolved.clear_at = Some(SENT.plus_ms(31 * MINUTE));
    let videos = [video("VI0001", 1, &["A", "api"])];
    let decide_where = |tags_shown: TagsShown, unresolved: &UnresolvedAttempt| {
        let possible_senders = vec![possible_sender(unresolved)];
        let accuracy = ListingAccuracy { tags: tags_shown, ..ACCURATE };
        decide(unresolved, &Evidence { possible_senders, accuracy, ..evidence(60, &videos) }, &rules(Hold))
    };
    for marker in [Some("telecine:x".to_owned()), None] {
        let unresolved = UnresolvedAttempt { marker, ..unresolved.clone() };
        assert_eq!(decide_where(TagsShown::AsSent, &unresolved), Decision::Absent);
        for tags_shown in [TagsShown::Changed, TagsShown::Unknown] {
            let decision = decide_where(tags_shown, &unresolved);
            assert_eq!(decision, Decision::RecordClearListing(None), "{tags_shown:?}: it may be this video");
        }
    }
}

#[test]
fn a_listing_that_shows_nothing_known_proves_no_absence() {
    let mut unresolved = unresolved_attempt(Some("telecine:x"), &[]);
    unresolved.clear_at = Some(SENT.plus_ms(31 * MINUTE));
    let unvouched = Evidence { control_video_seen: ControlVideoSeen::No, ..evidence(60, &[]) };
    assert_eq!(decide(&unresolved, &unvouched, &rules(Hold)), Decision::Wait);
    let late = Evidence { control_video_seen: ControlVideoSeen::No, ..evidence(25 * 60, &[]) };
    assert!(matches!(decide(&unresolved, &late, &rules(Hold)), Decision::Ask(_)));
}

#[test]
fn the_age_of_a_video_counts_by_the_services_own_clock() {
    let unresolved = unresolved_attempt(Some("telecine:x"), &[]);
    let videos = [video("VI0001", -50, &[])];
    let is_candidate = |videos: &[ListedVideo], behind_ms: Option<i64>| {
        let sent = behind_ms.map(|behind_ms| SENT.plus_ms(-behind_ms));
        let unresolved = UnresolvedAttempt {
            service_time: ServiceTime { earliest: sent, latest: sent },
            ..unresolved.clone()
        };
        let evidence = Evidence {
            possible_senders: vec![possible_sender(&unresolved)],
            served_at: None,
            ..evidence(31, videos)
        };
        decide(&unresolved, &evidence, &rules(Hold)) == Decision::Wait
    };
    assert!(!is_candidate(&videos, Some(0)), "it is older than the request");
    assert!(is_candidate(&videos, Some(60 * MINUTE)), "the service's clock is an hour behind ours");
    assert!(is_candidate(&videos, None), "the service's clock is unknown");
    let young = [video("VI0002", 80, &[])];
    assert!(!is_candidate(&young, Some(0)), "it was made long after the request could be accepted");
    assert!(is_candidate(&young, Some(-60 * MINUTE)), "the service's clock is an hour ahead of ours");
    assert!(is_candidate(&young, None), "the service's clock is unknown");
}

use OnDoubt::{Ask, Auto, Hold};

#[test]
fn a_marker_on_one_video_names_it_and_on_two_is_a_question() {
    let unresolved = unresolved_attempt(Some("telecine:x"), &["a"]);
    let one = [video("VI0001", 1, &["a", "telecine:x", "api"])];
    let found = decide_at(3, &unresolved, &one, Hold);
    assert!(matches!(found, Decision::Found { by: BoundBy::Marker, .. }), "{found:?}");
    let two = [one[0].clone(), video("VI0002", 2, &["telecine:x"])];
    assert!(matches!(decide_at(3, &unresolved, &two, Hold), Decision::Ask(_)));
}

#[test]
fn a_request_whose_marker_is_on_a_bound_video_is_not_absent_but_a_question() {
    let cleared = UnresolvedAttempt {
        clear_at: Some(SENT.plus_ms(31 * MINUTE)),
        ..unresolved_attempt(Some("telecine:x"), &[])
    };
    let taken = video("VI0001", 1, &["telecine:x", "api"]);
    let unbound = [video("VI0002", 1, &["telecine:x", "api"])];
    for (videos, on_doubt) in [(&[][..], Hold), (&[], Auto), (&[], Ask), (&unbound, Hold)] {
        let evidence = Evidence { bound: vec![&taken], ..evidence(40, videos) };
        let Decision::Ask(question) = decide(&cleared, &evidence, &rules(on_doubt)) else {
            panic!("{on_doubt:?}");
        };
        assert!(
            question.text.contains("VI0001, of another row in the ledger, carries its marker"),
            "{}",
            question.text
        );
    }
    // the marker of another request says nothing of this one
    let other = video("VI0001", 1, &["telecine:y", "api"]);
    let evidence = Evidence { bound: vec![&other], ..evidence(40, &[]) };
    assert_eq!(decide(&cleared, &evidence, &rules(Hold)), Decision::Absent);
}

#[test]
fn the_quiet_time_must_have_passed_by_the_services_clock_too() {
    let mut unresolved = unresolved_attempt(Some("telecine:x"), &[]);
    unresolved.clear_at = Some(SENT.plus_ms(31 * MINUTE));
    // our clock was set forward by half an hour between two runs; the service's was not
    let stepped = Evidence { served_at: Some(SENT.plus_ms(5 * MINUTE)), ..evidence(35, &[]) };
    assert_eq!(decide(&unresolved, &stepped, &rules(Hold)), Decision::Wait);
    let undated = Evidence { served_at: None, ..evidence(35, &[]) };
    assert_eq!(decide(&unresolved, &undated, &rules(Hold)), Decision::Absent);
}

#[test]
fn a_question_is_answered_by_its_marker_and_by_nothing_else() {
    let asked =
        UnresolvedAttempt { state: State::NeedsReview, ..unresolved_attempt(Some("telecine:x"), &[]) };
    assert_eq!(decide_at(60, &asked, &[], Hold), Decision::Wait);
    assert_eq!(decide_at(60, &asked, &[video("VI0001", 1, &[])], Auto), Decision::Wait);
    let marked = [video("VI0001", 1, &["telecine:x"])];
    assert!(matches!(decide_at(60, &asked, &marked, Ask), Decision::Found { .. }));
}

#[test]
fn a_request_that_was_called_is_not_absent_whatever_the_listings_show() {
    let called = UnresolvedAttempt {
        was_called: true,
        clear_at: Some(SENT.plus_ms(31 * MINUTE)),
        ..unresolved_attempt(Some("telecine:x"), &[])
    };
    assert_eq!(decide_at(40, &called, &[], OnDoubt::Hold), Decision::Wait);
    let quiet = UnresolvedAttempt { was_called: false, ..called };
    assert_eq!(decide_at(40, &quiet, &[], OnDoubt::Hold), Decision::Absent);
}

#[test]
fn absence_needs_the_quiet_time_and_two_listings_apart() {
    let mut unresolved = unresolved_attempt(Some("telecine:x"), &[]);
    assert_eq!(
        decide_at(30, &unresolved, &[], Hold),
        Decision::Wait,
        "one listing before the quiet time is over"
    );
    assert_eq!(
        decide_at(31, &unresolved, &[], Hold),
        Decision::RecordClearListing(Some(SENT.plus_ms(31 * MINUTE)))
    );
    unresolved.clear_at = Some(SENT.plus_ms(31 * MINUTE));
    assert_eq!(decide_at(31, &unresolved, &[], Hold), Decision::Wait, "the second listing is the first");
    assert_eq!(decide_at(32, &unresolved, &[], Hold), Decision::Absent);
}

#[test]
fn a_video_that_could_be_it_forbids_absence() {
    let mut unresolved = unresolved_attempt(Some("telecine:x"), &[]);
    unresolved.clear_at = Some(SENT.plus_ms(31 * MINUTE));
    let hidden = [video("VI0001", 1, &[])];
    assert_eq!(decide_at(40, &unresolved, &hidden, Hold), Decision::RecordClearListing(None));
    unresolved.clear_at = None;
    assert_eq!(decide_at(40, &unresolved, &hidden, Hold), Decision::Wait);
    assert!(matches!(decide_at(24 * 60 + 1, &unresolved, &hidden, Hold), Decision::Ask(_)));
    let failed = [ListedVideo { status: IndexStatus::Failed, ..video("VI0001", 1, &[]) }];
    assert_eq!(decide_at(40, &unresolved, &failed, Hold), Decision::Wait, "a failed video shows no tags");
}

#[test]
fn somebody_elses_video_proves_nothing_about_ours() {
    let marked = unresolved_attempt(Some("telecine:x"), &[]);
    let foreign = [video("VI0001", 1, &["b", "api"]), video("VI0002", 1, &["telecine:y"])];
    assert!(matches!(decide_at(31, &marked, &foreign, Hold), Decision::RecordClearListing(Some(_))));
    let old = [video("VI0003", -60, &[])];
    assert!(matches!(decide_at(31, &marked, &old, Hold), Decision::RecordClearListing(Some(_))));
    // without a marker, only the same tags could be ours
    let unmarked = unresolved_attempt(None, &["a", "b"]);
    assert!(matches!(decide_at(31, &unmarked, &foreign, Hold), Decision::RecordClearListing(Some(_))));
    let same = [video("VI0004", 1, &["b", "a", "api"])];
    assert_eq!(decide_at(31, &unmarked, &same, Hold), Decision::Wait);
}

#[test]
fn a_sole_candidate_counts_only_where_no_other_client_uploads() {
    let marked = unresolved_attempt(Some("telecine:x"), &[]);
    let sole = [video("VI0001", 1, &[])];
    assert_eq!(decide_at(3, &marked, &sole, Hold), Decision::Wait);
    assert_eq!(decide_at(3, &marked, &sole, Auto), Decision::AcceptedUnidentified);
    let unmarked = unresolved_attempt(None, &[]);
    assert!(matches!(
        decide_at(3, &unmarked, &sole, Auto),
        Decision::Found { by: BoundBy::SoleCandidate, .. }
    ));
}

#[test]
fn as_many_videos_as_open_requests_are_all_of_them_and_fewer_or_more_prove_nothing() {
    let first = unresolved_attempt(Some("telecine:x"), &[]);
    let second =
        UnresolvedAttempt { attempt: AttemptId::for_tests(2), ..unresolved_attempt(Some("telecine:y"), &[]) };
    let both = vec![possible_sender(&first), possible_sender(&second)];
    let videos = [video("VI0001", 1, &[]), video("VI0002", 1, &[]), video("VI0003", 1, &[])];
    let decide_both = |count: usize, rules: &ReconcileRules| {
        let evidence = Evidence { possible_senders: both.clone(), ..evidence(40, &videos[..count]) };
        (decide(&first, &evidence, rules), decide(&second, &evidence, rules))
    };
    assert_eq!(
        decide_both(2, &rules(Auto)),
        (Decision::AcceptedUnidentified, Decision::AcceptedUnidentified)
    );
    assert_eq!(
        decide_both(1, &rules(Auto)),
        (Decision::Wait, Decision::Wait),
        "one of them, nobody knows which"
    );
    assert_eq!(
        decide_both(3, &rules(Auto)),
        (Decision::Wait, Decision::Wait),
        "somebody else uploads after all"
    );
    assert_eq!(decide_both(2, &rules(Hold)), (Decision::Wait, Decision::Wait), "others may upload");
    // a request far away in time is no part of the set
    let later = Some(SENT.plus_ms(600 * MINUTE));
    let late = PossibleSender {
        service_time: ServiceTime { earliest: later, latest: later },
        ..possible_sender(&second)
    };
    let evidence =
        Evidence { possible_senders: vec![possible_sender(&first), late], ..evidence(40, &videos[..1]) };
    assert_eq!(decide(&first, &evidence, &rules(Auto)), Decision::AcceptedUnidentified);
}

#[test]
fn without_a_marker_a_set_is_counted_and_only_a_sole_candidate_is_named() {
    let first = unresolved_attempt(None, &[]);
    let second = UnresolvedAttempt { attempt: AttemptId::for_tests(2), ..unresolved_attempt(None, &[]) };
    let videos = [video("VI0001", 1, &[]), video("VI0002", 1, &[])];
    let evidence = Evidence {
        possible_senders: vec![possible_sender(&first), possible_sender(&second)],
        ..evidence(3, &videos)
    };
    assert_eq!(decide(&first, &evidence, &rules(Auto)), Decision::AcceptedUnidentified);
}

#[test]
fn whoever_wants_to_be_asked_is_asked_when_the_quiet_time_is_over() {
    let unresolved = unresolved_attempt(Some("telecine:x"), &[]);
    assert_eq!(decide_at(20, &unresolved, &[], Ask), Decision::Wait);
    assert!(matches!(decide_at(31, &unresolved, &[], Ask), Decision::Ask(_)), "absence is not concluded");
    let marked = [video("VI0001", 1, &["telecine:x"])];
    assert!(matches!(decide_at(31, &unresolved, &marked, Ask), Decision::Found { .. }));
}

#[test]
fn what_was_seen_to_take_long_lengthens_the_quiet_time() {
    let seen = |acceptance, listing| ObservedDelays {
        acceptance: Duration::from_mins(acceptance),
        listing: Duration::from_mins(listing),
    };
    assert_eq!(rules(Hold).with(seen(2, 3)).quiet, Duration::from_mins(30));
    assert_eq!(rules(Hold).with(seen(5, 25)).quiet, Duration::from_mins(90));
}

#[test]
fn what_is_counted_is_never_found_absent() {
    let counted = UnresolvedAttempt {
        state: State::AcceptedUnidentified,
        ..unresolved_attempt(Some("telecine:x"), &[])
    };
    for minutes in [31, 60, 600] {
        assert_eq!(decide_at(minutes, &counted, &[], Auto), Decision::Wait);
    }
    assert!(matches!(decide_at(25 * 60, &counted, &[], Auto), Decision::Ask(_)));
}

#[test]
fn many_requests_in_doubt_compare_each_pair_of_attempt_and_video_a_few_times_only() {
    const MANY: i64 = 300;
    let doubts: Vec<UnresolvedAttempt> = (0..MANY)
        .map(|number| {
            let sent_at = SENT.plus_ms(number * 40 * MINUTE);
            UnresolvedAttempt {
                attempt: AttemptId::for_tests(number),
                service_time: ServiceTime { earliest: Some(sent_at), latest: Some(sent_at) },
                sent_at,
                send_before: sent_at.plus_ms(5_000),
                ..unresolved_attempt(None, &[])
            }
        })
        .collect();
    // each video could be of the request before it or of the one behind it: one chain, the longest way through a component
    let videos: Vec<ListedVideo> =
        (0..MANY).map(|number| video(&format!("VI{number:06}"), number * 40, &[])).collect();
    let evidence = Evidence {
        possible_senders: doubts.iter().map(possible_sender).collect(),
        ..evidence(MANY * 40, &videos)
    };
    let wide = ReconcileRules { quiet: Duration::from_mins(40), on_doubt: Auto };
    let pass = EvidencePass::new(&evidence, &wide);
    assert!(doubts.iter().all(|unresolved| pass.decide(unresolved) == Decision::AcceptedUnidentified));
    let pairs = u64::try_from(MANY * MANY).unwrap();
    assert!(pass.compared() <= 3 * pairs, "{} comparisons of {pairs} pairs", pass.compared());
}

#[test]
fn times_of_a_listing_exclude_videos_only_as_far_as_they_agree_with_those_of_the_answers() {
    let unresolved = UnresolvedAttempt {
        clear_at: Some(SENT.plus_ms(31 * MINUTE)),
        ..unresolved_attempt(Some("telecine:x"), &[])
    };
    let early = [video("VI0001", -8 * 60, &[])];
    let decide_where = |time_gap_ms: Option<i64>| {
        let possible_senders = vec![possible_sender(&unresolved)];
        let accuracy = ListingAccuracy { time_gap_ms, ..ACCURATE };
        decide(&unresolved, &Evidence { possible_senders, accuracy, ..evidence(60, &early) }, &rules(Hold))
    };
    assert_eq!(decide_where(Some(0)), Decision::Absent, "it was made hours before the request");
    assert_eq!(
        decide_where(Some(8 * 60 * MINUTE)),
        Decision::RecordClearListing(None),
        "so are known videos"
    );
    assert_eq!(decide_where(None), Decision::RecordClearListing(None), "no known video shows its time");
}

#[test]
fn a_question_says_how_many_of_its_candidates_show_no_tags() {
    let (untagged, tagged) = (video("VI0001", 1, &[]), video("VI0002", 1, &["a"]));
    let text = question("no video shows its marker", &[&&untagged, &&tagged]).text;
    assert!(text.contains("; 1 of these shows no tags"), "{text}");
    assert!(!question("no video shows its marker", &[&&tagged]).text.contains("tags"));
}

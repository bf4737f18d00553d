//! What evidence proves, and what it does not.

use super::*;
use crate::{item::SourceUrl, item::Submission, ledger::AttemptId};

const SENT: UnixMillis = UnixMillis(1_700_000_000_000);
const MINUTE: i64 = 60_000;

fn doubt(marker: Option<&str>, tags: &[&str]) -> Doubt {
    Doubt {
        attempt: AttemptId::for_tests(1),
        state: State::InDoubt,
        sent_at: SENT,
        send_before: SENT.plus_ms(5_000),
        marker: marker.map(str::to_owned),
        submission: Submission {
            url: SourceUrl::parse("https://host/a.mp4").unwrap(),
            namespace: "default".to_owned(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            coordinates: None,
            datetime_taken: None,
            camera_model: None,
            callback: None,
            retain_original_video: None,
            video_transcription_prompt: None,
        },
        clear_at: None,
    }
}

fn video(number: &str, minutes: i64, tags: &[&str]) -> ListedVideo {
    ListedVideo {
        video_no: VideoNo::parse(number).unwrap(),
        status: if tags.is_empty() { IndexStatus::InProgress } else { IndexStatus::Indexed },
        created_at: Some(SENT.plus_ms(minutes * MINUTE)),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        cause: None,
    }
}

fn rules(namespace: NamespaceUse) -> Rules {
    Rules { quiet: Duration::from_mins(30), namespace }
}

fn weigh_at(minutes: i64, doubt: &Doubt, videos: &[ListedVideo], namespace: NamespaceUse) -> Decision {
    weigh(doubt, &scene(minutes, videos), &rules(namespace))
}

fn scene(minutes: i64, videos: &[ListedVideo]) -> Scene<'_> {
    Scene {
        unbound: videos.iter().collect(),
        begun_at: SENT.plus_ms(minutes * MINUTE),
        open_attempts: 1,
        vouched: Vouched::Yes,
        clock_behind_ms: Some(0),
    }
}

#[test]
fn a_listing_that_shows_nothing_known_proves_no_absence() {
    let mut doubt = doubt(Some("telecine:x"), &[]);
    doubt.clear_at = Some(SENT.plus_ms(31 * MINUTE));
    let unvouched = Scene { vouched: Vouched::No, ..scene(60, &[]) };
    assert_eq!(weigh(&doubt, &unvouched, &rules(Shared)), Decision::Wait);
    let late = Scene { vouched: Vouched::No, ..scene(25 * 60, &[]) };
    assert!(matches!(weigh(&doubt, &late, &rules(Shared)), Decision::Ask(_)));
}

#[test]
fn the_age_of_a_video_counts_by_the_services_own_clock() {
    let doubt = doubt(Some("telecine:x"), &[]);
    let videos = [video("VI0001", -50, &[])];
    let is_candidate = |clock_behind_ms| {
        weigh(&doubt, &Scene { clock_behind_ms, ..scene(31, &videos) }, &rules(Shared)) == Decision::Wait
    };
    assert!(!is_candidate(Some(0)), "it is older than the request");
    assert!(is_candidate(Some(60 * MINUTE)), "the service's clock is an hour behind ours");
    assert!(is_candidate(None), "nobody knows the service's clock");
}

use NamespaceUse::{Exclusive, Shared};

#[test]
fn a_marker_on_one_video_names_it_and_on_two_is_a_question() {
    let doubt = doubt(Some("telecine:x"), &["a"]);
    let one = [video("VI0001", 1, &["a", "telecine:x", "api"])];
    let found = weigh_at(3, &doubt, &one, Shared);
    assert!(matches!(found, Decision::Found { by: BoundBy::Marker, .. }), "{found:?}");
    let two = [one[0].clone(), video("VI0002", 2, &["telecine:x"])];
    assert!(matches!(weigh_at(3, &doubt, &two, Shared), Decision::Ask(_)));
}

#[test]
fn absence_needs_the_quiet_time_and_two_listings_apart() {
    let mut doubt = doubt(Some("telecine:x"), &[]);
    assert_eq!(
        weigh_at(30, &doubt, &[], Shared),
        Decision::Wait,
        "one listing before the quiet time is over"
    );
    assert_eq!(weigh_at(31, &doubt, &[], Shared), Decision::NoteClear(Some(SENT.plus_ms(31 * MINUTE))));
    doubt.clear_at = Some(SENT.plus_ms(31 * MINUTE));
    assert_eq!(weigh_at(31, &doubt, &[], Shared), Decision::Wait, "the second listing is the first");
    assert_eq!(weigh_at(32, &doubt, &[], Shared), Decision::Absent);
}

#[test]
fn a_video_that_could_be_it_forbids_absence() {
    let mut doubt = doubt(Some("telecine:x"), &[]);
    doubt.clear_at = Some(SENT.plus_ms(31 * MINUTE));
    let hidden = [video("VI0001", 1, &[])];
    assert_eq!(weigh_at(40, &doubt, &hidden, Shared), Decision::NoteClear(None));
    doubt.clear_at = None;
    assert_eq!(weigh_at(40, &doubt, &hidden, Shared), Decision::Wait);
    assert!(matches!(weigh_at(24 * 60 + 1, &doubt, &hidden, Shared), Decision::Ask(_)));
    let failed = [ListedVideo { status: IndexStatus::Failed, ..video("VI0001", 1, &[]) }];
    assert_eq!(weigh_at(40, &doubt, &failed, Shared), Decision::Wait, "a failed video shows no tags");
}

#[test]
fn somebody_elses_video_proves_nothing_about_ours() {
    let marked = doubt(Some("telecine:x"), &[]);
    let foreign = [video("VI0001", 1, &["b", "api"]), video("VI0002", 1, &["telecine:y"])];
    assert!(matches!(weigh_at(31, &marked, &foreign, Shared), Decision::NoteClear(Some(_))));
    let old = [video("VI0003", -60, &[])];
    assert!(matches!(weigh_at(31, &marked, &old, Shared), Decision::NoteClear(Some(_))));
    // without a marker, only the same tags could be ours
    let unmarked = doubt(None, &["a", "b"]);
    assert!(matches!(weigh_at(31, &unmarked, &foreign, Shared), Decision::NoteClear(Some(_))));
    let same = [video("VI0004", 1, &["b", "a", "api"])];
    assert_eq!(weigh_at(31, &unmarked, &same, Shared), Decision::Wait);
}

#[test]
fn a_sole_candidate_counts_only_where_nobody_else_uploads() {
    let marked = doubt(Some("telecine:x"), &[]);
    let sole = [video("VI0001", 1, &[])];
    assert_eq!(weigh_at(3, &marked, &sole, Shared), Decision::Wait);
    assert_eq!(weigh_at(3, &marked, &sole, Exclusive), Decision::Counted);
    let unmarked = doubt(None, &[]);
    assert!(matches!(
        weigh_at(3, &unmarked, &sole, Exclusive),
        Decision::Found { by: BoundBy::SoleCandidate, .. }
    ));
    let two = [sole[0].clone(), video("VI0002", 1, &[])];
    assert_eq!(weigh_at(3, &marked, &two, Exclusive), Decision::Wait);
    let scene = Scene { open_attempts: 2, ..scene(3, &sole) };
    assert_eq!(
        weigh(&marked, &scene, &rules(Exclusive)),
        Decision::Wait,
        "another open attempt could be it too"
    );
}

#[test]
fn what_is_counted_is_never_found_absent() {
    let counted = Doubt { state: State::Counted, ..doubt(Some("telecine:x"), &[]) };
    for minutes in [31, 60, 600] {
        assert_eq!(weigh_at(minutes, &counted, &[], Exclusive), Decision::Wait);
    }
    assert!(matches!(weigh_at(25 * 60, &counted, &[], Exclusive), Decision::Ask(_)));
}

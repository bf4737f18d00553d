//! A request without a clear answer is settled by evidence, and never sent again without it.

use std::time::Duration;

use telecine::{
    domain::{RunOutcome, StopReason},
    ledger::{DiffKind, ItemId, Marker},
    sandbox::{Fault, Faults, ListOrder, Policy},
};

use crate::support::harness::{Harness, KEY};

#[test]
fn every_kind_of_lost_answer_is_resolved_without_a_second_upload() {
    for (error, as_str) in Fault::ALL.iter().filter(|(error, _)| *error != Fault::Redirect) {
        let faults = Faults { share: 0.4, kinds: vec![*error] };
        let policy = Policy { faults, ..Policy::default() };
        let mut harness = Harness::new(policy, 12);
        harness.policy.concurrency = 20;
        // a row may meet several faults, each followed by a quiet time
        harness.policy.wait = Some(Duration::from_hours(8));
        let outcome = harness.run().outcome();
        assert!(harness.service.stats().faults > 0, "{as_str}: nothing went wrong");
        assert_eq!(outcome, RunOutcome::Finished, "{as_str}");
        assert_eq!(harness.counts().indexed, 12, "{as_str}: {:?}", harness.counts());
        assert_eq!(harness.accepted_counts().len(), 12, "{as_str}");
        assert!(harness.accepted_counts().values().all(|times| *times == 1), "{as_str}: paid twice");
    }
}

#[test]
fn a_run_killed_eight_times_uploads_every_row_exactly_once() {
    let mut doubts = 0;
    // clocks from ten minutes behind to eight ahead; `cargo xtask reliability` has random ones
    for seed in [0, 2, 5, 7, 9] {
        let faults = Faults { share: 0.3, kinds: Fault::passing() };
        let policy = Policy {
            faults,
            seed,
            visibility_lag: Duration::from_secs(seed * 50),
            read_fault_share: 0.3,
            clock_ahead_ms: (seed.cast_signed() - 5) * 115_000,
            answer_delay: Duration::from_millis(100)..=Duration::from_secs(4),
            ..Policy::default()
        };
        let mut harness = Harness::new(policy, 30);
        let mut rng = fastrand::Rng::with_seed(seed);
        for _ in 0..8 {
            harness.run_killed_after(Duration::from_millis(rng.u64(1..20_000)));
            doubts += usize::try_from(harness.counts().sending).unwrap();
        }
        let mut outcome = None;
        for _ in 0..4 {
            outcome = Some(harness.run().outcome());
            if outcome == Some(RunOutcome::Finished) {
                break;
            }
        }
        assert_eq!(outcome, Some(RunOutcome::Finished), "seed {seed}: {:?}", harness.counts());
        assert!(harness.accepted_counts().values().all(|times| *times == 1), "seed {seed}: paid twice");
        assert_eq!(harness.accepted_counts().len(), 30, "seed {seed}: something is lost");
        assert_eq!(harness.counts().indexed, 30, "seed {seed}");
        assert_eq!(harness.snapshot().contradictions().unwrap(), 0, "seed {seed}");
    }
    assert!(doubts > 5, "only {doubts} requests were in flight when the program was killed");
}

#[test]
fn a_request_in_doubt_is_not_sent_again_while_there_is_no_evidence() {
    let faults = Faults { share: 1.0, kinds: vec![Fault::CutAfter] };
    let policy = Policy { faults, visibility_lag: Duration::from_hours(10_000), ..Policy::default() };
    let mut harness = Harness::new(policy, 3);
    // the listings show new videos only after the quiet time
    harness.policy.reconcile.quiet = Duration::from_hours(20_000);
    for _ in 0..5 {
        assert_eq!(harness.run().outcome(), RunOutcome::WaitOver);
    }
    assert_eq!(harness.service.stats().uploads, 3);
    assert_eq!(harness.counts().in_doubt, 3);
}

#[test]
fn a_foreign_video_that_could_be_the_lost_one_is_left_to_a_human() {
    let faults = Faults { share: 1.0, kinds: vec![Fault::CutBefore] };
    let policy = Policy {
        faults,
        index_delay: Duration::from_hours(999)..=Duration::from_hours(999),
        ..Policy::default()
    };
    let mut harness = Harness::new(policy, 1);
    harness.run_killed_after(Duration::from_secs(5));
    // another tool uploads a video that is never indexed: it could be ours
    harness.service.upload_foreign(KEY, "default", "https://stranger/clip.mp4");
    for _ in 0..14 {
        harness.run();
    }
    assert_eq!(harness.counts().needs_review, 1);
    assert_eq!(harness.service.stats().uploads, 1, "it was not sent again");
}

#[test]
fn a_redirected_upload_stops_the_run_and_its_row_is_in_doubt() {
    let faults = Faults { share: 1.0, kinds: vec![Fault::Redirect] };
    let mut harness = Harness::new(Policy { faults, ..Policy::default() }, 5);
    let RunOutcome::Stopped { reason, cause } = harness.run().outcome() else { panic!("it did not stop") };
    assert_eq!(reason, StopReason::NotTheService);
    assert!(cause.contains("elsewhere.example"), "{cause}");
    assert!(harness.service.stats().uploads <= 4, "it burned through rows");
    assert_eq!(
        harness.counts().in_doubt,
        harness.service.stats().uploads,
        "a redirect is not the answer of the service"
    );
}

#[test]
fn a_video_that_no_listing_shows_is_requested_by_its_number() {
    let mut harness = Harness::new(Policy { unlisted_share: 0.5, ..Policy::default() }, 12);
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    assert_eq!(harness.counts().indexed, 12);
    assert!(harness.service.videos().iter().any(|video| video.unlisted), "every video was listed");
}

#[test]
fn a_service_clock_that_is_an_hour_off_causes_no_second_upload() {
    for clock_ahead_ms in [-3_600_000, 3_600_000] {
        let faults = Faults { share: 0.3, kinds: vec![Fault::CutAfter] };
        let policy = Policy {
            faults,
            clock_ahead_ms,
            index_delay: Duration::from_hours(1)..=Duration::from_hours(1),
            ..Policy::default()
        };
        let mut harness = Harness::new(policy, 12);
        harness.policy.concurrency = 20;
        while harness.run().outcome() != RunOutcome::Finished {}
        assert!(harness.service.stats().faults > 0, "nothing went wrong");
        assert!(
            harness.accepted_counts().values().all(|times| *times == 1),
            "paid twice at {clock_ahead_ms} ms"
        );
        assert_eq!(harness.counts().indexed, 12);
    }
}

#[test]
fn a_listing_that_shows_no_video_does_not_count_as_evidence() {
    let faults = Faults { share: 0.3, kinds: vec![Fault::CutAfter] };
    let mut harness = Harness::new(Policy { faults, unlisted_share: 1.0, ..Policy::default() }, 12);
    harness.policy.concurrency = 20;
    for _ in 0..14 {
        harness.run();
    }
    let lost = harness.service.stats().faults;
    assert!(lost > 0, "nothing went wrong");
    assert_eq!(harness.service.stats().uploads, 12, "something was sent again");
    assert_eq!((harness.counts().needs_review, harness.counts().indexed), (lost, 12 - lost));
}

#[test]
fn on_doubt_ask_leaves_a_lost_request_to_a_human_and_sends_it_not_again() {
    let policy = Policy { faults_at: vec![(1, Fault::CutBefore), (2, Fault::CutAfter)], ..Policy::default() };
    let mut harness = Harness::new(policy, 4);
    harness.policy.reconcile.on_doubt = telecine::pipeline::OnDoubt::Ask;
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    assert_eq!(
        (harness.counts().needs_review, harness.counts().indexed),
        (1, 3),
        "the marker identified the other"
    );
    assert_eq!(harness.service.stats().uploads, 4);
    let questions = harness.snapshot().open_questions().unwrap();
    assert!(questions[0].text.contains("no listed video could be it"), "{}", questions[0].text);
}

#[test]
fn a_listing_with_times_of_another_clock_proves_no_absence() {
    let hours = Duration::from_hours(3);
    for (listed_behind_ms, order) in
        [(28_800_000, ListOrder::NewestFirst), (-28_800_000, ListOrder::OldestFirst)]
    {
        let policy = Policy {
            faults_at: vec![(2, Fault::CutAfter)],
            index_delay: hours..=hours,
            listed_behind_ms,
            order,
            ..Policy::default()
        };
        let mut harness = Harness::new(policy, 8);
        harness.policy.wait = Some(Duration::from_hours(30));
        assert_eq!(harness.run().outcome(), RunOutcome::Finished);
        assert_eq!(harness.counts().indexed, 8, "its marker shows when it is indexed");
        assert_eq!(harness.service.stats().uploads, 8, "it was sent again");
    }
}

#[test]
fn a_listing_that_leaves_out_known_videos_proves_no_absence() {
    let index_delay = Duration::from_mins(90)..=Duration::from_mins(90);
    let policy = Policy {
        faults_at: vec![(2, Fault::CutAfter)],
        listed_max: Some(4),
        index_delay,
        ..Policy::default()
    };
    let mut harness = Harness::new(policy, 8);
    harness.policy.wait = Some(Duration::from_hours(30));
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    assert_eq!((harness.counts().needs_review, harness.counts().indexed), (1, 7));
    assert_eq!(harness.service.stats().uploads, 8, "it was sent again");
}

#[test]
fn where_the_service_changes_tags_a_lost_answer_waits_for_a_human_and_is_not_paid_twice() {
    for marker in [Marker::On, Marker::Off] {
        let policy =
            Policy { faults_at: vec![(2, Fault::CutAfter)], changes_tags: true, ..Policy::default() };
        let mut harness = Harness::new(policy, 8);
        harness.policy.marker = marker;
        harness.policy.wait = Some(Duration::from_hours(30));
        assert_eq!(harness.run().outcome(), RunOutcome::Finished);
        assert_eq!((harness.counts().needs_review, harness.counts().indexed), (1, 7), "{marker:?}");
        assert_eq!(harness.service.stats().uploads, 8, "{marker:?}: it was sent again");
        let questions = harness.snapshot().open_questions().unwrap();
        assert!(questions[0].text.contains("it could be VI"), "{}", questions[0].text);
    }
}

#[test]
fn where_the_service_shows_tags_late_a_lost_answer_is_not_paid_twice() {
    for seed in 0..24 {
        let policy = Policy {
            faults_at: vec![(2, Fault::CutAfter)],
            tags_lag: Duration::from_mins(20),
            index_delay: Duration::from_mins(1)..=Duration::from_mins(50),
            seed,
            ..Policy::default()
        };
        let mut harness = Harness::new(policy, 3);
        harness.policy.wait = Some(Duration::from_hours(30));
        assert_eq!(harness.run().outcome(), RunOutcome::Finished, "seed {seed}");
        assert_eq!(harness.service.stats().uploads, 3, "seed {seed}: it was sent again");
        assert_eq!(harness.counts().needs_review + harness.counts().indexed, 3, "seed {seed}");
    }
}

#[test]
fn in_an_exclusive_account_lost_requests_are_matched_with_new_videos_by_number() {
    let policy = Policy {
        faults_at: vec![(2, Fault::CutAfter), (3, Fault::CutAfter)],
        index_delay: Duration::from_hours(3)..=Duration::from_hours(3),
        ..Policy::default()
    };
    let mut harness = Harness::new(policy, 4);
    harness.policy.reconcile.on_doubt = telecine::pipeline::OnDoubt::Auto;
    harness.policy.wait = Some(Duration::from_mins(5));
    assert_eq!(harness.run().outcome(), RunOutcome::WaitOver);
    assert_eq!((harness.counts().accepted_unidentified, harness.counts().in_doubt), (2, 0));
    harness.policy.wait = Some(Duration::from_hours(5));
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    assert_eq!(harness.counts().indexed, 4);
    assert_eq!(harness.service.stats().uploads, 4);
}

#[test]
fn a_request_in_doubt_without_a_complete_listing_needs_review_after_a_day() {
    let policy = Policy {
        faults_at: vec![(2, Fault::CutBefore)],
        read_fault_share: 1.0,
        read_faults: vec![telecine::sandbox::ReadFault::WrongTotal],
        ..Policy::default()
    };
    let mut harness = Harness::new(policy, 3);
    harness.policy.wait = Some(Duration::from_hours(30));
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    assert_eq!(harness.counts().needs_review, 1);
    assert_eq!(harness.service.stats().uploads, 3, "it was sent again");
    let questions = harness.snapshot().open_questions().unwrap();
    assert!(questions[0].text.contains("no listing could be read whole"), "{}", questions[0].text);
}

#[test]
fn a_run_blocked_by_requests_in_doubt_ends_when_its_wait_is_over() {
    let faults_at = (1..=6).map(|at| (at, Fault::CutBefore)).collect();
    let mut harness = Harness::new(Policy { faults_at, ..Policy::default() }, 9);
    harness.policy.wait = None;
    assert_eq!(harness.run().outcome(), RunOutcome::TooManyInDoubt { open: 6 });
    harness.policy.wait = Some(Duration::from_mins(20));
    let before = harness.now;
    assert_eq!(harness.run().outcome(), RunOutcome::TooManyInDoubt { open: 6 });
    let minutes = harness.now.since_ms(before) / 60_000;
    assert!((20..22).contains(&minutes), "{minutes} minutes");
    assert_eq!(harness.service.stats().uploads, 6);
}

#[test]
fn a_review_question_is_withdrawn_when_evidence_arrives() {
    let policy = Policy {
        faults_at: vec![(2, Fault::CutAfter)],
        index_delay: Duration::from_hours(2)..=Duration::from_hours(2),
        ..Policy::default()
    };
    let mut harness = Harness::new(policy, 3);
    harness.policy.reconcile.on_doubt = telecine::pipeline::OnDoubt::Ask;
    harness.policy.wait = Some(Duration::from_mins(40));
    assert_eq!(harness.run().outcome(), RunOutcome::WaitOver);
    assert_eq!(harness.counts().needs_review, 1);
    harness.policy.wait = Some(Duration::from_hours(5));
    while harness.run().outcome() != RunOutcome::Finished {}
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    assert_eq!((harness.counts().needs_review, harness.counts().indexed), (0, 3));
}

#[test]
fn a_wall_clock_set_forward_between_two_runs_causes_no_second_upload() {
    for step_ms in [600_000, 2_400_000, 36_000_000] {
        let policy = Policy {
            faults_at: vec![(4, Fault::Late)],
            lateness_max: Duration::from_mins(14),
            seed: 5,
            ..Policy::default()
        };
        let mut harness = Harness::new(policy, 5);
        harness.run_killed_after(Duration::from_secs(6));
        harness.clock_step_ms = step_ms;
        harness.policy.wait = Some(Duration::from_hours(3));
        harness.run();
        assert!(harness.service.stats().faults > 0, "nothing went wrong");
        assert!(
            harness.accepted_counts().values().all(|times| *times == 1),
            "paid twice after a step of {step_ms} ms"
        );
    }
}

/// Records that a human adopted a video for an item.
pub(super) fn adopt(harness: &Harness, item: i64, video_no: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let ledger = telecine::ledger::Ledger::open_offline(harness.ledger(), harness.now).unwrap();
    let video_no = telecine::domain::VideoNo::parse(video_no).unwrap();
    let decision = telecine::ledger::ReviewDecision {
        answer: telecine::ledger::ReviewAnswer::Adopt(video_no),
        who: "ann".to_owned(),
        why: "it looks like it".to_owned(),
        at: harness.now,
    };
    let item = ItemId::numbered(item);
    runtime.block_on(ledger.write(move |store| store.answer(item, &decision))).unwrap();
    runtime.block_on(ledger.close());
}

#[test]
fn a_request_whose_video_was_adopted_for_another_row_is_asked_about_and_not_sent_again() {
    let policy = Policy {
        faults_at: vec![(1, Fault::CutBefore), (2, Fault::CutAfter)],
        // no tags are shown when the human decides
        index_delay: Duration::from_mins(20)..=Duration::from_mins(20),
        ..Policy::default()
    };
    let mut harness = Harness::new(policy, 3);
    harness.run_killed_after(Duration::from_mins(1));
    let second = harness.service.videos().remove(0);
    adopt(&harness, 1, &second.video_no);
    harness.policy.wait = Some(Duration::from_hours(5));
    harness.run();
    assert_eq!((harness.counts().needs_review, harness.counts().indexed), (1, 2), "{:?}", harness.counts());
    let uploads = harness.service.stats().uploads;
    assert!(harness.accepted_counts().values().all(|times| *times == 1), "{:?}", harness.accepted_counts());
    let questions = harness.snapshot().open_questions().unwrap();
    assert_eq!(questions[0].item, ItemId::numbered(2));
    let taken = format!("{}, of another row in the ledger, carries its marker", second.video_no);
    assert!(questions[0].text.contains(&taken), "{}", questions[0].text);
    harness.run();
    assert_eq!(harness.service.stats().uploads, uploads, "nothing is sent again");
    let diffs = harness.library_diffs.lock().unwrap().clone();
    assert!(diffs.iter().all(|diff| diff.count(DiffKind::Missing) == 0), "{diffs:?}");
}

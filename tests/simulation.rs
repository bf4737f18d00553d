//! Whole runs in virtual time: the real pipeline and a real ledger against a mock of the service.

use std::{collections::BTreeSet, fmt::Write as _, time::Duration};

use crate::support::harness::{Harness, KEY, RunResult, T0, UndoResult, limit, limits, spec};
use telecine::{
    app::plan::{Plan, PlanBasis, PlanRequest, plan},
    clock::Clock,
    domain::{RunOutcome, State, StopReason, UnixMillis},
    error::ExitCode,
    ledger::{DeletedRows, DiffKind, FailedRows, ItemId, Marker, RerunPolicy},
    manifest::{Manifest, ManifestSpec, RowRules},
    pipeline::OnDoubt,
    sandbox::{DeleteFault, Fault, Faults, Limiter, ListOrder, Policy, ReadFault, Video},
};

#[test]
fn every_row_is_uploaded_once_and_becomes_searchable() {
    let mut harness = Harness::new(Policy::default(), 50);
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    assert_eq!(harness.counts().indexed, 50);
    assert_eq!(harness.accepted_counts().len(), 50);
    assert_eq!(harness.service.stats().uploads, 50, "more requests than needed");
    // tags arrive as written; the marker follows them
    let video = harness.service.videos().into_iter().find(|video| video.url.ends_with("0008.mp4")).unwrap();
    assert_eq!(video.tags[..2], ["a", "b1"]);
    assert!(video.tags[2].starts_with("telecine:"));
}

#[test]
fn a_second_run_of_a_finished_import_makes_no_request() {
    let mut harness = Harness::new(Policy::default(), 10);
    harness.run();
    let before = harness.service.stats();
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    assert_eq!(harness.service.stats(), before);
}

#[test]
fn uploads_use_the_whole_rate_and_never_exceed_it() {
    for limiter in [Limiter::Sliding, Limiter::Spacing] {
        let policy = Policy { upload_rate: Some(limit("1/min")), limiter, ..Policy::default() };
        let mut harness = Harness::new(policy, 30);
        harness.limits = limits("1/min", &[]);
        assert_eq!(harness.run().outcome(), RunOutcome::Finished);
        assert_eq!(harness.service.stats().refusals, 0);
        let minutes = harness.now.since_ms(T0) / 60_000;
        assert!((29..=31).contains(&minutes), "{minutes} minutes for 30 rows at 1/min");
    }
}

#[test]
fn a_service_that_allows_less_than_the_rate_given_slows_the_run_and_loses_no_row() {
    // the limit given is 1/s, the service allows 1 in 10 s
    let policy = Policy { upload_rate: Some(limit("1/10s")), ..Policy::default() };
    let mut harness = Harness::new(policy, 20);
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    assert_eq!(harness.counts().indexed, 20);
    assert!(harness.service.stats().refusals > 0, "the service refused nothing");
    assert!(harness.service.stats().refusals <= 100, "{:?}", harness.service.stats());
}

#[test]
fn a_full_cap_window_is_waited_for_without_a_refusal() {
    let policy = Policy { caps: vec![limit("10/2h")], ..Policy::default() };
    let mut harness = Harness::new(policy, 35);
    harness.limits = limits("1/s", &["10/2h"]);
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    assert_eq!(harness.service.stats().refusals, 0);
    assert!(harness.collector.count("waiting") >= 3, "it says that it waits");
    let minutes = harness.now.since_ms(T0) / 60_000;
    assert!((360..366).contains(&minutes), "{minutes} minutes for four windows");
}

#[test]
fn the_announced_end_of_a_wait_is_when_the_next_upload_leaves() {
    let answer_delay = Duration::from_secs(2)..=Duration::from_secs(3);
    let mut harness = Harness::new(Policy { answer_delay, ..Policy::default() }, 7);
    // both uploads of a window are in flight at once, and count for longer while they are
    harness.limits = limits("20/s", &["2/10m"]);
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    let waits = harness.collector.all("waiting");
    let ends = waits.iter().map(|event| event["until"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap());
    let sent: Vec<UnixMillis> = harness.service.videos().iter().map(|video| video.created_at).collect();
    assert!(waits.len() >= 3, "{waits:?}");
    for end in ends {
        let is_next =
            sent.iter().any(|at| (0..30_000).contains(&at.since_ms(UnixMillis(end.as_millisecond()))));
        assert!(is_next, "nothing left at the end of the wait that was announced: {end}");
    }
}

#[test]
fn a_rate_with_long_intervals_ends_a_run_that_is_not_to_wait() {
    let mut harness = Harness::new(Policy::default(), 3);
    harness.limits = limits("1/10min", &[]);
    harness.policy.quota_wait_max = Some(Duration::from_mins(5));
    let RunOutcome::QuotaPaused { why } = harness.run().outcome() else { panic!("it waited") };
    assert!(why.contains("rate"), "{why}");
    assert_eq!(harness.accepted_counts().len(), 1);
    harness.policy.quota_wait_max = None;
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    assert_eq!(harness.collector.count("waiting"), 1, "it is said once");
}

#[test]
fn a_restarted_run_still_counts_the_uploads_of_earlier_runs() {
    let policy = Policy { caps: vec![limit("10/2h")], ..Policy::default() };
    let mut harness = Harness::new(policy, 25);
    harness.limits = limits("1/s", &["10/2h"]);
    for _ in 0..20 {
        harness.run_killed_after(Duration::from_mins(10));
    }
    assert!(matches!(harness.run(), RunResult::Ended(RunOutcome::Finished)));
    assert_eq!(harness.service.stats().refusals, 0);
    assert!(harness.accepted_counts().values().all(|times| *times == 1));
}

#[test]
fn a_run_without_credits_stops_at_once_and_loses_no_row() {
    let policy = Policy { credits: Some(5), ..Policy::default() };
    let mut harness = Harness::new(policy, 30);
    let RunOutcome::Stopped { reason, .. } = harness.run().outcome() else { panic!("it did not stop") };
    assert_eq!(reason, StopReason::CreditsOut);
    assert_eq!(harness.accepted_counts().len(), 5);
    let asked = harness.service.stats().uploads;
    assert!(asked <= 5 + 4, "{asked} requests: it burned through rows");
    assert_eq!(harness.counts().pending, 25, "no row is lost by it");
}

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
fn a_time_limit_ends_a_run_and_the_next_run_resumes() {
    let mut harness = Harness::new(Policy::default(), 3);
    harness.policy.time_max = Some(Duration::from_secs(1));
    assert_eq!(harness.run().outcome(), RunOutcome::TimeUp);
    harness.policy.time_max = None;
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
}

#[test]
fn a_row_limit_ends_a_run_and_the_next_run_resumes() {
    let mut harness = Harness::new(Policy::default(), 10);
    harness.policy.rows_max = Some(4);
    assert_eq!(harness.run().outcome(), RunOutcome::RowsMax);
    assert_eq!((harness.counts().indexed, harness.counts().pending), (4, 6));
    harness.policy.rows_max = None;
    harness.policy.wait = None;
    assert_eq!(harness.run().outcome(), RunOutcome::NotWaited);
    assert_eq!(harness.counts().pending, 0);
    harness.policy.wait = Some(Duration::from_hours(1));
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    assert_eq!(harness.counts().indexed, 10);
    assert_eq!(harness.service.stats().uploads, 10);
}

#[test]
fn a_video_whose_indexing_failed_is_reported_and_not_sent_again() {
    let policy = Policy { fail_share: 1.0, ..Policy::default() };
    let mut harness = Harness::new(policy, 5);
    harness.run();
    harness.run();
    assert_eq!(harness.counts().failed, 5);
    assert_eq!(harness.service.stats().uploads, 5);
    assert_eq!(harness.collector.count("indexing_failed"), 5);
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
fn a_video_deleted_at_the_service_is_not_sent_again() {
    let policy =
        Policy { index_delay: Duration::from_hours(1)..=Duration::from_hours(1), ..Policy::default() };
    let mut harness = Harness::new(policy, 2);
    harness.policy.wait = Some(Duration::from_mins(5));
    assert_eq!(harness.run().outcome(), RunOutcome::WaitOver);
    let video = harness.service.videos().remove(0);
    assert!(harness.service.delete(&video.video_no));
    harness.policy.wait = Some(Duration::from_hours(2));
    assert_eq!(harness.run().outcome(), RunOutcome::WaitOver);
    let messages = harness.collector.all("message");
    let is_said =
        |event: &&serde_json::Value| event.to_string().contains("no longer shows this accepted video");
    assert_eq!(messages.iter().filter(is_said).count(), 1, "it waits, and says so");
    assert_eq!((harness.counts().indexed, harness.counts().accepted), (1, 1));
    assert_eq!(harness.service.stats().uploads, 2);
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
fn a_pending_row_removed_from_the_manifest_is_not_sent() {
    let mut harness = Harness::new(Policy::default(), 6);
    harness.policy.rows_max = Some(2);
    assert_eq!(harness.run().outcome(), RunOutcome::RowsMax);
    let text = std::fs::read_to_string(harness.manifest()).unwrap();
    let kept: Vec<&str> = text.lines().filter(|line| !line.contains("0004")).collect();
    std::fs::write(harness.manifest(), kept.join("\n")).unwrap();
    harness.policy.rows_max = None;
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    assert!(harness.accepted_counts().keys().all(|url| !url.contains("0004")), "a removed row was paid");
    assert_eq!((harness.counts().indexed, harness.counts().pending), (5, 1));
}

#[test]
fn a_run_stops_when_the_service_rejects_row_after_row_for_the_same_cause() {
    let mut harness = Harness::new(Policy::default(), 60);
    // the mock rejects every row of this host
    let text = std::fs::read_to_string(harness.manifest())
        .unwrap()
        .replace("https://host", "https://refused.example");
    std::fs::write(harness.manifest(), text).unwrap();
    harness.service.refuse_host("refused.example");
    let RunOutcome::Stopped { reason, .. } = harness.run().outcome() else { panic!("it did not stop") };
    assert_eq!(reason, StopReason::MostlyRejected);
    assert!(harness.counts().rejected <= 24, "{:?}", harness.counts());
    harness.service.refuse_host("");
    harness.policy.reruns.failed = telecine::ledger::FailedRows::Retry;
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    assert_eq!(harness.counts().indexed, 60);
}

#[test]
fn a_refused_key_stops_a_run_that_only_reads_listings() {
    let policy =
        Policy { index_delay: Duration::from_hours(1)..=Duration::from_hours(1), ..Policy::default() };
    let mut harness = Harness::new(policy, 2);
    harness.policy.wait = None;
    assert_eq!(harness.run().outcome(), RunOutcome::NotWaited);
    harness.policy.wait = Some(Duration::from_hours(2));
    harness.key = "";
    let RunOutcome::Stopped { reason, .. } = harness.run().outcome() else { panic!("it waited") };
    assert_eq!(reason, StopReason::KeyRefused);
}

#[test]
fn two_runs_with_the_same_seed_are_equal() {
    let story = |seed| {
        let faults = Faults { share: 0.3, kinds: Fault::passing() };
        let mut harness = Harness::new(Policy { faults, seed, ..Policy::default() }, 15);
        harness.run_killed_after(Duration::from_secs(7));
        harness.run();
        (harness.now, harness.service.stats(), harness.service.videos())
    };
    assert_eq!(story(3), story(3));
    assert_ne!(story(3).0, story(4).0);
}

#[test]
fn a_budget_is_used_up_but_never_exceeded() {
    let faults = Faults { share: 0.3, kinds: vec![Fault::CutAfter, Fault::CutBefore] };
    let mut harness = Harness::new(Policy { faults, ..Policy::default() }, 12);
    harness.policy.uploads_max = Some(7);
    harness.policy.wait = Some(Duration::from_hours(30));
    assert_eq!(harness.run().outcome(), RunOutcome::BudgetSpent);
    assert!(harness.service.stats().faults > 0, "nothing went wrong");
    assert_eq!(harness.accepted_counts().len(), 7, "the budget is used, too");
    assert_eq!(harness.snapshot().committed_uploads().unwrap(), 7);
    harness.policy.uploads_max = None;
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    assert_eq!(harness.accepted_counts().len(), 12);
}

#[test]
fn a_run_without_its_ledger_notices_its_videos_in_the_library_and_sends_nothing() {
    let mut harness = Harness::new(Policy::default(), 6);
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", harness.ledger().display()));
    }
    // without the high-water mark the loss cannot be noticed there
    std::fs::remove_dir_all(harness.folder.path().join("high-water")).unwrap();
    assert!(matches!(harness.run().outcome(), RunOutcome::AlreadyUploaded { .. }));
    assert_eq!(harness.service.stats().uploads, 6, "something was sent again");
}

#[test]
fn videos_that_wait_for_long_cost_few_reads() {
    let index_delay = Duration::from_mins(20)..=Duration::from_mins(30);
    let mut harness = Harness::new(Policy { index_delay, ..Policy::default() }, 1_000);
    harness.limits = limits("5/s", &[]);
    harness.policy.concurrency = 32;
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    let reads = harness.service.stats().reads;
    // 100 videos a request: each is asked for about five times. With a poll for each that is due it would be one a second
    assert!(reads <= 150, "{reads} reads for 1,000 videos");
}

#[test]
fn a_run_that_sent_something_compares_the_ledger_with_the_library() {
    let mut harness = Harness::new(Policy::default(), 8);
    harness.run();
    let reads = harness.service.stats().reads;
    assert_eq!(harness.library_diffs.lock().unwrap().len(), 1);
    let library_diff = harness.library_diffs.lock().unwrap().remove(0);
    assert_eq!(
        (library_diff.listed, library_diff.bound, library_diff.matched, library_diff.findings.len()),
        (8, 8, 8, 0)
    );
    harness.run();
    assert_eq!(harness.service.stats().reads, reads, "a run that sent nothing reads no listing");
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
fn a_service_that_refuses_reads_does_not_keep_a_run_beyond_its_wait() {
    let policy = Policy {
        faults_at: vec![(2, Fault::CutBefore)],
        read_rate: Some(limit("3/10h")),
        ..Policy::default()
    };
    let mut harness = Harness::new(policy, 8);
    harness.policy.wait = Some(Duration::from_secs(45));
    let before = harness.now;
    assert_eq!(harness.run().outcome(), RunOutcome::WaitOver);
    let seconds = harness.now.since_ms(before) / 1_000;
    assert!(seconds < 120, "{seconds} s");
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
fn a_second_video_of_one_row_is_reported() {
    let mut harness = Harness::new(Policy::default(), 3);
    harness.policy.rows_max = Some(2);
    harness.run();
    // a repeated request with the same marker breaks the assumption that each request arrives once
    let video = harness.service.videos().remove(0);
    harness.service.upload_again(&video.video_no);
    harness.policy.rows_max = None;
    harness.run();
    let library_diffs = harness.library_diffs.lock().unwrap();
    let last = library_diffs.last().unwrap();
    assert_eq!(last.count(DiffKind::Surplus), 1, "{last:?}");
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

#[test]
fn a_video_of_an_abandoned_row_is_not_reported_as_a_duplicate() {
    let mut harness = Harness::new(Policy { faults_at: vec![(1, Fault::CutAfter)], ..Policy::default() }, 3);
    harness.policy.rows_max = Some(2);
    harness.run_killed_after(Duration::from_secs(3));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let ledger = telecine::ledger::Ledger::open_offline(harness.ledger(), harness.now).unwrap();
    let decision = telecine::ledger::ReviewDecision {
        answer: telecine::ledger::ReviewAnswer::GiveUp,
        who: "ann".to_owned(),
        why: "not needed".to_owned(),
        at: harness.now,
    };
    let item = telecine::ledger::ItemId::numbered(1);
    runtime.block_on(ledger.write(move |store| store.answer(item, &decision))).unwrap();
    runtime.block_on(ledger.close());
    harness.policy.rows_max = None;
    harness.run();
    let library_diffs = harness.library_diffs.lock().unwrap();
    let last = library_diffs.last().unwrap();
    let count = |kind| last.count(kind);
    assert_eq!((count(DiffKind::ResolvedByReview), count(DiffKind::Surplus)), (1, 0), "{last:?}");
}

/// What `telecine plan` says of the next run.
fn plan_of(harness: &Harness) -> Plan {
    let basis = PlanBasis { reading: Vec::new(), rows: Vec::new(), limits: harness.limits.clone() };
    let request = PlanRequest {
        ledger: harness.ledger().into(),
        basis,
        reruns: RerunPolicy::default(),
        probe_age_max: None,
        price: None,
        bandwidth: harness.policy.bandwidth_max,
    };
    plan_by(&request, harness)
}

fn plan_by(request: &PlanRequest, harness: &Harness) -> Plan {
    let spec = spec(&harness.manifest());
    let rules = RowRules { files: harness.files_root.clone(), ..spec.rules.clone() };
    let manifest = Manifest::open(&ManifestSpec { rules, ..spec }).unwrap();
    plan(request, vec![manifest], &Clock::still(harness.now)).unwrap()
}

/// Compares a plan with what a run does then: the uploads, when the last one leaves, and the links that expire before.
fn assert_plan_holds(harness: &mut Harness, what: &str) {
    let planned = plan_of(harness);
    let (before, began) = (harness.service.stats().uploads, harness.now);
    harness.policy.wait = Some(Duration::from_hours(100));
    harness.run();
    let sent = harness.service.stats().uploads - before;
    assert_eq!(planned.would_send, sent, "{what}");
    let last_sent_at = harness.snapshot().last_sent_at().unwrap().unwrap_or(began);
    let (run, planned_for) = (last_sent_at.since_ms(began) / 1000, planned.seconds);
    let tolerance = 15 + run / 50;
    assert!((run - planned_for).abs() <= tolerance, "{what}: {run} s, planned {planned_for} s");
    let expired =
        harness.collector.all("links_expiring").last().map_or(0, |event| event["count"].as_u64().unwrap());
    assert_eq!(planned.links_expire, expired, "{what}");
}

#[test]
fn a_plan_says_how_long_files_take() {
    const KIB: u64 = 1_024;
    for (rate, caps, sizes) in [
        // one after the other, with the distance of the rate
        ("1/min", &[][..], &[600 * KIB, 10 * KIB, 10 * KIB, 3_000 * KIB, 10 * KIB][..]),
        // beside each other: the bandwidth decides
        ("1/s", &[], &[500 * KIB; 12]),
        // the limits decide
        ("1/s", &[], &[KIB / 2; 40]),
        ("1/s", &["5/1h"], &[300 * KIB; 12]),
    ] {
        let mut harness = Harness::new(Policy::default(), 0);
        harness.write_files(sizes);
        harness.limits = limits(rate, caps);
        harness.policy.bandwidth_max = Some(8 * KIB);
        let plan = plan_of(&harness);
        let bytes: u64 = sizes.iter().sum();
        assert_eq!((plan.files, plan.file_bytes), (sizes.len() as u64, bytes));
        harness.policy.bandwidth_max = None;
        let unknown = plan_of(&harness);
        assert_eq!(unknown.transfer_seconds, None);
        assert!(unknown.seconds <= plan.seconds, "{rate} {caps:?}");
        harness.policy.bandwidth_max = Some(8 * KIB);
        harness.policy.wait = Some(Duration::from_hours(100));
        let began = harness.now;
        harness.run();
        let last = harness.service.videos().iter().map(|video| video.created_at).max().unwrap();
        let took = last.since_ms(began) / 1_000;
        let tolerance = 30 + took / 20;
        assert!(
            (took - plan.seconds).abs() <= tolerance,
            "{rate} {caps:?}: {took} s, planned {} s",
            plan.seconds
        );
    }
}

#[test]
fn the_arithmetic_of_a_plan_says_what_a_run_does() {
    for (rate, caps, rows) in [
        ("1/s", &[][..], 60),
        ("1/min", &[], 12),
        ("60/min:burst", &[], 70),
        ("2/s", &["15/2h"], 40),
        ("1/s", &["10/1h", "25/1day"], 30),
    ] {
        let mut harness = Harness::new(Policy::default(), rows);
        harness.limits = limits(rate, caps);
        assert_plan_holds(&mut harness, &format!("{rate} {caps:?}"));
        // half of the rows are there, and their uploads count in the windows
        let mut text = std::fs::read_to_string(harness.manifest()).unwrap();
        for row in 0..rows / 2 {
            let _ = writeln!(text, "N{row},https://host/new-{row}.mp4,a");
        }
        std::fs::write(harness.manifest(), text).unwrap();
        assert_plan_holds(&mut harness, &format!("{rate} {caps:?}, again"));
    }
}

#[test]
fn a_plan_counts_the_links_that_expire_before_their_turn() {
    let mut harness = Harness::new(Policy::default(), 0);
    harness.limits = limits("1/min", &[]);
    let mut text = "url\n".to_owned();
    for row in 0..60 {
        // every second link lives for 10 to 39 minutes
        let expires = T0.since_ms(UnixMillis(0)) / 1000 + 600 + row * 30;
        let query = if row % 2 == 0 { format!("?Expires={expires}") } else { String::new() };
        let _ = writeln!(text, "https://host/{row}.mp4{query}");
    }
    std::fs::write(harness.manifest(), text).unwrap();
    assert_plan_holds(&mut harness, "expiring links");
}

/// A night of the month, counted from 1.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    /// The network is down for five minutes.
    ShortOutage,
    /// The network is down for the whole night.
    LongOutage,
    /// The answers to some uploads are lost.
    LostAnswers,
    /// The machine restarts in the middle of the run.
    Restart,
    /// The key has expired.
    ExpiredKey,
    /// An invalid row appears.
    BadRow,
    /// The service rejects a row.
    RejectedRow,
}

const fn trouble_of(night: usize) -> Trouble {
    match night {
        5 => Trouble::BadRow,
        9 => Trouble::ShortOutage,
        11 | 26 => Trouble::LostAnswers,
        12 => Trouble::RejectedRow,
        15 => Trouble::LongOutage,
        // the cap is full then
        13 => Trouble::Restart,
        21 | 22 => Trouble::ExpiredKey,
        _ => Trouble::None,
    }
}

/// What somebody must be told of: what no later night puts right by itself.
const fn needs_a_person(trouble: Trouble) -> bool {
    matches!(trouble, Trouble::LongOutage | Trouble::ExpiredKey | Trouble::BadRow | Trouble::RejectedRow)
}

/// The manifest of a night: it grows, some rows get other tags after they were sent, the order changes, and old rows go.
fn manifest_of_night(night: usize) -> String {
    let newest = 6 + 4 * night + if night >= 13 { 40 } else { 0 };
    let mut rows: Vec<String> = (night / 3..newest)
        .map(|row| {
            let edited = if row % 11 == 0 && night > 10 { ";edited" } else { "" };
            format!("R{row:04},https://host/clip-{row:04}.mp4,a;b{}{edited}", row % 7)
        })
        .collect();
    if night.is_multiple_of(2) {
        rows.reverse();
    }
    if night >= 5 {
        rows.insert(3, "B1,ftp://bucket/no-link.mp4,".to_owned());
    }
    if night >= 12 {
        rows.push("B2,https://refused.example/clip.mp4,".to_owned());
    }
    // the same link twice
    rows.push(rows[1].replace("R0", "D0"));
    format!("id,url,tags\n{}\n", rows.join("\n"))
}

/// When the service cannot be reached.
fn outages_of(trouble: Trouble, midnight: UnixMillis) -> Vec<(UnixMillis, UnixMillis)> {
    match trouble {
        Trouble::ShortOutage => {
            vec![(midnight.plus(Duration::from_mins(2)), midnight.plus(Duration::from_mins(7)))]
        }
        Trouble::LongOutage => vec![(midnight, midnight.plus(Duration::from_hours(12)))],
        Trouble::None
        | Trouble::LostAnswers
        | Trouble::Restart
        | Trouble::ExpiredKey
        | Trouble::BadRow
        | Trouble::RejectedRow => Vec::new(),
    }
}

#[test]
fn a_month_of_nightly_runs_sends_each_row_once_keeps_every_limit_and_calls_a_person_only_when_one_is_needed()
{
    const NIGHTS: usize = 30;
    let policy = Policy {
        upload_rate: Some(limit("1/min")),
        caps: vec![limit("12/2h")],
        read_rate: Some(limit("1/s")),
        index_delay: Duration::from_secs(5)..=Duration::from_secs(30),
        faults_at: [48, 49, 150].map(|upload| (upload, Fault::CutAfter)).to_vec(),
        ..Policy::default()
    };
    let mut harness = Harness::new(policy, 0);
    harness.limits = limits("1/min", &["12/2h"]);
    harness.is_nightly = true;
    harness.policy.time_max = Some(Duration::from_hours(5));
    harness.service.refuse_host("refused.example");
    let mut reported = Vec::new();
    let mut pauses = 0;
    for night in 1..=NIGHTS {
        let midnight = T0.plus(Duration::from_hours(24 * night as u64));
        assert!(harness.now <= midnight, "night {night}: the run before lasts until the next one");
        harness.now = midnight;
        std::fs::write(harness.manifest(), manifest_of_night(night)).unwrap();
        let trouble = trouble_of(night);
        harness.key = if trouble == Trouble::ExpiredKey { "" } else { KEY };
        harness.outages = outages_of(trouble, midnight);
        harness.second_start_after = (night % 4 == 0).then_some(Duration::from_secs(90));
        if trouble == Trouble::Restart {
            assert!(matches!(harness.run_killed_after(Duration::from_mins(40)), RunResult::Killed));
            harness.boot = Some("after the restart");
            harness.now = harness.now.plus(Duration::from_mins(5));
        }
        let outcome = harness.run().outcome();
        pauses += usize::from(outcome == RunOutcome::TimeUp);
        let code = harness.exit_code.lock().unwrap().take().unwrap();
        // what cron mails, and what a monitor shows in red
        if code != ExitCode::Success {
            reported.push((night, code));
        }
        assert_eq!(
            code != ExitCode::Success,
            needs_a_person(trouble),
            "night {night}: {outcome:?}, exit {}",
            code.number()
        );
    }
    let codes = [
        (5, ExitCode::SomeFailed),
        (12, ExitCode::SomeFailed),
        (15, ExitCode::Temporary),
        (21, ExitCode::Fatal),
        (22, ExitCode::Fatal),
    ];
    assert_eq!(reported, codes);
    assert!(pauses > 0, "no night was too short for its rows");
    let stats = harness.service.stats();
    assert_eq!((stats.refusals, stats.read_refusals), (0, 0), "a limit was exceeded");
    assert_eq!(stats.faults, 3, "no answer was lost");
    let accepted = harness.accepted_counts();
    assert!(accepted.values().all(|times| *times == 1), "paid twice: {accepted:?}");
    assert_eq!(accepted.len(), 6 + 4 * NIGHTS + 40, "each row once: {:?}", harness.counts());
    let second_starts = harness.second_starts.lock().unwrap().clone();
    assert!(second_starts.len() >= 6, "{second_starts:?}");
    assert!(second_starts.iter().all(|error| error.contains("in use")), "{second_starts:?}");
    let mut runs = harness.snapshot().runs(100).unwrap();
    runs.reverse();
    for pair in runs.windows(2) {
        assert!(pair[0].ended_at.is_none_or(|ended_at| ended_at <= pair[1].started_at), "runs overlap");
    }
    assert_eq!(runs.iter().filter(|run| run.ended_at.is_none()).count(), 1, "only the restart left one open");
    assert_eq!(harness.snapshot().problems().unwrap(), Vec::<String>::new());
}

/// The numbers of the videos that the mock deleted.
fn deleted(harness: &Harness) -> BTreeSet<String> {
    harness.service.deleted().into_iter().map(|video| video.video_no).collect()
}

/// Two imports of which the second uploads six rows more.
fn two_runs(policy: Policy) -> (Harness, BTreeSet<String>) {
    let mut harness = Harness::new(policy, 4);
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    let first: BTreeSet<String> = numbers_of(&harness.service.videos());
    harness.write_rows(0..10);
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    let all = numbers_of(&harness.service.videos());
    (harness, all.difference(&first).cloned().collect())
}

fn numbers_of(videos: &[Video]) -> BTreeSet<String> {
    videos.iter().map(|video| video.video_no.clone()).collect()
}

#[test]
fn an_undo_that_is_killed_at_any_point_is_ended_by_the_same_command() {
    let delays = Duration::from_millis(300)..=Duration::from_millis(300);
    let policy = || Policy { answer_delay: delays.clone(), ..Policy::default() };
    let mut kills = 0;
    for step in 0.. {
        let (mut harness, of_run) = two_runs(policy());
        let first = harness.undo_killed_after(2, Duration::from_millis(1 + step * 110));
        let asked: BTreeSet<String> = harness.ordered_deletions();
        assert!(deleted(&harness).is_subset(&asked), "step {step}: deleted before it was recorded");
        assert!(asked.is_subset(&of_run), "step {step}: {asked:?}");
        let was_killed = matches!(first, UndoResult::Killed);
        let end = if was_killed { harness.undo(2) } else { first };
        let UndoResult::Ended(end) = end else { panic!("step {step}: {end:?}") };
        assert!(end.open.is_empty() && end.stop.is_none() && end.left == 0, "step {step}: {end:?}");
        assert_eq!(deleted(&harness), of_run, "step {step}: exactly the videos of the run");
        assert_eq!((harness.counts().deleted, harness.counts().indexed), (6, 4), "step {step}");
        assert_eq!(harness.snapshot().problems().unwrap(), Vec::<String>::new(), "step {step}");
        assert_eq!(harness.snapshot().open_deletions().unwrap(), 0, "step {step}");
        if !was_killed {
            break;
        }
        kills += 1;
    }
    assert!(kills >= 8, "only {kills} points were tried");
}

#[test]
fn refused_and_lost_deletions_are_asked_for_again_until_listings_prove_them() {
    for (fault, name) in DeleteFault::ALL.iter().filter(|(fault, _)| *fault != DeleteFault::Ignored) {
        let policy =
            Policy { delete_fault_share: 0.6, delete_faults: vec![*fault], seed: 3, ..Policy::default() };
        let (mut harness, of_run) = two_runs(policy);
        let mut calls = 0;
        loop {
            calls += 1;
            assert!(calls < 6, "{name}: it never ends");
            let result = harness.undo(2);
            let UndoResult::Ended(end) = result else { panic!("{name}: {result:?}") };
            if end.open.is_empty() && end.stop.is_none() {
                break;
            }
        }
        assert_eq!(deleted(&harness), of_run, "{name}");
        assert_eq!(harness.counts().deleted, 6, "{name}");
    }
    // a service that is stricter than the documents
    let policy = Policy { delete_rate: Some("1/20s".parse().unwrap()), ..Policy::default() };
    let (mut harness, of_run) = two_runs(policy);
    harness.undo(2);
    harness.undo(1);
    assert_eq!(deleted(&harness).len(), 10);
    assert!(deleted(&harness).is_superset(&of_run));
}

#[test]
fn what_has_no_clear_outcome_and_what_was_replaced_later_is_not_deleted() {
    let faults_at = vec![(2, Fault::CutAfter), (3, Fault::CutBefore)];
    let mut harness = Harness::new(Policy { faults_at, fail_share: 1.0, ..Policy::default() }, 4);
    // the lost ones stay in doubt: failed videos show no tags
    harness.policy.wait = Some(Duration::from_mins(5));
    harness.run();
    assert_eq!((harness.counts().failed, harness.counts().in_doubt), (2, 2));
    // one of the failed ones is replaced by a later run
    let failed = harness.snapshot().bound_items("default", ItemId::numbered(0), 9).unwrap();
    harness.write_rows(0..1);
    harness.policy.reruns.failed = FailedRows::Retry;
    harness.run();
    let UndoResult::Ended(end) = harness.undo(1) else { panic!() };
    assert!(end.open.is_empty(), "{end:?}");
    assert_eq!(deleted(&harness), BTreeSet::from([failed[1].video_no.to_string()]));
    assert_eq!((harness.counts().deleted, harness.counts().in_doubt), (1, 2));
}

#[test]
fn a_video_that_was_bound_as_the_only_candidate_is_kept_and_named() {
    let policy = Policy { faults_at: vec![(2, Fault::CutAfter)], ..Policy::default() };
    let mut harness = Harness::new(policy, 3);
    harness.policy.marker = Marker::Off;
    harness.policy.reconcile.on_doubt = OnDoubt::Auto;
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    assert_eq!(harness.counts().indexed, 3, "{:?}", harness.counts());
    let UndoResult::Ended(end) = harness.undo(1) else { panic!() };
    assert_eq!((end.gone, end.kept.len()), (2, 1), "{end:?}");
    assert!(end.kept[0].cause.contains("nothing proves whose it is"), "{end:?}");
    assert_eq!(deleted(&harness).len(), 2);
    assert!(!harness.ordered_deletions().contains(end.kept[0].video_no.as_str()));
}

#[test]
fn a_row_whose_video_is_at_the_service_again_is_bound_to_it_and_not_paid_again() {
    let (mut harness, of_run) = two_runs(Policy::default());
    let UndoResult::Ended(end) = harness.undo(2) else { panic!() };
    assert_eq!(end.gone, 6);
    harness.service.restore();
    harness.write_rows(0..11);
    harness.policy.reruns.deleted = DeletedRows::Reupload;
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    assert_eq!((harness.counts().indexed, harness.counts().deleted), (11, 0));
    assert!(harness.accepted_counts().values().all(|times| *times == 1), "{:?}", harness.accepted_counts());
    // they can be deleted once more
    let UndoResult::Ended(end) = harness.undo(2) else { panic!() };
    assert_eq!((end.gone, deleted(&harness)), (6, of_run));

    let mut harness = Harness::new(Policy { fail_share: 1.0, ..Policy::default() }, 3);
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    assert_eq!(harness.counts().failed, 3);
    harness.service.restore();
    harness.policy.reruns.failed = FailedRows::Retry;
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    assert_eq!((harness.counts().indexed, harness.service.videos().len()), (3, 3));
}

#[test]
fn a_spent_budget_does_not_keep_rows_from_the_search_that_binds_them_for_nothing() {
    for is_budget in [true, false] {
        let (mut harness, _) = two_runs(Policy::default());
        let UndoResult::Ended(end) = harness.undo(2) else { panic!() };
        assert_eq!(end.gone, 6);
        harness.service.restore();
        // four rows are new: they may not be sent
        harness.write_rows(0..14);
        harness.policy.reruns.deleted = DeletedRows::Reupload;
        let expected = if is_budget {
            harness.policy.uploads_max = Some(10);
            RunOutcome::BudgetSpent
        } else {
            harness.policy.rows_max = Some(0);
            RunOutcome::RowsMax
        };
        assert_eq!(harness.run().outcome(), expected);
        assert_eq!(
            (harness.counts().indexed, harness.counts().deleted, harness.counts().pending),
            (10, 0, 4)
        );
        assert_eq!(harness.service.videos().len(), 10);
    }
}

#[test]
fn a_spent_budget_ends_the_run_also_where_no_listing_can_be_read() {
    let policy =
        Policy { read_fault_share: 0.97, read_faults: vec![ReadFault::BadGateway], ..Policy::default() };
    let mut harness = Harness::new(policy, 5);
    harness.service.disable_faults();
    harness.run();
    let UndoResult::Ended(end) = harness.undo(1) else { panic!() };
    assert_eq!(end.gone, 5);
    harness.write_rows(0..6);
    harness.policy.reruns.deleted = DeletedRows::Reupload;
    harness.policy.uploads_max = Some(5);
    harness.service.enable_faults();
    let before = harness.now;
    harness.run();
    assert!(harness.now.since_ms(before) < 3_600_000, "{} ms", harness.now.since_ms(before));
    assert_eq!(harness.service.stats().uploads, 5);
}

/// Records that a human adopted a video for an item.
fn adopt(harness: &Harness, item: i64, video_no: &str) {
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

#[test]
fn a_row_whose_marker_is_on_the_video_of_another_row_is_not_sent_again() {
    let policy = Policy { faults_at: vec![(1, Fault::CutBefore)], fail_share: 1.0, ..Policy::default() };
    let mut harness = Harness::new(policy, 2);
    harness.policy.wait = Some(Duration::from_mins(5));
    harness.run();
    assert_eq!((harness.counts().in_doubt, harness.counts().failed), (1, 1));
    // the second row has two videos, and a human takes one of them for the first row
    let failed = harness.service.videos().remove(0).video_no;
    assert!(harness.service.upload_again(&failed));
    let again = harness.service.videos().remove(1).video_no;
    adopt(&harness, 1, &again);
    harness.service.restore();
    assert!(harness.service.delete(&failed));
    harness.policy.reruns.failed = FailedRows::Retry;
    let uploads = harness.service.stats().uploads;
    harness.run();
    assert_eq!((harness.service.stats().uploads, harness.counts().pending), (uploads, 1));
    let messages = harness.collector.all("message");
    let said = format!("item 2 is not sent again: {again} carries its marker, and belongs to item 1");
    assert!(messages.iter().any(|event| event.to_string().contains(&said)), "{messages:?}");
}

#[test]
fn while_no_listing_can_be_read_nothing_is_sent_that_may_be_there() {
    let policy =
        || Policy { read_fault_share: 0.97, read_faults: vec![ReadFault::BadGateway], ..Policy::default() };
    // rows to be sent again
    let mut harness = Harness::new(policy(), 5);
    harness.service.disable_faults();
    harness.run();
    let UndoResult::Ended(end) = harness.undo(1) else { panic!() };
    assert_eq!(end.gone, 5);
    harness.service.restore();
    harness.policy.reruns.deleted = DeletedRows::Reupload;
    for is_listing in [false, false, true] {
        if is_listing {
            harness.service.disable_faults();
        } else {
            harness.service.enable_faults();
        }
        harness.run();
        assert!(harness.accepted_counts().values().all(|times| *times == 1), "{is_listing}");
    }
    assert_eq!((harness.counts().indexed, harness.service.videos().len()), (5, 5));
    // rows of another ledger
    let mut harness = Harness::new(policy(), 5);
    harness.service.disable_faults();
    harness.run();
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", harness.ledger().display()));
    }
    std::fs::remove_dir_all(harness.folder.path().join("high-water")).unwrap();
    harness.service.enable_faults();
    let outcome = harness.run().outcome();
    let is_unlisted = matches!(outcome, RunOutcome::Stopped { reason: StopReason::Unlisted, .. });
    assert!(is_unlisted || matches!(outcome, RunOutcome::AlreadyUploaded { .. }), "{outcome:?}");
    assert_eq!(harness.service.videos().len(), 5);
}

#[test]
fn a_row_that_is_bound_to_an_earlier_video_has_the_content_of_that_video() {
    let mut harness = Harness::new(Policy { fail_share: 1.0, ..Policy::default() }, 3);
    harness.run();
    assert_eq!(harness.counts().failed, 3);
    harness.service.restore();
    let changed = std::fs::read_to_string(harness.manifest()).unwrap().replace("a;b", "other;b");
    std::fs::write(harness.manifest(), changed).unwrap();
    harness.policy.reruns.failed = FailedRows::Retry;
    harness.run();
    assert_eq!((harness.counts().indexed, harness.service.videos().len()), (3, 3));
    assert_eq!(harness.collector.count("row_drifted"), 0);
    harness.policy.reruns = RerunPolicy::default();
    harness.run();
    assert_eq!(harness.collector.count("row_drifted"), 3, "the videos have the old tags");
}

#[test]
fn a_replaced_video_that_is_searchable_after_all_is_a_second_video() {
    let index_delay = Duration::from_mins(10)..=Duration::from_mins(12);
    let mut harness = Harness::new(Policy { fail_share: 1.0, index_delay, ..Policy::default() }, 3);
    harness.run();
    assert_eq!(harness.counts().failed, 3);
    harness.policy.reruns.failed = FailedRows::Retry;
    harness.run_killed_after(Duration::from_mins(2));
    assert_eq!(harness.service.videos().len(), 6, "they were sent again");
    harness.service.restore();
    harness.policy.reruns = RerunPolicy::default();
    // another row makes the run compare the library at its end
    harness.write_rows(0..4);
    harness.run();
    let diffs = harness.library_diffs.lock().unwrap().clone();
    assert_eq!(diffs.last().map(|diff| diff.count(DiffKind::Surplus)), Some(3), "{diffs:?}");
}

#[test]
fn a_video_that_is_indexed_while_its_row_waits_to_be_sent_again_is_found() {
    let mut harness = Harness::new(Policy { fail_share: 1.0, ..Policy::default() }, 4);
    harness.run();
    harness.policy.reruns.failed = FailedRows::Retry;
    harness.limits = limits("1/2h", &[]);
    // the first is searched for and sent; the others wait for their turn
    harness.run_killed_after(Duration::from_mins(5));
    let sent = harness.service.videos().len();
    assert!(sent <= 5, "{sent}");
    harness.service.restore();
    harness.run_killed_after(Duration::from_mins(30));
    assert_eq!(harness.service.videos().len(), sent, "nothing more is paid");
    assert_eq!(harness.counts().pending, 0);
}

#[test]
fn a_deleted_video_does_not_keep_a_later_doubt_open_and_its_row_is_sent_again_by_order() {
    let (mut harness, _) = two_runs(Policy { faults_at: vec![(11, Fault::CutBefore)], ..Policy::default() });
    let UndoResult::Ended(end) = harness.undo(2) else { panic!() };
    assert_eq!(end.gone, 6);
    harness.write_rows(0..11);
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    assert_eq!((harness.counts().indexed, harness.counts().deleted), (5, 6), "{:?}", harness.counts());
    harness.policy.reruns.deleted = DeletedRows::Reupload;
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    assert_eq!((harness.counts().indexed, harness.counts().deleted), (11, 0));
    assert_eq!(harness.snapshot().state_counts().unwrap().of(State::Indexed), 11);
    assert_eq!(harness.accepted_counts().values().filter(|times| **times == 2).count(), 6);
    assert_eq!(harness.service.videos_of(KEY).len(), 11);
}

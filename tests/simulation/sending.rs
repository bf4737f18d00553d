//! Rows are sent once, at the whole rate and under every limit.

use std::time::Duration;

use telecine::{
    domain::{RunOutcome, StopReason, UnixMillis},
    sandbox::{Fault, Faults, Limiter, Policy},
};

use crate::support::harness::{Harness, RunResult, T0, limit, limits};

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

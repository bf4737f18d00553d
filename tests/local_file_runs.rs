//! Whole runs with files on this machine in virtual time: bodies that take hours, lost answers, kills, and caps.

use std::time::Duration;

use crate::support::harness::{Harness, RunResult, limit, limits};
use telecine::{
    domain::RunOutcome,
    sandbox::{Fault, Faults, FileCut, Limiter, Policy},
};

/// A size in bytes that takes an hour at [`BANDWIDTH`].
const HOUR: u64 = 3_600 * BANDWIDTH;
/// Few parts an hour: each costs a step of the simulation.
const BANDWIDTH: u64 = 2 * 1024;

fn harness_of(policy: Policy, sizes: &[u64]) -> Harness {
    let mut harness = Harness::new(policy, 0);
    harness.write_files(sizes);
    harness.policy.bandwidth_max = Some(BANDWIDTH);
    harness.policy.wait = Some(Duration::from_hours(8));
    harness
}

#[track_caller]
fn assert_each_accepted_once(harness: &Harness, count: usize, what: &str) {
    let counts = harness.accepted_counts();
    assert!(counts.values().all(|times| *times == 1), "{what}: paid twice: {counts:?}");
    assert_eq!(counts.len(), count, "{what}: {counts:?}");
    assert_eq!(harness.counts().indexed, count as u64, "{what}: {:?}", harness.counts());
}

#[test]
fn a_doubt_counts_from_the_last_byte_of_a_file_and_not_from_its_claim() {
    // the short files are known and visible when the long one is in doubt: nothing else keeps it from being sent again
    let policy = Policy {
        faults_at: vec![(3, Fault::CutAfter)],
        visibility_lag: Duration::from_mins(10),
        ..Policy::default()
    };
    let mut harness = harness_of(policy, &[1_000, HOUR, 1_000]);
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    assert_eq!(harness.service.stats().faults, 1);
    assert_each_accepted_once(&harness, 3, "a lost answer");
}

#[test]
fn a_lost_answer_to_a_file_that_took_an_hour_is_resolved_without_a_second_upload() {
    for fault in [Fault::CutAfter, Fault::Late, Fault::Hang, Fault::BadGateway, Fault::CutBefore] {
        let policy = Policy {
            faults: Faults { share: 0.5, kinds: vec![fault] },
            // the video shows long after its request began, and soon after it ended
            visibility_lag: Duration::from_mins(10),
            seed: 3,
            ..Policy::default()
        };
        let mut harness = harness_of(policy, &[HOUR / 2; 6]);
        let outcome = harness.run().outcome();
        assert!(harness.service.stats().faults > 0, "{fault:?}: nothing went wrong");
        assert_eq!(outcome, RunOutcome::Finished, "{fault:?}");
        assert_each_accepted_once(&harness, 6, &format!("{fault:?}"));
    }
}

#[test]
fn a_run_killed_in_the_middle_of_files_uploads_every_file_exactly_once() {
    let mut doubts = 0;
    for seed in 0..4 {
        let policy = Policy {
            faults: Faults { share: 0.2, kinds: Fault::passing() },
            file_cuts: vec![FileCut { file: 2, after: 1_000_000 }, FileCut { file: 5, after: 1 }],
            visibility_lag: Duration::from_mins(5),
            answer_delay: Duration::from_secs(1)..=Duration::from_secs(20),
            seed,
            ..Policy::default()
        };
        let mut harness = harness_of(policy, &[HOUR / 4, HOUR / 8, 1, HOUR / 3, 100_000, HOUR / 4]);
        let mut dice = fastrand::Rng::with_seed(seed);
        for _ in 0..6 {
            harness.run_killed_after(Duration::from_secs(dice.u64(1..5_000)));
            doubts += harness.counts().in_doubt + harness.counts().sending;
        }
        harness.policy.wait = Some(Duration::from_hours(24));
        let end = harness.run();
        assert!(matches!(end, RunResult::Ended(RunOutcome::Finished)), "seed {seed}: {end:?}");
        assert_each_accepted_once(&harness, 6, &format!("seed {seed}"));
    }
    assert!(doubts > 5, "the kills hit nothing: {doubts}");
}

#[test]
fn files_that_take_longer_than_a_window_keep_their_places_in_it() {
    // the long files are accepted in their third hour: nothing else may use their places before
    let policy = Policy { caps: vec![limit("2/2h")], ..Policy::default() };
    let mut harness = harness_of(policy, &[HOUR * 3 / 2, HOUR * 3 / 2, 1_000, 1_000]);
    harness.limits = limits("1/s", &["2/2h"]);
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    assert_eq!(harness.service.stats().refusals, 0);
    assert_each_accepted_once(&harness, 4, "a cap");
}

#[test]
fn a_restarted_run_still_counts_a_file_that_took_longer_than_a_window() {
    let faults_at = vec![(1, Fault::CutAfter)];
    let policy = Policy { caps: vec![limit("1/2h")], faults_at, ..Policy::default() };
    let mut harness = harness_of(policy, &[HOUR * 3, 1_000]);
    harness.limits = limits("1/s", &["1/2h"]);
    // it ends right behind the last byte of the file
    harness.run_killed_after(Duration::from_mins(181));
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    assert_eq!(harness.service.stats().refusals, 0);
    assert_each_accepted_once(&harness, 2, "a cap");
}

#[test]
fn files_keep_their_distance_at_their_ends_and_at_their_beginnings() {
    // the mock counts a request when it is whole
    const MINUTE: u64 = 60 * BANDWIDTH;
    let mixed = &[5 * MINUTE, 1_000, 1_000, 2 * MINUTE, 1_000, MINUTE / 2, 1_000][..];
    // those that are sent at the same time end at nearly the same time
    let alike = &[MINUTE; 8][..];
    for (rate, limiter, sizes) in [
        ("1/min", Limiter::Sliding, mixed),
        ("1/min", Limiter::Spacing, mixed),
        ("1/s", Limiter::Sliding, mixed),
        ("1/s", Limiter::Sliding, alike),
        ("1/s", Limiter::Spacing, alike),
    ] {
        let policy = Policy { upload_rate: Some(limit(rate)), limiter, ..Policy::default() };
        let mut harness = harness_of(policy, sizes);
        harness.limits = limits(rate, &[]);
        assert_eq!(harness.run().outcome(), RunOutcome::Finished);
        assert_eq!(harness.service.stats().refusals, 0, "{rate} {limiter:?}");
        assert_each_accepted_once(&harness, sizes.len(), rate);
    }
}

//! An undo deletes what a run made, and nothing else.

use std::{collections::BTreeSet, time::Duration};

use telecine::{
    domain::RunOutcome,
    ledger::{FailedRows, ItemId, Marker},
    pipeline::OnDoubt,
    sandbox::{DeleteFault, Fault, Policy, Video},
};

use crate::support::harness::{Harness, UndoResult};

/// The numbers of the videos that the mock deleted.
pub(super) fn deleted(harness: &Harness) -> BTreeSet<String> {
    harness.service.deleted().into_iter().map(|video| video.video_no).collect()
}

/// Two imports of which the second uploads six rows more.
pub(super) fn two_runs(policy: Policy) -> (Harness, BTreeSet<String>) {
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

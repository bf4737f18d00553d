//! A row is sent again only where nothing at the service may be its video.

use std::time::Duration;

use telecine::{
    domain::{RunOutcome, State, StopReason},
    ledger::{DeletedRows, FailedRows, RerunPolicy},
    sandbox::{Fault, Policy, ReadFault},
};

use crate::support::harness::{Harness, KEY, UndoResult, limits};

use super::{
    doubt::adopt,
    undo::{deleted, two_runs},
};

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

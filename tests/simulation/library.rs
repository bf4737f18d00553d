//! What the library holds beside what a run sent.

use std::time::Duration;

use telecine::{
    domain::RunOutcome,
    ledger::{DiffKind, FailedRows, RerunPolicy},
    sandbox::{Fault, Policy},
};

use crate::support::harness::Harness;

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

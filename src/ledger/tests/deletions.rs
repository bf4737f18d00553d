//! Deletions: the order before the request, and the proof before the state.

use super::*;

/// An item that failed to be indexed, as the task to delete its video.
async fn failed_item(fixture: &Fixture) -> DeletionTask {
    fixture.admit(vec![row(2, "a", &[]), row(3, "b", &[])]).await;
    let claim = fixture.claim(T0).await;
    fixture.settle(claim.attempt, accepted("VI0001", T0)).await.unwrap();
    fixture.settle(claim.attempt, plain(ItemEvent::IndexingFailed, T0)).await.unwrap();
    fixture.read(move |snapshot| snapshot.deletion_tasks(&[claim.attempt])).await.remove(0)
}

async fn order(fixture: &Fixture, task: DeletionTask) -> Result<(), LedgerError> {
    let order = DeletionOrder { run: fixture.run, who: "ann@desk".to_owned(), why: "wrong".to_owned() };
    fixture
        .ledger()
        .write(move |store| store.order_deletions(&order, "default", std::slice::from_ref(&task), T0))
        .await
}

#[tokio::test]
async fn an_item_is_deleted_only_with_the_proof_of_an_ordered_deletion() {
    let fixture = Fixture::new().await;
    let task = failed_item(&fixture).await;
    let gone = [task.video_no.clone()];
    let proof = gone.clone();
    let unordered = fixture.ledger().write(move |store| store.prove_deletions(&proof, T0)).await;
    assert!(unordered.is_err(), "nothing was ordered");
    let raw = fixture.raw();
    assert!(raw.execute("UPDATE item SET state = 'deleted' WHERE id = 1", []).is_err());
    order(&fixture, task.clone()).await.unwrap();
    assert!(raw.execute("UPDATE item SET state = 'deleted' WHERE id = 1", []).is_err(), "nothing proves it");
    assert!(raw.execute("DELETE FROM deletion", []).is_err());
    assert_eq!(fixture.states(), ["failed", "pending"]);
    fixture.write(move |store| store.prove_deletions(&gone, T0)).await;
    assert_eq!(fixture.states(), ["deleted", "pending"]);
    assert!(raw.execute("UPDATE deletion SET gone_at = NULL", []).is_err());
    assert!(order(&fixture, task).await.is_err(), "it is deleted already");
    assert_eq!(fixture.ledger().snapshot().await.unwrap().problems().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn only_the_video_of_an_item_or_one_that_is_bound_to_none_can_be_ordered_to_be_deleted() {
    let fixture = Fixture::new().await;
    let task = failed_item(&fixture).await;
    let other = VideoNo::parse("VI0009").unwrap();
    for wrong in [
        DeletionTask { item: ItemId(2), ..task.clone() },
        DeletionTask { video_no: other.clone(), ..task.clone() },
        DeletionTask { attempt: None, ..task.clone() },
    ] {
        assert!(order(&fixture, wrong.clone()).await.is_err(), "{wrong:?}");
    }
    assert_eq!(fixture.read(Snapshot::open_deletions).await, 0);
    order(&fixture, DeletionTask { video_no: other, attempt: None, ..task.clone() }).await.unwrap();
    order(&fixture, task.clone()).await.unwrap();
    order(&fixture, task).await.unwrap();
    assert_eq!(fixture.read(Snapshot::open_deletions).await, 2, "the same order again changes nothing");
}

#[tokio::test]
async fn a_row_whose_video_is_being_deleted_is_not_sent_again_and_no_answer_about_it_is_taken_back() {
    let mut fixture = Fixture::new().await;
    let task = failed_item(&fixture).await;
    let doubt = claim_in_doubt(&fixture).await;
    let adopted = ReviewAnswer::Adopt(VideoNo::parse("VI0002").unwrap());
    assert_eq!(fixture.answer(ItemId(2), adopted).await, ReviewOutcome::Done);
    let second = fixture.read(move |snapshot| snapshot.deletion_tasks(&[doubt.attempt])).await.remove(0);
    assert!(second.needs_marker && !task.needs_marker, "a human has named it");
    order(&fixture, task.clone()).await.unwrap();
    order(&fixture, second).await.unwrap();
    assert!(matches!(fixture.answer(ItemId(2), ReviewAnswer::Withdraw).await, ReviewOutcome::Kept(_)));
    fixture.reopen(T0).await;
    let reruns = RerunPolicy { failed: FailedRows::Retry, ..RerunPolicy::default() };
    fixture.admit_on(vec![row(2, "a", &["new"])], AdmitTerms { reruns, requirement: None }).await;
    assert_eq!(fixture.states(), ["failed", "accepted"]);
    // a video that is being deleted is no control video
    let controls = fixture
        .read(|snapshot| snapshot.control_videos("default", T0.plus_ms(1), AttemptId::for_tests(0)))
        .await;
    assert!(controls.is_empty(), "{controls:?}");
    let gone = [task.video_no];
    fixture.write(move |store| store.prove_deletions(&gone, T0)).await;
    fixture.reopen(T0).await;
    let reruns = RerunPolicy { deleted: DeletedRows::Reupload, ..reruns };
    fixture.admit_on(vec![row(2, "a", &["new"])], AdmitTerms { reruns, requirement: None }).await;
    assert_eq!(fixture.states(), ["pending", "accepted"]);
}

#[test]
fn a_deleted_video_is_not_missing_and_one_that_is_listed_again_is_found() {
    let item = |state, is_deletion_ordered| BoundItem {
        item: ItemId(1),
        state,
        video_no: VideoNo::parse("VI0001").unwrap(),
        url: "https://host/a.mp4".to_owned(),
        cause: None,
        is_deletion_ordered,
    };
    let kind = |item: BoundItem, presence| {
        let mut diff = LibraryDiff::of("default");
        diff.take_bound(&item, presence);
        diff.findings.pop().map(|finding| finding.kind)
    };
    let (shown, missing) = (ListingPresence::Listed, ListingPresence::Missing);
    assert_eq!(kind(item(State::Deleted, true), missing), None);
    assert_eq!(kind(item(State::Deleted, true), shown), Some(DiffKind::Undeleted));
    assert_eq!(kind(item(State::Indexed, true), missing), Some(DiffKind::DeletionOpen));
    assert_eq!(kind(item(State::Indexed, true), shown), Some(DiffKind::DeletionOpen));
    assert_eq!(kind(item(State::Indexed, false), missing), Some(DiffKind::Missing));
}

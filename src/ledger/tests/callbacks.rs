//! Calls of the service: what is recorded of them, in each state of a request.

use super::*;
use crate::ledger::{CallContradiction, CallReceipt};

impl Fixture {
    /// A call for an attempt that names a video, `ms` after T0.
    async fn call(&self, attempt: i64, number: &str, ms: i64) -> CallReceipt {
        let video_no = VideoNo::parse(number).unwrap();
        let at = T0.plus_ms(ms);
        self.write(move |store| {
            store.record_call(AttemptId(attempt), &video_no, at, at.plus_ms(-120_000), at.plus_ms(5_000))
        })
        .await
    }

    async fn next_look_up_ms(&self) -> Option<i64> {
        self.read(Snapshot::next_look_up_at).await.map(|at| at.since_ms(T0))
    }
}

#[tokio::test]
async fn a_number_is_looked_up_when_the_request_has_lost_its_answer_and_not_before() {
    let fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[])]).await;
    let claim = fixture.claim(T0).await;
    assert_eq!(fixture.call(1, "VI000001", 1_000).await, CallReceipt::Recorded);
    assert_eq!(fixture.next_look_up_ms().await, None, "its answer may still come");
    fixture.settle(claim.attempt, plain(ItemEvent::AnswerLost, T0)).await.unwrap();
    assert_eq!(fixture.next_look_up_ms().await, Some(1_000));
    let called = fixture.read(|snapshot| snapshot.called_attempts(T0.plus_ms(1_000), 10)).await;
    assert_eq!(called.len(), 1);
    assert_eq!((called[0].video_no.as_str(), called[0].unresolved.was_called), ("VI000001", true));
    // a repeated call brings the next look-up forward, and does not postpone it
    fixture.write(|store| store.look_up_again(AttemptId(1), Some(T0.plus_ms(600_000)))).await;
    assert_eq!(fixture.call(1, "VI000001", 10_000).await, CallReceipt::Repeated);
    assert_eq!(fixture.call(1, "VI000001", 12_000).await, CallReceipt::Repeated);
    assert_eq!(fixture.next_look_up_ms().await, Some(15_000));
    fixture.settle(claim.attempt, plain(ItemEvent::FoundAccepted, T0)).await.unwrap();
    assert_eq!(fixture.next_look_up_ms().await, Some(15_000), "which video it is, is not known");
    let bound = Some(Binding {
        video_no: VideoNo::parse("VI000001").unwrap(),
        uploaded_at: None,
        by: BoundBy::Callback,
    });
    let found = AttemptResult { event: ItemEvent::Found, at: T0, bound, cause: None };
    fixture.settle(claim.attempt, found).await.unwrap();
    assert_eq!(fixture.next_look_up_ms().await, None);
    let item = fixture.read(|snapshot| snapshot.item_history(ItemId(1))).await.unwrap();
    assert_eq!(item.requests[0].bound_by.as_deref(), Some("callback"));
    assert_eq!(fixture.ledger().snapshot().await.unwrap().problems().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_second_number_for_a_request_contradicts_the_first_and_neither_is_looked_up() {
    let fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[])]).await;
    claim_in_doubt(&fixture).await;
    assert_eq!(fixture.call(1, "VI000001", 1_000).await, CallReceipt::Recorded);
    let other = CallReceipt::Contradicts(CallContradiction::OtherNumber);
    for (number, receipt) in [
        ("VI000002", other.clone()),
        ("VI000003", other.clone()),
        ("VI000001", CallReceipt::Repeated),
        ("VI000002", CallReceipt::Repeated),
    ] {
        assert_eq!(fixture.call(1, number, 2_000).await, receipt, "{number}");
    }
    assert_eq!(fixture.next_look_up_ms().await, None);
    let rows: i64 = fixture.raw().query_row("SELECT count(*) FROM callback", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 2, "no sender makes the ledger grow");
    let item = fixture.read(|snapshot| snapshot.item_history(ItemId(1))).await.unwrap();
    let called: Vec<&str> = item.requests[0].called.iter().map(VideoNo::as_str).collect();
    assert_eq!(called, ["VI000001", "VI000002"]);
}

#[tokio::test]
async fn a_call_for_an_accepted_request_makes_its_poll_due_and_another_number_changes_nothing() {
    let fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[])]).await;
    let claim = fixture.claim(T0).await;
    fixture.settle(claim.attempt, accepted("VI000001", T0)).await.unwrap();
    let poll_ms = async || fixture.read(Snapshot::next_poll_at).await.unwrap().since_ms(T0);
    let scheduled = poll_ms().await;
    let bound = CallContradiction::Bound(VideoNo::parse("VI000001").unwrap());
    assert_eq!(fixture.call(1, "VI000002", 1_000).await, CallReceipt::Contradicts(bound));
    assert_eq!(poll_ms().await, scheduled);
    assert_eq!(fixture.call(1, "VI000001", 1_000).await, CallReceipt::Known);
    assert_eq!(poll_ms().await, -119_000);
    let indexed = [PollResult { item: ItemId(1), observation: Observation::Indexed }];
    fixture.write(move |store| store.observe(&indexed, T0.plus_ms(2_000))).await;
    assert_eq!(fixture.call(1, "VI000001", 3_000).await, CallReceipt::Known);
    assert_eq!(fixture.read(Snapshot::next_poll_at).await, None, "a finished item is not polled again");
    assert_eq!(fixture.states(), ["indexed"]);
}

#[tokio::test]
async fn a_call_for_a_request_that_ended_otherwise_is_a_contradiction() {
    let fixture = Fixture::new().await;
    fixture.admit((0..2).map(|n| row(n + 2, &n.to_string(), &[])).collect()).await;
    let claim = fixture.claim(T0).await;
    fixture.settle(claim.attempt, plain(ItemEvent::Rejected, T0)).await.unwrap();
    let ended = |state: &str| CallReceipt::Contradicts(CallContradiction::Ended(state.to_owned()));
    assert_eq!(fixture.call(1, "VI000001", 1_000).await, ended("rejected"));
    let claim = claim_in_doubt(&fixture).await;
    fixture.settle(claim.attempt, plain(ItemEvent::FoundAbsent, T0)).await.unwrap();
    assert_eq!(fixture.call(2, "VI000001", 1_000).await, ended("absent"));
    assert_eq!(fixture.call(99, "VI000001", 1_000).await, CallReceipt::NoRequest);
    assert_eq!(fixture.states(), ["rejected", "pending"]);
}

#[tokio::test]
async fn a_number_that_is_bound_to_another_request_is_known_to_be_wrong() {
    let fixture = Fixture::new().await;
    fixture.admit((0..2).map(|n| row(n + 2, &n.to_string(), &[])).collect()).await;
    let claim = fixture.claim(T0).await;
    fixture.settle(claim.attempt, accepted("VI000001", T0)).await.unwrap();
    claim_in_doubt(&fixture).await;
    fixture.call(2, "VI000001", 1_000).await;
    let called = fixture.read(Snapshot::called_numbers).await;
    assert_eq!((called.len(), called[0].attempt, called[0].is_wrong), (1, AttemptId(2), true));
}

#[tokio::test]
async fn a_call_for_a_request_that_has_ended_keeps_its_row_from_being_sent_before_a_search() {
    let fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[])]).await;
    let claim = fixture.claim(T0).await;
    fixture.settle(claim.attempt, plain(ItemEvent::RefusedForNow, T0)).await.unwrap();
    assert!(fixture.read(|snapshot| snapshot.held_resends(9)).await.is_empty(), "it waits for its turn only");
    let ended = || CallReceipt::Contradicts(CallContradiction::Ended("refused".to_owned()));
    for (number, ms) in [("VI000001", 1_000), ("VI000001", 2_000), ("VI000002", 3_000), ("VI000003", 4_000)] {
        assert_eq!(fixture.call(1, number, ms).await, ended());
    }
    assert_eq!(fixture.read(|snapshot| snapshot.held_resends(9)).await.len(), 1);
    let called = fixture.read(|snapshot| snapshot.unbound_numbers_called_for(ItemId(1))).await;
    let called: Vec<(&str, i64)> = called.iter().map(|(no, at)| (no.as_str(), at.since_ms(T0))).collect();
    assert_eq!(called, [("VI000001", 1_000), ("VI000002", 3_000)], "at most two numbers are kept");
    assert_eq!(fixture.next_look_up_ms().await, None, "nothing is bound by it");
    fixture.write(|store| store.release(ItemId(1))).await;
    fixture.claim(T0.plus_ms(60_000)).await;
    assert_eq!(fixture.call(1, "VI000001", 70_000).await, ended());
    assert!(fixture.read(|snapshot| snapshot.held_resends(9)).await.is_empty(), "its row was sent again");
}

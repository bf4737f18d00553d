//! Orders of other processes, and answers that are taken back.

use super::*;

fn decision(answer: ReviewAnswer) -> ReviewDecision {
    let (who, why) = ("ann@desk".to_owned(), "seen in the library".to_owned());
    ReviewDecision { answer, who, why, at: T0 }
}

#[tokio::test]
async fn an_answer_is_taken_back_only_while_nothing_rests_on_it() {
    let fixture = Fixture::new().await;
    fixture.admit((0..5).map(|n| row(n + 2, &n.to_string(), &[])).collect()).await;
    let mut doubts = Vec::new();
    for _ in 0..4 {
        doubts.push(claim_in_doubt(&fixture).await.attempt);
    }
    let video = VideoNo::parse("VI000001").unwrap();
    let answer = async |item, answer| fixture.answer(ItemId(item), answer).await;
    let kept = async |item| matches!(answer(item, ReviewAnswer::Withdraw).await, ReviewOutcome::Kept(_));
    assert!(kept(1).await, "it was never answered");
    for given in [ReviewAnswer::Adopt(video.clone()), ReviewAnswer::GiveUp, ReviewAnswer::Resend] {
        assert_eq!(answer(1, given).await, ReviewOutcome::Done);
        assert_eq!(answer(1, ReviewAnswer::Withdraw).await, ReviewOutcome::Done);
        assert_eq!(fixture.states()[0], "needs_review");
        assert!(kept(1).await, "an answer is taken back once");
    }
    // the number is free again, and a resent item stays resent
    assert_eq!(answer(2, ReviewAnswer::Adopt(video)).await, ReviewOutcome::Done);
    assert_eq!(answer(1, ReviewAnswer::Resend).await, ReviewOutcome::Done);
    claim_in_doubt(&fixture).await;
    assert!(kept(1).await, "it was sent again");
    // absence was concluded while the adopted video was not among the candidates
    fixture.settle(doubts[2], plain(ItemEvent::FoundAbsent, T0)).await.unwrap();
    assert!(kept(2).await);
    assert_eq!(fixture.states(), ["in_doubt", "accepted", "pending", "in_doubt", "pending"]);
    let snapshot = fixture.ledger().snapshot().await.unwrap();
    assert_eq!(snapshot.problems().unwrap(), Vec::<String>::new());
    assert_eq!(snapshot.committed_uploads().unwrap(), 4);
    // nobody else's answer is undone: a number that the service named stays bound
    let raw = fixture.raw();
    raw.execute("UPDATE attempt SET bound_by = 'reply' WHERE id = 2", []).unwrap();
    let unbound = "UPDATE attempt SET state = 'needs_review', video_no = NULL, bound_by = NULL WHERE id = 2";
    assert!(raw.execute(unbound, []).is_err());
}

fn spent(count: u32) -> Order {
    let usage = ExternalUsage { endpoint: "upload".to_owned(), at: T0, count, note: None };
    Order::Count { usage }
}

#[tokio::test]
async fn an_order_of_another_process_is_carried_out_once_also_after_a_kill() {
    let mut fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[])]).await;
    claim_in_doubt(&fixture).await;
    let counted = |fixture: &Fixture| -> i64 {
        let sql = "SELECT coalesce(sum(count), 0) FROM external_usage";
        fixture.raw().query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let first = hand_over(&fixture.place, &spent(3), T0).unwrap();
    assert_eq!(counted(&fixture), 0, "only the process with the lock changes the books");
    assert_eq!(fixture.write(|store| store.carry_out_handed(T0)).await.len(), 1);
    assert_eq!(fixture.write(|store| store.carry_out_handed(T0)).await.len(), 0);
    let snapshot = fixture.ledger().snapshot().await.unwrap();
    assert_eq!(snapshot.order_result(first).unwrap(), Some(OrderResult::Done));
    // killed before it looked: the next opening carries the order out
    let answer =
        Order::Answer { items: vec![ItemId(1), ItemId(9)], decision: decision(ReviewAnswer::Resend) };
    let second = hand_over(&fixture.place, &answer, T0).unwrap();
    hand_over(&fixture.place, &spent(4), T0).unwrap();
    assert_eq!(snapshot.order_result(second).unwrap(), None);
    for _ in 0..2 {
        fixture.reopen(T0).await;
    }
    let outcomes = vec![(ItemId(1), ReviewOutcome::Done), (ItemId(9), ReviewOutcome::NoSuchItem)];
    let result = fixture.ledger().snapshot().await.unwrap().order_result(second).unwrap();
    assert_eq!(result, Some(OrderResult::Answered { outcomes }));
    assert_eq!((counted(&fixture), fixture.states()), (7, vec!["pending".to_owned()]));
    assert!(fixture.raw().execute("UPDATE handed_order SET result = NULL", []).is_err());
}

#[tokio::test]
async fn an_order_that_the_ledger_does_not_allow_changes_nothing_and_stops_nothing() {
    let fixture = Fixture::new().await;
    let zero = spent(0);
    let first = hand_over(&fixture.place, &zero, T0).unwrap();
    fixture.raw().execute("INSERT INTO handed_order (at, content) VALUES (0, 'no order')", []).unwrap();
    let object = |text: &str| Order::Merge { name: "limits".to_owned(), object: text.to_owned() };
    hand_over(&fixture.place, &object(r#"{"rate":["1/s"],"cap":["9/2h"]}"#), T0).unwrap();
    hand_over(&fixture.place, &object(r#"{"rate":["2/s"]}"#), T0).unwrap();
    fixture.write(|store| store.carry_out_handed(T0)).await;
    let snapshot = fixture.ledger().snapshot().await.unwrap();
    assert!(matches!(snapshot.order_result(first).unwrap(), Some(OrderResult::Refused { .. })));
    assert_eq!(snapshot.kv_get("limits").unwrap().unwrap(), r#"{"cap":["9/2h"],"rate":["2/s"]}"#);
    // limits that cannot be read are not replaced, and keep nobody from opening the ledger
    fixture.write(|store| store.kv_set("limits", Some("no json"), T0)).await;
    let last = hand_over(&fixture.place, &object(r#"{"rate":["3/s"]}"#), T0).unwrap();
    fixture.write(|store| store.carry_out_handed(T0)).await;
    assert!(matches!(snapshot.order_result(last).unwrap(), Some(OrderResult::Refused { .. })));
    assert_eq!(snapshot.kv_get("limits").unwrap().unwrap(), "no json");
}

#[tokio::test]
async fn an_order_reaches_the_ledger_below_a_symbolic_link() {
    let Some(fixture) = Fixture::of_file().await else { return };
    let link = fixture.folder.path().join("link.db");
    std::os::unix::fs::symlink(fixture.path(), &link).unwrap();
    let order = hand_over(&link, &spent(1), T0).unwrap();
    fixture.write(|store| store.carry_out_handed(T0)).await;
    assert_eq!(Snapshot::open(&link).unwrap().order_result(order).unwrap(), Some(OrderResult::Done));
}

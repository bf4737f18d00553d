//! Reviews and evidence.

use super::*;

#[tokio::test]
async fn a_decision_of_a_review_is_applied_and_recorded_with_its_author() {
    let fixture = Fixture::new().await;
    fixture.admit((0..4).map(|n| row(n + 2, &n.to_string(), &[])).collect()).await;
    for _ in 0..3 {
        let claim = claim_in_doubt(&fixture).await;
        let question = Question { text: "no marker".to_owned(), candidates: Vec::new() };
        fixture.write(move |store| store.ask(claim.attempt, &question, T0)).await;
    }
    let video = VideoNo::parse("VI000001").unwrap();
    let answer = async |item, answer| fixture.answer(ItemId(item), answer).await;
    assert_eq!(answer(1, ReviewAnswer::Adopt(video.clone())).await, ReviewOutcome::Done);
    assert_eq!(answer(2, ReviewAnswer::Adopt(video)).await, ReviewOutcome::VideoTaken(ItemId(1)));
    assert_eq!(answer(2, ReviewAnswer::Resend).await, ReviewOutcome::Done);
    assert_eq!(answer(3, ReviewAnswer::GiveUp).await, ReviewOutcome::Done);
    assert_eq!(answer(4, ReviewAnswer::GiveUp).await, ReviewOutcome::NotOpen(State::Pending));
    assert_eq!(answer(9, ReviewAnswer::GiveUp).await, ReviewOutcome::NoSuchItem);
    assert_eq!(fixture.states(), ["accepted", "pending", "abandoned", "pending"]);
    let written: Vec<String> = fixture
        .raw()
        .prepare("SELECT attempt || ' ' || event || ' ' || who || ' ' || why FROM answer ORDER BY id")
        .unwrap()
        .query_column([])
        .unwrap();
    assert_eq!(written[1], "2 resend_ordered ann@desk seen in the library");
    assert!(fixture.raw().execute("DELETE FROM answer", []).is_err(), "answers are append-only");
    // what was sent again or given up may be paid all the same
    assert_eq!(fixture.ledger().snapshot().await.unwrap().committed_uploads().unwrap(), 3);
    assert_eq!(fixture.ledger().snapshot().await.unwrap().problems().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn an_item_in_doubt_can_be_resolved_before_it_needs_a_review() {
    let fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[])]).await;
    claim_in_doubt(&fixture).await;
    let answered = fixture.answer(ItemId(1), ReviewAnswer::GiveUp).await;
    assert_eq!((answered, fixture.states()), (ReviewOutcome::Done, vec!["abandoned".to_owned()]));
}

#[tokio::test]
async fn a_request_that_a_human_resolved_may_still_have_made_a_video() {
    let fixture = Fixture::new().await;
    fixture.admit((0..3).map(|n| row(n + 2, &n.to_string(), &[])).collect()).await;
    for _ in 0..3 {
        claim_in_doubt(&fixture).await;
    }
    fixture.answer(ItemId(1), ReviewAnswer::GiveUp).await;
    fixture.answer(ItemId(2), ReviewAnswer::Resend).await;
    fixture.settle(AttemptId(3), plain(ItemEvent::FoundAbsent, T0)).await.unwrap();
    let bindings = fixture.read(|snapshot| snapshot.bindings("default", &[])).await;
    let mut possible_senders: Vec<i64> =
        bindings.possible_senders.iter().map(|possible_sender| possible_sender.attempt.0).collect();
    possible_senders.sort_unstable();
    assert_eq!(possible_senders, [1, 2], "only what is proved absent can have made none");
}

#[tokio::test]
async fn the_longest_time_that_a_video_stayed_hidden_is_recorded() {
    let fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[])]).await;
    let claim = fixture.claim(T0).await;
    fixture.settle(claim.attempt, accepted("VI000001", T0.plus_ms(2_000))).await.unwrap();
    let poll = async |observation, at: i64| {
        let results = [PollResult { item: ItemId(1), observation }];
        fixture.write(move |store| store.observe(&results, T0.plus_ms(at))).await;
        fixture.read(|snapshot| snapshot.unresolved_attempts(1)).await.observed
    };
    assert_eq!(
        poll(Observation::NotShown, 92_000).await.listing,
        Duration::ZERO,
        "it may never have been there"
    );
    assert_eq!(poll(Observation::InProgress, 99_000).await.listing, Duration::from_secs(90));
    assert_eq!(poll(Observation::Indexed, 999_000).await.acceptance, Duration::from_secs(2));
}

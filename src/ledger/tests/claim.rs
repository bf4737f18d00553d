//! Claims: durability, markers, and what blocks them.

use super::*;

#[tokio::test]
async fn a_claim_is_on_the_disk_before_it_is_handed_out() {
    let fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[])]).await;
    let claim = fixture.claim(T0).await;
    assert_eq!(fixture.states(), ["sending"]);
    let (state, counts_until): (String, i64) = fixture
        .raw()
        .query_row("SELECT state, counts_until FROM attempt", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!(state, "sending");
    assert!(counts_until > T0.0, "the quota is spent");
    assert_eq!(claim.send_before, T0.plus_ms(5_000));
}

#[tokio::test]
async fn every_commit_waits_for_the_disk() {
    let Some(fixture) = Fixture::of_file().await else { return };
    let synchronous: i64 = fixture.write(|store| store.pragma("synchronous")).await;
    assert_eq!(synchronous, 2, "synchronous must be FULL");
}

#[tokio::test]
async fn what_was_sending_is_in_doubt_after_a_restart() {
    let mut fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[]), row(3, "b", &[])]).await;
    fixture.claim(T0).await;
    fixture.reopen(T0.plus_ms(60_000)).await;
    assert_eq!(fixture.states(), ["in_doubt", "pending"]);
    let unresolved = fixture.read(|snapshot| snapshot.unresolved_attempts(10)).await.attempts;
    assert_eq!(unresolved.len(), 1);
    assert_eq!(unresolved[0].sent_at, T0, "its age counts from its sending, not from the restart");
}

#[tokio::test]
async fn an_item_that_is_set_aside_is_claimed_when_no_other_one_waits() {
    let fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[]), row(3, "b", &[]), row(4, "c", &[])]).await;
    let terms = fixture.terms();
    terms.set_aside.store(1, std::sync::atomic::Ordering::Relaxed);
    let mut claimed = Vec::new();
    for _ in 0..3 {
        match fixture.ledger().claim(Arc::clone(&terms), T0).await.unwrap() {
            ClaimOutcome::Claimed(claim) => claimed.push(claim.item.number()),
            ClaimOutcome::Blocked(blocked) => panic!("{blocked:?}"),
        }
    }
    assert_eq!(claimed, [2, 3, 1]);
}

#[tokio::test]
async fn a_marker_is_unguessable_and_leads_back_to_its_item() {
    let fixture = Fixture::new().await;
    let full: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    let full: Vec<&str> = full.iter().map(String::as_str).collect();
    fixture.admit(vec![row(2, "a", &[]), row(3, "b", &[]), row(4, "c", &full)]).await;
    let (first, second, third) = (fixture.claim(T0).await, fixture.claim(T0).await, fixture.claim(T0).await);
    let marker = first.marker.unwrap();
    assert!(marker.starts_with("telecine:") && marker.ends_with(&first.submission.key().prefix_hex()));
    assert_ne!(marker.split('-').next(), second.marker.unwrap().split('-').next());
    assert_eq!(third.marker, None, "there is no room for it");
}

#[tokio::test]
async fn too_many_requests_in_doubt_block_claims_also_those_of_a_killed_run() {
    let mut fixture = Fixture::new().await;
    let rows = || (0..20).map(|n| row(n + 2, &n.to_string(), &[])).collect();
    fixture.admit(rows()).await;
    for _ in 0..3 {
        fixture.claim(T0).await;
    }
    // what a crash left behind counts, too
    fixture.reopen(T0).await;
    fixture.admit(rows()).await;
    for _ in 0..3 {
        let claim = fixture.claim(T0).await;
        fixture.settle(claim.attempt, plain(ItemEvent::AnswerLost, T0)).await.unwrap();
    }
    let claim_blocked = fixture.claim_blocked(fixture.terms()).await;
    assert_eq!(claim_blocked, Some(ClaimBlocked::TooManyInDoubt { open: 6 }));
}

#[tokio::test]
async fn each_killed_run_may_leave_as_many_in_doubt_as_were_in_flight() {
    let mut fixture = Fixture::new().await;
    let rows = || (0..40).map(|n| row(n + 2, &n.to_string(), &[])).collect();
    fixture.concurrency = 8;
    for _ in 0..2 {
        fixture.admit(rows()).await;
        for _ in 0..8 {
            fixture.claim(T0).await;
        }
        fixture.reopen(T0).await;
    }
    fixture.admit(rows()).await;
    for _ in 0..=8 {
        let claim = fixture.claim(T0).await;
        fixture.settle(claim.attempt, plain(ItemEvent::AnswerLost, T0)).await.unwrap();
    }
    let claim_blocked = fixture.claim_blocked(fixture.terms()).await;
    assert_eq!(
        claim_blocked,
        Some(ClaimBlocked::TooManyInDoubt { open: 25 }),
        "two runs were killed, and this run has a bound of its own"
    );
}

#[tokio::test]
async fn what_may_be_paid_never_exceeds_the_budget() {
    let fixture = Fixture::new().await;
    fixture.admit((0..5).map(|n| row(n + 2, &n.to_string(), &[])).collect()).await;
    let terms = Arc::new(ClaimTerms { uploads_max: Some(2), ..(*fixture.terms()).clone() });
    let (first, _) = (fixture.claim(T0).await, fixture.claim(T0).await);
    let claim_blocked = async || fixture.claim_blocked(Arc::clone(&terms)).await;
    assert_eq!(claim_blocked().await, Some(ClaimBlocked::BudgetSpent { uploads: 2 }));
    fixture.settle(first.attempt, plain(ItemEvent::AnswerLost, T0)).await.unwrap();
    assert!(claim_blocked().await.is_some(), "a doubt may be paid");
    fixture.settle(first.attempt, plain(ItemEvent::FoundAbsent, T0)).await.unwrap();
    assert_eq!(claim_blocked().await, None, "what never arrived is not paid");
}

#[tokio::test]
async fn nothing_is_claimed_while_the_disk_is_nearly_full() {
    let Some(fixture) = Fixture::of_file().await else { return };
    fixture.admit(vec![row(2, "a", &[])]).await;
    let terms = Arc::new(ClaimTerms { disk_free_min: u64::MAX, ..(*fixture.terms()).clone() });
    let claim_blocked = fixture.claim_blocked(terms).await;
    assert!(matches!(claim_blocked, Some(ClaimBlocked::DiskLow { .. })), "{claim_blocked:?}");
}

#[tokio::test]
async fn items_that_need_a_review_count_against_the_bound_on_doubts() {
    let fixture = Fixture::new().await;
    fixture.admit((0..8).map(|n| row(n + 2, &n.to_string(), &[])).collect()).await;
    for _ in 0..6 {
        let claim = claim_in_doubt(&fixture).await;
        let question = Question { text: "?".to_owned(), candidates: Vec::new() };
        fixture.write(move |store| store.ask(claim.attempt, &question, T0)).await;
    }
    let claim_blocked = fixture.claim_blocked(fixture.terms()).await;
    assert_eq!(claim_blocked, Some(ClaimBlocked::TooManyInDoubt { open: 6 }));
}

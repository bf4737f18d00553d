//! The transition table, and the event log.

use super::*;

#[tokio::test]
async fn a_video_number_is_bound_once() {
    let fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[]), row(3, "b", &[])]).await;
    let (first, second) = (fixture.claim(T0).await, fixture.claim(T0).await);
    fixture.settle(first.attempt, accepted("VI0001", T0)).await.unwrap();
    let again = fixture.settle(second.attempt, accepted("VI0001", T0)).await;
    assert!(matches!(again, Err(LedgerError::Impossible { .. })), "{again:?}");
    assert_eq!(fixture.states(), ["accepted", "sending"], "the refused settlement left nothing behind");
    fixture.settle(second.attempt, accepted("VI0002", T0)).await.unwrap();
}

#[tokio::test]
async fn the_transition_table_holds_against_manual_changes() {
    let fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[])]).await;
    fixture.claim(T0).await;
    let raw = fixture.raw();
    for forbidden in [
        "UPDATE item SET state = 'pending'",
        "UPDATE item SET state = 'indexed', final_at = 1",
        "UPDATE item SET state = 'nonsense'",
        "DELETE FROM item",
        "DELETE FROM attempt",
        "DELETE FROM event",
        "UPDATE event SET at = 0",
        "UPDATE attempt SET video_no = 'VI0001'",
        "UPDATE attempt SET state = 'accepted'",
        "INSERT INTO attempt (item, run, state, sent_at, send_before) VALUES (1, 1, 'sending', 0, 0)",
        "INSERT INTO item (key, state, manifest, line, namespace, fingerprint, submission, cells, admitted_at, poll_at) \
         VALUES (?1, 'accepted', 1, 1, 'x', ?1, '{}', '[]', 0, 0)",
    ] {
        let is_pending_allowed = forbidden.ends_with("'pending'");
        let changed = if forbidden.contains("?1") {
            raw.execute(forbidden, [[0_u8; 16]])
        } else {
            raw.execute(forbidden, [])
        };
        // sending -> pending is allowed by the transition table, but a manual change makes the attempt
        // contradict its item
        if is_pending_allowed {
            assert_eq!(fixture.ledger().snapshot().await.unwrap().contradictions().unwrap(), 1);
            raw.execute("UPDATE item SET state = 'sending'", []).unwrap();
        } else {
            assert!(changed.is_err(), "{forbidden}");
        }
    }
    assert_eq!(fixture.ledger().snapshot().await.unwrap().contradictions().unwrap(), 0);
}

#[tokio::test]
async fn an_event_the_transition_table_does_not_allow_changes_nothing() {
    let fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[])]).await;
    let claim = fixture.claim(T0).await;
    for event in ItemEvent::VARIANTS.iter().filter(|event| State::Sending.after(**event).is_err()) {
        let result = fixture.settle(claim.attempt, plain(*event, T0)).await;
        assert!(matches!(result, Err(LedgerError::Illegal(_))), "{event}: {result:?}");
        assert_eq!(fixture.states(), ["sending"]);
    }
}

#[tokio::test]
async fn a_changed_event_breaks_the_chain() {
    let fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[]), row(3, "b", &[])]).await;
    claim_in_doubt(&fixture).await;
    claim_in_doubt(&fixture).await;
    let snapshot = fixture.ledger().snapshot().await.unwrap();
    assert_eq!(snapshot.problems().unwrap(), Vec::<String>::new());
    fixture.script("DROP TRIGGER event_is_never_changed; UPDATE event SET at = at + 1 WHERE id = 2");
    let problems = snapshot.problems().unwrap();
    assert!(problems.len() == 1 && problems[0].contains("event 2"), "{problems:?}");
    // one that vanishes is missed by the next
    fixture.script("UPDATE event SET at = at - 1 WHERE id = 2; DROP TRIGGER event_is_never_deleted");
    assert_eq!(snapshot.problems().unwrap(), Vec::<String>::new());
    fixture.script("DELETE FROM event WHERE id = 2");
    let problems = snapshot.problems().unwrap();
    assert!(problems.len() == 1 && problems[0].contains("event 3"), "{problems:?}");
}

//! Admission of rows.

use super::*;

#[tokio::test]
async fn loading_a_manifest_twice_changes_nothing() {
    let mut fixture = Fixture::new().await;
    let rows = || vec![row(2, "a", &[]), row(3, "b", &[]), row(4, "a", &[])];
    let first = fixture.admit(rows()).await;
    assert_eq!(first, [Admission::Added, Admission::Added, Admission::Duplicate { first_line: 2 }]);
    fixture.reopen(T0).await;
    let second = fixture.admit(rows()).await;
    assert_eq!(second, [Admission::Known, Admission::Known, Admission::Duplicate { first_line: 2 }]);
    assert_eq!(fixture.read(Snapshot::state_counts).await.total(), 2);
}

#[tokio::test]
async fn a_changed_row_is_taken_only_while_the_service_does_not_have_it() {
    let mut fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "sent", &[]), row(3, "waiting", &[])]).await;
    let claim = fixture.claim(T0).await;
    fixture.settle(claim.attempt, accepted("VI0001", T0)).await.unwrap();
    fixture.reopen(T0).await;
    let admissions = fixture.admit(vec![row(2, "sent", &["new"]), row(3, "waiting", &["new"])]).await;
    assert_eq!(admissions, [Admission::Drifted, Admission::Updated]);
    let claim = fixture.claim(T0).await;
    assert_eq!(claim.submission.tags, ["new"]);
}

#[tokio::test]
async fn a_row_removed_from_its_manifest_is_not_sent() {
    let mut fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "kept", &[]), row(3, "removed", &[])]).await;
    fixture.reopen(T0).await;
    let nothing = fixture.claim_blocked(fixture.terms()).await;
    assert_eq!(
        nothing,
        Some(ClaimBlocked::NothingPending),
        "a changed manifest is read before anything of it is sent"
    );
    fixture.admit(vec![row(2, "kept", &[])]).await;
    assert_eq!(fixture.end_manifest_read(None).await, 1);
    assert_eq!(fixture.claim(T0).await.submission.url.as_str(), "https://host/kept.mp4");
    assert_eq!(fixture.claim_blocked(fixture.terms()).await, Some(ClaimBlocked::NothingPending));
    // it is wanted again when it comes back
    fixture.reopen(T0).await;
    fixture.admit(vec![row(2, "kept", &[]), row(3, "removed", &[])]).await;
    assert_eq!(fixture.claim(T0).await.submission.url.as_str(), "https://host/removed.mp4");
}

#[tokio::test]
async fn items_of_an_unchanged_manifest_are_sent_before_it_is_read_again() {
    let mut fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[])]).await;
    let stamp = Some("1:2:3".to_owned());
    fixture.end_manifest_read(stamp.clone()).await;
    fixture.reopen_with(T0, stamp).await;
    fixture.claim(T0).await;
}

#[tokio::test]
async fn a_link_with_a_new_signature_is_known_and_the_new_link_is_sent() {
    let mut fixture = Fixture::new().await;
    let signed = |line, name: &str, signature: &str| {
        row(line, &format!("{name}.mp4?X-Amz-Date=1&X-Amz-Signature={signature}#"), &[])
    };
    fixture.admit(vec![signed(2, "sent", "old"), signed(3, "waiting", "old")]).await;
    let claim = fixture.claim(T0).await;
    fixture.settle(claim.attempt, accepted("VI0001", T0)).await.unwrap();
    fixture.reopen(T0).await;
    let admissions = fixture.admit(vec![signed(2, "sent", "new"), signed(3, "waiting", "new")]).await;
    assert_eq!(admissions, [Admission::Known, Admission::Updated]);
    assert!(fixture.claim(T0).await.submission.url.as_str().contains("=new"));
}

#[tokio::test]
async fn a_corrected_row_is_sent_again_only_after_a_clear_refusal() {
    let mut fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[])]).await;
    let claim = fixture.claim(T0).await;
    fixture.settle(claim.attempt, plain(ItemEvent::Rejected, T0)).await.unwrap();
    fixture.reopen(T0).await;
    assert_eq!(fixture.admit(vec![row(2, "a", &[])]).await, [Admission::Known]);
    assert_eq!(fixture.states(), ["rejected"], "the same row is refused for good");
    fixture.reopen(T0).await;
    assert_eq!(fixture.admit(vec![row(2, "a", &["fixed"])]).await, [Admission::Updated]);
    assert_eq!(fixture.states(), ["pending"]);
    // the service may have its video all the same: the listings are searched first
    let blocked = async || fixture.claim_blocked(fixture.terms()).await;
    assert_eq!(blocked().await, Some(ClaimBlocked::AwaitsListing { items: 1, is_due: true }));
    let held = fixture.held_resends().await;
    assert_eq!((held.len(), held[0].item, held[0].may_be_there), (1, ItemId(1), false));
    fixture.release(ItemId(1)).await;
    assert_eq!(blocked().await, None);
}

#[tokio::test]
async fn a_row_that_only_a_rule_of_the_user_rejected_waits_for_evidence_before_it_is_sent_again() {
    let mut fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[]), row(3, "b", &[])]).await;
    let claim = fixture.claim(T0).await;
    fixture.settle(claim.attempt, plain(ItemEvent::RejectedByRule, T0)).await.unwrap();
    fixture.reopen(T0).await;
    fixture.admit(vec![row(2, "a", &["fixed"]), row(3, "b", &[])]).await;
    assert_eq!(fixture.claim(T0).await.submission.url.as_str(), "https://host/b.mp4", "other rows are sent");
    let blocked = fixture.claim_blocked(fixture.terms()).await;
    assert_eq!(blocked, Some(ClaimBlocked::AwaitsListing { items: 1, is_due: false }));
    let held = fixture.held_resends().await.remove(0);
    assert!(held.may_be_there);
    let video = LibraryVideo {
        video_no: VideoNo::parse("VI000001").unwrap(),
        tags: vec![held.sender.marker.unwrap()],
        shows_tags: true,
        made_by: T0,
    };
    assert_eq!(fixture.recover(video).await, Recovered::Bound(ItemId(1)));
    assert_eq!((fixture.states()[0].as_str(), fixture.held_resends().await.len()), ("accepted", 0));
    assert_eq!(fixture.read(Snapshot::problems).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_failed_row_is_paid_again_only_by_order() {
    let mut fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[])]).await;
    let claim = fixture.claim(T0).await;
    fixture.settle(claim.attempt, accepted("VI0001", T0)).await.unwrap();
    let watch = fixture.read(|snapshot| snapshot.poll_tasks(T0.plus_ms(10_000), 10)).await.remove(0);
    let results = [PollResult { item: watch.item, observation: Observation::Failed("codec".to_owned()) }];
    fixture.write(move |store| store.observe(&results, T0)).await;
    fixture.reopen(T0).await;
    fixture.admit(vec![row(2, "a", &[])]).await;
    assert_eq!(fixture.states(), ["failed"]);
    fixture.reopen(T0).await;
    let reruns = RerunPolicy { failed: FailedRows::Retry, ..RerunPolicy::default() };
    fixture.admit_on(vec![row(2, "a", &[])], AdmitTerms { reruns, requirement: None }).await;
    assert_eq!(fixture.states(), ["pending"]);
    fixture.release(ItemId(1)).await;
    let claim = fixture.claim(T0).await;
    fixture.settle(claim.attempt, accepted("VI0002", T0)).await.unwrap();
    let numbers: Vec<String> = {
        let raw = fixture.raw();
        let mut statement = raw.prepare("SELECT video_no || ' ' || state FROM attempt ORDER BY id").unwrap();
        statement.query_column([]).unwrap()
    };
    assert_eq!(numbers, ["VI0001 superseded", "VI0002 accepted"]);
}

#[tokio::test]
async fn rows_that_cannot_be_sent_are_kept_with_their_reasons() {
    let fixture = Fixture::new().await;
    let problem = Problem {
        column: "url".to_owned(),
        column_number: 1,
        value: String::new(),
        class: "url_empty".to_owned(),
        message: "the url is empty".to_owned(),
        fix: "give it".to_owned(),
    };
    let error = RowError { line: 5, cells: vec![String::new()], problems: vec![problem.clone()] };
    assert_eq!(
        fixture.admit(vec![Err(error), row(6, "a", &[])]).await,
        [Admission::Invalid, Admission::Added]
    );
    let snapshot = fixture.ledger().snapshot().await.unwrap();
    let mut row_issues = Vec::new();
    snapshot
        .each_row_issue_of_run(fixture.run, |row_issue| {
            row_issues.push(row_issue);
            Ok::<(), LedgerError>(())
        })
        .unwrap();
    assert_eq!(row_issues.len(), 1);
    assert_eq!((row_issues[0].line, &row_issues[0].problems), (5, &vec![problem]));
    let rows = snapshot.run(fixture.run).unwrap().rows;
    assert_eq!((rows.read, rows.added, rows.invalid), (2, 1, 1));
}

#[tokio::test]
async fn a_video_that_was_sent_by_the_other_rule_for_identity_is_not_sent_again() {
    let with_id = |line: u64, name: &str, id: &str, by_id: bool| {
        let mut row = row(line, name, &[]).unwrap();
        row.external_id = Some(id.to_owned());
        row.submission.item_id = by_id.then(|| id.to_owned());
        Ok(row)
    };
    for by_id_first in [false, true] {
        let mut fixture = Fixture::new().await;
        fixture.admit(vec![with_id(2, "a", "1", by_id_first), with_id(3, "b", "2", by_id_first)]).await;
        fixture.claim(T0).await;
        fixture.reopen(T0).await;
        let other = vec![
            with_id(2, "a", "1", !by_id_first),
            // never sent: it may change its rule
            with_id(3, "b", "2", !by_id_first),
            // another video with a known id
            with_id(4, "c", "1", false),
        ];
        let admissions = fixture.admit(other).await;
        let Admission::HeldBack(problem) = &admissions[0] else { panic!("{admissions:?}") };
        assert_eq!(problem.class, "same_by_changed");
        assert_eq!(admissions[1..], [Admission::Added, Admission::Added], "{by_id_first}");
    }
}

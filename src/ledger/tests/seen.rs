//! What an operator sees: one item's history, lists of items, runs, and how fast each is found.

use rusqlite::Connection;

use super::*;
use crate::ledger::snapshot::{ReportScope, aggregates, history, listed, running};

/// The steps by which SQLite answers a query.
fn plan_of(raw: &Connection, sql: &str) -> Vec<String> {
    let mut statement = raw.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let values = rusqlite::params_from_iter(vec![None::<i64>; statement.parameter_count()]);
    statement.query_map(values, |row| row.get("detail")).unwrap().collect::<Result<_, _>>().unwrap()
}

#[tokio::test]
async fn an_item_is_found_by_an_index_whatever_names_it() {
    let Some(fixture) = Fixture::of_file().await else { return };
    let raw = Connection::open(fixture.path()).unwrap();
    for sql in history::LOOKUPS.iter().chain(&[running::LATEST_ERRORS]) {
        for step in plan_of(&raw, sql) {
            // there are few manifests, and the partial index of errors is read from its end
            let is_small = step.starts_with("SCAN manifest")
                || step == "SCAN namespace"
                || (step == "SCAN last_seen" && *sql == history::BY_LINE)
                || step.starts_with("SCAN own")
                || step == "SCAN event USING INDEX event_of_error"
                || step == "SCAN event USING COVERING INDEX event_of_error";
            assert!(!step.starts_with("SCAN") || is_small || step.contains("CONSTANT ROW"), "{sql}: {step}");
        }
    }
    let filter = ListFilter { states: vec![State::Failed, State::Rejected], ..ListFilter::default() };
    let steps = plan_of(&raw, &listed::sql_of(&filter)).join("; ");
    assert!(steps.contains("item_by_state") && !steps.contains("TEMP B-TREE"), "{steps}");
    // the dashboard reads it while the run goes on
    let causes = aggregates::causes_sql(ReportScope::InManifestsOf(RunId(1)));
    let steps = plan_of(&raw, &causes).join("; ");
    assert!(steps.contains("USING INDEX item_by_state") && !steps.contains("SCAN item"), "{steps}");
    let steps = plan_of(&raw, &listed::sql_of(&ListFilter::default())).join("; ");
    assert!(!steps.contains("TEMP B-TREE"), "{steps}");
}

fn named(mut row: Result<ManifestRow, RowError>, id: &str, namespace: &str) -> Result<ManifestRow, RowError> {
    if let Ok(row) = &mut row {
        row.external_id = Some(id.to_owned());
        namespace.clone_into(&mut row.submission.namespace);
    }
    row
}

#[tokio::test]
async fn an_item_is_found_by_url_id_video_number_and_line_in_every_namespace() {
    let fixture = Fixture::new().await;
    let rows = vec![
        named(row(2, "a", &[]), "R1", "default"),
        named(row(3, "a", &[]), "R1", "other"),
        named(row(4, "b", &[]), "R2", "third"),
        Err(RowError { line: 5, cells: Vec::new(), problems: Vec::new() }),
    ];
    fixture.admit(rows).await;
    let claim = fixture.claim(T0).await;
    fixture.settle(claim.attempt, accepted("VI000001", T0)).await.unwrap();
    let snapshot = fixture.ledger().snapshot().await.unwrap();
    assert_eq!(snapshot.items_by_id("R1", 9).unwrap(), [ItemId(1), ItemId(2)], "an id used twice");
    assert_eq!(snapshot.items_by_id("R3", 9).unwrap(), []);
    assert_eq!(snapshot.likely_namespaces(9).unwrap(), ["default", "other", "third"]);
    assert_eq!(snapshot.likely_namespaces(2).unwrap(), ["default", "other"]);
    let url = SourceUrl::parse("https://host/a.mp4").unwrap();
    let key = |namespace| crate::domain::ItemKey::derive(namespace, &url);
    assert_eq!(snapshot.item_by_key(key("other")).unwrap(), Some(ItemId(2)));
    assert_eq!(snapshot.item_by_key(key("third")).unwrap(), None);
    assert_eq!(snapshot.item_by_video(&VideoNo::parse("VI000001").unwrap()).unwrap(), Some(ItemId(1)));
    assert_eq!(snapshot.items_by_line(4, 9).unwrap(), [ItemId(3)]);
    assert_eq!(snapshot.items_by_line(5, 9).unwrap(), []);
    let issues = snapshot.row_issues_by_line(5, 9).unwrap();
    assert_eq!((issues.len(), issues[0].0.as_str()), (1, "m.csv"));
}

#[tokio::test]
async fn the_history_of_an_item_has_every_request_event_and_answer() {
    let fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &["x"])]).await;
    let first = fixture.claim(T0).await;
    fixture.settle(first.attempt, plain(ItemEvent::RefusedForNow, T0.plus_ms(1_000))).await.unwrap();
    let second = fixture.claim(T0.plus_ms(2_000)).await;
    fixture.settle(second.attempt, plain(ItemEvent::AnswerLost, T0.plus_ms(3_000))).await.unwrap();
    let candidates = vec![VideoNo::parse("VI000007").unwrap()];
    let question = Question { text: "it could be VI000007".to_owned(), candidates };
    fixture.write(move |store| store.ask(second.attempt, &question, T0.plus_ms(4_000))).await;
    assert_eq!(fixture.answer(ItemId(1), ReviewAnswer::Resend).await, ReviewOutcome::Done);
    let history = fixture.read(|snapshot| snapshot.item_history(ItemId(1))).await.unwrap();
    let states: Vec<&str> = history.requests.iter().map(|request| request.state.as_str()).collect();
    assert_eq!(states, ["refused", "absent"]);
    assert!(history.requests[1].is_forced, "it may be at the service");
    assert_eq!(history.requests[1].question.as_deref(), Some("it could be VI000007"));
    assert_eq!(history.requests[1].candidates[0].as_str(), "VI000007");
    let events: Vec<&str> = history.events.iter().map(|event| event.event.as_str()).collect();
    let all = ["claimed", "refused_for_now", "claimed", "answer_lost", "review_requested", "resend_ordered"];
    assert_eq!(events, all);
    assert_eq!((history.answers.len(), history.answers[0].who.as_str()), (1, "ann@desk"));
    assert_eq!((history.manifest.as_str(), history.line), ("m.csv", 2));
    assert_eq!(history.seen_by.as_deref(), Some("first"));
    assert!(fixture.read(|snapshot| snapshot.item_history(ItemId(2))).await.is_none());
}

fn listed(snapshot: &Snapshot, filter: &ListFilter) -> Vec<i64> {
    let mut items = Vec::new();
    let show = |item: ListedItem| {
        items.push(item.item.number());
        Ok::<bool, LedgerError>(items.len() < 3)
    };
    snapshot.each_listed_item(filter, show).unwrap();
    items
}

#[tokio::test]
async fn a_list_holds_the_items_of_a_state_a_time_a_reason_and_a_run() {
    let mut fixture = Fixture::new().await;
    fixture.admit((0..5).map(|n| row(n + 2, &n.to_string(), &[])).collect()).await;
    for (n, cause) in
        ["no codec of https://h/1", "no codec of https://h/2", "too long"].into_iter().enumerate()
    {
        let at = T0.plus_ms(i64::try_from(n).unwrap() * 60_000);
        let claim = fixture.claim(at).await;
        let result = AttemptResult::new(ItemEvent::Rejected, at, cause.to_owned());
        fixture.settle(claim.attempt, result).await.unwrap();
    }
    let first_run = fixture.run;
    fixture.reopen(T0.plus_ms(600_000)).await;
    // the second run reads and sends the fourth row only
    fixture.admit(vec![row(5, "3", &[])]).await;
    let claim = fixture.claim(T0.plus_ms(600_000)).await;
    fixture.settle(claim.attempt, accepted("VI000001", T0.plus_ms(600_000))).await.unwrap();
    let snapshot = fixture.ledger().snapshot().await.unwrap();
    let of = |filter: ListFilter| listed(&snapshot, &filter);
    assert_eq!(of(ListFilter::default()), [1, 2, 3], "the caller ends the list");
    let rejected = || ListFilter { states: vec![State::Rejected], ..ListFilter::default() };
    assert_eq!(of(rejected()), [1, 2, 3]);
    assert_eq!(of(ListFilter { since: Some(T0.plus_ms(60_000)), ..rejected() }), [2, 3]);
    assert_eq!(of(ListFilter { reason: Some("no codec of …".to_owned()), ..rejected() }), [1, 2]);
    assert_eq!(of(ListFilter { run: Some(fixture.run), ..ListFilter::default() }), [4]);
    assert_eq!(of(ListFilter { run: Some(first_run), ..rejected() }), [1, 2, 3]);
    assert_eq!(snapshot.reasons(Some(fixture.run), &[State::Rejected]).unwrap(), []);
    assert_eq!(snapshot.reasons(Some(first_run), &[State::Failed]).unwrap(), []);
    assert_eq!(snapshot.reasons(None, &[State::Rejected]).unwrap().len(), 2);
    let reasons = snapshot.reasons(Some(first_run), &[State::Rejected]).unwrap();
    let reasons: Vec<(&str, u64)> = reasons.iter().map(|one| (one.reason.as_str(), one.count)).collect();
    assert_eq!(reasons, [("no codec of …", 2), ("too long", 1)]);
}

#[tokio::test]
async fn the_uploads_of_a_run_are_those_of_its_own_requests() {
    let mut fixture = Fixture::new().await;
    fixture.admit((0..6).map(|n| row(n + 2, &n.to_string(), &[])).collect()).await;
    let first_run = fixture.run;
    for number in ["VI000001", "VI000002"] {
        let claim = fixture.claim(T0).await;
        fixture.settle(claim.attempt, accepted(number, T0)).await.unwrap();
    }
    // a run without requests, and one whose numbers begin behind a gap
    fixture.reopen(T0).await;
    let empty_run = fixture.run;
    fixture.reopen(T0).await;
    fixture.raw().execute("UPDATE observed_delay SET attempt_floor = 40", []).unwrap();
    fixture.admit((2..6).map(|n| row(n + 2, &n.to_string(), &[])).collect()).await;
    let claim = fixture.claim(T0).await;
    fixture.settle(claim.attempt, plain(ItemEvent::Rejected, T0)).await.unwrap();
    let claim = fixture.claim(T0.plus_ms(90_000)).await;
    fixture.settle(claim.attempt, accepted("VI000003", T0.plus_ms(90_000))).await.unwrap();
    let snapshot = fixture.ledger().snapshot().await.unwrap();
    let uploads = |run| snapshot.uploads_of_run(run).unwrap();
    assert_eq!(uploads(first_run), RunUploads { uploaded: 2, ..RunUploads::default() });
    assert_eq!(uploads(empty_run), RunUploads::default());
    assert_eq!(uploads(fixture.run), RunUploads { uploaded: 1, rejected: 1, ..RunUploads::default() });
    let pace = snapshot.pace_of_run(fixture.run, T0, T0.plus_ms(60_000)).unwrap();
    assert_eq!(pace.accepted, 1);
    let error = pace.last_error.unwrap();
    assert_eq!((error.event.as_str(), error.cause.as_deref()), ("rejected", Some("because")));
    let later = snapshot.pace_of_run(fixture.run, T0.plus_ms(1), T0).unwrap();
    assert!(later.last_error.is_none(), "it is an error of an earlier run");
}

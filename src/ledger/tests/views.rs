//! The views for people, and the questions of docs/ledger-views.md: both engines give the same answers.

use rusqlite::types::Value;

use super::*;

const PAGE: &str = include_str!("../../../docs/ledger-views.md");
const VIEWS: [&str; 4] = ["v_items", "v_attempts", "v_runs", "v_limits"];

/// The queries of the page.
fn questions() -> Vec<&'static str> {
    let blocks = PAGE.split("```sql\n").skip(1).map(|block| block.split("```").next().unwrap());
    blocks
        .filter(|block| block.starts_with("SELECT"))
        .map(|block| block.trim().trim_end_matches(';'))
        .collect()
}

/// A ledger with a video in each of several states. Two of its requests are younger than two hours.
async fn filled(place: LedgerPlace) -> Fixture {
    let fixture = Fixture::at(tempfile::tempdir().unwrap(), place).await;
    let now: i64 = fixture.raw().query_row("SELECT unixepoch()", [], |row| row.get(0)).unwrap();
    let hours_ago = |hours: i64| UnixMillis((now - hours * 3_600 - 60) * 1_000);
    let mut rows: Vec<_> = ["seen", "broken", "refused", "open", "later"]
        .into_iter()
        .zip(2..)
        .map(|(name, line)| row(line, name, &[]))
        .collect();
    let signed = &mut rows[4].as_mut().unwrap().submission;
    signed.url = SourceUrl::parse("https://host/later.mp4?Signature=secret&Expires=1800000000").unwrap();
    fixture.admit(rows).await;
    for (number, hours) in [("VI0001", 5), ("VI0002", 3)] {
        let claim = fixture.claim(hours_ago(hours)).await;
        fixture.settle(claim.attempt, accepted(number, hours_ago(hours))).await.unwrap();
    }
    let poll = |item, observation| [PollResult { item: ItemId(item), observation }];
    fixture
        .write(move |store| store.observe(&poll(1, Observation::Indexed), UnixMillis(1_700_100_000_000)))
        .await;
    let failed = move |store: &Store| {
        store.observe(&poll(2, Observation::Failed("codec".to_owned())), UnixMillis(1_700_100_000_000))
    };
    fixture.write(failed).await;
    let claim = fixture.claim(hours_ago(1)).await;
    fixture.settle(claim.attempt, plain(ItemEvent::Rejected, hours_ago(1))).await.unwrap();
    let claim = fixture.claim(hours_ago(1)).await;
    fixture.settle(claim.attempt, plain(ItemEvent::AnswerLost, hours_ago(1))).await.unwrap();
    let (run, limits) = (fixture.run, r#"{"rate":["1/s"]}"#);
    let end = move |store: &Store| {
        store.kv_set("limits", Some(limits), T0)?;
        store.kv_set(&format!("limits of run {run}"), Some(limits), T0)?;
        store.end_run(run, UnixMillis(1_700_100_000_000), 5, "open rows are left")
    };
    fixture.write(end).await;
    fixture
}

/// The rows of a query as text.
fn answer(fixture: &Fixture, sql: &str) -> Vec<String> {
    let text = |value: Value| match value {
        Value::Null => "-".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Text(text) => text,
        Value::Real(_) | Value::Blob(_) => panic!("{sql}: {value:?}"),
    };
    let line = |row: &sql::SqlRow<'_>| Ok(row.values()?.into_iter().map(text).collect::<Vec<_>>().join("|"));
    fixture.raw().prepare(sql).unwrap().query_all([], line).unwrap()
}

#[tokio::test]
async fn the_questions_of_the_page_are_answered_alike_by_both_engines() {
    let file = |folder: &tempfile::TempDir| LedgerPlace::from(folder.path().join("ledger.db"));
    let folder = tempfile::tempdir().unwrap();
    let of_file = filled(file(&folder)).await;
    let expected: [&[&str]; 5] = [
        &["2023-11-16|1"],
        &[
            "m.csv|3|https://host/broken.mp4|failed|codec",
            "m.csv|4|https://host/refused.mp4|rejected|because",
        ],
        &["2"],
        &["first|import|2023-11-14T22:13:20Z|2023-11-16T02:00:00Z|5|5|5|4|2|0|1|1"],
        &["in_doubt|1|-|-", "pending|1|-|2027-01-15T08:00:00Z"],
    ];
    let questions = questions();
    assert_eq!(questions.len(), expected.len());
    for (question, expected) in questions.iter().zip(expected) {
        assert_eq!(answer(&of_file, question), expected, "{question}");
    }
    let Some(place) = database() else { return };
    let of_database = filled(place).await;
    let all = VIEWS.map(|view| format!("SELECT * FROM {view} ORDER BY 1"));
    let of_requests =
        "SELECT attempt, item, run, state, marker, video_number, bound_by, cause FROM v_attempts ORDER BY 1";
    for question in
        questions.iter().copied().chain([all[0].as_str(), all[2].as_str(), all[3].as_str(), of_requests])
    {
        // the times of the requests differ: each ledger has its own now
        let without_times = |lines: Vec<String>| -> Vec<String> {
            let is_recent =
                |field: &&str| !(field.ends_with('Z') && field.len() == 20 && !field.starts_with("2023"));
            lines.iter().map(|line| line.split('|').filter(is_recent).collect::<Vec<_>>().join("|")).collect()
        };
        assert_eq!(
            without_times(answer(&of_database, question)),
            without_times(answer(&of_file, question)),
            "{question}"
        );
    }
}

#[tokio::test]
async fn every_column_of_the_views_is_described_and_shows_no_signature() {
    let folder = tempfile::tempdir().unwrap();
    let place = LedgerPlace::from(folder.path().join("ledger.db"));
    let fixture = filled(place).await;
    for view in VIEWS {
        let section = PAGE.split(&format!("### {view}\n")).nth(1).unwrap().split("\n### ").next().unwrap();
        let sql = format!("SELECT name FROM pragma_table_info('{view}')");
        let columns: Vec<String> = fixture.raw().prepare(&sql).unwrap().query_column([]).unwrap();
        assert!(columns.len() > 2, "{view} has columns");
        for column in columns {
            assert!(section.contains(&format!("`{column}`")), "{view}.{column} is not described");
        }
        let rows = answer(&fixture, &format!("SELECT * FROM {view}")).concat();
        assert!(!rows.is_empty() && !rows.contains("secret"), "{view}: {rows}");
    }
}

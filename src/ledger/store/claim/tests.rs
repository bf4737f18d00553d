//! What a claim and the changes around it cost, in steps and statements of SQLite's virtual machine.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, atomic::AtomicI64},
    time::Duration,
};

use rusqlite::{
    StatementStatus,
    trace::{TraceEvent, TraceEventCodes},
};

use super::*;
use crate::{
    domain::{ManifestRow, SourceUrl, VideoNo},
    ledger::{AdmitTerms, Binding, BoundBy, ManifestId, RunId, StorageAccess, open, tests::identity},
};

const T0: UnixMillis = UnixMillis(1_700_000_000_000);
/// Tables that grow with the archive.
const BIG: &[&str] = &["item", "attempt", "event", "last_seen"];

fn row(line: u64, query: &str) -> ManifestRow {
    let url = SourceUrl::parse(&format!("https://host/{line}.mp4{query}")).unwrap();
    ManifestRow {
        content_hash: None,
        warnings: Vec::new(),
        line,
        cells: Vec::new(),
        external_id: None,
        submission: Submission::new(url, "default".to_owned()),
    }
}

/// Whether the manifest was read to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Over,
    Going,
}

/// The statements of a claim and the steps they took, with this many expired links in front, and the claim.
fn claim_behind(
    dead: u64,
    query: &str,
    reading: Reading,
) -> (HashMap<String, i32>, Box<Claim>, Store, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();

    let mut store = open::open(folder.path().join("l.db"), &identity(), T0).unwrap();
    let mut terms = None;
    store
        .transaction(|store| {
            let run = store.begin_run("first", "import", T0, None)?;
            let manifest = store.begin_manifest_read(run, "m.csv", &[], None)?;
            let rows = (0..dead).map(|line| row(line, "?Expires=1600000000"));
            let rows = rows.chain((dead..dead + 9).map(|line| row(line, query))).map(Ok);
            store.admit(run, manifest, &rows.collect::<Vec<_>>(), &AdmitTerms::default(), T0)?;
            if reading == Reading::Over {
                store.end_manifest_read(run, manifest, None)?;
            }
            terms = Some(ClaimTerms {
                run,
                manifests: vec![manifest],
                concurrency: 1,
                link_life_min: Duration::ZERO,
                sent_by: Arc::new(AtomicI64::new(i64::MAX)),
                start_within: Duration::from_secs(5),
                acceptance_lag_max: Duration::from_mins(15),
                marker: Marker::On,
                callback_base: None,
                uploads_max: Some(99),
                disk_free_min: 1,
                set_aside: Arc::default(),
                storage: StorageAccess::default(),
            });
            Ok(())
        })
        .unwrap();
    let mut claimed = None;
    let steps = steps_of(&mut store, |store| {
        let outcome = store.claim(&terms.unwrap(), T0)?;
        claimed = Some(outcome);
        Ok(())
    });
    let Some(ClaimOutcome::Claimed(claim)) = claimed else { panic!("nothing was claimed") };
    (steps, claim, store, folder)
}

/// The statements of a transaction, and the steps they took.
fn steps_of(store: &mut Store, work: impl FnOnce(&Store) -> Result<(), LedgerError>) -> HashMap<String, i32> {
    let steps = Arc::new(Mutex::new(HashMap::new()));
    let seen = Arc::clone(&steps);
    let trace = move |event: TraceEvent<'_>| {
        if let TraceEvent::Profile(statement, _) = event {
            seen.lock()
                .unwrap()
                .insert(statement.sql().into_owned(), statement.get_status(StatementStatus::VmStep));
        }
    };
    // statements of earlier transactions count from before
    store.connection.sqlite().unwrap().flush_prepared_statement_cache();
    store.snapshot.connection.of_file().trace_v2(TraceEventCodes::SQLITE_TRACE_PROFILE, Some(trace)).unwrap();
    store.transaction(work).unwrap();
    store
        .snapshot
        .connection
        .of_file()
        .trace_v2(TraceEventCodes::empty(), None::<fn(TraceEvent<'_>)>)
        .unwrap();
    let steps = steps.lock().unwrap().clone();
    assert!(steps.len() > 3, "{steps:?}");
    steps
}

#[test]
fn the_statements_of_a_claim_scan_no_table_that_grows_with_the_archive() {
    for (query, reading) in [
        ("", Reading::Over),
        ("?Expires=1900000000", Reading::Over),
        ("", Reading::Going),
        ("?Expires=1900000000", Reading::Going),
    ] {
        let (steps, _, store, _folder) = claim_behind(3, query, reading);
        assert!(steps.len() > 10, "{steps:?}");
        // the plan of a change also shows scans that run only while a foreign key is violated; a scan for the last row ends
        // with it
        let is_read = |sql: &&String| sql.starts_with("SELECT") && !sql.ends_with("ORDER BY id DESC LIMIT 1");
        for sql in steps.keys().filter(is_read) {
            let mut statement =
                store.connection.sqlite().unwrap().prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let mut rows = statement.raw_query();
            while let Some(row) = rows.next().unwrap() {
                let plan: String = row.get("detail").unwrap();
                let scans = |table: &&str| plan == format!("SCAN {table}");
                assert!(!BIG.iter().any(scans), "{plan}: {sql}");
                assert!(!plan.contains("TEMP B-TREE"), "{plan}: {sql}");
            }
        }
    }
}

#[test]
fn a_claim_costs_the_same_behind_few_and_behind_many_expired_links() {
    for (query, reading) in [
        ("", Reading::Over),
        ("?Expires=1900000000", Reading::Over),
        ("", Reading::Going),
        ("?Expires=1900000000", Reading::Going),
    ] {
        let total = |dead: u64| {
            let (steps, claim, ..) = claim_behind(dead, query, reading);
            let first = format!("https://host/{dead}.mp4{query}");
            assert_eq!(claim.submission.url.as_str(), first, "the first row that can be sent");
            steps.values().sum::<i32>()
        };
        let (few, many) = (total(3), total(3_000));
        assert!(many < few + 100, "{few} steps behind 3 expired links, {many} behind 3,000 ({query})");
    }
}

#[test]
fn no_change_of_an_upload_or_of_an_admission_builds_a_temporary_table() {
    let (mut steps, claim, mut store, _folder) = claim_behind(3, "", Reading::Going);
    let rows = [Ok(row(20, "")), Ok(row(21, "")), Ok(row(20, ""))];
    steps.extend(steps_of(&mut store, |store| {
        store.admit(RunId(1), ManifestId(1), &rows, &AdmitTerms::default(), T0).map(|_| ())
    }));
    let accepted = AttemptResult {
        bound: Some(Binding {
            video_no: VideoNo::parse("VI000001").unwrap(),
            uploaded_at: Some(T0),
            by: BoundBy::Response,
        }),
        ..AttemptResult::new(ItemEvent::Accepted, T0, None)
    };
    steps.extend(steps_of(&mut store, |store| store.settle(claim.attempt, &accepted)));
    let indexed = AttemptResult::new(ItemEvent::Indexed, T0, None);
    steps.extend(steps_of(&mut store, |store| store.settle(claim.attempt, &indexed)));
    let is_change = |sql: &&String| sql.starts_with("INSERT") || sql.starts_with("UPDATE");
    let changes: Vec<&String> = steps.keys().filter(is_change).collect();
    assert!(changes.len() >= 8, "{changes:?}");
    for sql in changes {
        // an IN with more than two texts in a check, a trigger or the condition of an index is such a table
        let mut statement = store.connection.sqlite().unwrap().prepare(&format!("EXPLAIN {sql}")).unwrap();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().unwrap() {
            let opcode: String = row.get("opcode").unwrap();
            assert!(
                !matches!(opcode.as_str(), "OpenEphemeral" | "OpenAutoindex" | "SorterOpen"),
                "{opcode}: {sql}"
            );
        }
    }
}

#[test]
fn what_stages_read_after_every_change_costs_the_same_whatever_waits() {
    let total = |waiting: u64| {
        let (_, _, mut store, _folder) = claim_behind(waiting, "", Reading::Over);
        let reads = steps_of(&mut store, |store| {
            store.held_resends(10)?;
            store.held_back(&[ManifestId(1)])?;
            store.unresolved_attempts(10)?;
            store.too_many_in_doubt(1, None)?;
            store.next_poll_at()?;
            Ok(())
        });
        reads.values().sum::<i32>()
    };
    let (few, many) = (total(3), total(3_000));
    assert!(many <= few + few / 4, "{few} steps where few rows wait, {many} where many do");
}

#[test]
fn where_the_service_dates_no_answer_its_clock_is_sought_among_the_nearest_attempts_only() {
    let total = |attempts: i64| {
        let (_, _, mut store, _folder) = claim_behind(0, "", Reading::Over);
        let reads = steps_of(&mut store, |store| {
            store.connection.execute("DROP TRIGGER attempt_starts_sending", [])?;
            let earlier = "INSERT INTO attempt (id, item, run, state, sent_at, send_before) VALUES (?1, 2, 1, 'absent', 0, 0)";
            for id in 2..attempts {
                store.connection.execute(earlier, [id])?;
            }
            store.service_time(AttemptId(attempts / 2))?;
            store.time_before(RunId(2))?;
            Ok(())
        });
        reads.iter().filter(|(sql, _)| !sql.starts_with("INSERT")).map(|(_, steps)| steps).sum::<i32>()
    };
    let (few, many) = (total(3_000), total(12_000));
    assert!(many <= few + few / 4, "{few} steps with 3,000 attempts, {many} with 12,000");
}

//! The real binary when a human must decide: reviews, lost and restored ledgers, spent budgets, failed videos.

use std::fs;

use crate::support::cli::{CliFixture, SandboxProcess, result_of, rows};

/// A command against a sandbox process, with a high rate of listings.
fn against<'a>(sandbox: &'a SandboxProcess, args: &[&'a str]) -> Vec<&'a str> {
    let mut all = args.to_vec();
    all.extend(["--api-url", &sandbox.url, "--list-rate", "20/s"]);
    all
}

#[test]
fn a_review_lists_an_open_question_with_its_price_and_resolve_answers_it() {
    let fixture = CliFixture::new();
    let manifest = fixture.write("m.csv", &rows(3));
    let sandbox = SandboxProcess::start(&fixture, &["--faults-at", "1:cut-before"]);
    // one request at a time: the first one, which has the fault, is that of the first item
    let import =
        ["import", &manifest, "--rate", "20/s", "-j", "1", "--on-doubt", "ask", "--settle-after", "1s"];
    let (code, out, err) = fixture.run(&against(&sandbox, &import));
    assert_eq!(code, 6, "{out}{err}");
    assert!(out.contains("1 needs your decision") && out.contains("telecine review"), "{out}");
    let (code, out, _) = fixture.run(&["review", "--price", "2.5"]);
    assert_eq!(code, 6);
    assert!(out.contains("item 1: https://host/clip-0.mp4 (id R0)") && out.contains("m.csv:2"), "{out}");
    assert!(out.contains("costs at most 2.5 credits more, paid twice if the first was accepted"), "{out}");
    let (_, out, _) = fixture.run(&["review", "--json"]);
    let question: serde_json::Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    assert_eq!((question["item"].as_i64(), question["state"].as_str()), (Some(1), Some("needs_review")));
    let (code, _, err) = fixture.run(&["resolve", "7", "--resend"]);
    assert_eq!(code, 2);
    assert!(err.contains("there is no item 7"), "{err}");
    let (code, _, err) = fixture.run(&["resolve", "2", "--resend"]);
    assert!(code == 2 && err.contains("item 2 is"), "{err}");
    let (code, _, err) = fixture.run(&["resolve", "1"]);
    assert!(code == 2 && err.contains("--adopt"), "one answer must be given: {err}");
    let (code, out, err) = fixture.run(&["resolve", "1", "--resend", "--why", "never seen there"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("waits to be sent again"), "{out}");
    let (code, out, _) = fixture.run(&["review"]);
    assert!(code == 0 && out.contains("0 need your decision"), "{out}");
    let (code, out, err) = fixture.run(&against(&sandbox, &["import", &manifest, "--rate", "20/s"]));
    assert_eq!(code, 0, "{out}{err}");
    sandbox.assert_each_accepted_once(3);
    let (code, out, _) = fixture.run(&["ledger", "check"]);
    assert!(code == 0 && out.contains("is correct"), "{out}");
}

#[test]
fn a_lost_ledger_is_recovered_from_the_service_and_verify_finds_no_difference() {
    let fixture = CliFixture::new();
    let manifest = fixture.write("m.csv", &rows(6));
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let import = ["import", &manifest, "--rate", "20/s"];
    assert_eq!(fixture.run(&against(&sandbox, &import)).0, 0);
    fs::remove_dir_all(fixture.path("state")).unwrap();
    let (code, out, _) = fixture.run(&against(&sandbox, &import));
    assert_eq!(code, 6, "{out}");
    assert!(out.contains("is at the service already") && out.contains("telecine recover"), "{out}");
    assert_eq!(sandbox.uploads(), 6, "something was paid twice");
    let (code, out, err) = fixture.run(&against(&sandbox, &["recover", &manifest, "--settle-after", "1s"]));
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("6 rows bound to their video"), "{out}");
    let (code, out, _) = fixture.run(&against(&sandbox, &import));
    assert_eq!(code, 0, "{out}");
    let (code, out, err) = fixture.run(&against(&sandbox, &["verify"]));
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("6 listed and in the ledger"), "{out}");
    let folder = fixture.report();
    let library_diff: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(folder.join("library_diff.json")).unwrap()).unwrap();
    assert_eq!(library_diff["namespaces"][0]["matched"], 6);
    assert_eq!(fs::read_to_string(folder.join("library_diff.csv")).unwrap().lines().count(), 1);
}

#[test]
fn a_ledger_restored_from_a_backup_sends_nothing_until_it_is_recovered() {
    let fixture = CliFixture::new();
    let manifest = fixture.write("m.csv", &rows(4));
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let with_state = |args: &[&str]| {
        let far = fixture.path("far");
        result_of(&fixture.command(&against(&sandbox, args)).env("XDG_STATE_HOME", far).output().unwrap())
    };
    let import = ["import", &manifest, "--rate", "20/s"];
    let (code, ..) = with_state(&["import", &manifest, "--rate", "20/s", "--max-rows", "2"]);
    assert_eq!(code, 8);
    let (code, out, err) = fixture.run(&["ledger", "backup", "b.db"]);
    assert!(code == 0 && out.contains("telecine recover"), "{out}{err}");
    let (code, _, err) = fixture.run(&["ledger", "backup", "b.db"]);
    assert!(
        code == 2 && err.contains("cannot copy the ledger to b.db: it exists already; name a new file"),
        "{err}"
    );
    let (code, _, err) = fixture.run(&["ledger", "backup", "missing/c.db"]);
    assert!(code == 2 && err.contains("name a file in a folder that you can write"), "{err}");
    assert_eq!(with_state(&import).0, 0);
    for suffix in ["", "-wal", "-shm"] {
        fs::remove_file(fixture.path(&format!("state/telecine.db{suffix}"))).ok();
    }
    fs::copy(fixture.path("b.db"), fixture.path("state/telecine.db")).unwrap();
    let (code, _, err) = with_state(&import);
    assert_eq!(code, 2);
    // on a busy machine a request may start too late, and is made again under another number
    assert!(
        err.contains("is older than what was sent: it knows ") && err.contains("telecine recover"),
        "{err}"
    );
    let (code, out, err) = with_state(&["recover", &manifest, "--settle-after", "1s"]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(with_state(&import).0, 0);
    sandbox.assert_each_accepted_once(4);
}

#[test]
fn a_ledger_whose_recovery_is_not_finished_is_not_ready_for_an_import() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    fixture.write("m.csv", &rows(2));
    let run = |args: &[&str]| fixture.run(&against(&sandbox, args));
    assert_eq!(run(&["import", "m.csv", "--ledger", "l.db"]).0, 0);
    let doctor = || fixture.run(&["doctor", "--ledger", "l.db", "--api-url", &sandbox.url]);
    assert_eq!(doctor().0, 0);
    let raw = rusqlite::Connection::open(fixture.path("l.db")).unwrap();
    raw.execute("UPDATE observed_delay SET recovering = 1", []).unwrap();
    drop(raw);
    let (import, doctor) = (run(&["import", "m.csv", "--ledger", "l.db"]), doctor());
    assert_eq!((import.0, doctor.0), (2, 2), "{import:?} {doctor:?}");
    for (_, out, err) in [import, doctor, fixture.run(&["status", "--ledger", "l.db"])] {
        assert!(format!("{out}{err}").contains("telecine recover"), "{out}{err}");
    }
}

#[test]
fn a_spent_budget_exits_8_and_reports_what_was_paid() {
    let fixture = CliFixture::new();
    let manifest = fixture.write("m.csv", &rows(5));
    let (code, _, err) = fixture.run(&["import", &manifest, "--sandbox", "--max-credits", "10"]);
    assert!(code == 2 && err.contains("give --price"), "{err}");
    let budget = [
        "import",
        &manifest,
        "--sandbox",
        "--max-credits",
        "10",
        "--price",
        "0.1/min",
        "--minutes-max",
        "30",
    ];
    let (code, out, err) = fixture.run(&budget);
    assert_eq!(code, 8, "{out}{err}");
    assert!(out.contains("the budget is spent") && out.contains("raise --max-uploads"), "{out}");
    assert!(out.contains("paid in all: 3 uploads, at most 9 credits"), "{out}");
    let (_, out, _) = fixture.run(&["status", "--sandbox", "--json", "--price", "2"]);
    let status: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (status["spend"]["uploads"].as_u64(), status["spend"]["credits"].as_str()),
        (Some(3), Some("6"))
    );
    assert_eq!(fixture.run(&["import", &manifest, "--sandbox"]).0, 0);
}

#[test]
fn unsafe_options_are_refused_before_anything_is_sent() {
    let fixture = CliFixture::new();
    let manifest = fixture.write("m.csv", &rows(1));
    let (code, _, err) = fixture.run(&["import", &manifest, "--sandbox", "--on-doubt", "auto"]);
    assert!(code == 2 && err.contains("--exclusive"), "{err}");
    let (code, _, err) = fixture.run(&["import", &manifest, "--sandbox", "--disk-reserve", "8000000GiB"]);
    assert_eq!(code, 5, "{err}");
}

#[test]
fn failed_videos_are_sent_again_only_with_retry_failed_and_after_naming_the_price() {
    let fixture = CliFixture::new();
    let manifest = fixture.write("m.csv", &rows(3));
    let sandbox = SandboxProcess::start(&fixture, &["--fail-share", "1"]);
    let import = ["import", &manifest, "--rate", "20/s", "--price", "1.5"];
    assert_eq!(fixture.run(&against(&sandbox, &import)).0, 4);
    assert_eq!(fixture.run(&against(&sandbox, &import)).0, 4);
    assert_eq!(sandbox.uploads(), 3, "failed videos were sent again without an order");
    let mut again = against(&sandbox, &import);
    again.push("--retry-failed");
    let (_, _, err) = fixture.run(&again);
    assert!(err.contains("up to 3 videos that failed are sent and paid again, at most 4.5 credits"), "{err}");
    assert_eq!(sandbox.uploads(), 6);
}

//! The real binary: commands beside a running import, and answers to questions.

use std::process::Stdio;

use crate::support::cli::{CliFixture, SandboxProcess, rows};
use crate::support::running::{Running, against, pause, wait_for};
use crate::support::service::{Answer, KEY, Service};

/// An answer of a service that fails.
const FAILING: &str =
    "HTTP/1.1 500 x\r\ncontent-length: 38\r\n\r\n{\"code\":\"0001\",\"msg\":\"internal error\"}";

/// One upload in 25 seconds of the test: without a change of its limits no import of several rows ends in time.
const SLOW: [&str; 2] = ["--rate", "1/1000s"];

#[test]
fn limits_that_are_set_beside_a_running_import_hold_within_seconds() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(30));
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let import = Running::start(&fixture, &against(&sandbox, &[&["import", "m.csv"], &SLOW[..]].concat()));
    wait_for("the first upload", || sandbox.uploads() == 1);
    let (code, out, err) = fixture.run(&["quota", "set", "--rate", "50/s", "--cap", "20/2h"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("carried out by the running telecine (process "), "{out}");
    wait_for("the uploads that the cap allows", || sandbox.uploads() == 20);
    // what another tool uploaded counts from now on, and the larger cap is used up by both
    let (code, out, err) = fixture.run(&["quota", "spend", "5", "--note", "the web console"]);
    assert!(code == 0 && out.contains("carried out by the running telecine"), "{out}{err}");
    let (code, out, _) = fixture.run(&["quota", "set", "--cap", "28/2h", "--json"]);
    assert!(code == 0 && out.contains("carried out by"), "{out}");
    wait_for("the uploads that the cap leaves", || sandbox.uploads() == 23);
    let (_, out, _) = fixture.run(&["quota"]);
    assert!(out.contains("50/s") && out.contains("28/2h"), "{out}");
    fixture.run(&["quota", "set", "--cap", "100/2h"]);
    let (code, out, err) = import.end();
    assert_eq!(code, 0, "{out}{err}");
    sandbox.assert_each_accepted_once(30);
}

#[test]
fn limits_that_are_forgotten_beside_a_running_import_hold_no_longer() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(9));
    let sandbox = SandboxProcess::start(&fixture, &["--faults-at", "1:busy"]);
    let import = Running::start(&fixture, &against(&sandbox, &["import", "m.csv", "--rate", "1/200s"]));
    let quota = || {
        let (_, out, _) = fixture.run(&["quota", "--json"]);
        serde_json::from_str::<serde_json::Value>(&out).unwrap_or_default()
    };
    let speed = || quota()["speed_percent"].as_i64().unwrap_or(100);
    let limits = || {
        let windows = quota()["windows"].as_array().unwrap().clone();
        windows.into_iter().map(|window| window["limit"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let forget = |args: &[&str], what: &str| {
        let (code, out, err) = fixture.run(&[&["quota", "forget"], args].concat());
        assert!(code == 0 && out.contains(what) && out.contains("carried out by the running"), "{out}{err}");
    };
    wait_for("the slower rate after the refusal", || speed() < 100);
    forget(&[], "the learned limits");
    assert_eq!(speed(), 100);
    let of_flags = limits();
    assert_eq!(fixture.run(&["quota", "set", "--rate", "1/3000s", "--cap", "100/2h"]).0, 0);
    assert_ne!(limits(), of_flags);
    forget(&["--limits"], "the limits that were set");
    assert_eq!(limits(), of_flags);
    fixture.run(&["quota", "set", "--rate", "50/s"]);
    let (code, out, err) = import.end();
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(speed(), 100, "the run has not saved again what it was to forget");
    sandbox.assert_each_accepted_once(9);
}

#[test]
fn an_order_for_an_import_that_is_killed_is_carried_out_once() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(3));
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let args = against(&sandbox, &["import", "m.csv", SLOW[0], SLOW[1]]);
    let mut import = Running::start(&fixture, &args);
    wait_for("the first upload", || sandbox.uploads() == 1);
    let process = import.0.as_ref().unwrap().id().to_string();
    // a stopped process holds the lock, and carries nothing out
    assert!(std::process::Command::new("kill").args(["-STOP", &process]).status().unwrap().success());
    let spend = Running::start(&fixture, &["quota", "spend", "7"]);
    pause(500);
    import.kill();
    let (code, out, err) = spend.end();
    assert!(code == 0 && out.contains("counts 7 uploads"), "{out}{err}");
    for _ in 0..2 {
        let (_, out, _) = fixture.run(&["quota", "--cap", "50/2h"]);
        assert!(out.lines().any(|line| line.contains("50/2h") && line.contains(" 8 ")), "{out}");
        assert_eq!(fixture.run(&["quota", "set", "--rate", "50/s"]).0, 0);
    }
}

#[test]
fn a_question_is_answered_beside_the_running_import_which_sends_the_row_again() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(3));
    let sandbox = SandboxProcess::start(&fixture, &["--faults-at", "1:cut-before"]);
    let import = ["import", "m.csv", SLOW[0], SLOW[1], "--on-doubt", "ask", "--settle-after", "1s"];
    let import =
        Running::start(&fixture, &against(&sandbox, &[&import[..], &["--list-rate", "20/s"]].concat()));
    wait_for("the question", || fixture.run(&["review"]).0 == 6);
    let (code, out, err) = fixture.run(&["resolve", "1", "--resend"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(
        out.contains("item 1 waits to be sent again") && out.contains("carried out by the running"),
        "{out}"
    );
    fixture.run(&["quota", "set", "--rate", "50/s"]);
    let (code, out, err) = import.end();
    assert_eq!(code, 0, "{out}{err}");
    sandbox.assert_each_accepted_once(3);
}

/// The import of three rows whose first answer is lost, up to the question about it.
fn asked(sandbox_args: &[&str]) -> (CliFixture, SandboxProcess) {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(3));
    let sandbox = SandboxProcess::start(&fixture, sandbox_args);
    let import =
        ["import", "m.csv", "--rate", "50/s", "--on-doubt", "ask", "--settle-after", "1s", "-j", "1"];
    let (code, out, err) = fixture.run(&against(&sandbox, &[&import[..], &["--list-rate", "20/s"]].concat()));
    assert_eq!(code, 6, "{out}{err}");
    (fixture, sandbox)
}

#[test]
fn a_number_is_adopted_only_if_the_service_has_it_and_it_is_no_other_items() {
    let (fixture, sandbox) = asked(&["--faults-at", "1:cut-after", "--fail-share", "1"]);
    let numbers: Vec<String> = fixture
        .read("record.jsonl")
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["video_no"].as_str().unwrap().to_owned()
        })
        .collect();
    let adopt = |number: &str| fixture.run(&against(&sandbox, &["resolve", "1", "--adopt", number]));
    let (code, out, err) = adopt("VI123456");
    assert!(code == 2 && err.contains("shows no video VI123456"), "{out}{err}");
    let (code, out, err) = adopt(&numbers[1]);
    assert!(code == 2 && err.contains("belongs to item 2 already"), "{out}{err}");
    let (code, out, err) =
        fixture.run(&["resolve", "1", "--adopt", &numbers[0], "--api-url", "http://127.0.0.1:1"]);
    assert!(code == 2 && err.contains("belongs to http"), "another service is not asked: {out}{err}");
    assert_eq!(fixture.run(&["review"]).0, 6, "nothing was changed");
    let (code, out, err) = adopt(&numbers[0]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("could not index") && out.contains(&format!("item 1 is {}", numbers[0])), "{out}");
    let (code, out, err) = fixture.run(&["resolve", "--undo", "1"]);
    assert!(code == 0 && out.contains("needs a decision again"), "{out}{err}");
    let (code, out, err) = fixture.run(&["resolve", "--undo", "2"]);
    assert!(code == 2 && err.contains("no decision about it was made"), "{out}{err}");
    let url = sandbox.url.clone();
    drop(sandbox);
    let (code, out, err) = fixture.run(&["resolve", "1", "--adopt", &numbers[0], "--api-url", &url]);
    assert!(code == 5 && out.contains("could not be asked"), "{out}{err}");
    assert_eq!(fixture.run(&["ledger", "check"]).0, 0);
}

#[test]
fn many_questions_are_answered_alike_only_after_their_count_and_price_were_shown() {
    let (fixture, sandbox) = asked(&["--faults-at", "1:cut-before,2:cut-before"]);
    let all = |args: &[&str]| {
        fixture.run(&[&["resolve", "--resend", "--price", "2.5", "--all-matching"], args].concat())
    };
    let (code, out, err) = all(&["clip-7"]);
    assert!(code == 0 && out.contains("no item that needs a decision matches"), "{out}{err}");
    let (code, out, err) = all(&["*"]);
    assert_eq!(code, 6, "{out}{err}");
    assert!(out.contains("2 items: sent again for at most 5 credits") && out.contains("--yes"), "{out}");
    assert!(out.contains("item 1: https://host/clip-0.mp4"), "{out}");
    assert!(fixture.run(&["review"]).1.contains("2 need your decision"), "nothing was changed");
    let (code, out, err) = all(&["clip-1.mp4", "--yes"]);
    assert!(code == 0 && out.contains("item 2 waits to be sent again"), "{out}{err}");
    assert!(fixture.run(&["review"]).1.contains("1 needs your decision"));
    let (code, _, err) = all(&["*", "--adopt", "VI123456"]);
    assert_eq!(code, 2, "{err}");
    assert_eq!(all(&["m.csv", "--yes"]).0, 0);
    let (code, out, err) = fixture.run(&against(&sandbox, &["import", "m.csv", "--rate", "50/s"]));
    assert_eq!(code, 0, "{out}{err}");
    sandbox.assert_each_accepted_once(3);
}

#[test]
fn a_row_that_a_rule_rejected_is_sent_again_only_after_its_marker_could_show() {
    // the first video is made, and its tags show late; the second is not made
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(3));
    let faults = ["--faults-at", "1:abnormal,2:abnormal-before", "--index-delay", "40s"];
    let sandbox = SandboxProcess::start(&fixture, &faults);
    let rule = ["--verdict", "0001=bad-row", "--rate", "50/s", "--list-rate", "20/s", "-j", "1"];
    let first = [&["import", "m.csv"], &rule[..], &["--no-wait"]].concat();
    let (code, out, err) = fixture.run(&against(&sandbox, &first));
    // the third one is being indexed
    assert_eq!((code, sandbox.uploads()), (5, 2), "{out}{err}");
    let again = [&["import", "m.csv"], &rule[..], &["--retry-failed", "--settle-after", "90s"]].concat();
    let (code, out, err) = fixture.run(&against(&sandbox, &again));
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("bound to") || err.contains("bound to"), "{out}{err}");
    sandbox.assert_each_accepted_once(3);
}

#[test]
fn a_run_that_waits_for_a_listing_says_so_and_promises_no_end() {
    let fixture = CliFixture::in_real_time();
    fixture.write("m.csv", &rows(3));
    let service = Service::start(Answer::Accept);
    service.lists(Some(Answer::Raw(FAILING)));
    let import = ["import", "m.csv", "--ledger", "l.db", "--rate", "20/s", "--api-url", &service.url];
    let mut import = fixture.command(&import);
    let import = import.env("MEMORIES_API_KEY", KEY).stdout(Stdio::piped()).stderr(Stdio::piped());
    let import = Running(Some(import.spawn().unwrap()));
    let status = || fixture.run(&["status", "--ledger", "l.db"]).1;
    wait_for("the wait", || status().contains("nothing can be sent"));
    let shown = status();
    assert!(
        shown.contains("the service does not list its videos") && !shown.contains("all sent by"),
        "{shown}"
    );
    let (_, out, _) = fixture.run(&["status", "--ledger", "l.db", "--json"]);
    let body: serde_json::Value = serde_json::from_str(&out).unwrap();
    let running = &body["running"];
    assert!(running["wait_reason"].as_str().unwrap().contains("does not list"), "{running}");
    assert_eq!(running["finish_at"], serde_json::Value::Null);
    let (_, out, _) = fixture.run(&["quota", "--ledger", "l.db"]);
    assert!(
        out.contains("next upload: not before this is over: the service does not list its videos"),
        "{out}"
    );
    service.lists(None);
    let (code, out, err) = import.end();
    assert_eq!(code, 0, "{out}{err}");
    assert!(!err.contains("ends "), "a line of progress promised an end: {err}");
}

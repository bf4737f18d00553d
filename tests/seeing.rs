//! The real binary: the commands with which an operator sees what happened.

use std::process::Command;

use crate::support::cli::{CliFixture, SandboxProcess, result_of, rows, skipped};
use crate::support::running::{Running, against, pause, wait_for};
use serde_json::Value;

/// Limits under which no import of several rows ends within a test.
const SLOW: [&str; 4] = ["--rate", "1/1000s", "--cap", "7/3h"];

/// The last line of a command with `--json`.
fn json(fixture: &CliFixture, args: &[&str]) -> Value {
    let (code, out, err) = fixture.run(&[args, &["--json"]].concat());
    assert_eq!(code, 0, "{args:?}: {out}{err}");
    serde_json::from_str(out.lines().last().unwrap()).unwrap()
}

#[test]
fn an_item_is_explained_by_whatever_names_it_and_without_its_signature() {
    let fixture = CliFixture::new();
    let signed = "https://host/clip-1.mp4?X-Amz-Date=1&X-Amz-Signature=canary";
    let text = format!(
        "id,url,tags\nA,{signed},x;y\nB,https://host/b.mp4,\nB,https://host/c.mp4,\nbad,ftp://b/x,\n"
    );
    fixture.write("m.csv", &(text + "A,https://host/clip-1.mp4,x;y\n"));
    assert_eq!(fixture.run(&["import", "m.csv", "--sandbox", "--quiet"]).0, 4);
    let explain = |what: &[&str]| fixture.run(&[&["explain"], what, &["--sandbox"]].concat());
    let resigned = "https://host/clip-1.mp4?X-Amz-Signature=other&X-Amz-Date=2";
    let by_url = explain(&[resigned]).1;
    let video = by_url.lines().find_map(|line| line.trim().strip_prefix("video ")).unwrap().trim().to_owned();
    for what in [&[&*video][..], &["A"], &["1"], &["item", "1"], &["item 1"], &["line", "2"], &["m.csv:2"]] {
        let (code, out, err) = explain(what);
        assert_eq!((code, &out), (0, &by_url), "{what:?}: {err}");
    }
    for part in
        ["item 1: indexed", "m.csv:2", "tags = y", "accepted (request 1)", "1 upload paid", "searchable"]
    {
        assert!(by_url.contains(part), "{part}: {by_url}");
    }
    assert!(!by_url.contains("canary") && by_url.contains("X-Amz-Signature=***"), "{by_url}");
    let (_, twice, _) = explain(&["B"]);
    assert!(twice.contains("telecine explain item 2 --sandbox") && twice.contains("item 3: "), "{twice}");
    assert!(explain(&["line", "5"]).1.contains("m.csv:5: invalid"));
    assert!(explain(&["line", "6"]).1.contains("the same item as line 2"), "a duplicate");
    fixture.write("n.csv", "id,url\na.csv:7,https://host/n.mp4\n");
    assert_eq!(fixture.run(&["import", "n.csv", "--sandbox", "--quiet"]).0, 0);
    assert!(explain(&["a.csv:7"]).1.contains("n.csv:2"), "an id that looks like a place");
    let (code, _, err) = explain(&["https://host/none.mp4?X-Amz-Date=1&X-Amz-Signature=canary"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("of the namespace default and the address https://host/none.mp4 "), "{err}");
    for [what, searched] in
        [["C", "the id C of a row"], ["17", "the item with the number 17"], ["m.csv:99", "line 99 of m.csv"]]
    {
        assert!(explain(&[what]).2.contains(searched), "{what}");
    }
}

#[test]
fn the_summary_names_the_command_that_lists_the_rows_of_each_reason() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(12));
    std::fs::create_dir(fixture.path("it's")).unwrap();
    let sandbox = SandboxProcess::start(&fixture, &["--fail-share", "0.5"]);
    let import = ["import", "m.csv", "--rate", "50/s", "--list-rate", "20/s", "--ledger", "it's/l.db"];
    let (code, out, err) = fixture.run(&against(&sandbox, &import));
    assert_eq!(code, 4, "{out}{err}");
    let command = out.lines().map(str::trim).find(|line| line.starts_with("telecine list ")).unwrap();
    let report = fixture.report_in("it's/reports").join("report.json");
    let report: Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    let reason = &report["reasons"][0];
    assert_eq!(reason["command"], command);
    assert_eq!(reason["count"], report["items"]["failed"], "{report}");
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_telecine")).parent().unwrap();
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("{command} --csv")]).env_clear().env("PATH", binary);
    let (code, listed, err) = result_of(&shell.current_dir("/").output().unwrap());
    assert_eq!(code, 0, "{err}");
    assert_eq!(listed.lines().count() as u64 - 1, reason["count"].as_u64().unwrap(), "{listed}");
    assert!(listed.lines().skip(1).all(|line| line.contains(",failed,")), "{listed}");
    let of = |filter: &[&str]| fixture.run(&[&["list", "--ledger", "it's/l.db"], filter].concat()).1;
    assert!(of(&["--state", "indexed", "--reason", "codec"]).contains("0 items"));
    assert!(of(&["--since", "2100-01-01"]).contains("0 items"));
    assert!(of(&["--since", "366d", "--limit", "3"]).contains("3 items; there are more"));
    assert_eq!(fixture.run(&["list", "--state", "done", "--ledger", "it's/l.db"]).0, 2);
    let (code, _, err) = fixture.run(&["runs", "show", "none", "--ledger", "it's/l.db"]);
    assert!(code == 2 && err.contains("telecine runs"), "{err}");
    let run = json(&fixture, &["runs", "--ledger", "it's/l.db"])["runs"][0].clone();
    assert_eq!((&run["uploaded"], &run["failed"]), (&Value::from(12), &reason["count"]), "{run}");
}

/// Runs a printed command in the folder of the fixture, with a shell and with what `more` sets.
fn paste(fixture: &CliFixture, command: &str, more: &[(&str, &str)]) -> (i32, String, String) {
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_telecine")).parent().unwrap();
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).env_clear().env("PATH", binary).envs(more.iter().copied());
    result_of(&shell.current_dir(fixture.path(".")).output().unwrap())
}

#[test]
fn the_commands_of_an_explanation_can_be_pasted_and_say_what_they_pay_for() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &["--fail-share", "1"]);
    fixture.write(
        "telecine.toml",
        &format!("[account.main]\napi-url = \"{}\"\nrate = \"50/s\"\nlist-rate = \"20/s\"\n", sandbox.url),
    );
    let file = "it's $HOME.csv";
    fixture.write(file, &rows(3));
    let (code, out, err) = fixture.run(&["import", file, "--account", "main"]);
    assert_eq!(code, 4, "{out}{err}");
    // of a run and of an item, with the account and without the path of its ledger
    let next = out.lines().find(|line| line.contains("next: ")).unwrap();
    let (_, acknowledge) = next.split_once("they are: ").unwrap();
    assert_eq!(acknowledge, "telecine acknowledge --all --account main");
    let (code, out, err) = fixture.run(&["explain", "R1", "--account", "main"]);
    assert_eq!(code, 0, "{err}");
    let line = out.lines().find(|line| line.contains("--retry-failed")).unwrap();
    assert!(line.contains("sends ALL 3 failed rows of the file again"), "{out}");
    let command = line.split_once(" (").unwrap().0.trim();
    assert!(command.ends_with(" --account main") && !command.contains("--ledger"), "{command}");
    let key = [("MEMORIES_API_KEY", crate::support::cli::API_KEY)];
    let (code, out, err) = paste(&fixture, &format!("{command} --dry-run"), &key);
    assert!(code == 0 && out.contains('3'), "{command}: {out}{err}");
    let (code, out, err) = paste(&fixture, acknowledge, &[]);
    assert!(code == 0 && out.contains("3 rows are acknowledged"), "{out}{err}");
}

#[test]
fn cells_of_a_list_that_a_spreadsheet_would_run_are_escaped() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", "id,url\n=1+1,https://host/a.mp4?token=canary\n");
    assert_eq!(fixture.run(&["import", "m.csv", "--sandbox", "--quiet"]).0, 0);
    let (_, out, _) = fixture.run(&["list", "--sandbox", "--csv"]);
    assert!(out.contains(",'=1+1,") && out.contains("token=***") && !out.contains("canary"), "{out}");
}

#[test]
fn status_and_quota_show_the_limits_of_the_running_import_and_not_those_of_their_own_settings() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(5));
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let mut import =
        Running::start(&fixture, &against(&sandbox, &[&["import", "m.csv"], &SLOW[..]].concat()));
    wait_for("the first upload", || sandbox.uploads() == 1);
    // the settings of the reader, which are not those of the run
    fixture.write("telecine.toml", "[quota]\nrate = [\"3/s\"]\n");
    let process = import.0.as_ref().unwrap().id();
    wait_for("the upload in the ledger", || json(&fixture, &["status"])["running"]["uploaded"] == 1);
    let running = json(&fixture, &["status"])["running"].clone();
    assert_eq!((&running["pid"], &running["left"]), (&Value::from(process), &Value::from(4)), "{running}");
    assert!(running["limits"].as_str().unwrap().contains("7/3h"), "{running}");
    assert!(running["finish_at"].is_string() && running["phase"] == "uploading", "{running}");
    let (_, text, _) = fixture.run(&["status"]);
    assert!(text.contains(&format!("running (process {process} on ")) && text.contains("7/3h"), "{text}");
    let (_, text, _) = fixture.run(&["quota"]);
    assert!(text.contains("limits of the running import") && text.contains("7/3h"), "{text}");
    assert!(!text.contains("3/s"), "{text}");
    let (code, text, err) = fixture.run(&["explain", "R4"]);
    assert!(
        code == 0
            && text.contains("requests: none")
            && text.contains("the running import (process ")
            && text.contains("0 uploads paid"),
        "{text}{err}"
    );
    assert_eq!(fixture.run(&["quota", "set", "--cap", "9/3h"]).0, 0);
    let running = json(&fixture, &["status"])["running"].clone();
    assert!(running["limits"].as_str().unwrap().contains("9/3h"), "the run keeps it from now on: {running}");
    import.kill();
    assert!(json(&fixture, &["status"])["running"].is_null());
    let (_, text, _) = fixture.run(&["status"]);
    assert!(text.contains("killed, or the machine stopped"), "{text}");
    let (_, text, _) = fixture.run(&["quota"]);
    assert!(text.contains("3/s") && !text.contains("7/3h"), "{text}");
}

#[test]
fn a_watched_status_prints_a_line_per_change_and_ends_with_the_run() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(3));
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let import = Running::start(&fixture, &against(&sandbox, &[&["import", "m.csv"], &SLOW[..]].concat()));
    wait_for("the first upload", || sandbox.uploads() == 1);
    let watch = Running::start(&fixture, &["status", "--watch"]);
    pause(500);
    fixture.run(&["quota", "set", "--rate", "50/s", "--cap", "100/2h"]);
    let (code, out, err) = import.end();
    assert_eq!(code, 0, "{out}{err}");
    assert!(
        err.lines().all(|line| line.len() > 21 && &line[19..21] == "Z "),
        "each line has its time: {err}"
    );
    let (code, out, err) = watch.end();
    assert_eq!(code, 0, "{err}");
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].contains("uploading: ") && lines[0].contains("2 left to send"), "{out}");
    assert!(lines.last().unwrap().contains("exit 0: ") && out.contains("3 of 3 searchable"), "{out}");
}

#[test]
fn an_invalid_row_is_explained_after_a_reconcile_and_commands_that_show_say_nothing_of_rows() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", "url\nhttps://host/a.mp4\nftp://host/b.mp4\n");
    assert_eq!(fixture.run(&["import", "m.csv", "--sandbox", "--quiet"]).0, 4);
    assert_eq!(fixture.run(&["reconcile", "--sandbox", "--quiet"]).0, 0);
    let (code, out, err) = fixture.run(&["explain", "m.csv:3", "--sandbox"]);
    assert!(code == 0 && out.contains("m.csv:3: invalid"), "{out}{err}");
    for show in ["status", "list", "quota", "runs", "explain", "report"] {
        let what: &[&str] = if show == "explain" { &["1"] } else { &[] };
        let (_, out, err) = fixture.run(&[&[show], what, &["--sandbox", "--json"]].concat());
        let end: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
        assert_eq!(end["reason"], "the command did what was asked", "{show}: {out}{err}");
    }
    let run = json(&fixture, &["runs", "--sandbox"])["runs"][0]["run"].as_str().unwrap().to_owned();
    let (code, _, err) = fixture.run(&["undo", &run[..12], "--sandbox"]);
    assert!(code == 2 && err.contains("takes the whole name of a run"), "{err}");
}

#[test]
fn a_list_as_csv_writes_no_control_character_to_a_terminal_and_every_one_to_a_program() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", "id,url\n\"A\u{1b}[2J\u{202e}B\",https://host/a.mp4\n");
    assert_eq!(fixture.run(&["import", "m.csv", "--sandbox", "--quiet"]).0, 0);
    let list = ["list", "--csv", "--sandbox"];
    assert!(fixture.run(&list).1.contains("A\u{1b}[2J\u{202e}B"));
    let telecine = fixture.command(&[]);
    let mut script = Command::new("script");
    script
        .current_dir(fixture.path("."))
        .args(["-qec", &format!("{} {}", env!("CARGO_BIN_EXE_telecine"), list.join(" "))]);
    script.arg("/dev/null").envs(telecine.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let Ok(output) = script.output() else { return skipped("there is no script here") };
    let (_, out, _) = result_of(&output);
    assert!(out.contains("A?[2J?B") && !out.contains('\u{1b}'), "{out:?}");
}

#[test]
fn a_run_that_waits_without_a_terminal_prints_a_line_every_30_seconds() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    fixture.write("m.csv", &rows(3));
    let import = ["import", "m.csv", "--rate", "1/1000s", "--cap", "7/3h", "--for", "200s"];
    let (code, _, err) = Running::start(&fixture, &against(&sandbox, &import)).end();
    assert_eq!(code, 10, "{err}");
    // fewer where the machine is slow; without events there would be one at most
    assert!(err.lines().filter(|line| line.contains(" uploading")).count() >= 3, "{err}");
}

#[test]
fn a_second_signal_ends_a_run_at_once_with_a_last_object_and_a_record() {
    let fixture = CliFixture::in_real_time();
    // the answer to the upload comes later than the second signal; a listing comes after a quarter of it
    let sandbox = SandboxProcess::start(&fixture, &["--answer-delay", "16s"]);
    fixture.write("m.csv", &rows(2));
    let args = against(&sandbox, &["import", "m.csv", "--rate", "50/s", "--json", "--request-timeout", "2m"]);
    let import = Running::start(&fixture, &args);
    let sending = || json(&fixture, &["status"])["items"]["sending"].as_u64().is_some_and(|count| count > 0);
    wait_for("the ledger", || fixture.run(&["status"]).0 == 0);
    wait_for("a request in flight", sending);
    let process = rustix::process::Pid::from_child(import.0.as_ref().unwrap());
    rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
    pause(300);
    rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
    let (code, out, err) = import.end();
    assert_eq!(code, 130, "{out}{err}");
    let end: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&end["event"], &end["exit_code"]),
        (&Value::from("command_failed"), &Value::from(130)),
        "{end}"
    );
    assert!(
        err.contains("stopped at once by a second signal") && err.contains("the same command resumes"),
        "{err}"
    );
    let (_, runs, _) = fixture.run(&["runs"]);
    assert!(runs.contains("exit 130: stopped at once by a second signal"), "{runs}");
}

//! The real binary: how runs end, and the places where it reads and writes.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::symlink,
    process::{Child, Stdio},
};

use crate::support::cli::{CliFixture, SandboxProcess, result_of, rows};
use serde_json::Value;

/// An import that has sent something, and its output.
struct Running {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Running {
    fn start(fixture: &CliFixture, sandbox: &SandboxProcess, args: &[&str]) -> Self {
        let service = ["--api-url", &sandbox.url, "--ledger", "l.db", "--json"];
        let mut child = fixture
            .command(&[&["import", "m.csv"], &service[..], args].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("\"event\":\"accepted\"") {
            line.clear();
            assert!(stdout.read_line(&mut line).unwrap() > 0, "it sent nothing");
        }
        Self { child, stdout }
    }

    /// Waits for the end: exit code, last object, standard error.
    fn end(self) -> (i32, Value, String) {
        let last = self.stdout.lines().map_while(Result::ok).last().unwrap();
        let (code, _, err) = result_of(&self.child.wait_with_output().unwrap());
        (code, serde_json::from_str(&last).unwrap(), err)
    }
}

/// The exit code and the reason of the latest run in the ledger.
fn latest_run(fixture: &CliFixture) -> (Option<i64>, String) {
    let (_, out, err) = fixture.run(&["status", "--ledger", "l.db", "--json"]);
    let status: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
    let run = &status["runs"][0];
    (run["exit_code"].as_i64(), run["exit_reason"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_folder_for_reports_that_cannot_be_written_is_found_before_the_first_upload() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(3));
    fixture.write("file", "x");
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let service = ["--api-url", &sandbox.url, "--ledger", "l.db", "--rate", "50/s"];
    let (code, out, err) =
        fixture.run(&[&["import", "m.csv", "--out-dir", "file/out"], &service[..]].concat());
    assert_eq!((code, sandbox.uploads()), (2, 0), "{out}{err}");
    assert!(err.contains("file/out") && err.contains("choose another folder with --out-dir"), "{err}");
    let (exit_code, reason) = latest_run(&fixture);
    assert!(exit_code == Some(2) && reason.contains("file/out"), "{exit_code:?} {reason}");
    let (code, out, err) = fixture.run(&[&["import", "m.csv", "--out-dir", "out"], &service[..]].concat());
    assert_eq!(code, 0, "{out}{err}");
    let names = fs::read_dir(fixture.path("out")).unwrap().count();
    assert_eq!(names, 1, "only the report is left");
}

#[test]
fn a_report_that_cannot_be_written_at_the_end_leaves_a_run_that_has_ended() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(8));
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let args = ["--rate", "1/s", "--out-dir", "out"];
    let run = Running::start(&fixture, &sandbox, &args);
    fs::remove_dir_all(fixture.path("out")).unwrap();
    fixture.write("out", "in the way");
    let (code, end, err) = run.end();
    assert_eq!((code, end["exit_code"].as_i64()), (5, Some(5)), "{end}{err}");
    assert!(err.contains("the run has ended, but its report cannot be written"), "{err}");
    let (exit_code, reason) = latest_run(&fixture);
    assert!(exit_code == Some(5) && reason.contains("report cannot be written"), "{exit_code:?} {reason}");
    fs::remove_file(fixture.path("out")).unwrap();
    let again = ["import", "m.csv", "--api-url", &sandbox.url, "--ledger", "l.db"];
    let (code, out, err) = fixture.run(&[&again[..], &args].concat());
    assert_eq!(code, 0, "{out}{err}");
    assert!(fixture.report_in("out").join("report.json").exists(), "the same command writes the report");
    sandbox.assert_each_accepted_once(8);
}

#[test]
fn a_ledger_that_is_moved_replaced_or_deleted_ends_the_run_at_the_next_claim() {
    type Damage = fn(&CliFixture);
    let cases: [(&str, Damage); 5] = [
        ("l.db", |fixture| fs::rename(fixture.path("l.db"), fixture.path("moved.db")).unwrap()),
        ("l.db", |fixture| fs::remove_file(fixture.path("l.db")).unwrap()),
        ("l.db", |fixture| {
            fs::copy(fixture.path("l.db"), fixture.path("copy.db")).unwrap();
            fs::rename(fixture.path("copy.db"), fixture.path("l.db")).unwrap();
        }),
        ("l.db-wal", |fixture| fs::remove_file(fixture.path("l.db-wal")).unwrap()),
        ("l.db.lock", |fixture| fs::remove_file(fixture.path("l.db.lock")).unwrap()),
    ];
    for (file, damage) in cases {
        let fixture = CliFixture::new();
        fixture.write("m.csv", &rows(400));
        let sandbox = SandboxProcess::start(&fixture, &[]);
        let run = Running::start(&fixture, &sandbox, &["--rate", "1/s"]);
        damage(&fixture);
        let (code, end, err) = run.end();
        assert_eq!(code, 2, "{file}: {end}{err}");
        let reason = end["reason"].as_str().unwrap();
        assert!(reason.contains(file) && reason.contains("telecine recover"), "{file}: {reason}");
        assert!(sandbox.uploads() < 400, "{file}: everything was sent");
    }
}

#[test]
fn a_ledger_below_a_symbolic_link_is_the_same_ledger() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(2));
    fs::create_dir(fixture.path("disk")).unwrap();
    symlink(fixture.path("disk"), fixture.path("state")).unwrap();
    let import = |ledger: &str| fixture.run(&["import", "m.csv", "--sandbox", "--ledger", ledger]);
    let (code, out, err) = import("state/l.db");
    assert_eq!(code, 0, "{out}{err}");
    // a link to the file, one to a file that is not there yet, and a link to a link
    symlink("disk/l.db", fixture.path("link.db")).unwrap();
    symlink("link.db", fixture.path("twice.db")).unwrap();
    for ledger in ["disk/l.db", "link.db", "twice.db"] {
        let (code, out, err) = import(ledger);
        assert_eq!(code, 0, "{ledger}: {out}{err}");
        assert!(out.contains("nothing was left to do"), "{ledger}: {out}");
        let (code, out, err) = fixture.run(&["status", "--ledger", ledger]);
        assert!(code == 0 && out.contains("2 searchable"), "{ledger}: {out}{err}");
    }
    symlink("disk/new.db", fixture.path("early.db")).unwrap();
    let (code, out, err) = import("early.db");
    assert_eq!(code, 0, "{out}{err}");
    assert!(fixture.path("disk/new.db").exists() && fixture.path("early.db").is_symlink());
    symlink("circle.db", fixture.path("circle.db")).unwrap();
    let (code, _, err) = import("circle.db");
    assert!(code == 2 && err.contains("circle.db"), "{err}");
}

#[test]
fn a_home_that_cannot_be_used_stops_no_command() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(1));
    // a file of settings that cannot be read, as in the home of another user
    fs::create_dir_all(fixture.path("home/.config/telecine/config.toml")).unwrap();
    let home = fixture.path("home").display().to_string();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let import = ["import", "m.csv", "--api-url", &sandbox.url, "--ledger", "l.db", "--rate", "50/s"];
    for variables in [
        &[("HOME", "/dev/null")][..],
        &[("HOME", "/proc")],
        &[("HOME", "")],
        &[("HOME", &home)],
        &[("XDG_STATE_HOME", "/dev/null/state"), ("XDG_CONFIG_HOME", "/dev/null/config")],
    ] {
        for args in [&["check", "m.csv"][..], &["config"], &import, &["status", "--ledger", "l.db"]] {
            let (code, out, err) =
                result_of(&fixture.command(args).envs(variables.iter().copied()).output().unwrap());
            assert_eq!(code, 0, "{variables:?} {args:?}: {out}{err}");
            assert!(err.lines().filter(|line| line.contains("high-water mark")).count() <= 1, "{err}");
        }
    }
    let output = fixture.command(&["check", "m.csv"]).env("HOME", &home).output().unwrap();
    let (_, _, err) = result_of(&output);
    assert!(err.contains("config.toml cannot be read") && err.contains("do not apply"), "{err}");
}

#[test]
fn empty_and_boolean_variables_are_taken_as_people_set_them() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(1));
    let run = |args: &[&str], name: &str, value: &str| {
        result_of(&fixture.command(args).env(name, value).output().unwrap())
    };
    for (value, is_json) in [
        ("1", true),
        ("true", true),
        ("YES", true),
        ("on", true),
        ("0", false),
        ("false", false),
        ("no", false),
        ("off", false),
        ("", false),
    ] {
        let (code, out, err) = run(&["check", "m.csv"], "TELECINE_JSON", value);
        assert_eq!((code, out.starts_with('{')), (0, is_json), "{value}: {out}{err}");
    }
    let (code, _, err) = run(&["check", "m.csv"], "TELECINE_JSON", "perhaps");
    assert!(code == 2 && err.contains("perhaps"), "{err}");
    // every variable that a help names
    for command in ["import", "plan", "reconcile", "check", "status", "quota", "verify", "sandbox"] {
        let (_, help, _) = fixture.run(&[command, "--help"]);
        let names: Vec<&str> =
            help.split("[env: ").skip(1).map(|text| text.split(['=', ']']).next().unwrap()).collect();
        assert!(names.len() > 3, "{command}: {names:?}");
        for args in [&[command, "--help"][..], &["import", "m.csv", "--sandbox", "--dry-run"]] {
            let all_empty = names.iter().map(|name| (name, ""));
            let (code, out, err) = result_of(&fixture.command(args).envs(all_empty).output().unwrap());
            assert_eq!(code, 0, "{names:?}: {out}{err}");
        }
    }
    // a switch that is off conflicts with nothing
    let wait = ["import", "m.csv", "--sandbox", "--dry-run", "--wait", "1h"];
    assert_eq!(run(&wait, "TELECINE_NO_WAIT", "0").0, 0);
    assert_eq!(run(&wait, "TELECINE_NO_WAIT", "1").0, 2);
    // and it has precedence over a file
    fixture.write("telecine.toml", "no-wait = true\n");
    let settings = |value: &str| run(&["config"], "TELECINE_NO_WAIT", value).1;
    assert!(settings("").contains("no-wait"), "{}", settings(""));
    assert!(!settings("0").contains("telecine.toml"), "{}", settings("0"));
    let key = fixture.command(&["import", "m.csv"]).env("MEMORIES_API_KEY", "").output().unwrap();
    let (code, _, err) = result_of(&key);
    assert!(code == 7 && err.contains("no API key: set MEMORIES_API_KEY"), "{err}");
}

#[test]
fn stored_limits_that_cannot_be_read_are_an_error_with_what_to_do() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(2));
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let import = ["import", "m.csv", "--api-url", &sandbox.url, "--ledger", "l.db", "--max-rows", "1"];
    assert_eq!(fixture.run(&import).0, 8);
    let values = [
        ("limits", "{\"rate\":[\"1/s\"", "quota forget --limits", "--limits"),
        ("limits", "{\"rate\":[\"often\"]}", "quota forget --limits", "--limits"),
        ("limits", "{\"rates\":[\"1/h\"]}", "quota forget --limits", "--limits"),
        ("lessons", "{\"slowdown_permille\":\"x\"}", "quota forget`", ""),
    ];
    for (name, value, remedy, flag) in values {
        let raw = rusqlite::Connection::open(fixture.path("l.db")).unwrap();
        let sql = "INSERT OR REPLACE INTO kv (name, value, at) VALUES (?1, ?2, 0)";
        raw.execute(sql, (name, value)).unwrap();
        drop(raw);
        for args in [
            &import[..],
            &["quota", "--ledger", "l.db"],
            &["quota", "set", "--cap", "9/h", "--ledger", "l.db"],
        ] {
            if name == "lessons" && args.contains(&"set") {
                continue;
            }
            let (code, out, err) = fixture.run(args);
            assert_eq!(code, 2, "{value} {args:?}: {out}{err}");
            assert!(err.contains("cannot be read") && err.contains(remedy), "{value} {args:?}: {err}");
        }
        assert_eq!(sandbox.uploads(), 1, "{value}: sent by the default limits");
        let forget: Vec<&str> =
            ["quota", "forget", "--ledger", "l.db", flag].into_iter().filter(|arg| !arg.is_empty()).collect();
        let (code, out, err) = fixture.run(&forget);
        assert_eq!(code, 0, "{out}{err}");
        assert_eq!(fixture.run(&["quota", "--ledger", "l.db"]).0, 0);
    }
}

#[test]
fn a_check_and_an_import_agree_about_links_that_have_expired() {
    let fixture = CliFixture::new();
    #[expect(clippy::disallowed_methods, reason = "a check goes by the real clock")]
    let now = jiff::Timestamp::now().as_second();
    // dead for a year, dead within the minute, and alive for a year
    let link = |name: &str, at: i64| format!("https://host/{name}.mp4?Signature=x&Expires={at},a\n");
    let text = format!(
        "url,tags\n{}{}{}",
        link("dead", now - 31_536_000),
        link("dying", now + 20),
        link("alive", now + 31_536_000)
    );
    fixture.write("m.csv", &text);
    let last = |out: &str| serde_json::from_str::<Value>(out.lines().last().unwrap()).unwrap();
    let agree = |when: &str| {
        let (code, out, _) = fixture.run(&["check", "m.csv", "--json"]);
        assert_eq!((code, last(&out)["expired"].as_u64()), (4, Some(2)), "{when}: {out}");
        let (code, out, _) = fixture.run(&["import", "m.csv", "--sandbox", "--dry-run", "--json"]);
        assert_eq!((code, last(&out)["expired"].as_u64()), (4, Some(2)), "{when}: {out}");
        let would_send = last(&out)["would_send"].as_u64();
        let (code, out, _) = fixture.run(&["import", "m.csv", "--sandbox", "--json"]);
        let end = last(&out);
        assert_eq!((code, end["expired"].as_u64()), (4, Some(2)), "{when}: {out}");
        assert!(end["exit_reason"].as_str().unwrap().starts_with("2 links expired"), "{end}");
        assert_eq!(end["quota"]["accepted"].as_u64(), would_send, "{when}: {end}");
    };
    agree("before the import");
    agree("behind it");
    let (code, out, _) = fixture.run(&["import", "m.csv", "--sandbox"]);
    assert!(code == 4 && out.contains("2 of these have expired links"), "{out}");
    let (code, out, _) = fixture.run(&["check", "m.csv"]);
    assert!(code == 4 && out.contains("2 with an expired link, would not be sent"), "{out}");
}

#[test]
fn a_service_that_ignores_namespaces_is_noticed_and_verify_does_not_call_it_agreement() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(2));
    fixture.write("n.csv", "url\nhttps://host/other.mp4\n");
    let sandbox = SandboxProcess::start(&fixture, &["--ignore-unique-id"]);
    let service = ["--api-url", &sandbox.url, "--ledger", "l.db", "--list-rate", "20/s"];
    let run = |args: &[&str]| fixture.run(&[args, &service[..]].concat());
    let (code, out, err) = run(&["import", "m.csv", "--rate", "50/s", "--unique-id", "one"]);
    assert_eq!(code, 0, "{out}{err}");
    let (code, out, _) = run(&["verify"]);
    assert_eq!(code, 6, "one namespace: {out}");
    assert!(out.contains("ignores namespaces") && !out.contains("agree"), "{out}");
    let (code, out, err) = run(&["import", "n.csv", "--rate", "50/s", "--unique-id", "two"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(err.contains("one and two list the same videos"), "{err}");
    let (code, out, _) = run(&["verify", "--json"]);
    let end: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!((code, end["namespaces"][1]["shared_with"].as_str()), (6, Some("one")), "{end}");
    assert!(!out.contains("agree"), "{out}");
}

#[test]
fn a_service_with_namespaces_agrees_with_the_ledger() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(2));
    fixture.write("n.csv", "url\nhttps://host/other.mp4\n");
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let service = ["--api-url", &sandbox.url, "--ledger", "l.db", "--list-rate", "20/s"];
    let run = |args: &[&str]| fixture.run(&[args, &service[..]].concat());
    assert_eq!(run(&["import", "m.csv", "--rate", "50/s", "--unique-id", "one"]).0, 0);
    let (code, _, err) = run(&["import", "n.csv", "--rate", "50/s", "--unique-id", "two"]);
    assert!(code == 0 && !err.contains("ignores namespaces"), "{err}");
    let (code, out, _) = run(&["verify"]);
    assert!(code == 0 && out.contains("service and ledger agree"), "{out}");
}

#[test]
fn a_verification_counts_the_videos_that_no_listing_shows() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(2));
    let sandbox = SandboxProcess::start(&fixture, &["--unlisted-share", "1"]);
    let service = ["--api-url", &sandbox.url, "--ledger", "l.db", "--list-rate", "20/s"];
    let run = |args: &[&str]| fixture.run(&[args, &service[..]].concat());
    let (code, out, err) = run(&["import", "m.csv", "--rate", "50/s"]);
    assert_eq!(code, 0, "{out}{err}");
    let (code, out, _) = run(&["verify"]);
    assert!(
        code == 0 && out.contains("2 in the ledger, shown by the service by the number and not listed"),
        "{out}"
    );
    let (_, out, _) = run(&["verify", "--json"]);
    let end: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&end["namespaces"][0]["matched"], &end["namespaces"][0]["shown_singly"]),
        (&0.into(), &2.into())
    );
}

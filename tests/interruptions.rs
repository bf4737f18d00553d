//! The real binary when it is stopped: signals, kills, stalled pipes and full disks.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc,
};

use crate::support::cli::{self, CliFixture, SandboxProcess, rows};

fn signal(child: &Child, name: &str) {
    Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
}

/// Starts an import and waits until it has sent something.
fn start_import(
    fixture: &CliFixture,
    sandbox: &SandboxProcess,
    args: &[&str],
) -> (Child, mpsc::Receiver<String>) {
    let mut child = fixture
        .command(&["import", "m.csv", "--api-url", &sandbox.url, "--ledger", "l.db", "--json"])
        .args(args)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (emit, on_event) = mpsc::channel();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // read the pipe to its end, so that the import never blocks on it
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(emit.send(line))));
    wait_for(&on_event, "\"event\":\"accepted\"");
    (child, on_event)
}

fn wait_for(on_event: &mpsc::Receiver<String>, text: &str) {
    assert!(on_event.iter().any(|line| line.contains(text)), "this was never printed: {text}");
}

#[test]
fn the_first_signal_waits_for_answers_and_leaves_nothing_in_doubt() {
    // below nohup a program is not to hear of it
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or_default();
    let is_hup_ignored = u64::from_str_radix(ignored.trim(), 16).is_ok_and(|signals| signals & 1 == 1);
    for (name, code) in [("-INT", 130), ("-TERM", 143), ("-HUP", 129)] {
        if name == "-HUP" && is_hup_ignored {
            println!("SKIPPED: the tests run below nohup, and SIGHUP is ignored");
            continue;
        }
        let fixture = CliFixture::in_real_time();
        fixture.write("m.csv", &rows(200));
        let sandbox = SandboxProcess::start(&fixture, &["--answer-delay", "300ms"]);
        let (mut child, _hear) = start_import(&fixture, &sandbox, &["--rate", "10/s"]);
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(code));
        let (_, out, _) = fixture.run(&["status", "--ledger", "l.db", "--json"]);
        let status: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(
            (status["items"]["sending"].clone(), status["items"]["in_doubt"].clone()),
            (0.into(), 0.into()),
            "{out}"
        );
        assert_eq!(
            status["items"]["accepted"].as_u64().unwrap() + status["items"]["indexed"].as_u64().unwrap(),
            sandbox.accepted_counts().len() as u64
        );
    }
}

#[test]
fn rows_of_a_pipe_that_stalls_are_sent_and_a_signal_still_ends_the_run() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let mut child = fixture
        .command(&["import", "-", "--api-url", &sandbox.url, "--ledger", "l.db", "--rate", "20/s", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(b"url").unwrap();
    pipe.write_all(b";tags\nhttps://host/a.mp4;x\n").unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains("manifest_opened")).unwrap();
    assert!(line.contains("url=url, tags=tags"), "the first line was there in two parts: {line}");
    assert!(lines.any(|line| line.contains("\"event\":\"accepted\"")), "the row waited for the next one");
    signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
    drop(pipe);
}

#[test]
fn a_signal_that_arrives_twice_at_once_is_one_signal() {
    let fixture = CliFixture::in_real_time();
    fixture.write("m.csv", &rows(50));
    let sandbox = SandboxProcess::start(&fixture, &["--answer-delay", "20ms..300ms"]);
    let (mut child, on_event) = start_import(&fixture, &sandbox, &["--rate", "20/s"]);
    signal(&child, "-INT");
    signal(&child, "-INT");
    wait_for(&on_event, "stopping:");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let raw = rusqlite::Connection::open(fixture.path("l.db")).unwrap();
    let sending: i64 =
        raw.query_row("SELECT count(*) FROM item WHERE state = 'sending'", [], |row| row.get(0)).unwrap();
    assert_eq!(sending, 0, "its answers were not waited for");
}

#[test]
fn the_second_signal_ends_the_process_and_requests_in_flight_stay_sending() {
    let fixture = CliFixture::in_real_time();
    fixture.write("m.csv", &rows(50));
    let sandbox = SandboxProcess::start(&fixture, &["--answer-delay", "20ms..5s"]);
    let (mut child, on_event) = start_import(&fixture, &sandbox, &["--rate", "20/s"]);
    signal(&child, "-INT");
    wait_for(&on_event, "stopping:");
    // one that comes at once may be the same one
    while child.try_wait().unwrap().is_none() {
        signal(&child, "-INT");
    }
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let raw = rusqlite::Connection::open(fixture.path("l.db")).unwrap();
    let sending: i64 =
        raw.query_row("SELECT count(*) FROM item WHERE state = 'sending'", [], |row| row.get(0)).unwrap();
    assert!(sending > 0, "nothing was in flight");
    let (_, out, _) = fixture.run(&["status", "--ledger", "l.db"]);
    assert!(out.contains("without an answer from a run that has ended: the next import"), "{out}");
}

#[test]
fn an_import_killed_five_times_uploads_each_row_once() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(60));
    let sandbox = SandboxProcess::start(&fixture, &["--answer-delay", "2s..16s"]);
    let limits = ["--rate", "1/s", "--settle-after", "1m"];
    for _ in 0..5 {
        let (mut child, _events) = start_import(&fixture, &sandbox, &limits);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let import = ["import", "m.csv", "--api-url", &sandbox.url, "--ledger", "l.db"];
    let (code, out, err) = fixture.run(&[&import[..], &limits[..]].concat());
    assert_eq!(code, 0, "{out}{err}");
    sandbox.assert_each_accepted_once(60);
}

#[test]
fn a_full_disk_stops_the_uploads_and_the_next_run_completes_them() {
    let fixture = CliFixture::new();
    fs::create_dir(fixture.path("small")).unwrap();
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(fixture.path("small"))
        .stderr(Stdio::null())
        .status();
    if !mount.is_ok_and(|status| status.success()) {
        cli::skipped("a small tmpfs cannot be mounted here");
        return;
    }
    let unmount = Unmount(fixture.path("small"));
    fixture.write("m.csv", &rows(5_000));
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let args = [
        "import",
        "m.csv",
        "--api-url",
        &sandbox.url,
        "--ledger",
        "small/l.db",
        "--rate",
        "900/s",
        "--list-rate",
        "30/s",
        "--out-dir",
        "out",
        // else an upload that comes before the disk is full may end the run first
        "--disk-reserve",
        "0",
    ];
    let (code, out, err) = fixture.run(&args);
    assert_eq!(code, 5, "{out}{err}");
    assert!(err.contains("disk that holds the ledger is full"), "{err}");
    let grown =
        Command::new("mount").args(["-o", "remount,size=256m"]).arg(fixture.path("small")).output().unwrap();
    assert!(grown.status.success(), "{grown:?}");
    let sent_before = sandbox.accepted_counts().len();
    fixture.write("m.csv", &rows(200));
    let (code, out, err) = fixture.run(&[&args[..], &["--settle-after", "2s"]].concat());
    assert_eq!(code, 0, "after {sent_before} sent: {out}{err}");
    assert!(sandbox.accepted_counts().values().all(|times| *times == 1));
    drop(unmount);
}

struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

#[test]
fn a_limit_on_the_size_of_files_ends_a_run_with_a_last_object_that_names_it() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(5_000));
    let telecine = fixture.command(&[]);
    let mut limited = Command::new("sh");
    limited
        .current_dir(fixture.path("."))
        .envs(telecine.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited
        .args(["-c", "ulimit -f 300; exec \"$0\" import m.csv --sandbox --json"])
        .arg(telecine.get_program());
    let (code, out, err) = cli::result_of(&limited.output().unwrap());
    assert_eq!(code, 5, "{out}{err}");
    let end: serde_json::Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert!(end["reason"].as_str().unwrap().contains("limit on the size of files is"), "{end}");
}

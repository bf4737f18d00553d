//! The real binary: exit codes, outputs, and what it leaves behind.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, missing_docs, reason = "this is a test")]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc,
};

#[path = "support/stage.rs"]
mod stage;

use stage::{CANARY, Sandbox, Stage, rows, said};

#[test]
fn good_rows_end_with_0_and_a_second_run_has_nothing_to_do() {
    let stage = Stage::new();
    let manifest = stage.write("m.csv", &rows(3));
    let (code, out, err) = stage.run(&["import", &manifest, "--sandbox"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("3 searchable") && out.contains("exit 0: all 3 items are searchable"), "{out}");
    let (code, out, _) = stage.run(&["import", &manifest, "--sandbox"]);
    assert_eq!(code, 0);
    assert!(out.contains("3 known from earlier") && out.contains("nothing was left to do"), "{out}");
    assert!(out.contains("0 upload requests"), "{out}");
}

#[test]
fn rejected_rows_end_with_4_and_the_corrected_file_closes_the_loop() {
    let stage = Stage::new();
    let text = "title,url,lat,lon\n=1+1,https://host/a.mp4,-41.5,174\n-dash,https://host/b.mp4,95,0\n\"x, y\",gs://b/c.mp4,,\n";
    let manifest = stage.write("m.csv", text);
    let (code, _, err) = stage.run(&["import", &manifest, "--sandbox"]);
    assert_eq!(code, 4);
    assert!(err.contains("m.csv:3:3 lat: outside -90 to 90"), "{err}");
    assert!(err.contains("m.csv:4:2 url: the scheme is neither http nor https (gs://b/c.mp4)"), "{err}");
    let report = stage.report("state/reports");
    let success = fs::read_to_string(report.join("success.csv")).unwrap();
    assert!(
        success.contains("'=1+1,https://host/a.mp4,-41.5,174,"),
        "a formula is defused, a number is not: {success}"
    );
    let rejects = fs::read_to_string(report.join("rejects.csv")).unwrap();
    assert!(
        rejects.starts_with("title,url,lat,lon,telecine_manifest,telecine_line,telecine_class"),
        "{rejects}"
    );
    // the user corrects the file telecine wrote, and gives it back
    let corrected = rejects.replace(",95,0,", ",85,0,").replace("gs://b/c.mp4,,,", "https://host/c.mp4,,,");
    stage.write("corrected.csv", &corrected);
    let (code, out, err) = stage.run(&["import", "corrected.csv", "--sandbox"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("2 searchable"), "{out}");
    let success = fs::read_to_string(stage.report("state/reports").join("success.csv")).unwrap();
    assert!(success.contains("'-dash,https://host/b.mp4,85,0,"), "restored and defused once: {success}");
    assert!(!success.contains("telecine_class"), "its own columns are not carried along: {success}");
}

#[test]
fn every_row_is_in_exactly_one_file_and_the_numbers_add_up() {
    let stage = Stage::new();
    let mut text = rows(5);
    text.push_str("R9,https://host/clip-0.mp4,again\nR10,,none\n");
    let manifest = stage.write("m.csv", &text);
    let (code, ..) = stage.run(&["import", &manifest, "--sandbox"]);
    assert_eq!(code, 4);
    let report = stage.report("state/reports");
    let summary: serde_json::Value =
        serde_json::from_slice(&fs::read(report.join("report.json")).unwrap()).unwrap();
    assert_eq!(summary["rows"]["read"], 7);
    assert_eq!(
        (summary["rows"]["added"].clone(), summary["rows"]["duplicates"].clone()),
        (5.into(), 1.into())
    );
    assert_eq!(summary["exit_code"], 4);
    let mut ids = Vec::new();
    for name in ["success.csv", "rejects.csv", "duplicates.csv"] {
        let text = fs::read_to_string(report.join(name)).unwrap();
        ids.extend(text.lines().skip(1).map(|line| line.split(',').next().unwrap().to_owned()));
    }
    ids.sort();
    assert_eq!(ids, ["R0", "R1", "R10", "R2", "R3", "R4", "R9"]);
    let duplicates = fs::read_to_string(report.join("duplicates.csv")).unwrap();
    assert!(
        duplicates.trim_end().ends_with(",2,tags: a; b -> again"),
        "it points at the line of the first and says what differs: {duplicates}"
    );
    let has_part = |path: PathBuf| path.extension().is_some_and(|outcome| outcome == "part");
    assert!(
        !fs::read_dir(&report).unwrap().any(|entry| has_part(entry.unwrap().path())),
        "a half file was left"
    );
}

#[test]
fn what_cannot_work_is_said_in_a_sentence_with_its_exit_code() {
    let stage = Stage::new();
    let manifest = stage.write("m.csv", &rows(1));
    stage.write("empty.csv", "");
    stage.write("file", "x");
    for (args, code, words) in [
        (&["import", "absent.csv", "--sandbox"][..], 3, "cannot open the manifest absent.csv"),
        (&["import", "empty.csv", "--sandbox"], 3, "the manifest is empty"),
        (
            &["import", &manifest, "--sandbox", "--map", "url=link"],
            3,
            "there is no column link; the columns are id, url, tags",
        ),
        (&["import", &manifest, &manifest, "--sandbox"], 2, "given twice"),
        (&["import", &manifest, "--sandbox", "--map", "colour=x"], 2, "there is no field"),
        (&["import", &manifest, "--sandbox", "--rate", "often"], 2, "1/min"),
        (
            &["import", &manifest, "--sandbox", "--ledger", "file/l.db"],
            2,
            "choose a writable place with --ledger",
        ),
        (&["import", &manifest, "--api-url", "http://api.memories.ai"], 2, "plain http is for loopback only"),
        (&["import", &manifest, "--key-file", "absent.key"], 7, "cannot read the key file"),
        (&["status"], 2, "there is no ledger at state/telecine.db"),
        (&["reconcile"], 2, "there is no ledger at"),
        (&["sandbox", "--listen", "0.0.0.0:0"], 2, "loopback only"),
    ] {
        let (got, out, err) = stage.run(args);
        assert_eq!(got, code, "{args:?}: {out}{err}");
        assert!(err.contains(words), "{args:?}: {err}");
        assert!(!err.contains("panicked"), "{args:?}: {err}");
    }
    let output = stage.command(&["import", &manifest]).env_remove("MEMORIES_API_KEY").output().unwrap();
    let (code, _, err) = said(&output);
    assert_eq!(code, 7);
    assert!(err.contains("no API key: set MEMORIES_API_KEY") && err.contains("--sandbox"), "{err}");
    assert!(!stage.path("state/telecine.db").exists(), "nothing was made on the way");
}

#[test]
fn a_ledger_of_a_newer_version_or_in_use_is_refused() {
    let stage = Stage::new();
    let manifest = stage.write("m.csv", &rows(40));
    let sandbox = Sandbox::start(&stage, &[]);
    let args = ["import", &manifest, "--api-url", &sandbox.url, "--ledger", "l.db", "--rate", "1/s"];
    let mut first = stage.command(&args).arg("--json").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(first.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let (code, _, err) = stage.run(&args);
    assert_eq!(code, 12, "{err}");
    assert!(err.contains(&format!("process {}", first.id())), "it says who holds it: {err}");
    let (code, out, _) = stage.run(&["status", "--ledger", "l.db"]);
    assert_eq!(code, 0, "status reads along: {out}");
    first.kill().unwrap();
    first.wait().unwrap();
    let raw = rusqlite::Connection::open(stage.path("l.db")).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    drop(raw);
    let (code, _, err) = stage.run(&args);
    assert_eq!(code, 2);
    assert!(err.contains("has version 99, this telecine knows "), "{err}");
}

#[test]
fn the_key_and_signatures_never_show() {
    let stage = Stage::new();
    let manifest = stage.write(
        "m.csv",
        "url,tags\nhttps://host/a.mp4?X-Amz-Signature=sigcanary1,a\nrtsp://user:passcanary@10.0.0.1/?token=sigcanary2,b\n",
    );
    let sandbox = Sandbox::start(&stage, &["--fault-share", "1", "--faults", "html"]);
    let output = stage
        .command(&[
            "import",
            &manifest,
            "--api-url",
            &sandbox.url,
            "--ledger",
            "state/l.db",
            "--wait",
            "1s",
            "-vv",
        ])
        .env("RUST_LOG", "trace")
        .output()
        .unwrap();
    let (_, out, err) = said(&output);
    let json = stage.run(&[
        "import",
        &manifest,
        "--api-url",
        &sandbox.url,
        "--ledger",
        "state/l.db",
        "--wait",
        "1s",
        "--json",
    ]);
    for text in [&out, &err, &json.1, &json.2] {
        assert!(!text.contains(CANARY), "the key is in the output: {text}");
    }
    for text in [&out, &json.1, &json.2] {
        for canary in ["sigcanary", "passcanary"] {
            assert!(!text.contains(canary), "a secret is in the output: {text}");
        }
    }
    let own_lines = err.lines().filter(|line| !line.contains("hyper") && !line.contains("reqwest"));
    assert!(
        own_lines.clone().all(|line| !line.contains("passcanary") && !line.contains("sigcanary")),
        "{err}"
    );
    let mut files = vec![stage.path("state")];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let bytes = fs::read(&path).unwrap();
            let found = bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
            assert!(!found, "the key is in {}", path.display());
        }
    }
}

#[test]
fn json_is_one_object_a_line_and_ends_with_the_summary() {
    let stage = Stage::new();
    let manifest = stage.write("m.csv", &rows(2));
    let (code, out, err) = stage.run(&["import", &manifest, "--sandbox", "--json"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let lines: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().all(|line| line["schema"] == 1));
    assert_eq!(lines.iter().filter(|line| line["event"] == "accepted").count(), 2);
    let last = lines.last().unwrap();
    assert_eq!((last["event"].clone(), last["exit_code"].clone()), ("run_ended".into(), 0.into()));
    let (_, out, _) = stage.run(&["status", "--sandbox", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (status["items"]["indexed"].clone(), status["runs"][0]["exit_code"].clone()),
        (2.into(), 0.into())
    );
}

#[test]
fn quiet_is_quiet_and_a_reader_that_leaves_does_no_harm() {
    let stage = Stage::new();
    let manifest = stage.write("m.csv", &rows(2));
    assert_eq!(stage.run(&["import", &manifest, "--sandbox", "--quiet"]), (0, String::new(), String::new()));
    let mut child =
        stage.command(&["import", &manifest, "--sandbox", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_dry_run_and_a_check_touch_nothing() {
    let stage = Stage::new();
    let manifest = stage.write("m.csv", &(rows(3) + "R9,https://host/clip-0.mp4,x\nR10,nonsense,x\n"));
    let (code, out, _) = stage.run(&["import", &manifest, "--sandbox", "--dry-run"]);
    assert_eq!(code, 4);
    assert!(
        out.contains("3 would be sent") && out.contains("1 duplicate\n") && out.contains("url_not_absolute"),
        "{out}"
    );
    let (code, out, _) = stage.run(&["check", &manifest, "--json"]);
    assert_eq!(code, 4);
    let scan: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((scan["scan"]["rows"].clone(), scan["scan"]["good"].clone()), (5.into(), 3.into()));
    assert!(!stage.path("state").exists());
    stage.run(&["import", &manifest, "--sandbox"]);
    let (_, out, _) = stage.run(&["import", &manifest, "--sandbox", "-n"]);
    assert!(out.contains("0 would be sent") && out.contains("3 are in the ledger as indexed"), "{out}");
    stage.write("bad.csv", "url\nnonsense\n");
    assert_eq!(stage.run(&["check", "bad.csv"]).0, 3);
    assert_eq!(stage.run(&["import", "bad.csv", "--sandbox"]).0, 3);
}

#[test]
fn standard_input_gzip_and_odd_spellings_are_taken() {
    let stage = Stage::new();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(rows(2).as_bytes()).unwrap();
    fs::write(stage.path("m.csv.gz"), gzip.finish().unwrap()).unwrap();
    let (code, out, err) = stage.run(&["check", "m.csv.gz"]);
    assert_eq!(code, 0, "{out}{err}");
    let mut child =
        stage.command(&["check", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all("\u{feff}URL;Tags\r\nhttps://host/a.mp4;\"x\r\ny\"\r\n".as_bytes())
        .unwrap();
    let (code, out, _) = said(&child.wait_with_output().unwrap());
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("url=URL, tags=Tags"), "{out}");
}

fn signal(child: &Child, name: &str) {
    Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
}

/// Starts an import and waits until it has sent something.
fn start_import(stage: &Stage, sandbox: &Sandbox, args: &[&str]) -> (Child, mpsc::Receiver<String>) {
    let mut child = stage
        .command(&["import", "m.csv", "--api-url", &sandbox.url, "--ledger", "l.db", "--json"])
        .args(args)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (emit, on_event) = mpsc::channel();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // keep the pipe drained, whoever listens
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(emit.send(line))));
    wait_for(&on_event, "\"event\":\"accepted\"");
    (child, on_event)
}

fn wait_for(on_event: &mpsc::Receiver<String>, words: &str) {
    assert!(on_event.iter().any(|line| line.contains(words)), "never heard: {words}");
}

#[test]
fn the_first_signal_drains_and_leaves_an_exact_ledger() {
    for (name, code) in [("-INT", 130), ("-TERM", 143)] {
        let stage = Stage::new();
        stage.write("m.csv", &rows(200));
        let sandbox = Sandbox::start(&stage, &["--answer-delay", "300ms"]);
        let (mut child, _hear) = start_import(&stage, &sandbox, &["--rate", "10/s"]);
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(code));
        let (_, out, _) = stage.run(&["status", "--ledger", "l.db", "--json"]);
        let status: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(
            (status["items"]["sending"].clone(), status["items"]["in_doubt"].clone()),
            (0.into(), 0.into()),
            "{out}"
        );
        assert_eq!(
            status["items"]["accepted"].as_u64().unwrap() + status["items"]["indexed"].as_u64().unwrap(),
            sandbox.taken().len() as u64
        );
    }
}

#[test]
fn a_pipe_that_stalls_keeps_neither_its_rows_nor_the_process() {
    let stage = Stage::new();
    let sandbox = Sandbox::start(&stage, &[]);
    let mut child = stage
        .command(&["import", "-", "--api-url", &sandbox.url, "--ledger", "l.db", "--rate", "20/s", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(b"url").unwrap();
    pipe.write_all(b";tags\nhttps://host/a.mp4;x\n").unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.next().unwrap();
    assert!(line.contains("url=url, tags=tags"), "the first line was there in two parts: {line}");
    assert!(lines.any(|line| line.contains("\"event\":\"accepted\"")), "the row waited for the next one");
    signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
    drop(pipe);
}

#[test]
fn a_run_with_rows_that_wait_is_no_success() {
    let stage = Stage::new();
    stage.write("m.csv", &rows(3));
    assert_eq!(stage.run(&["import", "m.csv", "--sandbox", "--max-rows", "1"]).0, 8);
    let (code, out, _) = stage.run(&["reconcile", "--sandbox"]);
    assert_eq!(code, 5, "{out}");
    assert!(out.contains("exit 5: 2 wait to be sent"), "{out}");
    fs::rename(stage.path("m.csv"), stage.path("moved.csv")).unwrap();
    assert_eq!(stage.run(&["import", "moved.csv", "--sandbox"]).0, 0);
}

#[test]
fn columns_that_moved_arrive_under_their_own_names() {
    let stage = Stage::new();
    stage.write("m.csv", "url,title\nhttps://host/a.mp4,One\n");
    stage.run(&["import", "m.csv", "--sandbox"]);
    stage.write("m.csv", "id,title,url\nR1,One,https://host/a.mp4\n");
    assert_eq!(stage.run(&["import", "m.csv", "--sandbox"]).0, 0);
    let success = fs::read_to_string(stage.report("state/reports").join("success.csv")).unwrap();
    assert!(success.contains("\nR1,One,https://host/a.mp4,"), "{success}");
}

#[test]
fn the_second_signal_aborts_and_what_was_on_the_wire_is_in_doubt() {
    let stage = Stage::new();
    stage.write("m.csv", &rows(50));
    let sandbox = Sandbox::start(&stage, &["--answer-delay", "20ms..5s"]);
    let (mut child, on_event) = start_import(&stage, &sandbox, &["--rate", "20/s"]);
    signal(&child, "-INT");
    wait_for(&on_event, "stopping:");
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let raw = rusqlite::Connection::open(stage.path("l.db")).unwrap();
    let sending: i64 =
        raw.query_row("SELECT count(*) FROM item WHERE state = 'sending'", [], |row| row.get(0)).unwrap();
    assert!(sending > 0, "nothing was on the wire");
}

#[test]
fn killed_again_and_again_each_url_is_taken_once() {
    let stage = Stage::new();
    stage.write("m.csv", &rows(60));
    let sandbox = Sandbox::start(&stage, &["--answer-delay", "50ms..400ms"]);
    for _ in 0..5 {
        let (mut child, _hear) = start_import(&stage, &sandbox, &["--rate", "40/s", "--settle-after", "3s"]);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let args = [
        "import",
        "m.csv",
        "--api-url",
        &sandbox.url,
        "--ledger",
        "l.db",
        "--rate",
        "40/s",
        "--settle-after",
        "3s",
        "--list-rate",
        "10/s",
    ];
    let (code, out, err) = stage.run(&args);
    assert_eq!(code, 0, "{out}{err}");
    let taken = sandbox.taken();
    assert_eq!(taken.len(), 60);
    assert!(taken.values().all(|times| *times == 1), "{taken:?}");
}

#[test]
fn a_full_disk_stops_the_sending_and_nothing_is_lost() {
    let stage = Stage::new();
    fs::create_dir(stage.path("small")).unwrap();
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(stage.path("small"))
        .stderr(Stdio::null())
        .status();
    if !mount.is_ok_and(|status| status.success()) {
        eprintln!("skipped: mounting a small tmpfs is not permitted here");
        return;
    }
    let unmount = Unmount(stage.path("small"));
    stage.write("m.csv", &rows(5_000));
    let sandbox = Sandbox::start(&stage, &[]);
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
    ];
    let (code, out, err) = stage.run(&args);
    assert_eq!(code, 5, "{out}{err}");
    assert!(err.contains("disk that holds the ledger is full"), "{err}");
    let grown =
        Command::new("mount").args(["-o", "remount,size=256m"]).arg(stage.path("small")).output().unwrap();
    assert!(grown.status.success(), "{grown:?}");
    let sent_before = sandbox.taken().len();
    stage.write("m.csv", &rows(200));
    let (code, out, err) = stage.run(&[&args[..], &["--settle-after", "2s"]].concat());
    assert_eq!(code, 0, "after {sent_before} sent: {out}{err}");
    assert!(sandbox.taken().values().all(|times| *times == 1));
    drop(unmount);
}

struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

#[test]
fn lectures_with_joined_columns_and_line_breaks_arrive_whole() {
    let stage = Stage::new();
    stage.write("m.csv", include_str!("data/lectures.csv"));
    let sandbox = Sandbox::start(&stage, &[]);
    let (code, out, err) = stage.run(&[
        "import",
        "m.csv",
        "--map",
        "url=service_file",
        "--map",
        "tags=topic+place+discipline",
        "--tag-separator",
        "|",
        "--api-url",
        &sandbox.url,
        "--ledger",
        "l.db",
        "--rate",
        "50/s",
    ]);
    assert_eq!(code, 4, "{out}{err}");
    assert!(
        err.contains("m.csv:5: the same url as line 4")
            && err.contains("m.csv:7:8 service_file: the url is empty"),
        "{err}"
    );
    let taken = sandbox.taken_whole();
    let entry = |name: &str| &taken[&format!("https://media.example.edu/files/{name}")];
    assert_eq!(taken.len(), 3);
    assert_eq!(entry("rivers%20lecture.mp4").0, ["Rivers", "Water, Fresh", "Delta (N.L.)", "Geography"]);
    assert_eq!(entry("rivers%20lecture.mp4").1.as_deref(), Some("1998-04-07 00:00:00"));
    assert_eq!(entry("maps%20talk.mp4").0, ["Maps", "Cartography", "Geography", "History"]);
    assert_eq!(entry("menus.mp4").0, ["Computer systems", "Computers", "History of Science"]);
}

#[test]
fn signs_without_a_header_arrive_by_the_numbers_of_their_columns() {
    let stage = Stage::new();
    stage.write("m.tsv", include_str!("data/signs_noheader.tsv"));
    let sandbox = Sandbox::start(&stage, &[]);
    let (code, out, err) = stage.run(&[
        "import",
        "m.tsv",
        "--no-header",
        "--map",
        "url=#5",
        "--map",
        "tags=#1+#2+#3",
        "--tag-separator",
        ",",
        "--api-url",
        &sandbox.url,
        "--ledger",
        "l.db",
        "--rate",
        "50/s",
    ]);
    assert_eq!(code, 4, "{out}{err}");
    assert!(err.contains("m.tsv:3:5 #5: the url is empty"), "{err}");
    let taken = sandbox.taken_whole();
    assert_eq!(
        taken["https://signs.example.org/clips/harbour.2.mp4"].0,
        ["harbour", "inner", "port", "ākau", "whanga"]
    );
    assert_eq!(taken["https://signs.example.org/clips/port.mp4"].0, ["port"]);
}

/// An import against a sandbox in a process of its own, quick enough for a test.
fn against<'a>(sandbox: &'a Sandbox, args: &[&'a str]) -> Vec<&'a str> {
    let mut all = args.to_vec();
    all.extend(["--api-url", &sandbox.url, "--list-rate", "20/s"]);
    all
}

#[test]
fn a_question_is_listed_with_its_price_and_answered_by_a_human() {
    let stage = Stage::new();
    let manifest = stage.write("m.csv", &rows(3));
    let sandbox = Sandbox::start(&stage, &["--faults-at", "1:cut-before"]);
    let import = ["import", &manifest, "--rate", "20/s", "--on-doubt", "ask", "--settle-after", "1s"];
    let (code, out, err) = stage.run(&against(&sandbox, &import));
    assert_eq!(code, 6, "{out}{err}");
    assert!(out.contains("1 wait for a human's answer") && out.contains("telecine review"), "{out}");
    let (code, out, _) = stage.run(&["review", "--price", "2.5"]);
    assert_eq!(code, 6);
    assert!(out.contains("item 1: https://host/clip-0.mp4 (id R0)") && out.contains("m.csv:2"), "{out}");
    assert!(out.contains("costs at most 2.5 credits more, twice if the first was accepted"), "{out}");
    let (_, out, _) = stage.run(&["review", "--json"]);
    let question: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((question["item"].as_i64(), question["state"].as_str()), (Some(1), Some("needs_review")));
    let (code, _, err) = stage.run(&["resolve", "7", "--resend"]);
    assert_eq!(code, 2);
    assert!(err.contains("there is no item 7"), "{err}");
    let (code, _, err) = stage.run(&["resolve", "2", "--resend"]);
    assert!(code == 2 && err.contains("item 2 is"), "{err}");
    let (code, _, err) = stage.run(&["resolve", "1"]);
    assert!(code == 2 && err.contains("--adopt"), "one answer must be given: {err}");
    let (code, out, err) = stage.run(&["resolve", "1", "--resend", "--why", "never seen there"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("waits to be sent again"), "{out}");
    let (code, out, _) = stage.run(&["review"]);
    assert!(code == 0 && out.contains("0 to decide"), "{out}");
    let (code, out, err) = stage.run(&against(&sandbox, &["import", &manifest, "--rate", "20/s"]));
    assert_eq!(code, 0, "{out}{err}");
    assert!(sandbox.taken().values().all(|times| *times == 1) && sandbox.taken().len() == 3);
    let (code, out, _) = stage.run(&["ledger", "check"]);
    assert!(code == 0 && out.contains("is sound"), "{out}");
}

#[test]
fn a_lost_ledger_is_rebuilt_from_the_service_and_ends_with_a_proof_of_parity() {
    let stage = Stage::new();
    let manifest = stage.write("m.csv", &rows(6));
    let sandbox = Sandbox::start(&stage, &[]);
    let import = ["import", &manifest, "--rate", "20/s"];
    assert_eq!(stage.run(&against(&sandbox, &import)).0, 0);
    fs::remove_dir_all(stage.path("state")).unwrap();
    let (code, out, _) = stage.run(&against(&sandbox, &import));
    assert_eq!(code, 6, "{out}");
    assert!(out.contains("is at the service already") && out.contains("telecine recover"), "{out}");
    assert_eq!(sandbox.taken().values().sum::<usize>(), 6, "something was paid twice");
    let (code, out, err) = stage.run(&against(&sandbox, &["recover", &manifest, "--settle-after", "1s"]));
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("6 rows found at the service, and bound"), "{out}");
    let (code, out, _) = stage.run(&against(&sandbox, &import));
    assert_eq!(code, 0, "{out}");
    let (code, out, err) = stage.run(&against(&sandbox, &["verify"]));
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("6 listed and in the ledger: they agree"), "{out}");
    let folder = stage.report("state/reports");
    let library_diff: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(folder.join("parity.json")).unwrap()).unwrap();
    assert_eq!(library_diff["namespaces"][0]["matched"], 6);
    assert_eq!(fs::read_to_string(folder.join("parity.csv")).unwrap().lines().count(), 1);
    // a video that vanishes is missed
    assert_eq!(sandbox.taken().len(), 6);
}

#[test]
fn a_ledger_restored_from_a_backup_is_refused_until_it_is_brought_up_to_date() {
    let stage = Stage::new();
    let manifest = stage.write("m.csv", &rows(4));
    let sandbox = Sandbox::start(&stage, &[]);
    let with_state = |args: &[&str]| {
        let far = stage.path("far");
        said(&stage.command(&against(&sandbox, args)).env("XDG_STATE_HOME", far).output().unwrap())
    };
    let import = ["import", &manifest, "--rate", "20/s"];
    let (code, ..) = with_state(&["import", &manifest, "--rate", "20/s", "--max-rows", "2"]);
    assert_eq!(code, 8);
    let (code, out, err) = stage.run(&["ledger", "backup", "b.db"]);
    assert!(code == 0 && out.contains("telecine recover"), "{out}{err}");
    let (code, _, err) = stage.run(&["ledger", "backup", "b.db"]);
    assert!(code == 2 && err.contains("it is there already"), "{err}");
    assert_eq!(with_state(&import).0, 0);
    for suffix in ["", "-wal", "-shm"] {
        fs::remove_file(stage.path(&format!("state/telecine.db{suffix}"))).ok();
    }
    fs::copy(stage.path("b.db"), stage.path("state/telecine.db")).unwrap();
    let (code, _, err) = with_state(&import);
    assert_eq!(code, 2);
    assert!(err.contains("it knows 2 requests, 4 were made") && err.contains("telecine recover"), "{err}");
    let (code, out, err) = with_state(&["recover", &manifest, "--settle-after", "1s"]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(with_state(&import).0, 0);
    assert!(sandbox.taken().values().all(|times| *times == 1) && sandbox.taken().len() == 4);
}

#[test]
fn a_budget_ends_the_run_with_8_and_says_what_is_paid() {
    let stage = Stage::new();
    let manifest = stage.write("m.csv", &rows(5));
    let (code, _, err) = stage.run(&["import", &manifest, "--sandbox", "--max-credits", "10"]);
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
    let (code, out, err) = stage.run(&budget);
    assert_eq!(code, 8, "{out}{err}");
    assert!(out.contains("the budget is spent") && out.contains("raise --max-uploads"), "{out}");
    assert!(out.contains("paid in all: 3 uploads, at most 9 credits"), "{out}");
    let (_, out, _) = stage.run(&["status", "--sandbox", "--json", "--price", "2"]);
    let status: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (status["spend"]["uploads"].as_u64(), status["spend"]["credits"].as_str()),
        (Some(3), Some("6"))
    );
    assert_eq!(stage.run(&["import", &manifest, "--sandbox"]).0, 0);
}

#[test]
fn sure_ways_to_lose_money_are_refused_before_anything_is_sent() {
    let stage = Stage::new();
    let manifest = stage.write("m.csv", &rows(1));
    let (code, _, err) = stage.run(&["import", &manifest, "--sandbox", "--on-doubt", "auto"]);
    assert!(code == 2 && err.contains("--exclusive"), "{err}");
    let (code, _, err) = stage.run(&["import", &manifest, "--sandbox", "--disk-reserve", "8000000GiB"]);
    assert_eq!(code, 5, "{err}");
}

#[test]
fn failed_videos_are_paid_again_only_by_order_and_the_price_is_said_first() {
    let stage = Stage::new();
    let manifest = stage.write("m.csv", &rows(3));
    let sandbox = Sandbox::start(&stage, &["--fail-share", "1"]);
    let import = ["import", &manifest, "--rate", "20/s", "--price", "1.5"];
    assert_eq!(stage.run(&against(&sandbox, &import)).0, 4);
    assert_eq!(stage.run(&against(&sandbox, &import)).0, 4);
    assert_eq!(sandbox.taken().values().sum::<usize>(), 3, "failed videos were sent again without an order");
    let mut again = against(&sandbox, &import);
    again.push("--retry-failed");
    let (_, _, err) = stage.run(&again);
    assert!(err.contains("up to 3 videos that failed are sent and paid again, at most 4.5 credits"), "{err}");
    assert_eq!(sandbox.taken().values().sum::<usize>(), 6);
}

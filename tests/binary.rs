//! The real binary: exit codes, output and files.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::Stdio,
};

use crate::support::cli::{API_KEY, CliFixture, SandboxProcess, result_of, rows};

#[test]
fn an_import_of_good_rows_exits_0_and_a_second_import_sends_nothing() {
    let fixture = CliFixture::new();
    let manifest = fixture.write("m.csv", &rows(3));
    let (code, out, err) = fixture.run(&["import", &manifest, "--sandbox"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("3 searchable") && out.contains("exit 0: all 3 items are searchable"), "{out}");
    let (code, out, _) = fixture.run(&["import", &manifest, "--sandbox"]);
    assert_eq!(code, 0);
    assert!(out.contains("3 known from earlier") && out.contains("nothing was left to do"), "{out}");
    assert!(out.contains("0 upload requests"), "{out}");
}

#[test]
fn invalid_rows_exit_4_and_the_corrected_rejects_file_can_be_imported() {
    let fixture = CliFixture::new();
    let text = "title,url,lat,lon\n=1+1,https://host/a.mp4,-41.5,174\n-dash,https://host/b.mp4,95,0\n\"x, y\",ftp://b/c.mp4,,\n";
    let manifest = fixture.write("m.csv", text);
    let (code, _, err) = fixture.run(&["import", &manifest, "--sandbox"]);
    assert_eq!(code, 4);
    assert!(err.contains("m.csv:3:3 lat: outside -90 to 90"), "{err}");
    assert!(
        err.contains("m.csv:4:2 url: the scheme is none of http, https, s3, gs, az and file (ftp://b/c.mp4)"),
        "{err}"
    );
    let report = fixture.report();
    let success = fs::read_to_string(report.join("success.csv")).unwrap();
    assert!(
        success.contains("'=1+1,https://host/a.mp4,-41.5,174,"),
        "a formula is defused, a number is not: {success}"
    );
    let rejects = fs::read_to_string(report.join("rejects.csv")).unwrap();
    assert!(
        rejects
            .starts_with("title,url,lat,lon,telecine_manifest,telecine_line,telecine_result,telecine_class"),
        "{rejects}"
    );
    // the user corrects the rejects file and imports it
    let corrected = rejects.replace(",95,0,", ",85,0,").replace("ftp://b/c.mp4,,,", "https://host/c.mp4,,,");
    fixture.write("corrected.csv", &corrected);
    let (code, out, err) = fixture.run(&["import", "corrected.csv", "--sandbox"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("2 searchable"), "{out}");
    let success = fixture.report_file("success.csv");
    assert!(success.contains("'-dash,https://host/b.mp4,85,0,"), "restored and defused once: {success}");
    assert!(!success.contains("telecine_class"), "its own columns are not carried along: {success}");
}

#[test]
fn every_row_is_in_exactly_one_report_file_and_the_counts_add_up() {
    let fixture = CliFixture::new();
    let mut text = rows(5);
    text.push_str("R9,https://host/clip-0.mp4,again\nR10,,none\n");
    let manifest = fixture.write("m.csv", &text);
    let (code, ..) = fixture.run(&["import", &manifest, "--sandbox"]);
    assert_eq!(code, 4);
    let report = fixture.report();
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
fn a_command_that_cannot_work_names_the_cause_and_its_exit_code() {
    let fixture = CliFixture::new();
    let manifest = fixture.write("m.csv", &rows(1));
    fixture.write("empty.csv", "");
    fixture.write("file", "x");
    for (args, code, text) in [
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
        let (got, out, err) = fixture.run(args);
        assert_eq!(got, code, "{args:?}: {out}{err}");
        assert!(err.contains(text), "{args:?}: {err}");
        assert!(!err.contains("panicked"), "{args:?}: {err}");
    }
    let output = fixture.command(&["import", &manifest]).env_remove("MEMORIES_API_KEY").output().unwrap();
    let (code, _, err) = result_of(&output);
    assert_eq!(code, 7);
    assert!(err.contains("no API key: set MEMORIES_API_KEY") && err.contains("--sandbox"), "{err}");
    assert!(!fixture.path("state/telecine.db").exists(), "nothing was made on the way");
}

#[test]
fn a_ledger_of_a_newer_version_or_in_use_is_not_opened() {
    let fixture = CliFixture::in_real_time();
    let manifest = fixture.write("m.csv", &rows(40));
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let args = ["import", &manifest, "--api-url", &sandbox.url, "--ledger", "l.db", "--rate", "1/s"];
    let mut first = fixture.command(&args).arg("--json").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(first.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let (code, _, err) = fixture.run(&args);
    assert_eq!(code, 12, "{err}");
    assert!(err.contains(&format!("process {}", first.id())), "it says who holds it: {err}");
    let (code, out, _) = fixture.run(&["status", "--ledger", "l.db"]);
    assert_eq!(code, 0, "status reads along: {out}");
    first.kill().unwrap();
    first.wait().unwrap();
    let raw = rusqlite::Connection::open(fixture.path("l.db")).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    drop(raw);
    let (code, _, err) = fixture.run(&args);
    assert_eq!(code, 2);
    assert!(err.contains("has version 99, this telecine knows "), "{err}");
}

#[test]
fn the_api_key_and_url_signatures_are_in_no_output_and_no_file() {
    let fixture = CliFixture::new();
    let manifest = fixture.write(
        "m.csv",
        "url,tags\nhttps://host/a.mp4?X-Amz-Signature=sigcanary1,a\nrtsp://user:passcanary@10.0.0.1/?token=sigcanary2,b\n",
    );
    let sandbox = SandboxProcess::start(&fixture, &["--fault-share", "1", "--faults", "html"]);
    let output = fixture
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
    let (_, out, err) = result_of(&output);
    let json = fixture.run(&[
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
        assert!(!text.contains(API_KEY), "the key is in the output: {text}");
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
    let mut files = vec![fixture.path("state")];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let bytes = fs::read(&path).unwrap();
            let found = bytes.windows(API_KEY.len()).any(|window| window == API_KEY.as_bytes());
            assert!(!found, "the key is in {}", path.display());
        }
    }
}

#[test]
fn json_output_is_one_object_per_line_and_ends_with_the_summary() {
    let fixture = CliFixture::new();
    let manifest = fixture.write("m.csv", &rows(2));
    let (code, out, err) = fixture.run(&["import", &manifest, "--sandbox", "--json"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let lines: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().all(|line| line["schema"] == 1));
    assert_eq!(lines.iter().filter(|line| line["event"] == "accepted").count(), 2);
    let last = lines.last().unwrap();
    assert_eq!((last["event"].clone(), last["exit_code"].clone()), ("run_ended".into(), 0.into()));
    let (_, out, _) = fixture.run(&["status", "--sandbox", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (status["items"]["indexed"].clone(), status["runs"][0]["exit_code"].clone()),
        (2.into(), 0.into())
    );
}

#[test]
fn quiet_prints_nothing_and_a_closed_output_pipe_does_not_stop_the_import() {
    let fixture = CliFixture::new();
    let manifest = fixture.write("m.csv", &rows(2));
    assert_eq!(
        fixture.run(&["import", &manifest, "--sandbox", "--quiet"]),
        (0, String::new(), String::new())
    );
    let mut child = fixture
        .command(&["import", &manifest, "--sandbox", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn quiet_prints_why_an_import_did_not_succeed() {
    let fixture = CliFixture::new();
    let manifest = fixture.write("m.csv", "url\nftp://host/a.mp4\n");
    let (code, out, _) = fixture.run(&["import", &manifest, "--sandbox", "--quiet"]);
    assert!(code != 0 && out.contains(&format!("exit {code}: ")), "{code}: {out}");
}

#[test]
fn a_dry_run_and_a_check_write_nothing_and_send_nothing() {
    let fixture = CliFixture::new();
    let manifest = fixture.write("m.csv", &(rows(3) + "R9,https://host/clip-0.mp4,x\nR10,nonsense,x\n"));
    let (code, out, _) = fixture.run(&["import", &manifest, "--sandbox", "--dry-run"]);
    assert_eq!(code, 4);
    assert!(
        out.contains("3 would be sent") && out.contains("1 duplicate\n") && out.contains("url_not_absolute"),
        "{out}"
    );
    let (code, out, _) = fixture.run(&["check", &manifest, "--json"]);
    assert_eq!(code, 4);
    let scan: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((scan["scan"]["rows"].clone(), scan["scan"]["good"].clone()), (5.into(), 3.into()));
    assert!(!fixture.path("state").exists());
    fixture.run(&["import", &manifest, "--sandbox"]);
    let (_, out, _) = fixture.run(&["import", &manifest, "--sandbox", "-n"]);
    assert!(out.contains("0 would be sent") && out.contains("3 in the ledger as indexed"), "{out}");
    fixture.write("bad.csv", "url\nnonsense\n");
    assert_eq!(fixture.run(&["check", "bad.csv"]).0, 3);
    assert_eq!(fixture.run(&["import", "bad.csv", "--sandbox"]).0, 3);
}

#[test]
fn standard_input_gzip_a_byte_order_mark_and_semicolons_are_read() {
    let fixture = CliFixture::new();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(rows(2).as_bytes()).unwrap();
    fs::write(fixture.path("m.csv.gz"), gzip.finish().unwrap()).unwrap();
    let (code, out, err) = fixture.run(&["check", "m.csv.gz"]);
    assert_eq!(code, 0, "{out}{err}");
    let mut child =
        fixture.command(&["check", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all("\u{feff}URL;Tags\r\nhttps://host/a.mp4;\"x\r\ny\"\r\n".as_bytes())
        .unwrap();
    let (code, out, _) = result_of(&child.wait_with_output().unwrap());
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("url=URL, tags=Tags"), "{out}");
}

#[test]
fn a_reconcile_with_rows_left_to_send_exits_5() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(3));
    assert_eq!(fixture.run(&["import", "m.csv", "--sandbox", "--max-rows", "1"]).0, 8);
    let (code, out, _) = fixture.run(&["reconcile", "--sandbox"]);
    assert_eq!(code, 5, "{out}");
    assert!(out.contains("exit 5: 2 pending (to be sent)"), "{out}");
    fs::rename(fixture.path("m.csv"), fixture.path("moved.csv")).unwrap();
    assert_eq!(fixture.run(&["import", "moved.csv", "--sandbox"]).0, 0);
}

#[test]
fn columns_that_changed_place_between_two_runs_keep_their_names_in_the_report() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", "url,title\nhttps://host/a.mp4,One\n");
    fixture.run(&["import", "m.csv", "--sandbox"]);
    fixture.write("m.csv", "id,title,url\nR1,One,https://host/a.mp4\n");
    assert_eq!(fixture.run(&["import", "m.csv", "--sandbox"]).0, 0);
    let success = fixture.report_file("success.csv");
    assert!(success.contains("\nR1,One,https://host/a.mp4,"), "{success}");
}

#[test]
fn rows_with_joined_tag_columns_and_line_breaks_are_uploaded_complete() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", include_str!("data/lectures.csv"));
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let (code, out, err) = fixture.run(&[
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
    let taken = sandbox.accepted_videos();
    let entry = |name: &str| &taken[&format!("https://media.example.edu/files/{name}")];
    assert_eq!(taken.len(), 3);
    assert_eq!(entry("rivers%20lecture.mp4").tags, ["Rivers", "Water, Fresh", "Delta (N.L.)", "Geography"]);
    assert_eq!(entry("rivers%20lecture.mp4").datetime_taken.as_deref(), Some("1998-04-07 00:00:00"));
    assert_eq!(entry("maps%20talk.mp4").tags, ["Maps", "Cartography", "Geography", "History"]);
    assert_eq!(entry("menus.mp4").tags, ["Computer systems", "Computers", "History of Science"]);
}

#[test]
fn rows_without_a_header_are_mapped_by_column_number() {
    let fixture = CliFixture::new();
    fixture.write("m.tsv", include_str!("data/signs_noheader.tsv"));
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let (code, out, err) = fixture.run(&[
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
    let taken = sandbox.accepted_videos();
    assert_eq!(
        taken["https://signs.example.org/clips/harbour.2.mp4"].tags,
        ["harbour", "inner", "port", "ākau", "whanga"]
    );
    assert_eq!(taken["https://signs.example.org/clips/port.mp4"].tags, ["port"]);
}

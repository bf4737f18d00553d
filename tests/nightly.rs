//! The nightly run, with the real binary: what is news, who is told of it, and what schedulers get.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    os::unix::net::UnixDatagram,
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::support::cli::{API_KEY, CliFixture, result_of, rows, skipped};
use serde_json::Value;

const BAD: &str = "B1,ftp://bucket/x.mp4,\n";
const NIGHTLY: &[&str] = &["import", "m.csv", "--sandbox", "--ledger", "l.db", "--out-dir", "r", "--cron"];
const BY_HAND: &[&str] = &["import", "m.csv", "--sandbox", "--ledger", "l.db", "--out-dir", "r"];

/// The exit code of a run, and its counts of bad rows: total, acknowledged, known, new.
fn counts(fixture: &CliFixture, args: &[&str]) -> (i32, [u64; 4]) {
    let (code, out, err) = fixture.run(&[args, &["--json"]].concat());
    let last: Value = serde_json::from_str(out.lines().last().unwrap_or_else(|| panic!("{err}"))).unwrap();
    let count = |name: &str| last["bad_rows"][name].as_u64().unwrap_or_else(|| panic!("{last}"));
    (code, ["total", "acknowledged", "known", "new"].map(count))
}

#[test]
fn only_bad_rows_that_are_new_or_changed_fail_a_nightly_run() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &(rows(2) + BAD));
    assert_eq!(counts(&fixture, NIGHTLY), (4, [1, 0, 0, 1]));
    assert_eq!(counts(&fixture, NIGHTLY), (0, [1, 0, 1, 0]));
    assert_eq!(
        counts(&fixture, BY_HAND),
        (4, [1, 0, 1, 0]),
        "whoever watches sees it until it is acknowledged"
    );
    // moved to another line, it is the same; a second one is new
    fixture.write("m.csv", &(rows(3) + BAD + "B2,ftp://bucket/y.mp4,\n"));
    let (code, out, _) = fixture.run(NIGHTLY);
    assert!(code == 4 && out.contains("(1 known, 1 new)"), "{out}");
    let new = fs::read_to_string(fixture.report_in("r").join("new.csv")).unwrap();
    assert!(
        new.contains("R2,") && new.contains("B2,") && new.lines().count() == 3,
        "what the run added: {new}"
    );
    // the same row with another error has changed
    fixture.write("m.csv", &(rows(3) + "B1,,\nB2,ftp://bucket/y.mp4,\n"));
    assert_eq!(counts(&fixture, NIGHTLY), (4, [2, 0, 1, 1]));
    let (code, out, _) = fixture.run(&[
        "acknowledge",
        "--state",
        "invalid",
        "--reason",
        "URL_EMPTY",
        "--why",
        "lost",
        "--ledger",
        "l.db",
    ]);
    assert!(code == 0 && out.starts_with("1 row is acknowledged"), "{out}");
    assert_eq!(counts(&fixture, BY_HAND), (4, [2, 1, 1, 0]));
    let (code, out, _) = fixture.run(&["acknowledge", "--all", "--ledger", "l.db", "--json"]);
    let end: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, end["acknowledged"].as_u64()), (0, Some(1)));
    assert_eq!(counts(&fixture, BY_HAND), (0, [2, 2, 0, 0]));
    let ledger = rusqlite::Connection::open(fixture.path("l.db")).unwrap();
    let sql = "SELECT who, why FROM bad_row WHERE acknowledged_at > 0 AND cause LIKE 'url_empty%'";
    let (who, why): (String, String) =
        ledger.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert!(who.contains('@') && why == "lost", "{who} {why}");
    // one that was corrected and comes back is news again
    let back = rows(3) + "B3,ftp://bucket/z.mp4,\n";
    fixture.write("m.csv", &back);
    assert_eq!(counts(&fixture, NIGHTLY), (4, [1, 0, 0, 1]));
    fixture.write("m.csv", &rows(3));
    assert_eq!(counts(&fixture, NIGHTLY), (0, [0, 0, 0, 0]));
    fixture.write("m.csv", &back);
    assert_eq!(counts(&fixture, NIGHTLY), (4, [1, 0, 0, 1]));
}

#[test]
fn a_link_that_is_signed_anew_every_night_is_the_same_bad_row() {
    let fixture = CliFixture::new();
    let row = |signature: &str| {
        format!(
            "url,lat,lon\nhttps://host/a.mp4,1,1\nhttps://host/b.mp4?X-Amz-Signature={signature}&X-Amz-Date=1,96,1\n"
        )
    };
    fixture.write("m.csv", &row("aa"));
    assert_eq!(counts(&fixture, NIGHTLY), (4, [1, 0, 0, 1]));
    fixture.write("m.csv", &row("bb"));
    assert_eq!(counts(&fixture, NIGHTLY), (0, [1, 0, 1, 0]));
}

#[test]
fn a_bad_row_is_the_same_in_a_dated_export_a_copy_and_the_rejects_of_several_files() {
    let fixture = CliFixture::new();
    let import = |file: &str| {
        counts(&fixture, &["import", file, "--sandbox", "--ledger", "l.db", "--out-dir", "r", "--cron"])
    };
    fixture.write("exp-01.csv", &(rows(1) + BAD + "B2,ftp://bucket/y.mp4,\n"));
    assert_eq!(import("exp-01.csv"), (4, [2, 0, 0, 2]));
    assert_eq!(fixture.run(&["acknowledge", "--all", "--ledger", "l.db"]).0, 0);
    fixture.write("exp-02.csv", &(rows(2) + "B2,ftp://bucket/y.mp4,\n" + BAD));
    assert_eq!(import("exp-02.csv"), (0, [2, 2, 0, 0]), "the export of the next day");
    // a second manifest has columns of its own, so that the rejects of both have empty cells
    fixture.write("z.csv", "place,url\nX,ftp://bucket/z.mp4\n");
    let both = ["import", "z.csv", "exp-02.csv", "--sandbox", "--ledger", "l.db", "--out-dir", "r", "--cron"];
    assert_eq!(counts(&fixture, &both), (4, [3, 2, 0, 1]));
    let rejects = fs::read_to_string(fixture.report_in("r").join("rejects.csv")).unwrap();
    assert_eq!(rejects.lines().count(), 4, "{rejects}");
    fixture.write("rejects.csv", &rejects.replace("ftp://bucket/y", "https://host/y"));
    let (code, [total, acknowledged, known, new]) = import("rejects.csv");
    assert_eq!((code, [total, acknowledged, known, new]), (0, [2, 1, 1, 0]), "one was corrected");
}

#[test]
fn a_nightly_run_that_pauses_or_has_nothing_to_do_exits_0_and_prints_nothing() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(3));
    let silent = |args: &[&str]| {
        let (code, out, err) = fixture.run(args);
        assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""), "{args:?}");
    };
    silent(&[NIGHTLY, &["--max-rows", "1"]].concat());
    silent(&[NIGHTLY, &["--max-uploads", "2"]].concat());
    silent(NIGHTLY);
    silent(NIGHTLY);
    // a note about the settings is nothing to act on
    fixture.write("telecine.toml", "[manifest.\"other.csv\"]\nmap = [\"url=link\"]\n");
    silent(NIGHTLY);
    fs::remove_file(fixture.path("telecine.toml")).unwrap();
    assert_eq!(fixture.run(&[BY_HAND, &["--max-uploads", "1"]].concat()).0, 0, "all is done");
    // a pause must not hide what the next run will call known
    fixture.write("m.csv", &(rows(5) + BAD));
    let (code, out, _) = fixture.run(&[NIGHTLY, &["--max-rows", "1"]].concat());
    assert!(code == 4 && out.contains("paused: --max-rows") && out.contains("(1 new)"), "{out}");
    silent(&[NIGHTLY, &["--max-uploads", "4"]].concat());
    fixture.write("m.csv", &rows(6));
    assert_eq!(
        fixture.run(&[BY_HAND, &["--max-rows", "1"]].concat()).0,
        8,
        "without --cron it is another code"
    );
    let (code, out, _) = fixture.run(&["import", "none.csv", "--sandbox", "--cron"]);
    assert_eq!((code, out.as_str()), (3, ""), "its error is on stderr");
}

/// A server that keeps each request line with its body, and answers with a status or never.
struct Monitor {
    url: String,
    requests: Arc<Mutex<Vec<(String, String)>>>,
}

impl Monitor {
    fn start(status: Option<u16>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/secret-id", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for stream in listener.incoming().map(Result::unwrap) {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut first, mut length) = (String::new(), 0);
                reader.read_line(&mut first).unwrap();
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    let line = line.trim().to_lowercase();
                    if line.is_empty() {
                        break;
                    }
                    length =
                        line.strip_prefix("content-length: ").map_or(length, |text| text.parse().unwrap());
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let first = first.trim().trim_end_matches(" HTTP/1.1").to_owned();
                kept.lock().unwrap().push((first, String::from_utf8(body).unwrap()));
                let mut stream = stream;
                match status {
                    Some(status) => {
                        let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
                        stream.write_all(answer.as_bytes()).unwrap();
                    }
                    None => open.push(stream),
                }
            }
        });
        Self { url, requests }
    }

    fn requests(&self) -> Vec<(String, String)> {
        self.requests.lock().unwrap().clone()
    }
}

#[test]
fn monitors_and_commands_are_told_of_the_start_and_the_end_and_see_no_secret() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &(rows(2) + "B1,ftp://bucket/x.mp4?sig=canary-signature,\n"));
    let (ping, webhook) = (Monitor::start(Some(200)), Monitor::start(Some(204)));
    let on_end = "cat > end.json; env > end.env";
    let hooks = ["--ping", &ping.url, "--webhook", &webhook.url, "--on-end", on_end];
    let (code, out, err) = fixture.run(&[BY_HAND, &hooks[..], &["--json"]].concat());
    assert_eq!(code, 4, "{err}");
    let pings = ping.requests();
    let lines: Vec<&str> = pings.iter().map(|(line, _)| line.as_str()).collect();
    assert_eq!(lines, ["POST /secret-id/start", "POST /secret-id/4"]);
    assert!(pings[1].1.contains("exit 4: finished; 1 bad row (1 new)"), "{}", pings[1].1);
    let posted = webhook.requests().pop().unwrap();
    assert_eq!(posted.0, "POST /secret-id");
    for json in [&posted.1, &fixture.read("end.json")] {
        let told: Value = serde_json::from_str(json).unwrap();
        let printed: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
        assert_eq!(told, printed, "they are told what the last line says");
    }
    let environment = fixture.read("end.env");
    for text in [&environment, &posted.1, &pings[1].1, &out, &err] {
        assert!(!text.contains(API_KEY) && !text.contains("canary-signature"), "{text}");
    }
    assert!(!out.contains("secret-id") && !err.contains("secret-id"), "an address may be a secret");
}

#[test]
fn a_command_is_taken_only_from_settings_that_no_other_user_can_write() {
    use std::os::unix::fs::PermissionsExt as _;
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(1));
    fixture.write("telecine.toml", "on-end = \"touch ran\"\n");
    let mode =
        |mode| fs::set_permissions(fixture.path("telecine.toml"), fs::Permissions::from_mode(mode)).unwrap();
    mode(0o666);
    let (code, _, err) = fixture.run(BY_HAND);
    assert!(code == 2 && err.contains("on-end is accepted only"), "{err}");
    assert!(!fixture.path("ran").exists());
    mode(0o600);
    let (code, _, err) = fixture.run(BY_HAND);
    assert!(code == 0 && fixture.path("ran").exists(), "{err}");
    assert!(!fixture.run(&["config"]).1.contains("touch ran"), "it may hold a secret");
}

#[test]
fn monitors_are_notified_of_a_run_that_cannot_start() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(1));
    let ping = Monitor::start(Some(200));
    let (code, ..) = fixture.run(&[
        "import",
        "m.csv",
        "--key-file",
        "none.key",
        "--ping",
        &ping.url,
        "--metrics-file",
        "m.prom",
    ]);
    assert_eq!(code, 7);
    let (line, body) = ping.requests().pop().unwrap();
    assert!(line == "POST /secret-id/7" && body.contains("none.key"), "{line} {body}");
    assert!(fixture.read("m.prom").contains("telecine_last_exit_code 7\n"));
}

#[test]
fn monitors_that_fail_or_hang_are_warnings_and_delay_the_end_by_seconds_at_most() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(1));
    let (hanging, failing) = (Monitor::start(None), Monitor::start(Some(500)));
    let hooks = ["--ping", &hanging.url, "--webhook", &failing.url, "--on-end", "sleep 600 & sleep 600"];
    let clock = telecine::clock::Clock::real();
    let (code, _, err) = fixture.run(&[BY_HAND, &hooks[..]].concat());
    assert!(clock.elapsed() < Duration::from_secs(20), "{:?}", clock.elapsed());
    assert_eq!(code, 0, "{err}");
    for warning in
        ["--ping: no answer in time", "--webhook: the answer was 500", "--on-end: the command did not end"]
    {
        assert!(err.contains(warning), "{warning}: {err}");
    }
    assert!(!err.contains("secret-id"), "{err}");
}

#[test]
fn an_expired_link_is_news_once_and_can_be_acknowledged() {
    let fixture = CliFixture::new();
    let expired = "https://host/old.mp4?Signature=x&Expires=1346378000&AWSAccessKeyId=A";
    fixture.write("m.csv", &format!("{}R9,{expired},\n", rows(1)));
    let nightly = [BY_HAND, &["--cron"]].concat();
    let (code, out, err) = fixture.run(&nightly);
    assert!(code == 4 && out.contains("1 link expired before it was sent"), "{code} {out}{err}");
    let new = fs::read_to_string(fixture.report_in("r").join("new.csv")).unwrap();
    assert!(new.contains("link_expired: the link expired at 2012-08-31"), "{new}");
    let (code, out, err) = fixture.run(&nightly);
    assert_eq!((code, out.as_str()), (0, ""), "an earlier report named it: {err}");
    let (code, out, _) = fixture.run(BY_HAND);
    assert!(code == 4 && out.contains("1 known"), "{code} {out}");
    let (code, out, _) = fixture.run(&["acknowledge", "--reason", "link_expired", "--ledger", "l.db"]);
    assert!(code == 0 && out.contains("1 row is acknowledged"), "{out}");
    let (code, out, _) = fixture.run(BY_HAND);
    assert!(code == 0 && out.contains("1 acknowledged"), "{code} {out}");
    // signed again, it is sent
    fixture.write("m.csv", &format!("{}R9,{},\n", rows(1), expired.replace("1346378000", "4102444800")));
    let (code, out, _) = fixture.run(BY_HAND);
    assert!(code == 0 && out.contains("all 2 items are searchable"), "{code} {out}");
}

#[test]
fn metrics_say_what_the_ledger_holds_and_how_the_last_run_ended() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &(rows(3) + BAD));
    let (code, _, err) =
        fixture.run(&[BY_HAND, &["--metrics-file", "telecine.prom", "--price", "2"]].concat());
    assert_eq!(code, 4, "{err}");
    let text = fixture.read("telecine.prom");
    for line in [
        "telecine_items{state=\"indexed\"} 3",
        "telecine_items{state=\"pending\"} 0",
        "# TYPE telecine_upload_requests_total counter",
        "telecine_upload_requests_total{answer=\"accepted\"} 3",
        "telecine_upload_requests_total{answer=\"refused_for_now\"} 0",
        "telecine_uploads_paid 3",
        "telecine_credits_spent 6.0",
        "telecine_last_exit_code 4",
        "telecine_running 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}:\n{text}");
    }
    let ended =
        text.lines().find_map(|line| line.strip_prefix("telecine_last_end_timestamp_seconds ")).unwrap();
    assert!(ended.parse::<f64>().unwrap() > 1.7e9, "{ended}");
    let left: Vec<_> =
        fs::read_dir(fixture.path(".")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".part")), "{left:?}");
}

#[test]
fn a_service_manager_is_told_that_the_run_is_ready_alive_and_ending() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(2));
    let socket = UnixDatagram::bind(fixture.path("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    // the system keeps only a few messages that nobody reads
    let service_manager = std::thread::spawn(move || {
        let mut told = String::new();
        let mut buffer = [0; 4096];
        while !told.contains("STOPPING=1") {
            let length = socket.recv(&mut buffer).unwrap();
            told.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
        }
        told
    });
    let mut command = fixture.command(NIGHTLY);
    command.env("NOTIFY_SOCKET", fixture.path("notify")).env("WATCHDOG_USEC", "2000000");
    let (code, out, err) = result_of(&command.output().unwrap());
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""));
    let told = service_manager.join().unwrap();
    for state in ["READY=1", "WATCHDOG=1", "STATUS="] {
        assert!(told.contains(state), "{state}: {told}");
    }
}

#[test]
fn units_for_systemd_are_valid_and_a_wrong_command_is_not_scheduled() {
    let fixture = CliFixture::new();
    let (code, out, _) =
        fixture.run(&["schedule", "systemd", "--", "import", "m 100%.csv", "--cron", "--for", "5h"]);
    assert_eq!(code, 0);
    assert!(!out.contains(API_KEY));
    let (code, _, err) = fixture.run(&["schedule", "cron", "--", "import", "m.csv", "--no-such-flag"]);
    assert!(code == 2 && err.contains("--no-such-flag"), "{err}");
    assert_eq!(fixture.run(&["schedule", "cron", "--at", "24:00", "--", "import", "m.csv"]).0, 2);
    let mut files = Vec::new();
    for part in out.split("# --- ").skip(1) {
        let (path, text) = part.split_once(" ---\n").unwrap();
        let name = path.rsplit('/').next().unwrap();
        fixture.write(name, text);
        files.push(fixture.path(name));
    }
    assert_eq!(files.len(), 2, "{out}");
    let examples = ["docs/systemd/telecine-import.timer"].map(std::path::PathBuf::from);
    let Ok(checked) = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .args(files.iter().chain(&examples))
        .output()
    else {
        return skipped("systemd-analyze is not installed");
    };
    let said = String::from_utf8(checked.stderr).unwrap();
    // the program and the user of the example are not on this machine
    let faults: Vec<&str> =
        said.lines().filter(|line| line.contains("telecine") && !line.contains("not executable")).collect();
    assert!(faults.is_empty(), "{said}");
}

//! The real binary: the page that follows a run, over plain HTTP.

mod client;

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::Stdio,
    time::Duration,
};

use serde_json::Value;

use crate::support::{
    cli::{API_KEY, CliFixture, SandboxProcess, rows},
    running::{Running, against, pause, wait_for},
};

use self::client::{DashboardProcess, exchange, get, stream_of, wait_for_event};

/// Under this rate no import of several rows ends within a test.
const SLOW: [&str; 2] = ["--rate", "1/1000s"];

fn json(fixture: &CliFixture, args: &[&str]) -> Value {
    let (code, out, err) = fixture.run(&[args, &["--json"]].concat());
    assert_eq!(code, 0, "{args:?}: {out}{err}");
    serde_json::from_str(out.lines().last().unwrap()).unwrap()
}

/// A figure of the page.
#[track_caller]
fn figure(page: &str, name: &str) -> u64 {
    let behind = page.split(&format!("<dt>{name}</dt><dd>")).nth(1);
    let text = behind.unwrap_or_else(|| panic!("no figure {name}: {page}")).split('<').next().unwrap();
    text.replace(',', "").parse().unwrap()
}

#[test]
fn a_page_follows_a_running_import_and_ends_with_it() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &(rows(5) + "B1,ftp://host/x.mp4,\n"));
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let cap = ["--cap", "7/3h"];
    let import = ["import", "m.csv", SLOW[0], SLOW[1], cap[0], cap[1]];
    let import = Running::start(&fixture, &against(&sandbox, &import));
    wait_for("the first upload", || sandbox.uploads() == 1);
    wait_for("its video", || json(&fixture, &["status"])["items"]["indexed"] == 1);
    let dashboard = DashboardProcess::start(&fixture, &[]);
    let events = stream_of(&dashboard.address, "");
    wait_for_event(&events, "live-status", "uploading, 33 % finished");
    let page = get(&dashboard.address, "/");
    assert_eq!(page.status, 200);
    let status = json(&fixture, &["status"]);
    for (name, field) in [("videos", "total"), ("searchable", "indexed")] {
        assert_eq!(Value::from(figure(&page.body, name)), status["items"][field], "{name}");
    }
    assert_eq!(Value::from(figure(&page.body, "left to send")), status["running"]["left"]);
    assert_eq!(figure(&page.body, "rows read"), 6);
    let window =
        "7/3h</th><td data-label=\"Requests\">upload</td><td class=\"number\" data-label=\"Used\">1</td>";
    assert!(page.body.contains(window), "{}", page.body);
    assert!(page.body.contains("ftp://host/x.mp4"), "the invalid row");
    fixture.run(&["quota", "set", "--rate", "50/s"]);
    wait_for_event(&events, "live-run", "ended at");
    wait_for_event(&events, "end", "");
    assert!(events.recv_timeout(Duration::from_secs(20)).is_err(), "nothing follows the end");
    let (code, out, err) = import.end();
    assert_eq!(code, 4, "{out}{err}");
    let end = dashboard.end();
    assert_eq!((&end["event"], &end["run"]), (&Value::from("command_ended"), &status["running"]["run"]));
}

#[test]
fn the_page_of_an_import_that_is_killed_says_so_and_ends() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(3));
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let mut import = Running::start(&fixture, &against(&sandbox, &["import", "m.csv", SLOW[0], SLOW[1]]));
    wait_for("the first upload", || sandbox.uploads() == 1);
    let dashboard = DashboardProcess::start(&fixture, &[]);
    let events = stream_of(&dashboard.address, "");
    wait_for_event(&events, "live-status", "uploading");
    import.kill();
    wait_for_event(&events, "live-status", "killed");
    wait_for_event(&events, "end", "");
    dashboard.end();
}

#[test]
fn the_page_of_an_ended_run_has_the_numbers_of_its_report_and_stays_until_it_is_stopped() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &(rows(12) + "R1,https://host/clip-1.mp4,a;b\nB1,ftp://host/x.mp4,\n"));
    let sandbox = SandboxProcess::start(&fixture, &["--fail-share", "0.5"]);
    let import = ["import", "m.csv", "--rate", "50/s", "--list-rate", "20/s"];
    assert_eq!(fixture.run(&against(&sandbox, &import)).0, 4);
    let report: Value = serde_json::from_str(&fixture.report_file("report.json")).unwrap();
    let dashboard = DashboardProcess::start(&fixture, &["2"]);
    let page = get(&dashboard.address, "/").body;
    let events = stream_of(&dashboard.address, "");
    wait_for_event(&events, "live-status", "exit 4: ");
    wait_for_event(&events, "end", "");
    let number = |object: &str, field: &str| report[object][field].as_u64().unwrap();
    let failed = number("items", "failed");
    assert!(failed > 0, "{report}");
    let cell =
        |name: &str, count: u64| format!("<th scope=\"row\">{name}</th><td class=\"number\">{count}</td>");
    for (name, count) in [
        ("rows read", number("rows", "read")),
        ("searchable", number("items", "indexed")),
        ("failed (not indexed)", failed),
        ("duplicates", 1),
        ("invalid", 1),
    ] {
        assert!(page.contains(&cell(name, count)), "{name}: {count}: {page}");
    }
    assert_eq!(figure(&page, "failed or rejected"), failed);
    assert_eq!(figure(&page, "uploads paid, all runs"), number("spend", "uploads"));
    let metrics = get(&dashboard.address, "/metrics");
    assert_metrics(&metrics.body);
    assert!(
        metrics.body.contains(&format!("telecine_items{{state=\"failed\"}} {failed}\n")),
        "{}",
        metrics.body
    );
    assert!(metrics.body.contains("telecine_running 0\n"), "{}", metrics.body);
    dashboard.interrupt();
    dashboard.end();
}

/// Fails unless every line is a comment or a sample of the text format, and the last one is its end.
fn assert_metrics(text: &str) {
    for line in text.lines().filter(|line| !line.starts_with("# ")) {
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        let bare = name.split('{').next().unwrap();
        assert!(
            bare.starts_with("telecine_") && bare.chars().all(|c| c.is_ascii_lowercase() || c == '_'),
            "{line}"
        );
        assert!(name.contains('{') == name.ends_with('}') && value.parse::<f64>().is_ok(), "{line}");
    }
    assert!(text.ends_with("# EOF\n") && text.contains("telecine_items{state=\"indexed\"} "), "{text}");
}

#[test]
fn only_reading_requests_under_a_name_of_this_machine_are_answered_and_no_answer_is_kept() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(1));
    assert_eq!(fixture.run(&["import", "m.csv", "--sandbox", "--quiet"]).0, 0);
    let dashboard = DashboardProcess::start(&fixture, &["--sandbox"]);
    let address = &dashboard.address;
    let port = address.rsplit(':').next().unwrap();
    let request = |method: &str, path: &str, host: &str| {
        exchange(address, &format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"))
    };
    for host in [&*format!("evil.example:{port}"), "127.0.0.1", "127.0.0.1:1", ""] {
        for path in ["/", "/events", "/metrics"] {
            let refused = request("GET", path, host);
            assert_eq!(refused.status, 421, "{host}{path}: {}", refused.body);
            assert!(!refused.body.contains("clip"), "{}", refused.body);
        }
    }
    assert_eq!(exchange(address, "GET / HTTP/1.0\r\n\r\n").status, 421);
    let localhost = format!("localhost:{port}");
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let refused = request(method, "/", &localhost);
        assert_eq!(refused.status, 405, "{method}");
        assert!(refused.headers.contains("\r\nallow: get, head"), "{}", refused.headers);
    }
    for (method, path, status) in [
        ("GET", "/", 200),
        ("HEAD", "/", 200),
        ("HEAD", "/events", 200),
        ("GET", "/metrics", 200),
        ("GET", "/favicon.ico", 204),
        ("GET", "/../etc/passwd", 404),
        ("GET", "/report", 404),
    ] {
        let answer = request(method, path, &localhost);
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(method == "GET" || answer.body.is_empty(), "{method} {path}: {}", answer.body);
        for header in [
            "cache-control: no-store",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cross-origin-resource-policy: same-origin",
            "content-security-policy: default-src 'none'; style-src 'sha256-",
            "script-src 'sha256-",
            "frame-ancestors 'none'",
        ] {
            assert!(answer.headers.contains(header), "{method} {path}: {header}: {}", answer.headers);
        }
        assert!(
            !answer.headers.contains("access-control") && !answer.headers.contains("unsafe"),
            "{}",
            answer.headers
        );
    }
    assert_eq!(fixture.run(&["dashboard", "--sandbox", "--listen", "localhost"]).0, 2);
    let (code, _, err) = fixture.run(&["dashboard", "--sandbox", "--listen", address]);
    assert!(code == 2 && err.contains("cannot listen on") && err.contains("free port"), "{err}");
    let (code, _, err) = fixture.run(&["dashboard", "--ledger", "none.db"]);
    assert_eq!(code, 2, "{err}");
    dashboard.interrupt();
    dashboard.end();
}

#[test]
fn where_others_reach_the_address_every_answer_needs_the_printed_token() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(1));
    assert_eq!(fixture.run(&["import", "m.csv", "--sandbox", "--quiet"]).0, 0);
    let dashboard = DashboardProcess::start(&fixture, &["0.0.0.0:0", "--sandbox", "-vv"]);
    let query = dashboard.url[dashboard.url.find('?').unwrap()..].to_owned();
    assert!(query.len() > 64, "{query}");
    let address = &dashboard.address;
    for path in ["/", "/events", "/metrics"] {
        for query in ["", "?token=", "?token=00", &format!("{query}0")] {
            let refused = get(address, &format!("{path}{query}"));
            assert_eq!(refused.status, 403, "{path}{query}");
        }
    }
    let page = get(address, &format!("/{query}"));
    assert!(page.status == 200 && !page.body.contains(&query[7..]), "the page does not repeat the token");
    assert_eq!(get(address, &format!("/metrics{query}")).status, 200);
    let host = "evil.example:80";
    let named = exchange(address, &format!("GET /{query} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    assert_eq!(named.status, 421);
    wait_for_event(&stream_of(address, &query), "end", "");
    dashboard.interrupt();
    let mut process = dashboard.process;
    let mut err = String::new();
    let mut stderr = process.0.as_mut().unwrap().stderr.take().unwrap();
    stderr.read_to_string(&mut err).unwrap();
    assert!(!err.contains(&query[7..]), "{err}");
}

#[test]
fn hostile_strings_of_rows_and_of_the_service_are_text_and_secrets_are_hidden() {
    let fixture = CliFixture::new();
    let attack = "\"'><script>window.attacked=1</script><img src=x onerror=alert(1)>";
    let cell = format!("\"{}\"", attack.replace('"', "\"\""));
    let signed = |n: u32| format!("https://host/%3Cscript%3E-{n}.mp4?X-Amz-Signature=canary-signature");
    let name = "m<img src=x onerror=alert(1)>.csv";
    fixture.write(
        name,
        &format!(
            "id,url,tags\n{cell},{},{cell}\n{cell},{cell},{cell}\n{cell},ftp://h/a?token=canary-token,\n",
            signed(1)
        ),
    );
    let sandbox = SandboxProcess::start(&fixture, &["--fail-share", "1"]);
    assert_eq!(fixture.run(&against(&sandbox, &["import", name, "--rate", "50/s"])).0, 4);
    // what the service or a server wrote, as a later version of it may
    let ledger = rusqlite::Connection::open(fixture.path("state/telecine.db")).unwrap();
    ledger.execute("UPDATE item SET cause = ?1 WHERE state = 'failed'", [attack]).unwrap();
    ledger
        .execute(
            "INSERT INTO event (at, item, event, detail, chain) SELECT max(at) + 1, item, 'rejected', ?1, chain FROM event",
            [attack],
        )
        .unwrap();
    drop(ledger);
    let dashboard = DashboardProcess::start(&fixture, &[]);
    let page = get(&dashboard.address, "/").body;
    let stream = get(&dashboard.address, "/events").body;
    for text in [&page, &stream] {
        assert!(text.matches("&lt;script&gt;window.attacked=1").count() >= 2, "a cause and an error: {text}");
        assert!(text.contains("m&lt;img src=x"), "the name of the manifest: {text}");
        assert!(text.contains("X-Amz-Signature=***"), "the address of the error: {text}");
        for secret in ["canary", API_KEY] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        for start in ["<img", "<script>window", " onerror=\"", " style=\"", "src=\""] {
            assert!(!text.contains(start), "{start}: {text}");
        }
    }
    assert_eq!(page.matches("<script").count(), 1, "the script of the page");
    dashboard.interrupt();
    dashboard.end();
}

#[test]
fn an_import_serves_its_own_page_from_its_beginning_to_its_end() {
    let fixture = CliFixture::in_real_time();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    fixture.write("m.csv", &rows(1));
    let import = ["import", "m.csv", "--rate", "1/s", "--list-rate", "20/s", "--json"];
    assert_eq!(fixture.run(&against(&sandbox, &import)).0, 0);
    fixture.write("m.csv", &rows(5));
    let import = [&import[..], &["--dashboard=127.0.0.1:0"]].concat();
    let mut process = fixture.command(&against(&sandbox, &import));
    let mut process = process.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
    let url =
        lines.find_map(|line| Some(line.split_once("dashboard: http://")?.1.split('/').next()?.to_owned()));
    let address = url.unwrap();
    // a reader that never reads holds up nothing
    let mut stalled = TcpStream::connect(&address).unwrap();
    stalled.write_all(format!("GET /events HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).unwrap();
    let events = stream_of(&address, "");
    loop {
        let (name, data) = events.recv_timeout(Duration::from_secs(30)).unwrap();
        assert!(!data.contains("exit 0"), "the run before this one is shown: {data}");
        if name == "live-status" && data.contains("uploading") {
            break;
        }
    }
    wait_for_event(&events, "live-status", "exit 0: ");
    wait_for_event(&events, "end", "");
    let last: Value = serde_json::from_str(&lines.last().unwrap()).unwrap();
    assert_eq!((&last["exit_code"], &last["items"]["indexed"]), (&Value::from(0), &Value::from(5)));
    assert!(process.wait().unwrap().success());
    drop(stalled);
}

#[test]
fn an_address_that_is_in_use_is_a_warning_and_a_malformed_one_an_error_before_anything_begins() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(2));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let flag = format!("--dashboard={}", taken.local_addr().unwrap());
    let import = |flag: &str| fixture.run(&["import", "m.csv", "--sandbox", "--quiet", flag]);
    let (code, out, err) = import("--dashboard=127.0.0.1");
    assert!(code == 2 && !fixture.path("state").exists(), "{out}{err}");
    let (code, out, err) = import(&flag);
    assert!(code == 0 && err.contains("--dashboard: the dashboard cannot listen on"), "{out}{err}");
    assert!(err.contains("the run is not affected"), "{err}");
}

#[test]
fn readers_beyond_the_bound_are_turned_away_and_do_not_delay_the_import() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(40));
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let import = ["import", "m.csv", "--rate", "10/s", "--list-rate", "20/s"];
    let import = Running::start(&fixture, &against(&sandbox, &import));
    wait_for("the first upload", || sandbox.uploads() > 0);
    let dashboard = DashboardProcess::start(&fixture, &[]);
    let open = || {
        let mut stream = TcpStream::connect(&dashboard.address).unwrap();
        let request = format!("GET /events HTTP/1.1\r\nHost: {}\r\n\r\n", dashboard.address);
        stream.write_all(request.as_bytes()).ok();
        stream
    };
    let streams: Vec<TcpStream> = (0..40).map(|_| open()).collect();
    pause(200);
    let refused = streams.iter().filter(|stream| {
        stream.set_nonblocking(true).unwrap();
        let mut first = [0; 1];
        // a connection that was closed has an end or an error, an open one has an answer
        !matches!((&**stream).read(&mut first), Ok(1))
    });
    assert!(refused.count() >= 8, "more than 32 connections are open");
    let (code, out, err) = import.end();
    assert_eq!(code, 0, "{out}{err}");
    sandbox.assert_each_accepted_once(40);
    dashboard.end();
}

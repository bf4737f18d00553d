//! The real binary receives calls of the service: over HTTP, against senders of every kind.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    time::Duration,
};

use serde_json::Value;

use crate::support::{
    cli::{CliFixture, SandboxProcess, rows},
    running::{Running, against, wait_for},
    service::{Answer, KEY, Service, ended, importing, manifest},
};

/// A port that nothing uses now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The flags of a receiver on this port.
fn receiver(port: u16) -> [String; 4] {
    let (listen, public) = (format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{port}/hook"));
    ["--callback-listen".to_owned(), listen, "--public-url".to_owned(), public]
}

fn words(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}

/// Sends bytes, and returns the status of the answer. 0: the connection was closed without one.
fn send(port: u16, bytes: &[u8]) -> u16 {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer.split(' ').nth(1).map_or(0, |status| status.parse().unwrap())
}

fn path_of(callback: &str) -> &str {
    &callback[callback.find("/hook").unwrap()..]
}

/// The service calls this URL with this body.
fn call(port: u16, callback: &str, body: &str) -> u16 {
    let path = path_of(callback);
    let head = format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len());
    send(port, format!("{head}{body}").as_bytes())
}

fn naming(number: &str) -> String {
    format!(r#"{{"videoNo":"{number}","status":"PARSE"}}"#)
}

/// A service that accepts every upload, says so in no answer, and lists nothing from the first upload on.
fn losing_answers() -> Service {
    Service::start(Answer::AcceptBut("0001", "network abnormal"))
}

/// An import of rows against that service, whose requests are all in doubt.
fn doubtful_import(fixture: &CliFixture, service: &Service, flags: &[String], count: usize) -> Running {
    manifest(fixture.path("").as_path(), count);
    service.hide_from_listings();
    let mut args = vec!["import", "m.csv", "--api-url", &service.url, "--rate", "20/s", "--json"];
    args.extend(words(flags));
    let mut command = fixture.command(&args);
    command
        .env("MEMORIES_API_KEY", KEY)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let running = Running(Some(command.spawn().unwrap()));
    wait_for("the uploads", || service.callbacks().len() == count);
    wait_for("the doubts", || in_doubt(fixture) == count as u64);
    running
}

fn in_doubt(fixture: &CliFixture) -> u64 {
    let (code, out, _) = fixture.run(&["status", "--json"]);
    if code != 0 {
        return 0;
    }
    let status: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    status["items"]["in_doubt"].as_u64().unwrap()
}

fn last_line(out: &str) -> Value {
    serde_json::from_str(out.lines().last().unwrap()).unwrap()
}

/// No file below the folder and no output has the token of a callback URL.
fn assert_no_token(fixture: &CliFixture, tokens: &[String], outputs: &[&str]) {
    let mut folders = vec![fixture.path("")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()).into_owned();
            let token = tokens.iter().find(|token| text.contains(token.as_str()));
            assert!(token.is_none(), "{} has a token", path.display());
        }
    }
    for output in outputs {
        assert!(tokens.iter().all(|token| !output.contains(token)), "{output}");
    }
}

#[test]
fn a_lost_answer_is_settled_by_a_call_before_tags_are_visible_and_where_no_listing_shows_the_video() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(4));
    let sandbox = SandboxProcess::start(
        &fixture,
        &["--unlisted-share", "1", "--fault-share", "1", "--faults", "cut-after", "--index-delay", "60s"],
    );
    let flags = receiver(free_port());
    let args = [&["import", "m.csv", "--rate", "1/s", "--json"][..], &words(&flags)].concat();
    let (code, out, err) = fixture.run(&against(&sandbox, &args));
    assert_eq!(code, 0, "{out}{err}");
    sandbox.assert_each_accepted_once(4);
    let end = last_line(&out);
    assert_eq!(end["callbacks"]["settled"], 4, "{end}");
    assert!(end["callbacks"]["received"].as_u64().unwrap() >= 4, "{end}");
    assert!(out.contains("(callback)"), "{out}");
    let (code, explained, _) = fixture.run(&["explain", "line", "2"]);
    assert_eq!(code, 0);
    assert!(explained.contains("(known by: callback)"), "{explained}");
    // the counts stay in the ledger for who looks from outside
    let status = last_line(&fixture.run(&["status", "--json"]).1);
    let shown = last_line(&fixture.run(&["runs", "show", "last", "--json"]).1);
    for name in ["received", "settled", "contradicted", "refused", "own_callbacks"] {
        assert_eq!(status["calls"][name], end["callbacks"][name], "{name}");
        assert_eq!(shown["calls"][name], end["callbacks"][name], "{name}");
    }
    for command in [&["status"][..], &["runs", "show", "last"]] {
        assert!(fixture.run(command).1.contains("4 settled a request without a clear answer"), "{command:?}");
    }
}

#[test]
fn calls_that_are_forged_huge_slow_repeated_or_of_another_method_bind_nothing_and_stop_nothing() {
    let (fixture, service, port) = (CliFixture::new(), losing_answers(), free_port());
    let running = doubtful_import(&fixture, &service, &receiver(port), 3);
    let callbacks = service.callbacks();
    let (number, callback) = &callbacks[0];
    let body = naming(number);
    let forged =
        format!("{}{}", &callback[..callback.len() - 1], if callback.ends_with('0') { '1' } else { '0' });
    let other_request = callbacks[1].1.rsplit_once('-').unwrap().0.to_owned();
    let moved = format!("{other_request}-{}", callback.rsplit_once('-').unwrap().1);
    for wrong in
        [&forged, &moved, &"/hook/telecine-1-".to_owned(), &"/hook".to_owned(), &"/hook/telecine-".to_owned()]
    {
        assert_eq!(call(port, wrong, &body), 404, "{wrong}");
    }
    let path = path_of(callback);
    for method in ["GET", "PUT", "DELETE", "HEAD", "OPTIONS"] {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(send(port, request.as_bytes()), 405, "{method}");
    }
    // more than is read, with its length and without
    let huge = format!("{{\"videoNo\":\"{number}\",\"x\":\"{}\"}}", "x".repeat(5_000));
    assert_eq!(call(port, callback, &huge), 413);
    let chunked = format!(
        "POST {path} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n{huge:.5000}\r\n0\r\n\r\n"
    );
    assert_eq!(send(port, chunked.as_bytes()), 413);
    for empty in ["", "{}", "[]", "VI", r#"{"videoNo":"../../x"}"#, "\u{0}"] {
        assert_eq!(call(port, callback, empty), 400, "{empty}");
    }
    // a body that never ends, a head that never ends, and no HTTP at all
    let slow = format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{{");
    let (slow_body, slow_head, noise) = std::thread::scope(|threads| {
        let body = threads.spawn(|| send(port, slow.as_bytes()));
        let head = threads.spawn(|| send(port, b"POST /hook/telecine-1-00 HT"));
        let noise = threads.spawn(|| send(port, &[0x16, 0x03, 0x01, 0xff, 0x00, b'\n', b'\n']));
        (body.join().unwrap(), head.join().unwrap(), noise.join().unwrap())
    });
    assert_eq!(slow_body, 408);
    assert!([0, 400, 408].contains(&slow_head) && [0, 400].contains(&noise), "{slow_head} {noise}");
    assert_eq!(in_doubt(&fixture), 3, "nothing is bound");
    // a valid token with the number of another request's video, and with one that does not exist
    assert_eq!(call(port, &callbacks[1].1, &naming("VI999999999")), 204);
    assert_eq!(call(port, &callbacks[1].1, &naming(number)), 204);
    // the right calls, again and again
    for _ in 0..20 {
        assert_eq!(call(port, callback, &body), 204);
    }
    assert_eq!(call(port, &callbacks[2].1, &naming(&callbacks[2].0)), 204);
    wait_for("the two that were called rightly", || in_doubt(&fixture) == 1);
    let (code, explained, _) = fixture.run(&["explain", &service.urls()[1]]);
    assert!(code == 0 && explained.contains("in doubt") && !explained.contains("known by"), "{explained}");
    let mut running = running;
    running.kill();
    let tokens: Vec<String> =
        callbacks.iter().map(|(_, callback)| callback.rsplit_once('-').unwrap().1.to_owned()).collect();
    assert_no_token(&fixture, &tokens, &[&explained]);
    assert_eq!(service.copies(), [1, 1, 1]);
}

#[test]
fn a_call_for_a_request_of_a_killed_import_settles_it_in_the_next_one() {
    let (fixture, service, port) = (CliFixture::new(), losing_answers(), free_port());
    let mut running = doubtful_import(&fixture, &service, &receiver(port), 2);
    running.kill();
    let callbacks = service.callbacks();
    // nobody listens: the call is lost, as it is at a real service that does not repeat it
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    let running = doubtful_import(&fixture, &service, &receiver(port), 2);
    for (number, callback) in &callbacks {
        wait_for("the receiver", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        assert_eq!(call(port, callback, &naming(number)), 204);
    }
    let (code, out, err) = running.end();
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!((last_line(&out)["callbacks"]["settled"].as_u64(), service.uploads()), (Some(2), 2), "{out}");
    assert_eq!(service.copies(), [1, 1]);
}

#[test]
fn reconcile_takes_calls_for_earlier_requests() {
    let (fixture, service, port) = (CliFixture::new(), losing_answers(), free_port());
    let mut running = doubtful_import(&fixture, &service, &receiver(port), 1);
    running.kill();
    let (number, callback) = service.callbacks()[0].clone();
    let listen = format!("127.0.0.1:{port}");
    let mut command =
        fixture.command(&["reconcile", "--api-url", &service.url, "--callback-listen", &listen, "--json"]);
    command
        .env("MEMORIES_API_KEY", KEY)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let running = Running(Some(command.spawn().unwrap()));
    wait_for("the receiver", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    assert_eq!(call(port, &callback, &naming(&number)), 204);
    let (code, out, err) = running.end();
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(last_line(&out)["callbacks"]["settled"], 1);
}

#[test]
fn a_callback_of_a_row_is_kept_and_counted_once_said() {
    let (fixture, service) = (CliFixture::new(), Service::start(Answer::Accept));
    fixture.write(
        "m.csv",
        "url,callback\nhttps://host/a.mp4,https://own.example/1\nhttps://host/b.mp4,https://own.example/2\nhttps://host/c.mp4,\n",
    );
    let port = free_port();
    let flags = receiver(port);
    let args = [
        &["import", "m.csv", "--api-url", &service.url, "--rate", "20/s", "-j", "1", "--json"][..],
        &words(&flags),
    ]
    .concat();
    let output = fixture.command(&args).env("MEMORIES_API_KEY", KEY).output().unwrap();
    let (code, text) = ended(&output);
    assert_eq!(code, 0, "{text}");
    let callbacks: Vec<String> = service.callbacks().into_iter().map(|(_, callback)| callback).collect();
    assert_eq!(callbacks[..2], ["https://own.example/1", "https://own.example/2"]);
    assert!(
        callbacks[2].starts_with(&format!("http://127.0.0.1:{port}/hook/telecine-3-")),
        "{}",
        callbacks[2]
    );
    assert!(callbacks[2].len() <= 299);
    assert_eq!(text.matches("have a callback of their own").count(), 1, "{text}");
    let report: Value = serde_json::from_str(&fixture.report_file("report.json")).unwrap();
    assert_eq!(report["callbacks"]["own_callbacks"], 2);
}

#[test]
fn an_address_that_cannot_be_used_is_an_error_before_anything_is_sent() {
    let (fixture, service) = (CliFixture::new(), Service::start(Answer::Accept));
    manifest(fixture.path("").as_path(), 1);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let flags = receiver(taken.local_addr().unwrap().port());
    let output = importing(&fixture.path(""), &service.url, &words(&flags)).output().unwrap();
    let (code, text) = ended(&output);
    assert!(code == 2 && text.contains("--callback-listen") && text.contains("nothing was sent"), "{text}");
    for (flags, what) in [
        (&["--callback-listen", "127.0.0.1:0"][..], "needs --public-url"),
        (&["--public-url", "https://calls.example.org"], "needs --callback-listen"),
        (&["--callback-listen", "127.0.0.1:0", "--public-url", "https://u:canary@h.example/"], "password"),
    ] {
        let output = importing(&fixture.path(""), &service.url, flags).output().unwrap();
        let (code, text) = ended(&output);
        assert!(code == 2 && text.contains(what) && !text.contains("canary"), "{flags:?}: {text}");
    }
    // a real service cannot reach this machine by such an address
    for public in ["http://calls.example.org", "https://localhost:8443/", "https://192.168.1.9/"] {
        let flags = ["--callback-listen", "127.0.0.1:0", "--public-url", public];
        let output = importing(&fixture.path(""), "https://service.invalid", &flags).output().unwrap();
        let (code, text) = ended(&output);
        assert!(code == 2 && text.contains("--public-url"), "{public}: {text}");
    }
    assert_eq!(service.uploads(), 0);
}

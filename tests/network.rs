//! The real binary at the edge of the network: idle connections, time limits, certificates, proxies, login pages, waits that the
//! service asks for, and outputs that nobody reads.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::support::proxy::{self, Kind, Proxy};
use crate::support::service::{Answer, IdleRule, Service, ended, importing, manifest};
use serde_json::Value;

const SLOW_DOWN: &str = "HTTP/1.1 429 Too Many Requests\r\nDate: Wed, 21 Oct 2026 07:28:00 GMT\r\n\
                         Retry-After: Wed, 21 Oct 2026 08:28:00 GMT\r\nContent-Length: 0\r\n\r\n";
const DOWN_FOR_AN_HOUR: &str =
    "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n";
const LOGIN_PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 72\r\n\r\n\
                          <!DOCTYPE html><html><head><title>Guest network</title></head>\n\n\n</html>";
const LOGIN_REDIRECT: &str =
    "HTTP/1.1 302 Found\r\nLocation: https://login.hotel.example/?u=x\r\nContent-Length: 0\r\n\r\n";

fn folder_with(rows: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    manifest(folder.path(), rows);
    folder
}

fn run(command: &mut Command) -> (i32, String) {
    ended(&command.output().unwrap())
}

/// Everything was sent. Whether the last videos are found searchable before a run that does not wait ends is a matter of moments.
const fn is_sent(code: i32) -> bool {
    matches!(code, 0 | 5)
}

fn authority() -> String {
    format!("{}/tests/data/tls/ca.pem", env!("CARGO_MANIFEST_DIR"))
}

/// An import over TLS that trusts the service's certificate.
fn secure(folder: &Path, url: &str) -> Command {
    let mut command = importing(folder, url, &["--rate", "50/s", "--no-wait", "-vv"]);
    command.env("SSL_CERT_FILE", authority()).env("RUST_LOG", "trace");
    command
}

#[test]
fn no_upload_is_lost_on_a_connection_that_the_server_closes_while_it_is_idle() {
    let seconds = Duration::from_secs;
    let rules = [
        IdleRule::Close(seconds(1)),
        IdleRule::Close(seconds(2)),
        IdleRule::Close(seconds(5)),
        IdleRule::Cross(seconds(1)),
        IdleRule::Cross(seconds(2)),
    ];
    std::thread::scope(|scope| {
        for rule in rules {
            scope.spawn(move || {
                let service = Service::start_with(rule, None, |_| Answer::Accept);
                let folder = folder_with(4);
                let (code, text) =
                    run(&mut importing(folder.path(), &service.url, &["--rate", "30/min", "--no-wait"]));
                assert!(is_sent(code) && service.uploads() == 4, "{code}: {text}");
                assert!(!text.contains("no clear answer"), "{text}");
            });
        }
    });
}

#[test]
fn a_request_is_given_up_after_the_time_that_the_user_sets() {
    let service = Service::start(Answer::Raw(""));
    let folder = folder_with(1);
    #[expect(clippy::disallowed_methods, reason = "the time limit is of real time")]
    let started_at = Instant::now();
    let args = ["--rate", "50/s", "--no-wait", "--request-timeout", "5s"];
    let (code, text) = run(&mut importing(folder.path(), &service.url, &args));
    assert!(started_at.elapsed() < Duration::from_secs(40), "it waited for the usual time");
    assert_eq!((code, service.uploads()), (5, 1), "{text}");
    assert!(text.contains("no answer in time"), "{text}");
    for bad in ["4s", "11m", "soon"] {
        let (code, text) = run(&mut importing(folder.path(), &service.url, &["--request-timeout", bad]));
        assert_eq!(code, 2, "{text}");
        assert!(text.contains("--request-timeout") && text.contains("5s to 10m"), "{text}");
    }
}

#[test]
fn a_certificate_is_trusted_only_by_an_authority_that_is_known() {
    let service = Service::over_tls();
    let folder = folder_with(1);
    let (code, text) = run(secure(folder.path(), &service.url).env_remove("SSL_CERT_FILE"));
    assert_eq!((code, service.uploads()), (2, 0), "{text}");
    assert!(text.contains("an authority that this machine does not know"), "{text}");
    assert!(text.contains("set SSL_CERT_FILE") && !text.contains("the same command"), "{text}");
    let wrong_name = service.url.replace("localhost", "127.0.0.1");
    let (code, text) =
        run(importing(folder.path(), &wrong_name, &["--ledger", "b.db"]).env("SSL_CERT_FILE", authority()));
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("its certificate is made for another name"), "{text}");
    let (code, text) = run(secure(folder.path(), &service.url).env("SSL_CERT_FILE", "missing.pem"));
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("SSL_CERT_FILE missing.pem: cannot be read"), "{text}");
    let (code, text) = run(&mut secure(folder.path(), &service.url));
    assert!(is_sent(code) && service.uploads() == 1, "{code}: {text}");
}

#[test]
fn requests_take_the_proxy_of_the_environment_and_never_show_its_password() {
    for (kind, scheme) in [(Kind::Http, "http"), (Kind::Socks, "socks5h")] {
        for variable in ["HTTPS_PROXY", "all_proxy"] {
            for credentials in ["", "agent:canary%2B7@"] {
                let service = Service::over_tls();
                let proxy = Proxy::start(kind, service.port, !credentials.is_empty());
                let address = format!("{scheme}://{credentials}localhost:{}", proxy.port);
                let folder = folder_with(1);
                // the proxy alone knows this name
                let url = format!("https://service.test:{}", service.port);
                let (code, text) = run(secure(folder.path(), &url).env(variable, &address));
                assert!(is_sent(code) && service.uploads() == 1, "{code} {address}: {text}");
                assert!(proxy.tunnels() > 0 && !text.contains("canary"), "{address}: {text}");
            }
        }
    }
}

#[test]
fn a_proxy_that_cannot_be_used_is_a_configuration_error_unless_no_proxy_names_the_service() {
    let service = Service::over_tls();
    let folder = folder_with(1);
    let (http, socks) =
        (Proxy::start(Kind::Http, service.port, true), Proxy::start(Kind::Socks, service.port, true));
    for (address, expected) in [
        (format!("http://localhost:{}", http.port), "407"),
        (format!("http://agent:canary@localhost:{}", http.port), "407"),
        (format!("socks5://agent:canary@127.0.0.1:{}", socks.port), "credentials not accepted"),
        (format!("socks5://127.0.0.1:{}", socks.port), "does not support"),
        // it does not speak SOCKS
        (format!("socks5://127.0.0.1:{}", http.port), "failed parsing"),
        ("ftp://agent:canary@127.0.0.1:1".to_owned(), "scheme ftp"),
        ("http://agent:canary#@127.0.0.1:1".to_owned(), "percent-encoded"),
    ] {
        let (code, text) = run(secure(folder.path(), &service.url).env("HTTPS_PROXY", &address));
        assert_eq!((code, service.uploads()), (2, 0), "{address}: {text}");
        assert!(text.contains(expected) && text.contains("HTTPS_PROXY"), "{address}: {text}");
        assert!(!text.contains("canary"), "{address}: {text}");
    }
    let mut command = secure(folder.path(), &service.url);
    command.env("HTTPS_PROXY", format!("http://localhost:{}", http.port)).env("NO_PROXY", "localhost");
    let (code, text) = run(&mut command);
    assert!(is_sent(code) && service.uploads() == 1, "{code}: {text}");
}

#[test]
fn a_service_out_of_reach_is_explained_and_given_up_only_once() {
    let folder = folder_with(1);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (here, elsewhere) = (format!("http://{closed}"), "https://service.test".to_owned());
    // no server is asked for a name with a part of more than 63 letters
    let unknown = format!("http://{}.test:1", "x".repeat(70));
    std::thread::scope(|threads| {
        for (ledger, url, proxy, expected) in [
            ("a.db", &here, "", "nothing accepts connections"),
            ("b.db", &elsewhere, &unknown, "the name of the proxy cannot be resolved (DNS)"),
            ("c.db", &elsewhere, &here, "the proxy cannot be reached"),
        ] {
            let folder = &folder;
            threads.spawn(move || {
                let args = ["--ledger", ledger, "--no-wait", "--rate", "9/s"];
                let mut command = importing(folder.path(), url, &args);
                let (code, text) = run(command.env("SSL_CERT_FILE", authority()).env("HTTPS_PROXY", proxy));
                assert_eq!(code, 5, "{text}");
                assert!(text.contains(expected), "{text}");
                assert!(text.contains("giving up after 4 attempts"), "{text}");
                assert!(text.contains("check the network of this machine"), "{text}");
                assert_eq!(text.matches("trying again then").count(), 3, "{text}");
            });
        }
    });
}

#[test]
fn a_service_that_is_reached_late_is_compared_with_the_ledger_before_anything_is_sent() {
    let service = Service::start(Answer::Accept);
    let folder = folder_with(3);
    run(&mut importing(folder.path(), &service.url, &["--ledger", "a.db", "--no-wait", "--rate", "50/s"]));
    assert_eq!(service.uploads(), 3);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let mut command = importing(folder.path(), &url, &["--ledger", "b.db", "--no-wait", "--rate", "50/s"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    for _ in 0..15 {
        pause();
    }
    proxy::forward(port, service.port);
    let (_, text) = ended(&child.wait_with_output().unwrap());
    assert!(text.contains("trying again then") && text.contains("another ledger"), "{text}");
    assert_eq!(service.uploads(), 3, "{text}");
}

#[test]
fn a_login_page_stops_the_run_before_an_upload() {
    for (answer, expected) in [(LOGIN_PAGE, "Guest network"), (LOGIN_REDIRECT, "login.hotel.example")] {
        let service = Service::start(Answer::Accept);
        service.lists(Some(Answer::Raw(answer)));
        let folder = folder_with(1);
        let (code, text) = run(&mut importing(folder.path(), &service.url, &["--no-wait"]));
        assert_eq!((code, service.uploads()), (7, 0), "{text}");
        assert!(text.contains("a login page of the network") && text.contains(expected), "{text}");
        assert!(text.contains("log in to the network with a browser"), "{text}");
    }
    let plain = Proxy::start(Kind::Http, 1, false);
    let (code, text) = run(&mut secure(folder_with(1).path(), &format!("https://localhost:{}", plain.port)));
    assert_eq!(code, 7, "{text}");
    assert!(text.contains("does not speak TLS"), "{text}");
}

#[test]
fn a_long_wait_that_the_service_asks_for_is_kept_over_answers_and_restarts() {
    for asks in [SLOW_DOWN, DOWN_FOR_AN_HOUR] {
        let service = Service::scripted(move |number| match number {
            1 => Answer::AcceptAfter(Duration::from_secs(1)),
            _ => Answer::Raw(asks),
        });
        let folder = folder_with(6);
        let args = ["--rate", "20/s", "-j", "2", "--quota-exit=1s", "--no-wait", "--json"];
        for _ in 0..2 {
            let output = importing(folder.path(), &service.url, &args).output().unwrap();
            let (code, text) = ended(&output);
            // what was in flight was awaited, and its answer did not end the wait
            assert_eq!((code, service.uploads(), service.copies()), (11, 2, vec![1]), "{text}");
            let text = String::from_utf8(output.stdout).unwrap();
            let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
            let until: jiff::Timestamp = last["next_run_at"].as_str().unwrap().parse().unwrap();
            #[expect(clippy::disallowed_methods, reason = "the wait is of real time")]
            let now = jiff::Timestamp::now();
            let wait = until.as_second() - now.as_second();
            // both are whole seconds, rounded in opposite ways
            assert!((3_500..=3_602).contains(&wait), "{wait} s: {text}");
            assert_eq!(last["items"]["accepted"], 1, "{last}");
        }
    }
}

#[test]
fn a_long_wait_before_the_first_listing_is_announced() {
    let service = Service::start(Answer::Accept);
    service.lists(Some(Answer::Raw(SLOW_DOWN)));
    let folder = folder_with(1);
    for (args, expected) in [(&["--for", "2s"][..], 10), (&["--quota-exit=1m"], 11)] {
        let (code, text) = run(importing(folder.path(), &service.url, &["--no-wait"]).args(args));
        assert_eq!((code, service.uploads()), (expected, 0), "{text}");
        // as a wait, or as the reason of the end
        assert!(text.contains("until 2") && text.contains("listings cannot be read"), "{text}");
    }
}

/// A pipe that is full, and its reader, which does not read.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    use rustix::fs::{OFlags, fcntl_setfl};
    let (reader, mut writer) = std::io::pipe().unwrap();
    fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
    while writer.write(&[b' '; 4_096]).is_ok() {}
    while writer.write(b" ").is_ok() {}
    fcntl_setfl(&writer, OFlags::empty()).unwrap();
    (reader, writer)
}

#[test]
fn an_output_that_nobody_reads_does_not_keep_uploads_waiting() {
    for (args, is_stdout) in [(&["-vv"][..], false), (&["--json"], true)] {
        let service = Service::start(Answer::Accept);
        let folder = folder_with(30);
        let (reader, writer) = full_pipe();
        let mut command = importing(folder.path(), &service.url, &["--rate", "100/s", "--no-wait"]);
        command.args(args).stdout(Stdio::null()).stderr(Stdio::null());
        if is_stdout {
            command.stdout(writer);
        } else {
            command.stderr(writer);
        }
        let mut child = command.spawn().unwrap();
        drop(command);
        for _ in 0..300 {
            if service.uploads() == 30 {
                break;
            }
            pause();
        }
        let (uploads, is_over) = (
            service.uploads(),
            // what must go on without its reader gets more time than what must wait for him
            (0..if is_stdout { 20 } else { 100 }).any(|_| {
                pause();
                child.try_wait().unwrap().is_some()
            }),
        );
        drop(reader);
        let code = child.wait().unwrap().code();
        assert!(code.is_some_and(is_sent) && uploads == 30, "{args:?}: {uploads}, {code:?}");
        // the last object of --json is owed to its reader
        assert_eq!(is_over, !is_stdout, "{args:?}");
    }
}

fn pause() {
    #[expect(clippy::disallowed_methods, reason = "another process runs in real time")]
    std::thread::sleep(Duration::from_millis(100));
}

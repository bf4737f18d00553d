//! Probes by the real binary over real sockets: what is requested, what is refused, and how an import uses the findings.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    thread,
};

use telecine::{
    domain::Reach,
    probe::{FetchError, FetchRequest, Fetcher, Method, http::HttpFetcher},
};

use crate::support::cli::{self, API_KEY, CliFixture};

/// A host of the videos of `tests/data/media`, which keeps every request.
struct VideoHost {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl VideoHost {
    fn start() -> Self {
        let sink = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = sink.local_addr().unwrap().port();
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let requests = Arc::clone(&heads);
        thread::spawn(move || {
            for stream in sink.incoming() {
                let requests = Arc::clone(&requests);
                thread::spawn(move || serve(stream.unwrap(), &requests));
            }
        });
        Self { port, heads }
    }

    fn url(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/{name}", self.port)
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// Answers requests on one connection, with a part of the file where the request names one.
fn serve(mut stream: TcpStream, requests: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        requests.lock().unwrap().push(head.clone());
        let path = head.split_whitespace().nth(1).unwrap().trim_start_matches('/').to_owned();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/media").join(&path);
        let answer = match fs::read(file) {
            Err(_) => b"HTTP/1.1 404 x\r\ncontent-length: 0\r\n\r\n".to_vec(),
            Ok(bytes) => part(&head, &bytes),
        };
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}

fn part(head: &str, bytes: &[u8]) -> Vec<u8> {
    let total = bytes.len();
    let range =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
    let Some(range) = range else {
        return format!("HTTP/1.1 200 OK\r\ncontent-length: {total}\r\n\r\n").into_bytes();
    };
    let (first, last) = range.trim().split_once('-').unwrap();
    let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
    let body = &bytes[first..(last + 1).min(total)];
    let head = format!(
        "HTTP/1.1 206 OK\r\ncontent-length: {}\r\ncontent-range: bytes {first}-{}/{total}\r\n\r\n",
        body.len(),
        first + body.len() - 1
    );
    [head.as_bytes(), body].concat()
}

fn manifest(fixture: &CliFixture, urls: &[String]) -> String {
    let rows =
        urls.iter().enumerate().fold("id,url\n".to_owned(), |text, (n, url)| text + &format!("R{n},{url}\n"));
    fixture.write("m.csv", &rows)
}

fn probe(fixture: &CliFixture, flags: &[&str]) -> (i32, serde_json::Value) {
    let all = [&["check", "m.csv", "--probe", "--json", "--ledger", "state/sandbox.db"], flags].concat();
    let (code, out, err) = fixture.run(&all);
    (code, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}")))
}

#[test]
fn probed_only_imports_the_sources_found_supported_and_reports_the_others() {
    let (fixture, host) = (CliFixture::new(), VideoHost::start());
    manifest(&fixture, &["h264.mp4", "vp8.webm", "gone.mp4", "vp9.webm"].map(|name| host.url(name)));
    let import = ["import", "m.csv", "--sandbox", "--probed-only", "--json"];
    let (code, out, _) = fixture.run(&import);
    assert_eq!(code, 3, "no source was probed yet: {out}");
    assert!(out.contains("probe_missing") && out.contains("\"added\":0"), "{out}");

    let (code, report) = probe(&fixture, &["--allow-private"]);
    assert_eq!(code, 4, "{report}");
    let probed = &report["probe"];
    assert_eq!(
        (probed["supported"].as_u64(), probed["unsupported"].as_u64()),
        (Some(2), Some(2)),
        "{report}"
    );
    let codec = &probed["unsupported_by"]["codec"]["examples"][0];
    assert_eq!((codec["line"].as_u64(), codec["column_number"].as_u64()), (Some(3), Some(2)), "{report}");
    assert!(codec["message"].as_str().unwrap().contains("vp8"), "{report}");

    let (code, out, _) =
        fixture.run(&["import", "m.csv", "--sandbox", "--probed-only", "--dry-run", "--json"]);
    let plan: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, plan["would_send"].as_u64(), plan["held_back"].as_u64()),
        (4, Some(2), Some(2)),
        "{out}"
    );

    let (code, out, err) = fixture.run(&["import", "m.csv", "--sandbox", "--probed-only"]);
    assert_eq!(code, 4, "{out}{err}");
    assert!(out.contains("2 searchable"), "{out}");
    assert!(err.contains("m.csv:3:2 url: matroska with vp8"), "{err}");
    let rejects = fs::read_to_string(fixture.report().join("rejects.csv")).unwrap();
    assert!(rejects.contains("probe_unsupported") && rejects.contains("the host answers 404"), "{rejects}");

    // without --probed-only the other rows are sent, and no row twice
    let (_, out, _) = fixture.run(&["import", "m.csv", "--sandbox"]);
    assert!(out.contains("4 searchable") && out.contains("2 upload requests"), "{out}");
    // a row that was uploaded needs no probe
    let (code, out, _) = fixture.run(&["import", "m.csv", "--sandbox", "--probed-only"]);
    assert_eq!(code, 0, "{out}");
}

#[test]
fn probed_only_also_holds_back_pending_rows_of_an_earlier_run() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &cli::rows(20));
    let (code, ..) = fixture.run(&["import", "m.csv", "--sandbox", "--max-rows", "1", "--no-wait"]);
    assert_eq!(code, 8);
    let (code, out, _) = fixture.run(&["import", "m.csv", "--sandbox", "--probed-only"]);
    assert_eq!(code, 4, "{out}");
    assert!(out.contains("0 upload requests"), "{out}");
}

#[test]
fn a_probe_sends_no_api_key_to_the_video_host_and_requests_uncompressed_bytes() {
    let (fixture, host) = (CliFixture::new(), VideoHost::start());
    manifest(&fixture, &[host.url("h264.mp4")]);
    let (code, report) = probe(&fixture, &["--allow-private"]);
    assert_eq!((code, report["probe"]["supported"].as_u64()), (0, Some(1)), "{report}");
    let heads = host.heads();
    assert_eq!(heads.len(), 2, "{heads:?}");
    assert!(heads[0].starts_with("HEAD /h264.mp4 ") && heads[1].starts_with("GET /h264.mp4 "), "{heads:?}");
    for head in heads.iter().map(|head| head.to_lowercase()) {
        assert!(!head.contains(API_KEY) && !head.contains("authorization"), "{head}");
        assert!(head.contains("accept-encoding: identity"), "{head}");
    }
    assert!(heads[1].to_lowercase().contains("range: bytes=0-65535"), "{heads:?}");
    let (_, report) = probe(&fixture, &["--allow-private"]);
    assert_eq!(report["probe"]["kept"].as_u64(), Some(1), "{report}");
    assert_eq!(host.heads().len(), 2, "it was found supported just before");
}

#[test]
fn a_private_address_is_not_probed_unless_allowed_not_even_by_host_name() {
    let (fixture, host) = (CliFixture::new(), VideoHost::start());
    let by_name = format!("http://localhost:{}/h264.mp4", host.port);
    manifest(&fixture, &[host.url("h264.mp4"), by_name]);
    let (code, report) = probe(&fixture, &[]);
    assert_eq!(code, 3, "nothing of it could be sent: {report}");
    assert_eq!(report["probe"]["unsupported_by"]["private_address"]["rows"].as_u64(), Some(2), "{report}");
    assert!(host.heads().is_empty(), "{:?}", host.heads());
}

#[test]
fn probe_findings_and_row_errors_are_in_one_csv() {
    let (fixture, host) = (CliFixture::new(), VideoHost::start());
    manifest(&fixture, &[host.url("gone.mp4"), "ftp://bucket/a.mp4".to_owned(), host.url("vp9.webm")]);
    let (code, out, _) = fixture.run(&["check", "m.csv", "--probe", "--allow-private", "--csv"]);
    assert_eq!(code, 4, "{out}");
    let (private, mut lines): (Vec<&str>, Vec<&str>) =
        out.lines().skip(1).partition(|line| line.contains(",warned,url_private,"));
    lines.sort_unstable();
    assert_eq!((private.len(), lines.len()), (2, 2), "{out}");
    assert!(lines[0].starts_with("m.csv,2,unsupported,http_404,url,2,"), "{out}");
    assert!(lines[1].starts_with("m.csv,3,invalid,url_scheme,url,2,"), "{out}");
}

async fn ask(url: String, body_max: usize) -> Result<telecine::probe::FetchResponse, FetchError> {
    let web = HttpFetcher::new(Reach::Private).unwrap();
    web.exchange(FetchRequest { method: Method::Get, url: url.parse().unwrap(), range: None, body_max }).await
}

/// A host that answers its first request with these bytes.
fn scripted(answer: Vec<u8>) -> String {
    let sink = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = sink.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = sink.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap_or(0) > 0 {}
        // the client closes the connection when it has enough
        let _ = stream.write_all(&answer);
    });
    format!("http://{address}/v")
}

#[tokio::test]
async fn an_endless_body_is_read_only_as_far_as_requested() {
    let endless = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![7; 20_000_000]].concat();
    let got = ask(scripted(endless), 1_000).await.unwrap();
    assert_eq!((got.body.len(), got.is_whole), (1_000, false));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_returned_as_far_as_it_arrived() {
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc".to_vec();
    let got = ask(scripted(cut), 1_000).await.unwrap();
    assert_eq!((&got.body[..], got.is_whole, got.content_length), (&b"abc"[..], false, Some(100)));
    let missed = ask(scripted(b"HTTP/1.1 200".to_vec()), 10).await;
    assert!(matches!(missed, Err(FetchError::NoAnswer(_))), "{missed:?}");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let missed = ask(format!("http://{closed}/"), 10).await;
    assert!(matches!(missed, Err(FetchError::Unreachable(_))), "{missed:?}");
}

#[tokio::test]
async fn the_http_fetcher_returns_a_redirect_and_does_not_follow_it() {
    let got =
        ask(scripted(b"HTTP/1.1 302 x\r\nlocation: /b\r\ncontent-length: 0\r\n\r\n".to_vec()), 10).await;
    let got = got.unwrap();
    assert_eq!((got.status, got.location.as_deref()), (302, Some("/b")));
}

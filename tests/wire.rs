//! Real HTTP over loopback: the exact bytes of a request, and the verdict on each kind of broken answer.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use secrecy::SecretString;
use telecine::{
    api::{ApiClient, IndexStatus, Transport, Verdict, http::HttpTransport},
    clock::Clock,
    domain::{SourceUrl, Submission, UnixMillis, VideoNo},
    quota::{LearnedLimits, Limits, Permit, Priority, RateLimiter},
    sandbox::{Direct, Fault, Faults, MockService, Policy, serve},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

const KEY: &str = "sk-mavi-canary";
const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn submission(name: &str) -> Submission {
    Submission {
        tags: vec!["Art, Modern".to_owned(), "ā".to_owned()],
        datetime_taken: Some("2019-05-06 07:08:09".to_owned()),
        retain_original_video: Some(true),
        ..Submission::new(
            SourceUrl::parse(&format!("https://host/{name}.mp4?a=1&b=2")).unwrap(),
            "default".to_owned(),
        )
    }
}

async fn permit(priority: Priority) -> Permit {
    let clock = Clock::of_runtime(UnixMillis(0));
    let rng = fastrand::Rng::with_seed(1);
    RateLimiter::new(clock, Limits::default(), &[], LearnedLimits::default(), rng).permit(priority).await
}

fn http(address: SocketAddr) -> ApiClient<HttpTransport> {
    let origin = format!("http://{address}").parse().unwrap();
    ApiClient::new(HttpTransport::new(&origin, &SecretString::from(KEY)).unwrap())
}

/// Answers one connection with fixed bytes, and returns the request.
async fn scripted(answer: &'static [u8]) -> (SocketAddr, tokio::task::JoinHandle<String>) {
    let sink = TcpListener::bind(LOOPBACK).await.unwrap();
    let address = sink.local_addr().unwrap();
    let request = tokio::spawn(async move {
        let (mut stream, _) = sink.accept().await.unwrap();
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let count = stream.read(&mut buffer).await.unwrap();
            bytes.extend_from_slice(&buffer[..count]);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                break;
            }
        }
        stream.write_all(answer).await.unwrap();
        stream.shutdown().await.ok();
        String::from_utf8(bytes).unwrap()
    });
    (address, request)
}

#[tokio::test]
async fn an_upload_is_sent_exactly_as_the_service_documents_it() {
    let (address, request) = scripted(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    http(address).upload(permit(Priority::Upload).await, &submission("a"), Some("telecine:x")).await;
    let request = request.await.unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let head = head.to_lowercase();
    assert!(head.starts_with("post /serve/api/v1/upload_url http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nauthorization: sk-mavi-canary"), "the raw key, without Bearer: {head}");
    assert!(head.contains("\r\ncontent-type: application/x-www-form-urlencoded"), "{head}");
    assert_eq!(
        body,
        "url=https%3A%2F%2Fhost%2Fa.mp4%3Fa%3D1%26b%3D2&unique_id=default&tags=Art%2C+Modern&tags=%C4%81\
         &tags=telecine%3Ax&datetime_taken=2019-05-06+07%3A08%3A09&retain_original_video=true"
    );
}

#[tokio::test]
async fn a_redirected_upload_is_not_followed_and_does_not_count_as_a_refusal() {
    let (elsewhere, request) = scripted(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let answer = format!("HTTP/1.1 307 x\r\nlocation: http://{elsewhere}/steal\r\ncontent-length: 0\r\n\r\n");
    let (address, _) = scripted(Box::leak(answer.into_boxed_str()).as_bytes()).await;
    let verdict = http(address).upload(permit(Priority::Upload).await, &submission("a"), None).await;
    assert!(matches!(verdict, Verdict::StopRun { .. }), "{verdict:?}");
    tokio::task::yield_now().await;
    assert!(!request.is_finished(), "the key went elsewhere");
    // the name of a host is in lower case, and an answer may repeat the key in any
    for repeated in [KEY.to_uppercase(), KEY.to_owned()] {
        let answer =
            format!("HTTP/1.1 307 x\r\nlocation: http://{repeated}.example/\r\ncontent-length: 0\r\n\r\n");
        let (address, _) = scripted(Box::leak(answer.into_boxed_str()).as_bytes()).await;
        let verdict = http(address).upload(permit(Priority::Upload).await, &submission("a"), None).await;
        assert!(!format!("{verdict:?}").to_lowercase().contains(KEY), "{verdict:?}");
    }
}

#[tokio::test]
async fn a_failed_connection_counts_as_not_sent_and_a_broken_answer_as_in_doubt() {
    let closed = {
        let sink = TcpListener::bind(LOOPBACK).await.unwrap();
        sink.local_addr().unwrap()
    };
    let verdict = http(closed).upload(permit(Priority::Upload).await, &submission("a"), None).await;
    assert!(matches!(verdict, Verdict::NotSent { .. }), "{verdict:?}");
    for answer in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"code\":\"00",
        b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n<ok>",
        b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n",
        b"garbage\r\n\r\n",
    ] {
        let (address, _) = scripted(answer).await;
        let verdict = http(address).upload(permit(Priority::Upload).await, &submission("a"), None).await;
        assert!(matches!(verdict, Verdict::InDoubt { .. }), "{answer:?}: {verdict:?}");
    }
}

#[tokio::test]
async fn an_endless_answer_is_cut_off_and_leaves_the_request_in_doubt() {
    let sink = TcpListener::bind(LOOPBACK).await.unwrap();
    let address = sink.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = sink.accept().await.unwrap();
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
        while stream.write_all(b"400\r\n").await.is_ok() {
            let chunk = [b'x'; 0x400];
            if stream.write_all(&chunk).await.is_err() || stream.write_all(b"\r\n").await.is_err() {
                return;
            }
        }
    });
    let verdict = http(address).upload(permit(Priority::Upload).await, &submission("a"), None).await;
    let Verdict::InDoubt { cause, .. } = verdict else { panic!("{verdict:?}") };
    assert!(cause.contains("longer than"), "{cause}");
}

#[tokio::test]
async fn a_server_error_that_repeats_the_request_is_shown_without_key_and_signature() {
    let echo = "HTTP/1.1 500 x\r\ncontent-length: 104\r\n\r\n{\"code\":\"0001\",\"msg\":\"bad: sk-mavi-canary https%3A%2F%2Fhost%2Fa%3FX-Amz-Signature%3Ddeadbeef sk-mavi-canary\"}";
    let (address, _) = scripted(echo.as_bytes()).await;
    let verdict = http(address).upload(permit(Priority::Upload).await, &submission("a"), None).await;
    let Verdict::InDoubt { cause, .. } = verdict else { panic!("{verdict:?}") };
    assert!(cause.contains("bad:") && !cause.contains("canary") && !cause.contains("deadbeef"), "{cause}");
}

/// What both transports must do with one service.
async fn conform<T: Transport>(service: ApiClient<T>, name: &str) {
    let verdict = service.upload(permit(Priority::Upload).await, &submission(name), Some("telecine:x")).await;
    let Verdict::Accepted { video_no, uploaded_at } = verdict else { panic!("{name}: {verdict:?}") };
    assert!(uploaded_at.is_some());
    let page = service.list_videos(permit(Priority::Poll).await, "default", &[&video_no]).await.unwrap();
    assert_eq!(page.videos.len(), 1);
    assert_eq!(page.videos[0].status, IndexStatus::InProgress);
    assert!(page.videos[0].tags.is_empty(), "tags show only when it is indexed");
    let unknown = VideoNo::parse("VI_unknown").unwrap();
    assert_eq!(service.metadata(permit(Priority::PollSingle).await, "default", &unknown).await, Ok(None));
    let page = service.list_page(permit(Priority::Poll).await, "elsewhere", 1).await.unwrap();
    assert_eq!((page.videos.len(), page.total_count), (0, Some(0)));
    let mut bad = submission("bad");
    bad.datetime_taken = Some("yesterday".to_owned());
    let verdict = service.upload(permit(Priority::Upload).await, &bad, None).await;
    assert!(matches!(verdict, Verdict::BadRow { .. }), "{name}: {verdict:?}");
}

#[tokio::test]
async fn the_sandbox_in_process_and_over_http_are_the_same_service() {
    let policy =
        Policy { index_delay: Duration::from_hours(1)..=Duration::from_hours(1), ..Policy::default() };
    let clock = Clock::real();
    let mock = Arc::new(MockService::new(policy, clock.clone()));
    conform(ApiClient::new(Direct::new(Arc::clone(&mock), clock, KEY)), "direct").await;
    let server = serve(Arc::clone(&mock), LOOPBACK).await.unwrap();
    conform(http(server.address()), "http").await;
    let urls: Vec<String> = mock.videos().into_iter().map(|video| video.url).collect();
    assert_eq!(urls, ["https://host/direct.mp4?a=1&b=2", "https://host/http.mp4?a=1&b=2"]);
    assert_eq!(mock.videos()[1].tags, ["Art, Modern", "ā", "telecine:x"]);
}

#[tokio::test]
async fn every_fault_of_the_sandbox_leads_to_its_own_verdict() {
    for (error, as_str) in Fault::ALL.iter().filter(|(error, _)| *error != Fault::Hang) {
        let faults = Faults { share: 1.0, kinds: vec![*error] };
        let mock = Arc::new(MockService::new(Policy { faults, ..Policy::default() }, Clock::real()));
        let server = serve(Arc::clone(&mock), LOOPBACK).await.unwrap();
        let verdict =
            http(server.address()).upload(permit(Priority::Upload).await, &submission("a"), None).await;
        let fits = match error {
            Fault::Unnamed => verdict == Verdict::AcceptedUnidentified,
            Fault::Busy => matches!(verdict, Verdict::RefusedForNow { .. }),
            Fault::Redirect => matches!(verdict, Verdict::StopRun { .. }),
            _ => matches!(verdict, Verdict::InDoubt { .. }),
        };
        assert!(fits, "{as_str}: {verdict:?}");
    }
}

#[tokio::test]
async fn an_upload_without_a_key_stops_the_run() {
    let mock = Arc::new(MockService::new(Policy::default(), Clock::real()));
    let direct = ApiClient::new(Direct::new(mock, Clock::real(), ""));
    let verdict = direct.upload(permit(Priority::Upload).await, &submission("a"), None).await;
    let Verdict::StopRun { reason, .. } = verdict else { panic!("{verdict:?}") };
    assert_eq!(reason, telecine::domain::StopReason::KeyRefused);
}

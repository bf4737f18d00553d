//! The dashboard over HTTP: the page, the stream of its parts, and the metrics. Every answer forbids copies and other sites.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, Method, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use tokio::sync::{Mutex, mpsc, watch};

use super::{
    access::{AccessRules, Refusal},
    feed::LivePage,
};
use crate::{
    app::metrics::MetricsRegistry,
    blocking,
    clock::Clock,
    http_server::{BoundAddress, ConnectionRules, HttpServer, growing_body},
    ledger::LedgerPlace,
    report::{live_page, live_policy},
};

/// Connections at the same time.
const CONNECTIONS_MAX: u32 = 32;
/// The time for a request to arrive.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// A stream says that often that it is there, so that a dead connection is noticed.
const ALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// A browser that has lost the stream asks again after this many milliseconds.
const RETRY_MS: u32 = 2_000;
/// Metrics are computed again when they are older: they read every request of the ledger.
const METRICS_AGE_MAX: Duration = Duration::from_secs(5);

/// What the requests need.
pub(super) struct Served {
    access: AccessRules,
    pages: watch::Receiver<Arc<LivePage>>,
    ledger: LedgerPlace,
    metrics: MetricsRegistry,
    /// The last metrics, and when they were computed.
    known_metrics: Mutex<Option<(Duration, String)>>,
    clock: Clock,
    policy: String,
}

impl Served {
    pub(super) fn new(
        access: AccessRules,
        pages: watch::Receiver<Arc<LivePage>>,
        ledger: LedgerPlace,
        metrics: MetricsRegistry,
        clock: Clock,
    ) -> Self {
        let policy = format!("{}; frame-ancestors 'none'", live_policy());
        Self { access, pages, ledger, metrics, known_metrics: Mutex::new(None), clock, policy }
    }

    async fn metrics(&self) -> Result<String, String> {
        let mut known = self.known_metrics.lock().await;
        let now = self.clock.elapsed();
        if let Some((at, text)) = &*known
            && now.saturating_sub(*at) < METRICS_AGE_MAX
        {
            return Ok(text.clone());
        }
        let registry = MetricsRegistry { is_running: self.pages.borrow().is_running, ..self.metrics };
        let ledger = self.ledger.clone();
        let text = blocking::run(move || registry.text(Some(&ledger), None)).await;
        let text = text.map_err(|error| error.to_string())??;
        *known = Some((now, text.clone()));
        Ok(text)
    }
}

/// Serves in a task of its own.
pub(super) fn serve(bound: BoundAddress, served: Served) -> HttpServer {
    let rules = ConnectionRules { connections_max: CONNECTIONS_MAX, request_time_max: Some(REQUEST_TIME) };
    bound.serve(Router::new().fallback(answer).with_state(Arc::new(served)), rules)
}

async fn answer(State(served): State<Arc<Served>>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    let mut response = answer_to(&served, &head).await;
    let fixed = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::CONTENT_SECURITY_POLICY, &served.policy),
    ];
    for (name, value) in fixed {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

async fn answer_to(served: &Served, head: &Parts) -> Response {
    let is_reading = matches!(head.method, Method::GET | Method::HEAD);
    let (path, query) = (head.uri.path(), head.uri.query());
    match served.access.check(is_reading, host_of(&head.headers), query) {
        // browsers ask for it by themselves, without the token
        Ok(()) | Err(Refusal::Token) if path == "/favicon.ico" => StatusCode::NO_CONTENT.into_response(),
        Err(Refusal::ForeignHost) => refused(
            StatusCode::MISDIRECTED_REQUEST,
            "This dashboard answers under the address that telecine has printed only.",
        ),
        Err(Refusal::Method) => {
            let allowed = [(header::ALLOW, "GET, HEAD")];
            (allowed, refused(StatusCode::METHOD_NOT_ALLOWED, "The dashboard only reads.")).into_response()
        }
        Err(Refusal::Token) => {
            refused(StatusCode::FORBIDDEN, "Use the address that telecine has printed: it has the token.")
        }
        Ok(()) => match path {
            "/" => {
                let page = live_page(&served.pages.borrow().parts);
                ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
            }
            "/events" => events(served, head.method == Method::HEAD),
            "/metrics" => match served.metrics().await {
                Ok(text) => ([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response(),
                Err(error) => refused(StatusCode::SERVICE_UNAVAILABLE, &error),
            },
            _ => refused(StatusCode::NOT_FOUND, "The dashboard has /, /events and /metrics."),
        },
    }
}

/// The text format that `prometheus-client` writes.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The only `Host` header.
fn host_of(headers: &HeaderMap) -> Option<&str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().filter(|_| hosts.next().is_none())?;
    host.to_str().ok()
}

fn refused(status: StatusCode, text: &str) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], format!("{text}\n")).into_response()
}

/// The stream of the parts as server-sent events.
fn events(served: &Served, is_head: bool) -> Response {
    let body = if is_head {
        Body::empty()
    } else {
        let (sender, body) = growing_body();
        tokio::spawn(send_parts(sender, served.pages.clone(), served.clock.clone()));
        body
    };
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

/// Sends each part when it has changed. While the reader does not read, only the latest page is kept for it.
async fn send_parts(sender: mpsc::Sender<Bytes>, mut pages: watch::Receiver<Arc<LivePage>>, clock: Clock) {
    let mut sent: Option<Arc<LivePage>> = None;
    loop {
        let page = Arc::clone(&pages.borrow_and_update());
        let text = events_between(sent.as_deref(), &page);
        let is_last = page.is_last;
        sent = Some(page);
        // a reader that went away ends the stream
        if !text.is_empty() && sender.send(text.into()).await.is_err() || is_last {
            return;
        }
        tokio::select! {
            biased;
            () = sender.closed() => return,
            changed = pages.changed() => if changed.is_err() { return },
            () = clock.sleep(ALIVE_INTERVAL) => if sender.send(ALIVE).await.is_err() { return },
        }
    }
}

/// A comment.
const ALIVE: Bytes = Bytes::from_static(b":\n\n");

/// The events for what has changed between two pages.
fn events_between(last: Option<&LivePage>, page: &LivePage) -> String {
    let mut text = String::new();
    if last.is_none() {
        let _ = write!(text, "retry: {RETRY_MS}\n\n");
    }
    for (at, part) in page.parts.iter().enumerate() {
        if last.is_some_and(|last| last.parts.get(at) == Some(part)) {
            continue;
        }
        let _ = writeln!(text, "event: {}", part.id);
        // each line of a value is a line of data
        for line in part.html.split(['\n', '\r']) {
            let _ = writeln!(text, "data: {line}");
        }
        text.push('\n');
    }
    if page.is_last {
        text.push_str("event: end\ndata:\n\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::LivePart;

    fn page(status: &str, run: &str, is_last: bool) -> LivePage {
        let part = |id, html: &str| LivePart { id, html: html.to_owned() };
        LivePage {
            parts: vec![part("live-status", status), part("live-run", run)],
            is_running: true,
            is_last,
        }
    }

    #[test]
    fn only_parts_that_changed_are_sent_and_no_value_breaks_an_event() {
        let first = page("a", "b\r\ndata: x\n\nevent: end", false);
        let all = events_between(None, &first);
        assert_eq!(
            all,
            "retry: 2000\n\nevent: live-status\ndata: a\n\nevent: live-run\ndata: b\ndata: \ndata: data: x\n\
             data: \ndata: event: end\n\n"
        );
        assert_eq!(events_between(Some(&first), &first), "");
        let second = page("c", "b\r\ndata: x\n\nevent: end", true);
        assert_eq!(
            events_between(Some(&first), &second),
            "event: live-status\ndata: c\n\nevent: end\ndata:\n\n"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_stalls_gets_the_latest_page_and_holds_up_nobody() {
        let (publish, pages) = watch::channel(Arc::new(page("0", "r", false)));
        let (sender, mut parts) = mpsc::channel(1);
        let sending =
            tokio::spawn(send_parts(sender, pages, Clock::of_runtime(crate::domain::UnixMillis(0))));
        for number in 1..=1_000 {
            publish.send_replace(Arc::new(page(&number.to_string(), "r", number == 1_000)));
            tokio::task::yield_now().await;
        }
        let mut received = String::new();
        let mut count = 0;
        while let Some(bytes) = parts.recv().await {
            received.push_str(std::str::from_utf8(&bytes).unwrap());
            count += 1;
        }
        sending.await.unwrap();
        assert!(received.ends_with("event: live-status\ndata: 1000\n\nevent: end\ndata:\n\n"), "{received}");
        assert!(count <= 3, "{count} messages were kept for a reader that did not read");
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_stream_says_that_it_is_there_and_ends_with_its_reader() {
        let (_publish, pages) = watch::channel(Arc::new(page("0", "r", false)));
        let (sender, mut parts) = mpsc::channel(1);
        let sending =
            tokio::spawn(send_parts(sender, pages, Clock::of_runtime(crate::domain::UnixMillis(0))));
        parts.recv().await.unwrap();
        assert_eq!(parts.recv().await.unwrap(), ALIVE);
        drop(parts);
        sending.await.unwrap();
    }
}

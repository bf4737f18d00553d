//! The mock behind HTTP, on loopback.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response as HttpResponse},
};

use tokio::task::JoinHandle;
use url::{Host, Url};

use super::{
    arrival::{Arrival, ClientView, ServiceCall},
    listings::refuse,
    mock_service::MockService,
    multipart::MultipartReader,
};
use crate::{
    api::transport::{API_PATH, HttpMethod, Response},
    http_client::Poster,
    http_server::{self, ConnectionRules, CutHere, HttpServer, next_part},
};

/// No request body is longer, in bytes.
const BODY_MAX: usize = 1024 * 1024;

/// How long the receiver of a call may take.
const CALL_TIME_MAX: Duration = Duration::from_secs(5);

/// A sandbox that listens; dropping it stops it.
pub struct SandboxServer {
    server: HttpServer,
    calling: JoinHandle<()>,
}

impl Drop for SandboxServer {
    fn drop(&mut self) {
        self.calling.abort();
    }
}

impl SandboxServer {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Serves until the process ends or the server is dropped.
    pub async fn finished(&self) {
        self.server.finished().await;
    }
}

/// Serves `mock` at `address`.
pub async fn serve(mock: Arc<MockService>, address: SocketAddr) -> std::io::Result<SandboxServer> {
    let bound = http_server::bind(address).await?;
    let poster = Poster::without_proxy(CALL_TIME_MAX).map_err(std::io::Error::other)?;
    let calling = tokio::spawn(make_calls(Arc::clone(&mock), Arc::new(poster)));
    let router = Router::new().fallback(answer).with_state(mock);
    Ok(SandboxServer { server: bound.serve(router, ConnectionRules::ANY), calling })
}

/// Makes the calls to callback URLs of this machine. A mock calls nobody else.
async fn make_calls(mock: Arc<MockService>, poster: Arc<Poster>) {
    loop {
        let ServiceCall { url, body } = mock.next_call().await;
        let Some(url) = Url::parse(&url).ok().filter(is_on_this_machine) else { continue };
        let poster = Arc::clone(&poster);
        // a receiver that does not answer delays no other call, and a call that is lost is not made again
        tokio::spawn(async move { poster.post(&url, "application/json", body).await });
    }
}

fn is_on_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

async fn answer(State(mock): State<Arc<MockService>>, request: Request) -> HttpResponse {
    let method = match *request.method() {
        Method::GET => HttpMethod::Get,
        Method::POST => HttpMethod::Post,
        _ => return StatusCode::METHOD_NOT_ALLOWED.into_response(),
    };
    let Some(endpoint) = request.uri().path().strip_prefix(API_PATH).map(str::to_owned) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let key = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let key = key.to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if endpoint == "upload"
        && let Some(reader) = content_type.and_then(MultipartReader::of_content_type)
    {
        let arrival = Arrival { key, method, endpoint, query, body: String::new(), file: None };
        return seen(file_arrived(&mock, arrival, reader, request.into_body()).await).await;
    }
    let Ok(body) = axum::body::to_bytes(request.into_body(), BODY_MAX).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let body = String::from_utf8_lossy(&body).into_owned();
    seen(mock.answer(Arrival { key, method, endpoint, query, body, file: None }).await).await
}

/// Reads the body of a request with a file, and answers it when it is whole.
async fn file_arrived(
    mock: &MockService,
    arrival: Arrival,
    mut reader: MultipartReader,
    mut body: Body,
) -> ClientView {
    let cut_at = mock.begin_file();
    while let Some(part) = next_part(&mut body).await {
        // a client that is gone has sent no whole request
        let Ok(part) = part else { return ClientView::Cut };
        if let Err(message) = reader.push(&part) {
            return refuse("0001", &message);
        }
        if cut_at.is_some_and(|cut_at| reader.read() >= cut_at) {
            return ClientView::Cut;
        }
    }
    mock.answer_file(arrival, reader).await
}

async fn seen(view: ClientView) -> HttpResponse {
    match view {
        ClientView::Answer(reply) => response_of(reply),
        ClientView::Cut => (axum::Extension(CutHere), ()).into_response(),
        ClientView::Silence => std::future::pending().await,
    }
}

fn response_of(reply: Response) -> HttpResponse {
    let is_json = reply.body.first() == Some(&b'{');
    let kind = if is_json { "application/json" } else { "text/html" };
    let mut response = Bytes::from(reply.body).into_response();
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let headers = [
        (header::LOCATION, reply.location),
        (header::RETRY_AFTER, reply.retry_after),
        (header::DATE, reply.date),
    ];
    for (name, text) in headers {
        if let Some(value) = text.and_then(|text| HeaderValue::from_str(&text).ok()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

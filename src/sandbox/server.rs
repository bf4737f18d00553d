//! The mock behind HTTP, on loopback.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response as HttpResponse},
};

use super::{
    arrival::{Arrival, ClientView},
    listings::refuse,
    mock_service::MockService,
    multipart::MultipartReader,
};
use crate::{
    api::transport::{API_PATH, HttpMethod, Response},
    http_server::{self, ConnectionRules, CutHere, HttpServer, next_part},
};

/// No request body is longer, in bytes.
const BODY_MAX: usize = 1024 * 1024;

/// A sandbox that listens; dropping it stops it.
pub struct SandboxServer(HttpServer);

impl SandboxServer {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Serves until the process ends or the server is dropped.
    pub async fn finished(self) {
        self.0.finished().await;
    }
}

/// Serves `mock` at `address`.
pub async fn serve(mock: Arc<MockService>, address: SocketAddr) -> std::io::Result<SandboxServer> {
    let router = Router::new().fallback(answer).with_state(mock);
    let bound = http_server::bind(address).await?;
    Ok(SandboxServer(bound.serve(router, ConnectionRules::ANY)))
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

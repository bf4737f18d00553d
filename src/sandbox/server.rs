//! The mock behind HTTP, on loopback.
//!
//! axum routes; hyper serves each connection directly, so that a cut line is really cut.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response as HttpResponse},
};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::JoinHandle};
use tower::ServiceExt;

use super::{
    arrival::{Arrival, ClientView},
    mock_service::MockService,
};
use crate::api::transport::{API_PATH, HttpMethod, Response};

/// No request body is longer, in bytes.
const BODY_MAX: usize = 1024 * 1024;

/// A sandbox that listens; dropping it stops it.
pub struct SandboxServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl SandboxServer {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the process ends or the server is dropped.
    pub async fn finished(mut self) {
        // only dropping ends it
        let _ = (&mut self.task).await;
    }
}

impl Drop for SandboxServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Marks a response that is replaced by cutting the connection.
#[derive(Clone, Copy)]
struct CutHere;

/// Serves `mock` at `address`.
pub async fn serve(mock: Arc<MockService>, address: SocketAddr) -> std::io::Result<SandboxServer> {
    let sink = TcpListener::bind(address).await?;
    let address = sink.local_addr()?;
    let router = Router::new().fallback(answer).with_state(mock);
    let task = tokio::spawn(async move {
        loop {
            // out of descriptors, say: the next connection may succeed
            let Ok((stream, _)) = sink.accept().await else { continue };
            let _ = stream.set_nodelay(true);
            tokio::spawn(serve_connection(TokioIo::new(stream), router.clone()));
        }
    });
    Ok(SandboxServer { address, task })
}

async fn serve_connection(stream: TokioIo<tokio::net::TcpStream>, router: Router) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let router = router.clone();
        async move {
            let response = router
                .oneshot(request.map(Body::new))
                .await
                .unwrap_or_else(|never: Infallible| match never {});
            if response.extensions().get::<CutHere>().is_some() {
                return Err(std::io::Error::other("the line is cut"));
            }
            Ok(response)
        }
    });
    // a client that disconnects ends the connection; there is nothing to report
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await;
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
    let Ok(body) = axum::body::to_bytes(request.into_body(), BODY_MAX).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let body = String::from_utf8_lossy(&body).into_owned();
    match mock.answer(Arrival { key, method, endpoint, query, body }).await {
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

//! The receiver over HTTP. The order of its checks is that of their cost: a request without a token costs no read and no write.

use std::time::Duration;

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
};

use super::intakes::Intakes;
use crate::{
    clock::Clock,
    http_server::{BoundAddress, ConnectionRules, HttpServer},
    pipeline::{CallError, CallIntake, CallRefusal},
};

/// Connections at the same time. More are closed at once.
const CONNECTIONS_MAX: u32 = 64;
/// The time for the head of a request to arrive, and the same again for its body.
const REQUEST_TIME: Duration = Duration::from_secs(5);
/// The longest body that is read, in bytes. One has about a hundred.
const BODY_MAX: usize = 4 * 1024;

/// Serves in a task of its own.
pub(super) fn serve(bound: BoundAddress, intakes: Intakes) -> HttpServer {
    let rules = ConnectionRules { connections_max: CONNECTIONS_MAX, request_time_max: Some(REQUEST_TIME) };
    bound.serve(Router::new().fallback(answer).with_state(intakes), rules)
}

async fn answer(State(intakes): State<Intakes>, request: Request) -> (HeaderMap, StatusCode) {
    let mut headers = HeaderMap::new();
    // a proxy may add or remove what is before the last part
    let part = request.uri().path().rsplit('/').next().unwrap_or_default();
    let Some(intake) = intakes.of(part) else { return (headers, StatusCode::NOT_FOUND) };
    if request.method() != Method::POST {
        intake.refused();
        headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
        return (headers, StatusCode::METHOD_NOT_ALLOWED);
    }
    (headers, take(&intake, request).await)
}

async fn take(intake: &CallIntake, request: Request) -> StatusCode {
    let part = request.uri().path().rsplit('/').next().unwrap_or_default();
    let attempt = match intake.admit(part) {
        Ok(attempt) => attempt,
        Err(refusal) => return status_of(refusal),
    };
    let clock = Clock::real();
    let body = tokio::select! {
        biased;
        body = axum::body::to_bytes(request.into_body(), BODY_MAX) => body.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE),
        () = clock.sleep(REQUEST_TIME) => Err(StatusCode::REQUEST_TIMEOUT),
    };
    let body = match body {
        Ok(body) => body,
        Err(status) => {
            intake.refused();
            return status;
        }
    };
    match intake.take(attempt, &body).await {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(CallError::Refused(refusal)) => status_of(refusal),
        // the run ends with the same error, or has ended
        Err(CallError::Ledger(_)) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

const fn status_of(refusal: CallRefusal) -> StatusCode {
    match refusal {
        CallRefusal::Token => StatusCode::NOT_FOUND,
        CallRefusal::TooMany => StatusCode::TOO_MANY_REQUESTS,
        CallRefusal::Body => StatusCode::BAD_REQUEST,
    }
}

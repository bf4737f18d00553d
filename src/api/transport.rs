//! How a request travels: one trait, carried by HTTP or by the sandbox in the same process.

use std::future::Future;

use super::streamed_body::StreamedBody;
use crate::domain::StopReason;

/// The documented path of the service's API below its origin.
pub const API_PATH: &str = "/serve/api/v1/";

/// One request, ready for the wire but for the API key, which the transport adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: HttpMethod,
    /// What, below [`API_PATH`]: `upload_url`, `list_videos`, `get_metadata`.
    pub endpoint: &'static str,
    /// The encoded query, without `?`.
    pub query: String,
    pub content: Content,
    pub body: String,
    /// The longest answer to read, in bytes.
    pub answer_max: usize,
}

/// An HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpMethod {
    Get,
    Post,
}

/// What a body is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Empty,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `application/json`.
    Json,
    /// `multipart/form-data`; the boundary between its parts.
    Multipart(String),
}

/// An answer that arrived whole.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Response {
    pub status: u16,
    pub retry_after: Option<String>,
    /// `RateLimit-Reset` or `X-RateLimit-Reset`, where no request is left: seconds, or a time. No document of the service names it;
    /// gateways in front of services send it.
    pub limit_reset: Option<String>,
    pub date: Option<String>,
    pub location: Option<String>,
    pub body: Vec<u8>,
}

/// Why there is no whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransportError {
    /// No byte of the request left this machine.
    NotSent(String),
    /// The same, and none will until the operator acts.
    Unusable { reason: StopReason, cause: String },
    /// It may have arrived.
    NoAnswer(String),
}

/// Carries one request and brings the answer. Never repeats it, never follows a redirect.
pub trait Transport: Send + Sync + 'static {
    /// Sends the request once and waits for the whole answer, within the transport's own time limit.
    fn exchange(&self, request: Request) -> impl Future<Output = Result<Response, TransportError>> + Send;

    /// The same for a request whose body is made while it is sent, instead of [`Request::body`]. It may take any time while bytes move:
    /// the time limit is for the time without any, and for the answer behind the last one.
    fn send_file(
        &self,
        request: Request,
        body: StreamedBody,
    ) -> impl Future<Output = Result<Response, TransportError>> + Send;
}

//! One request to a video host, and its answer.

use std::future::Future;

use url::Url;

/// A request to a video host.
#[derive(Clone, Debug)]
pub struct FetchRequest {
    /// How.
    pub method: Method,
    /// For what; http or https.
    pub url: Url,
    /// The first byte and the number of bytes. `None`: the whole file.
    pub range: Option<(u64, u64)>,
    /// The largest number of bytes read of the answer.
    pub body_max: usize,
}

/// The method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Requests the head of the answer only.
    Head,
    /// Requests the bytes.
    Get,
}

/// What a host answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchResponse {
    /// The HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Content-Length`.
    pub content_length: Option<u64>,
    /// `Content-Range`.
    pub content_range: Option<String>,
    /// `Content-Encoding`.
    pub content_encoding: Option<String>,
    /// `Location`.
    pub location: Option<String>,
    /// `Retry-After`.
    pub retry_after: Option<String>,
    /// The first bytes of the body, as many as were wanted or came in time.
    pub body: Vec<u8>,
    /// Whether the body ended with them.
    pub is_whole: bool,
}

impl FetchResponse {
    /// The offset of the body in the file, and the size of the file, from `Content-Range`.
    pub(super) fn range(&self) -> Option<(u64, Option<u64>)> {
        let (range, total) = self.content_range.as_deref()?.trim().strip_prefix("bytes")?.split_once('/')?;
        let total = total.trim().parse().ok();
        let first = range.trim().split('-').next()?.trim();
        // `*`: the requested range does not exist
        if first == "*" { Some((0, total)) } else { Some((first.parse().ok()?, total)) }
    }

    /// The size of the file. `None`: the answer does not say.
    pub(super) fn total(&self) -> Option<u64> {
        match self.status {
            206 | 416 => self.range().and_then(|(_, total)| total),
            _ => self.content_length.or_else(|| self.is_whole.then_some(self.body.len() as u64)),
        }
    }
}

/// Why a host gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// Its name resolves to an address that must not be requested.
    Private,
    /// It cannot be reached.
    Unreachable(String),
    /// It was reached, and did not answer.
    NoAnswer(String),
}

/// The network that probes use.
pub trait Fetcher: Send + Sync + 'static {
    /// Sends one request. It follows no redirect and retries nothing.
    fn exchange(&self, ask: FetchRequest) -> impl Future<Output = Result<FetchResponse, FetchError>> + Send;
}

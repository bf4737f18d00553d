//! Requests to storages for their listings.

use std::time::Duration;

use reqwest::{
    Client,
    header::{HeaderName, RETRY_AFTER},
};

use crate::http_client::{self, chain, header};

/// To reach a host.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// For a whole page.
const EXCHANGE_MAX: Duration = Duration::from_mins(1);
/// The longest answer, in bytes: a page of 5,000 of the longest keys, each of them encoded, with room.
const BODY_MAX: usize = 64 * 1024 * 1024;

/// The answer to a request.
pub(super) struct Answer {
    pub(super) status: u16,
    /// Where the bucket is, as S3 tells it.
    pub(super) region: Option<String>,
    /// The code of an error, as Azure tells it.
    pub(super) code: Option<String>,
    pub(super) retry_after: Option<String>,
    pub(super) body: Vec<u8>,
}

/// Why there is no answer.
pub(super) enum NoAnswer {
    /// It may come another time.
    Lost(String),
    /// It is longer than any page.
    TooLong,
}

/// The HTTP client for storages.
pub(super) struct StorageClient(Client);

impl StorageClient {
    pub(super) fn new() -> Result<Self, String> {
        let finish = |builder: reqwest::ClientBuilder| {
            builder.connect_timeout(CONNECT_MAX).timeout(EXCHANGE_MAX).referer(false)
        };
        http_client::build(finish).map(Self)
    }

    /// Sends a signed request, once. No error names its address.
    pub(super) async fn get(&self, link: &str) -> Result<Answer, NoAnswer> {
        let lost = |error: reqwest::Error| NoAnswer::Lost(chain(&error.without_url()));
        let mut response = self.0.get(link).send().await.map_err(lost)?;
        let text = |name: &HeaderName| header(response.headers(), name);
        let mut answer = Answer {
            status: response.status().as_u16(),
            region: text(&HeaderName::from_static("x-amz-bucket-region")),
            code: text(&HeaderName::from_static("x-ms-error-code")),
            retry_after: text(&RETRY_AFTER),
            body: Vec::new(),
        };
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if answer.body.len() + chunk.len() > BODY_MAX {
                return Err(NoAnswer::TooLong);
            }
            answer.body.extend_from_slice(&chunk);
        }
        Ok(answer)
    }
}

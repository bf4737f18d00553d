//! Requests to storages for their listings and their objects.

use std::time::Duration;

use reqwest::{
    Client,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, ETAG, HeaderName, IF_MATCH, RANGE, RETRY_AFTER},
};

use crate::http_client::{self, chain, header};

/// To reach a host.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// For a whole page.
const EXCHANGE_MAX: Duration = Duration::from_mins(1);
/// The longest time without a byte of an object.
const SILENCE_MAX: Duration = Duration::from_secs(30);
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
            builder.connect_timeout(CONNECT_MAX).read_timeout(SILENCE_MAX).referer(false)
        };
        http_client::build(finish).map(Self)
    }

    /// Sends a signed request, once. No error names its address.
    pub(super) async fn get(&self, link: &str) -> Result<Answer, NoAnswer> {
        let response = self.0.get(link).timeout(EXCHANGE_MAX).send().await.map_err(lost)?;
        answer_of(response).await
    }

    /// Asks for an object from a byte on, with a signed request, once. With an ETag, only if it still has that one.
    pub(super) async fn read(
        &self,
        link: &str,
        from: u64,
        etag: Option<&str>,
    ) -> Result<ReadAnswer, NoAnswer> {
        let mut call = self.0.get(link).header(ACCEPT_ENCODING, "identity");
        if from > 0 {
            call = call.header(RANGE, format!("bytes={from}-"));
        }
        if let Some(etag) = etag {
            call = call.header(IF_MATCH, etag);
        }
        let response = call.send().await.map_err(lost)?;
        if response.status().as_u16() != if from > 0 { 206 } else { 200 } {
            return answer_of(response).await.map(ReadAnswer::Other);
        }
        let text = |name: &HeaderName| header(response.headers(), name);
        Ok(ReadAnswer::Object(ObjectBody {
            length: response.content_length(),
            etag: text(&ETAG),
            encoding: text(&CONTENT_ENCODING),
            response,
        }))
    }
}

/// The answer to the question for an object.
pub(super) enum ReadAnswer {
    Object(ObjectBody),
    /// It is not given.
    Other(Answer),
}

/// An object, or the rest of one, that arrives.
pub(super) struct ObjectBody {
    /// Bytes of this answer.
    pub(super) length: Option<u64>,
    /// With its quotes.
    pub(super) etag: Option<String>,
    pub(super) encoding: Option<String>,
    response: reqwest::Response,
}

impl ObjectBody {
    /// The next bytes. `None`: the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        let chunk = self.response.chunk().await.map_err(|error| chain(&error.without_url()))?;
        Ok(chunk.map(|chunk| chunk.to_vec()))
    }
}

fn lost(error: reqwest::Error) -> NoAnswer {
    NoAnswer::Lost(chain(&error.without_url()))
}

async fn answer_of(mut response: reqwest::Response) -> Result<Answer, NoAnswer> {
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

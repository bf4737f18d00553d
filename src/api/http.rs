//! HTTP: the only place that knows reqwest.
//!
//! One request is one request: no redirects, no retries, no HTTP/2, and idle connections are reused only while young,
//! so that a server closing an idle one does not leave a request in doubt.

use std::time::Duration;

use reqwest::{
    Client,
    header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER},
};
use secrecy::{ExposeSecret, SecretString};

use super::{
    connection_error::{self, NoConnection},
    streamed_body::{BodyProgress, StreamedBody},
    transport::{API_PATH, Content, HttpMethod, Request, Response, Transport, TransportError},
};
use crate::http_client::{self, chain, header, header_list};

/// A connection that was idle for longer is not used again: servers close idle connections after 1 s and more, and a request
/// on a connection that is just being closed has no clear answer. The rest of the second is for the way to the server.
const IDLE_MAX: Duration = Duration::from_millis(500);
/// To reach the host; nothing has been sent before that.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// For a whole request, unless the user says otherwise: the service fetches the source before it answers, clients in the wild
/// wait 60 to 300 s.
pub const EXCHANGE_MAX: Duration = Duration::from_mins(2);

/// A request with a file has no other limit than that on the time without progress.
const FILE_EXCHANGE_MAX: Duration = Duration::from_hours(24 * 365);
/// The kernel gives up a connection that takes no bytes this much later than we do, and does not say why.
const KERNEL_LATER: Duration = Duration::from_secs(5);
/// How often to look whether a file makes progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

/// The service over HTTP(S).
pub struct HttpTransport {
    client: Client,
    exchange_max: Duration,
    base: String,
    /// The host, for messages.
    host: String,
    authorization: HeaderValue,
    key: SecretString,
}

/// Why no HTTP client could be made.
#[derive(Debug, thiserror::Error)]
pub enum HttpSetupError {
    /// The key holds characters no header can carry.
    #[error("the API key contains characters that cannot be sent; check for a line break or a quote in it")]
    Key,
    /// TLS or the system's proxy settings are unusable.
    #[error("the HTTP client cannot be set up: {0}")]
    Client(String),
}

impl HttpTransport {
    /// A client for `origin` (scheme, host and port), which sends `key` as it is in `Authorization`.
    ///
    /// Plain http is refused by the caller for anything but loopback; https is enforced here for the rest.
    pub fn new(origin: &url::Url, key: &SecretString) -> Result<Self, HttpSetupError> {
        Self::patient(origin, key, EXCHANGE_MAX)
    }

    /// The same, with so much patience for a whole request.
    pub fn patient(
        origin: &url::Url,
        key: &SecretString,
        exchange_max: Duration,
    ) -> Result<Self, HttpSetupError> {
        let mut authorization =
            HeaderValue::from_str(key.expose_secret()).map_err(|_| HttpSetupError::Key)?;
        authorization.set_sensitive(true);
        let base = format!("{}{API_PATH}", origin.as_str().trim_end_matches('/'));
        let host = crate::redact::clean(origin.host_str().unwrap_or_default());
        Ok(Self {
            client: client(origin, exchange_max)?,
            exchange_max,
            base,
            host,
            authorization,
            key: key.clone(),
        })
    }
}

fn client(origin: &url::Url, exchange_max: Duration) -> Result<Client, HttpSetupError> {
    let is_plain = origin.scheme() == "http";
    http_client::build(|builder| {
        let builder = builder
            .redirect(redirect_policy())
            .retry(retry_policy())
            .pool_idle_timeout(IDLE_MAX)
            .connect_timeout(CONNECT_MAX)
            .timeout(exchange_max)
            .tcp_user_timeout(exchange_max + KERNEL_LATER);
        if is_plain { builder.no_proxy().tls_certs_only([]) } else { builder.https_only(true) }
    })
    .map_err(HttpSetupError::Client)
}

/// No redirect is followed: it is an answer, and the key is sent nowhere else.
fn redirect_policy() -> reqwest::redirect::Policy {
    fail::fail_point!("redirects_followed", |_| reqwest::redirect::Policy::limited(10));
    reqwest::redirect::Policy::none()
}

/// No request is repeated: a second one could be paid twice.
fn retry_policy() -> reqwest::retry::Builder {
    fail::fail_point!("client_retries", |_| {
        // the servers of the reliability suite
        reqwest::retry::for_host("127.0.0.1".to_owned())
            .no_budget()
            .max_retries_per_request(1)
            .classify_fn(|tried| if tried.error().is_some() { tried.retryable() } else { tried.success() })
    });
    reqwest::retry::never()
}

impl HttpTransport {
    /// The request but for its body.
    fn call(&self, request: &Request) -> reqwest::RequestBuilder {
        let mut address = format!("{}{}", self.base, request.endpoint);
        if !request.query.is_empty() {
            address.push('?');
            address.push_str(&request.query);
        }
        let method = match request.method {
            HttpMethod::Get => reqwest::Method::GET,
            HttpMethod::Post => reqwest::Method::POST,
        };
        let call = self.client.request(method, address).header(AUTHORIZATION, self.authorization.clone());
        match &request.content {
            Content::Empty => call,
            Content::Form => call.header(CONTENT_TYPE, "application/x-www-form-urlencoded"),
            Content::Json => call.header(CONTENT_TYPE, "application/json"),
            Content::Multipart(boundary) => {
                call.header(CONTENT_TYPE, format!("multipart/form-data; boundary={boundary}"))
            }
        }
    }

    /// Sends a request, and reads its answer.
    async fn answer(
        &self,
        call: reqwest::RequestBuilder,
        answer_max: usize,
    ) -> Result<Response, TransportError> {
        let mut response = call.send().await.map_err(|error| loss(&error, &self.host))?;
        let mut reply = Response {
            status: response.status().as_u16(),
            retry_after: header_list(response.headers(), &RETRY_AFTER),
            limit_reset: limit_reset(response.headers()),
            date: header(response.headers(), &DATE),
            location: header(response.headers(), &LOCATION).map(|location| {
                let mut bytes = location.into_bytes();
                redact_key(&mut bytes, self.key.expose_secret());
                String::from_utf8_lossy(&bytes).into_owned()
            }),
            body: Vec::new(),
        };
        while let Some(chunk) =
            response.chunk().await.map_err(|error| TransportError::NoAnswer(chain(&error)))?
        {
            if reply.body.len() + chunk.len() > answer_max {
                return Err(TransportError::NoAnswer(format!(
                    "the answer is longer than {answer_max} bytes"
                )));
            }
            reply.body.extend_from_slice(&chunk);
        }
        redact_key(&mut reply.body, self.key.expose_secret());
        Ok(reply)
    }
}

impl Transport for HttpTransport {
    async fn exchange(&self, request: Request) -> Result<Response, TransportError> {
        let call = self.call(&request);
        let call = if request.content == Content::Empty { call } else { call.body(request.body) };
        self.answer(call, request.answer_max).await
    }

    async fn send_file(&self, request: Request, body: StreamedBody) -> Result<Response, TransportError> {
        let (length, progress) = (body.length(), body.progress());
        let call = self.call(&request).timeout(FILE_EXCHANGE_MAX).body(reqwest::Body::wrap(body));
        tokio::select! {
            biased;
            answer = self.answer(call, request.answer_max) => answer,
            () = stalled(&progress, self.exchange_max) => {
                let (sent, seconds) = (progress.bytes(), self.exchange_max.as_secs());
                Err(TransportError::NoAnswer(if sent < length {
                    format!("no byte was taken for {seconds} s, after {sent} of {length}")
                } else {
                    format!("no answer within {seconds} s of the last byte")
                }))
            }
        }
    }
}

/// How the headers of a limit begin, which end with `-remaining` and `-reset`.
const LIMIT_HEADERS: [&str; 3] = ["ratelimit", "x-ratelimit", "x-rate-limit"];

/// When the limit that has no request left is reset. One that has some left is not the limit that refuses.
fn limit_reset(headers: &HeaderMap) -> Option<String> {
    let field = |name: String| header(headers, &HeaderName::try_from(name).ok()?);
    let mut limits: Vec<(Option<String>, Option<String>)> = LIMIT_HEADERS
        .iter()
        .map(|limit| (field(format!("{limit}-remaining")), field(format!("{limit}-reset"))))
        .collect();
    // the later drafts have one header: `limit=5, remaining=0, reset=7` or `"name";r=0;t=7`
    let together = header(headers, &HeaderName::from_static("ratelimit")).unwrap_or_default();
    let part = |names: [&str; 2]| {
        let mut parts = together.split([',', ';']).filter_map(|part| part.trim().split_once('='));
        parts.find(|(name, _)| names.contains(name)).map(|(_, value)| value.to_owned())
    };
    limits.push((part(["remaining", "r"]), part(["reset", "t"])));
    let is_used_up = |left: &Option<String>| left.as_ref().is_none_or(|left| left.trim() == "0");
    limits.into_iter().filter(|(left, _)| is_used_up(left)).find_map(|(_, reset)| reset)
}

/// Waits until a body has made no progress for so long.
#[expect(
    clippy::disallowed_methods,
    reason = "the network takes real time, whatever the clock of a run says"
)]
async fn stalled(progress: &BodyProgress, time_max: Duration) {
    let mut last = (progress.bytes(), tokio::time::Instant::now());
    while last.1.elapsed() < time_max {
        tokio::time::sleep(PROGRESS_INTERVAL).await;
        if progress.bytes() != last.0 {
            last = (progress.bytes(), tokio::time::Instant::now());
        }
    }
}

/// A shorter key, in bytes, is one for a sandbox: it may be a word of every answer, such as `data` or `false`, and masking it would
/// make the answer unreadable.
const KEY_MASKED_MIN: usize = 8;

/// A server that repeats the request in its answer must not carry the key into messages and reports. The name of a host shows it
/// in lower case.
fn redact_key(text: &mut [u8], key: &str) {
    if key.len() < KEY_MASKED_MIN {
        return;
    }
    let key = key.to_ascii_lowercase();
    let lower = text.to_ascii_lowercase();
    for at in memchr::memmem::find_iter(&lower, &key) {
        text[at..at + key.len()].fill(b'*');
    }
}

/// Whether a failed request may have arrived: not if the connection was never made.
fn loss(error: &reqwest::Error, host: &str) -> TransportError {
    if error.is_builder() {
        return TransportError::NotSent(chain(error));
    }
    if !error.is_connect() {
        return TransportError::NoAnswer(chain(error));
    }
    match connection_error::explain(error, host) {
        NoConnection { cause, reason: Some(reason) } => TransportError::Unusable { reason, cause },
        NoConnection { cause, reason: None } => TransportError::NotSent(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_masked_whatever_its_case_and_a_word_of_every_answer_is_not() {
        let masked = |key: &str| {
            let mut text = br#"{"data":"key SK-mavi-Abc1"}"#.to_vec();
            redact_key(&mut text, key);
            String::from_utf8(text).unwrap()
        };
        assert_eq!(masked("sk-mavi-abc1"), r#"{"data":"key ************"}"#);
        assert_eq!(masked("data"), r#"{"data":"key SK-mavi-Abc1"}"#);
    }

    #[test]
    fn the_reset_of_a_limit_counts_where_no_request_is_left() {
        let reset = |fields: &[(&'static str, &'static str)]| {
            let fields = fields
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            limit_reset(&fields.collect())
        };
        assert_eq!(
            reset(&[("x-ratelimit-reset", "30"), ("x-ratelimit-remaining", "0")]).as_deref(),
            Some("30")
        );
        assert_eq!(reset(&[("ratelimit-reset", "5")]).as_deref(), Some("5"));
        assert_eq!(reset(&[("x-ratelimit-reset", "86400"), ("x-ratelimit-remaining", "12")]), None);
        let two =
            [("x-ratelimit-reset", "86400"), ("x-ratelimit-remaining", "12"), ("x-rate-limit-reset", "7")];
        assert_eq!(reset(&two).as_deref(), Some("7"));
        assert_eq!(reset(&[("ratelimit", "limit=5, remaining=0, reset=7")]).as_deref(), Some("7"));
        assert_eq!(reset(&[("ratelimit", "\"default\";r=0;t=30")]).as_deref(), Some("30"));
        assert_eq!(reset(&[("ratelimit", "limit=5, remaining=3, reset=7")]), None);
    }
}

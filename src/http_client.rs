//! What the HTTP clients of `api`, `probe`, `app` and `sandbox` share: a request is sent once, and errors do not contain the address.

use std::time::Duration;

use reqwest::{
    Client, ClientBuilder,
    header::{CONTENT_TYPE, HeaderMap, HeaderName},
};
use url::Url;

/// How telecine names itself to servers.
const USER_AGENT: &str = concat!("telecine/", env!("CARGO_PKG_VERSION"));

/// Builds a client that follows no redirect, retries nothing and speaks HTTP/1.1, with what `finish` adds. On a machine
/// without a store of certificate authorities it brings its own.
pub(crate) fn build(finish: impl Fn(ClientBuilder) -> ClientBuilder) -> Result<Client, String> {
    // a second installation is refused; the first one is the same
    let _ = rustls::crypto::ring::default_provider().install_default();
    let common = || {
        let builder = Client::builder()
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .tcp_nodelay(true)
            .user_agent(USER_AGENT);
        finish(builder)
    };
    common().build().or_else(|_| common().tls_certs_only(own_roots()).build()).map_err(|error| chain(&error))
}

fn own_roots() -> Vec<reqwest::Certificate> {
    webpki_root_certs::TLS_SERVER_ROOT_CERTS
        .iter()
        .filter_map(|certificate| reqwest::Certificate::from_der(certificate).ok())
        .collect()
}

/// Sends single POSTs, each with a time limit. Its errors do not contain the address, which may hold a secret.
pub(crate) struct Poster(Client);

impl Poster {
    /// Each POST may take as long as `time_max`.
    pub(crate) fn new(time_max: Duration) -> Result<Self, String> {
        build(|builder| builder.connect_timeout(time_max).timeout(time_max)).map(Self)
    }

    /// The same without a proxy: for receivers on this machine.
    pub(crate) fn without_proxy(time_max: Duration) -> Result<Self, String> {
        build(|builder| builder.connect_timeout(time_max).timeout(time_max).no_proxy()).map(Self)
    }

    /// Whether the receiver took it.
    pub(crate) async fn post(
        &self,
        url: &Url,
        content_type: &'static str,
        body: String,
    ) -> Result<(), String> {
        let request = self.0.post(url.clone()).header(CONTENT_TYPE, content_type).body(body);
        let answer = request.send().await.map_err(|error| chain(&error))?;
        if answer.status().is_success() { Ok(()) } else { Err(format!("the answer was {}", answer.status())) }
    }
}

/// The text of a header, where it is text.
pub(crate) fn header(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// The texts of every line of a header, as one list.
pub(crate) fn header_list(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let texts: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

/// The error and its causes in one line, without the address.
pub(crate) fn chain(error: &reqwest::Error) -> String {
    use std::error::Error as _;
    let mut text = if error.is_timeout() { "no answer in time".to_owned() } else { String::new() };
    let mut source = error.source();
    while let Some(cause) = source {
        let words = plain(&cause.to_string());
        if !text.contains(&words) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&words);
        }
        source = cause.source();
    }
    if text.is_empty() { "the request failed".to_owned() } else { crate::redact::clean(&text) }
}

/// What libraries and the system say of a connection that ended, and the plain words for it.
const PLAIN_WORDS: &[(&str, &str)] = &[
    ("connection closed before message completed", "the connection was closed before the answer came"),
    ("end of file before message length reached", "the connection was closed within the answer"),
    ("error reading a body from connection", "the answer broke off"),
    ("connection error", "the connection broke"),
    ("Connection refused", "nothing accepts connections at its address"),
    ("Connection reset by peer", "the other end broke the connection"),
    ("Broken pipe", "the other end closed the connection while the request was sent"),
    ("Connection timed out", "the other end did not answer in time"),
    ("Network is unreachable", "this machine has no way to its network"),
    ("No route to host", "this machine has no way to it"),
    ("operation timed out", "no answer in time"),
    // they only say in which layer the cause was found
    ("tcp connect error", ""),
];

/// A cause in plain words. Empty: it says nothing to an operator.
pub(crate) fn plain(words: &str) -> String {
    if words.starts_with("client error (") {
        return String::new();
    }
    let words = words.split(" (os error ").next().unwrap_or_default();
    let known = PLAIN_WORDS.iter().find(|(known, _)| *known == words);
    known.map_or(words, |(_, plain)| plain).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_libraries_are_put_plainly() {
        for (words, shown) in [
            ("client error (SendRequest)", ""),
            ("Connection refused (os error 111)", "nothing accepts connections at its address"),
            (
                "connection closed before message completed",
                "the connection was closed before the answer came",
            ),
            ("something else", "something else"),
        ] {
            assert_eq!(plain(words), shown, "{words}");
        }
    }
}

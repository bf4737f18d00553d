//! A request as the mock receives it, what its client sees, and a call that the mock makes.

use super::multipart::ArrivedFile;
use crate::{
    api::transport::{HttpMethod, Response},
    domain::UnixMillis,
};

/// A request as it arrives.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The value of `Authorization`; empty when there is none.
    pub key: String,
    pub method: HttpMethod,
    /// The path below the API path.
    pub endpoint: String,
    /// The encoded query.
    pub query: String,
    /// Of `upload`: its fields, as a form.
    pub body: String,
    /// Of `upload`: the file.
    pub file: Option<ArrivedFile>,
}

/// One call: a POST of JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceCall {
    /// The callback URL.
    pub url: String,
    /// The JSON body.
    pub body: String,
}

/// What the client sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ClientView {
    Answer(Response),
    Cut,
    Silence,
}

impl ClientView {
    /// The same with a `Date` header.
    pub(super) fn dated(self, at: UnixMillis) -> Self {
        let Self::Answer(reply) = self else { return self };
        let timestamp = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
        let date = timestamp.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        Self::Answer(Response { date: Some(date), ..reply })
    }
}

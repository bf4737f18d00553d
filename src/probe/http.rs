//! Requests to video hosts over HTTP(S), without the API key.

use std::{error::Error, fmt, net::SocketAddr, sync::Arc, time::Duration};

use reqwest::{
    Client,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{
        ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE,
        RETRY_AFTER,
    },
};

use super::fetcher::{FetchError, FetchRequest, FetchResponse, Fetcher, Method};
use crate::{
    domain::{Reach, is_public},
    http_client::{self, chain, header},
};

/// To reach a host.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// For a whole answer; the part of a body that arrived until then counts.
const EXCHANGE_MAX: Duration = Duration::from_secs(30);
/// How long an idle connection is kept: a host often gets the next request at once.
const IDLE_MAX: Duration = Duration::from_secs(5);

/// The HTTP client for video hosts.
pub struct HttpFetcher(Client);

impl HttpFetcher {
    /// A client that requests only addresses within `reach`. Behind a proxy the address is not visible, so the system's proxy is
    /// used only where private hosts are allowed, too.
    ///
    /// # Errors
    ///
    /// TLS or the system's proxy settings are unusable; the text says which.
    pub fn new(reach: Reach) -> Result<Self, String> {
        http_client::build(|builder| {
            let builder = builder
                .connect_timeout(CONNECT_MAX)
                .timeout(EXCHANGE_MAX)
                .pool_idle_timeout(IDLE_MAX)
                .referer(false);
            match reach {
                Reach::Public => builder.no_proxy().dns_resolver(Arc::new(PublicNames)),
                Reach::Private => builder,
            }
        })
        .map(Self)
    }
}

impl Fetcher for HttpFetcher {
    async fn exchange(&self, ask: FetchRequest) -> Result<FetchResponse, FetchError> {
        let method = match ask.method {
            Method::Head => reqwest::Method::HEAD,
            Method::Get => reqwest::Method::GET,
        };
        // a compressed body could not be parsed
        let mut call = self.0.request(method, ask.url).header(ACCEPT_ENCODING, "identity");
        if let Some((first, length)) = ask.range {
            let last = first.saturating_add(length.saturating_sub(1));
            call = call.header(RANGE, format!("bytes={first}-{last}"));
        }
        let mut response = call.send().await.map_err(|error| miss(&error))?;
        let text = |name| header(response.headers(), name);
        let mut got = FetchResponse {
            status: response.status().as_u16(),
            content_type: text(&CONTENT_TYPE),
            content_length: text(&CONTENT_LENGTH).and_then(|length| length.trim().parse().ok()),
            content_range: text(&CONTENT_RANGE),
            content_encoding: text(&CONTENT_ENCODING),
            location: text(&LOCATION),
            retry_after: text(&RETRY_AFTER),
            body: Vec::new(),
            is_whole: false,
        };
        while ask.method == Method::Get && got.body.len() < ask.body_max {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    let room = ask.body_max - got.body.len();
                    got.body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                }
                Ok(None) => {
                    got.is_whole = true;
                    break;
                }
                Err(error) if got.body.is_empty() => return Err(miss(&error)),
                Err(_) => break,
            }
        }
        Ok(got)
    }
}

fn miss(error: &reqwest::Error) -> FetchError {
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.is::<PrivateName>() {
            return FetchError::Private;
        }
        source = cause.source();
    }
    let cause = chain(error);
    if error.is_connect() || error.is_builder() {
        FetchError::Unreachable(cause)
    } else {
        FetchError::NoAnswer(cause)
    }
}

/// Resolves names, and rejects those with any address that is not public: the address checked is the address requested.
struct PublicNames;

/// A name resolves to a private address.
#[derive(Debug)]
struct PrivateName;

impl fmt::Display for PrivateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name resolves to a private address")
    }
}

impl Error for PrivateName {}

impl Resolve for PublicNames {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            match public_only(found) {
                Ok(found) => Ok(Box::new(found.into_iter()) as Addrs),
                Err(private) => Err(Box::new(private) as Box<dyn Error + Send + Sync>),
            }
        })
    }
}

/// All addresses of a name, if all of them are public: the client may request any of them.
fn public_only(found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, PrivateName> {
    if found.iter().all(|address| is_public(address.ip())) { Ok(found) } else { Err(PrivateName) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_also_stands_for_a_private_address_is_refused_whole() {
        let found = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        assert!(public_only(found(&["1.1.1.1:0", "[2606:4700::1111]:0"])).is_ok());
        assert!(public_only(found(&["1.1.1.1:0", "10.0.0.1:0"])).is_err());
        assert!(public_only(found(&["[::1]:0", "1.1.1.1:0"])).is_err());
    }
}

//! The receiver of calls of the service: the public address under which it is reached, and the server behind it.

mod intakes;
mod published;
mod server;
mod shared;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use url::{Host, Url};

use intakes::Intakes;
pub use published::{latest_published, publish, publish_always, published};
pub use shared::share_receivers;
use shared::{SharedCalls, SharedReceiver};

use super::Destination;
use crate::{
    domain::is_public,
    error::Error,
    events::Event,
    http_server::{self, BoundAddress, HttpServer},
    ledger::CallbackKey,
    pipeline::{CallIntake, Context},
};

/// A callback URL is at most this long, in characters (the service's upload documentation).
const CALLBACK_MAX: usize = 299;
/// Beginnings of callback URLs are at most this long: a slash and the part with the token follow.
const BASE_MAX: usize = CALLBACK_MAX - 1 - CallbackKey::PART_MAX;

/// The address under which the service reaches the receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// Checks an address. The service reaches no plain HTTP, no private address and no name of this machine; a mock of it on this
    /// machine does.
    pub fn parse(text: &str, destination: &Destination) -> Result<Self, Error> {
        let usage = |what: &str| Error::Usage(format!("--public-url {}: {what}", crate::redact::url(text)));
        let url = Url::parse(text)
            .map_err(|_| usage("not a URL; expected one such as https://calls.example.org/telecine"))?;
        let host = url.host().ok_or_else(|| usage("it has no host"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(usage("remove user and password: each callback URL has a token of its own"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(usage("remove what follows ? or #: the token is a part of the path"));
        }
        if !destination.is_on_this_machine() {
            if url.scheme() != "https" {
                return Err(usage(
                    "expected https, so that nobody on the way reads the tokens; a reverse proxy in front of --callback-listen \
                     provides it (docs/callbacks.md)",
                ));
            }
            if !may_be_reached(&host) {
                return Err(usage(
                    "the service cannot reach this host: give a public name whose proxy passes requests on to --callback-listen",
                ));
            }
        } else if !matches!(url.scheme(), "http" | "https") {
            return Err(usage("expected http or https"));
        }
        let base = url.as_str().trim_end_matches('/');
        let length = base.chars().count();
        if length > BASE_MAX {
            return Err(usage(&format!(
                "it has {length} characters; the service takes callback URLs of {CALLBACK_MAX}, and the token needs some: give at \
                 most {BASE_MAX}"
            )));
        }
        Ok(Self(base.to_owned()))
    }

    /// The beginning of callback URLs.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.0
    }
}

/// Whether a host of this name may be one of the public internet.
fn may_be_reached(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(address) => is_public(IpAddr::V4(*address)),
        Host::Ipv6(address) => is_public(IpAddr::V6(*address)),
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            let is_local = ["localhost", "local", "internal", "lan", "test", "invalid"]
                .iter()
                .any(|last| name.rsplit('.').next().is_some_and(|own| own.eq_ignore_ascii_case(last)));
            name.contains('.') && !is_local
        }
    }
}

/// Where calls are received, and under which address the service calls.
#[derive(Clone, Debug)]
pub struct CallbackRequest {
    pub listen: SocketAddr,
    /// `None`: no uploads are made, and only calls for earlier ones come.
    pub public_url: Option<PublicUrl>,
    /// The receiver that listens there already, for several runs. `None`: the run has one of its own.
    shared: Option<SharedReceiver>,
}

impl CallbackRequest {
    /// A receiver of its own for a run.
    #[must_use]
    pub const fn new(listen: SocketAddr, public_url: Option<PublicUrl>) -> Self {
        Self { listen, public_url, shared: None }
    }

    /// Listens, before anything is sent. Calls are answered after [`BoundReceiver::serve`].
    pub(super) async fn bind(&self) -> Result<BoundReceiver, Error> {
        let place = match &self.shared {
            Some(shared) => Listening::Shared(shared.clone()),
            None => Listening::Own(self.listen().await?),
        };
        Ok(BoundReceiver { place, public_url: self.public_url.clone() })
    }

    async fn listen(&self) -> Result<BoundAddress, Error> {
        let listen = self.listen;
        http_server::bind(listen).await.map_err(|error| {
            Error::Usage(format!(
                "--callback-listen {listen}: cannot listen there ({error}); nothing was sent; stop what uses the address, or name \
                 another one"
            ))
        })
    }
}

/// Where a receiver listens.
enum Listening {
    Own(BoundAddress),
    Shared(SharedReceiver),
}

/// A receiver that listens and does not answer yet.
pub(super) struct BoundReceiver {
    place: Listening,
    public_url: Option<PublicUrl>,
}

/// A receiver that answers for a run; dropping it ends that.
pub(super) enum CallReceiver {
    Own { _server: HttpServer },
    Shared { _registration: SharedCalls },
}

impl BoundReceiver {
    /// Takes in calls beside a run, and says where.
    pub(super) async fn serve<T>(self, context: &Context<T>) -> Result<CallReceiver, Error> {
        let intake = CallIntake::open(context).await?;
        let (address, receiver) = match self.place {
            Listening::Own(bound) => {
                let (address, intakes) = (bound.address(), Intakes::default());
                intakes.add(&Arc::new(intake));
                (address, CallReceiver::Own { _server: server::serve(bound, intakes) })
            }
            Listening::Shared(shared) => {
                let address = shared.address;
                (address, CallReceiver::Shared { _registration: shared.register(intake) })
            }
        };
        let from = match &self.public_url {
            Some(url) => format!("; the service calls {}/…", url.base()),
            None => String::new(),
        };
        let text = format!("calls of the service are received on {address}{from}");
        context.events.emit(context.clock.now(), &Event::Message { text });
        Ok(receiver)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, String> {
        let service = Destination::Server("https://api.memories.ai".parse().unwrap());
        PublicUrl::parse(text, &service).map(|url| url.base().to_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn only_an_address_that_the_service_can_reach_over_https_is_taken() {
        assert_eq!(
            parse("https://calls.example.org/telecine/"),
            Ok("https://calls.example.org/telecine".to_owned())
        );
        assert_eq!(parse("https://8.8.8.8:8443"), Ok("https://8.8.8.8:8443".to_owned()));
        for (bad, what) in [
            ("calls.example.org", "not a URL"),
            ("http://calls.example.org/", "https"),
            ("ftp://calls.example.org/", "https"),
            ("https://localhost/", "cannot reach"),
            ("https://calls.localhost/", "cannot reach"),
            ("https://nas/", "cannot reach"),
            ("https://nas.local/", "cannot reach"),
            ("https://127.0.0.1/", "cannot reach"),
            ("https://10.1.2.3/", "cannot reach"),
            ("https://192.168.0.7/", "cannot reach"),
            ("https://[::1]/", "cannot reach"),
            ("https://[fd00::1]/", "cannot reach"),
            ("https://u:canary@calls.example.org/", "password"),
            ("https://calls.example.org/?key=canary", "follows ?"),
            ("https://calls.example.org/#t", "follows ?"),
        ] {
            let error = parse(bad).unwrap_err();
            assert!(error.contains(what) && !error.contains("canary"), "{bad}: {error}");
        }
    }

    #[test]
    fn the_whole_callback_url_is_at_most_as_long_as_the_service_takes() {
        let fits = format!("https://calls.example.org/{}", "x".repeat(BASE_MAX - 26));
        assert_eq!(parse(&fits).unwrap().len() + 1 + CallbackKey::PART_MAX, CALLBACK_MAX);
        assert!(parse(&format!("{fits}x")).unwrap_err().contains("at most 237"), "{BASE_MAX}");
    }

    #[test]
    fn a_mock_on_this_machine_may_call_this_machine() {
        for text in ["http://127.0.0.1:8088", "http://localhost:8088/x", "https://calls.example.org"] {
            assert!(PublicUrl::parse(text, &Destination::Sandbox).is_ok(), "{text}");
        }
        assert!(PublicUrl::parse("file:///x", &Destination::Sandbox).is_err());
    }
}

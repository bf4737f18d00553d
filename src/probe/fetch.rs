//! Fetching: one request, along redirects, to hosts that may be requested, until there is an answer.

use std::{net::IpAddr, time::Duration};

use url::{Host, Url};

use super::{
    Prober,
    fetcher::{FetchError, FetchRequest, FetchResponse, Fetcher, Method},
    finding::ProbeFinding,
    hosts::{HostSlot, NotNow},
};
use crate::{
    domain::{Reach, is_public},
    redact,
    retry::parse_retry_after,
};

/// Redirects followed for one request.
const REDIRECTS_MAX: usize = 5;
/// Attempts at a host that is busy.
const TRIES_MAX: u32 = 3;
/// The wait for a host that is busy and names no time; doubled after each attempt.
const BUSY_WAIT: Duration = Duration::from_secs(2);
/// The longest wait for a host, whatever time it names.
const BUSY_WAIT_MAX: Duration = Duration::from_mins(1);

/// The answer and its final address, or the finding that prevented it.
pub(super) type Fetched = Result<(FetchResponse, Url), ProbeFinding>;

impl<W: Fetcher> Prober<W> {
    /// Sends the request, follows redirects, and waits for hosts that are busy.
    pub(super) async fn fetch(&self, mut ask: FetchRequest) -> Fetched {
        for _ in 0..=REDIRECTS_MAX {
            self.refuse_unsafe(&ask.url)?;
            let got = self.ask_patiently(&ask).await?;
            if !matches!(got.status, 301 | 302 | 303 | 307 | 308) {
                return Ok((got, ask.url));
            }
            let next = got.location.as_deref().and_then(|location| ask.url.join(location.trim()).ok());
            let Some(next) = next else {
                return Err(ProbeFinding::unclear(
                    "redirect",
                    format!("{} without an address to go to", got.status),
                ));
            };
            ask.url = next;
        }
        Err(ProbeFinding::unfit("redirect_loop", format!("more than {REDIRECTS_MAX} redirects")))
    }

    /// The finding for an address that must not be requested.
    fn refuse_unsafe(&self, url: &Url) -> Result<(), ProbeFinding> {
        if !matches!(url.scheme(), "http" | "https") {
            // the rest may be a secret
            let found = format!("leads to {}:, which is neither http nor https", redact::clean(url.scheme()));
            return Err(ProbeFinding::unfit("scheme", found));
        }
        if !url.username().is_empty() || url.password().is_some() {
            let found = format!("leads to {}, with a user name or password", redact::url(url.as_str()));
            return Err(ProbeFinding::unfit("credentials", found));
        }
        // the client resolves a name and checks its addresses; a literal address is checked here
        let number = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) | None => None,
        };
        if self.rules.reach == Reach::Public && number.is_some_and(|address| !is_public(address)) {
            return Err(private(url));
        }
        Ok(())
    }

    /// Requests at the host's rate, and again when it is busy. A HEAD request does not wait for a busy host.
    async fn ask_patiently(&self, ask: &FetchRequest) -> Result<FetchResponse, ProbeFinding> {
        let name = ask.url.host_str().unwrap_or_default();
        let is_head = ask.method == Method::Head;
        let mut wait = BUSY_WAIT;
        let mut tries = 0;
        loop {
            let (place, asked) = self.ask_once(ask, name).await?;
            tries += 1;
            let got = match asked {
                Ok(got) => got,
                Err(FetchError::Private) => return Err(private(&ask.url)),
                Err(FetchError::Unreachable(cause)) => {
                    place.missed();
                    return Err(silent("unreachable", name, "cannot be reached", &cause));
                }
                Err(FetchError::NoAnswer(cause)) => {
                    if is_head {
                        place.refused_a_head();
                    } else {
                        place.missed();
                    }
                    return Err(silent("no_answer", name, "did not answer", &cause));
                }
            };
            if !matches!(got.status, 408 | 425 | 429 | 502 | 503 | 504) {
                if !is_head {
                    place.answered();
                }
                return Ok(got);
            }
            let now = self.clock.now();
            let asked_for = got.retry_after.as_deref().and_then(|text| parse_retry_after(text, now));
            place.hold_off(now.plus(asked_for.unwrap_or(wait).min(BUSY_WAIT_MAX)));
            if is_head {
                place.refused_a_head();
                return Ok(got);
            }
            place.missed();
            if tries >= TRIES_MAX {
                let found = format!("{} answers {}: it is busy", redact::clean(name), got.status);
                return Err(ProbeFinding::unclear("busy", found));
            }
            wait *= 2;
        }
    }

    /// Sends one request when the host's rate and the number of concurrent requests allow it. The rate counts from the time
    /// when a request is sent, not from the time when it began to wait.
    async fn ask_once(
        &self,
        ask: &FetchRequest,
        name: &str,
    ) -> Result<(HostSlot, Result<FetchResponse, FetchError>), ProbeFinding> {
        let Some(place) = self.hosts.place(name).await else { return Err(given_up(name)) };
        loop {
            // others may have found out while this request waited
            if ask.method == Method::Head && place.refuses_heads() {
                return Err(ProbeFinding::unclear(
                    "no_answer",
                    "the host does not answer when asked for a head only",
                ));
            }
            // never closed
            let request = self.requests.acquire().await;
            match self.hosts.leave(&place, self.clock.now()) {
                Ok(()) => {
                    let asked = self.fetcher.exchange(ask.clone()).await;
                    return Ok((place, asked));
                }
                Err(NotNow::GivenUp) => return Err(given_up(name)),
                Err(NotNow::Until(timestamp)) => {
                    drop(request);
                    self.clock.sleep_until(timestamp).await;
                }
            }
        }
    }
}

fn silent(class: &str, name: &str, what: &str, cause: &str) -> ProbeFinding {
    ProbeFinding::unclear(class, format!("{} {what}: {}", redact::clean(name), redact::opaque(cause)))
}

fn private(url: &Url) -> ProbeFinding {
    let found = format!(
        "{} is in a private network or on this machine, where the service does not reach; --allow-private probes it nevertheless",
        redact::clean(url.host_str().unwrap_or_default())
    );
    ProbeFinding::unfit("private_address", found)
}

fn given_up(name: &str) -> ProbeFinding {
    let found = format!(
        "{} did not answer several times in a row, and gets no more requests in this run",
        redact::clean(name)
    );
    ProbeFinding::unclear("host_given_up", found)
}

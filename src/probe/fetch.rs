//! A visit: one question, asked along redirects, of hosts that may be asked, until there is an answer.

use std::{net::IpAddr, time::Duration};

use url::{Host, Url};

use super::{
    Prober,
    fetcher::{FetchError, FetchRequest, FetchResponse, Fetcher, Method},
    finding::ProbeFinding,
    hosts::{HostSlot, NotNow},
    is_public,
};
use crate::{domain::Reach, redact, retry::parse_retry_after};

/// Redirects followed in one visit.
const REDIRECTS_MAX: usize = 5;
/// A host that is busy is asked so often in all.
const TRIES_MAX: u32 = 3;
/// How long to wait for a host that is busy and does not say how long; doubled each time.
const BUSY_WAIT: Duration = Duration::from_secs(2);
/// No host is waited for longer, whatever it says.
const BUSY_WAIT_MAX: Duration = Duration::from_mins(1);

/// What a visit ended with: the answer and the address it came from, or what is wrong with the way there.
pub(super) type Fetched = Result<(FetchResponse, Url), ProbeFinding>;

impl<W: Fetcher> Prober<W> {
    /// Asks, follows redirects, and waits for hosts that are busy.
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

    /// What may not be asked at all.
    fn refuse_unsafe(&self, url: &Url) -> Result<(), ProbeFinding> {
        if !matches!(url.scheme(), "http" | "https") {
            // what stands behind may be the thing itself
            let found = format!("leads to {}:, which is neither http nor https", redact::clean(url.scheme()));
            return Err(ProbeFinding::unfit("scheme", found));
        }
        if !url.username().is_empty() || url.password().is_some() {
            let found = format!("leads to {}, with a user name or password", redact::url(url.as_str()));
            return Err(ProbeFinding::unfit("credentials", found));
        }
        // a name is looked up by the client, which checks what it stands for; numbers need no looking up
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

    /// Asks in the host's own pace, and again where it is busy. Nobody waits for a host that is only asked for a head.
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

    /// Asks once, when the host's pace and the number of requests under way allow it. The pace is kept by the moment a request
    /// leaves, and not by that at which it began to wait for others.
    async fn ask_once(
        &self,
        ask: &FetchRequest,
        name: &str,
    ) -> Result<(HostSlot, Result<FetchResponse, FetchError>), ProbeFinding> {
        let Some(place) = self.hosts.place(name).await else { return Err(given_up(name)) };
        loop {
            // while this one waited for its place, others may have found out
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
        "{} is in a private network or on this machine, where the service does not reach; --allow-private looks all the same",
        redact::clean(url.host_str().unwrap_or_default())
    );
    ProbeFinding::unfit("private_address", found)
}

fn given_up(name: &str) -> ProbeFinding {
    let found = format!("{} did not answer several times in a row, and is left alone", redact::clean(name));
    ProbeFinding::unclear("host_given_up", found)
}

//! The scout's eye: looks at videos where they lie, before anything is paid for them.
//!
//! - **Separate**: it knows no key and no quota. What it asks goes to the hosts of the videos, never to the service.
//! - **Polite**: each host has its own pace, and is given up once it does not answer.
//! - **Closed**: hosts of private networks are refused at every step, redirects and playlists included, unless allowed.
//! - **Bounded**: every answer, redirect, playlist and index has a bound in bytes and in number.
//! - **Honest**: what nobody can tell is [`Fitness::Unclear`], never fit.
//!
//! ```text
//!   address -> HEAD -> GET of the first bytes -> what it is -> its index, wherever it lies -> codecs -> verdict
//!                                                playlist -> its first playlist -> its first segment
//! ```

mod address;
mod container;
mod fetch;
mod fetcher;
mod finding;
mod hosts;
pub mod http;
mod inspect;
mod partial_file;
mod playlist;

use std::{
    future::{Future as _, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::sync::Semaphore;

pub use address::is_public;
pub use fetcher::{FetchError, FetchRequest, FetchResponse, Fetcher, Method};

use crate::{
    clock::Clock,
    domain::{Limit, Probe, ProbeVerdict, Reach, SourceUrl},
};
use finding::ProbeFinding;
use hosts::Hosts;

/// The service takes videos up to this size, unless the account is allowed more (its upload documentation: 1 GB).
pub const VIDEO_MAX: u64 = 1_000_000_000;

/// Where looks are counted, a source that was not fit is looked at again only after so long.
const FRESH: Duration = Duration::from_hours(12);
/// What goes wrong inside a library that reads foreign bytes must not go further.
const NOT_UNDERSTOOD: &str = "what it holds cannot be read";

/// Looks that may hold more than the first bytes of a video at once: an index can take megabytes.
const DEEP_LOOKS_MAX: usize = 4;

/// How to look.
#[derive(Clone, Copy, Debug)]
pub struct ProbeRules {
    /// Which hosts may be asked.
    pub reach: Reach,
    /// Requests to one host, in so much time.
    pub host_rate: Limit,
    /// Requests to one host at once.
    pub host_concurrency: usize,
    /// Requests at once, over all hosts.
    pub concurrency: usize,
    /// Larger videos are unfit, in bytes.
    pub video_max: u64,
}

/// Looks at sources. Shared by all looks of a run.
pub struct Prober<W> {
    fetcher: W,
    rules: ProbeRules,
    clock: Clock,
    hosts: Hosts,
    requests: Semaphore,
    deep_looks: Semaphore,
}

impl<W: Fetcher> Prober<W> {
    /// One that asks `web`, on this clock.
    pub fn new(fetcher: W, rules: ProbeRules, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            fetcher,
            rules,
            hosts: Hosts::new(rules.host_rate, rules.host_concurrency),
            clock,
            requests: Semaphore::new(rules.concurrency),
            deep_looks: Semaphore::new(DEEP_LOOKS_MAX),
        })
    }

    /// Looks at one source. Should a library that reads foreign bytes break, that is said of this source, and nothing else ends.
    pub async fn inspect(&self, address: &SourceUrl) -> Probe {
        let mut inspect = pin!(self.find(address));
        let contained = poll_fn(|context| {
            let step = catch_unwind(AssertUnwindSafe(|| inspect.as_mut().poll(context)));
            step.unwrap_or_else(|_| Poll::Ready(ProbeFinding::unclear("not_understood", NOT_UNDERSTOOD)))
        });
        let ProbeFinding { verdict, class, found, size } = contained.await;
        Probe { verdict, class, found, size, reach: self.rules.reach, probed_at: self.clock.now() }
    }

    /// Whether a look that did not find its source fit is so young that a run with few looks to spend passes the source by.
    #[must_use]
    pub fn is_fresh(&self, probe: &Probe) -> bool {
        probe.probed_at.plus(FRESH) > self.clock.now()
    }

    /// Whether an earlier look at an address still says what a new one would, for so long and by the rules of today. Only what
    /// was fit is believed: anything else may have been mended.
    #[must_use]
    pub fn still_holds(&self, probe: &Probe, address: &SourceUrl, age_max: Duration) -> bool {
        let now = self.clock.now();
        let is_young = probe.probed_at.plus(age_max) > now;
        // the link may have died since
        let is_alive = address.expires_at().is_none_or(|timestamp| timestamp > now);
        let is_within_reach = probe.reach == self.rules.reach || self.rules.reach == Reach::Private;
        let is_small = probe.size.is_none_or(|size| size <= self.rules.video_max);
        probe.verdict == ProbeVerdict::Supported && is_young && is_alive && is_within_reach && is_small
    }
}

//! Probes video sources before they are paid for.
//!
//! - **Separate**: it knows no key and no quota. Its requests go to the hosts of the videos, never to the service.
//! - **Polite**: each host has its own rate, and gets no more requests once it does not answer.
//! - **Closed**: hosts of private networks get no request at any step, redirects and playlists included, unless allowed.
//! - **Bounded**: every answer, redirect, playlist and index has a bound in bytes and in number.
//! - **Honest**: what cannot be determined is `Unclear`, never supported.
//!
//! ```text
//!   address -> HEAD -> GET of the first bytes -> what it is -> its index, wherever it is -> codecs -> verdict
//!                                                playlist -> its first playlist -> its first segment
//! ```

mod container;
mod fetch;
mod fetcher;
mod finding;
mod hosts;
pub mod http;
mod in_file;
mod inspect;
mod partial_file;
mod parts;
mod playlist;
mod recording;

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::sync::Semaphore;

pub use fetcher::{FetchError, FetchRequest, FetchResponse, Fetcher, Method};
pub use recording::Recording;

use crate::{
    clock::Clock,
    domain::{FileStamp, Limit, Probe, ProbeVerdict, Reach, SourceUrl},
};
use finding::ProbeFinding;
use hosts::Hosts;

/// The service takes videos up to this size, unless the account is allowed more (its upload documentation: 1 GB).
pub const VIDEO_MAX: u64 = 1_000_000_000;

/// With a limit of probes, a source that was not supported is probed again only after this time.
const FRESH: Duration = Duration::from_hours(12);
/// A panic in a library that reads foreign bytes must not end the process.
const NOT_UNDERSTOOD: &str = "what it holds cannot be read";

/// Probes that may hold more than the first bytes of a video at the same time: an index can take megabytes.
const DEEP_LOOKS_MAX: usize = 4;

/// The rules of a probe.
#[derive(Clone, Copy, Debug)]
pub struct ProbeRules {
    /// The hosts that may be requested.
    pub reach: Reach,
    /// The request rate of one host.
    pub host_rate: Limit,
    /// Concurrent requests to one host.
    pub host_concurrency: usize,
    /// Concurrent requests over all hosts.
    pub concurrency: usize,
    /// Larger videos are not supported, in bytes.
    pub video_max: u64,
}

/// Probes sources. All probes of a run share it.
pub struct Prober<W> {
    fetcher: W,
    rules: ProbeRules,
    clock: Clock,
    hosts: Hosts,
    requests: Semaphore,
    deep_looks: Semaphore,
}

impl<W: Fetcher> Prober<W> {
    /// A prober that sends its requests through `web`.
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

    /// Probes one source.
    pub async fn inspect(&self, address: &SourceUrl) -> Probe {
        self.contained(self.find(address)).await
    }

    /// Probes a file on this machine, if it still is what its row says.
    pub async fn inspect_file(&self, path: PathBuf, stamp: FileStamp) -> Probe {
        self.contained(self.find_in_file(path, stamp)).await
    }

    /// A panic of a library becomes the finding of this source.
    async fn contained(&self, inspect: impl Future<Output = ProbeFinding>) -> Probe {
        let mut inspect = pin!(inspect);
        let contained = poll_fn(|context| {
            let step = catch_unwind(AssertUnwindSafe(|| inspect.as_mut().poll(context)));
            step.unwrap_or_else(|_| Poll::Ready(ProbeFinding::unclear("not_understood", NOT_UNDERSTOOD)))
        });
        let ProbeFinding { verdict, class, found, size } = contained.await;
        Probe { verdict, class, found, size, reach: self.rules.reach, probed_at: self.clock.now() }
    }

    /// Whether an unsuccessful probe is so recent that a run with a limit of probes skips the source.
    #[must_use]
    pub fn is_fresh(&self, probe: &Probe) -> bool {
        probe.probed_at.plus(FRESH) > self.clock.now()
    }

    /// Whether an earlier probe still holds under the present rules and this maximum age. Only a supported
    /// source counts: any other may have been repaired.
    #[must_use]
    pub fn still_holds(&self, probe: &Probe, address: &SourceUrl, age_max: Duration) -> bool {
        let now = self.clock.now();
        let is_young = probe.probed_at.plus(age_max) > now;
        // the link may have expired since
        let is_alive = address.expires_at().is_none_or(|timestamp| timestamp > now);
        let is_within_reach = probe.reach == self.rules.reach || self.rules.reach == Reach::Private;
        let is_small = probe.size.is_none_or(|size| size <= self.rules.video_max);
        probe.verdict == ProbeVerdict::Supported && is_young && is_alive && is_within_reach && is_small
    }
}

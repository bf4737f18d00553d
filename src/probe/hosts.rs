//! The state of each video host: its rate, and whether it still answers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::{Limit, UnixMillis};

/// After this number of consecutive requests without a usable answer, a host gets no more requests in this run.
const MISSES_MAX: u32 = 6;
/// Hosts kept in memory; beyond that, those without a request in flight are dropped.
const HOSTS_KEPT: usize = 10_000;

/// All hosts of a run.
pub(super) struct Hosts {
    known: Mutex<HashMap<String, Arc<Host>>>,
    rate: Limit,
    concurrency: usize,
}

struct Host {
    places: Arc<Semaphore>,
    /// Started probes of this host: they end before others start.
    looks: Arc<Semaphore>,
    book: Mutex<HostState>,
}

/// What is known of a host.
#[derive(Default)]
struct HostState {
    /// No request is sent before this time.
    next_at: UnixMillis,
    misses: u32,
    /// It does not answer HEAD requests.
    refuses_heads: bool,
}

/// A permit for one request to a host.
pub(super) struct HostSlot {
    host: Arc<Host>,
    _place: OwnedSemaphorePermit,
}

/// Why a request cannot leave now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotNow {
    /// Not before this time.
    Until(UnixMillis),
    /// The host gets no more requests in this run.
    GivenUp,
}

impl Hosts {
    pub(super) fn new(rate: Limit, concurrency: usize) -> Self {
        Self { known: Mutex::new(HashMap::new()), rate, concurrency }
    }

    /// Waits until a probe of this host may start; the probe holds the permit to its end.
    pub(super) async fn begin_look(&self, name: &str) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.host(name).looks).acquire_owned().await.ok()
    }

    /// Waits for a permit of a host, identified by its name without the port. `None`: the host gets no more requests.
    pub(super) async fn place(&self, name: &str) -> Option<HostSlot> {
        let host = self.host(name);
        let place = Arc::clone(&host.places).acquire_owned().await.ok()?;
        Some(HostSlot { host, _place: place })
    }

    /// Allows a request now, if the host's rate does.
    pub(super) fn leave(&self, place: &HostSlot, now: UnixMillis) -> Result<(), NotNow> {
        let mut book = place.host.book();
        if book.misses >= MISSES_MAX {
            return Err(NotNow::GivenUp);
        }
        if book.next_at > now {
            return Err(NotNow::Until(book.next_at));
        }
        book.next_at = now.plus(self.rate.interval());
        Ok(())
    }

    fn host(&self, name: &str) -> Arc<Host> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = known.get(name) {
            return Arc::clone(host);
        }
        if known.len() >= HOSTS_KEPT {
            known.retain(|_, host| Arc::strong_count(host) > 1);
        }
        let host = Arc::new(Host {
            places: Arc::new(Semaphore::new(self.concurrency)),
            looks: Arc::new(Semaphore::new(self.concurrency)),
            book: Mutex::new(HostState::default()),
        });
        known.insert(name.to_owned(), Arc::clone(&host));
        host
    }
}

impl Host {
    fn book(&self) -> std::sync::MutexGuard<'_, HostState> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HostSlot {
    /// Whether the host is known not to answer HEAD requests.
    pub(super) fn refuses_heads(&self) -> bool {
        self.host.book().refuses_heads
    }

    /// It did not answer a HEAD request; it may answer a GET.
    pub(super) fn refused_a_head(&self) {
        self.host.book().refuses_heads = true;
    }

    /// The host answered.
    pub(super) fn answered(&self) {
        self.host.book().misses = 0;
    }

    /// It did not.
    pub(super) fn missed(&self) {
        self.host.book().misses += 1;
    }

    /// It asked for no request until then.
    pub(super) fn hold_off(&self, until: UnixMillis) {
        let mut book = self.host.book();
        book.next_at = book.next_at.max(until);
    }
}

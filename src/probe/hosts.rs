//! The hosts of videos: each has its pace, and is given up once it does not answer any more.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::{Limit, UnixMillis};

/// After so many requests in a row that brought no usable answer a host is not asked any more in this run.
const MISSES_MAX: u32 = 6;
/// Hosts remembered; beyond that those that nobody is asking are forgotten.
const HOSTS_KEPT: usize = 10_000;

/// All hosts of a run.
pub(super) struct Hosts {
    known: Mutex<HashMap<String, Arc<Host>>>,
    rate: Limit,
    concurrency: usize,
}

struct Host {
    places: Arc<Semaphore>,
    /// Looks at its videos that have begun: they go to their end before others begin.
    looks: Arc<Semaphore>,
    book: Mutex<HostState>,
}

/// What is known of a host.
#[derive(Default)]
struct HostState {
    /// Nothing leaves before this moment.
    next_at: UnixMillis,
    misses: u32,
    /// It does not answer when it is asked for a head only.
    refuses_heads: bool,
}

/// A place at a host: so many may ask it at once.
pub(super) struct HostSlot {
    host: Arc<Host>,
    _place: OwnedSemaphorePermit,
}

/// Why a request cannot leave now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotNow {
    /// Not before this moment.
    Until(UnixMillis),
    /// The host is not asked any more in this run.
    GivenUp,
}

impl Hosts {
    pub(super) fn new(rate: Limit, concurrency: usize) -> Self {
        Self { known: Mutex::new(HashMap::new()), rate, concurrency }
    }

    /// Waits until a look at a video of this host may begin; it holds what it is given to its end.
    pub(super) async fn begin_look(&self, name: &str) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.host(name).looks).acquire_owned().await.ok()
    }

    /// Waits for a place at a host, which is known by its name, whatever the port. None when places are not given any more.
    pub(super) async fn place(&self, name: &str) -> Option<HostSlot> {
        let host = self.host(name);
        let place = Arc::clone(&host.places).acquire_owned().await.ok()?;
        Some(HostSlot { host, _place: place })
    }

    /// Lets a request leave at this moment, if the host's pace allows it.
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
    /// Whether the host is known not to answer when it is asked for a head only.
    pub(super) fn refuses_heads(&self) -> bool {
        self.host.book().refuses_heads
    }

    /// It did not answer when it was asked for a head only; it may give the bytes.
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

    /// It wants to be left alone until then.
    pub(super) fn hold_off(&self, until: UnixMillis) {
        let mut book = self.host.book();
        book.next_at = book.next_at.max(until);
    }
}

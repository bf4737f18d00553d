//! The hosts of videos: each has its pace, and is given up once it does not answer any more.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{clock::Clock, item::UnixMillis, limit::Limit};

/// After so many requests in a row that brought no usable answer a host is not asked any more in this run.
const MISSES_MAX: u32 = 6;
/// Hosts remembered; beyond that those that nobody is asking are forgotten.
const HOSTS_KEPT: usize = 10_000;

/// All hosts of a run.
pub(super) struct Hosts {
    known: Mutex<HashMap<String, Arc<Host>>>,
    rate: Limit,
    concurrency: usize,
    clock: Clock,
}

struct Host {
    places: Arc<Semaphore>,
    book: Mutex<Book>,
}

/// What is known of a host.
#[derive(Default)]
struct Book {
    /// Nothing leaves before this moment.
    next_at: UnixMillis,
    misses: u32,
}

/// The right to ask a host once.
pub(super) struct Turn {
    host: Arc<Host>,
    _place: OwnedSemaphorePermit,
}

/// The host is not asked any more.
#[derive(Debug)]
pub(super) struct GivenUp;

impl Hosts {
    pub(super) fn new(rate: Limit, concurrency: usize, clock: Clock) -> Self {
        Self { known: Mutex::new(HashMap::new()), rate, concurrency, clock }
    }

    /// Waits for a turn at a host, which is known by its name, whatever the port.
    pub(super) async fn turn(&self, name: &str) -> Result<Turn, GivenUp> {
        let host = self.host(name);
        // places are never closed
        let place = Arc::clone(&host.places).acquire_owned().await.map_err(|_| GivenUp)?;
        loop {
            let now = self.clock.now();
            let wait_until = {
                let mut book = host.book();
                if book.misses >= MISSES_MAX {
                    return Err(GivenUp);
                }
                if book.next_at <= now {
                    book.next_at = now.plus(self.rate.interval());
                    None
                } else {
                    Some(book.next_at)
                }
            };
            match wait_until {
                None => return Ok(Turn { host, _place: place }),
                Some(moment) => self.clock.sleep_until(moment).await,
            }
        }
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
            book: Mutex::new(Book::default()),
        });
        known.insert(name.to_owned(), Arc::clone(&host));
        host
    }
}

impl Host {
    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// The host answered.
    pub(super) fn answered(self) {
        self.host.book().misses = 0;
    }

    /// It did not.
    pub(super) fn missed(self) {
        self.host.book().misses += 1;
    }

    /// It wants to be left alone until then.
    pub(super) fn held_off(self, until: UnixMillis) {
        let mut book = self.host.book();
        book.misses += 1;
        book.next_at = book.next_at.max(until);
    }
}

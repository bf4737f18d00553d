//! Group commit: jobs are queued, and one job at a time runs all that wait in one transaction.
//!
//! The store is lent to a blocking job while there is something to do, rather than living on a thread of its own: so a
//! virtual clock never jumps while the ledger works, and many small requests share one `fsync`.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use super::{LedgerError, store::Store};

/// Jobs committed together at most: bounds both the wait of the first and the work lost with a failed commit.
const GROUP_MAX: usize = 512;

pub(super) struct Queue {
    inner: Mutex<Inner>,
}

struct Inner {
    jobs: VecDeque<Job>,
    /// Here while nobody works on it.
    store: Option<Store>,
    /// Why nothing more is taken.
    broken: Option<LedgerError>,
}

type Job = Box<dyn FnOnce(&Store) -> Outcome + Send>;

/// A job that ran, and waits for the commit to tell its result.
struct Outcome {
    kept: Kept,
    tell: Box<dyn FnOnce(Result<(), LedgerError>) + Send>,
}

#[derive(PartialEq, Eq)]
enum Kept {
    Changes,
    Nothing,
}

impl Queue {
    pub(super) fn new(store: Store) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(Inner { jobs: VecDeque::new(), store: Some(store), broken: None }),
        })
    }

    /// Runs `work` in a transaction and returns after its commit. A failed job undoes its own changes only.
    pub(super) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Store) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |store| {
            let result = work(store);
            let kept = if result.is_ok() { Kept::Changes } else { Kept::Nothing };
            let tell = Box::new(move |committed: Result<(), LedgerError>| {
                // whoever asked may be gone: then nobody wants the answer
                let _ = reply.send(committed.and(result));
            });
            Outcome { kept, tell }
        });
        self.submit(job)?;
        answer.await.unwrap_or_else(|_| Err(self.why_no_answer()))
    }

    /// Jobs that still waited when the ledger broke are dropped: their askers learn why.
    fn why_no_answer(&self) -> LedgerError {
        let unknown = || LedgerError::Broken { cause: "a job of the ledger ended early".to_owned() };
        self.inner().broken.clone().unwrap_or_else(unknown)
    }

    /// Waits until nobody works, then closes the file; nothing is taken afterwards.
    pub(super) async fn close(self: &Arc<Self>) {
        loop {
            let store = {
                let mut inner = self.inner();
                inner.store.take().inspect(|_| {
                    inner.broken = Some(LedgerError::Broken { cause: "the ledger is closed".to_owned() });
                })
            };
            if let Some(store) = store {
                // closing writes the log into the main file; whether that works, nothing committed is lost
                let _ = tokio::task::spawn_blocking(move || drop(store)).await;
                return;
            }
            if self.run(|_| Ok(())).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    fn submit(self: &Arc<Self>, job: Job) -> Result<(), LedgerError> {
        let mut inner = self.inner();
        if let Some(broken) = &inner.broken {
            return Err(broken.clone());
        }
        inner.jobs.push_back(job);
        if let Some(store) = inner.store.take() {
            let queue = Arc::clone(self);
            tokio::task::spawn_blocking(move || queue.drain(store));
        }
        Ok(())
    }

    fn drain(&self, mut store: Store) {
        loop {
            let group: Vec<Job> = {
                let mut inner = self.inner();
                let count = inner.jobs.len().min(GROUP_MAX);
                if count == 0 {
                    inner.store = Some(store);
                    return;
                }
                inner.jobs.drain(..count).collect()
            };
            if let Err(broken) = run_group(&mut store, group) {
                let mut inner = self.inner();
                inner.broken = Some(broken);
                // dropping the waiting jobs lets their askers look why
                inner.jobs.clear();
            }
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // a panic inside a job leaves the queue itself whole
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn run_group(store: &mut Store, group: Vec<Job>) -> Result<(), LedgerError> {
    let mut outcomes = Vec::with_capacity(group.len());
    let ran = store.transaction(|store| {
        for job in group {
            store.savepoint()?;
            let outcome = job(store);
            match outcome.kept {
                Kept::Changes => store.release()?,
                Kept::Nothing => store.undo()?,
            }
            outcomes.push(outcome);
        }
        Ok(())
    });
    if ran.is_ok() && outcomes.iter().any(|outcome| outcome.kept == Kept::Changes) {
        store.raise_high_water();
    }
    for outcome in outcomes {
        (outcome.tell)(ran.clone());
    }
    ran
}

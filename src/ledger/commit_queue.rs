//! Group commit: jobs are queued, and one job at a time runs all that wait in one transaction.
//!
//! A blocking job has the store while there are changes. The store has no thread of its own, so that a virtual clock does not
//! advance while the ledger works. Many small changes share one `fsync`.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use super::{LedgerError, store::Store};
use crate::blocking;

/// The most jobs in one commit. It bounds the wait of the first job, and the work that a failed commit loses.
const GROUP_MAX: usize = 512;

pub(super) struct CommitQueue {
    inner: Mutex<QueueState>,
}

struct QueueState {
    jobs: VecDeque<Job>,
    /// `None`: a worker has it.
    store: Option<Store>,
    /// Why the ledger accepts no more changes.
    broken: Option<LedgerError>,
}

/// A change that waits for the worker.
type Job = Box<dyn FnOnce(&Store) -> JobOutcome + Send>;

/// A job that ran, and whose result is sent after the commit.
struct JobOutcome {
    kept: Effect,
    tell: Box<dyn FnOnce(Result<(), LedgerError>) + Send>,
}

#[derive(PartialEq, Eq)]
enum Effect {
    Changes,
    Nothing,
}

impl CommitQueue {
    pub(super) fn new(store: Store) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(QueueState { jobs: VecDeque::new(), store: Some(store), broken: None }),
        })
    }

    /// Runs `work` in a transaction and returns after its commit. A failed job undoes its own changes only.
    pub(super) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Store) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let (reply, answer) = oneshot::channel();
        let work = Box::new(move |store: &Store| {
            let result = work(store);
            let kept = if result.is_ok() { Effect::Changes } else { Effect::Nothing };
            let tell = Box::new(move |committed: Result<(), LedgerError>| {
                // the caller may be gone, and then the result is not needed
                let _ = reply.send(committed.and(result));
            });
            JobOutcome { kept, tell }
        });
        self.submit(work)?;
        answer.await.unwrap_or_else(|_| Err(self.why_no_answer()))
    }

    /// Refuses a read of a ledger that is broken or closed, with the reason.
    pub(super) fn refuse_if_broken(&self) -> Result<(), LedgerError> {
        self.inner().broken.clone().map_or(Ok(()), Err)
    }

    /// Jobs that still waited when the ledger broke are dropped: their callers learn why.
    fn why_no_answer(&self) -> LedgerError {
        let unknown = || LedgerError::Broken { cause: "a job of the ledger ended early".to_owned() };
        self.inner().broken.clone().unwrap_or_else(unknown)
    }

    /// Waits for the worker, then closes the file. Later jobs are refused.
    pub(super) async fn close(self: &Arc<Self>) {
        loop {
            let store = {
                let mut inner = self.inner();
                inner.store.take().inspect(|_| {
                    inner.broken = Some(LedgerError::Broken { cause: "the ledger is closed".to_owned() });
                })
            };
            if let Some(store) = store {
                // closing writes the log into the main file; if that fails, no committed change is lost
                let _ = blocking::run(move || drop(store)).await;
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
        let idle = inner.store.take();
        drop(inner);
        let Some(store) = idle else { return Ok(()) };
        let commit_queue = Arc::clone(self);
        drop(blocking::run(move || commit_queue.drain(store)));
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
            // after a panic the others must not wait forever; dropping the store rolls the transaction back
            let ran = catch_unwind(AssertUnwindSafe(|| run_group(&mut store, group)));
            let (broken, is_usable) = match ran {
                Ok(Ok(())) => continue,
                Ok(Err(broken)) => (broken, true),
                Err(panic) => (LedgerError::Panicked { what: panic_text(panic.as_ref()) }, false),
            };
            let mut inner = self.inner();
            inner.broken = Some(broken);
            // dropping the waiting jobs lets their callers learn why
            inner.jobs.clear();
            if !is_usable {
                return;
            }
        }
    }

    fn inner(&self) -> MutexGuard<'_, QueueState> {
        // a panic inside a job does not damage the queue
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The message of a panic.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no reason given".to_owned())
}

fn run_group(store: &mut Store, group: Vec<Job>) -> Result<(), LedgerError> {
    let mut outcomes = Vec::with_capacity(group.len());
    let ran = store.transaction(|store| {
        for work in group {
            let undo = store.begin_job()?;
            let outcome = work(store);
            match outcome.kept {
                Effect::Changes => store.keep_job(undo)?,
                Effect::Nothing => store.undo_job(undo)?,
            }
            outcomes.push(outcome);
            #[cfg(feature = "failpoints")]
            report_before_commit(&mut outcomes);
        }
        Ok(())
    });
    if ran.is_ok() && outcomes.iter().any(|outcome| outcome.kept == Effect::Changes) {
        store.raise_high_water();
    }
    for outcome in outcomes {
        (outcome.tell)(ran.clone());
    }
    ran
}

#[cfg(feature = "failpoints")]
fn report_before_commit(outcomes: &mut Vec<JobOutcome>) {
    fail::fail_point!("reported_before_commit", |_| {
        for outcome in outcomes.drain(..) {
            (outcome.tell)(Ok(()));
        }
        // long enough for the caller to act before the commit
        std::thread::park_timeout(std::time::Duration::from_millis(2));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::UnixMillis,
        ledger::{Identity, KeyChange, Restored, SecondLedger, open},
    };

    #[tokio::test]
    async fn a_job_that_panics_ends_the_ledger_with_its_reason_and_leaves_the_file_intact() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("l.db");
        let identity = Identity {
            origin: "https://h".to_owned(),
            key_digest: [0; 32],
            fresh_secret: [1; 32],
            key_change: KeyChange::Refused,
            high_water: None,
            registry: None,
            second_ledger: SecondLedger::Refused,
            restored: Restored::Refused,
        };
        let queue = CommitQueue::new(open::open(&path, &identity, UnixMillis(1)).unwrap());
        let failed: Result<(), LedgerError> = queue.run(|_| panic!("a bug")).await;
        assert!(failed.unwrap_err().to_string().contains("a bug"));
        let later = queue.run(|_| Ok(())).await.unwrap_err().to_string();
        assert!(later.contains("a bug"), "whoever comes later learns why: {later}");
        queue.close().await;
        assert!(
            open::open(&path, &identity, UnixMillis(2)).is_ok(),
            "the lock is free and the file is whole"
        );
    }
}

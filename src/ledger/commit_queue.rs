//! Group commit: jobs are queued, and one job at a time runs all that wait in one transaction.
//!
//! A blocking job has the store while there are changes. The store has no thread of its own, so that a virtual clock does not
//! advance while the ledger works. Many small changes share one `fsync`.
//!
//! A failed job undoes its own changes only. Savepoints would make every change dearer, so a group is tried without them. If a
//! job fails after a change, the group is undone and done again with a savepoint for each job.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use super::{LedgerError, sql::postgres::retry_while_lost, store::Store};
use crate::blocking;

/// The most jobs in one commit. It bounds the wait of the first job, and the work that a failed commit loses.
const GROUP_MAX: usize = 512;

pub(super) struct CommitQueue {
    inner: Mutex<QueueState>,
}

struct QueueState {
    jobs: VecDeque<Box<dyn Job>>,
    /// `None`: a worker has it.
    store: Option<Store>,
    /// Why the ledger accepts no more changes.
    broken: Option<LedgerError>,
}

/// A change that waits for the worker.
trait Job: Send {
    /// Does the work; again, if the group was undone. The result is kept until it is told.
    fn run(&mut self, store: &Store) -> Result<(), LedgerError>;

    /// Sends the result to the caller, after the commit or its failure.
    fn tell(&mut self, committed: Result<(), LedgerError>);
}

struct Change<T, W> {
    work: W,
    result: Option<Result<T, LedgerError>>,
    reply: Option<oneshot::Sender<Result<T, LedgerError>>>,
}

impl<T: Send, W: Fn(&Store) -> Result<T, LedgerError> + Send> Job for Change<T, W> {
    fn run(&mut self, store: &Store) -> Result<(), LedgerError> {
        let result = (self.work)(store);
        let failed = result.as_ref().err().cloned();
        self.result = Some(result);
        failed.map_or(Ok(()), Err)
    }

    fn tell(&mut self, committed: Result<(), LedgerError>) {
        let result = match (committed, self.result.take()) {
            // without a result, if the transaction could not begin
            (Err(error), _) => Err(error),
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => return,
        };
        if let Some(reply) = self.reply.take() {
            // the caller may be gone, and then the result is not needed
            let _ = reply.send(result);
        }
    }
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
        work: impl Fn(&Store) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let (reply, answer) = oneshot::channel();
        self.submit(Box::new(Change { work, result: None, reply: Some(reply) }))?;
        answer.await.unwrap_or_else(|_| Err(self.why_no_answer()))
    }

    /// Refuses a read of a ledger that is broken or closed, with the reason.
    pub(super) fn refuse_if_broken(&self) -> Result<(), LedgerError> {
        self.inner().broken.clone().map_or(Ok(()), Err)
    }

    /// The result of a check for damage beside the run. Damage ends the ledger; otherwise the check is no longer due. Needs no
    /// runtime: the change is made with the next group.
    pub(super) fn note_checked(self: &Arc<Self>, checked: Result<(), LedgerError>) {
        let mut inner = self.inner();
        match checked {
            Ok(()) => {
                inner.jobs.push_back(Box::new(Change {
                    work: Store::note_checked,
                    result: None,
                    reply: None,
                }));
            }
            Err(damage) => {
                inner.broken.get_or_insert(damage);
                inner.jobs.clear();
            }
        }
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

    fn submit(self: &Arc<Self>, job: Box<dyn Job>) -> Result<(), LedgerError> {
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
            let mut group: Vec<Box<dyn Job>> = {
                let mut inner = self.inner();
                let count = inner.jobs.len().min(GROUP_MAX);
                if count == 0 {
                    inner.store = Some(store);
                    return;
                }
                inner.jobs.drain(..count).collect()
            };
            // after a panic the others must not wait forever; dropping the store rolls the transaction back
            let ran = catch_unwind(AssertUnwindSafe(|| run_group(&mut store, &mut group)));
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

/// How the changes of a failed job are undone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum UndoBy {
    /// The whole group is undone.
    Group,
    /// Each job has a savepoint.
    Savepoint,
}

/// Runs the jobs in one transaction, and tells their results after its commit.
fn run_group(store: &mut Store, group: &mut [Box<dyn Job>]) -> Result<(), LedgerError> {
    let mut undo_by = if store.is_scratch() { UndoBy::Savepoint } else { UndoBy::Group };
    // of a transaction that was lost with its connection nothing was committed: the lease shows it
    let ran = retry_while_lost(|| match try_group(store, group, undo_by)? {
        GroupEnd::Undone => {
            undo_by = UndoBy::Savepoint;
            try_group(store, group, undo_by)
        }
        committed @ GroupEnd::Committed { .. } => Ok(committed),
    });
    if matches!(ran, Ok(GroupEnd::Committed { has_changes: true })) {
        store.raise_high_water();
    }
    let ran = ran.map(|_| ());
    for job in group {
        job.tell(ran.clone());
    }
    ran
}

/// How a transaction of a group ended.
enum GroupEnd {
    Committed {
        has_changes: bool,
    },
    /// A job failed after a change.
    Undone,
}

fn try_group(
    store: &mut Store,
    group: &mut [Box<dyn Job>],
    undo_by: UndoBy,
) -> Result<GroupEnd, LedgerError> {
    let (mut is_undone, mut has_changes) = (false, false);
    let ran = store.transaction(|store| {
        #[cfg(feature = "failpoints")]
        let mut earlier: Vec<&mut Box<dyn Job>> = Vec::new();
        for job in group.iter_mut() {
            let undo = (undo_by == UndoBy::Savepoint).then(|| store.begin_job()).transpose()?;
            let changes = store.changes_so_far();
            let failed = job.run(store).err();
            has_changes |= failed.is_none();
            match (failed, undo) {
                (None, None) => {}
                (None, Some(undo)) => store.keep_job(undo)?,
                // SQLite undid the whole transaction, as after an I/O error
                // and a lost connection has no transaction any more
                (Some(error), _) if store.is_transaction_over() => return Err(error),
                (Some(_), Some(undo)) => store.undo_job(undo)?,
                (Some(_), None) if changes == store.changes_so_far() => {}
                (Some(error), None) => {
                    is_undone = true;
                    return Err(error);
                }
            }
            #[cfg(feature = "failpoints")]
            report_before_commit(&mut earlier, job);
        }
        Ok(())
    });
    match ran {
        Ok(()) => Ok(GroupEnd::Committed { has_changes }),
        Err(_) if is_undone => Ok(GroupEnd::Undone),
        Err(error) => Err(error),
    }
}

#[cfg(feature = "failpoints")]
fn report_before_commit<'a>(earlier: &mut Vec<&'a mut Box<dyn Job>>, job: &'a mut Box<dyn Job>) {
    earlier.push(job);
    fail::fail_point!("reported_before_commit", |_| {
        for job in earlier.drain(..) {
            job.tell(Ok(()));
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
        ledger::{open, tests::identity},
    };

    fn queue_at(path: &std::path::Path) -> Arc<CommitQueue> {
        CommitQueue::new(open::open(path, &identity(), UnixMillis(1)).unwrap())
    }

    #[tokio::test]
    async fn a_job_that_fails_after_a_change_undoes_its_own_changes_only() {
        let folder = tempfile::tempdir().unwrap();
        let queue = queue_at(&folder.path().join("l.db"));
        let begin = |name: &'static str, fails: bool| {
            let queue = Arc::clone(&queue);
            async move {
                let begin = move |store: &Store| {
                    let run = store.begin_run(name, "import", UnixMillis(1), None)?;
                    if fails { Err(LedgerError::Broken { cause: name.to_owned() }) } else { Ok(run) }
                };
                queue.run(begin).await
            }
        };
        // they share a group: on this runtime a job runs when all have been handed over
        let (one, two, three) = tokio::join!(begin("one", false), begin("two", true), begin("three", false));
        assert!(one.is_ok() && three.is_ok());
        assert!(two.unwrap_err().to_string().contains("two"), "the caller learns its own error");
        let runs = queue.run(|store| store.runs(9)).await.unwrap();
        let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
        assert_eq!(names, ["three", "one"]);
    }

    #[tokio::test]
    async fn a_job_whose_transaction_could_not_begin_learns_why() {
        let (reply, answer) = oneshot::channel();
        let mut job = Change { work: |_: &Store| Ok(()), result: None, reply: Some(reply) };
        job.tell(Err(LedgerError::LostCommits { place: "a database".to_owned() }));
        assert!(matches!(answer.await, Ok(Err(LedgerError::LostCommits { .. }))));
    }

    #[tokio::test]
    async fn a_job_that_panics_ends_the_ledger_with_its_reason_and_leaves_the_file_intact() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("l.db");
        let queue = queue_at(&path);
        let failed: Result<(), LedgerError> = queue.run(|_| panic!("a bug")).await;
        assert!(failed.unwrap_err().to_string().contains("a bug"));
        let later = queue.run(|_| Ok(())).await.unwrap_err().to_string();
        assert!(later.contains("a bug"), "whoever comes later learns why: {later}");
        queue.close().await;
        assert!(
            open::open(&path, &identity(), UnixMillis(2)).is_ok(),
            "the lock is free and the file is whole"
        );
    }
}

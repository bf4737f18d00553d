//! Every SQL statement that writes, one file per kind of work. All of it runs inside a transaction of the queue.

mod admit;
mod claim;
mod library;
mod orders;
mod probes;
mod quota;
mod reconcile;
mod resend;
mod review;
mod runs;
mod settle;

pub(super) use library::video_owner;
pub(super) use probes::{find_lack, known_submission, planned_action};
pub(super) use quota::{external_usages, past_uploads};
pub(super) use reconcile::{state_counts, state_counts_by};
pub(super) use runs::latest_timestamp;
pub(super) use settle::Entry;

use std::{fs::File, path::PathBuf};

use rusqlite::{Connection, Row};

use super::{LedgerError, high_water::HighWater, identity::Restored};
use crate::domain::{State, Submission, UnixMillis, VideoNo};

/// SQL: the states of an attempt without a final outcome. The partial index of open attempts has the same list.
pub(super) const OPEN_STATES: &str = "('sending', 'in_doubt', 'accepted_unidentified', 'needs_review')";
/// SQL: the clock skew since the run of an attempt, in milliseconds.
const SKEW_SINCE_ATTEMPT: &str = "(SELECT coalesce(sum(clock_skew_ms), 0) FROM run WHERE id > attempt.run)";
/// SQL: the clock skew over all runs, in milliseconds.
const SKEW_TOTAL: &str = "(SELECT coalesce(sum(clock_skew_ms), 0) FROM run)";

/// The one connection that writes.
pub(super) struct Store {
    connection: Connection,
    secret: [u8; 32],
    path: PathBuf,
    /// Held, not used: closing it lets the next process in.
    _lock: File,
    high_water: Option<HighWater>,
    commits: Commits,
    /// The key that will identify the ledger once the service accepted it. `None`: it is confirmed.
    unconfirmed_key: Option<Vec<u8>>,
}

/// When changes reach the file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Commits {
    /// With every transaction.
    AtOnce,
    /// After a number of transactions, or before a read by another connection. Holds the transactions deferred so
    /// far.
    PutOff(u32),
}

/// What a job may be undone to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undo {
    /// A savepoint of SQLite's.
    Savepoint,
    /// Nothing. A scratch ledger breaks instead if the job changed anything; holds the changes made before it.
    /// Savepoints would cost it half its time.
    Never(u64),
}

/// Page cache of a scratch ledger.
const SCRATCH_CACHE_KIB: i64 = 64 * 1024;
/// The most transactions that a scratch ledger defers.
const PUT_OFF_MAX: u32 = 2_000;

/// What opening puts together.
pub(super) struct StoreParts {
    pub(super) connection: Connection,
    pub(super) secret: [u8; 32],
    pub(super) path: PathBuf,
    pub(super) lock: File,
    pub(super) high_water: Option<HighWater>,
    pub(super) unconfirmed_key: Option<Vec<u8>>,
}

impl Store {
    pub(super) fn new(parts: StoreParts) -> Self {
        let StoreParts { connection, secret, path, lock, high_water, unconfirmed_key } = parts;
        Self { connection, secret, path, _lock: lock, high_water, commits: Commits::AtOnce, unconfirmed_key }
    }

    /// A ledger behind its high-water mark was restored from an older copy.
    pub(super) fn refuse_if_older(&self, path: &str, restored: Restored) -> Result<(), LedgerError> {
        let (known, last) = (self.last_attempt()?, self.high_water.as_ref().map_or(0, HighWater::last));
        if restored == Restored::Recovering {
            return Ok(());
        }
        if last > known {
            return Err(LedgerError::Older { path: path.to_owned(), known, last });
        }
        if self.is_recovering()? {
            return Err(LedgerError::HalfRecovered { path: path.to_owned() });
        }
        Ok(())
    }

    /// The service accepted the key: from now on the ledger belongs to it.
    pub(in crate::ledger) fn confirm_key(&self) -> Result<(), LedgerError> {
        if let Some(key) = &self.unconfirmed_key {
            let sql = "UPDATE identity SET key_fingerprint = ?1 WHERE key_fingerprint <> ?1";
            self.connection.prepare_cached(sql)?.execute([key])?;
        }
        Ok(())
    }

    /// Raises the high-water mark to what is committed.
    pub(super) fn raise_high_water(&mut self) {
        if self.high_water.is_some()
            && let Ok(last) = self.last_attempt()
            && let Some(high_water) = &mut self.high_water
        {
            high_water.raise(last);
        }
    }

    /// Turns off syncing, the journal, and column and reference checks, and defers commits. For scratch ledgers.
    pub(super) fn make_ephemeral(&mut self) -> Result<(), LedgerError> {
        self.commits = Commits::PutOff(0);
        self.connection.pragma_update(None, "temp_store", "MEMORY")?;
        self.connection.pragma_update(None, "ignore_check_constraints", true)?;
        self.connection.pragma_update(None, "foreign_keys", false)?;
        self.connection.pragma_update(None, "cell_size_check", false)?;
        self.connection.pragma_update(None, "cache_size", -SCRATCH_CACHE_KIB)?;
        self.connection.query_row("PRAGMA journal_mode = OFF", [], |_| Ok(()))?;
        self.drop_guards()?;
        Ok(self.connection.pragma_update(None, "synchronous", "OFF")?)
    }

    /// Drops the triggers that only refuse: the code enforces the same transition table.
    fn drop_guards(&self) -> Result<(), LedgerError> {
        let sql = "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND sql LIKE '%RAISE(ABORT%'";
        let mut statement = self.connection.prepare(sql)?;
        let names: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        for name in names {
            self.connection.execute(&format!("DROP TRIGGER \"{name}\""), [])?;
        }
        Ok(())
    }

    /// Brings what was put off into the file, so that another connection sees it.
    pub(super) fn commit_deferred(&self) -> Result<(), LedgerError> {
        let is_open = self.commits != Commits::AtOnce && !self.connection.is_autocommit();
        if is_open { self.batch("COMMIT") } else { Ok(()) }
    }

    pub(super) fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Bytes that may still be written beside the ledger; plenty when the system does not say.
    fn disk_free(&self) -> u64 {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(|| std::path::Path::new("."));
        rustix::fs::statvfs(folder).map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Runs `work` in one IMMEDIATE transaction. After an error here nothing of it has happened.
    pub(super) fn transaction(
        &mut self,
        work: impl FnOnce(&Self) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        if let Commits::PutOff(count) = self.commits {
            if self.connection.is_autocommit() {
                self.batch("BEGIN IMMEDIATE")?;
            }
            work(self)?;
            let is_due = count >= PUT_OFF_MAX;
            self.commits = Commits::PutOff(if is_due { 0 } else { count + 1 });
            return if is_due { self.batch("COMMIT") } else { Ok(()) };
        }
        self.batch("BEGIN IMMEDIATE")?;
        let ended = work(self).and_then(|()| self.batch("COMMIT"));
        if ended.is_err() && !self.connection.is_autocommit() {
            // the first error is reported; the next opening undoes a failed rollback
            let _ = self.batch("ROLLBACK");
        }
        ended
    }

    /// Runs a read on a consistent view; it must change nothing.
    pub(super) fn view(&mut self, look: impl FnOnce(&Self)) -> Result<(), LedgerError> {
        if !self.connection.is_autocommit() {
            // what was put off is to be seen
            look(self);
            return Ok(());
        }
        self.batch("BEGIN")?;
        look(self);
        self.batch("COMMIT")
    }

    pub(super) fn begin_job(&self) -> Result<Undo, LedgerError> {
        match self.commits {
            Commits::AtOnce => self.batch("SAVEPOINT job").map(|()| Undo::Savepoint),
            Commits::PutOff(_) => Ok(Undo::Never(self.connection.total_changes())),
        }
    }

    pub(super) fn keep_job(&self, undo: Undo) -> Result<(), LedgerError> {
        match undo {
            Undo::Savepoint => self.batch("RELEASE job"),
            Undo::Never(_) => Ok(()),
        }
    }

    pub(super) fn undo_job(&self, undo: Undo) -> Result<(), LedgerError> {
        match undo {
            Undo::Savepoint => self.batch("ROLLBACK TO job").and_then(|()| self.keep_job(undo)),
            Undo::Never(changes) if changes == self.connection.total_changes() => Ok(()),
            Undo::Never(_) => Err(impossible("a job of a scratch ledger had to be undone".to_owned())),
        }
    }

    /// Reads a setting back, as SQLite has it.
    #[cfg(test)]
    pub(super) fn pragma(&self, name: &str) -> Result<i64, LedgerError> {
        Ok(self.connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))?)
    }

    fn batch(&self, sql: &str) -> Result<(), LedgerError> {
        Ok(self.connection.prepare_cached(sql)?.execute([]).map(|_| ())?)
    }

    /// Runs a statement that must change exactly one row.
    fn change_one(&self, sql: &str, values: impl rusqlite::Params) -> Result<(), LedgerError> {
        let changed = self.connection.prepare_cached(sql)?.execute(values)?;
        if changed == 1 {
            Ok(())
        } else {
            Err(impossible(format!("{changed} rows changed, expected one: {sql}")))
        }
    }

    /// One value. `None`: no row, or `NULL`.
    fn find<T: rusqlite::types::FromSql>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
    ) -> Result<Option<T>, LedgerError> {
        use rusqlite::OptionalExtension as _;
        let found = self
            .connection
            .prepare_cached(sql)?
            .query_row(values, |row| row.get::<_, Option<T>>(0))
            .optional()?;
        Ok(found.flatten())
    }

    fn count(&self, sql: &str, values: impl rusqlite::Params) -> Result<u64, LedgerError> {
        let count: i64 = self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?;
        u64::try_from(count).map_err(|_| impossible(format!("a count of {count}")))
    }
}

pub(super) fn impossible(what: String) -> LedgerError {
    LedgerError::Impossible { what }
}

pub(super) fn state_of(as_str: &str) -> Result<State, LedgerError> {
    as_str.parse::<State>().ok().ok_or_else(|| impossible(format!("the state {as_str:?}")))
}

pub(in crate::ledger) fn submission_of(text: &str) -> Result<Submission, LedgerError> {
    serde_json::from_str(text)
        .map_err(|error| impossible(format!("a submission that cannot be read: {error}")))
}

fn video_no_of(text: &str) -> Result<VideoNo, LedgerError> {
    VideoNo::parse(text).ok_or_else(|| impossible(format!("the video number {text:?}")))
}

fn timestamp(row: &Row<'_>, column: &str) -> rusqlite::Result<UnixMillis> {
    row.get(column).map(UnixMillis)
}

/// A list as JSON text, for a column that holds one.
pub(super) fn to_json<T: serde::Serialize + ?Sized>(value: &T) -> Result<String, LedgerError> {
    serde_json::to_string(value)
        .map_err(|error| impossible(format!("a value that cannot be written: {error}")))
}

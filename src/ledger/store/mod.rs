//! Every SQL statement that writes, one file per kind of work. All of it runs inside a transaction of the queue.

mod admit;
mod audit;
mod claim;
mod desk;
mod looks;
mod quota;
mod runs;
mod settle;

pub(super) use settle::Entry;

use std::{fs::File, path::PathBuf};

use rusqlite::{Connection, Row};

use super::{LedgerError, door::Restored, high_water::HighWater};
use crate::{
    item::{Submission, UnixMillis, VideoNo},
    lifecycle::State,
};

/// The one connection that writes.
pub(super) struct Store {
    connection: Connection,
    secret: [u8; 32],
    path: PathBuf,
    /// Held, not used: closing it lets the next process in.
    _lock: File,
    high_water: Option<HighWater>,
}

/// What opening puts together.
pub(super) struct StoreParts {
    pub(super) connection: Connection,
    pub(super) secret: [u8; 32],
    pub(super) path: PathBuf,
    pub(super) lock: File,
    pub(super) high_water: Option<HighWater>,
}

impl Store {
    pub(super) fn new(parts: StoreParts) -> Self {
        let StoreParts { connection, secret, path, lock, high_water } = parts;
        Self { connection, secret, path, _lock: lock, high_water }
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

    /// Raises the high-water mark to what is committed.
    pub(super) fn raise_high_water(&mut self) {
        if self.high_water.is_some()
            && let Ok(last) = self.last_attempt()
            && let Some(high_water) = &mut self.high_water
        {
            high_water.raise(last);
        }
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
        self.batch("BEGIN IMMEDIATE")?;
        let ended = work(self).and_then(|()| self.batch("COMMIT"));
        if ended.is_err() && !self.connection.is_autocommit() {
            // the first error is the one to tell; a failed rollback is undone by the next opening
            let _ = self.batch("ROLLBACK");
        }
        ended
    }

    /// Runs `look` on the ledger as of one moment; it must change nothing.
    pub(super) fn view(&mut self, look: impl FnOnce(&Self)) -> Result<(), LedgerError> {
        self.batch("BEGIN")?;
        look(self);
        self.batch("COMMIT")
    }

    pub(super) fn savepoint(&self) -> Result<(), LedgerError> {
        self.batch("SAVEPOINT job")
    }

    pub(super) fn release(&self) -> Result<(), LedgerError> {
        self.batch("RELEASE job")
    }

    pub(super) fn undo(&self) -> Result<(), LedgerError> {
        self.batch("ROLLBACK TO job").and_then(|()| self.release())
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

    /// One value, or none; `NULL` is none.
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

pub(super) fn state_of(word: &str) -> Result<State, LedgerError> {
    State::from_word(word).ok_or_else(|| impossible(format!("the state {word:?}")))
}

fn submission_of(text: &str) -> Result<Submission, LedgerError> {
    serde_json::from_str(text)
        .map_err(|fault| impossible(format!("a submission that cannot be read: {fault}")))
}

fn video_no_of(text: &str) -> Result<VideoNo, LedgerError> {
    VideoNo::parse(text).ok_or_else(|| impossible(format!("the video number {text:?}")))
}

fn moment(row: &Row<'_>, column: &str) -> rusqlite::Result<UnixMillis> {
    row.get(column).map(UnixMillis)
}

/// A list as JSON text, for a column that holds one.
pub(super) fn to_json<T: serde::Serialize + ?Sized>(value: &T) -> Result<String, LedgerError> {
    serde_json::to_string(value)
        .map_err(|fault| impossible(format!("a value that cannot be written: {fault}")))
}

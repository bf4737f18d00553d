//! Every SQL statement that writes, one file per kind of work. All of it runs inside a transaction of the queue.

mod admit;
mod claim;
mod looks;
mod runs;
mod settle;

use std::{fs::File, path::PathBuf};

use rusqlite::{Connection, Row};

use super::LedgerError;
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
}

/// What opening puts together.
pub(super) struct StoreParts {
    pub(super) connection: Connection,
    pub(super) secret: [u8; 32],
    pub(super) path: PathBuf,
    pub(super) lock: File,
}

impl Store {
    pub(super) fn new(parts: StoreParts) -> Self {
        let StoreParts { connection, secret, path, lock } = parts;
        Self { connection, secret, path, _lock: lock }
    }

    pub(super) fn path(&self) -> &std::path::Path {
        &self.path
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

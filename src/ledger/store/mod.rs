//! The statements of each stage, one file per stage: what it reads (`impl Snapshot`) and what it writes (`impl Store`).
//! Writes run inside a transaction of the commit queue.

mod admit;
mod bad_rows;
mod callbacks;
mod claim;
mod deletions;
mod group_memo;
mod late_calls;
mod library;
mod markers;
mod orders;
mod poll;
mod probes;
mod progress;
mod quota;
mod reconcile;
mod resend;
mod review;
mod runs;
mod same_by;
mod settle;

pub(super) use library::RECOVERED;
pub(super) use settle::Entry;

use std::{cell::Cell, fs::File, ops::Deref, time::Duration};

use group_memo::GroupMemo;

use super::{
    AttemptId, CallbackKey, ItemId, LedgerError, LedgerPlace, Snapshot,
    damage::{CHECK_DUE, DamageCheck},
    files::OpenFiles,
    high_water::HighWater,
    identity::Restored,
    registry::Registration,
    sql::{Connection, Control, Params},
    values::{impossible, state_of, submission_of},
};
use crate::{
    domain::{State, Submission, UnixMillis},
    retry::LeastAge,
};

/// Drops the triggers that only refuse: the code enforces the same transition table.
fn drop_guards(connection: &rusqlite::Connection) -> Result<(), LedgerError> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND sql LIKE '%RAISE(ABORT%'";
    let mut statement = connection.prepare(sql)?;
    let names: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for name in names {
        connection.execute(&format!("DROP TRIGGER \"{name}\""), [])?;
    }
    Ok(())
}

/// SQL: the clock skew of the runs (`later`) that meet a condition, in milliseconds.
fn skew(condition: &str) -> String {
    format!(
        "(SELECT CAST(coalesce(sum(later.clock_skew_ms), 0) AS BIGINT) FROM run AS later WHERE {condition})"
    )
}

/// SQL: when an attempt was accepted, as far as is known.
const ACCEPTED_AT: &str = "coalesce(attempt.answered_at, attempt.sent_at)";
/// SQL: the answer to an attempt came, and named the time of acceptance by the service's clock.
const DATED_BY_BOTH: &str = "bound_by = 'reply' AND uploaded_at IS NOT NULL AND answered_at IS NOT NULL";
/// Attempts among which dated answers are sought. A service that dates none must not make each search read every attempt.
const DATED_WITHIN: i64 = 1_000;

impl Snapshot {
    fn state_of_item(&self, item: ItemId) -> Result<Option<State>, LedgerError> {
        let state: Option<String> = self.find("SELECT state FROM item WHERE id = ?1", [item.0])?;
        state.map(|as_str| state_of(&as_str)).transpose()
    }

    /// The latest attempt of an item.
    fn attempt_of(&self, item: ItemId) -> Result<Option<AttemptId>, LedgerError> {
        Ok(self.find("SELECT attempt FROM item WHERE id = ?1", [item.0])?.map(AttemptId))
    }

    fn submission_of_item(&self, item: ItemId) -> Result<Submission, LedgerError> {
        let text: Option<String> = self.find("SELECT submission FROM item WHERE id = ?1", [item.0])?;
        submission_of(&text.unwrap_or_default())
    }
}

/// The one connection that writes. It reads by the functions of [`Snapshot`], and sees what it has changed.
pub struct Store {
    /// What it reads, with the changes of its open transaction.
    snapshot: Snapshot,
    secret: [u8; 32],
    /// The lock of a file. It is released when this is dropped. In a database the connection holds a lease.
    _lock: Option<File>,
    high_water: Option<HighWater>,
    registration: Option<Registration>,
    commits: Commits,
    /// The key that will identify the ledger once the service accepted it. `None`: it is confirmed.
    unconfirmed_key: Option<Vec<u8>>,
    files: OpenFiles,
    memo: GroupMemo,
    damage_check: DamageCheck,
    /// What the polls of this process showed of how long indexing takes.
    least_age: Cell<LeastAge>,
    /// When this process polled first.
    polls_since: Cell<Option<UnixMillis>>,
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

/// How the changes of a job can be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undo {
    /// By a savepoint of SQLite.
    Savepoint,
    /// Not at all. Savepoints would double the time of a scratch ledger, so it fails if a failed job changed anything. Holds
    /// the number of changes before the job.
    Never(u64),
}

/// The name under which a ledger in a database keeps which database that is.
const DATABASE: &str = "database";

/// Page cache of a scratch ledger.
const SCRATCH_CACHE_KIB: i64 = 64 * 1024;
/// The most transactions that a scratch ledger defers.
const PUT_OFF_MAX: u32 = 2_000;

/// The parts of an open ledger.
pub(super) struct StoreParts {
    pub(super) connection: Connection,
    pub(super) secret: [u8; 32],
    pub(super) place: LedgerPlace,
    pub(super) lock: Option<File>,
    pub(super) high_water: Option<HighWater>,
    pub(super) registration: Option<Registration>,
    pub(super) unconfirmed_key: Option<Vec<u8>>,
    pub(super) damage_check: DamageCheck,
}

impl Deref for Store {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.snapshot
    }
}

impl Store {
    pub(super) fn new(parts: StoreParts) -> Self {
        let snapshot = Snapshot::of_writer(parts.connection, parts.place);
        Self {
            snapshot,
            secret: parts.secret,
            _lock: parts.lock,
            high_water: parts.high_water,
            registration: parts.registration,
            commits: Commits::AtOnce,
            unconfirmed_key: parts.unconfirmed_key,
            files: OpenFiles::default(),
            memo: GroupMemo::default(),
            damage_check: parts.damage_check,
            least_age: Cell::default(),
            polls_since: Cell::default(),
        }
    }

    /// Makes and checks the tokens of callback URLs.
    pub fn callback_key(&self) -> CallbackKey {
        CallbackKey::new(&self.secret)
    }

    /// Whether a check for damage is due beside the run.
    pub(super) fn is_check_due(&self) -> bool {
        self.damage_check == DamageCheck::Beside
    }

    /// Notes that a check found no damage.
    pub(super) fn note_checked(&self) -> Result<(), LedgerError> {
        self.connection.execute("DELETE FROM kv WHERE name = ?1", [CHECK_DUE]).map(drop)
    }

    /// Takes note of the files of the ledger. A claim checks that they are still there.
    pub(super) fn note_files(&mut self) {
        self.files = OpenFiles::of(self.place());
    }

    /// Fails if a file of the ledger was moved, replaced or deleted.
    fn check_files(&self) -> Result<(), LedgerError> {
        if !self.memo.are_files_there.get() {
            self.files.check()?;
            self.memo.are_files_there.set(true);
        }
        Ok(())
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
        self.refuse_if_recovering(path)
    }

    /// The service accepted the key: from now on the ledger belongs to it, and no other ledger of this user serves the account.
    pub fn confirm_key(&self) -> Result<(), LedgerError> {
        self.record_key()?;
        self.register()
    }

    /// The service accepted the key: from now on the ledger belongs to it.
    pub(super) fn record_key(&self) -> Result<(), LedgerError> {
        if let Some(key) = &self.unconfirmed_key
            && !self.memo.is_key_recorded.replace(true)
        {
            let sql = "UPDATE identity SET key_fingerprint = ?1 WHERE key_fingerprint <> ?1";
            self.connection.execute(sql, [key])?;
        }
        Ok(())
    }

    /// The ledger serves its account from now on: another one of this user is refused.
    pub(super) fn register(&self) -> Result<(), LedgerError> {
        self.registration.as_ref().map_or(Ok(()), Registration::write)
    }

    /// Whether the service accepted the key, in this run or in an earlier one.
    pub(super) const fn is_key_known(&self) -> bool {
        self.unconfirmed_key.is_none()
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

    /// Refuses a database that has taken the place of the one that the ledger was written to: it may be behind.
    pub(super) fn refuse_other_database(&self, restored: Restored) -> Result<(), LedgerError> {
        let Connection::Postgres(connection) = &self.connection else { return Ok(()) };
        let (known, found) = (self.kv_get(DATABASE)?, connection.database());
        match (known, found) {
            (Some(known), Some(found)) if known != found && restored == Restored::Refused => {
                Err(LedgerError::OtherDatabase { place: self.place().to_string() })
            }
            _ => Ok(()),
        }
    }

    /// Notes to which database the ledger is written. The lease has shown that nothing is lost, or a recovery has brought it back.
    pub(super) fn note_database(&self) -> Result<(), LedgerError> {
        let Connection::Postgres(connection) = &self.connection else { return Ok(()) };
        match connection.database() {
            Some(found) if self.kv_get(DATABASE)?.as_ref() != Some(&found) => {
                self.kv_set(DATABASE, Some(&found), UnixMillis(0))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Turns off syncing, the journal, and column and reference checks, and defers commits. For scratch ledgers.
    pub(super) fn make_ephemeral(&mut self) -> Result<(), LedgerError> {
        self.commits = Commits::PutOff(0);
        // a scratch ledger has no journal
        self.files = OpenFiles::default();
        let Some(connection) = self.snapshot.connection.sqlite() else { return Ok(()) };
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.pragma_update(None, "ignore_check_constraints", true)?;
        connection.pragma_update(None, "foreign_keys", false)?;
        connection.pragma_update(None, "cell_size_check", false)?;
        connection.pragma_update(None, "cache_size", -SCRATCH_CACHE_KIB)?;
        connection.query_row("PRAGMA journal_mode = OFF", [], |_| Ok(()))?;
        drop_guards(connection)?;
        Ok(connection.pragma_update(None, "synchronous", "OFF")?)
    }

    /// Commits the deferred changes of a scratch ledger, so that another connection sees them.
    pub(super) fn commit_deferred(&self) -> Result<(), LedgerError> {
        let is_open = self.commits != Commits::AtOnce && !self.connection.is_autocommit();
        if is_open { self.connection.control(Control::Commit) } else { Ok(()) }
    }

    /// Runs `work` in one IMMEDIATE transaction. After an error here nothing of it has happened.
    pub(super) fn transaction(
        &mut self,
        work: impl FnOnce(&Self) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        self.memo.clear();
        if let Commits::PutOff(count) = self.commits {
            if self.connection.is_autocommit() {
                self.connection.control(Control::Begin)?;
            }
            work(self)?;
            let is_due = count >= PUT_OFF_MAX;
            self.commits = Commits::PutOff(if is_due { 0 } else { count + 1 });
            return if is_due { self.commit_deferred() } else { Ok(()) };
        }
        self.connection.control(Control::Begin)?;
        let was_lost = matches!(&self.connection, Connection::Postgres(connection) if connection.was_lost());
        let noted = if was_lost { self.note_database() } else { Ok(()) };
        let ended = noted.and_then(|()| work(self)).and_then(|()| self.connection.control(Control::Commit));
        if ended.is_err() && !self.connection.is_autocommit() {
            // the first error is reported; the next opening undoes a failed rollback
            let _ = self.connection.control(Control::Rollback);
        }
        ended
    }

    /// For how long after the beginning of a transaction no other process takes the ledger over. A request must leave before: then
    /// the next process knows that it may have left. `None`: it is a file, which has one process.
    fn lease_left(&self) -> Option<Duration> {
        match &self.connection {
            Connection::Sqlite(_) => None,
            // by half: the transaction has begun before, and clocks may differ in speed
            Connection::Postgres(connection) => connection.lease().map(|lease| lease / 2),
        }
    }

    /// Whether nothing is synced and nothing can be undone.
    pub(super) fn is_scratch(&self) -> bool {
        self.commits != Commits::AtOnce
    }

    /// The rows that this connection has changed so far.
    pub(super) fn changes_so_far(&self) -> u64 {
        self.connection.total_changes()
    }

    /// Whether no transaction is open: SQLite ends one by itself after some errors.
    pub(super) fn is_transaction_over(&self) -> bool {
        self.connection.is_autocommit()
    }

    pub(super) fn begin_job(&self) -> Result<Undo, LedgerError> {
        match self.commits {
            Commits::AtOnce => self.connection.control(Control::Savepoint).map(|()| Undo::Savepoint),
            Commits::PutOff(_) => Ok(Undo::Never(self.connection.total_changes())),
        }
    }

    pub(super) fn keep_job(&self, undo: Undo) -> Result<(), LedgerError> {
        match undo {
            Undo::Savepoint => self.connection.control(Control::KeepSavepoint),
            Undo::Never(_) => Ok(()),
        }
    }

    pub(super) fn undo_job(&self, undo: Undo) -> Result<(), LedgerError> {
        self.memo.clear();
        match undo {
            Undo::Savepoint => {
                self.connection.control(Control::UndoSavepoint).and_then(|()| self.keep_job(undo))
            }
            Undo::Never(changes) if changes == self.connection.total_changes() => Ok(()),
            Undo::Never(_) => Err(impossible("a job of a scratch ledger had to be undone".to_owned())),
        }
    }

    /// Reads a setting back, as SQLite has it.
    #[cfg(test)]
    pub(super) fn pragma(&self, name: &str) -> Result<i64, LedgerError> {
        self.connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
    }

    /// Runs a statement that must change exactly one row.
    fn change_one(&self, sql: &str, values: impl Params) -> Result<(), LedgerError> {
        let changed = self.connection.execute(sql, values)?;
        if changed == 1 {
            Ok(())
        } else {
            Err(impossible(format!("{changed} rows changed, expected one: {sql}")))
        }
    }
}

#[cfg(test)]
mod tests;

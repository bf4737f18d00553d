//! A connection to PostgreSQL, used from ordinary code: the client has a thread of its own, so that a paused virtual clock does
//! not advance while the database works.
//!
//! A connection that writes holds the lease (`lease.rs`). Each of its transactions renews the lease in its first statement, so a
//! transaction of a process that lost the lease changes nothing. Whether a transaction was committed whose answer was lost is
//! read from the lease, too: each one writes its number there.

mod address;
mod cells;
mod connect;
mod dialect;
mod error;
mod lease;
mod retry;
mod schema;
mod worker;

use std::{cell::Cell, sync::Arc, time::Duration};

pub use address::DatabaseAddress;
pub(in crate::ledger) use cells::Cells;
pub(in crate::ledger) use lease::holder;
pub(in crate::ledger) use retry::retry_while_lost;
pub(in crate::ledger) use schema::{begin_copy, end_copy, migrate, recognise};

use rusqlite::types::{FromSql, ValueRef};

use crate::ledger::{
    LedgerError,
    sql::{control::Control, params::Params},
};
use cells::owned;
use lease::Lease;
use worker::{DatabaseAnswer, DatabaseRequest, Worker};

/// Rows of a large result that are fetched at once.
const FETCH_ROWS: usize = 500;

/// A connection.
pub(in crate::ledger) struct PostgresConnection {
    worker: Worker,
    transaction: Cell<Transaction>,
    changes: Cell<u64>,
    /// A statement of the open transaction failed: the server answers a commit with a rollback, and calls it no error.
    has_failed: Cell<bool>,
    cursors: Cell<u64>,
    /// `None`: it only reads.
    lease: Option<Lease>,
    /// The connection was lost since [`Self::database`] was asked.
    was_lost: Cell<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Transaction {
    None,
    Read,
    Write,
}

impl PostgresConnection {
    /// Connects to a database, and looks for the schema of the ledger first in every statement.
    pub(in crate::ledger) fn open(address: &DatabaseAddress) -> Result<Self, LedgerError> {
        let worker = Worker::start(address.clone())?;
        worker.ask(DatabaseRequest::Connect)?;
        Ok(Self {
            worker,
            transaction: Cell::new(Transaction::None),
            changes: Cell::new(0),
            has_failed: Cell::new(false),
            cursors: Cell::new(0),
            lease: None,
            was_lost: Cell::new(false),
        })
    }

    /// Takes the lease of the ledger.
    pub(in crate::ledger) fn take_lease(&mut self) -> Result<(), LedgerError> {
        let lease = Lease::take(self)?;
        self.worker.ask(DatabaseRequest::KeepLease(lease.renewal()))?;
        self.lease = Some(lease);
        Ok(())
    }

    /// Which database it is: its identifier, and its timeline, which changes when a standby takes its place. `None`: the server does
    /// not tell this user.
    pub(in crate::ledger) fn database(&self) -> Option<String> {
        self.was_lost.set(false);
        if self.is_autocommit() {
            return self.read_database();
        }
        // a server that refuses to tell must not end the transaction
        self.control(Control::Savepoint).ok()?;
        let found = self.read_database();
        let end = if found.is_some() { Control::KeepSavepoint } else { Control::UndoSavepoint };
        self.control(end).ok()?;
        found
    }

    fn read_database(&self) -> Option<String> {
        let sql = "SELECT system_identifier::text || '/' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) \
                   FROM pg_control_system()";
        let values: [&dyn rusqlite::ToSql; 0] = [];
        let statement = self.statement(sql);
        let mut rows = statement.query(&values).ok()?;
        rows.next_row().ok()??.get(0).ok()
    }

    /// Whether another database may have taken its place since it was asked last.
    pub(in crate::ledger) fn was_lost(&self) -> bool {
        self.was_lost.get()
    }

    /// For how long no other process takes the lease after a transaction has begun. `None`: there is no lease.
    pub(in crate::ledger) fn lease(&self) -> Option<Duration> {
        self.lease.as_ref().map(|_| self.worker.address().lease())
    }

    pub(super) fn statement(&self, sql: &str) -> PostgresStatement<'_> {
        PostgresStatement { connection: self, sql: Arc::from(sql) }
    }

    /// How the server answers a statement on a connection that writes, whatever its values are. It is not run.
    #[cfg(test)]
    pub(in crate::ledger) fn plan_of(&self, sql: &str) -> Result<Vec<String>, LedgerError> {
        let sql = dialect::statement(sql);
        let values = (1..100).take_while(|number| sql.contains(&format!("${number}"))).count();
        let values =
            if values == 0 { String::new() } else { format!("({})", vec!["NULL"; values].join(", ")) };
        let settings = worker::READS_BY_INDEX;
        self.script(format!("{settings}; SET plan_cache_mode = force_generic_plan; PREPARE tried AS {sql}"))?;
        let explain =
            DatabaseRequest::Once { sql: format!("EXPLAIN EXECUTE tried{values}"), values: Vec::new() };
        let answer = self.ask(explain)?;
        self.script("DEALLOCATE tried".to_owned())?;
        let mut rows = PostgresRows { answer, cursor: None };
        let mut plan = Vec::new();
        while let Some(row) = rows.next_row()? {
            plan.push(row.get(0)?);
        }
        Ok(plan)
    }

    /// Runs several statements without values and rows.
    fn script(&self, sql: String) -> Result<(), LedgerError> {
        self.ask(DatabaseRequest::Script(sql)).map(drop)
    }

    pub(super) fn is_autocommit(&self) -> bool {
        self.transaction.get() == Transaction::None
    }

    pub(super) fn total_changes(&self) -> u64 {
        self.changes.get()
    }

    pub(super) fn control(&self, control: Control) -> Result<(), LedgerError> {
        match control {
            Control::Begin => self.begin(Transaction::Write, "BEGIN"),
            Control::BeginRead => {
                self.begin(Transaction::Read, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            }
            Control::Commit => self.commit(),
            Control::Rollback => self.end("ROLLBACK").map(drop),
            Control::Savepoint => self.batch("SAVEPOINT job").map(drop),
            Control::KeepSavepoint => self.batch("RELEASE SAVEPOINT job").map(drop),
            Control::UndoSavepoint => {
                self.batch("ROLLBACK TO SAVEPOINT job").map(|_| self.has_failed.set(false))
            }
        }
    }

    fn begin(&self, kind: Transaction, sql: &'static str) -> Result<(), LedgerError> {
        self.batch(sql)?;
        self.has_failed.set(false);
        self.transaction.set(kind);
        if kind == Transaction::Write
            && let Some(lease) = &self.lease
            && let Err(error) = lease.renew(self)
        {
            // the first error is reported; a lost connection has ended the transaction
            let _ = self.end("ROLLBACK");
            return Err(error);
        }
        Ok(())
    }

    /// After `Ok` the transaction is committed. After a lost connection the lease shows whether it is.
    fn commit(&self) -> Result<(), LedgerError> {
        let is_write = self.transaction.get() == Transaction::Write;
        if is_write && self.has_failed.get() {
            self.end("ROLLBACK")?;
            let cause = "a statement of a change failed, so nothing of the change was kept".to_owned();
            return Err(LedgerError::Broken { cause });
        }
        let committed = self.end("COMMIT").and_then(|answer| lease::refuse_unreplicated(&answer));
        let Some(lease) = self.lease.as_ref().filter(|_| is_write) else { return committed };
        match committed {
            Err(LedgerError::ConnectionLost { cause }) => {
                fail::fail_point!("unknown_commit_is_trusted", |_| {
                    lease.committed();
                    Ok(())
                });
                lease.was_committed(self, cause)
            }
            committed => committed.inspect(|()| lease.committed()),
        }
    }

    /// Ends the transaction. One that was lost with its connection is not ended on the next connection.
    fn end(&self, sql: &'static str) -> Result<DatabaseAnswer, LedgerError> {
        if self.transaction.replace(Transaction::None) == Transaction::None {
            return Err(LedgerError::ConnectionLost { cause: "the transaction ended with it".to_owned() });
        }
        self.batch(sql)
    }

    fn batch(&self, sql: &'static str) -> Result<DatabaseAnswer, LedgerError> {
        self.ask(DatabaseRequest::Batch(sql))
    }

    /// An error ends the transaction, so it counts as a change.
    fn ask(&self, request: DatabaseRequest) -> Result<DatabaseAnswer, LedgerError> {
        let answer = self.worker.ask(request);
        let changed = answer.as_ref().map_or(1, |answer| answer.changed);
        self.changes.set(self.changes.get() + changed);
        self.has_failed.set(self.has_failed.get() || answer.is_err());
        if matches!(answer, Err(LedgerError::ConnectionLost { .. })) {
            self.transaction.set(Transaction::None);
            self.was_lost.set(true);
        }
        answer
    }
}

impl Drop for PostgresConnection {
    fn drop(&mut self) {
        if let Some(lease) = &self.lease {
            // a lease that cannot be given back expires
            let _ = lease.release(self);
        }
    }
}

/// A statement, with its own text: `dialect.rs` translates it when it is prepared.
pub(in crate::ledger) struct PostgresStatement<'c> {
    connection: &'c PostgresConnection,
    sql: Arc<str>,
}

impl PostgresStatement<'_> {
    pub(super) fn execute(&self, values: &impl Params) -> Result<u64, LedgerError> {
        Ok(self.ask(values)?.changed)
    }

    pub(super) fn query(&self, values: &impl Params) -> Result<PostgresRows<'_>, LedgerError> {
        Ok(PostgresRows { answer: self.ask(values)?, cursor: None })
    }

    fn ask(&self, values: &impl Params) -> Result<DatabaseAnswer, LedgerError> {
        let values = owned(values)?;
        self.connection.ask(DatabaseRequest::Run { sql: Arc::clone(&self.sql), values })
    }

    /// Declares a cursor, in a transaction of its own if none is open.
    pub(super) fn stream(&self, values: &impl Params) -> Result<PostgresRows<'_>, LedgerError> {
        let connection = self.connection;
        let is_own_transaction = connection.is_autocommit();
        if is_own_transaction {
            connection.control(Control::BeginRead)?;
        }
        let number = connection.cursors.get();
        connection.cursors.set(number + 1);
        let mut cursor = Cursor { connection, number, is_own_transaction, is_over: false };
        let sql = format!("DECLARE cursor_{number} NO SCROLL CURSOR FOR {}", self.sql);
        connection.ask(DatabaseRequest::Once { sql, values: owned(values)? })?;
        let answer = cursor.fetch()?;
        Ok(PostgresRows { answer, cursor: Some(cursor) })
    }
}

/// The rows of a query that were fetched and are not read, and where the others are.
pub(in crate::ledger) struct PostgresRows<'s> {
    answer: DatabaseAnswer,
    cursor: Option<Cursor<'s>>,
}

impl PostgresRows<'_> {
    pub(super) fn columns(&self) -> &[String] {
        &self.answer.columns
    }

    /// The next row, for the statements of this module.
    fn next_row(&mut self) -> Result<Option<NextRow>, LedgerError> {
        Ok(self.next()?.map(NextRow))
    }

    pub(super) fn next(&mut self) -> Result<Option<Cells>, LedgerError> {
        if self.answer.rows.is_empty()
            && let Some(cursor) = self.cursor.as_mut().filter(|cursor| !cursor.is_over)
        {
            self.answer = cursor.fetch()?;
        }
        Ok(self.answer.rows.pop_front())
    }
}

/// A row of a statement of this module.
struct NextRow(Cells);

impl NextRow {
    fn get<T: FromSql>(&self, column: usize) -> Result<T, LedgerError> {
        let cell = self.0.get(column).map_or(ValueRef::Null, ValueRef::from);
        T::column_result(cell)
            .map_err(|error| LedgerError::Impossible { what: format!("the column {column}: {error}") })
    }
}

/// A large result, which stays at the server.
struct Cursor<'c> {
    connection: &'c PostgresConnection,
    number: u64,
    is_own_transaction: bool,
    is_over: bool,
}

impl Cursor<'_> {
    fn fetch(&mut self) -> Result<DatabaseAnswer, LedgerError> {
        let sql = format!("FETCH {FETCH_ROWS} FROM cursor_{}", self.number);
        let answer = self.connection.ask(DatabaseRequest::Once { sql, values: Vec::new() })?;
        self.is_over = answer.rows.len() < FETCH_ROWS;
        Ok(answer)
    }
}

impl Drop for Cursor<'_> {
    fn drop(&mut self) {
        // it ends with its transaction in any case; an error shows at the next statement
        let close =
            DatabaseRequest::Once { sql: format!("CLOSE cursor_{}", self.number), values: Vec::new() };
        let _ = self.connection.ask(close);
        if self.is_own_transaction {
            let _ = self.connection.control(Control::Commit);
        }
    }
}

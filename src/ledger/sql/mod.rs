//! One connection for two engines: SQLite, the default, and PostgreSQL. The rest of the ledger writes each statement once.
//!
//! A statement has the parameters `?1`, `?2` and so on. Its text is SQL that both engines understand; `postgres/dialect.rs` has
//! the few words that differ. Values are those of SQLite: integer, real, text, blob and NULL. A condition as a column is 0 or 1.

mod control;
mod params;
pub(super) mod postgres;
mod row;

use rusqlite::{CachedStatement, types::FromSql};

pub(super) use control::Control;
pub(super) use params::Params;
pub(super) use row::{ColumnName, SqlRow, SqlRows};

use super::LedgerError;

/// An open connection.
pub(super) enum Connection {
    Sqlite(rusqlite::Connection),
    Postgres(postgres::PostgresConnection),
}

/// A statement that may be used several times.
pub(super) enum Statement<'c> {
    Sqlite(CachedStatement<'c>),
    Postgres(postgres::PostgresStatement<'c>),
}

impl Connection {
    /// The statement for a text. It is parsed once for each connection.
    pub(super) fn prepare(&self, sql: &str) -> Result<Statement<'_>, LedgerError> {
        Ok(match self {
            Self::Sqlite(connection) => Statement::Sqlite(connection.prepare_cached(sql)?),
            Self::Postgres(connection) => Statement::Postgres(connection.statement(sql)),
        })
    }

    /// Runs a statement, and returns how many rows it changed.
    pub(super) fn execute(&self, sql: &str, values: impl Params) -> Result<u64, LedgerError> {
        self.prepare(sql)?.execute(values)
    }

    /// Reads the first row. `None`: there is no row.
    pub(super) fn find_row<T>(
        &self,
        sql: &str,
        values: impl Params,
        read: impl FnOnce(&SqlRow<'_>) -> Result<T, LedgerError>,
    ) -> Result<Option<T>, LedgerError> {
        self.prepare(sql)?.find_row(values, read)
    }

    /// Reads the one row that a statement always has.
    pub(super) fn query_row<T>(
        &self,
        sql: &str,
        values: impl Params,
        read: impl FnOnce(&SqlRow<'_>) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        self.find_row(sql, values, read)?.ok_or_else(|| no_row(sql))
    }

    /// Inserts one row, and returns the number that the engine gave it in the column `id`.
    pub(super) fn insert(&self, sql: &str, values: impl Params) -> Result<i64, LedgerError> {
        self.insert_if_new(sql, values)?.ok_or_else(|| no_row(sql))
    }

    /// The same, for a statement that does nothing where the row is there already: `None` then.
    pub(super) fn insert_if_new(&self, sql: &str, values: impl Params) -> Result<Option<i64>, LedgerError> {
        match self {
            // RETURNING would cost a temporary table
            Self::Sqlite(connection) => {
                let changed = self.execute(sql, values)?;
                Ok((changed > 0).then(|| connection.last_insert_rowid()))
            }
            Self::Postgres(_) => self.find_row(&format!("{sql} RETURNING id"), values, |row| row.get(0)),
        }
    }

    /// Begins a transaction that writes, or ends the open one.
    pub(super) fn control(&self, control: Control) -> Result<(), LedgerError> {
        match self {
            Self::Sqlite(connection) => {
                connection.prepare_cached(control.sqlite())?.execute([])?;
                Ok(())
            }
            Self::Postgres(connection) => connection.control(control),
        }
    }

    /// Whether no transaction is open. SQLite ends one by itself after some errors.
    pub(super) fn is_autocommit(&self) -> bool {
        match self {
            Self::Sqlite(connection) => connection.is_autocommit(),
            Self::Postgres(connection) => connection.is_autocommit(),
        }
    }

    /// The rows that this connection has changed so far. An error of PostgreSQL counts as a change: it ends the transaction.
    pub(super) fn total_changes(&self) -> u64 {
        match self {
            Self::Sqlite(connection) => connection.total_changes(),
            Self::Postgres(connection) => connection.total_changes(),
        }
    }

    /// The connection of SQLite, which a test has.
    #[cfg(test)]
    pub(super) const fn of_file(&mut self) -> &mut rusqlite::Connection {
        match self {
            Self::Sqlite(connection) => connection,
            Self::Postgres(_) => panic!("the ledger of this test is a file"),
        }
    }

    /// The connection of SQLite, for what only a file has.
    pub(super) const fn sqlite(&self) -> Option<&rusqlite::Connection> {
        match self {
            Self::Sqlite(connection) => Some(connection),
            Self::Postgres(_) => None,
        }
    }
}

impl Statement<'_> {
    /// Runs the statement, and returns how many rows it changed.
    #[expect(clippy::needless_pass_by_value, reason = "a call names its values in place")]
    pub(super) fn execute(&mut self, values: impl Params) -> Result<u64, LedgerError> {
        match self {
            Self::Sqlite(statement) => {
                bind(statement, &values)?;
                Ok(statement.raw_execute()? as u64)
            }
            Self::Postgres(statement) => statement.execute(&values),
        }
    }

    /// Reads the rows. PostgreSQL sends all of them at once: for a bounded number of rows.
    #[expect(clippy::needless_pass_by_value, reason = "a call names its values in place")]
    pub(super) fn query(&mut self, values: impl Params) -> Result<SqlRows<'_>, LedgerError> {
        match self {
            Self::Sqlite(statement) => {
                bind(statement, &values)?;
                Ok(SqlRows::of_sqlite(statement.raw_query()))
            }
            Self::Postgres(statement) => Ok(SqlRows::of_postgres(statement.query(&values)?)),
        }
    }

    /// Reads the rows, however many they are, in bounded memory.
    pub(super) fn stream(&mut self, values: impl Params) -> Result<SqlRows<'_>, LedgerError> {
        match self {
            Self::Sqlite(_) => self.query(values),
            Self::Postgres(statement) => Ok(SqlRows::of_postgres(statement.stream(&values)?)),
        }
    }

    /// Reads the first row. `None`: there is no row.
    pub(super) fn find_row<T>(
        &mut self,
        values: impl Params,
        read: impl FnOnce(&SqlRow<'_>) -> Result<T, LedgerError>,
    ) -> Result<Option<T>, LedgerError> {
        self.query(values)?.next()?.map(|row| read(&row)).transpose()
    }

    /// Reads the one row that the statement always has.
    pub(super) fn query_row<T>(
        &mut self,
        values: impl Params,
        read: impl FnOnce(&SqlRow<'_>) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        self.find_row(values, read)?.ok_or_else(|| no_row("a statement"))
    }

    /// Reads all rows of a bounded number.
    pub(super) fn query_all<T>(
        &mut self,
        values: impl Params,
        mut read: impl FnMut(&SqlRow<'_>) -> Result<T, LedgerError>,
    ) -> Result<Vec<T>, LedgerError> {
        let mut rows = self.query(values)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            all.push(read(&row)?);
        }
        Ok(all)
    }

    /// Reads the first column of all rows of a bounded number.
    pub(super) fn query_column<T: FromSql>(&mut self, values: impl Params) -> Result<Vec<T>, LedgerError> {
        self.query_all(values, |row| row.get(0))
    }
}

fn bind(statement: &mut CachedStatement<'_>, values: &impl Params) -> Result<(), LedgerError> {
    let count = statement.parameter_count();
    if count != values.count() {
        return Err(LedgerError::Impossible {
            what: format!("{} values for {count} parameters", values.count()),
        });
    }
    values.each(&mut |number, value| Ok(statement.raw_bind_parameter(number, value)?))
}

fn no_row(sql: &str) -> LedgerError {
    LedgerError::Impossible { what: format!("no row: {sql}") }
}

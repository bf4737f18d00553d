//! The rows of a query, whichever engine answers it.

use rusqlite::types::{FromSql, FromSqlError, Value, ValueRef};

use super::postgres;
use crate::ledger::LedgerError;

/// The rows that are left to read.
pub(in crate::ledger) enum SqlRows<'s> {
    Sqlite(rusqlite::Rows<'s>),
    Postgres { rows: postgres::PostgresRows<'s>, current: Option<postgres::Cells> },
}

/// One row.
pub(in crate::ledger) enum SqlRow<'r> {
    Sqlite(&'r rusqlite::Row<'r>),
    Postgres { columns: &'r [String], cells: &'r postgres::Cells },
}

impl<'s> SqlRows<'s> {
    pub(super) const fn of_sqlite(rows: rusqlite::Rows<'s>) -> Self {
        Self::Sqlite(rows)
    }

    pub(super) const fn of_postgres(rows: postgres::PostgresRows<'s>) -> Self {
        Self::Postgres { rows, current: None }
    }

    /// The next row. `None`: there is no other.
    pub(in crate::ledger) fn next(&mut self) -> Result<Option<SqlRow<'_>>, LedgerError> {
        match self {
            Self::Sqlite(rows) => Ok(rows.next()?.map(SqlRow::Sqlite)),
            Self::Postgres { rows, current } => {
                *current = rows.next()?;
                let columns = rows.columns();
                Ok(current.as_ref().map(|cells| SqlRow::Postgres { columns, cells }))
            }
        }
    }
}

impl SqlRow<'_> {
    /// The value of a column, by its number from 0 or by its name.
    pub(in crate::ledger) fn get<C: ColumnName, T: FromSql>(&self, column: C) -> Result<T, LedgerError> {
        T::column_result(self.value(column)?).map_err(|error| wrong_type(column, &error))
    }

    /// The text of a column, without a copy. `None`: it is NULL.
    pub(in crate::ledger) fn text(&self, column: impl ColumnName) -> Result<Option<&str>, LedgerError> {
        self.value(column)?.as_str_or_null().map_err(|error| wrong_type(column, &error))
    }

    /// The values of all columns.
    pub(in crate::ledger) fn values(&self) -> Result<Vec<Value>, LedgerError> {
        match self {
            Self::Sqlite(row) => {
                let columns = 0..row.as_ref().column_count();
                let not_utf8 = |_| LedgerError::Impossible { what: "a text that is not UTF-8".to_owned() };
                columns.map(|column| Value::try_from(row.get_ref(column)?).map_err(not_utf8)).collect()
            }
            Self::Postgres { cells, .. } => Ok((*cells).clone()),
        }
    }

    fn value(&self, column: impl ColumnName) -> Result<ValueRef<'_>, LedgerError> {
        match self {
            Self::Sqlite(row) => column.of_sqlite(row),
            Self::Postgres { columns, cells } => {
                let cell = column.number(columns).and_then(|number| cells.get(number));
                cell.map(ValueRef::from)
                    .ok_or_else(|| LedgerError::Impossible { what: format!("no column {column}") })
            }
        }
    }
}

fn wrong_type(column: impl ColumnName, error: &FromSqlError) -> LedgerError {
    LedgerError::Impossible { what: format!("the value of the column {column}: {error}") }
}

/// A column of a row: its number from 0, or its name.
pub(in crate::ledger) trait ColumnName: Copy + std::fmt::Display {
    /// Its value in a row of SQLite.
    fn of_sqlite<'r>(self, row: &'r rusqlite::Row<'_>) -> Result<ValueRef<'r>, LedgerError>;

    /// Its number among columns.
    fn number(self, columns: &[String]) -> Option<usize>;
}

impl ColumnName for usize {
    fn of_sqlite<'r>(self, row: &'r rusqlite::Row<'_>) -> Result<ValueRef<'r>, LedgerError> {
        Ok(row.get_ref(self)?)
    }

    fn number(self, _: &[String]) -> Option<usize> {
        Some(self)
    }
}

impl ColumnName for &str {
    fn of_sqlite<'r>(self, row: &'r rusqlite::Row<'_>) -> Result<ValueRef<'r>, LedgerError> {
        Ok(row.get_ref(self)?)
    }

    fn number(self, columns: &[String]) -> Option<usize> {
        // of two columns with one name the first, as SQLite does
        columns.iter().position(|name| name == self)
    }
}

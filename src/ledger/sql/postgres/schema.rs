//! The schema of a ledger in a database: made by the first process, and checked by every other one.

use std::fmt::Write as _;

use super::{PostgresConnection, dialect};
use crate::ledger::LedgerError;

/// What there is beside the tables of both engines.
const OWN: &str = include_str!("schema.sql");

/// The version of the ledger in the schema of the address. 0: there is none.
pub(in crate::ledger) fn recognise(connection: &PostgresConnection, newest: i64) -> Result<i64, LedgerError> {
    let address = connection.worker.address();
    let sql = "SELECT count(*) FILTER (WHERE relname = 'ledger_version'), count(*) FROM pg_class \
               JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = ?1 AND relkind = 'r'";
    let statement = connection.statement(sql);
    let mut rows = statement.query(&[address.schema()])?;
    let (marks, tables): (i64, i64) = match rows.next_row()? {
        Some(row) => (row.get(0)?, row.get(1)?),
        None => (0, 0),
    };
    if marks == 0 && tables == 0 {
        return Ok(0);
    }
    if marks == 0 {
        return Err(LedgerError::Foreign { path: address.to_string() });
    }
    let values: [&dyn rusqlite::ToSql; 0] = [];
    let statement = connection.statement("SELECT version FROM ledger_version");
    let mut rows = statement.query(&values)?;
    let found = rows.next_row()?.map_or(Ok(0), |row| row.get(0))?;
    if found > newest {
        return Err(LedgerError::Newer { path: address.to_string(), found, known: newest });
    }
    Ok(found)
}

/// Brings the schema of the address from version `found` to that of `schemas`. Of several processes one does it.
pub(in crate::ledger) fn migrate(
    connection: &PostgresConnection,
    schemas: &[&str],
) -> Result<(), LedgerError> {
    let once = |sql: String| connection.script(sql);
    let schema = connection.worker.address().quoted_schema();
    let newest = i64::try_from(schemas.len()).unwrap_or(i64::MAX);
    connection.batch("BEGIN")?;
    let migrated = (|| {
        once(alone(&schema))?;
        let found = recognise(connection, newest)?;
        if found == 0 {
            once(format!("CREATE SCHEMA IF NOT EXISTS {schema}; {OWN}"))?;
            once("INSERT INTO ledger_version VALUES (1, 0)".to_owned())?;
        }
        for sqlite in schemas.iter().skip(usize::try_from(found).unwrap_or(0)) {
            once(dialect::schema(sqlite))?;
        }
        once(format!("UPDATE ledger_version SET version = {newest}"))?;
        Ok(())
    })();
    match migrated {
        Ok(()) => connection.batch("COMMIT").map(drop),
        Err(error) => {
            // the first error is reported; a lost connection has ended the transaction
            let _ = connection.batch("ROLLBACK");
            Err(error)
        }
    }
}

/// SQL: waits until no other process makes or changes the schema.
fn alone(schema: &str) -> String {
    // the number is that of this program: other programs use other ones
    format!("SELECT pg_advisory_xact_lock(1952803941, hashtext('{schema}'))")
}

/// Makes the tables for a copy in the open transaction, without what would refuse its rows. The schema must be empty.
pub(in crate::ledger) fn begin_copy(
    connection: &PostgresConnection,
    tables: &str,
    version: i64,
) -> Result<(), LedgerError> {
    let address = connection.worker.address();
    let schema = address.quoted_schema();
    connection.script(alone(&schema))?;
    if recognise(connection, version)? != 0 {
        return Err(LedgerError::CopyTarget {
            place: address.to_string(),
            cause: "there is a ledger already; name a schema without tables".to_owned(),
        });
    }
    let (tables, _) = dialect::tables_and_references(tables);
    connection.script(format!(
        "CREATE SCHEMA IF NOT EXISTS {schema}; {OWN}; INSERT INTO ledger_version VALUES (1, {version}); {tables}"
    ))
}

/// Adds to the tables of a copy what keeps their rows right, and sets the next numbers behind the largest ones.
pub(in crate::ledger) fn end_copy(
    connection: &PostgresConnection,
    tables: &str,
    rest: &str,
    numbered: &[&str],
) -> Result<(), LedgerError> {
    let (_, references) = dialect::tables_and_references(tables);
    let mut script = references + &dialect::schema(rest);
    for table in numbered {
        let _ = writeln!(
            script,
            "SELECT setval(pg_get_serial_sequence('{table}', 'id'), \
             greatest((SELECT max(id) FROM {table}), 0) + 1, false);"
        );
    }
    connection.script(script)
}

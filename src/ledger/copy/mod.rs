//! Copies a ledger between engines: every table with every value, in one transaction of the target, which is verified before its
//! commit.

mod digest;
mod target;

use super::{
    LedgerError, LedgerInUse, LedgerPlace, Snapshot, integrity, open, schema, sql::Connection, store::Store,
    successor,
};
use crate::domain::UnixMillis;
use digest::{TableDigest, rows_digest};
use target::CopyTarget;

/// Rows of one statement.
const ROWS_AT_ONCE: usize = 200;
/// Bytes of rows that wait for their statement. Rows of a manifest may be large.
const BYTES_AT_ONCE: usize = 1024 * 1024;

/// What a copy holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedLedger {
    /// The source, by its real path.
    pub from: LedgerPlace,
    pub to: LedgerPlace,
    /// The rows of each table.
    pub rows: Vec<(&'static str, u64)>,
    /// Of all rows of all tables, the same for equal ledgers.
    pub digest: String,
}

/// Copies a ledger that no process writes to a place where there is none. After an error there is no ledger either. Blocks.
pub fn copy_ledger(
    from: &LedgerPlace,
    to: &LedgerPlace,
    in_use: LedgerInUse,
    now: UnixMillis,
) -> Result<CopiedLedger, LedgerError> {
    // the lock, or the lease, is held until the end
    let mut source = open::open_offline(from, now)?;
    let from = source.place().absolute();
    let reader = Snapshot::open(&from)?;
    let place = to.to_string();
    let target = CopyTarget::begin(to).map_err(|error| error.of_copy(&place))?;
    let loaded = reader.at_one_time(|reader| load(&reader.connection, target.connection()));
    let tables = loaded.map_err(|error: LedgerError| error.of_copy(&place))?;
    // otherwise the lease of the source would not be renewed by the connection that holds it
    drop(reader);
    target.end().map_err(|error| error.of_copy(&place))?;
    verify(target.connection(), &tables)?;
    let digest = digest::of_ledger(&tables);
    let rows = tables.into_iter().map(|(table, digest)| (table, digest.rows)).collect();
    let to = hand_on(&mut source, target, in_use, now)?;
    Ok(CopiedLedger { from, to, rows, digest })
}

/// Commits the copy, so that one of the two is in use at any time. A crash in between leaves the source unused and no copy: the
/// message of the source says what to do.
fn hand_on(
    source: &mut Store,
    target: CopyTarget,
    in_use: LedgerInUse,
    now: UnixMillis,
) -> Result<LedgerPlace, LedgerError> {
    let to = target.place().clone();
    match in_use {
        LedgerInUse::Source => {
            successor::note_copy(target.connection(), source.place(), now)?;
            // a process that lost its lease meanwhile may have copied an old ledger
            source.transaction(|_| Ok(()))?;
            target.commit()?;
        }
        LedgerInUse::Copy => {
            source.transaction(|store| successor::note_moved(&store.connection, &to, now))?;
            if let Err(error) = target.commit() {
                // an answer that was lost says nothing; only what is surely not there leaves the source in use
                if matches!(Snapshot::open(&to), Err(LedgerError::Missing { .. })) {
                    source.transaction(|store| successor::forget(&store.connection))?;
                }
                return Err(error);
            }
        }
    }
    Ok(to)
}

type TableDigests = Vec<(&'static str, TableDigest)>;

/// Copies the rows of all tables, and returns what was read.
fn load(from: &Connection, to: &Connection) -> Result<TableDigests, LedgerError> {
    schema::table_names().into_iter().map(|table| Ok((table, load_table(from, to, table)?))).collect()
}

fn load_table(from: &Connection, to: &Connection, table: &str) -> Result<TableDigest, LedgerError> {
    let mut statement = from.prepare(&format!("SELECT * FROM {table}"))?;
    let mut rows = statement.stream([])?;
    let mut seen = TableDigest::default();
    let (mut waiting, mut bytes) = (Vec::with_capacity(ROWS_AT_ONCE), 0);
    while let Some(row) = rows.next()? {
        let values = row.values()?;
        bytes += seen.add(&values);
        waiting.push(values);
        if waiting.len() == ROWS_AT_ONCE || bytes > BYTES_AT_ONCE {
            insert(to, table, &mut waiting)?;
            bytes = 0;
        }
    }
    insert(to, table, &mut waiting)?;
    Ok(seen)
}

/// Inserts rows: as many as one statement has, or one by one, so that there are two statements for each table.
fn insert(
    to: &Connection,
    table: &str,
    rows: &mut Vec<Vec<rusqlite::types::Value>>,
) -> Result<(), LedgerError> {
    let Some(columns) = rows.first().map(Vec::len) else { return Ok(()) };
    let at_once = if rows.len() == ROWS_AT_ONCE { ROWS_AT_ONCE } else { 1 };
    let marks: Vec<String> = (0..at_once)
        .map(|row| {
            let numbers: Vec<String> =
                (1..=columns).map(|column| format!("?{}", row * columns + column)).collect();
            format!("({})", numbers.join(", "))
        })
        .collect();
    let mut statement = to.prepare(&format!("INSERT INTO {table} VALUES {}", marks.join(", ")))?;
    while !rows.is_empty() {
        let values: Vec<_> = rows.drain(..at_once).flatten().collect();
        statement.execute(values.as_slice())?;
    }
    Ok(())
}

/// Reads the copy back: it has the same rows, and is a ledger without problems.
fn verify(copy: &Connection, expected: &[(&'static str, TableDigest)]) -> Result<(), LedgerError> {
    for (table, expected) in expected {
        let found = rows_digest(copy, table)?;
        if found != *expected {
            let (table, read, written) = ((*table).to_owned(), expected.rows, found.rows);
            return Err(LedgerError::CopyDiffers { table, read, written });
        }
    }
    let problems = integrity::problems(copy)?;
    if problems.is_empty() {
        Ok(())
    } else {
        Err(LedgerError::CopyProblems { problems: problems.join("; ") })
    }
}

#[cfg(test)]
mod tests;

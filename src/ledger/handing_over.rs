//! Handing an order to the process that writes the ledger: the only statement that runs without the lock.
//!
//! The other process finds the order and carries it out, or the next one that opens the ledger does.

use std::{path::Path, time::Duration};

use rusqlite::{OpenFlags, config::DbConfig};

use super::{
    LedgerError, LedgerPlace, Order, OrderId, OrderResult, Snapshot, files,
    sql::Connection,
    values::{from_json, to_json},
};
use crate::domain::UnixMillis;

/// How long to wait for a commit of the other process.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// Leaves an order for the process that writes the ledger. After the return it is on the disk. Blocks.
pub fn hand_over(
    place: impl Into<LedgerPlace>,
    order: &Order,
    now: UnixMillis,
) -> Result<OrderId, LedgerError> {
    let place = &place.into();
    let text = place.to_string();
    // the ledger is checked without the right to write it
    let snapshot = Snapshot::open(place)?;
    let content = to_json(order)?;
    let insert = |connection: &Connection| {
        // one statement is one transaction, so the other process waits no longer than for a commit
        let sql = "INSERT INTO handed_order (at, content) VALUES (?1, ?2)";
        connection.insert(sql, (now.0, &content)).map(OrderId)
    };
    match place {
        LedgerPlace::File(path) => {
            let real = files::real_path(path)
                .map_err(|error| LedgerError::Unreadable { path: text.clone(), cause: error.to_string() })?;
            drop(snapshot);
            let connection = open_beside(&real).map_err(|error| error.at(&text))?;
            insert(&Connection::Sqlite(connection)).map_err(|error| error.at(&text))
        }
        LedgerPlace::Database(_) => insert(&snapshot.connection),
    }
}

/// A connection to a file that another process writes.
fn open_beside(path: &Path) -> Result<rusqlite::Connection, LedgerError> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = rusqlite::Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_WAIT)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    // the log is written into the main file by the process that holds the lock
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(connection)
}

impl Snapshot {
    /// What became of an order that was handed over. `None`: it has not been carried out yet.
    pub fn order_result(&self, order: OrderId) -> Result<Option<OrderResult>, LedgerError> {
        let sql = "SELECT result FROM handed_order WHERE id = ?1";
        let result: Option<String> = self.find(sql, [order.0])?;
        result.map(|text| from_json(&text)).transpose()
    }
}

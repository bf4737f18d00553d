//! Of a ledger and its copies one is in use: the others say so, and are not written. Otherwise each of them would send and pay
//! what the other one has sent.
//!
//! A note in the ledger itself says it, so it holds on every machine. `telecine recover` is the way out: it brings any ledger up to
//! date with the service.

use super::{LedgerError, LedgerPlace, Snapshot, sql::Connection};
use crate::domain::UnixMillis;

/// The name of the note in a ledger that was moved, with its new place.
const MOVED_TO: &str = "moved to";
/// The name of the note in a copy, with the place of the ledger that is in use.
const COPY_OF: &str = "copy of";

/// Which of a ledger and its copy is in use afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerInUse {
    /// The ledger that was copied.
    Source,
    /// The copy.
    Copy,
}

/// Refuses a ledger that is not in use any more, or was not yet.
pub(super) fn refuse_if_left(connection: &Connection, path: &str) -> Result<(), LedgerError> {
    let sql = "SELECT name, value, at FROM kv WHERE name = ?1 OR name = ?2";
    let found = connection.find_row(sql, (MOVED_TO, COPY_OF), |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, UnixMillis>(2)?))
    })?;
    let Some((name, other, at)) = found else { return Ok(()) };
    let (path, other) = (path.to_owned(), crate::redact::clean(&other));
    Err(if name == MOVED_TO {
        LedgerError::MovedAway { path, to: other, at }
    } else {
        LedgerError::IsCopy { path, of: other, at }
    })
}

/// Notes that the account goes on with a copy.
pub(super) fn note_moved(
    connection: &Connection,
    to: &LedgerPlace,
    at: UnixMillis,
) -> Result<(), LedgerError> {
    note(connection, MOVED_TO, to, at)
}

/// Notes in a copy that its ledger stays in use.
pub(super) fn note_copy(
    connection: &Connection,
    of: &LedgerPlace,
    at: UnixMillis,
) -> Result<(), LedgerError> {
    note(connection, COPY_OF, of, at)
}

fn note(connection: &Connection, name: &str, place: &LedgerPlace, at: UnixMillis) -> Result<(), LedgerError> {
    let sql = "INSERT INTO kv (name, value, at) VALUES (?1, ?2, ?3)";
    connection.execute(sql, (name, place.absolute().to_string(), at.0)).map(drop)
}

/// The ledger is in use again.
pub(super) fn forget(connection: &Connection) -> Result<(), LedgerError> {
    connection.execute("DELETE FROM kv WHERE name = ?1 OR name = ?2", (MOVED_TO, COPY_OF)).map(drop)
}

impl Snapshot {
    /// Why nothing is sent with this ledger: it was moved, is a copy, or is being recovered. `None`: it may be used.
    pub fn why_unused(&self, place: &LedgerPlace) -> Option<LedgerError> {
        let place = place.to_string();
        refuse_if_left(&self.connection, &place).and_then(|()| self.refuse_if_recovering(&place)).err()
    }

    /// Refuses a ledger whose recovery was begun and not ended.
    pub(super) fn refuse_if_recovering(&self, path: &str) -> Result<(), LedgerError> {
        if self.is_recovering()? {
            let manifests = self.manifests_of_recovery()?;
            return Err(LedgerError::HalfRecovered { path: path.to_owned(), manifests });
        }
        Ok(())
    }

    /// Whether the account goes on with a copy of this ledger.
    pub(super) fn is_moved(&self) -> Result<bool, LedgerError> {
        Ok(self.kv_get(MOVED_TO)?.is_some())
    }
}

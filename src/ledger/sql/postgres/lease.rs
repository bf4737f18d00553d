//! The lease of a ledger in a database: which process may write, by a term that grows with each holder.
//!
//! The lease is a row. The first statement of each transaction that writes is an update of that row on condition that holder,
//! term and the number of the last transaction are known. So a process that lost the lease changes nothing, whatever it
//! believes, and no clocks of two machines are compared: only the database decides whether a lease has expired.

use std::{cell::Cell, cmp::Ordering, sync::Arc};

use rusqlite::types::Value;

use super::{
    PostgresConnection, retry_while_lost,
    worker::{DatabaseAnswer, Renewal},
};
use crate::ledger::LedgerError;

/// A lease that this process took.
pub(super) struct Lease {
    holder: String,
    term: i64,
    /// The number of the last transaction that was committed in this term.
    committed: Cell<i64>,
    length_ms: i64,
}

/// Who holds the lease, as the database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct Holder {
    /// `process 4711 on host`.
    pub(in crate::ledger) name: String,
    pub(in crate::ledger) term: i64,
    /// Milliseconds since it renewed the lease, by the clock of the database.
    pub(in crate::ledger) seen_ms: i64,
    /// Whether another process may take the lease.
    pub(in crate::ledger) is_free: bool,
}

/// The server gives each holder a random name.
const TAKE: &str = "UPDATE lease SET holder = gen_random_uuid()::text, name = ?1, term = term + 1, seq = 0, \
     renewed_at = now_ms(), until = now_ms() + ?2 WHERE holder = '' OR until < now_ms() RETURNING holder, term";
/// The first statement of each transaction.
const RENEW: &str = "UPDATE lease SET seq = ?3, renewed_at = now_ms(), until = now_ms() + ?4 \
     WHERE holder = ?1 AND term = ?2 AND seq = ?3 - 1";
/// While there are no transactions.
const RENEW_IDLE: &str =
    "UPDATE lease SET renewed_at = now_ms(), until = now_ms() + ?3 WHERE holder = ?1 AND term = ?2";
/// It waits for the end of a transaction whose answer was lost, and its own commit proves that what came before is replicated.
const READ_BACK: &str =
    "UPDATE lease SET renewed_at = now_ms() WHERE holder = ?1 AND term = ?2 RETURNING seq";
const RELEASE: &str = "UPDATE lease SET holder = '', until = now_ms() WHERE holder = ?1 AND term = ?2";

impl Lease {
    pub(super) fn take(connection: &PostgresConnection) -> Result<Self, LedgerError> {
        let length_ms = connection.worker.address().lease_ms();
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let name = format!("process {} on {host}", std::process::id());
        let values = (name, length_ms);
        let statement = connection.statement(TAKE);
        let mut taken = statement.query(&values)?;
        if let Some(row) = taken.next_row()? {
            return Ok(Self { holder: row.get(0)?, term: row.get(1)?, committed: Cell::new(0), length_ms });
        }
        let held = self::holder(connection)?;
        Err(LedgerError::LeaseHeld {
            place: connection.worker.address().to_string(),
            holder: held.name,
            term: held.term,
            seen_s: held.seen_ms / 1_000,
        })
    }

    /// What renews the lease while there are no transactions.
    pub(super) fn renewal(&self) -> Renewal {
        let holder = Value::Text(self.holder.clone());
        let values = vec![holder, Value::Integer(self.term), Value::Integer(self.length_ms)];
        Renewal { sql: Arc::from(RENEW_IDLE), values }
    }

    /// The first statement of a transaction.
    pub(super) fn renew(&self, connection: &PostgresConnection) -> Result<(), LedgerError> {
        let values = (self.holder.as_str(), self.term, self.committed.get() + 1, self.length_ms);
        let changed = connection.statement(RENEW).execute(&values)?;
        fail::fail_point!("lost_lease_is_trusted", |_| Ok(()));
        if changed == 1 { Ok(()) } else { Err(self.lost(connection)) }
    }

    pub(super) fn committed(&self) {
        self.committed.set(self.committed.get() + 1);
    }

    /// Reads whether the transaction was committed whose answer was lost. An error if it was not, so that it may be done again,
    /// and if nobody can know it.
    pub(super) fn was_committed(
        &self,
        connection: &PostgresConnection,
        cause: String,
    ) -> Result<(), LedgerError> {
        let values = (self.holder.as_str(), self.term);
        let sent = self.committed.get() + 1;
        let found = retry_while_lost(|| {
            let answer = connection.statement(READ_BACK).ask(&values)?;
            refuse_unreplicated(&answer)?;
            let mut rows = super::PostgresRows { answer, cursor: None };
            rows.next_row()?.map(|row| row.get::<i64>(0)).transpose()
        });
        if let Err(LedgerError::ConnectionLost { cause }) = found {
            // it may be committed, so it is not done again
            return Err(LedgerError::CommitUnknown { cause });
        }
        match found? {
            Some(seq) if seq == sent => {
                self.committed();
                Ok(())
            }
            Some(seq) if seq == sent - 1 => Err(LedgerError::ConnectionLost { cause }),
            Some(_) | None => Err(self.lost(connection)),
        }
    }

    /// Why the lease is not as this process left it: another process took it, or the database lost what it had committed.
    fn lost(&self, connection: &PostgresConnection) -> LedgerError {
        let place = connection.worker.address().to_string();
        let found = Self::found(connection);
        let Ok(Some((holder, name, term, seq))) = found else {
            return LedgerError::LeaseLost { place, term: self.term, holder: "another process".to_owned() };
        };
        match (term.cmp(&self.term), holder == self.holder) {
            (Ordering::Less, _) => LedgerError::LostCommits { place },
            (Ordering::Equal, true) if seq < self.committed.get() => LedgerError::LostCommits { place },
            (Ordering::Equal, true) => {
                LedgerError::CommitUnknown { cause: "an earlier answer never came".to_owned() }
            }
            _ => LedgerError::LeaseLost { place, term: self.term, holder: name },
        }
    }

    /// The holder, its name, its term and its last transaction, as the database has them.
    fn found(connection: &PostgresConnection) -> Result<Option<(String, String, i64, i64)>, LedgerError> {
        let values: [&dyn rusqlite::ToSql; 0] = [];
        let statement = connection.statement("SELECT holder, name, term, seq FROM lease");
        let mut rows = statement.query(&values)?;
        let read = |row: super::NextRow| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        rows.next_row()?.map(read).transpose()
    }

    /// Lets the next process take the lease at once.
    pub(super) fn release(&self, connection: &PostgresConnection) -> Result<(), LedgerError> {
        connection.statement(RELEASE).execute(&(self.holder.as_str(), self.term)).map(drop)
    }
}

/// Who holds the lease, or held it last.
pub(in crate::ledger) fn holder(connection: &PostgresConnection) -> Result<Holder, LedgerError> {
    let sql = "SELECT name, term, now_ms() - renewed_at, holder = '' OR until < now_ms() FROM lease";
    let values: [&dyn rusqlite::ToSql; 0] = [];
    let statement = connection.statement(sql);
    let mut rows = statement.query(&values)?;
    let no_lease = || LedgerError::Impossible { what: "no row of the lease".to_owned() };
    let row = rows.next_row()?.ok_or_else(no_lease)?;
    Ok(Holder { name: row.get(0)?, term: row.get(1)?, seen_ms: row.get(2)?, is_free: row.get(3)? })
}

/// A warning with a commit: the server gave up waiting for a standby. The commit may be lost with the server.
pub(super) fn refuse_unreplicated(answer: &DatabaseAnswer) -> Result<(), LedgerError> {
    fail::fail_point!("replication_is_not_checked", |_| Ok(()));
    match &answer.warning {
        None => Ok(()),
        Some(warning) => Err(LedgerError::NotReplicated { cause: warning.clone() }),
    }
}

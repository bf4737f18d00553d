//! A digest of the rows of a table that does not depend on their order: the engines return them in different ones.

use rusqlite::types::Value;

use crate::{
    domain::hex,
    ledger::{LedgerError, sql::Connection},
};

/// How many rows, and the sum of their digests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TableDigest {
    pub(super) rows: u64,
    sum: u128,
}

impl TableDigest {
    /// Adds a row, and returns its length in bytes.
    pub(super) fn add(&mut self, values: &[Value]) -> usize {
        let mut hasher = blake3::Hasher::new();
        let mut length = 0;
        for value in values {
            let number;
            let (kind, bytes): (u8, &[u8]) = match value {
                Value::Null => (0, &[]),
                Value::Integer(integer) => {
                    number = integer.to_le_bytes();
                    (1, &number)
                }
                Value::Real(real) => {
                    number = real.to_le_bytes();
                    (2, &number)
                }
                Value::Text(text) => (3, text.as_bytes()),
                Value::Blob(blob) => (4, blob),
            };
            // with its length, so that no two rows have the same bytes
            hasher.update(&[kind]).update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
            length += bytes.len();
        }
        let mut first = [0; 16];
        first.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        self.rows += 1;
        self.sum = self.sum.wrapping_add(u128::from_le_bytes(first));
        length
    }
}

/// Reads all rows of a table.
pub(super) fn rows_digest(of: &Connection, table: &str) -> Result<TableDigest, LedgerError> {
    let mut statement = of.prepare(&format!("SELECT * FROM {table}"))?;
    let mut rows = statement.stream([])?;
    let mut digest = TableDigest::default();
    while let Some(row) = rows.next()? {
        digest.add(&row.values()?);
    }
    Ok(digest)
}

/// A digest of all tables.
pub(super) fn of_ledger(tables: &[(&'static str, TableDigest)]) -> String {
    let mut hasher = blake3::Hasher::new();
    for (table, digest) in tables {
        hasher.update(table.as_bytes()).update(&digest.rows.to_le_bytes()).update(&digest.sum.to_le_bytes());
    }
    hex(&hasher.finalize().as_bytes()[..16])
}

//! Reading the ledger: the connection, and the reads of `status` and the reports. The reads of the stages are in `store`.

pub(super) mod aggregates;
mod deletions;
pub(super) mod history;
mod items;
pub(super) mod listed;
pub(super) mod running;
mod runs;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::{LedgerError, files, integrity, schema, values::impossible};
use crate::domain::UnixMillis;

pub use aggregates::{
    Capture, CauseCount, CauseExample, FaultCount, ManifestCounts, ReportScope, RequestTimes,
};
pub use history::{AnswerRow, DeletionRow, EventRow, ItemHistory, RequestRow};
pub use items::{ItemRow, OpenQuestion, RowIssue, RowIssueKind};
pub use listed::{ListFilter, ListedItem, ReasonCount};
pub use running::{FilesSent, LastError, RunPace};
pub use runs::{RequestCounts, RunRow, RunUploads};

/// Prepared statements kept: all that a run reads with.
const STATEMENTS_KEPT: usize = 64;

/// The service of a ledger that belongs to none yet.
pub const NO_SERVICE: &str = "no service yet";

/// A connection that reads. Each call sees the ledger as of one time.
pub struct Snapshot {
    pub(super) connection: Connection,
    path: PathBuf,
}

impl Snapshot {
    /// The reads of the connection that writes.
    pub(super) const fn of_writer(connection: Connection, path: PathBuf) -> Self {
        Self { connection, path }
    }

    /// Opens the ledger at `path` for reading only. It must exist.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let text = path.display().to_string();
        let unreadable = |error: std::io::Error| {
            let path = text.clone();
            if error.kind() == std::io::ErrorKind::NotFound {
                LedgerError::Missing { path }
            } else {
                LedgerError::Unreadable { path, cause: error.to_string() }
            }
        };
        let path = &files::real_path(path).map_err(unreadable)?;
        std::fs::metadata(path).map_err(unreadable)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        let version = schema::recognise(&connection, &text).map_err(|error| error.at(&text))?;
        if version == 0 {
            return Err(LedgerError::Missing { path: text });
        }
        if version < schema::version() {
            return Err(LedgerError::Outdated { path: text });
        }
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        // otherwise a statement is planned again whenever a value used by a partial index changes
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        Ok(Self { connection, path: path.clone() })
    }

    /// Runs several reads on the ledger as of one time.
    pub fn at_one_time<T, E: From<LedgerError>>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let transaction = self.connection.unchecked_transaction().map_err(LedgerError::from)?;
        let result = work(self);
        transaction.commit().map_err(LedgerError::from)?;
        result
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// One value. `None`: no row, or `NULL`.
    pub(super) fn find<T: rusqlite::types::FromSql>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
    ) -> Result<Option<T>, LedgerError> {
        use rusqlite::OptionalExtension as _;
        let found = self
            .connection
            .prepare_cached(sql)?
            .query_row(values, |row| row.get::<_, Option<T>>(0))
            .optional()?;
        Ok(found.flatten())
    }

    pub(super) fn count(&self, sql: &str, values: impl rusqlite::Params) -> Result<u64, LedgerError> {
        let count: i64 = self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?;
        u64::try_from(count).map_err(|_| impossible(format!("a count of {count}")))
    }

    /// The service the ledger belongs to.
    pub fn origin(&self) -> Result<String, LedgerError> {
        let origin: String =
            self.connection.query_row("SELECT origin FROM identity", [], |row| row.get(0))?;
        Ok(if origin.is_empty() { NO_SERVICE.to_owned() } else { origin })
    }

    /// A digest of the state of the ledger.
    pub fn digest(&self) -> Result<String, LedgerError> {
        let sql = "SELECT coalesce((SELECT id || ':' || hex(chain) FROM event ORDER BY id DESC LIMIT 1), '') || '/' || \
                   (SELECT count(*) FROM run) || '/' || coalesce((SELECT sum(count) FROM state_count), 0) || '/' || \
                   coalesce((SELECT max(id) FROM external_usage WHERE endpoint = 'upload'), 0) || '/' || \
                   coalesce((SELECT max(probed_at) FROM probe), 0) || '/' || \
                   coalesce((SELECT group_concat(name || ':' || at) FROM kv), '')";
        Ok(self.connection.query_row(sql, [], |row| row.get(0))?)
    }

    /// Uploads paid or possibly paid, over all runs.
    pub fn committed_uploads(&self) -> Result<u64, LedgerError> {
        self.count("SELECT uploads FROM committed_uploads", [])
    }

    /// When anything last happened to an item.
    pub fn last_event_at(&self) -> Result<Option<UnixMillis>, LedgerError> {
        self.find("SELECT at FROM event ORDER BY id DESC LIMIT 1", [])
    }

    /// How many items have a state that contradicts their latest attempt. Any is a bug.
    pub fn contradictions(&self) -> Result<u64, LedgerError> {
        self.count(integrity::RULES[0].1, [])
    }

    /// The problems of the ledger, each as a sentence. Reads all of it.
    pub fn problems(&self) -> Result<Vec<String>, LedgerError> {
        integrity::problems(&self.connection)
    }

    /// Writes a consistent copy of the ledger to a new file.
    pub fn copy_to(&self, path: &Path) -> Result<(), LedgerError> {
        let text = path.display().to_string();
        if path.exists() {
            let cause = "it exists already".to_owned();
            return Err(LedgerError::Unwritable { path: text, cause });
        }
        // made with the owner's rights only, before SQLite writes into it
        super::open::make_private(path)
            .map_err(|error| LedgerError::Unwritable { path: text.clone(), cause: error.to_string() })?;
        self.connection
            .execute("VACUUM INTO ?1", [&text])
            .map_err(|error| LedgerError::from(error).at(&text))?;
        Ok(())
    }
}

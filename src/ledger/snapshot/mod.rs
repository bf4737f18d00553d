//! Reading the ledger: the connection, and the reads of `status` and the reports. The reads of the stages are in `store`.

pub(super) mod aggregates;
mod deletions;
pub(super) mod history;
mod items;
pub(super) mod listed;
pub(super) mod running;
mod runs;

use std::path::Path;

use rusqlite::{OpenFlags, config::DbConfig, types::FromSql};

use super::{
    LedgerError, LedgerPlace, files, integrity, schema,
    sql::{Connection, Control, Params, postgres},
    values::impossible,
};
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
    place: LedgerPlace,
}

impl Snapshot {
    /// The reads of the connection that writes.
    pub(super) const fn of_writer(connection: Connection, place: LedgerPlace) -> Self {
        Self { connection, place }
    }

    /// Opens a ledger for reading only. It must exist.
    pub fn open(place: impl Into<LedgerPlace>) -> Result<Self, LedgerError> {
        let place = place.into();
        match &place {
            LedgerPlace::File(path) => {
                let (connection, path) = open_file(path)?;
                Ok(Self { connection: Connection::Sqlite(connection), place: path.into() })
            }
            LedgerPlace::Database(address) => {
                let connection = postgres::PostgresConnection::open(address)?;
                refuse_other_versions(postgres::recognise(&connection, schema::version())?, &place)?;
                Ok(Self { connection: Connection::Postgres(connection), place })
            }
        }
    }

    /// The same, if there is a ledger.
    pub fn open_if_there(place: impl Into<LedgerPlace>) -> Result<Option<Self>, LedgerError> {
        match Self::open(place) {
            Err(LedgerError::Missing { .. }) => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// Runs several reads on the ledger as of one time.
    pub fn at_one_time<T, E: From<LedgerError>>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, E>,
    ) -> Result<T, E> {
        self.connection.control(Control::BeginRead)?;
        let result = work(self);
        let ended = self.connection.control(Control::Commit);
        let result = result?;
        ended?;
        Ok(result)
    }

    pub(super) const fn place(&self) -> &LedgerPlace {
        &self.place
    }

    /// One value. `None`: no row, or `NULL`.
    pub(super) fn find<T: FromSql>(&self, sql: &str, values: impl Params) -> Result<Option<T>, LedgerError> {
        Ok(self.connection.find_row(sql, values, |row| row.get::<_, Option<T>>(0))?.flatten())
    }

    pub(super) fn count(&self, sql: &str, values: impl Params) -> Result<u64, LedgerError> {
        let count: i64 = self.connection.query_row(sql, values, |row| row.get(0))?;
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
                   coalesce((SELECT string_agg(name || ':' || at, ',') FROM kv), '')";
        self.connection.query_row(sql, [], |row| row.get(0))
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
        let Some(connection) = self.connection.sqlite() else {
            let cause = "a backup of a database is made by its own means, such as pg_dump; `telecine ledger copy` writes its \
                         content into a file";
            return Err(LedgerError::Database { place: self.place.to_string(), cause: cause.to_owned() });
        };
        let refused = |cause: String| LedgerError::CopyTarget { place: text.clone(), cause };
        // made with the owner's rights only, before SQLite writes into it
        super::open::make_private(path).map_err(|error| {
            refused(if error.kind() == std::io::ErrorKind::AlreadyExists {
                "it exists already; name a new file".to_owned()
            } else {
                format!("{error}; name a file in a folder that you can write")
            })
        })?;
        let Err(error) = connection.execute("VACUUM INTO ?1", [&text]) else { return Ok(()) };
        // half a copy is none
        let _ = std::fs::remove_file(path);
        let error = LedgerError::from(error).of_copy(&text);
        if let LedgerError::Unwritable { cause, .. } = error {
            return Err(refused(format!("{cause}; name another file")));
        }
        Err(error.at(&text))
    }
}

/// A connection to a file that only reads, and the real path of the file.
fn open_file(path: &Path) -> Result<(rusqlite::Connection, std::path::PathBuf), LedgerError> {
    let text = path.display().to_string();
    let unreadable = |error: std::io::Error| {
        let path = text.clone();
        if error.kind() == std::io::ErrorKind::NotFound {
            LedgerError::Missing { path }
        } else {
            LedgerError::Unreadable { path, cause: error.to_string() }
        }
    };
    let path = files::real_path(path).map_err(unreadable)?;
    // SQLite does not say why it cannot open a file
    files::refuse_other_kinds(&path)
        .and_then(|()| std::fs::File::open(&path).map(drop))
        .map_err(unreadable)?;
    let unusable = |error: LedgerError| {
        let path = text.clone();
        if let LedgerError::Unwritable { cause, .. } = error {
            let why = "to read it, SQLite must be able to write -wal and -shm files in its folder";
            return LedgerError::Unreadable { path, cause: format!("{cause}: {why}") };
        }
        error.at(&path)
    };
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection =
        rusqlite::Connection::open_with_flags(&path, flags).map_err(|error| unusable(error.into()))?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    let version = schema::recognise(&connection, &text).map_err(unusable)?;
    refuse_other_versions(version, &LedgerPlace::File(path.clone()))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    // otherwise a statement is planned again whenever a value used by a partial index changes
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok((connection, path))
}

/// Refuses to read what this program would not have written. Newer versions were refused before.
fn refuse_other_versions(version: i64, place: &LedgerPlace) -> Result<(), LedgerError> {
    match version {
        0 => Err(LedgerError::Missing { path: place.to_string() }),
        version if version < schema::version() => Err(LedgerError::Outdated { path: place.to_string() }),
        _ => Ok(()),
    }
}

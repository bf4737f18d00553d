//! The place of a copy while it is made. Everything is one transaction: before its commit there is no ledger.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use rusqlite::OpenFlags;

use crate::ledger::{
    LedgerError, LedgerPlace,
    files::with_suffix,
    open, schema,
    sql::{Connection, Control, postgres},
};

/// Memory SQLite may use for pages, in KiB.
const CACHE_KIB: i64 = 64 * 1024;
/// What SQLite makes beside a file.
const SUFFIXES: [&str; 4] = ["", "-journal", "-wal", "-shm"];

/// A copy that is not committed. Dropped, nothing of it is left.
pub(super) struct CopyTarget {
    connection: Connection,
    place: LedgerPlace,
    /// The lock of a file.
    _lock: Option<File>,
    /// A file that was made for it.
    made: Option<PathBuf>,
}

impl CopyTarget {
    /// Makes the tables without triggers, indexes and references. The place must be new or empty.
    pub(super) fn begin(place: &LedgerPlace) -> Result<Self, LedgerError> {
        let (tables, _) = schema::tables_and_rest();
        match place {
            LedgerPlace::File(path) => Self::begin_file(path, &tables),
            LedgerPlace::Database(address) => {
                let connection = postgres::PostgresConnection::open(&address.with_patience())?;
                let connection = Connection::Postgres(connection);
                connection.control(Control::Begin)?;
                let target = Self { connection, place: place.clone(), _lock: None, made: None };
                if let Connection::Postgres(connection) = &target.connection {
                    postgres::begin_copy(connection, &tables, schema::version())?;
                }
                Ok(target)
            }
        }
    }

    fn begin_file(path: &Path, tables: &str) -> Result<Self, LedgerError> {
        let text = path.display().to_string();
        let path = open::prepare_folder(path)?;
        let refuse_content = || match fs::metadata(&path) {
            Ok(meta) if meta.len() > 0 => Err(LedgerError::CopyTarget {
                place: text.clone(),
                cause: "it is there and not empty; name a new file".to_owned(),
            }),
            _ => Ok(()),
        };
        refuse_content()?;
        let lock = open::lock(&path)?;
        refuse_content()?;
        let made = (!path.exists()).then(|| path.clone());
        open::prepare_file(&path)
            .map_err(|error| LedgerError::Unwritable { path: text.clone(), cause: error.to_string() })?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let opened = rusqlite::Connection::open_with_flags(&path, flags)?;
        // rows come before those that they refer to; the references are checked at the end
        opened.pragma_update(None, "foreign_keys", false)?;
        // a new file needs a journal of one page, and is written once
        opened.pragma_update(None, "synchronous", "EXTRA")?;
        opened.pragma_update(None, "fullfsync", true)?;
        opened.pragma_update(None, "cache_size", -CACHE_KIB)?;
        let connection = Connection::Sqlite(opened);
        let target = Self { connection, place: path.into(), _lock: Some(lock), made };
        target.connection.control(Control::Begin)?;
        if let Some(connection) = target.connection.sqlite() {
            connection.execute_batch(tables)?;
            schema::stamp(connection)?;
        }
        Ok(target)
    }

    pub(super) const fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) const fn place(&self) -> &LedgerPlace {
        &self.place
    }

    /// Adds triggers, indexes, views and references.
    pub(super) fn end(&self) -> Result<(), LedgerError> {
        let (tables, rest) = schema::tables_and_rest();
        match &self.connection {
            Connection::Sqlite(connection) => Ok(connection.execute_batch(&rest)?),
            Connection::Postgres(connection) => {
                postgres::end_copy(connection, &tables, &rest, &schema::numbered_tables())
            }
        }
    }

    /// Makes it a ledger.
    pub(super) fn commit(mut self) -> Result<(), LedgerError> {
        self.connection.control(Control::Commit)?;
        self.made = None;
        Ok(())
    }
}

impl Drop for CopyTarget {
    fn drop(&mut self) {
        if !self.connection.is_autocommit() {
            // a lost connection has ended the transaction
            let _ = self.connection.control(Control::Rollback);
        }
        if let Some(path) = self.made.take() {
            for suffix in SUFFIXES {
                // what is left is an empty file
                let _ = fs::remove_file(with_suffix(&path, suffix));
            }
        }
    }
}

//! Read-only access to the ledger by a connection of its own: for `status` and reports, also while an import runs.

mod items;
mod runs;

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::{
    ExternalUsage, LedgerError, LibraryVideo, StateCounts, UploadUsage, VideoOwner, integrity, schema, store,
};
use crate::domain::UnixMillis;

pub use items::{ItemRow, OpenQuestion, PlannedAction, RowIssue, RowIssueKind};
pub use runs::{RequestCounts, RunRow};

/// A consistent view for the length of each call; never writes.
pub struct Snapshot {
    connection: Connection,
}

impl Snapshot {
    /// Opens the ledger at `path` for reading only; it must be there.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let text = path.display().to_string();
        if !path.exists() {
            return Err(LedgerError::Missing { path: text });
        }
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
        Ok(Self { connection })
    }

    pub(in crate::ledger) const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whose video this is, by its number or the marker it carries.
    pub fn video_owner(&self, video: &LibraryVideo) -> Result<VideoOwner, LedgerError> {
        store::video_owner(&self.connection, video)
    }

    /// How many items are in each state.
    pub fn state_counts(&self) -> Result<StateCounts, LedgerError> {
        store::state_counts(&self.connection)
    }

    /// The service the ledger belongs to.
    pub fn origin(&self) -> Result<String, LedgerError> {
        let origin: String =
            self.connection.query_row("SELECT origin FROM identity", [], |row| row.get(0))?;
        Ok(if origin.is_empty() { "no service yet".to_owned() } else { origin })
    }

    /// No clock may be before this: the latest of all recorded times.
    pub fn latest_timestamp(&self) -> Result<UnixMillis, LedgerError> {
        store::latest_timestamp(&self.connection)
    }

    /// The text stored under a name.
    pub fn kv_get(&self, name: &str) -> Result<Option<String>, LedgerError> {
        use rusqlite::OptionalExtension as _;
        let sql = "SELECT value FROM kv WHERE name = ?1";
        Ok(self.connection.query_row(sql, [name], |row| row.get(0)).optional()?)
    }

    /// Uploads that may count after `since`, and at least the latest `count_min`; reads and foreign requests since then.
    pub fn past(
        &self,
        since: UnixMillis,
        count_min: u32,
    ) -> Result<(Vec<UploadUsage>, Vec<ExternalUsage>), LedgerError> {
        Ok((
            store::past_uploads(&self.connection, since, count_min)?,
            store::external_usages(&self.connection, since)?,
        ))
    }

    /// A digest of everything that happened: any other state of the ledger has another.
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
        let count: i64 =
            self.connection.query_row("SELECT uploads FROM committed_uploads", [], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// When anything last happened to an item.
    pub fn last_event_at(&self) -> Result<Option<UnixMillis>, LedgerError> {
        use rusqlite::OptionalExtension as _;
        let sql = "SELECT at FROM event ORDER BY id DESC LIMIT 1";
        Ok(self.connection.query_row(sql, [], |row| row.get::<_, i64>(0)).optional()?.map(UnixMillis))
    }

    /// Items whose state does not follow from their latest attempt; any is a bug.
    pub fn contradictions(&self) -> Result<u64, LedgerError> {
        let (_, sql) = integrity::RULES[0];
        let count: i64 = self.connection.query_row(sql, [], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Everything that is wrong with the ledger, each as a sentence; reads all of it.
    pub fn problems(&self) -> Result<Vec<String>, LedgerError> {
        integrity::problems(&self.connection)
    }

    /// Writes a copy of the ledger, whole as of now, to a file that is not there yet.
    pub fn copy_to(&self, path: &Path) -> Result<(), LedgerError> {
        let text = path.display().to_string();
        if path.exists() {
            let cause = "it is there already".to_owned();
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

    /// When the next accepted item is due to be polled.
    pub fn next_poll_at(&self) -> Result<Option<UnixMillis>, LedgerError> {
        let sql = "SELECT min(poll_at) FROM item WHERE poll_at IS NOT NULL";
        Ok(self.connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0))?.map(UnixMillis))
    }
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, LedgerError> {
    serde_json::from_str(text)
        .map_err(|error| store::impossible(format!("a value that cannot be read: {error}")))
}

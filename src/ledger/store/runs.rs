//! Runs and the manifests they read.

use super::Store;
use crate::{
    item::UnixMillis,
    ledger::{LedgerError, RunId, SourceId},
};

impl Store {
    pub(in crate::ledger) fn begin_run(
        &self,
        name: &str,
        command: &str,
        at: UnixMillis,
    ) -> Result<RunId, LedgerError> {
        self.connection.execute("DELETE FROM aside", [])?;
        self.connection.execute(
            "INSERT INTO run (name, command, started_at) VALUES (?1, ?2, ?3)",
            (name, command, at.0),
        )?;
        Ok(RunId(self.connection.last_insert_rowid()))
    }

    pub(in crate::ledger) fn end_run(
        &self,
        run: RunId,
        at: UnixMillis,
        exit_code: u8,
        reason: &str,
    ) -> Result<(), LedgerError> {
        self.change_one(
            "UPDATE run SET ended_at = ?2, exit_code = ?3, exit_reason = ?4 WHERE id = ?1",
            (run.0, at.0, exit_code, reason),
        )
    }

    pub(in crate::ledger) fn begin_reading(
        &self,
        run: RunId,
        identity: &str,
        columns: &[String],
    ) -> Result<SourceId, LedgerError> {
        let columns = super::to_json(columns)?;
        self.connection.execute(
            "INSERT INTO source (identity, columns) VALUES (?1, ?2) \
             ON CONFLICT (identity) DO UPDATE SET columns = excluded.columns",
            (identity, columns),
        )?;
        let source = self
            .find("SELECT id FROM source WHERE identity = ?1", [identity])?
            .map(SourceId)
            .ok_or_else(|| super::impossible("a source that vanished".to_owned()))?;
        self.connection
            .execute("INSERT OR IGNORE INTO reading (run, source) VALUES (?1, ?2)", (run.0, source.0))?;
        Ok(source)
    }

    pub(in crate::ledger) fn end_reading(&self, run: RunId, source: SourceId) -> Result<(), LedgerError> {
        self.change_one("UPDATE reading SET complete = 1 WHERE run = ?1 AND source = ?2", (run.0, source.0))
    }

    /// No clock may be before this: the latest of all recorded moments.
    pub(in crate::ledger) fn latest_moment(&self) -> Result<UnixMillis, LedgerError> {
        let latest: Option<i64> = self.find(
            "SELECT max(at) FROM (SELECT max(coalesce(ended_at, started_at)) AS at FROM run \
             UNION ALL SELECT at FROM (SELECT at FROM event ORDER BY id DESC LIMIT 1) \
             UNION ALL SELECT created_at FROM identity)",
            [],
        )?;
        Ok(UnixMillis(latest.unwrap_or(0)))
    }
}

//! Runs and the manifests they read.

use super::Store;
use crate::{
    domain::UnixMillis,
    ledger::{
        BootTime, LedgerError, ManifestId, RunId, Snapshot,
        values::{impossible, to_json},
    },
};

impl Snapshot {
    /// The latest time the ledger knows of: no clock may be before it.
    pub fn latest_timestamp(&self) -> Result<UnixMillis, LedgerError> {
        let sql = "SELECT max(at) FROM (SELECT max(coalesce(ended_at, started_at)) AS at FROM run \
                   UNION ALL SELECT at FROM (SELECT at FROM event ORDER BY id DESC LIMIT 1) AS latest \
                   UNION ALL SELECT created_at FROM identity) AS times";
        Ok(self.find(sql, [])?.unwrap_or(UnixMillis(0)))
    }

    /// The name of a manifest: its path.
    pub fn manifest_name(&self, manifest: ManifestId) -> Result<String, LedgerError> {
        Ok(self.find("SELECT identity FROM manifest WHERE id = ?1", [manifest.0])?.unwrap_or_default())
    }
}

impl Store {
    /// Begins a run. One that reads manifests deletes the row issues of earlier runs: it finds its own. `boot` shows how much time really passed since the last
    /// run.
    pub fn begin_run(
        &self,
        name: &str,
        command: &str,
        at: UnixMillis,
        boot: Option<&BootTime>,
    ) -> Result<RunId, LedgerError> {
        if !matches!(command, "reconcile" | "undo") {
            self.connection.execute("DELETE FROM row_issue", [])?;
        }
        let known_ms = self.jump_since_latest_run(at, boot)?;
        let clock_skew_ms = match known_ms {
            Some(clock_skew_ms) => clock_skew_ms,
            None => self.last_timestamp()?.map_or(0, |last| at.since_ms(last).max(0)),
        };
        let boot_ms = boot.map(|boot| boot.since_ms);
        let run = self.connection.insert(
            "INSERT INTO run (name, command, started_at, boot, boot_ms, clock_skew_ms, clock_skew_known) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            (name, command, at.0, boot.map(|boot| &boot.id), boot_ms, clock_skew_ms, known_ms.is_some()),
        )?;
        Ok(RunId(run))
    }

    /// Records how a run ended.
    pub fn end_run(
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

    /// Begins the reading of a manifest by `run`. With an unchanged `stamp` its items may be sent at once. Otherwise each
    /// item must be read again first.
    pub fn begin_manifest_read(
        &self,
        run: RunId,
        identity: &str,
        columns: &[String],
        stamp: Option<&str>,
    ) -> Result<ManifestId, LedgerError> {
        let columns = to_json(columns)?;
        self.connection.execute(
            "INSERT INTO manifest (identity, columns) VALUES (?1, ?2) \
             ON CONFLICT (identity) DO UPDATE SET columns = excluded.columns",
            (identity, columns),
        )?;
        let manifest = self
            .find("SELECT id FROM manifest WHERE identity = ?1", [identity])?
            .map(ManifestId)
            .ok_or_else(|| impossible("a manifest that vanished".to_owned()))?;
        let known_stamp: Option<String> =
            self.find("SELECT stamp FROM manifest WHERE id = ?1", [manifest.0])?;
        let is_unchanged = stamp.is_some() && known_stamp.as_deref() == stamp;
        self.connection.execute(
            "INSERT INTO manifest_read (run, manifest, unchanged) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            (run.0, manifest.0, is_unchanged),
        )?;
        if !is_unchanged {
            // the content of a changed file is unknown until it is read to its end
            self.change_one("UPDATE manifest SET stamp = NULL WHERE id = ?1", [manifest.0])?;
        }
        Ok(manifest)
    }

    /// Ends a reading, and holds back pending items that were not in it: their rows were removed. Returns how
    /// many.
    pub fn end_manifest_read(
        &self,
        run: RunId,
        manifest: ManifestId,
        stamp: Option<&str>,
    ) -> Result<u64, LedgerError> {
        self.change_one(
            "UPDATE manifest_read SET complete = 1 WHERE run = ?1 AND manifest = ?2",
            (run.0, manifest.0),
        )?;
        self.change_one("UPDATE manifest SET stamp = ?2 WHERE id = ?1", (manifest.0, stamp))?;
        let removed = self.connection.execute(
            "UPDATE item SET manifest = 0 WHERE manifest = ?2 AND state IN ('pending', 'in_doubt', 'accepted_unidentified', 'needs_review') \
             AND NOT EXISTS (SELECT 1 FROM last_seen WHERE last_seen.item = item.id AND last_seen.run = ?1)",
            (run.0, manifest.0),
        )?;
        Ok(removed)
    }
}

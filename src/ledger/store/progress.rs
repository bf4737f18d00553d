//! Progress: counts of items by state, links that expire, and when the service was last used.

use super::ACCEPTED_AT;
use crate::{
    domain::UnixMillis,
    ledger::{
        Expiring, ItemId, LedgerError, ManifestId, RunId, RunProgress, Snapshot, StateCounts,
        sql::Params,
        values::{limit, state_of, unsigned},
    },
};

impl Snapshot {
    /// How many items are in each state.
    pub fn state_counts(&self) -> Result<StateCounts, LedgerError> {
        self.state_counts_by("SELECT state, sum(count) FROM state_count GROUP BY state", [])
    }

    pub(in crate::ledger) fn state_counts_by(
        &self,
        sql: &str,
        values: impl Params,
    ) -> Result<StateCounts, LedgerError> {
        let mut state_counts = StateCounts::default();
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query(values)?;
        while let Some(row) = rows.next()? {
            let state = state_of(&row.get::<_, String>(0)?)?;
            state_counts.set(state, unsigned(&row, 1)?);
        }
        Ok(state_counts)
    }

    /// How many items of these manifests wait to be sent, and how many of all are in each state. A link that does not
    /// live until `alive_at` has expired.
    pub fn run_progress(
        &self,
        run: RunId,
        manifests: &[ManifestId],
        alive_at: UnixMillis,
    ) -> Result<RunProgress, LedgerError> {
        Ok(RunProgress {
            pending: self.pending(run, manifests)?,
            expired: self.expired(manifests, alive_at)?,
            state_counts: self.state_counts()?,
            last_accepted_at: self.last_accepted_at()?,
        })
    }

    fn pending(&self, run: RunId, manifests: &[ManifestId]) -> Result<u64, LedgerError> {
        let mut sum = 0;
        for manifest in manifests {
            sum += if self.is_manifest_current(run, *manifest)? {
                self.count(
                    "SELECT coalesce(sum(count), 0) FROM state_count WHERE state = 'pending' AND manifest = ?1",
                    [manifest.0],
                )?
            } else {
                self.count(
                    "SELECT count(*) FROM item JOIN last_seen ON last_seen.item = item.id AND last_seen.run = ?2 \
                     WHERE item.state = 'pending' AND item.manifest = ?1",
                    (manifest.0, run.0),
                )?
            };
        }
        Ok(sum)
    }

    /// How many items of these manifests are pending with a link that has expired at `alive_at`.
    fn expired(&self, manifests: &[ManifestId], alive_at: UnixMillis) -> Result<u64, LedgerError> {
        let mut sum = 0;
        for manifest in manifests {
            sum += self.count(
                "SELECT count(*) FROM item WHERE state = 'pending' AND manifest = ?1 \
                 AND expires_at IS NOT NULL AND expires_at <= ?2",
                (manifest.0, alive_at.0),
            )?;
        }
        Ok(sum)
    }

    /// Pending items of a manifest whose links expire, soonest first, behind the one given.
    pub fn expiring(
        &self,
        manifest: ManifestId,
        after_time: UnixMillis,
        after_item: ItemId,
        count_max: usize,
    ) -> Result<Vec<Expiring>, LedgerError> {
        let mut statement = self.connection.prepare(
            "SELECT id, manifest, line, expires_at FROM item WHERE state = 'pending' AND manifest = ?1 \
             AND expires_at IS NOT NULL AND (expires_at, id) > (?2, ?3) ORDER BY expires_at, id LIMIT ?4",
        )?;
        let rows =
            statement.query_all((manifest.0, after_time.0, after_item.0, limit(count_max)), |row| {
                Ok(Expiring {
                    item: ItemId(row.get(0)?),
                    manifest: ManifestId(row.get(1)?),
                    line: unsigned(row, 2)?,
                    expires_at: row.get(3)?,
                })
            })?;
        Ok(rows)
    }

    /// Whether the items of a manifest are the rows it holds now: it was read to its end in this run, or is unchanged.
    pub(super) fn is_manifest_current(&self, run: RunId, manifest: ManifestId) -> Result<bool, LedgerError> {
        let sql = "SELECT complete + unchanged > 0 FROM manifest_read WHERE run = ?1 AND manifest = ?2";
        Ok(self.find(sql, (run.0, manifest.0))?.unwrap_or(false))
    }

    /// When the last request left, in any run.
    pub fn last_sent_at(&self) -> Result<Option<UnixMillis>, LedgerError> {
        self.find("SELECT sent_at FROM attempt WHERE state <> 'not_sent' ORDER BY id DESC LIMIT 1", [])
    }

    fn last_accepted_at(&self) -> Result<Option<UnixMillis>, LedgerError> {
        let sql =
            format!("SELECT {ACCEPTED_AT} FROM attempt WHERE state = 'accepted' ORDER BY id DESC LIMIT 1");
        self.find(&sql, [])
    }
}

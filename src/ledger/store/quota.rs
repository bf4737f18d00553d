//! What the quota is derived from: every request that may still count, and what was learned.

use super::{DATED_BY_BOTH, DATED_WITHIN, Store, skew};
use crate::{
    domain::{AttemptState, State, UnixMillis},
    ledger::{
        AttemptId, BootTime, ClockReference, ExternalUsage, LedgerError, RunId, Snapshot, UploadUsage,
        schema::{LAST_BYTE_AT, SENT_BY},
        sql::SqlRow,
        values::impossible,
    },
};

/// Old usage is deleted after this many insertions.
const SWEEP_EVERY: i64 = 5_000;
/// Answers among which the one is sought that dates the service's clock best.
const TIME_SAMPLES: i64 = 50;

impl Snapshot {
    /// Uploads that may count after `since`, and at least the latest `count_min`; reads and foreign requests since then.
    pub fn usage_since(
        &self,
        since: UnixMillis,
        count_min: u32,
    ) -> Result<(Vec<UploadUsage>, Vec<ExternalUsage>), LedgerError> {
        Ok((self.past_uploads(since, count_min)?, self.external_usages(since)?))
    }

    /// The text stored under a name.
    pub fn kv_get(&self, name: &str) -> Result<Option<String>, LedgerError> {
        self.find("SELECT value FROM kv WHERE name = ?1", [name])
    }

    /// Whether it is known how far the clock jumped before a run.
    pub fn is_clock_skew_known(&self, run: RunId) -> Result<bool, LedgerError> {
        let is_known: Option<bool> = self.find("SELECT clock_skew_known FROM run WHERE id = ?1", [run.0])?;
        Ok(is_known.unwrap_or(false))
    }

    /// Where our clock and the service's stood together before a run, and when the run before was last known to live.
    pub fn time_before(
        &self,
        run: RunId,
    ) -> Result<(Option<ClockReference>, Option<UnixMillis>), LedgerError> {
        Ok((self.clock_reference(run)?, self.last_timestamp_before(run)?))
    }

    /// Uploads that may count after `since`, those refused lately, and at least the latest `count_min`, oldest first.
    /// Times of earlier runs are corrected by the clock skew since.
    ///
    /// The parts overlap. `UNION` would leave out what is there twice, and SQLite would read every attempt in order for that.
    fn past_uploads(&self, since: UnixMillis, count_min: u32) -> Result<Vec<UploadUsage>, LedgerError> {
        let (skew_since_run, skew_total) = (skew("later.id > run.id"), skew("TRUE"));
        let mut statement = self.connection.prepare(
                &format!("WITH jumped AS (SELECT run.id, {skew_since_run} \
                                 AS by_ms FROM run) \
                 SELECT attempt.id, {LAST_BYTE_AT} AS sent_at, {SENT_BY} AS send_before, attempt.answered_at, attempt.counts_until, attempt.state, \
                 item.state AS item_state, item.attempt AS latest, jumped.by_ms FROM attempt \
                 JOIN item ON item.id = attempt.item JOIN jumped ON jumped.id = attempt.run \
                 WHERE attempt.id IN (SELECT id FROM attempt WHERE counts_until IS NOT NULL \
                     AND counts_until > ?1 - {skew_total} \
                     UNION ALL SELECT id FROM attempt WHERE state = 'refused' AND answered_at > ?1 - {skew_total} \
                     UNION ALL SELECT id FROM (SELECT id FROM attempt WHERE state <> 'not_sent' ORDER BY id DESC LIMIT ?2) AS latest) \
                 ORDER BY attempt.id"),
            )?;
        let mut rows = statement.query((since.0, count_min))?;
        let mut past = Vec::new();
        while let Some(row) = rows.next()? {
            let as_str: String = row.get("state")?;
            let state = as_str
                .parse::<AttemptState>()
                .map_err(|_| impossible(format!("the state {as_str:?} of an attempt")))?;
            let id: i64 = row.get("id")?;
            let is_latest = row.get::<_, Option<i64>>("latest")? == Some(id);
            let by_ms: i64 = row.get("by_ms")?;
            let timestamp = |column: &str| -> Result<Option<UnixMillis>, LedgerError> {
                Ok(row.get::<_, Option<i64>>(column)?.map(|at| UnixMillis(at).plus_ms(by_ms)))
            };
            past.push(UploadUsage {
                attempt: AttemptId(id),
                sent_at: timestamp("sent_at")?.unwrap_or_default(),
                send_before: timestamp("send_before")?.unwrap_or_default(),
                answered_at: timestamp("answered_at")?,
                counts_until: timestamp("counts_until")?,
                state,
                is_being_indexed: is_latest
                    && row.get::<_, String>("item_state")? == State::Accepted.as_str(),
            });
        }
        Ok(past)
    }

    /// Reads of ours and requests of others since `since`, oldest first.
    fn external_usages(&self, since: UnixMillis) -> Result<Vec<ExternalUsage>, LedgerError> {
        let (skew_since_usage, skew_total) =
            (skew("later.id > coalesce(external_usage.run, 0)"), skew("TRUE"));
        let mut statement = self.connection.prepare(&format!(
            "SELECT endpoint, at, count, note, {skew_since_usage} \
                 AS by_ms FROM external_usage WHERE at > ?1 - {skew_total} ORDER BY id"
        ))?;
        let rows = statement.query_all([since.0], |row| {
            Ok(ExternalUsage {
                endpoint: row.get("endpoint")?,
                at: row.get::<_, UnixMillis>("at")?.plus_ms(row.get("by_ms")?),
                count: row.get("count")?,
                note: row.get("note")?,
            })
        })?;
        Ok(rows)
    }

    /// The clock skew between the latest run and one that begins at `at`. `None`: unknown. The clock since a boot
    /// cannot be set.
    pub(super) fn jump_since_latest_run(
        &self,
        at: UnixMillis,
        boot: Option<&BootTime>,
    ) -> Result<Option<i64>, LedgerError> {
        let latest: Option<(i64, Option<String>, Option<i64>)> = self
            .connection
            .prepare("SELECT started_at, boot, boot_ms FROM run ORDER BY id DESC LIMIT 1")?
            .find_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let Some((started_at, latest_boot, latest_ms)) = latest else { return Ok(Some(0)) };
        let (Some(boot), Some(latest_boot), Some(latest_ms)) = (boot, latest_boot, latest_ms) else {
            return Ok(None);
        };
        let passed_ms = boot.since_ms - latest_ms;
        let clock_skew_ms = at.since_ms(UnixMillis(started_at)) - passed_ms;
        Ok((boot.id == latest_boot && passed_ms >= 0).then_some(clock_skew_ms.max(0)))
    }

    /// Where our clock and the service's stood together before a run: of the latest answers that the service dated, the one
    /// that came fastest.
    fn clock_reference(&self, run: RunId) -> Result<Option<ClockReference>, LedgerError> {
        let sql = format!(
            "WITH latest AS (SELECT * FROM attempt WHERE run < ?1 ORDER BY id DESC LIMIT ?2), \
             dated AS (SELECT * FROM latest WHERE {DATED_BY_BOTH} ORDER BY id DESC LIMIT ?3) \
             SELECT answered_at, uploaded_at + answered_at - sent_at AS theirs FROM dated \
             WHERE run = (SELECT max(run) FROM latest WHERE bound_by = 'reply') \
             ORDER BY answered_at - sent_at LIMIT 1"
        );
        let read =
            |row: &SqlRow<'_>| Ok(ClockReference { ours: row.get(0)?, theirs_at_the_latest: row.get(1)? });
        self.connection.prepare(&sql)?.find_row((run.0, DATED_WITHIN, TIME_SAMPLES), read)
    }

    /// When the run before this one was last known to live.
    fn last_timestamp_before(&self, run: RunId) -> Result<Option<UnixMillis>, LedgerError> {
        self.find(
            "SELECT max(at) FROM (SELECT max(coalesce(ended_at, started_at)) AS at FROM run WHERE id < ?1 \
             UNION ALL SELECT max(sent_at) FROM (SELECT sent_at FROM attempt WHERE run < ?1 ORDER BY id DESC LIMIT 1) AS latest) AS times",
            [run.0],
        )
    }

    /// When the latest run was last known to live.
    pub(super) fn last_timestamp(&self) -> Result<Option<UnixMillis>, LedgerError> {
        self.last_timestamp_before(RunId(i64::MAX))
    }
}

impl Store {
    /// Writes down requests of others.
    pub fn record_external_usage(&self, external_usage: &ExternalUsage) -> Result<(), LedgerError> {
        self.change_one(
            "INSERT INTO external_usage (endpoint, run, at, count, note) VALUES (?1, (SELECT max(id) FROM run), ?2, ?3, ?4)",
            (&external_usage.endpoint, external_usage.at.0, external_usage.count, &external_usage.note),
        )
    }

    /// Writes down a read of ours, in the latest run. Reads from before `counts_since` are swept after many insertions.
    pub fn record_read(
        &self,
        endpoint: &str,
        at: UnixMillis,
        counts_since: UnixMillis,
    ) -> Result<(), LedgerError> {
        let sql = "INSERT INTO external_usage (endpoint, run, at, count) VALUES (?1, (SELECT max(id) FROM run), ?2, 1)";
        if self.connection.insert(sql, (endpoint, at.0))? % SWEEP_EVERY == 0 {
            let skew_total = skew("TRUE");
            self.connection
                .prepare(&format!(
                    "DELETE FROM external_usage WHERE at < ?1 - {skew_total} AND endpoint IN ('list', 'get')"
                ))?
                .execute([counts_since.0])?;
        }
        Ok(())
    }

    /// Stores a text under a name. `None` deletes it.
    pub fn kv_set(&self, name: &str, value: Option<&str>, at: UnixMillis) -> Result<(), LedgerError> {
        match value {
            Some(value) => self.change_one(
                "INSERT INTO kv (name, value, at) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value, at = excluded.at",
                (name, value, at.0),
            ),
            None => Ok(self.connection.execute("DELETE FROM kv WHERE name = ?1", [name]).map(|_| ())?),
        }
    }

    /// Records how far the wall clock jumped ahead between the run before and this one, in milliseconds.
    pub fn record_clock_skew(&self, run: RunId, clock_skew_ms: i64) -> Result<(), LedgerError> {
        // it is counted from the latest mark, so it holds what was not known of runs in between
        self.connection
            .prepare("UPDATE run SET clock_skew_ms = 0, clock_skew_known = 1 WHERE id < ?1 AND clock_skew_known = 0")?
            .execute([run.0])?;
        self.change_one(
            "UPDATE run SET clock_skew_ms = ?2, clock_skew_known = 1 WHERE id = ?1",
            (run.0, clock_skew_ms),
        )
    }
}

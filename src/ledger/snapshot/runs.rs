//! Reads by run: what each run read, sent and left.

use super::Snapshot;
use crate::{
    domain::{RowCounts, UnixMillis},
    ledger::{
        LedgerError, ManifestId, RunId, StateCounts,
        schema::ACCEPTED_STATES,
        sql::SqlRow,
        values::{from_json, impossible, unsigned},
    },
};

/// One run and what it read, summed over its manifests.
#[derive(Clone, Debug, Default)]
pub struct RunRow {
    pub name: String,
    pub command: String,
    pub started_at: UnixMillis,
    /// When it ended, if it did.
    pub ended_at: Option<UnixMillis>,
    pub exit_code: Option<u8>,
    pub exit_reason: Option<String>,
    pub rows: RowCounts,
    /// Manifests not read to their end.
    pub unfinished_readings: u64,
}

impl RunRow {
    /// Whether it is about every item of the ledger: it reads no manifest.
    #[must_use]
    pub fn is_of_ledger(&self) -> bool {
        self.command == "reconcile"
    }
}

/// What became of the requests of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunUploads {
    /// Accepted by the service.
    pub uploaded: u64,
    /// Of these, searchable by now.
    pub searchable: u64,
    /// Of these, failed to be indexed.
    pub failed: u64,
    /// Rejected by the service.
    pub rejected: u64,
}

/// How the requests of a time span ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestCounts {
    pub attempts: u64,
    pub accepted: u64,
    pub refused: u64,
    pub not_sent: u64,
}

impl Snapshot {
    /// The last `count_max` runs, newest first.
    pub fn runs(&self, count_max: u32) -> Result<Vec<RunRow>, LedgerError> {
        self.runs_where("ORDER BY run.id DESC LIMIT ?1", i64::from(count_max))
    }

    /// The run that began last.
    pub fn latest_run(&self) -> Result<Option<RunId>, LedgerError> {
        Ok(self.find("SELECT max(id) FROM run", [])?.map(RunId))
    }

    /// One run.
    pub fn run(&self, run: RunId) -> Result<RunRow, LedgerError> {
        let found = self.runs_where("HAVING run.id = ?1", run.0)?.pop();
        found.ok_or_else(|| impossible(format!("run {run} vanished")))
    }

    fn runs_where(&self, clause: &str, value: i64) -> Result<Vec<RunRow>, LedgerError> {
        let sql = format!(
            "SELECT run.*, coalesce(sum(rows), 0) AS rows, coalesce(sum(added), 0) AS added, \
             coalesce(sum(known), 0) AS known, coalesce(sum(updated), 0) AS updated, \
             coalesce(sum(drifted), 0) AS drifted, coalesce(sum(duplicates), 0) AS duplicates, \
             coalesce(sum(invalid), 0) AS invalid, count(manifest_read.run) - coalesce(sum(complete), 0) AS unfinished \
             FROM run LEFT JOIN manifest_read ON manifest_read.run = run.id GROUP BY run.id {clause}"
        );
        let mut statement = self.connection.prepare(&sql)?;
        let rows = statement.query_all([value], |row| {
            let count = |column: &str| unsigned(row, column);
            Ok(RunRow {
                name: row.get("name")?,
                command: row.get("command")?,
                started_at: row.get("started_at")?,
                ended_at: row.get("ended_at")?,
                exit_code: row.get("exit_code")?,
                exit_reason: row.get("exit_reason")?,
                rows: RowCounts {
                    read: count("rows")?,
                    added: count("added")?,
                    known: count("known")?,
                    updated: count("updated")?,
                    drifted: count("drifted")?,
                    duplicates: count("duplicates")?,
                    invalid: count("invalid")?,
                },
                unfinished_readings: count("unfinished")?,
            })
        })?;
        Ok(rows)
    }

    /// What became of the requests of a run, as of now.
    pub fn uploads_of_run(&self, run: RunId) -> Result<RunUploads, LedgerError> {
        let Some((first, last)) = self.attempts_of_run(run)? else { return Ok(RunUploads::default()) };
        let sql = format!(
            "SELECT count(*) FILTER (WHERE attempt.state IN {ACCEPTED_STATES}), \
             count(*) FILTER (WHERE item.state = 'indexed' AND item.attempt = attempt.id), \
             count(*) FILTER (WHERE item.state = 'failed' AND item.attempt = attempt.id), \
             count(*) FILTER (WHERE attempt.state = 'rejected') \
             FROM attempt CROSS JOIN item ON item.id = attempt.item WHERE attempt.id BETWEEN ?1 AND ?2"
        );
        self.connection.query_row(&sql, (first, last), |row| {
            Ok(RunUploads {
                uploaded: unsigned(row, 0)?,
                searchable: unsigned(row, 1)?,
                failed: unsigned(row, 2)?,
                rejected: unsigned(row, 3)?,
            })
        })
    }

    /// The first and the last request of a run. `None`: it made none. Numbers of requests grow with those of runs, so the
    /// bounds are found without an index of the runs.
    pub(super) fn attempts_of_run(&self, run: RunId) -> Result<Option<(i64, i64)>, LedgerError> {
        let first = self.first_attempt_from(run.0)?;
        let behind = self.first_attempt_from(run.0.saturating_add(1))?;
        Ok((first < behind).then_some((first, behind - 1)))
    }

    /// The first request of `run` or of a later one; one more than the last request if there is none.
    fn first_attempt_from(&self, run: i64) -> Result<i64, LedgerError> {
        let mut low = 1;
        let mut high = self.find::<i64>("SELECT max(id) FROM attempt", [])?.unwrap_or(0) + 1;
        let mut statement =
            self.connection.prepare("SELECT id, run FROM attempt WHERE id >= ?1 ORDER BY id LIMIT 1")?;
        while low < high {
            let middle = low + (high - low) / 2;
            let read = |row: &SqlRow<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
            match statement.find_row([middle], read)? {
                Some((id, of_run)) if of_run < run => low = id + 1,
                Some(_) | None => high = middle,
            }
        }
        Ok(low)
    }

    /// Attempts made since `since`.
    pub fn requests_since(&self, since: UnixMillis) -> Result<RequestCounts, LedgerError> {
        self.request_counts("sent_at >= ?1", since.0)
    }

    pub(super) fn request_counts(&self, condition: &str, value: i64) -> Result<RequestCounts, LedgerError> {
        let sql = format!(
            "SELECT count(*), count(*) FILTER (WHERE state IN {ACCEPTED_STATES}), \
             count(*) FILTER (WHERE state = 'refused'), count(*) FILTER (WHERE state = 'not_sent') \
             FROM attempt WHERE {condition}"
        );
        self.connection.query_row(&sql, [value], |row| {
            Ok(RequestCounts {
                attempts: unsigned(row, 0)?,
                accepted: unsigned(row, 1)?,
                refused: unsigned(row, 2)?,
                not_sent: unsigned(row, 3)?,
            })
        })
    }

    /// How many of the items seen by `run` are in each state.
    pub fn state_counts_of_run(&self, run: RunId) -> Result<StateCounts, LedgerError> {
        let sql = "SELECT item.state, count(*) FROM last_seen JOIN item ON item.id = last_seen.item \
                   WHERE last_seen.run = ?1 GROUP BY item.state";
        self.state_counts_by(sql, [run.0])
    }

    /// How many of the items whose rows were last in the manifests of `run` are in each state. Reads a few counters only.
    pub fn state_counts_of_manifests(&self, run: RunId) -> Result<StateCounts, LedgerError> {
        let sql = "SELECT state, sum(count) FROM state_count \
                   WHERE manifest IN (SELECT manifest FROM manifest_read WHERE run = ?1) GROUP BY state";
        self.state_counts_by(sql, [run.0])
    }

    /// How many of the items that `run` sent are in each state.
    pub fn state_counts_of_sent(&self, run: RunId) -> Result<StateCounts, LedgerError> {
        let sql = "SELECT item.state, count(*) FROM item WHERE id IN (SELECT item FROM attempt WHERE run = ?1) \
                   GROUP BY item.state";
        self.state_counts_by(sql, [run.0])
    }

    /// How many items seen by `run` are pending with a link that has expired at `at`.
    pub fn expired_of_run(&self, run: RunId, at: UnixMillis) -> Result<u64, LedgerError> {
        let sql = "SELECT count(*) FROM last_seen JOIN item ON item.id = last_seen.item \
                   WHERE last_seen.run = ?1 AND item.state = 'pending' AND item.expires_at <= ?2";
        self.count(sql, (run.0, at.0))
    }

    /// The manifests that the latest recovery has begun to read.
    pub(in crate::ledger) fn manifests_of_recovery(&self) -> Result<Vec<String>, LedgerError> {
        let sql = "SELECT manifest.identity FROM manifest_read JOIN manifest ON manifest.id = manifest_read.manifest \
                   WHERE manifest_read.run = (SELECT max(id) FROM run WHERE command = 'recover') ORDER BY manifest.id";
        let mut statement = self.connection.prepare(sql)?;
        statement.query_column([])
    }

    /// The manifests `run` read, with their identity and columns, in the order they were first known.
    pub fn manifests_of_run(
        &self,
        run: RunId,
    ) -> Result<Vec<(ManifestId, String, Vec<String>)>, LedgerError> {
        let sql = "SELECT manifest.id, manifest.identity, manifest.columns FROM manifest_read \
                   JOIN manifest ON manifest.id = manifest_read.manifest WHERE manifest_read.run = ?1 ORDER BY manifest.id";
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query([run.0])?;
        let mut sources = Vec::new();
        while let Some(row) = rows.next()? {
            sources.push((ManifestId(row.get(0)?), row.get(1)?, from_json(&row.get::<_, String>(2)?)?));
        }
        Ok(sources)
    }
}

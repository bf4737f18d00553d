//! Reads for the report of a run: each is one pass over rows, and none keeps the rows in memory.

use super::{RequestCounts, Snapshot};
use crate::{
    domain::{State, UnixMillis},
    ledger::{
        ItemId, LedgerError, RunId,
        schema::ACCEPTED_STATES,
        sql::SqlRow,
        values::{state_of, unsigned},
    },
};

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportScope {
    /// The items that a run was the last to read.
    ReadBy(RunId),
    /// The items whose rows were last in the manifests of a run: found by an index, while the run goes on.
    InManifestsOf(RunId),
    /// Every item: the scope of a run without manifests.
    Ledger,
}

impl ReportScope {
    /// The items of the scope, as a table with the line of each, and the value of its parameter.
    const fn items(self) -> (&'static str, i64) {
        match self {
            Self::ReadBy(run) => (
                "(SELECT item, manifest AS seen_in, line AS seen_line FROM last_seen WHERE run = ?1) seen \
                 JOIN item ON item.id = seen.item",
                run.0,
            ),
            Self::InManifestsOf(run) => (
                "(SELECT *, manifest AS seen_in, line AS seen_line FROM item \
                 WHERE manifest IN (SELECT manifest FROM manifest_read WHERE run = ?1)) item",
                run.0,
            ),
            Self::Ledger => (
                "(SELECT *, manifest AS seen_in, line AS seen_line FROM item WHERE CAST(?1 AS BIGINT) = 0) item",
                0,
            ),
        }
    }
}

/// The times of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestTimes {
    pub sent_at: UnixMillis,
    pub answered_at: Option<UnixMillis>,
    /// The latest time at which the service may have accepted it. `None`: it did not.
    pub counts_until: Option<UnixMillis>,
    /// It was sent by the run of the report.
    pub is_of_run: bool,
    pub is_accepted: bool,
    /// Refused for now, by a limit of the service.
    pub is_refused: bool,
    /// When the state of its video became final, if it did.
    pub final_at: Option<UnixMillis>,
    /// The same, where its video is searchable.
    pub searchable_at: Option<UnixMillis>,
}

/// Where and when a video was taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Capture<'a> {
    /// Latitude and longitude, in degrees.
    pub place: Option<(f64, f64)>,
    /// `yyyy-MM-dd HH:mm:ss`.
    pub datetime: Option<&'a str>,
}

/// A cause, and how many items have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CauseCount {
    pub state: State,
    pub cause: String,
    pub items: u64,
    /// One or two items of it.
    pub examples: Vec<CauseExample>,
}

/// An item as an example of a cause, or a row as an example of a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CauseExample {
    /// The file, as it is identified in the ledger.
    pub manifest: String,
    pub line: u64,
    /// The source address of an item, or the value at fault. Not redacted.
    pub value: String,
}

/// A fault of rows, and how many rows have it as their first fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultCount {
    pub column: String,
    pub message: String,
    pub fix: String,
    pub rows: u64,
    /// One or two rows of it.
    pub examples: Vec<CauseExample>,
}

/// What a run read from one manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestCounts {
    pub manifest: String,
    pub rows: u64,
    pub duplicates: u64,
    pub invalid: u64,
}

impl Snapshot {
    /// The run with a name, or with the only name that begins so.
    pub fn runs_named(&self, beginning: &str) -> Result<Vec<(RunId, String)>, LedgerError> {
        let sql =
            "SELECT id, name FROM run WHERE substr(name, 1, length(?1)) = ?1 ORDER BY name <> ?1, id LIMIT 6";
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_all([beginning], |row| Ok((RunId(row.get(0)?), row.get(1)?)))?;
        Ok(rows)
    }

    /// Calls `show` with every request of a run, every request sent from `since` to `until`, and every one whose video
    /// became final from `started_at` to `until`, in the order of their numbers. Requests that never left are not among them.
    pub fn each_request_around(
        &self,
        run: RunId,
        since: UnixMillis,
        until: UnixMillis,
        started_at: UnixMillis,
        mut show: impl FnMut(&RequestTimes),
    ) -> Result<(), LedgerError> {
        let sql = format!(
            "SELECT sent_at, answered_at, counts_until, run = ?1, \
             attempt.state IN {ACCEPTED_STATES}, attempt.state = 'refused', \
             CASE WHEN item.attempt = attempt.id THEN item.final_at END AS final_at, \
             CASE WHEN item.attempt = attempt.id AND item.state = 'indexed' THEN item.final_at END \
             FROM attempt JOIN item ON item.id = attempt.item WHERE attempt.state <> 'not_sent' AND \
             (run = ?1 OR (sent_at >= ?2 AND sent_at <= ?3) OR (item.final_at >= ?4 AND item.final_at <= ?3)) \
             ORDER BY attempt.id"
        );
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.stream((run.0, since.0, until.0, started_at.0))?;
        while let Some(row) = rows.next()? {
            show(&RequestTimes {
                sent_at: row.get(0)?,
                answered_at: row.get(1)?,
                counts_until: row.get(2)?,
                is_of_run: row.get(3)?,
                is_accepted: row.get(4)?,
                is_refused: row.get(5)?,
                final_at: row.get(6)?,
                searchable_at: row.get(7)?,
            });
        }
        Ok(())
    }

    /// Calls `show` with every use of a quota that is not an upload of this ledger: the endpoint, the time and the count.
    pub fn each_external_usage_between(
        &self,
        since: UnixMillis,
        until: UnixMillis,
        mut show: impl FnMut(&str, UnixMillis, u64),
    ) -> Result<(), LedgerError> {
        let sql = "SELECT endpoint, at, count FROM external_usage WHERE at >= ?1 AND at <= ?2";
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.stream((since.0, until.0))?;
        while let Some(row) = rows.next()? {
            let endpoint: String = row.get("endpoint")?;
            show(&endpoint, row.get("at")?, unsigned(&row, "count")?);
        }
        Ok(())
    }

    /// How the requests of a run ended, as far as is known now.
    pub fn requests_of_run(&self, run: RunId) -> Result<RequestCounts, LedgerError> {
        self.request_counts("run = ?1", run.0)
    }

    /// Calls `show` with the place and the date of every item.
    pub fn each_capture(
        &self,
        scope: ReportScope,
        mut show: impl FnMut(Capture<'_>),
    ) -> Result<(), LedgerError> {
        let (items, value) = scope.items();
        let sql = format!(
            "SELECT CAST(submission ->> '$.coordinates.latitude' AS DOUBLE PRECISION), \
             CAST(submission ->> '$.coordinates.longitude' AS DOUBLE PRECISION), \
             submission ->> '$.datetime_taken' FROM {items}"
        );
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.stream([value])?;
        while let Some(row) = rows.next()? {
            let place = row.get::<_, Option<f64>>(0)?.zip(row.get(1)?);
            show(Capture { place, datetime: row.text(2)? });
        }
        Ok(())
    }

    /// The most frequent causes of items that are neither searchable nor on their way, the most frequent first.
    pub fn causes(&self, scope: ReportScope, count_max: u32) -> Result<Vec<CauseCount>, LedgerError> {
        let (_, value) = scope.items();
        let mut statement = self.connection.prepare(&causes_sql(scope))?;
        let mut rows = statement.query((value, count_max))?;
        let mut causes = Vec::new();
        while let Some(row) = rows.next()? {
            let (first, last): (i64, i64) = (row.get("first")?, row.get("last")?);
            let mut examples = vec![self.example_of(scope, ItemId(first))?];
            if last != first {
                examples.push(self.example_of(scope, ItemId(last))?);
            }
            causes.push(CauseCount {
                state: state_of(&row.get::<_, String>("state")?)?,
                cause: row.get("cause")?,
                items: unsigned(&row, "items")?,
                examples,
            });
        }
        Ok(causes)
    }

    fn example_of(&self, scope: ReportScope, item: ItemId) -> Result<CauseExample, LedgerError> {
        let (items, value) = scope.items();
        let sql = format!(
            "SELECT manifest.identity, seen_line AS line, submission ->> '$.url' AS value FROM {items} \
             JOIN manifest ON manifest.id = seen_in WHERE item.id = ?2"
        );
        self.connection.prepare(&sql)?.query_row((value, item.0), example)
    }

    /// The most frequent first faults of the rows of a run that cannot be sent, the most frequent first.
    pub fn faults(&self, run: RunId, count_max: u32) -> Result<Vec<FaultCount>, LedgerError> {
        let sql = "SELECT coalesce(problems ->> '$[0].column', '') AS \"column\", \
                   coalesce(problems ->> '$[0].message', '') AS message, coalesce(problems ->> '$[0].fix', '') AS fix, \
                   count(*) AS count, min(id) AS first, max(id) AS last FROM row_issue \
                   WHERE run = ?1 AND kind = 'invalid' GROUP BY 1, 2, 3 ORDER BY count DESC, \"column\", message LIMIT ?2";
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query((run.0, count_max))?;
        let mut faults = Vec::new();
        while let Some(row) = rows.next()? {
            let (first, last): (i64, i64) = (row.get("first")?, row.get("last")?);
            let mut examples = vec![self.example_of_row(first)?];
            if last != first {
                examples.push(self.example_of_row(last)?);
            }
            faults.push(FaultCount {
                column: row.get("column")?,
                message: row.get("message")?,
                fix: row.get("fix")?,
                rows: unsigned(&row, "count")?,
                examples,
            });
        }
        Ok(faults)
    }

    fn example_of_row(&self, row_issue: i64) -> Result<CauseExample, LedgerError> {
        let sql = "SELECT manifest.identity, line, coalesce(problems ->> '$[0].value', '') AS value FROM row_issue \
                   JOIN manifest ON manifest.id = row_issue.manifest WHERE row_issue.id = ?1";
        self.connection.prepare(sql)?.query_row([row_issue], example)
    }

    /// What a run read from each manifest, those with the most rows first.
    pub fn manifest_counts(&self, run: RunId, count_max: u32) -> Result<Vec<ManifestCounts>, LedgerError> {
        let sql = "SELECT manifest.identity, rows, duplicates, invalid FROM manifest_read \
                   JOIN manifest ON manifest.id = manifest_read.manifest WHERE run = ?1 \
                   ORDER BY rows DESC, manifest.id LIMIT ?2";
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_all((run.0, count_max), |row| {
            Ok(ManifestCounts {
                manifest: row.get("identity")?,
                rows: unsigned(row, "rows")?,
                duplicates: unsigned(row, "duplicates")?,
                invalid: unsigned(row, "invalid")?,
            })
        })?;
        Ok(rows)
    }
}

pub(in crate::ledger) fn causes_sql(scope: ReportScope) -> String {
    let (items, _) = scope.items();
    format!(
        "SELECT state, coalesce(cause, '') AS cause, count(*) AS items, min(item.id) AS first, max(item.id) AS last \
         FROM {items} WHERE state IN ('failed', 'rejected', 'abandoned', 'in_doubt', 'accepted_unidentified', \
         'needs_review') GROUP BY 1, 2 ORDER BY items DESC, state, cause LIMIT ?2"
    )
}

fn example(row: &SqlRow<'_>) -> Result<CauseExample, LedgerError> {
    Ok(CauseExample {
        manifest: row.get("identity")?,
        line: unsigned(row, "line")?,
        value: row.get::<_, Option<String>>("value")?.unwrap_or_default(),
    })
}

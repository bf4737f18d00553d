//! How fast a run goes, and what went wrong last. A run writes nothing for this: it is read from its requests and events.

use super::Snapshot;
use crate::{
    domain::UnixMillis,
    ledger::{ItemId, LedgerError, RunId, schema::ACCEPTED_STATES, sql::SqlRow},
};

/// The latest events that were errors. The condition is that of the partial index `event_of_error`.
pub(in crate::ledger) const LATEST_ERRORS: &str = "SELECT event.at, event.item, event.event, event.detail, submission ->> '$.url' AS url \
     FROM event CROSS JOIN item ON item.id = event.item WHERE event = 'not_sent' OR event = 'refused_for_now' \
     OR event = 'rejected' OR event = 'rejected_by_rule' OR event = 'answer_lost' OR event = 'indexing_failed' \
     ORDER BY event.id DESC LIMIT ?1";

/// The speed of a run in a time span.
#[derive(Clone, Debug, Default)]
pub struct RunPace {
    /// Requests of the span that the service accepted.
    pub accepted: u64,
    pub last_error: Option<LastError>,
}

/// An error of a run.
#[derive(Clone, Debug)]
pub struct LastError {
    pub at: UnixMillis,
    pub item: ItemId,
    /// A name of [`ItemEvent`](crate::domain::ItemEvent).
    pub event: String,
    pub cause: Option<String>,
    /// The complete address of the item.
    pub url: String,
}

/// The files that a run is sending, as of the latest record of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilesSent {
    /// How many they are.
    pub files: u64,
    /// Bytes of them that were sent; recorded twice a minute.
    pub sent: u64,
    /// Their bytes.
    pub size: u64,
}

impl Snapshot {
    /// The files that are being sent. `None`: no file is.
    pub fn files_sent(&self) -> Result<Option<FilesSent>, LedgerError> {
        let sql = "SELECT count(*), coalesce(sum(min(sent, size)), 0), coalesce(sum(size), 0) FROM \
                   (SELECT attempt.body_sent AS sent, \
                    CAST(coalesce(item.submission ->> '$.file.size', item.submission ->> '$.object.size') AS BIGINT) AS size \
                    FROM attempt JOIN item ON item.id = attempt.item \
                    WHERE attempt.state = 'sending' AND attempt.body_sent IS NOT NULL) AS files";
        let read = |row: &SqlRow<'_>| -> Result<[i64; 3], LedgerError> {
            Ok([row.get(0)?, row.get(1)?, row.get(2)?])
        };
        let counts = self.connection.prepare(sql)?.query_row([], read)?;
        let [files, sent, size] = counts.map(|count| u64::try_from(count).unwrap_or(0));
        Ok((files > 0).then_some(FilesSent { files, sent, size }))
    }

    /// When the oldest request in doubt was sent. `None`: none is in doubt.
    pub fn oldest_doubt(&self) -> Result<Option<UnixMillis>, LedgerError> {
        self.find("SELECT min(sent_at) FROM attempt WHERE state = 'in_doubt'", [])
    }

    /// The speed of a run since `since`, and its last error. Reads the requests of the span only.
    pub fn pace_of_run(
        &self,
        run: RunId,
        started_at: UnixMillis,
        since: UnixMillis,
    ) -> Result<RunPace, LedgerError> {
        let sql = format!(
            "SELECT sent_at, state IN {ACCEPTED_STATES} FROM attempt WHERE id >= ?1 ORDER BY id DESC"
        );
        let last_error = self.latest_errors(started_at, 1)?.pop();
        let mut pace = RunPace { accepted: 0, last_error };
        let Some((first, _)) = self.attempts_of_run(run)? else { return Ok(pace) };
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.stream([first])?;
        while let Some(row) = rows.next()? {
            if row.get::<_, UnixMillis>(0)? < since {
                break;
            }
            pace.accepted += u64::from(row.get::<_, bool>(1)?);
        }
        Ok(pace)
    }

    /// The latest errors since `since`, the newest first.
    pub fn latest_errors(&self, since: UnixMillis, count_max: u32) -> Result<Vec<LastError>, LedgerError> {
        let mut statement = self.connection.prepare(LATEST_ERRORS)?;
        let mut rows = statement.query([count_max])?;
        let mut errors = Vec::new();
        while let Some(row) = rows.next()? {
            let at: UnixMillis = row.get("at")?;
            if at < since {
                break;
            }
            errors.push(LastError {
                at,
                item: ItemId(row.get("item")?),
                event: row.get("event")?,
                cause: row.get("detail")?,
                url: row.get("url")?,
            });
        }
        Ok(errors)
    }
}

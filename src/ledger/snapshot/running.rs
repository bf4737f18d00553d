//! How fast a run goes, and what went wrong last. A run writes nothing for this: it is read from its requests and events.

use super::Snapshot;
use crate::{
    domain::UnixMillis,
    ledger::{ItemId, LedgerError, RunId, schema::ACCEPTED_STATES},
};

/// The latest event that was an error. The condition is that of the partial index `event_of_error`.
pub(in crate::ledger) const LAST_ERROR: &str = "SELECT at, item, event, detail FROM event WHERE event = 'not_sent' OR event = 'refused_for_now' \
     OR event = 'rejected' OR event = 'rejected_by_rule' OR event = 'answer_lost' OR event = 'indexing_failed' \
     ORDER BY id DESC LIMIT 1";

/// The speed of a run in a time span.
#[derive(Clone, Debug, Default)]
pub struct RunPace {
    /// Requests of the span that the service accepted.
    pub accepted: u64,
    pub last_error: Option<LastError>,
}

/// The error that came last.
#[derive(Clone, Debug)]
pub struct LastError {
    pub at: UnixMillis,
    pub item: ItemId,
    /// A name of [`ItemEvent`](crate::domain::ItemEvent).
    pub event: String,
    pub cause: Option<String>,
}

impl Snapshot {
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
        let mut pace = RunPace { accepted: 0, last_error: self.last_error(started_at)? };
        let Some((first, _)) = self.attempts_of_run(run)? else { return Ok(pace) };
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query([first])?;
        while let Some(row) = rows.next()? {
            if row.get::<_, UnixMillis>(0)? < since {
                break;
            }
            pace.accepted += u64::from(row.get::<_, bool>(1)?);
        }
        Ok(pace)
    }

    fn last_error(&self, since: UnixMillis) -> Result<Option<LastError>, LedgerError> {
        let mut statement = self.connection.prepare_cached(LAST_ERROR)?;
        let mut rows = statement.query([])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let at: UnixMillis = row.get(0)?;
        if at < since {
            return Ok(None);
        }
        Ok(Some(LastError { at, item: ItemId(row.get(1)?), event: row.get(2)?, cause: row.get(3)? }))
    }
}

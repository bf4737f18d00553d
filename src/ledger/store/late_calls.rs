//! Calls of the service for requests that have ended: their numbers are looked up before the row is sent again.

use super::Store;
use crate::{
    domain::{UnixMillis, VideoNo},
    ledger::{AttemptId, ItemId, LedgerError, Snapshot, values::video_no_of},
};

impl Snapshot {
    /// The numbers that calls named for requests of an item and that are bound to no request, each with when the first of these
    /// calls came.
    pub fn unbound_numbers_called_for(
        &self,
        item: ItemId,
    ) -> Result<Vec<(VideoNo, UnixMillis)>, LedgerError> {
        let mut statement = self.connection.prepare(
            "SELECT callback.video_no, min(callback.at) AS called_at FROM attempt \
             JOIN callback ON callback.attempt = attempt.id WHERE attempt.item = ?1 \
             AND NOT EXISTS (SELECT 1 FROM attempt bound WHERE bound.video_no = callback.video_no) \
             GROUP BY callback.video_no ORDER BY callback.video_no",
        )?;
        let mut rows = statement.query([item.0])?;
        let mut numbers = Vec::new();
        while let Some(row) = rows.next()? {
            numbers.push((video_no_of(&row.get::<_, String>("video_no")?)?, row.get("called_at")?));
        }
        Ok(numbers)
    }
}

impl Store {
    /// Records a number that a call named for a request which has ended. If its item waits to be sent again, it waits for a search.
    pub(super) fn record_late_call(
        &self,
        attempt: AttemptId,
        video_no: &VideoNo,
        at: UnixMillis,
    ) -> Result<(), LedgerError> {
        let sql = "INSERT INTO callback (attempt, video_no, at, due_at) VALUES (?1, ?2, ?3, NULL) ON CONFLICT DO NOTHING";
        self.connection.prepare(sql)?.execute((attempt.0, video_no.as_str(), at.0))?;
        let sql = "SELECT count(*) FROM attempt JOIN item ON item.id = attempt.item \
                   WHERE attempt.id = ?1 AND item.state = 'pending'";
        if self.count(sql, [attempt.0])? > 0 {
            self.hold(attempt)?;
        }
        Ok(())
    }
}

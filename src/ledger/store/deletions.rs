//! Deletions: ordered before the service is asked, and proven by a listing.

use super::Store;
use crate::{
    domain::{ItemEvent, UnixMillis, VideoNo},
    ledger::{
        AttemptId, AttemptResult, DeletionOrder, DeletionTask, ItemId, LedgerError, Snapshot,
        values::impossible,
    },
};

impl Snapshot {
    /// Whether a video of an item is ordered to be deleted, and nothing proves yet that it is gone.
    pub(super) fn is_being_deleted(&self, item: ItemId) -> Result<bool, LedgerError> {
        let sql = "SELECT 1 FROM deletion WHERE item = ?1 AND gone_at IS NULL LIMIT 1";
        Ok(self.find::<i64>(sql, [item.0])?.is_some())
    }
}

impl Store {
    /// Records the order to delete videos of a namespace. `tasks` says of each whether the service lists it now. All or none:
    /// a video that is not its item's any more, or that is another item's, is an error.
    pub fn order_deletions(
        &self,
        order: &DeletionOrder,
        namespace: &str,
        tasks: &[DeletionTask],
        at: UnixMillis,
    ) -> Result<(), LedgerError> {
        // the latest request of its item, and accepted; or no request at all, but one that the item has replaced
        let mut statement = self.connection.prepare(
            "INSERT INTO deletion (video_no, item, attempt, namespace, run, ordered_at, who, why, listed) \
             SELECT ?1, item.id, CAST(?3 AS BIGINT), item.namespace, ?5, ?6, ?7, ?8, ?9 FROM item \
             WHERE item.id = ?2 AND item.namespace = ?4 AND CASE WHEN CAST(?3 AS BIGINT) IS NULL \
             THEN NOT EXISTS (SELECT 1 FROM attempt WHERE attempt.video_no = ?1 \
             AND NOT (attempt.item = item.id AND attempt.state = 'superseded')) \
             ELSE item.attempt = ?3 AND item.state IN ('accepted', 'indexed', 'failed') \
             AND EXISTS (SELECT 1 FROM attempt WHERE attempt.id = ?3 AND attempt.video_no = ?1) END \
             ON CONFLICT (video_no) DO UPDATE SET listed = max(deletion.listed, excluded.listed), gone_at = NULL",
        )?;
        for task in tasks {
            let changed = statement.execute((
                task.video_no.as_str(),
                task.item.0,
                task.attempt.map(|attempt| attempt.0),
                namespace,
                order.run.0,
                at.0,
                &order.who,
                &order.why,
                task.was_listed,
            ))?;
            if changed != 1 {
                return Err(impossible(format!(
                    "the deletion of {}, which is not the video of item {}",
                    task.video_no, task.item
                )));
            }
        }
        Ok(())
    }

    /// Listings prove that these videos are gone. Their items are deleted from now on.
    pub fn prove_deletions(&self, video_nos: &[VideoNo], at: UnixMillis) -> Result<(), LedgerError> {
        for video_no in video_nos {
            self.change_one(
                "UPDATE deletion SET gone_at = ?2 WHERE video_no = ?1 AND gone_at IS NULL",
                (video_no.as_str(), at.0),
            )?;
            let (attempt, who, why): (Option<i64>, String, String) = self
                .connection
                .prepare("SELECT attempt, who, why FROM deletion WHERE video_no = ?1")?
                .query_row([video_no.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            if let Some(attempt) = attempt {
                let cause = format!("{video_no} deleted by {who}: {why}");
                self.settle(AttemptId(attempt), &AttemptResult::new(ItemEvent::Deleted, at, cause))?;
            }
        }
        Ok(())
    }
}

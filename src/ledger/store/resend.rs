//! Items that are to be sent again after an answer: held until the listings were searched for their markers.

use super::{Store, skew};
use crate::{
    domain::{ItemEvent, UnixMillis, VideoNo},
    ledger::{
        AttemptId, AttemptResult, ClaimBlocked, HeldResend, ItemId, LedgerError, ManifestId, PossibleSender,
        ServiceTime, Snapshot,
        schema::SENT_BY,
        values::{limit, submission_of},
    },
};

impl Store {
    /// The item of an attempt is not sent again until [`Self::release`].
    pub(super) fn hold(&self, attempt: AttemptId) -> Result<(), LedgerError> {
        self.change_one("UPDATE attempt SET held = 1 WHERE id = ?1", [attempt.0])
    }

    /// A listing shows a video. If it is the one that the held request of its item was bound to, the item is bound to it again,
    /// and is not sent.
    pub fn bind_again(
        &self,
        held: &PossibleSender,
        video_no: &VideoNo,
        at: UnixMillis,
    ) -> Result<bool, LedgerError> {
        let sql =
            "SELECT 1 FROM attempt WHERE id = ?1 AND video_no = ?2 AND state = 'superseded' AND held = 1";
        if self.find::<i64>(sql, (held.attempt.0, video_no.as_str()))?.is_none() {
            return Ok(false);
        }
        let cause = format!("{video_no} is at the service");
        self.settle(held.attempt, &AttemptResult::new(ItemEvent::FoundAgain, at, cause))?;
        self.change_one("UPDATE attempt SET held = 0 WHERE id = ?1", [held.attempt.0])?;
        Ok(true)
    }

    /// The listings show no video of an item: it may be sent again.
    pub fn release(&self, item: ItemId) -> Result<(), LedgerError> {
        let sql = "UPDATE attempt SET held = 0 WHERE item = ?1 AND held = 1";
        Ok(self.connection.prepare_cached(sql)?.execute([item.0]).map(|_| ())?)
    }
}

/// SQL: held attempts and their items. There are few; without the index SQLite starts from all pending items.
const HELD: &str =
    "attempt INDEXED BY attempt_held CROSS JOIN item ON item.id = attempt.item WHERE attempt.held = 1";

impl Snapshot {
    /// Pending items that are held, oldest first.
    pub fn held_resends(&self, count_max: usize) -> Result<Vec<HeldResend>, LedgerError> {
        let skew_since_attempt = skew("later.id > attempt.run");
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT attempt.id, attempt.item, attempt.marker, attempt.forced, item.namespace, item.submission, \
             attempt.sent_at + {skew_since_attempt} AS sent_at, {SENT_BY} + {skew_since_attempt} AS send_before, \
             (SELECT min(first.id) FROM attempt first WHERE first.item = attempt.item) AS first \
             FROM {HELD} AND item.state = 'pending' ORDER BY attempt.id LIMIT ?1"
        ))?;
        let mut rows = statement.query([limit(count_max)])?;
        let mut held = Vec::new();
        while let Some(row) = rows.next()? {
            let attempt = AttemptId(row.get("id")?);
            let first = self.service_time(AttemptId(row.get("first")?))?;
            held.push(HeldResend {
                item: ItemId(row.get("item")?),
                namespace: row.get("namespace")?,
                may_be_there: row.get("forced")?,
                sender: PossibleSender {
                    attempt,
                    sent_at: row.get("sent_at")?,
                    send_before: row.get("send_before")?,
                    service_time: ServiceTime {
                        earliest: first.earliest,
                        latest: self.service_time(attempt)?.latest,
                    },
                    marker: row.get("marker")?,
                    tags: submission_of(&row.get::<_, String>("submission")?)?.tags,
                },
            });
        }
        Ok(held)
    }

    /// What held items mean for a claim. `None`: no item of these manifests is held.
    pub(super) fn held_back(&self, manifests: &[ManifestId]) -> Result<Option<ClaimBlocked>, LedgerError> {
        let sql = format!(
            "SELECT count(*) FROM {HELD} AND item.state = 'pending' AND item.manifest = ?1 AND attempt.forced <= ?2"
        );
        let (mut items, mut due) = (0, 0);
        for manifest in manifests {
            items += self.count(&sql, (manifest.0, 1))?;
            due += self.count(&sql, (manifest.0, 0))?;
        }
        Ok((items > 0).then_some(ClaimBlocked::AwaitsListing { items, is_due: due > 0 }))
    }
}

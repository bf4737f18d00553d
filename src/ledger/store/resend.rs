//! Items that are to be sent again after an answer: held until the listings were searched for their markers.

use std::collections::HashSet;

use super::{Store, skew};
use crate::{
    domain::{AttemptState, ItemEvent, ManifestRow, State, UnixMillis, VideoNo},
    ledger::{
        AttemptId, AttemptResult, ClaimBlocked, HeldResend, ItemId, LedgerError, ManifestId, PossibleSender,
        ServiceTime, Snapshot,
        schema::SENT_BY,
        values::{limit, submission_of, to_json, video_no_of},
    },
};

impl Store {
    /// The item of an attempt is not sent again until [`Self::release`].
    pub(super) fn hold(&self, attempt: AttemptId) -> Result<(), LedgerError> {
        self.change_one("UPDATE attempt SET held = 1 WHERE id = ?1", [attempt.0])
    }

    /// A listing shows a video. If its item waits to be sent again because that video had failed or was deleted, the item is bound
    /// to it again, with what was sent then, and is not sent.
    pub fn bind_again(&self, video_no: &VideoNo, at: UnixMillis) -> Result<bool, LedgerError> {
        let sql = format!(
            "SELECT attempt.id, item.id {REPLACED} AND item.state = 'pending' AND attempt.video_no = ?1"
        );
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.query([video_no.as_str()])?;
        let Some(row) = rows.next()? else { return Ok(false) };
        let (attempt, item) = (AttemptId(row.get(0)?), ItemId(row.get(1)?));
        let cause = format!("{video_no} is at the service");
        let result = AttemptResult::new(ItemEvent::FoundAgain, at, cause);
        self.release(item)?;
        self.move_attempt(attempt, AttemptState::Accepted, &result)?;
        self.move_item(item, State::Pending, &result, Some(attempt))?;
        self.restore_content(item, attempt)?;
        Ok(true)
    }

    /// A row has other content. What was sent is kept with its attempts.
    pub(super) fn take_content(&self, item: ItemId, row: &ManifestRow) -> Result<(), LedgerError> {
        self.connection
            .prepare(
                "UPDATE attempt SET submission = (SELECT submission FROM item WHERE id = ?1) WHERE item = ?1 AND submission IS NULL",
            )?
            .execute([item.0])?;
        self.change_one(
            "UPDATE item SET fingerprint = ?2, submission = ?3, expires_at = ?4 WHERE id = ?1",
            (
                item.0,
                row.submission.fingerprint(),
                to_json(&row.submission)?,
                row.submission.url.expires_at().map(|timestamp| timestamp.0),
            ),
        )
    }

    /// The content of an item is again what this attempt sent, so that the row differs from it where it has changed.
    pub(super) fn restore_content(&self, item: ItemId, attempt: AttemptId) -> Result<(), LedgerError> {
        let sql = "SELECT submission FROM attempt WHERE id = ?1 AND submission IS NOT NULL";
        let Some(text) = self.find::<String>(sql, [attempt.0])? else { return Ok(()) };
        let sent = submission_of(&text)?;
        self.change_one(
            "UPDATE item SET fingerprint = ?2, submission = ?3, expires_at = ?4 WHERE id = ?1",
            (item.0, sent.fingerprint(), text, sent.url.expires_at().map(|timestamp| timestamp.0)),
        )
    }

    /// The listings show no video of an item: it may be sent again.
    pub fn release(&self, item: ItemId) -> Result<(), LedgerError> {
        let sql = "UPDATE attempt SET held = 0 WHERE item = ?1 AND held = 1";
        self.connection.prepare(sql)?.execute([item.0]).map(|_| ())
    }
}

/// SQL: attempts whose videos failed or were deleted, and their items, which were sent again by order, or wait for it.
const REPLACED: &str = "FROM attempt JOIN item ON item.id = attempt.item WHERE attempt.state = 'superseded' \
                        AND EXISTS (SELECT 1 FROM event WHERE event.item = item.id AND event.attempt = attempt.id \
                        AND event.event IN ('retry_ordered', 'reupload_ordered'))";

/// SQL: held attempts and their items. There are few; without the index SQLite starts from all pending items.
const HELD: &str =
    "attempt INDEXED BY attempt_held CROSS JOIN item ON item.id = attempt.item WHERE attempt.held = 1";

impl Snapshot {
    /// Videos that had failed or were deleted when their rows were sent again, and whose items have another video by now. One that
    /// is searchable all the same is a second video.
    pub fn replaced_videos(&self) -> Result<HashSet<VideoNo>, LedgerError> {
        let sql = format!("SELECT attempt.video_no {REPLACED} AND item.state IN ('accepted', 'indexed')");
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.query([])?;
        let mut videos = HashSet::new();
        while let Some(row) = rows.next()? {
            videos.insert(video_no_of(&row.get::<_, String>(0)?)?);
        }
        Ok(videos)
    }

    /// Videos whose items wait to be sent again because they failed or were deleted, each with its namespace.
    pub fn resent_videos(&self, count_max: usize) -> Result<Vec<(String, VideoNo)>, LedgerError> {
        let sql = format!(
            "SELECT item.namespace, attempt.video_no {REPLACED} AND item.state = 'pending' ORDER BY item.namespace LIMIT ?1"
        );
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.query([limit(count_max)])?;
        let mut videos = Vec::new();
        while let Some(row) = rows.next()? {
            videos.push((row.get(0)?, video_no_of(&row.get::<_, String>(1)?)?));
        }
        Ok(videos)
    }

    /// Pending items that are held, oldest first.
    pub fn held_resends(&self, count_max: usize) -> Result<Vec<HeldResend>, LedgerError> {
        let skew_since_attempt = skew("later.id > attempt.run");
        let mut statement = self.connection.prepare(&format!(
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

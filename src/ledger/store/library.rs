//! Videos of the service, compared with the ledger; and recovery.

use super::Store;
use crate::{
    domain::{AttemptState, ItemEvent, State, UnixMillis, VideoNo},
    ledger::{
        AttemptId, AttemptResult, Binding, BoundBy, BoundItem, ExternalUsage, ItemId, LedgerError,
        LibraryVideo, Recovered, RunId, Snapshot, VideoOwner,
        marker::Marked,
        values::{impossible, limit, state_of, video_no_of},
    },
};

/// The cause of a request that was found at the service: this ledger, or the run that recorded it, did not make it.
pub(in crate::ledger) const RECOVERED: &str = "recovered from the service";

/// The note of the external usage of a foreign video.
fn foreign_usage_note(video_no: &VideoNo) -> String {
    format!("{video_no}, sent with another ledger")
}

impl Snapshot {
    /// The owner of each video, by its number or its marker.
    pub fn video_owners(&self, videos: &[LibraryVideo]) -> Result<Vec<VideoOwner>, LedgerError> {
        videos.iter().map(|video| self.video_owner(video)).collect()
    }

    /// The owner of a video, by its number or its marker.
    pub fn video_owner(&self, video: &LibraryVideo) -> Result<VideoOwner, LedgerError> {
        let sql = "SELECT item FROM attempt WHERE video_no = ?1";
        if let Some(item) = self.find(sql, [video.video_no.as_str()])? {
            return Ok(VideoOwner::Bound(ItemId(item)));
        }
        let Some(marked) = video.tags.iter().find_map(|tag| Marked::parse(tag)) else {
            return Ok(if video.shows_tags { VideoOwner::Unmarked } else { VideoOwner::TagsHidden });
        };
        let mut own = self.connection.prepare(
            "SELECT attempt.id, attempt.state, attempt.item, attempt.forced FROM item \
             JOIN attempt ON attempt.item = item.id \
             WHERE item.key >= ?1 AND item.key < ?2 AND attempt.marker = ?3",
        )?;
        let mut rows = own.query((marked.key_from(), marked.key_until(), &marked.text))?;
        let Some(row) = rows.next()? else {
            let sql = "SELECT id FROM item WHERE key >= ?1 AND key < ?2 LIMIT 1";
            let item = self.find(sql, (marked.key_from(), marked.key_until()))?;
            return Ok(VideoOwner::Foreign(item.map(ItemId)));
        };
        let as_str: String = row.get("state")?;
        let attempt = AttemptId(row.get("id")?);
        let item = ItemId(row.get("item")?);
        let state = &as_str
            .parse::<AttemptState>()
            .ok()
            .ok_or_else(|| impossible(format!("the state {as_str:?} of attempt {attempt}")))?;
        let is_forced: bool = row.get("forced")?;
        Ok(match state {
            AttemptState::Abandoned => VideoOwner::ResolvedByReview(item),
            AttemptState::Absent if is_forced => VideoOwner::ResolvedByReview(item),
            AttemptState::Sending
            | AttemptState::InDoubt
            | AttemptState::AcceptedUnidentified
            | AttemptState::NeedsReview => VideoOwner::Open(item),
            AttemptState::Accepted
            | AttemptState::Superseded
            | AttemptState::NotSent
            | AttemptState::Refused
            | AttemptState::Absent => VideoOwner::Surplus(item),
            AttemptState::Rejected => VideoOwner::Rejected(item),
        })
    }

    /// The video of an item that was uploaded by a request this ledger does not know.
    pub fn foreign_video_of(&self, key: [u8; 16]) -> Result<Option<VideoNo>, LedgerError> {
        let sql = "SELECT video_no FROM foreign_video WHERE key_prefix = ?1 \
                   AND NOT EXISTS (SELECT 1 FROM attempt WHERE attempt.video_no = foreign_video.video_no) LIMIT 1";
        self.find::<String>(sql, [&key[..8]])?.map(|number| video_no_of(&number)).transpose()
    }

    /// The namespaces items are in.
    pub fn namespaces(&self) -> Result<Vec<String>, LedgerError> {
        self.likely_namespaces(usize::MAX)
    }

    /// Items of a namespace that are bound to a video, in ledger order behind `after`.
    pub fn bound_items(
        &self,
        namespace: &str,
        after: ItemId,
        count_max: usize,
    ) -> Result<Vec<BoundItem>, LedgerError> {
        let mut statement = self.connection.prepare(
            "SELECT item.id, item.state, item.cause, attempt.video_no, item.submission ->> '$.url' AS url, \
             EXISTS (SELECT 1 FROM deletion WHERE deletion.video_no = attempt.video_no AND gone_at IS NULL) \
             AS is_deletion_ordered FROM item \
             JOIN attempt ON attempt.id = item.attempt WHERE item.id > ?2 AND item.namespace = ?1 \
             AND attempt.video_no IS NOT NULL ORDER BY item.id LIMIT ?3",
        )?;
        let mut rows = statement.query((namespace, after.0, limit(count_max)))?;
        let mut items = Vec::new();
        while let Some(row) = rows.next()? {
            items.push(BoundItem {
                item: ItemId(row.get("id")?),
                state: state_of(&row.get::<_, String>("state")?)?,
                video_no: video_no_of(&row.get::<_, String>("video_no")?)?,
                url: row.get("url")?,
                cause: row.get("cause")?,
                is_deletion_ordered: row.get("is_deletion_ordered")?,
            });
        }
        Ok(items)
    }

    /// Whether an item waits to be sent.
    pub fn is_pending(&self, item: ItemId) -> Result<bool, LedgerError> {
        Ok(self.state_of_item(item)? == Some(State::Pending))
    }

    pub(in crate::ledger) fn is_recovering(&self) -> Result<bool, LedgerError> {
        Ok(self.find("SELECT recovering FROM observed_delay", [])?.unwrap_or(false))
    }
}

impl Store {
    /// Records videos that another ledger sent, so that their rows are not sent again, and their usage of the quota.
    pub fn record_foreign_videos(&self, videos: &[LibraryVideo]) -> Result<(), LedgerError> {
        for video in videos {
            for marked in video.tags.iter().filter_map(|tag| Marked::parse(tag)) {
                self.connection
                    .prepare(
                        "INSERT INTO foreign_video (key_prefix, video_no) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                    )?
                    .execute((marked.key_prefix, video.video_no.as_str()))?;
            }
            let note = foreign_usage_note(&video.video_no);
            let sql = "SELECT 1 FROM external_usage WHERE endpoint = 'upload' AND note = ?1";
            if self.find::<i64>(sql, [&note])?.is_none() {
                self.record_external_usage(&ExternalUsage {
                    endpoint: "upload".to_owned(),
                    at: video.made_by,
                    count: 1,
                    note: Some(note),
                })?;
            }
        }
        Ok(())
    }

    /// Marks the ledger as incomplete: it does not know every upload.
    pub fn begin_recovery(&self) -> Result<(), LedgerError> {
        crate::ledger::successor::forget(&self.connection)?;
        // the recovery finds the foreign videos again
        self.connection.execute("DELETE FROM foreign_video", [])?;
        let last = self.high_water.as_ref().map_or(0, crate::ledger::high_water::HighWater::last);
        self.change_one(
            "UPDATE observed_delay SET recovering = 1, attempt_floor = max(attempt_floor, ?1)",
            [last],
        )
    }

    /// Marks the ledger as complete: every upload is bound to its item, or blocks its row.
    pub fn end_recovery(&self) -> Result<(), LedgerError> {
        self.note_database()?;
        self.change_one("UPDATE observed_delay SET recovering = 0", [])
    }

    /// A rejected item waits again, so that its video can be bound.
    fn reopen_rejected(&self, item: ItemId, at: UnixMillis) -> Result<(), LedgerError> {
        let cause = "the service has its video, though it answered the request as rejected".to_owned();
        let reopened = AttemptResult::new(ItemEvent::Corrected, at, cause);
        self.move_item(item, State::Rejected, &reopened, None)
    }

    /// Binds a video to the item that its marker names, if that item is pending. The request is recorded as if this ledger
    /// had made it. If the item is not pending or not known, the video is recorded, so that its row is never sent again.
    pub fn recover(
        &self,
        run: RunId,
        video: &LibraryVideo,
        at: UnixMillis,
    ) -> Result<Recovered, LedgerError> {
        let Some(marked) = video.tags.iter().find_map(|tag| Marked::parse(tag)) else {
            return Ok(Recovered::NoItem);
        };
        let sql = "SELECT id FROM item WHERE key >= ?1 AND key < ?2 LIMIT 1";
        let Some(item) = self.find(sql, (marked.key_from(), marked.key_until()))?.map(ItemId) else {
            self.record_foreign_videos(std::slice::from_ref(video))?;
            return Ok(Recovered::NoItem);
        };
        let state =
            self.state_of_item(item)?.ok_or_else(|| impossible(format!("item {item} that vanished")))?;
        if matches!(state, State::Accepted | State::Indexed) {
            return Ok(Recovered::Surplus(item));
        }
        if state == State::Rejected {
            self.reopen_rejected(item, at)?;
        } else if state != State::Pending {
            self.record_foreign_videos(std::slice::from_ref(video))?;
            return Ok(Recovered::Remembered(item));
        }
        self.release(item)?;
        let attempt = AttemptId(self.last_attempt()? + 1);
        let sent_at = video.made_by.min(at);
        // it was counted as usage of another ledger; from now on it is an attempt of this one
        self.connection
            .prepare("DELETE FROM external_usage WHERE endpoint = 'upload' AND note = ?1")?
            .execute([foreign_usage_note(&video.video_no)])?;
        self.change_one(
            "INSERT INTO attempt (id, item, run, state, marker, sent_at, send_before, counts_until) \
             VALUES (?1, ?2, ?3, 'sending', ?4, ?5, ?5, ?5)",
            (attempt.0, item.0, run.0, &marked.text, sent_at.0),
        )?;
        self.change_one("UPDATE item SET attempt = ?2 WHERE id = ?1", (item.0, attempt.0))?;
        self.move_item(
            item,
            State::Pending,
            &AttemptResult::new(ItemEvent::Claimed, at, None),
            Some(attempt),
        )?;
        let cause = RECOVERED.to_owned();
        self.settle(attempt, &AttemptResult::new(ItemEvent::AnswerLost, at, cause.clone()))?;
        let bound =
            Some(Binding { video_no: video.video_no.clone(), uploaded_at: None, by: BoundBy::Marker });
        self.settle(attempt, &AttemptResult { event: ItemEvent::Found, at, bound, cause: Some(cause) })?;
        let sql = "SELECT id FROM attempt WHERE item = ?1 AND marker = ?2 ORDER BY id LIMIT 1";
        if let Some(sent) = self.find(sql, (item.0, &marked.text))? {
            self.restore_content(item, AttemptId(sent))?;
        }
        Ok(Recovered::Bound(item))
    }
}

//! The reconcile stage: requests in doubt, and what a listing is compared with.

use std::time::Duration;

use super::{DATED_BY_BOTH, DATED_WITHIN, Store, skew};
use crate::{
    domain::{UnixMillis, VideoNo},
    ledger::{
        AttemptId, Bindings, BoundVideo, ControlVideo, LedgerError, ObservedDelays, PossibleSender, SentTags,
        ServiceTime, Snapshot, UnresolvedAttempt, UnresolvedAttempts,
        schema::{ATTEMPT_IS_OPEN, LAST_BYTE_AT, SENT_BY},
        sql::SqlRow,
        values::{limit, state_of, submission_of, video_no_of},
    },
};

/// The most control videos of a listing.
const CONTROL_VIDEOS_MAX: i64 = 20;
/// How many answers before and after a request are compared to estimate the service's clock.
const CLOCK_SAMPLES: i64 = 50;

/// Bounds of a time by the answers of the same run, then by those before and after it.
type TimesByRunAndOrder = (Option<UnixMillis>, Option<UnixMillis>, Option<UnixMillis>, Option<UnixMillis>);

impl Snapshot {
    /// Requests to resolve by evidence, and the delays observed so far.
    pub fn unresolved_attempts(&self, count_max: usize) -> Result<UnresolvedAttempts, LedgerError> {
        Ok(UnresolvedAttempts { attempts: self.attempts_to_resolve(count_max)?, observed: self.observed()? })
    }

    /// What the ledger knows of a namespace and of the videos listed there.
    pub fn bindings(&self, namespace: &str, video_nos: &[VideoNo]) -> Result<Bindings, LedgerError> {
        Ok(Bindings {
            bound: self.bound_videos(video_nos)?,
            possible_senders: self.possible_senders(namespace)?,
        })
    }

    /// Accepted videos of a namespace that a complete listing must show: named by the service's answer before
    /// `answered_before`. They are the newest ones, and those that were sent next after the attempt `sent_after`: a listing
    /// may be complete at its beginning only. The newest are first.
    pub fn control_videos(
        &self,
        namespace: &str,
        answered_before: UnixMillis,
        sent_after: AttemptId,
    ) -> Result<Vec<ControlVideo>, LedgerError> {
        let some = |order: &str| {
            format!(
                "SELECT * FROM (SELECT attempt.id, attempt.video_no, attempt.uploaded_at FROM attempt \
                 JOIN item ON item.id = attempt.item \
                 WHERE attempt.state = 'accepted' AND attempt.answered_at < ?2 AND item.namespace = ?1 \
                 AND NOT EXISTS (SELECT 1 FROM deletion WHERE deletion.video_no = attempt.video_no) {order} LIMIT ?4) AS controls"
            )
        };
        let (next, newest) =
            (some("AND attempt.id > ?3 ORDER BY attempt.id"), some("ORDER BY attempt.id DESC"));
        let sql = format!("{next} UNION {newest} ORDER BY id DESC");
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.query((namespace, answered_before.0, sent_after.0, CONTROL_VIDEOS_MAX))?;
        let mut control_videos = Vec::new();
        while let Some(row) = rows.next()? {
            let video_no = video_no_of(&row.get::<_, String>("video_no")?)?;
            control_videos.push(ControlVideo { video_no, uploaded_at: row.get("uploaded_at")? });
        }
        Ok(control_videos)
    }

    /// Open requests, oldest first. Times of earlier runs are corrected by the clock skew since, so that the
    /// elapsed time is the real one.
    fn attempts_to_resolve(&self, count_max: usize) -> Result<Vec<UnresolvedAttempt>, LedgerError> {
        let skew_since_attempt = skew("later.id > attempt.run");
        let skew_since_clear = skew("later.started_at > attempt.clear_at");
        let mut statement = self.connection.prepare(
            &format!("SELECT attempt.id, attempt.state, attempt.marker, item.submission, \
             attempt.sent_at + {skew_since_attempt} AS sent_at, \
             {SENT_BY} + {skew_since_attempt} AS send_before, \
             attempt.clear_at + {skew_since_clear} AS clear_at, \
             (SELECT count(*) FROM attempt earlier WHERE earlier.item = attempt.item AND earlier.state = 'absent' \
              AND earlier.forced = 0) AS absent_before, \
             EXISTS (SELECT 1 FROM callback WHERE callback.attempt = attempt.id) AS was_called \
             FROM attempt JOIN item ON item.id = attempt.item \
             WHERE attempt.state <> 'sending' AND {ATTEMPT_IS_OPEN} ORDER BY attempt.id LIMIT ?1"),
        )?;
        let mut rows = statement.query([limit(count_max)])?;
        let mut attempts = Vec::new();
        while let Some(row) = rows.next()? {
            let attempt = AttemptId(row.get("id")?);
            attempts.push(UnresolvedAttempt {
                attempt,
                service_time: self.service_time(attempt)?,
                state: state_of(&row.get::<_, String>("state")?)?,
                sent_at: row.get("sent_at")?,
                send_before: row.get("send_before")?,
                marker: row.get("marker")?,
                submission: submission_of(&row.get::<_, String>("submission")?)?,
                clear_at: row.get("clear_at")?,
                absent_before: row.get("absent_before")?,
                was_called: row.get("was_called")?,
            });
        }
        Ok(attempts)
    }

    /// When an attempt was sent by the service's clock, estimated from the answers around it.
    ///
    /// Within one run our clock is steady, so answers of the same run show the offset. Across runs our clock may
    /// have been set, so only the order counts: what was accepted in an earlier run was accepted before, and what
    /// was sent later was accepted later.
    pub(super) fn service_time(&self, attempt: AttemptId) -> Result<ServiceTime, LedgerError> {
        // a file is accepted after its last byte, which may have taken hours
        let sent_at = LAST_BYTE_AT.replace("attempt.", "");
        let sql = format!(
            "WITH own AS (SELECT id, run, sent_at FROM attempt WHERE id = ?1), \
             near_before AS (SELECT * FROM attempt WHERE id < ?1 ORDER BY id DESC LIMIT ?3), \
             near_after AS (SELECT * FROM attempt WHERE id > ?1 ORDER BY id LIMIT ?3), \
             before AS (SELECT * FROM near_before WHERE {DATED_BY_BOTH} ORDER BY id DESC LIMIT ?2), \
             after AS (SELECT * FROM near_after WHERE {DATED_BY_BOTH} ORDER BY id LIMIT ?2), \
             same AS (SELECT answered_at, {sent_at} AS sent_at, uploaded_at FROM before WHERE run = (SELECT run FROM own) \
                      UNION ALL SELECT answered_at, {sent_at}, uploaded_at FROM after WHERE run = (SELECT run FROM own)) \
             SELECT (SELECT sent_at FROM own) - (SELECT max(answered_at - uploaded_at) FROM same), \
                    (SELECT sent_at FROM own) + (SELECT max(uploaded_at - sent_at) FROM same), \
                    (SELECT max(uploaded_at) FROM before WHERE run < (SELECT run FROM own)), \
                    (SELECT min(uploaded_at) FROM after)"
        );
        let mut statement = self.connection.prepare(&sql)?;
        let times = |row: &SqlRow<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        let (by_run, until_by_run, by_order, until_by_order): TimesByRunAndOrder =
            statement.query_row((attempt.0, CLOCK_SAMPLES, DATED_WITHIN), times)?;
        Ok(ServiceTime { earliest: by_run.or(by_order), latest: until_by_run.or(until_by_order) })
    }

    /// Attempts that may have made an unbound video of the namespace, with times corrected by the clock skew.
    fn possible_senders(&self, namespace: &str) -> Result<Vec<PossibleSender>, LedgerError> {
        let skew_since_attempt = skew("later.id > attempt.run");
        let columns = format!(
            "attempt.id, attempt.marker, item.submission, \
            attempt.sent_at + {skew_since_attempt} AS sent_at, \
            {SENT_BY} + {skew_since_attempt} AS send_before \
                               FROM attempt JOIN item ON item.id = attempt.item WHERE item.namespace = ?1"
        );
        let sql = format!(
            "SELECT {columns} AND {ATTEMPT_IS_OPEN} \
             UNION ALL SELECT {columns} AND (attempt.forced = 1 OR attempt.state = 'abandoned')"
        );
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.query([namespace])?;
        let mut possible_senders = Vec::new();
        while let Some(row) = rows.next()? {
            let attempt = AttemptId(row.get("id")?);
            possible_senders.push(PossibleSender {
                attempt,
                service_time: self.service_time(attempt)?,
                sent_at: row.get("sent_at")?,
                send_before: row.get("send_before")?,
                marker: row.get("marker")?,
                tags: submission_of(&row.get::<_, String>("submission")?)?.tags,
            });
        }
        Ok(possible_senders)
    }

    fn observed(&self) -> Result<ObservedDelays, LedgerError> {
        let duration = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        let read = |row: &SqlRow<'_>| {
            Ok(ObservedDelays { acceptance: duration(row.get(0)?), listing: duration(row.get(1)?) })
        };
        self.connection.prepare("SELECT acceptance_ms, listing_ms FROM observed_delay")?.query_row([], read)
    }

    /// Those of the given videos that are bound to an attempt.
    pub fn bound_videos(&self, video_nos: &[VideoNo]) -> Result<Vec<BoundVideo>, LedgerError> {
        let mut statement = self.connection.prepare(
            "SELECT attempt.marker, CASE WHEN attempt.marker IS NULL THEN item.submission END AS submission, \
             attempt.bound_by = 'reply' AS is_sure, attempt.uploaded_at FROM attempt JOIN item ON item.id = attempt.item \
             WHERE attempt.video_no = ?1",
        )?;
        let mut bound = Vec::new();
        for video_no in video_nos {
            let mut rows = statement.query([video_no.as_str()])?;
            let Some(row) = rows.next()? else { continue };
            let (marker, submission): (Option<String>, Option<String>) =
                (row.get("marker")?, row.get("submission")?);
            let sent = match (marker, submission) {
                (Some(marker), _) => Some(SentTags::Marker(marker)),
                (None, Some(submission)) => Some(SentTags::Plain(submission_of(&submission)?.tags)),
                (None, None) => None,
            };
            let is_sure: bool = row.get("is_sure")?;
            let uploaded_at: Option<UnixMillis> = row.get("uploaded_at")?;
            bound.push(BoundVideo {
                video_no: video_no.clone(),
                sent: sent.filter(|_| is_sure),
                uploaded_at: uploaded_at.filter(|_| is_sure),
            });
        }
        Ok(bound)
    }
}

impl Store {
    /// Records when a complete listing first showed no candidate for an attempt. `None` deletes the record.
    pub fn record_clear_listing(
        &self,
        attempt: AttemptId,
        clear_at: Option<UnixMillis>,
    ) -> Result<(), LedgerError> {
        self.change_one(
            "UPDATE attempt SET clear_at = ?2 WHERE id = ?1",
            (attempt.0, clear_at.map(|timestamp| timestamp.0)),
        )
    }
}

//! Work of the reconcile and poll stages: requests in doubt, accepted items to poll, and state counts.

use super::{OPEN_STATES, SKEW_SINCE_ATTEMPT, Store, state_of, submission_of, timestamp, video_no_of};
use crate::{
    domain::{ItemEvent, State, UnixMillis, VideoNo},
    ledger::{
        AttemptId, AttemptResult, ControlVideo, Expiring, ItemId, LedgerError, ManifestId, Observation,
        ObservedDelays, PollResult, PollTask, PossibleSender, RunId, ServiceTime, StateCounts,
        UnresolvedAttempt,
    },
    retry,
};
use std::time::Duration;

/// The most control videos of a listing.
const CONTROL_VIDEOS_MAX: i64 = 20;
/// Answers before and after a request by which the service's clock is judged.
const CLOCK_SAMPLES: i64 = 50;
/// The shortest time between two polls of an item.
const POLL_DELAY_MIN: Duration = Duration::from_secs(3);
/// The longest time between two polls of an item.
const POLL_DELAY_MAX: Duration = Duration::from_mins(15);

impl Store {
    /// Open requests, oldest first. Times of earlier runs are corrected by the clock skew since, so that the
    /// elapsed time is the real one.
    pub(in crate::ledger) fn unresolved(
        &self,
        count_max: usize,
    ) -> Result<Vec<UnresolvedAttempt>, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            &format!("SELECT attempt.id, attempt.state, attempt.marker, item.submission, \
             attempt.sent_at + {SKEW_SINCE_ATTEMPT} AS sent_at, \
             attempt.send_before + {SKEW_SINCE_ATTEMPT} AS send_before, \
             attempt.clear_at + (SELECT coalesce(sum(clock_skew_ms), 0) FROM run WHERE started_at > attempt.clear_at) AS clear_at, \
             (SELECT count(*) FROM attempt earlier WHERE earlier.item = attempt.item AND earlier.state = 'absent' \
              AND earlier.forced = 0) AS absent_before \
             FROM attempt JOIN item ON item.id = attempt.item \
             WHERE attempt.state <> 'sending' \
             AND attempt.state IN {OPEN_STATES} ORDER BY attempt.id LIMIT ?1"),
        )?;
        let mut rows = statement.query([i64::try_from(count_max).unwrap_or(i64::MAX)])?;
        let mut attempts = Vec::new();
        while let Some(row) = rows.next()? {
            let attempt = AttemptId(row.get("id")?);
            attempts.push(UnresolvedAttempt {
                attempt,
                service_time: self.service_time(attempt)?,
                state: state_of(&row.get::<_, String>("state")?)?,
                sent_at: timestamp(row, "sent_at")?,
                send_before: timestamp(row, "send_before")?,
                marker: row.get("marker")?,
                submission: submission_of(&row.get::<_, String>("submission")?)?,
                clear_at: row.get::<_, Option<i64>>("clear_at")?.map(UnixMillis),
                absent_before: row.get("absent_before")?,
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
        const DATED: &str = "bound_by = 'reply' AND uploaded_at IS NOT NULL AND answered_at IS NOT NULL";
        let sql = format!(
            "WITH own AS (SELECT id, run, sent_at FROM attempt WHERE id = ?1), \
             before AS (SELECT * FROM attempt WHERE id < ?1 AND {DATED} ORDER BY id DESC LIMIT ?2), \
             after AS (SELECT * FROM attempt WHERE id > ?1 AND {DATED} ORDER BY id LIMIT ?2), \
             same AS (SELECT answered_at, sent_at, uploaded_at FROM before WHERE run = (SELECT run FROM own) \
                      UNION ALL SELECT answered_at, sent_at, uploaded_at FROM after WHERE run = (SELECT run FROM own)) \
             SELECT (SELECT sent_at FROM own) - (SELECT max(answered_at - uploaded_at) FROM same), \
                    (SELECT sent_at FROM own) + (SELECT max(uploaded_at - sent_at) FROM same), \
                    (SELECT max(uploaded_at) FROM before WHERE run < (SELECT run FROM own)), \
                    (SELECT min(uploaded_at) FROM after)"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let (by_run, until_by_run, by_order, until_by_order): (_, _, Option<i64>, Option<i64>) = statement
            .query_row((attempt.0, CLOCK_SAMPLES), |row| {
                Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?, row.get(2)?, row.get(3)?))
            })?;
        Ok(ServiceTime {
            earliest: by_run.or(by_order).map(UnixMillis),
            latest: until_by_run.or(until_by_order).map(UnixMillis),
        })
    }

    /// Attempts that may have made an unbound video of the namespace, with times corrected by the clock skew.
    pub(in crate::ledger) fn possible_senders(
        &self,
        namespace: &str,
    ) -> Result<Vec<PossibleSender>, LedgerError> {
        let columns = format!(
            "attempt.id, attempt.marker, item.submission, \
            attempt.sent_at + {SKEW_SINCE_ATTEMPT} AS sent_at, \
            attempt.send_before + {SKEW_SINCE_ATTEMPT} AS send_before \
                               FROM attempt JOIN item ON item.id = attempt.item WHERE item.namespace = ?1"
        );
        let sql = format!(
            "SELECT {columns} AND attempt.state IN {OPEN_STATES} \
             UNION ALL SELECT {columns} AND (attempt.forced = 1 OR attempt.state = 'abandoned')"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query([namespace])?;
        let mut possible_senders = Vec::new();
        while let Some(row) = rows.next()? {
            let attempt = AttemptId(row.get("id")?);
            possible_senders.push(PossibleSender {
                attempt,
                service_time: self.service_time(attempt)?,
                sent_at: timestamp(row, "sent_at")?,
                send_before: timestamp(row, "send_before")?,
                marker: row.get("marker")?,
                tags: submission_of(&row.get::<_, String>("submission")?)?.tags,
            });
        }
        Ok(possible_senders)
    }

    pub(in crate::ledger) fn observed(&self) -> Result<ObservedDelays, LedgerError> {
        let duration = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        let read = |row: &rusqlite::Row<'_>| {
            Ok(ObservedDelays { acceptance: duration(row.get(0)?), listing: duration(row.get(1)?) })
        };
        Ok(self
            .connection
            .prepare_cached("SELECT acceptance_ms, listing_ms FROM observed_delay")?
            .query_row([], read)?)
    }

    pub(in crate::ledger) fn bound(&self, video_nos: &[VideoNo]) -> Result<Vec<VideoNo>, LedgerError> {
        let mut bound = Vec::new();
        for video_no in video_nos {
            let found: Option<i64> =
                self.find("SELECT id FROM attempt WHERE video_no = ?1", [video_no.as_str()])?;
            if found.is_some() {
                bound.push(video_no.clone());
            }
        }
        Ok(bound)
    }

    pub(in crate::ledger) fn record_clear_listing(
        &self,
        attempt: AttemptId,
        clear_at: Option<UnixMillis>,
    ) -> Result<(), LedgerError> {
        self.change_one(
            "UPDATE attempt SET clear_at = ?2 WHERE id = ?1",
            (attempt.0, clear_at.map(|timestamp| timestamp.0)),
        )
    }

    pub(in crate::ledger) fn poll_tasks(
        &self,
        until: UnixMillis,
        count_max: usize,
    ) -> Result<Vec<PollTask>, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT item.id, item.attempt, item.namespace, item.missed, attempt.video_no, attempt.answered_at, attempt.sent_at \
             FROM item JOIN attempt ON attempt.id = item.attempt \
             WHERE item.poll_at IS NOT NULL AND item.poll_at <= ?1 ORDER BY item.poll_at LIMIT ?2",
        )?;
        let mut rows = statement.query((until.0, i64::try_from(count_max).unwrap_or(i64::MAX)))?;
        let mut poll_tasks = Vec::new();
        while let Some(row) = rows.next()? {
            let accepted_at =
                row.get::<_, Option<i64>>("answered_at")?.map_or(timestamp(row, "sent_at")?, UnixMillis);
            poll_tasks.push(PollTask {
                item: ItemId(row.get("id")?),
                attempt: AttemptId(row.get("attempt")?),
                video_no: video_no_of(&row.get::<_, String>("video_no")?)?,
                namespace: row.get("namespace")?,
                accepted_at,
                missed: row.get("missed")?,
            });
        }
        Ok(poll_tasks)
    }

    pub(in crate::ledger) fn next_poll_at(&self) -> Result<Option<UnixMillis>, LedgerError> {
        let next: Option<i64> = self.find("SELECT min(poll_at) FROM item WHERE poll_at IS NOT NULL", [])?;
        Ok(next.map(UnixMillis))
    }

    pub(in crate::ledger) fn observe(
        &self,
        results: &[PollResult],
        at: UnixMillis,
    ) -> Result<(), LedgerError> {
        for result in results {
            let (event, cause) = match &result.observation {
                Observation::Indexed => (ItemEvent::Indexed, None),
                Observation::Failed(cause) => (ItemEvent::IndexingFailed, Some(cause.clone())),
                Observation::InProgress => {
                    self.note_shown(result.item)?;
                    self.schedule_poll(result.item, at, "0")?;
                    continue;
                }
                Observation::Unreadable => {
                    self.schedule_poll(result.item, at, "missed")?;
                    continue;
                }
                Observation::NotShown => {
                    self.note_hidden(result.item, at)?;
                    self.schedule_poll(result.item, at, "missed + 1")?;
                    continue;
                }
            };
            self.note_shown(result.item)?;
            let attempt: Option<i64> =
                self.find("SELECT attempt FROM item WHERE id = ?1", [result.item.0])?;
            let change = AttemptResult::new(event, at, cause);
            self.move_item(result.item, State::Accepted, &change, attempt.map(AttemptId))?;
        }
        Ok(())
    }

    fn note_hidden(&self, item: ItemId, at: UnixMillis) -> Result<(), LedgerError> {
        self.change_one(
            "UPDATE attempt SET hidden_until = ?2 WHERE id = (SELECT attempt FROM item WHERE id = ?1)",
            (item.0, at.0),
        )
    }

    /// Records how long a video was hidden after its acceptance: a listing may omit videos for that long.
    fn note_shown(&self, item: ItemId) -> Result<(), LedgerError> {
        let was_hidden = "FROM attempt JOIN item ON item.attempt = attempt.id WHERE item.id = ?1 AND hidden_until IS NOT NULL";
        let sql = format!("SELECT hidden_until - coalesce(answered_at, sent_at) {was_hidden}");
        let Some(hidden_ms) = self.find::<i64>(&sql, [item.0])? else { return Ok(()) };
        self.connection
            .prepare_cached("UPDATE observed_delay SET listing_ms = ?1 WHERE listing_ms < ?1")?
            .execute([hidden_ms])?;
        self.change_one(
            "UPDATE attempt SET hidden_until = NULL WHERE id = (SELECT attempt FROM item WHERE id = ?1)",
            [item.0],
        )
    }

    /// Schedules the next poll by the item's age.
    fn schedule_poll(&self, item: ItemId, at: UnixMillis, missed: &str) -> Result<(), LedgerError> {
        let accepted_at: Option<i64> = self.find(
            "SELECT coalesce(attempt.answered_at, attempt.sent_at) FROM item JOIN attempt ON attempt.id = item.attempt \
             WHERE item.id = ?1",
            [item.0],
        )?;
        let age_ms = at.since_ms(UnixMillis(accepted_at.unwrap_or(at.0))).max(0);
        let age = Duration::from_millis(u64::try_from(age_ms).unwrap_or(0));
        let poll_at = at.plus(retry::poll_delay(age, POLL_DELAY_MIN, POLL_DELAY_MAX));
        let sql =
            format!("UPDATE item SET poll_at = ?2, missed = {missed} WHERE id = ?1 AND state = 'accepted'");
        self.change_one(&sql, (item.0, poll_at.0))
    }

    pub(in crate::ledger) fn state_counts(&self) -> Result<StateCounts, LedgerError> {
        state_counts(&self.connection)
    }

    pub(in crate::ledger) fn pending(
        &self,
        run: RunId,
        manifests: &[ManifestId],
    ) -> Result<u64, LedgerError> {
        let mut sum = 0;
        for manifest in manifests {
            sum += if self.is_manifest_current(run, *manifest)? {
                self.count(
                    "SELECT coalesce(sum(count), 0) FROM state_count WHERE state = 'pending' AND manifest = ?1",
                    [manifest.0],
                )?
            } else {
                self.count(
                    "SELECT count(*) FROM item JOIN last_seen ON last_seen.item = item.id AND last_seen.run = ?2 \
                     WHERE item.state = 'pending' AND item.manifest = ?1",
                    (manifest.0, run.0),
                )?
            };
        }
        Ok(sum)
    }

    /// How many of the items of these manifests wait with a link that is dead at `alive_at`.
    pub(in crate::ledger) fn expired(
        &self,
        manifests: &[ManifestId],
        alive_at: UnixMillis,
    ) -> Result<u64, LedgerError> {
        let mut sum = 0;
        for manifest in manifests {
            sum += self.count(
                "SELECT count(*) FROM item WHERE state = 'pending' AND manifest = ?1 \
                 AND expires_at IS NOT NULL AND expires_at <= ?2",
                (manifest.0, alive_at.0),
            )?;
        }
        Ok(sum)
    }

    /// Pending items of a manifest whose links expire, soonest first, behind the one given.
    pub(in crate::ledger) fn expiring(
        &self,
        manifest: ManifestId,
        after: (UnixMillis, ItemId),
        count_max: usize,
    ) -> Result<Vec<Expiring>, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, manifest, line, expires_at FROM item WHERE state = 'pending' AND manifest = ?1 \
             AND expires_at IS NOT NULL AND (expires_at, id) > (?2, ?3) ORDER BY expires_at, id LIMIT ?4",
        )?;
        let count_max = i64::try_from(count_max).unwrap_or(i64::MAX);
        let rows = statement.query_map((manifest.0, after.0.0, after.1.0, count_max), |row| {
            Ok(Expiring {
                item: ItemId(row.get(0)?),
                manifest: ManifestId(row.get(1)?),
                line: u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0),
                expires_at: UnixMillis(row.get(3)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether the items of a manifest are the rows it holds now: it was read to its end in this run, or is unchanged.
    pub(super) fn is_manifest_current(&self, run: RunId, manifest: ManifestId) -> Result<bool, LedgerError> {
        let sql = "SELECT complete OR unchanged FROM manifest_read WHERE run = ?1 AND manifest = ?2";
        Ok(self.find(sql, (run.0, manifest.0))?.unwrap_or(false))
    }

    pub(in crate::ledger) fn control_videos(
        &self,
        namespace: &str,
        answered_before: UnixMillis,
    ) -> Result<Vec<ControlVideo>, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT attempt.video_no, attempt.uploaded_at FROM attempt JOIN item ON item.id = attempt.item \
             WHERE attempt.state = 'accepted' AND attempt.answered_at < ?2 AND item.namespace = ?1 \
             ORDER BY attempt.id DESC LIMIT ?3",
        )?;
        let mut rows = statement.query((namespace, answered_before.0, CONTROL_VIDEOS_MAX))?;
        let mut control_videos = Vec::new();
        while let Some(row) = rows.next()? {
            let video_no = video_no_of(&row.get::<_, String>("video_no")?)?;
            control_videos.push(ControlVideo {
                video_no,
                uploaded_at: row.get::<_, Option<i64>>("uploaded_at")?.map(UnixMillis),
            });
        }
        Ok(control_videos)
    }

    pub(in crate::ledger) fn last_sent_at(&self) -> Result<Option<UnixMillis>, LedgerError> {
        let last: Option<i64> =
            self.find("SELECT sent_at FROM attempt WHERE state <> 'not_sent' ORDER BY id DESC LIMIT 1", [])?;
        Ok(last.map(UnixMillis))
    }

    pub(in crate::ledger) fn last_accepted_at(&self) -> Result<Option<UnixMillis>, LedgerError> {
        let last: Option<i64> = self.find(
            "SELECT coalesce(answered_at, sent_at) FROM attempt WHERE state = 'accepted' ORDER BY id DESC LIMIT 1",
            [],
        )?;
        Ok(last.map(UnixMillis))
    }
}

pub(in crate::ledger) fn state_counts(connection: &rusqlite::Connection) -> Result<StateCounts, LedgerError> {
    state_counts_by(connection, "SELECT state, sum(count) FROM state_count GROUP BY state", [])
}

pub(in crate::ledger) fn state_counts_by(
    connection: &rusqlite::Connection,
    sql: &str,
    values: impl rusqlite::Params,
) -> Result<StateCounts, LedgerError> {
    let mut state_counts = StateCounts::default();
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    while let Some(row) = rows.next()? {
        let state = state_of(&row.get::<_, String>(0)?)?;
        state_counts.set(state, u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0));
    }
    Ok(state_counts)
}

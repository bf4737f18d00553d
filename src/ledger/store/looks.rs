//! What is due: doubts to settle, accepted items to look at, and how many items stand where.

use super::{Store, moment, state_of, submission_of, video_no_of};
use crate::{
    item::{UnixMillis, VideoNo},
    ledger::{
        AttemptId, Contender, Doubt, Expiring, ItemId, LedgerError, Observed, RunId, Seen, ServiceTime,
        Settlement, Sight, SourceId, Tally, Watch, Witness,
    },
    lifecycle::{Event, State},
    retry,
};
use std::time::Duration;

/// Videos asked to vouch for a listing.
const WITNESSES_MAX: i64 = 20;
/// Answers before and after a request by which the service's clock is judged.
const CLOCK_SAMPLES: i64 = 50;
/// An accepted item is never looked at more often than this…
const LOOK_DELAY_MIN: Duration = Duration::from_secs(3);
/// …nor less often than this.
const LOOK_DELAY_MAX: Duration = Duration::from_mins(15);

impl Store {
    /// Open requests, the oldest first. Moments of earlier runs are put forward by how far the wall clock jumped since, so
    /// that as much time has passed since them as really did.
    pub(in crate::ledger) fn doubts(&self, count_max: usize) -> Result<Vec<Doubt>, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT attempt.id, attempt.state, attempt.marker, item.submission, \
             attempt.sent_at + (SELECT coalesce(sum(jump_ms), 0) FROM run WHERE id > attempt.run) AS sent_at, \
             attempt.send_before + (SELECT coalesce(sum(jump_ms), 0) FROM run WHERE id > attempt.run) AS send_before, \
             attempt.clear_at + (SELECT coalesce(sum(jump_ms), 0) FROM run WHERE started_at > attempt.clear_at) AS clear_at \
             FROM attempt JOIN item ON item.id = attempt.item \
             WHERE attempt.state <> 'sending' \
             AND attempt.state IN ('sending', 'in_doubt', 'counted', 'asked') ORDER BY attempt.id LIMIT ?1",
        )?;
        let mut rows = statement.query([i64::try_from(count_max).unwrap_or(i64::MAX)])?;
        let mut doubts = Vec::new();
        while let Some(row) = rows.next()? {
            let attempt = AttemptId(row.get("id")?);
            doubts.push(Doubt {
                attempt,
                service_time: self.service_time(attempt)?,
                state: state_of(&row.get::<_, String>("state")?)?,
                sent_at: moment(row, "sent_at")?,
                send_before: moment(row, "send_before")?,
                marker: row.get("marker")?,
                submission: submission_of(&row.get::<_, String>("submission")?)?,
                clear_at: row.get::<_, Option<i64>>("clear_at")?.map(UnixMillis),
            });
        }
        Ok(doubts)
    }

    /// When an attempt was sent, by the service's clock, as the answers around it date it.
    ///
    /// Within one run our clock is even, so the answers of the same run tell how far the service's is from it. Across runs
    /// ours may have been set: there only the order counts. What was accepted in an earlier run was accepted before, and
    /// what was sent later was accepted later.
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

    /// Attempts that may have made a video of the namespace that is bound to none; their moments as those of doubts.
    pub(in crate::ledger) fn contenders(&self, namespace: &str) -> Result<Vec<Contender>, LedgerError> {
        const COLUMNS: &str = "attempt.id, attempt.marker, item.submission, \
            attempt.sent_at + (SELECT coalesce(sum(jump_ms), 0) FROM run WHERE id > attempt.run) AS sent_at, \
            attempt.send_before + (SELECT coalesce(sum(jump_ms), 0) FROM run WHERE id > attempt.run) AS send_before \
                               FROM attempt JOIN item ON item.id = attempt.item WHERE item.namespace = ?1";
        let sql = format!(
            "SELECT {COLUMNS} AND attempt.state IN ('sending', 'in_doubt', 'counted', 'asked') \
             UNION ALL SELECT {COLUMNS} AND (attempt.forced = 1 OR attempt.state = 'abandoned')"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query([namespace])?;
        let mut contenders = Vec::new();
        while let Some(row) = rows.next()? {
            let attempt = AttemptId(row.get("id")?);
            contenders.push(Contender {
                attempt,
                service_time: self.service_time(attempt)?,
                sent_at: moment(row, "sent_at")?,
                send_before: moment(row, "send_before")?,
                marker: row.get("marker")?,
                tags: submission_of(&row.get::<_, String>("submission")?)?.tags,
            });
        }
        Ok(contenders)
    }

    pub(in crate::ledger) fn observed(&self) -> Result<Observed, LedgerError> {
        let span = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        let read = |row: &rusqlite::Row<'_>| {
            Ok(Observed { acceptance: span(row.get(0)?), listing: span(row.get(1)?) })
        };
        Ok(self
            .connection
            .prepare_cached("SELECT acceptance_ms, listing_ms FROM observed")?
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

    pub(in crate::ledger) fn note_clear(
        &self,
        attempt: AttemptId,
        clear_at: Option<UnixMillis>,
    ) -> Result<(), LedgerError> {
        self.change_one(
            "UPDATE attempt SET clear_at = ?2 WHERE id = ?1",
            (attempt.0, clear_at.map(|moment| moment.0)),
        )
    }

    pub(in crate::ledger) fn watches(
        &self,
        until: UnixMillis,
        count_max: usize,
    ) -> Result<Vec<Watch>, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT item.id, item.attempt, item.namespace, item.missed, attempt.video_no, attempt.answered_at, attempt.sent_at \
             FROM item JOIN attempt ON attempt.id = item.attempt \
             WHERE item.look_at IS NOT NULL AND item.look_at <= ?1 ORDER BY item.look_at LIMIT ?2",
        )?;
        let mut rows = statement.query((until.0, i64::try_from(count_max).unwrap_or(i64::MAX)))?;
        let mut watches = Vec::new();
        while let Some(row) = rows.next()? {
            let accepted_at =
                row.get::<_, Option<i64>>("answered_at")?.map_or(moment(row, "sent_at")?, UnixMillis);
            watches.push(Watch {
                item: ItemId(row.get("id")?),
                attempt: AttemptId(row.get("attempt")?),
                video_no: video_no_of(&row.get::<_, String>("video_no")?)?,
                namespace: row.get("namespace")?,
                accepted_at,
                missed: row.get("missed")?,
            });
        }
        Ok(watches)
    }

    pub(in crate::ledger) fn next_look_at(&self) -> Result<Option<UnixMillis>, LedgerError> {
        let next: Option<i64> = self.find("SELECT min(look_at) FROM item WHERE look_at IS NOT NULL", [])?;
        Ok(next.map(UnixMillis))
    }

    pub(in crate::ledger) fn observe(&self, sights: &[Sight], at: UnixMillis) -> Result<(), LedgerError> {
        for sight in sights {
            let (event, cause) = match &sight.seen {
                Seen::Indexed => (Event::Indexed, None),
                Seen::Failed(cause) => (Event::IndexingFailed, Some(cause.clone())),
                Seen::InProgress => {
                    self.note_shown(sight.item)?;
                    self.look_again(sight.item, at, "0")?;
                    continue;
                }
                Seen::NotLooked => {
                    self.look_again(sight.item, at, "missed")?;
                    continue;
                }
                Seen::NotShown => {
                    self.note_hidden(sight.item, at)?;
                    self.look_again(sight.item, at, "missed + 1")?;
                    continue;
                }
            };
            self.note_shown(sight.item)?;
            let attempt: Option<i64> = self.find("SELECT attempt FROM item WHERE id = ?1", [sight.item.0])?;
            let settlement = Settlement::new(event, at, cause);
            self.move_item(sight.item, State::Accepted, &settlement, attempt.map(AttemptId))?;
        }
        Ok(())
    }

    fn note_hidden(&self, item: ItemId, at: UnixMillis) -> Result<(), LedgerError> {
        self.change_one(
            "UPDATE attempt SET hidden_until = ?2 WHERE id = (SELECT attempt FROM item WHERE id = ?1)",
            (item.0, at.0),
        )
    }

    /// A video that looks did not show, and now one does: that long a listing may keep silent of what is there.
    fn note_shown(&self, item: ItemId) -> Result<(), LedgerError> {
        let was_hidden = "FROM attempt JOIN item ON item.attempt = attempt.id WHERE item.id = ?1 AND hidden_until IS NOT NULL";
        let sql = format!("SELECT hidden_until - coalesce(answered_at, sent_at) {was_hidden}");
        let Some(hidden_ms) = self.find::<i64>(&sql, [item.0])? else { return Ok(()) };
        self.connection
            .prepare_cached("UPDATE observed SET listing_ms = ?1 WHERE listing_ms < ?1")?
            .execute([hidden_ms])?;
        self.change_one(
            "UPDATE attempt SET hidden_until = NULL WHERE id = (SELECT attempt FROM item WHERE id = ?1)",
            [item.0],
        )
    }

    /// Puts the next look off, by the item's age.
    fn look_again(&self, item: ItemId, at: UnixMillis, missed: &str) -> Result<(), LedgerError> {
        let accepted_at: Option<i64> = self.find(
            "SELECT coalesce(attempt.answered_at, attempt.sent_at) FROM item JOIN attempt ON attempt.id = item.attempt \
             WHERE item.id = ?1",
            [item.0],
        )?;
        let age_ms = at.since_ms(UnixMillis(accepted_at.unwrap_or(at.0))).max(0);
        let age = Duration::from_millis(u64::try_from(age_ms).unwrap_or(0));
        let look_at = at.plus(retry::look_again_after(age, LOOK_DELAY_MIN, LOOK_DELAY_MAX));
        let sql =
            format!("UPDATE item SET look_at = ?2, missed = {missed} WHERE id = ?1 AND state = 'accepted'");
        self.change_one(&sql, (item.0, look_at.0))
    }

    pub(in crate::ledger) fn tally(&self) -> Result<Tally, LedgerError> {
        crate::ledger::snapshot::tally(&self.connection)
    }

    pub(in crate::ledger) fn pending(&self, run: RunId, sources: &[SourceId]) -> Result<u64, LedgerError> {
        let mut sum = 0;
        for source in sources {
            sum += if self.is_source_current(run, *source)? {
                self.count(
                    "SELECT coalesce(sum(count), 0) FROM census WHERE state = 'pending' AND source = ?1",
                    [source.0],
                )?
            } else {
                self.count(
                    "SELECT count(*) FROM item JOIN sighting ON sighting.item = item.id AND sighting.run = ?2 \
                     WHERE item.state = 'pending' AND item.source = ?1",
                    (source.0, run.0),
                )?
            };
        }
        Ok(sum)
    }

    /// How many of the items of these manifests wait with a link that is dead at `alive_at`.
    pub(in crate::ledger) fn expired(
        &self,
        sources: &[SourceId],
        alive_at: UnixMillis,
    ) -> Result<u64, LedgerError> {
        let mut sum = 0;
        for source in sources {
            sum += self.count(
                "SELECT count(*) FROM item WHERE state = 'pending' AND source = ?1 \
                 AND expires_at IS NOT NULL AND expires_at <= ?2",
                (source.0, alive_at.0),
            )?;
        }
        Ok(sum)
    }

    /// Items of these manifests that wait and whose links die, soonest first, behind the one after which to go on.
    pub(in crate::ledger) fn expiring(
        &self,
        source: SourceId,
        after: (UnixMillis, ItemId),
        count_max: usize,
    ) -> Result<Vec<Expiring>, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, source, line, expires_at FROM item WHERE state = 'pending' AND source = ?1 \
             AND expires_at IS NOT NULL AND (expires_at, id) > (?2, ?3) ORDER BY expires_at, id LIMIT ?4",
        )?;
        let count_max = i64::try_from(count_max).unwrap_or(i64::MAX);
        let rows = statement.query_map((source.0, after.0.0, after.1.0, count_max), |row| {
            Ok(Expiring {
                item: ItemId(row.get(0)?),
                source: SourceId(row.get(1)?),
                line: u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0),
                expires_at: UnixMillis(row.get(3)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether the items of a manifest are the rows it holds now: it was read to its end in this run, or is unchanged.
    pub(super) fn is_source_current(&self, run: RunId, source: SourceId) -> Result<bool, LedgerError> {
        let sql = "SELECT complete OR unchanged FROM reading WHERE run = ?1 AND source = ?2";
        Ok(self.find(sql, (run.0, source.0))?.unwrap_or(false))
    }

    pub(in crate::ledger) fn witnesses(
        &self,
        namespace: &str,
        answered_before: UnixMillis,
    ) -> Result<Vec<Witness>, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT attempt.video_no, attempt.uploaded_at FROM attempt JOIN item ON item.id = attempt.item \
             WHERE attempt.state = 'accepted' AND attempt.answered_at < ?2 AND item.namespace = ?1 \
             ORDER BY attempt.id DESC LIMIT ?3",
        )?;
        let mut rows = statement.query((namespace, answered_before.0, WITNESSES_MAX))?;
        let mut witnesses = Vec::new();
        while let Some(row) = rows.next()? {
            let video_no = video_no_of(&row.get::<_, String>("video_no")?)?;
            witnesses.push(Witness {
                video_no,
                uploaded_at: row.get::<_, Option<i64>>("uploaded_at")?.map(UnixMillis),
            });
        }
        Ok(witnesses)
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

//! The poll stage: accepted items to poll, and what the polls showed.

use std::time::Duration;

use super::{ACCEPTED_AT, Store};
use crate::{
    domain::{ItemEvent, State, UnixMillis},
    ledger::{
        AttemptId, AttemptResult, ItemId, LedgerError, Observation, PollResult, PollTask, Snapshot,
        values::{limit, video_no_of},
    },
    retry,
};

/// The shortest time between two polls of an item.
const POLL_DELAY_MIN: Duration = Duration::from_secs(3);
/// The longest time between two polls of an item.
const POLL_DELAY_MAX: Duration = Duration::from_mins(15);

/// As many times the items of one request are put off at once.
const PUT_OFF_TIMES: usize = 4;

impl Snapshot {
    /// Accepted items to poll by `until`, soonest first, at most `count_max`.
    pub fn poll_tasks(&self, until: UnixMillis, count_max: usize) -> Result<Vec<PollTask>, LedgerError> {
        let sql = format!(
            "SELECT item.id, item.attempt, item.namespace, item.missed, item.poll_at, attempt.video_no, {ACCEPTED_AT} AS accepted_at \
             FROM item JOIN attempt ON attempt.id = item.attempt \
             WHERE item.poll_at IS NOT NULL AND item.poll_at <= ?1 ORDER BY item.poll_at LIMIT ?2"
        );
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.query((until.0, limit(count_max)))?;
        let mut poll_tasks = Vec::new();
        while let Some(row) = rows.next()? {
            poll_tasks.push(PollTask {
                item: ItemId(row.get("id")?),
                attempt: AttemptId(row.get("attempt")?),
                video_no: video_no_of(&row.get::<_, String>("video_no")?)?,
                namespace: row.get("namespace")?,
                accepted_at: row.get("accepted_at")?,
                poll_at: row.get("poll_at")?,
                missed: row.get("missed")?,
            });
        }
        Ok(poll_tasks)
    }

    /// When the next accepted item is due to be polled.
    pub fn next_poll_at(&self) -> Result<Option<UnixMillis>, LedgerError> {
        self.find("SELECT min(poll_at) FROM item WHERE poll_at IS NOT NULL", [])
    }
}

impl Store {
    /// Records the results of polls.
    pub fn observe(&self, results: &[PollResult], at: UnixMillis) -> Result<(), LedgerError> {
        for result in results {
            self.note_age(result, at)?;
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
            let attempt = self.attempt_of(result.item)?;
            self.move_item(result.item, State::Accepted, &AttemptResult::new(event, at, cause), attempt)?;
        }
        Ok(())
    }

    /// Items to poll now, soonest first, at most `count_max` of those that are due by `until`. Those that cannot be done yet are
    /// put off, unless they were due by `called_by`: the service has called for them.
    pub fn take_poll_tasks(
        &self,
        now: UnixMillis,
        until: UnixMillis,
        called_by: UnixMillis,
        count_max: usize,
    ) -> Result<Vec<PollTask>, LedgerError> {
        let least_age = self.least_age.get();
        let due = self.poll_tasks(until, count_max.saturating_mul(PUT_OFF_TIMES))?;
        let is_young = |task: &PollTask| {
            task.poll_at > called_by && !least_age.after(now.after_now(task.accepted_at)).is_zero()
        };
        let (young, mut tasks): (Vec<_>, Vec<_>) = due.into_iter().partition(is_young);
        for task in young {
            self.schedule_poll(task.item, now, "missed")?;
        }
        tasks.truncate(count_max);
        Ok(tasks)
    }

    /// Takes the age of an item into account for the polls of others. One that was accepted before this process polled shows
    /// nothing: it may have been done while no process looked.
    fn note_age(&self, result: &PollResult, at: UnixMillis) -> Result<(), LedgerError> {
        let polls_since = self.polls_since.get().unwrap_or(at);
        self.polls_since.set(Some(polls_since));
        let age = self.age_of(result.item, at)?;
        if at.after_now(polls_since) < age {
            return Ok(());
        }
        let least_age = self.least_age.get();
        self.least_age.set(match result.observation {
            Observation::InProgress => least_age.with_open(age),
            Observation::Indexed | Observation::Failed(_) => least_age.with_done(age),
            Observation::NotShown | Observation::Unreadable => least_age,
        });
        Ok(())
    }

    /// The time since an item was accepted.
    fn age_of(&self, item: ItemId, at: UnixMillis) -> Result<Duration, LedgerError> {
        let sql = format!(
            "SELECT {ACCEPTED_AT} FROM item JOIN attempt ON attempt.id = item.attempt WHERE item.id = ?1"
        );
        let accepted_at: Option<UnixMillis> = self.find(&sql, [item.0])?;
        let age_ms = at.since_ms(accepted_at.unwrap_or(at)).max(0);
        Ok(Duration::from_millis(u64::try_from(age_ms).unwrap_or(0)))
    }

    /// The delay of the first poll after an item was bound to its video. One that was not bound by its answer is older.
    pub(super) fn first_poll_delay(&self, event: ItemEvent) -> Duration {
        let until_least_age = self.least_age.get().after(Duration::ZERO);
        if event == ItemEvent::Accepted { until_least_age } else { POLL_DELAY_MIN }
            .clamp(POLL_DELAY_MIN, POLL_DELAY_MAX)
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
        let sql = format!("SELECT hidden_until - {ACCEPTED_AT} {was_hidden}");
        let Some(hidden_ms) = self.find::<i64>(&sql, [item.0])? else { return Ok(()) };
        self.connection
            .prepare("UPDATE observed_delay SET listing_ms = ?1 WHERE listing_ms < ?1")?
            .execute([hidden_ms])?;
        self.change_one(
            "UPDATE attempt SET hidden_until = NULL WHERE id = (SELECT attempt FROM item WHERE id = ?1)",
            [item.0],
        )
    }

    /// Schedules the next poll by the item's age.
    fn schedule_poll(&self, item: ItemId, at: UnixMillis, missed: &str) -> Result<(), LedgerError> {
        let age = self.age_of(item, at)?;
        let by_age = retry::poll_delay(age, POLL_DELAY_MIN, POLL_DELAY_MAX);
        let poll_at = at.plus(self.least_age.get().after(age).clamp(by_age, POLL_DELAY_MAX));
        let sql =
            format!("UPDATE item SET poll_at = ?2, missed = {missed} WHERE id = ?1 AND state = 'accepted'");
        self.change_one(&sql, (item.0, poll_at.0))
    }
}

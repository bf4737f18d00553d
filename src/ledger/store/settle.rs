//! Settling: the only place where an attempt or an item changes its state.

use super::Store;
use crate::{
    domain::{AttemptState, ItemEvent, State, UnixMillis},
    ledger::{
        AttemptId, AttemptResult, BODY_LEASE, ItemId, LedgerError,
        values::{impossible, state_of},
    },
};

impl Store {
    /// Records what became of an attempt and moves its item, by the transition table.
    pub fn settle(&self, attempt: AttemptId, result: &AttemptResult) -> Result<(), LedgerError> {
        let (item, as_str, latest): (i64, String, Option<i64>) = self
            .connection
            .prepare(
                "SELECT item.id, item.state, item.attempt FROM attempt JOIN item ON item.id = attempt.item \
                 WHERE attempt.id = ?1",
            )?
            .query_row([attempt.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        if latest != Some(attempt.0) {
            return Err(impossible(format!("attempt {attempt} is not the latest of item {item}")));
        }
        let state = state_of(&as_str)?;
        // the transition table is checked before anything is written
        state.after(result.event)?;
        if matches!(result.event, ItemEvent::Accepted | ItemEvent::AcceptedUnidentified) {
            self.record_key()?;
        }
        if let Some(attempt_state) = result.event.leaves_attempt() {
            self.move_attempt(attempt, attempt_state, result)?;
        }
        self.move_item(ItemId(item), state, result, Some(attempt))
    }

    pub(super) fn move_attempt(
        &self,
        attempt: AttemptId,
        state: AttemptState,
        result: &AttemptResult,
    ) -> Result<(), LedgerError> {
        let at = result.at.0;
        if result.event == ItemEvent::AnswerWithdrawn {
            return self.reopen_attempt(attempt, result);
        }
        let answered_at = is_answer(result.event).then_some(at);
        let binding = result.bound.as_ref();
        self.change_one(
            "UPDATE attempt SET state = ?2, cause = coalesce(?3, cause), answered_at = coalesce(answered_at, ?4), \
             video_no = coalesce(video_no, ?5), uploaded_at = coalesce(uploaded_at, ?6), \
             bound_by = coalesce(bound_by, ?7), \
             counts_until = CASE CAST(?8 AS BIGINT) WHEN 0 THEN NULL ELSE min(counts_until, CAST(?8 AS BIGINT)) END WHERE id = ?1",
            (
                attempt.0,
                state.as_str(),
                &result.cause,
                answered_at,
                binding.map(|binding| binding.video_no.as_str()),
                binding.and_then(|binding| binding.uploaded_at).map(|timestamp| timestamp.0),
                binding.map(|binding| binding.by.as_str()),
                counts_until_at_most(result),
            ),
        )?;
        if result.event == ItemEvent::RejectedByRule {
            // it may be at the service all the same
            self.change_one("UPDATE attempt SET forced = 1 WHERE id = ?1", [attempt.0])?;
        }
        if matches!(result.event, ItemEvent::RetryOrdered | ItemEvent::ReuploadOrdered) {
            self.hold(attempt)?;
        }
        self.note_acceptance(attempt, result)
    }

    /// An attempt that a human had resolved is open again. It may have been accepted as late as now.
    fn reopen_attempt(&self, attempt: AttemptId, result: &AttemptResult) -> Result<(), LedgerError> {
        self.change_one(
            "UPDATE attempt SET state = ?2, cause = coalesce(?3, cause), video_no = NULL, uploaded_at = NULL, \
             bound_by = NULL, clear_at = NULL, forced = 0, counts_until = max(coalesce(counts_until, 0), ?4) WHERE id = ?1",
            (attempt.0, AttemptState::NeedsReview.as_str(), &result.cause, result.at.0),
        )
    }

    /// Records the longest time that an acceptance took: until its answer, or until the date that the service gives it.
    fn note_acceptance(&self, attempt: AttemptId, result: &AttemptResult) -> Result<(), LedgerError> {
        if !matches!(result.event, ItemEvent::Accepted | ItemEvent::Found) {
            return Ok(());
        }
        let sent: Option<(i64, Option<i64>)> = self
            .connection
            .prepare("SELECT sent_at, body_until FROM attempt WHERE id = ?1")?
            .find_row([attempt.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let Some((sent_at, body_until)) = sent else { return Ok(()) };
        let sent_at = UnixMillis(sent_at);
        // how long a file is on its way says nothing of the service
        let arrived_from =
            body_until.map_or(sent_at, |until| UnixMillis(until).minus(BODY_LEASE).max(sent_at));
        let dated_at = result.bound.as_ref().and_then(|binding| binding.uploaded_at);
        let accepted_at = match dated_at {
            _ if result.event == ItemEvent::Accepted => Some(result.at),
            None => None,
            // by the service's own clock, from when it was sent to the time the video is dated
            Some(dated_at) => self
                .service_time(attempt)?
                .earliest
                .map(|earliest| sent_at.plus_ms(dated_at.since_ms(earliest)).min(result.at)),
        };
        let Some(accepted_at) = accepted_at else { return Ok(()) };
        let acceptance_ms = accepted_at.since_ms(arrived_from);
        if acceptance_ms > self.memo.acceptance_ms.get() {
            self.connection
                .prepare("UPDATE observed_delay SET acceptance_ms = ?1 WHERE acceptance_ms < ?1")?
                .execute([acceptance_ms])?;
            self.memo.acceptance_ms.set(acceptance_ms);
        }
        Ok(())
    }

    /// Moves an item out of `from` by the transition table, and records the event. `attempt` is its latest attempt; `None`: it
    /// stays as it is.
    pub(super) fn move_item(
        &self,
        item: ItemId,
        from: State,
        result: &AttemptResult,
        attempt: Option<AttemptId>,
    ) -> Result<(), LedgerError> {
        let next = from.after(result.event)?;
        let at = result.at;
        let poll_at = (next == State::Accepted).then(|| at.plus(self.first_poll_delay(result.event)).0);
        let final_at = next.is_final().then_some(at.0);
        self.change_one(
            "UPDATE item SET state = ?3, poll_at = ?4, missed = 0, final_at = ?5, cause = ?6, \
             attempt = coalesce(?7, attempt) WHERE id = ?1 AND state = ?2",
            (
                item.0,
                from.as_str(),
                next.as_str(),
                poll_at,
                final_at,
                &result.cause,
                attempt.map(|attempt| attempt.0),
            ),
        )?;
        self.append_event(item, attempt, result)
    }

    /// Records an event, with a digest that includes the event before it.
    fn append_event(
        &self,
        item: ItemId,
        attempt: Option<AttemptId>,
        result: &AttemptResult,
    ) -> Result<(), LedgerError> {
        let before = match self.memo.last_link.get() {
            Some(link) => Some(link.to_vec()),
            None => self.find("SELECT chain FROM event ORDER BY id DESC LIMIT 1", [])?,
        };
        let entry = Entry {
            at: result.at.0,
            item: item.0,
            attempt: attempt.map(|attempt| attempt.0),
            event: result.event.as_str(),
            detail: result.cause.as_deref(),
        };
        let link = entry.link(before.as_deref());
        self.change_one(
            "INSERT INTO event (at, item, attempt, event, detail, chain) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (entry.at, entry.item, entry.attempt, entry.event, entry.detail, link),
        )?;
        self.memo.last_link.set(Some(link));
        Ok(())
    }

    /// A request that was in flight at a crash has no answer. It may have been accepted.
    pub(in crate::ledger) fn mark_sending_in_doubt(&self, now: UnixMillis) -> Result<(), LedgerError> {
        let mut statement = self.connection.prepare("SELECT id FROM attempt WHERE state = 'sending'")?;
        let left: Vec<i64> = statement.query_column([])?;
        let cause = "the program ended before the answer came".to_owned();
        for attempt in left {
            self.settle(AttemptId(attempt), &AttemptResult::new(event_after_crash(), now, cause.clone()))?;
        }
        Ok(())
    }
}

/// What happened to a request whose process ended before the answer came.
fn event_after_crash() -> ItemEvent {
    fail::fail_point!("sending_is_pending_after_crash", |_| ItemEvent::NotSent);
    ItemEvent::AnswerLost
}

/// The fields of an event that its digest covers.
pub(in crate::ledger) struct Entry<'a> {
    pub(in crate::ledger) at: i64,
    pub(in crate::ledger) item: i64,
    pub(in crate::ledger) attempt: Option<i64>,
    pub(in crate::ledger) event: &'a str,
    pub(in crate::ledger) detail: Option<&'a str>,
}

impl Entry<'_> {
    /// The digest of this event and of the one `before` it. A changed event makes every later digest wrong.
    pub(in crate::ledger) fn link(&self, before: Option<&[u8]>) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(before.unwrap_or_default());
        for number in [self.at, self.item, self.attempt.unwrap_or(0)] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(self.event.as_bytes()).update(b"\0");
        hasher.update(self.detail.unwrap_or_default().as_bytes());
        let mut link = [0; 16];
        link.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        link
    }
}

/// Until when an attempt may count in the rolling windows after a result, at most. 0: it does not count.
const fn counts_until_at_most(result: &AttemptResult) -> i64 {
    match result.event {
        ItemEvent::NotSent | ItemEvent::RefusedForNow | ItemEvent::FoundAbsent => 0,
        // the acceptance was before the time at which it became known
        ItemEvent::Accepted
        | ItemEvent::AcceptedUnidentified
        | ItemEvent::Rejected
        | ItemEvent::RejectedByRule
        | ItemEvent::Found
        | ItemEvent::FoundAccepted
        | ItemEvent::Adopted => result.at.0,
        ItemEvent::Claimed
        | ItemEvent::AnswerLost
        | ItemEvent::ReviewRequested
        | ItemEvent::ResendOrdered
        | ItemEvent::GivenUp
        | ItemEvent::AnswerWithdrawn
        | ItemEvent::Indexed
        | ItemEvent::IndexingFailed
        | ItemEvent::Corrected
        | ItemEvent::RetryOrdered
        | ItemEvent::ReplaceOrdered
        | ItemEvent::Deleted
        | ItemEvent::ReuploadOrdered
        | ItemEvent::FoundAgain => i64::MAX,
    }
}

const fn is_answer(event: ItemEvent) -> bool {
    matches!(
        event,
        ItemEvent::Accepted
            | ItemEvent::AcceptedUnidentified
            | ItemEvent::Rejected
            | ItemEvent::RejectedByRule
            | ItemEvent::RefusedForNow
            | ItemEvent::NotSent
    )
}

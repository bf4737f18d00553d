//! Settling: the only place where an attempt or an item changes its state.

use super::{Store, impossible, state_of};
use crate::{
    item::UnixMillis,
    ledger::{AttemptId, ItemId, LedgerError, Settlement},
    lifecycle::{AttemptState, Event, State},
    planted::{Bug, is_planted},
};

/// An accepted item is first looked at this long after its acceptance, in milliseconds; later looks are the poll
/// stage's choice.
const FIRST_LOOK_AFTER_MS: i64 = 3_000;

impl Store {
    /// Records what became of an attempt and moves its item, by the law.
    pub(in crate::ledger) fn settle(
        &self,
        attempt: AttemptId,
        settlement: &Settlement,
    ) -> Result<(), LedgerError> {
        let (item, word, latest): (i64, String, Option<i64>) = self
            .connection
            .prepare_cached(
                "SELECT item.id, item.state, item.attempt FROM attempt JOIN item ON item.id = attempt.item \
                 WHERE attempt.id = ?1",
            )?
            .query_row([attempt.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        if latest != Some(attempt.0) {
            return Err(impossible(format!("attempt {attempt} is not the latest of item {item}")));
        }
        let state = state_of(&word)?;
        // the law is asked before anything is written
        state.after(settlement.event)?;
        if let Some(attempt_state) = settlement.event.leaves_attempt() {
            self.move_attempt(attempt, attempt_state, settlement)?;
        }
        self.move_item(ItemId(item), state, settlement, Some(attempt))
    }

    fn move_attempt(
        &self,
        attempt: AttemptId,
        state: AttemptState,
        settlement: &Settlement,
    ) -> Result<(), LedgerError> {
        let at = settlement.at.0;
        let answered_at = is_answer(settlement.event).then_some(at);
        let binding = settlement.bound.as_ref();
        self.change_one(
            "UPDATE attempt SET state = ?2, cause = coalesce(?3, cause), answered_at = coalesce(answered_at, ?4), \
             video_no = coalesce(video_no, ?5), uploaded_at = coalesce(uploaded_at, ?6), \
             bound_by = coalesce(bound_by, ?7) WHERE id = ?1",
            (
                attempt.0,
                state.word(),
                &settlement.cause,
                answered_at,
                binding.map(|binding| binding.video_no.as_str()),
                binding.and_then(|binding| binding.uploaded_at).map(|moment| moment.0),
                binding.map(|binding| binding.by.word()),
            ),
        )?;
        self.note_acceptance(attempt, settlement)?;
        match settlement.event {
            Event::NotSent | Event::RefusedForNow | Event::FoundAbsent => {
                self.change_one("UPDATE attempt SET counts_until = NULL WHERE id = ?1", [attempt.0])
            }
            // what is known to have been accepted was so before it was known
            Event::Accepted
            | Event::AcceptedUnnamed
            | Event::Rejected
            | Event::Found
            | Event::Counted
            | Event::Adopted => self.change_one(
                "UPDATE attempt SET counts_until = min(counts_until, ?2) WHERE id = ?1",
                (attempt.0, at),
            ),
            Event::Claimed
            | Event::Doubted
            | Event::Asked
            | Event::ResendOrdered
            | Event::GivenUp
            | Event::Indexed
            | Event::IndexingFailed
            | Event::Corrected
            | Event::RetryOrdered
            | Event::ReplaceOrdered => Ok(()),
        }
    }

    /// How long an acceptance took at most: until its answer, or until the moment the service dates it.
    fn note_acceptance(&self, attempt: AttemptId, settlement: &Settlement) -> Result<(), LedgerError> {
        let dated_at = settlement.bound.as_ref().and_then(|binding| binding.uploaded_at);
        let accepted_at = match (settlement.event, dated_at) {
            (Event::Accepted, _) => Some(settlement.at),
            // by the service's own clock, from when it was sent to the moment the video is dated
            (Event::Found, Some(moment)) => {
                let earliest = self.service_time(attempt)?.earliest;
                let sent_at: Option<i64> =
                    self.find("SELECT sent_at FROM attempt WHERE id = ?1", [attempt.0])?;
                earliest.zip(sent_at).map(|(earliest, sent_at)| {
                    UnixMillis(sent_at).plus_ms(moment.since_ms(earliest)).min(settlement.at)
                })
            }
            (_, _) => None,
        };
        let Some(accepted_at) = accepted_at else { return Ok(()) };
        self.connection
            .prepare_cached(
                "UPDATE observed SET acceptance_ms = ?2 - sent_at FROM attempt \
                 WHERE attempt.id = ?1 AND acceptance_ms < ?2 - sent_at",
            )?
            .execute((attempt.0, accepted_at.0))?;
        Ok(())
    }

    /// Moves an item out of `from` by the law, and writes the event down.
    pub(super) fn move_item(
        &self,
        item: ItemId,
        from: State,
        settlement: &Settlement,
        attempt: Option<AttemptId>,
    ) -> Result<(), LedgerError> {
        let next = from.after(settlement.event)?;
        let at = settlement.at;
        let look_at = (next == State::Accepted).then(|| at.plus_ms(FIRST_LOOK_AFTER_MS).0);
        let final_at = next.is_final().then_some(at.0);
        self.change_one(
            "UPDATE item SET state = ?3, look_at = ?4, missed = 0, final_at = ?5, cause = ?6 \
             WHERE id = ?1 AND state = ?2",
            (item.0, from.word(), next.word(), look_at, final_at, &settlement.cause),
        )?;
        self.write_down(item, attempt, settlement)
    }

    /// Writes an event down, chained to the one before it.
    fn write_down(
        &self,
        item: ItemId,
        attempt: Option<AttemptId>,
        settlement: &Settlement,
    ) -> Result<(), LedgerError> {
        let before: Option<Vec<u8>> = self.find("SELECT chain FROM event ORDER BY id DESC LIMIT 1", [])?;
        let entry = Entry {
            at: settlement.at.0,
            item: item.0,
            attempt: attempt.map(|attempt| attempt.0),
            event: settlement.event.word(),
            detail: settlement.cause.as_deref(),
        };
        self.change_one(
            "INSERT INTO event (at, item, attempt, event, detail, chain) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (entry.at, entry.item, entry.attempt, entry.event, entry.detail, entry.link(before.as_deref())),
        )
    }

    /// What a crash left on the wire has no answer: it may have been accepted.
    pub(in crate::ledger) fn doubt_what_was_sending(&self, now: UnixMillis) -> Result<(), LedgerError> {
        let mut statement =
            self.connection.prepare("SELECT id FROM attempt WHERE state = 'sending' AND state IN ('sending', 'in_doubt', 'counted', 'asked')")?;
        let left: Vec<i64> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let cause = "the program ended before the answer came".to_owned();
        for attempt in left {
            let event = if is_planted(Bug::LeaseExpiryPending) { Event::NotSent } else { Event::Doubted };
            self.settle(AttemptId(attempt), &Settlement::new(event, now, cause.clone()))?;
        }
        Ok(())
    }
}

/// One event as the chain sees it.
pub(in crate::ledger) struct Entry<'a> {
    pub(in crate::ledger) at: i64,
    pub(in crate::ledger) item: i64,
    pub(in crate::ledger) attempt: Option<i64>,
    pub(in crate::ledger) event: &'a str,
    pub(in crate::ledger) detail: Option<&'a str>,
}

impl Entry<'_> {
    /// The digest of this event behind the one `before` it: one changed event breaks every later link.
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

const fn is_answer(event: Event) -> bool {
    matches!(
        event,
        Event::Accepted | Event::AcceptedUnnamed | Event::Rejected | Event::RefusedForNow | Event::NotSent
    )
}

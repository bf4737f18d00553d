//! Calls of the service: the numbers they gave for requests, and when to look them up.

use super::Store;
use crate::{
    domain::{UnixMillis, VideoNo},
    ledger::{
        AttemptId, CallContradiction, CallReceipt, CalledAttempt, CalledNumber, LedgerError, Snapshot,
        schema::ATTEMPT_IS_OPEN, sql::SqlRow, values::video_no_of,
    },
};

/// Numbers of one request that are recorded at most. The second contradicts the first.
const NUMBERS_MAX: u64 = 2;

/// SQL: requests whose outcome a call may settle, with the only number that was given for them. A request in flight waits for
/// its answer. Open requests are few, and calls are many.
const TO_LOOK_UP: &str = "attempt CROSS JOIN callback ON callback.attempt = attempt.id \
     WHERE attempt.state <> 'sending' AND callback.due_at IS NOT NULL \
     AND (SELECT count(*) FROM callback other WHERE other.attempt = attempt.id) = 1";

impl Snapshot {
    /// When the next number is to be looked up.
    pub fn next_look_up_at(&self) -> Result<Option<UnixMillis>, LedgerError> {
        self.find(&format!("SELECT min(callback.due_at) FROM {TO_LOOK_UP} AND {ATTEMPT_IS_OPEN}"), [])
    }

    /// Requests whose numbers are to be looked up by `until`, at most `count_max`.
    pub fn called_attempts(
        &self,
        until: UnixMillis,
        count_max: usize,
    ) -> Result<Vec<CalledAttempt>, LedgerError> {
        let mut statement = self.connection.prepare(&format!(
            "SELECT callback.attempt, callback.video_no, callback.at FROM {TO_LOOK_UP} AND {ATTEMPT_IS_OPEN} \
             AND callback.due_at <= ?1 ORDER BY callback.due_at"
        ))?;
        let mut rows = statement.query([until.0])?;
        let mut unresolved = self.unresolved_attempts(usize::MAX)?.attempts;
        let mut called = Vec::new();
        while let Some(row) = rows.next()? {
            let attempt = AttemptId(row.get("attempt")?);
            let Some(place) = unresolved.iter().position(|own| own.attempt == attempt) else { continue };
            called.push(CalledAttempt {
                unresolved: unresolved.swap_remove(place),
                video_no: video_no_of(&row.get::<_, String>("video_no")?)?,
                called_at: row.get("at")?,
            });
            if called.len() >= count_max {
                break;
            }
        }
        Ok(called)
    }

    /// The numbers that were given for a request before it was accepted.
    pub fn numbers_called_for(&self, attempt: AttemptId) -> Result<Vec<VideoNo>, LedgerError> {
        let sql = "SELECT video_no FROM callback WHERE attempt = ?1 ORDER BY video_no";
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query([attempt.0])?;
        let mut numbers = Vec::new();
        while let Some(row) = rows.next()? {
            numbers.push(video_no_of(&row.get::<_, String>(0)?)?);
        }
        Ok(numbers)
    }

    /// Every number that was given for a request without a known outcome, also for one in flight.
    pub fn called_numbers(&self) -> Result<Vec<CalledNumber>, LedgerError> {
        let mut statement = self.connection.prepare(&format!(
            "SELECT attempt.id, callback.video_no, \
             EXISTS (SELECT 1 FROM attempt bound WHERE bound.video_no = callback.video_no) AS is_wrong FROM attempt CROSS JOIN callback ON callback.attempt = attempt.id \
             WHERE {ATTEMPT_IS_OPEN}"
        ))?;
        let mut rows = statement.query([])?;
        let mut called = Vec::new();
        while let Some(row) = rows.next()? {
            let video_no = video_no_of(&row.get::<_, String>(1)?)?;
            let (attempt, is_wrong) = (AttemptId(row.get(0)?), row.get("is_wrong")?);
            called.push(CalledNumber { attempt, video_no, is_wrong });
        }
        Ok(called)
    }
}

impl Store {
    /// Records that the service called with the token of a request. The body named `video_no`, which proves nothing yet. An
    /// accepted item with that video is polled at `poll_at` at the latest. The number is looked up at `look_up_at`.
    pub fn record_call(
        &self,
        attempt: AttemptId,
        video_no: &VideoNo,
        at: UnixMillis,
        poll_at: UnixMillis,
        look_up_at: UnixMillis,
    ) -> Result<CallReceipt, LedgerError> {
        let read = |row: &SqlRow<'_>| Ok((row.get(0)?, row.get(1)?));
        let known: Option<(String, Option<String>)> = self
            .connection
            .prepare("SELECT state, video_no FROM attempt WHERE id = ?1")?
            .find_row([attempt.0], read)?;
        let Some((state, bound)) = known else { return Ok(CallReceipt::NoRequest) };
        let numbers = self.count("SELECT count(*) FROM callback WHERE attempt = ?1", [attempt.0])?;
        if let Some(bound) = bound {
            if bound != video_no.as_str() {
                if numbers < NUMBERS_MAX {
                    self.record_late_call(attempt, video_no, at)?;
                }
                let bound = video_no_of(&bound)?;
                return Ok(CallReceipt::Contradicts(CallContradiction::Bound(bound)));
            }
            self.connection
                .prepare(
                    "UPDATE item SET poll_at = ?2 WHERE id = (SELECT item FROM attempt WHERE id = ?1) AND attempt = ?1 \
                     AND poll_at > ?2",
                )?
                .execute((attempt.0, poll_at.0))?;
            return Ok(CallReceipt::Known);
        }
        if !matches!(state.as_str(), "sending" | "in_doubt" | "accepted_unidentified" | "needs_review") {
            if numbers < NUMBERS_MAX {
                self.record_late_call(attempt, video_no, at)?;
            }
            return Ok(CallReceipt::Contradicts(CallContradiction::Ended(state)));
        }
        let again = self
            .connection
            .prepare("UPDATE callback SET due_at = min(due_at, ?3) WHERE attempt = ?1 AND video_no = ?2")?
            .execute((attempt.0, video_no.as_str(), look_up_at.0))?;
        if again > 0 {
            return Ok(CallReceipt::Repeated);
        }
        if numbers < NUMBERS_MAX {
            self.change_one(
                "INSERT INTO callback (attempt, video_no, at, due_at) VALUES (?1, ?2, ?3, ?3)",
                (attempt.0, video_no.as_str(), at.0),
            )?;
        }
        if numbers == 0 {
            Ok(CallReceipt::Recorded)
        } else {
            Ok(CallReceipt::Contradicts(CallContradiction::OtherNumber))
        }
    }

    /// The number of a request is looked up again at `due_at`. `None`: not any more.
    pub fn look_up_again(&self, attempt: AttemptId, due_at: Option<UnixMillis>) -> Result<(), LedgerError> {
        let sql = "UPDATE callback SET due_at = ?2 WHERE attempt = ?1";
        let due_at = due_at.map(|timestamp| timestamp.0);
        self.connection.prepare(sql)?.execute((attempt.0, due_at)).map(|_| ())
    }
}

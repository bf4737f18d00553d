//! Reviews: questions to a human, and the answers.

use super::Store;
use crate::{
    domain::{ItemEvent, State, UnixMillis},
    ledger::{
        AttemptId, AttemptResult, Binding, BoundBy, ItemId, LedgerError, Question, ReviewAnswer,
        ReviewDecision, ReviewOutcome,
        sql::SqlRow,
        values::{impossible, to_json},
    },
};

impl Store {
    /// Leaves an attempt to a human, with the evidence there is.
    pub fn ask(&self, attempt: AttemptId, question: &Question, at: UnixMillis) -> Result<(), LedgerError> {
        self.settle(attempt, &AttemptResult::new(ItemEvent::ReviewRequested, at, question.text.clone()))?;
        self.change_one(
            "INSERT INTO question (attempt, asked_at, text, candidates) VALUES (?1, ?2, ?3, ?4)",
            (attempt.0, at.0, &question.text, to_json(&question.candidates)?),
        )
    }

    /// Applies a human's answer and records who gave it, when and why. An answer before the question first
    /// records the question, so that the event log shows both.
    pub fn answer(&self, item: ItemId, decision: &ReviewDecision) -> Result<ReviewOutcome, LedgerError> {
        let ReviewDecision { answer, who, at, .. } = decision;
        let Some(state) = self.state_of_item(item)? else { return Ok(ReviewOutcome::NoSuchItem) };
        if *answer == ReviewAnswer::Withdraw {
            return self.withdraw(item, state, decision);
        }
        if !matches!(state, State::NeedsReview | State::InDoubt | State::AcceptedUnidentified) {
            return Ok(ReviewOutcome::NotOpen(state));
        }
        let attempt = self
            .attempt_of(item)?
            .ok_or_else(|| impossible(format!("item {item} is {state} without an attempt")))?;
        let mut bound = None;
        if let ReviewAnswer::Adopt(video_no) = answer {
            let sql = "SELECT item FROM attempt WHERE video_no = ?1";
            if let Some(other) = self.find(sql, [video_no.as_str()])? {
                return Ok(ReviewOutcome::VideoTaken(ItemId(other)));
            }
            bound = Some(Binding { video_no: video_no.clone(), uploaded_at: None, by: BoundBy::Human });
        }
        if state != State::NeedsReview {
            let text = format!("{who} decided before a decision was needed");
            self.ask(attempt, &Question { text, candidates: Vec::new() }, *at)?;
        }
        if *answer == ReviewAnswer::Resend {
            // the service may have it nevertheless
            self.change_one("UPDATE attempt SET forced = 1 WHERE id = ?1", [attempt.0])?;
        }
        self.record_answer(attempt, decision, bound)
    }

    /// Moves an attempt by a human's answer, and writes the answer down.
    fn record_answer(
        &self,
        attempt: AttemptId,
        decision: &ReviewDecision,
        bound: Option<Binding>,
    ) -> Result<ReviewOutcome, LedgerError> {
        let ReviewDecision { answer, who, why, at } = decision;
        let (event, cause) = (answer.event(), Some(format!("{who}: {why}")));
        let video_no = bound.as_ref().map(|binding| binding.video_no.as_str().to_owned());
        self.settle(attempt, &AttemptResult { event, at: *at, bound, cause })?;
        self.change_one(
            "INSERT INTO answer (at, attempt, event, video_no, who, why) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (at.0, attempt.0, event.as_str(), video_no, who, why),
        )?;
        Ok(ReviewOutcome::Done)
    }

    /// Takes the last answer about an item back, if nothing was sent or concluded since that rests on it.
    fn withdraw(
        &self,
        item: ItemId,
        state: State,
        decision: &ReviewDecision,
    ) -> Result<ReviewOutcome, LedgerError> {
        let sql = "SELECT answer.attempt, answer.event, item.attempt = answer.attempt FROM answer \
                   JOIN attempt ON attempt.id = answer.attempt JOIN item ON item.id = attempt.item \
                   WHERE item.id = ?1 ORDER BY answer.id DESC LIMIT 1";
        let read = |row: &SqlRow<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let last: Option<(i64, String, bool)> = self.connection.prepare(sql)?.find_row([item.0], read)?;
        let kept = |cause: &str| Ok(ReviewOutcome::Kept(cause.to_owned()));
        let Some((attempt, event, is_latest)) = last else { return kept("no decision about it was made") };
        if !is_latest {
            return kept("it has been sent again since");
        }
        if self.is_being_deleted(item)? {
            return kept("its video is being deleted");
        }
        let given = event.parse::<ItemEvent>().ok();
        match (given, state) {
            (Some(ItemEvent::ResendOrdered), State::Pending)
            | (Some(ItemEvent::GivenUp), State::Abandoned) => {}
            (Some(ItemEvent::Adopted), State::Accepted | State::Indexed) => {
                if let Some(other) = self.concluded_since_adoption(AttemptId(attempt))? {
                    return kept(&format!("the outcome of item {other} was decided later and depends on it"));
                }
            }
            _ => return kept(&format!("it is {} now", state.shown())),
        }
        self.record_answer(AttemptId(attempt), decision, None)
    }

    /// Another item of the namespace whose doubt ended, since a number was adopted, by the absence or the count of videos:
    /// the adopted one was not among them.
    fn concluded_since_adoption(&self, attempt: AttemptId) -> Result<Option<ItemId>, LedgerError> {
        let sql = "SELECT later.item FROM event later JOIN item ON item.id = later.item \
                   JOIN attempt ON attempt.id = later.attempt \
                   WHERE later.id > (SELECT max(id) FROM event WHERE attempt = ?1 AND event = 'adopted') \
                   AND later.item <> (SELECT item FROM attempt WHERE id = ?1) \
                   AND item.namespace = (SELECT item.namespace FROM item JOIN attempt ON attempt.item = item.id \
                                         WHERE attempt.id = ?1) \
                   AND (later.event IN ('found_absent', 'found_accepted') \
                        OR (later.event = 'found' AND attempt.bound_by = 'sole_candidate')) LIMIT 1";
        Ok(self.find(sql, [attempt.0])?.map(ItemId))
    }
}

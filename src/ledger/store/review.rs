//! Reviews: questions to a human, and the answers.

use super::Store;
use crate::{
    domain::{ItemEvent, State, UnixMillis},
    ledger::{
        AttemptId, AttemptResult, Binding, BoundBy, ItemId, LedgerError, Question, ReviewAnswer,
        ReviewDecision, ReviewOutcome,
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
        let ReviewDecision { answer, who, why, at } = decision;
        let Some(state) = self.state_of_item(item)? else { return Ok(ReviewOutcome::NoSuchItem) };
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
            let text = format!("{who} answered without being asked");
            self.ask(attempt, &Question { text, candidates: Vec::new() }, *at)?;
        }
        if *answer == ReviewAnswer::Resend {
            // the service may have it nevertheless
            self.change_one("UPDATE attempt SET forced = 1 WHERE id = ?1", [attempt.0])?;
        }
        let cause = Some(format!("{who}: {why}"));
        self.settle(attempt, &AttemptResult { event: answer.event(), at: *at, bound: bound.clone(), cause })?;
        self.change_one(
            "INSERT INTO answer (at, attempt, event, video_no, who, why) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (
                at.0,
                attempt.0,
                answer.event().as_str(),
                bound.as_ref().map(|binding| binding.video_no.as_str()),
                who,
                why,
            ),
        )?;
        Ok(ReviewOutcome::Done)
    }
}

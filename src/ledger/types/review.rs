//! Questions to a human, and the answers.

use serde::{Deserialize, Serialize};

use crate::{
    domain::{ItemEvent, State, UnixMillis, VideoNo},
    ledger::ItemId,
};

/// A question to a human.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What the evidence shows, as a sentence.
    pub text: String,
    /// Videos it could be.
    pub candidates: Vec<VideoNo>,
}

/// A human's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewAnswer {
    /// It is this video.
    Adopt(VideoNo),
    /// Send it again; it may be paid twice.
    Resend,
    /// Give it up.
    GiveUp,
    /// Take the last answer back.
    Withdraw,
}

impl ReviewAnswer {
    /// What happens to the item.
    #[must_use]
    pub const fn event(&self) -> ItemEvent {
        match self {
            Self::Adopt(_) => ItemEvent::Adopted,
            Self::Resend => ItemEvent::ResendOrdered,
            Self::GiveUp => ItemEvent::GivenUp,
            Self::Withdraw => ItemEvent::AnswerWithdrawn,
        }
    }
}

/// A decision of a human, as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewDecision {
    pub answer: ReviewAnswer,
    pub who: String,
    pub why: String,
    pub at: UnixMillis,
}

/// The outcome of a human's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewOutcome {
    /// It is recorded, and the item has its new state.
    Done,
    /// There is no such item.
    NoSuchItem,
    /// The item has a clear outcome, so there is nothing to decide.
    NotOpen(State),
    /// The video belongs to another item.
    VideoTaken(ItemId),
    /// The last answer cannot be taken back, with the reason.
    Kept(String),
}

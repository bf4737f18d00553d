//! The state machine of an item: its states, the events that change them, and the transition table. Pure.
//!
//! ```text
//!  manifest row
//!      |
//!      v        Claimed                Accepted                Indexed
//!   pending --------------> sending --------------> accepted ----------> indexed
//!    ^ ^ ^                   | | |                    ^ ^ ^  |
//!    | | |  NotSent          | | | AcceptedUnidentified | |  | IndexingFailed
//!    | | +--RefusedForNow----+ | +----> accepted_ ------+ |  +----------> failed --RetryOrdered--> pending
//!    | |                       |        unidentified Found|
//!    | |            AnswerLost |           ^   |        | |
//!    | |                       v           |   |        | |
//!    | +-- FoundAbsent --- in_doubt -------+   |        | |
//!    |                         |  +FoundAccepted-Found--+ |
//!    |         ReviewRequested |               | Review-  |
//!    |                         v               v Requested| Adopted, Found
//!    +------ ResendOrdered --- needs_review <--+          |
//!                              |  +-----------------------+
//!                              | GivenUp
//!                              v
//!                          abandoned
//!
//!   sending --Rejected, RejectedByRule--> rejected --Corrected--> pending          indexed --ReplaceOrdered--> pending
//!   pending, abandoned, accepted, indexed --AnswerWithdrawn--> needs_review
//!   accepted, indexed, failed --Deleted--> deleted --ReuploadOrdered--> pending         pending --FoundAgain--> accepted
//! ```
//!
//! A request without a clear answer may still have had an effect. So its item is `in_doubt`, and leaves that state only
//! by evidence or by a recorded human decision. `indexed`, `failed`, `rejected`, `abandoned` and `deleted` are final: only
//! a recorded command leaves them. An item becomes `deleted` when a listing proves that its video is gone, not when the
//! deletion is ordered.

use strum::{Display, EnumString, IntoStaticStr, VariantArray};

/// The state of an item. The ledger, text and JSON use the same name.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
    serde::Serialize,
    serde::Deserialize,
)]
#[strum(serialize_all = "snake_case", const_into_str)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits to be sent.
    Pending,
    /// Its request may be in flight; the quota is spent.
    Sending,
    /// It was sent and no clear answer came. It is not sent again without evidence.
    InDoubt,
    /// The service accepted (and charged) it. Its video number is not known yet.
    AcceptedUnidentified,
    /// Only a human can decide.
    NeedsReview,
    /// The service gave it a video number and indexes it.
    Accepted,
    /// Searchable. Final.
    Indexed,
    /// The service could not index it. Final.
    Failed,
    /// The service refused the row itself. Final.
    Rejected,
    /// A human gave it up. Final.
    Abandoned,
    /// Its video was deleted at the service by order, and a listing proves it. Final.
    Deleted,
}

/// What can happen to an item.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Display, EnumString, IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum ItemEvent {
    /// The ledger marked it as sending and spent the quota, durably.
    Claimed,
    /// No byte of the request left this machine.
    NotSent,
    /// The service definitely refused it and would take it another time.
    RefusedForNow,
    /// The service definitely refused the row itself.
    Rejected,
    /// A rule of the user says that the service refused the row itself. The answer alone does not show it.
    RejectedByRule,
    /// The service accepted it and named the video.
    Accepted,
    /// The service accepted it and did not name the video.
    AcceptedUnidentified,
    /// No answer came, or none that says what happened.
    AnswerLost,
    /// Evidence shows which video it became.
    Found,
    /// Evidence shows that it never arrived.
    FoundAbsent,
    /// Evidence shows that it was accepted, not yet as which video.
    FoundAccepted,
    /// The evidence is exhausted, and a question to a human is recorded.
    ReviewRequested,
    /// A human said which video it is.
    Adopted,
    /// A human ordered it to be sent again.
    ResendOrdered,
    /// A human gave it up.
    GivenUp,
    /// A human took an answer back.
    AnswerWithdrawn,
    /// The service finished indexing it.
    Indexed,
    /// The service failed to index it.
    IndexingFailed,
    /// The row came again with other content after the service had refused it.
    Corrected,
    /// The user ordered failed items to be sent (and paid) again.
    RetryOrdered,
    /// The row came again with other content, and the user ordered it to be sent (and paid) again.
    ReplaceOrdered,
    /// The user ordered its video to be deleted, and a listing proves that it is gone.
    Deleted,
    /// The user ordered deleted items to be sent (and paid) again.
    ReuploadOrdered,
    /// Before it was sent again, a listing showed its video: it is not deleted, or it did not fail to be indexed.
    FoundAgain,
}

/// The state of one request. An item has at most one attempt that is open or accepted.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Display, EnumString, IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum AttemptState {
    /// In flight, as far as the ledger knows.
    Sending,
    /// No byte left.
    NotSent,
    /// Definitely refused, to be tried another time.
    Refused,
    /// Definitely refused for good.
    Rejected,
    /// Outcome unknown.
    InDoubt,
    /// Accepted, video number unknown.
    AcceptedUnidentified,
    /// Left to a human.
    NeedsReview,
    /// Accepted under a video number.
    Accepted,
    /// Proved never to have arrived, or treated so by a human's order.
    Absent,
    /// Given up by a human.
    Abandoned,
    /// Was accepted, and a new attempt was ordered: its indexing failed, its row changed, or its video was deleted.
    Superseded,
}

/// A name of the ledger and of JSON, as text for people has it: `in_doubt` is `in doubt`.
#[must_use]
pub fn shown_name(name: &str) -> String {
    name.replace('_', " ")
}

impl State {
    /// The stable name in the ledger, in text and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }

    /// The name in text for people: `in doubt`.
    #[must_use]
    pub fn shown(self) -> String {
        shown_name(self.as_str())
    }

    /// What is said of so many items in this state, behind their count.
    #[must_use]
    pub const fn label(self, count: u64) -> &'static str {
        match self {
            Self::Pending => "pending (to be sent)",
            Self::Sending => "sending (in flight)",
            Self::InDoubt => "in doubt (no clear answer)",
            Self::AcceptedUnidentified => "accepted (video number unknown)",
            Self::NeedsReview if count == 1 => "needs your decision",
            Self::NeedsReview => "need your decision",
            Self::Accepted => "accepted (being indexed)",
            Self::Indexed => "searchable",
            Self::Failed => "failed (not indexed)",
            Self::Rejected => "rejected by the service",
            Self::Abandoned => "given up",
            Self::Deleted => "deleted by undo",
        }
    }
}

impl ItemEvent {
    /// The stable name in the ledger, in text and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }
}

impl AttemptState {
    /// The stable name in the ledger, in text and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }
}

/// An event that the transition table does not allow in a state. This is a bug, never a matter of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an item that is {state} cannot be {event}")]
pub struct IllegalTransition {
    /// The state the item was in.
    pub state: State,
    /// What was said to have happened to it.
    pub event: ItemEvent,
}

impl State {
    /// The state after `event`, or an error when the transition table does not allow the event here.
    pub const fn after(self, event: ItemEvent) -> Result<Self, IllegalTransition> {
        use ItemEvent as E;
        use State as S;
        let next = match (self, event) {
            (S::Pending, E::Claimed) => S::Sending,
            (S::Sending, E::NotSent | E::RefusedForNow)
            | (S::InDoubt, E::FoundAbsent)
            | (S::NeedsReview, E::ResendOrdered)
            | (S::Rejected, E::Corrected)
            | (S::Failed, E::RetryOrdered)
            | (S::Indexed, E::ReplaceOrdered)
            | (S::Deleted, E::ReuploadOrdered) => S::Pending,
            (S::Sending, E::Rejected | E::RejectedByRule) => S::Rejected,
            (S::Sending, E::Accepted)
            | (S::InDoubt | S::AcceptedUnidentified, E::Found)
            | (S::NeedsReview, E::Adopted | E::Found)
            | (S::Pending, E::FoundAgain) => S::Accepted,
            (S::Sending, E::AcceptedUnidentified) | (S::InDoubt, E::FoundAccepted) => S::AcceptedUnidentified,
            (S::Sending, E::AnswerLost) => S::InDoubt,
            (S::InDoubt | S::AcceptedUnidentified, E::ReviewRequested)
            | (S::Pending | S::Abandoned | S::Accepted | S::Indexed, E::AnswerWithdrawn) => S::NeedsReview,
            (S::NeedsReview, E::GivenUp) => S::Abandoned,
            (S::Accepted, E::Indexed) => S::Indexed,
            (S::Accepted, E::IndexingFailed) => S::Failed,
            (S::Accepted | S::Indexed | S::Failed, E::Deleted) => S::Deleted,
            (state, event) => return Err(IllegalTransition { state, event }),
        };
        Ok(next)
    }

    /// Final states have no exit but a recorded command.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Indexed | Self::Failed | Self::Rejected | Self::Abandoned | Self::Deleted => true,
            Self::Pending
            | Self::Sending
            | Self::InDoubt
            | Self::AcceptedUnidentified
            | Self::NeedsReview
            | Self::Accepted => false,
        }
    }
}

impl ItemEvent {
    /// The attempt's state after this event. `None`: the event does not concern the outcome of an attempt.
    #[must_use]
    pub const fn leaves_attempt(self) -> Option<AttemptState> {
        Some(match self {
            Self::Claimed => AttemptState::Sending,
            Self::NotSent => AttemptState::NotSent,
            Self::RefusedForNow => AttemptState::Refused,
            Self::Rejected | Self::RejectedByRule => AttemptState::Rejected,
            Self::Accepted | Self::Found | Self::Adopted | Self::FoundAgain => AttemptState::Accepted,
            Self::AcceptedUnidentified | Self::FoundAccepted => AttemptState::AcceptedUnidentified,
            Self::AnswerLost => AttemptState::InDoubt,
            Self::FoundAbsent | Self::ResendOrdered => AttemptState::Absent,
            Self::ReviewRequested | Self::AnswerWithdrawn => AttemptState::NeedsReview,
            Self::GivenUp => AttemptState::Abandoned,
            Self::RetryOrdered | Self::ReplaceOrdered | Self::ReuploadOrdered => AttemptState::Superseded,
            Self::Indexed | Self::IndexingFailed | Self::Corrected | Self::Deleted => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_state_name_parses_back() {
        for state in State::VARIANTS {
            assert_eq!(state.as_str().parse::<State>().ok(), Some(*state));
        }
        for event in ItemEvent::VARIANTS {
            assert_eq!(event.as_str().parse::<ItemEvent>().ok(), Some(*event));
        }
        for state in AttemptState::VARIANTS {
            assert_eq!(state.as_str().parse::<AttemptState>().ok(), Some(*state));
        }
        assert_eq!("done".parse::<State>().ok(), None);
    }

    #[test]
    fn a_final_state_is_left_only_by_a_recorded_command() {
        for state in State::VARIANTS.iter().filter(|state| state.is_final()) {
            for event in ItemEvent::VARIANTS {
                let ordered = matches!(
                    event,
                    ItemEvent::Corrected
                        | ItemEvent::RetryOrdered
                        | ItemEvent::ReplaceOrdered
                        | ItemEvent::AnswerWithdrawn
                        | ItemEvent::Deleted
                        | ItemEvent::ReuploadOrdered
                );
                assert!(state.after(*event).is_err() || ordered, "{state} + {event}");
            }
        }
    }

    #[test]
    fn a_doubt_goes_back_to_pending_only_by_evidence_of_absence_or_by_order() {
        let ways: Vec<ItemEvent> = ItemEvent::VARIANTS
            .iter()
            .copied()
            .filter(|e| State::InDoubt.after(*e) == Ok(State::Pending))
            .collect();
        assert_eq!(ways, [ItemEvent::FoundAbsent]);
        let ways: Vec<ItemEvent> = ItemEvent::VARIANTS
            .iter()
            .copied()
            .filter(|e| State::NeedsReview.after(*e) == Ok(State::Pending))
            .collect();
        assert_eq!(ways, [ItemEvent::ResendOrdered]);
        assert!(
            ItemEvent::VARIANTS.iter().all(|e| State::AcceptedUnidentified.after(*e) != Ok(State::Pending))
        );
    }

    #[test]
    fn every_state_can_be_reached_and_every_open_state_can_end() {
        let mut reached = BTreeSet::from([State::Pending]);
        for _ in State::VARIANTS {
            for state in reached.clone() {
                reached.extend(ItemEvent::VARIANTS.iter().filter_map(|event| state.after(*event).ok()));
            }
        }
        assert_eq!(reached.len(), State::VARIANTS.len());
        for state in State::VARIANTS.iter().filter(|state| !state.is_final()) {
            assert!(
                ItemEvent::VARIANTS.iter().any(|event| state.after(*event).is_ok()),
                "{state} is a dead end"
            );
        }
    }
}

//! The law: which states an item can be in, and which event leads from one to another. Pure; no I/O, no time.
//!
//! ```text
//!  manifest row
//!      |
//!      v        Claimed                Accepted                Indexed
//!   pending --------------> sending --------------> accepted ----------> indexed
//!    ^ ^ ^                   | | |                    ^ ^ ^  |
//!    | | |  NotSent          | | | AcceptedUnnamed    | | |  | IndexingFailed
//!    | | +--RefusedForNow----+ | +--------> counted --+ | |  +----------> failed --RetryOrdered--> pending
//!    | |                       |              ^   |Found| |
//!    | |              Doubted  v    Counted   |   |     | |
//!    | +-- FoundAbsent --- in_doubt ----------+   |     | |
//!    |                         |  +---------------|-Found |
//!    |                         | Asked            | Asked |
//!    |                         v                  v       | Adopted
//!    +------ ResendOrdered --- asked <-------------       |
//!                              |  +-----------------------+
//!                              | GivenUp
//!                              v
//!                          abandoned
//!
//!   sending --Rejected--> rejected --Corrected--> pending          indexed --ReplaceOrdered--> pending
//! ```
//!
//! No answer is not no effect: a request without a clear answer is `in_doubt` and leaves it only by evidence or by a
//! recorded human decision. `indexed`, `failed`, `rejected` and `abandoned` are final: only a recorded command leaves
//! them.

use std::fmt;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every value, in the order of a healthy life.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word for it, in the ledger and in every output.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// Reads the word back; an unknown word is none.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}

words! {
    /// Where an item stands.
    State {
        /// Waits to be sent.
        Pending = "pending",
        /// Its request may be on the wire; the quota is spent.
        Sending = "sending",
        /// It was sent and no clear answer came; never sent again blindly.
        InDoubt = "in_doubt",
        /// The service has it (and charged it), but which video number it got is not known yet.
        Counted = "counted",
        /// Only a human can decide.
        Asked = "asked",
        /// The service gave it a video number and indexes it.
        Accepted = "accepted",
        /// Searchable. Final.
        Indexed = "indexed",
        /// The service could not index it. Final.
        Failed = "failed",
        /// The service refused the row itself. Final.
        Rejected = "rejected",
        /// A human gave it up. Final.
        Abandoned = "abandoned",
    }
}

words! {
    /// What can happen to an item.
    Event {
        /// The ledger marked it as sending and spent the quota, durably.
        Claimed = "claimed",
        /// No byte of the request left this machine.
        NotSent = "not_sent",
        /// The service definitely refused it and would take it another time.
        RefusedForNow = "refused_for_now",
        /// The service definitely refused the row itself.
        Rejected = "rejected",
        /// The service accepted it and named the video.
        Accepted = "accepted",
        /// The service accepted it and did not name the video.
        AcceptedUnnamed = "accepted_unnamed",
        /// Anything else: no answer, or none that says what happened.
        Doubted = "doubted",
        /// Evidence shows that it became a certain video.
        Found = "found",
        /// Evidence shows that it never arrived.
        FoundAbsent = "found_absent",
        /// Evidence shows that it was accepted, not yet as which video.
        Counted = "counted",
        /// The evidence is exhausted; a question to a human was recorded.
        Asked = "asked",
        /// A human said which video it is.
        Adopted = "adopted",
        /// A human ordered it to be sent again.
        ResendOrdered = "resend_ordered",
        /// A human gave it up.
        GivenUp = "given_up",
        /// The service finished indexing it.
        Indexed = "indexed",
        /// The service failed to index it.
        IndexingFailed = "indexing_failed",
        /// The row came again with other content after the service had refused it.
        Corrected = "corrected",
        /// The user ordered failed items to be sent (and paid) again.
        RetryOrdered = "retry_ordered",
        /// The row came again with other content, and the user ordered it to be sent (and paid) again.
        ReplaceOrdered = "replace_ordered",
    }
}

words! {
    /// How one request stands, or ended. An item has at most one attempt that is open or accepted.
    AttemptState {
        /// On the wire, as far as the ledger knows.
        Sending = "sending",
        /// No byte left.
        NotSent = "not_sent",
        /// Definitely refused, to be tried another time.
        Refused = "refused",
        /// Definitely refused for good.
        Rejected = "rejected",
        /// Outcome unknown.
        InDoubt = "in_doubt",
        /// Accepted, number unknown.
        Counted = "counted",
        /// Left to a human.
        Asked = "asked",
        /// Accepted under a number.
        Accepted = "accepted",
        /// Proved never to have arrived, or treated so by a human's order.
        Absent = "absent",
        /// Given up by a human.
        Abandoned = "abandoned",
        /// Was accepted, and a new attempt was ordered: it failed to be indexed, or its row changed.
        Superseded = "superseded",
    }
}

/// An event that the law does not allow in a state: a bug, never a matter of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an item that is {state} cannot be {event}")]
pub struct IllegalTransition {
    /// The state the item was in.
    pub state: State,
    /// What was said to have happened to it.
    pub event: Event,
}

impl State {
    /// The state after `event`, or an error when the law does not allow it here.
    pub const fn after(self, event: Event) -> Result<Self, IllegalTransition> {
        use Event as E;
        use State as S;
        let next = match (self, event) {
            (S::Pending, E::Claimed) => S::Sending,
            (S::Sending, E::NotSent | E::RefusedForNow)
            | (S::InDoubt, E::FoundAbsent)
            | (S::Asked, E::ResendOrdered)
            | (S::Rejected, E::Corrected)
            | (S::Failed, E::RetryOrdered)
            | (S::Indexed, E::ReplaceOrdered) => S::Pending,
            (S::Sending, E::Rejected) => S::Rejected,
            (S::Sending, E::Accepted)
            | (S::InDoubt | S::Counted, E::Found)
            | (S::Asked, E::Adopted | E::Found) => S::Accepted,
            (S::Sending, E::AcceptedUnnamed) | (S::InDoubt, E::Counted) => S::Counted,
            (S::Sending, E::Doubted) => S::InDoubt,
            (S::InDoubt | S::Counted, E::Asked) => S::Asked,
            (S::Asked, E::GivenUp) => S::Abandoned,
            (S::Accepted, E::Indexed) => S::Indexed,
            (S::Accepted, E::IndexingFailed) => S::Failed,
            (state, event) => return Err(IllegalTransition { state, event }),
        };
        Ok(next)
    }

    /// Final states have no exit but a recorded command.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Indexed | Self::Failed | Self::Rejected | Self::Abandoned => true,
            Self::Pending | Self::Sending | Self::InDoubt | Self::Counted | Self::Asked | Self::Accepted => {
                false
            }
        }
    }
}

impl Event {
    /// How the attempt stands after this event; none when the event does not concern an attempt's outcome.
    #[must_use]
    pub const fn leaves_attempt(self) -> Option<AttemptState> {
        Some(match self {
            Self::Claimed => AttemptState::Sending,
            Self::NotSent => AttemptState::NotSent,
            Self::RefusedForNow => AttemptState::Refused,
            Self::Rejected => AttemptState::Rejected,
            Self::Accepted | Self::Found | Self::Adopted => AttemptState::Accepted,
            Self::AcceptedUnnamed | Self::Counted => AttemptState::Counted,
            Self::Doubted => AttemptState::InDoubt,
            Self::FoundAbsent | Self::ResendOrdered => AttemptState::Absent,
            Self::Asked => AttemptState::Asked,
            Self::GivenUp => AttemptState::Abandoned,
            Self::RetryOrdered | Self::ReplaceOrdered => AttemptState::Superseded,
            Self::Indexed | Self::IndexingFailed | Self::Corrected => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_word_reads_back_as_itself() {
        for state in State::ALL {
            assert_eq!(State::from_word(state.word()), Some(*state));
        }
        for event in Event::ALL {
            assert_eq!(Event::from_word(event.word()), Some(*event));
        }
        for state in AttemptState::ALL {
            assert_eq!(AttemptState::from_word(state.word()), Some(*state));
        }
        assert_eq!(State::from_word("done"), None);
    }

    #[test]
    fn a_final_state_is_left_only_by_a_recorded_command() {
        for state in State::ALL.iter().filter(|state| state.is_final()) {
            for event in Event::ALL {
                let ordered = matches!(event, Event::Corrected | Event::RetryOrdered | Event::ReplaceOrdered);
                assert!(state.after(*event).is_err() || ordered, "{state} + {event}");
            }
        }
    }

    #[test]
    fn a_doubt_goes_back_to_pending_only_by_evidence_of_absence_or_by_order() {
        let ways: Vec<Event> =
            Event::ALL.iter().copied().filter(|e| State::InDoubt.after(*e) == Ok(State::Pending)).collect();
        assert_eq!(ways, [Event::FoundAbsent]);
        let ways: Vec<Event> =
            Event::ALL.iter().copied().filter(|e| State::Asked.after(*e) == Ok(State::Pending)).collect();
        assert_eq!(ways, [Event::ResendOrdered]);
        assert!(Event::ALL.iter().all(|e| State::Counted.after(*e) != Ok(State::Pending)));
    }

    #[test]
    fn every_state_can_be_reached_and_every_open_state_can_end() {
        let mut reached = BTreeSet::from([State::Pending]);
        for _ in State::ALL {
            for state in reached.clone() {
                reached.extend(Event::ALL.iter().filter_map(|event| state.after(*event).ok()));
            }
        }
        assert_eq!(reached.len(), State::ALL.len());
        for state in State::ALL.iter().filter(|state| !state.is_final()) {
            assert!(Event::ALL.iter().any(|event| state.after(*event).is_ok()), "{state} is a dead end");
        }
    }
}

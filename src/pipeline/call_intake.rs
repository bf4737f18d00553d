//! Takes in calls of the service: checks the token, bounds their number, and records what they name. A call is a hint: nothing is
//! bound before a read confirms it.

use std::sync::{Mutex, PoisonError};

use super::context::{Context, Noticed, Signals};
use crate::{
    api::parse_call,
    clock::Clock,
    domain::shown_name,
    events::{Event, EventBus},
    ledger::{AttemptId, CallContradiction, CallReceipt, CallbackKey, Ledger, LedgerError},
};

/// Calls with a valid token that are taken in one second. The service makes about two for an upload.
const PER_SECOND_MAX: u32 = 100;
/// A number that is named again is looked up after this many milliseconds at the latest.
const NAMED_AGAIN_MS: i64 = 5_000;

/// Why a request is not a call that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallRefusal {
    /// Its address has no token of this ledger.
    Token,
    /// Too many calls came within a second.
    TooMany,
    /// Its body names no video.
    Body,
}

/// Takes in calls for one ledger.
pub struct CallIntake {
    key: CallbackKey,
    ledger: Ledger,
    signals: Signals,
    events: EventBus,
    clock: Clock,
    taken: Mutex<TakenCalls>,
}

/// How many calls were taken in a second.
#[derive(Default)]
struct TakenCalls {
    second: i64,
    count: u32,
}

impl TakenCalls {
    /// Whether another call is taken in this second of the clock.
    fn admits(&mut self, second: i64) -> bool {
        if self.second != second {
            *self = Self { second, count: 0 };
        }
        self.count += 1;
        self.count <= PER_SECOND_MAX
    }
}

impl CallIntake {
    /// Takes in calls beside a run.
    pub async fn open<T>(context: &Context<T>) -> Result<Self, LedgerError> {
        Ok(Self {
            key: context.ledger.write(|store| Ok(store.callback_key())).await?,
            ledger: context.ledger.clone(),
            signals: context.signals.clone(),
            events: context.events.clone(),
            clock: context.clock.clone(),
            taken: Mutex::default(),
        })
    }

    /// Whether the last part of an address has a token of this ledger.
    #[must_use]
    pub fn knows(&self, part: &str) -> bool {
        self.key.attempt_of(part).is_some()
    }

    /// The request that a call is about, by the last part of its address. It costs no read and no write.
    pub fn admit(&self, part: &str) -> Result<AttemptId, CallRefusal> {
        let admitted = self.key.attempt_of(part).ok_or(CallRefusal::Token).and_then(|attempt| {
            let second = self.clock.now().0.div_euclid(1_000);
            let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            if taken.admits(second) { Ok(attempt) } else { Err(CallRefusal::TooMany) }
        });
        admitted.inspect_err(|_| self.refused())
    }

    /// Counts a request that is no valid call.
    pub fn refused(&self) {
        self.signals.calls.note_refused();
    }

    /// Records what a call says. After the return it is on the disk.
    pub async fn take(&self, attempt: AttemptId, body: &[u8]) -> Result<(), CallError> {
        let Some(video_no) = parse_call(body) else {
            self.refused();
            return Err(CallError::Refused(CallRefusal::Body));
        };
        let now = self.clock.now();
        self.signals.calls.note_received(now);
        let poll_at = self.signals.calls.hinted_poll(now);
        let again_at = now.plus_ms(NAMED_AGAIN_MS);
        let named = video_no.clone();
        let record =
            move |store: &crate::ledger::Store| store.record_call(attempt, &named, now, poll_at, again_at);
        let what = match self.ledger.write(record).await? {
            CallReceipt::Recorded | CallReceipt::Repeated | CallReceipt::Known => {
                self.signals.ledger_changed();
                return Ok(());
            }
            CallReceipt::NoRequest => {
                "the ledger has no such request: was it restored from a copy?".to_owned()
            }
            CallReceipt::Contradicts(CallContradiction::Bound(bound)) => {
                format!("its answer, or other evidence, named {bound}")
            }
            CallReceipt::Contradicts(CallContradiction::OtherNumber) => {
                "another call for it named another video; calls settle nothing for it".to_owned()
            }
            CallReceipt::Contradicts(CallContradiction::Ended(state)) => {
                format!(
                    "it counts as {}; its row is not sent again before that video was looked for, and telecine verify shows whether \
                     it is there",
                    shown_name(&state)
                )
            }
        };
        // its row may wait for a search now
        self.signals.ledger_changed();
        self.signals.calls.note_contradicted();
        if self.signals.is_first(Noticed::ContradictoryCall(attempt)) {
            let text =
                format!("the service called for request {attempt} with the video {video_no}, but {what}");
            self.events.emit(now, &Event::Message { text });
        }
        Ok(())
    }
}

/// Why a call was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It is not a call that counts.
    #[error("it is no valid call: {0:?}")]
    Refused(CallRefusal),
    /// The ledger cannot record it.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_calls_above_the_rate_limit_are_not_taken() {
        let mut taken = TakenCalls::default();
        let admitted = |taken: &mut TakenCalls, second| (0..1_000).filter(|_| taken.admits(second)).count();
        assert_eq!(admitted(&mut taken, 7), 100);
        assert_eq!(admitted(&mut taken, 8), 100);
        assert_eq!(admitted(&mut taken, 8), 0);
    }
}

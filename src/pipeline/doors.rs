//! What every stage is handed: the doors, the clock, and how it hears that it should stop.

use std::sync::Arc;

use tokio::sync::{Notify, futures::Notified};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    ending::StopReason,
    ledger::Ledger,
    monitor::{Monitor, Notice},
    quota::{Feedback, Lane, Porter, parse_retry_after},
    service::{ReadFault, Service},
};

/// The service's word that no read can succeed until somebody acts.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) reason: StopReason,
    pub(super) cause: String,
}

/// So many reads in a row that bring nothing are worth a word.
const FAILED_READS_SAID: u32 = 3;

/// The doors a stage works through. Cheap to clone.
pub struct Doors<T> {
    /// The spine.
    pub ledger: Ledger,
    /// The gate.
    pub service: Arc<Service<T>>,
    /// The porter.
    pub porter: Arc<Porter>,
    /// Time.
    pub clock: Clock,
    /// The voice.
    pub monitor: Monitor,
    /// How to stop, and that something changed.
    pub signals: Signals,
}

impl<T> Clone for Doors<T> {
    fn clone(&self) -> Self {
        Self {
            ledger: self.ledger.clone(),
            service: Arc::clone(&self.service),
            porter: Arc::clone(&self.porter),
            clock: self.clock.clone(),
            monitor: self.monitor.clone(),
            signals: self.signals.clone(),
        }
    }
}

impl<T> Doors<T> {
    pub(super) fn say(&self, notice: &Notice) {
        self.monitor.say(self.clock.now(), notice);
    }

    /// A read that brought nothing may be repeated freely, in its own time: the porter holds the lane.
    pub(super) fn learn_read_fault(&self, lane: Lane, fault: &ReadFault) -> Option<Refusal> {
        let feedback = match fault {
            ReadFault::RefusedForNow { retry_after } => {
                let asked = retry_after.as_deref().and_then(|text| parse_retry_after(text, self.clock.now()));
                Feedback::RefusedForNow(asked)
            }
            ReadFault::NotSent { .. } => Feedback::Unreachable,
            ReadFault::Unclear { .. } | ReadFault::StopRun { .. } => Feedback::Unclear,
        };
        tracing::debug!(?lane, ?fault, "a read brought nothing");
        let hold = self.porter.learn(lane, &feedback);
        if let Some(hold) = hold.filter(|hold| hold.failures == FAILED_READS_SAID) {
            let why = format!("listings cannot be read ({fault}); trying again");
            self.say(&Notice::Waiting { why, until: hold.until });
        }
        match fault {
            ReadFault::StopRun { reason, cause } => Some(Refusal { reason: *reason, cause: cause.clone() }),
            ReadFault::RefusedForNow { .. } | ReadFault::NotSent { .. } | ReadFault::Unclear { .. } => None,
        }
    }
}

/// How stages hear of each other: only that they should stop, or look at the ledger again.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    /// Send nothing new; what is on the wire is waited for.
    pub drain: CancellationToken,
    /// Go home.
    pub leave: CancellationToken,
    changed: Arc<Notify>,
}

impl Signals {
    /// Says that the ledger changed: whoever waits may look sooner.
    pub fn ledger_changed(&self) {
        self.changed.notify_waiters();
    }

    /// The next change from now on, even if it comes before this is awaited: ask for it before looking at the ledger,
    /// and nothing is missed.
    pub fn next_change(&self) -> Notified<'_> {
        self.changed.notified()
    }
}

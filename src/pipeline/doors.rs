//! What every stage is handed: the doors, the clock, and how it hears that it should stop.

use std::sync::Arc;

use tokio::sync::{Mutex, Notify, futures::Notified};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    ending::StopReason,
    ledger::{Ledger, LedgerError},
    monitor::{Monitor, Notice},
    quota::{Outcome, Permit, Porter, Purpose, Slot},
    retry::parse_retry_after,
    service::{ReadFault, Service},
};

use super::hire::LESSONS;

/// The service's word that no read can succeed until somebody acts.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) reason: StopReason,
    pub(super) cause: String,
}

/// Reads are remembered for an hour longer than any window looks back, and at least for this long, in milliseconds: twice the
/// longest window that any document names, since the next run may have other limits.
const READS_KEPT_MS_MIN: i64 = 48 * HOUR_MS;
const HOUR_MS: i64 = 3_600_000;

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

    /// Waits for the turn of a read, and writes down that it is spent before it leaves.
    pub(super) async fn read_permit(&self, purpose: Purpose) -> Result<Permit, LedgerError> {
        let permit = self.porter.permit(purpose).await;
        self.spend(&permit).await?;
        Ok(permit)
    }

    /// Writes down that the turn of a read is spent.
    pub(super) async fn spend(&self, permit: &Permit) -> Result<(), LedgerError> {
        let now = self.clock.now();
        let counts_since = now.plus_ms(-self.porter.limits().span_ms_max().max(READS_KEPT_MS_MIN) - HOUR_MS);
        self.ledger.spend_read(permit.lane().word(), now, counts_since).await
    }

    /// Writes down what the porter learned, if that is news.
    pub(super) async fn keep_lessons(&self) -> Result<(), LedgerError> {
        // one at a time: older lessons must not overwrite newer ones
        let _turn = self.signals.lessons.lock().await;
        if let Some(lessons) = self.porter.new_lessons() {
            self.ledger.remember(LESSONS, Some(lessons.to_text()), self.clock.now()).await?;
            self.porter.lessons_are_kept(&lessons);
        }
        Ok(())
    }

    /// A read brought what was asked for.
    pub(super) fn learn_read(&self, slot: Slot) {
        self.porter.hear_read(slot, &Outcome::Accepted { noted_at: None });
    }

    /// A read that brought nothing may be repeated freely, in its own time: the porter holds the lane.
    pub(super) fn learn_read_fault(&self, slot: Slot, fault: &ReadFault) -> Option<Refusal> {
        let outcome = match fault {
            ReadFault::RefusedForNow { retry_after } => {
                let asked = retry_after.as_deref().and_then(|text| parse_retry_after(text, self.clock.now()));
                Outcome::Refused { retry_after: asked }
            }
            ReadFault::NotSent { .. } => Outcome::NotSent,
            ReadFault::Unclear { .. } | ReadFault::StopRun { .. } => Outcome::Unclear,
        };
        tracing::debug!(?slot, ?fault, "a read brought nothing");
        let hold = self.porter.hear_read(slot, &outcome);
        if let Some(hold) = hold.filter(|hold| hold.failures == FAILED_READS_SAID) {
            let why = format!("listings cannot be read ({fault}); trying again");
            self.say(&Notice::Waiting { why, until: hold.until, how: None });
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
    lessons: Arc<Mutex<()>>,
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

//! The context that every stage works with: ledger, API client, rate limiter, clock, events and stop signals.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError},
    time::Duration,
};

use super::call_tally::CallTally;
use tokio::sync::{Mutex, Notify, futures::Notified};
use tokio_util::sync::CancellationToken;

use crate::{
    api::{ApiClient, ReadError},
    bucket::Sources,
    clock::Clock,
    domain::StopReason,
    events::{Event, EventBus},
    ledger::{AttemptId, ItemId, Ledger, LedgerError},
    quota::{Cooldown, Endpoint, Permit, PermitSlot, Priority, RateLimiter, RequestOutcome},
    retry::asked_wait,
};

/// The name under which the ledger keeps the learned limits.
pub const LEARNED_LIMITS: &str = "lessons";

/// A refusal of the service that ends all reads until the operator acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReadRefusal {
    pub(super) reason: StopReason,
    pub(super) cause: String,
}

/// Reads are kept for an hour longer than any window, and at least for this many milliseconds. That is twice the
/// longest documented window, since the next run may have other limits.
const READS_KEPT_MS_MIN: i64 = 48 * HOUR_MS;
const HOUR_MS: i64 = 3_600_000;

/// Failed reads in a row before the operator is notified.
const FAILED_READS_SAID: u32 = 3;

/// A longer wait before the next read is announced at once.
const READ_WAIT_SAID: Duration = Duration::from_secs(90);

/// What a stage works with. Cheap to clone.
pub struct Context<T> {
    pub ledger: Ledger,
    pub api: Arc<ApiClient<T>>,
    /// Signs links to objects in buckets.
    pub sources: Arc<Sources>,
    pub limiter: Arc<RateLimiter>,
    pub clock: Clock,
    pub events: EventBus,
    pub signals: Signals,
}

impl<T> Clone for Context<T> {
    fn clone(&self) -> Self {
        Self {
            ledger: self.ledger.clone(),
            api: Arc::clone(&self.api),
            sources: Arc::clone(&self.sources),
            limiter: Arc::clone(&self.limiter),
            clock: self.clock.clone(),
            events: self.events.clone(),
            signals: self.signals.clone(),
        }
    }
}

impl<T> Context<T> {
    pub(super) fn emit(&self, event: &Event) {
        self.events.emit(self.clock.now(), event);
    }

    fn announce_read_wait(&self, endpoint: Endpoint, cause: &str, cooldown: Cooldown) {
        let what = match endpoint {
            Endpoint::Delete => "no video can be deleted",
            Endpoint::Upload | Endpoint::List | Endpoint::Metadata => "listings cannot be read",
        };
        let reason = format!("{what} ({cause}); trying again");
        self.emit(&Event::Waiting { reason, until: cooldown.until, hint: None });
    }

    /// Waits for a permit to read, and records the read before it leaves.
    pub(super) async fn read_permit(&self, priority: Priority) -> Result<Permit, LedgerError> {
        // a wait that the service asked for must be kept, whatever happens during it
        self.save_learned_limits().await?;
        let (endpoint, now) = (priority.endpoint(), self.clock.now());
        // a run before was asked to wait
        let kept = self.limiter.cooldown(endpoint).filter(|wait| wait.until.after_now(now) >= READ_WAIT_SAID);
        if let Some(wait) = kept
            && self.signals.is_first(Noticed::ReadWait(endpoint.as_str()))
        {
            self.announce_read_wait(endpoint, "the service asked to wait", wait);
        }
        let permit = self.limiter.permit(priority).await;
        self.spend(&permit).await?;
        Ok(permit)
    }

    /// Records that a read is spent, and waits until it may leave.
    pub(super) async fn spend(&self, permit: &Permit) -> Result<(), LedgerError> {
        let now = self.clock.now();
        let counts_since =
            now.plus_ms(-self.limiter.limits().period_ms_max().max(READS_KEPT_MS_MIN) - HOUR_MS);
        let endpoint = permit.endpoint().as_str();
        self.ledger.write(move |store| store.record_read(endpoint, now, counts_since)).await?;
        self.limiter.depart_read(permit).await;
        Ok(())
    }

    /// Saves the learned limits if they changed.
    pub(super) async fn save_learned_limits(&self) -> Result<(), LedgerError> {
        // one save at a time: an older state must not overwrite a newer one
        let _turn = self.signals.learned_limits.lock().await;
        if let Some(learned_limits) = self.limiter.changed_learned_limits() {
            let (text, at) = (learned_limits.to_text(), self.clock.now());
            self.ledger.write(move |store| store.kv_set(LEARNED_LIMITS, Some(&text), at)).await?;
            self.limiter.learned_limits_saved(&learned_limits);
        }
        Ok(())
    }

    /// Reports a successful read to the rate limiter, and announces what it showed of the service's status words.
    pub(super) fn learn_read(&self, slot: PermitSlot) {
        for text in self.api.take_status_word_notices() {
            self.emit(&Event::Message { text });
        }
        self.limiter.on_read(slot, &RequestOutcome::Accepted { noted_at: None });
    }

    /// Reports a failed read. Reads may be repeated freely; the rate limiter delays the endpoint.
    pub(super) fn learn_read_fault(&self, slot: PermitSlot, error: &ReadError) -> Option<ReadRefusal> {
        let outcome = match error {
            ReadError::RefusedForNow { retry_after } => {
                RequestOutcome::Refused { retry_after: asked_wait(retry_after.as_deref(), self.clock.now()) }
            }
            ReadError::NotSent { .. } => RequestOutcome::NotSent,
            ReadError::Unclear { retry_after, .. } => {
                RequestOutcome::Unclear { retry_after: asked_wait(retry_after.as_deref(), self.clock.now()) }
            }
            ReadError::StopRun { .. } => RequestOutcome::Unclear { retry_after: None },
        };
        tracing::debug!(?slot, ?error, "a read brought nothing");
        let cooldown = self.limiter.on_read(slot, &outcome);
        let now = self.clock.now();
        let is_said = |cooldown: &Cooldown| {
            cooldown.failures == FAILED_READS_SAID || cooldown.until.after_now(now) >= READ_WAIT_SAID
        };
        if let Some(cooldown) = cooldown.filter(is_said) {
            self.signals.is_first(Noticed::ReadWait(slot.endpoint().as_str()));
            self.announce_read_wait(slot.endpoint(), &error.to_string(), cooldown);
        }
        match error {
            ReadError::StopRun { reason, cause } => {
                Some(ReadRefusal { reason: *reason, cause: cause.clone() })
            }
            ReadError::RefusedForNow { .. } | ReadError::NotSent { .. } | ReadError::Unclear { .. } => None,
        }
    }
}

/// Signals between stages: that a run should stop, or that the ledger changed.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    /// Send nothing new; requests in flight are awaited.
    pub drain: CancellationToken,
    /// End at once: requests in flight stay open in the ledger.
    pub abort: CancellationToken,
    pub leave: CancellationToken,
    /// The calls of the service.
    pub calls: Arc<CallTally>,
    changed: Arc<Notify>,
    learned_limits: Arc<Mutex<()>>,
    noticed: Arc<std::sync::Mutex<HashSet<Noticed>>>,
}

/// What is said once in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Noticed {
    /// The service shows tags otherwise than they were sent.
    ChangedTags,
    /// The service no longer shows an accepted video.
    VanishedVideo,
    /// An endpoint of this name is not read for long.
    ReadWait(&'static str),
    /// No listing can be read whole, so that rows wait which are to be sent again.
    UnreadableListing,
    /// Rows have a callback of their own.
    OwnCallback,
    /// The video of a row that is to be sent again belongs to another row.
    TakenVideo(ItemId),
    /// A video that the service called for may be that of a row which is to be sent again.
    CalledVideo(ItemId),
    /// A call for this request contradicts what is known.
    ContradictoryCall(AttemptId),
    /// Nothing is sent now, whatever the limits allow.
    Hold,
}

impl Signals {
    /// Whether a stage notices this for the first time in the run.
    pub(super) fn is_first(&self, noticed: Noticed) -> bool {
        self.noticed.lock().unwrap_or_else(PoisonError::into_inner).insert(noticed)
    }

    pub(super) fn set_held(&self, is_held: bool) {
        let mut noticed = self.noticed.lock().unwrap_or_else(PoisonError::into_inner);
        if is_held {
            noticed.insert(Noticed::Hold)
        } else {
            noticed.remove(&Noticed::Hold)
        };
    }

    /// Whether nothing is sent now, so that the limits do not say when everything will have been sent.
    pub(super) fn is_held(&self) -> bool {
        self.noticed.lock().unwrap_or_else(PoisonError::into_inner).contains(&Noticed::Hold)
    }

    /// Announces that the ledger changed, so that waiting stages read it sooner.
    pub fn ledger_changed(&self) {
        self.changed.notify_waiters();
    }

    /// The next change from now on, even if it comes before this is awaited. Call this before reading the ledger,
    /// and no change is missed.
    pub fn next_change(&self) -> Notified<'_> {
        self.changed.notified()
    }
}

//! The upload stage: claims pending items, throttled by the rate limiter, and records what became of each request.
//!
//! - One loop takes permits. Each permit gets a task of its own, which claims an item, sends its request and alone records the
//!   outcome. Claims that are made at the same time are committed together. Dropping the future would not cancel a request
//!   that has left, so tasks are never dropped: draining waits for them.
//! - At most `concurrency` requests are in flight, and one while the circuit breaker is half open.
//! - Nothing is sent twice without a record: a verdict moves the item to its next state, or the item is in doubt.

mod answers;
mod bandwidth;
mod body;
mod claims;
mod end_lane;
mod files_in_flight;
mod last_answers;
mod pause;
mod send;
mod storage_refusals;
mod video_bytes;

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::{sync::futures::Notified, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    api::Transport,
    domain::{RunOutcome, State, StopReason, UnixMillis, counted},
    events::Event,
    ledger::{ClaimBlocked, ClaimTerms, LedgerError, Snapshot},
    quota::{Endpoint, Permit, Priority},
};

use super::context::Context;
use bandwidth::Bandwidth;
use claims::Claims;
use last_answers::LastAnswers;
pub(crate) use send::delay_text;
use send::{SendResult, claim_and_send, prepare_source};
use storage_refusals::StorageRefusals;

/// A shorter wait for the quota is part of normal spacing and is not announced.
pub(crate) const WAIT_ANNOUNCED_MIN: Duration = Duration::from_secs(90);

/// With a longest wait for the quota: how often to check, before the first upload, whether listings have to wait longer.
const PREFLIGHT_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// For the operator: why a claimed request was not made.
const SLOW_MACHINE: &str = "a request was not started within 5 s of being recorded and will be sent again: this machine or \
                            its disk is slow, or the machine was suspended";

/// The settings of the upload stage.
#[derive(Clone, Debug)]
pub(super) struct UploadSettings {
    pub(super) terms: Arc<ClaimTerms>,
    pub(super) concurrency: usize,
    /// `None`: unlimited.
    pub(super) rows_max: Option<u64>,
    /// Nothing is sent after this time. `None`: unlimited.
    pub(super) stop_at: Option<UnixMillis>,
    /// How long to wait for evidence that sending depends on. `None`: do not wait.
    pub(super) patience: Option<Duration>,
    /// End instead of waiting longer for the quota. `None`: wait as long as necessary.
    pub(super) quota_wait_max: Option<Duration>,
    /// Of all files together, in bytes per second. `None`: unlimited.
    pub(super) bandwidth_max: Option<u64>,
    /// Cancelled when the library was compared with the ledger. Nothing is sent before.
    pub(super) preflight_done: CancellationToken,
    /// Cancelled when the manifests are read.
    pub(super) all_read: CancellationToken,
}

/// Why no item can be claimed now.
enum Obstacle {
    /// As many requests as allowed are in flight.
    Concurrency,
    Claim(ClaimBlocked),
}

/// What ended the wait for a permit.
enum PermitWait {
    Granted(Permit),
    /// Something changed; obstacles are to be checked again.
    Interrupted,
    Stopped(RunOutcome),
}

/// Whether there will be further requests.
#[derive(Clone, Copy, PartialEq, Eq)]
enum UploadPhase {
    Sending,
    /// Only answers are awaited.
    Ended,
}

struct Uploader<T> {
    context: Context<T>,
    plan: UploadSettings,
    in_flight: JoinSet<Result<SendResult, LedgerError>>,
    sent: u64,
    has_been_answered: bool,
    offline_since: Option<UnixMillis>,
    last_answers: LastAnswers,
    is_lateness_announced: bool,
    claims: Arc<Claims>,
    /// Kept so that each obstacle is announced once.
    announced: Option<ClaimBlocked>,
    /// The end of the quota wait that was announced last.
    wait_announced_until: Option<UnixMillis>,
    /// Since when sending has been blocked until evidence arrives.
    blocked_since: Option<UnixMillis>,
    phase: UploadPhase,
    storage_refusals: StorageRefusals,
}

/// Sends until the run drains or sending must stop, then waits for the requests in flight.
pub(super) async fn upload<T: Transport>(
    context: Context<T>,
    plan: UploadSettings,
) -> Result<RunOutcome, LedgerError> {
    let claims = Claims::new(Bandwidth::new(plan.bandwidth_max), Arc::clone(&plan.terms.set_aside));
    let mut uploader = Uploader {
        context,
        plan,
        in_flight: JoinSet::new(),
        sent: 0,
        has_been_answered: false,
        offline_since: None,
        last_answers: LastAnswers::default(),
        is_lateness_announced: false,
        claims: Arc::new(claims),
        announced: None,
        wait_announced_until: None,
        blocked_since: None,
        phase: UploadPhase::Sending,
        storage_refusals: StorageRefusals::default(),
    };
    let mut end = uploader.run().await;
    uploader.phase = UploadPhase::Ended;
    // whatever failed, requests in flight are awaited: an aborted one would lose its answer
    while let Some(sent) = uploader.in_flight.join_next().await {
        if let Err(error) = uploader.note(sent) {
            end = end.and(Err(error));
        }
    }
    end
}

impl<T: Transport> Uploader<T> {
    async fn run(&mut self) -> Result<RunOutcome, LedgerError> {
        let signals = self.context.signals.clone();
        loop {
            let changed = signals.next_change();
            while let Some(sent) = self.in_flight.try_join_next() {
                if let Some(end) = self.note(sent)? {
                    return Ok(end);
                }
            }
            if let Some(end) = self.must_end() {
                return Ok(end);
            }
            let end = match self.next_obstacle().await? {
                Some(obstacle) => self.wait_for(obstacle, changed).await?,
                None => match self.quota_pause() {
                    Some(end) => Some(end),
                    None => match self.next_permit().await? {
                        PermitWait::Granted(permit) => {
                            self.start(permit);
                            None
                        }
                        PermitWait::Interrupted => None,
                        PermitWait::Stopped(end) => Some(end),
                    },
                },
            };
            if let Some(end) = end {
                return Ok(end);
            }
        }
    }

    /// What keeps the next item from being claimed.
    ///
    /// This is checked before a permit is taken, so that no capacity is reserved in vain. The check is skipped when an item
    /// is known to be pending and the wait is short.
    async fn next_obstacle(&self) -> Result<Option<Obstacle>, LedgerError> {
        // a row that turns out not to have been sent makes room for another one
        let is_full = self.in_flight.len() >= self.plan.concurrency || self.has_started_all();
        if is_full || self.claims.has_enough_files(&self.context.limiter) {
            return Ok(Some(Obstacle::Concurrency));
        }
        if self.claims.others_wait.load(Relaxed) && self.is_turn_near() {
            return Ok(None);
        }
        let now = self.context.clock.now();
        let terms = Arc::clone(&self.plan.terms);
        let blocked = self.context.ledger.read(move |snapshot| snapshot.claim_blocked(&terms, now)).await?;
        Ok(blocked.map(Obstacle::Claim))
    }

    fn must_end(&self) -> Option<RunOutcome> {
        if self.context.signals.drain.is_cancelled() {
            return Some(RunOutcome::Interrupted);
        }
        if self.plan.stop_at.is_some_and(|timestamp| self.context.clock.now() >= timestamp) {
            return Some(RunOutcome::TimeUp);
        }
        (self.has_started_all() && self.in_flight.is_empty()).then_some(RunOutcome::RowsMax)
    }

    /// Whether as many rows as the run may send are sent, or will be if each request in flight leaves.
    fn has_started_all(&self) -> bool {
        self.plan.rows_max.is_some_and(|rows_max| self.sent >= rows_max)
    }

    fn is_turn_near(&self) -> bool {
        let now = self.context.clock.now();
        self.context
            .limiter
            .delay(Endpoint::Upload)
            .is_none_or(|delay| delay.until.after_now(now) < WAIT_ANNOUNCED_MIN)
    }

    /// Waits for the next permit, unless the run drains, the time is up or a request ends first.
    async fn next_permit(&mut self) -> Result<PermitWait, LedgerError> {
        let limiter = Arc::clone(&self.context.limiter);
        let stop_at = self.plan.stop_at.unwrap_or(UnixMillis(i64::MAX));
        let preflight_done = self.plan.preflight_done.clone();
        if !preflight_done.is_cancelled() {
            // a listing may be asked to wait meanwhile
            let looks_again_at = match self.plan.quota_wait_max {
                Some(_) => stop_at.min(self.context.clock.now().plus(PREFLIGHT_LOOK_INTERVAL)),
                None => stop_at,
            };
            // obstacles are checked again on the next pass
            tokio::select! {
                biased;
                () = self.context.signals.drain.cancelled() => {}
                () = preflight_done.cancelled() => {}
                () = self.context.clock.sleep_until(looks_again_at) => {}
            }
            return Ok(PermitWait::Interrupted);
        }
        tokio::select! {
            biased;
            () = self.context.signals.drain.cancelled() => Ok(PermitWait::Interrupted),
            permit = limiter.permit(Priority::Upload) => Ok(PermitWait::Granted(permit)),
            Some(sent) = self.in_flight.join_next() => {
                Ok(self.note(sent)?.map_or(PermitWait::Interrupted, PermitWait::Stopped))
            }
            () = self.context.clock.sleep_until(stop_at) => Ok(PermitWait::Interrupted),
        }
    }

    /// Claims and sends the next item in a task of its own.
    fn start(&mut self, permit: Permit) {
        // a file may have begun meanwhile
        if self.claims.has_enough_files(&self.context.limiter) {
            return self.context.limiter.give_back(permit);
        }
        self.sent += 1;
        let (context, claims) = (self.context.clone(), Arc::clone(&self.claims));
        let terms = Arc::clone(&self.plan.terms);
        self.storage_refusals.others_are_sent(&context);
        self.in_flight.spawn(async move { claim_and_send(&context, permit, terms, &claims).await });
    }

    /// Waits until an obstacle is gone.
    async fn wait_for(
        &mut self,
        obstacle: Obstacle,
        changed: Notified<'_>,
    ) -> Result<Option<RunOutcome>, LedgerError> {
        let Obstacle::Claim(blocked) = obstacle else { return self.wait_until(None, changed).await };
        let (why, until) = match blocked.clone() {
            ClaimBlocked::NothingPending => return self.wait_until(None, changed).await,
            // a search that is due ends soon, unless no listing can be read
            ClaimBlocked::AwaitsListing { is_due: true, .. } => {
                let until = self.blocked_since().plus(answers::OFFLINE_MAX);
                if until <= self.context.clock.now() {
                    return Ok(Some(RunOutcome::WaitOver));
                }
                return self.wait_until(Some(until), changed).await;
            }
            // an open request may prove never to have arrived, which frees its part of the budget
            ClaimBlocked::BudgetSpent { .. } => {
                let state_counts = self.context.ledger.read(Snapshot::state_counts).await?;
                let may_free = state_counts.of(State::Sending) + state_counts.of(State::InDoubt) > 0;
                match self.evidence_is_awaited_until().filter(|_| may_free) {
                    Some(until) => return self.wait_until(Some(until), changed).await,
                    None => return Ok(Some(RunOutcome::BudgetSpent)),
                }
            }
            ClaimBlocked::AlreadyUploaded { item } => {
                return Ok(Some(RunOutcome::AlreadyUploaded { item: item.to_string() }));
            }
            ClaimBlocked::Unsignable { account } => {
                let refused = prepare_source(&self.context, &self.plan.terms, account).await;
                self.storage_refusals.note(refused);
                return Ok(None);
            }
            ClaimBlocked::PassedOver { is_all: false } => return Ok(None),
            ClaimBlocked::PassedOver { is_all: true } => return self.wait_for_others().await,
            ClaimBlocked::DiskLow { free } => return Ok(Some(RunOutcome::DiskLow { free })),
            ClaimBlocked::TooManyInDoubt { open } => {
                let Some(until) = self.evidence_is_awaited_until() else {
                    return Ok(Some(RunOutcome::TooManyInDoubt { open }));
                };
                let requests = counted(open, "request has", "requests have");
                let why = format!("{requests} no clear answer; nothing is sent until the outcome is known");
                (why, until)
            }
            ClaimBlocked::AwaitsListing { items, is_due: false } => {
                let Some(until) = self.evidence_is_awaited_until() else {
                    return Ok(Some(RunOutcome::WaitOver));
                };
                let why = format!(
                    "{} rejected by a rule of yours may be at the service; sent again when the listings show no video of it \
                     (--settle-after)",
                    counted(items, "row", "rows")
                );
                (why, until)
            }
        };
        if self.announced.as_ref() != Some(&blocked) {
            self.announced = Some(blocked);
            self.context.emit(&Event::Waiting { reason: why, until, hint: None });
        }
        self.wait_until(Some(until), changed).await
    }

    /// Until when to wait for evidence. `None`: do not wait any longer.
    fn evidence_is_awaited_until(&mut self) -> Option<UnixMillis> {
        let now = self.context.clock.now();
        // requests in flight are always awaited: an answer may remove the obstacle
        let patience = match self.plan.patience {
            None if self.in_flight.is_empty() => return None,
            None => return Some(UnixMillis(i64::MAX)),
            Some(patience) => patience,
        };
        let until = self.blocked_since().plus(patience);
        (until > now).then_some(until)
    }

    /// Since when nothing could be claimed.
    fn blocked_since(&mut self) -> UnixMillis {
        if self.claims.succeeded.swap(false, Relaxed) {
            self.blocked_since = None;
        }
        *self.blocked_since.get_or_insert(self.context.clock.now())
    }

    /// Waits for a time, a change in the ledger, an answer or the end, whichever is first.
    async fn wait_until(
        &mut self,
        timestamp: Option<UnixMillis>,
        changed: Notified<'_>,
    ) -> Result<Option<RunOutcome>, LedgerError> {
        let timestamp =
            timestamp.unwrap_or(UnixMillis(i64::MAX)).min(self.plan.stop_at.unwrap_or(UnixMillis(i64::MAX)));
        tokio::select! {
            biased;
            () = self.context.signals.drain.cancelled() => Ok(None),
            Some(sent) = self.in_flight.join_next() => self.note(sent),
            () = self.context.clock.sleep_until(timestamp) => Ok(None),
            () = changed => Ok(None),
        }
    }

    /// Counts a request that ended. Returns a stop if sending must not continue.
    fn note(
        &mut self,
        sent: Result<Result<SendResult, LedgerError>, tokio::task::JoinError>,
    ) -> Result<Option<RunOutcome>, LedgerError> {
        let sent =
            sent.map_err(|error| LedgerError::Broken { cause: format!("a request ended early: {error}") })??;
        match sent {
            SendResult::Answered => {
                self.note_answer(false);
                Ok(None)
            }
            SendResult::FileRefused(cause) => {
                self.sent = self.sent.saturating_sub(1);
                self.last_answers.note(true);
                Ok(self.stop_of_rejections(StopReason::FilesUnreadable, cause))
            }
            SendResult::RowRejected(cause) => {
                self.note_answer(true);
                Ok(self.stop_of_rejections(StopReason::MostlyRejected, cause))
            }
            SendResult::Unreachable { cause, cooldown } => Ok(self.note_unreachable(cause, cooldown)),
            SendResult::Late => {
                self.sent = self.sent.saturating_sub(1);
                if !std::mem::replace(&mut self.is_lateness_announced, true) {
                    self.context.emit(&Event::Message { text: SLOW_MACHINE.to_owned() });
                }
                Ok(None)
            }
            SendResult::StorageRefused { cause, is_new } => {
                self.sent = self.sent.saturating_sub(1);
                self.storage_refusals.note(is_new.then_some(cause));
                Ok(None)
            }
            // the obstacle is reported by the check of the next pass
            SendResult::NotClaimed => {
                self.sent = self.sent.saturating_sub(1);
                Ok(None)
            }
            SendResult::Stop { reason, cause } => Ok(Some(RunOutcome::Stopped { reason, cause })),
        }
    }
}

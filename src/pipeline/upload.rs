//! Pending items into requests, and answers into the ledger.
//!
//! - One loop claims; every claimed request runs in a task of its own, which alone settles it. A dropped future would
//!   not unsend a request, so these tasks are never dropped: draining waits for them.
//! - At most `concurrency` requests are on the wire, and after a refusal one.
//! - Nothing here sends an item twice: a verdict either moves it on, or the ledger holds it in doubt.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{sync::futures::Notified, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    api::{Certainty, Transport, Verdict},
    domain::{ItemEvent, State, StopReason, UnixMillis},
    events::{Event, RedactedUrl},
    ledger::{AttemptResult, Binding, BoundBy, Claim, ClaimBlocked, ClaimOutcome, ClaimTerms, LedgerError},
    quota::{
        BlockReason, Cooldown, CooldownReason, Delay, Departure, Endpoint, Feedback, Permit, PreciseTime,
        Priority, RequestOutcome,
    },
    retry::parse_retry_after,
};

use super::context::Context;

/// With no answer at all in this run, so many unreachable hosts in a row mean a wrong address or no network.
const FIRST_FAILURES_MAX: u32 = 4;
/// A host that answered before is waited for this long.
const OFFLINE_MAX: Duration = Duration::from_mins(15);

/// A wait of the quota that is shorter is part of an even pace, and not worth a word.
const WAIT_SAID_MIN: Duration = Duration::from_secs(90);
const HOW_TO_LEAVE: &str =
    "Ctrl-C ends the run, and the same command goes on; with --quota-exit it ends by itself";

/// Why a claimed request was not made, for the ledger…
const LATE: &str = "it was not started in time";
/// …and for people.
const SLOW_MACHINE: &str = "a request was not started within 5 s of being written down, and goes again: this machine or its \
                            disk is slow, or it slept";

/// Of the last answers of the service...
const LAST_ANSWERS: usize = 20;
/// ...at most this many may reject their rows. More stop the run: the cause is hardly each single row.
const REJECTED_MAX: usize = 15;

/// How to send.
#[derive(Clone, Debug)]
pub(super) struct UploadSettings {
    pub(super) terms: Arc<ClaimTerms>,
    pub(super) concurrency: usize,
    /// Send no more than this many in this run.
    pub(super) rows_max: Option<u64>,
    /// Send nothing after this moment.
    pub(super) stop_at: Option<UnixMillis>,
    /// How long to wait for evidence that stands in the way of sending; none does not wait.
    pub(super) patience: Option<Duration>,
    /// End rather than wait longer than this for the quota; none waits as long as it takes.
    pub(super) quota_wait_max: Option<Duration>,
    /// An unanswered request may be accepted this long after its sending.
    pub(super) acceptance_lag_max: Duration,
    /// Nothing is sent before the service was compared with the ledger.
    pub(super) preflight_done: CancellationToken,
}

/// Why sending ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum UploadStop {
    /// Told to.
    Drained,
    /// The time given is up.
    TimeUp,
    /// The number of rows given is reached.
    RowsMax,
    /// What may be spent is spent, or at stake.
    BudgetSpent,
    /// The quota lets nothing go for longer than it is waited for.
    QuotaPaused { why: String },
    /// Too many requests have no clear answer.
    TooManyInDoubt { open: u64 },
    /// The service has the next item already, by a request this ledger does not know.
    AlreadyUploaded { item: String },
    /// The disk that holds the ledger is nearly full.
    DiskLow { free: u64 },
    /// The service will take no row until somebody acts.
    Stopped { reason: StopReason, cause: String },
    /// The host cannot be reached.
    Offline { cause: String },
}

/// What one request taught the loop.
enum SendResult {
    Answered,
    RowRejected(String),
    Unreachable(String),
    /// Not at all: it was not started in time.
    Late,
    Stop {
        reason: StopReason,
        cause: String,
    },
}

struct Uploader<T> {
    context: Context<T>,
    plan: UploadSettings,
    in_flight: JoinSet<Result<SendResult, LedgerError>>,
    sent: u64,
    has_been_answered: bool,
    offline_since: Option<UnixMillis>,
    /// Whether each of the last answers rejected its row.
    last_answers: VecDeque<bool>,
    lateness_is_said: bool,
    /// Whether items waited when the last was claimed.
    others_wait: bool,
    /// The obstacle last announced, so that it is announced once.
    announced: Option<ClaimBlocked>,
    /// The wait of the quota last announced.
    wait_said_until: Option<UnixMillis>,
    /// Since when only evidence could let sending go on.
    blocked_since: Option<UnixMillis>,
}

/// Sends until told to stop, or until it must not go on; then waits for what is on the wire.
pub(super) async fn upload<T: Transport>(
    context: Context<T>,
    plan: UploadSettings,
) -> Result<UploadStop, LedgerError> {
    let mut uploader = Uploader {
        context,
        plan,
        in_flight: JoinSet::new(),
        sent: 0,
        has_been_answered: false,
        offline_since: None,
        last_answers: VecDeque::new(),
        lateness_is_said: false,
        others_wait: false,
        announced: None,
        wait_said_until: None,
        blocked_since: None,
    };
    let end = uploader.run().await;
    while let Some(sent) = uploader.in_flight.join_next().await {
        uploader.note(sent)?;
    }
    end
}

impl<T: Transport> Uploader<T> {
    async fn run(&mut self) -> Result<UploadStop, LedgerError> {
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
            // slots of the quota are not spent on asking: what is in the way is looked at before a permit is taken, unless
            // something is known to wait and its turn is near
            let claim_blocked = if self.in_flight.len() >= self.plan.concurrency {
                Some(None)
            } else if self.others_wait && self.is_turn_near() {
                None
            } else {
                let now = self.context.clock.now();
                self.context.ledger.claim_blocked(Arc::clone(&self.plan.terms), now).await?.map(Some)
            };
            let end = match claim_blocked {
                Some(claim_blocked) => self.wait_for(claim_blocked, changed).await?,
                None => match self.quota_pause() {
                    Some(end) => Some(end),
                    None => match self.next_permit().await? {
                        Ok(permit) => self.claim_and_send(permit).await?,
                        Err(end) => end,
                    },
                },
            };
            if let Some(end) = end {
                return Ok(end);
            }
        }
    }

    fn must_end(&self) -> Option<UploadStop> {
        if self.context.signals.drain.is_cancelled() {
            return Some(UploadStop::Drained);
        }
        if self.plan.stop_at.is_some_and(|timestamp| self.context.clock.now() >= timestamp) {
            return Some(UploadStop::TimeUp);
        }
        self.plan.rows_max.is_some_and(|rows_max| self.sent >= rows_max).then_some(UploadStop::RowsMax)
    }

    fn is_turn_near(&self) -> bool {
        let now = self.context.clock.now();
        self.context
            .limiter
            .delay(Endpoint::Upload)
            .is_none_or(|delay| delay.until.after_now(now) < WAIT_SAID_MIN)
    }

    /// Says that the quota makes everybody wait, once for each wait; the end, if it is longer than somebody wants to wait.
    fn quota_pause(&mut self) -> Option<UploadStop> {
        let delay = self.context.limiter.delay(Endpoint::Upload)?;
        let (now, why) = (self.context.clock.now(), why_words(&delay)?);
        let wait = delay.until.after_now(now);
        // what is on the wire may free a slot, or show that the lane is open
        if self.plan.quota_wait_max.is_some_and(|wait_max| wait > wait_max) && self.in_flight.is_empty() {
            return Some(UploadStop::QuotaPaused { why });
        }
        // a hold was said when it began
        let is_held = matches!(delay.why, BlockReason::Cooldown(_));
        if !is_held && wait >= WAIT_SAID_MIN && self.wait_said_until.is_none_or(|said| delay.until > said) {
            let how = self.wait_said_until.is_none().then_some(HOW_TO_LEAVE);
            self.wait_said_until = Some(delay.until);
            self.context.emit(&Event::Waiting { reason: why, until: delay.until, hint: how });
        }
        None
    }

    /// The next permit, unless something else happens first: an end, or an answer to look at.
    async fn next_permit(&mut self) -> Result<Result<Permit, Option<UploadStop>>, LedgerError> {
        let limiter = Arc::clone(&self.context.limiter);
        let stop_at = self.plan.stop_at.unwrap_or(UnixMillis(i64::MAX));
        let preflight_done = self.plan.preflight_done.clone();
        if !preflight_done.is_cancelled() {
            // it is cleared on draining, too; whatever is in the way by then shows when asked again
            preflight_done.cancelled().await;
            return Ok(Err(None));
        }
        tokio::select! {
            biased;
            () = self.context.signals.drain.cancelled() => Ok(Err(None)),
            permit = limiter.permit(Priority::Upload) => Ok(Ok(permit)),
            Some(sent) = self.in_flight.join_next() => Ok(Err(self.note(sent)?)),
            () = self.context.clock.sleep_until(stop_at) => Ok(Err(None)),
        }
    }

    async fn claim_and_send(&mut self, permit: Permit) -> Result<Option<UploadStop>, LedgerError> {
        let now = self.context.clock.now();
        match self.context.ledger.claim(Arc::clone(&self.plan.terms), now).await? {
            ClaimOutcome::Claimed(claim) => {
                self.sent += 1;
                self.blocked_since = None;
                self.others_wait = claim.others_wait;
                let context = self.context.clone();
                let lag_max = self.plan.acceptance_lag_max;
                self.in_flight.spawn(async move { send(&context, permit, *claim, lag_max).await });
            }
            // what it is shows when it is looked at
            ClaimOutcome::Blocked(_) => {
                self.others_wait = false;
                self.context.limiter.give_back(permit);
            }
        }
        Ok(None)
    }

    /// Waits for an obstacle to go away; none is the concurrency bound.
    async fn wait_for(
        &mut self,
        claim_blocked: Option<ClaimBlocked>,
        changed: Notified<'_>,
    ) -> Result<Option<UploadStop>, LedgerError> {
        let (why, until) = match claim_blocked {
            None | Some(ClaimBlocked::NothingPending) => return self.wait_until(None, changed).await,
            // what is at stake may prove unspent: as long as anything is open, it is waited for
            Some(ClaimBlocked::BudgetSpent { .. }) => {
                let state_counts = self.context.ledger.state_counts().await?;
                let may_free = state_counts.of(State::Sending) + state_counts.of(State::InDoubt) > 0;
                match self.evidence_is_awaited_until().filter(|_| may_free) {
                    Some(until) => return self.wait_until(Some(until), changed).await,
                    None => return Ok(Some(UploadStop::BudgetSpent)),
                }
            }
            Some(ClaimBlocked::AlreadyUploaded { item }) => {
                return Ok(Some(UploadStop::AlreadyUploaded { item: item.to_string() }));
            }
            Some(ClaimBlocked::DiskLow { free }) => return Ok(Some(UploadStop::DiskLow { free })),
            Some(ClaimBlocked::TooManyInDoubt { open }) => {
                let Some(until) = self.evidence_is_awaited_until() else {
                    return Ok(Some(UploadStop::TooManyInDoubt { open }));
                };
                let why =
                    format!("{open} requests have no clear answer; nothing is sent until that is settled");
                (why, until)
            }
        };
        if self.announced != claim_blocked {
            self.announced = claim_blocked;
            self.context.emit(&Event::Waiting { reason: why, until, hint: None });
        }
        self.wait_until(Some(until), changed).await
    }

    /// Until when evidence that stands in the way is waited for; none when it is not waited for any longer.
    fn evidence_is_awaited_until(&mut self) -> Option<UnixMillis> {
        let now = self.context.clock.now();
        // what is on the wire is waited for in any case: its answer may be the way out
        let patience = match self.plan.patience {
            None if self.in_flight.is_empty() => return None,
            None => return Some(UnixMillis(i64::MAX)),
            Some(patience) => patience,
        };
        let until = self.blocked_since.get_or_insert(now).plus(patience);
        (until > now).then_some(until)
    }

    /// Waits for a moment, a change in the ledger, an answer or the end, whichever is first.
    async fn wait_until(
        &mut self,
        timestamp: Option<UnixMillis>,
        changed: Notified<'_>,
    ) -> Result<Option<UploadStop>, LedgerError> {
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

    /// Takes note of a request that ended.
    fn note(
        &mut self,
        sent: Result<Result<SendResult, LedgerError>, tokio::task::JoinError>,
    ) -> Result<Option<UploadStop>, LedgerError> {
        let sent =
            sent.map_err(|error| LedgerError::Broken { cause: format!("a request ended early: {error}") })??;
        let now = self.context.clock.now();
        match sent {
            SendResult::Answered => {
                self.note_answer(false);
                Ok(None)
            }
            SendResult::RowRejected(cause) => {
                self.note_answer(true);
                let rejected = self.last_answers.iter().filter(|is_rejected| **is_rejected).count();
                let is_brake = self.last_answers.len() == LAST_ANSWERS && rejected > REJECTED_MAX;
                Ok(is_brake.then_some(UploadStop::Stopped { reason: StopReason::MostlyRejected, cause }))
            }
            SendResult::Unreachable(cause) => {
                self.sent = self.sent.saturating_sub(1);
                let since = *self.offline_since.get_or_insert(now);
                let failures =
                    self.context.limiter.cooldown(Endpoint::Upload).map_or(0, |cooldown| cooldown.failures);
                let never_there = !self.has_been_answered && failures >= FIRST_FAILURES_MAX;
                let gone_for_long =
                    now.since_ms(since) > i64::try_from(OFFLINE_MAX.as_millis()).unwrap_or(i64::MAX);
                Ok((never_there || gone_for_long).then_some(UploadStop::Offline { cause }))
            }
            SendResult::Late => {
                self.sent = self.sent.saturating_sub(1);
                if !std::mem::replace(&mut self.lateness_is_said, true) {
                    self.context.emit(&Event::Message { text: SLOW_MACHINE.to_owned() });
                }
                Ok(None)
            }
            SendResult::Stop { reason, cause } => Ok(Some(UploadStop::Stopped { reason, cause })),
        }
    }
}

impl<T> Uploader<T> {
    fn note_answer(&mut self, is_rejected: bool) {
        self.has_been_answered = true;
        self.offline_since = None;
        self.last_answers.push_back(is_rejected);
        if self.last_answers.len() > LAST_ANSWERS {
            self.last_answers.pop_front();
        }
    }
}

/// Whether a claimed request may leave. Not when the machine slept since the claim: somebody may have decided on this
/// attempt by now.
async fn may_leave<T>(
    context: &Context<T>,
    permit: &Permit,
    claim: &Claim,
    acceptance_lag_max: Duration,
) -> Result<bool, LedgerError> {
    let until = claim.send_before.plus(acceptance_lag_max);
    loop {
        if context.clock.now() > claim.send_before {
            return Ok(false);
        }
        match context.limiter.depart(permit, claim.attempt.number(), claim.sent_at, until) {
            Departure::Now => return Ok(true),
            Departure::At(at) => {
                let wait = at.after(PreciseTime(context.clock.now_us()));
                context.clock.sleep_us(wait).await;
            }
            Departure::AfterSave => context.save_learned_limits().await?,
        }
    }
}

/// Makes one request and settles it.
async fn send<T: Transport>(
    context: &Context<T>,
    permit: Permit,
    claim: Claim,
    acceptance_lag_max: Duration,
) -> Result<SendResult, LedgerError> {
    let key = claim.attempt.number();
    if !may_leave(context, &permit, &claim, acceptance_lag_max).await? {
        let late = AttemptResult::new(ItemEvent::NotSent, context.clock.now(), LATE.to_owned());
        context.ledger.settle(claim.attempt, late).await?;
        context.limiter.give_back(permit);
        context.signals.ledger_changed();
        return Ok(SendResult::Late);
    }
    let verdict = context.api.upload(permit, &claim.submission, claim.marker.as_deref()).await;
    #[cfg(feature = "failpoints")]
    let verdict = not_sent_if_stopping(context, verdict);
    let at = context.clock.now();
    settle(context, &claim, &verdict, at).await?;
    let Feedback { cooldown, change } = context.limiter.answer(key, &outcome_of(&verdict, at));
    context.save_learned_limits().await?;
    announce(context, &claim, &verdict, cooldown);
    if let Some(change) = change {
        context.emit(&Event::LimitLearned { text: change.to_string() });
    }
    context.signals.ledger_changed();
    Ok(match verdict {
        Verdict::NotSent { cause } => SendResult::Unreachable(cause),
        Verdict::StopRun { reason, cause, .. } => SendResult::Stop { reason, cause },
        Verdict::BadRow { cause } => SendResult::RowRejected(cause),
        Verdict::Accepted { .. }
        | Verdict::AcceptedUnidentified
        | Verdict::RefusedForNow { .. }
        | Verdict::InDoubt { .. } => SendResult::Answered,
    })
}

#[cfg(feature = "failpoints")]
fn not_sent_if_stopping<T>(context: &Context<T>, verdict: Verdict) -> Verdict {
    fail::fail_point!("in_flight_at_stop_not_sent", context.signals.drain.is_cancelled(), |_| {
        Verdict::NotSent { cause: "the run ended".to_owned() }
    });
    verdict
}

async fn settle<T>(
    context: &Context<T>,
    claim: &Claim,
    verdict: &Verdict,
    at: UnixMillis,
) -> Result<(), LedgerError> {
    let result = result_of(verdict, at);
    match context.ledger.settle(claim.attempt, result).await {
        // a number that is bound already: the service took the video, under which number is to be found out
        Err(LedgerError::Impossible { .. }) if matches!(verdict, Verdict::Accepted { .. }) => {
            let cause = "the service named a video that belongs to another item".to_owned();
            context
                .ledger
                .settle(claim.attempt, AttemptResult::new(ItemEvent::AcceptedUnidentified, at, cause))
                .await
        }
        settled => settled,
    }
}

fn result_of(verdict: &Verdict, at: UnixMillis) -> AttemptResult {
    let plain = |event, cause: &String| AttemptResult::new(event, at, cause.clone());
    fail::fail_point!("in_doubt_sent_again", matches!(verdict, Verdict::InDoubt { .. }), |_| {
        plain(ItemEvent::NotSent, &"no answer".to_owned())
    });
    match verdict {
        Verdict::Accepted { video_no, uploaded_at } => AttemptResult {
            event: ItemEvent::Accepted,
            at,
            bound: Some(Binding {
                video_no: video_no.clone(),
                uploaded_at: *uploaded_at,
                by: BoundBy::Response,
            }),
            cause: None,
        },
        Verdict::AcceptedUnidentified => AttemptResult::new(ItemEvent::AcceptedUnidentified, at, None),
        Verdict::BadRow { cause } => plain(ItemEvent::Rejected, cause),
        Verdict::RefusedForNow { cause, .. }
        | Verdict::StopRun { certainty: Certainty::Refused, cause, .. } => {
            plain(ItemEvent::RefusedForNow, cause)
        }
        Verdict::InDoubt { cause, .. } | Verdict::StopRun { certainty: Certainty::Unclear, cause, .. } => {
            plain(ItemEvent::AnswerLost, cause)
        }
        Verdict::NotSent { cause } => plain(ItemEvent::NotSent, cause),
    }
}

/// What an upload's verdict is for the porter.
fn outcome_of(verdict: &Verdict, at: UnixMillis) -> RequestOutcome {
    match verdict {
        Verdict::Accepted { uploaded_at, .. } => RequestOutcome::Accepted { noted_at: *uploaded_at },
        Verdict::AcceptedUnidentified => RequestOutcome::AcceptedUnidentified,
        Verdict::BadRow { .. } => RequestOutcome::Rejected,
        Verdict::RefusedForNow { retry_after, .. } => RequestOutcome::Refused {
            retry_after: retry_after.as_deref().and_then(|text| parse_retry_after(text, at)),
        },
        Verdict::NotSent { .. } => RequestOutcome::NotSent,
        Verdict::InDoubt { retry_after, .. } => RequestOutcome::Unclear {
            retry_after: retry_after.as_deref().and_then(|text| parse_retry_after(text, at)),
        },
        Verdict::StopRun { .. } => RequestOutcome::Unclear { retry_after: None },
    }
}

/// Why the quota makes everybody wait, for people; none when it is the pace itself, or was said already.
fn why_words(delay: &Delay) -> Option<String> {
    match delay.why {
        BlockReason::Spacing | BlockReason::Turn | BlockReason::HalfOpenProbe => None,
        BlockReason::Cap { cap, is_learned: false } => Some(format!("the {cap} window is full")),
        BlockReason::Cap { cap, is_learned: true } => {
            Some(format!("the {cap} window is full, as refusals told"))
        }
        BlockReason::RefusalsSpent => {
            Some("the service refused too often within an hour, and may suspend the key".to_owned())
        }
        BlockReason::Cooldown(cooldown) => Some(cooldown_text(&cooldown, None)),
    }
}

fn announce<T>(context: &Context<T>, claim: &Claim, verdict: &Verdict, cooldown: Option<Cooldown>) {
    let url = RedactedUrl::from(&claim.submission.url);
    match verdict {
        Verdict::Accepted { video_no, .. } => {
            context.emit(&Event::Accepted { url, video_no: video_no.clone() });
        }
        Verdict::BadRow { cause } => context.emit(&Event::Rejected { url, cause: cause.clone() }),
        Verdict::InDoubt { cause, .. } => context.emit(&Event::AnswerLost { url, cause: cause.clone() }),
        Verdict::AcceptedUnidentified => {
            let cause = "accepted, but the answer names no video".to_owned();
            context.emit(&Event::AnswerLost { url, cause });
        }
        Verdict::RefusedForNow { .. } | Verdict::NotSent { .. } | Verdict::StopRun { .. } => {}
    }
    let Some(cooldown) = cooldown else { return };
    let cause = match verdict {
        Verdict::NotSent { cause } => Some(cause.as_str()),
        Verdict::Accepted { .. }
        | Verdict::AcceptedUnidentified
        | Verdict::BadRow { .. }
        | Verdict::RefusedForNow { .. }
        | Verdict::StopRun { .. }
        | Verdict::InDoubt { .. } => None,
    };
    context.emit(&Event::Waiting {
        reason: cooldown_text(&cooldown, cause),
        until: cooldown.until,
        hint: None,
    });
}

fn cooldown_text(cooldown: &Cooldown, cause: Option<&str>) -> String {
    match (cooldown.reason, cause) {
        (CooldownReason::Refused, _) => "the service asks to slow down; one is tried then".to_owned(),
        (CooldownReason::Unreachable, Some(cause)) => {
            format!("the service cannot be reached ({cause}); trying again then")
        }
        (CooldownReason::Unreachable, None) => "the service cannot be reached; trying again then".to_owned(),
        (CooldownReason::Unclear, _) => {
            format!("{} unclear answers in a row; one is tried then", cooldown.failures)
        }
    }
}

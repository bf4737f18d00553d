//! One request from its claim to its recorded outcome.

use std::{
    borrow::Cow,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use crate::{
    api::{Certainty, Transport, Verdict},
    domain::{ItemEvent, StopReason, StorageAccount, Submission, UnixMillis},
    events::{Event, RedactedUrl},
    ledger::{AttemptResult, Binding, BoundBy, Claim, ClaimOutcome, ClaimTerms, LedgerError},
    quota::{
        BlockReason, Cooldown, CooldownReason, Delay, Departure, Feedback, Permit, PreciseTime,
        RequestOutcome,
    },
    retry::asked_wait,
};

use super::{body::FileSending, claims::Claims, video_bytes::BodyFault};
use crate::pipeline::context::{Context, Noticed};

/// For the ledger: why a claimed request was not made.
const LATE: &str = "it was not started in time";
const UNSIGNED: &str = "the credentials for its link expired";
const CLOSED: &str = "another request was refused or failed before it left";
const UNREADABLE: &str = "its file or object cannot be read";

/// What the upload loop needs to know of a request that ended.
pub(super) enum SendResult {
    Answered,
    RowRejected(String),
    Unreachable {
        cause: String,
        cooldown: Option<Cooldown>,
    },
    /// No item could be claimed.
    NotClaimed,
    /// It was not sent, since it was not started in time.
    Late,
    /// It was not sent: its file or object is no longer what the row says.
    FileRefused(String),
    /// It was not sent: its storage refuses the credentials.
    StorageRefused {
        cause: String,
        is_new: bool,
    },
    Stop {
        reason: StopReason,
        cause: String,
    },
}

/// Whether a claimed request may leave.
#[derive(Clone, Copy, PartialEq, Eq)]
enum MayLeave {
    Now,
    /// Its time to start has passed, as after a suspension of the machine: the attempt may have been resolved by then.
    Late,
    /// Another request was refused since it was claimed, or stopped the run.
    Closed,
}

/// Waits until a claimed request may leave.
async fn may_leave<T>(
    context: &Context<T>,
    permit: &Permit,
    claim: &Claim,
    claims: &Claims,
    acceptance_lag_max: Duration,
) -> Result<MayLeave, LedgerError> {
    let until = claim.send_before.plus(acceptance_lag_max);
    loop {
        if context.clock.now() > claim.send_before {
            return Ok(MayLeave::Late);
        }
        if claims.is_stopped.load(Relaxed) {
            return Ok(MayLeave::Closed);
        }
        match context.limiter.depart(permit, claim.attempt().number(), claim.sent_at, until) {
            Departure::Now => return Ok(MayLeave::Now),
            Departure::At(at) => {
                let wait = at.after(PreciseTime(context.clock.now_us()));
                context.clock.sleep_us(wait).await;
            }
            Departure::AfterSave => context.save_learned_limits().await?,
            Departure::Closed => return Ok(MayLeave::Closed),
        }
    }
}

/// Claims the next item, makes its request and records the outcome.
pub(super) async fn claim_and_send<T: Transport>(
    context: &Context<T>,
    permit: Permit,
    terms: Arc<ClaimTerms>,
    claims: &Claims,
) -> Result<SendResult, LedgerError> {
    let receives_calls = terms.callback_base.is_some();
    match context.ledger.claim(Arc::clone(&terms), context.clock.now()).await? {
        ClaimOutcome::Claimed(claim) => {
            if receives_calls && claim.submission.callback.is_some() {
                note_own_callback(context);
            }
            claims.others_wait.store(claim.others_wait, Relaxed);
            claims.succeeded.store(true, Relaxed);
            send(context, permit, *claim, &terms, claims).await
        }
        ClaimOutcome::Blocked(_) => {
            claims.others_wait.store(false, Relaxed);
            context.limiter.give_back(permit);
            Ok(SendResult::NotClaimed)
        }
    }
}

/// The service calls the callback of the row, not telecine.
fn note_own_callback<T>(context: &Context<T>) {
    context.signals.calls.note_own_callback();
    if context.signals.is_first(Noticed::OwnCallback) {
        let text = "rows have a callback of their own: the service calls that one, and telecine learns of these videos by polls \
                    only";
        context.emit(&Event::Message { text: text.to_owned() });
    }
}

/// Makes one request and records its outcome.
async fn send<T: Transport>(
    context: &Context<T>,
    permit: Permit,
    claim: Claim,
    terms: &ClaimTerms,
    claims: &Claims,
) -> Result<SendResult, LedgerError> {
    let acceptance_lag_max = terms.acceptance_lag_max;
    let key = claim.attempt().number();
    let Some(submission) = with_link(context, &claim.submission) else {
        give_back(context, permit, &claim, UNSIGNED).await?;
        return Ok(SendResult::NotClaimed);
    };
    let submission = with_callback(submission, claim.callback.as_ref());
    let file = match FileSending::open(context, &claim, claims, acceptance_lag_max).await {
        Ok(file) => file,
        Err(fault) => return refuse_body(context, permit, &claim, terms, fault).await,
    };
    match may_leave(context, &permit, &claim, claims, acceptance_lag_max).await? {
        MayLeave::Now => {}
        MayLeave::Late => {
            give_back(context, permit, &claim, LATE).await?;
            return Ok(SendResult::Late);
        }
        MayLeave::Closed => {
            give_back(context, permit, &claim, CLOSED).await?;
            return Ok(SendResult::NotClaimed);
        }
    }
    let verdict = match file {
        None => context.api.upload(permit, &submission, claim.marker.as_deref()).await,
        Some(file) => file.run(permit).await?,
    };
    #[cfg(feature = "failpoints")]
    let verdict = not_sent_if_stopping(context, verdict);
    let at = context.clock.now();
    // before the commit: no request that is about to leave may miss what this one showed
    claims.note_answer(claim.item, &verdict);
    let Feedback { cooldown, change } = context.limiter.answer(key, &outcome_of(&claim, &verdict, at));
    settle(context, &claim, &verdict, at).await?;
    context.save_learned_limits().await?;
    announce(context, &claim, &verdict, cooldown);
    if let Some(change) = change {
        context.emit(&Event::LimitLearned { text: change.to_string() });
    }
    context.signals.ledger_changed();
    Ok(match verdict {
        Verdict::NotSent { cause } => SendResult::Unreachable { cause, cooldown },
        Verdict::StopRun { reason, cause, .. } => SendResult::Stop { reason, cause },
        Verdict::BadRow { cause, .. } => SendResult::RowRejected(cause),
        Verdict::Accepted { .. }
        | Verdict::AcceptedUnidentified
        | Verdict::RefusedForNow { .. }
        | Verdict::InDoubt { .. } => SendResult::Answered,
    })
}

/// Obtains what signs links to the objects of an account. Returns why that is not possible, if that is new: no row fails for it, and
/// the rows of other accounts are sent.
pub(super) async fn prepare_source<T>(
    context: &Context<T>,
    terms: &ClaimTerms,
    account: StorageAccount,
) -> Option<String> {
    match context.sources.prepare(&account).await {
        Ok(prepared) => {
            if let Some(text) = prepared.notice {
                context.emit(&Event::Message { text });
            }
            terms.storage.allow(account, context.clock.now().plus(prepared.valid_for));
            None
        }
        Err(error) => {
            let cause = error.to_string();
            terms.storage.refuse(account, context.clock.now(), cause.clone()).then_some(cause)
        }
    }
}

/// What is sent: instead of the address of an object that the service fetches, a link that is signed now. `None`: none can be signed.
fn with_link<'a, T>(context: &Context<T>, submission: &'a Submission) -> Option<Cow<'a, Submission>> {
    let object = submission.url.object().filter(|_| !submission.has_body());
    let Some(object) = object else { return Some(Cow::Borrowed(submission)) };
    let url = context.sources.sign(&object)?;
    Some(Cow::Owned(Submission { url, ..submission.clone() }))
}

/// The same with the callback URL of the request, where calls are received for it.
fn with_callback<'a>(submission: Cow<'a, Submission>, callback: Option<&String>) -> Cow<'a, Submission> {
    match callback {
        None => submission,
        Some(_) => Cow::Owned(Submission { callback: callback.cloned(), ..submission.into_owned() }),
    }
}

/// Ends a claim whose file or object is not what the row says, or cannot be read.
async fn refuse_body<T>(
    context: &Context<T>,
    permit: Permit,
    claim: &Claim,
    terms: &ClaimTerms,
    fault: BodyFault,
) -> Result<SendResult, LedgerError> {
    let url = &claim.submission.url;
    match fault {
        BodyFault::Row(cause) => {
            let rejected = AttemptResult::new(ItemEvent::Rejected, context.clock.now(), cause.clone());
            let attempt = claim.attempt();
            context.ledger.write(move |store| store.settle(attempt, &rejected)).await?;
            context.limiter.give_back(permit);
            context.signals.ledger_changed();
            context.emit(&Event::Message {
                text: format!("{url}: not sent: {cause}; import again to read it anew"),
            });
            Ok(SendResult::FileRefused(cause))
        }
        BodyFault::Credentials(cause) => {
            give_back(context, permit, claim, UNREADABLE).await?;
            let cause = format!("{url}: {cause}");
            let owner = url.object().map(|object| object.owner());
            let now = context.clock.now();
            let is_new = owner.is_some_and(|owner| terms.storage.refuse(owner, now, cause.clone()));
            Ok(SendResult::StorageRefused { cause, is_new })
        }
        BodyFault::Stop { reason, cause } => {
            give_back(context, permit, claim, UNREADABLE).await?;
            Ok(SendResult::Stop { reason, cause: format!("{url}: {cause}") })
        }
    }
}

/// Ends a claim whose request is not made.
async fn give_back<T>(
    context: &Context<T>,
    permit: Permit,
    claim: &Claim,
    why: &str,
) -> Result<(), LedgerError> {
    let not_sent = AttemptResult::new(ItemEvent::NotSent, context.clock.now(), why.to_owned());
    let attempt = claim.attempt();
    context.ledger.write(move |store| store.settle(attempt, &not_sent)).await?;
    context.limiter.give_back(permit);
    context.signals.ledger_changed();
    Ok(())
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
    let (attempt, result) = (claim.attempt(), result_of(verdict, at));
    match context.ledger.write(move |store| store.settle(attempt, &result)).await {
        // The number belongs to another item already. The service accepted the video, but under an unknown number.
        Err(LedgerError::Impossible { .. }) if matches!(verdict, Verdict::Accepted { .. }) => {
            let cause = "the service named a video that belongs to another item".to_owned();
            let result = AttemptResult::new(ItemEvent::AcceptedUnidentified, at, cause);
            context.ledger.write(move |store| store.settle(attempt, &result)).await
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
        Verdict::BadRow { certainty: Certainty::Refused | Certainty::NotSent, cause } => {
            plain(ItemEvent::Rejected, cause)
        }
        Verdict::BadRow { certainty: Certainty::Unclear, cause } => plain(ItemEvent::RejectedByRule, cause),
        Verdict::RefusedForNow { cause, .. }
        | Verdict::StopRun { certainty: Certainty::Refused, cause, .. } => {
            plain(ItemEvent::RefusedForNow, cause)
        }
        Verdict::InDoubt { cause, .. } | Verdict::StopRun { certainty: Certainty::Unclear, cause, .. } => {
            plain(ItemEvent::AnswerLost, cause)
        }
        Verdict::NotSent { cause } | Verdict::StopRun { certainty: Certainty::NotSent, cause, .. } => {
            plain(ItemEvent::NotSent, cause)
        }
    }
}

/// What a verdict on an upload is for the rate limiter.
fn outcome_of(claim: &Claim, verdict: &Verdict, at: UnixMillis) -> RequestOutcome {
    match verdict {
        // how long a file is on its way says nothing of the network
        Verdict::Accepted { uploaded_at, .. } => {
            RequestOutcome::Accepted { noted_at: uploaded_at.filter(|_| !claim.submission.has_body()) }
        }
        Verdict::AcceptedUnidentified => RequestOutcome::AcceptedUnidentified,
        Verdict::BadRow { .. } => RequestOutcome::Rejected,
        Verdict::RefusedForNow { retry_after, .. } => {
            RequestOutcome::Refused { retry_after: asked_wait(retry_after.as_deref(), at) }
        }
        Verdict::NotSent { .. } | Verdict::StopRun { certainty: Certainty::NotSent, .. } => {
            RequestOutcome::NotSent
        }
        Verdict::InDoubt { retry_after, .. } | Verdict::StopRun { retry_after, .. } => {
            RequestOutcome::Unclear { retry_after: asked_wait(retry_after.as_deref(), at) }
        }
    }
}

fn announce<T>(context: &Context<T>, claim: &Claim, verdict: &Verdict, cooldown: Option<Cooldown>) {
    let url = RedactedUrl::from(&claim.submission.url);
    match verdict {
        Verdict::Accepted { video_no, .. } => {
            context.emit(&Event::Accepted { url, video_no: video_no.clone() });
        }
        Verdict::BadRow { cause, .. } => context.emit(&Event::Rejected { url, cause: cause.clone() }),
        Verdict::InDoubt { cause, .. } => context.emit(&Event::AnswerLost { url, cause: cause.clone() }),
        Verdict::AcceptedUnidentified => {
            let cause = "accepted, but the answer names no video".to_owned();
            context.emit(&Event::AnswerLost { url, cause });
        }
        // the loop knows whether there will be another attempt
        Verdict::NotSent { .. } | Verdict::StopRun { .. } => return,
        Verdict::RefusedForNow { .. } => {}
    }
    if let Some(cooldown) = cooldown {
        announce_wait(context, &cooldown, None);
    }
}

pub(super) fn announce_wait<T>(context: &Context<T>, cooldown: &Cooldown, cause: Option<&str>) {
    let reason = cooldown_text(cooldown, cause);
    context.emit(&Event::Waiting { reason, until: cooldown.until, hint: None });
}

fn cooldown_text(cooldown: &Cooldown, cause: Option<&str>) -> String {
    match (cooldown.reason, cause) {
        (CooldownReason::Refused, _) => {
            "the service asks to slow down; then one request is sent as a test".to_owned()
        }
        (CooldownReason::Unreachable, Some(cause)) => {
            format!("the service cannot be reached ({cause}); trying again then")
        }
        (CooldownReason::Unreachable, None) => "the service cannot be reached; trying again then".to_owned(),
        (CooldownReason::Unclear, _) => {
            format!("{} unclear answers in a row; then one request is sent as a test", cooldown.failures)
        }
    }
}

/// Why the quota delays uploads, for the operator. `None`: normal spacing.
pub(crate) fn delay_text(delay: &Delay) -> Option<String> {
    match delay.why {
        BlockReason::Spacing | BlockReason::Turn | BlockReason::HalfOpenProbe => None,
        BlockReason::Cap { cap, is_learned: false } => Some(format!("the {cap} window is full")),
        BlockReason::Cap { cap, is_learned: true } => {
            Some(format!("the {cap} window is full, as learned from refusals"))
        }
        BlockReason::RefusalsSpent => {
            Some("the service refused too often within an hour, and may suspend the key".to_owned())
        }
        BlockReason::Cooldown(cooldown) => Some(cooldown_text(&cooldown, None)),
    }
}

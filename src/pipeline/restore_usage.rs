//! Restores the rate limiter from the ledger: recorded usage, learned limits, and the time that really passed since
//! the last run (clock skew).

use std::time::Duration;

use super::context::{Context, LEARNED_LIMITS};
use crate::{
    clock::Clock,
    domain::{AttemptState, UnixMillis, format_duration},
    events::Event,
    ledger::{BootTime, ExternalUsage, Ledger, LedgerError, RunId, UploadUsage},
    quota::{Endpoint, LearnedLimits, Limits, RateLimiter, UsageRecord, UsageState},
};

/// A clock skew that is reported, in milliseconds. Less is the granularity of dates and answer times.
const JUMP_SAID_MS: i64 = 5 * 60_000;
/// Usage that is read beyond the longest window: its margin, and the time of an unanswered request.
const SPAN_EXTRA_MS: i64 = 30 * 60_000;

/// Restores a rate limiter for a run. `None`: the run uploads nothing.
pub async fn restore_usage(
    ledger: &Ledger,
    run: Option<RunId>,
    limits: Limits,
    clock: &Clock,
    rng: fastrand::Rng,
) -> Result<RateLimiter, LedgerError> {
    let past = past(ledger, run, &limits, clock.now()).await?;
    let stored = ledger.read(|snapshot| snapshot.kv_get(LEARNED_LIMITS)).await?;
    let learned_limits = learned_limits(stored.as_deref())?;
    Ok(RateLimiter::new(clock.clone(), limits, &past, learned_limits, rng))
}

/// Reads the learned limits of a ledger; none if nothing was learned. Without those that are stored, a run would begin at the
/// full rate and in the middle of a cool-down.
pub fn learned_limits(text: Option<&str>) -> Result<LearnedLimits, LedgerError> {
    let read = text.map(LearnedLimits::from_text).transpose();
    read.map(Option::unwrap_or_default).map_err(|cause| LedgerError::UnreadableValue {
        what: "the learned limits",
        cause,
        remedy: "delete them with `telecine quota forget`; they are learned again",
    })
}

/// The usage in the ledger, with times corrected by the known clock skew.
async fn past(
    ledger: &Ledger,
    run: Option<RunId>,
    limits: &Limits,
    now: UnixMillis,
) -> Result<Vec<UsageRecord>, LedgerError> {
    let last_timestamp = match run {
        Some(run) => ledger.read(move |snapshot| snapshot.time_before(run)).await?.1.unwrap_or(now),
        None => now,
    };
    // if the clock was set ahead since, the requests of the last run seem older than they are
    let since = now.min(last_timestamp).plus_ms(-limits.period_ms_max().saturating_add(SPAN_EXTRA_MS));
    let count_min = limits.count_max();
    let (uploads, external_usages) =
        ledger.read(move |snapshot| snapshot.usage_since(since, count_min)).await?;
    Ok(usage_records(&uploads, &external_usages))
}

/// Converts the usage in the ledger to usage records.
#[must_use]
pub fn usage_records(uploads: &[UploadUsage], external_usages: &[ExternalUsage]) -> Vec<UsageRecord> {
    let uploads = uploads.iter().map(|upload| UsageRecord {
        endpoint: Endpoint::Upload,
        key: upload.attempt.number(),
        count: 1,
        claimed_at: upload.sent_at,
        departed_by: upload.send_before,
        answered_at: upload.answered_at,
        counts_until: upload.counts_until,
        state: match upload.state {
            AttemptState::Accepted | AttemptState::Superseded if upload.is_being_indexed => {
                UsageState::Indexing
            }
            AttemptState::Accepted | AttemptState::Superseded => UsageState::Final,
            AttemptState::Refused => UsageState::Refused,
            AttemptState::Sending
            | AttemptState::NotSent
            | AttemptState::Rejected
            | AttemptState::InDoubt
            | AttemptState::AcceptedUnidentified
            | AttemptState::NeedsReview
            | AttemptState::Absent
            | AttemptState::Abandoned => UsageState::Open,
        },
    });
    let external_usages = external_usages.iter().filter_map(|external_usage| {
        let endpoint = Endpoint::from_name(&external_usage.endpoint)?;
        Some(UsageRecord {
            endpoint,
            key: 0,
            count: external_usage.count,
            claimed_at: external_usage.at,
            departed_by: external_usage.at,
            answered_at: None,
            counts_until: (endpoint == Endpoint::Upload).then_some(external_usage.at),
            state: UsageState::Indexing,
        })
    });
    let mut past: Vec<UsageRecord> = uploads.chain(external_usages).collect();
    past.sort_by_key(|one| one.claimed_at);
    past
}

/// What a clock knows of the boot it counts from, for the ledger.
#[must_use]
pub fn boot_of(clock: &Clock) -> Option<BootTime> {
    clock.boot().map(|(id, since_ms)| BootTime { id: id.to_owned(), since_ms })
}

/// Measures the clock skew by the service's clock (`served_at`) where this machine does not know how much time passed
/// since the last run. A wall clock that was set ahead must not open a window early or end a quiet time. Until the
/// skew is known, no time has passed.
pub(super) async fn measure_clock_skew<T>(
    context: &Context<T>,
    run: RunId,
    served_at: Option<UnixMillis>,
) -> Result<(), LedgerError> {
    let Some(served_at) = served_at else { return Ok(()) };
    if context.ledger.read(move |snapshot| snapshot.is_clock_skew_known(run)).await? {
        return Ok(());
    }
    let Some(clock_skew_ms) =
        clock_skew_by_service(&context.ledger, run, context.clock.now(), served_at).await?
    else {
        return Ok(());
    };
    context.ledger.write(move |store| store.record_clock_skew(run, clock_skew_ms)).await?;
    if clock_skew_ms > JUMP_SAID_MS {
        let jump = format_duration(Duration::from_millis(clock_skew_ms.unsigned_abs()));
        let text = format!(
            "this machine's clock is {jump} further than the time that passed since the last run; windows and waits go by \
             the service's clock"
        );
        context.emit(&Event::Message { text });
    }
    Ok(())
}

/// Reloads the usage after the clock skew was measured. Nothing may have been uploaded in this run.
pub(super) async fn reload_usage<T>(context: &Context<T>, run: RunId) -> Result<(), LedgerError> {
    let past = past(&context.ledger, Some(run), &context.limiter.limits(), context.clock.now()).await?;
    context.limiter.reload_usage(&past);
    Ok(())
}

/// Keeps these limits from now on, and counts what the ledger knows of requests by now, such as those of other tools.
pub async fn change_limits<T>(context: &Context<T>, limits: Limits) -> Result<(), LedgerError> {
    let past = past(&context.ledger, None, &limits, context.clock.now()).await?;
    context.limiter.change_limits(limits, &past);
    context.signals.ledger_changed();
    Ok(())
}

/// Forgets what this and earlier runs learned of the limits. A pause after refusals goes on: the service asked for it.
/// [`change_limits`] must follow, so that the windows are built without what was learned.
pub async fn forget_learned_limits<T>(context: &Context<T>) -> Result<(), LedgerError> {
    context.limiter.forget_learned_limits();
    // a save that was on its way may have come after the order
    context.save_learned_limits().await
}

/// How far our wall clock ran ahead of real time since the run before, in milliseconds. `None`: nothing was dated by
/// both clocks.
async fn clock_skew_by_service(
    ledger: &Ledger,
    run: RunId,
    now: UnixMillis,
    served_at: UnixMillis,
) -> Result<Option<i64>, LedgerError> {
    let (mark, last_timestamp) = ledger.read(move |snapshot| snapshot.time_before(run)).await?;
    let Some(last_timestamp) = last_timestamp else { return Ok(Some(0)) };
    let by_service = mark.map(|mark| mark.ours.plus_ms(served_at.since_ms(mark.theirs_at_the_latest).max(0)));
    // the last run happened before this one, whatever the service reports
    Ok(by_service.map(|really| now.since_ms(really.max(last_timestamp)).max(0)))
}

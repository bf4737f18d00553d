//! The reconcile stage: resolves requests without a clear answer by evidence from listings, never by guessing.
//!
//! It is level-triggered: each pass reads which requests are in doubt and when the next check is due. It reads the
//! listing of the namespace, decides on every request in doubt ([`evidence`]), and records the result. What is not
//! proved waits.

mod calls;
mod evidence;
mod resend;

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::{
    api::{ListedVideo, Transport},
    domain::{ItemEvent, State, UnixMillis, VideoNo, shown_name},
    events::{Event, RedactedUrl},
    ledger::{
        AttemptResult, Binding, Bindings, BoundVideo, HeldResend, LedgerError, Question, RunId, Snapshot,
        UnresolvedAttempt, UnresolvedAttempts,
    },
    quota::WasAccepted,
    retry,
};

use super::{
    context::{Context, Noticed},
    library_check,
    library_listing::{self, CompareError, ControlVideoSeen, IncompleteListing, Listing},
    restore_usage,
};
use evidence::{Decision, Evidence, EvidencePass, ListingAccuracy, TagsShown};

pub use evidence::{HORIZON, OnDoubt, ReconcileRules};

/// Requests in doubt decided in one pass.
const UNRESOLVED_MAX: usize = 1_000;
/// The shortest time between two passes.
const PASS_DELAY_MIN: Duration = Duration::from_secs(20);
/// The longest time between two passes.
const PASS_DELAY_MAX: Duration = Duration::from_mins(10);

/// Passes in a row without a complete listing before the operator is notified.
const FAILED_PASSES_MAX: u32 = 3;

/// Resolves requests in doubt until the run ends.
pub(super) async fn reconcile<T: Transport>(
    context: Context<T>,
    run: RunId,
    rules: ReconcileRules,
    first_pass_done: CancellationToken,
) -> Result<(), LedgerError> {
    let leave = context.signals.leave.clone();
    tokio::select! {
        biased;
        () = leave.cancelled() => Ok(()),
        ended = reconcile_forever(&context, run, rules, &first_pass_done) => ended,
    }
}

async fn reconcile_forever<T: Transport>(
    context: &Context<T>,
    run: RunId,
    asked: ReconcileRules,
    first_pass_done: &CancellationToken,
) -> Result<(), LedgerError> {
    let mut failed_passes = 0;
    let mut passed_at: Option<UnixMillis> = None;
    let mut searched_at: Option<UnixMillis> = None;
    let mut looked_at: Option<UnixMillis> = None;
    loop {
        let changed = context.signals.next_change();
        let UnresolvedAttempts { attempts, observed } =
            context.ledger.read(|snapshot| snapshot.unresolved_attempts(UNRESOLVED_MAX)).await?;
        let rules = asked.with(observed);
        let held = context.ledger.read(|snapshot| snapshot.held_resends(UNRESOLVED_MAX)).await?;
        let search_at = |held: &HeldResend| resend::due_at(held, &rules, searched_at);
        let next_search_at = held.iter().map(search_at).min();
        let next_look_up_at = context.ledger.read(Snapshot::next_look_up_at).await?;
        let now = context.clock.now();
        if next_look_up_at.is_some_and(|timestamp| timestamp <= now) {
            calls::look_up(context, &rules).await?;
            continue;
        }
        if next_search_at.is_some_and(|timestamp| timestamp <= now) {
            let due = held.into_iter().filter(|held| search_at(held) <= now).collect();
            resend::search(context, run, &rules, due).await?;
            searched_at = Some(now);
            continue;
        }
        if looked_at.is_none_or(|timestamp| timestamp.plus(PASS_DELAY_MAX) <= now) {
            looked_at = Some(now);
            resend::look_again(context).await?;
            continue;
        }
        let due = attempts.iter().map(|attempt| next_pass_at(attempt, &rules, passed_at)).min();
        if due.is_none_or(|timestamp| timestamp > context.clock.now()) && !first_pass_done.is_cancelled() {
            first_pass_done.cancel();
            context.signals.ledger_changed();
        }
        match due.into_iter().chain(next_search_at).chain(next_look_up_at).min() {
            None => changed.await,
            Some(timestamp) if timestamp > context.clock.now() => {
                tokio::select! {
                    biased;
                    () = context.clock.sleep_until(timestamp) => {}
                    () = changed => {}
                }
            }
            Some(_) => {
                passed_at = Some(context.clock.now());
                let is_complete = run_pass(context, run, &rules, failed_passes).await?;
                failed_passes = if is_complete { 0 } else { failed_passes + 1 };
            }
        }
    }
}

/// When a request in doubt is due for a pass: at the end of its quiet time, when a second clear listing may be read, and at
/// intervals that grow with its age, because its marker may have become visible.
fn next_pass_at(
    unresolved: &UnresolvedAttempt,
    rules: &ReconcileRules,
    passed_at: Option<UnixMillis>,
) -> UnixMillis {
    let by_age = passed_at.map_or(unresolved.sent_at.plus(PASS_DELAY_MIN), |timestamp| {
        let age_ms = u64::try_from(timestamp.since_ms(unresolved.sent_at)).unwrap_or(0);
        let age = Duration::from_millis(age_ms);
        timestamp.plus(retry::poll_delay(age, PASS_DELAY_MIN, PASS_DELAY_MAX))
    });
    let quiet_ends_at = rules.quiet_ends_at(unresolved);
    let special = match unresolved.clear_at {
        Some(clear_at) => clear_at.plus(rules.listings_apart()),
        None => quiet_ends_at,
    };
    let special_is_open = passed_at.is_none_or(|timestamp| timestamp < special);
    if special_is_open { by_age.min(special) } else { by_age }
}

/// Reads the listing of every namespace with requests in doubt, and decides on each. `failed_passes` passes in a row were
/// incomplete before. Returns whether every listing was complete.
async fn run_pass<T: Transport>(
    context: &Context<T>,
    run: RunId,
    rules: &ReconcileRules,
    failed_passes: u32,
) -> Result<bool, LedgerError> {
    let mut is_complete = true;
    let unresolved =
        context.ledger.read(|snapshot| snapshot.unresolved_attempts(UNRESOLVED_MAX)).await?.attempts;
    let mut by_namespace: BTreeMap<String, Vec<UnresolvedAttempt>> = BTreeMap::new();
    for unresolved in unresolved {
        by_namespace.entry(unresolved.submission.namespace.clone()).or_default().push(unresolved);
    }
    for (namespace, unresolved) in by_namespace {
        match read_listing(context, &namespace, &unresolved, rules).await {
            Ok(AssessedListing { listing, bindings, accuracy }) => {
                restore_usage::measure_clock_skew(context, run, listing.served.theirs).await?;
                let evidence = evidence_of(&listing, bindings, accuracy);
                for (unresolved, decision) in unresolved.iter().zip(decide(&unresolved, &evidence, rules)) {
                    record(context, unresolved, decision).await?;
                }
            }
            Err(CompareError::Ledger(error)) => return Err(error),
            Err(CompareError::Incomplete(IncompleteListing { cause, .. })) => {
                tracing::info!(namespace, cause, "the listing is not complete");
                is_complete = false;
                if failed_passes + 1 >= FAILED_PASSES_MAX {
                    give_up_on_listings(context, &unresolved, &cause).await?;
                }
            }
        }
    }
    Ok(is_complete)
}

/// A complete listing, what the ledger knows of its videos, and what both together show of the service.
struct AssessedListing {
    listing: Listing,
    bindings: Bindings,
    accuracy: ListingAccuracy,
}

/// Reads a complete listing that reaches back to the oldest of these requests.
async fn read_listing<T: Transport>(
    context: &Context<T>,
    namespace: &str,
    unresolved: &[UnresolvedAttempt],
    rules: &ReconcileRules,
) -> Result<AssessedListing, CompareError> {
    // read back to the oldest request; all videos if the time of one request is unknown
    let oldest: Option<Vec<UnixMillis>> =
        unresolved.iter().map(|unresolved| evidence::candidates_from(unresolved.service_time)).collect();
    let mut since = oldest.and_then(|timestamps| timestamps.into_iter().min());
    // videos that were accepted one quiet time ago must be visible by now: they are the control videos
    let visible_since =
        context.clock.now().plus_ms(-i64::try_from(rules.quiet.as_millis()).unwrap_or(i64::MAX));
    let first = unresolved.iter().map(|unresolved| unresolved.attempt).min();
    let own = namespace.to_owned();
    let control_videos = context
        .ledger
        .read(move |snapshot| match first {
            Some(first) => snapshot.control_videos(&own, visible_since, first),
            None => Ok(Vec::new()),
        })
        .await?;
    loop {
        let mut listing = library_listing::read(context, namespace, since, &control_videos).await?;
        check_unseen_controls(context, namespace, &mut listing).await;
        let numbers: Vec<VideoNo> = listing.videos.iter().map(|video| video.video_no.clone()).collect();
        let own = namespace.to_owned();
        let bindings = context.ledger.read(move |snapshot| snapshot.bindings(&own, &numbers)).await?;
        let accuracy = assess(context, namespace, &listing.videos, &bindings.bound).await?;
        // where its times are not those of the answers, they do not say how far back to read
        if accuracy.has_one_clock() || since.take().is_none() {
            return Ok(AssessedListing { listing, bindings, accuracy });
        }
    }
}

/// Decides on every request in doubt by one listing.
fn decide(
    unresolved: &[UnresolvedAttempt],
    evidence: &Evidence<'_>,
    rules: &ReconcileRules,
) -> Vec<Decision> {
    let pass = EvidencePass::new(evidence, rules);
    let decisions =
        unresolved.iter().map(|unresolved| bounded(pass.decide(unresolved), unresolved)).collect();
    tracing::debug!(requests = unresolved.len(), compared = pass.compared(), "decided by a listing");
    decisions
}

/// Moves requests older than a day to review, because no complete listing can be read.
async fn give_up_on_listings<T>(
    context: &Context<T>,
    unresolved: &[UnresolvedAttempt],
    cause: &str,
) -> Result<(), LedgerError> {
    let now = context.clock.now();
    let is_due = |unresolved: &&UnresolvedAttempt| {
        unresolved.state != State::NeedsReview && evidence::is_over_horizon(unresolved, now)
    };
    for unresolved in unresolved.iter().filter(is_due) {
        let text = format!("no answer for a day, and no listing could be read whole ({cause})");
        record(context, unresolved, Decision::Ask(Question { text, candidates: Vec::new() })).await?;
    }
    Ok(())
}

/// Control videos that are asked for one by one when a listing does not show them.
const UNSEEN_ASKED_MAX: usize = 3;

/// Asks for control videos that a listing does not show. If one is at the service, the listing leaves out videos, and the absence
/// of others proves nothing.
async fn check_unseen_controls<T: Transport>(context: &Context<T>, namespace: &str, listing: &mut Listing) {
    for video_no in listing.unseen_controls.iter().take(UNSEEN_ASKED_MAX) {
        // what cannot be asked for proves nothing either
        if !matches!(library_check::is_shown_singly(context, namespace, video_no).await, Ok(false)) {
            tracing::info!(namespace, %video_no, "the listing leaves out a video that is at the service");
            listing.control_video_seen = ControlVideoSeen::No;
            return;
        }
    }
}

/// Where known videos showed other tags than were sent, missing tags prove nothing for this long, also in later runs: the service may
/// show the tags of each video late.
const TAGS_DISTRUSTED_FOR: Duration = Duration::from_hours(7 * 24);
/// The name under which the ledger keeps when that was seen last, in milliseconds since the Unix epoch.
const TAGS_CHANGED_AT: &str = "tags_changed_at";

/// What a listing shows of the service, with what earlier ones showed of its tags.
async fn assess<T>(
    context: &Context<T>,
    namespace: &str,
    listed: &[ListedVideo],
    bound: &[BoundVideo],
) -> Result<ListingAccuracy, LedgerError> {
    let accuracy = ListingAccuracy::of(listed, bound);
    let now = context.clock.now();
    if accuracy.tags == TagsShown::Changed {
        announce_changed_tags(context, namespace);
        let at = now.0.to_string();
        context.ledger.write(move |store| store.kv_set(TAGS_CHANGED_AT, Some(&at), now)).await?;
        return Ok(accuracy);
    }
    let seen = context.ledger.read(|snapshot| snapshot.kv_get(TAGS_CHANGED_AT)).await?;
    let seen_at = seen.and_then(|at| at.parse().ok()).map(UnixMillis);
    let is_distrusted = seen_at.is_some_and(|at| now < at.plus(TAGS_DISTRUSTED_FOR));
    Ok(if is_distrusted { ListingAccuracy { tags: TagsShown::Changed, ..accuracy } } else { accuracy })
}

/// Says once in a run that markers prove nothing, with what it means.
fn announce_changed_tags<T>(context: &Context<T>, namespace: &str) {
    if context.signals.is_first(Noticed::ChangedTags) {
        let text = format!(
            "{namespace}: the service shows the tags of videos late, or otherwise than they were sent, so that a missing marker \
             proves nothing. Requests without a clear answer wait for their markers, and need your decision after a day \
             (telecine review)"
        );
        context.emit(&Event::Message { text });
    }
}

fn evidence_of(listing: &Listing, bindings: Bindings, accuracy: ListingAccuracy) -> Evidence<'_> {
    let bound: HashSet<&VideoNo> = bindings.bound.iter().map(|bound| &bound.video_no).collect();
    let (bound, unbound) = listing.videos.iter().partition(|video| bound.contains(&video.video_no));
    Evidence {
        accuracy,
        unbound,
        bound,
        begun_at: listing.begun_at,
        served_at: listing.served.theirs,
        control_video_seen: listing.control_video_seen,
        possible_senders: bindings.possible_senders,
    }
}

/// After this many attempts of an item that were all found absent, the next one needs a review.
const ABSENT_MAX: u32 = 10;

/// The decision, or a review if the item was found absent too often.
fn bounded(decision: Decision, attempt: &UnresolvedAttempt) -> Decision {
    let times = attempt.absent_before + 1;
    if !matches!(decision, Decision::Absent) || times < ABSENT_MAX {
        return decision;
    }
    Decision::Ask(Question {
        text: format!(
            "sent {times} times, each time without a clear answer, and each time the listings show that it never arrived"
        ),
        candidates: Vec::new(),
    })
}

/// The question, with the videos that calls of the service named for the request.
async fn with_called<T>(
    context: &Context<T>,
    unresolved: &UnresolvedAttempt,
    question: Question,
) -> Result<Question, LedgerError> {
    let Question { mut text, mut candidates } = question;
    let attempt = unresolved.attempt;
    let called = context.ledger.read(move |snapshot| snapshot.numbers_called_for(attempt)).await?;
    if !called.is_empty() {
        let numbers: Vec<&str> = called.iter().map(VideoNo::as_str).collect();
        text = format!("{text}; the service called for it as {}", numbers.join(" and "));
        candidates
            .extend(called.into_iter().filter(|number| !candidates.contains(number)).collect::<Vec<_>>());
    }
    Ok(Question { text, candidates })
}

/// Records a decision. Returns whether it changed the state of the request.
async fn record<T>(
    context: &Context<T>,
    unresolved: &UnresolvedAttempt,
    decision: Decision,
) -> Result<bool, LedgerError> {
    let at = context.clock.now();
    let attempt = unresolved.attempt;
    let settle = |event, bound, cause: String| {
        let result = AttemptResult { event, at, bound, cause: Some(cause) };
        context.ledger.write(move |store| store.settle(attempt, &result))
    };
    let (event, evidence, recorded) = match decision {
        Decision::Wait => return Ok(false),
        Decision::RecordClearListing(clear_at) => {
            context.ledger.write(move |store| store.record_clear_listing(attempt, clear_at)).await?;
            return Ok(false);
        }
        Decision::Found { video_no, uploaded_at, by } => {
            let evidence = format!("it is {video_no} ({})", shown_name(by.as_str()));
            let bound = Some(Binding { video_no, uploaded_at, by });
            (ItemEvent::Found, evidence.clone(), settle(ItemEvent::Found, bound, evidence).await)
        }
        Decision::AcceptedUnidentified => {
            let evidence = "the service has it; which video it is shows when it is indexed".to_owned();
            (
                ItemEvent::FoundAccepted,
                evidence.clone(),
                settle(ItemEvent::FoundAccepted, None, evidence).await,
            )
        }
        Decision::Absent => {
            let evidence = "two complete listings show no video that it could be".to_owned();
            (ItemEvent::FoundAbsent, evidence.clone(), settle(ItemEvent::FoundAbsent, None, evidence).await)
        }
        Decision::Ask(question) => {
            let question = with_called(context, unresolved, question).await?;
            (
                ItemEvent::ReviewRequested,
                question.text.clone(),
                context.ledger.write(move |store| store.ask(attempt, &question, at)).await,
            )
        }
    };
    match recorded {
        // the attempt was resolved meanwhile by a late answer, or the video was bound to another attempt
        Err(LedgerError::Illegal(_) | LedgerError::Impossible { .. }) => return Ok(false),
        recorded => recorded?,
    }
    if matches!(event, ItemEvent::Found | ItemEvent::FoundAccepted) {
        context.limiter.resolve_upload(attempt.number(), WasAccepted::Yes);
    } else if event == ItemEvent::FoundAbsent {
        context.limiter.resolve_upload(attempt.number(), WasAccepted::No);
    }
    context.emit(&Event::Reconciled {
        url: RedactedUrl::from(&unresolved.submission.url),
        outcome: event.as_str(),
        evidence,
    });
    context.signals.ledger_changed();
    Ok(true)
}

//! Requests without a clear answer: settled by evidence from the service's listings, never by guessing.
//!
//! Level-triggered: "which doubts are open, and when is the next look due?" A look reads the namespace's listing,
//! weighs it against every doubt ([`evidence`]), and records what follows. Whatever is not proved waits.

mod evidence;

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::{
    item::{UnixMillis, VideoNo},
    ledger::{Binding, Bindings, Doubt, LedgerError, OpenDoubts, Question, RunId, Settlement},
    lifecycle::{Event, State},
    monitor::{Notice, Shown},
    quota::WasAccepted,
    retry,
    service::Transport,
};

use super::{
    doors::Doors,
    hire,
    listing::{self, Incomplete, Listing},
};
use evidence::{Decision, Scene};

pub use evidence::{OnDoubt, Rules};

/// Doubts weighed in one look.
const DOUBTS_MAX: usize = 1_000;
/// Looks are not closer together than this…
const LOOK_DELAY_MIN: Duration = Duration::from_secs(20);
/// …nor farther apart than this.
const LOOK_DELAY_MAX: Duration = Duration::from_mins(10);

/// So many looks in a row without a whole listing are no bad luck any more.
const FAILED_LOOKS_MAX: u32 = 3;

/// Settles doubts until told to leave.
pub(super) async fn settle_doubts<T: Transport>(
    doors: Doors<T>,
    run: RunId,
    rules: Rules,
    first_look: CancellationToken,
) -> Result<(), LedgerError> {
    let leave = doors.signals.leave.clone();
    tokio::select! {
        biased;
        () = leave.cancelled() => Ok(()),
        ended = settle_forever(&doors, run, rules, &first_look) => ended,
    }
}

async fn settle_forever<T: Transport>(
    doors: &Doors<T>,
    run: RunId,
    asked: Rules,
    first_look: &CancellationToken,
) -> Result<(), LedgerError> {
    let mut failed_looks = 0;
    let mut looked_at: Option<UnixMillis> = None;
    loop {
        let changed = doors.signals.next_change();
        let OpenDoubts { doubts, observed } = doors.ledger.open_doubts(DOUBTS_MAX).await?;
        let rules = asked.with(observed);
        let due = doubts.iter().map(|doubt| next_look_at(doubt, &rules, looked_at)).min();
        if due.is_none_or(|moment| moment > doors.clock.now()) && !first_look.is_cancelled() {
            first_look.cancel();
            doors.signals.ledger_changed();
        }
        match due {
            None => changed.await,
            Some(moment) if moment > doors.clock.now() => {
                tokio::select! {
                    biased;
                    () = doors.clock.sleep_until(moment) => {}
                    () = changed => {}
                }
            }
            Some(_) => {
                looked_at = Some(doors.clock.now());
                let is_complete = look(doors, run, &rules, failed_looks).await?;
                failed_looks = if is_complete { 0 } else { failed_looks + 1 };
            }
        }
    }
}

/// When a doubt is due to be looked at: when its quiet time ends, when a second clear listing may be read, and now and
/// then in between for its marker.
fn next_look_at(doubt: &Doubt, rules: &Rules, looked_at: Option<UnixMillis>) -> UnixMillis {
    let by_age = looked_at.map_or(doubt.sent_at.plus(LOOK_DELAY_MIN), |moment| {
        let age_ms = u64::try_from(moment.since_ms(doubt.sent_at)).unwrap_or(0);
        let age = Duration::from_millis(age_ms);
        moment.plus(retry::look_again_after(age, LOOK_DELAY_MIN, LOOK_DELAY_MAX))
    });
    let quiet_ends_at = rules.quiet_ends_at(doubt);
    let special = match doubt.clear_at {
        Some(clear_at) => clear_at.plus(rules.listings_apart()),
        None => quiet_ends_at,
    };
    let special_is_open = looked_at.is_none_or(|moment| moment < special);
    if special_is_open { by_age.min(special) } else { by_age }
}

/// Looks at every namespace with doubts, after so many looks in a row that failed; false when one could not be listed
/// whole.
async fn look<T: Transport>(
    doors: &Doors<T>,
    run: RunId,
    rules: &Rules,
    failed_looks: u32,
) -> Result<bool, LedgerError> {
    let mut is_complete = true;
    let doubts = doors.ledger.open_doubts(DOUBTS_MAX).await?.doubts;
    let mut by_namespace: BTreeMap<String, Vec<Doubt>> = BTreeMap::new();
    for doubt in doubts {
        by_namespace.entry(doubt.submission.namespace.clone()).or_default().push(doubt);
    }
    for (namespace, doubts) in by_namespace {
        // as far back as the oldest may lie; to the first video where that is not known of one of them
        let oldest: Option<Vec<UnixMillis>> =
            doubts.iter().map(|doubt| evidence::candidates_from(doubt.service_time)).collect();
        let since = oldest.and_then(|moments| moments.into_iter().min());
        // what was accepted a quiet time ago must be visible by now: it vouches for the listing
        let visible_since =
            doors.clock.now().plus_ms(-i64::try_from(rules.quiet.as_millis()).unwrap_or(i64::MAX));
        let witnesses = doors.ledger.witnesses(namespace.clone(), visible_since).await?;
        match listing::read(doors, &namespace, since, &witnesses).await {
            Ok(listing) => {
                hire::learn_the_jump(doors, run, listing.served.theirs).await?;
                let numbers = listing.videos.iter().map(|video| video.video_no.clone()).collect();
                let bindings = doors.ledger.bindings(namespace, numbers).await?;
                let scene = scene_of(&listing, bindings);
                for doubt in &doubts {
                    record(doors, doubt, evidence::weigh(doubt, &scene, rules)).await?;
                }
            }
            Err(Incomplete { cause, .. }) => {
                tracing::info!(namespace, cause, "the listing is not complete");
                is_complete = false;
                if failed_looks + 1 >= FAILED_LOOKS_MAX {
                    give_up_on_listings(doors, &doubts, &cause).await?;
                }
            }
        }
    }
    Ok(is_complete)
}

/// Where listings bring nothing, look after look, a human is asked of what is a day old.
async fn give_up_on_listings<T>(doors: &Doors<T>, doubts: &[Doubt], cause: &str) -> Result<(), LedgerError> {
    let now = doors.clock.now();
    let is_due = |doubt: &&Doubt| doubt.state != State::Asked && evidence::is_over_horizon(doubt, now);
    for doubt in doubts.iter().filter(is_due) {
        let text = format!("no answer for a day, and no listing could be read whole ({cause})");
        record(doors, doubt, Decision::Ask(Question { text, candidates: Vec::new() })).await?;
    }
    Ok(())
}

fn scene_of(listing: &Listing, bindings: Bindings) -> Scene<'_> {
    let bound: HashSet<&VideoNo> = bindings.bound.iter().collect();
    Scene {
        unbound: listing.videos.iter().filter(|video| !bound.contains(&video.video_no)).collect(),
        begun_at: listing.begun_at,
        served_at: listing.served.theirs,
        vouched: listing.vouched,
        contenders: bindings.contenders,
    }
}

async fn record<T>(doors: &Doors<T>, doubt: &Doubt, decision: Decision) -> Result<(), LedgerError> {
    let at = doors.clock.now();
    let attempt = doubt.attempt;
    let settle = |event, bound, cause: String| {
        doors.ledger.settle(attempt, Settlement { event, at, bound, cause: Some(cause) })
    };
    let (event, evidence, recorded) = match decision {
        Decision::Wait => return Ok(()),
        Decision::NoteClear(clear_at) => return doors.ledger.note_clear(attempt, clear_at).await,
        Decision::Found { video_no, uploaded_at, by } => {
            let evidence = format!("it is {video_no} ({})", by.word().replace('_', " "));
            let bound = Some(Binding { video_no, uploaded_at, by });
            (Event::Found, evidence.clone(), settle(Event::Found, bound, evidence).await)
        }
        Decision::Counted => {
            let evidence = "the service has it; which video it is shows when it is indexed".to_owned();
            (Event::Counted, evidence.clone(), settle(Event::Counted, None, evidence).await)
        }
        Decision::Absent => {
            let evidence = "two complete listings show no video that it could be".to_owned();
            (Event::FoundAbsent, evidence.clone(), settle(Event::FoundAbsent, None, evidence).await)
        }
        Decision::Ask(question) => {
            (Event::Asked, question.text.clone(), doors.ledger.ask(attempt, question, at).await)
        }
    };
    match recorded {
        // somebody else was faster: an answer that came late, or another doubt that took the video
        Err(LedgerError::Illegal(_) | LedgerError::Impossible { .. }) => return Ok(()),
        recorded => recorded?,
    }
    if matches!(event, Event::Found | Event::Counted) {
        doors.porter.settle_later(attempt.number(), WasAccepted::Yes);
    } else if event == Event::FoundAbsent {
        doors.porter.settle_later(attempt.number(), WasAccepted::No);
    }
    doors.say(&Notice::DoubtSettled {
        url: Shown::from(&doubt.submission.url),
        outcome: event.word(),
        evidence,
    });
    doors.signals.ledger_changed();
    Ok(())
}

//! Requests without a clear answer: settled by evidence from the service's listings, never by guessing.
//!
//! Level-triggered: "which doubts are open, and when is the next look due?" A look reads the namespace's listing,
//! weighs it against every doubt ([`evidence`]), and records what follows. Whatever is not proved waits.

mod evidence;
mod listing;

use std::{collections::BTreeMap, collections::HashSet, time::Duration};

use crate::{
    item::{UnixMillis, VideoNo},
    ledger::{Binding, Bindings, Doubt, LedgerError, Settlement},
    lifecycle::Event,
    monitor::{Notice, Shown},
    retry,
    service::Transport,
};

use super::doors::Doors;
use evidence::{Decision, Scene};
use listing::{Incomplete, Listing};

pub use evidence::{NamespaceUse, Rules};

/// Doubts weighed in one look.
const DOUBTS_MAX: usize = 1_000;
/// Looks are not closer together than this…
const LOOK_DELAY_MIN: Duration = Duration::from_secs(20);
/// …nor farther apart than this.
const LOOK_DELAY_MAX: Duration = Duration::from_mins(10);

/// Settles doubts until told to leave.
pub(super) async fn settle_doubts<T: Transport>(doors: Doors<T>, rules: Rules) -> Result<(), LedgerError> {
    let leave = doors.signals.leave.clone();
    tokio::select! {
        () = leave.cancelled() => Ok(()),
        ended = settle_forever(&doors, rules) => ended,
    }
}

async fn settle_forever<T: Transport>(doors: &Doors<T>, rules: Rules) -> Result<(), LedgerError> {
    let mut looked_at: Option<UnixMillis> = None;
    loop {
        let changed = doors.signals.next_change();
        let doubts = doors.ledger.doubts(DOUBTS_MAX).await?;
        let due = doubts.iter().map(|doubt| next_look_at(doubt, &rules, looked_at, doors.clock.now())).min();
        match due {
            None => changed.await,
            Some(moment) if moment > doors.clock.now() => {
                tokio::select! {
                    () = doors.clock.sleep_until(moment) => {}
                    () = changed => {}
                }
            }
            Some(_) => {
                looked_at = Some(doors.clock.now());
                look(doors, &rules, doubts).await?;
            }
        }
    }
}

/// When a doubt is due to be looked at: when its quiet time ends, when a second clear listing may be read, and now and
/// then in between for its marker.
fn next_look_at(doubt: &Doubt, rules: &Rules, looked_at: Option<UnixMillis>, now: UnixMillis) -> UnixMillis {
    let age_ms = u64::try_from(now.since_ms(doubt.sent_at)).unwrap_or(0);
    let pause = retry::look_again_after(Duration::from_millis(age_ms), LOOK_DELAY_MIN, LOOK_DELAY_MAX);
    let by_age = looked_at.map_or(doubt.sent_at.plus(LOOK_DELAY_MIN), |moment| moment.plus(pause));
    let quiet_ends_at = rules.quiet_ends_at(doubt);
    let special = match doubt.clear_at {
        Some(clear_at) => clear_at.plus(rules.listings_apart()),
        None => quiet_ends_at,
    };
    let special_is_open = looked_at.is_none_or(|moment| moment < special);
    if special_is_open { by_age.min(special) } else { by_age }
}

async fn look<T: Transport>(doors: &Doors<T>, rules: &Rules, doubts: Vec<Doubt>) -> Result<(), LedgerError> {
    let clock_behind_ms = doors.ledger.clock_behind_ms().await?;
    let mut by_namespace: BTreeMap<String, Vec<Doubt>> = BTreeMap::new();
    for doubt in doubts {
        by_namespace.entry(doubt.submission.namespace.clone()).or_default().push(doubt);
    }
    for (namespace, doubts) in by_namespace {
        let oldest = doubts.iter().map(|doubt| doubt.sent_at).min().unwrap_or_default();
        // what was accepted a quiet time ago must be visible by now: it vouches for the listing
        let visible_since =
            doors.clock.now().plus_ms(-i64::try_from(rules.quiet.as_millis()).unwrap_or(i64::MAX));
        let witnesses = doors.ledger.witnesses(namespace.clone(), visible_since).await?;
        match listing::read(doors, &namespace, evidence::candidates_from(oldest, clock_behind_ms), &witnesses)
            .await
        {
            Ok(listing) => {
                let numbers = listing.videos.iter().map(|video| video.video_no.clone()).collect();
                let bindings = doors.ledger.bindings(namespace, numbers).await?;
                let scene = scene_of(&listing, &bindings, clock_behind_ms);
                for doubt in &doubts {
                    record(doors, doubt, evidence::weigh(doubt, &scene, rules)).await?;
                }
            }
            Err(Incomplete { cause }) => tracing::info!(namespace, cause, "the listing is not complete"),
        }
    }
    Ok(())
}

fn scene_of<'a>(listing: &'a Listing, bindings: &Bindings, clock_behind_ms: Option<i64>) -> Scene<'a> {
    let bound: HashSet<&VideoNo> = bindings.bound.iter().collect();
    Scene {
        unbound: listing.videos.iter().filter(|video| !bound.contains(&video.video_no)).collect(),
        begun_at: listing.begun_at,
        open_attempts: bindings.open_attempts,
        vouched: listing.vouched,
        clock_behind_ms,
    }
}

async fn record<T>(doors: &Doors<T>, doubt: &Doubt, decision: Decision) -> Result<(), LedgerError> {
    let at = doors.clock.now();
    let (event, bound, evidence) = match decision {
        Decision::Wait => return Ok(()),
        Decision::NoteClear(clear_at) => return doors.ledger.note_clear(doubt.attempt, clear_at).await,
        Decision::Found { video_no, uploaded_at, by } => {
            let evidence = format!("it is {video_no} ({})", by.word().replace('_', " "));
            (Event::Found, Some(Binding { video_no, uploaded_at, by }), evidence)
        }
        Decision::Counted => (
            Event::Counted,
            None,
            "the service has it; which video it is shows when it is indexed".to_owned(),
        ),
        Decision::Absent => {
            (Event::FoundAbsent, None, "two complete listings show no video that it could be".to_owned())
        }
        Decision::Ask(question) => (Event::Asked, None, question),
    };
    let settlement = Settlement { event, at, bound, cause: Some(evidence.clone()) };
    match doors.ledger.settle(doubt.attempt, settlement).await {
        // somebody else was faster: an answer that came late, or another doubt that took the video
        Err(LedgerError::Illegal(_) | LedgerError::Impossible { .. }) => return Ok(()),
        settled => settled?,
    }
    doors.say(&Notice::DoubtSettled {
        url: Shown::from(&doubt.submission.url),
        outcome: event.word(),
        evidence,
    });
    doors.signals.ledger_changed();
    Ok(())
}

//! The counts of calls of a run, kept in the ledger for who looks at it from outside.

use std::{sync::Arc, time::Duration};

use crate::{
    clock::Clock,
    domain::{CallCounts, UnixMillis},
    error::Error,
    ledger::{Ledger, LedgerError, RunRow, Snapshot},
    pipeline::CallTally,
};

/// How often a run writes its counts, if they have changed.
const PUBLISH_INTERVAL: Duration = Duration::from_secs(30);

/// The name under which the ledger keeps the counts of a run.
fn name_of(run: &str) -> String {
    format!("calls {run}")
}

/// Keeps the counts of a run in the place of earlier ones.
pub async fn publish(
    ledger: &Ledger,
    run: &str,
    counts: CallCounts,
    at: UnixMillis,
) -> Result<(), LedgerError> {
    let name = name_of(run);
    // it has no value that JSON cannot hold
    let text = serde_json::to_string(&counts).ok();
    ledger.write(move |store| store.kv_set(&name, text.as_deref(), at)).await
}

/// Keeps the counts of a run up to date. Ends only with an error.
pub async fn publish_always(
    ledger: &Ledger,
    run: &str,
    tally: &Arc<CallTally>,
    clock: &Clock,
) -> Result<(), LedgerError> {
    let mut last = CallCounts::default();
    loop {
        clock.sleep(PUBLISH_INTERVAL).await;
        let counts = tally.counts();
        if counts != last {
            publish(ledger, run, counts, clock.now()).await?;
            last = counts;
        }
    }
}

/// The counts of a run. `None`: it received no calls, or began a moment ago.
pub fn published(snapshot: &Snapshot, run: &str) -> Result<Option<CallCounts>, Error> {
    Ok(snapshot.kv_get(&name_of(run))?.and_then(|text| serde_json::from_str(&text).ok()))
}

/// The latest of these runs that has counts, with them.
pub fn latest_published(snapshot: &Snapshot, runs: &[RunRow]) -> Result<Option<(String, CallCounts)>, Error> {
    for run in runs {
        if let Some(counts) = published(snapshot, &run.name)? {
            return Ok(Some((run.name.clone(), counts)));
        }
    }
    Ok(None)
}

//! The scout: looks at sources where they lie, before the service is paid for them, and leaves what it saw in the ledger.
//!
//! - **Crash**: a look is in the ledger as soon as it ended; whoever goes on asks only for what was not found fit lately.
//! - **Size**: so many sources at once, and no more in memory than those.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{sync::mpsc::Receiver, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    domain::{AddressDigest, Probe, SourceUrl},
    ledger::{Ledger, LedgerError},
    probe::{Fetcher, Prober},
};

/// Sources in memory at most, most of them waiting for the turn of their host: so far a host that is slow does not keep the
/// scout from the next one.
const TARGETS_MAX: usize = 512;
/// The ledger is asked about so many sources at a time.
const ASKED_MAX: usize = 128;

/// A source to look at, and where it is named.
#[derive(Clone, Debug)]
pub struct ProbeTarget {
    /// The manifest.
    pub path: Arc<str>,
    /// The line.
    pub line: u64,
    /// The source.
    pub url: SourceUrl,
}

/// Whether a look was made now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeOrigin {
    /// In this run.
    Made,
    /// Earlier, and it still holds.
    Kept,
}

/// What the scout works with.
pub struct ProbeStage<W> {
    /// Where looks are kept.
    pub ledger: Ledger,
    /// The eye.
    pub prober: Arc<Prober<W>>,
    /// What was found fit is believed for so long.
    pub age_max: Duration,
    /// No more looks than this are made.
    pub probes_max: Option<u64>,
    /// Begin no more looks, and leave those under way.
    pub drain: CancellationToken,
}

/// Looks at every source that comes, until no more come, or it is told to stop; `meet` hears of each in the order they end. Once
/// `probes_max` is reached it hears only of those that were looked at before.
pub async fn probe_stage<W: Fetcher>(
    probe_stage: ProbeStage<W>,
    mut targets: Receiver<ProbeTarget>,
    mut meet: impl FnMut(&ProbeTarget, &Probe, ProbeOrigin),
) -> Result<(), LedgerError> {
    let mut in_flight =
        InFlight { looks: JoinSet::new(), waiting: HashMap::new(), targets: 0, left: probe_stage.probes_max };
    let mut has_more = true;
    while has_more || !in_flight.looks.is_empty() {
        let room = TARGETS_MAX.saturating_sub(in_flight.targets).min(ASKED_MAX);
        let mut next = Vec::new();
        tokio::select! {
            biased;
            () = probe_stage.drain.cancelled() => return Ok(()),
            Some(ended) = in_flight.looks.join_next() => {
                let broken = |error| LedgerError::Broken { cause: format!("a look ended early: {error}") };
                let (address, probe) = ended.map_err(broken)??;
                for (place, target) in in_flight.end(address).iter().enumerate() {
                    meet(target, &probe, if place == 0 { ProbeOrigin::Made } else { ProbeOrigin::Kept });
                }
            }
            count = targets.recv_many(&mut next, room), if has_more && room > 0 => {
                has_more = count > 0;
                begin(&probe_stage, next, &mut in_flight, &mut meet).await?;
            }
        }
    }
    Ok(())
}

/// Looks under way, and who waits for them: one source may be named in several rows.
struct InFlight {
    looks: JoinSet<Result<(AddressDigest, Probe), LedgerError>>,
    waiting: HashMap<AddressDigest, Vec<ProbeTarget>>,
    /// So many wait.
    targets: usize,
    /// So many may still be begun; none for as many as come.
    left: Option<u64>,
}

impl InFlight {
    /// Whoever waited for a look that ended.
    fn end(&mut self, address: AddressDigest) -> Vec<ProbeTarget> {
        let waited = self.waiting.remove(&address).unwrap_or_default();
        self.targets -= waited.len();
        waited
    }
}

/// Tells of sources that are known to be fit, and begins to look at the others.
async fn begin<W: Fetcher>(
    probe_stage: &ProbeStage<W>,
    targets: Vec<ProbeTarget>,
    in_flight: &mut InFlight,
    meet: &mut impl FnMut(&ProbeTarget, &Probe, ProbeOrigin),
) -> Result<(), LedgerError> {
    let addresses = targets.iter().map(|target| target.url.digest()).collect();
    let known = probe_stage.ledger.probes(addresses).await?;
    for (target, known) in targets.into_iter().zip(known) {
        let holds = |probe: &Probe| {
            let is_spared = probe_stage.probes_max.is_some() && probe_stage.prober.is_fresh(probe);
            is_spared || probe_stage.prober.still_holds(probe, &target.url, probe_stage.age_max)
        };
        if let Some(probe) = known.filter(holds) {
            meet(&target, &probe, ProbeOrigin::Kept);
            continue;
        }
        let address = target.url.digest();
        let waiting = in_flight.waiting.entry(address).or_default();
        if waiting.is_empty() {
            if in_flight.left == Some(0) {
                in_flight.waiting.remove(&address);
                continue;
            }
            in_flight.left = in_flight.left.map(|left| left - 1);
            let (ledger, prober, url) =
                (probe_stage.ledger.clone(), Arc::clone(&probe_stage.prober), target.url.clone());
            in_flight.looks.spawn(async move {
                let probe = prober.inspect(&url).await;
                ledger.record_probes(vec![(address, probe.clone())]).await?;
                Ok((address, probe))
            });
        }
        waiting.push(target);
        in_flight.targets += 1;
    }
    Ok(())
}

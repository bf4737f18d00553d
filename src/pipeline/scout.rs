//! The scout: looks at sources where they lie, before the service is paid for them, and leaves what it saw in the ledger.
//!
//! - **Crash**: a look is in the ledger as soon as it ended; whoever goes on asks only for what was not found fit lately.
//! - **Size**: so many sources at once, and no more in memory than those.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{sync::mpsc::Receiver, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    item::{AddressDigest, Probe, SourceUrl},
    ledger::{Ledger, LedgerError},
    probe::{Prober, Web},
};

/// Sources in memory at most, most of them waiting for the turn of their host: so far a host that is slow does not keep the
/// scout from the next one.
const TARGETS_MAX: usize = 512;
/// The ledger is asked about so many sources at a time.
const ASKED_MAX: usize = 128;

/// A source to look at, and where it is named.
#[derive(Clone, Debug)]
pub struct Target {
    /// The manifest.
    pub path: Arc<str>,
    /// The line.
    pub line: u64,
    /// The source.
    pub url: SourceUrl,
}

/// Whether a look was made now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// In this run.
    Made,
    /// Earlier, and it still holds.
    Kept,
}

/// What the scout works with.
pub struct Scout<W> {
    /// Where looks are kept.
    pub ledger: Ledger,
    /// The eye.
    pub prober: Arc<Prober<W>>,
    /// What was found fit is believed for so long.
    pub age_max: Duration,
    /// No more looks than this are made.
    pub looks_max: Option<u64>,
    /// Begin no more looks, and leave those under way.
    pub drain: CancellationToken,
}

/// Looks at every source that comes, until no more come, or it is told to stop; `meet` hears of each in the order they end. Once
/// `looks_max` is reached it hears only of those that were looked at before.
pub async fn scout<W: Web>(
    scout: Scout<W>,
    mut targets: Receiver<Target>,
    mut meet: impl FnMut(&Target, &Probe, Look),
) -> Result<(), LedgerError> {
    let mut under_way =
        UnderWay { looks: JoinSet::new(), waiting: HashMap::new(), targets: 0, left: scout.looks_max };
    let mut has_more = true;
    while has_more || !under_way.looks.is_empty() {
        let room = TARGETS_MAX.saturating_sub(under_way.targets).min(ASKED_MAX);
        let mut next = Vec::new();
        tokio::select! {
            biased;
            () = scout.drain.cancelled() => return Ok(()),
            Some(ended) = under_way.looks.join_next() => {
                let broken = |fault| LedgerError::Broken { cause: format!("a look ended early: {fault}") };
                let (address, probe) = ended.map_err(broken)??;
                for (place, target) in under_way.end(address).iter().enumerate() {
                    meet(target, &probe, if place == 0 { Look::Made } else { Look::Kept });
                }
            }
            count = targets.recv_many(&mut next, room), if has_more && room > 0 => {
                has_more = count > 0;
                begin(&scout, next, &mut under_way, &mut meet).await?;
            }
        }
    }
    Ok(())
}

/// Looks under way, and who waits for them: one source may be named in several rows.
struct UnderWay {
    looks: JoinSet<Result<(AddressDigest, Probe), LedgerError>>,
    waiting: HashMap<AddressDigest, Vec<Target>>,
    /// So many wait.
    targets: usize,
    /// So many may still be begun; none for as many as come.
    left: Option<u64>,
}

impl UnderWay {
    /// Whoever waited for a look that ended.
    fn end(&mut self, address: AddressDigest) -> Vec<Target> {
        let waited = self.waiting.remove(&address).unwrap_or_default();
        self.targets -= waited.len();
        waited
    }
}

/// Tells of sources that are known to be fit, and begins to look at the others.
async fn begin<W: Web>(
    scout: &Scout<W>,
    targets: Vec<Target>,
    under_way: &mut UnderWay,
    meet: &mut impl FnMut(&Target, &Probe, Look),
) -> Result<(), LedgerError> {
    let addresses = targets.iter().map(|target| target.url.digest()).collect();
    let known = scout.ledger.probes(addresses).await?;
    for (target, known) in targets.into_iter().zip(known) {
        let holds = |probe: &Probe| {
            let is_spared = scout.looks_max.is_some() && scout.prober.is_fresh(probe);
            is_spared || scout.prober.still_holds(probe, &target.url, scout.age_max)
        };
        if let Some(probe) = known.filter(holds) {
            meet(&target, &probe, Look::Kept);
            continue;
        }
        let address = target.url.digest();
        let waiting = under_way.waiting.entry(address).or_default();
        if waiting.is_empty() {
            if under_way.left == Some(0) {
                under_way.waiting.remove(&address);
                continue;
            }
            under_way.left = under_way.left.map(|left| left - 1);
            let (ledger, prober, url) = (scout.ledger.clone(), Arc::clone(&scout.prober), target.url.clone());
            under_way.looks.spawn(async move {
                let probe = prober.look(&url).await;
                ledger.note_probes(vec![(address, probe.clone())]).await?;
                Ok((address, probe))
            });
        }
        waiting.push(target);
        under_way.targets += 1;
    }
    Ok(())
}

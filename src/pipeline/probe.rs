//! The probe stage: probes sources at their hosts before the upload is paid, and records the findings in the ledger.
//!
//! - **Crash**: a finding is recorded as soon as the probe ends. A resumed run probes only sources without a recent
//!   supported finding.
//! - **Memory**: a bounded number of sources is held at once.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{sync::mpsc::Receiver, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    bucket::{SourceError, Sources},
    domain::{AddressDigest, FileStamp, Probe, SourceUrl},
    ledger::{LedgerError, ProbeLedger},
    probe::{Fetcher, Prober},
};

/// The most sources in memory. Most of them wait for their host, so that a slow host does not delay the others.
const TARGETS_MAX: usize = 512;
/// Sources whose findings are read from the ledger in one call.
const ASKED_MAX: usize = 128;

/// A source to probe, and the row that names it.
#[derive(Clone, Debug)]
pub struct ProbeTarget {
    pub path: Arc<str>,
    pub line: u64,
    pub url: SourceUrl,
    /// What the file was when the row was read, where the row names a file on this machine.
    pub file: Option<FileStamp>,
}

impl ProbeTarget {
    fn digest(&self) -> AddressDigest {
        self.url.digest_with(self.file.as_ref())
    }
}

/// When a finding was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeOrigin {
    /// In this run.
    Made,
    /// Earlier, and it still holds.
    Kept,
}

/// The settings of the probe stage.
pub struct ProbeStage<W> {
    pub ledger: ProbeLedger,
    pub prober: Arc<Prober<W>>,
    /// Signs links to objects in buckets.
    pub sources: Sources,
    /// A supported finding is valid for this long.
    pub age_max: Duration,
    /// The most probes to make.
    pub probes_max: Option<u64>,
    /// Begin no more probes, and abandon those in flight.
    pub drain: CancellationToken,
}

/// Why probes ended early.
#[derive(Debug, thiserror::Error)]
pub enum ProbeStageError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// No link to an object in a bucket can be signed.
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// Probes every source of the stream until it ends or the run stops. `meet` is called with each finding in the order
/// the probes end. After `probes_max` probes it is called only for recorded findings.
pub async fn probe_stage<W: Fetcher>(
    probe_stage: ProbeStage<W>,
    mut targets: Receiver<ProbeTarget>,
    mut meet: impl FnMut(&ProbeTarget, &Probe, ProbeOrigin),
) -> Result<(), ProbeStageError> {
    let mut in_flight = InFlight {
        probes: JoinSet::new(),
        waiting: HashMap::new(),
        targets: 0,
        left: probe_stage.probes_max,
    };
    let mut has_more = true;
    while has_more || !in_flight.probes.is_empty() {
        let room = TARGETS_MAX.saturating_sub(in_flight.targets).min(ASKED_MAX);
        let mut next = Vec::new();
        tokio::select! {
            biased;
            () = probe_stage.drain.cancelled() => return Ok(()),
            Some(ended) = in_flight.probes.join_next() => {
                let broken = |error| LedgerError::Broken { cause: format!("a probe ended early: {error}") };
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

/// Probes in flight, and the rows that wait for them: several rows may name one source.
struct InFlight {
    probes: JoinSet<Result<(AddressDigest, Probe), LedgerError>>,
    waiting: HashMap<AddressDigest, Vec<ProbeTarget>>,
    targets: usize,
    /// Probes that may still begin. `None`: unlimited.
    left: Option<u64>,
}

impl InFlight {
    /// Takes the rows that waited for a probe that ended.
    fn end(&mut self, address: AddressDigest) -> Vec<ProbeTarget> {
        let waited = self.waiting.remove(&address).unwrap_or_default();
        self.targets -= waited.len();
        waited
    }
}

/// Reports sources with a valid finding, and begins to probe the others.
async fn begin<W: Fetcher>(
    probe_stage: &ProbeStage<W>,
    targets: Vec<ProbeTarget>,
    in_flight: &mut InFlight,
    meet: &mut impl FnMut(&ProbeTarget, &Probe, ProbeOrigin),
) -> Result<(), ProbeStageError> {
    let addresses: Vec<AddressDigest> = targets.iter().map(ProbeTarget::digest).collect();
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
        let address = target.digest();
        let waiting = in_flight.waiting.entry(address).or_default();
        if waiting.is_empty() {
            if in_flight.left == Some(0) {
                in_flight.waiting.remove(&address);
                continue;
            }
            in_flight.left = in_flight.left.map(|left| left - 1);
            let link = probe_stage.sources.link(&target.url).await?.into_owned();
            let file = target.url.file().zip(target.file);
            let (ledger, prober) = (probe_stage.ledger.clone(), Arc::clone(&probe_stage.prober));
            in_flight.probes.spawn(async move {
                let probe = match file {
                    Some((path, stamp)) => prober.inspect_file(path, stamp).await,
                    None => prober.inspect(&link).await,
                };
                ledger.record(address, probe.clone()).await?;
                Ok((address, probe))
            });
        }
        waiting.push(target);
        in_flight.targets += 1;
    }
    Ok(())
}

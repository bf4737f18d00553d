//! An import against a sandbox in this process, over HTTP, on a clock that runs fast. At the end the totals of the service
//! are compared with those of the ledger.

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use serde::Serialize;

use super::{
    limits,
    run::{end_of_run, end_run},
    run_name,
    sandbox::{self},
    temporary_folder_error,
};
use crate::{
    api::{
        ApiClient,
        http::{EXCHANGE_MAX, HttpTransport},
    },
    bucket::Sources,
    clock::Clock,
    domain::{Limit, SourceUrl, State},
    error::{Error, ExitCode},
    events::EventBus,
    ledger::{Identity, KeyChange, Ledger, Restored, RunId, SecondLedger, Snapshot},
    manifest::Manifest,
    pipeline::{self, Context, RunPolicy, Signals},
    quota::Limits,
    report::{self, Summary},
    sandbox::{EMBEDDED_KEY, MockService, Policy},
    settings::credentials,
};

/// The shortest real time to wait for an answer, on any clock: connections are real.
const EXCHANGE_REAL_MIN: Duration = Duration::from_millis(500);

/// The ledger's name in the folder of a rehearsal.
const LEDGER: &str = "rehearsal.db";

/// What to rehearse.
pub struct RehearsalRequest {
    /// How many times as fast time passes.
    pub speed: u32,
    /// The limits that the import keeps.
    pub limits: Limits,
    /// How the import goes.
    pub policy: RunPolicy,
    /// How the mock of the service behaves. Its limits are those of `limits` where `service_rate` and `service_caps` do
    /// not say otherwise.
    pub behaviour: Policy,
    /// What the service really allows.
    pub service_rate: Option<Limit>,
    /// The caps that the service really has.
    pub service_caps: Vec<Limit>,
    /// Where the ledger and the reports are kept. `None`: nowhere.
    pub keep: Option<PathBuf>,
    /// Receives the events of the run.
    pub events: EventBus,
    /// How to stop the run.
    pub signals: Signals,
}

/// What the mock of the service counted.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct ServiceTotals {
    /// How many times as fast time passed.
    pub speed: u32,
    /// Videos that the service accepted.
    pub accepted: u64,
    /// Sources that it accepted more than once.
    pub accepted_twice: u64,
    /// Accepted videos that belong to no item, and cannot belong to one in doubt.
    pub orphans: u64,
    /// Uploads that it refused because of a limit.
    pub refusals: u64,
    /// Reads that it refused because of a limit.
    pub read_refusals: u64,
    /// Uploads with an injected fault.
    pub faults: u64,
}

impl ServiceTotals {
    /// Whether every video was accepted once and belongs to an item.
    #[must_use]
    pub const fn agree(&self) -> bool {
        self.accepted_twice == 0 && self.orphans == 0
    }
}

/// Rehearses an import. `signal` says which signal stopped it, if one did.
pub async fn rehearse(
    request: &RehearsalRequest,
    manifests: Vec<Manifest>,
    signal: impl Fn() -> Option<ExitCode>,
) -> Result<(Summary, ServiceTotals), Error> {
    let scratch;
    let folder = match &request.keep {
        Some(folder) if folder.join(LEDGER).exists() => {
            let cause = format!("{} already contains a rehearsal; name another folder", folder.display());
            return Err(Error::Usage(cause));
        }
        Some(folder) => folder.as_path(),
        None => {
            scratch = tempfile::tempdir().map_err(temporary_folder_error)?;
            scratch.path()
        }
    };
    let clock = Clock::fast(request.speed);
    let mock = Arc::new(MockService::new(service_policy(request), clock.clone()));
    let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    let server = sandbox::start(Arc::clone(&mock), address).await?;
    let ledger = Ledger::open_scratch(folder.join(LEDGER), &identity()?, clock.now())?;
    let name = run_name(clock.now());
    let (run_name, starts_at) = (name.clone(), clock.now());
    let id = ledger.write(move |store| store.begin_run(&run_name, "rehearse", starts_at, None)).await?;
    let rng = fastrand::Rng::with_seed(request.behaviour.seed);
    let limiter = pipeline::restore_usage(&ledger, Some(id), request.limits.clone(), &clock, rng).await?;
    let origin = credentials::origin(&format!("http://{}", server.address()))?;
    let exchange_max = (EXCHANGE_MAX / request.speed).max(EXCHANGE_REAL_MIN);
    let transport = HttpTransport::patient(&origin, &EMBEDDED_KEY.into(), exchange_max)?;
    let context = Context {
        ledger: ledger.clone(),
        api: Arc::new(ApiClient::new(transport)),
        sources: Arc::new(Sources::made_up()),
        limiter: Arc::new(limiter),
        clock: clock.clone(),
        events: request.events.clone(),
        signals: request.signals.clone(),
    };
    let policy = RunPolicy { concurrency: limits::concurrency(&request.limits), ..request.policy.clone() };
    let ended = pipeline::import(context, id, manifests, &policy).await;
    request.events.close();
    let end = end_of_run("import", id, ended?, &request.limits, &clock, signal());
    let snapshot = ledger.snapshot().await?;
    let files = match &request.keep {
        Some(folder) => report::write_tables(&snapshot, id, end.at, &folder.join("reports").join(&name))?,
        None => Vec::new(),
    };
    let mut summary = Summary::of_run(&snapshot, end)?;
    if !files.is_empty() {
        summary.add_files(files)?;
    }
    summary.next_step = Some(next_step(request));
    let totals = totals(request.speed, &mock, &snapshot, id)?;
    end_run(&ledger, id, clock.now(), summary.exit_code, summary.exit_reason.clone()).await?;
    ledger.close().await;
    Ok((summary, totals))
}

/// The mock of the service as it is configured; where nothing is given, its limits are those that the import keeps.
fn service_policy(request: &RehearsalRequest) -> Policy {
    let limits = &request.limits;
    let believed = limits.caps.iter().filter_map(|cap| Limit::per_ms(cap.count()?, cap.period_ms()));
    let caps =
        if request.service_caps.is_empty() { believed.collect() } else { request.service_caps.clone() };
    Policy {
        upload_rate: request.service_rate.or_else(|| limits.upload.first().map(|rate| rate.limit())),
        caps,
        total_rate: limits.total.first().map(|rate| rate.limit()),
        ..request.behaviour.clone()
    }
}

fn identity() -> Result<Identity, Error> {
    Ok(Identity {
        origin: "rehearsal".to_owned(),
        key_digest: [0; 32],
        fresh_secret: credentials::fresh_secret()?,
        key_change: KeyChange::Refused,
        high_water: None,
        registry: None,
        second_ledger: SecondLedger::Refused,
        restored: Restored::Refused,
    })
}

/// What to do after a rehearsal: its files are kept only when asked for, and its flags are those of an import.
fn next_step(request: &RehearsalRequest) -> String {
    let import = "telecine import with the same manifests and limits".to_owned();
    if request.keep.is_some() {
        import
    } else {
        format!("{import}; with --keep DIR a rehearsal keeps its reports")
    }
}

/// The totals of the service, compared with the ledger.
fn totals(speed: u32, mock: &MockService, snapshot: &Snapshot, run: RunId) -> Result<ServiceTotals, Error> {
    let mut open = 0_u64;
    let mut bound = HashSet::new();
    snapshot.each_item_of_run(run, |item| -> Result<(), Error> {
        match item.video_no {
            Some(number) => drop(bound.insert(number)),
            None => {
                open += u64::from(!item.state.is_final() && item.state != State::Pending);
            }
        }
        Ok(())
    })?;
    let videos = mock.videos_ever();
    let mut times: HashMap<String, u64> = HashMap::new();
    for video in &videos {
        // a link to an object differs with every signature
        let source = SourceUrl::parse(&video.url).map(|url| url.without_signature().into_owned());
        *times.entry(source.unwrap_or_else(|_| video.url.clone())).or_default() += 1;
    }
    let unbound = videos.iter().filter(|video| !bound.contains(&video.video_no)).count() as u64;
    let stats = mock.stats();
    Ok(ServiceTotals {
        speed,
        accepted: videos.len() as u64,
        accepted_twice: times.values().filter(|times| **times > 1).count() as u64,
        orphans: unbound.saturating_sub(open),
        refusals: stats.refusals,
        read_refusals: stats.read_refusals,
        faults: stats.faults,
    })
}

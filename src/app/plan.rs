//! What an import would do, cost and take. The real pipeline runs on a copy of the ledger against a mock of the service,
//! in virtual time. Nothing is sent, and the ledger stays as it is.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::Serialize;
use strum::VariantArray as _;

use super::{limits, run_name, temporary_folder_error};
use crate::{
    api::ApiClient,
    clock::Clock,
    domain::{Price, Rate, RowCounts, RunOutcome, State, UnixMillis},
    error::{Error, ExitCode},
    events::{Event, EventBus, EventSink},
    ledger::{Identity, KeyChange, Ledger, Restored, SecondLedger, Snapshot},
    manifest::Manifest,
    pipeline::{self, AcceptedItems, Context, RunPolicy, Signals},
    quota::{Forecast, Limits},
    report::SCHEMA,
    sandbox::{Direct, MockService, Policy},
    settings::credentials,
};

/// Rates in documents of the service. A plan shows each.
const OTHER_RATES: &[&str] = &["1/min", "10/min", "1/s", "10/s"];
/// The mock keeps about this many videos, which is more than a run compares with its ledger at its end.
const VIDEOS_KEPT: usize = 5_000;
/// The time to an answer of the mock, in seconds. Real answers took one to three.
const ANSWER_SECONDS: std::ops::RangeInclusive<u64> = 1..=3;

/// What to plan.
pub struct PlanRequest {
    /// The ledger's file; it need not exist.
    pub ledger: PathBuf,
    /// What the plan rests on.
    pub basis: PlanBasis,
    /// How the run would go.
    pub policy: RunPolicy,
    /// What an upload costs, if that is known.
    pub price: Option<Price>,
}

/// What a plan rests on, beside the manifests and the ledger.
pub struct PlanBasis {
    /// How the manifests are read.
    pub reading: Vec<PlanField>,
    /// Which rows are sent.
    pub rows: Vec<PlanField>,
    /// The limits in force.
    pub limits: Limits,
}

/// A flag that a plan depends on, with its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanField {
    pub name: &'static str,
    pub values: Vec<String>,
}

impl PlanField {
    /// A flag without a value.
    #[must_use]
    pub fn switch(name: &'static str, is_on: bool) -> Self {
        Self { name, values: vec![is_on.to_string()] }
    }
}

/// What an import would come to.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Plan {
    /// The version of this object.
    pub schema: u32,
    /// The id for `import --plan-id`, which sends only if nothing changed since.
    #[serde(rename = "plan_id")]
    pub id: String,
    pub limits: Vec<String>,
    pub rows: RowCounts,
    pub would_send: u64,
    /// Known items of these manifests that would not be sent, by state.
    pub would_skip: BTreeMap<&'static str, u64>,
    pub would_reject: u64,
    pub credits_max: Option<String>,
    #[schemars(extend("format" = "date-time"))]
    pub starts_at: String,
    #[schemars(extend("format" = "date-time"))]
    pub finish_at: String,
    pub seconds: i64,
    /// How the run would end, where it would not send everything.
    pub stops: Option<String>,
    pub waits: Vec<Wait>,
    pub links_expire: u64,
    pub links_expire_first: Vec<String>,
    pub other_rates: Vec<OtherRate>,
    pub exit_code: ExitCode,
}

/// What would be waited for, and how long in all.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Wait {
    pub why: String,
    pub times: u64,
    pub seconds: i64,
}

/// When an import at another rate would end.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct OtherRate {
    pub rate: String,
    #[schemars(extend("format" = "date-time"))]
    pub finish_at: String,
    pub seconds: i64,
}

/// Plans an import.
pub fn plan(request: &PlanRequest, manifests: Vec<Manifest>) -> Result<Plan, Error> {
    let path = &request.ledger;
    let snapshot = if path.exists() { Some(Snapshot::open(path)?) } else { None };
    let plan_id = plan_id(&request.basis, &manifests, snapshot.as_ref())?;
    let scratch = tempfile::tempdir().map_err(temporary_folder_error)?;
    let copy = scratch.path().join("plan.db");
    if let Some(snapshot) = &snapshot {
        snapshot.copy_to(&copy)?;
    }
    drop(snapshot);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| Error::Usage(format!("the async runtime cannot be started: {error}")))?;
    let simulation = runtime.block_on(simulate(request, &copy, manifests))?;
    Ok(build_plan(request, plan_id, simulation))
}

/// A hash of the manifests, how they are read, the ledger and the limits.
fn plan_id(basis: &PlanBasis, manifests: &[Manifest], snapshot: Option<&Snapshot>) -> Result<String, Error> {
    let limits = limit_fields(&basis.limits);
    let mut parts = Vec::new();
    for PlanField { name, values } in basis.reading.iter().chain(&basis.rows).chain(&limits) {
        parts.extend([(*name).to_owned(), values.len().to_string()]);
        parts.extend(values.iter().cloned());
    }
    for manifest in manifests {
        let path = manifest.path();
        let unreadable = |error: std::io::Error| Error::Usage(format!("cannot read {path}: {error}"));
        let digest = manifest.digest().map_err(unreadable)?.ok_or_else(|| {
            Error::Usage(format!(
                "a plan reads a manifest twice, and {path} is not a file; write it to a file first"
            ))
        })?;
        parts.extend([crate::manifest::identity(path), digest.to_hex().to_string()]);
    }
    parts.push(snapshot.map(Snapshot::digest).transpose()?.unwrap_or_default());
    Ok(crate::domain::digest_of(parts))
}

fn limit_fields(limits: &Limits) -> Vec<PlanField> {
    let Limits { upload, caps, list, metadata, total } = limits;
    let rates = [("rate", upload), ("list-rate", list), ("get-rate", metadata), ("total-rate", total)];
    let field = |name, values: Vec<String>| PlanField { name, values };
    let rates = rates.map(|(name, rates)| field(name, rates.iter().map(ToString::to_string).collect()));
    let caps = field("cap", caps.iter().map(ToString::to_string).collect());
    rates.into_iter().chain([caps]).collect()
}

/// Refuses to continue if anything changed since the plan was made.
pub fn check_plan_id(
    plan: &str,
    basis: &PlanBasis,
    manifests: &[Manifest],
    snapshot: Option<&Snapshot>,
) -> Result<(), Error> {
    let found = plan_id(basis, manifests, snapshot)?;
    if found == plan {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "--plan-id {}: a manifest, how it is read, the ledger or a limit has changed since the plan (now {found}); \
         nothing was sent. Run telecine plan again, or omit --plan-id",
        crate::redact::clean(plan)
    )))
}

/// The result of a simulated run.
struct Simulation {
    starts_at: UnixMillis,
    ends_at: UnixMillis,
    outcome: RunOutcome,
    rows: RowCounts,
    sent: u64,
    skipped: BTreeMap<&'static str, u64>,
    collector: EventCollector,
    forecast: Forecast,
}

async fn simulate(request: &PlanRequest, copy: &Path, manifests: Vec<Manifest>) -> Result<Simulation, Error> {
    let limits = &request.basis.limits;
    let policy = RunPolicy {
        concurrency: limits::concurrency(limits),
        // where one quota covers all endpoints, polls take their share of it; elsewhere they change nothing
        accepted: if limits.total.is_empty() { AcceptedItems::Leave } else { AcceptedItems::Poll },
        ..request.policy.clone()
    };
    let real = Clock::real();
    let clock = Clock::of_runtime(real.now());
    let clock = match real.boot() {
        Some((boot, since_ms)) => clock.with_boot(boot, since_ms),
        None => clock,
    };
    let identity = Identity {
        origin: "plan".to_owned(),
        key_digest: [0; 32],
        fresh_secret: credentials::fresh_secret()?,
        key_change: KeyChange::Refused,
        high_water: None,
        registry: None,
        second_ledger: SecondLedger::Refused,
        restored: Restored::Recovering,
    };
    let identity = if copy.exists() { None } else { Some(&identity) };
    let ledger = Ledger::open_scratch(copy, identity, clock.now())?;
    let clock = clock.not_before(ledger.read(Snapshot::latest_timestamp).await?);
    let starts_at = clock.now();
    let name = run_name(starts_at);
    let (plan_name, boot) = (format!("plan {name}"), pipeline::boot_of(&clock));
    let id =
        ledger.write(move |store| store.begin_run(&plan_name, "import", starts_at, boot.as_ref())).await?;
    let limiter =
        pipeline::restore_usage(&ledger, Some(id), limits.clone(), &clock, fastrand::Rng::with_seed(1))
            .await?;
    let forecast = limiter.cap_forecast();
    let mock = MockService::new(service_of(limits), clock.clone());
    let collector = EventCollector::default();
    let context = Context {
        ledger: ledger.clone(),
        api: Arc::new(ApiClient::new(Direct::new(Arc::new(mock), clock.clone(), "plan"))),
        limiter: Arc::new(limiter),
        clock: clock.clone(),
        events: EventBus::new(vec![Box::new(collector.clone())]),
        signals: Signals::default(),
    };
    let outcome = pipeline::import(context, id, manifests, &policy).await?;
    let snapshot = ledger.snapshot().await?;
    let rows = snapshot.run(id)?.rows;
    let (state_counts, own) = (snapshot.state_counts_of_run(id)?, snapshot.state_counts_of_sent(id)?);
    let skipped = State::VARIANTS
        .iter()
        .map(|state| (state.as_str(), state_counts.of(*state).saturating_sub(own.of(*state))))
        .filter(|(_, count)| *count > 0)
        .collect();
    let sent = own.total();
    ledger.close().await;
    Ok(Simulation {
        starts_at,
        ends_at: clock.now(),
        outcome: outcome.outcome,
        rows,
        sent,
        skipped,
        collector,
        forecast,
    })
}

/// A mock that answers as the real service did.
fn service_of(limits: &Limits) -> Policy {
    let seconds = Duration::from_secs;
    let (first, last) = ANSWER_SECONDS.into_inner();
    Policy {
        answer_delay: seconds(first)..=seconds(last),
        index_delay: Duration::ZERO..=Duration::ZERO,
        // videos that are polled must be kept
        videos_kept: limits.total.is_empty().then_some(VIDEOS_KEPT),
        total_rate: limits.total.first().map(|rate| rate.limit()),
        ..Policy::default()
    }
}

/// Collects the events that a plan shows.
#[derive(Clone, Default)]
struct EventCollector(Arc<Mutex<CollectedEvents>>);

#[derive(Clone, Debug, Default)]
struct CollectedEvents {
    waits: BTreeMap<String, (u64, i64)>,
    links_expire: u64,
    links_expire_first: Vec<String>,
}

impl EventSink for EventCollector {
    fn on_event(&self, at: UnixMillis, event: &Event) {
        let mut collected = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Event::Waiting { reason: why, until, .. } = event {
            let wait = collected.waits.entry(why.clone()).or_default();
            wait.0 += 1;
            wait.1 += until.since_ms(at).max(0) / 1000;
        } else if let Event::LinksExpiring { count, first } = event {
            collected.links_expire = *count;
            collected.links_expire_first.clone_from(first);
        }
    }
}

fn build_plan(request: &PlanRequest, plan_id: String, simulation: Simulation) -> Plan {
    let limits = &request.basis.limits;
    let Simulation { starts_at, ends_at, outcome, rows, sent, skipped, collector, forecast } = simulation;
    let collected = collector.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    // as an import would end
    let code = match (rows.read, rows.read - rows.rejected, rows.rejected + collected.links_expire) {
        (0, ..) | (_, _, 0) => ExitCode::Success,
        (_, 0, _) => ExitCode::ManifestInvalid,
        _ => ExitCode::SomeFailed,
    };
    let other_rates = OTHER_RATES
        .iter()
        .filter_map(|text| text.parse::<Rate>().ok())
        .filter(|rate| limits.upload != [*rate] && sent > 0)
        .map(|rate| {
            // the last upload is sent after the others, and is answered
            let last_at = forecast.clone().with_rate(rate).after(sent.saturating_sub(1));
            let finish_at = last_at.plus(Duration::from_secs(*ANSWER_SECONDS.end()));
            OtherRate {
                rate: rate.to_string(),
                finish_at: finish_at.to_string(),
                seconds: finish_at.since_ms(starts_at) / 1000,
            }
        })
        .collect();
    Plan {
        schema: SCHEMA,
        id: plan_id,
        limits: limits.upload_text().split(", ").map(str::to_owned).collect(),
        rows,
        would_send: sent,
        would_skip: skipped,
        would_reject: rows.rejected,
        credits_max: request.price.map(|price| price.of(sent).to_string()),
        starts_at: starts_at.to_string(),
        finish_at: ends_at.to_string(),
        seconds: ends_at.since_ms(starts_at) / 1000,
        stops: stops(&outcome),
        waits: collected
            .waits
            .into_iter()
            .map(|(why, (times, seconds))| Wait { why, times, seconds })
            .collect(),
        links_expire: collected.links_expire,
        links_expire_first: collected.links_expire_first,
        other_rates,
        exit_code: code,
    }
}

/// How a run would end before everything is sent.
fn stops(outcome: &RunOutcome) -> Option<String> {
    match outcome {
        RunOutcome::Settled
        | RunOutcome::NotWaited
        | RunOutcome::WaitOver
        | RunOutcome::RowsMax
        | RunOutcome::TimeUp => None,
        RunOutcome::NothingLeft { .. } => Some("--where left out every row".to_owned()),
        RunOutcome::BudgetSpent => {
            Some("the budget is used, or reserved for uploads without an answer".to_owned())
        }
        RunOutcome::QuotaPaused { why } => Some(why.clone()),
        RunOutcome::TooManyInDoubt { open } => {
            Some(format!("{open} requests have no clear answer: telecine review --all shows them"))
        }
        RunOutcome::AlreadyUploaded { item } => {
            Some(format!("item {item} was sent with another ledger: telecine recover"))
        }
        RunOutcome::DiskLow { .. } => Some("the disk is nearly full".to_owned()),
        RunOutcome::Interrupted => Some("it was stopped".to_owned()),
        RunOutcome::Stopped { cause, .. } | RunOutcome::Offline { cause, .. } => Some(cause.clone()),
    }
}

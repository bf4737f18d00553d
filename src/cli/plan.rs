//! `telecine plan`: what an import would do, cost and take. The real pipeline runs on a copy of the ledger against the
//! modelled service, in virtual time; nothing is sent, and the ledger stays as it is.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use clap::Args;
use serde::Serialize;

use super::{
    args::{LookArgs, ManifestArgs, PriceArgs, RowArgs, Target},
    limits::{self, Asked, ReadLimitArgs, UploadLimitArgs},
    print, print_json, run,
};
use crate::{
    clock::Clock,
    config,
    ending::Ending,
    error::{Error, ExitCode},
    item::{RowCounts, UnixMillis},
    ledger::{Identity, KeyChange, Ledger, Marker, Restored, Snapshot},
    lifecycle::State,
    limit::{Rate, show_span},
    manifest::Manifest,
    monitor::{Listener, Monitor, Notice},
    pipeline::{self, AcceptedItems, Doors, DoubtRules, OnDoubt, RunPolicy, Signals},
    quota::{Forecast, Limits},
    report::{SCHEMA, with_separators},
    sandbox::{Direct, Policy, World},
    service::Service,
};

/// Rates that documents of the service state somewhere: what each would give.
const OTHER_RATES: &[&str] = &["1/min", "10/min", "1/s", "10/s"];
/// The modelled service remembers no more than about so many videos: more than a run compares with its ledger at its end.
const VIDEOS_KEPT: usize = 5_000;
/// How long the modelled service takes to answer, in seconds: clients saw one to three.
const ANSWER_SECONDS: std::ops::RangeInclusive<u64> = 1..=3;

/// Flags of `telecine plan`.
#[derive(Args, Debug)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    manifest: ManifestArgs,
    #[command(flatten)]
    ledger: LookArgs,
    #[command(flatten)]
    limits: UploadLimitArgs,
    #[command(flatten)]
    reads: ReadLimitArgs,
    #[command(flatten)]
    price: PriceArgs,

    #[command(flatten)]
    rows: RowArgs,

    /// One JSON object on stdout.
    #[arg(long, env = "TELECINE_JSON")]
    json: bool,
}

/// What an import would come to.
#[derive(Debug, Serialize)]
struct Plan {
    schema: u32,
    /// Names this plan: `import --plan-id` goes on only if nothing changed since.
    #[serde(rename = "plan_id")]
    id: String,
    limits: Vec<String>,
    rows: RowCounts,
    would_send: u64,
    /// Known items of these manifests that would not be sent, by state.
    would_skip: BTreeMap<&'static str, u64>,
    would_reject: u64,
    credits_max: Option<String>,
    starts_at: String,
    finish_at: String,
    seconds: i64,
    /// How the run would end, where it would not send everything.
    stops: Option<String>,
    waits: Vec<Wait>,
    links_expire: u64,
    links_expire_first: Vec<String>,
    other_rates: Vec<OtherRate>,
    exit_code: u8,
}

/// What would be waited for, and how long in all.
#[derive(Debug, Serialize)]
struct Wait {
    why: String,
    times: u64,
    seconds: i64,
}

#[derive(Debug, Serialize)]
struct OtherRate {
    rate: String,
    finish_at: String,
    seconds: i64,
}

/// Plans an import.
pub(super) fn plan(args: &PlanArgs) -> Result<ExitCode, Error> {
    let path = args.ledger.path();
    let target = if args.ledger.sandbox { Target::Sandbox } else { Target::Service };
    let asked = Asked::new(&args.limits, &args.reads, target);
    let snapshot = if path.exists() { Some(Snapshot::open(&path)?) } else { None };
    let limits = limits_of(&asked, snapshot.as_ref())?;
    let manifests = args.manifest.open()?;
    let plan_id = plan_id((&args.manifest, &args.rows), &manifests, snapshot.as_ref(), &limits)?;
    let scratch = tempfile::tempdir().map_err(scratch_fault)?;
    let copy = scratch.path().join("plan.db");
    if let Some(snapshot) = &snapshot {
        snapshot.copy_to(&copy)?;
    }
    drop(snapshot);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|fault| Error::Usage(format!("the async runtime cannot be started: {fault}")))?;
    let played = runtime.block_on(play(args, &copy, manifests, &limits))?;
    let plan = told(args, plan_id, &limits, played);
    let code = ExitCode::ALL.iter().copied().find(|code| code.number() == plan.exit_code);
    if args.json {
        print_json(&plan)?;
    } else {
        print(&show_plan(&plan))?;
    }
    Ok(code.unwrap_or(ExitCode::Success))
}

#[expect(clippy::needless_pass_by_value, reason = "it is for map_err")]
pub(super) fn scratch_fault(fault: std::io::Error) -> Error {
    Error::Usage(format!("no temporary folder can be made ({fault}); set TMPDIR to one that can be written"))
}

fn limits_of(asked: &Asked, snapshot: Option<&Snapshot>) -> Result<Limits, Error> {
    snapshot.map_or_else(|| asked.over(&limits::Stored::default()), |snapshot| asked.resolve_from(snapshot))
}

/// A name for manifests as they are, read as these flags say, beside a ledger as it is, under these limits.
fn plan_id(
    (args, rows): (&ManifestArgs, &RowArgs),
    manifests: &[Manifest],
    snapshot: Option<&Snapshot>,
    limits: &Limits,
) -> Result<String, Error> {
    let mut parts = vec![args.reading(), format!("{limits:?} {rows:?}")];
    for manifest in manifests {
        let path = manifest.path();
        let unreadable = |fault: std::io::Error| Error::Usage(format!("cannot read {path}: {fault}"));
        let digest = manifest.digest().map_err(unreadable)?.ok_or_else(|| {
            Error::Usage(format!("a plan needs manifests that can be read twice, and {path} is no file"))
        })?;
        parts.extend([crate::manifest::identity(path), digest.to_hex().to_string()]);
    }
    parts.push(snapshot.map(Snapshot::digest).transpose()?.unwrap_or_default());
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    Ok(crate::item::hex(&hasher.finalize().as_bytes()[..8]))
}

/// Goes on only if everything is as it was when the plan was made.
pub(super) fn demand(
    plan: &str,
    told: (&ManifestArgs, &RowArgs),
    manifests: &[Manifest],
    snapshot: Option<&Snapshot>,
    asked: &Asked,
) -> Result<(), Error> {
    let found = plan_id(told, manifests, snapshot, &limits_of(asked, snapshot)?)?;
    if found == plan {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "--plan-id {}: a manifest, how it is read, the ledger or a limit is not what it was then (now {found}); \
         nothing was sent. See the new plan with telecine plan, or leave --plan-id out",
        crate::redact::clean(plan)
    )))
}

/// What a played run came to.
struct Played {
    starts_at: UnixMillis,
    ends_at: UnixMillis,
    ending: Ending,
    rows: RowCounts,
    sent: u64,
    skipped: BTreeMap<&'static str, u64>,
    ear: Ear,
    forecast: Forecast,
}

async fn play(
    args: &PlanArgs,
    copy: &Path,
    manifests: Vec<Manifest>,
    limits: &Limits,
) -> Result<Played, Error> {
    let real = Clock::real();
    let clock = Clock::of_runtime(real.now());
    let clock = match real.boot() {
        Some((boot, since_ms)) => clock.with_boot(boot, since_ms),
        None => clock,
    };
    let identity = Identity {
        origin: "plan".to_owned(),
        key_digest: [0; 32],
        fresh_secret: config::fresh_secret()?,
        key_change: KeyChange::Refused,
        high_water: None,
        restored: Restored::Recovering,
    };
    let identity = if copy.exists() { None } else { Some(&identity) };
    let ledger = Ledger::open_scratch(copy, identity, clock.now())?;
    let clock = clock.not_before(ledger.latest_moment().await?);
    let starts_at = clock.now();
    let name = run::run_name(starts_at);
    let id = ledger.begin_run(format!("plan {name}"), "import", starts_at, pipeline::boot_of(&clock)).await?;
    let porter =
        pipeline::hire(&ledger, Some(id), limits.clone(), &clock, fastrand::Rng::with_seed(1)).await?;
    let forecast = porter.forecast_of_caps();
    let world = World::new(service_of(limits), clock.clone());
    let ear = Ear::default();
    let doors = Doors {
        ledger: ledger.clone(),
        service: Arc::new(Service::new(Direct::new(Arc::new(world), clock.clone(), "plan"))),
        porter: Arc::new(porter),
        clock: clock.clone(),
        monitor: Monitor::new(vec![Box::new(ear.clone())]),
        signals: Signals::default(),
    };
    let outcome = pipeline::import(doors, id, manifests, &policy(args, limits)).await?;
    let snapshot = ledger.snapshot().await?;
    let rows = snapshot.run(id)?.rows;
    let (tally, own) = (snapshot.tally_of_run(id)?, snapshot.tally_of_sent(id)?);
    let skipped = State::ALL
        .iter()
        .map(|state| (state.word(), tally.of(*state).saturating_sub(own.of(*state))))
        .filter(|(_, count)| *count > 0)
        .collect();
    let sent = own.total();
    ledger.close().await;
    Ok(Played { starts_at, ends_at: clock.now(), ending: outcome.ending, rows, sent, skipped, ear, forecast })
}

fn policy(args: &PlanArgs, limits: &Limits) -> RunPolicy {
    RunPolicy {
        quota_wait_max: None,
        concurrency: limits::concurrency(limits),
        marker: if args.manifest.no_marker { Marker::Off } else { Marker::On },
        doubts: DoubtRules { quiet: Duration::from_mins(30), on_doubt: OnDoubt::Hold },
        wait: None,
        time_max: None,
        rows_max: None,
        uploads_max: None,
        disk_free_min: 0,
        reruns: args.rows.reruns(),
        probe_age_max: args.rows.probe_age_max(),
        // where one quota covers all, looks take their share of it; elsewhere they change nothing
        accepted: if limits.total.is_empty() { AcceptedItems::Leave } else { AcceptedItems::Watch },
        namespace: args.manifest.unique_id.clone(),
    }
}

/// A service that answers as the real one was seen to.
fn service_of(limits: &Limits) -> Policy {
    let seconds = Duration::from_secs;
    let (first, last) = ANSWER_SECONDS.into_inner();
    Policy {
        answer_delay: seconds(first)..=seconds(last),
        index_delay: Duration::ZERO..=Duration::ZERO,
        // what is looked at again and again must stay
        videos_kept: limits.total.is_empty().then_some(VIDEOS_KEPT),
        total_rate: limits.total.first().map(|rate| rate.limit()),
        ..Policy::default()
    }
}

/// Hears what a plan is to tell.
#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Heard>>);

#[derive(Clone, Debug, Default)]
struct Heard {
    waits: BTreeMap<String, (u64, i64)>,
    links_expire: u64,
    links_expire_first: Vec<String>,
}

impl Listener for Ear {
    fn hear(&self, at: UnixMillis, notice: &Notice) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Notice::Waiting { why, until, .. } = notice {
            let wait = heard.waits.entry(why.clone()).or_default();
            wait.0 += 1;
            wait.1 += until.since_ms(at).max(0) / 1000;
        } else if let Notice::LinksExpire { count, first } = notice {
            heard.links_expire = *count;
            heard.links_expire_first.clone_from(first);
        }
    }
}

fn told(args: &PlanArgs, plan_id: String, limits: &Limits, played: Played) -> Plan {
    let Played { starts_at, ends_at, ending, rows, sent, skipped, ear, forecast } = played;
    let heard = ear.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let code = match (rows.read, rows.read - rows.rejected, rows.rejected) {
        (0, ..) | (_, _, 0) => ExitCode::Success,
        (_, 0, _) => ExitCode::ManifestInvalid,
        _ => ExitCode::SomeFailed,
    };
    let other_rates = OTHER_RATES
        .iter()
        .filter_map(|text| text.parse::<Rate>().ok())
        .filter(|rate| limits.upload != [*rate] && sent > 0)
        .map(|rate| {
            // the last of them leaves after the others, and is answered
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
        limits: limits.upload_words().split(", ").map(str::to_owned).collect(),
        rows,
        would_send: sent,
        would_skip: skipped,
        would_reject: rows.rejected,
        credits_max: args.price.price().map(|price| price.of(sent).to_string()),
        starts_at: starts_at.to_string(),
        finish_at: ends_at.to_string(),
        seconds: ends_at.since_ms(starts_at) / 1000,
        stops: stops(&ending),
        waits: heard.waits.into_iter().map(|(why, (times, seconds))| Wait { why, times, seconds }).collect(),
        links_expire: heard.links_expire,
        links_expire_first: heard.links_expire_first,
        other_rates,
        exit_code: code.number(),
    }
}

/// How a run would end before everything is sent.
fn stops(ending: &Ending) -> Option<String> {
    match ending {
        Ending::Settled | Ending::NotWaited | Ending::WaitOver | Ending::RowsMax | Ending::TimeUp => None,
        Ending::BudgetSpent => Some("the budget is spent or at stake".to_owned()),
        Ending::QuotaPaused { why } => Some(why.clone()),
        Ending::TooManyDoubts { open } => {
            Some(format!("{open} requests have no clear answer: telecine review --all shows them"))
        }
        Ending::SentElsewhere { item } => {
            Some(format!("item {item} was sent with another ledger: telecine recover"))
        }
        Ending::DiskLow { .. } => Some("the disk is nearly full".to_owned()),
        Ending::Interrupted => Some("it was stopped".to_owned()),
        Ending::Stopped { cause, .. } | Ending::Offline { cause } => Some(cause.clone()),
    }
}

fn show_plan(plan: &Plan) -> String {
    let mut text = String::new();
    let span = |seconds: i64| show_span(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
    let _ = writeln!(text, "\nplan {} · nothing was sent\n", plan.id);
    let _ = writeln!(text, "  {:>9} rows read", with_separators(plan.rows.read));
    let _ = writeln!(text, "  {:>9} would be sent", with_separators(plan.would_send));
    let lines = [(plan.rows.duplicates, "duplicates of another row"), (plan.would_reject, "cannot be sent")];
    for (count, what) in lines.iter().filter(|(count, _)| *count > 0) {
        let _ = writeln!(text, "  {:>9} {what}", with_separators(*count));
    }
    for (state, count) in &plan.would_skip {
        let _ = writeln!(text, "  {:>9} are in the ledger as {state}", with_separators(*count));
    }
    match &plan.credits_max {
        Some(credits) => drop(writeln!(text, "\n  at most {credits} credits")),
        None if plan.would_send > 0 => drop(writeln!(text, "\n  say --price to see what it costs")),
        None => {}
    }
    if plan.would_send > 0 {
        let limits = plan.limits.join(" and ");
        let _ = writeln!(text, "\n  at {limits}: {}, sent by {}", span(plan.seconds), plan.finish_at);
        for other in &plan.other_rates {
            let _ = writeln!(
                text,
                "  at {:<7} {:<12} sent by {}",
                other.rate,
                span(other.seconds),
                other.finish_at
            );
        }
    }
    for wait in &plan.waits {
        let times = if wait.times == 1 { "once".to_owned() } else { format!("{} times", wait.times) };
        let _ = writeln!(text, "\n  waits {times}, {} in all: {}", span(wait.seconds), wait.why);
    }
    if plan.links_expire > 0 {
        let _ = writeln!(
            text,
            "\n  {} links expire before it is their turn: {}",
            with_separators(plan.links_expire),
            plan.links_expire_first.join(", ")
        );
    }
    if let Some(stops) = &plan.stops {
        let _ = writeln!(text, "\n  would stop early: {stops}");
    }
    if plan.would_send > 0 {
        let words = "telecine import with the same manifests and flags, and";
        let _ = writeln!(text, "\n  next: {words} --plan-id {}", plan.id);
    }
    text
}

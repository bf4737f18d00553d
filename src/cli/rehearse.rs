//! `telecine rehearse`: the same engine as an import, over HTTP, against a sandbox in this process whose clock runs fast and
//! which fails as it is told. At the end the service's books are compared with ours.

use std::{
    collections::HashMap,
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::Args;
use serde::Serialize;

use super::{
    args::{ManifestArgs, SettleArgs, Target},
    import,
    limits::{self, Asked, ReadLimitArgs, Stored, UploadLimitArgs},
    plan::scratch_fault,
    print, print_json, run,
    sandbox::{self, MannerArgs},
    show, stop,
};
use crate::{
    clock::Clock,
    config,
    error::{Error, ExitCode},
    ledger::{Identity, KeyChange, Ledger, Marker, Reruns, Restored, RunId},
    limit::{Limit, show_span},
    manifest::Manifest,
    monitor::Monitor,
    pipeline::{self, AcceptedItems, Doors, Outcome, RunPolicy, Signals},
    quota::Limits,
    report::{self, EndOfRun, Summary, with_separators},
    sandbox::World,
    service::{Service, http::Http},
};

/// An answer is not waited for shorter than this, however fast the clock: connections are real.
const EXCHANGE_REAL_MIN: Duration = Duration::from_millis(500);

/// Flags of `telecine rehearse`.
#[derive(Args, Debug)]
pub(super) struct RehearseArgs {
    #[command(flatten)]
    manifest: ManifestArgs,
    #[command(flatten)]
    limits: UploadLimitArgs,
    #[command(flatten)]
    reads: ReadLimitArgs,
    #[command(flatten)]
    settle: SettleArgs,

    /// Let time pass so many times as fast: at 1000 two hours are seven seconds.
    #[arg(long, value_name = "N", env = "TELECINE_SPEED", default_value_t = 1000,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    speed: u32,

    /// What the service really allows, where that is not what we believe.
    #[arg(long, value_name = "N/SPAN", env = "TELECINE_SERVICE_RATE", help_heading = "The modelled service")]
    service_rate: Option<Limit>,

    /// The caps the service really has, where they are not what we believe.
    #[arg(
        long,
        value_name = "N/SPAN",
        env = "TELECINE_SERVICE_CAP",
        value_delimiter = ',',
        help_heading = "The modelled service"
    )]
    service_cap: Vec<Limit>,

    #[command(flatten)]
    manner: MannerArgs,

    /// Keep the rehearsal's ledger and reports in this folder; it must not hold a ledger yet.
    #[arg(long, value_name = "DIR", env = "TELECINE_KEEP")]
    keep: Option<PathBuf>,

    /// One JSON object a line on stdout.
    #[arg(long, env = "TELECINE_JSON")]
    json: bool,

    /// Say nothing but errors and the end.
    #[arg(short, long, env = "TELECINE_QUIET")]
    quiet: bool,
}

/// The service's own books.
#[derive(Clone, Debug, Serialize)]
struct Books {
    /// How many times as fast time passed.
    speed: u32,
    /// Videos the service took.
    taken: u64,
    /// Sources it took more than once.
    doubled: u64,
    /// Videos it took that no item of ours is bound to, or may still be.
    orphans: u64,
    /// Uploads it refused for a limit.
    refusals: u64,
    /// Reads it refused for a limit.
    read_refusals: u64,
    /// Uploads it let go wrong.
    faults: u64,
}

/// Rehearses an import.
pub(super) fn rehearse(args: &RehearseArgs) -> Result<ExitCode, Error> {
    let manifests = args.manifest.open()?;
    let limits = Asked::new(&args.limits, &args.reads, Target::Service).over(&Stored::default())?;
    match &args.keep {
        Some(folder) if folder.join(LEDGER).exists() => {
            Err(Error::Usage(format!("{} holds a rehearsal already; name another folder", folder.display())))
        }
        Some(folder) => run::block_on(play(args, folder, manifests, limits)),
        None => {
            let scratch = tempfile::tempdir().map_err(scratch_fault)?;
            run::block_on(play(args, scratch.path(), manifests, limits))
        }
    }
}

/// The ledger's name in the folder of a rehearsal.
const LEDGER: &str = "rehearsal.db";

async fn play(
    args: &RehearseArgs,
    folder: &Path,
    manifests: Vec<Manifest>,
    limits: Limits,
) -> Result<ExitCode, Error> {
    let clock = Clock::fast(args.speed);
    let world = Arc::new(World::new(service_policy(args, &limits), clock.clone()));
    let server =
        sandbox::start(Arc::clone(&world), SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)).await?;
    let ledger = Ledger::open_scratch(&folder.join(LEDGER), Some(&identity()?), clock.now())?;
    let name = run::run_name(clock.now());
    let id = ledger.begin_run(name.clone(), "rehearse", clock.now(), None).await?;
    let dice = fastrand::Rng::with_seed(args.manner.seed());
    let porter = pipeline::hire(&ledger, Some(id), limits.clone(), &clock, dice).await?;
    let origin = config::origin(&format!("http://{}", server.address()))?;
    let exchange_max = (crate::service::http::EXCHANGE_MAX / args.speed).max(EXCHANGE_REAL_MIN);
    let http = Http::patient(&origin, &run::sandbox_key(), exchange_max)?;
    let doors = Doors {
        ledger: ledger.clone(),
        service: Arc::new(Service::new(http)),
        porter: Arc::new(porter),
        clock: clock.clone(),
        monitor: Monitor::new(show::listeners_for(args.json, args.quiet, args.speed)),
        signals: Signals::default(),
    };
    let monitor = doors.monitor.clone();
    let stopping =
        stop::listen(doors.signals.drain.clone(), monitor.clone(), clock.clone(), stop::WAITING_FOR_ANSWERS)?;
    let outcome = pipeline::import(doors, id, manifests, &policy(args, &limits)?).await;
    monitor.close();
    let end = end_of(outcome?, id, &limits, &clock, stopping.signal());
    let snapshot = ledger.snapshot().await?;
    let files = match &args.keep {
        Some(folder) => report::write_tables(&snapshot, id, &folder.join("reports").join(&name))?,
        None => Vec::new(),
    };
    let mut summary = Summary::of_run(&snapshot, end, files)?;
    summary.next_step = Some(next_step(args));
    let books = books(args.speed, &world, &snapshot, id)?;
    ledger.end_run(id, clock.now(), summary.exit_code, summary.exit_reason.clone()).await?;
    ledger.close().await;
    tell(args, &summary, &books)?;
    if books.doubled > 0 || books.orphans > 0 {
        let what = format!(
            "the service took {} sources twice, and {} videos are nobody's",
            books.doubled, books.orphans
        );
        return Err(Error::Books(what));
    }
    let code = ExitCode::ALL.iter().copied().find(|code| code.number() == summary.exit_code);
    Ok(code.unwrap_or(ExitCode::Unexpected))
}

/// The service as it is told to be; where nothing is said, its limits are those we believe in.
fn service_policy(args: &RehearseArgs, limits: &Limits) -> crate::sandbox::Policy {
    let believed = limits.caps.iter().filter_map(|cap| Limit::per_ms(cap.count()?, cap.span_ms()));
    let caps = if args.service_cap.is_empty() { believed.collect() } else { args.service_cap.clone() };
    let rate = args.service_rate.or_else(|| limits.upload.first().map(|rate| rate.limit()));
    let total_rate = limits.total.first().map(|rate| rate.limit());
    crate::sandbox::Policy { total_rate, ..args.manner.policy(rate, caps) }
}

fn identity() -> Result<Identity, Error> {
    Ok(Identity {
        origin: "rehearsal".to_owned(),
        key_digest: [0; 32],
        fresh_secret: config::fresh_secret()?,
        key_change: KeyChange::Refused,
        high_water: None,
        restored: Restored::Refused,
    })
}

fn policy(args: &RehearseArgs, limits: &Limits) -> Result<RunPolicy, Error> {
    Ok(RunPolicy {
        quota_wait_max: None,
        concurrency: limits::concurrency(limits),
        marker: if args.manifest.no_marker { Marker::Off } else { Marker::On },
        doubts: args.settle.rules()?,
        wait: import::wait(&args.settle),
        time_max: None,
        rows_max: None,
        uploads_max: None,
        disk_free_min: 0,
        reruns: Reruns::default(),
        probe_age_max: None,
        accepted: AcceptedItems::Watch,
        namespace: args.manifest.unique_id.clone(),
    })
}

fn end_of(
    outcome: Outcome,
    run: RunId,
    limits: &Limits,
    clock: &Clock,
    signal: Option<ExitCode>,
) -> EndOfRun {
    EndOfRun {
        command: "import",
        run,
        ending: outcome.ending,
        broken_manifests: outcome
            .broken_manifests
            .into_iter()
            .map(|broken| Error::from(broken).chain())
            .collect(),
        signal,
        at: clock.now(),
        rate: limits.upload.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        caps: limits.caps.iter().map(ToString::to_string).collect(),
        next_upload_at: outcome.next_upload_at,
        price: None,
        parities: outcome.parities,
    }
}

/// A rehearsal's files are kept only when asked for, and its flags are an import's.
fn next_step(args: &RehearseArgs) -> String {
    let import = "telecine import with the same manifests and limits".to_owned();
    if args.keep.is_some() {
        import
    } else {
        format!("{import}; with --keep DIR a rehearsal keeps its reports")
    }
}

/// What the service took, beside what the ledger says it took.
fn books(speed: u32, world: &World, snapshot: &crate::ledger::Snapshot, run: RunId) -> Result<Books, Error> {
    let mut open = 0_u64;
    let mut bound = std::collections::HashSet::new();
    snapshot.each_item_of_run(run, |item| -> Result<(), Error> {
        match item.video_no {
            Some(number) => drop(bound.insert(number)),
            None => {
                open += u64::from(!item.state.is_final() && item.state != crate::lifecycle::State::Pending);
            }
        }
        Ok(())
    })?;
    let videos = world.videos_ever();
    let mut times: HashMap<&str, u64> = HashMap::new();
    for video in &videos {
        *times.entry(&video.url).or_default() += 1;
    }
    let unbound = videos.iter().filter(|video| !bound.contains(&video.video_no)).count() as u64;
    let stats = world.stats();
    Ok(Books {
        speed,
        taken: videos.len() as u64,
        doubled: times.values().filter(|times| **times > 1).count() as u64,
        orphans: unbound.saturating_sub(open),
        refusals: stats.refusals,
        read_refusals: stats.read_refusals,
        faults: stats.faults,
    })
}

fn tell(args: &RehearseArgs, summary: &Summary, books: &Books) -> Result<(), Error> {
    if args.json {
        #[derive(Serialize)]
        struct LastLine<'a> {
            notice: &'static str,
            service_books: &'a Books,
            #[serde(flatten)]
            summary: &'a Summary,
        }
        return print_json(&LastLine { notice: "rehearsal_ended", service_books: books, summary });
    }
    let mut text = report::show_summary(summary);
    let took = show_span(Duration::from_secs_f64((summary.seconds / f64::from(books.speed)).max(0.0)));
    let _ = writeln!(text, "\n  a rehearsal: time passed {} times as fast, so it took {took}", books.speed);
    let balanced = if books.doubled + books.orphans == 0 {
        "each once, and each is an item's: the books balance".to_owned()
    } else {
        format!(
            "{} sources twice, {} videos nobody's: the books do NOT balance",
            books.doubled, books.orphans
        )
    };
    let _ = writeln!(text, "  the service took {} videos, {balanced}", with_separators(books.taken));
    let _ = writeln!(
        text,
        "  it refused {} uploads and {} reads for a limit, and let {} uploads go wrong",
        with_separators(books.refusals),
        with_separators(books.read_refusals),
        with_separators(books.faults)
    );
    print(&text)
}

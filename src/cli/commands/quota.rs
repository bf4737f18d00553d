//! `telecine quota`: shows, sets and forgets the limits of the account, and records the usage of other tools.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    app::{
        RequestedLimits, StoredLimits,
        limits::{GivenLimits, LIMITS},
    },
    cli::{
        args::{
            ReadOnlyLedgerArgs,
            limits::{ReadLimitArgs, UploadLimitArgs, given},
            values::DurationArg,
        },
        block_on,
        output::{CommandEnd, print, print_end},
    },
    clock::Clock,
    domain::{UnixMillis, format_duration},
    error::{Error, ExitCode},
    ledger::{ExternalUsage, Ledger, Snapshot},
    pipeline::{self, LEARNED_LIMITS},
    quota::{LearnedLimits, QuotaStatus, RateLimiter, WindowStatus},
    report::with_separators,
};

/// Flags of `telecine quota`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(in crate::cli) struct QuotaArgs {
    #[command(subcommand)]
    command: Option<QuotaCommand>,

    #[command(flatten)]
    show: ShowArgs,
}

#[derive(Subcommand, Debug)]
enum QuotaCommand {
    /// Keep limits in the ledger. Flags, variables and settings take precedence.
    Set(SetArgs),
    /// Forget the learned limits, or the limits that `quota set` keeps.
    Forget(ForgetArgs),
    /// Record uploads that other tools made with the same account.
    Spend(SpendArgs),
}

#[derive(Args, Debug)]
struct ShowArgs {
    #[command(flatten)]
    ledger: ReadOnlyLedgerArgs,

    #[command(flatten)]
    limits: UploadLimitArgs,

    #[command(flatten)]
    reads: ReadLimitArgs,

    /// Print one JSON object on stdout.
    #[arg(long, env = "TELECINE_JSON", help_heading = "Output")]
    json: bool,
}

#[derive(Args, Debug)]
struct SetArgs {
    #[command(flatten)]
    show: ShowArgs,
}

#[derive(Args, Debug)]
struct ForgetArgs {
    #[command(flatten)]
    ledger: ReadOnlyLedgerArgs,

    /// Forget the limits that `quota set` keeps, not what was learned.
    #[arg(long, env = "TELECINE_FORGET_LIMITS")]
    limits: bool,
}

#[derive(Args, Debug)]
struct SpendArgs {
    /// The number of uploads.
    #[arg(value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    count: u32,

    /// The time of the uploads, such as 2026-01-31T12:00:00Z [default: now].
    #[arg(long, value_name = "TIME", env = "TELECINE_AT", value_parser = timestamp, conflicts_with = "ago")]
    at: Option<UnixMillis>,

    /// How long ago the uploads were made, such as 30m.
    #[arg(long, value_name = "DURATION", env = "TELECINE_AGO")]
    ago: Option<DurationArg>,

    /// A note for the ledger, such as the name of the tool.
    #[arg(long, value_name = "TEXT", env = "TELECINE_NOTE")]
    note: Option<String>,

    #[command(flatten)]
    ledger: ReadOnlyLedgerArgs,
}

/// A time in RFC 3339.
fn timestamp(text: &str) -> Result<UnixMillis, String> {
    text.parse::<jiff::Timestamp>()
        .map(|timestamp| UnixMillis(timestamp.as_millisecond()))
        .map_err(|_| "expected a time such as 2026-01-31T12:00:00Z or 2026-01-31T13:00:00+01:00".to_owned())
}

/// Shows the quota, or changes what is kept of it.
pub(in crate::cli) fn quota(args: &QuotaArgs) -> Result<ExitCode, Error> {
    match &args.command {
        None => show(&args.show),
        Some(QuotaCommand::Set(args)) => set(&args.show),
        Some(QuotaCommand::Forget(args)) => forget(args),
        Some(QuotaCommand::Spend(args)) => spend(args),
    }
}

fn show(args: &ShowArgs) -> Result<ExitCode, Error> {
    let path = args.ledger.path();
    let snapshot = Snapshot::open(&path)?;
    let asked = RequestedLimits::new(given(&args.limits, &args.reads), args.ledger.sandbox);
    let status = status_of(&snapshot, &asked)?;
    let service = snapshot.origin()?;
    if args.json {
        let body = QuotaBody {
            ledger: path,
            service,
            at: status.at.to_string(),
            next_upload_at: status.next_upload_at.to_string(),
            speed_percent: status.speed_percent,
            jitter_ms: status.jitter_ms,
            jitter_samples: status.jitter_samples,
            windows: status.windows.iter().map(WindowBody::from).collect(),
        };
        print_end(&CommandEnd::of(ExitCode::Success), &body)?;
    } else {
        print(&show_quota(&path, &service, &status))?;
    }
    Ok(ExitCode::Success)
}

/// The limits as a run that starts now would see them.
pub(in crate::cli) fn status_of(snapshot: &Snapshot, asked: &RequestedLimits) -> Result<QuotaStatus, Error> {
    let limits = asked.resolve_from(snapshot)?;
    // as runs see it: never before what the ledger remembers
    let clock = Clock::real().not_before(snapshot.latest_timestamp()?);
    let since = clock.now().plus_ms(-limits.period_ms_max() - 3_600_000);
    let (uploads, external_usages) = snapshot.usage_since(since, limits.count_max())?;
    let learned_limits =
        snapshot.kv_get(LEARNED_LIMITS)?.map(|text| LearnedLimits::from_text(&text)).unwrap_or_default();
    let past = pipeline::past_of(&uploads, &external_usages);
    let rng = fastrand::Rng::with_seed(0);
    Ok(RateLimiter::new(clock, limits, &past, learned_limits, rng).status())
}

/// Every limit of an account.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct QuotaBody {
    ledger: PathBuf,
    service: String,
    #[schemars(extend("format" = "date-time"))]
    at: String,
    /// When the limits allow the next upload.
    #[schemars(extend("format" = "date-time"))]
    next_upload_at: String,
    /// The current rate in percent of the configured rate. It is below 100 after refusals.
    speed_percent: i64,
    /// By how many milliseconds the network delay varies.
    jitter_ms: i64,
    /// How many uploads that rests on.
    jitter_samples: u64,
    windows: Vec<WindowBody>,
}

/// One limit.
#[derive(Serialize, JsonSchema)]
struct WindowBody {
    /// `upload`, `list`, `get` or `total`.
    endpoint: &'static str,
    /// Such as `120/2h`.
    limit: String,
    /// What it counts.
    counts: &'static str,
    used: u32,
    /// `null`: the size of the cap is not known.
    free: Option<u32>,
    #[schemars(extend("format" = "date-time"))]
    next_slot_at: Option<String>,
    /// What refusals showed about this limit.
    learned: Option<String>,
}

impl From<&WindowStatus> for WindowBody {
    fn from(window: &WindowStatus) -> Self {
        Self {
            endpoint: window.endpoint,
            limit: window.limit.clone(),
            counts: window.counts,
            used: window.used,
            free: window.free,
            next_slot_at: window.next_slot_at.map(|timestamp| timestamp.to_string()),
            learned: window.learned.clone(),
        }
    }
}

fn show_quota(path: &Path, service: &str, status: &QuotaStatus) -> String {
    let mut text = format!("quota of {} · {service}\n\n", path.display());
    let _ = writeln!(
        text,
        "  {:<8} {:<16} {:<9} {:>9} {:>9}  {:<22} learned",
        "endpoint", "limit", "counts", "used", "free", "next slot"
    );
    for window in &status.windows {
        let free = window.free.map_or_else(|| "?".to_owned(), |free| with_separators(u64::from(free)));
        let next = window.next_slot_at.map_or_else(|| "now".to_owned(), |timestamp| timestamp.to_string());
        let next =
            if window.free == Some(0) || window.next_slot_at.is_some() { next } else { "now".to_owned() };
        let learned = window.learned.clone().unwrap_or_else(|| "-".to_owned());
        let _ = writeln!(
            text,
            "  {:<8} {:<16} {:<9} {:>9} {free:>9}  {next:<22} {learned}",
            window.endpoint,
            window.limit,
            window.counts,
            with_separators(u64::from(window.used)),
        );
    }
    let wait = status.next_upload_at.after_now(status.at);
    let next = if wait.is_zero() {
        "now".to_owned()
    } else {
        format!("{} (in {})", status.next_upload_at, format_duration(wait))
    };
    let _ = writeln!(text, "\n  next upload: {next}");
    if status.speed_percent < 100 {
        let _ =
            writeln!(text, "  the rate is {} % of the configured rate after refusals", status.speed_percent);
    }
    if status.jitter_samples > 0 {
        let _ = writeln!(
            text,
            "  the network delay varies by {} ms (measured on {} uploads)",
            status.jitter_ms,
            with_separators(status.jitter_samples)
        );
    }
    text
}

fn set(args: &ShowArgs) -> Result<ExitCode, Error> {
    let path = args.ledger.path();
    block_on(async {
        let now = Clock::real().now();
        let ledger = Ledger::open_offline(&path, now)?;
        let mut stored =
            StoredLimits::from_text(ledger.read(|snapshot| snapshot.kv_get(LIMITS)).await?.as_deref());
        let given: GivenLimits = given(&args.limits, &args.reads);
        stored.set(&given);
        let mut requested = StoredLimits::default();
        requested.set(&given);
        if requested == StoredLimits::default() {
            ledger.close().await;
            return Err(Error::Usage("quota set needs a limit, such as --rate 1/s --cap 120/2h".to_owned()));
        }
        let text = serde_json::to_string(&stored).map_err(|error| Error::Output(error.into()))?;
        ledger.write(move |store| store.kv_set(LIMITS, Some(&text), now)).await?;
        ledger.close().await;
        Ok(())
    })?;
    show(args)
}

fn forget(args: &ForgetArgs) -> Result<ExitCode, Error> {
    let path = args.ledger.path();
    let (name, what) = if args.limits {
        (LIMITS, "the limits that were set")
    } else {
        (LEARNED_LIMITS, "the learned limits and the measured network delay")
    };
    block_on(async {
        let now = Clock::real().now();
        let ledger = Ledger::open_offline(&path, now)?;
        ledger.write(move |store| store.kv_set(name, None, now)).await?;
        ledger.close().await;
        Ok(())
    })?;
    print(&format!("{} has forgotten {what}\n", path.display()))?;
    Ok(ExitCode::Success)
}

fn spend(args: &SpendArgs) -> Result<ExitCode, Error> {
    let path = args.ledger.path();
    let ago_ms = args.ago.map_or(0, |duration| i64::try_from(duration.0.as_millis()).unwrap_or(i64::MAX));
    let at = block_on(async {
        let ledger = Ledger::open_offline(&path, Clock::real().now())?;
        // as runs see it: never before what the ledger remembers
        let now = Clock::real().not_before(ledger.read(Snapshot::latest_timestamp).await?).now();
        let at = args.at.unwrap_or(now).plus_ms(-ago_ms);
        if at > now {
            let cause = "--at lies in the future; uploads count from when they were made";
            return Err(Error::Usage(cause.to_owned()));
        }
        let note = args.note.as_deref().map(crate::redact::clean);
        let usage = ExternalUsage { endpoint: "upload".to_owned(), at, count: args.count, note };
        ledger.write(move |store| store.record_external_usage(&usage)).await?;
        ledger.close().await;
        Ok(at)
    })?;
    let many = if args.count == 1 { "upload" } else { "uploads" };
    print(&format!(
        "{} counts {} {many} of another tool at {at}\n",
        path.display(),
        with_separators(u64::from(args.count))
    ))?;
    Ok(ExitCode::Success)
}

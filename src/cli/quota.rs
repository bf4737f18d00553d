//! `telecine quota`: every limit of the account as it stands; setting limits, forgetting, and what other tools spent.

use std::{fmt::Write as _, path::Path};

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    args::{LookArgs, Target},
    limits::{Asked, LIMITS, ReadLimitArgs, Stored, UploadLimitArgs},
    print, print_json, run,
    values::Span,
};
use crate::{
    clock::Clock,
    error::{Error, ExitCode},
    item::UnixMillis,
    ledger::{Expense, Ledger, Snapshot},
    limit::show_span,
    pipeline::{self, LESSONS},
    quota::{Lessons, Porter, QuotaStatus, WindowStatus},
    report::{SCHEMA, with_separators},
};

/// Flags of `telecine quota`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct QuotaArgs {
    #[command(subcommand)]
    command: Option<QuotaCommand>,

    #[command(flatten)]
    show: ShowArgs,
}

#[derive(Subcommand, Debug)]
enum QuotaCommand {
    /// Keep limits in the ledger; flags, variables and the configuration go before them.
    Set(SetArgs),
    /// Forget what refusals taught, or the limits that were set.
    Forget(ForgetArgs),
    /// Count uploads that other tools made with the same account.
    Spend(SpendArgs),
}

#[derive(Args, Debug)]
struct ShowArgs {
    #[command(flatten)]
    ledger: LookArgs,

    #[command(flatten)]
    limits: UploadLimitArgs,

    #[command(flatten)]
    reads: ReadLimitArgs,

    /// One JSON object on stdout.
    #[arg(long, env = "TELECINE_JSON")]
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
    ledger: LookArgs,

    /// Forget the limits that `quota set` keeps, not what was learned.
    #[arg(long, env = "TELECINE_FORGET_LIMITS")]
    limits: bool,
}

#[derive(Args, Debug)]
struct SpendArgs {
    /// How many uploads.
    #[arg(value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    count: u32,

    /// When, as 2026-01-31T12:00:00Z [default: now].
    #[arg(long, value_name = "MOMENT", env = "TELECINE_AT", value_parser = moment, conflicts_with = "ago")]
    at: Option<UnixMillis>,

    /// How long ago.
    #[arg(long, value_name = "SPAN", env = "TELECINE_AGO")]
    ago: Option<Span>,

    /// Which tool, for whoever reads the ledger later.
    #[arg(long, value_name = "TEXT", env = "TELECINE_NOTE")]
    note: Option<String>,

    #[command(flatten)]
    ledger: LookArgs,
}

/// A moment as RFC 3339 has it.
fn moment(text: &str) -> Result<UnixMillis, String> {
    text.parse::<jiff::Timestamp>()
        .map(|moment| UnixMillis(moment.as_millisecond()))
        .map_err(|_| "expected a moment such as 2026-01-31T12:00:00Z or 2026-01-31T13:00:00+01:00".to_owned())
}

/// Shows the quota, or changes what is kept of it.
pub(super) fn quota(args: &QuotaArgs) -> Result<ExitCode, Error> {
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
    let asked = Asked::new(&args.limits, &args.reads, target(&args.ledger));
    let status = status_of(&snapshot, &asked)?;
    let service = snapshot.origin()?;
    if args.json {
        let at = status.at.to_string();
        let next_upload_at = status.next_upload_at.to_string();
        let windows: Vec<_> = status.windows.iter().map(window_json).collect();
        print_json(&json!({
            "schema": SCHEMA, "ledger": path, "service": service, "at": at, "next_upload_at": next_upload_at,
            "speed_percent": status.speed_percent, "jitter_ms": status.jitter_ms,
            "jitter_samples": status.jitter_samples, "windows": windows,
        }))?;
    } else {
        print(&show_quota(&path, &service, &status))?;
    }
    Ok(ExitCode::Success)
}

/// What a porter who begins now would know.
pub(super) fn status_of(snapshot: &Snapshot, asked: &Asked) -> Result<QuotaStatus, Error> {
    let limits = asked.resolve_from(snapshot)?;
    // as runs see it: never before what the ledger remembers
    let clock = Clock::real().not_before(snapshot.latest_moment()?);
    let since = clock.now().plus_ms(-limits.span_ms_max() - 3_600_000);
    let (uploads, expenses) = snapshot.past(since, limits.count_max())?;
    let lessons = snapshot.memo(LESSONS)?.map(|text| Lessons::from_text(&text)).unwrap_or_default();
    let past = pipeline::past_of(&uploads, &expenses);
    let dice = fastrand::Rng::with_seed(0);
    Ok(Porter::new(clock, limits, &past, lessons, dice).status())
}

fn window_json(window: &WindowStatus) -> serde_json::Value {
    json!({
        "lane": window.lane, "limit": window.limit, "counts": window.counts, "used": window.used, "free": window.free,
        "next_slot_at": window.next_slot_at.map(|moment| moment.to_string()), "learned": window.learned,
    })
}

fn show_quota(path: &Path, service: &str, status: &QuotaStatus) -> String {
    let mut text = format!("quota of {} · {service}\n\n", path.display());
    let _ = writeln!(
        text,
        "  {:<7} {:<16} {:<9} {:>9} {:>9}  {:<22} learned",
        "lane", "limit", "counts", "used", "free", "next slot"
    );
    for window in &status.windows {
        let free = window.free.map_or_else(|| "?".to_owned(), |free| with_separators(u64::from(free)));
        let next = window.next_slot_at.map_or_else(|| "now".to_owned(), |moment| moment.to_string());
        let next =
            if window.free == Some(0) || window.next_slot_at.is_some() { next } else { "now".to_owned() };
        let learned = window.learned.clone().unwrap_or_else(|| "-".to_owned());
        let _ = writeln!(
            text,
            "  {:<7} {:<16} {:<9} {:>9} {free:>9}  {next:<22} {learned}",
            window.lane,
            window.limit,
            window.counts,
            with_separators(u64::from(window.used)),
        );
    }
    let wait = status.next_upload_at.after_now(status.at);
    let next = if wait.is_zero() {
        "now".to_owned()
    } else {
        format!("{} (in {})", status.next_upload_at, show_span(wait))
    };
    let _ = writeln!(text, "\n  next upload: {next}");
    if status.speed_percent < 100 {
        let _ = writeln!(text, "  going at {} % of the configured rate after refusals", status.speed_percent);
    }
    if status.jitter_samples > 0 {
        let _ = writeln!(
            text,
            "  the way to the service varies by {} ms ({} uploads)",
            status.jitter_ms,
            with_separators(status.jitter_samples)
        );
    }
    text
}

const fn target(args: &LookArgs) -> Target {
    if args.sandbox { Target::Sandbox } else { Target::Service }
}

fn set(args: &ShowArgs) -> Result<ExitCode, Error> {
    let path = args.ledger.path();
    run::block_on(async {
        let now = Clock::real().now();
        let ledger = Ledger::open_offline(&path, now)?;
        let mut stored = Stored::from_text(ledger.memo(LIMITS).await?.as_deref());
        stored.set(&args.limits, &args.reads);
        let mut told = Stored::default();
        told.set(&args.limits, &args.reads);
        if told == Stored::default() {
            ledger.close().await;
            return Err(Error::Usage("quota set needs a limit, such as --rate 1/s --cap 120/2h".to_owned()));
        }
        let text = serde_json::to_string(&stored).map_err(|fault| Error::Output(fault.into()))?;
        ledger.remember(LIMITS, Some(text), now).await?;
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
        (LESSONS, "what refusals taught, and how the way to the service varies")
    };
    run::block_on(async {
        let now = Clock::real().now();
        let ledger = Ledger::open_offline(&path, now)?;
        ledger.remember(name, None, now).await?;
        ledger.close().await;
        Ok(())
    })?;
    print(&format!("{} has forgotten {what}\n", path.display()))?;
    Ok(ExitCode::Success)
}

fn spend(args: &SpendArgs) -> Result<ExitCode, Error> {
    let path = args.ledger.path();
    let ago_ms = args.ago.map_or(0, |span| i64::try_from(span.0.as_millis()).unwrap_or(i64::MAX));
    let at = run::block_on(async {
        let ledger = Ledger::open_offline(&path, Clock::real().now())?;
        // as runs see it: never before what the ledger remembers
        let now = Clock::real().not_before(ledger.latest_moment().await?).now();
        let at = args.at.unwrap_or(now).plus_ms(-ago_ms);
        if at > now {
            let cause = "--at lies in the future; uploads count from when they were made";
            return Err(Error::Usage(cause.to_owned()));
        }
        let note = args.note.as_deref().map(crate::redact::clean);
        ledger.spend_foreign(Expense { lane: "upload".to_owned(), at, count: args.count, note }).await?;
        ledger.close().await;
        Ok(at)
    })?;
    let many = if args.count == 1 { "upload" } else { "uploads" };
    print(&format!("{} counts {} {many} of another tool at {at}\n", path.display(), args.count))?;
    Ok(ExitCode::Success)
}

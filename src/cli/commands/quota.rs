//! `telecine quota`: shows, sets and forgets the limits of the account, and records the usage of other tools.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    app::{
        RequestedLimits, StoredLimits,
        limits::{LIMITS, limiter_of},
        orders::{self, GivenOrder},
        running::{held, running},
    },
    cli::{
        args::{
            ReadOnlyLedgerArgs,
            limits::{ReadLimitArgs, UploadLimitArgs, given},
            values::{self, DurationArg},
        },
        block_on,
        output::{CommandEnd, print, print_end},
    },
    clock::Clock,
    domain::{UnixMillis, format_duration},
    error::{Error, ExitCode},
    ledger::{ExternalUsage, LedgerPlace, Order, Snapshot},
    pipeline::{LEARNED_LIMITS, hold_of},
    quota::{QuotaStatus, WindowStatus},
    redact,
    report::{counted, with_separators},
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
    /// Keep limits in the ledger, until `quota forget --limits`. Flags, variables and settings take precedence.
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
    #[arg(value_name = "COUNT", value_parser = values::whole::<u32>(1..=1_000_000))]
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
        None => show(&args.show, &args.show, None),
        // the settings of files and variables are the defaults of `quota`
        Some(QuotaCommand::Set(set_args)) => set(&set_args.show, &args.show),
        Some(QuotaCommand::Forget(args)) => forget(args),
        Some(QuotaCommand::Spend(args)) => spend(args),
    }
}

/// Shows every limit under these settings, and what is to be said of the order before it.
fn show(args: &ShowArgs, settings: &ShowArgs, note: Option<String>) -> Result<ExitCode, Error> {
    let path = args.ledger.path()?;
    let snapshot = Snapshot::open(&path)?;
    // beside a running import its limits are in force, whatever this command's own settings are
    let running = running(&snapshot, &path)?;
    let asked = running.as_ref().map_or_else(
        || RequestedLimits::new(given(&settings.limits, &settings.reads), args.ledger.sandbox),
        |run| run.limits.clone(),
    );
    let hold = running.as_ref().map(|run| hold_of(&snapshot, run.id)).transpose()?.flatten();
    let status = status_of(&snapshot, &asked)?;
    let status = QuotaStatus { next_upload_at: held(status.next_upload_at, hold.as_ref()), ..status };
    let wait_reason = hold.map(|(_, why)| why);
    let service = snapshot.origin()?;
    if args.json {
        let body = QuotaBody {
            ledger: path,
            service,
            limits_of_run: running.map(|run| run.row.name),
            at: status.at.to_string(),
            next_upload_at: status.next_upload_at.to_string(),
            wait_reason,
            speed_percent: status.speed_percent,
            jitter_ms: status.jitter_ms,
            jitter_samples: status.jitter_samples,
            windows: status.windows.iter().map(WindowBody::from).collect(),
        };
        let end = CommandEnd::of(ExitCode::Success);
        let reason = note.unwrap_or_else(|| end.reason.clone());
        print_end(&CommandEnd { reason, ..end }, &body)?;
    } else {
        let note = note.map(|note| format!("{note}\n\n")).unwrap_or_default();
        let of_run =
            running.map(|run| format!("limits of the running {} ({})\n", run.row.command, run.process));
        let of_run = of_run.unwrap_or_default();
        let hold = wait_reason.map(|why| redact::sentence(&why));
        print(&format!("{note}{of_run}{}", show_quota(&path, &service, &status, hold.as_deref())))?;
    }
    Ok(ExitCode::Success)
}

/// The limits as a run that starts now would see them.
pub(in crate::cli) fn status_of(snapshot: &Snapshot, asked: &RequestedLimits) -> Result<QuotaStatus, Error> {
    Ok(limiter_of(snapshot, asked, &Clock::real())?.status())
}

/// Every limit of an account.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct QuotaBody {
    /// The file of the ledger.
    ledger: LedgerPlace,
    /// The service that the ledger is bound to.
    service: String,
    /// The run whose limits are shown, because it uses the ledger now. `null`: the limits of a run that starts now.
    limits_of_run: Option<String>,
    /// When the quota was computed.
    #[schemars(extend("format" = "date-time"))]
    at: String,
    /// When the limits allow the next upload.
    #[schemars(extend("format" = "date-time"))]
    next_upload_at: String,
    /// Why the running import sends nothing, whatever its limits allow. `null`: nothing but the limits delays uploads.
    wait_reason: Option<String>,
    /// The current rate in percent of the configured rate. It is below 100 after refusals.
    speed_percent: i64,
    /// By how many milliseconds the network delay varies.
    jitter_ms: i64,
    /// How many uploads that rests on.
    jitter_samples: u64,
    /// Each limit with its window.
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
    /// Requests in the window.
    used: u32,
    /// `null`: the size of the cap is not known.
    free: Option<u32>,
    /// When the next request may leave. `null`: now.
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

fn show_quota(path: &LedgerPlace, service: &str, status: &QuotaStatus, hold: Option<&str>) -> String {
    let mut text = format!("quota of {path} · {service}\n\n");
    let _ = writeln!(
        text,
        "  {:<8} {:<16} {:<9} {:>7} {:>7}  next slot",
        "endpoint", "limit", "counts", "used", "free"
    );
    for window in &status.windows {
        let free = window.free.map_or_else(|| "?".to_owned(), |free| with_separators(u64::from(free)));
        let next = window.next_slot_at.map_or_else(|| "now".to_owned(), |timestamp| timestamp.to_string());
        let next =
            if window.free == Some(0) || window.next_slot_at.is_some() { next } else { "now".to_owned() };
        let _ = writeln!(
            text,
            "  {:<8} {:<16} {:<9} {:>7} {free:>7}  {next}",
            window.endpoint,
            window.limit,
            window.counts,
            with_separators(u64::from(window.used)),
        );
        if let Some(learned) = &window.learned {
            let _ = writeln!(text, "           learned: {learned}");
        }
    }
    let wait = status.next_upload_at.after_now(status.at);
    let next = match hold {
        Some(why) => format!("not before this is over: {why}"),
        None if wait.is_zero() => "now".to_owned(),
        None => format!("{} (in {})", status.next_upload_at, format_duration(wait)),
    };
    let _ = writeln!(text, "\n  next upload: {next}");
    if status.speed_percent < 100 {
        let _ =
            writeln!(text, "  the rate is {} % of the configured rate after refusals", status.speed_percent);
    }
    if status.jitter_samples > 0 {
        let _ = writeln!(
            text,
            "  the network delay varies by {} ms (measured on {})",
            status.jitter_ms,
            counted(status.jitter_samples, "upload", "uploads")
        );
    }
    text
}

fn set(args: &ShowArgs, settings: &ShowArgs) -> Result<ExitCode, Error> {
    let path = args.ledger.path_to_change()?;
    let mut requested = StoredLimits::default();
    requested.set(&given(&args.limits, &args.reads));
    if requested == StoredLimits::default() {
        return Err(Error::Usage("quota set needs a limit, such as --rate 1/s --cap 120/2h".to_owned()));
    }
    // limits that cannot be read are not changed
    StoredLimits::from_text(Snapshot::open(&path)?.kv_get(LIMITS)?.as_deref())?;
    let object = serde_json::to_string(&requested).map_err(|error| Error::Output(error.into()))?;
    let order = Order::Merge { name: LIMITS.to_owned(), object };
    let given = block_on(async { orders::give(&path, order).await })?;
    let flags = args.ledger.flags(&path);
    let kept = format!("kept in the ledger; they are taken back with: telecine quota forget --limits{flags}");
    let notes: Vec<String> =
        given.note().into_iter().chain([kept]).chain(overridden(&requested, settings)).collect();
    show(args, settings, Some(notes.join("\n")))
}

/// Says which limits were set in vain, because settings go before what the ledger keeps.
fn overridden(requested: &StoredLimits, settings: &ShowArgs) -> Option<String> {
    let mut own = StoredLimits::default();
    own.set(&given(&settings.limits, &settings.reads));
    let pairs = [
        ("rate", &requested.rate, &own.rate),
        ("cap", &requested.cap, &own.cap),
        ("list-rate", &requested.list_rate, &own.list_rate),
        ("get-rate", &requested.get_rate, &own.get_rate),
        ("total-rate", &requested.total_rate, &own.total_rate),
    ];
    let kept = pairs.into_iter().filter(|(_, new, own)| !new.is_empty() && !own.is_empty() && new != own);
    let kept: Vec<String> = kept.map(|(name, _, own)| format!("{name} {}", own.join(", "))).collect();
    (!kept.is_empty()).then(|| {
        format!("runs that begin here keep {}: settings and variables go before the ledger", kept.join("; "))
    })
}

fn forget(args: &ForgetArgs) -> Result<ExitCode, Error> {
    let path = args.ledger.path_to_change()?;
    let (name, what) = if args.limits {
        (LIMITS, "the limits that were set")
    } else {
        (LEARNED_LIMITS, "the learned limits and the measured network delay")
    };
    let given = block_on(async { orders::give(&path, Order::Forget { name: name.to_owned() }).await })?;
    print(&format!("deleted from {path}: {what}\n"))?;
    print_note(&given)?;
    Ok(ExitCode::Success)
}

fn spend(args: &SpendArgs) -> Result<ExitCode, Error> {
    let path = args.ledger.path_to_change()?;
    let ago_ms = args.ago.map_or(0, |duration| i64::try_from(duration.0.as_millis()).unwrap_or(i64::MAX));
    let snapshot = Snapshot::open(&path)?;
    // as runs see it: never before what the ledger remembers
    let now = Clock::real().not_before(snapshot.latest_timestamp()?).now();
    drop(snapshot);
    let at = args.at.unwrap_or(now).plus_ms(-ago_ms);
    if at > now {
        let cause = "--at is in the future; uploads count from when they were made";
        return Err(Error::Usage(cause.to_owned()));
    }
    let note = args.note.as_deref().map(crate::redact::clean);
    let usage = ExternalUsage { endpoint: "upload".to_owned(), at, count: args.count, note };
    let given = block_on(async { orders::give(&path, Order::Count { usage }).await })?;
    let uploads = counted(u64::from(args.count), "upload", "uploads");
    print(&format!("{path} counts {uploads} of another tool at {at}\n"))?;
    print_note(&given)?;
    Ok(ExitCode::Success)
}

/// Says which other process carries an order out.
fn print_note(given: &GivenOrder) -> Result<(), Error> {
    given.note().map_or(Ok(()), |note| print(&format!("{note}\n")))
}

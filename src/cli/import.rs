//! `telecine import` and `telecine reconcile`.

use clap::Args;

use super::{
    args::{LedgerArgs, ManifestArgs, OutputArgs, PriceArgs, RowArgs, ServiceArgs, SettleArgs},
    check,
    limits::{Asked, UploadLimitArgs},
    plan, run,
    values::{self, Span},
};
use crate::{
    error::{Error, ExitCode},
    ledger::{Marker, Reruns, Snapshot},
    pipeline::{AcceptedItems, RunPolicy},
    price::Credits,
};

/// Flags of `telecine import`.
#[derive(Args, Debug)]
pub(super) struct ImportArgs {
    #[command(flatten)]
    manifest: ManifestArgs,
    #[command(flatten)]
    ledger: LedgerArgs,
    #[command(flatten)]
    service: ServiceArgs,
    #[command(flatten)]
    pace: PaceArgs,
    #[command(flatten)]
    settle: SettleArgs,
    #[command(flatten)]
    budget: BudgetArgs,
    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    rows: RowArgs,

    /// Send only if nothing changed since `telecine plan` printed this: manifests, how they are read, ledger, limits.
    #[arg(long, value_name = "ID", env = "TELECINE_PLAN_ID", conflicts_with = "dry_run")]
    plan_id: Option<String>,

    /// Read everything, compare it with the ledger, and say what would be sent; send and write nothing.
    #[arg(short = 'n', long, env = "TELECINE_DRY_RUN")]
    dry_run: bool,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Pace")]
struct PaceArgs {
    #[command(flatten)]
    limits: UploadLimitArgs,

    /// Uploads on the wire at most [default: as many as leave at the full rate while the slowest answer comes, 8 to 512].
    #[arg(short = 'j', long, value_name = "N", env = "TELECINE_CONCURRENCY",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: Option<u16>,

    /// Stop sending after this long, and exit 10.
    #[arg(long = "for", value_name = "SPAN", env = "TELECINE_FOR")]
    time_max: Option<Span>,

    /// When the quota lets nothing go for longer than this, end with exit 11 and say when to go on (`next_run_at` in --json)
    /// [default with the flag: 5m].
    #[arg(long, value_name = "SPAN", env = "TELECINE_QUOTA_EXIT", num_args = 0..=1, default_missing_value = "5m",
          require_equals = true)]
    quota_exit: Option<Span>,

    /// Send at most this many rows, and exit 8 if some are left.
    #[arg(long, value_name = "N", env = "TELECINE_MAX_ROWS", value_parser = clap::value_parser!(u64).range(1..))]
    max_rows: Option<u64>,
}

#[derive(Args, Debug)]
struct BudgetArgs {
    #[command(flatten)]
    price: PriceArgs,

    /// Never have more uploads than this paid or possibly paid in this ledger, over all runs; exit 8 when reached.
    #[arg(long, value_name = "N", env = "TELECINE_MAX_UPLOADS", help_heading = "Money")]
    max_uploads: Option<u64>,

    /// Never have more credits than this spent or possibly spent in this ledger, over all runs; needs --price.
    #[arg(long, value_name = "CREDITS", env = "TELECINE_MAX_CREDITS", help_heading = "Money")]
    max_credits: Option<Credits>,

    /// Send nothing while the ledger's disk has less than this free.
    #[arg(long, value_name = "SIZE", env = "TELECINE_DISK_RESERVE", default_value = "32MiB",
          value_parser = values::size, help_heading = "Ledger")]
    disk_reserve: u64,
}

impl BudgetArgs {
    /// How many uploads may be paid or at stake.
    fn uploads_max(&self) -> Result<Option<u64>, Error> {
        let Some(budget) = self.max_credits else { return Ok(self.max_uploads) };
        let price = self.price.price().ok_or_else(|| {
            Error::Usage("--max-credits needs to know what an upload costs: say --price".to_owned())
        })?;
        let by_credits = price.uploads_within(budget);
        Ok([by_credits, self.max_uploads].into_iter().flatten().min())
    }
}

/// Flags of `telecine reconcile`.
#[derive(Args, Debug)]
pub(super) struct ReconcileArgs {
    #[command(flatten)]
    ledger: LedgerArgs,
    #[command(flatten)]
    service: ServiceArgs,
    #[command(flatten)]
    settle: SettleArgs,
    #[command(flatten)]
    price: PriceArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Uploads every row of the manifests.
pub(super) fn import(args: &ImportArgs) -> Result<ExitCode, Error> {
    let manifests = args.manifest.open()?;
    let ledger = args.ledger.path(args.service.target());
    let limits = Asked::new(&args.pace.limits, &args.service.reads, args.service.target());
    let snapshot = if ledger.exists() && (args.dry_run || args.plan_id.is_some()) {
        Some(Snapshot::open(&ledger)?)
    } else {
        None
    };
    if args.dry_run {
        let price = args.budget.price.price();
        return check::dry_run(manifests, snapshot.as_ref(), &args.rows, price, &args.output);
    }
    if let Some(plan) = &args.plan_id {
        plan::demand(plan, (&args.manifest, &args.rows), &manifests, snapshot.as_ref(), &limits)?;
    }
    drop(snapshot);
    let policy = RunPolicy {
        quota_wait_max: args.pace.quota_exit.map(|span| span.0),
        concurrency: 1,
        marker: if args.manifest.no_marker { Marker::Off } else { Marker::On },
        doubts: args.settle.rules()?,
        wait: wait(&args.settle),
        uploads_max: args.budget.uploads_max()?,
        disk_free_min: args.budget.disk_reserve,
        time_max: args.pace.time_max.map(|span| span.0),
        rows_max: args.pace.max_rows,
        reruns: args.rows.reruns(),
        probe_age_max: args.rows.probe_age_max(),
        accepted: AcceptedItems::Watch,
        namespace: args.manifest.unique_id.clone(),
    };
    let price = args.budget.price.price();
    let order = run::Order {
        service: &args.service,
        output: &args.output,
        ledger: &ledger,
        limits,
        policy,
        concurrency: args.pace.concurrency.map(usize::from),
        price,
    };
    run::carry_out(&order, run::Work::Import(manifests))
}

/// Settles what is open.
pub(super) fn reconcile(args: &ReconcileArgs) -> Result<ExitCode, Error> {
    let ledger = args.ledger.path(args.service.target());
    // a mistyped path must not make an empty ledger and call it settled
    drop(Snapshot::open(&ledger)?);
    let policy = RunPolicy {
        quota_wait_max: None,
        concurrency: 1,
        marker: Marker::On,
        doubts: args.settle.rules()?,
        wait: wait(&args.settle),
        uploads_max: None,
        disk_free_min: 0,
        time_max: None,
        rows_max: None,
        reruns: Reruns::default(),
        probe_age_max: None,
        accepted: AcceptedItems::Watch,
        namespace: String::new(),
    };
    let price = args.price.price();
    let order = run::Order {
        service: &args.service,
        output: &args.output,
        ledger: &ledger,
        limits: Asked::for_reading(&args.service.reads, args.service.target()),
        policy,
        concurrency: None,
        price,
    };
    run::carry_out(&order, run::Work::Reconcile)
}

pub(super) fn wait(args: &SettleArgs) -> Option<std::time::Duration> {
    /// Long enough for hours of video; the service states no bound.
    const WAIT_DEFAULT: std::time::Duration = std::time::Duration::from_hours(2);
    if args.no_wait { None } else { Some(args.wait.map_or(WAIT_DEFAULT, |span| span.0)) }
}

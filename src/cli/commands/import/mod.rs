//! `telecine import` and `telecine reconcile`.

mod accounts;
mod dry_run;
mod hooks;

pub(in crate::cli) use accounts::AccountsBody;
pub(in crate::cli) use dry_run::DryRunBody;

use clap::Args;
use hooks::RunHooks;

use crate::{
    app::{self, RequestedLimits, RunKind, RunRequest, plan},
    cli::{
        accounts::Accounts,
        args::{
            BudgetArgs, CallbackArgs, CallbackListenArgs, HookArgs, LedgerArgs, LinkArgs, ManifestArgs,
            OutputArgs, PriceArgs, RowArgs, ServiceArgs, SettleArgs, Target,
            limits::{BandwidthArgs, UploadLimitArgs, given},
            values::{self, DurationArg},
        },
        block_on, finish,
        output::{CommandEnd, print, print_end, sinks},
        signals,
    },
    error::{Error, ExitCode},
    events::EventBus,
    ledger::Snapshot,
    pipeline::RunPolicy,
    report::{self, Summary},
};

/// Flags of `telecine import`.
#[derive(Args, Debug)]
pub(in crate::cli) struct ImportArgs {
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

    /// Send nothing while the disk of the ledger has less free space than this.
    #[arg(long, value_name = "SIZE", env = "TELECINE_DISK_RESERVE", default_value = "32MiB",
          value_parser = values::size, help_heading = "Ledger")]
    disk_reserve: u64,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    hooks: HookArgs,

    #[command(flatten)]
    links: LinkArgs,

    #[command(flatten)]
    callbacks: CallbackArgs,

    #[command(flatten)]
    rows: RowArgs,

    /// Send only if nothing changed since `telecine plan` printed this id.
    ///
    /// The id covers the manifests, how they are read, which rows are sent, the ledger and the limits.
    #[arg(
        long,
        help_heading = "Rows",
        value_name = "ID",
        env = "TELECINE_PLAN_ID",
        conflicts_with = "dry_run"
    )]
    plan_id: Option<String>,

    /// For nightly runs: pauses and known bad rows exit 0, and nothing is printed unless you must act.
    ///
    /// The exit codes 8, 10 and 11 become 0: the next run resumes. Exit 4 means that there is a bad row that no
    /// earlier report named, or with another cause. With --json the output is as without this flag.
    #[arg(long, help_heading = "Output", env = "TELECINE_CRON")]
    cron: bool,

    /// Show what would be sent; send and write nothing.
    #[arg(short = 'n', long, help_heading = "Rows", env = "TELECINE_DRY_RUN")]
    dry_run: bool,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Limits")]
struct PaceArgs {
    #[command(flatten)]
    limits: UploadLimitArgs,

    /// The largest number of uploads in flight [default: from the rate, 8 to 512].
    #[arg(short = 'j', long, value_name = "N", env = "TELECINE_CONCURRENCY",
          value_parser = values::whole::<u16>(1..=1024))]
    concurrency: Option<u16>,

    #[command(flatten)]
    bandwidth: BandwidthArgs,

    /// Stop sending after this time and exit 10.
    #[arg(long = "for", value_name = "DURATION", env = "TELECINE_FOR")]
    time_max: Option<DurationArg>,

    /// Exit 11 when the quota allows no upload for longer than this [default with the flag: 5m].
    ///
    /// `next_run_at` in --json says when the next run can send.
    #[arg(long, value_name = "DURATION", env = "TELECINE_QUOTA_EXIT", num_args = 0..=1, default_missing_value = "5m",
          require_equals = true)]
    quota_exit: Option<DurationArg>,
}

/// Flags of `telecine reconcile`.
#[derive(Args, Debug)]
pub(in crate::cli) struct ReconcileArgs {
    #[command(flatten)]
    ledger: LedgerArgs,
    #[command(flatten)]
    service: ServiceArgs,
    #[command(flatten)]
    settle: SettleArgs,
    #[command(flatten)]
    callbacks: CallbackListenArgs,
    #[command(flatten)]
    price: PriceArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Uploads every row of the manifests.
pub(in crate::cli) fn import(args: &ImportArgs, accounts: &Accounts) -> Result<ExitCode, Error> {
    if args.dry_run {
        args.manifest.check_one_account("import --dry-run")?;
        return show_dry_run(args);
    }
    if args.manifest.has_accounts() {
        return accounts::import_accounts(accounts);
    }
    let hooks = RunHooks {
        notification: args.hooks.notification(),
        metrics: args.hooks.metrics(args.budget.price.price()),
        dashboard: args.hooks.dashboard,
    };
    let mut ledger = None;
    let events = sinks::events(&args.shown());
    let ended = prepare(args, events).and_then(|(request, kind)| {
        ledger = Some(request.ledger.clone());
        execute(&request, kind, &args.output, Some(&hooks))
    });
    if !matches!(ended, Err(Error::StoppedAtOnce(_))) {
        block_on(hooks.end(&ended, None, ledger.as_ref()))?;
    }
    Ok(ended?.exit_code)
}

impl ImportArgs {
    /// The output while the run goes on.
    fn shown(&self) -> OutputArgs {
        OutputArgs { quiet: self.output.quiet || self.cron, ..self.output.clone() }
    }
}

fn show_dry_run(args: &ImportArgs) -> Result<ExitCode, Error> {
    let ledger = args.ledger.of_manifests(args.service.target(), &args.manifest.manifests);
    let manifests = args.manifest.open_alone(args.output.json || args.output.quiet)?;
    let snapshot = Snapshot::open_if_there(&ledger)?;
    dry_run::dry_run(manifests, snapshot.as_ref(), &args.rows, args.budget.price.price(), &args.output)
}

/// The run that the flags ask for.
fn prepare(args: &ImportArgs, events: EventBus) -> Result<(RunRequest, RunKind), Error> {
    let output = args.shown();
    let manifests = args.manifest.open(&events)?;
    let limits = given(&args.pace.limits, &args.service.reads);
    let limits = RequestedLimits::new(limits, args.service.target() == Target::Sandbox);
    let (price, budget) = (args.budget.price.price(), args.budget.budget()?);
    let paths = &args.manifest.manifests;
    let request = args.service.request(&args.ledger, paths, &output, events)?;
    if let Some(plan_id) = &args.plan_id {
        let snapshot = Snapshot::open_if_there(&request.ledger)?;
        let basis = plan::PlanBasis {
            reading: args.manifest.plan_fields(),
            rows: args.rows.plan_fields(),
            limits: limits.resolve_for(snapshot.as_ref())?,
            budget,
        };
        plan::check_plan_id(plan_id, &basis, &manifests, snapshot.as_ref())?;
    }
    let policy = RunPolicy {
        bandwidth_max: args.pace.bandwidth.bwlimit,
        quota_wait_max: args.pace.quota_exit.map(|wait| wait.0),
        marker: args.manifest.marker(),
        reconcile: args.settle.rules()?,
        wait: args.settle.wait(),
        uploads_max: budget.uploads_max,
        disk_free_min: args.disk_reserve,
        time_max: args.pace.time_max.map(|time| time.0),
        rows_max: budget.rows_max,
        reruns: args.rows.reruns(),
        probe_age_max: args.rows.probe_age_max(),
        namespace: args.manifest.unique_id.clone(),
        ..RunPolicy::default()
    };
    let callbacks = args.callbacks.request(&request.destination)?;
    let request = RunRequest {
        limits,
        policy,
        callbacks,
        links: args.links.rules(&args.manifest.listed),
        concurrency: args.pace.concurrency.map(usize::from),
        price,
        is_cron: args.cron,
        ..request
    };
    Ok((request, RunKind::Import(manifests)))
}

/// Resolves what is in doubt, and polls.
pub(in crate::cli) fn reconcile(args: &ReconcileArgs) -> Result<ExitCode, Error> {
    let request = args.service.request(&args.ledger, &[], &args.output, sinks::events(&args.output))?;
    // a mistyped path must not make an empty ledger and report that nothing is open
    drop(Snapshot::open(&request.ledger)?);
    let policy =
        RunPolicy { reconcile: args.settle.rules()?, wait: args.settle.wait(), ..RunPolicy::default() };
    let callbacks = args.callbacks.request();
    let request = RunRequest { policy, callbacks, price: args.price.price(), ..request };
    Ok(execute(&request, RunKind::Reconcile, &args.output, None)?.exit_code)
}

fn execute(
    request: &RunRequest,
    kind: RunKind,
    output: &OutputArgs,
    hooks: Option<&RunHooks>,
) -> Result<Summary, Error> {
    let summary = block_on(async {
        let signal = signals::listen_to_end(request)?;
        let running = match hooks {
            Some(hooks) => Some(hooks.begin(Some(request)).await),
            None => None,
        };
        let ended = app::run(request, kind, || signal.signal()).await;
        if matches!(ended, Err(Error::StoppedAtOnce(_))) {
            // what tells others of the run may take seconds
            return ended;
        }
        if let Some(running) = running {
            running.stop().await;
        }
        finish(&request.events).await;
        ended
    })?;
    show_summary(output, &summary, request.is_cron)?;
    Ok(summary)
}

fn show_summary(output: &OutputArgs, summary: &Summary, is_cron: bool) -> Result<(), Error> {
    if output.json {
        return print_end(&CommandEnd::of_run("run_ended", summary), summary);
    }
    if is_hidden(output, summary.exit_code, is_cron) {
        return Ok(());
    }
    print(&report::show_summary(summary))
}

/// Where nobody watches, only what a human must see is printed.
fn is_hidden(output: &OutputArgs, code: ExitCode, is_cron: bool) -> bool {
    (output.quiet || is_cron) && code == ExitCode::Success
}

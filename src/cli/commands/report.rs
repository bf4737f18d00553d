//! `telecine report`: a past run as it is now, as text, JSON or one HTML page.

mod prune;

pub(in crate::cli) use prune::PruneBody;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    app::limits,
    cli::{
        args::{OutputArgs, PriceArgs, ReadOnlyLedgerArgs},
        output::{CommandEnd, print, print_data, print_end, runs::run_of},
    },
    clock::Clock,
    domain::RowCounts,
    error::{Error, ExitCode},
    ledger::{LedgerPlace, Snapshot},
    redact,
    report::{self, Counts, ReportFile, ReportRequest, RunReport, Spend},
};

/// The file name that means stdout.
const STDOUT: &str = "-";

/// Flags of `telecine report`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(in crate::cli) struct ReportArgs {
    #[command(subcommand)]
    command: Option<ReportCommand>,

    /// The run, by its name or the beginning of it [default: the last run].
    ///
    /// `telecine status` names the latest runs. So do the folders of the reports.
    #[arg(value_name = "RUN")]
    run: Option<String>,

    /// Write one HTML page to this file, or to stdout with -. The page needs no other file and no network.
    ///
    /// The page shows the flow of the rows, progress, quota windows, indexing times, reasons, places, dates and credits.
    #[arg(long, value_name = "FILE", env = "TELECINE_HTML", help_heading = "Output")]
    html: Option<PathBuf>,

    #[command(flatten)]
    ledger: ReadOnlyLedgerArgs,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    price: PriceArgs,
}

#[derive(Subcommand, Debug)]
enum ReportCommand {
    /// Remove old reports. The ledger keeps every result.
    Prune(prune::PruneArgs),
}

/// A past run as it is now.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct ReportBody {
    /// The file of the ledger.
    ledger: LedgerPlace,
    /// The service that the ledger is bound to.
    service: String,
    /// The name of the run.
    run: String,
    /// `import`, `reconcile` or `recover`.
    command: String,
    /// When it started.
    #[schemars(extend("format" = "date-time"))]
    started_at: String,
    /// `null`: the run has not ended, or was killed.
    #[schemars(extend("format" = "date-time"))]
    ended_at: Option<String>,
    /// How the run ended. `null`: it has not ended, or was killed.
    run_exit_code: Option<u8>,
    /// The cause of the exit code. `null`: it runs, or was killed.
    run_exit_reason: Option<String>,
    /// Rows of the run's manifests.
    rows: RowCounts,
    /// Items of the run's manifests as they are now; after `reconcile`, of the ledger.
    items: Counts,
    /// Items that a later run has read again. They are not in `items`.
    seen_later: u64,
    /// The upload requests of the run.
    requests: ReportedRequests,
    /// Over all runs of the ledger.
    spend: Spend,
    /// Why videos failed, were rejected or are in doubt: the most frequent causes.
    causes: Vec<ReportedCause>,
    /// Why rows are invalid: the most frequent first faults.
    faults: Vec<ReportedFault>,
    /// The page that was written. `null`: none was asked for.
    html: Option<PathBuf>,
    /// The result files of the run that exist.
    files: Vec<ReportFile>,
}

/// Upload requests of the run.
#[derive(Serialize, JsonSchema)]
struct ReportedRequests {
    /// How many were sent or claimed.
    requests: u64,
    /// Accepted by the service.
    accepted: u64,
    /// Refused for now.
    refused: u64,
    /// No byte left this machine.
    not_sent: u64,
}

/// A cause and its count.
#[derive(Serialize, JsonSchema)]
struct ReportedCause {
    /// The state of the items.
    state: &'static str,
    /// The cause.
    cause: String,
    /// How many items have it.
    items: u64,
}

/// A fault and its count.
#[derive(Serialize, JsonSchema)]
struct ReportedFault {
    /// The column at fault.
    column: String,
    /// What is wrong.
    message: String,
    /// What to do.
    fix: String,
    /// How many rows have it.
    rows: u64,
}

/// Shows a past run, or cares for the reports.
pub(in crate::cli) fn report(args: &ReportArgs) -> Result<ExitCode, Error> {
    match &args.command {
        None => show(args),
        Some(ReportCommand::Prune(args)) => prune::prune_reports(args),
    }
}

fn show(args: &ReportArgs) -> Result<ExitCode, Error> {
    let ledger = args.ledger.path()?;
    let snapshot = Snapshot::open(&ledger)?;
    let run = run_of(&snapshot, args.run.as_deref().unwrap_or("last"))?;
    let name = snapshot.run(run)?.name;
    let request = ReportRequest {
        run,
        at: Clock::real().now(),
        price: args.price.price(),
        folder: args.output.reports(&ledger).join(name),
        limits: limits::of_run(&snapshot, run)?,
    };
    let run_report = RunReport::of(&snapshot, &request)?;
    if let Some(path) = &args.html {
        if path == Path::new(STDOUT) {
            return print_page(&run_report, args.output.json);
        }
        report::write_page(&run_report, path)?;
    }
    if args.output.json {
        print_end(&CommandEnd::of(ExitCode::Success), &body(run_report, ledger, args.html.clone()))?;
    } else if let Some(path) = args.html.as_ref().filter(|_| !args.output.quiet) {
        print(&format!("the report of {} is in {}\n", run_report.run.name, path.display()))?;
    } else if !args.output.quiet {
        print(&report::show_run_report(&run_report))?;
    }
    Ok(ExitCode::Success)
}

/// Prints the page alone.
fn print_page(report: &RunReport, wants_json: bool) -> Result<ExitCode, Error> {
    if wants_json {
        return Err(Error::Usage("--html - and --json both write to stdout; give --html a file".to_owned()));
    }
    print_data(&report::page_text(report, Path::new(".")).map_err(Error::Output)?)?;
    Ok(ExitCode::Success)
}

fn body(report: RunReport, ledger: LedgerPlace, html: Option<PathBuf>) -> ReportBody {
    let requests = ReportedRequests {
        requests: report.requests.attempts,
        accepted: report.requests.accepted,
        refused: report.requests.refused,
        not_sent: report.requests.not_sent,
    };
    let causes = report.causes.into_iter().map(|cause| ReportedCause {
        state: cause.state.as_str(),
        cause: redact::sentence(&cause.cause),
        items: cause.items,
    });
    let faults = report.faults.into_iter().map(|fault| ReportedFault {
        column: fault.column,
        message: fault.message,
        fix: fault.fix,
        rows: fault.rows,
    });
    ReportBody {
        ledger,
        service: report.service,
        rows: report.run.rows,
        run: report.run.name,
        command: report.run.command,
        started_at: report.run.started_at.to_string(),
        ended_at: report.run.ended_at.map(|at| at.to_string()),
        run_exit_code: report.run.exit_code,
        run_exit_reason: report.run.exit_reason,
        items: report.items,
        seen_later: report.seen_later,
        requests,
        spend: report.spend,
        causes: causes.collect(),
        faults: faults.collect(),
        html,
        files: report.files,
    }
}

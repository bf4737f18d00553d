//! `telecine runs`: the runs of the ledger, and one run in detail.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    app::{callbacks::published, running::running},
    cli::{
        args::{ReadOnlyLedgerArgs, values},
        output::{
            CommandEnd, print, print_end,
            runs::{RunBody, end_of, run_of, show_runs, took},
        },
    },
    clock::Clock,
    domain::{CallCounts, RowCounts},
    error::{Error, ExitCode},
    ledger::{LedgerPlace, RunRow, RunUploads, Snapshot},
    report::{Counts, callbacks_line, show_rows, with_separators},
};

/// Flags of `telecine runs`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(in crate::cli) struct RunsArgs {
    #[command(subcommand)]
    command: Option<RunsCommand>,

    #[command(flatten)]
    list: RunListArgs,
}

#[derive(Subcommand, Debug)]
enum RunsCommand {
    /// Show one run: rows, uploads and items.
    Show(RunShowArgs),
}

#[derive(Args, Debug)]
struct RunListArgs {
    /// Show at most N runs, the newest first.
    #[arg(long, value_name = "N", env = "TELECINE_LIMIT", default_value_t = 20,
          value_parser = values::whole::<u32>(1..=u64::MAX))]
    limit: u32,

    #[command(flatten)]
    ledger: ReadOnlyLedgerArgs,

    /// Print one JSON object on stdout.
    #[arg(long, env = "TELECINE_JSON", help_heading = "Output")]
    json: bool,
}

#[derive(Args, Debug)]
struct RunShowArgs {
    /// The name of the run, or `last`.
    #[arg(value_name = "ID")]
    run: String,

    #[command(flatten)]
    ledger: ReadOnlyLedgerArgs,

    /// Print one JSON object on stdout.
    #[arg(long, env = "TELECINE_JSON", help_heading = "Output")]
    json: bool,
}

/// The runs of a ledger.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct RunsBody {
    /// The file of the ledger.
    ledger: LedgerPlace,
    /// The newest first.
    runs: Vec<RunLine>,
}

/// One run, and what became of its uploads.
#[derive(Serialize, JsonSchema)]
struct RunLine {
    #[serde(flatten)]
    run: RunBody,
    /// Whether it runs now.
    is_running: bool,
    /// Requests that the service accepted.
    uploaded: u64,
    /// Of these, searchable by now.
    searchable: u64,
    /// Of these, failed to be indexed.
    failed: u64,
    /// Requests that the service rejected.
    rejected: u64,
}

impl RunLine {
    fn of(run: &RunRow, uploads: RunUploads, is_running: bool) -> Self {
        let RunUploads { uploaded, searchable, failed, rejected } = uploads;
        Self { run: RunBody::from(run), is_running, uploaded, searchable, failed, rejected }
    }
}

/// One run in detail.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct RunDetailBody {
    /// The file of the ledger.
    ledger: LedgerPlace,
    run: RunLine,
    /// The rows that it read.
    rows: RowCounts,
    /// The items of these rows, by their states now.
    items: Counts,
    /// The manifests that it read.
    manifests: Vec<String>,
    /// Calls of the service. `null`: the run received none.
    calls: Option<CallCounts>,
}

/// Shows the runs of the ledger.
pub(in crate::cli) fn runs(args: &RunsArgs) -> Result<ExitCode, Error> {
    match &args.command {
        None => list(&args.list),
        Some(RunsCommand::Show(args)) => show(args),
    }
}

fn list(args: &RunListArgs) -> Result<ExitCode, Error> {
    let path = args.ledger.path()?;
    let snapshot = Snapshot::open(&path)?;
    let now = running(&snapshot, &path)?;
    let mut found = Vec::new();
    for run in snapshot.runs(args.limit)? {
        let id = run_of(&snapshot, &run.name)?;
        found.push((run, snapshot.uploads_of_run(id)?));
    }
    if args.json {
        let is_now = |run: &RunRow| now.as_ref().is_some_and(|now| now.row.name == run.name);
        let runs = found.iter().map(|(run, uploads)| RunLine::of(run, *uploads, is_now(run))).collect();
        print_end(&CommandEnd::of(ExitCode::Success), &RunsBody { ledger: path, runs })?;
    } else {
        let now = now.as_ref().map(|now| (now.row.name.as_str(), now.process.as_str()));
        print(&show_runs(&found, now))?;
    }
    Ok(ExitCode::Success)
}

fn show(args: &RunShowArgs) -> Result<ExitCode, Error> {
    let path = args.ledger.path()?;
    let snapshot = Snapshot::open(&path)?;
    let id = run_of(&snapshot, &args.run)?;
    let (run, uploads) = (snapshot.run(id)?, snapshot.uploads_of_run(id)?);
    let now = running(&snapshot, &path)?.filter(|now| now.id == id);
    let rows = run.rows;
    let items = Counts::from(&snapshot.state_counts_of_run(id)?);
    let manifests: Vec<String> =
        snapshot.manifests_of_run(id)?.into_iter().map(|(_, path, _)| path).collect();
    let calls = published(&snapshot, &run.name)?;
    if args.json {
        let run = RunLine::of(&run, uploads, now.is_some());
        print_end(
            &CommandEnd::of(ExitCode::Success),
            &RunDetailBody { ledger: path, run, rows, items, manifests, calls },
        )?;
        return Ok(ExitCode::Success);
    }
    let mut text = format!("run {} · {}\n", run.name, run.command);
    let time = Clock::real().not_before(snapshot.latest_timestamp()?).now();
    let ended = run.ended_at.map(|at| format!(", ended {at}")).unwrap_or_default();
    let _ = writeln!(text, "  started {}{ended}, took {}", run.started_at, took(&run, time));
    let _ = writeln!(text, "  {}", end_of(&run, now.as_ref().map(|now| now.process.as_str())));
    for manifest in &manifests {
        let _ = writeln!(text, "  read {}", crate::redact::clean(manifest));
    }
    let numbers = [
        (items.total, ["item of these rows", "items of these rows"]),
        (uploads.uploaded, ["uploaded in this run"; 2]),
        (uploads.searchable, ["of these searchable now"; 2]),
        (uploads.failed, ["of these failed (not indexed)"; 2]),
        (uploads.rejected, ["rejected by the service in this run"; 2]),
    ];
    if !manifests.is_empty() {
        text.push_str(&show_rows(&rows));
    }
    let _ = writeln!(text);
    for (count, [one, many]) in numbers.iter().filter(|(count, _)| *count > 0) {
        let what = if *count == 1 { one } else { many };
        let _ = writeln!(text, "  {:>9} {what}", with_separators(*count));
    }
    if let Some(counts) = &calls {
        let _ = writeln!(text, "\n  {}", callbacks_line(counts));
    }
    let _ = writeln!(text, "\n  its items: telecine list --run {}{}", run.name, args.ledger.flags(&path));
    print(&text)?;
    Ok(ExitCode::Success)
}

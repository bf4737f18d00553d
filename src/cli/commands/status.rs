//! `telecine status`: what the ledger holds, at any time.

use std::path::PathBuf;

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    cli::{
        args::{PriceArgs, ReadOnlyLedgerArgs},
        output::{CommandEnd, print, print_end},
    },
    error::{Error, ExitCode},
    ledger::{RunRow, Snapshot},
    report::{self, Counts, Spend},
};

/// Runs shown.
const RUNS_SHOWN: u32 = 5;

/// Flags of `telecine status`.
#[derive(Args, Debug)]
pub(in crate::cli) struct StatusArgs {
    #[command(flatten)]
    ledger: ReadOnlyLedgerArgs,

    /// Print one JSON object on stdout.
    #[arg(long, env = "TELECINE_JSON", help_heading = "Output")]
    json: bool,

    #[command(flatten)]
    price: PriceArgs,
}

/// What the ledger holds.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct StatusBody {
    ledger: PathBuf,
    service: String,
    items: Counts,
    spend: Spend,
    /// When the next poll for indexing is due. `null`: nothing is being indexed.
    #[schemars(extend("format" = "date-time"))]
    next_poll_at: Option<String>,
    /// The latest runs, the newest first.
    runs: Vec<RunBody>,
}

/// One run.
#[derive(Serialize, JsonSchema)]
struct RunBody {
    run: String,
    command: String,
    #[schemars(extend("format" = "date-time"))]
    started_at: String,
    /// `null`: the run has not ended, or was killed.
    #[schemars(extend("format" = "date-time"))]
    ended_at: Option<String>,
    exit_code: Option<u8>,
    exit_reason: Option<String>,
}

impl From<RunRow> for RunBody {
    fn from(run: RunRow) -> Self {
        Self {
            run: run.name,
            command: run.command,
            started_at: run.started_at.to_string(),
            ended_at: run.ended_at.map(|timestamp| timestamp.to_string()),
            exit_code: run.exit_code,
            exit_reason: run.exit_reason,
        }
    }
}

/// Shows what the ledger holds.
pub(in crate::cli) fn status(args: &StatusArgs) -> Result<ExitCode, Error> {
    let path = args.ledger.path()?;
    let snapshot = Snapshot::open(&path)?;
    let items = Counts::from(&snapshot.state_counts()?);
    let spend = Spend::of(&snapshot, &items, args.price.price())?;
    let runs = snapshot.runs(RUNS_SHOWN)?;
    let service = snapshot.origin()?;
    if args.json {
        let next_poll_at = snapshot.next_poll_at()?.map(|timestamp| timestamp.to_string());
        let runs = runs.into_iter().map(RunBody::from).collect();
        let body = StatusBody { ledger: path, service, items, spend, next_poll_at, runs };
        print_end(&CommandEnd::of(ExitCode::Success), &body)?;
    } else {
        print(&report::show_status(&path.display().to_string(), &service, &items, &spend, &runs))?;
    }
    Ok(ExitCode::Success)
}

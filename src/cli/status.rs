//! `telecine status`: what the ledger holds, at any time.

use clap::Args;

use super::{
    args::{LookArgs, PriceArgs},
    print, print_json,
};
use crate::{
    error::{Error, ExitCode},
    ledger::Snapshot,
    report::{self, Counts, SCHEMA, Spend},
};

/// Runs shown.
const RUNS_SHOWN: u32 = 5;

/// Flags of `telecine status`.
#[derive(Args, Debug)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    ledger: LookArgs,

    /// One JSON object on stdout.
    #[arg(long, env = "TELECINE_JSON")]
    json: bool,

    #[command(flatten)]
    price: PriceArgs,
}

/// Shows what the ledger holds.
pub(super) fn status(args: &StatusArgs) -> Result<ExitCode, Error> {
    let path = args.ledger.path();
    let snapshot = Snapshot::open(&path)?;
    let items = Counts::from(&snapshot.tally()?);
    let spend = Spend::of(&snapshot, &items, args.price.price())?;
    let runs = snapshot.runs(RUNS_SHOWN)?;
    let service = snapshot.origin()?;
    if args.json {
        let runs: Vec<_> = runs
            .iter()
            .map(|run| {
                serde_json::json!({
                    "run": run.name, "command": run.command, "started_at": run.started_at.to_string(),
                    "ended_at": run.ended_at.map(|moment| moment.to_string()), "exit_code": run.exit_code,
                    "exit_reason": run.exit_reason,
                })
            })
            .collect();
        let next_look_at = snapshot.next_look_at()?.map(|moment| moment.to_string());
        print_json(&serde_json::json!({
            "schema": SCHEMA, "ledger": path, "service": service, "items": items, "spend": spend,
            "next_look_at": next_look_at, "runs": runs,
        }))?;
    } else {
        print(&report::show_status(&path.display().to_string(), &service, &items, &spend, &runs))?;
    }
    Ok(ExitCode::Success)
}

//! `telecine status`: what the ledger holds, at any time.

use clap::Args;

use crate::{
    cli::{
        args::{PriceArgs, ReadOnlyLedgerArgs},
        output::{print, print_json},
    },
    error::{Error, ExitCode},
    ledger::Snapshot,
    report::{self, Counts, SCHEMA, Spend},
};

/// Runs shown.
const RUNS_SHOWN: u32 = 5;

/// Flags of `telecine status`.
#[derive(Args, Debug)]
pub(in crate::cli) struct StatusArgs {
    #[command(flatten)]
    ledger: ReadOnlyLedgerArgs,

    /// One JSON object on stdout.
    #[arg(long, env = "TELECINE_JSON")]
    json: bool,

    #[command(flatten)]
    price: PriceArgs,
}

/// Shows what the ledger holds.
pub(in crate::cli) fn status(args: &StatusArgs) -> Result<ExitCode, Error> {
    let path = args.ledger.path();
    let snapshot = Snapshot::open(&path)?;
    let items = Counts::from(&snapshot.state_counts()?);
    let spend = Spend::of(&snapshot, &items, args.price.price())?;
    let runs = snapshot.runs(RUNS_SHOWN)?;
    let service = snapshot.origin()?;
    if args.json {
        let runs: Vec<_> = runs
            .iter()
            .map(|run| {
                serde_json::json!({
                    "run": run.name, "command": run.command, "started_at": run.started_at.to_string(),
                    "ended_at": run.ended_at.map(|timestamp| timestamp.to_string()), "exit_code": run.exit_code,
                    "exit_reason": run.exit_reason,
                })
            })
            .collect();
        let next_poll_at = snapshot.next_poll_at()?.map(|timestamp| timestamp.to_string());
        print_json(&serde_json::json!({
            "schema": SCHEMA, "ledger": path, "service": service, "items": items, "spend": spend,
            "next_look_at": next_poll_at, "runs": runs,
        }))?;
    } else {
        print(&report::show_status(&path.display().to_string(), &service, &items, &spend, &runs))?;
    }
    Ok(ExitCode::Success)
}

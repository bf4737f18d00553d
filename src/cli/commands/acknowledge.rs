//! `telecine acknowledge`: marks bad rows as known.

use clap::{Args, ValueEnum};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    app::orders,
    cli::{
        args::ReadOnlyLedgerArgs,
        block_on,
        output::{CommandEnd, print, print_end},
        who,
    },
    error::{Error, ExitCode},
    ledger::{Acknowledgement, Order, OrderResult},
    redact,
    report::with_separators,
};

/// Flags of `telecine acknowledge`.
#[derive(Args, Debug)]
pub(in crate::cli) struct AcknowledgeArgs {
    #[command(flatten)]
    selection: SelectionArgs,

    /// The reason, which is kept in the ledger.
    #[arg(long, value_name = "TEXT", env = "TELECINE_WHY", default_value = "no reason given")]
    why: String,

    #[command(flatten)]
    ledger: ReadOnlyLedgerArgs,

    /// Print one JSON object on stdout.
    #[arg(long, env = "TELECINE_JSON", help_heading = "Output")]
    json: bool,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
struct SelectionArgs {
    /// The rows of this state.
    #[arg(long, value_enum, env = "TELECINE_STATE")]
    state: Option<BadRowState>,

    /// The rows whose error contains this text.
    #[arg(long, value_name = "TEXT", env = "TELECINE_REASON")]
    reason: Option<String>,

    /// Every bad row that a report has named.
    #[arg(long, env = "TELECINE_ALL", conflicts_with_all = ["state", "reason"])]
    all: bool,
}

/// The states of bad rows.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum BadRowState {
    /// The row cannot be sent.
    Invalid,
    /// The service rejected it.
    Rejected,
    /// The video could not be indexed.
    Failed,
    /// Given up by your decision.
    Abandoned,
}

/// What was marked.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct AcknowledgeBody {
    /// Rows that are acknowledged now and were not before. `null`: a running import marks them later.
    acknowledged: Option<u64>,
    /// Which process marks them, if it is not this one.
    note: Option<String>,
}

/// Marks the rows that were reported.
pub(in crate::cli) fn acknowledge(args: &AcknowledgeArgs) -> Result<ExitCode, Error> {
    let path = args.ledger.path_to_change()?;
    let state = args.selection.state.and_then(|state| state.to_possible_value());
    let given = Acknowledgement {
        state: state.map(|state| state.get_name().to_owned()),
        reason: args.selection.reason.clone(),
        who: who(),
        why: redact::clean(&args.why),
    };
    let given = block_on(orders::give(&path, Order::Acknowledge { given }))?;
    let acknowledged = match &given.result {
        Some(OrderResult::Acknowledged { rows }) => Some(*rows),
        Some(OrderResult::Done | OrderResult::Answered { .. } | OrderResult::Refused { .. }) | None => None,
    };
    let note = given.note();
    if args.json {
        print_end(&CommandEnd::of(ExitCode::Success), &AcknowledgeBody { acknowledged, note })?;
        return Ok(ExitCode::Success);
    }
    let note = note.map(|note| format!("{note}\n")).unwrap_or_default();
    let text = match acknowledged {
        Some(0) => "no matching row, or all matching rows are acknowledged already\n".to_owned(),
        Some(1) => "1 row is acknowledged: it fails no later run while it stays as it is\n".to_owned(),
        Some(rows) => {
            format!(
                "{} rows are acknowledged: they fail no later run while they stay as they are\n",
                with_separators(rows)
            )
        }
        None => String::new(),
    };
    print(&format!("{note}{text}"))?;
    Ok(ExitCode::Success)
}

//! `telecine report`: care for the reports of past runs.

mod prune;

pub(in crate::cli) use prune::PruneBody;

use clap::{Args, Subcommand};

use crate::error::{Error, ExitCode};

/// Flags of `telecine report`.
#[derive(Args, Debug)]
pub(in crate::cli) struct ReportArgs {
    #[command(subcommand)]
    command: ReportCommand,
}

#[derive(Subcommand, Debug)]
enum ReportCommand {
    /// Remove old reports. The ledger keeps every result.
    Prune(prune::PruneArgs),
}

/// Cares for the reports.
pub(in crate::cli) fn report(args: &ReportArgs) -> Result<ExitCode, Error> {
    match &args.command {
        ReportCommand::Prune(args) => prune::prune_reports(args),
    }
}

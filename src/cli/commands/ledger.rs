//! `telecine ledger`: care for the ledger's file.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    cli::{
        args::ReadOnlyLedgerArgs,
        output::{CommandEnd, print, print_end},
    },
    error::{Error, ExitCode},
    ledger::{LedgerPlace, Snapshot},
};

/// Flags of `telecine ledger`.
#[derive(Args, Debug)]
pub(in crate::cli) struct LedgerCommandArgs {
    #[command(subcommand)]
    command: LedgerCommand,
}

#[derive(Subcommand, Debug)]
enum LedgerCommand {
    /// Write a consistent copy, also while an import runs. Never copy the file itself.
    Backup(BackupArgs),
    /// Check the file, the totals and the event log; exit 2 if something is wrong.
    Check(LedgerCheckArgs),
}

#[derive(Args, Debug)]
struct BackupArgs {
    /// The file to write. It must not exist.
    #[arg(value_name = "FILE")]
    to: PathBuf,

    #[command(flatten)]
    ledger: ReadOnlyLedgerArgs,
}

#[derive(Args, Debug)]
struct LedgerCheckArgs {
    #[command(flatten)]
    ledger: ReadOnlyLedgerArgs,

    /// Print one JSON object on stdout.
    #[arg(long, env = "TELECINE_JSON", help_heading = "Output")]
    json: bool,
}

/// Cares for the ledger's file.
pub(in crate::cli) fn ledger(args: &LedgerCommandArgs) -> Result<ExitCode, Error> {
    match &args.command {
        LedgerCommand::Backup(args) => {
            let path = args.ledger.path()?;
            Snapshot::open(&path)?.copy_to(&args.to)?;
            print(&format!(
                "{} holds a copy of {}\nA copy does not know what is sent after it was made. Run `telecine recover` before you import \
                 with it.\n",
                args.to.display(),
                path
            ))?;
            Ok(ExitCode::Success)
        }
        LedgerCommand::Check(args) => check(args),
    }
}

/// What is wrong with the ledger.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct LedgerCheckBody {
    ledger: LedgerPlace,
    /// One sentence per problem.
    problems: Vec<String>,
}

fn check(args: &LedgerCheckArgs) -> Result<ExitCode, Error> {
    let path = args.ledger.path()?;
    let problems = Snapshot::open(&path)?.problems()?;
    let code = if problems.is_empty() { ExitCode::Success } else { ExitCode::Usage };
    if args.json {
        print_end(&CommandEnd::of(code), &LedgerCheckBody { ledger: path, problems })?;
        return Ok(code);
    }
    let shown = path;
    if problems.is_empty() {
        print(&format!("{shown} is correct: the file, the totals and the event log\n"))?;
    } else {
        let list: Vec<String> = problems.iter().map(|problem| format!("  {problem}\n")).collect();
        let next = "keep the file, restore a backup, and bring it up to date with `telecine recover`";
        print(&format!("{shown} is not correct:\n{}  next: {next}\n", list.concat()))?;
    }
    Ok(code)
}

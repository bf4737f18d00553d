//! `telecine ledger`: care for the ledger's file.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    cli::{
        args::ReadOnlyLedgerArgs,
        output::{print, print_json},
    },
    error::{Error, ExitCode},
    ledger::Snapshot,
    report::SCHEMA,
};

/// Flags of `telecine ledger`.
#[derive(Args, Debug)]
pub(in crate::cli) struct LedgerCommandArgs {
    #[command(subcommand)]
    command: LedgerCommand,
}

#[derive(Subcommand, Debug)]
enum LedgerCommand {
    /// Write a copy, whole as of now, also while an import runs. Never copy the file itself.
    Backup(BackupArgs),
    /// Check the file, the books and the event log from end to end; exit 2 when something is wrong.
    Check(LedgerCheckArgs),
}

#[derive(Args, Debug)]
struct BackupArgs {
    /// Where to write it; must not be there yet.
    #[arg(value_name = "FILE")]
    to: PathBuf,

    #[command(flatten)]
    ledger: ReadOnlyLedgerArgs,
}

#[derive(Args, Debug)]
struct LedgerCheckArgs {
    #[command(flatten)]
    ledger: ReadOnlyLedgerArgs,

    /// One JSON object on stdout.
    #[arg(long, env = "TELECINE_JSON")]
    json: bool,
}

/// Cares for the ledger's file.
pub(in crate::cli) fn ledger(args: &LedgerCommandArgs) -> Result<ExitCode, Error> {
    match &args.command {
        LedgerCommand::Backup(args) => {
            let path = args.ledger.path();
            Snapshot::open(&path)?.copy_to(&args.to)?;
            print(&format!(
                "{} holds a copy of {}\nA copy does not know what is sent from now on: bring it up to date with \
                 `telecine recover` before you import with it.\n",
                args.to.display(),
                path.display()
            ))?;
            Ok(ExitCode::Success)
        }
        LedgerCommand::Check(args) => check(args),
    }
}

fn check(args: &LedgerCheckArgs) -> Result<ExitCode, Error> {
    let path = args.ledger.path();
    let problems = Snapshot::open(&path)?.problems()?;
    let code = if problems.is_empty() { ExitCode::Success } else { ExitCode::Usage };
    if args.json {
        print_json(
            &json!({ "schema": SCHEMA, "ledger": path, "problems": problems, "exit_code": code.number() }),
        )?;
        return Ok(code);
    }
    let shown = path.display();
    if problems.is_empty() {
        print(&format!("{shown} is sound: the file, the books and the event log\n"))?;
    } else {
        let list: Vec<String> = problems.iter().map(|problem| format!("  {problem}\n")).collect();
        let next = "keep the file, put back a backup, and bring it up to date with `telecine recover`";
        print(&format!("{shown} is not sound:\n{}  next: {next}\n", list.concat()))?;
    }
    Ok(code)
}

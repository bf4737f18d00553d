//! `telecine ledger`: care for the ledger.

use std::{collections::BTreeMap, path::PathBuf};

use clap::{Args, Subcommand};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    cli::{
        args::{self, ReadOnlyLedgerArgs},
        output::{CommandEnd, print, print_end, progress::Working},
    },
    clock::Clock,
    error::{Error, ExitCode},
    ledger::{LedgerInUse, LedgerPlace, Snapshot, copy_ledger, follow_ledger},
    report::{counted, shell_word},
    settings::credentials,
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
    /// Copy a ledger between files and databases. It is read back and compared.
    ///
    /// No process may use FROM meanwhile. TO must be new or empty. All rows keep their numbers. Without --move FROM stays in
    /// use, and the copy refuses to send. With --move the account goes on with the copy, and FROM refuses to be written.
    Copy(CopyArgs),
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
struct CopyArgs {
    /// The ledger to copy: a file, or the address of a database, `postgres://user@host/database?schema=NAME`.
    #[arg(value_name = "FROM", value_parser = args::place())]
    from: LedgerPlace,

    /// Where the copy is made: a file, or a schema of a database. It must be new or empty.
    #[arg(value_name = "TO", value_parser = args::place())]
    to: LedgerPlace,

    /// Go on with the copy. FROM names it from now on, and refuses to be written.
    #[arg(long = "move")]
    is_move: bool,

    /// Print one JSON object on stdout.
    #[arg(long, env = "TELECINE_JSON", help_heading = "Output")]
    json: bool,
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
        LedgerCommand::Copy(args) => copy(args),
        LedgerCommand::Check(args) => check(args),
    }
}

/// A copy that was made.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct LedgerCopyBody {
    from: LedgerPlace,
    to: LedgerPlace,
    /// Whether the account goes on with the copy.
    moved: bool,
    /// The rows of each table.
    rows: BTreeMap<&'static str, u64>,
    /// A digest of all rows; that of an equal ledger is the same.
    digest: String,
}

fn copy(args: &CopyArgs) -> Result<ExitCode, Error> {
    let in_use = if args.is_move { LedgerInUse::Copy } else { LedgerInUse::Source };
    let working =
        Working::on("copying the ledger, then reading the copy back; no process can use either meanwhile");
    let copied = copy_ledger(&args.from, &args.to, in_use, Clock::real().now());
    drop(working);
    let copied = copied?;
    if args.is_move
        && let Some(folder) = credentials::registry_folder(|name| std::env::var_os(name))
        && let Err(error) = follow_ledger(&folder, &copied.from, &copied.to)
    {
        // the next import with the copy registers it
        tracing::warn!(%error, "the registry of ledgers could not be written");
    }
    if args.json {
        let body = LedgerCopyBody {
            from: copied.from,
            to: copied.to,
            moved: args.is_move,
            rows: copied.rows.into_iter().collect(),
            digest: copied.digest,
        };
        print_end(&CommandEnd::of(ExitCode::Success), &body)?;
        return Ok(ExitCode::Success);
    }
    let (from, to) = (&copied.from, &copied.to);
    let rows = counted(copied.rows.iter().map(|(_, rows)| rows).sum(), "row", "rows");
    let next = if args.is_move {
        format!(
            "Use the copy from now on: --ledger {}. {from} refuses to be written.",
            shell_word(&to.to_string())
        )
    } else {
        format!(
            "{from} stays in use. The copy refuses to send, because it does not know what is sent from now on."
        )
    };
    let digest = &copied.digest;
    print(&format!("{to} holds a copy of {from}: {rows}, read back and equal (digest {digest})\n{next}\n"))?;
    Ok(ExitCode::Success)
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

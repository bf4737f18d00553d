//! The bell: the only place that knows clap, prints, and builds a runtime. One file per command.

mod args;
mod commands;
mod output;
mod signals;

use std::{
    ffi::OsString,
    io::{self, Write as _},
    path::PathBuf,
};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use args::values;
use commands::{
    check, config, guess, import, ledger, plan, preview, quota, rehearse, review, sandbox, status, verify,
};

use crate::{
    error::{Error, ExitCode},
    settings::{self, EffectiveSetting},
    telemetry::{self, LogFormat},
};

/// Moves video archives into memories.ai Visual Search: nothing lost, nothing paid twice.
#[derive(Parser, Debug)]
#[command(name = "telecine", version, max_term_width = 100, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// Log more: -v tells what happens, -vv in detail. `RUST_LOG` overrules it.
    #[arg(short, long, action = clap::ArgAction::Count, global = true, env = "TELECINE_VERBOSE")]
    verbose: u8,

    /// How logs are written to stderr.
    #[arg(long, global = true, value_enum, default_value = "text", env = "TELECINE_LOG_FORMAT")]
    log_format: values::LogFormatArg,

    /// Use the settings of this account: `[account.NAME]` in telecine.toml or in the user's file.
    #[arg(long, global = true, value_name = "NAME", env = "TELECINE_ACCOUNT", value_parser = values::account)]
    account: Option<String>,

    /// Read settings from this file instead of telecine.toml in the current folder.
    #[arg(long, global = true, value_name = "PATH", env = "TELECINE_CONFIG")]
    config: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Upload every row of a manifest and wait until each is searchable or has failed.
    Import(Box<import::ImportArgs>),
    /// Say what an import would do, cost and take, by running it against a model of the service; send nothing.
    Plan(Box<plan::PlanArgs>),
    /// Run an import for real against a model of the service, faults included, with hours made seconds; send nothing.
    Rehearse(Box<rehearse::RehearseArgs>),
    /// Show every limit of the account: used, free, the next slot, and what was learned.
    Quota(Box<quota::QuotaArgs>),
    /// Show what the ledger holds, also while an import runs.
    Status(status::StatusArgs),
    /// List what only a human can decide, with the evidence and the price of each answer.
    Review(review::ReviewArgs),
    /// Answer one question: adopt a video, send again, or give up.
    Resolve(review::ResolveArgs),
    /// Compare the service's library with the ledger, whole: missing, doubled, unknown and failed videos.
    Verify(Box<verify::VerifyArgs>),
    /// Build a lost ledger anew from the service, or bring an old one up to date; upload nothing.
    Recover(Box<verify::RecoverArgs>),
    /// Back the ledger up, or check it.
    Ledger(ledger::LedgerCommandArgs),
    /// Settle what is open and poll; upload nothing.
    Reconcile(Box<import::ReconcileArgs>),
    /// Validate a manifest and say what is odd about it; send nothing, and touch the network and the ledger only with --probe.
    Check(Box<check::CheckArgs>),
    /// Propose how to read a file that nobody has described, with examples; write it down as settings.
    Guess(Box<guess::GuessArgs>),
    /// Show rows as the service would get them.
    Preview(Box<preview::PreviewArgs>),
    /// Show which settings a command would run with, and where each comes from.
    Config(config::ConfigArgs),
    /// Serve a model of the service on a loopback port, with its limits and faults as flags.
    Sandbox(Box<sandbox::SandboxArgs>),
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> std::process::ExitCode {
    let code = match parse().and_then(|(cli, effective)| {
        start_logs(&cli);
        run(cli, &effective).map_err(Ended::Error)
    }) {
        Ok(code) => code,
        Err(Ended::Error(error)) => {
            complain(&error);
            error.exit_code()
        }
        Err(Ended::Words(error)) => {
            // help and version are answers, and end with 0
            let _ = error.print();
            if error.use_stderr() { ExitCode::Usage } else { ExitCode::Success }
        }
    };
    std::process::ExitCode::from(code.number())
}

/// Why no command ran to its end.
enum Ended {
    /// The words of the command line were not understood, or asked for help.
    Words(clap::Error),
    Error(Error),
}

/// The command line, with the settings of files as its defaults, and which of those hold.
fn parse() -> Result<(Cli, Vec<EffectiveSetting>), Ended> {
    let words: Vec<OsString> = std::env::args_os().collect();
    let said = command_line().try_get_matches_from(&words).map_err(Ended::Words)?;
    let asking = settings::SettingsRequest {
        command: command_line(),
        said: &said,
        words: &words,
        variable: &|name| std::env::var_os(name),
    };
    let settled = settings::resolve(asking).map_err(Ended::Error)?;
    let matches = settled.command.try_get_matches_from(&words).map_err(Ended::Words)?;
    for note in &settled.notes {
        let _ = writeln!(io::stderr(), "telecine: {note}");
    }
    Ok((Cli::from_arg_matches(&matches).map_err(Ended::Words)?, settled.effective))
}

fn command_line() -> clap::Command {
    let command = Cli::command().after_help(exit_codes());
    ["import", "plan", "rehearse", "quota", "reconcile", "check", "review", "verify", "recover", "ledger"]
        .into_iter()
        .fold(command, |command, name| command.mut_subcommand(name, |sub| sub.after_help(exit_codes())))
}

fn exit_codes() -> String {
    let lines: Vec<String> =
        ExitCode::ALL.iter().map(|code| format!("  {:>3}  {}", code.number(), code.meaning())).collect();
    format!("Exit codes:\n{}", lines.join("\n"))
}

fn start_logs(cli: &Cli) {
    let level = match cli.verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| format!("telecine={level}"));
    let format = match cli.log_format {
        values::LogFormatArg::Text => LogFormat::Text,
        values::LogFormatArg::Json => LogFormat::Json,
    };
    telemetry::start(&filter, format);
}

fn run(cli: Cli, effective: &[EffectiveSetting]) -> Result<ExitCode, Error> {
    match cli.command {
        Command::Import(args) => import::import(&args),
        Command::Plan(args) => plan::plan(&args),
        Command::Rehearse(args) => rehearse::rehearse(&args),
        Command::Quota(args) => quota::quota(&args),
        Command::Status(args) => status::status(&args),
        Command::Verify(args) => verify::verify(&args),
        Command::Recover(args) => verify::recover(&args),
        Command::Ledger(args) => ledger::ledger(&args),
        Command::Review(args) => review::review(&args),
        Command::Resolve(args) => review::resolve(&args),
        Command::Reconcile(args) => import::reconcile(&args),
        Command::Check(args) => check::check(&args, effective),
        Command::Guess(args) => guess::guess(&args),
        Command::Preview(args) => preview::preview(&args, effective),
        Command::Config(args) => {
            let account = cli.account.map(|name| [OsString::from("--account"), name.into()]);
            let config = cli.config.map(|path| [OsString::from("--config"), path.into()]);
            let chosen: Vec<OsString> = account.into_iter().chain(config).flatten().collect();
            config::show(&args, command_line(), &chosen)
        }
        Command::Sandbox(args) => sandbox::sandbox(&args),
    }
}

/// Runs async work to its end.
fn block_on<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Usage(format!("the async runtime cannot be started: {error}")))?;
    let ended = runtime.block_on(work);
    // a reader that stalls on a pipe must not keep the process
    runtime.shutdown_background();
    ended
}

fn complain(error: &Error) {
    // if stderr is gone there is nobody to tell; the exit code still says it
    let _ = writeln!(io::stderr(), "telecine: {}", error.chain());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_every_flag_has_a_variable() {
        let mut command = Cli::command();
        command.build();
        command.clone().debug_assert();
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            for arg in sub.get_arguments().filter(|arg| arg.get_long().is_some()) {
                let name = arg.get_id().as_str();
                let variable = arg.get_env().map(|name| name.to_string_lossy().into_owned());
                let is_builtin = matches!(name, "help" | "version");
                assert!(
                    is_builtin || variable.is_some_and(|v| v.starts_with("TELECINE_")),
                    "{}: {name}",
                    sub.get_name()
                );
                assert!(is_builtin || arg.get_help().is_some(), "{}: {name} has no help", sub.get_name());
            }
        }
    }
}

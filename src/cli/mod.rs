//! The command line: the only module that parses flags, prints and exits. One file per command in `commands`.

mod accounts;
mod args;
mod commands;
pub mod contract;
mod help;
mod output;
mod signals;
mod variables;

use std::{
    ffi::OsString,
    io::{self, Write as _},
    path::PathBuf,
    sync::Arc,
};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use accounts::Accounts;
use args::values;
use commands::{
    acknowledge, check, completions, config, dashboard, doctor, explain, guess, import, init, ledger, list,
    man, plan, preview, quota, recover, rehearse, report, resolve, review, runs, sandbox, schedule, status,
    undo, verify, version,
};

use crate::{
    blocking::Outbox,
    error::{Error, ExitCode},
    events::EventBus,
    manifest::{self, ManifestError},
    redact,
    settings::{self, DefaultAccount, EffectiveSetting, ResolvedSettings},
    telemetry::{self, LogFormat},
};

/// Imports video archives into memories.ai Visual Search: no row is lost, no video is paid twice.
#[derive(Parser, Debug)]
#[command(name = "telecine", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// Write more logs to stderr: -v information, -vv details. `RUST_LOG` takes precedence.
    #[arg(short, long, action = clap::ArgAction::Count, global = true, env = "TELECINE_VERBOSE",
          help_heading = "Global", hide_short_help = true)]
    verbose: u8,

    /// The format of logs on stderr.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "text",
        env = "TELECINE_LOG_FORMAT",
        help_heading = "Global",
        hide_short_help = true
    )]
    log_format: values::LogFormatArg,

    /// Use the settings of this account: `[account.NAME]` in telecine.toml or in the user's file.
    ///
    /// Where a rule maps the account of each row (--map account=COLUMN), only the rows of this account are read.
    #[arg(long, global = true, value_name = "NAME", env = "TELECINE_ACCOUNT", value_parser = values::account,
          help_heading = "Global", hide_short_help = true)]
    account: Option<String>,

    /// Read settings from this file instead of telecine.toml in the current folder.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "TELECINE_CONFIG",
        help_heading = "Global",
        hide_short_help = true
    )]
    config: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Upload the rows of a manifest and wait until each is searchable or failed.
    Import(Box<import::ImportArgs>),
    /// Show what an import would send and cost, and when it would be finished. Sends nothing.
    Plan(Box<plan::PlanArgs>),
    /// Run an import against a mock of the service with faults, on a fast clock. Sends nothing to the service.
    Rehearse(Box<rehearse::RehearseArgs>),
    /// Show every limit of the account: used, free, the next free slot, and what was learned.
    Quota(Box<quota::QuotaArgs>),
    /// Show how many items are in which state, and what a running import does.
    Status(status::StatusArgs),
    /// Serve a page that follows a run, for browsers: progress, waits, limits and errors. Only reads.
    Dashboard(dashboard::DashboardArgs),
    /// Show a past run and the reasons of its failures, or write it as one HTML page.
    Report(Box<report::ReportArgs>),
    /// Show what happened to one item: its row, every request, the cost, and what you can do.
    Explain(explain::ExplainArgs),
    /// List items by state, time, reason and run.
    List(list::ListArgs),
    /// Show the runs of the ledger, or one of them.
    Runs(runs::RunsArgs),
    /// List the items that need your decision, with evidence and the price of each answer.
    Review(review::ReviewArgs),
    /// Decide about items: adopt a video, send again, give up, or take an answer back.
    Resolve(Box<resolve::ResolveArgs>),
    /// Delete at the service what a run created, or second videos. Lists them first.
    Undo(Box<undo::UndoArgs>),
    /// Mark bad rows as known, so that they fail no later run.
    Acknowledge(acknowledge::AcknowledgeArgs),
    /// Compare the whole library of the service with the ledger.
    Verify(Box<verify::VerifyArgs>),
    /// Rebuild a lost ledger from the service, or bring an old one up to date. Uploads nothing.
    Recover(Box<recover::RecoverArgs>),
    /// Back up, copy or check the ledger.
    Ledger(ledger::LedgerCommandArgs),
    /// Reconcile requests in doubt and poll for indexing. Uploads nothing.
    Reconcile(Box<import::ReconcileArgs>),
    /// Validate a manifest and show errors and warnings. Sends nothing; --probe also inspects the source files.
    Check(Box<check::CheckArgs>),
    /// Propose how to read a file with unknown columns, and write the settings.
    Guess(Box<guess::GuessArgs>),
    /// Show rows as the service would receive them.
    Preview(Box<preview::PreviewArgs>),
    /// Write a settings file with comments. Overwrites nothing.
    Init(init::InitArgs),
    /// Check whether an import can run here: key, service, clock, ledger, disk, limits. Sends one read.
    Doctor(Box<doctor::DoctorArgs>),
    /// Print a crontab line, systemd units or a Kubernetes job for a command.
    Schedule(schedule::ScheduleArgs),
    /// Show the settings of a command, and where each comes from.
    Config(config::ConfigArgs),
    /// Serve a mock of the service on a loopback port, with limits and faults as flags.
    Sandbox(Box<sandbox::SandboxArgs>),
    /// Print the completions of a shell.
    #[command(hide = true)]
    Completions(completions::CompletionsArgs),
    /// Print the manual, or write a page for each command.
    #[command(hide = true)]
    Man(man::ManArgs),
    /// Show the version of telecine and of its ledgers.
    #[command(hide = true)]
    Version(version::VersionArgs),
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> std::process::ExitCode {
    signals::outlive_file_limits();
    let mut wants_json = asks_for_json();
    let code = match parse(&mut wants_json).and_then(|CommandLine { cli, effective, accounts }| {
        let logs = start_logs(&cli);
        let ended = run(cli, &effective, &accounts).map_err(|error| with_origin(error, &effective));
        logs.finish(Some(output::progress::STDERR_FINISH_MAX));
        ended.map_err(Failure::Error)
    }) {
        Ok(code) => code,
        Err(Failure::Error(error)) => {
            print_error(&error);
            end_in_json(wants_json, error.exit_code(), error.chain());
            error.exit_code()
        }
        Err(Failure::CommandLine(error)) => {
            // clap returns help and version as errors; they end with 0
            let _ = error.print();
            if error.use_stderr() {
                end_in_json(wants_json, ExitCode::Usage, reason_of(&error.to_string()));
                ExitCode::Usage
            } else {
                ExitCode::Success
            }
        }
    };
    std::process::ExitCode::from(code.number())
}

/// What is wrong, in one line: the text of an error up to its first empty line. Some errors list arguments below their first line.
fn reason_of(text: &str) -> String {
    let lines = text.lines().map(str::trim).take_while(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ").trim_start_matches("error: ").to_owned()
}

/// A rule that names a missing column may come from a file of settings, which was written for another manifest.
fn with_origin(error: Error, effective: &[EffectiveSetting]) -> Error {
    let Error::Manifest(ManifestError::UnknownColumn { path, flag, column, hint }) = error else {
        return error;
    };
    let key = flag.trim_start_matches('-').split([' ', '=']).next().unwrap_or_default();
    let origin = effective.iter().find(|setting| setting.key == key);
    let hint = match origin {
        Some(EffectiveSetting { origin, .. }) => format!(
            "{hint}; {origin} sets {key}: if it is for another file, put it below [manifest.\"THAT FILE\"]"
        ),
        None => hint,
    };
    Error::Manifest(ManifestError::UnknownColumn { path, flag, column, hint })
}

/// Why a command could not run.
enum Failure {
    /// The command line cannot be parsed, or asks for help or the version.
    CommandLine(clap::Error),
    Error(Error),
}

/// The command line, with the settings of files as its defaults.
struct CommandLine {
    cli: Cli,
    /// The settings in effect.
    effective: Vec<EffectiveSetting>,
    accounts: Accounts,
}

fn parse(wants_json: &mut bool) -> Result<CommandLine, Failure> {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let (matches, resolved) = with_settings(&arguments, DefaultAccount::OfFiles)?;
    *wants_json |= has_flag(&matches, "json");
    let set = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let unknown = variables::unknown(&Cli::command(), set);
    // a nightly run prints what needs a human only; a limit in a variable that has no effect does
    let notes = if has_flag(&matches, "cron") { &[][..] } else { &resolved.notes[..] };
    for note in unknown.iter().chain(notes) {
        let note = output::fitted(&format!("telecine: {note}"), &io::stderr());
        let _ = writeln!(io::stderr(), "{note}");
    }
    let cli = Cli::from_arg_matches(&matches).map_err(Failure::CommandLine)?;
    let accounts = Accounts { known: resolved.accounts, arguments };
    Ok(CommandLine { cli, effective: resolved.effective, accounts })
}

/// The matches of a command line with the settings of files, and those settings.
fn with_settings(
    arguments: &[OsString],
    default_account: DefaultAccount,
) -> Result<(clap::ArgMatches, ResolvedSettings), Failure> {
    let refused = |error: clap::Error, arguments: &[OsString]| {
        Failure::CommandLine(variables::with_source(error, &Cli::command(), arguments))
    };
    let matches =
        command_line().try_get_matches_from(arguments).map_err(|error| refused(error, arguments))?;
    let request = settings::SettingsRequest {
        command: command_line(),
        matches: &matches,
        arguments,
        default_account,
        variable: &|name| std::env::var_os(name),
        sources_of: &manifest::sources_of,
    };
    let resolved = settings::resolve(request).map_err(Failure::Error)?;
    let command = resolved.command.clone();
    let matches = command
        .try_get_matches_from(&resolved.arguments)
        .map_err(|error| refused(error, &resolved.arguments))?;
    Ok((matches, resolved))
}

/// Whether the arguments or the variable ask for JSON. Needed where the command line cannot be parsed.
fn asks_for_json() -> bool {
    let variable = std::env::var("TELECINE_JSON").unwrap_or_default().to_lowercase();
    std::env::args_os().any(|argument| argument == "--json")
        || !matches!(variable.as_str(), "" | "0" | "false" | "no" | "n" | "off" | "f")
}

/// Whether the command has this switch on, also by a file of settings.
fn has_flag(matches: &clap::ArgMatches, id: &str) -> bool {
    let own = matches.try_get_one::<bool>(id).ok().flatten().copied().unwrap_or(false);
    own || matches.subcommand().is_some_and(|(_, inside)| has_flag(inside, id))
}

/// Prints the last object of a command that failed.
fn end_in_json(wants_json: bool, code: ExitCode, reason: String) {
    if wants_json {
        // if stdout is closed, the exit code still reports it
        let _ = output::print_end(&output::CommandEnd::failed(code, reason), &output::NoFields {});
    }
}

fn command_line() -> clap::Command {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    help::with_help(variables::lenient(Cli::command()), help::is_long(&arguments))
}

/// Lines of the log that wait to be written at most.
const LOG_LINES_MAX: usize = 8_192;

/// Starts the log on stderr.
fn start_logs(cli: &Cli) -> Arc<Outbox<Vec<u8>>> {
    let level = match cli.verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty());
    let filter = filter.unwrap_or_else(|| format!("telecine={level}"));
    let format = match cli.log_format {
        values::LogFormatArg::Text => LogFormat::Text,
        values::LogFormatArg::Json => LogFormat::Json,
    };
    let lines = Arc::new(Outbox::new(LOG_LINES_MAX, |_, line: Vec<u8>| {
        // if stderr is closed, there is no reader
        let _ = io::stderr().lock().write_all(&line);
    }));
    telemetry::start(&filter, format, &lines);
    lines
}

fn run(cli: Cli, effective: &[EffectiveSetting], accounts: &Accounts) -> Result<ExitCode, Error> {
    match cli.command {
        Command::Import(args) => import::import(&args, accounts),
        Command::Plan(args) => plan::plan(&args, accounts),
        Command::Rehearse(args) => rehearse::rehearse(&args),
        Command::Quota(args) => quota::quota(&args),
        Command::Status(args) => status::status(&args),
        Command::Dashboard(args) => dashboard::dashboard(&args),
        Command::Report(args) => report::report(&args),
        Command::Explain(args) => explain::explain(&args),
        Command::List(args) => list::list(&args),
        Command::Runs(args) => runs::runs(&args),
        Command::Acknowledge(args) => acknowledge::acknowledge(&args),
        Command::Undo(args) => undo::undo(&args),
        Command::Verify(args) => verify::verify(&args),
        Command::Recover(args) => recover::recover(&args),
        Command::Ledger(args) => ledger::ledger(&args),
        Command::Review(args) => review::review(&args),
        Command::Resolve(args) => resolve::resolve(&args),
        Command::Reconcile(args) => import::reconcile(&args),
        Command::Check(args) => check::check(&args, effective, accounts),
        Command::Guess(args) => guess::guess(&args),
        Command::Preview(args) => preview::preview(&args, effective),
        Command::Config(args) => {
            let account = cli.account.map(|name| [OsString::from("--account"), name.into()]);
            let config = cli.config.map(|path| [OsString::from("--config"), path.into()]);
            let chosen: Vec<OsString> = account.into_iter().chain(config).flatten().collect();
            config::show(&args, command_line(), &chosen)
        }
        Command::Init(args) => init::init(&args),
        Command::Doctor(args) => doctor::doctor(&args, effective),
        Command::Schedule(args) => schedule::schedule(&args, &command_line()),
        Command::Sandbox(args) => sandbox::sandbox(&args),
        Command::Completions(args) => completions::completions(&args, command_line()),
        Command::Man(args) => man::man(&args, help::with_help(Cli::command(), true)),
        Command::Version(args) => version::version(&args),
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

/// Waits until all events are shown. Signals are served meanwhile.
async fn finish(events: &EventBus) {
    let events = events.clone();
    // it has no result, and its panic has been printed
    let _ = tokio::task::spawn_blocking(move || events.finish()).await;
}

/// The user and the host, for the ledger.
fn who() -> String {
    let user = ["TELECINE_WHO", "LOGNAME", "USER"].into_iter().find_map(|name| std::env::var(name).ok());
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    redact::clean(&format!("{}@{host}", user.unwrap_or_else(name_of_user)))
}

/// The name of the user of this process, as cron does not always set a variable for it; its number, where the system names none.
fn name_of_user() -> String {
    let number = rustix::process::getuid().as_raw().to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let own = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some(&number)).then(|| name.to_owned())
    });
    own.unwrap_or_else(|| format!("uid {number}"))
}

fn print_error(error: &Error) {
    // if stderr is closed, the exit code still reports it
    let text = output::fitted(&format!("telecine: {}", error.chain()), &io::stderr());
    let _ = writeln!(io::stderr(), "{text}");
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

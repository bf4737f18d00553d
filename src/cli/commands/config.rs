//! `telecine config`: which settings a command would run with, and where each comes from.

use std::{ffi::OsString, fmt::Write as _};

use clap::{Arg, ArgMatches, Args, Command, parser::ValueSource};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    cli::output::{CommandEnd, print_data, print_end},
    error::{Error, ExitCode},
    redact,
    settings::{DefaultAccount, EffectiveSetting, SettingsRequest, resolve, shown},
};

/// Flags of `telecine config`.
#[derive(Args, Debug)]
pub(in crate::cli) struct ConfigArgs {
    /// The command to show the settings of.
    #[arg(value_name = "COMMAND", default_value = "import")]
    of: String,

    /// Also show the defaults.
    #[arg(long, env = "TELECINE_ALL")]
    all: bool,

    /// Print one JSON object on stdout.
    #[arg(long, env = "TELECINE_JSON", help_heading = "Output")]
    json: bool,
}

/// The settings of a command.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct ConfigBody<'a> {
    command: &'a str,
    settings: &'a [SettingRow],
}

/// One flag, its value, and where the value comes from.
#[derive(Serialize, JsonSchema)]
struct SettingRow {
    key: String,
    value: String,
    origin: String,
}

/// Shows the settings of one command. `chosen` are the arguments before the name of the command: `--account`, `--config`.
pub(in crate::cli) fn show(
    args: &ConfigArgs,
    command: Command,
    chosen: &[OsString],
) -> Result<ExitCode, Error> {
    if command.find_subcommand(&args.of).is_none() {
        return Err(Error::Usage(format!(
            "there is no command {}; telecine --help lists the commands",
            redact::clean(&args.of)
        )));
    }
    // required arguments are ignored here
    let mut arguments = vec![OsString::from("telecine")];
    arguments.extend(chosen.iter().cloned());
    arguments.push(OsString::from(&args.of));
    let given = command.clone().ignore_errors(true).get_matches_from(&arguments);
    let variable = |name: &str| std::env::var_os(name);
    let resolved = resolve(SettingsRequest {
        default_account: DefaultAccount::OfFiles,
        command,
        matches: &given,
        arguments: &arguments,
        variable: &variable,
        sources_of: &|_| Vec::new(),
    })?;
    let matches = resolved.command.clone().ignore_errors(true).get_matches_from(&resolved.arguments);
    let rows = match (resolved.command.find_subcommand(&args.of), matches.subcommand()) {
        (Some(sub), Some((_, matches))) => rows(sub, matches, &resolved.effective, args.all),
        _ => Vec::new(),
    };
    if args.json {
        print_end(&CommandEnd::of(ExitCode::Success), &ConfigBody { command: &args.of, settings: &rows })?;
        return Ok(ExitCode::Success);
    }
    let mut text = format!("settings of telecine {}\n\n", args.of);
    let width = rows.iter().map(|row| row.key.len()).max().unwrap_or(0);
    for row in &rows {
        let _ = writeln!(text, "  {:<width$}  {}  ({})", row.key, row.value, row.origin);
    }
    if rows.is_empty() {
        text.push_str("  the defaults only; --all shows them\n");
    }
    print_data(&text)?;
    Ok(ExitCode::Success)
}

fn rows(command: &Command, matches: &ArgMatches, held: &[EffectiveSetting], all: bool) -> Vec<SettingRow> {
    command.get_arguments().filter_map(|arg| row(arg, matches, held, all)).collect()
}

fn row(arg: &Arg, matches: &ArgMatches, held: &[EffectiveSetting], all: bool) -> Option<SettingRow> {
    let key = arg.get_long().filter(|key| !matches!(*key, "help" | "version"))?;
    let origin = match matches.value_source(arg.get_id().as_str())? {
        ValueSource::EnvVariable => format!("the variable {}", arg.get_env()?.to_string_lossy()),
        ValueSource::CommandLine => "the command line".to_owned(),
        ValueSource::DefaultValue => match held.iter().find(|held| held.key == key) {
            Some(held) => held.origin.clone(),
            None if all => "default".to_owned(),
            None => return None,
        },
        _ => return None,
    };
    let raw = matches.get_raw(arg.get_id().as_str())?;
    let values: Vec<String> = raw.map(|value| shown(key, &value.to_string_lossy())).collect();
    Some(SettingRow { key: key.to_owned(), value: values.join(","), origin })
}

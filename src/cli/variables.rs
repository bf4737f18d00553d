//! Variables of the environment as values of flags: an empty variable counts as unset, and switches take the usual words.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
};

use clap::{
    Arg, ArgAction, Command,
    builder::{BoolishValueParser, Resettable, TypedValueParser as _},
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::suggest;

/// The same command line, with variables as people and service managers set them: `NAME=`, `NAME=1`, `NAME=no`.
pub(super) fn lenient(command: Command) -> Command {
    let excluding = excluding(&command);
    let lenient_arg = |arg: Arg| {
        let excludes = excluding.contains(arg.get_id().as_str());
        adjust(arg, excludes)
    };
    command.mut_args(lenient_arg).mut_subcommands(lenient)
}

fn adjust(arg: Arg, excludes: bool) -> Arg {
    let value = arg.get_env().and_then(std::env::var_os);
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    // clap takes a switch that a variable turns off for one that is given
    let is_off = |value: &OsStr| {
        let parsed = BoolishValueParser::new().parse_ref(&Command::default(), None, value);
        is_switch && excludes && parsed.is_ok_and(|is_on| !is_on)
    };
    let is_empty = value.as_ref().is_some_and(|value| value.is_empty());
    let arg = if is_empty { arg.env(Resettable::Reset) } else { arg };
    // as a default it is off and conflicts with nothing, and no file of settings turns it on
    let is_off = value.is_some_and(|value| is_off(&value));
    let arg = if is_off { arg.env(Resettable::Reset).default_value("false") } else { arg };
    let name = arg.get_env().unwrap_or_default().to_string_lossy().into_owned();
    if is_switch { arg.value_parser(move |text: &str| switch(&name, text)) } else { arg }
}

/// What a switch is set to. Only a variable gives it a word.
fn switch(variable: &str, text: &str) -> Result<bool, String> {
    let parsed = BoolishValueParser::new().parse_ref(&Command::default(), None, OsStr::new(text));
    parsed.map_err(|_| format!("the variable {variable} takes 1, 0, true, false, yes and no"))
}

/// Variables that are values of no flag.
const OTHERS: &[&str] = &["TELECINE_WHO", "TELECINE_FAST_CLOCK"];
/// What Kubernetes sets for a service of the name telecine.
const OF_KUBERNETES: &[&str] = &["TELECINE_SERVICE_HOST", "TELECINE_SERVICE_PORT", "TELECINE_PORT"];

/// A sentence about each variable with the prefix of telecine that has no effect.
pub(super) fn unknown(command: &Command, set: impl Iterator<Item = String>) -> Vec<String> {
    let mut known: BTreeSet<String> = OTHERS.iter().map(|name| (*name).to_owned()).collect();
    collect(command, &mut known);
    let is_of_kubernetes = |name: &str| OF_KUBERNETES.iter().any(|own| name.starts_with(own));
    set.filter(|name| name.starts_with(PREFIX) && !known.contains(name) && !is_of_kubernetes(name))
        .map(|name| {
            let bare = |name: &'_ str| name.trim_start_matches(PREFIX).to_owned();
            let names: Vec<String> = known.iter().map(|name| bare(name)).collect();
            let near = suggest::nearest(&bare(&name), names.iter().map(String::as_str));
            let hint = near.map(|near| format!("; did you mean {PREFIX}{near}?")).unwrap_or_default();
            format!("the variable {} has no effect: no flag has this name{hint}", crate::redact::clean(&name))
        })
        .collect()
}

/// The error of a command line, which names the variable where the value came from one, and an argument that is no text.
pub(super) fn with_source(mut error: clap::Error, command: &Command, arguments: &[OsString]) -> clap::Error {
    if error.kind() == ErrorKind::InvalidUtf8
        && let Some(argument) = arguments.iter().find(|argument| argument.to_str().is_none())
    {
        let shown = crate::redact::clean(&argument.to_string_lossy());
        let text = format!(
            "the argument {shown} is not UTF-8 (� stands for what cannot be read): rename the file, or give the command \
             another path to it, such as a symbolic link\n"
        );
        return clap::Error::raw(ErrorKind::InvalidUtf8, text);
    }
    if error.kind() == ErrorKind::UnknownArgument
        && let Some(name) = text_of(&error, ContextKind::InvalidArg).strip_suffix(".db")
    {
        let tip = format!("a ledger is named with --ledger {name}.db");
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
        return error;
    }
    let (flag, value) =
        (text_of(&error, ContextKind::InvalidArg), text_of(&error, ContextKind::InvalidValue));
    let name = flag.split([' ', '=']).next().unwrap_or_default().to_owned();
    let is_given = arguments.iter().filter_map(|argument| argument.to_str()).any(|argument| {
        argument == name || argument.strip_prefix(&*name).is_some_and(|rest| rest.starts_with('='))
    });
    if !is_given && let Some(variable) = variable_of(command, name.trim_start_matches('-'), &value) {
        error.insert(ContextKind::InvalidArg, ContextValue::String(variable));
    }
    error
}

fn text_of(error: &clap::Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    }
}

/// The variable of a flag that is set to this value, or to a list with it.
fn variable_of(command: &Command, long: &str, value: &str) -> Option<String> {
    let own = command.get_arguments().filter(|arg| arg.get_long() == Some(long)).find_map(|arg| {
        let name = arg.get_env()?;
        let is_set = std::env::var(name).is_ok_and(|set| set.contains(value));
        is_set.then(|| name.to_string_lossy().into_owned())
    });
    own.or_else(|| command.get_subcommands().find_map(|sub| variable_of(sub, long, value)))
}

/// How the variables of all flags begin.
const PREFIX: &str = "TELECINE_";

fn collect(command: &Command, known: &mut BTreeSet<String>) {
    let names = command.get_arguments().filter_map(Arg::get_env);
    known.extend(names.map(|name| name.to_string_lossy().into_owned()));
    for sub in command.get_subcommands() {
        collect(sub, known);
    }
}

/// The arguments that exclude others, or that others exclude.
fn excluding(command: &Command) -> BTreeSet<String> {
    let mut built = command.clone();
    built.build();
    let id = |arg: &Arg| arg.get_id().to_string();
    let pairs = built.get_arguments().flat_map(|arg| {
        built.get_arg_conflicts_with(arg).into_iter().flat_map(move |other| [id(arg), id(other)])
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn a_variable_that_no_flag_has_is_named_with_the_one_that_is_meant() {
        let command = super::super::Cli::command();
        let set = [
            "TELECINE_RAET",
            "TELECINE_RATE",
            "TELECINE_WHO",
            "TELECINE_SERVICE_HOST",
            "PATH",
            "TELECINE_QQQ",
        ];
        let found = unknown(&command, set.into_iter().map(str::to_owned));
        assert_eq!(
            found,
            [
                "the variable TELECINE_RAET has no effect: no flag has this name; did you mean TELECINE_RATE?",
                "the variable TELECINE_QQQ has no effect: no flag has this name"
            ]
        );
    }
}

//! Variables of the environment as values of flags: an empty variable counts as unset, and switches take the usual words.

use std::{collections::BTreeSet, ffi::OsStr};

use clap::{
    Arg, ArgAction, Command,
    builder::{BoolishValueParser, Resettable, TypedValueParser as _},
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

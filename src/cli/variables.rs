//! Variables of the environment as values of flags: an empty variable counts as unset, and switches take the usual words.

use std::{collections::BTreeSet, ffi::OsStr};

use clap::{
    Arg, ArgAction, Command,
    builder::{BoolishValueParser, Resettable, TypedValueParser as _},
};

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
    if is_switch { arg.value_parser(BoolishValueParser::new()) } else { arg }
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

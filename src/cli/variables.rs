//! Variables of the environment as values of flags: an empty variable counts as unset, and switches take the usual words.

use clap::{
    Arg, ArgAction, Command,
    builder::{BoolishValueParser, Resettable},
};

/// The same command line, with variables as people and service managers set them: `NAME=`, `NAME=1`, `NAME=no`.
pub(super) fn lenient(command: Command) -> Command {
    command.mut_args(adjust).mut_subcommands(lenient)
}

fn adjust(arg: Arg) -> Arg {
    let is_empty = arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    let arg = if is_empty { arg.env(Resettable::Reset) } else { arg };
    match arg.get_action() {
        ArgAction::SetTrue => arg.value_parser(BoolishValueParser::new()),
        _ => arg,
    }
}

//! `telecine completions`: the completions of a shell.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::{
    cli::output::print_data,
    error::{Error, ExitCode},
};

/// Flags of `telecine completions`.
#[derive(Args, Debug)]
pub(in crate::cli) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the completions.
pub(in crate::cli) fn completions(args: &CompletionsArgs, mut command: Command) -> Result<ExitCode, Error> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, "telecine", &mut text);
    print_data(&String::from_utf8_lossy(&text))?;
    Ok(ExitCode::Success)
}

//! `telecine man`: the manual, one page for each command.

use std::path::PathBuf;

use clap::{Args, Command};

use crate::{
    cli::output::print_data,
    error::{Error, ExitCode},
};

/// Flags of `telecine man`.
#[derive(Args, Debug)]
pub(in crate::cli) struct ManArgs {
    /// Write a page for each command into this folder, such as ~/.local/share/man/man1.
    #[arg(long, value_name = "DIR", env = "TELECINE_DIR")]
    dir: Option<PathBuf>,
}

/// Prints the first page, or writes all pages.
pub(in crate::cli) fn man(args: &ManArgs, command: Command) -> Result<ExitCode, Error> {
    // the groups of the help are no part of a page: it has a section of commands
    let command = complete(command).help_template("{all-args}{after-help}").disable_help_subcommand(true);
    let Some(folder) = &args.dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page).map_err(Error::Output)?;
        print_data(&String::from_utf8_lossy(&page))?;
        return Ok(ExitCode::Success);
    };
    let unwritable = |cause| Error::Usage(format!("--dir {}: cannot be written: {cause}", folder.display()));
    std::fs::create_dir_all(folder).map_err(unwritable)?;
    clap_mangen::generate_to(command, folder).map_err(unwritable)?;
    Ok(ExitCode::Success)
}

/// The command with every flag that its pages show: `clap_mangen` leaves out the text of a flag that `-h` hides.
fn complete(command: Command) -> Command {
    command.mut_args(|arg| arg.hide_short_help(false)).mut_subcommands(complete)
}

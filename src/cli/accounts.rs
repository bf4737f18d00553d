//! The accounts of the settings, and the flags of one command as each account has them.

use std::{collections::BTreeSet, ffi::OsString};

use clap::FromArgMatches;

use super::{Failure, args::ManifestArgs, with_settings};
use crate::{error::Error, manifest::STDIN, settings::DefaultAccount};

/// The accounts that settings files define, and the command line that is given for all of them.
pub(in crate::cli) struct Accounts {
    pub(in crate::cli) known: BTreeSet<String>,
    pub(in crate::cli) arguments: Vec<OsString>,
}

impl Accounts {
    /// An error if no settings file defines an account, or if manifests for several of them cannot be read again.
    pub(in crate::cli) fn check(&self, manifests: &ManifestArgs) -> Result<(), Error> {
        if manifests.manifests.iter().any(|path| path == STDIN) {
            let what = "standard input can be read once only, but is read for each account that it names; write it to a file first";
            return Err(Error::Usage(what.to_owned()));
        }
        if !self.known.is_empty() {
            return Ok(());
        }
        let what = "a rule maps the account, and no settings file defines one; add a table such as [account.main] to telecine.toml";
        Err(Error::Usage(what.to_owned()))
    }

    /// The flags of the command as they are with `--account` of this name.
    pub(in crate::cli) fn flags_of<A: FromArgMatches>(&self, account: &str) -> Result<A, Error> {
        let mut arguments = self.arguments.clone();
        arguments.insert(1, format!("--account={account}").into());
        flags(&arguments)
    }

    /// The flags of the command without the settings of an account.
    pub(in crate::cli) fn common_flags<A: FromArgMatches>(&self) -> Result<A, Error> {
        flags(&self.arguments)
    }
}

fn flags<A: FromArgMatches>(arguments: &[OsString]) -> Result<A, Error> {
    let unusable = |failure| match failure {
        Failure::Error(error) => error,
        Failure::CommandLine(error) => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            Error::Usage(line.trim_start_matches("error: ").to_owned())
        }
    };
    let (matches, _) = with_settings(arguments, DefaultAccount::Nobody).map_err(unusable)?;
    let (_, own) = matches.subcommand().ok_or_else(|| Error::Usage("there is no command".to_owned()))?;
    A::from_arg_matches(own).map_err(|error| unusable(Failure::CommandLine(error)))
}

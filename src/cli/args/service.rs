//! Flags for the service and the API key.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{
    limits::{ReadLimitArgs, UploadLimitArgs, given},
    output::OutputArgs,
};
use crate::{
    api::UserRule,
    app::{Destination, RequestedLimits, RunRequest},
    error::Error,
    events::EventBus,
    ledger::KeyChange,
    pipeline::{RunPolicy, Signals},
    sandbox::EMBEDDED_KEY,
    settings::credentials::{self, KeySources},
};

/// Where a run sends its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Target {
    /// To a server.
    Service,
    /// To the sandbox inside this process.
    Sandbox,
}

/// How to reach the service.
#[derive(Args, Debug)]
#[command(next_help_heading = "Service")]
pub(in crate::cli) struct ServiceArgs {
    /// The address of the service [default: MEMORIES_API_URL, else https://api.memories.ai].
    #[arg(long, value_name = "URL", env = "TELECINE_API_URL")]
    pub(in crate::cli) api_url: Option<String>,

    /// Use a mock of the service; nothing is paid.
    ///
    /// The mock runs inside this process. It needs no account and no network.
    #[arg(long, env = "TELECINE_SANDBOX", conflicts_with_all = ["api_url", "key_file", "key_command"])]
    pub(in crate::cli) sandbox: bool,

    /// Read the API key from this file.
    ///
    /// Only you may have access to the file. Without the flag, the variable MEMORIES_API_KEY holds the key.
    #[arg(long, value_name = "PATH", env = "TELECINE_KEY_FILE")]
    pub(in crate::cli) key_file: Option<PathBuf>,

    /// Run this command with sh and read the API key from its output.
    #[arg(
        long,
        value_name = "COMMAND",
        env = "TELECINE_KEY_COMMAND",
        hide_env_values = true,
        conflicts_with = "key_file"
    )]
    pub(in crate::cli) key_command: Option<String>,

    /// Accept a new API key for this ledger. It must belong to the same account.
    #[arg(long, env = "TELECINE_SAME_ACCOUNT")]
    pub(in crate::cli) same_account: bool,

    /// How to treat an answer to an upload: CODE=ACTION, CODE:TEXT=ACTION or 'http STATUS=ACTION'.
    ///
    /// TEXT must occur in the message. The actions are bad-row (reject the row), busy (not accepted, try again), in-doubt, and
    /// stop (end the run).
    #[arg(long, value_name = "RULE", env = "TELECINE_VERDICT", value_delimiter = ',')]
    pub(in crate::cli) verdict: Vec<UserRule>,

    #[command(flatten)]
    pub(in crate::cli) reads: ReadLimitArgs,
}

impl ServiceArgs {
    pub(in crate::cli) const fn target(&self) -> Target {
        if self.sandbox { Target::Sandbox } else { Target::Service }
    }

    fn destination(&self) -> Result<Destination, Error> {
        if self.sandbox {
            return Ok(Destination::Sandbox);
        }
        let text = self.api_url.clone().or_else(|| std::env::var(credentials::URL_VARIABLE).ok());
        credentials::origin(text.as_deref().unwrap_or(credentials::DEFAULT_ORIGIN)).map(Destination::Server)
    }

    fn api_key(&self) -> Result<secrecy::SecretString, Error> {
        if self.sandbox {
            return Ok(EMBEDDED_KEY.into());
        }
        credentials::api_key(&KeySources {
            file: self.key_file.as_deref(),
            command: self.key_command.as_deref(),
            variable: std::env::var(credentials::KEY_VARIABLE).ok(),
        })
    }

    /// A run against this service with this ledger. It uploads nothing until its limits and its policy are set.
    pub(in crate::cli) fn request(
        &self,
        ledger: &Path,
        output: &OutputArgs,
        events: EventBus,
    ) -> Result<RunRequest, Error> {
        let limits = given(&UploadLimitArgs::default(), &self.reads);
        Ok(RunRequest {
            destination: self.destination()?,
            key: self.api_key()?,
            key_change: if self.same_account { KeyChange::SameAccount } else { KeyChange::Refused },
            user_rules: self.verdict.clone(),
            ledger: ledger.to_path_buf(),
            reports: output.reports(ledger),
            limits: RequestedLimits::new(limits, self.sandbox),
            policy: RunPolicy::default(),
            concurrency: None,
            price: None,
            events,
            signals: Signals::default(),
        })
    }
}

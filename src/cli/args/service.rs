//! Flags for the service and the API key.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{
    ledger::{LedgerArgs, LedgerOwner, Target},
    limits::{ReadLimitArgs, UploadLimitArgs, given},
    output::OutputArgs,
    values,
};
use crate::{
    api::{StatusWordRule, UserRule},
    app::{Destination, RequestedLimits, RunRequest, adoption::AskedService},
    bucket::LinkRules,
    error::Error,
    events::EventBus,
    ledger::{KeyChange, SecondLedger},
    pipeline::{RunPolicy, Signals},
    sandbox::EMBEDDED_KEY,
    settings::{
        credentials::{self, KeySources},
        network,
    },
};

/// How to reach the service.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
#[derive(Args, Debug)]
#[command(next_help_heading = "Service")]
pub(in crate::cli) struct ServiceArgs {
    /// The address of the service [default: MEMORIES_API_URL, else https://api.memories.ai].
    ///
    /// Proxies and certificates are those of HTTPS_PROXY, ALL_PROXY, NO_PROXY and SSL_CERT_FILE.
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

    /// Allow this ledger beside another one of yours for the same account.
    ///
    /// Each of them knows only what was sent with it: keep their namespaces apart, and share the limits between them.
    #[arg(long, env = "TELECINE_SECOND_LEDGER")]
    pub(in crate::cli) second_ledger: bool,

    /// Wait while another process uses the ledger, and take over when it ends or is lost.
    ///
    /// For several machines with one ledger in a database. A process that is killed or cut off is replaced when its lease has
    /// expired, after 15 seconds unless the address of the ledger says otherwise (lease=30s).
    #[arg(long, env = "TELECINE_STANDBY")]
    pub(in crate::cli) standby: bool,

    /// How to treat an answer to an upload: CODE=ACTION, CODE:TEXT=ACTION or 'http STATUS=ACTION'.
    ///
    /// TEXT must occur in the message. The actions are bad-row (reject the row), busy (not accepted, try again), in-doubt, and
    /// stop (end the run).
    #[arg(long, value_name = "RULE", env = "TELECINE_VERDICT", value_delimiter = ',')]
    pub(in crate::cli) verdict: Vec<UserRule>,

    /// What an unknown status word of the service means: WORD=indexed, WORD=failed or WORD=accepted (being indexed).
    ///
    /// A word that no document names, such as DONE, is announced once per run. Without a rule, its video counts as being
    /// indexed.
    #[arg(long, value_name = "WORD=STATE", env = "TELECINE_STATUS_WORD", value_delimiter = ',')]
    pub(in crate::cli) status_word: Vec<StatusWordRule>,

    /// How long to wait for the answer to a request, from 5s to 10m.
    ///
    /// An upload without an answer in this time is in doubt. The service fetches the video before it answers. A file on this machine may
    /// be on its way for any time: the limit is for the time in which no byte moves, and for the answer behind the last one.
    #[arg(
        long,
        value_name = "DURATION",
        env = "TELECINE_REQUEST_TIMEOUT",
        default_value = "2m",
        value_parser = values::request_timeout
    )]
    request_timeout: Duration,

    #[command(flatten)]
    pub(in crate::cli) reads: ReadLimitArgs,
}

/// A variable of the environment. An empty one counts as unset.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl ServiceArgs {
    pub(in crate::cli) const fn target(&self) -> Target {
        if self.sandbox { Target::Sandbox } else { Target::Service }
    }

    fn destination(&self) -> Result<Destination, Error> {
        if self.sandbox {
            return Ok(Destination::Sandbox);
        }
        let text = self.api_url.clone().or_else(|| variable(credentials::URL_VARIABLE));
        credentials::origin(text.as_deref().unwrap_or(credentials::DEFAULT_ORIGIN)).map(Destination::Server)
    }

    fn api_key(&self) -> Result<secrecy::SecretString, Error> {
        if self.sandbox {
            return Ok(EMBEDDED_KEY.into());
        }
        credentials::api_key(&KeySources {
            file: self.key_file.as_deref(),
            command: self.key_command.as_deref(),
            variable: variable(credentials::KEY_VARIABLE),
        })
    }

    /// The service, to ask it for one video.
    pub(in crate::cli) fn asked(&self) -> Result<AskedService, Error> {
        self.asked_with(&UploadLimitArgs::default())
    }

    /// The same, with limits of uploads.
    pub(in crate::cli) fn asked_with(&self, uploads: &UploadLimitArgs) -> Result<AskedService, Error> {
        let limits = given(uploads, &self.reads);
        let destination = self.destination()?;
        if let Destination::Server(origin) = &destination {
            network::check(origin, |name| std::env::var_os(name))?;
        }
        Ok(AskedService {
            destination,
            key: self.api_key()?,
            request_timeout: self.request_timeout,
            status_words: self.status_word.clone(),
            limits: RequestedLimits::new(limits, self.sandbox),
        })
    }

    /// A run against this service with this ledger. It uploads nothing until its limits and its policy are set.
    pub(in crate::cli) fn request(
        &self,
        ledger: &LedgerArgs,
        manifests: &[String],
        output: &OutputArgs,
        events: EventBus,
    ) -> Result<RunRequest, Error> {
        let (destination, key) = (self.destination()?, self.api_key()?);
        let path = if manifests.is_empty() {
            ledger.path(self.target())?
        } else {
            let key_digest = credentials::key_digest(&key);
            ledger.of_import(manifests, &LedgerOwner { destination: &destination, key_digest })
        };
        let limits = given(&UploadLimitArgs::default(), &self.reads);
        Ok(RunRequest {
            destination,
            key,
            second_ledger: if self.second_ledger { SecondLedger::Allowed } else { SecondLedger::Refused },
            key_change: if self.same_account { KeyChange::SameAccount } else { KeyChange::Refused },
            is_standby: self.standby,
            request_timeout: self.request_timeout,
            user_rules: self.verdict.clone(),
            status_words: self.status_word.clone(),
            links: LinkRules::default(),
            callbacks: None,
            reports: output.reports(&path),
            ledger_flags: ledger.flags(self.target(), &path),
            ledger: path,
            limits: RequestedLimits::new(limits, self.sandbox),
            policy: RunPolicy::default(),
            concurrency: None,
            price: None,
            account: None,
            is_cron: false,
            events,
            signals: Signals::default(),
        })
    }
}

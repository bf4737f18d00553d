//! The program's one error, and its documented exit codes.

use crate::{api::http::HttpSetupError, ledger::LedgerError, manifest::ManifestError};

/// How the process ends. The numbers are a promise to scripts and never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// Every row is final and good, or there was nothing to do.
    Success,
    /// Something unexpected happened.
    Unexpected,
    /// The command line, the settings, the ledger, the proxy or the certificates cannot be used.
    Usage,
    /// A manifest is invalid or has no row; nothing was sent.
    ManifestInvalid,
    /// Finished with bad rows: invalid, rejected, failed, given up or expired.
    SomeFailed,
    /// Not finished; the same command resumes.
    Temporary,
    /// Some items need a decision.
    NeedsReview,
    /// The service accepts nothing: key, credits, account or address.
    Fatal,
    /// The bound given with `--max-rows`, `--max-uploads` or `--max-credits` is reached.
    BudgetReached,
    /// The time given with `--for` is up.
    TimeUp,
    /// The quota allows no upload within `--quota-exit`.
    QuotaPaused,
    /// Another process uses the ledger.
    Locked,
    /// Stopped by SIGHUP, as when a terminal closes. After a second signal, requests may be without an answer in the ledger.
    HungUp,
    /// Stopped by Ctrl-C. After a second signal, requests may be without an answer in the ledger.
    Interrupted,
    /// Stopped by SIGTERM. After a second signal, requests may be without an answer in the ledger.
    Terminated,
}

impl serde::Serialize for ExitCode {
    /// As the number the process ends with.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.number())
    }
}

impl schemars::JsonSchema for ExitCode {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ExitCode".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        u8::json_schema(generator)
    }
}

impl ExitCode {
    /// Every code, in order.
    pub const ALL: &'static [Self] = &[
        Self::Success,
        Self::Unexpected,
        Self::Usage,
        Self::ManifestInvalid,
        Self::SomeFailed,
        Self::Temporary,
        Self::NeedsReview,
        Self::Fatal,
        Self::BudgetReached,
        Self::TimeUp,
        Self::QuotaPaused,
        Self::Locked,
        Self::HungUp,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// The number the process ends with.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Unexpected => 1,
            Self::Usage => 2,
            Self::ManifestInvalid => 3,
            Self::SomeFailed => 4,
            Self::Temporary => 5,
            Self::NeedsReview => 6,
            Self::Fatal => 7,
            Self::BudgetReached => 8,
            Self::TimeUp => 10,
            Self::QuotaPaused => 11,
            Self::Locked => 12,
            Self::HungUp => 129,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// From the best to the worst, for a command that does the work of several accounts: pauses end by themselves, then comes what
    /// the next run may settle, then what only a human can settle, and last what says that somebody stopped the process.
    const BY_SEVERITY: &[Self] = &[
        Self::Success,
        Self::QuotaPaused,
        Self::TimeUp,
        Self::BudgetReached,
        Self::SomeFailed,
        Self::Temporary,
        Self::Locked,
        Self::NeedsReview,
        Self::ManifestInvalid,
        Self::Usage,
        Self::Fatal,
        Self::Unexpected,
        Self::HungUp,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// The worst of several codes; success if there is none.
    #[must_use]
    pub fn worst(codes: impl IntoIterator<Item = Self>) -> Self {
        let severity = |code: &Self| Self::BY_SEVERITY.iter().position(|known| known == code);
        codes.into_iter().max_by_key(severity).unwrap_or(Self::Success)
    }

    /// What to do about it, for programs.
    #[must_use]
    pub const fn next_step(self) -> &'static str {
        match self {
            Self::Success => "nothing",
            Self::Unexpected => "keep the ledger, and report the error",
            Self::Usage => {
                "correct what the reason names: the command line, the settings, the ledger, the proxy or the certificates"
            }
            Self::ManifestInvalid => "correct the manifest; `telecine check MANIFEST` shows every error",
            Self::SomeFailed => "correct rejects.csv and import it",
            Self::NeedsReview => "see the open decisions with `telecine review`",
            Self::Fatal => {
                "correct the API key, the credits, the account or the address, then run the same command again"
            }
            Self::BudgetReached => "raise the limit, then run the same command again",
            Self::Temporary
            | Self::TimeUp
            | Self::QuotaPaused
            | Self::HungUp
            | Self::Interrupted
            | Self::Terminated => "run the same command again",
            Self::Locked => "wait until the other telecine has ended, or name another --ledger",
        }
    }

    /// What it means, for the help text.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Success => "every row is finished without an error, or there is nothing to do",
            Self::Unexpected => "an unexpected error",
            Self::Usage => {
                "the command line, the settings, the ledger, the proxy or the certificates cannot be used"
            }
            Self::ManifestInvalid => "the manifest is invalid or has no row; nothing was sent",
            Self::SomeFailed => "finished; some rows are bad: invalid, rejected, failed, given up or expired",
            Self::Temporary => "not finished; the same command resumes",
            Self::NeedsReview => "some items need your decision: telecine review",
            Self::Fatal => "the service accepts nothing: key, credits, account or address",
            Self::BudgetReached => "--max-rows, --max-uploads or --max-credits is reached",
            Self::TimeUp => "the time of --for is over",
            Self::QuotaPaused => {
                "the quota allows no upload within --quota-exit; next_run_at says when to run again"
            }
            Self::Locked => "another telecine uses the ledger",
            Self::HungUp => "stopped by SIGHUP, as when a terminal closes; the same command resumes",
            Self::Interrupted => "stopped by Ctrl-C; the same command resumes",
            Self::Terminated => "stopped by SIGTERM; the same command resumes",
        }
    }
}

/// Why a command failed. `main` prints it once, with its causes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A flag, variable or file of the configuration is wrong.
    #[error("{0}")]
    Usage(String),
    /// The API key is missing or unusable.
    #[error("{cause}: {advice}")]
    Key {
        cause: String,
        /// What to do.
        advice: String,
    },
    /// A manifest cannot be read at all.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// No HTTP client can be made.
    #[error(transparent)]
    HttpTransport(#[from] HttpSetupError),
    /// The folder of the reports cannot be written. Known before anything is sent.
    #[error("no report can be written to {path}; nothing was sent; choose another folder with --out-dir")]
    ReportFolder {
        path: String,
        /// The error of the system.
        source: std::io::Error,
    },
    /// A report cannot be written.
    #[error(
        "the run has ended, but its report cannot be written ({path}). The ledger has all results (`telecine status`). \
         Free some space or choose another folder with --out-dir, then run the same command again: it sends no row \
         twice and writes the report"
    )]
    Report {
        /// The file or folder.
        path: String,
        /// The error of the system.
        source: std::io::Error,
    },
    /// Standard output cannot be written.
    #[error("cannot write the output")]
    Output(#[source] std::io::Error),
    /// The sandbox cannot be started.
    #[error("the sandbox cannot be started: {0}")]
    Sandbox(String),
    /// A second signal ended the run before the answers of its requests came.
    #[error(
        "stopped at once by a second signal: requests in flight are without an answer in the ledger; the same command resumes"
    )]
    StoppedAtOnce(ExitCode),
    /// The totals do not agree, which is a bug.
    #[error("the totals do not agree: {0}; report this error, and keep the ledger")]
    Totals(String),
}

impl Error {
    /// How the process ends with this error.
    #[must_use]
    pub const fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) | Self::HttpTransport(_) | Self::Sandbox(_) | Self::ReportFolder { .. } => {
                ExitCode::Usage
            }
            Self::Report { .. } | Self::Manifest(ManifestError::Replaced { .. }) => ExitCode::Temporary,
            Self::Key { .. } => ExitCode::Fatal,
            Self::Manifest(_) => ExitCode::ManifestInvalid,
            Self::Ledger(error) => match error {
                LedgerError::Locked { .. } | LedgerError::LeaseHeld { .. } => ExitCode::Locked,
                LedgerError::Newer { .. }
                | LedgerError::Foreign { .. }
                | LedgerError::OtherOrigin { .. }
                | LedgerError::OtherKey { .. }
                | LedgerError::SecondLedger { .. }
                | LedgerError::Missing { .. }
                | LedgerError::Outdated { .. }
                | LedgerError::NetworkDisk { .. }
                | LedgerError::Damaged { .. }
                | LedgerError::Older { .. }
                | LedgerError::HalfRecovered { .. }
                | LedgerError::Unreadable { .. }
                | LedgerError::UnreadableValue { .. }
                | LedgerError::Moved { .. }
                | LedgerError::MovedAway { .. }
                | LedgerError::IsCopy { .. }
                | LedgerError::CopyTarget { .. }
                | LedgerError::CopyProblems { .. }
                | LedgerError::Database { .. }
                | LedgerError::LostCommits { .. }
                | LedgerError::OtherDatabase { .. }
                | LedgerError::Unwritable { .. } => ExitCode::Usage,
                LedgerError::DiskFull
                | LedgerError::FileLimit { .. }
                | LedgerError::ConnectionLost { .. }
                | LedgerError::CommitUnknown { .. }
                | LedgerError::LeaseLost { .. }
                | LedgerError::NotReplicated { .. } => ExitCode::Temporary,
                LedgerError::Broken { .. }
                | LedgerError::CopyDiffers { .. }
                | LedgerError::Panicked { .. }
                | LedgerError::Illegal(_)
                | LedgerError::Impossible { .. } => ExitCode::Unexpected,
            },
            Self::StoppedAtOnce(code) => *code,
            Self::Output(_) | Self::Totals(_) => ExitCode::Unexpected,
        }
    }

    /// The error and its causes, each once.
    #[must_use]
    pub fn chain(&self) -> String {
        use std::error::Error as _;
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.contains(&cause_text) {
                text.push_str(": ");
                text.push_str(&cause_text);
            }
            source = cause.source();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_has_a_number_of_its_own() {
        let mut numbers: Vec<u8> = ExitCode::ALL.iter().map(|code| code.number()).collect();
        numbers.dedup();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 129, 130, 143]);
    }

    #[test]
    fn the_worst_of_several_codes_is_the_one_that_most_needs_a_human() {
        let of = |numbers: &[u8]| {
            let codes = ExitCode::ALL.iter().copied().filter(|code| numbers.contains(&code.number()));
            ExitCode::worst(codes).number()
        };
        for (codes, worst) in [
            (&[][..], 0),
            (&[0], 0),
            (&[0, 11], 11),
            (&[8, 10, 11], 8),
            (&[4, 8, 10, 11], 4),
            (&[4, 5], 5),
            (&[5, 12], 12),
            (&[4, 5, 6, 12], 6),
            (&[3, 6], 3),
            (&[2, 3, 6], 2),
            (&[0, 2, 4, 7, 12], 7),
            (&[1, 7], 1),
            (&[1, 7, 130], 130),
            (&[129, 130, 143], 143),
        ] {
            assert_eq!(of(codes), worst, "{codes:?}");
        }
        for code in ExitCode::ALL {
            assert!(ExitCode::BY_SEVERITY.contains(code), "{code:?} has no place");
        }
    }

    #[test]
    fn the_cause_of_an_error_is_printed_once() {
        let source = std::io::Error::other("disk on fire");
        let error = Error::Report { path: "x.csv".to_owned(), source };
        assert!(error.chain().ends_with("report: disk on fire"), "{}", error.chain());
    }
}

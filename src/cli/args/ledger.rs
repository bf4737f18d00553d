//! Flags that select the ledger.

use std::path::PathBuf;

use clap::Args;

use super::service::Target;

/// Where the ledger is.
#[derive(Args, Debug)]
#[command(next_help_heading = "Ledger")]
pub(in crate::cli) struct LedgerArgs {
    /// The ledger file [default: state/telecine.db].
    ///
    /// It is an SQLite file that records every row and every request. With --sandbox the default is state/sandbox.db.
    #[arg(long, value_name = "PATH", env = "TELECINE_LEDGER")]
    pub(in crate::cli) ledger: Option<PathBuf>,
}

impl LedgerArgs {
    pub(in crate::cli) fn path(&self, target: Target) -> PathBuf {
        self.ledger.clone().unwrap_or_else(|| {
            PathBuf::from(match target {
                Target::Service => "state/telecine.db",
                Target::Sandbox => "state/sandbox.db",
            })
        })
    }
}

/// Which ledger to read, for commands that do not call the service.
#[derive(Args, Debug)]
pub(in crate::cli) struct ReadOnlyLedgerArgs {
    #[command(flatten)]
    pub(in crate::cli) ledger: LedgerArgs,

    /// Use the ledger of `import --sandbox`.
    #[arg(long, env = "TELECINE_SANDBOX", help_heading = "Ledger")]
    pub(in crate::cli) sandbox: bool,
}

impl ReadOnlyLedgerArgs {
    pub(in crate::cli) fn path(&self) -> PathBuf {
        self.ledger.path(if self.sandbox { Target::Sandbox } else { Target::Service })
    }
}

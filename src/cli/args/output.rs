//! Flags for the output, and for the folder of the reports.

use crate::ledger::LedgerPlace;
use std::path::PathBuf;

use clap::Args;

/// What to print, and where to write reports.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Output")]
pub(in crate::cli) struct OutputArgs {
    /// The folder of reports.
    ///
    /// The default is the folder reports/ next to the ledger. Each run writes a folder of its own below it.
    #[arg(short, long, value_name = "DIR", env = "TELECINE_OUT_DIR")]
    pub(in crate::cli) out_dir: Option<PathBuf>,

    /// Print one JSON object per line on stdout.
    #[arg(long, env = "TELECINE_JSON")]
    pub(in crate::cli) json: bool,

    /// Print errors only.
    #[arg(short, long, env = "TELECINE_QUIET")]
    pub(in crate::cli) quiet: bool,
}

impl OutputArgs {
    /// The folder below which each run writes its report.
    pub(in crate::cli) fn reports(&self, ledger: &LedgerPlace) -> PathBuf {
        self.out_dir.clone().unwrap_or_else(|| ledger.folder().join("reports"))
    }
}

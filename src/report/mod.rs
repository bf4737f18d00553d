//! The report of a run, as text, JSON and CSV. It reads snapshots of the ledger only.
//!
//! - Every row of the run's manifests is in exactly one file: `success.csv`, `rejects.csv`, `duplicates.csv` or
//!   `unfinished.csv`. The counts must add up, or the command fails.
//! - Files are written under a temporary name and renamed: a report is complete or absent.
//! - Rows are streamed from the ledger, one at a time.

mod allowed;
mod captures;
mod exit;
mod files;
mod findings;
mod html;
mod library_diff;
mod listed;
mod parity;
mod prune;
mod reasons;
mod run_report;
mod summary;
mod tables;
mod text;
mod timeline;
mod unassigned;

pub use crate::redact::shell_word;
pub use allowed::read_allowed;
pub use exit::{ExitStatus, RunResults, Work, exit_status, stop_code, stop_reason};
pub use findings::{Findings, Severity};
pub use html::{
    LivePart, LiveReport, LiveRun, LiveState, LiveWindow, live_page, live_parts, live_policy, live_sentence,
    page_text, write_page,
};
pub use library_diff::{LibraryDiffReport, show_library_diff, show_recovery, write_library_diff};
pub use listed::ItemTable;
pub use parity::ParityProof;
pub use prune::{KeepPolicy, KeptReport, plan_prune, prune};
pub use reasons::Reason;
pub use run_report::{ReportRequest, RunReport};
pub use summary::{Compared, Counts, EndOfRun, QuotaUse, SCHEMA, Spend, Summary};
pub use tables::TableSource;
pub use text::{
    callbacks_line, counted, show_rows, show_run_report, show_status, show_summary, with_separators,
};
pub use timeline::RunLimits;
pub use unassigned::UnassignedRows;

use std::path::{Path, PathBuf};

use crate::{
    domain::UnixMillis,
    error::Error,
    ledger::{RunId, Snapshot},
};

/// The files of one run's report, with how many rows each holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct ReportFile {
    /// Where it is.
    pub path: PathBuf,
    /// How many rows it holds.
    pub rows: u64,
}

/// Makes the folder of the reports, and writes a file into it, which is removed again.
pub fn try_folder(folder: &Path) -> Result<(), Error> {
    files::try_folder(folder)
        .map_err(|source| Error::ReportFolder { path: folder.display().to_string(), source })
}

/// Writes the CSV files of a run into `folder`, which is made. Returns what was written.
pub fn write_tables(
    snapshot: &Snapshot,
    run: RunId,
    at: UnixMillis,
    folder: &Path,
) -> Result<Vec<ReportFile>, Error> {
    files::make_folder(folder)?;
    tables::write(snapshot, run, at, folder)
}

/// Writes `report.json` into `folder`.
pub fn write_summary(summary: &Summary, folder: &Path) -> Result<PathBuf, Error> {
    let path = folder.join("report.json");
    let mut file = files::Pending::create(&path)?;
    let mut text = serde_json::to_vec_pretty(summary)
        .map_err(|error| Error::Report { path: path.display().to_string(), source: error.into() })?;
    text.push(b'\n');
    file.write_all(&text)?;
    file.publish()?;
    Ok(path)
}

#[cfg(test)]
mod tests;

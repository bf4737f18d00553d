//! Everything that the report of a past run shows, read from the ledger in a few passes.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{
    Counts, ReportFile, Spend,
    captures::Captures,
    parity::ParityProof,
    timeline::{RunLimits, Timeline},
};
use crate::{
    domain::{Price, RowCounts, UnixMillis},
    error::Error,
    ledger::{CauseCount, FaultCount, ManifestCounts, ReportScope, RequestCounts, RunId, RunRow, Snapshot},
};

/// Causes, faults and manifests listed. The rest is counted.
pub(super) const LISTED_MAX: u32 = 12;
/// The files that a run writes.
const FILES: [&str; 8] = [
    "success.csv",
    "rejects.csv",
    "duplicates.csv",
    "unfinished.csv",
    "deleted.csv",
    "drifted.csv",
    "new.csv",
    "report.json",
];

/// Which run to report on, and what the ledger does not know.
#[derive(Clone, Debug)]
pub struct ReportRequest {
    pub run: RunId,
    pub at: UnixMillis,
    /// What an upload costs. `None`: unknown.
    pub price: Option<Price>,
    /// The folder of the run's report. It need not exist.
    pub folder: PathBuf,
    /// The limits that the run kept. `None`: unknown.
    pub limits: Option<RunLimits>,
}

/// A run as it is in the ledger now.
#[derive(Clone, Debug)]
pub struct RunReport {
    pub at: UnixMillis,
    pub service: String,
    pub run: RunRow,
    /// Whether the report is about every item of the ledger: the run read no manifest.
    pub is_of_ledger: bool,
    /// Items of the run's manifests, or of the ledger.
    pub items: Counts,
    /// Items that a later run has read again. They are in its report.
    pub seen_later: u64,
    pub requests: RequestCounts,
    pub spend: Spend,
    /// What the uploads of this run cost at most. `null`: no price was given.
    pub credits_of_run: Option<String>,
    pub manifests: Vec<ManifestCounts>,
    pub causes: Vec<CauseCount>,
    pub faults: Vec<FaultCount>,
    /// `None`: the limits of the run are not known, so that no window is shown.
    pub limits: Option<RunLimits>,
    pub timeline: Timeline,
    pub captures: Captures,
    pub parity: Option<ParityProof>,
    /// The files of the run that exist.
    pub files: Vec<ReportFile>,
}

impl RunReport {
    /// Reads the report of a run.
    pub fn of(snapshot: &Snapshot, request: &ReportRequest) -> Result<Self, Error> {
        let run = snapshot.run(request.run)?;
        let is_of_ledger = run.is_of_ledger();
        let scope = if is_of_ledger { ReportScope::Ledger } else { ReportScope::ReadBy(request.run) };
        let ledger = Counts::from(&snapshot.state_counts()?);
        let items =
            if is_of_ledger { ledger } else { Counts::from(&snapshot.state_counts_of_run(request.run)?) };
        let requests = snapshot.requests_of_run(request.run)?;
        let until = run.ended_at.or(snapshot.last_event_at()?).unwrap_or(run.started_at).max(run.started_at);
        let limits = request.limits.clone();
        let timeline = Timeline::of(
            snapshot,
            request.run,
            run.started_at,
            until,
            limits.as_ref().unwrap_or(&RunLimits::default()),
        )?;
        let credits = |price: Price| price.of(requests.accepted).to_string();
        Ok(Self {
            at: request.at,
            service: snapshot.origin()?,
            seen_later: if is_of_ledger { 0 } else { run.rows.accounted().saturating_sub(items.total) },
            is_of_ledger,
            items,
            requests,
            spend: Spend::of(snapshot, &ledger, request.price)?,
            credits_of_run: request.price.map(credits),
            manifests: snapshot.manifest_counts(request.run, LISTED_MAX)?,
            causes: snapshot.causes(scope, LISTED_MAX)?,
            faults: snapshot.faults(request.run, LISTED_MAX)?,
            limits,
            timeline,
            captures: Captures::of(snapshot, scope)?,
            parity: ParityProof::latest(snapshot)?,
            files: files_in(&request.folder),
            run,
        })
    }

    /// Rows of the run's manifests.
    pub const fn rows(&self) -> &RowCounts {
        &self.run.rows
    }
}

/// The files of a run that exist, with the rows that `report.json` states.
fn files_in(folder: &Path) -> Vec<ReportFile> {
    let summary = std::fs::read(folder.join("report.json")).ok();
    let summary: Value = summary.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let rows_of = |name: &str| {
        let files = summary["files"].as_array()?;
        let file =
            files.iter().find(|file| file["path"].as_str().is_some_and(|path| path.ends_with(name)))?;
        file["rows"].as_u64()
    };
    let existing = FILES.iter().map(|name| (name, folder.join(name))).filter(|(_, path)| path.is_file());
    existing.map(|(name, path)| ReportFile { path, rows: rows_of(name).unwrap_or(0) }).collect()
}

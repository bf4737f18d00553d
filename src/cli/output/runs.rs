//! Runs of a ledger, as text and JSON.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;

use super::safe;
use crate::{
    domain::{UnixMillis, format_duration},
    error::Error,
    ledger::{RunId, RunRow, RunUploads, Snapshot},
    report::with_separators,
};

/// One run.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct RunBody {
    /// The name of the run.
    pub(in crate::cli) run: String,
    /// The command.
    pub(in crate::cli) command: String,
    /// When it started.
    #[schemars(extend("format" = "date-time"))]
    started_at: String,
    /// `null`: the run has not ended, or was killed.
    #[schemars(extend("format" = "date-time"))]
    ended_at: Option<String>,
    /// The exit code. `null`: it runs, or was killed.
    exit_code: Option<u8>,
    /// The cause of the exit code. `null`: it runs, or was killed.
    exit_reason: Option<String>,
}

impl From<&RunRow> for RunBody {
    fn from(run: &RunRow) -> Self {
        Self {
            run: run.name.clone(),
            command: run.command.clone(),
            started_at: run.started_at.to_string(),
            ended_at: run.ended_at.map(|timestamp| timestamp.to_string()),
            exit_code: run.exit_code,
            exit_reason: run.exit_reason.clone(),
        }
    }
}

/// The run with this name, the only one whose name begins so, or the latest one for `last`.
pub(in crate::cli) fn run_of(snapshot: &Snapshot, name: &str) -> Result<RunId, Error> {
    if name == "last" {
        let no_run = || Error::Usage("the ledger holds no run yet".to_owned());
        return snapshot.latest_run()?.ok_or_else(no_run);
    }
    let found = snapshot.runs_named(name)?;
    if let Some((run, found_name)) = found.first()
        && (found_name == name || found.len() == 1)
    {
        return Ok(*run);
    }
    let name = crate::redact::clean(name);
    let names: Vec<String> = found.into_iter().map(|(_, name)| name).collect();
    Err(Error::Usage(if names.is_empty() {
        let latest: Vec<String> = snapshot.runs(5)?.into_iter().map(|run| run.name).collect();
        let latest = latest.join(", ");
        format!(
            "the ledger has no run {name}; the latest runs are {latest} (telecine runs lists all; last is the latest)"
        )
    } else {
        format!("several runs begin with {name}: name one of {}", names.join(", "))
    }))
}

/// How a run ended: `exit 0: …`, `running (process 4711 on host)` or `killed, or the machine stopped`.
pub(in crate::cli) fn end_of(run: &RunRow, running: Option<&str>) -> String {
    match (run.exit_code, &run.exit_reason, running) {
        (Some(code), Some(reason), _) => format!("exit {code}: {}", safe(reason)),
        (_, _, Some(process)) => format!("running ({process})"),
        (_, _, None) => "killed, or the machine stopped".to_owned(),
    }
}

/// How long a run took, or takes.
pub(in crate::cli) fn took(run: &RunRow, now: UnixMillis) -> String {
    let end = run.ended_at.unwrap_or(now);
    format_duration(end.after_now(run.started_at))
}

/// Runs, a line each.
pub(in crate::cli) fn show_latest(runs: &[RunRow], running: Option<(&str, &str)>) -> String {
    let mut text = String::new();
    for run in runs {
        let process = running.filter(|(name, _)| *name == run.name).map(|(_, process)| process);
        let _ = writeln!(text, "    {}  {:<9}  {}", run.name, run.command, end_of(run, process));
    }
    text
}

/// A table of runs.
pub(in crate::cli) fn show_runs(runs: &[(RunRow, RunUploads)], running: Option<(&str, &str)>) -> String {
    let mut text = format!(
        "  {:<25} {:<9} {:>9} {:>10} {:>9} {:>9}  end\n",
        "run", "command", "uploaded", "searchable", "failed", "rejected"
    );
    for (run, uploads) in runs {
        let process = running.filter(|(name, _)| *name == run.name).map(|(_, process)| process);
        let _ = writeln!(
            text,
            "  {:<25} {:<9} {:>9} {:>10} {:>9} {:>9}  {}",
            run.name,
            run.command,
            with_separators(uploads.uploaded),
            with_separators(uploads.searchable),
            with_separators(uploads.failed),
            with_separators(uploads.rejected),
            end_of(run, process)
        );
    }
    text
}

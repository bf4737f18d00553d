//! Findings for spreadsheets, while they come.

use std::{
    io::{self, BufWriter},
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    app::comparison::PlannedRow,
    error::Error,
    ledger::PlannedAction,
    manifest::ScannedRow,
    report::{Findings, Severity},
};

/// Where findings go, if they are wanted: the reader of manifests and the probe both write there.
pub(super) type Shared = Arc<Mutex<Option<Findings<BufWriter<io::Stdout>>>>>;

pub(super) fn find(
    findings: &Shared,
    path: &str,
    met: &ScannedRow<'_>,
    planned: Option<&PlannedRow>,
) -> Result<(), Error> {
    let mut findings = findings.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(findings) = findings.as_mut() else { return Ok(()) };
    match met {
        ScannedRow::Good { line, warnings, .. } => {
            for warning in *warnings {
                findings.problem(path, *line, Severity::Warned, warning)?;
            }
            if let Some(PlannedRow { action: PlannedAction::Drifted(_), changes }) = planned {
                let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
                let message = format!("already sent with other content: {}", changes.join("; "));
                findings.row(path, *line, Severity::Drifted, &message)?;
            }
            Ok(())
        }
        ScannedRow::Duplicate { line, first, changes } => {
            let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
            let changes = if changes.is_empty() {
                String::new()
            } else {
                format!("; it differs: {}", changes.join("; "))
            };
            findings.row(path, *line, Severity::Duplicate, &format!("the same video as {first}{changes}"))
        }
        ScannedRow::Invalid(error) => {
            for problem in &error.problems {
                findings.problem(path, error.line, Severity::Invalid, problem)?;
            }
            Ok(())
        }
    }
}

pub(super) fn is_broken_pipe(error: &Error) -> bool {
    matches!(error, Error::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
}

//! Findings for spreadsheets, while they come.

use std::{
    io::{self, BufWriter},
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    error::Error,
    ledger::Prospect,
    manifest::Met,
    report::{Findings, Severity},
};

/// Where findings go, if they are wanted: the reader of manifests and whoever looks at sources both write there.
pub(super) type Shared = Arc<Mutex<Option<Findings<BufWriter<io::Stdout>>>>>;

pub(super) fn find(
    findings: &Shared,
    path: &str,
    met: &Met<'_>,
    prospect: Option<Prospect>,
) -> Result<(), Error> {
    let mut findings = findings.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(findings) = findings.as_mut() else { return Ok(()) };
    match met {
        Met::Good { line, warnings, .. } => {
            for warning in *warnings {
                findings.problem((path, *line), Severity::Warned, warning)?;
            }
            if matches!(prospect, Some(Prospect::Drifted(_))) {
                findings.row((path, *line), Severity::Drifted, "already sent with other content")?;
            }
            Ok(())
        }
        Met::Duplicate { line, first_line } => {
            findings.row((path, *line), Severity::Duplicate, &format!("the same video as line {first_line}"))
        }
        Met::Rejected(fault) => {
            for problem in &fault.problems {
                findings.problem((path, fault.line), Severity::Rejected, problem)?;
            }
            Ok(())
        }
    }
}

pub(super) fn is_broken_pipe(fault: &Error) -> bool {
    matches!(fault, Error::Output(fault) if fault.kind() == io::ErrorKind::BrokenPipe)
}

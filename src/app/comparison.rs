//! What rows are to the ledger, and what an import would do with them.

use std::collections::BTreeMap;

use crate::{
    clock::Clock,
    domain::{ManifestRow, State},
    error::{Error, ExitCode},
    ledger::{LedgerError, PlannedAction, ProbeRequirement, RerunPolicy, Snapshot},
    manifest::{self, Manifest, Scan, ScanRequest, ScannedRow},
};

/// Lines of drifted rows that are named.
const DRIFTED_NAMED_MAX: usize = 3;

/// What rows are held against.
#[derive(Default)]
pub struct Criteria<'a> {
    pub snapshot: Option<&'a Snapshot>,
    pub reruns: RerunPolicy,
    /// What is demanded of rows that would be sent.
    pub requirement: Option<ProbeRequirement>,
}

impl Criteria<'_> {
    /// What an import would do with a row; none where it would hold the row back.
    fn planned_action(&self, row: Option<&ManifestRow>) -> Result<Option<PlannedAction>, LedgerError> {
        let (Some(row), Some(snapshot)) = (row, self.snapshot) else {
            return Ok(Some(PlannedAction::New).filter(|_| self.requirement.is_none()));
        };
        if let Some(requirement) = &self.requirement
            && snapshot.find_lack(row, self.reruns, requirement)?.is_some()
        {
            return Ok(None);
        }
        snapshot.planned_action(row, self.reruns).map(Some)
    }
}

/// What rows are to a ledger.
#[derive(Debug, Default)]
pub struct LedgerComparison {
    pub would_send: u64,
    /// Would be sent if their sources were known to be fit.
    pub held_back: u64,
    pub known: BTreeMap<State, u64>,
    pub drifted: u64,
    pub drifted_first: Vec<String>,
}

/// Reads manifests, and asks the ledger for every row that could be sent.
pub fn compare(
    manifests: &mut [Manifest],
    criteria: &Criteria<'_>,
    errors_max: Option<u64>,
    mut tell: impl FnMut(&str, &ScannedRow<'_>, Option<PlannedAction>) -> Result<(), Error>,
) -> Result<(Scan, LedgerComparison), Error> {
    let mut comparison = LedgerComparison::default();
    let mut broken: Option<Error> = None;
    let request =
        ScanRequest { now: Clock::real().now(), errors_max, wants_rows: criteria.snapshot.is_some() };
    let scan = manifest::scan(manifests, request, |path, met| {
        if broken.is_some() {
            return;
        }
        let planned_action = match &met {
            ScannedRow::Good { row, .. } => criteria.planned_action(*row).inspect(|planned_action| {
                comparison.held_back += u64::from(planned_action.is_none());
            }),
            ScannedRow::Duplicate { .. } | ScannedRow::Rejected(_) => Ok(None),
        };
        let told = planned_action.map_err(|error: LedgerError| error.into()).and_then(|planned_action| {
            if let (ScannedRow::Good { line, .. }, Some(planned_action)) = (&met, planned_action) {
                comparison.count(path, *line, planned_action);
            }
            tell(path, &met, planned_action)
        });
        broken = told.err();
    })?;
    broken.map_or(Ok((scan, comparison)), Err)
}

impl LedgerComparison {
    /// How many are known, by the word of their state.
    pub fn known_words(&self) -> BTreeMap<&'static str, u64> {
        self.known.iter().map(|(state, count)| (state.as_str(), *count)).collect()
    }

    fn count(&mut self, path: &str, line: u64, planned_action: PlannedAction) {
        let state = match planned_action {
            PlannedAction::New => None,
            PlannedAction::Resent(state) | PlannedAction::Left(state) | PlannedAction::Drifted(state) => {
                Some(state)
            }
        };
        self.would_send += u64::from(matches!(planned_action, PlannedAction::New | PlannedAction::Resent(_)));
        if let Some(state) = state {
            *self.known.entry(state).or_default() += 1;
        }
        if matches!(planned_action, PlannedAction::Drifted(_)) {
            self.drifted += 1;
            if self.drifted_first.len() < DRIFTED_NAMED_MAX {
                self.drifted_first.push(format!("{path}:{line}"));
            }
        }
    }
}

/// The exit code that the rows of manifests give.
#[must_use]
pub fn exit_code(scan: &Scan) -> ExitCode {
    match (scan.rows, scan.good, scan.rejected) {
        (0, ..) => ExitCode::Success,
        (_, 0, _) => ExitCode::ManifestInvalid,
        (_, _, 0) => ExitCode::Success,
        _ => ExitCode::SomeFailed,
    }
}

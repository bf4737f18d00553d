//! What rows are to the ledger, and what an import would do with them.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    domain::{FieldChange, ManifestRow, Problem, State, UnixMillis},
    error::{Error, ExitCode},
    ledger::{LedgerError, PlannedAction, ProbeRequirement, RerunPolicy, Snapshot},
    manifest::{self, LINK_EXPIRED, Manifest, Scan, ScanRequest, ScannedRow},
};

/// Lines of drifted rows that are named.
const DRIFTED_NAMED_MAX: usize = 3;

/// What rows are held against.
pub struct Criteria<'a> {
    /// Links that have expired by now are warned of.
    pub now: UnixMillis,
    pub snapshot: Option<&'a Snapshot>,
    pub reruns: RerunPolicy,
    /// What is demanded of rows that would be sent.
    pub requirement: Option<ProbeRequirement>,
    /// Whether the rows themselves are wanted, also without a ledger.
    pub wants_rows: bool,
}

impl<'a> Criteria<'a> {
    /// Rows as an import would take them now.
    #[must_use]
    pub fn new(now: UnixMillis, snapshot: Option<&'a Snapshot>) -> Self {
        Self { now, snapshot, reruns: RerunPolicy::default(), requirement: None, wants_rows: false }
    }

    /// With what an import does with rows that were sent before, and the most age of a probe that it requires.
    #[must_use]
    pub fn for_import(self, reruns: RerunPolicy, probe_age_max: Option<Duration>) -> Self {
        let requirement = probe_age_max.map(|age_max| ProbeRequirement {
            probed_since: self.now.minus(age_max),
            column: String::new(),
            column_number: 0,
        });
        Self { reruns, requirement, ..self }
    }

    /// What an import would do with a row. `None`: it would hold the row back.
    fn plan(&self, row: Option<&ManifestRow>) -> Result<Option<PlannedRow>, LedgerError> {
        let planned = |action| PlannedRow { action, changes: Vec::new() };
        let (Some(row), Some(snapshot)) = (row, self.snapshot) else {
            return Ok(Some(planned(PlannedAction::New)).filter(|_| self.requirement.is_none()));
        };
        if let Some(requirement) = &self.requirement
            && snapshot.find_lack(row, self.reruns, requirement)?.is_some()
        {
            return Ok(None);
        }
        let mut planned = planned(snapshot.planned_action(row, self.reruns)?);
        if matches!(planned.action, PlannedAction::Drifted(_)) {
            planned.changes = snapshot.differences(row)?;
        }
        Ok(Some(planned))
    }
}

/// What rows are to a ledger.
#[derive(Debug, Default)]
pub struct LedgerComparison {
    pub would_send: u64,
    /// Would be sent if their sources were known to be supported.
    pub held_back: u64,
    pub known: BTreeMap<State, u64>,
    pub drifted: u64,
    /// The first of them, with what changed.
    pub drifted_first: Vec<String>,
    /// Would be sent, but their links have expired: an import leaves them. They are not in `would_send`.
    pub expired: u64,
}

/// What an import would do with a row that can be sent.
#[derive(Debug)]
pub struct PlannedRow {
    pub action: PlannedAction,
    /// The fields in which a drifted row differs from what was sent.
    pub changes: Vec<FieldChange>,
}

impl PlannedRow {
    /// Whether an import would send it, if its link lives long enough.
    #[must_use]
    pub const fn is_sent(&self) -> bool {
        matches!(self.action, PlannedAction::New | PlannedAction::Resent(_) | PlannedAction::Updated(_))
    }
}

/// Reads manifests, and asks the ledger for every row that could be sent.
pub fn compare(
    manifests: &mut [Manifest],
    criteria: &Criteria<'_>,
    errors_max: Option<u64>,
    mut on_row: impl FnMut(&str, &ScannedRow<'_>, Option<&PlannedRow>) -> Result<(), Error>,
) -> Result<(Scan, LedgerComparison), Error> {
    let mut comparison = LedgerComparison::default();
    let mut broken: Option<Error> = None;
    let request = ScanRequest {
        now: criteria.now,
        errors_max,
        wants_rows: criteria.wants_rows || criteria.snapshot.is_some(),
    };
    let scan = manifest::scan(manifests, request, |path, met| {
        if broken.is_some() {
            return;
        }
        let planned = match &met {
            ScannedRow::Good { row, .. } => criteria.plan(*row).inspect(|planned| {
                comparison.held_back += u64::from(planned.is_none());
            }),
            ScannedRow::Duplicate { .. } | ScannedRow::Invalid(_) => Ok(None),
        };
        let compared = planned.map_err(|error: LedgerError| error.into()).and_then(|planned| {
            if let (ScannedRow::Good { line, warnings, .. }, Some(planned)) = (&met, &planned) {
                comparison.count(path, *line, planned, warnings);
            }
            on_row(path, &met, planned.as_ref())
        });
        broken = compared.err();
    })?;
    broken.map_or(Ok((scan, comparison)), Err)
}

impl LedgerComparison {
    /// How many are known, by the word of their state.
    pub fn known_words(&self) -> BTreeMap<&'static str, u64> {
        self.known.iter().map(|(state, count)| (state.as_str(), *count)).collect()
    }

    fn count(&mut self, path: &str, line: u64, planned: &PlannedRow, warnings: &[Problem]) {
        let state = match planned.action {
            PlannedAction::New => None,
            PlannedAction::Resent(state)
            | PlannedAction::Updated(state)
            | PlannedAction::Left(state)
            | PlannedAction::Drifted(state) => Some(state),
        };
        let is_sent = planned.is_sent();
        let is_expired = warnings.iter().any(|warning| warning.class == LINK_EXPIRED);
        self.would_send += u64::from(is_sent && !is_expired);
        self.expired += u64::from(is_sent && is_expired);
        if let Some(state) = state {
            *self.known.entry(state).or_default() += 1;
        }
        if matches!(planned.action, PlannedAction::Drifted(_)) {
            self.drifted += 1;
            if self.drifted_first.len() < DRIFTED_NAMED_MAX {
                let changes: Vec<String> = planned.changes.iter().map(ToString::to_string).collect();
                let changes =
                    if changes.is_empty() { String::new() } else { format!(" ({})", changes.join("; ")) };
                self.drifted_first.push(format!("{path}:{line}{changes}"));
            }
        }
    }
}

/// The exit code that the rows of manifests give.
#[must_use]
pub fn exit_code(scan: &Scan, comparison: &LedgerComparison) -> ExitCode {
    match (scan.rows, scan.good, scan.invalid) {
        // a filter that leaves nothing is a mistake, and a header alone is often an export that failed
        (0, ..) | (_, 0, _) => ExitCode::ManifestInvalid,
        (_, _, 0) if comparison.expired == 0 && comparison.held_back == 0 => ExitCode::Success,
        _ => ExitCode::SomeFailed,
    }
}

//! What rows are to the ledger, and what an import would do with them.

use std::collections::BTreeMap;

use crate::{
    clock::Clock,
    error::Error,
    item::ManifestRow,
    ledger::{LedgerError, ProbeDemand, Prospect, Reruns, Snapshot},
    lifecycle::State,
    manifest::{self, Manifest, Met, Survey, SurveyOrder},
};

/// Lines of drifted rows that are named.
const DRIFTED_NAMED_MAX: usize = 3;

/// What rows are held against.
#[derive(Default)]
pub(super) struct Yardstick<'a> {
    pub(super) snapshot: Option<&'a Snapshot>,
    pub(super) reruns: Reruns,
    /// What is demanded of rows that would be sent.
    pub(super) demand: Option<ProbeDemand>,
}

impl Yardstick<'_> {
    /// What an import would do with a row; none where it would hold the row back.
    fn prospect(&self, row: Option<&ManifestRow>) -> Result<Option<Prospect>, LedgerError> {
        let (Some(row), Some(snapshot)) = (row, self.snapshot) else {
            return Ok(Some(Prospect::New).filter(|_| self.demand.is_none()));
        };
        if let Some(demand) = &self.demand
            && snapshot.find_lack(row, self.reruns, demand)?.is_some()
        {
            return Ok(None);
        }
        snapshot.prospect(row, self.reruns).map(Some)
    }
}

/// What rows are to a ledger.
#[derive(Debug, Default)]
pub(super) struct Standing {
    pub(super) would_send: u64,
    /// Would be sent if their sources were known to be fit.
    pub(super) held_back: u64,
    pub(super) known: BTreeMap<State, u64>,
    pub(super) drifted: u64,
    pub(super) drifted_first: Vec<String>,
}

/// Reads manifests, and asks the ledger for every row that could be sent.
pub(super) fn compare(
    manifests: &mut [Manifest],
    yardstick: &Yardstick<'_>,
    errors_max: Option<u64>,
    mut tell: impl FnMut(&str, &Met<'_>, Option<Prospect>) -> Result<(), Error>,
) -> Result<(Survey, Standing), Error> {
    let mut standing = Standing::default();
    let mut broken: Option<Error> = None;
    let order =
        SurveyOrder { now: Clock::real().now(), errors_max, wants_rows: yardstick.snapshot.is_some() };
    let survey = manifest::survey(manifests, order, |path, met| {
        if broken.is_some() {
            return;
        }
        let prospect = match &met {
            Met::Good { row, .. } => yardstick.prospect(*row).inspect(|prospect| {
                standing.held_back += u64::from(prospect.is_none());
            }),
            Met::Duplicate { .. } | Met::Rejected(_) => Ok(None),
        };
        let told = prospect.map_err(|fault: LedgerError| fault.into()).and_then(|prospect| {
            if let (Met::Good { line, .. }, Some(prospect)) = (&met, prospect) {
                standing.count(path, *line, prospect);
            }
            tell(path, &met, prospect)
        });
        broken = told.err();
    })?;
    broken.map_or(Ok((survey, standing)), Err)
}

impl Standing {
    /// How many are known, by the word of their state.
    pub(super) fn known_words(&self) -> BTreeMap<&'static str, u64> {
        self.known.iter().map(|(state, count)| (state.word(), *count)).collect()
    }

    fn count(&mut self, path: &str, line: u64, prospect: Prospect) {
        let state = match prospect {
            Prospect::New => None,
            Prospect::Resent(state) | Prospect::Left(state) | Prospect::Drifted(state) => Some(state),
        };
        self.would_send += u64::from(matches!(prospect, Prospect::New | Prospect::Resent(_)));
        if let Some(state) = state {
            *self.known.entry(state).or_default() += 1;
        }
        if matches!(prospect, Prospect::Drifted(_)) {
            self.drifted += 1;
            if self.drifted_first.len() < DRIFTED_NAMED_MAX {
                self.drifted_first.push(format!("{path}:{line}"));
            }
        }
    }
}

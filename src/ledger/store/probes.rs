//! Probe findings, and the rows that are held back because their source is not known to be supported.

use super::Store;
use crate::{
    domain::{
        AddressDigest, FieldChange, ManifestRow, Probe, ProbeVerdict, Problem, Reach, State, Submission,
    },
    ledger::{
        DeletedRows, DriftedRows, FailedRows, LedgerError, PlannedAction, ProbeRequirement, RerunPolicy,
        Snapshot,
        sql::Connection,
        values::{impossible, state_of, submission_of},
    },
};

impl Snapshot {
    /// The latest probes of addresses, in the same order.
    pub fn probes(&self, addresses: &[AddressDigest]) -> Result<Vec<Option<Probe>>, LedgerError> {
        addresses.iter().map(|address| self.probe(*address)).collect()
    }

    fn probe(&self, address: AddressDigest) -> Result<Option<Probe>, LedgerError> {
        let mut statement = self
            .connection
            .prepare("SELECT verdict, class, found, size, reach, probed_at FROM probe WHERE address = ?1")?;
        let mut rows = statement.query([address.0])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let as_str: String = row.get(0)?;
        let verdict =
            as_str.parse::<ProbeVerdict>().map_err(|_| impossible(format!("the verdict {as_str:?}")))?;
        let reach: String = row.get(4)?;
        Ok(Some(Probe {
            verdict,
            class: row.get(1)?,
            found: row.get(2)?,
            size: row.get::<_, Option<i64>>(3)?.and_then(|size| u64::try_from(size).ok()),
            reach: if reach == reach_word(Reach::Private) { Reach::Private } else { Reach::Public },
            probed_at: row.get(5)?,
        }))
    }

    /// What an import would do with a row, by the rule it admits rows by.
    pub fn planned_action(
        &self,
        row: &ManifestRow,
        reruns: RerunPolicy,
    ) -> Result<PlannedAction, LedgerError> {
        self.known_item(row)?.map_or(Ok(PlannedAction::New), |known| prospect_of(&known, row, reruns))
    }

    /// The fields in which a row differs from the ledger. Empty for a row that it does not know.
    pub fn differences(&self, row: &ManifestRow) -> Result<Vec<FieldChange>, LedgerError> {
        let Some((.., text)) = self.known_item(row)? else { return Ok(Vec::new()) };
        Ok(submission_of(&text)?.differences(&row.submission))
    }

    /// The missing probe of a row that would be sent, or may be sent once its request in doubt is resolved.
    pub fn find_lack(
        &self,
        row: &ManifestRow,
        reruns: RerunPolicy,
        requirement: &ProbeRequirement,
    ) -> Result<Option<Problem>, LedgerError> {
        let known = self.known_item(row)?;
        let planned_action =
            known.as_ref().map_or(Ok(PlannedAction::New), |known| prospect_of(known, row, reruns))?;
        let earlier = match (planned_action, &known) {
            (PlannedAction::New | PlannedAction::Resent(_) | PlannedAction::Updated(_), _) => None,
            // if the request proves to be absent, the content of that request is sent again
            (
                PlannedAction::Left(
                    State::Sending | State::InDoubt | State::AcceptedUnidentified | State::NeedsReview,
                )
                | PlannedAction::Drifted(
                    State::Sending | State::InDoubt | State::AcceptedUnidentified | State::NeedsReview,
                ),
                Some((.., sent)),
            ) => Some(submission_of(sent)?),
            (PlannedAction::Left(_) | PlannedAction::Drifted(_), _) => return Ok(None),
        };
        for submission in std::iter::once(&row.submission).chain(&earlier) {
            if let Some((class, message, fix)) = self.lack_of(submission, requirement)? {
                return Ok(Some(Problem {
                    column: requirement.column.clone(),
                    column_number: requirement.column_number,
                    value: submission.url.to_string(),
                    class: class.to_owned(),
                    message,
                    fix: fix.to_owned(),
                }));
            }
        }
        Ok(None)
    }

    /// What an address lacks.
    fn lack_of(
        &self,
        submission: &Submission,
        requirement: &ProbeRequirement,
    ) -> Result<Option<ProbeWords>, LedgerError> {
        let hint = "probe it first: telecine check --probe; or leave --probed-only out";
        Ok(match self.probe(submission.url.digest_with(submission.file.as_ref()))? {
            None => Some(("probe_missing", "this source was not probed yet".to_owned(), hint)),
            Some(probe) if probe.verdict != ProbeVerdict::Supported => {
                let class = if probe.verdict == ProbeVerdict::Unsupported {
                    "probe_unsupported"
                } else {
                    "probe_unclear"
                };
                let fix = probe.fix();
                Some((class, probe.found, fix))
            }
            Some(probe) if probe.probed_at < requirement.probed_since => {
                Some(("probe_old", format!("the last probe of this source was at {}", probe.probed_at), hint))
            }
            Some(_) => None,
        })
    }

    fn known_item(&self, row: &ManifestRow) -> Result<Option<KnownItem>, LedgerError> {
        let mut statement =
            self.connection.prepare("SELECT state, fingerprint, submission FROM item WHERE key = ?1")?;
        let found: Option<(String, Vec<u8>, String)> = statement
            .find_row([row.submission.key().0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        found.map(|(as_str, fingerprint, text)| Ok((state_of(&as_str)?, fingerprint, text))).transpose()
    }
}

impl Store {
    /// Records probes. The latest probe of an address counts.
    pub fn record_probes(&self, probes: &[(AddressDigest, Probe)]) -> Result<(), LedgerError> {
        probes.iter().try_for_each(|(address, probe)| upsert(&self.connection, *address, probe))
    }
}

impl Snapshot {
    /// Records a probe beside the process that writes the ledger, and without its lease. Each probe is one statement about one row of a
    /// table that nothing else refers to, so it can neither disturb a transaction of that process nor half happen.
    pub(in crate::ledger) fn record_probe_beside(
        &self,
        address: AddressDigest,
        probe: &Probe,
    ) -> Result<(), LedgerError> {
        upsert(&self.connection, address, probe)
    }
}

fn upsert(connection: &Connection, address: AddressDigest, probe: &Probe) -> Result<(), LedgerError> {
    let size = probe.size.map(|size| i64::try_from(size).unwrap_or(i64::MAX));
    let sql = "INSERT INTO probe (address, verdict, class, found, size, reach, probed_at) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (address) DO UPDATE SET verdict = excluded.verdict, \
               class = excluded.class, found = excluded.found, size = excluded.size, reach = excluded.reach, \
               probed_at = excluded.probed_at";
    let values = (
        address.0,
        probe.verdict.as_str(),
        &probe.class,
        &probe.found,
        size,
        reach_word(probe.reach),
        probe.probed_at.0,
    );
    connection.execute(sql, values).map(drop)
}

const fn reach_word(reach: Reach) -> &'static str {
    match reach {
        Reach::Public => "public",
        Reach::Private => "private",
    }
}

/// What the ledger knows of an item: its state, and the fingerprint and the text of its submission.
type KnownItem = (State, Vec<u8>, String);

fn prospect_of(
    known: &KnownItem,
    row: &ManifestRow,
    reruns: RerunPolicy,
) -> Result<PlannedAction, LedgerError> {
    let (state, fingerprint, sent) = known;
    let state = *state;
    let is_changed = *fingerprint != row.submission.fingerprint();
    if state == State::Deleted && reruns.deleted == DeletedRows::Leave {
        return Ok(PlannedAction::Left(state));
    }
    let is_ordered = is_changed || reruns.failed == FailedRows::Retry;
    let sent_as = if is_changed { PlannedAction::Updated } else { PlannedAction::Resent };
    if matches!(state, State::Pending | State::Deleted) || (is_ordered && reruns.failed.let_change(state)) {
        return Ok(sent_as(state));
    }
    if !is_changed || submission_of(sent)?.has_same_content(&row.submission) {
        return Ok(PlannedAction::Left(state));
    }
    let is_replaced = reruns.drifted == DriftedRows::Resend && state == State::Indexed;
    Ok(if is_replaced { PlannedAction::Updated(state) } else { PlannedAction::Drifted(state) })
}

type ProbeWords = (&'static str, String, &'static str);

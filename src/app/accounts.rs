//! An import for several accounts: which rows are for which account, and which accounts may be imported beside each other.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::{RunKind, RunRequest};
use crate::{
    clock::Clock,
    domain::RowError,
    error::Error,
    events::{Event, EventBus},
    manifest::{self, Example, Manifest, ManifestError},
    report::{self, TableSource, UnassignedRows},
    settings::credentials,
};

/// Rows that are named in a result at most; the file has all of them.
const ROWS_NAMED_MAX: usize = 10;

/// The rows that are for no account.
#[derive(Clone, Debug, Default, serde::Serialize, schemars::JsonSchema)]
pub struct Unassigned {
    /// How many.
    pub rows: u64,
    /// The file that holds them. `null`: none was written.
    pub file: Option<PathBuf>,
    /// The first few.
    pub first: Vec<Example>,
}

impl Unassigned {
    /// Counts a row of this manifest.
    fn note(&mut self, path: &str, row: &RowError) {
        self.rows += 1;
        if let Some(problem) = row.problems.first().filter(|_| self.first.len() < ROWS_NAMED_MAX) {
            self.first.push(Example { path: path.to_owned(), line: row.line, problem: problem.clone() });
        }
    }
}

/// Whose rows some manifests hold.
#[derive(Clone, Debug, Default, serde::Serialize, schemars::JsonSchema)]
pub struct AccountRows {
    /// The rows of each account.
    pub accounts: BTreeMap<String, u64>,
    /// The rows that are for none of them.
    pub unassigned: Unassigned,
}

/// Whose rows some manifests hold, as far as they can be read, and why some were not read to their ends.
pub struct AssignedRows {
    pub rows: AccountRows,
    pub broken: Vec<ManifestError>,
}

/// Counts the rows of each account before an import. Rows that are for no account are reported, and written into a file in a
/// folder of its own below `reports`, if there are any.
pub fn assign_rows(
    manifests: &mut [Manifest],
    known: &BTreeSet<String>,
    reports: &Path,
    events: &EventBus,
) -> Result<AssignedRows, Error> {
    let clock = Clock::real();
    let sources: Vec<TableSource> = manifests.iter().map(source_of).collect();
    let paths: Vec<String> = manifests.iter().map(|manifest| manifest.path().to_owned()).collect();
    let mut file = None;
    let mut assigned = count_readable_rows(manifests, known, |at, row| {
        if file.is_none() {
            report::try_folder(reports)?;
            let folder = reports.join(super::run_name(clock.now()));
            file = Some(UnassignedRows::create(&folder, &sources)?);
        }
        if let Some(file) = &mut file {
            file.write(at, row)?;
        }
        let (path, line, problems) = (paths[at].clone(), row.line, row.problems.clone());
        events.emit(clock.now(), &Event::RowInvalid { path, line, problems });
        Ok(())
    })?;
    if let Some(file) = file {
        assigned.rows.unassigned.file = Some(file.publish()?.path);
    }
    Ok(assigned)
}

fn source_of(manifest: &Manifest) -> TableSource {
    let path = manifest::identity(manifest.path());
    TableSource { path, columns: manifest.column_names().to_vec() }
}

/// Reads manifests to their ends and counts the rows of each account. The accounts of the settings are `known`. `meet` is called
/// with the number of the manifest and every row that is for none of them.
pub fn count_rows(
    manifests: &mut [Manifest],
    known: &BTreeSet<String>,
    meet: impl FnMut(usize, &RowError) -> Result<(), Error>,
) -> Result<AccountRows, Error> {
    let AssignedRows { rows, broken } = count_readable_rows(manifests, known, meet)?;
    broken.into_iter().next().map_or(Ok(rows), |error| Err(error.into()))
}

/// The same for an import: what is broken ends its manifest, and the rows before it are imported.
fn count_readable_rows(
    manifests: &mut [Manifest],
    known: &BTreeSet<String>,
    mut meet: impl FnMut(usize, &RowError) -> Result<(), Error>,
) -> Result<AssignedRows, Error> {
    let (mut rows, mut broken) = (AccountRows::default(), Vec::new());
    let mut ended = Ok(());
    for (at, manifest) in manifests.iter_mut().enumerate() {
        let path = manifest.path().to_owned();
        if manifest.stamp().is_none() {
            return Err(Error::Usage(format!(
                "{path} can be read once only, but is read for each account that it names; write it to a file first"
            )));
        }
        let counted = manifest.count_accounts(known, &mut rows.accounts, |row| {
            rows.unassigned.note(&path, &row);
            if ended.is_ok() {
                ended = meet(at, &row);
            }
        });
        broken.extend(counted.err());
    }
    ended?;
    // where nothing can be read, this is all that there is to say
    if rows.accounts.is_empty() && rows.unassigned.rows == 0 && !broken.is_empty() {
        return Err(broken.swap_remove(0).into());
    }
    Ok(AssignedRows { rows, broken })
}

/// An error if an account would read another file than the one whose rows were counted.
pub fn check_same_manifests(counted: &[Manifest], runs: &[&AccountRun]) -> Result<(), Error> {
    for run in runs {
        if let RunKind::Import(manifests) = &run.kind {
            for (first, later) in counted.iter().zip(manifests) {
                first.check_same(later)?;
            }
        }
    }
    Ok(())
}

/// The import of one account of several.
pub struct AccountRun {
    /// Its name in the settings.
    pub account: String,
    pub request: RunRequest,
    pub kind: RunKind,
}

/// An error if two of them are one account at the service, or have one ledger: what counts the limits of an account must be one.
pub fn check_apart(runs: &[&AccountRun]) -> Result<(), Error> {
    for (at, run) in runs.iter().enumerate() {
        for other in &runs[..at] {
            let names = format!("the accounts {} and {}", other.account, run.account);
            let (own, others) = (&run.request, &other.request);
            if own.ledger == others.ledger {
                return Err(Error::Usage(format!(
                    "{names} have the same ledger {}; leave --ledger out, and each has its own",
                    own.ledger
                )));
            }
            let is_one_account = own.destination.name() == others.destination.name()
                && credentials::key_digest(&own.key) == credentials::key_digest(&others.key);
            if is_one_account && !own.destination.is_sandbox() {
                return Err(Error::Usage(format!(
                    "{names} have the same API key, so they are one account with one quota; give each a key of its own, or use \
                     one name in the manifest"
                )));
            }
        }
    }
    Ok(())
}

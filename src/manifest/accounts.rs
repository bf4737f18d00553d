//! Whose rows a manifest holds, where a rule maps the account: counted in a reading of its own, without the values of the rows.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Manifest, ManifestError,
    convert::{Explanation, problem_at},
    mapping::Field,
    records::Next,
};
use crate::{
    domain::{Problem, RowError},
    suggest,
};

impl Manifest {
    /// Reads to the end and counts the rows of each known account. `meet` is called with every row that is for none of them: its
    /// account is not known, or missing, or cannot be read.
    pub fn count_accounts(
        &mut self,
        known: &BTreeSet<String>,
        counts: &mut BTreeMap<String, u64>,
        mut meet: impl FnMut(RowError),
    ) -> Result<(), ManifestError> {
        let (table, row_reader) = self.parts();
        let column = row_reader.columns.first_of(Field::Account);
        let column = column.map(|column| (column, row_reader.columns.names()[column].as_str()));
        loop {
            let line = match table.next()? {
                Next::End => return Ok(()),
                Next::Fault { line, error } => {
                    meet(error.into_row_fault(line));
                    continue;
                }
                Next::Record { line } => line,
            };
            let cells = match table.records.cells() {
                Ok(cells) => cells,
                Err(column) => {
                    meet(row_reader.not_utf8(line, column, table.records.cells_lossy()));
                    continue;
                }
            };
            match row_reader.account_of(line, &cells) {
                None => {}
                Some(Ok(Some(name))) if known.contains(&name) => *counts.entry(name).or_default() += 1,
                Some(Ok(name)) => {
                    let cells = cells.iter().map(|cell| (*cell).to_owned()).collect();
                    meet(RowError { line, cells, problems: vec![problem_of(name, column, known)] });
                }
                Some(Err(error)) => meet(error),
            }
        }
    }
}

/// Why a row is for no account.
fn problem_of(name: Option<String>, column: Option<(usize, &str)>, known: &BTreeSet<String>) -> Problem {
    let accounts = known.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let Some(name) = name else {
        let message = "the row names no account, and is sent to none".to_owned();
        let fix = format!("write one of {accounts}");
        return problem_at(column, String::new(), Explanation::new("account_missing", message, &fix));
    };
    let near = suggest::nearest(&name, known.iter().map(String::as_str));
    let near = near.map_or_else(String::new, |near| format!("did you mean {near}? "));
    let message = "no settings file has this account, and the row is sent to none".to_owned();
    let fix = format!("{near}the accounts are {accounts}");
    problem_at(column, crate::redact::opaque(&name), Explanation::new("account_unknown", message, &fix))
}

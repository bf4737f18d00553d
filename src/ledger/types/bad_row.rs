//! Bad rows: what a report names as invalid, rejected, failed, given up or expired, and what a human has acknowledged.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::ledger::{ManifestId, RowIssue};

/// A row that is invalid, that was rejected, failed or given up, or whose link expired before it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// A digest of the row and of what is wrong with it. It does not depend on the line, nor on the signature of a link.
    pub(in crate::ledger) digest: [u8; 16],
    pub(in crate::ledger) manifest: ManifestId,
    pub(in crate::ledger) line: u64,
    /// `invalid` (also where the link expired), or the state of the item.
    pub(in crate::ledger) state: &'static str,
    pub(in crate::ledger) cause: String,
}

/// How many rows are bad, and how many of them are news.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct BadRowCounts {
    /// The sum of the others.
    pub total: u64,
    /// Marked with `telecine acknowledge`.
    pub acknowledged: u64,
    /// Reported by an earlier run, with the same cause.
    pub known: u64,
    /// In no earlier report, or with another cause.
    pub new: u64,
}

/// Which bad rows are acknowledged, by whom and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// Those of this state only.
    pub state: Option<String>,
    /// Those whose cause contains this text only.
    pub reason: Option<String>,
    pub who: String,
    pub why: String,
}

/// Where the manifests that are files of telecine, such as `rejects.csv`, have columns of telecine's own.
#[derive(Debug, Default)]
pub struct OwnColumns(pub(in crate::ledger) HashMap<ManifestId, Vec<bool>>);

impl OwnColumns {
    /// The cells that a row has in the manifest that it comes from.
    pub(in crate::ledger) fn original(&self, row: &RowIssue) -> Vec<String> {
        let is_own = self.0.get(&row.manifest).map(Vec::as_slice).unwrap_or_default();
        let cells = row.cells.iter().enumerate();
        cells.filter(|(at, _)| is_own.get(*at) != Some(&true)).map(|(_, cell)| cell.clone()).collect()
    }
}

//! What a row of a manifest is, and what may be wrong with it.

use serde::{Deserialize, Serialize};

use super::Submission;

/// One row of a manifest that can be sent.
#[derive(Clone, PartialEq, Debug)]
pub struct ManifestRow {
    /// The line its record starts on; the first line of a file is 1.
    pub line: u64,
    /// The original cells, untouched.
    pub cells: Vec<String>,
    /// The user's own key, carried into every output.
    pub external_id: Option<String>,
    /// A digest of the video's bytes, as the manifest has it; never sent.
    pub content_hash: Option<String>,
    /// What the user should know though the row is sent.
    pub warnings: Vec<Problem>,
    /// What will be sent.
    pub submission: Submission,
}

/// One row of a manifest that cannot be sent, with all its problems.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RowError {
    /// The line its record starts on.
    pub line: u64,
    /// The original cells, untouched, as far as they could be read.
    pub cells: Vec<String>,
    /// At least one.
    pub problems: Vec<Problem>,
}

/// Counts of rows by their outcome. `read` is the sum of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct RowCounts {
    /// Rows read.
    pub read: u64,
    /// New items.
    pub added: u64,
    /// Known before, unchanged.
    pub known: u64,
    /// Known before, took new content.
    pub updated: u64,
    /// Already sent with other content; the ledger keeps what was sent.
    pub drifted: u64,
    /// The item was seen earlier in the run.
    pub duplicates: u64,
    /// Invalid: they cannot be sent.
    pub invalid: u64,
}

impl RowCounts {
    /// Rows whose item is in the ledger.
    #[must_use]
    pub const fn accounted(&self) -> u64 {
        self.added + self.known + self.updated + self.drifted
    }
}

/// One thing that is wrong with a row, and what to do about it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Problem {
    /// The column at fault, by name or `#number`; empty when it is the whole record.
    pub column: String,
    /// The 1-based number of the column at fault; 0 when it is the whole record.
    pub column_number: usize,
    /// The offending value, shortened, with secrets hidden.
    pub value: String,
    /// A stable word for this kind of fault, such as `url_scheme`.
    pub class: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub fix: String,
}

//! The result of the last `telecine verify`, as the ledger keeps it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    domain::UnixMillis,
    error::{Error, ExitCode},
    ledger::{DiffKind, LedgerError, LibraryDiff, Snapshot, Store},
};

/// The name under which the ledger keeps it.
const NAME: &str = "last verification";

/// What a comparison of the whole library with the ledger showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParityProof {
    pub at: UnixMillis,
    pub exit_code: u8,
    pub verdict: String,
    pub namespaces: Vec<ParityCounts>,
}

/// One namespace of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParityCounts {
    pub namespace: String,
    /// Videos that the service lists.
    pub listed: u64,
    /// Items of the ledger that are bound to a video.
    pub bound: u64,
    /// Videos on which both agree.
    pub matched: u64,
    /// What differs: each kind by its meaning, with its count.
    pub findings: BTreeMap<String, u64>,
}

impl ParityProof {
    /// The result of a comparison.
    pub fn new(at: UnixMillis, code: ExitCode, verdict: &str, library_diffs: &[LibraryDiff]) -> Self {
        let namespaces = library_diffs.iter().map(|diff| ParityCounts {
            namespace: diff.namespace.clone(),
            listed: diff.listed,
            bound: diff.bound,
            matched: diff.matched,
            findings: DiffKind::ALL
                .iter()
                .map(|kind| (kind.meaning().to_owned(), diff.count(*kind)))
                .filter(|(_, count)| *count > 0)
                .collect(),
        });
        let (exit_code, verdict) = (code.number(), verdict.to_owned());
        Self { at, exit_code, verdict, namespaces: namespaces.collect() }
    }

    /// Keeps it in the ledger, in the place of an earlier one.
    pub fn keep(&self, store: &Store) -> Result<(), LedgerError> {
        // it has no value that JSON cannot hold
        let text = serde_json::to_string(self).ok();
        store.kv_set(NAME, text.as_deref(), self.at)
    }

    /// The one that the ledger keeps. `None`: nothing was verified yet, or by a version that wrote it in another form.
    pub fn latest(snapshot: &Snapshot) -> Result<Option<Self>, Error> {
        Ok(snapshot.kv_get(NAME)?.and_then(|text| serde_json::from_str(&text).ok()))
    }
}

//! A survey: reads manifests once and counts, without a ledger and without a network.

use std::collections::{BTreeMap, HashMap};

use super::{Manifest, ManifestError};
use crate::item::{ItemKey, ManifestRow, Problem, RowFault, Submission};

/// Lines remembered for each kind of fault.
const EXAMPLES_MAX: usize = 3;

/// Duplicates are told by this many bytes of the key: 96 bits, so that a key and a line take 16 bytes.
const KEY_BYTES: usize = 12;

/// The table of keys is split so that growing it copies a small part at a time.
const SHARDS: usize = 256;

/// What a manifest holds.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Survey {
    /// Rows read; the sum of the next three.
    pub rows: u64,
    /// Rows that would be sent, or are known to the ledger.
    pub good: u64,
    /// Rows whose item is in an earlier row.
    pub duplicates: u64,
    /// Rows that cannot be sent.
    pub rejected: u64,
    /// Good rows with so many tags that the marker tag has no room: a lost answer can rarely be settled without a human.
    pub without_marker: u64,
    /// Rows that cannot be sent, by kind of fault; a row with two faults counts in both.
    pub faults: BTreeMap<String, FaultCount>,
}

/// One kind of fault.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct FaultCount {
    /// Rows that have it.
    pub rows: u64,
    /// The first few.
    pub examples: Vec<Example>,
}

/// A row that shows a kind of fault.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Example {
    /// The manifest.
    pub path: String,
    /// The line.
    pub line: u64,
    /// What is wrong.
    #[serde(flatten)]
    pub problem: Problem,
}

/// What was seen so far, of which file.
struct Seen {
    shards: Vec<HashMap<[u8; KEY_BYTES], u32>>,
}

impl Seen {
    fn new() -> Self {
        Self { shards: std::iter::repeat_with(HashMap::new).take(SHARDS).collect() }
    }

    /// The line of the first row with this key, if there was one.
    fn first_line(&mut self, key: ItemKey, line: u64) -> Option<u64> {
        let mut short = [0; KEY_BYTES];
        short.copy_from_slice(&key.0[1..=KEY_BYTES]);
        let shard = &mut self.shards[usize::from(key.0[0]) % SHARDS];
        match shard.entry(short) {
            std::collections::hash_map::Entry::Occupied(known) => Some(u64::from(*known.get())),
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(u32::try_from(line).unwrap_or(u32::MAX));
                None
            }
        }
    }
}

/// One row of a survey, as it is met.
#[derive(Debug)]
pub enum Met<'a> {
    /// It can be sent.
    Good(&'a ManifestRow),
    /// Its item was in an earlier row.
    Duplicate {
        /// The line.
        line: u64,
        /// The line of the first.
        first_line: u64,
    },
    /// It cannot be sent.
    Rejected(&'a RowFault),
}

/// Reads manifests to their end. `meet` hears of every row.
pub fn survey(
    manifests: &mut [Manifest],
    mut meet: impl FnMut(&str, Met<'_>),
) -> Result<Survey, ManifestError> {
    let mut survey = Survey::default();
    let mut seen = Seen::new();
    for manifest in manifests {
        let path = manifest.path().to_owned();
        while let Some(row) = manifest.next()? {
            survey.rows += 1;
            match row {
                Ok(row) => {
                    let key = row.submission.key();
                    if let Some(first_line) = seen.first_line(key, row.line) {
                        survey.duplicates += 1;
                        meet(&path, Met::Duplicate { line: row.line, first_line });
                    } else {
                        survey.good += 1;
                        let is_full = row.submission.tags.len() >= Submission::TAGS_MAX;
                        survey.without_marker += u64::from(is_full);
                        meet(&path, Met::Good(&row));
                    }
                }
                Err(fault) => {
                    survey.reject(&path, &fault);
                    meet(&path, Met::Rejected(&fault));
                }
            }
        }
    }
    Ok(survey)
}

impl Survey {
    fn reject(&mut self, path: &str, fault: &RowFault) {
        self.rejected += 1;
        for problem in &fault.problems {
            let count = self.faults.entry(problem.class.clone()).or_default();
            count.rows += 1;
            if count.examples.len() < EXAMPLES_MAX {
                count.examples.push(Example {
                    path: path.to_owned(),
                    line: fault.line,
                    problem: problem.clone(),
                });
            }
        }
    }
}

//! Duplicates: on which line of which manifest their item was first, and what differs.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Manifest, dedup::SeenKeys};
use crate::domain::{FieldChange, ManifestRow};

/// At most this many duplicates of a scan are compared with the first row of their item. It takes a second reading of the file.
const COMPARED_MAX: usize = 1_000;

/// A duplicate that differs from the first row of its item.
#[derive(Clone, Debug, serde::Serialize, schemars::JsonSchema)]
pub struct DuplicateExample {
    /// The manifest.
    pub path: String,
    /// The line.
    pub line: u64,
    /// The manifest of the first row.
    pub first_path: String,
    /// Its line.
    pub first_line: u64,
    /// What the first row has, and what this one has.
    pub changes: Vec<FieldChange>,
}

/// A line of one of the manifests of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LinePlace {
    pub(super) manifest: usize,
    pub(super) line: u64,
}

/// Keys of rows with their places. The lines of the manifests are counted on, so that a place is one number.
pub(super) struct SeenRows {
    keys: SeenKeys,
    /// The lines before each manifest.
    before: Vec<u64>,
    line_max: u64,
}

impl SeenRows {
    pub(super) fn new() -> Self {
        Self { keys: SeenKeys::new(), before: Vec::new(), line_max: 0 }
    }

    /// The next rows are of the next manifest.
    pub(super) fn begin_manifest(&mut self) {
        self.before.push(self.line_max);
    }

    /// Where the first row with this key is, if there was one; else this is the first.
    pub(super) fn first_place(&mut self, key: &[u8; 16], line: u64) -> Option<LinePlace> {
        let before = self.before.last().copied().unwrap_or(0);
        self.line_max = self.line_max.max(before + line);
        let first = self.keys.first_line(key, before + line)?;
        let manifest = self.before.partition_point(|before| *before < first).saturating_sub(1);
        Some(LinePlace { manifest, line: first - self.before.get(manifest).copied().unwrap_or(0) })
    }
}

/// Duplicates that are kept to be compared.
#[derive(Default)]
pub(super) struct KeptDuplicates(Vec<(LinePlace, LinePlace)>);

impl KeptDuplicates {
    /// Keeps a duplicate and the place of the first row; false when there is no room.
    pub(super) fn keep(&mut self, own: LinePlace, first: LinePlace) -> bool {
        let has_room = self.0.len() < COMPARED_MAX;
        if has_room {
            self.0.push((own, first));
        }
        has_room
    }

    /// Every duplicate that is kept, with what differs from the first row. Reads the manifests again as far as needed.
    pub(super) fn compare(self, manifests: &mut [Manifest]) -> Vec<(LinePlace, LinePlace, Vec<FieldChange>)> {
        let mut wanted: BTreeMap<usize, BTreeSet<u64>> = BTreeMap::new();
        for place in self.0.iter().flat_map(|(own, first)| [own, first]) {
            wanted.entry(place.manifest).or_default().insert(place.line);
        }
        let rows: BTreeMap<usize, Vec<ManifestRow>> =
            wanted.iter().map(|(at, lines)| (*at, manifests[*at].rows_on(lines))).collect();
        let on = |place: LinePlace| {
            let rows = rows.get(&place.manifest).map(Vec::as_slice).unwrap_or_default();
            rows.iter().filter(move |row| row.line == place.line).map(|row| &row.submission)
        };
        let changes = |own: LinePlace, first: LinePlace| {
            // two objects may be on one line
            let pair = on(own).find_map(|own| Some((on(first).find(|first| first.key() == own.key())?, own)));
            pair.map(|(first, own)| first.differences(own)).unwrap_or_default()
        };
        self.0.iter().map(|(own, first)| (*own, *first, changes(*own, *first))).collect()
    }
}

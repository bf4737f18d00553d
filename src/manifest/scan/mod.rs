//! A scan: reads manifests once and counts, without a ledger and without a network.

mod duplicates;
pub(super) mod unused;

use std::collections::BTreeMap;

use super::{
    Manifest, ManifestError,
    borrowed_row::BorrowedRow,
    convert::{Explanation, problem_at},
    dedup::SeenKeys,
    lint::PlaceCounts,
    mapping::{Field, FirstColumns},
    workers,
};
use crate::domain::{Coordinates, FieldChange, ManifestRow, Problem, RowError, Submission, UnixMillis};
pub use duplicates::DuplicateExample;
use duplicates::{KeptDuplicates, LinePlace, SeenRows};
pub use unused::UnusedColumn;

/// Lines remembered for each kind of fault.
const EXAMPLES_MAX: usize = 3;

/// Said of a file that changed meanwhile.
const WRITTEN: &str =
    "the file was written while it was read: its last row may be cut off, and an import would not take it";

/// What a manifest holds.
#[derive(Clone, Debug, Default, serde::Serialize, schemars::JsonSchema)]
pub struct Scan {
    /// Rows read; the sum of `good`, `duplicates` and `invalid`.
    pub rows: u64,
    /// Rows that would be sent, or are known to the ledger.
    pub good: u64,
    /// Rows whose item is in an earlier row.
    pub duplicates: u64,
    /// Invalid rows: they cannot be sent.
    pub invalid: u64,
    /// Good rows with something odd about them.
    pub warned: u64,
    /// Rows that a filter left out; they are in none of the other counts.
    pub left_out: u64,
    /// Rows that have no row in a second file.
    pub unmatched: u64,
    /// Good rows with so many tags that the marker tag has no room: a lost answer often needs a review.
    pub without_marker: u64,
    /// Invalid rows, by kind of fault; a row with two faults counts in both.
    pub faults: BTreeMap<String, ProblemCount>,
    /// Rows with something odd about them, by kind.
    pub warnings: BTreeMap<String, ProblemCount>,
    /// Duplicates that differ from the first row of their video, among the first 1,000. The first row is sent.
    pub duplicates_that_differ: u64,
    /// The first few of them.
    pub duplicate_examples: Vec<DuplicateExample>,
    /// Notices about whole manifests, a sentence each.
    pub notices: Vec<String>,
    /// Whether reading ended early, since as many rows as wanted are invalid.
    pub ended_early: bool,
}

/// One kind of fault.
#[derive(Clone, Debug, Default, serde::Serialize, schemars::JsonSchema)]
pub struct ProblemCount {
    /// Rows that have it.
    pub rows: u64,
    /// Of them by column.
    pub columns: BTreeMap<String, u64>,
    /// The first few.
    pub examples: Vec<Example>,
}

impl ProblemCount {
    /// Findings in all columns: a row may have several.
    #[must_use]
    pub fn findings(&self) -> u64 {
        self.columns.values().sum()
    }

    /// Counts a row, and keeps it as an example while there are few.
    pub fn note(&mut self, path: &str, line: u64, problem: &Problem) {
        self.rows += 1;
        *self.columns.entry(problem.column.clone()).or_default() += 1;
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(Example { path: path.to_owned(), line, problem: problem.clone() });
        }
    }
}

/// A row that shows a kind of fault.
#[derive(Clone, Debug, serde::Serialize, schemars::JsonSchema)]
pub struct Example {
    /// The manifest.
    pub path: String,
    /// The line.
    pub line: u64,
    /// What is wrong.
    #[serde(flatten)]
    pub problem: Problem,
}

/// One row of a scan, as it is read.
#[derive(Debug)]
pub enum ScannedRow<'a> {
    /// It can be sent.
    Good {
        /// The line.
        line: u64,
        /// What is odd about it.
        warnings: &'a [Problem],
        /// The row, where rows are wanted.
        row: Option<&'a ManifestRow>,
    },
    /// Its item was in an earlier row.
    Duplicate {
        /// The line.
        line: u64,
        /// Where the first is: `line 2`, or `line 2 of other.csv`.
        first: String,
        /// What differs from it.
        changes: &'a [FieldChange],
    },
    /// It cannot be sent.
    Invalid(&'a RowError),
}

/// What a scan is to do.
#[derive(Clone, Copy, Debug)]
pub struct ScanRequest {
    /// The present time: later dates and expired links are counted.
    pub now: UnixMillis,
    /// Reading ends after this many rows that cannot be sent.
    pub errors_max: Option<u64>,
    /// Whether whole rows are wanted, and not only what is wrong with them.
    pub wants_rows: bool,
}

/// Reads manifests to their end. `meet` is called with every row, in the order of the files.
pub fn scan(
    manifests: &mut [Manifest],
    order: ScanRequest,
    mut meet: impl FnMut(&str, ScannedRow<'_>),
) -> Result<Scan, ManifestError> {
    let mut scanner = Scanner {
        scan: Scan::default(),
        seen: SeenRows::new(),
        seen_content: SeenRows::new(),
        seen_urls: SeenRows::new(),
        ids: IdsOfManifest::default(),
        duplicates: KeptDuplicates::default(),
        places: PlaceCounts::new(),
        paths: manifests.iter().map(|manifest| manifest.path().to_owned()).collect(),
    };
    let has_several = manifests.len() > 1;
    for (at, manifest) in manifests.iter_mut().enumerate() {
        let path = manifest.path().to_owned();
        scanner.seen.begin_manifest();
        scanner.seen_content.begin_manifest();
        scanner.seen_urls.begin_manifest();
        scanner.ids = IdsOfManifest::default();
        let (columns, seeks_ids) = (manifest.columns.firsts(), manifest.seeks_ids);
        let origin = ScannedManifest { manifest: at, path: &path, columns: &columns };
        manifest.warn_at(order.now);
        let (table, row_reader) = manifest.parts();
        let digest = |line: u64, made: Result<BorrowedRow<'_>, RowError>| {
            made.map(|mut borrowed_row| {
                let id = seeks_ids.then(|| borrowed_row.id_key()).flatten();
                Good { id, ..Good::of(line, &mut borrowed_row, order.wants_rows) }
            })
        };
        workers::read(table, &row_reader, digest, |rows| {
            rows.into_iter().all(|row| {
                let is_enough = order.errors_max.is_some_and(|most| scanner.scan.invalid >= most);
                scanner.scan.ended_early |= is_enough;
                if !is_enough {
                    scanner.take(&origin, row, &mut meet);
                }
                !is_enough
            })
        })?;
        scanner.scan.left_out += manifest.left_out();
        scanner.scan.unmatched += manifest.unmatched();
        let named = |notice: String| if has_several { format!("{path}: {notice}") } else { notice };
        let changed = manifest.check_unchanged().err().map(|_| WRITTEN.to_owned());
        let notes = manifest.whole_file_notes(scanner.ids.shared.as_ref());
        scanner.scan.notices.extend(manifest.notices().into_iter().chain(notes).chain(changed).map(named));
        if scanner.scan.ended_early {
            break;
        }
    }
    let kept = std::mem::take(&mut scanner.duplicates);
    for (own, first, changes) in kept.compare(manifests) {
        scanner.take_duplicate(own, first, changes, &mut meet);
    }
    Ok(scanner.scan)
}

/// Ids that are under several urls: the rows of a manifest that have an id which an earlier row has.
#[derive(Clone, Copy, Debug)]
pub(super) struct SharedIds {
    /// The lines of the first two.
    pub(super) first: u64,
    pub(super) line: u64,
    pub(super) rows: u64,
}

/// The ids of the videos of one manifest. A video is met once, so an id that comes again is under another url.
#[derive(Default)]
struct IdsOfManifest {
    seen: SeenKeys,
    shared: Option<SharedIds>,
}

impl IdsOfManifest {
    fn take(&mut self, id: &[u8; 16], line: u64) {
        let Some(first) = self.seen.first_line(id, line) else { return };
        self.shared.get_or_insert(SharedIds { first, line, rows: 0 }).rows += 1;
    }
}

/// What is kept of a row that can be sent.
struct Good {
    line: u64,
    key: [u8; 16],
    /// The digest of the video's bytes, as it is compared and as it is shown.
    content: Option<Box<([u8; 16], String)>>,
    /// The key by the address alone, where another is used.
    url_key: Option<[u8; 16]>,
    /// The digest of its id, where ids under several urls are looked for.
    id: Option<[u8; 16]>,
    place: Option<Coordinates>,
    is_full: bool,
    warnings: Vec<Problem>,
    row: Option<Box<ManifestRow>>,
}

impl Good {
    fn of(line: u64, borrowed_row: &mut BorrowedRow<'_>, wants_row: bool) -> Self {
        let content = borrowed_row.content_hash.take().map(|hash| {
            let mut key = [0; 16];
            key.copy_from_slice(&blake3::hash(hash.to_ascii_lowercase().as_bytes()).as_bytes()[..16]);
            Box::new((key, hash.into_owned()))
        });
        Self {
            line,
            key: borrowed_row.key().0,
            content,
            url_key: borrowed_row.url_key().map(|key| key.0),
            id: None,
            place: borrowed_row.coordinates,
            is_full: borrowed_row.tags.len() >= Submission::TAGS_MAX,
            warnings: std::mem::take(&mut borrowed_row.warnings),
            row: wants_row.then(|| Box::new(borrowed_row.clone().into_row(line, Vec::new()))),
        }
    }
}

/// The manifest that is read.
struct ScannedManifest<'a> {
    manifest: usize,
    path: &'a str,
    columns: &'a FirstColumns,
}

struct Scanner {
    scan: Scan,
    seen: SeenRows,
    /// The digests of videos, where the manifest has them.
    seen_content: SeenRows,
    /// Addresses, where ids say which video a row is.
    seen_urls: SeenRows,
    ids: IdsOfManifest,
    /// They are met at the end, once it is known what differs.
    duplicates: KeptDuplicates,
    places: PlaceCounts,
    paths: Vec<String>,
}

impl Scanner {
    fn take(
        &mut self,
        origin: &ScannedManifest<'_>,
        row: Result<Good, RowError>,
        meet: &mut impl FnMut(&str, ScannedRow<'_>),
    ) {
        let ScannedManifest { manifest, path, columns } = *origin;
        self.scan.rows += 1;
        let mut row = match row {
            Ok(row) => row,
            Err(error) => {
                self.scan.note_invalid(path, &error);
                return meet(path, ScannedRow::Invalid(&error));
            }
        };
        let line = row.line;
        if let Some(first) = self.seen.first_place(&row.key, line) {
            self.scan.duplicates += 1;
            if !self.duplicates.keep(LinePlace { manifest, line }, first) {
                let first = self.name(manifest, first);
                meet(path, ScannedRow::Duplicate { line, first, changes: &[] });
            }
            return;
        }
        self.scan.good += 1;
        self.scan.without_marker += u64::from(row.is_full);
        if let Some(place) = row.place {
            row.warnings.extend(self.places.inspect(place, columns));
        }
        self.look_for_same_content(&mut row, origin);
        self.look_for_same_url(&mut row, origin);
        if let Some(id) = &row.id {
            self.ids.take(id, line);
        }
        self.scan.warned += u64::from(!row.warnings.is_empty());
        count(&mut self.scan.warnings, path, line, &row.warnings);
        meet(path, ScannedRow::Good { line, warnings: &row.warnings, row: row.row.as_deref() });
    }

    /// The same video under another address would be paid twice.
    fn look_for_same_content(&mut self, row: &mut Good, origin: &ScannedManifest<'_>) {
        let Some((key, hash)) = row.content.as_deref() else { return };
        if let Some(first) = self.seen_content.first_place(key, row.line) {
            let message =
                format!("the same bytes as {}, under another url", self.name(origin.manifest, first));
            let fix = "leave one of them out, or both are paid";
            let words = Explanation::new("same_content", message, fix);
            row.warnings.push(problem_at(origin.columns.of(Field::Hash), crate::redact::opaque(hash), words));
        }
    }

    /// The same address under another id would be paid twice.
    fn look_for_same_url(&mut self, row: &mut Good, origin: &ScannedManifest<'_>) {
        let Some(key) = row.url_key else { return };
        if let Some(first) = self.seen_urls.first_place(&key, row.line) {
            let message = format!("the same url as {}, under another id", self.name(origin.manifest, first));
            let fix = "leave one of them out, or both are paid";
            let words = Explanation::new("same_url", message, fix);
            row.warnings.push(problem_at(origin.columns.of(Field::Url), String::new(), words));
        }
    }

    /// `line 2`, or `line 2 of other.csv` for a row of this manifest.
    fn name(&self, manifest: usize, place: LinePlace) -> String {
        match self.paths.get(place.manifest).filter(|_| place.manifest != manifest) {
            Some(path) => format!("line {} of {path}", place.line),
            None => format!("line {}", place.line),
        }
    }

    fn take_duplicate(
        &mut self,
        own: LinePlace,
        first: LinePlace,
        changes: Vec<FieldChange>,
        meet: &mut impl FnMut(&str, ScannedRow<'_>),
    ) {
        let (path, line) = (self.paths[own.manifest].clone(), own.line);
        meet(&path, ScannedRow::Duplicate { line, first: self.name(own.manifest, first), changes: &changes });
        if changes.is_empty() {
            return;
        }
        self.scan.duplicates_that_differ += 1;
        if self.scan.duplicate_examples.len() < EXAMPLES_MAX {
            let (first_path, first_line) = (self.paths[first.manifest].clone(), first.line);
            let example = DuplicateExample { path, line, first_path, first_line, changes };
            self.scan.duplicate_examples.push(example);
        }
    }
}

fn count(counts: &mut BTreeMap<String, ProblemCount>, path: &str, line: u64, problems: &[Problem]) {
    for (at, problem) in problems.iter().enumerate() {
        let count = counts.entry(problem.class.clone()).or_default();
        count.note(path, line, problem);
        // a row with the same fault in two columns is one row
        let is_counted = problems[..at].iter().any(|earlier| earlier.class == problem.class);
        count.rows -= u64::from(is_counted);
    }
}

impl Scan {
    fn note_invalid(&mut self, path: &str, error: &RowError) {
        self.invalid += 1;
        count(&mut self.faults, path, error.line, &error.problems);
    }
}

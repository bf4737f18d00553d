//! Manifests: bytes become rows, each with its line.
//!
//! - Size: a manifest is streamed. Memory is bounded by a few batches of records (at most 1 MiB each), whatever the file's size.
//! - Faults: a bad row is a [`RowError`] and the next row is read; only what makes the whole file unreadable is a
//!   [`ManifestError`].
//! - No network, no ledger, no clock.
//!
//! ```text
//!   bytes -> source (decompress, decode) -> records (CSV, JSON, a list, a worksheet; bounds) -> table (columns) -> join -> mapping -> row (values)
//! ```

mod accounts;
mod addresses;
mod borrowed_row;
mod convert;
mod damage;
mod decompress;
mod dedup;
mod delimiter;
mod dialect;
mod error;
mod escapes;
mod first_header;
mod first_rows;
mod foreign;
mod format;
mod halves;
mod infer;
mod join;
mod json_text;
mod kinds;
mod lint;
mod listed;
mod mapping;
mod named;
mod own_output;
mod records;
mod row_reader;
mod scan;
mod source;
mod spec;
mod stamp;
mod swallowed;
mod table;
mod values;
mod values_as_header;
mod workers;

use std::{collections::BTreeSet, path::PathBuf, sync::atomic::Ordering};

pub use convert::{LoneComma, RowRules, SameBy, Via};
pub use dialect::{Dialect, Encoding, Quote};
pub use error::ManifestError;
pub use infer::{Inference, Proposal, infer};
pub use join::Join;
pub use lint::LINK_EXPIRED;
pub use listed::{BucketWriter, FolderWriter, MediaCells, ObjectListing};
pub use mapping::{Field, Filter, MapRule, MapRuleError, Part, Piece, Selector, Transform};
pub use own_output::sources_of;
pub use records::Format;
pub use scan::{DuplicateExample, Example, ProblemCount, Scan, ScanRequest, ScannedRow, UnusedColumn, scan};
pub use spec::{Header, ManifestSpec};
pub use values::{
    TooLong,
    coordinates::{Axis, CoordinateError, GeoOrder},
    datetime::{DateFormat, DateRules, DatetimeError, OffsetRule},
    missing::MissingRules,
    tags::{TagError, TagSeparator},
};

use crate::domain::{BucketPrefix, ManifestRow, RowError, UnixMillis, is_object_address};
use join::Joined;
use kinds::KindColumns;
use lint::Lint;
use mapping::{Columns, ExplicitRule, unique_names};
use records::{NamedKeys, Next};
use row_reader::{RecordCounts, RowReader};
use stamp::FileState;
use swallowed::RowShape;
use table::{Ask, Table};

/// The name of standard input on the command line.
pub const STDIN: &str = "-";

/// An open manifest: an iterator over rows and row faults.
pub struct Manifest {
    table: Table,
    joined: Vec<Joined>,
    columns: Columns,
    rules: RowRules,
    /// Rows of this account only are wanted.
    account: Option<String>,
    pads_short_rows: bool,
    stamp: Option<String>,
    /// The file when it was opened. `None`: a pipe.
    opened_as: Option<FileState>,
    is_listing: bool,
    counts: RecordCounts,
    /// Finds what is odd about rows. `None`: it is not wanted.
    lint: Option<Lint>,
    unused: Vec<UnusedColumn>,
    /// The bucket that it is.
    listing: Option<ObjectListing>,
    /// What the first rows show of how the columns were recognised, a sentence each.
    notes: Vec<String>,
    /// Whether a check looks for ids that are under several urls.
    seeks_ids: bool,
    /// The columns that say of what kind the file of a row is.
    kinds: KindColumns,
}

/// Resolves which columns of the manifest and of its joined files feed which fields.
fn columns_of(
    spec: &ManifestSpec,
    keys: &NamedKeys,
    table: &Table,
    joined: &[Joined],
) -> Result<Columns, ManifestError> {
    let path = spec.path.as_str();
    let mut names = table.names.clone();
    let mut file_ends = vec![names.len()];
    for joined in joined {
        names.extend_from_slice(if joined.places.is_none() { &joined.names } else { &[] });
        file_ends.push(names.len());
    }
    let is_json = table.format == Format::Json;
    let has_header = table.is_own_output || is_json || table.format == Format::List;
    let map = if is_json { named::rules(&spec.map, keys) } else { spec.map.clone() };
    let columns = Columns::resolve(
        unique_names(&names),
        &table.first,
        &ExplicitRule {
            path,
            header: if has_header { Header::Present } else { spec.header },
            map: &map,
            filters: &spec.filters,
            tags: &spec.tags,
            // columns of telecine's own files are named as in the manifests they come from
            has_paths: is_json || table.is_own_output,
            file_ends,
        },
    )
    .map_err(|error| error.with_arrays(table.addresses_in_arrays()).with_workbook(table.workbook_found()))?;
    if let Some(url) = columns.first_of(Field::Url).filter(|_| is_json && keys.url.is_empty()) {
        named::check_rivals(path, &columns.names()[url], columns.names())?;
    }
    Ok(columns)
}

impl Manifest {
    /// Opens the file, finds out what it is, and resolves the mapping.
    pub fn open(spec: &ManifestSpec) -> Result<Self, ManifestError> {
        let path = spec.path.as_str();
        let is_unlisted = is_object_address(path) && spec.listing.is_none();
        if path.starts_with("http://") || path.starts_with("https://") || is_unlisted {
            return Err(ManifestError::Remote { path: crate::redact::url(path) });
        }
        let keys = named::keys(&spec.map, &spec.filters, &spec.joins);
        named::check_arrays(path, &keys)?;
        let ask = Ask {
            path,
            dialect: &spec.dialect,
            format: spec.format,
            header: spec.header,
            named: keys,
            listing: spec.listing.as_ref(),
        };
        let mut table = Table::open(&ask)?;
        let joined = spec
            .joins
            .iter()
            .map(|join| Joined::read(join, &table.names, table.is_own_output, &spec.rules.missing))
            .collect::<Result<Vec<_>, _>>()?;
        for joined in &joined {
            table.found.extend_from_slice(&joined.found);
        }
        let columns = columns_of(spec, &ask.named, &table, &joined)?;
        let mut manifest = Self {
            stamp: None,
            opened_as: table.file.as_ref().and_then(FileState::of),
            is_listing: spec.listing.is_some(),
            table,
            joined,
            columns,
            rules: spec.rules.clone(),
            account: spec.account.clone(),
            pads_short_rows: spec.dialect.pads_short_rows,
            counts: RecordCounts::default(),
            lint: None,
            unused: Vec::new(),
            listing: spec.listing.clone(),
            notes: Vec::new(),
            seeks_ids: false,
            kinds: KindColumns::default(),
        };
        if manifest.rules.dates.formats.contains(&DateFormat::Spreadsheet) && manifest.has_1904_epoch()? {
            manifest.rules.dates.count_from_1904();
        }
        manifest.rules.dates.has_date_cells = manifest.has_date_cells();
        let sample = manifest.sample(spec.header);
        manifest.check_header(&ask.named, &sample)?;
        manifest.leave_out_texts(spec, &sample);
        manifest.find_out_dates(spec, &sample);
        manifest.find_out_points(&sample);
        let file = manifest.table.file.as_ref();
        manifest.stamp = file.and_then(|file| stamp::of(file, spec, &manifest.rules, &manifest.joined));
        manifest.find_unused(spec, &sample);
        manifest.find_notes(&sample);
        manifest.kinds = KindColumns::find(&manifest.columns, &sample);
        Ok(manifest)
    }

    /// Whether cells are dates by their type; the files of a report have what a workbook had.
    const fn has_date_cells(&self) -> bool {
        matches!(self.table.format, Format::Xlsx) || self.table.is_own_output
    }

    /// Whether telecine wrote this column into a file of its own.
    fn is_own_column(&self, name: &str) -> bool {
        self.table.is_own_output && name.starts_with(crate::csv_injection::OWN_PREFIX)
    }

    /// The path as given.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.table.path
    }

    /// The file's size, time and inode, and the rules it is read by: they are the same while reading it gives the same rows.
    /// `None`: it is no file.
    #[must_use]
    pub fn stamp(&self) -> Option<String> {
        self.stamp.clone()
    }

    /// A digest of the file that is being read, as it is now. `None`: a pipe.
    pub fn digest(&self) -> std::io::Result<Option<blake3::Hash>> {
        let Some(file) = &self.table.file else { return Ok(None) };
        let mut hasher = blake3::Hasher::new();
        for joined in &self.joined {
            hasher.update(joined.digest.as_bytes());
        }
        source::hash(file, &mut hasher)?;
        Ok(Some(hasher.finalize()))
    }

    /// The columns' names; `#1`, `#2` and so on without a header.
    #[must_use]
    pub fn column_names(&self) -> &[String] {
        self.columns.names()
    }

    /// The first column that the url comes from: its number, from 1, and its name.
    #[must_use]
    pub fn url_column(&self) -> (usize, String) {
        let first = self.columns.first_of(Field::Url);
        first.map_or_else(Default::default, |column| (column + 1, self.columns.names()[column].clone()))
    }

    /// What was found out about the file, for the user: `zstd`, `blanks before quotes are skipped`.
    #[must_use]
    pub fn found(&self) -> &[String] {
        &self.table.found
    }

    /// What feeds each field, for the user: `url=service_file, tags=topic+place`.
    #[must_use]
    pub fn mapping(&self) -> String {
        self.columns.describe()
    }

    /// What a user should know of how the columns were recognised, a sentence each.
    #[must_use]
    pub fn column_notes(&self) -> Vec<String> {
        self.columns.rival_notes().into_iter().chain(self.notes.iter().cloned()).collect()
    }

    /// What is to be said of the whole manifest once its rows are read, a sentence each.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        let own = self.counts.notices.sentences(self.columns.names(), &self.rules.dates);
        self.listing.iter().flat_map(ObjectListing::notices).cloned().chain(own).collect()
    }

    /// Columns that feed no field, in their order.
    #[must_use]
    pub fn unused_columns(&self) -> Vec<&str> {
        self.columns.unused().map(|(_, name)| name).filter(|name| !self.is_own_column(name)).collect()
    }

    /// The same, first those that resemble a field.
    #[must_use]
    pub fn unused(&self) -> &[UnusedColumn] {
        &self.unused
    }

    /// From now on rows carry warnings of what is odd about them, such as links that expire. `now` is the time of day.
    pub fn warn_at(&mut self, now: UnixMillis) {
        self.lint = Some(Lint::new(now, self.columns.firsts()));
    }

    /// In which shape its records are written.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.table.format
    }

    /// Rows left out so far because a filter did not hold, or because they are not of the account that is wanted.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.counts.left_out.load(Ordering::Relaxed)
    }

    /// Rows so far that have no row in a second file.
    #[must_use]
    pub fn unmatched(&self) -> u64 {
        self.counts.unmatched.load(Ordering::Relaxed)
    }

    /// Whether the next row can be read without a wait. If not, it may wait for the writer of the pipe.
    #[must_use]
    pub fn has_input(&self) -> bool {
        self.table.file.is_some() || self.table.first_row_is_read || self.table.records.has_buffered_input()
    }

    /// An error if the file was written since it was opened: then its last row may be cut off, and rows may be missing.
    pub fn check_unchanged(&self) -> Result<(), ManifestError> {
        if self.table.file.as_ref().and_then(FileState::of) == self.opened_as {
            return Ok(());
        }
        Err(ManifestError::Changed { path: self.path().to_owned() })
    }

    /// An error if `later`, opened by the same path, reads another file, or joins another one. A listing is made for each reading.
    pub fn check_same(&self, later: &Self) -> Result<(), ManifestError> {
        let digests =
            |manifest: &Self| manifest.joined.iter().map(|joined| joined.digest).collect::<Vec<_>>();
        let is_same = later.opened_as == self.opened_as || self.is_listing;
        if is_same && digests(self) == digests(later) {
            return Ok(());
        }
        Err(ManifestError::Replaced { path: self.path().to_owned() })
    }

    /// The next row, or what is wrong with it. `None`: the end.
    #[expect(
        clippy::should_implement_trait,
        reason = "a lending reader with a fallible step reads better as a loop"
    )]
    pub fn next(&mut self) -> Result<Option<Result<ManifestRow, RowError>>, ManifestError> {
        let (table, row_reader) = self.parts();
        loop {
            let line = match table.next()? {
                Next::End => return Ok(None),
                Next::Fault { line, error } => match row_reader.fault(error.into_row_fault(line)) {
                    Some(fault) => return Ok(Some(Err(fault))),
                    None => continue,
                },
                Next::Record { line } => line,
            };
            let row = match table.records.cells() {
                Ok(cells) => row_reader.row_of(line, &cells),
                Err(column) => {
                    let fault = row_reader.not_utf8(line, column, table.records.cells_lossy());
                    row_reader.fault(fault).map(Err)
                }
            };
            if row.is_some() {
                return Ok(row);
            }
        }
    }

    /// The rows that begin on these lines, from a second reading. None of a pipe.
    fn rows_on(&mut self, lines: &BTreeSet<u64>) -> Vec<ManifestRow> {
        let mut rows = Vec::new();
        let last = lines.last().copied().unwrap_or(0);
        let (table, row_reader) = self.parts();
        let Ok(Some(mut records)) = table.reopened() else { return rows };
        loop {
            match records.read() {
                Ok(Next::Record { line }) if line > last => return rows,
                Ok(Next::Record { line }) if lines.contains(&line) => {
                    let row = records.cells().ok().and_then(|cells| row_reader.row_of(line, &cells));
                    rows.extend(row.and_then(Result::ok).map(|row| ManifestRow { cells: Vec::new(), ..row }));
                }
                Ok(Next::Record { .. } | Next::Fault { .. }) => {}
                Ok(Next::End) | Err(_) => return rows,
            }
        }
    }

    /// The table, and what turns its records into rows.
    fn parts(&mut self) -> (&mut Table, RowReader<'_>) {
        let Self {
            table,
            joined,
            columns,
            rules,
            account,
            counts,
            lint,
            pads_short_rows,
            listing,
            kinds,
            ..
        } = self;
        let lint = lint.as_ref();
        let (is_own_output, is_list) = (table.is_own_output, table.format == Format::List);
        let width = table.names.len();
        // telecine has closed its own quotes
        let url = columns.first_of(Field::Url).filter(|_| !is_own_output && listing.is_none());
        let row_shape = table.delimiter.zip(url).map(|(delimiter, url)| RowShape { width, url, delimiter });
        let pads_short_rows = *pads_short_rows;
        let row_reader = RowReader {
            columns,
            joined,
            rules,
            account: account.as_deref().filter(|_| columns.of(Field::Account).is_some()),
            is_own_output,
            is_list,
            width,
            row_shape,
            pads_short_rows,
            counts,
            lint,
            kinds,
        };
        (table, row_reader)
    }
}

/// The name under which the ledger knows a manifest: its absolute path, so that the same file is the same from any
/// folder; or the address of a bucket.
#[must_use]
pub fn identity(path: &str) -> String {
    if path == STDIN {
        return STDIN.to_owned();
    }
    if let Some(Ok(prefix)) = BucketPrefix::parse(path) {
        return prefix.to_string();
    }
    std::fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from(path)).display().to_string()
}

#[cfg(test)]
mod tests;

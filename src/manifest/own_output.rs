//! Files that telecine wrote, such as `rejects.csv`: the manifests that their rows come from.

use super::{
    DateFormat, Field, Manifest, ManifestError, ManifestSpec, STDIN,
    dialect::Dialect,
    join::Joined,
    table::{Ask, Table},
};

/// The column of telecine's own files that names the manifest of a row.
const SOURCE_COLUMN: &str = "telecine_manifest";
/// A file of rows from more manifests than this names none: no setting is for all of them.
const SOURCES_MAX: usize = 100;

/// The manifests that the rows of a file come from, where telecine wrote it: `rejects.csv` is read as they are. None of any other
/// file.
#[must_use]
pub fn sources_of(path: &str) -> Vec<String> {
    let dialect = Dialect::default();
    let mut sources = Vec::new();
    // standard input can be read once only
    let opened = if path == STDIN { None } else { Table::open(&Ask::with_defaults(path, &dialect)).ok() };
    let Some(mut table) = opened.filter(|table| table.is_own_output) else { return sources };
    let Some(column) = table.names.iter().position(|name| name == SOURCE_COLUMN) else { return sources };
    while let Ok(Some((_, row))) = table.next_row() {
        let Some(source) = row.ok().and_then(|cells| cells.into_iter().nth(column)) else { continue };
        let source = crate::csv_injection::unescape(&source).to_owned();
        if !sources.contains(&source) {
            sources.push(source);
        }
        if sources.len() > SOURCES_MAX {
            return Vec::new();
        }
    }
    sources
}

impl Manifest {
    /// Whether the file that has the times counts its days from 1904 on.
    pub(super) fn has_1904_epoch(&self) -> Result<bool, ManifestError> {
        let Some(column) = self.columns.first_of(Field::Datetime) else { return Ok(false) };
        let is_added = |(at, joined): &(usize, &Joined)| match &joined.places {
            None => self.columns.file_of(column) == at + 1,
            Some(places) => places.contains(&column),
        };
        match self.joined.iter().enumerate().find(is_added) {
            Some((_, joined)) => Ok(joined.has_1904_epoch),
            None if self.table.is_own_output => has_1904_epoch(self.path()),
            None => Ok(self.table.has_1904_epoch()),
        }
    }
}

/// Which of day and month comes first in the files that the rows come from, each order once, as their own first rows show it. A
/// file that is gone, or that telecine wrote itself, cannot be asked.
pub(super) fn date_orders(spec: &ManifestSpec) -> Vec<DateFormat> {
    let is_of_others = |source: &String| {
        let dialect = Dialect::default();
        source != STDIN
            && Table::open(&Ask::with_defaults(source, &dialect)).is_ok_and(|table| !table.is_own_output)
    };
    let mut orders = Vec::new();
    for source in sources_of(&spec.path).into_iter().filter(is_of_others) {
        let read = Manifest::open(&ManifestSpec { path: source, listing: None, ..spec.clone() });
        let order = read.ok().and_then(|manifest| manifest.rules.dates.found);
        orders.extend(order.filter(|order| !orders.contains(order)));
    }
    orders
}

/// Whether the files that the rows come from count their days from 1904 on: telecine's own files keep the numbers as they are.
/// A file that is gone cannot be asked.
fn has_1904_epoch(path: &str) -> Result<bool, ManifestError> {
    let dialect = Dialect::default();
    let epoch_of = |source: &String| {
        Table::open(&Ask::with_defaults(source, &dialect)).ok().map(|table| table.has_1904_epoch())
    };
    let own = sources_of(path);
    let mut epochs = own.iter().filter_map(epoch_of);
    let Some(first) = epochs.next() else { return Ok(false) };
    if epochs.any(|other| other != first) {
        let what = "its rows come from files that count their days from 1900 and from 1904; read the rows of each alone, with \
                    --where and --date-format excel or excel-1904";
        return Err(ManifestError::RowsUnclear { path: path.to_owned(), what: what.to_owned() });
    }
    Ok(first)
}

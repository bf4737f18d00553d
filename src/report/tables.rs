//! The CSV files: every row of the run's manifests in exactly one of them, with its original columns.

use std::{
    collections::HashMap,
    hash::Hash,
    path::{Path, PathBuf},
};

use super::{
    ReportFile,
    files::{self, Pending},
};
use crate::{
    csv_injection,
    domain::{Problem, State, UnixMillis},
    error::Error,
    ledger::{BadRow, ItemRow, ManifestId, OwnColumns, RowIssue, RowIssueKind, RunId, Snapshot},
};

/// A manifest whose rows go into a table.
#[derive(Clone, Debug)]
pub struct TableSource {
    /// As the ledger knows it.
    pub path: String,
    /// The names of its columns.
    pub columns: Vec<String>,
}

/// The original columns of all manifests of a run, side by side.
pub(super) struct ColumnLayout<K> {
    columns: Vec<String>,
    /// For each manifest: its path, and where each of its cells goes; telecine's own columns go nowhere.
    places: HashMap<K, (String, Vec<Option<usize>>)>,
}

impl ColumnLayout<ManifestId> {
    fn of_run(snapshot: &Snapshot, run: RunId) -> Result<Self, Error> {
        let mut layout = Self { columns: Vec::new(), places: HashMap::new() };
        for (source, path, names) in snapshot.manifests_of_run(run)? {
            let places = names.iter().map(|name| layout.place(name)).collect();
            layout.places.insert(source, (path, places));
        }
        Ok(layout)
    }
}

impl ColumnLayout<usize> {
    /// The layout of these manifests, by their numbers from 0 on.
    pub(super) fn of(manifests: &[TableSource]) -> Self {
        let mut layout = Self { columns: Vec::new(), places: HashMap::new() };
        for (number, TableSource { path, columns }) in manifests.iter().enumerate() {
            let places = columns.iter().map(|name| layout.place(name)).collect();
            layout.places.insert(number, (path.clone(), places));
        }
        layout
    }
}

impl<K: Copy + Eq + Hash> ColumnLayout<K> {
    fn place(&mut self, name: &str) -> Option<usize> {
        if name.starts_with(csv_injection::OWN_PREFIX) {
            return None;
        }
        let known = self.columns.iter().position(|own| own == name);
        Some(known.unwrap_or_else(|| {
            self.columns.push(name.to_owned());
            self.columns.len() - 1
        }))
    }

    /// The original cells in the layout's columns, and those that had no column.
    pub(super) fn spread<'a>(&self, source: K, cells: &'a [String]) -> (Vec<&'a str>, Vec<&'a str>) {
        let mut spread = vec![""; self.columns.len()];
        let mut surplus = Vec::new();
        let places = self.places.get(&source).map(|(_, places)| places.as_slice()).unwrap_or_default();
        for (at, cell) in cells.iter().enumerate() {
            match places.get(at) {
                Some(Some(place)) => spread[*place] = cell,
                Some(None) => {}
                None => surplus.push(cell.as_str()),
            }
        }
        (spread, surplus)
    }

    pub(super) fn path(&self, source: K) -> &str {
        self.places.get(&source).map_or("", |(path, _)| path.as_str())
    }
}

/// One CSV file in the making.
pub(super) struct ReportTable {
    writer: csv::Writer<Pending>,
    path: PathBuf,
    rows: u64,
}

impl ReportTable {
    pub(super) fn create<K>(
        folder: &Path,
        name: &str,
        layout: &ColumnLayout<K>,
        own: &[&str],
    ) -> Result<Self, Error> {
        let path = folder.join(name);
        let mut table = Self { writer: csv::Writer::from_writer(Pending::create(&path)?), path, rows: 0 };
        let own = own.iter().map(|column| format!("{}{column}", csv_injection::OWN_PREFIX));
        let header: Vec<String> = layout.columns.iter().cloned().chain(own).collect();
        table.write(header.iter().map(String::as_str))?;
        table.rows = 0;
        Ok(table)
    }

    fn write<'a>(&mut self, cells: impl Iterator<Item = &'a str>) -> Result<(), Error> {
        let cells: Vec<_> = cells.map(csv_injection::escape).collect();
        self.rows += 1;
        self.writer
            .write_record(cells.iter().map(|cell| cell.as_bytes()))
            .map_err(|error| self.error(error.into()))
    }

    pub(super) fn row(&mut self, original: Vec<&str>, own: &[&str]) -> Result<(), Error> {
        self.write(original.into_iter().chain(own.iter().copied()))
    }

    fn error(&self, source: std::io::Error) -> Error {
        files::error(&self.path, source)
    }

    pub(super) fn publish(self) -> Result<ReportFile, Error> {
        let Self { writer, path, rows } = self;
        let pending = writer.into_inner().map_err(|error| files::error(&path, error.into_error()))?;
        pending.publish()?;
        Ok(ReportFile { path, rows })
    }
}

const SUCCESS: &[&str] = &["manifest", "line", "video_no", "sent_at", "accepted_at", "indexed_at"];
pub(super) const REJECTS: &[&str] =
    &["manifest", "line", "result", "class", "column", "value", "message", "fix", "surplus"];
/// The result of a row that cannot be sent. The other results are the states of items.
pub(super) const INVALID: &str = "invalid";
const DUPLICATES: &[&str] = &["manifest", "line", "first_manifest", "first_line", "differs"];
const UNFINISHED: &[&str] = &["manifest", "line", "state", "video_no", "sent_at", "cause"];
const DELETED: &[&str] = &["manifest", "line", "video_no", "deleted_at", "message"];
const NEW: &[&str] = &["manifest", "line", "result", "video_no", "message"];
const DRIFTED: &[&str] = &["manifest", "line", "message"];

struct ReportTables<'a> {
    snapshot: &'a Snapshot,
    /// What became final since then is new.
    started_at: UnixMillis,
    /// The time of the report.
    at: UnixMillis,
    own_columns: OwnColumns,
    layout: ColumnLayout<ManifestId>,
    success: ReportTable,
    rejects: ReportTable,
    duplicates: ReportTable,
    unfinished: ReportTable,
    deleted: ReportTable,
    drifted: ReportTable,
    /// What no earlier report has: rows that became final in this run, and rows that are bad in another way than before.
    new: ReportTable,
}

/// Writes all files of a run. Files that would hold no row are left out, but for `success.csv` and `rejects.csv`.
pub(super) fn write(
    snapshot: &Snapshot,
    run: RunId,
    at: UnixMillis,
    folder: &Path,
) -> Result<Vec<ReportFile>, Error> {
    let layout = ColumnLayout::of_run(snapshot, run)?;
    let mut tables = ReportTables {
        success: ReportTable::create(folder, "success.csv", &layout, SUCCESS)?,
        rejects: ReportTable::create(folder, "rejects.csv", &layout, REJECTS)?,
        duplicates: ReportTable::create(folder, "duplicates.csv", &layout, DUPLICATES)?,
        unfinished: ReportTable::create(folder, "unfinished.csv", &layout, UNFINISHED)?,
        deleted: ReportTable::create(folder, "deleted.csv", &layout, DELETED)?,
        drifted: ReportTable::create(folder, "drifted.csv", &layout, DRIFTED)?,
        new: ReportTable::create(folder, "new.csv", &layout, NEW)?,
        started_at: snapshot.run(run)?.started_at,
        at,
        own_columns: snapshot.own_columns(run)?,
        snapshot,
        layout,
    };
    snapshot.each_row_issue_of_run(run, |row| tables.take_aside(&row))?;
    snapshot.each_item_of_run(run, |row| tables.take_item(&row))?;
    let ReportTables { success, rejects, duplicates, unfinished, deleted, drifted, new, .. } = tables;
    let mut written = vec![success.publish()?, rejects.publish()?];
    for table in [duplicates, unfinished, deleted, drifted, new] {
        let (rows, part) = (table.rows, table.path.with_extension("csv.part"));
        if rows > 0 {
            written.push(table.publish()?);
        } else {
            drop(table);
            std::fs::remove_file(&part).map_err(|source| files::error(&part, source))?;
        }
    }
    Ok(written)
}

impl ReportTables<'_> {
    fn take_item(&mut self, row: &ItemRow) -> Result<(), Error> {
        let bad = BadRow::of_item(row, self.at);
        let is_new = match &bad {
            Some(bad) => self.snapshot.is_acknowledged(bad)?.is_none(),
            None => row.final_at.is_some_and(|timestamp| timestamp >= self.started_at),
        };
        let (original, _) = self.layout.spread(row.manifest, &row.cells);
        let manifest = self.layout.path(row.manifest);
        let line = row.line.to_string();
        let timestamp =
            |at: Option<UnixMillis>| at.map(|timestamp| timestamp.to_string()).unwrap_or_default();
        let video_no = row.video_no.as_deref().unwrap_or_default();
        let cause = row.cause.as_deref().unwrap_or_default();
        if is_new {
            let message = match &bad {
                Some(bad) => bad.cause(),
                None if row.state == State::Indexed => "",
                None => cause,
            };
            self.new.row(original.clone(), &[manifest, &line, row.state.as_str(), video_no, message])?;
        }
        match row.state {
            State::Indexed => {
                let (sent_at, accepted_at) = (timestamp(row.sent_at), timestamp(row.accepted_at));
                let indexed_at = timestamp(row.final_at);
                self.success.row(original, &[manifest, &line, video_no, &sent_at, &accepted_at, &indexed_at])
            }
            State::Rejected | State::Failed | State::Abandoned => {
                let (class, fix) = advice(row.state);
                let result = row.state.as_str();
                self.rejects.row(original, &[manifest, &line, result, class, "", video_no, cause, fix, ""])
            }
            State::Deleted => {
                let deleted_at = timestamp(row.final_at);
                self.deleted.row(original, &[manifest, &line, video_no, &deleted_at, cause])
            }
            State::Pending
            | State::Sending
            | State::InDoubt
            | State::AcceptedUnidentified
            | State::NeedsReview
            | State::Accepted => {
                let sent_at = timestamp(row.sent_at);
                self.unfinished
                    .row(original, &[manifest, &line, row.state.as_str(), video_no, &sent_at, cause])
            }
        }
    }

    fn take_aside(&mut self, row: &RowIssue) -> Result<(), Error> {
        let (original, surplus) = self.layout.spread(row.manifest, &row.cells);
        let manifest = self.layout.path(row.manifest);
        let line = row.line.to_string();
        match row.kind {
            RowIssueKind::Invalid => {
                let [class, column, value, message, fix, surplus] = fault_cells(&row.problems, &surplus);
                if let Some(bad) = BadRow::of_issue(row, &self.own_columns)
                    && self.snapshot.is_acknowledged(&bad)?.is_none()
                {
                    self.new.row(original.clone(), &[manifest, &line, INVALID, "", &message])?;
                }
                let own = [manifest, &line, INVALID, &class, &column, &value, &message, &fix, &surplus];
                self.rejects.row(original, &own)
            }
            RowIssueKind::Duplicate => {
                let first_line = row.first_line.map(|line| line.to_string()).unwrap_or_default();
                let first_manifest = row.first_manifest.as_deref().unwrap_or_default();
                let differs = changes(row);
                self.duplicates.row(original, &[manifest, &line, first_manifest, &first_line, &differs])
            }
            RowIssueKind::Drifted => {
                let message = match changes(row) {
                    none if none.is_empty() => String::new(),
                    changes => format!(" ({changes})"),
                };
                let message =
                    format!("already sent with other content{message}; the service keeps what was sent");
                self.drifted.row(original, &[manifest, &line, &message])
            }
        }
    }
}

/// What `rejects.csv` says of an invalid row: class, column, value, message, fix and surplus cells.
pub(super) fn fault_cells(problems: &[Problem], surplus: &[&str]) -> [String; 6] {
    let all = |part: fn(&Problem) -> &str| {
        problems.iter().map(part).filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ")
    };
    let surplus =
        if surplus.is_empty() { String::new() } else { serde_json::to_string(surplus).unwrap_or_default() };
    [
        all(|problem| &problem.class),
        all(|problem| &problem.column),
        all(|problem| &problem.value),
        all(|problem| &problem.message),
        all(|problem| &problem.fix),
        surplus,
    ]
}

/// `tags: a -> b; camera_model: X -> (none)`.
fn changes(row: &RowIssue) -> String {
    let changes: Vec<&str> = row.problems.iter().map(|change| change.message.as_str()).collect();
    changes.join("; ")
}

const fn advice(state: State) -> (&'static str, &'static str) {
    match state {
        State::Failed => (
            "indexing_failed",
            "check the video (mp4 or m3u8; h264, h265 or vp9), then import it with --retry-failed, which pays again",
        ),
        State::Rejected => ("rejected_by_service", "correct the row and import it again"),
        State::Pending
        | State::Sending
        | State::InDoubt
        | State::AcceptedUnidentified
        | State::NeedsReview
        | State::Accepted
        | State::Indexed
        | State::Deleted
        | State::Abandoned => ("given_up", "import it again if it is wanted after all"),
    }
}

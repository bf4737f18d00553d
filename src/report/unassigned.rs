//! The rows of an import for several accounts that are for none of them, as a `rejects.csv` of the whole import.

use std::path::Path;

use super::{
    ReportFile,
    files::make_folder,
    tables::{ColumnLayout, INVALID, REJECTS, ReportTable, TableSource, fault_cells},
};
use crate::{domain::RowError, error::Error};

/// Rows that are for no account, as they are written.
pub struct UnassignedRows {
    layout: ColumnLayout<usize>,
    table: ReportTable,
}

impl UnassignedRows {
    /// Begins a file in this folder, which is made.
    pub fn create(folder: &Path, manifests: &[TableSource]) -> Result<Self, Error> {
        make_folder(folder)?;
        let layout = ColumnLayout::of(manifests);
        Ok(Self { table: ReportTable::create(folder, "rejects.csv", &layout, REJECTS)?, layout })
    }

    /// Writes a row of the manifest with this number.
    pub fn write(&mut self, manifest: usize, row: &RowError) -> Result<(), Error> {
        let (original, surplus) = self.layout.spread(manifest, &row.cells);
        let [class, column, value, message, fix, surplus] = fault_cells(&row.problems, &surplus);
        let (path, line) = (self.layout.path(manifest), row.line.to_string());
        let own = [path, &line, INVALID, &class, &column, &value, &message, &fix, &surplus];
        self.table.row(original, &own)
    }

    /// Gives the file its name.
    pub fn publish(self) -> Result<ReportFile, Error> {
        self.table.publish()
    }
}

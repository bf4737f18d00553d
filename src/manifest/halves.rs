//! Columns that hold AM and PM alone, found over the whole file: a column that feeds nothing may be empty in the first rows.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// No cell so far.
const NONE: u8 = 0;
/// Every cell so far is AM or PM.
const HALVES: u8 = 1;
/// A cell is something else.
const OTHER: u8 = 2;

/// What was seen in each of some columns. Rows are read by several threads.
#[derive(Debug, Default)]
pub(super) struct Halves {
    columns: Vec<(usize, AtomicU8)>,
}

impl Halves {
    /// Looks at these columns.
    pub(super) fn of(columns: impl Iterator<Item = usize>) -> Self {
        Self { columns: columns.map(|column| (column, AtomicU8::new(NONE))).collect() }
    }

    /// Looks at the cells of a row.
    pub(super) fn note(&self, cells: &[&str]) {
        for (column, seen) in &self.columns {
            if seen.load(Relaxed) == OTHER {
                continue;
            }
            let Some(cell) = cells.get(*column).map(|cell| super::values::trim(cell)) else { continue };
            if !cell.is_empty() {
                seen.fetch_max(if is_half(cell) { HALVES } else { OTHER }, Relaxed);
            }
        }
    }

    /// The first column that holds AM and PM alone.
    pub(super) fn column(&self) -> Option<usize> {
        self.columns.iter().find(|(_, seen)| seen.load(Relaxed) == HALVES).map(|(column, _)| *column)
    }
}

/// Whether a cell is a half of the day.
pub(super) fn is_half(cell: &str) -> bool {
    ["am", "pm", "a.m.", "p.m."].iter().any(|half| cell.eq_ignore_ascii_case(half))
}

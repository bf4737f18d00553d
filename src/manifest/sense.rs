//! What turns the cells of a record into a row: filters, second files, the mapping and the rules of values.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{RowRules, draft::Draft, join::Joined, mapping::Columns, row};
use crate::{
    item::{ManifestRow, RowFault},
    spreadsheet,
};

/// Everything that is known of how to read one manifest's records.
pub(super) struct Sense<'a> {
    pub(super) columns: &'a Columns,
    pub(super) joined: &'a [Joined],
    pub(super) rules: &'a RowRules,
    /// Cells that telecine defused are restored.
    pub(super) is_own_output: bool,
    pub(super) counts: &'a Counts,
}

/// Records that are in no other count.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Left out by a filter.
    pub(super) left_out: AtomicU64,
    /// Without a row in a second file.
    pub(super) unmatched: AtomicU64,
}

/// What is made of a record: a draft, or a fault, with the line and the cells it came from.
pub(super) type Made<'r, 'a> = (u64, &'r [&'a str], Result<Draft<'r>, RowFault>);

impl Sense<'_> {
    /// The row of a record with its original cells; none when a filter leaves it out.
    pub(super) fn row_of(&self, line: u64, cells: Vec<&str>) -> Option<Result<ManifestRow, RowFault>> {
        self.make(line, cells, |(line, cells, made)| {
            let own = || cells.iter().map(|cell| (*cell).to_owned()).collect();
            match made {
                Ok(draft) => Ok(draft.into_row(line, own())),
                Err(fault) => Err(RowFault { cells: own(), ..fault }),
            }
        })
    }

    /// What `digest` makes of a record; none when a filter leaves it out.
    pub(super) fn digest<T>(
        &self,
        line: u64,
        cells: &[&[u8]],
        digest: impl FnOnce(u64, Result<Draft<'_>, RowFault>) -> T,
    ) -> Option<T> {
        let texts: Result<Vec<&str>, usize> = cells
            .iter()
            .enumerate()
            .map(|(number, cell)| std::str::from_utf8(cell).map_err(|_| number))
            .collect();
        match texts {
            Ok(texts) => self.make(line, texts, |(line, _, made)| digest(line, made)),
            Err(column) => {
                let lossy: Vec<String> =
                    cells.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect();
                Some(digest(line, Err(self.not_utf8(line, column, lossy))))
            }
        }
    }

    /// The fault of a record with a cell that is not UTF-8; `column` counts from 0.
    pub(super) fn not_utf8(&self, line: u64, column: usize, cells: Vec<String>) -> RowFault {
        let problems = vec![row::not_utf8(column, self.columns, &cells)];
        RowFault { line, cells, problems }
    }

    fn make<T>(&self, line: u64, mut cells: Vec<&str>, finish: impl FnOnce(Made<'_, '_>) -> T) -> Option<T> {
        if self.is_own_output {
            cells = cells.into_iter().map(spreadsheet::restore).collect();
        }
        let (cells, is_matched) = widen(self.joined, cells);
        if !self.columns.keep(&cells) {
            self.counts.left_out.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        if !is_matched {
            self.counts.unmatched.fetch_add(1, Ordering::Relaxed);
        }
        let made = row::understand(&cells, self.columns, self.rules).map_err(|problems| RowFault {
            line,
            cells: Vec::new(),
            problems,
        });
        Some(finish((line, &cells, made)))
    }
}

/// A record with the columns of second files, and whether all of them had a row for it.
pub(super) fn widen<'a>(joined: &'a [Joined], mut cells: Vec<&'a str>) -> (Vec<&'a str>, bool) {
    let mut is_matched = true;
    for joined in joined {
        let key = cells.get(joined.own).copied().unwrap_or_default();
        let (added, is_there) = joined.of(key);
        cells.extend(added.iter().map(String::as_str));
        is_matched &= is_there;
    }
    (cells, is_matched)
}

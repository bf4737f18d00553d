//! What turns the cells of a record into a row: filters, second files, the mapping and the rules of values.

use std::{
    borrow::Cow,
    sync::atomic::{AtomicU64, Ordering},
};

use super::{
    RowRules,
    borrowed_row::BorrowedRow,
    convert::{self, Explanation, Notices},
    halves::Halves,
    join::Joined,
    kinds::KindColumns,
    lint::Lint,
    mapping::{Columns, Field},
    records::CELL_MAX,
    swallowed::{self, RowShape},
};
use crate::{
    csv_injection,
    domain::{ManifestRow, Problem, RowError},
};

/// Everything that is known of how to read one manifest's records.
pub(super) struct RowReader<'a> {
    pub(super) columns: &'a Columns,
    pub(super) joined: &'a [Joined],
    pub(super) rules: &'a RowRules,
    /// Rows of other accounts are left out, and those whose account cannot be read.
    pub(super) account: Option<&'a str>,
    /// Cells that telecine defused are restored.
    pub(super) is_own_output: bool,
    /// What follows an address and ` #` is a comment.
    pub(super) is_list: bool,
    /// The number of cells that a record must have.
    pub(super) width: usize,
    /// What distinguishes a row inside a quoted cell from text.
    pub(super) row_shape: Option<RowShape>,
    /// Whether missing cells at the end of a record are empty ones.
    pub(super) pads_short_rows: bool,
    pub(super) counts: &'a RecordCounts,
    /// Adds warnings to rows. `None`: only those of values are wanted.
    pub(super) lint: Option<&'a Lint>,
    /// The columns that say of what kind the file of a row is.
    pub(super) kinds: &'a KindColumns,
}

/// Records that are in no other count.
#[derive(Debug, Default)]
pub(super) struct RecordCounts {
    /// Left out by a filter, or as rows of another account.
    pub(super) left_out: AtomicU64,
    /// Without a row in a second file.
    pub(super) unmatched: AtomicU64,
    /// Notices about the whole manifest.
    pub(super) notices: Notices,
    /// Columns that feed nothing and may hold AM and PM.
    pub(super) halves: Halves,
}

/// A record with the columns of second files.
enum Prepared<'c> {
    /// Its cells, and the key's column of the first second file that has no row for it.
    Whole(Cow<'c, [&'c str]>, Option<usize>),
    /// Its cells are not those of the columns.
    Invalid(Cow<'c, [&'c str]>, Problem),
}

impl RowReader<'_> {
    /// The row of a record with its original cells; none when a filter leaves it out.
    pub(super) fn row_of(&self, line: u64, cells: &[&str]) -> Option<Result<ManifestRow, RowError>> {
        self.make(line, cells, |cells, made| {
            let own = || cells.iter().map(|cell| (*cell).to_owned()).collect();
            match made {
                Ok(borrowed_row) => Ok(borrowed_row.into_row(line, own())),
                Err(error) => Err(RowError { cells: own(), ..error }),
            }
        })
    }

    /// What `digest` makes of a record; none when a filter leaves it out.
    pub(super) fn digest<T>(
        &self,
        line: u64,
        cells: &[&str],
        digest: impl FnOnce(u64, Result<BorrowedRow<'_>, RowError>) -> T,
    ) -> Option<T> {
        self.make(line, cells, |_, made| digest(line, made))
    }

    /// The fault of a record with a cell that is not UTF-8; `column` counts from 0.
    pub(super) fn not_utf8(&self, line: u64, column: usize, cells: Vec<String>) -> RowError {
        let problems = vec![convert::not_utf8(column, self.columns, &cells)];
        RowError { line, cells, problems }
    }

    /// A record that cannot be read. `None`: rows of one account are wanted, and nobody knows whose this one is.
    pub(super) fn fault(&self, error: RowError) -> Option<RowError> {
        if self.account.is_none() {
            return Some(error);
        }
        self.counts.left_out.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// The account of a record, or why it cannot be read; none when a filter leaves it out.
    pub(super) fn account_of(&self, line: u64, cells: &[&str]) -> Option<Result<Option<String>, RowError>> {
        let row_error = |problem| RowError {
            line,
            cells: cells.iter().map(|cell| (*cell).to_owned()).collect(),
            problems: vec![problem],
        };
        match self.prepare(line, cells) {
            Prepared::Invalid(_, problem) => Some(Err(row_error(problem))),
            Prepared::Whole(cells, _) if self.columns.keep(&cells) => {
                Some(Ok(convert::value_of(&cells, self.columns, Field::Account)))
            }
            Prepared::Whole(..) => None,
        }
    }

    /// What `finish` makes of the cells, and of the draft or the fault that they are; none when a filter leaves them out.
    fn make<T>(
        &self,
        line: u64,
        cells: &[&str],
        finish: impl FnOnce(&[&str], Result<BorrowedRow<'_>, RowError>) -> T,
    ) -> Option<T> {
        let row_error = |problems| RowError { line, cells: Vec::new(), problems };
        let (cells, unmatched) = match self.prepare(line, cells) {
            Prepared::Whole(cells, unmatched) => (cells, unmatched),
            Prepared::Invalid(cells, problem) => {
                let fault = self.fault(row_error(vec![problem]))?;
                return Some(finish(&cells, Err(fault)));
            }
        };
        if !self.columns.keep(&cells) || !self.is_of_account(&cells) {
            self.counts.left_out.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        if let Some(problem) = self.too_long(&cells) {
            return Some(finish(&cells, Err(row_error(vec![problem]))));
        }
        let mut made =
            convert::convert(&cells, self.columns, self.rules, &self.counts.notices).map_err(row_error);
        if let Some(column) = unmatched {
            self.counts.unmatched.fetch_add(1, Ordering::Relaxed);
            if let Ok(borrowed_row) = &mut made {
                borrowed_row.warnings.push(self.without_partner(column, &cells));
            }
        }
        if self.lint.is_some() {
            self.counts.halves.note(&cells);
        }
        if let (Some(lint), Ok(borrowed_row)) = (self.lint, &mut made) {
            lint.inspect(borrowed_row, &cells, self.columns.names());
            borrowed_row.warnings.extend(self.kinds.warning(&cells, &borrowed_row.address));
        }
        Some(finish(&cells, made))
    }

    /// The cells of a record as they are filtered and converted.
    fn prepare<'c>(&'c self, line: u64, cells: &'c [&'c str]) -> Prepared<'c> {
        let mut cells = Cow::Borrowed(cells);
        if self.is_own_output {
            cells = cells.iter().map(|cell| csv_injection::unescape(cell)).collect();
        }
        if self.is_list
            && let Some(address) = cells.to_mut().first_mut()
        {
            *address = address.split_once(" #").map_or(*address, |(address, _)| address);
        }
        if let Some(problem) = self.rows_inside(line, &cells) {
            return Prepared::Invalid(cells, problem);
        }
        if self.pads_short_rows && cells.len() < self.width {
            cells.to_mut().resize(self.width, "");
        }
        // what is in the wrong columns is neither filtered nor joined
        if cells.len() != self.width {
            let problem = convert::wrong_width(self.width, cells.len());
            return Prepared::Invalid(cells, problem);
        }
        if self.joined.is_empty() {
            return Prepared::Whole(cells, None);
        }
        let (cells, unmatched) = widen(self.joined, cells.into_owned());
        Prepared::Whole(Cow::Owned(cells), unmatched)
    }

    /// Whether a row is of the account that is wanted.
    fn is_of_account(&self, cells: &[&str]) -> bool {
        self.account.is_none_or(|account| {
            convert::value_of(cells, self.columns, Field::Account).is_some_and(|own| own == account)
        })
    }

    /// The problem of a record whose cells hold other rows.
    fn rows_inside(&self, line: u64, cells: &[&str]) -> Option<Problem> {
        let (first, last) = swallowed::lines_inside(cells, self.row_shape?)?;
        let (first, last) = (line + first, line + last);
        let inside =
            if first == last { format!("line {first} is") } else { format!("lines {first} to {last} are") };
        let message = format!("a quote that opens in this row closes in another: {inside} inside one cell");
        let fix = "close the quote in its own line, or double a quote that is part of the text (\"\"); none of these lines is sent";
        Some(convert::problem_at(None, String::new(), Explanation::new("quote_swallows_rows", message, fix)))
    }

    /// The problem of a record in which a cell that feeds a field is too long.
    fn too_long(&self, cells: &[&str]) -> Option<Problem> {
        if cells.iter().all(|cell| cell.len() <= CELL_MAX) {
            return None;
        }
        let column = self
            .columns
            .used()
            .find(|column| cells.get(*column).is_some_and(|cell| cell.len() > CELL_MAX))?;
        let name = self.columns.names().get(column).map(|name| (column, name.as_str()));
        let message = "the cell is longer than 64 KiB".to_owned();
        let fix = "shorten it; a missing closing quote also looks like this";
        Some(convert::problem_at(name, String::new(), Explanation::new("cell_too_long", message, fix)))
    }

    fn without_partner(&self, column: usize, cells: &[&str]) -> Problem {
        let key = cells.get(column).copied().unwrap_or_default();
        let name = self.columns.names().get(column).map(|name| (column, name.as_str()));
        let message = "the file to join has no row with this key".to_owned();
        let fix = "add the row there, or correct the key; the row is sent without its columns";
        convert::problem_at(
            name,
            crate::redact::opaque(key),
            Explanation::new("join_unmatched", message, fix),
        )
    }
}

/// A record with the columns of second files, and the key's column of the first that has no row for it.
pub(super) fn widen<'a>(joined: &'a [Joined], mut cells: Vec<&'a str>) -> (Vec<&'a str>, Option<usize>) {
    let mut unmatched = None;
    for joined in joined {
        let (added, is_there) = joined.of(&cells);
        match &joined.places {
            None => cells.extend(added.iter().map(String::as_str)),
            Some(places) => {
                for (place, added) in places.iter().zip(added) {
                    if let Some(cell) = cells.get_mut(*place).filter(|cell| cell.trim().is_empty()) {
                        *cell = added;
                    }
                }
            }
        }
        if !is_there {
            unmatched = unmatched.or_else(|| joined.own.first().map(|(column, _)| *column));
        }
    }
    (cells, unmatched)
}

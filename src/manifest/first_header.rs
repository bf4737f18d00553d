//! The header of a file that was put together of several: where it comes again.

use super::records::Records;

/// The header as it was read.
#[derive(Debug)]
pub(super) struct FirstHeader {
    cells: Vec<String>,
    /// Of all its cells together, in bytes: every record is compared, and nearly none is as long.
    length: usize,
}

/// Another file may begin with a byte order mark.
const MARK: char = '\u{feff}';

impl FirstHeader {
    pub(super) fn of(cells: &[String]) -> Self {
        let length = cells.iter().map(String::len).sum();
        Self { cells: cells.to_vec(), length }
    }

    /// Whether the record in the buffer has the cells of the header, in another order.
    pub(super) fn comes_in_another_order(&self, records: &Records) -> bool {
        let length = records.text_length();
        let is_as_long = length == Some(self.length) || length == Some(self.length + MARK.len_utf8());
        if !is_as_long || records.width() != self.cells.len() {
            return false;
        }
        let Ok(cells) = records.cells() else { return false };
        let mut again: Vec<&str> = cells.iter().map(|cell| cell.trim_start_matches(MARK)).collect();
        let mut first: Vec<&str> = self.cells.iter().map(String::as_str).collect();
        if again == first {
            return false;
        }
        again.sort_unstable();
        first.sort_unstable();
        again == first
    }
}

//! The header of a file that was put together of several: where one comes again that is not the same.

use super::{
    mapping::{Field, fits},
    records::Records,
};

/// The header as it was read.
#[derive(Debug)]
pub(super) struct FirstHeader {
    names: Vec<String>,
    /// The places of names that mean the url.
    urls: Vec<usize>,
    /// Whether a row may have fewer cells.
    pads_short_rows: bool,
}

/// Another file may begin with a byte order mark.
const MARK: char = '\u{feff}';
/// Of the cells of another header, the first ones show that it is one; nearly no row is looked at further.
const FIRST: usize = 2;

impl FirstHeader {
    pub(super) fn of(cells: &[String], pads_short_rows: bool) -> Self {
        let names: Vec<String> = cells.iter().map(|cell| plain(cell).to_owned()).collect();
        let urls = (0..names.len()).filter(|place| fits(Field::Url, &names[*place])).collect();
        Self { names, urls, pads_short_rows }
    }

    /// Whether the record in the buffer is another header: names in the places of others, so that the rows behind it are not
    /// meant as the first header says.
    pub(super) fn is_another(&self, records: &Records) -> bool {
        let (width, own) = (records.width(), self.names.len());
        let is_as_wide = width == own || width < own && self.pads_short_rows;
        if !is_as_wide || records.has_address() {
            return false;
        }
        let Ok(cells) = records.cells() else { return false };
        let cells: Vec<&str> = cells.into_iter().map(plain).collect();
        let is_name = |cell: &&&str| self.names.iter().any(|name| name.eq_ignore_ascii_case(cell));
        let stands_there =
            |place: usize| cells.get(place).is_some_and(|cell| cell.eq_ignore_ascii_case(&self.names[place]));
        let filled = || cells.iter().filter(|cell| !cell.is_empty());
        let names_the_url = self.urls.iter().any(|place| stands_there(*place));
        if !names_the_url && !filled().take(FIRST).any(|cell| is_name(&cell)) {
            return false;
        }
        let known = filled().filter(is_name).count();
        let is_header = names_the_url || known >= FIRST && known * 2 >= filled().count();
        is_header && !(0..cells.len()).all(stands_there)
    }
}

fn plain(cell: &str) -> &str {
    cell.trim_start_matches(MARK).trim()
}

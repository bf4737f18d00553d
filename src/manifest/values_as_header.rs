//! A header line that holds what rows hold: it is the first row, or the wrong line.

use super::{
    Field, Manifest, ManifestError,
    addresses::{is_media, is_web_address},
    records::NamedKeys,
    values::{datetime::DateRules, trim},
};
use crate::redact;

/// A number of fewer digits may be the name of a column.
const NUMBER_DIGITS_MIN: usize = 3;

/// What a cell is by its form.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CellForm {
    Address,
    FileName,
    Date,
    /// A long number, one with a point, or an identifier in hexadecimal digits.
    Number,
}

impl CellForm {
    fn of(cell: &str) -> Option<Self> {
        let is_digits = |sign: fn(u8) -> bool| cell.bytes().all(|byte| sign(byte) || byte == b'-');
        let has_digit = cell.bytes().any(|byte| byte.is_ascii_digit());
        if is_web_address(cell) {
            Some(Self::Address)
        } else if is_media(cell) {
            Some(Self::FileName)
        } else if !has_digit {
            None
        } else if cell.contains('.') && cell.parse::<f64>().is_ok()
            || cell.len() >= NUMBER_DIGITS_MIN && is_digits(|byte| byte.is_ascii_digit())
            || cell.len() >= 16 && is_digits(|byte| byte.is_ascii_hexdigit())
        {
            // `2018-07-16` is one of these, too, in every row alike
            Some(Self::Number)
        } else {
            DateRules::default().read(cell).is_ok().then_some(Self::Date)
        }
    }
}

impl Manifest {
    /// An error where the header has a value in a column that is read: its row would not be sent, and nobody would hear of it.
    /// A rule may name a column by such a text.
    pub(super) fn check_header(
        &self,
        named: &NamedKeys,
        sample: &[(u64, Vec<String>)],
    ) -> Result<(), ManifestError> {
        const FIELDS: [Field; 6] =
            [Field::Url, Field::Datetime, Field::Latitude, Field::Longitude, Field::Geo, Field::Id];
        if !self.table.has_header || self.table.is_own_output {
            return Ok(());
        }
        let sources = FIELDS.iter().filter_map(|field| self.columns.of(*field)).flatten();
        for column in sources.flat_map(super::mapping::ValueSource::columns) {
            let Some(cell) = self.table.first.get(column).map(|cell| trim(cell)) else { continue };
            let (Some(kind), false) = (CellForm::of(cell), named.all.iter().any(|name| name == cell)) else {
                continue;
            };
            let mut below = sample.iter().filter_map(|(_, cells)| cells.get(column)).map(|cell| trim(cell));
            // a file of one row has no other cell to compare
            let is_alike = match below.find(|cell| !cell.is_empty()) {
                Some(first) => CellForm::of(first) == Some(kind),
                None => matches!(kind, CellForm::Address | CellForm::FileName),
            };
            if is_alike {
                let (path, line) = (self.table.path.clone(), self.table.records.record_line());
                let cell = if kind == CellForm::Address { redact::url(cell) } else { redact::opaque(cell) };
                return Err(ManifestError::ValuesAsHeader { path, line, column: column + 1, cell });
            }
        }
        Ok(())
    }
}

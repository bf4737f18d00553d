//! Links behind the cells of a worksheet: the cell shows a title, and the address is elsewhere in the workbook.

use std::collections::{BTreeMap, HashMap};

use calamine::XlsxError;

use super::{
    cells::{Book, text_of},
    sheet_xml::SheetXml,
};
use crate::manifest::{addresses::is_web_address, values::linked_address};

/// The links of a worksheet.
#[derive(Clone, Debug, Default)]
pub(super) struct SheetLinks {
    /// By row and column, from 0.
    addresses: HashMap<(u32, u32), String>,
    pub(super) has_formulas: bool,
    /// Columns whose cells show something else than the address behind them, with the name of the column that takes it.
    pub(super) columns: BTreeMap<u32, String>,
    /// What a user should know about them.
    pub(super) found: Vec<String>,
}

impl SheetLinks {
    /// Those of a sheet whose first row is this one, from 0, behind its header, if it has one.
    pub(super) fn of(
        book: &mut Book,
        sheet: &str,
        first_row: u32,
        xml: &SheetXml,
    ) -> Result<Self, XlsxError> {
        let mut links = Self { has_formulas: xml.has_link_formulas, ..Self::default() };
        if xml.links == 0 && !xml.has_link_formulas {
            return Ok(links);
        }
        for link in book.hyperlinks_by_sheet_name(sheet)? {
            let Some(target) = link.target.filter(is_web_address) else { continue };
            let place = link.location.map_or_else(String::new, |place| format!("#{place}"));
            links.addresses.insert(link.range.start, target + &place);
        }
        let mut header: HashMap<u32, String> = HashMap::new();
        let mut unread: BTreeMap<u32, u64> = BTreeMap::new();
        let mut reader = book.worksheet_cells_reader(sheet)?;
        while let Some(cell) = reader.next_cell_with_formula()? {
            let ((row, column), text) = (cell.pos, text_of(&cell.value));
            if row + 1 == first_row {
                header.insert(column, text);
                continue;
            }
            if row < first_row || is_web_address(text.trim()) {
                continue;
            }
            if links.behind(row, column, cell.formula.as_deref()).is_some() {
                links.columns.entry(column).or_default();
            } else if cell.formula.is_some_and(|formula| formula.contains("HYPERLINK(")) {
                *unread.entry(column).or_default() += 1;
            }
        }
        let name = |column: u32| {
            let own = header.get(&column).map(|name| name.trim()).filter(|name| !name.is_empty());
            own.map_or_else(|| format!("#{}", column + 1), str::to_owned)
        };
        for (column, link) in &mut links.columns {
            *link = format!("{} (link)", name(*column));
            links
                .found
                .push(format!("links are behind the cells of a column: see {}", crate::redact::clean(link)));
        }
        for (column, cells) in unread {
            links.found.push(format!(
                "{cells} cells of {} have links that a formula makes of other cells, which are not read: map the column with the address",
                crate::redact::clean(&name(column))
            ));
        }
        Ok(links)
    }

    /// The address behind a cell.
    pub(super) fn behind(&self, row: u32, column: u32, formula: Option<&str>) -> Option<String> {
        let made = formula.and_then(linked_address).filter(is_web_address);
        made.or_else(|| self.addresses.get(&(row, column)).cloned())
    }
}

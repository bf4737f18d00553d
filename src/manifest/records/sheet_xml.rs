//! What the XML of a workbook shows before its cells are read: the parts of its sheets, links, hidden rows, merged cells, formulas
//! without a result, and numbers with zeros before them.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
};

use memchr::memmem;

/// A workbook with more links is refused: all of them are in memory.
const LINKS_MAX: u64 = 1_000_000;
/// What a link begins with, and a formula that makes one.
const LINK: &[u8] = b"hyperlink ";
const LINK_FORMULA: &[u8] = b"HYPERLINK(";
const MERGED: &[u8] = b"<mergeCell ";
/// A formula that is followed by no value, as libraries write it that compute nothing.
const NO_RESULT: [&[u8]; 4] = [b"</f></c>", b"</f><v></v>", b"</f><v/>", b"</f><v />"];
/// No text that is looked for is longer.
const LENGTH_MAX: usize = 11;
/// What the number of a cell's style follows.
const STYLE: &[u8] = b" s=\"";
const ROW: &[u8] = b"<row ";
const HIDDEN: [&[u8]; 2] = [b" hidden=\"1\"", b" hidden=\"true\""];
/// The beginning of a row is looked at in whole up to this many bytes.
const ROW_TAG_MAX: usize = 4 * 1024;

/// What the parts of a workbook show.
#[derive(Default)]
pub(super) struct WorkbookXml {
    /// By the name of the part.
    sheets: BTreeMap<String, SheetXml>,
    /// The parts in sheet order, as far as they are known.
    order: Vec<Option<String>>,
    /// Styles that show zeros before a number, and their format, such as `00000`.
    zeros: BTreeMap<u32, String>,
}

/// Small parts, which are read in whole.
pub(super) const LIST_OF_SHEETS: &str = "xl/workbook.xml";
pub(super) const RELATIONS: &str = "xl/_rels/workbook.xml.rels";
pub(super) const STYLES: &str = "xl/styles.xml";

impl WorkbookXml {
    /// What takes the XML of a sheet.
    pub(super) fn sheet_mut(&mut self, part: &str) -> &mut SheetXml {
        self.sheets.entry(part.to_owned()).or_default()
    }

    /// Finds out which part each sheet is.
    pub(super) fn order_sheets(&mut self, list: &str, relations: &str) {
        let parts: BTreeMap<&str, &str> = tags(relations, "Relationship")
            .filter_map(|tag| Some((attribute(tag, " Id")?, attribute(tag, " Target")?)))
            .collect();
        let part_of = |tag| {
            let target = parts.get(attribute(tag, ":id")?)?;
            Some(match target.strip_prefix('/') {
                Some(whole) => whole.to_owned(),
                None => format!("xl/{target}"),
            })
        };
        self.order = tags(list, "sheet").map(part_of).collect();
    }

    /// Looks through the formats of the workbook.
    pub(super) fn note_formats(&mut self, styles: &str) {
        let of_zeros = |code: &&str| code.len() > 1 && code.bytes().all(|byte| byte == b'0');
        let formats: BTreeMap<&str, &str> = tags(styles, "numFmt")
            .filter_map(|tag| {
                Some((attribute(tag, " numFmtId")?, attribute(tag, " formatCode").filter(of_zeros)?))
            })
            .collect();
        let cells = styles.split_once("<cellXfs").map_or("", |(_, rest)| rest);
        let cells = cells.split_once("</cellXfs").map_or(cells, |(cells, _)| cells);
        let used = tags(cells, "xf").map(|tag| formats.get(attribute(tag, " numFmtId")?));
        self.zeros = (0..).zip(used).filter_map(|(style, code)| Some((style, (*code?).to_owned()))).collect();
    }

    /// Whether there are more links than memory is kept for.
    pub(super) fn has_too_many_links(&self) -> bool {
        self.sheets.values().map(|sheet| sheet.links).sum::<u64>() > LINKS_MAX
    }

    /// What the sheet at this place shows; none where its part is not known.
    pub(super) fn sheet(&self, at: usize) -> Option<&SheetXml> {
        self.sheets.get(self.order.get(at)?.as_ref()?)
    }

    /// What a user should know of a sheet, a sentence each.
    pub(super) fn notices(&self, sheet: &SheetXml, name: &str) -> Vec<String> {
        let mut notices = Vec::new();
        if sheet.hidden_rows > 0 {
            notices.push(format!(
                "hidden rows of the sheet {name} ({}) are read like the others, and --where leaves rows out",
                sheet.hidden_rows
            ));
        }
        if sheet.formulas_without_result > 0 {
            notices.push(format!(
                "formulas of the sheet {name} without a stored result ({}) are read as empty cells: open the workbook in a spreadsheet \
                 program and save it",
                sheet.formulas_without_result
            ));
        }
        if let Some(zeros) = sheet.styles.iter().find_map(|style| self.zeros.get(style)) {
            notices.push(format!(
                "numbers that the sheet {name} shows with zeros before them ({zeros}) are read without these: save the sheet as CSV where \
                 such a number is part of an address or an id"
            ));
        }
        notices
    }
}

/// The texts of all tags of this name, whatever their prefix.
fn tags<'a>(xml: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    xml.split('<').skip(1).filter(move |rest| {
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '>' | '/')).unwrap_or(rest.len());
        let own = rest[..end].rsplit(':').next();
        own == Some(name)
    })
}

/// The value of an attribute, whose name is found with what precedes it.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let tag = tag.split('>').next()?;
    let (_, rest) = tag.split_once(&format!("{name}="))?;
    let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    rest[1..].split(quote).next()
}

/// Looks through the XML of a sheet, which arrives in pieces.
#[derive(Default)]
pub(super) struct SheetXml {
    pub(super) links: u64,
    pub(super) has_link_formulas: bool,
    pub(super) has_merged_cells: bool,
    hidden_rows: u64,
    formulas_without_result: u64,
    /// The styles of its cells.
    styles: BTreeSet<u32>,
    /// The end of the last piece: what is looked for may go on in the next.
    tail: Vec<u8>,
}

impl Write for SheetXml {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut text = std::mem::take(&mut self.tail);
        let known = text.len();
        text.extend_from_slice(bytes);
        // what ends within the last piece was found there
        let count = |what: &[u8]| {
            let ends = memmem::find_iter(&text, what).map(|at| at + what.len());
            ends.filter(|end| *end > known).count() as u64
        };
        self.links += count(LINK);
        self.has_link_formulas |= count(LINK_FORMULA) > 0;
        self.has_merged_cells |= count(MERGED) > 0;
        self.formulas_without_result += NO_RESULT.map(count).iter().sum::<u64>();
        for at in memmem::find_iter(&text, STYLE) {
            let digits = text[at + STYLE.len()..].split(|byte| *byte == b'"');
            // a number that is cut off is whole in the next piece
            let is_whole = text[at + STYLE.len()..].contains(&b'"');
            let number = digits.into_iter().next().and_then(|digits| std::str::from_utf8(digits).ok());
            self.styles.extend(number.filter(|_| is_whole).and_then(|number| number.parse::<u32>().ok()));
        }
        let mut kept_from = (text.len() + 1).saturating_sub(LENGTH_MAX);
        for at in memmem::find_iter(&text, ROW) {
            match memchr::memchr(b'>', &text[at..]) {
                Some(end) => {
                    let tag = &text[at..at + end];
                    let is_hidden = HIDDEN.iter().any(|hidden| memmem::find(tag, hidden).is_some());
                    // a row without cells is not read
                    self.hidden_rows += u64::from(is_hidden && !tag.ends_with(b"/"));
                }
                None if text.len() - at <= ROW_TAG_MAX => kept_from = kept_from.min(at),
                None => {}
            }
        }
        self.tail = text.split_off(kept_from);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_for_is_found_once_wherever_a_piece_of_the_file_ends() {
        let xml = b"<row r=\"1\" spans=\"1:2\" hidden=\"1\" ht=\"9\"><c><f>A1</f></c></row><col hidden=\"1\"/><row r=\"2\" hidden=\"1\"/><c r=\"A2\" s=\"12345\"/>\
            <row r=\"3\" hidden=\"true\"><c><f>A1</f><v></v></c><c><f>A1</f><v>1</v></c></row>\
            <mergeCell ref=\"A1:A2\"/><hyperlinks><hyperlink ref=\"A1\"/><hyperlink ref=\"A2\"/><f>HYPERLINK(A1)</f>";
        for size in 1..60 {
            let mut found = SheetXml::default();
            for piece in xml.chunks(size) {
                found.write_all(piece).unwrap();
            }
            let counts = (found.links, found.hidden_rows, found.formulas_without_result);
            assert_eq!(counts, (2, 2, 2), "pieces of {size} bytes");
            assert!(found.has_link_formulas && found.has_merged_cells, "pieces of {size} bytes");
            assert_eq!(found.styles, [12_345].into(), "pieces of {size} bytes");
        }
    }

    #[test]
    fn a_sheet_is_found_whatever_the_prefixes_and_the_quotes_are() {
        let mut xml = WorkbookXml::default();
        xml.sheet_mut("xl/worksheets/b.xml").links = 7;
        xml.order_sheets(
            "<x:sheets><x:sheet name=\"A\" sheetId=\"1\" rel:id='r9'/><x:sheet name=\"B\" sheetId=\"2\" rel:id=\"r1\"/></x:sheets>",
            "<Relationships><Relationship Target=\"worksheets/a.xml\" Id=\"r9\"/><Relationship Id='r1' \
             Target='/xl/worksheets/b.xml'/></Relationships>",
        );
        assert!(xml.sheet(0).is_none() && xml.sheet(2).is_none());
        assert_eq!(xml.sheet(1).map(|sheet| sheet.links), Some(7));
    }
}

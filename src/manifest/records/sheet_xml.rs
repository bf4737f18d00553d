//! What the XML of worksheets shows before their cells are read: links, hidden rows, merged cells, and formulas without a result.

use std::io::{self, Write};

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
const ROW: &[u8] = b"<row ";
const HIDDEN: [&[u8]; 2] = [b" hidden=\"1\"", b" hidden=\"true\""];
/// The beginning of a row is looked at in whole up to this many bytes.
const ROW_TAG_MAX: usize = 4 * 1024;

/// Looks through the XML of sheets, which arrives in pieces.
#[derive(Default)]
pub(super) struct SheetXml {
    pub(super) links: u64,
    pub(super) has_link_formulas: bool,
    pub(super) has_merged_cells: bool,
    pub(super) hidden_rows: u64,
    pub(super) formulas_without_result: u64,
    /// A number format in use that shows zeros before a number, such as `00000`.
    zeros: Option<String>,
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

impl SheetXml {
    /// Whether there are more links than memory is kept for.
    pub(super) const fn has_too_many_links(&self) -> bool {
        self.links > LINKS_MAX
    }

    /// Looks through the formats of the workbook.
    pub(super) fn note_formats(&mut self, styles: &[u8]) {
        let styles = String::from_utf8_lossy(styles);
        let formats = styles.split("<numFmt ").skip(1).filter_map(|rest| {
            let tag = rest.split('>').next()?;
            let of = |name: &str| tag.split_once(name)?.1.split('"').nth(1);
            Some((of("numFmtId=")?, of("formatCode=")?))
        });
        let is_used = |id: &str| styles.matches(&format!("numFmtId=\"{id}\"")).count() > 1;
        let is_of_zeros = |code: &str| code.len() > 1 && code.bytes().all(|byte| byte == b'0');
        let mut zeros = formats.filter(|(id, code)| is_of_zeros(code) && is_used(id));
        self.zeros = zeros.next().map(|(_, code)| code.to_owned());
    }

    /// What a user should know of the sheets, a sentence each.
    pub(super) fn notices(&self) -> Vec<String> {
        let mut notices = Vec::new();
        if self.hidden_rows > 0 {
            notices.push(format!(
                "hidden rows of the workbook ({}) are read like the others, and --where leaves rows out",
                self.hidden_rows
            ));
        }
        if self.formulas_without_result > 0 {
            notices.push(format!(
                "formulas without a stored result ({}) are read as empty cells: open the workbook in a spreadsheet program and save it",
                self.formulas_without_result
            ));
        }
        if let Some(zeros) = &self.zeros {
            notices.push(format!(
                "numbers that the workbook shows with zeros before them ({zeros}) are read without these: save the sheet as CSV where such a \
                 number is part of an address or an id"
            ));
        }
        notices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_for_is_found_once_wherever_a_piece_of_the_file_ends() {
        let xml = b"<row r=\"1\" spans=\"1:2\" hidden=\"1\" ht=\"9\"><c><f>A1</f></c></row><col hidden=\"1\"/><row r=\"2\" hidden=\"1\"/>\
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
        }
    }
}

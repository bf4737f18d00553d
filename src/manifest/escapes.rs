//! Whether a backslash precedes quotes that are part of a text, and whether cells are in single quotes.

use super::{
    dialect::{Dialect, Quote},
    records::{Next, Records},
    source,
};

/// Whether single quotes enclose cells of most of the first records.
pub(super) fn seem_to_be_single_quotes(head: &[u8], delimiter: u8, dialect: &Dialect) -> bool {
    if dialect.quote != Quote::Byte(b'"') || !head.contains(&b'\'') {
        return false;
    }
    let dialect = Dialect { quote: Quote::None, escape: None, lines_before: 0, ..dialect.clone() };
    let mut records = Records::csv(source::of(head), delimiter, &dialect);
    let (mut count, mut opened, mut closed) = (0_usize, 0_usize, 0_usize);
    while let Ok(Next::Record { .. }) = records.read() {
        let cells = records.cells_lossy();
        let cells = || cells.iter().map(|cell| cell.trim()).filter(|cell| cell.len() > 1);
        count += 1;
        opened += cells().filter(|cell| cell.starts_with('\'')).count();
        closed += cells().filter(|cell| cell.ends_with('\'')).count();
    }
    opened > 1 && opened == closed && opened * 2 > count
}

/// Whether more of the first records are as wide as the header when a backslash precedes quotes within cells; or as many, and
/// without it a quote would stand within a cell.
pub(super) fn seem_to_be_backslashes(head: &[u8], delimiter: u8, dialect: &Dialect, width: usize) -> bool {
    let has_escapes = || memchr::memmem::find(head, b"\\\"").is_some();
    if dialect.escape.is_some() || dialect.quote != Quote::Byte(b'"') || !has_escapes() {
        return false;
    }
    let wrong = |escape| {
        let dialect = Dialect { escape, lines_before: 0, ..dialect.clone() };
        let mut records = Records::csv(source::of(head), delimiter, &dialect);
        let (mut wrong, mut right) = (0_usize, 0_usize);
        loop {
            match records.read() {
                Ok(Next::Record { .. }) if records.width() == width => right += 1,
                Ok(Next::Record { .. } | Next::Fault { .. }) => wrong += 1,
                Ok(Next::End) | Err(_) => return (wrong, std::cmp::Reverse(right)),
            }
        }
    };
    let (escaped, plain) = (wrong(Some(b'\\')), wrong(None));
    escaped < plain || (escaped == plain && has_inner_quote(head, delimiter))
}

/// Whether a quote behind a backslash is within a quoted cell: neither does the cell end there, nor is it doubled.
fn has_inner_quote(head: &[u8], delimiter: u8) -> bool {
    let mut is_quoted = false;
    let mut before = delimiter;
    for (at, byte) in head.iter().copied().enumerate() {
        if byte == b'"' {
            let next = head.get(at + 1).copied();
            let ends = next.is_none_or(|next| next == delimiter || matches!(next, b'\r' | b'\n' | b'"'));
            if is_quoted && before == b'\\' && !ends {
                return true;
            }
            let begins = before == delimiter || matches!(before, b'\r' | b'\n' | b'"');
            is_quoted = if is_quoted { false } else { begins };
        }
        before = byte;
    }
    false
}

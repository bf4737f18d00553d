//! The delimiter of cells: found out from the first records, and not only from the header, whose names may hold any sign.

use super::{
    dialect::{Dialect, Quote},
    records::{Next, Records},
    source,
};

/// Possible delimiters of cells, best first.
const CANDIDATES: &[u8] = b",;\t|";
/// This many records are compared.
const RECORDS_MAX: usize = 100;
/// A delimiter that cuts this share of the records as it cuts the header is one, in percent.
const SHARE_MIN: usize = 80;

/// The delimiter of a file that begins so. `rest` begins with its first record.
pub(super) fn of(rest: &[u8], dialect: &Dialect) -> u8 {
    let mut best = None;
    for delimiter in CANDIDATES {
        let widths = widths(rest, *delimiter, dialect);
        let Some((header, rows)) =
            widths.split_first().filter(|(header, rows)| **header > 1 && !rows.is_empty())
        else {
            continue;
        };
        let share = rows.iter().filter(|width| *width == header).count() * 100 / rows.len();
        let score = (share >= SHARE_MIN, if share >= SHARE_MIN { *header } else { share }, share);
        if best.is_none_or(|(most, _)| score > most) {
            best = Some((score, *delimiter));
        }
    }
    best.map_or_else(|| of_line(rest, dialect.quote), |(_, delimiter)| delimiter)
}

/// How many cells each of the first records has when it is cut at this delimiter.
fn widths(rest: &[u8], delimiter: u8, dialect: &Dialect) -> Vec<usize> {
    let dialect = Dialect { lines_before: 0, ..dialect.clone() };
    let mut records = Records::csv(source::of(rest), delimiter, &dialect);
    let mut widths = Vec::new();
    while let (Ok(Next::Record { .. }), true) = (records.read(), widths.len() <= RECORDS_MAX) {
        widths.push(records.width());
    }
    // the last record may be cut off
    if rest.len() >= source::HEAD_MAX / 2 {
        widths.pop();
    }
    widths
}

/// The delimiter of a line alone: a tab if there is one, else the most frequent of `,` `;` `|` outside quotes.
fn of_line(head: &[u8], quote: Quote) -> u8 {
    let mut in_quotes = false;
    let mut counts = [(b',', 0_u32), (b';', 0), (b'|', 0)];
    for byte in head {
        match byte {
            byte if quote == Quote::Byte(*byte) => in_quotes = !in_quotes,
            b'\n' | b'\r' if !in_quotes => break,
            b'\t' if !in_quotes => return b'\t',
            byte if !in_quotes => {
                if let Some((_, count)) = counts.iter_mut().find(|(delimiter, _)| delimiter == byte) {
                    *count += 1;
                }
            }
            _ => {}
        }
    }
    // the first of equals wins: a comma where nothing speaks for another
    counts.iter().rev().max_by_key(|(_, count)| *count).map_or(b',', |(delimiter, _)| *delimiter)
}

/// The delimiter that Excel names in a first line such as `sep=;`, and the rest of the file.
pub(super) fn named(head: &[u8]) -> Option<(u8, &[u8])> {
    let end = memchr::memchr2(b'\n', b'\r', head)?;
    let line = head[..end].trim_ascii_end();
    let line = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    let is_named = line.len() == 5 && line[..4].eq_ignore_ascii_case(b"sep=");
    // a tab is trimmed with the blanks
    let is_tab = line.eq_ignore_ascii_case(b"sep=") && head[..end].ends_with(b"\t");
    let delimiter = if is_tab { b'\t' } else { *line.last()? };
    let rest = &head[end + 1..];
    let rest = if head[end] == b'\r' { rest.strip_prefix(b"\n").unwrap_or(rest) } else { rest };
    (is_named || is_tab).then_some((delimiter, rest))
}

/// A delimiter as it is shown.
pub(super) fn shown(delimiter: u8) -> String {
    if delimiter == b'\t' { "tab".to_owned() } else { char::from(delimiter).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delimiter_is_the_one_that_cuts_header_and_rows_alike() {
        for (head, delimiter) in [
            ("url,tags\n", b','),
            ("url;tags;a,b\n", b';'),
            ("url\ttags,x,y\n", b'\t'),
            ("url|tags\n", b'|'),
            ("url\n", b','),
            ("\"a;b;c\",d\n;;;;", b','),
            ("", b','),
            ("url,tags (a;b;c),date\nhttps://h/a,x;y,2020-01-02\n", b','),
            ("url,tags\tdate\nhttps://h/a,x\nhttps://h/b,y\n", b','),
            ("url;lat, lon;date\nhttps://h/a;1,5;x\nhttps://h/b;2,5;y\n", b';'),
            ("url;lat\nhttps://h/a;1,5\nhttps://h/b;2,5\n", b';'),
        ] {
            let found = of(head.as_bytes(), &Dialect::default());
            assert_eq!(char::from(found), char::from(delimiter), "{head}");
        }
    }

    #[test]
    fn excels_first_line_names_the_delimiter() {
        assert_eq!(named(b"sep=;\r\nurl;tags\n"), Some((b';', &b"url;tags\n"[..])));
        assert_eq!(named(b"\"sep=,\"\nurl\n"), Some((b',', &b"url\n"[..])));
        assert_eq!(named(b"SEP=\t\nurl\n"), Some((b'\t', &b"url\n"[..])));
        for other in [&b"sep=\nurl\n"[..], b"sep=;;\n", b"separator\n", b"url,tags\n", b""] {
            assert_eq!(named(other), None, "{other:?}");
        }
    }
}

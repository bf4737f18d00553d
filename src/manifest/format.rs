//! In which shape a file is written, by its first bytes.

use super::{
    addresses::{is_media, is_web_address},
    dialect::Dialect,
    records::{Format, is_json},
    source,
};

/// In which shape a file that begins so is written.
pub(super) fn format_of(head: &[u8], dialect: &Dialect) -> Format {
    if dialect.delimiter.is_none() && is_json(head) {
        return Format::Json;
    }
    if dialect.delimiter.is_none() && dialect.lines_before == 0 && is_list(head, dialect) {
        Format::List
    } else {
        Format::Csv
    }
}

/// At least this share of the lines of a list are addresses, in percent. The other lines are errors of their own.
const ADDRESSES_MIN: usize = 80;

/// Whether nearly every line is an address, and no delimiter cuts all of them alike.
fn is_list(head: &[u8], dialect: &Dialect) -> bool {
    let mut lines: Vec<&[u8]> = head.split(|byte| matches!(byte, b'\n' | b'\r')).collect();
    if head.len() >= source::HEAD_MAX {
        lines.pop();
    }
    let comment = dialect.comment.unwrap_or(b'#');
    let lines: Vec<&[u8]> = lines
        .into_iter()
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty() && line[0] != comment)
        .collect();
    let Some(first) = lines.first().filter(|line| is_web_address(*line)) else { return false };
    let count = |line: &[u8], delimiter: u8| memchr::memchr_iter(delimiter, line).count();
    let cuts_alike = |delimiter: &u8| {
        let with_defaults = count(first, *delimiter);
        with_defaults > 0 && lines.iter().all(|line| count(line, *delimiter) == with_defaults)
    };
    let addresses = lines.iter().filter(|line| is_web_address(*line)).count();
    let has_table = b"\t;,|\"".iter().any(cuts_alike)
        || lines.iter().any(|line| line.contains(&b'\t') || goes_on_behind_a_file(line, comment));
    !has_table && addresses * 100 >= lines.len() * ADDRESSES_MIN
}

/// Whether something follows the last name of a video file in a line, as in `https://host/a.mp4, Dune walk`.
fn goes_on_behind_a_file(line: &[u8], comment: u8) -> bool {
    let line = String::from_utf8_lossy(line);
    let line = line.split(&format!(" {}", char::from(comment))).next().unwrap_or_default().trim_end();
    let mut ends = line.match_indices([',', ';', '|', ' ']).map(|(at, _)| at);
    !is_media(line) && ends.any(|end| is_media(&line[..end]) && !line[..end].contains('?'))
}

/// A head from its first record on.
pub(super) fn first_record<'a>(head: &'a [u8], dialect: &Dialect) -> &'a [u8] {
    let mut rest = head;
    let mut lines_before = dialect.lines_before;
    loop {
        let is_none =
            rest.first().is_some_and(|byte| b"\r\n".contains(byte) || dialect.comment == Some(*byte));
        if lines_before == 0 && !is_none {
            return rest;
        }
        lines_before = lines_before.saturating_sub(1);
        let Some(end) = memchr::memchr(b'\n', rest) else { return &[] };
        rest = &rest[end + 1..];
    }
}

/// Whether a header cell holds what looks like a row: its quote closes in another line.
pub(super) fn holds_row(cell: &str) -> bool {
    let mut lines = cell.split(['\n', '\r']).skip(1);
    lines.any(|line| {
        let line = line.trim_start_matches(['"', ' ']);
        is_web_address(line) || line.contains(",http") || line.contains(";http")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_addresses_is_known_by_its_lines() {
        for (head, format) in [
            ("https://h/a.mp4\nhttp://h/b.mp4\n", Format::List),
            ("# mine\n\n  HTTPS://h/a.mp4\r\n", Format::List),
            ("https://h/a.mp4,tag\nhttps://h/b.mp4,tag\n", Format::Csv),
            ("https://h/a,1.mp4\nhttps://h/b c.mp4\nhttps://h/c.mp4\n", Format::List),
            ("https://h/1\nhttps://h/2\nhttps://h/3\nhttps://h/4\nwww.h/5\n", Format::List),
            ("https://h/1\nname\n", Format::Csv),
            ("https://h/1.mp4, Dune walk, part 1\nhttps://h/2.mp4, Harbour\n", Format::Csv),
            ("https://h/1.mp4 fog\nhttps://h/2.mp4\nhttps://h/3.mp4\n", Format::Csv),
            ("https://h/1.mp4|fog\nhttps://h/2.mp4|x|y\n", Format::Csv),
            ("https://h/a.mp4 # the first\nhttps://h/b.mp4\n", Format::List),
            ("https://h/hls/,a.mp4,b.mp4,.urlset/master.m3u8\nhttps://h/b.mp4\n", Format::List),
            ("https://h/clip.mp4 v2.mp4\nhttps://h/b.mp4\n", Format::List),
            ("https://h/1.mp4?a=1,2\nhttps://h/2 part 1.mp4\n", Format::List),
            ("url\nhttps://h/a.mp4\n", Format::Csv),
            ("# nothing\n", Format::Csv),
            ("{\"url\":\"https://h/a.mp4\"}\n", Format::Json),
        ] {
            assert_eq!(format_of(head.as_bytes(), &Dialect::default()), format, "{head}");
        }
    }
}

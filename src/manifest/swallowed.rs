//! A quote that opens in one row and closes in another: the rows between are inside one cell.

use super::addresses::{is_media, is_web_address};

/// What distinguishes a row from text.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowShape {
    pub(super) width: usize,
    /// The column that the url comes from, from 0.
    pub(super) url: usize,
    pub(super) delimiter: u8,
}

/// The lines of a record that look like rows: the first and the last of them, counted from the record's own line, which is 0.
pub(super) fn lines_inside(cells: &[&str], shape: RowShape) -> Option<(u64, u64)> {
    let mut line = 0;
    let mut found = None;
    for (column, cell) in cells.iter().enumerate() {
        // this runs for every cell: a search by bytes is several times as fast as one by letters
        let has_break = memchr::memchr2(b'\n', b'\r', cell.as_bytes()).is_some();
        if has_break && found.is_none() && holds_row(cells, column, cell, shape) {
            found = Some(line + 1);
        }
        line += if has_break { lines_of(cell).count() as u64 - 1 } else { 0 };
    }
    found.map(|first| (first, line))
}

/// Whether a line of this cell is a row, or the beginning of the row that the record's other cells end.
fn holds_row(cells: &[&str], column: usize, cell: &str, shape: RowShape) -> bool {
    let behind = cells.len() - 1 - column;
    let delimiter = char::from(shape.delimiter);
    let last = lines_of(cell).count() - 1;
    lines_of(cell).enumerate().any(|(number, line)| {
        let parts: Vec<&str> = line.split(delimiter).collect();
        let (at, width) = match number {
            // the end of the record's own row
            0 if parts.len() == 1 => (None, 0),
            0 => (shape.url.checked_sub(column), column + parts.len()),
            _ if number == last => (Some(shape.url), parts.len() + behind),
            _ => (Some(shape.url), parts.len()),
        };
        let address = at.and_then(|at| parts.get(at)).map_or("", |part| part.trim().trim_matches('"'));
        // a sentence with commas has blanks behind them
        let is_text =
            parts.iter().skip(1).any(|part| part.starts_with(' ') && !part.trim_start().starts_with('"'));
        width == shape.width && shape.width > 1 && !is_text && is_address(address)
    })
}

fn is_address(cell: &str) -> bool {
    !cell.is_empty() && !cell.contains(char::is_whitespace) && (is_web_address(cell) || is_media(cell))
}

/// The lines of a text; a line ends with LF, CR LF or a lone CR.
fn lines_of(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(cells: &[&str], url: usize) -> Option<(u64, u64)> {
        lines_inside(cells, RowShape { width: cells.len(), url, delimiter: b',' })
    }

    #[test]
    fn rows_inside_a_cell_are_found() {
        let three =
            ["https://h/a.mp4", "Best of fog,x\nhttps://h/b.mp4,harbour,y\nhttps://h/c.mp4,live\"", "z"];
        assert_eq!(found(&three, 0), Some((1, 2)));
        assert_eq!(found(&["https://h/a.mp4", "fog,x\r\nhttps://h/c.mp4,live\"", "z"], 0), Some((1, 1)));
        assert_eq!(found(&["Best of fog,https://h/a.mp4\nlive\"", "https://h/b.mp4"], 1), Some((1, 1)));
        assert_eq!(found(&["x\ny", "a.mp4\n1,b.mp4,fog"], 1), None, "three cells are no row of two");
        assert_eq!(found(&["a.mp4", "fog\nb.mp4,harbour\nc.mp4"], 0), Some((1, 2)));
    }

    #[test]
    fn a_text_of_several_lines_is_a_text() {
        for text in [
            "one line\nand another, with a comma",
            "See\nhttps://example.com/more, and\nsubscribe",
            "links:\nhttps://example.com/more",
            "a,b,c\nd,e,f",
        ] {
            assert_eq!(found(&["https://h/a.mp4", text], 0), None, "{text}");
            assert_eq!(found(&[text, "https://h/a.mp4"], 1), None, "{text}");
        }
    }
}

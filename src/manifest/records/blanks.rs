//! Blanks before quotes: `"a", "b"` is read as `"a","b"`. Without this a quote behind a blank is text, and a delimiter within the
//! quotes cuts the cell.

use std::io::{self, BufRead as _, Read};

use crate::manifest::source::Bytes;

/// Where cells begin and end.
#[derive(Clone, Copy)]
pub(in crate::manifest) struct Marks {
    pub(in crate::manifest) delimiter: u8,
    pub(in crate::manifest) quote: u8,
    pub(in crate::manifest) escape: Option<u8>,
}

/// Where a byte is.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum At {
    /// Where a cell begins, or on blanks there.
    #[default]
    Start,
    Unquoted,
    Quoted,
    Escaped,
    /// On what follows a closing quote.
    Closed,
}

impl At {
    fn behind(self, byte: u8, marks: Marks) -> Self {
        match self {
            Self::Quoted if Some(byte) == marks.escape => Self::Escaped,
            Self::Quoted if byte == marks.quote => Self::Closed,
            Self::Quoted | Self::Escaped => Self::Quoted,
            _ if byte == marks.delimiter || matches!(byte, b'\n' | b'\r') => Self::Start,
            Self::Start if marks.is_blank(byte) => Self::Start,
            Self::Start | Self::Closed if byte == marks.quote => Self::Quoted,
            Self::Start | Self::Unquoted | Self::Closed => Self::Unquoted,
        }
    }
}

impl Marks {
    fn is_blank(self, byte: u8) -> bool {
        byte != self.delimiter && matches!(byte, b' ' | b'\t')
    }

    /// Whether quotes stand behind blanks in a file that begins so, and each of them ends where its cell does.
    pub(in crate::manifest) fn stand_behind_blanks(self, head: &[u8]) -> bool {
        let (mut at, mut blanks) = (At::Start, 0);
        // whether the cell began with blanks and a quote, and whether only blanks followed its closing quote
        let (mut is_behind_blanks, mut is_closed, mut count) = (false, false, 0);
        for byte in head {
            let next = at.behind(*byte, self);
            match (at, next) {
                (At::Start, At::Start) if self.is_blank(*byte) => blanks += 1,
                (At::Start, At::Quoted) => is_behind_blanks = blanks > 0,
                (At::Quoted, At::Closed) => is_closed = true,
                (At::Closed | At::Unquoted, At::Unquoted) => is_closed &= self.is_blank(*byte),
                (_, At::Start) => {
                    if is_behind_blanks && !is_closed {
                        return false;
                    }
                    count += usize::from(is_behind_blanks);
                    (blanks, is_behind_blanks, is_closed) = (0, false, false);
                }
                _ => {}
            }
            at = next;
        }
        count > 0
    }
}

/// Bytes without the blanks before quotes.
pub(in crate::manifest) struct WithoutBlanks {
    inner: Bytes,
    marks: Marks,
    at: At,
    /// Blanks at the beginning of a cell: whether they stay is known behind them.
    blanks: Vec<u8>,
    ready: Vec<u8>,
    taken: usize,
}

impl WithoutBlanks {
    pub(in crate::manifest) fn new(inner: Bytes, marks: Marks) -> Self {
        Self { inner, marks, at: At::Start, blanks: Vec::new(), ready: Vec::new(), taken: 0 }
    }

    /// Makes more bytes ready; false at the end.
    fn refill(&mut self) -> io::Result<bool> {
        self.ready.clear();
        self.taken = 0;
        let Self { inner, marks, at, blanks, ready, .. } = self;
        let input = inner.fill_buf()?;
        for byte in input {
            let next = at.behind(*byte, *marks);
            if *at == At::Start && next == At::Start && marks.is_blank(*byte) {
                blanks.push(*byte);
            } else {
                if *at != At::Start || next != At::Quoted {
                    ready.append(blanks);
                }
                blanks.clear();
                ready.push(*byte);
            }
            *at = next;
        }
        let count = input.len();
        if count == 0 {
            ready.append(blanks);
        }
        inner.consume(count);
        Ok(count > 0)
    }
}

impl Read for WithoutBlanks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.ready.len() {
            if !self.refill()? && self.ready.is_empty() {
                return Ok(0);
            }
        }
        let ready = &self.ready[self.taken..];
        let count = ready.len().min(buffer.len());
        buffer[..count].copy_from_slice(&ready[..count]);
        self.taken += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::source;

    const MARKS: Marks = Marks { delimiter: b',', quote: b'"', escape: None };

    fn without(text: &str) -> String {
        let mut read = String::new();
        WithoutBlanks::new(source::of(text.as_bytes()), MARKS).read_to_string(&mut read).unwrap();
        read
    }

    #[test]
    fn blanks_go_only_where_a_quote_opens_behind_them() {
        assert_eq!(
            without("\"a\", \"b, \"\" c\" , d\n  \"e\", f, \" g\"  "),
            "\"a\",\"b, \"\" c\" , d\n\"e\", f,\" g\"  "
        );
    }

    #[test]
    fn quotes_behind_blanks_count_where_each_of_them_ends_its_cell() {
        for (head, expected) in [
            ("\"url\", \"tags\"\n", true),
            ("url, \"tags\" , x\n", true),
            ("url,tags\nhttps://h/a, \"quoted\" word\n", false),
            ("url,tags\n\"x, \"\"y\"\"\",z\n", false),
            ("url,tags\n", false),
        ] {
            assert_eq!(MARKS.stand_behind_blanks(head.as_bytes()), expected, "{head}");
        }
    }
}

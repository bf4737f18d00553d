//! Values: how a cell's text becomes what the service takes.

mod angle;
mod axis;
pub(super) mod coordinates;
pub(super) mod datetime;
mod link_formula;
pub(super) mod missing;
pub(super) mod tags;

use std::borrow::Cow;

pub(super) use link_formula::linked_address;

/// What becomes of a text that is longer than the service takes, and of tags beyond the twentieth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TooLong {
    /// The row is refused.
    #[default]
    Refuse,
    /// It is cut, with a warning.
    Cut,
}

/// Shortens a text to at most this many characters. Returns whether it was longer.
pub(super) fn cut(text: &mut String, length_max: usize) -> bool {
    let end = text.char_indices().nth(length_max).map(|(at, _)| at);
    end.map(|end| text.truncate(end)).is_some()
}

/// What separates lines or fields of a text, in whatever program: some write a vertical tab for a line break.
const LINE_BREAKS: [char; 9] =
    ['\n', '\r', '\t', '\u{b}', '\u{c}', '\u{1d}', '\u{85}', '\u{2028}', '\u{2029}'];

/// Whether a text may have several lines. Nearly none has a byte that these begin with.
fn has_lines(text: &str) -> bool {
    text.bytes().any(|byte| byte < b' ' || byte == 0xc2 || byte == 0xe2)
}

/// A text with a blank for each line break: those of a cell mean nothing in a tag or a name.
pub(super) fn one_line(text: Cow<'_, str>) -> Cow<'_, str> {
    if !has_lines(&text) {
        return text;
    }
    let lines: Vec<&str> = text.split(LINE_BREAKS).map(trim).filter(|line| !line.is_empty()).collect();
    Cow::Owned(lines.join(" "))
}

/// A text without the blanks and the invisible characters around it.
pub(super) fn trim(text: &str) -> &str {
    let is_plain = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_graphic);
    let bytes = text.as_bytes();
    if is_plain(bytes.first()) && is_plain(bytes.last()) { text } else { text.trim_matches(is_blank) }
}

/// Whether a character leaves no mark: white space, zero-width characters, and marks of the writing direction.
fn is_blank(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{ad}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_characters_around_a_text_are_trimmed() {
        assert_eq!(trim("\u{200b}a \u{200d}b\u{feff}\u{a0}\t"), "a \u{200d}b");
        assert_eq!(trim("\u{200b}"), "");
        assert_eq!(trim("a"), "a");
    }
}

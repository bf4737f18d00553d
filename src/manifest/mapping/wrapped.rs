//! Addresses that stand within a text: `[Watch](https://...)`, `a.mp4 (https://...)`, `<a href="https://...">`.

use crate::manifest::addresses::is_web_address;

/// The addresses in a text, without what is around them.
pub(in crate::manifest) fn addresses_in(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find("://").map(|at| from + at) {
        let is_letter = |c: char| c.is_ascii_alphanumeric();
        let start = text[..at].rfind(|c| !is_letter(c)).map_or(0, |end| {
            let width = text[end..].chars().next().map_or(0, char::len_utf8);
            end + width
        });
        from = at + 3;
        if start >= from || !is_web_address(&text[start..]) {
            continue;
        }
        let address = until_end(&text[start..], text[..start].chars().next_back());
        from = from.max(start + address.len());
        found.push(address);
    }
    found
}

/// An address that begins a text, up to what closes around it, or to a blank.
fn until_end(text: &str, before: Option<char>) -> &str {
    let pair = match before {
        Some('(') => Some(('(', ')')),
        Some('[') => Some(('[', ']')),
        Some('<') => Some(('<', '>')),
        Some(quote @ ('"' | '\'' | '`' | '#')) => Some((quote, quote)),
        _ => None,
    };
    let mut depth = 1;
    let closing = pair.and_then(|(open, close)| {
        text.char_indices().find_map(|(at, c)| {
            if c == close {
                depth -= 1;
            } else if c == open {
                depth += 1;
            }
            (depth == 0).then_some(at)
        })
    });
    let end = closing.or_else(|| text.find(|c: char| c.is_whitespace() || "<>\"|".contains(c)));
    let address = &text[..end.unwrap_or(text.len())];
    if closing.is_some() { address } else { address.trim_end_matches(['.', ',', ';', ':', '!']) }
}

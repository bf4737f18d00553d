//! Texts that hold more than one address.

/// How many addresses a text holds, each for itself. An address inside the path or the query of another is part of it.
pub(super) fn count(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut count = 0;
    let mut from = 0;
    while let Some(at) = memchr::memmem::find(&bytes[from..], b"://").map(|at| from + at) {
        from = at + 3;
        let Some(start) = ["https", "http"].iter().find_map(|scheme| {
            let start = at.checked_sub(scheme.len())?;
            bytes[start..at].eq_ignore_ascii_case(scheme.as_bytes()).then_some(start)
        }) else {
            continue;
        };
        count += usize::from(start == 0 || begins_anew(&text[..start]));
    }
    count
}

/// Whether an address behind this text is one of its own.
fn begins_anew(before: &str) -> bool {
    let Some(last) = before.chars().next_back() else { return true };
    let query = before.split_once('?').map(|(_, query)| query);
    match last {
        c if c.is_whitespace() => true,
        '|' | '"' | '\'' | '[' | '<' => true,
        // a list of addresses may be the value of a parameter
        ',' | ';' => query.is_none_or(|query| !query.contains("=http")),
        // two that were joined without anything in between
        c if c.is_alphanumeric() => query.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_counted_and_those_inside_others_are_not() {
        for (text, expected) in [
            ("https://h/a.mp4", 1),
            ("https://h/a.mp4|https://h/b.mp4", 2),
            ("https://h/a.mp4; https://h/b.mp4", 2),
            ("https://h/a.mp4,HTTP://h/b.mp4", 2),
            ("https://h/a.mp4\nhttps://h/b.mp4 https://h/c.mp4", 3),
            ("https://h/a.mp4https://h/b.mp4", 2),
            ("https://h/a.mp4?sig=x,https://h/b.mp4?sig=y", 2),
            ("[\"https://h/a.mp4\",\"https://h/b.mp4\"]", 2),
            ("https://p/get?u=https://h/a.mp4", 1),
            ("https://p/get?u=https://h/a.mp4,https://h/b.mp4", 1),
            ("https://web.archive.org/web/2020/https://h/a.mp4", 1),
            ("https://p/fetch:https://h/a.mp4", 1),
            ("gs://b/a.mp4", 0),
            ("", 0),
        ] {
            assert_eq!(count(text), expected, "{text}");
        }
    }
}

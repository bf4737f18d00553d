//! Causes as groups: what differs from row to row is left out, so that alike causes count as one reason.

/// A longer run of digits is a number of one row, not a code.
const CODE_DIGITS_MAX: usize = 5;

/// The cause without addresses and long numbers: `HTTP 200, code 0001: video … is too long`.
#[must_use]
pub fn reason_of(cause: &str) -> String {
    let words: Vec<String> = cause.split_whitespace().map(word).collect();
    words.join(" ")
}

/// A word that names one row or one video becomes `…`; the punctuation around it stays.
fn word(word: &str) -> String {
    let is_edge =
        |c: char| matches!(c, '(' | ')' | '"' | '\'' | ',' | '.' | ';' | ':' | '<' | '>' | '[' | ']');
    let inner = word.trim_matches(is_edge);
    let longest = inner.split(|c: char| !c.is_ascii_digit()).map(str::len).max().unwrap_or(0);
    if inner.contains("://") || longest > CODE_DIGITS_MAX {
        word.replacen(inner, "…", 1)
    } else {
        word.to_owned()
    }
}

/// Whether the cause, or its reason, contains the text. Case does not matter.
#[must_use]
pub fn has_reason(cause: &str, text: &str) -> bool {
    let text = text.to_lowercase();
    cause.to_lowercase().contains(&text) || reason_of(cause).to_lowercase().contains(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_that_differ_in_the_row_only_are_one_reason_and_codes_stay() {
        let first =
            reason_of("HTTP 200, code 0001: the file (https://h/a.mp4) of VI635229846249218048 is no video");
        let other =
            reason_of("HTTP 200, code 0001: the file (https://h/b.mp4) of VI635229846249218049 is no video");
        assert_eq!(first, "HTTP 200, code 0001: the file (…) of … is no video");
        assert_eq!(first, other);
        assert_ne!(first, reason_of("HTTP 200, code 0002: the file (https://h/b.mp4) of VI1 is no video"));
    }

    #[test]
    fn a_reason_is_found_by_a_part_of_it_and_by_the_whole() {
        let cause = "code 0001: Unsupported codec of https://h/a.mp4";
        for text in ["CODEC", "https://h/a.mp4", "unsupported codec of …", &reason_of(cause)] {
            assert!(has_reason(cause, text), "{text}");
        }
        assert!(!has_reason(cause, "duration"));
    }
}

//! What a message quotes of the request. Words in an address or in a tag say nothing of the answer.

/// The message without the values that it quotes: an address counts as the word `url`, a text in quotes as nothing, unless it is
/// one of the `names`. `text` is in lower case.
pub(super) fn without_values(text: &str, names: &[&str]) -> String {
    without_quotes(&without_addresses(text), names)
}

fn without_addresses(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, behind) = rest.split_at(at);
        let scheme =
            before.len() - before.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == '+').len();
        words.push_str(&before[..before.len() - scheme]);
        words.push_str(" url ");
        let is_end = |c: char| c.is_whitespace() || "\"'<>()[]{}`，。；、".contains(c);
        rest = behind.find(is_end).map_or("", |end| &behind[end..]);
    }
    words + rest
}

fn without_quotes(text: &str, names: &[&str]) -> String {
    const QUOTES: [(char, char); 6] =
        [('"', '"'), ('\'', '\''), ('`', '`'), ('“', '”'), ('‘', '’'), ('「', '」')];
    // only beside a straight mark: "don't", and scripts without blanks between words
    let is_word = |c: char| c.is_ascii_alphanumeric();
    let mut words = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let behind = &rest[first.len_utf8()..];
        // the mark in "don't" opens nothing
        let opened = QUOTES.iter().find(|(open, _)| *open == first && !words.ends_with(is_word));
        let quoted = opened.and_then(|(_, close)| behind.split_once(*close));
        if let Some((value, after)) = quoted.filter(|(_, after)| !after.starts_with(is_word)) {
            let is_name = names.contains(&value.trim());
            words.push_str(if is_name { value } else { " " });
            rest = after;
        } else {
            words.push(first);
            rest = behind;
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_quoted_values_say_nothing_and_quoted_names_stay() {
        for (message, expected) in [
            ("url is invalid: https://host/a%20b?rate=limit", "url is invalid:  url "),
            ("(s3://bucket/quota) failed", "( url ) failed"),
            ("you don't have 'too many' points", "you don't have   points"),
            ("parameter 'url' is \"bad\"", "parameter url is  "),
            ("it's the user's", "it's the user's"),
            ("标签「限制」无效", "标签 无效"),
            ("http:// and ://", " url  and  url "),
            ("an open \" quote", "an open \" quote"),
        ] {
            assert_eq!(without_values(message, &["url", "tags"]), expected, "{message}");
        }
    }
}

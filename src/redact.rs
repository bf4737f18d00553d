//! What may be shown: hides the secrets in URLs and the control characters in foreign text.
//!
//! A signed link is a bearer credential. Everything printed, logged or put into a message goes through here; only the
//! wire, the ledger and the user's own original columns keep the whole.

use std::borrow::Cow;

use crate::domain::{is_file_address, is_object_address};

/// Query parameters whose values are harmless and useful to see.
const SHOWN_PARAMETERS: &[&str] = &["page", "v", "id", "format", "quality", "t", "lang"];

/// A value of theirs that is longer, in bytes, may be something else.
const SHOWN_VALUE_MAX: usize = 16;

/// Parts of the names of parameters that are secrets, in lower case.
const SECRET_NAMES: &[&str] =
    &["signature", "credential", "token", "secret", "password", "apikey", "api_key", "api-key", "access_key"];

/// The shortest value of an address that is hidden in other texts, in bytes.
const VALUE_MIN: usize = 8;

/// The beginning of the last part of a callback URL of telecine: a number and a token follow.
const CALLBACK_PART: &str = "telecine-";

/// The longest value shown in a message, in characters.
const SHOWN_MAX: usize = 120;
/// The longest sentence shown on a page, in characters.
const SENTENCE_MAX: usize = 400;

/// A URL that can be printed or logged: user, password, the values of query parameters and the fragment are hidden.
#[must_use]
pub fn url(text: &str) -> String {
    if let Some(shown) = object(text) {
        return clean(&shown);
    }
    if is_file_address(text) {
        return clean(text);
    }
    let Some(parsed) = url::Url::parse(text.trim()).ok().filter(url::Url::has_host) else {
        return opaque(text);
    };
    let mut shown = format!("{}://", parsed.scheme());
    if !parsed.username().is_empty() || parsed.password().is_some() {
        shown.push_str("***@");
    }
    shown.push_str(parsed.host_str().unwrap_or(""));
    if let Some(port) = parsed.port() {
        shown.push(':');
        shown.push_str(&port.to_string());
    }
    let parts: Vec<String> = parsed.path().split('/').map(without_parameters).collect();
    shown.push_str(&parts.join("/"));
    if let Some(query) = parsed.query() {
        let pairs: Vec<String> = query.split('&').map(parameter).collect();
        shown.push('?');
        shown.push_str(&pairs.join("&"));
    }
    if parsed.fragment().is_some() {
        shown.push_str("#***");
    }
    clean(&shown)
}

/// The address of an object in a bucket, which is no secret. What follows a `?` is hidden, unless it is a version: it may be
/// what signed a link.
fn object(text: &str) -> Option<String> {
    let text = text.trim();
    if !is_object_address(text) {
        return None;
    }
    Some(match text.split_once('?') {
        Some((name, behind)) if !behind.starts_with("versionId=") => format!("{name}?***"),
        _ => text.to_owned(),
    })
}

/// A part of a path; what follows a `;`, such as a session, is hidden.
fn without_parameters(part: &str) -> String {
    match part.split_once(';') {
        Some((before, behind)) if !behind.is_empty() => format!("{before};***"),
        _ => part.to_owned(),
    }
}

fn parameter(pair: &str) -> String {
    // what has no name is a value
    let Some((name, value)) = pair.split_once('=') else { return "***".to_owned() };
    let is_harmless = SHOWN_PARAMETERS.contains(&name.to_ascii_lowercase().as_str());
    if is_harmless && value.len() <= SHOWN_VALUE_MAX { pair.to_owned() } else { format!("{name}=***") }
}

/// Text that is no URL but may hold one, or a password: what follows a `?` (also percent-encoded) is hidden up to the
/// next blank or quote, and what is between `//` and `@`.
#[must_use]
pub fn opaque(text: &str) -> String {
    clean(&without_secrets(text))
}

/// The same for a sentence, which may be longer than a value.
#[must_use]
pub fn sentence(text: &str) -> String {
    cut(&without_secrets(text), SENTENCE_MAX)
}

fn without_secrets(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((at, mark)) =
        ["?", "%3F", "%3f", "%253F", "%253f"].iter().filter_map(|mark| Some((rest.find(mark)?, mark))).min()
    {
        let (before, behind) = (&rest[..at], &rest[at + mark.len()..]);
        shown.push_str(before);
        shown.push_str(mark);
        let end = behind.find(ends_query).unwrap_or(behind.len());
        if end > 0 {
            shown.push_str("***");
        }
        rest = &behind[end..];
    }
    shown.push_str(rest);
    let shown = without_signatures(&shown);
    let shown = match (shown.find("//"), shown.rfind('@')) {
        (Some(slashes), Some(at)) if slashes < at => format!("{}//***{}", &shown[..slashes], &shown[at..]),
        (None, Some(at)) if shown[..at].contains(':') => format!("***{}", &shown[at..]),
        _ => shown,
    };
    // a fragment that assigns something may assign a token
    match shown.split_once('#') {
        Some((before, fragment)) if fragment.contains('=') => format!("{before}#***"),
        _ => shown,
    }
}

fn ends_query(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>')
}

/// The value of `NAME=VALUE` is hidden where the name is one of signatures or secrets, also outside of an address.
fn without_signatures(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('=') {
        let name = before.rsplit(|c| !is_of_name(c)).next().unwrap_or_default();
        shown.push_str(before);
        shown.push('=');
        rest = behind;
        if SECRET_NAMES.iter().any(|part| name.to_ascii_lowercase().contains(part)) {
            let end = behind.find(|c| ends_query(c) || matches!(c, '&' | ',' | ';')).unwrap_or(behind.len());
            if end > 0 {
                shown.push_str("***");
            }
            rest = &behind[end..];
        }
    }
    shown.push_str(rest);
    shown
}

/// A text of the service about an address, without the values of its query: the service may repeat them in any form. A value of
/// fewer than eight bytes may be any word.
#[must_use]
pub fn without_values(text: &str, address: &str) -> String {
    let Some((_, query)) = address.split_once('?') else { return text.to_owned() };
    let mut shown = text.to_owned();
    for pair in query.split(['&', '#']) {
        let (name, written) = pair.split_once('=').unwrap_or(("", pair));
        if SHOWN_PARAMETERS.contains(&name) && written.len() <= SHOWN_VALUE_MAX {
            continue;
        }
        // as it reads without its name
        let read = url::form_urlencoded::parse(written.as_bytes()).map(|(read, _)| read.into_owned());
        for value in std::iter::once(written.to_owned()).chain(read) {
            if value.len() >= VALUE_MIN {
                shown = without_value(&shown, &value);
            }
        }
    }
    shown
}

/// The same without one value, which may be cut at the end of the text.
fn without_value(text: &str, value: &str) -> String {
    let shown = text.replace(value, "***");
    let Some(whole) = shown.strip_suffix('…') else { return shown };
    let cut = value.char_indices().map(|(at, _)| &value[..at]).filter(|part| part.len() >= VALUE_MIN / 2);
    match cut.rev().find_map(|part| whole.strip_suffix(part)) {
        Some(before) => format!("{before}***…"),
        None => shown,
    }
}

/// Any text of a manifest or a server, made safe for a terminal: control, escape and bidirectional characters become
/// `?`, and more than 120 characters are cut.
#[must_use]
pub fn clean(text: &str) -> String {
    cut(text, SHOWN_MAX)
}

/// The token of a callback URL (`telecine-17-…`) is hidden, wherever it stands.
fn without_tokens(text: &str) -> Cow<'_, str> {
    if !text.contains(CALLBACK_PART) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for (at, rest) in text.split(CALLBACK_PART).enumerate() {
        if at == 0 {
            shown.push_str(rest);
            continue;
        }
        shown.push_str(CALLBACK_PART);
        let number = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, behind) = rest.split_at(number);
        shown.push_str(number);
        match behind.strip_prefix('-').filter(|_| !number.is_empty()) {
            Some(token) => {
                let end = token.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(token.len());
                shown.push_str("-***");
                shown.push_str(&token[end..]);
            }
            None => shown.push_str(behind),
        }
    }
    Cow::Owned(shown)
}

fn cut(text: &str, chars_max: usize) -> String {
    let text = &without_tokens(text);
    let mut shown: String =
        text.chars().take(chars_max).map(|c| if is_unsafe(c) { '?' } else { c }).collect();
    if text.chars().nth(chars_max).is_some() {
        shown.push('…');
    }
    shown
}

fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// A word as a shell reads it: quoted where it must be. Characters that are unsafe for a terminal become `?`.
#[must_use]
pub fn shell_word(text: &str) -> String {
    let text = &cut(text, usize::MAX);
    let is_plain = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | '=' | ',' | '@' | '+')
    };
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_hidden_wherever_the_service_repeats_it() {
        let link = "https://h.example/a.mp4?X-Amz-Signature=deadbeef%2Fcafe&page=2&sig=0123456789";
        for (said, shown) in [
            ("url is invalid: signature deadbeef/cafe expired", "url is invalid: signature *** expired"),
            ("query: X-Amz-Signature=abc", "query: X-Amz-Signature=***"),
            (
                "https://h/a.mp4 ? X-Amz-Credential=abc&n=1 failed",
                "https://h/a.mp4 ? X-Amz-Credential=***&n=1 failed",
            ),
            ("https%253A%252F%252Fh%252Fa%253Fk%253Dv no", "https%253A%252F%252Fh%252Fa%253F*** no"),
            ("value 0123456789 and page 2", "value *** and page 2"),
            ("code=7, retry=5", "code=7, retry=5"),
            ("(\u{cf}=a, \u{cf}token=b\u{cf}", "(\u{cf}=a, \u{cf}token=***"),
        ] {
            assert_eq!(without_values(&opaque(said), link), shown, "{said}");
        }
        assert_eq!(without_values("it is 01234567…", link), "it is ***…", "cut at the end");
    }

    #[test]
    fn the_address_of_an_object_is_shown_but_for_what_may_sign_it() {
        for (address, shown) in [
            ("s3://bucket/a b+c%20;v=1/user@x.mp4", "s3://bucket/a b+c%20;v=1/user@x.mp4"),
            ("s3://bucket/a?versionId=x", "s3://bucket/a?versionId=x"),
            ("gs://bucket/a#17", "gs://bucket/a#17"),
            ("gs://bucket/a?X-Goog-Signature=canary", "gs://bucket/a?***"),
        ] {
            assert_eq!(url(address), shown);
        }
    }

    #[test]
    fn a_signed_link_never_shows_its_signature() {
        let link = "https://bucket.s3.amazonaws.com/a.mp4?X-Amz-Signature=deadbeef&x-amz-security-token=cafe&page=2#frag";
        let shown = url(link);
        assert_eq!(
            shown,
            "https://bucket.s3.amazonaws.com/a.mp4?X-Amz-Signature=***&x-amz-security-token=***&page=2#***"
        );
    }

    #[test]
    fn what_may_be_a_token_is_hidden_wherever_it_stands() {
        for (link, shown) in [
            ("https://h/a.mp4?eyJhbGciOi.canary.x", "https://h/a.mp4?***"),
            ("https://h/a.mp4?id=canarycanarycanarycanary", "https://h/a.mp4?id=***"),
            ("https://h/a.mp4?id=7&t=90", "https://h/a.mp4?id=7&t=90"),
            ("https://h/a;jsessionid=canary/b.mp4;token=canary", "https://h/a;***/b.mp4;***"),
        ] {
            assert_eq!(url(link), shown);
        }
    }

    #[test]
    fn the_token_of_a_callback_is_hidden_wherever_it_stands() {
        let callback = "https://calls.example.org/t/telecine-17-0123456789abcdef0123456789abcdef";
        let shown = "https://calls.example.org/t/telecine-17-***";
        assert_eq!(url(callback), shown);
        assert_eq!(
            clean(&format!("callback is invalid: {callback}.")),
            format!("callback is invalid: {shown}.")
        );
        assert_eq!(sentence(&format!("{callback} {callback}/x")), format!("{shown} {shown}/x"));
        assert_eq!(clean("telecine-import telecine-3 telecine--"), "telecine-import telecine-3 telecine--");
    }

    #[test]
    fn a_password_in_a_url_is_hidden_even_when_the_url_is_broken() {
        assert!(!url("rtsp://user:password@10.0.0.1/").contains("password"));
        assert!(!opaque("ht tp//user:password@host/x").contains("password"));
        assert!(!opaque("host/path?sig=secret").contains("secret"));
        assert_eq!(
            opaque("bad url https%3A%2F%2Fh%2Fa%3Fsig%3Dsecret here? yes"),
            "bad url https%3A%2F%2Fh%2Fa%3F*** here? yes"
        );
    }

    #[test]
    fn foreign_text_cannot_move_the_cursor_or_turn_the_line_around() {
        assert_eq!(clean("a\u{1b}[2Jb\u{202e}c\n"), "a?[2Jb?c?");
        assert_eq!(clean(&"x".repeat(500)).chars().count(), SHOWN_MAX + 1);
    }
}

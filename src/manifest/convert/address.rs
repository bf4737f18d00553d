//! The address of the video. A cell holds one.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
};

use super::{
    Explanation, Reading, Via,
    advice::{LOCAL_PATH, file_advice, is_local_path, url_advice},
    problem_at,
};
use crate::{
    domain::{ObjectStamp, SourceUrl, UrlError, is_object_address, path_of},
    local_file::{FileFault, check_size, media_type},
    manifest::{
        addresses::{is_media, is_web_address},
        listed::listed_stamp,
        mapping::{Field, Transform, ValueSource, addresses_in},
        values::linked_address,
    },
    redact,
};

impl<'a> Reading<'a> {
    pub(super) fn address(&mut self) -> Option<Cow<'a, str>> {
        let mut value = self.value(Field::Url).unwrap_or_default();
        if let Some(address) = value.strip_prefix('=').and_then(linked_address) {
            value = Cow::Owned(address);
        }
        self.find_unreadable(Field::Url);
        // the scheme of the first is not asked for
        let may_hold_two = value.len() > 16 && memchr::memmem::find(&value.as_bytes()[8..], b"://").is_some();
        if may_hold_two && count(&value) > 1 {
            self.refuse_several_addresses(&value);
            return None;
        }
        if let Some(path) = self.local_path(&value) {
            return self.local_file(&value, path);
        }
        match normalised(&value) {
            Ok(address) if is_folder(&address) => {
                let message = "a folder of a bucket, and no object".to_owned();
                let fix = "leave such rows out; list the objects alone (gcloud storage ls --recursive, aws s3api list-objects-v2)";
                self.problem(Field::Url, redact::url(&address), Explanation::new("url_folder", message, fix));
                None
            }
            Ok(address) => {
                self.warn_of_oddities(Field::Url, &value, &address);
                if self.rules.via == Via::Upload && is_object_address(&address) {
                    self.note_object(&address);
                }
                Some(address)
            }
            Err(UrlError::Empty) if !self.problems.is_empty() => None,
            Err(error) => {
                let (class, fix) = url_advice(error);
                let is_wrapped =
                    || matches!(addresses_in(&value)[..], [address] if address.len() < value.len());
                let is_no_address =
                    matches!(error, UrlError::NotAbsolute | UrlError::Scheme) && !value.starts_with("blob:");
                let fix = if is_json_list(&value) {
                    JSON_LIST
                } else if is_no_address && is_wrapped() {
                    WRAPPED
                } else {
                    fix
                };
                let fix = fix.replace("COLUMN", self.name_of(Field::Url));
                let column = self.gap(Field::Url).or_else(|| self.first(Field::Url));
                let words = Explanation::new(class, error.to_string(), fix.as_str());
                self.problems.push(problem_at(column, redact::url(&value), words));
                None
            }
        }
    }

    /// Says what is odd about an address as it is written.
    pub(super) fn warn_of_oddities(&mut self, field: Field, written: &str, address: &str) {
        for (oddity, message, fix) in oddities(written, address) {
            let class = format!("{}_{oddity}", field.name());
            let fix = if oddity == TAIL.0 { fix_of_tail(written) } else { fix.to_owned() };
            let fix = fix.replace("COLUMN", self.name_of(field)).replace("FIELD", field.name());
            let words = Explanation::new(&class, message.to_owned(), fix.as_str());
            self.warnings.push(problem_at(self.first(field), redact::url(written), words));
        }
    }

    /// The path of a file on this machine, where the value is one. With a folder for files, every value without a scheme is.
    fn local_path(&self, value: &str) -> Option<Result<PathBuf, UrlError>> {
        if let Some(path) = path_of(value) {
            return Some(path);
        }
        let may_be_relative = self.rules.files.is_some() && !value.is_empty() && !value.contains("://");
        (may_be_relative || is_local_path(value)).then(|| Ok(PathBuf::from(value)))
    }

    /// The address of a file that may be sent, and its stamp.
    fn local_file(&mut self, value: &str, path: Result<PathBuf, UrlError>) -> Option<Cow<'a, str>> {
        let found = match (path, &self.rules.files) {
            (Err(error), _) => {
                let (class, fix) = url_advice(error);
                Err((class, error.to_string(), fix))
            }
            (Ok(_), None) => Err((LOCAL_PATH.0, "it is a path on this machine".to_owned(), LOCAL_PATH.1)),
            (Ok(path), Some(root)) => root.find(&path).map_err(|fault| {
                let (class, fix) = file_advice(&fault);
                (class, fault.to_string(), fix)
            }),
        };
        match found {
            Ok(file) => {
                self.file = Some(file.stamp);
                Some(Cow::Owned(file.url.as_str().to_owned()))
            }
            Err((class, message, fix)) => {
                let fix = fix.replace("COLUMN", self.name_of(Field::Url));
                self.problem(Field::Url, redact::opaque(value), Explanation::new(class, message, &fix));
                None
            }
        }
    }

    /// An object whose bytes are sent must be what the service takes as a file.
    fn note_object(&mut self, address: &str) {
        let stamp = if self.rules.is_bucket { listed_stamp(self.cells) } else { ObjectStamp::default() };
        let fault = match stamp.size {
            _ if object_media_type(address).is_none() => Some(FileFault::Ending),
            Some(size) => check_size(size).err(),
            None => None,
        };
        if let Some(fault) = fault {
            let (class, fix) = file_advice(&fault);
            self.problem(
                Field::Url,
                redact::opaque(address),
                Explanation::new(class, fault.to_string(), fix),
            );
        }
        self.object = Some(stamp);
    }

    fn refuse_several_addresses(&mut self, value: &str) {
        let message = format!("the cell holds more than one address ({})", count(value));
        let name = self.name_of(Field::Url);
        let first = "write one address a row, or take the first: --map \"url={";
        let is_taken_out = |source: &ValueSource| {
            source.transformed().iter().any(|(_, transforms)| transforms.contains(&Transform::Address))
        };
        let fix = if self.columns.of(Field::Url).is_some_and(|sources| sources.iter().any(is_taken_out)) {
            format!("{first}{name}|address|first}}\"")
        } else if value.starts_with('[') {
            format!("{first}{name}|json 0}}\"")
        } else {
            let separator =
                ['|', ';', ',', '\n'].into_iter().find(|sign| value.contains(*sign)).unwrap_or(' ');
            let separator = if separator == '\n' { ' ' } else { separator };
            format!("{first}{name}|split '{separator}'|first}}\"")
        };
        let shown = value.split(['|', ';', ',', ' ', '\n']).next().unwrap_or_default();
        self.problem(Field::Url, redact::url(shown), Explanation::new("url_several", message, &fix));
    }
}

/// What to do about a list of one address.
const JSON_LIST: &str = "take the address out of the list: --map \"url={COLUMN|json 0}\"";

/// What to do about an address within a text.
const WRAPPED: &str = "take the address out of the text: --map \"url={COLUMN|address}\"";

/// `["https://host/a.mp4"]`.
fn is_json_list(value: &str) -> bool {
    let element = value.strip_prefix('[').map(|inner| inner.trim_start().trim_start_matches('"'));
    value.ends_with(']') && element.is_some_and(is_web_address)
}

/// The media type of an object, by the ending of its key. `None`: the service takes no such file.
fn object_media_type(address: &str) -> Option<&'static str> {
    let url = SourceUrl::parse(address).ok()?;
    media_type(Path::new(url.object()?.key))
}

/// `gs://bucket/2019/` is no object, and `gs://bucket/2019/:` the line of a listing that names a folder.
fn is_folder(address: &str) -> bool {
    (address.ends_with('/') || address.ends_with("/:")) && is_object_address(address)
}

/// An address as it is sent; borrowed from the cell where the cell is normal already.
pub(super) fn normalised<'a>(value: &Cow<'a, str>) -> Result<Cow<'a, str>, UrlError> {
    match value {
        Cow::Borrowed(text) => SourceUrl::normalise(text),
        Cow::Owned(text) => SourceUrl::normalise(text).map(|address| Cow::Owned(address.into_owned())),
    }
}

/// The end of a class, what is odd, and what to do about the COLUMN of the FIELD.
type Oddity = (&'static str, &'static str, &'static str);

const TAIL: Oddity = (
    "tail",
    "something follows the address, and is sent as a part of it",
    "remove it, or take the part before it: --map \"FIELD={COLUMN|split ' '|first}\"",
);
const ESCAPED: Oddity = (
    "html_escaped",
    "&amp; or &#38; is in the address: it was written for HTML",
    "decode it: --map 'FIELD={COLUMN|html}'",
);
const BACKSLASH: Oddity = (
    "backslash",
    "a backslash is in the address, and is sent as a slash",
    "remove it: --map \"FIELD={COLUMN|replace '\\' ''}\"",
);
const PATH_OF_WINDOWS: Oddity =
    (BACKSLASH.0, BACKSLASH.1, "write a slash: --map \"FIELD={COLUMN|replace '\\' '/'}\"");
const ADDRESS_INSIDE: Oddity = (
    "address_inside",
    "another whole address is in the path of the address",
    "if the column holds whole addresses, map it alone: --map FIELD=COLUMN",
);
/// What the address of a service has that takes the address of a file in its path.
const TAKES_ADDRESSES: &[&str] =
    &["fetch", "proxy", "web/", "cors", "unsafe", "plain", "insecure", "archive"];
const CUT: Oddity =
    ("cut", "the address ends in dots: the rest of it is missing", "export the whole address");
const SCHEME_TWICE: Oddity =
    ("scheme_twice", "the address begins twice: its host is http or https", "remove one");
const TEMPLATE: Oddity = (
    "template",
    "a name in braces is in the address: a template that was not filled in",
    "fill it in: --map \"FIELD=https://host/{COLUMN}\"",
);
const PERCENT: Oddity =
    ("percent", "a percent sign in the address begins no escape", "write %25 for a percent sign");

/// What is odd about an address as it is written.
fn oddities(written: &str, address: &str) -> impl Iterator<Item = Oddity> {
    const AMPERSANDS: &[&str] = &["&amp;", "&#38;", "&#038;", "&#x26;"];
    let has_sign = memchr::memchr(b'&', written.as_bytes()).is_some();
    let is_escaped = has_sign && AMPERSANDS.iter().any(|own| written.contains(own));
    is_escaped.then_some(ESCAPED).into_iter().chain(rewritten(written, address))
}

/// What is odd about the form of an address; the first that is found.
fn rewritten(written: &str, address: &str) -> Option<Oddity> {
    if is_object_address(written) {
        return None;
    }
    // in a query it stays as it is
    let before_query = written.split('?').next().unwrap_or(written);
    if memchr::memchr(b'\\', before_query.as_bytes()).is_some() {
        // `https:\/\/h\/a.mp4` of JSON, and the `\n` of a database
        let is_escape = before_query.contains("\\/")
            || ["\\n", "\\r", "\\t"].iter().any(|end| before_query.ends_with(end));
        return Some(if is_escape { BACKSLASH } else { PATH_OF_WINDOWS });
    }
    let inside = address.split_once("://").map_or(address, |(_, inside)| inside);
    let path = inside.split(['?', '#']).next().unwrap_or(inside);
    if ["http//", "https//", "http:/", "https:/"].iter().any(|twice| path.starts_with(twice)) {
        return Some(SCHEME_TWICE);
    }
    let inner = ["/http://", "/https://"].iter().find_map(|inner| path.split_once(inner));
    if inner.is_some_and(|(before, _)| !TAKES_ADDRESSES.iter().any(|word| before.contains(word))) {
        return Some(ADDRESS_INSIDE);
    }
    // a name with blanks ends as a name of a video does
    if written.rsplit_once(char::is_whitespace).is_some_and(|(_, last)| !is_media(last)) {
        return Some(TAIL);
    }
    if path.ends_with("...") || path.ends_with("%E2%80%A6") {
        return Some(CUT);
    }
    // the end of a sentence, or what closes around the address
    let name = path.trim_end_matches([';', '.', ':', '!', ')', ']', '\'']);
    if path.ends_with(';') || name.len() < path.len() && is_media(name) {
        return Some(TAIL);
    }
    // nearly all have none of these
    memchr::memchr3(b'%', b',', b';', path.as_bytes())
        .or_else(|| memchr::memchr2(b'^', b'|', path.as_bytes()))?;
    let braced = path.split_once("%7B").and_then(|(_, behind)| behind.split_once("%7D"));
    // a name of Windows is in braces, too
    let is_guid = |inner: &str| inner.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if braced.is_some_and(|(inner, _)| !is_guid(inner)) {
        return Some(TEMPLATE);
    }
    let goes_on = path
        .match_indices(['%', ',', ';', '^', '|'])
        // `;jsessionid=1` is a parameter of the path
        .filter(|(at, sign)| *sign != ";" || !path[*at..].contains('='))
        .any(|(at, _)| is_media(&path[..at]) && !is_media(path) && is_sign(&path[at..]));
    if goes_on {
        return Some(TAIL);
    }
    let is_escape = |at: usize| {
        path.as_bytes()[at + 1..].iter().take(2).filter(|byte| byte.is_ascii_hexdigit()).count() == 2
    };
    path.match_indices('%').any(|(at, _)| !is_escape(at)).then_some(PERCENT)
}

/// What to do about that which follows an address: the rule that takes it off.
fn fix_of_tail(written: &str) -> String {
    let signs = written
        .char_indices()
        .filter(|(_, sign)| matches!(sign, ',' | ';' | '|' | '^' | '.' | ':' | '!' | ')'));
    let mut tails = signs.filter(|(at, _)| is_media(&written[..*at]));
    match tails.next() {
        Some((at, sign)) if written.len() == at + 1 => {
            let ending = written[..at].rfind('.').map_or("", |dot| &written[dot..at]);
            format!("remove it: --map \"FIELD={{COLUMN|replace '{ending}{sign}' '{ending}'}}\"")
        }
        Some((_, sign @ (',' | ';' | '|' | '^'))) => {
            format!("remove it, or take the part before it: --map \"FIELD={{COLUMN|split '{sign}'|first}}\"")
        }
        Some(_) | None => TAIL.2.to_owned(),
    }
}

/// Whether a percent-encoded text begins with what separates words or sentences, in any script.
fn is_sign(encoded: &str) -> bool {
    let decoded = percent_encoding::percent_decode_str(encoded).decode_utf8_lossy();
    let first = decoded.chars().next();
    first.is_some_and(|first| !first.is_alphanumeric() && !matches!(first, '/' | '%' | '.' | '-' | '_' | '~'))
}

/// How many addresses a text holds, each for itself. An address inside the path or the query of another is part of it.
fn count(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut count = 0;
    let mut from = 0;
    while let Some(at) = memchr::memmem::find(&bytes[from..], b"://").map(|at| from + at) {
        from = at + 3;
        let Some(start) = ["https", "http", "s3", "gs", "az"].iter().find_map(|scheme| {
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
    fn an_address_that_is_not_sent_as_it_is_meant_is_said() {
        for (written, class) in [
            (r"https:\/\/h\/a.mp4", Some("backslash")),
            (r"https://h/a.mp4\n", Some("backslash")),
            ("https://h/a.mp4^fog^2019-05-06", Some("tail")),
            ("https://h/a.mp4|fog", Some("tail")),
            ("https://h/a^2|b.mp4", None),
            ("https://https://h/a.mp4", Some("scheme_twice")),
            ("http://http//h/a.mp4", Some("scheme_twice")),
            ("https://h/{id}.mp4", Some("template")),
            ("https://h/{3F2504E0-4F89-11D3-9A0C-0305E82C3301}/a.mp4", None),
            (r"https://h/a.mp4?p=c:\x", None),
            ("https://h/a.mp4 (1080p)", Some("tail")),
            ("https://h/a.mp4\"", Some("tail")),
            ("https://h/a.mp4,", Some("tail")),
            ("https://h/a.mp4;", Some("tail")),
            ("https://h/a.mp4.", Some("tail")),
            ("https://h/a.mp4)", Some("tail")),
            ("https://h/watch(1)", None),
            ("https://h/a.mp4;jsessionid=1", None),
            ("https://h/a.mp4;fog", Some("tail")),
            ("https://h/https://h/a.mp4", Some("address_inside")),
            ("https://h/videos/http://other/a.mp4", Some("address_inside")),
            ("https://web.archive.org/web/2020/https://h/a.mp4", None),
            ("https://res.example/demo/video/fetch/https://h/a.mp4", None),
            ("https://h/get?u=https://h/a.mp4", None),
            ("https://h/long-name...", Some("cut")),
            ("https://h/long-name\u{2026}", Some("cut")),
            ("https://h/a...b.mp4", None),
            ("https://h/a.mp4?sig=1 fog", Some("tail")),
            ("https://h/v/1, Dune walk", Some("tail")),
            ("https://h/a.mp4\u{a0}(HD)", Some("tail")),
            ("https://h/a.mp4\u{ff0c}第二", Some("tail")),
            ("https://h/a.mp4é", None),
            ("https://h/a.mp4/é", None),
            ("https://h/b c.mp4", None),
            ("https://h/100%.mp4", Some("percent")),
            ("https://h/100%25.mp4", None),
            ("https://h/a.mp4 part 2.mp4", None),
            ("https://h/a,b c.mp4?x={y}", None),
            ("https://https.example/a.mp4", None),
            (r"s3://bucket/a\b.mp4", None),
        ] {
            let address = SourceUrl::parse(written).unwrap();
            assert_eq!(rewritten(written, address.as_str()).map(|(class, ..)| class), class, "{written}");
        }
    }

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
            ("gs://b/a.mp4", 1),
            ("s3://b/a.mp4,s3://b/b.mp4", 2),
            ("ftp://b/a.mp4", 0),
            ("", 0),
        ] {
            assert_eq!(count(text), expected, "{text}");
        }
    }
}

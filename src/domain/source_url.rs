//! The address of a video: checked, normalised, and shown without its secrets.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

use super::{file_address, object_address, signature::unsigned};

/// The address of a video: http or https, with a host, without user or password, at most
/// [`SourceUrl::LENGTH_MAX`] bytes, percent-encoded; or the address of an object in a bucket
/// ([`ObjectAddress`](super::ObjectAddress)) or of a file on this machine.
///
/// `Debug` and `Display` show it redacted; only [`SourceUrl::as_str`] gives the whole.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SourceUrl(String);

/// Why a text is no [`SourceUrl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Nothing there.
    #[error("the url is empty")]
    Empty,
    /// Not parseable as an absolute URL.
    #[error("not an absolute url")]
    NotAbsolute,
    /// Another scheme than those of links, buckets and files.
    #[error("the scheme is none of http, https, s3, gs, az and file")]
    Scheme,
    /// No host.
    #[error("the url has no host")]
    NoHost,
    /// `user:password@` before the host.
    #[error("the url contains a user name or password")]
    Credentials,
    /// Longer than [`SourceUrl::LENGTH_MAX`].
    #[error("the url is longer than 8192 bytes")]
    TooLong,
    /// No bucket can have this name; in Azure, no account or no container.
    #[error("the address names no bucket")]
    Bucket,
    /// No key, or one that no link can carry.
    #[error("the address has no key, or a key with a part . or ..")]
    Key,
    /// Longer than [`KEY_MAX`](super::ObjectAddress::KEY_MAX).
    #[error("the key is longer than 1024 bytes")]
    KeyTooLong,
    /// The file of another machine, or none.
    #[error("the address names no file of this machine")]
    FileHost,
    /// A path that is not absolute, or has a part that no file is named by.
    #[error("the path is not absolute, or has an empty part or a part . or ..")]
    FilePath,
    /// Contains a line break, tab or other control character.
    #[error("the url contains a control character")]
    Control,
}

impl SourceUrl {
    /// The longest address taken, in bytes: longer ones are refused by common servers.
    pub const LENGTH_MAX: usize = 8192;

    /// Checks and normalises an address: surrounding blanks are removed, inner spaces and non-ASCII characters are
    /// percent-encoded, scheme and host are put in lower case, an IDN host becomes punycode.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        Self::normalise(text).map(|address| Self(address.into_owned()))
    }

    /// The same without a copy where the text is normal already, as most are.
    pub fn normalise(text: &str) -> Result<Cow<'_, str>, UrlError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(UrlError::Empty);
        }
        if text.len() > Self::LENGTH_MAX {
            return Err(UrlError::TooLong);
        }
        if is_normal(text) {
            return Ok(Cow::Borrowed(text));
        }
        if let Some(object) = object_address::normalise(text) {
            return object;
        }
        if let Some(file) = file_address::normalise(text) {
            return file;
        }
        if text.chars().any(char::is_control) {
            return Err(UrlError::Control);
        }
        if has_empty_host(text) {
            return Err(UrlError::NoHost);
        }
        let parsed = url::Url::parse(text).map_err(|error| {
            if error == url::ParseError::EmptyHost { UrlError::NoHost } else { UrlError::NotAbsolute }
        })?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(UrlError::Scheme);
        }
        if parsed.host_str().is_none_or(str::is_empty) {
            return Err(UrlError::NoHost);
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(UrlError::Credentials);
        }
        let normalised = String::from(parsed);
        if normalised.len() > Self::LENGTH_MAX {
            return Err(UrlError::TooLong);
        }
        Ok(Cow::Owned(normalised))
    }

    /// Takes an address as [`normalise`](Self::normalise) gives it.
    #[must_use]
    pub fn of_normal(address: Cow<'_, str>) -> Self {
        debug_assert_eq!(Self::normalise(&address).as_deref(), Ok(&*address), "it is normal already");
        Self(address.into_owned())
    }

    /// What of the address says which video it is: without fragment, without the parameters that sign it, and with its escapes
    /// in one spelling.
    #[must_use]
    pub fn without_signature(&self) -> Cow<'_, str> {
        unsigned(&self.0)
    }

    /// The complete address, with the secrets of a signed link. For requests and the ledger only.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether nothing stands where an address has its host: a parser takes the first folder for it (`https:///videos/a.mp4`).
fn has_empty_host(text: &str) -> bool {
    let scheme = text.get(..5).unwrap_or_default();
    let rest = if scheme.eq_ignore_ascii_case("https") {
        text[5..].strip_prefix(':')
    } else {
        scheme
            .get(..4)
            .filter(|own| own.eq_ignore_ascii_case("http"))
            .and_then(|_| text[4..].strip_prefix(':'))
    };
    rest.is_some_and(|rest| rest.starts_with("///"))
}

/// Whether an address is written already as it would be normalised. Most are, and then need no parser: a host of lower-case
/// letters, digits, `-` and `.` whose last part begins with a letter, no port, and a path of plain characters in which no
/// part begins with a dot.
fn is_normal(text: &str) -> bool {
    let Some(inside) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        return false;
    };
    let Some((host, path)) = inside.split_once('/') else { return false };
    let is_host_byte = |byte: u8| IS_IN_HOST[usize::from(byte)];
    let last = memchr::memrchr(b'.', host.as_bytes()).map_or(host, |dot| &host[dot + 1..]);
    let is_plain_host = host.bytes().all(is_host_byte)
        && last.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
        && !host.as_bytes().windows(4).any(|window| window == b"xn--");
    let mut before = b'/';
    is_plain_host
        && path.bytes().all(|byte| {
            let begins_with_a_dot = byte == b'.' && before == b'/';
            before = byte;
            IS_IN_PATH[usize::from(byte)] && !begins_with_a_dot
        })
}

const IS_IN_HOST: [bool; 256] = table(b"abcdefghijklmnopqrstuvwxyz0123456789-.");
const IS_IN_PATH: [bool; 256] = table(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~/");

/// Which bytes are among these: millions of addresses are checked byte by byte.
const fn table(bytes: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut at = 0;
    while at < bytes.len() {
        table[bytes[at] as usize] = true;
        at += 1;
    }
    table
}

impl fmt::Display for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::redact::url(&self.0))
    }
}

impl fmt::Debug for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_only_when_a_server_could_fetch_it() {
        for (text, error) in [
            ("", UrlError::Empty),
            ("  ", UrlError::Empty),
            ("clips/1.mp4", UrlError::NotAbsolute),
            ("ftp://bucket/clip.mp4", UrlError::Scheme),
            ("https:///videos/clip.mp4", UrlError::NoHost),
            ("HTTP:////host/clip.mp4", UrlError::NoHost),
            ("rtsp://user:password@10.0.0.1/", UrlError::Scheme),
            ("https://user:password@host/clip.mp4", UrlError::Credentials),
            ("https://", UrlError::NoHost),
            ("https://host/a\tb.mp4", UrlError::Control),
        ] {
            assert_eq!(SourceUrl::parse(text), Err(error), "{text}");
        }
        let long = format!("https://host/{}", "a".repeat(SourceUrl::LENGTH_MAX));
        assert_eq!(SourceUrl::parse(&long), Err(UrlError::TooLong));
    }

    #[test]
    fn an_address_that_needs_no_parser_is_what_the_parser_would_make_of_it() {
        for text in [
            "https://host/a.mp4",
            "http://a-b.c9.example.org/x/y_z~/A.B/",
            "https://host/",
            "https://host//a//b",
            "https://a.b.c/..",
            "https://host/./a",
            "https://host/a/../b",
            "https://host/a/.b",
            "https://host",
            "https://HOST/a",
            "https://host:443/a",
            "https://1.2.3.4/a",
            "https://1.2.3.04/a",
            "https://0x7f/a",
            "https://host.1/a",
            "https://xn--a/a",
            "https://host./a",
            "https://.host/a",
            "https://a..b/a",
            "https://-a/a",
            "https:///a",
            "https://host/a b",
            "https://host/%41",
        ] {
            if is_normal(text) {
                assert_eq!(url::Url::parse(text).map(String::from).as_deref(), Ok(text));
            }
        }
        assert!(is_normal("https://host/a.mp4") && !is_normal("https://host/a/../b"));
    }

    #[test]
    fn a_url_is_encoded_once_and_never_twice() {
        let spaced = SourceUrl::parse(" https://HOST/a file%20b.mp4?x=1&y=%2F ").unwrap();
        assert_eq!(spaced.as_str(), "https://host/a%20file%20b.mp4?x=1&y=%2F");
    }
}

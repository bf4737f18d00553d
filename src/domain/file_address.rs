//! The address of a file on this machine: `file:///videos/a%20b.mp4`.
//!
//! It is the identity of the item. Every byte of the path but letters, digits, `-`, `_`, `.`, `~` and `/` is percent-encoded, so that
//! a path in any encoding has exactly one address.

use std::{
    borrow::Cow,
    ffi::OsStr,
    fmt,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use serde::{Deserialize, Serialize};

use super::{SourceUrl, UnixMillis, UrlError};

/// The beginning of every address of a file.
const SCHEME: &str = "file:";

/// What is encoded in a path.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// What a file was when its row was read. Another size or time means another content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStamp {
    /// In bytes.
    pub size: u64,
    /// When it was last written.
    #[serde(rename = "mtime")]
    pub modified_at: UnixMillis,
}

impl fmt::Display for FileStamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of {}", self.size, self.modified_at)
    }
}

impl SourceUrl {
    /// The address of a file. The path is absolute, without parts `.` and `..`.
    pub fn of_file(path: &Path) -> Result<Self, UrlError> {
        address_of(path.as_os_str().as_bytes()).map(|address| Self::of_normal(Cow::Owned(address)))
    }

    /// The path of the file that it names. `None`: it is no address of a file.
    #[must_use]
    pub fn file(&self) -> Option<PathBuf> {
        path_of(self.as_str())?.ok()
    }
}

/// Whether a text is the address of a file, by its scheme.
#[must_use]
pub fn is_file_address(text: &str) -> bool {
    text.get(..SCHEME.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME))
}

/// The path that the address of a file names, as it is written there. `None`: it has another scheme.
#[must_use]
pub fn path_of(text: &str) -> Option<Result<PathBuf, UrlError>> {
    if !is_file_address(text) {
        return None;
    }
    let inside = &text[SCHEME.len()..];
    let path = match inside.strip_prefix("//") {
        None => inside,
        Some(inside) => {
            inside.strip_prefix("localhost").filter(|path| path.starts_with('/')).unwrap_or(inside)
        }
    };
    // what follows // is a host, and only this machine has files
    if !path.starts_with('/') {
        return Some(Err(UrlError::FileHost));
    }
    let bytes: Vec<u8> = percent_decode_str(path).collect();
    Some(Ok(PathBuf::from(OsStr::from_bytes(&bytes))))
}

/// Checks an address. `None`: it has another scheme.
pub(super) fn normalise(text: &str) -> Option<Result<Cow<'_, str>, UrlError>> {
    let address = path_of(text)?.and_then(|path| address_of(path.as_os_str().as_bytes()));
    Some(address.map(|address| if address == text { Cow::Borrowed(text) } else { Cow::Owned(address) }))
}

fn address_of(path: &[u8]) -> Result<String, UrlError> {
    let mut parts = path.split(|byte| *byte == b'/');
    let is_absolute = parts.next() == Some(b"");
    let mut has_part = false;
    for part in parts {
        if matches!(part, b"" | b"." | b"..") || part.contains(&0) {
            return Err(UrlError::FilePath);
        }
        has_part = true;
    }
    if !is_absolute || !has_part {
        return Err(UrlError::FilePath);
    }
    let address = format!("{SCHEME}//{}", percent_encode(path, ENCODED));
    if address.len() > SourceUrl::LENGTH_MAX {
        return Err(UrlError::TooLong);
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_one_address_and_is_read_back_from_it() {
        let odd = OsStr::from_bytes(b"/v/\xff \"'#?%20\n;\xf0\x9f\x8e\xac.mp4");
        let url = SourceUrl::of_file(Path::new(odd)).unwrap();
        assert_eq!(url.as_str(), "file:///v/%FF%20%22%27%23%3F%2520%0A%3B%F0%9F%8E%AC.mp4");
        assert_eq!(url.file().unwrap(), Path::new(odd));
        for text in
            ["file:///v/a b.mp4", "FILE:/v/a%20b.mp4", "file://localhost/v/a b.mp4", " file:///v/%61%20b.mp4"]
        {
            assert_eq!(SourceUrl::parse(text).unwrap().as_str(), "file:///v/a%20b.mp4", "{text}");
        }
        assert_eq!(SourceUrl::parse("https://host/a.mp4").unwrap().file(), None);
    }

    #[test]
    fn what_names_no_file_of_this_machine_is_refused() {
        for (text, error) in [
            ("file://nas/v/a.mp4", UrlError::FileHost),
            ("file:a.mp4", UrlError::FileHost),
            ("file:///", UrlError::FilePath),
            ("file:///v/../a.mp4", UrlError::FilePath),
            ("file:///v/%2e%2e/a.mp4", UrlError::FilePath),
            ("file:///v//a.mp4", UrlError::FilePath),
            ("file:///v/a%00.mp4", UrlError::FilePath),
        ] {
            assert_eq!(SourceUrl::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn nothing_is_cut_from_the_address_of_a_file() {
        let url = SourceUrl::of_file(Path::new("/v/a?sig=1&se=2023-11-14#x.mp4")).unwrap();
        assert_eq!((url.without_signature(), url.expires_at()), (url.as_str().into(), None));
    }
}

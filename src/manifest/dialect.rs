//! How the text of a manifest is written: encoding, and where cells and rows begin and end.

use std::{fmt, str::FromStr};

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// How a file is written. What no flag says is found out, or is as RFC 4180 has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dialect {
    /// `None`: found out from a byte-order mark or the first bytes.
    pub encoding: Option<Encoding>,
    /// The delimiter of cells. `None`: found out from the first records.
    pub delimiter: Option<u8>,
    /// What encloses cells.
    pub quote: Quote,
    /// What precedes a quote that is part of the text, beside the doubled quote.
    pub escape: Option<u8>,
    /// Lines that begin with it are no rows.
    pub comment: Option<u8>,
    /// Lines before the header, or before the first row: skipped, whatever they hold.
    pub lines_before: u64,
    /// The worksheet of a workbook. `None`: the first visible one.
    pub sheet: Option<String>,
    /// Whether missing cells at the end of a row are empty ones.
    pub pads_short_rows: bool,
}

/// What encloses cells that contain delimiters or line breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quote {
    /// This byte.
    Byte(u8),
    /// Nothing: a quote is text.
    None,
}

impl Default for Quote {
    fn default() -> Self {
        Self::Byte(b'"')
    }
}

/// A text encoding, by any label that browsers know: `utf-8`, `utf-16le`, `latin1`, `windows-1252`, `shift_jis`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding(pub(super) &'static encoding_rs::Encoding);

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl FromStr for Encoding {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        encoding_rs::Encoding::for_label(text.as_bytes())
            .map(Self)
            .ok_or_else(|| "expected an encoding such as utf-8, utf-16le, latin1 or windows-1252".to_owned())
    }
}

/// This many of the first bytes show whether every second one is zero.
const SAMPLE: usize = 512;

impl Encoding {
    pub(super) const UTF_8: Self = Self(UTF_8);

    pub(super) fn is_utf8(self) -> bool {
        self.0 == UTF_8
    }

    /// What the first bytes of a file say, and why; UTF-8 where nothing speaks against it. They may end inside a character.
    pub(super) fn found(head: &[u8]) -> (Self, Option<&'static str>) {
        if let Some((encoding, _)) = encoding_rs::Encoding::for_bom(head) {
            let why = (encoding != UTF_8).then_some("by its byte-order mark");
            return (Self(encoding), why);
        }
        let sample = &head[..head.len().min(SAMPLE)];
        let zeros = |from: usize| sample.iter().skip(from).step_by(2).filter(|byte| **byte == 0).count();
        let half = sample.len() / 2;
        // Latin letters have one zero byte of two; a binary file has them anywhere
        if half > 1 && zeros(1) * 4 >= half * 3 && zeros(0) == 0 {
            return (Self(UTF_16LE), Some("every second byte is zero; --encoding names another"));
        }
        if half > 1 && zeros(0) * 4 >= half * 3 && zeros(1) == 0 {
            return (Self(UTF_16BE), Some("every second byte is zero; --encoding names another"));
        }
        let (whole, broken) = utf8_letters(head);
        // one broken row must not spoil the letters of all others
        if broken > whole {
            let encoding = guess(head);
            let why = if whole > 0 && encoding.is_single_byte() {
                "a guess, since it is not UTF-8, though some of its letters are: if rows of several encodings were put together, the \
                 letters of some are read wrongly; --encoding names another"
            } else {
                "a guess, since it is not UTF-8; --encoding names another"
            };
            return (Self(encoding), Some(why));
        }
        (Self(UTF_8), None)
    }
}

/// The encoding that the bytes are most likely in, other than UTF-8.
fn guess(head: &[u8]) -> &'static encoding_rs::Encoding {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(head, true);
    let found = detector.guess(None, Utf8Detection::Deny);
    if found == UTF_8 { WINDOWS_1252 } else { found }
}

/// How many letters beyond ASCII are whole as UTF-8, and how many are broken. The head may end inside a letter.
fn utf8_letters(head: &[u8]) -> (usize, usize) {
    const LETTER_MAX: usize = 4;
    let mut end = head.len();
    let (mut whole, mut broken) = (0_usize, 0_usize);
    for chunk in head.utf8_chunks() {
        whole += chunk.valid().chars().filter(|letter| !letter.is_ascii()).count();
        broken += usize::from(!chunk.invalid().is_empty());
        end -= chunk.valid().len() + chunk.invalid().len();
        if end == 0 && !chunk.invalid().is_empty() && chunk.invalid().len() < LETTER_MAX {
            broken -= usize::from(
                std::str::from_utf8(chunk.invalid()).is_err_and(|error| error.error_len().is_none()),
            );
        }
    }
    (whole, broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoding_is_found_from_the_first_bytes() {
        for (head, name) in [
            (&b"url,tags\n"[..], "UTF-8"),
            (b"", "UTF-8"),
            (b"\xef\xbb\xbfurl\n", "UTF-8"),
            ("url,M\u{101}ori\n".as_bytes(), "UTF-8"),
            (&"url,M\u{101}"[..].as_bytes()[..6], "UTF-8"),
            (b"url,caf\xe9\n", "windows-1252"),
            (b"M\xc4\x81ori,caf\xe9\n", "UTF-8"),
            (b"\xff\xfeu\0r\0l\0\n\0", "UTF-16LE"),
            (b"\xfe\xff\0u\0r\0l\0\n", "UTF-16BE"),
            (b"u\0r\0l\0\n\0", "UTF-16LE"),
            (b"\0u\0r\0l\0\n", "UTF-16BE"),
            (b"url\n\0\0\0\0\0\0\0\0", "UTF-8"),
        ] {
            assert_eq!(Encoding::found(head).0.0.name(), name, "{head:?}");
        }
    }

    #[test]
    fn letters_of_two_encodings_are_said() {
        let is_said = |head: &[u8]| Encoding::found(head).1.is_some_and(|why| why.contains("put together"));
        assert!(is_said(b"url,caf\xe9\ncaf\xe9\ncaf\xc3\xa9\n"));
        assert!(!is_said(b"url,caf\xe9\ncaf\xe9\n"));
    }

    #[test]
    fn labels_are_those_that_browsers_know() {
        assert_eq!("latin1".parse::<Encoding>().unwrap().to_string(), "windows-1252");
        assert!("klingon".parse::<Encoding>().unwrap_err().contains("utf-16le"));
    }
}

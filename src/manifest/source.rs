//! Bytes of a manifest: a file or standard input, unpacked, as UTF-8, without a byte-order mark.

use std::{
    fs::File,
    io::{self, BufReader, Read},
};

use encoding_rs_io::DecodeReaderBytesBuilder;

use super::{
    STDIN,
    decompress::Compression,
    dialect::{Dialect, Encoding, Quote},
};

/// Read-ahead buffer: large enough that system calls do not count.
pub(super) const BUFFER: usize = 256 * 1024;

/// So much is read to see what a file is.
pub(super) const HEAD_MAX: usize = 64 * 1024;

/// The bytes of a manifest, unpacked, in UTF-8 (or what should be).
pub(super) type Bytes = BufReader<Box<dyn Read + Send>>;

/// A manifest's bytes, and what was found out about them.
pub(super) struct Opened {
    /// The file itself, as it is; none for a pipe.
    pub(super) file: Option<File>,
    /// The first of them.
    pub(super) head: Vec<u8>,
    pub(super) bytes: Bytes,
    /// What a reader should know: `zstd`, `windows-1252 (it is not UTF-8)`.
    pub(super) found: Vec<String>,
}

/// Opens a path or standard input, and shows its head; what it is shows in its first bytes, not in its name.
pub(super) fn open(path: &str, dialect: &Dialect) -> io::Result<Opened> {
    let (raw, file): (Box<dyn Read + Send>, _) = if path == STDIN {
        (Box::new(io::stdin()), None)
    } else {
        let file = File::open(path)?;
        let meta = file.metadata()?;
        if meta.is_dir() {
            return Err(io::Error::other("it is a folder"));
        }
        let twin = if meta.is_file() { Some(file.try_clone()?) } else { None };
        (Box::new(file), twin)
    };
    // somebody may be typing, and waits for an answer to the first line
    let wanted = if path == STDIN { Wanted::Line } else { Wanted::AllOfHead };
    let mut bytes = with_head(raw, wanted)?;
    let mut found = Vec::new();
    if let Some(compression) = Compression::found(&bytes.head) {
        found.push(compression.as_str().to_owned());
        bytes = with_head(compression.decompress(bytes.into_reader())?, wanted)?;
    }
    let (encoding, why) = match dialect.encoding {
        Some(told) => (told, None),
        None => Encoding::found(&bytes.head),
    };
    if let Some(why) = why {
        found.push(format!("{encoding:?} ({why})"));
    }
    if encoding.is_utf8() {
        if bytes.head.starts_with(b"\xef\xbb\xbf") {
            bytes.head.drain(..3);
        }
    } else {
        let decoded = DecodeReaderBytesBuilder::new()
            .encoding(Some(encoding.0))
            .bom_override(true)
            .build(bytes.into_reader());
        bytes = with_head(Box::new(decoded), wanted)?;
    }
    let head = bytes.head.clone();
    Ok(Opened { file, head, bytes: BufReader::with_capacity(BUFFER, bytes.into_reader()), found })
}

/// Bytes that are there already.
pub(super) fn of(bytes: &[u8]) -> Bytes {
    BufReader::new(Box::new(io::Cursor::new(bytes.to_vec())))
}

/// No bytes.
pub(super) fn none() -> Bytes {
    BufReader::with_capacity(0, Box::new(io::empty()))
}

/// The beginning of a stream, looked at, and the rest.
struct Headed {
    head: Vec<u8>,
    rest: Box<dyn Read + Send>,
}

impl Headed {
    fn into_reader(self) -> Box<dyn Read + Send> {
        Box::new(io::Cursor::new(self.head).chain(self.rest))
    }
}

/// How much of a stream is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// The first line.
    Line,
    /// As much as is looked at in any case.
    AllOfHead,
}

/// Reads on until what is wanted is there, or the end, or [`HEAD_MAX`]: a pipe may bring its bytes one by one.
fn with_head(mut rest: Box<dyn Read + Send>, wanted: Wanted) -> io::Result<Headed> {
    let mut head = Vec::new();
    let mut buffer = vec![0; HEAD_MAX];
    let has_line = |head: &[u8]| wanted == Wanted::Line && head.len() > 3 && head.contains(&b'\n');
    while head.len() < HEAD_MAX && !has_line(&head) {
        let room = HEAD_MAX - head.len();
        match rest.read(&mut buffer[..room]) {
            Ok(0) => break,
            Ok(count) => head.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if head.is_empty() => return Err(error),
            // what came before the damage is read first
            Err(error) => {
                rest = Box::new(Damaged(Some(error)));
                break;
            }
        }
    }
    Ok(Headed { head, rest })
}

/// A stream that ends with a fault.
struct Damaged(Option<io::Error>);

impl Read for Damaged {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// The delimiter of a first line: a tab if there is one, else the most frequent of `,` `;` `|` outside quotes.
pub(super) fn guess_delimiter(head: &[u8], quote: Quote) -> u8 {
    let mut in_quotes = false;
    let mut counts = [(b',', 0_u32), (b';', 0), (b'|', 0)];
    for byte in head {
        match byte {
            byte if quote == Quote::Byte(*byte) => in_quotes = !in_quotes,
            b'\n' | b'\r' if !in_quotes => break,
            b'\t' if !in_quotes => return b'\t',
            byte if !in_quotes => {
                if let Some((_, count)) = counts.iter_mut().find(|(delimiter, _)| delimiter == byte) {
                    *count += 1;
                }
            }
            _ => {}
        }
    }
    // the first of equals wins: a comma where nothing speaks for another
    counts.iter().rev().max_by_key(|(_, count)| *count).map_or(b',', |(delimiter, _)| *delimiter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delimiter_is_the_one_the_first_line_uses() {
        for (head, delimiter) in [
            ("url,tags\n", b','),
            ("url;tags;a,b\n", b';'),
            ("url\ttags,x,y\n", b'\t'),
            ("url|tags\n", b'|'),
            ("url\n", b','),
            ("\"a;b;c\",d\n;;;;", b','),
            ("", b','),
        ] {
            assert_eq!(guess_delimiter(head.as_bytes(), Quote::default()), delimiter, "{head}");
        }
    }
}

//! Bytes of a manifest: a file or standard input, decompressed, as UTF-8, without a byte-order mark.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    os::unix::fs::FileExt as _,
};

use encoding_rs_io::DecodeReaderBytesBuilder;

pub(super) use super::decompress::BUFFER;
use super::{
    STDIN,
    decompress::Compression,
    dialect::{Dialect, Encoding},
    foreign,
};
use crate::csv_injection::is_own_output;

/// This much is read to see what a file is.
pub(super) const HEAD_MAX: usize = 64 * 1024;
/// The beginning of a pipe is read on up to here where it shows too little.
const LONG_HEAD_MAX: usize = 1024 * 1024;

/// The bytes of a manifest, decompressed, in UTF-8 unless they are damaged.
pub(super) type Bytes = BufReader<Box<dyn Read + Send>>;

/// A manifest's bytes, and what was found out about them.
pub(super) struct Opened {
    /// The file as it is. `None`: a pipe.
    pub(super) file: Option<File>,
    /// The first of them.
    pub(super) head: Vec<u8>,
    pub(super) bytes: Bytes,
    /// What a user should know: `zstd`, `windows-1252 (a guess ...)`.
    pub(super) found: Vec<String>,
}

/// Opens a path, standard input or a listing, and reads its first bytes. They decide what it is, not its name.
pub(super) fn open(path: &str, listing: Option<&File>, dialect: &Dialect) -> io::Result<Opened> {
    let (raw, file): (Box<dyn Read + Send>, _) = if let Some(listing) = listing {
        (Box::new(Rereader { file: listing.try_clone()?, at: 0 }), Some(listing.try_clone()?))
    } else if path == STDIN {
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
    // a user may type the lines, and waits for an answer to the first one
    let wanted = if path == STDIN { Wanted::Line } else { Wanted::AllOfHead };
    let mut bytes = with_head(raw, wanted)?;
    let mut found = Vec::new();
    if let Some(compression) = Compression::found(&bytes.head) {
        found.push(compression.as_str().to_owned());
        bytes = with_head(compression.decompress(bytes.into_reader())?, wanted)?;
    }
    let (encoding, why) = match dialect.encoding {
        // what telecine wrote is UTF-8, whatever is said of the file it came from; a spreadsheet may have saved it otherwise
        _ if is_own_output(&bytes.head) && is_utf8(&bytes.head) => (Encoding::UTF_8, None),
        // the bytes of what is no text stay as they are
        _ if foreign::is_zip(&bytes.head) || foreign::known(&bytes.head).is_some() => (Encoding::UTF_8, None),
        Some(explicit) => (explicit, None),
        None => Encoding::found(&bytes.head),
    };
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
    if let Some(why) = why {
        found.push(format!("{encoding} ({why}{})", words_beyond_ascii(&bytes.head)));
    }
    let head = bytes.head.clone();
    Ok(Opened { file, head, bytes: BufReader::with_capacity(BUFFER, bytes.into_reader()), found })
}

/// The first words that an encoding decides about, so that a user sees whether it is the right one.
fn words_beyond_ascii(head: &[u8]) -> String {
    const WORDS: usize = 3;
    const LETTERS: usize = 20;
    let text = String::from_utf8_lossy(head);
    let ends = |c: char| c.is_whitespace() || c.is_ascii_punctuation();
    let words: Vec<String> = text
        .split(ends)
        .filter(|word| !word.is_ascii())
        .take(WORDS)
        .map(|word| crate::redact::clean(&word.chars().take(LETTERS).collect::<String>()))
        .collect();
    if words.is_empty() { String::new() } else { format!("; it gives {}", words.join(", ")) }
}

/// Whether bytes are UTF-8, but for a character that is cut at their end.
fn is_utf8(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).err().is_none_or(|error| error.error_len().is_none())
}

impl Opened {
    /// Reads on until `is_enough` holds for what is there, or the end, or 1 MiB: a pipe is read only once.
    pub(super) fn read_more(&mut self, is_enough: impl Fn(&[u8]) -> bool) -> io::Result<()> {
        let mut more = self.head.clone();
        let mut rest = std::mem::replace(&mut self.bytes, none());
        let mut seen = vec![0; more.len()];
        rest.read_exact(&mut seen)?;
        let mut buffer = vec![0; HEAD_MAX];
        while more.len() < LONG_HEAD_MAX && !is_enough(&more) {
            match rest.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => more.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let whole = io::Cursor::new(more.clone()).chain(rest);
        self.bytes = BufReader::with_capacity(BUFFER, Box::new(whole));
        self.head = more;
        Ok(())
    }
}

/// Bytes that are there already.
pub(super) fn of(bytes: &[u8]) -> Bytes {
    BufReader::new(Box::new(io::Cursor::new(bytes.to_vec())))
}

/// No bytes.
pub(super) fn none() -> Bytes {
    BufReader::with_capacity(0, Box::new(io::empty()))
}

/// Adds every byte of a file to a digest, wherever its readers are.
pub(super) fn hash(file: &File, hasher: &mut blake3::Hasher) -> io::Result<()> {
    let mut reader = Rereader { file: file.try_clone()?, at: 0 };
    let mut buffer = vec![0; BUFFER];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => drop(hasher.update(&buffer[..count])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads a file from its beginning, whatever is read elsewhere of the same file.
struct Rereader {
    file: File,
    at: u64,
}

impl Read for Rereader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// The beginning of a stream, and the rest.
struct Headed {
    head: Vec<u8>,
    rest: Box<dyn Read + Send>,
}

impl Headed {
    fn into_reader(self) -> Box<dyn Read + Send> {
        Box::new(io::Cursor::new(self.head).chain(self.rest))
    }
}

/// How much of a stream is read first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// The first line.
    Line,
    /// [`HEAD_MAX`] bytes.
    AllOfHead,
}

/// Reads on until what is wanted is there, or the end, or [`HEAD_MAX`]: a pipe may bring its bytes one by one.
fn with_head(mut rest: Box<dyn Read + Send>, wanted: Wanted) -> io::Result<Headed> {
    let mut head = Vec::new();
    let mut buffer = vec![0; HEAD_MAX];
    let has_line = |head: &[u8]| wanted == Wanted::Line && head.len() > 3 && head.contains(&b'\n');
    while head.len() < HEAD_MAX && !has_line(&head) {
        let missing = HEAD_MAX - head.len();
        match rest.read(&mut buffer[..missing]) {
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

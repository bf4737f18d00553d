//! Bytes of a manifest: a file or standard input, gzip or plain, without a byte-order mark.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use flate2::bufread::MultiGzDecoder;

use super::STDIN;

/// Read-ahead buffer: large enough that system calls do not count.
const BUFFER: usize = 256 * 1024;

/// So much is read to see what a file is.
const HEAD_MAX: usize = 64 * 1024;

/// A compressed file that unpacks to more than this many times its size is refused as a trap…
const RATIO_MAX: u64 = 200;

/// …once it has unpacked to this many bytes; small files may be as repetitive as they like.
const RATIO_FROM: u64 = 64 * 1024 * 1024;

/// The bytes of a manifest, unpacked.
pub(super) type Bytes = BufReader<Box<dyn Read + Send>>;

/// Opens a path or standard input, and shows its head; gzip is recognised by its first bytes, not by its name.
pub(super) fn open(path: &str) -> io::Result<(Vec<u8>, Bytes)> {
    let raw: Box<dyn Read + Send> = if path == STDIN {
        Box::new(io::stdin())
    } else {
        let file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::Error::other("it is a folder"));
        }
        Box::new(file)
    };
    let raw = with_head(raw)?;
    let mut bytes = if raw.head.starts_with(&[0x1f, 0x8b]) {
        with_head(Box::new(Unpacked::new(BufReader::with_capacity(BUFFER, raw.into_reader()))))?
    } else {
        raw
    };
    if bytes.head.starts_with(b"\xef\xbb\xbf") {
        bytes.head.drain(..3);
    }
    let head = bytes.head.clone();
    Ok((head, BufReader::with_capacity(BUFFER, bytes.into_reader())))
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

/// Reads on until the first line is there, or the end, or [`HEAD_MAX`]: a pipe may bring its bytes one by one.
fn with_head(mut rest: Box<dyn Read + Send>) -> io::Result<Headed> {
    let mut head = Vec::new();
    let mut buffer = vec![0; HEAD_MAX];
    while head.len() < HEAD_MAX && !(head.len() > 3 && head.contains(&b'\n')) {
        match rest.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => head.extend_from_slice(&buffer[..count]),
            Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(Headed { head, rest })
}

/// The delimiter of a first line: a tab if there is one, else the most frequent of `,` `;` `|` outside quotes.
pub(super) fn guess_delimiter(head: &[u8]) -> u8 {
    let mut in_quotes = false;
    let mut counts = [(b',', 0_u32), (b';', 0), (b'|', 0)];
    for byte in head {
        match byte {
            b'"' => in_quotes = !in_quotes,
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

/// A gzip decoder that refuses decompression bombs.
struct Unpacked {
    decoder: MultiGzDecoder<BufReader<Counted>>,
    bytes_in: Arc<AtomicU64>,
    bytes_out: u64,
}

struct Counted {
    inner: BufReader<Box<dyn Read + Send>>,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl Unpacked {
    fn new(inner: BufReader<Box<dyn Read + Send>>) -> Self {
        let bytes_in = Arc::new(AtomicU64::new(0));
        let counted = Counted { inner, read: Arc::clone(&bytes_in) };
        Self {
            decoder: MultiGzDecoder::new(BufReader::with_capacity(BUFFER, counted)),
            bytes_in,
            bytes_out: 0,
        }
    }
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.decoder.read(buffer)?;
        self.bytes_out += count as u64;
        if self.bytes_out > RATIO_FROM && self.bytes_out / RATIO_MAX > self.bytes_in.load(Ordering::Relaxed) {
            return Err(io::Error::other(format!(
                "the gzip file unpacks to more than {RATIO_MAX} times its size; unpack it yourself if it is meant so"
            )));
        }
        Ok(count)
    }
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
            assert_eq!(guess_delimiter(head.as_bytes()), delimiter, "{head}");
        }
    }
}

//! Compressed manifests: gzip, zstd, bzip2 and xz, recognised by their first bytes, and refused when they are decompression bombs.

use std::{
    io::{self, BufReader, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bzip2::read::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use liblzma::{
    read::XzDecoder,
    stream::{CONCATENATED, Stream},
};

/// Read-ahead buffer, in bytes: large enough that system calls do not count.
pub(super) const BUFFER: usize = 256 * 1024;
/// A compressed file that unpacks to more than this many times its size is refused as a decompression bomb, once it has
/// unpacked to [`RATIO_FROM`] bytes.
const RATIO_MAX: u64 = 200;
const RATIO_FROM: u64 = 64 * 1024 * 1024;
/// The memory an xz decoder may take, in bytes: what `xz -9` needs.
const XZ_MEMORY_MAX: u64 = 68 * 1024 * 1024;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zstd,
    Bzip2,
    Xz,
}

impl Compression {
    /// By its first bytes, not by its name.
    pub(super) fn found(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            // a frame, or a frame to be skipped
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(Self::Bzip2),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            _ => None,
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
        }
    }

    /// The decompressed bytes. Several compressed members behind one another are one file.
    pub(super) fn decompress(self, packed: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
        let bytes_in = Arc::new(AtomicU64::new(0));
        let counted = Counted { inner: packed, read: Arc::clone(&bytes_in) };
        let buffered = BufReader::with_capacity(BUFFER, counted);
        let decoder: Box<dyn Read + Send> = match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(buffered)),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(buffered)?),
            Self::Bzip2 => Box::new(MultiBzDecoder::new(buffered)),
            Self::Xz => {
                let stream = Stream::new_stream_decoder(XZ_MEMORY_MAX, CONCATENATED)?;
                Box::new(XzDecoder::new_stream(buffered, stream))
            }
        };
        Ok(Box::new(Decompressed { decoder, compression: self, bytes_in, bytes_out: 0 }))
    }
}

/// A decoder that refuses decompression bombs.
struct Decompressed {
    decoder: Box<dyn Read + Send>,
    compression: Compression,
    bytes_in: Arc<AtomicU64>,
    bytes_out: u64,
}

struct Counted {
    inner: Box<dyn Read + Send>,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl Read for Decompressed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.decoder.read(buffer)?;
        self.bytes_out += count as u64;
        if self.bytes_out > RATIO_FROM && self.bytes_out / RATIO_MAX > self.bytes_in.load(Ordering::Relaxed) {
            let compression = self.compression.as_str();
            return Err(io::Error::other(format!(
                "the {compression} file unpacks to more than {RATIO_MAX} times its size; unpack it yourself if it is meant so"
            )));
        }
        Ok(count)
    }
}

//! A file of which only parts are in memory. A read of another part fails, and its position is recorded.

use std::io::{self, Read, Seek, SeekFrom};

/// The parts of a file that were fetched so far.
#[derive(Debug, Default)]
pub(super) struct PartialFile {
    /// Each with its offset in the file.
    parts: Vec<(u64, Vec<u8>)>,
    /// The size of the file. `None`: unknown.
    total: Option<u64>,
    at: u64,
    wanted: Option<u64>,
    /// Reads left until the reader counts as endless.
    steps_left: u32,
}

/// An index is read in far fewer steps; a reader that takes more does not end.
const STEPS_MAX: u32 = 1_000_000;

impl PartialFile {
    /// A file that starts with these bytes.
    pub(super) fn new(first: Vec<u8>, total: Option<u64>) -> Self {
        Self { parts: vec![(0, first)], total, at: 0, wanted: None, steps_left: STEPS_MAX }
    }

    pub(super) fn add(&mut self, at: u64, bytes: Vec<u8>) {
        self.parts.push((at, bytes));
    }

    /// Moves the reader to the start.
    pub(super) const fn rewind(&mut self) {
        (self.at, self.wanted, self.steps_left) = (0, None, STEPS_MAX);
    }

    /// Whether the reader made too many reads.
    pub(super) const fn is_worn_out(&self) -> bool {
        self.steps_left == 0
    }

    fn step(&mut self) -> io::Result<()> {
        self.steps_left = self.steps_left.saturating_sub(1);
        if self.is_worn_out() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }

    pub(super) const fn total(&self) -> Option<u64> {
        self.total
    }

    /// Takes the position of the last read that failed.
    pub(super) const fn take_wanted(&mut self) -> Option<u64> {
        self.wanted.take()
    }

    /// All bytes in memory.
    pub(super) fn held(&self) -> usize {
        self.parts.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    fn rest_of_part(&self) -> Option<&[u8]> {
        self.parts.iter().find_map(|(start, bytes)| {
            let inside = usize::try_from(self.at.checked_sub(*start)?).ok()?;
            bytes.get(inside..).filter(|rest| !rest.is_empty())
        })
    }
}

impl Read for PartialFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.step()?;
        if buffer.is_empty() || self.total.is_some_and(|total| self.at >= total) {
            return Ok(0);
        }
        let Some(rest) = self.rest_of_part() else {
            self.wanted = Some(self.at);
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for PartialFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.step()?;
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.total.and_then(|total| total.checked_add_signed(by)),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_of_missing_bytes_names_their_offset() {
        let mut file = PartialFile::new(b"abcd".to_vec(), Some(12));
        let mut buffer = [0; 8];
        assert_eq!(file.read(&mut buffer).unwrap(), 4);
        assert_eq!(file.read(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(file.take_wanted(), Some(4));
        assert_eq!(file.take_wanted(), None);
        file.add(4, b"efgh".to_vec());
        assert_eq!(file.read(&mut buffer).unwrap(), 4);
        assert_eq!(&buffer[..4], b"efgh");
        file.seek(SeekFrom::End(0)).unwrap();
        assert_eq!(file.read(&mut buffer).unwrap(), 0, "the end");
        assert_eq!(file.held(), 8);
    }

    #[test]
    fn a_reader_that_goes_round_in_circles_is_ended() {
        let mut file = PartialFile::new(b"abcd".to_vec(), Some(4));
        let ended = loop {
            if let Err(error) = file.seek(SeekFrom::Start(0)) {
                break error;
            }
        };
        assert_eq!((ended.kind(), file.is_worn_out()), (io::ErrorKind::TimedOut, true));
        file.rewind();
        assert!(file.read(&mut [0; 2]).is_ok());
    }
}

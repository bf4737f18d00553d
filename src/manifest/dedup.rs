//! Which keys were seen before, on which line.
//!
//! Keys are compared by 72 of their bits. Among ten million rows two different keys are taken for the same once in a hundred million
//! scans.

use hashbrown::HashTable;

/// Parts of the table. One that grows copies its own places only.
const SHARDS: usize = 256;

/// One key, and the line it was first seen on: 12 bytes.
#[derive(Clone, Copy)]
#[repr(C, packed(4))]
struct SeenPlace {
    key: u64,
    line: u32,
}

/// The keys seen so far.
pub(super) struct SeenKeys {
    shards: Vec<HashTable<SeenPlace>>,
}

impl Default for SeenKeys {
    fn default() -> Self {
        Self::new()
    }
}

impl SeenKeys {
    pub(super) fn new() -> Self {
        Self { shards: std::iter::repeat_with(HashTable::new).take(SHARDS).collect() }
    }

    /// The line of the first row with this key, if there was one; else this is the first, on `line` (from 1).
    pub(super) fn first_line(&mut self, key: &[u8; 16], line: u64) -> Option<u64> {
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        let mut bits = [0; 8];
        bits.copy_from_slice(&key[1..9]);
        // a key is a digest: its bits are even already
        let key_bits = u64::from_le_bytes(bits);
        let shard = &mut self.shards[usize::from(key[0]) % SHARDS];
        if let Some(place) = shard.find(key_bits, |place| place.key == key_bits) {
            return Some(u64::from(place.line));
        }
        shard.insert_unique(key_bits, SeenPlace { key: key_bits, line }, |place| place.key);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_key_is_remembered_in_little_memory() {
        let mut seen = SeenKeys::new();
        let key = |number: u64| {
            let mut key = [0; 16];
            key.copy_from_slice(&blake3::hash(&number.to_le_bytes()).as_bytes()[..16]);
            key
        };
        let count = 3_000_000;
        for number in 0..count {
            assert_eq!(seen.first_line(&key(number), number + 2), None);
        }
        for number in (0..count).step_by(97) {
            assert_eq!(seen.first_line(&key(number), 9_999_999), Some(number + 2));
        }
        let bytes: usize = seen.shards.iter().map(HashTable::allocation_size).sum();
        assert!(bytes <= 32 * usize::try_from(count).unwrap(), "{bytes} bytes for {count} keys");
    }
}

//! Which keys were seen before, on which line: 12 bytes a key, whatever the number.
//!
//! Keys are told apart by 72 of their bits: among ten million rows two different ones are taken for the same once in a hundred
//! million surveys. The table is split, so that growing it copies a small part at a time; once it is large it grows by a fifth, so
//! that little of it is empty. A library's table doubles, and then is half empty.

/// Parts of the table.
const SHARDS: usize = 256;
/// A part begins with room for so many.
const ROOM_MIN: usize = 16;
/// It grows when it is fuller than this, in percent, and by so many percent: in haste while that takes little room…
const IN_HASTE: (usize, usize) = (60, 60);
/// …and sparingly once a part has so many places.
const SPARINGLY: (usize, usize) = (85, 20);
const LARGE: usize = 8 * 1024;

/// One key, and the line it was first seen on; 0 is an empty place.
#[derive(Clone, Copy, Default)]
#[repr(C, packed(4))]
struct Place {
    key: u64,
    line: u32,
}

#[derive(Default)]
struct Shard {
    places: Vec<Place>,
    used: usize,
}

/// The keys seen so far.
pub(super) struct SeenKeys {
    shards: Vec<Shard>,
}

impl SeenKeys {
    pub(super) fn new() -> Self {
        Self { shards: std::iter::repeat_with(Shard::default).take(SHARDS).collect() }
    }

    /// The line of the first row with this key, if there was one; else this is the first, on `line` (from 1).
    pub(super) fn first_line(&mut self, key: &[u8; 16], line: u64) -> Option<u64> {
        let line = u32::try_from(line).unwrap_or(u32::MAX).max(1);
        let (shard, bits) = Self::place_of(key);
        self.shards[shard].first_line(bits, line)
    }

    /// Fetches the memory that these keys will be looked up in. The fetches do not wait for each other, as one look after the
    /// other would.
    pub(super) fn warm<'a>(&self, keys: impl Iterator<Item = &'a [u8; 16]>) {
        let lines = keys.map(|key| {
            let (shard, bits) = Self::place_of(key);
            let places = &self.shards[shard].places;
            places.get(Shard::home(bits, places.len())).map_or(0, |place| place.line)
        });
        std::hint::black_box(lines.fold(0, std::ops::BitXor::bitxor));
    }

    /// The part that a key belongs to, and the bits it is told by there.
    fn place_of(key: &[u8; 16]) -> (usize, u64) {
        let mut bits = [0; 8];
        bits.copy_from_slice(&key[1..9]);
        (usize::from(key[0]) % SHARDS, u64::from_le_bytes(bits))
    }
}

impl Shard {
    fn first_line(&mut self, key: u64, line: u32) -> Option<u64> {
        let (full, growth) = if self.places.len() < LARGE { IN_HASTE } else { SPARINGLY };
        if (self.used + 1) * 100 > self.places.len() * full {
            self.grow(growth);
        }
        let mut at = Self::home(key, self.places.len());
        loop {
            let place = self.places[at];
            if place.line == 0 {
                self.places[at] = Place { key, line };
                self.used += 1;
                return None;
            }
            if place.key == key {
                return Some(u64::from(place.line));
            }
            at = if at + 1 == self.places.len() { 0 } else { at + 1 };
        }
    }

    /// Where a key would like to be: keys are digests, so their bits are even already.
    fn home(key: u64, room: usize) -> usize {
        usize::try_from((u128::from(key) * room as u128) >> 64).unwrap_or(0)
    }

    fn grow(&mut self, percent: usize) {
        let room = (self.places.len() * (100 + percent) / 100).max(ROOM_MIN);
        let mut places = Vec::new();
        places.reserve_exact(room);
        places.resize(room, Place::default());
        for place in std::mem::replace(&mut self.places, places).into_iter().filter(|place| place.line != 0) {
            let mut at = Self::home(place.key, room);
            while self.places[at].line != 0 {
                at = if at + 1 == room { 0 } else { at + 1 };
            }
            self.places[at] = place;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_key_is_remembered_in_little_room() {
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
        let bytes: usize = seen.shards.iter().map(|shard| shard.places.capacity() * size_of::<Place>()).sum();
        assert!(bytes <= 17 * usize::try_from(count).unwrap(), "{bytes} bytes for {count} keys");
    }
}

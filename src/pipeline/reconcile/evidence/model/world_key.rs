//! A world of the model as a number. A search is mostly the question whether a world was met before.

use std::hash::Hasher;

use super::{Fate, ModelWorld};

impl ModelWorld {
    const STEPS_MAX: u8 = 4;
    const REQUESTS_MAX: usize = 3;
    /// The product of the bases of a request in a key.
    const REQUEST_KEYS: u64 = 3 * 5 * 17 * 5 * 6 * 8;

    /// The number of this world among all that can be.
    pub(super) fn key(&self) -> u64 {
        let foreign = self.foreign_video.map_or(0, |(at, shows_tags)| 1 + 2 * at + u8::from(shows_tags));
        let steps = Self::STEPS_MAX + 1;
        let mut key = WorldKey(0);
        key.add(self.now, steps);
        key.add(self.crashes, Self::CRASHES + 1);
        key.add(self.wrong_calls, Self::WRONG_CALLS + 1);
        key.add(foreign, 1 + 2 * steps);
        for number in 0..Self::REQUESTS_MAX {
            let Some(sent) = self.sent.get(number) else {
                // six digits that are 0: a request begins with another one
                key.0 *= Self::REQUEST_KEYS;
                continue;
            };
            let fate = match sent.fate {
                Fate::Undecided => 0,
                Fate::Never => 1,
                Fate::Taken { at, shows } => 2 + 3 * at + shows as u8,
            };
            key.add(1 + sent.row, 1 + Self::ROWS);
            key.add(sent.at, steps);
            key.add(fate, 2 + 3 * steps);
            key.add(sent.known as u8, 5);
            key.add(sent.clear_at.map_or(0, |at| 1 + at), 1 + steps);
            key.add(sent.named, 1 << Self::REQUESTS_MAX);
        }
        key.0
    }
}

/// A number of digits, each with a base of its own.
struct WorldKey(u64);

impl WorldKey {
    fn add(&mut self, digit: u8, base: u8) {
        assert!(digit < base, "two worlds would have one key");
        self.0 = self.0 * u64::from(base) + u64::from(digit);
    }
}

/// Spreads the keys of worlds. There is nobody to choose them so that they collide.
#[derive(Default)]
pub(super) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are numbers")
    }

    fn write_u64(&mut self, key: u64) {
        let product = key.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = product ^ (product >> 32);
    }
}

//! Marker tags: the names of requests at the service.
//!
//! `telecine:` + 24 digits that name the attempt and cannot be guessed + `-` + 16 digits of the item's key. A listing with
//! markers shows what became of a lost answer, and a lost ledger can be rebuilt from it.

use crate::domain::hex;

/// The beginning of every marker tag.
const PREFIX: &str = "telecine:";
/// Digits that name the attempt: 96 bits.
const STEM_DIGITS: usize = 24;

/// The marker of an attempt for the item whose key begins with `key_prefix`.
pub(super) fn marker(secret: &[u8; 32], attempt: i64, key_prefix: &str) -> String {
    let digest = blake3::keyed_hash(secret, &attempt.to_le_bytes());
    format!("{PREFIX}{}-{key_prefix}", hex(&digest.as_bytes()[..STEM_DIGITS / 2]))
}

/// What separates the parts of the request of an attempt. It is in no file: it is as hard to guess as a marker, and not known before the
/// request.
pub(super) fn boundary(secret: &[u8; 32], attempt: i64) -> String {
    let digest = blake3::keyed_hash(secret, format!("boundary {attempt}").as_bytes());
    format!("telecine-{}", hex(&digest.as_bytes()[..STEM_DIGITS / 2]))
}

/// Whether a tag is the marker of a request, of this ledger or of another one.
#[must_use]
pub fn is_marker(tag: &str) -> bool {
    Marked::parse(tag).is_some()
}

/// A marker read back from a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marked {
    /// The whole tag.
    pub(super) text: String,
    /// The first eight bytes of the item's key.
    pub(super) key_prefix: [u8; 8],
}

impl Marked {
    /// Reads a tag as a marker. `None`: it is not a marker.
    pub(super) fn parse(tag: &str) -> Option<Self> {
        let (stem, prefix) = tag.strip_prefix(PREFIX)?.split_once('-')?;
        let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if stem.len() != STEM_DIGITS || prefix.len() != 16 || !is_hex(stem) || !is_hex(prefix) {
            return None;
        }
        let number = u64::from_str_radix(prefix, 16).ok()?;
        Some(Self { text: tag.to_owned(), key_prefix: number.to_be_bytes() })
    }

    /// The smallest key with this beginning.
    pub(super) fn key_from(&self) -> [u8; 16] {
        self.key_padded(0x00)
    }

    /// A bound above every key with this beginning. A real key equal to it is as unlikely as a collision.
    pub(super) fn key_until(&self) -> [u8; 16] {
        self.key_padded(0xff)
    }

    fn key_padded(&self, byte: u8) -> [u8; 16] {
        let mut key = [byte; 16];
        key[..8].copy_from_slice(&self.key_prefix);
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_leads_back_to_its_item_and_nothing_else_is_one() {
        let text = marker(&[7; 32], 12, "0011223344556677");
        let marked = Marked::parse(&text).unwrap();
        assert_eq!(marked.key_prefix, [0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77]);
        assert!(marked.key_from() < marked.key_until());
        assert_ne!(marker(&[7; 32], 13, "0011223344556677"), text);
        for other in
            ["telecine:", "telecine:x-y", "api", &text[1..], &format!("{text}0"), &text.to_uppercase()]
        {
            assert_eq!(Marked::parse(other), None, "{other}");
        }
    }
}

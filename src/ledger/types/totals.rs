//! Counts of items by state, and links that expire.

use strum::VariantArray as _;

use crate::{
    domain::{State, UnixMillis},
    ledger::{ItemId, ManifestId},
};

/// How many items are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateCounts([u64; State::VARIANTS.len()]);

impl StateCounts {
    /// How many are in `state`.
    #[must_use]
    pub const fn of(&self, state: State) -> u64 {
        self.0[state as usize]
    }

    /// How many there are.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Items without a final outcome, except those that need a review or wait to be sent.
    #[must_use]
    pub const fn awaiting_evidence(&self) -> u64 {
        self.of(State::Sending)
            + self.of(State::InDoubt)
            + self.of(State::AcceptedUnidentified)
            + self.of(State::Accepted)
    }

    pub(in crate::ledger) fn set(&mut self, state: State, count: u64) {
        self.0[state as usize] = count;
    }
}

/// The progress of a run, read at one time: counts of two times would not add up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunProgress {
    /// Items of the given manifests that wait to be sent.
    pub pending: u64,
    /// All items.
    pub state_counts: StateCounts,
    /// Pending items whose links have expired. They are not sent.
    pub expired: u64,
    /// When the service last accepted something, as far as is known.
    pub last_accepted_at: Option<UnixMillis>,
}

/// A pending item whose link expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiring {
    pub item: ItemId,
    /// The manifest it was last seen in.
    pub manifest: ManifestId,
    pub line: u64,
    pub expires_at: UnixMillis,
}

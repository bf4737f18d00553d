//! The work of the poll stage: accepted items whose indexing is watched.

use crate::{
    domain::{UnixMillis, VideoNo},
    ledger::{AttemptId, ItemId},
};

/// An accepted item whose indexing is watched.
#[derive(Clone, Debug)]
pub struct PollTask {
    /// The item.
    pub item: ItemId,
    /// The request that made it.
    pub attempt: AttemptId,
    /// Its video.
    pub video_no: VideoNo,
    /// Where the service keeps it.
    pub namespace: String,
    /// Since when the ledger knows it as accepted.
    pub accepted_at: UnixMillis,
    /// Looks in a row in which the service did not show it.
    pub missed: u32,
}

/// What a look at an accepted item showed.
#[derive(Clone, Debug)]
pub struct PollResult {
    /// The item.
    pub item: ItemId,
    /// What was seen.
    pub observation: Observation,
}

/// What the service says of an accepted video.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// Searchable.
    Indexed,
    /// Indexing failed, with the service's cause.
    Failed(String),
    /// Still being indexed.
    InProgress,
    /// Not shown; it may not be visible yet.
    NotShown,
    /// The look itself brought nothing.
    Unreadable,
}

//! The work of the poll stage: accepted items whose indexing is watched.

use crate::{
    domain::{UnixMillis, VideoNo},
    ledger::{AttemptId, ItemId},
};

/// An accepted item whose indexing is watched.
#[derive(Clone, Debug)]
pub struct PollTask {
    pub item: ItemId,
    /// The request that created it.
    pub attempt: AttemptId,
    pub video_no: VideoNo,
    pub namespace: String,
    /// Since when the ledger knows it as accepted.
    pub accepted_at: UnixMillis,
    /// When it was to be polled.
    pub poll_at: UnixMillis,
    /// Polls in a row that did not show the video.
    pub missed: u32,
}

/// The result of one poll.
#[derive(Clone, Debug)]
pub struct PollResult {
    pub item: ItemId,
    /// What the poll showed.
    pub observation: Observation,
}

/// What the service shows of an accepted video.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    Indexed,
    Failed(String),
    InProgress,
    /// Not shown; it may not be visible yet.
    NotShown,
    /// The poll failed.
    Unreadable,
}

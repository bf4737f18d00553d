//! What the latest claims showed, and what their requests share.

use std::sync::atomic::AtomicBool;

use super::{bandwidth::Bandwidth, end_lane::EndLane, files_in_flight::FilesInFlight};
use crate::{pipeline::transfer::PARALLEL_INTERVAL_MAX, quota::RateLimiter};

/// Files are sent this many at a time: more would share the same line.
const FILES_MAX: usize = 4;

/// What the claims of a run and their requests share.
#[derive(Debug, Default)]
pub(super) struct Claims {
    pub(super) bandwidth: Bandwidth,
    pub(super) files: FilesInFlight,
    pub(super) ends: EndLane,
    /// Whether more items were pending at the last claim.
    pub(super) others_wait: AtomicBool,
    /// Whether an item was claimed since this was last read.
    pub(super) succeeded: AtomicBool,
}

impl Claims {
    /// Whether as many files are being sent as there may be under these limits.
    pub(super) fn has_enough_files(&self, limiter: &RateLimiter) -> bool {
        let is_spaced = limiter.upload_interval() > PARALLEL_INTERVAL_MAX;
        self.files.count() >= if is_spaced { 1 } else { FILES_MAX }
    }
}

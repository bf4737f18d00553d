//! What the latest claims showed, and what their requests share.

use std::sync::atomic::AtomicBool;

use super::{bandwidth::Bandwidth, files_in_flight::FilesInFlight};

/// Files are sent this many at a time, and a few more if they were claimed at the same time: more would share the same line.
const FILES_MAX: usize = 4;

/// What the claims of a run and their requests share.
#[derive(Debug, Default)]
pub(super) struct Claims {
    pub(super) bandwidth: Bandwidth,
    pub(super) files: FilesInFlight,
    /// Whether more items were pending at the last claim.
    pub(super) others_wait: AtomicBool,
    /// Whether an item was claimed since this was last read.
    pub(super) succeeded: AtomicBool,
}

impl Claims {
    /// Whether as many files are being sent as there may be.
    pub(super) fn has_enough_files(&self) -> bool {
        self.files.count() >= FILES_MAX
    }
}

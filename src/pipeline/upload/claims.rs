//! What the latest claims showed, and what their requests share.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicI64, Ordering::Relaxed},
};

use super::{bandwidth::Bandwidth, end_lane::EndLane, files_in_flight::FilesInFlight};
use crate::{api::Verdict, ledger::ItemId, pipeline::transfer::PARALLEL_INTERVAL_MAX, quota::RateLimiter};

/// Files are sent this many at a time: more would share the same line.
const FILES_MAX: usize = 4;
/// After this many refusals in a row of one item the next request is another item: the refusal may be of the item.
const REFUSALS_OF_ITEM_MAX: u32 = 2;

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
    /// Whether an answer stops the run: nothing leaves any more.
    pub(super) is_stopped: AtomicBool,
    /// The item that is claimed last, as the terms of the claims have it.
    set_aside: Arc<AtomicI64>,
    last_refused: Mutex<LastRefused>,
}

/// The item that was refused last.
#[derive(Debug, Default)]
struct LastRefused {
    item: i64,
    times: u32,
}

impl Claims {
    pub(super) fn new(bandwidth: Bandwidth, set_aside: Arc<AtomicI64>) -> Self {
        Self { bandwidth, set_aside, ..Self::default() }
    }

    /// Whether as many files are being sent as there may be under these limits.
    pub(super) fn has_enough_files(&self, limiter: &RateLimiter) -> bool {
        let is_spaced = limiter.upload_interval() > PARALLEL_INTERVAL_MAX;
        self.files.count() >= if is_spaced { 1 } else { FILES_MAX }
    }

    /// Notes what an answer means for the requests after it.
    pub(super) fn note_answer(&self, item: ItemId, verdict: &Verdict) {
        let mut last = self.last_refused.lock().unwrap_or_else(PoisonError::into_inner);
        match verdict {
            Verdict::StopRun { .. } => self.is_stopped.store(true, Relaxed),
            Verdict::RefusedForNow { .. } => {
                let times = if last.item == item.number() { last.times + 1 } else { 1 };
                *last = LastRefused { item: item.number(), times };
                if times >= REFUSALS_OF_ITEM_MAX {
                    self.set_aside.store(item.number(), Relaxed);
                }
            }
            Verdict::Accepted { .. }
            | Verdict::AcceptedUnidentified
            | Verdict::BadRow { .. }
            | Verdict::InDoubt { .. }
            | Verdict::NotSent { .. } => {}
        }
    }
}

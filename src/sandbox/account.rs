//! One account of the modelled service: what it may do, and what it did.

use super::{
    meter::{CapMeter, RateMeter},
    policy::Policy,
    video::Video,
};
use crate::domain::{Limit, UnixMillis};

/// What an account has used up.
pub(super) struct Account {
    uploads: Option<RateMeter>,
    reads: Option<RateMeter>,
    deletions: Option<RateMeter>,
    any: Option<RateMeter>,
    caps: Vec<CapMeter>,
    /// Credits.
    pub(super) spent: u64,
}

impl Account {
    pub(super) fn new(policy: &Policy) -> Self {
        let meter = |limit: Option<Limit>| limit.map(|limit| RateMeter::new(limit, policy.limiter));
        Self {
            uploads: meter(policy.upload_rate),
            reads: meter(policy.read_rate),
            deletions: meter(policy.delete_rate),
            any: meter(policy.total_rate),
            caps: policy.caps.iter().map(|cap| CapMeter::new(*cap, policy.cap_counts)).collect(),
            spent: 0,
        }
    }

    /// Whether an upload that arrives at `now` is let in. What the first rule refuses does not count in the others.
    pub(super) fn admits_upload(&mut self, now: UnixMillis) -> bool {
        self.caps.iter_mut().all(|cap| cap.is_open(now))
            && self.any.as_mut().is_none_or(|meter| meter.admits(now))
            && self.uploads.as_mut().is_none_or(|meter| meter.admits(now))
    }

    /// Whether a read is.
    pub(super) fn admits_read(&mut self, now: UnixMillis) -> bool {
        self.any.as_mut().is_none_or(|meter| meter.admits(now))
            && self.reads.as_mut().is_none_or(|meter| meter.admits(now))
    }

    /// Whether a request to delete is.
    pub(super) fn admits_deletion(&mut self, now: UnixMillis) -> bool {
        self.any.as_mut().is_none_or(|meter| meter.admits(now))
            && self.deletions.as_mut().is_none_or(|meter| meter.admits(now))
    }

    /// A video takes its place in the caps.
    pub(super) fn take(&mut self, video: &Video) {
        for cap in &mut self.caps {
            cap.take(video.created_at, video.indexed_at);
        }
    }

    /// From now on other caps hold; what was accepted counts in them.
    pub(super) fn cap_anew<'a>(
        &mut self,
        caps: &[Limit],
        policy: &Policy,
        videos: impl Iterator<Item = &'a Video>,
    ) {
        self.caps = caps.iter().map(|cap| CapMeter::new(*cap, policy.cap_counts)).collect();
        for video in videos {
            self.take(video);
        }
    }
}

//! What the answers of a run, and their absence, mean for its next requests.

use std::time::Duration;

use super::{UploadPhase, Uploader, send::announce_wait};
use crate::{
    domain::{RunOutcome, StopReason},
    quota::{Cooldown, Endpoint},
};

/// Failures in a row before the first answer of a run. More mean a wrong address or no network.
const FIRST_FAILURES_MAX: u32 = 4;

/// How long to wait for a host that answered earlier in the run.
pub(super) const OFFLINE_MAX: Duration = Duration::from_mins(15);

impl<T> Uploader<T> {
    /// Counts a request that did not reach the service: it is made again later, or it was the last attempt of the run.
    pub(super) fn note_unreachable(
        &mut self,
        cause: String,
        cooldown: Option<Cooldown>,
    ) -> Option<RunOutcome> {
        let now = self.context.clock.now();
        self.sent = self.sent.saturating_sub(1);
        let since = *self.offline_since.get_or_insert(now);
        let attempts =
            self.context.limiter.cooldown(Endpoint::Upload).map_or(0, |cooldown| cooldown.failures);
        let never_there = !self.has_been_answered && attempts >= FIRST_FAILURES_MAX;
        let gone_for_long = now.since_ms(since) > i64::try_from(OFFLINE_MAX.as_millis()).unwrap_or(i64::MAX);
        if never_there || gone_for_long {
            return Some(RunOutcome::Offline { cause, attempts });
        }
        if let Some(cooldown) = cooldown.filter(|_| self.phase == UploadPhase::Sending) {
            announce_wait(&self.context, &cooldown, Some(&cause));
        }
        None
    }

    /// Counts an answer of the service.
    pub(super) fn note_answer(&mut self, is_rejected: bool) {
        self.has_been_answered = true;
        self.offline_since = None;
        self.last_answers.note(is_rejected);
    }

    /// A stop, if most of the latest rows were rejected.
    pub(super) fn stop_of_rejections(&self, reason: StopReason, cause: String) -> Option<RunOutcome> {
        self.last_answers.are_mostly_rejections().then_some(RunOutcome::Stopped { reason, cause })
    }
}

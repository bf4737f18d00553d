//! Long waits for the quota: what is announced, and what ends the run.

use super::{Uploader, WAIT_ANNOUNCED_MIN, send::delay_text};
use crate::{
    api::Transport,
    domain::RunOutcome,
    events::Event,
    quota::{BlockReason, Delay, Endpoint},
};

/// A wait is announced again when its end differs by this much.
const WAIT_DIFFERS_MIN_MS: u64 = 60_000;

/// Why nothing is sent where a rate alone delays the next upload.
const RATE_WAITS: &str = "the rate allows no upload before then";

const HOW_TO_STOP: &str =
    "Ctrl-C ends the run, and the same command resumes it; with --quota-exit it ends by itself";

impl<T: Transport> Uploader<T> {
    /// Announces each long wait for the quota once. Returns a stop when the wait exceeds the longest one allowed.
    pub(super) fn quota_pause(&mut self) -> Option<RunOutcome> {
        // before the first upload the library is listed
        let is_compared = self.plan.preflight_done.is_cancelled();
        let endpoint = if is_compared { Endpoint::Upload } else { Endpoint::List };
        let delay = self.context.limiter.delay(endpoint)?;
        let wait = delay.until.after_now(self.context.clock.now());
        // a request in flight may free a slot, or close the circuit breaker
        if !self.in_flight.is_empty() {
            return None;
        }
        // listings that are only spaced go on: the run ends for what the service asked for
        if !is_compared && !matches!(delay.why, BlockReason::Cooldown(_)) {
            return None;
        }
        let why = delay_text(&delay);
        if self.plan.quota_wait_max.is_some_and(|wait_max| wait > wait_max) && delay.why != BlockReason::Turn
        {
            let why = why.unwrap_or_else(|| RATE_WAITS.to_owned());
            let what = if is_compared { "nothing can be sent" } else { "listings cannot be read" };
            return Some(RunOutcome::QuotaPaused { why: format!("{what} until {}: {why}", delay.until) });
        }
        if wait >= WAIT_ANNOUNCED_MIN {
            self.announce_delay(&delay, why);
        }
        None
    }

    /// Announces a long wait for the quota, unless it was announced. Long intervals of a slow rate are announced once.
    fn announce_delay(&mut self, delay: &Delay, why: Option<String>) {
        let said = self.wait_announced_until;
        let is_known = said.is_some_and(|said| {
            why.is_none() || delay.until.since_ms(said).unsigned_abs() < WAIT_DIFFERS_MIN_MS
        });
        // a cool-down was announced when it began
        let is_held = matches!(delay.why, BlockReason::Cooldown(_) | BlockReason::Turn);
        if is_known || is_held {
            return;
        }
        let is_first = said.is_none() && self.plan.quota_wait_max.is_none();
        self.wait_announced_until = Some(delay.until);
        let reason = why.unwrap_or_else(|| RATE_WAITS.to_owned());
        let hint = is_first.then_some(HOW_TO_STOP);
        self.context.emit(&Event::Waiting { reason, until: delay.until, hint });
    }
}

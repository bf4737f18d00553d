//! What the outcome of a request changes: waits, the speed, and what is known of the caps.

use std::time::Duration;

use super::{
    Endpoint, PermitSlot, RequestOutcome,
    account_limits::AccountLimits,
    cap_estimator::EstimateChange,
    caps::CapRefusal,
    circuit_breaker::{ASKED_WAIT_MAX, Cooldown, CooldownReason},
    learned_limits::{AskedWait, LimitChange, SavedCooldown},
};
use crate::domain::UnixMillis;

/// The shortest wait after a refusal that asks for one.
const ASKED_WAIT_MIN: Duration = Duration::from_secs(1);
/// A wait of this length or longer is that of a cap, not of a rate.
const ASKED_WAIT_OF_CAPS: Duration = Duration::from_mins(10);

/// Uploads in a row that show that the service admits the rate.
const PASSED_MIN: u32 = 20;

/// What the outcome of a request changed.
#[derive(Debug, Default)]
pub struct Feedback {
    /// The endpoint is not called until this ends.
    pub cooldown: Option<Cooldown>,
    /// What was learned of the limits.
    pub change: Option<LimitChange>,
}

/// How a request passed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Passed {
    /// The service accepted it.
    Accepted,
    /// The service read it, and rejected its row for good.
    Rejected,
}

impl AccountLimits {
    /// Learns from the outcome of an upload. `random` is a random number from 0 to 1.
    pub fn answer(&mut self, key: i64, outcome: &RequestOutcome, now: UnixMillis, random: f64) -> Feedback {
        let departed_at = self.departed_at.remove(&key);
        let breaker = &mut self.upload.breaker;
        match outcome {
            RequestOutcome::Accepted { noted_at } => {
                if let Some((noted_at, departed_at)) = noted_at.zip(departed_at) {
                    self.see(noted_at.since_ms(departed_at));
                }
                self.caps.log.accepted_by(key, now);
                self.pass(departed_at, Passed::Accepted, now)
            }
            RequestOutcome::Rejected => {
                // it took its turn, and perhaps a slot until now at the latest
                self.caps.log.open_until(key, now);
                self.pass(departed_at, Passed::Rejected, now)
            }
            RequestOutcome::Refused { retry_after } => {
                self.caps.log.take_out(key);
                self.refuse(departed_at, *retry_after, now, random)
            }
            RequestOutcome::NotSent => {
                let cooldown = breaker.failed(CooldownReason::Unreachable, now, random);
                self.give_back(Endpoint::Upload, key);
                Feedback { cooldown, change: None }
            }
            RequestOutcome::AcceptedUnidentified => {
                self.caps.log.accepted_by(key, now);
                let cooldown = self.upload.breaker.failed(CooldownReason::Unclear, now, random);
                Feedback { cooldown, change: None }
            }
            RequestOutcome::Unclear { retry_after } => {
                let cooldown = breaker.unclear(*retry_after, now, random);
                if retry_after.is_some() {
                    self.save_cooldown(now);
                }
                Feedback { cooldown, change: None }
            }
        }
    }

    /// Keeps the wait in force over restarts.
    fn save_cooldown(&mut self, now: UnixMillis) {
        let breaker = &self.upload.breaker;
        let until = breaker.cooldown(now).map_or(now, |cooldown| cooldown.until);
        let saved = SavedCooldown { until, refusals: breaker.refusals, refused_at: now };
        self.learned_limits.saved_cooldown = Some(saved);
        self.learned_limits_changed = true;
    }

    fn see(&mut self, noted_after_ms: i64) {
        let before = self.learned_limits.jitter;
        self.learned_limits.jitter.see(&mut self.samples, noted_after_ms);
        let after = self.learned_limits.jitter;
        // a single sample is not saved, twice as many are
        self.learned_limits_changed |= after.spread_ms != before.spread_ms || after.samples.is_power_of_two();
    }

    fn pass(&mut self, departed_at: Option<UnixMillis>, passed: Passed, now: UnixMillis) -> Feedback {
        if !self.upload.breaker.is_answered_by(departed_at) {
            return Feedback::default();
        }
        let refusals = self.upload.breaker.passed();
        self.passed_in_a_row = self.passed_in_a_row.saturating_add(1);
        let mut feedback = Feedback::default();
        let mut is_cap = false;
        for known in &mut self.learned_limits.caps {
            is_cap |= known.is_open();
            // a row that is refused for good need not count
            if passed == Passed::Rejected {
                continue;
            }
            if let Some(turn) = known.passed(departed_at) {
                self.learned_limits_changed = true;
                feedback.change =
                    (turn == EstimateChange::Rises).then(|| LimitChange::CapRises(known.text()));
            }
        }
        self.learned_limits_changed |= self.learned_limits.saved_cooldown.take().is_some();
        if refusals > 0 && !is_cap {
            // it passed after a wait that more distance would have saved
            feedback.change = Some(self.keep_more_distance(refusals, now));
            self.learned_limits_changed = true;
        } else if self.learned_limits.count_clean(now) {
            self.learned_limits_changed = true;
        }
        feedback
    }

    /// Uploads that passed in a row at this rate show that the rate is right: then a single refusal means that two of them
    /// arrived too close together. Otherwise the rate is too fast.
    fn keep_more_distance(&mut self, refusals: u32, now: UnixMillis) -> LimitChange {
        let interval = self.upload.pacing.interval();
        let is_spread = self.upload.pacing.is_spread();
        let is_jitter = is_spread && refusals == 1 && self.passed_before_refusal >= PASSED_MIN;
        let widened =
            if is_jitter { self.learned_limits.widen_spacing(interval, self.tick_ms, now) } else { None };
        widened.unwrap_or_else(|| {
            if !is_spread {
                self.learned_limits.widen_window(interval, self.tick_ms, now);
            }
            self.learned_limits.slow_down(now);
            LimitChange::SlowedDown(self.learned_limits.slowdown_permille)
        })
    }

    fn refuse(
        &mut self,
        departed_at: Option<UnixMillis>,
        retry_after: Option<Duration>,
        now: UnixMillis,
        random: f64,
    ) -> Feedback {
        let is_from_below = !self.upload.breaker.lasts();
        let is_new = self.upload.breaker.count_refusal(departed_at, now);
        // requests in flight together are refused together and count as one refusal
        if is_new {
            self.refused_at.push_back(now);
        }
        if is_from_below {
            self.passed_before_refusal = std::mem::take(&mut self.passed_in_a_row);
        }
        let asked = retry_after.map(|asked| asked.clamp(ASKED_WAIT_MIN, ASKED_WAIT_MAX));
        let is_long = asked.is_some_and(|asked| asked >= ASKED_WAIT_OF_CAPS);
        let change = if is_new { self.attribute_to_cap(is_from_below, is_long, now) } else { None };
        let interval = self.upload.pacing.interval();
        let breaker = &mut self.upload.breaker;
        let cooldown = match (asked, &change) {
            (Some(asked), _) => Some(breaker.cool_down(asked, CooldownReason::Refused, now)),
            // the window itself says when the next slot is free
            (None, Some(_)) => None,
            (None, None) => {
                let wait = breaker.refusal_wait(interval, random);
                Some(breaker.cool_down(wait, CooldownReason::Refused, now))
            }
        };
        self.save_cooldown(now);
        let budget = self.refusals_per_hour();
        let is_spent = is_new && self.refused_at.len() == budget;
        let spent = is_spent.then_some(LimitChange::RefusalsSpent(u32::try_from(budget).unwrap_or(u32::MAX)));
        Feedback { cooldown, change: change.or(spent) }
    }

    /// Whether a refusal is attributed to a cap, and what it shows about the cap.
    fn attribute_to_cap(
        &mut self,
        is_from_below: bool,
        is_long: bool,
        now: UnixMillis,
    ) -> Option<LimitChange> {
        let refusal = CapRefusal {
            is_beyond_spacing: is_long || self.upload.breaker.is_persistent(),
            is_from_below,
            at: now,
        };
        let before = self.learned_limits.caps.len();
        let attributed = self.caps.attribute_refusal(&mut self.learned_limits, refusal);
        if attributed.is_some() {
            // the refusals so far are explained
            self.upload.breaker.refusals = 0;
        }
        self.learned_limits_changed |= attributed.is_some() || self.learned_limits.caps.len() != before;
        attributed
    }

    /// What a read taught.
    pub(super) fn on_read(
        &mut self,
        slot: PermitSlot,
        outcome: &RequestOutcome,
        now: UnixMillis,
        random: f64,
    ) -> Feedback {
        let departed_at = Some(slot.taken_at);
        let own = self.endpoint_mut(slot.endpoint);
        let interval = own.pacing.interval();
        let cooldown = match outcome {
            RequestOutcome::Accepted { .. }
            | RequestOutcome::AcceptedUnidentified
            | RequestOutcome::Rejected => {
                if own.breaker.is_answered_by(departed_at) {
                    own.breaker.passed();
                    self.keep_asked_wait(slot.endpoint, None, now);
                }
                return Feedback::default();
            }
            RequestOutcome::Refused { retry_after } => {
                own.breaker.count_refusal(departed_at, now);
                let wait = retry_after.map_or_else(
                    || own.breaker.read_wait(interval, random),
                    |asked| asked.clamp(ASKED_WAIT_MIN, ASKED_WAIT_MAX),
                );
                Some(own.breaker.cool_down(wait, CooldownReason::Refused, now))
            }
            RequestOutcome::NotSent => own.breaker.failed(CooldownReason::Unreachable, now, random),
            RequestOutcome::Unclear { retry_after } => own.breaker.unclear(*retry_after, now, random),
        };
        if let RequestOutcome::Refused { retry_after: Some(_) }
        | RequestOutcome::Unclear { retry_after: Some(_) } = outcome
        {
            self.keep_asked_wait(slot.endpoint, cooldown, now);
        }
        Feedback { cooldown, change: None }
    }

    /// Keeps a wait that the service asked for over restarts. `None`: it is over.
    fn keep_asked_wait(&mut self, endpoint: Endpoint, wait: Option<Cooldown>, now: UnixMillis) {
        let waits = &mut self.learned_limits.asked_waits;
        let before = waits.len();
        waits.retain(|asked| asked.endpoint != endpoint.as_str());
        waits.extend(wait.map(|wait| AskedWait {
            endpoint: endpoint.as_str().to_owned(),
            until: wait.until,
            asked_at: now,
        }));
        self.learned_limits_changed |= before > 0 || wait.is_some();
    }

    /// Waits on, as a run before did.
    pub(super) fn resume_waits(&mut self, now: UnixMillis) {
        if let Some(saved) = self.learned_limits.saved_cooldown {
            self.upload.breaker.resume(saved, now);
        }
        for asked in self.learned_limits.asked_waits.clone() {
            let known = Endpoint::ALL.iter().find(|endpoint| endpoint.as_str() == asked.endpoint);
            if let Some(endpoint) = known {
                let saved = SavedCooldown { until: asked.until, refusals: 0, refused_at: asked.asked_at };
                self.endpoint_mut(*endpoint).breaker.resume(saved, now);
            }
        }
    }
}

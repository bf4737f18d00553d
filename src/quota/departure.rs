//! When a request that has a slot may leave: not sooner than the rates allow, and not while the circuit breaker is open.

use super::{
    AccountLimits, Endpoint, PreciseTime,
    cap_window::{Acceptance, Spent},
};
use crate::domain::UnixMillis;

/// A restart assumes that the lag between claim and departure was longer than seen by this factor, since each time it is
/// exceeded costs a write.
const LAG_FACTOR: i64 = 2;
/// It assumes at least this lag, in milliseconds.
const LAG_MS_MIN: i64 = 20;

/// Whether an upload may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    Now,
    /// It may leave at this time at the soonest: ask again then.
    At(PreciseTime),
    /// It may leave once the learned limits are saved: ask again then.
    AfterSave,
    /// It may not leave: a request was refused or failed since it got its slot.
    Closed,
}

/// The times of an upload that is about to leave.
#[derive(Clone, Copy, Debug)]
pub struct UploadTimes {
    pub claimed_at: UnixMillis,
    pub departed_at: PreciseTime,
    /// The latest time at which the service may accept it.
    pub accepted_by: UnixMillis,
}

impl AccountLimits {
    /// A request is ready to leave: the time from its slot until now is how early the next slots are given out.
    fn note_lead(&mut self, slot: i64, now: PreciseTime) {
        if let Some(reserved_at) = self.reserved_at.remove(&slot) {
            let took = now.after(reserved_at) * 5 / 4;
            self.lead = took.max(self.lead * 99 / 100);
        }
    }

    /// The time until which a request with a slot has to wait for the rates. `None`: it may leave.
    fn must_wait_until(&mut self, endpoint: Endpoint, now: PreciseTime) -> Option<PreciseTime> {
        let (margins, total_margins) = (self.margins(endpoint), self.total_margins());
        let own = self.endpoint_mut(endpoint).pacing.must_wait_until(now, margins);
        own.max(self.total.must_wait_until(now, total_margins))
    }

    /// An upload leaves at `now`, claimed at `claimed_at`, as request `key`; it may be accepted until `until`. It may not
    /// leave before the learned limits are saved when it took longer than a restart would assume: killed right after, the
    /// next run would send too early.
    pub fn depart(
        &mut self,
        slot: i64,
        key: i64,
        UploadTimes { claimed_at, departed_at: now, accepted_by: until }: UploadTimes,
    ) -> Departure {
        self.note_lead(slot, now);
        if !self.upload.breaker.lets_leave(slot, now.millis()) {
            return Departure::Closed;
        }
        if let Some(at) = self.must_wait_until(Endpoint::Upload, now) {
            return Departure::At(at);
        }
        let lag_ms = now.millis().since_ms(claimed_at).max(0) + 1;
        if self.learned_limits.start_lag_ms.is_none_or(|known| known < lag_ms) {
            self.learned_limits.start_lag_ms = Some((lag_ms * LAG_FACTOR).max(LAG_MS_MIN));
            self.learned_limits_changed = true;
        }
        if self.saved_lag_ms.is_some_and(|saved| saved < lag_ms) {
            return Departure::AfterSave;
        }
        self.upload.pacing.depart(slot, key, now);
        self.total.depart(slot, key, now);
        self.caps.log.take_out(slot);
        self.caps.log.put(key, Spent { until, certainty: Acceptance::Open });
        self.departed_at.insert(key, now.millis());
        Departure::Now
    }

    /// A read leaves at `now`, or may leave at the time that is returned.
    pub fn depart_read(
        &mut self,
        endpoint: Endpoint,
        slot: i64,
        now: PreciseTime,
    ) -> Result<(), PreciseTime> {
        self.note_lead(slot, now);
        let cooldown =
            self.cooldown(endpoint, now.millis()).map(|cooldown| PreciseTime::from(cooldown.until));
        if let Some(at) = cooldown.max(self.must_wait_until(endpoint, now)) {
            return Err(at);
        }
        self.endpoint_mut(endpoint).pacing.depart(slot, slot, now);
        self.total.depart(slot, slot, now);
        Ok(())
    }
}

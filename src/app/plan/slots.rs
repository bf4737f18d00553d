//! When the uploads of a plan leave, by the rate limiter alone.

use std::collections::BTreeMap;

use super::PlannedRows;
use crate::{
    domain::{LINK_LIFE_MIN, UnixMillis},
    pipeline::{WAIT_ANNOUNCED_MIN, delay_text},
    quota::{Delay, Endpoint, Forecast, RateLimiter},
};

/// Slots that are computed one by one. The rest follows from the slowest limit.
const SLOTS_MAX: u64 = 20_000_000;
/// Links that expire before their turn and are named.
const NAMED_MAX: usize = 5;

/// When an upload can leave, and what it waits for then, with the milliseconds since the upload before it.
#[derive(Clone, Copy)]
struct Slot {
    at: UnixMillis,
    wait: Option<(Delay, i64)>,
}

/// When the uploads leave.
pub(super) struct Slots {
    pub(super) starts_at: UnixMillis,
    /// When the last one leaves. `None`: nothing is sent.
    pub(super) last_at: Option<UnixMillis>,
    pub(super) sent: u64,
    /// What is waited for, by its text: how often, and how many milliseconds in all.
    pub(super) waits: BTreeMap<String, (u64, i64)>,
    /// Links that expire before their turn.
    pub(super) expired: u64,
    pub(super) expired_first: Vec<String>,
}

impl Slots {
    /// Links that expire go first, the soonest before the others. One that expires before its turn takes no slot.
    pub(super) fn of(limiter: &RateLimiter, rows: &PlannedRows) -> Self {
        let starts_at = limiter.now();
        let mut slots = Self {
            starts_at,
            last_at: None,
            sent: 0,
            waits: BTreeMap::new(),
            expired: 0,
            expired_first: Vec::new(),
        };
        if rows.to_send() == 0 {
            return slots;
        }
        if let Some(delay) = limiter.delay(Endpoint::Upload) {
            slots.note_wait(&delay, delay.until.since_ms(starts_at));
        }
        let mut forecast = limiter.forecast();
        let mut turn = None;
        for row in &rows.expiring {
            let next = *turn.get_or_insert_with(|| slots.next(&mut forecast));
            if row.expires_at > next.at.plus(LINK_LIFE_MIN) {
                slots.take(next);
                turn = None;
                continue;
            }
            slots.expired += 1;
            if slots.expired_first.len() < NAMED_MAX {
                let path = &rows.paths[row.manifest as usize];
                slots.expired_first.push(format!("{path}:{} at {}", row.line, row.expires_at));
            }
        }
        let lasting = rows.to_send() - u64::try_from(rows.expiring.len()).unwrap_or(u64::MAX);
        let single = lasting.min(SLOTS_MAX);
        for _ in 0..single {
            let next = turn.take().unwrap_or_else(|| slots.next(&mut forecast));
            slots.take(next);
        }
        if lasting > single {
            slots.sent += lasting - single;
            slots.last_at = Some(forecast.after(lasting - single));
        }
        slots
    }

    /// The slot after the last one that was taken.
    fn next(&self, forecast: &mut Forecast) -> Slot {
        let at = forecast.next_slot();
        let wait_ms = self.last_at.map_or(0, |last_at| at.since_ms(last_at));
        Slot { at, wait: forecast.last_wait().map(|why| (Delay { until: at, why }, wait_ms)) }
    }

    fn take(&mut self, slot: Slot) {
        self.sent += 1;
        self.last_at = Some(slot.at);
        if let Some((delay, wait_ms)) = slot.wait {
            self.note_wait(&delay, wait_ms);
        }
    }

    fn note_wait(&mut self, delay: &Delay, wait_ms: i64) {
        let is_spacing = u128::from(wait_ms.unsigned_abs()) < WAIT_ANNOUNCED_MIN.as_millis();
        if !is_spacing && let Some(why) = delay_text(delay) {
            let wait = self.waits.entry(why).or_default();
            wait.0 += 1;
            wait.1 += wait_ms;
        }
    }
}

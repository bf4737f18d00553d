//! When the uploads of a plan leave, by the rate limiter alone.

use std::collections::BTreeMap;

use super::PlannedRows;
use crate::{
    domain::UnixMillis,
    pipeline::{WAIT_ANNOUNCED_MIN, delay_text},
    quota::{Delay, Endpoint, RateLimiter, Turn, Turns},
};

/// Slots that are computed one by one. The rest follows from the slowest limit.
const SLOTS_MAX: u64 = 20_000_000;
/// Links that expire before their turn and are named.
const NAMED_MAX: usize = 5;

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
        let uploads_max = rows.uploads_max.unwrap_or(u64::MAX);
        if rows.to_send() == 0 || uploads_max == 0 {
            return slots;
        }
        if let Some(delay) = limiter.delay(Endpoint::Upload) {
            slots.note_wait(&delay, delay.until.since_ms(starts_at));
        }
        let mut turns = Turns::of(limiter.forecast());
        for row in &rows.expiring {
            if slots.sent == uploads_max {
                break;
            }
            if let Some(turn) = turns.of_link(row.expires_at) {
                slots.take(turn);
                continue;
            }
            slots.expired += 1;
            if slots.expired_first.len() < NAMED_MAX {
                let path = &rows.paths[row.manifest as usize];
                slots.expired_first.push(format!("{path}:{} at {}", row.line, row.expires_at));
            }
        }
        let lasting = rows.to_send() - u64::try_from(rows.expiring.len()).unwrap_or(u64::MAX);
        let lasting = lasting.min(uploads_max - slots.sent);
        let single = lasting.min(SLOTS_MAX);
        for _ in 0..single {
            slots.take(turns.next_turn());
        }
        if lasting > single {
            slots.sent += lasting - single;
            slots.last_at = Some(turns.after(lasting - single));
        }
        slots
    }

    fn take(&mut self, turn: Turn) {
        let Turn { at, waits_for } = turn;
        if let Some(why) = waits_for {
            let wait_ms = self.last_at.map_or(0, |last_at| at.since_ms(last_at));
            self.note_wait(&Delay { until: at, why }, wait_ms);
        }
        self.sent += 1;
        self.last_at = Some(at);
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

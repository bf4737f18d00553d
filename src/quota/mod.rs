//! The porter: paces every kind of request, and holds everybody when the service says "not now".
//!
//! - Only this room mints [`Permit`]s, and every request to the service costs one.
//! - Spacing lives here, in memory; the rolling windows live in the ledger, where a crash cannot forget them. A fresh
//!   porter is told when the last request left, so that a restart does not send early.
//! - After a refusal one request at a time goes out until one passes.

mod pacer;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use crate::{clock::Clock, item::UnixMillis, limit::Limit, retry::Backoff};
use pacer::Pacer;

/// What a permit is for. The service limits each apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// `upload_url`.
    Upload,
    /// `list_videos`.
    List,
    /// `get_metadata`.
    Metadata,
}

/// The right to make one request now. Not `Clone`; used up by making it.
#[derive(Debug)]
pub struct Permit {
    slot: Slot,
}

/// The turn a permit took: which lane's, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    lane: Lane,
    taken_at: Duration,
}

impl Permit {
    /// What it is for.
    #[must_use]
    pub const fn lane(&self) -> Lane {
        self.slot.lane
    }

    /// The turn it took.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        self.slot
    }

    /// Uses it up, in a request of `lane`.
    pub fn spend(self, lane: Lane) {
        debug_assert_eq!(self.slot.lane, lane, "a permit is spent in its own lane");
    }
}

/// How often each lane may be used.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Uploads.
    pub upload: Limit,
    /// Listings.
    pub list: Limit,
    /// Single videos.
    pub metadata: Limit,
}

/// What a request taught about its lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Feedback {
    /// It was answered; the lane is open.
    Passed,
    /// It was refused for now, with the wait the service asked for, if it did.
    RefusedForNow(Option<Duration>),
    /// The host could not be reached.
    Unreachable,
    /// It has no clear answer.
    Unclear,
}

/// Why a lane is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldReason {
    /// The service refused.
    Refused,
    /// The host cannot be reached.
    Unreachable,
    /// Answers are unclear.
    Unclear,
}

/// A lane that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Until when.
    pub until: UnixMillis,
    /// Why.
    pub reason: HoldReason,
    /// Failures in a row that led here.
    pub failures: u32,
}

/// The wait after a refusal starts here, or at twice the spacing if that is longer.
const REFUSED_WAIT_MIN: Duration = Duration::from_secs(2);
/// No wait that the service did not ask for is longer.
const REFUSED_WAIT_MAX: Duration = Duration::from_mins(15);
/// No wait is longer, whatever the service asks for: the longest window known, and a bit.
const ASKED_WAIT_MAX: Duration = Duration::from_mins(125);
/// Waits while a host is away or answers unclearly.
const TROUBLE: Backoff = Backoff { base: Duration::from_secs(1), delay_max: Duration::from_mins(1) };
/// A single unclear answer is bad luck; so many in a row are trouble.
const UNCLEAR_FREE: u32 = 2;

/// Hands out permits, lane by lane.
pub struct Porter {
    clock: Clock,
    dice: Mutex<fastrand::Rng>,
    upload: LaneState,
    list: LaneState,
    metadata: LaneState,
}

struct LaneState {
    interval: Duration,
    pacer: Pacer,
    hold: Mutex<Holding>,
    changed: Notify,
}

#[derive(Default)]
struct Holding {
    hold: Option<Hold>,
    failures: u32,
    /// While failures last, one request is out at a time.
    canary_is_out: bool,
}

impl Porter {
    /// A porter for these rates. `last_upload_at` is when the last upload left in an earlier run.
    #[must_use]
    pub fn new(clock: Clock, rates: Rates, last_upload_at: Option<UnixMillis>, dice: fastrand::Rng) -> Self {
        let lane = |rate: Limit, last_at| LaneState {
            interval: rate.interval(),
            pacer: Pacer::new(clock.clone(), rate, last_at),
            hold: Mutex::default(),
            changed: Notify::new(),
        };
        Self {
            upload: lane(rates.upload, last_upload_at),
            list: lane(rates.list, None),
            metadata: lane(rates.metadata, None),
            dice: Mutex::new(dice),
            clock,
        }
    }

    /// Waits for the lane's turn. Cancelling the wait costs nothing.
    pub async fn permit(&self, lane: Lane) -> Permit {
        let state = self.state(lane);
        loop {
            state.wait_out_hold(&self.clock).await;
            let taken_at = state.pacer.ready(&self.clock).await;
            if state.take_turn(self.clock.now()) {
                return Permit { slot: Slot { lane, taken_at } };
            }
        }
    }

    /// Learns from a request of the lane. Returns the wait this imposed on it.
    pub fn learn(&self, lane: Lane, feedback: &Feedback) -> Option<Hold> {
        let state = self.state(lane);
        let die = lock(&self.dice).f64();
        let now = self.clock.now();
        let hold = state.learn(feedback, now, die);
        state.changed.notify_waiters();
        hold
    }

    /// Whether and why a lane waits now.
    #[must_use]
    pub fn hold(&self, lane: Lane) -> Option<Hold> {
        let now = self.clock.now();
        lock(&self.state(lane).hold).hold.filter(|hold| hold.until > now)
    }

    /// A turn was taken, and nothing was asked: the next may go.
    pub fn give_back(&self, permit: Permit) {
        let lane = permit.lane();
        self.forgive(permit.slot());
        permit.spend(lane);
        let state = self.state(lane);
        lock(&state.hold).canary_is_out = false;
        state.changed.notify_waiters();
    }

    /// The request of this turn never left: the lane's spacing counts from the one before it.
    pub fn forgive(&self, slot: Slot) {
        self.state(slot.lane).pacer.forgive(slot.taken_at);
    }

    const fn state(&self, lane: Lane) -> &LaneState {
        match lane {
            Lane::Upload => &self.upload,
            Lane::List => &self.list,
            Lane::Metadata => &self.metadata,
        }
    }
}

impl LaneState {
    async fn wait_out_hold(&self, clock: &Clock) {
        loop {
            let changed = self.changed.notified();
            let until = {
                let holding = lock(&self.hold);
                let waits_for_canary = holding.canary_is_out;
                match holding.hold {
                    Some(hold) if hold.until > clock.now() => Some(hold.until),
                    _ if waits_for_canary => None,
                    _ => return,
                }
            };
            match until {
                Some(until) => {
                    tokio::select! { biased; () = clock.sleep_until(until) => {} () = changed => {} }
                }
                None => changed.await,
            }
        }
    }

    /// True when the turn is still there after pacing.
    fn take_turn(&self, now: UnixMillis) -> bool {
        let mut holding = lock(&self.hold);
        let is_held = holding.canary_is_out || holding.hold.is_some_and(|hold| hold.until > now);
        if !is_held && holding.failures > 0 {
            holding.canary_is_out = true;
        }
        !is_held
    }

    fn learn(&self, feedback: &Feedback, now: UnixMillis, die: f64) -> Option<Hold> {
        let mut holding = lock(&self.hold);
        holding.canary_is_out = false;
        if *feedback == Feedback::Passed {
            *holding = Holding::default();
            return None;
        }
        holding.failures = holding.failures.saturating_add(1);
        let failures = holding.failures;
        let (wait, reason) = match feedback {
            Feedback::Passed => return None,
            Feedback::RefusedForNow(Some(asked)) => {
                ((*asked).clamp(Duration::from_secs(1), ASKED_WAIT_MAX), HoldReason::Refused)
            }
            Feedback::RefusedForNow(None) => {
                let base = REFUSED_WAIT_MIN.max(self.interval * 2).min(REFUSED_WAIT_MAX);
                (Backoff { base, delay_max: REFUSED_WAIT_MAX }.delay(failures, die), HoldReason::Refused)
            }
            Feedback::Unreachable => (TROUBLE.delay(failures, die), HoldReason::Unreachable),
            Feedback::Unclear if failures <= UNCLEAR_FREE => return None,
            Feedback::Unclear => (TROUBLE.delay(failures - UNCLEAR_FREE, die), HoldReason::Unclear),
        };
        let hold = Hold { until: now.plus(wait), reason, failures };
        // answers of requests sent before the hold must not shorten it
        let longer = holding.hold.filter(|known| known.until > hold.until).unwrap_or(hold);
        holding.hold = Some(Hold { failures, ..longer });
        holding.hold
    }
}

/// Reads `Retry-After`: seconds, or a date against the `now` given.
#[must_use]
pub fn parse_retry_after(text: &str, now: UnixMillis) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(UnixMillis(date.timestamp().as_millisecond()).after_now(now))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // nothing in here panics between two changes that belong together
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

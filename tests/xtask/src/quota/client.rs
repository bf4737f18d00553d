//! One account and the service, event by event: requests leave, arrive, are answered, and the program is killed in between.
//!
//! The limits are the real ones. A list of requests replaces the ledger. After a restart the limits are restored from it.

use std::{cmp::Reverse, collections::BinaryHeap};

use telecine::{
    domain::UnixMillis,
    quota::{
        AccountLimits, Departure, Endpoint, LearnedLimits, LimitChange, Limits, PreciseTime, RequestOutcome,
        UploadTimes, UsageRecord, UsageState,
    },
};

use super::server::Server;

/// How long a request without an answer may still be accepted, in milliseconds: five seconds to leave, and 15 minutes to be
/// accepted.
const UNANSWERED_MS: i64 = 905_000;
/// A lost request that was accepted is found in a listing this long after the restart, in milliseconds.
const FOUND_AFTER_MS: i64 = 5 * 60_000;
/// One that was not is known to be absent after the quiet time.
const ABSENT_AFTER_MS: i64 = 31 * 60_000;

/// Everything that is not the service.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    /// One way to the service, in milliseconds.
    pub(crate) way_ms: std::ops::RangeInclusive<i64>,
    /// How long a claim takes to be committed, in microseconds.
    pub(crate) commit_us: std::ops::RangeInclusive<i64>,
    /// The program is killed so often.
    pub(crate) kill_every_ms: Option<i64>,
    /// From a kill to the next start.
    pub(crate) down_ms: std::ops::RangeInclusive<i64>,
    /// Whether a request in flight at a kill is answered nevertheless; to distinguish two kinds of loss.
    pub(crate) answers: Answers,
}

/// What becomes of the answers that a kill cuts off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    Lost,
    Feedback,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ItemEvent {
    /// The claims that were committed together may leave.
    Committed,
    /// A claimed request may leave.
    Claimed(i64, i64),
    Arrives(i64),
    ReviewOutcome(i64, bool),
    Settled(i64, bool),
    Killed,
    Starts,
}

#[derive(Clone, Copy, Debug)]
struct Request {
    claimed_at: UnixMillis,
    accepted_at: Option<UnixMillis>,
    /// The time that the service stores, by its own clock.
    noted_at: Option<UnixMillis>,
    answered_at: Option<UnixMillis>,
    counts_until: Option<UnixMillis>,
    state: UsageState,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) accepted: u64,
    pub(crate) kills: u64,
    pub(crate) unanswered: u64,
    /// The times of refusals since the start, in milliseconds.
    pub(crate) refused_at_ms: Vec<i64>,
    pub(crate) news: Vec<LimitChange>,
    /// When each upload was accepted, in milliseconds since the beginning.
    pub(crate) accepted_at_ms: Vec<i64>,
}

/// The client of one account, from `from` on.
pub(crate) struct Client {
    limits: Limits,
    way: Way,
    pub(crate) server: Server,
    gate: Option<AccountLimits>,
    learned_limits: LearnedLimits,
    /// What of the lessons a ledger would have.
    kept: String,
    requests: Vec<Request>,
    /// Requests before this one count nowhere any more.
    first_live: usize,
    /// Uploads of this client begin with this one.
    life_from: i64,
    events: BinaryHeap<Reverse<(PreciseTime, u64, ItemEvent)>>,
    number: u64,
    pub(crate) rng: fastrand::Rng,
    pub(crate) seen: Seen,
    from: UnixMillis,
    now: PreciseTime,
    /// When the next slot may be taken.
    wake_at: PreciseTime,
    /// Claims that are being committed, and those that wait for the next commit: slot and key.
    committing: Vec<(i64, i64)>,
    waiting: Vec<(i64, i64)>,
    /// How far the wall clock of the program is ahead of the time that passed, in its present client.
    ahead_ms: i64,
    /// By how much it is set at the next starts.
    pub(crate) steps_ms: Vec<i64>,
}

impl Client {
    pub(crate) fn new(limits: Limits, way: Way, server: Server, from: UnixMillis, seed: u64) -> Self {
        let mut client = Self {
            gate: Some(AccountLimits::new(limits.clone(), &[], LearnedLimits::default(), from, 0)),
            limits,
            server,
            learned_limits: LearnedLimits::default(),
            kept: String::new(),
            requests: Vec::new(),
            first_live: 0,
            life_from: 1,
            events: BinaryHeap::new(),
            number: 0,
            rng: fastrand::Rng::with_seed(seed),
            seen: Seen::default(),
            from,
            now: from.into(),
            wake_at: from.into(),
            committing: Vec::new(),
            waiting: Vec::new(),
            ahead_ms: 0,
            steps_ms: Vec::new(),
            way,
        };
        if let Some(every_ms) = client.way.kill_every_ms {
            client.plan_in(every_ms, ItemEvent::Killed);
        }
        client
    }

    fn plan(&mut self, at: PreciseTime, event: ItemEvent) {
        self.number += 1;
        self.events.push(Reverse((at, self.number, event)));
    }

    fn plan_in(&mut self, delay_ms: i64, event: ItemEvent) {
        self.plan(PreciseTime(self.now.0 + delay_ms * 1_000), event);
    }

    /// The program's own clock.
    fn clock(&self) -> PreciseTime {
        PreciseTime(self.now.0 + self.ahead_ms * 1_000)
    }

    fn clock_ms(&self) -> UnixMillis {
        self.clock().millis()
    }

    /// Runs until `until`.
    pub(crate) fn run_until(&mut self, until: UnixMillis) {
        let until = PreciseTime::from(until);
        loop {
            let next = self.events.peek().map(|Reverse((at, ..))| *at);
            let wake = if self.gate.is_some() { self.wake_at } else { PreciseTime(i64::MAX) };
            let at = next.unwrap_or(PreciseTime(i64::MAX)).min(wake);
            if at >= until {
                self.now = until;
                return;
            }
            self.now = self.now.max(at);
            if next.is_some_and(|next| next <= self.now) {
                let Some(Reverse((_, _, event))) = self.events.pop() else { return };
                self.happen(event);
            } else {
                self.take_slot();
            }
        }
    }

    /// Takes the next slot and claims a row.
    fn take_slot(&mut self) {
        let clock = self.clock_ms();
        let Some(gate) = &mut self.gate else { return };
        match gate.take(Endpoint::Upload, clock) {
            Ok(slot) => {
                self.requests.push(Request {
                    claimed_at: clock,
                    accepted_at: None,
                    noted_at: None,
                    answered_at: None,
                    counts_until: Some(clock.plus_ms(UNANSWERED_MS)),
                    state: UsageState::Open,
                });
                let key = i64::try_from(self.requests.len()).unwrap_or(i64::MAX);
                self.waiting.push((slot, key));
                self.commit();
                self.wake_at = self.now;
            }
            // the next event checks whether the answer allows uploads again
            Err(delay) => {
                let wait_ms = delay.until.since_ms(clock).clamp(1, 7 * 24 * 3_600_000);
                self.wake_at = PreciseTime((self.now.0 / 1_000 + wait_ms) * 1_000);
            }
        }
    }

    /// Claims made while others are being committed are committed together afterwards.
    fn commit(&mut self) {
        if self.committing.is_empty() && !self.waiting.is_empty() {
            self.committing = std::mem::take(&mut self.waiting);
            let commit_us = self.rng.i64(self.way.commit_us.clone());
            self.plan(PreciseTime(self.now.0 + commit_us), ItemEvent::Committed);
        }
    }

    /// A claimed request leaves, or waits for its time.
    fn depart(&mut self, slot: i64, key: i64) {
        let clock = self.clock();
        // a request of a run that was killed never leaves
        if key < self.life_from {
            return;
        }
        let claimed_at = self.request(key).claimed_at;
        let accepted_by = claimed_at.plus_ms(UNANSWERED_MS);
        let Some(gate) = &mut self.gate else { return };
        let times = UploadTimes { claimed_at, departed_at: clock, accepted_by };
        match gate.depart(slot, key, times) {
            Departure::Now => {
                let way_us = self.rng.i64(self.way.way_ms.start() * 1_000..=self.way.way_ms.end() * 1_000);
                self.plan(PreciseTime(self.now.0 + way_us), ItemEvent::Arrives(key));
                self.keep();
                self.wake_up();
            }
            Departure::At(at) => {
                self.plan(PreciseTime(at.0 - self.ahead_ms * 1_000), ItemEvent::Claimed(slot, key));
            }
            Departure::AfterSave => {
                self.keep();
                self.plan(self.now, ItemEvent::Claimed(slot, key));
            }
            Departure::Closed => {
                gate.give_back(Endpoint::Upload, slot);
                let request = self.request(key);
                request.counts_until = None;
                request.state = UsageState::Final;
                self.wake_up();
            }
        }
    }

    fn request(&mut self, key: i64) -> &mut Request {
        &mut self.requests[usize::try_from(key - 1).unwrap_or(0)]
    }

    fn happen(&mut self, event: ItemEvent) {
        match event {
            ItemEvent::Committed => {
                for (slot, key) in std::mem::take(&mut self.committing) {
                    self.depart(slot, key);
                }
                self.commit();
            }
            ItemEvent::Claimed(slot, key) => self.depart(slot, key),
            ItemEvent::Arrives(key) => {
                let now = self.now.millis();
                let taken = self.server.arrive(self.now, &mut self.rng);
                // the service stores the time of arrival, by a clock that is an hour off
                let noted_at = now.plus_ms(3_600_000);
                let request = self.request(key);
                request.accepted_at = taken.accepted_at;
                request.noted_at = Some(noted_at);
                let since_ms = now.since_ms(self.from);
                match taken.accepted_at {
                    Some(at) => {
                        self.seen.accepted += 1;
                        self.seen.accepted_at_ms.push(at.since_ms(self.from));
                    }
                    None => self.seen.refused_at_ms.push(since_ms),
                }
                let way_ms = self.rng.i64(self.way.way_ms.clone());
                self.plan(
                    taken.served_at.plus_ms(way_ms).into(),
                    ItemEvent::ReviewOutcome(key, taken.accepted_at.is_some()),
                );
            }
            ItemEvent::ReviewOutcome(key, is_accepted) => self.answered(key, is_accepted),
            ItemEvent::Settled(key, is_accepted) => {
                let clock = self.clock_ms();
                let request = self.request(key);
                if is_accepted {
                    request.counts_until = request.counts_until.map(|until| until.min(clock));
                    request.state = UsageState::Final;
                } else {
                    request.counts_until = None;
                }
                if let Some(gate) = &mut self.gate {
                    gate.resolve_upload(key, is_accepted.then_some(clock));
                    self.wake_up();
                }
            }
            ItemEvent::Killed => self.kill(),
            ItemEvent::Starts => self.start(),
        }
    }

    fn answered(&mut self, key: i64, is_accepted: bool) {
        let is_heard = key >= self.life_from && self.gate.is_some();
        let is_told_later = self.way.answers == Answers::Feedback;
        let noted_at = self.request(key).noted_at;
        if !is_heard && !is_told_later {
            return;
        }
        let clock = self.clock_ms();
        let request = self.request(key);
        request.answered_at = Some(clock);
        (request.state, request.counts_until) = if is_accepted {
            (UsageState::Final, request.counts_until.map(|until| until.min(clock)))
        } else {
            (UsageState::Refused, None)
        };
        let Some(gate) = &mut self.gate else { return };
        if !is_heard {
            gate.resolve_upload(key, is_accepted.then_some(clock));
            return;
        }
        let outcome = if is_accepted {
            RequestOutcome::Accepted { noted_at }
        } else {
            RequestOutcome::Refused { retry_after: None }
        };
        let heard = gate.answer(key, &outcome, clock, self.rng.f64());
        self.seen.news.extend(heard.change);
        self.wake_up();
        self.keep();
    }

    /// Something changed: a slot may be free.
    fn wake_up(&mut self) {
        self.wake_at = self.now;
    }

    /// What the ledger would have of the lessons.
    fn keep(&mut self) {
        if let Some(gate) = &mut self.gate
            && let Some(learned_limits) = gate.take_changed_learned_limits()
        {
            self.kept = learned_limits.to_text();
            let saved = learned_limits.clone();
            gate.learned_limits_saved(&saved);
        }
    }

    fn kill(&mut self) {
        self.seen.kills += 1;
        self.gate = None;
        self.committing.clear();
        self.waiting.clear();
        let down_ms = self.rng.i64(self.way.down_ms.clone());
        self.plan_in(down_ms, ItemEvent::Starts);
        if let Some(every_ms) = self.way.kill_every_ms {
            self.plan_in(every_ms, ItemEvent::Killed);
        }
    }

    fn start(&mut self) {
        let step_ms = self.steps_ms.pop().unwrap_or(0);
        // a clock that was set back stays at the last time known: it is never behind, only ahead
        let clock_skew_ms = step_ms.max(0);
        self.ahead_ms += clock_skew_ms;
        if clock_skew_ms > 0 {
            for request in &mut self.requests[self.first_live..] {
                request.claimed_at = request.claimed_at.plus_ms(clock_skew_ms);
                request.counts_until = request.counts_until.map(|until| until.plus_ms(clock_skew_ms));
                request.answered_at = request.answered_at.map(|at| at.plus_ms(clock_skew_ms));
            }
        }
        let clock = self.clock_ms();
        self.settle_what_is_open();
        let period_ms = self.limits.period_ms_max() + 10 * 60_000;
        let since = clock.plus_ms(-period_ms);
        let last = self.requests.len().saturating_sub(self.limits.count_max() as usize);
        while self.first_live < last {
            let request = &self.requests[self.first_live];
            if request.counts_until.is_some_and(|until| until > since) || request.claimed_at > since {
                break;
            }
            self.first_live += 1;
        }
        let past: Vec<UsageRecord> = self.requests[self.first_live..]
            .iter()
            .enumerate()
            .map(|(at, request)| UsageRecord {
                endpoint: Endpoint::Upload,
                key: i64::try_from(self.first_live + at + 1).unwrap_or(i64::MAX),
                count: 1,
                claimed_at: request.claimed_at,
                departed_by: request.claimed_at.plus_ms(5_000),
                answered_at: request.answered_at,
                counts_until: request.counts_until,
                state: request.state,
            })
            .collect();
        self.learned_limits = if self.kept.is_empty() {
            LearnedLimits::default()
        } else {
            LearnedLimits::from_text(&self.kept).expect("what was saved can be read")
        };
        self.gate =
            Some(AccountLimits::new(self.limits.clone(), &past, self.learned_limits.clone(), clock, 0));
        self.life_from = i64::try_from(self.requests.len() + 1).unwrap_or(i64::MAX);
        self.wake_up();
    }

    /// A request in flight at the kill is resolved by evidence later.
    fn settle_what_is_open(&mut self) {
        if self.way.answers == Answers::Feedback {
            return;
        }
        let from = usize::try_from(self.life_from - 1).unwrap_or(0);
        let open: Vec<(i64, bool)> = (from..self.requests.len())
            .filter(|at| self.requests[*at].state == UsageState::Open)
            .map(|at| (i64::try_from(at + 1).unwrap_or(0), self.requests[at].accepted_at.is_some()))
            .collect();
        for (key, is_accepted) in open {
            self.seen.unanswered += 1;
            let after_ms = if is_accepted { FOUND_AFTER_MS } else { ABSENT_AFTER_MS };
            self.plan_in(after_ms, ItemEvent::Settled(key, is_accepted));
        }
    }
}

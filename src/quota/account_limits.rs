//! All limits of one account, as a pure state machine that is given the time.
//!
//! It says whether a request of an endpoint may leave now, and if not, until when and why. It learns from the outcome of
//! every request. It has no clock, does not wait and performs no I/O, so whole days are simulated in milliseconds.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use super::{
    BlockReason, Delay, Endpoint, Limits, PreciseTime, UsageRecord, UsageState,
    cap_window::{Acceptance, Spent},
    caps::{CapInUse, Caps},
    circuit_breaker::{CircuitBreaker, Cooldown},
    jitter::JitterSamples,
    learned_limits::LearnedLimits,
    pacing::{Margins, Pacing},
    rate_window::Slowdown,
};
use crate::domain::UnixMillis;

/// Repeated violations may suspend a key, so the refusals of an hour have a budget: this many, or more where more requests
/// are made...
const REFUSALS_PER_HOUR_MIN: usize = 12;
/// ...one in this many requests.
const REQUESTS_PER_REFUSAL: u64 = 1_000;
const HOUR_MS: i64 = 3_600_000;
/// A request gets its slot at most this long before it may leave, so that its claim is committed by then.
const LEAD_MAX: Duration = Duration::from_millis(250);
/// Permits are given at whole milliseconds, departures are exact to the microsecond: one tick earlier is in time.
const TICK: Duration = Duration::from_millis(1);
/// A request that is being claimed counts without an end; its departure says until when.
pub(super) const FOR_EVER: UnixMillis = UnixMillis(i64::MAX / 4);

/// One endpoint.
pub(super) struct EndpointLimits {
    pub(super) pacing: Pacing,
    pub(super) breaker: CircuitBreaker,
}

/// All limits of one account.
pub struct AccountLimits {
    pub(super) limits: Limits,
    pub(super) tick_ms: i64,
    pub(super) upload: EndpointLimits,
    pub(super) list: EndpointLimits,
    pub(super) metadata: EndpointLimits,
    pub(super) delete: EndpointLimits,
    /// The quota that covers all endpoints, where there is one.
    pub(super) total: Pacing,
    pub(super) caps: Caps,
    pub(super) learned_limits: LearnedLimits,
    pub(super) learned_limits_changed: bool,
    /// The lag between claim and departure that a restart will assume. `None`: the longest there can be.
    pub(super) saved_lag_ms: Option<i64>,
    /// When each unanswered upload of this run left.
    pub(super) departed_at: HashMap<i64, UnixMillis>,
    pub(super) samples: JitterSamples,
    /// The refusals of the last hour.
    pub(super) refused_at: VecDeque<UnixMillis>,
    /// Uploads that passed since the last refusal, and how many had passed when it came.
    pub(super) passed_in_a_row: u32,
    pub(super) passed_before_refusal: u32,
    pub(super) next_key: i64,
    /// How long a request takes from its slot until it is ready to leave: the longest of late.
    pub(super) lead: Duration,
    /// When each request that is not ready yet got its slot.
    pub(super) reserved_at: HashMap<i64, PreciseTime>,
}

impl EndpointLimits {
    fn new(rates: &[crate::domain::Rate]) -> Self {
        Self { pacing: Pacing::new(rates), breaker: CircuitBreaker::default() }
    }
}

impl AccountLimits {
    /// Limits that know what was spent before (`usage`, in the order of departure). `tick_ms` is the granularity of the
    /// timers of the caller, in milliseconds.
    pub fn new(
        limits: Limits,
        usage: &[UsageRecord],
        learned_limits: LearnedLimits,
        now: UnixMillis,
        tick_ms: i64,
    ) -> Self {
        let mut account = Self {
            upload: EndpointLimits::new(&limits.upload),
            list: EndpointLimits::new(&limits.list),
            metadata: EndpointLimits::new(&limits.metadata),
            delete: EndpointLimits::new(&limits.delete),
            total: Pacing::new(&limits.total),
            caps: Caps::new(&limits.caps),
            limits,
            tick_ms,
            saved_lag_ms: learned_limits.start_lag_ms,
            learned_limits,
            learned_limits_changed: false,
            departed_at: HashMap::new(),
            samples: JitterSamples::default(),
            refused_at: VecDeque::new(),
            passed_in_a_row: 0,
            passed_before_refusal: 0,
            next_key: -1,
            lead: Duration::ZERO,
            reserved_at: HashMap::new(),
        };
        account.resume_waits(now);
        account.replay_all(usage, now);
        account
    }

    /// Counts what earlier runs sent.
    fn replay_all(&mut self, usage: &[UsageRecord], now: UnixMillis) {
        fail::fail_point!("earlier_uploads_not_counted", |_| ());
        for record in usage {
            self.replay(record, now);
        }
    }

    fn replay(&mut self, record: &UsageRecord, now: UnixMillis) {
        let departed_by = match self.learned_limits.start_lag_ms {
            Some(lag_ms) => record.departed_by.min(record.claimed_at.plus_ms(lag_ms)),
            None => record.departed_by,
        };
        // nothing leaves after its answer, nor after the process that was to send it has ended
        let departed_at = departed_by.min(record.answered_at.unwrap_or(now)).min(now);
        for _ in 0..record.count {
            // a record that represents several requests has a key of its own for each
            let key = if record.count == 1 { record.key } else { self.fresh_key() };
            self.endpoint_mut(record.endpoint).pacing.replay(key, departed_at);
            self.total.replay(key, departed_at);
            if record.endpoint == Endpoint::Upload {
                self.replay_upload(key, record, now);
            }
        }
    }

    fn replay_upload(&mut self, key: i64, record: &UsageRecord, now: UnixMillis) {
        match record.state {
            UsageState::Refused => self.passed_in_a_row = 0,
            UsageState::Indexing | UsageState::Final => {
                self.passed_in_a_row = self.passed_in_a_row.saturating_add(1);
            }
            UsageState::Open => {}
        }
        if record.state == UsageState::Refused {
            let refused_at = record.answered_at.unwrap_or(now);
            let is_new = self.refused_at.back().is_none_or(|last| record.claimed_at >= *last);
            if is_new && now.since_ms(refused_at) < HOUR_MS {
                self.refused_at.push_back(refused_at);
            }
        }
        let Some(until) = record.counts_until else { return };
        let certainty = match record.state {
            UsageState::Indexing | UsageState::Final => Acceptance::Accepted,
            UsageState::Open | UsageState::Refused => Acceptance::Open,
        };
        self.caps.log.put(key, Spent { until, certainty });
        if record.state == UsageState::Final {
            self.caps.log.indexed(key);
        }
    }

    const fn fresh_key(&mut self) -> i64 {
        self.next_key -= 1;
        self.next_key
    }

    const fn endpoint(&self, endpoint: Endpoint) -> &EndpointLimits {
        match endpoint {
            Endpoint::Upload => &self.upload,
            Endpoint::List => &self.list,
            Endpoint::Metadata => &self.metadata,
            Endpoint::Delete => &self.delete,
        }
    }

    pub(super) const fn endpoint_mut(&mut self, endpoint: Endpoint) -> &mut EndpointLimits {
        match endpoint {
            Endpoint::Upload => &mut self.upload,
            Endpoint::List => &mut self.list,
            Endpoint::Metadata => &mut self.metadata,
            Endpoint::Delete => &mut self.delete,
        }
    }

    pub(super) const fn margins(&self, endpoint: Endpoint) -> Margins {
        let slowdown = match endpoint {
            Endpoint::Upload => Slowdown(self.learned_limits.slowdown_permille),
            Endpoint::List | Endpoint::Metadata | Endpoint::Delete => Slowdown::NONE,
        };
        Margins { slowdown, jitter: self.learned_limits.jitter, tick_ms: self.tick_ms }
    }

    pub(super) const fn total_margins(&self) -> Margins {
        Margins { slowdown: Slowdown::NONE, jitter: self.learned_limits.jitter, tick_ms: self.tick_ms }
    }

    /// Until when a request may get its slot, by the rates alone: a little before it may leave.
    fn delay_of_rates(&mut self, at: PreciseTime, now: PreciseTime) -> Option<Delay> {
        // without a lead nothing is prepared, and a slot is taken when it is due
        let early = if self.lead.is_zero() { Duration::ZERO } else { self.lead + TICK };
        let until = at.minus(early.min(LEAD_MAX));
        let up_to_ms = PreciseTime(until.0.saturating_add(999)).millis();
        (until > now).then_some(Delay { until: up_to_ms, why: BlockReason::Spacing })
    }

    /// What delays an endpoint at `now`, for the reason that lasts longest. `None`: nothing. The limits that all
    /// endpoints share are left out.
    pub fn delay_of_endpoint(&mut self, endpoint: Endpoint, now: UnixMillis) -> Option<Delay> {
        let mut delays = Vec::new();
        let margins = self.margins(endpoint);
        let precise = PreciseTime::from(now);
        let own = self.endpoint_mut(endpoint);
        if own.breaker.half_open_probe.is_some() {
            delays.push(Delay { until: FOR_EVER, why: BlockReason::HalfOpenProbe });
        }
        if let Some(cooldown) = own.breaker.cooldown(now) {
            delays.push(Delay { until: cooldown.until, why: BlockReason::Cooldown(cooldown) });
        }
        let at = own.pacing.next_at(precise, margins);
        delays.extend(self.delay_of_rates(at, precise));
        if endpoint == Endpoint::Upload {
            let (delay, is_new) = self.caps.delay(&mut self.learned_limits, now);
            delays.extend(delay);
            self.learned_limits_changed |= is_new;
            delays.extend(self.delay_of_refusals(now));
        }
        delays.into_iter().max_by_key(|delay| delay.until)
    }

    /// The same, with what all endpoints share.
    pub fn delay(&mut self, endpoint: Endpoint, now: UnixMillis) -> Option<Delay> {
        let (margins, precise) = (self.total_margins(), PreciseTime::from(now));
        let at = self.total.next_at(precise, margins);
        let shared = self.delay_of_rates(at, precise);
        self.delay_of_endpoint(endpoint, now).into_iter().chain(shared).max_by_key(|delay| delay.until)
    }

    fn delay_of_refusals(&mut self, now: UnixMillis) -> Option<Delay> {
        while self.refused_at.front().is_some_and(|timestamp| now.since_ms(*timestamp) >= HOUR_MS) {
            self.refused_at.pop_front();
        }
        let oldest = self.refused_at.len().checked_sub(self.refusals_per_hour())?;
        let until = self.refused_at.get(oldest)?.plus_ms(HOUR_MS);
        Some(Delay { until, why: BlockReason::RefusalsSpent })
    }

    /// Refusals that an hour may have.
    pub(super) fn refusals_per_hour(&self) -> usize {
        let per_hour = |rate: &crate::domain::Rate| {
            let limit = rate.limit();
            u64::from(limit.count()) * HOUR_MS.unsigned_abs() / limit.period_ms().unsigned_abs().max(1)
        };
        let requests = self.limits.upload.iter().chain(&self.limits.total).map(per_hour).min().unwrap_or(0);
        usize::try_from(requests / REQUESTS_PER_REFUSAL).unwrap_or(usize::MAX).max(REFUSALS_PER_HOUR_MIN)
    }

    /// Takes a slot of the endpoint at `now`, or returns the delay. The request leaves by [`Self::depart`] or
    /// [`Self::depart_read`].
    pub fn take(&mut self, endpoint: Endpoint, now: UnixMillis) -> Result<i64, Delay> {
        if let Some(delay) = self.delay(endpoint, now) {
            return Err(delay);
        }
        let (margins, total_margins, precise) =
            (self.margins(endpoint), self.total_margins(), PreciseTime::from(now));
        let key = self.fresh_key();
        let total_at = self.total.next_at(precise, total_margins);
        let own = self.endpoint_mut(endpoint);
        if own.breaker.lasts() {
            own.breaker.half_open_probe = Some(key);
        }
        let at = own.pacing.next_at(precise, margins).max(total_at);
        own.pacing.reserve(key, at);
        self.total.reserve(key, at);
        self.reserved_at.insert(key, precise);
        if endpoint == Endpoint::Upload {
            self.caps.log.put(key, Spent { until: FOR_EVER, certainty: Acceptance::Open });
        }
        Ok(key)
    }

    /// A slot is not used: the next request may have it.
    pub fn give_back(&mut self, endpoint: Endpoint, key: i64) {
        self.reserved_at.remove(&key);
        self.endpoint_mut(endpoint).pacing.release(key);
        self.total.release(key);
        self.caps.log.take_out(key);
        let probe = &mut self.endpoint_mut(endpoint).breaker.half_open_probe;
        *probe = probe.filter(|probe| *probe != key);
    }

    /// A restart will know these learned limits.
    pub const fn learned_limits_saved(&mut self, saved: &LearnedLimits) {
        self.saved_lag_ms = saved.start_lag_ms;
    }

    /// Evidence shows that an open upload was accepted no later than `at`, or never.
    pub fn resolve_upload(&mut self, key: i64, accepted_by: Option<UnixMillis>) {
        match accepted_by {
            Some(at) => self.caps.log.accepted_by(key, at),
            None => self.caps.log.take_out(key),
        }
    }

    /// An upload is not being indexed any more.
    pub fn indexed(&mut self, key: i64) {
        self.caps.log.indexed(key);
    }

    /// The cool-down of an endpoint at `now`.
    pub(super) fn cooldown(&self, endpoint: Endpoint, now: UnixMillis) -> Option<Cooldown> {
        self.endpoint(endpoint).breaker.cooldown(now)
    }

    pub(super) const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What was learned so far.
    pub const fn learned_limits(&self) -> &LearnedLimits {
        &self.learned_limits
    }

    /// The learned limits, if they changed since they were last taken.
    pub fn take_changed_learned_limits(&mut self) -> Option<&LearnedLimits> {
        std::mem::take(&mut self.learned_limits_changed).then_some(&self.learned_limits)
    }

    /// Every rate of an endpoint, with what it counts at `now`.
    pub(super) fn rates_in_use(
        &self,
        endpoint: Endpoint,
        now: UnixMillis,
    ) -> Vec<(crate::domain::Rate, u32)> {
        self.endpoint(endpoint).pacing.in_use(now)
    }

    /// Every rate that all endpoints share.
    pub(super) fn total_in_use(&self, now: UnixMillis) -> Vec<(crate::domain::Rate, u32)> {
        self.total.in_use(now)
    }

    /// Every cap that is known or learned, as it is at `now`.
    pub(super) fn caps_in_use(&mut self, now: UnixMillis) -> Vec<CapInUse> {
        self.caps.in_use(&self.learned_limits, now)
    }

    /// For every rate on uploads how many in how many milliseconds, margins included, and when those that it counts leave
    /// it.
    pub(super) fn upload_spans(&self) -> Vec<(u32, i64, Vec<UnixMillis>)> {
        let mut spans = self.upload.pacing.spans(self.margins(Endpoint::Upload));
        spans.extend(self.total.spans(self.total_margins()));
        spans
    }

    /// The interval between two uploads, margins included. `None`: a rate's whole count may leave at once.
    pub(super) fn upload_spacing(&self) -> Option<Duration> {
        let own = self.upload.pacing.spacing(self.margins(Endpoint::Upload));
        own.max(self.total.spacing(self.total_margins()))
    }
}

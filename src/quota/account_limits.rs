//! The gate: all limits of one account, as a pure machine that is told the time.
//!
//! It says whether a request of a lane may leave now, and if not, until when and why; and it learns from what became of
//! every request. It has no clock, does not wait and performs no I/O, so whole days are simulated in milliseconds.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use super::{
    BlockReason, Delay, Endpoint, Limits, PermitSlot, RequestOutcome, UsageRecord, UsageState,
    cap_estimator::EstimateChange,
    cap_window::{Acceptance, Spent},
    caps::{CapInUse, CapRefusal, Caps},
    circuit_breaker::{ASKED_WAIT_MAX, CircuitBreaker, Cooldown, CooldownReason},
    jitter::JitterSamples,
    learned_limits::{LearnedLimits, LimitChange, SavedCooldown},
    rate_window::{RateWindow, Slowdown, Smoother},
};
use crate::domain::UnixMillis;

/// Repeated violations may suspend a key: no more refusals than this in any hour.
const REFUSALS_PER_HOUR: usize = 12;
const HOUR_MS: i64 = 3_600_000;
/// No wait that the service asks for is shorter…
const ASKED_WAIT_MIN: Duration = Duration::from_secs(1);
/// A service that asks for a wait as long as this speaks of no spacing.
const ASKED_WAIT_OF_CAPS: Duration = Duration::from_mins(10);
/// A lag between claim and departure is believed with so much room that it is rarely exceeded: every time costs a write.
const LAG_ROOM: i64 = 2;
/// …and at least this, in milliseconds.
const LAG_MS_MIN: i64 = 20;
/// While a request is being claimed it counts as if for ever; its departure says until when.
const FOR_EVER: UnixMillis = UnixMillis(i64::MAX / 4);

/// One lane.
struct EndpointLimits {
    windows: Vec<RateWindow>,
    smoother: Option<Smoother>,
    breaker: CircuitBreaker,
}

/// All limits of one account.
pub struct AccountLimits {
    limits: Limits,
    tick_ms: i64,
    upload: EndpointLimits,
    list: EndpointLimits,
    metadata: EndpointLimits,
    /// One quota for all lanes, where there is one.
    total: Vec<RateWindow>,
    caps: Caps,
    learned_limits: LearnedLimits,
    learned_limits_changed: bool,
    /// The lag between claim and departure that a restart will believe; none when it believes the longest there can be.
    kept_lag_ms: Option<i64>,
    /// When each unanswered upload of this run left.
    departed_at: HashMap<i64, UnixMillis>,
    seen: JitterSamples,
    /// When the service refused, within the last hour.
    refused_at: VecDeque<UnixMillis>,
    next_key: i64,
}

impl EndpointLimits {
    fn new(rates: &[crate::domain::Rate], now: UnixMillis) -> Self {
        Self {
            windows: rates.iter().copied().map(RateWindow::new).collect(),
            smoother: Smoother::of(rates, now),
            breaker: CircuitBreaker::default(),
        }
    }

    /// The interval of the slowest rate.
    fn interval(&self) -> Duration {
        self.windows.iter().map(|window| window.rate().limit().interval()).max().unwrap_or_default()
    }
}

/// What a request taught.
#[derive(Debug, Default)]
pub struct Feedback {
    /// The lane is held.
    pub cooldown: Option<Cooldown>,
    /// Worth a word.
    pub news: Option<LimitChange>,
}

/// Whether an upload may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// It leaves.
    Now,
    /// It may leave once the lessons are kept: ask again then.
    AfterSave,
}

/// How a request passed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Passed {
    /// The service took it.
    Accepted,
    /// The service looked at it, and refused its row for good.
    Rejected,
}

impl AccountLimits {
    /// A gate that knows what was spent before (`past`, in the order of departure). `tick_ms` is the granularity of the timers it will be asked by.
    pub fn new(
        limits: Limits,
        usage: &[UsageRecord],
        learned_limits: LearnedLimits,
        (now, tick_ms): (UnixMillis, i64),
    ) -> Self {
        let kept_lag_ms = learned_limits.start_lag_ms;
        let mut account = Self {
            upload: EndpointLimits::new(&limits.upload, now),
            list: EndpointLimits::new(&limits.list, now),
            metadata: EndpointLimits::new(&limits.metadata, now),
            total: limits.total.iter().copied().map(RateWindow::new).collect(),
            caps: Caps::new(&limits.caps),
            limits,
            tick_ms,
            learned_limits,
            learned_limits_changed: false,
            kept_lag_ms,
            departed_at: HashMap::new(),
            seen: JitterSamples::default(),
            refused_at: VecDeque::new(),
            next_key: -1,
        };
        if let Some(saved_cooldown) = account.learned_limits.saved_cooldown {
            account.upload.breaker.resume(saved_cooldown, now);
        }
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

    fn replay(&mut self, usage: &UsageRecord, now: UnixMillis) {
        let departed_by = match self.learned_limits.start_lag_ms {
            Some(lag_ms) => usage.departed_by.min(usage.claimed_at.plus_ms(lag_ms)),
            None => usage.departed_by,
        };
        // nothing leaves after its answer, nor after the process that was to send it has ended
        let departed_at = departed_by.min(usage.answered_at.unwrap_or(now)).min(now);
        for _ in 0..usage.count {
            // a record that stands for several has a key of its own for each
            let key = if usage.count == 1 { usage.key } else { self.fresh_key() };
            for window in self.windows_of(usage.endpoint) {
                window.put(key, departed_at);
            }
            if usage.endpoint != Endpoint::Upload {
                continue;
            }
            if usage.state == UsageState::Refused {
                let refused_at = usage.answered_at.unwrap_or(now);
                let is_new = self.refused_at.back().is_none_or(|last| usage.claimed_at >= *last);
                if is_new && now.since_ms(refused_at) < HOUR_MS {
                    self.refused_at.push_back(refused_at);
                }
            }
            let Some(until) = usage.counts_until else { continue };
            let certainty = match usage.state {
                UsageState::Indexing | UsageState::Final => Acceptance::Accepted,
                UsageState::Open | UsageState::Refused => Acceptance::Open,
            };
            self.caps.log.put(key, Spent { until, certainty });
            if usage.state == UsageState::Final {
                self.caps.log.indexed(key);
            }
        }
    }

    fn fresh_key(&mut self) -> i64 {
        self.next_key -= 1;
        self.next_key
    }

    const fn endpoint(&self, endpoint: Endpoint) -> &EndpointLimits {
        match endpoint {
            Endpoint::Upload => &self.upload,
            Endpoint::List => &self.list,
            Endpoint::Metadata => &self.metadata,
        }
    }

    const fn endpoint_mut(&mut self, endpoint: Endpoint) -> &mut EndpointLimits {
        match endpoint {
            Endpoint::Upload => &mut self.upload,
            Endpoint::List => &mut self.list,
            Endpoint::Metadata => &mut self.metadata,
        }
    }

    /// Everything that counts the departures of a lane.
    fn windows_of(&mut self, endpoint: Endpoint) -> impl Iterator<Item = &mut RateWindow> {
        let own = match endpoint {
            Endpoint::Upload => &mut self.upload.windows,
            Endpoint::List => &mut self.list.windows,
            Endpoint::Metadata => &mut self.metadata.windows,
        };
        own.iter_mut().chain(&mut self.total)
    }

    /// The past happened at other moments than was thought, since our clock had jumped: `past` is how it is known now.
    /// Nothing may have been uploaded in between.
    pub fn reload_usage(&mut self, usage: &[UsageRecord], now: UnixMillis) {
        let mut anew =
            Self::new(self.limits.clone(), usage, self.learned_limits.clone(), (now, self.tick_ms));
        anew.learned_limits_changed = self.learned_limits_changed;
        anew.kept_lag_ms = self.kept_lag_ms;
        anew.next_key = anew.next_key.min(self.next_key);
        std::mem::swap(&mut anew.list, &mut self.list);
        std::mem::swap(&mut anew.metadata, &mut self.metadata);
        *self = anew;
    }

    const fn slowdown(&self, endpoint: Endpoint) -> Slowdown {
        match endpoint {
            Endpoint::Upload => Slowdown(self.learned_limits.slowdown_permille),
            Endpoint::List | Endpoint::Metadata => Slowdown::NONE,
        }
    }

    /// What keeps a lane from sending at `now`, the one that lasts longest; none when one may go. What all lanes share is
    /// not looked at.
    pub fn delay_of_lane(&mut self, endpoint: Endpoint, now: UnixMillis) -> Option<Delay> {
        let mut delays = Vec::new();
        let (slowdown, jitter, tick_ms) = (self.slowdown(endpoint), self.learned_limits.jitter, self.tick_ms);
        let own = self.endpoint(endpoint);
        if own.breaker.half_open_probe_in_flight {
            delays.push(Delay { until: FOR_EVER, why: BlockReason::HalfOpenProbe });
        }
        if let Some(cooldown) = own.breaker.cooldown(now) {
            delays.push(Delay { until: cooldown.until, why: BlockReason::Cooldown(cooldown) });
        }
        delays.extend(delay_of_windows(&own.windows, now, slowdown, |period_ms| {
            jitter.margin_ms(period_ms, tick_ms)
        }));
        if endpoint == Endpoint::Upload {
            let (delay, is_new) = self.caps.delay(&mut self.learned_limits, now);
            delays.extend(delay);
            self.learned_limits_changed |= is_new;
            delays.extend(self.delay_of_refusals(now));
        }
        delays.into_iter().max_by_key(|delay| delay.until)
    }

    /// The same, with what all lanes share.
    pub fn delay(&mut self, endpoint: Endpoint, now: UnixMillis) -> Option<Delay> {
        let (jitter, tick_ms) = (self.learned_limits.jitter, self.tick_ms);
        let shared = delay_of_windows(&self.total, now, Slowdown::NONE, |period_ms| {
            jitter.margin_ms(period_ms, tick_ms)
        });
        self.delay_of_lane(endpoint, now).into_iter().chain(shared).max_by_key(|delay| delay.until)
    }

    fn delay_of_refusals(&mut self, now: UnixMillis) -> Option<Delay> {
        while self.refused_at.front().is_some_and(|timestamp| now.since_ms(*timestamp) >= HOUR_MS) {
            self.refused_at.pop_front();
        }
        let oldest = self.refused_at.len().checked_sub(REFUSALS_PER_HOUR)?;
        let until = self.refused_at.get(oldest)?.plus_ms(HOUR_MS);
        Some(Delay { until, why: BlockReason::RefusalsSpent })
    }

    /// Takes a slot of the lane at `now`, or says what is in the way. The slot is used up by departing.
    pub fn take(&mut self, endpoint: Endpoint, now: UnixMillis) -> Result<i64, Delay> {
        if let Some(delay) = self.delay(endpoint, now) {
            return Err(delay);
        }
        let slowdown = self.slowdown(endpoint);
        let own = self.endpoint_mut(endpoint);
        if let Some(smoother) = &mut own.smoother {
            smoother.take(now, slowdown).map_err(|until| Delay { until, why: BlockReason::Spacing })?;
        }
        if own.breaker.lasts() {
            own.breaker.half_open_probe_in_flight = true;
        }
        let key = self.fresh_key();
        for window in self.windows_of(endpoint) {
            window.put(key, now);
        }
        if endpoint == Endpoint::Upload {
            self.caps.log.put(key, Spent { until: FOR_EVER, certainty: Acceptance::Open });
        }
        Ok(key)
    }

    /// A slot was taken, and nothing is asked: the next may have it.
    pub fn give_back(&mut self, endpoint: Endpoint, key: i64) {
        for window in self.windows_of(endpoint) {
            window.take_out(key);
        }
        self.caps.log.take_out(key);
        self.endpoint_mut(endpoint).breaker.half_open_probe_in_flight = false;
    }

    /// An upload leaves at `now`, claimed at `claimed_at`, as request `key`; it may be accepted until `until`. It may not leave
    /// before the lessons are kept when it took longer than a restart would believe: killed right after, the next run
    /// would send too early.
    pub fn depart(
        &mut self,
        slot: i64,
        key: i64,
        (claimed_at, now, until): (UnixMillis, UnixMillis, UnixMillis),
    ) -> Departure {
        let lag_ms = now.since_ms(claimed_at).max(0) + 1;
        if self.learned_limits.start_lag_ms.is_none_or(|known| known < lag_ms) {
            self.learned_limits.start_lag_ms = Some((lag_ms * LAG_ROOM).max(LAG_MS_MIN));
            self.learned_limits_changed = true;
        }
        if self.kept_lag_ms.is_some_and(|kept| kept < lag_ms) {
            return Departure::AfterSave;
        }
        for window in self.windows_of(Endpoint::Upload) {
            window.moved(slot, key, now);
        }
        self.caps.log.take_out(slot);
        self.caps.log.put(key, Spent { until, certainty: Acceptance::Open });
        self.departed_at.insert(key, now);
        Departure::Now
    }

    /// Lessons are on the disk, with this lag among them.
    pub(super) const fn learned_limits_saved(&mut self, start_lag_ms: Option<i64>) {
        self.kept_lag_ms = start_lag_ms;
    }

    /// What became of an upload.
    pub fn answer(&mut self, key: i64, outcome: &RequestOutcome, now: UnixMillis, jitter: f64) -> Feedback {
        let departed_at = self.departed_at.remove(&key);
        let breaker = &mut self.upload.breaker;
        match outcome {
            RequestOutcome::Accepted { noted_at } => {
                if let Some((noted_at, departed_at)) = noted_at.zip(departed_at) {
                    self.see(noted_at.since_ms(departed_at));
                }
                self.caps.log.accepted_by(key, now);
                self.pass(departed_at, Passed::Accepted)
            }
            RequestOutcome::Rejected => {
                // it took its turn, and perhaps a slot until now at the latest
                self.caps.log.open_until(key, now);
                self.pass(departed_at, Passed::Rejected)
            }
            RequestOutcome::Refused { retry_after } => {
                self.caps.log.take_out(key);
                self.refuse(departed_at, *retry_after, now, jitter)
            }
            RequestOutcome::NotSent => {
                let cooldown = breaker.failed(CooldownReason::Unreachable, now, jitter);
                self.give_back(Endpoint::Upload, key);
                Feedback { cooldown, news: None }
            }
            RequestOutcome::Unclear => {
                Feedback { cooldown: breaker.failed(CooldownReason::Unclear, now, jitter), news: None }
            }
        }
    }

    fn see(&mut self, noted_after_ms: i64) {
        let before = self.learned_limits.jitter;
        self.learned_limits.jitter.see(&mut self.seen, noted_after_ms);
        let after = self.learned_limits.jitter;
        // one more moment is not worth a write; twice as many are
        self.learned_limits_changed |= after.spread_ms != before.spread_ms || after.samples.is_power_of_two();
    }

    fn pass(&mut self, departed_at: Option<UnixMillis>, passed: Passed) -> Feedback {
        if !self.upload.breaker.is_answered_by(departed_at) {
            return Feedback::default();
        }
        let refusals = self.upload.breaker.passed();
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
                feedback.news = (turn == EstimateChange::Rises).then(|| LimitChange::CapRises(known.words()));
            }
        }
        self.learned_limits_changed |= self.learned_limits.saved_cooldown.take().is_some();
        if refusals > 0 && !is_cap {
            // it passed after a wait that more distance would have saved
            let period_ms = i64::try_from(self.upload.interval().as_millis()).unwrap_or(i64::MAX);
            self.learned_limits.slow_down();
            self.learned_limits.jitter.teach(period_ms, self.tick_ms);
            feedback.news = Some(LimitChange::SlowedDown(self.learned_limits.slowdown_permille));
            self.learned_limits_changed = true;
        } else if self.learned_limits.count_clean() {
            self.learned_limits_changed = true;
        }
        feedback
    }

    fn refuse(
        &mut self,
        departed_at: Option<UnixMillis>,
        retry_after: Option<Duration>,
        now: UnixMillis,
        jitter: f64,
    ) -> Feedback {
        let is_from_below = !self.upload.breaker.lasts();
        let is_new = self.upload.breaker.count_refusal(departed_at, now);
        // what was on the wire together is refused together, and is one lesson
        if is_new {
            self.refused_at.push_back(now);
        }
        let asked = retry_after.map(|asked| asked.clamp(ASKED_WAIT_MIN, ASKED_WAIT_MAX));
        let is_long = asked.is_some_and(|asked| asked >= ASKED_WAIT_OF_CAPS);
        let news = if is_new { self.attribute_to_cap(is_from_below, is_long, now) } else { None };
        let interval = self.upload.interval();
        let breaker = &mut self.upload.breaker;
        let cooldown = match (asked, &news) {
            (Some(asked), _) => Some(breaker.cool_down(asked, CooldownReason::Refused, now)),
            // the window itself says when the next slot is free
            (None, Some(_)) => None,
            (None, None) => {
                let wait = breaker.refusal_wait(interval, jitter);
                Some(breaker.cool_down(wait, CooldownReason::Refused, now))
            }
        };
        let until = cooldown.map_or(now, |cooldown| cooldown.until);
        self.learned_limits.saved_cooldown =
            Some(SavedCooldown { until, refusals: breaker.refusals, refused_at: now });
        self.learned_limits_changed = true;
        let is_spent = is_new && self.refused_at.len() == REFUSALS_PER_HOUR;
        let spent = is_spent
            .then_some(LimitChange::RefusalsSpent(u32::try_from(REFUSALS_PER_HOUR).unwrap_or(u32::MAX)));
        Feedback { cooldown, news: news.or(spent) }
    }

    /// Whether a refusal is the word of a cap, and what it teaches of it.
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
        jitter: f64,
    ) -> Feedback {
        let departed_at = Some(slot.taken_at);
        let own = self.endpoint_mut(slot.endpoint);
        let interval = own.interval();
        let cooldown = match outcome {
            RequestOutcome::Accepted { .. } | RequestOutcome::Rejected => {
                if own.breaker.is_answered_by(departed_at) {
                    own.breaker.passed();
                }
                None
            }
            RequestOutcome::Refused { retry_after } => {
                own.breaker.count_refusal(departed_at, now);
                let wait = retry_after.map_or_else(
                    || own.breaker.read_wait(interval, jitter),
                    |asked| asked.clamp(ASKED_WAIT_MIN, ASKED_WAIT_MAX),
                );
                Some(own.breaker.cool_down(wait, CooldownReason::Refused, now))
            }
            RequestOutcome::NotSent => own.breaker.failed(CooldownReason::Unreachable, now, jitter),
            RequestOutcome::Unclear => own.breaker.failed(CooldownReason::Unclear, now, jitter),
        };
        Feedback { cooldown, news: None }
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

    /// The hold of a lane at `now`.
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

    /// The lessons, if they changed since they were last taken.
    pub fn take_changed_learned_limits(&mut self) -> Option<&LearnedLimits> {
        std::mem::take(&mut self.learned_limits_changed).then_some(&self.learned_limits)
    }

    /// Every rate with what it counts at `now`.
    pub(super) fn rates_in_use(
        &self,
        endpoint: Endpoint,
        now: UnixMillis,
    ) -> Vec<(crate::domain::Rate, u32)> {
        self.endpoint(endpoint).windows.iter().map(|window| (window.rate(), window.used(now))).collect()
    }

    /// Every rate that all lanes share.
    pub(super) fn total_in_use(&self, now: UnixMillis) -> Vec<(crate::domain::Rate, u32)> {
        self.total.iter().map(|window| (window.rate(), window.used(now))).collect()
    }

    /// Every cap that is known or learned, as it stands at `now`.
    pub(super) fn caps_in_use(&mut self, now: UnixMillis) -> Vec<CapInUse> {
        self.caps.in_use(&self.learned_limits, now)
    }

    /// The spacing of uploads in force: for every rate how many in how many milliseconds, margins included.
    pub(super) fn upload_spans(&self) -> Vec<(u32, i64, Vec<UnixMillis>)> {
        let slowdown = self.slowdown(Endpoint::Upload);
        let margin = |period_ms| self.learned_limits.jitter.margin_ms(period_ms, self.tick_ms);
        let spans = self.upload.windows.iter().chain(&self.total).map(|window| {
            let limit = window.rate().limit();
            let period_ms = limit.period_ms() * slowdown.0 / 1000 + margin(limit.period_ms());
            (limit.count(), period_ms, window.leaving(period_ms))
        });
        spans.collect()
    }
}

fn delay_of_windows(
    windows: &[RateWindow],
    now: UnixMillis,
    slowdown: Slowdown,
    margin: impl Fn(i64) -> i64,
) -> Option<Delay> {
    let free_at =
        |window: &RateWindow| window.free_at(now, slowdown, margin(window.rate().limit().period_ms()));
    windows.iter().filter_map(free_at).max().map(|until| Delay { until, why: BlockReason::Spacing })
}

//! The gate: all limits of one account, as a pure machine that is told the time.
//!
//! It says whether a request of a lane may leave now, and if not, until when and why; and it learns from what became of
//! every request. It has no clock, does not wait and performs no I/O, so whole days are simulated in milliseconds.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use super::{
    Delay, Lane, Limits, Outcome, Past, PastState, Slot, Why,
    caps::{CapInUse, Caps, Refusal},
    learned::Turn,
    lessons::{Held, Lessons, News},
    margin::Seen,
    pace::{Pace, Spread, Stretch},
    trouble::{ASKED_WAIT_MAX, Hold, HoldReason, Trouble},
    window::{Certainty, Spent},
};
use crate::{
    item::UnixMillis,
    planted::{Bug, is_planted},
};

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
struct LaneGate {
    paces: Vec<Pace>,
    spread: Option<Spread>,
    trouble: Trouble,
}

/// All limits of one account.
pub struct Gate {
    limits: Limits,
    tick_ms: i64,
    upload: LaneGate,
    list: LaneGate,
    metadata: LaneGate,
    /// One quota for all lanes, where there is one.
    total: Vec<Pace>,
    caps: Caps,
    lessons: Lessons,
    are_lessons_new: bool,
    /// The lag between claim and departure that a restart will believe; none when it believes the longest there can be.
    kept_lag_ms: Option<i64>,
    /// When each unanswered upload of this run left.
    left_at: HashMap<i64, UnixMillis>,
    seen: Seen,
    /// When the service refused, within the last hour.
    refused_at: VecDeque<UnixMillis>,
    next_key: i64,
}

impl LaneGate {
    fn new(rates: &[crate::limit::Rate], now: UnixMillis) -> Self {
        Self {
            paces: rates.iter().copied().map(Pace::new).collect(),
            spread: Spread::of(rates, now),
            trouble: Trouble::default(),
        }
    }

    /// The interval of the slowest rate.
    fn interval(&self) -> Duration {
        self.paces.iter().map(|pace| pace.rate().limit().interval()).max().unwrap_or_default()
    }
}

/// What a request taught.
#[derive(Debug, Default)]
pub struct Heard {
    /// The lane is held.
    pub hold: Option<Hold>,
    /// Worth a word.
    pub news: Option<News>,
}

/// Whether an upload may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// It leaves.
    Now,
    /// It may leave once the lessons are kept: ask again then.
    AfterLessons,
}

/// How a request passed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Passed {
    /// The service took it.
    Accepted,
    /// The service looked at it, and refused its row for good.
    Rejected,
}

impl Gate {
    /// A gate that knows what was spent before (`past`, in the order of departure). `tick_ms` is the granularity of the timers it will be asked by.
    pub fn new(limits: Limits, past: &[Past], lessons: Lessons, (now, tick_ms): (UnixMillis, i64)) -> Self {
        let kept_lag_ms = lessons.start_lag_ms;
        let mut gate = Self {
            upload: LaneGate::new(&limits.upload, now),
            list: LaneGate::new(&limits.list, now),
            metadata: LaneGate::new(&limits.metadata, now),
            total: limits.total.iter().copied().map(Pace::new).collect(),
            caps: Caps::new(&limits.caps),
            limits,
            tick_ms,
            lessons,
            are_lessons_new: false,
            kept_lag_ms,
            left_at: HashMap::new(),
            seen: Seen::default(),
            refused_at: VecDeque::new(),
            next_key: -1,
        };
        if let Some(held) = gate.lessons.held {
            gate.upload.trouble.resume(held, now);
        }
        if !is_planted(Bug::LimiterInMemory) {
            for one in past {
                gate.recall(one, now);
            }
        }
        gate
    }

    fn recall(&mut self, past: &Past, now: UnixMillis) {
        let left_by = match self.lessons.start_lag_ms {
            Some(lag_ms) => past.left_by.min(past.claimed_at.plus_ms(lag_ms)),
            None => past.left_by,
        };
        // nothing leaves after its answer, nor after the process that was to send it has ended
        let left_at = left_by.min(past.answered_at.unwrap_or(now)).min(now);
        for _ in 0..past.count {
            // a record that stands for several has a key of its own for each
            let key = if past.count == 1 { past.key } else { self.fresh_key() };
            for pace in self.paces_of(past.lane) {
                pace.put(key, left_at);
            }
            if past.lane != Lane::Upload {
                continue;
            }
            if past.state == PastState::Refused {
                let refused_at = past.answered_at.unwrap_or(now);
                let is_news = self.refused_at.back().is_none_or(|last| past.claimed_at >= *last);
                if is_news && now.since_ms(refused_at) < HOUR_MS {
                    self.refused_at.push_back(refused_at);
                }
            }
            let Some(until) = past.counts_until else { continue };
            let certainty = match past.state {
                PastState::Indexing | PastState::Final => Certainty::Accepted,
                PastState::Open | PastState::Refused => Certainty::Open,
            };
            self.caps.log.put(key, Spent { until, certainty });
            if past.state == PastState::Final {
                self.caps.log.indexed(key);
            }
        }
    }

    fn fresh_key(&mut self) -> i64 {
        self.next_key -= 1;
        self.next_key
    }

    const fn lane(&self, lane: Lane) -> &LaneGate {
        match lane {
            Lane::Upload => &self.upload,
            Lane::List => &self.list,
            Lane::Metadata => &self.metadata,
        }
    }

    const fn lane_mut(&mut self, lane: Lane) -> &mut LaneGate {
        match lane {
            Lane::Upload => &mut self.upload,
            Lane::List => &mut self.list,
            Lane::Metadata => &mut self.metadata,
        }
    }

    /// Everything that counts the departures of a lane.
    fn paces_of(&mut self, lane: Lane) -> impl Iterator<Item = &mut Pace> {
        let own = match lane {
            Lane::Upload => &mut self.upload.paces,
            Lane::List => &mut self.list.paces,
            Lane::Metadata => &mut self.metadata.paces,
        };
        own.iter_mut().chain(&mut self.total)
    }

    /// The past happened at other moments than was thought, since our clock had jumped: `past` is how it is known now.
    /// Nothing may have been uploaded in between.
    pub fn retell(&mut self, past: &[Past], now: UnixMillis) {
        let mut anew = Self::new(self.limits.clone(), past, self.lessons.clone(), (now, self.tick_ms));
        anew.are_lessons_new = self.are_lessons_new;
        anew.kept_lag_ms = self.kept_lag_ms;
        anew.next_key = anew.next_key.min(self.next_key);
        std::mem::swap(&mut anew.list, &mut self.list);
        std::mem::swap(&mut anew.metadata, &mut self.metadata);
        *self = anew;
    }

    const fn stretch(&self, lane: Lane) -> Stretch {
        match lane {
            Lane::Upload => Stretch(self.lessons.stretch_permille),
            Lane::List | Lane::Metadata => Stretch::NONE,
        }
    }

    /// What keeps a lane from sending at `now`, the one that lasts longest; none when one may go. What all lanes share is
    /// not looked at.
    pub fn delay_of_lane(&mut self, lane: Lane, now: UnixMillis) -> Option<Delay> {
        let mut delays = Vec::new();
        let (stretch, jitter, tick_ms) = (self.stretch(lane), self.lessons.jitter, self.tick_ms);
        let own = self.lane(lane);
        if own.trouble.canary_is_out {
            delays.push(Delay { until: FOR_EVER, why: Why::Canary });
        }
        if let Some(hold) = own.trouble.hold(now) {
            delays.push(Delay { until: hold.until, why: Why::Held(hold) });
        }
        delays.extend(delay_of_paces(&own.paces, now, stretch, |span_ms| jitter.margin_ms(span_ms, tick_ms)));
        if lane == Lane::Upload {
            let (delay, is_news) = self.caps.delay(&mut self.lessons, now);
            delays.extend(delay);
            self.are_lessons_new |= is_news;
            delays.extend(self.delay_of_refusals(now));
        }
        delays.into_iter().max_by_key(|delay| delay.until)
    }

    /// The same, with what all lanes share.
    pub fn delay(&mut self, lane: Lane, now: UnixMillis) -> Option<Delay> {
        let (jitter, tick_ms) = (self.lessons.jitter, self.tick_ms);
        let shared =
            delay_of_paces(&self.total, now, Stretch::NONE, |span_ms| jitter.margin_ms(span_ms, tick_ms));
        self.delay_of_lane(lane, now).into_iter().chain(shared).max_by_key(|delay| delay.until)
    }

    fn delay_of_refusals(&mut self, now: UnixMillis) -> Option<Delay> {
        while self.refused_at.front().is_some_and(|moment| now.since_ms(*moment) >= HOUR_MS) {
            self.refused_at.pop_front();
        }
        let oldest = self.refused_at.len().checked_sub(REFUSALS_PER_HOUR)?;
        let until = self.refused_at.get(oldest)?.plus_ms(HOUR_MS);
        Some(Delay { until, why: Why::RefusalsSpent })
    }

    /// Takes a slot of the lane at `now`, or says what is in the way. The slot is used up by departing.
    pub fn take(&mut self, lane: Lane, now: UnixMillis) -> Result<i64, Delay> {
        if let Some(delay) = self.delay(lane, now) {
            return Err(delay);
        }
        let stretch = self.stretch(lane);
        let own = self.lane_mut(lane);
        if let Some(spread) = &mut own.spread {
            spread.take(now, stretch).map_err(|until| Delay { until, why: Why::Spacing })?;
        }
        if own.trouble.lasts() {
            own.trouble.canary_is_out = true;
        }
        let key = self.fresh_key();
        for pace in self.paces_of(lane) {
            pace.put(key, now);
        }
        if lane == Lane::Upload {
            self.caps.log.put(key, Spent { until: FOR_EVER, certainty: Certainty::Open });
        }
        Ok(key)
    }

    /// A slot was taken, and nothing is asked: the next may have it.
    pub fn give_back(&mut self, lane: Lane, key: i64) {
        for pace in self.paces_of(lane) {
            pace.take_out(key);
        }
        self.caps.log.take_out(key);
        self.lane_mut(lane).trouble.canary_is_out = false;
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
        if self.lessons.start_lag_ms.is_none_or(|known| known < lag_ms) {
            self.lessons.start_lag_ms = Some((lag_ms * LAG_ROOM).max(LAG_MS_MIN));
            self.are_lessons_new = true;
        }
        if self.kept_lag_ms.is_some_and(|kept| kept < lag_ms) {
            return Departure::AfterLessons;
        }
        for pace in self.paces_of(Lane::Upload) {
            pace.moved(slot, key, now);
        }
        self.caps.log.take_out(slot);
        self.caps.log.put(key, Spent { until, certainty: Certainty::Open });
        self.left_at.insert(key, now);
        Departure::Now
    }

    /// Lessons are on the disk, with this lag among them.
    pub(super) const fn lessons_are_kept(&mut self, start_lag_ms: Option<i64>) {
        self.kept_lag_ms = start_lag_ms;
    }

    /// What became of an upload.
    pub fn answer(&mut self, key: i64, outcome: &Outcome, now: UnixMillis, die: f64) -> Heard {
        let left_at = self.left_at.remove(&key);
        let trouble = &mut self.upload.trouble;
        match outcome {
            Outcome::Accepted { noted_at } => {
                if let Some((noted_at, left_at)) = noted_at.zip(left_at) {
                    self.see(noted_at.since_ms(left_at));
                }
                self.caps.log.accepted_by(key, now);
                self.pass(left_at, Passed::Accepted)
            }
            Outcome::Rejected => {
                // it took its turn, and perhaps a slot until now at the latest
                self.caps.log.open_until(key, now);
                self.pass(left_at, Passed::Rejected)
            }
            Outcome::Refused { retry_after } => {
                self.caps.log.take_out(key);
                self.refuse(left_at, *retry_after, now, die)
            }
            Outcome::NotSent => {
                let hold = trouble.failed(HoldReason::Unreachable, now, die);
                self.give_back(Lane::Upload, key);
                Heard { hold, news: None }
            }
            Outcome::Unclear => Heard { hold: trouble.failed(HoldReason::Unclear, now, die), news: None },
        }
    }

    fn see(&mut self, noted_after_ms: i64) {
        let before = self.lessons.jitter;
        self.lessons.jitter.see(&mut self.seen, noted_after_ms);
        let after = self.lessons.jitter;
        // one more moment is not worth a write; twice as many are
        self.are_lessons_new |= after.spread_ms != before.spread_ms || after.samples.is_power_of_two();
    }

    fn pass(&mut self, left_at: Option<UnixMillis>, passed: Passed) -> Heard {
        if !self.upload.trouble.is_answered_by(left_at) {
            return Heard::default();
        }
        let refusals = self.upload.trouble.passed();
        let mut heard = Heard::default();
        let mut is_cap = false;
        for known in &mut self.lessons.caps {
            is_cap |= known.is_open();
            // a row that is refused for good need not count
            if passed == Passed::Rejected {
                continue;
            }
            if let Some(turn) = known.passed(left_at) {
                self.are_lessons_new = true;
                heard.news = (turn == Turn::Rises).then(|| News::CapRises(known.words()));
            }
        }
        self.are_lessons_new |= self.lessons.held.take().is_some();
        if refusals > 0 && !is_cap {
            // it passed after a wait that more distance would have saved
            let span_ms = i64::try_from(self.upload.interval().as_millis()).unwrap_or(i64::MAX);
            self.lessons.slow_down();
            self.lessons.jitter.teach(span_ms, self.tick_ms);
            heard.news = Some(News::SlowedDown(self.lessons.stretch_permille));
            self.are_lessons_new = true;
        } else if self.lessons.count_clean() {
            self.are_lessons_new = true;
        }
        heard
    }

    fn refuse(
        &mut self,
        left_at: Option<UnixMillis>,
        retry_after: Option<Duration>,
        now: UnixMillis,
        die: f64,
    ) -> Heard {
        let is_from_below = !self.upload.trouble.lasts();
        let is_news = self.upload.trouble.count_refusal(left_at, now);
        // what was on the wire together is refused together, and is one lesson
        if is_news {
            self.refused_at.push_back(now);
        }
        let asked = retry_after.map(|asked| asked.clamp(ASKED_WAIT_MIN, ASKED_WAIT_MAX));
        let is_long = asked.is_some_and(|asked| asked >= ASKED_WAIT_OF_CAPS);
        let news = if is_news { self.blame_a_cap(is_from_below, is_long, now) } else { None };
        let interval = self.upload.interval();
        let trouble = &mut self.upload.trouble;
        let hold = match (asked, &news) {
            (Some(asked), _) => Some(trouble.hold_for(asked, HoldReason::Refused, now)),
            // the window itself says when the next slot is free
            (None, Some(_)) => None,
            (None, None) => {
                let wait = trouble.refusal_wait(interval, die);
                Some(trouble.hold_for(wait, HoldReason::Refused, now))
            }
        };
        let until = hold.map_or(now, |hold| hold.until);
        self.lessons.held = Some(Held { until, refusals: trouble.refusals, refused_at: now });
        self.are_lessons_new = true;
        let is_spent = is_news && self.refused_at.len() == REFUSALS_PER_HOUR;
        let spent =
            is_spent.then_some(News::RefusalsSpent(u32::try_from(REFUSALS_PER_HOUR).unwrap_or(u32::MAX)));
        Heard { hold, news: news.or(spent) }
    }

    /// Whether a refusal is the word of a cap, and what it teaches of it.
    fn blame_a_cap(&mut self, is_from_below: bool, is_long: bool, now: UnixMillis) -> Option<News> {
        let refusal = Refusal {
            is_beyond_spacing: is_long || self.upload.trouble.is_persistent(),
            is_from_below,
            at: now,
        };
        let before = self.lessons.caps.len();
        let blamed = self.caps.blame(&mut self.lessons, refusal);
        if blamed.is_some() {
            // the refusals so far are explained
            self.upload.trouble.refusals = 0;
        }
        self.are_lessons_new |= blamed.is_some() || self.lessons.caps.len() != before;
        blamed
    }

    /// What a read taught.
    pub(super) fn hear_read(&mut self, slot: Slot, outcome: &Outcome, now: UnixMillis, die: f64) -> Heard {
        let left_at = Some(slot.taken_at);
        let own = self.lane_mut(slot.lane);
        let interval = own.interval();
        let hold = match outcome {
            Outcome::Accepted { .. } | Outcome::Rejected => {
                if own.trouble.is_answered_by(left_at) {
                    own.trouble.passed();
                }
                None
            }
            Outcome::Refused { retry_after } => {
                own.trouble.count_refusal(left_at, now);
                let wait = retry_after.map_or_else(
                    || own.trouble.read_wait(interval, die),
                    |asked| asked.clamp(ASKED_WAIT_MIN, ASKED_WAIT_MAX),
                );
                Some(own.trouble.hold_for(wait, HoldReason::Refused, now))
            }
            Outcome::NotSent => own.trouble.failed(HoldReason::Unreachable, now, die),
            Outcome::Unclear => own.trouble.failed(HoldReason::Unclear, now, die),
        };
        Heard { hold, news: None }
    }

    /// Evidence shows that an open upload was accepted no later than `at`, or never.
    pub fn settle_later(&mut self, key: i64, accepted_by: Option<UnixMillis>) {
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
    pub(super) fn hold(&self, lane: Lane, now: UnixMillis) -> Option<Hold> {
        self.lane(lane).trouble.hold(now)
    }

    pub(super) const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What was learned so far.
    pub const fn lessons(&self) -> &Lessons {
        &self.lessons
    }

    /// The lessons, if they changed since they were last taken.
    pub fn take_new_lessons(&mut self) -> Option<&Lessons> {
        std::mem::take(&mut self.are_lessons_new).then_some(&self.lessons)
    }

    /// Every rate with what it counts at `now`.
    pub(super) fn rates_in_use(&self, lane: Lane, now: UnixMillis) -> Vec<(crate::limit::Rate, u32)> {
        self.lane(lane).paces.iter().map(|pace| (pace.rate(), pace.used(now))).collect()
    }

    /// Every rate that all lanes share.
    pub(super) fn total_in_use(&self, now: UnixMillis) -> Vec<(crate::limit::Rate, u32)> {
        self.total.iter().map(|pace| (pace.rate(), pace.used(now))).collect()
    }

    /// Every cap that is known or learned, as it stands at `now`.
    pub(super) fn caps_in_use(&mut self, now: UnixMillis) -> Vec<CapInUse> {
        self.caps.in_use(&self.lessons, now)
    }

    /// The spacing of uploads in force: for every rate how many in how many milliseconds, margins included.
    pub(super) fn upload_spans(&self) -> Vec<(u32, i64, Vec<UnixMillis>)> {
        let stretch = self.stretch(Lane::Upload);
        let margin = |span_ms| self.lessons.jitter.margin_ms(span_ms, self.tick_ms);
        let spans = self.upload.paces.iter().chain(&self.total).map(|pace| {
            let limit = pace.rate().limit();
            let span_ms = limit.span_ms() * stretch.0 / 1000 + margin(limit.span_ms());
            (limit.count(), span_ms, pace.leaving(span_ms))
        });
        spans.collect()
    }
}

fn delay_of_paces(
    paces: &[Pace],
    now: UnixMillis,
    stretch: Stretch,
    margin: impl Fn(i64) -> i64,
) -> Option<Delay> {
    let free_at = |pace: &Pace| pace.free_at(now, stretch, margin(pace.rate().limit().span_ms()));
    paces.iter().filter_map(free_at).max().map(|until| Delay { until, why: Why::Spacing })
}

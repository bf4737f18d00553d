//! What happened when: progress, the use of each quota window, waits, and indexing times. One pass over the requests.

use std::{collections::VecDeque, time::Duration};

use crate::{
    domain::{Cap, Counting, Rate, UnixMillis},
    error::Error,
    ledger::{RequestTimes, RunId, Snapshot},
};

/// Points of a curve. More cannot be distinguished on a screen.
pub(super) const POINTS: usize = 240;
/// Waits listed.
const WAITS_MAX: usize = 8;
/// A pause between two uploads is a wait when it is longer than this many intervals of the slowest rate.
const WAIT_INTERVALS: u32 = 3;
/// A shorter pause is none.
const WAIT_MIN: Duration = Duration::from_secs(2);
/// A cap is used up for a wait when this share of it is used: requests without a clear answer hold the rest.
const USED_UP: f64 = 0.95;
/// A refusal among this many requests before a wait is its cause.
const REFUSAL_REACH: u32 = 8;

/// Upper ends of the classes of indexing times, in seconds. The last class has none.
pub(super) const INDEXING_EDGES: [i64; 14] =
    [1, 3, 10, 30, 60, 180, 600, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400, 259_200];

/// The limits that a run kept.
#[derive(Clone, Debug, Default)]
pub struct RunLimits {
    pub upload: Vec<Rate>,
    pub caps: Vec<Cap>,
    pub list: Vec<Rate>,
    pub get: Vec<Rate>,
    /// Limits of all requests together.
    pub total: Vec<Rate>,
}

/// A period, cut into [`POINTS`] parts.
#[derive(Clone, Copy, Debug)]
pub struct TimeAxis {
    pub from: UnixMillis,
    pub until: UnixMillis,
    part_ms: i64,
}

impl TimeAxis {
    fn new(from: UnixMillis, until: UnixMillis) -> Self {
        let parts = i64::try_from(POINTS).unwrap_or(1);
        let part_ms = (until.since_ms(from).max(0) / parts + 1).max(1);
        Self { from, until: from.plus_ms(part_ms * parts), part_ms }
    }

    /// The part that a time is in. `None`: outside.
    fn part(&self, at: UnixMillis) -> Option<usize> {
        let part = usize::try_from(at.since_ms(self.from).div_euclid(self.part_ms)).ok()?;
        (part < POINTS).then_some(part)
    }

    /// The end of a part.
    pub fn end_of(&self, part: usize) -> UnixMillis {
        self.from.plus_ms(self.part_ms * (i64::try_from(part).unwrap_or(0) + 1))
    }

    /// The first part that ends at `at` or later, from 0 to [`POINTS`].
    fn first_end_from(&self, at: UnixMillis) -> usize {
        let parts = (at.since_ms(self.from) + self.part_ms - 1).div_euclid(self.part_ms) - 1;
        usize::try_from(parts.max(0)).unwrap_or(POINTS).min(POINTS)
    }
}

/// A count in each part of the period.
#[derive(Clone, Debug)]
pub struct Series(Vec<i64>);

impl Default for Series {
    fn default() -> Self {
        Self(vec![0; POINTS])
    }
}

impl Series {
    fn add(&mut self, axis: &TimeAxis, at: Option<UnixMillis>) {
        if let Some(part) = at.and_then(|at| axis.part(at)) {
            self.0[part] += 1;
        }
    }

    /// The sums up to each part.
    pub fn cumulative(&self) -> Vec<u64> {
        let mut sum = 0;
        let sums = self.0.iter().map(|count| {
            sum += count;
            u64::try_from(sum).unwrap_or(0)
        });
        sums.collect()
    }
}

/// What the requests of a window are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WindowOf {
    Upload,
    List,
    Get,
    Total,
}

/// The use of one limit over the period.
#[derive(Clone, Debug)]
pub struct WindowUse {
    /// The limit as a user writes it.
    pub limit: String,
    /// What it counts, for a reader.
    pub counts: &'static str,
    /// The most that it allows. `None`: not known.
    pub allowed: Option<u32>,
    period_ms: i64,
    /// Rates count departures, caps count answers.
    is_cap: bool,
    until_final: bool,
    of: WindowOf,
    /// Where the count changes.
    changes: Series,
    /// The latest answers that a cap counts, at most as many as it allows.
    latest: VecDeque<UnixMillis>,
}

impl WindowUse {
    fn of_rate(rate: &Rate, of: WindowOf, counts: &'static str) -> Self {
        Self {
            limit: rate.to_string(),
            counts,
            allowed: Some(rate.limit().count()),
            period_ms: rate.limit().period_ms(),
            is_cap: false,
            until_final: false,
            of,
            changes: Series::default(),
            latest: VecDeque::new(),
        }
    }

    fn of_cap(cap: &Cap) -> Self {
        Self {
            limit: cap.to_string(),
            counts: "accepted uploads",
            allowed: cap.count(),
            period_ms: cap.period_ms(),
            is_cap: true,
            until_final: cap.counting() == Counting::Indexing,
            of: WindowOf::Upload,
            changes: Series::default(),
            latest: VecDeque::new(),
        }
    }

    /// A window shorter than a part of the period is drawn as an average over the part.
    fn drawn_ms(&self, axis: &TimeAxis) -> i64 {
        self.period_ms.max(axis.part_ms)
    }

    fn add(&mut self, axis: &TimeAxis, from: UnixMillis, until: UnixMillis, count: i64) {
        let (first, behind) = (axis.first_end_from(from), axis.first_end_from(until));
        for (part, change) in [(first, count), (behind, -count)] {
            if part < POINTS {
                self.changes.0[part] += change;
            }
        }
    }

    fn take(&mut self, axis: &TimeAxis, request: &RequestTimes) {
        let at = if self.is_cap { request.counts_until } else { Some(request.sent_at) };
        let Some(at) = at.filter(|_| matches!(self.of, WindowOf::Upload | WindowOf::Total)) else { return };
        if let Some(allowed) = self.allowed.filter(|_| self.is_cap && !self.until_final) {
            self.latest.push_back(at);
            if self.latest.len() > allowed as usize {
                self.latest.pop_front();
            }
        }
        let end = at.plus_ms(self.drawn_ms(axis));
        let end = if self.until_final { request.final_at.map_or(end, |done| done.min(end)) } else { end };
        self.add(axis, at, end, 1);
    }

    fn take_external(&mut self, axis: &TimeAxis, endpoint: &str, at: UnixMillis, count: u64) {
        let own = match self.of {
            WindowOf::Upload => endpoint == "upload",
            WindowOf::List => endpoint == "list",
            WindowOf::Get => endpoint == "get",
            WindowOf::Total => true,
        };
        if own {
            let end = at.plus_ms(self.drawn_ms(axis));
            self.add(axis, at, end, i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// When a cap that is used up at `at` allows the next upload. `None`: it is not used up, as far as the requests show.
    fn opens_at(&self, at: UnixMillis) -> Option<UnixMillis> {
        let is_full = self.allowed.is_some_and(|allowed| self.latest.len() == allowed as usize);
        let oldest = self.latest.iter().min().filter(|_| is_full)?;
        Some(oldest.plus_ms(self.period_ms)).filter(|opens| *opens > at)
    }

    /// How much of the window is used at the end of each part, or on average over it.
    #[expect(clippy::cast_precision_loss, reason = "values of a curve")]
    pub fn used(&self, axis: &TimeAxis) -> Vec<f64> {
        let share = self.period_ms as f64 / self.drawn_ms(axis) as f64;
        self.changes.cumulative().into_iter().map(|count| count as f64 * share).collect()
    }

    /// Whether the curve shows averages.
    pub fn is_average(&self, axis: &TimeAxis) -> bool {
        self.period_ms < axis.part_ms
    }
}

/// A long time between two uploads.
#[derive(Clone, Debug)]
pub struct LongWait {
    pub from: UnixMillis,
    pub duration: Duration,
    /// The limit that was used up, or what else is known.
    pub cause: String,
}

/// The time between the last upload of a run and its end.
#[derive(Clone, Debug)]
pub struct EndWait {
    pub from: UnixMillis,
    pub duration: Duration,
    /// The cap that was used up then, and when it allows the next upload. `None`: none was.
    pub cap: Option<(String, UnixMillis)>,
}

/// Everything of a run that has a time.
#[derive(Clone, Debug)]
pub struct Timeline {
    pub axis: TimeAxis,
    pub sent: Series,
    pub accepted: Series,
    pub refused: Series,
    pub searchable: Series,
    /// Videos of this run that became searchable after it.
    pub searchable_later: u64,
    pub windows: Vec<WindowUse>,
    /// The longest waits, in the order of time.
    pub waits: Vec<LongWait>,
    /// All waits together.
    pub waited: Duration,
    /// The time after the last upload, if that is longer than the rate asks for.
    pub end_wait: Option<EndWait>,
    /// Videos by their indexing time: one class per edge, and one above.
    pub indexing: [u64; INDEXING_EDGES.len() + 1],
    gaps: Gaps,
}

/// Pauses between requests, as they are found.
#[derive(Clone, Debug, Default)]
struct Gaps {
    longer_than: Duration,
    last_sent_at: Option<UnixMillis>,
    requests_since_refusal: Option<u32>,
    longest: Vec<(Duration, UnixMillis, bool)>,
    total: Duration,
}

impl Gaps {
    fn take(&mut self, request: &RequestTimes) {
        if let Some(last) = self.last_sent_at {
            let pause = request.sent_at.after_now(last);
            if pause > self.longer_than {
                let after_refusal = self.requests_since_refusal.is_some_and(|count| count < REFUSAL_REACH);
                self.total += pause;
                self.longest.push((pause, last, after_refusal));
                self.longest.sort_by_key(|(pause, ..)| std::cmp::Reverse(*pause));
                self.longest.truncate(WAITS_MAX);
            }
        }
        self.last_sent_at = self.last_sent_at.max(Some(request.sent_at));
        self.requests_since_refusal =
            if request.is_refused { Some(0) } else { self.requests_since_refusal.map(|count| count + 1) };
    }
}

impl Timeline {
    /// Reads the times of a run that lasted from `from` to `until`.
    pub fn of(
        snapshot: &Snapshot,
        run: RunId,
        from: UnixMillis,
        until: UnixMillis,
        limits: &RunLimits,
    ) -> Result<Self, Error> {
        let mut timeline = Self::empty(TimeAxis::new(from, until), limits);
        let period_ms_max = timeline.windows.iter().map(|window| window.period_ms).max().unwrap_or(0);
        let since = from.plus_ms(-period_ms_max);
        snapshot.each_request_around(run, since, until, from, |request| timeline.take(request))?;
        let axis = timeline.axis;
        snapshot.each_external_usage_between(since, until, |endpoint, at, count| {
            for window in &mut timeline.windows {
                window.take_external(&axis, endpoint, at, count);
            }
        })?;
        timeline.explain_waits();
        timeline.end_wait = timeline.wait_until(until);
        Ok(timeline)
    }

    /// The wait after the last upload.
    fn wait_until(&self, end: UnixMillis) -> Option<EndWait> {
        let from = self.gaps.last_sent_at?;
        let duration = Some(end.after_now(from)).filter(|wait| *wait > self.gaps.longer_than)?;
        let full = self.windows.iter().filter_map(|cap| Some((cap.limit.clone(), cap.opens_at(end)?)));
        Some(EndWait { from, duration, cap: full.max_by_key(|(_, opens_at)| *opens_at) })
    }

    fn empty(axis: TimeAxis, limits: &RunLimits) -> Self {
        let of = |rates: &[Rate], of, counts| -> Vec<WindowUse> {
            rates.iter().map(|rate| WindowUse::of_rate(rate, of, counts)).collect()
        };
        let windows = [
            of(&limits.upload, WindowOf::Upload, "upload requests"),
            limits.caps.iter().map(WindowUse::of_cap).collect(),
            of(&limits.total, WindowOf::Total, "requests of all kinds"),
            of(&limits.list, WindowOf::List, "reads of listings"),
            of(&limits.get, WindowOf::Get, "reads of single videos"),
        ];
        let interval = limits.upload.iter().chain(&limits.total).map(|rate| rate.limit().interval()).max();
        let longer_than = (interval.unwrap_or_default() * WAIT_INTERVALS).max(WAIT_MIN);
        Self {
            axis,
            sent: Series::default(),
            accepted: Series::default(),
            refused: Series::default(),
            searchable: Series::default(),
            searchable_later: 0,
            windows: windows.concat(),
            waits: Vec::new(),
            waited: Duration::ZERO,
            end_wait: None,
            indexing: [0; INDEXING_EDGES.len() + 1],
            gaps: Gaps { longer_than, ..Gaps::default() },
        }
    }

    fn take(&mut self, request: &RequestTimes) {
        let axis = self.axis;
        for window in &mut self.windows {
            window.take(&axis, request);
        }
        if request.is_of_run {
            self.gaps.take(request);
            self.sent.add(&axis, Some(request.sent_at));
            let answered_at = request.answered_at.or(request.counts_until);
            self.accepted.add(&axis, answered_at.filter(|_| request.is_accepted));
            self.refused.add(&axis, answered_at.filter(|_| request.is_refused));
        }
        let Some(searchable_at) = request.searchable_at else { return };
        match axis.part(searchable_at) {
            Some(part) => self.searchable.0[part] += 1,
            None if request.is_of_run => self.searchable_later += 1,
            None => return,
        }
        if let Some(accepted_at) = request.answered_at {
            let seconds = searchable_at.since_ms(accepted_at).max(0) / 1000;
            let class = INDEXING_EDGES.iter().position(|edge| seconds < *edge);
            self.indexing[class.unwrap_or(INDEXING_EDGES.len())] += 1;
        }
    }

    /// Names the cause of each long wait.
    fn explain_waits(&mut self) {
        let axis = self.axis;
        let caps: Vec<(&WindowUse, Vec<f64>)> =
            self.windows.iter().filter(|window| window.is_cap).map(|cap| (cap, cap.used(&axis))).collect();
        let mut longest = std::mem::take(&mut self.gaps.longest);
        longest.sort_by_key(|(_, from, _)| *from);
        let waits = longest.into_iter().map(|(duration, from, after_refusal)| {
            let part = axis.first_end_from(from).min(POINTS - 1);
            // the curve has a point per part: the highest one around the time
            let around = part.saturating_sub(1)..(part + 2).min(POINTS);
            let used_of = |used: &[f64]| used[around.clone()].iter().copied().fold(0.0, f64::max);
            let full = caps.iter().find_map(|(cap, used)| {
                let (allowed, used) = (cap.allowed?, used_of(used));
                (used >= f64::from(allowed) * USED_UP).then_some((cap, allowed, used))
            });
            let cause = match full {
                Some((cap, allowed, used)) => {
                    format!("the cap {} was used: {used:.0} of {allowed}", cap.limit)
                }
                None if after_refusal => "the service had refused uploads for now".to_owned(),
                None => {
                    "none of these limits: no row was ready, or the run waited for doubts or after errors"
                        .to_owned()
                }
            };
            LongWait { from, duration, cause }
        });
        self.waits = waits.collect();
        self.waited = self.gaps.total;
    }
}

#[cfg(test)]
mod tests;

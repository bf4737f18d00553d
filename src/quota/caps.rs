//! The caps of an account: what each counts, when it lets the next upload go, and which of them a refusal speaks of.

use std::time::Duration;

use super::{
    BlockReason, Delay,
    cap_estimator::{self, CapEstimate, EstimateChange},
    cap_window::{UsageLog, WindowIndex},
    learned_limits::{LearnedLimits, LimitChange},
};
use crate::domain::{Cap, Counting, UnixMillis, format_duration};

/// The cap that documents name without a number: it is learned where it is not configured.
pub(super) const CAP_SPAN_MS: i64 = 2 * 3_600_000;

/// All caps, and everything spent that some of them still count.
pub(super) struct Caps {
    pub(super) log: UsageLog,
    /// Caps whose count is known.
    known: Vec<(Cap, WindowIndex)>,
    /// Caps whose count is learned; the first is blamed first.
    watched: Vec<(Cap, WindowIndex)>,
}

/// A refusal that a cap may be the reason of.
#[derive(Clone, Copy, Debug)]
pub(super) struct CapRefusal {
    /// Whether no spacing explains it: it is one of many, or asks for a long wait.
    pub(super) is_beyond_spacing: bool,
    /// Whether the request before it passed.
    pub(super) is_from_below: bool,
    pub(super) at: UnixMillis,
}

impl Caps {
    /// Empty windows for these caps.
    pub(super) fn new(caps: &[Cap]) -> Self {
        let mut log = UsageLog::default();
        let (known, unknown): (Vec<Cap>, Vec<Cap>) =
            caps.iter().copied().partition(|cap| cap.count().is_some());
        let mut window = |cap: Cap| (cap, log.add_window(cap.period_ms(), cap.counting()));
        let known = known.into_iter().map(&mut window).collect();
        let mut watched: Vec<_> = unknown.into_iter().map(&mut window).collect();
        if !watched.iter().any(|(cap, _)| cap.period_ms() == CAP_SPAN_MS) {
            watched.insert(0, window(Cap::unknown(CAP_SPAN_MS)));
        }
        Self { log, known, watched }
    }

    /// The cap that delays an upload the longest at `now`, and whether an estimate changed by time alone.
    pub(super) fn delay(
        &mut self,
        learned_limits: &mut LearnedLimits,
        now: UnixMillis,
    ) -> (Option<Delay>, bool) {
        let mut is_new = false;
        let mut delays = Vec::new();
        for (cap, window) in &self.known {
            let count = cap.count().unwrap_or(u32::MAX);
            let free_at = self.log.free_at(*window, count, now);
            delays.extend(
                free_at.map(|until| Delay { until, why: BlockReason::Cap { cap: *cap, is_learned: false } }),
            );
        }
        for (cap, window) in &self.watched {
            let Some(known) = learned_limits.caps.iter_mut().find(|known| known.is_of(cap)) else {
                continue;
            };
            let before = known.ceiling();
            known.tick(self.log.used(*window, now), now);
            is_new |= known.ceiling() != before;
            let Some(count) = known.ceiling() else { continue };
            let free_at = self.log.free_at(*window, count, now);
            let why = BlockReason::Cap { cap: cap.with_count(count), is_learned: true };
            delays.extend(free_at.map(|until| Delay { until, why }));
        }
        (delays.into_iter().max_by_key(|delay| delay.until), is_new)
    }

    /// Whether a refusal is attributed to a cap, and what it shows about the cap.
    pub(super) fn attribute_refusal(
        &mut self,
        learned_limits: &mut LearnedLimits,
        refusal: CapRefusal,
    ) -> Option<LimitChange> {
        let CapRefusal { is_beyond_spacing, is_from_below, at: now } = refusal;
        let mut attributed = None;
        for (cap, window) in &self.watched {
            let used = self.log.used(*window, now);
            let certain = self.log.certain(*window, now);
            let known = learned_limits.caps.iter_mut().find(|known| known.is_of(cap));
            let is_open = known.as_ref().is_some_and(|known| known.is_open());
            if !(is_beyond_spacing || is_open) {
                continue;
            }
            match known {
                None if used < cap_estimator::PLAUSIBLE_MIN => {}
                None => {
                    let learned = CapEstimate::first(*cap, certain, used, now);
                    attributed = Some(LimitChange::CapLearned(learned.text()));
                    learned_limits.caps.push(learned);
                }
                // drained to nothing and refused all the same: it is not this one
                Some(known) if used == 0 && known.is_open() => {
                    learned_limits.caps.retain(|known| !known.is_of(cap));
                    continue;
                }
                Some(known) => {
                    let was = known.low;
                    attributed = Some(match known.refused(certain, used, is_from_below, now) {
                        EstimateChange::Lowered => LimitChange::CapShrank {
                            was,
                            refused_at: used,
                            duration: format_duration(Duration::from_millis(
                                u64::try_from(cap.period_ms()).unwrap_or(0),
                            )),
                        },
                        EstimateChange::Learned | EstimateChange::SeenAgain | EstimateChange::Rises => {
                            LimitChange::CapLearned(known.text())
                        }
                    });
                }
            }
            if attributed.is_some() {
                break;
            }
        }
        attributed
    }

    /// Every cap that is known or learned, with what it counts at `now`, when its next slot is free, and when each entry
    /// leaves it.
    pub(super) fn in_use(&mut self, learned_limits: &LearnedLimits, now: UnixMillis) -> Vec<CapInUse> {
        let mut found = Vec::new();
        for (cap, window) in self.known.iter().chain(&self.watched).copied().collect::<Vec<_>>() {
            let learned = learned_limits.caps.iter().find(|known| known.is_of(&cap)).cloned();
            let count = cap.count().or_else(|| learned.as_ref().and_then(CapEstimate::ceiling));
            found.push(CapInUse {
                cap,
                count,
                used: self.log.used(window, now),
                free_at: count.and_then(|count| self.log.free_at(window, count, now)),
                leaving: self.log.leaving(window),
                learned: if cap.count().is_none() { learned } else { None },
            });
        }
        found
    }
}

/// A cap as it is.
pub(super) struct CapInUse {
    pub(super) cap: Cap,
    pub(super) count: Option<u32>,
    pub(super) used: u32,
    pub(super) free_at: Option<UnixMillis>,
    pub(super) leaving: Vec<UnixMillis>,
    pub(super) learned: Option<CapEstimate>,
}

impl CapInUse {
    pub(super) const fn counting(&self) -> Counting {
        self.cap.counting()
    }
}

//! Every limit as it is, for people and programs.

use serde::Serialize;

use super::{BlockReason, Endpoint, account_limits::AccountLimits, caps::CapInUse, forecast::Forecast};
use crate::domain::{Counting, UnixMillis};

/// One limit: what it allows, counts, and leaves free.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WindowStatus {
    /// `upload`, `list`, `get`, or `any` for a quota that covers all.
    pub endpoint: &'static str,
    /// As a user writes it: `1/min`, `120/2h`, `?/2h`.
    pub limit: String,
    /// `uploads`, `indexing`, or `requests` for a rate.
    pub counts: &'static str,
    pub used: u32,
    /// `None`: the count is not known yet.
    pub free: Option<u32>,
    /// `None`: a slot is free now.
    pub next_slot_at: Option<UnixMillis>,
    /// What was learned of it: `97–100 per 2 h, seen 3 times`.
    pub learned: Option<String>,
}

/// Everything there is to say of an account's quota.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QuotaStatus {
    /// As of when.
    pub at: UnixMillis,
    pub windows: Vec<WindowStatus>,
    /// When all limits allow the next upload; not in the future when nothing delays it.
    pub next_upload_at: UnixMillis,
    /// How fast uploads go, in percent of the configured rate: less after refusals.
    pub speed_percent: i64,
    /// The measured spread of network delays, in milliseconds.
    pub jitter_ms: i64,
    /// By how many requests that is known.
    pub jitter_samples: u64,
}

pub(super) fn status(account: &mut AccountLimits, now: UnixMillis) -> QuotaStatus {
    let mut windows = Vec::new();
    for endpoint in Endpoint::ALL {
        for (rate, used) in account.rates_in_use(*endpoint, now) {
            let count = rate.limit().count();
            windows.push(WindowStatus {
                endpoint: endpoint.as_str(),
                limit: rate.to_string(),
                counts: "requests",
                used: used.min(count),
                free: Some(count.saturating_sub(used)),
                next_slot_at: account
                    .delay_of_endpoint(*endpoint, now)
                    .map(|delay| delay.until)
                    .filter(|_| used >= count),
                learned: None,
            });
        }
    }
    for (rate, used) in account.total_in_use(now) {
        let count = rate.limit().count();
        windows.push(WindowStatus {
            endpoint: "any",
            limit: rate.to_string(),
            counts: "requests",
            used: used.min(count),
            free: Some(count.saturating_sub(used)),
            next_slot_at: None,
            learned: None,
        });
    }
    windows.extend(account.caps_in_use(now).iter().map(cap_status));
    let (jitter_ms, jitter_samples) = account.learned_limits().way();
    QuotaStatus {
        at: now,
        windows,
        next_upload_at: account.delay(Endpoint::Upload, now).map_or(now, |delay| delay.until),
        speed_percent: account.learned_limits().speed_percent(),
        jitter_ms,
        jitter_samples,
    }
}

fn cap_status(in_use: &CapInUse) -> WindowStatus {
    WindowStatus {
        endpoint: Endpoint::Upload.as_str(),
        limit: in_use.cap.to_string(),
        counts: match in_use.counting() {
            Counting::Uploads => "uploads",
            Counting::Indexing => "indexing",
        },
        used: in_use.used,
        free: in_use.count.map(|count| count.saturating_sub(in_use.used)),
        next_slot_at: in_use.free_at,
        learned: in_use.learned.as_ref().map(super::CapEstimate::text),
    }
}

/// The slots of uploads to come.
pub(super) fn forecast(account: &mut AccountLimits, now: UnixMillis) -> Forecast {
    let from = account.delay(Endpoint::Upload, now).map_or(now, |delay| delay.until);
    let mut forecast = Forecast::from(if from.since_ms(now) < i64::MAX / 8 { from } else { now });
    for (count, period_ms, leaving) in account.upload_spans() {
        forecast = forecast.with_rule(count, period_ms, leaving);
    }
    if let Some(spacing) = account.upload_spacing() {
        forecast = forecast.with_spacing(spacing);
    }
    with_caps(forecast, account, now)
}

/// The upload slots by the caps alone, for the comparison of other rates.
pub(super) fn cap_forecast(account: &mut AccountLimits, now: UnixMillis) -> Forecast {
    with_caps(Forecast::from(now), account, now)
}

/// As long as a claim may take, in milliseconds.
const CLAIM_MS: i64 = 5_000;

fn with_caps(mut forecast: Forecast, account: &mut AccountLimits, now: UnixMillis) -> Forecast {
    for in_use in account.caps_in_use(now) {
        let Some(count) = in_use.count else { continue };
        // what is being indexed leaves sooner than the span, by how much is not known; what is being claimed leaves with it
        let period_ms = in_use.cap.period_ms();
        let mut leaving = in_use.leaving;
        for timestamp in &mut leaving {
            *timestamp = (*timestamp).min(now.plus_ms(period_ms.saturating_add(CLAIM_MS)));
        }
        let is_learned = in_use.learned.is_some() && in_use.cap.count().is_none();
        let cap = if is_learned { in_use.cap.with_count(count) } else { in_use.cap };
        forecast = forecast.with_cap(count, period_ms, leaving, BlockReason::Cap { cap, is_learned });
    }
    forecast
}

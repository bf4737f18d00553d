//! The forecast of a run: when everything is sent, and which links expire before that.

use std::{
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use super::context::Context;
use crate::{
    domain::{UnixMillis, format_duration, with_separators},
    events::Event,
    ledger::{Expiring, ItemId, LedgerError, ManifestId, Snapshot},
    quota::{Endpoint, Limits, Turns},
};

/// The forecast is renewed after this percentage of the forecast time.
const ANEW_PERCENT: u32 = 1;
/// The bounds of the time between two forecasts.
const ANEW_AFTER: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(10));
/// A run that is over sooner needs no forecast.
const WAIT_SAID_MIN: Duration = Duration::from_mins(1);
/// Expiring links read in one call.
const EXPIRING_BATCH: usize = 1_000;
/// Expiring links named in the message; the report names all.
const NAMED_MAX: usize = 5;

/// The forecast of a run, which is renewed from time to time.
pub(super) struct RunForecast {
    /// When all pending items will have been sent. Claims use it, too.
    pub(super) sent_by: Arc<AtomicI64>,
    renew_at: UnixMillis,
    pending: u64,
    is_emitted: bool,
}

impl RunForecast {
    pub(super) fn new() -> Self {
        Self {
            // every link that expires is urgent until there is a forecast
            sent_by: Arc::new(AtomicI64::new(i64::MAX)),
            renew_at: UnixMillis(i64::MIN),
            pending: 0,
            is_emitted: false,
        }
    }

    /// When `pending` items will have been sent. The forecast is renewed from time to time.
    pub(super) fn sent_by<T>(&mut self, context: &Context<T>, pending: u64) -> UnixMillis {
        let now = context.clock.now();
        // many new rows need a new forecast
        let is_another = pending > self.pending.saturating_add(self.pending / 10).saturating_add(1);
        if now >= self.renew_at || is_another {
            let sent_by = context.limiter.forecast().after(pending);
            self.sent_by.store(sent_by.0, Ordering::Relaxed);
            let (soonest, latest) = ANEW_AFTER;
            let wait = (sent_by.after_now(now) * ANEW_PERCENT / 100).clamp(soonest, latest);
            self.renew_at = now.plus(wait);
            self.pending = pending;
        }
        UnixMillis(self.sent_by.load(Ordering::Relaxed))
    }

    /// Emits once, when all manifests are read: how long it takes, and which links expire before.
    pub(super) async fn emit<T>(
        &mut self,
        context: &Context<T>,
        manifests: &[ManifestId],
        pending: u64,
        limits: &Limits,
    ) -> Result<(), LedgerError> {
        if self.is_emitted {
            return Ok(());
        }
        self.is_emitted = true;
        if pending == 0 {
            return Ok(());
        }
        let now = context.clock.now();
        let wait = self.sent_by(context, pending).after_now(now);
        let limits = limits.upload_text();
        let mut text = format!("{} left to send at {limits}", with_separators(pending));
        if wait >= WAIT_SAID_MIN {
            let duration = format_duration(wait);
            let _ = write!(text, ": about {duration}");
            // a service that has refused was asked for too much already
            if !has_refused(context) {
                text.push_str("; raise the limits if your account allows more");
            }
        }
        context.emit(&Event::Message { text });
        let expiring = expiring_links(context, manifests).await?;
        if expiring.count > 0 {
            context.emit(&Event::LinksExpiring { count: expiring.count, first: expiring.first });
        }
        Ok(())
    }
}

/// Whether refusals slow the uploads down, or have shown the size of a cap.
fn has_refused<T>(context: &Context<T>) -> bool {
    let status = context.limiter.status();
    let is_learned = status.windows.iter().any(|window| window.learned.is_some());
    is_learned || status.speed_percent < 100 || context.limiter.cooldown(Endpoint::Upload).is_some()
}

/// Links that expire before their turn.
#[derive(Debug, Default)]
pub(super) struct ExpiringLinks {
    count: u64,
    first: Vec<String>,
}

/// Finds links that expire before their turn, although those that expire first are sent first.
async fn expiring_links<T>(
    context: &Context<T>,
    manifests: &[ManifestId],
) -> Result<ExpiringLinks, LedgerError> {
    let mut found = ExpiringLinks::default();
    let mut turns = Turns::of(context.limiter.forecast());
    for source in manifests {
        let mut after = (UnixMillis(i64::MIN), ItemId::numbered(0));
        loop {
            let manifest = *source;
            let read =
                move |snapshot: &Snapshot| snapshot.expiring(manifest, after.0, after.1, EXPIRING_BATCH);
            let expiring = context.ledger.read(read).await?;
            let Some(last) = expiring.last() else { break };
            after = (last.expires_at, last.item);
            for link in &expiring {
                if turns.of_link(link.expires_at).is_some() {
                    continue;
                }
                found.count += 1;
                if found.first.len() < NAMED_MAX {
                    found.first.push(link_text(context, link).await?);
                }
            }
        }
    }
    Ok(found)
}

async fn link_text<T>(context: &Context<T>, link: &Expiring) -> Result<String, LedgerError> {
    let manifest = link.manifest;
    let path = context.ledger.read(move |snapshot| snapshot.manifest_name(manifest)).await?;
    Ok(format!("{path}:{} at {}", link.line, link.expires_at))
}

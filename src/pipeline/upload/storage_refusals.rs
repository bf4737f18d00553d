//! Rows whose storage gives no credentials: the others are sent, and the run ends with the cause when only these are left.

use std::time::Duration;

use tokio::sync::Notify;

use super::Uploader;
use crate::{
    api::Transport,
    domain::{RunOutcome, State, StopReason, UnixMillis},
    events::Event,
    ledger::{LedgerError, Snapshot},
    pipeline::context::Context,
};

/// How often to look for other rows.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What the upload stage knows of them.
#[derive(Debug, Default)]
pub(super) struct StorageRefusals {
    /// Why no link can be signed. It is announced when another row is sent, because otherwise the end of the run says it.
    unannounced: Vec<String>,
    /// Whether all rows that wait were passed over while nothing was read or in flight. The next pass begins at the first row, and
    /// nothing can be pending again behind it.
    is_quiet: bool,
}

impl StorageRefusals {
    pub(super) fn note(&mut self, cause: Option<String>) {
        self.unannounced.extend(cause);
    }

    /// A request is about to be made.
    pub(super) fn others_are_sent<T>(&mut self, context: &Context<T>) {
        self.is_quiet = false;
        for cause in self.unannounced.drain(..) {
            let text = format!("{cause}; rows of this storage wait, and the others are sent");
            context.emit(&Event::Message { text });
        }
    }
}

impl<T: Transport> Uploader<T> {
    /// Waits for rows of other storages. Returns a stop when there will be none.
    pub(super) async fn wait_for_others(&mut self) -> Result<Option<RunOutcome>, LedgerError> {
        let now = self.context.clock.now();
        if !self.plan.all_read.is_cancelled() || !self.in_flight.is_empty() {
            self.storage_refusals.is_quiet = false;
            return self.look_again_at(now.plus(LOOK_INTERVAL)).await;
        }
        if !std::mem::replace(&mut self.storage_refusals.is_quiet, true) {
            return Ok(None);
        }
        // an open request may prove never to have arrived, and its row is then sent again
        let state_counts = self.context.ledger.read(Snapshot::state_counts).await?;
        let may_return = state_counts.of(State::Sending) + state_counts.of(State::InDoubt) > 0;
        if may_return && self.evidence_is_awaited_until().is_some() {
            self.storage_refusals.is_quiet = false;
            return self.look_again_at(now.plus(LOOK_INTERVAL)).await;
        }
        let (reason, cause) = (StopReason::NoSourceCredentials, self.plan.terms.storage.refusals());
        Ok(Some(RunOutcome::Stopped { reason, cause }))
    }

    /// Waits for a time or an answer. A change of the ledger ends no wait: a look may read many rows.
    async fn look_again_at(&mut self, at: UnixMillis) -> Result<Option<RunOutcome>, LedgerError> {
        let never = Notify::new();
        self.wait_until(Some(at), never.notified()).await
    }
}

//! Tells the service manager (systemd) of a run, where `NOTIFY_SOCKET` is set: READY, STATUS and STOPPING.

use std::sync::Mutex;

use sd_notify::NotifyState;

use super::live::{final_items, shown_listing};
use crate::{
    domain::{State, UnixMillis, counted, with_separators},
    events::{Event, EventSink},
};

/// Passes the events of a run to the service manager.
#[derive(Default)]
pub(super) struct ServiceManagerSink {
    /// One account of several: its end is not the end of the process.
    account: Option<String>,
    last_status: Mutex<String>,
}

impl ServiceManagerSink {
    /// A sink, if a service manager listens. `account`: the run is that of one account of several.
    pub(super) fn of_environment(account: Option<&str>) -> Option<Self> {
        let account = account.map(str::to_owned);
        let sink = || Self { account, ..Self::default() };
        std::env::var_os("NOTIFY_SOCKET").is_some_and(|path| !path.is_empty()).then(sink)
    }

    fn status(&self, text: String) {
        let text = match &self.account {
            Some(account) => format!("{account}: {text}"),
            None => text,
        };
        let mut last = self.last_status.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *last != text {
            tell(&[NotifyState::Status(&text)]);
            *last = text;
        }
    }
}

/// A service manager that does not listen any more is no reason to stop.
pub(in crate::cli) fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}

impl EventSink for ServiceManagerSink {
    fn on_event(&self, _at: UnixMillis, event: &Event) {
        match event {
            Event::LedgerOpened { .. } => tell(&[NotifyState::Ready]),
            // a standby does what it was started for
            Event::StandingBy { reason } => {
                tell(&[NotifyState::Ready]);
                self.status(format!("standing by: {reason}"));
            }
            Event::Progress(progress) => {
                let ended = final_items(progress);
                self.status(format!(
                    "{} of {} final, {} {}, {} {}",
                    with_separators(ended),
                    counted(progress.items, "item", "items"),
                    with_separators(progress.pending),
                    State::Pending.label(progress.pending),
                    with_separators(progress.indexing),
                    State::Accepted.label(progress.indexing),
                ));
            }
            Event::Waiting { reason, until, .. } => self.status(format!("waiting until {until}: {reason}")),
            Event::Comparing { page, pages, .. } => {
                self.status(format!("comparing the library with the ledger: page {page} of {pages}"));
            }
            Event::Listing { address, objects } => {
                // a listing may take longer than a service manager waits for the start
                tell(&[NotifyState::Ready]);
                self.status(shown_listing(address, *objects));
            }
            Event::ManifestOpened { .. }
            | Event::RowInvalid { .. }
            | Event::RowDuplicate { .. }
            | Event::RowDrifted { .. }
            | Event::ManifestRead { .. }
            | Event::Accepted { .. }
            | Event::Rejected { .. }
            | Event::AnswerLost { .. }
            | Event::Reconciled { .. }
            | Event::Indexed { .. }
            | Event::IndexingFailed { .. }
            | Event::LimitLearned { .. }
            | Event::LinksExpiring { .. }
            | Event::SendingFiles(_)
            | Event::Message { .. } => {}
        }
    }

    fn close(&self) {
        if self.account.is_none() {
            tell(&[NotifyState::Stopping]);
        }
    }
}

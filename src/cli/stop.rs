//! Signals: the first drains, the second aborts. Both leave an exact ledger.

use std::sync::{Arc, OnceLock};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    error::{Error, ExitCode},
    monitor::{Monitor, Notice},
};

/// Which signal came, if one did.
#[derive(Clone, Default)]
pub(super) struct Stopping(Arc<OnceLock<ExitCode>>);

impl Stopping {
    pub(super) fn signal(&self) -> Option<ExitCode> {
        self.0.get().copied()
    }
}

/// Said when a run that sends is stopped.
pub(super) const WAITING_FOR_ANSWERS: &str =
    "stopping: waiting for the answers of what is on the wire; press Ctrl-C again to leave at once";

/// Listens for Ctrl-C and SIGTERM for the rest of the process; says `text` at the first.
pub(super) fn listen(
    drain: CancellationToken,
    monitor: Monitor,
    clock: Clock,
    text: &'static str,
) -> Result<Stopping, Error> {
    let fault = |cause: std::io::Error| Error::Usage(format!("signals cannot be received: {cause}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(fault)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(fault)?;
    let stopping = Stopping::default();
    let heard = stopping.clone();
    tokio::spawn(async move {
        loop {
            let code = tokio::select! {
                biased;
                Some(()) = interrupt.recv() => ExitCode::Interrupted,
                Some(()) = terminate.recv() => ExitCode::Terminated,
                else => return,
            };
            if heard.0.set(code).is_err() {
                // what is on the wire stays `sending` in the ledger and is in doubt on the next opening
                std::process::exit(i32::from(code.number()));
            }
            monitor.say(clock.now(), &Notice::Said { text: text.to_owned() });
            drain.cancel();
        }
    });
    Ok(stopping)
}

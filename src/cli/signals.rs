//! Signals: the first drains, the second aborts. Both leave an exact ledger.

use std::{
    sync::{Arc, OnceLock, mpsc},
    time::Duration,
};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    app::RunRequest,
    clock::Clock,
    error::{Error, ExitCode},
    events::{Event, EventBus},
};

/// A write beyond a limit on the size of files (`ulimit -f`, `LimitFSIZE`) is to be an error, as on a full disk: its signal would
/// end the process without a word.
pub(in crate::cli) fn outlive_file_limits() {
    // a handler stays for the rest of the process, without the runtime that registered it; where there is none, the signal ends us
    if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() {
        let _entered = runtime.enter();
        let _ = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()));
    }
}

/// Which signal came, if one did.
#[derive(Clone, Default)]
pub(in crate::cli) struct SignalState(Arc<OnceLock<ExitCode>>);

impl SignalState {
    pub(in crate::cli) fn signal(&self) -> Option<ExitCode> {
        self.0.get().copied()
    }
}

/// Said when a run that sends is stopped.
pub(in crate::cli) const WAITING_FOR_ANSWERS: &str =
    "stopping: waiting for the answers of requests in flight; press Ctrl-C again to stop at once";

/// After the second signal a run has this long to record its end and to print it; a disk or a reader that stalls delays the exit
/// no longer.
const LAST_WORDS_MAX: Duration = Duration::from_secs(1);

/// Listens for Ctrl-C, SIGTERM and SIGHUP for the rest of the process. The first one drains the work and says `text`, the second
/// ends the process.
pub(in crate::cli) fn listen(request: &RunRequest, text: &'static str) -> Result<SignalState, Error> {
    listen_for(request.signals.drain.clone(), request.events.clone(), text)
}

/// The same, for a run that records and prints its end after the second signal, too.
pub(in crate::cli) fn listen_to_end(request: &RunRequest) -> Result<SignalState, Error> {
    let abort = request.signals.abort.clone();
    let on_second = move |code: ExitCode| {
        abort.cancel();
        std::thread::spawn(move || {
            let (_open, never) = mpsc::channel::<()>();
            let _ = never.recv_timeout(LAST_WORDS_MAX);
            std::process::exit(i32::from(code.number()));
        });
    };
    listen_with(request.signals.drain.clone(), request.events.clone(), WAITING_FOR_ANSWERS, on_second)
}

/// A signal that comes so soon after the first is the same one: below `timeout`, Ctrl-C arrives from the terminal and from `timeout`.
const SAME_SIGNAL: Duration = Duration::from_millis(100);

/// The same, for work that is no run.
pub(in crate::cli) fn listen_for(
    drain: CancellationToken,
    events: EventBus,
    text: &'static str,
) -> Result<SignalState, Error> {
    // what is in flight stays `sending` in the ledger and is in doubt on the next opening
    listen_with(drain, events, text, |code| std::process::exit(i32::from(code.number())))
}

fn listen_with(
    drain: CancellationToken,
    events: EventBus,
    text: &'static str,
    on_second: impl Fn(ExitCode) + Send + 'static,
) -> Result<SignalState, Error> {
    let clock = Clock::real();
    let error = |cause: std::io::Error| Error::Usage(format!("signals cannot be received: {cause}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(error)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(error)?;
    // under nohup the end of the terminal must not stop the run
    let mut hangup =
        if is_hangup_ignored() { None } else { Some(signal(SignalKind::hangup()).map_err(error)?) };
    let signal_state = SignalState::default();
    let heard = signal_state.clone();
    tokio::spawn(async move {
        let mut ignored_until = Duration::ZERO;
        loop {
            let code = tokio::select! {
                biased;
                Some(()) = interrupt.recv() => ExitCode::Interrupted,
                Some(()) = terminate.recv() => ExitCode::Terminated,
                Some(()) = received(&mut hangup) => ExitCode::HungUp,
                else => return,
            };
            if heard.0.set(code).is_err() {
                if clock.elapsed() >= ignored_until {
                    on_second(code);
                }
                continue;
            }
            ignored_until = clock.elapsed() + SAME_SIGNAL;
            events.emit(clock.now(), &Event::Message { text: text.to_owned() });
            drain.cancel();
        }
    });
    Ok(signal_state)
}

/// Whether the process was started with SIGHUP ignored, as `nohup` does. `false` where the system does not say.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// The next signal; none ever comes where the signal is not listened for.
async fn received(signal: &mut Option<Signal>) -> Option<()> {
    match signal {
        Some(signal) => signal.recv().await,
        None => std::future::pending().await,
    }
}

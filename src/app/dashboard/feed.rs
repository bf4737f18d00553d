//! Reads the run again and again, and publishes the parts of the page when one has changed.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::view::FollowedView;
use crate::{
    blocking,
    clock::Clock,
    report::{LivePart, LiveReport, LiveState, live_parts, live_sentence},
};

/// How often the run is read.
const INTERVAL: Duration = Duration::from_secs(1);
/// Reading may take this part of the time: where it is slow, it is done less often.
const TIME_SHARE: u32 = 20;

/// The page at one time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LivePage {
    pub(super) parts: Vec<LivePart>,
    /// Whether the run goes on.
    pub(super) is_running: bool,
    /// Nothing will change any more.
    pub(super) is_last: bool,
}

/// Publishes the page until the run has ended, or until `stop`: then once more.
pub(super) async fn follow(
    mut view: FollowedView,
    clock: Clock,
    publish: watch::Sender<Arc<LivePage>>,
    stop: CancellationToken,
) {
    let mut pause = INTERVAL;
    while !publish.borrow().is_last {
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = clock.sleep(pause) => {}
        }
        let is_stopped = stop.is_cancelled();
        // the server keeps one receiver; reading the whole run once more is for readers only
        if is_stopped && publish.receiver_count() <= 1 {
            return;
        }
        let began = clock.elapsed();
        let reading = blocking::run(move || {
            let report = view.read();
            (view, report)
        });
        let Ok((same_view, report)) = reading.await else { return };
        view = same_view;
        let mut page = match report {
            Ok(report) => page_of(report.as_ref()),
            Err(error) => {
                let mut parts = publish.borrow().parts.clone();
                note(&mut parts, &format!("The ledger cannot be read: {}", error.chain()));
                LivePage { parts, is_running: false, is_last: false }
            }
        };
        page.is_last |= is_stopped;
        publish.send_if_modified(|last| {
            let is_new = **last != page;
            if is_new {
                *last = Arc::new(page);
            }
            is_new
        });
        pause = INTERVAL.max(clock.elapsed().saturating_sub(began) * (TIME_SHARE - 1));
    }
}

/// The page of a run. `None`: it has not begun.
pub(super) fn page_of(report: Option<&LiveReport>) -> LivePage {
    let is_running = report.is_some_and(|report| matches!(report.state, LiveState::Running(_)));
    let has_ended = report.is_some() && !is_running;
    LivePage { parts: live_parts(report), is_running, is_last: has_ended }
}

/// Puts a sentence in the place of the status.
fn note(parts: &mut [LivePart], text: &str) {
    if let Some(status) = parts.iter_mut().find(|part| part.id == "live-status") {
        status.html = live_sentence(text);
    }
}

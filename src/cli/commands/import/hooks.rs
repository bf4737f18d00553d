//! Who is told of an import: monitors, commands, Prometheus, browsers and the service manager.

use std::net::SocketAddr;

use sd_notify::NotifyState;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    app::{
        RunRequest,
        dashboard::{Dashboard, DashboardRequest, FollowedRun},
        metrics::{LastEnd, MetricsFile},
        notify::{Notification, RunResult},
    },
    cli::output::{CommandEnd, NoFields, end_line, service_manager::tell},
    clock::Clock,
    error::Error,
    events::Event,
    ledger::LedgerPlace,
    report::{self, Summary},
};

/// Whom to tell of a run.
pub(super) struct RunHooks {
    pub(super) notification: Notification,
    pub(super) metrics: Option<MetricsFile>,
    /// Where the page of the run is served.
    pub(super) dashboard: Option<SocketAddr>,
}

/// What tells them during a run.
pub(super) struct RunningHooks {
    begun: JoinHandle<()>,
    metrics: Option<JoinHandle<()>>,
    dashboard: Option<Dashboard>,
    stop: CancellationToken,
}

impl RunHooks {
    /// Begins to tell. The run does not wait for it. Without a run there is nothing to measure and no page.
    pub(super) async fn begin(&self, request: Option<&RunRequest>) -> RunningHooks {
        let stop = CancellationToken::new();
        let notification = self.notification.clone();
        let begun = tokio::spawn(async move { warn(&notification.begin().await) });
        let metrics = self.metrics.clone().zip(request).map(|(metrics, request)| {
            let (ledger, stop) = (request.ledger.clone(), stop.clone());
            tokio::spawn(async move { metrics.keep_written(&ledger, &stop).await })
        });
        if let Some(interval) = sd_notify::watchdog_enabled() {
            // it ends with the runtime, which it proves to be alive
            tokio::spawn(async move {
                loop {
                    tell(&[NotifyState::Watchdog]);
                    Clock::real().sleep(interval / 2).await;
                }
            });
        }
        let dashboard = match self.dashboard.zip(request) {
            Some((address, request)) => serve(address, request).await,
            None => None,
        };
        RunningHooks { begun, metrics, dashboard, stop }
    }

    /// Tells how the run ended, also where it could not begin. `account`: it is that of one account of several.
    pub(super) async fn end(
        &self,
        ended: &Result<Summary, Error>,
        account: Option<&str>,
        ledger: Option<&LedgerPlace>,
    ) -> Result<(), Error> {
        let (code, json, text) = match ended {
            Ok(summary) => {
                let end = CommandEnd::of_run("run_ended", summary).of_account(account);
                (summary.exit_code, end_line(&end, summary)?, report::show_summary(summary))
            }
            Err(error) => {
                let (code, reason) = (error.exit_code(), error.chain());
                let end = CommandEnd::failed(code, reason.clone()).of_account(account);
                (code, end_line(&end, &NoFields {})?, reason)
            }
        };
        if let Some(metrics) = &self.metrics {
            let end = LastEnd { code, at: Clock::real().now() };
            if let Err(error) = metrics.write(ledger, Some(&end)) {
                warn(&[format!("--metrics-file: {error}")]);
            }
        }
        self.tell(&RunResult { code, json: &json, text: &text }).await;
        Ok(())
    }

    /// Tells a result.
    pub(super) async fn tell(&self, result: &RunResult<'_>) {
        warn(&self.notification.end(result).await);
    }
}

impl RunningHooks {
    /// Waits until nothing is told any more, so that the end is told last.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        // their panics have been printed, and change nothing about the run
        let _ = self.begun.await;
        if let Some(metrics) = self.metrics {
            let _ = metrics.await;
        }
        if let Some(dashboard) = self.dashboard {
            dashboard.finish().await;
        }
    }
}

/// Serves the page of the run, and says where. A run does not fail for want of a page.
async fn serve(address: SocketAddr, request: &RunRequest) -> Option<Dashboard> {
    let clock = request.destination.clock();
    let dashboard = DashboardRequest {
        address,
        ledger: request.ledger.clone(),
        // two clocks of a process differ by milliseconds
        run: FollowedRun::OfThisProcess(clock.now().plus_ms(-1_000)),
        price: request.price,
        clock: clock.clone(),
    };
    match Dashboard::start(dashboard).await {
        Ok(dashboard) => {
            let text = format!("dashboard: {}", dashboard.url());
            request.events.emit(clock.now(), &Event::Message { text });
            Some(dashboard)
        }
        Err(error) => {
            warn(&[format!("--dashboard: {}; the run is not affected", error.chain())]);
            None
        }
    }
}

fn warn(warnings: &[String]) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

//! The dashboard: a page that follows one run, for browsers. It reads snapshots of the ledger and changes nothing.
//!
//! One task reads the run and publishes the parts of the page; each connection sends the parts that have changed since it last
//! sent. A reader that stalls misses states, and delays nobody.

mod access;
mod feed;
mod server;
mod view;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use self::access::AccessRules;
use super::metrics::MetricsRegistry;
use crate::{
    clock::Clock,
    domain::{Price, UnixMillis},
    error::Error,
    http_server::{self, HttpServer},
    ledger::{LedgerPlace, RunId},
    settings::credentials,
};

/// Readers have this time to receive the last state.
const LAST_STATE_TIME: Duration = Duration::from_secs(1);

/// Which run to follow.
#[derive(Clone, Copy, Debug)]
pub enum FollowedRun {
    /// This one.
    Known(RunId),
    /// The one that this process begins at this time or later.
    OfThisProcess(UnixMillis),
}

/// What to serve, and where.
#[derive(Clone, Debug)]
pub struct DashboardRequest {
    pub address: SocketAddr,
    /// It need not be there yet.
    pub ledger: LedgerPlace,
    pub run: FollowedRun,
    /// What an upload costs, for the metrics.
    pub price: Option<Price>,
    pub clock: Clock,
}

/// A dashboard that is served.
pub struct Dashboard {
    server: HttpServer,
    url: String,
    clock: Clock,
    feed: JoinHandle<()>,
    stop: CancellationToken,
}

impl Dashboard {
    /// Reads the run, listens and serves.
    pub async fn start(request: DashboardRequest) -> Result<Self, Error> {
        let DashboardRequest { address, ledger, run, price, clock } = request;
        let failed = |error| {
            Error::Usage(format!(
                "the dashboard cannot listen on {address}: {error}; give --listen 127.0.0.1:0 (import: --dashboard=127.0.0.1:0) for a \
                 free port"
            ))
        };
        let bound = http_server::bind(address).await.map_err(failed)?;
        let access = AccessRules::new(bound.address(), credentials::fresh_secret)?;
        let url = access.url();
        let mut view = view::FollowedView::new(ledger.clone(), run, clock.clone());
        let first = match run {
            FollowedRun::Known(_) => feed::page_of(view.read()?.as_ref()),
            // the run waits for nothing
            FollowedRun::OfThisProcess(_) => feed::page_of(None),
        };
        let (publish, pages) = watch::channel(Arc::new(first));
        let stop = CancellationToken::new();
        let feed = tokio::spawn(feed::follow(view, clock.clone(), publish, stop.clone()));
        let metrics = MetricsRegistry { price, is_running: false };
        let server = server::serve(bound, server::Served::new(access, pages, ledger, metrics, clock.clone()));
        Ok(Self { server, url, clock, feed, stop })
    }

    /// The address of the page. It holds the token, where one is needed.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Waits until the run has ended, and its readers have its last state.
    pub async fn run_ended(&mut self) {
        // its panic has been printed
        let _ = (&mut self.feed).await;
        self.drain().await;
    }

    /// The run is over, or could not begin: shows its last state and ends.
    pub async fn finish(mut self) {
        self.stop.cancel();
        self.run_ended().await;
    }

    async fn drain(&self) {
        tokio::select! {
            biased;
            () = self.server.drained() => {}
            () = self.clock.sleep(LAST_STATE_TIME) => {}
        }
    }
}

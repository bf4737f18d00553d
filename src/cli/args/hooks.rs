//! Flags for those who are told of a run: commands, monitors, Prometheus and browsers.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;
use url::Url;

use super::values;
use crate::app::{metrics::MetricsFile, notify::Notification};
use crate::domain::Price;

/// Where a dashboard listens without an address. Only this machine reaches it.
pub(in crate::cli) const DASHBOARD_ADDRESS: &str = "127.0.0.1:4848";

/// Whom to tell.
#[derive(Args, Debug)]
#[command(next_help_heading = "Notification")]
pub(in crate::cli) struct HookArgs {
    /// Run this command with sh at the end. Its standard input is the last JSON object of the run.
    ///
    /// It has 5 seconds. Its failure is a warning. It does not see the API key.
    #[arg(long, value_name = "COMMAND", env = "TELECINE_ON_END", hide_env_values = true)]
    on_end: Option<String>,

    /// Ping this address, as of healthchecks.io: URL/start at the start, and URL/EXIT_CODE with a summary at the end.
    #[arg(long, value_name = "URL", env = "TELECINE_PING", hide_env_values = true, value_parser = http_url)]
    ping: Option<Url>,

    /// POST the last JSON object of the run to this address.
    #[arg(long, value_name = "URL", env = "TELECINE_WEBHOOK", hide_env_values = true, value_parser = http_url)]
    webhook: Option<Url>,

    /// Write metrics for the textfile collector of Prometheus into this file, every 15 seconds and at the end.
    #[arg(long, value_name = "PATH", env = "TELECINE_METRICS_FILE")]
    metrics_file: Option<PathBuf>,

    /// Serve a page that follows this run, for browsers [default with the flag: 127.0.0.1:4848].
    ///
    /// It only reads, and ends with the run. If the address is in use, that is a warning. `telecine dashboard` serves the same
    /// page beside a run.
    #[arg(long, value_name = "ADDRESS", env = "TELECINE_DASHBOARD", num_args = 0..=1, value_parser = values::address,
          default_missing_value = DASHBOARD_ADDRESS, require_equals = true)]
    pub(in crate::cli) dashboard: Option<SocketAddr>,
}

/// Never repeats the value: it may hold a secret.
fn http_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| "expected an address that begins with https:// or http://".to_owned())
}

impl HookArgs {
    /// What these flags have beside those of the whole command.
    pub(in crate::cli) fn beside(self, common: &Self) -> Self {
        fn other<T: PartialEq>(own: Option<T>, common: Option<&T>) -> Option<T> {
            own.filter(|own| Some(own) != common)
        }
        Self {
            on_end: other(self.on_end, common.on_end.as_ref()),
            ping: other(self.ping, common.ping.as_ref()),
            webhook: other(self.webhook, common.webhook.as_ref()),
            metrics_file: other(self.metrics_file, common.metrics_file.as_ref()),
            dashboard: other(self.dashboard, common.dashboard.as_ref()),
        }
    }

    pub(in crate::cli) fn notification(&self) -> Notification {
        Notification { on_end: self.on_end.clone(), ping: self.ping.clone(), webhook: self.webhook.clone() }
    }

    pub(in crate::cli) fn metrics(&self, price: Option<Price>) -> Option<MetricsFile> {
        self.metrics_file.clone().map(|path| MetricsFile { path, price })
    }
}

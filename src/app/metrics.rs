//! Metrics of a ledger and of its latest run for Prometheus: as text, and as a file for its textfile collector.

mod of_accounts;

use std::{fmt::Write as _, path::PathBuf, sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use strum::VariantArray as _;
use tokio_util::sync::CancellationToken;

pub use of_accounts::{AccountMetrics, AccountsMetrics};

use crate::{
    blocking,
    clock::Clock,
    domain::{Price, State, UnixMillis},
    error::ExitCode,
    ledger::{LedgerError, LedgerPlace, Snapshot},
    output_file::write_whole,
};

/// How often the file is written during a run.
const INTERVAL: Duration = Duration::from_secs(15);
/// Runs among which the last one is that has ended.
const RUNS_READ: u32 = 5;

/// Where metrics are written, and of what.
#[derive(Clone, Debug)]
pub struct MetricsFile {
    /// The file. It is written as a whole.
    pub path: PathBuf,
    /// What an upload costs, if that is known.
    pub price: Option<Price>,
}

/// A run that has ended.
#[derive(Clone, Copy, Debug)]
pub struct LastEnd {
    /// The exit code of the process.
    pub code: ExitCode,
    /// When it ended.
    pub at: UnixMillis,
}

type Labels = [(&'static str, &'static str); 1];
type Seconds = Gauge<f64, AtomicU64>;

impl MetricsFile {
    /// Writes the file again and again, until `stop`.
    pub async fn keep_written(&self, ledger: &LedgerPlace, stop: &CancellationToken) {
        let clock = Clock::real();
        loop {
            let (own, path) = (self.clone(), ledger.clone());
            // what cannot be written now is tried again, and the last attempt warns
            let _ = blocking::run(move || own.write(Some(&path), None)).await;
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = clock.sleep(INTERVAL) => {}
            }
        }
    }

    /// Writes the file once. `end` is how the run of this process ended. Without a ledger only that is known.
    pub fn write(&self, ledger: Option<&LedgerPlace>, end: Option<&LastEnd>) -> Result<(), String> {
        let registry = MetricsRegistry { price: self.price, is_running: end.is_none() };
        let text = of_collector(&registry.text(ledger, end)?);
        write_whole(&self.path, &text).map_err(|error| format!("{}: {error}", self.path.display()))
    }
}

/// What the metrics are made of beside the ledger.
#[derive(Clone, Copy, Debug)]
pub struct MetricsRegistry {
    /// What an upload costs, if that is known.
    pub price: Option<Price>,
    /// Whether an import runs.
    pub is_running: bool,
}

impl MetricsRegistry {
    /// All metrics as text. `end` is how the run of this process ended.
    pub fn text(&self, ledger: Option<&LedgerPlace>, end: Option<&LastEnd>) -> Result<String, String> {
        self.text_of(None, ledger, end)
    }

    /// The same, where it is that of one account of several.
    fn text_of(
        &self,
        account: Option<&str>,
        ledger: Option<&LedgerPlace>,
        end: Option<&LastEnd>,
    ) -> Result<String, String> {
        let labels = account.map(|account| ("account".into(), account.to_owned().into()));
        let mut registry = Registry::with_labels(labels.into_iter());
        // a ledger that cannot be read has no items; the end of the run says why
        if let Some(snapshot) = ledger.and_then(|path| Snapshot::open(path).ok()) {
            self.register_ledger(&mut registry, &snapshot).map_err(|error| error.to_string())?;
            if end.is_none() {
                register_latest_end(&mut registry, &snapshot).map_err(|error| error.to_string())?;
            }
        }
        if let Some(LastEnd { code, at }) = end {
            register_end(&mut registry, i64::from(code.number()), *at);
        }
        let is_running = Gauge::<i64>::default();
        is_running.set(i64::from(self.is_running));
        registry.register("telecine_running", "Whether an import runs", is_running);
        let mut text = String::new();
        encode(&mut text, &registry).map_err(|error| error.to_string())?;
        Ok(text)
    }

    fn register_ledger(&self, registry: &mut Registry, snapshot: &Snapshot) -> Result<(), LedgerError> {
        let items = Family::<Labels, Gauge>::default();
        let counts = snapshot.state_counts()?;
        for state in State::VARIANTS {
            let count = i64::try_from(counts.of(*state)).unwrap_or(i64::MAX);
            items.get_or_create(&[("state", state.as_str())]).set(count);
        }
        registry.register("telecine_items", "Items of the ledger by state", items);
        let requests = Family::<Labels, Counter>::default();
        let made = snapshot.requests_since(UnixMillis(0))?;
        let open = made.attempts.saturating_sub(made.accepted + made.refused + made.not_sent);
        for (answer, count) in [
            ("accepted", made.accepted),
            ("refused_for_now", made.refused),
            ("not_sent", made.not_sent),
            ("other", open),
        ] {
            requests.get_or_create(&[("answer", answer)]).inc_by(count);
        }
        registry.register("telecine_upload_requests", "Upload requests of all runs by answer", requests);
        let uploads = snapshot.committed_uploads()?;
        let paid = Gauge::<i64>::default();
        paid.set(i64::try_from(uploads).unwrap_or(i64::MAX));
        registry.register("telecine_uploads_paid", "Uploads paid or possibly paid, of all runs", paid);
        if let Some(credits) = self.price.and_then(|price| price.of(uploads).to_string().parse().ok()) {
            let spent = Seconds::default();
            spent.set(credits);
            registry.register(
                "telecine_credits_spent",
                "Credits spent or possibly spent, of all runs",
                spent,
            );
        }
        Ok(())
    }
}

fn register_latest_end(registry: &mut Registry, snapshot: &Snapshot) -> Result<(), LedgerError> {
    let ended = snapshot.runs(RUNS_READ)?.into_iter().find_map(|run| run.exit_code.zip(run.ended_at));
    if let Some((code, at)) = ended {
        register_end(registry, i64::from(code), at);
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a time in seconds")]
fn register_end(registry: &mut Registry, code: i64, at: UnixMillis) {
    let exit_code = Gauge::<i64>::default();
    exit_code.set(code);
    registry.register("telecine_last_exit_code", "Exit code of the last run that ended", exit_code);
    let ended_at = Seconds::default();
    ended_at.set(at.0 as f64 / 1000.0);
    registry.register("telecine_last_end_timestamp_seconds", "When the last run ended", ended_at);
}

/// The text in the older format, which the textfile collector reads: there a counter has the name of its samples.
fn of_collector(open_metrics: &str) -> String {
    let counters: Vec<&str> = open_metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::new();
    for line in open_metrics.lines().filter(|line| *line != "# EOF") {
        let about =
            ["# HELP ", "# TYPE "].into_iter().find_map(|about| Some((about, line.strip_prefix(about)?)));
        match about.and_then(|(about, rest)| Some((about, rest.split_once(' ')?))) {
            Some((about, (name, rest))) if counters.contains(&name) => {
                let _ = writeln!(text, "{about}{name}_total {rest}");
            }
            _ => drop(writeln!(text, "{line}")),
        }
    }
    text
}

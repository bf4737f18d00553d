//! One metrics file for the imports of several accounts: every metric has the label `account`.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use tokio_util::sync::CancellationToken;

use super::{INTERVAL, LastEnd, MetricsRegistry, of_collector};
use crate::{blocking, clock::Clock, domain::Price, ledger::LedgerPlace, output_file::write_whole};

/// The file, and what is known of each account.
pub struct AccountsMetrics {
    path: PathBuf,
    accounts: Mutex<BTreeMap<String, AccountMetrics>>,
}

/// The import of one account.
#[derive(Clone)]
pub struct AccountMetrics {
    /// `None`: no run could be prepared.
    pub ledger: Option<LedgerPlace>,
    pub price: Option<Price>,
    /// `None`: it goes on.
    pub end: Option<LastEnd>,
}

impl AccountsMetrics {
    /// A file of no account yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, accounts: Mutex::default() }
    }

    /// What is known of an account from now on.
    pub fn set(&self, account: &str, metrics: AccountMetrics) {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.insert(account.to_owned(), metrics);
    }

    /// The import of an account has ended.
    pub fn end(&self, account: &str, end: LastEnd) {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(metrics) = accounts.get_mut(account) {
            metrics.end = Some(end);
        }
    }

    /// Writes the file again and again, until `stop`.
    pub async fn keep_written(self: Arc<Self>, stop: CancellationToken) {
        let clock = Clock::real();
        loop {
            let own = Arc::clone(&self);
            // what cannot be written now is tried again, and the last attempt warns
            let _ = blocking::run(move || own.write()).await;
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = clock.sleep(INTERVAL) => {}
            }
        }
    }

    /// Writes the file once.
    pub fn write(&self) -> Result<(), String> {
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut texts = Vec::new();
        for (account, AccountMetrics { ledger, price, end }) in &accounts {
            let registry = MetricsRegistry { price: *price, is_running: end.is_none() };
            let text = registry.text_of(Some(account), ledger.as_ref(), end.as_ref())?;
            texts.push(of_collector(&text));
        }
        write_whole(&self.path, &merged(&texts)).map_err(|error| format!("{}: {error}", self.path.display()))
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// One text of several: a metric is described once, with the samples of all of them.
fn merged(texts: &[String]) -> String {
    /// What describes a metric, and its samples.
    type Metric<'a> = (Vec<&'a str>, Vec<&'a str>);
    let mut metrics: Vec<(&str, Metric<'_>)> = Vec::new();
    for text in texts {
        let mut at = 0;
        for line in text.lines() {
            let described =
                ["# HELP ", "# TYPE ", "# UNIT "].iter().find_map(|about| line.strip_prefix(about));
            let Some(name) = described.and_then(|rest| rest.split(' ').next()) else {
                if let Some((_, (_, samples))) = metrics.get_mut(at) {
                    samples.push(line);
                }
                continue;
            };
            at = metrics.iter().position(|(own, _)| *own == name).unwrap_or(metrics.len());
            if at == metrics.len() {
                metrics.push((name, Metric::default()));
            }
            let about = &mut metrics[at].1.0;
            if !about.contains(&line) {
                about.push(line);
            }
        }
    }
    let mut text = String::new();
    for line in metrics.iter().flat_map(|(_, (about, samples))| about.iter().chain(samples)) {
        let _ = writeln!(text, "{line}");
    }
    text
}

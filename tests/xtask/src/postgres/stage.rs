//! What every suite needs: imports into a ledger in a database, and the judgement by the record of the service and by the ledger.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::{cluster::Cluster, words};
use crate::program::{Ended, Sandbox, Telecine, finish};

/// How long a lease lasts: the shortest that telecine takes.
pub(super) const LEASE: Duration = Duration::from_secs(2);

/// What is open in a ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) pending: u64,
    pub(super) in_doubt: u64,
}

/// A manifest, an account, and a schema for its ledger.
pub(super) struct Stage<'t> {
    pub(super) telecine: &'t Telecine,
    pub(super) sandbox: &'t Sandbox,
    folder: tempfile::TempDir,
    pub(super) name: String,
    rows: usize,
    pub(super) rate: &'static str,
    pub(super) concurrency: &'static str,
    pub(super) cap: Option<&'static str>,
}

impl<'t> Stage<'t> {
    pub(super) fn new(telecine: &'t Telecine, sandbox: &'t Sandbox, rows: usize) -> Result<Self, String> {
        static STAGES: AtomicU64 = AtomicU64::new(0);
        let name = format!("stage_{}", STAGES.fetch_add(1, Ordering::SeqCst));
        let folder = tempfile::tempdir().map_err(words)?;
        let text = (0..rows)
            .fold("url\n".to_owned(), |text, row| text + &format!("https://host/{name}/{row}.mp4\n"));
        fs::write(folder.path().join("m.csv"), text).map_err(words)?;
        Ok(Self { telecine, sandbox, folder, name, rows, rate: "1000/s", concurrency: "1", cap: None })
    }

    pub(super) const fn rows(&self) -> u64 {
        self.rows as u64
    }

    /// A file in the folder of the stage.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn address(&self, port: u16) -> String {
        let (name, lease) = (&self.name, LEASE.as_secs());
        format!("postgres://postgres@127.0.0.1:{port}/postgres?schema={name}&lease={lease}s&sslmode=disable")
    }

    /// A command on the ledger at a port, as a machine with its own state would run it.
    pub(super) fn command(&self, name: &[&str], machine: &str, port: u16, more: &[&str]) -> Command {
        let mut command = self.telecine.command(self.folder.path(), machine, &self.name);
        command.args(name).args(["--ledger", &self.address(port)]).args(more);
        command
    }

    /// An import that is not followed to the end.
    pub(super) fn import(&self, machine: &str, port: u16, more: &[&str]) -> Command {
        let mut command = self.command(&["import", "m.csv"], machine, port, more);
        command.args(["--quiet", "--disk-reserve", "0", "--api-url", &self.sandbox.url]);
        command.args(["--rate", self.rate, "--list-rate", "1000/s", "--get-rate", "1000/s"]);
        command.args(["--concurrency", self.concurrency]);
        command.args(self.cap.iter().flat_map(|cap| ["--cap", cap]));
        command
    }

    /// Runs an import to its end, however it ends.
    pub(super) fn run(&self, machine: &str, port: u16, more: &[&str]) -> Result<Ended, String> {
        finish(&self.import(machine, port, more))
    }

    /// Runs it until every row is final, as far as that needs nobody's decision.
    pub(super) fn run_to_end(&self, machine: &str, port: u16) -> Result<Ended, String> {
        self.run(machine, port, &["--settle-after", "1s", "--wait", "40s"])
    }

    /// What every suite promises: each row at the service once or an open question, what is there known to the ledger by its
    /// number, no limit exceeded, and a sound ledger.
    pub(super) fn judge(&self, cluster: &Cluster) -> Result<Open, String> {
        self.no_video_twice()?;
        let accepted = self.sandbox.accepted(&self.name)?;
        let numbers: BTreeMap<&str, &str> =
            accepted.iter().map(|video| (video.url.as_str(), video.number.as_str())).collect();
        let there =
            format!("SELECT 1 FROM pg_tables WHERE schemaname = '{}' AND tablename = 'attempt'", self.name);
        if cluster.sql(&there)?.is_empty() {
            let is_clean = accepted.is_empty();
            let open = Open { pending: self.rows as u64, in_doubt: 0 };
            return if is_clean { Ok(open) } else { Err("uploads without a ledger".to_owned()) };
        }
        let sql = format!(
            "SELECT id, run, state, sent_at, answered_at - sent_at FROM {0}.attempt, (SELECT sent_at AS at FROM {0}.attempt \
             WHERE state = 'refused' ORDER BY id LIMIT 1) AS refused WHERE sent_at BETWEEN at - 2000 AND at + 500 ORDER BY id",
            self.name
        );
        let around = cluster.sql(&sql)?;
        if !around.is_empty() {
            return Err(format!("the service refused an upload, so a limit was exceeded: {around:?}"));
        }
        let sql = format!(
            "SELECT item.submission::json ->> 'url', item.state, coalesce(attempt.video_no, '') \
             FROM {0}.item LEFT JOIN {0}.attempt ON attempt.id = item.attempt",
            self.name
        );
        let items = cluster.sql(&sql)?;
        let mut open = Open::default();
        let mut known = HashSet::new();
        for item in &items {
            let [url, state, number] = item.as_slice() else { return Err(format!("{item:?}")) };
            known.insert(url.as_str());
            let at_service = numbers.get(url.as_str());
            match (state.as_str(), at_service) {
                ("pending", Some(_)) => {
                    return Err(format!("{url} is at the service, and would be sent again"));
                }
                ("pending", None) => open.pending += 1,
                ("sending" | "in_doubt" | "accepted_unidentified" | "needs_review", _) => open.in_doubt += 1,
                ("accepted" | "indexed", Some(at_service)) if *at_service == number => {}
                (state, _) => {
                    return Err(format!("{url} is {state} as {number}, at the service {at_service:?}"));
                }
            }
        }
        if let Some(url) = numbers.keys().find(|url| !known.contains(**url)) {
            return Err(format!("{url} is at the service, and not in the ledger"));
        }
        if items.len() != self.rows && open.pending == 0 {
            return Err(format!("{} of {} rows are in the ledger", items.len(), self.rows));
        }
        Ok(open)
    }

    /// How many uploads the service accepted.
    pub(super) fn uploads(&self) -> Result<u64, String> {
        Ok(self.sandbox.accepted(&self.name)?.len() as u64)
    }

    /// No row was paid twice.
    pub(super) fn no_video_twice(&self) -> Result<(), String> {
        let accepted = self.sandbox.accepted(&self.name)?;
        let mut seen = HashSet::new();
        match accepted.iter().find(|video| !seen.insert(&video.url)) {
            Some(video) => Err(format!("{} was paid twice", video.url)),
            None => Ok(()),
        }
    }

    /// `telecine ledger check` finds nothing.
    pub(super) fn check_ledger(&self, port: u16) -> Result<(), String> {
        let ended = finish(&self.command(&["ledger", "check"], "reader", port, &[]))?;
        if ended.code == Some(0) { Ok(()) } else { Err(format!("ledger check: {ended:?}")) }
    }
}

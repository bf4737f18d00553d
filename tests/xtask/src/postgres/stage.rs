//! What every suite needs: the service as a process, imports into a ledger in a database, and the judgement by the record of the
//! service and by the ledger.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use serde_json::Value;

use super::{cluster::Cluster, words};

/// A run that takes longer hangs.
const RUN_MAX: &str = "90";
/// How long a lease lasts: the shortest that telecine takes.
pub(super) const LEASE: Duration = Duration::from_secs(2);

/// The program under test: this one under the name of telecine, perhaps with a failpoint.
pub(super) struct Telecine {
    pub(super) binary: PathBuf,
    pub(super) failpoint: Option<String>,
}

impl Telecine {
    /// A command whose variables are only these.
    pub(super) fn command(&self, folder: &Path, machine: &str, key: &str) -> Command {
        let mut command = Command::new(&self.binary);
        self.clean(&mut command, folder, machine, key);
        command
    }

    fn clean(&self, command: &mut Command, folder: &Path, machine: &str, key: &str) {
        let failpoints = self.failpoint.as_ref().map(|name| format!("{name}=return")).unwrap_or_default();
        command
            .current_dir(folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("FAILPOINTS", failpoints)
            .env("MEMORIES_API_KEY", key)
            .env("XDG_STATE_HOME", folder.join(machine))
            .stdin(Stdio::null());
    }
}

/// The service: `telecine sandbox`, without faults, with a record of what it accepted.
pub(super) struct Sandbox {
    process: Child,
    folder: tempfile::TempDir,
    pub(super) url: String,
}

impl Sandbox {
    /// With flags for the limits of each account.
    pub(super) fn start(telecine: &Telecine, limits: &[&str]) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(words)?;
        let mut process = telecine
            .command(folder.path(), "service", "none")
            .env_remove("FAILPOINTS")
            .args(["sandbox", "--listen", "127.0.0.1:0", "--record", "record.jsonl"])
            .args(["--index-delay", "0..1ms", "--answer-delay", "20ms..60ms"])
            .args(limits)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(words)?;
        let mut line = String::new();
        let output = process.stdout.take().ok_or("no output")?;
        BufReader::new(output).read_line(&mut line).map_err(words)?;
        let url = line.split_whitespace().find(|word| word.starts_with("http://"));
        let url = url.ok_or_else(|| format!("the sandbox said {line:?}"))?.to_owned();
        Ok(Self { process, folder, url })
    }

    /// What an account uploaded.
    fn accepted(&self, key: &str) -> Result<Vec<Accepted>, String> {
        let text = fs::read_to_string(self.folder.path().join("record.jsonl")).map_err(words)?;
        let mut accepted = Vec::new();
        for line in text.lines() {
            // the last line may be half written
            let Ok(video) = serde_json::from_str::<Value>(line) else { continue };
            let text = |name: &str| video[name].as_str().unwrap_or_default().to_owned();
            if text("account") == key {
                accepted.push(Accepted { url: text("url"), number: text("video_no") });
            }
        }
        Ok(accepted)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An upload that the service accepted.
struct Accepted {
    url: String,
    number: String,
}

/// What is open in a ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) pending: u64,
    pub(super) in_doubt: u64,
}

/// How a run ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// `None`: it was killed, or it hung.
    pub(super) code: Option<i32>,
    pub(super) stderr: String,
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

/// Runs a command to its end.
pub(super) fn finish(command: &Command) -> Result<Ended, String> {
    let mut bounded = Command::new("timeout");
    bounded.args(["--signal=KILL", RUN_MAX]).arg(command.get_program()).args(command.get_args());
    bounded.env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            bounded.env(name, value);
        }
    }
    if let Some(folder) = command.get_current_dir() {
        bounded.current_dir(folder);
    }
    let output = bounded.stdin(Stdio::null()).output().map_err(words)?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    if stderr.contains("panicked") {
        return Err(format!("it panicked: {stderr}"));
    }
    let code = output.status.code().filter(|code| *code != 137);
    if code.is_none() {
        return Err(format!("it did not end within {RUN_MAX} s: {stderr}"));
    }
    Ok(Ended { code, stderr })
}

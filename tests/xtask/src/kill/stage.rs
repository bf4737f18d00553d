//! A folder, a manifest, an account of its own at a sandbox, and the program under test.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, OnceLock},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};
use telecine::{
    clock::Clock,
    sandbox::{MockService, Policy, SandboxServer, serve},
};

use super::{BINARY, CALLS, Expect, FAILPOINT, Fault, ROWS, RUN_MAX};

/// A disk in memory of some size; gone with the value.
pub(super) struct Mounted(PathBuf);

impl Mounted {
    pub(super) fn new(folder: &Path, kib: u64) -> Result<Self, String> {
        Self::mount(&["-t", "tmpfs", "-o", &format!("size={kib}k"), "tmpfs"], folder)?;
        Ok(Self(folder.to_owned()))
    }

    pub(super) fn resize(&self, kib: u64) -> Result<(), String> {
        Self::mount(&["-o", &format!("remount,size={kib}k")], &self.0)
    }

    fn mount(args: &[&str], folder: &Path) -> Result<(), String> {
        let status = Command::new("mount").args(args).arg(folder).stderr(Stdio::null()).status();
        match status {
            Ok(status) if status.success() => Ok(()),
            _ => Err("a disk in memory may not be mounted here".to_owned()),
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// What is open in a ledger.
pub(super) struct Open {
    pub(super) pending: u64,
    pub(super) in_doubt: u64,
}

/// How a run ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// None when it was killed.
    pub(super) code: Option<i32>,
    pub(super) stderr: String,
}

impl Ended {
    pub(super) fn check(&self, expect: Expect) -> Result<(), String> {
        if self.stderr.contains("panicked") {
            return Err(format!("it panicked: {}", self.stderr));
        }
        match self.code {
            None if expect == Expect::AnyEnd => Ok(()),
            None => {
                Err(format!("it was ended by a signal, or did not end within {RUN_MAX} s: {}", self.stderr))
            }
            // the system's loader failed before the program began
            Some(127) if self.stderr.contains("error while loading shared libraries") => Ok(()),
            Some(0..=12) => Ok(()),
            Some(code) => Err(format!("it ended with {code}: {}", self.stderr)),
        }
    }
}

/// A folder, a manifest, and an account of its own at the sandbox.
pub(super) struct Stage {
    pub(super) folder: tempfile::TempDir,
    key: String,
}

/// A sandbox for many cases.
struct ApiClient {
    mock: Arc<MockService>,
    address: SocketAddr,
    _server: SandboxServer,
    _runtime: tokio::runtime::Runtime,
}

fn service() -> &'static ApiClient {
    static SERVICE: OnceLock<ApiClient> = OnceLock::new();
    SERVICE.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap_or_else(|fault| panic!("no runtime: {fault}"));
        let policy = Policy {
            answer_delay: Duration::ZERO..=Duration::from_millis(2),
            index_delay: Duration::ZERO..=Duration::ZERO,
            ..Policy::default()
        };
        let mock = Arc::new(MockService::new(policy, Clock::real()));
        let own = Arc::clone(&mock);
        let server =
            runtime.block_on(async { serve(own, SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)).await });
        let server = server.unwrap_or_else(|fault| panic!("no sandbox: {fault}"));
        ApiClient { mock, address: server.address(), _server: server, _runtime: runtime }
    })
}

impl Stage {
    pub(super) fn new(seed: u64) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(words)?;
        let rows = (0..ROWS)
            .fold("url\n".to_owned(), |text, row| text + &format!("https://host/{seed}/{row}.mp4\n"));
        fs::write(folder.path().join("m.csv"), rows).map_err(words)?;
        Ok(Self { key: format!("kill-key-{seed}"), folder })
    }

    pub(super) fn run(&self, fault: Option<&Fault>, more: &[&str]) -> Result<Ended, String> {
        let seconds = match fault {
            Some(Fault::KilledAfter(duration)) => format!("{:.6}", duration.as_secs_f64()),
            Some(Fault::Traced(_)) | None => RUN_MAX.to_owned(),
        };
        let mut tracer = Vec::new();
        if let Some(Fault::Traced(inject)) = fault {
            let call = inject.split(':').next().unwrap_or_default();
            tracer = ["strace", "-f", "-qq", "-o", "/dev/null", "-e"].map(str::to_owned).to_vec();
            tracer.extend([format!("trace={call}"), "-e".to_owned(), format!("inject={inject}")]);
        }
        self.run_under(&tracer, &seconds, more)
    }

    /// How often the busiest thread of a run in peace makes each call.
    pub(super) fn count_calls(&self) -> Result<Vec<(String, u64)>, String> {
        let log = self.folder.path().join("calls");
        let tracer = ["strace", "-f", "-qq", "-o", &log.display().to_string(), "-e"].map(str::to_owned);
        let mut tracer = tracer.to_vec();
        tracer.push(format!("trace={}", CALLS.join(",")));
        self.run_under(&tracer, RUN_MAX, &[])?.check(Expect::OwnEnd)?;
        let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        let text = fs::read_to_string(&log).map_err(words)?;
        for line in text.lines() {
            let mut parts = line.split_whitespace();
            let (Some(thread), Some(rest)) = (parts.next(), parts.next()) else { continue };
            let name = rest.split('(').next().unwrap_or_default();
            if CALLS.contains(&name) {
                *counts.entry((name, thread)).or_default() += 1;
            }
        }
        let busiest = CALLS.iter().map(|call| {
            let of_call = counts.iter().filter(|((name, _), _)| name == call).map(|(_, count)| *count);
            (*call, of_call.max().unwrap_or(0))
        });
        Ok(busiest.flat_map(|(call, count)| (1..=count).map(move |nth| (call.to_owned(), nth))).collect())
    }

    fn run_under(&self, tracer: &[String], seconds: &str, more: &[&str]) -> Result<Ended, String> {
        let binary = BINARY.get().ok_or("no binary was named")?;
        let mut command = Command::new("timeout");
        command.args(["--signal=KILL", seconds]).args(tracer).arg(binary);
        command.args(["import", "m.csv", "--ledger", "state/ledger.db", "--quiet"]);
        command.args([
            "--rate",
            "1000/s",
            "--list-rate",
            "1000/s",
            "--concurrency",
            "3",
            "--disk-reserve",
            "0",
        ]);
        command.args(["--api-url", &format!("http://{}", service().address)]);
        if more.is_empty() {
            command.arg("--no-wait")
        } else {
            command.args(more)
        };
        let output = command
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("MEMORIES_API_KEY", &self.key)
            .env("FAILPOINTS", FAILPOINT.get().map(|name| format!("{name}=return")).unwrap_or_default())
            .env("XDG_STATE_HOME", self.folder.path().join("far"))
            .stdin(Stdio::null())
            .output()
            .map_err(words)?;
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        // strace ends as its child did; timeout says 137 for a kill, its own or another
        let code = output.status.code().filter(|code| *code != 137);
        Ok(Ended { code, stderr })
    }

    /// Compares the ledger with what the sandbox took, and says what is open.
    pub(super) fn check(&self) -> Result<Open, String> {
        let mut taken: Vec<String> =
            service().mock.videos_of(&self.key).into_iter().map(|video| video.url).collect();
        taken.sort();
        let count = taken.len();
        taken.dedup();
        if taken.len() != count {
            return Err(format!("O1 paid twice: {count} videos of {} rows", taken.len()));
        }
        let mut open = Open { pending: 0, in_doubt: 0 };
        let path = self.folder.path().join("state/ledger.db");
        let items = items(&path)?;
        for (url, state) in &items {
            match state.as_str() {
                "pending" if taken.contains(url) => {
                    return Err(format!("O1 next: {url} is pending and at the service"));
                }
                "pending" => open.pending += 1,
                "sending" | "in_doubt" | "accepted_unidentified" | "needs_review" => open.in_doubt += 1,
                _ => {}
            }
        }
        match taken.iter().find(|url| !items.iter().any(|(own, _)| own == *url)) {
            Some(url) => Err(format!("O2 orphan: {url} is at the service and not in the ledger")),
            None => Ok(open),
        }
    }
}

/// The items of a ledger that was cut at any time. Empty: it has no tables yet.
pub(super) fn items(path: &Path) -> Result<Vec<(String, String)>, String> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    let connection = Connection::open_with_flags(path, flags).map_err(words)?;
    let Ok(mut statement) = connection.prepare("SELECT submission ->> '$.url', state FROM item") else {
        return Ok(Vec::new());
    };
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(words)?;
    rows.collect::<Result<_, _>>().map_err(words)
}

pub(super) fn words(fault: impl std::fmt::Display) -> String {
    fault.to_string()
}

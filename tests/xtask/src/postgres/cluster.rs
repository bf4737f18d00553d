//! Throw-away clusters of PostgreSQL: each in a temporary folder, on a free port of loopback, stopped with the value.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::words;
use crate::suite;

/// Where Debian and others put what the server needs, beside the folders of `PATH`.
const FOLDERS: &[&str] = &["/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt/postgresql"];
/// What a folder must have.
const PROGRAMS: [&str; 4] = ["initdb", "pg_ctl", "postgres", "pg_basebackup"];
/// The user who runs the server where this program runs as root, which the server refuses.
const USER: &str = "postgres";

/// The folder of `initdb` and `pg_ctl`; of several versions the newest.
pub(crate) fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    for folder in FOLDERS {
        let Ok(versions) = fs::read_dir(folder) else { continue };
        let mut versions: Vec<PathBuf> =
            versions.flatten().map(|version| version.path().join("bin")).collect();
        versions.sort();
        folders.extend(versions.into_iter().rev());
    }
    let has_all = |folder: &PathBuf| PROGRAMS.iter().all(|program| folder.join(program).exists());
    folders.into_iter().find(has_all)
}

/// A server with its data.
pub(crate) struct Cluster {
    folder: tempfile::TempDir,
    programs: PathBuf,
    pub(crate) port: u16,
}

impl Cluster {
    /// Makes a cluster, and starts it.
    pub(super) fn new() -> Result<Self, String> {
        // a busy disk would hold up renewals of a short lease
        Self::made(Self::empty()?)
    }

    /// Makes a cluster with its data in this folder, for measurements.
    pub(crate) fn on_disk(folder: &Path) -> Result<Self, String> {
        Self::made(Self::empty_in(folder)?)
    }

    fn made(cluster: Self) -> Result<Self, String> {
        let data = cluster.data();
        cluster.run("initdb", &["-D", &data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8"])?;
        let settings = "listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\nmax_connections = 200\n\
                        shared_buffers = 16MB\nwal_keep_size = 64MB\nmin_wal_size = 32MB\nautovacuum_naptime = 10min\n";
        cluster.add_settings(settings)?;
        cluster.start()?;
        Ok(cluster)
    }

    /// A standby that follows this cluster without delaying it.
    pub(super) fn standby(&self) -> Result<Self, String> {
        let standby = Self::empty()?;
        let (data, port) = (standby.data(), self.port.to_string());
        let from = ["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-D", &data, "-R", "-X", "stream"];
        standby.run("pg_basebackup", &[&from[..], &["-c", "fast", "--no-sync"]].concat())?;
        standby.start()?;
        Ok(standby)
    }

    fn empty() -> Result<Self, String> {
        Self::empty_in(&suite::scratch())
    }

    fn empty_in(folder: &Path) -> Result<Self, String> {
        let programs = programs().ok_or("initdb is not here")?;
        let folder = tempfile::tempdir_in(folder).map_err(words)?;
        if is_root() {
            let owned = Command::new("chown").arg(USER).arg(folder.path()).status().map_err(words)?;
            if !owned.success() {
                return Err(format!("there is no user {USER} to run the server"));
            }
        }
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(words)?;
        let port = listener.local_addr().map_err(words)?.port();
        Ok(Self { folder, programs, port })
    }

    pub(super) fn add_settings(&self, settings: &str) -> Result<(), String> {
        let file = Path::new(&self.data()).join("postgresql.conf");
        let mut text = fs::read_to_string(&file).map_err(words)?;
        text.push_str(settings);
        fs::write(&file, text).map_err(words)
    }

    pub(super) fn start(&self) -> Result<(), String> {
        let (data, port) = (self.data(), format!("-p {}", self.port));
        let log = self.folder.path().join("log").display().to_string();
        self.run("pg_ctl", &["start", "-s", "-w", "-D", &data, "-l", &log, "-o", &port])
            .map_err(|fault| format!("{fault}: {}", fs::read_to_string(&log).unwrap_or_default()))
    }

    /// Stops it without a checkpoint, as a crash does.
    pub(super) fn crash(&self) -> Result<(), String> {
        self.run("pg_ctl", &["stop", "-s", "-m", "immediate", "-D", &self.data()])
    }

    /// Makes a standby accept changes.
    pub(super) fn promote(&self) -> Result<(), String> {
        self.run("pg_ctl", &["promote", "-s", "-w", "-D", &self.data()])
    }

    pub(super) fn reload(&self) -> Result<(), String> {
        self.run("pg_ctl", &["reload", "-s", "-D", &self.data()])
    }

    /// Runs a statement. Rows are lines, and columns are separated by tabs.
    pub(super) fn sql(&self, sql: &str) -> Result<Vec<Vec<String>>, String> {
        let output = Command::new("psql")
            .args(["-X", "-A", "-t", "-q", "-F", "\t", "-v", "ON_ERROR_STOP=1"])
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "postgres", "-d", "postgres"])
            .args(["-c", sql])
            .env("PGCONNECT_TIMEOUT", "5")
            .output()
            .map_err(words)?;
        if !output.status.success() {
            return Err(format!("{sql}: {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
    }

    /// One number; 0 where there is no row.
    pub(crate) fn number(&self, sql: &str) -> Result<u64, String> {
        Ok(self.sql(sql)?.first().and_then(|row| row.first()?.parse().ok()).unwrap_or(0))
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    fn run(&self, program: &str, args: &[&str]) -> Result<(), String> {
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args([format!("--reuid={USER}"), format!("--regid={USER}"), "--clear-groups".to_owned()]);
            command.arg(self.programs.join(program));
            command
        } else {
            Command::new(self.programs.join(program))
        };
        // a server keeps the streams of whoever started it, so they lead nowhere
        let log = self.folder.path().join(format!("{program}.log"));
        let file = fs::File::create(&log).map_err(words)?;
        let status = command
            .args(args)
            .current_dir("/")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .status()
            .map_err(|fault| format!("{program}: {fault}"))?;
        if status.success() {
            return Ok(());
        }
        Err(format!("{program}: {status}: {}", fs::read_to_string(&log).unwrap_or_default().trim()))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // it may be stopped already
        let _ = self.crash();
    }
}

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

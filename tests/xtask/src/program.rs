//! The program under test, the service as a process, and runs that must end.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

/// A run that takes longer hangs.
const RUN_MAX: &str = "90";

/// The program under test: this one under the name of telecine, perhaps with a failpoint.
pub(crate) struct Telecine {
    pub(crate) binary: PathBuf,
    pub(crate) failpoint: Option<String>,
}

impl Telecine {
    /// A command whose variables are only these.
    pub(crate) fn command(&self, folder: &Path, machine: &str, key: &str) -> Command {
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
pub(crate) struct Sandbox {
    process: Child,
    folder: tempfile::TempDir,
    pub(crate) url: String,
}

impl Sandbox {
    /// With flags for the limits of each account.
    pub(crate) fn start(telecine: &Telecine, limits: &[&str]) -> Result<Self, String> {
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

    /// How many videos it accepted, of all accounts.
    pub(crate) fn count(&self) -> Result<u64, String> {
        let record = fs::read(self.folder.path().join("record.jsonl")).map_err(words)?;
        Ok(record.iter().filter(|byte| **byte == b'\n').count() as u64)
    }

    /// What an account uploaded.
    pub(crate) fn accepted(&self, key: &str) -> Result<Vec<Accepted>, String> {
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
pub(crate) struct Accepted {
    pub(crate) url: String,
    pub(crate) number: String,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None`: it was killed, or it hung.
    pub(crate) code: Option<i32>,
    pub(crate) stderr: String,
}

/// Runs a command to its end.
pub(crate) fn finish(command: &Command) -> Result<Ended, String> {
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

pub(crate) fn words(fault: impl std::fmt::Display) -> String {
    fault.to_string()
}

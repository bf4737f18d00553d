//! The real binary against the real sandbox, over loopback, for a minute.

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

/// What came of it.
pub(super) struct Tried {
    accepted: usize,
    allowed: u64,
    refused: u64,
}

const RATE: u64 = 20;
/// In percent.
const USED_MIN: f64 = 97.0;

impl Tried {
    fn used(&self) -> f64 {
        super::percent(self.accepted as u64, self.allowed)
    }

    pub(super) fn is_good(&self) -> bool {
        self.refused == 0 && self.used() >= USED_MIN
    }

    pub(super) fn words(&self) -> String {
        let verdict = if self.is_good() { "" } else { "  FAILED" };
        format!(
            "{} of {} accepted, {:.2} % used, {} refused{verdict}",
            self.accepted,
            self.allowed,
            self.used(),
            self.refused
        )
    }
}

pub(super) fn run_case(binary: &Path, seconds: u64) -> Result<Tried, String> {
    let words = |error: std::io::Error| format!("{}: {error}", binary.display());
    let binary = fs::canonicalize(binary).map_err(words)?;
    let folder = tempfile::tempdir().map_err(words)?;
    let record = folder.path().join("record.jsonl");
    let mut manifest = "url\n".to_owned();
    for row in 0..RATE * (seconds + 20) {
        let _ = writeln!(manifest, "https://host/{row}.mp4");
    }
    fs::write(folder.path().join("m.csv"), manifest).map_err(words)?;
    let mut sandbox = Command::new(&binary)
        .args(["sandbox", "--listen", "127.0.0.1:0", "--rate", "20/s", "--way", "1ms..20ms", "--record"])
        .arg(&record)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(words)?;
    let mut printed = String::new();
    if let Some(stdout) = sandbox.stdout.take() {
        BufReader::new(stdout).read_line(&mut printed).map_err(words)?;
    }
    let address = printed.split_whitespace().last().unwrap_or_default().to_owned();
    let imported = Command::new(&binary)
        .current_dir(folder.path())
        .env("MEMORIES_API_KEY", "any")
        .args([
            "import",
            "m.csv",
            "--api-url",
            &address,
            "--ledger",
            "l.db",
            "--rate",
            "20/s",
            "--no-wait",
            "--json",
        ])
        .args(["--for", &format!("{}s", seconds + 3)])
        .output();
    let ended = sandbox.kill().and_then(|()| sandbox.wait());
    let imported = imported.map_err(words)?;
    ended.map_err(words)?;
    let printed = String::from_utf8_lossy(&imported.stdout);
    let last: Value = printed
        .lines()
        .last()
        .and_then(|line| serde_json::from_str(line).ok())
        .ok_or_else(|| format!("no summary: {}", String::from_utf8_lossy(&imported.stderr)))?;
    let refused = last["quota"]["refused"].as_u64().ok_or("the summary counts no refusals")?;
    let timestamps: Vec<i64> = fs::read_to_string(&record)
        .map_err(words)?
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok()?["created_at"].as_i64())
        .collect();
    let first = timestamps.iter().min().copied().ok_or("nothing was accepted")?;
    let until = first + i64::try_from(seconds * 1000).unwrap_or(i64::MAX);
    let accepted = timestamps.iter().filter(|at| **at < until).count();
    Ok(Tried { accepted, allowed: RATE * seconds, refused })
}

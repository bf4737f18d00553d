//! The real binary against the real sandbox, over loopback, in real time.

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

/// One service and one import.
pub(super) struct Case {
    /// What the service allows, and how it counts.
    service: &'static [&'static str],
    /// What the import is told.
    rate: &'static str,
    /// Uploads that this allows in a second.
    per_second: f64,
}

/// A service that counts in any second over a network with jitter, and services that demand a distance.
pub(super) const CASES: &[Case] = &[
    Case { service: &["--rate", "20/s", "--way", "1ms..20ms"], rate: "20/s", per_second: 20.0 },
    Case { service: &["--rate", "2/s", "--spacing"], rate: "2/s", per_second: 2.0 },
    Case { service: &["--rate", "2/s", "--spacing"], rate: "120/min", per_second: 2.0 },
    Case { service: &["--rate", "5/s", "--spacing"], rate: "5/s", per_second: 5.0 },
    Case { service: &["--rate", "50/s", "--spacing"], rate: "45/s", per_second: 45.0 },
];
/// In percent.
const USED_MIN: f64 = 97.0;
/// Rows more than can be sent.
const ROWS_SPARE: u64 = 400;

/// What came of a case.
pub(super) struct Tried {
    what: String,
    accepted: usize,
    allowed: u64,
    refused: u64,
}

impl Tried {
    fn used(&self) -> f64 {
        super::percent(self.accepted as u64, self.allowed)
    }

    pub(super) fn is_good(&self) -> bool {
        self.refused == 0 && self.used() >= USED_MIN
    }

    pub(super) fn words(&self) -> String {
        let verdict = if self.is_good() { "" } else { "  FAILED" };
        let Self { what, accepted, allowed, refused } = self;
        format!(
            "{what:<45} {accepted} of {allowed} accepted, {:.2} % used, {refused} refused{verdict}",
            self.used()
        )
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "small counts"
)]
fn count(per_second: f64, seconds: u64) -> u64 {
    (per_second * seconds as f64) as u64
}

pub(super) fn run_case(binary: &Path, seconds: u64, case: &Case) -> Result<Tried, String> {
    let words = |error: std::io::Error| format!("{}: {error}", binary.display());
    let binary = fs::canonicalize(binary).map_err(words)?;
    let folder = tempfile::tempdir().map_err(words)?;
    let record = folder.path().join("record.jsonl");
    let mut manifest = "url\n".to_owned();
    let allowed = count(case.per_second, seconds);
    for row in 0..allowed + ROWS_SPARE {
        let _ = writeln!(manifest, "https://host/{row}.mp4");
    }
    fs::write(folder.path().join("m.csv"), manifest).map_err(words)?;
    let mut sandbox = Command::new(&binary)
        .args(["sandbox", "--listen", "127.0.0.1:0", "--record"])
        .arg(&record)
        .args(case.service)
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
        .env("MEMORIES_API_KEY", "any-key-0")
        .env("XDG_STATE_HOME", folder.path())
        .args([
            "import",
            "m.csv",
            "--api-url",
            &address,
            "--ledger",
            "l.db",
            "--rate",
            case.rate,
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
    let what = format!("sandbox {}, import --rate {}", case.service.join(" "), case.rate);
    Ok(Tried { what, accepted, allowed, refused })
}

//! All lanes, small, as every change runs them; and every planted bug, which some lane must see.
//!
//! Each lane is a process of its own: planted bugs and the disk in memory belong to a whole process.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    time::Instant,
};

use telecine::failpoints::Failpoint;

use crate::{
    kill,
    state_counts::{self, Part},
};

/// Everything that ever failed, first.
const REGRESSIONS: &str = "tests/xtask/regressions.txt";

/// What every change runs: a lane, how much of it, and how many at a time.
const LANES: &[(&str, u64, u64)] = &[
    ("manifests", 5, 1),
    ("fuzz", 3_000, 2),
    ("wire", 7, 2),
    ("hostile", 282, 2),
    ("power", 20, 2),
    ("kill", 520, 3),
    ("error", 310, 6),
    ("disk", 12, 1),
    ("simulate", 10_000, 2),
];

/// Which lane sees which bug, within how many seeds.
const SEEN_BY: &[(Failpoint, &str, u64)] = &[
    (Failpoint::SynchronousNormal, "power", 4),
    (Failpoint::SendBeforeCommit, "kill", 200),
    (Failpoint::ResendOnTimeout, "simulate", 400),
    (Failpoint::RedirectsFollowed, "wire", 7),
    (Failpoint::ClientRetries, "wire", 7),
    (Failpoint::BindAnyCandidate, "simulate", 400),
    (Failpoint::AbsentFromIncomplete, "hostile", 282),
    (Failpoint::DroppedSendPending, "simulate", 1_500),
    (Failpoint::WindowWithoutDelta, "simulate", 1_500),
    (Failpoint::LimiterInMemory, "simulate", 1_500),
    (Failpoint::LeaseExpiryPending, "simulate", 1_500),
    (Failpoint::UnterminatedQuote, "manifests", 5),
];

/// Runs every lane, or plants every bug; false when anything was not as it must be.
pub(crate) fn run(what: &str, is_recorded: bool) -> Result<bool, String> {
    let started = Instant::now();
    let mut is_good = true;
    if what == "ci" {
        is_good &= regressions()?;
        for (endpoint, count, threads) in LANES {
            is_good &= lane_of(
                endpoint,
                &["--count", &count.to_string(), "--threads", &threads.to_string()],
                is_recorded,
            )?;
        }
    }
    is_good &= failpoints(is_recorded)?;
    println!(
        "\nreliability {what}: {} in {} s",
        if is_good { "passed" } else { "FAILED" },
        started.elapsed().as_secs()
    );
    Ok(is_good)
}

/// Whether a lane can be run on this machine; why not is said.
fn can_run(endpoint: &str) -> bool {
    let possible = match endpoint {
        "kill" | "error" => kill::can_trace(),
        "disk" => kill::can_mount(),
        _ => Ok(()),
    };
    possible.inspect_err(|why| println!("{endpoint}: skipped, {why}")).is_ok()
}

fn lane_of(endpoint: &str, args: &[&str], is_recorded: bool) -> Result<bool, String> {
    if !can_run(endpoint) {
        return Ok(true);
    }
    let mut command = Command::new(std::env::current_exe().map_err(words)?);
    command.args(["reliability", endpoint]).args(args);
    command.env("TMPDIR", scratch());
    if let Some(binary) = std::env::var_os("TELECINE_BINARY") {
        command.arg("--binary").arg(binary);
    }
    if is_recorded {
        command.arg("--record");
    }
    Ok(command.status().map_err(words)?.success())
}

/// Where scratch files go: into memory, if there is such a place, since nothing here tests the disk of this machine.
fn scratch() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let is_usable = tempfile::tempfile_in(&memory).is_ok();
    if is_usable { memory } else { std::env::temp_dir() }
}

/// Seeds that failed once: `lane seed` and why, one a line.
fn regressions() -> Result<bool, String> {
    let mut is_good = true;
    for line in fs::read_to_string(REGRESSIONS).map_err(words)?.lines() {
        let mut parts = line.split_whitespace();
        let (Some(endpoint), Some(seed)) = (parts.next(), parts.next()) else { continue };
        if !endpoint.starts_with('#') {
            is_good &= lane_of(endpoint, &["--from", seed, "--count", "1"], false)?;
        }
    }
    Ok(is_good)
}

/// Plants every bug in turn: a lane that stays green is the failure.
fn failpoints(is_recorded: bool) -> Result<bool, String> {
    let mut part = Part::default();
    let started = Instant::now();
    for (bug, endpoint, count) in SEEN_BY {
        if !can_run(endpoint) {
            continue;
        }
        let output = Command::new(std::env::current_exe().map_err(words)?)
            .env("TMPDIR", scratch())
            .args([
                "reliability",
                endpoint,
                "--plant",
                &(*bug as u64).to_string(),
                "--count",
                &count.to_string(),
            ])
            .stderr(Stdio::inherit())
            .output()
            .map_err(words)?;
        part.add("bugs planted", 1);
        let said = String::from_utf8_lossy(&output.stdout);
        let sign = said.lines().nth(1).unwrap_or_default().trim().chars().take(110).collect::<String>();
        // a lane that broke has seen nothing
        if output.status.code() == Some(1) && !said.contains("panicked") {
            part.add("bugs seen", 1);
            println!("planted {bug:?}: {endpoint} saw it: {sign}");
        } else {
            println!("planted {bug:?}: {endpoint} did NOT see it ({}): {said}", output.status);
            part.failures.push(format!("{bug:?} was not seen"));
        }
    }
    if is_recorded {
        state_counts::record("planted", &part, &state_counts::commit(), started.elapsed().as_secs())?;
    }
    Ok(part.failures.is_empty())
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

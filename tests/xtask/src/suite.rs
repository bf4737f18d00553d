//! All suites with small budgets, as every change runs them; and every failpoint, which one suite must see.
//!
//! Each suite is a process of its own: failpoints and the disk in memory belong to a whole process.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    time::Instant,
};

use crate::{
    kill,
    state_counts::{self, Part},
};

/// Everything that ever failed; it runs first.
const REGRESSIONS: &str = "tests/xtask/regressions.txt";

/// What every change runs: a suite, the number of its seeds, and the number of threads.
const SUITES: &[(&str, u64, u64)] = &[
    ("manifests", 5, 1),
    ("fuzz", 3_000, 2),
    ("wire", 7, 2),
    ("hostile", 282, 2),
    ("power", 12, 2),
    ("kill", 400, 3),
    ("error", 310, 6),
    ("disk", 12, 1),
    ("simulate", 2_000, 2),
];

/// The failpoints of the library, each a mistake that importers really make: the suite that must see it, and the number
/// of seeds within which it must.
const SEEN_BY: &[(&str, &str, u64)] = &[
    ("commits_not_synced", "power", 4),
    ("reported_before_commit", "kill", 200),
    ("in_doubt_sent_again", "simulate", 400),
    ("redirects_followed", "wire", 7),
    ("client_retries", "wire", 7),
    ("any_candidate_bound", "simulate", 400),
    ("incomplete_listing_accepted", "hostile", 282),
    ("in_flight_at_stop_not_sent", "simulate", 1_500),
    ("open_requests_not_counted", "simulate", 1_500),
    ("earlier_uploads_not_counted", "simulate", 1_500),
    ("sending_is_pending_after_crash", "simulate", 1_500),
    ("unterminated_quote_accepted", "manifests", 5),
];

/// Runs every suite, or every failpoint only. False: something failed.
pub(crate) fn run(what: &str, is_recorded: bool) -> Result<bool, String> {
    let started = Instant::now();
    let mut is_good = true;
    if what == "ci" {
        is_good &= regressions()?;
        for (suite, count, threads) in SUITES {
            is_good &= run_suite(
                suite,
                &["--count", &count.to_string(), "--threads", &threads.to_string()],
                is_recorded,
            )?;
        }
    }
    is_good &= each_failpoint(is_recorded)?;
    println!(
        "\nreliability {what}: {} in {} s",
        if is_good { "passed" } else { "FAILED" },
        started.elapsed().as_secs()
    );
    Ok(is_good)
}

/// Whether a suite can run on this machine; it says why not.
fn can_run(suite: &str) -> bool {
    let possible = match suite {
        "kill" | "error" => kill::can_trace(),
        "disk" => kill::can_mount(),
        _ => Ok(()),
    };
    possible.inspect_err(|why| println!("{suite}: skipped, {why}")).is_ok()
}

fn run_suite(suite: &str, args: &[&str], is_recorded: bool) -> Result<bool, String> {
    if !can_run(suite) {
        return Ok(true);
    }
    let mut command = Command::new(std::env::current_exe().map_err(words)?);
    command.args(["reliability", suite]).args(args);
    command.env("TMPDIR", scratch());
    if let Some(binary) = std::env::var_os("TELECINE_BINARY") {
        command.arg("--binary").arg(binary);
    }
    if is_recorded {
        command.arg("--record");
    }
    Ok(command.status().map_err(words)?.success())
}

/// Where temporary files go: into memory if possible, since nothing here tests the disk of this machine.
pub(crate) fn scratch() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let is_usable = tempfile::tempfile_in(&memory).is_ok();
    if is_usable { memory } else { std::env::temp_dir() }
}

/// Seeds that failed once: `suite seed` and the cause, one per line.
fn regressions() -> Result<bool, String> {
    let mut is_good = true;
    for line in fs::read_to_string(REGRESSIONS).map_err(words)?.lines() {
        let mut parts = line.split_whitespace();
        let (Some(suite), Some(seed)) = (parts.next(), parts.next()) else { continue };
        if !suite.starts_with('#') {
            is_good &= run_suite(suite, &["--from", seed, "--count", "1"], false)?;
        }
    }
    Ok(is_good)
}

/// Sets every failpoint in turn: a suite that passes nevertheless is the failure.
fn each_failpoint(is_recorded: bool) -> Result<bool, String> {
    let mut part = Part::default();
    let started = Instant::now();
    for (failpoint, suite, count) in SEEN_BY {
        if !can_run(suite) {
            continue;
        }
        let output = Command::new(std::env::current_exe().map_err(words)?)
            .env("TMPDIR", scratch())
            .args(["reliability", suite, "--failpoint", failpoint, "--count", &count.to_string()])
            .stderr(Stdio::inherit())
            .output()
            .map_err(words)?;
        part.add("failpoints set", 1);
        let output_text = String::from_utf8_lossy(&output.stdout);
        let sign =
            output_text.lines().nth(1).unwrap_or_default().trim().chars().take(110).collect::<String>();
        // a suite that panicked has seen nothing
        if output.status.code() == Some(1) && !output_text.contains("panicked") {
            part.add("failpoints seen", 1);
            println!("failpoint {failpoint}: {suite} saw it: {sign}");
        } else {
            println!("failpoint {failpoint}: {suite} did NOT see it ({}): {output_text}", output.status);
            part.failures.push(format!("{failpoint} was not seen"));
        }
    }
    if is_recorded {
        state_counts::record("failpoints", &part, &state_counts::commit(), started.elapsed().as_secs())?;
    }
    Ok(part.failures.is_empty())
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

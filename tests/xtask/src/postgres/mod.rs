//! `cargo xtask postgres`: the ledger in PostgreSQL, attacked. It starts servers of its own.

mod cluster;
mod failover;
mod processes;
mod proxy;
mod replication;
mod reports;
mod running;
mod stage;
mod wire;

use std::{
    os::unix::fs::symlink,
    path::PathBuf,
    process::{Command, ExitStatus},
    sync::{Mutex, PoisonError},
    time::Instant,
};

use crate::{
    program::{Telecine, words},
    state_counts::{self, Part},
};
pub(crate) use cluster::{Cluster, programs};

const USAGE: &str = "usage: cargo xtask postgres [SUITE..] [--moments N] [--seed S] [--every N] [--threads N] [--failpoint NAME] [--record]
       suites: ledger reports wire processes failover replication failpoints (without one: all of them)";

/// Each suite, in the order in which they run.
const SUITES: &[&str] = &["ledger", "reports", "wire", "processes", "failover", "replication", "failpoints"];

/// Each mistake that is planted: the failpoint, the suite that must see it, and how much of it is enough.
const SEEN_BY: &[(&str, &str, &[&str])] = &[
    ("lost_lease_is_trusted", "processes", &["--moments", "64"]),
    ("unknown_commit_is_trusted", "wire", &["--every", "1000"]),
    ("replication_is_not_checked", "replication", &["--moments", "20"]),
    ("lease_is_not_renewed", "wire", &["--every", "1000"]),
];

/// How much of each suite is run.
#[derive(Clone, Debug)]
struct Amount {
    /// How often a process, the server or the network is disturbed.
    moments: u64,
    seed: u64,
    /// The wire is cut at one message of so many.
    every: u64,
    threads: usize,
}

pub(crate) fn run(mut args: impl Iterator<Item = String>) -> Result<bool, String> {
    let mut amount = Amount { moments: 20, seed: 1, every: 1, threads: 4 };
    let (mut suites, mut failpoint, mut is_recorded) = (Vec::new(), None, false);
    while let Some(arg) = args.next() {
        let mut number = || {
            let value = args.next().and_then(|text| text.parse::<u64>().ok());
            value.ok_or_else(|| format!("{arg} needs a number"))
        };
        match arg.as_str() {
            "--moments" => amount.moments = number()?,
            "--seed" => amount.seed = number()?,
            "--every" => amount.every = number()?.max(1),
            "--threads" => amount.threads = usize::try_from(number()?).unwrap_or(1).max(1),
            "--failpoint" => failpoint = Some(args.next().ok_or("--failpoint needs a name")?),
            "--record" => is_recorded = true,
            suite if SUITES.contains(&suite) => suites.push(suite.to_owned()),
            _ => return Err(USAGE.to_owned()),
        }
    }
    if cluster::programs().is_none() {
        println!(
            "postgres: SKIPPED, initdb and pg_ctl are not here; install PostgreSQL (apt-get install postgresql)"
        );
        return Ok(true);
    }
    if suites.is_empty() {
        suites = SUITES.iter().map(|suite| (*suite).to_owned()).collect();
    }
    // this program is telecine under its name
    let folder = tempfile::tempdir().map_err(words)?;
    let binary = folder.path().join("telecine");
    symlink(std::env::current_exe().map_err(words)?, &binary).map_err(words)?;
    let telecine = Telecine { binary, failpoint };
    // the compiler leaves no time to others, and the others mostly wait: for leases and for rates
    let (alone, beside): (Vec<String>, Vec<String>) = suites.into_iter().partition(|suite| suite == "ledger");
    let mut is_good = true;
    for suite in alone {
        is_good &= run_suite(&suite, &telecine, &amount, is_recorded)?;
    }
    std::thread::scope(|scope| {
        let run_one = |suite: String| {
            let (telecine, amount) = (&telecine, &amount);
            scope.spawn(move || run_suite(&suite, telecine, amount, is_recorded))
        };
        let threads: Vec<_> = beside.into_iter().map(run_one).collect();
        for thread in threads {
            is_good &= thread.join().map_err(|_| "a suite panicked".to_owned())??;
        }
        Ok(is_good)
    })
}

static RECORDING: Mutex<()> = Mutex::new(());

fn run_suite(suite: &str, telecine: &Telecine, amount: &Amount, is_recorded: bool) -> Result<bool, String> {
    let started = Instant::now();
    let part = match suite {
        "ledger" => ledger_tests()?,
        "reports" => reports::run(telecine, amount)?,
        "wire" => wire::run(telecine, amount)?,
        "processes" => processes::run(telecine, amount)?,
        "failover" => failover::run(telecine, amount)?,
        "replication" => replication::run(telecine, amount)?,
        "failpoints" => each_failpoint(amount)?,
        _ => return Err(USAGE.to_owned()),
    };
    let seconds = started.elapsed().as_secs();
    // the card is a file that one suite at a time changes
    let _one = RECORDING.lock().unwrap_or_else(PoisonError::into_inner);
    println!("postgres {suite}: {:?} in {seconds} s, {} failures", part.counts, part.failures.len());
    for failure in &part.failures {
        println!("  {failure}");
    }
    if is_recorded {
        state_counts::record(&format!("postgres {suite}"), &part, &state_counts::commit(), seconds)?;
    }
    Ok(part.failures.is_empty())
}

/// Plants every mistake in turn: a suite that passes nevertheless is the failure.
fn each_failpoint(amount: &Amount) -> Result<Part, String> {
    let mut part = Part::default();
    for (failpoint, suite, more) in SEEN_BY {
        let output = Command::new(std::env::current_exe().map_err(words)?)
            .args(["postgres", suite, "--failpoint", failpoint, "--threads", &amount.threads.to_string()])
            .args(*more)
            .output()
            .map_err(words)?;
        part.add("failpoints set", 1);
        let text = String::from_utf8_lossy(&output.stdout);
        let sign: String = text.lines().nth(1).unwrap_or_default().trim().chars().take(160).collect();
        // a suite that could not run has seen nothing
        if output.status.code() == Some(1) && !sign.is_empty() {
            part.add("failpoints seen", 1);
            println!("failpoint {failpoint}: {suite} saw it: {sign}");
        } else {
            let errors = String::from_utf8_lossy(&output.stderr);
            println!("failpoint {failpoint}: {suite} did NOT see it ({}): {text}{errors}", output.status);
            part.failures.push(format!("{failpoint} was not seen"));
        }
    }
    Ok(part)
}

/// The tests of the ledger, each in a schema of its own.
fn ledger_tests() -> Result<Part, String> {
    let cluster = Cluster::new()?;
    let address = format!("postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable", cluster.port);
    let cargo = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    let output = Command::new(cargo)
        .args(["test", "--locked", "--quiet", "--lib", "ledger"])
        .env("TELECINE_TEST_POSTGRES", address)
        .output()
        .map_err(words)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut part = Part::default();
    let passed = text.lines().find_map(|line| line.strip_prefix("test result: ok. ")?.split_once(' '));
    part.add("tests", passed.and_then(|(count, _)| count.parse().ok()).unwrap_or(0));
    if !ExitStatus::success(&output.status) {
        part.failures.push(format!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(part)
}

//! `cargo xtask reliability`: the proofs of telecine's promises, each suite by itself or all of them. `quota`, `postgres`,
//! `buckets`, `fuzz`, `bench` and `dist` beside it.

#[path = "../../support/harness/mod.rs"]
mod harness;

mod bench;
mod buckets;
mod dist;
mod fuzz;
mod guided;
mod hostile;
mod kill;
mod manifests;
mod postgres;
mod power;
mod program;
mod quota;
mod simulate;
mod state_counts;
mod suite;

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use state_counts::Part;

/// Failures after which a suite stops: more of them show nothing new.
const FAILURES_MAX: usize = 3;

const USAGE: &str = "usage: cargo xtask reliability SUITE [--from N] [--count N] [--seconds N] [--threads N] [--failpoint NAME] [--record]
       suites: simulate power kill error disk hostile wire manifests fuzz
       or all of them with small budgets: cargo xtask reliability ci [--record]
       or every failpoint: cargo xtask reliability failpoints [--record]
usage: cargo xtask quota [--hours N] [--schedules N] [--threads N] [--http-seconds N] [--binary PATH]
usage: cargo xtask fuzz [TARGET..] [--seconds N] [--seed N]
usage: cargo xtask bench [NAME..] [--rows N] [--repeat N]
usage: cargo xtask dist [--binary PATH]
usage: cargo xtask buckets [SUITE..] [--objects N] [--record]
usage: cargo xtask postgres [SUITE..] [--moments N] [--seed S] [--every N] [--threads N] [--failpoint NAME] [--record]";

/// What to run, and how much of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amount {
    /// The first seed.
    pub(crate) from: u64,
    /// How many at most.
    pub(crate) count: u64,
    /// Nothing new is begun after this.
    pub(crate) until: Instant,
    /// How many at a time.
    pub(crate) threads: usize,
    /// Failures after which nothing new is begun.
    pub(crate) failures_max: usize,
}

fn main() -> ExitCode {
    // under the name of telecine it is telecine, with the failpoint that the variable FAILPOINTS sets
    let name = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    if name.file_name().is_some_and(|name| name == "telecine") {
        let scenario = fail::FailScenario::setup();
        let code = telecine::cli::main();
        scenario.teardown();
        return code;
    }
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<bool, String> {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("reliability") => {}
        Some("quota") => return quota(args),
        Some("fuzz") => return guided::run(args),
        Some("bench") => return bench::run(args),
        Some("dist") => return dist::run(args),
        Some("postgres") => return postgres::run(args),
        Some("buckets") => return buckets::run(args),
        _ => return Err(USAGE.to_owned()),
    }
    let suite = args.next().ok_or(USAGE)?;
    if suite == "ci" || suite == "failpoints" {
        return suite::run(&suite, args.next().as_deref() == Some("--record"));
    }
    let mut amount = Amount {
        from: 0,
        count: u64::MAX,
        until: Instant::now() + Duration::from_hours(24),
        threads: 2,
        failures_max: FAILURES_MAX,
    };
    let mut is_recorded = false;
    let mut failpoint = None;
    let mut binary = PathBuf::from("target/release/telecine");
    while let Some(flag) = args.next() {
        let number = |args: &mut dyn Iterator<Item = String>| -> Result<u64, String> {
            args.next().and_then(|text| text.parse().ok()).ok_or_else(|| format!("{flag} needs a number"))
        };
        match flag.as_str() {
            "--binary" => binary = args.next().map(PathBuf::from).ok_or("--binary needs a path")?,
            "--from" => amount.from = number(&mut args)?,
            "--count" => amount.count = number(&mut args)?,
            "--seconds" => amount.until = Instant::now() + Duration::from_secs(number(&mut args)?),
            "--threads" => amount.threads = usize::try_from(number(&mut args)?).unwrap_or(1).max(1),
            "--failpoint" => {
                failpoint = Some(args.next().ok_or("--failpoint needs a name")?);
                // one failure is enough to see it
                amount.failures_max = 1;
            }
            "--record" => is_recorded = true,
            _ => return Err(USAGE.to_owned()),
        }
    }
    if let Some(name) = &failpoint {
        fail::cfg(name, "return")?;
    }
    let started = Instant::now();
    let commit = state_counts::commit();
    let part = match suite.as_str() {
        "kill" | "error" => {
            kill::can_trace()?;
            match &failpoint {
                Some(name) => kill::set_failpoint_in_copy(name)?,
                None => kill::set_binary(&binary)?,
            }
            each_seed(amount, if suite == "kill" { kill::kill_seed } else { kill::error_seed })
        }
        "disk" => {
            kill::can_mount()?;
            kill::set_binary(&binary)?;
            each_seed(amount, kill::disk_seed)
        }
        "hostile" => each_seed(amount, hostile::seed),
        "wire" => each_seed(amount, hostile::wire_seed),
        "manifests" => each_seed(amount, manifests::seed),
        "fuzz" => each_seed(amount, fuzz::seed),
        "power" => each_seed(amount, power::seed),
        "simulate" => each_seed(amount, simulate::seed),
        _ => return Err(USAGE.to_owned()),
    };
    let seconds = started.elapsed().as_secs();
    println!("{suite}: {:?} in {seconds} s, {} failures", part.counts, part.failures.len());
    for failure in &part.failures {
        println!("  {failure}");
    }
    if is_recorded {
        state_counts::record(&suite, &part, &commit, seconds)?;
    }
    Ok(part.failures.is_empty())
}

/// Reads how much of the quota table to run, and runs it.
fn quota(mut args: impl Iterator<Item = String>) -> Result<bool, String> {
    let mut amount = quota::Amount { hours: 24, schedules: 20_000, threads: 2, http: None };
    let (mut binary, mut seconds) = (PathBuf::from("target/release/telecine"), 0);
    while let Some(flag) = args.next() {
        let value = args.next().ok_or_else(|| format!("{flag} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{flag} needs a number"));
        match flag.as_str() {
            "--hours" => amount.hours = i64::try_from(number()?.max(2)).unwrap_or(24),
            "--schedules" => amount.schedules = number()?,
            "--threads" => amount.threads = usize::try_from(number()?).unwrap_or(1).max(1),
            "--http-seconds" => seconds = number()?,
            "--binary" => binary = PathBuf::from(&value),
            _ => return Err(USAGE.to_owned()),
        }
    }
    amount.http = (seconds > 0).then_some((binary, seconds));
    quota::run(&amount)
}

/// Runs seeds in parallel until their number or the time is reached, or too many failed.
pub(crate) fn each_seed(amount: Amount, run_case: fn(u64) -> Part) -> Part {
    let next = AtomicU64::new(amount.from);
    let failures = AtomicUsize::new(0);
    let work = || {
        let mut sum = Part::default();
        while Instant::now() < amount.until && failures.load(Ordering::SeqCst) < amount.failures_max {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed - amount.from >= amount.count {
                break;
            }
            let part = run_case(seed);
            failures.fetch_add(part.failures.len(), Ordering::SeqCst);
            sum.merge(part);
        }
        sum
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..amount.threads).map(|_| scope.spawn(work)).collect();
        let mut sum = Part::default();
        for worker in workers {
            match worker.join() {
                Ok(part) => sum.merge(part),
                Err(_) => sum.failures.push("a worker panicked".to_owned()),
            }
        }
        sum
    })
}

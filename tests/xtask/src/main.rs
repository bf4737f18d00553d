//! `cargo xtask reliability`: the proofs of telecine's promises, each lane by itself or all of them. `quota` and `fuzz` beside it.

#[path = "../../support/harness.rs"]
mod harness;

mod fuzz;
mod guided;
mod hostile;
mod kill;
mod manifests;
mod power;
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
use telecine::failpoints::Failpoint;

/// Failures after which a lane gives up: more of the same teach nothing.
const FAILURES_MAX: usize = 3;

const USAGE: &str = "usage: cargo xtask reliability LANE [--from N] [--count N] [--seconds N] [--threads N] [--plant BUG] [--record]
       lanes: simulate power kill error disk hostile wire manifests fuzz
       or all of them, small: cargo xtask reliability ci [--record]
       or every planted bug: cargo xtask reliability planted [--record]
usage: cargo xtask quota [--hours N] [--schedules N] [--threads N] [--http-seconds N] [--binary PATH]
usage: cargo xtask fuzz [TARGET..] [--seconds N] [--seed N]";

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
    // under the name of telecine it is telecine, with the bug that the environment names
    let name = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    if name.file_name().is_some_and(|name| name == "telecine") {
        if let Some(bug) = std::env::var("TELECINE_PLANTED").ok().and_then(|text| text.parse().ok()) {
            let _ = plant(bug);
        }
        return telecine::cli::main();
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
        _ => return Err(USAGE.to_owned()),
    }
    let endpoint = args.next().ok_or(USAGE)?;
    if endpoint == "ci" || endpoint == "planted" {
        return suite::run(&endpoint, args.next().as_deref() == Some("--record"));
    }
    let mut amount = Amount {
        from: 0,
        count: u64::MAX,
        until: Instant::now() + Duration::from_hours(24),
        threads: 2,
        failures_max: FAILURES_MAX,
    };
    let mut is_recorded = false;
    let mut failpoints = None;
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
            "--plant" => {
                failpoints = Some(number(&mut args)?);
                // to have been seen once is enough
                amount.failures_max = 1;
            }
            "--record" => is_recorded = true,
            _ => return Err(USAGE.to_owned()),
        }
    }
    if let Some(bug) = failpoints {
        plant(bug)?;
    }
    let started = Instant::now();
    let commit = state_counts::commit();
    let part = match endpoint.as_str() {
        "kill" | "error" => {
            kill::can_trace()?;
            match failpoints {
                Some(bug) => kill::plant_in_copy(bug)?,
                None => kill::set_binary(&binary)?,
            }
            each_seed(amount, if endpoint == "kill" { kill::kill_seed } else { kill::error_seed })
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
    println!("{endpoint}: {:?} in {seconds} s, {} failures", part.counts, part.failures.len());
    for failure in &part.failures {
        println!("  {failure}");
    }
    if is_recorded {
        state_counts::record(&endpoint, &part, &commit, seconds)?;
    }
    Ok(part.failures.is_empty())
}

/// Reads how much of the quota table to play, and plays it.
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

/// Plants the bug of this number; the lane must go red.
fn plant(number: u64) -> Result<(), String> {
    let bug = Failpoint::ALL.iter().find(|bug| **bug as u64 == number);
    telecine::failpoints::plant(Some(*bug.ok_or_else(|| format!("there is no bug {number}"))?));
    Ok(())
}

/// Runs seeds side by side until there are enough, the time is up, or too much went wrong.
pub(crate) fn each_seed(amount: Amount, play: fn(u64) -> Part) -> Part {
    let next = AtomicU64::new(amount.from);
    let failures = AtomicUsize::new(0);
    let work = || {
        let mut sum = Part::default();
        while Instant::now() < amount.until && failures.load(Ordering::SeqCst) < amount.failures_max {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed - amount.from >= amount.count {
                break;
            }
            let part = play(seed);
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

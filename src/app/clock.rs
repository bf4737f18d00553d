//! The clock of this process: real time, or faster where only a sandbox is concerned.

use crate::{clock::Clock, domain::UnixMillis};

/// The environment variable of a faster clock, as `SPEED@ORIGIN`, such as `20@1700000000000`. For tests of the program.
const FAST_CLOCK_VARIABLE: &str = "TELECINE_FAST_CLOCK";

/// The clock of a process whose requests stay on this machine: real, unless the environment names a faster one.
///
/// Rates and caps are kept by this clock, so a run that sends to a real service never uses it.
#[must_use]
pub fn of_sandbox() -> Clock {
    let text = std::env::var(FAST_CLOCK_VARIABLE).unwrap_or_default();
    match fast_clock(&text) {
        Some((speed, origin)) => Clock::fast_since(origin, speed),
        None => Clock::real(),
    }
}

fn fast_clock(text: &str) -> Option<(u32, UnixMillis)> {
    let (speed, origin) = text.split_once('@')?;
    Some((speed.parse().ok()?, UnixMillis(origin.parse().ok()?)))
}

//! Properties that telecine's readers must have for any input. Each target checks one of them, and panics when it is broken.
//!
//! The first [`CHOICES`] bytes of an input select the rules. The rest is read by these rules. Zeros select the default rules, so
//! any file after four zeros is a seed.

pub mod coordinates;
pub mod dates;
pub mod mapping;
pub mod reader;
pub mod rows;
pub mod sources;
pub mod tags;

use std::process::ExitCode;

/// The targets, and the names of their binaries.
pub const TARGETS: [&str; 6] = ["reader", "mapping", "dates", "coordinates", "tags", "sources"];

/// The number of bytes at the beginning of an input that select the rules: enough for every rule of the reader.
pub const CHOICES: usize = 4;

/// The choices of an input; each takes a share of what is left of them.
pub(crate) struct Choices(u32);

impl Choices {
    /// The choices of an input, and what is to be read; none when it is too short.
    pub(crate) fn of(input: &[u8]) -> Option<(Self, &[u8])> {
        let (choices, rest) = input.split_first_chunk::<CHOICES>()?;
        Some((Self(u32::from_le_bytes(*choices)), rest))
    }

    /// The same of an input whose rest is text.
    pub(crate) fn of_text(input: &[u8]) -> Option<(Self, &str)> {
        let (choices, rest) = Self::of(input)?;
        Some((choices, std::str::from_utf8(rest).ok()?))
    }

    /// One of these; the first when nothing is chosen.
    pub(crate) fn one_of<T: Clone, const N: usize>(&mut self, options: [T; N]) -> T {
        let count = u32::try_from(N).unwrap_or(u32::MAX);
        let at = self.0 % count;
        self.0 /= count;
        options[at as usize].clone()
    }

    /// Yes or no; no when nothing is chosen.
    pub(crate) fn yes(&mut self) -> bool {
        self.one_of([false, true])
    }
}

/// Plays the files that the command line names through a check: how an input that failed is looked at without a fuzzer.
#[must_use]
pub fn play(check: fn(&[u8])) -> ExitCode {
    for path in std::env::args_os().skip(1) {
        match std::fs::read(&path) {
            Ok(input) => check(&input),
            Err(error) => {
                eprintln!("{}: {error}", path.display());
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

//! What a command does, without command-line flags and without printing: values in, values and events out.

pub mod accounts;
pub mod adoption;
pub mod bucket_listing;
pub mod callbacks;
pub mod clock;
pub mod comparison;
pub mod dashboard;
pub mod destination;
pub mod doctor;
pub mod explain;
pub mod folder_listing;
pub mod init;
pub mod limits;
pub mod metrics;
pub mod notify;
pub mod orders;
pub mod plan;
pub mod preview;
pub mod rehearse;
pub mod run;
pub mod running;
pub mod sandbox;
pub mod schedule;
pub mod undo;

pub use destination::Destination;
pub use limits::{RequestedLimits, StoredLimits};
pub use run::{OpenRun, RunKind, RunRequest, open, record_failure, run};

use crate::{domain::UnixMillis, error::Error};

/// A name for a run: the second it began, and the process. Unique on one machine.
#[must_use]
pub fn run_name(now: UnixMillis) -> String {
    let compact: String = now.to_string().chars().filter(char::is_ascii_alphanumeric).collect();
    format!("{compact}-{}", std::process::id())
}

/// The error of a temporary folder that cannot be made.
#[expect(clippy::needless_pass_by_value, reason = "it is for map_err")]
pub(crate) fn temporary_folder_error(error: std::io::Error) -> Error {
    Error::Usage(format!(
        "no temporary folder can be made ({error}); set TMPDIR to a folder that can be written"
    ))
}

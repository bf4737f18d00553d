//! `telecine version`: what a support request needs to know of the program.

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    cli::output::{CommandEnd, print, print_end},
    error::{Error, ExitCode},
    ledger,
};

/// Flags of `telecine version`.
#[derive(Args, Debug)]
pub(in crate::cli) struct VersionArgs {
    /// Print one JSON object on stdout.
    #[arg(long, env = "TELECINE_JSON", help_heading = "Output")]
    json: bool,
}

/// The program.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct VersionBody {
    version: &'static str,
    /// The version of the ledgers that it writes. It reads older ones.
    ledger_schema: i64,
    /// The system that it was built for: `linux-x86_64`.
    system: String,
    /// Optional features that it was built with. A released program has none.
    features: Vec<&'static str>,
}

/// Shows the version.
pub(in crate::cli) fn version(args: &VersionArgs) -> Result<ExitCode, Error> {
    let body = VersionBody {
        version: env!("CARGO_PKG_VERSION"),
        ledger_schema: ledger::schema_version(),
        system: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
        features: if cfg!(feature = "failpoints") { vec!["failpoints"] } else { Vec::new() },
    };
    if args.json {
        print_end(&CommandEnd::of(ExitCode::Success), &body)?;
        return Ok(ExitCode::Success);
    }
    let VersionBody { version, ledger_schema, system, features } = body;
    let features = if features.is_empty() { "none".to_owned() } else { features.join(", ") };
    print(&format!("telecine {version} ({system})\nledger schema {ledger_schema}\nfeatures {features}\n"))?;
    Ok(ExitCode::Success)
}

//! `telecine report prune`: removes old reports.

use std::{fmt::Write as _, path::PathBuf};

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    cli::{
        args::{ReadOnlyLedgerArgs, values},
        output::{CommandEnd, print, print_end},
    },
    domain::counted,
    error::{Error, ExitCode},
    report::{KeepPolicy, KeptReport, plan_prune, prune, with_separators},
};

/// Flags of `telecine report prune`.
#[derive(Args, Debug)]
pub(super) struct PruneArgs {
    #[command(flatten)]
    keep: KeepArgs,

    /// Show what would be removed; remove nothing.
    #[arg(short = 'n', long, env = "TELECINE_DRY_RUN")]
    dry_run: bool,

    /// The folder of reports [default: reports/ next to the ledger].
    #[arg(short, long, value_name = "DIR", env = "TELECINE_OUT_DIR")]
    out_dir: Option<PathBuf>,

    #[command(flatten)]
    ledger: ReadOnlyLedgerArgs,

    /// Print one JSON object on stdout.
    #[arg(long, env = "TELECINE_JSON", help_heading = "Output")]
    json: bool,
}

#[expect(clippy::struct_field_names, reason = "they are the flags' names")]
#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
struct KeepArgs {
    /// Keep the latest N reports.
    #[arg(long, value_name = "N", env = "TELECINE_KEEP_LAST", value_parser = values::whole::<u32>(1..=u64::MAX))]
    keep_last: Option<u32>,

    /// Keep the latest report of each day, for N days that have one.
    #[arg(long, value_name = "N", env = "TELECINE_KEEP_DAILY", value_parser = values::whole::<u32>(1..=u64::MAX))]
    keep_daily: Option<u32>,

    /// Keep the latest report of each week, for N weeks that have one.
    #[arg(long, value_name = "N", env = "TELECINE_KEEP_WEEKLY", value_parser = values::whole::<u32>(1..=u64::MAX))]
    keep_weekly: Option<u32>,
}

/// Which reports are kept, and for what.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct PruneBody {
    /// Whether nothing was removed.
    dry_run: bool,
    /// How many reports are or would be removed.
    removed: u64,
    /// The reports.
    reports: Vec<KeptReport>,
}

/// Removes the reports that no rule keeps.
pub(super) fn prune_reports(args: &PruneArgs) -> Result<ExitCode, Error> {
    let reports = match &args.out_dir {
        Some(folder) => folder.clone(),
        None => args.ledger.path()?.folder().join("reports"),
    };
    let policy = KeepPolicy {
        last: args.keep.keep_last.unwrap_or(0),
        daily: args.keep.keep_daily.unwrap_or(0),
        weekly: args.keep.keep_weekly.unwrap_or(0),
    };
    let error = |cause: std::io::Error| {
        Error::Usage(format!("{}: {cause}; name the folder of the reports with --out-dir", reports.display()))
    };
    let planned = plan_prune(&reports, policy).map_err(error)?;
    if !args.dry_run {
        prune(&planned).map_err(error)?;
    }
    show(args, planned)
}

fn show(args: &PruneArgs, reports: Vec<KeptReport>) -> Result<ExitCode, Error> {
    let removed = reports.iter().filter(|report| report.kept_for.is_empty()).count() as u64;
    if args.json {
        let body = PruneBody { dry_run: args.dry_run, removed, reports };
        print_end(&CommandEnd::of(ExitCode::Success), &body)?;
        return Ok(ExitCode::Success);
    }
    let mut text = String::new();
    for KeptReport { path, kept_for, .. } in &reports {
        let what =
            if kept_for.is_empty() { "remove".to_owned() } else { format!("keep ({})", kept_for.join(", ")) };
        let _ = writeln!(text, "{}  {what}", path.display());
    }
    let (removed, total) = (with_separators(removed), counted(reports.len() as u64, "report", "reports"));
    let verb = if args.dry_run { "would be removed" } else { "removed" };
    let _ = writeln!(text, "{removed} of {total} {verb}");
    print(&text)?;
    Ok(ExitCode::Success)
}

//! `telecine preview`: rows as the service would get them, and the form as it goes over the wire.

use std::fmt::Write as _;

use clap::Args;
use serde::Serialize;

use super::{args::ManifestArgs, check, print, print_json, show};
use crate::{
    error::{Error, ExitCode},
    item::{ManifestRow, Problem, RowFault},
    manifest::{Manifest, ManifestError},
    redact,
    report::SCHEMA,
    service::{form_of, upload_fields},
};

/// What stands for the marker tag: the real one is drawn when a row is sent.
const MARKER: &str = "telecine:…";

/// Flags of `telecine preview`.
#[derive(Args, Debug)]
pub(super) struct PreviewArgs {
    #[command(flatten)]
    manifest: ManifestArgs,

    /// So many rows of each manifest.
    #[arg(short = 'n', long, value_name = "N", env = "TELECINE_ROWS", default_value_t = 3,
          value_parser = clap::value_parser!(u64).range(1..=10_000))]
    rows: u64,

    /// Begin with the row on this line.
    #[arg(long, value_name = "LINE", env = "TELECINE_FROM_LINE", default_value_t = 1,
          value_parser = clap::value_parser!(u64).range(1..))]
    from_line: u64,

    /// One JSON object a row on stdout.
    #[arg(long, env = "TELECINE_JSON")]
    json: bool,
}

/// A row as it would be sent.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    schema: u32,
    manifest: String,
    line: u64,
    /// The fields in their order; addresses are redacted.
    fields: Vec<(&'static str, String)>,
    /// The form as it goes over the wire; addresses are redacted.
    wire: Option<String>,
    warnings: Vec<Problem>,
    /// Why it cannot be sent.
    pub(super) problems: Vec<Problem>,
}

/// Shows rows.
pub(super) fn preview(args: &PreviewArgs) -> Result<ExitCode, Error> {
    let manifests = args.manifest.open()?;
    if !args.json {
        print(&check::describe(&manifests))?;
    }
    let mut is_any_good = false;
    for manifest in manifests {
        let count = usize::try_from(args.rows).unwrap_or(usize::MAX);
        for row in rows(manifest, args.from_line, count)? {
            is_any_good |= row.problems.is_empty();
            if args.json { print_json(&row)? } else { print(&self::show(&row))? }
        }
    }
    Ok(if is_any_good { ExitCode::Success } else { ExitCode::ManifestInvalid })
}

/// The first rows from a line on.
pub(super) fn rows(
    mut manifest: Manifest,
    from_line: u64,
    count: usize,
) -> Result<Vec<Shown>, ManifestError> {
    let path = manifest.path().to_owned();
    let mut rows = Vec::new();
    while rows.len() < count
        && let Some(row) = manifest.next()?
    {
        let shown = match row {
            Ok(row) => sent(&path, row),
            Err(RowFault { line, problems, .. }) => Shown {
                schema: SCHEMA,
                manifest: path.clone(),
                line,
                fields: Vec::new(),
                wire: None,
                warnings: Vec::new(),
                problems,
            },
        };
        if shown.line >= from_line {
            rows.push(shown);
        }
    }
    Ok(rows)
}

fn sent(path: &str, row: ManifestRow) -> Shown {
    let mut fields = upload_fields(&row.submission, Some(MARKER));
    for (name, value) in &mut fields {
        if matches!(*name, "url" | "callback") {
            *value = redact::url(value);
        } else if value.contains("://") {
            *value = redact::opaque(value);
        }
    }
    Shown {
        schema: SCHEMA,
        manifest: path.to_owned(),
        line: row.line,
        wire: Some(form_of(&fields)),
        fields,
        warnings: row.warnings,
        problems: Vec::new(),
    }
}

/// For people.
pub(super) fn show(row: &Shown) -> String {
    let Shown { manifest, line, .. } = row;
    let mut text = format!("\n  {manifest}:{line}\n");
    for (name, value) in &row.fields {
        let _ = writeln!(text, "    {name:<22} {}", show::safe(value));
    }
    if let Some(wire) = &row.wire {
        let _ = writeln!(text, "    POST upload_url        {wire}");
    }
    for problem in &row.problems {
        let _ = writeln!(text, "    cannot be sent: {}", show::show_problem(manifest, *line, problem));
    }
    for warning in &row.warnings {
        let _ = writeln!(text, "    warning: {}", show::show_problem(manifest, *line, warning));
    }
    text
}

//! `telecine check`, and `import --dry-run`: read everything once, say what would happen.

use std::{collections::BTreeMap, fmt::Write as _};

use clap::Args;

use super::{
    args::{ManifestArgs, OutputArgs},
    print, print_json, show,
};
use crate::{
    error::{Error, ExitCode},
    item::ManifestRow,
    ledger::{FailedRows, LedgerError, Prospect, Snapshot},
    lifecycle::State,
    manifest::{self, Manifest, Met, Survey},
    price::Price,
    report::{SCHEMA, with_separators},
};

/// Flags of `telecine check`.
#[derive(Args, Debug)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    manifest: ManifestArgs,

    /// One JSON object on stdout.
    #[arg(long, env = "TELECINE_JSON")]
    json: bool,
}

/// Validates manifests.
pub(super) fn check(args: &CheckArgs) -> Result<ExitCode, Error> {
    let mut manifests = args.manifest.open()?;
    let opened = describe(&manifests);
    let survey = manifest::survey(&mut manifests, |_, _| {})?;
    let code = exit_code(&survey);
    if args.json {
        print_json(&serde_json::json!({ "schema": SCHEMA, "exit_code": code.number(), "survey": survey }))?;
    } else {
        print(&format!("{opened}{}", show_survey(&survey)))?;
    }
    Ok(code)
}

/// Compares manifests with the ledger, if there is one, and says what an import would do.
pub(super) fn dry_run(
    mut manifests: Vec<Manifest>,
    snapshot: Option<&Snapshot>,
    failed: FailedRows,
    price: Option<Price>,
    output: &OutputArgs,
) -> Result<ExitCode, Error> {
    let opened = describe(&manifests);
    let mut known: BTreeMap<State, u64> = BTreeMap::new();
    let mut would_send = 0_u64;
    let mut broken: Option<LedgerError> = None;
    let mut look_up = |row: &ManifestRow| match snapshot.map(|snapshot| snapshot.prospect(row, failed)) {
        None | Some(Ok(Prospect::New)) => would_send += 1,
        Some(Ok(Prospect::Resent(state))) => {
            would_send += 1;
            *known.entry(state).or_default() += 1;
        }
        Some(Ok(Prospect::Left(state))) => *known.entry(state).or_default() += 1,
        Some(Err(fault)) => broken = Some(fault),
    };
    let survey = manifest::survey(&mut manifests, |_, met| {
        if let Met::Good(row) = met {
            look_up(row);
        }
    })?;
    if let Some(fault) = broken {
        return Err(fault.into());
    }
    let code = exit_code(&survey);
    if output.json {
        let known: BTreeMap<&str, u64> = known.iter().map(|(state, count)| (state.word(), *count)).collect();
        print_json(&serde_json::json!({
            "schema": SCHEMA, "exit_code": code.number(), "would_send": would_send,
            "credits_max": price.map(|price| price.of(would_send).to_string()), "known": known, "survey": survey,
        }))?;
        return Ok(code);
    }
    let mut text = format!("{opened}{}", show_survey(&survey));
    let cost = price.map(|price| format!(", at most {} credits", price.of(would_send))).unwrap_or_default();
    let _ = writeln!(text, "\n  {:>9} would be sent{cost}", with_separators(would_send));
    for (state, count) in &known {
        let _ = writeln!(text, "  {:>9} are in the ledger as {state}", with_separators(*count));
    }
    let _ = writeln!(text, "\n  nothing was sent or written (dry run)");
    print(&text)?;
    Ok(code)
}

fn exit_code(survey: &Survey) -> ExitCode {
    match (survey.rows, survey.good, survey.rejected) {
        (0, ..) => ExitCode::Success,
        (_, 0, _) => ExitCode::ManifestInvalid,
        (_, _, 0) => ExitCode::Success,
        _ => ExitCode::SomeFailed,
    }
}

fn describe(manifests: &[Manifest]) -> String {
    manifests.iter().fold(String::new(), |mut text, manifest| {
        if !manifest.found().is_empty() {
            let _ = writeln!(text, "{}: {}", manifest.path(), manifest.found().join(", "));
        }
        let _ = writeln!(text, "{}: {}", manifest.path(), manifest.mapping());
        text
    })
}

fn show_survey(survey: &Survey) -> String {
    let mut text = String::new();
    let lines = [
        (survey.rows, "rows read"),
        (survey.good, "good"),
        (survey.duplicates, "duplicates"),
        (survey.rejected, "cannot be sent"),
    ];
    let _ = writeln!(text);
    for (count, what) in lines {
        let _ = writeln!(text, "  {:>9} {what}", with_separators(count));
    }
    if survey.without_marker > 0 {
        let count = with_separators(survey.without_marker);
        let _ = writeln!(
            text,
            "\n  {count:>9} have 20 tags: no room for the marker, so a lost answer can rarely be settled without you"
        );
    }
    for (class, count) in &survey.faults {
        let _ = writeln!(text, "\n  {:>9} {class}", with_separators(count.rows));
        for example in &count.examples {
            let _ = writeln!(
                text,
                "            {}",
                show::show_problem(&example.path, example.line, &example.problem)
            );
        }
    }
    text
}

//! `import --dry-run`: what an import would do.

use std::fmt::Write as _;

use super::{
    super::{
        args::{OutputArgs, RowArgs},
        print, print_json,
    },
    exit_code,
    standing::{Yardstick, compare},
    words::{describe, show_known, show_survey},
};
use crate::{
    clock::Clock,
    error::{Error, ExitCode},
    ledger::{ProbeDemand, Snapshot},
    manifest::Manifest,
    price::Price,
    report::{SCHEMA, with_separators},
};

/// Compares manifests with the ledger, if there is one, and says what an import would do.
pub(in super::super) fn dry_run(
    mut manifests: Vec<Manifest>,
    snapshot: Option<&Snapshot>,
    rows: &RowArgs,
    price: Option<Price>,
    output: &OutputArgs,
) -> Result<ExitCode, Error> {
    let opened = describe(&manifests);
    let demand = rows.probe_age_max().map(|age_max| ProbeDemand {
        looked_since: Clock::real().now().minus(age_max),
        column: String::new(),
        column_number: 0,
    });
    let yardstick = Yardstick { snapshot, reruns: rows.reruns(), demand };
    let (survey, standing) = compare(&mut manifests, &yardstick, None, |_, _, _| Ok(()))?;
    let code = exit_code(&survey);
    let has_held_back = code == ExitCode::Success && standing.held_back > 0;
    let code = if has_held_back { ExitCode::SomeFailed } else { code };
    let would_send = standing.would_send;
    if output.json {
        let known = standing.known_words();
        print_json(&serde_json::json!({
            "schema": SCHEMA, "exit_code": code.number(), "would_send": would_send,
            "held_back": standing.held_back, "credits_max": price.map(|price| price.of(would_send).to_string()), "known": known,
            "drifted": standing.drifted, "drifted_first": standing.drifted_first, "survey": survey,
        }))?;
        return Ok(code);
    }
    let mut text = format!("{opened}{}", show_survey(&survey));
    let cost = price.map(|price| format!(", at most {} credits", price.of(would_send))).unwrap_or_default();
    let _ = writeln!(text, "\n  {:>9} would be sent{cost}", with_separators(would_send));
    if standing.held_back > 0 {
        let words = "held back: nobody knows their sources to be fit (telecine check --probe)";
        let _ = writeln!(text, "  {:>9} {words}", with_separators(standing.held_back));
    }
    show_known(&mut text, &standing);
    let _ = writeln!(text, "\n  nothing was sent or written (dry run)");
    print(&text)?;
    Ok(code)
}

//! `import --dry-run`: what an import would do.

use std::{collections::BTreeMap, fmt::Write as _};

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    app::comparison::{Criteria, compare, exit_code},
    cli::{
        args::{OutputArgs, RowArgs},
        output::{
            CommandEnd, print, print_end,
            scan::{describe, show_known, show_scan},
        },
    },
    clock::Clock,
    domain::{Price, at_most},
    error::{Error, ExitCode},
    ledger::Snapshot,
    manifest::{Manifest, Scan},
    report::with_separators,
};

/// What an import would do.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct DryRunBody<'a> {
    would_send: u64,
    /// Rows whose links have expired, or expire within a minute: they would not be sent.
    expired: u64,
    /// Rows that --probed-only would hold back: they would be invalid.
    held_back: u64,
    /// The most that it would cost. `null`: no price was given.
    credits_max: Option<String>,
    /// Rows that the ledger knows, by state.
    known: BTreeMap<&'static str, u64>,
    /// Rows that were sent with other content.
    drifted: u64,
    /// The first of them, each as the file and the line.
    drifted_first: &'a [String],
    scan: &'a Scan,
}

/// Compares manifests with the ledger, if there is one, and reports what an import would do.
pub(super) fn dry_run(
    mut manifests: Vec<Manifest>,
    snapshot: Option<&Snapshot>,
    rows: &RowArgs,
    price: Option<Price>,
    output: &OutputArgs,
) -> Result<ExitCode, Error> {
    let opened = describe(&manifests);
    let now = Clock::real().now();
    let criteria = Criteria::new(now, snapshot).for_import(rows.reruns(), rows.probe_age_max());
    let (scan, comparison) = compare(&mut manifests, &criteria, None, |_, _, _| Ok(()))?;
    let code = exit_code(&scan, &comparison);
    let would_send = comparison.would_send;
    if output.json {
        let known = comparison.known_words();
        let body = DryRunBody {
            would_send,
            expired: comparison.expired,
            held_back: comparison.held_back,
            credits_max: price.map(|price| price.of(would_send).to_string()),
            known,
            drifted: comparison.drifted,
            drifted_first: &comparison.drifted_first,
            scan: &scan,
        };
        print_end(&CommandEnd::of(code), &body)?;
        return Ok(code);
    }
    let mut text = format!("{opened}{}", show_scan(&scan));
    let cost = price.map(|price| format!(", {}", at_most(price.of(would_send)))).unwrap_or_default();
    let _ = writeln!(text, "\n  {:>9} would be sent{cost}", with_separators(would_send));
    if comparison.held_back > 0 {
        let held_back = "held back: their sources are not known to be supported (telecine check --probe)";
        let _ = writeln!(text, "  {:>9} {held_back}", with_separators(comparison.held_back));
    }
    show_known(&mut text, &comparison);
    let _ = writeln!(text, "\n  nothing was sent or written (dry run)");
    print(&text)?;
    Ok(code)
}

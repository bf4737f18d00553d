//! How manifests are read and the result of a check, as text.

use std::{collections::BTreeMap, fmt::Write as _};

use super::show_problem;
use crate::{
    app::comparison::LedgerComparison,
    domain::{no_row_remedy, no_row_text},
    manifest::{DuplicateExample, Example, Manifest, ProblemCount, Scan, UnusedColumn},
    report::with_separators,
    settings::EffectiveSetting,
};

/// What rows are to the ledger.
pub(in crate::cli) fn show_known(text: &mut String, comparison: &LedgerComparison) {
    show_expired(text, comparison);
    for (state, count) in &comparison.known {
        let _ = writeln!(text, "  {:>9} in the ledger as {}", with_separators(*count), state.shown());
    }
    if comparison.drifted > 0 {
        let _ = writeln!(
            text,
            "  {:>9} of them sent with other content: {} (--on-drift says what an import does with them)",
            with_separators(comparison.drifted),
            comparison.drifted_first.join(", ")
        );
    }
}

/// Rows that an import leaves because of their links.
pub(in crate::cli) fn show_expired(text: &mut String, comparison: &LedgerComparison) {
    if comparison.expired > 0 {
        let expired = with_separators(comparison.expired);
        let _ = writeln!(text, "  {expired:>9} with an expired link, would not be sent: sign again");
    }
}

/// How manifests are read: what was found out of their bytes, what feeds each field, and what feeds none.
pub(in crate::cli) fn describe(manifests: &[Manifest]) -> String {
    manifests.iter().fold(String::new(), |mut text, manifest| {
        let path = manifest.path();
        if !manifest.found().is_empty() {
            let _ = writeln!(text, "{path}: {}", manifest.found().join(", "));
        }
        let _ = writeln!(text, "{path}: {}", manifest.mapping());
        for note in manifest.column_notes() {
            let _ = writeln!(text, "{path}: {note}");
        }
        if let Some(unused) = unused(manifest.unused()) {
            let _ = writeln!(text, "{path}: unused columns: {unused}");
        }
        text
    })
}

/// Which settings come from which file.
pub(in crate::cli) fn show_origins(effective: &[EffectiveSetting]) -> String {
    let origins: Vec<String> =
        effective.iter().map(|setting| format!("{} ({})", setting.key, setting.origin)).collect();
    if origins.is_empty() { String::new() } else { format!("settings: {}\n", origins.join(", ")) }
}

/// Columns that are named where they feed nothing.
const UNUSED_MAX: usize = 12;

/// `Shot on (looks like datetime), note and 3 more`. `None`: every column is used.
fn unused(columns: &[UnusedColumn]) -> Option<String> {
    let shown = columns.iter().take(UNUSED_MAX).map(|column| {
        let name = crate::redact::clean(&column.name);
        column.resembles.map_or_else(|| name.clone(), |field| format!("{name} (looks like {field})"))
    });
    let shown: Vec<String> = shown.collect();
    let more = match columns.len().saturating_sub(UNUSED_MAX) {
        0 => String::new(),
        more => format!(" and {} more", with_separators(more as u64)),
    };
    (!shown.is_empty()).then(|| shown.join(", ") + &more)
}

/// Fewer rows do not show that most are duplicates.
const ROWS_MIN: u64 = 10;

/// The result of a scan.
pub(in crate::cli) fn show_scan(scan: &Scan) -> String {
    let mut text = String::new();
    let lines = [
        (scan.rows, "row read", "rows read"),
        (scan.good, "good", "good"),
        (scan.duplicates, "duplicate", "duplicates"),
        (scan.invalid, "invalid", "invalid"),
    ];
    let _ = writeln!(text);
    let mut write = |count: u64, one: &str, many: &str| {
        let _ = writeln!(text, "  {:>9} {}", with_separators(count), if count == 1 { one } else { many });
    };
    for (count, one, many) in lines {
        write(count, one, many);
    }
    let marker = "20 tags: no room for the marker, so a lost answer usually needs your decision";
    let notes = [
        (scan.warned, "of the good has warnings", "of the good have warnings"),
        (scan.left_out, "left out by --where or --account", "left out by --where or --account"),
        (scan.unmatched, "has no row in a file of --join", "have no row in a file of --join"),
        (scan.without_marker, &format!("has {marker}"), &format!("have {marker}")),
    ];
    for (count, one, many) in notes.into_iter().filter(|(count, ..)| *count > 0) {
        write(count, one, many);
    }
    if scan.rows == 0 {
        let (what, remedy) = (no_row_text(scan.left_out), no_row_remedy(scan.left_out));
        let _ = writeln!(text, "\n  {what}; {remedy}");
    }
    if scan.rows >= ROWS_MIN && scan.duplicates * 2 > scan.rows {
        let share = scan.duplicates * 100 / scan.rows;
        let _ = writeln!(
            text,
            "\n  most rows are duplicates ({share} %): check that the url comes from the right column"
        );
    }
    show_duplicates(&mut text, scan);
    for notice in &scan.notices {
        let _ = writeln!(text, "\n  {notice}");
    }
    show_counts(&mut text, "", &scan.faults);
    show_counts(&mut text, "warning: ", &scan.warnings);
    text
}

/// Duplicates with other content than the row that is sent.
fn show_duplicates(text: &mut String, scan: &Scan) {
    let examples = &scan.duplicate_examples;
    if examples.is_empty() {
        return;
    }
    let (differ, duplicates) = (scan.duplicates_that_differ, scan.duplicates);
    let of = if duplicates > 1_000 { " of the first 1,000 duplicates" } else { "" };
    let verb = if differ == 1 { "duplicate differs" } else { "duplicates differ" };
    let differ = with_separators(differ);
    let _ = writeln!(text, "\n  {differ:>9} {verb}{of} from the first row, which is sent");
    for example in examples {
        let DuplicateExample { path, line, first_path, first_line, changes } = example;
        let of = if first_path == path { String::new() } else { format!(" of {first_path}") };
        let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
        let _ = writeln!(
            text,
            "            {path}:{line}, first on line {first_line}{of}: {}",
            changes.join("; ")
        );
    }
    let more = scan.duplicates_that_differ.saturating_sub(examples.len() as u64);
    if more > 0 {
        let _ = writeln!(text, "            {} more: --csv", with_separators(more));
    }
}

/// Findings by kind: how many rows in which column, and the first of them.
pub(in crate::cli) fn show_counts(text: &mut String, kind: &str, counts: &BTreeMap<String, ProblemCount>) {
    for (class, count) in counts {
        let columns: Vec<String> = count
            .columns
            .iter()
            .filter(|(name, _)| !name.is_empty())
            .map(|(name, rows)| format!("{} {}", crate::redact::clean(name), with_separators(*rows)))
            .collect();
        let columns = if columns.len() > 1 { format!(" ({})", columns.join(", ")) } else { String::new() };
        let _ = writeln!(text, "\n  {:>9} {kind}{class}{columns}", with_separators(count.rows));
        for Example { path, line, problem } in &count.examples {
            let _ = writeln!(text, "            {}", show_problem(path, *line, problem));
        }
        let more = count.findings().saturating_sub(count.examples.len() as u64);
        if more > 0 {
            let _ = writeln!(text, "            {} more: --csv", with_separators(more));
        }
    }
}

//! What a check came to, in words.

use std::{collections::BTreeMap, fmt::Write as _};

use super::show_problem;
use crate::{
    app::comparison::LedgerComparison,
    manifest::{Example, Manifest, ProblemCount, Scan},
    report::with_separators,
};

pub(in crate::cli) fn show_known(text: &mut String, comparison: &LedgerComparison) {
    for (state, count) in &comparison.known {
        let _ = writeln!(text, "  {:>9} are in the ledger as {state}", with_separators(*count));
    }
    if comparison.drifted > 0 {
        let _ = writeln!(
            text,
            "  {:>9} of them were sent with other content: {} (--on-drift says what an import does with them)",
            with_separators(comparison.drifted),
            comparison.drifted_first.join(", ")
        );
    }
}

pub(in crate::cli) fn describe(manifests: &[Manifest]) -> String {
    manifests.iter().fold(String::new(), |mut text, manifest| {
        if !manifest.found().is_empty() {
            let _ = writeln!(text, "{}: {}", manifest.path(), manifest.found().join(", "));
        }
        let _ = writeln!(text, "{}: {}", manifest.path(), manifest.mapping());
        text
    })
}

pub(in crate::cli) fn show_scan(scan: &Scan) -> String {
    let mut text = String::new();
    let lines = [
        (scan.rows, "rows read"),
        (scan.good, "good"),
        (scan.duplicates, "duplicates"),
        (scan.rejected, "cannot be sent"),
    ];
    let _ = writeln!(text);
    for (count, what) in lines {
        let _ = writeln!(text, "  {:>9} {what}", with_separators(count));
    }
    let notes = [
        (scan.warned, "of the good have warnings"),
        (scan.left_out, "left out by --where"),
        (scan.unmatched, "have no row in a file of --join"),
        (
            scan.without_marker,
            "have 20 tags: no room for the marker, so a lost answer can rarely be settled without you",
        ),
    ];
    for (count, what) in notes.into_iter().filter(|(count, _)| *count > 0) {
        let _ = writeln!(text, "  {:>9} {what}", with_separators(count));
    }
    show_counts(&mut text, "", &scan.faults);
    show_counts(&mut text, "warning: ", &scan.warnings);
    text
}

pub(in crate::cli) fn show_counts(text: &mut String, kind: &str, counts: &BTreeMap<String, ProblemCount>) {
    for (class, count) in counts {
        let _ = writeln!(text, "\n  {:>9} {kind}{class}", with_separators(count.rows));
        for Example { path, line, problem } in &count.examples {
            let _ = writeln!(text, "            {}", show_problem(path, *line, problem));
        }
    }
}

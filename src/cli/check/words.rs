//! What a check came to, in words.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{super::show, probe::Probed, standing::Standing};
use crate::{
    manifest::{Example, FaultCount, Manifest, Survey},
    report::with_separators,
};

pub(super) fn show_known(text: &mut String, standing: &Standing) {
    for (state, count) in &standing.known {
        let _ = writeln!(text, "  {:>9} are in the ledger as {state}", with_separators(*count));
    }
    if standing.drifted > 0 {
        let _ = writeln!(
            text,
            "  {:>9} of them were sent with other content: {} (--on-drift says what an import does with them)",
            with_separators(standing.drifted),
            standing.drifted_first.join(", ")
        );
    }
}

pub(in super::super) fn describe(manifests: &[Manifest]) -> String {
    manifests.iter().fold(String::new(), |mut text, manifest| {
        if !manifest.found().is_empty() {
            let _ = writeln!(text, "{}: {}", manifest.path(), manifest.found().join(", "));
        }
        let _ = writeln!(text, "{}: {}", manifest.path(), manifest.mapping());
        text
    })
}

pub(super) fn show_survey(survey: &Survey) -> String {
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
    let notes = [
        (survey.warned, "of the good have warnings"),
        (survey.left_out, "left out by --where"),
        (survey.unmatched, "have no row in a file of --join"),
        (
            survey.without_marker,
            "have 20 tags: no room for the marker, so a lost answer can rarely be settled without you",
        ),
    ];
    for (count, what) in notes.into_iter().filter(|(count, _)| *count > 0) {
        let _ = writeln!(text, "  {:>9} {what}", with_separators(count));
    }
    show_counts(&mut text, "", &survey.faults);
    show_counts(&mut text, "warning: ", &survey.warnings);
    text
}

pub(super) fn show_probed(text: &mut String, probed: &Probed) {
    let kept = match probed.kept {
        0 => String::new(),
        kept => format!(" ({} known from before)", with_separators(kept)),
    };
    let _ = writeln!(text, "\n  {:>9} sources looked at{kept}:", with_separators(probed.looked()));
    let lines = [
        (probed.fit, "fit"),
        (probed.unfit, "unfit: the service would not take them"),
        (probed.unclear, "unclear: nobody can tell"),
        (probed.not_looked, "not looked at yet; the same command goes on"),
    ];
    for (count, what) in lines.into_iter().filter(|(count, _)| *count > 0) {
        let _ = writeln!(text, "  {:>9} {what}", with_separators(count));
    }
    show_counts(text, "unfit: ", &probed.unfit_by);
    show_counts(text, "unclear: ", &probed.unclear_by);
}

fn show_counts(text: &mut String, kind: &str, counts: &BTreeMap<String, FaultCount>) {
    for (class, count) in counts {
        let _ = writeln!(text, "\n  {:>9} {kind}{class}", with_separators(count.rows));
        for Example { path, line, problem } in &count.examples {
            let _ = writeln!(text, "            {}", show::show_problem(path, *line, problem));
        }
    }
}

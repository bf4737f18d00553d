//! The page around the sections: head, landmarks, and the policy that lets nothing be loaded or run.

use std::path::Path;

use base64::Engine as _;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{
    flow::{self, FlowCounts},
    quota,
    reasons::{self, ReasonCounts},
    sections,
    text::time,
};
use crate::report::RunReport;

const STYLE: &str = include_str!("style.css");

/// The whole page. Links to files are relative to `folder`.
pub(super) fn page(report: &RunReport, folder: &Path) -> Markup {
    let title = format!("telecine {} {}", report.run.command, report.run.name);
    let policy =
        format!("default-src 'none'; style-src {}; base-uri 'none'; form-action 'none'", style_source());
    let body = html! {
        header {
            h1 { "Report of telecine " (report.run.command) }
            (sections::heading(report))
        }
        main { (body(report, folder)) }
        footer {
            p {
                "Made by telecine " (env!("CARGO_PKG_VERSION")) " at " (time(report.at))
                " from the ledger as it was then. Times are in UTC."
            }
        }
    };
    document(&title, &policy, &body)
}

/// A page of our own: nothing is loaded or run but what the policy names.
pub(super) fn document(title: &str, policy: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                meta name="color-scheme" content="light dark";
                meta name="generator" content=(concat!("telecine ", env!("CARGO_PKG_VERSION")));
                title { (title) }
                // the only text that is not escaped: it is part of the program
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    }
}

/// The sections, in the order of a reader's questions.
fn body(report: &RunReport, folder: &Path) -> Markup {
    html! {
        (sections::figures(report))
        (section("flow", "What came in, and what became of it", &html! {
            @if report.is_of_ledger {
                p.note { "This run read no manifest. The report is about every video of the ledger." }
            }
            @if report.seen_later > 0 {
                p.note { "A later run has read some of these rows again. What became of them is in its report." }
            }
            (flow::flow(&FlowCounts::of(report)))
        }))
        (section("progress", "Uploads and searchable videos over time", &sections::progress(report)))
        (section("quota", "Quota windows and waits", &quota::quota(report)))
        (section("indexing", "Time from acceptance to searchable", &sections::indexing(report)))
        (section("reasons", "Why rows were not taken", &reasons::reasons(&reasons_of(report))))
        (section("places", "Where the videos were taken", &sections::places(report)))
        (section("dates", "When the videos were taken", &sections::dates(report)))
        (section("credits", "Credits", &sections::credits(report)))
        (section("parity", "Service and ledger compared", &sections::parity(report)))
        (section("files", "Manifests and result files", &sections::files(report, folder)))
    }
}

fn reasons_of(report: &RunReport) -> ReasonCounts<'_> {
    ReasonCounts {
        invalid: report.rows().invalid,
        faults: &report.faults,
        with_causes: report.items.with_causes(),
        causes: &report.causes,
    }
}

pub(super) fn section(id: &str, title: &str, content: &Markup) -> Markup {
    let heading = format!("{id}-heading");
    html! { section id=(id) aria-labelledby=(heading) { h2 id=(heading) { (title) } (content) } }
}

/// The one style, as a policy allows it: by its digest.
pub(super) fn style_source() -> String {
    source_of(STYLE)
}

/// A text within a page, as a policy allows it: by its digest.
pub(super) fn source_of(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    format!("'sha256-{}'", base64::engine::general_purpose::STANDARD.encode(digest))
}

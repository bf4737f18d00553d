//! Why rows could not be sent, and why videos failed, were rejected or are in doubt: counts and examples.

use maud::{Markup, html};

use super::text::{address, foreign, percent};
use crate::{
    ledger::{CauseCount, CauseExample, FaultCount},
    report::text::with_separators,
};

/// The most frequent reasons, and how many rows and videos have any.
pub(super) struct ReasonCounts<'a> {
    pub(super) invalid: u64,
    pub(super) faults: &'a [FaultCount],
    pub(super) with_causes: u64,
    pub(super) causes: &'a [CauseCount],
}

/// Two tables: the rows of the manifests, and the videos at the service.
pub(super) fn reasons(counts: &ReasonCounts<'_>) -> Markup {
    let ReasonCounts { invalid, faults: listed_faults, with_causes, causes: listed_causes } = *counts;
    if invalid == 0 && with_causes == 0 {
        return html! { p { "Every row was sent, and none failed." } };
    }
    html! {
        @if with_causes > 0 { h3 { "Videos" } (causes(listed_causes, with_causes)) }
        @if invalid > 0 {
            h3 { "Invalid rows" }
            @if listed_faults.is_empty() {
                p.note { "A later run has read the manifests again. The faults of the rows are in its report." }
            } @else {
                (faults(listed_faults, invalid))
            }
        }
    }
}

fn causes(causes: &[CauseCount], total: u64) -> Markup {
    let listed: u64 = causes.iter().map(|cause| cause.items).sum();
    html! {
        table.stack {
            caption { "Videos that failed, were rejected, were given up, or whose outcome is not clear, by cause" }
            thead { tr {
                th scope="col" { "Cause" } th scope="col" { "State" } th.number scope="col" { "Videos" }
                th scope="col" { "Examples" }
            } }
            tbody {
                @for cause in causes {
                    tr {
                        th scope="row" {
                            @if cause.cause.is_empty() { "no cause was given" } @else { (foreign(&cause.cause)) }
                        }
                        td data-label="State" { (cause.state.shown()) }
                        (share_cell(cause.items, total))
                        td { (examples(&cause.examples)) }
                    }
                }
                (rest("other causes", total.saturating_sub(listed), total))
            }
        }
    }
}

fn faults(faults: &[FaultCount], total: u64) -> Markup {
    let listed: u64 = faults.iter().map(|fault| fault.rows).sum();
    html! {
        table.stack {
            caption { "Rows that are invalid and cannot be sent, by their first fault" }
            thead { tr {
                th scope="col" { "Fault" } th scope="col" { "Column" } th.number scope="col" { "Rows" }
                th scope="col" { "Examples" }
            } }
            tbody {
                @for fault in faults {
                    tr {
                        th scope="row" { (foreign(&format!("{}; {}", fault.message, fault.fix))) }
                        td data-label="Column" { (foreign(&fault.column)) }
                        (share_cell(fault.rows, total))
                        td { (examples(&fault.examples)) }
                    }
                }
                (rest("other faults", total.saturating_sub(listed), total))
            }
        }
    }
}

fn share_cell(count: u64, total: u64) -> Markup {
    html! { td.number data-label="Count" { (with_separators(count)) " (" (percent(count, total)) ")" } }
}

fn rest(name: &str, count: u64, total: u64) -> Markup {
    html! {
        @if count > 0 { tr { th scope="row" { (name) } td {} (share_cell(count, total)) td {} } }
    }
}

/// The place of each example, and its address or value.
fn examples(examples: &[CauseExample]) -> Markup {
    html! {
        ul.plain {
            @for example in examples {
                li {
                    (foreign(file_name(&example.manifest))) ", line " (with_separators(example.line))
                    @if !example.value.is_empty() { ": " (address(&example.value)) }
                }
            }
        }
    }
}

/// The last part of a path: examples must be short, and the table of manifests has the whole.
fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

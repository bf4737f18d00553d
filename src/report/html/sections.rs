//! The shorter sections of the page: heading, key figures, progress, indexing times, places, dates, credits, parity, files.

use std::{path::Path, time::Duration};

use maud::{Markup, html};
use url::Url;

use super::{
    charts::{Bar, Curve, TimeChart, bar_table, columns, time_chart},
    text::{foreign, percent, time},
    world,
};
use crate::{
    domain::format_duration,
    ledger::RunRow,
    report::{
        RunReport,
        text::{counted, with_separators},
        timeline::INDEXING_EDGES,
    },
};

/// Bars of the table behind the chart of dates: the fullest ones.
const DATES_LISTED_MAX: usize = 24;

/// What the run was, in three lines.
pub(super) fn heading(report: &RunReport) -> Markup {
    html! {
        (run_line(&report.run, &report.service))
        p { strong { (ending(&report.run, "still running, or killed")) } }
    }
}

/// The name, the service and the times of a run.
pub(super) fn run_line(run: &RunRow, service: &str) -> Markup {
    html! {
        p {
            "Run " strong { (run.name) } " into " (foreign(service)) ", begun at " (time(run.started_at))
            @if let Some(ended_at) = run.ended_at {
                ", ended at " (time(ended_at)) " after " (format_duration(ended_at.after_now(run.started_at)))
            }
            "."
        }
    }
}

/// Why the run ended, or `otherwise`.
pub(super) fn ending(run: &RunRow, otherwise: &str) -> Markup {
    html! {
        @match (run.exit_code, &run.exit_reason) {
            (Some(code), Some(reason)) => { "exit " (code) ": " (foreign(reason)) }
            _ => (otherwise)
        }
    }
}

/// The numbers that are asked for first.
pub(super) fn figures(report: &RunReport) -> Markup {
    let items = &report.items;
    let open = items.total - items.finished();
    let mut shown = Vec::new();
    if !report.is_of_ledger {
        shown.push(("rows read", with_separators(report.rows().read)));
    }
    shown.extend([
        ("videos", with_separators(items.total)),
        ("searchable", with_separators(items.indexed)),
        ("failed or rejected", with_separators(items.failed + items.rejected)),
        ("not final yet", with_separators(open)),
        ("upload requests", with_separators(report.requests.attempts)),
    ]);
    if let Some(credits) = &report.credits_of_run {
        shown.push(("credits of this run", credits.clone()));
    }
    html! {
        dl.figures { @for (name, value) in shown { div { dt { (name) } dd { (value) } } } }
    }
}

/// Cumulative counts over the time of the run.
pub(super) fn progress(report: &RunReport) -> Markup {
    let timeline = &report.timeline;
    let requests = &report.requests;
    let curves = [
        Curve::of_counts("sent", "wait dotted", &timeline.sent.cumulative()),
        Curve::of_counts("accepted", "move dashed", &timeline.accepted.cumulative()),
        Curve::of_counts("searchable", "good", &timeline.searchable.cumulative()),
    ];
    let became: u64 = timeline.searchable.cumulative().last().copied().unwrap_or(0);
    let description = format!(
        "{} sent, {} accepted, {} became searchable during the run",
        counted(requests.attempts, "request", "requests"),
        with_separators(requests.accepted),
        counted(became, "video", "videos"),
    );
    let chart = TimeChart {
        id: "progress-chart",
        title: "Requests sent, requests accepted and videos searchable, as sums over time",
        description: &description,
        axis: &timeline.axis,
        curves: &curves,
        ceiling: None,
    };
    html! {
        p {
            (description) "."
            @if requests.refused > 0 { " " (counted(requests.refused, "request was", "requests were")) " refused for now." }
            @if requests.not_sent > 0 { " " (counted(requests.not_sent, "request", "requests")) " did not leave." }
            @if timeline.searchable_later > 0 {
                " " (counted(timeline.searchable_later, "more video", "more videos")) " became searchable after it."
            }
        }
        @if requests.attempts > 0 || became > 0 { (time_chart(&chart)) }
    }
}

/// Indexing times in classes.
pub(super) fn indexing(report: &RunReport) -> Markup {
    let classes = &report.timeline.indexing;
    let total: u64 = classes.iter().sum();
    if total == 0 {
        return html! { p.note { "No video became searchable." } };
    }
    let duration = |seconds: i64| format_duration(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
    let within = |class: usize| match INDEXING_EDGES.get(class) {
        Some(edge) => format!("under {}", duration(*edge)),
        None => format!("{} or more", duration(INDEXING_EDGES[INDEXING_EDGES.len() - 1])),
    };
    let label = |class: usize| match (class.checked_sub(1), INDEXING_EDGES.get(class)) {
        (Some(below), Some(edge)) => format!("{} to {}", duration(INDEXING_EDGES[below]), duration(*edge)),
        _ => within(class),
    };
    let counted_classes = classes.iter().enumerate().filter(|(_, count)| **count > 0).map(|(class, _)| class);
    let (first, last) = (counted_classes.clone().min().unwrap_or(0), counted_classes.max().unwrap_or(0));
    let bars: Vec<Bar> =
        (first..=last).map(|class| Bar { label: label(class), count: classes[class] }).collect();
    let most = |share: u64| {
        let mut sum = 0;
        let reached = classes.iter().position(|count| {
            sum += count;
            sum * 100 >= total * share
        });
        within(reached.unwrap_or(classes.len() - 1))
    };
    html! {
        p { "Half of the videos: " (most(50)) ". Nine of ten: " (most(90)) "." }
        (bar_table(
            &format!("{} by the time from the answer of the service to searchable. Polls find it a little later.",
                     counted(total, "video", "videos")),
            "Time", "Videos", "good", &bars,
        ))
    }
}

/// The map of the capture places.
pub(super) fn places(report: &RunReport) -> Markup {
    let captures = &report.captures;
    html! {
        p {
            (counted(captures.with_place, "video has", "videos have")) " coordinates, "
            (with_separators(captures.without_place)) " " @if captures.without_place == 1 { "has" } @else { "have" } " none."
        }
        @if captures.with_place > 0 { (world::map(captures)) }
    }
}

/// The chart of the capture dates.
pub(super) fn dates(report: &RunReport) -> Markup {
    let captures = &report.captures;
    let bars: Vec<Bar> =
        captures.bars().into_iter().map(|bar| Bar { label: bar.label, count: bar.videos }).collect();
    let title = format!("{} by capture date", counted(captures.with_date, "video", "videos"));
    let mut fullest: Vec<(usize, &Bar)> = bars.iter().enumerate().filter(|(_, bar)| bar.count > 0).collect();
    fullest.sort_by_key(|(_, bar)| std::cmp::Reverse(bar.count));
    fullest.truncate(DATES_LISTED_MAX);
    fullest.sort_by_key(|(at, _)| *at);
    let listed: Vec<Bar> =
        fullest.iter().map(|(_, bar)| Bar { label: bar.label.clone(), count: bar.count }).collect();
    html! {
        p {
            (counted(captures.with_date, "video has", "videos have")) " a capture date, "
            (with_separators(captures.without_date)) " " @if captures.without_date == 1 { "has" } @else { "have" } " none."
        }
        @if !bars.is_empty() {
            (columns("dates-title", &title, &bars))
            details {
                summary { "Numbers: the fullest periods" }
                (bar_table("Videos by capture date", "Period", "Videos", "move", &listed))
            }
        }
    }
}

/// What the uploads cost.
pub(super) fn credits(report: &RunReport) -> Markup {
    let spend = &report.spend;
    let of_run = report.requests.accepted;
    html! {
        p {
            "This run: " (counted(of_run, "accepted upload", "accepted uploads"))
            @if let Some(credits) = &report.credits_of_run { ", at most " (credits) " credits" }
            ". The whole ledger: " (counted(spend.uploads, "upload", "uploads")) " paid or possibly paid"
            @if spend.open > 0 { ", " (with_separators(spend.open)) " of them not certain" }
            @if let Some(credits) = &spend.credits { ", at most " (credits) " credits" }
            "."
        }
        @if spend.credits.is_none() { p.note { "No price was given. " code { "--price" } " adds the credits." } }
    }
}

/// The last comparison of the whole library with the ledger.
pub(super) fn parity(report: &RunReport) -> Markup {
    let Some(proof) = &report.parity else {
        return html! {
            p.note {
                "The ledger holds no comparison yet. " code { "telecine verify" }
                " compares every video of the service with the ledger."
            }
        };
    };
    let listed = proof.namespaces.iter().take(crate::report::run_report::LISTED_MAX as usize);
    html! {
        p { "At " (time(proof.at)) ": " strong { (foreign(&proof.verdict)) } }
        table.stack {
            caption { "Videos at the service and in the ledger, by namespace" }
            thead { tr {
                th scope="col" { "Namespace" } th.number scope="col" { "At the service" }
                th.number scope="col" { "In the ledger" } th.number scope="col" { "Both agree" }
                th scope="col" { "Differences" }
            } }
            tbody {
                @for namespace in listed {
                    tr {
                        th scope="row" { (foreign(&namespace.namespace)) }
                        td.number data-label="At the service" { (with_separators(namespace.listed)) }
                        td.number data-label="In the ledger" { (with_separators(namespace.bound)) }
                        td.number data-label="Both agree" {
                            (with_separators(namespace.matched)) " (" (percent(namespace.matched, namespace.bound)) ")"
                        }
                        td data-label="Differences" {
                            @if namespace.findings.is_empty() { "none" }
                            @for (meaning, count) in &namespace.findings {
                                div { (with_separators(*count)) ": " (meaning) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What was read, and the files with the result of every row.
pub(super) fn files(report: &RunReport, folder: &Path) -> Markup {
    html! {
        @if !report.manifests.is_empty() {
            table.stack {
                caption { "Manifests of the run, those with the most rows first" }
                thead { tr {
                    th scope="col" { "Manifest" } th.number scope="col" { "Rows" }
                    th.number scope="col" { "Duplicates" } th.number scope="col" { "Invalid" }
                } }
                tbody {
                    @for manifest in &report.manifests {
                        tr {
                            th scope="row" { (foreign(&manifest.manifest)) }
                            td.number data-label="Rows" { (with_separators(manifest.rows)) }
                            td.number data-label="Duplicates" { (with_separators(manifest.duplicates)) }
                            td.number data-label="Invalid" { (with_separators(manifest.invalid)) }
                        }
                    }
                }
            }
        }
        @if report.files.is_empty() {
            p.note { "The result files of this run were not found." }
        } @else {
            h3 { "The result of every row" }
            ul.plain {
                @for file in &report.files {
                    @let name = file.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                    li {
                        a href=(link(&file.path, folder)) { (name) }
                        @if name != "report.json" { ": " (counted(file.rows, "row", "rows")) }
                    }
                }
            }
        }
    }
}

/// A link to a file, relative where both are on the same disk.
fn link(path: &Path, folder: &Path) -> String {
    let absolute = std::fs::canonicalize(path).ok();
    let file = absolute.and_then(|path| Url::from_file_path(path).ok());
    let (Some(file), Ok(folder)) = (file, Url::from_directory_path(folder)) else { return String::new() };
    folder.make_relative(&file).unwrap_or_else(|| file.to_string())
}

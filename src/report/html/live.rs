//! The page of a run that a browser follows: its parts, each of which is sent again when it has changed.

use maud::{Markup, PreEscaped, html};

use super::{
    charts::bar_of,
    flow::{FlowCounts, flow},
    page::{document, section, source_of, style_source},
    reasons::{ReasonCounts, reasons},
    sections::{ending, run_line},
    text::{address, foreign, percent, time},
};
use crate::{
    domain::{UnixMillis, shown_name},
    ledger::{CauseCount, FaultCount, LastError, RunRow},
    report::{Counts, text::with_separators},
};

/// The one script: it puts the parts that arrive in their places.
const SCRIPT: &str = include_str!("live.js");

/// A run as it is now.
#[derive(Clone, Debug)]
pub struct LiveReport {
    pub service: String,
    pub run: RunRow,
    pub state: LiveState,
    /// Whether the items are those of the whole ledger: the run read no manifest.
    pub is_of_ledger: bool,
    /// Items of the run's manifests, or of the ledger.
    pub items: Counts,
    /// Items that a later run has read again.
    pub seen_later: u64,
    /// Uploads of the whole ledger that are paid or may be paid.
    pub uploads_paid: u64,
    pub causes: Vec<CauseCount>,
    pub faults: Vec<FaultCount>,
    /// The newest first.
    pub errors: Vec<LastError>,
}

/// Whether a run goes on.
#[derive(Clone, Debug)]
pub enum LiveState {
    Running(Box<LiveRun>),
    Ended,
    /// Its process is not there any more, and has not recorded an end.
    Killed,
}

/// What a running run does.
#[derive(Clone, Debug)]
pub struct LiveRun {
    /// `reading`, `uploading`, `indexing` or `recovering`.
    pub phase: &'static str,
    /// Items of its manifests that wait to be sent.
    pub left: u64,
    /// Accepted uploads per minute, over the last minute.
    pub uploads_per_minute: u64,
    /// Until when and why uploads wait. `None`: they do not, but for their rate.
    pub wait: Option<(UnixMillis, String)>,
    /// When the last item will have been sent, by the limits.
    pub sent_by: Option<UnixMillis>,
    pub windows: Vec<LiveWindow>,
}

/// The use of one limit now.
#[derive(Clone, Debug)]
pub struct LiveWindow {
    /// `upload`, `list`, `get`, or `any`.
    pub endpoint: &'static str,
    /// As a user writes it: `120/2h`.
    pub limit: String,
    pub used: u32,
    /// `None`: the size of the cap is not known.
    pub free: Option<u32>,
    /// `None`: a slot is free now.
    pub next_slot_at: Option<UnixMillis>,
    /// What refusals showed about it.
    pub learned: Option<String>,
}

/// A part of the page, by the id of its element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LivePart {
    pub id: &'static str,
    pub html: String,
}

impl LiveReport {
    /// Rows or items that are counted, and those of them that are finished.
    fn finished(&self) -> (u64, u64) {
        let left_out = if self.is_of_ledger { 0 } else { self.run.rows.duplicates + self.run.rows.invalid };
        (self.items.total + left_out, self.items.finished() + left_out)
    }
}

/// The parts of the page. `None`: the run has not begun.
pub fn live_parts(report: Option<&LiveReport>) -> Vec<LivePart> {
    let nothing = || html! { p.note { "Nothing yet." } };
    let parts = match report {
        None => [
            ("live-status", html! { "The run has not begun." }),
            ("live-run", html! {}),
            ("live-progress", html! {}),
            ("live-flow", nothing()),
            ("live-quota", nothing()),
            ("live-errors", nothing()),
            ("live-reasons", nothing()),
        ],
        Some(report) => {
            let counts = FlowCounts {
                rows: &report.run.rows,
                items: &report.items,
                seen_later: report.seen_later,
                is_of_ledger: report.is_of_ledger,
            };
            let reason_counts = ReasonCounts {
                invalid: report.run.rows.invalid,
                faults: &report.faults,
                with_causes: report.items.with_causes(),
                causes: &report.causes,
            };
            [
                ("live-status", status(report)),
                ("live-run", run_line(&report.run, &report.service)),
                ("live-progress", progress(report)),
                ("live-flow", flow(&counts)),
                ("live-quota", quota(&report.state)),
                ("live-errors", errors(&report.errors)),
                ("live-reasons", reasons(&reason_counts)),
            ]
        }
    };
    parts.map(|(id, markup)| LivePart { id, html: markup.into_string() }).into()
}

/// The whole page with its parts, as they are.
pub fn live_page(parts: &[LivePart]) -> String {
    let part = |id: &str| {
        let html = parts.iter().find(|part| part.id == id).map_or("", |part| &part.html);
        // it has been escaped where it was made
        html! { div.live id=(id) { (PreEscaped(html)) } }
    };
    let status = parts.iter().find(|part| part.id == "live-status").map_or("", |part| &part.html);
    let body = html! {
        header {
            h1 { "telecine" }
            (part("live-run"))
            // the only text that is read out when it changes
            p.status { strong.live #live-status role="status" aria-live="polite" { (PreEscaped(status)) } }
            p.note #connection { "This page shows the run as it was when the page was loaded." }
        }
        main {
            (part("live-progress"))
            (section("flow", "What came in, and what became of it", &part("live-flow")))
            (section("quota", "Quota windows now", &part("live-quota")))
            (section("errors", "The latest errors", &part("live-errors")))
            (section("reasons", "Why rows were not taken", &part("live-reasons")))
        }
        footer {
            p { "Shown by telecine " (env!("CARGO_PKG_VERSION")) " from the ledger. The page changes nothing. Times are in UTC." }
        }
        script { (PreEscaped(SCRIPT)) }
    };
    document("telecine dashboard", &live_policy(), &body).into_string()
}

/// A sentence as a part of the page shows it.
pub fn live_sentence(text: &str) -> String {
    foreign(text).into_string()
}

/// What the page may load and run: its style, its script, and the stream of its parts.
pub fn live_policy() -> String {
    format!(
        "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; base-uri 'none'; form-action 'none'",
        style_source(),
        source_of(SCRIPT)
    )
}

/// What the run does, in a sentence that seldom changes.
fn status(report: &LiveReport) -> Markup {
    match &report.state {
        LiveState::Ended => ending(&report.run, "ended"),
        LiveState::Killed => html! { "killed, or the machine stopped; the same command resumes" },
        LiveState::Running(run) => {
            let (all, finished) = report.finished();
            html! {
                (run.phase)
                @if all > 0 && run.phase != "reading" { ", " (finished * 100 / all) " % finished" }
                @if let Some((until, why)) = &run.wait { "; uploads wait until " (time(*until)) ": " (foreign(why)) }
            }
        }
    }
}

/// Figures, and how much is sent and finished.
fn progress(report: &LiveReport) -> Markup {
    let items = &report.items;
    let (all, finished) = report.finished();
    let count = with_separators;
    let mut figures = Vec::new();
    if !report.is_of_ledger {
        figures.push(("rows read", count(report.run.rows.read)));
    }
    figures.extend([
        ("videos", count(items.total)),
        ("searchable", count(items.indexed)),
        ("failed or rejected", count(items.failed + items.rejected)),
        ("not final yet", count(items.total - items.finished())),
    ]);
    if items.needs_review > 0 {
        figures.push(("need your decision", count(items.needs_review)));
    }
    let mut sent_by = None;
    if let LiveState::Running(run) = &report.state {
        figures.push(("left to send", count(run.left)));
        figures.push(("uploads per minute", count(run.uploads_per_minute)));
        sent_by = run.sent_by;
    }
    figures.push(("uploads paid, all runs", count(report.uploads_paid)));
    html! {
        dl.figures { @for (name, value) in figures { div { dt { (name) } dd { (value) } } } }
        (share_of("Sent or left out", all - items.pending, all, "move"))
        (share_of("Finished", finished, all, "good"))
        @if let Some(at) = sent_by { p { "By the limits, everything will be sent by " (time(at)) "." } }
    }
}

fn share_of(what: &str, part: u64, whole: u64, class: &str) -> Markup {
    html! {
        div.share {
            p { (what) ": " (with_separators(part)) " of " (with_separators(whole)) " (" (percent(part, whole)) ")" }
            div aria-hidden="true" { (bar_of(part, whole, class)) }
        }
    }
}

/// A table of the limits.
fn quota(state: &LiveState) -> Markup {
    let LiveState::Running(run) = state else {
        return html! { p.note { "The run has ended. " code { "telecine quota" } " shows the limits of the account." } };
    };
    html! {
        table.stack {
            caption { "Each limit, and how much of its window is used" }
            thead { tr {
                th scope="col" { "Limit" } th scope="col" { "Requests" } th.number scope="col" { "Used" }
                th.number scope="col" { "Free" } th scope="col" { "Next slot" }
            } }
            tbody { @for window in &run.windows { (window_row(window)) } }
        }
    }
}

fn window_row(window: &LiveWindow) -> Markup {
    html! {
        tr {
            th scope="row" {
                (window.limit)
                @if let Some(learned) = &window.learned { " (learned: " (foreign(learned)) ")" }
            }
            td data-label="Requests" { (window.endpoint) }
            td.number data-label="Used" { (with_separators(u64::from(window.used))) }
            td.number data-label="Free" {
                @match window.free { Some(free) => (with_separators(u64::from(free))), None => "not known" }
            }
            td data-label="Next slot" {
                @match window.next_slot_at { Some(at) => (time(at)), None => "now" }
            }
        }
    }
}

/// A table of errors, the newest first.
fn errors(errors: &[LastError]) -> Markup {
    if errors.is_empty() {
        return html! { p { "There was no error." } };
    }
    html! {
        table.stack {
            caption { "The latest errors of the run, the newest first" }
            thead { tr {
                th scope="col" { "Time" } th scope="col" { "Error" } th scope="col" { "Cause" } th scope="col" { "Video" }
            } }
            tbody {
                @for error in errors {
                    tr {
                        th scope="row" { (time(error.at)) }
                        td data-label="Error" { (shown_name(&error.event)) }
                        td data-label="Cause" { (foreign(error.cause.as_deref().unwrap_or("no cause was given"))) }
                        td data-label="Video" { "item " (error.item) ": " (address(&error.url)) }
                    }
                }
            }
        }
    }
}

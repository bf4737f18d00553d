//! For people: the summary at the end of a run, and the state of a ledger.

use std::{fmt::Write as _, time::Duration};

use super::{
    exit::{show_bad_rows, stop_reason},
    reasons::Reason,
    run_report::RunReport,
    summary::{Counts, Spend, Summary},
};
use crate::domain::{CallCounts, RowCounts, StopReason, at_most_shown, format_duration, shown_name};
pub use crate::domain::{counted, with_separators};

/// The summary at the end of a run.
#[must_use]
pub fn show_summary(summary: &Summary) -> String {
    let mut text = String::new();
    let took = format_duration(Duration::from_secs_f64(summary.seconds.max(0.0)));
    let _ = writeln!(text, "\ntelecine {} · {} · {}", summary.command, summary.service, summary.run);
    if summary.command == "import" {
        text.push_str(&show_rows(&summary.rows));
    }
    let of_what = if summary.command == "import" { OF_MANIFESTS } else { OF_LEDGER };
    push_head(&mut text, summary.items.total, of_what);
    push_lines(&mut text, &count_lines(&summary.items));
    let expired =
        ["of these has an expired link: sign it again", "of these have expired links: sign them again"];
    push_lines(&mut text, &[(summary.expired, expired)]);
    let bad = &summary.bad_rows;
    if bad.total > 0 {
        let (count, rows) = (with_separators(bad.total), if bad.total == 1 { "row" } else { "rows" });
        let what = "(invalid, rejected, failed, given up or expired)";
        let _ = writeln!(text, "\n  {count:>9} bad {rows} {what}: {}", show_bad_rows(bad));
    }
    if !summary.reasons.is_empty() {
        let _ = write!(text, "\n{}", show_reasons(&summary.reasons));
    }
    let quota = &summary.quota;
    let limits: Vec<&str> = quota.rate.iter().chain(&quota.caps).map(String::as_str).collect();
    let (no_credits, _) = stop_reason(StopReason::CreditsOut);
    let refused =
        if summary.exit_reason.starts_with(no_credits) { "refused: no credits" } else { "refused for now" };
    let requests = if limits.is_empty() {
        String::new()
    } else {
        format!(
            "; {} at {}: {} accepted, {} {refused}",
            counted(quota.requests, "upload request", "upload requests"),
            limits.join(", "),
            with_separators(quota.accepted),
            with_separators(quota.refused)
        )
    };
    let _ = writeln!(text, "\n  took {took}{requests}");
    if summary.spend.uploads > 0 {
        let _ = writeln!(text, "  {}", spend_line(&summary.spend));
    }
    if let Some(callbacks) = &summary.callbacks {
        let _ = writeln!(text, "  {}", callbacks_line(callbacks));
    }
    for broken in summary.broken_manifests.iter().chain(&summary.manifest_notices) {
        let _ = writeln!(text, "  {broken}");
    }
    if !summary.files.is_empty() {
        let _ = writeln!(text);
    }
    for file in &summary.files {
        let rows = if file.rows == 1 { "row" } else { "rows" };
        let _ = writeln!(text, "  {:>9} {rows:<4} {}", with_separators(file.rows), file.path.display());
    }
    let _ = writeln!(text, "\n  exit {}: {}", summary.exit_code.number(), summary.exit_reason);
    if let Some(next_step) = &summary.next_step {
        let _ = writeln!(text, "  next: {next_step}");
    }
    text
}

/// The rows that a run read, and what each of them was.
#[must_use]
pub fn show_rows(rows: &RowCounts) -> String {
    let mut text = String::new();
    push_head(&mut text, rows.read, ["row read", "rows read"]);
    let lines = [
        (rows.added, ["new"; 2]),
        (rows.known, ["known from earlier"; 2]),
        (rows.updated, ["took new content"; 2]),
        (rows.drifted, ["differs from what was sent", "differ from what was sent"]),
        (rows.duplicates, ["duplicate of another row", "duplicates of another row"]),
        (rows.invalid, ["invalid"; 2]),
    ];
    push_lines(&mut text, &lines);
    text
}

/// Reasons in the text at most.
const REASONS_SHOWN_MAX: usize = 5;

/// The reasons, each with the command that lists its rows on a line of its own.
fn show_reasons(reasons: &[Reason]) -> String {
    let mut text = String::new();
    for Reason { state, reason, count, command } in reasons.iter().take(REASONS_SHOWN_MAX) {
        let state = shown_name(state);
        let (count, reason) = (with_separators(*count), crate::redact::clean(reason));
        let _ = writeln!(text, "  {count:>9} {state}: {reason}\n            {command}");
    }
    let more = reasons.len().saturating_sub(REASONS_SHOWN_MAX);
    if more > 0 {
        let more = counted(more as u64, "more reason is", "more reasons are");
        let _ = writeln!(text, "            {more} in report.json");
    }
    text
}

const OF_MANIFESTS: [&str; 2] = ["item of these manifests", "items of these manifests"];
const OF_LEDGER: [&str; 2] = ["item in the ledger", "items in the ledger"];

fn count_lines(counts: &Counts) -> [(u64, [&'static str; 2]); 11] {
    counts.by_state().map(|(count, state)| (count, [state.label(1), state.label(2)]))
}

/// A count above others that it consists of.
fn push_head(text: &mut String, count: u64, [one, many]: [&str; 2]) {
    let _ = writeln!(text, "\n  {:>9} {}", with_separators(count), if count == 1 { one } else { many });
}

/// Counts, each with its words for one and for more.
fn push_lines(text: &mut String, lines: &[(u64, [&str; 2])]) {
    for (count, [one, many]) in lines.iter().filter(|(count, _)| *count > 0) {
        let what = if *count == 1 { one } else { many };
        let _ = writeln!(text, "  {:>13} {what}", with_separators(*count));
    }
}

/// `paid in all: 120 uploads (3 of them not certain), at most 240 credits`.
fn spend_line(spend: &Spend) -> String {
    let open = if spend.open > 0 { format!(" ({} of them not certain)", spend.open) } else { String::new() };
    let credits =
        spend.credits.as_ref().map(|credits| format!(", {}", at_most_shown(credits))).unwrap_or_default();
    format!("paid in all: {}{open}{credits}", counted(spend.uploads, "upload", "uploads"))
}

/// `calls of the service: 120 received, 3 settled a request without a clear answer; 2 refused`.
#[must_use]
pub fn callbacks_line(callbacks: &CallCounts) -> String {
    let CallCounts { received, settled, contradicted, refused, own_callbacks } = *callbacks;
    let mut text = format!("calls of the service: {} received", with_separators(received));
    let parts = [
        (settled, "settled a request without a clear answer"),
        (contradicted, "contradict what is known"),
        (refused, "refused: no valid calls"),
        (own_callbacks, "uploads with a callback of their own"),
    ];
    for (count, what) in parts.into_iter().filter(|(count, _)| *count > 0) {
        let _ = write!(text, ", {} {what}", with_separators(count));
    }
    text
}

/// A past run as it is now.
#[must_use]
pub fn show_run_report(report: &RunReport) -> String {
    let run = &report.run;
    let mut text = String::new();
    let _ = writeln!(text, "telecine {} · {} · {}", run.command, report.service, run.name);
    let ended = run.ended_at.map_or_else(String::new, |at| format!(" to {at}"));
    let _ = writeln!(text, "  {}{ended}", run.started_at);
    if !report.is_of_ledger {
        text.push_str(&show_rows(report.rows()));
    }
    push_head(&mut text, report.items.total, if report.is_of_ledger { OF_LEDGER } else { OF_MANIFESTS });
    push_lines(&mut text, &count_lines(&report.items));
    push_lines(&mut text, &[(report.seen_later, ["read again by a later run: see its report"; 2])]);
    let requests = &report.requests;
    let _ = writeln!(
        text,
        "\n  {}: {} accepted, {} refused for now",
        counted(requests.attempts, "upload request", "upload requests"),
        with_separators(requests.accepted),
        with_separators(requests.refused)
    );
    let _ = writeln!(text, "  {}", spend_line(&report.spend));
    for cause in &report.causes {
        let cause_text = crate::redact::opaque(&cause.cause);
        let _ = writeln!(text, "  {:>9} {}: {cause_text}", with_separators(cause.items), cause.state.shown());
    }
    for fault in &report.faults {
        let message = crate::redact::opaque(&fault.message);
        let _ = writeln!(text, "  {:>9} invalid: {message}", with_separators(fault.rows));
    }
    match (run.exit_code, &run.exit_reason) {
        (Some(code), Some(reason)) => drop(writeln!(text, "\n  exit {code}: {reason}")),
        _ => drop(writeln!(text, "\n  still running, or killed")),
    }
    text
}

/// The state of a ledger. `flags` select it in a command.
#[must_use]
pub fn show_status(path: &str, service: &str, counts: &Counts, spend: &Spend, flags: &str) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "ledger {path} · {service}");
    push_head(&mut text, counts.total, ["item", "items"]);
    push_lines(&mut text, &count_lines(counts));
    let _ = writeln!(text, "\n  {}", spend_line(spend));
    if counts.needs_review > 0 {
        let _ = writeln!(text, "  decide with: telecine review{flags}");
    }
    text
}

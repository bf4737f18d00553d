//! For people: the summary at the end of a run, and the state of a ledger.

use std::{fmt::Write as _, time::Duration};

use super::{
    exit::show_bad_rows,
    reasons::Reason,
    run_report::RunReport,
    summary::{Counts, Spend, Summary},
};
use indicatif::HumanCount;

use crate::domain::{CallCounts, format_duration};

/// The summary at the end of a run.
#[must_use]
pub fn show_summary(summary: &Summary) -> String {
    let mut text = String::new();
    let took = format_duration(Duration::from_secs_f64(summary.seconds.max(0.0)));
    let _ = writeln!(text, "\ntelecine {} · {} · {}", summary.command, summary.service, summary.run);
    if summary.command == "import" {
        let rows = &summary.rows;
        let _ = writeln!(text, "\n  {:>9} rows read", with_separators(rows.read));
        let lines = [
            (rows.added, "new"),
            (rows.known, "known from earlier"),
            (rows.updated, "took new content"),
            (rows.drifted, "differ from what was sent"),
            (rows.duplicates, "duplicates of another row"),
            (rows.rejected, "cannot be sent"),
        ];
        push_lines(&mut text, &lines);
    }
    let of_what =
        if summary.command == "import" { "items of these manifests" } else { "items in the ledger" };
    let _ = writeln!(text, "\n  {:>9} {of_what}", with_separators(summary.items.total));
    push_lines(&mut text, &count_lines(&summary.items));
    push_lines(&mut text, &[(summary.expired, "of these have expired links: sign them again")]);
    let bad = &summary.bad_rows;
    if bad.total > 0 {
        let (count, rows) = (with_separators(bad.total), if bad.total == 1 { "row" } else { "rows" });
        let _ = writeln!(text, "\n  {count:>9} {rows} rejected or failed: {}", show_bad_rows(bad));
    }
    if !summary.reasons.is_empty() {
        let _ = write!(text, "\n{}", show_reasons(&summary.reasons));
    }
    let quota = &summary.quota;
    let caps = if quota.caps.is_empty() { String::new() } else { format!(", {}", quota.caps.join(", ")) };
    let _ = writeln!(
        text,
        "\n  took {took}; {} upload requests at {}{caps}: {} accepted, {} refused for now",
        with_separators(quota.requests),
        quota.rate,
        with_separators(quota.accepted),
        with_separators(quota.refused)
    );
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

/// Reasons in the text at most.
const REASONS_SHOWN_MAX: usize = 5;

/// The reasons, each with the command that lists its rows on a line of its own.
fn show_reasons(reasons: &[Reason]) -> String {
    let mut text = String::new();
    for Reason { state, reason, count, command } in reasons.iter().take(REASONS_SHOWN_MAX) {
        let state = state.replace('_', " ");
        let (count, reason) = (with_separators(*count), crate::redact::clean(reason));
        let _ = writeln!(text, "  {count:>9} {state}: {reason}\n            {command}");
    }
    let more = reasons.len().saturating_sub(REASONS_SHOWN_MAX);
    if more > 0 {
        let _ = writeln!(text, "            {more} more reasons are in report.json");
    }
    text
}

fn count_lines(counts: &Counts) -> [(u64, &'static str); 11] {
    [
        (counts.indexed, "searchable"),
        (counts.accepted, "accepted, being indexed"),
        (counts.pending, "wait to be sent"),
        (counts.sending, "in flight"),
        (counts.in_doubt, "without a clear answer"),
        (counts.accepted_unidentified, "accepted, video not known yet"),
        (counts.needs_review, "wait for a human's answer"),
        (counts.failed, "failed to be indexed"),
        (counts.rejected, "refused by the service"),
        (counts.abandoned, "given up"),
        (counts.deleted, "deleted by order"),
    ]
}

fn push_lines(text: &mut String, lines: &[(u64, &str)]) {
    for (count, what) in lines.iter().filter(|(count, _)| *count > 0) {
        let _ = writeln!(text, "  {:>13} {what}", with_separators(*count));
    }
}

/// `paid in all: 120 uploads (3 of them not certain), at most 240 credits`.
fn spend_line(spend: &Spend) -> String {
    let open = if spend.open > 0 { format!(" ({} of them not certain)", spend.open) } else { String::new() };
    let credits =
        spend.credits.as_ref().map(|credits| format!(", at most {credits} credits")).unwrap_or_default();
    format!("paid in all: {} uploads{open}{credits}", with_separators(spend.uploads))
}

/// `calls of the service: 120 received, 3 settled a request without a clear answer; 2 refused`.
fn callbacks_line(callbacks: &CallCounts) -> String {
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
        let rows = report.rows();
        let _ = writeln!(text, "\n  {:>9} rows read", with_separators(rows.read));
        push_lines(
            &mut text,
            &[(rows.duplicates, "duplicates of another row"), (rows.rejected, "cannot be sent")],
        );
    }
    let of_what = if report.is_of_ledger { "items in the ledger" } else { "items of these manifests" };
    let _ = writeln!(text, "\n  {:>9} {of_what}", with_separators(report.items.total));
    push_lines(&mut text, &count_lines(&report.items));
    push_lines(&mut text, &[(report.seen_later, "read again by a later run: see its report")]);
    let requests = &report.requests;
    let _ = writeln!(
        text,
        "\n  {} upload requests: {} accepted, {} refused for now",
        with_separators(requests.attempts),
        with_separators(requests.accepted),
        with_separators(requests.refused)
    );
    let _ = writeln!(text, "  {}", spend_line(&report.spend));
    for cause in &report.causes {
        let cause_text = crate::redact::opaque(&cause.cause);
        let _ = writeln!(text, "  {:>9} {}: {cause_text}", with_separators(cause.items), cause.state);
    }
    for fault in &report.faults {
        let message = crate::redact::opaque(&fault.message);
        let _ = writeln!(text, "  {:>9} cannot be sent: {message}", with_separators(fault.rows));
    }
    match (run.exit_code, &run.exit_reason) {
        (Some(code), Some(reason)) => drop(writeln!(text, "\n  exit {code}: {reason}")),
        _ => drop(writeln!(text, "\n  still running, or killed")),
    }
    text
}

/// The state of a ledger.
#[must_use]
pub fn show_status(path: &str, service: &str, counts: &Counts, spend: &Spend) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "ledger {path} · {service}");
    let _ = writeln!(text, "\n  {:>9} items", with_separators(counts.total));
    push_lines(&mut text, &count_lines(counts));
    let _ = writeln!(text, "\n  {}", spend_line(spend));
    if counts.needs_review > 0 {
        let _ = writeln!(text, "  see the questions: telecine review");
    }
    text
}

/// `1234567` as `1,234,567`.
#[must_use]
pub fn with_separators(number: u64) -> String {
    HumanCount(number).to_string()
}

/// `1 row`, `2,000 rows`.
#[must_use]
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", with_separators(count), if count == 1 { one } else { many })
}

//! The sinks of events: a live line on a terminal, a line every 30 seconds without one, or JSON.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{super::args::OutputArgs, queued::QueuedSink, service_manager::ServiceManagerSink, show_problem};
use crate::{
    domain::{RowCounts, UnixMillis, format_duration},
    events::{Event, EventBus, EventSink, Progress},
    report::{SCHEMA, with_separators},
};

/// Without a terminal, progress is printed this often.
pub(in crate::cli) const LINE_EVERY_MS: i64 = 30_000;
/// Only the first few events about rows are printed; the report has all of them.
const ROW_MESSAGES_MAX: u64 = 10;

/// At most this many unused columns are named.
const COLUMNS_SHOWN_MAX: usize = 12;

/// At the end of a command, the reader of stderr is waited for at most so long.
pub(in crate::cli) const STDERR_FINISH_MAX: Duration = Duration::from_secs(1);

/// The sinks for these flags.
pub(in crate::cli) fn events(output: &OutputArgs) -> EventBus {
    let mut sinks = sinks_for(output.json, output.quiet, 1);
    if let Some(sink) = ServiceManagerSink::of_environment() {
        sinks.push(Box::new(QueuedSink::new(sink, Some(STDERR_FINISH_MAX))));
    }
    EventBus::new(sinks)
}

/// JSON lines, text, or nothing; for a clock that runs `speed` times as fast as real time.
pub(in crate::cli) fn sinks_for(json: bool, quiet: bool, speed: u32) -> Vec<Box<dyn EventSink>> {
    if json {
        // the last object of the command comes behind all events
        vec![Box::new(QueuedSink::new(JsonLines, None))]
    } else if quiet {
        Vec::new()
    } else {
        vec![Box::new(QueuedSink::new(TerminalSink::new(speed), Some(STDERR_FINISH_MAX)))]
    }
}

/// Prints every event as one line of JSON on stdout.
struct JsonLines;

/// An event as a line of JSON.
#[derive(serde::Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct JsonLine<'a> {
    /// The version of this contract.
    schema: u32,
    /// When it happened.
    #[schemars(extend("format" = "date-time"))]
    at: String,
    #[serde(flatten)]
    #[schemars(skip)]
    event: &'a Event,
}

impl EventSink for JsonLines {
    fn on_event(&self, at: UnixMillis, event: &Event) {
        if let Ok(line) = serde_json::to_string(&JsonLine { schema: SCHEMA, at: at.to_string(), event }) {
            // a reader that went away must not stop the import
            let _ = writeln!(io::stdout().lock(), "{line}");
        }
    }
}

/// Text on stderr, and on a terminal a live line below it.
struct TerminalSink {
    bar: Option<ProgressBar>,
    last_line_at: Mutex<Option<UnixMillis>>,
    last_waiting: Mutex<Option<(String, UnixMillis)>>,
    row_messages: AtomicU64,
    line_every_ms: i64,
}

impl TerminalSink {
    fn new(speed: u32) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
            let style = ProgressStyle::with_template("{bar:24} {human_pos}/{human_len} final  {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
            bar
        });
        Self {
            bar,
            last_line_at: Mutex::new(None),
            last_waiting: Mutex::new(None),
            row_messages: AtomicU64::new(0),
            line_every_ms: LINE_EVERY_MS.saturating_mul(i64::from(speed)),
        }
    }

    fn emit(&self, text: &str) {
        let write = || {
            // if stderr is closed, there is no reader
            let _ = writeln!(io::stderr().lock(), "{text}");
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn emit_row(&self, text: &str) {
        let count = self.row_messages.fetch_add(1, Ordering::Relaxed);
        if count < ROW_MESSAGES_MAX {
            self.emit(text);
        } else if count == ROW_MESSAGES_MAX {
            self.emit("  … more rows have messages; the report has all of them");
        }
    }

    fn show_progress(&self, at: UnixMillis, progress: &Progress) {
        let waiting = self.last_waiting.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let waiting = waiting.filter(|(_, until)| *until > at);
        if let Some(bar) = &self.bar {
            bar.set_length(progress.items);
            bar.set_position(final_items(progress));
            bar.set_message(describe(at, progress, waiting.as_ref()));
            return;
        }
        let mut last = self.last_line_at.lock().unwrap_or_else(PoisonError::into_inner);
        // the first line is due one interval after the start
        let since = *last.get_or_insert(at);
        if at.since_ms(since) >= self.line_every_ms {
            *last = Some(at);
            let described = describe(at, progress, waiting.as_ref());
            self.emit(&format!(
                "{}/{} final  {described}",
                with_separators(final_items(progress)),
                with_separators(progress.items)
            ));
        }
    }
}

impl EventSink for TerminalSink {
    fn on_event(&self, at: UnixMillis, event: &Event) {
        match event {
            Event::LedgerOpened { path, is_new } => {
                self.emit(&format!("ledger: {path}{}", if *is_new { " (new)" } else { "" }));
            }
            Event::ManifestOpened { path, mapping, unused_columns, found } => {
                self.emit(&manifest_opened(path, mapping, unused_columns, found));
            }
            Event::RowRejected { path, line, problems } => {
                for problem in problems {
                    self.emit_row(&show_problem(path, *line, problem));
                }
            }
            Event::RowDuplicate { path, line, first_line } => {
                self.emit_row(&format!("{path}:{line}: the same url as line {first_line}; it is sent once"));
            }
            Event::RowDrifted { path, line } => {
                self.emit_row(&format!("{path}:{line}: already sent with other content; not sent again"));
            }
            Event::ManifestRead { path, counts, left_out, unmatched, .. } => {
                self.emit(&manifest_read(path, *counts, *left_out, *unmatched));
            }
            Event::Rejected { url, cause } => {
                self.emit_row(&format!("{url}: rejected by the service: {cause}"));
            }
            Event::AnswerLost { url, cause } => {
                self.emit_row(&format!(
                    "{url}: no clear answer ({cause}); not sent again until there is evidence"
                ));
            }
            Event::Reconciled { url, evidence, .. } => {
                self.emit_row(&format!("{url}: reconciled: {evidence}"));
            }
            Event::IndexingFailed { video_no, cause } => {
                self.emit_row(&format!("{video_no}: could not be indexed: {cause}"));
            }
            Event::Waiting { reason: why, until, hint: how } => {
                *self.last_waiting.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some((why.clone(), *until));
                // the live line shows the reason of the wait, but not the hint
                if self.bar.is_none() || how.is_some() {
                    let how = how.map(|how| format!(" ({how})")).unwrap_or_default();
                    self.emit(&format!("waiting until {}: {why}{how}", show_time(*until, at)));
                }
            }
            Event::Progress(progress) => self.show_progress(at, progress),
            Event::Message { text } | Event::LimitLearned { text } => self.emit(text),
            Event::LinksExpiring { count, first } => {
                self.emit(&format!(
                    "{} links expire before they can be sent; sign them again and import again: {}",
                    with_separators(*count),
                    first.join(", ")
                ));
            }
            Event::Accepted { url, video_no } => tracing::info!(%url, %video_no, "accepted"),
            Event::Indexed { video_no } => tracing::info!(%video_no, "indexed"),
        }
    }

    fn close(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What was found in a manifest, how it is mapped, and which columns are not used: one line each.
fn manifest_opened(path: &str, mapping: &str, unused_columns: &[String], found: &[String]) -> String {
    let mut text = String::new();
    if !found.is_empty() {
        let _ = writeln!(text, "{path}: {}", found.join(", "));
    }
    let _ = write!(text, "{path}: {mapping}");
    if !unused_columns.is_empty() {
        let shown: Vec<String> =
            unused_columns.iter().take(COLUMNS_SHOWN_MAX).map(|name| crate::redact::clean(name)).collect();
        let _ = write!(text, "\n{path}: unused columns: {}", shown.join(", "));
        let more = unused_columns.len().saturating_sub(COLUMNS_SHOWN_MAX);
        if more > 0 {
            let _ = write!(text, " and {more} more");
        }
    }
    text
}

fn manifest_read(path: &str, counts: RowCounts, left_out: u64, unmatched: u64) -> String {
    let mut text = format!("{path}: {} read", rows(counts.read));
    let _ = write!(
        text,
        ", {} rejected, {}",
        with_separators(counts.rejected),
        counted(counts.duplicates, "duplicate", "duplicates")
    );
    for (count, what) in [(left_out, "excluded by --where"), (unmatched, "without a match in --join")] {
        if count > 0 {
            let _ = write!(text, ", {} {what}", with_separators(count));
        }
    }
    text
}

/// `1 row`, `1,234 rows`.
fn rows(count: u64) -> String {
    counted(count, "row", "rows")
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", with_separators(count), if count == 1 { one } else { many })
}

const fn final_items(progress: &Progress) -> u64 {
    progress.indexed + progress.failed + progress.rejected
}

fn describe(at: UnixMillis, progress: &Progress, waiting: Option<&(String, UnixMillis)>) -> String {
    let parts = [
        (progress.pending, "pending"),
        (progress.sending, "sending"),
        (progress.in_doubt, "in doubt"),
        (progress.indexing, "accepted"),
        (progress.indexed, "indexed"),
        (progress.failed, "failed"),
        (progress.rejected, "rejected"),
        (progress.needs_review, "need a review"),
    ];
    let counts: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{} {what}", with_separators(*count)))
        .collect();
    let mut text = counts.join(" · ");
    if let Some(sent_by) = progress.sent_by {
        let _ = write!(
            text,
            " · all sent in about {}",
            format_duration(sent_by.after_now(at).max(Duration::from_secs(1)))
        );
    }
    if let Some((why, until)) = waiting {
        let _ = write!(text, " · waiting until {}: {why}", show_time(*until, at));
    }
    text
}

/// The local time with its zone, with the date if it is not within a day.
fn show_time(timestamp: UnixMillis, now: UnixMillis) -> String {
    let format =
        if timestamp.since_ms(now).abs() < 20 * 3_600_000 { "%H:%M:%S %Z" } else { "%Y-%m-%d %H:%M %Z" };
    jiff::Timestamp::from_millisecond(timestamp.0).map_or_else(
        |_| "an unknown time".to_owned(),
        |timestamp| timestamp.to_zoned(jiff::tz::TimeZone::system()).strftime(format).to_string(),
    )
}

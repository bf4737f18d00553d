//! Events as text: a live line on a terminal, or a line every 30 seconds without one.

use std::{
    ffi::OsString,
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use jiff::tz::TimeZone;

use super::{
    live::{RunView, is_same_day, shown_time, width_of, wrapped},
    show_problem,
};
use crate::{
    app,
    clock::Clock,
    domain::{RowCounts, UnixMillis},
    events::{Event, EventSink},
    report::{counted, with_separators},
};

/// Without a terminal, progress is printed this often.
pub(in crate::cli) const LINE_EVERY_MS: i64 = 30_000;
/// Only the first few events about rows are printed; the report has all of them.
const ROW_MESSAGES_MAX: u64 = 10;

/// At most this many unused columns are named.
const COLUMNS_SHOWN_MAX: usize = 12;

/// At the end of a command, the reader of stderr is waited for at most this long.
pub(in crate::cli) const STDERR_FINISH_MAX: Duration = Duration::from_secs(1);

/// Text on stderr, and on a terminal a live line below it.
pub(super) struct TerminalSink {
    bar: Option<ProgressBar>,
    /// The live lines of other runs in this process.
    lines: Option<MultiProgress>,
    /// In front of every line: the account, where there are several.
    prefix: String,
    /// Whether lines carry their time: somebody reads them later.
    has_times: bool,
    view: Arc<Mutex<LiveView>>,
    last_line_at: Mutex<Option<UnixMillis>>,
    row_messages: AtomicU64,
    line_every_ms: i64,
    /// A clock that is as fast as that of the run.
    clock: Clock,
}

/// What the live line is drawn from.
#[derive(Default)]
struct LiveView {
    /// The time of the last event, and how long the clock had run then.
    at: UnixMillis,
    elapsed: Duration,
    run: RunView,
}

/// The line is drawn this often, so that it follows the width of the terminal.
pub(super) const DRAWN_EVERY: Duration = Duration::from_secs(1);

impl TerminalSink {
    pub(super) fn new(speed: u32) -> Self {
        let mut sink = Self::without_line(String::new(), None);
        sink.line_every_ms = LINE_EVERY_MS.saturating_mul(i64::from(speed));
        if speed != 1 {
            sink.clock = Clock::fast(speed);
        }
        sink.show_live_line();
        sink
    }

    pub(super) const fn has_live_line(&self) -> bool {
        self.bar.is_some()
    }

    /// For one account of several, or for the command, which has no progress of its own.
    pub(super) fn of_several(account: Option<&str>, lines: &MultiProgress) -> Self {
        let prefix = account.map_or_else(String::new, |name| format!("{name}: "));
        let mut sink = Self::without_line(prefix, Some(lines.clone()));
        if account.is_some() {
            sink.show_live_line();
        }
        sink
    }

    fn without_line(prefix: String, lines: Option<MultiProgress>) -> Self {
        Self {
            bar: None,
            lines,
            prefix,
            has_times: !io::stderr().is_terminal(),
            view: Arc::new(Mutex::new(LiveView::default())),
            last_line_at: Mutex::new(None),
            row_messages: AtomicU64::new(0),
            line_every_ms: LINE_EVERY_MS,
            clock: app::clock::of_sandbox(),
        }
    }

    fn show_live_line(&mut self) {
        if !self.has_times && is_redrawn(|name| std::env::var_os(name)) {
            self.bar = Some(live_line(Arc::clone(&self.view), &self.prefix, self.lines.as_ref()));
        }
    }

    /// A line of progress, if one is due though no event came.
    pub(super) fn show_progress_meanwhile(&self) {
        let at = {
            let view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
            view.at.plus(self.clock.elapsed().saturating_sub(view.elapsed))
        };
        // before the run has begun there is none
        if self.last_line_at.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            self.show_progress(at);
        }
    }

    fn emit(&self, at: UnixMillis, text: &str) {
        let write = || {
            let mut stderr = io::stderr().lock();
            for line in text.lines() {
                let line = format!("{}{line}", self.prefix);
                // if stderr is closed, there is no reader
                let _ = if self.has_times {
                    writeln!(stderr, "{at} {line}")
                } else {
                    writeln!(stderr, "{}", wrapped(&line, terminal_width()))
                };
            }
        };
        match (&self.lines, &self.bar) {
            (Some(lines), _) => lines.suspend(write),
            (None, Some(bar)) => bar.suspend(write),
            (None, None) => write(),
        }
    }

    fn emit_row(&self, at: UnixMillis, text: &str) {
        let count = self.row_messages.fetch_add(1, Ordering::Relaxed);
        if count < ROW_MESSAGES_MAX {
            self.emit(at, text);
        } else if count == ROW_MESSAGES_MAX {
            self.emit(at, "  … more rows have messages; the report has all of them");
        }
    }

    fn emit_wait(&self, at: UnixMillis, reason: &str, until: UnixMillis, hint: Option<&str>) {
        // the live line shows the reason of the wait, but not the hint
        if self.bar.is_none() || hint.is_some() {
            let hint = hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
            let until = match until.since_ms(at) {
                // its end would be shown as the present time
                ..1_000 => "less than 1 s".to_owned(),
                // a line that begins with a time in UTC has no other zone
                _ if self.has_times => format!("until {until}"),
                _ => format!("until {}", show_time(until, at)),
            };
            self.emit(at, &format!("waiting {until}: {reason}{hint}"));
        }
    }

    fn show_progress(&self, at: UnixMillis) {
        if let Some(bar) = &self.bar {
            bar.tick();
            return;
        }
        let mut last = self.last_line_at.lock().unwrap_or_else(PoisonError::into_inner);
        // the first line is due one interval after the start
        let since = *last.get_or_insert(at);
        if at.since_ms(since) >= self.line_every_ms {
            *last = Some(at);
            let zone = if self.has_times { TimeZone::UTC } else { TimeZone::system() };
            let view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
            let line = view.run.line(at, usize::MAX, &zone);
            drop(view);
            self.emit(at, &line);
        }
    }
}

/// The columns of the terminal that shows stderr.
fn terminal_width() -> usize {
    width_of(&io::stderr())
}

/// Whether a line of the terminal may be drawn again. indicatif draws nothing on the others, so they get lines of their own.
fn is_redrawn(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    variable("TERM").is_some_and(|term| term != "dumb")
}

/// A line that is drawn from the view, as wide as the terminal is then. It is the next of `lines`, if there are several.
fn live_line(view: Arc<Mutex<LiveView>>, prefix: &str, lines: Option<&MultiProgress>) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, live_target());
    let style = ProgressStyle::with_template("{live}").unwrap_or_else(|_| ProgressStyle::default_bar());
    let prefix = prefix.to_owned();
    let draw = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
        let view = view.lock().unwrap_or_else(PoisonError::into_inner);
        // the last column stays free: some terminals wrap a full line
        let width = terminal_width().saturating_sub(1 + prefix.chars().count());
        let _ = write!(out, "{prefix}{}", view.run.line(view.at, width, &TimeZone::system()));
    };
    bar.set_style(style.with_key("live", draw));
    let bar = match lines {
        Some(lines) => lines.add(bar),
        None => bar,
    };
    bar.enable_steady_tick(DRAWN_EVERY);
    bar
}

pub(super) fn live_target() -> ProgressDrawTarget {
    ProgressDrawTarget::stderr_with_hz(8)
}

impl EventSink for TerminalSink {
    fn on_event(&self, at: UnixMillis, event: &Event) {
        {
            let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
            view.at = at;
            view.elapsed = self.clock.elapsed();
            view.run.take(at, event);
        }
        if let Some(text) = row_message(event) {
            return self.emit_row(at, &text);
        }
        match event {
            Event::LedgerOpened { path, is_new } => {
                self.emit(at, &format!("ledger: {path}{}", if *is_new { " (new)" } else { "" }));
            }
            Event::StandingBy { reason } => self.emit(at, &format!("standing by: {reason}")),
            Event::ManifestOpened { path, mapping, unused_columns, found } => {
                self.emit(at, &manifest_opened(path, mapping, unused_columns, found));
            }
            Event::ManifestRead { path, counts, left_out, unmatched, .. } => {
                self.emit(at, &manifest_read(path, *counts, *left_out, *unmatched));
            }
            Event::Waiting { reason, until, hint } => self.emit_wait(at, reason, *until, hint.as_deref()),
            Event::Comparing { namespace, page: 1, pages } if *pages > 1 && self.bar.is_none() => {
                self.emit(
                    at,
                    &format!(
                        "comparing the library with the ledger: {namespace}, {} pages",
                        with_separators(u64::from(*pages))
                    ),
                );
            }
            Event::Progress(_) | Event::SendingFiles(_) | Event::Comparing { .. } | Event::Listing { .. } => {
                self.show_progress(at);
            }
            Event::Message { text } | Event::LimitLearned { text } => self.emit(at, text),
            Event::LinksExpiring { count, first } => {
                self.emit(
                    at,
                    &format!(
                        "{} before sending; sign again and import again: {}",
                        counted(*count, "link expires", "links expire"),
                        first.join(", ")
                    ),
                );
            }
            Event::Accepted { url, video_no } => tracing::info!(%url, %video_no, "accepted"),
            Event::Indexed { video_no } => tracing::info!(%video_no, "indexed"),
            Event::RowInvalid { .. }
            | Event::RowDuplicate { .. }
            | Event::RowDrifted { .. }
            | Event::Rejected { .. }
            | Event::AnswerLost { .. }
            | Event::Reconciled { .. }
            | Event::IndexingFailed { .. } => {}
        }
    }

    fn close(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A command that shows nothing meanwhile says what it does, if it takes longer than this.
const SILENCE_MAX: Duration = Duration::from_secs(1);

/// Says on stderr what a command does, unless this is dropped within a second.
pub(in crate::cli) struct Working {
    _ended: mpsc::Sender<()>,
}

impl Working {
    /// `text` says what takes long.
    pub(in crate::cli) fn on(text: &'static str) -> Self {
        let (ended, end) = mpsc::channel();
        std::thread::spawn(move || {
            if end.recv_timeout(SILENCE_MAX) == Err(mpsc::RecvTimeoutError::Timeout) {
                // if stderr is closed, there is no reader
                let _ = writeln!(io::stderr(), "{text}");
            }
        });
        Self { _ended: ended }
    }
}

/// What an event says of one row. `None`: it is about something else, or the row is as it should be.
fn row_message(event: &Event) -> Option<String> {
    Some(match event {
        Event::RowInvalid { path, line, problems } => {
            let lines: Vec<String> =
                problems.iter().map(|problem| show_problem(path, *line, problem)).collect();
            lines.join("\n")
        }
        Event::RowDuplicate { path, line, first_line } => {
            format!("{path}:{line}: the same url as line {first_line}; it is sent once")
        }
        Event::RowDrifted { path, line } => {
            format!("{path}:{line}: already sent with other content; not sent again")
        }
        Event::Rejected { url, cause } => format!("{url}: rejected by the service: {cause}"),
        Event::AnswerLost { url, cause } => {
            format!("{url}: no clear answer ({cause}); not sent again until there is evidence")
        }
        Event::Reconciled { url, evidence, .. } => format!("{url}: reconciled: {evidence}"),
        Event::IndexingFailed { video_no, cause } => format!("{video_no}: could not be indexed: {cause}"),
        Event::LedgerOpened { .. }
        | Event::StandingBy { .. }
        | Event::ManifestOpened { .. }
        | Event::ManifestRead { .. }
        | Event::Waiting { .. }
        | Event::Comparing { .. }
        | Event::Listing { .. }
        | Event::Progress(_)
        | Event::SendingFiles(_)
        | Event::Message { .. }
        | Event::LimitLearned { .. }
        | Event::LinksExpiring { .. }
        | Event::Accepted { .. }
        | Event::Indexed { .. } => return None,
    })
}

/// What was found in a manifest, how it is mapped, and which columns are unused: one line each.
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
            let _ = write!(text, " and {} more", with_separators(more as u64));
        }
    }
    text
}

fn manifest_read(path: &str, counts: RowCounts, left_out: u64, unmatched: u64) -> String {
    let mut text = format!("{path}: {} read", rows(counts.read));
    let _ = write!(
        text,
        ", {} invalid, {}",
        with_separators(counts.invalid),
        counted(counts.duplicates, "duplicate", "duplicates")
    );
    for (count, what) in
        [(left_out, "left out by --where or --account"), (unmatched, "without a match in --join")]
    {
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

/// The local time with its zone, with the date if it is on another day.
fn show_time(timestamp: UnixMillis, now: UnixMillis) -> String {
    let zone = TimeZone::system();
    let format = if is_same_day(timestamp, now, &zone) { "%H:%M:%S %Z" } else { "%Y-%m-%d %H:%M %Z" };
    shown_time(timestamp, format, &zone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_that_indicatif_leaves_empty_get_lines() {
        let with = |set: &'static [(&str, &str)]| {
            is_redrawn(|name| {
                set.iter().find(|(own, _)| *own == name).map(|(_, value)| OsString::from(value))
            })
        };
        assert!(with(&[("TERM", "xterm-256color"), ("NO_COLOR", "1")]), "the line has no colors");
        assert!(!with(&[("TERM", "dumb")]) && !with(&[]));
    }
}

//! Listeners: a live line on a terminal, a line now and then elsewhere, or JSON.

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

use super::args::OutputArgs;
use crate::{
    item::{Problem, UnixMillis},
    limit::show_span,
    monitor::{Listener, Notice, Progress},
    report::SCHEMA,
};

/// Off a terminal, progress is said this often.
pub(super) const LINE_EVERY_MS: i64 = 30_000;
/// Of each kind of row notice the first few are said; all are in the report's files.
const ROWS_SAID_MAX: u64 = 10;

/// The listeners for these flags.
pub(super) fn listeners(output: &OutputArgs) -> Vec<Box<dyn Listener>> {
    listeners_for(output.json, output.quiet, 1)
}

/// Lines of JSON, or words for people, or nobody; on a clock that runs `speed` times as fast as the reader's.
pub(super) fn listeners_for(json: bool, quiet: bool, speed: u32) -> Vec<Box<dyn Listener>> {
    if json {
        vec![Box::new(JsonLines)]
    } else if quiet {
        Vec::new()
    } else {
        vec![Box::new(Talk::new(speed))]
    }
}

/// Every notice as one line of JSON on stdout.
struct JsonLines;

impl Listener for JsonLines {
    fn hear(&self, at: UnixMillis, notice: &Notice) {
        #[derive(serde::Serialize)]
        struct Line<'a> {
            schema: u32,
            at: String,
            #[serde(flatten)]
            notice: &'a Notice,
        }
        if let Ok(line) = serde_json::to_string(&Line { schema: SCHEMA, at: at.to_string(), notice }) {
            // a reader that went away must not stop the import
            let _ = writeln!(io::stdout().lock(), "{line}");
        }
    }
}

/// Words for people on stderr, and on a terminal a live line below them.
struct Talk {
    bar: Option<ProgressBar>,
    last_line_at: Mutex<Option<UnixMillis>>,
    last_waiting: Mutex<Option<(String, UnixMillis)>>,
    rows_said: AtomicU64,
    line_every_ms: i64,
}

impl Talk {
    fn new(speed: u32) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
            let style = ProgressStyle::with_template("{bar:24} {pos}/{len} settled  {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
            bar
        });
        Self {
            bar,
            last_line_at: Mutex::new(None),
            last_waiting: Mutex::new(None),
            rows_said: AtomicU64::new(0),
            line_every_ms: LINE_EVERY_MS.saturating_mul(i64::from(speed)),
        }
    }

    fn say(&self, text: &str) {
        let write = || {
            // without a stderr there is nobody to tell
            let _ = writeln!(io::stderr().lock(), "{text}");
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn say_row(&self, text: &str) {
        let said = self.rows_said.fetch_add(1, Ordering::Relaxed);
        if said < ROWS_SAID_MAX {
            self.say(text);
        } else if said == ROWS_SAID_MAX {
            self.say("  … further rows like these are only counted; the report names every one");
        }
    }

    fn show_progress(&self, at: UnixMillis, progress: &Progress) {
        let waiting = self.last_waiting.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let waiting = waiting.filter(|(_, until)| *until > at);
        if let Some(bar) = &self.bar {
            bar.set_length(progress.items);
            bar.set_position(settled(progress));
            bar.set_message(describe(at, progress, waiting.as_ref()));
            return;
        }
        let mut last = self.last_line_at.lock().unwrap_or_else(PoisonError::into_inner);
        // the first line is due one interval after the start
        let since = *last.get_or_insert(at);
        if at.since_ms(since) >= self.line_every_ms {
            *last = Some(at);
            let described = describe(at, progress, waiting.as_ref());
            self.say(&format!("{}/{} settled  {described}", settled(progress), progress.items));
        }
    }
}

impl Listener for Talk {
    fn hear(&self, at: UnixMillis, notice: &Notice) {
        match notice {
            Notice::ManifestOpened { path, mapping, unused_columns, found } => {
                if !found.is_empty() {
                    self.say(&format!("{path}: {}", found.join(", ")));
                }
                self.say(&format!("{path}: {mapping}"));
                if !unused_columns.is_empty() {
                    let shown: Vec<String> =
                        unused_columns.iter().take(12).map(|name| crate::redact::clean(name)).collect();
                    let more = unused_columns.len().saturating_sub(12);
                    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                    self.say(&format!("{path}: not used: {}{more}", shown.join(", ")));
                }
            }
            Notice::RowRejected { path, line, problems } => {
                for problem in problems {
                    self.say_row(&show_problem(path, *line, problem));
                }
            }
            Notice::RowDuplicate { path, line, first_line } => {
                self.say_row(&format!("{path}:{line}: the same url as line {first_line}; sent once"));
            }
            Notice::RowDrifted { path, line } => {
                self.say_row(&format!("{path}:{line}: already sent with other content; left as it was sent"));
            }
            Notice::ManifestRead { path, counts, left_out, unmatched, .. } => {
                let mut text = format!(
                    "{path}: {} rows read, {} rejected, {} duplicates",
                    counts.read, counts.rejected, counts.duplicates
                );
                for (count, what) in
                    [(left_out, "left out by --where"), (unmatched, "without a row to --join")]
                {
                    if *count > 0 {
                        let _ = write!(text, ", {count} {what}");
                    }
                }
                self.say(&text);
            }
            Notice::Refused { url, cause } => {
                self.say_row(&format!("{url}: refused by the service: {cause}"));
            }
            Notice::Doubted { url, cause } => {
                self.say_row(&format!(
                    "{url}: no clear answer ({cause}); it is not sent again until that is settled"
                ));
            }
            Notice::DoubtSettled { url, evidence, .. } => {
                self.say_row(&format!("{url}: settled: {evidence}"));
            }
            Notice::IndexingFailed { video_no, cause } => {
                self.say_row(&format!("{video_no}: could not be indexed: {cause}"));
            }
            Notice::Waiting { why, until, how } => {
                *self.last_waiting.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some((why.clone(), *until));
                // the live line shows what is waited for, but has no room for what to do about it
                if self.bar.is_none() || how.is_some() {
                    let how = how.map(|how| format!(" ({how})")).unwrap_or_default();
                    self.say(&format!("waiting until {}: {why}{how}", show_moment(*until, at)));
                }
            }
            Notice::Progress(progress) => self.show_progress(at, progress),
            Notice::Said { text } | Notice::QuotaLearned { text } => self.say(text),
            Notice::LinksExpire { count, first } => {
                self.say(&format!(
                    "{count} links expire before it is their turn; sign them anew and import again: {}",
                    first.join(", ")
                ));
            }
            Notice::Accepted { url, video_no } => tracing::info!(%url, %video_no, "accepted"),
            Notice::Indexed { video_no } => tracing::info!(%video_no, "indexed"),
        }
    }

    fn close(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A text of any length, safe for a terminal.
pub(super) fn safe(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// `m.csv:12:3 url: the scheme is neither http nor https (gs://…); give an http(s) link`.
pub(super) fn show_problem(path: &str, line: u64, problem: &Problem) -> String {
    let mut text = format!("{path}:{line}");
    if problem.column_number > 0 {
        let _ = write!(text, ":{} {}", problem.column_number, crate::redact::clean(&problem.column));
    }
    let _ = write!(text, ": {}", problem.message);
    if !problem.value.is_empty() {
        let _ = write!(text, " ({})", problem.value);
    }
    let _ = write!(text, "; {}", problem.fix);
    text
}

const fn settled(progress: &Progress) -> u64 {
    progress.indexed + progress.failed + progress.rejected
}

fn describe(at: UnixMillis, progress: &Progress, waiting: Option<&(String, UnixMillis)>) -> String {
    let parts = [
        (progress.pending, "to send"),
        (progress.sending, "on the wire"),
        (progress.in_doubt, "in doubt"),
        (progress.indexing, "indexing"),
        (progress.indexed, "indexed"),
        (progress.failed, "failed"),
        (progress.rejected, "rejected"),
        (progress.asked, "to review"),
    ];
    let words: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    let mut text = words.join(" · ");
    if let Some(sent_by) = progress.sent_by {
        let _ =
            write!(text, " · all sent in {}", show_span(sent_by.after_now(at).max(Duration::from_secs(1))));
    }
    if let Some((why, until)) = waiting {
        let _ = write!(text, " · waiting until {}: {why}", show_moment(*until, at));
    }
    text
}

/// The local time of day, with the date when it is not within a day.
fn show_moment(moment: UnixMillis, now: UnixMillis) -> String {
    let format = if moment.since_ms(now).abs() < 20 * 3_600_000 { "%H:%M:%S" } else { "%Y-%m-%d %H:%M" };
    jiff::Timestamp::from_millisecond(moment.0).map_or_else(
        |_| "the end of time".to_owned(),
        |timestamp| timestamp.to_zoned(jiff::tz::TimeZone::system()).strftime(format).to_string(),
    )
}

//! What a run does now, as one line of any width. A part that does not fit is left out, and no number is cut.

use std::{collections::VecDeque, os::fd::AsFd};

use indicatif::DecimalBytes;
use jiff::tz::TimeZone;

use crate::{
    domain::{State, UnixMillis, counted, format_duration, is_object_address},
    events::{Event, FileProgress, Progress},
    report::with_separators,
};

/// The span of the present rate, in milliseconds.
const RATE_SPAN_MS: i64 = 60_000;
/// Acceptances that are kept for the rate at most.
const ACCEPTED_MAX: usize = 100_000;
/// A narrower line does not name the zone of its times.
const ZONE_WIDTH_MIN: usize = 60;
/// What is between two parts.
const JOINT: &str = " · ";

/// What the events of a run have shown so far.
#[derive(Debug, Default)]
pub(super) struct RunView {
    manifests_open: u32,
    /// The bucket that is being listed, and how many objects it has shown.
    listing: Option<(String, u64)>,
    comparing: Option<(u32, u32)>,
    progress: Option<Progress>,
    /// The fewest final items that were seen: what this run found.
    final_before: u64,
    accepted: VecDeque<UnixMillis>,
    begun_at: Option<UnixMillis>,
    waiting: Option<(String, UnixMillis)>,
    files: FileProgress,
}

impl RunView {
    /// Takes an event in.
    pub(super) fn take(&mut self, at: UnixMillis, event: &Event) {
        self.begun_at.get_or_insert(at);
        match event {
            Event::Listing { address, objects } => self.listing = Some((address.clone(), *objects)),
            Event::ManifestOpened { .. } => {
                self.listing = None;
                self.manifests_open += 1;
            }
            Event::ManifestRead { .. } => self.manifests_open = self.manifests_open.saturating_sub(1),
            Event::Comparing { page, pages, .. } => {
                // a command that does nothing else keeps the last page
                let is_over = page >= pages && self.progress.is_some();
                self.comparing = (!is_over).then_some((*page, *pages));
            }
            Event::Accepted { .. } => {
                self.comparing = None;
                self.accepted.push_back(at);
                if self.accepted.len() > ACCEPTED_MAX {
                    self.accepted.pop_front();
                }
            }
            Event::Waiting { reason, until, .. } => self.waiting = Some((reason.clone(), *until)),
            Event::Progress(progress) => {
                let is_first = self.progress.is_none();
                let done = final_items(progress);
                self.final_before = if is_first { done } else { self.final_before.min(done) };
                self.progress = Some(*progress);
            }
            Event::LedgerOpened { .. } => self.listing = None,
            Event::SendingFiles(files) => self.files = *files,
            Event::StandingBy { .. }
            | Event::RowInvalid { .. }
            | Event::RowDuplicate { .. }
            | Event::RowDrifted { .. }
            | Event::Rejected { .. }
            | Event::AnswerLost { .. }
            | Event::Reconciled { .. }
            | Event::Indexed { .. }
            | Event::IndexingFailed { .. }
            | Event::LimitLearned { .. }
            | Event::LinksExpiring { .. }
            | Event::Message { .. } => {}
        }
    }

    /// The line as it fits into `width` columns, with times of `zone`.
    pub(super) fn line(&self, now: UnixMillis, width: usize, zone: &TimeZone) -> String {
        let zone = LineZone { zone, is_named: width >= ZONE_WIDTH_MIN };
        let mut parts = self.parts(now, zone);
        // the most important part is the first that is taken, and always
        let mut order: Vec<usize> = (0..parts.len()).collect();
        order.sort_by_key(|at| parts[*at].rank);
        let mut left = width;
        for at in order {
            let needed =
                parts[at].text.chars().count() + if left == width { 0 } else { JOINT.chars().count() };
            parts[at].is_shown = needed <= left;
            left -= if parts[at].is_shown { needed } else { 0 };
        }
        let shown: Vec<String> =
            parts.into_iter().filter(|part| part.is_shown).map(|part| part.text).collect();
        shown.join(JOINT)
    }

    fn phase(&self) -> String {
        if let Some((address, objects)) = &self.listing {
            return shown_listing(address, *objects);
        }
        let to_send = self.progress.map(|progress| progress.to_send);
        match (self.comparing, self.manifests_open, to_send) {
            (Some((page, pages)), ..) => {
                let (page, pages) = (with_separators(page.into()), with_separators(pages.into()));
                format!("comparing library {page}/{pages}")
            }
            (None, 1.., _) => "reading".to_owned(),
            (None, 0, None) => "starting".to_owned(),
            (None, 0, Some(1..)) => "uploading".to_owned(),
            (None, 0, Some(0)) => "indexing".to_owned(),
        }
    }

    /// The parts in their order, each with its rank.
    fn parts(&self, now: UnixMillis, zone: LineZone<'_>) -> Vec<LinePart> {
        let mut parts = vec![LinePart::new(0, self.phase())];
        let waiting = self.waiting.as_ref().filter(|(_, until)| *until > now);
        let Some(progress) = &self.progress else {
            // nothing else is shown of a command that does not count items
            if let Some((reason, until)) = waiting {
                let wait = format!("waits until {}", clock_time(*until, now, zone));
                parts = vec![LinePart::new(0, wait), LinePart::new(1, reason.clone())];
            }
            return parts;
        };
        if self.manifests_open == 0
            && let Some(percent) = self.percent(progress)
        {
            parts.push(LinePart::new(1, format!("{percent}%")));
        }
        match waiting.filter(|_| progress.to_send > 0) {
            Some((reason, until)) => {
                parts.push(LinePart::new(2, format!("waits until {}", clock_time(*until, now, zone))));
                // the cause in brackets can be a whole answer of the service; it was printed when the wait began
                let what = reason.split(" (").next().unwrap_or_default();
                parts.push(LinePart::new(4, what.to_owned()));
            }
            None if progress.to_send > 0 && self.manifests_open == 0 => {
                parts.extend(
                    self.rate(now).map(|rate| LinePart::new(2, format!("{}/min", with_separators(rate)))),
                );
            }
            None => {}
        }
        if self.files.files > 0 {
            parts.push(LinePart::new(2, shown_files(&self.files)));
        }
        if let Some(sent_by) = progress.sent_by.filter(|at| *at > now && progress.to_send > 0) {
            parts.push(LinePart::new(3, format!("ends {}", end_time(sent_by, now, zone))));
            let left = format_duration(sent_by.after_now(now).max(std::time::Duration::from_secs(1)));
            parts.push(LinePart::new(9, format!("in {left}")));
        }
        let counts = [
            (6, progress.to_send, "left"),
            (7, progress.indexing, "being indexed"),
            (5, progress.needs_review, State::NeedsReview.label(progress.needs_review)),
            (5, progress.failed + progress.rejected, "failed"),
            (8, progress.in_doubt, "in doubt"),
        ];
        for (rank, count, what) in counts.into_iter().filter(|(_, count, _)| *count > 0) {
            parts.push(LinePart::new(rank, format!("{} {what}", with_separators(count))));
        }
        let (done, all) = (with_separators(progress.indexed), with_separators(progress.items));
        parts.push(LinePart::new(7, format!("{done}/{all} searchable")));
        parts
    }

    /// How much of what this run has to do is done.
    fn percent(&self, progress: &Progress) -> Option<u64> {
        let done = final_items(progress).saturating_sub(self.final_before);
        let open = progress.to_send + progress.sending + progress.in_doubt + progress.indexing;
        (done + open > 0).then(|| done * 100 / (done + open))
    }

    /// Accepted uploads of the last minute. Before a minute has passed, no more are claimed.
    fn rate(&self, now: UnixMillis) -> Option<u64> {
        self.accepted.front()?;
        let since = now.plus_ms(-RATE_SPAN_MS);
        Some(self.accepted.iter().rev().take_while(|at| **at >= since).count() as u64)
    }
}

/// `listing s3://archive/2019/: 12,000 objects`.
pub(super) fn shown_listing(address: &str, count: u64) -> String {
    let what = if is_object_address(address) { "objects" } else { "files" };
    format!("listing {address}: {} {what}", with_separators(count))
}

/// `2 files: 1.20 GB of 3.40 GB, 12.50 MB/s`.
fn shown_files(progress: &FileProgress) -> String {
    let FileProgress { files, sent, size, bytes_per_second } = *progress;
    format!(
        "{}: {} of {}, {}/s",
        counted(files, "file", "files"),
        DecimalBytes(sent),
        DecimalBytes(size),
        DecimalBytes(bytes_per_second)
    )
}

/// One part of the line.
struct LinePart {
    /// The least is the most important.
    rank: u8,
    text: String,
    is_shown: bool,
}

impl LinePart {
    const fn new(rank: u8, text: String) -> Self {
        Self { rank, text, is_shown: false }
    }
}

/// The width where the terminal does not tell it.
const WIDTH_DEFAULT: u16 = 80;

/// The columns of the terminal that shows a stream.
pub(super) fn width_of(stream: &impl AsFd) -> usize {
    let width = rustix::termios::tcgetwinsize(stream).map_or(0, |size| size.ws_col);
    usize::from(if width == 0 { WIDTH_DEFAULT } else { width })
}

/// A line in lines of at most `width` columns, broken between words and indented as it is. A longer word has a line of its own.
pub(super) fn wrapped(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let indent = text.bytes().take_while(|byte| *byte == b' ').count();
    let margin = " ".repeat(indent.min(width / 2));
    let (mut lines, mut column) = (margin.clone(), margin.len());
    for word in text.trim_start_matches(' ').split(' ') {
        let length = word.chars().count();
        let is_first = column == margin.len();
        if !is_first && column + 1 + length > width {
            lines.push('\n');
            lines.push_str(&margin);
            column = margin.len();
        } else if !is_first {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += length;
    }
    lines
}

/// Items whose state does not change any more.
pub(super) const fn final_items(progress: &Progress) -> u64 {
    progress.indexed + progress.failed + progress.rejected
}

/// The zone of the times of a line, and whether the line names it.
#[derive(Clone, Copy)]
struct LineZone<'a> {
    zone: &'a TimeZone,
    is_named: bool,
}

impl LineZone<'_> {
    fn show(self, at: UnixMillis, format: &str) -> String {
        let name = if self.is_named { " %Z" } else { "" };
        shown_time(at, &format!("{format}{name}"), self.zone)
    }
}

/// The time, with the date if it is on another day.
fn clock_time(at: UnixMillis, now: UnixMillis, zone: LineZone<'_>) -> String {
    zone.show(at, if is_same_day(at, now, zone.zone) { "%H:%M:%S" } else { "%b %d %H:%M" })
}

/// The same without seconds, for a forecast. What is far away, and a narrow line, have the date alone, which names no zone.
fn end_time(at: UnixMillis, now: UnixMillis, zone: LineZone<'_>) -> String {
    if is_same_day(at, now, zone.zone) {
        zone.show(at, "%H:%M")
    } else if zone.is_named && at.since_ms(now).abs() < FAR_MS {
        zone.show(at, "%b %d %H:%M")
    } else {
        shown_time(at, "%b %d", zone.zone)
    }
}

/// From here on the hour of a forecast is not worth its place.
const FAR_MS: i64 = 48 * 3_600_000;

/// Whether a time needs no date.
pub(super) fn is_same_day(at: UnixMillis, now: UnixMillis, zone: &TimeZone) -> bool {
    shown_time(at, "%Y-%m-%d", zone) == shown_time(now, "%Y-%m-%d", zone)
}

/// A time in a zone.
pub(super) fn shown_time(at: UnixMillis, format: &str, zone: &TimeZone) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(
        |_| "an unknown time".to_owned(),
        |timestamp| timestamp.to_zoned(zone.clone()).strftime(format).to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: UnixMillis = UnixMillis(1_700_000_000_000);

    fn progress() -> Progress {
        Progress {
            items: 1_234_567,
            pending: 1_000_000,
            to_send: 1_000_000,
            indexing: 4_321,
            indexed: 200_000,
            failed: 1_204,
            rejected: 30,
            needs_review: 12,
            in_doubt: 3,
            sent_by: Some(T0.plus_ms(9 * 3_600_000)),
            ..Progress::default()
        }
    }

    fn view() -> RunView {
        let mut view = RunView::default();
        view.take(T0, &Event::Progress(Progress { indexed: 0, failed: 0, rejected: 0, ..progress() }));
        let url = crate::domain::SourceUrl::parse("https://host/a.mp4").unwrap();
        let video_no = crate::domain::VideoNo::parse("VI000001").unwrap();
        for n in 0..50 {
            let accepted = Event::Accepted { url: (&url).into(), video_no: video_no.clone() };
            view.take(T0.plus_ms(n * 1_000), &accepted);
        }
        view.take(T0.plus_ms(50_000), &Event::Progress(progress()));
        view
    }

    #[test]
    fn a_line_fits_every_width_and_never_cuts_a_part() {
        let mut view = view();
        for is_waiting in [false, true] {
            if is_waiting {
                let reason = "the cap 120/2h is used up by 1,204 uploads".to_owned();
                view.take(T0, &Event::Waiting { reason, until: T0.plus_ms(7_200_000), hint: None });
            }
            let now = T0.plus_ms(50_000);
            let whole = view.line(now, usize::MAX, &TimeZone::UTC);
            let all: Vec<&str> = whole.split(JOINT).collect();
            for width in [20, 39, 40, 79, 80, 119, 120] {
                let line = view.line(now, width, &TimeZone::UTC);
                assert!(line.chars().count() <= width, "{width}: {line}");
                // a narrow line only leaves out the name of the zone, and the hour of another day
                let is_whole = |part: &str| {
                    let is_of = |own: &&str| {
                        ["", " UTC", " 07:13 UTC"].iter().any(|end| own.strip_suffix(end) == Some(part))
                    };
                    all.iter().any(is_of)
                };
                assert!(line.split(JOINT).all(is_whole), "{width}: {line}");
            }
        }
    }

    #[test]
    fn a_message_is_broken_between_words() {
        let text = "big.csv: 3,000 rows read, 0 invalid, 1,204 duplicates";
        assert_eq!(wrapped(text, 33), "big.csv: 3,000 rows read, 0\ninvalid, 1,204 duplicates");
        assert_eq!(wrapped(text, 80), text);
        assert_eq!(wrapped("  indented", 10), "  indented");
        assert_eq!(wrapped("  a line that is indented", 12), "  a line\n  that is\n  indented");
        assert_eq!(wrapped("a https://host/long b", 8), "a\nhttps://host/long\nb");
    }

    #[test]
    fn a_narrow_terminal_still_shows_phase_percent_rate_and_finish() {
        let line = view().line(T0.plus_ms(50_000), 40, &TimeZone::UTC);
        let parts: Vec<&str> = line.split(JOINT).collect();
        assert_eq!(parts[..3], ["uploading", "16%", "50/min"], "{line}");
        assert!(parts[3].starts_with("ends "), "{line}");
        // no event came for so long that the time is over
        let late = view().line(T0.plus_ms(10 * 3_600_000), 120, &TimeZone::UTC);
        assert!(!late.contains("ends "), "{late}");
    }

    #[test]
    fn a_time_of_another_day_has_its_date() {
        // T0 is 22:13:20 in UTC
        let zone = LineZone { zone: &TimeZone::UTC, is_named: true };
        let hours = |hours: i64| T0.plus_ms(hours * 3_600_000);
        assert_eq!(end_time(hours(1), T0, zone), "23:13 UTC");
        assert_eq!(end_time(hours(12), T0, zone), "Nov 15 10:13 UTC");
        assert_eq!(end_time(hours(72), T0, zone), "Nov 17");
        assert_eq!(clock_time(hours(3), T0, zone), "Nov 15 01:13 UTC");
    }

    #[test]
    fn a_wait_shows_until_when_and_the_phases_follow_the_events() {
        let mut view = view();
        let reason = "the cap is used up".to_owned();
        view.take(T0, &Event::Waiting { reason, until: T0.plus_ms(90_000), hint: None });
        let shown = view.line(T0.plus_ms(60_000), 120, &TimeZone::UTC);
        assert!(
            shown.contains("waits until ")
                && shown.contains(" UTC · ")
                && shown.contains("the cap is used up"),
            "{shown}"
        );
        assert!(!view.line(T0.plus_ms(90_000), 120, &TimeZone::UTC).contains("waits"), "the wait is over");
        let namespace = "default".to_owned();
        view.take(T0, &Event::Comparing { namespace: namespace.clone(), page: 3, pages: 10 });
        assert!(view.line(T0, 40, &TimeZone::UTC).starts_with("comparing library 3/10"));
        view.take(T0, &Event::Comparing { namespace, page: 10, pages: 10 });
        view.take(T0, &Event::Progress(Progress { to_send: 0, ..progress() }));
        assert!(view.line(T0, 40, &TimeZone::UTC).starts_with("indexing"));
    }

    #[test]
    fn a_command_that_counts_no_items_shows_that_it_waits_and_not_its_last_phase() {
        let mut view = RunView::default();
        view.take(T0, &Event::Comparing { namespace: "default".to_owned(), page: 1, pages: 1 });
        let reason = "a request may still be in flight".to_owned();
        view.take(T0, &Event::Waiting { reason, until: T0.plus_ms(90_000), hint: None });
        let shown = view.line(T0, 120, &TimeZone::UTC);
        assert!(shown.starts_with("waits until ") && shown.ends_with("in flight"), "{shown}");
        assert_eq!(view.line(T0.plus_ms(90_000), 120, &TimeZone::UTC), "comparing library 1/1");
    }

    #[test]
    fn the_percentage_is_of_this_run_and_not_of_the_ledger() {
        let mut view = RunView::default();
        let found =
            Progress { items: 1_100, indexed: 1_000, to_send: 100, pending: 100, ..Progress::default() };
        view.take(T0, &Event::Progress(found));
        assert!(view.line(T0, 80, &TimeZone::UTC).contains("0%"), "{}", view.line(T0, 80, &TimeZone::UTC));
        view.take(T0, &Event::Progress(Progress { indexed: 1_025, to_send: 75, pending: 75, ..found }));
        assert!(view.line(T0, 80, &TimeZone::UTC).contains(" 25%"), "{}", view.line(T0, 80, &TimeZone::UTC));
    }
}

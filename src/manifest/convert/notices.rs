//! What is said once of a whole manifest, and counted while its rows are read.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
};

use super::super::values::datetime::{DateRules, OffsetRule, OffsetSeen};

/// Counts of a manifest that several threads add to.
#[derive(Debug)]
pub(in crate::manifest) struct Notices {
    /// By column: cells that hold a text for a missing value.
    missing: OnceLock<Box<[CellCount]>>,
    /// By column: cells of a flag that say neither yes nor no.
    unclear_flags: OnceLock<Box<[CellCount]>>,
    /// By column: cells of tags with commas between other separators, or within.
    two_separators: OnceLock<Box<[CellCount]>>,
    /// By column: times that the clocks of the zone show twice or never.
    at_change: OnceLock<Box<[CellCount]>>,
    /// Offsets of times from UTC, in minutes: the first, and another one.
    first_offset: AtomicI64,
    other_offset: AtomicI64,
    has_time_without_offset: AtomicBool,
    has_counted: AtomicBool,
    has_day: AtomicBool,
}

#[derive(Debug, Default)]
struct CellCount {
    cells: AtomicU64,
    first: OnceLock<String>,
}

/// No offset was seen.
const NONE: i64 = i64::MIN;

impl Default for Notices {
    fn default() -> Self {
        Self {
            missing: OnceLock::new(),
            unclear_flags: OnceLock::new(),
            two_separators: OnceLock::new(),
            at_change: OnceLock::new(),
            first_offset: AtomicI64::new(NONE),
            other_offset: AtomicI64::new(NONE),
            has_time_without_offset: AtomicBool::new(false),
            has_counted: AtomicBool::new(false),
            has_day: AtomicBool::new(false),
        }
    }
}

impl Notices {
    /// Counts a cell that holds a text for a missing value. `width`: how many columns there are.
    pub(super) fn count_missing(&self, column: usize, width: usize, text: &str) {
        count(&self.missing, column, width, text);
    }

    /// Counts a cell of a flag that says neither yes nor no.
    pub(super) fn count_unclear_flag(&self, column: usize, width: usize, text: &str) {
        count(&self.unclear_flags, column, width, text);
    }

    /// Counts a cell of tags that is split at commas and at another separator.
    pub(super) fn count_two_separators(&self, column: usize, width: usize, text: &str) {
        count(&self.two_separators, column, width, text);
    }

    /// Counts a time that the clocks of the zone show twice or never.
    pub(super) fn count_at_change(&self, column: usize, width: usize, text: &str) {
        count(&self.at_change, column, width, text);
    }

    pub(super) fn note_offset(&self, seen: OffsetSeen) {
        let note = |flag: &AtomicBool| {
            if !flag.load(Ordering::Relaxed) {
                flag.store(true, Ordering::Relaxed);
            }
        };
        match seen {
            OffsetSeen::Midnight => {}
            OffsetSeen::Day => note(&self.has_day),
            OffsetSeen::Counted => note(&self.has_counted),
            OffsetSeen::Absent | OffsetSeen::AtChange => note(&self.has_time_without_offset),
            OffsetSeen::Minutes(minutes) => {
                let mut first = self.first_offset.load(Ordering::Relaxed);
                if first == NONE {
                    let exchanged = self.first_offset.compare_exchange(
                        NONE,
                        minutes,
                        Ordering::Relaxed,
                        Ordering::Relaxed,
                    );
                    first = exchanged.map_or_else(|known| known, |_| minutes);
                }
                if first != minutes {
                    self.other_offset.store(minutes, Ordering::Relaxed);
                }
            }
        }
    }

    /// The notices as sentences. `names` are the columns' names, and `dates` says what became of offsets.
    pub(in crate::manifest) fn sentences(&self, names: &[String], dates: &DateRules) -> Vec<String> {
        let missing = counted(&self.missing, names, |cells, first| {
            let (noun, verb) = if cells == 1 { ("cell", "counts") } else { ("cells", "count") };
            format!("{cells} {noun} such as {first} {verb} as missing; --no-null takes them as text")
        });
        let unclear = counted(&self.unclear_flags, names, |cells, first| {
            let (noun, verb) = if cells == 1 { ("cell says", "counts") } else { ("cells say", "count") };
            format!(
                "{cells} {noun} neither yes nor no, such as {first}, and {verb} as no; write true or false"
            )
        });
        let separators = counted(&self.two_separators, names, |cells, first| {
            let (noun, verb) = if cells == 1 { ("cell", "is") } else { ("cells", "are") };
            format!(
                "{cells} {noun} such as {first} {verb} split into tags at commas and at another sign, too; --tag-separator ';' takes \
                 one only"
            )
        });
        let at_change = counted(&self.at_change, names, |cells, first| {
            let (noun, verb) = if cells == 1 { ("time", "is") } else { ("times", "are") };
            format!(
                "{cells} {noun} such as {first} {verb} twice or never on the clocks of --timezone, because they are changed then; the \
                 offset before the change is taken"
            )
        });
        let of_cells = missing.into_iter().chain(unclear).chain(separators).chain(at_change);
        of_cells.chain(self.offset_sentence(dates)).collect()
    }

    fn offset_sentence(&self, dates: &DateRules) -> Option<String> {
        let is = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        let load = |offset: &AtomicI64| Some(offset.load(Ordering::Relaxed)).filter(|offset| *offset != NONE);
        let (first, other) = (load(&self.first_offset), load(&self.other_offset));
        let without = is(&self.has_time_without_offset);
        if dates.offset == OffsetRule::Utc {
            let is_converted = first.is_some() || without && dates.zone.is_some();
            return if without && dates.zone.is_none() {
                Some("times without an offset from UTC are sent as they are written; --timezone says where they are from".to_owned())
            } else if is_converted && is(&self.has_day) {
                Some(
                    "times are converted to UTC; days without a time of day are sent as they are written"
                        .to_owned(),
                )
            } else {
                None
            };
        }
        let what = match (first, other) {
            (Some(first), Some(other)) => {
                let (low, high) = (first.min(other), first.max(other));
                format!("times have different offsets from UTC ({} and {})", shown(low), shown(high))
            }
            (Some(first), None) if without => {
                format!("some times have an offset from UTC ({}) and some have none", shown(first))
            }
            (Some(first), None) if is(&self.has_counted) && (first != 0 || dates.zone.is_some()) => {
                let zone = if dates.zone.is_some() { "the zone of --timezone" } else { "UTC" };
                return Some(format!(
                    "some times are numbers since 1970, which are sent in {zone}, and others have an offset from UTC ({}) and are sent as \
                     they are written; --datetime-offset utc converts them",
                    shown(first)
                ));
            }
            (None, _) if is(&self.has_counted) && without && dates.zone.is_none() => {
                return Some(
                    "some times are numbers since 1970, which are sent in UTC, and others have no offset from UTC and are sent as they \
                     are written; --timezone says where these are from"
                        .to_owned(),
                );
            }
            (Some(_) | None, _) => return None,
        };
        Some(format!("{what}; they are sent as they are written, --datetime-offset utc converts them"))
    }
}

fn count(counts: &OnceLock<Box<[CellCount]>>, column: usize, width: usize, text: &str) {
    let counts = counts.get_or_init(|| (0..width).map(|_| CellCount::default()).collect());
    if let Some(count) = counts.get(column) {
        count.cells.fetch_add(1, Ordering::Relaxed);
        count.first.get_or_init(|| text.to_owned());
    }
}

/// A sentence for each column that has such cells, from their number and the first one's text.
fn counted(
    counts: &OnceLock<Box<[CellCount]>>,
    names: &[String],
    say: impl Fn(u64, &str) -> String,
) -> Vec<String> {
    let counts = counts.get().map(|counts| &counts[..]).unwrap_or_default();
    let sentence = |(count, name): (&CellCount, &String)| {
        let cells = count.cells.load(Ordering::Relaxed);
        let first = count.first.get().filter(|_| cells > 0)?;
        Some(format!("{}: {}", crate::redact::clean(name), say(cells, &crate::redact::opaque(first))))
    };
    counts.iter().zip(names).filter_map(sentence).collect()
}

fn shown(minutes: i64) -> String {
    let sign = if minutes < 0 { '-' } else { '+' };
    format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_values_and_offsets_that_differ_are_said_with_their_counts() {
        let notices = Notices::default();
        let names = ["url".to_owned(), "camera".to_owned()];
        let mut dates = DateRules::default();
        assert!(notices.sentences(&names, &dates).is_empty());
        notices.count_missing(1, 2, "N/A");
        notices.count_missing(1, 2, "NULL");
        notices.note_offset(OffsetSeen::Minutes(120));
        assert_eq!(
            notices.sentences(&names, &dates),
            ["camera: 2 cells such as N/A count as missing; --no-null takes them as text"]
        );
        notices.count_unclear_flag(0, 2, "maybe");
        assert_eq!(
            notices.sentences(&names, &dates)[1],
            "url: 1 cell says neither yes nor no, such as maybe, and counts as no; write true or false"
        );
        let notices = Notices::default();
        notices.count_missing(1, 2, "NULL");
        notices.note_offset(OffsetSeen::Minutes(120));
        notices.note_offset(OffsetSeen::Absent);
        assert!(
            notices.sentences(&names, &dates)[1].contains("an offset from UTC (+02:00) and some have none")
        );
        notices.note_offset(OffsetSeen::Minutes(-90));
        assert!(notices.sentences(&names, &dates)[1].contains("(-01:30 and +02:00)"));
        dates.offset = OffsetRule::Utc;
        assert!(
            notices.sentences(&names, &dates)[1].contains("without an offset from UTC are sent as they are")
        );
        dates.zone = Some(jiff::tz::TimeZone::UTC);
        assert_eq!(notices.sentences(&names, &dates).len(), 1, "all are converted");
    }

    #[test]
    fn numbers_since_1970_and_days_beside_other_times_are_said() {
        let said = |seen: &[OffsetSeen], dates: &DateRules| {
            let notices = Notices::default();
            for seen in seen {
                notices.note_offset(*seen);
            }
            notices.sentences(&[], dates).concat()
        };
        let (counted, day) = (OffsetSeen::Counted, OffsetSeen::Day);
        let mut dates = DateRules::default();
        assert!(
            said(&[counted, OffsetSeen::Minutes(120)], &dates)
                .contains("others have an offset from UTC (+02:00)")
        );
        assert!(said(&[counted, OffsetSeen::Absent], &dates).contains("others have no offset"));
        assert_eq!(said(&[counted, OffsetSeen::Minutes(0)], &dates), "", "both are UTC");
        assert_eq!(said(&[counted, day, OffsetSeen::Midnight], &dates), "");
        dates.zone = Some(jiff::tz::TimeZone::UTC);
        assert_eq!(said(&[counted, OffsetSeen::Absent], &dates), "", "both are of the zone");
        assert!(said(&[counted, OffsetSeen::Minutes(0)], &dates).contains("in the zone of --timezone"));
        dates.offset = OffsetRule::Utc;
        assert_eq!(said(&[counted, OffsetSeen::Minutes(0), OffsetSeen::Absent], &dates), "");
        assert!(
            said(&[day, OffsetSeen::Absent], &dates)
                .contains("days without a time of day are sent as they are")
        );
        assert_eq!(said(&[day, counted], &dates), "");
    }
}

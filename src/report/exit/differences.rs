//! The exit status of what the comparison at the end of a run found.

use super::{EndOfRun, ExitCode, ExitStatus};
use crate::{
    domain::counted,
    ledger::{DiffEntry, DiffKind, LibraryDiff},
};

/// The most videos that a message names.
const VIDEOS_NAMED_MAX: usize = 10;

/// What the comparison at the end found of rows of this ledger, each with what to do. `None`: nothing.
pub(super) fn differences(library_diffs: &[LibraryDiff], open: &str, flags: &str) -> Option<ExitStatus> {
    let verify = format!("list all of them with their items: telecine verify{flags}");
    let undo = format!("{verify}; list and then delete second videos: telecine undo --duplicates{flags}");
    let kinds: [(Difference, &str, String); 3] = [
        (
            |finding| {
                let is_own_row = finding.kind == DiffKind::Foreign && finding.item.is_some();
                finding.kind == DiffKind::Surplus || is_own_row
            },
            "of rows of this ledger that this ledger did not count: uploaded with another ledger, or paid twice",
            undo,
        ),
        (
            |finding| finding.kind == DiffKind::OtherMarker,
            "whose markers contradict the ledger: an answer named the video of another request",
            format!("{verify}; library_diff.csv says which row each is of; nothing is sent again or deleted for them"),
        ),
        (
            |finding| finding.kind == DiffKind::Rejected,
            "of rows whose requests it answered as rejected",
            "give the same command with --retry-failed: it binds the rows to these videos and uploads nothing for them"
                .to_owned(),
        ),
    ];
    let (mut reasons, mut next) = (Vec::new(), Vec::new());
    for (is_of_kind, what, to_do) in kinds {
        let findings = library_diffs.iter().flat_map(|library_diff| &library_diff.findings);
        let found: Vec<&DiffEntry> = findings.filter(|finding| is_of_kind(finding)).collect();
        if !found.is_empty() {
            let videos = counted(found.len() as u64, "video", "videos");
            reasons.push(format!("the service has {videos} {what}: {}", named(&found)));
            next.push(to_do);
        }
    }
    if reasons.is_empty() {
        return None;
    }
    let reason = format!("{}; {open}", reasons.join("; "));
    Some(ExitStatus::new(ExitCode::NeedsReview, reason, &next.join("; ")))
}

/// Whether a finding is of a kind of difference.
type Difference = fn(&DiffEntry) -> bool;

/// The first videos of findings with their items, and how many more there are.
fn named(found: &[&DiffEntry]) -> String {
    let named: Vec<String> = found
        .iter()
        .take(VIDEOS_NAMED_MAX)
        .filter_map(|finding| Some(format!("{} (item {})", finding.video_no.as_ref()?, finding.item?)))
        .collect();
    let more = found.len().saturating_sub(named.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", named.join(", "))
}

/// Videos that were searchable and are failed now, where nothing else is to be said.
pub(super) fn failed_later(status: ExitStatus, end: &EndOfRun) -> ExitStatus {
    let count: u64 = end.library_diffs.iter().map(|diff| diff.count(DiffKind::FailedLater)).sum();
    if count == 0 || status.code != ExitCode::Success {
        return status;
    }
    let videos = counted(count, "video that was searchable is", "videos that were searchable are");
    let next = format!("list them: telecine verify{}", end.ledger_flags);
    let reason = format!("{videos} shown as failed by the service now; {}", status.reason);
    ExitStatus::new(ExitCode::SomeFailed, reason, &next)
}

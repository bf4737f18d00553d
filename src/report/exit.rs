//! The exit status of a run: its code, the cause in one sentence, and what to do next.

mod differences;

use super::{Counts, EndOfRun, counted};
use crate::{
    domain::{RowCounts, RunOutcome, StopReason, format_duration, no_row_remedy, no_row_text},
    error::ExitCode,
    ledger::BadRowCounts,
};
use differences::{differences, failed_later};

/// Whether a run had anything to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// The state of an item changed.
    Done,
    /// Every item was final before the run began.
    NoneLeft,
}

/// What the ledger knows after a run.
#[derive(Clone, Copy, Debug)]
pub struct RunResults<'a> {
    /// Rows of the run's manifests.
    pub rows: &'a RowCounts,
    /// Items of the run's manifests.
    pub items: &'a Counts,
    /// How many rows are bad, and how many of them are news.
    pub bad_rows: BadRowCounts,
    /// Whether the run had anything to do.
    pub work: Work,
    /// Pending rows whose links have expired.
    pub expired: u64,
    /// Videos of the ledger that were ordered to be deleted, and are not proven to be gone.
    pub open_deletions: u64,
}

/// How the process ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExitStatus {
    /// The exit code.
    pub code: ExitCode,
    /// The cause, in one sentence.
    pub reason: String,
    /// What to do next. `None`: nothing.
    pub next_step: Option<String>,
}

impl ExitStatus {
    fn new(code: ExitCode, reason: String, next_step: &str) -> Self {
        Self { code, reason, next_step: Some(next_step.to_owned()) }
    }

    /// The same command resumes the work.
    fn resumable(code: ExitCode, reason: String) -> Self {
        Self::new(code, reason, "run the same command again; it resumes where this run stopped")
    }
}

/// The exit status of a run. A pause is a success where nobody watches, unless there is news: the next run goes on.
#[must_use]
pub fn exit_status(end: &EndOfRun, results: &RunResults<'_>) -> ExitStatus {
    let status = failed_later(status_of(end, results), end);
    let is_pause = matches!(status.code, ExitCode::BudgetReached | ExitCode::TimeUp | ExitCode::QuotaPaused);
    if !end.is_cron || !is_pause {
        return status;
    }
    // the next run will find that these were reported: nobody would ever hear of them
    let (code, bad) = match results.bad_rows.new {
        0 => (ExitCode::Success, String::new()),
        _ => (ExitCode::SomeFailed, bad_rows_text(&results.bad_rows)),
    };
    ExitStatus { code, reason: format!("paused: {}{bad}", status.reason), ..status }
}

fn status_of(end: &EndOfRun, results: &RunResults<'_>) -> ExitStatus {
    let items = results.items;
    let open = open_items(items);
    let flags = &end.ledger_flags;
    if let Some(status) = differences(&end.library_diffs, &open, flags) {
        return status;
    }
    match &end.outcome {
        RunOutcome::Stopped { reason, cause } => {
            let (what, next) = stop_reason(*reason);
            ExitStatus::new(stop_code(*reason), format!("{what} ({cause})"), next)
        }
        RunOutcome::Interrupted => {
            let code = end.signal.unwrap_or(ExitCode::Interrupted);
            ExitStatus::resumable(code, format!("stopped by a signal; {open}"))
        }
        RunOutcome::Offline { cause, attempts } => {
            let reason =
                format!("the service cannot be reached ({cause}); giving up after {attempts} attempts");
            ExitStatus::new(ExitCode::Temporary, reason, stop_reason(StopReason::Unreachable).1)
        }
        RunOutcome::WaitOver => wait_over(end, items, &open),
        RunOutcome::TimeUp => {
            ExitStatus::resumable(ExitCode::TimeUp, format!("the time given with --for is over; {open}"))
        }
        RunOutcome::RowsMax => {
            ExitStatus::resumable(ExitCode::BudgetReached, format!("--max-rows is reached; {open}"))
        }
        RunOutcome::QuotaPaused { why } => {
            let next = "run the same command again then; it resumes where this run stopped";
            ExitStatus::new(ExitCode::QuotaPaused, format!("{why}; {open}"), next)
        }
        RunOutcome::BudgetSpent => {
            let next = "raise --max-uploads or --max-credits, then run the same command again";
            ExitStatus::new(
                ExitCode::BudgetReached,
                format!("the budget is spent or committed; {open}"),
                next,
            )
        }
        RunOutcome::TooManyInDoubt { open: count } => too_many_in_doubt(*count, items, &open, flags),
        RunOutcome::AlreadyUploaded { item } => already_uploaded(item, flags),
        RunOutcome::DiskLow { free } => {
            let next = "free some space (or lower --disk-reserve), then run the same command again";
            let free = super::with_separators(free / 1024);
            let reason = format!("the ledger's disk has only {free} KiB free; {open}");
            ExitStatus::new(ExitCode::Temporary, reason, next)
        }
        RunOutcome::NothingLeft { left_out } => {
            ExitStatus::new(ExitCode::ManifestInvalid, no_row_text(*left_out), no_row_remedy(*left_out))
        }
        RunOutcome::NotWaited | RunOutcome::Finished => status_of_finished(end, results),
    }
}

/// How long the run waited, and with which flag that is said.
fn wait_over(end: &EndOfRun, items: &Counts, open: &str) -> ExitStatus {
    let wait = end.wait.map(|wait| format!(" (--wait, {})", format_duration(wait))).unwrap_or_default();
    let reason = format!("the time to wait{wait} is over; {open}");
    if items.in_doubt + items.accepted_unidentified == 0 {
        return ExitStatus::resumable(ExitCode::Temporary, reason);
    }
    let next = format!(
        "run the same command again: it searches for their videos and sends no row without evidence; what it waits \
         for: telecine review --all{}",
        end.ledger_flags
    );
    ExitStatus::new(ExitCode::Temporary, reason, &next)
}

fn links_expired(results: &RunResults<'_>, flags: &str) -> ExitStatus {
    let links =
        counted(results.expired, "link expired before it was sent", "links expired before they were sent");
    let reason = format!("{links}; {}{}", open_items(results.items), bad_rows_text(&results.bad_rows));
    let next = format!(
        "sign the rows of unfinished.csv again and import them; a link signed again is the same video. If all bad rows stay as \
         they are: telecine acknowledge --all{flags}"
    );
    ExitStatus::new(ExitCode::SomeFailed, reason, &next)
}

fn too_many_in_doubt(count: u64, items: &Counts, open: &str, flags: &str) -> ExitStatus {
    let requests = counted(count, "request has", "requests have");
    let reason = format!("{requests} no clear answer, so nothing more is sent; {open}");
    let next = format!(
        "show them: telecine review --all{flags}; look for their evidence: telecine reconcile{flags}"
    );
    let code = if items.needs_review > 0 { ExitCode::NeedsReview } else { ExitCode::Temporary };
    ExitStatus::new(code, reason, &next)
}

fn already_uploaded(item: &str, flags: &str) -> ExitStatus {
    let reason = format!(
        "item {item} is at the service already, sent with another or a newer ledger: to continue would pay twice"
    );
    let next =
        format!("put that ledger back, or bring this one up to date: telecine recover MANIFEST{flags}");
    ExitStatus::new(ExitCode::NeedsReview, reason, &next)
}

/// The status of a run that was not interrupted.
fn status_of_finished(end: &EndOfRun, results: &RunResults<'_>) -> ExitStatus {
    let RunResults { rows, items, work, open_deletions, .. } = results;
    if items.needs_review > 0 {
        let reason = counted(items.needs_review, "item needs your decision", "items need your decision");
        let next = format!(
            "see the evidence and the possible decisions: telecine review{}; none of them is sent again until then",
            end.ledger_flags
        );
        return ExitStatus::new(ExitCode::NeedsReview, reason, &next);
    }
    let bad = results.bad_rows;
    // a row whose link expired is a bad row: it waits for a new link, not for this run
    if count_open(items) > results.expired {
        return work_left(&end.outcome, items, &bad);
    }
    // where nobody watches, only news is worth a failed run
    let is_bad = if end.is_cron { bad.new > 0 } else { bad.new + bad.known > 0 };
    if results.expired > 0 && is_bad {
        return links_expired(results, &end.ledger_flags);
    }
    if items.total == 0 && rows.invalid > 0 && is_bad {
        let reason = match rows.read {
            1 => "the row could not be sent".to_owned(),
            read => format!("none of the {} rows could be sent", super::with_separators(read)),
        };
        return ExitStatus::new(ExitCode::ManifestInvalid, reason, "see rejects.csv for what to correct");
    }
    if items.total == 0 && !end.broken_manifests.is_empty() {
        let reason = end.broken_manifests.join("; ");
        return ExitStatus::new(ExitCode::ManifestInvalid, reason, "correct the manifest or the flags");
    }
    if !end.broken_manifests.is_empty() {
        let reason =
            format!("not read to its end: {}{}", end.broken_manifests.join("; "), bad_rows_text(&bad));
        let next = "correct the manifest or the flags, and import it again; what was sent is not sent again";
        return ExitStatus::new(ExitCode::SomeFailed, reason, next);
    }
    if is_bad {
        let reason = format!("finished{}", bad_rows_text(&bad));
        let next = format!(
            "correct rejects.csv and import it; the other rows are not sent again. If all of them stay as they are: \
             telecine acknowledge --all{}",
            end.ledger_flags
        );
        return ExitStatus::new(ExitCode::SomeFailed, reason, &next);
    }
    let done = match (items.total - items.deleted, work) {
        (0, _) => "nothing to do".to_owned(),
        (_, Work::NoneLeft) if bad.total > 0 => "nothing was left to do".to_owned(),
        (_, Work::Done) if bad.total > 0 => {
            format!("{} searchable", counted(items.indexed, "item is", "items are"))
        }
        (total, Work::NoneLeft) => format!("nothing was left to do: {}", all_searchable(total)),
        (total, Work::Done) => all_searchable(total),
    };
    let deleted = match items.deleted {
        0 => String::new(),
        count => format!("; {} deleted by undo", counted(count, "video was", "videos were")),
    };
    let being_deleted = match open_deletions {
        0 => String::new(),
        count => {
            let videos = counted(*count, "video was", "videos were");
            format!("; {videos} ordered to be deleted, not proven yet: run the same telecine undo again")
        }
    };
    let reason = format!("{done}{deleted}{being_deleted}{}", bad_rows_text(&bad));
    ExitStatus { code: ExitCode::Success, reason, next_step: None }
}

/// `all 1,234 items are searchable`.
fn all_searchable(total: u64) -> String {
    if total == 1 {
        return "the item is searchable".to_owned();
    }
    format!("all {} items are searchable", super::with_separators(total))
}

/// The status of a run that came to its end while items are open: it did not wait for them, or sends nothing.
fn work_left(outcome: &RunOutcome, items: &Counts, bad: &BadRowCounts) -> ExitStatus {
    let bad = bad_rows_text(bad);
    let next = if *outcome == RunOutcome::NotWaited {
        "run the same command again; without --no-wait it waits for them"
    } else {
        "import the manifests they came from; an import sends what is pending"
    };
    ExitStatus::new(ExitCode::Temporary, format!("{}{bad}", open_items(items)), next)
}

/// `; 13 bad rows (12 known, 1 new)`. Empty without such rows.
fn bad_rows_text(bad: &BadRowCounts) -> String {
    if bad.total == 0 {
        return String::new();
    }
    format!("; {} ({})", counted(bad.total, "bad row", "bad rows"), show_bad_rows(bad))
}

/// `10 acknowledged, 2 known, 1 new`.
pub(super) fn show_bad_rows(bad: &BadRowCounts) -> String {
    let parts = [(bad.acknowledged, "acknowledged"), (bad.known, "known"), (bad.new, "new")];
    let shown = parts.iter().filter(|(count, _)| *count > 0);
    let texts: Vec<String> =
        shown.map(|(count, what)| format!("{} {what}", super::with_separators(*count))).collect();
    texts.join(", ")
}

/// Items that are not final and need no decision.
const fn count_open(items: &Counts) -> u64 {
    items.pending + items.sending + items.in_doubt + items.accepted_unidentified + items.accepted
}

/// `3 accepted (being indexed), 12 pending (to be sent)`.
fn open_items(items: &Counts) -> String {
    let open = items.by_state().into_iter().filter(|(count, state)| *count > 0 && !state.is_final());
    let texts: Vec<String> =
        open.map(|(count, state)| counted(count, state.label(1), state.label(2))).collect();
    if texts.is_empty() { "nothing is open".to_owned() } else { texts.join(", ") }
}

/// What this machine itself must be set up for is no refusal of the service, and an absent network none at all.
#[must_use]
pub const fn stop_code(reason: StopReason) -> ExitCode {
    match reason {
        StopReason::ProxyUnusable | StopReason::UntrustedCertificate | StopReason::NoSourceCredentials => {
            ExitCode::Usage
        }
        StopReason::Unreachable | StopReason::Unlisted | StopReason::FilesUnreadable => ExitCode::Temporary,
        StopReason::KeyRefused
        | StopReason::CreditsOut
        | StopReason::AccountDisabled
        | StopReason::NoPermission
        | StopReason::WrongAddress
        | StopReason::Retired
        | StopReason::WrongRequest
        | StopReason::Blocked
        | StopReason::NotTheService
        | StopReason::MostlyRejected
        | StopReason::UserRule => ExitCode::Fatal,
    }
}

/// What a reason to stop means, and what to do about it.
#[must_use]
pub const fn stop_reason(reason: StopReason) -> (&'static str, &'static str) {
    match reason {
        StopReason::KeyRefused => {
            ("the service refuses the API key", "check the key, then run the same command again")
        }
        StopReason::CreditsOut => {
            ("the account has no credits left", "recharge the account, then run the same command again")
        }
        StopReason::AccountDisabled => {
            ("the account is disabled", "ask the service's support, then run the same command again")
        }
        StopReason::NoPermission => {
            ("the API key lacks the permission", "use a key that may upload, then run the same command again")
        }
        StopReason::MostlyRejected => (
            "the service rejected most of the last rows, so the rows themselves are probably not the cause; nothing more was sent",
            "read the service's words, check a few rows with `telecine preview`, then run the same command again; \
             if these answers mean something else, say so with --verdict",
        ),
        StopReason::Retired => (
            "the service answers that this API is retired; nothing more was sent",
            "ask the service which API is in use now; a newer telecine may support it",
        ),
        StopReason::WrongRequest => (
            "the service does not read requests of this form",
            "check --api-url: another service, or another version of this one, may answer there",
        ),
        StopReason::Blocked => (
            "a proxy or firewall between this machine and the service refuses the request",
            "ask whoever runs the network, or set HTTPS_PROXY and NO_PROXY; the account is not the cause",
        ),
        StopReason::NotTheService => (
            "another server answers instead of the service: a login page of the network, a proxy, or a wrong address",
            "log in to the network with a browser, or correct --api-url, HTTPS_PROXY and NO_PROXY, then run the same command \
             again",
        ),
        StopReason::Unreachable => (
            "the service cannot be reached",
            "check the network of this machine, then run the same command again; it resumes where this run stopped",
        ),
        StopReason::Unlisted => (
            "the service does not list its videos, so that nothing shows what is uploaded already; nothing was sent",
            "run the same command again later; telecine doctor asks for one page of the list",
        ),
        StopReason::ProxyUnusable => (
            "the proxy cannot be used",
            "correct HTTPS_PROXY or ALL_PROXY (SCHEME://USER:PASSWORD@HOST:PORT), or name the service in NO_PROXY, then give \
             the same command again",
        ),
        StopReason::NoSourceCredentials => (
            "objects of the manifest cannot be reached with the credentials; their rows were not sent, and all others were",
            "correct the credentials, then run the same command again: it sends the rows that are left",
        ),
        StopReason::FilesUnreadable => (
            "files or objects of the manifest cannot be read, or most of the last ones changed; they were not sent",
            "check the disk or the storage, and the permissions, then run the same command again, with --retry-failed if files \
             were gone and are back; it resumes where this run stopped",
        ),
        StopReason::UntrustedCertificate => (
            "the TLS certificate cannot be trusted",
            "if your network inspects TLS or uses an authority of its own, set SSL_CERT_FILE to the authority's certificate \
             (PEM); if not, stop: the connection may be intercepted",
        ),
        StopReason::UserRule => (
            "a rule of --verdict says to stop at this answer",
            "read the service's words, then run the same command again",
        ),
        StopReason::WrongAddress => {
            ("the address does not lead to the service", "check --api-url, then run the same command again")
        }
    }
}

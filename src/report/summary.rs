//! What a run came to, in numbers that must add up, and the exit code that follows.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Serialize;

use super::ReportFile;
use crate::{
    domain::{Price, RowCounts, RunOutcome, State, StopReason, UnixMillis},
    error::{Error, ExitCode},
    ledger::{DiffKind, LibraryDiff, RunId, Snapshot, StateCounts},
};

/// The version of `report.json` and of every JSON line; grows when a field changes its meaning.
pub const SCHEMA: u32 = 1;

/// Items by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// All of them; the sum of the others.
    pub total: u64,
    /// Waiting to be sent.
    pub pending: u64,
    /// On the wire.
    pub sending: u64,
    /// Outcome unknown.
    pub in_doubt: u64,
    /// Accepted, video not known yet.
    pub accepted_unidentified: u64,
    /// Waiting for a human.
    pub needs_review: u64,
    /// Accepted, being indexed.
    pub accepted: u64,
    /// Searchable.
    pub indexed: u64,
    /// Could not be indexed.
    pub failed: u64,
    /// Refused by the service.
    pub rejected: u64,
    /// Given up.
    pub abandoned: u64,
}

impl From<&StateCounts> for Counts {
    fn from(state_counts: &StateCounts) -> Self {
        Self {
            total: state_counts.total(),
            pending: state_counts.of(State::Pending),
            sending: state_counts.of(State::Sending),
            in_doubt: state_counts.of(State::InDoubt),
            accepted_unidentified: state_counts.of(State::AcceptedUnidentified),
            needs_review: state_counts.of(State::NeedsReview),
            accepted: state_counts.of(State::Accepted),
            indexed: state_counts.of(State::Indexed),
            failed: state_counts.of(State::Failed),
            rejected: state_counts.of(State::Rejected),
            abandoned: state_counts.of(State::Abandoned),
        }
    }
}

/// What the run spent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct QuotaUse {
    /// The rate kept.
    pub rate: String,
    /// The rolling windows kept.
    pub caps: Vec<String>,
    /// Upload requests made.
    pub requests: u64,
    /// Accepted.
    pub accepted: u64,
    /// Refused by a limit or for lack of a right.
    pub refused: u64,
    /// Given up before the first byte.
    pub not_sent: u64,
}

/// How a run ended, before the ledger is asked what it came to.
#[derive(Debug)]
pub struct EndOfRun {
    /// `import` or `reconcile`.
    pub command: &'static str,
    /// The run.
    pub run: RunId,
    /// How it ended.
    pub outcome: RunOutcome,
    /// Manifests that could not be read to their end, each as a sentence.
    pub broken_manifests: Vec<String>,
    /// The signal, if one came.
    pub signal: Option<ExitCode>,
    /// When.
    pub at: UnixMillis,
    /// The rate kept.
    pub rate: String,
    /// The rolling windows kept.
    pub caps: Vec<String>,
    /// When the quota lets the next upload go.
    pub next_upload_at: UnixMillis,
    /// What an upload costs, if that is known.
    pub price: Option<Price>,
    /// The service compared with the ledger.
    pub library_diffs: Vec<LibraryDiff>,
}

/// What is spent, and what may be, in the whole ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spend {
    /// Uploads paid or possibly paid.
    pub uploads: u64,
    /// Of them those whose outcome is not known: at risk, not lost.
    pub open: u64,
    /// What all of them cost at most; none when no price was said.
    pub credits: Option<String>,
}

impl Spend {
    /// What a ledger holds at stake.
    pub fn of(snapshot: &Snapshot, items: &Counts, price: Option<Price>) -> Result<Self, Error> {
        let uploads = snapshot.committed_uploads()?;
        let open = items.sending + items.in_doubt + items.needs_review;
        Ok(Self { uploads, open, credits: price.map(|price| price.of(uploads).to_string()) })
    }
}

/// One namespace compared, in numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// The namespace.
    pub namespace: String,
    /// Videos the service lists there.
    pub listed: u64,
    /// Items of the ledger that are bound to a video.
    pub bound: u64,
    /// Videos on which both sides agree.
    pub matched: u64,
    /// How many of each kind do not match.
    pub findings: BTreeMap<&'static str, u64>,
}

impl From<&LibraryDiff> for Compared {
    fn from(library_diff: &LibraryDiff) -> Self {
        let counts = DiffKind::ALL.iter().map(|kind| (kind.as_str(), library_diff.count(*kind)));
        Self {
            namespace: library_diff.namespace.clone(),
            listed: library_diff.listed,
            bound: library_diff.bound,
            matched: library_diff.matched,
            findings: counts.filter(|(_, count)| *count > 0).collect(),
        }
    }
}

/// `report.json`, and the last line of `--json`.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The program's version.
    pub telecine: &'static str,
    /// The run's name.
    pub run: String,
    /// `import` or `reconcile`.
    pub command: &'static str,
    /// The service.
    pub service: String,
    /// When the run began, RFC 3339.
    pub started_at: String,
    /// When it ended, RFC 3339.
    pub ended_at: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// The exit code.
    pub exit_code: ExitCode,
    /// Why, in one sentence.
    pub exit_reason: String,
    /// What to do next, if anything.
    pub next_step: Option<String>,
    /// When the same command can go on sending, RFC 3339; none when nothing waits to be sent.
    pub next_run_at: Option<String>,
    /// Rows of the run's manifests.
    pub rows: RowCounts,
    /// Items of the run's manifests.
    pub items: Counts,
    /// Items of the whole ledger.
    pub ledger: Counts,
    /// What was sent.
    pub quota: QuotaUse,
    /// What is paid, over all runs of the ledger.
    pub spend: Spend,
    /// The service compared with the ledger at the end of the run, where that was affordable.
    pub audit: Vec<Compared>,
    /// Manifests not read to their end, each as a sentence.
    pub broken_manifests: Vec<String>,
    /// The CSV files.
    pub files: Vec<ReportFile>,
}

impl Summary {
    /// Counts what a run came to and checks that the books balance.
    pub fn of_run(snapshot: &Snapshot, end: EndOfRun, files: Vec<ReportFile>) -> Result<Self, Error> {
        let row = snapshot.run(end.run)?;
        let rows = row.rows;
        let ledger = Counts::from(&snapshot.state_counts()?);
        let of_manifests = Counts::from(&snapshot.state_counts_of_run(end.run)?);
        // a run without manifests speaks of the whole ledger
        let items = if end.command == "reconcile" { ledger } else { of_manifests };
        balance(snapshot, &rows, &of_manifests, &files)?;
        let something_happened =
            snapshot.last_event_at()?.is_some_and(|timestamp| timestamp >= row.started_at);
        let work = if something_happened { Work::Done } else { Work::NoneLeft };
        let expired = snapshot.expired_of_run(end.run, end.at)?;
        let (code, exit_reason, next_step) = exit_code(&end, &rows, &items, (work, expired));
        let next_run_at =
            (items.pending > expired).then(|| end.next_upload_at.max(end.at).plus_ms(999).to_string());
        let requests = snapshot.requests_since(row.started_at)?;
        let spend = Spend::of(snapshot, &ledger, end.price)?;
        Ok(Self {
            schema: SCHEMA,
            telecine: env!("CARGO_PKG_VERSION"),
            run: row.name,
            command: end.command,
            service: snapshot.origin()?,
            started_at: row.started_at.to_string(),
            ended_at: end.at.to_string(),
            seconds: seconds(end.at.since_ms(row.started_at)),
            exit_code: code,
            exit_reason,
            next_step,
            next_run_at,
            rows,
            items,
            ledger,
            quota: QuotaUse {
                rate: end.rate,
                caps: end.caps,
                requests: requests.attempts,
                accepted: requests.accepted,
                refused: requests.refused,
                not_sent: requests.not_sent,
            },
            spend,
            audit: end.library_diffs.iter().map(Compared::from).collect(),
            broken_manifests: end.broken_manifests,
            files,
        })
    }

    /// Where the report's files are.
    #[must_use]
    pub fn folder(&self) -> Option<PathBuf> {
        self.files.first().and_then(|file| file.path.parent()).map(PathBuf::from)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a duration for a reader")]
fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}

/// Rows in must be rows out; a run whose books do not balance fails.
fn balance(snapshot: &Snapshot, rows: &RowCounts, items: &Counts, files: &[ReportFile]) -> Result<(), Error> {
    let accounted = rows.accounted();
    let must_equal = |what: &str, left: u64, right: u64| {
        if left == right { Ok(()) } else { Err(Error::Totals(format!("{what}: {left} is not {right}"))) }
    };
    must_equal("rows read and rows accounted for", rows.read, accounted + rows.duplicates + rows.rejected)?;
    must_equal("rows taken in and items seen", accounted, items.total)?;
    if !files.is_empty() {
        let name_of =
            |file: &ReportFile| file.path.file_name().map(|name| name.to_string_lossy().into_owned());
        let written: u64 = files
            .iter()
            .filter(|file| name_of(file).as_deref() != Some("drifted.csv"))
            .map(|file| file.rows)
            .sum();
        must_equal("rows read and rows written", rows.read, written)?;
    }
    match snapshot.contradictions()? {
        0 => Ok(()),
        count => Err(Error::Totals(format!("{count} items contradict their attempts"))),
    }
}

/// Whether a run had anything to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Something happened to an item.
    Done,
    /// Everything was final before it began.
    NoneLeft,
}

/// The exit code of a run, why, and what to do next.
#[must_use]
pub fn exit_code(
    end: &EndOfRun,
    rows: &RowCounts,
    items: &Counts,
    (work, expired): (Work, u64),
) -> (ExitCode, String, Option<String>) {
    let again = |reason: String| {
        (reason, Some("give the same command again; it goes on where this run stopped".to_owned()))
    };
    let open = open_words(items);
    let doubled: u64 =
        end.library_diffs.iter().map(|library_diff| library_diff.count(DiffKind::Doubled)).sum();
    if doubled > 0 {
        let reason = format!("the service has {doubled} videos that were paid beside the books; {open}");
        let next = "see them with `telecine verify`, and please report this".to_owned();
        return (ExitCode::NeedsReview, reason, Some(next));
    }
    let (code, (reason, next)) = match &end.outcome {
        RunOutcome::Stopped { reason, cause } => {
            let (what, next) = stop_words(*reason);
            (ExitCode::Fatal, (format!("{what} ({cause})"), Some(next.to_owned())))
        }
        RunOutcome::Interrupted => {
            let code = end.signal.unwrap_or(ExitCode::Interrupted);
            (code, again(format!("stopped by a signal; {open}")))
        }
        RunOutcome::Offline { cause } => {
            (ExitCode::Temporary, again(format!("the service cannot be reached ({cause})")))
        }
        RunOutcome::WaitOver if items.in_doubt + items.accepted_unidentified > 0 => {
            let next = "give the same command again, it looks for their videos and sends none of them blindly; \
                        telecine review --all shows what it waits for, and a human may decide";
            let reason = format!("the time to wait is over; {open}");
            (ExitCode::Temporary, (reason, Some(next.to_owned())))
        }
        RunOutcome::WaitOver => (ExitCode::Temporary, again(format!("the time to wait is over; {open}"))),
        RunOutcome::TimeUp => (ExitCode::TimeUp, again(format!("the time given with --for is over; {open}"))),
        RunOutcome::QuotaPaused { why } => {
            let next =
                "give the same command again when next_run_at has come; it goes on where this run stopped";
            (ExitCode::QuotaPaused, (format!("{why}; {open}"), Some(next.to_owned())))
        }
        RunOutcome::RowsMax => (ExitCode::BudgetReached, again(format!("--max-rows is reached; {open}"))),
        RunOutcome::BudgetSpent => {
            let next = "raise --max-uploads or --max-credits, then give the same command again";
            let reason = format!("the budget is spent or at stake; {open}");
            (ExitCode::BudgetReached, (reason, Some(next.to_owned())))
        }
        RunOutcome::TooManyInDoubt { open: count } => {
            let reason = format!("{count} requests have no clear answer, so nothing more is sent; {open}");
            let next = "telecine review --all shows them; telecine reconcile looks for their evidence";
            let code = if items.needs_review > 0 { ExitCode::NeedsReview } else { ExitCode::Temporary };
            (code, (reason, Some(next.to_owned())))
        }
        RunOutcome::AlreadyUploaded { item } => {
            let reason = format!(
                "item {item} is at the service already, sent with another or a newer ledger: sending on would pay twice"
            );
            let next =
                "put that ledger back, or bring this one up to date: telecine recover MANIFEST".to_owned();
            (ExitCode::NeedsReview, (reason, Some(next)))
        }
        RunOutcome::DiskLow { free } => {
            let next = "free some space (or lower --disk-reserve), then give the same command again";
            let reason = format!("the ledger's disk has only {} KiB free; {open}", free / 1024);
            (ExitCode::Temporary, (reason, Some(next.to_owned())))
        }
        RunOutcome::NotWaited if items.in_doubt + items.accepted_unidentified > 0 => {
            (ExitCode::Temporary, again(open))
        }
        RunOutcome::NotWaited | RunOutcome::Settled
            if expired > 0 && items.pending == expired && items.needs_review == 0 =>
        {
            let reason = format!("{expired} links expired before it was their turn; {open}");
            let next = "sign them anew (unfinished.csv names them) and import them; a link signed anew is the same video";
            (ExitCode::SomeFailed, (reason, Some(next.to_owned())))
        }
        RunOutcome::NotWaited | RunOutcome::Settled => settled_words(end, rows, items, work),
    };
    (code, reason, next)
}

fn settled_words(
    end: &EndOfRun,
    rows: &RowCounts,
    items: &Counts,
    work: Work,
) -> (ExitCode, (String, Option<String>)) {
    if items.needs_review > 0 {
        let reason = format!("{} items wait for a human's answer", items.needs_review);
        let next =
            "telecine review shows the evidence and the answers; nothing of it is sent again until then";
        return (ExitCode::NeedsReview, (reason, Some(next.to_owned())));
    }
    let open = items.pending + items.sending + items.in_doubt + items.accepted_unidentified + items.accepted;
    if open > 0 && end.outcome == RunOutcome::Settled {
        let next = "import the manifests they came from; an import sends what waits";
        return (ExitCode::Temporary, (open_words(items), Some(next.to_owned())));
    }
    let bad = rows.rejected + items.rejected + items.failed + items.abandoned;
    if items.total == 0 && rows.rejected > 0 {
        let reason = format!("none of the {} rows could be sent", rows.read);
        return (ExitCode::ManifestInvalid, (reason, Some("see rejects.csv for what to correct".to_owned())));
    }
    if items.total == 0 && !end.broken_manifests.is_empty() {
        let reason = end.broken_manifests.join("; ");
        return (ExitCode::ManifestInvalid, (reason, Some("correct the manifest or the flags".to_owned())));
    }
    if bad > 0 || !end.broken_manifests.is_empty() {
        let reason = format!("finished; {bad} rows were rejected or failed");
        let next = "correct rejects.csv and import it; the rows that went well are not sent again";
        return (ExitCode::SomeFailed, (reason, Some(next.to_owned())));
    }
    let reason = match (items.total, end.outcome == RunOutcome::NotWaited) {
        (0, _) => "nothing to do".to_owned(),
        (_, true) => format!("everything is sent; {} are being indexed", items.accepted),
        (total, false) if work == Work::NoneLeft => {
            format!("nothing was left to do: all {total} items are searchable")
        }
        (total, false) => format!("all {total} items are searchable"),
    };
    (ExitCode::Success, (reason, None))
}

/// `12 wait to be sent, 3 are being indexed`.
fn open_words(items: &Counts) -> String {
    let parts = [
        (items.pending, "wait to be sent"),
        (items.sending, "are on the wire"),
        (items.in_doubt, "have no clear answer"),
        (items.accepted_unidentified, "are accepted under a number not known yet"),
        (items.needs_review, "wait for a human's answer"),
        (items.accepted, "are being indexed"),
    ];
    let words: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    if words.is_empty() { "nothing is open".to_owned() } else { words.join(", ") }
}

const fn stop_words(reason: StopReason) -> (&'static str, &'static str) {
    match reason {
        StopReason::KeyRefused => {
            ("the service refuses the API key", "check the key, then give the same command again")
        }
        StopReason::CreditsOut => {
            ("the account has no credits left", "recharge the account, then give the same command again")
        }
        StopReason::AccountDisabled => {
            ("the account is disabled", "ask the service's support, then give the same command again")
        }
        StopReason::NoPermission => (
            "the API key lacks the permission",
            "use a key that may upload, then give the same command again",
        ),
        StopReason::SameRefusal => (
            "the service refuses one row after another with the same words",
            "if the rows are at fault correct them; if not, give the same command with --retry-failed later",
        ),
        StopReason::WrongAddress => {
            ("the address does not lead to the service", "check --api-url, then give the same command again")
        }
    }
}

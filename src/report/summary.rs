//! The results of a run in numbers that must add up.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::Serialize;

use super::{
    ReportFile,
    exit::{RunResults, Work, exit_status},
    reasons::{self, Reason},
};
use crate::{
    domain::{CallCounts, LINK_LIFE_MIN, Price, RowCounts, RunOutcome, State, UnixMillis, counted},
    error::{Error, ExitCode},
    ledger::{BadRowCounts, DiffKind, LibraryDiff, RunId, Snapshot, StateCounts},
};

/// The version of `report.json` and of every JSON line; grows when a field changes its meaning.
pub const SCHEMA: u32 = 1;

/// Items by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Counts {
    /// The sum of the others.
    pub total: u64,
    /// To be sent.
    pub pending: u64,
    /// In flight.
    pub sending: u64,
    /// Sent without a clear answer.
    pub in_doubt: u64,
    /// Accepted, video not known yet.
    pub accepted_unidentified: u64,
    /// Waiting for your decision.
    pub needs_review: u64,
    /// Accepted, being indexed.
    pub accepted: u64,
    /// Searchable.
    pub indexed: u64,
    /// Could not be indexed.
    pub failed: u64,
    /// Rejected by the service.
    pub rejected: u64,
    /// Given up.
    pub abandoned: u64,
    /// Their videos were deleted by order.
    pub deleted: u64,
}

impl Counts {
    /// The counts by state: what is done, what goes on by itself, what waits for a human, and what failed.
    pub const fn by_state(&self) -> [(u64, State); 11] {
        [
            (self.indexed, State::Indexed),
            (self.accepted, State::Accepted),
            (self.pending, State::Pending),
            (self.sending, State::Sending),
            (self.in_doubt, State::InDoubt),
            (self.accepted_unidentified, State::AcceptedUnidentified),
            (self.needs_review, State::NeedsReview),
            (self.failed, State::Failed),
            (self.rejected, State::Rejected),
            (self.abandoned, State::Abandoned),
            (self.deleted, State::Deleted),
        ]
    }

    /// Items in a state that has causes.
    pub const fn with_causes(&self) -> u64 {
        self.failed
            + self.rejected
            + self.abandoned
            + self.in_doubt
            + self.accepted_unidentified
            + self.needs_review
    }

    /// Items whose state does not change by itself any more.
    pub const fn finished(&self) -> u64 {
        self.indexed + self.failed + self.rejected + self.abandoned + self.deleted
    }
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
            deleted: state_counts.of(State::Deleted),
        }
    }
}

/// The limits of uploads that a run kept, and the requests it made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct QuotaUse {
    /// The rate of uploads. `null`: the command uploads nothing.
    pub rate: Option<String>,
    /// The caps of uploads. Empty: there is none, or the command uploads nothing.
    pub caps: Vec<String>,
    /// Upload requests of this run.
    pub requests: u64,
    /// Accepted by the service.
    pub accepted: u64,
    /// Refused because of a limit or a missing permission.
    pub refused: u64,
    /// Given up before the first byte.
    pub not_sent: u64,
}

/// How a run ended, before the results are read from the ledger.
#[derive(Debug)]
pub struct EndOfRun {
    /// `import` or `reconcile`.
    pub command: &'static str,
    pub run: RunId,
    pub outcome: RunOutcome,
    /// Manifests that could not be read to their end, each as a sentence.
    pub broken_manifests: Vec<String>,
    /// What the user should know of the manifests, a sentence each.
    pub manifest_notices: Vec<String>,
    /// The exit code of the signal that stopped the run. `None`: no signal.
    pub signal: Option<ExitCode>,
    pub at: UnixMillis,
    pub rate: String,
    pub caps: Vec<String>,
    /// When the limits allow the next upload.
    pub next_upload_at: UnixMillis,
    /// The price of an upload. `None`: unknown.
    pub price: Option<Price>,
    /// How long the run waits for indexing. `None`: not at all.
    pub wait: Option<Duration>,
    /// The flags that select the ledger in a command, with a blank before them. Empty: it is the default one.
    pub ledger_flags: String,
    /// The service compared with the ledger.
    pub library_diffs: Vec<LibraryDiff>,
    /// Whether nobody watches the run (`--cron`): a pause is a success, and so are bad rows that an earlier report named.
    pub is_cron: bool,
    /// The calls of the service. `None`: none were received.
    pub callbacks: Option<CallCounts>,
}

/// What the whole ledger has paid or may have paid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Spend {
    /// Uploads paid or possibly paid.
    pub uploads: u64,
    /// Of them those whose outcome is not known.
    pub open: u64,
    /// What all of them cost at most. `null`: no price was given.
    pub credits: Option<String>,
}

impl Spend {
    /// The committed uploads of a ledger and their price.
    pub fn of(snapshot: &Snapshot, items: &Counts, price: Option<Price>) -> Result<Self, Error> {
        let uploads = snapshot.committed_uploads()?;
        let open = items.sending + items.in_doubt + items.needs_review;
        Ok(Self { uploads, open, credits: price.map(|price| price.of(uploads).to_string()) })
    }
}

/// One namespace compared, in numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Compared {
    /// The namespace.
    pub namespace: String,
    /// Videos the service lists there.
    pub listed: u64,
    /// Items of the ledger that are bound to a video.
    pub bound: u64,
    /// Videos on which both sides agree.
    pub matched: u64,
    /// More of these, which the service shows by their numbers and does not list, as while they are indexed.
    pub shown_singly: u64,
    /// Videos of others that `verify --allow` names.
    pub allowed: u64,
    /// Another namespace that lists the same videos: the service ignores namespaces (`unique_id`), and each lists the whole
    /// account.
    pub shared_with: Option<String>,
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
            shown_singly: library_diff.shown_singly,
            allowed: library_diff.allowed,
            shared_with: library_diff.shared_with.clone(),
            findings: counts.filter(|(_, count)| *count > 0).collect(),
        }
    }
}

/// `report.json`, and the last line of `--json`.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct Summary {
    /// The version of this contract.
    pub schema: u32,
    /// The program's version.
    pub telecine: &'static str,
    /// The name of the run.
    pub run: String,
    /// `import` or `reconcile`.
    pub command: &'static str,
    /// The address of the service, or the sandbox.
    pub service: String,
    /// When the run began, RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    pub started_at: String,
    /// When it ended, RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    pub ended_at: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// The exit code.
    pub exit_code: ExitCode,
    /// The cause of the exit code, in one sentence.
    pub exit_reason: String,
    /// What to do next, if anything.
    pub next_step: Option<String>,
    /// When the same command can resume sending, RFC 3339. `null`: nothing is pending.
    #[schemars(extend("format" = "date-time"))]
    pub next_run_at: Option<String>,
    /// Rows of the run's manifests.
    pub rows: RowCounts,
    /// Items of the run's manifests.
    pub items: Counts,
    /// Rows that are invalid, that were rejected, failed or given up, or whose link expired before they were sent.
    pub bad_rows: BadRowCounts,
    /// Pending items whose links have expired, or expire within a minute. They are not sent.
    pub expired: u64,
    /// Items of the whole ledger.
    pub ledger: Counts,
    /// The limits, and the upload requests of this run.
    pub quota: QuotaUse,
    /// Over all runs of the ledger.
    pub spend: Spend,
    /// The calls of the service to the callback URLs. `null`: they were not received.
    pub callbacks: Option<CallCounts>,
    /// The library compared with the ledger at the end of the run. Empty: the comparison took too many requests.
    pub audit: Vec<Compared>,
    /// Manifests not read to their end, each as a sentence.
    pub broken_manifests: Vec<String>,
    /// What was odd about the manifests and their rows, a sentence each.
    pub manifest_notices: Vec<String>,
    /// Why items of the run were rejected, failed or need a decision, the most frequent reason first.
    pub reasons: Vec<Reason>,
    /// The CSV files.
    pub files: Vec<ReportFile>,
}

impl Summary {
    /// Counts the results of a run and checks that the totals add up.
    pub fn of_run(snapshot: &Snapshot, end: EndOfRun) -> Result<Self, Error> {
        let row = snapshot.run(end.run)?;
        let rows = row.rows;
        let ledger = Counts::from(&snapshot.state_counts()?);
        let of_manifests = Counts::from(&snapshot.state_counts_of_run(end.run)?);
        // a run without manifests is about the whole ledger
        let items = if end.command == "reconcile" { ledger } else { of_manifests };
        check_totals(snapshot, &rows, &of_manifests)?;
        let something_happened =
            snapshot.last_event_at()?.is_some_and(|timestamp| timestamp >= row.started_at);
        let work = if something_happened { Work::Done } else { Work::NoneLeft };
        let expired = snapshot.expired_of_run(end.run, end.at.plus(LINK_LIFE_MIN))?;
        // a run without manifests is about the items of the whole ledger
        let bad_rows = snapshot.bad_row_counts((end.command != "reconcile").then_some(end.run), end.at)?;
        let open_deletions = snapshot.open_deletions()?;
        let results = RunResults { rows: &rows, items: &items, bad_rows, work, expired, open_deletions };
        let status = exit_status(&end, &results);
        // no waiting helps where the key, the account or the address is wrong
        let can_resume = items.pending > expired && status.code != ExitCode::Fatal;
        let next_run_at = can_resume.then(|| end.next_upload_at.max(end.at).plus_ms(999).to_string());
        let requests = snapshot.requests_since(row.started_at)?;
        let spend = Spend::of(snapshot, &ledger, end.price)?;
        let of_run = (end.command != "reconcile").then_some((end.run, row.name.as_str()));
        let reasons = reasons::read(snapshot, of_run, &end.ledger_flags)?;
        let sends = end.command == "import";
        Ok(Self {
            schema: SCHEMA,
            telecine: env!("CARGO_PKG_VERSION"),
            run: row.name,
            command: end.command,
            service: snapshot.origin()?,
            started_at: row.started_at.to_string(),
            ended_at: end.at.to_string(),
            seconds: seconds(end.at.since_ms(row.started_at)),
            exit_code: status.code,
            exit_reason: status.reason,
            next_step: status.next_step,
            next_run_at,
            rows,
            items,
            bad_rows,
            expired,
            ledger,
            quota: QuotaUse {
                rate: sends.then_some(end.rate),
                caps: if sends { end.caps } else { Vec::new() },
                requests: requests.attempts,
                accepted: requests.accepted,
                refused: requests.refused,
                not_sent: requests.not_sent,
            },
            spend,
            callbacks: end.callbacks,
            audit: end.library_diffs.iter().map(Compared::from).collect(),
            broken_manifests: end.broken_manifests,
            manifest_notices: end.manifest_notices,
            reasons,
            files: Vec::new(),
        })
    }

    /// Takes in the CSV files of the report and checks that they hold every row once.
    pub fn add_files(&mut self, files: Vec<ReportFile>) -> Result<(), Error> {
        let name_of =
            |file: &ReportFile| file.path.file_name().map(|name| name.to_string_lossy().into_owned());
        // their rows are in the other files too
        let is_beside =
            |file: &&ReportFile| matches!(name_of(file).as_deref(), Some("drifted.csv" | "new.csv"));
        let of_rows = files.iter().filter(|file| !is_beside(file));
        let written: u64 = of_rows.map(|file| file.rows).sum();
        must_equal("rows read and rows written", self.rows.read, written)?;
        self.files = files;
        Ok(())
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

fn must_equal(what: &str, left: u64, right: u64) -> Result<(), Error> {
    if left == right { Ok(()) } else { Err(Error::Totals(format!("{what}: {left} is not {right}"))) }
}

/// Checks that every row read is in one state.
fn check_totals(snapshot: &Snapshot, rows: &RowCounts, items: &Counts) -> Result<(), Error> {
    let accounted = rows.accounted();
    must_equal("rows read and rows accounted for", rows.read, accounted + rows.duplicates + rows.invalid)?;
    must_equal("rows taken in and items seen", accounted, items.total)?;
    match snapshot.contradictions()? {
        0 => Ok(()),
        count => Err(Error::Totals(counted(
            count,
            "item contradicts its attempts",
            "items contradict their attempts",
        ))),
    }
}

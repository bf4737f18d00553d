//! Tests of the ledger, one file per stage, and the fixture that they share.

mod admit;
mod callbacks;
mod claim;
mod deletions;
mod open;
mod orders;
mod probes;
mod quota;
mod readers;
mod reconcile;
mod recover;
mod seen;
mod settle;
mod storage;
mod views;

use std::{path::PathBuf, time::Duration};

use strum::VariantArray as _;

use super::*;
use crate::domain::{
    AddressDigest, ItemEvent, ManifestRow, Probe, ProbeVerdict, Problem, Reach, RowError, SourceUrl, State,
    Submission, VideoNo,
};

const T0: UnixMillis = UnixMillis(1_700_000_000_000);

struct Fixture {
    folder: tempfile::TempDir,
    place: LedgerPlace,
    ledger: Option<Ledger>,
    run: RunId,
    manifest: ManifestId,
    concurrency: u64,
}

/// The base of an address, such as `postgres://postgres@localhost/postgres`: the tests of the ledger use it instead of files.
const TEST_DATABASE: &str = "TELECINE_TEST_POSTGRES";

/// The place of a new ledger: a file, or a schema of its own.
fn new_place(folder: &tempfile::TempDir) -> LedgerPlace {
    database().unwrap_or_else(|| folder.path().join("ledger.db").into())
}

/// A new schema of the database for tests. `None`: there is none.
pub(crate) fn database() -> Option<LedgerPlace> {
    static SCHEMAS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let base = std::env::var(TEST_DATABASE).ok()?;
    let number = SCHEMAS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    format!("{base}?schema=test_{}_{number}", std::process::id()).parse().ok()
}

/// The identity of the account that the tests of this crate import into.
pub(crate) fn identity() -> Identity {
    Identity {
        origin: "https://service.example".to_owned(),
        key_digest: [1; 32],
        fresh_secret: [7; 32],
        key_change: KeyChange::Refused,
        high_water: None,
        registry: None,
        second_ledger: SecondLedger::Refused,
        restored: Restored::Refused,
    }
}

/// Begins a run that reads `m.csv`. The machine was started at [`T0`], and its clock is right.
async fn begin(ledger: &Ledger, name: &str, at: UnixMillis, stamp: Option<&str>) -> (RunId, ManifestId) {
    let (name, stamp) = (name.to_owned(), stamp.map(str::to_owned));
    let boot = BootTime { id: "boot".to_owned(), since_ms: at.since_ms(T0) };
    let begin = move |store: &Store| {
        let run = store.begin_run(&name, "import", at, Some(&boot))?;
        let manifest = store.begin_manifest_read(run, "m.csv", &["url".to_owned()], stamp.as_deref())?;
        Ok((run, manifest))
    };
    ledger.write(begin).await.unwrap()
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = new_place(&folder);
        Self::at(folder, place).await
    }

    /// The same in a place, whatever the tests use.
    async fn at(folder: tempfile::TempDir, place: LedgerPlace) -> Self {
        let ledger = Ledger::open(&place, &identity(), T0).unwrap();
        let (run, manifest) = begin(&ledger, "first", T0, None).await;
        Self { folder, place, ledger: Some(ledger), run, manifest, concurrency: 1 }
    }

    /// The same, for what only a file has. `None`: the tests use a database now.
    async fn of_file() -> Option<Self> {
        let fixture = Self::new().await;
        if fixture.place.file().is_none() {
            println!("skipped: only a file has it");
            return None;
        }
        Some(fixture)
    }

    fn path(&self) -> PathBuf {
        self.place.file().unwrap().to_path_buf()
    }

    fn ledger(&self) -> &Ledger {
        self.ledger.as_ref().unwrap()
    }

    /// Closes the ledger and opens it again, as after a crash.
    async fn reopen(&mut self, at: UnixMillis) {
        self.reopen_with(at, None).await;
    }

    async fn reopen_with(&mut self, at: UnixMillis, stamp: Option<String>) {
        self.ledger.take().unwrap().close().await;
        let ledger = Ledger::open(&self.place, &identity(), at).unwrap();
        let name = format!("after {}", self.run);
        (self.run, self.manifest) = begin(&ledger, &name, at, stamp.as_deref()).await;
        self.ledger = Some(ledger);
    }

    async fn admit(&self, rows: Vec<Result<ManifestRow, RowError>>) -> Vec<Admission> {
        self.admit_on(rows, AdmitTerms::default()).await
    }

    async fn admit_on(&self, rows: Vec<Result<ManifestRow, RowError>>, terms: AdmitTerms) -> Vec<Admission> {
        let (run, manifest) = (self.run, self.manifest);
        self.write(move |store| store.admit(run, manifest, &rows, &terms, T0)).await
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl Fn(&Snapshot) -> Result<T, LedgerError> + Send + 'static,
    ) -> T {
        self.ledger().read(work).await.unwrap()
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&Store) -> Result<T, LedgerError> + Send + 'static,
    ) -> T {
        self.ledger().write(work).await.unwrap()
    }

    async fn settle(&self, attempt: AttemptId, result: AttemptResult) -> Result<(), LedgerError> {
        self.ledger().write(move |store| store.settle(attempt, &result)).await
    }

    async fn claim_blocked(&self, terms: Arc<ClaimTerms>) -> Option<ClaimBlocked> {
        self.read(move |snapshot| snapshot.claim_blocked(&terms, T0)).await
    }

    async fn end_manifest_read(&self, stamp: Option<String>) -> u64 {
        let (run, manifest) = (self.run, self.manifest);
        self.write(move |store| store.end_manifest_read(run, manifest, stamp.as_deref())).await
    }

    async fn answer(&self, item: ItemId, answer: ReviewAnswer) -> ReviewOutcome {
        let (who, why) = ("ann@desk".to_owned(), "seen in the library".to_owned());
        let decision = ReviewDecision { answer, who, why, at: T0 };
        self.write(move |store| store.answer(item, &decision)).await
    }

    async fn held_resends(&self) -> Vec<HeldResend> {
        self.read(|snapshot| snapshot.held_resends(10)).await
    }

    async fn release(&self, item: ItemId) {
        self.write(move |store| store.release(item)).await;
    }

    async fn recover(&self, video: LibraryVideo) -> Recovered {
        let run = self.run;
        self.write(move |store| store.recover(run, &video, T0)).await
    }

    async fn record_foreign_video(&self, video: LibraryVideo) {
        let videos = [video];
        self.write(move |store| store.record_foreign_videos(&videos)).await;
    }

    async fn probes(&self, addresses: Vec<AddressDigest>) -> Vec<Option<Probe>> {
        self.read(move |snapshot| snapshot.probes(&addresses)).await
    }

    async fn record_probes(&self, probes: Vec<(AddressDigest, Probe)>) {
        self.write(move |store| store.record_probes(&probes)).await;
    }

    fn terms(&self) -> Arc<ClaimTerms> {
        Arc::new(ClaimTerms {
            run: self.run,
            manifests: vec![self.manifest],
            concurrency: self.concurrency,
            link_life_min: Duration::ZERO,
            sent_by: Arc::new(std::sync::atomic::AtomicI64::new(i64::MAX)),
            start_within: Duration::from_secs(5),
            acceptance_lag_max: Duration::from_mins(15),
            marker: Marker::On,
            callback_base: None,
            uploads_max: None,
            disk_free_min: 0,
            set_aside: Arc::default(),
            storage: StorageAccess::default(),
        })
    }

    async fn claim(&self, at: UnixMillis) -> Claim {
        match self.ledger().claim(self.terms(), at).await.unwrap() {
            ClaimOutcome::Claimed(claim) => *claim,
            ClaimOutcome::Blocked(claim_blocked) => panic!("{claim_blocked:?}"),
        }
    }

    /// A connection beside the ledger, as a user of sqlite3 or psql would open it.
    fn raw(&self) -> sql::Connection {
        match &self.place {
            LedgerPlace::File(path) => sql::Connection::Sqlite(rusqlite::Connection::open(path).unwrap()),
            LedgerPlace::Database(address) => {
                sql::Connection::Postgres(sql::postgres::PostgresConnection::open(address).unwrap())
            }
        }
    }

    /// Runs statements beside the ledger. `DROP TRIGGER name` is written without the table, as in SQLite.
    fn script(&self, statements: &str) {
        let raw = self.raw();
        for statement in statements.split(';') {
            let table =
                statement.trim().strip_prefix("DROP TRIGGER ").and_then(|name| name.split('_').next());
            match (&self.place, table) {
                (LedgerPlace::Database(_), Some(table)) => {
                    raw.execute(&format!("{statement} ON {table}"), []).unwrap();
                }
                _ => {
                    raw.execute(statement, []).unwrap();
                }
            }
        }
    }

    fn states(&self) -> Vec<String> {
        self.raw().prepare("SELECT state FROM item ORDER BY id").unwrap().query_column([]).unwrap()
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a batch holds rows and row errors")]
fn row(line: u64, name: &str, tags: &[&str]) -> Result<ManifestRow, RowError> {
    let url = format!("https://host/{name}.mp4");
    Ok(ManifestRow {
        content_hash: None,
        warnings: Vec::new(),
        line,
        cells: vec![url.clone()],
        external_id: None,
        submission: Submission {
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            ..Submission::new(SourceUrl::parse(&url).unwrap(), "default".to_owned())
        },
    })
}

fn accepted(number: &str, at: UnixMillis) -> AttemptResult {
    let video_no = VideoNo::parse(number).unwrap();
    let bound = Some(Binding { video_no, uploaded_at: Some(at), by: BoundBy::Response });
    AttemptResult { event: ItemEvent::Accepted, at, bound, cause: None }
}

fn plain(event: ItemEvent, at: UnixMillis) -> AttemptResult {
    AttemptResult::new(event, at, "because".to_owned())
}

/// A claim whose request got no answer.
async fn claim_in_doubt(fixture: &Fixture) -> Claim {
    let claim = fixture.claim(T0).await;
    fixture.settle(claim.attempt, plain(ItemEvent::AnswerLost, T0)).await.unwrap();
    claim
}

fn probe(verdict: ProbeVerdict, probed_at: UnixMillis) -> Probe {
    let (class, found) = ("http_404".to_owned(), "the host answers 404: it does not exist".to_owned());
    Probe { verdict, class, found, size: Some(5), reach: Reach::Public, probed_at }
}

//! Power cuts. A ledger works on a disk in memory that records every operation. The power then fails after each operation, in
//! several ways, and the ledger is opened again from the remaining data.
//!
//! Every change that was returned before the cut must be there. The change in progress is there completely or not at all. In
//! some cases the power fails again while the ledger is opened.

mod disk;
mod vfs;

use std::{path::Path, sync::Arc, time::Duration};

use rusqlite::Connection;
use telecine::{
    domain::{ItemEvent, ManifestRow, SourceUrl, Submission, UnixMillis, VideoNo},
    ledger::{
        AdmitTerms, AttemptResult, Binding, BoundBy, Claim, ClaimOutcome, ClaimTerms, Identity, ItemId,
        KeyChange, Ledger, ManifestId, Marker, Observation, PollResult, Question, Restored, ReviewAnswer,
        ReviewDecision, RunId, StorageAccess, Store,
    },
};

use crate::state_counts::Part;
use disk::{Durable, Files, Op, TransportError};

const T0: UnixMillis = UnixMillis(1_700_000_000_000);
/// Operations in one case.
const STEPS: usize = 24;
/// One image in this many is checked page by page.
const DEEP: u64 = 64;
/// One image in this many loses power again while it is opened.
const TWICE: u64 = 16;

/// Runs one seed: a ledger at work, and every power cut in it.
pub(crate) fn seed(seed: u64) -> Part {
    vfs::install();
    let mut part = Part::default();
    part.add("cases", 1);
    if let Err(error) = run_case(seed, &mut part) {
        part.failures.push(format!("seed {seed}: {error}"));
    }
    part
}

/// The state that a change promised when it returned.
struct Promise {
    /// Operations the disk had seen by then.
    ops: usize,
    state: String,
}

fn run_case(seed: u64, part: &mut Part) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(words)?;
    let path = folder.path().join("ledger.db");
    vfs::switch_on(Files::new());
    let promises = work(seed, &path)?;
    let log = vfs::take_log();
    let mut durable = Durable::of(Files::new());
    let mut rng = fastrand::Rng::with_seed(seed ^ 0x00d1_5c00);
    let mut kept = 0;
    for (done, op) in log.iter().enumerate() {
        durable.take(op);
        while promises.get(kept).is_some_and(|promise| promise.ops <= done + 1) {
            kept += 1;
        }
        // a sync alone leaves less to lose than the operation before it
        let losses: &[TransportError] =
            if matches!(op, Op::Sync { .. }) { &[TransportError::All] } else { TransportError::ALL };
        for loss in losses {
            let image = durable.cut(*loss, &mut rng);
            part.add("images", 1);
            let allowed = &promises[kept.saturating_sub(1)..(kept + 1).min(promises.len())];
            let is_fresh = kept == 0;
            judge(&path, image, allowed, is_fresh, &mut rng, part)
                .map_err(|error| format!("power lost ({loss:?}) after operation {}: {error}", done + 1))?;
        }
    }
    Ok(())
}

/// Opens an image and compares it with what was promised.
fn judge(
    path: &Path,
    image: Files,
    allowed: &[Promise],
    is_fresh: bool,
    rng: &mut fastrand::Rng,
    part: &mut Part,
) -> Result<(), String> {
    vfs::switch_on(image.clone());
    let mut state = opened(path)?;
    if rng.u64(0..TWICE) == 0 {
        let log = vfs::take_log();
        let mut durable = Durable::of(image);
        for op in log.iter().take(rng.usize(0..=log.len())) {
            durable.take(op);
        }
        let loss = TransportError::ALL[rng.usize(0..TransportError::ALL.len())];
        vfs::switch_on(durable.cut(loss, rng));
        part.add("cuts while opening", 1);
        state = opened(path).map_err(|error| format!("and again while opening ({loss:?}): {error}"))?;
    }
    if rng.u64(0..DEEP) == 0 {
        part.add("images checked page by page", 1);
        let problems =
            telecine::ledger::Snapshot::open(path).and_then(|shot| shot.problems()).map_err(words)?;
        if !problems.is_empty() {
            return Err(format!("{problems:?}"));
        }
    }
    let is_promised = allowed.iter().any(|promise| promise.state == state) || (is_fresh && state.is_empty());
    if is_promised {
        return Ok(());
    }
    let wanted: Vec<&str> = allowed.iter().map(|promise| promise.state.as_str()).collect();
    Err(format!("the ledger holds\n{state}\nexpected one of\n{wanted:#?}"))
}

/// Opens the ledger as the program does, closes it, and says what it holds.
fn opened(path: &Path) -> Result<String, String> {
    let ledger = Ledger::open(path, &identity(), T0.plus(Duration::from_hours(1))).map_err(words)?;
    runtime()?.block_on(ledger.close());
    state(path)
}

/// Every confirmed change, as text; a request in flight counts as in doubt, as it does after opening.
fn state(path: &Path) -> Result<String, String> {
    let connection = Connection::open(path).map_err(words)?;
    let mut text = String::new();
    for sql in [
        "SELECT 'item ' || id || replace(state, 'sending', 'in_doubt') FROM item ORDER BY id",
        "SELECT 'attempt ' || id || replace(state, 'sending', 'in_doubt') || coalesce(video_no, '') || forced \
         FROM attempt ORDER BY id",
        "SELECT 'needs_review ' || attempt FROM question ORDER BY attempt",
        "SELECT 'answered ' || attempt || event FROM answer ORDER BY id",
        "SELECT 'run ' || id || coalesce(exit_code, '') FROM run ORDER BY id",
        "SELECT 'manifest_read ' || run || ':' || rows || complete FROM manifest_read ORDER BY run",
        "SELECT 'clear ' || id || clear_at FROM attempt WHERE clear_at IS NOT NULL ORDER BY id",
    ] {
        let mut statement = connection.prepare(sql).map_err(words)?;
        let lines = statement.query_map([], |row| row.get::<_, String>(0)).map_err(words)?;
        for line in lines {
            text.push_str(&line.map_err(words)?);
            text.push(' ');
        }
    }
    Ok(text)
}

fn identity() -> Identity {
    Identity {
        origin: "https://service.example".to_owned(),
        key_digest: [1; 32],
        fresh_secret: [7; 32],
        key_change: KeyChange::Refused,
        high_water: None,
        registry: None,
        second_ledger: telecine::ledger::SecondLedger::Refused,
        restored: Restored::Refused,
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread().build().map_err(words)
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// A ledger at work, with random operations.
struct Desk {
    ledger: Ledger,
    run: RunId,
    source: ManifestId,
    open: Vec<Claim>,
    doubts: Vec<Claim>,
    accepted: i64,
    now: UnixMillis,
}

fn work(seed: u64, path: &Path) -> Result<Vec<Promise>, String> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut promises = Vec::new();
    let runtime = runtime()?;
    let ledger = Ledger::open(path, &identity(), T0).map_err(words)?;
    promise(&mut promises, path)?;
    let mut desk = runtime.block_on(Desk::begin(ledger, 0, &mut promises, path))?;
    for step in 0..STEPS {
        desk.now = desk.now.plus_ms(1_000);
        if step % 9 == 8 {
            // leave and come back: the log is written into the main file
            let Desk { ledger, accepted, .. } = desk;
            runtime.block_on(ledger.close());
            let ledger = Ledger::open(path, &identity(), T0.plus_ms(60_000)).map_err(words)?;
            promise(&mut promises, path)?;
            desk = runtime.block_on(Desk::begin(ledger, accepted, &mut promises, path))?;
        } else {
            runtime.block_on(desk.act(&mut rng))?;
            promise(&mut promises, path)?;
        }
    }
    runtime.block_on(desk.ledger.close());
    promise(&mut promises, path)?;
    Ok(promises)
}

/// Records what the ledger promises now.
fn promise(promises: &mut Vec<Promise>, path: &Path) -> Result<(), String> {
    // reading the disk after the change must not count as an operation of it
    let ops = vfs::ops();
    promises.push(Promise { ops, state: state(path)? });
    Ok(())
}

impl Desk {
    async fn begin(
        ledger: Ledger,
        accepted: i64,
        promises: &mut Vec<Promise>,
        path: &Path,
    ) -> Result<Self, String> {
        let name = format!("run {}", vfs::ops());
        let begin = move |store: &Store| store.begin_run(&name, "import", T0, None);
        let run = ledger.write(begin).await.map_err(words)?;
        promise(promises, path)?;
        let begin = move |store: &Store| store.begin_manifest_read(run, "m.csv", &["url".to_owned()], None);
        let source = ledger.write(begin).await.map_err(words)?;
        promise(promises, path)?;
        let rows: Vec<_> = (0..8).map(row).collect();
        let admit = move |store: &Store| store.admit(run, source, &rows, &AdmitTerms::default(), T0);
        ledger.write(admit).await.map_err(words)?;
        promise(promises, path)?;
        Ok(Self {
            ledger,
            run,
            source,
            open: Vec::new(),
            doubts: Vec::new(),
            accepted,
            now: T0.plus_ms(120_000),
        })
    }

    async fn act(&mut self, rng: &mut fastrand::Rng) -> Result<(), String> {
        let done = match rng.u8(0..10) {
            0..=3 => self.claim().await,
            4 | 5 => self.answered(ItemEvent::Accepted).await,
            6 => self.answered(ItemEvent::AnswerLost).await,
            7 => {
                self.answered(
                    [ItemEvent::RefusedForNow, ItemEvent::Rejected, ItemEvent::NotSent][rng.usize(0..3)],
                )
                .await
            }
            8 => self.ask_and_answer(rng).await,
            _ => self.observe().await,
        };
        done.map_err(words)
    }

    async fn claim(&mut self) -> Result<(), telecine::ledger::LedgerError> {
        let terms = ClaimTerms {
            run: self.run,
            manifests: vec![self.source],
            concurrency: 1,
            link_life_min: Duration::ZERO,
            sent_by: Arc::new(std::sync::atomic::AtomicI64::new(i64::MAX)),
            start_within: Duration::from_secs(5),
            acceptance_lag_max: Duration::from_mins(15),
            marker: Marker::On,
            callback_base: None,
            uploads_max: None,
            disk_free_min: 0,
            set_aside: std::sync::Arc::default(),
            storage: StorageAccess::default(),
        };
        if let ClaimOutcome::Claimed(claim) = self.ledger.claim(Arc::new(terms), self.now).await? {
            self.open.push(*claim);
        }
        Ok(())
    }

    async fn answered(&mut self, event: ItemEvent) -> Result<(), telecine::ledger::LedgerError> {
        let Some(claim) = self.open.pop() else { return Ok(()) };
        let bound = (event == ItemEvent::Accepted).then(|| {
            self.accepted += 1;
            let video_no = VideoNo::parse(&format!("VI{:06}", self.accepted));
            video_no.map(|video_no| Binding { video_no, uploaded_at: Some(self.now), by: BoundBy::Response })
        });
        let result = AttemptResult { event, at: self.now, bound: bound.flatten(), cause: None };
        let attempt = claim.attempt();
        self.ledger.write(move |store| store.settle(attempt, &result)).await?;
        if event == ItemEvent::AnswerLost {
            self.doubts.push(claim);
        }
        Ok(())
    }

    async fn ask_and_answer(&mut self, rng: &mut fastrand::Rng) -> Result<(), telecine::ledger::LedgerError> {
        let Some(claim) = self.doubts.pop() else { return Ok(()) };
        let now = self.now;
        if rng.bool() {
            let record = move |store: &Store| store.record_clear_listing(claim.attempt(), Some(now));
            return self.ledger.write(record).await;
        }
        if rng.bool() {
            let question = Question { text: "which one".to_owned(), candidates: Vec::new() };
            return self.ledger.write(move |store| store.ask(claim.attempt(), &question, now)).await;
        }
        let answer = if rng.bool() { ReviewAnswer::Resend } else { ReviewAnswer::GiveUp };
        let decision = ReviewDecision { answer, who: "a".to_owned(), why: "b".to_owned(), at: now };
        let item = ItemId::numbered(rng.i64(1..=8));
        self.ledger.write(move |store| store.answer(item, &decision)).await.map(drop)
    }

    async fn observe(&mut self) -> Result<(), telecine::ledger::LedgerError> {
        let now = self.now;
        let until = now.plus(Duration::from_hours(1));
        let tasks = self.ledger.read(move |snapshot| snapshot.poll_tasks(until, 1)).await?;
        let results: Vec<PollResult> = tasks
            .into_iter()
            .map(|task| PollResult { item: task.item, observation: Observation::Indexed })
            .collect();
        self.ledger.write(move |store| store.observe(&results, now)).await
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a batch holds rows and row errors")]
fn row(number: u64) -> Result<ManifestRow, telecine::domain::RowError> {
    let url = format!("https://host/{number}.mp4");
    let parsed = SourceUrl::parse(&url);
    let Ok(parsed) = parsed else { panic!("{url} is a good address") };
    Ok(ManifestRow {
        content_hash: None,
        warnings: Vec::new(),
        line: number + 2,
        cells: vec![url],
        external_id: None,
        submission: Submission::new(parsed, "default".to_owned()),
    })
}

//! Whole runs of the pipeline in virtual time, against a mock of the service that outlives them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::wildcard_enum_match_arm, reason = "this is a test")]
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses a part of it")]

mod environment;
mod events;
mod line;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

pub use environment::spec;

use self::{
    environment::{folder_in_memory, runtime},
    events::EventCollector,
    line::Line,
};
use telecine::{
    api::ApiClient,
    app::{
        run::end_of_run,
        undo::{self, UndoEnd},
    },
    bucket::Sources,
    clock::Clock,
    domain::{CallCounts, Limit, RunOutcome, UnixMillis},
    error::ExitCode,
    events::EventBus,
    ledger::{
        DeletionOrder, Identity, KeyChange, Ledger, LibraryDiff, Marker, RerunPolicy, Restored, RunId,
        Snapshot, Store,
    },
    local_file::FilesRoot,
    manifest::{Manifest, ManifestSpec, RowRules},
    pipeline::{self, CallIntake, CallTally, Context, OnDoubt, ReconcileRules, RunEnd, RunPolicy, Signals},
    quota::Limits,
    report::{EndOfRun, Summary},
    sandbox::{Direct, MockService, Policy, Video},
};

pub const T0: UnixMillis = UnixMillis(1_700_000_000_000);

pub const KEY: &str = "sk-mavi-test";

/// A mock of the service, a manifest and a ledger. Each run is a new start of the program.
pub struct Harness {
    pub service: Arc<MockService>,
    pub folder: tempfile::TempDir,
    pub now: UnixMillis,
    pub policy: RunPolicy,
    pub limits: Limits,
    pub collector: EventCollector,
    pub runs: u32,
    pub key: &'static str,
    /// When the network of the program is down: no request leaves.
    pub outages: Vec<(UnixMillis, UnixMillis)>,
    /// Whether runs end as `import --cron` does: with a summary, and with its bad rows noted.
    pub is_nightly: bool,
    /// The exit code of the last nightly run that was not killed.
    pub exit_code: Mutex<Option<ExitCode>>,
    /// When a second start of the program is tried beside a run. `None`: never.
    pub second_start_after: Option<Duration>,
    /// What the second starts met.
    pub second_starts: Mutex<Vec<String>>,
    /// How far the program's clock is ahead of the service's.
    pub clock_step_ms: i64,
    /// The boot of the machine during the next run. `None`: the machine does not name its boots.
    pub boot: Option<&'static str>,
    /// What every run found when it compared the ledger with the library.
    pub library_diffs: Mutex<Vec<LibraryDiff>>,
    /// The calls of the last run that received any.
    pub calls: Mutex<Option<Arc<CallTally>>>,
    /// Where the files are that rows name. `None`: they name none.
    pub files_root: Option<FilesRoot>,
    /// When the next upload may be sent, as the last run reported it.
    pub next_upload_at: Mutex<Option<UnixMillis>>,
    /// The user's own rules for answers, as `--verdict` takes them.
    pub user_rules: Vec<&'static str>,
}

/// A run that has begun, with what it works with.
struct Opened {
    context: Context<Line>,
    run: RunId,
}

/// How one undo ended.
#[derive(Debug)]
pub enum UndoResult {
    Ended(UndoEnd),
    Killed,
    Failed(String),
}

/// How one run ended.
#[derive(Debug)]
pub enum RunResult {
    Ended(RunOutcome),
    Killed,
    Failed(String),
}

impl RunResult {
    pub fn outcome(self) -> RunOutcome {
        match self {
            Self::Ended(outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }
}

pub fn limit(text: &str) -> Limit {
    text.parse().unwrap()
}

/// Uploads at this rate under these caps; reads at one a second.
pub fn limits(rate: &str, caps: &[&str]) -> Limits {
    Limits {
        upload: vec![rate.parse().unwrap()],
        caps: caps.iter().map(|cap| cap.parse().unwrap()).collect(),
        list: vec!["1/s".parse().unwrap()],
        metadata: vec!["1/s".parse().unwrap()],
        delete: vec!["1/3s".parse().unwrap()],
        total: Vec::new(),
    }
}

impl Harness {
    /// A manifest with `rows` rows; uploads at 1/s.
    pub fn new(policy: Policy, rows: usize) -> Self {
        let folder = folder_in_memory();
        let harness = Self {
            service: Arc::new(MockService::new(policy, Clock::still(T0))),
            folder,
            now: T0,
            policy: RunPolicy {
                quota_wait_max: None,
                concurrency: 4,
                marker: Marker::On,
                callback_base: None,
                reconcile: ReconcileRules { quiet: Duration::from_mins(30), on_doubt: OnDoubt::Hold },
                wait: Some(Duration::from_hours(2)),
                time_max: None,
                rows_max: None,
                reruns: RerunPolicy::default(),
                probe_age_max: None,
                uploads_max: None,
                bandwidth_max: None,
                disk_free_min: 0,
                namespace: "default".to_owned(),
            },
            limits: limits("1/s", &[]),
            collector: EventCollector::default(),
            runs: 0,
            key: KEY,
            outages: Vec::new(),
            is_nightly: false,
            exit_code: Mutex::default(),
            second_start_after: None,
            second_starts: Mutex::default(),
            clock_step_ms: 0,
            boot: Some("this boot"),
            library_diffs: Mutex::default(),
            calls: Mutex::default(),
            files_root: None,
            next_upload_at: Mutex::default(),
            user_rules: Vec::new(),
        };
        harness.write_rows(0..rows);
        harness
    }

    /// Writes the manifest anew, with these rows.
    pub fn write_rows(&self, rows: std::ops::Range<usize>) {
        let mut text = "id,url,tags\n".to_owned();
        for row in rows {
            let _ = writeln!(text, "R{row:04},https://host/clip-{row:04}.mp4,a;b{}", row % 7);
        }
        std::fs::write(self.manifest(), text).unwrap();
    }

    /// Writes the manifest anew, with rows that name files of these sizes: `f0.mp4`, `f1.mp4` and so on. They are sparse.
    pub fn write_files(&mut self, sizes: &[u64]) {
        let folder = self.folder.path().join("videos");
        std::fs::create_dir_all(&folder).unwrap();
        let mut text = "url\n".to_owned();
        for (number, size) in sizes.iter().enumerate() {
            let name = format!("f{number}.mp4");
            std::fs::File::create(folder.join(&name)).unwrap().set_len(*size).unwrap();
            let _ = writeln!(text, "{name}");
        }
        std::fs::write(self.manifest(), text).unwrap();
        self.files_root = Some(FilesRoot::open(&folder).unwrap());
    }

    pub fn manifest(&self) -> PathBuf {
        self.folder.path().join("m.csv")
    }

    pub fn ledger(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }

    pub fn snapshot(&self) -> Snapshot {
        Snapshot::open(self.ledger()).unwrap()
    }

    /// Runs the program to its end.
    pub fn run(&mut self) -> RunResult {
        self.run_interrupted(None, None)
    }

    /// Runs the program and kills it after `duration`.
    pub fn run_killed_after(&mut self, duration: Duration) -> RunResult {
        self.run_interrupted(Some(duration), None)
    }

    /// Runs the program, asks it to stop after `stop_after`, and kills it after `kill_after`. `None`: never.
    pub fn run_interrupted(
        &mut self,
        kill_after: Option<Duration>,
        stop_after: Option<Duration>,
    ) -> RunResult {
        self.in_process(kill_after, RunResult::Killed, async |own, clock| {
            tokio::select! {
                biased;
                result = own.import(clock.clone(), stop_after) => result,
                result = own.start_second(clock) => result,
            }
        })
    }

    /// Tries a second start of the program where one is planned, and never ends.
    async fn start_second(&self, clock: Clock) -> RunResult {
        if let Some(duration) = self.second_start_after {
            clock.sleep(duration).await;
            let opened = self.open(clock.clone(), "import").await;
            self.second_starts.lock().unwrap().push(opened.err().unwrap_or_default());
        }
        std::future::pending().await
    }

    /// Deletes the videos of the run of this number, counted from 1.
    pub fn undo(&mut self, run: u32) -> UndoResult {
        self.in_process(None, UndoResult::Killed, async |own, clock| own.delete(clock, run).await)
    }

    /// The same, killed after `duration`.
    pub fn undo_killed_after(&mut self, run: u32, duration: Duration) -> UndoResult {
        let killed = UndoResult::Killed;
        self.in_process(Some(duration), killed, async |own, clock| own.delete(clock, run).await)
    }

    /// Does `work` as a process does: in a runtime of its own, which ends with it. The result is `killed` if it takes longer than
    /// `kill_after`.
    fn in_process<R>(
        &mut self,
        kill_after: Option<Duration>,
        killed: R,
        work: impl AsyncFnOnce(&Self, Clock) -> R,
    ) -> R {
        self.runs += 1;
        let (own, runtime) = (&*self, runtime());
        let (result, now) = runtime.block_on(async {
            // a runtime starts at any point between two ticks of its timer; from a tick on, equal runs are equal
            Clock::of_runtime(own.now).sleep(Duration::from_millis(1)).await;
            let clock = Clock::of_runtime(own.now);
            own.service.set_clock(clock.clone());
            let kill = async {
                match kill_after {
                    Some(duration) => clock.sleep(duration).await,
                    None => std::future::pending().await,
                }
            };
            let result = tokio::select! {
                biased;
                result = work(own, clock.clone()) => result,
                () = kill => killed,
            };
            (result, clock.now())
        });
        // what is in flight ends with the runtime, as it does when a process is killed
        drop(runtime);
        self.now = now;
        self.service.set_clock(Clock::still(now));
        result
    }

    async fn delete(&self, clock: Clock, run: u32) -> UndoResult {
        let opened = match self.open(clock, "undo").await {
            Ok(opened) => opened,
            Err(error) => return UndoResult::Failed(error),
        };
        let (context, own) = (opened.context, opened.run);
        let of = undo::run_of(&self.snapshot(), &format!("run {run}")).unwrap();
        let plan = undo::plan(&self.snapshot(), of, &[], |_, _| Ok(())).unwrap();
        let order = DeletionOrder { run: own, who: "ann@desk".to_owned(), why: "a test".to_owned() };
        let ended = undo::delete(&context, &order, of, &plan).await;
        context.ledger.close().await;
        ended.map_or_else(|error| UndoResult::Failed(error.to_string()), UndoResult::Ended)
    }

    /// The numbers of the videos whose deletion the ledger has recorded.
    pub fn ordered_deletions(&self) -> BTreeSet<String> {
        let ledger = rusqlite::Connection::open(self.ledger()).unwrap();
        let mut statement = ledger.prepare("SELECT video_no FROM deletion").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    async fn import(&self, clock: Clock, stop_after: Option<Duration>) -> RunResult {
        let Opened { context, run } = match self.open(clock, "import").await {
            Ok(opened) => opened,
            Err(error) => return RunResult::Failed(error),
        };
        let (ledger, clock) = (context.ledger.clone(), context.clock.clone());
        let spec = spec(&self.manifest());
        let rules = RowRules { files: self.files_root.clone(), ..spec.rules.clone() };
        let manifest = Manifest::open(&ManifestSpec { rules, ..spec }).unwrap();
        if let Some(duration) = stop_after {
            let (drain, clock) = (context.signals.drain.clone(), clock.clone());
            tokio::spawn(async move {
                clock.sleep(duration).await;
                drain.cancel();
            });
        }
        if self.policy.callback_base.is_some() {
            self.receive_calls(&context).await;
        }
        let result = match pipeline::import(context, run, vec![manifest], &self.policy).await {
            Ok(ended) => {
                self.library_diffs.lock().unwrap().extend(ended.library_diffs.clone());
                *self.next_upload_at.lock().unwrap() = Some(ended.next_upload_at);
                let outcome = ended.outcome.clone();
                if self.is_nightly {
                    self.end_night(&ledger, run, ended, &clock).await;
                } else {
                    let at = clock.now();
                    ledger.write(move |store| store.end_run(run, at, 0, "ended")).await.unwrap();
                }
                RunResult::Ended(outcome)
            }
            Err(error) => RunResult::Failed(error.to_string()),
        };
        ledger.close().await;
        result
    }

    /// Hands the calls of the service to the run, as its receiver does. What was called while no run was there is lost.
    async fn receive_calls(&self, context: &Context<Line>) {
        let (service, intake) = (Arc::clone(&self.service), CallIntake::open(context).await.unwrap());
        service.lose_calls();
        // it ends with the runtime
        tokio::spawn(async move {
            loop {
                let call = service.next_call().await;
                if let Ok(attempt) = intake.admit(call.url.rsplit('/').next().unwrap()) {
                    let _ = intake.take(attempt, call.body.as_bytes()).await;
                }
            }
        });
        *self.calls.lock().unwrap() = Some(Arc::clone(&context.signals.calls));
    }

    /// The calls that the last run received.
    pub fn call_counts(&self) -> CallCounts {
        self.calls.lock().unwrap().as_ref().unwrap().counts()
    }

    /// Ends a run as `import --cron` does.
    async fn end_night(&self, ledger: &Ledger, run: RunId, ended: RunEnd, clock: &Clock) {
        let at = clock.now();
        let end = end_of_run("import", run, ended, &self.limits, clock, None);
        let end = EndOfRun { is_cron: true, ..end };
        let summary = Summary::of_run(&ledger.snapshot().await.unwrap(), end).unwrap();
        let (code, reason) = (summary.exit_code, summary.exit_reason.clone());
        ledger.write(move |store| store.end_run(run, at, code.number(), &reason)).await.unwrap();
        ledger.write(move |store| store.note_bad_rows(run, at)).await.unwrap();
        *self.exit_code.lock().unwrap() = Some(code);
    }

    /// Opens the ledger and the service, and begins a run of `command`.
    async fn open(&self, clock: Clock, command: &'static str) -> Result<Opened, String> {
        let identity = Identity {
            origin: "https://service.example".to_owned(),
            key_digest: [1; 32],
            fresh_secret: [7; 32],
            key_change: KeyChange::Refused,
            high_water: Some(self.folder.path().join("high-water")),
            registry: None,
            second_ledger: telecine::ledger::SecondLedger::Refused,
            restored: Restored::Refused,
        };
        // the clock of the program may be wrong by a step
        let stepped = clock.now().plus_ms(self.clock_step_ms);
        let booted_ms = clock.now().since_ms(T0);
        let clock = clock.not_before(stepped);
        let clock = match self.boot {
            Some(boot) => clock.with_boot(boot, booted_ms),
            None => clock,
        };
        let ledger =
            Ledger::open(self.ledger(), &identity, clock.now()).map_err(|error| error.to_string())?;
        let clock = clock.not_before(ledger.read(Snapshot::latest_timestamp).await.unwrap());
        let boot = pipeline::boot_of(&clock);
        let name = format!("run {}", self.runs);
        let now = clock.now();
        let begin = move |store: &Store| store.begin_run(&name, command, now, boot.as_ref());
        let run = ledger.write(begin).await.unwrap();
        let rng = fastrand::Rng::with_seed(u64::from(self.runs));
        let limiter =
            pipeline::restore_usage(&ledger, Some(run), self.limits.clone(), &clock, rng).await.unwrap();
        let context = Context {
            ledger,
            api: Arc::new(
                ApiClient::new(Line {
                    direct: Direct::new(Arc::clone(&self.service), clock.clone(), self.key),
                    clock: clock.clone(),
                    outages: self.outages.clone(),
                })
                .with_user_rules(self.user_rules.iter().map(|rule| rule.parse().unwrap()).collect()),
            ),
            sources: Arc::new(Sources::made_up()),
            limiter: Arc::new(limiter),
            clock,
            events: EventBus::new(vec![Box::new(self.collector.clone())]),
            signals: Signals::default(),
        };
        Ok(Opened { context, run })
    }

    /// How many times the service accepted each URL, deleted videos included.
    pub fn accepted_counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for Video { url, .. } in self.service.videos_ever() {
            *counts.entry(url).or_default() += 1;
        }
        counts
    }

    /// The counts of the ledger, by state.
    pub fn counts(&self) -> telecine::report::Counts {
        telecine::report::Counts::from(&self.snapshot().state_counts().unwrap())
    }
}

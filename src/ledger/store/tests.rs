//! Whole runs on connections that are traced: how SQLite answers each statement, and what a row costs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use rusqlite::{
    Connection,
    trace::{TraceEvent, TraceEventCodes},
};

use crate::{
    api::ApiClient,
    app::{
        explain::{self, Named},
        run::end_of_run,
        undo,
    },
    bucket::Sources,
    clock::Clock,
    domain::{RunOutcome, State, UnixMillis},
    events::EventBus,
    ledger::{
        DeletionOrder, Ledger, LedgerError, LedgerPlace, ListFilter, RunId, Snapshot, Store,
        commit_queue::CommitQueue,
        open,
        readers::Readers,
        sql,
        store::claim::Links,
        tests::{database, identity},
    },
    manifest::{Manifest, ManifestSpec},
    pipeline::{self, Context, ReconcileRules, RunPolicy, Signals},
    quota::Limits,
    report::{self, EndOfRun, ReportRequest, RunReport, Summary},
    sandbox::{Direct, Fault, Faults, MockService, Policy},
};

const T0: UnixMillis = UnixMillis(1_700_000_000_000);
const KEY: &str = "sk-mavi-test";

/// Tables that grow with the archive.
const BIG: &[&str] = &["item", "attempt", "event", "last_seen", "row_issue", "question", "answer"];

/// Statements whose plan has a scan of such a table, by a part of their text, and why they may.
const WHOLE: &[(&str, &str)] = &[
    ("ORDER BY id DESC LIMIT", "it reads from the newest row, and ends with the first that it wants"),
    ("ORDER BY attempt.id DESC LIMIT", "the same: the newest videos that were accepted"),
    ("max(id) FROM attempt", "the largest key of a table is in its last row"),
    ("INSERT INTO attempt", "what refers to a row is read only while a reference is violated"),
    ("INSERT INTO item", "the same"),
    ("attempt.forced = 1 OR attempt.state = 'abandoned'", "a partial index of what humans ordered"),
    ("DELETE FROM row_issue", "every row goes, once a run"),
    ("SELECT count(*) FROM item LEFT JOIN attempt", "the check at the end of a run that states agree"),
    ("SELECT item.state, count(*) FROM last_seen JOIN item", "the counts of a run, once at its end"),
    ("FROM item JOIN last_seen ON last_seen.item = item.id LEFT JOIN attempt", "the tables of a report"),
    ("FROM row_issue LEFT JOIN manifest", "the tables of a report"),
    ("FROM row_issue WHERE run = ?1 AND kind = 'invalid'", "the reasons of a report"),
    ("SELECT count(*), count(*) FILTER (WHERE state IN (", "the requests of a report and of `status`"),
    ("SELECT sent_at, answered_at, counts_until, run = ?1", "the timeline of a report"),
    ("SELECT CAST(submission ->> '$.coordinates.latitude'", "the places of a report"),
    ("SELECT item FROM last_seen WHERE line = ?1", "`explain` by a line"),
    ("SELECT item.id, item.state, item.external_id", "`list` shows every item"),
];

/// Who reads in a traced ledger.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reads {
    /// The connection that writes, so that its trace has every statement.
    ByWriter,
    /// Connections of their own, as in a real run: the trace has what is written.
    Apart,
}

/// Each statement that ran, and how often.
type Statements = Arc<Mutex<BTreeMap<String, u64>>>;

/// A service, a manifest and a ledger whose statements are traced.
struct Traced {
    folder: tempfile::TempDir,
    service: Arc<MockService>,
    statements: Statements,
    reads: Reads,
    now: UnixMillis,
    runs: u32,
    policy: RunPolicy,
    rate: &'static str,
}

impl Traced {
    fn new(reads: Reads, service: Policy, rate: &'static str) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            service: Arc::new(MockService::new(service, Clock::still(T0))),
            statements: Arc::default(),
            reads,
            now: T0,
            runs: 0,
            policy: RunPolicy { namespace: "default".to_owned(), ..RunPolicy::default() },
            rate,
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }

    fn write_rows(&self, rows: Range<u32>) {
        let mut text = "id,url,tags,latitude,longitude,datetime_taken\n".to_owned();
        for row in rows {
            let _ = writeln!(
                text,
                "R{row},https://host/clip-{row:05}.mp4,a;b,10.5,{}.5,2020-01-02 03:04:05",
                row % 90
            );
        }
        std::fs::write(self.folder.path().join("m.csv"), text).unwrap();
    }

    fn open(&self, now: UnixMillis) -> Ledger {
        let mut store = open::open(self.path(), &identity(), now).unwrap();
        let connection = store.snapshot.connection.of_file();
        self.trace(connection);
        // the log holds all that was written
        connection.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
        let readers = (self.reads == Reads::Apart).then(|| Readers::new(store.place()));
        Ledger { commit_queue: CommitQueue::new(store), readers, check: Arc::default() }
    }

    fn trace(&self, connection: &mut Connection) {
        let statements = Arc::clone(&self.statements);
        let trace = move |event: TraceEvent<'_>| {
            if let TraceEvent::Profile(statement, _) = event {
                *statements.lock().unwrap().entry(statement.sql().into_owned()).or_default() += 1;
            }
        };
        connection.trace_v2(TraceEventCodes::SQLITE_TRACE_PROFILE, Some(trace)).unwrap();
    }

    /// A connection that only reads, as commands beside a run have one.
    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::open(self.path()).unwrap();
        self.trace(snapshot.connection.of_file());
        snapshot
    }

    /// Does `work` with a new run of a command, as a process does. `kill_after`: the process is killed then.
    fn run<R>(
        &mut self,
        command: &'static str,
        kill_after: Option<Duration>,
        work: impl AsyncFnOnce(&Self, Context<Direct>, RunId) -> R,
    ) -> Option<R> {
        self.runs += 1;
        let own = &*self;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let (result, now) = runtime.block_on(async {
            let clock = Clock::of_runtime(own.now).with_boot("this boot", own.now.since_ms(T0));
            own.service.set_clock(clock.clone());
            let work = async {
                let (context, run) = own.begin(command, clock.clone()).await;
                let ledger = context.ledger.clone();
                let result = work(own, context, run).await;
                ledger.close().await;
                result
            };
            let result = match kill_after {
                None => Some(work.await),
                Some(duration) => tokio::select! {
                    biased;
                    result = work => Some(result),
                    () = clock.sleep(duration) => None,
                },
            };
            (result, clock.now())
        });
        drop(runtime);
        self.now = now;
        self.service.set_clock(Clock::still(now));
        result
    }

    async fn begin(&self, command: &'static str, clock: Clock) -> (Context<Direct>, RunId) {
        let ledger = self.open(clock.now());
        let (name, now, boot) = (format!("run {}", self.runs), clock.now(), pipeline::boot_of(&clock));
        let begin = move |store: &Store| store.begin_run(&name, command, now, boot.as_ref());
        let run = ledger.write(begin).await.unwrap();
        let rng = fastrand::Rng::with_seed(u64::from(self.runs));
        let limits = Limits {
            upload: vec![self.rate.parse().unwrap()],
            caps: Vec::new(),
            list: vec!["1/s".parse().unwrap()],
            metadata: vec!["1/s".parse().unwrap()],
            delete: vec!["1/3s".parse().unwrap()],
            total: Vec::new(),
        };
        let limiter = pipeline::restore_usage(&ledger, Some(run), limits, &clock, rng).await.unwrap();
        let context = Context {
            ledger,
            api: Arc::new(ApiClient::new(Direct::new(Arc::clone(&self.service), clock.clone(), KEY))),
            limiter: Arc::new(limiter),
            clock,
            events: EventBus::new(Vec::new()),
            signals: Signals::default(),
            sources: Arc::new(Sources::made_up()),
        };
        (context, run)
    }

    /// Imports the manifest. `None`: the run was killed.
    fn import(&mut self, kill_after: Option<Duration>) -> Option<RunOutcome> {
        self.run("import", kill_after, async |own, context, run| {
            let spec = ManifestSpec::with_defaults(own.folder.path().join("m.csv").to_str().unwrap());
            let manifest = Manifest::open(&spec).unwrap();
            let (ledger, clock) = (context.ledger.clone(), context.clock.clone());
            let limits = context.limiter.limits();
            let ended = pipeline::import(context, run, vec![manifest], &own.policy).await.unwrap();
            let outcome = ended.outcome.clone();
            let (folder, at) = (own.folder.path().join("reports"), clock.now());
            let end = end_of_run("import", run, ended, &limits, &clock, None);
            read_report(&own.snapshot(), end, &folder);
            ledger.write(move |store| store.end_run(run, at, 0, "ended")).await.unwrap();
            ledger.write(move |store| store.note_bad_rows(run, at)).await.unwrap();
            outcome
        })
    }

    /// How often statements ran since this was last asked.
    fn take_counts(&self) -> StepCounts {
        let statements = std::mem::take(&mut *self.statements.lock().unwrap());
        StepCounts {
            commits: statements.get("COMMIT").copied().unwrap_or(0),
            statements: statements.values().sum(),
        }
    }

    fn log_bytes(&self) -> u64 {
        let path = self.path();
        std::fs::metadata(path.with_file_name("ledger.db-wal")).map_or(0, |meta| meta.len())
    }
}

struct StepCounts {
    commits: u64,
    statements: u64,
}

/// Reads what the end of a run and `telecine report` read.
fn read_report(snapshot: &Snapshot, end: EndOfRun, folder: &Path) {
    let (run, at) = (end.run, end.at);
    Summary::of_run(snapshot, end).unwrap();
    std::fs::create_dir_all(folder).unwrap();
    report::write_tables(snapshot, run, at, folder).unwrap();
    let request = ReportRequest { run, at, price: None, folder: folder.to_owned(), limits: None };
    let _ = RunReport::of(snapshot, &request).unwrap();
}

/// Reads what an operator asks for: an item by each name, lists, reasons and runs.
fn look(snapshot: &Snapshot, run: RunId) {
    for named in ["R3", "https://host/clip-00003.mp4", "m.csv:4"] {
        explain::find(snapshot, &Named::parse(&[named.to_owned()]).unwrap()).unwrap();
    }
    let states = vec![State::Indexed, State::Failed];
    for filter in [ListFilter::default(), ListFilter { states: states.clone(), ..ListFilter::default() }] {
        snapshot.each_listed_item(&filter, |_| Ok::<bool, LedgerError>(true)).unwrap();
    }
    snapshot.reasons(None, &states).unwrap();
    snapshot.reasons(Some(run), &states).unwrap();
    snapshot.runs(9).unwrap();
    snapshot.uploads_of_run(run).unwrap();
    snapshot.requests_since(T0).unwrap();
    snapshot.open_questions().unwrap();
    snapshot.latest_import().unwrap();
}

/// The steps by which SQLite answers a statement.
fn plan_of(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let values = rusqlite::params_from_iter(vec![None::<i64>; statement.parameter_count()]);
    statement.query_map(values, |row| row.get("detail")).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Fails where PostgreSQL does not understand a statement, or reads a whole table that grows with the archive.
fn assert_plans_of_a_database(planned: &[&String]) {
    let Some(address) = database() else { return };
    let ledger = Ledger::open(address.clone(), &identity(), T0).unwrap();
    let LedgerPlace::Database(address) = address else { panic!("a database") };
    let postgres = sql::postgres::PostgresConnection::open(&address).unwrap();
    // the planner has no other way than the one that it is told to avoid
    let is_scan = |step: &String| BIG.iter().any(|table| step.contains(&format!("Seq Scan on {table} ")));
    for sql in planned {
        let plan = postgres.plan_of(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
        let scans: Vec<String> = plan.into_iter().filter(is_scan).collect();
        let is_named = WHOLE.iter().any(|(part, _)| sql.contains(part));
        assert!(scans.is_empty() || is_named, "in PostgreSQL {scans:?}: {sql}");
    }
    drop(ledger);
}

#[test]
fn every_statement_reads_by_index_but_for_a_named_list() {
    let service = Policy {
        faults: Faults { share: 0.3, kinds: Fault::passing() },
        fail_share: 0.2,
        ..Policy::default()
    };
    let mut traced = Traced::new(Reads::ByWriter, service, "5/s");
    traced.policy.wait = Some(Duration::from_hours(2));
    traced.policy.concurrency = 4;
    traced.policy.reconcile = ReconcileRules { quiet: Duration::from_mins(5), ..traced.policy.reconcile };
    traced.write_rows(0..60);
    assert_eq!(traced.import(Some(Duration::from_secs(6))), None, "the run is killed");
    assert!(traced.import(None).is_some());
    // a changed manifest, with rows that are gone, known, new and bad
    traced.write_rows(10..80);
    let bad =
        "R90,ftp://host/a,,,,\nR11,https://host/clip-00011.mp4,a,,,\nR11,https://host/clip-00011.mp4,b,,,\n";
    let path = traced.folder.path().join("m.csv");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text + bad).unwrap();
    assert!(traced.import(None).is_some());
    traced.run("verify", None, async |_, context, _| pipeline::verify(&context).await.unwrap());
    traced.run("undo", None, async |own, context, run| {
        let snapshot = own.snapshot();
        let of = snapshot.latest_import().unwrap().unwrap();
        look(&snapshot, of);
        let plan = undo::plan(&snapshot, of, &[], |_, _| Ok(())).unwrap();
        let order = DeletionOrder { run, who: "ann@desk".to_owned(), why: "a test".to_owned() };
        undo::delete(&context, &order, of, &plan).await.unwrap();
    });

    let statements = traced.statements.lock().unwrap();
    // a connection like those of the ledger, since its options decide plans too
    let snapshot = Snapshot::open(traced.path()).unwrap();
    let is_planned = |sql: &&String| {
        let verbs = ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"];
        verbs.iter().any(|verb| sql.trim_start().starts_with(verb))
    };
    let planned: Vec<&String> = statements.keys().filter(is_planned).collect();
    assert!(planned.len() > 100, "only {} statements: the runs no longer do what they did", planned.len());
    assert_plans_of_a_database(&planned);
    // the plan of a minimum says SEARCH also where it reads a whole table
    let is_scan = |step: &String| {
        let minimum = step.strip_prefix("SEARCH ").filter(|rest| !rest.contains(" USING "));
        let table = step.strip_prefix("SCAN ").or(minimum).and_then(|rest| rest.split(' ').next());
        // this index holds few rows, however large the table is
        let is_partial = step.ends_with("USING INDEX attempt_held");
        !is_partial && table.is_some_and(|table| BIG.contains(&table))
    };
    let (mut unnamed, mut named) = (Vec::new(), BTreeSet::new());
    for sql in planned {
        let steps: Vec<String> =
            plan_of(snapshot.connection.sqlite().unwrap(), sql).into_iter().filter(is_scan).collect();
        if steps.is_empty() {
            continue;
        }
        // a name excuses one scan of a statement, not a second one beside it; a new row refers to several tables
        let is_one = |_: &&(&str, &str)| steps.len() == 1 || sql.starts_with("INSERT");
        match WHOLE.iter().find(|(part, _)| sql.contains(part)).filter(is_one) {
            Some((part, _)) => named.extend([*part]),
            None => unnamed.push(format!("{}: {sql}", steps.join("; "))),
        }
    }
    let unnamed = unnamed.join("\n");
    assert!(unnamed.is_empty(), "these read a whole table that grows with the archive:\n{unnamed}");
    let all: BTreeSet<&str> = WHOLE.iter().map(|(part, _)| *part).collect();
    assert_eq!(named, all, "a name that names nothing");
}

#[tokio::test]
async fn a_claim_takes_one_step_in_an_index_of_a_database_too() {
    let Some(place) = database() else {
        println!("SKIPPED: there is no database for tests");
        return;
    };
    let ledger = Ledger::open(place, &identity(), T0).unwrap();
    for (is_current, links, alive_at) in [
        (true, Links::Lasting, "NULL"),
        (true, Links::LastingBehind, "NULL"),
        (true, Links::Expiring, "5"),
        (false, Links::Lasting, "NULL"),
        (false, Links::LastingBehind, "NULL"),
        (false, Links::Expiring, "5"),
    ] {
        let sql = Snapshot::pending_sql(is_current, links);
        let sql = format!(
            "EXPLAIN {}",
            sql.replace("?1", "1")
                .replace("?2", "1")
                .replace("?3", alive_at)
                .replace("?4", "0")
                .replace("?5", "0")
        );
        let explain = move |store: &Store| store.connection.prepare(&sql)?.query_column::<String>([]);
        let plan = ledger.write(explain).await.unwrap().join("\n");
        let is_one_step =
            plan.contains("using item_pending") && !plan.contains("Sort") && !plan.contains("Seq");
        assert!(is_one_step, "{plan}");
    }
}

/// What so many rows cost.
struct Cost {
    log_bytes: u64,
    counts: StepCounts,
}

/// Imports the manifest, and counts without the opening and the closing of the ledger.
fn cost_of_import(traced: &mut Traced, expected: &RunOutcome) -> Cost {
    let cost = traced.run("import", None, async |own, context, run| {
        let spec = ManifestSpec::with_defaults(own.folder.path().join("m.csv").to_str().unwrap());
        let manifest = Manifest::open(&spec).unwrap();
        let before = own.log_bytes();
        own.take_counts();
        let ended = pipeline::import(context, run, vec![manifest], &own.policy).await.unwrap();
        assert_eq!(ended.outcome, *expected);
        Cost { log_bytes: own.log_bytes() - before, counts: own.take_counts() }
    });
    cost.unwrap()
}

#[test]
fn a_row_costs_few_commits_statements_and_bytes() {
    const ROWS: u32 = 2_560;
    let moment = Duration::from_millis(50);
    let service = Policy { answer_delay: moment..=moment, ..Policy::default() };
    let mut traced = Traced::new(Reads::Apart, service, "100000/s:burst");
    traced.policy.concurrency = 64;
    traced.write_rows(0..ROWS);
    let check = |what: &str, Cost { log_bytes, counts }: Cost, most: [f64; 3]| {
        let each = |count: u64| f64::from(u32::try_from(count).unwrap()) / f64::from(ROWS);
        let cost = [each(counts.commits), each(counts.statements), each(log_bytes)];
        let is_low = cost.iter().zip(&most).all(|(cost, most)| cost <= most);
        assert!(is_low, "{what} of a row: {cost:?} commits, statements and bytes, at most {most:?}");
    };
    // the budget lets nothing leave: the first run only loads
    traced.policy.uploads_max = Some(0);
    check("load", cost_of_import(&mut traced, &RunOutcome::BudgetSpent), [0.002, 2.2, 600.0]);
    // the second one reads the manifest again, and uploads
    traced.policy.uploads_max = None;
    check("upload", cost_of_import(&mut traced, &RunOutcome::NotWaited), [0.15, 20.0, 10_500.0]);
}

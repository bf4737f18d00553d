//! Whole runs of the program in virtual time: the real pipeline, a real ledger, a modelled service, and a seed that
//! decides everything else. After every run the ledger is compared with what the service really accepted.

mod knobs;

use std::{collections::BTreeMap, time::Duration};

use rusqlite::{Connection, OpenFlags};
use telecine::{
    domain::{RunOutcome, UnixMillis},
    error::ExitCode,
    ledger::{ItemId, Ledger, ReviewAnswer, ReviewDecision, ReviewOutcome},
    report::{EndOfRun, Summary},
    sandbox::Video,
};

use crate::{
    harness::{Harness, KEY, RunResult, T0},
    state_counts::Part,
};

use self::knobs::{Cut, Knobs, limit};

/// After the faults stop, every row must be final within this number of runs.
const FAULTLESS_RUNS_MAX: u32 = 8;

/// What was seen of one seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) virtual_ms: i64,
    pub(crate) runs: u64,
    pub(crate) cuts: u64,
    pub(crate) uploads: u64,
    pub(crate) faults: u64,
    /// Requests in flight when the program was killed.
    pub(crate) torn: u64,
    pub(crate) asked: u64,
    /// Calls with a valid token, and requests that they settled.
    pub(crate) calls: u64,
    pub(crate) settled_by_calls: u64,
    /// A digest of everything the service saw.
    pub(crate) trace: u64,
}

/// One seed in this number runs twice: the same seed must give the same results.
const TWICE: u64 = 100;

/// Runs one seed and counts what happened.
pub(crate) fn seed(seed: u64) -> Part {
    let mut part = Part::default();
    let knobs = Knobs::of(seed);
    let outcome = run_case(&knobs).and_then(|totals| {
        if seed.is_multiple_of(TWICE) && run_case(&knobs)? != totals {
            return Err("O11 determinism: the same seed gave other totals".to_owned());
        }
        Ok(totals)
    });
    part.add("seeds", 1);
    match outcome {
        Ok(totals) => {
            part.add("virtual seconds", u64::try_from(totals.virtual_ms / 1000).unwrap_or(0));
            part.add("runs", totals.runs);
            part.add("kills and stops", totals.cuts);
            part.add("requests torn by a kill", totals.torn);
            part.add("uploads", totals.uploads);
            part.add("faults", totals.faults);
            part.add("questions", totals.asked);
            part.add("calls", totals.calls);
            part.add("requests settled by calls", totals.settled_by_calls);
        }
        Err(error) => part.failures.push(format!("seed {seed}: {error}; {knobs:?}")),
    }
    part
}

/// Runs one seed to its end. The error names the promise that was broken.
pub(crate) fn run_case(knobs: &Knobs) -> Result<Totals, String> {
    let mut simulation = Simulation {
        harness: knobs.harness(),
        knobs,
        rng: fastrand::Rng::with_seed(knobs.seed ^ 0x5eed),
        totals: Totals::default(),
        resent: BTreeMap::new(),
        items: Vec::new(),
    };
    for cut in &knobs.runs {
        let (kill, stop) = match cut {
            Cut::Killed(after) => (Some(*after), None),
            Cut::Stopped(after) => (None, Some(*after)),
        };
        simulation.run_once(kill, stop)?;
        simulation.totals.cuts += 1;
    }
    simulation.harness.policy.wait = Some(Duration::from_hours(30));
    simulation.harness.service.disable_faults();
    for _ in 0..FAULTLESS_RUNS_MAX {
        simulation.run_once(None, None)?;
        simulation.answer_questions()?;
        if simulation.is_settled() {
            return simulation.end();
        }
    }
    Err(format!(
        "O6 liveness: not settled {FAULTLESS_RUNS_MAX} runs after the faults stopped: {:?}",
        simulation.items
    ))
}

/// One item as the ledger has it.
#[derive(Clone, Debug)]
struct Item {
    id: i64,
    state: String,
    url: String,
    video_no: Option<String>,
}

struct Simulation<'a> {
    harness: Harness,
    knobs: &'a Knobs,
    rng: fastrand::Rng,
    totals: Totals,
    /// How often a human ordered a source to be sent again though the service might have it.
    resent: BTreeMap<String, usize>,
    items: Vec<Item>,
}

impl Simulation<'_> {
    fn run_once(&mut self, kill: Option<Duration>, stop: Option<Duration>) -> Result<(), String> {
        for number in 0..self.knobs.strangers {
            let url = format!("https://stranger/{}-{number}.mp4", self.totals.runs);
            self.harness.service.upload_foreign(KEY, "default", &url);
        }
        let before = self.harness.now;
        let step = self.knobs.clock_steps_ms.get(usize::try_from(self.totals.runs).unwrap_or(0));
        self.harness.clock_step_ms = step.copied().unwrap_or(0);
        self.totals.runs += 1;
        let run = self.harness.run_interrupted(kill, stop);
        self.totals.virtual_ms += self.harness.now.since_ms(before);
        if let Some(calls) = self.harness.calls.lock().ok().and_then(|mut calls| calls.take()) {
            self.totals.calls += calls.counts().received;
            self.totals.settled_by_calls += calls.counts().settled;
        }
        if let RunResult::Failed(error) = &run {
            return Err(format!("a run failed: {error}"));
        }
        if let RunResult::Ended(RunOutcome::Stopped { cause, .. }) = &run {
            return Err(format!("a run was stopped: {cause}"));
        }
        self.check()?;
        if let RunResult::Ended(outcome) = &run {
            self.check_report(outcome)?;
        }
        self.delete_something();
        Ok(())
    }

    /// What the program would report agrees with its ledger, and its exit code with both.
    fn check_report(&self, outcome: &RunOutcome) -> Result<(), String> {
        let snapshot = self.harness.snapshot();
        let run = snapshot.latest_run().map_err(words)?.ok_or("O10: a run without a record")?;
        let end = EndOfRun {
            is_cron: false,
            callbacks: None,
            command: "import",
            run,
            outcome: outcome.clone(),
            broken_manifests: Vec::new(),
            manifest_notices: Vec::new(),
            signal: None,
            at: self.harness.now,
            rate: self.knobs.rate.to_owned(),
            caps: Vec::new(),
            next_upload_at: self.harness.now,
            price: None,
            wait: None,
            ledger_flags: String::new(),
            library_diffs: Vec::new(),
        };
        let summary = Summary::of_run(&snapshot, end).map_err(|error| format!("O10: {error}"))?;
        let open = summary.items.total
            - summary.items.indexed
            - summary.items.failed
            - summary.items.rejected
            - summary.items.abandoned;
        let is_final = *outcome == RunOutcome::Finished;
        let says_done = matches!(summary.exit_code, ExitCode::Success | ExitCode::SomeFailed);
        if is_final && says_done && open > 0 {
            return Err(format!("O10: exit {} with {open} open items", summary.exit_code.number()));
        }
        Ok(())
    }

    fn open(&self) -> Result<Connection, String> {
        Connection::open_with_flags(self.harness.ledger(), OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(words)
    }

    /// Everything that must hold at any time.
    fn check(&mut self) -> Result<(), String> {
        if !self.harness.ledger().exists() {
            return Ok(());
        }
        let connection = self.open()?;
        let Ok(mut statement) = connection.prepare(
            "SELECT item.id, item.state, item.submission ->> '$.url', attempt.video_no FROM item \
             LEFT JOIN attempt ON attempt.id = item.attempt ORDER BY item.id",
        ) else {
            // killed before the ledger had its tables
            return Ok(());
        };
        let read = |row: &rusqlite::Row<'_>| {
            Ok(Item { id: row.get(0)?, state: row.get(1)?, url: row.get(2)?, video_no: row.get(3)? })
        };
        self.items = statement.query_map([], read).and_then(Iterator::collect).map_err(words)?;
        self.totals.torn += self.items.iter().filter(|item| item.state == "sending").count() as u64;
        let ours: Vec<Video> = self.ours();
        let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
        for video in &ours {
            *taken.entry(&video.url).or_default() += 1;
        }
        for (url, times) in &taken {
            if *times > 1 + self.resent.get(*url).copied().unwrap_or(0) {
                return Err(format!("O1 paid twice: {url} was accepted {times} times"));
            }
        }
        let by_number: BTreeMap<&str, &str> =
            ours.iter().map(|video| (video.video_no.as_str(), video.url.as_str())).collect();
        for item in &self.items {
            let is_free = item.state == "pending" || item.state == "rejected";
            if is_free && taken.contains_key(item.url.as_str()) && !self.resent.contains_key(&item.url) {
                return Err(format!("O1 next: {} is {} and at the service", item.url, item.state));
            }
            if let Some(number) = &item.video_no
                && by_number.get(number.as_str()) != Some(&item.url.as_str())
            {
                return Err(format!("O4 mapping: {} is bound to {number}, which is not its video", item.url));
            }
        }
        let committed_uploads: i64 = connection
            .query_row("SELECT uploads FROM committed_uploads", [], |row| row.get(0))
            .map_err(words)?;
        if usize::try_from(committed_uploads).unwrap_or(0) < ours.len() {
            return Err(format!(
                "O7 money: {committed_uploads} paid or possibly paid, {} accepted",
                ours.len()
            ));
        }
        self.check_windows(&ours)
    }

    fn ours(&self) -> Vec<Video> {
        let videos = self.harness.service.videos_ever();
        videos.into_iter().filter(|video| video.url.starts_with("https://host/")).collect()
    }

    /// No trailing window at the service holds more than the cap, by the times of acceptance.
    fn check_windows(&self, ours: &[Video]) -> Result<(), String> {
        let Some(cap) = self.knobs.cap.map(limit) else { return Ok(()) };
        let mut timestamps: Vec<UnixMillis> = ours.iter().map(|video| video.created_at).collect();
        timestamps.sort();
        let count = cap.count() as usize;
        for window in timestamps.windows(count + 1) {
            let duration = window[count].since_ms(window[0]);
            if duration < cap.period_ms() {
                return Err(format!("O5 quota: {} accepted within {duration} ms", count + 1));
            }
        }
        Ok(())
    }

    /// A user deletes a video of an item that is final for a long time.
    fn delete_something(&mut self) {
        for _ in 0..self.knobs.deletions {
            let settled: Vec<&Item> = self.items.iter().filter(|item| item.state == "indexed").collect();
            if let Some(item) = self.rng.choice(&settled)
                && let Some(number) = &item.video_no
            {
                self.harness.service.delete(number);
            }
        }
    }

    /// A human who can see everything answers every question rightly, or gives up.
    fn answer_questions(&mut self) -> Result<(), String> {
        let asked: Vec<Item> =
            self.items.iter().filter(|item| item.state == "needs_review").cloned().collect();
        if asked.is_empty() {
            return Ok(());
        }
        self.totals.asked += asked.len() as u64;
        let videos = self.ours();
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(words)?;
        let at = self.harness.now;
        let ledger = Ledger::open_offline(self.harness.ledger(), at).map_err(words)?;
        for item in asked {
            let own = videos.iter().find(|video| video.url == item.url);
            let answer = match own {
                Some(video) => ReviewAnswer::Adopt(number(&video.video_no)?),
                None if self.rng.bool() => {
                    *self.resent.entry(item.url.clone()).or_default() += 1;
                    ReviewAnswer::Resend
                }
                None => ReviewAnswer::GiveUp,
            };
            let decision = ReviewDecision { answer, who: "human".to_owned(), why: "seen".to_owned(), at };
            let id = ItemId::numbered(item.id);
            let answered =
                runtime.block_on(ledger.write(move |store| store.answer(id, &decision))).map_err(words)?;
            if answered != ReviewOutcome::Done {
                return Err(format!("a decision was refused: {answered:?}"));
            }
        }
        runtime.block_on(ledger.close());
        Ok(())
    }

    fn is_settled(&self) -> bool {
        let final_states = ["indexed", "failed", "rejected", "abandoned"];
        let deleted: Vec<&Item> =
            self.items.iter().filter(|item| !final_states.contains(&item.state.as_str())).collect();
        deleted.is_empty()
    }

    /// Everything that must hold at the end.
    fn end(mut self) -> Result<Totals, String> {
        if self.items.len() != self.knobs.rows {
            return Err(format!("O3 nothing lost: {} rows, {} items", self.knobs.rows, self.items.len()));
        }
        let bound: Vec<&str> = self.items.iter().filter_map(|item| item.video_no.as_deref()).collect();
        for video in self.ours() {
            let given_up = self.items.iter().any(|item| item.url == video.url && item.state == "abandoned");
            let resent = self.resent.contains_key(&video.url);
            if !bound.contains(&video.video_no.as_str()) && !given_up && !resent {
                return Err(format!("O2 orphan: {} of {} belongs to no item", video.video_no, video.url));
            }
        }
        let problems = self.harness.snapshot().problems().map_err(words)?;
        if !problems.is_empty() {
            return Err(format!("O8 ledger: {problems:?}"));
        }
        let stats = self.harness.service.stats();
        self.totals.uploads = stats.uploads;
        self.totals.faults = stats.faults;
        self.totals.trace =
            trace(&format!("{stats:?} {} {:?}", self.harness.now, self.harness.service.videos_ever()));
        debug_assert!(self.harness.now >= T0, "time ran");
        Ok(self.totals)
    }
}

fn number(text: &str) -> Result<telecine::domain::VideoNo, String> {
    telecine::domain::VideoNo::parse(text).ok_or_else(|| format!("{text} is no video number"))
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// FNV-1a: enough to tell two traces apart.
fn trace(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

//! `cargo xtask quota`: how much of a quota is used, and that none is exceeded, as one table.
//!
//! A day of virtual time for every rate, service and cap, killed every ten minutes; unknown caps; random schedules
//! of eight accounts; and the real binary against the sandbox over HTTP.

mod client;
mod http;
mod schedules;
mod server;

use std::{collections::BTreeMap, path::PathBuf, sync::Mutex};

use telecine::{
    domain::{Limit, UnixMillis},
    quota::{LimitChange, Limits},
};

use client::{Answers, Client, Way};
use server::{Kind, Server};

const HOUR_MS: i64 = 3_600_000;
const CAP_SPAN_MS: i64 = 2 * HOUR_MS;
/// The way to the service varies by so much.
const JITTER_MS: i64 = 20;
/// Midnight: services that count minutes of the clock start one.
const FROM: UnixMillis = UnixMillis(1_699_920_000_000);

/// How much to run.
#[derive(Clone, Debug)]
pub(crate) struct Amount {
    pub(crate) hours: i64,
    pub(crate) schedules: u64,
    pub(crate) threads: usize,
    /// The binary to try over HTTP, and for how many seconds; none leaves that out.
    pub(crate) http: Option<(PathBuf, u64)>,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
struct Cell {
    kind: Kind,
    /// As the service counts it.
    rate: &'static str,
    /// As it is configured, for a service that counts so.
    asked: &'static str,
    /// In percent.
    used_min: f64,
    cap: Option<u32>,
    /// By how much the time of a request on its way varies.
    jitter_ms: i64,
    /// The longest commit of a claim.
    commit_ms: i64,
    /// Refusals that teach the jitter, where no client can know it.
    refused_max: usize,
}

/// What a row came to.
struct Row {
    cell: Cell,
    accepted: u64,
    allowed: u64,
    refused: usize,
    /// Lost to the margin for the way and to answers that take their time, to requests without an answer, to restarts; in
    /// percent of what was allowed.
    losses: [f64; 3],
}

impl Row {
    fn used(&self) -> f64 {
        percent(self.accepted, self.allowed)
    }

    fn is_good(&self) -> bool {
        self.refused <= self.cell.refused_max && self.used() >= self.cell.used_min
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for a reader")]
fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole as f64
}

fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    let usual = Cell {
        kind: Kind::SlidingLog,
        rate: "1/s",
        asked: "1/s",
        used_min: 97.0,
        cap: None,
        jitter_ms: JITTER_MS,
        commit_ms: 1,
        refused_max: 0,
    };
    for (rate, used_min, cap) in [("1/min", 99.5, 96), ("1/s", 97.0, 5_760), ("50/s", 97.0, 288_000)] {
        for kind in Kind::COUNTED {
            for cap in [None, Some(cap)] {
                // a service that demands a distance between requests is configured so: 50/s would be a count in any second
                // and the network takes half of it
                let is_short = kind == Kind::Spacing && rate == "50/s";
                let (asked, used_min) = if is_short { ("1/20ms", 94.0) } else { (rate, used_min) };
                cells.push(Cell { kind, rate, asked, used_min, cap, ..usual });
            }
        }
    }
    // a distance is kept in whichever words the limit is given, with fast commits and with slow ones
    for (rate, asked) in [
        ("2/s", "2/s"),
        ("2/s", "120/min"),
        ("1/s", "60/min"),
        ("5/s", "5/s"),
        ("50/s", "45/s"),
        ("10/min", "10/min"),
    ] {
        for kind in [Kind::Gcra, Kind::Nginx] {
            for commit_ms in [1, 40] {
                let own = Cell { kind, rate, asked, jitter_ms: 0, commit_ms, ..usual };
                cells.push(own);
            }
        }
    }
    // the network takes from a distance what no client can know before the first refusal
    for (rate, used_min) in [("2/s", 90.0), ("5/s", 80.0)] {
        cells.push(Cell { kind: Kind::Gcra, rate, asked: rate, used_min, refused_max: 8, ..usual });
    }
    cells
}

fn limit(text: &str) -> Limit {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn limits(rate: &str, cap: Option<u32>) -> Limits {
    Limits {
        upload: vec![rate.parse().unwrap_or_else(|error| panic!("{rate}: {error}"))],
        caps: cap.and_then(|cap| Limit::per_ms(cap, CAP_SPAN_MS)).map(Into::into).into_iter().collect(),
        ..Limits::default()
    }
}

/// A request takes up to twenty milliseconds each way and is answered within half a minute; every ten minutes the program is
/// killed, and starts again within half a second.
fn way(kill_every_ms: Option<i64>, answers: Answers, jitter_ms: i64, commit_ms: i64) -> Way {
    Way {
        way_ms: 0..=jitter_ms,
        commit_us: 200..=commit_ms * 1_000,
        kill_every_ms,
        down_ms: 50..=450,
        answers,
    }
}

fn run_case(cell: Cell, hours: i64, way: Way) -> (u64, usize) {
    let cap = cell.cap.and_then(|cap| Limit::per_ms(cap, CAP_SPAN_MS));
    let server = Server::new(cell.kind, limit(cell.rate), cap, 200..=30_000);
    let mut client = Client::new(limits(cell.asked, cell.cap), way, server, FROM, 7);
    client.run_until(FROM.plus_ms(hours * HOUR_MS));
    (client.seen.accepted, client.seen.refused_at_ms.len())
}

/// How many uploads the limits allow. The network shortens the distance between two requests by up to the jitter. A service
/// that demands a distance therefore allows fewer.
fn allowed(cell: Cell, hours: i64) -> u64 {
    // a slower rate than the service allows is what was asked for
    let rate =
        if matches!(cell.kind, Kind::Gcra | Kind::Nginx) { limit(cell.asked) } else { limit(cell.rate) };
    let period_ms = hours * HOUR_MS;
    let interval_ms = rate.period_ms() / i64::from(rate.count());
    let by_rate = if interval_ms <= cell.jitter_ms && cell.kind == Kind::Spacing {
        period_ms / (interval_ms + cell.jitter_ms)
    } else {
        period_ms / rate.period_ms() * i64::from(rate.count())
    };
    let by_cap = cell.cap.map_or(i64::MAX, |cap| {
        let (whole, rest) = (period_ms / CAP_SPAN_MS, period_ms % CAP_SPAN_MS);
        let in_rest = (rest / rate.period_ms() * i64::from(rate.count())).min(i64::from(cap));
        whole * i64::from(cap) + in_rest
    });
    u64::try_from(by_rate.min(by_cap)).unwrap_or(0)
}

fn row(cell: Cell, hours: i64) -> Row {
    let every = Some(10 * 60_000);
    let allowed = allowed(cell, hours);
    let (accepted, refused) =
        run_case(cell, hours, way(every, Answers::Lost, cell.jitter_ms, cell.commit_ms));
    // the same without one cause of loss after the other
    let (all_answered, _) =
        run_case(cell, hours, way(every, Answers::Feedback, cell.jitter_ms, cell.commit_ms));
    let (never_killed, _) = run_case(cell, hours, way(None, Answers::Lost, cell.jitter_ms, cell.commit_ms));
    let losses = [
        100.0 - percent(never_killed, allowed),
        percent(all_answered, allowed) - percent(accepted, allowed),
        percent(never_killed, allowed) - percent(all_answered, allowed),
    ];
    Row { cell, accepted, allowed, refused, losses }
}

/// Runs everything and prints the table. False: something failed.
pub(crate) fn run(amount: &Amount) -> Result<bool, String> {
    println!(
        "quota: {} h of virtual time a row, killed every 10 min, answers after 0.2 to 30 s, each way 0 to {JITTER_MS} ms\n",
        amount.hours
    );
    println!(
        "{:<24} {:>7} {:>9} {:>10} {:>10} {:>8} {:>8}   {:>7} {:>9} {:>8}",
        "the service counts",
        "rate",
        "cap",
        "allowed",
        "accepted",
        "refused",
        "used %",
        "way %",
        "unheard %",
        "starts %"
    );
    let mut is_good = true;
    for row in side_by_side(cells(), amount.threads, |cell| row(*cell, amount.hours)) {
        let cap = row.cell.cap.map_or_else(|| "none".to_owned(), |cap| format!("{cap}/2h"));
        let verdict = if row.is_good() { "" } else { "  FAILED" };
        is_good &= row.is_good();
        println!(
            "{:<24} {:>7} {:>9} {:>10} {:>10} {:>8} {:>8.2}   {:>7.2} {:>9.2} {:>8.2}{verdict}",
            row.cell.kind.words(),
            row.cell.asked,
            cap,
            row.allowed,
            row.accepted,
            row.refused,
            row.used(),
            row.losses[0],
            row.losses[1],
            row.losses[2]
        );
    }
    println!("\nunknown caps");
    for learned in learn().into_iter().chain([share_with_another()]) {
        is_good &= learned.is_good;
        println!("  {}{}", learned.words, if learned.is_good { "" } else { "  FAILED" });
    }
    let seen = schedules::run_case(amount.schedules, amount.threads);
    is_good &= seen.breaches.is_empty();
    println!(
        "\n{} random schedules of {} accounts: {} uploads accepted, {} restarts, {} steps of the clock, {} breaches",
        amount.schedules,
        schedules::ACCOUNTS,
        seen.accepted,
        seen.restarts,
        seen.steps,
        seen.breaches.len()
    );
    for breach in seen.breaches.iter().take(3) {
        println!("  {breach}");
    }
    if let Some((binary, seconds)) = &amount.http {
        println!("\nover HTTP, for {seconds} s each");
        for case in http::CASES {
            let tried = http::run_case(binary, *seconds, case)?;
            is_good &= tried.is_good();
            println!("  {}", tried.words());
        }
    }
    println!("\nquota: {}", if is_good { "passed" } else { "FAILED" });
    Ok(is_good)
}

/// Works on all of them, several at a time; in their order.
pub(crate) fn side_by_side<T: Sync, R: Send>(
    work: Vec<T>,
    threads: usize,
    run_case: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let next = Mutex::new(0..work.len());
    let done = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(at) = next.lock().ok().and_then(|mut next| next.next()) {
                    let result = run_case(&work[at]);
                    if let Ok(mut done) = done.lock() {
                        done.insert(at, result);
                    }
                }
            });
        }
    });
    done.into_inner().map(|done| done.into_values().collect()).unwrap_or_default()
}

/// A cap that had to be found out.
struct Learned {
    words: String,
    is_good: bool,
}

/// A service with a cap that is not configured: learned, kept, and found again when it changes.
fn learn() -> Vec<Learned> {
    let cap = |count: u32| Limit::per_ms(count, CAP_SPAN_MS);
    let server = Server::new(Kind::SlidingLog, limit("1/min"), cap(100), 200..=30_000);
    let mut client =
        Client::new(limits("1/min", None), way(None, Answers::Lost, JITTER_MS, 1), server, FROM, 11);
    let mut found = Vec::new();
    let mut hours = 0;
    let mut slowdown = |client: &mut Client, what: &str, cap: u64, for_hours: i64, settled_after: i64| {
        let (from, until) = (hours * HOUR_MS, (hours + for_hours) * HOUR_MS);
        hours += for_hours;
        client.run_until(FROM.plus_ms(until));
        let refusals = client.seen.refused_at_ms.iter().filter(|at| (from..until).contains(at)).count();
        let settled_from = from + settled_after * HOUR_MS;
        let late = client.seen.refused_at_ms.iter().filter(|at| (settled_from..until).contains(at)).count();
        let accepted =
            client.seen.accepted_at_ms.iter().filter(|at| (settled_from..until).contains(at)).count() as u64;
        let windows = u64::try_from((for_hours - settled_after) / 2).unwrap_or(0);
        let used = percent(accepted, cap * windows);
        let last = client.seen.news.iter().rev().find_map(|news| match news {
            LimitChange::CapLearned(words) => Some(words.clone()),
            LimitChange::CapShrank { .. }
            | LimitChange::CapRises(_)
            | LimitChange::SlowedDown(_)
            | LimitChange::SpacingWidened(_)
            | LimitChange::RefusalsSpent(_) => None,
        });
        let words = format!(
            "{what:<44} {refusals} refusals, {late} after {settled_after} h; then {used:.2} % used; learned: {}",
            last.unwrap_or_else(|| "nothing".to_owned())
        );
        found.push((words, refusals, late, used));
    };
    slowdown(&mut client, "100/2h, unknown, the first day", 100, 22, 4);
    client.server.set_cap(cap(110));
    slowdown(&mut client, "raised to 110/2h, the next two days", 110, 48, 30);
    client.server.set_cap(cap(60));
    slowdown(&mut client, "lowered to 60/2h, the next day", 60, 24, 8);
    found
        .into_iter()
        .enumerate()
        .map(|(at, (words, refusals, late, used))| Learned {
            words,
            is_good: used >= 97.0 && if at == 0 { refusals <= 3 && late == 0 } else { late <= 1 },
        })
        .collect()
}

/// Another tool uploads with the same account, below a cap that is configured: it is noticed, reported, and left room.
fn share_with_another() -> Learned {
    const EVERY_MS: i64 = 6 * 60_000;
    let cap = Limit::per_ms(100, CAP_SPAN_MS);
    let server = Server::new(Kind::SlidingLog, limit("2/min"), cap, 200..=30_000);
    let mut client =
        Client::new(limits("1/min", Some(100)), way(None, Answers::Lost, JITTER_MS, 1), server, FROM, 13);
    for at in 1..=24 * HOUR_MS / EVERY_MS {
        client.run_until(FROM.plus_ms(at * EVERY_MS));
        client.server.take_foreign(FROM.plus_ms(at * EVERY_MS));
    }
    let from = 8 * HOUR_MS;
    let late = client.seen.refused_at_ms.iter().filter(|at| **at >= from).count();
    let accepted = client.seen.accepted_at_ms.iter().filter(|at| **at >= from).count() as u64;
    let used = percent(accepted, 80 * 8);
    let is_reported = client.seen.news.iter().any(|news| matches!(news, LimitChange::CapShrank { .. }));
    let refusals = client.seen.refused_at_ms.len();
    let reported = if is_reported { "reported" } else { "not reported" };
    Learned {
        words: format!(
            "{:<44} {refusals} refusals, {late} after 8 h; then {used:.2} % of what is left used; {reported}",
            "100/2h, of which another tool takes 20"
        ),
        is_good: is_reported && used >= 90.0 && late <= 4,
    }
}

//! Two processes import into one ledger: one sends, the other one waits. At random moments the sender is killed, stopped for longer
//! than the lease, or cut off, and the server crashes.

use std::{
    fs,
    process::{Child, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    Amount,
    cluster::Cluster,
    proxy::Proxy,
    stage::{LEASE, Stage},
    words,
};
use crate::{
    program::{Sandbox, Telecine},
    state_counts::Part,
};

/// Moments of one import.
const MOMENTS: u64 = 8;
/// Rows that are sent between two moments, at most.
const ROWS_EACH: u64 = 14;
const RATE: &str = "4/s";
/// The rate of the service. It is higher, because a busy machine sends late, and two senders would still exceed it.
const RATE_MAX: &str = "6/s";
/// A cap whose window is longer than a takeover, so that the next sender must know what the one before it has used.
const CAP: &str = "24/10s";
/// How long a takeover may take beyond the lease.
const TAKEOVER_MAX: Duration = Duration::from_secs(5);
/// How long an import that nothing befalls any more may take.
const END_MAX: Duration = Duration::from_secs(90);
/// How long a sender has to notice that it is no longer one.
const NOTICE_MAX: Duration = Duration::from_secs(10);
const MACHINES: [&str; 2] = ["one", "two"];

/// What befalls the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Kill,
    /// Stopped for longer than the lease, and continued.
    Stop,
    Crash,
    /// The network ends connections.
    Refuse,
    /// The network swallows everything.
    Silence,
    /// Nothing: the lease stays where it is.
    Peace,
}

const ALL: [Moment; 6] =
    [Moment::Kill, Moment::Stop, Moment::Crash, Moment::Refuse, Moment::Silence, Moment::Peace];

/// Imports with disturbances until there were as many as wanted.
pub(super) fn run(telecine: &Telecine, amount: &Amount) -> Result<Part, String> {
    let sandbox = Sandbox::start(telecine, &["--rate", RATE_MAX, "--cap", CAP])?;
    let next = AtomicU64::new(0);
    let imports = amount.moments.div_ceil(MOMENTS);
    let is_failed = AtomicBool::new(false);
    let work = || -> Result<Part, String> {
        // servers crash, so each thread has its own
        let cluster = Cluster::new()?;
        let mut part = Part::default();
        while !is_failed.load(Ordering::SeqCst) {
            let number = next.fetch_add(1, Ordering::SeqCst);
            if number >= imports {
                break;
            }
            let seed = amount.seed * 100_000 + number;
            if let Err(fault) = import(telecine, &sandbox, &cluster, seed, &mut part) {
                is_failed.store(true, Ordering::SeqCst);
                part.failures.push(format!("import {seed}: {fault}"));
            }
        }
        Ok(part)
    };
    let mut part = Part::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..amount.threads).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            match thread.join() {
                Ok(Ok(own)) => part.merge(own),
                Ok(Err(fault)) => part.failures.push(fault),
                Err(_) => part.failures.push("a thread panicked".to_owned()),
            }
        }
    });
    Ok(part)
}

/// One of the two processes, started again whenever it ends.
struct Machine {
    name: &'static str,
    proxy: Proxy,
    child: Mutex<Option<Child>>,
    /// What a process said that ended by itself.
    said: Mutex<Vec<String>>,
}

impl Machine {
    fn pid(&self) -> Option<u32> {
        self.child().as_ref().map(Child::id)
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the process if there is none.
    fn keep(&self, stage: &Stage<'_>) -> Result<(), String> {
        let mut child = self.child();
        let log = stage.file(&format!("{}.log", self.name));
        if let Some(running) = child.as_mut() {
            if running.try_wait().map_err(words)?.is_none() {
                return Ok(());
            }
            let text = fs::read_to_string(&log).unwrap_or_default();
            if text.contains("panicked") {
                return Err(text);
            }
            if !text.is_empty() && !text.contains("holds the lease") {
                self.said.lock().unwrap_or_else(PoisonError::into_inner).push(text);
            }
        }
        let log = fs::File::create(&log).map_err(words)?;
        let mut command = stage.import(self.name, self.proxy.port, &["--no-wait", "--standby"]);
        *child = Some(command.stdout(Stdio::null()).stderr(log).spawn().map_err(words)?);
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(mut child) = self.child().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn import(
    telecine: &Telecine,
    sandbox: &Sandbox,
    cluster: &Cluster,
    seed: u64,
    part: &mut Part,
) -> Result<(), String> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let rows = usize::try_from(MOMENTS * ROWS_EACH).unwrap_or(100);
    let mut stage = Stage::new(telecine, sandbox, rows)?;
    (stage.rate, stage.concurrency, stage.cap) = (RATE, "2", Some(CAP));
    let mut machines = Vec::new();
    for name in MACHINES {
        let proxy = Proxy::start(cluster.port)?;
        machines.push(Machine { name, proxy, child: Mutex::default(), said: Mutex::default() });
    }
    let (stage, machines) = (&stage, machines.as_slice());
    let is_over = AtomicBool::new(false);
    let ran = std::thread::scope(|scope| {
        let keeper = scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                for machine in machines {
                    machine.keep(stage)?;
                }
                sleep(Duration::from_millis(50));
            }
            Ok::<(), String>(())
        });
        let disturbed = disturb(stage, machines, cluster, &mut rng, part);
        let ended = disturbed.and_then(|()| wait_until_sent(stage, cluster));
        is_over.store(true, Ordering::SeqCst);
        ended.and(keeper.join().map_err(|_| "the keeper panicked".to_owned())?)
    });
    let said: Vec<String> = machines
        .iter()
        .flat_map(|machine| machine.said.lock().unwrap_or_else(PoisonError::into_inner).clone())
        .collect();
    ran.map_err(|fault| format!("{fault}; they said {said:?}"))?;
    for machine in machines {
        if let Some(mut child) = machine.child().take() {
            let _ = child.kill();
            child.wait().map_err(words)?;
        }
    }
    let open = stage.judge(cluster).map_err(|fault| format!("{fault}; they said {said:?}"))?;
    part.add("requests left in doubt", open.in_doubt);
    // the last one to be killed holds the lease
    sleep(LEASE + Duration::from_millis(200));
    let ended = stage.run_to_end("one", machines[0].proxy.port)?;
    let open = stage.judge(cluster).map_err(|fault| format!("{fault} after {ended:?}"))?;
    let is_settled = ended.code == Some(0) && open.pending + open.in_doubt == 0;
    if !is_settled && ended.code != Some(6) {
        return Err(format!("{open:?} after {ended:?}"));
    }
    part.add("questions", open.in_doubt);
    part.add("imports", 1);
    part.add("rows", rows as u64);
    stage.check_ledger(cluster.port)
}

/// The process that holds the lease, and its term. `None`: nobody does, or there is no ledger yet.
fn holder(stage: &Stage<'_>, cluster: &Cluster) -> Result<Option<(u32, u64)>, String> {
    let sql = format!("SELECT name, term FROM {0}.lease WHERE until >= {0}.now_ms()", stage.name);
    let Ok(rows) = cluster.sql(&sql) else { return Ok(None) };
    let Some([name, term]) = rows.first().map(Vec::as_slice) else { return Ok(None) };
    let pid = name.split_whitespace().nth(1).and_then(|pid| pid.parse().ok());
    let pid = pid.ok_or_else(|| format!("the holder is {name:?}"))?;
    Ok(Some((pid, term.parse().map_err(words)?)))
}

/// Waits until some process holds the lease.
fn wait_for_holder(stage: &Stage<'_>, cluster: &Cluster) -> Result<(u32, u64), String> {
    let since = Instant::now();
    loop {
        if let Some(holder) = holder(stage, cluster)? {
            return Ok(holder);
        }
        if since.elapsed() > LEASE + TAKEOVER_MAX + Duration::from_secs(5) {
            return Err("nobody holds the lease".to_owned());
        }
        sleep(Duration::from_millis(50));
    }
}

fn disturb(
    stage: &Stage<'_>,
    machines: &[Machine],
    cluster: &Cluster,
    rng: &mut fastrand::Rng,
    part: &mut Part,
) -> Result<(), String> {
    for _ in 0..MOMENTS {
        let (mut pid, mut term) = wait_for_holder(stage, cluster)?;
        sleep(Duration::from_millis(rng.u64(0..1_200)));
        if let Some(now) = holder(stage, cluster)? {
            (pid, term) = now;
        }
        if is_sent(stage, cluster)? {
            part.add("moments that came too late", 1);
            return Ok(());
        }
        let Some(sender) = machines.iter().find(|machine| machine.pid() == Some(pid)) else { continue };
        let moment = ALL[rng.usize(..ALL.len())];
        let at = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis());
        sender.said.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{at}: {moment:?} of {pid}"));
        let befell = befall(stage, sender, cluster, moment, (pid, term), rng, part);
        befell.map_err(|fault| format!("{moment:?} of process {pid} in term {term}: {fault}"))?;
        part.add("moments", 1);
    }
    Ok(())
}

fn befall(
    stage: &Stage<'_>,
    sender: &Machine,
    cluster: &Cluster,
    moment: Moment,
    (pid, term): (u32, u64),
    rng: &mut fastrand::Rng,
    part: &mut Part,
) -> Result<(), String> {
    match moment {
        Moment::Kill => {
            part.add("kills", 1);
            signal(pid, Signal::KILL)?;
            taken_over(stage, cluster, term, part)
        }
        Moment::Stop => {
            part.add("stops", 1);
            signal(pid, Signal::STOP)?;
            let taken = taken_over(stage, cluster, term, part);
            sleep(Duration::from_millis(rng.u64(0..1_000)));
            signal(pid, Signal::CONT)?;
            taken?;
            has_ended(sender, pid)
        }
        Moment::Refuse | Moment::Silence => {
            part.add("cuts of the network", 1);
            sender.proxy.take_network(moment == Moment::Silence);
            let taken = taken_over(stage, cluster, term, part);
            sleep(Duration::from_millis(rng.u64(0..1_000)));
            sender.proxy.give_network();
            taken?;
            has_ended(sender, pid)
        }
        Moment::Crash => {
            part.add("crashes of the server", 1);
            cluster.crash()?;
            sleep(Duration::from_millis(rng.u64(0..1_500)));
            cluster.start()?;
            wait_for_holder(stage, cluster).map(drop)
        }
        Moment::Peace => {
            part.add("moments of peace", 1);
            // nobody takes a lease that its holder renews
            sleep(LEASE + Duration::from_millis(500));
            let now = holder(stage, cluster)?;
            if now == Some((pid, term)) || is_sent(stage, cluster)? {
                return Ok(());
            }
            Err(format!("the lease went to {now:?} for no reason"))
        }
    }
}

fn signal(pid: u32, signal: Signal) -> Result<(), String> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or("no process")?;
    kill_process(pid, signal).map_err(words)
}

/// Waits for the next term.
fn taken_over(stage: &Stage<'_>, cluster: &Cluster, term: u64, part: &mut Part) -> Result<(), String> {
    let since = Instant::now();
    loop {
        if cluster.number(&format!("SELECT term FROM {}.lease", stage.name))? > term {
            part.add("takeovers", 1);
            part.add("milliseconds of takeovers", u64::try_from(since.elapsed().as_millis()).unwrap_or(0));
            return Ok(());
        }
        if since.elapsed() > LEASE + TAKEOVER_MAX {
            return Err(format!("no takeover in {:?}", since.elapsed()));
        }
        sleep(Duration::from_millis(50));
    }
}

/// A process whose lease was taken notices it, and ends.
fn has_ended(sender: &Machine, pid: u32) -> Result<(), String> {
    let since = Instant::now();
    while sender.pid() == Some(pid) {
        if since.elapsed() > NOTICE_MAX {
            return Err("it goes on without the lease".to_owned());
        }
        sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn is_sent(stage: &Stage<'_>, cluster: &Cluster) -> Result<bool, String> {
    let sql = format!("SELECT count(*) FROM {}.item WHERE state IN ('pending', 'sending')", stage.name);
    let all = format!("SELECT count(*) FROM {}.item", stage.name);
    Ok(cluster.number(&all)? == stage.rows() && cluster.number(&sql)? == 0)
}

fn wait_until_sent(stage: &Stage<'_>, cluster: &Cluster) -> Result<(), String> {
    let since = Instant::now();
    while !is_sent(stage, cluster)? {
        if since.elapsed() > END_MAX {
            return Err(format!("not sent in {END_MAX:?}"));
        }
        sleep(Duration::from_millis(200));
    }
    Ok(())
}

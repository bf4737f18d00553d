//! The primary is lost, and a standby takes its place that may lack the last changes. The address leads to the standby then, as
//! after a failover by hand or by a manager of clusters.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use super::{
    Amount,
    cluster::Cluster,
    proxy::Proxy,
    running::Running,
    stage::{LEASE, Stage},
};
use crate::{
    program::{Sandbox, Telecine, finish},
    state_counts::Part,
};

const ROWS: usize = 30;
const RATE: &str = "4/s";
/// How long to wait for uploads.
const UPLOADS_MAX: Duration = Duration::from_secs(30);
/// How long a run may take to notice that the database lost changes.
const NOTICE_MAX: Duration = Duration::from_secs(15);

/// What happens with the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    /// It goes on; the standby has everything.
    NothingLost,
    /// It goes on; the standby lacks the last changes.
    Running,
    /// It is killed before, and another one is started on the same machine.
    SameMachine,
    /// The same, on another machine, which has no mark of what was sent.
    OtherMachine,
}

const CASES: [Case; 4] = [Case::NothingLost, Case::Running, Case::SameMachine, Case::OtherMachine];

pub(super) fn run(telecine: &Telecine, amount: &Amount) -> Result<Part, String> {
    let sandbox = Sandbox::start(telecine, &[])?;
    let mut part = Part::default();
    for round in 0..amount.moments.div_ceil(20).min(10) {
        let run_case = |case: Case| {
            let mut rng = fastrand::Rng::with_seed(amount.seed * 1_000 + round);
            fail_over(telecine, &sandbox, case, &mut rng)
                .map_err(|fault| format!("{case:?}, round {round}: {fault}"))
        };
        std::thread::scope(|scope| {
            let run_case = &run_case;
            let threads = CASES.map(|case| scope.spawn(move || run_case(case)));
            for thread in threads {
                match thread.join() {
                    Ok(Ok(lost)) => {
                        part.add("failovers", 1);
                        part.add("uploads the standby did not know", lost);
                    }
                    Ok(Err(fault)) => part.failures.push(fault),
                    Err(_) => part.failures.push("a thread panicked".to_owned()),
                }
            }
        });
    }
    Ok(part)
}

/// One failover. Returns the number of uploads that the standby did not know.
fn fail_over(
    telecine: &Telecine,
    sandbox: &Sandbox,
    case: Case,
    rng: &mut fastrand::Rng,
) -> Result<u64, String> {
    let mut stage = Stage::new(telecine, sandbox, ROWS)?;
    stage.rate = RATE;
    let stage = &stage;
    let primary = Cluster::new()?;
    let standby = primary.standby()?;
    let proxy = Proxy::start(primary.port)?;
    let mut running = Running::start(stage, proxy.port)?;
    wait_for_uploads(stage, rng.u64(2..6))?;
    if case == Case::NothingLost {
        primary.add_settings("synchronous_standby_names = '*'\n")?;
        primary.reload()?;
    } else {
        // it receives nothing from now on
        standby.sql("ALTER SYSTEM SET primary_conninfo = ''")?;
        standby.reload()?;
        sleep(Duration::from_millis(300));
    }
    wait_for_uploads(stage, stage.uploads()? + rng.u64(2..6))?;
    if matches!(case, Case::SameMachine | Case::OtherMachine) {
        running.kill();
    }
    primary.crash()?;
    standby.promote()?;
    proxy.lead_to(standby.port);
    let known = standby.number(&format!("SELECT count(*) FROM {}.attempt", stage.name))?;
    let sent = stage.uploads()?;
    let machine = if case == Case::OtherMachine { "two" } else { "one" };
    match case {
        Case::NothingLost => {
            let said = running.end(UPLOADS_MAX)?;
            if said.contains("telecine: ") {
                return Err(format!("it did not go on: {said}"));
            }
        }
        Case::Running => {
            let said = running.end(NOTICE_MAX)?;
            if !said.contains("lost changes that it had committed") {
                return Err(format!("it did not notice the loss: {said:?}"));
            }
        }
        Case::SameMachine | Case::OtherMachine => {}
    }
    if case != Case::NothingLost {
        if known >= sent {
            return Err(format!("nothing was lost: {known} of {sent}"));
        }
        refused(stage, &proxy, machine, sent)?;
        recover(stage, &proxy, machine)?;
    }
    let ended = stage.run_to_end(machine, proxy.port)?;
    let open = stage.judge(&standby).map_err(|fault| format!("{fault} after {ended:?}"))?;
    if ended.code != Some(0) || open.pending + open.in_doubt > 0 {
        return Err(format!("{open:?} after {ended:?}"));
    }
    stage.check_ledger(standby.port)?;
    Ok(sent.saturating_sub(known))
}

/// An import of the next process sends nothing that the service has.
fn refused(stage: &Stage<'_>, proxy: &Proxy, machine: &str, sent: u64) -> Result<(), String> {
    // the lease of a process that was killed
    sleep(LEASE + Duration::from_millis(500));
    let ended = stage.run(machine, proxy.port, &["--no-wait"])?;
    stage.no_video_twice().map_err(|fault| format!("{fault} after {ended:?}"))?;
    let mut reasons = ["is older than what was sent", "is in another database than before"].iter();
    let is_refused = reasons.any(|reason| ended.stderr.contains(reason));
    if !is_refused || stage.uploads()? != sent {
        return Err(format!("the next import was not refused: {ended:?}"));
    }
    Ok(())
}

fn recover(stage: &Stage<'_>, proxy: &Proxy, machine: &str) -> Result<(), String> {
    // nothing is on its way any more
    let more = ["--api-url", &stage.sandbox.url, "--quiet", "--settle-after", "1s"];
    let ended = finish(&stage.command(&["recover", "m.csv"], machine, proxy.port, &more))?;
    if matches!(ended.code, Some(0 | 5)) { Ok(()) } else { Err(format!("recover: {ended:?}")) }
}

fn wait_for_uploads(stage: &Stage<'_>, count: u64) -> Result<(), String> {
    let since = Instant::now();
    while stage.uploads()? < count {
        if since.elapsed() > UPLOADS_MAX {
            return Err(format!("fewer than {count} uploads in {UPLOADS_MAX:?}"));
        }
        sleep(Duration::from_millis(20));
    }
    Ok(())
}

//! Synchronous replication that is given up: the server calls a commit a success although no standby has it, with a warning only. Or
//! it never answers.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use super::{
    Amount,
    cluster::Cluster,
    running::Running,
    stage::{LEASE, Stage},
};
use crate::{
    program::{Sandbox, Telecine},
    state_counts::Part,
};

const ROWS: usize = 24;
const RATE: &str = "4/s";
/// How long a run may take to notice it.
const NOTICE_MAX: Duration = Duration::from_secs(20);
const UPLOADS_MAX: Duration = Duration::from_secs(30);

/// What becomes of the wait for a standby that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// Somebody cancels it, with `pg_cancel_backend`.
    Cancelled,
    /// It lasts for several leases.
    Endless,
}

pub(super) fn run(telecine: &Telecine, amount: &Amount) -> Result<Part, String> {
    let sandbox = Sandbox::start(telecine, &[])?;
    let mut part = Part::default();
    for round in 0..amount.moments.div_ceil(10).clamp(2, 20) {
        for wait in [Wait::Cancelled, Wait::Endless] {
            let mut rng = fastrand::Rng::with_seed(amount.seed * 1_000 + round);
            match give_up(telecine, &sandbox, wait, &mut rng) {
                Ok(()) => part.add(
                    if wait == Wait::Endless { "waits of several leases" } else { "waits cancelled" },
                    1,
                ),
                Err(fault) => part.failures.push(format!("{wait:?}, round {round}: {fault}")),
            }
        }
    }
    Ok(part)
}

fn give_up(
    telecine: &Telecine,
    sandbox: &Sandbox,
    wait: Wait,
    rng: &mut fastrand::Rng,
) -> Result<(), String> {
    let cluster = Cluster::new()?;
    let mut stage = Stage::new(telecine, sandbox, ROWS)?;
    stage.rate = RATE;
    let stage = &stage;
    let mut running = Running::start(stage, cluster.port)?;
    let since = Instant::now();
    while stage.uploads()? < 3 {
        if since.elapsed() > UPLOADS_MAX {
            return Err("no uploads".to_owned());
        }
        sleep(Duration::from_millis(10));
    }
    sleep(Duration::from_millis(rng.u64(0..250)));
    cluster.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")?;
    cluster.reload()?;
    let reset = || {
        cluster.sql("ALTER SYSTEM RESET synchronous_standby_names")?;
        cluster.reload()
    };
    if wait == Wait::Endless {
        wait_for_wait(&cluster, &mut running)?;
        // longer than a lease, so that each answer is given up
        let sent = stage.uploads()?;
        sleep(LEASE * 3);
        let sent_now = stage.uploads()?;
        reset()?;
        let said = running.end(NOTICE_MAX)?;
        if sent_now != sent {
            return Err(format!(
                "{} rows were sent that no standby knows; it said {said:?}",
                sent_now - sent
            ));
        }
        if said.contains("telecine: ") {
            return Err(format!("it did not go on when its commits were confirmed: {said:?}"));
        }
    } else {
        let sent = cancel(stage, &cluster, &mut running)?;
        let said = running.end(NOTICE_MAX)?;
        let sent_now = stage.uploads()?;
        reset()?;
        if sent_now != sent {
            return Err(format!(
                "{} rows were sent that no standby knows; it said {said:?}",
                sent_now - sent
            ));
        }
        if !said.contains("did not confirm that a standby has") {
            return Err(format!("it did not say so: {said:?}"));
        }
    }
    // the lease of a run that could not give it back
    sleep(LEASE + Duration::from_millis(500));
    let ended = stage.run_to_end("one", cluster.port)?;
    let open = stage.judge(&cluster).map_err(|fault| format!("{fault} after {ended:?}"))?;
    if ended.code != Some(0) || open.pending + open.in_doubt > 0 {
        return Err(format!("{open:?} after {ended:?}"));
    }
    stage.check_ledger(cluster.port)
}

/// Whether a commit of a transaction waits for a standby. Renewals of the lease wait, too, and are no promise.
const WAITS: &str = "FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'telecine'";

fn wait_for_wait(cluster: &Cluster, running: &mut Running) -> Result<(), String> {
    let since = Instant::now();
    while cluster.number(&format!("SELECT count(*) {WAITS}"))? == 0 {
        if since.elapsed() > NOTICE_MAX || !running.is_running()? {
            return Err("no commit waited for a standby".to_owned());
        }
        sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Cancels every wait until the run has ended. Returns how many rows were sent when the first commit was cancelled.
fn cancel(stage: &Stage<'_>, cluster: &Cluster, running: &mut Running) -> Result<u64, String> {
    let since = Instant::now();
    let mut sent = None;
    while running.is_running()? && since.elapsed() < NOTICE_MAX {
        let commits = cluster.number(&format!("SELECT count(*) {WAITS} AND query = 'COMMIT'"))?;
        if commits > 0 && sent.is_none() {
            sent = Some(stage.uploads()?);
        }
        // a commit that began to wait since then is counted first, and cancelled by the next turn
        let counted = if sent.is_some() { "" } else { "AND query <> 'COMMIT'" };
        cluster.sql(&format!("SELECT pg_cancel_backend(pid) {WAITS} {counted}"))?;
        sleep(Duration::from_millis(5));
    }
    sent.ok_or_else(|| "no commit waited for a standby".to_owned())
}

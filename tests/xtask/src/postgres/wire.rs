//! The connection is cut at every message of the protocol, in both directions, during a claim, a settlement, an idle renewal of the
//! lease, and the reads beside them.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::{
    Amount,
    cluster::Cluster,
    proxy::{Cut, Left, Message, Proxy, Role, Sender, Side},
    stage::Stage,
};
use crate::{
    program::{Ended, Sandbox, Telecine},
    state_counts::Part,
};

const ROWS: usize = 3;
/// Failures after which nothing new is begun.
const FAILURES_MAX: usize = 3;
/// Of the messages of reads one of so many is a place of a cut.
const READS: u64 = 10;
/// Slow enough for a renewal between two uploads.
const RATE: &str = "1/2s";
/// What marks a transaction that claims.
const CLAIM: &str = "INSERT INTO attempt";
/// What marks one that settles.
const SETTLE: &str = "UPDATE attempt SET state";
/// What marks an idle renewal.
const RENEWAL: &str = "UPDATE lease SET renewed_at = now_ms(), until";

/// Cuts at each message of the first claim, its settlement, the renewals after it and the second claim; at one of
/// `every`, and at every one of a commit.
pub(super) fn run(telecine: &Telecine, amount: &Amount) -> Result<Part, String> {
    let cluster = Cluster::new()?;
    let sandbox = Sandbox::start(telecine, &[])?;
    let mut part = Part::default();
    let (writer, reader) = match in_peace(&cluster, &sandbox, telecine) {
        Ok(messages) => messages,
        Err(fault) => {
            part.failures.push(format!("without a cut: {fault}"));
            return Ok(part);
        }
    };
    let cuts = cuts(&writer, &reader, amount);
    part.add("messages on the connection that writes", writer.len() as u64);
    part.add("messages on those that read", reader.len() as u64);
    part.add("cuts planned", cuts.len() as u64);
    let next = AtomicUsize::new(0);
    let failed = AtomicUsize::new(0);
    let work = || {
        let (mut part, mut reached) = (Part::default(), HashSet::new());
        while failed.load(Ordering::SeqCst) < FAILURES_MAX
            && let Some(cut) = cuts.get(next.fetch_add(1, Ordering::SeqCst))
        {
            match case(&cluster, &sandbox, telecine, *cut, &mut part) {
                Ok(Some(message)) => {
                    reached.insert((message, cut.side));
                }
                Ok(None) => part.add("cuts that came too late", 1),
                Err(fault) => {
                    failed.fetch_add(1, Ordering::SeqCst);
                    part.failures.push(fault);
                }
            }
        }
        (part, reached)
    };
    let mut reached = HashSet::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..amount.threads).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            match thread.join() {
                Ok((own, messages)) => {
                    part.merge(own);
                    reached.extend(messages);
                }
                Err(_) => part.failures.push("a thread panicked".to_owned()),
            }
        }
    });
    part.add("different places of cuts", reached.len() as u64);
    Ok(part)
}

/// The messages of a run that nothing befalls.
fn in_peace(
    cluster: &Cluster,
    sandbox: &Sandbox,
    telecine: &Telecine,
) -> Result<(Vec<Message>, Vec<Message>), String> {
    let stage = new_stage(telecine, sandbox)?;
    let proxy = Proxy::start(cluster.port)?;
    let ended = stage.run("one", proxy.port, &["--no-wait"])?;
    is_done(&ended)?;
    let open = stage.judge(cluster)?;
    if open.in_doubt + open.pending > 0 {
        return Err(format!("{open:?}"));
    }
    stage.check_ledger(cluster.port)?;
    let writer = proxy.messages(Role::Writer);
    for (what, mark) in [("claim", CLAIM), ("settlement", SETTLE), ("renewal", RENEWAL)] {
        if !writer.iter().any(|message| message.sql.contains(mark)) {
            return Err(format!("there is no {what} in a run"));
        }
    }
    Ok((writer, proxy.messages(Role::Reader)))
}

/// What is cut: the transactions of the first row and what is between them and the next claim, and everything that is read.
fn cuts(writer: &[Message], reader: &[Message], amount: &Amount) -> Vec<Cut> {
    let claim = |from: usize| {
        let found = writer.iter().skip(from).position(|message| message.sql.contains(CLAIM));
        found.map_or(writer.len(), |found| from + found)
    };
    let is_begin = |message: &Message| message.sql == "BEGIN" && message.sender == Sender::Client;
    let first = claim(0);
    let begin = writer[..first].iter().rposition(is_begin).unwrap_or(0);
    let settled = writer.iter().position(|message| message.sql.contains(SETTLE)).unwrap_or(first);
    let second = claim(settled);
    let commit = writer.iter().skip(second).position(|message| message.sql == "COMMIT").unwrap_or(0);
    // the messages of the commit itself: the statement and two answers
    let end = (second + commit + 3).min(writer.len());
    let mut cuts = Vec::new();
    let mut count = 0;
    for (role, numbers) in [(Role::Writer, begin + 1..=end), (Role::Reader, 1..=reader.len())] {
        for number in numbers {
            let is_commit = role == Role::Writer && writer[number - 1].sql == "COMMIT";
            for side in [Side::Before, Side::After] {
                let left = [Left::Nothing, Left::Server, Left::Nothing, Left::Both][count % 4];
                count += 1;
                // reads are many, and alike
                let every = if role == Role::Writer { amount.every } else { amount.every * READS };
                // a commit whose answer is lost is the worst place, so none is left out
                if is_commit || (count as u64 + amount.seed).is_multiple_of(every) {
                    cuts.push((is_commit, Cut { role, number, side, left }));
                }
            }
        }
    }
    cuts.sort_by_key(|(is_commit, _)| !is_commit);
    cuts.into_iter().map(|(_, cut)| cut).collect()
}

fn new_stage<'t>(telecine: &'t Telecine, sandbox: &'t Sandbox) -> Result<Stage<'t>, String> {
    let mut stage = Stage::new(telecine, sandbox, ROWS)?;
    stage.rate = RATE;
    Ok(stage)
}

/// One cut. Returns the message at which it was.
fn case(
    cluster: &Cluster,
    sandbox: &Sandbox,
    telecine: &Telecine,
    cut: Cut,
    part: &mut Part,
) -> Result<Option<Message>, String> {
    let stage = new_stage(telecine, sandbox)?;
    let proxy = Proxy::start(cluster.port)?;
    proxy.cut_at(cut);
    let ran = run_case(cluster, &stage, &proxy, cut.role, part);
    let message = proxy.done();
    part.add("cuts", 1);
    ran.map(|()| message.clone()).map_err(|fault| format!("{cut:?} at {message:?}: {fault}"))
}

fn run_case(
    cluster: &Cluster,
    stage: &Stage<'_>,
    proxy: &Proxy,
    role: Role,
    part: &mut Part,
) -> Result<(), String> {
    let ended = stage.run("one", proxy.port, &["--no-wait"])?;
    let open = stage.judge(cluster).map_err(|fault| format!("{fault} after {ended:?}"))?;
    let went_on = is_done(&ended);
    if went_on.is_err() && role == Role::Reader {
        // a run may end that cannot open the ledger: the same command resumes
        part.add("runs that were started again", 1);
        let again = stage.run("one", proxy.port, &["--no-wait"])?;
        is_done(&again)?;
        let open = stage.judge(cluster).map_err(|fault| format!("{fault} after {ended:?} and {again:?}"))?;
        if open.in_doubt + open.pending > 0 {
            return Err(format!("{open:?} after {ended:?} and {again:?}"));
        }
        return stage.check_ledger(cluster.port);
    }
    // one lost connection ends no run that sends, and leaves no question
    went_on?;
    if open.in_doubt + open.pending > 0 {
        return Err(format!("{open:?} after {ended:?}"));
    }
    part.add("runs that went on after a cut", u64::from(proxy.done().is_some()));
    stage.check_ledger(cluster.port)
}

/// A run that sent everything ends with 0 or, as it did not wait for the indexing, with 5 and without a message.
fn is_done(ended: &Ended) -> Result<(), String> {
    let is_done = matches!(ended.code, Some(0 | 5)) && !ended.stderr.contains("telecine: ");
    if is_done { Ok(()) } else { Err(format!("{ended:?}")) }
}

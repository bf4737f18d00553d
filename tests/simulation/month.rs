//! A month of nightly runs.

use std::time::Duration;

use telecine::{
    domain::{RunOutcome, UnixMillis},
    error::ExitCode,
    sandbox::{Fault, Policy},
};

use crate::support::harness::{Harness, KEY, RunResult, T0, limit, limits};

/// A night of the month, counted from 1.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    /// The network is down for five minutes.
    ShortOutage,
    /// The network is down for the whole night.
    LongOutage,
    /// The answers to some uploads are lost.
    LostAnswers,
    /// The machine restarts in the middle of the run.
    Restart,
    /// The key has expired.
    ExpiredKey,
    /// An invalid row appears.
    BadRow,
    /// The service rejects a row.
    RejectedRow,
}

const fn trouble_of(night: usize) -> Trouble {
    match night {
        5 => Trouble::BadRow,
        9 => Trouble::ShortOutage,
        11 | 26 => Trouble::LostAnswers,
        12 => Trouble::RejectedRow,
        15 => Trouble::LongOutage,
        // the cap is full then
        13 => Trouble::Restart,
        21 | 22 => Trouble::ExpiredKey,
        _ => Trouble::None,
    }
}

/// What somebody must be told of: what no later night puts right by itself.
const fn needs_a_person(trouble: Trouble) -> bool {
    matches!(trouble, Trouble::LongOutage | Trouble::ExpiredKey | Trouble::BadRow | Trouble::RejectedRow)
}

/// The manifest of a night: it grows, some rows get other tags after they were sent, the order changes, and old rows go.
fn manifest_of_night(night: usize) -> String {
    let newest = 6 + 4 * night + if night >= 13 { 40 } else { 0 };
    let mut rows: Vec<String> = (night / 3..newest)
        .map(|row| {
            let edited = if row % 11 == 0 && night > 10 { ";edited" } else { "" };
            format!("R{row:04},https://host/clip-{row:04}.mp4,a;b{}{edited}", row % 7)
        })
        .collect();
    if night.is_multiple_of(2) {
        rows.reverse();
    }
    if night >= 5 {
        rows.insert(3, "B1,ftp://bucket/no-link.mp4,".to_owned());
    }
    if night >= 12 {
        rows.push("B2,https://refused.example/clip.mp4,".to_owned());
    }
    // the same link twice
    rows.push(rows[1].replace("R0", "D0"));
    format!("id,url,tags\n{}\n", rows.join("\n"))
}

/// When the service cannot be reached.
fn outages_of(trouble: Trouble, midnight: UnixMillis) -> Vec<(UnixMillis, UnixMillis)> {
    match trouble {
        Trouble::ShortOutage => {
            vec![(midnight.plus(Duration::from_mins(2)), midnight.plus(Duration::from_mins(7)))]
        }
        Trouble::LongOutage => vec![(midnight, midnight.plus(Duration::from_hours(12)))],
        Trouble::None
        | Trouble::LostAnswers
        | Trouble::Restart
        | Trouble::ExpiredKey
        | Trouble::BadRow
        | Trouble::RejectedRow => Vec::new(),
    }
}

#[test]
fn a_month_of_nightly_runs_sends_each_row_once_keeps_every_limit_and_calls_a_person_only_when_one_is_needed()
{
    const NIGHTS: usize = 30;
    let policy = Policy {
        upload_rate: Some(limit("1/min")),
        caps: vec![limit("12/2h")],
        read_rate: Some(limit("1/s")),
        index_delay: Duration::from_secs(5)..=Duration::from_secs(30),
        faults_at: [48, 49, 150].map(|upload| (upload, Fault::CutAfter)).to_vec(),
        ..Policy::default()
    };
    let mut harness = Harness::new(policy, 0);
    harness.limits = limits("1/min", &["12/2h"]);
    harness.is_nightly = true;
    harness.policy.time_max = Some(Duration::from_hours(5));
    harness.service.refuse_host("refused.example");
    let mut reported = Vec::new();
    let mut pauses = 0;
    for night in 1..=NIGHTS {
        let midnight = T0.plus(Duration::from_hours(24 * night as u64));
        assert!(harness.now <= midnight, "night {night}: the run before lasts until the next one");
        harness.now = midnight;
        std::fs::write(harness.manifest(), manifest_of_night(night)).unwrap();
        let trouble = trouble_of(night);
        harness.key = if trouble == Trouble::ExpiredKey { "" } else { KEY };
        harness.outages = outages_of(trouble, midnight);
        harness.second_start_after = (night % 4 == 0).then_some(Duration::from_secs(90));
        if trouble == Trouble::Restart {
            assert!(matches!(harness.run_killed_after(Duration::from_mins(40)), RunResult::Killed));
            harness.boot = Some("after the restart");
            harness.now = harness.now.plus(Duration::from_mins(5));
        }
        let outcome = harness.run().outcome();
        pauses += usize::from(outcome == RunOutcome::TimeUp);
        let code = harness.exit_code.lock().unwrap().take().unwrap();
        // what cron mails, and what a monitor shows in red
        if code != ExitCode::Success {
            reported.push((night, code));
        }
        assert_eq!(
            code != ExitCode::Success,
            needs_a_person(trouble),
            "night {night}: {outcome:?}, exit {}",
            code.number()
        );
    }
    let codes = [
        (5, ExitCode::SomeFailed),
        (12, ExitCode::SomeFailed),
        (15, ExitCode::Temporary),
        (21, ExitCode::Fatal),
        (22, ExitCode::Fatal),
    ];
    assert_eq!(reported, codes);
    assert!(pauses > 0, "no night was too short for its rows");
    let stats = harness.service.stats();
    assert_eq!((stats.refusals, stats.read_refusals), (0, 0), "a limit was exceeded");
    assert_eq!(stats.faults, 3, "no answer was lost");
    let accepted = harness.accepted_counts();
    assert!(accepted.values().all(|times| *times == 1), "paid twice: {accepted:?}");
    assert_eq!(accepted.len(), 6 + 4 * NIGHTS + 40, "each row once: {:?}", harness.counts());
    let second_starts = harness.second_starts.lock().unwrap().clone();
    assert!(second_starts.len() >= 6, "{second_starts:?}");
    assert!(second_starts.iter().all(|error| error.contains("in use")), "{second_starts:?}");
    let mut runs = harness.snapshot().runs(100).unwrap();
    runs.reverse();
    for pair in runs.windows(2) {
        assert!(pair[0].ended_at.is_none_or(|ended_at| ended_at <= pair[1].started_at), "runs overlap");
    }
    assert_eq!(runs.iter().filter(|run| run.ended_at.is_none()).count(), 1, "only the restart left one open");
    assert_eq!(harness.snapshot().problems().unwrap(), Vec::<String>::new());
}

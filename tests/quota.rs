//! Whole runs under rates and caps, in virtual time: no schedule of restarts and clock steps exceeds a limit.

use std::{fmt::Write as _, time::Duration};

use crate::support::harness::{self, Harness, RunResult, T0, limit, limits};
use proptest::prelude::*;
use telecine::{
    domain::{RunOutcome, UnixMillis},
    ledger::{ExternalUsage, Ledger},
    sandbox::{CapCounts, Policy},
};

const HOUR_MS: i64 = 3_600_000;

/// A service with these caps, without faults.
fn capped(caps: &[&str]) -> Policy {
    Policy { caps: caps.iter().map(|cap| limit(cap)).collect(), ..Policy::default() }
}

fn next_upload_at(harness: &Harness) -> Option<UnixMillis> {
    *harness.next_upload_at.lock().unwrap()
}

#[test]
fn an_unknown_cap_is_learned_from_at_most_three_refusals_and_kept_over_restarts() {
    let mut harness = Harness::new(capped(&["20/2h"]), 130);
    harness.limits = limits("1/min", &[]);
    harness.run_killed_after(Duration::from_hours(3));
    let refusals = harness.service.stats().refusals;
    assert!((1..=3).contains(&refusals), "{refusals} refusals to learn it");
    let events = harness.collector.all("limit_learned");
    assert!(events.iter().any(|event| event["text"].as_str().unwrap().contains("20 per 2 h")), "{events:?}");
    for _ in 0..10 {
        harness.run_killed_after(Duration::from_mins(57));
    }
    assert_eq!(harness.service.stats().refusals, refusals, "what was learned holds in the next run");
    let hours = harness.now.since_ms(T0) / HOUR_MS;
    let taken = i64::try_from(harness.accepted_counts().len()).unwrap();
    assert!(taken >= 20 * (hours / 2), "{taken} in {hours} h");
}

#[test]
fn a_cap_on_videos_being_indexed_frees_a_slot_when_a_video_is_indexed() {
    let policy = Policy {
        cap_counts: CapCounts::Indexing,
        index_delay: Duration::from_mins(10)..=Duration::from_mins(12),
        ..capped(&["5/2h"])
    };
    let mut harness = Harness::new(policy, 30);
    harness.limits = limits("1/s", &["5/2h:indexing"]);
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    assert_eq!(harness.service.stats().refusals, 0);
    let hours = harness.now.since_ms(T0) / HOUR_MS;
    assert!(hours < 4, "{hours} h, where two-hour windows of five would take ten");
}

#[test]
fn a_long_quota_wait_ends_the_run_on_request_and_names_the_time_to_resume() {
    let mut harness = Harness::new(capped(&["10/2h"]), 25);
    harness.limits = limits("1/s", &["10/2h"]);
    harness.policy.quota_wait_max = Some(Duration::from_mins(5));
    for _ in 0..2 {
        assert!(matches!(harness.run().outcome(), RunOutcome::QuotaPaused { .. }));
        let next = next_upload_at(&harness).unwrap();
        let wait_ms = next.since_ms(harness.now);
        assert!((90 * 60_000..2 * HOUR_MS).contains(&wait_ms), "{wait_ms} ms");
        harness.now = next;
    }
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    assert_eq!(harness.service.stats().refusals, 0);
    let minutes = harness.now.since_ms(T0) / 60_000;
    assert!((240..246).contains(&minutes), "the slot was used as it came free: {minutes} min");
}

#[test]
fn a_run_ended_by_its_time_limit_names_the_time_of_the_next_upload() {
    let mut harness = Harness::new(capped(&[]), 25);
    harness.limits = limits("1/10m", &[]);
    harness.policy.time_max = Some(Duration::from_mins(55));
    assert_eq!(harness.run().outcome(), RunOutcome::TimeUp);
    let next = next_upload_at(&harness).unwrap().since_ms(T0);
    assert!((60 * 60_000..61 * 60_000).contains(&next), "{next} ms after the start");
}

/// Rows whose links expire this many minutes after the start. `None`: never.
fn write_expiring_rows(harness: &Harness, minutes: &[Option<i64>]) {
    let mut text = "url\n".to_owned();
    for (row, dies) in minutes.iter().enumerate() {
        match dies {
            Some(minutes) => {
                let _ = writeln!(
                    text,
                    "https://host/{row}.mp4?Expires={}&Signature=x",
                    T0.0 / 1000 + minutes * 60
                );
            }
            None => {
                let _ = writeln!(text, "https://host/{row}.mp4");
            }
        }
    }
    std::fs::write(harness.manifest(), text).unwrap();
}

#[test]
fn links_that_would_expire_in_the_queue_are_sent_first_and_expired_ones_are_reported() {
    let mut harness = Harness::new(capped(&[]), 0);
    let mut minutes = vec![None; 30];
    // expired already; long valid; valid only if sent first; expired even then
    minutes.extend([Some(-5), Some(10_000), Some(6), Some(4), Some(5)]);
    minutes.extend([Some(2); 4]);
    write_expiring_rows(&harness, &minutes);
    harness.limits = limits("1/min", &[]);
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    let order: Vec<String> = harness.service.videos().iter().map(|video| video.url.clone()).collect();
    let place = |row: usize| order.iter().position(|url| url.contains(&format!("/{row}.mp4")));
    assert_eq!(place(30), None, "a dead link is not sent");
    for row in [32, 33, 34] {
        assert!(place(row).unwrap() < 8, "row {row} goes among the first: {order:?}");
    }
    assert!(place(31).unwrap() > 30, "a link that does not expire is not sent earlier");
    let named = harness.collector.all("links_expiring");
    assert!(named.iter().any(|event| event["count"].as_u64().unwrap() >= 1), "{named:?}");
    assert!(harness.counts().pending > 0, "what is dead waits for a new link");
}

#[test]
fn a_clock_set_forward_between_two_runs_frees_no_slot_of_a_cap() {
    for (boot, step_ms) in
        [(Some("this boot"), 2 * HOUR_MS), (Some("this boot"), 60_000), (None, 3 * HOUR_MS)]
    {
        let mut harness = Harness::new(capped(&["10/2h"]), 20);
        harness.limits = limits("1/s", &["10/2h"]);
        harness.boot = boot;
        harness.run_killed_after(Duration::from_mins(1));
        assert_eq!(harness.accepted_counts().len(), 10);
        harness.clock_step_ms = step_ms;
        harness.run_killed_after(Duration::from_mins(110));
        assert_eq!(harness.service.stats().refusals, 0, "after a step of {step_ms} ms, boot {boot:?}");
    }
}

#[test]
fn reads_and_uploads_share_a_total_rate_without_a_refusal() {
    let policy = Policy { total_rate: Some(limit("30/min")), ..Policy::default() };
    let mut harness = Harness::new(policy, 60);
    harness.limits = limits("1/s", &[]);
    harness.limits.total = vec!["30/min".parse().unwrap()];
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    assert_eq!(harness.counts().indexed, 60);
    let stats = harness.service.stats();
    assert_eq!((stats.refusals, stats.read_refusals), (0, 0));
    let minutes = harness.now.since_ms(T0) / 60_000;
    assert!(minutes < 8, "{minutes} min");
}

#[test]
fn recorded_uploads_of_another_tool_use_slots_of_the_cap() {
    let mut harness = Harness::new(capped(&["10/2h"]), 10);
    harness.limits = limits("1/s", &["10/2h"]);
    harness.policy.rows_max = Some(1);
    harness.run();
    for row in 0..4 {
        harness.service.upload_foreign(harness::KEY, "elsewhere", &format!("https://else/{row}.mp4"));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let ledger = Ledger::open_offline(harness.ledger(), harness.now).unwrap();
    let spent = ExternalUsage { endpoint: "upload".to_owned(), at: harness.now, count: 4, note: None };
    runtime.block_on(ledger.write(move |store| store.record_external_usage(&spent))).unwrap();
    runtime.block_on(ledger.close());
    harness.policy.rows_max = None;
    harness.run_killed_after(Duration::from_mins(30));
    let own =
        |harness: &Harness| harness.accepted_counts().keys().filter(|url| url.contains("//host/")).count();
    assert_eq!((own(&harness), harness.service.stats().refusals), (6, 0));
}

// a few schedules; `cargo xtask quota` has hundreds
proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_schedule_of_kills_and_clock_steps_exceeds_a_limit_of_the_service(
        seed in any::<u64>(),
        rate in prop::sample::select(vec!["1/min", "1/s", "5/10s"]),
        cap in prop::sample::select(vec!["3/10m", "12/1h", "20/2h"]),
        says_boot in any::<bool>(),
        runs in prop::collection::vec((10_u64..2_000, prop::sample::select(vec![0, 0, 60_000, 7_200_000])), 2..9),
    ) {
        let policy = Policy {
            seed,
            upload_rate: Some(limit(rate)),
            way: Duration::ZERO..=Duration::from_millis(20),
            answer_delay: Duration::from_millis(200)..=Duration::from_secs(30),
            accepted_at_part: 0.0..=1.0,
            ..capped(&[cap])
        };
        let mut harness = Harness::new(policy, 80);
        harness.limits = limits(rate, &[cap]);
        harness.policy.concurrency = 16;
        if !says_boot {
            harness.boot = None;
        }
        for (seconds, step_ms) in runs {
            harness.clock_step_ms += step_ms;
            if let RunResult::Failed(error) = harness.run_killed_after(Duration::from_secs(seconds)) {
                panic!("{error}");
            }
        }
        prop_assert_eq!(harness.service.stats().refusals, 0);
    }
}

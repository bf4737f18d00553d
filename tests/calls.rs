//! Whole runs in virtual time whose service calls back: what calls settle, and what they never do.

use std::{collections::BTreeMap, time::Duration};

use telecine::{
    domain::RunOutcome,
    sandbox::{CallFault, Fault, Faults, Policy},
};

use crate::support::harness::{Harness, RunResult, T0, limits};

/// A service whose listings show no video, though it shows each by its number.
fn without_listings(faults: &[Fault]) -> Policy {
    let faults = Faults { share: 1.0, kinds: faults.to_vec() };
    Policy { unlisted_share: 1.0, faults, ..Policy::default() }
}

fn called(policy: Policy, rows: usize) -> Harness {
    let mut harness = Harness::new(policy, rows);
    harness.policy.callback_base = Some("https://calls.example/telecine".to_owned());
    harness
}

/// How many requests are bound by each evidence.
fn bound_by(harness: &Harness) -> BTreeMap<String, i64> {
    let ledger = rusqlite::Connection::open(harness.ledger()).unwrap();
    let sql = "SELECT bound_by, count(*) FROM attempt WHERE bound_by IS NOT NULL GROUP BY bound_by";
    let mut statement = ledger.prepare(sql).unwrap();
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Every item is bound to the video of its own URL, and every URL was accepted once.
#[track_caller]
fn assert_right(harness: &Harness) {
    let urls: BTreeMap<String, String> =
        harness.service.videos_ever().into_iter().map(|video| (video.video_no, video.url)).collect();
    let ledger = rusqlite::Connection::open(harness.ledger()).unwrap();
    let sql = "SELECT attempt.video_no, item.submission ->> '$.url' FROM attempt JOIN item ON item.id = attempt.item \
               WHERE attempt.video_no IS NOT NULL";
    let mut statement = ledger.prepare(sql).unwrap();
    let bound: Vec<(String, String)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    for (number, url) in bound {
        assert_eq!(urls.get(&number), Some(&url), "{url} is bound to {number}");
    }
    assert!(harness.accepted_counts().values().all(|times| *times == 1), "paid twice");
    assert_eq!(harness.snapshot().problems().unwrap(), Vec::<String>::new());
}

#[test]
fn lost_answers_are_settled_by_calls_alone_where_no_listing_shows_the_videos() {
    for fault in [Fault::CutAfter, Fault::Late, Fault::Unnamed, Fault::Html, Fault::Hang] {
        let mut harness = called(without_listings(&[fault]), 6);
        assert_eq!(harness.run().outcome(), RunOutcome::Finished, "{fault:?}");
        assert_eq!(harness.counts().indexed, 6, "{fault:?}");
        assert_eq!(harness.call_counts().settled, 6, "{fault:?}: {:?}", harness.call_counts());
        assert_right(&harness);
        // the same without calls ends with every request in doubt
        let mut silent = Harness::new(without_listings(&[fault]), 6);
        assert_eq!(silent.run().outcome(), RunOutcome::WaitOver, "{fault:?}");
        assert_eq!(silent.counts().indexed, 0);
    }
}

#[test]
fn a_call_settles_a_request_long_before_its_tags_are_visible() {
    let index_delay = Duration::from_hours(1)..=Duration::from_hours(1);
    let mut harness = called(Policy { index_delay, ..without_listings(&[Fault::CutAfter]) }, 1);
    harness.policy.callback_base = Some("https://calls.example".to_owned());
    harness.run_killed_after(Duration::from_secs(30));
    assert_eq!((harness.counts().accepted, harness.counts().in_doubt), (1, 0));
    assert_eq!(bound_by(&harness), BTreeMap::from([("callback".to_owned(), 1)]));
    assert_right(&harness);
}

/// One row whose answer a rule of the user takes for a rejection, though the service has accepted it, and whose content has changed since.
fn rejected_though_accepted(policy: Policy) -> Harness {
    let mut harness = called(policy, 1);
    harness.user_rules = vec!["0001=bad-row"];
    harness.run();
    assert_eq!((harness.counts().rejected, harness.service.videos().len()), (1, 1), "{:?}", harness.counts());
    harness.service.disable_faults();
    let changed = std::fs::read_to_string(harness.manifest()).unwrap().replace("a;b", "other;b");
    std::fs::write(harness.manifest(), changed).unwrap();
    harness.policy.wait = Some(Duration::from_hours(5));
    harness
}

#[test]
fn a_row_is_not_sent_again_while_the_service_has_called_for_its_rejected_request() {
    let hour = Duration::from_hours(1);
    for (call_fault, call_delay, is_called) in [
        // before the answer, while no listing shows the video
        (CallFault::Early, Duration::ZERO, true),
        // when the row waits to be sent again
        (CallFault::Late, Duration::from_mins(3), true),
        (CallFault::Never, Duration::ZERO, false),
    ] {
        let policy = Policy {
            index_delay: hour..=hour,
            call_fault_share: 1.0,
            call_faults: vec![call_fault],
            call_delay: call_delay..=call_delay,
            lateness_max: Duration::ZERO,
            ..without_listings(&[Fault::Abnormal])
        };
        let mut harness = rejected_though_accepted(policy);
        harness.run();
        let times = harness.accepted_counts().values().copied().max();
        if is_called {
            assert_eq!((times, harness.counts().indexed), (Some(1), 1), "{call_fault:?}");
            assert_right(&harness);
            let messages = harness.collector.all("message");
            let said = "item 1 is not sent again for now: the service called";
            assert!(messages.iter().any(|event| event.to_string().contains(said)), "{messages:?}");
        } else {
            assert_eq!(times, Some(2), "without a call and without a listing nothing shows it");
        }
    }
}

#[test]
fn a_call_with_the_number_of_another_row_does_not_keep_a_row_from_being_sent_again() {
    let policy = Policy {
        faults: Faults { share: 0.0, kinds: Vec::new() },
        faults_at: vec![(2, Fault::AbnormalBefore)],
        call_fault_share: 1.0,
        call_faults: vec![CallFault::OtherNumber],
        ..Policy::default()
    };
    let mut harness = called(policy, 2);
    harness.user_rules = vec!["0001=bad-row"];
    harness.run();
    assert_eq!((harness.counts().rejected, harness.counts().indexed), (1, 1));
    let changed = std::fs::read_to_string(harness.manifest()).unwrap().replace("a;b1", "other;b");
    std::fs::write(harness.manifest(), changed).unwrap();
    harness.policy.wait = Some(Duration::from_hours(5));
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    assert_eq!(harness.counts().indexed, 2);
    assert_right(&harness);
}

#[test]
fn forged_calls_settle_nothing_and_are_counted() {
    let policy = Policy {
        call_fault_share: 1.0,
        call_faults: vec![CallFault::Forged],
        ..without_listings(&[Fault::CutAfter])
    };
    let mut harness = called(policy, 4);
    assert_eq!(harness.run().outcome(), RunOutcome::WaitOver);
    let counts = harness.call_counts();
    assert_eq!((counts.received, counts.settled, counts.refused), (0, 0, 8));
    assert_eq!(harness.counts().in_doubt, 4);
    assert!(bound_by(&harness).is_empty());
    assert_right(&harness);
}

#[test]
fn calls_of_every_kind_settle_rightly_or_leave_it_to_the_listings() {
    for (call_fault, name) in CallFault::ALL {
        let faults = Faults { share: 0.5, kinds: vec![Fault::CutAfter, Fault::CutBefore, Fault::Hang] };
        let policy =
            Policy { faults, call_fault_share: 1.0, call_faults: vec![*call_fault], ..Policy::default() };
        let mut harness = called(policy, 12);
        harness.policy.concurrency = 20;
        harness.policy.wait = Some(Duration::from_hours(8));
        assert_eq!(harness.run().outcome(), RunOutcome::Finished, "{name}: {:?}", harness.counts());
        assert_eq!(harness.counts().indexed, 12, "{name}");
        assert_right(&harness);
        let counts = harness.call_counts();
        let settles = matches!(call_fault, CallFault::Twice | CallFault::Early | CallFault::Late);
        assert_eq!(counts.settled > 0, settles, "{name}: {counts:?}");
    }
}

#[test]
fn calls_that_name_another_video_bind_nothing_where_no_listing_helps() {
    let policy = Policy {
        call_fault_share: 1.0,
        call_faults: vec![CallFault::OtherNumber],
        ..without_listings(&[Fault::CutAfter, Fault::Hang])
    };
    let mut harness = called(policy, 5);
    harness.policy.concurrency = 5;
    harness.run();
    assert_right(&harness);
    assert!(harness.call_counts().received > 0);
    assert!(
        harness.collector.all("message").iter().any(|event| event.to_string().contains("called for request"))
    );
}

#[test]
fn a_call_for_a_request_of_a_killed_run_is_understood_by_the_next_one() {
    let index_delay = Duration::from_mins(2)..=Duration::from_mins(2);
    let call_delay = Duration::from_mins(1)..=Duration::from_mins(1);
    let policy = Policy { index_delay, call_delay, ..without_listings(&[Fault::Hang]) };
    let mut harness = called(policy, 2);
    // killed while both requests are in flight, before any call
    assert!(matches!(harness.run_killed_after(Duration::from_secs(3)), RunResult::Killed));
    assert_eq!(harness.counts().sending + harness.counts().in_doubt, 2);
    harness.now = harness.now.plus_ms(30_000);
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    assert_eq!((harness.counts().indexed, harness.call_counts().settled), (2, 2));
    assert_right(&harness);
}

#[test]
fn a_call_before_the_answer_waits_for_it_and_settles_the_request_when_it_is_lost() {
    let policy = Policy {
        answer_delay: Duration::from_secs(20)..=Duration::from_secs(20),
        call_fault_share: 1.0,
        call_faults: vec![CallFault::Early],
        index_delay: Duration::from_hours(1)..=Duration::from_hours(1),
        ..without_listings(&[Fault::CutAfter])
    };
    let mut harness = called(policy, 1);
    harness.run_killed_after(Duration::from_secs(20));
    assert_eq!(
        (harness.counts().sending, harness.call_counts().received),
        (1, 1),
        "its answer may still come"
    );
    harness.run_killed_after(Duration::from_secs(30));
    assert_eq!(harness.counts().accepted, 1);
    assert_right(&harness);
}

#[test]
fn a_call_after_a_clear_listing_keeps_the_row_from_being_sent_again() {
    // the listings show no video, and the calls name numbers that no read shows for hours
    let policy = Policy {
        visibility_lag: Duration::from_hours(3),
        listed_max: Some(1),
        faults_at: vec![(2, Fault::CutAfter)],
        ..Policy::default()
    };
    let mut harness = called(policy, 2);
    harness.policy.wait = Some(Duration::from_hours(12));
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    assert_eq!(harness.counts().indexed, 2);
    assert_right(&harness);
}

/// The reads of an import of 60 rows, at one a second, whose videos are indexed within two minutes.
fn reads(harness: &mut Harness) -> u64 {
    harness.limits = limits("1/s", &[]);
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    assert_eq!(harness.counts().indexed, 60);
    harness.service.stats().reads
}

#[test]
fn calls_replace_most_polls_and_polls_are_as_without_them_when_calls_stop() {
    let index_delay = Duration::from_mins(1)..=Duration::from_mins(2);
    let policy = Policy { index_delay, ..Policy::default() };
    let mut silent = Harness::new(policy.clone(), 60);
    let without = reads(&mut silent);
    let mut harness = called(policy.clone(), 60);
    let with = reads(&mut harness);
    assert!(with * 2 < without, "{with} reads with calls, {without} without");
    assert_eq!(harness.call_counts().received, 120);
    // calls bring the end no later
    let took = |harness: &Harness| harness.now.since_ms(T0) / 1_000;
    assert!(took(&harness) <= took(&silent) + 30, "{} s, {} s without", took(&harness), took(&silent));

    // a service that stops calling: every video is found by polls
    let never = Policy { call_fault_share: 0.9, call_faults: vec![CallFault::Never], ..policy };
    let mut stopping = called(never, 60);
    reads(&mut stopping);
    assert!(took(&stopping) <= took(&silent) + 150, "{} s, {} s without", took(&stopping), took(&silent));
}

#[test]
fn a_service_that_never_calls_costs_nothing_but_what_polls_cost() {
    let policy = Policy { call_fault_share: 1.0, call_faults: vec![CallFault::Never], ..Policy::default() };
    let (mut silent, mut harness) = (Harness::new(policy.clone(), 20), called(policy, 20));
    assert_eq!(silent.run().outcome(), RunOutcome::Finished);
    assert_eq!(harness.run().outcome(), RunOutcome::Finished);
    assert_eq!(silent.service.stats(), harness.service.stats());
    assert_eq!(silent.now, harness.now);
}

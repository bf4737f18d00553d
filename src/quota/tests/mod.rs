//! Tests of the rate limiter, in virtual time.

mod refusals;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use super::*;
use crate::{
    clock::Clock,
    domain::{Rate, UnixMillis},
};

const T0: UnixMillis = UnixMillis(1_700_000_000_000);
const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;

fn limits(rate: &str, caps: &[&str]) -> Limits {
    let one = |text: &str| vec![text.parse::<Rate>().unwrap()];
    Limits {
        upload: one(rate),
        caps: caps.iter().map(|cap| cap.parse().unwrap()).collect(),
        list: one("1/s"),
        metadata: one("1/s"),
        delete: Vec::new(),
        total: Vec::new(),
    }
}

fn limiter_of(limits: Limits, usage: &[UsageRecord]) -> (Arc<RateLimiter>, Clock) {
    let clock = Clock::of_runtime(T0);
    let rng = fastrand::Rng::with_seed(7);
    (Arc::new(RateLimiter::new(clock.clone(), limits, usage, LearnedLimits::default(), rng)), clock)
}

fn limiter(rate: &str) -> (Arc<RateLimiter>, Clock) {
    limiter_of(limits(rate, &[]), &[])
}

/// An upload that was answered a second after it left.
fn usage(key: i64, departed_at: UnixMillis) -> UsageRecord {
    UsageRecord {
        endpoint: Endpoint::Upload,
        key,
        count: 1,
        claimed_at: departed_at,
        departed_by: departed_at.plus_ms(5 * SECOND),
        answered_at: Some(departed_at.plus_ms(SECOND)),
        counts_until: Some(departed_at.plus_ms(SECOND)),
        state: UsageState::Indexing,
    }
}

async fn spend(limiter: &RateLimiter) {
    leave(limiter, Priority::Upload).await;
}

/// A request of this priority leaves as soon as it may.
async fn leave(limiter: &RateLimiter, priority: Priority) {
    let permit = limiter.permit(priority).await;
    limiter.depart_read(&permit).await;
    permit.spend(priority.endpoint());
}

const REFUSED: RequestOutcome = RequestOutcome::Refused { retry_after: None };
const ACCEPTED: RequestOutcome = RequestOutcome::Accepted { noted_at: None };

fn refuse(limiter: &RateLimiter) -> Option<Cooldown> {
    limiter.answer(1, &REFUSED).cooldown
}

#[tokio::test(start_paused = true)]
async fn permits_keep_the_rate_and_waste_little_of_it() {
    let (limiter, clock) = limiter("10/s");
    let mut at = Vec::new();
    for _ in 0..100 {
        spend(&limiter).await;
        at.push(clock.now().0);
    }
    for window in at.windows(11) {
        assert!(window[10] - window[0] >= 1_000, "eleven in a second");
    }
    let took = at[99] - at[0];
    assert!((9_700..=10_300).contains(&took), "{took} ms for 100 permits at 10/s");
}

#[tokio::test(start_paused = true)]
async fn a_burst_leaves_at_once_where_the_limit_allows_it() {
    let (limiter, clock) = limiter("60/min:burst");
    for _ in 0..60 {
        spend(&limiter).await;
    }
    assert_eq!(clock.now(), T0);
    spend(&limiter).await;
    assert_eq!(clock.now().since_ms(T0), 60_250, "the window and its margin");
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_the_first_request_leaves_at_the_first_free_slot() {
    let (limiter, clock) = limiter_of(limits("1/min", &[]), &[usage(1, T0.plus_ms(-20 * SECOND))]);
    spend(&limiter).await;
    // it left no later than its answer, a second after it was claimed
    assert_eq!(clock.now().since_ms(T0), 40 * SECOND + SECOND + 250);
}

#[tokio::test(start_paused = true)]
async fn limits_that_change_during_a_run_hold_at_once_and_forget_no_request() {
    let (limiter, clock) = limiter("1/min");
    let uploads = async |keys: std::ops::Range<i64>| {
        for key in keys {
            let permit = limiter.permit(Priority::Upload).await;
            let until = clock.now().plus_ms(900 * SECOND);
            while let Departure::At(at) = limiter.depart(&permit, key, clock.now(), until) {
                clock.sleep_us(at.after(PreciseTime(clock.now_us()))).await;
            }
            permit.spend(Endpoint::Upload);
        }
    };
    uploads(1..2).await;
    // one request has its slot, and the ledger knows of neither
    let waiting = {
        let limiter = Arc::clone(&limiter);
        tokio::spawn(async move { limiter.permit(Priority::Upload).await })
    };
    clock.sleep(Duration::from_secs(10)).await;
    limiter.change_limits(limits("10/s", &["3/2h"]), &[]);
    let permit = waiting.await.unwrap();
    assert!(clock.now().since_ms(T0) < 11 * SECOND, "the wait of the old rate is over");
    limiter.change_limits(limits("10/s", &["3/2h"]), &[]);
    let cap = |limiter: &RateLimiter| {
        let window = limiter.status().windows.into_iter().find(|window| window.limit == "3/2h").unwrap();
        window.used
    };
    assert_eq!(cap(&limiter), 2, "the upload that left, and the slot that was taken");
    limiter.give_back(permit);
    assert_eq!(cap(&limiter), 1);
    uploads(2..4).await;
    assert!(clock.now().since_ms(T0) < 12 * SECOND);
    // an upload of another tool, as the ledger has it
    let other = UsageRecord { key: 0, ..usage(0, clock.now()) };
    limiter.change_limits(limits("10/s", &["4/2h"]), &[other]);
    let delay = limiter.delay(Endpoint::Upload).unwrap();
    assert!(delay.until.after_now(clock.now()) > Duration::from_hours(1), "{delay:?}");
}

#[tokio::test(start_paused = true)]
async fn several_caps_hold_together_and_over_restarts() {
    let usage: Vec<UsageRecord> = (0..3).map(|n| usage(n + 1, T0.plus_ms(-HOUR + n * 60 * SECOND))).collect();
    let (limiter, clock) = limiter_of(limits("100/s:burst", &["2/10m", "4/2h"]), &usage);
    for _ in 0..2 {
        let permit = limiter.permit(Priority::Upload).await;
        let now = clock.now();
        limiter.depart(&permit, now.0, now, now.plus_ms(900 * SECOND));
        permit.spend(Endpoint::Upload);
        limiter.answer(now.0, &ACCEPTED);
    }
    // three of the last two hours and one now fill the larger window: the first of them has to leave it
    let first_leaves = -HOUR + SECOND + 2 * HOUR + 720;
    assert_eq!(clock.now().since_ms(T0), first_leaves);
    assert_eq!(limiter.status().windows.iter().filter(|window| window.free == Some(0)).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_left_costs_no_slot() {
    let (limiter, clock) = limiter("1/min");
    let permit = limiter.permit(Priority::Upload).await;
    limiter.give_back(permit);
    spend(&limiter).await;
    assert_eq!(clock.now(), T0, "the slot was given back");
    spend(&limiter).await;
    assert!(clock.now().since_ms(T0) >= 60_000, "and given once");
}

#[tokio::test(start_paused = true)]
async fn permits_given_back_do_not_make_a_fast_endpoint_faster() {
    let (limiter, clock) = limiter("1000/s");
    let mut spent = 0;
    while clock.now().since_ms(T0) < 1_000 {
        let permit = limiter.permit(Priority::Upload).await;
        limiter.give_back(permit);
        spend(&limiter).await;
        spent += 1;
    }
    assert!(spent <= 1_000, "{spent} in a second");
}

#[tokio::test(start_paused = true)]
async fn endpoints_do_not_wait_for_each_other() {
    let (limiter, clock) = limiter("1/min");
    spend(&limiter).await;
    limiter.answer(1, &RequestOutcome::Refused { retry_after: Some(Duration::from_hours(1)) });
    leave(&limiter, Priority::Poll).await;
    assert_eq!(clock.now(), T0);
}

#[tokio::test(start_paused = true)]
async fn a_permit_given_back_lets_the_next_one_go() {
    let (limiter, clock) = limiter("100/s");
    limiter.answer(1, &RequestOutcome::NotSent);
    let permit = limiter.permit(Priority::Upload).await;
    limiter.give_back(permit);
    spend(&limiter).await;
    assert!(clock.now().since_ms(T0) < 5_000);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumped_between_two_runs_opens_no_window() {
    // the last run ended just now, though the wall clock says three hours
    let by_clock = |clock_skew_ms: i64| -> Vec<UsageRecord> {
        (0..10)
            .map(|n| usage(n + 1, T0.plus_ms(-3 * HOUR - 9 * SECOND + n * SECOND + clock_skew_ms)))
            .collect()
    };
    let (limiter, clock) = limiter_of(limits("1/s", &["10/3h"]), &by_clock(0));
    assert_eq!(limiter.status().windows[1].used, 0, "by the wall clock the window is empty");
    limiter.reload_usage(&by_clock(3 * HOUR));
    spend(&limiter).await;
    assert!(clock.now().since_ms(T0) >= 3 * HOUR - 20 * SECOND, "{}", clock.now().since_ms(T0));
}

#[tokio::test(start_paused = true)]
async fn reads_take_their_share_of_a_quota_that_covers_all() {
    let limits = Limits { total: vec!["1/s".parse().unwrap()], ..limits("100/s", &[]) };
    let (limiter, clock) = limiter_of(limits, &[]);
    let order = Arc::new(Mutex::new(Vec::new()));
    for priority in [Priority::Upload, Priority::Poll] {
        let (limiter, order) = (Arc::clone(&limiter), Arc::clone(&order));
        tokio::spawn(async move {
            loop {
                leave(&limiter, priority).await;
                order.lock().unwrap().push(priority);
            }
        });
    }
    clock.sleep(Duration::from_mins(10)).await;
    let doubt = Arc::clone(&limiter);
    let asked_at = clock.now();
    let doubted = tokio::spawn(async move { leave(&doubt, Priority::Reconcile).await });
    tokio::select! {
        biased;
        done = doubted => done.unwrap(),
        () = clock.sleep(Duration::from_mins(10)) => panic!("it waited for ever"),
    }
    assert!(clock.now().since_ms(asked_at) <= 2_100, "a doubt goes before uploads");
    let order = order.lock().unwrap();
    let reads = order.iter().filter(|priority| **priority == Priority::Poll).count();
    assert!((order.len() / 13..=order.len() / 9).contains(&reads), "{reads} of {} are reads", order.len());
    let longest = order.split(|priority| *priority == Priority::Poll).map(<[_]>::len).max().unwrap();
    assert!(longest <= 11, "{longest} uploads without a read");
}

#[tokio::test(start_paused = true)]
async fn a_poll_leaves_every_five_minutes_whatever_else_waits() {
    let limits = Limits { total: vec!["1/s".parse().unwrap()], ..limits("100/s", &[]) };
    let (limiter, clock) = limiter_of(limits, &[]);
    // reconciliation comes first, and requests in doubt do not end
    for _ in 0..2 {
        let limiter = Arc::clone(&limiter);
        tokio::spawn(async move {
            loop {
                leave(&limiter, Priority::Reconcile).await;
            }
        });
    }
    for poll in 1..=3 {
        let asked_at = clock.now();
        leave(&limiter, Priority::Poll).await;
        let waited_ms = clock.now().since_ms(asked_at);
        assert!(waited_ms <= 302_000, "poll {poll} waited for {waited_ms} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn uploads_that_wait_for_a_cap_keep_no_poll_waiting() {
    let limits = Limits { total: vec!["1/s".parse().unwrap()], ..limits("100/s", &["1/1h"]) };
    let (limiter, clock) = limiter_of(limits, &[]);
    spend(&limiter).await;
    let upload = Arc::clone(&limiter);
    tokio::spawn(async move { spend(&upload).await });
    clock.sleep(Duration::from_secs(5)).await;
    let asked_at = clock.now();
    leave(&limiter, Priority::Poll).await;
    assert!(clock.now().since_ms(asked_at) <= 1_100);
}

#[test]
fn learned_limits_are_kept_over_restarts_and_texts_that_cannot_be_read_are_an_error() {
    let mut account = AccountLimits::new(limits("1/s", &[]), &[], LearnedLimits::default(), T0, 0);
    let slot = account.take(Endpoint::Upload, T0).unwrap();
    account.depart(
        slot,
        1,
        UploadTimes { claimed_at: T0, departed_at: T0.plus_ms(3).into(), accepted_by: T0.plus_ms(900_000) },
    );
    let text = account.take_changed_learned_limits().unwrap().to_text();
    assert!(account.take_changed_learned_limits().is_none());
    assert_eq!(LearnedLimits::from_text(&text).as_ref(), Ok(account.learned_limits()));
    for broken in ["", "{", "[1]", r#"{"caps":7}"#] {
        assert!(LearnedLimits::from_text(broken).is_err(), "{broken}");
    }
}

fn gate_of(limits: Limits, learned_limits: LearnedLimits) -> AccountLimits {
    AccountLimits::new(limits, &[], learned_limits, T0, 0)
}

#[test]
fn a_claim_slower_than_a_restart_would_believe_is_written_down_before_it_leaves() {
    let mut account = gate_of(limits("1/min", &[]), LearnedLimits::default());
    let mut now = T0;
    let mut depart = |account: &mut AccountLimits, key: i64, lag_ms: i64| {
        now = now.plus_ms(61 * SECOND);
        let slot = account.take(Endpoint::Upload, now).unwrap();
        (
            slot,
            account.depart(
                slot,
                key,
                UploadTimes {
                    claimed_at: now,
                    departed_at: now.plus_ms(lag_ms).into(),
                    accepted_by: now.plus_ms(900 * SECOND),
                },
            ),
            now,
        )
    };
    // nothing is kept, so a restart believes the longest there can be
    assert_eq!(depart(&mut account, 1, 3).1, Departure::Now);
    let kept = account.take_changed_learned_limits().unwrap().clone();
    account.learned_limits_saved(&kept);
    assert_eq!(depart(&mut account, 2, 15).1, Departure::Now, "there is some room");
    assert!(account.take_changed_learned_limits().is_none());
    let (slot, departure, claimed_at) = depart(&mut account, 3, 3_000);
    assert_eq!(departure, Departure::AfterSave);
    let widened = account.take_changed_learned_limits().unwrap().clone();
    account.learned_limits_saved(&widened);
    let departed_at = claimed_at.plus_ms(3_100);
    assert_eq!(
        account.depart(slot, 3, UploadTimes { claimed_at, departed_at: departed_at.into(), accepted_by: T0 }),
        Departure::Now
    );
    // killed right then, the next run sends no sooner than if it had seen the departure
    let usage = UsageRecord { answered_at: None, counts_until: None, ..usage(3, claimed_at) };
    let restarted = |learned_limits| {
        let mut restarted = AccountLimits::new(
            limits("1/min", &[]),
            std::slice::from_ref(&usage),
            learned_limits,
            departed_at,
            0,
        );
        restarted.take(Endpoint::Upload, departed_at).map_err(|delay| delay.until.since_ms(departed_at))
    };
    assert!(restarted(widened).unwrap_err() >= 60 * SECOND, "sent early");
    assert!(restarted(kept).unwrap_err() < 60 * SECOND, "which the lessons before would not have kept from");
}

#[test]
fn what_is_being_claimed_makes_no_forecast_endless() {
    let mut account = gate_of(limits("1/s", &["1/2h"]), LearnedLimits::default());
    account.take(Endpoint::Upload, T0).unwrap();
    let next = status::forecast(&mut account, T0).after(1);
    assert!((2 * HOUR..3 * HOUR).contains(&next.since_ms(T0)), "{next:?}");
}

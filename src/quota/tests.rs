//! Tests of the rate limiter, in virtual time.

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
async fn a_refusal_holds_everybody_for_as_long_as_the_service_asks() {
    let (limiter, clock) = limiter("100/s");
    spend(&limiter).await;
    limiter.answer(1, &RequestOutcome::Refused { retry_after: Some(Duration::from_secs(30)) });
    assert_eq!(limiter.cooldown(Endpoint::Upload).unwrap().reason, CooldownReason::Refused);
    spend(&limiter).await;
    assert_eq!(clock.now().since_ms(T0), 30_000);
    // a wait that the service names is never shortened
    limiter.answer(1, &RequestOutcome::Refused { retry_after: Some(Duration::from_hours(999)) });
    let asked_at = clock.now();
    spend(&limiter).await;
    assert_eq!(clock.now().since_ms(asked_at), 999 * HOUR);
}

#[tokio::test(start_paused = true)]
async fn after_a_refusal_one_probe_at_a_time_leaves_until_one_passes() {
    let (limiter, clock) = limiter("100/s");
    spend(&limiter).await;
    refuse(&limiter);
    spend(&limiter).await;
    let next = tokio::spawn({
        let limiter = Arc::clone(&limiter);
        async move { spend(&limiter).await }
    });
    clock.sleep(Duration::from_mins(10)).await;
    assert!(!next.is_finished(), "a second one went while the first was out");
    limiter.answer(2, &ACCEPTED);
    next.await.unwrap();
    assert_eq!(limiter.cooldown(Endpoint::Upload), None);
}

#[tokio::test(start_paused = true)]
async fn refusals_in_a_row_wait_longer_and_never_for_ever() {
    let (limiter, clock) = limiter("1/s");
    let mut waits = Vec::new();
    for _ in 0..11 {
        clock.sleep(Duration::from_millis(1)).await;
        let cooldown = refuse(&limiter).unwrap();
        waits.push(cooldown.until.since_ms(clock.now()));
        clock.sleep_until(cooldown.until).await;
    }
    assert!((1_000..=2_000).contains(&waits[0]), "{waits:?}");
    assert!(waits[1] >= 75_000, "the second is longer than any documented spacing: {waits:?}");
    assert!(waits.iter().all(|wait| *wait <= 15 * 60_000), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn no_hour_has_more_refusals_than_a_key_can_bear() {
    for (rate, budget) in [("1/s", 12), ("10/s", 36)] {
        assert_eq!(refusals_of_an_hour(rate).await, budget, "{rate}");
    }
}

/// Refusals of the first hour by a service that refuses every second request and asks for short waits.
async fn refusals_of_an_hour(rate: &str) -> u32 {
    let (limiter, clock) = limiter(rate);
    let mut refusals = 0;
    while clock.now().since_ms(T0) < HOUR {
        let permit = limiter.permit(Priority::Upload).await;
        if clock.now().since_ms(T0) >= HOUR {
            break;
        }
        limiter.depart_read(&permit).await;
        permit.spend(Endpoint::Upload);
        refusals += 1;
        limiter.answer(1, &RequestOutcome::Refused { retry_after: Some(Duration::from_secs(1)) });
        spend(&limiter).await;
        limiter.answer(1, &ACCEPTED);
    }
    refusals
}

#[tokio::test(start_paused = true)]
async fn a_few_unclear_answers_are_bad_luck_and_many_are_trouble() {
    let (limiter, _) = limiter("1/s");
    assert!(limiter.answer(1, &RequestOutcome::Unclear { retry_after: None }).cooldown.is_none());
    assert!(limiter.answer(2, &RequestOutcome::Unclear { retry_after: None }).cooldown.is_none());
    assert!(limiter.answer(3, &RequestOutcome::Unclear { retry_after: None }).cooldown.is_some());
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
async fn a_rate_that_is_too_fast_is_slowed_down_and_recovers() {
    let (limiter, clock) = limiter("10/s");
    spend(&limiter).await;
    refuse(&limiter);
    spend(&limiter).await;
    let feedback = limiter.answer(2, &ACCEPTED);
    assert!(matches!(feedback.change, Some(LimitChange::SlowedDown(1428))), "{feedback:?}");
    assert_eq!(limiter.status().speed_percent, 70);
    for _ in 0..1_000 {
        limiter.answer(3, &ACCEPTED);
    }
    assert_eq!(limiter.status().speed_percent, 70, "no sooner than five minutes after the refusal");
    clock.sleep(Duration::from_mins(5)).await;
    limiter.answer(3, &ACCEPTED);
    assert_eq!(limiter.status().speed_percent, 100);
    // slow rates recover within a hundred uploads, too
    for _ in 0..2 {
        refuse(&limiter);
        clock.sleep(Duration::from_hours(2)).await;
    }
    limiter.answer(4, &ACCEPTED);
    assert_eq!(limiter.status().speed_percent, 70);
    clock.sleep(Duration::from_hours(2)).await;
    for _ in 0..99 {
        limiter.answer(5, &ACCEPTED);
    }
    assert_eq!(limiter.status().speed_percent, 100);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_many_that_passed_widens_the_distance_and_keeps_the_rate() {
    let (limiter, clock) = limiter("10/s");
    let refuse_after = async |passed: u32| {
        for key in 0..passed {
            limiter.answer(i64::from(key), &ACCEPTED);
        }
        refuse(&limiter);
        clock.sleep(Duration::from_hours(2)).await;
        limiter.answer(99, &ACCEPTED).change
    };
    assert!(matches!(refuse_after(20).await, Some(LimitChange::SpacingWidened(3_030))));
    assert!(matches!(refuse_after(20).await, Some(LimitChange::SpacingWidened(6_060))));
    assert!(
        matches!(refuse_after(5).await, Some(LimitChange::SlowedDown(1428))),
        "the rate itself is too fast"
    );
}

#[tokio::test(start_paused = true)]
async fn uploads_that_passed_before_a_restart_show_that_the_rate_is_right() {
    let past: Vec<UsageRecord> = (1..=20).map(|n| usage(n, T0.plus_ms((n - 21) * SECOND))).collect();
    let (limiter, clock) = limiter_of(limits("10/s", &[]), &past);
    refuse(&limiter);
    clock.sleep(Duration::from_mins(1)).await;
    let change = limiter.answer(99, &ACCEPTED).change;
    assert!(matches!(change, Some(LimitChange::SpacingWidened(_))), "{change:?}");
}

/// A server that refuses what comes sooner than its interval after the last request it accepted, as nginx `limit_req`
/// without a burst does. Requests arrive `way_ms` after they left.
async fn refused_by_distance(rate: &str, interval_us: i64, claim_ms: impl Fn(u64) -> u64) -> (u64, f64) {
    let (limiter, clock) = limiter(rate);
    let (mut last_us, mut refused, mut accepted) = (i64::MIN / 2, 0_u64, 0_u64);
    let mut rng = fastrand::Rng::with_seed(3);
    let started_us = clock.now_us();
    let period_us = 120 * 1_000_000;
    let mut key = 0;
    while clock.now_us() - started_us < period_us {
        let permit = limiter.permit(Priority::Upload).await;
        key += 1;
        let claimed_at = clock.now();
        clock.sleep(Duration::from_millis(claim_ms(rng.u64(..)))).await;
        loop {
            match limiter.depart(&permit, key, claimed_at, claimed_at.plus_ms(900 * SECOND)) {
                Departure::Now => break,
                Departure::At(at) => clock.sleep_us(at.after(PreciseTime(clock.now_us()))).await,
                Departure::AfterSave => {
                    let learned = limiter.changed_learned_limits().unwrap_or_default();
                    limiter.learned_limits_saved(&learned);
                }
            }
        }
        permit.spend(Endpoint::Upload);
        let arrived_us = clock.now_us() + rng.i64(0..=900);
        if arrived_us - last_us >= interval_us {
            (last_us, accepted) = (arrived_us, accepted + 1);
            limiter.answer(key, &ACCEPTED);
        } else {
            refused += 1;
            limiter.answer(key, &REFUSED);
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let used = accepted as f64 / (period_us as f64 / interval_us as f64);
    (refused, used)
}

#[tokio::test(start_paused = true)]
async fn a_server_that_demands_a_distance_refuses_nothing_and_little_is_wasted() {
    for (rate, interval_us, claim_ms_max, used_min) in [
        ("2/s", 500_000, 0, 0.97),
        ("5/s", 200_000, 0, 0.97),
        ("300/min", 200_000, 0, 0.97),
        ("120/min", 500_000, 40, 0.97),
        ("10/min", 6_000_000, 40, 0.95),
        // virtual timers tick in milliseconds, and claims are made one after the other
        ("45/s", 20_000, 0, 0.80),
    ] {
        let (refused, used) =
            refused_by_distance(rate, interval_us, |random| random % (claim_ms_max + 1)).await;
        assert_eq!(refused, 0, "{rate}: refused");
        assert!(used >= used_min, "{rate}: {used:.3} of the rate used");
    }
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

#[tokio::test(start_paused = true)]
async fn an_answer_to_what_left_before_a_refusal_ends_no_wait() {
    let (limiter, clock) = limiter("1/s");
    let early = limiter.permit(Priority::Upload).await;
    let early_key = 1;
    let now = clock.now();
    limiter.depart(&early, early_key, now, now.plus_ms(900_000));
    early.spend(Endpoint::Upload);
    spend(&limiter).await;
    let cooldown = limiter.answer(2, &REFUSED).cooldown;
    let until = cooldown.unwrap().until;
    limiter.answer(early_key, &RequestOutcome::Accepted { noted_at: None });
    assert_eq!(limiter.cooldown(Endpoint::Upload).map(|cooldown| cooldown.until), Some(until));
    assert_eq!(limiter.status().speed_percent, 100, "nothing passed after a wait");
}

/// Account limits without recorded usage, at T0.
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
fn a_wait_that_the_service_asked_for_outlives_a_restart() {
    let mut account = gate_of(limits("1/s", &[]), LearnedLimits::default());
    let slot = account.take(Endpoint::Upload, T0).unwrap();
    account.depart(
        slot,
        1,
        UploadTimes { claimed_at: T0, departed_at: T0.into(), accepted_by: T0.plus_ms(900 * SECOND) },
    );
    account.answer(1, &RequestOutcome::Refused { retry_after: Some(Duration::from_mins(10)) }, T0, 0.5);
    let learned_limits = account.take_changed_learned_limits().unwrap().clone();
    let mut restarted =
        AccountLimits::new(limits("1/s", &[]), &[], learned_limits.clone(), T0.plus_ms(SECOND), 0);
    let delay = restarted.take(Endpoint::Upload, T0.plus_ms(SECOND)).unwrap_err();
    assert_eq!(
        (delay.until.since_ms(T0), matches!(delay.why, BlockReason::Cooldown(_))),
        (600 * SECOND, true)
    );
    // one that passes afterwards ends it, and the next restart knows
    let at = T0.plus_ms(601 * SECOND);
    let slot = restarted.take(Endpoint::Upload, at).unwrap();
    restarted.depart(
        slot,
        2,
        UploadTimes { claimed_at: at, departed_at: at.into(), accepted_by: at.plus_ms(900 * SECOND) },
    );
    restarted.answer(2, &ACCEPTED, at, 0.5);
    assert_eq!(restarted.learned_limits().saved_cooldown, None);
}

#[test]
fn a_wait_asked_for_with_an_unclear_answer_is_ended_by_no_earlier_request_and_no_restart() {
    let times = |at: UnixMillis| UploadTimes {
        claimed_at: at,
        departed_at: at.into(),
        accepted_by: at.plus_ms(900 * SECOND),
    };
    let mut account = gate_of(limits("100/s:burst", &[]), LearnedLimits::default());
    for key in 1..=3 {
        let slot = account.take(Endpoint::Upload, T0).unwrap();
        account.depart(slot, key, times(T0));
    }
    let at = T0.plus_ms(SECOND);
    account.answer(1, &RequestOutcome::Unclear { retry_after: Some(Duration::from_hours(1)) }, at, 0.5);
    // both left before the service asked to wait
    account.answer(2, &ACCEPTED, at.plus_ms(100), 0.5);
    account.answer(3, &REFUSED, at.plus_ms(200), 0.5);
    let hour_later = at.plus_ms(HOUR);
    assert_eq!(account.take(Endpoint::Upload, at.plus_ms(300)).unwrap_err().until, hour_later);
    let learned_limits = account.take_changed_learned_limits().unwrap().clone();
    let restarted_at = at.plus_ms(60 * SECOND);
    let mut restarted = AccountLimits::new(limits("100/s:burst", &[]), &[], learned_limits, restarted_at, 0);
    assert_eq!(restarted.take(Endpoint::Upload, restarted_at).unwrap_err().until, hour_later);
    assert!(restarted.take(Endpoint::Upload, hour_later).is_ok());
}

#[test]
fn a_burst_refused_together_is_one_refusal_of_the_hour() {
    let mut account = gate_of(limits("100/s:burst", &[]), LearnedLimits::default());
    let slots: Vec<i64> = (0..20).map(|_| account.take(Endpoint::Upload, T0).unwrap()).collect();
    for (key, slot) in (1..).zip(slots) {
        account.depart(
            slot,
            key,
            UploadTimes { claimed_at: T0, departed_at: T0.into(), accepted_by: T0.plus_ms(900 * SECOND) },
        );
    }
    let mut feedback = Vec::new();
    for key in 1..=20 {
        feedback.push(account.answer(key, &REFUSED, T0.plus_ms(100 + key), 0.5));
    }
    assert!(
        feedback.iter().all(|feedback| !matches!(feedback.change, Some(LimitChange::RefusalsSpent(_)))),
        "{feedback:?}"
    );
    let at = T0.plus_ms(HOUR / 2);
    assert!(account.take(Endpoint::Upload, at).is_ok(), "twelve are the budget of an hour, and this was one");
}

#[test]
fn a_rejected_row_may_have_used_a_slot_but_proves_none() {
    let mut account = gate_of(limits("100/s:burst", &["?/2h"]), LearnedLimits::default());
    let mut at = T0;
    let mut send = |account: &mut AccountLimits, key: i64, outcome: &RequestOutcome| {
        at = at.plus_ms(400 * SECOND);
        let slot = account.take(Endpoint::Upload, at).unwrap();
        account.depart(
            slot,
            key,
            UploadTimes { claimed_at: at, departed_at: at.into(), accepted_by: at.plus_ms(900 * SECOND) },
        );
        account.answer(key, outcome, at, 0.5)
    };
    for key in 1..=6 {
        send(&mut account, key, &ACCEPTED);
    }
    send(&mut account, 7, &RequestOutcome::Rejected);
    send(&mut account, 8, &REFUSED);
    send(&mut account, 9, &REFUSED);
    let feedback = send(&mut account, 10, &REFUSED);
    let words = feedback.change.map(|news| news.to_string()).unwrap_or_default();
    assert!(words.contains("6\u{2013}7 per 2 h"), "{words}");
}

#[tokio::test(start_paused = true)]
async fn a_read_that_left_before_a_refusal_ends_no_cooldown_of_its_endpoint() {
    let (limiter, clock) = limiter("1/s");
    let early = limiter.permit(Priority::Poll).await;
    let early_slot = early.slot();
    limiter.depart_read(&early).await;
    early.spend(Endpoint::List);
    clock.sleep(Duration::from_secs(1)).await;
    let late = limiter.permit(Priority::Reconcile).await;
    let late_slot = late.slot();
    limiter.depart_read(&late).await;
    late.spend(Endpoint::List);
    let asked = RequestOutcome::Refused { retry_after: Some(Duration::from_mins(1)) };
    let until = limiter.on_read(late_slot, &asked).unwrap().until;
    limiter.on_read(early_slot, &ACCEPTED);
    assert_eq!(limiter.cooldown(Endpoint::List).map(|cooldown| cooldown.until), Some(until));
    let asked_at = clock.now();
    let canary = limiter.permit(Priority::Poll).await;
    assert_eq!(clock.now().since_ms(asked_at), 60_000);
    limiter.on_read(canary.slot(), &ACCEPTED);
    assert_eq!(limiter.cooldown(Endpoint::List), None);
    canary.spend(Endpoint::List);
}

#[test]
fn two_readings_of_a_cap_are_learned_apart() {
    let mut account = gate_of(limits("100/s:burst", &["?/2h:indexing", "?/2h"]), LearnedLimits::default());
    let mut at = T0;
    for key in 1..=9 {
        at = at.plus_ms(400 * SECOND);
        let slot = account.take(Endpoint::Upload, at).unwrap();
        account.depart(
            slot,
            key,
            UploadTimes { claimed_at: at, departed_at: at.into(), accepted_by: at.plus_ms(900 * SECOND) },
        );
        let outcome = if key <= 6 { ACCEPTED } else { REFUSED };
        account.answer(key, &outcome, at, 0.5);
    }
    let learned: Vec<_> = account.learned_limits().caps.iter().map(|cap| (cap.counting, cap.low)).collect();
    assert_eq!(learned, [(crate::domain::Counting::Indexing, 6)], "the first is blamed first, and alone");
    (1..=6).for_each(|key| account.indexed(key));
    at = at.plus_ms(1_000 * SECOND);
    let delay = account.take(Endpoint::Upload, at).err();
    assert_eq!(delay, None, "nothing is being indexed, and the other reading is not known");
}

#[test]
fn what_is_being_claimed_makes_no_forecast_endless() {
    let mut account = gate_of(limits("1/s", &["1/2h"]), LearnedLimits::default());
    account.take(Endpoint::Upload, T0).unwrap();
    let next = status::forecast(&mut account, T0).after(1);
    assert!((2 * HOUR..3 * HOUR).contains(&next.since_ms(T0)), "{next:?}");
}

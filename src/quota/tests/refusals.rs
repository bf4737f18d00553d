//! What refusals and unclear answers change: waits, the rate, the distance, and what is learned.

use super::*;

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

#[test]
fn nothing_leaves_after_a_refusal_however_early_it_got_its_slot() {
    const ASKED: Duration = Duration::from_secs(40);
    let mut account = gate_of(limits("20/s:burst", &[]), LearnedLimits::default());
    let slots: Vec<i64> = (0..3).map(|_| account.take(Endpoint::Upload, T0).unwrap()).collect();
    let depart = |account: &mut AccountLimits, slot: i64, key: i64, at: UnixMillis| {
        let times =
            UploadTimes { claimed_at: T0, departed_at: at.into(), accepted_by: at.plus_ms(900 * SECOND) };
        account.depart(slot, key, times)
    };
    assert_eq!(depart(&mut account, slots[0], 1, T0), Departure::Now);
    let refused_at = T0.plus_ms(50);
    account.answer(1, &RequestOutcome::Refused { retry_after: Some(ASKED) }, refused_at, 0.5);
    // the others have their slots, and one of them waits for its commit until the wait is nearly over
    assert_eq!(depart(&mut account, slots[1], 2, refused_at.plus_ms(1)), Departure::Closed);
    let over = refused_at.plus(ASKED);
    assert_eq!(depart(&mut account, slots[2], 3, over.plus_ms(-1)), Departure::Closed);
    account.give_back(Endpoint::Upload, slots[1]);
    // then one goes alone, and the last slot of before is not it
    let probe = account.take(Endpoint::Upload, over).unwrap();
    assert_eq!(depart(&mut account, slots[2], 3, over), Departure::Closed);
    account.give_back(Endpoint::Upload, slots[2]);
    account.take(Endpoint::Upload, over).unwrap_err();
    assert_eq!(depart(&mut account, probe, 4, over), Departure::Now);
}

#[test]
fn refusals_of_requests_that_left_before_the_wait_was_over_are_not_counted_as_persistent() {
    let mut account = gate_of(limits("20/s:burst", &[]), LearnedLimits::default());
    for key in 1..=6 {
        let slot = account.take(Endpoint::Upload, T0).unwrap();
        let at = T0.plus_ms(key);
        let times =
            UploadTimes { claimed_at: T0, departed_at: at.into(), accepted_by: at.plus_ms(900 * SECOND) };
        assert_eq!(account.depart(slot, key, times), Departure::Now);
    }
    for key in 1..=6 {
        // each is refused after the next one left
        let feedback = account.answer(key, &REFUSED, T0.plus_ms(1 + key * 10), 0.5);
        assert!(feedback.change.is_none(), "{:?}", feedback.change);
    }
    let wait = account.cooldown(Endpoint::Upload, T0.plus_ms(100)).unwrap();
    assert!(wait.until.since_ms(T0) < 5 * SECOND, "one refusal, one short wait: {wait:?}");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_a_listing_asks_for_is_kept_over_a_restart() {
    let (limiter, clock) = limiter("1/s");
    let slot = limiter.permit(Priority::Reconcile).await.slot();
    limiter.on_read(slot, &RequestOutcome::Refused { retry_after: Some(Duration::from_secs(40)) });
    let kept = limiter.changed_learned_limits().unwrap();
    let kept = LearnedLimits::from_text(&kept.to_text()).unwrap();
    let restarted = gate_of(limits("1/s", &[]), kept);
    let wait = restarted.cooldown(Endpoint::List, clock.now().plus_ms(7 * SECOND)).unwrap();
    assert_eq!(wait.until.since_ms(T0), 40 * SECOND);
    assert_eq!(restarted.cooldown(Endpoint::Upload, clock.now()), None);
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

#[test]
fn after_an_unclear_answer_the_next_requests_do_not_wait_for_each_other() {
    let mut account = AccountLimits::new(limits("10/s", &[]), &[], LearnedLimits::default(), T0, 0);
    let second = |number: i64| T0.plus_ms(number * 1_000);
    let unclear = RequestOutcome::Unclear { retry_after: None };
    let leave = |account: &mut AccountLimits, attempt: i64, at: UnixMillis| {
        let slot = account.take(Endpoint::Upload, at)?;
        let times = UploadTimes { claimed_at: at, departed_at: at.into(), accepted_by: at.plus_ms(900_000) };
        account.depart(slot, attempt, times);
        Ok::<(), Delay>(())
    };
    account.answer(1, &unclear, second(1), 0.5);
    assert!(leave(&mut account, 2, second(2)).is_ok());
    assert!(leave(&mut account, 3, second(3)).is_ok(), "the one before it hangs");
    for number in 2..6 {
        account.answer(number, &unclear, second(number), 0.5);
    }
    assert!(leave(&mut account, 6, second(100)).is_ok());
    assert!(leave(&mut account, 7, second(101)).is_err(), "trouble: one at a time");
}

#[tokio::test(start_paused = true)]
async fn a_few_unclear_answers_are_bad_luck_and_many_are_trouble() {
    let (limiter, _) = limiter("1/s");
    assert!(limiter.answer(1, &RequestOutcome::Unclear { retry_after: None }).cooldown.is_none());
    assert!(limiter.answer(2, &RequestOutcome::Unclear { retry_after: None }).cooldown.is_none());
    assert!(limiter.answer(3, &RequestOutcome::Unclear { retry_after: None }).cooldown.is_some());
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
                Departure::Closed => panic!("one request after the other"),
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

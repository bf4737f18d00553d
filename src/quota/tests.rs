//! What the porter promises, in virtual time.

use std::sync::Arc;

use super::*;

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
        total: Vec::new(),
    }
}

fn porter_of(limits: Limits, past: &[Past]) -> (Arc<Porter>, Clock) {
    let clock = Clock::of_runtime(T0);
    let dice = fastrand::Rng::with_seed(7);
    (Arc::new(Porter::new(clock.clone(), limits, past, Lessons::default(), dice)), clock)
}

fn porter(rate: &str) -> (Arc<Porter>, Clock) {
    porter_of(limits(rate, &[]), &[])
}

/// An upload that was answered a second after it left.
fn past(key: i64, left_at: UnixMillis) -> Past {
    Past {
        lane: Lane::Upload,
        key,
        count: 1,
        claimed_at: left_at,
        left_by: left_at.plus_ms(5 * SECOND),
        answered_at: Some(left_at.plus_ms(SECOND)),
        counts_until: Some(left_at.plus_ms(SECOND)),
        state: PastState::Indexing,
    }
}

async fn spend(porter: &Porter) {
    porter.permit(Purpose::Upload).await.spend(Lane::Upload);
}

const REFUSED: Outcome = Outcome::Refused { retry_after: None };
const ACCEPTED: Outcome = Outcome::Accepted { noted_at: None };

fn refuse(porter: &Porter) -> Option<Hold> {
    porter.answer(1, &REFUSED).hold
}

#[tokio::test(start_paused = true)]
async fn permits_keep_the_rate_and_waste_little_of_it() {
    let (porter, clock) = porter("10/s");
    let mut at = Vec::new();
    for _ in 0..100 {
        spend(&porter).await;
        at.push(clock.now().0);
    }
    for window in at.windows(11) {
        assert!(window[10] - window[0] >= 1_000, "eleven in a second");
    }
    let took = at[99] - at[0];
    assert!((9_700..=10_300).contains(&took), "{took} ms for 100 permits at 10/s");
}

#[tokio::test(start_paused = true)]
async fn a_burst_goes_at_once_where_the_limit_lets_it() {
    let (porter, clock) = porter("60/min:burst");
    for _ in 0..60 {
        spend(&porter).await;
    }
    assert_eq!(clock.now(), T0);
    spend(&porter).await;
    assert_eq!(clock.now().since_ms(T0), 60_250, "the window and its margin");
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_the_first_goes_at_the_first_free_slot() {
    let (porter, clock) = porter_of(limits("1/min", &[]), &[past(1, T0.plus_ms(-20 * SECOND))]);
    spend(&porter).await;
    // it left no later than its answer, a second after it was claimed
    assert_eq!(clock.now().since_ms(T0), 40 * SECOND + SECOND + 250);
}

#[tokio::test(start_paused = true)]
async fn several_caps_hold_together_and_over_restarts() {
    let past: Vec<Past> = (0..3).map(|n| past(n + 1, T0.plus_ms(-HOUR + n * 60 * SECOND))).collect();
    let (porter, clock) = porter_of(limits("100/s:burst", &["2/10m", "4/2h"]), &past);
    for _ in 0..2 {
        let permit = porter.permit(Purpose::Upload).await;
        let now = clock.now();
        porter.depart(&permit, now.0, now, now.plus_ms(900 * SECOND));
        permit.spend(Lane::Upload);
        porter.answer(now.0, &ACCEPTED);
    }
    // three of the last two hours and one now fill the larger window: the first of them has to leave it
    let first_leaves = -HOUR + SECOND + 2 * HOUR + 720;
    assert_eq!(clock.now().since_ms(T0), first_leaves);
    assert_eq!(porter.status().windows.iter().filter(|window| window.free == Some(0)).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_left_costs_no_slot() {
    let (porter, clock) = porter("1/min");
    let permit = porter.permit(Purpose::Upload).await;
    porter.give_back(permit);
    spend(&porter).await;
    assert_eq!(clock.now(), T0, "the slot was given back");
    spend(&porter).await;
    assert!(clock.now().since_ms(T0) >= 60_000, "and given once");
}

#[tokio::test(start_paused = true)]
async fn turns_given_back_do_not_make_a_fast_lane_faster() {
    let (porter, clock) = porter("1000/s");
    let mut spent = 0;
    while clock.now().since_ms(T0) < 1_000 {
        let permit = porter.permit(Purpose::Upload).await;
        porter.give_back(permit);
        spend(&porter).await;
        spent += 1;
    }
    assert!(spent <= 1_000, "{spent} in a second");
}

#[tokio::test(start_paused = true)]
async fn lanes_do_not_wait_for_each_other() {
    let (porter, clock) = porter("1/min");
    spend(&porter).await;
    porter.answer(1, &Outcome::Refused { retry_after: Some(Duration::from_hours(1)) });
    porter.permit(Purpose::Watch).await.spend(Lane::List);
    assert_eq!(clock.now(), T0);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_holds_everybody_for_as_long_as_the_service_asks() {
    let (porter, clock) = porter("100/s");
    spend(&porter).await;
    porter.answer(1, &Outcome::Refused { retry_after: Some(Duration::from_secs(30)) });
    assert_eq!(porter.hold(Lane::Upload).unwrap().reason, HoldReason::Refused);
    spend(&porter).await;
    assert_eq!(clock.now().since_ms(T0), 30_000);
    // whatever it asks for, the wait ends
    porter.answer(1, &Outcome::Refused { retry_after: Some(Duration::from_hours(999)) });
    spend(&porter).await;
    assert!(clock.now().since_ms(T0) < 9_000_000);
}

#[tokio::test(start_paused = true)]
async fn after_a_refusal_one_goes_alone_until_one_passes() {
    let (porter, clock) = porter("100/s");
    spend(&porter).await;
    refuse(&porter);
    spend(&porter).await;
    let next = tokio::spawn({
        let porter = Arc::clone(&porter);
        async move { spend(&porter).await }
    });
    clock.sleep(Duration::from_mins(10)).await;
    assert!(!next.is_finished(), "a second one went while the first was out");
    porter.answer(2, &ACCEPTED);
    next.await.unwrap();
    assert_eq!(porter.hold(Lane::Upload), None);
}

#[tokio::test(start_paused = true)]
async fn refusals_in_a_row_wait_longer_and_never_for_ever() {
    let (porter, clock) = porter("1/s");
    let mut waits = Vec::new();
    for _ in 0..11 {
        clock.sleep(Duration::from_millis(1)).await;
        let hold = refuse(&porter).unwrap();
        waits.push(hold.until.since_ms(clock.now()));
        clock.sleep_until(hold.until).await;
    }
    assert!((1_000..=2_000).contains(&waits[0]), "{waits:?}");
    assert!(waits[1] >= 75_000, "the second is longer than any documented spacing: {waits:?}");
    assert!(waits.iter().all(|wait| *wait <= 15 * 60_000), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn no_hour_has_more_refusals_than_a_key_can_bear() {
    let (porter, clock) = porter("10/s");
    let mut refusals = 0;
    while clock.now().since_ms(T0) < HOUR {
        let permit = porter.permit(Purpose::Upload).await;
        if clock.now().since_ms(T0) >= HOUR {
            break;
        }
        permit.spend(Lane::Upload);
        refusals += 1;
        // a service that passes one in two and asks for short waits
        porter.answer(1, &Outcome::Refused { retry_after: Some(Duration::from_secs(1)) });
        spend(&porter).await;
        porter.answer(1, &ACCEPTED);
    }
    assert_eq!(refusals, 12);
}

#[tokio::test(start_paused = true)]
async fn a_few_unclear_answers_are_bad_luck_and_many_are_trouble() {
    let (porter, _) = porter("1/s");
    assert!(porter.answer(1, &Outcome::Unclear).hold.is_none());
    assert!(porter.answer(2, &Outcome::Unclear).hold.is_none());
    assert!(porter.answer(3, &Outcome::Unclear).hold.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_permit_given_back_lets_the_next_one_go() {
    let (porter, clock) = porter("100/s");
    porter.answer(1, &Outcome::NotSent);
    let permit = porter.permit(Purpose::Upload).await;
    porter.give_back(permit);
    spend(&porter).await;
    assert!(clock.now().since_ms(T0) < 5_000);
}

#[tokio::test(start_paused = true)]
async fn a_rate_that_is_too_fast_is_slowed_down_and_recovers() {
    let (porter, _) = porter("10/s");
    spend(&porter).await;
    refuse(&porter);
    spend(&porter).await;
    let heard = porter.answer(2, &ACCEPTED);
    assert!(matches!(heard.news, Some(News::SlowedDown(1428))), "{heard:?}");
    assert_eq!(porter.status().speed_percent, 70);
    for _ in 0..50 * 30 {
        porter.answer(3, &ACCEPTED);
    }
    assert_eq!(porter.status().speed_percent, 100);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumped_between_two_runs_opens_no_window() {
    // the last run ended a moment ago, though the wall clock says three hours
    let by_clock = |jump_ms: i64| -> Vec<Past> {
        (0..10).map(|n| past(n + 1, T0.plus_ms(-3 * HOUR - 9 * SECOND + n * SECOND + jump_ms))).collect()
    };
    let (porter, clock) = porter_of(limits("1/s", &["10/3h"]), &by_clock(0));
    assert_eq!(porter.status().windows[1].used, 0, "by the wall clock the window is empty");
    porter.retell(&by_clock(3 * HOUR));
    spend(&porter).await;
    assert!(clock.now().since_ms(T0) >= 3 * HOUR - 20 * SECOND, "{}", clock.now().since_ms(T0));
}

#[tokio::test(start_paused = true)]
async fn reads_take_their_share_of_a_quota_that_covers_all() {
    let limits = Limits { total: vec!["1/s".parse().unwrap()], ..limits("100/s", &[]) };
    let (porter, clock) = porter_of(limits, &[]);
    let order = Arc::new(Mutex::new(Vec::new()));
    for purpose in [Purpose::Upload, Purpose::Watch] {
        let (porter, order) = (Arc::clone(&porter), Arc::clone(&order));
        tokio::spawn(async move {
            loop {
                porter.permit(purpose).await.spend(purpose.lane());
                order.lock().unwrap().push(purpose);
            }
        });
    }
    clock.sleep(Duration::from_mins(10)).await;
    let doubt = Arc::clone(&porter);
    let asked_at = clock.now();
    let doubted = tokio::spawn(async move { doubt.permit(Purpose::Doubt).await.spend(Lane::List) });
    tokio::select! {
        biased;
        done = doubted => done.unwrap(),
        () = clock.sleep(Duration::from_mins(10)) => panic!("it waited for ever"),
    }
    assert!(clock.now().since_ms(asked_at) <= 2_100, "a doubt goes before uploads");
    let order = order.lock().unwrap();
    let reads = order.iter().filter(|purpose| **purpose == Purpose::Watch).count();
    assert!((order.len() / 13..=order.len() / 9).contains(&reads), "{reads} of {} are reads", order.len());
    let longest = order.split(|purpose| *purpose == Purpose::Watch).map(<[_]>::len).max().unwrap();
    assert!(longest <= 11, "{longest} uploads without a read");
}

#[tokio::test(start_paused = true)]
async fn a_poll_goes_every_five_minutes_whatever_else_waits() {
    let limits = Limits { total: vec!["1/s".parse().unwrap()], ..limits("100/s", &[]) };
    let (porter, clock) = porter_of(limits, &[]);
    // doubts go before everything, and there is no end of them
    for _ in 0..2 {
        let porter = Arc::clone(&porter);
        tokio::spawn(async move {
            loop {
                porter.permit(Purpose::Doubt).await.spend(Lane::List);
            }
        });
    }
    for poll in 1..=3 {
        let asked_at = clock.now();
        porter.permit(Purpose::Watch).await.spend(Lane::List);
        let waited_ms = clock.now().since_ms(asked_at);
        assert!(waited_ms <= 302_000, "poll {poll} waited for {waited_ms} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn uploads_that_wait_for_a_cap_keep_no_poll_waiting() {
    let limits = Limits { total: vec!["1/s".parse().unwrap()], ..limits("100/s", &["1/1h"]) };
    let (porter, clock) = porter_of(limits, &[]);
    spend(&porter).await;
    let upload = Arc::clone(&porter);
    tokio::spawn(async move { spend(&upload).await });
    clock.sleep(Duration::from_secs(5)).await;
    let asked_at = clock.now();
    porter.permit(Purpose::Watch).await.spend(Lane::List);
    assert!(clock.now().since_ms(asked_at) <= 1_100);
}

#[test]
fn lessons_are_kept_over_restarts_and_never_break_one() {
    let mut gate = Gate::new(limits("1/s", &[]), &[], Lessons::default(), (T0, 0));
    let slot = gate.take(Lane::Upload, T0).unwrap();
    gate.depart(slot, 1, (T0, T0.plus_ms(3), T0.plus_ms(900_000)));
    let text = gate.take_new_lessons().unwrap().to_text();
    assert!(gate.take_new_lessons().is_none());
    assert_eq!(Lessons::from_text(&text), *gate.lessons());
    for broken in ["", "{", "[1]", r#"{"caps":7}"#] {
        assert_eq!(Lessons::from_text(broken), Lessons::default());
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_what_left_before_a_refusal_ends_no_wait() {
    let (porter, clock) = porter("1/s");
    let early = porter.permit(Purpose::Upload).await;
    let early_key = 1;
    let now = clock.now();
    porter.depart(&early, early_key, now, now.plus_ms(900_000));
    early.spend(Lane::Upload);
    spend(&porter).await;
    let hold = porter.answer(2, &REFUSED).hold;
    let until = hold.unwrap().until;
    porter.answer(early_key, &Outcome::Accepted { noted_at: None });
    assert_eq!(porter.hold(Lane::Upload).map(|hold| hold.until), Some(until));
    assert_eq!(porter.status().speed_percent, 100, "nothing passed after a wait");
}

/// A gate that knows nothing, at T0.
fn gate_of(limits: Limits, lessons: Lessons) -> Gate {
    Gate::new(limits, &[], lessons, (T0, 0))
}

#[test]
fn a_claim_slower_than_a_restart_would_believe_is_written_down_before_it_leaves() {
    let mut gate = gate_of(limits("1/min", &[]), Lessons::default());
    let mut now = T0;
    let mut depart = |gate: &mut Gate, key: i64, lag_ms: i64| {
        now = now.plus_ms(61 * SECOND);
        let slot = gate.take(Lane::Upload, now).unwrap();
        (slot, gate.depart(slot, key, (now, now.plus_ms(lag_ms), now.plus_ms(900 * SECOND))), now)
    };
    // nothing is kept, so a restart believes the longest there can be
    assert_eq!(depart(&mut gate, 1, 3).1, Departure::Now);
    let kept = gate.take_new_lessons().unwrap().clone();
    gate.lessons_are_kept(kept.start_lag_ms);
    assert_eq!(depart(&mut gate, 2, 15).1, Departure::Now, "there is some room");
    assert!(gate.take_new_lessons().is_none());
    let (slot, departure, claimed_at) = depart(&mut gate, 3, 3_000);
    assert_eq!(departure, Departure::AfterLessons);
    let widened = gate.take_new_lessons().unwrap().clone();
    gate.lessons_are_kept(widened.start_lag_ms);
    let left_at = claimed_at.plus_ms(3_100);
    assert_eq!(gate.depart(slot, 3, (claimed_at, left_at, T0)), Departure::Now);
    // killed right then, the next run sends no sooner than if it had seen the departure
    let past = Past { answered_at: None, counts_until: None, ..past(3, claimed_at) };
    let restarted = |lessons| {
        let mut anew = Gate::new(limits("1/min", &[]), std::slice::from_ref(&past), lessons, (left_at, 0));
        anew.take(Lane::Upload, left_at).map_err(|delay| delay.until.since_ms(left_at))
    };
    assert!(restarted(widened).unwrap_err() >= 60 * SECOND, "sent early");
    assert!(restarted(kept).unwrap_err() < 60 * SECOND, "which the lessons before would not have kept from");
}

#[test]
fn a_wait_that_the_service_asked_for_outlives_a_restart() {
    let mut gate = gate_of(limits("1/s", &[]), Lessons::default());
    let slot = gate.take(Lane::Upload, T0).unwrap();
    gate.depart(slot, 1, (T0, T0, T0.plus_ms(900 * SECOND)));
    gate.answer(1, &Outcome::Refused { retry_after: Some(Duration::from_mins(10)) }, T0, 0.5);
    let lessons = gate.take_new_lessons().unwrap().clone();
    let mut anew = Gate::new(limits("1/s", &[]), &[], lessons.clone(), (T0.plus_ms(SECOND), 0));
    let delay = anew.take(Lane::Upload, T0.plus_ms(SECOND)).unwrap_err();
    assert_eq!((delay.until.since_ms(T0), matches!(delay.why, Why::Held(_))), (600 * SECOND, true));
    // one that passes afterwards ends it, and the next restart knows
    let at = T0.plus_ms(601 * SECOND);
    let slot = anew.take(Lane::Upload, at).unwrap();
    anew.depart(slot, 2, (at, at, at.plus_ms(900 * SECOND)));
    anew.answer(2, &ACCEPTED, at, 0.5);
    assert_eq!(anew.lessons().held, None);
}

#[test]
fn a_burst_refused_together_is_one_refusal_of_the_hour() {
    let mut gate = gate_of(limits("100/s:burst", &[]), Lessons::default());
    let slots: Vec<i64> = (0..20).map(|_| gate.take(Lane::Upload, T0).unwrap()).collect();
    for (key, slot) in (1..).zip(slots) {
        gate.depart(slot, key, (T0, T0, T0.plus_ms(900 * SECOND)));
    }
    let mut heard = Vec::new();
    for key in 1..=20 {
        heard.push(gate.answer(key, &REFUSED, T0.plus_ms(100 + key), 0.5));
    }
    assert!(heard.iter().all(|heard| !matches!(heard.news, Some(News::RefusalsSpent(_)))), "{heard:?}");
    let at = T0.plus_ms(HOUR / 2);
    assert!(gate.take(Lane::Upload, at).is_ok(), "twelve are the budget of an hour, and this was one");
}

#[test]
fn a_rejected_row_may_have_used_a_slot_but_proves_none() {
    let mut gate = gate_of(limits("100/s:burst", &["?/2h"]), Lessons::default());
    let mut at = T0;
    let mut send = |gate: &mut Gate, key: i64, outcome: &Outcome| {
        at = at.plus_ms(400 * SECOND);
        let slot = gate.take(Lane::Upload, at).unwrap();
        gate.depart(slot, key, (at, at, at.plus_ms(900 * SECOND)));
        gate.answer(key, outcome, at, 0.5)
    };
    for key in 1..=6 {
        send(&mut gate, key, &ACCEPTED);
    }
    send(&mut gate, 7, &Outcome::Rejected);
    send(&mut gate, 8, &REFUSED);
    send(&mut gate, 9, &REFUSED);
    let heard = send(&mut gate, 10, &REFUSED);
    let words = heard.news.map(|news| news.to_string()).unwrap_or_default();
    assert!(words.contains("6\u{2013}7 per 2 h"), "{words}");
}

#[tokio::test(start_paused = true)]
async fn a_read_that_left_before_a_refusal_ends_no_wait_of_its_lane() {
    let (porter, clock) = porter("1/s");
    let early = porter.permit(Purpose::Watch).await;
    let early_slot = early.slot();
    early.spend(Lane::List);
    clock.sleep(Duration::from_secs(1)).await;
    let late = porter.permit(Purpose::Doubt).await;
    let late_slot = late.slot();
    late.spend(Lane::List);
    let asked = Outcome::Refused { retry_after: Some(Duration::from_mins(1)) };
    let until = porter.hear_read(late_slot, &asked).unwrap().until;
    porter.hear_read(early_slot, &ACCEPTED);
    assert_eq!(porter.hold(Lane::List).map(|hold| hold.until), Some(until));
    let asked_at = clock.now();
    let canary = porter.permit(Purpose::Watch).await;
    assert_eq!(clock.now().since_ms(asked_at), 60_000);
    porter.hear_read(canary.slot(), &ACCEPTED);
    assert_eq!(porter.hold(Lane::List), None);
    canary.spend(Lane::List);
}

#[test]
fn two_readings_of_a_cap_are_learned_apart() {
    let mut gate = gate_of(limits("100/s:burst", &["?/2h:indexing", "?/2h"]), Lessons::default());
    let mut at = T0;
    for key in 1..=9 {
        at = at.plus_ms(400 * SECOND);
        let slot = gate.take(Lane::Upload, at).unwrap();
        gate.depart(slot, key, (at, at, at.plus_ms(900 * SECOND)));
        let outcome = if key <= 6 { ACCEPTED } else { REFUSED };
        gate.answer(key, &outcome, at, 0.5);
    }
    let learned: Vec<_> = gate.lessons().caps.iter().map(|cap| (cap.counting, cap.low)).collect();
    assert_eq!(learned, [(crate::limit::Counting::Indexing, 6)], "the first is blamed first, and alone");
    (1..=6).for_each(|key| gate.indexed(key));
    at = at.plus_ms(1_000 * SECOND);
    let delay = gate.take(Lane::Upload, at).err();
    assert_eq!(delay, None, "nothing is being indexed, and the other reading is not known");
}

#[test]
fn what_is_being_claimed_makes_no_forecast_endless() {
    let mut gate = gate_of(limits("1/s", &["1/2h"]), Lessons::default());
    gate.take(Lane::Upload, T0).unwrap();
    let next = status::forecast(&mut gate, T0).after(1);
    assert!((2 * HOUR..3 * HOUR).contains(&next.since_ms(T0)), "{next:?}");
}

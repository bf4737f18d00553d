//! What the porter promises, in virtual time.

use std::sync::Arc;

use super::*;

const T0: UnixMillis = UnixMillis(1_700_000_000_000);

fn porter(rate: &str, last_upload_at: Option<UnixMillis>) -> (Arc<Porter>, Clock) {
    let clock = Clock::of_runtime(T0);
    let limit = |text: &str| text.parse::<Limit>().unwrap();
    let rates = Rates { upload: limit(rate), list: limit("1/s"), metadata: limit("1/s") };
    (Arc::new(Porter::new(clock.clone(), rates, last_upload_at, fastrand::Rng::with_seed(7))), clock)
}

#[tokio::test(start_paused = true)]
async fn permits_keep_the_rate_and_waste_little_of_it() {
    let (porter, clock) = porter("10/s", None);
    let mut at = Vec::new();
    for _ in 0..100 {
        porter.permit(Lane::Upload).await.spend(Lane::Upload);
        at.push(clock.now().0);
    }
    for window in at.windows(11) {
        assert!(window[10] - window[0] >= 1_000, "eleven in a second");
    }
    let took = at[99] - at[0];
    assert!((9_900..=10_600).contains(&took), "{took} ms for 100 permits at 10/s");
}

#[tokio::test(start_paused = true)]
async fn a_restart_does_not_send_early() {
    let (porter, clock) = porter("1/min", Some(T0.plus_ms(-20_000)));
    porter.permit(Lane::Upload).await.spend(Lane::Upload);
    let waited = clock.now().since_ms(T0);
    assert!((40_000..41_000).contains(&waited), "{waited}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_left_costs_no_slot() {
    let (porter, clock) = porter("1/min", None);
    porter.permit(Lane::Upload).await.spend(Lane::Upload);
    clock.sleep(Duration::from_mins(2)).await;
    let permit = porter.permit(Lane::Upload).await;
    porter.forgive(permit.slot());
    let before = clock.now();
    let kept = porter.permit(Lane::Upload).await;
    assert_eq!(clock.now(), before, "the slot was given back");
    kept.spend(Lane::Upload);
    porter.permit(Lane::Upload).await.spend(Lane::Upload);
    assert!(clock.now().since_ms(before) >= 60_000, "and given once");
}

#[tokio::test(start_paused = true)]
async fn turns_given_back_do_not_make_a_fast_lane_faster() {
    let (porter, clock) = porter("1000/s", None);
    let mut spent = 0;
    while clock.now().since_ms(T0) < 1_000 {
        let permit = porter.permit(Lane::Upload).await;
        porter.give_back(permit);
        porter.permit(Lane::Upload).await.spend(Lane::Upload);
        spent += 1;
    }
    assert!(spent <= 520, "{spent} in a second: each of them took two turns");
}

#[tokio::test(start_paused = true)]
async fn lanes_do_not_wait_for_each_other() {
    let (porter, clock) = porter("1/min", None);
    porter.permit(Lane::Upload).await.spend(Lane::Upload);
    porter.learn(Lane::Upload, &Feedback::RefusedForNow(Some(Duration::from_hours(1))));
    porter.permit(Lane::List).await.spend(Lane::List);
    assert_eq!(clock.now(), T0);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_holds_everybody_for_as_long_as_the_service_asks() {
    let (porter, clock) = porter("100/s", None);
    porter.permit(Lane::Upload).await.spend(Lane::Upload);
    porter.learn(Lane::Upload, &Feedback::RefusedForNow(Some(Duration::from_secs(30))));
    assert_eq!(porter.hold(Lane::Upload).unwrap().reason, HoldReason::Refused);
    porter.permit(Lane::Upload).await.spend(Lane::Upload);
    assert_eq!(clock.now().since_ms(T0), 30_000);
    // whatever it asks for, the wait ends
    porter.learn(Lane::Upload, &Feedback::RefusedForNow(Some(Duration::from_hours(999))));
    porter.permit(Lane::Upload).await.spend(Lane::Upload);
    assert!(clock.now().since_ms(T0) < 8_000_000);
}

#[tokio::test(start_paused = true)]
async fn after_a_refusal_one_goes_alone_until_one_passes() {
    let (porter, clock) = porter("100/s", None);
    porter.permit(Lane::Upload).await.spend(Lane::Upload);
    porter.learn(Lane::Upload, &Feedback::RefusedForNow(None));
    porter.permit(Lane::Upload).await.spend(Lane::Upload);
    let next = tokio::spawn({
        let porter = Arc::clone(&porter);
        async move { porter.permit(Lane::Upload).await.spend(Lane::Upload) }
    });
    clock.sleep(Duration::from_mins(10)).await;
    assert!(!next.is_finished(), "a second one went while the first was out");
    porter.learn(Lane::Upload, &Feedback::Passed);
    next.await.unwrap();
    assert_eq!(porter.hold(Lane::Upload), None);
}

#[tokio::test(start_paused = true)]
async fn refusals_in_a_row_wait_longer_and_never_for_ever() {
    let (porter, clock) = porter("1/s", None);
    let mut waits = Vec::new();
    for _ in 0..14 {
        let hold = porter.learn(Lane::Upload, &Feedback::RefusedForNow(None)).unwrap();
        waits.push(hold.until.since_ms(clock.now()));
        clock.sleep_until(hold.until).await;
    }
    assert!((1_000..=2_000).contains(&waits[0]), "{waits:?}");
    assert!(waits[5] > waits[0] * 8, "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= 15 * 60_000), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_few_unclear_answers_are_bad_luck_and_many_are_trouble() {
    let (porter, _) = porter("1/s", None);
    assert_eq!(porter.learn(Lane::Upload, &Feedback::Unclear), None);
    assert_eq!(porter.learn(Lane::Upload, &Feedback::Unclear), None);
    assert!(porter.learn(Lane::Upload, &Feedback::Unclear).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_permit_given_back_lets_the_next_one_go() {
    let (porter, clock) = porter("100/s", None);
    porter.learn(Lane::Upload, &Feedback::Unreachable);
    let permit = porter.permit(Lane::Upload).await;
    porter.give_back(permit);
    porter.permit(Lane::Upload).await.spend(Lane::Upload);
    assert!(clock.now().since_ms(T0) < 5_000);
}

#[test]
fn retry_after_is_read_in_both_forms() {
    let now = UnixMillis(1_445_412_480_000);
    assert_eq!(parse_retry_after("120", now), Some(Duration::from_mins(2)));
    assert_eq!(parse_retry_after("Wed, 21 Oct 2015 07:29:00 GMT", now), Some(Duration::from_mins(1)));
    assert_eq!(parse_retry_after("Wed, 21 Oct 2015 07:00:00 GMT", now), Some(Duration::ZERO));
    assert_eq!(parse_retry_after("soon", now), None);
}

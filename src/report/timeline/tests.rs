//! The curves, windows, waits and classes of a run.

use super::*;

fn request(sent_at: i64, answered_at: i64) -> RequestTimes {
    RequestTimes {
        sent_at: UnixMillis(sent_at),
        answered_at: Some(UnixMillis(answered_at)),
        counts_until: Some(UnixMillis(answered_at)),
        is_of_run: true,
        is_accepted: true,
        is_refused: false,
        final_at: Some(UnixMillis(answered_at + 4_000)),
        searchable_at: Some(UnixMillis(answered_at + 4_000)),
    }
}

fn timeline(rate: &str, cap: &str, until: i64, requests: &[RequestTimes]) -> Timeline {
    let limits = RunLimits {
        upload: vec![rate.parse().unwrap()],
        caps: vec![cap.parse().unwrap()],
        ..RunLimits::default()
    };
    let mut timeline = Timeline::empty(TimeAxis::new(UnixMillis(0), UnixMillis(until)), &limits);
    for request in requests {
        timeline.take(request);
    }
    timeline.explain_waits();
    timeline.end_wait = timeline.wait_until(UnixMillis(until));
    timeline
}

#[test]
fn every_point_of_a_window_counts_exactly_what_lies_in_it() {
    let mut rng = fastrand::Rng::with_seed(5);
    let mut one = |_| {
        let sent_at = rng.i64(-60_000..240_000);
        request(sent_at, sent_at + rng.i64(0..900))
    };
    let requests: Vec<RequestTimes> = (0..500).map(&mut one).collect();
    let timeline = timeline("9/10s", "50/1min", 240_000, &requests);
    for (window, period_ms) in timeline.windows.iter().zip([10_000, 60_000]) {
        for (part, used) in window.used(&timeline.axis).into_iter().enumerate() {
            let end = timeline.axis.end_of(part).0;
            let time = |request: &&RequestTimes| {
                let at = if window.is_cap { request.counts_until.unwrap() } else { request.sent_at };
                at.0 <= end && at.0 > end - period_ms
            };
            let counted = u32::try_from(requests.iter().filter(time).count()).unwrap();
            assert!((used - f64::from(counted)).abs() < 1e-9, "{} at {end}: {used}, {counted}", window.limit);
        }
    }
}

#[test]
fn a_window_shorter_than_a_point_of_the_curve_is_an_average() {
    let requests: Vec<RequestTimes> = (0..2_400).map(|at| request(at * 500, at * 500 + 10)).collect();
    let timeline = timeline("2/s", "9999/2h", 1_200_000, &requests);
    let used = timeline.windows[0].used(&timeline.axis);
    assert!(timeline.windows[0].is_average(&timeline.axis));
    assert!(used[1..239].iter().all(|used| (used - 2.0).abs() < 0.2), "{used:?}");
}

#[test]
fn a_wait_names_the_cap_that_was_used_up() {
    let first: Vec<RequestTimes> = (0..20).map(|at| request(at * 100, at * 100 + 10)).collect();
    let then: Vec<RequestTimes> = (0..5).map(|at| request(62_000 + at * 100, 62_010 + at * 100)).collect();
    let requests = [first, then].concat();
    let waits = timeline("10/s", "20/1min", 70_000, &requests).waits;
    assert_eq!(waits.len(), 1, "{waits:?}");
    assert_eq!(waits[0].cause, "the cap 20/min was used: 20 of 20");
    let waits = timeline("10/s", "500/1min", 70_000, &requests).waits;
    assert!(waits[0].cause.starts_with("none of these limits"), "{waits:?}");
}

#[test]
fn every_searchable_video_is_in_one_class_and_on_the_curve_or_after_it() {
    let requests: Vec<RequestTimes> = (0..40).map(|at| request(at * 1_000, at * 1_000 + 10)).collect();
    let timeline = timeline("1/s", "99/1min", 20_000, &requests);
    let during = timeline.searchable.cumulative()[POINTS - 1];
    assert_eq!(during + timeline.searchable_later, 40);
    assert_eq!(timeline.indexing.iter().sum::<u64>(), 40);
    assert_eq!(timeline.indexing[2], 40, "{:?}", timeline.indexing);
}

#[test]
fn the_wait_after_the_last_upload_is_known_with_the_cap_and_the_time_at_which_it_opens() {
    let requests: Vec<RequestTimes> = (0..20).map(|at| request(at * 100, at * 100 + 10)).collect();
    let wait = timeline("10/s", "20/1h", 132_000 + 1_900, &requests).end_wait.unwrap();
    assert_eq!((wait.from, wait.duration), (UnixMillis(1_900), Duration::from_secs(132)));
    assert_eq!(wait.cap, Some(("20/h".to_owned(), UnixMillis(3_600_010))));
    let free = timeline("10/s", "21/1h", 132_000, &requests).end_wait.unwrap();
    assert_eq!(free.cap, None, "a slot was free");
    assert!(timeline("10/s", "20/1h", 2_500, &requests).end_wait.is_none(), "it ended after its last upload");
}

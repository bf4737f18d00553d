//! What `telecine plan` says is what the next run does.

use std::{fmt::Write as _, time::Duration};

use telecine::{
    app::plan::{Budget, Plan, PlanBasis, PlanRequest, plan},
    clock::Clock,
    domain::UnixMillis,
    ledger::RerunPolicy,
    manifest::{Manifest, ManifestSpec, RowRules},
    sandbox::Policy,
};

use crate::support::harness::{Harness, T0, limits, spec};

/// What `telecine plan` says of the next run.
fn plan_of(harness: &Harness) -> Plan {
    let basis = PlanBasis {
        reading: Vec::new(),
        rows: Vec::new(),
        limits: harness.limits.clone(),
        budget: Budget::default(),
    };
    let request = PlanRequest {
        ledger: harness.ledger().into(),
        basis,
        reruns: RerunPolicy::default(),
        probe_age_max: None,
        price: None,
        bandwidth: harness.policy.bandwidth_max,
    };
    plan_by(&request, harness)
}

fn plan_by(request: &PlanRequest, harness: &Harness) -> Plan {
    let spec = spec(&harness.manifest());
    let rules = RowRules { files: harness.files_root.clone(), ..spec.rules.clone() };
    let manifest = Manifest::open(&ManifestSpec { rules, ..spec }).unwrap();
    plan(request, vec![manifest], &Clock::still(harness.now)).unwrap()
}

/// Compares a plan with what a run does then: the uploads, when the last one leaves, and the links that expire before.
fn assert_plan_holds(harness: &mut Harness, what: &str) {
    let planned = plan_of(harness);
    let (before, began) = (harness.service.stats().uploads, harness.now);
    harness.policy.wait = Some(Duration::from_hours(100));
    harness.run();
    let sent = harness.service.stats().uploads - before;
    assert_eq!(planned.would_send, sent, "{what}");
    let last_sent_at = harness.snapshot().last_sent_at().unwrap().unwrap_or(began);
    let (run, planned_for) = (last_sent_at.since_ms(began) / 1000, planned.seconds);
    let tolerance = 15 + run / 50;
    assert!((run - planned_for).abs() <= tolerance, "{what}: {run} s, planned {planned_for} s");
    let expired =
        harness.collector.all("links_expiring").last().map_or(0, |event| event["count"].as_u64().unwrap());
    assert_eq!(planned.links_expire, expired, "{what}");
}

#[test]
fn a_plan_says_how_long_files_take() {
    const KIB: u64 = 1_024;
    for (rate, caps, sizes) in [
        // one after the other, with the distance of the rate
        ("1/min", &[][..], &[600 * KIB, 10 * KIB, 10 * KIB, 3_000 * KIB, 10 * KIB][..]),
        // beside each other: the bandwidth decides
        ("1/s", &[], &[500 * KIB; 12]),
        // the limits decide
        ("1/s", &[], &[KIB / 2; 40]),
        ("1/s", &["5/1h"], &[300 * KIB; 12]),
    ] {
        let mut harness = Harness::new(Policy::default(), 0);
        harness.write_files(sizes);
        harness.limits = limits(rate, caps);
        harness.policy.bandwidth_max = Some(8 * KIB);
        let plan = plan_of(&harness);
        let bytes: u64 = sizes.iter().sum();
        assert_eq!((plan.files, plan.file_bytes), (sizes.len() as u64, bytes));
        harness.policy.bandwidth_max = None;
        let unknown = plan_of(&harness);
        assert_eq!(unknown.transfer_seconds, None);
        assert!(unknown.seconds <= plan.seconds, "{rate} {caps:?}");
        harness.policy.bandwidth_max = Some(8 * KIB);
        harness.policy.wait = Some(Duration::from_hours(100));
        let began = harness.now;
        harness.run();
        let last = harness.service.videos().iter().map(|video| video.created_at).max().unwrap();
        let took = last.since_ms(began) / 1_000;
        let tolerance = 30 + took / 20;
        assert!(
            (took - plan.seconds).abs() <= tolerance,
            "{rate} {caps:?}: {took} s, planned {} s",
            plan.seconds
        );
    }
}

#[test]
fn the_arithmetic_of_a_plan_says_what_a_run_does() {
    for (rate, caps, rows) in [
        ("1/s", &[][..], 60),
        ("1/min", &[], 12),
        ("60/min:burst", &[], 70),
        ("2/s", &["15/2h"], 40),
        ("1/s", &["10/1h", "25/1day"], 30),
    ] {
        let mut harness = Harness::new(Policy::default(), rows);
        harness.limits = limits(rate, caps);
        assert_plan_holds(&mut harness, &format!("{rate} {caps:?}"));
        // half of the rows are there, and their uploads count in the windows
        let mut text = std::fs::read_to_string(harness.manifest()).unwrap();
        for row in 0..rows / 2 {
            let _ = writeln!(text, "N{row},https://host/new-{row}.mp4,a");
        }
        std::fs::write(harness.manifest(), text).unwrap();
        assert_plan_holds(&mut harness, &format!("{rate} {caps:?}, again"));
    }
}

#[test]
fn a_plan_counts_the_links_that_expire_before_their_turn() {
    let mut harness = Harness::new(Policy::default(), 0);
    harness.limits = limits("1/min", &[]);
    let mut text = "url\n".to_owned();
    for row in 0..60 {
        // every second link lives for 10 to 39 minutes
        let expires = T0.since_ms(UnixMillis(0)) / 1000 + 600 + row * 30;
        let query = if row % 2 == 0 { format!("?Expires={expires}") } else { String::new() };
        let _ = writeln!(text, "https://host/{row}.mp4{query}");
    }
    std::fs::write(harness.manifest(), text).unwrap();
    assert_plan_holds(&mut harness, "expiring links");
}

//! What a seed decides about a run.

use std::time::Duration;

use telecine::{
    domain::Limit,
    ledger::Marker,
    pipeline::OnDoubt,
    sandbox::{CallFault, Fault, Faults, ListOrder, Policy},
};

use crate::harness::{Harness, limits};

/// Everything a seed decides.
#[derive(Clone, Debug)]
pub(crate) struct Knobs {
    pub(super) seed: u64,
    pub(super) rows: usize,
    pub(super) rate: &'static str,
    pub(super) cap: Option<&'static str>,
    concurrency: usize,
    marker: Marker,
    on_doubt: OnDoubt,
    service: Policy,
    pub(super) runs: Vec<Cut>,
    pub(super) strangers: u32,
    pub(super) deletions: u32,
    /// Whether the program receives the calls of the service.
    calls: bool,
    /// How far the wall clock is wrong in each run, in milliseconds ahead.
    pub(super) clock_steps_ms: Vec<i64>,
}

/// How a run is interrupted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cut {
    Killed(Duration),
    Stopped(Duration),
}

impl Knobs {
    /// The knobs of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let duration = |rng: &mut fastrand::Rng, max_ms: u64| Duration::from_millis(rng.u64(0..=max_ms));
        fn one<T: Copy>(rng: &mut fastrand::Rng, choices: &[T]) -> T {
            choices[rng.usize(0..choices.len())]
        }
        let on_doubt = one(
            &mut rng,
            &[
                OnDoubt::Hold,
                OnDoubt::Hold,
                OnDoubt::Hold,
                OnDoubt::Hold,
                OnDoubt::Auto,
                OnDoubt::Auto,
                OnDoubt::Auto,
                OnDoubt::Ask,
            ],
        );
        let kinds: Vec<Fault> = Fault::passing().into_iter().filter(|_| rng.bool()).collect();
        let answer_max = one(&mut rng, &[80, 4_000, 30_000]);
        let index_max = one(&mut rng, &[5_000, 5_000, 5_000, 60_000, 60_000, 600_000, 600_000, 10_800_000]);
        let service = Policy {
            upload_rate: one(&mut rng, &[None, None, None, None, Some("1/5s")]).map(limit),
            answer_delay: Duration::from_millis(20)..=Duration::from_millis(answer_max),
            index_delay: Duration::from_secs(1)..=Duration::from_millis(index_max),
            fail_share: one(&mut rng, &[0.0, 0.0, 0.2]),
            lateness_max: duration(&mut rng, 840_000),
            visibility_lag: one(&mut rng, &[0, 0, 60_000, 840_000])
                .max(0)
                .try_into()
                .map(Duration::from_millis)
                .unwrap_or_default(),
            order: one(&mut rng, &[ListOrder::NewestFirst, ListOrder::NewestFirst, ListOrder::OldestFirst]),
            faults: Faults { share: one(&mut rng, &[0.0, 0.1, 0.3, 0.5, 0.8]), kinds },
            read_fault_share: one(&mut rng, &[0.0, 0.0, 0.1, 0.3]),
            clock_ahead_ms: rng.i64(-600_000..=600_000),
            changes_tags: seed % 8 == 7,
            listed_behind_ms: if seed % 16 == 9 { 8 * 3_600_000 } else { 0 },
            seed,
            ..Policy::default()
        };
        let runs = (0..rng.usize(0..=3))
            .map(|_| {
                let longest = one(&mut rng, &[3_000, 30_000, 1_200_000]);
                let after = Duration::from_millis(rng.u64(1..longest));
                if rng.u8(0..4) == 0 { Cut::Stopped(after) } else { Cut::Killed(after) }
            })
            .collect();
        let cap = one(&mut rng, &[None, None, Some("5/10m"), Some("3/2m"), Some("10/1h")]);
        Self {
            seed,
            rows: rng.usize(2..=8),
            rate: one(&mut rng, &["1/s", "1/s", "2/s", "10/s", "1/10s", "1/min"]),
            concurrency: rng.usize(1..=8),
            marker: one(&mut rng, &[Marker::On, Marker::On, Marker::On, Marker::On, Marker::Off]),
            on_doubt,
            service,
            clock_steps_ms: if rng.u8(0..3) == 0 {
                (0..4).map(|_| one(&mut rng, &[0, 0, 600_000, 2_400_000])).collect()
            } else {
                Vec::new()
            },
            cap,
            runs,
            strangers: if on_doubt == OnDoubt::Auto { 0 } else { one(&mut rng, &[0, 0, 1, 4]) },
            deletions: one(&mut rng, &[0, 0, 0, 1]),
            calls: false,
        }
        .with_calls()
    }

    /// The same, with calls in some seeds. Where they are withheld, all other knobs are as without them.
    fn with_calls(mut self) -> Self {
        if self.seed % 4 != 1 {
            return self;
        }
        let mut rng = fastrand::Rng::with_seed(self.seed ^ 0xca11);
        self.calls = true;
        self.service.call_delay = Duration::ZERO..=Duration::from_millis(rng.u64(0..=120_000));
        self.service.call_fault_share = [0.0, 0.3, 1.0][rng.usize(0..3)];
        // a call that names the video of a stranger is believed until its tags are visible
        let is_possible = |fault: &CallFault| *fault != CallFault::OtherNumber || self.strangers == 0;
        let faults = CallFault::ALL.iter().map(|(fault, _)| *fault).filter(is_possible);
        self.service.call_faults = faults.filter(|_| rng.bool()).collect();
        // calls alone settle what is lost
        if rng.u8(0..8) == 0 {
            self.service.unlisted_share = 1.0;
        }
        self
    }

    pub(super) fn harness(&self) -> Harness {
        let mut harness = Harness::new(self.service.clone(), self.rows);
        harness.limits = limits(self.rate, self.cap.as_slice());
        harness.policy.concurrency = self.concurrency;
        harness.policy.marker = self.marker;
        harness.policy.reconcile.on_doubt = self.on_doubt;
        harness.policy.callback_base = self.calls.then(|| "https://calls.example/telecine".to_owned());
        harness
    }
}

pub(super) fn limit(text: &str) -> Limit {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

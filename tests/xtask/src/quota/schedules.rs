//! Random schedules: eight accounts, each with limits of its own, kills and clocks that are set in between. The service's
//! side counts, and must never have a reason to refuse.

use telecine::{domain::UnixMillis, quota::Limits};

use super::{
    client::{Answers, Client, Way},
    limit,
    server::{Kind, Server},
    side_by_side,
};

pub(super) const ACCOUNTS: u64 = 8;
const FROM: UnixMillis = super::FROM;

/// What was seen of all schedules.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) accepted: u64,
    pub(super) restarts: u64,
    pub(super) steps: u64,
    pub(super) breaches: Vec<String>,
}

pub(super) fn run_case(count: u64, threads: usize) -> Seen {
    let parts = side_by_side((0..count).collect(), threads, |seed| schedule(*seed));
    parts.into_iter().fold(Seen::default(), |mut sum, part| {
        sum.accepted += part.accepted;
        sum.restarts += part.restarts;
        sum.steps += part.steps;
        sum.breaches.extend(part.breaches);
        sum
    })
}

fn schedule(seed: u64) -> Seen {
    let mut seen = Seen::default();
    for account in 0..ACCOUNTS {
        let mut rng = fastrand::Rng::with_seed(seed * ACCOUNTS + account);
        let rate = ["1/min", "1/s", "10/s", "7/10s", "30/min:burst", "5/2s"][rng.usize(0..6)];
        let cap = [None, Some("3/2m"), Some("20/10m"), Some("40/1h")][rng.usize(0..4)];
        let counted: Limits = Limits {
            upload: vec![rate.parse().unwrap_or_else(|error| panic!("{rate}: {error}"))],
            caps: cap.map(|cap| limit(cap).into()).into_iter().collect(),
            ..Limits::default()
        };
        // what is spread out or sent at once keeps a count in any span; a distance is demanded of single ones only
        let kinds: &[Kind] =
            if rate.starts_with("1/") { &Kind::COUNTED } else { &[Kind::SlidingLog, Kind::Acceptances] };
        let kind = kinds[rng.usize(0..kinds.len())];
        let reply_max = [200, 5_000, 30_000][rng.usize(0..3)];
        let server = Server::new(kind, counted.upload[0].limit(), cap.map(limit), 20..=reply_max);
        let period_ms = [120_000, 600_000, 3_600_000][rng.usize(0..3)];
        let way = Way {
            way_ms: 0..=[0, 5, 20][rng.usize(0..3)],
            commit_us: 200..=[1_000, 40_000][rng.usize(0..2)],
            kill_every_ms: Some(rng.i64(period_ms / 20..=period_ms)),
            down_ms: 0..=rng.i64(1..=20_000),
            answers: Answers::Lost,
        };
        let mut client = Client::new(counted, way, server, FROM, rng.u64(..));
        client.steps_ms =
            (0..20).map(|_| [0, 0, 0, 7_200_000, 90_000, 3_000, -600_000][rng.usize(0..7)]).collect();
        let steps = client.steps_ms.len();
        client.run_until(FROM.plus_ms(period_ms));
        seen.accepted += client.seen.accepted;
        seen.restarts += client.seen.kills;
        seen.steps += (steps - client.steps_ms.len()) as u64;
        if client.server.refusals > 0 {
            seen.breaches.push(format!(
                "seed {seed}, account {account}: {} refusals at {rate} under {cap:?} by {kind:?}",
                client.server.refusals
            ));
        }
    }
    seen
}

//! Hostile servers, case by case: every way an answer can be lost, at the first, a middle and the last upload, alone and
//! in pairs; listings that lie for hours; and, over real sockets, redirects and connections that are cut.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use telecine::{
    api::{ApiClient, Verdict, http::HttpTransport},
    clock::Clock,
    domain::{SourceUrl, Submission},
    quota::{LearnedLimits, Limits, Priority, RateLimiter},
    sandbox::{Fault, ListOrder, Policy, ReadFault},
};

use crate::{harness::Harness, state_counts::Part};

const ROWS: usize = 6;
/// The first, a middle and the last upload.
const POSITIONS: [u64; 3] = [1, 3, 6];
/// Every row must be final after this number of runs without faults.
const LIVES_MAX: u32 = 4;

/// One hostile server.
struct Case {
    name: String,
    policy: Policy,
}

/// Every case, in order; the same on every machine.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let faults: Vec<(Fault, &str)> =
        Fault::ALL.iter().copied().filter(|(fault, _)| *fault != Fault::Redirect).collect();
    for (fault, as_str) in &faults {
        for at in POSITIONS {
            let policy = Policy { faults_at: vec![(at, *fault)], ..patient() };
            cases.push(Case { name: format!("{as_str} at upload {at}"), policy });
        }
    }
    for read in ReadFault::ALL {
        for (lost, as_str) in [(Fault::CutAfter, "cut-after"), (Fault::CutBefore, "cut-before")] {
            for at in POSITIONS {
                for order in [ListOrder::NewestFirst, ListOrder::OldestFirst] {
                    let policy = Policy {
                        faults_at: vec![(at, lost)],
                        read_faults: vec![*read],
                        read_fault_share: 1.0,
                        index_delay: Duration::from_hours(5)..=Duration::from_hours(5),
                        order,
                        ..patient()
                    };
                    let name = format!("{as_str} at upload {at}, every listing {read:?}, {order:?}");
                    cases.push(Case { name, policy });
                }
            }
        }
    }
    for (first, one) in &faults {
        for (second, other) in &faults {
            let policy = Policy { faults_at: vec![(2, *first), (4, *second)], ..patient() };
            cases.push(Case { name: format!("{one} at upload 2, {other} at upload 4"), policy });
        }
    }
    cases
}

fn patient() -> Policy {
    Policy { lateness_max: Duration::from_mins(14), ..Policy::default() }
}

/// One case against the mock; numbers past the last repeat the cases with another seed.
pub(crate) fn seed(seed: u64) -> Part {
    let mut part = Part::default();
    let mut cases = cases();
    let count = cases.len() as u64;
    let mut case = cases.swap_remove(usize::try_from(seed % count).unwrap_or(0));
    case.policy.seed = seed / count + 1;
    part.add("cases", 1);
    if let Err(fault) = run_case(&case) {
        part.failures.push(format!("{} (seed {seed}): {fault}", case.name));
    }
    part
}

fn run_case(case: &Case) -> Result<(), String> {
    let mut harness = Harness::new(case.policy.clone(), ROWS);
    harness.policy.concurrency = 3;
    // longer than the quiet time, shorter than the day after which a human is asked
    harness.policy.wait = Some(Duration::from_hours(3));
    harness.run();
    at_most_once(&harness)?;
    harness.service.disable_faults();
    harness.policy.wait = Some(Duration::from_hours(30));
    for _ in 0..LIVES_MAX {
        harness.run();
        at_most_once(&harness)?;
        if harness.counts().indexed == ROWS as u64 {
            return if harness.accepted_counts().len() == ROWS {
                Ok(())
            } else {
                Err("a row is lost".to_owned())
            };
        }
    }
    Err(format!("not settled: {:?}", harness.counts()))
}

fn at_most_once(harness: &Harness) -> Result<(), String> {
    match harness.accepted_counts().into_iter().find(|(_, times)| *times > 1) {
        Some((url, times)) => Err(format!("O1 paid twice: {url} was accepted {times} times")),
        None => Ok(()),
    }
}

/// How a server on a real socket treats a request.
#[derive(Clone, Copy, Debug)]
enum Behaviour {
    /// Sends the client elsewhere.
    Redirects(u16),
    /// Reads the request and closes.
    Cuts,
    /// Closes in the middle of the answer's head.
    CutsHead,
    /// Closes in the middle of the answer's body.
    CutsBody,
}

/// One case over real sockets.
pub(crate) fn wire_seed(seed: u64) -> Part {
    let mut part = Part::default();
    let manners = [
        Behaviour::Redirects(301),
        Behaviour::Redirects(302),
        Behaviour::Redirects(307),
        Behaviour::Redirects(308),
        Behaviour::Cuts,
        Behaviour::CutsHead,
        Behaviour::CutsBody,
    ];
    let behaviour = manners[usize::try_from(seed % manners.len() as u64).unwrap_or(0)];
    part.add("cases", 1);
    if let Err(fault) = exchange(behaviour) {
        part.failures.push(format!("{behaviour:?} (seed {seed}): {fault}"));
    }
    part
}

/// Makes one upload; it must arrive once, at the server it was meant for, and be in doubt.
fn exchange(behaviour: Behaviour) -> Result<(), String> {
    let elsewhere = Server::start(Behaviour::Cuts, None)?;
    let server = Server::start(behaviour, Some(elsewhere.port))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(words)?;
    let verdict = runtime.block_on(async {
        let origin = telecine::settings::credentials::origin(&format!("http://127.0.0.1:{}", server.port))
            .map_err(words)?;
        let key = telecine::settings::credentials::api_key(&telecine::settings::credentials::KeySources {
            variable: Some("sk-mavi-canary".to_owned()),
            ..telecine::settings::credentials::KeySources::default()
        });
        let service = ApiClient::new(HttpTransport::new(&origin, &key.map_err(words)?).map_err(words)?);
        let rng = fastrand::Rng::with_seed(1);
        let limiter = RateLimiter::new(Clock::real(), Limits::default(), &[], LearnedLimits::default(), rng);
        let permit = limiter.permit(Priority::Upload).await;
        Ok::<_, String>(service.upload(permit, &submission()?, None).await)
    })?;
    let (reached, strayed) =
        (server.requests.load(Ordering::SeqCst), elsewhere.requests.load(Ordering::SeqCst));
    if strayed > 0 {
        return Err(format!("{strayed} requests went to another server, with the key"));
    }
    if reached != 1 {
        return Err(format!("{reached} requests arrived instead of one"));
    }
    match verdict {
        Verdict::InDoubt { .. } | Verdict::StopRun { .. } => Ok(()),
        other => Err(format!("the verdict is {other:?}")),
    }
}

fn submission() -> Result<Submission, String> {
    let url = SourceUrl::parse("https://host/a.mp4").map_err(|_| "a good address")?;
    Ok(Submission::new(url, "default".to_owned()))
}

struct Server {
    port: u16,
    requests: Arc<AtomicU64>,
}

impl Server {
    /// Serves on a port of its own until the process ends.
    fn start(behaviour: Behaviour, elsewhere: Option<u16>) -> Result<Self, String> {
        let sink = TcpListener::bind("127.0.0.1:0").map_err(words)?;
        let port = sink.local_addr().map_err(words)?.port();
        let requests = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in sink.incoming().flatten() {
                if read_request(&stream) {
                    counted.fetch_add(1, Ordering::SeqCst);
                    answer(stream, behaviour, elsewhere);
                }
            }
        });
        Ok(Self { port, requests })
    }
}

/// Reads a request to the end of its form; false when none came.
fn read_request(mut stream: &TcpStream) -> bool {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    let is_whole = |text: &[u8]| text.starts_with(b"GET") || text.windows(4).any(|end| end == b"a.mp");
    while !is_whole(&text) {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return !text.is_empty(),
            Ok(length) => text.extend_from_slice(&buffer[..length]),
        }
    }
    true
}

fn answer(mut stream: TcpStream, behaviour: Behaviour, elsewhere: Option<u16>) {
    let text = match behaviour {
        Behaviour::Redirects(status) => format!(
            "HTTP/1.1 {status} Moved\r\nLocation: http://127.0.0.1:{}/serve/api/v1/upload_url\r\nContent-Length: 0\r\n\r\n",
            elsewhere.unwrap_or_default()
        ),
        Behaviour::Cuts => String::new(),
        Behaviour::CutsHead => "HTTP/1.1 200 OK\r\nContent-Le".to_owned(),
        Behaviour::CutsBody => "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"code\":\"0000\"".to_owned(),
    };
    let _ = stream.write_all(text.as_bytes());
    let _ = stream.shutdown(Shutdown::Both);
}

fn words(fault: impl std::fmt::Display) -> String {
    fault.to_string()
}

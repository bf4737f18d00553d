//! A run that is killed in the middle, and the time until the next one works.

use std::{
    fs,
    process::Stdio,
    time::{Duration, Instant},
};

use super::{Bench, median, process::Running, server::Server, table::Target, words};

/// How long a restart is watched.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often the server is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// What a start after a kill took, in seconds.
struct Restart {
    first_request: f64,
    first_upload: f64,
}

/// Kills an import twice, and measures each next start: until its first request, and until its first upload.
pub(super) fn restart(bench: &mut Bench) -> Result<(), String> {
    let twice = bench.repeated(|| kill_twice(bench))?;
    let request = median(&twice, |[once, _]| once.first_request);
    bench.table.figure("after kill -9, start to first request", "s", request, Target::FigureAtMost(1.0));
    // the newest pages are compared first, one a second, and a library of this size fills ten
    let upload = median(&twice, |[once, _]| once.first_upload);
    bench.table.figure("after kill -9, start to first upload", "s", upload, Target::FigureAtMost(15.0));
    let upload = median(&twice, |[_, again]| again.first_upload);
    bench.table.figure("the same, killed again at its first upload", "s", upload, Target::None);
    bench.table.note(format!("A restart is watched for {} s.", PATIENCE.as_secs()));
    Ok(())
}

fn kill_twice(bench: &Bench) -> Result<[Restart; 2], String> {
    let folder = bench.place(bench.rows)?;
    let server = Server::start()?;
    // the listings are as fast as they are unless a flag says otherwise
    let start = || {
        let mut command = bench.import_command(&folder, &server, &["--rate", "20000/s:burst"]);
        Running::start(&mut command, &folder, Stdio::null())
    };
    let mut running = start()?;
    wait_until(|| (server.arrivals().uploads >= bench.rows / 2).then_some(())).ok_or("the import is slow")?;
    let mut restarts = Vec::new();
    for _ in 0..2 {
        running.kill()?;
        server.reset_arrivals();
        running = start()?;
        let started = running.started;
        let since = |seen: Option<Instant>| seen.map_or(PATIENCE, |at| at - started).as_secs_f64();
        restarts.push(Restart {
            first_request: since(wait_until(|| server.arrivals().first)),
            first_upload: since(wait_until(|| server.arrivals().first_upload)),
        });
    }
    running.kill()?;
    let mut markers = server.markers();
    let count = markers.len();
    markers.sort_unstable();
    markers.dedup();
    fs::remove_dir_all(&folder).map_err(words)?;
    if markers.len() < count {
        return Err("a request was sent twice".to_owned());
    }
    restarts.try_into().map_err(|_| "two kills have two restarts".to_owned())
}

/// What is seen within the time that is watched.
fn wait_until<T>(look: impl Fn() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if let Some(seen) = look() {
            return Some(seen);
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
    None
}

//! A run that is killed in the middle, and the time until the next one works.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use super::{Bench, median, process::Running, server::Server, table::Target};

/// How long a restart may take.
const PATIENCE: Duration = Duration::from_mins(3);
/// How often the server is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// Kills an import again and again, and measures each next start: until its first request, and until its first upload.
pub(super) fn restart(bench: &mut Bench) -> Result<(), String> {
    let folder = bench.place(bench.rows)?;
    let server = Server::start()?;
    // the listings are as fast as they are unless a flag says otherwise
    let start = || {
        let mut command = bench.import_command(&folder, &server, &["--rate", "20000/s:burst"]);
        Running::start(&mut command, &folder, Stdio::null())
    };
    let uploads = || server.arrivals().uploads;
    let per_run = (bench.rows / (bench.repeat + 2)).max(1);
    let mut running = start()?;
    wait_until(|| (uploads() >= per_run).then_some(()))?;
    let mut waits = Vec::new();
    for _ in 0..bench.repeat {
        running.kill()?;
        server.reset_arrivals();
        running = start()?;
        let started = running.started;
        let (first, upload) = wait_until(|| {
            let arrivals = server.arrivals();
            arrivals.first.zip(arrivals.first_upload)
        })?;
        waits.push((seconds(first - started), seconds(upload - started)));
        wait_until(|| (uploads() >= per_run).then_some(()))?;
    }
    running.kill()?;
    let mut markers = server.markers();
    let count = markers.len();
    markers.sort_unstable();
    markers.dedup();
    if markers.len() < count {
        return Err("a request was sent twice".to_owned());
    }
    let first = median(&waits, |(first, _)| *first);
    bench.table.figure("after kill -9, start to first request", "s", first, Target::FigureAtMost(1.0));
    let upload = median(&waits, |(_, upload)| *upload);
    bench.table.figure("after kill -9, start to first upload", "s", upload, Target::None);
    let each: Vec<String> = waits.iter().map(|(_, upload)| format!("{upload:.1}")).collect();
    bench.table.note(format!("Start to first upload after each kill in turn: {} s.", each.join(", ")));
    Ok(())
}

const fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

fn wait_until<T>(look: impl Fn() -> Option<T>) -> Result<T, String> {
    let started = Instant::now();
    loop {
        if let Some(seen) = look() {
            return Ok(seen);
        }
        if started.elapsed() > PATIENCE {
            return Err(format!("nothing happened for {} s", PATIENCE.as_secs()));
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
}

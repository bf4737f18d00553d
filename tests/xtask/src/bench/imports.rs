//! Imports against the cheap server: speed, counts, peers, the load into the ledger, and memory.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{
    Bench, CONCURRENCY, FOLDER, median,
    process::{self, Running, Usage},
    server::{Server, UPLOAD_BODY, count_per_second},
    table::{Row, Target},
    words,
};
use telecine::domain::with_separators;

/// No rate of its own slows the import. Listings are as fast as the server, since they are not what is measured.
const UNTHROTTLED: &[&str] = &["--rate", "20000/s:burst", "--list-rate", "100/s", "--no-wait"];
/// Exit codes of a complete import: videos may still be being indexed.
const COMPLETE: &[i32] = &[0, 5];
/// Requests that measure the server itself.
const RAW_REQUESTS: u64 = 100_000;
/// Rows of an import whose syncs are counted, and of the peer that starts a process for every row.
const ROWS_TRACED: u64 = 2_000;
const ROWS_PARALLEL: u64 = 1_000;

/// What an import that was measured did.
pub(super) struct Imported {
    pub(super) per_second: f64,
    pub(super) usage: Usage,
    pub(super) ledger_bytes: u64,
}

/// How many requests a second the server answers.
pub(super) fn ceiling(bench: &mut Bench) -> Result<(), String> {
    let (rate, by) = ceiling_of(bench)?;
    bench.table.figure(format!("the server alone, by {by}"), "uploads/s", rate, Target::None);
    Ok(())
}

fn ceiling_of(bench: &mut Bench) -> Result<(f64, &'static str), String> {
    if let Some(known) = bench.ceiling {
        return Ok(known);
    }
    let server = Server::start()?;
    let is_wrk_there = Command::new("wrk").arg("--version").output().is_ok();
    let by = if is_wrk_there { "wrk" } else { "a loop of the bench" };
    let rates = bench.repeated(|| {
        if is_wrk_there { wrk(bench, &server) } else { server.raw_rate(RAW_REQUESTS, CONCURRENCY) }
    })?;
    let known = (median(&rates, |rate| *rate), by);
    bench.ceiling = Some(known);
    Ok(known)
}

/// The rate that `wrk` reaches.
fn wrk(bench: &Bench, server: &Server) -> Result<f64, String> {
    let script = bench.folder.path().join("upload.lua");
    let text = format!(
        "wrk.method = \"POST\"\nwrk.body = \"{UPLOAD_BODY}\"\n\
         wrk.headers[\"Content-Type\"] = \"application/x-www-form-urlencoded\"\n"
    );
    fs::write(&script, text).map_err(words)?;
    let output = Command::new("wrk")
        .args(["--threads", "1", "--duration", "3s", "--connections", &CONCURRENCY.to_string(), "--script"])
        .arg(&script)
        .arg(format!("{}/serve/api/v1/upload_url", server.origin))
        .output()
        .map_err(words)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let rate = text.lines().find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok());
    rate.ok_or_else(|| format!("wrk printed no rate: {text}"))
}

/// Imports the manifest of a folder, and checks that every row arrived once.
fn import_once(bench: &Bench, folder: &Path, rows: u64) -> Result<Imported, String> {
    let imported = import_into(bench, folder, "l.db", rows)?;
    let ledger_bytes = fs::metadata(folder.join("l.db")).map_err(words)?.len();
    Ok(Imported { ledger_bytes, ..imported })
}

/// The same into a ledger of another place, whose size is not looked at.
pub(super) fn import_into(bench: &Bench, folder: &Path, ledger: &str, rows: u64) -> Result<Imported, String> {
    let server = Server::start()?;
    let mut command = bench.import_into(folder, ledger, &server, UNTHROTTLED);
    let import = Running::start(&mut command, folder, Stdio::null())?;
    let started = import.started;
    let usage = import.end(COMPLETE)?;
    let arrivals = server.arrivals();
    let last = arrivals.last_upload.ok_or("nothing was uploaded")?;
    if arrivals.uploads != rows {
        return Err(format!("{} uploads of {rows} rows", arrivals.uploads));
    }
    Ok(Imported { per_second: count_per_second(rows, last - started), usage, ledger_bytes: 0 })
}

/// A folder with a complete import.
pub(super) fn imported(bench: &mut Bench) -> Result<PathBuf, String> {
    if let Some(folder) = &bench.imported {
        return Ok(folder.clone());
    }
    let folder = bench.place(bench.rows)?;
    import_once(bench, &folder, bench.rows)?;
    bench.imported = Some(folder.clone());
    Ok(folder)
}

/// Imports as fast as the machine allows, every intent and every result durable.
pub(super) fn import(bench: &mut Bench) -> Result<(), String> {
    let (ceiling, by) = ceiling_of(bench)?;
    let imports = imports(bench, bench.rows)?;
    #[expect(clippy::cast_precision_loss, reason = "a figure to print")]
    let per_row = |figure: fn(&Imported) -> f64| median(&imports, figure) / bench.rows as f64;
    let cpu_us = per_row(|import| import.usage.cpu_seconds * 1e6);
    let written = per_row(|import| import.usage.bytes_written);
    #[expect(clippy::cast_precision_loss, reason = "a figure to print")]
    let kept = per_row(|import| import.ledger_bytes as f64);
    let rate = median(&imports, |import| import.per_second);
    bench.import_rate = Some(rate);
    bench.table.add(Row {
        what: "import, from start to last upload".to_owned(),
        unit: "rows/s",
        figure: rate,
        yardstick: Some((format!("the server alone, by {by}"), ceiling)),
        target: Target::AtLeast(0.1),
    });
    bench.table.figure("import, processor time of a row", "µs", cpu_us, Target::None);
    bench.table.figure("import, bytes written for a row", "bytes", written, Target::FigureAtMost(32_768.0));
    bench.table.figure("import, bytes of the ledger for a row", "bytes", kept, Target::FigureAtMost(2_048.0));
    match syncs_per_row(bench)? {
        Some(syncs) => {
            bench.table.figure(
                "import, syncs of the disk for a row",
                "syncs",
                syncs,
                Target::FigureAtMost(0.25),
            );
        }
        None => bench
            .table
            .note("The syncs of an import are not counted: there is no strace, or it may not trace."),
    }
    Ok(())
}

/// The same import again and again, each into a new ledger.
pub(super) fn imports(bench: &Bench, rows: u64) -> Result<Vec<Imported>, String> {
    bench.repeated(|| {
        let folder = bench.place(rows)?;
        let imported = import_once(bench, &folder, rows)?;
        fs::remove_dir_all(&folder).map_err(words)?;
        Ok(imported)
    })
}

/// Syncs of an import for each row: every commit is one. `None`: they cannot be counted here.
fn syncs_per_row(bench: &Bench) -> Result<Option<f64>, String> {
    let folder = bench.place(ROWS_TRACED)?;
    let server = Server::start()?;
    let import = bench.import_command(&folder, &server, UNTHROTTLED);
    let counted = folder.join("syncs.txt");
    let mut command = Command::new("strace");
    command.args(["-f", "--seccomp-bpf", "-qq", "-e", "trace=fsync,fdatasync", "-o"]).arg(&counted);
    command.arg(import.get_program()).args(import.get_args()).current_dir(&folder);
    command.envs(import.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if process::run(&mut command, &folder, COMPLETE).is_err() && server.arrivals().uploads == 0 {
        return Ok(None);
    }
    let text = fs::read_to_string(&counted).map_err(words)?;
    let calls = text.lines().filter(|line| line.contains("sync(") && !line.contains("resumed"));
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    Ok(Some(calls.count() as f64 / server.arrivals().uploads as f64))
}

/// The same manifest by importers of one page: a script that is as careful, one that is not, and a shell.
pub(super) fn peers(bench: &mut Bench) -> Result<(), String> {
    let ours = match bench.import_rate {
        Some(rate) => rate,
        None => median(&imports(bench, bench.rows)?, |import| import.per_second),
    };
    match python_with_aiohttp() {
        Ok(python) => {
            for (way, name, least) in [
                ("safe", "asyncio, aiohttp and SQLite; intent and result durable", 1.0),
                ("naive", "the same; only results, one commit each", 1.0),
            ] {
                let rates = bench.repeated(|| python_peer(bench, &python, way))?;
                let theirs = median(&rates, |rate| *rate);
                compare_with_peer(bench, ours, name, theirs, least);
            }
        }
        Err(why) => bench.table.note(format!("The peers in Python were skipped: {why}")),
    }
    match parallel_is_there() {
        Ok(()) => {
            let rates = bench.repeated(|| parallel_peer(bench))?;
            let theirs = median(&rates, |rate| *rate);
            compare_with_peer(bench, ours, "GNU parallel and curl; a log of jobs", theirs, 5.0);
        }
        Err(why) => bench.table.note(format!("GNU parallel was skipped: {why}")),
    }
    Ok(())
}

fn compare_with_peer(bench: &mut Bench, ours: f64, name: &str, theirs: f64, least: f64) {
    bench.table.add(Row {
        what: "import".to_owned(),
        unit: "rows/s",
        figure: ours,
        yardstick: Some((name.to_owned(), theirs)),
        target: Target::AtLeast(least),
    });
}

/// A Python that has aiohttp, in a folder of its own.
fn python_with_aiohttp() -> Result<PathBuf, String> {
    let environment = fs::canonicalize(FOLDER).map_err(words)?.join("venv");
    let python = environment.join("bin/python");
    let succeeds = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
    let has_it = || succeeds(Command::new(&python).args(["-c", "import aiohttp"]));
    if !has_it() {
        let is_made = succeeds(Command::new("python3").args(["-m", "venv"]).arg(&environment))
            && succeeds(Command::new(&python).args(["-m", "pip", "install", "--quiet", "aiohttp"]));
        if !is_made || !has_it() {
            return Err("aiohttp cannot be installed by python3 -m venv and pip".to_owned());
        }
    }
    Ok(python)
}

/// Rows a second of the importer in `peers.py`.
fn python_peer(bench: &Bench, python: &Path, way: &str) -> Result<f64, String> {
    let folder = bench.place(bench.rows)?;
    let server = Server::start()?;
    let script = folder.join("peers.py");
    fs::write(&script, include_str!("peers.py")).map_err(words)?;
    let mut command = Command::new(python);
    command.arg(&script).arg(way).arg("m.csv").arg(upload_url(&server)).arg("peer.db").current_dir(&folder);
    peer_rate(&mut command, &folder, &server, bench.rows)
}

fn upload_url(server: &Server) -> String {
    format!("{}/serve/api/v1/upload_url", server.origin)
}

fn peer_rate(command: &mut Command, folder: &Path, server: &Server, rows: u64) -> Result<f64, String> {
    let running = Running::start(command, folder, Stdio::null())?;
    let started = running.started;
    running.end(&[0])?;
    let arrivals = server.arrivals();
    if arrivals.uploads != rows {
        return Err(format!("{} uploads of {rows} rows", arrivals.uploads));
    }
    let last = arrivals.last_upload.ok_or("nothing was uploaded")?;
    fs::remove_dir_all(folder).map_err(words)?;
    Ok(count_per_second(rows, last - started))
}

/// Whether GNU parallel and curl are there; parallel is installed where that is allowed.
fn parallel_is_there() -> Result<(), String> {
    let runs = |program: &str, args: &[&str]| {
        Command::new(program).args(args).output().is_ok_and(|output| output.status.success())
    };
    if !runs("curl", &["--version"]) {
        return Err("there is no curl".to_owned());
    }
    let is_root = rustix::process::geteuid().is_root();
    if !runs("parallel", &["--version"]) && is_root {
        runs("apt-get", &["install", "--yes", "parallel"]);
    }
    if runs("parallel", &["--version"]) { Ok(()) } else { Err("it is not installed".to_owned()) }
}

/// Rows a second of one curl for each URL.
fn parallel_peer(bench: &Bench) -> Result<f64, String> {
    let rows = bench.rows.min(ROWS_PARALLEL);
    let folder = bench.place(rows)?;
    let server = Server::start()?;
    let manifest = fs::read_to_string(folder.join("m.csv")).map_err(words)?;
    let urls: Vec<&str> = manifest.lines().skip(1).filter_map(|line| line.split(',').nth(1)).collect();
    fs::write(folder.join("urls.txt"), urls.join("\n")).map_err(words)?;
    let mut command = Command::new("parallel");
    command.args([
        "--jobs",
        &CONCURRENCY.to_string(),
        "--joblog",
        "jobs.log",
        "--arg-file",
        "urls.txt",
        "curl",
    ]);
    command.args(["--silent", "--output", "/dev/null", "--data-urlencode", "url={}", "--data"]);
    command.args(["unique_id=default", &upload_url(&server)]).current_dir(&folder);
    peer_rate(&mut command, &folder, &server, rows)
}

/// Loads the manifest into a new ledger: seconds, and the most memory resident. The rate lets one upload leave.
fn load_once(bench: &Bench) -> Result<(f64, f64), String> {
    let folder = bench.place(bench.rows)?;
    let server = Server::start()?;
    let mut command = bench.import_command(&folder, &server, &["--rate", "1/h"]);
    let mut import = Running::start(&mut command, &folder, Stdio::piped())?;
    let output = import.output().ok_or("no output")?;
    for line in BufReader::new(output).lines() {
        if line.map_err(words)?.contains(r#""event":"manifest_read""#) {
            let seconds = import.started.elapsed().as_secs_f64();
            let peak_mib = import.peak_mib();
            import.kill()?;
            fs::remove_dir_all(&folder).map_err(words)?;
            return Ok((seconds, peak_mib));
        }
    }
    import.end(&[0])?;
    Err("the manifest was not read".to_owned())
}

/// The load into the ledger, beside the import of SQLite's own shell into a table with a unique key.
pub(super) fn load(bench: &mut Bench) -> Result<(), String> {
    let loads = bench.repeated(|| load_once(bench))?;
    let figure = median(&loads, |(seconds, _)| *seconds);
    let is_there = Command::new("sqlite3").arg("--version").output().is_ok();
    let shell = if is_there { Some(bench.repeated(|| load_by_shell(bench))?) } else { None };
    if shell.is_none() {
        bench.table.note("The load was compared with nothing: there is no sqlite3.");
    }
    bench.table.add(Row {
        what: "load into the ledger".to_owned(),
        unit: "s",
        figure,
        yardstick: shell
            .map(|seconds| ("sqlite3 .import, unique key".to_owned(), median(&seconds, |it| *it))),
        target: Target::AtMost(10.0),
    });
    let peak_mib = median(&loads, |(_, peak_mib)| *peak_mib);
    bench.table.figure("load, most memory resident", "MiB", peak_mib, Target::FigureAtMost(96.0));
    Ok(())
}

fn load_by_shell(bench: &Bench) -> Result<f64, String> {
    let folder = bench.place(bench.rows)?;
    let mut command = Command::new("sqlite3");
    command.args([
        "shell.db",
        "PRAGMA journal_mode = WAL",
        "CREATE TABLE item (id, url UNIQUE, tags, latitude, longitude, datetime, camera_model)",
        ".import --csv --skip 1 m.csv item",
    ]);
    let usage = process::run(command.current_dir(&folder), &folder, &[0])?;
    fs::remove_dir_all(&folder).map_err(words)?;
    Ok(usage.seconds)
}

/// The most memory resident during an import, of so many rows and of ten times as many.
pub(super) fn memory(bench: &mut Bench) -> Result<(), String> {
    let peak = |rows: u64| -> Result<f64, String> {
        let folder = bench.place(rows)?;
        let imported = import_once(bench, &folder, rows)?;
        fs::remove_dir_all(&folder).map_err(words)?;
        Ok(imported.usage.peak_mib)
    };
    let (few, many) = (peak(bench.rows)?, peak(bench.rows * 10)?);
    bench.table.add(Row {
        what: format!("import of {} rows, most memory resident", with_separators(bench.rows * 10)),
        unit: "MiB",
        figure: many,
        yardstick: Some((format!("of {} rows", with_separators(bench.rows)), few)),
        target: Target::AtMost(1.5),
    });
    Ok(())
}

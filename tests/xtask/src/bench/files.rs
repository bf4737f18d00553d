//! Commands that read a manifest or a ledger and send nothing.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use super::{
    Bench, imports, median, process,
    table::{Row, Target},
    words,
};

/// Exit codes of a check and of a plan that was made: some rows may not be fit to be sent.
const MADE: &[i32] = &[0, 4];
/// The longest page that a browser opens at once, in kB.
const PAGE_KB_MAX: f64 = 500.0;

const CSV_LOOP: &str = "import csv, sys\nfor row in csv.reader(open(sys.argv[1], newline='')): pass";

/// The interpreter itself: `python3` may be a script that looks for it.
fn python() -> Result<PathBuf, String> {
    let mut command = Command::new("python3");
    let output = command.args(["-c", "import sys; print(sys.executable)"]).output().map_err(words)?;
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

/// `check`, beside a loop that only reads the same file.
pub(super) fn check(bench: &mut Bench) -> Result<(), String> {
    let folder = bench.place(bench.rows)?;
    let usages = bench.repeated(|| check_once(bench, &folder))?;
    let mut command = Command::new(python()?);
    command.args(["-c", CSV_LOOP, "m.csv"]).current_dir(&folder);
    let loops = bench.repeated(|| process::run(&mut command, &folder, &[0]))?;
    bench.table.add(Row {
        what: "check".to_owned(),
        unit: "s",
        figure: median(&usages, |usage| usage.seconds),
        yardstick: Some((
            "Python's csv module, reading only".to_owned(),
            median(&loops, |usage| usage.seconds),
        )),
        target: Target::AtMost(1.0),
    });
    let peak_mib = median(&usages, |usage| usage.peak_mib);
    bench.table.figure("check, most memory resident", "MiB", peak_mib, Target::None);
    Ok(())
}

fn check_once(bench: &Bench, folder: &Path) -> Result<process::Usage, String> {
    process::run(&mut bench.telecine(folder, &["check", "m.csv", "--json"]), folder, MADE)
}

/// `plan` with a cap, beside `check` of the same file.
pub(super) fn plan(bench: &mut Bench) -> Result<(), String> {
    let folder = bench.place(bench.rows)?;
    let args = ["plan", "m.csv", "--ledger", "none.db", "--cap", "120/2h", "--json"];
    let plans = bench.repeated(|| process::run(&mut bench.telecine(&folder, &args), &folder, MADE))?;
    let checks = bench.repeated(|| check_once(bench, &folder))?;
    bench.table.add(Row {
        what: "plan".to_owned(),
        unit: "s",
        figure: median(&plans, |usage| usage.seconds),
        yardstick: Some(("check".to_owned(), median(&checks, |usage| usage.seconds))),
        target: Target::AtMost(2.0),
    });
    Ok(())
}

/// `report --html` of a complete import.
pub(super) fn report(bench: &mut Bench) -> Result<(), String> {
    let folder = imports::imported(bench)?;
    let args = ["report", "--html", "page.html", "--ledger", "l.db"];
    let usages = bench.repeated(|| process::run(&mut bench.telecine(&folder, &args), &folder, &[0]))?;
    let seconds = median(&usages, |usage| usage.seconds);
    bench.table.figure("report --html", "s", seconds, Target::None);
    #[expect(clippy::cast_precision_loss, reason = "a figure to print")]
    let kilobytes = fs::metadata(folder.join("page.html")).map_err(words)?.len() as f64 / 1000.0;
    bench.table.figure("report --html, the page", "kB", kilobytes, Target::FigureAtMost(PAGE_KB_MAX));
    Ok(())
}

/// Commands that a shell or a monitor starts again and again, beside the start of Python.
pub(super) fn startup(bench: &mut Bench) -> Result<(), String> {
    let folder = imports::imported(bench)?;
    let timed = |mut command: Command| -> Result<f64, String> {
        let started = Instant::now();
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().map_err(words)?;
        let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
        if status.success() { Ok(milliseconds) } else { Err(format!("{command:?} ended with {status}")) }
    };
    let interpreter = python()?;
    let python = bench.repeated(|| {
        let mut command = Command::new(&interpreter);
        command.args(["-c", "pass"]);
        timed(command)
    })?;
    let python = median(&python, |milliseconds| *milliseconds);
    for args in [&["--version"][..], &["--help"], &["status", "--ledger", "l.db"]] {
        let starts = bench.repeated(|| timed(bench.telecine(&folder, args)))?;
        bench.table.add(Row {
            what: format!("telecine {}", args.join(" ")),
            unit: "ms",
            figure: median(&starts, |milliseconds| *milliseconds),
            yardstick: Some(("python3 -c pass".to_owned(), python)),
            target: Target::AtMost(1.0),
        });
    }
    Ok(())
}

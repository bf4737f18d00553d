//! How fast `telecine check` reads a manifest, beside a bare loop over the records of the `csv` crate and beside Python's `csv`
//! module doing nothing else; and what memory it takes. Ratios of one run: `cargo bench --bench check [-- ROWS]`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    missing_docs,
    reason = "this is a benchmark"
)]

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Each is run so often; the fastest counts, since noise only ever slows down.
const ROUNDS: usize = 5;

fn main() {
    let rows = std::env::args().skip(1).find_map(|as_str| as_str.parse().ok()).unwrap_or(1_000_000);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.csv");
    write_manifest(&path, rows);
    let bytes = std::fs::metadata(&path).unwrap().len();
    println!(
        "machine: {} cores; manifest: {rows} rows, {bytes} bytes",
        std::thread::available_parallelism().unwrap()
    );
    let (mut bare, mut check, mut python) = (Duration::MAX, Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        bare = bare.min(timed(|| bare_loop(&path, rows)));
        check = check.min(timed(|| assert!(start_check(&path, folder.path()).wait().unwrap().success())));
        python = python.min(timed(|| run_python(&path)));
    }
    // whoever watches takes time, so that is a round of its own
    let peak_kib = watch(start_check(&path, folder.path()));
    let seconds = |duration: Duration| duration.as_secs_f64();
    println!("bare csv loop     {:.2} s", seconds(bare));
    println!("python csv alone  {:.2} s", seconds(python));
    println!(
        "telecine check    {:.2} s: {:.2} of the bare loop's speed, {:.2} of Python's",
        seconds(check),
        seconds(bare) / seconds(check),
        seconds(python) / seconds(check)
    );
    let allowed_kib = 64 * 1024 + rows * 16 / 1024;
    println!(
        "peak memory       {:.1} MiB resident, {:.2} of 64 MiB and 16 bytes a row",
        peak_kib as f64 / 1024.0,
        peak_kib as f64 / allowed_kib as f64
    );
}

fn write_manifest(path: &Path, rows: u64) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    writeln!(file, "url,tags,geo,datetime,camera").unwrap();
    for n in 0..rows {
        writeln!(
            file,
            "https://videos.example.org/archive/{:03}/clip-{n:07}.mp4,\"harbour,fog,night,camera-{},zone {}\",\
             \"{}.{:05},{}.{:05}\",{}-{:02}-{:02} {:02}:{:02}:{:02},Axis Q{}",
            n % 977,
            n % 50,
            n % 9,
            n % 90,
            n % 99_999,
            91 + n % 89,
            n % 99_991,
            1990 + n % 34,
            1 + n % 12,
            1 + n % 28,
            n % 24,
            n % 60,
            n % 59,
            n % 7
        )
        .unwrap();
    }
    file.flush().unwrap();
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

fn bare_loop(path: &Path, rows: u64) {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let mut record = csv::ByteRecord::new();
    let mut count = 0;
    while reader.read_byte_record(&mut record).unwrap() {
        count += 1;
    }
    assert_eq!(count, rows);
}

fn start_check(path: &Path, folder: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_telecine"))
        .args(["check", "--json"])
        .arg(path)
        .current_dir(folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Waits for a process, and tells the most memory it had, in KiB.
fn watch(mut child: Child) -> u64 {
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
        let kib = line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0);
        peak_kib = peak_kib.max(kib);
        std::thread::sleep(Duration::from_millis(5));
    }
    peak_kib
}

fn run_python(path: &Path) {
    let script = "import csv, sys\nfor row in csv.reader(open(sys.argv[1], newline='')): pass";
    assert!(Command::new("python3").args(["-c", script]).arg(path).status().unwrap().success());
}

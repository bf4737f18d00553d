//! The real binary, killed at system calls, fed with errors, and run on disks that fill up; a sandbox in this process
//! knows what it really took.
//!
//! A case: one run with an injected fault (by `strace`), perhaps a second one, then a run in peace. Afterwards each row
//! is at the service at most once, and whatever is there is in the ledger as sent.

mod stage;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use crate::state_counts::Part;

use self::stage::{Mounted, Stage, words};

/// Rows of each run.
const ROWS: usize = 6;

/// System calls a ledger, a socket or a report is made of.
const CALLS: &[&str] = &[
    "pwrite64",
    "fdatasync",
    "fsync",
    "write",
    "writev",
    "sendto",
    "recvfrom",
    "openat",
    "ftruncate",
    "fcntl",
    "unlink",
    "rename",
    "connect",
    "close",
    "mkdir",
    "pread64",
    "futex",
    "epoll_wait",
];

/// What a system call can fail with.
const ERRORS: &[(&str, &[&str])] = &[
    ("pwrite64", &["EIO", "ENOSPC", "EDQUOT", "EROFS"]),
    ("fdatasync", &["EIO", "ENOSPC"]),
    ("fsync", &["EIO", "ENOSPC"]),
    ("pread64", &["EIO"]),
    ("openat", &["EMFILE", "EACCES", "EROFS"]),
    ("ftruncate", &["EIO"]),
    ("fcntl", &["EIO"]),
    ("mkdir", &["ENOSPC"]),
    ("connect", &["ETIMEDOUT", "ECONNREFUSED"]),
    ("sendto", &["ECONNRESET", "EPIPE", "EINTR"]),
    ("writev", &["ECONNRESET", "EPIPE", "EINTR"]),
    ("recvfrom", &["ECONNRESET", "EINTR"]),
    ("rename", &["ENOSPC"]),
    ("unlink", &["EIO"]),
];

/// The highest call of a kind that is hit; a run makes fewer of most.
const NTH_MAX: u64 = 90;

/// A run that takes longer hangs.
const RUN_MAX: &str = "60";

/// One case in this many runs to its end: every row is indexed.
const WHOLE: u64 = 400;

/// The program under test.
static BINARY: OnceLock<PathBuf> = OnceLock::new();

/// The failpoint that is set in the program under test, if it is a copy of this one.
static FAILPOINT: OnceLock<String> = OnceLock::new();

/// Tests a copy of this program, which is also telecine, with a failpoint set.
pub(crate) fn set_failpoint_in_copy(name: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(words)?.keep();
    let copy = folder.join("telecine");
    fs::copy(std::env::current_exe().map_err(words)?, &copy).map_err(words)?;
    let _ = FAILPOINT.set(name.to_owned());
    set_binary(&copy)
}

/// Names the program under test.
pub(crate) fn set_binary(path: &Path) -> Result<(), String> {
    let path = fs::canonicalize(path)
        .map_err(|fault| format!("{}: {fault}; build it first: cargo build --release", path.display()))?;
    let _ = BINARY.set(path);
    Ok(())
}

/// Whether strace can be used here.
pub(crate) fn can_trace() -> Result<(), String> {
    let printed =
        Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    match printed {
        Ok(status) if status.success() => Ok(()),
        _ => Err("strace is not here or may not trace; install it".to_owned()),
    }
}

/// One kill: at a system call of a run, each in its turn, or at a random time; then an undisturbed run.
pub(crate) fn kill_seed(seed: u64) -> Part {
    let mut rng = fastrand::Rng::with_seed(seed);
    let points = points();
    let at_call = |number: u64| {
        let (call, nth) = &points[usize::try_from(number % points.len() as u64).unwrap_or(0)];
        Fault::Traced(format!("{call}:signal=KILL:when={nth}"))
    };
    let mut faults = Vec::new();
    if rng.u8(0..6) == 0 {
        faults.push(Fault::KilledAfter(Duration::from_micros(rng.u64(500..90_000))));
    } else {
        faults.push(at_call(seed));
    }
    // now and then the next run is killed, too
    if rng.u8(0..4) == 0 {
        faults.push(at_call(rng.u64(..)));
    }
    case(seed, &faults, Expect::AnyEnd)
}

/// Every system call of interest of one thread of a run, by name and number; found out by one run in peace.
fn points() -> &'static [(String, u64)] {
    static POINTS: OnceLock<Vec<(String, u64)>> = OnceLock::new();
    POINTS.get_or_init(|| {
        if FAILPOINT.get().is_some() {
            // with a failpoint the program may not end: its writes are enough to see it
            return (1..=300).map(|nth| ("pwrite64".to_owned(), nth)).collect();
        }
        let counted = Stage::new(u64::MAX).and_then(|stage| stage.count_calls());
        counted.unwrap_or_else(|fault| panic!("the calls of a run cannot be counted: {fault}"))
    })
}

/// What befalls a run.
#[derive(Clone, Debug)]
enum Fault {
    /// As `strace` injects it.
    Traced(String),
    /// Killed after so long.
    KilledAfter(Duration),
}

/// One error: a system call fails once, or from then on.
pub(crate) fn error_seed(seed: u64) -> Part {
    let pairs: Vec<(&str, &str)> =
        ERRORS.iter().flat_map(|(call, errors)| errors.iter().map(move |error| (*call, *error))).collect();
    let count = pairs.len() as u64;
    let (call, error) = pairs[usize::try_from(seed % count).unwrap_or(0)];
    let round = seed / count;
    let nth = round / 2 % NTH_MAX + 1;
    // a line that is gone for good is waited for a quarter of an hour: there a burst of three is enough
    let is_network = matches!(call, "connect" | "sendto" | "writev" | "recvfrom");
    let sticky = match (round % 2 == 1, is_network) {
        (false, _) => String::new(),
        (true, true) => format!("..{}", nth + 2),
        (true, false) => "+".to_owned(),
    };
    case(seed, &[Fault::Traced(format!("{call}:error={error}:when={nth}{sticky}"))], Expect::OwnEnd)
}

/// How a run with a fault may end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// Killed, or any way.
    AnyEnd,
    /// By itself, with a documented exit code.
    OwnEnd,
}

fn case(seed: u64, faults: &[Fault], expect: Expect) -> Part {
    let mut part = Part::default();
    if let Err(fault) = run_case(seed, faults, expect, &mut part) {
        part.failures.push(format!("seed {seed} {faults:?}: {fault}"));
    }
    part
}

fn run_case(seed: u64, faults: &[Fault], expect: Expect, part: &mut Part) -> Result<(), String> {
    let stage = Stage::new(seed)?;
    for fault in faults {
        let ended = stage.run(Some(fault), &[])?;
        match ended.code {
            None => part.add("kills", 1),
            Some(_) => part.add("runs the fault did not kill", 1),
        }
        ended.check(expect)?;
        if expect == Expect::OwnEnd {
            part.add("errors", 1);
        }
        stage.check()?;
    }
    let ended = stage.run(None, &[])?;
    ended.check(Expect::OwnEnd)?;
    let open = stage.check()?;
    part.add("requests left in doubt", open.in_doubt);
    if open.pending > 0 {
        return Err(format!("{} rows were not sent by a run in peace: {ended:?}", open.pending));
    }
    if seed.is_multiple_of(WHOLE) {
        let ended = stage.run(None, &["--settle-after", "1s", "--wait", "40s"])?;
        part.add("followed to the end", 1);
        let open = stage.check()?;
        if open.in_doubt + open.pending > 0 && ended.code != Some(6) {
            return Err(format!("not settled in the end: {ended:?}"));
        }
    }
    Ok(())
}

/// One disk that fills up: a run on a disk of some size, then one in peace on a larger one.
pub(crate) fn disk_seed(seed: u64) -> Part {
    let mut part = Part::default();
    // every size in steps of 4 KiB up to 1 MiB, the first few far apart
    let kib = 64 + 4 * (seed * 53 % 240);
    match fill(seed, kib) {
        Ok(was_full) => {
            part.add("disks", 1);
            part.add("disks too small for the run", u64::from(was_full));
        }
        Err(fault) => part.failures.push(format!("seed {seed}, {kib} KiB: {fault}")),
    }
    part
}

/// Whether a disk in memory can be mounted here.
pub(crate) fn can_mount() -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(words)?;
    Mounted::new(folder.path(), 64).map(drop)
}

/// Whether the first disk was too small for its run.
fn fill(seed: u64, kib: u64) -> Result<bool, String> {
    let stage = Stage::new(seed)?;
    let state = stage.folder.path().join("state");
    fs::create_dir(&state).map_err(words)?;
    let disk = Mounted::new(&state, kib)?;
    let ended = stage.run(None, &[])?;
    ended.check(Expect::OwnEnd)?;
    // what was sent must be found in whatever ledger there is, also before anything is freed
    stage.check()?;
    disk.resize(64 * 1024)?;
    let again = stage.run(None, &[])?;
    again.check(Expect::OwnEnd)?;
    let open = stage.check()?;
    if open.pending > 0 {
        return Err(format!("{} rows were not sent with room enough: {again:?}", open.pending));
    }
    // with --no-wait a run that sent everything ends with 5 and says nothing
    Ok(!matches!(ended.code, Some(0 | 5)) || ended.stderr.contains("full"))
}

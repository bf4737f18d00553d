//! `cargo xtask bench`: how fast telecine is, beside what else one would use, on this machine and in one run.
//!
//! Figures depend on the machine and on what else runs there; ratios of one run do so less. Nothing here fails because of a time:
//! counts are guarded by tests.

mod database;
mod files;
mod imports;
mod manifest;
pub(crate) mod process;
mod restart;
mod server;
mod table;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use server::Server;
use table::Table;

/// Measures, and adds lines to the table.
type Measure = fn(&mut Bench) -> Result<(), String>;
/// The benchmarks, in the order in which they run.
const NAMES: &[(&str, Measure)] = &[
    ("ceiling", imports::ceiling),
    ("import", imports::import),
    ("peers", imports::peers),
    ("database", database::database),
    ("load", imports::load),
    ("check", files::check),
    ("plan", files::plan),
    ("report", files::report),
    ("memory", imports::memory),
    ("restart", restart::restart),
    ("startup", files::startup),
];
/// Where everything is made: on the disk of the sources, since a ledger in memory would cost nothing to sync.
const FOLDER: &str = "target/bench";
/// How many requests are in flight, and how many rows unless `--rows` says otherwise.
const CONCURRENCY: u64 = 64;
const ROWS: u64 = 20_000;
const REPEAT: u64 = 5;

/// A run of benchmarks.
struct Bench {
    binary: PathBuf,
    rows: u64,
    repeat: u64,
    folder: tempfile::TempDir,
    table: Table,
    /// Uploads a second that the server takes from a client that does nothing else, and what that client was.
    ceiling: Option<(f64, &'static str)>,
    /// Rows a second of an import, measured once.
    import_rate: Option<f64>,
    /// A folder with a finished import, made once.
    imported: Option<PathBuf>,
}

pub(crate) fn run(mut args: impl Iterator<Item = String>) -> Result<bool, String> {
    let (mut names, mut rows, mut repeat) = (Vec::new(), ROWS, REPEAT);
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|text| text.parse().ok()).filter(|number| *number > 0);
        match arg.as_str() {
            "--rows" => rows = number().ok_or("--rows needs a number")?,
            "--repeat" => repeat = number().ok_or("--repeat needs a number")?,
            name if NAMES.iter().any(|(known, _)| *known == name) => names.push(arg),
            _ => {
                let known: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
                return Err(format!("bench does not know {arg}; there are {}", known.join(", ")));
            }
        }
    }
    let binary = binary()?;
    fs::create_dir_all(FOLDER).map_err(words)?;
    let folder = tempfile::tempdir_in(fs::canonicalize(FOLDER).map_err(words)?).map_err(words)?;
    let mut bench = Bench {
        binary,
        rows,
        repeat,
        folder,
        table: Table::default(),
        ceiling: None,
        import_rate: None,
        imported: None,
    };
    for (name, work) in NAMES {
        if names.is_empty() || names.iter().any(|asked| asked == name) {
            eprintln!("bench {name}");
            work(&mut bench).map_err(|error| format!("{name}: {error}"))?;
        }
    }
    println!("{}", machine()?);
    println!("{rows} rows, medians of {repeat}, {CONCURRENCY} requests in flight\n");
    print!("{}", bench.table);
    Ok(true)
}

/// The program that is measured: a release build, or the one that `TELECINE_BINARY` names.
fn binary() -> Result<PathBuf, String> {
    let path = match std::env::var_os("TELECINE_BINARY") {
        Some(path) => PathBuf::from(path),
        None => {
            let built = Command::new("cargo").args(["build", "--release", "--locked"]).status();
            if !built.map_err(words)?.success() {
                return Err("the release cannot be built".to_owned());
            }
            PathBuf::from("target/release/telecine")
        }
    };
    fs::canonicalize(&path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The machine, as far as figures depend on it.
fn machine() -> Result<String, String> {
    let line = |path: &str, name: &str| -> Result<String, String> {
        let text = fs::read_to_string(path).map_err(words)?;
        let found = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
        Ok(found.map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned()))
    };
    let version = |program: &str| {
        let output = Command::new(program).arg("--version").output().ok();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        text.unwrap_or_else(|| format!("no {program}"))
    };
    let cores = std::thread::available_parallelism().map_err(words)?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").map_err(words)?;
    let load = fs::read_to_string("/proc/loadavg").map_err(words)?;
    Ok(format!(
        "machine: {}, {cores} cores, {} memory, Linux {}, {}, {}; load {}",
        line("/proc/cpuinfo", "model name")?,
        line("/proc/meminfo", "MemTotal")?,
        kernel.trim(),
        version("rustc"),
        version("python3"),
        load.split_whitespace().next().unwrap_or_default(),
    ))
}

impl Bench {
    /// A folder of its own, with a manifest of so many rows.
    fn place(&self, rows: u64) -> Result<PathBuf, String> {
        let folder = tempfile::tempdir_in(self.folder.path()).map_err(words)?.keep();
        manifest::write(&folder.join("m.csv"), rows)?;
        Ok(folder)
    }

    /// A command of telecine in a folder. Its settings, its ledger and its state are in that folder.
    fn telecine(&self, folder: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(args)
            .current_dir(folder)
            .env("XDG_STATE_HOME", folder)
            .env("MEMORIES_API_KEY", "any-key-0");
        command
    }

    /// An import of the manifest in a folder that is slowed by nothing of its own.
    fn import_command(&self, folder: &Path, server: &Server, args: &[&str]) -> Command {
        self.import_into(folder, "l.db", server, args)
    }

    /// The same into a ledger of another place.
    fn import_into(&self, folder: &Path, ledger: &str, server: &Server, args: &[&str]) -> Command {
        let mut command =
            self.telecine(folder, &["import", "m.csv", "--ledger", ledger, "--out-dir", "reports"]);
        command.args(["--json", "--api-url", &server.origin, "-j", &CONCURRENCY.to_string()]).args(args);
        command
    }

    /// So many figures of the same kind.
    fn repeated<T>(&self, mut measure: impl FnMut() -> Result<T, String>) -> Result<Vec<T>, String> {
        (0..self.repeat).map(|_| measure()).collect()
    }
}

/// The middle figure.
fn median<T>(measured: &[T], figure: impl Fn(&T) -> f64) -> f64 {
    let mut figures: Vec<f64> = measured.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

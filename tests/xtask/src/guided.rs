//! `cargo xtask fuzz`: inputs that grow by the code they reach, for the targets of `tests/fuzz`.
//!
//! The fuzzer is libFuzzer, on the stable compiler. Everything it makes is below `target/fuzz`: what is built, seeds, what it has
//! grown (the next run goes on from there), and inputs that failed (the next run tries them first).

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use fuzz_targets::{CHOICES, TARGETS, reader, sources};
use telecine::manifest::{Manifest, ManifestSpec};

use crate::fuzz;

/// The default time of a target, in seconds: deliberate mistakes were found in less.
const SECONDS: u64 = 10;
/// An input that takes longer hangs, in seconds: most take less than a millisecond.
const INPUT_SECONDS_MAX: u64 = 20;
/// A target that takes more memory has failed, in MiB: what an xz or zstd decoder may take at most, twice.
const MEMORY_MAX_MIB: u64 = 512;
/// Longer manifests and videos would only be slower, in bytes.
const FILE_LENGTH_MAX: usize = 8 * 1024;
/// A cell, and a rule, in bytes: room for more tags than may be, or for one that is too long.
const TEXT_LENGTH_MAX: usize = 1024;

/// What makes the stable compiler count the edges of telecine's code, and the comparisons that libFuzzer learns from. The targets
/// are fast, with every check of a debug build.
const FLAGS: &str = "-Copt-level=1 -Ccodegen-units=16 -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Builds the targets and runs them one by one; false when one fails.
pub(crate) fn run(mut args: impl Iterator<Item = String>) -> Result<bool, String> {
    let (mut seconds, mut seed) = (SECONDS, None);
    let mut targets = Vec::new();
    while let Some(arg) = args.next() {
        match TARGETS.iter().find(|target| **target == arg) {
            Some(target) => targets.push(*target),
            None if arg == "--seed" => {
                seed = Some(args.next().and_then(|text| text.parse().ok()).ok_or("--seed needs a number")?);
            }
            None if arg == "--seconds" => {
                let value = args.next().and_then(|text| text.parse().ok());
                seconds = value.filter(|seconds| *seconds > 0).ok_or("--seconds needs a number")?;
            }
            None => return Err(format!("there is no target {arg}; the targets are {}", TARGETS.join(", "))),
        }
    }
    if targets.is_empty() {
        targets.extend(TARGETS);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = root.canonicalize().map_err(|error| error.to_string())?;
    let place = root.join("target/fuzz");
    let binaries = build(&root, &place)?;
    let mut is_good = true;
    for target in targets {
        let with_target = |error: io::Error| format!("{target}: {error}");
        let folders = Folders::make(&place, target).map_err(with_target)?;
        write_seeds(&root.join("tests/data"), target, &folders.seeds).map_err(with_target)?;
        is_good &=
            fuzz_one(&binaries.join(target), target, &folders, (seconds, seed)).map_err(with_target)?;
    }
    Ok(is_good)
}

/// Builds all targets; where they are. Only the crates of this repository get the flags: their packages are those of every other
/// build, which would take minutes to build again.
fn build(root: &Path, place: &Path) -> Result<PathBuf, String> {
    let compiler = compiler(place).map_err(|error| format!("{}: {error}", place.display()))?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .current_dir(root)
        .args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            "fuzz-targets",
            "--bins",
            "--features",
            "libfuzzer",
        ])
        .args(["--target-dir", "target"])
        .env("RUSTC_WORKSPACE_WRAPPER", compiler)
        // else telecine is compiled in hundreds of units
        .env("CARGO_INCREMENTAL", "0")
        .status()
        .map_err(|error| format!("cargo cannot be run: {error}"))?;
    if !built.success() {
        return Err("the fuzz targets cannot be built; they need a C++ compiler".to_owned());
    }
    Ok(root.join("target/debug"))
}

/// A script that is given the compiler and its arguments, and adds the flags.
fn compiler(place: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(place)?;
    let script = place.join("rustc.sh");
    fs::write(&script, format!("#!/bin/sh\nexec \"$@\" {FLAGS}\n"))?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    Ok(script)
}

/// Where the inputs of one target are.
struct Folders {
    seeds: PathBuf,
    grown: PathBuf,
    failed: PathBuf,
    dictionary: PathBuf,
    log: PathBuf,
}

impl Folders {
    fn make(place: &Path, target: &str) -> io::Result<Self> {
        let folder = |kind: &str| {
            let folder = place.join(kind).join(target);
            fs::create_dir_all(&folder).map(|()| folder)
        };
        let (seeds, grown, failed) = (folder("seeds")?, folder("grown")?, folder("failed")?);
        let dictionary = place.join("dictionary");
        let words = fuzz::SPLINTERS.iter().chain(fuzz::WORDS).map(|as_str| {
            let escaped: String = as_str.bytes().map(|byte| format!("\\x{byte:02x}")).collect();
            format!("\"{escaped}\"\n")
        });
        fs::write(&dictionary, words.collect::<String>())?;
        Ok(Self { seeds, grown, failed, dictionary, log: place.join(format!("{target}.log")) })
    }
}

/// Writes the seeds of a target: files of the corpus, their cells, videos, or rules made of the words that mappings are made of.
fn write_seeds(data: &Path, target: &str, seeds: &Path) -> io::Result<()> {
    let files: BTreeSet<Vec<u8>> = if target == "sources" {
        fs::read_dir(data.join("media"))?.map(|entry| fs::read(entry?.path())).collect::<io::Result<_>>()?
    } else {
        fuzz::corpus().iter().map(|(_, bytes)| bytes.clone()).collect()
    };
    let with_defaults = [0; CHOICES];
    let inputs: BTreeSet<Vec<u8>> = match target {
        "reader" => {
            let small = |bytes: &Vec<u8>| bytes.len() + CHOICES <= FILE_LENGTH_MAX;
            let whole =
                files.iter().filter(|bytes| small(bytes)).map(|bytes| [&with_defaults[..], bytes].concat());
            whole.chain(reader::SEEDS.map(<[u8]>::to_vec)).collect()
        }
        "sources" => {
            let videos = files.iter().map(|bytes| [&with_defaults[..], bytes].concat());
            videos.chain(sources::SEEDS.map(<[u8]>::to_vec)).collect()
        }
        "mapping" => {
            // rules, filters, joins and texts
            let forms = |as_str: &str| {
                [
                    format!("tags='{as_str}'+{as_str}"),
                    format!("a{as_str}=b"),
                    format!("m.csv:{as_str}"),
                    as_str.to_owned(),
                ]
            };
            let rules = fuzz::WORDS.iter().flat_map(|as_str| (0_u8..).zip(forms(as_str)));
            rules.map(|(language, rule)| [&[language, 0, 0, 0], rule.as_bytes()].concat()).collect()
        }
        _ => files
            .iter()
            .flat_map(|bytes| cells(bytes))
            .map(|cell| [&with_defaults[..], cell.as_bytes()].concat())
            .collect(),
    };
    for (number, input) in inputs.iter().enumerate() {
        fs::write(seeds.join(number.to_string()), input)?;
    }
    Ok(())
}

/// The cells of all rows that can be read.
fn cells(bytes: &[u8]) -> Vec<String> {
    let mut cells = Vec::new();
    let Ok(file) = tempfile::NamedTempFile::new() else { return cells };
    let path = file.path();
    if fs::write(path, bytes).is_err() {
        return cells;
    }
    let Ok(mut manifest) = Manifest::open(&ManifestSpec::with_defaults(&path.to_string_lossy())) else {
        return cells;
    };
    while let Ok(Some(row)) = manifest.next() {
        cells.extend(row.map_or_else(|error| error.cells, |row| row.cells));
    }
    cells.retain(|cell| cell.len() + CHOICES <= TEXT_LENGTH_MAX);
    cells
}

/// Runs one target, and says in a line what came of it.
fn fuzz_one(
    binary: &Path,
    target: &str,
    folders: &Folders,
    (seconds, seed): (u64, Option<u32>),
) -> io::Result<bool> {
    let is_file = matches!(target, "reader" | "sources");
    let length_max = if is_file { FILE_LENGTH_MAX } else { TEXT_LENGTH_MAX };
    let ended = Command::new(binary)
        .args([&folders.grown, &folders.seeds, &folders.failed])
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
        .arg(format!("-rss_limit_mb={MEMORY_MAX_MIB}"))
        .arg(format!("-max_len={length_max}"))
        .arg(format!("-dict={}", folders.dictionary.display()))
        .arg(format!("-artifact_prefix={}/", folders.failed.display()))
        .args(seed.map(|seed| format!("-seed={seed}")))
        .arg("-print_final_stats=1")
        .stderr(File::create(&folders.log)?)
        .status()?;
    // what it prints may hold any bytes of an input
    let text = String::from_utf8_lossy(&fs::read(&folders.log)?).into_owned();
    let figure = |as_str: &str| {
        let (_, behind) = text.rsplit_once(as_str)?;
        behind.split_whitespace().next().map(str::to_owned)
    };
    let shown = |as_str| figure(as_str).unwrap_or_else(|| "?".to_owned());
    println!(
        "{target}: {} executions, {} a second, coverage {}",
        shown("stat::number_of_executed_units:"),
        shown("stat::average_exec_per_sec:"),
        shown(" cov: ")
    );
    if ended.success() {
        return Ok(true);
    }
    let input = figure("Test unit written to ").unwrap_or_else(|| "none was kept".to_owned());
    println!("{target}: FAILED ({ended}), the input is {input}");
    let from = text.find("panicked at").or_else(|| text.find("ERROR: libFuzzer")).unwrap_or_default();
    for line in text[from..].lines().take(FAULT_LINES) {
        println!("  {line}");
    }
    println!("  more in {}", folders.log.display());
    Ok(false)
}

/// So much of what a target says at its end is shown: where it panicked, and both sides of what should be equal.
const FAULT_LINES: usize = 4;

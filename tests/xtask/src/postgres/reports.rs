//! The same imports with a ledger in a file and with one in a database: what they report is the same, but for times, names and
//! numbers that are given at random.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::{Amount, cluster::Cluster, words};
use crate::{
    program::{Sandbox, Telecine, finish},
    state_counts::Part,
};

/// The account of every import.
const KEY: &str = "reports-key";
/// What every import meets: an answer that is lost, and one that says to come again later.
const SERVICE: &[&str] = &["--faults-at", "3:cut-after,6:busy"];
/// Digits of a number that the service gives at random.
const RANDOM_DIGITS: usize = 15;

/// The manifest of the first import: good rows, bad ones, and the same address twice.
const FIRST: &str = "url,tags,lat,lon\nhttps://h/a.mp4,\"fog, sea\",52.5,13.4\nhttps://h/b.mp4,,,\nhttps://h/a.mp4,twice,,\n\
                     not-a-url,x,,\nhttps://h/c.mp4,x,95,13\nhttps://h/d.mp4,x,,\nhttps://h/e.mp4,x,,\nhttps://h/f.mp4,x,,\n";
/// What the second import adds, and the row that it changes.
const ADDED: &str = "https://h/g.mp4,new,,\nhttps://h/h.mp4,new,,\nftp://h/i.mp4,,,\n";
const CHANGED: (&str, &str) = ("https://h/b.mp4,,,", "https://h/b.mp4,changed,,");

/// Reports of two imports, by file: the text of each, made comparable.
type Reports = BTreeMap<String, String>;

pub(super) fn run(telecine: &Telecine, amount: &Amount) -> Result<Part, String> {
    let cluster = Cluster::new()?;
    let database = format!("postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable", cluster.port);
    let seed = amount.seed.to_string();
    let (mut of_file, mut of_database) = (Reports::new(), Reports::new());
    // every video is indexed, or every one fails: which of several fails depends on when they are looked at
    for (schema, fail_share) in [("indexed", "0"), ("failed", "1")] {
        let service = [SERVICE, &["--seed", &seed, "--fail-share", fail_share]].concat();
        of_file.extend(reports(telecine, "l.db", schema, &service)?);
        of_database.extend(reports(telecine, &format!("{database}&schema={schema}"), schema, &service)?);
    }
    let mut part = Part::default();
    let names: Vec<&String> = of_file.keys().chain(of_database.keys()).collect();
    for name in names.into_iter().collect::<std::collections::BTreeSet<_>>() {
        part.add("files compared", 1);
        let (file, database) = (of_file.get(name), of_database.get(name));
        if file != database {
            part.failures.push(format!("{name}: {}", difference(file, database)));
        }
    }
    if part.failures.is_empty() && of_file.len() < 20 {
        part.failures.push(format!("only {} files were written: {:?}", of_file.len(), of_file.keys()));
    }
    Ok(part)
}

/// Imports twice, and reads what was reported.
fn reports(telecine: &Telecine, ledger: &str, case: &str, service: &[&str]) -> Result<Reports, String> {
    let sandbox = Sandbox::start(telecine, service)?;
    let folder = tempfile::tempdir().map_err(words)?;
    let mut reports = Reports::new();
    let second = FIRST.replace(CHANGED.0, CHANGED.1) + ADDED;
    for (import, manifest) in [("first", FIRST), ("second", second.as_str())] {
        fs::write(folder.path().join("m.csv"), manifest).map_err(words)?;
        let mut command = telecine.command(folder.path(), "machine", KEY);
        command.args(["import", "m.csv", "--ledger", ledger, "--out-dir", import, "--concurrency", "1"]);
        command.args([
            "--api-url",
            &sandbox.url,
            "--rate",
            "20/s",
            "--list-rate",
            "50/s",
            "--get-rate",
            "50/s",
        ]);
        command.args(["--settle-after", "1s", "--wait", "8s", "--disk-reserve", "0"]);
        let ended = finish(&command)?;
        let report = only_folder(&folder.path().join(import))?;
        let run = report.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let known = [
            (run, "RUN"),
            (folder.path().join(ledger).display().to_string(), "LEDGER"),
            (format!("'{ledger}'"), "LEDGER"),
            (ledger.to_owned(), "LEDGER"),
            (folder.path().display().to_string(), "FOLDER"),
            (sandbox.url.clone(), "SERVICE"),
        ];
        reports.insert(format!("{case}, {import}: the exit code"), format!("{:?}", ended.code));
        for file in fs::read_dir(&report).map_err(words)? {
            let path = file.map_err(words)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).map_err(words)?;
            reports.insert(format!("{case}, {import}: {name}"), comparable(&text, &known));
        }
    }
    Ok(reports)
}

fn only_folder(folder: &Path) -> Result<PathBuf, String> {
    let mut folders = fs::read_dir(folder).map_err(words)?;
    let first = folders.next().ok_or_else(|| format!("{} is empty", folder.display()))?;
    Ok(first.map_err(words)?.path())
}

/// Without durations and times, and with the names of `known` for what each import has of its own.
fn comparable(text: &str, known: &[(String, &str)]) -> String {
    let mut text = text.to_owned();
    for (own, name) in known {
        text = text.replace(own, name);
    }
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("\"seconds\""));
    lines.map(masked).collect::<Vec<_>>().join("\n")
}

/// A line whose times and random numbers are masked.
fn masked(line: &str) -> String {
    let mut masked = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(|letter: char| letter.is_ascii_digit()) {
        masked.push_str(&rest[..at]);
        rest = &rest[at..];
        let number = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        let time = rest.find(|letter: char| !"0123456789-:.TZ".contains(letter)).unwrap_or(rest.len());
        if number >= RANDOM_DIGITS {
            masked.push_str("NUMBER");
            rest = &rest[number..];
        } else if rest[..time].contains('T') && rest[..time].ends_with('Z') {
            masked.push_str("TIME");
            rest = &rest[time..];
        } else {
            masked.push_str(&rest[..number]);
            rest = &rest[number..];
        }
    }
    masked + rest
}

/// The first line that is not the same.
fn difference(file: Option<&String>, database: Option<&String>) -> String {
    let (Some(file), Some(database)) = (file, database) else {
        return format!("in a file {}, in a database {}", file.is_some(), database.is_some());
    };
    let mut lines = file.lines().zip(database.lines());
    lines.find(|(file, database)| file != database).map_or_else(
        || format!("{} and {} lines", file.lines().count(), database.lines().count()),
        |(file, database)| format!("in a file {file:?}, in a database {database:?}"),
    )
}

//! What the proofs came to, summed over all parts: kept as JSON, shown as a page.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path, process::Command};

use serde_json::{Value, json};

const STORE: &str = "docs/reliability-card.json";
const PAGE: &str = "docs/reliability-card.md";

/// Counts of one part of one suite.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) counts: BTreeMap<&'static str, u64>,
    pub(crate) failures: Vec<String>,
}

impl Part {
    pub(crate) fn add(&mut self, what: &'static str, count: u64) {
        *self.counts.entry(what).or_default() += count;
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (what, count) in other.counts {
            self.add(what, count);
        }
        self.failures.extend(other.failures);
    }
}

/// The version the figures are of.
pub(crate) fn commit() -> String {
    let printed = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output();
    let dirty = Command::new("git").args(["status", "--porcelain", "--", "src"]).output();
    let text = |output: std::io::Result<std::process::Output>| {
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
    };
    let mark = if text(dirty).is_empty() { "" } else { "+" };
    format!("{}{mark}", text(printed))
}

/// Adds a part to the record, and rewrites the card.
pub(crate) fn record(suite: &str, part: &Part, commit: &str, seconds: u64) -> Result<(), String> {
    let words = |error: std::io::Error| format!("{STORE}: {error}");
    let mut store: Value = match fs::read_to_string(STORE) {
        Ok(text) => serde_json::from_str(&text).map_err(|error| format!("{STORE}: {error}"))?,
        Err(_) => json!({ "suites": {} }),
    };
    let entry = &mut store["suites"][suite];
    if entry.is_null() {
        *entry = json!({ "counts": {}, "failures": 0, "seconds": 0, "commits": [] });
    }
    for (what, count) in &part.counts {
        let known = entry["counts"][*what].as_u64().unwrap_or(0);
        entry["counts"][*what] = json!(known + count);
    }
    entry["failures"] = json!(entry["failures"].as_u64().unwrap_or(0) + part.failures.len() as u64);
    entry["seconds"] = json!(entry["seconds"].as_u64().unwrap_or(0) + seconds);
    if let Some(commits) = entry["commits"].as_array_mut()
        && commits.last().and_then(Value::as_str) != Some(commit)
    {
        commits.push(json!(commit));
    }
    let text = serde_json::to_string_pretty(&store).map_err(|error| error.to_string())?;
    fs::write(STORE, text + "\n").map_err(words)?;
    fs::write(PAGE, page(&store)).map_err(words)
}

fn page(store: &Value) -> String {
    let mut text = fs::read_to_string(Path::new("tests/xtask/card-head.md")).unwrap_or_default();
    text.push_str("\n| suite | figures | failures | time | versions |\n|---|---|---|---|---|\n");
    let Some(suites) = store["suites"].as_object() else { return text };
    for (suite, entry) in suites {
        let figures: Vec<String> = entry["counts"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(what, count)| figure(what, count.as_u64().unwrap_or(0)))
            .collect();
        let commits: Vec<&str> =
            entry["commits"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let minutes = entry["seconds"].as_u64().unwrap_or(0).div_ceil(60);
        let _ = writeln!(
            text,
            "| {suite} | {} | {} | {minutes} min | {} |",
            figures.join(", "),
            entry["failures"],
            commits.join(", ")
        );
    }
    text
}

fn figure(what: &str, count: u64) -> String {
    match what {
        "virtual seconds" => format!("{} virtual hours", with_separators(count / 3_600)),
        _ => format!("{} {what}", with_separators(count)),
    }
}

fn with_separators(number: u64) -> String {
    telecine::report::with_separators(number)
}

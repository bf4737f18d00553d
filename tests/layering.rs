//! Who may look into which room: reads the sources and fails when the house's rules are broken.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "this is a test")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Every source file below `src`, with its text up to its unit tests.
fn sources() -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    collect(Path::new("src"), &mut found);
    assert!(found.len() > 40, "the sources were not found");
    found
}

fn collect(folder: &Path, found: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.ends_with("tests") {
            continue;
        }
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("tests.rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned();
            found.insert(path, code);
        }
    }
}

/// The room a file is in: its folder or file below `src`.
fn room(path: &Path) -> String {
    let inside = path.strip_prefix("src").unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// The rooms a text names: `crate::room` and the parts of `use crate::{...}`.
fn rooms_named(text: &str) -> Vec<String> {
    let mut named = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("crate::") {
        rest = &rest[at + "crate::".len()..];
        if let Some(inner) = rest.strip_prefix('{') {
            named.extend(parts_of_group(inner).iter().map(|part| first_word(part)));
        } else {
            named.push(first_word(rest));
        }
    }
    named.retain(|name| name.chars().next().is_some_and(char::is_lowercase));
    named.sort();
    named.dedup();
    named
}

/// The parts of `a::b, c::{d, e}}...`, up to the brace that closes the group.
fn parts_of_group(inner: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 1;
    for c in inner.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if c == ',' && depth == 1 {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts
}

fn first_word(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

const FOUNDATIONS: &[&str] = &[
    "item",
    "blocking",
    "lifecycle",
    "limit",
    "retry",
    "clock",
    "monitor",
    "redact",
    "spreadsheet",
    "ending",
    "planted",
    "price",
    "http_client",
];

/// What each room may name beside itself and the foundations.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("main", &[]),
    ("lib", &[]),
    (
        "cli",
        &[
            "config",
            "error",
            "telemetry",
            "manifest",
            "ledger",
            "quota",
            "service",
            "probe",
            "pipeline",
            "sandbox",
            "report",
        ],
    ),
    ("config", &["error"]),
    ("error", &["ledger", "manifest", "service"]),
    ("telemetry", &[]),
    ("manifest", &[]),
    ("ledger", &[]),
    ("quota", &[]),
    ("service", &["quota"]),
    ("probe", &[]),
    ("pipeline", &["manifest", "ledger", "quota", "service", "probe"]),
    ("sandbox", &["service"]),
    ("report", &["ledger", "error"]),
];

#[test]
fn no_room_looks_where_it_may_not() {
    for (path, text) in sources() {
        let room = room(&path);
        let allowed: Vec<&str> = if FOUNDATIONS.contains(&room.as_str()) {
            FOUNDATIONS.to_vec()
        } else {
            let (_, rooms) = MAY_NAME
                .iter()
                .find(|(name, _)| *name == room)
                .unwrap_or_else(|| panic!("{room} is no room of the house"));
            FOUNDATIONS.iter().chain(*rooms).copied().collect()
        };
        for named in rooms_named(&text) {
            assert!(
                named == room || allowed.contains(&named.as_str()),
                "{}: {room} may not look into {named}",
                path.display()
            );
        }
    }
}

#[test]
fn stages_do_not_know_each_other() {
    let stages = ["ingest", "upload", "doubt", "poll", "scout"];
    for (path, text) in sources().into_iter().filter(|(path, _)| room(path) == "pipeline") {
        let own = path
            .components()
            .nth(2)
            .unwrap()
            .as_os_str()
            .to_string_lossy()
            .trim_end_matches(".rs")
            .to_owned();
        if own == "mod" {
            continue;
        }
        for stage in stages.iter().filter(|stage| **stage != own) {
            for way in [format!("super::{stage}"), format!("pipeline::{stage}")] {
                assert!(!text.contains(&way), "{}: {own} knows {stage}", path.display());
            }
        }
    }
}

/// Outside crates, and the only places that may name them.
const DOORS: &[(&str, &[&str])] = &[
    ("rusqlite", &["src/ledger/"]),
    ("reqwest", &["src/service/http.rs", "src/probe/http.rs", "src/http_client.rs"]),
    ("mp4_atom", &["src/probe/container/mp4.rs"]),
    ("matroska_demuxer", &["src/probe/container/matroska.rs"]),
    ("mpeg2ts", &["src/probe/container/transport.rs"]),
    ("m3u8_rs", &["src/probe/playlist.rs"]),
    ("infer::", &["src/probe/container/"]),
    ("governor", &["src/quota/"]),
    ("clap", &["src/cli/"]),
    ("csv_core", &["src/manifest/"]),
    ("csv::", &["src/report/"]),
    ("glob::", &["src/cli/"]),
    ("percent_encoding", &["src/manifest/"]),
    ("flate2", &["src/manifest/unpack.rs"]),
    ("zstd", &["src/manifest/unpack.rs"]),
    ("bzip2", &["src/manifest/unpack.rs"]),
    ("liblzma", &["src/manifest/unpack.rs"]),
    ("encoding_rs", &["src/manifest/"]),
    ("tracing_subscriber", &["src/telemetry.rs"]),
    ("axum", &["src/sandbox/server.rs"]),
    ("hyper", &["src/sandbox/server.rs"]),
    ("indicatif", &["src/cli/"]),
    ("tempfile", &["src/cli/"]),
    ("toml::", &["src/cli/settings/"]),
    ("secrecy", &["src/config.rs", "src/service/http.rs", "src/cli/run.rs"]),
    ("getrandom", &["src/config.rs"]),
    ("println!", &[]),
    ("SystemTime", &["src/clock.rs"]),
    ("std::process::exit", &["src/cli/stop.rs"]),
    ("std::env::", &["src/cli/"]),
];

#[test]
fn each_outside_crate_has_one_door() {
    for (path, text) in sources() {
        let code: String =
            text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        for (outside, doors) in DOORS {
            let named = code.contains(&format!("use {outside}"))
                || code.contains(&format!(" {outside}"))
                || code.contains(&format!("({outside}"))
                || code.contains(&format!("<{outside}"));
            let shown = path.display().to_string();
            assert!(
                !named || doors.iter().any(|door| shown.starts_with(door)),
                "{shown} names {outside}, whose door is {doors:?}"
            );
        }
    }
}

#[test]
fn the_ledger_has_no_clock_and_no_dice() {
    for (path, text) in sources().into_iter().filter(|(path, _)| room(path) == "ledger") {
        for outside in ["crate::clock", "clock::Clock", "fastrand", "Instant"] {
            assert!(!text.contains(outside), "{} names {outside}", path.display());
        }
    }
}

#[test]
fn the_street_door_is_narrow_and_every_file_has_its_caption() {
    for (path, text) in sources() {
        if path.ends_with("main.rs") {
            assert!(text.lines().count() <= 40, "main.rs has grown");
        }
        assert!(text.starts_with("//! "), "{} has no caption", path.display());
        assert!(text.lines().count() <= 620, "{} is crowded", path.display());
    }
}

#[test]
fn nothing_is_left_unfinished() {
    for (path, text) in sources() {
        for mark in ["todo!(", "unimplemented!(", "FIXME", "XXX", "dbg!("] {
            assert!(!text.contains(mark), "{}: {mark}", path.display());
        }
    }
}

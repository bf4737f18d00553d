//! The rules of ARCHITECTURE.md that the compiler does not check: reads the sources and fails when one is broken.

mod sources;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use self::sources::{files, module, named_paths, own_path, sources};

/// Modules that every other one may import. They import only each other.
const SHARED: &[&str] = &[
    "blocking",
    "clock",
    "csv_injection",
    "domain",
    "events",
    "http_client",
    "http_server",
    "local_file",
    "output_file",
    "redact",
    "retry",
    "suggest",
];

/// What each other module may import beside itself and the shared ones.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("main", &[]),
    ("lib", &[]),
    (
        "cli",
        &[
            "api",
            "app",
            "bucket",
            "error",
            "ledger",
            "manifest",
            "pipeline",
            "probe",
            "quota",
            "report",
            "sandbox",
            "settings",
            "telemetry",
        ],
    ),
    (
        "app",
        &[
            "api", "bucket", "error", "ledger", "manifest", "pipeline", "probe", "quota", "report",
            "sandbox", "settings",
        ],
    ),
    ("settings", &["error"]),
    ("error", &["api", "ledger", "manifest"]),
    ("bucket", &[]),
    ("telemetry", &[]),
    ("manifest", &[]),
    ("ledger", &[]),
    ("quota", &[]),
    ("api", &["quota"]),
    ("probe", &[]),
    ("pipeline", &["api", "bucket", "ledger", "manifest", "probe", "quota"]),
    ("sandbox", &["api"]),
    ("report", &["error", "ledger"]),
];

#[test]
fn a_module_imports_only_what_it_may() {
    for (path, text) in sources() {
        let own = module(&path);
        let allowed: Vec<&str> = if SHARED.contains(&own.as_str()) {
            SHARED.to_vec()
        } else {
            let found = MAY_IMPORT.iter().find(|(name, _)| *name == own);
            let (_, modules) = found.unwrap_or_else(|| panic!("{own} is in no table"));
            SHARED.iter().chain(*modules).copied().collect()
        };
        for named in named_paths(&path, &text) {
            let named = &named[0];
            let is_module = named.chars().next().is_some_and(char::is_lowercase);
            assert!(
                !is_module || *named == own || allowed.contains(&named.as_str()),
                "{}: {own} may not import {named}",
                path.display()
            );
        }
    }
}

#[test]
fn a_stage_of_the_pipeline_does_not_know_another() {
    let stages = ["ingest", "upload", "reconcile", "poll", "probe", "preflight"];
    for (path, text) in sources().into_iter().filter(|(path, _)| module(path) == "pipeline") {
        let own = own_path(&path).get(1).cloned().unwrap_or_default();
        if !stages.contains(&own.as_str()) {
            continue;
        }
        for named in named_paths(&path, &text).into_iter().filter(|named| named[0] == "pipeline") {
            let other = named.get(1).map_or("", String::as_str);
            assert!(
                other == own || !stages.contains(&other),
                "{}: the stage {own} knows {other}",
                path.display()
            );
        }
    }
}

#[test]
fn no_command_imports_another() {
    for (path, text) in sources().into_iter().filter(|(path, _)| path.starts_with("src/cli/commands")) {
        let own = own_path(&path).get(2).cloned().unwrap_or_default();
        for named in named_paths(&path, &text).into_iter().filter(|named| named.len() > 2) {
            let is_other = named[..2] == ["cli", "commands"] && named[2] != own && !own.is_empty();
            assert!(!is_other, "{}: the command {own} imports {}", path.display(), named[2]);
        }
    }
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let sources = sources();
    let files: BTreeMap<Vec<String>, &PathBuf> = sources.keys().map(|path| (own_path(path), path)).collect();
    let mut imports: BTreeMap<Vec<String>, BTreeSet<Vec<String>>> = BTreeMap::new();
    for (path, text) in &sources {
        let own = own_path(path);
        for named in named_paths(path, text) {
            // the longest beginning of the path that is a file; a folder's own file only lists what is below it
            let target =
                (1..=named.len()).rev().map(|len| named[..len].to_vec()).find(|at| files.contains_key(at));
            if let Some(target) = target.filter(|target| *target != own && !own.starts_with(target)) {
                imports.entry(own.clone()).or_default().insert(target);
            }
        }
    }
    for start in imports.keys() {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&Vec<String>> = imports[start].iter().collect();
        while let Some(at) = open.pop() {
            assert!(at != start, "{} imports itself by way of others", start.join("::"));
            if seen.insert(at) {
                open.extend(imports.get(at).into_iter().flatten());
            }
        }
    }
}

/// Outside crates, and the only places that may name them.
const HOMES: &[(&str, &[&str])] = &[
    ("rusqlite", &["src/ledger/"]),
    ("tokio_postgres", &["src/ledger/sql/postgres/"]),
    ("reqwest", &["src/api/http.rs", "src/probe/http.rs", "src/http_client.rs", "src/bucket/http.rs"]),
    ("prometheus_client", &["src/app/metrics.rs"]),
    ("sd_notify", &["src/cli/"]),
    ("mp4_atom", &["src/probe/container/mp4.rs", "src/probe/recording.rs"]),
    ("matroska_demuxer", &["src/probe/container/matroska.rs"]),
    ("mpeg2ts", &["src/probe/container/transport.rs"]),
    ("m3u8_rs", &["src/probe/playlist.rs"]),
    // the module of manifests that proposes mappings has the same name
    ("infer::", &["src/probe/container/", "src/manifest/"]),
    ("clap::", &["src/cli/", "src/settings/"]),
    ("clap_complete", &["src/cli/commands/completions.rs"]),
    ("clap_mangen", &["src/cli/commands/man.rs"]),
    ("csv_core", &["src/manifest/"]),
    (
        "calamine",
        &["src/manifest/records/cells.rs", "src/manifest/records/links.rs", "src/manifest/records/sheet.rs"],
    ),
    ("quick_xml", &["src/bucket/xml.rs"]),
    ("zip::", &["src/manifest/records/sheet.rs"]),
    ("chardetng", &["src/manifest/dialect.rs"]),
    ("hashbrown", &["src/manifest/dedup.rs"]),
    ("rayon", &["src/manifest/workers.rs"]),
    ("csv::", &["src/report/", "src/manifest/listed/mod.rs"]),
    ("glob::", &["src/cli/", "src/settings/"]),
    ("html_escape", &["src/manifest/mapping/"]),
    ("maud", &["src/report/html/"]),
    ("ring::", &["src/report/html/page.rs", "src/bucket/", "src/ledger/callback_key.rs"]),
    ("base64", &["src/report/html/page.rs", "src/bucket/azure.rs"]),
    ("percent_encoding", &["src/manifest/", "src/bucket/", "src/domain/file_address.rs"]),
    ("flate2", &["src/manifest/decompress.rs"]),
    ("zstd", &["src/manifest/decompress.rs"]),
    ("bzip2", &["src/manifest/decompress.rs"]),
    ("liblzma", &["src/manifest/decompress.rs"]),
    ("encoding_rs", &["src/manifest/"]),
    ("tracing_subscriber", &["src/telemetry.rs"]),
    (
        "axum",
        &[
            "src/http_server.rs",
            "src/sandbox/server.rs",
            "src/app/callbacks/server.rs",
            "src/app/dashboard/server.rs",
        ],
    ),
    ("hyper::", &["src/http_server.rs", "src/api/streamed_body.rs"]),
    ("indicatif", &["src/cli/", "src/domain/count.rs"]),
    ("tempfile", &["src/app/", "src/ledger/registry.rs", "src/output_file.rs", "src/report/files.rs"]),
    ("toml::", &["src/settings/"]),
    (
        "secrecy",
        &[
            "src/settings/",
            "src/api/http.rs",
            "src/app/run.rs",
            "src/app/adoption.rs",
            "src/bucket/",
            "src/cli/args/",
        ],
    ),
    ("getrandom", &["src/settings/"]),
    ("println!", &[]),
    ("stdout()", &["src/cli/"]),
    ("stderr()", &["src/cli/"]),
    ("SystemTime", &["src/clock.rs"]),
    ("std::process::exit", &["src/cli/signals.rs"]),
    ("std::env::", &["src/cli/", "src/app/run.rs", "src/app/clock.rs"]),
    ("new_multi_thread", &["src/cli/"]),
    ("new_current_thread", &["src/cli/", "src/app/plan.rs", "src/ledger/sql/postgres/worker.rs"]),
];

#[test]
fn no_digest_is_made_of_debug_formats() {
    for (path, text) in sources() {
        // what such a format shows is no promise of any type
        let hashes = text.contains("blake3::") || text.contains("digest_of(");
        let debug = text.lines().find(|line| line.contains(":?}") && !line.contains("//"));
        assert!(!hashes || debug.is_none(), "{}: {debug:?}", path.display());
    }
}

#[test]
fn each_outside_crate_has_one_home_and_nothing_outside_cli_prints() {
    for (path, text) in sources() {
        let code: String =
            text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        for (outside, homes) in HOMES {
            // nearly every file names none of them
            if !code.contains(outside) {
                continue;
            }
            let named = [" ", "(", "<", "use ", "io::", "::"].iter().any(|before| {
                (*before != "::" || outside.starts_with("new_"))
                    && code.contains(&format!("{before}{outside}"))
            });
            let shown = path.display().to_string();
            assert!(
                !named || homes.iter().any(|home| shown.starts_with(home)),
                "{shown} names {outside}, whose home is {homes:?}"
            );
        }
    }
}

#[test]
fn the_ledger_has_no_clock_and_no_random_numbers() {
    // a lease lasts in real time, also where that of a run is virtual
    let is_lease = |path: &Path| path.starts_with("src/ledger/sql/postgres");
    for (path, text) in sources().into_iter().filter(|(path, _)| module(path) == "ledger" && !is_lease(path))
    {
        for outside in ["crate::clock", "clock::Clock", "fastrand", "Instant"] {
            assert!(!text.contains(outside), "{} names {outside}", path.display());
        }
    }
}

/// Lines of a file at most, with its tests.
const LINES_MAX: usize = 450;

#[test]
fn every_file_says_what_it_is_for_and_is_about_one_thing() {
    for (path, text) in files(&["src", "tests"]) {
        // a binary of its own may begin with attributes
        let is_said = text.starts_with("//! ") || text.starts_with("#![");
        assert!(is_said, "{} does not say what it is for", path.display());
        let lines = text.lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines", path.display());
    }
}

#[test]
fn every_public_function_type_and_trait_has_a_comment() {
    let mut found = Vec::new();
    for (path, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let is_public =
                ["pub fn ", "pub async fn ", "pub const fn ", "pub struct ", "pub enum ", "pub trait "]
                    .iter()
                    .any(|start| line.trim_start().starts_with(start));
            let mut above = at;
            while above > 0 && {
                let before = lines[above - 1].trim();
                before.starts_with("#[")
                    || before.ends_with(")]")
                    || before.starts_with("reason = ")
                    || before.ends_with(',') && !before.starts_with("///")
            } {
                above -= 1;
            }
            let has_comment = above > 0 && lines[above - 1].trim_start().starts_with("///");
            // a macro passes the comment on
            if is_public && !has_comment && !line.contains('$') {
                found.push(format!("{}:{}: no comment above {line}", path.display(), at + 1));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_type_name_is_defined_twice() {
    let mut found = Vec::new();
    let mut defined: BTreeMap<String, PathBuf> = BTreeMap::new();
    for (path, text) in sources() {
        // associated types are named by their traits
        let is_associated = |line: &&str| line.starts_with(' ') && line.trim_start().starts_with("type ");
        for line in text.lines().filter(|line| !is_associated(line)) {
            let line = line.trim_start();
            let line = line.strip_prefix("pub ").unwrap_or(line);
            let line = line
                .split_once(") ")
                .map_or(line, |(before, behind)| if before.starts_with("pub(") { behind } else { line });
            let Some(name) =
                ["struct ", "enum ", "trait ", "type "].iter().find_map(|kind| line.strip_prefix(kind))
            else {
                continue;
            };
            let name: String = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if let Some(first) = defined.insert(name.clone(), path.clone()) {
                found.push(format!("{name} is defined in {} and in {}", first.display(), path.display()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// A pair of values without names is easily given the wrong way round, and a result within a result is easily read as the outer
/// one alone.
#[test]
fn no_function_takes_a_tuple_and_no_result_is_within_a_result() {
    let mut found = Vec::new();
    for (path, text) in sources() {
        let mut is_in_parameters = false;
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let begins = code.trim_start();
            let is_signature = begins.starts_with("fn ") || begins.contains(" fn ");
            // a long signature has a line for each parameter, and its end at the start of a line
            is_in_parameters =
                (is_signature && begins.ends_with('(')) || (is_in_parameters && !begins.starts_with(')'));
            let is_read = is_signature || is_in_parameters;
            let parameters = code.split(" -> ").next().filter(|_| is_read).unwrap_or_default();
            // `()` is no tuple, and `(dyn Error + 'a)` is one value
            let takes_tuple = [": (", ": &("].iter().any(|sign| {
                let types = parameters.split(sign).skip(1);
                types.into_iter().any(|one| !one.starts_with(')') && !one.starts_with("dyn "))
            });
            let is_nested = code.contains("Result<Result<") || code.contains("Option<Option<");
            if takes_tuple || (is_nested && !code.contains("JoinError")) {
                found.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_todo_marker_is_in_the_sources() {
    for (path, text) in sources() {
        for mark in ["todo!(", "unimplemented!(", "FIXME", "XXX", "dbg!("] {
            assert!(!text.contains(mark), "{}: {mark}", path.display());
        }
    }
}

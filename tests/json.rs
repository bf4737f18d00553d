//! The JSON contract: its page is generated from the types, and the real binary prints nothing else.

use std::fs;

use crate::support::cli::{CliFixture, SandboxProcess, rows};
use serde_json::Value;
use telecine::cli::contract;

#[test]
fn the_page_of_the_json_contract_is_generated_from_the_types() {
    let page = contract::page();
    if std::env::var_os("TELECINE_WRITE_DOCS").is_some() {
        fs::write("docs/json.md", &page).unwrap();
    }
    let kept = fs::read_to_string("docs/json.md").unwrap_or_default();
    assert!(
        kept == page,
        "docs/json.md is outdated: TELECINE_WRITE_DOCS=1 cargo test --test by_process json"
    );
    for name in
        ["run_ended", "command_failed", "manifest_opened", "progress", "next_run_at", "windows[].endpoint"]
    {
        assert!(page.contains(name), "{name} is not in the page");
    }
}

/// Fails unless every field of the value is in a schema, every required field is there, and every type is right.
fn check(value: &Value, schemas: &[Value], at: &str) {
    let object = value.as_object().unwrap_or_else(|| panic!("{at} is no object: {value}"));
    for (name, inner) in object {
        let field = schemas.iter().find_map(|schema| schema["properties"].get(name));
        let field = field.unwrap_or_else(|| panic!("{at}.{name} is not in the contract: {value}"));
        check_type(inner, field, &format!("{at}.{name}"));
    }
    for schema in schemas {
        for name in schema["required"].as_array().into_iter().flatten() {
            assert!(object.contains_key(name.as_str().unwrap()), "{at}: {name} is missing: {value}");
        }
    }
}

fn check_type(value: &Value, schema: &Value, at: &str) {
    if schema.get("anyOf").is_some() {
        if !value.is_null() {
            check(value, schema["anyOf"].as_array().unwrap(), at);
        }
        return;
    }
    if let Some(constant) = schema.get("const") {
        assert_eq!(value, constant, "{at}");
        return;
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        kinds @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            kinds
                .as_array()
                .unwrap_or_else(|| panic!("{at}: {schema}"))
                .iter()
                .filter_map(Value::as_str)
                .collect()
        }
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) if kinds.contains(&"number") => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(kinds.contains(&kind), "{at} is {kind}, not {kinds:?}: {value}");
    if schema["format"] == "date-time" && !value.is_null() {
        assert!(
            value.as_str().unwrap().parse::<jiff::Timestamp>().is_ok(),
            "{at}: {value} is no RFC 3339 time"
        );
    }
    if let Some(items) = value.as_array().filter(|_| schema["items"].get("properties").is_some()) {
        for item in items {
            check(item, &[schema["items"].clone()], at);
        }
    } else if schema.get("properties").is_some() && !value.is_null() {
        check(value, std::slice::from_ref(schema), at);
    } else if let Some(map) = value.as_object() {
        for inner in map.values() {
            check_type(inner, &schema["additionalProperties"], at);
        }
    }
}

fn schema_of(name: &str) -> Value {
    let found = contract::objects().into_iter().find(|object| object.name == name);
    found.unwrap_or_else(|| panic!("{name} is not in the contract")).schema.to_value()
}

/// Fails unless the value is what the contract says of these objects.
pub(crate) fn check_object(value: &Value, names: &[&str]) {
    check(value, &names.iter().map(|name| schema_of(name)).collect::<Vec<_>>(), names[0]);
}

/// Runs a command with `--json` and compares every line with the contract. Gives the exit code and the last line.
fn run(fixture: &CliFixture, args: &[&str], lines_of: Option<&str>, last_of: &[&str]) -> (i32, Value) {
    let (code, out, err) = fixture.run(&[args, &["--json"]].concat());
    let lines: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{args:?}: {line}")))
        .collect();
    let (last, before) = lines.split_last().unwrap_or_else(|| panic!("{args:?} printed nothing: {err}"));
    for line in before {
        if let Some(name) = lines_of {
            check(line, &[schema_of(name)], name);
            continue;
        }
        let name = line["event"].as_str().unwrap_or_else(|| panic!("{args:?}: {line}"));
        let event = contract::events().into_iter().find(|(known, _)| known == name);
        let (_, event) = event.unwrap_or_else(|| panic!("the event {name} is not in the contract"));
        check(line, &[schema_of("every event"), event.to_value()], name);
    }
    let schemas: Vec<Value> = ["the last object"].iter().chain(last_of).map(|name| schema_of(name)).collect();
    check(last, &schemas, &args.join(" "));
    assert_eq!(last["exit_code"].as_i64(), Some(i64::from(code)), "{args:?}: {last}");
    assert!(!last["reason"].as_str().unwrap().is_empty(), "{last}");
    (code, last.clone())
}

#[test]
fn every_command_prints_only_what_the_contract_lists() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &(rows(5) + "R1,https://host/clip-1.mp4,a;b\nbad,ftp://bucket/x.mp4,\n"));
    let ledger = ["--ledger", "l.db"];
    let of = |args: &[&'static str]| [args, &ledger[..]].concat();
    run(&fixture, &["check", "m.csv"], None, &["check"]);
    run(&fixture, &["guess", "m.csv"], None, &["guess"]);
    run(&fixture, &["preview", "m.csv"], Some("preview"), &[]);
    run(&fixture, &of(&["plan", "m.csv", "--price", "2"]), None, &["plan"]);
    run(&fixture, &of(&["import", "m.csv", "--dry-run", "--sandbox"]), None, &["import --dry-run"]);
    // on a slow machine all videos are indexed when the run ends, and the code is 4
    let (_, end) = run(&fixture, &of(&["import", "m.csv", "--sandbox", "--no-wait"]), None, &["report.json"]);
    assert_eq!(end["event"], "run_ended", "{end}");
    run(&fixture, &of(&["reconcile", "--sandbox", "--no-wait"]), None, &["report.json"]);
    run(&fixture, &of(&["verify", "--sandbox"]), None, &["verify"]);
    run(&fixture, &of(&["quota"]), None, &["quota"]);
    run(&fixture, &of(&["status", "--price", "2"]), None, &["status"]);
    run(&fixture, &of(&["report", "--html", "report.html"]), None, &["report"]);
    run(&fixture, &of(&["explain", "R1"]), None, &["explain"]);
    run(&fixture, &of(&["explain", "line", "2", "--price", "2"]), None, &["explain"]);
    run(&fixture, &of(&["list", "--run", "last", "--limit", "2"]), Some("list"), &[]);
    run(&fixture, &of(&["runs"]), None, &["runs"]);
    run(&fixture, &of(&["runs", "show", "last"]), None, &["runs show"]);
    run(&fixture, &of(&["review"]), Some("review"), &[]);
    run(&fixture, &of(&["ledger", "check"]), None, &["ledger check"]);
    run(&fixture, &["config"], None, &["config"]);
    run(&fixture, &["version"], None, &["version"]);
    run(&fixture, &["doctor", "--sandbox", "--ledger", "l.db"], None, &["doctor"]);
    run(&fixture, &of(&["acknowledge", "--all"]), None, &["acknowledge"]);
    run(&fixture, &of(&["report", "prune", "--keep-last", "1"]), None, &["report prune"]);
    let args = ["rehearse", "m.csv", "--rate", "20/s", "--speed", "100"];
    let (_, end) = run(&fixture, &args, None, &["report.json", "rehearse"]);
    assert_eq!(end["event"], "rehearsal_ended");
    let folders = fs::read_dir(fixture.path("reports")).unwrap().map(|entry| entry.unwrap().path());
    let report = folders.map(|folder| folder.join("report.json")).find(|path| path.exists()).unwrap();
    let report: Value = serde_json::from_str(&fs::read_to_string(report).unwrap()).unwrap();
    check(&report, &[schema_of("report.json")], "report.json");
}

#[test]
fn every_failure_ends_with_a_json_object_that_says_what_to_do() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(1));
    fixture.write("bad.csv", "url\nftp://bucket/x.mp4\n");
    let failed = |args: &[&str], expected: i32| {
        let (code, end) = run(&fixture, args, None, &[]);
        assert_eq!(code, expected, "{args:?}: {end}");
        assert_eq!(end["event"], "command_failed", "{end}");
        assert!(!end["next_step"].as_str().unwrap().is_empty(), "{end}");
    };
    failed(&["import", "m.csv", "--no-such-flag"], 2);
    failed(&["import"], 2);
    failed(&["status", "--ledger", "none.db"], 2);
    failed(&["explain", "R1", "--ledger", "none.db"], 2);
    failed(&["import", "none.csv", "--sandbox"], 3);
    failed(&["import", "m.csv", "--key-file", "none.key"], 7);
    let (code, end) = run(&fixture, &["import", "bad.csv", "--sandbox"], None, &["report.json"]);
    assert_eq!((code, end["event"].as_str()), (3, Some("run_ended")), "{end}");
}

/// A process that ends with its test.
struct Child(std::process::Child);

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_import_beside_another_one_ends_with_12_as_json() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(3));
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let args = ["import", "m.csv", "--api-url", &sandbox.url, "--ledger", "l.db", "--rate", "1/h"];
    let mut first = Child(fixture.command(&args).stderr(std::process::Stdio::null()).spawn().unwrap());
    while sandbox.accepted_counts().is_empty() {
        assert!(first.0.try_wait().unwrap().is_none(), "the first import ended");
        #[expect(clippy::disallowed_methods, reason = "waits for another process")]
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    for command in ["status", "quota"] {
        let (code, end) = run(&fixture, &[command, "--ledger", "l.db"], None, &[command]);
        assert!(code == 0 && end.to_string().contains("1/h"), "the limits of the running import: {end}");
    }
    let (code, end) = run(&fixture, &args, None, &[]);
    assert_eq!((code, end["event"].as_str()), (12, Some("command_failed")), "{end}");
}

//! What several accounts share: one process, one metrics file, one receiver of calls, one summary.

use std::{collections::BTreeMap, fs, process::Command};

use serde_json::Value;

use crate::{
    json::check_object,
    support::{
        cli::{CliFixture, SandboxProcess, result_of},
        running::{Running, wait_for},
    },
};

use super::{IMPORT, json, manifest, parts, settings, three, videos};

#[test]
fn check_and_plan_say_whose_rows_they_are_and_send_nothing() {
    let fixture = CliFixture::new();
    settings(
        &fixture,
        &[("alpha", "key-of-a-0", "rate = \"1/s\""), ("beta", "key-of-b-0", "cap = \"1/2h\"")],
    );
    fixture.write("m.csv", &manifest(&["alpha", "delta", "beta", "beta", "alpha"]));
    let (code, out, _) = fixture.run(&["check", "m.csv", "--map", "account=customer"]);
    assert!(code == 4 && out.contains("2 alpha\n") && out.contains("2 beta\n"), "{out}");
    assert!(out.contains("1 row is for no account") && out.contains("m.csv:3:2 customer: "), "{out}");
    let (code, out, _) = fixture.run(&["check", "m.csv", "--map", "account=customer", "--json"]);
    let checked = &json(&out)[0];
    check_object(checked, &["the last object", "check"]);
    let accounts = &checked["accounts"];
    assert!(code == 4 && accounts["accounts"]["alpha"] == 2, "{accounts}");
    assert_eq!(
        (&accounts["unassigned"]["rows"], &accounts["unassigned"]["first"][0]["line"]),
        (&1.into(), &3.into())
    );
    let (_, out, _) = fixture.run(&["check", "m.csv", "--map", "account=customer", "--csv"]);
    assert!(out.contains("m.csv,3,invalid,account_unknown,customer,2,delta,"), "{out}");
    let (code, out, _) = fixture.run(&["plan", "m.csv", "--map", "account=customer", "--json"]);
    let last = &json(&out)[0];
    check_object(last, &["the last object", "plan for several accounts"]);
    assert_eq!(code, 4, "{last}");
    let [alpha, beta] = &last["parts"].as_array().unwrap()[..] else { panic!("{last}") };
    assert_eq!((&alpha["plan"]["would_send"], &beta["plan"]["would_send"]), (&2.into(), &2.into()));
    let seconds = |part: &Value| part["plan"]["seconds"].as_i64().unwrap();
    assert!(seconds(alpha) < 60 && seconds(beta) >= 7_200, "each by its own limits: {last}");
    // the id of a part is that of the same account alone
    let args = ["plan", "m.csv", "--map", "account=customer", "--account", "beta", "--json"];
    let (_, out, _) = fixture.run(&args);
    assert_eq!(json(&out)[0]["plan_id"], beta["plan"]["plan_id"]);
    assert!(!fixture.path("state").exists(), "nothing was written");
}

#[test]
fn every_object_of_an_account_names_it_and_the_last_one_has_all_parts() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let more = format!("api-url = \"{}\"\nrate = \"50/s\"", sandbox.url);
    settings(&fixture, &[("alpha", "key-of-a-0", &more), ("beta", "", &more)]);
    fixture.write("m.csv", &manifest(&["alpha", "beta", "nobody"]));
    let (code, out, err) = fixture.run(&[IMPORT, &["--json"]].concat());
    assert_eq!(code, 7, "a key file is missing: {out}{err}");
    let objects = json(&out);
    let of =
        |account: &str| objects.iter().filter(|object| object["account"] == *account).collect::<Vec<_>>();
    let (alpha, beta) = (of("alpha"), of("beta"));
    let is = |object: &Value, event: &str| object["event"] == *event;
    assert!(is(alpha[0], "ledger_opened") && is(alpha.last().unwrap(), "run_ended"), "{out}");
    assert!(is(beta[0], "message") && is(beta.last().unwrap(), "command_failed") && beta.len() == 2, "{out}");
    let others: Vec<&Value> = objects.iter().filter(|object| object["account"].is_null()).collect();
    assert!(others.len() == 2 && is(others[0], "row_invalid") && others[0]["line"] == 4, "{out}");
    let last = objects.last().unwrap();
    check_object(alpha.last().unwrap(), &["the last object", "report.json"]);
    check_object(beta.last().unwrap(), &["the last object"]);
    check_object(last, &["the last object", "import for several accounts"]);
    assert!(is(last, "accounts_ended") && last["exit_code"] == 7, "{last}");
    assert_eq!(parts(last), BTreeMap::from([("alpha".to_owned(), 0), ("beta".to_owned(), 7)]));
    let reason = last["reason"].as_str().unwrap();
    assert!(reason.starts_with("beta: ") && reason.contains("beta.key"), "{reason}");
    assert_eq!(last["parts"][0]["summary"]["items"]["indexed"], 1);
    assert!(last["parts"][1]["summary"].is_null() && last["unassigned"]["rows"] == 1, "{last}");
}

#[test]
fn a_signal_drains_every_account() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    three(&fixture, &sandbox, "rate = \"1/1000s\"");
    fixture.write("m.csv", &manifest(&["alpha", "beta", "gamma"].repeat(3)));
    let import = Running::start(&fixture, &[IMPORT, &["--json"]].concat());
    wait_for("the first upload of each account", || videos(&sandbox).len() == 3);
    let process = import.0.as_ref().unwrap().id().to_string();
    assert!(Command::new("kill").args(["-TERM", &process]).status().unwrap().success());
    let (code, out, err) = import.end();
    assert_eq!(code, 143, "{out}{err}");
    let objects = json(&out);
    let ends = parts(objects.last().unwrap());
    assert_eq!(ends.into_values().collect::<Vec<_>>(), [143, 143, 143]);
    assert_eq!(sandbox.recorded().len(), 3);
}

#[test]
fn one_metrics_file_has_every_account_and_is_read_as_one_text() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    three(&fixture, &sandbox, "rate = \"50/s\"");
    // the key of the third account is missing
    fs::remove_file(fixture.path("gamma.key")).unwrap();
    fixture.write("m.csv", &manifest(&["alpha", "alpha", "beta", "gamma"]));
    let (code, out, err) = fixture.run(&[IMPORT, &["--metrics-file", "all.prom"]].concat());
    assert_eq!(code, 7, "{out}{err}");
    let text = fixture.read("all.prom");
    for line in [
        "telecine_items{state=\"indexed\",account=\"alpha\"} 2",
        "telecine_items{state=\"indexed\",account=\"beta\"} 1",
        "telecine_upload_requests_total{answer=\"accepted\",account=\"alpha\"} 2",
        "telecine_last_exit_code{account=\"alpha\"} 0",
        "telecine_last_exit_code{account=\"gamma\"} 7",
        "telecine_running{account=\"beta\"} 0",
    ] {
        assert!(text.lines().any(|found| same_sample(found, line)), "{line}:\n{text}");
    }
    // the collector refuses a metric that is described twice, or whose samples are apart
    let mut described: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let count = described.len();
    described.sort_unstable();
    described.dedup();
    assert_eq!(described.len(), count, "{text}");
    let mut names: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(['{', ' ']).next().unwrap())
        .collect();
    names.dedup();
    assert_eq!(names.len(), count, "{text}");
}

/// Whether two samples are the same, in whichever order their labels are.
fn same_sample(one: &str, other: &str) -> bool {
    let parts = |line: &str| {
        let mut parts: Vec<String> = line.split(['{', '}', ',']).map(str::to_owned).collect();
        parts.sort_unstable();
        parts
    };
    parts(one) == parts(other)
}

#[test]
fn one_receiver_takes_the_calls_of_all_accounts() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(
        &fixture,
        &["--unlisted-share", "1", "--fault-share", "1", "--faults", "cut-after", "--index-delay", "60s"],
    );
    three(&fixture, &sandbox, "rate = \"2/s\"");
    fixture.write("m.csv", &manifest(&["alpha", "beta", "alpha", "beta"]));
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (listen, public) = (format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{port}/hook"));
    let flags = ["--callback-listen", &listen, "--public-url", &public, "--json"];
    let (code, out, err) = fixture.run(&[IMPORT, &flags].concat());
    assert_eq!(code, 0, "{out}{err}");
    let last = json(&out).pop().unwrap();
    for part in last["parts"].as_array().unwrap() {
        let calls = &part["summary"]["callbacks"];
        assert_eq!((&calls["settled"], &calls["refused"]), (&Value::from(2), &Value::from(0)), "{part}");
    }
    sandbox.assert_each_accepted_once(4);
}

#[test]
fn the_whole_is_told_once_and_an_account_with_hooks_of_its_own_by_them() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let more = format!("api-url = \"{}\"\nrate = \"50/s\"", sandbox.url);
    let own = format!("{more}\non-end = \"cat >> beta.json\"\nmetrics-file = \"beta.prom\"");
    settings(&fixture, &[("alpha", "key-of-a-0", &more), ("beta", "key-of-b-0", &own)]);
    let common = "on-end = \"cat >> all.json\"\n".to_owned();
    fixture.write("telecine.toml", &(common + &fixture.read("telecine.toml")));
    fixture.write("m.csv", &manifest(&["alpha", "beta"]));
    let mut command = fixture.command(&[IMPORT, &["--cron"]].concat());
    let (code, out, err) =
        result_of(&command.env("PATH", std::env::var_os("PATH").unwrap()).output().unwrap());
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""), "nobody must act");
    let [all] = &json(&fixture.read("all.json"))[..] else { panic!("told once") };
    assert!(all["event"] == "accounts_ended" && parts(all).len() == 2, "{all}");
    let text = fixture.read("beta.json");
    let [beta] = &json(&text)[..] else { panic!("told once: {text}") };
    assert!(beta["event"] == "run_ended" && beta["account"] == "beta", "{beta}");
    assert!(fixture.read("beta.prom").contains("telecine_last_exit_code 0"));
}

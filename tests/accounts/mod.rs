//! One manifest for several accounts, with the real binary: whose rows are sent with which key, and how one account ends
//! without the others.

use std::{collections::BTreeMap, fmt::Write as _, fs, os::unix::fs::PermissionsExt as _, process::Command};

use serde_json::Value;

use crate::json::check_object;
use crate::support::{
    cli::{CliFixture, SandboxProcess, result_of},
    running::{Running, wait_for},
    service::{Answer, KEY, Service},
};

const IMPORT: &[&str] = &["import", "m.csv", "--map", "account=customer", "--list-rate", "500/s"];

/// Writes `telecine.toml` with these accounts: a name, a key and more settings. A key that is empty has no file.
fn settings(fixture: &CliFixture, accounts: &[(&str, &str, &str)]) {
    let mut text = String::new();
    for (name, key, more) in accounts {
        let _ = write!(text, "[account.{name}]\nkey-file = \"{name}.key\"\n{more}\n");
        if !key.is_empty() {
            fixture.write(&format!("{name}.key"), key);
            fs::set_permissions(fixture.path(&format!("{name}.key")), fs::Permissions::from_mode(0o600))
                .unwrap();
        }
    }
    fixture.write("telecine.toml", &text);
}

/// Three accounts of a sandbox.
fn three(fixture: &CliFixture, sandbox: &SandboxProcess, more: &str) {
    let more = format!("api-url = \"{}\"\n{more}", sandbox.url);
    settings(fixture, &[("alpha", "key-a", &more), ("beta", "key-b", &more), ("gamma", "key-c", &more)]);
}

/// A manifest with these customers, one a row.
fn manifest(customers: &[&str]) -> String {
    let rows = customers.iter().enumerate();
    let rows: Vec<String> =
        rows.map(|(row, customer)| format!("https://host/{customer}/{row}.mp4,{customer}\n")).collect();
    format!("url,customer\n{}", rows.concat())
}

fn json(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// The exit code of each part.
fn parts(last: &Value) -> BTreeMap<String, i64> {
    let parts = last["parts"].as_array().unwrap_or_else(|| panic!("{last}"));
    let part =
        |part: &Value| (part["account"].as_str().unwrap().to_owned(), part["exit_code"].as_i64().unwrap());
    parts.iter().map(part).collect()
}

/// How many videos each account of the sandbox has, with the customers in their addresses.
fn videos(sandbox: &SandboxProcess) -> BTreeMap<String, BTreeMap<String, usize>> {
    let mut found: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for video in sandbox.recorded() {
        let customer = video["url"].as_str().unwrap().split('/').nth(3).unwrap().to_owned();
        let account = video["account"].as_str().unwrap().to_owned();
        *found.entry(account).or_default().entry(customer).or_default() += 1;
    }
    found
}

/// Every account has videos of one customer only; how many each customer has.
fn videos_of_customers(sandbox: &SandboxProcess) -> BTreeMap<String, usize> {
    let accounts = videos(sandbox);
    assert!(accounts.values().all(|customers| customers.len() == 1), "{accounts:?}");
    let customers: BTreeMap<String, usize> =
        accounts.values().flatten().map(|(name, n)| (name.clone(), *n)).collect();
    assert_eq!(customers.len(), accounts.len(), "{accounts:?}");
    customers
}

fn counts(counts: &[(&str, usize)]) -> BTreeMap<String, usize> {
    counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[test]
fn an_account_with_a_wrong_key_and_one_without_credits_do_not_stop_a_third() {
    let fixture = CliFixture::new();
    let (good, empty) = (Service::start(Answer::Accept), Service::start(Answer::Refuse("0402", "no points")));
    let more = |service: &Service| format!("api-url = \"{}\"\nrate = \"50/s\"", service.url);
    settings(
        &fixture,
        &[
            ("alpha", KEY, &more(&good)),
            ("beta", "sk-mavi-wrong", &more(&good)),
            ("gamma", KEY, &more(&empty)),
        ],
    );
    fixture.write("m.csv", &manifest(&["alpha", "beta", "gamma", "alpha", "beta", "gamma", "alpha"]));
    let (code, out, err) = fixture.run(IMPORT);
    assert_eq!(code, 7, "{out}{err}");
    for line in
        ["alpha  3 rows, exit 0: ", "beta   2 rows, exit 7: ", "gamma  2 rows, exit 7: ", "exit 7: beta: "]
    {
        assert!(out.contains(line), "{line}: {out}");
    }
    let gamma = out.lines().find(|line| line.starts_with("  gamma")).unwrap();
    assert!(gamma.contains("credits"), "{gamma}");
    assert!(
        err.contains(" beta: ended with exit code 7: ") && err.contains(" alpha: ended with exit code 0: "),
        "{err}"
    );
    assert!(!(out + &err).contains("sk-mavi"), "no key is printed");
    assert_eq!(good.copies(), [1, 1, 1]);
    assert!(good.urls().iter().all(|url| url.contains("/alpha/")) && empty.urls().is_empty());
    // each account has a ledger of its own, which `--account` selects as always
    let (code, out, _) = fixture.run(&["status", "--account", "alpha"]);
    assert!(code == 0 && out.contains("telecine-alpha.db") && out.contains("3 searchable"), "{out}");
    // the recharged account and the corrected key go on where they were
    settings(
        &fixture,
        &[("alpha", KEY, &more(&good)), ("gamma", KEY, &more(&empty)), ("beta", "x", &more(&good))],
    );
    empty.answers(Answer::Accept);
    let (code, out, _) = fixture.run(IMPORT);
    assert!(code == 7 && out.contains("gamma  2 rows, exit 0: "), "{out}");
    assert_eq!((good.copies(), empty.copies()), (vec![1, 1, 1], vec![1, 1]), "nothing was sent twice");
}

#[test]
fn a_row_for_an_unknown_account_is_named_with_its_line_and_sent_to_nobody() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    three(&fixture, &sandbox, "rate = \"50/s\"");
    fixture.write(
        "m.csv",
        "url,customer,tags\n\
         https://host/alpha/1.mp4,alpha,\n\
         https://host/alhpa/2.mp4,alhpa,cat\n\
         https://host/beta/3.mp4, beta ,\n\
         https://host/none/4.mp4,,\n\
         https://host/short/5.mp4,alpha\n\
         ftp://host/beta/6.mp4,beta,\n",
    );
    let (code, out, err) = fixture.run(IMPORT);
    assert_eq!(code, 4, "{out}{err}");
    assert!(err.contains("m.csv:3:2 customer: ") && err.contains("(alhpa); did you mean alpha?"), "{err}");
    assert!(err.contains("the accounts are alpha, beta, gamma"), "{err}");
    assert!(err.contains("m.csv:5:2 customer: the row names no account"), "{err}");
    assert!(
        err.contains("m.csv:6: the row has fewer cells"),
        "a row that cannot be read is for nobody: {err}"
    );
    assert_eq!(videos_of_customers(&sandbox), counts(&[("alpha", 1), ("beta", 1)]));
    assert!(out.contains("for no account: 3 rows, not sent: state/reports/"), "{out}");
    // the row that beta cannot send is in the report of beta alone
    let reports: Vec<(String, String)> = fs::read_dir(fixture.path("state/reports"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), fs::read_to_string(path.join("rejects.csv")).unwrap()))
        .collect();
    let with = |part: &str| {
        let found: Vec<&String> =
            reports.iter().filter(|(_, text)| text.contains(part)).map(|(path, _)| path).collect();
        assert_eq!(found.len(), 1, "{part} is in one report: {reports:?}");
        found[0].clone()
    };
    let account_of =
        |path: &str| path.rsplit_once("Z-").unwrap().1.split_once('.').map(|(_, name)| name.to_owned());
    assert_eq!(account_of(&with("6.mp4")), Some("beta".to_owned()));
    for row in ["2.mp4", "4.mp4", "5.mp4"] {
        assert_eq!(account_of(&with(row)), None, "{row}");
    }
    // the file is corrected and imported as it is
    let path = with("2.mp4") + "/rejects.csv";
    let text = fs::read_to_string(&path).unwrap().replace("alhpa,cat", "gamma,cat");
    fs::write(fixture.path("again.csv"), text).unwrap();
    let (code, out, err) =
        fixture.run(&["import", "again.csv", "--map", "account=customer", "--list-rate", "500/s"]);
    assert!(code == 4 && out.contains("gamma  1 row, exit 0"), "{out}{err}");
    assert!(err.contains("again.csv:3:2 customer: the row names no account"), "{err}");
    // the short row has its cells written out in that file
    let sent: Vec<String> = sandbox.accepted_counts().into_keys().collect();
    let of = |customer: &str, row| format!("https://host/{customer}/{row}.mp4");
    assert_eq!(sent, [of("alhpa", 2), of("alpha", 1), of("beta", 3), of("short", 5)]);
}

#[test]
fn check_and_plan_say_whose_rows_they_are_and_send_nothing() {
    let fixture = CliFixture::new();
    settings(&fixture, &[("alpha", "a", "rate = \"1/s\""), ("beta", "b", "cap = \"1/2h\"")]);
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
fn each_account_keeps_its_own_limit_and_no_account_that_of_another() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &["--cap", "3/2h"]);
    three(&fixture, &sandbox, "rate = \"50/s\"\ncap = \"3/2h\"");
    fixture.write("m.csv", &manifest(&["alpha", "beta", "gamma"].repeat(5)));
    let (code, out, err) = fixture.run(&[IMPORT, &["--quota-exit=1m", "--no-wait", "--json"]].concat());
    assert_eq!(code, 11, "{out}{err}");
    let objects = json(&out);
    let last = objects.last().unwrap();
    for part in last["parts"].as_array().unwrap() {
        let quota = &part["summary"]["quota"];
        assert_eq!((&quota["accepted"], &quota["refused"]), (&3.into(), &0.into()), "{part}");
        assert!(part["summary"]["next_run_at"].is_string(), "{part}");
    }
    assert_eq!(videos_of_customers(&sandbox), counts(&[("alpha", 3), ("beta", 3), ("gamma", 3)]));
}

#[test]
fn every_object_of_an_account_names_it_and_the_last_one_has_all_parts() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let more = format!("api-url = \"{}\"\nrate = \"50/s\"", sandbox.url);
    settings(&fixture, &[("alpha", "key-a", &more), ("beta", "", &more)]);
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
fn an_import_that_is_killed_resumes_every_account_and_sends_nothing_twice() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    three(&fixture, &sandbox, "rate = \"1/s\"\nsettle-after = \"1m\"\nexclusive = true");
    fixture.write("m.csv", &manifest(&["alpha", "beta", "gamma"].repeat(20)));
    for uploads in [6, 21] {
        let mut import = Running::start(&fixture, IMPORT);
        wait_for("some uploads", || sandbox.recorded().len() >= uploads);
        import.kill();
    }
    let before = videos_of_customers(&sandbox);
    assert!(before.len() == 3 && before.values().sum::<usize>() < 60, "killed in the middle: {before:?}");
    let (code, out, err) = fixture.run(IMPORT);
    assert_eq!(code, 0, "{out}{err}");
    assert!(sandbox.accepted_counts().values().all(|count| *count == 1), "{:?}", sandbox.accepted_counts());
    assert_eq!(videos_of_customers(&sandbox), counts(&[("alpha", 20), ("beta", 20), ("gamma", 20)]));
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
fn one_key_or_one_ledger_for_two_accounts_is_refused_with_both_names() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let more = format!("api-url = \"{}\"", sandbox.url);
    settings(&fixture, &[("alpha", "key-a", &more), ("beta", "key-b", &more), ("gamma", "key-a\n", &more)]);
    fixture.write("m.csv", &manifest(&["alpha", "beta", "gamma"]));
    let (code, out, err) = fixture.run(IMPORT);
    assert_eq!(code, 2, "{out}{err}");
    assert!(err.contains("alpha and gamma have the same API key"), "{err}");
    // only accounts that the manifest names are compared
    fixture.write("m.csv", &manifest(&["alpha", "beta"]));
    let (code, out, err) = fixture.run(&[IMPORT, &["--ledger", "one.db"]].concat());
    assert!(code == 2 && err.contains("alpha and beta have the same ledger one.db"), "{out}{err}");
    assert!(sandbox.recorded().is_empty() && !fixture.path("one.db").exists());
    let (code, out, err) = fixture.run(&[IMPORT, &["--rate", "50/s"]].concat());
    assert_eq!(code, 0, "{out}{err}");
}

#[test]
fn what_cannot_work_for_several_accounts_is_refused_before_anything_is_sent() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &manifest(&["alpha"]));
    let refused = |args: &[&str], what: &str| {
        let (code, out, err) = fixture.run(args);
        assert!(code == 2 && err.contains(what), "{args:?}: {code} {out}{err}");
    };
    refused(IMPORT, "no settings file defines one");
    settings(&fixture, &[("alpha", "key-a", "api-url = \"http://127.0.0.1:9\"")]);
    refused(&["import", "-", "--map", "account=customer", "--map", "url=url"], "can be read once only");
    refused(&[IMPORT, &["--dashboard"]].concat(), "--dashboard is for one account");
    refused(&[IMPORT, &["--plan-id", "0123456789abcdef"]].concat(), "--plan-id is for one account");
    refused(&[IMPORT, &["--dry-run"]].concat(), "select it with --account NAME");
    for command in ["rehearse", "recover"] {
        refused(&[command, "m.csv", "--map", "account=customer"], "select it with --account NAME");
    }
    // where the settings of an account leave the rule out, every row would be for it
    let text = fixture.read("telecine.toml")
        + "map = \"url=url\"\n[manifest.\"m.csv\"]\nmap = \"account=customer\"\n";
    fixture.write("telecine.toml", &text);
    refused(&["import", "m.csv"], "the settings of the account alpha map the account in another way");
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
fn with_the_flag_only_the_rows_of_that_account_are_sent() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    three(&fixture, &sandbox, "rate = \"50/s\"");
    fixture.write("m.csv", &manifest(&["alpha", "beta", "nobody", "beta"]));
    let (code, out, err) = fixture.run(&[IMPORT, &["--account", "beta"]].concat());
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(videos_of_customers(&sandbox), counts(&[("beta", 2)]));
    // it is the same import, so the whole one goes on from it
    let (code, _, err) = fixture.run(IMPORT);
    assert_eq!(code, 4, "{err}");
    assert_eq!(videos_of_customers(&sandbox), counts(&[("alpha", 1), ("beta", 2)]));
    let (code, out, err) = fixture.run(&[IMPORT, &["--account", "gamma"]].concat());
    assert!(code == 3 && out.contains("left out every row (4)"), "{out}{err}");
    // a column of the name alone chooses nothing
    fixture.write("plain.csv", &manifest(&["beta", "nobody"]).replace("customer", "account"));
    let (code, out, err) = fixture.run(&["check", "plain.csv"]);
    assert!(code == 0 && !out.contains("rows of each account"), "{out}{err}");
}

#[test]
fn the_whole_is_told_once_and_an_account_with_hooks_of_its_own_by_them() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let more = format!("api-url = \"{}\"\nrate = \"50/s\"", sandbox.url);
    let own = format!("{more}\non-end = \"cat >> beta.json\"\nmetrics-file = \"beta.prom\"");
    settings(&fixture, &[("alpha", "key-a", &more), ("beta", "key-b", &own)]);
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

#[test]
fn each_account_has_a_sandbox_of_its_own_to_try_it_out() {
    let fixture = CliFixture::new();
    settings(&fixture, &[("alpha", "", ""), ("beta", "", "")]);
    fixture.write("m.csv", &manifest(&["alpha", "beta", "alpha"]));
    let (code, out, err) = fixture.run(&["import", "m.csv", "--map", "account=customer", "--sandbox"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("alpha  2 rows, exit 0") && out.contains("beta   1 row, exit 0"), "{out}");
    assert!(
        fixture.path("state/sandbox-alpha.db").exists() && fixture.path("state/sandbox-beta.db").exists()
    );
}

#[test]
fn a_manifest_that_is_replaced_before_the_runs_begin_stops_the_import_and_nothing_is_sent() {
    let fixture = CliFixture::new();
    let service = Service::start(Answer::Accept);
    // the key of the first account comes when its manifest is open, and that of the second is not
    let command = format!("test -e new.csv && mv new.csv m.csv; echo {KEY}");
    let address = format!("api-url = \"{}\"\nrate = \"50/s\"", service.url);
    let text = format!(
        "[account.alpha]\nkey-command = \"{command}\"\n{address}\n[account.beta]\nkey-command = \"echo {KEY}-b\"\n{address}\n"
    );
    fixture.write("telecine.toml", &text);
    fs::set_permissions(fixture.path("telecine.toml"), fs::Permissions::from_mode(0o600)).unwrap();
    fixture.write("m.csv", &manifest(&["alpha", "beta"]));
    fixture.write("new.csv", &manifest(&["alpha", "beta", "alpha", "beta"]));
    let (code, out, err) = fixture.run(IMPORT);
    assert!(
        code == 5 && format!("{out}{err}").contains("was replaced or written between two readings"),
        "{out}{err}"
    );
    assert_eq!(service.uploads(), 0);
    // the same command again imports the new file
    let (code, out, err) = fixture.run(IMPORT);
    assert!(out.contains("alpha  2 rows"), "{code} {out}{err}");
}

#[test]
fn the_readable_rows_of_a_broken_manifest_are_sent_as_those_for_one_account_are() {
    use std::io::Write as _;
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    three(&fixture, &sandbox, "rate = \"500/s\"");
    let customers: Vec<&str> = (0..400).map(|row| ["alpha", "beta"][row % 2]).collect();
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zipped.write_all(manifest(&customers).as_bytes()).unwrap();
    let zipped = zipped.finish().unwrap();
    fs::write(fixture.path("m.csv"), &zipped[..zipped.len() / 2]).unwrap();
    let (code, out, err) = fixture.run(IMPORT);
    assert!(code == 4 && out.contains("reading the manifest failed"), "{code} {out}{err}");
    let sent = videos_of_customers(&sandbox);
    let (alpha, beta) = (sent["alpha"], sent["beta"]);
    assert!(alpha > 10 && alpha.abs_diff(beta) <= 1 && alpha + beta < 400, "{sent:?}");
    assert!(out.contains(&format!("alpha  {alpha} rows, exit 4")), "{out}");
    // check and plan name the error, as they do for one account
    for command in ["check", "plan"] {
        let (code, out, err) = fixture.run(&[command, "m.csv", "--map", "account=customer"]);
        assert!(
            code == 3 && format!("{out}{err}").contains("reading the manifest failed"),
            "{code} {out}{err}"
        );
    }
    // nothing at all can be read of this one
    fs::write(fixture.path("m.csv"), &zipped[..20]).unwrap();
    let (code, out, err) = fixture.run(IMPORT);
    assert_eq!(code, 3, "{out}{err}");
}

#[test]
fn an_account_whose_ledger_is_in_use_does_not_stop_the_others() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    three(&fixture, &sandbox, "rate = \"1/1000s\"");
    fixture.write("m.csv", &manifest(&["alpha", "alpha", "beta"]));
    let first = Running::start(&fixture, &[IMPORT, &["--account", "alpha"]].concat());
    wait_for("the first upload", || sandbox.recorded().len() == 1);
    let (code, out, err) = fixture.run(IMPORT);
    assert_eq!(code, 12, "{out}{err}");
    assert!(out.contains("alpha  2 rows, exit 12: ") && out.contains("beta   1 row, exit 0: "), "{out}");
    assert_eq!(videos_of_customers(&sandbox), counts(&[("alpha", 1), ("beta", 1)]));
    drop(first);
}

//! One manifest for several accounts, with the real binary: whose rows are sent with which key, and how one account ends
//! without the others.

mod refused;
mod shared;

use std::{collections::BTreeMap, fmt::Write as _, fs, os::unix::fs::PermissionsExt as _};

use serde_json::Value;

use crate::support::{
    cli::{CliFixture, SandboxProcess},
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
    settings(
        fixture,
        &[("alpha", "key-of-a-0", &more), ("beta", "key-of-b-0", &more), ("gamma", "key-of-c-0", &more)],
    );
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

//! The real binary: plan, rehearse, quota, settings files, and runs that end because of a limit.

use std::fs;

use crate::support::cli::{self, API_KEY, CliFixture, SandboxProcess, rows};
use serde_json::Value;

/// The last line of JSON.
fn last(out: &str) -> Value {
    serde_json::from_str(out.lines().last().unwrap_or_default()).unwrap_or_else(|_| panic!("{out}"))
}

/// An import against a sandbox, as JSON.
fn import(fixture: &CliFixture, sandbox: &SandboxProcess, args: &[&str]) -> (i32, Value, String) {
    let all = [&["import", "m.csv", "--api-url", &sandbox.url, "--ledger", "l.db", "--json"], args].concat();
    let (code, out, err) = fixture.run(&all);
    (code, last(&out), err)
}

#[test]
fn listings_that_are_only_spaced_end_no_run_with_quota_exit() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    for count in [1, 2] {
        fixture.write("m.csv", &rows(count));
        let flags = ["--rate", "50/s", "--list-rate", "1/1m", "--quota-exit", "--no-wait"];
        let (code, end, err) = import(&fixture, &sandbox, &flags);
        assert!(code != 11 && sandbox.uploads() == count, "{end}{err}");
    }
}

#[test]
fn a_full_cap_window_exits_11_and_names_the_time_to_resume() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(5));
    let sandbox = SandboxProcess::start(&fixture, &["--cap", "3/1h"]);
    let flags = ["--rate", "50/s", "--cap", "3/1h", "--quota-exit", "--no-wait"];
    let (code, end, err) = import(&fixture, &sandbox, &flags);
    assert_eq!((code, end["exit_code"].as_i64()), (11, Some(11)), "{end}{err}");
    let next: jiff::Timestamp = end["next_run_at"].as_str().unwrap().parse().unwrap();
    let at: jiff::Timestamp = end["ended_at"].as_str().unwrap().parse().unwrap();
    let minutes = next.duration_since(at).as_secs() / 60;
    assert!((55..=60).contains(&minutes), "{minutes} min");
    assert_eq!(end["quota"]["refused"], 0, "the service refused an upload");
    assert_eq!(sandbox.accepted_counts().len(), 3);
}

#[test]
fn a_run_ended_by_its_time_limit_exits_10_and_names_the_time_to_resume() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(5));
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let (code, end, _) = import(&fixture, &sandbox, &["--rate", "1/h", "--for", "1s", "--no-wait"]);
    assert_eq!(code, 10, "{end}");
    assert!(end["next_run_at"].as_str().unwrap().ends_with('Z'), "{end}");
}

#[test]
fn a_run_that_does_not_wait_exits_5_while_items_are_open_and_0_when_all_are_final() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &(rows(3) + "R9,ftp://bucket/x.mp4,\n"));
    let sandbox = SandboxProcess::start(&fixture, &["--index-delay", "2m"]);
    let (code, end, _) = import(&fixture, &sandbox, &["--rate", "50/s", "--no-wait"]);
    assert_eq!((code, end["exit_code"].as_i64()), (5, Some(5)), "{end}");
    let reason = end["exit_reason"].as_str().unwrap();
    assert!(reason.contains("3 accepted (being indexed)") && reason.contains("1 bad row (1 "), "{end}");
    assert!(end["next_step"].as_str().unwrap().contains("without --no-wait"), "{end}");
    assert_eq!(end["next_run_at"], Value::Null, "nothing is pending: {end}");

    fixture.write("m.csv", &rows(3));
    assert_eq!(import(&fixture, &sandbox, &["--rate", "50/s"]).0, 0);
    let (code, end, _) = import(&fixture, &sandbox, &["--rate", "50/s", "--no-wait"]);
    assert_eq!(code, 0, "{end}");
}

#[test]
fn a_plan_reports_what_an_import_would_do_and_sends_nothing() {
    let fixture = CliFixture::new();
    let manifest = rows(40) + "R1,https://host/clip-1.mp4,a;b\nbad,ftp://bucket/x.mp4,\n";
    fixture.write("m.csv", &manifest);
    let (code, out, err) = fixture.run(&["plan", "m.csv", "--ledger", "l.db", "--price", "2", "--json"]);
    let plan = last(&out);
    assert_eq!(code, 4, "one row is invalid: {out}{err}");
    assert_eq!((plan["would_send"].as_u64(), plan["rows"]["invalid"].as_u64()), (Some(40), Some(1)));
    assert_eq!((plan["rows"]["duplicates"].as_u64(), plan["credits_max"].as_str()), (Some(1), Some("80")));
    let minutes = plan["seconds"].as_i64().unwrap() / 60;
    assert!((38..=41).contains(&minutes), "{minutes} min at 1/min");
    let faster = plan["other_rates"].as_array().unwrap();
    assert!(faster.iter().any(|rate| rate["rate"] == "1/s" && rate["seconds"].as_i64() < Some(60)), "{plan}");
    assert!(!fixture.path("l.db").exists(), "a plan makes no ledger");

    let (_, out, _) = fixture.run(&["plan", "m.csv", "--ledger", "l.db", "--cap", "10/2h"]);
    assert!(out.contains("40 would be sent") && out.contains("waits"), "{out}");
    assert!(out.contains("--plan-id"), "{out}");
}

#[test]
fn an_import_by_plan_id_sends_only_if_nothing_changed_since_the_plan() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(6));
    let sandbox = SandboxProcess::start(&fixture, &["--index-delay", "1h"]);
    let plan = |fixture: &CliFixture| {
        let (_, out, _) = fixture.run(&["plan", "m.csv", "--ledger", "l.db", "--rate", "50/s", "--json"]);
        last(&out)["plan_id"].as_str().unwrap().to_owned()
    };
    let demand = |fixture: &CliFixture, id: &str, rate: &str| {
        let service = ["--api-url", &sandbox.url, "--ledger", "l.db", "--no-wait"];
        fixture.run(&[&["import", "m.csv", "--rate", rate, "--plan-id", id], &service[..]].concat())
    };
    let id = plan(&fixture);
    assert_eq!(plan(&fixture), id, "a plan made twice is the same");
    fixture.write("m.csv", &rows(7));
    let (code, _, err) = demand(&fixture, &id, "50/s");
    assert_eq!(code, 2);
    assert!(err.contains(&id) && err.contains("nothing was sent"), "{err}");
    let id = plan(&fixture);
    assert_eq!(demand(&fixture, &id, "40/s").0, 2, "another limit is another plan");
    assert_eq!(sandbox.uploads(), 0, "nothing was sent");
    let (code, out, err) = demand(&fixture, &id, "50/s");
    assert_eq!((code, sandbox.accepted_counts().len()), (5, 7), "{out}{err}");
    assert_eq!(demand(&fixture, &id, "50/s").0, 2, "the ledger is another one now");
    let id = plan(&fixture);
    assert_eq!(fixture.run(&["quota", "spend", "1", "--ledger", "l.db"]).0, 0);
    assert_eq!(demand(&fixture, &id, "50/s").0, 2, "what another tool spent moves the date");
    let id = plan(&fixture);
    let paid_again = ["import", "m.csv", "--rate", "50/s", "--plan-id", &id, "--retry-failed"];
    let service = ["--api-url", &sandbox.url, "--ledger", "l.db", "--no-wait"];
    assert_eq!(fixture.run(&[&paid_again[..], &service[..]].concat()).0, 2, "failed rows cost money");
}

#[test]
fn a_rehearsal_with_lost_answers_uploads_every_row_once_in_fast_time() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(30));
    let flags =
        ["--rate", "1/min", "--cap", "20/2h", "--fault-share", "0.2", "--speed", "3000", "--exclusive"];
    let all = [&["rehearse", "m.csv", "--json", "--answer-delay", "1s..4s"], &flags[..]].concat();
    let (code, out, err) = fixture.run(&all);
    let end = last(&out);
    assert_eq!(code, 0, "{end}{err}");
    let totals = &end["service_totals"];
    assert_eq!(
        (totals["accepted"].as_u64(), totals["accepted_twice"].as_u64()),
        (Some(30), Some(0)),
        "{totals}"
    );
    assert_eq!(totals["orphans"], 0);
    assert!(totals["faults"].as_u64().unwrap() > 0, "nothing went wrong: {totals}");
    assert!(end["seconds"].as_f64().unwrap() > 7_200.0, "the window was waited for: {end}");
    assert!(!fixture.path("state").exists(), "it leaves nothing behind");
}

#[test]
fn quota_limits_are_shown_set_and_forgotten_and_include_recorded_external_usage() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(2));
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let (code, _, err) = import(&fixture, &sandbox, &["--rate", "50/s"]);
    assert_eq!(code, 0, "{err}");
    let (code, out, err) = fixture.run(&["quota", "set", "--cap", "5/2h,100/day", "--ledger", "l.db"]);
    assert_eq!(code, 0, "{out}{err}");
    let quota = || last(&fixture.run(&["quota", "--ledger", "l.db", "--json"]).1);
    let window = |limit: &str| {
        let quota = quota();
        let windows = quota["windows"].as_array().unwrap().clone();
        windows.into_iter().find(|window| window["limit"] == limit).unwrap_or_else(|| panic!("{quota}"))
    };
    assert_eq!((window("5/2h")["used"].as_u64(), window("5/2h")["free"].as_u64()), (Some(2), Some(3)));
    let spend = ["quota", "spend", "3", "--ago", "30m", "--note", "by hand", "--ledger", "l.db"];
    assert_eq!(fixture.run(&spend).0, 0);
    assert_eq!((window("5/2h")["free"].as_u64(), window("100/day")["used"].as_u64()), (Some(0), Some(5)));
    let next: jiff::Timestamp = window("5/2h")["next_slot_at"].as_str().unwrap().parse().unwrap();
    let at: jiff::Timestamp = quota()["at"].as_str().unwrap().parse().unwrap();
    let minutes = next.duration_since(at).as_secs() / 60;
    assert!((88..=90).contains(&minutes), "the other tool's leave first: {minutes} min");
    let (_, out, _) = fixture.run(&["quota", "--ledger", "l.db"]);
    assert!(out.contains("5/2h") && out.contains("next upload:"), "{out}");
    let (code, ..) = import(&fixture, &sandbox, &["--rate", "50/s", "--quota-exit", "--no-wait"]);
    assert_eq!(code, 0, "nothing is left to send");
    fixture.write("m.csv", &rows(3));
    let (code, end, _) = import(&fixture, &sandbox, &["--rate", "50/s", "--quota-exit", "--no-wait"]);
    assert_eq!(code, 11, "what was set holds in the next run: {end}");
    assert_eq!(fixture.run(&["quota", "forget", "--limits", "--ledger", "l.db"]).0, 0);
    let (code, ..) = import(&fixture, &sandbox, &["--rate", "50/s", "--quota-exit", "--no-wait"]);
    assert_eq!((code, sandbox.accepted_counts().len()), (5, 3));
    assert_eq!(fixture.run(&["quota", "set", "--ledger", "l.db"]).0, 2, "nothing to set");
}

#[test]
fn a_flag_overrides_a_variable_and_that_the_projects_file_and_that_the_users_file() {
    let fixture = CliFixture::new();
    fixture.write(
        "telecine.toml",
        "rate = \"2/s\"\ncap = [\"7/2h\", \"9/day\"]\n[import]\nwait = \"4h\"\n[account.a]\nrate = \"3/s\"\n",
    );
    fs::create_dir_all(fixture.path("home/telecine")).unwrap();
    fixture.write("home/telecine/config.toml", "rate = \"4/s\"\nsettle-after = \"20m\"\n");
    let settings = |args: &[&str], variable: Option<&str>| {
        let mut command = fixture.command(&["config", "--json"]);
        command.args(args).env("XDG_CONFIG_HOME", fixture.path("home"));
        if let Some(rate) = variable {
            command.env("TELECINE_RATE", rate);
        }
        let (code, out, err) = cli::result_of(&command.output().unwrap());
        assert_eq!(code, 0, "{err}");
        last(&out)["settings"].as_array().unwrap().clone()
    };
    let of = |settings: &[Value], key: &str| {
        let found = settings.iter().find(|setting| setting["key"] == key);
        found.map(|found| {
            (found["value"].as_str().unwrap().to_owned(), found["origin"].as_str().unwrap().to_owned())
        })
    };
    let plain = settings(&[], None);
    assert_eq!(of(&plain, "rate"), Some(("2/s".to_owned(), "telecine.toml:1".to_owned())));
    assert_eq!(of(&plain, "cap").unwrap().0, "7/2h,9/day");
    assert_eq!(of(&plain, "wait").unwrap().0, "4h");
    assert!(of(&plain, "settle-after").unwrap().1.ends_with("home/telecine/config.toml:2"));
    assert_eq!(of(&settings(&["--account", "a"], None), "rate").unwrap().0, "3/s");
    assert_eq!(of(&settings(&["--account", "a"], None), "ledger").unwrap().0, "state/telecine-a.db");
    assert_eq!(of(&settings(&[], Some("8/s")), "rate").unwrap().0, "8/s");

    // a run uses these values
    fixture.write("m.csv", &rows(3));
    let (_, out, _) = fixture.run(&["plan", "m.csv", "--ledger", "l.db", "--json"]);
    assert_eq!(last(&out)["limits"].as_array().unwrap(), &["2/s", "7/2h", "9/day"]);
    let (_, out, _) = fixture.run(&["plan", "m.csv", "--ledger", "l.db", "--json", "--rate", "1/min"]);
    assert_eq!(last(&out)["limits"][0], "1/min");
}

#[test]
fn an_error_in_a_settings_file_is_reported_with_its_line_and_nothing_runs() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(1));
    let cases = [
        ("rate = \"1/s\"\nratee = \"2/s\"\n", "bad.toml:2: ratee is not a flag"),
        ("[import]\nrate = \"soon\"\n", "bad.toml:2: rate = soon: expected N/PERIOD"),
        ("api-key = \"sk-1\"\n", "key-file or key-command"),
        ("[impart]\nrate = \"1/s\"\n", "[impart] is not a command"),
        ("quiet = \"yes\"\n", "this flag is true or false"),
        ("rate = \n", "bad.toml:1"),
        ("wait = { a = 1 }\n", "[wait] is not a command"),
    ];
    for (text, expected) in cases {
        fixture.write("bad.toml", text);
        let (code, _, err) = fixture.run(&["import", "m.csv", "--sandbox", "--config", "bad.toml"]);
        assert_eq!(code, 2, "{text}: {err}");
        assert!(err.contains(expected), "{text}: {err}");
        assert!(!err.contains("sk-1"), "{err}");
    }
    assert!(!fixture.path("state").exists());
    let (code, _, err) = fixture.run(&["status", "--account", "nobody"]);
    assert_eq!(code, 2);
    assert!(err.contains("there is no account nobody"), "{err}");
}

#[test]
fn a_key_command_is_run_only_from_a_file_that_no_one_else_can_write() {
    use std::os::unix::fs::PermissionsExt as _;
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(1));
    let sandbox = SandboxProcess::start(&fixture, &["--index-delay", "1d"]);
    fixture.write("telecine.toml", &format!("key-command = \"touch ran; echo {API_KEY}\"\n"));
    let run = |fixture: &CliFixture| {
        let all = ["import", "m.csv", "--api-url", &sandbox.url, "--ledger", "l.db", "--no-wait"];
        fixture.run(&all)
    };
    fs::set_permissions(fixture.path("telecine.toml"), fs::Permissions::from_mode(0o666)).unwrap();
    let (code, out, err) = run(&fixture);
    assert_eq!(code, 2, "{out}{err}");
    assert!(!fixture.path("ran").exists());
    fs::set_permissions(fixture.path("telecine.toml"), fs::Permissions::from_mode(0o600)).unwrap();
    let (code, out, err) = run(&fixture);
    assert_eq!(code, 5, "{out}{err}");
    assert!(fixture.path("ran").exists());
    assert!(!format!("{out}{err}").contains(API_KEY));
    let (_, out, _) = fixture.run(&["config"]);
    assert!(out.contains("key-command") && !out.contains(API_KEY), "{out}");
}

#[test]
fn a_plan_counts_by_the_budget_as_the_import_does() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(3));
    let of = |args: &[&str]| {
        let (code, out, err) =
            fixture.run(&[args, &["m.csv", "--sandbox", "--ledger", "l.db", "--json"]].concat());
        let end: serde_json::Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
        (code, end, err)
    };
    fixture.write("telecine.toml", "max-uploads = 2\n");
    let (_, planned, _) = of(&["plan", "--price", "2"]);
    assert_eq!((&planned["would_send"], &planned["credits_max"]), (&2.into(), &"4".into()), "{planned}");
    assert_eq!(planned["stops"], "the budget allows no more: 1 row is left");
    assert_eq!(of(&["plan", "--max-rows", "1"]).1["would_send"], 1);
    let id = planned["plan_id"].as_str().unwrap().to_owned();
    let (code, _, err) = of(&["import", "--plan-id", &id, "--max-uploads", "3"]);
    assert!(code == 2 && err.contains("has changed since the plan"), "{err}");
    let (code, end, err) = of(&["import", "--plan-id", &id]);
    assert_eq!((code, &end["quota"]["accepted"]), (8, &2.into()), "{err}");
    let (_, planned, _) = of(&["plan"]);
    assert_eq!(
        (&planned["would_send"], &planned["stops"]),
        (&0.into(), &"the budget allows no more: 1 row is left".into())
    );
}

#[test]
fn a_plan_names_the_other_ledgers_that_may_serve_the_account() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    fixture.write("m.csv", &rows(1));
    let state = fixture.path("of-user");
    let run = |args: &[&str]| {
        let mut command = fixture.command(args);
        cli::result_of(&command.env("XDG_STATE_HOME", &state).output().unwrap())
    };
    let (code, out, err) = run(&["import", "m.csv", "--api-url", &sandbox.url, "--rate", "50/s"]);
    assert_eq!(code, 0, "{out}{err}");
    let (_, out, _) = run(&["plan", "m.csv"]);
    assert!(!out.contains("is refused"), "{out}");
    fixture.write("n.csv", "url\nhttps://host/other.mp4\n");
    let (_, out, _) = run(&["plan", "n.csv", "--ledger", "x.db"]);
    assert!(out.contains("an import with this one is refused") && out.contains("state/telecine.db"), "{out}");
}

#[test]
fn quota_set_shows_the_limits_that_quota_shows_and_a_reconcile_claims_no_rate() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    fixture.write("m.csv", &rows(1));
    fixture.write(
        "telecine.toml",
        &format!(
            "rate = \"15/s\"\n[import]\napi-url = \"{0}\"\n[reconcile]\napi-url = \"{0}\"\n",
            sandbox.url
        ),
    );
    assert_eq!(fixture.run(&["import", "m.csv"]).0, 0);
    let (code, set, err) = fixture.run(&["quota", "set", "--cap", "30/2h"]);
    assert!(code == 0 && set.contains("15/s") && !set.contains("1/min"), "{set}{err}");
    let (_, shown, _) = fixture.run(&["quota"]);
    assert!(shown.contains("15/s") && shown.contains("30/2h"), "{shown}");
    let (_, set, _) = fixture.run(&["quota", "set", "--rate", "2/s"]);
    assert!(set.contains("runs that begin here keep rate 15/s"), "{set}");
    let (_, out, _) = fixture.run(&["reconcile"]);
    assert!(out.contains("took ") && !out.contains("/min"), "{out}");
}

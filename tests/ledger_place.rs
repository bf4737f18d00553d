//! Where the ledger of an account lies, with the real binary: the same import from another folder pays nothing twice.

use std::fs;

use crate::support::cli::{CliFixture, SandboxProcess, result_of, rows};

/// Runs a command in a folder of the fixture, as a user with a state folder: exit code, standard output, standard error.
fn run_in(fixture: &CliFixture, folder: &str, args: &[&str]) -> (i32, String, String) {
    let folder = fixture.path(folder);
    fs::create_dir_all(&folder).unwrap();
    let mut command = fixture.command(args);
    result_of(&command.current_dir(folder).env("XDG_STATE_HOME", fixture.path("home")).output().unwrap())
}

fn import<'a>(sandbox: &'a SandboxProcess, manifest: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let usual = ["import", manifest, "--api-url", &sandbox.url, "--rate", "50/s", "--list-rate", "20/s"];
    usual.iter().chain(more).copied().collect()
}

#[test]
fn the_same_manifest_imported_from_another_folder_finds_its_ledger_beside_the_manifest() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    fixture.write("m.csv", &rows(5));
    let (code, _, err) = run_in(&fixture, "a", &import(&sandbox, "../m.csv", &[]));
    assert_eq!(code, 0, "{err}");
    let ledger = fixture.path("state/telecine.db");
    assert!(ledger.exists() && !fixture.path("a/state").exists());
    let first = err.lines().next().unwrap();
    assert!(first.contains("ledger: ") && first.ends_with("state/telecine.db (new)"), "{first}");
    let (code, out, err) = run_in(&fixture, "b", &import(&sandbox, "../m.csv", &[]));
    assert_eq!(code, 0, "{out}{err}");
    assert!(err.lines().next().unwrap().ends_with("state/telecine.db"), "{err}");
    sandbox.assert_each_accepted_once(5);
    // a command without a manifest finds it, too
    let (code, out, err) = run_in(&fixture, "c", &["status"]);
    assert!(code == 0 && out.contains("state/telecine.db"), "{out}{err}");
}

#[test]
fn a_copy_of_the_manifest_in_another_folder_is_imported_into_the_ledger_of_the_account() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    for folder in ["a", "b"] {
        fs::create_dir(fixture.path(folder)).unwrap();
        fs::write(fixture.path(folder).join("m.csv"), rows(5)).unwrap();
        let (code, out, err) = run_in(&fixture, folder, &import(&sandbox, "m.csv", &[]));
        assert_eq!(code, 0, "{out}{err}");
        let first = err.lines().next().unwrap();
        assert!(first.contains("/a/state/telecine.db"), "{first}");
    }
    assert!(!fixture.path("b/state").exists());
    sandbox.assert_each_accepted_once(5);
}

#[test]
fn a_second_ledger_of_an_account_is_refused_with_the_path_of_the_first_and_the_ways_on() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    fixture.write("m.csv", &rows(3));
    let with = |ledger, more: &[&str]| {
        let args = [&["--ledger", ledger], more].concat();
        run_in(&fixture, "", &import(&sandbox, "m.csv", &args))
    };
    assert_eq!(with("first.db", &[]).0, 0);
    let (code, _, err) = with("second.db", &[]);
    assert_eq!(code, 2, "{err}");
    for part in ["first.db", "second.db", "--ledger", "--second-ledger"] {
        assert!(err.contains(part), "{part}: {err}");
    }
    assert_eq!(sandbox.uploads(), 3);
    // the markers in the library still tell what the first ledger sent
    let (code, out, err) = with("second.db", &["--second-ledger"]);
    assert!(code == 6 && out.contains("is at the service already"), "{out}{err}");
    assert_eq!((with("first.db", &[]).0, sandbox.uploads()), (0, 3));
    // one that was moved is the same ledger, and the place of one that is gone is free
    for suffix in ["", "-wal", "-shm"] {
        fs::rename(fixture.path(&format!("first.db{suffix}")), fixture.path(&format!("moved.db{suffix}")))
            .ok();
    }
    assert_eq!(with("moved.db", &[]).0, 0);
    let (code, _, err) = with("second.db", &[]);
    assert!(code == 2 && err.contains("moved.db"), "{err}");
    for suffix in ["", "-wal", "-shm"] {
        let [moved, away] = ["moved.db", "away.db"].map(|name| fixture.path(&format!("{name}{suffix}")));
        fs::rename(moved, away).ok();
    }
    let (code, _, err) = with("second.db", &[]);
    assert_eq!(code, 6, "{err}");
    // the second one has sent nothing: it does not keep the account when the first one is put back elsewhere
    let (code, _, err) = with("away.db", &[]);
    assert_eq!((code, sandbox.uploads()), (0, 3), "{err}");
    assert_eq!(with("second.db", &[]).0, 2);
}

#[test]
fn a_state_folder_that_cannot_be_written_stops_no_import() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    fixture.write("m.csv", &rows(2));
    fixture.write("home", "a file where the folder should be");
    let (code, out, err) = run_in(&fixture, "", &import(&sandbox, "m.csv", &[]));
    assert_eq!(code, 0, "{out}{err}");
    sandbox.assert_each_accepted_once(2);
}

#[test]
fn paths_in_a_settings_file_start_at_its_folder() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    fs::create_dir(fixture.path("conf")).unwrap();
    fixture.write("m.csv", &rows(2));
    fixture.write("conf/telecine.toml", "ledger = \"l.db\"\nout-dir = \"reports\"\n");
    let args = ["--config", "../conf/telecine.toml"];
    let (code, out, err) = run_in(&fixture, "a", &import(&sandbox, "../m.csv", &args));
    assert_eq!(code, 0, "{out}{err}");
    assert!(fixture.path("conf/l.db").exists() && fixture.path("conf/reports").exists());
    assert!(fs::read_dir(fixture.path("a")).unwrap().next().is_none());
}

#[test]
fn a_folder_with_settings_of_its_own_never_works_on_the_ledger_of_another_folder() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    for folder in ["home", "a", "b", "new"] {
        std::fs::create_dir_all(fixture.path(folder)).unwrap();
    }
    fixture.write("a/m.csv", &rows(1));
    let (code, out, err) = run_in(&fixture, "a", &import(&sandbox, "m.csv", &[]));
    assert_eq!(code, 0, "{out}{err}");
    // without settings, the only ledger is meant; a command that changes it says which one first
    let (code, out, err) = run_in(&fixture, "new", &["quota", "set", "--cap", "7/3h"]);
    let ledger = std::fs::canonicalize(fixture.path("a/state/telecine.db")).unwrap();
    assert!(code == 0 && err.contains(&format!("ledger: {}", ledger.display())), "{out}{err}");
    assert_eq!(run_in(&fixture, "new", &["status"]).0, 0);
    fixture.write("b/telecine.toml", "rate = \"2/s\"\n");
    for args in [
        &["quota", "set", "--cap", "9/3h"][..],
        &["acknowledge", "--all"],
        &["undo", "last"],
        &["status"],
        &["quota", "--config", "../b/telecine.toml"],
    ] {
        let folder = if args.contains(&"--config") { "new" } else { "b" };
        let (code, out, err) = run_in(&fixture, folder, args);
        assert!(code == 2 && err.contains("there is no ledger at state/telecine.db"), "{args:?}: {out}{err}");
        assert!(err.contains(&ledger.display().to_string()), "{args:?}: {err}");
    }
    assert!(run_in(&fixture, "a", &["quota"]).1.contains("7/3h"), "it is as it was");
    // a second ledger, of another account, stops no doctor: it looks where an import would
    let doctor = ["doctor", "--api-url", &sandbox.url];
    let other_key = |folder: &str, args: &[&str]| {
        let mut command = fixture.command(args);
        command.current_dir(fixture.path(folder)).env("XDG_STATE_HOME", fixture.path("home"));
        result_of(&command.env("MEMORIES_API_KEY", "sk-mavi-other").output().unwrap())
    };
    fixture.write("b/n.csv", &rows(1));
    let (code, out, err) = other_key("b", &import(&sandbox, "n.csv", &[]));
    assert_eq!(code, 0, "{out}{err}");
    let (code, out, err) = run_in(&fixture, "new", &doctor);
    assert!(
        code == 0 && out.contains(&ledger.display().to_string()),
        "the ledger of the account: {out}{err}"
    );
    let third = |args: &[&str]| {
        let mut command = fixture.command(args);
        command.current_dir(fixture.path("new")).env("XDG_STATE_HOME", fixture.path("home"));
        result_of(&command.env("MEMORIES_API_KEY", "sk-mavi-third").output().unwrap())
    };
    let (code, out, err) = third(&doctor);
    assert!(code == 0 && out.contains("state/telecine.db does not exist yet"), "{out}{err}");
}

/// Where a ledger can be moved to: files, and the database for tests if there is one.
fn new_places() -> Vec<String> {
    let database = std::env::var("TELECINE_TEST_POSTGRES").ok();
    let database = database.map(|base| format!("{base}?schema=moved_{}", std::process::id()));
    [Some("two.db".to_owned()), database, Some("three.db".to_owned())].into_iter().flatten().collect()
}

#[test]
fn a_ledger_that_was_moved_goes_on_at_its_new_place_and_refuses_at_the_old_one() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let import_with = |ledger: &str| run_in(&fixture, "", &import(&sandbox, "m.csv", &["--ledger", ledger]));
    fixture.write("m.csv", &rows(2));
    assert_eq!(import_with("one.db").0, 0);
    let (mut from, mut digest, mut sent) = ("one.db".to_owned(), String::new(), 2);
    for to in new_places() {
        let (code, out, err) = run_in(&fixture, "", &["ledger", "copy", &from, &to, "--move", "--json"]);
        assert_eq!(code, 0, "{to}: {out}{err}");
        let copied: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(
            (copied["moved"].as_bool(), copied["rows"]["item"].as_u64()),
            (Some(true), Some(sent as u64))
        );
        assert_ne!(copied["digest"], digest.as_str(), "there are more rows than before");
        copied["digest"].as_str().unwrap().clone_into(&mut digest);
        let (code, _, err) = import_with(&from);
        assert!(code == 2 && err.contains("was moved to") && err.contains(&to), "{err}");
        let (code, out, _) = run_in(&fixture, "", &["status", "--ledger", &from]);
        assert!(code == 0 && out.contains("not in use: ") && out.contains(&to), "{out}");
        let (_, out, _) = run_in(&fixture, "", &["status", "--ledger", &to, "--json"]);
        let status: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert!(status["unused"].is_null(), "{out}");
        let (code, out, err) = run_in(&fixture, "", &["ledger", "check", "--ledger", &to]);
        assert!(code == 0 && out.contains("is correct"), "{out}{err}");
        // the next import knows what was sent, finds the new place by itself, and sends what is new
        sent += 1;
        fixture.write("m.csv", &rows(sent));
        let (code, out, err) = run_in(&fixture, "", &import(&sandbox, "m.csv", &[]));
        assert!(code == 0 && err.lines().next().unwrap().contains(&to), "{out}{err}");
        assert_eq!(sandbox.uploads(), sent, "{to}");
        from = to;
    }
}

#[test]
fn a_copy_that_is_not_in_use_is_read_and_not_written() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let with = |ledger, more: &[&str]| {
        run_in(&fixture, "", &import(&sandbox, "m.csv", &[&["--ledger", ledger], more].concat()))
    };
    fixture.write("m.csv", &rows(2));
    assert_eq!(with("one.db", &[]).0, 0);
    let (code, out, err) = run_in(&fixture, "", &["ledger", "copy", "one.db", "copy.db"]);
    assert!(code == 0 && out.contains("one.db stays in use"), "{out}{err}");
    let (code, out, err) = run_in(&fixture, "", &["list", "--ledger", "copy.db"]);
    assert!(code == 0 && out.contains("indexed"), "{out}{err}");
    let (_, out, _) = run_in(&fixture, "", &["status", "--ledger", "copy.db", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(status["unused"].as_str().unwrap().contains("is a copy of"), "{out}");
    let (code, _, err) = with("copy.db", &["--second-ledger"]);
    assert!(code == 2 && err.contains("is a copy of") && err.contains("one.db"), "{err}");
    // a ledger is never overwritten
    let (code, _, err) = run_in(&fixture, "", &["ledger", "copy", "one.db", "copy.db"]);
    assert!(code == 2 && err.contains("not empty"), "{err}");
    let (code, _, err) = run_in(&fixture, "", &["ledger", "copy", "none.db", "other.db"]);
    assert!(code == 2 && !fixture.path("other.db").exists(), "{err}");
    // without the other one it is brought up to date by the service
    for suffix in ["", "-wal", "-shm"] {
        fs::remove_file(fixture.path(&format!("one.db{suffix}"))).ok();
    }
    let recover = ["recover", "m.csv", "--ledger", "copy.db", "--api-url", &sandbox.url];
    let quick = ["--list-rate", "20/s", "--settle-after", "1s"];
    let (code, out, err) = run_in(&fixture, "", &[&recover[..], &quick].concat());
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!((with("copy.db", &[]).0, sandbox.uploads()), (0, 2));
}

#[test]
fn a_device_and_a_missing_folder_are_no_places_for_a_ledger() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(1));
    for command in [&["import", "m.csv", "--sandbox"][..], &["status"], &["plan", "m.csv"]] {
        let (code, out, err) = fixture.run(&[command, &["--ledger", "/dev/null"]].concat());
        assert!(code == 2 && err.contains("it is a device"), "{command:?}: {out}{err}");
        let (code, out, err) = fixture.run(&[command, &["--ledger", "nowhere/x.db"]].concat());
        assert!(code == 2 && err.contains("the folder nowhere does not exist"), "{command:?}: {out}{err}");
    }
    for made in ["/dev/null.lock", "/dev/null-journal"] {
        assert!(!std::path::Path::new(made).exists(), "{made}");
    }
    assert!(!fixture.path("nowhere").exists());
    let (code, out, err) = fixture.run(&["import", "m.csv", "--sandbox", "--ledger", "state/x.db"]);
    assert_eq!(code, 0, "the default folder is made: {out}{err}");
}

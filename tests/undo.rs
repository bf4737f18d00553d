//! Undo, with the real binary: what a run created is deleted, proven by listings, and nothing else; and the videos of others.

use std::{collections::BTreeSet, fmt::Write as _, fs};

use crate::support::cli::{CliFixture, SandboxProcess};
use crate::support::running::against;
use serde_json::Value;

/// A manifest with rows of two topics.
fn manifest(fixture: &CliFixture, name: &str, from: usize, to: usize) {
    let mut text = "id,url,topic\n".to_owned();
    for n in from..to {
        let topic = if n % 2 == 0 { "geo" } else { "art" };
        writeln!(text, "R{n},https://host/clip-{n}.mp4,{topic}").unwrap();
    }
    fixture.write(name, &text);
}

fn import(fixture: &CliFixture, sandbox: &SandboxProcess, name: &str) {
    let args = ["import", name, "--rate", "50/s", "--list-rate", "20/s", "--quiet"];
    let (code, out, err) = fixture.run(&against(sandbox, &args));
    assert_eq!(code, 0, "{out}{err}");
}

/// Exit code, the lines about videos, and the last object.
fn undo(fixture: &CliFixture, sandbox: &SandboxProcess, args: &[&str]) -> (i32, Vec<Value>, Value) {
    let fast = ["--list-rate", "50/s", "--get-rate", "50/s", "--delete-rate", "20/s", "--json"];
    let (code, out, err) = fixture.run(&against(sandbox, &[&["undo"], args, &fast].concat()));
    let mut lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.pop().unwrap_or_else(|| panic!("{err}"));
    assert_eq!(last["exit_code"], code, "{last}");
    lines.retain(|line| line["action"].is_string());
    (code, lines, last)
}

/// The numbers of the accepted videos whose url this chooses.
fn numbers(sandbox: &SandboxProcess, is_chosen: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let recorded = sandbox.recorded();
    let chosen = recorded.iter().filter(|video| is_chosen(video["url"].as_str().unwrap()));
    chosen.map(|video| video["video_no"].as_str().unwrap().to_owned()).collect()
}

/// Changes the videos that the next sandbox begins with.
fn edit_record(fixture: &CliFixture, edit: impl FnOnce(&mut Vec<Value>)) {
    let record = fixture.read("record.jsonl");
    let mut videos: Vec<Value> = record.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    edit(&mut videos);
    let lines: Vec<String> = videos.iter().map(Value::to_string).collect();
    fixture.write("record.jsonl", &(lines.join("\n") + "\n"));
}

/// A sandbox that starts again has another address: the ledger takes it, if there is one.
fn in_ledger_of(fixture: &CliFixture, sandbox: &SandboxProcess) {
    let path = fixture.path("state/telecine.db");
    if path.exists() {
        let ledger = rusqlite::Connection::open(path).unwrap();
        ledger.execute("UPDATE identity SET origin = ?1", [&sandbox.url]).unwrap();
    }
}

fn counts(fixture: &CliFixture) -> Value {
    let (code, out, err) = fixture.run(&["status", "--json"]);
    assert_eq!(code, 0, "{err}");
    serde_json::from_str(out.lines().last().unwrap()).unwrap()
}

#[test]
fn undo_lists_without_a_change_and_deletes_exactly_the_videos_of_the_run() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    manifest(&fixture, "first.csv", 0, 3);
    manifest(&fixture, "second.csv", 2, 8);
    import(&fixture, &sandbox, "first.csv");
    import(&fixture, &sandbox, "second.csv");
    let before = fs::read(fixture.path("record.jsonl")).unwrap();
    let (code, lines, last) = undo(&fixture, &sandbox, &["last", "--price", "2"]);
    assert_eq!((code, lines.len()), (6, 5), "clip-2 is of the first run: {last}");
    assert_eq!((&last["credits"], &last["deleted"]), (&Value::from("10"), &Value::from(0)), "{last}");
    let command = last["command"].as_str().unwrap();
    assert!(command.starts_with("telecine undo ") && command.ends_with(" --yes"), "{command}");
    assert_eq!(last["next_step"], command);
    assert_eq!(
        (fs::read(fixture.path("record.jsonl")).unwrap(), counts(&fixture)["items"]["deleted"].as_u64()),
        (before, Some(0))
    );
    // a part of it, by a column of the manifest
    let (code, lines, last) =
        undo(&fixture, &sandbox, &["last", "--where", "topic=geo", "--yes", "--why", "wrong"]);
    assert_eq!((code, &last["deleted"]), (0, &Value::from(2)), "{lines:?} {last}");
    let geo = numbers(&sandbox, |url| url.contains("clip-4.") || url.contains("clip-6."));
    assert_eq!(sandbox.deleted(), geo);
    let (code, _, err) = fixture.run(&against(&sandbox, &["undo", "last", "--where", "tropic=geo"]));
    assert!(code == 2 && err.contains("tropic") && err.contains("id, url, topic"), "{err}");
    let (code, _, last) = undo(&fixture, &sandbox, &["last", "--yes"]);
    assert_eq!(
        (code, &last["deleted"], &last["already_deleted"]),
        (0, &Value::from(3), &Value::from(2)),
        "{last}"
    );
    let of_run =
        numbers(&sandbox, |url| !["0.", "1.", "2."].iter().any(|n| url.contains(&format!("clip-{n}"))));
    assert_eq!(sandbox.deleted(), of_run);
    let (code, lines, _) = undo(&fixture, &sandbox, &["last", "--yes"]);
    assert_eq!((code, lines.len()), (0, 5), "all of them are deleted already");
    // the other commands know it
    let status = counts(&fixture);
    assert_eq!(
        (&status["items"]["deleted"], &status["items"]["indexed"]),
        (&Value::from(5), &Value::from(3)),
        "{status}"
    );
    assert_eq!(
        fixture.run(&["list", "--state", "deleted"]).1.lines().filter(|line| line.contains("clip-")).count(),
        5
    );
    let (_, explained, _) = fixture.run(&["explain", "R4"]);
    assert!(explained.contains("item 5: deleted") && explained.contains("wrong"), "{explained}");
    let (code, out, err) = fixture.run(&against(&sandbox, &["verify", "--list-rate", "20/s"]));
    assert!(
        code == 0 && out.contains("3 listed and in the ledger"),
        "a deleted video is not missing: {out}{err}"
    );
    assert_eq!(fixture.run(&["ledger", "check"]).0, 0);
    // rows are sent again only by order
    for flags in [&[][..], &["--retry-failed"], &["--on-drift", "resend"]] {
        let args = [&["import", "second.csv", "--rate", "50/s", "--list-rate", "20/s"], flags].concat();
        let (code, out, err) = fixture.run(&against(&sandbox, &args));
        assert!(code == 0 && out.contains("5 videos were deleted by undo"), "{flags:?}: {out}{err}");
    }
    assert_eq!(fixture.report_file("deleted.csv").lines().count(), 6);
    assert_eq!(sandbox.uploads(), 8);
    let args = ["import", "second.csv", "--rate", "50/s", "--list-rate", "20/s", "--reupload-deleted"];
    let (code, out, err) = fixture.run(&against(&sandbox, &args));
    assert!(code == 0 && err.contains("up to 5 videos that were deleted"), "{out}{err}");
    assert_eq!((sandbox.uploads(), counts(&fixture)["items"]["indexed"].as_u64()), (13, Some(8)));
}

#[test]
fn a_video_that_the_service_does_not_delete_is_reported_and_not_claimed_as_deleted() {
    let fixture = CliFixture::new();
    let ignores = ["--delete-fault-share", "1", "--delete-faults", "ignored"];
    let sandbox = SandboxProcess::start(&fixture, &ignores);
    manifest(&fixture, "m.csv", 0, 3);
    import(&fixture, &sandbox, "m.csv");
    let (code, lines, last) = undo(&fixture, &sandbox, &["last", "--yes"]);
    assert_eq!((code, &last["deleted"], &last["open"]), (6, &Value::from(0), &Value::from(3)), "{last}");
    let open: Vec<&Value> = lines.iter().filter(|line| line["action"] == "open").collect();
    assert!(open.len() == 3 && open[0]["reason"].as_str().unwrap().contains("still shows it"), "{lines:?}");
    let status = counts(&fixture);
    assert_eq!(
        (&status["items"]["deleted"], &status["deletions_open"]),
        (&Value::from(0), &Value::from(3)),
        "{status}"
    );
    assert!(fixture.run(&["explain", "R1"]).1.contains("not proven yet"));
    // where another run has nothing to delete, the one that is not finished is named
    let name = last["run"].as_str().unwrap();
    let command = format!("telecine undo {name} (3 videos)");
    manifest(&fixture, "more.csv", 0, 1);
    import(&fixture, &sandbox, "more.csv");
    let (code, _, last) = undo(&fixture, &sandbox, &["last", "--yes"]);
    assert!(code == 5 && last["reason"].as_str().unwrap().contains(&command), "{last}");
    assert!(fixture.run(&["status"]).1.contains(&command));
    let (code, out, _) = fixture.run(&against(&sandbox, &["verify", "--list-rate", "20/s"]));
    assert!(code == 5 && out.contains("3 ordered to be deleted, not proven yet"), "{out}");
}

#[test]
fn second_videos_are_deleted_and_the_oldest_is_kept() {
    let fixture = CliFixture::new();
    manifest(&fixture, "m.csv", 0, 3);
    {
        let sandbox = SandboxProcess::start(&fixture, &[]);
        import(&fixture, &sandbox, "m.csv");
    }
    // a proxy has repeated the second request
    let record = fixture.read("record.jsonl");
    let mut again: Value = serde_json::from_str(record.lines().nth(1).unwrap()).unwrap();
    let number: u64 = again["video_no"].as_str().unwrap().trim_start_matches("VI").parse().unwrap();
    let second = format!("VI{}", number + 1_000);
    again["video_no"] = second.clone().into();
    again["created_at"] = (again["created_at"].as_i64().unwrap() + 1).into();
    fixture.write("record.jsonl", &format!("{record}{again}\n"));
    let sandbox = SandboxProcess::start(&fixture, &[]);
    // the ledger is that of another address
    let ledger = rusqlite::Connection::open(fixture.path("state/telecine.db")).unwrap();
    ledger.execute("UPDATE identity SET origin = ?1", [&sandbox.url]).unwrap();
    drop(ledger);
    let (code, lines, last) = undo(&fixture, &sandbox, &["--duplicates"]);
    assert_eq!((code, lines.len()), (6, 1), "{lines:?} {last}");
    assert_eq!(
        (&lines[0]["video_no"], &lines[0]["action"]),
        (&Value::from(second.as_str()), &Value::from("delete"))
    );
    assert_eq!((lines[0]["line"].is_u64(), lines[0]["url"].is_string()), (true, true), "{lines:?}");
    assert!(sandbox.deleted().is_empty(), "it only lists");
    let (code, _, last) = undo(&fixture, &sandbox, &["--duplicates", "--yes"]);
    assert_eq!((code, &last["deleted"]), (0, &Value::from(1)), "{last}");
    assert_eq!(sandbox.deleted(), BTreeSet::from([second]));
    let (code, _, last) = undo(&fixture, &sandbox, &["--duplicates", "--yes"]);
    assert_eq!((code, &last["delete"]), (0, &Value::from(0)), "{last}");
    assert_eq!(counts(&fixture)["items"]["indexed"], 3);
    let (code, out, err) = fixture.run(&against(&sandbox, &["verify", "--list-rate", "20/s"]));
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(fixture.run(&["ledger", "check"]).0, 0);
}

#[test]
fn videos_that_carry_the_markers_of_each_other_are_reported_with_their_rows() {
    let fixture = CliFixture::new();
    manifest(&fixture, "m.csv", 0, 3);
    {
        let sandbox = SandboxProcess::start(&fixture, &[]);
        import(&fixture, &sandbox, "m.csv");
    }
    edit_record(&fixture, |videos| {
        let (first, second) = (videos[0]["tags"].take(), videos[1]["tags"].take());
        (videos[0]["tags"], videos[1]["tags"]) = (second, first);
    });
    let sandbox = SandboxProcess::start(&fixture, &[]);
    in_ledger_of(&fixture, &sandbox);
    let videos = sandbox.recorded();
    let (code, out, err) = fixture.run(&against(&sandbox, &["verify", "--json", "--list-rate", "20/s"]));
    let last: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    let namespace = &last["namespaces"][0];
    assert_eq!(
        (code, &namespace["findings"]["other_marker"], &namespace["matched"], &namespace["bound"]),
        (6, &Value::from(2), &Value::from(1), &Value::from(3)),
        "{out}{err}"
    );
    let path = last["files"][1]["path"].as_str().unwrap();
    let findings = fixture.read(path);
    // requests that leave at the same time arrive in any order
    let item_of = |video: &Value| {
        let url = video["url"].as_str().unwrap();
        (0..3).find(|row| url.ends_with(&format!("clip-{row}.mp4"))).unwrap() + 1
    };
    for (video, swapped) in [(&videos[0], &videos[1]), (&videos[1], &videos[0])] {
        let (own, other) = (item_of(video), item_of(swapped));
        let start = format!("other_marker,default,{},{own},", video["video_no"].as_str().unwrap());
        let line = findings.lines().find(|line| line.starts_with(&start)).unwrap_or_default();
        assert!(line.ends_with(&format!("its marker names item {other}")), "{findings}");
    }
    // nothing is sent or bound by it, and a run says it at its end
    manifest(&fixture, "more.csv", 3, 4);
    let (_, _, err) =
        fixture.run(&against(&sandbox, &["import", "more.csv", "--rate", "20/s", "--list-rate", "20/s"]));
    assert!(err.contains("2 videos are of one row in the ledger, with the marker of another row"), "{err}");
    assert_eq!(sandbox.uploads(), 4);
}

/// Imports one row whose video fails and is replaced. The first video is searchable after all, and the sandbox runs again.
fn replaced(fixture: &CliFixture) -> (SandboxProcess, String, String) {
    manifest(fixture, "m.csv", 0, 1);
    let fast = ["import", "m.csv", "--rate", "50/s", "--list-rate", "20/s", "--quiet", "--retry-failed"];
    for share in ["1", "0"] {
        let sandbox = SandboxProcess::start(fixture, &["--fail-share", share]);
        in_ledger_of(fixture, &sandbox);
        let (code, out, err) = fixture.run(&against(&sandbox, &fast));
        assert_eq!(code, if share == "1" { 4 } else { 0 }, "{out}{err}");
    }
    edit_record(fixture, |videos| videos[0]["fails"] = false.into());
    let sandbox = SandboxProcess::start(fixture, &[]);
    in_ledger_of(fixture, &sandbox);
    let [first, second] = &sandbox.recorded()[..] else { panic!("{:?}", sandbox.recorded()) };
    let number = |video: &Value| video["video_no"].as_str().unwrap().to_owned();
    let numbers = (number(first), number(second));
    (sandbox, numbers.0, numbers.1)
}

#[test]
fn of_a_replaced_video_that_is_searchable_and_its_younger_one_the_user_chooses_which_is_kept() {
    let fixture = CliFixture::new();
    let (sandbox, first, second) = replaced(&fixture);
    let (code, lines, last) = undo(&fixture, &sandbox, &["--duplicates", "--yes"]);
    assert_eq!((code, &last["delete"], &last["kept"]), (0, &Value::from(0), &Value::from(1)), "{last}");
    let reason = lines[0]["reason"].as_str().unwrap();
    assert!(reason.contains("--keep-bound deletes the older one"), "{reason}");
    assert!(reason.contains("telecine undo RUN (telecine explain 1 names the run)"), "{reason}");
    let (code, lines, last) = undo(&fixture, &sandbox, &["--duplicates", "--keep-bound"]);
    assert_eq!((code, lines[0]["video_no"].as_str()), (6, Some(first.as_str())), "{lines:?}");
    assert!(last["command"].as_str().unwrap().contains("--duplicates --keep-bound"), "{last}");
    let (code, _, last) = undo(&fixture, &sandbox, &["--duplicates", "--keep-bound", "--yes"]);
    assert_eq!((code, &last["deleted"]), (0, &Value::from(1)), "{last}");
    assert_eq!(sandbox.deleted(), BTreeSet::from([first]));
    let (code, out, err) = fixture.run(&against(&sandbox, &["verify", "--list-rate", "20/s"]));
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(fixture.run(&["ledger", "check"]).0, 0);

    // the other choice, as the message names it
    let fixture = CliFixture::new();
    let (sandbox, first, other) = replaced(&fixture);
    assert_ne!(other, second);
    let (code, _, last) = undo(&fixture, &sandbox, &["last", "--yes"]);
    assert_eq!((code, &last["deleted"]), (0, &Value::from(1)), "{last}");
    assert_eq!(sandbox.deleted(), BTreeSet::from([other]));
    let again = ["import", "m.csv", "--rate", "50/s", "--list-rate", "20/s", "--quiet", "--reupload-deleted"];
    let (code, out, err) = fixture.run(&against(&sandbox, &again));
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(sandbox.recorded().len(), 2, "nothing more is uploaded");
    assert!(fixture.run(&["list"]).1.contains(&first));
}

#[test]
fn a_row_whose_video_failed_is_bound_to_its_second_one_as_the_message_says() {
    let fixture = CliFixture::new();
    manifest(&fixture, "m.csv", 0, 1);
    let import = ["import", "m.csv", "--rate", "50/s", "--list-rate", "20/s", "--quiet"];
    {
        let sandbox = SandboxProcess::start(&fixture, &["--fail-share", "1"]);
        assert_eq!(fixture.run(&against(&sandbox, &import)).0, 4);
    }
    edit_record(&fixture, |videos| {
        let mut again = videos[0].clone();
        let number: u64 = again["video_no"].as_str().unwrap()[2..].parse().unwrap();
        again["video_no"] = format!("VI{}", number + 1_000).into();
        again["created_at"] = (again["created_at"].as_i64().unwrap() + 1).into();
        again["fails"] = false.into();
        videos.push(again);
    });
    let sandbox = SandboxProcess::start(&fixture, &[]);
    in_ledger_of(&fixture, &sandbox);
    let (_, lines, _) = undo(&fixture, &sandbox, &["--duplicates"]);
    assert!(
        lines[0]["reason"].as_str().unwrap().contains("the import with --retry-failed binds"),
        "{lines:?}"
    );
    let (code, out, err) = fixture.run(&against(&sandbox, &[&import[..], &["--retry-failed"]].concat()));
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(sandbox.recorded().len(), 2, "nothing is uploaded");
    // the failed one was replaced, and is no second video
    let (code, lines, last) = undo(&fixture, &sandbox, &["--duplicates", "--yes"]);
    assert_eq!((code, lines.len(), &last["delete"]), (0, 0, &Value::from(0)), "{lines:?}");
}

#[test]
fn videos_of_others_that_are_named_are_not_reported_as_foreign() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    manifest(&fixture, "m.csv", 0, 3);
    import(&fixture, &sandbox, "m.csv");
    // another ledger sends into the same namespace
    fixture.write("theirs.csv", "url\nhttps://other/a.mp4\nhttps://other/b.mp4\n");
    let theirs = ["import", "theirs.csv", "--ledger", "theirs.db", "--second-ledger", "--out-dir", "theirs"];
    let (code, out, err) = fixture.run(&against(&sandbox, &[&theirs[..], &["--rate", "50/s"]].concat()));
    assert_eq!(code, 0, "{out}{err}");
    let verify = |args: &[&str]| {
        fixture.run(&against(
            &sandbox,
            &[&["verify", "--list-rate", "20/s", "--ledger", "state/telecine.db"], args].concat(),
        ))
    };
    let (code, out, _) = verify(&[]);
    assert!(code == 6 && out.contains("2 sent by another ledger"), "{out}");
    let success = fixture.report_in("theirs").join("success.csv");
    let (code, out, err) = verify(&["--allow", success.to_str().unwrap()]);
    assert!(code == 0 && out.contains("2 of others, named by --allow"), "{out}{err}");
    let number = numbers(&sandbox, |url| url.ends_with("/a.mp4")).pop_first().unwrap();
    fixture.write("one.txt", &format!("# theirs\n{number}\n"));
    let (code, out, _) = verify(&["--allow", "one.txt", "--json"]);
    let last: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!((code, &last["namespaces"][0]["allowed"]), (6, &Value::from(1)), "{last}");
    assert_eq!(last["namespaces"][0]["findings"]["foreign"], 1, "{last}");
    fixture.write("bad.txt", "VI0001\nnot a number\n");
    let (code, out, err) = verify(&["--allow", "bad.txt"]);
    assert!(code == 2 && err.contains("bad.txt:2: "), "{out}{err}");
}

#[test]
fn an_undo_beside_a_running_import_lists_nothing_as_deleted() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    manifest(&fixture, "m.csv", 0, 3);
    import(&fixture, &sandbox, "m.csv");
    manifest(&fixture, "m.csv", 0, 9);
    let slow = against(&sandbox, &["import", "m.csv", "--rate", "1/1000s"]);
    let running = crate::support::running::Running::start(&fixture, &slow);
    crate::support::running::wait_for("an upload", || sandbox.uploads() > 3);
    let first = fixture.run(&["runs", "--json"]).1;
    let first: Value = serde_json::from_str(first.lines().last().unwrap()).unwrap();
    let run = first["runs"][1]["run"].as_str().unwrap();
    let (code, out, err) = fixture.run(&against(&sandbox, &["undo", run, "--yes"]));
    assert!(code == 12 && err.contains("in use") && !out.contains("delete"), "{code}: {out}{err}");
    drop(running);
    let (code, out, _) = fixture.run(&against(&sandbox, &["undo", "--duplicates"]));
    assert!(code == 0 && out.contains("there is no second video to delete"), "{out}");
}

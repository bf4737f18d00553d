//! The real binary with files on this machine: what is sent, cuts, kills and changes.

mod folders;

use std::{
    ffi::OsStr,
    fmt::Write as _,
    fs::{self, File},
    io::Write as _,
    os::unix::{ffi::OsStrExt as _, fs::symlink},
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::support::{
    cli::{CliFixture, SandboxProcess},
    running::{against, wait_for},
    service::{Answer, Service, ended, importing},
};

/// What every import of these tests says, against a service of its own.
fn import(folder: &Path, service: &Service, args: &[&str]) -> Command {
    importing(folder, &service.url, &[&["--files-root", "videos", "--rate", "50/s"], args].concat())
}

/// A folder with these files below `videos/`, each with its own bytes, and a manifest that names them.
fn folder_with(files: &[(&str, usize)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("videos")).unwrap();
    for (name, size) in files {
        write(folder.path(), name, *size);
    }
    let names: Vec<String> = files.iter().map(|(name, _)| format!("{name}\n")).collect();
    fs::write(folder.path().join("m.csv"), format!("url\n{}", names.concat())).unwrap();
    folder
}

fn write(folder: &Path, name: &str, size: usize) {
    fs::write(folder.join("videos").join(name), content(name, size)).unwrap();
}

/// Bytes of a file, with line breaks and dashes among them.
fn content(name: &str, size: usize) -> Vec<u8> {
    name.bytes().chain(*b"\r\n--\r\n").chain(0..=255).cycle().take(size).collect()
}

#[track_caller]
fn end(output: &Output, code: i32) -> String {
    let (found, text) = ended(output);
    assert_eq!(found, code, "{text}");
    text
}

#[test]
fn files_are_sent_byte_for_byte_under_their_names_whatever_these_contain() {
    let service = Service::start(Answer::Accept);
    let folder = tempfile::tempdir().unwrap();
    let videos = folder.path().join("videos/sub");
    fs::create_dir_all(&videos).unwrap();
    let names: [(&[u8], &str, &str); 6] = [
        (b"a b.mp4", "a b.mp4", "video/mp4"),
        (b"\"it's\" 50%20.MOV", "%22it's%22 50%20.MOV", "video/quicktime"),
        ("ä🎬.mkv".as_bytes(), "ä🎬.mkv", "video/x-matroska"),
        (b"#1?x=1&y;z.avi", "#1?x=1&y;z.avi", "video/x-msvideo"),
        (b"line\nbreak.mp4", "line%0Abreak.mp4", "video/mp4"),
        (b"caf\xe9.mp4", "caf\u{fffd}.mp4", "video/mp4"),
    ];
    let mut manifest = "url,tags\n".to_owned();
    for (number, (name, _, _)) in names.iter().enumerate() {
        fs::write(videos.join(OsStr::from_bytes(name)), content("x", 300_000 + number)).unwrap();
        let address = |name: &str| format!("file://{}/{name}", fs::canonicalize(&videos).unwrap().display());
        let cell = match std::str::from_utf8(name) {
            Ok("line\nbreak.mp4") => address("line%0Abreak.mp4"),
            Ok(name) => format!("sub/{}", name.replace('"', "\"\"")),
            // no cell holds it as it is
            Err(_) => address("caf%E9.mp4"),
        };
        writeln!(manifest, "\"{cell}\",\"a,b;t{number}\"").unwrap();
    }
    fs::write(folder.path().join("m.csv"), manifest).unwrap();
    let text = end(&import(folder.path(), &service, &[]).output().unwrap(), 0);
    assert!(text.contains("6 searchable"), "{text}");
    let mut files = service.files();
    files.sort_by_key(|(_, _, bytes, _)| bytes.len());
    for (number, ((_, name, media_type), file)) in names.iter().zip(&files).enumerate() {
        assert_eq!((&*file.0, &*file.1), (*name, *media_type));
        assert!(file.2 == content("x", 300_000 + number), "{name}: other bytes");
        assert_eq!(file.3[..3], ["a", "b", &format!("t{number}")]);
        assert!(file.3[3].starts_with("telecine:"), "{:?}", file.3);
    }
    // the same again is nothing to do
    end(&import(folder.path(), &service, &[]).output().unwrap(), 0);
    assert_eq!(service.uploads(), 6);
}

#[test]
fn nothing_outside_the_root_is_sent_and_check_says_the_same_as_import() {
    let service = Service::start(Answer::Accept);
    let folder = folder_with(&[("a.mp4", 10), ("empty.mp4", 0), ("a.webm", 10)]);
    fs::write(folder.path().join("secret.mp4"), "secret").unwrap();
    symlink("../secret.mp4", folder.path().join("videos/link.mp4")).unwrap();
    File::create(folder.path().join("videos/large.mp4")).unwrap().set_len(3_000_000_001).unwrap();
    let secret = fs::canonicalize(folder.path().join("secret.mp4")).unwrap();
    let rows = [
        ("a.mp4", "good"),
        ("../secret.mp4", "file_parent"),
        (secret.to_str().unwrap(), "file_outside_root"),
        (&format!("file://{}", secret.display()), "file_outside_root"),
        ("link.mp4", "file_outside_root"),
        ("empty.mp4", "file_empty"),
        ("a.webm", "file_ending"),
        ("large.mp4", "file_too_large"),
        ("none.mp4", "file_missing"),
        ("/etc/passwd", "file_outside_root"),
        ("file://nas/a.mp4", "url_file_host"),
    ];
    let lines: Vec<String> = rows.iter().map(|(row, _)| format!("{row}\n")).collect();
    fs::write(folder.path().join("m.csv"), format!("url\n{}", lines.concat())).unwrap();
    let check = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_telecine"));
        ended(
            &command
                .current_dir(folder.path())
                .env_clear()
                .args(["check", "m.csv"])
                .args(args)
                .output()
                .unwrap(),
        )
    };
    let (code, text) = check(&["--files-root", "videos"]);
    assert_eq!(code, 4, "{text}");
    let imported = end(&import(folder.path(), &service, &[]).output().unwrap(), 4);
    let runs: Vec<_> = fs::read_dir(folder.path().join("state/reports")).unwrap().collect();
    let report = runs[0].as_ref().unwrap().path();
    let rejects = fs::read_to_string(report.join("rejects.csv")).unwrap();
    for (row, class) in rows.iter().skip(1) {
        assert!(text.contains(class), "{class}: {text}");
        let line = rejects.lines().find(|line| line.starts_with(&format!("{row},"))).unwrap();
        assert!(line.contains(&format!(",{class},")), "{class}: {line}");
    }
    assert!(imported.contains("1 searchable"), "{imported}");
    assert_eq!(service.files().len(), 1);
    // without the flag no row names a file
    let (code, text) = check(&[]);
    assert!(code == 3 && text.contains("url_local_path") && text.contains("--files-root DIR"), "{text}");
    assert_eq!(service.uploads(), 1);
}

/// The rows of the ledger of a folder in each state, as `status --json` has them.
fn states(folder: &Path, service: &Service) -> serde_json::Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_telecine"));
    command.current_dir(folder).env_clear().env("HOME", folder).args(["status", "--json"]);
    let output = command.env("TELECINE_API_URL", &service.url).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

#[test]
fn a_run_that_is_killed_in_the_middle_of_a_file_leaves_it_in_doubt_and_does_not_send_it_again() {
    let size = 20_000_000;
    let service =
        Service::scripted(|number| if number == 1 { Answer::HoldBody(200_000) } else { Answer::Accept });
    let folder = folder_with(&[("a.mp4", size), ("b.mp4", 1_000)]);
    // a quiet time of one second: only the time at which bytes may have left keeps the row from being sent again
    let quick = ["--settle-after", "1s", "--concurrency", "1", "--wait", "12s"];
    let mut running =
        import(folder.path(), &service, &quick).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("the beginning of the file", || service.body_read() >= 200_000);
    running.kill().unwrap();
    running.wait().unwrap();
    let text = end(&import(folder.path(), &service, &quick).output().unwrap(), 5);
    assert!(text.contains("in doubt"), "{text}");
    let files: Vec<String> = service.files().into_iter().map(|(name, ..)| name).collect();
    assert_eq!(files, ["b.mp4"]);
    assert_eq!(service.uploads(), 2, "the file in doubt was sent again");
    assert_eq!(states(folder.path(), &service)["items"]["in_doubt"], 1);
}

#[test]
fn a_body_that_the_server_cuts_is_a_doubt_and_an_answer_that_is_lost_is_found_by_its_marker() {
    let fixture = CliFixture::new();
    fs::create_dir(fixture.path("videos")).unwrap();
    for name in ["a.mp4", "b.mp4", "c.mp4"] {
        fs::write(fixture.path("videos").join(name), content(name, 3_000_000)).unwrap();
    }
    fixture.write("m.csv", "url\na.mp4\nb.mp4\nc.mp4\n");
    let sandbox = SandboxProcess::start(&fixture, &["--file-cuts", "1:1MiB", "--faults-at", "1:cut-after"]);
    let flags = ["--files-root", "videos", "--rate", "1/s", "--concurrency", "1", "--settle-after", "1m"];
    let args = against(&sandbox, &[&["import", "m.csv"], &flags[..]].concat());
    // a.mp4 was cut: its row waits until no byte of it can be on its way. The answer to b.mp4 was lost
    let (code, out, err) = fixture.run(&[&args[..], &["--wait", "30s"]].concat());
    assert_eq!(code, 5, "{out}{err}");
    assert!(out.contains("1 in doubt") && out.contains("2 searchable"), "{out}{err}");
    assert!(err.contains("a.mp4: no clear answer"), "{err}");
    sandbox.assert_each_accepted_once(2);
    let sizes: Vec<u64> =
        sandbox.recorded().iter().map(|video| video["file_size"].as_u64().unwrap()).collect();
    assert_eq!(sizes, [3_000_000, 3_000_000]);
}

#[test]
fn a_file_that_changed_since_its_row_was_read_is_not_sent_as_it_was_read() {
    let service = Service::scripted(|number| match number {
        // the other file changes while this one is sent
        1 => Answer::HoldBody(100_000),
        _ => Answer::Accept,
    });
    let folder = folder_with(&[("a.mp4", 10_000_000), ("b.mp4", 1_000), ("c.mp4", 1_000)]);
    let args = ["--concurrency", "1", "--request-timeout", "5s", "--wait", "1s"];
    let running =
        import(folder.path(), &service, &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the beginning of the file", || service.body_read() >= 100_000);
    write(folder.path(), "b.mp4", 2_000);
    let text = end(&running.wait_with_output().unwrap(), 5);
    assert!(
        text.contains("b.mp4: not sent: the file changed since its row was read: it had 1000 bytes"),
        "{text}"
    );
    assert!(text.contains("no byte was taken for 5 s, after"), "{text}");
    assert_eq!(service.files().into_iter().map(|(name, ..)| name).collect::<Vec<_>>(), ["c.mp4"]);
    // read again, it is what it is now
    let text = end(&import(folder.path(), &service, &["--wait", "5s"]).output().unwrap(), 5);
    let sent = service.files().into_iter().find(|(name, ..)| name == "b.mp4");
    assert_eq!(sent.map(|(_, _, bytes, _)| bytes.len()), Some(2_000), "{text}");
}

#[test]
fn a_file_that_changes_while_it_is_sent_is_cut_before_its_end() {
    let service = Service::scripted(|number| {
        if number == 1 { Answer::AcceptAfter(std::time::Duration::ZERO) } else { Answer::Accept }
    });
    let folder = folder_with(&[("a.mp4", 1_000)]);
    let path = folder.path().join("videos/a.mp4");
    // it is read while the limit on the bandwidth holds it back
    File::options().write(true).open(&path).unwrap().set_len(30_000_000).unwrap();
    let running = import(folder.path(), &service, &["--wait", "1s", "--bwlimit", "4MiB"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("the beginning of the file", || service.body_read() >= 1_000_000);
    File::options().append(true).open(&path).unwrap().write_all(b"more").unwrap();
    let text = end(&running.wait_with_output().unwrap(), 5);
    assert!(text.contains("the file changed while it was sent; the request was cut"), "{text}");
    assert!(service.files().is_empty(), "what was not the file was made a video");
}

#[test]
fn an_answer_to_a_file_is_judged_also_before_its_end() {
    const LARGE: &str = "HTTP/1.1 413 Payload Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let service = Service::scripted(|number| match number {
        1 => Answer::Early(LARGE),
        2 => Answer::CutBody(100_000),
        _ => Answer::Accept,
    });
    let folder = folder_with(&[("a.mp4", 3_000_000), ("b.mp4", 3_000_000), ("c.mp4", 1_000)]);
    let args = ["--concurrency", "1", "--wait", "1s"];
    let text = end(&import(folder.path(), &service, &args).output().unwrap(), 5);
    assert!(text.contains("a.mp4: rejected by the service: the file is too large (HTTP 413"), "{text}");
    assert!(text.contains("b.mp4: no clear answer"), "{text}");
    assert_eq!(service.files().len(), 1);
}

/// A telecine command in a folder, without a service.
fn telecine(folder: &Path, args: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_telecine"));
    ended(&command.current_dir(folder).env_clear().env("HOME", folder).args(args).output().unwrap())
}

#[test]
fn how_far_files_are_is_told_in_bytes_while_they_are_sent() {
    let service = Service::start(Answer::Accept);
    let folder = folder_with(&[("a.mp4", 3_000_000), ("b.mp4", 2_000_000)]);
    let running = import(folder.path(), &service, &["--bwlimit", "1MiB/s", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the beginning of a file", || service.body_read() > 0);
    let status = states(folder.path(), &service);
    let files = &status["running"]["files"];
    assert!(files["size"] == 3_000_000 || files["size"] == 5_000_000, "{status}");
    assert!(files["sent"].as_u64() <= files["size"].as_u64(), "{status}");
    let (_, text) = telecine(folder.path(), &["status"]);
    assert!(text.contains("sending ") && text.contains(" MB"), "{text}");
    let output = running.wait_with_output().unwrap();
    let (code, text) = ended(&output);
    assert_eq!(code, 0, "{text}");
    let events: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<&serde_json::Value> =
        events.iter().filter(|event| event["event"] == "sending_files").collect();
    // 5 MB at 1 MiB/s: at the beginning, every two seconds, and at the end of each file
    assert!(told.len() >= 4, "{told:?}");
    let rates: Vec<u64> = told.iter().map(|event| event["bytes_per_second"].as_u64().unwrap()).collect();
    assert!(rates.iter().any(|rate| (500_000..1_600_000).contains(rate)), "{rates:?}");
    let last = told.last().unwrap();
    assert!(last["files"] == 0 && last["size"] == 0, "{last}");
    assert_eq!(states(folder.path(), &service)["running"], serde_json::Value::Null);
}

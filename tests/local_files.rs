//! The real binary with files on this machine: which are taken, how they are sent, and what becomes of requests that are cut.

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
fn a_folder_is_a_manifest_of_the_videos_in_it() {
    let service = Service::start(Answer::Accept);
    let folder =
        folder_with(&[("b.mp4", 10), ("a.MOV", 11), ("notes.txt", 5), (".hidden.mp4", 9), ("empty.mp4", 0)]);
    let videos = folder.path().join("videos");
    fs::create_dir_all(videos.join("2019/fog, \"x\"")).unwrap();
    fs::create_dir_all(videos.join(".cache")).unwrap();
    fs::write(videos.join("2019/fog, \"x\"/c\u{1f3ac}.mkv"), content("c", 12)).unwrap();
    fs::write(videos.join(OsStr::from_bytes(b"2019/caf\xe9.avi")), content("d", 13)).unwrap();
    fs::write(videos.join(".cache/x.mp4"), "x").unwrap();
    symlink("b.mp4", videos.join("link.mp4")).unwrap();
    symlink("/", videos.join("root")).unwrap();
    fs::write(folder.path().join("tags.csv"), "file,labels\nb.mp4,\"fog;dune\"\n").unwrap();
    let args = ["--map", "tags=path[1]+labels", "--join", "tags.csv:name=file"];
    let (code, text) = telecine(folder.path(), &[&["check", "videos/"], &args[..]].concat());
    assert_eq!(code, 4, "{text}");
    for said in [
        "a listing of 5 files",
        "left out of the listing: 2 hidden files and folders, 2 symbolic links",
        "1 file has none of the endings .mp4, .mov, .mkv and .avi (first: notes.txt)",
        "4 good",
        "1 file_empty",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let import = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_telecine"));
        command
            .current_dir(folder.path())
            .env_clear()
            .env("HOME", folder.path())
            .env("MEMORIES_API_KEY", crate::support::service::KEY);
        command.args([
            "import",
            "videos/",
            "--api-url",
            &service.url,
            "--rate",
            "50/s",
            "--list-rate",
            "500/s",
        ]);
        command.args(args).output().unwrap()
    };
    end(&import(&args), 4);
    let mut files = service.files();
    files.sort_by_key(|(.., bytes, _)| bytes.len());
    let names: Vec<&str> = files.iter().map(|(name, ..)| &**name).collect();
    assert_eq!(names, ["b.mp4", "a.MOV", "c\u{1f3ac}.mkv", "caf\u{fffd}.avi"]);
    let tags: Vec<String> = files.iter().map(|(.., tags)| tags[..tags.len() - 1].join("+")).collect();
    assert_eq!(tags, ["fog+dune", "", "2019", "2019"]);
    // a new file is sent, and a file that is gone is no row
    write(folder.path(), "new.mp4", 14);
    fs::remove_file(videos.join("empty.mp4")).unwrap();
    fs::remove_file(videos.join("b.mp4")).unwrap();
    end(&import(&args), 0);
    assert_eq!(service.uploads(), 5);
    // the ledger lies beside the folder, not in it
    assert!(folder.path().join("state").exists() && !videos.join("state").exists());
}

#[test]
fn patterns_choose_files_of_a_folder_and_a_folder_without_videos_is_said() {
    let folder = folder_with(&[("a.mp4", 1), ("b.mov", 1), ("notes.txt", 1)]);
    fs::create_dir(folder.path().join("videos/raw")).unwrap();
    write(folder.path(), "raw/c.mp4", 1);
    let (_, text) = telecine(folder.path(), &["check", "videos", "--include", "*.mp4", "--exclude", "raw/*"]);
    assert!(text.contains("a listing of 1 file") && text.contains("1 good"), "{text}");
    assert!(text.contains("left out of the listing: 3 files by --include and --exclude"), "{text}");
    fs::create_dir(folder.path().join("texts")).unwrap();
    fs::write(folder.path().join("texts/a.txt"), "x").unwrap();
    let (code, text) = telecine(folder.path(), &["check", "texts"]);
    assert!(
        code == 3
            && text.contains(
                "texts: there is nothing to read: its only file is no row: 1 file has none of the endings"
            ),
        "{text}"
    );
    let (code, text) = telecine(folder.path(), &["check", "m.csv", "--include", "*.mp4"]);
    assert!(code == 2 && text.contains("--include is for a bucket or a folder"), "{text}");
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

#[test]
fn files_are_probed_by_their_containers_and_only_those_that_are_supported_and_unchanged_are_sent() {
    let service = Service::start(Answer::Accept);
    let folder = tempfile::tempdir().unwrap();
    let videos = folder.path().join("videos");
    fs::create_dir(&videos).unwrap();
    let media = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/media");
    for (media_name, name) in [
        ("h264.mp4", "good.mp4"),
        ("h264.mp4", "later.mp4"),
        ("h265.mov", "good.mov"),
        ("h264.mkv", "good.mkv"),
        ("av1.mp4", "codec.mp4"),
        ("audio.m4a", "sound.mp4"),
    ] {
        fs::copy(media.join(media_name), videos.join(name)).unwrap();
    }
    fs::write(videos.join("page.mp4"), "<!doctype html><p>log in").unwrap();
    fs::write(videos.join("tape.avi"), b"RIFF\x10\0\0\0AVI LIST").unwrap();
    // the index of this one is behind all its bytes
    let whole = fs::read(media.join("h264.mp4")).unwrap();
    fs::write(videos.join("cut.mp4"), &whole[..whole.len() / 2]).unwrap();
    let names = [
        "good.mp4",
        "later.mp4",
        "good.mov",
        "good.mkv",
        "codec.mp4",
        "sound.mp4",
        "page.mp4",
        "tape.avi",
        "cut.mp4",
    ];
    fs::write(folder.path().join("m.csv"), format!("url\n{}\n", names.join("\n"))).unwrap();
    let check = || {
        let (code, text) =
            telecine(folder.path(), &["check", "m.csv", "--files-root", "videos", "--probe", "--json"]);
        let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        (code, last)
    };
    let (code, last) = check();
    let probed = &last["probe"];
    assert_eq!(
        (code, &probed["supported"], &probed["unsupported"], &probed["kept"]),
        (4, &4.into(), &4.into(), &0.into()),
        "{last}"
    );
    for class in ["codec", "no_video_track", "page", "broken"] {
        assert_eq!(probed["unsupported_by"][class]["rows"], 1, "{class}: {last}");
    }
    assert_eq!(probed["unclear_by"]["other_container"]["rows"], 1, "{last}");
    assert_eq!(check().1["probe"]["kept"], 4, "what is supported is not read again");
    // a file that changes was not probed
    fs::copy(media.join("h264.mkv"), videos.join("later.mp4")).unwrap();
    let (_, text) =
        ended(&import(folder.path(), &service, &["--probed-only", "--no-wait"]).output().unwrap());
    let mut sent: Vec<String> = service.files().into_iter().map(|(name, ..)| name).collect();
    sent.sort_unstable();
    assert_eq!(sent, ["good.mkv", "good.mov", "good.mp4"], "{text}");
}

/// An MP4 file with a time in its container (seconds since 1904), and perhaps a place.
fn film(seconds: u32, place: &str) -> Vec<u8> {
    let boxed = |kind: &str, body: &[u8]| {
        let size = u32::try_from(body.len() + 8).unwrap().to_be_bytes();
        [&size, kind.as_bytes(), body].concat()
    };
    let header = boxed("mvhd", &[&[0; 4], seconds.to_be_bytes().as_slice(), &[0; 92]].concat());
    let text =
        [&u16::try_from(place.len()).unwrap().to_be_bytes(), [0x15, 0xc7].as_slice(), place.as_bytes()];
    let mut text = boxed("_xyz", &text.concat());
    text[4] = 0xa9;
    let places = if place.is_empty() { Vec::new() } else { boxed("udta", &text) };
    [boxed("ftyp", b"isom"), boxed("mdat", &[7; 900]), boxed("moov", &[header, places].concat())].concat()
}

#[test]
fn what_a_file_says_of_its_recording_feeds_only_what_a_rule_names() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("videos")).unwrap();
    // 2019-05-06 07:08:09 in UTC, and a clock that was never set
    for (name, bytes) in [
        ("a.mp4", film(3_639_971_289, "+52.5200+013.4050/")),
        ("b.MOV", film(0, "+00.0000+000.0000/")),
        ("c.mkv", b"no box at all".to_vec()),
        ("d.mp4", film(3_639_971_289, "+52.5200+013.4050/")[..940].to_vec()),
    ] {
        fs::write(folder.path().join("videos").join(name), bytes).unwrap();
    }
    let previewed = |args: &[&str]| -> Vec<Vec<String>> {
        let (_, text) =
            telecine(folder.path(), &[&["preview", "videos/", "--json", "-n", "9"], args].concat());
        let rows = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let fields = |row: serde_json::Value| {
            let fields = row["fields"].as_array()?.clone();
            let wanted = ["latitude", "longitude", "datetime_taken"];
            let text = |field: &serde_json::Value| {
                format!("{}={}", field[0].as_str().unwrap(), field[1].as_str().unwrap())
            };
            Some(
                fields
                    .iter()
                    .map(text)
                    .filter(|field| wanted.iter().any(|own| field.starts_with(own)))
                    .collect(),
            )
        };
        rows.filter_map(fields).collect()
    };
    let (of_media, none) = (["--from-media"], Vec::<String>::new());
    assert_eq!(previewed(&of_media), vec![none.clone(); 4], "no rule names the columns");
    let rules = ["--map", "datetime=media.created", "--map", "geo=media.location"];
    let first = ["latitude=52.52", "longitude=13.405", "datetime_taken=2019-05-06 07:08:09"]
        .map(str::to_owned)
        .to_vec();
    assert_eq!(previewed(&[&of_media[..], &rules].concat()), [first, none.clone(), none.clone(), none]);
    let (code, text) = telecine(folder.path(), &[&["check", "videos/", "--from-media"], &rules[..]].concat());
    assert_eq!(code, 0, "{text}");
    for said in [
        "1 file has its time in media.created from the container (first: a.mp4); that is UTC by the standard",
        "3 files have no time of recording that can be read (first: b.MOV)",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    // without the flag there are no such columns, and a file of rows has none
    assert_eq!(telecine(folder.path(), &[&["check", "videos/"], &rules[..]].concat()).0, 3);
    fs::write(folder.path().join("m.csv"), "url\na.mp4\n").unwrap();
    let (code, text) = telecine(folder.path(), &["check", "m.csv", "--files-root", "videos", "--from-media"]);
    assert!(code == 2 && text.contains("--from-media is for a folder as the manifest"), "{code} {text}");
}

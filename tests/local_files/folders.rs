//! The real binary with a folder as the manifest, and what files say of themselves.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::symlink},
    path::Path,
    process::Command,
};

use crate::support::service::{Answer, Service, ended};

use super::{content, end, folder_with, import, telecine, write};

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

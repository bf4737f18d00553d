//! Manifests as other systems wrote them, through the real binary to the service's side.

mod guess;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::support::cli::{self, AcceptedVideo, CliFixture, SandboxProcess};

/// The real manifests of this field, where they are at hand.
fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/manifests").join(name);
    if !path.exists() {
        cli::skipped(&format!("the real manifest {name} is not on this machine"));
        return None;
    }
    path.canonicalize().ok()
}

/// Guesses, with one correction, writes that down, and imports by it alone.
fn guess_and_import(
    manifest: &Path,
    correction: &str,
    reason: &str,
) -> (BTreeMap<String, AcceptedVideo>, String) {
    let fixture = CliFixture::new();
    let path = manifest.display().to_string();
    let (code, out, err) = fixture.run(&["guess", &path, "--map", correction, "--write"]);
    assert_eq!(code, 0, "{out}{err}");
    let sandbox = SandboxProcess::start(&fixture, &["--answer-delay", "1ms..5ms", "--index-delay", "1h"]);
    let service = ["--api-url", &sandbox.url, "--ledger", "l.db", "--no-wait", "-j", "64"];
    let limits = ["--rate", "5000/s", "--list-rate", "100/s"];
    let (code, out, err) = fixture.run(&[&["import", &path], &service[..], &limits[..]].concat());
    assert!(code == 5 && out.contains(reason), "{code}: {out}{err}");
    (sandbox.accepted_videos(), err)
}

/// Texts split at a separator, trimmed, each once.
fn split<'a>(texts: impl Iterator<Item = &'a str>, separator: char) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    for tag in texts.flat_map(|text| text.split(separator)).map(str::trim).filter(|tag| !tag.is_empty()) {
        if !tags.iter().any(|known| known == tag) {
            tags.push(tag.to_owned());
        }
    }
    tags
}

#[test]
fn real_lectures_arrive_by_a_guess_and_one_correction() {
    let Some(manifest) = shared("aps_lectures.csv") else { return };
    let (taken, _) = guess_and_import(
        &manifest,
        "tags=lcsh_topic+lcsh_geographic+academic_disciplines",
        "accepted (being indexed)\n",
    );
    let mut expected: BTreeMap<String, AcceptedVideo> = BTreeMap::new();
    let mut reader = csv::Reader::from_path(&manifest).unwrap();
    for row in reader.deserialize::<BTreeMap<String, String>>() {
        let row = row.unwrap();
        let columns = ["lcsh_topic", "lcsh_geographic", "academic_disciplines"];
        let tags = split(columns.iter().map(|column| row[*column].as_str()), '|');
        let date: Vec<u32> = row["date"].split('-').map(|part| part.parse().unwrap()).collect();
        let date = format!("{:04}-{:02}-{:02} 00:00:00", date[0], date[1], date[2]);
        let url = row["service_file"].trim().replace(' ', "%20");
        expected.entry(url).or_insert(AcceptedVideo { tags, datetime_taken: Some(date), coordinates: None });
    }
    assert_eq!(expected.len(), 549);
    assert_same(&taken, &expected);
}

/// Shows the first difference only: the manifests have thousands of rows.
fn assert_same(taken: &BTreeMap<String, AcceptedVideo>, expected: &BTreeMap<String, AcceptedVideo>) {
    for (url, video) in expected {
        assert_eq!(taken.get(url), Some(video), "{url}");
    }
    assert_eq!(taken.len(), expected.len());
}

#[test]
fn real_signs_without_a_header_arrive_by_a_guess_and_one_correction() {
    let Some(manifest) = shared("nzsl_dictionary_noheader.tsv") else { return };
    let (taken, err) = guess_and_import(&manifest, "tags=#1+#2+#3", "5 bad rows (5 new)\n");
    let text = fs::read_to_string(&manifest).unwrap();
    let mut expected: BTreeMap<String, AcceptedVideo> = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let cells: Vec<&str> = line.split('\t').collect();
        if cells[4].trim().is_empty() {
            assert!(err.contains(&format!(":{number}:5 #5: the url is empty")), "{number}: {err}");
            continue;
        }
        let tags = split(cells[..3].iter().flat_map(|cell| cell.split([',', ';', '|'])), ',');
        expected.entry(cells[4].trim().to_owned()).or_insert(AcceptedVideo {
            tags,
            datetime_taken: None,
            coordinates: None,
        });
    }
    assert_eq!(expected.len(), 4_995);
    assert_same(&taken, &expected);
}

#[test]
fn real_cameras_in_json_lines_arrive_by_a_guess_and_one_correction() {
    let Some(manifest) = shared("traffic_cameras.jsonl") else { return };
    let (taken, _) =
        guess_and_import(&manifest, "tags=state+county+direction+format", "accepted (being indexed)\n");
    let mut expected: BTreeMap<String, AcceptedVideo> = BTreeMap::new();
    for line in fs::read_to_string(&manifest).unwrap().lines() {
        let camera: Value = serde_json::from_str(line).unwrap();
        let columns = ["state", "county", "direction", "format"];
        let tags = columns.iter().filter_map(|column| camera[*column].as_str());
        let tags = split(tags.flat_map(|tag| tag.split([',', ';', '|'])), ',');
        let place = camera["latitude"].as_f64().zip(camera["longitude"].as_f64());
        // the parser of another crate, not telecine's own way
        let url = url::Url::parse(camera["url"].as_str().unwrap().trim()).unwrap().to_string();
        expected.entry(url).or_insert(AcceptedVideo { tags, datetime_taken: None, coordinates: place });
    }
    assert_eq!(taken.len(), expected.len());
    assert_same(&taken, &expected);
}

/// Three rows, of which one is invalid and one is odd.
const MIXED: &str =
    "url,tags,geo,hash\nhttps://h/a.mp4,x,\"0,0\",AB\nftp://h/b.mp4,y,,\nhttps://h/c.mp4,z,,ab\n";

#[test]
fn a_check_says_what_is_invalid_and_what_is_odd_for_people_programs_and_spreadsheets() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", MIXED);
    let (code, out, _) = fixture.run(&["check", "m.csv"]);
    assert_eq!(code, 4, "{out}");
    for words in [
        "m.csv:3:1 url: the scheme is none of http, https, s3, gs, az and file (ftp://h/b.mp4); give an http(s) link",
        "warning: coordinates_null_island",
        "m.csv:4:4 hash: the same bytes as line 2, under another url (ab)",
        "2 of the good have warnings",
    ] {
        assert!(out.contains(words), "{words}: {out}");
    }
    let (_, out, _) = fixture.run(&["check", "m.csv", "--json"]);
    let checked: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&checked["exit_code"], &checked["scan"]["warned"]), (&4.into(), &2.into()));
    assert_eq!(checked["scan"]["warnings"]["same_content"]["examples"][0]["line"], 4);
    let (_, out, _) = fixture.run(&["check", "m.csv", "--csv"]);
    let mut findings = csv::Reader::from_reader(out.as_bytes());
    let classes: Vec<String> = findings.records().map(|row| row.unwrap()[3].to_owned()).collect();
    assert_eq!(
        classes,
        ["coordinates_null_island", "url_scheme", "same_content"],
        "in the order of the file"
    );
}

#[test]
fn a_check_holds_a_manifest_to_what_is_demanded() {
    let fixture = CliFixture::new();
    fixture.write("good.csv", "url\nhttps://h/a.mp4\nhttps://h/b.mp4\n");
    fixture.write("odd.csv", "url\nhttps://h/a.html\n");
    fixture.write("bad.csv", &format!("url\n{}", "x\n".repeat(50)));
    for (args, code) in [
        (&["good.csv", "--expect-rows", "2", "--strict"][..], 0),
        (&["good.csv", "--expect-rows", "3"], 3),
        (&["odd.csv"], 0),
        (&["odd.csv", "--strict"], 4),
        (&["bad.csv"], 3),
    ] {
        let (found, out, _) = fixture.run(&[&["check"], args].concat());
        assert_eq!(found, code, "{args:?}: {out}");
    }
    let (code, out, _) = fixture.run(&["check", "bad.csv", "--max-errors", "5", "--json"]);
    let checked: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &checked["scan"]["invalid"]), (3, &5.into()), "{out}");
    assert_eq!(checked["scan"]["ended_early"], true);
}

#[test]
fn several_files_a_glob_and_standard_input_are_manifests() {
    let fixture = CliFixture::new();
    fs::create_dir(fixture.path("day")).unwrap();
    for name in ["day/a.csv", "day/b.csv"] {
        fixture.write(name, &format!("url\nhttps://h/{name}.mp4\n"));
    }
    fixture.write("day/c.txt", "https://h/c.mp4\n");
    let rows = |args: &[&str]| {
        let (code, out, err) = fixture.run(&[&["check", "--json"], args].concat());
        assert_eq!(code, 0, "{out}{err}");
        serde_json::from_str::<Value>(&out).unwrap()["scan"]["rows"].clone()
    };
    assert_eq!(rows(&["day/*.csv"]), 2);
    assert_eq!(rows(&["day/*.csv", "day/c.txt"]), 3);
    let (code, _, err) = fixture.run(&["check", "day/*.json"]);
    assert_eq!(code, 3, "as a file that is not there");
    assert!(err.contains("no file matches the pattern day/*.json"), "{err}");
}

#[test]
fn rows_whose_content_changed_are_reported_sent_again_or_left_by_on_drift() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let import = |text: &str, args: &[&str]| {
        fixture.write("m.csv", text);
        let service = [
            "--api-url",
            &sandbox.url,
            "--ledger",
            "l.db",
            "--rate",
            "50/s",
            "--list-rate",
            "20/s",
            "--json",
        ];
        let (code, out, err) = fixture.run(&[&["import", "m.csv"], &service[..], args].concat());
        assert_eq!(code, 0, "{out}{err}");
        serde_json::from_str::<Value>(out.lines().last().unwrap()).unwrap()
    };
    let before = "url,tags\nhttps://h/a.mp4,x\nhttps://h/b.mp4,x\n";
    let after = "url,tags\nhttps://h/b.mp4,x\nhttps://h/a.mp4,changed\n";
    import(before, &[]);
    assert_eq!(import(after, &["--on-drift", "ignore"])["rows"]["drifted"], 0);
    assert_eq!(import(after, &[])["rows"]["drifted"], 1);
    let (_, out, _) = fixture.run(&["check", "m.csv", "--ledger", "l.db"]);
    assert!(out.contains("1 of them sent with other content: m.csv:3"), "{out}");
    assert_eq!(sandbox.accepted_counts()["https://h/a.mp4"], 1, "nothing was paid again");
    let (_, out, _) =
        fixture.run(&["import", "m.csv", "--ledger", "l.db", "--on-drift", "resend", "--dry-run"]);
    assert!(out.contains("1 would be sent"), "{out}");
    assert_eq!(import(after, &["--on-drift", "resend"])["rows"]["updated"], 1);
    assert_eq!(sandbox.accepted_counts()["https://h/a.mp4"], 2, "by order");
    import(after, &["--on-drift", "resend"]);
    assert_eq!(sandbox.uploads(), 3, "once");
}

#[test]
fn a_preview_shows_the_row_and_its_form_and_no_secret() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", "url,tags\nhttps://h/a.mp4?X-Amz-Signature=canary,\"a, b\"\nhttps://h/b.mp4,c\n");
    let (code, out, _) = fixture.run(&["preview", "m.csv", "-n", "1"]);
    assert_eq!(code, 0);
    assert!(out.contains("m.csv:2") && !out.contains("m.csv:3") && !out.contains("canary"), "{out}");
    assert!(
        out.contains("url=https%3A%2F%2Fh%2Fa.mp4%3FX-Amz-Signature%3D***&unique_id=default&tags=a&tags=b"),
        "{out}"
    );
    let (_, out, _) = fixture.run(&["preview", "m.csv", "--from-line", "3", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(out.lines().next().unwrap()).unwrap()["fields"][2][1], "c");
}

#[test]
fn a_check_fails_where_an_import_would_not_send_expired_links_or_finds_no_row() {
    let fixture = CliFixture::new();
    fixture.write(
        "x.csv",
        "url\nhttps://h/a.mp4?Signature=x&Expires=1346378000&AWSAccessKeyId=A\nhttps://h/b.mp4\n",
    );
    let (code, out, _) = fixture.run(&["check", "x.csv"]);
    assert_eq!(code, 4, "{out}");
    assert!(out.contains("1 with an expired link, would not be sent"), "{out}");
    let (code, out, _) = fixture.run(&["check", "x.csv", "--where", "url~ftp"]);
    assert!(code == 3 && out.contains("--where or --account left out every row"), "{out}");
}

#[test]
fn a_manifest_without_a_row_exits_3_with_a_sentence_in_every_command() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", "url,tags\n");
    fixture.write("m.json", "[]");
    for args in [
        &["check", "m.csv"][..],
        &["preview", "m.csv"],
        &["plan", "m.csv"],
        &["import", "m.csv", "--sandbox"],
        &["import", "m.csv", "--sandbox", "--cron"],
        &["import", "m.csv", "--sandbox", "--dry-run"],
        &["rehearse", "m.csv"],
    ] {
        let (code, out, err) = fixture.run(args);
        assert!(code == 3 && (out + &err).contains("the manifest has no row"), "{args:?}: {code} {err}");
    }
    let (code, out, err) = fixture.run(&["check", "m.json"]);
    assert!(code == 3 && (out + &err).contains("the manifest is empty"), "{code} {err}");
}

#[test]
fn a_row_that_changed_is_shown_with_its_old_and_its_new_value() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let service = ["--api-url", &sandbox.url, "--ledger", "l.db", "--rate", "50/s", "--out-dir", "out"];
    fixture.write("m.csv", "url,tags\nhttps://h/a.mp4,x\n");
    assert_eq!(fixture.run(&[&["import", "m.csv"], &service[..]].concat()).0, 0);
    fixture.write("m.csv", "url,tags\nhttps://h/a.mp4,changed\n");
    let (_, out, _) = fixture.run(&["check", "m.csv", "--ledger", "l.db"]);
    assert!(out.contains("m.csv:2 (tags: x -> changed)"), "{out}");
    let (_, out, _) = fixture.run(&["check", "m.csv", "--ledger", "l.db", "--csv"]);
    assert!(out.contains("already sent with other content: tags: x -> changed"), "{out}");
}

#[test]
fn most_rows_that_are_duplicates_and_unused_columns_are_said() {
    let fixture = CliFixture::new();
    let rows = "https://h/licence,x,03/04/2019\n".repeat(11);
    fixture.write("m.csv", &format!("url,tags,Shot on\n{rows}https://h/b.mp4,y,\n"));
    let (_, out, _) = fixture.run(&["check", "m.csv"]);
    assert!(out.contains("most rows are duplicates (83 %)"), "{out}");
    assert!(out.contains("unused columns: Shot on (looks like datetime)"), "{out}");
}

#[test]
fn a_check_says_what_differs_between_a_duplicate_and_the_row_that_is_sent() {
    let fixture = CliFixture::new();
    let row = |address: &str, tags: &str| format!("https://h/{address}.mp4,{tags}\n");
    let rows = [row("a", "x"), row("b", "y"), row("a", "z"), row("b", "y")].concat();
    fixture.write("m.csv", &format!("url,tags\n{rows}"));
    fixture.write("n.jsonl", "{\"url\":\"https://h/a.mp4\",\"tags\":[\"q\"]}\n");
    let (code, out, _) = fixture.run(&["check", "m.csv", "n.jsonl"]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("2 duplicates differ from the first row, which is sent"), "{out}");
    assert!(out.contains("m.csv:4, first on line 2: tags: x -> z\n"), "{out}");
    assert!(out.contains("n.jsonl:1, first on line 2 of m.csv: tags: x -> q\n"), "{out}");
    let (_, out, _) = fixture.run(&["check", "m.csv", "n.jsonl", "--csv"]);
    assert!(
        out.contains("m.csv,4,duplicate,duplicate,,,,the same video as line 2; it differs: tags: x -> z,"),
        "{out}"
    );
    assert!(out.contains("m.csv,5,duplicate,duplicate,,,,the same video as line 3,"), "{out}");
    assert!(out.contains("the same video as line 2 of m.csv; it differs"), "{out}");
    let (_, out, _) = fixture.run(&["check", "m.csv", "--json"]);
    let scan: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    let first = &scan["scan"]["duplicate_examples"][0];
    assert_eq!((&first["line"], &first["changes"][0]["new"]), (&4.into(), &"z".into()));
}

#[test]
fn what_an_import_says_of_a_manifest_is_in_its_summary_and_no_news_after_a_check() {
    let fixture = CliFixture::new();
    let rows = "https://h/a.mp4,https://h/t.mp4,NA,2019-01-01T00:00:00+01:00\nhttps://h/b.jpg,,x,2019-01-01T00:00:00Z\n";
    fixture.write("m.csv", &format!("url,file_url,tags,date\n{rows}"));
    let sandbox = SandboxProcess::start(&fixture, &["--index-delay", "1h"]);
    let service =
        ["--api-url", &sandbox.url, "--ledger", "l.db", "--rate", "50/s", "--no-wait", "--out-dir", "out"];
    let (_, checked, _) = fixture.run(&["check", "m.csv"]);
    let (code, out, err) = fixture.run(&[&["import", "m.csv", "--json", "--quiet"], &service[..]].concat());
    assert_eq!(code, 5, "{out}{err}");
    let summary: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    let notices: Vec<&str> =
        summary["manifest_notices"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(notices.len(), 4, "{notices:?}");
    for words in
        ["file_url is not", "NA counts as missing", "different offsets from UTC", "an image, by its name"]
    {
        assert!(notices.iter().any(|notice| notice.contains(words)), "{words}: {notices:?}");
        assert!(checked.contains(words), "{words} is news after {checked}");
    }
    let report = fs::read_to_string(fixture.report_in("out").join("report.json")).unwrap();
    assert!(report.contains("NA counts as missing"), "{report}");
}

#[test]
fn an_import_whose_filter_leaves_no_row_ends_with_3() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", "url,kind\nhttps://h/a.mp4,x\nhttps://h/b.mp4,x\n");
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let service =
        ["--api-url", &sandbox.url, "--ledger", "l.db", "--rate", "50/s", "--where", "kind=y", "--json"];
    let (code, out, err) = fixture.run(&[&["import", "m.csv"], &service[..]].concat());
    assert_eq!(code, 3, "{out}{err}");
    let summary: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!(summary["exit_reason"], "--where or --account left out every row (2)");
    assert_eq!(summary["broken_manifests"], serde_json::json!([]));
}

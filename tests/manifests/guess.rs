//! The real binary proposes a mapping, and the settings that it wrote are used.

use std::fs;

use serde_json::Value;

use crate::support::cli::{self, CliFixture, SandboxProcess};

#[test]
fn a_guess_finds_its_way_through_a_file_nobody_described() {
    let fixture = CliFixture::new();
    let text = "exported 2019;;;;\n\nClip;Recorded;Where;Subjects;Title\n\
        https://h/1.mp4;16/07/2018;-122,41 37,77;Fog|Harbour, old;One\n\
        https://h/2.mp4;01/02/2019;-122,42 37,78;Fog|Night;Two\n";
    fixture.write("m.csv", text);
    let (code, out, err) = fixture.run(&["guess", "m.csv", "--write"]);
    assert_eq!(code, 0, "{out}{err}");
    let settings = fs::read_to_string(fixture.path("telecine.toml")).unwrap();
    for line in [
        "header-line = \"3\"",
        "url=Clip",
        "tags=Subjects",
        "datetime=Recorded",
        "geo=Where",
        "tag-separator = \"|\"",
        "geo-order = \"lon-lat\"",
    ] {
        assert!(settings.contains(line), "{line}: {settings}");
    }
    let (code, out, err) = fixture.run(&["preview", "m.csv", "--json"]);
    assert_eq!(code, 0, "{out}{err}");
    let first: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    let field = |name: &str| {
        let pairs = first["fields"].as_array().unwrap();
        pairs.iter().filter(|pair| pair[0] == name).map(|pair| pair[1].as_str().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(field("tags")[..2], ["Fog", "Harbour, old"]);
    assert_eq!([field("latitude"), field("longitude")].concat(), ["37.77", "-122.41"]);
    assert_eq!(field("datetime_taken"), ["2018-07-16 00:00:00"]);
    let (code, out, err) = fixture.run(&["guess", "m.csv", "--write"]);
    assert_eq!(code, 2, "nothing is overwritten");
    assert!(err.contains("telecine.toml:3 says how to read m.csv, in [manifest.\"m.csv\"]"), "{err}");
    assert!(out.contains("next: telecine check m.csv --"), "the proposal is shown: {out}");
    assert_eq!(fixture.read("telecine.toml"), settings);
}

#[test]
fn a_guess_adds_its_table_to_the_settings_that_init_wrote() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", "Klip;n\nhttps://h/1.mp4;1\nhttps://h/2.mp4;2\n");
    assert_eq!(fixture.run(&["init", "--rate", "2/s"]).0, 0);
    let before = fixture.read("telecine.toml");
    let (code, out, err) = fixture.run(&["guess", "m.csv", "--write"]);
    assert!(code == 0 && out.contains("written to telecine.toml"), "{out}{err}");
    let after = fixture.read("telecine.toml");
    let added = after.strip_prefix(&before).unwrap();
    assert!(added.starts_with("\n# how to read m.csv") && added.contains("\"url=Klip\""), "{added}");
    let (code, out, err) = fixture.run(&["check", "m.csv"]);
    assert_eq!(code, 0, "{out}{err}");
    fixture.write("inline.toml", "manifest = { \"b.csv\" = { tag = \"x\" } }");
    let (code, _, err) = fixture.run(&["guess", "m.csv", "--write", "inline.toml"]);
    assert!(code == 2 && err.contains("a table cannot be added"), "{err}");
    assert!(fixture.read("inline.toml").ends_with("} }"));
}

#[test]
fn a_guess_keeps_what_it_was_told_when_it_writes_settings() {
    let fixture = CliFixture::new();
    fixture.write("places.csv", "site;Breite;Laenge\nA;52,5;13,25\n");
    fixture.write("m.csv", "folder,file,site,when\nx y,1.mp4,A,01/02/2019\nz,2.mp4,B,03/02/2019\n");
    let flags =
        ["--join", "places.csv:site", "--map", "url=https://h/{folder}/{file}", "--map", "latitude=Breite"];
    let more =
        ["--map", "longitude=Laenge", "--map", "datetime=when", "--date-format", "dmy", "--tag", "a, b"];
    let (code, out, err) = fixture.run(&[&["guess", "m.csv", "--write"], &flags[..], &more[..]].concat());
    assert_eq!(code, 0, "{out}{err}");
    let (code, out, err) = fixture.run(&["preview", "m.csv", "--json", "-n", "1"]);
    assert_eq!(code, 0, "{out}{err}");
    for value in ["https://h/x%20y/1.mp4", "52.5", "13.25", "2019-02-01 00:00:00", "a, b"] {
        assert!(out.contains(value), "{value}: {out}");
    }
    let (code, out, _) = fixture.run(&["check", "m.csv", "--strict"]);
    assert_eq!(code, 4);
    assert!(out.contains("m.csv:3:3 site: the file to join has no row with this key (B)"), "{out}");
}

#[test]
fn rejects_are_a_manifest_again_under_the_settings_of_the_first() {
    let fixture = CliFixture::new();
    fixture.write("places.csv", "site;Breite;Laenge\nA;52,5;13,25\nB;1;2\n");
    fixture.write("m.txt", "exported 2019\nKlip;site\nhttps://h/1.mp4;A\nh/2.mp4;C\n");
    let settings = "header-line = \"2\"\ndelimiter = \";\"\njoin = [\"places.csv:site\"]\n\
                    map = [\"url=Klip\", \"latitude=Breite\", \"longitude=Laenge\"]\n";
    fixture.write("telecine.toml", settings);
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let service = ["--api-url", &sandbox.url, "--ledger", "l.db", "--rate", "50/s", "--out-dir", "out"];
    let (code, out, err) = fixture.run(&[&["import", "m.txt"], &service[..]].concat());
    assert_eq!(code, 4, "{out}{err}");
    let rejects = fixture.report_in("out").join("rejects.csv");
    let corrected = fs::read_to_string(&rejects).unwrap().replace("h/2.mp4,C", "https://h/2.mp4,B");
    fixture.write("again.csv", &corrected);
    let (code, out, err) = fixture.run(&[&["import", "again.csv"], &service[..]].concat());
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(
        sandbox.accepted_videos()["https://h/2.mp4"].coordinates,
        Some((1.0, 2.0)),
        "by the key as it was corrected"
    );
}

#[test]
fn settings_that_a_guess_wrote_hold_for_its_file_and_for_no_other() {
    let fixture = CliFixture::new();
    fixture.write("a.csv", "Klip;n\nhttps://h/1.mp4;1\nhttps://h/2.mp4;2\n");
    fixture.write("b.csv", "Klip;n\nhttps://h/3.mp4;1\n");
    let (code, out, err) = fixture.run(&["guess", "a.csv", "--write"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(fs::read_to_string(fixture.path("telecine.toml")).unwrap().contains("[manifest.\"a.csv\"]"));
    let (code, out, _) = fixture.run(&["check", "a.csv"]);
    assert!(code == 0 && out.contains("settings: map (telecine.toml:3)"), "{out}");
    let (code, _, err) = fixture.run(&["check", "b.csv"]);
    assert_eq!(code, 3);
    assert!(err.contains("telecine.toml says how to read a.csv, and nothing of how to read b.csv"), "{err}");
    let (code, _, err) = fixture.run(&["check", "a.csv", "b.csv"]);
    assert_eq!(code, 2);
    assert!(err.contains("[manifest.\"a.csv\"] does not say how to read b.csv"), "{err}");
    fixture.write("telecine.toml", "[manifest.\"*.csv\"]\nmap = [\"url=Klip\"]\n");
    assert_eq!(fixture.run(&["check", "a.csv", "b.csv"]).0, 0, "a pattern holds for all files that fit it");
}

#[test]
fn a_guess_without_an_address_writes_nothing() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", "title,licence\na,http://creativecommons.org/licenses/by/3.0/\nb,x\n");
    let (code, out, _) = fixture.run(&["guess", "m.csv", "--write"]);
    assert_eq!(code, 3);
    assert!(out.contains("nothing was written") && !fixture.path("telecine.toml").exists(), "{out}");
}

#[test]
fn rejects_are_read_by_the_section_of_the_manifest_that_they_come_from() {
    let fixture = CliFixture::new();
    fixture.write(
        "m.csv",
        "Klip;Themen;Tag\nhttps://h/1.mp4;fog|sea;05.06.2019\nftp://h/2.mp4;dune|sea;06.05.2019\n",
    );
    let section = "[manifest.\"m.csv\"]\nmap = [\"url=Klip\", \"tags=Themen|split '|'\", \"datetime=Tag\"]\ndate-format = \"dmy\"\n";
    fixture.write("telecine.toml", section);
    let sandbox = SandboxProcess::start(&fixture, &["--index-delay", "1h"]);
    let service =
        ["--api-url", &sandbox.url, "--ledger", "l.db", "--rate", "50/s", "--no-wait", "--out-dir", "out"];
    let (code, out, err) = fixture.run(&[&["import", "m.csv"], &service[..]].concat());
    assert_eq!(code, 5, "{out}{err}");
    let rejects = fixture.report_in("out").join("rejects.csv");
    fs::write(&rejects, fs::read_to_string(&rejects).unwrap().replace("ftp://", "https://")).unwrap();
    // the manifest may be gone by then
    fs::remove_file(fixture.path("m.csv")).unwrap();
    let rejects = rejects.display().to_string();
    let (code, out, err) = fixture.run(&["check", &rejects]);
    assert!(
        code == 0 && out.contains("map (telecine.toml:2)") && !out.contains("unused columns"),
        "{out}{err}"
    );
    let (code, out, err) = fixture.run(&[&["import", &rejects], &service[..]].concat());
    assert_eq!(code, 5, "{out}{err}");
    let video = &sandbox.accepted_videos()["https://h/2.mp4"];
    assert_eq!(
        (&video.tags[..], video.datetime_taken.as_deref()),
        (&["dune".to_owned(), "sea".to_owned()][..], Some("2019-05-06 00:00:00"))
    );
}

#[test]
fn rules_of_the_command_line_hold_beside_those_of_a_file() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", "Klip,a,b\nhttps://h/1.mp4,x,y\n");
    fixture.write("telecine.toml", "[manifest.\"m.csv\"]\nmap = [\"url=Klip\", \"tags=a\"]\n");
    let mapping = |args: &[&str], rules: Option<&str>| {
        let mut command = fixture.command(&[&["check", "m.csv"], args].concat());
        let (_, out, err) =
            cli::result_of(&command.envs(rules.map(|rules| ("TELECINE_MAP", rules))).output().unwrap());
        out.lines().next().map_or(err, str::to_owned)
    };
    assert_eq!(mapping(&[], None), "m.csv: url=Klip, tags=a");
    assert_eq!(mapping(&["--map", "tags=b"], None), "m.csv: url=Klip, tags=b");
    assert_eq!(mapping(&["--map", "id=b"], None), "m.csv: url=Klip, tags=a, id=b");
    assert_eq!(mapping(&[], Some("tags=b\nid=a")), "m.csv: url=Klip, tags=b, id=a");
    assert_eq!(mapping(&["--map", "tags=b"], Some("tags=a")), "m.csv: url=Klip, tags=b");
    let other = mapping(&["--map", "url=https://h/{b}"], None);
    assert_eq!(other, "m.csv: url=https://h/{b}, tags=a");
}

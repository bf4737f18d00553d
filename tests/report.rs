//! The real binary: the report of a past run as text, JSON and one HTML page.

use std::fs;

use crate::support::cli::{CliFixture, SandboxProcess};
use serde_json::Value;

const LEDGER: [&str; 2] = ["--ledger", "l.db"];

fn report(fixture: &CliFixture, args: &[&str]) -> Value {
    let (code, out, err) = fixture.run(&[&["report", "--json"], &LEDGER[..], args].concat());
    assert_eq!(code, 0, "{err}");
    serde_json::from_str(&out).unwrap()
}

fn page(fixture: &CliFixture, args: &[&str]) -> String {
    let (code, out, err) = fixture.run(&[&["report", "--html", "report.html"], &LEDGER[..], args].concat());
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("report.html"), "{out}");
    fixture.read("report.html")
}

fn import(fixture: &CliFixture, manifest: &str) -> Value {
    let args = ["import", manifest, "--sandbox", "--price", "2", "--json"];
    let (_, out, err) = fixture.run(&[&args, &LEDGER[..]].concat());
    let last = out.lines().last().unwrap_or_else(|| panic!("{err}"));
    let folder = serde_json::from_str::<Value>(last).unwrap()["run"].as_str().unwrap().to_owned();
    serde_json::from_str(&fixture.read(&format!("reports/{folder}/report.json"))).unwrap()
}

/// Imports into a service that cannot index any video.
fn import_failing(fixture: &CliFixture, manifest: &str) {
    let sandbox = SandboxProcess::start(fixture, &["--fail-share", "1"]);
    let args = ["import", manifest, "--api-url", &sandbox.url, "--rate", "10/s"];
    let (code, _, err) = fixture.run(&[&args, &LEDGER[..]].concat());
    assert_eq!(code, 4, "{err}");
}

fn rows(range: std::ops::Range<u32>) -> String {
    let row = |n: u32| {
        format!(
            "R{n},https://host/clip-{n}.mp4?X-Amz-Signature=canary{n},{n}.5,-{n}.25,201{}-0{}-11 10:00:00\n",
            n % 10,
            n % 9 + 1
        )
    };
    format!("id,url,lat,lon,datetime\n{}", range.map(row).collect::<String>())
}

#[test]
fn the_numbers_of_a_report_are_those_of_report_json() {
    let fixture = CliFixture::new();
    fixture.write(
        "m.csv",
        &(rows(0..12) + "R0,https://host/clip-0.mp4?X-Amz-Signature=canary0,,,\nB,ftp://b/x.mp4,,,\n"),
    );
    let then = import(&fixture, "m.csv");
    let now = report(&fixture, &["--price", "2"]);
    for field in ["run", "command", "service", "started_at", "ended_at", "rows", "items", "spend", "files"] {
        let (then, now) = (&then[field], &now[field]);
        if field == "files" {
            let files = |list: &Value| -> Vec<(String, u64)> {
                let name = |path: &Value| path.as_str().unwrap().rsplit('/').next().unwrap().to_owned();
                let all = list
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|file| (name(&file["path"]), file["rows"].as_u64().unwrap()));
                let mut all: Vec<_> = all.filter(|(name, _)| name != "report.json").collect();
                all.sort();
                all
            };
            assert_eq!(files(then), files(now));
        } else {
            assert_eq!(then, now, "{field}");
        }
    }
    for field in ["requests", "accepted", "refused", "not_sent"] {
        assert_eq!(then["quota"][field], now["requests"][field], "{field}");
    }
    assert_eq!((&now["run_exit_code"], &now["run_exit_reason"]), (&then["exit_code"], &then["exit_reason"]));
    assert_eq!(now["faults"][0]["rows"], 1);
    let page = page(&fixture, &["--price", "2"]);
    let cell =
        |name: &str, count: u64| format!("<th scope=\"row\">{name}</th><td class=\"number\">{count}</td>");
    for (name, count) in [("rows read", 14), ("searchable", 12), ("duplicates", 1), ("invalid", 1)] {
        assert!(page.contains(&cell(name, count)), "{name}: {count}");
    }
    assert!(page.contains("12 videos have coordinates, 0 have none."));
    assert!(page.contains("12 accepted uploads, at most 24 credits"), "credits");
    assert!(page.contains("href=\"reports/") && page.contains("success.csv</a>: 12 rows"), "links");
}

#[test]
fn a_page_holds_no_secret_no_script_and_nothing_to_load() {
    let fixture = CliFixture::new();
    let attack = "\"><script>alert(1)</script><img src=x onerror=alert(1)>";
    let name = "m<img src=x>.csv";
    let bad = format!("{},\"{}\",,,\n", "X", attack.replace('"', "\"\""));
    fixture.write(name, &(rows(0..2) + &bad + "Y,ftp://host/a?token=canary-token,,,\n"));
    import_failing(&fixture, name);
    let page = page(&fixture, &[]);
    assert!(page.contains("https://host/clip-0.mp4?X-Amz-Signature=***"), "the example of a failure");
    assert!(!page.contains("canary"), "a secret");
    for start in ["<script", "<img", "<iframe", "<link", "<object", " onerror=\"", " style=\"", "src=\""] {
        assert!(!page.contains(start), "{start}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)"), "the fault is not shown");
    assert!(page.contains("default-src 'none'; style-src 'sha256-"));
}

#[test]
fn rows_that_a_later_run_has_read_are_in_its_report_and_a_run_is_found_by_its_name() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(0..5));
    let first = import(&fixture, "m.csv");
    fixture.write("m.csv", &rows(0..3));
    let second = import(&fixture, "m.csv");
    let name = first["run"].as_str().unwrap();
    let of_first = report(&fixture, &[name]);
    assert_eq!((&of_first["items"]["total"], &of_first["seen_later"]), (&2.into(), &3.into()));
    assert_eq!((&of_first["run"], &of_first["rows"]["read"]), (&first["run"], &5.into()));
    assert_eq!(report(&fixture, &[])["run"], second["run"]);
    let (code, _, err) = fixture.run(&["report", "1999", "--ledger", "l.db"]);
    assert!(code == 2 && err.contains(name), "{err}");
    let (code, _, err) = fixture.run(&["report", "20", "--ledger", "l.db"]);
    assert!(code == 2 && err.contains("several runs begin with 20"), "{err}");
    assert!(page(&fixture, &[name]).contains("A later run has read some of these rows again"));
}

#[test]
fn the_last_verification_is_in_the_report() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(0..4));
    import(&fixture, "m.csv");
    assert!(page(&fixture, &[]).contains("holds no comparison yet"));
    let (code, _, err) = fixture.run(&[&["verify", "--sandbox"], &LEDGER[..]].concat());
    assert_eq!(code, 0, "{err}");
    let page = page(&fixture, &[]);
    assert!(page.contains("service and ledger agree"), "the verdict");
    assert!(page.contains("<h1>Report of telecine import</h1>"), "the heading");
    assert!(page.contains("data-label=\"Both agree\">4 (100 %)</td>"), "the counts");
}

#[test]
fn a_page_that_cannot_be_written_is_named_and_leaves_nothing_behind() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(0..1));
    import(&fixture, "m.csv");
    fs::create_dir(fixture.path("folder")).unwrap();
    for target in ["folder", "missing/report.html"] {
        let (code, out, err) = fixture.run(&[&["report", "--html", target], &LEDGER[..]].concat());
        assert!(code == 2 && out.is_empty() && err.contains(target), "{code} {out}{err}");
    }
    assert!(!fixture.path("folder.part").exists());
}

#[test]
fn a_page_goes_where_a_link_leads_or_to_stdout_and_a_web_server_may_read_it() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(0..1));
    import(&fixture, "m.csv");
    let report = |target: &str| fixture.run(&[&["report", "--html", target], &LEDGER[..]].concat());
    let (code, out, err) = report("-");
    assert!(
        code == 0 && out.starts_with("<!DOCTYPE html>") && out.trim_end().ends_with("</html>"),
        "{out}{err}"
    );
    std::os::unix::fs::symlink("page.html", fixture.path("link")).unwrap();
    for _ in 0..2 {
        assert_eq!(report("link").0, 0);
        assert!(fs::symlink_metadata(fixture.path("link")).unwrap().is_symlink());
        // the end of the page has the time of its making
        let body = |page: &str| page.split("<footer>").next().unwrap().to_owned();
        assert!(body(&fixture.read("page.html")) == body(&out), "the same page");
    }
    fixture.write("made by the umask", "");
    let mode = |name: &str| fs::metadata(fixture.path(name)).unwrap().permissions();
    assert_eq!(mode("page.html"), mode("made by the umask"));
    let (code, out, _) = fixture.run(&[&["report", "--html", "-", "--json"], &LEDGER[..]].concat());
    assert!(code == 2 && out.contains("both write to stdout"), "{out}");
}

/// Adds items to a ledger as a large run leaves them: everywhere on the globe, in every year, each failure with a cause of its
/// own.
fn enlarge(fixture: &CliFixture, items: u32) {
    let connection = rusqlite::Connection::open(fixture.path("l.db")).unwrap();
    let sql = format!(
        "DROP TRIGGER item_starts_pending; DROP TRIGGER attempt_starts_sending; BEGIN;
         CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 999 + {items})
             SELECT i, abs(random()) % 1000 AS chance, (SELECT max(started_at) FROM run) + i * 5 AS at,
             (SELECT max(id) FROM run) AS run FROM n;
         INSERT INTO item (id, key, state, manifest, line, namespace, fingerprint, submission, cells, admitted_at, final_at, cause)
             SELECT i, randomblob(16), CASE WHEN chance < 20 THEN 'failed' ELSE 'indexed' END, 1, i, 'default', randomblob(16),
             json_object('url', 'https://host/' || i || '.mp4', 'ns', 'default', 'tags', json_array('a', 'b'),
                 'coordinates', json_object('latitude', (random() % 90000) / 1000.0, 'longitude', (random() % 180000) / 1000.0),
                 'datetime_taken', printf('%04d-%02d-11 10:00:00', 1 + abs(random()) % 9998, 1 + i % 12)),
             '[]', at, at + chance * chance * 10, CASE WHEN chance < 20 THEN 'failure ' || i || hex(zeroblob(300)) END FROM n;
         INSERT INTO attempt (id, item, run, state, sent_at, send_before, answered_at, counts_until, video_no, bound_by)
             SELECT i, i, run, 'accepted', at - 90, at, at, at, 'VI' || i, 'reply' FROM n;
         UPDATE item SET attempt = id WHERE id >= 1000;
         INSERT INTO last_seen SELECT i, run, 1, i FROM n;
         INSERT INTO state_count SELECT 1, state, count(*) FROM item WHERE id >= 1000 GROUP BY state
             ON CONFLICT (manifest, state) DO UPDATE SET count = count + excluded.count;
         UPDATE manifest_read SET rows = rows + {items}, added = added + {items} WHERE run = (SELECT max(id) FROM run);
         UPDATE run SET ended_at = started_at + {items} * 5 WHERE id = (SELECT max(id) FROM run);
         COMMIT;"
    );
    connection.execute_batch(&sql).unwrap();
}

#[test]
fn the_page_of_a_large_run_stays_small() {
    let fixture = CliFixture::in_real_time();
    fixture.write("m.csv", &rows(0..3));
    import(&fixture, "m.csv");
    let items: u32 =
        std::env::var("TELECINE_REPORT_ITEMS").ok().and_then(|n| n.parse().ok()).unwrap_or(60_000);
    enlarge(&fixture, items);
    #[expect(clippy::disallowed_methods, reason = "the time of a real process")]
    let begun = std::time::Instant::now();
    let page = page(&fixture, &[]);
    println!("{items} items: {} bytes in {:?}", page.len(), begun.elapsed());
    assert!(page.len() < 500_000, "{} bytes", page.len());
    assert!(page.contains(&format!("<dd>{}</dd>", with_separators(items + 3))), "rows read");
    assert!(page.contains("other causes"));
    assert!(fs::metadata(fixture.path("report.html")).unwrap().len() > 20_000);
}

fn with_separators(number: u32) -> String {
    if number < 1_000 {
        number.to_string()
    } else {
        format!("{},{:03}", with_separators(number / 1_000), number % 1_000)
    }
}

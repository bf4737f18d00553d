//! The real binary with buckets as manifests, against stores in this process that list page by page.

pub(crate) mod store;

use std::{
    collections::BTreeSet,
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
};

use crate::{
    buckets::{REGION, SECRET, checked},
    support::{
        running::wait_for,
        service::{Answer, KEY, Service, ended},
    },
};

use self::store::{Asked, Object, Reply, Store, objects, page_of_azure, page_of_s3};

/// A command with the credentials of the store.
pub(crate) fn telecine(folder: &Path, store: &Store, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_telecine"));
    command
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .env("MEMORIES_API_KEY", KEY)
        .env("AWS_ENDPOINT_URL", &store.url)
        .env("AWS_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", "AKIDFIRST")
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .args(args);
    command
}

pub(crate) fn import(folder: &Path, store: &Store, service: &Service, args: &[&str]) -> (i32, String) {
    let fixed = ["--api-url", &service.url, "--list-rate", "500/s", "--rate", "200/s"];
    let args = [&["import"], args, &fixed[..]].concat();
    ended(&telecine(folder, store, &args).output().unwrap())
}

/// What `preview` shows of each row: its address, and its other fields but for the namespace and the marker.
fn previewed(folder: &Path, store: &Store, args: &[&str]) -> Vec<(String, Vec<String>)> {
    let args = [&["preview", "--json", "-n", "1000"], args].concat();
    let output = telecine(folder, store, &args).output().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let mut rows = Vec::new();
    for line in text.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let Some(fields) = row["fields"].as_array() else { continue };
        let text = |field: &serde_json::Value, at: usize| field[at].as_str().unwrap().to_owned();
        let url = fields.iter().find(|field| field[0] == "url").map(|field| text(field, 1));
        let others = fields.iter().filter(|field| field[0] != "url" && field[0] != "unique_id");
        let others = others.map(|field| format!("{}={}", text(field, 0), text(field, 1)));
        rows.push((url.unwrap_or_default(), others.filter(|field| !field.contains("telecine:")).collect()));
    }
    assert!(!rows.is_empty(), "{}", ended(&output).1);
    rows
}

#[test]
fn every_object_below_a_prefix_is_sent_once_over_all_pages() {
    let mut keys: BTreeSet<String> = [
        "2019/plain.mp4",
        "2019/a b.mp4",
        "2019/a+b.mp4",
        "2019/100%.mp4",
        "2019/a%20b.mp4",
        "2019/🎬/ü.mp4",
        "2019//a//b.mp4",
        "2019/a?b#c&sig=d.mp4",
        "2019/<k>&amp;&#38;.mp4",
        "2019/\"quoted\", \"twice\".mp4",
        "2019/a,\"b.mp4",
        "2019/z a+b.mp4",
        "2019/\u{fffd}.mp4",
        "2019/~-_.!*'();:@&=+$.mp4",
    ]
    .map(str::to_owned)
    .into();
    keys.insert(format!("2019/{}.mp4", "k".repeat(1_024 - 9)));
    assert!(keys.iter().any(|key| key.len() == 1_024));
    let mut objects: Vec<Object> = keys.iter().map(|key| (key.clone(), 7)).collect();
    objects.push(("2018/other.mp4".to_owned(), 7));
    let store = Store::of_s3(objects, 5);
    let service = Service::start(Answer::Accept);
    let folder = tempfile::tempdir().unwrap();
    let (code, text) = import(folder.path(), &store, &service, &["s3://archive/2019/"]);
    assert_eq!(code, 0, "{text}");
    let sent: Vec<String> = service
        .urls()
        .iter()
        .map(|link| checked(link, SECRET).path.strip_prefix("archive/").unwrap().to_owned())
        .collect();
    assert_eq!(sent.len(), keys.len(), "{text}");
    assert_eq!(sent.into_iter().collect::<BTreeSet<_>>(), keys, "{text}");
    // the page with a key that XML may not hold is asked for once more
    assert_eq!(store.requests(), 4);
    assert!(text.contains("s3://archive/2019/: a listing of 15 objects"), "{text}");
    assert!(!text.contains("canary") && !text.contains("X-Amz"), "{text}");
    // the same listing again, in pages of another size, changes nothing
    let (code, text) = import(folder.path(), &store, &service, &["s3://archive/2019/", "--json"]);
    assert!(
        code == 0 && text.contains(r#""event":"listing","address":"s3://archive/2019/","objects":15"#),
        "{text}"
    );
    assert_eq!(service.uploads(), keys.len(), "{text}");
}

#[test]
fn a_key_that_no_address_can_name_is_a_bad_row_or_is_told_and_never_another_object() {
    let keys = [
        "a.mp4",
        "a.mp4 ",
        "b\nc.mp4",
        "d/../a.mp4",
        "e.mp4?versionId=7",
        "f\u{200b}",
        "g.mp4",
        "h\u{1}.mp4",
    ];
    let store = Store::of_s3(objects(&keys), 2);
    let service = Service::start(Answer::Accept);
    let folder = tempfile::tempdir().unwrap();
    let (code, text) = import(folder.path(), &store, &service, &["s3://archive"]);
    assert_eq!(code, 4, "{text}");
    let mut sent: Vec<String> = service.urls().iter().map(|link| checked(link, SECRET).path).collect();
    sent.sort_unstable();
    assert_eq!(sent, ["archive/a.mp4", "archive/g.mp4"], "{text}");
    assert!(text.contains("5 rows read, 3 invalid"), "{text}");
    assert_eq!(text.matches("the url contains a control character").count(), 2, "{text}");
    assert!(text.contains("3 objects have keys that no address can name (first: "), "{text}");
}

#[test]
fn the_columns_of_a_listing_feed_only_what_the_mapping_says() {
    let keys = ["harbour/2019/fog at dawn.mp4", "harbour/late.mov", "top.mp4"];
    let store = Store::of_s3(objects(&keys), 1_000);
    let folder = tempfile::tempdir().unwrap();
    let addresses = keys.map(|key| format!("s3://archive/{key}"));
    let rows = |fields: [&[&str]; 3]| -> Vec<(String, Vec<String>)> {
        let fields = fields.map(|fields| fields.iter().map(|field| (*field).to_owned()).collect());
        addresses.iter().cloned().zip(fields).collect()
    };
    assert_eq!(previewed(folder.path(), &store, &["s3://archive/"]), rows([&[], &[], &[]]));
    let map = ["s3://archive/", "--map", "tags=path[1]+path[2]"];
    let expected = rows([&["tags=harbour", "tags=2019"], &["tags=harbour"], &[]]);
    assert_eq!(previewed(folder.path(), &store, &map), expected);
    let map =
        ["s3://archive/", "--map", "tags={path[1]}/{path[2]} {name}", "--map", "datetime=last_modified"];
    let templated = previewed(folder.path(), &store, &map);
    assert!(templated[0].1.contains(&"tags=harbour/2019 fog at dawn.mp4".to_owned()), "{templated:?}");
    assert!(
        templated[0].1.iter().any(|field| field.starts_with("datetime_taken=2020-01-02")),
        "{templated:?}"
    );
    let (code, text) = ended(
        &telecine(folder.path(), &store, &["check", "s3://archive/", "--map", "tags=path[3]"])
            .output()
            .unwrap(),
    );
    assert!(code == 3 && text.contains("there is no column path[3]"), "{code} {text}");
    let (_, guessed) = ended(&telecine(folder.path(), &store, &["guess", "s3://archive/"]).output().unwrap());
    for column in ["last_modified", "etag", "size"] {
        assert!(!guessed.contains(&format!("={column}")), "{guessed}");
    }
}

#[test]
fn what_is_left_out_of_a_listing_is_counted_and_said() {
    let mut all = objects(&["in/", "in/a.mp4", "in/b.MP4", "in/raw/c.mp4", "in/d.json", "in/e.mov", "in/f"]);
    all[5].1 = 0;
    let store = Store::of_s3(all, 3);
    let folder = tempfile::tempdir().unwrap();
    let (code, text) =
        ended(&telecine(folder.path(), &store, &["check", "s3://archive/in"]).output().unwrap());
    assert_eq!(code, 0, "{text}");
    for what in [
        "left out of the listing: 1 folder marker, 1 empty object",
        "2 objects have no ending of a video (first: in/d.json); --include '*.mp4'",
        "unused columns: key, name, size, etag, last_modified, path[1], path[2]",
    ] {
        assert!(text.contains(what), "{text}");
    }
    let flags = ["s3://archive/in/", "--include", "*.mp4", "--include", "d*", "--exclude", "raw/*"];
    let rows: Vec<String> = previewed(folder.path(), &store, &flags).into_iter().map(|row| row.0).collect();
    assert_eq!(rows, ["s3://archive/in/a.mp4", "s3://archive/in/d.json"]);
    let (_, text) =
        ended(&telecine(folder.path(), &store, &[&["check"], &flags[..]].concat()).output().unwrap());
    assert!(text.contains("1 folder marker, 4 objects by --include and --exclude"), "{text}");
    for (args, what) in [
        (&["check", "s3://archive/nothing/"][..], "there is nothing to read: no key begins with this prefix"),
        (&["check", "s3://archive/in/", "--include", "*.avi"], "no row among 7 objects"),
    ] {
        let (code, text) = ended(&telecine(folder.path(), &store, args).output().unwrap());
        assert!(code == 3 && text.contains(what), "{code} {text}");
    }
    for (args, what) in [
        (
            &["check", "m.csv", "--include", "*.mp4"][..],
            "--include is for a bucket or a folder as the manifest",
        ),
        (&["check", "s3://archive/list.csv"], "is an object, and each object below an address is a row"),
    ] {
        let (code, text) = ended(&telecine(folder.path(), &store, args).output().unwrap());
        assert!(code == 2 && text.contains(what), "{code} {text}");
    }
}

/// Storages whose listing does not end well, and what is said of it.
fn broken_stores() -> [(Store, &'static str); 12] {
    let refused =
        |status, head, body: &'static str| move |_: usize, _: &Asked| Reply::Status(status, head, body);
    let second = |reply: fn() -> Reply| {
        move |number: usize, asked: &Asked| {
            let keys = objects(&["a.mp4", "ab.mp4", "c.mp4"]);
            if number == 1 { Reply::Page(page_of_s3(&keys, 1, asked)) } else { reply() }
        }
    };
    [
        (
            Store::start(refused(404, "", "<Error><Code>NoSuchBucket</Code></Error>")),
            "there is no bucket archive (404 NoSuchBucket): check its name",
        ),
        (
            Store::start(refused(403, "", "<Error><Code>AccessDenied</Code></Error>")),
            "they need the right s3:ListBucket",
        ),
        (
            Store::start(refused(403, "", "<Error><Code>SignatureDoesNotMatch</Code></Error>")),
            "check the secret key",
        ),
        (
            Store::start(refused(400, "", "<Error><Code>ExpiredToken</Code></Error>")),
            "the credentials have expired (400 ExpiredToken)",
        ),
        (
            Store::start(refused(
                301,
                "x-amz-bucket-region: us-west-2\r\n",
                "<Error><Code>PermanentRedirect</Code></Error>",
            )),
            "in the region us-west-2, and eu-north-1 is given: set AWS_REGION=us-west-2",
        ),
        (Store::start(refused(200, "", "<!DOCTYPE html><html>sign in")), "a page of HTML"),
        (Store::start(refused(200, "", "<Report/>")), "XML, but no listing"),
        (
            Store::start(refused(200, "", "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>")),
            "does not give the listing (200 AccessDenied)",
        ),
        (Store::start(refused(200, "", "welcome")), "not a complete XML document"),
        (
            Store::start(second(|| Reply::Page("<ListBucketResult><Contents><Key>b.mp4</Key>".to_owned()))),
            "not a complete XML document",
        ),
        (
            Store::start(second(|| {
                let next = "<NextContinuationToken>from/+=1</NextContinuationToken>";
                Reply::Page(format!(
                    "<ListBucketResult><IsTruncated>true</IsTruncated>{next}</ListBucketResult>"
                ))
            })),
            "the storage repeats a page",
        ),
        (
            Store::start(second(|| {
                let object = "<Contents><Key>elsewhere.mp4</Key><Size>1</Size></Contents>";
                Reply::Page(format!(
                    "<ListBucketResult><IsTruncated>false</IsTruncated>{object}</ListBucketResult>"
                ))
            })),
            "do not begin with the prefix",
        ),
    ]
}

#[test]
fn a_listing_that_does_not_end_well_is_an_error_and_never_a_shorter_manifest() {
    let stores = broken_stores();
    for (at, (store, what)) in stores.iter().enumerate() {
        let service = Service::start(Answer::Accept);
        let folder = tempfile::tempdir().unwrap();
        let prefix = if at + 1 == stores.len() { "s3://archive/a" } else { "s3://archive" };
        let (code, text) = import(folder.path(), store, &service, &[prefix]);
        assert!(code == 3 && text.contains(what), "{code} {text}");
        assert!(text.contains("the bucket cannot be listed") && !text.contains("X-Amz-"), "{text}");
        assert_eq!(service.uploads(), 0);
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn rows_stay_when_a_later_listing_breaks_and_go_when_it_shows_that_their_objects_are_gone() {
    let keys = Arc::new(Mutex::new(objects(&["a.mp4", "b.mp4", "c.mp4"])));
    let breaks = Arc::new(Mutex::new(false));
    let (own_keys, own_breaks) = (Arc::clone(&keys), Arc::clone(&breaks));
    let store = Store::start(move |_, asked| {
        if *own_breaks.lock().unwrap() && asked.value("continuation-token").is_some() {
            return Reply::Status(403, "", "<Error><Code>AccessDenied</Code></Error>");
        }
        Reply::Page(page_of_s3(&own_keys.lock().unwrap(), 1, asked))
    });
    let service = Service::start(Answer::Accept);
    let folder = tempfile::tempdir().unwrap();
    let (code, text) = import(folder.path(), &store, &service, &["s3://archive", "--max-rows", "1"]);
    assert_eq!((code, service.uploads()), (8, 1), "{text}");
    *breaks.lock().unwrap() = true;
    let (code, text) = import(folder.path(), &store, &service, &["s3://archive"]);
    assert_eq!((code, service.uploads()), (3, 1), "{text}");
    *breaks.lock().unwrap() = false;
    keys.lock().unwrap().remove(1);
    let (code, text) = import(folder.path(), &store, &service, &["s3://archive/"]);
    assert!(text.contains("1 pending row no longer in it"), "{text}");
    assert_eq!((code, service.uploads()), (0, 2), "{text}");
}

#[test]
fn a_store_that_is_busy_or_loses_a_connection_is_asked_again() {
    let keys = objects(&["a.mp4", "b.mp4", "c.mp4"]);
    let store = Store::start(move |number, asked| match number {
        1 => Reply::Status(503, "", "<Error><Code>SlowDown</Code></Error>"),
        3 => Reply::Nothing,
        4 => Reply::Status(500, "", ""),
        // S3 may find an error when it has begun to answer
        5 => Reply::Status(200, "", "<Error><Code>InternalError</Code></Error>"),
        _ => Reply::Page(page_of_s3(&keys, 2, asked)),
    });
    let folder = tempfile::tempdir().unwrap();
    let rows = previewed(folder.path(), &store, &["s3://archive"]);
    assert_eq!((rows.len(), store.requests()), (3, 6));
}

#[test]
fn a_kill_while_a_bucket_is_listed_leaves_nothing_behind() {
    let keys = objects(&["a.mp4", "b.mp4"]);
    let store =
        Store::start(
            move |number, asked| {
                if number == 1 { Reply::Page(page_of_s3(&keys, 1, asked)) } else { Reply::Late }
            },
        );
    let (folder, temporary) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut child = telecine(folder.path(), &store, &["import", "s3://archive"])
        .env("TMPDIR", temporary.path())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the second page", || store.requests() == 2);
    child.kill().unwrap();
    child.wait().unwrap();
    for folder in [folder.path(), temporary.path()] {
        let left: Vec<_> = std::fs::read_dir(folder).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn buckets_of_google_and_containers_of_azure_are_listed_as_well() {
    let keys = objects(&["2019/a b+c.mp4", "2019/🎬&<x>.mp4", "2019/d.mp4"]);
    let own = keys.clone();
    let google = Store::start(move |_, asked| {
        let known = ["GOOG4-RSA-SHA256"].map(Some);
        assert!(known.contains(&asked.value("X-Goog-Algorithm")) && asked.link.contains("X-Goog-Signature="));
        Reply::Page(page_of_s3(&own, 2, asked))
    });
    let own = keys.clone();
    let azure = Store::start(move |_, asked| {
        assert_eq!(asked.path, "/account1/box");
        let said = ["restype", "comp", "sr", "sp"].map(|name| asked.value(name).unwrap());
        assert_eq!(said, ["container", "list", "c", "l"]);
        Reply::Page(page_of_azure(&own, 2, asked))
    });
    let denied =
        Store::start(|_, _| Reply::Status(403, "x-ms-error-code: AuthorizationPermissionMismatch\r\n", ""));
    let key = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/bucket/service-account.json");
    let folder = tempfile::tempdir().unwrap();
    let checking = |prefix: &str, google: &Store, azure: &Store| {
        let mut command = telecine(folder.path(), google, &["preview", prefix, "-n", "9", "--json"]);
        command
            .env("GOOGLE_APPLICATION_CREDENTIALS", &key)
            .env("STORAGE_EMULATOR_HOST", google.url.strip_prefix("http://").unwrap())
            .env("AZURE_STORAGE_KEY", "Y2FuYXJ5LWtleQ==")
            .env("AZURE_STORAGE_SERVICE_ENDPOINT", format!("{}/account1", azure.url));
        ended(&command.output().unwrap())
    };
    for prefix in ["gs://archive/2019/", "az://account1/box/2019/"] {
        let (code, text) = checking(prefix, &google, &azure);
        assert_eq!(code, 0, "{text}");
        for key in ["a b+c.mp4", "🎬&<x>.mp4", "d.mp4"] {
            assert!(text.contains(&format!("\"{prefix}{key}\"")), "{text}");
        }
    }
    assert_eq!((google.requests(), azure.requests()), (2, 2));
    for (prefix, what) in [
        ("gs://archive/", "they need the right storage.objects.list"),
        ("az://account1/box", "they need the right to list the container"),
    ] {
        let (code, text) = checking(prefix, &denied, &denied);
        assert!(code == 3 && text.contains(what), "{code} {text}");
    }
}

#[test]
fn every_command_that_reads_a_manifest_reads_a_bucket_and_a_plan_of_it_holds() {
    let store = Store::of_s3(objects(&["2019/a.mp4", "2019/b.mp4"]), 1);
    let service = Service::start(Answer::Accept);
    let folder = tempfile::tempdir().unwrap();
    for (args, what) in [
        (&["check", "s3://archive/2019/"][..], "2"),
        (&["guess", "s3://archive/2019/"], "s3://archive/2019/"),
        (&["rehearse", "s3://archive/2019/", "--rate", "1/s"], "2"),
        (&["import", "s3://archive/2019/", "--dry-run"], "2"),
        (&["import", "s3://archive/2019/", "--sandbox", "--rate", "50/s"], "all 2 items are searchable"),
    ] {
        let (code, text) = ended(&telecine(folder.path(), &store, args).output().unwrap());
        assert!(code == 0 && text.contains(what), "{args:?}: {code} {text}");
    }
    let plan = ["plan", "s3://archive/2019/", "--json", "--rate", "200/s", "--list-rate", "500/s"];
    let (code, text) = ended(&telecine(folder.path(), &store, &plan).output().unwrap());
    let plan: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &plan["would_send"]), (0, &2.into()), "{text}");
    let id = plan["plan_id"].as_str().unwrap();
    let (code, text) = import(folder.path(), &store, &service, &["s3://archive/2019/", "--plan-id", id]);
    assert_eq!((code, service.uploads()), (0, 2), "{text}");
    let (code, text) = ended(
        &telecine(folder.path(), &store, &["check", "s3://archive/2019/"])
            .env_remove("AWS_ACCESS_KEY_ID")
            .output()
            .unwrap(),
    );
    assert!(code == 2 && text.contains("no credentials for s3:// addresses"), "{code} {text}");
}

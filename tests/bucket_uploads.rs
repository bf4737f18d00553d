//! The real binary with `--via upload`: objects that this machine reads from a store and sends itself.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
};

use crate::{
    buckets::{SECRET, checked},
    listed_buckets::{
        import,
        store::{Asked, Object, Reply, Store, page_of_s3},
        telecine,
    },
    support::service::{Answer, Service, ended},
};

/// The manifest of every command, and how its objects are sent.
const UPLOADS: &[&str] = &["s3://archive/", "--via", "upload"];

/// Bytes of an object, with line breaks and dashes among them.
fn content(key: &str, size: usize) -> Vec<u8> {
    key.bytes().chain(*b"\r\n--\r\n").chain(0..=255).cycle().take(size).collect()
}

/// A bucket whose listing names these objects. How the store answers who asks for one: its key, and the request.
fn store(objects: Vec<Object>, answer: impl Fn(&str, &Asked) -> Reply + Send + Sync + 'static) -> Store {
    Store::start(move |_, asked| {
        let path = checked(&asked.link, SECRET).path;
        match path.strip_prefix("archive/") {
            None => Reply::Page(page_of_s3(&objects, 1_000, asked)),
            Some(key) => answer(key, asked),
        }
    })
}

fn objects(keys: &[(&str, usize)]) -> Vec<Object> {
    keys.iter().map(|(key, size)| ((*key).to_owned(), *size as u64)).collect()
}

/// A whole object, as it is listed.
fn whole(key: &str, size: usize, etag: &'static str) -> Reply {
    Reply::Object(200, etag, size, content(key, size))
}

/// The files at the service by their names.
fn files(service: &Service) -> BTreeMap<String, Vec<u8>> {
    service.files().into_iter().map(|(name, _, bytes, _)| (name, bytes)).collect()
}

/// `rejects.csv` of the latest report.
fn rejects(folder: &Path) -> String {
    let reports = fs::read_dir(folder.join(".local/state/telecine/reports")).unwrap();
    let mut reports: Vec<_> = reports.map(|entry| entry.unwrap().path()).collect();
    reports.sort();
    fs::read_to_string(reports.last().unwrap().join("rejects.csv")).unwrap()
}

/// Every byte of every file of a folder and of those below it.
fn all_bytes(folder: &Path) -> Vec<u8> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { all_bytes(&path) } else { fs::read(path).unwrap() }).collect()
}

#[test]
fn objects_are_sent_byte_for_byte_without_a_link_and_stay_the_rows_of_their_bucket() {
    let keys = [("2019/a b+c.mp4", 700_000), ("2019/\u{1f3ac}%20.MOV", 3), ("2019/notes.webm", 5)];
    let listed = objects(&keys);
    let store = store(listed, move |key, asked| {
        let size = keys.iter().find(|(own, _)| *own == key).unwrap().1;
        assert_eq!(asked.header("if-match"), Some(&*format!("\"e-{size}\"")), "only what was listed");
        whole(key, size, if size == 3 { "\"e-3\"" } else { "\"e-700000\"" })
    });
    let service = Service::start(Answer::Accept);
    let folder = tempfile::tempdir().unwrap();
    let check = [&["check"], UPLOADS].concat();
    let (code, text) = ended(&telecine(folder.path(), &store, &check).output().unwrap());
    assert!(code == 4 && text.contains("file_ending"), "{code} {text}");
    let map = ["--map", "tags=path[1]", "--bwlimit", "100MiB"];
    let (code, text) = import(folder.path(), &store, &service, &[UPLOADS, &map].concat());
    assert_eq!(code, 4, "{text}");
    let expected = [("a b+c.mp4", keys[0]), ("\u{1f3ac}%20.MOV", keys[1])];
    let expected = expected.map(|(name, (key, size))| (name.to_owned(), content(key, size)));
    assert_eq!(files(&service), BTreeMap::from(expected), "{text}");
    assert!(service.files().iter().all(|(.., tags)| tags[0] == "2019"), "{text}");
    let list = telecine(folder.path(), &store, &["list", "--json"]).output().unwrap();
    assert!(ended(&list).1.contains("s3://archive/2019/a b+c.mp4"), "{}", ended(&list).1);
    let kept = all_bytes(folder.path());
    for secret in [SECRET, "X-Amz-"] {
        assert!(!text.contains(secret) && memchr::memmem::find(&kept, secret.as_bytes()).is_none(), "{text}");
    }
    // neither the same again nor links send anything
    for args in [UPLOADS, &["s3://archive/", "--include", "*.[mM]*"]] {
        let (_, text) = import(folder.path(), &store, &service, &[args, &map[..2]].concat());
        assert_eq!(service.uploads(), 2, "{text}");
        assert!(!text.contains("differ"), "{text}");
    }
}

#[test]
fn an_object_that_changed_since_its_listing_is_not_sent_and_the_next_import_sends_it() {
    let store = Store::start(move |number, asked| {
        let path = checked(&asked.link, SECRET).path;
        let size = if number > 3 { 9 } else { 5 };
        match (path.strip_prefix("archive/"), asked.header("if-match")) {
            (None, _) => Reply::Page(page_of_s3(&objects(&[("a.mp4", size), ("b.mp4", size)]), 9, asked)),
            (Some("a.mp4"), Some("\"e-5\"")) => {
                Reply::Status(412, "", "<Error><Code>PreconditionFailed</Code></Error>")
            }
            // this one does not know the condition
            (Some(key), _) => whole(key, 9, "\"e-9\""),
        }
    });
    let service = Service::start(Answer::Accept);
    let folder = tempfile::tempdir().unwrap();
    let (code, text) = import(folder.path(), &store, &service, UPLOADS);
    assert_eq!((code, service.uploads()), (4, 0), "{text}");
    for (key, cause) in [
        ("a.mp4", "the object changed"),
        ("b.mp4", "the object changed: it was 5 bytes with the ETag e-5, and is 9 bytes with the ETag e-9"),
    ] {
        assert!(text.contains(&format!("s3://archive/{key}: not sent: {cause}")), "{text}");
    }
    assert_eq!(rejects(folder.path()).matches("the object changed").count(), 2);
    let (code, text) = import(folder.path(), &store, &service, UPLOADS);
    assert_eq!((code, files(&service).len()), (0, 2), "{text}");
}

#[test]
fn a_connection_that_breaks_goes_on_with_the_same_object_and_never_with_another() {
    const SIZE: usize = 600_000;
    let listed = objects(&[("same.mp4", SIZE), ("other.mp4", SIZE)]);
    let store = store(listed, |key, asked| match (key, asked.header("range")) {
        (_, None) => Reply::Object(200, "\"e-600000\"", SIZE, content(key, SIZE)[..400_000].to_vec()),
        ("same.mp4", Some(range)) => {
            assert_eq!((range, asked.header("if-match")), ("bytes=400000-", Some("\"e-600000\"")));
            Reply::Object(206, "\"e-600000\"", SIZE - 400_000, content(key, SIZE)[400_000..].to_vec())
        }
        _ => Reply::Status(412, "", ""),
    });
    let service = Service::start(Answer::Accept);
    let folder = tempfile::tempdir().unwrap();
    let (code, text) = import(folder.path(), &store, &service, &[UPLOADS, &["--wait", "2s"]].concat());
    assert_eq!(code, 5, "{text}");
    assert_eq!(
        files(&service),
        BTreeMap::from([("same.mp4".to_owned(), content("same.mp4", SIZE))]),
        "{text}"
    );
    assert!(text.contains("other.mp4: no clear answer (the object changed; the request was cut)"), "{text}");
    // half an object is in doubt, and is not sent again without proof
    let (code, text) = import(folder.path(), &store, &service, &[UPLOADS, &["--wait", "2s"]].concat());
    assert_eq!((code, service.uploads()), (5, 2), "{text}");
}

#[test]
fn refused_credentials_and_a_busy_store_fail_no_row() {
    let (refused, busy) = (AtomicBool::new(false), AtomicBool::new(false));
    let store = store(objects(&[("a.mp4", 5), ("gone.mp4", 5)]), move |key, _| match key {
        "gone.mp4" => Reply::Status(404, "", "<Error><Code>NoSuchKey</Code></Error>"),
        _ if !refused.swap(true, SeqCst) => {
            Reply::Status(403, "", "<Error><Code>ExpiredToken</Code></Error>")
        }
        _ if !busy.swap(true, SeqCst) => Reply::Status(503, "", "<Error><Code>SlowDown</Code></Error>"),
        _ => whole(key, 5, "\"e-5\""),
    });
    let service = Service::start(Answer::Accept);
    let folder = tempfile::tempdir().unwrap();
    let one = [UPLOADS, &["--concurrency", "1"]].concat();
    let (code, text) = import(folder.path(), &store, &service, &one);
    assert_eq!((code, service.uploads()), (2, 0), "{text}");
    assert!(text.contains("the credentials have expired (403 ExpiredToken): obtain new ones"), "{text}");
    let (code, text) = import(folder.path(), &store, &service, &one);
    assert_eq!((code, service.uploads()), (4, 1), "{text}");
    assert!(text.contains("gone.mp4: not sent: there is no such object (404 NoSuchKey)"), "{text}");
}

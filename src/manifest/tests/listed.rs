//! Buckets as manifests: what of a listing is the same, and what its columns feed.

use super::*;
use crate::domain::{BucketPrefix, ListedObject};

fn listed(keys: &[&str]) -> ManifestSpec {
    let prefix = BucketPrefix::parse("s3://archive/").unwrap().unwrap();
    let file = || tempfile::tempfile().unwrap();
    let mut writer = BucketWriter::new(&prefix, file(), file());
    for key in keys {
        let (etag, last_modified) = ("e".to_owned(), "2020-01-02T03:04:05Z".to_owned());
        let object = ListedObject { key: (*key).to_owned(), size: 1, etag, last_modified };
        writer.add(&object, |_| true).unwrap();
    }
    ManifestSpec::with_defaults("s3://archive/").with_listing(writer.finish().unwrap())
}

#[test]
fn a_listing_is_unchanged_where_its_content_is_and_only_there() {
    let stamp = |keys: &[&str]| Manifest::open(&listed(keys)).unwrap().stamp().unwrap();
    let first = stamp(&["a.mp4", "b.mp4"]);
    assert_eq!(stamp(&["a.mp4", "b.mp4"]), first, "it is written into other files");
    assert_ne!(stamp(&["a.mp4", "c.mp4"]), first, "it is as long");
    let digest = |keys: &[&str]| Manifest::open(&listed(keys)).unwrap().digest().unwrap().unwrap();
    assert_ne!(digest(&["a.mp4", "c.mp4"]), digest(&["a.mp4", "b.mp4"]), "a plan of it does not hold");
}

#[test]
fn only_the_address_of_a_listing_is_recognised_and_the_columns_of_a_second_file_are() {
    let spec = listed(&["x/y/a.mp4", "b.mp4"]);
    let manifest = Manifest::open(&spec).unwrap();
    assert_eq!(manifest.mapping(), "url=url");
    let columns = ["url", "key", "name", "size", "etag", "last_modified", "path[1]", "path[2]"];
    assert_eq!(manifest.column_names(), columns);
    assert!(manifest.unused().iter().all(|unused| unused.resembles.is_none()), "{:?}", manifest.unused());
    let shelf = Shelf::new();
    let second = shelf.put(b"name,tags\na.mp4,fog\n").path;
    let joined = ManifestSpec { joins: vec![format!("{second}:name").parse().unwrap()], ..spec };
    let mut manifest = Manifest::open(&joined).unwrap();
    assert_eq!(manifest.mapping(), "url=url, tags=tags");
    let first = manifest.next().unwrap().unwrap().unwrap();
    assert_eq!(first.submission.tags, ["fog"]);
}

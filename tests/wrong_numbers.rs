//! The real binary against a service whose answers name the wrong videos, or whose videos change later.

use std::path::Path;

use crate::support::service::{Answer, Service, Video, ended, importing, manifest, telecine};

fn import(folder: &Path, service: &Service, args: &[&str]) -> (i32, String) {
    let args = [&["--rate", "500/s", "--wait", "60s"], args].concat();
    ended(&importing(folder, &service.url, &args).output().unwrap())
}

/// Another command about the ledger of the folder.
fn command(folder: &Path, service: &Service, args: &[&str]) -> (i32, String) {
    ended(&telecine(folder, &service.url, args).output().unwrap())
}

fn video_of_others(tags: &[&str]) -> Video {
    Video {
        number: "VI000000000000000001".to_owned(),
        url: "https://host/other.mp4".to_owned(),
        file: None,
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        status: "PARSE",
        callback: String::new(),
    }
}

#[test]
fn the_only_video_of_a_row_is_never_taken_for_a_second_one() {
    for tags in [&["foreign"][..], &[], &["telecine:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]] {
        // the third answer names an older video of another client
        let service =
            Service::scripted(|number| if number == 3 { Answer::AcceptNamed(0) } else { Answer::Accept });
        service.change(|videos| videos.push(video_of_others(tags)));
        let folder = tempfile::tempdir().unwrap();
        manifest(folder.path(), 6);
        let (code, text) = import(folder.path(), &service, &[]);
        assert_eq!(code, 6, "{text}");
        assert!(text.contains("whose markers contradict the ledger"), "{text}");
        assert!(!text.contains("undo --duplicates"), "{text}");
        let (code, text) = command(folder.path(), &service, &["undo", "--duplicates", "--yes"]);
        assert_eq!(code, 0, "there is nothing to delete: {text}");
        assert!(text.contains("may be the only video of its row"), "{text}");
        let (code, text) = command(folder.path(), &service, &["verify"]);
        assert_eq!(code, 6, "{text}");
        assert_eq!(service.copies().len(), 7, "nothing was deleted");
    }
}

#[test]
fn a_video_that_is_failed_later_is_not_said_to_be_searchable() {
    let service = Service::start(Answer::Accept);
    let folder = tempfile::tempdir().unwrap();
    manifest(folder.path(), 3);
    let (code, text) = import(folder.path(), &service, &[]);
    assert_eq!(code, 0, "{text}");
    service.change(|videos| videos[1].status = "FAILED");
    let (code, text) = command(folder.path(), &service, &["verify"]);
    assert_eq!(code, 4, "{text}");
    assert!(text.contains("searchable in the ledger, failed at the service"), "{text}");
}

#[test]
fn a_failed_video_that_is_searchable_later_is_no_difference() {
    let service = Service::start(Answer::AcceptAs("FAILED"));
    let folder = tempfile::tempdir().unwrap();
    manifest(folder.path(), 2);
    let (code, text) = import(folder.path(), &service, &[]);
    assert_eq!(code, 4, "{text}");
    service.change(|videos| videos.iter_mut().for_each(|video| video.status = "PARSE"));
    let (code, text) = command(folder.path(), &service, &["verify"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("--retry-failed binds it"), "{text}");
}

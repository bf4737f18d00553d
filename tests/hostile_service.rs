//! The real binary against a service that misbehaves in ordinary ways: what was paid must never be paid again.

use std::path::Path;

use crate::support::service::{Answer, KEY, Service, ended, importing, manifest};

fn import(folder: &Path, service: &Service, key: &str, args: &[&str]) -> (i32, String) {
    let wait: &[&str] = if args.contains(&"--wait") { &[] } else { &["--no-wait"] };
    let args = [&["--rate", "5000/s"], wait, args].concat();
    let output = importing(folder, &service.url, &args).env("MEMORIES_API_KEY", key).output().unwrap();
    ended(&output)
}

#[test]
fn an_unknown_status_word_is_announced_once_and_means_what_the_user_says() {
    let service = Service::start(Answer::AcceptAs("DONE"));
    let folder = tempfile::tempdir().unwrap();
    manifest(folder.path(), 3);
    let (code, text) = import(folder.path(), &service, KEY, &["--ledger", "a.db", "--wait", "7s"]);
    assert_eq!(code, 5, "{text}");
    let hint = "--status-word 'DONE=indexed'";
    assert_eq!(text.matches(hint).count(), 1, "{text}");
    // by a setting, as by the flag
    std::fs::write(folder.path().join("telecine.toml"), "status-word = [\"DONE=indexed\"]\n").unwrap();
    let (code, text) = import(folder.path(), &service, KEY, &["--ledger", "a.db", "--wait", "60s"]);
    assert_eq!((code, text.contains("status-word")), (0, false), "{text}");
    let mut failing = vec!["--ledger", "a.db", "--wait", "60s", "--status-word", "TIMEOUT=failed"];
    service.answers(Answer::AcceptAs("TIMEOUT"));
    manifest(folder.path(), 4);
    let (code, text) = import(folder.path(), &service, KEY, &failing);
    assert_eq!(code, 4, "{text}");
    failing[5] = "PARSE=failed";
    let (code, text) = import(folder.path(), &service, KEY, &failing);
    assert_eq!((code, service.uploads()), (2, 4), "{text}");
}

#[test]
fn a_request_in_doubt_says_what_keeps_it_there_and_until_when() {
    let service = Service::start(Answer::Raw("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n"));
    let folder = tempfile::tempdir().unwrap();
    manifest(folder.path(), 1);
    import(folder.path(), &service, KEY, &["--ledger", "a.db", "-j", "1"]);
    for command in [&["status"][..], &["explain", "item", "1"]] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_telecine"))
            .current_dir(folder.path())
            .args(command)
            .args(["--ledger", "a.db"])
            .output()
            .unwrap();
        let (_, text) = ended(&output);
        assert!(text.contains("shows no tags") && text.contains("needs your decision from 2"), "{text}");
    }
}

#[test]
fn a_second_ledger_of_the_same_account_sends_no_row_again_and_says_why() {
    let service = Service::start(Answer::Accept);
    let folder = tempfile::tempdir().unwrap();
    manifest(folder.path(), 2_500);
    import(folder.path(), &service, KEY, &["--ledger", "a.db"]);
    assert_eq!(service.uploads(), 2_500);
    let (code, text) =
        import(folder.path(), &service, KEY, &["--ledger", "b.db", "--second-ledger", "--max-rows", "100"]);
    assert_eq!(service.uploads(), 2_500, "nothing was sent again: {text}");
    assert_ne!(code, 0, "{text}");
    assert!(text.contains("another ledger"), "{text}");
}

#[test]
fn a_second_ledger_reads_the_whole_library_before_it_sends_new_rows() {
    let service = Service::start(Answer::Accept);
    let folder = tempfile::tempdir().unwrap();
    manifest(folder.path(), 2_500);
    import(folder.path(), &service, KEY, &["--ledger", "a.db"]);
    // the first rows of the second ledger are the oldest of the first: behind the newest pages
    manifest(folder.path(), 300);
    let (_, text) = import(folder.path(), &service, KEY, &["--ledger", "b.db", "--second-ledger"]);
    assert!(text.contains("another ledger"), "{text}");
    assert_eq!(service.copies()[0], 1, "no source was paid twice");
}

#[test]
fn a_cap_in_the_words_of_a_bad_parameter_rejects_no_row() {
    let service = Service::start(Answer::Refuse("0001", "The rolling 2-hour cap is reached"));
    let folder = tempfile::tempdir().unwrap();
    manifest(folder.path(), 30);
    let (_, text) = import(folder.path(), &service, KEY, &["--ledger", "a.db", "--quota-exit=1s", "-j", "1"]);
    assert!(service.uploads() <= 3, "{} uploads were refused: {text}", service.uploads());
    service.answers(Answer::Accept);
    // the wait after refusals is kept over runs, so the second ledger's run starts without it
    import(folder.path(), &service, KEY, &["--ledger", "b.db", "--second-ledger"]);
    assert_eq!(service.copies().len(), 30);
}

#[test]
fn a_row_that_was_answered_as_rejected_though_its_video_was_made_is_bound_and_not_sent_again() {
    let service = Service::start(Answer::AcceptBut("0001", "url is invalid"));
    let folder = tempfile::tempdir().unwrap();
    manifest(folder.path(), 3);
    let (_, first) = import(folder.path(), &service, KEY, &["--ledger", "a.db"]);
    assert_eq!(service.uploads(), 3, "{first}");
    service.answers(Answer::Accept);
    let (_, text) = import(folder.path(), &service, KEY, &["--ledger", "a.db", "--retry-failed"]);
    assert_eq!(service.copies(), [1, 1, 1], "{text}");
    // whichever of the two finds it first: the comparison before sending, or the search before a row is sent again
    assert!(text.contains("answered as rejected") || text.contains("found in the listing"), "{text}");
}

#[test]
fn trouble_in_the_words_of_a_limit_of_credits_or_of_a_key_is_in_doubt_and_never_paid_twice() {
    const MESSAGES: [&str; 6] = [
        "rpc error: code = DeadlineExceeded desc = context deadline exceeded",
        "java.lang.OutOfMemoryError: GC overhead limit exceeded",
        "Failed to enqueue the indexing task: max retries exceeded",
        "Concurrent update of record, version mismatch",
        "Failed to finish https://host/speed-limit/v2.mp4",
        "Failed to update user credits",
    ];
    // every second video is made, and the answer does not say so
    let service = Service::scripted(|number| match MESSAGES.get((number / 2).wrapping_sub(1)) {
        Some(message) if number % 2 == 0 => Answer::AcceptBut("0001", message),
        _ => Answer::Accept,
    });
    let folder = tempfile::tempdir().unwrap();
    manifest(folder.path(), 12);
    let args = ["--ledger", "a.db", "--wait", "60s", "--settle-after", "1s"];
    let (code, text) = import(folder.path(), &service, KEY, &args);
    assert_eq!((code, service.uploads(), service.copies()), (0, 12, vec![1; 12]), "{text}");
}

#[test]
fn an_error_under_the_code_of_a_success_is_not_taken_for_a_video() {
    let yii = "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: 45\r\n\r\n\
               {\"name\":\"Unauthorized\",\"code\":0,\"status\":401}";
    let service = Service::start(Answer::Raw(yii));
    let folder = tempfile::tempdir().unwrap();
    manifest(folder.path(), 6);
    let (code, text) = import(folder.path(), &service, KEY, &["--ledger", "a.db", "-j", "1"]);
    assert_eq!((code, service.uploads()), (7, 1), "{text}");
}

#[test]
fn a_service_error_worded_as_a_bad_parameter_rejects_no_row() {
    let service = Service::start(Answer::AcceptBut("0001", "System error"));
    let folder = tempfile::tempdir().unwrap();
    manifest(folder.path(), 3);
    let (_, text) = import(folder.path(), &service, KEY, &["--ledger", "a.db", "--max-rows", "3"]);
    assert!(!text.contains("3 rejected"), "{text}");
    assert_eq!(service.copies(), vec![1; service.uploads()], "{text}");
}

#[test]
fn a_wrong_key_stops_before_the_first_upload_and_does_not_own_the_ledger() {
    let service = Service::start(Answer::Accept);
    let folder = tempfile::tempdir().unwrap();
    manifest(folder.path(), 10);
    let (code, text) = import(folder.path(), &service, "sk-mavi-wrong", &["--ledger", "a.db", "--json"]);
    assert_eq!((code, service.uploads()), (7, 0), "{text}");
    assert!(text.contains("\"next_run_at\":null"), "no waiting helps: {text}");
    import(folder.path(), &service, KEY, &["--ledger", "a.db"]);
    assert_eq!(service.copies(), vec![1; 10]);
}

#[test]
fn a_service_that_rejects_nearly_every_row_is_not_given_the_whole_manifest() {
    let service = Service::start(Answer::Refuse("0003", "tags are invalid"));
    let folder = tempfile::tempdir().unwrap();
    manifest(folder.path(), 200);
    let (code, text) = import(folder.path(), &service, KEY, &["--ledger", "a.db", "-j", "1"]);
    assert_eq!(code, 7, "{text}");
    assert!(service.uploads() <= 25, "{} uploads", service.uploads());
}

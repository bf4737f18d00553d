//! The real binary against a service that misbehaves in ordinary ways: what was paid must never be paid again.
#![allow(clippy::unwrap_used, missing_docs, reason = "this is a test")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Output},
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

const KEY: &str = "sk-mavi-right";

/// How the service answers an upload.
#[derive(Clone, Copy)]
enum Answer {
    /// The video is made, and named.
    Accept,
    /// The same, and listings give the video this status.
    AcceptAs(&'static str),
    /// The video is made, and the answer has this code and message.
    AcceptBut(&'static str, &'static str),
    /// No video is made, and the answer has this code and message.
    Refuse(&'static str, &'static str),
}

struct Video {
    number: String,
    url: String,
    tags: Vec<String>,
    status: &'static str,
}

/// A service in a thread. It keeps every video of an account in one namespace, searchable at once.
struct Service {
    url: String,
    videos: Arc<Mutex<Vec<Video>>>,
    uploads: Arc<Mutex<usize>>,
    answer: Arc<Mutex<Answer>>,
}

impl Service {
    fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let service = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            videos: Arc::default(),
            uploads: Arc::default(),
            answer: Arc::new(Mutex::new(answer)),
        };
        let (videos, uploads, answer) =
            (Arc::clone(&service.videos), Arc::clone(&service.uploads), Arc::clone(&service.answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (videos, uploads, answer) =
                    (Arc::clone(&videos), Arc::clone(&uploads), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream, &videos, &uploads, &answer));
            }
        });
        service
    }

    fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    fn uploads(&self) -> usize {
        *self.uploads.lock().unwrap()
    }

    /// How often each source was made a video, most often first.
    fn copies(&self) -> Vec<usize> {
        let mut counts = std::collections::BTreeMap::new();
        for video in self.videos.lock().unwrap().iter() {
            *counts.entry(video.url.clone()).or_insert(0) += 1;
        }
        let mut counts: Vec<usize> = counts.into_values().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        counts
    }
}

/// Serves one connection.
fn serve(stream: TcpStream, videos: &Mutex<Vec<Video>>, uploads: &Mutex<usize>, answer: &Mutex<Answer>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request).unwrap_or(0) == 0 {
            return;
        }
        let (mut length, mut key) = (0, String::new());
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap_or(0),
                "authorization" => value.clone_into(&mut key),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        let envelope =
            |code: &str, message: &str, data: Value| json!({ "code": code, "msg": message, "data": data });
        let reply = if key != KEY {
            envelope("0401", "authorization is wrong", Value::Null)
        } else if request.contains("upload_url") {
            *uploads.lock().unwrap() += 1;
            let answer = *answer.lock().unwrap();
            let number = match answer {
                Answer::Refuse(..) => None,
                Answer::AcceptAs(status) => Some(make(videos, &body, status)),
                Answer::Accept | Answer::AcceptBut(..) => Some(make(videos, &body, "PARSE")),
            };
            match (answer, number) {
                (Answer::AcceptBut(code, message) | Answer::Refuse(code, message), _) => {
                    envelope(code, message, Value::Null)
                }
                (Answer::Accept | Answer::AcceptAs(_), number) => {
                    envelope("0000", "success", json!({ "videoNo": number, "uploadTime": "1790000000000" }))
                }
            }
        } else {
            envelope("0000", "success", list(videos, &body))
        };
        let reply = reply.to_string();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length";
        if writer.write_all(format!("{head}: {}\r\n\r\n{reply}", reply.len()).as_bytes()).is_err() {
            return;
        }
    }
}

fn make(videos: &Mutex<Vec<Video>>, form: &str, status: &'static str) -> String {
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
    let values = |name: &str| -> Vec<String> {
        pairs.iter().filter(|(own, _)| own == name).map(|(_, value)| value.clone()).collect()
    };
    let mut videos = videos.lock().unwrap();
    let number = format!("VI{:018}", 700_000_000_000_000_000_u64 + videos.len() as u64);
    videos.push(Video { number: number.clone(), url: values("url").concat(), tags: values("tags"), status });
    number
}

fn list(videos: &Mutex<Vec<Video>>, body: &str) -> Value {
    let asked: Value = serde_json::from_str(body).unwrap_or_default();
    let wanted = asked["video_nos"].as_array();
    let videos = videos.lock().unwrap();
    let found: Vec<&Video> = videos
        .iter()
        .rev()
        .filter(|video| wanted.is_none_or(|wanted| wanted.iter().any(|number| *number == video.number)))
        .collect();
    let page = usize::try_from(asked["page"].as_u64().unwrap_or(1)).unwrap().max(1);
    let size = usize::try_from(asked["size"].as_u64().unwrap_or(200)).unwrap();
    let shown: Vec<Value> = found
        .iter()
        .skip((page - 1) * size)
        .take(size)
        .map(|video| {
            json!({
                "video_no": video.number, "status": video.status, "create_time": 1_790_000_000_000_i64,
                "tags": video.tags.iter().map(String::as_str).chain(["api"]).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({ "current_page": page, "page_size": size, "total_count": found.len(), "videos": shown })
}

fn manifest(folder: &Path, rows: usize) {
    let rows: Vec<String> = (0..rows).map(|row| format!("https://host/{row}.mp4\n")).collect();
    std::fs::write(folder.join("m.csv"), format!("url\n{}", rows.concat())).unwrap();
}

fn import(folder: &Path, service: &Service, key: &str, args: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_telecine"))
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .env("MEMORIES_API_KEY", key)
        .args(["import", "m.csv", "--api-url", &service.url, "--rate", "5000/s", "--list-rate", "500/s"])
        .args(if args.contains(&"--wait") { &[][..] } else { &["--no-wait"] })
        .args(args)
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    (status.code().unwrap(), text)
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
fn a_second_ledger_of_the_same_account_sends_no_row_again_and_says_why() {
    let service = Service::start(Answer::Accept);
    let folder = tempfile::tempdir().unwrap();
    manifest(folder.path(), 2_500);
    import(folder.path(), &service, KEY, &["--ledger", "a.db"]);
    assert_eq!(service.uploads(), 2_500);
    let (code, text) = import(folder.path(), &service, KEY, &["--ledger", "b.db", "--max-rows", "100"]);
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
    import(folder.path(), &service, KEY, &["--ledger", "b.db"]);
    assert_eq!(service.copies()[0], 1, "no source was paid twice");
}

#[test]
fn a_cap_in_the_words_of_a_bad_parameter_rejects_no_row() {
    let service = Service::start(Answer::Refuse("0001", "The rolling 2-hour cap is reached"));
    let folder = tempfile::tempdir().unwrap();
    manifest(folder.path(), 30);
    let (_, text) = import(folder.path(), &service, KEY, &["--ledger", "a.db", "--quota-exit=1s"]);
    assert!(service.uploads() <= 3, "{} uploads were refused: {text}", service.uploads());
    service.answers(Answer::Accept);
    // the wait after refusals is kept over runs, so the second ledger's run starts without it
    import(folder.path(), &service, KEY, &["--ledger", "b.db"]);
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
    assert!(text.contains("answered as rejected"), "{text}");
}

#[test]
fn trouble_in_the_words_of_a_bad_parameter_rejects_no_row() {
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

//! A service in a thread, over plain HTTP or TLS. It keeps every video of an account in one namespace, searchable at once,
//! and answers as a test tells it to.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    missing_docs,
    reason = "this is a test, and a server measures real time"
)]

mod form;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Output},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use serde_json::{Value, json};

use form::parts_of;

pub const KEY: &str = "sk-mavi-right";
/// The status of a searchable video.
const INDEXED: &str = "PARSE";

/// How the service answers a request.
#[derive(Clone, Copy)]
pub enum Answer {
    /// The video is made, and named.
    Accept,
    /// The same, and listings give the video this status.
    AcceptAs(&'static str),
    /// It is accepted after this time.
    AcceptAfter(Duration),
    /// The video is made, and the answer names the video that was made at this place, from 0.
    AcceptNamed(usize),
    /// The video is made, and the answer has this code and message.
    AcceptBut(&'static str, &'static str),
    /// No video is made, and the answer has this code and message.
    Refuse(&'static str, &'static str),
    /// No video is made, and these are the bytes of the answer. No bytes: there is none for a minute.
    Raw(&'static str),
    /// The connection is closed after so many bytes of the body.
    CutBody(usize),
    /// No more of the body is read after so many bytes, for a minute.
    HoldBody(usize),
    /// The bytes of an answer, before the body is read.
    Early(&'static str),
}

/// What becomes of a connection without a request.
#[derive(Clone, Copy)]
pub enum IdleRule {
    Keep,
    /// It is closed after this time.
    Close(Duration),
    /// A request after this time crosses the closing: it is lost.
    Cross(Duration),
}

pub struct Video {
    pub number: String,
    /// Of a file: its name.
    pub url: String,
    /// Of a file: its media type, and its bytes.
    pub file: Option<(String, Vec<u8>)>,
    pub tags: Vec<String>,
    pub status: &'static str,
    pub callback: String,
}

type Script = Box<dyn Fn(usize) -> Answer + Send>;

struct State {
    videos: Mutex<Vec<Video>>,
    uploads: Mutex<usize>,
    /// How to answer each upload, by its number from 1.
    upload: Mutex<Script>,
    /// How to answer listings, if not with what is there.
    listing: Mutex<Option<Answer>>,
    /// Whether listings show no video; each can still be read by its number.
    hides: AtomicBool,
    /// Bytes of the body of the latest upload that were read.
    body_read: Mutex<usize>,
    idle: IdleRule,
}

pub struct Service {
    pub url: String,
    pub port: u16,
    state: Arc<State>,
}

impl Service {
    pub fn start(answer: Answer) -> Self {
        Self::start_with(IdleRule::Keep, None, move |_| answer)
    }

    pub fn scripted(script: impl Fn(usize) -> Answer + Send + 'static) -> Self {
        Self::start_with(IdleRule::Keep, None, script)
    }

    /// Over TLS, with a certificate for `localhost` and `service.test` of the authority in `tests/data/tls/ca.pem`. Both are
    /// valid for a hundred years.
    pub fn over_tls() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls");
        let certificate = CertificateDer::from_pem_file(folder.join("server.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
        let config =
            ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
        Self::start_with(IdleRule::Keep, Some(Arc::new(config)), |_| Answer::Accept)
    }

    pub fn start_with(
        idle: IdleRule,
        tls: Option<Arc<ServerConfig>>,
        script: impl Fn(usize) -> Answer + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            videos: Mutex::default(),
            uploads: Mutex::default(),
            upload: Mutex::new(Box::new(script)),
            listing: Mutex::default(),
            hides: AtomicBool::new(false),
            body_read: Mutex::default(),
            idle,
        });
        let url = if tls.is_some() {
            format!("https://localhost:{port}")
        } else {
            format!("http://127.0.0.1:{port}")
        };
        let service = Self { url, port, state };
        let state = Arc::clone(&service.state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (state, tls) = (Arc::clone(&state), tls.clone());
                std::thread::spawn(move || match tls {
                    None => serve(&stream, &stream, &state),
                    Some(config) => {
                        let connection = ServerConnection::new(config).unwrap();
                        serve(&stream, StreamOwned::new(connection, stream.try_clone().unwrap()), &state);
                    }
                });
            }
        });
        service
    }

    pub fn answers(&self, answer: Answer) {
        *self.state.upload.lock().unwrap() = Box::new(move |_| answer);
    }

    /// Changes the videos that were made.
    pub fn change(&self, change: impl FnOnce(&mut Vec<Video>)) {
        change(&mut self.state.videos.lock().unwrap());
    }

    /// How listings are answered. `None`: with what is there.
    pub fn lists(&self, answer: Option<Answer>) {
        *self.state.listing.lock().unwrap() = answer;
    }

    /// From now on no listing shows a video.
    pub fn hide_from_listings(&self) {
        self.state.hides.store(true, Relaxed);
    }

    /// The number and the callback URL of each video, in the order in which they were made.
    pub fn callbacks(&self) -> Vec<(String, String)> {
        let videos = self.state.videos.lock().unwrap();
        videos.iter().map(|video| (video.number.clone(), video.callback.clone())).collect()
    }

    pub fn uploads(&self) -> usize {
        *self.state.uploads.lock().unwrap()
    }

    /// How many bytes of the body of the latest upload were read.
    pub fn body_read(&self) -> usize {
        *self.state.body_read.lock().unwrap()
    }

    /// Each file that was made a video: its name, its media type, its bytes, and its tags.
    pub fn files(&self) -> Vec<(String, String, Vec<u8>, Vec<String>)> {
        let videos = self.state.videos.lock().unwrap();
        let file = |video: &Video| {
            let (media_type, bytes) = video.file.clone()?;
            Some((video.url.clone(), media_type, bytes, video.tags.clone()))
        };
        videos.iter().filter_map(file).collect()
    }

    /// The address of each video, in the order in which they were made.
    pub fn urls(&self) -> Vec<String> {
        self.state.videos.lock().unwrap().iter().map(|video| video.url.clone()).collect()
    }

    /// How often each source was made a video, most often first.
    pub fn copies(&self) -> Vec<usize> {
        let mut counts = std::collections::BTreeMap::new();
        for video in self.state.videos.lock().unwrap().iter() {
            *counts.entry(video.url.clone()).or_insert(0) += 1;
        }
        let mut counts: Vec<usize> = counts.into_values().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        counts
    }
}

/// A request as it came.
struct Request {
    line: String,
    key: String,
    body: Vec<u8>,
    /// How to answer it, if it is an upload.
    answer: Option<Answer>,
}

impl Request {
    /// The body of a request without a file.
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Serves one connection.
fn serve(socket: &TcpStream, stream: impl Read + Write, state: &State) {
    let mut stream = BufReader::new(stream);
    let mut answered_at: Option<Instant> = None;
    loop {
        if let IdleRule::Close(after) = state.idle {
            socket.set_read_timeout(Some(after)).unwrap();
        }
        let Some(request) = read(&mut stream, state) else { return };
        let idle_for = answered_at.map_or(Duration::ZERO, |answered_at| answered_at.elapsed());
        if matches!(state.idle, IdleRule::Cross(after) if idle_for + Duration::from_millis(100) >= after) {
            return;
        }
        let reply = reply(&request, state);
        if reply.is_empty() {
            std::thread::sleep(Duration::from_mins(1));
        }
        if stream.get_mut().write_all(reply.as_bytes()).and_then(|()| stream.get_mut().flush()).is_err() {
            return;
        }
        answered_at = Some(Instant::now());
    }
}

fn read<S: Read + Write>(stream: &mut BufReader<S>, state: &State) -> Option<Request> {
    let mut line = String::new();
    if stream.read_line(&mut line).unwrap_or(0) == 0 {
        return None;
    }
    let (mut length, mut key) = (0, String::new());
    loop {
        let mut header = String::new();
        if stream.read_line(&mut header).unwrap_or(0) == 0 {
            return None;
        }
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap_or(0),
            "authorization" => value.clone_into(&mut key),
            _ => {}
        }
    }
    let is_upload = key == KEY && (line.contains("/upload_url ") || line.contains("/upload "));
    let answer = is_upload.then(|| {
        let number = {
            let mut uploads = state.uploads.lock().unwrap();
            *uploads += 1;
            *uploads
        };
        (state.upload.lock().unwrap())(number)
    });
    let wanted = match answer {
        Some(Answer::CutBody(after) | Answer::HoldBody(after)) => length.min(after),
        Some(Answer::Early(bytes)) => {
            stream.get_mut().write_all(bytes.as_bytes()).and_then(|()| stream.get_mut().flush()).ok()?;
            length
        }
        _ => length,
    };
    let mut body = Vec::new();
    while body.len() < wanted {
        let mut part = vec![0; (wanted - body.len()).min(16 * 1024)];
        stream.read_exact(&mut part).ok()?;
        body.extend(part);
        if is_upload {
            *state.body_read.lock().unwrap() = body.len();
        }
    }
    match answer {
        Some(Answer::CutBody(_) | Answer::Early(_)) => return None,
        Some(Answer::HoldBody(_)) => {
            std::thread::sleep(Duration::from_mins(1));
            return None;
        }
        _ => {}
    }
    Some(Request { line, key, body, answer })
}

fn reply(request: &Request, state: &State) -> String {
    let envelope = |code: &str, message: &str, data: Value| {
        let reply = json!({ "code": code, "msg": message, "data": data }).to_string();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length";
        format!("{head}: {}\r\n\r\n{reply}", reply.len())
    };
    if request.key != KEY {
        return envelope("0401", "authorization is wrong", Value::Null);
    }
    if let Some((_, query)) = request.line.split_once("get_metadata?video_no=") {
        let number = query.split(['&', ' ']).next().unwrap();
        let videos = state.videos.lock().unwrap();
        let video = videos.iter().find(|video| video.number == number);
        return envelope("0000", "success", video.map_or(Value::Null, show));
    }
    let answer = request.answer.or(*state.listing.lock().unwrap());
    match answer {
        // the account has one namespace, and not the one that shows whether namespaces are ignored
        None if state.hides.load(Relaxed) || request.text().contains("telecine-unused") => {
            envelope("0000", "success", list(&Mutex::default(), &request.text()))
        }
        None => envelope("0000", "success", list(&state.videos, &request.text())),
        // these were dealt with while the request was read
        Some(Answer::CutBody(_) | Answer::HoldBody(_) | Answer::Early(_)) => String::new(),
        Some(Answer::Raw(bytes)) => bytes.to_owned(),
        Some(Answer::Refuse(code, message)) => envelope(code, message, Value::Null),
        Some(Answer::AcceptBut(code, message)) => {
            make(&state.videos, request, INDEXED);
            envelope(code, message, Value::Null)
        }
        Some(Answer::Accept) => accept(state, request, INDEXED, envelope),
        Some(Answer::AcceptNamed(place)) => {
            make(&state.videos, request, INDEXED);
            let number = state.videos.lock().unwrap()[place].number.clone();
            envelope("0000", "success", json!({ "videoNo": number, "uploadTime": "1790000000000" }))
        }
        Some(Answer::AcceptAs(status)) => accept(state, request, status, envelope),
        Some(Answer::AcceptAfter(time)) => {
            std::thread::sleep(time);
            accept(state, request, INDEXED, envelope)
        }
    }
}

fn accept(
    state: &State,
    request: &Request,
    status: &'static str,
    envelope: impl Fn(&str, &str, Value) -> String,
) -> String {
    let number = make(&state.videos, request, status);
    envelope("0000", "success", json!({ "videoNo": number, "uploadTime": "1790000000000" }))
}

fn make(videos: &Mutex<Vec<Video>>, request: &Request, status: &'static str) -> String {
    let is_file = request.line.contains("/upload ");
    let (pairs, file) = if is_file {
        parts_of(&request.body)
    } else {
        (url::form_urlencoded::parse(&request.body).into_owned().collect(), None)
    };
    let values = |name: &str| -> Vec<String> {
        pairs.iter().filter(|(own, _)| own == name).map(|(_, value)| value.clone()).collect()
    };
    let mut videos = videos.lock().unwrap();
    let number = format!("VI{:018}", 700_000_000_000_000_000_u64 + videos.len() as u64);
    let callback = values("callback").concat();
    let url = match &file {
        Some((name, ..)) => name.clone(),
        None => values("url").concat(),
    };
    let file = file.map(|(_, media_type, bytes)| (media_type, bytes));
    videos.push(Video { number: number.clone(), url, file, tags: values("tags"), status, callback });
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
    let shown: Vec<Value> =
        found.iter().skip((page - 1) * size).take(size).map(|video| show(video)).collect();
    json!({ "current_page": page, "page_size": size, "total_count": found.len(), "videos": shown })
}

fn show(video: &Video) -> Value {
    json!({
        "video_no": video.number, "status": video.status, "create_time": 1_790_000_000_000_i64,
        "tags": video.tags.iter().map(String::as_str).chain(["api"]).collect::<Vec<_>>(),
    })
}

pub fn manifest(folder: &Path, rows: usize) {
    let rows: Vec<String> = (0..rows).map(|row| format!("https://host/{row}.mp4\n")).collect();
    std::fs::write(folder.join("m.csv"), format!("url\n{}", rows.concat())).unwrap();
}

/// `telecine import m.csv` against an address.
pub fn importing(folder: &Path, url: &str, args: &[&str]) -> Command {
    telecine(folder, url, &[&["import", "m.csv"], args].concat())
}

/// A command against an address.
pub fn telecine(folder: &Path, url: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_telecine"));
    command.current_dir(folder).env_clear().env("HOME", folder).env("MEMORIES_API_KEY", KEY).args(args);
    command.args(["--api-url", url, "--list-rate", "500/s"]);
    command
}

/// The exit code, and both outputs as one text.
pub fn ended(output: &Output) -> (i32, String) {
    let text = [&output.stdout[..], &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    (output.status.code().unwrap(), text.concat())
}

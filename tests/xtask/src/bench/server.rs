//! A service that costs next to nothing: it accepts every upload, lists what it accepted, and notes when requests arrive.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    task::JoinSet,
};

use super::words;

/// The number of the first video.
const FIRST_NUMBER: usize = 1_000_000;
/// How the marker tag begins in the form of an upload.
const MARKER: &str = "tags=telecine%3A";
/// Videos on a page.
const PAGE_SIZE: usize = 200;

/// A server on a port of its own, until it is dropped.
pub(super) struct Server {
    pub(super) origin: String,
    address: std::net::SocketAddr,
    state: Arc<Mutex<State>>,
    runtime: Runtime,
}

/// What the server accepted, and when.
#[derive(Default)]
struct State {
    videos: Vec<Video>,
    arrivals: Arrivals,
}

struct Video {
    marker: Option<String>,
    created_at: u128,
}

/// When requests arrived since this was last reset.
#[derive(Clone, Copy, Default)]
pub(super) struct Arrivals {
    /// The first request, of any kind.
    pub(super) first: Option<Instant>,
    pub(super) first_upload: Option<Instant>,
    pub(super) last_upload: Option<Instant>,
    pub(super) uploads: u64,
}

impl Server {
    pub(super) fn start() -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(words)?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).map_err(words)?;
        let address = listener.local_addr().map_err(words)?;
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // a client that is killed ends its connection with an error
                let state = Arc::clone(&shared);
                tokio::spawn(async move { serve(stream, &state).await });
            }
        });
        Ok(Self { origin: format!("http://{address}"), address, state, runtime })
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn arrivals(&self) -> Arrivals {
        self.locked().arrivals
    }

    /// Forgets when requests arrived; the videos stay.
    pub(super) fn reset_arrivals(&self) {
        self.locked().arrivals = Arrivals::default();
    }

    /// The markers of the videos, to see that none was uploaded twice.
    pub(super) fn markers(&self) -> Vec<String> {
        self.locked().videos.iter().filter_map(|video| video.marker.clone()).collect()
    }

    /// How many requests a second the server answers to a client that does nothing else.
    pub(super) fn raw_rate(&self, requests: u64, connections: u64) -> Result<f64, String> {
        let address = self.address;
        let each = requests / connections;
        let started = Instant::now();
        self.runtime.block_on(async move {
            let mut clients = JoinSet::new();
            for _ in 0..connections {
                clients.spawn(async move { send_requests(TcpStream::connect(address).await?, each).await });
            }
            while let Some(ended) = clients.join_next().await {
                ended.map_err(words)?.map_err(words)?;
            }
            Ok::<(), String>(())
        })?;
        Ok(count_per_second(each * connections, started.elapsed()))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure to print")]
pub(super) fn count_per_second(count: u64, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64()
}

/// The body of an upload as telecine sends it.
pub(super) const UPLOAD_BODY: &str = "url=https%3A%2F%2Farchive.example.org%2Fmasters%2F001%2Fclip-00000001.mp4%3Fpart%3D1\
    &unique_id=default&tags=harbour&tags=fog&tags=take+1&tags=reel+1&tags=camera+1&latitude=1.00001&longitude=1.00001\
    &datetime_taken=1991-02-02+01%3A01%3A01&camera_model=Sony+FX1";

async fn send_requests(mut stream: TcpStream, requests: u64) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let request = format!(
        "POST /serve/api/v1/upload_url HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: any\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{UPLOAD_BODY}",
        UPLOAD_BODY.len()
    );
    let mut buffer = Vec::new();
    for _ in 0..requests {
        stream.write_all(request.as_bytes()).await?;
        let Some(message) = read_message(&mut stream, &mut buffer).await? else { break };
        buffer.drain(..message.length);
    }
    Ok(())
}

/// Where the parts of a message end in a buffer.
struct Message {
    head_length: usize,
    length: usize,
}

/// Reads until the buffer begins with a whole message. `None`: the other side closed the connection.
async fn read_message(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<Option<Message>> {
    loop {
        if let Some(end) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]);
            let length_of = |line: &str| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            };
            let body_length = head.lines().find_map(length_of).unwrap_or(0);
            let (head_length, length) = (end + 4, end + 4 + body_length);
            if buffer.len() >= length {
                return Ok(Some(Message { head_length, length }));
            }
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

async fn serve(mut stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(4096);
    while let Some(message) = read_message(&mut stream, &mut buffer).await? {
        let head = String::from_utf8_lossy(&buffer[..message.head_length]).into_owned();
        let body = String::from_utf8_lossy(&buffer[message.head_length..message.length]).into_owned();
        buffer.drain(..message.length);
        let answer = answer(&head, &body, state);
        stream.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

fn answer(head: &str, body: &str, state: &Mutex<State>) -> String {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    state.arrivals.first.get_or_insert(now);
    let target = head.split(' ').nth(1).unwrap_or_default();
    let endpoint = target.rsplit('/').next().unwrap_or_default();
    let data = match endpoint.split_once('?').unwrap_or((endpoint, "")) {
        ("upload_url", _) => {
            state.arrivals.first_upload.get_or_insert(now);
            state.arrivals.last_upload = Some(now);
            state.arrivals.uploads += 1;
            state.accept(body)
        }
        ("list_videos", _) => state.list(&serde_json::from_str(body).unwrap_or_default()).to_string(),
        ("get_metadata", query) => state.metadata(query).to_string(),
        _ => return respond(404, "{}"),
    };
    drop(state);
    respond(200, &format!(r#"{{"code":"0000","msg":"success","data":{data},"success":true,"failed":false}}"#))
}

fn respond(status: u16, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nDate: {}\r\nContent-Length: {}\r\n\r\n{body}",
        httpdate::fmt_http_date(SystemTime::now()),
        body.len()
    )
}

impl State {
    fn accept(&mut self, form: &str) -> String {
        let marker = form.find(MARKER).map(|at| {
            let end = &form[at + MARKER.len()..];
            format!("telecine:{}", end.split('&').next().unwrap_or_default())
        });
        let created_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let number = FIRST_NUMBER + self.videos.len();
        self.videos.push(Video { marker, created_at });
        format!(r#"{{"videoNo":"VI{number}","videoStatus":"UNPARSE","uploadTime":"{created_at}"}}"#)
    }

    /// The videos that a listing asks for by their numbers, or a page, newest first.
    fn list(&self, request: &Value) -> Value {
        let page = usize::try_from(request["page"].as_u64().unwrap_or(1)).unwrap_or(1).max(1);
        let total = self.videos.len();
        let (count, videos): (usize, Vec<Value>) = match request["video_nos"].as_array() {
            Some(numbers) => {
                let places = numbers.iter().filter_map(|number| place_of(number.as_str()?));
                let videos: Vec<Value> = places.filter_map(|place| self.video(place)).collect();
                (videos.len(), videos)
            }
            None => {
                let end = total.saturating_sub((page - 1) * PAGE_SIZE);
                let places = (end.saturating_sub(PAGE_SIZE)..end).rev();
                (total, places.filter_map(|place| self.video(place)).collect())
            }
        };
        json!({ "current_page": page, "page_size": PAGE_SIZE, "total_count": count, "videos": videos })
    }

    fn metadata(&self, query: &str) -> Value {
        let number = query.split('&').find_map(|part| part.strip_prefix("video_no="));
        number.and_then(place_of).and_then(|place| self.video(place)).unwrap_or_default()
    }

    /// A video, indexed at once.
    fn video(&self, place: usize) -> Option<Value> {
        let video = self.videos.get(place)?;
        let number = format!("VI{}", FIRST_NUMBER + place);
        let created_at = u64::try_from(video.created_at).unwrap_or(0);
        let tags: Vec<&String> = video.marker.iter().collect();
        Some(json!({ "video_no": number, "status": "PARSE", "create_time": created_at, "tags": tags }))
    }
}

fn place_of(number: &str) -> Option<usize> {
    number.strip_prefix("VI")?.parse::<usize>().ok()?.checked_sub(FIRST_NUMBER)
}

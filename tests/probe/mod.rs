//! Probes of video sources, in virtual time against a model of the web: verdicts, rates per host, and stored findings.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use telecine::{
    bucket::Sources,
    clock::Clock,
    domain::{Limit, Probe, ProbeVerdict, Reach, SourceUrl, UnixMillis},
    ledger::ProbeLedger,
    pipeline::{ProbeOrigin, ProbeStage, ProbeTarget, probe_stage},
    probe::{FetchError, FetchRequest, FetchResponse, Fetcher, Method, ProbeRules, Prober, VIDEO_MAX},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
/// How long the modelled web takes to answer.
const ANSWER: Duration = Duration::from_millis(300);

macro_rules! media {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/media/", $name)).to_vec()
    };
}

/// What a modelled host does with a path.
#[derive(Clone)]
enum Page {
    /// A file, which can be read in parts.
    File(Vec<u8>),
    /// A file that can only be read whole.
    WholeOnly(Vec<u8>),
    /// A file whose stated size is larger than the bytes that exist.
    Large(u64, Vec<u8>),
    Status(u16),
    /// A file without a stated size.
    Endless(Vec<u8>),
    /// A host that always sends this part.
    Stubborn(u64, Vec<u8>),
    /// A file whose host does not take `HEAD`: it answers so, or not at all.
    NoHead(Option<u16>, Vec<u8>),
    /// Busy so often, then a file.
    Busy(Arc<AtomicUsize>, Vec<u8>),
    Redirect(&'static str),
    Silent,
    Private,
}

/// One request as it arrived.
#[derive(Clone, Debug)]
struct Arrival {
    at: UnixMillis,
    host: String,
    method: Method,
    bytes: usize,
}

/// A modelled web: pages by their addresses, and a log.
#[derive(Clone)]
struct Model {
    pages: Arc<HashMap<String, Page>>,
    clock: Clock,
    log: Arc<Mutex<Vec<Arrival>>>,
    at_once: Arc<Mutex<HashMap<String, (usize, usize)>>>,
}

impl Model {
    fn new(pages: &[(&str, Page)]) -> Self {
        let pages = pages.iter().map(|(address, page)| ((*address).to_owned(), page.clone())).collect();
        Self {
            pages: Arc::new(pages),
            clock: Clock::of_runtime(NOW),
            log: Arc::default(),
            at_once: Arc::default(),
        }
    }

    fn arrivals(&self) -> Vec<Arrival> {
        self.log.lock().unwrap().clone()
    }

    /// The most requests that a host had at once.
    fn most_at_once(&self, host: &str) -> usize {
        self.at_once.lock().unwrap().get(host).map_or(0, |(_, most)| *most)
    }

    fn count(&self, host: &str, change: isize) {
        let mut at_once = self.at_once.lock().unwrap();
        let (now, most) = at_once.entry(host.to_owned()).or_default();
        *now = now.checked_add_signed(change).unwrap();
        *most = (*most).max(*now);
    }

    fn answer(&self, ask: &FetchRequest) -> Result<FetchResponse, FetchError> {
        let page = self.pages.get(ask.url.as_str()).or_else(|| {
            let host = format!("{}://{}/*", ask.url.scheme(), ask.url.host_str()?);
            self.pages.get(&host)
        });
        let status = |status| Ok(FetchResponse { status, ..FetchResponse::default() });
        match page {
            None => status(404),
            Some(Page::Status(code)) => status(*code),
            Some(Page::Silent) => Err(FetchError::NoAnswer("no answer in time".to_owned())),
            Some(Page::Private) => Err(FetchError::Private),
            Some(Page::Redirect(to)) => Ok(FetchResponse {
                status: 302,
                location: Some((*to).to_owned()),
                ..FetchResponse::default()
            }),
            Some(Page::Busy(left, _)) if left.load(Ordering::Relaxed) > 0 => {
                left.fetch_sub(1, Ordering::Relaxed);
                Ok(FetchResponse {
                    status: 429,
                    retry_after: Some("20".to_owned()),
                    ..FetchResponse::default()
                })
            }
            Some(Page::NoHead(code, _)) if ask.method == Method::Head => match code {
                Some(code) => status(*code),
                None => Err(FetchError::NoAnswer("hung up".to_owned())),
            },
            Some(Page::File(bytes) | Page::Busy(_, bytes) | Page::NoHead(_, bytes)) => {
                Ok(part(ask, bytes, bytes.len() as u64))
            }
            Some(Page::Large(total, bytes)) => Ok(part(ask, bytes, *total)),
            Some(Page::Endless(bytes)) => {
                let body = if ask.method == Method::Get { bytes.clone() } else { Vec::new() };
                Ok(FetchResponse { status: 200, body, ..FetchResponse::default() })
            }
            Some(Page::Stubborn(at, bytes)) => {
                let content_range = Some(format!("bytes {at}-{}/9000", at + bytes.len() as u64 - 1));
                Ok(cut(
                    ask,
                    FetchResponse {
                        status: 206,
                        content_range,
                        body: bytes.clone(),
                        ..FetchResponse::default()
                    },
                ))
            }
            Some(Page::WholeOnly(bytes)) => {
                let body = if ask.method == Method::Get { bytes.clone() } else { Vec::new() };
                let content_length = Some(bytes.len() as u64);
                Ok(cut(ask, FetchResponse { status: 200, content_length, body, ..FetchResponse::default() }))
            }
        }
    }
}

fn part(ask: &FetchRequest, bytes: &[u8], total: u64) -> FetchResponse {
    let (Method::Get, Some((first, length))) = (ask.method, ask.range) else {
        return FetchResponse { status: 200, content_length: Some(total), ..FetchResponse::default() };
    };
    let from = usize::try_from(first).unwrap().min(bytes.len());
    let to = from.saturating_add(usize::try_from(length).unwrap()).min(bytes.len());
    if from >= bytes.len() {
        let content_range = Some(format!("bytes */{total}"));
        return FetchResponse { status: 416, content_range, is_whole: true, ..FetchResponse::default() };
    }
    let content_range = Some(format!("bytes {from}-{}/{total}", to - 1));
    cut(
        ask,
        FetchResponse {
            status: 206,
            content_range,
            body: bytes[from..to].to_vec(),
            ..FetchResponse::default()
        },
    )
}

fn cut(ask: &FetchRequest, mut got: FetchResponse) -> FetchResponse {
    got.is_whole = got.body.len() < ask.body_max;
    got.body.truncate(ask.body_max);
    got
}

impl Fetcher for Model {
    async fn exchange(&self, ask: FetchRequest) -> Result<FetchResponse, FetchError> {
        let host = ask.url.host_str().unwrap().to_owned();
        self.count(&host, 1);
        let at = self.clock.now();
        self.clock.sleep(ANSWER).await;
        self.count(&host, -1);
        let answer = self.answer(&ask);
        let bytes = answer.as_ref().map_or(0, |got| got.body.len());
        self.log.lock().unwrap().push(Arrival { at, host, method: ask.method, bytes });
        answer
    }
}

fn rules() -> ProbeRules {
    ProbeRules {
        reach: Reach::Public,
        host_rate: Limit::per_ms(10, 1_000).unwrap(),
        host_concurrency: 2,
        concurrency: 32,
        video_max: VIDEO_MAX,
    }
}

fn prober(model: &Model, rules: ProbeRules) -> Arc<Prober<Model>> {
    Prober::new(model.clone(), rules, model.clock.clone())
}

async fn probe_of(model: &Model, url: &str) -> Probe {
    prober(model, rules()).inspect(&SourceUrl::parse(url).unwrap()).await
}

/// The verdict on one page, and its class.
async fn verdict(page: Page) -> (ProbeVerdict, String) {
    let model = Model::new(&[("https://h/v", page)]);
    let probe = probe_of(&model, "https://h/v").await;
    (probe.verdict, probe.class)
}

/// A box of MP4.
fn mp4_box(name: [u8; 4], inside: &[u8]) -> Vec<u8> {
    let size = u32::try_from(inside.len() + 8).unwrap();
    [&size.to_be_bytes()[..], &name, inside].concat()
}

fn ftyp() -> Vec<u8> {
    mp4_box(*b"ftyp", b"isom\0\0\0\0isom")
}

/// A Matroska file whose segment begins with a checksum, over which the library that reads it goes again and again.
fn leads_in_circles() -> Vec<u8> {
    let file = media!("h264.mkv");
    let segment = file.windows(4).position(|window| window == [0x18, 0x53, 0x80, 0x67]).unwrap();
    // an identifier of four bytes, and a size of eight
    let inside = segment + 12;
    [&file[..inside], &[0xbf, 0x84, 0, 0, 0, 0], &file[inside..]].concat()
}

/// An index beyond what is read.
fn large_index() -> Vec<u8> {
    mp4_box(*b"moov", &vec![0; 17 * 1024 * 1024])
}

/// A video whose tracks have names in some writing of their own, as cameras have.
fn with_a_foreign_name() -> Vec<u8> {
    let mut file = media!("h264.mp4");
    let at = file.windows(12).position(|window| window == b"VideoHandler").unwrap();
    file[at..at + 5].copy_from_slice(b"\xca\xd3\xc6\xb5\xff");
    file
}

/// A video whose index is behind three megabytes of pictures.
fn with_index_at_the_end() -> Vec<u8> {
    let file = media!("h264.mp4");
    let at = |name: &[u8]| file.windows(4).position(|window| window == name).unwrap() - 4;
    [&file[..at(b"mdat")], &mp4_box(*b"free", &vec![0; 3_000_000]), &file[at(b"mdat")..]].concat()
}

#[tokio::test(start_paused = true)]
async fn a_video_is_judged_by_its_container_and_its_codec() {
    use ProbeVerdict::{Supported, Unclear, Unsupported};
    let file = |bytes: &[u8]| Page::File(bytes.to_vec());
    for (name, page, verdict, class) in [
        ("h264.mp4", Page::File(media!("h264.mp4")), Supported, "video"),
        ("h265.mov", Page::File(media!("h265.mov")), Supported, "video"),
        ("frag.mp4", Page::File(media!("frag.mp4")), Supported, "video"),
        ("vp9.webm", Page::File(media!("vp9.webm")), Supported, "video"),
        ("h264.mkv", Page::File(media!("h264.mkv")), Supported, "video"),
        ("whole only", Page::WholeOnly(media!("h264.mp4")), Supported, "video"),
        ("404 to HEAD", Page::NoHead(Some(404), media!("h264.mp4")), Supported, "video"),
        ("503 to HEAD", Page::NoHead(Some(503), media!("h264.mp4")), Supported, "video"),
        ("HEAD is hung up on", Page::NoHead(None, media!("h264.mp4")), Supported, "video"),
        ("foreign name", Page::File(with_a_foreign_name()), Supported, "video"),
        ("circles", Page::File(leads_in_circles()), Unclear, "not_understood"),
        ("no tracks", Page::File([ftyp(), mp4_box(*b"moov", &[])].concat()), Unclear, "not_understood"),
        ("large index", Page::File([ftyp(), large_index()].concat()), Unclear, "not_understood"),
        ("vp8.webm", Page::File(media!("vp8.webm")), Unsupported, "codec"),
        ("av1.mp4", Page::File(media!("av1.mp4")), Unsupported, "codec"),
        ("audio.m4a", Page::File(media!("audio.m4a")), Unsupported, "no_video_track"),
        ("cut", Page::File(media!("h264.mp4")[..1_500].to_vec()), Unsupported, "broken"),
        ("cut.mkv", Page::File(media!("h264.mkv")[..300].to_vec()), Unclear, "not_understood"),
        ("segment", Page::File(media!("seg.ts")), Unclear, "other_container"),
        ("page", file(b"<!doctype html><title>Log in</title>"), Unsupported, "page"),
        ("image", file(b"\x89PNG\r\n\x1a\n0000"), Unsupported, "image"),
        ("archive", file(b"PK\x03\x04\x14\0\0\0"), Unsupported, "no_video"),
        ("letters", file(b"hello there"), Unclear, "unknown_kind"),
        ("nothing", file(b""), Unsupported, "empty"),
        ("large", Page::Large(VIDEO_MAX + 1, media!("h264.mp4")), Unsupported, "too_large"),
        ("401", Page::Status(401), Unsupported, "http_401"),
        ("403", Page::Status(403), Unsupported, "http_403"),
        ("404", Page::Status(404), Unsupported, "http_404"),
        ("416", Page::Status(416), Unclear, "http_416"),
        ("500", Page::Status(500), Unclear, "http_500"),
        ("endless", Page::Endless(media!("h264.mkv")[..300].to_vec()), Unclear, "no_size"),
        ("another part", Page::Stubborn(4_096, media!("h264.mp4")), Unclear, "no_ranges"),
        ("silent", Page::Silent, Unclear, "no_answer"),
        ("private", Page::Private, Unsupported, "private_address"),
    ] {
        let model = Model::new(&[("https://h/v", page)]);
        let probe = probe_of(&model, "https://h/v").await;
        assert_eq!((probe.verdict, probe.class.as_str()), (verdict, class), "{name}: {}", probe.found);
    }
}

#[tokio::test(start_paused = true)]
async fn an_index_at_the_end_of_the_file_is_fetched_without_the_rest() {
    let file = with_index_at_the_end();
    let model = Model::new(&[("https://h/v", Page::File(file.clone()))]);
    let probe = probe_of(&model, "https://h/v").await;
    assert_eq!((probe.verdict, probe.size), (ProbeVerdict::Supported, Some(file.len() as u64)));
    assert_eq!(probe.found, "mp4, h264 + aac, 3.0 MB");
    let read: usize = model.arrivals().iter().map(|arrival| arrival.bytes).sum();
    assert!(read < 100_000, "{read} bytes of {}", file.len());
    assert_eq!(verdict(Page::WholeOnly(file)).await, (ProbeVerdict::Unclear, "no_ranges".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_too_large_or_expired_is_not_downloaded() {
    let model = Model::new(&[("https://h/v", Page::Large(2 * VIDEO_MAX, media!("h264.mp4")))]);
    probe_of(&model, "https://h/v").await;
    let methods: Vec<Method> = model.arrivals().iter().map(|arrival| arrival.method).collect();
    assert_eq!(methods, [Method::Head]);
    let model = Model::new(&[]);
    let probe = probe_of(&model, "https://h/v?Signature=canary&Expires=1600000000").await;
    assert_eq!((probe.class.as_str(), model.arrivals().len()), ("link_expired", 0));
}

#[tokio::test(start_paused = true)]
async fn no_redirect_is_followed_to_a_private_host_or_another_scheme() {
    for (to, verdict, class) in [
        ("/v2", ProbeVerdict::Supported, "video"),
        ("https://elsewhere/v", ProbeVerdict::Supported, "video"),
        ("http://127.0.0.1/v", ProbeVerdict::Unsupported, "private_address"),
        ("http://2130706433/v", ProbeVerdict::Unsupported, "private_address"),
        ("http://0x7f.1/v", ProbeVerdict::Unsupported, "private_address"),
        ("http://[::1]/v", ProbeVerdict::Unsupported, "private_address"),
        ("http://[::ffff:10.0.0.1]/v", ProbeVerdict::Unsupported, "private_address"),
        ("http://169.254.169.254/latest/meta-data", ProbeVerdict::Unsupported, "private_address"),
        ("ftp://elsewhere/v", ProbeVerdict::Unsupported, "scheme"),
        ("file:///etc/passwd", ProbeVerdict::Unsupported, "scheme"),
        ("https://user:canary@elsewhere/v", ProbeVerdict::Unsupported, "credentials"),
        ("https://h/v", ProbeVerdict::Unsupported, "redirect_loop"),
        ("https://", ProbeVerdict::Unclear, "redirect"),
    ] {
        let model = Model::new(&[
            ("https://h/v", Page::Redirect(to)),
            ("https://h/v2", Page::File(media!("h264.mp4"))),
            ("https://elsewhere/v", Page::File(media!("h264.mp4"))),
        ]);
        let probe = probe_of(&model, "https://h/v").await;
        assert_eq!((probe.verdict, probe.class.as_str()), (verdict, class), "{to}");
        // for the head, and for the bytes
        assert!(model.arrivals().len() <= 12, "{to}: {} requests", model.arrivals().len());
        let strangers = model.arrivals().iter().filter(|a| !matches!(&*a.host, "h" | "elsewhere")).count();
        assert_eq!(strangers, 0, "{to}");
        assert!(!probe.found.contains("canary"), "{}", probe.found);
    }
}

#[tokio::test(start_paused = true)]
async fn an_allowed_private_host_is_probed() {
    let model = Model::new(&[("http://127.0.0.1/v", Page::File(media!("h264.mp4")))]);
    let prober = prober(&model, ProbeRules { reach: Reach::Private, ..rules() });
    let probe = prober.inspect(&SourceUrl::parse("http://127.0.0.1/v").unwrap()).await;
    assert_eq!((probe.verdict, probe.reach), (ProbeVerdict::Supported, Reach::Private));
}

#[tokio::test(start_paused = true)]
#[expect(clippy::too_many_lines, reason = "one case after another")]
async fn a_playlist_is_followed_to_the_codecs_of_its_first_segment() {
    use ProbeVerdict::{Supported, Unclear, Unsupported};
    let media = |inside: &str| format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n{inside}\n").into_bytes();
    let end = "#EXT-X-ENDLIST";
    let master = |codecs: &str, uri: &str| {
        format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1{codecs}\n{uri}\n").into_bytes()
    };
    let cases = [
        (media(&format!("#EXTINF:1,\nhttps://h/s.ts\n{end}")), Supported, "video"),
        (
            media(&format!("#EXT-X-MAP:URI=\"https://h/f.mp4\"\n#EXTINF:1,\nhttps://h/f.mp4\n{end}")),
            Supported,
            "video",
        ),
        (master("", "https://h/media"), Supported, "video"),
        (master(",CODECS=\"avc1.42c00d,mp4a.40.2\"", "https://h/media"), Supported, "video"),
        (master(",CODECS=\"av01.0.04M.08,mp4a.40.2\"", "https://h/media"), Unsupported, "codec"),
        (master("", "low/media"), Unsupported, "hls_relative"),
        (media(&format!("#EXTINF:1,\ns.ts\n{end}")), Unsupported, "hls_relative"),
        (
            media(&format!("#EXTINF:1,\nhttps://h/s.ts\n#EXTINF:1,\ns2.ts\n{end}")),
            Unsupported,
            "hls_relative",
        ),
        (
            media(&format!("#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXTINF:1,\nhttps://h/s.ts\n{end}")),
            Unsupported,
            "hls_relative",
        ),
        (media(&format!("#EXTINF:1,\n/s.ts\n{end}")), Unclear, "hls_path"),
        (media(&format!("#EXTINF:1,\nhttps://h/gone.ts\n{end}")), Unsupported, "http_404"),
        (media(&format!("#EXTINF:1,\nhttp://10.0.0.1/s.ts\n{end}")), Unsupported, "private_address"),
        (media(&format!("#EXTINF:1,\nhttps://h/page\n{end}")), Unsupported, "page"),
        (media("#EXTINF:1,\nhttps://h/s.ts"), Unclear, "hls_live"),
        (media(end), Unsupported, "hls_empty"),
        // every key must be absolute, and one may be in the playlist itself
        (
            media(&format!(
                "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXT-X-KEY:METHOD=AES-128,URI=\"https://h/k\"\n#EXTINF:1,\nhttps://h/s.ts\n{end}"
            )),
            Unsupported,
            "hls_relative",
        ),
        (
            media(&format!(
                "#EXT-X-KEY:METHOD=AES-128,URI=\"data:text/plain;base64,canary\"\n#EXTINF:1,\nhttps://h/s.ts\n{end}"
            )),
            Supported,
            "video",
        ),
        (
            master("\n#EXT-X-SESSION-KEY:METHOD=AES-128,URI=\"k\"", "https://h/media"),
            Unsupported,
            "hls_relative",
        ),
        (media(&format!("#EXTINF:1,\ndata:video/mp4;base64,canary\n{end}")), Unsupported, "scheme"),
        // what the parser leaves out silently is not missing
        (
            format!("#EXTM3U\n#EXT-X-TARGETDURATION:6.006\n#EXTINF:1,\nhttps://h/s.ts\n{end}\n").into_bytes(),
            Unclear,
            "not_understood",
        ),
        (b"#EXTM3U\n#EXT-X-STREAM-INF:PROGRAM-ID=1\nhttps://h/media\n".to_vec(), Unclear, "not_understood"),
        // the first variant does not decide alone
        (
            [master("", "https://h/sound"), master("", "https://h/media")[8..].to_vec()].concat(),
            Supported,
            "video",
        ),
        (
            [master("", "https://h/gone"), master("", "https://h/gone2")[8..].to_vec()].concat(),
            Unclear,
            "http_404",
        ),
        (master(",CODECS=\"AVC1.64001F\"", "https://h/media"), Supported, "video"),
    ];
    for (playlist, verdict, class) in cases {
        let text = String::from_utf8(playlist.clone()).unwrap();
        let model = Model::new(&[
            ("https://h/v", Page::File(playlist)),
            ("https://h/media", Page::File(media(&format!("#EXTINF:1,\nhttps://h/s.ts\n{end}")))),
            ("https://h/s.ts", Page::File(media!("seg.ts"))),
            ("https://h/f.mp4", Page::File(media!("frag.mp4"))),
            ("https://h/page", Page::File(b"<html>".to_vec())),
            ("https://h/sound", Page::File(media(&format!("#EXTINF:1,\nhttps://h/a.m4a\n{end}")))),
            ("https://h/a.m4a", Page::File(media!("audio.m4a"))),
        ]);
        let probe = probe_of(&model, "https://h/v").await;
        assert!(!probe.found.contains("canary"), "{}", probe.found);
        assert_eq!((probe.verdict, probe.class.as_str()), (verdict, class), "{text}{}", probe.found);
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_host_is_retried_when_it_asks_and_given_up_after_some_attempts() {
    let busy = |times| Page::Busy(Arc::new(AtomicUsize::new(times)), media!("h264.mp4"));
    let model = Model::new(&[("https://h/v", busy(2))]);
    assert_eq!(probe_of(&model, "https://h/v").await.verdict, ProbeVerdict::Supported);
    let at: Vec<UnixMillis> = model.arrivals().iter().map(|arrival| arrival.at).collect();
    for pair in at[..3].windows(2) {
        assert!(pair[1].since_ms(pair[0]) >= 20_000, "Retry-After: 20");
    }
    assert_eq!(verdict(busy(100)).await, (ProbeVerdict::Unclear, "busy".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn each_host_has_its_own_rate_independent_of_other_hosts() {
    let model = Model::new(&[
        ("https://slow/*", Page::File(media!("h264.mp4"))),
        ("https://other/*", Page::File(media!("h264.mp4"))),
    ]);
    let prober = prober(&model, rules());
    let mut running = tokio::task::JoinSet::new();
    for host in ["slow", "other"] {
        for n in 0..40 {
            let prober = Arc::clone(&prober);
            // one host under many ports is one host
            let url = SourceUrl::parse(&format!("https://{host}:{}/{n}", 8_000 + n % 3)).unwrap();
            running.spawn(async move { prober.inspect(&url).await });
        }
    }
    running.join_all().await;
    for host in ["slow", "other"] {
        let mut at: Vec<i64> = model.arrivals().iter().filter(|a| a.host == host).map(|a| a.at.0).collect();
        at.sort_unstable();
        assert_eq!(at.len(), 80);
        assert!(at.windows(2).all(|pair| pair[1] - pair[0] >= 100), "10 a second: {at:?}");
        assert_eq!(model.most_at_once(host), 2, "{host}");
        // two at once, 300 ms each: what the concurrency allows, neither host waits for the other
        assert!(at[79] - at[0] < 13_000, "{} ms", at[79] - at[0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_started_probe_is_finished_before_another_starts() {
    let folder = tempfile::tempdir().unwrap();
    let model = Model::new(&[("https://h/*", Page::File(media!("h264.mp4")))]);
    let urls: Vec<String> = (0..100).map(|n| format!("https://h/{n}")).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    probed(folder.path(), &model, &urls, None).await;
    let methods: Vec<Method> = model.arrivals().iter().map(|arrival| arrival.method).collect();
    // two at once: a probe run that is stopped loses the work of two probes, not of a hundred
    let mut open = 0_i32;
    for method in methods {
        open += if method == Method::Head { 1 } else { -1 };
        assert!(open <= 2, "{open} probes are open");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_never_answers_gets_no_more_requests() {
    let model = Model::new(&[("https://dead/*", Page::Silent)]);
    let prober = prober(&model, rules());
    let mut running = tokio::task::JoinSet::new();
    for n in 0..200 {
        let prober = Arc::clone(&prober);
        let url = SourceUrl::parse(&format!("https://dead/{n}")).unwrap();
        running.spawn(async move { prober.inspect(&url).await.class });
    }
    let classes = running.join_all().await;
    let given_up = classes.iter().filter(|class| *class == "host_given_up").count();
    let (bytes, heads): (Vec<Arrival>, _) =
        model.arrivals().into_iter().partition(|arrival| arrival.method == Method::Get);
    assert!(bytes.len() <= 8 && heads.len() <= 2, "{} and {} requests", bytes.len(), heads.len());
    assert_eq!(given_up, 200 - bytes.len());
}

#[tokio::test(start_paused = true)]
async fn concurrent_requests_never_exceed_the_limit_over_all_hosts() {
    let pages: Vec<(String, Page)> =
        (0..60).map(|n| (format!("https://h{n}/*"), Page::File(media!("h264.mp4")))).collect();
    let pages: Vec<(&str, Page)> = pages.iter().map(|(url, page)| (url.as_str(), page.clone())).collect();
    let model = Model::new(&pages);
    let prober = prober(&model, ProbeRules { concurrency: 5, ..rules() });
    let mut running = tokio::task::JoinSet::new();
    for n in 0..180 {
        let prober = Arc::clone(&prober);
        let url = SourceUrl::parse(&format!("https://h{}/{n}", n % 60)).unwrap();
        running.spawn(async move { prober.inspect(&url).await });
    }
    running.join_all().await;
    for host in 0..60 {
        let mut own: Vec<i64> =
            model.arrivals().iter().filter(|a| a.host == format!("h{host}")).map(|a| a.at.0).collect();
        own.sort_unstable();
        assert!(own.windows(2).all(|pair| pair[1] - pair[0] >= 100), "the pace of a host is kept: {own:?}");
    }
    let mut at: Vec<i64> = model.arrivals().iter().map(|a| a.at.0).collect();
    at.sort_unstable();
    let answer_ms = i64::try_from(ANSWER.as_millis()).unwrap();
    assert!(at.windows(6).all(|six| six[5] - six[0] >= answer_ms), "at most five at once");
}

#[tokio::test(start_paused = true)]
async fn a_file_with_a_million_codecs_has_a_short_message() {
    let mut file = media!("h264.mp4");
    let at = file.windows(4).position(|window| window == b"stsd").unwrap() - 4;
    let size = usize::try_from(u32::from_be_bytes(file[at..at + 4].try_into().unwrap())).unwrap();
    // an entry is eight bytes of nothing but its kind
    for (number, entry) in file[at + 16..at + size].chunks_exact_mut(8).enumerate() {
        entry[..4].copy_from_slice(&8_u32.to_be_bytes());
        entry[4..].copy_from_slice(format!("x{number:03}").as_bytes());
    }
    let model = Model::new(&[("https://h/v", Page::File(file))]);
    let probe = probe_of(&model, "https://h/v").await;
    assert_eq!((probe.verdict, probe.class.as_str()), (ProbeVerdict::Unsupported, "codec"));
    assert!(probe.found.contains("x000 + x001") && probe.found.len() < 200, "{}", probe.found);
}

#[tokio::test(start_paused = true)]
async fn damaged_videos_cause_no_panic() {
    let mut rng = fastrand::Rng::with_seed(7);
    let whole =
        [media!("h264.mp4"), media!("h265.mov"), media!("frag.mp4"), media!("vp9.webm"), media!("h264.mkv")];
    let segment = media!("seg.ts");
    let playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttps://h/s\n#EXT-X-ENDLIST\n".to_vec();
    for round in 0..3_000_usize {
        let mut file = whole[round % whole.len()].clone();
        let (mut part, mut list) = (segment.clone(), playlist.clone());
        for bytes in [&mut file, &mut part, &mut list] {
            for _ in 0..rng.usize(1..6) {
                let at = rng.usize(..bytes.len());
                bytes[at] = if rng.bool() { rng.u8(..) } else { 0xff };
            }
            if rng.u8(..4) == 0 {
                bytes.truncate(rng.usize(..bytes.len()));
            }
        }
        let model = Model::new(&[
            ("https://h/v", Page::File(file)),
            ("https://h/p", Page::File(list)),
            ("https://h/s", Page::File(part)),
        ]);
        for url in ["https://h/v", "https://h/p"] {
            let probe = probe_of(&model, url).await;
            // a panic inside a library is caught and reported
            assert_ne!(probe.found, "what it holds cannot be read", "round {round}: {url}");
        }
        assert!(model.arrivals().len() < 20, "round {round}: {} requests", model.arrivals().len());
    }
}

#[tokio::test(start_paused = true)]
async fn an_earlier_probe_is_reused_only_while_a_new_one_would_find_the_same() {
    let model = Model::new(&[]);
    let week = Duration::from_hours(24 * 7);
    let supported = Probe {
        verdict: ProbeVerdict::Supported,
        class: "video".to_owned(),
        found: String::new(),
        size: Some(5_000),
        reach: Reach::Public,
        probed_at: NOW,
    };
    let address = SourceUrl::parse("https://h/v").unwrap();
    let of = |rules: ProbeRules, probe: Probe| prober(&model, rules).still_holds(&probe, &address, week);
    assert!(of(rules(), supported.clone()));
    let dead = SourceUrl::parse("https://h/v?Signature=x&Expires=1600000000").unwrap();
    assert!(!prober(&model, rules()).still_holds(&supported, &dead, week), "this link has expired");
    assert!(
        !of(rules(), Probe { verdict: ProbeVerdict::Unsupported, ..supported.clone() }),
        "it may have been repaired"
    );
    assert!(!of(rules(), Probe { verdict: ProbeVerdict::Unclear, ..supported.clone() }));
    assert!(!of(rules(), Probe { probed_at: NOW.plus_ms(-8 * 24 * 3_600_000), ..supported.clone() }), "old");
    assert!(!of(ProbeRules { video_max: 4_000, ..rules() }, supported.clone()), "too large by today's rule");
    assert!(!of(rules(), Probe { reach: Reach::Private, ..supported.clone() }), "perhaps a private host");
    assert!(of(
        ProbeRules { reach: Reach::Private, ..rules() },
        Probe { reach: Reach::Private, ..supported }
    ));
}

/// A ledger before its first import.
fn ledger(folder: &Path) -> ProbeLedger {
    ProbeLedger::open(&folder.join("l.db").into(), [7; 32], NOW).unwrap()
}

/// Probes these sources. Returns the findings: the line, the verdict, and whether it was probed now.
async fn probed(
    folder: &Path,
    model: &Model,
    urls: &[&str],
    probes_max: Option<u64>,
) -> Vec<(u64, ProbeVerdict, ProbeOrigin)> {
    let ledger = ledger(folder);
    let (sender, receiver) = mpsc::channel(4);
    let targets: Vec<ProbeTarget> = (2..)
        .zip(urls)
        .map(|(line, url)| ProbeTarget {
            path: Arc::from("m.csv"),
            line,
            url: SourceUrl::parse(url).unwrap(),
            file: None,
        })
        .collect();
    tokio::spawn(async move {
        for target in targets {
            if sender.send(target).await.is_err() {
                return;
            }
        }
    });
    let mut found = Vec::new();
    let order = ProbeStage {
        ledger: ledger.clone(),
        prober: prober(model, rules()),
        sources: Sources::made_up(),
        age_max: Duration::from_hours(1),
        probes_max,
        drain: CancellationToken::new(),
    };
    probe_stage(order, receiver, |target, probe, origin| found.push((target.line, probe.verdict, origin)))
        .await
        .unwrap();
    ledger.close().await;
    found.sort_by_key(|(line, ..)| *line);
    found
}

#[tokio::test(start_paused = true)]
async fn only_a_source_found_supported_is_not_probed_again() {
    let folder = tempfile::tempdir().unwrap();
    let model = Model::new(&[("https://h/a", Page::File(media!("h264.mp4")))]);
    let urls = ["https://h/a", "https://h/gone", "https://h/a"];
    let first = probed(folder.path(), &model, &urls, None).await;
    assert_eq!(
        first,
        [
            (2, ProbeVerdict::Supported, ProbeOrigin::Made),
            (3, ProbeVerdict::Unsupported, ProbeOrigin::Made),
            (4, ProbeVerdict::Supported, ProbeOrigin::Kept)
        ],
        "one source named twice is looked at once"
    );
    let asked = model.arrivals().len();
    assert_eq!(asked, 4);
    let second = probed(folder.path(), &model, &urls, None).await;
    assert_eq!(
        second.iter().map(|(.., origin)| *origin).collect::<Vec<_>>(),
        [ProbeOrigin::Kept, ProbeOrigin::Made, ProbeOrigin::Kept]
    );
    assert_eq!(model.arrivals().len(), asked + 2, "only what was unfit is asked again");
    let signed = ["https://h/a?Signature=x&Expires=1600000000", "https://h/a?Signature=y&Expires=1900000000"];
    let probed_again = probed(folder.path(), &model, &signed, None).await;
    assert_eq!(
        probed_again.iter().map(|(_, verdict, origin)| (*verdict, *origin)).collect::<Vec<_>>(),
        [(ProbeVerdict::Unsupported, ProbeOrigin::Made), (ProbeVerdict::Unsupported, ProbeOrigin::Made)],
        "each signature is looked at by itself: the first has expired, the second leads nowhere"
    );
}

#[tokio::test(start_paused = true)]
async fn an_object_in_a_bucket_is_probed_by_its_link_and_known_by_its_address() {
    let folder = tempfile::tempdir().unwrap();
    let link = "https://s3.amazonaws.com/bucket/a%20b?X-Amz-Signature=sandbox";
    let model = Model::new(&[(link, Page::NoHead(Some(403), media!("h264.mp4")))]);
    let found = probed(folder.path(), &model, &["s3://bucket/a b", "s3://bucket/gone"], None).await;
    let (supported, unsupported) = (ProbeVerdict::Supported, ProbeVerdict::Unsupported);
    assert_eq!(found, [(2, supported, ProbeOrigin::Made), (3, unsupported, ProbeOrigin::Made)]);
    let again = probed(folder.path(), &model, &["s3://bucket/a b"], None).await;
    assert_eq!(again, [(2, supported, ProbeOrigin::Kept)]);
}

#[tokio::test(start_paused = true)]
async fn a_probe_limit_is_kept_and_the_next_check_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let model = Model::new(&[("https://h/*", Page::File(media!("h264.mp4")))]);
    let urls = ["https://h/1", "https://h/2", "https://h/3", "https://h/4", "https://h/5"];
    assert_eq!(probed(folder.path(), &model, &urls, Some(3)).await.len(), 3);
    let made = |found: &[(u64, ProbeVerdict, ProbeOrigin)]| {
        found.iter().filter(|(.., origin)| *origin == ProbeOrigin::Made).count()
    };
    let second = probed(folder.path(), &model, &urls, Some(3)).await;
    assert_eq!((second.len(), made(&second)), (5, 2));
    // dead links at the start of a file do not use up the limit of each run
    let model = Model::new(&[("https://h/*", Page::Status(404))]);
    let urls = ["https://h/6", "https://h/7", "https://h/8"];
    assert_eq!(made(&probed(folder.path(), &model, &urls, Some(2)).await), 2);
    let second = probed(folder.path(), &model, &urls, Some(2)).await;
    assert_eq!((second.len(), made(&second)), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_stopped_keeps_its_findings() {
    let folder = tempfile::tempdir().unwrap();
    let model = Model::new(&[("https://h/*", Page::File(media!("h264.mp4")))]);
    let ledger = ledger(folder.path());
    let drain = CancellationToken::new();
    let (sender, receiver) = mpsc::channel(64);
    for n in 0..50 {
        let url = SourceUrl::parse(&format!("https://h/{n}")).unwrap();
        sender.send(ProbeTarget { path: Arc::from("m.csv"), line: n, url, file: None }).await.unwrap();
    }
    let order = ProbeStage {
        ledger: ledger.clone(),
        prober: prober(&model, rules()),
        sources: Sources::made_up(),
        age_max: Duration::from_hours(1),
        probes_max: None,
        drain: drain.clone(),
    };
    let mut found = Vec::new();
    // the channel stays open: a stopped stage does not wait for more
    probe_stage(order, receiver, |target, _, _| {
        found.push(target.url.digest());
        if found.len() == 7 {
            drain.cancel();
        }
    })
    .await
    .unwrap();
    let addresses = found.clone();
    let kept = ledger.probes(addresses).await.unwrap();
    assert!(found.len() < 50 && kept.iter().all(Option::is_some), "{} found", found.len());
    ledger.close().await;
}

//! Sources: whatever a host of videos sends, a look ends, asks little, says little, and takes nothing for fit that names no codec
//! the service takes.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU32, Ordering},
};

use telecine::{
    clock::Clock,
    domain::{Limit, ProbeVerdict, Reach, SourceUrl, UnixMillis},
    probe::{FetchError, FetchRequest, FetchResponse, Fetcher, Method, ProbeRules, Prober, VIDEO_MAX},
};

use crate::Choices;

/// Playlists whose parts lead back to themselves, beside the videos of `tests/data/media`.
pub const SEEDS: [&[u8]; 3] = [
    b"\0\0\0\0#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttps://h/s\n#EXT-X-ENDLIST\n",
    b"\0\0\0\0#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"avc1.42c00d\"\nhttps://h/s\n",
    b"\0\0\0\0#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MAP:URI=\"https://h/s\"\n#EXTINF:1,\nhttps://h/s\n#EXT-X-ENDLIST\n",
];

/// A look asks no more often.
const REQUESTS_MAX: u32 = 24;
/// What is said of a source is no longer, in characters: four codecs of 120 characters, and the words around them.
const WORDS_MAX: usize = 800;

/// A host that has the same bytes everywhere.
struct Host {
    bytes: Vec<u8>,
    gives_parts: bool,
    tells_size: bool,
    requests: Arc<AtomicU32>,
}

impl Fetcher for Host {
    async fn exchange(&self, ask: FetchRequest) -> Result<FetchResponse, FetchError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let total = self.bytes.len();
        let content_length = self.tells_size.then_some(total as u64);
        if ask.method == Method::Head {
            return Ok(FetchResponse { status: 200, content_length, ..FetchResponse::default() });
        }
        let (first, length) = ask.range.filter(|_| self.gives_parts).unwrap_or((0, u64::MAX));
        let from = usize::try_from(first).unwrap_or(total).min(total);
        let wanted = usize::try_from(length).unwrap_or(total).min(ask.body_max);
        let body = self.bytes[from..].iter().copied().take(wanted).collect::<Vec<u8>>();
        let is_whole = body.len() < ask.body_max;
        if self.gives_parts && ask.range.is_some() {
            let size = if self.tells_size { total.to_string() } else { "*".to_owned() };
            let content_range = Some(format!("bytes {from}-{}/{size}", from + body.len().saturating_sub(1)));
            return Ok(FetchResponse {
                status: 206,
                content_range,
                body,
                is_whole,
                ..FetchResponse::default()
            });
        }
        Ok(FetchResponse { status: 200, content_length, body, is_whole, ..FetchResponse::default() })
    }
}

/// Looks at one source.
pub fn check(input: &[u8]) {
    let Some((mut choices, bytes)) = Choices::of(input) else { return };
    let requests = Arc::<AtomicU32>::default();
    let host = Host {
        bytes: bytes.to_vec(),
        gives_parts: !choices.yes(),
        tells_size: !choices.yes(),
        requests: Arc::clone(&requests),
    };
    let probe = runtime().block_on(async {
        let rules = ProbeRules {
            reach: Reach::Public,
            host_rate: Limit::per_ms(1_000, 1).unwrap_or_else(|| unreachable!("both are positive")),
            host_concurrency: 1,
            concurrency: 1,
            video_max: VIDEO_MAX,
        };
        let prober = Prober::new(host, rules, Clock::of_runtime(UnixMillis(0)));
        let url = SourceUrl::parse("https://h/v").unwrap_or_else(|_| unreachable!("it is an address"));
        prober.inspect(&url).await
    });
    let asked = requests.load(Ordering::Relaxed);
    assert!(asked <= REQUESTS_MAX, "{asked} requests");
    let length = probe.found.chars().count();
    assert!(length <= WORDS_MAX, "{length} characters: {}", probe.found);
    assert!(!probe.found.chars().any(char::is_control), "{:?}", probe.found);
    let names_codec = ["h264", "h265", "vp9"].iter().any(|codec| probe.found.contains(codec));
    assert!(probe.verdict != ProbeVerdict::Supported || names_codec, "fit: {}", probe.found);
}

/// Time passes only while somebody waits for it.
fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build();
        runtime.unwrap_or_else(|error| panic!("no runtime: {error}"))
    })
}

//! Probes of video sources, in virtual time against a model of the web: verdicts, rates per host, and stored findings.

macro_rules! media {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/media/", $name)).to_vec()
    };
}

mod files;
mod hosts;
mod stored;
mod web;

use std::sync::Arc;

use telecine::{
    domain::{Limit, Probe, ProbeVerdict, Reach, SourceUrl},
    probe::{Method, ProbeRules, Prober, VIDEO_MAX},
};

use self::{
    files::{ftyp, large_index, leads_in_circles, mp4_box, with_a_foreign_name, with_index_at_the_end},
    web::{Model, Page},
};

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

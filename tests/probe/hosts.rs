//! What one host is asked for, and when.

use std::sync::{Arc, atomic::AtomicUsize};

use telecine::{
    domain::{ProbeVerdict, SourceUrl, UnixMillis},
    probe::{Method, ProbeRules},
};

use super::{
    probe_of, prober, rules,
    stored::probed,
    verdict,
    web::{ANSWER, Arrival, Model, Page},
};

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

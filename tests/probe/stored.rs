//! Findings that are stored, and used again.

use std::{path::Path, sync::Arc, time::Duration};

use telecine::{
    bucket::Sources,
    domain::{Probe, ProbeVerdict, Reach, SourceUrl},
    ledger::ProbeLedger,
    pipeline::{ProbeOrigin, ProbeStage, ProbeTarget, probe_stage},
    probe::ProbeRules,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    prober, rules,
    web::{Model, NOW, Page},
};

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
pub(super) fn ledger(folder: &Path) -> ProbeLedger {
    ProbeLedger::open(&folder.join("l.db").into(), [7; 32], NOW).unwrap()
}

/// Probes these sources. Returns the findings: the line, the verdict, and whether it was probed now.
pub(super) async fn probed(
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

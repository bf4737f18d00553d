//! Probes, and rows that are held back for want of one.

use super::*;

fn requirement(probed_since: UnixMillis) -> ProbeRequirement {
    ProbeRequirement { probed_since, column: "url".to_owned(), column_number: 1 }
}

#[tokio::test]
async fn the_latest_probe_of_an_address_is_kept_for_its_signature_only() {
    let fixture = Fixture::new().await;
    let url = |query: &str| SourceUrl::parse(&format!("https://host/a.mp4{query}")).unwrap().digest();
    let signed = url("?Signature=x&Expires=1800000000");
    assert_eq!(fixture.probes(vec![signed]).await, [None]);
    let (old, new) = (probe(ProbeVerdict::Unsupported, T0), probe(ProbeVerdict::Supported, T0.plus_ms(1)));
    fixture.record_probes(vec![(signed, old), (signed, new.clone())]).await;
    let found = fixture.probes(vec![signed, url(""), url("?Signature=y&Expires=1800000000")]).await;
    assert_eq!(found, [Some(new), None, None]);
}

#[tokio::test]
async fn only_rows_that_would_be_sent_are_held_back_for_want_of_a_probe() {
    let fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "sent", &[]), row(3, "answer_lost", &[]), row(4, "waiting", &[])]).await;
    let claim = fixture.claim(T0).await;
    fixture.settle(claim.attempt, accepted("VI000001", T0)).await.unwrap();
    claim_in_doubt(&fixture).await;
    let rows = ["sent", "answer_lost", "waiting", "new", "fit", "unfit", "unclear", "old"];
    let noted = [
        ("fit", ProbeVerdict::Supported, 10),
        ("unfit", ProbeVerdict::Unsupported, 10),
        ("unclear", ProbeVerdict::Unclear, 10),
    ];
    let noted = noted.into_iter().chain([("old", ProbeVerdict::Supported, 4)]).map(|(name, verdict, at)| {
        (row(2, name, &[]).unwrap().submission.url.digest(), probe(verdict, T0.plus_ms(at)))
    });
    fixture.record_probes(noted.collect()).await;
    let batch = (2..).zip(rows).map(|(line, name)| row(line, name, &[])).collect();
    let terms = AdmitTerms { requirement: Some(requirement(T0.plus_ms(5))), ..AdmitTerms::default() };
    let held = fixture.admit_on(batch, terms).await;
    let classes: Vec<&str> = held
        .iter()
        .map(
            |admission| {
                if let Admission::HeldBack(problem) = admission { &problem.class } else { "admitted" }
            },
        )
        .collect();
    assert_eq!(
        classes,
        [
            "admitted",
            // once its doubt is resolved it may be sent
            "probe_missing",
            "probe_missing",
            "probe_missing",
            "admitted",
            "probe_unsupported",
            "probe_unclear",
            "probe_old"
        ]
    );
    let Admission::HeldBack(problem) = &held[5] else { panic!("{:?}", held[5]) };
    assert_eq!((problem.column_number, problem.value.as_str()), (1, "https://host/unfit.mp4"));
    assert!(problem.message.contains("404"), "{}", problem.message);
    let snapshot = fixture.ledger().snapshot().await.unwrap();
    let rows = snapshot.run(fixture.run).unwrap().rows;
    assert_eq!((rows.read, rows.invalid), (11, 6), "they are rows all the same");
}

#[tokio::test]
async fn an_item_in_doubt_is_held_back_for_what_was_sent_and_not_only_for_what_its_row_says_now() {
    let fixture = Fixture::new().await;
    let by_id = |name: &str| {
        let mut row = row(2, name, &[]).unwrap();
        row.submission.item_id = Some("A".to_owned());
        Ok(row)
    };
    fixture.admit(vec![by_id("old")]).await;
    claim_in_doubt(&fixture).await;
    let digest = |name: &str| row(2, name, &[]).unwrap().submission.url.digest();
    fixture.record_probes(vec![(digest("new"), probe(ProbeVerdict::Supported, T0))]).await;
    let terms = AdmitTerms { requirement: Some(requirement(T0)), ..AdmitTerms::default() };
    let admit = async |terms| fixture.admit_on(vec![by_id("new")], terms).await.remove(0);
    let held = admit(terms.clone()).await;
    assert!(matches!(&held, Admission::HeldBack(problem) if problem.value.contains("old")), "{held:?}");
    fixture.record_probes(vec![(digest("old"), probe(ProbeVerdict::Supported, T0))]).await;
    assert_eq!(admit(terms).await, Admission::Drifted);
}

#[tokio::test]
async fn checkers_record_probes_beside_an_import_in_a_database_and_wait_for_a_file() {
    let fixture = Fixture::new().await;
    let address = |name: &str| row(2, name, &[]).unwrap().submission.url.digest();
    let open = || ProbeLedger::open(&fixture.place, [9; 32], T0);
    if fixture.place.file().is_some() {
        assert!(matches!(open(), Err(LedgerError::Locked { .. })));
        return;
    }
    let (one, two) = (open().unwrap(), open().unwrap());
    let (supported, unclear) = (probe(ProbeVerdict::Supported, T0), probe(ProbeVerdict::Unclear, T0));
    one.record(address("a"), supported.clone()).await.unwrap();
    two.record(address("b"), supported.clone()).await.unwrap();
    two.record(address("a"), unclear.clone()).await.unwrap();
    assert_eq!(
        one.probes(vec![address("a"), address("b"), address("c")]).await.unwrap(),
        [Some(unclear), Some(supported), None]
    );
    // the lease is where it was, and the import goes on
    fixture.admit(vec![row(2, "a", &[])]).await;
    fixture.claim(T0).await;
}

#[tokio::test]
async fn the_first_checker_makes_the_ledger_of_a_database() {
    let Some(place) = database() else { return };
    let first = ProbeLedger::open(&place, [9; 32], T0).unwrap();
    first
        .record(row(2, "a", &[]).unwrap().submission.url.digest(), probe(ProbeVerdict::Supported, T0))
        .await
        .unwrap();
    // it left no lease behind
    Ledger::open(&place, &identity(), T0).unwrap().close().await;
}

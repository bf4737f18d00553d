//! Reads beside the connection that writes.

use super::*;

/// How long a test waits for what must not wait at all.
const HANGS_AFTER: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "nothing is sent here, and the test that fails must end")]
async fn a_long_read_delays_no_claim_and_sees_the_ledger_as_of_one_time() {
    let fixture = Fixture::new().await;
    fixture.admit((0..20).map(|n| row(n + 2, &n.to_string(), &[])).collect()).await;
    let (begun, mut has_begun) = tokio::sync::mpsc::unbounded_channel();
    let (end, may_end) = std::sync::mpsc::channel();
    let ledger = fixture.ledger().clone();
    let long_read = tokio::spawn(async move {
        let read = move |snapshot: &Snapshot| {
            let before = snapshot.state_counts()?;
            let _ = begun.send(());
            // held until the claims are made; the test that fails drops the sender
            let _ = may_end.recv();
            Ok((before, snapshot.state_counts()?))
        };
        ledger.read(read).await
    });
    has_begun.recv().await.unwrap();
    let work = async {
        for _ in 0..20 {
            let claim = fixture.claim(T0).await;
            fixture.settle(claim.attempt, plain(ItemEvent::AnswerLost, T0)).await.unwrap();
            fixture.settle(claim.attempt, plain(ItemEvent::FoundAccepted, T0)).await.unwrap();
        }
        fixture.read(Snapshot::state_counts).await
    };
    let now = tokio::time::timeout(HANGS_AFTER, work).await.expect("the claims waited for the read");
    assert_eq!(now.of(State::AcceptedUnidentified), 20, "another read sees what was claimed meanwhile");
    end.send(()).unwrap();
    let (before, after) = long_read.await.unwrap().unwrap();
    assert_eq!((before.of(State::Pending), before), (20, after));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_is_closed_when_its_reads_have_ended_and_then_refuses_others() {
    let mut fixture = Fixture::new().await;
    let (begun, mut has_begun) = tokio::sync::mpsc::unbounded_channel();
    let (end, may_end) = std::sync::mpsc::channel::<()>();
    let ledger = fixture.ledger().clone();
    let reader = ledger.clone();
    let long_read = tokio::spawn(async move {
        let read = move |snapshot: &Snapshot| {
            let _ = begun.send(());
            let _ = may_end.recv();
            snapshot.state_counts()
        };
        reader.read(read).await
    });
    has_begun.recv().await.unwrap();
    let mut closing = std::pin::pin!(fixture.ledger.take().unwrap().close());
    // each is polled once: both wait for the read
    tokio::select! {
        biased;
        () = &mut closing => panic!("the ledger was closed during a read"),
        _ = ledger.read(Snapshot::state_counts) => panic!("the ledger is closed before its read has ended"),
        () = std::future::ready(()) => {}
    }
    end.send(()).unwrap();
    closing.await;
    assert_eq!(long_read.await.unwrap().unwrap().total(), 0);
    let refused = ledger.read(Snapshot::state_counts).await.unwrap_err().to_string();
    assert!(refused.contains("closed"), "{refused}");
    if let Some(path) = fixture.place.file() {
        let log = files::with_suffix(path, "-wal");
        assert!(!log.exists(), "the log is in the main file: {}", log.display());
    }
}

#[tokio::test]
async fn a_scratch_ledger_reads_what_it_has_not_committed_yet() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open_scratch(folder.path().join("s.db"), &identity(), T0).unwrap();
    let (run, manifest) = begin(&ledger, "plan", T0, None).await;
    let admit =
        move |store: &Store| store.admit(run, manifest, &[row(2, "a", &[])], &AdmitTerms::default(), T0);
    ledger.write(admit).await.unwrap();
    assert_eq!(ledger.read(Snapshot::state_counts).await.unwrap().of(State::Pending), 1);
    assert_eq!(ledger.snapshot().await.unwrap().state_counts().unwrap().of(State::Pending), 1);
    // a snapshot commits what was deferred, and the next change begins anew
    ledger.write(move |store| store.kv_set("x", Some("y"), T0)).await.unwrap();
    assert_eq!(ledger.read(|snapshot| snapshot.kv_get("x")).await.unwrap().as_deref(), Some("y"));
}

#[tokio::test]
async fn a_read_that_panics_ends_with_its_reason_and_harms_no_other() {
    let fixture = Fixture::new().await;
    let failed: Result<(), LedgerError> = fixture.ledger().read(|_| panic!("a bug")).await;
    assert!(failed.unwrap_err().to_string().contains("a bug"));
    assert_eq!(fixture.read(Snapshot::state_counts).await.total(), 0);
}

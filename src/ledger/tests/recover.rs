//! Recovery of a lost or restored ledger.

use super::*;

#[tokio::test]
async fn a_restored_ledger_is_noticed_and_can_be_recovered() {
    let Some(mut fixture) = Fixture::of_file().await else { return };
    let rows = || vec![row(2, "a", &[]), row(3, "b", &[])];
    fixture.admit(rows()).await;
    let marks = fixture.folder.path().join("far");
    let identity = Identity { high_water: Some(marks), ..identity() };
    let open =
        |path: &std::path::Path, restored| Ledger::open(path, &Identity { restored, ..identity.clone() }, T0);
    fixture.ledger.take().unwrap().close().await;
    let backup = fixture.folder.path().join("backup.db");
    Snapshot::open(&fixture.place).unwrap().copy_to(&backup).unwrap();
    // the first row is sent with the real ledger, then the backup is put in its place
    fixture.ledger = Some(open(&fixture.path(), Restored::Refused).unwrap());
    let sent = fixture.claim(T0).await;
    fixture.settle(sent.attempt, accepted("VI000001", T0)).await.unwrap();
    fixture.ledger.take().unwrap().close().await;
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(files::with_suffix(&fixture.path(), suffix));
    }
    std::fs::copy(&backup, fixture.path()).unwrap();
    let refused = open(&fixture.path(), Restored::Refused).map(drop).unwrap_err();
    assert!(matches!(refused, LedgerError::Older { known: 0, last: 1, .. }), "{refused}");
    // the service shows the marker of the request that the backup does not know
    let ledger = open(&fixture.path(), Restored::Recovering).unwrap();
    fixture.ledger = Some(ledger);
    fixture.write(Store::begin_recovery).await;
    let shown = LibraryVideo {
        video_no: VideoNo::parse("VI000001").unwrap(),
        tags: vec!["x".to_owned(), sent.marker.unwrap()],
        shows_tags: true,
        made_by: T0,
    };
    let listed = shown.clone();
    assert_eq!(
        fixture.read(move |snapshot| snapshot.video_owners(std::slice::from_ref(&listed))).await,
        [VideoOwner::Foreign(Some(ItemId::numbered(1)))]
    );
    fixture.record_foreign_video(shown.clone()).await;
    let claim_blocked = fixture.claim_blocked(fixture.terms()).await;
    assert_eq!(
        claim_blocked,
        Some(ClaimBlocked::AlreadyUploaded { item: ItemId(1) }),
        "its row is not sent again"
    );
    assert_eq!(fixture.recover(shown.clone()).await, Recovered::Bound(ItemId(1)));
    assert_eq!(fixture.recover(shown).await, Recovered::Surplus(ItemId(1)));
    fixture.raw().execute("UPDATE run SET command = 'recover'", []).unwrap();
    fixture.ledger.take().unwrap().close().await;
    let half = open(&fixture.path(), Restored::Refused).map(drop).unwrap_err();
    assert!(matches!(half, LedgerError::HalfRecovered { .. }), "{half}");
    let command = format!("Resume it: telecine recover m.csv --ledger {}", fixture.path().display());
    assert!(half.to_string().contains(&command), "{half}");
    fixture.ledger = Some(open(&fixture.path(), Restored::Recovering).unwrap());
    fixture.write(Store::end_recovery).await;
    fixture.ledger.take().unwrap().close().await;
    fixture.ledger = Some(open(&fixture.path(), Restored::Refused).unwrap());
    assert_eq!(fixture.states(), ["accepted", "pending"]);
    // a number that was used, here or with the lost ledger, is never used again
    let lowest: i64 = fixture.raw().query_row("SELECT min(id) FROM attempt", [], |row| row.get(0)).unwrap();
    assert_eq!((lowest, fixture.claim(T0).await.attempt.0), (2, 3));
}

#[tokio::test]
async fn a_recovery_remembers_what_it_cannot_bind() {
    let fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[])]).await;
    let old = claim_in_doubt(&fixture).await;
    // a newer request of the row, and one of a row in another manifest, by a ledger this one knows nothing of
    let shown = |number: &str, name: &str| LibraryVideo {
        video_no: VideoNo::parse(number).unwrap(),
        tags: vec![marker::marker(&[9; 32], 77, &row(2, name, &[]).unwrap().submission.key().prefix_hex())],
        shows_tags: true,
        made_by: T0,
    };
    fixture.write(Store::begin_recovery).await;
    let recover = async |video| fixture.recover(video).await;
    assert_eq!(
        recover(shown("VI000001", "a")).await,
        Recovered::Remembered(ItemId(1)),
        "it is no second payment"
    );
    assert_eq!(recover(shown("VI000002", "b")).await, Recovered::NoItem);
    fixture.record_foreign_video(shown("VI000002", "b")).await;
    let spent = async || fixture.read(|snapshot| snapshot.usage_since(UnixMillis(0), 0)).await.1.len();
    assert_eq!(spent().await, 2, "each used up a slot, once");
    fixture.write(Store::end_recovery).await;
    fixture.settle(old.attempt, plain(ItemEvent::FoundAbsent, T0)).await.unwrap();
    fixture.admit(vec![row(3, "b", &[])]).await;
    let next = async || fixture.claim_blocked(fixture.terms()).await;
    assert_eq!(next().await, Some(ClaimBlocked::AlreadyUploaded { item: ItemId(1) }));
    // when it waits, the next recovery binds it
    assert_eq!(recover(shown("VI000001", "a")).await, Recovered::Bound(ItemId(1)));
    assert_eq!(spent().await, 1, "what is our own attempt is no expense beside it");
    assert_eq!(
        next().await,
        Some(ClaimBlocked::AlreadyUploaded { item: ItemId(2) }),
        "nor is the other manifest's row sent"
    );
    assert_eq!(recover(shown("VI000002", "b")).await, Recovered::Bound(ItemId(2)));
    assert_eq!(next().await, Some(ClaimBlocked::NothingPending));
}

//! Opening: lock, version, owner and damage.

use rusqlite::Connection;

use super::*;

#[tokio::test]
async fn a_second_writer_gets_an_error_that_names_the_holder() {
    let fixture = Fixture::new().await;
    let second = Ledger::open(&fixture.place, &identity(), T0);
    let Err(LedgerError::Locked { holder, .. } | LedgerError::LeaseHeld { holder, .. }) = second else {
        panic!("a second writer got in")
    };
    assert!(holder.contains(&std::process::id().to_string()), "{holder}");
}

#[tokio::test]
async fn a_ledger_of_another_server_key_or_program_is_refused_with_what_to_do() {
    let mut fixture = Fixture::new().await;
    fixture.write(Store::confirm_key).await;
    fixture.ledger.take().unwrap().close().await;
    let open = |identity: &Identity| match Ledger::open(&fixture.place, identity, T0) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
    let other_server = Identity { origin: "https://other.example".to_owned(), ..identity() };
    assert!(open(&other_server).contains("belongs to https://service.example"));
    let other_key = Identity { key_digest: [2; 32], ..identity() };
    assert!(open(&other_key).contains("--same-account"));
    let same_account = Identity { key_change: KeyChange::SameAccount, ..other_key.clone() };
    let ledger = Ledger::open(&fixture.place, &same_account, T0).unwrap();
    ledger.write(Store::confirm_key).await.unwrap();
    ledger.close().await;
    assert_eq!(open(&other_key), "", "the new key is known from now on");
}

#[tokio::test]
async fn a_file_of_a_newer_or_another_program_is_refused() {
    let Some(mut fixture) = Fixture::of_file().await else { return };
    fixture.ledger.take().unwrap().close().await;
    let newer = fixture.folder.path().join("newer.db");
    std::fs::copy(fixture.path(), &newer).unwrap();
    Connection::open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let Err(error) = Ledger::open(&newer, &identity(), T0) else { panic!("a newer ledger was opened") };
    assert!(error.to_string().contains("version 99"), "{error}");

    let foreign = fixture.folder.path().join("foreign.db");
    Connection::open(&foreign).unwrap().execute("CREATE TABLE x (y)", []).unwrap();
    assert!(matches!(Ledger::open(&foreign, &identity(), T0), Err(LedgerError::Foreign { .. })));
    let text = fixture.folder.path().join("text.db");
    std::fs::write(&text, "this is no database at all, but a text of some length".repeat(50)).unwrap();
    assert!(matches!(Ledger::open(&text, &identity(), T0), Err(LedgerError::Foreign { .. })));
}

#[tokio::test]
async fn a_ledger_of_every_version_opens_with_every_item_where_it_was() {
    assert_eq!(
        i64::try_from(schema::SAMPLES.len()).unwrap(),
        schema::version(),
        "every version has its sample"
    );
    for version in 1..=schema::SAMPLES.len() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        schema::make_sample(&mut Connection::open(&path).unwrap(), version);
        let same_account = Identity { key_change: KeyChange::SameAccount, ..identity() };
        let ledger = Ledger::open(&path, &same_account, T0).unwrap();
        let snapshot = ledger.snapshot().await.unwrap();
        let state_counts = snapshot.state_counts().unwrap();
        let in_doubt = state_counts.of(State::InDoubt);
        assert_eq!((state_counts.of(State::Sending), in_doubt), (0, 2), "what was sending is in doubt now");
        for state in State::VARIANTS.iter().filter(|state| !matches!(state, State::Sending | State::InDoubt))
        {
            assert_eq!(state_counts.of(*state), 1, "{state}");
        }
        assert_eq!(snapshot.contradictions().unwrap(), 0);
    }
}

#[tokio::test]
async fn the_ledger_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state").join("ledger.db");
    let ledger = Ledger::open(&path, &identity(), T0).unwrap();
    begin(&ledger, "x", T0, None).await;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    for entry in std::fs::read_dir(path.parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn a_log_without_its_ledger_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ledger.db-wal"), "x").unwrap();
    let Err(error) = Ledger::open(folder.path().join("ledger.db"), &identity(), T0) else { panic!("opened") };
    assert!(error.to_string().contains("-wal"), "{error}");
}

#[tokio::test]
async fn a_damaged_file_is_refused_before_anything_is_sent() {
    use std::os::unix::fs::FileExt;
    let Some(mut fixture) = Fixture::of_file().await else { return };
    fixture.admit((0..200).map(|n| row(n + 2, &n.to_string(), &[])).collect()).await;
    fixture.ledger.take().unwrap().close().await;
    let file = std::fs::OpenOptions::new().write(true).open(fixture.path()).unwrap();
    let size = file.metadata().unwrap().len();
    // pages that opening alone does not read
    for at in (size / 4_096 * 3 / 4 * 4_096..size).step_by(4_096) {
        file.write_all_at(&[0xa5; 64], at).unwrap();
    }
    let refused = Ledger::open(&fixture.place, &identity(), T0).map(drop).unwrap_err();
    assert!(matches!(refused, LedgerError::Damaged { .. }), "{refused}");
}

#[tokio::test]
async fn a_ledger_made_before_its_first_import_belongs_to_whoever_sends_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = new_place(&folder);
    let digest = SourceUrl::parse("https://host/a.mp4").unwrap().digest();
    let early = Ledger::open_early(&path, [3; 32], T0).unwrap();
    let found = [(digest, probe(ProbeVerdict::Supported, T0))];
    early.write(move |store| store.record_probes(&found)).await.unwrap();
    early.close().await;
    assert_eq!(Snapshot::open(&path).unwrap().origin().unwrap(), "no service yet");
    let owned = Ledger::open(&path, &identity(), T0).unwrap();
    assert!(owned.read(move |snapshot| snapshot.probes(&[digest])).await.unwrap()[0].is_some());
    owned.write(Store::confirm_key).await.unwrap();
    owned.close().await;
    let other = Identity { origin: "https://other.example".to_owned(), ..identity() };
    assert!(matches!(Ledger::open(&path, &other, T0), Err(LedgerError::OtherOrigin { .. })));
    let other = Identity { key_digest: [9; 32], ..identity() };
    assert!(matches!(Ledger::open(&path, &other, T0), Err(LedgerError::OtherKey { .. })));
    // it still belongs to its owner after others have read it
    Ledger::open_early(&path, [4; 32], T0).unwrap().close().await;
    Ledger::open(&path, &identity(), T0).unwrap().close().await;
}

#[tokio::test]
async fn a_key_that_the_service_never_accepted_does_not_own_the_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let path = new_place(&folder);
    let mistyped = Identity { key_digest: [7; 32], ..identity() };
    Ledger::open(&path, &mistyped, T0).unwrap().close().await;
    let right = Ledger::open(&path, &identity(), T0).unwrap();
    right.write(Store::confirm_key).await.unwrap();
    right.close().await;
    assert!(matches!(Ledger::open(&path, &mistyped, T0), Err(LedgerError::OtherKey { .. })));
}

/// A ledger larger than what is checked before it is used, with damaged pages, after a run that did or did not end.
async fn large_and_damaged(is_ended: bool) -> Option<Fixture> {
    use std::os::unix::fs::FileExt;
    let mut fixture = Fixture::of_file().await?;
    let run = fixture.run;
    fixture.admit((0..200).map(|n| row(n + 2, &n.to_string(), &[])).collect()).await;
    if is_ended {
        fixture.write(move |store| store.end_run(run, T0, 0, "done")).await;
    }
    fixture.ledger.take().unwrap().close().await;
    let damaged = std::fs::metadata(fixture.path()).unwrap().len();
    let raw = Connection::open(fixture.path()).unwrap();
    raw.execute(
        "INSERT INTO manifest (identity, columns) VALUES ('large', ?1)",
        ["x".repeat(65 * 1024 * 1024)],
    )
    .unwrap();
    drop(raw);
    let file = std::fs::OpenOptions::new().write(true).open(fixture.path()).unwrap();
    // a page in the middle of the large value: nothing else reads it
    file.write_all_at(&0xffff_ffff_u32.to_be_bytes(), damaged + 32 * 1024 * 1024 / 4_096 * 4_096).unwrap();
    Some(fixture)
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_of_a_large_ledger_ends_the_run_after_one_that_did_not_end() {
    let Some(ended) = large_and_damaged(true).await else { return };
    let unchecked = Ledger::open(ended.path(), &identity(), T0).unwrap();
    assert!(unchecked.write(|_| Ok(())).await.is_ok());
    let Some(fixture) = large_and_damaged(false).await else { return };
    let ledger = Ledger::open(&fixture.place, &identity(), T0).unwrap();
    // the check has a thread of its own
    let refused = loop {
        if let Err(refused) = ledger.write(|_| Ok(())).await {
            break refused;
        }
        tokio::task::yield_now().await;
    };
    assert!(matches!(refused, LedgerError::Damaged { .. }), "{refused}");
    ledger.close().await;
    // the note that a check is due outlives a check that found damage
    let raw = Connection::open(fixture.path()).unwrap();
    raw.execute("UPDATE run SET ended_at = 1", []).unwrap();
    drop(raw);
    let again = Ledger::open(&fixture.place, &identity(), T0).unwrap();
    while again.write(|_| Ok(())).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_change_that_ignores_a_failed_statement_is_not_reported_as_committed() {
    if database().is_none() {
        println!("skipped: a file has no transactions that fail as a whole");
        return;
    }
    let fixture = Fixture::new().await;
    let change = |store: &Store| {
        store.kv_set("mark", Some("1"), T0)?;
        // a careless job
        let _ = store.connection.execute("UPDATE kv SET at = 1 / (at - at)", []);
        Ok(())
    };
    let told = fixture.ledger().write(change).await;
    assert!(matches!(told, Err(LedgerError::Broken { .. })), "{told:?}");
    let kept = fixture.ledger().snapshot().await;
    assert!(kept.is_err(), "the ledger accepts nothing more");
}

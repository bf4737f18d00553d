//! Copies between engines: whole, verified, and one of the two in use.

use rusqlite::types::Value;

use super::*;
use crate::ledger::{
    Identity, Ledger, Restored,
    tests::{database, identity},
};

const T0: UnixMillis = UnixMillis(1_800_000_000_000);

/// A ledger with rows in every table.
fn sample(folder: &tempfile::TempDir) -> LedgerPlace {
    let path = folder.path().join("sample.db");
    let mut connection = rusqlite::Connection::open(&path).unwrap();
    schema::make_sample(&mut connection, 1);
    path.into()
}

/// Places for copies: files, and schemas where the tests have a database.
fn places(folder: &tempfile::TempDir) -> Vec<LedgerPlace> {
    let file = |name: &str| Some(LedgerPlace::from(folder.path().join(name)));
    [file("one.db"), database(), database(), file("two.db")].into_iter().flatten().collect()
}

fn copy(from: &LedgerPlace, to: &LedgerPlace, in_use: LedgerInUse) -> Result<CopiedLedger, LedgerError> {
    copy_ledger(from, to, in_use, T0)
}

fn open(place: &LedgerPlace, restored: Restored) -> Result<Ledger, LedgerError> {
    Ledger::open(
        place,
        &Identity { restored, key_change: crate::ledger::KeyChange::SameAccount, ..identity() },
        T0,
    )
}

#[tokio::test]
async fn a_ledger_moves_through_the_engines_with_all_values_and_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let mut from = sample(&folder);
    let mut copies = Vec::new();
    for to in places(&folder) {
        copies.push(copy(&from, &to, LedgerInUse::Copy).unwrap());
        from = to;
    }
    assert!(
        copies.iter().all(|copied| copied.rows.iter().all(|(table, rows)| {
            // nothing happened in the sample
            *rows > 0 || ["event", "row_issue", "foreign_video"].contains(table)
        })),
        "{copies:?}"
    );
    for copied in &copies {
        assert_eq!((&copied.digest, &copied.rows), (&copies[0].digest, &copies[0].rows));
        let ledger = Snapshot::open(&copied.to).unwrap();
        assert_eq!(ledger.problems().unwrap(), [] as [String; 0]);
        let secret: Vec<u8> =
            ledger.connection.query_row("SELECT secret FROM identity", [], |row| row.get(0)).unwrap();
        assert_eq!(secret, [0; 32]);
    }
    // what the engine numbers is numbered on
    let ledger = open(&from, Restored::Refused).unwrap();
    let run = ledger.write(|store| store.begin_run("next", "import", T0, None)).await.unwrap();
    assert_eq!(run.to_string(), "3");
    ledger.close().await;
}

#[tokio::test]
async fn the_numbers_of_a_database_go_on_behind_those_of_a_file_and_its_rules_hold() {
    let Some(to) = database() else { return };
    let folder = tempfile::tempdir().unwrap();
    copy(&sample(&folder), &to, LedgerInUse::Copy).unwrap();
    let ledger = open(&to, Restored::Refused).unwrap();
    let admit = |store: &Store| {
        let run = store.begin_run("next", "import", T0, None)?;
        Ok((run, store.begin_manifest_read(run, "other.csv", &[], None)?))
    };
    let numbers = ledger.write(admit).await.unwrap();
    assert_eq!((numbers.0.to_string(), numbers.1.to_string()), ("3".to_owned(), "2".to_owned()));
    for refused in [
        "DELETE FROM item WHERE id = 1",
        "UPDATE attempt SET item = 99 WHERE id = 2",
        "INSERT INTO probe SELECT * FROM probe",
    ] {
        ledger.write(move |store| store.connection.execute(refused, [])).await.unwrap_err();
    }
    ledger.close().await;
}

#[test]
fn a_copy_that_lost_or_changed_a_row_is_refused_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let reader = Snapshot::open(sample(&folder)).unwrap();
    for to in places(&folder) {
        for damage in [
            "DELETE FROM bad_row",
            "UPDATE probe SET size = 1",
            "UPDATE identity SET secret = key_fingerprint || secret",
            "UPDATE item SET cause = '' WHERE cause IS NULL",
        ] {
            let target = CopyTarget::begin(&to).unwrap();
            let read = load(&reader.connection, target.connection()).unwrap();
            if damage.starts_with("UPDATE identity") {
                // the rules of the tables hold from the beginning
                target.connection().execute(damage, []).unwrap_err();
                continue;
            }
            target.connection().execute(damage, []).unwrap();
            target.end().unwrap();
            let refused = verify(target.connection(), &read).unwrap_err();
            assert!(matches!(refused, LedgerError::CopyDiffers { .. }), "{damage}: {refused}");
            drop(target);
            assert!(matches!(Snapshot::open(&to), Err(LedgerError::Missing { .. })), "{to}: {damage}");
        }
    }
}

#[test]
fn a_copy_of_a_ledger_with_problems_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let from = sample(&folder);
    let path = from.file().unwrap();
    let broken = rusqlite::Connection::open(path).unwrap();
    broken.execute("UPDATE committed_uploads SET uploads = uploads + 1", []).unwrap();
    drop(broken);
    for to in places(&folder) {
        let refused = copy(&from, &to, LedgerInUse::Copy).unwrap_err().to_string();
        assert!(refused.contains("paid uploads"), "{refused}");
        assert!(matches!(Snapshot::open(&to), Err(LedgerError::Missing { .. })), "{to}");
    }
    open(&from, Restored::Refused).unwrap();
}

#[tokio::test]
async fn a_place_in_use_or_with_content_is_no_target_and_a_ledger_in_use_is_not_copied() {
    let folder = tempfile::tempdir().unwrap();
    let from = sample(&folder);
    for to in places(&folder) {
        let ledger = open(&to, Restored::Refused).unwrap();
        let refused = copy(&from, &to, LedgerInUse::Copy).unwrap_err();
        assert!(matches!(refused, LedgerError::CopyTarget { .. }), "{refused}");
        let other = LedgerPlace::from(folder.path().join("other.db"));
        let refused = copy(&to, &other, LedgerInUse::Copy).unwrap_err();
        assert!(matches!(refused, LedgerError::Locked { .. } | LedgerError::LeaseHeld { .. }), "{refused}");
        ledger.close().await;
        assert!(!other.may_exist());
    }
    let refused = copy(&from, &from, LedgerInUse::Copy).unwrap_err();
    assert!(matches!(refused, LedgerError::CopyTarget { .. }), "{refused}");
    open(&from, Restored::Refused).unwrap();
}

#[tokio::test]
async fn of_a_ledger_and_its_copy_one_can_be_written_until_a_recovery() {
    let folder = tempfile::tempdir().unwrap();
    let from = sample(&folder);
    let refusal = |place: &LedgerPlace| match open(place, Restored::Refused) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
    for to in places(&folder) {
        copy(&from, &to, LedgerInUse::Source).unwrap();
        assert_eq!(refusal(&from), "");
        let refused = refusal(&to);
        assert!(refused.contains("is a copy of") && refused.contains("sample.db"), "{refused}");
        assert!(Ledger::open_offline(&to, T0).is_err(), "an order for it would be lost");
        assert!(copy(&to, &folder.path().join("third.db").into(), LedgerInUse::Copy).is_err());
        // without the ledger it was copied from
        let ledger = open(&to, Restored::Recovering).unwrap();
        ledger.write(Store::begin_recovery).await.unwrap();
        ledger.write(Store::end_recovery).await.unwrap();
        ledger.close().await;
        assert_eq!(refusal(&to), "");
    }
    let to = LedgerPlace::from(folder.path().join("moved.db"));
    copy(&from, &to, LedgerInUse::Copy).unwrap();
    assert_eq!(refusal(&to), "");
    let refused = refusal(&from);
    assert!(refused.contains("was moved to") && refused.contains("moved.db"), "{refused}");
}

#[test]
fn a_digest_depends_on_every_value_and_not_on_the_order_of_the_rows() {
    let row = |text: &str, number| vec![Value::Text(text.to_owned()), Value::Integer(number), Value::Null];
    let digest = |rows: &[Vec<Value>]| {
        let mut digest = TableDigest::default();
        for row in rows {
            digest.add(row);
        }
        digest
    };
    let (one, two) = (row("a", 1), row("b", 2));
    assert_eq!(digest(&[one.clone(), two.clone()]), digest(&[two.clone(), one.clone()]));
    let others = [row("a", 2), row("", 1), vec![Value::Blob(b"a".to_vec()), Value::Integer(1), Value::Null]];
    for other in others {
        assert_ne!(digest(&[one.clone(), two.clone()]), digest(&[other, two.clone()]));
    }
    assert_ne!(
        digest(&[one.clone(), one.clone()]),
        digest(&[two.clone(), two]),
        "equal rows do not cancel out"
    );
}

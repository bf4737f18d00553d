//! Claims while the storage of some rows gives no credentials.

use super::*;
use crate::domain::StorageAccount;

/// More rows than one look reads, twice.
const OBJECTS: u64 = 600;

fn object(line: u64) -> Result<ManifestRow, RowError> {
    let mut object = row(line, "a", &[])?;
    object.submission.url = SourceUrl::parse(&format!("s3://archive/{line}.mp4")).unwrap();
    Ok(object)
}

fn s3() -> StorageAccount {
    SourceUrl::parse("s3://archive/1.mp4").unwrap().object().unwrap().owner()
}

/// The next claim, and how many looks found only rows that were passed over. `None`: all rows that wait are such rows.
async fn next(fixture: &Fixture, terms: &Arc<ClaimTerms>) -> (Option<Claim>, u64) {
    let mut looks = 0;
    loop {
        match fixture.ledger().claim(Arc::clone(terms), T0).await.unwrap() {
            ClaimOutcome::Claimed(claim) => return (Some(*claim), looks),
            ClaimOutcome::Blocked(ClaimBlocked::PassedOver { is_all: true }) => return (None, looks),
            ClaimOutcome::Blocked(ClaimBlocked::PassedOver { is_all: false }) => looks += 1,
            ClaimOutcome::Blocked(blocked) => panic!("{blocked:?}"),
        }
        assert!(looks < 20, "it goes on for ever");
    }
}

#[tokio::test]
async fn rows_whose_storage_gives_no_credentials_hold_up_no_other_row() {
    let fixture = Fixture::new().await;
    let objects = (0..OBJECTS).map(object);
    fixture.admit(objects.chain([row(700, "x", &[]), row(701, "y", &[])]).collect()).await;
    fixture.admit(vec![object(702), row(703, "z", &[])]).await;
    let terms = fixture.terms();
    assert_eq!(
        fixture.claim_blocked(Arc::clone(&terms)).await,
        Some(ClaimBlocked::Unsignable { account: s3() })
    );
    assert!(terms.storage.refuse(s3(), T0, "no credentials".to_owned()), "it is new");
    assert!(!terms.storage.refuse(s3(), T0, "no credentials".to_owned()), "it was known");
    let mut looks_each = Vec::new();
    let mut claims = Vec::new();
    for line in ["x", "y", "z"] {
        let (claim, looks) = next(&fixture, &terms).await;
        let claim = claim.unwrap();
        assert_eq!(claim.submission.url.as_str(), format!("https://host/{line}.mp4"));
        claims.push(claim);
        looks_each.push(looks);
    }
    assert_eq!(looks_each, [2, 0, 0], "each row is passed over once");
    // one whose request did not leave is pending again, before rows that were passed over
    fixture.settle(claims[0].attempt, plain(ItemEvent::NotSent, T0)).await.unwrap();
    let (again, _) = next(&fixture, &terms).await;
    assert_eq!(again.unwrap().item, claims[0].item);
    assert_eq!(next(&fixture, &terms).await.0.map(|claim| claim.item), None);
    assert_eq!(terms.storage.refusals(), "no credentials");
    terms.storage.allow(s3(), T0.plus_ms(1));
    let (first, looks) = next(&fixture, &terms).await;
    assert_eq!((first.unwrap().submission.url.as_str(), looks), ("s3://archive/0.mp4", 0));
}

#[tokio::test]
async fn a_row_that_was_set_aside_has_its_turn_behind_rows_without_credentials() {
    let fixture = Fixture::new().await;
    fixture.admit((0..OBJECTS).map(object).chain([row(700, "x", &[])]).collect()).await;
    let terms = fixture.terms();
    terms.storage.refuse(s3(), T0, "no credentials".to_owned());
    let aside = i64::try_from(OBJECTS).unwrap() + 1;
    terms.set_aside.store(aside, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(next(&fixture, &terms).await.0.unwrap().item.number(), aside);
}

#[tokio::test]
async fn a_row_whose_listing_is_awaited_is_no_row_without_credentials() {
    let mut fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "x", &[]), object(3)]).await;
    let claim = fixture.claim(T0).await;
    fixture.settle(claim.attempt, plain(ItemEvent::RejectedByRule, T0)).await.unwrap();
    fixture.reopen(T0).await;
    fixture.admit(vec![row(2, "x", &["fixed"]), object(3)]).await;
    let terms = fixture.terms();
    terms.storage.refuse(s3(), T0, "no credentials".to_owned());
    let blocked = fixture.claim_blocked(terms).await;
    assert_eq!(blocked, Some(ClaimBlocked::AwaitsListing { items: 1, is_due: false }));
}

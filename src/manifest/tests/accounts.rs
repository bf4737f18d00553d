//! Rows of several accounts: each is read for one of them, or is for none.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Rows of two accounts with every kind of fault between them.
const MIXED: &[u8] = b"url,customer,note\n\
    https://h/1.mp4,alpha,\n\
    https://h/2.mp4, beta ,x\n\
    https://h/3.mp4,beta,\xff\n\
    https://h/4.mp4,alpha\n\
    https://h/5.mp4,gamma,\n\
    https://h/6.mp4,,\n\
    https://h/7.mp4,Alpha,\n\
    ftp://h/8.mp4,alpha,\n\
    https://h/1.mp4,beta,\n\
    https://h/9.mp4,NA,\n";

fn known() -> BTreeSet<String> {
    ["alpha", "beta"].map(str::to_owned).into()
}

fn mapped(shelf: &Shelf) -> ManifestSpec {
    let dialect = Dialect { encoding: Some("utf-8".parse().unwrap()), ..Dialect::default() };
    ManifestSpec { map: vec!["account=customer".parse().unwrap()], dialect, ..shelf.put(MIXED) }
}

/// The lines of every row, and of every row that cannot be sent.
fn lines(spec: &ManifestSpec) -> Vec<u64> {
    read(spec).iter().map(|row| row.as_ref().map_or_else(|error| error.line, |row| row.line)).collect()
}

#[test]
fn every_row_is_of_one_account_or_of_none() {
    let shelf = Shelf::new();
    let spec = mapped(&shelf);
    let (mut counts, mut unassigned) = (BTreeMap::new(), Vec::new());
    Manifest::open(&spec)
        .unwrap()
        .count_accounts(&known(), &mut counts, |row| {
            unassigned.push((row.line, row.problems[0].class.clone()));
        })
        .unwrap();
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), [("alpha".to_owned(), 2), ("beta".to_owned(), 2)]);
    let classes: Vec<(u64, &str)> = unassigned.iter().map(|(line, class)| (*line, class.as_str())).collect();
    assert_eq!(
        classes,
        [
            (4, "not_utf8"),
            (5, "column_count"),
            (6, "account_unknown"),
            (7, "account_missing"),
            (8, "account_unknown"),
            (11, "account_missing"),
        ]
    );
    let of = |account: &str| ManifestSpec { account: Some(account.to_owned()), ..spec.clone() };
    assert_eq!((lines(&of("alpha")), lines(&of("beta"))), (vec![2, 9], vec![3, 10]));
    assert_eq!(lines(&spec), (2..=11).collect::<Vec<_>>(), "without an account every row is read");
    for (account, rows) in [("alpha", 2), ("beta", 2), ("delta", 0)] {
        let mut manifests = [Manifest::open(&of(account)).unwrap()];
        let scan = scan(&mut manifests, order(), |_, _| {}).unwrap();
        assert_eq!(
            (scan.rows, scan.left_out),
            (rows, 10 - rows),
            "{account}: a scan reads as an import does"
        );
    }
}

#[test]
fn rows_of_an_account_have_a_stamp_of_their_own() {
    let shelf = Shelf::new();
    let spec = mapped(&shelf);
    let stamp = |account: Option<&str>| {
        Manifest::open(&ManifestSpec { account: account.map(str::to_owned), ..spec.clone() }).unwrap().stamp()
    };
    assert_ne!(stamp(Some("alpha")), stamp(Some("beta")));
    assert_ne!(stamp(Some("alpha")), stamp(None));
}

#[test]
fn a_column_feeds_the_account_by_a_rule_only() {
    let shelf = Shelf::new();
    let text = b"url,account\nhttps://h/1.mp4,alpha\nhttps://h/2.mp4,beta\n";
    let spec = ManifestSpec { account: Some("alpha".to_owned()), ..shelf.put(text) };
    assert_eq!(lines(&spec), [2, 3]);
    assert!(!Manifest::open(&spec).unwrap().mapping().contains("account"));
}

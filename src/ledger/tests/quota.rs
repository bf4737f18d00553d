//! Usage and the clock.

use super::*;

#[tokio::test]
async fn no_time_has_passed_until_the_clock_skew_is_known() {
    let mut fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[])]).await;
    fixture.claim(T0.plus_ms(1_000)).await;
    fixture.reopen(T0.plus_ms(1_000)).await;
    // a reboot, and a wall clock that says two hours
    let at = T0.plus_ms(2 * 3_600_000);
    let rebooted = Some(BootTime { id: "another boot".to_owned(), since_ms: 60_000 });
    let run = fixture.write(move |store| store.begin_run("rebooted", "import", at, rebooted.as_ref())).await;
    let age_ms = async |fixture: &Fixture| {
        at.since_ms(fixture.read(|snapshot| snapshot.unresolved_attempts(10)).await.attempts[0].sent_at)
    };
    let is_known = async || fixture.read(move |snapshot| snapshot.is_clock_skew_known(run)).await;
    assert!(!is_known().await);
    assert_eq!(age_ms(&fixture).await, 0);
    // the service's clock says ten minutes
    fixture.write(move |store| store.record_clock_skew(run, 110 * 60_000)).await;
    assert!(is_known().await);
    assert_eq!(age_ms(&fixture).await, 10 * 60_000 - 1_000);
}

#[tokio::test]
async fn reads_are_kept_as_long_as_the_longest_limit() {
    let fixture = Fixture::new().await;
    let day_ms = 24 * 3_600_000;
    let spend = async |day: i64, counts_days: i64| {
        let at = T0.plus_ms(day * day_ms);
        let counts_since = at.plus_ms(-counts_days * day_ms);
        fixture.write(move |store| store.record_read("list", at, counts_since)).await;
    };
    spend(0, 30).await;
    spend(20, 30).await;
    let number_next = |number: i64| {
        let raw = fixture.raw();
        if fixture.place.file().is_none() {
            let sql = "SELECT setval(pg_get_serial_sequence('external_usage', 'id'), CAST(?1 AS BIGINT))";
            return raw.query_row(sql, [number], |_| Ok(0));
        }
        raw.execute(
            "UPDATE external_usage SET id = ?1 WHERE id = (SELECT max(id) FROM external_usage)",
            [number],
        )
    };
    // usage is deleted only after many insertions
    number_next(4_999).unwrap();
    spend(29, 30).await;
    let kept = async || fixture.read(|snapshot| snapshot.usage_since(UnixMillis(0), 0)).await.1.len();
    assert_eq!(kept().await, 3, "all count in a window of thirty days");
    number_next(9_999).unwrap();
    spend(31, 30).await;
    assert_eq!(kept().await, 3, "the first does no more");
}

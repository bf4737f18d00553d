//! Tests of the ledger.

use std::{path::PathBuf, time::Duration};

use rusqlite::Connection;

use strum::VariantArray as _;

use super::*;
use crate::domain::{ItemEvent, ProbeVerdict, Problem, Reach, SourceUrl, State, Submission};

const T0: UnixMillis = UnixMillis(1_700_000_000_000);

struct Fixture {
    folder: tempfile::TempDir,
    ledger: Option<Ledger>,
    run: RunId,
    manifest: ManifestId,
}

fn identity() -> Identity {
    Identity {
        origin: "https://service.example".to_owned(),
        key_digest: [1; 32],
        fresh_secret: [7; 32],
        key_change: KeyChange::Refused,
        high_water: None,
        restored: Restored::Refused,
    }
}

/// The machine was started at [`T0`], and its clock is right.
#[expect(clippy::unnecessary_wraps, reason = "it is for begin_run")]
fn boot(at: UnixMillis) -> Option<BootTime> {
    Some(BootTime { id: "boot".to_owned(), since_ms: at.since_ms(T0) })
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&folder.path().join("ledger.db"), &identity(), T0).unwrap();
        let run = ledger.begin_run("first".to_owned(), "import", T0, boot(T0)).await.unwrap();
        let columns = vec!["url".to_owned()];
        let manifest = ledger.begin_manifest_read(run, "m.csv".to_owned(), columns, None).await.unwrap();
        Self { folder, ledger: Some(ledger), run, manifest }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }

    fn ledger(&self) -> &Ledger {
        self.ledger.as_ref().unwrap()
    }

    /// Closes and opens again, as a crash and a restart would.
    async fn reopen(&mut self, at: UnixMillis) {
        self.reopen_with(at, None).await;
    }

    async fn reopen_with(&mut self, at: UnixMillis, stamp: Option<String>) {
        self.ledger.take().unwrap().close().await;
        let ledger = Ledger::open(&self.path(), &identity(), at).unwrap();
        self.run = ledger.begin_run(format!("after {}", self.run), "import", at, boot(at)).await.unwrap();
        self.manifest = ledger
            .begin_manifest_read(self.run, "m.csv".to_owned(), vec!["url".to_owned()], stamp)
            .await
            .unwrap();
        self.ledger = Some(ledger);
    }

    async fn admit(&self, rows: Vec<Result<ManifestRow, RowError>>) -> Vec<Admission> {
        self.ledger().admit(self.run, self.manifest, rows, AdmitTerms::default(), T0).await.unwrap()
    }

    fn terms(&self) -> Arc<ClaimTerms> {
        Arc::new(ClaimTerms {
            run: self.run,
            manifests: vec![self.manifest],
            concurrency: 1,
            link_life_min: Duration::ZERO,
            sent_by: Arc::new(std::sync::atomic::AtomicI64::new(i64::MAX)),
            start_within: Duration::from_secs(5),
            acceptance_lag_max: Duration::from_mins(15),
            marker: Marker::On,
            uploads_max: None,
            disk_free_min: 0,
        })
    }

    async fn claim(&self, at: UnixMillis) -> Claim {
        match self.ledger().claim(self.terms(), at).await.unwrap() {
            ClaimOutcome::Claimed(claim) => *claim,
            ClaimOutcome::Blocked(claim_blocked) => panic!("{claim_blocked:?}"),
        }
    }

    /// A connection beside the ledger, as a user of the sqlite3 tool would open it.
    fn raw(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    fn states(&self) -> Vec<String> {
        let raw = self.raw();
        let mut statement = raw.prepare("SELECT state FROM item ORDER BY id").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it stands beside faults in a list")]
fn row(line: u64, name: &str, tags: &[&str]) -> Result<ManifestRow, RowError> {
    let url = format!("https://host/{name}.mp4");
    Ok(ManifestRow {
        content_hash: None,
        warnings: Vec::new(),
        line,
        cells: vec![url.clone()],
        external_id: None,
        submission: Submission {
            url: SourceUrl::parse(&url).unwrap(),
            item_id: None,
            namespace: "default".to_owned(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            coordinates: None,
            datetime_taken: None,
            camera_model: None,
            callback: None,
            retain_original_video: None,
            video_transcription_prompt: None,
        },
    })
}

fn accepted(number: &str, at: UnixMillis) -> AttemptResult {
    let video_no = VideoNo::parse(number).unwrap();
    let bound = Some(Binding { video_no, uploaded_at: Some(at), by: BoundBy::Response });
    AttemptResult { event: ItemEvent::Accepted, at, bound, cause: None }
}

fn plain(event: ItemEvent, at: UnixMillis) -> AttemptResult {
    AttemptResult::new(event, at, "because".to_owned())
}

#[tokio::test]
async fn a_claim_is_on_the_disk_before_it_is_handed_out() {
    let fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[])]).await;
    let claim = fixture.claim(T0).await;
    assert_eq!(fixture.states(), ["sending"]);
    let (state, counts_until): (String, i64) = fixture
        .raw()
        .query_row("SELECT state, counts_until FROM attempt", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!(state, "sending");
    assert!(counts_until > T0.0, "the quota is spent");
    assert_eq!(claim.send_before, T0.plus_ms(5_000));
}

#[tokio::test]
async fn every_commit_waits_for_the_disk() {
    let fixture = Fixture::new().await;
    let synchronous: i64 =
        fixture.ledger().commit_queue.run(|store| store.pragma("synchronous")).await.unwrap();
    assert_eq!(synchronous, 2, "synchronous must be FULL");
}

#[tokio::test]
async fn what_was_sending_is_in_doubt_after_a_restart() {
    let mut fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[]), row(3, "b", &[])]).await;
    fixture.claim(T0).await;
    fixture.reopen(T0.plus_ms(60_000)).await;
    assert_eq!(fixture.states(), ["in_doubt", "pending"]);
    let unresolved = fixture.ledger().unresolved_attempts(10).await.unwrap().unresolved;
    assert_eq!(unresolved.len(), 1);
    assert_eq!(unresolved[0].sent_at, T0, "its age counts from its sending, not from the restart");
}

#[tokio::test]
async fn as_long_as_nothing_tells_how_much_time_passed_none_has() {
    let mut fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[])]).await;
    fixture.claim(T0.plus_ms(1_000)).await;
    fixture.reopen(T0.plus_ms(1_000)).await;
    // a reboot, and a wall clock that says two hours
    let at = T0.plus_ms(2 * 3_600_000);
    let rebooted = Some(BootTime { id: "another boot".to_owned(), since_ms: 60_000 });
    let run = fixture.ledger().begin_run("rebooted".to_owned(), "import", at, rebooted).await.unwrap();
    let age_ms = |fixture: &Fixture| {
        let ledger = fixture.ledger().clone();
        async move { at.since_ms(ledger.unresolved_attempts(10).await.unwrap().unresolved[0].sent_at) }
    };
    assert!(!fixture.ledger().is_clock_skew_known(run).await.unwrap());
    assert_eq!(age_ms(&fixture).await, 0);
    // the service's clock says ten minutes
    fixture.ledger().record_clock_skew(run, 110 * 60_000).await.unwrap();
    assert!(fixture.ledger().is_clock_skew_known(run).await.unwrap());
    assert_eq!(age_ms(&fixture).await, 10 * 60_000 - 1_000);
}

#[tokio::test]
async fn loading_a_manifest_twice_changes_nothing() {
    let mut fixture = Fixture::new().await;
    let rows = || vec![row(2, "a", &[]), row(3, "b", &[]), row(4, "a", &[])];
    let first = fixture.admit(rows()).await;
    assert_eq!(first, [Admission::Added, Admission::Added, Admission::Duplicate { first_line: 2 }]);
    fixture.reopen(T0).await;
    let second = fixture.admit(rows()).await;
    assert_eq!(second, [Admission::Known, Admission::Known, Admission::Duplicate { first_line: 2 }]);
    assert_eq!(fixture.ledger().state_counts().await.unwrap().total(), 2);
}

#[tokio::test]
async fn a_changed_row_is_taken_only_while_the_service_does_not_have_it() {
    let mut fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "sent", &[]), row(3, "waiting", &[])]).await;
    let claim = fixture.claim(T0).await;
    fixture.ledger().settle(claim.attempt, accepted("VI0001", T0)).await.unwrap();
    fixture.reopen(T0).await;
    let admissions = fixture.admit(vec![row(2, "sent", &["new"]), row(3, "waiting", &["new"])]).await;
    assert_eq!(admissions, [Admission::Drifted, Admission::Updated]);
    let claim = fixture.claim(T0).await;
    assert_eq!(claim.submission.tags, ["new"]);
}

#[tokio::test]
async fn a_row_removed_from_its_manifest_is_not_sent() {
    let mut fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "kept", &[]), row(3, "removed", &[])]).await;
    fixture.reopen(T0).await;
    let nothing = fixture.ledger().claim_blocked(fixture.terms(), T0).await.unwrap();
    assert_eq!(
        nothing,
        Some(ClaimBlocked::NothingPending),
        "a changed manifest is read before anything of it is sent"
    );
    fixture.admit(vec![row(2, "kept", &[])]).await;
    assert_eq!(fixture.ledger().end_manifest_read(fixture.run, fixture.manifest, None).await.unwrap(), 1);
    assert_eq!(fixture.claim(T0).await.submission.url.as_str(), "https://host/kept.mp4");
    assert_eq!(
        fixture.ledger().claim_blocked(fixture.terms(), T0).await.unwrap(),
        Some(ClaimBlocked::NothingPending)
    );
    // it is wanted again when it comes back
    fixture.reopen(T0).await;
    fixture.admit(vec![row(2, "kept", &[]), row(3, "removed", &[])]).await;
    assert_eq!(fixture.claim(T0).await.submission.url.as_str(), "https://host/removed.mp4");
}

#[tokio::test]
async fn an_unchanged_manifest_is_sent_on_before_it_is_read_again() {
    let mut fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[])]).await;
    let stamp = Some("1:2:3".to_owned());
    fixture.ledger().end_manifest_read(fixture.run, fixture.manifest, stamp.clone()).await.unwrap();
    fixture.reopen_with(T0, stamp).await;
    fixture.claim(T0).await;
}

#[tokio::test]
async fn a_link_with_a_new_signature_is_known_and_the_new_link_is_sent() {
    let mut fixture = Fixture::new().await;
    let signed = |line, name: &str, signature: &str| {
        row(line, &format!("{name}.mp4?X-Amz-Signature={signature}#"), &[])
    };
    fixture.admit(vec![signed(2, "sent", "old"), signed(3, "waiting", "old")]).await;
    let claim = fixture.claim(T0).await;
    fixture.ledger().settle(claim.attempt, accepted("VI0001", T0)).await.unwrap();
    fixture.reopen(T0).await;
    let admissions = fixture.admit(vec![signed(2, "sent", "new"), signed(3, "waiting", "new")]).await;
    assert_eq!(admissions, [Admission::Known, Admission::Updated]);
    assert!(fixture.claim(T0).await.submission.url.as_str().contains("=new"));
}

#[tokio::test]
async fn a_corrected_row_is_sent_again_only_after_a_clear_refusal() {
    let mut fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[])]).await;
    let claim = fixture.claim(T0).await;
    fixture.ledger().settle(claim.attempt, plain(ItemEvent::Rejected, T0)).await.unwrap();
    fixture.reopen(T0).await;
    assert_eq!(fixture.admit(vec![row(2, "a", &[])]).await, [Admission::Known]);
    assert_eq!(fixture.states(), ["rejected"], "the same row is refused for good");
    fixture.reopen(T0).await;
    assert_eq!(fixture.admit(vec![row(2, "a", &["fixed"])]).await, [Admission::Updated]);
    assert_eq!(fixture.states(), ["pending"]);
    // the service may have its video all the same: the listings are searched first
    let blocked = async || fixture.ledger().claim_blocked(fixture.terms(), T0).await.unwrap();
    assert_eq!(blocked().await, Some(ClaimBlocked::AwaitsListing { items: 1, is_due: true }));
    let held = fixture.ledger().held_resends(10).await.unwrap();
    assert_eq!((held.len(), held[0].item, held[0].may_be_there), (1, ItemId(1), false));
    fixture.ledger().release(ItemId(1)).await.unwrap();
    assert_eq!(blocked().await, None);
}

#[tokio::test]
async fn a_row_that_only_a_rule_of_the_user_rejected_waits_for_evidence_before_it_is_sent_again() {
    let mut fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[]), row(3, "b", &[])]).await;
    let claim = fixture.claim(T0).await;
    fixture.ledger().settle(claim.attempt, plain(ItemEvent::RejectedByRule, T0)).await.unwrap();
    fixture.reopen(T0).await;
    fixture.admit(vec![row(2, "a", &["fixed"]), row(3, "b", &[])]).await;
    assert_eq!(fixture.claim(T0).await.submission.url.as_str(), "https://host/b.mp4", "other rows are sent");
    let blocked = fixture.ledger().claim_blocked(fixture.terms(), T0).await.unwrap();
    assert_eq!(blocked, Some(ClaimBlocked::AwaitsListing { items: 1, is_due: false }));
    let held = fixture.ledger().held_resends(10).await.unwrap().remove(0);
    assert!(held.may_be_there);
    let video = LibraryVideo {
        video_no: VideoNo::parse("VI000001").unwrap(),
        tags: vec![held.sender.marker.unwrap()],
        shows_tags: true,
        made_by: T0,
    };
    let recovered = fixture.ledger().recover(fixture.run, video, T0).await.unwrap();
    assert_eq!(recovered, Recovered::Bound(ItemId(1)));
    assert_eq!(
        (fixture.states()[0].as_str(), fixture.ledger().held_resends(10).await.unwrap().len()),
        ("accepted", 0)
    );
    assert_eq!(fixture.ledger().snapshot().await.unwrap().problems().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_failed_row_is_paid_again_only_by_order() {
    let mut fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[])]).await;
    let claim = fixture.claim(T0).await;
    fixture.ledger().settle(claim.attempt, accepted("VI0001", T0)).await.unwrap();
    let watch = fixture.ledger().poll_tasks(T0.plus_ms(10_000), 10).await.unwrap().remove(0);
    let result = PollResult { item: watch.item, observation: Observation::Failed("codec".to_owned()) };
    fixture.ledger().observe(vec![result], T0).await.unwrap();
    fixture.reopen(T0).await;
    fixture.admit(vec![row(2, "a", &[])]).await;
    assert_eq!(fixture.states(), ["failed"]);
    fixture.reopen(T0).await;
    let (run, manifest) = (fixture.run, fixture.manifest);
    fixture
        .ledger()
        .admit(
            run,
            manifest,
            vec![row(2, "a", &[])],
            AdmitTerms {
                reruns: RerunPolicy { failed: FailedRows::Retry, ..RerunPolicy::default() },
                requirement: None,
            },
            T0,
        )
        .await
        .unwrap();
    assert_eq!(fixture.states(), ["pending"]);
    fixture.ledger().release(ItemId(1)).await.unwrap();
    let claim = fixture.claim(T0).await;
    fixture.ledger().settle(claim.attempt, accepted("VI0002", T0)).await.unwrap();
    let numbers: Vec<String> = {
        let raw = fixture.raw();
        let mut statement = raw.prepare("SELECT video_no || ' ' || state FROM attempt ORDER BY id").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    assert_eq!(numbers, ["VI0001 superseded", "VI0002 accepted"]);
}

#[tokio::test]
async fn rows_that_cannot_be_sent_are_kept_with_their_reasons() {
    let fixture = Fixture::new().await;
    let problem = Problem {
        column: "url".to_owned(),
        column_number: 1,
        value: String::new(),
        class: "url_empty".to_owned(),
        message: "the url is empty".to_owned(),
        fix: "give it".to_owned(),
    };
    let error = RowError { line: 5, cells: vec![String::new()], problems: vec![problem.clone()] };
    assert_eq!(
        fixture.admit(vec![Err(error), row(6, "a", &[])]).await,
        [Admission::Faulty, Admission::Added]
    );
    let snapshot = fixture.ledger().snapshot().await.unwrap();
    let mut asides = Vec::new();
    snapshot
        .each_row_issue_of_run(fixture.run, |row_issue| {
            asides.push(row_issue);
            Ok::<(), LedgerError>(())
        })
        .unwrap();
    assert_eq!(asides.len(), 1);
    assert_eq!((asides[0].line, &asides[0].problems), (5, &vec![problem]));
    let rows = snapshot.run(fixture.run).unwrap().rows;
    assert_eq!((rows.read, rows.added, rows.rejected), (2, 1, 1));
}

#[tokio::test]
async fn a_video_number_is_bound_once() {
    let fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[]), row(3, "b", &[])]).await;
    let (first, second) = (fixture.claim(T0).await, fixture.claim(T0).await);
    fixture.ledger().settle(first.attempt, accepted("VI0001", T0)).await.unwrap();
    let again = fixture.ledger().settle(second.attempt, accepted("VI0001", T0)).await;
    assert!(matches!(again, Err(LedgerError::Impossible { .. })), "{again:?}");
    assert_eq!(fixture.states(), ["accepted", "sending"], "the refused settlement left nothing behind");
    fixture.ledger().settle(second.attempt, accepted("VI0002", T0)).await.unwrap();
}

#[tokio::test]
async fn the_transition_table_holds_against_manual_changes() {
    let fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[])]).await;
    fixture.claim(T0).await;
    let raw = fixture.raw();
    for forbidden in [
        "UPDATE item SET state = 'pending'",
        "UPDATE item SET state = 'indexed', final_at = 1",
        "UPDATE item SET state = 'nonsense'",
        "DELETE FROM item",
        "DELETE FROM attempt",
        "DELETE FROM event",
        "UPDATE event SET at = 0",
        "UPDATE attempt SET video_no = 'VI0001'",
        "UPDATE attempt SET state = 'accepted'",
        "INSERT INTO attempt (item, run, state, sent_at, send_before) VALUES (1, 1, 'sending', 0, 0)",
        "INSERT INTO item (key, state, manifest, line, namespace, fingerprint, submission, cells, admitted_at, poll_at) \
         VALUES (zeroblob(16), 'accepted', 1, 1, 'x', zeroblob(16), '{}', '[]', 0, 0)",
    ] {
        let is_pending_allowed = forbidden.ends_with("'pending'");
        let changed = raw.execute(forbidden, []);
        // sending -> pending is allowed by the transition table, but a manual change makes the attempt
        // contradict its item
        if is_pending_allowed {
            assert_eq!(fixture.ledger().snapshot().await.unwrap().contradictions().unwrap(), 1);
            raw.execute("UPDATE item SET state = 'sending'", []).unwrap();
        } else {
            assert!(changed.is_err(), "{forbidden}");
        }
    }
    assert_eq!(fixture.ledger().snapshot().await.unwrap().contradictions().unwrap(), 0);
}

#[tokio::test]
async fn an_event_the_transition_table_does_not_allow_changes_nothing() {
    let fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[])]).await;
    let claim = fixture.claim(T0).await;
    for event in ItemEvent::VARIANTS.iter().filter(|event| State::Sending.after(**event).is_err()) {
        let result = fixture.ledger().settle(claim.attempt, plain(*event, T0)).await;
        assert!(matches!(result, Err(LedgerError::Illegal(_))), "{event}: {result:?}");
        assert_eq!(fixture.states(), ["sending"]);
    }
}

#[tokio::test]
async fn a_second_writer_gets_an_error_that_names_the_holder() {
    let fixture = Fixture::new().await;
    let second = Ledger::open(&fixture.path(), &identity(), T0);
    let Err(LedgerError::Locked { holder, .. }) = second else { panic!("a second writer got in") };
    assert!(holder.contains(&std::process::id().to_string()), "{holder}");
}

#[tokio::test]
async fn a_ledger_that_is_not_ours_is_refused_with_the_way_out() {
    let mut fixture = Fixture::new().await;
    fixture.ledger().confirm_key().await.unwrap();
    fixture.ledger.take().unwrap().close().await;
    let open = |identity: &Identity| match Ledger::open(&fixture.path(), identity, T0) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
    let other_server = Identity { origin: "https://other.example".to_owned(), ..identity() };
    assert!(open(&other_server).contains("belongs to https://service.example"));
    let other_key = Identity { key_digest: [2; 32], ..identity() };
    assert!(open(&other_key).contains("--same-account"));
    let same_account = Identity { key_change: KeyChange::SameAccount, ..other_key.clone() };
    let ledger = Ledger::open(&fixture.path(), &same_account, T0).unwrap();
    ledger.confirm_key().await.unwrap();
    ledger.close().await;
    assert_eq!(open(&other_key), "", "the new key is known from now on");

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
    ledger.begin_run("x".to_owned(), "import", T0, None).await.unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    for entry in std::fs::read_dir(path.parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn a_ledger_torn_from_its_log_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ledger.db-wal"), "x").unwrap();
    let Err(error) = Ledger::open(&folder.path().join("ledger.db"), &identity(), T0) else {
        panic!("opened")
    };
    assert!(error.to_string().contains("-wal"), "{error}");
}

#[tokio::test]
async fn a_marker_is_unguessable_and_leads_back_to_its_item() {
    let fixture = Fixture::new().await;
    let full: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    let full: Vec<&str> = full.iter().map(String::as_str).collect();
    fixture.admit(vec![row(2, "a", &[]), row(3, "b", &[]), row(4, "c", &full)]).await;
    let (first, second, third) = (fixture.claim(T0).await, fixture.claim(T0).await, fixture.claim(T0).await);
    let marker = first.marker.unwrap();
    assert!(marker.starts_with("telecine:") && marker.ends_with(&first.submission.key().prefix_hex()));
    assert_ne!(marker.split('-').next(), second.marker.unwrap().split('-').next());
    assert_eq!(third.marker, None, "there is no room for it");
}

#[tokio::test]
async fn too_many_doubts_stop_the_sending_also_those_a_crash_left() {
    let mut fixture = Fixture::new().await;
    let rows = || (0..20).map(|n| row(n + 2, &n.to_string(), &[])).collect();
    fixture.admit(rows()).await;
    for _ in 0..3 {
        fixture.claim(T0).await;
    }
    // what a crash left behind counts, too
    fixture.reopen(T0).await;
    fixture.admit(rows()).await;
    for _ in 0..3 {
        let claim = fixture.claim(T0).await;
        fixture.ledger().settle(claim.attempt, plain(ItemEvent::AnswerLost, T0)).await.unwrap();
    }
    let claim_blocked = fixture.ledger().claim_blocked(fixture.terms(), T0).await.unwrap();
    assert_eq!(claim_blocked, Some(ClaimBlocked::TooManyInDoubt { open: 6 }));
}

/// A claim of which nothing was heard.
async fn doubted(fixture: &Fixture) -> Claim {
    let claim = fixture.claim(T0).await;
    fixture.ledger().settle(claim.attempt, plain(ItemEvent::AnswerLost, T0)).await.unwrap();
    claim
}

fn decision(answer: ReviewAnswer) -> ReviewDecision {
    ReviewDecision { answer, who: "ann@desk".to_owned(), why: "seen in the library".to_owned(), at: T0 }
}

#[tokio::test]
async fn a_humans_answer_is_carried_out_and_written_down_with_its_author() {
    let fixture = Fixture::new().await;
    fixture.admit((0..4).map(|n| row(n + 2, &n.to_string(), &[])).collect()).await;
    for _ in 0..3 {
        let claim = doubted(&fixture).await;
        let question = Question { text: "no marker".to_owned(), candidates: Vec::new() };
        fixture.ledger().ask(claim.attempt, question, T0).await.unwrap();
    }
    let video = VideoNo::parse("VI000001").unwrap();
    let answer = async |item, answer| fixture.ledger().answer(ItemId(item), decision(answer)).await.unwrap();
    assert_eq!(answer(1, ReviewAnswer::Adopt(video.clone())).await, ReviewOutcome::Done);
    assert_eq!(answer(2, ReviewAnswer::Adopt(video)).await, ReviewOutcome::VideoTaken(ItemId(1)));
    assert_eq!(answer(2, ReviewAnswer::Resend).await, ReviewOutcome::Done);
    assert_eq!(answer(3, ReviewAnswer::GiveUp).await, ReviewOutcome::Done);
    assert_eq!(answer(4, ReviewAnswer::GiveUp).await, ReviewOutcome::NotOpen(State::Pending));
    assert_eq!(answer(9, ReviewAnswer::GiveUp).await, ReviewOutcome::NoSuchItem);
    assert_eq!(fixture.states(), ["accepted", "pending", "abandoned", "pending"]);
    let written: Vec<String> = fixture
        .raw()
        .prepare("SELECT attempt || ' ' || event || ' ' || who || ' ' || why FROM answer ORDER BY id")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(written[1], "2 resend_ordered ann@desk seen in the library");
    assert!(fixture.raw().execute("DELETE FROM answer", []).is_err(), "answers are append-only");
    // what was sent again or given up may be paid all the same
    assert_eq!(fixture.ledger().snapshot().await.unwrap().committed_uploads().unwrap(), 3);
    assert_eq!(fixture.ledger().snapshot().await.unwrap().problems().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn an_answer_is_taken_back_only_while_nothing_rests_on_it() {
    let fixture = Fixture::new().await;
    fixture.admit((0..5).map(|n| row(n + 2, &n.to_string(), &[])).collect()).await;
    let mut doubts = Vec::new();
    for _ in 0..4 {
        doubts.push(doubted(&fixture).await.attempt);
    }
    let video = VideoNo::parse("VI000001").unwrap();
    let answer = async |item, answer| fixture.ledger().answer(ItemId(item), decision(answer)).await.unwrap();
    let kept = async |item| matches!(answer(item, ReviewAnswer::Withdraw).await, ReviewOutcome::Kept(_));
    assert!(kept(1).await, "it was never answered");
    for given in [ReviewAnswer::Adopt(video.clone()), ReviewAnswer::GiveUp, ReviewAnswer::Resend] {
        assert_eq!(answer(1, given).await, ReviewOutcome::Done);
        assert_eq!(answer(1, ReviewAnswer::Withdraw).await, ReviewOutcome::Done);
        assert_eq!(fixture.states()[0], "needs_review");
        assert!(kept(1).await, "an answer is taken back once");
    }
    // the number is free again, and a resent item stays resent
    assert_eq!(answer(2, ReviewAnswer::Adopt(video)).await, ReviewOutcome::Done);
    assert_eq!(answer(1, ReviewAnswer::Resend).await, ReviewOutcome::Done);
    doubted(&fixture).await;
    assert!(kept(1).await, "it was sent again");
    // absence was concluded while the adopted video was not among the candidates
    fixture.ledger().settle(doubts[2], plain(ItemEvent::FoundAbsent, T0)).await.unwrap();
    assert!(kept(2).await);
    assert_eq!(fixture.states(), ["in_doubt", "accepted", "pending", "in_doubt", "pending"]);
    let snapshot = fixture.ledger().snapshot().await.unwrap();
    assert_eq!(snapshot.problems().unwrap(), Vec::<String>::new());
    assert_eq!(snapshot.committed_uploads().unwrap(), 4);
    // nobody else's answer is undone: a number that the service named stays bound
    let raw = fixture.raw();
    raw.execute("UPDATE attempt SET bound_by = 'reply' WHERE id = 2", []).unwrap();
    let unbound = "UPDATE attempt SET state = 'needs_review', video_no = NULL, bound_by = NULL WHERE id = 2";
    assert!(raw.execute(unbound, []).is_err());
}

fn spent(count: u32) -> Order {
    let usage = ExternalUsage { endpoint: "upload".to_owned(), at: T0, count, note: None };
    Order::Count { usage }
}

#[tokio::test]
async fn an_order_of_another_process_is_carried_out_once_also_after_a_kill() {
    let mut fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[])]).await;
    doubted(&fixture).await;
    let counted = |fixture: &Fixture| -> i64 {
        let sql = "SELECT coalesce(sum(count), 0) FROM external_usage";
        fixture.raw().query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let first = hand_over(&fixture.path(), &spent(3), T0).unwrap();
    assert_eq!(counted(&fixture), 0, "only the process with the lock changes the books");
    assert_eq!(fixture.ledger().carry_out_handed(T0).await.unwrap().len(), 1);
    assert_eq!(fixture.ledger().carry_out_handed(T0).await.unwrap().len(), 0);
    let snapshot = fixture.ledger().snapshot().await.unwrap();
    assert_eq!(snapshot.order_result(first).unwrap(), Some(OrderResult::Done));
    // killed before it looked: the next opening carries the order out
    let answer =
        Order::Answer { items: vec![ItemId(1), ItemId(9)], decision: decision(ReviewAnswer::Resend) };
    let second = hand_over(&fixture.path(), &answer, T0).unwrap();
    hand_over(&fixture.path(), &spent(4), T0).unwrap();
    assert_eq!(snapshot.order_result(second).unwrap(), None);
    for _ in 0..2 {
        fixture.reopen(T0).await;
    }
    let outcomes = vec![(ItemId(1), ReviewOutcome::Done), (ItemId(9), ReviewOutcome::NoSuchItem)];
    let result = fixture.ledger().snapshot().await.unwrap().order_result(second).unwrap();
    assert_eq!(result, Some(OrderResult::Answered { outcomes }));
    assert_eq!((counted(&fixture), fixture.states()), (7, vec!["pending".to_owned()]));
    assert!(fixture.raw().execute("UPDATE handed_order SET result = NULL", []).is_err());
}

#[tokio::test]
async fn an_order_that_the_ledger_does_not_allow_changes_nothing_and_stops_nothing() {
    let fixture = Fixture::new().await;
    let zero = spent(0);
    let first = hand_over(&fixture.path(), &zero, T0).unwrap();
    fixture.raw().execute("INSERT INTO handed_order (at, content) VALUES (0, 'no order')", []).unwrap();
    let object = |text: &str| Order::Merge { name: "limits".to_owned(), object: text.to_owned() };
    hand_over(&fixture.path(), &object(r#"{"rate":["1/s"],"cap":["9/2h"]}"#), T0).unwrap();
    hand_over(&fixture.path(), &object(r#"{"rate":["2/s"]}"#), T0).unwrap();
    fixture.ledger().carry_out_handed(T0).await.unwrap();
    let snapshot = fixture.ledger().snapshot().await.unwrap();
    assert!(matches!(snapshot.order_result(first).unwrap(), Some(OrderResult::Refused { .. })));
    assert_eq!(snapshot.kv_get("limits").unwrap().unwrap(), r#"{"rate":["2/s"],"cap":["9/2h"]}"#);
}

#[tokio::test]
async fn a_question_that_waits_for_evidence_can_be_answered_too() {
    let fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[])]).await;
    doubted(&fixture).await;
    let answered = fixture.ledger().answer(ItemId(1), decision(ReviewAnswer::GiveUp)).await.unwrap();
    assert_eq!((answered, fixture.states()), (ReviewOutcome::Done, vec!["abandoned".to_owned()]));
}

#[tokio::test]
async fn what_may_be_paid_never_exceeds_the_budget() {
    let fixture = Fixture::new().await;
    fixture.admit((0..5).map(|n| row(n + 2, &n.to_string(), &[])).collect()).await;
    let terms = Arc::new(ClaimTerms { uploads_max: Some(2), ..(*fixture.terms()).clone() });
    let (first, _) = (fixture.claim(T0).await, fixture.claim(T0).await);
    let claim_blocked = async || fixture.ledger().claim_blocked(Arc::clone(&terms), T0).await.unwrap();
    assert_eq!(claim_blocked().await, Some(ClaimBlocked::BudgetSpent { uploads: 2 }));
    fixture.ledger().settle(first.attempt, plain(ItemEvent::AnswerLost, T0)).await.unwrap();
    assert!(claim_blocked().await.is_some(), "a doubt may be paid");
    fixture.ledger().settle(first.attempt, plain(ItemEvent::FoundAbsent, T0)).await.unwrap();
    assert_eq!(claim_blocked().await, None, "what never arrived is not paid");
}

#[tokio::test]
async fn nothing_is_claimed_while_the_disk_is_nearly_full() {
    let fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[])]).await;
    let terms = Arc::new(ClaimTerms { disk_free_min: u64::MAX, ..(*fixture.terms()).clone() });
    let claim_blocked = fixture.ledger().claim_blocked(terms, T0).await.unwrap();
    assert!(matches!(claim_blocked, Some(ClaimBlocked::DiskLow { .. })), "{claim_blocked:?}");
}

#[tokio::test]
async fn a_restored_ledger_is_noticed_and_can_be_recovered() {
    let mut fixture = Fixture::new().await;
    let rows = || vec![row(2, "a", &[]), row(3, "b", &[])];
    fixture.admit(rows()).await;
    let marks = fixture.folder.path().join("far");
    let identity = Identity { high_water: Some(marks), ..identity() };
    let open =
        |path: &std::path::Path, restored| Ledger::open(path, &Identity { restored, ..identity.clone() }, T0);
    fixture.ledger.take().unwrap().close().await;
    let backup = fixture.folder.path().join("backup.db");
    Snapshot::open(&fixture.path()).unwrap().copy_to(&backup).unwrap();
    // the first row is sent with the real ledger, then the backup is put in its place
    fixture.ledger = Some(open(&fixture.path(), Restored::Refused).unwrap());
    let sent = fixture.claim(T0).await;
    fixture.ledger().settle(sent.attempt, accepted("VI000001", T0)).await.unwrap();
    fixture.ledger.take().unwrap().close().await;
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(open::with_suffix(&fixture.path(), suffix));
    }
    std::fs::copy(&backup, fixture.path()).unwrap();
    let refused = open(&fixture.path(), Restored::Refused).map(drop).unwrap_err();
    assert!(matches!(refused, LedgerError::Older { known: 0, last: 1, .. }), "{refused}");
    // the service shows the marker of the request that the backup does not know
    let ledger = open(&fixture.path(), Restored::Recovering).unwrap();
    fixture.ledger = Some(ledger);
    fixture.ledger().begin_recovery().await.unwrap();
    let shown = LibraryVideo {
        video_no: VideoNo::parse("VI000001").unwrap(),
        tags: vec!["x".to_owned(), sent.marker.unwrap()],
        shows_tags: true,
        made_by: T0,
    };
    assert_eq!(
        fixture.ledger().video_owners(vec![shown.clone()]).await.unwrap(),
        [VideoOwner::Foreign(Some(ItemId::numbered(1)))]
    );
    fixture.ledger().record_foreign_videos(vec![shown.clone()]).await.unwrap();
    let claim_blocked = fixture.ledger().claim_blocked(fixture.terms(), T0).await.unwrap();
    assert_eq!(
        claim_blocked,
        Some(ClaimBlocked::AlreadyUploaded { item: ItemId(1) }),
        "its row is not sent again"
    );
    assert_eq!(
        fixture.ledger().recover(fixture.run, shown.clone(), T0).await.unwrap(),
        Recovered::Bound(ItemId(1))
    );
    assert_eq!(
        fixture.ledger().recover(fixture.run, shown, T0).await.unwrap(),
        Recovered::Surplus(ItemId(1))
    );
    fixture.ledger.take().unwrap().close().await;
    let half = open(&fixture.path(), Restored::Refused).map(drop).unwrap_err();
    assert!(matches!(half, LedgerError::HalfRecovered { .. }), "{half}");
    fixture.ledger = Some(open(&fixture.path(), Restored::Recovering).unwrap());
    fixture.ledger().end_recovery().await.unwrap();
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
    let old = doubted(&fixture).await;
    // a newer request of the row, and one of a row in another manifest, by a ledger this one knows nothing of
    let shown = |number: &str, name: &str| LibraryVideo {
        video_no: VideoNo::parse(number).unwrap(),
        tags: vec![marker::marker(&[9; 32], 77, &row(2, name, &[]).unwrap().submission.key().prefix_hex())],
        shows_tags: true,
        made_by: T0,
    };
    fixture.ledger().begin_recovery().await.unwrap();
    let recover = async |video| fixture.ledger().recover(fixture.run, video, T0).await.unwrap();
    assert_eq!(
        recover(shown("VI000001", "a")).await,
        Recovered::Remembered(ItemId(1)),
        "it is no second payment"
    );
    assert_eq!(recover(shown("VI000002", "b")).await, Recovered::NoItem);
    fixture.ledger().record_foreign_videos(vec![shown("VI000002", "b")]).await.unwrap();
    let spent = async || fixture.ledger().past(UnixMillis(0), 0).await.unwrap().1.len();
    assert_eq!(spent().await, 2, "each used up a slot, once");
    fixture.ledger().end_recovery().await.unwrap();
    fixture.ledger().settle(old.attempt, plain(ItemEvent::FoundAbsent, T0)).await.unwrap();
    fixture.admit(vec![row(3, "b", &[])]).await;
    let next = async || fixture.ledger().claim_blocked(fixture.terms(), T0).await.unwrap();
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

#[tokio::test]
async fn reads_are_kept_as_long_as_the_longest_limit() {
    let fixture = Fixture::new().await;
    let day_ms = 24 * 3_600_000;
    let spend = async |day: i64, counts_days: i64| {
        let at = T0.plus_ms(day * day_ms);
        fixture.ledger().record_read("list", at, at.plus_ms(-counts_days * day_ms)).await.unwrap();
    };
    spend(0, 30).await;
    spend(20, 30).await;
    let number_next = |number: i64| {
        fixture.raw().execute(
            "UPDATE external_usage SET id = ?1 WHERE id = (SELECT max(id) FROM external_usage)",
            [number],
        )
    };
    // usage is deleted only after many insertions
    number_next(4_999).unwrap();
    spend(29, 30).await;
    let kept = async || fixture.ledger().past(UnixMillis(0), 0).await.unwrap().1.len();
    assert_eq!(kept().await, 3, "all count in a window of thirty days");
    number_next(9_999).unwrap();
    spend(31, 30).await;
    assert_eq!(kept().await, 3, "the first does no more");
}

#[tokio::test]
async fn what_a_human_resolved_may_still_have_made_a_video() {
    let fixture = Fixture::new().await;
    fixture.admit((0..3).map(|n| row(n + 2, &n.to_string(), &[])).collect()).await;
    for _ in 0..3 {
        doubted(&fixture).await;
    }
    fixture.ledger().answer(ItemId(1), decision(ReviewAnswer::GiveUp)).await.unwrap();
    fixture.ledger().answer(ItemId(2), decision(ReviewAnswer::Resend)).await.unwrap();
    fixture.ledger().settle(AttemptId(3), plain(ItemEvent::FoundAbsent, T0)).await.unwrap();
    let bindings = fixture.ledger().bindings("default".to_owned(), Vec::new()).await.unwrap();
    let mut possible_senders: Vec<i64> =
        bindings.possible_senders.iter().map(|possible_sender| possible_sender.attempt.0).collect();
    possible_senders.sort_unstable();
    assert_eq!(possible_senders, [1, 2], "only what is proved absent can have made none");
}

#[tokio::test]
async fn questions_count_against_the_bound_on_doubts() {
    let fixture = Fixture::new().await;
    fixture.admit((0..8).map(|n| row(n + 2, &n.to_string(), &[])).collect()).await;
    for _ in 0..6 {
        let claim = doubted(&fixture).await;
        let question = Question { text: "?".to_owned(), candidates: Vec::new() };
        fixture.ledger().ask(claim.attempt, question, T0).await.unwrap();
    }
    let claim_blocked = fixture.ledger().claim_blocked(fixture.terms(), T0).await.unwrap();
    assert_eq!(claim_blocked, Some(ClaimBlocked::TooManyInDoubt { open: 6 }));
}

#[tokio::test]
async fn a_changed_event_breaks_the_chain() {
    let fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[]), row(3, "b", &[])]).await;
    doubted(&fixture).await;
    doubted(&fixture).await;
    let snapshot = fixture.ledger().snapshot().await.unwrap();
    assert_eq!(snapshot.problems().unwrap(), Vec::<String>::new());
    let raw = fixture.raw();
    raw.execute_batch("DROP TRIGGER event_is_never_changed; UPDATE event SET at = at + 1 WHERE id = 2")
        .unwrap();
    let problems = snapshot.problems().unwrap();
    assert!(problems.len() == 1 && problems[0].contains("event 2"), "{problems:?}");
    // one that vanishes is missed by the next
    raw.execute_batch("UPDATE event SET at = at - 1 WHERE id = 2; DROP TRIGGER event_is_never_deleted")
        .unwrap();
    assert_eq!(snapshot.problems().unwrap(), Vec::<String>::new());
    raw.execute_batch("DELETE FROM event WHERE id = 2").unwrap();
    let problems = snapshot.problems().unwrap();
    assert!(problems.len() == 1 && problems[0].contains("event 3"), "{problems:?}");
}

#[tokio::test]
async fn how_long_videos_stayed_hidden_is_remembered() {
    let fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "a", &[])]).await;
    let claim = fixture.claim(T0).await;
    fixture.ledger().settle(claim.attempt, accepted("VI000001", T0.plus_ms(2_000))).await.unwrap();
    let poll = async |observation, at: i64| {
        fixture
            .ledger()
            .observe(vec![PollResult { item: ItemId(1), observation }], T0.plus_ms(at))
            .await
            .unwrap();
        fixture.ledger().unresolved_attempts(1).await.unwrap().observed
    };
    assert_eq!(
        poll(Observation::NotShown, 92_000).await.listing,
        Duration::ZERO,
        "it may never have been there"
    );
    assert_eq!(poll(Observation::InProgress, 99_000).await.listing, Duration::from_secs(90));
    assert_eq!(poll(Observation::Indexed, 999_000).await.acceptance, Duration::from_secs(2));
}

#[tokio::test]
async fn a_damaged_file_is_refused_before_anything_is_sent() {
    use std::os::unix::fs::FileExt;
    let mut fixture = Fixture::new().await;
    fixture.admit((0..200).map(|n| row(n + 2, &n.to_string(), &[])).collect()).await;
    fixture.ledger.take().unwrap().close().await;
    let file = std::fs::OpenOptions::new().write(true).open(fixture.path()).unwrap();
    let size = file.metadata().unwrap().len();
    // pages that opening alone does not read
    for at in (size / 4_096 * 3 / 4 * 4_096..size).step_by(4_096) {
        file.write_all_at(&[0xa5; 64], at).unwrap();
    }
    let refused = Ledger::open(&fixture.path(), &identity(), T0).map(drop).unwrap_err();
    assert!(matches!(refused, LedgerError::Damaged { .. }), "{refused}");
}

fn probe(verdict: ProbeVerdict, probed_at: UnixMillis) -> Probe {
    let (class, found) = ("http_404".to_owned(), "the host answers 404: it is not there".to_owned());
    Probe { verdict, class, found, size: Some(5), reach: Reach::Public, probed_at }
}

fn requirement(probed_since: UnixMillis) -> ProbeRequirement {
    ProbeRequirement { probed_since, column: "url".to_owned(), column_number: 1 }
}

#[tokio::test]
async fn the_latest_probe_of_an_address_is_kept_for_its_signature_only() {
    let fixture = Fixture::new().await;
    let url = |query: &str| SourceUrl::parse(&format!("https://host/a.mp4{query}")).unwrap().digest();
    let signed = url("?Signature=x&Expires=1800000000");
    assert_eq!(fixture.ledger().probes(vec![signed]).await.unwrap(), [None]);
    let (old, new) = (probe(ProbeVerdict::Unsupported, T0), probe(ProbeVerdict::Supported, T0.plus_ms(1)));
    fixture.ledger().record_probes(vec![(signed, old), (signed, new.clone())]).await.unwrap();
    let found = fixture.ledger().probes(vec![signed, url(""), url("?Signature=y&Expires=1800000000")]).await;
    assert_eq!(found.unwrap(), [Some(new), None, None]);
}

#[tokio::test]
async fn only_rows_that_would_be_sent_are_held_back_for_want_of_a_probe() {
    let fixture = Fixture::new().await;
    fixture.admit(vec![row(2, "sent", &[]), row(3, "answer_lost", &[]), row(4, "waiting", &[])]).await;
    let claim = fixture.claim(T0).await;
    fixture.ledger().settle(claim.attempt, accepted("VI000001", T0)).await.unwrap();
    doubted(&fixture).await;
    let rows = ["sent", "answer_lost", "waiting", "new", "fit", "unfit", "unclear", "old"];
    let noted = [
        ("fit", ProbeVerdict::Supported, 10),
        ("unfit", ProbeVerdict::Unsupported, 10),
        ("unclear", ProbeVerdict::Unclear, 10),
    ];
    let noted = noted.into_iter().chain([("old", ProbeVerdict::Supported, 4)]).map(|(name, verdict, at)| {
        (row(2, name, &[]).unwrap().submission.url.digest(), probe(verdict, T0.plus_ms(at)))
    });
    fixture.ledger().record_probes(noted.collect()).await.unwrap();
    let batch = (2..).zip(rows).map(|(line, name)| row(line, name, &[])).collect();
    let terms = AdmitTerms { requirement: Some(requirement(T0.plus_ms(5))), ..AdmitTerms::default() };
    let held = fixture.ledger().admit(fixture.run, fixture.manifest, batch, terms.clone(), T0).await.unwrap();
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
            "probe_unfit",
            "probe_unclear",
            "probe_old"
        ]
    );
    let Admission::HeldBack(problem) = &held[5] else { panic!("{:?}", held[5]) };
    assert_eq!((problem.column_number, problem.value.as_str()), (1, "https://host/unfit.mp4"));
    assert!(problem.message.contains("404"), "{}", problem.message);
    let snapshot = fixture.ledger().snapshot().await.unwrap();
    let rows = snapshot.run(fixture.run).unwrap().rows;
    assert_eq!((rows.read, rows.rejected), (11, 6), "they are rows all the same");
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
    doubted(&fixture).await;
    let digest = |name: &str| row(2, name, &[]).unwrap().submission.url.digest();
    fixture.ledger().record_probes(vec![(digest("new"), probe(ProbeVerdict::Supported, T0))]).await.unwrap();
    let terms = AdmitTerms { requirement: Some(requirement(T0)), ..AdmitTerms::default() };
    let admit = async |terms| {
        fixture
            .ledger()
            .admit(fixture.run, fixture.manifest, vec![by_id("new")], terms, T0)
            .await
            .unwrap()
            .remove(0)
    };
    let held = admit(terms.clone()).await;
    assert!(matches!(&held, Admission::HeldBack(problem) if problem.value.contains("old")), "{held:?}");
    fixture.ledger().record_probes(vec![(digest("old"), probe(ProbeVerdict::Supported, T0))]).await.unwrap();
    assert_eq!(admit(terms).await, Admission::Drifted);
}

#[tokio::test]
async fn a_ledger_made_before_its_first_import_belongs_to_whoever_sends_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("early.db");
    let digest = SourceUrl::parse("https://host/a.mp4").unwrap().digest();
    let early = Ledger::open_early(&path, [3; 32], T0).unwrap();
    early.record_probes(vec![(digest, probe(ProbeVerdict::Supported, T0))]).await.unwrap();
    early.close().await;
    assert_eq!(Snapshot::open(&path).unwrap().origin().unwrap(), "no service yet");
    let owned = Ledger::open(&path, &identity(), T0).unwrap();
    assert!(owned.probes(vec![digest]).await.unwrap()[0].is_some());
    owned.confirm_key().await.unwrap();
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
    let path = folder.path().join("l.db");
    let mistyped = Identity { key_digest: [7; 32], ..identity() };
    Ledger::open(&path, &mistyped, T0).unwrap().close().await;
    let right = Ledger::open(&path, &identity(), T0).unwrap();
    right.confirm_key().await.unwrap();
    right.close().await;
    assert!(matches!(Ledger::open(&path, &mistyped, T0), Err(LedgerError::OtherKey { .. })));
}

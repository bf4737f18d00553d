//! What the ledger promises.

use std::{path::PathBuf, time::Duration};

use rusqlite::Connection;

use super::*;
use crate::{
    item::{Fitness, Problem, Reach, SourceUrl, Submission},
    lifecycle::{Event, State},
};

const T0: UnixMillis = UnixMillis(1_700_000_000_000);

struct Desk {
    folder: tempfile::TempDir,
    ledger: Option<Ledger>,
    run: RunId,
    source: SourceId,
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
fn boot(at: UnixMillis) -> Option<Boot> {
    Some(Boot { id: "boot".to_owned(), since_ms: at.since_ms(T0) })
}

impl Desk {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&folder.path().join("ledger.db"), &identity(), T0).unwrap();
        let run = ledger.begin_run("first".to_owned(), "import", T0, boot(T0)).await.unwrap();
        let columns = vec!["url".to_owned()];
        let source = ledger.begin_reading(run, "m.csv".to_owned(), columns, None).await.unwrap();
        Self { folder, ledger: Some(ledger), run, source }
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
        self.source =
            ledger.begin_reading(self.run, "m.csv".to_owned(), vec!["url".to_owned()], stamp).await.unwrap();
        self.ledger = Some(ledger);
    }

    async fn admit(&self, rows: Vec<Result<ManifestRow, RowFault>>) -> Vec<Admission> {
        self.ledger().admit(self.run, self.source, rows, AdmitTerms::default(), T0).await.unwrap()
    }

    fn terms(&self) -> Arc<ClaimTerms> {
        Arc::new(ClaimTerms {
            run: self.run,
            sources: vec![self.source],
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
            ClaimAnswer::Claimed(claim) => *claim,
            ClaimAnswer::Obstructed(obstacle) => panic!("{obstacle:?}"),
        }
    }

    /// A look past the ledger, as a stranger with the sqlite3 tool would take it.
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
fn row(line: u64, name: &str, tags: &[&str]) -> Result<ManifestRow, RowFault> {
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

fn accepted(number: &str, at: UnixMillis) -> Settlement {
    let video_no = VideoNo::parse(number).unwrap();
    let bound = Some(Binding { video_no, uploaded_at: Some(at), by: BoundBy::Reply });
    Settlement { event: Event::Accepted, at, bound, cause: None }
}

fn plain(event: Event, at: UnixMillis) -> Settlement {
    Settlement::new(event, at, "because".to_owned())
}

#[tokio::test]
async fn a_claim_is_on_the_disk_before_it_is_handed_out() {
    let desk = Desk::new().await;
    desk.admit(vec![row(2, "a", &[])]).await;
    let claim = desk.claim(T0).await;
    assert_eq!(desk.states(), ["sending"]);
    let (state, counts_until): (String, i64) = desk
        .raw()
        .query_row("SELECT state, counts_until FROM attempt", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!(state, "sending");
    assert!(counts_until > T0.0, "the quota is spent");
    assert_eq!(claim.send_before, T0.plus_ms(5_000));
}

#[tokio::test]
async fn every_commit_waits_for_the_disk() {
    let desk = Desk::new().await;
    let synchronous: i64 = desk.ledger().queue.run(|store| store.pragma("synchronous")).await.unwrap();
    assert_eq!(synchronous, 2, "synchronous must be FULL");
}

#[tokio::test]
async fn what_was_sending_is_in_doubt_after_a_restart() {
    let mut desk = Desk::new().await;
    desk.admit(vec![row(2, "a", &[]), row(3, "b", &[])]).await;
    desk.claim(T0).await;
    desk.reopen(T0.plus_ms(60_000)).await;
    assert_eq!(desk.states(), ["in_doubt", "pending"]);
    let doubts = desk.ledger().open_doubts(10).await.unwrap().doubts;
    assert_eq!(doubts.len(), 1);
    assert_eq!(doubts[0].sent_at, T0, "its age counts from its sending, not from the restart");
}

#[tokio::test]
async fn as_long_as_nothing_tells_how_much_time_passed_none_has() {
    let mut desk = Desk::new().await;
    desk.admit(vec![row(2, "a", &[])]).await;
    desk.claim(T0.plus_ms(1_000)).await;
    desk.reopen(T0.plus_ms(1_000)).await;
    // a reboot, and a wall clock that says two hours
    let at = T0.plus_ms(2 * 3_600_000);
    let rebooted = Some(Boot { id: "another boot".to_owned(), since_ms: 60_000 });
    let run = desk.ledger().begin_run("rebooted".to_owned(), "import", at, rebooted).await.unwrap();
    let age_ms = |desk: &Desk| {
        let ledger = desk.ledger().clone();
        async move { at.since_ms(ledger.open_doubts(10).await.unwrap().doubts[0].sent_at) }
    };
    assert!(!desk.ledger().is_jump_known(run).await.unwrap());
    assert_eq!(age_ms(&desk).await, 0);
    // the service's clock says ten minutes
    desk.ledger().note_jump(run, 110 * 60_000).await.unwrap();
    assert!(desk.ledger().is_jump_known(run).await.unwrap());
    assert_eq!(age_ms(&desk).await, 10 * 60_000 - 1_000);
}

#[tokio::test]
async fn loading_a_manifest_twice_changes_nothing() {
    let mut desk = Desk::new().await;
    let rows = || vec![row(2, "a", &[]), row(3, "b", &[]), row(4, "a", &[])];
    let first = desk.admit(rows()).await;
    assert_eq!(first, [Admission::Added, Admission::Added, Admission::Duplicate { first_line: 2 }]);
    desk.reopen(T0).await;
    let second = desk.admit(rows()).await;
    assert_eq!(second, [Admission::Known, Admission::Known, Admission::Duplicate { first_line: 2 }]);
    assert_eq!(desk.ledger().tally().await.unwrap().total(), 2);
}

#[tokio::test]
async fn a_changed_row_is_taken_only_while_the_service_does_not_have_it() {
    let mut desk = Desk::new().await;
    desk.admit(vec![row(2, "sent", &[]), row(3, "waiting", &[])]).await;
    let claim = desk.claim(T0).await;
    desk.ledger().settle(claim.attempt, accepted("VI0001", T0)).await.unwrap();
    desk.reopen(T0).await;
    let admissions = desk.admit(vec![row(2, "sent", &["new"]), row(3, "waiting", &["new"])]).await;
    assert_eq!(admissions, [Admission::Drifted, Admission::Updated]);
    let claim = desk.claim(T0).await;
    assert_eq!(claim.submission.tags, ["new"]);
}

#[tokio::test]
async fn a_row_removed_from_its_manifest_is_not_sent() {
    let mut desk = Desk::new().await;
    desk.admit(vec![row(2, "kept", &[]), row(3, "removed", &[])]).await;
    desk.reopen(T0).await;
    let nothing = desk.ledger().obstacle(desk.terms(), T0).await.unwrap();
    assert_eq!(
        nothing,
        Some(Obstacle::NothingPending),
        "a changed manifest is read before anything of it is sent"
    );
    desk.admit(vec![row(2, "kept", &[])]).await;
    assert_eq!(desk.ledger().end_reading(desk.run, desk.source, None).await.unwrap(), 1);
    assert_eq!(desk.claim(T0).await.submission.url.as_str(), "https://host/kept.mp4");
    assert_eq!(desk.ledger().obstacle(desk.terms(), T0).await.unwrap(), Some(Obstacle::NothingPending));
    // it is wanted again when it comes back
    desk.reopen(T0).await;
    desk.admit(vec![row(2, "kept", &[]), row(3, "removed", &[])]).await;
    assert_eq!(desk.claim(T0).await.submission.url.as_str(), "https://host/removed.mp4");
}

#[tokio::test]
async fn an_unchanged_manifest_is_sent_on_before_it_is_read_again() {
    let mut desk = Desk::new().await;
    desk.admit(vec![row(2, "a", &[])]).await;
    let stamp = Some("1:2:3".to_owned());
    desk.ledger().end_reading(desk.run, desk.source, stamp.clone()).await.unwrap();
    desk.reopen_with(T0, stamp).await;
    desk.claim(T0).await;
}

#[tokio::test]
async fn a_link_signed_anew_is_known_and_the_fresh_link_is_sent() {
    let mut desk = Desk::new().await;
    let signed = |line, name: &str, signature: &str| {
        row(line, &format!("{name}.mp4?X-Amz-Signature={signature}#"), &[])
    };
    desk.admit(vec![signed(2, "sent", "old"), signed(3, "waiting", "old")]).await;
    let claim = desk.claim(T0).await;
    desk.ledger().settle(claim.attempt, accepted("VI0001", T0)).await.unwrap();
    desk.reopen(T0).await;
    let admissions = desk.admit(vec![signed(2, "sent", "new"), signed(3, "waiting", "new")]).await;
    assert_eq!(admissions, [Admission::Known, Admission::Updated]);
    assert!(desk.claim(T0).await.submission.url.as_str().contains("=new"));
}

#[tokio::test]
async fn a_corrected_row_is_sent_again_only_after_a_clear_refusal() {
    let mut desk = Desk::new().await;
    desk.admit(vec![row(2, "a", &[])]).await;
    let claim = desk.claim(T0).await;
    desk.ledger().settle(claim.attempt, plain(Event::Rejected, T0)).await.unwrap();
    desk.reopen(T0).await;
    assert_eq!(desk.admit(vec![row(2, "a", &[])]).await, [Admission::Known]);
    assert_eq!(desk.states(), ["rejected"], "the same row is refused for good");
    desk.reopen(T0).await;
    assert_eq!(desk.admit(vec![row(2, "a", &["fixed"])]).await, [Admission::Updated]);
    assert_eq!(desk.states(), ["pending"]);
}

#[tokio::test]
async fn a_failed_row_is_paid_again_only_by_order() {
    let mut desk = Desk::new().await;
    desk.admit(vec![row(2, "a", &[])]).await;
    let claim = desk.claim(T0).await;
    desk.ledger().settle(claim.attempt, accepted("VI0001", T0)).await.unwrap();
    let watch = desk.ledger().watches(T0.plus_ms(10_000), 10).await.unwrap().remove(0);
    let sight = Sight { item: watch.item, seen: Seen::Failed("codec".to_owned()) };
    desk.ledger().observe(vec![sight], T0).await.unwrap();
    desk.reopen(T0).await;
    desk.admit(vec![row(2, "a", &[])]).await;
    assert_eq!(desk.states(), ["failed"]);
    desk.reopen(T0).await;
    let (run, source) = (desk.run, desk.source);
    desk.ledger()
        .admit(
            run,
            source,
            vec![row(2, "a", &[])],
            AdmitTerms { reruns: Reruns { failed: FailedRows::Retry, ..Reruns::default() }, demand: None },
            T0,
        )
        .await
        .unwrap();
    assert_eq!(desk.states(), ["pending"]);
    let claim = desk.claim(T0).await;
    desk.ledger().settle(claim.attempt, accepted("VI0002", T0)).await.unwrap();
    let numbers: Vec<String> = {
        let raw = desk.raw();
        let mut statement = raw.prepare("SELECT video_no || ' ' || state FROM attempt ORDER BY id").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    assert_eq!(numbers, ["VI0001 superseded", "VI0002 accepted"]);
}

#[tokio::test]
async fn rows_that_cannot_be_sent_are_kept_with_their_reasons() {
    let desk = Desk::new().await;
    let problem = Problem {
        column: "url".to_owned(),
        column_number: 1,
        value: String::new(),
        class: "url_empty".to_owned(),
        message: "the url is empty".to_owned(),
        fix: "give it".to_owned(),
    };
    let fault = RowFault { line: 5, cells: vec![String::new()], problems: vec![problem.clone()] };
    assert_eq!(desk.admit(vec![Err(fault), row(6, "a", &[])]).await, [Admission::Faulty, Admission::Added]);
    let snapshot = desk.ledger().snapshot().await.unwrap();
    let mut asides = Vec::new();
    snapshot
        .each_aside_of_run(desk.run, |aside| {
            asides.push(aside);
            Ok::<(), LedgerError>(())
        })
        .unwrap();
    assert_eq!(asides.len(), 1);
    assert_eq!((asides[0].line, &asides[0].problems), (5, &vec![problem]));
    let rows = snapshot.run(desk.run).unwrap().rows;
    assert_eq!((rows.read, rows.added, rows.rejected), (2, 1, 1));
}

#[tokio::test]
async fn a_video_number_is_bound_once() {
    let desk = Desk::new().await;
    desk.admit(vec![row(2, "a", &[]), row(3, "b", &[])]).await;
    let (first, second) = (desk.claim(T0).await, desk.claim(T0).await);
    desk.ledger().settle(first.attempt, accepted("VI0001", T0)).await.unwrap();
    let again = desk.ledger().settle(second.attempt, accepted("VI0001", T0)).await;
    assert!(matches!(again, Err(LedgerError::Impossible { .. })), "{again:?}");
    assert_eq!(desk.states(), ["accepted", "sending"], "the refused settlement left nothing behind");
    desk.ledger().settle(second.attempt, accepted("VI0002", T0)).await.unwrap();
}

#[tokio::test]
async fn the_law_holds_against_hand_made_changes() {
    let desk = Desk::new().await;
    desk.admit(vec![row(2, "a", &[])]).await;
    desk.claim(T0).await;
    let raw = desk.raw();
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
        "INSERT INTO item (key, state, source, line, namespace, fingerprint, submission, cells, admitted_at, look_at) \
         VALUES (zeroblob(16), 'accepted', 1, 1, 'x', zeroblob(16), '{}', '[]', 0, 0)",
    ] {
        let is_pending_allowed = forbidden.ends_with("'pending'");
        let changed = raw.execute(forbidden, []);
        // sending -> pending is a transition of the law, but not by hand: the attempt then contradicts its item
        if is_pending_allowed {
            assert_eq!(desk.ledger().snapshot().await.unwrap().contradictions().unwrap(), 1);
            raw.execute("UPDATE item SET state = 'sending'", []).unwrap();
        } else {
            assert!(changed.is_err(), "{forbidden}");
        }
    }
    assert_eq!(desk.ledger().snapshot().await.unwrap().contradictions().unwrap(), 0);
}

#[tokio::test]
async fn an_event_the_law_does_not_allow_changes_nothing() {
    let desk = Desk::new().await;
    desk.admit(vec![row(2, "a", &[])]).await;
    let claim = desk.claim(T0).await;
    for event in Event::ALL.iter().filter(|event| State::Sending.after(**event).is_err()) {
        let settled = desk.ledger().settle(claim.attempt, plain(*event, T0)).await;
        assert!(matches!(settled, Err(LedgerError::Illegal(_))), "{event}: {settled:?}");
        assert_eq!(desk.states(), ["sending"]);
    }
}

#[tokio::test]
async fn a_second_writer_is_told_who_holds_the_ledger() {
    let desk = Desk::new().await;
    let second = Ledger::open(&desk.path(), &identity(), T0);
    let Err(LedgerError::Locked { holder, .. }) = second else { panic!("a second writer got in") };
    assert!(holder.contains(&std::process::id().to_string()), "{holder}");
}

#[tokio::test]
async fn a_ledger_that_is_not_ours_is_refused_with_the_way_out() {
    let mut desk = Desk::new().await;
    desk.ledger.take().unwrap().close().await;
    let open = |identity: &Identity| match Ledger::open(&desk.path(), identity, T0) {
        Ok(_) => String::new(),
        Err(fault) => fault.to_string(),
    };
    let other_server = Identity { origin: "https://other.example".to_owned(), ..identity() };
    assert!(open(&other_server).contains("belongs to https://service.example"));
    let other_key = Identity { key_digest: [2; 32], ..identity() };
    assert!(open(&other_key).contains("--same-account"));
    let same_account = Identity { key_change: KeyChange::SameAccount, ..other_key.clone() };
    assert_eq!(open(&same_account), "");
    assert_eq!(open(&other_key), "", "the new key is known from now on");

    let newer = desk.folder.path().join("newer.db");
    std::fs::copy(desk.path(), &newer).unwrap();
    Connection::open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let Err(fault) = Ledger::open(&newer, &identity(), T0) else { panic!("a newer ledger was opened") };
    assert!(fault.to_string().contains("version 99"), "{fault}");

    let foreign = desk.folder.path().join("foreign.db");
    Connection::open(&foreign).unwrap().execute("CREATE TABLE x (y)", []).unwrap();
    assert!(matches!(Ledger::open(&foreign, &identity(), T0), Err(LedgerError::Foreign { .. })));
    let text = desk.folder.path().join("text.db");
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
        let tally = snapshot.tally().unwrap();
        let in_doubt = tally.of(State::InDoubt);
        assert_eq!((tally.of(State::Sending), in_doubt), (0, 2), "what was sending is in doubt now");
        for state in State::ALL.iter().filter(|state| !matches!(state, State::Sending | State::InDoubt)) {
            assert_eq!(tally.of(*state), 1, "{state}");
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
    let Err(fault) = Ledger::open(&folder.path().join("ledger.db"), &identity(), T0) else {
        panic!("opened")
    };
    assert!(fault.to_string().contains("-wal"), "{fault}");
}

#[tokio::test]
async fn a_marker_is_unguessable_and_leads_back_to_its_item() {
    let desk = Desk::new().await;
    let full: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    let full: Vec<&str> = full.iter().map(String::as_str).collect();
    desk.admit(vec![row(2, "a", &[]), row(3, "b", &[]), row(4, "c", &full)]).await;
    let (first, second, third) = (desk.claim(T0).await, desk.claim(T0).await, desk.claim(T0).await);
    let marker = first.marker.unwrap();
    assert!(marker.starts_with("telecine:") && marker.ends_with(&first.submission.key().prefix_hex()));
    assert_ne!(marker.split('-').next(), second.marker.unwrap().split('-').next());
    assert_eq!(third.marker, None, "there is no room for it");
}

#[tokio::test]
async fn too_many_doubts_stop_the_sending_also_those_a_crash_left() {
    let mut desk = Desk::new().await;
    let rows = || (0..20).map(|n| row(n + 2, &n.to_string(), &[])).collect();
    desk.admit(rows()).await;
    for _ in 0..3 {
        desk.claim(T0).await;
    }
    // what a crash left behind counts, too
    desk.reopen(T0).await;
    desk.admit(rows()).await;
    for _ in 0..3 {
        let claim = desk.claim(T0).await;
        desk.ledger().settle(claim.attempt, plain(Event::Doubted, T0)).await.unwrap();
    }
    let obstacle = desk.ledger().obstacle(desk.terms(), T0).await.unwrap();
    assert_eq!(obstacle, Some(Obstacle::TooManyDoubts { open: 6 }));
}

/// A claim of which nothing was heard.
async fn doubted(desk: &Desk) -> Claim {
    let claim = desk.claim(T0).await;
    desk.ledger().settle(claim.attempt, plain(Event::Doubted, T0)).await.unwrap();
    claim
}

fn decision(answer: Answer) -> Decision {
    Decision { answer, who: "ann@desk".to_owned(), why: "seen in the library".to_owned(), at: T0 }
}

#[tokio::test]
async fn a_humans_answer_is_carried_out_and_written_down_with_its_author() {
    let desk = Desk::new().await;
    desk.admit((0..4).map(|n| row(n + 2, &n.to_string(), &[])).collect()).await;
    for _ in 0..3 {
        let claim = doubted(&desk).await;
        let question = Question { text: "no marker".to_owned(), candidates: Vec::new() };
        desk.ledger().ask(claim.attempt, question, T0).await.unwrap();
    }
    let video = VideoNo::parse("VI000001").unwrap();
    let answer = async |item, answer| desk.ledger().answer(ItemId(item), decision(answer)).await.unwrap();
    assert_eq!(answer(1, Answer::Adopt(video.clone())).await, Answered::Done);
    assert_eq!(answer(2, Answer::Adopt(video)).await, Answered::VideoTaken(ItemId(1)));
    assert_eq!(answer(2, Answer::Resend).await, Answered::Done);
    assert_eq!(answer(3, Answer::GiveUp).await, Answered::Done);
    assert_eq!(answer(4, Answer::GiveUp).await, Answered::NotOpen(State::Pending));
    assert_eq!(answer(9, Answer::GiveUp).await, Answered::NoSuchItem);
    assert_eq!(desk.states(), ["accepted", "pending", "abandoned", "pending"]);
    let written: Vec<String> = desk
        .raw()
        .prepare("SELECT attempt || ' ' || event || ' ' || who || ' ' || why FROM answer ORDER BY id")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(written[1], "2 resend_ordered ann@desk seen in the library");
    assert!(desk.raw().execute("DELETE FROM answer", []).is_err(), "answers are append-only");
    // what was sent again or given up may be paid all the same
    assert_eq!(desk.ledger().snapshot().await.unwrap().uploads_at_stake().unwrap(), 3);
    assert_eq!(desk.ledger().snapshot().await.unwrap().problems().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_question_that_waits_for_evidence_can_be_answered_too() {
    let desk = Desk::new().await;
    desk.admit(vec![row(2, "a", &[])]).await;
    doubted(&desk).await;
    let answered = desk.ledger().answer(ItemId(1), decision(Answer::GiveUp)).await.unwrap();
    assert_eq!((answered, desk.states()), (Answered::Done, vec!["abandoned".to_owned()]));
}

#[tokio::test]
async fn what_may_be_paid_never_exceeds_the_budget() {
    let desk = Desk::new().await;
    desk.admit((0..5).map(|n| row(n + 2, &n.to_string(), &[])).collect()).await;
    let terms = Arc::new(ClaimTerms { uploads_max: Some(2), ..(*desk.terms()).clone() });
    let (first, _) = (desk.claim(T0).await, desk.claim(T0).await);
    let obstacle = async || desk.ledger().obstacle(Arc::clone(&terms), T0).await.unwrap();
    assert_eq!(obstacle().await, Some(Obstacle::BudgetSpent { uploads: 2 }));
    desk.ledger().settle(first.attempt, plain(Event::Doubted, T0)).await.unwrap();
    assert!(obstacle().await.is_some(), "a doubt may be paid");
    desk.ledger().settle(first.attempt, plain(Event::FoundAbsent, T0)).await.unwrap();
    assert_eq!(obstacle().await, None, "what never arrived is not paid");
}

#[tokio::test]
async fn nothing_is_claimed_while_the_disk_is_nearly_full() {
    let desk = Desk::new().await;
    desk.admit(vec![row(2, "a", &[])]).await;
    let terms = Arc::new(ClaimTerms { disk_free_min: u64::MAX, ..(*desk.terms()).clone() });
    let obstacle = desk.ledger().obstacle(terms, T0).await.unwrap();
    assert!(matches!(obstacle, Some(Obstacle::DiskLow { .. })), "{obstacle:?}");
}

#[tokio::test]
async fn a_restored_ledger_is_noticed_and_can_be_recovered() {
    let mut desk = Desk::new().await;
    let rows = || vec![row(2, "a", &[]), row(3, "b", &[])];
    desk.admit(rows()).await;
    let marks = desk.folder.path().join("far");
    let identity = Identity { high_water: Some(marks), ..identity() };
    let open =
        |path: &std::path::Path, restored| Ledger::open(path, &Identity { restored, ..identity.clone() }, T0);
    desk.ledger.take().unwrap().close().await;
    let backup = desk.folder.path().join("backup.db");
    Snapshot::open(&desk.path()).unwrap().copy_to(&backup).unwrap();
    // the first row is sent with the real ledger, then the backup is put in its place
    desk.ledger = Some(open(&desk.path(), Restored::Refused).unwrap());
    let sent = desk.claim(T0).await;
    desk.ledger().settle(sent.attempt, accepted("VI000001", T0)).await.unwrap();
    desk.ledger.take().unwrap().close().await;
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(door::with_suffix(&desk.path(), suffix));
    }
    std::fs::copy(&backup, desk.path()).unwrap();
    let refused = open(&desk.path(), Restored::Refused).map(drop).unwrap_err();
    assert!(matches!(refused, LedgerError::Older { known: 0, last: 1, .. }), "{refused}");
    // the service shows the marker of the request that the backup does not know
    let ledger = open(&desk.path(), Restored::Recovering).unwrap();
    desk.ledger = Some(ledger);
    desk.ledger().begin_recovery().await.unwrap();
    let shown = ShownVideo {
        video_no: VideoNo::parse("VI000001").unwrap(),
        tags: vec!["x".to_owned(), sent.marker.unwrap()],
        shows_tags: true,
        made_by: T0,
    };
    assert_eq!(desk.ledger().owners(vec![shown.clone()]).await.unwrap(), [Owner::Elsewhere]);
    desk.ledger().note_elsewhere(vec![shown.clone()]).await.unwrap();
    let obstacle = desk.ledger().obstacle(desk.terms(), T0).await.unwrap();
    assert_eq!(obstacle, Some(Obstacle::SentElsewhere { item: ItemId(1) }), "its row is not sent again");
    assert_eq!(
        desk.ledger().recover(desk.run, shown.clone(), T0).await.unwrap(),
        Recovered::Bound(ItemId(1))
    );
    assert_eq!(desk.ledger().recover(desk.run, shown, T0).await.unwrap(), Recovered::Surplus(ItemId(1)));
    desk.ledger.take().unwrap().close().await;
    let half = open(&desk.path(), Restored::Refused).map(drop).unwrap_err();
    assert!(matches!(half, LedgerError::HalfRecovered { .. }), "{half}");
    desk.ledger = Some(open(&desk.path(), Restored::Recovering).unwrap());
    desk.ledger().end_recovery().await.unwrap();
    desk.ledger.take().unwrap().close().await;
    desk.ledger = Some(open(&desk.path(), Restored::Refused).unwrap());
    assert_eq!(desk.states(), ["accepted", "pending"]);
    // a number that was used, here or with the lost ledger, is never used again
    let lowest: i64 = desk.raw().query_row("SELECT min(id) FROM attempt", [], |row| row.get(0)).unwrap();
    assert_eq!((lowest, desk.claim(T0).await.attempt.0), (2, 3));
}

#[tokio::test]
async fn a_recovery_remembers_what_it_cannot_bind() {
    let desk = Desk::new().await;
    desk.admit(vec![row(2, "a", &[])]).await;
    let old = doubted(&desk).await;
    // a newer request of the row, and one of a row in another manifest, by a ledger this one knows nothing of
    let shown = |number: &str, name: &str| ShownVideo {
        video_no: VideoNo::parse(number).unwrap(),
        tags: vec![marker::marker(&[9; 32], 77, &row(2, name, &[]).unwrap().submission.key().prefix_hex())],
        shows_tags: true,
        made_by: T0,
    };
    desk.ledger().begin_recovery().await.unwrap();
    let recover = async |video| desk.ledger().recover(desk.run, video, T0).await.unwrap();
    assert_eq!(
        recover(shown("VI000001", "a")).await,
        Recovered::Remembered(ItemId(1)),
        "it is no second payment"
    );
    assert_eq!(recover(shown("VI000002", "b")).await, Recovered::NoItem);
    desk.ledger().note_elsewhere(vec![shown("VI000002", "b")]).await.unwrap();
    let spent = async || desk.ledger().past(UnixMillis(0), 0).await.unwrap().1.len();
    assert_eq!(spent().await, 2, "each used up a slot, once");
    desk.ledger().end_recovery().await.unwrap();
    desk.ledger().settle(old.attempt, plain(Event::FoundAbsent, T0)).await.unwrap();
    desk.admit(vec![row(3, "b", &[])]).await;
    let next = async || desk.ledger().obstacle(desk.terms(), T0).await.unwrap();
    assert_eq!(next().await, Some(Obstacle::SentElsewhere { item: ItemId(1) }));
    // when it waits, the next recovery binds it
    assert_eq!(recover(shown("VI000001", "a")).await, Recovered::Bound(ItemId(1)));
    assert_eq!(spent().await, 1, "what is our own attempt is no expense beside it");
    assert_eq!(
        next().await,
        Some(Obstacle::SentElsewhere { item: ItemId(2) }),
        "nor is the other manifest's row sent"
    );
    assert_eq!(recover(shown("VI000002", "b")).await, Recovered::Bound(ItemId(2)));
    assert_eq!(next().await, Some(Obstacle::NothingPending));
}

#[tokio::test]
async fn reads_are_kept_as_long_as_a_limit_looks_back() {
    let desk = Desk::new().await;
    let day_ms = 24 * 3_600_000;
    let spend = async |day: i64, counts_days: i64| {
        let at = T0.plus_ms(day * day_ms);
        desk.ledger().spend_read("list", at, at.plus_ms(-counts_days * day_ms)).await.unwrap();
    };
    spend(0, 30).await;
    spend(20, 30).await;
    let number_next = |number: i64| {
        desk.raw().execute("UPDATE expense SET id = ?1 WHERE id = (SELECT max(id) FROM expense)", [number])
    };
    // sweeping is once in so many
    number_next(4_999).unwrap();
    spend(29, 30).await;
    let kept = async || desk.ledger().past(UnixMillis(0), 0).await.unwrap().1.len();
    assert_eq!(kept().await, 3, "all count in a window of thirty days");
    number_next(9_999).unwrap();
    spend(31, 30).await;
    assert_eq!(kept().await, 3, "the first does no more");
}

#[tokio::test]
async fn what_a_human_settled_may_still_have_made_a_video() {
    let desk = Desk::new().await;
    desk.admit((0..3).map(|n| row(n + 2, &n.to_string(), &[])).collect()).await;
    for _ in 0..3 {
        doubted(&desk).await;
    }
    desk.ledger().answer(ItemId(1), decision(Answer::GiveUp)).await.unwrap();
    desk.ledger().answer(ItemId(2), decision(Answer::Resend)).await.unwrap();
    desk.ledger().settle(AttemptId(3), plain(Event::FoundAbsent, T0)).await.unwrap();
    let bindings = desk.ledger().bindings("default".to_owned(), Vec::new()).await.unwrap();
    let mut contenders: Vec<i64> = bindings.contenders.iter().map(|contender| contender.attempt.0).collect();
    contenders.sort_unstable();
    assert_eq!(contenders, [1, 2], "only what is proved absent can have made none");
}

#[tokio::test]
async fn questions_count_against_the_bound_on_doubts() {
    let desk = Desk::new().await;
    desk.admit((0..8).map(|n| row(n + 2, &n.to_string(), &[])).collect()).await;
    for _ in 0..6 {
        let claim = doubted(&desk).await;
        let question = Question { text: "?".to_owned(), candidates: Vec::new() };
        desk.ledger().ask(claim.attempt, question, T0).await.unwrap();
    }
    let obstacle = desk.ledger().obstacle(desk.terms(), T0).await.unwrap();
    assert_eq!(obstacle, Some(Obstacle::TooManyDoubts { open: 6 }));
}

#[tokio::test]
async fn a_changed_event_breaks_the_chain() {
    let desk = Desk::new().await;
    desk.admit(vec![row(2, "a", &[]), row(3, "b", &[])]).await;
    doubted(&desk).await;
    doubted(&desk).await;
    let snapshot = desk.ledger().snapshot().await.unwrap();
    assert_eq!(snapshot.problems().unwrap(), Vec::<String>::new());
    let raw = desk.raw();
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
    let desk = Desk::new().await;
    desk.admit(vec![row(2, "a", &[])]).await;
    let claim = desk.claim(T0).await;
    desk.ledger().settle(claim.attempt, accepted("VI000001", T0.plus_ms(2_000))).await.unwrap();
    let look = async |seen, at: i64| {
        desk.ledger().observe(vec![Sight { item: ItemId(1), seen }], T0.plus_ms(at)).await.unwrap();
        desk.ledger().open_doubts(1).await.unwrap().observed
    };
    assert_eq!(look(Seen::NotShown, 92_000).await.listing, Duration::ZERO, "it may never have been there");
    assert_eq!(look(Seen::InProgress, 99_000).await.listing, Duration::from_secs(90));
    assert_eq!(look(Seen::Indexed, 999_000).await.acceptance, Duration::from_secs(2));
}

#[tokio::test]
async fn a_damaged_file_is_refused_before_anything_is_sent() {
    use std::os::unix::fs::FileExt;
    let mut desk = Desk::new().await;
    desk.admit((0..200).map(|n| row(n + 2, &n.to_string(), &[])).collect()).await;
    desk.ledger.take().unwrap().close().await;
    let file = std::fs::OpenOptions::new().write(true).open(desk.path()).unwrap();
    let size = file.metadata().unwrap().len();
    // pages that opening alone would not look at
    for at in (size / 4_096 * 3 / 4 * 4_096..size).step_by(4_096) {
        file.write_all_at(&[0xa5; 64], at).unwrap();
    }
    let refused = Ledger::open(&desk.path(), &identity(), T0).map(drop).unwrap_err();
    assert!(matches!(refused, LedgerError::Damaged { .. }), "{refused}");
}

fn probe(fitness: Fitness, looked_at: UnixMillis) -> Probe {
    let (class, found) = ("http_404".to_owned(), "the host answers 404: it is not there".to_owned());
    Probe { fitness, class, found, size: Some(5), reach: Reach::Public, looked_at }
}

fn demand(looked_since: UnixMillis) -> ProbeDemand {
    ProbeDemand { looked_since, column: "url".to_owned(), column_number: 1 }
}

#[tokio::test]
async fn the_latest_look_at_an_address_is_kept_and_no_signature_vouches_for_another() {
    let desk = Desk::new().await;
    let url = |query: &str| SourceUrl::parse(&format!("https://host/a.mp4{query}")).unwrap().digest();
    let signed = url("?Signature=x&Expires=1800000000");
    assert_eq!(desk.ledger().probes(vec![signed]).await.unwrap(), [None]);
    let (old, new) = (probe(Fitness::Unfit, T0), probe(Fitness::Fit, T0.plus_ms(1)));
    desk.ledger().note_probes(vec![(signed, old), (signed, new.clone())]).await.unwrap();
    let found = desk.ledger().probes(vec![signed, url(""), url("?Signature=y&Expires=1800000000")]).await;
    assert_eq!(found.unwrap(), [Some(new), None, None]);
}

#[tokio::test]
async fn only_rows_that_would_be_sent_are_held_back_for_want_of_a_probe() {
    let desk = Desk::new().await;
    desk.admit(vec![row(2, "sent", &[]), row(3, "doubted", &[]), row(4, "waiting", &[])]).await;
    let claim = desk.claim(T0).await;
    desk.ledger().settle(claim.attempt, accepted("VI000001", T0)).await.unwrap();
    doubted(&desk).await;
    let rows = ["sent", "doubted", "waiting", "new", "fit", "unfit", "unclear", "old"];
    let noted = [("fit", Fitness::Fit, 10), ("unfit", Fitness::Unfit, 10), ("unclear", Fitness::Unclear, 10)];
    let noted = noted.into_iter().chain([("old", Fitness::Fit, 4)]).map(|(name, fitness, at)| {
        (row(2, name, &[]).unwrap().submission.url.digest(), probe(fitness, T0.plus_ms(at)))
    });
    desk.ledger().note_probes(noted.collect()).await.unwrap();
    let batch = (2..).zip(rows).map(|(line, name)| row(line, name, &[])).collect();
    let terms = AdmitTerms { demand: Some(demand(T0.plus_ms(5))), ..AdmitTerms::default() };
    let held = desk.ledger().admit(desk.run, desk.source, batch, terms.clone(), T0).await.unwrap();
    let classes: Vec<&str> = held
        .iter()
        .map(
            |admission| if let Admission::HeldBack(problem) = admission { &problem.class } else { "goes on" },
        )
        .collect();
    assert_eq!(
        classes,
        [
            "goes on",
            // once its doubt is settled it may be sent
            "probe_missing",
            "probe_missing",
            "probe_missing",
            "goes on",
            "probe_unfit",
            "probe_unclear",
            "probe_old"
        ]
    );
    let Admission::HeldBack(problem) = &held[5] else { panic!("{:?}", held[5]) };
    assert_eq!((problem.column_number, problem.value.as_str()), (1, "https://host/unfit.mp4"));
    assert!(problem.message.contains("404"), "{}", problem.message);
    let snapshot = desk.ledger().snapshot().await.unwrap();
    let rows = snapshot.run(desk.run).unwrap().rows;
    assert_eq!((rows.read, rows.rejected), (11, 6), "they are rows all the same");
}

#[tokio::test]
async fn an_item_in_doubt_is_held_back_for_what_was_sent_and_not_only_for_what_its_row_says_now() {
    let desk = Desk::new().await;
    let by_id = |name: &str| {
        let mut row = row(2, name, &[]).unwrap();
        row.submission.item_id = Some("A".to_owned());
        Ok(row)
    };
    desk.admit(vec![by_id("old")]).await;
    doubted(&desk).await;
    let digest = |name: &str| row(2, name, &[]).unwrap().submission.url.digest();
    desk.ledger().note_probes(vec![(digest("new"), probe(Fitness::Fit, T0))]).await.unwrap();
    let terms = AdmitTerms { demand: Some(demand(T0)), ..AdmitTerms::default() };
    let admit = async |terms| {
        desk.ledger().admit(desk.run, desk.source, vec![by_id("new")], terms, T0).await.unwrap().remove(0)
    };
    let held = admit(terms.clone()).await;
    assert!(matches!(&held, Admission::HeldBack(problem) if problem.value.contains("old")), "{held:?}");
    desk.ledger().note_probes(vec![(digest("old"), probe(Fitness::Fit, T0))]).await.unwrap();
    assert_eq!(admit(terms).await, Admission::Drifted);
}

#[tokio::test]
async fn a_ledger_made_before_its_first_import_belongs_to_whoever_sends_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("early.db");
    let digest = SourceUrl::parse("https://host/a.mp4").unwrap().digest();
    let early = Ledger::open_early(&path, [3; 32], T0).unwrap();
    early.note_probes(vec![(digest, probe(Fitness::Fit, T0))]).await.unwrap();
    early.close().await;
    assert_eq!(Snapshot::open(&path).unwrap().origin().unwrap(), "no service yet");
    let owned = Ledger::open(&path, &identity(), T0).unwrap();
    assert!(owned.probes(vec![digest]).await.unwrap()[0].is_some());
    owned.close().await;
    let other = Identity { origin: "https://other.example".to_owned(), ..identity() };
    assert!(matches!(Ledger::open(&path, &other, T0), Err(LedgerError::OtherOrigin { .. })));
    let other = Identity { key_digest: [9; 32], ..identity() };
    assert!(matches!(Ledger::open(&path, &other, T0), Err(LedgerError::OtherKey { .. })));
    // it is still its owner's, whoever looked in
    Ledger::open_early(&path, [4; 32], T0).unwrap().close().await;
    Ledger::open(&path, &identity(), T0).unwrap().close().await;
}

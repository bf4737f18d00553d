//! Every history of a few requests, searched to the end: the real rules, a service that does its worst within the
//! assumptions, and time in steps of ten minutes.
//!
//! Two rows, up to three requests, two crashes. A request is taken at any step up to [`ModelWorld::TAKEN_WITHIN`] after it was
//! sent, or never; its video shows at any step up to [`ModelWorld::SHOWN_WITHIN`] later; its tags show at any time from
//! then on, or never. Replies may be lost, and a complete listing may be read at any step.
//!
//! The rows are alike, so the first request is of the first row.
//!
//! Where calls are received, the service may call for a request that it took: at any time from then on, before or after its reply,
//! often or never. One call in a history names the video of another request. A number may be looked up at any step.

mod searches;
mod world_key;

use std::sync::OnceLock;

use super::{
    by_call::{CallEvidence, decide_by_call},
    *,
};
use crate::{
    api::IndexStatus,
    ledger::{AttemptId, CalledNumber},
};

const STEP_MS: i64 = 10 * 60_000;

/// One request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct ModelRequest {
    row: u8,
    at: u8,
    fate: Fate,
    known: ModelState,
    clear_at: Option<u8>,
    /// The requests whose videos calls for it named, as bits.
    named: u8,
}

/// What the service did with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Undecided,
    Never,
    Taken { at: u8, shows: Shows },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shows {
    Nothing,
    Video,
    Tags,
}

/// What the ledger knows of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ModelState {
    Sending,
    InDoubt,
    AcceptedUnidentified,
    Accepted,
    Absent,
}

#[derive(Clone, Debug)]
struct ModelWorld {
    now: u8,
    crashes: u8,
    /// Calls that named the video of another request.
    wrong_calls: u8,
    sent: Vec<ModelRequest>,
    /// The video of another client: when it was made, and whether its tags are visible.
    foreign_video: Option<(u8, bool)>,
}

/// What is searched.
#[derive(Clone, Copy)]
struct Search {
    rules: ReconcileRules,
    has_marker: bool,
    /// Whether the service shows tags otherwise than they were sent.
    changes_tags: bool,
    /// What the rules are told of it.
    tags_shown: TagsShown,
    /// Whether the service calls.
    has_calls: bool,
    steps: u8,
    requests: usize,
}

impl ModelWorld {
    const TAKEN_WITHIN: u8 = 1;
    const SHOWN_WITHIN: u8 = 1;
    const ROWS: u8 = 2;
    const CRASHES: u8 = 2;
    const WRONG_CALLS: u8 = 1;

    fn begin() -> Self {
        Self { now: 0, crashes: 0, wrong_calls: 0, sent: Vec::new(), foreign_video: None }
    }

    /// Every state that can follow by one action of any party.
    fn next(&self, search: &Search, found: &mut Vec<Self>) -> Result<(), String> {
        self.tick(search, found);
        self.send(search, found);
        self.be_served(found);
        self.crash_or_add_a_foreign_video(search, found);
        if search.has_calls {
            self.call(found);
            self.look_up(search, found)?;
        }
        found.extend(self.reconcile(search)?);
        Ok(())
    }

    /// Time passes when nothing is overdue.
    fn tick(&self, search: &Search, found: &mut Vec<Self>) {
        let is_anybody_late = self.sent.iter().any(|sent| match sent.fate {
            Fate::Undecided => self.now >= sent.at + Self::TAKEN_WITHIN,
            Fate::Taken { at, shows: Shows::Nothing } => self.now >= at + Self::SHOWN_WITHIN,
            Fate::Taken { .. } | Fate::Never => false,
        });
        if self.now < search.steps && !is_anybody_late {
            found.push(Self { now: self.now + 1, ..self.clone() });
        }
    }

    fn send(&self, search: &Search, found: &mut Vec<Self>) {
        let rows = if self.sent.is_empty() { 1 } else { Self::ROWS };
        for row in 0..rows {
            let is_open = self.sent.iter().any(|sent| sent.row == row && sent.known != ModelState::Absent);
            if !is_open && self.sent.len() < search.requests {
                let mut world = self.clone();
                let new = ModelRequest {
                    row,
                    at: self.now,
                    fate: Fate::Undecided,
                    known: ModelState::Sending,
                    clear_at: None,
                    named: 0,
                };
                world.sent.push(new);
                found.push(world);
            }
        }
    }

    /// The service accepts, lists and shows tags; replies arrive or are lost.
    fn be_served(&self, found: &mut Vec<Self>) {
        for (number, sent) in self.sent.iter().enumerate() {
            let mut become_ = |change: ModelRequest| {
                let mut world = self.clone();
                world.sent[number] = change;
                found.push(world);
            };
            match sent.fate {
                Fate::Undecided => {
                    let taken = Fate::Taken { at: self.now, shows: Shows::Nothing };
                    become_(ModelRequest { fate: taken, ..*sent });
                    become_(ModelRequest { fate: Fate::Never, ..*sent });
                }
                Fate::Taken { at, shows: Shows::Nothing } => {
                    become_(ModelRequest { fate: Fate::Taken { at, shows: Shows::Video }, ..*sent });
                }
                Fate::Taken { at, shows: Shows::Video } => {
                    become_(ModelRequest { fate: Fate::Taken { at, shows: Shows::Tags }, ..*sent });
                }
                Fate::Taken { shows: Shows::Tags, .. } | Fate::Never => {}
            }
            if sent.known == ModelState::Sending {
                become_(ModelRequest { known: ModelState::InDoubt, ..*sent });
                if matches!(sent.fate, Fate::Taken { .. }) {
                    become_(ModelRequest { known: ModelState::Accepted, ..*sent });
                }
            }
        }
    }

    /// The service calls for a request, with the number of its video or of another one.
    fn call(&self, found: &mut Vec<Self>) {
        for number in 0..self.sent.len() {
            for named in 0..self.sent.len() {
                let is_taken = matches!(self.sent[named].fate, Fate::Taken { .. });
                let is_wrong = number != named;
                let is_known = self.sent[number].named & (1 << named) != 0;
                if !is_taken || is_known || is_wrong && self.wrong_calls >= Self::WRONG_CALLS {
                    continue;
                }
                let mut world = self.clone();
                world.wrong_calls += u8::from(is_wrong);
                world.sent[number].named |= 1 << named;
                found.push(world);
            }
        }
    }

    /// The number that calls named for a request is looked up, and the request is decided by it.
    fn look_up(&self, search: &Search, found: &mut Vec<Self>) -> Result<(), String> {
        let videos = self.videos(search);
        let is_open = |known| {
            matches!(known, ModelState::Sending | ModelState::InDoubt | ModelState::AcceptedUnidentified)
        };
        let open = self.sent.iter().enumerate().filter(|(_, sent)| is_open(sent.known));
        let called: Vec<CalledNumber> = open
            .flat_map(|(number, sent)| {
                let named = (0..self.sent.len()).filter(|named| sent.named & (1 << named) != 0);
                named.map(move |named| CalledNumber {
                    attempt: attempt(number),
                    video_no: number_of(named),
                    is_wrong: self.sent[named].known == ModelState::Accepted,
                })
            })
            .collect();
        for (number, sent) in self.sent.iter().enumerate() {
            let state = match sent.known {
                ModelState::InDoubt => State::InDoubt,
                ModelState::AcceptedUnidentified => State::AcceptedUnidentified,
                ModelState::Sending | ModelState::Accepted | ModelState::Absent => continue,
            };
            // the ledger looks up a number that contradicts no other one, and that is bound to no request
            let mut own = called.iter().filter(|called| called.attempt == attempt(number));
            let (Some(only), None) = (own.next(), own.next()) else { continue };
            let Some(video) = videos.iter().find(|video| video.video_no == only.video_no) else { continue };
            let possible_senders = self.possible_senders(search);
            let evidence = CallEvidence { video, possible_senders: &possible_senders, called: &called };
            let unresolved = unresolved_attempt(number, *sent, state, search);
            if decide_by_call(&unresolved, &evidence, &search.rules).is_none() {
                continue;
            }
            if only.video_no != number_of(number) {
                return Err(format!("{} of request {number} by its call in {self:?}", only.video_no));
            }
            let mut world = self.clone();
            world.sent[number].known = ModelState::Accepted;
            found.push(world);
        }
        Ok(())
    }

    fn crash_or_add_a_foreign_video(&self, search: &Search, found: &mut Vec<Self>) {
        if self.crashes < Self::CRASHES && self.sent.iter().any(|sent| sent.known == ModelState::Sending) {
            let mut world = Self { crashes: self.crashes + 1, ..self.clone() };
            for sent in world.sent.iter_mut().filter(|sent| sent.known == ModelState::Sending) {
                sent.known = ModelState::InDoubt;
            }
            found.push(world);
        }
        if search.rules.on_doubt != OnDoubt::Auto {
            match self.foreign_video {
                None => found.push(Self { foreign_video: Some((self.now, false)), ..self.clone() }),
                Some((at, false)) => found.push(Self { foreign_video: Some((at, true)), ..self.clone() }),
                Some((_, true)) => {}
            }
        }
    }

    /// A complete listing is read, and every request in doubt is decided by it. `None`: none is.
    fn reconcile(&self, search: &Search) -> Result<Option<Self>, String> {
        if !self
            .sent
            .iter()
            .any(|sent| matches!(sent.known, ModelState::InDoubt | ModelState::AcceptedUnidentified))
        {
            return Ok(None);
        }
        let videos: Vec<ListedVideo> = self.videos(search);
        let evidence = Evidence {
            unbound: videos.iter().collect(),
            bound: Vec::new(),
            begun_at: timestamp(self.now),
            served_at: Some(timestamp(self.now)),
            possible_senders: self.possible_senders(search),
            control_video_seen: ControlVideoSeen::Yes,
            accuracy: ListingAccuracy { tags: search.tags_shown, time_gap_ms: Some(0) },
        };
        let pass = EvidencePass::new(&evidence, &search.rules);
        let mut world = self.clone();
        for (number, sent) in self.sent.iter().enumerate() {
            let state = match sent.known {
                ModelState::InDoubt => State::InDoubt,
                ModelState::AcceptedUnidentified => State::AcceptedUnidentified,
                ModelState::Sending | ModelState::Accepted | ModelState::Absent => continue,
            };
            let unresolved = unresolved_attempt(number, *sent, state, search);
            let is_taken = matches!(sent.fate, Fate::Taken { .. });
            let known = &mut world.sent[number];
            match pass.decide(&unresolved) {
                Decision::Wait | Decision::Ask(_) => {}
                Decision::RecordClearListing(clear_at) => known.clear_at = clear_at.map(|_| self.now),
                Decision::AcceptedUnidentified if is_taken => known.known = ModelState::AcceptedUnidentified,
                Decision::Found { video_no, .. } if video_no == number_of(number) => {
                    known.known = ModelState::Accepted;
                }
                Decision::Absent if sent.fate == Fate::Never => known.known = ModelState::Absent,
                wrong @ (Decision::Found { .. } | Decision::AcceptedUnidentified | Decision::Absent) => {
                    return Err(format!("{wrong:?} of request {number} in {self:?}"));
                }
            }
        }
        Ok(Some(world))
    }

    fn videos(&self, search: &Search) -> Vec<ListedVideo> {
        let mut videos = Vec::new();
        for (number, sent) in self.sent.iter().enumerate() {
            let Fate::Taken { at, shows } = sent.fate else { continue };
            if shows == Shows::Nothing || sent.known == ModelState::Accepted {
                continue;
            }
            let own = match (search.changes_tags, search.has_marker) {
                (true, _) => vec!["changed".to_owned()],
                (false, true) => vec![marker(number)],
                (false, false) => vec![format!("row {}", sent.row)],
            };
            videos.push(video(number_of(number), at, if shows == Shows::Tags { own } else { Vec::new() }));
        }
        if let Some((at, shows_tags)) = self.foreign_video {
            let tags = if shows_tags { vec!["theirs".to_owned()] } else { Vec::new() };
            videos.push(video(number_of(9), at, tags));
        }
        videos
    }

    fn possible_senders(&self, search: &Search) -> Vec<PossibleSender> {
        let open = self.sent.iter().enumerate().filter(|(_, sent)| {
            matches!(sent.known, ModelState::Sending | ModelState::InDoubt | ModelState::AcceptedUnidentified)
        });
        open.map(|(number, sent)| PossibleSender {
            attempt: attempt(number),
            sent_at: timestamp(sent.at),
            send_before: timestamp(sent.at),
            service_time: ServiceTime {
                earliest: Some(timestamp(sent.at)),
                latest: Some(timestamp(sent.at)),
            },
            marker: search.has_marker.then(|| marker(number)),
            tags: vec![format!("row {}", sent.row)],
        })
        .collect()
    }
}

fn timestamp(step: u8) -> UnixMillis {
    UnixMillis(1_700_000_000_000).plus_ms(i64::from(step) * STEP_MS)
}

fn attempt(request: usize) -> AttemptId {
    AttemptId::for_tests(i64::try_from(request).unwrap())
}

fn number_of(request: usize) -> VideoNo {
    VideoNo::parse(&format!("VI00000{request}")).unwrap()
}

fn marker(request: usize) -> String {
    format!("telecine:{request}")
}

fn video(video_no: VideoNo, made_at: u8, tags: Vec<String>) -> ListedVideo {
    let status = if tags.is_empty() { IndexStatus::InProgress } else { IndexStatus::Indexed };
    ListedVideo { video_no, status, created_at: Some(timestamp(made_at)), tags, cause: None }
}

fn unresolved_attempt(number: usize, sent: ModelRequest, state: State, search: &Search) -> UnresolvedAttempt {
    static TEMPLATE: OnceLock<UnresolvedAttempt> = OnceLock::new();
    let mut unresolved = TEMPLATE.get_or_init(|| super::tests::unresolved_attempt(None, &[])).clone();
    unresolved.attempt = attempt(number);
    unresolved.was_called = sent.named != 0;
    unresolved.state = state;
    unresolved.sent_at = timestamp(sent.at);
    unresolved.send_before = timestamp(sent.at);
    unresolved.marker = search.has_marker.then(|| marker(number));
    unresolved.clear_at = sent.clear_at.map(timestamp);
    unresolved
}

impl Search {
    /// A service that shows tags as they were sent, which is known.
    const fn of(rules: ReconcileRules, has_marker: bool, requests: usize) -> Self {
        let tags_shown = TagsShown::AsSent;
        Self { rules, has_marker, changes_tags: false, tags_shown, has_calls: false, steps: 4, requests }
    }
}

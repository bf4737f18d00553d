//! Finds the items that a user means, and says what happens next with an item and what the user can do.

use super::running::RunningRun;
use crate::{
    domain::{ItemKey, LINK_LIFE_MIN, SourceUrl, State, UnixMillis, VideoNo, hex},
    error::Error,
    ledger::{ItemHistory, ItemId, LedgerError, RowIssue, Snapshot},
    pipeline::DOUBT_HORIZON,
    redact,
    report::{counted, shell_word},
};

/// Items and rows that are shown at most.
const FOUND_MAX: u32 = 20;
/// Namespaces in which a url or an id is sought.
const NAMESPACES_MAX: usize = 1_000;

/// What the user names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// A line of any manifest.
    Line(u64),
    /// A line of the manifest whose path ends so: `archive.csv:12`.
    Place { path: String, line: u64 },
    /// The number of an item, as other commands print it.
    Item(i64),
    /// An address.
    Url(String),
    /// An id of the user, a video number or the number of an item.
    Text(String),
}

impl Named {
    /// Reads `line 12`, `archive.csv:12`, `item 17`, a url, an id, a video number or a number.
    pub fn parse(words: &[String]) -> Result<Self, Error> {
        let unclear = |text: &str| {
            Error::Usage(format!(
                "{text} is not a number; give `line 12` or `item 17`, as other commands print it"
            ))
        };
        // `item 17` may come as one word, in quotes
        if let [text] = words
            && let Some((kind, number)) = text.trim().split_once(' ')
            && ["line", "item"].iter().any(|own| own.eq_ignore_ascii_case(kind))
        {
            return Self::parse(&[kind.to_owned(), number.trim().to_owned()]);
        }
        match words {
            [kind, number] if kind.eq_ignore_ascii_case("line") => {
                number.replace(',', "").parse().map(Self::Line).map_err(|_| unclear(number))
            }
            [kind, number] if kind.eq_ignore_ascii_case("item") => {
                number.replace(',', "").parse().map(Self::Item).map_err(|_| unclear(number))
            }
            [kind, text] if kind.eq_ignore_ascii_case("id") => Ok(Self::Text(text.clone())),
            [text] => Ok(Self::of_text(text)),
            words => Err(Error::Usage(format!(
                "`{}` names nothing; give a url, an id, a video number, `line N` or `item N` (quote an id with spaces)",
                words.join(" ")
            ))),
        }
    }

    fn of_text(text: &str) -> Self {
        if text.contains("://") {
            return Self::Url(text.to_owned());
        }
        // as messages print a row: archive.csv:12
        if let Some((path, line)) = text.rsplit_once(':')
            && let Ok(line) = line.parse()
            && path.contains('.')
        {
            return Self::Place { path: path.to_owned(), line };
        }
        Self::Text(text.to_owned())
    }
}

/// What was found.
#[derive(Debug, Default)]
pub struct FoundItems {
    pub items: Vec<ItemHistory>,
    /// Rows of the last run that are no items, each with its manifest.
    pub rows: Vec<(String, RowIssue)>,
    /// Where it was sought, a sentence each.
    pub searched: Vec<String>,
}

/// Finds what the user names, as of one time.
pub fn find(snapshot: &Snapshot, named: &Named) -> Result<FoundItems, Error> {
    let found = snapshot.at_one_time(|snapshot| match named {
        Named::Line(line) => by_line(snapshot, *line, None),
        Named::Place { path, line } => by_place(snapshot, path, *line),
        Named::Item(number) => {
            let searched = vec![format!("the item with the number {number}")];
            with_histories(snapshot, vec![ItemId::numbered(*number)], searched)
        }
        Named::Url(text) => by_url(snapshot, text),
        Named::Text(text) => by_text(snapshot, text),
    })?;
    Ok(found)
}

fn with_histories(
    snapshot: &Snapshot,
    mut items: Vec<ItemId>,
    searched: Vec<String>,
) -> Result<FoundItems, LedgerError> {
    let mut kept = Vec::new();
    items.retain(|item| {
        !kept.contains(item) && {
            kept.push(*item);
            true
        }
    });
    let mut found = FoundItems { searched, ..FoundItems::default() };
    for item in items {
        found.items.extend(snapshot.item_history(item)?);
    }
    Ok(found)
}

fn by_line(snapshot: &Snapshot, line: u64, manifest: Option<&str>) -> Result<FoundItems, LedgerError> {
    let of = manifest.map(|path| format!(" of {}", redact::clean(path))).unwrap_or_default();
    let searched = vec![
        format!("line {line}{of} in the manifests that this ledger knows, as they were last read"),
        "the invalid rows and duplicates of the last run that read manifests; an earlier run's are in its rejects.csv and duplicates.csv"
            .to_owned(),
    ];
    let mut found = with_histories(snapshot, snapshot.items_by_line(line, FOUND_MAX)?, searched)?;
    found.rows = snapshot.row_issues_by_line(line, FOUND_MAX)?;
    if let Some(path) = manifest {
        let is_meant =
            |known: &str| known == path || known.ends_with(&format!("/{}", path.trim_start_matches("./")));
        found.items.retain(|item| is_meant(&item.manifest));
        found.rows.retain(|(manifest, _)| is_meant(manifest));
    }
    Ok(found)
}

/// By its place, else by an id that looks like one.
fn by_place(snapshot: &Snapshot, path: &str, line: u64) -> Result<FoundItems, LedgerError> {
    let mut found = by_line(snapshot, line, Some(path))?;
    if found.items.is_empty() && found.rows.is_empty() {
        let other = by_text(snapshot, &format!("{path}:{line}"))?;
        found.items = other.items;
        found.searched.extend(other.searched);
    }
    Ok(found)
}

/// By the key of the item: the address without its signature, in each namespace.
fn by_url(snapshot: &Snapshot, text: &str) -> Result<FoundItems, LedgerError> {
    let url = match SourceUrl::parse(text) {
        Ok(url) => url,
        Err(error) => {
            let searched = vec![format!("nothing: {error} ({})", redact::url(text))];
            return Ok(FoundItems { searched, ..FoundItems::default() });
        }
    };
    let namespaces = snapshot.likely_namespaces(NAMESPACES_MAX)?;
    let address = redact::url(&url.without_signature());
    let mut searched = Vec::new();
    let mut items = Vec::new();
    for namespace in &namespaces {
        let key = ItemKey::derive(namespace, &url);
        items.extend(snapshot.item_by_key(key)?);
        searched.push(format!(
            "the key {} of the namespace {} and the address {address} (without its signature and its fragment)",
            hex(&key.0),
            redact::clean(namespace)
        ));
    }
    // rows imported with --same-by id have other keys
    searched.truncate(3);
    if namespaces.len() > searched.len() {
        searched.push(format!("and the same in {} other namespaces", namespaces.len() - searched.len()));
    }
    with_histories(snapshot, items, searched)
}

/// An id, a video number or the number of an item: whichever there is.
fn by_text(snapshot: &Snapshot, text: &str) -> Result<FoundItems, LedgerError> {
    let shown = redact::clean(text);
    let mut searched = vec![format!("the id {shown} of a row")];
    let mut items = snapshot.items_by_id(text, FOUND_MAX)?;
    if let Some(video_no) = VideoNo::parse(text) {
        items.extend(snapshot.item_by_video(&video_no)?);
        searched.push(format!("the video number {shown}"));
    }
    if let Ok(number) = text.parse() {
        items.push(ItemId::numbered(number));
        searched.push(format!("the item with the number {shown} (a line is named by `line {shown}`)"));
    }
    with_histories(snapshot, items, searched)
}

/// How many uploads of an item are paid, and how many may be.
#[must_use]
pub fn paid_uploads(item: &ItemHistory) -> (u64, u64) {
    let count = |states: &[&str], is_forced: bool| {
        let counts = item
            .requests
            .iter()
            .filter(|request| states.contains(&request.state.as_str()) && (!is_forced || request.is_forced));
        counts.count() as u64
    };
    let paid = count(&["accepted", "accepted_unidentified", "superseded"], false);
    let unclear = count(&["sending", "in_doubt", "needs_review", "abandoned"], false);
    (paid, unclear + count(&["absent"], true))
}

/// What happens next by itself, as a sentence. `running` is the run that uses the ledger now.
#[must_use]
pub fn what_is_next(item: &ItemHistory, now: UnixMillis, running: Option<&RunningRun>) -> String {
    match item.state {
        State::Pending => next_of_pending(item, now, running),
        State::Sending => {
            "its request is in flight; an answer, or the lack of one, is recorded within minutes".to_owned()
        }
        State::InDoubt => {
            let until = item.requests.last().and_then(|request| request.counts_until);
            let until = until
                .filter(|until| *until > now)
                .map(|until| format!(" (it may be accepted until {until})"));
            let decided_by = item.requests.last().map(|request| doubt_ends(request.sent_at));
            format!(
                "the listings are searched for its video while an import or `telecine reconcile` runs{}; it is not sent \
                 again without evidence{}",
                until.unwrap_or_default(),
                decided_by.map(|text| format!(". {text}")).unwrap_or_default()
            )
        }
        State::AcceptedUnidentified => {
            "the listings are searched for its video while an import or `telecine reconcile` runs".to_owned()
        }
        State::NeedsReview => {
            "nothing, until you decide; a marker that appears in a listing also decides".to_owned()
        }
        State::Accepted | State::Indexed | State::Failed if is_being_deleted(item) => {
            "its video is ordered to be deleted; telecine undo asks for it until a listing proves that it is gone".to_owned()
        }
        State::Accepted => {
            let at = item.poll_at.map(|at| format!(" next at {at}")).unwrap_or_default();
            format!("an import or `telecine reconcile` asks the service whether it is searchable,{at}")
        }
        State::Indexed => "nothing: it is searchable".to_owned(),
        State::Failed | State::Rejected => "nothing: the same row is not sent again by itself".to_owned(),
        State::Abandoned => "nothing: it was given up".to_owned(),
        State::Deleted => "nothing: its video was deleted by undo".to_owned(),
    }
}

/// Until when listings may end the doubt about a request, and what keeps them from it.
#[must_use]
pub fn doubt_ends(sent_at: UnixMillis) -> String {
    format!(
        "A listed video that shows no tags, as one that is being indexed or failed, may be its video: while there is one, no \
         listing proves that there is none. Without proof it needs your decision from {} on (telecine review)",
        sent_at.plus(DOUBT_HORIZON)
    )
}

fn is_being_deleted(item: &ItemHistory) -> bool {
    item.deletions.iter().any(|deletion| deletion.gone_at.is_none())
}

fn next_of_pending(item: &ItemHistory, now: UnixMillis, running: Option<&RunningRun>) -> String {
    if let Some(video) = &item.foreign_video {
        return format!(
            "nothing: the service has it as {video}, sent with another ledger, so it is not sent from here"
        );
    }
    if item.is_removed {
        return "nothing: its row is in no manifest any more, so it is not sent".to_owned();
    }
    if let Some(at) = item.expires_at.filter(|at| *at <= now.plus(LINK_LIFE_MIN)) {
        return format!("nothing: its link expired at {at}, so it is not sent");
    }
    if item.is_held {
        return "the listings are searched for the markers of its earlier requests; then it is sent"
            .to_owned();
    }
    match running.filter(|run| item.seen_by.as_ref() == Some(&run.row.name)) {
        Some(run) => format!(
            "the running import ({}) sends it when the limits allow; `telecine status` says when all are sent",
            run.process
        ),
        None => "an import of its manifest sends it when the limits allow".to_owned(),
    }
}

/// What else an import does that sends a row again: its flags have no choice of rows.
fn resends(count: u64, what: &str) -> String {
    match count {
        0 | 1 => {
            format!("sends this row again, the only {what} one of the file; it is paid if it is accepted")
        }
        count => format!(
            "sends ALL {} of the file again; each that is accepted is paid",
            counted(count, &format!("{what} row"), &format!("{what} rows"))
        ),
    }
}

/// What the user can do, a sentence each. `flags` select the ledger and the account.
#[must_use]
pub fn what_you_can_do(item: &ItemHistory, now: UnixMillis, flags: &str) -> Vec<String> {
    let number = item.item;
    let manifest = shell_word(&item.manifest);
    let with = &item.resent_with;
    let retry = || {
        let (failed, rejected) = (with.of(State::Failed), with.of(State::Rejected));
        let what = match (failed, rejected) {
            (0, _) => "rejected",
            (_, 0) => "failed",
            _ => "failed and rejected",
        };
        format!("telecine import {manifest} --retry-failed{flags} ({})", resends(failed + rejected, what))
    };
    match item.state {
        State::Pending if item.foreign_video.is_some() => {
            vec![format!("bring this ledger up to date: telecine recover {manifest}{flags}")]
        }
        State::Pending if item.is_removed => vec!["import a manifest that has the row".to_owned()],
        State::Pending if item.expires_at.is_some_and(|at| at <= now.plus(LINK_LIFE_MIN)) => {
            vec!["sign its link again and import it; a link signed again is the same video".to_owned()]
        }
        State::Pending => vec![format!("telecine import {manifest}{flags}")],
        State::InDoubt | State::AcceptedUnidentified => vec![format!("telecine reconcile{flags}")],
        State::NeedsReview => {
            let candidates =
                item.requests.last().map(|request| request.candidates.as_slice()).unwrap_or_default();
            let video = candidates.first().map_or("VIDEO_NO", VideoNo::as_str);
            vec![
                format!("telecine resolve {number} --adopt {video}{flags}"),
                format!("telecine resolve {number} --resend{flags} (it may be paid twice)"),
                format!("telecine resolve {number} --give-up{flags}"),
            ]
        }
        State::Failed => vec!["check the video (mp4 or m3u8; h264, h265 or vp9)".to_owned(), retry()],
        State::Rejected => vec!["correct the row and import it again".to_owned(), retry()],
        State::Abandoned => vec![format!("telecine resolve {number} --undo{flags}")],
        State::Deleted => {
            let what = resends(with.of(State::Deleted), "deleted");
            vec![format!("telecine import {manifest} --reupload-deleted{flags} ({what})")]
        }
        State::Sending | State::Accepted | State::Indexed => Vec::new(),
    }
}

//! The check before a human's video number is adopted: the service must have the video, and it must be no other item's.

use std::time::Duration;

use secrecy::SecretString;

use super::{Destination, RequestedLimits, destination::AskError, limits::limiter_of, orders};
use crate::{
    api::{ApiClient, IndexStatus, ListedVideo, ReadError, StatusWordRule, http::HttpTransport},
    domain::VideoNo,
    error::Error,
    ledger::{ExternalUsage, ItemId, LedgerError, LedgerPlace, LibraryVideo, Order, Snapshot, VideoOwner},
    quota::{Endpoint, Priority},
    redact,
};

/// The service that is asked for the video.
pub struct AskedService {
    /// Where the request goes.
    pub destination: Destination,
    /// The API key.
    pub key: SecretString,
    /// How long to wait for its answer.
    pub request_timeout: Duration,
    /// The user's own rules for the service's status words.
    pub status_words: Vec<StatusWordRule>,
    /// The limits asked for on the command line.
    pub limits: RequestedLimits,
}

/// Whether a video can be an item.
#[derive(Debug)]
pub enum Adoption {
    /// It can, with what the user should know of it.
    Possible(Vec<String>),
    /// It cannot, with the reason.
    Refused(String),
    /// The service could not be asked, with the reason.
    NotAsked(ReadError),
}

/// Asks the service for a video, and the ledger whose it is. The request counts in the ledger before it leaves.
pub async fn check(
    service: &AskedService,
    path: &LedgerPlace,
    item: ItemId,
    video_no: &VideoNo,
) -> Result<Adoption, Error> {
    let (theirs, ours) = (Snapshot::open(path)?.origin()?, service.destination.name());
    if theirs != ours {
        let path = path.to_string();
        return Err(LedgerError::OtherOrigin { path, theirs, ours }.into());
    }
    let mut questions = Snapshot::open(path)?.open_questions()?;
    questions.retain(|question| question.item == item);
    // an item that is not open is refused by the ledger, with its state
    let Some(question) = questions.pop() else { return Ok(Adoption::Possible(Vec::new())) };
    let namespace = question.submission.namespace;
    let video = match ask(service, path, &namespace, video_no).await {
        Ok(Some(video)) => video,
        Ok(None) => {
            return Ok(Adoption::Refused(format!(
                "the service shows no video {video_no} in the namespace {}: check the number; a video that was accepted just now \
                 may take some minutes to show",
                redact::clean(&namespace)
            )));
        }
        Err(AskError::Read(error)) => return Ok(Adoption::NotAsked(error)),
        Err(AskError::Own(error)) => return Err(error),
    };
    let shows_tags = video.status == IndexStatus::Indexed && !video.tags.is_empty();
    let listed = LibraryVideo {
        video_no: video.video_no.clone(),
        tags: video.tags.clone(),
        shows_tags,
        made_by: question.sent_at,
    };
    let owner = Snapshot::open(path)?.video_owner(&listed)?;
    if let Some(cause) = not_its_own(owner, item, video_no) {
        return Ok(Adoption::Refused(cause));
    }
    let mut notes = Vec::new();
    if video.status == IndexStatus::Failed {
        let cause = redact::clean(video.cause.as_deref().unwrap_or("the service gave no cause"));
        notes.push(format!("the service could not index {video_no} ({cause}): the item will be failed"));
    }
    if owner == VideoOwner::Unmarked && question.marker.is_some() {
        notes.push(format!(
            "{video_no} shows its tags, and the marker of the request is not among them: check that another client did not \
             upload it"
        ));
    }
    Ok(Adoption::Possible(notes))
}

/// Why a video is not that of an item. `None`: it may be.
fn not_its_own(owner: VideoOwner, item: ItemId, video_no: &VideoNo) -> Option<String> {
    match owner {
        VideoOwner::Bound(other) => Some(format!("{video_no} belongs to item {other} already")),
        VideoOwner::Open(other)
        | VideoOwner::Surplus(other)
        | VideoOwner::ResolvedByReview(other)
        | VideoOwner::Rejected(other)
            if other != item =>
        {
            Some(format!("{video_no} carries the marker of item {other}"))
        }
        VideoOwner::Foreign(_) => {
            Some(format!("{video_no} carries the marker of a request that this ledger does not know"))
        }
        VideoOwner::Open(_)
        | VideoOwner::Surplus(_)
        | VideoOwner::ResolvedByReview(_)
        | VideoOwner::Rejected(_)
        | VideoOwner::Unmarked
        | VideoOwner::TagsHidden => None,
    }
}

async fn ask(
    service: &AskedService,
    path: &LedgerPlace,
    namespace: &str,
    video_no: &VideoNo,
) -> Result<Option<ListedVideo>, AskError> {
    let clock = service.destination.clock();
    let (origin, _sandbox) = service.destination.connect(path, &clock).await?;
    let api = ApiClient::new(HttpTransport::patient(&origin, &service.key, service.request_timeout)?)
        .with_status_words(service.status_words.clone());
    let limiter = limiter_of(&Snapshot::open(path)?, &service.limits, &clock)?;
    let permit = limiter.permit(Priority::PollSingle).await;
    // a running import counts it from now on
    let usage = ExternalUsage {
        endpoint: Endpoint::Metadata.as_str().to_owned(),
        at: clock.now().max(Snapshot::open(path)?.latest_timestamp()?),
        count: 1,
        note: None,
    };
    orders::give(path, Order::Count { usage }).await?;
    limiter.depart_read(&permit).await;
    let found = api.metadata(permit, namespace, video_no).await?;
    Ok(found.filter(|video| video.video_no == *video_no))
}

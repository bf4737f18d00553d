//! The API client of the destination service. Every request spends a [`Permit`].
//!
//! - **One request per call.** Nothing here repeats a request. The caller decides what an answer means for the item.
//! - **Answers are decisions**, not errors: an upload ends in a [`Verdict`], a read in a page or a [`ReadError`].
//! - The transport below can be replaced: HTTP, or the sandbox in the same process.

mod connection_error;
pub mod http;
mod message;
mod status_word;
mod streamed_body;
pub mod transport;
mod user_rule;
mod verdict;
mod wire;

pub use status_word::{IndexStatus, StatusWordError, StatusWordRule};
pub use streamed_body::{BodyCut, BodyFeed, BodyProgress, PartSlot, StreamedBody, streamed_body};
pub use transport::Transport;
pub use user_rule::{UserRule, UserRuleError};
pub use verdict::{Certainty, ReadError, Verdict};
pub use wire::{
    FileUpload, ListPage, ListedVideo, PAGE_SIZE_MAX, VIDEO_NOS_MAX, form_of, parse_call, upload_fields,
};

use status_word::StatusWords;

use crate::{
    domain::{Submission, UnixMillis, VideoNo},
    quota::{Endpoint, Permit},
};

/// The video library service, as far as an importer needs it.
#[derive(Debug)]
pub struct ApiClient<T> {
    transport: T,
    own_rules: Vec<UserRule>,
    status_words: StatusWords,
}

impl<T: Transport> ApiClient<T> {
    /// A service reached through `transport`.
    #[must_use]
    pub fn new(transport: T) -> Self {
        Self { transport, own_rules: Vec::new(), status_words: StatusWords::default() }
    }

    /// The same service, whose answers to uploads are read by these rules first.
    #[must_use]
    pub fn with_user_rules(self, own_rules: Vec<UserRule>) -> Self {
        Self { own_rules, ..self }
    }

    /// The same service, whose status words are read by these rules where no document names them.
    #[must_use]
    pub fn with_status_words(self, rules: Vec<StatusWordRule>) -> Self {
        Self { status_words: StatusWords::with(rules), ..self }
    }

    /// Asks the service to take a video (`POST upload_url`). Costs credits when accepted.
    pub async fn upload(&self, permit: Permit, submission: &Submission, marker: Option<&str>) -> Verdict {
        permit.spend(Endpoint::Upload);
        let request = wire::upload_request(submission, marker);
        let verdict = verdict::of_upload(self.transport.exchange(request).await, &self.own_rules);
        verdict.map_cause(|cause| crate::redact::without_values(cause, submission.url.as_str()))
    }

    /// Sends the service a video (`POST upload`), whose body is fed meanwhile. Costs credits when accepted.
    pub async fn upload_file(&self, permit: Permit, upload: &FileUpload, body: StreamedBody) -> Verdict {
        permit.spend(Endpoint::Upload);
        let request = wire::file_request(upload);
        verdict::of_file(self.transport.send_file(request, body).await, &self.own_rules)
    }

    /// Reads one page of a namespace (`POST list_videos`), counted from 1, at most [`PAGE_SIZE_MAX`] videos.
    pub async fn list_page(&self, permit: Permit, namespace: &str, page: u32) -> Result<ListPage, ReadError> {
        permit.spend(Endpoint::List);
        let request = wire::list_page_request(namespace, page);
        let outcome = self.transport.exchange(request).await;
        let date = outcome.as_ref().ok().and_then(|reply| reply.date.clone());
        let page = verdict::of_read(outcome, |data| wire::parse_list_page(data, &self.status_words))?;
        Ok(ListPage { served_at: date.and_then(|text| UnixMillis::parse_http_date(&text)), ..page })
    }

    /// Reads up to [`VIDEO_NOS_MAX`] videos of a namespace (`POST list_videos` with `video_nos`). Those that are not
    /// visible are missing from the page.
    pub async fn list_videos(
        &self,
        permit: Permit,
        namespace: &str,
        video_nos: &[&VideoNo],
    ) -> Result<ListPage, ReadError> {
        permit.spend(Endpoint::List);
        let request = wire::list_videos_request(namespace, video_nos);
        let outcome = self.transport.exchange(request).await;
        verdict::of_read(outcome, |data| wire::parse_list_page(data, &self.status_words))
    }

    /// Asks the service to delete up to [`VIDEO_NOS_MAX`] videos of a namespace (`POST delete_videos`). An accepted request proves
    /// nothing: the service ignores numbers that it does not know. Asking again does no harm.
    pub async fn delete_videos(
        &self,
        permit: Permit,
        namespace: &str,
        video_nos: &[&VideoNo],
    ) -> Result<(), ReadError> {
        permit.spend(Endpoint::Delete);
        let request = wire::delete_request(namespace, video_nos);
        verdict::of_read(self.transport.exchange(request).await, |_| Some(()))
    }

    /// Reads one video (`GET get_metadata`). `None`: when it is not visible, which proves nothing.
    pub async fn metadata(
        &self,
        permit: Permit,
        namespace: &str,
        video_no: &VideoNo,
    ) -> Result<Option<ListedVideo>, ReadError> {
        permit.spend(Endpoint::Metadata);
        let request = wire::metadata_request(namespace, video_no);
        let outcome = self.transport.exchange(request).await;
        verdict::of_read(outcome, |data| wire::parse_metadata(data, &self.status_words))
            .map(wire::MetadataAnswer::video)
    }
}

impl<T> ApiClient<T> {
    /// A sentence about each unknown status word that reads have met since the last call.
    pub fn take_status_word_notices(&self) -> Vec<String> {
        self.status_words.take_notices()
    }
}

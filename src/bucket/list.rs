//! The listing of a bucket, page by page: what is asked again, and what ends it.
//!
//! A listing is whole or an error: an object that is missing in it would count as removed.

use std::{collections::HashSet, time::Duration};

use super::{
    PageAsk, SourceError, Sources,
    http::{Answer, NoAnswer},
    page,
    refusal::{self, answered, code_of, passes},
};
use crate::{
    domain::{BucketPrefix, ListedObject, ObjectStorage},
    retry::{Backoff, parse_retry_after},
};

/// A page is asked for this often at most.
pub(super) const ATTEMPTS_MAX: u32 = 6;
/// Between two attempts.
pub(super) const BACKOFF: Backoff =
    Backoff { base: Duration::from_millis(500), delay_max: Duration::from_secs(20) };
/// A storage that asks for a longer wait is not waited for.
const WAIT_MAX: Duration = Duration::from_mins(2);

/// Why a bucket cannot be listed, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// There are no credentials.
    #[error(transparent)]
    Credentials(#[from] SourceError),
    /// The storage did not give the listing.
    #[error("{0}")]
    NotListed(String),
}

/// Lists a bucket.
pub struct BucketLister<'a> {
    sources: &'a Sources,
    prefix: &'a BucketPrefix,
    /// The token of the page that is next.
    token: Option<String>,
    /// Digests of the tokens so far: a storage that repeats one would be listed for ever.
    seen: HashSet<[u8; 32]>,
    is_over: bool,
}

impl<'a> BucketLister<'a> {
    /// A lister that has asked for nothing yet.
    #[must_use]
    pub fn new(sources: &'a Sources, prefix: &'a BucketPrefix) -> Self {
        Self { sources, prefix, token: None, seen: HashSet::new(), is_over: false }
    }

    /// The next objects, perhaps none. `None`: the listing is complete.
    pub async fn next(&mut self) -> Result<Option<Vec<ListedObject>>, ListError> {
        if self.is_over {
            return Ok(None);
        }
        let fault = |what: &str| ListError::NotListed(what.to_owned());
        let mut page = page::read(self.prefix.storage, &self.body(false).await?);
        // Some stores say that they encode keys, and do not: keys are asked for as they are, and encoded where XML cannot hold one.
        if self.prefix.storage == ObjectStorage::S3 && !page::has_all_keys(&page) {
            page = page::read(self.prefix.storage, &self.body(true).await?);
        }
        let page = page.map_err(fault)?;
        if page.objects.iter().any(|object| !object.key.starts_with(&self.prefix.prefix)) {
            return Err(fault("the storage lists objects that do not begin with the prefix"));
        }
        if let Some(token) = &page.next
            && !self.seen.insert(*blake3::hash(token.as_bytes()).as_bytes())
        {
            return Err(fault("the storage repeats a page: the listing would never end"));
        }
        self.is_over = page.next.is_none();
        self.token = page.next;
        Ok(Some(page.objects))
    }

    /// The answer that holds the next page. What passes by itself is asked again.
    async fn body(&self, is_encoded: bool) -> Result<Vec<u8>, ListError> {
        let mut failures = 0;
        loop {
            // the credentials of a long listing may expire meanwhile
            self.sources.prepare(&self.prefix.owner()).await?;
            let ask = PageAsk { prefix: self.prefix, token: self.token.as_deref(), is_encoded };
            let request = self.sources.list_request(&ask);
            let request =
                request.ok_or_else(|| ListError::NotListed("no request can be signed".to_owned()))?;
            let (cause, wait) = match self.sources.client().map_err(ListError::NotListed)?.get(&request).await
            {
                Ok(Answer { status: 200, body, .. }) if !page::is_error(&body) => return Ok(body),
                Ok(answer) => {
                    let code = code_of(&answer);
                    if !passes(answer.status, code.as_deref()) {
                        return Err(ListError::NotListed(self.refusal(&answer, code.as_deref())));
                    }
                    let asked = answer.retry_after.as_deref();
                    let asked = asked.and_then(|text| parse_retry_after(text, self.sources.clock.now()));
                    (answered(answer.status, code.as_deref()), asked)
                }
                Err(NoAnswer::Lost(cause)) => (cause, None),
                Err(NoAnswer::TooLong) => {
                    return Err(ListError::NotListed("an answer is longer than any page".to_owned()));
                }
            };
            failures += 1;
            let wait = wait.unwrap_or_default().max(BACKOFF.delay(failures, 0.5));
            if failures >= ATTEMPTS_MAX || wait > WAIT_MAX {
                let times = if failures == 1 { "once".to_owned() } else { format!("{failures} times") };
                return Err(ListError::NotListed(format!("{cause}; a page was asked for {times}")));
            }
            tracing::info!(prefix = %self.prefix, %cause, "a page of the listing is asked for again");
            self.sources.clock.sleep(wait).await;
        }
    }

    /// What an answer means that will not change, and what to do.
    fn refusal(&self, answer: &Answer, code: Option<&str>) -> String {
        let BucketPrefix { storage, bucket, .. } = self.prefix;
        let own_region = self.sources.region(&self.prefix.owner());
        let of_credentials = || refusal::of_credentials(answer, code);
        if let Some(text) = refusal::of_region(bucket, own_region, answer).or_else(of_credentials) {
            return text;
        }
        let said = answered(answer.status, code);
        match answer.status {
            404 => {
                let noun = if *storage == ObjectStorage::Azure { "container" } else { "bucket" };
                format!("there is no {noun} {bucket} ({said}): check its name")
            }
            401 | 403 => {
                let right = match storage {
                    ObjectStorage::S3 => "s3:ListBucket on the bucket",
                    ObjectStorage::Google => "storage.objects.list on the bucket",
                    ObjectStorage::Azure => "to list the container (l in the rights of a token)",
                };
                format!("the credentials may not list {bucket} ({said}): they need the right {right}")
            }
            _ => format!("the storage does not give the listing ({said})"),
        }
    }
}

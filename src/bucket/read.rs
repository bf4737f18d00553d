//! Reads an object from its beginning to its end, for a request that sends it on.
//!
//! - **One object.** What is left after a broken connection is asked for by the ETag of the first answer: bytes of two versions are never
//!   put together.
//! - **In flat memory.** Bytes are asked of the network when they are wanted.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::{
    SourceError, Sources,
    http::{Answer, NoAnswer, ObjectBody, ReadAnswer},
    list::{ATTEMPTS_MAX, BACKOFF},
    refusal::{self, answered, code_of, passes},
};
use crate::{
    domain::{ObjectAddress, ObjectStamp, ObjectStorage, SourceUrl},
    local_file::check_size,
};

/// Why an object is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectFault {
    /// It is not what its row says, or nobody may read it. Others may be well.
    #[error("{0}")]
    Refused(String),
    /// The credentials are missing or refused.
    #[error("{0}")]
    Credentials(String),
    /// The storage gives nothing now.
    #[error("{0}")]
    NotNow(String),
}

impl From<SourceError> for ObjectFault {
    fn from(error: SourceError) -> Self {
        Self::Credentials(error.to_string())
    }
}

/// An object that is being read.
pub struct ObjectReader {
    sources: Arc<Sources>,
    url: SourceUrl,
    size: u64,
    /// With its quotes. `None`: the storage names none that proves anything.
    etag: Option<String>,
    progress: Mutex<ReadProgress>,
}

struct ReadProgress {
    /// `None`: the connection broke.
    body: Option<ObjectBody>,
    /// Bytes that arrived and were not asked for yet.
    rest: Vec<u8>,
    /// How many bytes arrived.
    at: u64,
}

impl ObjectReader {
    /// Asks for an object, which must be what its row says.
    pub async fn open(
        sources: Arc<Sources>,
        url: &SourceUrl,
        stamp: &ObjectStamp,
    ) -> Result<Self, ObjectFault> {
        let expected = stamp.etag.as_ref().map(|etag| format!("\"{etag}\""));
        let body = ask(&sources, url, 0, expected.as_deref()).await?;
        if let Some(encoding) = body.encoding.as_deref().filter(|encoding| *encoding != "identity") {
            let encoding = crate::redact::clean(encoding);
            return Err(ObjectFault::Refused(format!(
                "the object is stored with Content-Encoding {encoding}, so its bytes are not the video"
            )));
        }
        let size = body.length.ok_or_else(|| {
            ObjectFault::Refused("the storage does not say how large the object is".to_owned())
        })?;
        check_size(size).map_err(|fault| ObjectFault::Refused(fault.to_string()))?;
        let now = ObjectStamp {
            size: Some(size),
            etag: body.etag.as_deref().map(|etag| etag.trim_matches('"').to_owned()),
        };
        if !stamp.agrees_with(&now) {
            return Err(ObjectFault::Refused(format!("{CHANGED}: it was {stamp}, and is {now}")));
        }
        let etag = body.etag.clone().filter(|etag| !etag.starts_with("W/"));
        let progress = Mutex::new(ReadProgress { body: Some(body), rest: Vec::new(), at: 0 });
        Ok(Self { sources, url: url.clone(), size, etag, progress })
    }

    /// In bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The next bytes, as many as are asked for. The error says why the rest of the object cannot be had.
    pub async fn read(&self, length: usize) -> Result<Vec<u8>, String> {
        let mut progress = self.progress.lock().await;
        while progress.rest.len() < length {
            let cause = match &mut progress.body {
                Some(body) => match body.next().await {
                    Ok(Some(chunk)) => {
                        progress.at += chunk.len() as u64;
                        progress.rest.extend_from_slice(&chunk);
                        continue;
                    }
                    Ok(None) => "the storage sent less than it said".to_owned(),
                    Err(cause) => cause,
                },
                None => String::new(),
            };
            progress.body = None;
            progress.body = Some(self.resume(progress.at, &cause).await?);
        }
        let rest = progress.rest.split_off(length);
        Ok(std::mem::replace(&mut progress.rest, rest))
    }

    /// The same object from a byte on.
    async fn resume(&self, at: u64, cause: &str) -> Result<ObjectBody, String> {
        let Some(etag) = &self.etag else {
            return Err(format!("{cause}; the storage names no ETag, so the rest may be of another object"));
        };
        if at >= self.size {
            return Err("the storage sent more than it said".to_owned());
        }
        tracing::info!(url = %self.url, at, cause, "the rest of the object is asked for");
        let body = ask(&self.sources, &self.url, at, Some(etag)).await;
        let body = body.map_err(|fault| fault.to_string())?;
        if body.etag.as_ref() == Some(etag) && body.length == Some(self.size - at) {
            Ok(body)
        } else {
            Err(CHANGED.to_owned())
        }
    }
}

const CHANGED: &str = "the object changed";

/// Asks for an object from a byte on. What passes by itself is asked again.
async fn ask(
    sources: &Sources,
    url: &SourceUrl,
    from: u64,
    etag: Option<&str>,
) -> Result<ObjectBody, ObjectFault> {
    let Some(object) = url.object() else {
        return Err(ObjectFault::Refused("the address names no object".to_owned()));
    };
    if sources.origin.is_none() {
        return Err(ObjectFault::NotNow("links are made up here, and no object is read".to_owned()));
    }
    let client = sources.client().map_err(ObjectFault::NotNow)?;
    let mut failures = 0;
    loop {
        let link = sources.link(url).await?;
        let cause = match client.read(link.as_str(), from, etag).await {
            Ok(ReadAnswer::Object(body)) => return Ok(body),
            Ok(ReadAnswer::Other(answer)) => {
                let code = code_of(&answer);
                if !passes(answer.status, code.as_deref()) {
                    let region = sources.region(&object.owner());
                    return Err(fault_of(&object, region, &answer, code.as_deref()));
                }
                answered(answer.status, code.as_deref())
            }
            Err(NoAnswer::Lost(cause)) => cause,
            Err(NoAnswer::TooLong) => "its answer is too long".to_owned(),
        };
        failures += 1;
        if failures >= ATTEMPTS_MAX {
            return Err(ObjectFault::NotNow(format!("the storage does not give the object: {cause}")));
        }
        tracing::info!(%url, %cause, "an object is asked for again");
        sources.clock.sleep(BACKOFF.delay(failures, 0.5)).await;
    }
}

/// What an answer means that will not change, and what to do.
fn fault_of(
    object: &ObjectAddress<'_>,
    region: Option<String>,
    answer: &Answer,
    code: Option<&str>,
) -> ObjectFault {
    let of_credentials = || refusal::of_credentials(answer, code);
    if let Some(text) = refusal::of_region(object.bucket, region, answer).or_else(of_credentials) {
        return ObjectFault::Credentials(text);
    }
    let said = answered(answer.status, code);
    match (answer.status, code) {
        (412, _) => ObjectFault::Refused(CHANGED.to_owned()),
        (_, Some("InvalidObjectState" | "BlobArchived")) => {
            ObjectFault::Refused(format!("the object is archived ({said}): restore it first"))
        }
        (404, _) => ObjectFault::Refused(format!("there is no such object ({said})")),
        (401 | 403, _) => {
            let right = match object.storage {
                ObjectStorage::S3 => "s3:GetObject",
                ObjectStorage::Google => "storage.objects.get",
                ObjectStorage::Azure => "to read (r in the rights of a token)",
            };
            ObjectFault::Refused(format!(
                "the credentials may not read the object ({said}): it is not there, or they need the right {right}"
            ))
        }
        _ => ObjectFault::NotNow(format!("the storage does not give the object ({said})")),
    }
}

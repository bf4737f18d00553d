//! The bytes of a video that telecine sends: a file on this machine, or an object in a bucket.

use std::{sync::Arc, time::Duration};

use crate::{
    blocking,
    bucket::{ObjectFault, ObjectReader},
    domain::{StopReason, Submission},
    local_file::{OpenFault, OpenFile},
    pipeline::context::Context,
};

/// The longest time to open a file or to reach an object: a request must start soon after its claim.
const OPEN_MAX: Duration = Duration::from_secs(4);

/// Why a body is not begun.
pub(super) enum BodyFault {
    /// The row is no longer right, or nobody may read what it names.
    Row(String),
    /// The storage refuses the credentials. The row may be right.
    Credentials(String),
    /// Nothing can be read now. The row may be right.
    Stop { reason: StopReason, cause: String },
}

impl BodyFault {
    fn unreadable(cause: impl Into<String>) -> Self {
        Self::Stop { reason: StopReason::FilesUnreadable, cause: cause.into() }
    }
}

impl From<OpenFault> for BodyFault {
    fn from(fault: OpenFault) -> Self {
        match fault {
            OpenFault::Changed(cause) => Self::Row(cause),
            OpenFault::Unreadable(cause) => Self::unreadable(cause),
        }
    }
}

impl From<ObjectFault> for BodyFault {
    fn from(fault: ObjectFault) -> Self {
        match fault {
            ObjectFault::Refused(cause) => Self::Row(cause),
            ObjectFault::Credentials(cause) => Self::Credentials(cause),
            ObjectFault::NotNow(cause) => Self::unreadable(cause),
        }
    }
}

/// A file or an object that is open.
pub(super) enum VideoBytes {
    File(Arc<OpenFile>),
    Object(Box<ObjectReader>),
}

impl VideoBytes {
    /// Opens what a submission names, if it is what its row says. `None`: the service fetches the video.
    pub(super) async fn open<T>(
        context: &Context<T>,
        submission: &Submission,
    ) -> Result<Option<Self>, BodyFault> {
        if !submission.has_body() {
            return Ok(None);
        }
        tokio::select! {
            biased;
            opened = Self::open_now(context, submission) => opened,
            () = context.clock.sleep(OPEN_MAX * context.clock.speed()) => {
                let what = if submission.file.is_some() { "its disk" } else { "its storage" };
                Err(BodyFault::unreadable(format!("{what} does not answer")))
            }
        }
    }

    async fn open_now<T>(context: &Context<T>, submission: &Submission) -> Result<Option<Self>, BodyFault> {
        if let Some((path, stamp)) = submission.url.file().zip(submission.file) {
            let opened = blocking::run(move || OpenFile::open(&path, stamp)).await;
            let opened =
                opened.map_err(|error| BodyFault::unreadable(format!("opening it ended early: {error}")))?;
            return Ok(Some(Self::File(Arc::new(opened?))));
        }
        let Some(stamp) = &submission.object else { return Ok(None) };
        let reader = ObjectReader::open(Arc::clone(&context.sources), &submission.url, stamp).await?;
        Ok(Some(Self::Object(Box::new(reader))))
    }

    /// In bytes.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::File(file) => file.size(),
            Self::Object(reader) => reader.size(),
        }
    }

    /// The bytes from a place on, which follow those that were read last. The error says why they cannot be had.
    pub(super) async fn read(&self, at: u64, length: u64) -> Result<Vec<u8>, String> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        match self {
            Self::Object(reader) => reader.read(length).await,
            Self::File(file) => {
                let file = Arc::clone(file);
                let part = blocking::run(move || file.read_at(at, length)).await;
                let part = part.map_err(unreadable)?.map_err(unreadable)?;
                if part.len() == length {
                    Ok(part)
                } else {
                    Err("the file became shorter while it was sent".to_owned())
                }
            }
        }
    }

    /// That what was read is one content, and that of the row. An object is read by its ETag.
    pub(super) async fn confirm(&self) -> Result<(), String> {
        let Self::File(file) = self else { return Ok(()) };
        let file = Arc::clone(file);
        let is_unchanged = blocking::run(move || file.is_unchanged()).await;
        if is_unchanged.map_err(unreadable)?.map_err(unreadable)? {
            Ok(())
        } else {
            Err("the file changed while it was sent".to_owned())
        }
    }
}

fn unreadable(error: impl std::error::Error) -> String {
    format!("the file cannot be read: {error}")
}

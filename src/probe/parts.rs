//! Where the parts of a video are read: at its host, or in a file on this machine.

use std::sync::Arc;

use url::Url;

use super::{NOT_UNDERSTOOD, finding::ProbeFinding};
use crate::{blocking, local_file::OpenFile};

/// Where the parts of a video are read.
pub(super) enum PartsPlace {
    Host(Url),
    File(Arc<OpenFile>),
}

/// A part of a file.
pub(super) async fn read(file: &Arc<OpenFile>, at: u64, length: usize) -> Result<Vec<u8>, ProbeFinding> {
    let own = Arc::clone(file);
    match blocking::run(move || own.read_at(at, length)).await {
        Ok(Ok(bytes)) if !bytes.is_empty() => Ok(bytes),
        Ok(Ok(_)) => Err(ProbeFinding::unclear("file_changed", "the file was cut while it was read")),
        Ok(Err(error)) => Err(ProbeFinding::unclear("file_unreadable", format!("cannot be read: {error}"))),
        Err(_) => Err(ProbeFinding::unclear("not_understood", NOT_UNDERSTOOD)),
    }
}

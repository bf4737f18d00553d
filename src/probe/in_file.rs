//! The probe of a file on this machine: is it a video, and does the service support it? Only the parts with its index are read.

use std::{path::PathBuf, sync::Arc};

use super::{
    NOT_UNDERSTOOD, Prober,
    container::{ContainerKind, kind_of},
    fetcher::Fetcher,
    finding::ProbeFinding,
    inspect::{HEAD_MAX, megabytes, refuse_kind},
    partial_file::PartialFile,
    parts::{PartsPlace, read},
};
use crate::{
    blocking,
    domain::{FileStamp, ProbeVerdict},
    local_file::{OpenFault, OpenFile},
};

impl<W: Fetcher> Prober<W> {
    /// Probes a file.
    pub(super) async fn find_in_file(&self, path: PathBuf, stamp: FileStamp) -> ProbeFinding {
        // never closed
        let _turn = self.requests.acquire().await.ok();
        self.find_in_open_file(path, stamp).await.unwrap_or_else(|finding| finding)
    }

    async fn find_in_open_file(&self, path: PathBuf, stamp: FileStamp) -> Result<ProbeFinding, ProbeFinding> {
        let opened = blocking::run(move || OpenFile::open(&path, stamp)).await;
        let file = match opened {
            Ok(Ok(file)) => Arc::new(file),
            Ok(Err(OpenFault::Changed(cause))) => return Err(ProbeFinding::unclear("file_changed", cause)),
            Ok(Err(OpenFault::Unreadable(cause))) => {
                return Err(ProbeFinding::unclear("file_unreadable", cause));
            }
            Err(_) => return Err(ProbeFinding::unclear("not_understood", NOT_UNDERSTOOD)),
        };
        let head = read(&file, 0, HEAD_MAX).await?;
        let container = match kind_of(&head) {
            ContainerKind::Container(container) => container,
            // it is sent by its name; no library here reads its codecs
            ContainerKind::OtherVideo(what) => {
                let found = format!("{what}: telecine does not read the codecs in it");
                return Err(ProbeFinding::unclear("other_container", found));
            }
            ContainerKind::Playlist => {
                return Err(ProbeFinding::unfit("no_video", "a playlist, and no video"));
            }
            kind @ (ContainerKind::Page
            | ContainerKind::Image
            | ContainerKind::Audio
            | ContainerKind::NoVideo(_)
            | ContainerKind::Unknown) => return Err(refuse_kind(kind)),
        };
        let size = file.size();
        let bytes = PartialFile::new(head, Some(size));
        let finding = self.find_in_container(container, bytes, &PartsPlace::File(file)).await?;
        if finding.verdict != ProbeVerdict::Supported {
            return Ok(finding);
        }
        Ok(ProbeFinding { found: format!("{}, {}", finding.found, megabytes(size)), ..finding })
    }
}

//! A draft: what a record says, borrowed from the record as far as it can be. Looking at a million rows must not copy them.

use std::borrow::Cow;

use crate::domain::{
    Coordinates, FileStamp, ItemKey, ManifestRow, ObjectStamp, Problem, SourceUrl, Submission,
};

/// What a record says.
#[derive(Clone, Debug)]
pub(super) struct BorrowedRow<'a> {
    /// Normalised.
    pub(super) address: Cow<'a, str>,
    /// Of the file that it names.
    pub(super) file: Option<FileStamp>,
    /// Of the object that it names, where its bytes are sent.
    pub(super) object: Option<ObjectStamp>,
    pub(super) namespace: Cow<'a, str>,
    pub(super) item_id: Option<Cow<'a, str>>,
    pub(super) tags: Vec<Cow<'a, str>>,
    pub(super) coordinates: Option<Coordinates>,
    pub(super) datetime_taken: Option<Cow<'a, str>>,
    pub(super) camera_model: Option<Cow<'a, str>>,
    pub(super) callback: Option<Cow<'a, str>>,
    pub(super) retain_original_video: Option<bool>,
    pub(super) video_transcription_prompt: Option<Cow<'a, str>>,
    pub(super) external_id: Option<Cow<'a, str>>,
    pub(super) content_hash: Option<Cow<'a, str>>,
    /// What the user should know though the row is sent.
    pub(super) warnings: Vec<Problem>,
}

impl BorrowedRow<'_> {
    /// The item it is of: the same as its row's.
    pub(super) fn key(&self) -> ItemKey {
        ItemKey::of(&self.namespace, self.item_id.as_deref(), &self.address)
    }

    /// The key by the address alone, where the item is known by its id.
    pub(super) fn url_key(&self) -> Option<ItemKey> {
        self.item_id.is_some().then(|| ItemKey::of(&self.namespace, None, &self.address))
    }

    /// A digest of the row's own id in its namespace.
    pub(super) fn id_key(&self) -> Option<[u8; 16]> {
        let id = self.external_id.as_deref()?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(self.namespace.len() as u64).to_le_bytes());
        hasher.update(self.namespace.as_bytes());
        hasher.update(id.as_bytes());
        let mut key = [0; 16];
        key.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Some(key)
    }

    /// The row, with its line and its original cells.
    pub(super) fn into_row(self, line: u64, cells: Vec<String>) -> ManifestRow {
        let owned = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
        ManifestRow {
            line,
            cells,
            external_id: owned(self.external_id),
            content_hash: owned(self.content_hash),
            warnings: self.warnings,
            submission: Submission {
                url: SourceUrl::of_normal(self.address),
                file: self.file,
                object: self.object,
                namespace: self.namespace.into_owned(),
                item_id: owned(self.item_id),
                tags: self.tags.into_iter().map(Cow::into_owned).collect(),
                coordinates: self.coordinates,
                datetime_taken: owned(self.datetime_taken),
                camera_model: owned(self.camera_model),
                callback: owned(self.callback),
                retain_original_video: self.retain_original_video,
                video_transcription_prompt: owned(self.video_transcription_prompt),
            },
        }
    }
}

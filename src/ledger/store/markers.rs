//! Bound videos whose marker names another row.

use super::Snapshot;
use crate::ledger::{ItemId, LedgerError, LibraryVideo, OtherMarker, marker::Marked, values::submission_of};

impl Snapshot {
    /// The given videos that are bound to an item, and carry no marker of it but one of another row.
    pub fn other_markers(&self, videos: &[LibraryVideo]) -> Result<Vec<OtherMarker>, LedgerError> {
        let mut others = Vec::new();
        for video in videos {
            others.extend(self.other_marker(video)?);
        }
        Ok(others)
    }

    fn other_marker(&self, video: &LibraryVideo) -> Result<Option<OtherMarker>, LedgerError> {
        let marked: Vec<Marked> = video.tags.iter().filter_map(|tag| Marked::parse(tag)).collect();
        let Some(first) = marked.first() else { return Ok(None) };
        let mut bound = self.connection.prepare(
            "SELECT item.id, item.key, item.submission FROM attempt JOIN item ON item.id = attempt.item \
             WHERE attempt.video_no = ?1",
        )?;
        let mut rows = bound.query([video.video_no.as_str()])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let (item, key): (i64, [u8; 16]) = (row.get("id")?, row.get("key")?);
        for own in &marked {
            // what names the row may be of an earlier request of it, or of another ledger that sent the same row
            let sql = "SELECT 1 FROM attempt WHERE item = ?1 AND marker = ?2";
            if key.starts_with(&own.key_prefix) || self.find::<i64>(sql, (item, &own.text))?.is_some() {
                return Ok(None);
            }
        }
        let sql = "SELECT id FROM item WHERE key >= ?1 AND key < ?2 LIMIT 1";
        let names = self.find(sql, (first.key_from(), first.key_until()))?.map(ItemId);
        Ok(Some(OtherMarker {
            video_no: video.video_no.clone(),
            item: ItemId(item),
            url: submission_of(&row.get::<_, String>("submission")?)?.url,
            names,
        }))
    }
}

//! Videos whose marker contradicts what the ledger has.

use super::Snapshot;
use crate::{
    domain::VideoNo,
    ledger::{
        ItemId, LedgerError, LibraryVideo, OtherMarker,
        marker::Marked,
        values::{submission_of, video_no_of},
    },
};

impl Snapshot {
    /// The given videos that are bound to an item, and carry no marker of it but one of another row.
    pub fn other_markers(&self, videos: &[LibraryVideo]) -> Result<Vec<OtherMarker>, LedgerError> {
        let mut others = Vec::new();
        for video in videos {
            others.extend(self.other_marker(video)?);
        }
        Ok(others)
    }

    /// The number that the ledger has for the request that each video carries the marker of, if it is another one.
    pub fn bound_elsewhere(&self, videos: &[LibraryVideo]) -> Result<Vec<Option<VideoNo>>, LedgerError> {
        let mut bound = self.connection.prepare(
            "SELECT attempt.video_no FROM item JOIN attempt ON attempt.id = item.attempt \
             WHERE item.key >= ?1 AND item.key < ?2 AND attempt.marker = ?3 AND attempt.video_no <> ?4",
        )?;
        let mut numbers = Vec::with_capacity(videos.len());
        for video in videos {
            let mut number: Option<String> = None;
            for marked in video.tags.iter().filter_map(|tag| Marked::parse(tag)) {
                let own = (marked.key_from(), marked.key_until(), &marked.text, video.video_no.as_str());
                number = number.or(bound.find_row(own, |row| row.get(0))?);
            }
            numbers.push(number.map(|number| video_no_of(&number)).transpose()?);
        }
        Ok(numbers)
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

//! A video that the mock accepted, and how the service would show it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::policy::Policy;
use crate::domain::UnixMillis;

/// 2021-01-01T00:00:00Z: numbers count milliseconds from here (seen in every documented sample).
const NUMBER_EPOCH_MS: i64 = 1_609_459_200_000;

/// One accepted upload; also one line of the sandbox's record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Video {
    /// The number the service gave it.
    pub video_no: String,
    /// The API key it came with.
    pub account: String,
    /// The namespace.
    pub unique_id: String,
    /// The source, or the name of the file.
    pub url: String,
    /// The size of the file, in bytes. `None`: the service fetched the video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_size: Option<u64>,
    /// The tags as sent.
    pub tags: Vec<String>,
    /// As sent.
    pub datetime_taken: Option<String>,
    /// As sent.
    pub latitude: Option<f64>,
    /// As sent.
    pub longitude: Option<f64>,
    /// As sent.
    pub camera_model: Option<String>,
    /// When it was accepted.
    pub created_at: UnixMillis,
    /// When its indexing ends.
    pub indexed_at: UnixMillis,
    /// Whether its indexing fails.
    pub fails: bool,
    /// Whether listings never show it.
    #[serde(default)]
    pub unlisted: bool,
    /// When it was accepted, by the service's own clock.
    #[serde(default)]
    pub dated: UnixMillis,
    /// When it was deleted: a line of its own in the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<UnixMillis>,
}

/// The number of the `sequence`-th video, made at this time.
pub(super) fn number(timestamp: UnixMillis, sequence: u64) -> String {
    let milliseconds = u64::try_from(timestamp.0 - NUMBER_EPOCH_MS).unwrap_or(0);
    format!("VI{}", (milliseconds << 22) | (sequence & 0x3f_ffff))
}

impl Video {
    fn status(&self, now: UnixMillis) -> &'static str {
        if now < self.indexed_at {
            "UNPARSE"
        } else if self.fails {
            "FAILED"
        } else {
            "PARSE"
        }
    }

    pub(super) fn is_parsed(&self, now: UnixMillis) -> bool {
        self.status(now) == "PARSE"
    }

    /// As a listing or `get_metadata` shows it: what was sent along shows only when it is indexed.
    pub(super) fn show(&self, now: UnixMillis, policy: &Policy) -> Value {
        let mut shown = json!({
            "video_no": self.video_no,
            "video_name": format!("mavi_api_video_{}", self.video_no),
            "status": self.status(now),
            "create_time": self.dated.0 - policy.listed_behind_ms,
        });
        if self.is_parsed(now) {
            let kept = |tag: &String| if policy.changes_tags { tag.to_uppercase() } else { tag.clone() };
            let sent = if now < self.indexed_at.plus(policy.tags_lag) { &[][..] } else { &self.tags };
            let tags: Vec<String> = sent.iter().map(kept).chain(["api".to_owned()]).collect();
            shown["tags"] = json!(tags);
            shown["duration"] = json!(60);
            shown["size"] = json!(self.file_size.unwrap_or(1_048_576));
        } else if now >= self.indexed_at {
            shown["cause"] = json!("unsupported codec");
        }
        shown
    }

    /// As the answer to its upload.
    pub(super) fn receipt(&self) -> Value {
        json!({
            "videoNo": self.video_no,
            "videoName": format!("mavi_api_video_{}", self.video_no),
            "videoStatus": "UNPARSE",
            "uploadTime": self.dated.0.to_string(),
        })
    }
}

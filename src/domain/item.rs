//! What an item, its submission and a video number are.
//!
//! Every type here is valid by construction: whoever holds a [`SourceUrl`] holds an http(s) address with a host and
//! without credentials, or the address of an object in a bucket or of a file.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{FileStamp, ObjectStamp, signature, source_url::SourceUrl};

/// The identity of an item: one source URL in one namespace. A row's line number is never part of it, so a manifest may
/// be reordered, split or extended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemKey(pub [u8; 16]);

impl ItemKey {
    /// Derives the key. Two rows with the same namespace and the same normalised URL are the same item. The fragment of
    /// a URL is not part of it, nor is the signature of a signed link: a link with a new signature is the same video.
    #[must_use]
    pub fn derive(namespace: &str, url: &SourceUrl) -> Self {
        Self::derive_by_address(namespace, url.as_str())
    }

    fn derive_by_address(namespace: &str, address: &str) -> Self {
        let address = signature::unsigned(address);
        Self::of_parts(namespace, "\n", &address)
    }

    fn of_parts(namespace: &str, joint: &str, name: &str) -> Self {
        /// Nearly all are shorter, and need no incremental hasher.
        const SHORT: usize = 512;
        let parts = [namespace.as_bytes(), joint.as_bytes(), name.as_bytes()];
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if length <= SHORT {
            let mut text = [0; SHORT];
            let mut at = 0;
            for part in parts {
                text[at..at + part.len()].copy_from_slice(part);
                at += part.len();
            }
            return Self(first_16(blake3::hash(&text[..length]).as_bytes()));
        }
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(part);
        }
        Self(first_16(hasher.finalize().as_bytes()))
    }

    /// The key of an item: by the user's own id where there is one, else by its normalised address.
    #[must_use]
    pub fn of(namespace: &str, item_id: Option<&str>, address: &str) -> Self {
        match item_id {
            Some(id) => Self::derive_by_id(namespace, id),
            None => Self::derive_by_address(namespace, address),
        }
    }

    fn derive_by_id(namespace: &str, id: &str) -> Self {
        // no address begins so
        Self::of_parts(namespace, "\nid:", id)
    }

    /// The first eight bytes as hexadecimal, the part that goes into a marker tag.
    #[must_use]
    pub fn prefix_hex(&self) -> String {
        hex(&self.0[..8])
    }
}

/// The key of a probe of an address: the whole address, since its signature decides what it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressDigest(pub [u8; 16]);

impl SourceUrl {
    /// The key of a probe of it.
    #[must_use]
    pub fn digest(&self) -> AddressDigest {
        AddressDigest(first_16(blake3::hash(self.as_str().as_bytes()).as_bytes()))
    }

    /// The key of a probe of what it leads to. A file on this machine that has changed was not probed.
    #[must_use]
    pub fn digest_with(&self, file: Option<&FileStamp>) -> AddressDigest {
        let Some(FileStamp { size, modified_at }) = file else { return self.digest() };
        let text = format!("{size}:{}:{}", modified_at.0, self.as_str());
        AddressDigest(first_16(blake3::hash(text.as_bytes()).as_bytes()))
    }
}

impl fmt::Debug for ItemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ItemKey({})", hex(&self.0))
    }
}

/// A number the service gave to an accepted video, such as `VI635229846249218048`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Debug)]
#[serde(transparent)]
pub struct VideoNo(String);

impl VideoNo {
    /// Accepts 4 to 64 letters, digits, `_` and `-`. `None`: anything else, because server data is not trusted.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let long_enough = (4..=64).contains(&text.len());
        let clean = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        (long_enough && clean).then(|| Self(text.to_owned()))
    }

    /// The number as the service spells it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VideoNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A place on earth in decimal degrees.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Coordinates {
    /// -90 to 90, north positive.
    pub latitude: f64,
    /// -180 to 180, east positive.
    pub longitude: f64,
}

/// What the service is asked to take: one row's values exactly as they will be sent, the marker tag excepted.
///
/// Field names are the service's own (documented form fields of `upload_url`).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Submission {
    /// Where the service fetches the video.
    pub url: SourceUrl,
    /// What the file was when the row was read. `None`: it is no file on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileStamp>,
    /// What the object was when the row was read, where telecine sends its bytes. `None`: it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectStamp>,
    /// The service's `unique_id`: the namespace that holds the video.
    #[serde(rename = "ns")]
    pub namespace: String,
    /// The user's own id, where it identifies items, and not their address. It is not sent.
    #[serde(default, rename = "id", skip_serializing_if = "Option::is_none")]
    pub item_id: Option<String>,
    /// At most [`Submission::TAGS_MAX`], each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Where it was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coordinates: Option<Coordinates>,
    /// When it was taken: `yyyy-MM-dd HH:mm:ss`. The service states no time zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datetime_taken: Option<String>,
    /// At most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera_model: Option<String>,
    /// Called by the service when the video is indexed; at most 299 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<String>,
    /// Whether the service keeps the original file; its own default is to keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retain_original_video: Option<bool>,
    /// A hint for the service's transcription.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_transcription_prompt: Option<String>,
}

/// A field that two submissions of the same item have different values for. An empty value is none.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, schemars::JsonSchema)]
pub struct FieldChange {
    /// Its name in a mapping.
    pub field: &'static str,
    pub old: String,
    pub new: String,
}

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &str| if value.is_empty() { "(none)".to_owned() } else { value.to_owned() };
        write!(f, "{}: {} -> {}", self.field, shown(&self.old), shown(&self.new))
    }
}

impl Submission {
    /// Tags the service takes for one video (its upload documentation).
    pub const TAGS_MAX: usize = 20;

    /// A video with no content but its address.
    #[must_use]
    pub const fn new(url: SourceUrl, namespace: String) -> Self {
        Self {
            url,
            file: None,
            object: None,
            namespace,
            item_id: None,
            tags: Vec::new(),
            coordinates: None,
            datetime_taken: None,
            camera_model: None,
            callback: None,
            retain_original_video: None,
            video_transcription_prompt: None,
        }
    }

    /// The item this submission belongs to.
    #[must_use]
    pub fn key(&self) -> ItemKey {
        ItemKey::of(&self.namespace, self.item_id.as_deref(), self.url.as_str())
    }

    /// The key by the address alone, whatever id the row has.
    #[must_use]
    pub fn url_key(&self) -> ItemKey {
        ItemKey::of(&self.namespace, None, self.url.as_str())
    }

    /// Whether telecine sends the bytes of the video. If not, the service fetches it.
    #[must_use]
    pub const fn has_body(&self) -> bool {
        self.file.is_some() || self.object.is_some()
    }

    /// The bytes of the video that telecine sends, as far as they are known before.
    #[must_use]
    pub fn body_size(&self) -> Option<u64> {
        let of_object = || self.object.as_ref().and_then(|object| object.size);
        self.file.map(|file| file.size).or_else(of_object)
    }

    /// Whether the other is the same but for the signature of the link. How an object is sent is no content.
    #[must_use]
    pub fn has_same_content(&self, other: &Self) -> bool {
        let same_link = self.url.without_signature() == other.url.without_signature();
        let rest = Self { url: self.url.clone(), object: self.object.clone(), ..other.clone() };
        same_link && self.has_same_object(other) && rest == *self
    }

    fn has_same_object(&self, other: &Self) -> bool {
        let stamps = self.object.as_ref().zip(other.object.as_ref());
        stamps.is_none_or(|(own, other)| own.agrees_with(other))
    }

    /// The fields in which another submission of the same item differs.
    #[must_use]
    pub fn differences(&self, new: &Self) -> Vec<FieldChange> {
        fn text(value: Option<&String>) -> String {
            value.cloned().unwrap_or_default()
        }
        let place = |own: &Self| {
            own.coordinates
                .map_or_else(String::new, |place| format!("{},{}", place.latitude, place.longitude))
        };
        let retain =
            |own: &Self| own.retain_original_video.map_or_else(String::new, |retain| retain.to_string());
        let is_other_object = !self.has_same_object(new);
        let object = |own: &Self| own.object.as_ref().filter(|_| is_other_object).map(ToString::to_string);
        let values = |own: &Self| {
            [
                ("url", crate::redact::url(&own.url.without_signature())),
                ("file", own.file.map_or_else(String::new, |file| file.to_string())),
                ("object", object(own).unwrap_or_default()),
                ("tags", crate::redact::opaque(&own.tags.join("; "))),
                ("geo", place(own)),
                ("datetime", text(own.datetime_taken.as_ref())),
                ("camera_model", crate::redact::opaque(&text(own.camera_model.as_ref()))),
                ("callback", crate::redact::url(&text(own.callback.as_ref()))),
                ("retain_original_video", retain(own)),
                (
                    "video_transcription_prompt",
                    crate::redact::opaque(&text(own.video_transcription_prompt.as_ref())),
                ),
            ]
        };
        let pairs = values(self).into_iter().zip(values(new)).filter(|((_, old), (_, new))| old != new);
        pairs.map(|((field, old), (_, new))| FieldChange { field, old, new }).collect()
    }

    /// Fingerprint of everything that would be sent: a changed row shows as another fingerprint under the same key.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 16] {
        let text = serde_json::to_vec(self).unwrap_or_default();
        first_16(blake3::hash(&text).as_bytes())
    }
}

/// A short digest of texts in this order, each with its length, so that no two lists of texts look alike.
#[must_use]
pub fn digest_of(parts: impl IntoIterator<Item = String>) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hex(&hasher.finalize().as_bytes()[..8])
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn first_16(bytes: &[u8; 32]) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&bytes[..16]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_url_in_one_namespace_is_one_item() {
        let url = |text| SourceUrl::parse(text).unwrap();
        let key = ItemKey::derive("default", &url("https://host/a.mp4"));
        assert_eq!(key, ItemKey::derive("default", &url("https://HOST:443/a.mp4#t=1")));
        assert_ne!(key, ItemKey::derive("other", &url("https://host/a.mp4")));
        assert_ne!(key, ItemKey::derive("default", &url("https://host/b.mp4")));
    }

    #[test]
    fn two_submissions_of_an_item_differ_by_their_fields() {
        let url = SourceUrl::parse("https://h/a.mp4?Signature=canary&Expires=1&AWSAccessKeyId=k").unwrap();
        let old = Submission {
            tags: vec!["a".to_owned()],
            camera_model: Some("X".to_owned()),
            ..Submission::new(url, "default".to_owned())
        };
        let tags = vec!["a".to_owned(), "b".to_owned()];
        let new = Submission { tags, camera_model: None, ..old.clone() };
        let shown: Vec<String> = old.differences(&new).iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["tags: a -> a; b", "camera_model: X -> (none)"]);
        assert!(old.differences(&old).is_empty());
    }

    #[test]
    fn an_object_has_changed_only_where_both_readings_say_what_it_was() {
        let url = SourceUrl::parse("s3://bucket/a.mp4").unwrap();
        let stamp = |size, etag: &str| ObjectStamp { size: Some(size), etag: Some(etag.to_owned()) };
        let of = |object| Submission { object, ..Submission::new(url.clone(), "default".to_owned()) };
        let (first, link, unknown) = (of(Some(stamp(5, "a"))), of(None), of(Some(ObjectStamp::default())));
        for same in [&first, &link, &unknown] {
            assert!(first.has_same_content(same) && same.has_same_content(&first), "{same:?}");
            assert!(first.differences(same).is_empty(), "{same:?}");
        }
        for other in [of(Some(stamp(5, "b"))), of(Some(ObjectStamp { size: Some(6), etag: None }))] {
            assert!(!first.has_same_content(&other), "{other:?}");
            assert_eq!(first.differences(&other).len(), 1, "{other:?}");
        }
        let shown = first.differences(&of(Some(stamp(6, "b"))))[0].to_string();
        assert_eq!(shown, "object: 5 bytes with the ETag a -> 6 bytes with the ETag b");
    }

    #[test]
    fn a_link_with_a_new_signature_is_the_same_item() {
        let key = |text: &str| ItemKey::derive("default", &SourceUrl::parse(text).unwrap());
        for (first, second) in [
            (
                "https://b.s3/a.mp4?X-Amz-Date=1&X-Amz-Signature=aa&part=2",
                "https://b.s3/a.mp4?part=2&X-Amz-Date=3&X-Amz-Signature=bb",
            ),
            ("https://x.blob/a.mp4?sv=1&se=2024&sig=aa", "https://x.blob/a.mp4?sv=2&se=2025&sig=bb"),
            (
                "https://c/a.mp4?Expires=1&Signature=aa&Key-Pair-Id=K",
                "https://c/a.mp4?Expires=2&Signature=bb&Key-Pair-Id=K",
            ),
        ] {
            assert_eq!(key(first), key(second), "{first}");
        }
        assert_ne!(
            key("https://h/a.mp4?se=1"),
            key("https://h/a.mp4?se=2"),
            "without a signature nothing is left out"
        );
        assert_ne!(
            key("https://b.s3/a.mp4?part=1&X-Amz-Date=1&X-Amz-Signature=a"),
            key("https://b.s3/a.mp4?part=2&X-Amz-Date=1&X-Amz-Signature=a")
        );
    }

    #[test]
    fn a_video_number_from_the_server_is_checked() {
        assert!(VideoNo::parse("VI635229846249218048").is_some());
        assert!(VideoNo::parse("mavi_video_1").is_some());
        for bad in ["", "VI1", "VI 635229846249", "VI1234'; --", &"9".repeat(65)] {
            assert!(VideoNo::parse(bad).is_none(), "{bad}");
        }
    }
}

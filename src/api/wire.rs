//! The service's JSON and forms: what we send, letter by letter, and what we understand of what comes back.
//!
//! Three generations of the service's documents disagree on types and spellings; both of each are taken: `videoNo` and
//! `video_no`, numbers as numbers or strings, `"null"` for nothing.

use std::path::PathBuf;

use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use super::{
    status_word::{IndexStatus, StatusWords},
    transport::{Content, HttpMethod, Request},
};
use crate::{
    domain::{Submission, UnixMillis, VideoNo},
    local_file::media_type,
};

/// Videos on one page at most (the service's plugin documentation).
pub const PAGE_SIZE_MAX: u32 = 200;

/// Numbers in one `video_nos`, or in one request to delete, at most: the smallest documented bound for such lists.
pub const VIDEO_NOS_MAX: usize = 100;

/// The longest answer read of an upload or a single video, in bytes.
const ANSWER_MAX: usize = 1024 * 1024;
/// The longest answer read of a listing, in bytes: 200 videos of 10 KiB each.
const LIST_ANSWER_MAX: usize = 2 * 1024 * 1024;

/// The fields of `POST upload_url` in their order: `tags` repeated, booleans in lower case, no field empty. Those of `POST upload`
/// are the same without the address: the file follows them.
#[must_use]
pub fn upload_fields(submission: &Submission, marker: Option<&str>) -> Vec<(&'static str, String)> {
    let url = (!submission.has_body()).then(|| ("url", submission.url.as_str().to_owned()));
    let mut fields: Vec<_> = url.into_iter().chain([("unique_id", submission.namespace.clone())]).collect();
    fields
        .extend(submission.tags.iter().map(String::as_str).chain(marker).map(|tag| ("tags", tag.to_owned())));
    if let Some(place) = submission.coordinates {
        fields.push(("latitude", place.latitude.to_string()));
        fields.push(("longitude", place.longitude.to_string()));
    }
    let texts = [
        ("datetime_taken", &submission.datetime_taken),
        ("camera_model", &submission.camera_model),
        ("callback", &submission.callback),
        ("video_transcription_prompt", &submission.video_transcription_prompt),
    ];
    fields.extend(texts.into_iter().filter_map(|(name, text)| Some((name, text.clone()?))));
    if let Some(retain) = submission.retain_original_video {
        fields.push(("retain_original_video", retain.to_string()));
    }
    fields
}

/// Fields as a form, as they go over the wire.
#[must_use]
pub fn form_of(fields: &[(&'static str, String)]) -> String {
    let mut form = Serializer::new(String::new());
    form.extend_pairs(fields);
    form.finish()
}

/// `POST upload_url`.
pub(super) fn upload_request(submission: &Submission, marker: Option<&str>) -> Request {
    Request {
        method: HttpMethod::Post,
        endpoint: "upload_url",
        query: String::new(),
        content: Content::Form,
        body: form_of(&upload_fields(submission, marker)),
        answer_max: ANSWER_MAX,
    }
}

/// A file as it goes over the wire: the fields, the file, and what ends them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileUpload {
    /// Before the first byte of the file.
    pub head: Vec<u8>,
    /// The file, in bytes.
    pub size: u64,
    /// Behind its last byte.
    pub tail: Vec<u8>,
    boundary: String,
}

impl FileUpload {
    /// The upload of so many bytes, of the file or the object that a submission names. `None`: it names none, or one that the service does
    /// not take. The boundary is in no file: nobody can guess it.
    #[must_use]
    pub fn new(submission: &Submission, marker: Option<&str>, boundary: &str, size: u64) -> Option<Self> {
        let of_object = || Some(PathBuf::from(submission.url.object()?.key));
        let path = submission.url.file().or_else(of_object).filter(|_| submission.has_body())?;
        let media_type = media_type(&path)?;
        let part = |name: &str| format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"");
        let fields = upload_fields(submission, marker);
        let fields: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}\r\n\r\n{value}\r\n", part(name))).collect();
        // as browsers write a name in a header (WHATWG, multipart/form-data encoding)
        let name = path.file_name()?.to_string_lossy();
        let name = name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
        let file = format!("{}; filename=\"{name}\"\r\nContent-Type: {media_type}\r\n\r\n", part("file"));
        let tail = format!("\r\n--{boundary}--\r\n").into_bytes();
        let head = (fields.concat() + &file).into_bytes();
        Some(Self { head, size, tail, boundary: boundary.to_owned() })
    }

    /// The whole body, in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.head.len() as u64 + self.size + self.tail.len() as u64
    }
}

/// `POST upload`, but for its body.
pub(super) fn file_request(upload: &FileUpload) -> Request {
    Request {
        method: HttpMethod::Post,
        endpoint: "upload",
        query: String::new(),
        content: Content::Multipart(upload.boundary.clone()),
        body: String::new(),
        answer_max: ANSWER_MAX,
    }
}

pub(super) fn list_page_request(namespace: &str, page: u32) -> Request {
    list_request(&json!({ "unique_id": namespace, "page": page, "size": PAGE_SIZE_MAX }))
}

pub(super) fn list_videos_request(namespace: &str, video_nos: &[&VideoNo]) -> Request {
    list_request(&json!({ "unique_id": namespace, "page": 1, "size": PAGE_SIZE_MAX, "video_nos": video_nos }))
}

fn list_request(body: &Value) -> Request {
    Request {
        method: HttpMethod::Post,
        endpoint: "list_videos",
        query: String::new(),
        content: Content::Json,
        body: body.to_string(),
        answer_max: LIST_ANSWER_MAX,
    }
}

/// `POST delete_videos`: the body is an array of numbers, and the namespace is in the query.
pub(super) fn delete_request(namespace: &str, video_nos: &[&VideoNo]) -> Request {
    let mut query = Serializer::new(String::new());
    query.append_pair("unique_id", namespace);
    Request {
        method: HttpMethod::Post,
        endpoint: "delete_videos",
        query: query.finish(),
        content: Content::Json,
        body: json!(video_nos).to_string(),
        answer_max: ANSWER_MAX,
    }
}

pub(super) fn metadata_request(namespace: &str, video_no: &VideoNo) -> Request {
    let mut query = Serializer::new(String::new());
    query.append_pair("video_no", video_no.as_str()).append_pair("unique_id", namespace);
    Request {
        method: HttpMethod::Get,
        endpoint: "get_metadata",
        query: query.finish(),
        content: Content::Empty,
        body: String::new(),
        answer_max: ANSWER_MAX,
    }
}

/// The envelope of every answer of the service.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    /// A code of digits without its padding, or as it came.
    pub(super) code: String,
    /// The code as it came.
    pub(super) shown_code: String,
    pub(super) message: String,
    /// Whether it says `success: false` or `failed: true`.
    pub(super) says_failed: bool,
    pub(super) data: Value,
}

/// A code without its padding: `0429`, `429` and `00429` are the same.
pub(super) fn plain_code(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.to_owned();
    }
    let plain = text.trim_start_matches('0');
    if plain.is_empty() { "0".to_owned() } else { plain.to_owned() }
}

impl Envelope {
    /// Whether it names a video: proof that one was made, whatever else it says.
    pub(super) fn names_video(&self) -> bool {
        parse_accepted(&self.data).0.is_some()
    }
}

/// Reads the envelope. `None`: the body is not a JSON object with a code.
pub(super) fn parse_envelope(body: &[u8]) -> Option<Envelope> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let mut value: Value = serde_json::from_slice(body).ok()?;
    let shown_code = match value.get("code")? {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string().trim_end_matches(".0").to_owned(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    let message =
        value.get("msg").or_else(|| value.get("message")).and_then(Value::as_str).unwrap_or("").to_owned();
    let is = |name: &str, wanted: bool| value.get(name).and_then(Value::as_bool) == Some(wanted);
    let says_failed = is("success", false) || is("failed", true);
    let data = value.get_mut("data").map(Value::take).unwrap_or_default();
    Some(Envelope { code: plain_code(&shown_code), shown_code, message, says_failed, data })
}

/// What an accepted upload says of its video.
pub(super) fn parse_accepted(data: &Value) -> (Option<VideoNo>, Option<UnixMillis>) {
    let video_no = text(data, &["videoNo", "video_no"]).and_then(|number| VideoNo::parse(&number));
    let uploaded_at = number(data, &["uploadTime", "upload_time"]).map(UnixMillis);
    (video_no, uploaded_at)
}

/// A video as a listing or `get_metadata` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedVideo {
    pub video_no: VideoNo,
    pub status: IndexStatus,
    /// When it was made, by the service's clock.
    pub created_at: Option<UnixMillis>,
    /// Empty before it is indexed, whatever was sent.
    pub tags: Vec<String>,
    pub cause: Option<String>,
}

/// One page of a listing.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ListPage {
    /// The videos, in the service's order.
    pub videos: Vec<ListedVideo>,
    /// How many the service says there are in all.
    pub total_count: Option<u64>,
    /// How many videos a page holds at most, if it says so.
    pub page_size: Option<u64>,
    /// When it was served, by the service's own clock, if it says so.
    pub served_at: Option<UnixMillis>,
    /// Entries that could not be understood; a listing with any is not complete.
    pub unreadable: usize,
}

/// Reads the `data` of a listing. `None`: it is not a listing.
pub(super) fn parse_list_page(data: &Value, words: &StatusWords) -> Option<ListPage> {
    let count = |names: &[&str]| number(data, names).and_then(|count| u64::try_from(count).ok());
    let (total_count, page_size) =
        (count(&["total_count", "totalCount"]), count(&["page_size", "pageSize"]).filter(|size| *size > 0));
    let entries = data.get("videos")?;
    // some servers write an empty list as null; without the count it could be any failure
    let is_empty = entries.is_null() && total_count == Some(0);
    let entries: &[Value] = if is_empty { &[] } else { entries.as_array()? };
    let videos: Vec<ListedVideo> = entries.iter().filter_map(|entry| parse_video(entry, words)).collect();
    let unreadable = entries.len() - videos.len();
    Some(ListPage { videos, total_count, page_size, unreadable, served_at: None })
}

/// What `get_metadata` says of a video.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum MetadataAnswer {
    NotVisible,
    Visible(ListedVideo),
}

impl MetadataAnswer {
    /// `None`: the video is not visible.
    pub(super) fn video(self) -> Option<ListedVideo> {
        match self {
            Self::NotVisible => None,
            Self::Visible(video) => Some(video),
        }
    }
}

/// Reads the `data` of `get_metadata`: null means that the video is not visible. `None`: it cannot be read.
pub(super) fn parse_metadata(data: &Value, words: &StatusWords) -> Option<MetadataAnswer> {
    if data.is_null() {
        return Some(MetadataAnswer::NotVisible);
    }
    parse_video(data, words).map(MetadataAnswer::Visible)
}

/// The video that a call of the service names: `{"videoNo": …, "status": …}`, also with other fields. The status is not read: it
/// proves nothing. `None`: it names none.
#[must_use]
pub fn parse_call(body: &[u8]) -> Option<VideoNo> {
    let value: Value = serde_json::from_slice(body).ok()?;
    text(&value, &["videoNo", "video_no"]).and_then(|number| VideoNo::parse(&number))
}

fn parse_video(entry: &Value, words: &StatusWords) -> Option<ListedVideo> {
    let status = text(entry, &["status", "videoStatus", "video_status"]).unwrap_or_default();
    let tags = entry.get("tags").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    Some(ListedVideo {
        video_no: VideoNo::parse(&text(entry, &["video_no", "videoNo"])?)?,
        status: words.status_of(&status),
        created_at: number(entry, &["create_time", "createTime"]).map(UnixMillis),
        tags: tags.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        cause: text(entry, &["cause"]).map(|cause| crate::redact::opaque(&cause)),
    })
}

/// The first text under one of these names. Numbers count as text. `None`: only `"null"` or empty texts.
fn text(value: &Value, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| match value.get(name)? {
        Value::String(text) if text.is_empty() || text == "null" => None,
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    })
}

/// A whole number under the first name that has one, as a number or as text.
fn number(value: &Value, names: &[&str]) -> Option<i64> {
    text(value, names).and_then(|text| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Coordinates, SourceUrl};

    fn submission() -> Submission {
        Submission {
            tags: vec!["Art, Modern".to_owned(), "ā&=".to_owned()],
            coordinates: Some(Coordinates { latitude: -41.5, longitude: 174.0 }),
            datetime_taken: Some("2019-05-06 07:08:09".to_owned()),
            retain_original_video: Some(false),
            ..Submission::new(SourceUrl::parse("https://host/a b.mp4?x=1&y=2").unwrap(), "default".to_owned())
        }
    }

    #[test]
    fn an_upload_is_a_form_with_repeated_tags_and_no_empty_field() {
        let request = upload_request(&submission(), Some("telecine:1-2"));
        assert_eq!(request.content, Content::Form);
        assert_eq!(
            request.body,
            "url=https%3A%2F%2Fhost%2Fa%2520b.mp4%3Fx%3D1%26y%3D2&unique_id=default&tags=Art%2C+Modern&tags=%C4%81%26%3D\
             &tags=telecine%3A1-2&latitude=-41.5&longitude=174&datetime_taken=2019-05-06+07%3A08%3A09\
             &retain_original_video=false"
        );
    }

    #[test]
    fn a_file_is_sent_behind_the_same_fields_without_its_address() {
        let url = SourceUrl::of_file(std::path::Path::new("/v/a \"b\"\n\u{1f3ac}.MOV")).unwrap();
        let file = Some(crate::domain::FileStamp { size: 5, modified_at: UnixMillis(0) });
        let own = Submission { url, file, ..submission() };
        let upload = FileUpload::new(&own, Some("telecine:1-2"), "B", 5).unwrap();
        let part = |name: &str, value: &str| {
            format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let fields = [
            part("unique_id", "default"),
            part("tags", "Art, Modern"),
            part("tags", "\u{101}&="),
            part("tags", "telecine:1-2"),
            part("latitude", "-41.5"),
            part("longitude", "174"),
            part("datetime_taken", "2019-05-06 07:08:09"),
            part("retain_original_video", "false"),
        ];
        let file = "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a %22b%22%0A\u{1f3ac}.MOV\"\r\n\
                    Content-Type: video/quicktime\r\n\r\n";
        assert_eq!(String::from_utf8(upload.head.clone()).unwrap(), format!("{}{file}", fields.concat()));
        assert_eq!(upload.tail, b"\r\n--B--\r\n");
        assert_eq!(upload.length(), upload.head.len() as u64 + 5 + 9);
        assert_eq!(FileUpload::new(&submission(), None, "B", 5), None);
    }

    #[test]
    fn a_deletion_is_an_array_of_numbers_with_the_namespace_in_the_query() {
        let numbers = ["VI123456", "VI123457"].map(|text| VideoNo::parse(text).unwrap());
        let request = delete_request("a b", &numbers.each_ref());
        assert_eq!((request.method, request.endpoint), (HttpMethod::Post, "delete_videos"));
        assert_eq!((request.query.as_str(), request.content), ("unique_id=a+b", Content::Json));
        assert_eq!(request.body, r#"["VI123456","VI123457"]"#);
    }

    #[test]
    fn both_generations_of_a_listing_are_understood() {
        let old = json!({ "total_count": "2", "videos": [
            { "video_no": "VI123456", "status": "PARSE", "create_time": "1700000000000", "cause": "null" },
            { "videoNo": "VI123457", "status": "FAIL", "cause": "codec" } ] });
        let new = json!({ "total_count": 2, "videos": [
            { "video_no": "VI123456", "status": "PARSE", "create_time": 1_700_000_000_000_i64, "tags": [] },
            { "video_no": "VI123457", "status": "FAILED", "cause": "codec" } ] });
        let parse = |data: &Value| parse_list_page(data, &StatusWords::default()).unwrap();
        let (old, new) = (parse(&old), parse(&new));
        assert_eq!(old, new);
        assert_eq!(old.videos[0].cause, None);
        let empty =
            |data: Value| parse_list_page(&data, &StatusWords::default()).map(|page| page.videos.len());
        assert_eq!(empty(json!({ "videos": null, "total_count": 0 })), Some(0));
        assert_eq!(empty(json!({ "videos": null, "total_count": 3 })), None);
        assert_eq!(empty(json!({ "videos": null })), None);
        assert_eq!(old.videos[1].status, IndexStatus::Failed);
    }

    #[test]
    fn an_entry_that_cannot_be_read_is_counted_and_not_dropped_silently() {
        let words = StatusWords::default();
        let page = parse_list_page(&json!({ "videos": [{ "video_no": "VI1; DROP" }, {}] }), &words).unwrap();
        assert_eq!((page.videos.len(), page.unreadable), (0, 2));
        assert!(parse_list_page(&Value::Null, &words).is_none());
    }

    #[test]
    fn a_call_names_its_video_in_either_spelling_whatever_else_it_says() {
        let parse = |body: &str| parse_call(body.as_bytes()).map(|number| number.to_string());
        for body in [
            r#"{"videoNo":"VI123456","status":"PARSE"}"#,
            r#"{"videoNo":"VI123456","clientId":"c","status":"FAIL"}"#,
            r#"{"video_no":"VI123456","status":["x"]}"#,
            r#"{"status":null,"videoNo":"VI123456"}"#,
        ] {
            assert_eq!(parse(body).as_deref(), Some("VI123456"), "{body}");
        }
        for body in
            ["", "{}", "[]", "null", r#""VI123456""#, r#"{"videoNo":"VI1 2345"}"#, r#"{"videoNo":{}}"#]
        {
            assert_eq!(parse(body), None, "{body}");
        }
    }

    #[test]
    fn a_code_is_the_same_as_text_or_number_and_however_it_is_padded() {
        let code = |body: &str| parse_envelope(body.as_bytes()).map(|envelope| envelope.code);
        assert_eq!(code(r#"{"code":"0429"}"#).as_deref(), Some("429"));
        assert_eq!(code(r#"{"code":429}"#).as_deref(), Some("429"));
        assert_eq!(code(r#"{"code":"00"}"#).as_deref(), Some("0"));
        assert_eq!(code(r#"{"code":0}"#).as_deref(), Some("0"));
        for bad in ["", "<html>", "{}", "[]", r#"{"code":null}"#, r#"{"code":"0000""#] {
            assert_eq!(code(bad), None, "{bad}");
        }
    }
}

//! A page of a listing, read from the answer of its storage.

use percent_encoding::percent_decode_str;

use super::xml::{self, Element};
use crate::domain::{ListedObject, ObjectStorage, UnixMillis};

/// Some of the objects of a bucket.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) objects: Vec<ListedObject>,
    /// The token with which the next page is asked for. `None`: this is the last.
    pub(super) next: Option<String>,
}

/// The first bytes of an answer that show what it is.
const BEGINNING: usize = 256;

/// What is wrong with an answer that should be a page.
const NO_XML: &str = "the answer is not a complete XML document";
const HTML: &str =
    "the answer is a page of HTML: a proxy or a login page may have answered in place of the storage";
const NO_LISTING: &str = "the answer is XML, but no listing";
const NO_END: &str = "the answer does not say whether more objects follow";
const BAD_OBJECT: &str = "an object in the answer has no readable key or size";

/// Reads a page.
pub(super) fn read(storage: ObjectStorage, body: &[u8]) -> Result<Page, &'static str> {
    let text = std::str::from_utf8(body).map_err(|_| NO_XML)?;
    let beginning = body[..body.len().min(BEGINNING)].to_ascii_lowercase();
    if ["<html", "<!doctype html"]
        .iter()
        .any(|tag| memchr::memmem::find(&beginning, tag.as_bytes()).is_some())
    {
        return Err(HTML);
    }
    match storage {
        ObjectStorage::S3 | ObjectStorage::Google => of_s3(text),
        ObjectStorage::Azure => of_azure(text),
    }
}

/// Whether every key in a page is as the storage has it. Where XML cannot hold a character, some stores write another one, and the
/// document of others cannot be read.
pub(super) fn has_all_keys(page: &Result<Page, &'static str>) -> bool {
    match page {
        Ok(page) => page.objects.iter().all(|object| !object.key.contains(char::REPLACEMENT_CHARACTER)),
        Err(error) => *error != NO_XML,
    }
}

/// Whether an answer is an error, whatever its status: S3 finds some when it has begun to answer.
pub(super) fn is_error(body: &[u8]) -> bool {
    let beginning = &body[..body.len().min(BEGINNING)];
    memchr::memmem::find(beginning, b"<Error").is_some()
}

/// The code of an error that a storage answers with, such as `AccessDenied`.
pub(super) fn error_code(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut code = None;
    xml::read(text, |element| {
        if element.path == "Error/Code" {
            code = Some(element.text.to_owned());
        }
    })?;
    let is_plain = |code: &String| {
        (1..=64).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    code.filter(is_plain)
}

/// The parts of an object, as they were read so far.
#[derive(Default)]
struct Draft {
    key: Option<String>,
    size: Option<u64>,
    etag: String,
    last_modified: String,
}

impl Draft {
    fn finish(self) -> Option<ListedObject> {
        let Self { key, size, etag, last_modified } = self;
        Some(ListedObject { key: key?, size: size?, etag, last_modified })
    }
}

/// The answer of S3 and of the XML API of Google: `ListObjectsV2`.
fn of_s3(text: &str) -> Result<Page, &'static str> {
    let (mut drafts, mut draft) = (Vec::new(), Draft::default());
    let (mut is_listing, mut is_encoded) = (false, false);
    let (mut is_truncated, mut next) = (None, None);
    let take = |element: &Element<'_>| match element.path {
        "ListBucketResult" => is_listing = true,
        "ListBucketResult/EncodingType" => is_encoded = element.text == "url",
        "ListBucketResult/IsTruncated" => is_truncated = element.text.trim().parse::<bool>().ok(),
        "ListBucketResult/NextContinuationToken" => next = Some(element.text.to_owned()),
        "ListBucketResult/Contents/Key" => draft.key = Some(element.text.to_owned()),
        "ListBucketResult/Contents/Size" => draft.size = element.text.trim().parse().ok(),
        "ListBucketResult/Contents/ETag" => draft.etag = unquoted(element.text),
        "ListBucketResult/Contents/LastModified" => draft.last_modified = rfc3339(element.text),
        "ListBucketResult/Contents" => drafts.push(std::mem::take(&mut draft)),
        _ => {}
    };
    xml::read(text, take).ok_or(NO_XML)?;
    if !is_listing {
        return Err(NO_LISTING);
    }
    let next = match (is_truncated, next.filter(|next| !next.is_empty())) {
        (Some(false), _) => None,
        (Some(true), Some(next)) => Some(next),
        (Some(true) | None, _) => return Err(NO_END),
    };
    let objects = drafts.into_iter().map(|draft| {
        let mut object = draft.finish()?;
        // the encoding may be told behind the objects
        if is_encoded {
            object.key = decoded(&object.key.replace('+', " "))?;
        }
        Some(object)
    });
    Ok(Page { objects: objects.collect::<Option<_>>().ok_or(BAD_OBJECT)?, next })
}

/// The answer of Azure: `List Blobs`.
fn of_azure(text: &str) -> Result<Page, &'static str> {
    // it begins with a byte-order mark
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut objects, mut draft) = (Vec::new(), Draft::default());
    let (mut is_listing, mut next) = (false, None);
    let take = |element: &Element<'_>| match element.path {
        "EnumerationResults" => is_listing = true,
        "EnumerationResults/NextMarker" => next = Some(element.text.to_owned()),
        "EnumerationResults/Blobs/Blob/Name" => {
            // a name that XML cannot hold
            draft.key =
                if element.is_encoded { decoded(element.text) } else { Some(element.text.to_owned()) };
        }
        "EnumerationResults/Blobs/Blob/Properties/Content-Length" => {
            draft.size = element.text.trim().parse().ok();
        }
        "EnumerationResults/Blobs/Blob/Properties/Etag" => draft.etag = unquoted(element.text),
        "EnumerationResults/Blobs/Blob/Properties/Last-Modified" => {
            draft.last_modified = rfc3339(element.text);
        }
        "EnumerationResults/Blobs/Blob" => objects.push(std::mem::take(&mut draft).finish()),
        _ => {}
    };
    xml::read(text, take).ok_or(NO_XML)?;
    if !is_listing {
        return Err(NO_LISTING);
    }
    let next = next.ok_or(NO_END)?;
    let objects = objects.into_iter().collect::<Option<_>>().ok_or(BAD_OBJECT)?;
    Ok(Page { objects, next: Some(next).filter(|next| !next.is_empty()) })
}

fn decoded(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

fn unquoted(etag: &str) -> String {
    etag.trim().trim_matches('"').to_owned()
}

/// A time as RFC 3339. Azure has dates as HTTP has them.
fn rfc3339(text: &str) -> String {
    let text = text.trim();
    if let Ok(timestamp) = text.parse::<jiff::Timestamp>() {
        return timestamp.to_string();
    }
    UnixMillis::parse_http_date(text).map(|at| super::timestamp(at).to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s3(inside: &str) -> Result<Page, &'static str> {
        read(ObjectStorage::S3, format!("<ListBucketResult>{inside}</ListBucketResult>").as_bytes())
    }

    #[test]
    fn a_page_of_s3_is_read_with_encoded_keys() {
        let page = s3(
            "<Contents><Key>a+b%2Bc%0A%F0%9F%8E%AC.mp4</Key><LastModified>2019-01-02T03:04:05.000Z</LastModified>\
             <ETag>&quot;abc-2&quot;</ETag><Size>17</Size><Owner><ID>x</ID></Owner></Contents>\
             <EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>\
             <NextContinuationToken>t/+=</NextContinuationToken>",
        );
        let object = ListedObject {
            key: "a b+c\n🎬.mp4".to_owned(),
            size: 17,
            etag: "abc-2".to_owned(),
            last_modified: "2019-01-02T03:04:05Z".to_owned(),
        };
        assert_eq!(page, Ok(Page { objects: vec![object], next: Some("t/+=".to_owned()) }));
        let plain = s3(
            "<IsTruncated>false</IsTruncated><Contents><Key>a+b%20 &amp; c</Key><Size>1</Size></Contents>",
        );
        assert_eq!(plain.unwrap().objects[0].key, "a+b%20 & c", "no encoding is told");
    }

    #[test]
    fn a_page_of_azure_is_read() {
        let text = "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults><Blobs><Blob><Name>a+b%20.mp4</Name>\
            <Properties><Last-Modified>Wed, 21 Oct 2015 07:28:00 GMT</Last-Modified><Etag>0x8D</Etag>\
            <Content-Length>5</Content-Length></Properties></Blob><Blob><Name Encoded=\"true\">a%01+b</Name><Properties>\
            <Content-Length>6</Content-Length></Properties></Blob></Blobs><NextMarker /></EnumerationResults>";
        let page = read(ObjectStorage::Azure, text.as_bytes()).unwrap();
        assert_eq!(page.next, None);
        let keys: Vec<&str> = page.objects.iter().map(|object| object.key.as_str()).collect();
        assert_eq!(keys, ["a+b%20.mp4", "a\u{1}+b"]);
        let first = &page.objects[0];
        assert_eq!((first.etag.as_str(), first.last_modified.as_str()), ("0x8D", "2015-10-21T07:28:00Z"));
    }

    #[test]
    fn an_answer_that_may_be_a_part_of_a_listing_only_is_no_page() {
        for (inside, error) in [
            ("", NO_END),
            ("<IsTruncated>true</IsTruncated>", NO_END),
            ("<IsTruncated>true</IsTruncated><NextMarker>a</NextMarker>", NO_END),
            ("<IsTruncated>false</IsTruncated><Contents><Key>a</Key></Contents>", BAD_OBJECT),
            ("<IsTruncated>false</IsTruncated><Contents><Size>1</Size></Contents>", BAD_OBJECT),
            ("<IsTruncated>false</IsTruncated><Contents><Key>a</Key><Size>1</Size>", NO_XML),
        ] {
            assert_eq!(s3(inside), Err(error), "{inside}");
        }
        let azure = |text: &str| read(ObjectStorage::Azure, text.as_bytes());
        assert_eq!(azure("<EnumerationResults><Blobs /></EnumerationResults>"), Err(NO_END));
        assert_eq!(azure("<html></html>"), Err(HTML));
        assert_eq!(azure("<a></a>"), Err(NO_LISTING));
        assert_eq!(read(ObjectStorage::S3, b"<a>\xff</a>"), Err(NO_XML));
        assert_eq!(error_code(b"<Error><Code>SlowDown</Code></Error>").as_deref(), Some("SlowDown"));
        assert_eq!(error_code(b"<Error><Code>a b</Code></Error>"), None);
    }
}

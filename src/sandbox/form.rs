//! Reads the form of an upload, and refuses what the documents of the service exclude.

use std::path::Path;

use serde_json::Value;
use url::form_urlencoded;

use super::multipart::ArrivedFile;
use crate::local_file::{FILE_MAX, media_type};

/// The upload that a form describes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct UploadForm {
    pub(super) url: String,
    pub(super) unique_id: String,
    pub(super) tags: Vec<String>,
    pub(super) datetime_taken: Option<String>,
    pub(super) latitude: Option<f64>,
    pub(super) longitude: Option<f64>,
    pub(super) camera_model: Option<String>,
    pub(super) callback: Option<String>,
    pub(super) file: Option<ArrivedFile>,
}

/// Reads an upload, and the file that came with it; the error is the service's message.
pub(super) fn read_upload(body: &str, file: Option<&ArrivedFile>) -> Result<UploadForm, String> {
    let mut form =
        UploadForm { unique_id: "default".to_owned(), file: file.cloned(), ..UploadForm::default() };
    for (name, value) in form_urlencoded::parse(body.as_bytes()) {
        if value.is_empty() {
            return Err(format!("{name} must not be empty"));
        }
        let value = value.into_owned();
        match name.as_ref() {
            "url" => form.url = value,
            "unique_id" => form.unique_id = value,
            "tags" => form.tags.push(value),
            "datetime_taken" => form.datetime_taken = Some(value),
            "latitude" => {
                form.latitude = Some(value.parse().map_err(|_| "latitude must be a number".to_owned())?);
            }
            "longitude" => {
                form.longitude = Some(value.parse().map_err(|_| "longitude must be a number".to_owned())?);
            }
            "camera_model" if value.chars().count() > 200 => {
                return Err("camera_model is too long".to_owned());
            }
            "camera_model" => form.camera_model = Some(value),
            "callback" if value.chars().count() > 299 => return Err("callback is too long".to_owned()),
            "callback" => form.callback = Some(value),
            "retain_original_video" if value != "true" && value != "false" => {
                return Err("retain_original_video must be a boolean".to_owned());
            }
            _ => {}
        }
    }
    // a list parameter with a single value is split at its commas
    if let [lone] = &form.tags[..]
        && lone.contains(',')
    {
        form.tags = lone.split(',').map(str::to_owned).collect();
    }
    check(form)
}

fn check(form: UploadForm) -> Result<UploadForm, String> {
    let form = match &form.file {
        Some(file) => {
            check_file(file)?;
            UploadForm { url: file.name.clone(), ..form }
        }
        None => form,
    };
    let is_fetchable = url::Url::parse(&form.url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if form.file.is_none() && (!is_fetchable || form.url.contains(' ')) {
        return Err("url is invalid".to_owned());
    }
    if form.tags.len() > 20 {
        return Err("tags: at most 20".to_owned());
    }
    let is_spelt = |text: &String| {
        text.len() == 19 && jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S", text.as_str()).is_ok()
    };
    if form.datetime_taken.as_ref().is_some_and(|text| !is_spelt(text)) {
        return Err("datetime_taken must be yyyy-MM-dd HH:mm:ss".to_owned());
    }
    Ok(form)
}

fn check_file(file: &ArrivedFile) -> Result<(), String> {
    let is_video = media_type(Path::new(&file.name)).is_some() && file.media_type.starts_with("video/");
    if !is_video {
        return Err(format!("the file format of {} is not supported", file.name));
    }
    if file.size == 0 || file.size > FILE_MAX {
        return Err("the file size must be between 1 byte and 3 GB".to_owned());
    }
    Ok(())
}

/// A listing as the JSON body asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListQuery {
    pub(super) unique_id: String,
    pub(super) page: usize,
    pub(super) size: usize,
    pub(super) video_nos: Option<Vec<String>>,
    pub(super) tag: Option<String>,
}

/// Reads a listing query; the error is the service's message.
pub(super) fn read_list(body: &str) -> Result<ListQuery, String> {
    let value: Value = serde_json::from_str(body).map_err(|_| "the body is not JSON".to_owned())?;
    let number = |name: &str, default: u64| value.get(name).and_then(Value::as_u64).unwrap_or(default);
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let page = number("page", 1);
    let size = number("size", 200);
    if page == 0 || size == 0 {
        return Err("page and size start at 1".to_owned());
    }
    let list = value.get("video_nos").and_then(Value::as_array);
    Ok(ListQuery {
        unique_id: text("unique_id").unwrap_or_else(|| "default".to_owned()),
        page: usize::try_from(page).unwrap_or(usize::MAX),
        size: usize::try_from(size.min(200)).unwrap_or(200),
        video_nos: list.map(|numbers| numbers.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
        tag: text("tag"),
    })
}

/// Numbers in one request to delete at most.
const DELETIONS_MAX: usize = 100;

/// Reads a request to delete: the namespace and the numbers. The error is the service's message.
pub(super) fn read_deletion(query: &str, body: &str) -> Result<(String, Vec<String>), String> {
    let numbers: Vec<String> =
        serde_json::from_str(body).map_err(|_| "the body must be an array of video numbers".to_owned())?;
    if numbers.is_empty() || numbers.len() > DELETIONS_MAX {
        return Err(format!("1 to {DELETIONS_MAX} video numbers"));
    }
    let unique_id = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "unique_id");
    Ok((unique_id.map_or_else(|| "default".to_owned(), |(_, value)| value.into_owned()), numbers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_tag_with_a_comma_is_split_as_the_service_would() {
        let tags = |body: &str| read_upload(&format!("url=https://host/a.mp4&{body}"), None).unwrap().tags;
        assert_eq!(tags("tags=a%2Cb"), ["a", "b"]);
        assert_eq!(tags("tags=a%2Cb&tags=c"), ["a,b", "c"]);
    }

    #[test]
    fn what_the_service_refuses_is_refused() {
        for body in [
            "",
            "url=ftp://host/a",
            "url=https://host/a&camera_model=",
            "url=https://host/a&datetime_taken=2019-01-01",
            "url=https://host/a&datetime_taken=2019-13-01+00:00:00",
            "url=https://host/a&latitude=north",
            "url=https://host/a&retain_original_video=True",
        ] {
            assert!(read_upload(body, None).is_err(), "{body}");
        }
        let many: Vec<String> = (0..21).map(|n| format!("tags={n}")).collect();
        assert!(read_upload(&format!("url=https://host/a&{}", many.join("&")), None).is_err());
    }
}

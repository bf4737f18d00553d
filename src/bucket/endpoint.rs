//! Endpoints: where a storage is reached, if not at the address of its maker.

use url::Url;

use super::SourceError;

/// `https://host` of the value of a variable or a setting.
pub(super) fn origin(name: &str, value: &str) -> Result<String, SourceError> {
    let url = checked(value).filter(|url| url.path() == "/");
    let url = url.ok_or_else(|| unusable(name, value, "an origin such as https://storage.example.org"))?;
    Ok(url.origin().ascii_serialization())
}

/// `https://host/path` without a slash at its end.
pub(super) fn with_path(name: &str, value: &str) -> Result<String, SourceError> {
    let example = "an address such as https://storage.example.org/account";
    let url = checked(value).ok_or_else(|| unusable(name, value, example))?;
    Ok(format!("{}{}", url.origin().ascii_serialization(), url.path().trim_end_matches('/')))
}

fn checked(value: &str) -> Option<Url> {
    Url::parse(value).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    })
}

fn unusable(name: &str, value: &str, expected: &str) -> SourceError {
    SourceError(format!("{name} {}: expected {expected}", crate::redact::url(value)))
}

//! The address of an object in a bucket: `s3://bucket/key`, `gs://bucket/key`, `az://account/container/key`.
//!
//! It is the identity of the item, since a link to the object differs with every signature. A key is in it as it is, without
//! percent-encoding. `s3://bucket/key?versionId=ID` and `gs://bucket/key#GENERATION` name one version of an object.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

use super::{SourceUrl, UrlError};

/// Where buckets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectStorage {
    /// Amazon S3, and stores that speak its protocol.
    S3,
    /// Google Cloud Storage.
    Google,
    /// Azure Blob Storage.
    Azure,
}

/// The schemes of addresses.
const SCHEMES: &[(&str, ObjectStorage)] =
    &[("s3://", ObjectStorage::S3), ("gs://", ObjectStorage::Google), ("az://", ObjectStorage::Azure)];

/// What names a version of an object in S3.
const S3_VERSION: &str = "?versionId=";

/// The owner of buckets: whose credentials sign links to their objects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StorageAccount {
    pub storage: ObjectStorage,
    /// Azure: the name of the account. Elsewhere empty: one set of credentials is for all buckets.
    pub name: String,
}

impl fmt::Display for StorageAccount {
    /// The beginning of its addresses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", scheme_of(self.storage), self.name)
    }
}

/// An address in its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectAddress<'a> {
    pub storage: ObjectStorage,
    /// Azure only; elsewhere empty.
    pub account: &'a str,
    /// Azure: the container.
    pub bucket: &'a str,
    /// As the storage has it.
    pub key: &'a str,
    /// `None`: the newest version.
    pub version: Option<&'a str>,
}

impl<'a> ObjectAddress<'a> {
    /// The longest key of S3 and Google Cloud Storage, in bytes.
    pub const KEY_MAX: usize = 1024;

    fn parse(text: &'a str) -> Option<Result<Self, UrlError>> {
        let (storage, inside) = split_scheme(text)?;
        Some(Self::of_parts(storage, inside))
    }

    fn of_parts(storage: ObjectStorage, inside: &'a str) -> Result<Self, UrlError> {
        if inside.chars().any(char::is_control) {
            return Err(UrlError::Control);
        }
        let (account, inside) = match storage {
            ObjectStorage::S3 | ObjectStorage::Google => ("", inside),
            ObjectStorage::Azure => inside.split_once('/').ok_or(UrlError::Bucket)?,
        };
        let missing = if storage == ObjectStorage::Azure { UrlError::Bucket } else { UrlError::Key };
        let (bucket, key) = inside.split_once('/').ok_or(missing)?;
        check_owner(storage, account, bucket)?;
        let (key, version) = match storage {
            ObjectStorage::S3 => split_version(key, S3_VERSION, |byte| byte.is_ascii_graphic()),
            ObjectStorage::Google => split_version(key, "#", |byte| byte.is_ascii_digit()),
            ObjectStorage::Azure => (key, None),
        };
        // every client removes such parts from a link
        if key.is_empty() || key.split('/').any(|part| matches!(part, "." | "..")) {
            return Err(UrlError::Key);
        }
        if key.len() > Self::KEY_MAX {
            return Err(UrlError::KeyTooLong);
        }
        Ok(Self { storage, account, bucket, key, version })
    }

    /// Whose credentials sign links to it.
    #[must_use]
    pub fn owner(&self) -> StorageAccount {
        StorageAccount { storage: self.storage, name: self.account.to_owned() }
    }
}

/// What an object was when its row was read, where telecine sends its bytes. Another size or ETag means another content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectStamp {
    /// In bytes. `None`: the manifest does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Without quotes. `None`: the manifest does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

impl ObjectStamp {
    /// Whether both may be of the same content: nothing that both know differs.
    #[must_use]
    pub fn agrees_with(&self, other: &Self) -> bool {
        let same_size = self.size.zip(other.size).is_none_or(|(own, other)| own == other);
        let same_etag = self.etag.as_ref().zip(other.etag.as_ref()).is_none_or(|(own, other)| own == other);
        same_size && same_etag
    }
}

impl fmt::Display for ObjectStamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.size {
            Some(size) => write!(f, "{size} bytes")?,
            None => f.write_str("of unknown size")?,
        }
        self.etag.iter().try_for_each(|etag| write!(f, " with the ETag {}", crate::redact::clean(etag)))
    }
}

impl SourceUrl {
    /// The object that it names. `None`: it is a link.
    #[must_use]
    pub fn object(&self) -> Option<ObjectAddress<'_>> {
        ObjectAddress::parse(self.as_str())?.ok()
    }
}

/// Whether a text names an object in a bucket, by its scheme.
#[must_use]
pub fn is_object_address(text: &str) -> bool {
    split_scheme(text).is_some()
}

/// Checks an address. `None`: it has another scheme.
pub(super) fn normalise(text: &str) -> Option<Result<Cow<'_, str>, UrlError>> {
    let (_, inside) = split_scheme(text)?;
    let scheme = &text[..text.len() - inside.len()];
    Some(ObjectAddress::parse(text)?.map(|_| {
        let is_lower = !scheme.bytes().any(|byte| byte.is_ascii_uppercase());
        if is_lower { text.into() } else { format!("{}{inside}", scheme.to_ascii_lowercase()).into() }
    }))
}

/// The scheme of a storage, with what separates it from the rest.
pub(super) fn scheme_of(storage: ObjectStorage) -> &'static str {
    SCHEMES.iter().find(|(_, own)| *own == storage).map_or("", |(scheme, _)| scheme)
}

/// The storage that a text names, and what is behind its scheme.
pub(super) fn split_scheme(text: &str) -> Option<(ObjectStorage, &str)> {
    SCHEMES.iter().find_map(|(scheme, storage)| {
        let own = text.get(..scheme.len())?;
        own.eq_ignore_ascii_case(scheme).then(|| (*storage, &text[scheme.len()..]))
    })
}

/// Checks the names of an account and of a bucket.
pub(super) fn check_owner(storage: ObjectStorage, account: &str, bucket: &str) -> Result<(), UrlError> {
    let is_account = (3..=24).contains(&account.len())
        && account.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if !is_bucket(storage, bucket) || storage == ObjectStorage::Azure && !is_account {
        return Err(UrlError::Bucket);
    }
    Ok(())
}

/// Whether a bucket can have this name. The bounds are those of all kinds of buckets together.
fn is_bucket(storage: ObjectStorage, name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_special = storage == ObjectStorage::Azure && matches!(name, "$root" | "$web");
    let begins_well = name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    is_special || (3..=222).contains(&name.len()) && begins_well && name.bytes().all(is_plain)
}

/// A key without the version at its end.
fn split_version<'a>(
    key: &'a str,
    mark: &str,
    is_of_version: impl Fn(u8) -> bool,
) -> (&'a str, Option<&'a str>) {
    match key.rsplit_once(mark) {
        Some((key, version)) if !version.is_empty() && version.bytes().all(is_of_version) => {
            (key, Some(version))
        }
        _ => (key, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, String, String, Option<String>) {
        let url = SourceUrl::parse(text).unwrap();
        let object = url.object().unwrap();
        let version = object.version.map(str::to_owned);
        (object.account.to_owned(), object.bucket.to_owned(), object.key.to_owned(), version)
    }

    #[test]
    fn an_object_address_has_its_key_as_it_is() {
        for (text, account, bucket, key, version) in [
            ("s3://bucket/a b+c%20d/🎬.mp4", "", "bucket", "a b+c%20d/🎬.mp4", None),
            ("S3://bucket//a//b", "", "bucket", "/a//b", None),
            ("s3://bucket/a?b#1&sig=x", "", "bucket", "a?b#1&sig=x", None),
            ("s3://bucket/a?b?versionId=x_Y.1-", "", "bucket", "a?b", Some("x_Y.1-")),
            ("s3://bucket/a?versionId=", "", "bucket", "a?versionId=", None),
            ("gs://my.bucket_1/a#b#1700", "", "my.bucket_1", "a#b", Some("1700")),
            ("gs://bucket/a#b", "", "bucket", "a#b", None),
            ("az://account1/box/a/b.mp4", "account1", "box", "a/b.mp4", None),
            ("az://account1/$web/a#1", "account1", "$web", "a#1", None),
        ] {
            let expected =
                (account.to_owned(), bucket.to_owned(), key.to_owned(), version.map(str::to_owned));
            assert_eq!(parts(text), expected, "{text}");
        }
        assert_eq!(SourceUrl::parse("S3://bucket/Key").unwrap().as_str(), "s3://bucket/Key");
        assert_eq!(SourceUrl::parse("https://bucket/key").unwrap().object(), None);
    }

    #[test]
    fn an_address_that_names_no_object_is_refused() {
        let long = format!("s3://bucket/{}", "ü".repeat(512));
        assert!(SourceUrl::parse(&long).is_ok(), "1,024 bytes");
        for (text, error) in [
            ("s3://bucket", UrlError::Key),
            ("s3://bucket/", UrlError::Key),
            ("s3:///key", UrlError::Bucket),
            ("s3://b/key", UrlError::Bucket),
            ("s3://user@bucket/key", UrlError::Bucket),
            ("s3://bucket/a/../b", UrlError::Key),
            ("s3://bucket/./a", UrlError::Key),
            ("s3://bucket/a\nb", UrlError::Control),
            ("az://container/key", UrlError::Bucket),
            ("az://Account/container/key", UrlError::Bucket),
            (&format!("{long}a"), UrlError::KeyTooLong),
        ] {
            assert_eq!(SourceUrl::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn nothing_is_cut_from_an_object_address() {
        for text in ["s3://bucket/a#1?Signature=x&Expires=1700000000", "s3://bucket/a?sig=1&se=2023-11-14"] {
            let url = SourceUrl::parse(text).unwrap();
            assert_eq!((url.without_signature(), url.expires_at()), (text.into(), None));
        }
    }
}

//! A bucket, or the part of it whose keys begin alike: `s3://bucket/2019/`, `gs://bucket`, `az://account/container/2019/`.
//!
//! It may be a manifest: each object in it is a row.

use std::fmt;

use super::{
    ObjectAddress, ObjectStorage, StorageAccount, UrlError,
    object_address::{check_owner, scheme_of, split_scheme},
};

/// A bucket and the beginning of keys in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketPrefix {
    pub storage: ObjectStorage,
    /// Azure only; elsewhere empty.
    pub account: String,
    /// Azure: the container.
    pub bucket: String,
    /// Empty: the whole bucket.
    pub prefix: String,
}

impl BucketPrefix {
    /// Reads an address. `None`: it has another scheme than those of buckets.
    #[must_use]
    pub fn parse(text: &str) -> Option<Result<Self, UrlError>> {
        let (storage, inside) = split_scheme(text)?;
        Some(Self::of_parts(storage, inside))
    }

    fn of_parts(storage: ObjectStorage, inside: &str) -> Result<Self, UrlError> {
        if inside.chars().any(char::is_control) {
            return Err(UrlError::Control);
        }
        let (account, inside) = match storage {
            ObjectStorage::S3 | ObjectStorage::Google => ("", inside),
            ObjectStorage::Azure => inside.split_once('/').ok_or(UrlError::Bucket)?,
        };
        let (bucket, prefix) = inside.split_once('/').unwrap_or((inside, ""));
        check_owner(storage, account, bucket)?;
        if prefix.len() > ObjectAddress::KEY_MAX {
            return Err(UrlError::KeyTooLong);
        }
        let (account, bucket, prefix) = (account.to_owned(), bucket.to_owned(), prefix.to_owned());
        Ok(Self { storage, account, bucket, prefix })
    }

    /// Whose credentials list it.
    #[must_use]
    pub fn owner(&self) -> StorageAccount {
        StorageAccount { storage: self.storage, name: self.account.clone() }
    }

    /// The address of an object in this bucket, with its key as it is.
    #[must_use]
    pub fn address_of(&self, key: &str) -> String {
        let Self { account, bucket, .. } = self;
        let joint = if account.is_empty() { "" } else { "/" };
        format!("{}{account}{joint}{bucket}/{key}", scheme_of(self.storage))
    }
}

impl fmt::Display for BucketPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address_of(&self.prefix))
    }
}

/// An object as a listing of its bucket shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    pub key: String,
    pub size: u64,
    /// Without quotes; empty where the storage tells none.
    pub etag: String,
    /// When it was written, as RFC 3339; empty where the storage does not tell.
    pub last_modified: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_or_a_part_of_it_is_read_and_shown() {
        for (text, shown) in [
            ("s3://archive", "s3://archive/"),
            ("S3://archive/2019/", "s3://archive/2019/"),
            ("gs://my.archive/a b", "gs://my.archive/a b"),
            ("az://account1/box", "az://account1/box/"),
            ("az://account1/box/a/", "az://account1/box/a/"),
        ] {
            assert_eq!(BucketPrefix::parse(text).unwrap().unwrap().to_string(), shown);
        }
        assert_eq!(BucketPrefix::parse("archive.csv"), None);
        for (text, error) in [
            ("s3://", UrlError::Bucket),
            ("s3:///2019/", UrlError::Bucket),
            ("az://account1", UrlError::Bucket),
            ("az://A/box/", UrlError::Bucket),
            ("s3://archive/a\nb", UrlError::Control),
        ] {
            assert_eq!(BucketPrefix::parse(text), Some(Err(error)), "{text}");
        }
        let prefix = BucketPrefix::parse("az://account1/box/a/").unwrap().unwrap();
        assert_eq!(prefix.address_of("a/b c.mp4"), "az://account1/box/a/b c.mp4");
    }
}

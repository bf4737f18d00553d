//! A bucket as a manifest: lists it into temporary files, before anything else happens.

use crate::{
    bucket::{BucketLister, ListError, Sources},
    clock::Clock,
    domain::{BucketPrefix, counted},
    error::Error,
    events::{Event, EventBus},
    manifest::{BucketWriter, ManifestError, ObjectListing},
};

use super::temporary_folder_error;

/// What lists buckets, and who is notified of its progress.
pub struct BucketListing<'a> {
    /// Signs the requests.
    pub sources: &'a Sources,
    /// Told of each page.
    pub events: &'a EventBus,
    /// Which objects are rows, by their keys below the prefix.
    pub is_wanted: &'a (dyn Fn(&str) -> bool + Sync),
}

impl BucketListing<'_> {
    /// Lists a bucket to its end. A part of a listing is an error: what is missing in it would count as removed.
    pub async fn list(&self, prefix: &BucketPrefix) -> Result<ObjectListing, Error> {
        let clock = Clock::real();
        // they have no names: a process that is killed leaves nothing behind
        let file = || tempfile::tempfile().map_err(temporary_folder_error);
        let mut writer = BucketWriter::new(prefix, file()?, file()?);
        let unlisted =
            |what: String| Error::Manifest(ManifestError::Unlisted { path: prefix.to_string(), what });
        let refused = |error: ListError| match error {
            ListError::Credentials(error) => Error::Usage(error.to_string()),
            ListError::NotListed(what) => unlisted(what),
        };
        let unwritable = |error: std::io::Error| {
            let what = format!(
                "its temporary file cannot be written ({error}); set TMPDIR to a folder with free space"
            );
            unlisted(what)
        };
        let mut lister = BucketLister::new(self.sources, prefix);
        let mut objects = 0;
        while let Some(page) = lister.next().await.map_err(refused)? {
            for object in &page {
                writer.add(object, self.is_wanted).map_err(unwritable)?;
            }
            objects += page.len() as u64;
            let address = prefix.to_string();
            self.events.emit(clock.now(), &Event::Listing { address, objects });
        }
        let listing = writer.finish().map_err(unwritable)?;
        if listing.rows() == 0 {
            let what = if objects == 0 {
                "no key begins with this prefix; check it".to_owned()
            } else {
                format!(
                    "no row among {}: {}",
                    counted(objects, "object", "objects"),
                    listing.notices().join("; ")
                )
            };
            return Err(Error::Manifest(ManifestError::NoObjects { path: prefix.to_string(), what }));
        }
        Ok(listing)
    }
}

//! Flags for buckets and folders as manifests, and their listing.

use std::path::Path;

use clap::{Args, ValueEnum};
use glob::Pattern;

use crate::{
    app::{bucket_listing::BucketListing, folder_listing::FolderListing},
    bucket::{LinkRules, Sources},
    cli::{block_on, output::sinks},
    clock::Clock,
    domain::{BucketPrefix, is_object_address},
    error::Error,
    events::EventBus,
    local_file::FilesRoot,
    manifest::{ManifestSpec, RowRules, STDIN, Via},
};

/// Endings of files that are manifests: such an object is not a video.
const MANIFEST_ENDINGS: &[&str] =
    &["csv", "tsv", "txt", "json", "jsonl", "ndjson", "xlsx", "gz", "zst", "bz2", "xz"];

/// Which objects of a bucket or files of a folder are rows, and who may list them.
#[derive(Args, Debug)]
#[command(next_help_heading = "Manifest")]
pub(in crate::cli) struct ListedArgs {
    /// Of a bucket or a folder, read only objects or files whose path below it matches, such as '*.mp4' or 'raw/*'. Repeatable.
    ///
    /// `*` matches any text, also with slashes, ? for one character and [ab] for one of these. Upper and lower case differ.
    #[arg(long, value_name = "GLOB", env = "TELECINE_INCLUDE", value_delimiter = '\n')]
    pub(in crate::cli) include: Vec<Pattern>,

    /// Of a bucket or a folder, leave out objects or files whose path below it matches, also if --include matches it. Repeatable.
    #[arg(long, value_name = "GLOB", env = "TELECINE_EXCLUDE", value_delimiter = '\n')]
    pub(in crate::cli) exclude: Vec<Pattern>,

    /// Of a folder, add the columns media.created and media.location: when and where a video was taken, as its file says.
    ///
    /// They feed a field only where --map says so: --map datetime=media.created --map geo=media.location. They are read of .mp4 and .mov files,
    /// and empty where a file says nothing. The time is UTC, or has the offset that the camera wrote; many cameras write local time as UTC.
    #[arg(long, env = "TELECINE_FROM_MEDIA")]
    pub(in crate::cli) from_media: bool,

    /// Run this command with sh for the credentials of s3:// addresses [default: AWS_ACCESS_KEY_ID, else AWS_PROFILE].
    ///
    /// It prints JSON as credential_process of AWS does, such as `aws configure export-credentials`. It runs again before the
    /// credentials expire.
    #[arg(
        long,
        value_name = "COMMAND",
        env = "TELECINE_SOURCE_CREDENTIALS_COMMAND",
        hide_env_values = true,
        help_heading = "Buckets"
    )]
    pub(in crate::cli) source_credentials_command: Option<String>,

    /// How the service gets objects in buckets: link (it fetches them) or upload (this machine reads and sends them).
    ///
    /// With upload, the service needs no access to the storage, as in a private network. Objects then obey the rules of files on this machine:
    /// .mp4, .mov, .mkv or .avi, up to 3 GB, and --bwlimit. An object that changed since its bucket was listed is not sent.
    #[arg(long, value_enum, value_name = "WAY", env = "TELECINE_VIA", default_value_t = ViaArg::Link, help_heading = "Buckets")]
    pub(in crate::cli) via: ViaArg,
}

/// How the service gets objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ViaArg {
    Link,
    Upload,
}

impl ViaArg {
    pub(in crate::cli) const fn via(self) -> Via {
        match self {
            Self::Link => Via::Link,
            Self::Upload => Via::Upload,
        }
    }
}

impl ListedArgs {
    /// The patterns as they were given.
    pub(in crate::cli) fn patterns(&self) -> [(&'static str, Vec<String>); 2] {
        let texts = |patterns: &[Pattern]| patterns.iter().map(ToString::to_string).collect();
        [("include", texts(&self.include)), ("exclude", texts(&self.exclude))]
    }

    fn is_wanted(&self, key: &str) -> bool {
        let matches = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(key));
        (self.include.is_empty() || matches(&self.include)) && !matches(&self.exclude)
    }

    /// Lists each bucket and each folder among the manifests.
    pub(super) fn list(
        &self,
        specs: Vec<ManifestSpec>,
        events: &EventBus,
    ) -> Result<Vec<ManifestSpec>, Error> {
        let places = specs.iter().map(|spec| place_of(&spec.path)).collect::<Result<Vec<_>, _>>()?;
        if self.from_media && !places.iter().any(|place| matches!(place, Place::Folder(_))) {
            let what = "is for a folder as the manifest, such as ./videos/: a second file adds columns to its rows (--join)";
            return Err(Error::Usage(format!("--from-media {what}")));
        }
        if places.iter().all(|place| matches!(place, Place::File)) {
            let patterns = self.patterns();
            let unused = patterns.iter().find(|(_, patterns)| !patterns.is_empty());
            return unused.map_or(Ok(specs), |(flag, _)| {
                let what = "is for a bucket or a folder as the manifest, such as s3://archive/2019/; --where chooses rows of files";
                Err(Error::Usage(format!("--{flag} {what}")))
            });
        }
        let rules = LinkRules {
            credentials_command: self.source_credentials_command.clone(),
            ..LinkRules::default()
        };
        let sources = Sources::new(rules, |name| std::env::var_os(name), Clock::real());
        let is_wanted = |key: &str| self.is_wanted(key);
        let buckets = BucketListing { sources: &sources, events, is_wanted: &is_wanted };
        let folders = FolderListing { events, is_wanted: &is_wanted, reads_media: self.from_media };
        block_on(async {
            let mut listed = Vec::with_capacity(specs.len());
            for (spec, place) in specs.into_iter().zip(places) {
                listed.push(match place {
                    Place::File => spec,
                    Place::Bucket(prefix) => spec.with_listing(buckets.list(&prefix).await?),
                    Place::Folder(root) => {
                        let listing = folders.list(&spec.path, &root)?;
                        // its files, and no others
                        let rules = RowRules { files: Some(root), ..spec.rules.clone() };
                        ManifestSpec { rules, ..spec }.with_listing(listing)
                    }
                });
            }
            Ok(listed)
        })
    }
}

/// What a manifest is.
enum Place {
    File,
    Bucket(BucketPrefix),
    Folder(FilesRoot),
}

fn place_of(path: &str) -> Result<Place, Error> {
    if let Some(prefix) = prefix_of(path)? {
        return Ok(Place::Bucket(prefix));
    }
    if path == STDIN || !Path::new(path).is_dir() {
        return Ok(Place::File);
    }
    let unusable = |error| Error::Usage(format!("the manifest {}: {error}", crate::redact::clean(path)));
    FilesRoot::open(Path::new(path)).map(Place::Folder).map_err(unusable)
}

/// The bucket that a manifest names. `None`: it is a file.
fn prefix_of(path: &str) -> Result<Option<BucketPrefix>, Error> {
    let Some(prefix) = BucketPrefix::parse(path).filter(|_| path != STDIN) else { return Ok(None) };
    let shown = crate::redact::clean(path);
    let prefix = prefix.map_err(|error| Error::Usage(format!("the manifest {shown}: {error}")))?;
    let name = prefix.prefix.rsplit('/').next().unwrap_or_default();
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    if MANIFEST_ENDINGS.contains(&ending.as_str()) {
        return Err(Error::Usage(format!(
            "the manifest {shown} is an object, and each object below an address is a row: fetch it first, or pipe it in \
             (aws s3 cp s3://... - | telecine check -)"
        )));
    }
    Ok(Some(prefix))
}

/// The events of a command that shows nothing else meanwhile: it says how far a listing is, unless it is to print nothing.
pub(in crate::cli) fn events_of(manifests: &[String], is_quiet: bool) -> EventBus {
    let is_listed = |manifest: &String| is_object_address(manifest) || Path::new(manifest).is_dir();
    let has_listing = manifests.iter().any(is_listed);
    EventBus::new(if has_listing { sinks::sinks_for(false, is_quiet, 1) } else { Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_chosen_by_their_keys_and_a_manifest_in_a_bucket_is_no_prefix() {
        let patterns = |texts: &[&str]| texts.iter().map(|text| Pattern::new(text).unwrap()).collect();
        let args = ListedArgs {
            include: patterns(&["*.mp4", "*.mov"]),
            exclude: patterns(&["raw/*"]),
            from_media: false,
            source_credentials_command: None,
            via: ViaArg::Link,
        };
        let wanted: Vec<&str> = ["a.mp4", "x/y.mov", "raw/a.mp4", "a.MP4", "a.json"]
            .into_iter()
            .filter(|key| args.is_wanted(key))
            .collect();
        assert_eq!(wanted, ["a.mp4", "x/y.mov"]);
        for (path, is_prefix) in
            [("s3://archive/2019/", true), ("s3://archive/v1.2/fog", true), ("m.csv", false), ("-", false)]
        {
            assert_eq!(prefix_of(path).unwrap().is_some(), is_prefix, "{path}");
        }
        for path in ["s3://archive/m.csv", "s3://archive/m.CSV.gz", "s3://a", "az://box"] {
            assert!(prefix_of(path).is_err(), "{path}");
        }
    }
}

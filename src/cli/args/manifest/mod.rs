//! Flags that say what to read, and how: the manifests and their mapping.

mod fields;

use std::path::{Path, PathBuf};

use clap::Args;

use super::{
    ledger::ChosenSettings,
    listed::{self, ListedArgs},
    values::{self, FormatArg, GeoOrderArg, OffsetArg, SameByArg, TooLongArg},
};
use crate::{
    error::Error,
    events::EventBus,
    ledger::Marker,
    local_file::FilesRoot,
    manifest::{
        self, DateFormat, DateRules, Dialect, Encoding, Field, Filter, Header, Join, LoneComma, Manifest,
        ManifestError, ManifestSpec, MapRule, MissingRules, OffsetRule, Quote, RowRules, TagSeparator,
    },
};

/// What to read, and how.
#[derive(Args, Debug)]
#[command(next_help_heading = "Manifest")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(in crate::cli) struct ManifestArgs {
    /// Files of video URLs, 'archive/*.csv', - (standard input), a folder of videos, or a bucket: s3://BUCKET/PREFIX.
    ///
    /// A name with *, ? or [ is a pattern. The files are CSV, Excel (.xlsx), JSON Lines, JSON or plain lists, also
    /// compressed with gzip, zstd, bzip2 or xz. Comma, semicolon, tab and pipe are detected as delimiters. One column must
    /// be the url. tags, latitude, longitude, geo, datetime, camera_model, unique_id, callback, retain_original_video, video_transcription_prompt, id and hash are recognised by their names and
    /// common synonyms. For other names, `telecine guess FILE` proposes a mapping.
    ///
    /// s3://BUCKET/PREFIX, gs://BUCKET/PREFIX and az://ACCOUNT/CONTAINER/PREFIX are listed: each object whose key begins with
    /// the prefix is a row. Its columns are url, key, name, size, etag, last_modified and the folders of the key, path[1],
    /// path[2] and so on: --map 'tags=path[1]+path[2]'. Only the url feeds a field without --map.
    ///
    /// A folder is listed as well: each .mp4, .mov, .mkv and .avi file in it and in the folders below it is a row, and the file itself is
    /// sent. Its columns are url, path, name, size, modified, path[1], path[2] and so on.
    #[arg(required = true, value_name = "MANIFEST", help_heading = None)]
    pub(in crate::cli) manifests: Vec<String>,

    /// The columns of a field: FIELD=COL[+COL...].
    ///
    /// `#5` is the fifth column. A part may also be a quoted text ('archive 2019'), a column whose name becomes a tag where
    /// its value is yes (is_cat?), all columns with a prefix (tag_*), or a template:
    /// --map 'url=https://host/{id}/{file}'. Values in a template for the url are percent-encoded; {file|raw} is not.
    /// In JSON, url=videos[].url makes one row of each element of videos, url=hd[]+sd[] one row of each of these keys, and
    /// tags=subjects[].name one tag of each element. The variable holds one rule per line. Rules of telecine.toml hold
    /// for the fields that no flag and no variable names. account=COLUMN imports the rows of several accounts with one command.
    #[arg(long, value_name = "FIELD=COLUMN", env = "TELECINE_MAP", value_delimiter = '\n')]
    pub(in crate::cli) map: Vec<MapRule>,

    /// Add this tag to every row.
    #[arg(long, value_name = "TAG", env = "TELECINE_TAG", value_delimiter = '\n')]
    pub(in crate::cli) tag: Vec<String>,

    /// Read only rows that match: COLUMN=VALUE.
    ///
    /// Operators: = (is), != (is not), ~ (contains), !~ (does not contain).
    #[arg(long = "where", value_name = "COLUMN=VALUE", env = "TELECINE_WHERE", value_delimiter = '\n')]
    pub(in crate::cli) filters: Vec<Filter>,

    /// Send files on this machine that rows name, from this folder and the folders below it.
    ///
    /// A row names a file by its path, absolute or relative to DIR, or as file:///PATH. Nothing outside DIR is sent, wherever
    /// symbolic links lead. Without this flag, a row that names a file is invalid.
    #[arg(long, value_name = "DIR", env = "TELECINE_FILES_ROOT")]
    pub(in crate::cli) files_root: Option<PathBuf>,

    /// Add the columns of a second file, matched by a key column: FILE:KEY, or FILE:OWN=THEIRS.
    #[arg(long, value_name = "FILE:KEY", env = "TELECINE_JOIN", value_delimiter = '\n')]
    pub(in crate::cli) join: Vec<Join>,

    /// The file format [default: detected from the first bytes].
    #[arg(long, value_enum, value_name = "FORMAT", env = "TELECINE_FORMAT")]
    pub(in crate::cli) format: Option<FormatArg>,

    /// The separator of tags in one cell [default: any of , ; |].
    #[arg(long, value_name = "TEXT", env = "TELECINE_TAG_SEPARATOR", value_parser = values::separator)]
    pub(in crate::cli) tag_separator: Option<String>,

    /// The delimiter of cells [default: detected from the first line].
    #[arg(long, value_name = "CHAR", env = "TELECINE_DELIMITER", value_parser = values::delimiter)]
    pub(in crate::cli) delimiter: Option<u8>,

    /// The text encoding, such as windows-1252 or utf-16le [default: detected from the first bytes].
    #[arg(long, value_name = "NAME", env = "TELECINE_ENCODING")]
    pub(in crate::cli) encoding: Option<Encoding>,

    /// The character that quotes cells with delimiters or line breaks; none: cells are not quoted.
    #[arg(long, value_name = "CHAR", env = "TELECINE_QUOTE", default_value = "\"", value_parser = values::quote)]
    pub(in crate::cli) quote: Quote,

    /// The character that escapes a quote inside a quoted cell, such as \\ [default: the quote is doubled].
    #[arg(long, value_name = "CHAR", env = "TELECINE_ESCAPE", value_parser = values::character)]
    pub(in crate::cli) escape: Option<u8>,

    /// Ignore lines that start with this character.
    #[arg(long, value_name = "CHAR", env = "TELECINE_COMMENT", value_parser = values::character)]
    pub(in crate::cli) comment: Option<u8>,

    /// The line of the header (with --no-header, of the first row). Earlier lines are skipped.
    #[arg(long, value_name = "N", env = "TELECINE_HEADER_LINE", default_value_t = 1,
          value_parser = values::whole::<u64>(1..=1_000_000))]
    pub(in crate::cli) header_line: u64,

    /// The first line is a row, not a header. Refer to columns by number (#1).
    #[arg(long, env = "TELECINE_NO_HEADER")]
    pub(in crate::cli) no_header: bool,

    /// The worksheet of an Excel workbook [default: the first visible one].
    #[arg(long, value_name = "NAME", env = "TELECINE_SHEET")]
    pub(in crate::cli) sheet: Option<String>,

    /// Read a row with too few cells as if empty cells followed. Without this, such a row is invalid.
    #[arg(long, env = "TELECINE_PAD_SHORT_ROWS")]
    pub(in crate::cli) pad_short_rows: bool,

    /// The namespace of rows without a unique_id.
    #[arg(long, value_name = "NAMESPACE", env = "TELECINE_UNIQUE_ID", default_value = "default",
          value_parser = values::namespace)]
    pub(in crate::cli) unique_id: String,

    /// What identifies a video: its url (without its signature), or the id of the row.
    #[arg(long, value_enum, value_name = "FIELD", env = "TELECINE_SAME_BY", default_value = "url")]
    pub(in crate::cli) same_by: SameByArg,

    /// The order of two coordinates in one cell.
    #[arg(long, value_enum, value_name = "ORDER", env = "TELECINE_GEO_ORDER", default_value = "lat-lon")]
    pub(in crate::cli) geo_order: GeoOrderArg,

    /// The format of dates: dmy, mdy, year, epoch-s or '%d.%m.%Y %H:%M'.
    ///
    /// epoch-ms and excel (days since 1900) are known too. Several formats are tried in order [default: every format that is unambiguous].
    #[arg(long, value_name = "FORMAT", env = "TELECINE_DATE_FORMAT", value_delimiter = '\n')]
    pub(in crate::cli) date_format: Vec<DateFormat>,

    /// The time zone of times without an offset, such as Europe/Berlin. Used by --datetime-offset utc, and for epochs.
    #[arg(long, value_name = "ZONE", env = "TELECINE_TIMEZONE", value_parser = values::zone)]
    pub(in crate::cli) timezone: Option<jiff::tz::TimeZone>,

    /// A text that means a missing value, beside NA, N/A, NULL, None, NaN, \\N and the like.
    #[arg(long, value_name = "TEXT", env = "TELECINE_NULL", value_delimiter = '\n')]
    pub(in crate::cli) null: Vec<String>,

    /// Only the texts of --null mean a missing value. NA, NULL and the like are ordinary texts.
    #[arg(long, env = "TELECINE_NO_NULL")]
    pub(in crate::cli) no_null: bool,

    /// If the value of this field is invalid, send the row without it and count it. Several fields may be given.
    #[arg(long, value_name = "FIELD", env = "TELECINE_DROP_INVALID", value_delimiter = ',', value_parser = values::optional_field)]
    pub(in crate::cli) drop_invalid: Vec<Field>,

    /// What to do with texts that are longer than the service accepts, and with more than 20 tags.
    #[arg(long, value_enum, value_name = "RULE", env = "TELECINE_TOO_LONG", default_value = "refuse")]
    pub(in crate::cli) too_long: TooLongArg,

    /// What to do with offsets such as +02:00 in times. The service does not document a time zone.
    #[arg(long, value_enum, value_name = "RULE", env = "TELECINE_DATETIME_OFFSET", default_value = "keep")]
    pub(in crate::cli) datetime_offset: OffsetArg,

    /// Send no marker tag. A request without an answer then usually needs a manual review.
    #[arg(long, env = "TELECINE_NO_MARKER")]
    pub(in crate::cli) no_marker: bool,

    #[command(flatten)]
    pub(in crate::cli) listed: ListedArgs,

    /// Where a rule maps the account, only rows of the one that `--account` names are read.
    #[command(flatten)]
    chosen: ChosenSettings,
}

impl ManifestArgs {
    /// Opens every manifest, so that errors are reported before anything else happens. The events say how far listings are.
    pub(in crate::cli) fn open(&self, events: &EventBus) -> Result<Vec<Manifest>, Error> {
        open_specs(self.specs(events), events)
    }

    /// The same for a command that reads no object: the service is to fetch all of them.
    pub(in crate::cli) fn open_with_links(&self, events: &EventBus) -> Result<Vec<Manifest>, Error> {
        let with_links = |specs: Vec<ManifestSpec>| specs.into_iter().map(ManifestSpec::with_links).collect();
        open_specs(self.specs(events).map(with_links), events)
    }

    /// The same for a command without events of its own. `is_quiet`: it says nothing meanwhile.
    pub(in crate::cli) fn open_alone(&self, is_quiet: bool) -> Result<Vec<Manifest>, Error> {
        opened(&self.specs_alone(is_quiet)?)
    }

    /// How to read each manifest, for a command without events of its own.
    pub(in crate::cli) fn specs_alone(&self, is_quiet: bool) -> Result<Vec<ManifestSpec>, Error> {
        let events = listed::events_of(&self.manifests, is_quiet);
        let specs = self.specs(&events);
        events.close();
        events.finish();
        specs
    }

    /// Whether a rule maps the account and no account is selected: the rows are for several.
    pub(in crate::cli) fn has_accounts(&self) -> bool {
        self.chosen.account().is_none() && self.account_rule().is_some()
    }

    /// An error if the rows are for several accounts, and the command works with one.
    pub(in crate::cli) fn check_one_account(&self, command: &str) -> Result<(), Error> {
        if !self.has_accounts() {
            return Ok(());
        }
        Err(Error::Usage(format!(
            "{command} works with the rows of one account: select it with --account NAME"
        )))
    }

    /// What says which account a row is for.
    pub(in crate::cli) fn account_rule(&self) -> Option<&MapRule> {
        self.map.iter().find(|rule| rule.field == Field::Account)
    }

    /// Whether requests carry marker tags.
    pub(in crate::cli) const fn marker(&self) -> Marker {
        if self.no_marker { Marker::Off } else { Marker::On }
    }

    /// How to read each manifest. Buckets are listed.
    fn specs(&self, events: &EventBus) -> Result<Vec<ManifestSpec>, Error> {
        self.check_map()?;
        let rules = self.row_rules()?;
        let mut identities = Vec::new();
        let mut specs = Vec::with_capacity(self.manifests.len());
        for path in &self.paths()? {
            let identity = manifest::identity(path);
            if identities.contains(&identity) {
                return Err(Error::Usage(format!("the manifest {path} is given twice; name it once")));
            }
            identities.push(identity);
            specs.push(self.spec(path, rules.clone()));
        }
        self.listed.list(specs, events)
    }

    /// The files to read. A name with `*`, `?` or `[` that is not a file is a pattern.
    fn paths(&self) -> Result<Vec<String>, Error> {
        let mut paths = Vec::new();
        for given in &self.manifests {
            if !given.contains(['*', '?', '[']) || given.contains("://") || Path::new(given).exists() {
                paths.push(given.clone());
                continue;
            }
            let unusable = |cause: String| Error::Usage(format!("the manifests {given}: {cause}"));
            let matching = glob::glob(given).map_err(|error| unusable(error.to_string()))?;
            let before = paths.len();
            for path in matching {
                let path = path.map_err(|error| unusable(error.to_string()))?;
                let text = path.to_str().ok_or_else(|| unusable("a file name is not UTF-8".to_owned()))?;
                if path.is_file() {
                    paths.push(text.to_owned());
                }
            }
            if paths.len() == before {
                return Err(Error::Manifest(ManifestError::NoMatch { pattern: given.clone() }));
            }
        }
        Ok(paths)
    }

    /// Checks that no field has two rules.
    fn check_map(&self) -> Result<(), Error> {
        let rule_of = |field: Field| self.map.iter().find(|rule| rule.field == field);
        if let (Some(geo), Some(half)) =
            (rule_of(Field::Geo), rule_of(Field::Latitude).or_else(|| rule_of(Field::Longitude)))
        {
            let both = format!("two rules for the place ({geo} and {half}): it is in one column or in two");
            return Err(Error::Usage(both));
        }
        for (at, rule) in self.map.iter().enumerate() {
            if let Some(first) = self.map[..at].iter().find(|first| first.field == rule.field) {
                return Err(Error::Usage(format!(
                    "two rules for {} ({first} and {rule}): write one, which joins columns with +",
                    rule.field.name()
                )));
            }
        }
        Ok(())
    }

    fn spec(&self, path: &str, rules: RowRules) -> ManifestSpec {
        ManifestSpec {
            path: path.to_owned(),
            dialect: Dialect {
                encoding: self.encoding,
                delimiter: self.delimiter,
                quote: self.quote,
                escape: self.escape,
                comment: self.comment,
                lines_before: self.header_line - 1,
                sheet: self.sheet.clone(),
                pads_short_rows: self.pad_short_rows,
            },
            format: self.format.map(FormatArg::format),
            header: if self.no_header { Header::Absent } else { Header::Present },
            joins: self.join.clone(),
            map: self.map.clone(),
            tags: self.tag.clone(),
            filters: self.filters.clone(),
            account: self.chosen.account().map(str::to_owned),
            rules,
            listing: None,
        }
    }

    fn row_rules(&self) -> Result<RowRules, Error> {
        let open = |root: &PathBuf| {
            FilesRoot::open(root)
                .map_err(|error| Error::Usage(format!("--files-root {}: {error}", root.display())))
        };
        Ok(RowRules {
            namespace: self.unique_id.clone(),
            tag_separator: self.tag_separator.clone().map_or(TagSeparator::Default, TagSeparator::Only),
            dates: DateRules {
                formats: self.date_format.clone(),
                offset: match self.datetime_offset {
                    OffsetArg::Keep => OffsetRule::Keep,
                    OffsetArg::Utc => OffsetRule::Utc,
                },
                zone: self.timezone.clone(),
                ..DateRules::default()
            },
            geo_order: self.geo_order.order(),
            too_long: self.too_long.rule(),
            same_by: self.same_by.rule(),
            lone_comma: if self.no_marker { LoneComma::Refused } else { LoneComma::Safe },
            missing: MissingRules {
                has_defaults: !self.no_null,
                texts: self.null.iter().map(|text| text.trim().to_owned()).collect(),
            },
            drop_invalid: self.drop_invalid.clone(),
            files: self.files_root.as_ref().map(open).transpose()?,
            via: self.listed.via.via(),
            is_bucket: false,
        })
    }
}

fn open_specs(specs: Result<Vec<ManifestSpec>, Error>, events: &EventBus) -> Result<Vec<Manifest>, Error> {
    let opened = specs.and_then(|specs| opened(&specs));
    if opened.is_err() {
        // the error comes behind what was shown
        events.close();
        events.finish();
    }
    opened
}

fn opened(specs: &[ManifestSpec]) -> Result<Vec<Manifest>, Error> {
    Ok(specs.iter().map(Manifest::open).collect::<Result<_, _>>()?)
}

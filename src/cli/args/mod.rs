//! Groups of flags that several commands share, and how they become checked values.
#![allow(
    clippy::doc_markdown,
    rustdoc::bare_urls,
    rustdoc::broken_intra_doc_links,
    reason = "the doc comments of flags are help texts"
)]

pub(in crate::cli) mod limits;
pub(in crate::cli) mod values;

use std::path::{Path, PathBuf};

use clap::Args;

use crate::{
    api::UserRule,
    app::{Destination, RequestedLimits, RunRequest},
    domain::Price,
    error::Error,
    events::EventBus,
    ledger::{DriftedRows, FailedRows, KeyChange, Marker, RerunPolicy},
    manifest::{
        self, DateFormat, DateRules, Dialect, Encoding, Field, Filter, Header, Join, LoneComma, Manifest,
        ManifestSpec, MapRule, MissingRules, OffsetRule, Quote, RowRules, TagSeparator,
    },
    pipeline::{OnDoubt, ReconcileRules, RunPolicy, Signals},
    sandbox::EMBEDDED_KEY,
    settings::credentials::{self, KeySources},
};
use limits::{ReadLimitArgs, UploadLimitArgs, given};
use values::{FormatArg, GeoOrderArg, OffsetArg, OnDoubtArg, OnDriftArg, SameByArg, TooLongArg};

/// What to read, and how.
#[derive(Args, Debug)]
#[command(next_help_heading = "Manifest")]
pub(in crate::cli) struct ManifestArgs {
    /// Files of video URLs: CSV, JSON Lines, JSON arrays or plain lists, also packed (gzip, zstd, bzip2, xz); `-` is standard
    /// input, and 'archive/*.csv' all files of that name.
    ///
    /// Comma, semicolon, tab and pipe are recognised. One column must be the url; tags, latitude, longitude, geo,
    /// datetime, camera_model, unique_id, callback, retain_original_video, video_transcription_prompt, id and hash are
    /// recognised by their usual names. `telecine guess FILE` proposes a mapping for any others.
    #[arg(required = true, value_name = "MANIFEST")]
    pub(in crate::cli) manifests: Vec<String>,

    /// Say what feeds a field: FIELD=COLUMN[+COLUMN...]. `#5` is the fifth column.
    ///
    /// A part may also be a text in quotes ('archive 2019'), a column whose name counts where its value says yes (is_cat?),
    /// all columns of a name (tag_*), or a template: --map 'url=https://host/{id}/{file}'. Values in a template for the url
    /// are percent-encoded; {file|raw} is not. The variable holds one rule a line.
    #[arg(long, value_name = "FIELD=PART", env = "TELECINE_MAP", value_delimiter = '\n')]
    pub(in crate::cli) map: Vec<MapRule>,

    /// A tag for all rows.
    #[arg(long, value_name = "TEXT", env = "TELECINE_TAG", value_delimiter = '\n')]
    pub(in crate::cli) tag: Vec<String>,

    /// Take only rows for which this holds: COLUMN=VALUE, or with != (is not), ~ (contains), !~ (does not contain).
    #[arg(long = "where", value_name = "COLUMN=VALUE", env = "TELECINE_WHERE", value_delimiter = '\n')]
    pub(in crate::cli) filters: Vec<Filter>,

    /// Add the columns of a second file, found by a key that both hold: FILE:KEY, or FILE:OWN=THEIRS.
    #[arg(long, value_name = "FILE:KEY", env = "TELECINE_JOIN", value_delimiter = '\n')]
    pub(in crate::cli) join: Vec<Join>,

    /// In which shape rows are written [default: found out from the first bytes].
    #[arg(long, value_enum, value_name = "FORMAT", env = "TELECINE_FORMAT")]
    pub(in crate::cli) format: Option<FormatArg>,

    /// What stands between tags in a cell [default: any of , ; |].
    #[arg(long, value_name = "TEXT", env = "TELECINE_TAG_SEPARATOR", value_parser = values::separator)]
    pub(in crate::cli) tag_separator: Option<String>,

    /// What stands between cells [default: found out from the first line].
    #[arg(long, value_name = "CHAR", env = "TELECINE_DELIMITER", value_parser = values::delimiter)]
    pub(in crate::cli) delimiter: Option<u8>,

    /// The file's text encoding, such as windows-1252 or utf-16le [default: found out from the first bytes].
    #[arg(long, value_name = "NAME", env = "TELECINE_ENCODING")]
    pub(in crate::cli) encoding: Option<Encoding>,

    /// What encloses cells that contain delimiters or line breaks; none for nothing.
    #[arg(long, value_name = "CHAR", env = "TELECINE_QUOTE", default_value = "\"", value_parser = values::quote)]
    pub(in crate::cli) quote: Quote,

    /// What stands before a quote that is part of a cell, such as \\ [default: the quote itself, doubled].
    #[arg(long, value_name = "CHAR", env = "TELECINE_ESCAPE", value_parser = values::character)]
    pub(in crate::cli) escape: Option<u8>,

    /// Lines that begin with this are no rows.
    #[arg(long, value_name = "CHAR", env = "TELECINE_COMMENT", value_parser = values::character)]
    pub(in crate::cli) comment: Option<u8>,

    /// The line the header is on (or, with --no-header, the first row); what stands before it is skipped.
    #[arg(long, value_name = "N", env = "TELECINE_HEADER_LINE", default_value_t = 1,
          value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(in crate::cli) header_line: u64,

    /// The first line is a row, not a header; name columns by number.
    #[arg(long, env = "TELECINE_NO_HEADER")]
    pub(in crate::cli) no_header: bool,

    /// The namespace (`unique_id`) of rows that name none.
    #[arg(long, value_name = "ID", env = "TELECINE_UNIQUE_ID", default_value = "default", value_parser = values::namespace)]
    pub(in crate::cli) unique_id: String,

    /// By what a row is the same video as another: its url (without what signs it), or its id.
    #[arg(long, value_enum, value_name = "WHAT", env = "TELECINE_SAME_BY", default_value = "url")]
    pub(in crate::cli) same_by: SameByArg,

    /// Which coordinate comes first where both stand in one cell.
    #[arg(long, value_enum, value_name = "ORDER", env = "TELECINE_GEO_ORDER", default_value = "lat-lon")]
    pub(in crate::cli) geo_order: GeoOrderArg,

    /// How dates are written: dmy, mdy, year, epoch-s, epoch-ms, excel, or a pattern such as '%d.%m.%Y %H:%M'; more than one is
    /// tried in turn [default: every way that can be read one way only].
    #[arg(long, value_name = "FORMAT", env = "TELECINE_DATE_FORMAT", value_delimiter = '\n')]
    pub(in crate::cli) date_format: Vec<DateFormat>,

    /// The zone of times without an offset, such as Europe/Berlin: used by --datetime-offset utc, and for epochs.
    #[arg(long, value_name = "ZONE", env = "TELECINE_TIMEZONE", value_parser = values::zone)]
    pub(in crate::cli) timezone: Option<jiff::tz::TimeZone>,

    /// A text that counts as a missing value, beside those that programs write (NA, N/A, NULL, None, NaN, \N, ...).
    #[arg(long, value_name = "TEXT", env = "TELECINE_NULL", value_delimiter = '\n')]
    pub(in crate::cli) null: Vec<String>,

    /// Only the texts of --null count as missing values; NA, NULL and the like are texts.
    #[arg(long, env = "TELECINE_NO_NULL")]
    pub(in crate::cli) no_null: bool,

    /// Send a row without this field where its value cannot be read, and count it, instead of refusing the row; may be given
    /// for several fields.
    #[arg(long, value_name = "FIELD", env = "TELECINE_DROP_INVALID", value_delimiter = ',', value_parser = values::optional_field)]
    pub(in crate::cli) drop_invalid: Vec<Field>,

    /// What becomes of texts longer than the service takes, and of tags beyond the twentieth.
    #[arg(long, value_enum, value_name = "RULE", env = "TELECINE_TOO_LONG", default_value = "refuse")]
    pub(in crate::cli) too_long: TooLongArg,

    /// What to do with offsets such as +02:00 in times: the service states no time zone.
    #[arg(long, value_enum, value_name = "RULE", env = "TELECINE_DATETIME_OFFSET", default_value = "keep")]
    pub(in crate::cli) datetime_offset: OffsetArg,

    /// Send no marker tag. Then a lost answer can rarely be settled without a human.
    #[arg(long, env = "TELECINE_NO_MARKER")]
    pub(in crate::cli) no_marker: bool,
}

impl ManifestArgs {
    /// Opens every manifest, so that what is wrong with one is said before anything happens.
    pub(in crate::cli) fn open(&self) -> Result<Vec<Manifest>, Error> {
        Ok(self.specs()?.iter().map(Manifest::open).collect::<Result<_, _>>()?)
    }

    /// What is told of how to read manifests, as settings: flags with their values, but for the mapping and `--no-header`.
    pub(in crate::cli) fn settings(&self) -> Vec<(&'static str, Vec<String>)> {
        let byte = |byte: u8| if byte == b'\t' { "tab".to_owned() } else { char::from(byte).to_string() };
        let one = |value: Option<String>| value.into_iter().collect::<Vec<_>>();
        let unless = |value: String, with_defaults: &str| {
            if value == with_defaults { Vec::new() } else { vec![value] }
        };
        let quote = match self.quote {
            Quote::Byte(quote) => char::from(quote).to_string(),
            Quote::None => "none".to_owned(),
        };
        let settings = [
            ("format", one(self.format.as_ref().map(values::name_of))),
            ("encoding", one(self.encoding.map(|encoding| format!("{encoding:?}")))),
            ("delimiter", one(self.delimiter.map(byte))),
            ("quote", unless(quote, "\"")),
            ("escape", one(self.escape.map(byte))),
            ("comment", one(self.comment.map(byte))),
            ("header-line", unless(self.header_line.to_string(), "1")),
            ("join", self.join.iter().map(ToString::to_string).collect()),
            ("where", self.filters.iter().map(ToString::to_string).collect()),
            ("tag", self.tag.clone()),
            ("tag-separator", one(self.tag_separator.clone())),
            ("same-by", unless(values::name_of(&self.same_by), "url")),
            ("geo-order", unless(values::name_of(&self.geo_order), "lat-lon")),
            ("date-format", self.date_format.iter().map(ToString::to_string).collect()),
            ("timezone", one(self.timezone.as_ref().and_then(|zone| zone.iana_name().map(str::to_owned)))),
            ("datetime-offset", unless(values::name_of(&self.datetime_offset), "keep")),
            ("too-long", unless(values::name_of(&self.too_long), "refuse")),
            ("unique-id", unless(self.unique_id.clone(), "default")),
            ("null", self.null.clone()),
            ("drop-invalid", self.drop_invalid.iter().map(|field| field.name().to_owned()).collect()),
        ];
        settings.into_iter().filter(|(_, values)| !values.is_empty()).collect()
    }

    /// Whether requests carry marker tags.
    pub(in crate::cli) const fn marker(&self) -> Marker {
        if self.no_marker { Marker::Off } else { Marker::On }
    }

    /// How each manifest is to be read.
    pub(in crate::cli) fn specs(&self) -> Result<Vec<ManifestSpec>, Error> {
        let mut identities = Vec::new();
        let mut specs = Vec::with_capacity(self.manifests.len());
        for path in &self.paths()? {
            let identity = manifest::identity(path);
            if identities.contains(&identity) {
                return Err(Error::Usage(format!("the manifest {path} is given twice")));
            }
            identities.push(identity);
            specs.push(self.spec(path));
        }
        Ok(specs)
    }

    /// The files that are meant: a name that no file has, with `*`, `?` or `[`, stands for all files it fits.
    fn paths(&self) -> Result<Vec<String>, Error> {
        let mut paths = Vec::new();
        for told in &self.manifests {
            if !told.contains(['*', '?', '[']) || told.contains("://") || Path::new(told).exists() {
                paths.push(told.clone());
                continue;
            }
            let unusable = |cause: String| Error::Usage(format!("the manifests {told}: {cause}"));
            let fitting = glob::glob(told).map_err(|error| unusable(error.to_string()))?;
            let before = paths.len();
            for path in fitting {
                let path = path.map_err(|error| unusable(error.to_string()))?;
                let text = path.to_str().ok_or_else(|| unusable("a name is not UTF-8".to_owned()))?;
                if path.is_file() {
                    paths.push(text.to_owned());
                }
            }
            if paths.len() == before {
                return Err(unusable("there is no such file".to_owned()));
            }
        }
        Ok(paths)
    }

    /// How the manifests are read, in one line that changes when any of it does.
    pub(in crate::cli) fn reading(&self) -> String {
        format!("{:?}", self.spec(""))
    }

    fn spec(&self, path: &str) -> ManifestSpec {
        ManifestSpec {
            path: path.to_owned(),
            dialect: Dialect {
                encoding: self.encoding,
                delimiter: self.delimiter,
                quote: self.quote,
                escape: self.escape,
                comment: self.comment,
                lines_before: self.header_line - 1,
            },
            format: self.format.map(FormatArg::format),
            header: if self.no_header { Header::Absent } else { Header::Present },
            joins: self.join.clone(),
            map: self.map.clone(),
            tags: self.tag.clone(),
            filters: self.filters.clone(),
            rules: RowRules {
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
            },
        }
    }
}

/// Which rows are sent.
#[derive(Args, Debug)]
#[command(next_help_heading = "Rows")]
pub(in crate::cli) struct RowArgs {
    /// Send rows of these manifests again that failed to be indexed (each is paid again) or were refused.
    #[arg(long, env = "TELECINE_RETRY_FAILED")]
    pub(in crate::cli) retry_failed: bool,

    /// What becomes of rows whose video is indexed already but whose tags, place, time or other values changed since: the
    /// service cannot change a video, only take (and charge) another.
    #[arg(long, value_enum, value_name = "RULE", env = "TELECINE_ON_DRIFT", default_value = "report")]
    pub(in crate::cli) on_drift: OnDriftArg,

    /// Send only rows whose source was found fit by telecine check --probe, no longer ago than this [default with the flag:
    /// 7d]; the others are rejected, with what is missing.
    #[arg(long, value_name = "AGE", env = "TELECINE_PROBED_ONLY", num_args = 0..=1, default_missing_value = "7d",
          require_equals = true)]
    pub(in crate::cli) probed_only: Option<values::DurationArg>,
}

impl RowArgs {
    pub(in crate::cli) fn probe_age_max(&self) -> Option<std::time::Duration> {
        self.probed_only.map(|duration| duration.0)
    }

    /// Everything here that changes which rows an import sends.
    pub(in crate::cli) fn policy(&self) -> String {
        format!("{self:?}")
    }

    pub(in crate::cli) const fn reruns(&self) -> RerunPolicy {
        RerunPolicy {
            failed: if self.retry_failed { FailedRows::Retry } else { FailedRows::Leave },
            drifted: match self.on_drift {
                OnDriftArg::Report => DriftedRows::Report,
                OnDriftArg::Resend => DriftedRows::Resend,
                OnDriftArg::Ignore => DriftedRows::Ignore,
            },
        }
    }
}

/// Where the ledger is.
#[derive(Args, Debug)]
#[command(next_help_heading = "Ledger")]
pub(in crate::cli) struct LedgerArgs {
    /// The SQLite file that remembers every row and request [default: state/telecine.db, with --sandbox
    /// state/sandbox.db].
    #[arg(long, value_name = "PATH", env = "TELECINE_LEDGER")]
    pub(in crate::cli) ledger: Option<PathBuf>,
}

impl LedgerArgs {
    pub(in crate::cli) fn path(&self, target: Target) -> PathBuf {
        self.ledger.clone().unwrap_or_else(|| {
            PathBuf::from(match target {
                Target::Service => "state/telecine.db",
                Target::Sandbox => "state/sandbox.db",
            })
        })
    }
}

/// Which ledger to look at, by commands that talk to no service.
#[derive(Args, Debug)]
pub(in crate::cli) struct ReadOnlyLedgerArgs {
    #[command(flatten)]
    pub(in crate::cli) ledger: LedgerArgs,

    /// The ledger of `import --sandbox`.
    #[arg(long, env = "TELECINE_SANDBOX", help_heading = "Ledger")]
    pub(in crate::cli) sandbox: bool,
}

impl ReadOnlyLedgerArgs {
    pub(in crate::cli) fn path(&self) -> PathBuf {
        self.ledger.path(if self.sandbox { Target::Sandbox } else { Target::Service })
    }
}

/// What the run talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Target {
    /// A server.
    Service,
    /// The sandbox in this process.
    Sandbox,
}

/// How to reach the service, and how often.
#[derive(Args, Debug)]
#[command(next_help_heading = "Service")]
pub(in crate::cli) struct ServiceArgs {
    /// The service's origin [default: https://api.memories.ai, or MEMORIES_API_URL].
    #[arg(long, value_name = "URL", env = "TELECINE_API_URL")]
    pub(in crate::cli) api_url: Option<String>,

    /// Talk to a sandbox inside this process: no account, no network, nothing is paid.
    #[arg(long, env = "TELECINE_SANDBOX", conflicts_with_all = ["api_url", "key_file", "key_command"])]
    pub(in crate::cli) sandbox: bool,

    /// Read the API key from this file, which only you may read [default: the variable MEMORIES_API_KEY].
    #[arg(long, value_name = "PATH", env = "TELECINE_KEY_FILE")]
    pub(in crate::cli) key_file: Option<PathBuf>,

    /// Run this command with sh and take the API key from its output.
    #[arg(
        long,
        value_name = "COMMAND",
        env = "TELECINE_KEY_COMMAND",
        hide_env_values = true,
        conflicts_with = "key_file"
    )]
    pub(in crate::cli) key_command: Option<String>,

    /// The API key is new, and belongs to the account this ledger was made with.
    #[arg(long, env = "TELECINE_SAME_ACCOUNT")]
    pub(in crate::cli) same_account: bool,

    /// What an answer to an upload means that telecine does not know: CODE=WHAT or CODE:TEXT=WHAT, where WHAT is bad-row, busy
    /// (not taken, try again) or in-doubt.
    #[arg(long, value_name = "RULE", env = "TELECINE_VERDICT", value_delimiter = ',')]
    pub(in crate::cli) verdict: Vec<UserRule>,

    #[command(flatten)]
    pub(in crate::cli) reads: ReadLimitArgs,
}

impl ServiceArgs {
    pub(in crate::cli) const fn target(&self) -> Target {
        if self.sandbox { Target::Sandbox } else { Target::Service }
    }

    fn destination(&self) -> Result<Destination, Error> {
        if self.sandbox {
            return Ok(Destination::Sandbox);
        }
        let text = self.api_url.clone().or_else(|| std::env::var(credentials::URL_VARIABLE).ok());
        credentials::origin(text.as_deref().unwrap_or(credentials::DEFAULT_ORIGIN)).map(Destination::Server)
    }

    fn api_key(&self) -> Result<secrecy::SecretString, Error> {
        if self.sandbox {
            return Ok(EMBEDDED_KEY.into());
        }
        credentials::api_key(&KeySources {
            file: self.key_file.as_deref(),
            command: self.key_command.as_deref(),
            variable: std::env::var(credentials::KEY_VARIABLE).ok(),
        })
    }

    /// A run against this service with this ledger. It uploads nothing, until its limits and its policy say otherwise.
    pub(in crate::cli) fn request(
        &self,
        ledger: &Path,
        output: &OutputArgs,
        events: EventBus,
    ) -> Result<RunRequest, Error> {
        let limits = given(&UploadLimitArgs::default(), &self.reads);
        Ok(RunRequest {
            destination: self.destination()?,
            key: self.api_key()?,
            key_change: if self.same_account { KeyChange::SameAccount } else { KeyChange::Refused },
            user_rules: self.verdict.clone(),
            ledger: ledger.to_path_buf(),
            reports: output.reports(ledger),
            limits: RequestedLimits::new(limits, self.sandbox),
            policy: RunPolicy::default(),
            concurrency: None,
            price: None,
            events,
            signals: Signals::default(),
        })
    }
}

/// How doubts and waiting are handled.
#[derive(Args, Debug)]
#[command(next_help_heading = "Settling")]
pub(in crate::cli) struct SettleArgs {
    /// Wait at most this long for indexing after the last acceptance, then exit 5 [default: 2h].
    #[arg(long, value_name = "SPAN", env = "TELECINE_WAIT", conflicts_with = "no_wait")]
    pub(in crate::cli) wait: Option<values::DurationArg>,

    /// Do not wait for indexing.
    #[arg(long, env = "TELECINE_NO_WAIT")]
    pub(in crate::cli) no_wait: bool,

    /// How long a request without an answer must be quiet before listings can prove that it never arrived.
    #[arg(long, value_name = "SPAN", env = "TELECINE_SETTLE_AFTER", default_value = "30m")]
    pub(in crate::cli) settle_after: values::DurationArg,

    /// Nobody else uploads into these namespaces: then the only unknown video there must be the lost one.
    #[arg(long, env = "TELECINE_EXCLUSIVE")]
    pub(in crate::cli) exclusive: bool,

    /// What to do with requests without a clear answer [default: auto with --exclusive, hold without].
    #[arg(long, value_enum, value_name = "WAY", env = "TELECINE_ON_DOUBT")]
    pub(in crate::cli) on_doubt: Option<values::OnDoubtArg>,
}

impl SettleArgs {
    pub(in crate::cli) fn rules(&self) -> Result<ReconcileRules, Error> {
        let on_doubt = match (self.on_doubt, self.exclusive) {
            (Some(OnDoubtArg::Auto), false) => {
                let cause = "--on-doubt auto takes any unknown video for ours; say --exclusive if nobody else uploads there";
                return Err(Error::Usage(cause.to_owned()));
            }
            (Some(OnDoubtArg::Auto) | None, true) => OnDoubt::Auto,
            (Some(OnDoubtArg::Hold), _) | (None, false) => OnDoubt::Hold,
            (Some(OnDoubtArg::Ask), _) => OnDoubt::Ask,
        };
        Ok(ReconcileRules { quiet: self.settle_after.0, on_doubt })
    }

    /// How long to wait for indexing. `None`: not at all.
    pub(in crate::cli) fn wait(&self) -> Option<std::time::Duration> {
        /// Long enough for hours of video; the service states no bound.
        const WAIT_DEFAULT: std::time::Duration = std::time::Duration::from_hours(2);
        if self.no_wait { None } else { Some(self.wait.map_or(WAIT_DEFAULT, |wait| wait.0)) }
    }
}

/// What an upload costs.
#[derive(Args, Debug)]
#[command(next_help_heading = "Money")]
pub(in crate::cli) struct PriceArgs {
    /// What an upload costs in credits, for budgets and reports: 2 or 2/upload, or by the minute 0.1/min.
    #[arg(long, value_name = "CREDITS", env = "TELECINE_PRICE", value_parser = values::price)]
    pub(in crate::cli) price: Option<values::PriceArg>,

    /// With a price by the minute: no video is longer than this many minutes.
    #[arg(long, value_name = "N", env = "TELECINE_MINUTES_MAX", default_value_t = 60,
          value_parser = clap::value_parser!(u32).range(1..=1440))]
    pub(in crate::cli) minutes_max: u32,
}

impl PriceArgs {
    pub(in crate::cli) fn price(&self) -> Option<Price> {
        self.price.map(|price| match price {
            values::PriceArg::Upload(amount) => Price::per_upload(amount),
            values::PriceArg::Minute(amount) => Price::per_minute(amount, self.minutes_max),
        })
    }
}

/// What to print, and where reports go.
#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
pub(in crate::cli) struct OutputArgs {
    /// Reports go below this folder, in one folder a run [default: reports/ beside the ledger].
    #[arg(short, long, value_name = "DIR", env = "TELECINE_OUT_DIR")]
    pub(in crate::cli) out_dir: Option<PathBuf>,

    /// One JSON object a line on stdout.
    #[arg(long, env = "TELECINE_JSON")]
    pub(in crate::cli) json: bool,

    /// Say nothing but errors.
    #[arg(short, long, env = "TELECINE_QUIET")]
    pub(in crate::cli) quiet: bool,
}

impl OutputArgs {
    /// Reports go into a folder below this one.
    pub(in crate::cli) fn reports(&self, ledger: &Path) -> PathBuf {
        self.out_dir.clone().unwrap_or_else(|| ledger.with_file_name("reports"))
    }
}

//! The limits of an account: as flags, as the ledger keeps them (`quota set`), and as defaults, in this order.
#![allow(clippy::doc_markdown, reason = "the doc comments of flags are help texts")]

use clap::Args;
use serde::{Deserialize, Serialize};

use super::args::Target;
use crate::{
    error::Error,
    ledger::{Ledger, LedgerError, Snapshot},
    limit::{Cap, Rate},
    quota::Limits,
};

/// The name under which the ledger keeps the limits that were set.
pub(super) const LIMITS: &str = "limits";
/// The strictest rate any document of the service states for uploads by URL.
const RATE_DEFAULT: &str = "1/min";
/// What the sandbox of this process takes.
const RATE_SANDBOX: &str = "20/s";
/// How often listings and single videos may be read: no document states less for listings, and none anything for single
/// videos.
const READ_RATE_DEFAULT: &str = "1/s";
/// As many requests on the wire at least…
const CONCURRENCY_MIN: u64 = 8;
/// …and at most, where nothing else is said: each is a connection, and systems allow a thousand or so.
const CONCURRENCY_MAX: u64 = 512;
/// An answer may take as long as this, in seconds: so many requests are on the wire at a full rate.
const ANSWER_SECONDS_MAX: u64 = 120;

/// How often to upload.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Pace")]
pub(super) struct UploadLimitArgs {
    /// How often to upload, such as 1/min or 10/s; several hold together. 60/min:burst sends as many at once as the limit
    /// lets [default: 1/min, the strictest rate documented; with --sandbox 20/s].
    #[arg(long, value_name = "N/SPAN", env = "TELECINE_RATE", value_delimiter = ',')]
    pub(super) rate: Vec<Rate>,

    /// A rolling cap such as 120/2h; several hold together. 120/2h:indexing counts only what is still being indexed. What the
    /// account's 2-hour cap is, is learned where it is not said.
    #[arg(long, value_name = "N/SPAN", env = "TELECINE_CAP", value_delimiter = ',')]
    pub(super) cap: Vec<Cap>,
}

/// How often to read.
#[expect(clippy::struct_field_names, reason = "they are the flags' names")]
#[derive(Args, Clone, Debug, Default)]
pub(super) struct ReadLimitArgs {
    /// How often listings may be read; several hold together [default: 1/s].
    #[arg(
        long,
        value_name = "N/SPAN",
        env = "TELECINE_LIST_RATE",
        value_delimiter = ',',
        help_heading = "Service"
    )]
    pub(super) list_rate: Vec<Rate>,

    /// How often single videos may be looked at; several hold together [default: 1/s].
    #[arg(
        long,
        value_name = "N/SPAN",
        env = "TELECINE_GET_RATE",
        value_delimiter = ',',
        help_heading = "Service"
    )]
    pub(super) get_rate: Vec<Rate>,

    /// How often anything may be asked, where one quota covers uploads and reads alike. Reads then take their share.
    #[arg(
        long,
        value_name = "N/SPAN",
        env = "TELECINE_TOTAL_RATE",
        value_delimiter = ',',
        help_heading = "Service"
    )]
    pub(super) total_rate: Vec<Rate>,
}

/// Limits as texts: for the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Stored {
    pub(super) rate: Vec<String>,
    pub(super) cap: Vec<String>,
    pub(super) list_rate: Vec<String>,
    pub(super) get_rate: Vec<String>,
    pub(super) total_rate: Vec<String>,
}

impl Stored {
    /// Reads what the ledger keeps; nothing where it keeps nothing that can be read.
    pub(super) fn from_text(text: Option<&str>) -> Self {
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    /// Takes over what flags say.
    pub(super) fn set(&mut self, uploads: &UploadLimitArgs, reads: &ReadLimitArgs) {
        let take = |own: &mut Vec<String>, said: Vec<String>| {
            if !said.is_empty() {
                *own = said;
            }
        };
        take(&mut self.rate, texts(&uploads.rate));
        take(&mut self.cap, texts(&uploads.cap));
        take(&mut self.list_rate, texts(&reads.list_rate));
        take(&mut self.get_rate, texts(&reads.get_rate));
        take(&mut self.total_rate, texts(&reads.total_rate));
    }
}

fn texts(values: &[impl ToString]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

/// What is asked of an account's limits.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    uploads: UploadLimitArgs,
    reads: ReadLimitArgs,
    target: Target,
}

impl Asked {
    pub(super) fn new(uploads: &UploadLimitArgs, reads: &ReadLimitArgs, target: Target) -> Self {
        Self { uploads: uploads.clone(), reads: reads.clone(), target }
    }

    /// For work that uploads nothing.
    pub(super) fn for_reading(reads: &ReadLimitArgs, target: Target) -> Self {
        Self::new(&UploadLimitArgs::default(), reads, target)
    }

    /// The limits in force for this ledger.
    pub(super) async fn resolve(&self, ledger: &Ledger) -> Result<Limits, Error> {
        self.over(&Stored::from_text(ledger.memo(LIMITS).await?.as_deref()))
    }

    /// The same, for somebody who only looks.
    pub(super) fn resolve_from(&self, snapshot: &Snapshot) -> Result<Limits, Error> {
        self.over(&Stored::from_text(snapshot.memo(LIMITS)?.as_deref()))
    }

    /// What is said, over what is stored, over the defaults.
    pub(super) fn over(&self, stored: &Stored) -> Result<Limits, Error> {
        let rate_default = match self.target {
            Target::Service => RATE_DEFAULT,
            Target::Sandbox => RATE_SANDBOX,
        };
        Ok(Limits {
            upload: first_said(&self.uploads.rate, &stored.rate, &[rate_default])?,
            caps: first_said(&self.uploads.cap, &stored.cap, &[])?,
            list: first_said(&self.reads.list_rate, &stored.list_rate, &[READ_RATE_DEFAULT])?,
            metadata: first_said(&self.reads.get_rate, &stored.get_rate, &[READ_RATE_DEFAULT])?,
            total: first_said(&self.reads.total_rate, &stored.total_rate, &[])?,
        })
    }
}

fn first_said<T>(said: &[T], stored: &[String], default: &[&str]) -> Result<Vec<T>, Error>
where
    T: Clone + std::str::FromStr<Err = crate::limit::LimitFault>,
{
    if !said.is_empty() {
        return Ok(said.to_vec());
    }
    let texts: Vec<&str> =
        if stored.is_empty() { default.to_vec() } else { stored.iter().map(String::as_str).collect() };
    let read = |text: &&str| {
        text.parse().map_err(|fault| {
            Error::Ledger(LedgerError::Impossible { what: format!("the limit {text:?}: {fault}") })
        })
    };
    texts.iter().map(read).collect()
}

/// Requests on the wire at most, where nothing is said: as many as leave at the full rate while the slowest answer comes.
pub(super) fn concurrency(limits: &Limits) -> usize {
    let per_answer = |rate: &Rate| {
        let span_ms = u64::try_from(rate.limit().span_ms()).unwrap_or(u64::MAX).max(1);
        u64::from(rate.limit().count()).saturating_mul(ANSWER_SECONDS_MAX * 1000) / span_ms + 1
    };
    let needed = limits.upload.iter().chain(&limits.total).map(per_answer).min().unwrap_or(CONCURRENCY_MIN);
    usize::try_from(needed.clamp(CONCURRENCY_MIN, CONCURRENCY_MAX)).unwrap_or(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_said_over_what_is_stored_over_the_default() {
        let mut uploads = UploadLimitArgs::default();
        let reads = ReadLimitArgs::default();
        let asked = |uploads: &UploadLimitArgs| Asked::new(uploads, &reads, Target::Service);
        let mut stored = Stored::default();
        assert_eq!(asked(&uploads).over(&stored).unwrap().upload_words(), "1/min");
        stored.rate = vec!["1/s".to_owned()];
        stored.cap = vec!["120/2h".to_owned(), "?/day".to_owned()];
        let stored = Stored::from_text(Some(&serde_json::to_string(&stored).unwrap()));
        assert_eq!(asked(&uploads).over(&stored).unwrap().upload_words(), "1/s, 120/2h, ?/day");
        uploads.rate = vec!["2/s".parse().unwrap()];
        assert_eq!(asked(&uploads).over(&stored).unwrap().upload_words(), "2/s, 120/2h, ?/day");
    }

    #[test]
    fn no_slot_waits_for_a_slow_answer() {
        let of =
            |rate: &str| concurrency(&Limits { upload: vec![rate.parse().unwrap()], ..Limits::default() });
        assert_eq!([of("1/min"), of("1/s"), of("50/s")], [8, 121, 512]);
    }
}

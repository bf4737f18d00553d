//! The events of a run, and the sinks that receive them. A run never depends on a sink.

use std::{fmt, sync::Arc};

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::{Problem, RowCounts, SourceUrl, UnixMillis, VideoNo, rfc3339, rfc3339_option};

/// Something that happened in a run. As JSON it is one object, and the field `event` names its kind.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The ledger of the run is open.
    LedgerOpened {
        /// Its file.
        path: String,
        /// Whether it is new.
        is_new: bool,
    },
    /// Another process uses the ledger, and this one waits to take over.
    StandingBy {
        /// Who uses it, and when it was last seen.
        reason: String,
    },
    /// A bucket or a folder that is a manifest is being listed: a page, or a thousand files, were read.
    Listing {
        /// The bucket and the prefix, as an address, or the folder.
        address: String,
        /// Objects or files so far.
        objects: u64,
    },
    /// A manifest is open.
    ManifestOpened {
        /// As given on the command line.
        path: String,
        /// Which columns feed which fields: `url=link, tags=topic`.
        mapping: String,
        /// Columns that feed no field.
        unused_columns: Vec<String>,
        /// What was detected in its bytes: `zstd`, `windows-1252 (it is not UTF-8)`.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        found: Vec<String>,
    },
    /// A row is invalid: it cannot be sent.
    RowInvalid {
        path: String,
        /// The line on which its record starts.
        line: u64,
        problems: Vec<Problem>,
    },
    /// A row's item was seen earlier in this run.
    RowDuplicate { path: String, line: u64, first_line: u64 },
    /// A row's item was already sent with other content. The ledger keeps what was sent.
    RowDrifted { path: String, line: u64 },
    /// A manifest was read to its end.
    ManifestRead {
        path: String,
        #[serde(flatten)]
        counts: RowCounts,
        /// Rows that now wait to be sent.
        pending: u64,
        /// Rows that a filter left out. They are in none of the counts.
        left_out: u64,
        /// Rows without a row in a joined file.
        unmatched: u64,
    },
    /// A page of the library was compared with the ledger.
    Comparing {
        namespace: String,
        /// Pages that were compared.
        page: u32,
        /// Pages to compare in this namespace.
        pages: u32,
    },
    /// The service accepted a video.
    Accepted {
        #[schemars(with = "String")]
        url: RedactedUrl,
        #[schemars(with = "String")]
        video_no: VideoNo,
    },
    /// The service rejected a row for good.
    Rejected {
        #[schemars(with = "String")]
        url: RedactedUrl,
        cause: String,
    },
    /// A request has no clear answer. Its item is in doubt.
    AnswerLost {
        #[schemars(with = "String")]
        url: RedactedUrl,
        cause: String,
    },
    /// Evidence ended a doubt.
    Reconciled {
        #[schemars(with = "String")]
        url: RedactedUrl,
        /// `found`, `found_absent`, `found_accepted` or `review_requested`.
        outcome: &'static str,
        evidence: String,
    },
    /// A video is searchable.
    Indexed {
        #[schemars(with = "String")]
        video_no: VideoNo,
    },
    /// The service could not index a video.
    IndexingFailed {
        #[schemars(with = "String")]
        video_no: VideoNo,
        cause: String,
    },
    /// Uploading waits.
    Waiting {
        reason: String,
        /// At the latest; uploading may resume sooner.
        #[serde(serialize_with = "rfc3339")]
        #[schemars(with = "String", extend("format" = "date-time"))]
        until: UnixMillis,
        /// How to end the wait. Present in the first wait of a kind.
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<&'static str>,
    },
    /// Refusals, or their absence, showed something about the account's limits.
    LimitLearned { text: String },
    /// Links that will expire before they can be sent, by the forecast.
    LinksExpiring {
        count: u64,
        /// The first of them: `m.csv:12 at 2026-01-31T12:00:00Z`.
        first: Vec<String>,
    },
    /// How far the run is.
    Progress(Progress),
    /// How far the files are that are being sent. It comes every two seconds while one is, and at the end of each.
    SendingFiles(FileProgress),
    /// Something else that the user should know.
    Message { text: String },
}

/// How far a run is: the state counts of the whole ledger, and the forecast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Progress {
    /// All items.
    pub items: u64,
    pub pending: u64,
    /// Items of the manifests of this run that wait to be sent.
    pub to_send: u64,
    /// Sent, not answered yet.
    pub sending: u64,
    /// The outcome, or the video number, is not known.
    pub in_doubt: u64,
    /// Accepted, being indexed.
    #[serde(rename = "accepted")]
    pub indexing: u64,
    /// Searchable.
    pub indexed: u64,
    /// Could not be indexed.
    pub failed: u64,
    /// Rejected by the service, or given up.
    pub rejected: u64,
    /// Needs a decision: `telecine review`.
    pub needs_review: u64,
    /// When the last pending item will have been sent, by the limits.
    #[serde(serialize_with = "rfc3339_option")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub sent_by: Option<UnixMillis>,
}

/// How far the files are that are being sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FileProgress {
    /// How many they are.
    pub files: u64,
    /// Bytes of their requests that were sent.
    pub sent: u64,
    /// Bytes of their requests.
    pub size: u64,
    /// Of all files together, since the event of this kind before.
    pub bytes_per_second: u64,
}

/// A source URL for output: redacted when it is printed and when it is serialised.
#[derive(Clone, PartialEq, Eq)]
pub struct RedactedUrl(String);

impl From<&SourceUrl> for RedactedUrl {
    fn from(url: &SourceUrl) -> Self {
        Self(url.to_string())
    }
}

impl fmt::Display for RedactedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RedactedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for RedactedUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Receives events.
pub trait EventSink: Send + Sync {
    /// Takes an event and its time. Must not wait, as for the reader of a pipe.
    fn on_event(&self, at: UnixMillis, event: &Event);

    /// No more events will come: a live display is cleared.
    fn close(&self) {}

    /// Waits until the events so far are shown.
    fn finish(&self) {}
}

/// Passes events to its sinks. Cheap to clone.
#[derive(Clone)]
pub struct EventBus {
    sinks: Arc<[Box<dyn EventSink>]>,
}

impl EventBus {
    /// A bus with these sinks.
    #[must_use]
    pub fn new(sinks: Vec<Box<dyn EventSink>>) -> Self {
        Self { sinks: sinks.into() }
    }

    /// Passes an event to every sink.
    pub fn emit(&self, at: UnixMillis, event: &Event) {
        for sink in self.sinks.iter() {
            sink.on_event(at, event);
        }
    }

    /// Tells every sink that no more events will come.
    pub fn close(&self) {
        for sink in self.sinks.iter() {
            sink.close();
        }
    }

    /// Waits until every sink has shown the events so far.
    pub fn finish(&self) {
        for sink in self.sinks.iter() {
            sink.finish();
        }
    }
}

//! What the house says aloud: one enum of notices, and whoever listens.
//!
//! Notices are facts for people and programs watching; nothing in the house depends on anybody listening.

use std::{fmt, sync::Arc};

use serde::Serialize;

use crate::item::{Problem, RowCounts, SourceUrl, UnixMillis, VideoNo};

/// Something worth saying. Serialised as one JSON object with a `notice` field.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "notice", rename_all = "snake_case")]
pub enum Notice {
    /// A manifest is open and this is how it is understood.
    ManifestOpened {
        /// As given on the command line.
        path: String,
        /// `url=link, tags=topic`.
        mapping: String,
        /// Columns that feed nothing.
        unused_columns: Vec<String>,
        /// What was found out about its bytes: `zstd`, `windows-1252 (it is not UTF-8)`.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        found: Vec<String>,
    },
    /// A row cannot be sent.
    RowRejected {
        /// The manifest.
        path: String,
        /// The line its record starts on.
        line: u64,
        /// What is wrong.
        problems: Vec<Problem>,
    },
    /// A row's item was seen earlier in this run.
    RowDuplicate {
        /// The manifest.
        path: String,
        /// The line.
        line: u64,
        /// The line of the first.
        first_line: u64,
    },
    /// A row's item was already sent with other content; the ledger keeps what was sent.
    RowDrifted {
        /// The manifest.
        path: String,
        /// The line.
        line: u64,
    },
    /// A manifest was read to its end.
    ManifestRead {
        /// The manifest.
        path: String,
        /// What its rows came to.
        #[serde(flatten)]
        counts: RowCounts,
        /// Rows that now wait to be sent.
        pending: u64,
        /// Rows that a filter left out; they are in none of the counts.
        left_out: u64,
        /// Rows that have no row in a second file.
        unmatched: u64,
    },
    /// The service took a video.
    Accepted {
        /// The source, redacted.
        url: Shown,
        /// The video.
        video_no: VideoNo,
    },
    /// The service refused a row for good.
    Refused {
        /// The source, redacted.
        url: Shown,
        /// Its words.
        cause: String,
    },
    /// A request has no clear answer.
    Doubted {
        /// The source, redacted.
        url: Shown,
        /// What came instead.
        cause: String,
    },
    /// A doubt was settled by evidence.
    DoubtSettled {
        /// The source, redacted.
        url: Shown,
        /// `found`, `found_absent`, `counted` or `asked`.
        outcome: &'static str,
        /// The evidence.
        evidence: String,
    },
    /// A video is searchable.
    Indexed {
        /// The video.
        video_no: VideoNo,
    },
    /// A video could not be indexed.
    IndexingFailed {
        /// The video.
        video_no: VideoNo,
        /// The service's cause.
        cause: String,
    },
    /// Uploading waits.
    Waiting {
        /// Why.
        why: String,
        /// Until when at the latest; it may go on sooner.
        until: UnixMillis,
        /// How to leave, said with the first wait of this kind.
        #[serde(skip_serializing_if = "Option::is_none")]
        how: Option<&'static str>,
    },
    /// Refusals, or their absence, taught something of the account's limits.
    QuotaLearned {
        /// A sentence.
        text: String,
    },
    /// Links that die before it is their turn, by the forecast.
    LinksExpire {
        /// How many will be dead by then.
        count: u64,
        /// The first of them: `m.csv:12 at 2026-01-31T12:00:00Z`.
        first: Vec<String>,
    },
    /// How far the run is.
    Progress(Progress),
    /// Something else the user should know.
    Said {
        /// A sentence.
        text: String,
    },
}

/// How far a run is: counts over the whole ledger, and the outlook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Items there are.
    pub items: u64,
    /// Waiting to be sent.
    pub pending: u64,
    /// On the wire.
    pub sending: u64,
    /// Outcome unknown.
    pub in_doubt: u64,
    /// Accepted, being indexed.
    pub indexing: u64,
    /// Searchable.
    pub indexed: u64,
    /// Could not be indexed.
    pub failed: u64,
    /// Refused by the service.
    pub rejected: u64,
    /// Waiting for a human.
    pub asked: u64,
    /// When all that is pending will have been sent under the rate and the caps.
    pub sent_by: Option<UnixMillis>,
}

/// A source for the eye: redacted when printed, and when serialised.
#[derive(Clone, PartialEq, Eq)]
pub struct Shown(String);

impl From<&SourceUrl> for Shown {
    fn from(url: &SourceUrl) -> Self {
        Self(url.to_string())
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Shown {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Somebody who listens. Must return quickly.
pub trait Listener: Send + Sync {
    /// Hears a notice and when it was said.
    fn hear(&self, at: UnixMillis, notice: &Notice);

    /// Nothing more will be said: what is still on display is taken down.
    fn close(&self) {}
}

/// The voice; cheap to clone.
#[derive(Clone)]
pub struct Monitor {
    listeners: Arc<[Box<dyn Listener>]>,
}

impl Monitor {
    /// A voice heard by these listeners.
    #[must_use]
    pub fn new(listeners: Vec<Box<dyn Listener>>) -> Self {
        Self { listeners: listeners.into() }
    }

    /// Says it to everybody.
    pub fn say(&self, at: UnixMillis, notice: &Notice) {
        for listener in self.listeners.iter() {
            listener.hear(at, notice);
        }
    }

    /// Tells everybody that nothing more will be said.
    pub fn close(&self) {
        for listener in self.listeners.iter() {
            listener.close();
        }
    }
}

//! The types of the domain: items and their states, source URLs, video numbers, timestamps, limits, prices.
//!
//! Every type here is valid by construction. Nothing in this module performs I/O, reads a clock or draws random numbers.

mod bucket_prefix;
mod call_counts;
mod count;
mod expiry;
mod file_address;
mod item;
mod limit;
mod object_address;
mod outcome;
mod price;
mod probe;
mod public_address;
mod reason;
mod row;
mod shard;
mod signature;
mod source_url;
mod state;
mod time;

pub use bucket_prefix::{BucketPrefix, ListedObject};
pub use call_counts::CallCounts;
pub use count::{at_most, at_most_shown, counted, with_separators};
pub use expiry::{LINK_LIFE_MIN, link_expires_at};
pub use file_address::{FileStamp, is_file_address, path_of};
pub use item::*;
pub use limit::*;
pub use object_address::{ObjectAddress, ObjectStamp, ObjectStorage, StorageAccount, is_object_address};
pub use outcome::{RunOutcome, StopReason, no_row_remedy, no_row_text};
pub use price::{Credits, Price, PriceError};
pub use probe::{Probe, ProbeVerdict, Reach};
pub use public_address::is_public;
pub use reason::{has_reason, reason_of};
pub use row::{ManifestRow, Problem, RowCounts, RowError};
pub use shard::Shard;
pub use source_url::{SourceUrl, UrlError};
pub use state::{AttemptState, IllegalTransition, ItemEvent, State, shown_name};
pub use time::{UnixMillis, rfc3339, rfc3339_option};

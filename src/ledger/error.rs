//! Why the ledger cannot be used, each with what to do about it.

use crate::{
    domain::{IllegalTransition, UnixMillis},
    redact::shell_word,
};

/// Why the ledger cannot be used. The text says what to do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another process writes it.
    #[error(
        "the ledger {path} is in use by another telecine ({holder}); wait for it, or stop it, then run again"
    )]
    Locked {
        path: String,
        /// What the lock file says of its holder.
        holder: String,
    },
    /// Made by a newer program.
    #[error(
        "the ledger {path} has version {found}, this telecine knows {known}; use the newer telecine that made it"
    )]
    Newer { path: String, found: i64, known: i64 },
    /// Some other SQLite file, or no database.
    #[error("{path} is not a telecine ledger; name another file with --ledger")]
    Foreign { path: String },
    /// Made for another server.
    #[error(
        "the ledger {path} belongs to {theirs}, not to {ours}; give each service a ledger of its own (--ledger)"
    )]
    OtherOrigin { path: String, theirs: String, ours: String },
    /// Made with another key.
    #[error(
        "the ledger {path} was made with another API key; for another account use another ledger (--ledger), \
         for a new key of the same account say --same-account once"
    )]
    OtherKey { path: String },
    /// Another ledger on this machine serves the account.
    #[error(
        "this account is served by the ledger {first}, and {path} does not know what was sent with it: rows would be paid \
         again. Use the first ledger (--ledger {first}). If it is obsolete, move it away. If the account needs both, give \
         --second-ledger"
    )]
    SecondLedger { path: String, first: String },
    /// Not there.
    #[error(
        "there is no ledger at {path}; it is made by the first import (--ledger names another; limits for the first import are flags, or are in telecine.toml)"
    )]
    Missing { path: String },
    /// Its folder or file cannot be made or written.
    #[error("cannot write the ledger {path}: {cause}; choose a writable place with --ledger")]
    Unwritable { path: String, cause: String },
    /// It is there, and cannot be read.
    #[error("cannot read the ledger {path}: {cause}; --ledger names another")]
    Unreadable { path: String, cause: String },
    /// Made by an older program, and nothing has written it since.
    #[error(
        "the ledger {path} was made by an older telecine; the next import or reconcile brings it up to date"
    )]
    Outdated { path: String },
    /// It is on a disk that several machines may share.
    #[error(
        "the ledger {path} is on {kind}, whose locks do not hold; put it on a disk of this machine with --ledger"
    )]
    NetworkDisk { path: String, kind: &'static str },
    /// SQLite finds damage in it.
    #[error(
        "the ledger {path} is damaged ({found}); nothing was sent. Keep the file, put back a backup, \
         and bring it up to date: telecine recover MANIFEST (MANIFEST: the files that were imported into it)"
    )]
    Damaged { path: String, found: String },
    /// More requests were sent than it knows.
    #[error(
        "the ledger {path} is older than what was sent: it knows {known} of {last} requests. \
         Put the newer ledger back, or bring this one up to date: {}",
        recover(path, &[])
    )]
    Older {
        path: String,
        /// The last request it knows.
        known: i64,
        /// The last request made.
        last: i64,
    },
    /// A recovery was begun and not ended.
    #[error(
        "the recovery of the ledger {path} is not finished; until it is, nothing is sent. Resume it: {}",
        recover(path, manifests)
    )]
    HalfRecovered {
        path: String,
        /// The manifests that it was given, as far as it has read them. Empty: it has read none.
        manifests: Vec<String>,
    },
    /// A value that it stores under a name.
    #[error("{what} in the ledger cannot be read ({cause}); nothing was sent: {remedy}")]
    UnreadableValue {
        what: &'static str,
        cause: String,
        /// What to do.
        remedy: &'static str,
    },
    /// One of its files is not where it was opened.
    #[error(
        "{file} was moved, replaced or deleted while this run wrote the ledger; nothing more was sent. Put the files of the \
         ledger back as they were (also -wal), then run the same command again; if they are gone, put back a backup or \
         start with a new ledger, and let `telecine recover` find what was sent"
    )]
    Moved { file: String },
    /// The account goes on with a copy of it.
    #[error(
        "the ledger {path} was moved to {to} at {at}, and does not know what was sent since; use that one: --ledger {}. To come \
         back, move it again: telecine ledger copy {0} NEW --move. If there is no ledger any more, bring this one up to date: {}",
        shell_word(to),
        recover(path, &[])
    )]
    MovedAway { path: String, to: String, at: UnixMillis },
    /// The ledger that it was copied from is in use.
    #[error(
        "the ledger {path} is a copy of {of} from {at}, and does not know what was sent since; use that one: --ledger {}. A copy \
         that is to be used is made with --move. If there is no other ledger any more, bring this one up to date: {}",
        shell_word(of),
        recover(path, &[])
    )]
    IsCopy { path: String, of: String, at: UnixMillis },
    /// A place where a copy cannot be made.
    #[error("cannot copy the ledger to {place}: {cause}")]
    CopyTarget {
        place: String,
        /// With what to do.
        cause: String,
    },
    /// What was written is not what was read.
    #[error(
        "the copy differs in the table {table} ({read} rows read, {written} in the copy), and was undone; the ledger is as it was. \
         Run `telecine ledger check` on it, then try again"
    )]
    CopyDiffers { table: String, read: u64, written: u64 },
    /// What was read is not a ledger without problems.
    #[error(
        "the copy is not correct, and was undone: {problems}. The ledger that was copied has the same problems; `telecine ledger \
         check` shows them"
    )]
    CopyProblems { problems: String },
    /// A database that cannot be used as it is.
    #[error("cannot use the ledger {place}: {cause}")]
    Database {
        place: String,
        /// With what to do.
        cause: String,
    },
    /// The connection to the database ended. Nothing of the transaction was committed.
    #[error(
        "the connection to the database of the ledger was lost: {cause}; nothing more was sent. Run the same command again \
         when the database can be reached"
    )]
    ConnectionLost { cause: String },
    /// The connection ended at a commit, and the database cannot be asked what became of it.
    #[error(
        "the connection to the database of the ledger was lost at a commit, and whether it was made is not known ({cause}); nothing \
         more was sent. Run the same command again when the database can be reached"
    )]
    CommitUnknown { cause: String },
    /// Another process holds the lease of the ledger.
    #[error(
        "{holder} holds the lease of the ledger {place} (term {term}, last seen {seen_s} s ago); wait for it, stop it, or give \
         --standby to take over when it ends"
    )]
    LeaseHeld { place: String, holder: String, term: i64, seen_s: i64 },
    /// Another process took the lease over.
    #[error(
        "this process lost the lease of the ledger {place} (term {term}): {holder} took over. Nothing more was sent from here; what \
         was in flight is in doubt there"
    )]
    LeaseLost { place: String, term: i64, holder: String },
    /// The database no longer has what it had committed.
    #[error(
        "the database of the ledger {place} lost changes that it had committed, as after a failover to a standby that was \
         behind; nothing more was sent. Bring the ledger up to date: telecine recover MANIFEST --ledger {} (MANIFEST: the \
         files that were imported into it)",
        shell_word(place)
    )]
    LostCommits { place: String },
    /// Another database is at the address.
    #[error(
        "the ledger {place} is in another database than before, as after a failover or a restore, and may not know what was sent \
         last; nothing was sent. Bring it up to date: telecine recover MANIFEST --ledger {} (MANIFEST: the files that were imported \
         into it)",
        shell_word(place)
    )]
    OtherDatabase { place: String },
    /// A commit that may be lost with the server.
    #[error(
        "the database did not confirm that a standby has the last change ({cause}); nothing more was sent. Check its \
         replication, then run the same command again"
    )]
    NotReplicated {
        /// The warning of the server.
        cause: String,
    },
    /// The disk is full.
    #[error(
        "the disk that holds the ledger is full; free some space and run the same command again, nothing is lost"
    )]
    DiskFull,
    /// A file may not grow beyond the limit of the process.
    #[error(
        "a file of the ledger cannot grow: the limit on the size of files is {limit} bytes (ulimit -f, or LimitFSIZE of systemd); \
         raise the limit and run the same command again, nothing is lost"
    )]
    FileLimit { limit: u64 },
    /// A commit failed, or SQLite reports damage.
    #[error(
        "the ledger stopped: {cause}; nothing more was sent. Check the disk, then run the same command again"
    )]
    Broken {
        /// The message of SQLite.
        cause: String,
    },
    /// A bug: a part of the program panicked.
    #[error(
        "a part of telecine failed unexpectedly: {what}. The ledger is intact, and nothing more was sent. Please report this, then \
         run the same command again"
    )]
    Panicked { what: String },
    /// A bug: the transition table does not allow it.
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
    /// A bug: the ledger holds an impossible value.
    #[error("the ledger holds an impossible value: {what}")]
    Impossible {
        /// What was found.
        what: String,
    },
}

/// The limit on the size of files. SQLite does not tell a write beyond it from other errors of a write.
fn file_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Fsize).current
}

/// The command that resumes a recovery.
fn recover(path: &str, manifests: &[String]) -> String {
    let ledger = shell_word(path);
    if manifests.is_empty() {
        return format!(
            "telecine recover MANIFEST --ledger {ledger} (MANIFEST: the files that were imported into it)"
        );
    }
    let manifests: Vec<String> = manifests.iter().map(|manifest| shell_word(manifest)).collect();
    format!("telecine recover {} --ledger {ledger}", manifests.join(" "))
}

impl From<rusqlite::Error> for LedgerError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        // the file beside the ledger that its connections share could not grow
        let is_full = error
            .sqlite_error()
            .is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE);
        match error.sqlite_error_code() {
            _ if is_full => Self::DiskFull,
            Some(ErrorCode::SystemIoFailure) => match file_limit() {
                Some(limit) => Self::FileLimit { limit },
                None => Self::Broken { cause: error.to_string() },
            },
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            Some(ErrorCode::ConstraintViolation) => Self::Impossible { what: error.to_string() },
            Some(ErrorCode::DatabaseCorrupt) => {
                Self::Damaged { path: "the file".to_owned(), found: error.to_string() }
            }
            Some(ErrorCode::NotADatabase) => Self::Foreign { path: "the file".to_owned() },
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                Self::Unwritable { path: "file".to_owned(), cause: error.to_string() }
            }
            _ => Self::Broken { cause: error.to_string() },
        }
    }
}

impl LedgerError {
    /// What a standby waits for, without what to do about it.
    #[must_use]
    pub fn waiting_reason(&self) -> String {
        if let Self::LeaseHeld { holder, term, seen_s, .. } = self {
            return format!("{holder} holds the lease of the ledger, term {term}, last seen {seen_s} s ago");
        }
        if let Self::Locked { holder, .. } = self {
            return format!("{holder} uses the ledger");
        }
        self.to_string()
    }

    /// A copy that was not written because its disk is full. The ledger that is copied is only read.
    pub(super) fn of_copy(self, place: &str) -> Self {
        if matches!(self, Self::DiskFull) {
            let cause = "its disk is full; free some space there, or name a place on another disk".to_owned();
            return Self::CopyTarget { place: place.to_owned(), cause };
        }
        self
    }

    /// Adds the ledger's path, which SQLite's errors do not contain.
    pub(super) fn at(self, shown: &str) -> Self {
        let path = shown.to_owned();
        match self {
            Self::Foreign { .. } => Self::Foreign { path },
            Self::Unwritable { cause, .. } => Self::Unwritable { path, cause },
            Self::Damaged { found, .. } => Self::Damaged { path, found },
            other @ (Self::Locked { .. }
            | Self::Newer { .. }
            | Self::OtherOrigin { .. }
            | Self::OtherKey { .. }
            | Self::SecondLedger { .. }
            | Self::Missing { .. }
            | Self::Outdated { .. }
            | Self::NetworkDisk { .. }
            | Self::Older { .. }
            | Self::HalfRecovered { .. }
            | Self::Unreadable { .. }
            | Self::UnreadableValue { .. }
            | Self::Moved { .. }
            | Self::MovedAway { .. }
            | Self::IsCopy { .. }
            | Self::CopyTarget { .. }
            | Self::CopyDiffers { .. }
            | Self::CopyProblems { .. }
            | Self::Database { .. }
            | Self::ConnectionLost { .. }
            | Self::CommitUnknown { .. }
            | Self::LeaseHeld { .. }
            | Self::LeaseLost { .. }
            | Self::LostCommits { .. }
            | Self::OtherDatabase { .. }
            | Self::NotReplicated { .. }
            | Self::DiskFull
            | Self::FileLimit { .. }
            | Self::Broken { .. }
            | Self::Panicked { .. }
            | Self::Illegal(_)
            | Self::Impossible { .. }) => other,
        }
    }
}

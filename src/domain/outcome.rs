//! How a run can end, as the coordinator, the API client and the reports share it.

/// Why the service takes no row at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// `0401`: the API key is missing or wrong.
    KeyRefused,
    /// `0402`: no credits are left.
    CreditsOut,
    /// `0403`: the account is disabled.
    AccountDisabled,
    /// `9009`: the key lacks the permission.
    NoPermission,
    /// The address does not lead to the service.
    WrongAddress,
    /// The service answers that this API is retired.
    Retired,
    /// The service does not read requests of this form: method, content type or path.
    WrongRequest,
    /// A proxy or a firewall between here and the service refuses the request.
    Blocked,
    /// Another server answers: a login page of the network, or what a wrong address leads to.
    NotTheService,
    /// It cannot be reached, so the library cannot be compared with the ledger.
    Unreachable,
    /// It does not list its videos, so the library cannot be compared with the ledger.
    Unlisted,
    /// The proxy refuses to be used.
    ProxyUnusable,
    /// No link to an object in a bucket can be signed.
    NoSourceCredentials,
    /// A file that a row names cannot be read, as when a disk fails.
    FilesUnreadable,
    /// The TLS certificate is not trusted.
    UntrustedCertificate,
    /// Most of the latest rows were rejected: the cause is hardly each single row.
    MostlyRejected,
    /// A rule of the user (`--verdict`) says to stop.
    UserRule,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunOutcome {
    /// Every item has a final state, or waits for a review.
    Finished,
    /// Everything was sent, and the run was not to wait for indexing.
    NotWaited,
    /// The manifests have no row, or filters left out every row.
    NothingLeft {
        left_out: u64,
    },
    /// The time to wait passed with items open.
    WaitOver,
    TimeUp,
    RowsMax,
    /// The budget is spent, or reserved by requests without a clear outcome.
    BudgetSpent,
    /// The quota allows no request within the longest wait of the run.
    QuotaPaused {
        why: String,
    },
    /// Too many requests have no clear answer, and the time to wait for evidence passed.
    TooManyInDoubt {
        open: u64,
    },
    /// A row is at the service already, sent by another or a newer ledger.
    AlreadyUploaded {
        /// The item's number in the ledger.
        item: String,
    },
    /// The disk that holds the ledger is nearly full.
    DiskLow {
        free: u64,
    },
    Interrupted,
    /// The service will take no row until the operator acts.
    Stopped {
        reason: StopReason,
        cause: String,
    },
    Offline {
        cause: String,
        /// Attempts in a row that did not reach the service.
        attempts: u32,
    },
}

impl RunOutcome {
    /// Whether there is time to compare the library after the run, because it ended by itself.
    #[must_use]
    pub const fn leaves_time(&self) -> bool {
        match self {
            Self::Finished
            | Self::NotWaited
            | Self::WaitOver
            | Self::RowsMax
            | Self::BudgetSpent
            | Self::Stopped { reason: StopReason::NoSourceCredentials, .. } => true,
            Self::NothingLeft { .. }
            | Self::TimeUp
            | Self::QuotaPaused { .. }
            | Self::TooManyInDoubt { .. }
            | Self::AlreadyUploaded { .. }
            | Self::DiskLow { .. }
            | Self::Interrupted
            | Self::Stopped { .. }
            | Self::Offline { .. } => false,
        }
    }
}

/// Why no row was read: filters left out this many, or there was none.
#[must_use]
pub fn no_row_text(left_out: u64) -> String {
    if left_out == 0 {
        return "the manifest has no row".to_owned();
    }
    format!("--where or --account left out every row ({left_out})")
}

/// What to do about it.
#[must_use]
pub const fn no_row_remedy(left_out: u64) -> &'static str {
    if left_out == 0 {
        "check the program that writes the manifest: a header alone is often an export that failed"
    } else {
        "check the column and the value of --where, and whether rows name the account"
    }
}

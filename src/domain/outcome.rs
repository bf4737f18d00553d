//! How a run can end; the words that the hall, the gate and the reports share.

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
    /// Most of the latest rows were rejected: the cause is hardly each single row.
    MostlyRejected,
    /// A rule of the user (`--verdict`) says to stop.
    UserRule,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunOutcome {
    /// Everything has a final state, or a question to a human.
    Settled,
    /// Everything was sent, and nobody wanted to wait.
    NotWaited,
    /// The time to wait passed with items open.
    WaitOver,
    /// The time given is up.
    TimeUp,
    /// The number of rows given is sent.
    RowsMax,
    /// What may be spent is spent, or at stake.
    BudgetSpent,
    /// The quota lets nothing go for longer than the run was to wait.
    QuotaPaused {
        /// Which limit.
        why: String,
    },
    /// Too many requests have no clear answer, and the time to wait for evidence passed.
    TooManyInDoubt {
        /// How many.
        open: u64,
    },
    /// A row is at the service already, sent by another or a newer ledger.
    AlreadyUploaded {
        /// The item's number in the ledger.
        item: String,
    },
    /// The disk that holds the ledger is nearly full.
    DiskLow {
        /// Bytes free.
        free: u64,
    },
    /// Told to stop.
    Interrupted,
    /// The service will take no row until somebody acts.
    Stopped {
        /// Why.
        reason: StopReason,
        /// Its words.
        cause: String,
    },
    /// The host cannot be reached.
    Offline {
        /// What the system said.
        cause: String,
    },
}

impl RunOutcome {
    /// Whether nobody waits for the run to be gone: then it may look back at what it did.
    #[must_use]
    pub const fn leaves_time(&self) -> bool {
        match self {
            Self::Settled | Self::NotWaited | Self::WaitOver | Self::RowsMax | Self::BudgetSpent => true,
            Self::TimeUp
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

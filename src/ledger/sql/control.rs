//! What begins and ends transactions, in the words of SQLite.

/// What begins and ends transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) enum Control {
    Begin,
    /// Begins a transaction that reads the ledger as of one time.
    BeginRead,
    Commit,
    Rollback,
    Savepoint,
    KeepSavepoint,
    UndoSavepoint,
}

impl Control {
    pub(super) const fn sqlite(self) -> &'static str {
        match self {
            Self::Begin => "BEGIN IMMEDIATE",
            Self::BeginRead => "BEGIN DEFERRED",
            Self::Commit => "COMMIT",
            Self::Rollback => "ROLLBACK",
            Self::Savepoint => "SAVEPOINT job",
            Self::KeepSavepoint => "RELEASE job",
            Self::UndoSavepoint => "ROLLBACK TO job",
        }
    }
}

//! The owner of a ledger, and what may differ from it when the ledger is opened.

use std::path::PathBuf;

/// The owner of a ledger: one service and one account. With another account's key listings would show nothing, and
/// every request in doubt would seem absent.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The service, as scheme, host and port.
    pub origin: String,
    /// A digest of the API key. The key cannot be computed from it.
    pub key_digest: [u8; 32],
    /// Random bytes; a new ledger keeps them as the seed of its marker tags.
    pub fresh_secret: [u8; 32],
    /// Whether a new key may take over the ledger.
    pub key_change: KeyChange,
    /// The folder of the high-water marks, apart from the ledger. `None`: keep no mark.
    pub high_water: Option<PathBuf>,
    /// The folder of the registry of ledgers. `None`: the ledger is not registered.
    pub registry: Option<PathBuf>,
    /// Whether the account may have a second ledger.
    pub second_ledger: SecondLedger,
    /// Whether a ledger behind its mark may be opened.
    pub restored: Restored,
}

/// Whether a ledger may be opened that is older than what was sent with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restored {
    /// Refused.
    Refused,
    /// It will be recovered from the service, and marked as complete then.
    Recovering,
}

/// Whether an account may have a second ledger on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondLedger {
    /// Refused, with the path of the first.
    Refused,
    /// The user says that both are needed. The first stays registered.
    Allowed,
    /// There is no account: the latest ledger is registered.
    Replaces,
}

/// Whether a ledger may be continued with another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// Refused.
    Refused,
    /// The user states that it is of the same account.
    SameAccount,
}

//! The errors of PostgreSQL as errors of the ledger.

use std::error::Error as _;

use tokio_postgres::error::SqlState;

use super::DatabaseAddress;
use crate::ledger::LedgerError;

/// An error of a statement.
pub(super) fn of(error: &tokio_postgres::Error, address: &DatabaseAddress) -> LedgerError {
    let Some(answered) = error.as_db_error() else {
        return LedgerError::ConnectionLost { cause: text(error) };
    };
    let (code, message) = (answered.code(), answered.message().to_owned());
    let is_ending = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::IDLE_SESSION_TIMEOUT,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
    ];
    if is_ending.contains(code) || code.code().starts_with("08") {
        return LedgerError::ConnectionLost { cause: message };
    }
    if *code == SqlState::DISK_FULL {
        return LedgerError::DiskFull;
    }
    if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
        let cause = "it is a read-only replica, and only the primary server can be written; name the primary, or give \
                     both hosts and target_session_attrs=read-write in the address";
        return LedgerError::Database { place: address.to_string(), cause: cause.to_owned() };
    }
    if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        let cause = format!("{message}; give the user the right to create and write the schema");
        return LedgerError::Database { place: address.to_string(), cause };
    }
    if code.code().starts_with("23") {
        return LedgerError::Impossible { what: message };
    }
    LedgerError::Broken { cause: format!("{message} ({})", code.code()) }
}

/// Why a connection could not be made.
pub(super) fn of_connect(error: &tokio_postgres::Error, address: &DatabaseAddress) -> LedgerError {
    let place = address.to_string();
    let Some(answered) = error.as_db_error() else {
        let text = text(error);
        if text.contains("does not support TLS") {
            let cause = "the server does not support TLS; sslmode=disable connects without it, for a network that is \
                         trusted";
            return LedgerError::Database { place, cause: cause.to_owned() };
        }
        if text.contains("certificate") {
            let cause = format!("its certificate is refused ({text}); sslrootcert=FILE names the authority");
            return LedgerError::Database { place, cause };
        }
        if text.contains("password missing") {
            let cause =
                "it asks for a password; set PGPASSWORD, or PGPASSFILE with a file in the form of .pgpass";
            return LedgerError::Database { place, cause: cause.to_owned() };
        }
        if text.contains("target session attributes") || text.contains("read-only") {
            let cause = "none of its hosts can be written; name the primary server";
            return LedgerError::Database { place, cause: cause.to_owned() };
        }
        return LedgerError::ConnectionLost { cause: format!("{place} cannot be reached: {text}") };
    };
    let message = answered.message();
    let cause = match *answered.code() {
        SqlState::INVALID_PASSWORD => {
            format!("{message}; check the user in the address, and PGPASSWORD or the file of PGPASSFILE")
        }
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            format!("{message}; check the user in the address, and pg_hba.conf of the server")
        }
        SqlState::INVALID_CATALOG_NAME => format!("{message}; create it: createdb NAME"),
        SqlState::CANNOT_CONNECT_NOW | SqlState::TOO_MANY_CONNECTIONS => {
            return LedgerError::ConnectionLost { cause: format!("{place}: {message}") };
        }
        _ => message.to_owned(),
    };
    LedgerError::Database { place, cause }
}

/// The text of an error with its causes.
fn text(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        if !text.contains(&next_text) {
            text = format!("{text}: {next_text}");
        }
        cause = next.source();
    }
    text
}

//! Where the requests of a run go: to a server, or to the sandbox inside this process.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use url::Url;

use super::sandbox;
use crate::{
    api::{ReadError, http::HttpSetupError},
    clock::Clock,
    error::Error,
    ledger::{LedgerError, LedgerPlace},
    sandbox::SandboxServer,
    settings::credentials,
};

/// Where requests go.
#[derive(Clone, Debug)]
pub enum Destination {
    /// To the server at this origin.
    Server(Url),
    /// To the sandbox in this process.
    Sandbox,
}

impl Destination {
    /// The clock of a run that sends there.
    #[must_use]
    pub fn clock(&self) -> Clock {
        match self {
            Self::Server(origin) if !credentials::is_on_loopback(origin) => Clock::real(),
            Self::Server(_) | Self::Sandbox => super::clock::of_sandbox(),
        }
    }

    /// Its name in the ledger.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Server(origin) => origin.origin().ascii_serialization(),
            Self::Sandbox => "sandbox".to_owned(),
        }
    }

    /// Whether it is on this machine: the sandbox, or a server on loopback.
    #[must_use]
    pub fn is_on_this_machine(&self) -> bool {
        match self {
            Self::Server(origin) => credentials::is_on_loopback(origin),
            Self::Sandbox => true,
        }
    }

    /// Whether it is the sandbox in this process.
    #[must_use]
    pub const fn is_sandbox(&self) -> bool {
        matches!(self, Self::Sandbox)
    }

    /// Its address, and the sandbox if it is one. The sandbox must live as long as the run.
    pub(super) async fn connect(
        &self,
        ledger: &LedgerPlace,
        clock: &Clock,
    ) -> Result<(Url, Option<SandboxServer>), Error> {
        match self {
            Self::Server(origin) => Ok((origin.clone(), None)),
            Self::Sandbox => {
                let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
                let server = sandbox::embedded(ledger, address, clock.clone()).await?;
                let origin = credentials::origin(&format!("http://{}", server.address()))?;
                Ok((origin, Some(server)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "this is a test")]

    use super::*;

    #[test]
    fn only_addresses_of_this_machine_may_have_a_fast_clock() {
        let is_on_loopback = |origin: &str| credentials::is_on_loopback(&origin.parse().unwrap());
        assert!(is_on_loopback("http://127.0.0.1:8765") && is_on_loopback("http://[::1]:1"));
        assert!(!is_on_loopback("https://api.memories.ai") && !is_on_loopback("https://10.0.0.1"));
        assert!(!is_on_loopback("https://localhost.example"));
    }
}

/// Why one question to the service has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// It was asked, or could not be reached.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It could not be asked from here.
    #[error(transparent)]
    Own(#[from] Error),
}

impl From<HttpSetupError> for AskError {
    fn from(error: HttpSetupError) -> Self {
        Self::Own(error.into())
    }
}

impl From<LedgerError> for AskError {
    fn from(error: LedgerError) -> Self {
        Self::Own(error.into())
    }
}

//! Who may read the dashboard: requests that only read, under a name of this machine, and with the token where others can reach
//! the address.

use std::{
    fmt::Write as _,
    net::{IpAddr, SocketAddr},
};

use crate::error::Error;

/// Where the dashboard listens, and what a request needs.
pub(super) struct AccessRules {
    address: SocketAddr,
    /// `None`: only this machine can reach the address.
    token: Option<String>,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The name is not one of this machine: a page of another site may have made it lead here.
    ForeignHost,
    /// It may change something.
    Method,
    /// It has not the token.
    Token,
}

impl AccessRules {
    /// The rules of an address that is listened on.
    pub(super) fn new(
        address: SocketAddr,
        secret: impl FnOnce() -> Result<[u8; 32], Error>,
    ) -> Result<Self, Error> {
        if address.ip().is_loopback() {
            return Ok(Self { address, token: None });
        }
        let mut token = String::new();
        for byte in secret()? {
            let _ = write!(token, "{byte:02x}");
        }
        Ok(Self { address, token: Some(token) })
    }

    /// The address of the page.
    pub(super) fn url(&self) -> String {
        let query = self.token.as_ref().map(|token| format!("?token={token}")).unwrap_or_default();
        format!("http://{}/{query}", self.address)
    }

    /// Whether a request is answered.
    pub(super) fn check(
        &self,
        is_reading: bool,
        host: Option<&str>,
        query: Option<&str>,
    ) -> Result<(), Refusal> {
        if !host.is_some_and(|host| self.is_own_name(host)) {
            return Err(Refusal::ForeignHost);
        }
        if !is_reading {
            return Err(Refusal::Method);
        }
        let Some(token) = &self.token else { return Ok(()) };
        let given = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("token="));
        // digests are compared in constant time
        let is_right =
            given.is_some_and(|given| blake3::hash(given.as_bytes()) == blake3::hash(token.as_bytes()));
        if is_right { Ok(()) } else { Err(Refusal::Token) }
    }

    /// Whether a `Host` header names this machine by a name that no other site can have: an address, or `localhost`. On loopback
    /// also the port must be right; elsewhere a container or a tunnel may have another one.
    fn is_own_name(&self, host: &str) -> bool {
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !name.is_empty() && !port.ends_with(']') => (name, port),
            _ => (host, "80"),
        };
        let Ok(port) = port.parse::<u16>() else { return false };
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        let address = bare.parse::<IpAddr>().ok();
        let is_localhost = name.eq_ignore_ascii_case("localhost");
        if self.token.is_some() {
            return is_localhost || address.is_some();
        }
        port == self.address.port() && (is_localhost || address.is_some_and(|address| address.is_loopback()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(address: &str) -> AccessRules {
        AccessRules::new(address.parse().unwrap(), || Ok([0xab; 32])).unwrap()
    }

    #[test]
    fn on_loopback_only_names_of_loopback_with_the_port_are_answered() {
        let rules = rules("127.0.0.1:4848");
        let of = |host: &str| rules.check(true, Some(host), None);
        for host in ["127.0.0.1:4848", "localhost:4848", "LOCALHOST:4848", "[::1]:4848", "127.0.0.2:4848"] {
            assert_eq!(of(host), Ok(()), "{host}");
        }
        for host in [
            "evil.example:4848",
            "localhost.evil.example:4848",
            "127.0.0.1.evil.example:4848",
            "127.0.0.1:80",
            "127.0.0.1",
            "localhost",
            "192.0.2.1:4848",
            "user@localhost:4848",
            "localhost:4848:4848",
            ":4848",
            "",
        ] {
            assert_eq!(of(host), Err(Refusal::ForeignHost), "{host}");
        }
        assert_eq!(rules.check(true, None, None), Err(Refusal::ForeignHost));
        assert_eq!(rules.check(false, Some("localhost:4848"), None), Err(Refusal::Method));
        assert_eq!(rules.url(), "http://127.0.0.1:4848/");
    }

    #[test]
    fn where_others_reach_the_address_a_token_is_needed_and_names_of_other_sites_are_refused() {
        let rules = rules("0.0.0.0:4848");
        let token = "ab".repeat(32);
        assert_eq!(rules.url(), format!("http://0.0.0.0:4848/?token={token}"));
        let of = |query: Option<&str>| rules.check(true, Some("192.0.2.7:80"), query);
        assert_eq!(of(Some(&format!("token={token}"))), Ok(()));
        assert_eq!(of(Some(&format!("a=b&token={token}"))), Ok(()));
        for query in [None, Some(""), Some("token="), Some("token=ab"), Some(&*format!("token={token}0"))] {
            assert_eq!(of(query), Err(Refusal::Token), "{query:?}");
        }
        let query = format!("token={token}");
        assert_eq!(rules.check(true, Some("evil.example:4848"), Some(&query)), Err(Refusal::ForeignHost));
        assert_eq!(rules.check(false, Some("[2001:db8::1]:1"), Some(&query)), Err(Refusal::Method));
    }
}

//! Why a connection could not be made, in words: what may pass by itself, and what the operator must correct.
//!
//! The libraries below do not export all of their error types, so some causes are recognised by their texts.
//! `tests/network.rs` reads each of them from a real connection.

use std::{error::Error, io};

use rustls::CertificateError;

use crate::{domain::StopReason, http_client};

/// A connection that was not made.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoConnection {
    pub(super) cause: String,
    /// Why no connection can be made until the operator acts. `None`: it may pass by itself.
    pub(super) reason: Option<StopReason>,
}

/// What a SOCKS proxy says that it will say again.
const SOCKS_FAULTS: &[&str] = &[
    "failed parsing server response",
    "credentials not accepted",
    "authentication",
    "host address is more than",
];

/// Explains why there is no connection to a host.
pub(super) fn explain(error: &(dyn Error + 'static), host: &str) -> NoConnection {
    let causes = causes(error);
    let texts: Vec<String> = causes.iter().map(ToString::to_string).collect();
    let said = |phrase: &str| texts.iter().any(|text| text.contains(phrase));
    let last = texts.last().map(|text| http_client::plain(text)).unwrap_or_default();
    let is_of_proxy = said("failed to create underlying connection");
    let other_end = if is_of_proxy { "the proxy" } else { host };
    let passing = |cause: String| NoConnection { cause: crate::redact::clean(&cause), reason: None };
    let lasting = |reason: StopReason, cause: String| NoConnection { cause, reason: Some(reason) };
    if let Some(error) = causes.iter().find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
        if let rustls::Error::InvalidCertificate(error) = error {
            let cause = format!("{other_end}: {}", certificate_fault(error));
            return lasting(StopReason::UntrustedCertificate, cause);
        }
        if matches!(error, rustls::Error::InvalidMessage(_)) {
            let cause = format!("what answers for {other_end} does not speak TLS");
            return lasting(StopReason::NotTheService, cause);
        }
    }
    if said("proxy authorization required") {
        let cause = "it asks for a user name and a password that it accepts: 407".to_owned();
        return lasting(StopReason::ProxyUnusable, cause);
    }
    let socks = texts.iter().find_map(|text| text.strip_prefix("SOCKS error: "));
    if let Some(text) = socks.filter(|text| SOCKS_FAULTS.iter().any(|fault| text.contains(fault))) {
        return lasting(StopReason::ProxyUnusable, format!("SOCKS: {text}"));
    }
    if said("dns error") {
        return passing(format!(
            "the name of {other_end} cannot be resolved (DNS): check the network and the name"
        ));
    }
    if is_of_proxy {
        return passing(format!("the proxy cannot be reached: {last}; check HTTPS_PROXY or ALL_PROXY"));
    }
    let tunnel = texts.iter().find_map(|text| text.strip_prefix("tunnel error: "));
    passing(match tunnel.or(socks) {
        Some(refusal) => format!("the proxy makes no connection to {host}: {refusal}"),
        None => format!("no connection to {host}: {last}"),
    })
}

/// The error and everything below it; an I/O error hides what it wraps.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> Vec<&'a (dyn Error + 'static)> {
    let mut causes: Vec<&'a (dyn Error + 'static)> = Vec::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        causes.push(cause);
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = wrapped.map(|wrapped| wrapped as &(dyn Error + 'static)).or_else(|| cause.source());
    }
    causes
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the other faults have words of their own")]
fn certificate_fault(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => {
            "its certificate is issued by an authority that this machine does not know".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired, or the clock of this machine is wrong".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet, or the clock of this machine is wrong".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is made for another name".to_owned()
        }
        other => crate::redact::clean(&other.to_string()),
    }
}

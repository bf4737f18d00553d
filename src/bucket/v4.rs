//! Signature version 4 in the query of a link, as S3 and Google Cloud Storage have it.

use std::time::Duration;

use super::{encoded, timestamp};
use crate::domain::{UnixMillis, hex};

/// A link before it is signed.
pub(super) struct UnsignedLink<'a> {
    /// `https://host`.
    pub(super) origin: &'a str,
    /// Percent-encoded, with the slash at its beginning.
    pub(super) path: &'a str,
    /// What parameters begin with: `X-Amz` or `X-Goog`.
    pub(super) vendor: &'static str,
    pub(super) algorithm: &'static str,
    /// Whose key signs.
    pub(super) signer: &'a str,
    /// What the signature is for, behind the day.
    pub(super) scope: &'a str,
    /// The token of temporary credentials.
    pub(super) token: Option<&'a str>,
    /// What the request asks for, such as a version of the object.
    pub(super) parameters: &'a [(&'static str, &'a str)],
}

impl UnsignedLink<'_> {
    /// The signed link. `sign` gives the hexadecimal signature for a day and a text; `None`: no signature can be made.
    pub(super) fn signed(
        &self,
        life: Duration,
        at: UnixMillis,
        sign: impl FnOnce(&str, &str) -> Option<String>,
    ) -> Option<String> {
        let Self { origin, path, vendor, algorithm, signer, scope, token, parameters } = self;
        let at = timestamp(at).strftime("%Y%m%dT%H%M%SZ").to_string();
        let day = &at[..8];
        let scope = format!("{day}/{scope}");
        let mut pairs = vec![
            (format!("{vendor}-Algorithm"), (*algorithm).to_owned()),
            (format!("{vendor}-Credential"), format!("{signer}/{scope}")),
            (format!("{vendor}-Date"), at.clone()),
            (format!("{vendor}-Expires"), life.as_secs().to_string()),
            (format!("{vendor}-SignedHeaders"), "host".to_owned()),
        ];
        pairs.extend(token.map(|token| (format!("{vendor}-Security-Token"), token.to_owned())));
        pairs.extend(parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let mut pairs: Vec<String> =
            pairs.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        pairs.sort_unstable();
        let query = pairs.join("&");
        let host = origin.split_once("://").map_or(*origin, |(_, host)| host);
        let request = format!("GET\n{path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD");
        let digest = hex(ring::digest::digest(&ring::digest::SHA256, request.as_bytes()).as_ref());
        let signature = sign(day, &format!("{algorithm}\n{at}\n{scope}\n{digest}"))?;
        Some(format!("{origin}{path}?{query}&{vendor}-Signature={signature}"))
    }
}

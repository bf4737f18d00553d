//! Links to objects in Google Cloud Storage, and requests for listings: the key of a service account, and its signature.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use serde::Deserialize;

use super::{PageAsk, REQUEST_LIFE, SourceError, encoded_path, endpoint, text, v4::UnsignedLink};
use crate::domain::{ObjectAddress, UnixMillis, hex};

const VARIABLE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
/// An endpoint of its own, such as that of an emulator.
const ENDPOINT: &str = "STORAGE_EMULATOR_HOST";
/// Objects on a page of a listing: as many as the storage gives at most.
const PAGE: &str = "1000";

/// The file of a service account's key, as far as it is needed.
#[derive(Deserialize)]
struct KeyFile {
    client_email: String,
    private_key: String,
}

/// Signs links to objects in Google Cloud Storage.
pub(super) struct GoogleSigner {
    email: String,
    key: RsaKeyPair,
    /// `https://host`.
    origin: String,
}

impl GoogleSigner {
    pub(super) fn obtain(variables: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, SourceError> {
        let path = variables(VARIABLE).map(PathBuf::from).ok_or_else(|| {
            SourceError(format!(
                "no credentials for gs:// addresses: set {VARIABLE} to the file of a service account's key"
            ))
        })?;
        let error = |what: &str| SourceError(format!("{VARIABLE} {}: {what}", path.display()));
        let content = std::fs::read(&path).map_err(|cause| error(&format!("cannot be read: {cause}")))?;
        let signer = Self::of_file(&content).map_err(error)?;
        let Some(host) = text(variables, ENDPOINT) else { return Ok(signer) };
        // the libraries of Google take it without a scheme, too
        let host = if host.contains("://") { host } else { format!("http://{host}") };
        Ok(Self { origin: endpoint::origin(ENDPOINT, &host)?, ..signer })
    }

    pub(super) fn of_file(content: &[u8]) -> Result<Self, &'static str> {
        let file: KeyFile = serde_json::from_slice(content).map_err(|_| {
            "it is not the key of a service account (JSON with client_email and private_key); other credentials cannot sign \
             links"
        })?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(file.private_key.as_bytes()).ok();
        let key = key.and_then(|key| RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).ok());
        Ok(Self {
            email: file.client_email,
            key: key.ok_or("its private_key is not an RSA key in PEM (PKCS #8)")?,
            origin: "https://storage.googleapis.com".to_owned(),
        })
    }

    /// The signed link. `None`: the system gives no random numbers.
    pub(super) fn sign(&self, object: &ObjectAddress<'_>, life: Duration, at: UnixMillis) -> Option<String> {
        let path = format!("/{}/{}", object.bucket, encoded_path(object.key));
        let version = object.version.map(|version| ("generation", version));
        self.signed(&path, version.as_slice(), life, at)
    }

    /// The request for a page of a bucket's listing, as the XML API has it.
    pub(super) fn list(&self, ask: &PageAsk<'_>, at: UnixMillis) -> Option<String> {
        let path = format!("/{}", ask.prefix.bucket);
        let fixed = [("list-type", "2"), ("max-keys", PAGE), ("prefix", &ask.prefix.prefix)];
        let parameters: Vec<(&'static str, &str)> =
            fixed.into_iter().chain(ask.token.map(|token| ("continuation-token", token))).collect();
        self.signed(&path, &parameters, REQUEST_LIFE, at)
    }

    fn signed(
        &self,
        path: &str,
        parameters: &[(&'static str, &str)],
        life: Duration,
        at: UnixMillis,
    ) -> Option<String> {
        let link = UnsignedLink {
            origin: &self.origin,
            path,
            vendor: "X-Goog",
            algorithm: "GOOG4-RSA-SHA256",
            signer: &self.email,
            scope: "auto/storage/goog4_request",
            token: None,
            parameters,
        };
        let sign = |_: &str, text: &str| {
            let mut signature = vec![0; self.key.public().modulus_len()];
            self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).ok()?;
            Some(hex(&signature))
        };
        link.signed(life, at, sign)
    }
}

//! Links to objects in Google Cloud Storage: the key of a service account, and its signature.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use serde::Deserialize;

use super::{SourceError, encoded_path, v4::UnsignedLink};
use crate::domain::{ObjectAddress, UnixMillis, hex};

const VARIABLE: &str = "GOOGLE_APPLICATION_CREDENTIALS";

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
        Self::of_file(&content).map_err(error)
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
            key: key.ok_or("its private_key is no RSA key in PEM (PKCS #8)")?,
        })
    }

    /// The signed link. `None`: the system gives no random numbers.
    pub(super) fn sign(&self, object: &ObjectAddress<'_>, life: Duration, at: UnixMillis) -> Option<String> {
        let link = UnsignedLink {
            origin: "https://storage.googleapis.com",
            path: &format!("/{}/{}", object.bucket, encoded_path(object.key)),
            vendor: "X-Goog",
            algorithm: "GOOG4-RSA-SHA256",
            signer: &self.email,
            scope: "auto/storage/goog4_request",
            token: None,
            version: object.version.map(|version| ("generation", version)),
        };
        let sign = |_: &str, text: &str| {
            let mut signature = vec![0; self.key.public().modulus_len()];
            self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).ok()?;
            Some(hex(&signature))
        };
        link.signed(life, at, sign)
    }
}

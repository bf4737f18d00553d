//! Links to objects in Azure Blob Storage: the key of an account, or a token that is there already.

use std::{ffi::OsString, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretBox, SecretString};

use super::{SourceError, encoded, encoded_path, hmac, text, timestamp};
use crate::domain::{ObjectAddress, UnixMillis, link_expires_at};

/// The version of the protocol: its fields and their order.
const VERSION: &str = "2022-11-02";

/// Signs links to the objects of one account.
#[derive(Clone)]
pub(super) struct AzureSigner(AzureCredentials);

#[derive(Clone)]
enum AzureCredentials {
    Key(Arc<SecretBox<Vec<u8>>>),
    /// A shared access signature.
    Token(SecretString),
}

impl AzureSigner {
    pub(super) fn obtain(
        variables: &dyn Fn(&str) -> Option<OsString>,
        account: &str,
    ) -> Result<Self, SourceError> {
        let variable = |name: &str| text(variables, name);
        if let Some(own) = variable("AZURE_STORAGE_ACCOUNT").filter(|own| own != account) {
            return Err(SourceError(format!(
                "the credentials are those of {} (AZURE_STORAGE_ACCOUNT), and the manifest names az://{account}: import the \
                 rows of each account with its own credentials",
                crate::redact::clean(&own)
            )));
        }
        if let Some(token) = variable("AZURE_STORAGE_SAS_TOKEN") {
            return Ok(Self(AzureCredentials::Token(token.trim_start_matches('?').into())));
        }
        let Some(key) = variable("AZURE_STORAGE_KEY") else {
            return Err(SourceError(format!(
                "no credentials for az://{account} addresses: set AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN"
            )));
        };
        Self::of_key(&key).ok_or_else(|| SourceError("AZURE_STORAGE_KEY is not Base64".to_owned()))
    }

    pub(super) fn of_key(key: &str) -> Option<Self> {
        let key = STANDARD.decode(key.trim()).ok()?;
        Some(Self(AzureCredentials::Key(Arc::new(SecretBox::new(Box::new(key))))))
    }

    pub(super) fn expires_at(&self) -> Option<UnixMillis> {
        match &self.0 {
            AzureCredentials::Key(_) => None,
            AzureCredentials::Token(token) => {
                link_expires_at(&format!("https://h/?{}", token.expose_secret()))
            }
        }
    }

    pub(super) fn sign(&self, object: &ObjectAddress<'_>, life: Duration, at: UnixMillis) -> String {
        let ObjectAddress { account, bucket, key, .. } = object;
        let link =
            format!("https://{account}.blob.core.windows.net/{}/{}", encoded(bucket), encoded_path(key));
        let secret = match &self.0 {
            AzureCredentials::Token(token) => return format!("{link}?{}", token.expose_secret()),
            AzureCredentials::Key(key) => key,
        };
        let expires_at = timestamp(at.plus(life)).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        // permissions, start, expiry, resource, identifier, addresses, protocol, version, kind of resource, snapshot, encryption
        // scope, and five headers of the answer
        let text = format!(
            "r\n\n{expires_at}\n/blob/{account}/{bucket}/{key}\n\n\nhttps\n{VERSION}\nb\n\n\n\n\n\n\n"
        );
        let signature = STANDARD.encode(hmac(secret.expose_secret(), &text));
        format!(
            "{link}?sv={VERSION}&se={}&sr=b&sp=r&spr=https&sig={}",
            encoded(&expires_at),
            encoded(&signature)
        )
    }
}

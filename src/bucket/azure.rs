//! Links to objects in Azure Blob Storage, and requests for listings: the key of an account, or a token that is there already.

use std::{ffi::OsString, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretBox, SecretString};

use super::{PageAsk, REQUEST_LIFE, SourceError, encoded, encoded_path, endpoint, hmac, text, timestamp};
use crate::domain::{BucketPrefix, ObjectAddress, UnixMillis, link_expires_at};

/// The version of the protocol: its fields and their order.
const VERSION: &str = "2022-11-02";

/// An endpoint of its own, such as that of another cloud of Microsoft.
const ENDPOINT: &str = "AZURE_STORAGE_SERVICE_ENDPOINT";
/// Objects on a page of a listing: as many as the storage gives at most.
const PAGE: &str = "5000";

/// Signs links to the objects of one account.
#[derive(Clone)]
pub(super) struct AzureSigner {
    credentials: AzureCredentials,
    /// `https://host`, with a path where one belongs to the account. `None`: that of Microsoft.
    endpoint: Option<String>,
}

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
        let endpoint = variable(ENDPOINT).map(|value| endpoint::with_path(ENDPOINT, &value)).transpose()?;
        if let Some(token) = variable("AZURE_STORAGE_SAS_TOKEN") {
            let credentials = AzureCredentials::Token(token.trim_start_matches('?').into());
            return Ok(Self { credentials, endpoint });
        }
        let Some(key) = variable("AZURE_STORAGE_KEY") else {
            return Err(SourceError(format!(
                "no credentials for az://{account} addresses: set AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN"
            )));
        };
        let signer = Self::of_key(&key);
        let signer = signer.ok_or_else(|| SourceError("AZURE_STORAGE_KEY is not Base64".to_owned()))?;
        Ok(Self { endpoint, ..signer })
    }

    pub(super) fn of_key(key: &str) -> Option<Self> {
        let key = STANDARD.decode(key.trim()).ok()?;
        let credentials = AzureCredentials::Key(Arc::new(SecretBox::new(Box::new(key))));
        Some(Self { credentials, endpoint: None })
    }

    pub(super) fn expires_at(&self) -> Option<UnixMillis> {
        match &self.credentials {
            AzureCredentials::Key(_) => None,
            AzureCredentials::Token(token) => {
                link_expires_at(&format!("https://h/?{}", token.expose_secret()))
            }
        }
    }

    pub(super) fn sign(&self, object: &ObjectAddress<'_>, life: Duration, at: UnixMillis) -> String {
        let ObjectAddress { account, bucket, key, .. } = object;
        let link = format!("{}/{}/{}", self.origin(account), encoded(bucket), encoded_path(key));
        let access = Access { path: &format!("/{account}/{bucket}/{key}"), resource: "b", rights: "r" };
        format!("{link}?{}", self.token(&access, at.plus(life)))
    }

    /// The request for a page of a container's listing (List Blobs).
    pub(super) fn list(&self, ask: &PageAsk<'_>, at: UnixMillis) -> String {
        let BucketPrefix { account, bucket, prefix, .. } = ask.prefix;
        let marker = ask.token.map(|token| format!("&marker={}", encoded(token))).unwrap_or_default();
        let access = Access { path: &format!("/{account}/{bucket}"), resource: "c", rights: "l" };
        format!(
            "{}/{}?restype=container&comp=list&maxresults={PAGE}&prefix={}{marker}&{}",
            self.origin(account),
            encoded(bucket),
            encoded(prefix),
            self.token(&access, at.plus(REQUEST_LIFE))
        )
    }

    fn origin(&self, account: &str) -> String {
        let microsoft = || format!("https://{account}.blob.core.windows.net");
        self.endpoint.clone().unwrap_or_else(microsoft)
    }

    /// The parameters of a shared access signature: the token that was given, or one that is made now.
    fn token(&self, access: &Access<'_>, expires_at: UnixMillis) -> String {
        let secret = match &self.credentials {
            AzureCredentials::Token(token) => return token.expose_secret().to_owned(),
            AzureCredentials::Key(key) => key,
        };
        let Access { path, resource, rights } = access;
        let expires_at = timestamp(expires_at).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        // an emulator speaks http
        let is_plain = self.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        let protocol = if is_plain { "https,http" } else { "https" };
        // permissions, start, expiry, resource, identifier, addresses, protocol, version, kind of resource, snapshot, encryption
        // scope, and five headers of the answer
        let text = format!(
            "{rights}\n\n{expires_at}\n/blob{path}\n\n\n{protocol}\n{VERSION}\n{resource}\n\n\n\n\n\n\n"
        );
        let signature = STANDARD.encode(hmac(secret.expose_secret(), &text));
        format!(
            "sv={VERSION}&se={}&sr={resource}&sp={rights}&spr={}&sig={}",
            encoded(&expires_at),
            encoded(protocol),
            encoded(&signature)
        )
    }
}

/// What a shared access signature allows.
struct Access<'a> {
    /// The account, the container and the key.
    path: &'a str,
    /// `b`: an object; `c`: a container.
    resource: &'static str,
    rights: &'static str,
}

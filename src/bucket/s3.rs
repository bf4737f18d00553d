//! Links to objects in S3 and in stores that speak its protocol, and requests for listings: credentials, region, endpoint and
//! signature.

use std::{ffi::OsString, time::Duration};

use secrecy::{ExposeSecret, SecretString};

use super::{
    PageAsk, REQUEST_LIFE, SourceError,
    credentials_command::{self, S3Credentials},
    encoded_path, endpoint, hmac,
    profile::Profile,
    text,
    v4::UnsignedLink,
};
use crate::domain::{ObjectAddress, UnixMillis, hex};

/// What to do where no credentials are found.
const NO_CREDENTIALS: &str = "no credentials for s3:// addresses: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or \
     give --source-credentials-command 'aws configure export-credentials'";
/// Objects on a page of a listing: as many as S3 gives at most.
const PAGE: &str = "1000";
/// The region of stores with an endpoint of their own, where none is given.
const REGION_OF_ENDPOINTS: &str = "us-east-1";

/// Signs links to objects in S3.
#[derive(Clone, Debug)]
pub(super) struct S3Signer {
    pub(super) credentials: S3Credentials,
    pub(super) region: String,
    /// `https://host`. `None`: that of Amazon.
    pub(super) endpoint: Option<String>,
}

impl S3Signer {
    pub(super) fn obtain(
        variables: &dyn Fn(&str) -> Option<OsString>,
        command: Option<&str>,
    ) -> Result<Self, SourceError> {
        let profile = Profile::read(variables)?;
        let variable = |name: &str| text(variables, name);
        let endpoint = variable("AWS_ENDPOINT_URL_S3")
            .or_else(|| variable("AWS_ENDPOINT_URL"))
            .or_else(|| profile.value("endpoint_url"));
        let name = "AWS_ENDPOINT_URL or endpoint_url";
        let endpoint = endpoint.map(|value| endpoint::origin(name, &value)).transpose()?;
        let region = variable("AWS_REGION")
            .or_else(|| variable("AWS_DEFAULT_REGION"))
            .or_else(|| profile.value("region"))
            .or_else(|| endpoint.is_some().then(|| REGION_OF_ENDPOINTS.to_owned()));
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let region = region.filter(|region| region.bytes().all(is_plain)).ok_or_else(|| {
            SourceError(
                "no region for s3:// addresses: set AWS_REGION to the region of the buckets".to_owned(),
            )
        })?;
        Ok(Self { credentials: credentials(&variable, &profile, command)?, region, endpoint })
    }

    pub(super) const fn expires_at(&self) -> Option<UnixMillis> {
        self.credentials.expires_at
    }

    pub(super) fn sign(&self, object: &ObjectAddress<'_>, life: Duration, at: UnixMillis) -> String {
        let (origin, base) = self.place(object.bucket);
        let path = format!("{base}/{}", encoded_path(object.key));
        let version = object.version.map(|version| ("versionId", version));
        self.signed(&origin, &path, version.as_slice(), life, at)
    }

    /// The request for a page of a bucket's listing (`ListObjectsV2`).
    pub(super) fn list(&self, ask: &PageAsk<'_>, at: UnixMillis) -> String {
        let (origin, base) = self.place(&ask.prefix.bucket);
        let path = if base.is_empty() { "/" } else { &base };
        let fixed = [("list-type", "2"), ("max-keys", PAGE), ("prefix", &ask.prefix.prefix)];
        let encoding = ask.is_encoded.then_some(("encoding-type", "url"));
        let token = ask.token.map(|token| ("continuation-token", token));
        let parameters: Vec<(&'static str, &str)> = fixed.into_iter().chain(encoding).chain(token).collect();
        self.signed(&origin, path, &parameters, REQUEST_LIFE, at)
    }

    /// The origin of a bucket, and its path there.
    fn place(&self, bucket: &str) -> (String, String) {
        if let Some(endpoint) = &self.endpoint {
            return (endpoint.clone(), format!("/{bucket}"));
        }
        let ending = if self.region.starts_with("cn-") { ".cn" } else { "" };
        let host = format!("s3.{}.amazonaws.com{ending}", self.region);
        if fits_host(bucket) {
            (format!("https://{bucket}.{host}"), String::new())
        } else {
            (format!("https://{host}"), format!("/{bucket}"))
        }
    }

    fn signed(
        &self,
        origin: &str,
        path: &str,
        parameters: &[(&'static str, &str)],
        life: Duration,
        at: UnixMillis,
    ) -> String {
        let scope = format!("{}/s3/aws4_request", self.region);
        let S3Credentials { key_id, token, .. } = &self.credentials;
        let link = UnsignedLink {
            origin,
            path,
            vendor: "X-Amz",
            algorithm: "AWS4-HMAC-SHA256",
            signer: key_id,
            scope: &scope,
            token: token.as_ref().map(ExposeSecret::expose_secret),
            parameters,
        };
        link.signed(life, at, |day, text| Some(self.signature(day, text))).unwrap_or_default()
    }

    pub(super) fn signature(&self, day: &str, text: &str) -> String {
        let first = format!("AWS4{}", self.credentials.secret.expose_secret());
        let parts = [day, &self.region, "s3", "aws4_request"];
        let key = parts.into_iter().fold(first.into_bytes(), |key, part| hmac(&key, part));
        hex(&hmac(&key, text))
    }
}

/// Whether a bucket can precede the host: the certificate of the host covers no further dot, and hosts have no `_` and no
/// upper case.
fn fits_host(bucket: &str) -> bool {
    bucket.len() <= 63
        && bucket.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Credentials: of the command, of the variables, of the profile.
fn credentials(
    variable: &dyn Fn(&str) -> Option<String>,
    profile: &Profile,
    command: Option<&str>,
) -> Result<S3Credentials, SourceError> {
    if let Some(command) = command {
        return credentials_command::run("the credentials command", command);
    }
    let found = |key_id: Option<String>, secret: Option<String>, token: Option<String>| {
        Some(S3Credentials {
            key_id: key_id?,
            secret: secret?.into(),
            token: token.map(SecretString::from),
            expires_at: None,
        })
    };
    let of_variables = found(
        variable("AWS_ACCESS_KEY_ID"),
        variable("AWS_SECRET_ACCESS_KEY"),
        variable("AWS_SESSION_TOKEN"),
    );
    let of_profile = || {
        found(
            profile.value("aws_access_key_id"),
            profile.value("aws_secret_access_key"),
            profile.value("aws_session_token"),
        )
    };
    if let Some(found) = of_variables.or_else(of_profile) {
        return Ok(found);
    }
    match profile.value("credential_process") {
        Some(command) => {
            credentials_command::run(&format!("credential_process of the profile {}", profile.name), &command)
        }
        None => Err(SourceError(NO_CREDENTIALS.to_owned())),
    }
}

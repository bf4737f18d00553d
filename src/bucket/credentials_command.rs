//! A command that prints credentials of S3, as the tools of AWS know it (`credential_process`).

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

use super::SourceError;
use crate::{blocking::output_of, domain::UnixMillis};

/// A command that takes longer is stopped: it may have to ask a server.
const TIME_MAX: Duration = Duration::from_mins(1);

/// Credentials of S3.
#[derive(Clone, Debug)]
pub(super) struct S3Credentials {
    pub(super) key_id: String,
    pub(super) secret: SecretString,
    pub(super) token: Option<SecretString>,
    /// `None`: they are permanent, or do not say it.
    pub(super) expires_at: Option<UnixMillis>,
}

/// What the command prints.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PrintedCredentials {
    version: u32,
    access_key_id: String,
    secret_access_key: SecretText,
    session_token: Option<SecretText>,
    expiration: Option<String>,
}

/// A secret as JSON has it.
#[derive(Deserialize)]
#[serde(transparent)]
struct SecretText(String);

/// Runs the command. Its output is in no error.
pub(super) fn run(name: &str, command: &str) -> Result<S3Credentials, SourceError> {
    let printed = output_of(command, TIME_MAX).map_err(|cause| SourceError(format!("{name} {cause}")))?;
    read(&printed).map_err(|what| {
        SourceError(format!(
            "{name} printed {what}; expected JSON with Version 1, AccessKeyId, SecretAccessKey and, for temporary \
             credentials, SessionToken and Expiration"
        ))
    })
}

fn read(printed: &[u8]) -> Result<S3Credentials, &'static str> {
    let printed: PrintedCredentials = serde_json::from_slice(printed).map_err(|_| "no credentials")?;
    if printed.version != 1 {
        return Err("another version than 1");
    }
    let is_usable = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_usable(&printed.access_key_id) || !is_usable(&printed.secret_access_key.0) {
        return Err("an empty key");
    }
    let expires_at = printed
        .expiration
        .map(|text| text.parse::<jiff::Timestamp>().map_err(|_| "an Expiration that is not a time"))
        .transpose()?;
    Ok(S3Credentials {
        key_id: printed.access_key_id,
        secret: printed.secret_access_key.0.into(),
        token: printed.session_token.map(|token| SecretString::from(token.0)),
        expires_at: expires_at.map(|timestamp| UnixMillis(timestamp.as_millisecond())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_credentials_are_read_or_refused() {
        let json = |version: &str, key: &str, expiration: &str| {
            let text = format!(
                "{{\"Version\":{version},\"AccessKeyId\":\"{key}\",\"SecretAccessKey\":\"s\",\"Expiration\":{expiration}}}"
            );
            read(text.as_bytes()).map(|credentials| credentials.expires_at)
        };
        assert_eq!(json("1", "k", "null"), Ok(None));
        assert_eq!(json("1", "k", "\"2023-11-14T22:13:20+00:00\""), Ok(Some(UnixMillis(1_700_000_000_000))));
        assert_eq!(json("2", "k", "null"), Err("another version than 1"));
        assert_eq!(json("1", "", "null"), Err("an empty key"));
        assert_eq!(json("1", "k", "\"soon\""), Err("an Expiration that is not a time"));
        assert!(matches!(read(b"AKIA secret"), Err("no credentials")));
    }
}

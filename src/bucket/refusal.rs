//! What it means that a storage refuses a request, and what to do.

use super::{http::Answer, page};
use crate::redact;

/// Whether an answer may be another one later.
pub(super) fn passes(status: u16, code: Option<&str>) -> bool {
    let is_busy = matches!(code, Some("SlowDown" | "RequestTimeout" | "ServerBusy" | "InternalError"));
    matches!(status, 408 | 429 | 500 | 502..=504) || is_busy
}

pub(super) fn code_of(answer: &Answer) -> Option<String> {
    let of_header = answer.code.as_ref().map(|code| redact::clean(code));
    of_header.or_else(|| page::error_code(&answer.body))
}

/// `403 AccessDenied`.
pub(super) fn answered(status: u16, code: Option<&str>) -> String {
    code.map_or_else(|| status.to_string(), |code| format!("{status} {code}"))
}

/// The bucket is in another region than the one that is given.
pub(super) fn of_region(bucket: &str, own: Option<String>, answer: &Answer) -> Option<String> {
    let own = own.unwrap_or_default();
    let region = answer.region.as_deref().filter(|region| *region != own)?;
    let region = redact::clean(region);
    matches!(answer.status, 301 | 307 | 400).then(|| {
        format!("the bucket {bucket} is in the region {region}, and {own} is given: set AWS_REGION={region}")
    })
}

/// The credentials themselves are refused, whatever is asked for.
pub(super) fn of_credentials(answer: &Answer, code: Option<&str>) -> Option<String> {
    let said = answered(answer.status, code);
    Some(match code? {
        "ExpiredToken" | "TokenRefreshRequired" | "ExpiredTokenException" => {
            format!("the credentials have expired ({said}): obtain new ones")
        }
        "InvalidAccessKeyId" | "InvalidToken" => {
            format!("the storage does not know the credentials ({said}): check which are set")
        }
        "SignatureDoesNotMatch" => {
            format!("the storage refuses the signature ({said}): check the secret key")
        }
        "RequestTimeTooSkewed" => {
            format!("the clock of this machine differs from that of the storage ({said}): set it")
        }
        "AuthenticationFailed" => {
            format!("the storage refuses the credentials ({said}): they are wrong or have expired")
        }
        _ => return None,
    })
}

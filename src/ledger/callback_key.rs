//! Tokens of callback URLs: each names one request, and only this ledger can make it.
//!
//! A callback URL ends with `telecine-` + the number of the attempt + `-` + 32 hexadecimal digits of
//! HMAC-SHA256(secret of the ledger, number of the attempt). Nothing needs to be stored for it, so a call is understood in every later run.

use std::fmt;

use ring::hmac;

use super::AttemptId;
use crate::domain::hex;

/// The beginning of the last part of a callback URL. `redact` knows it too.
const PREFIX: &str = "telecine-";
/// Bytes of a token: 128 bits.
const TOKEN_BYTES: usize = 16;
/// What is authenticated begins so, so that the secret makes nothing else that looks like a token.
const PURPOSE: &[u8] = b"telecine callback 1\n";

/// Makes and checks the tokens of callback URLs. Its secret is shown nowhere.
#[derive(Clone)]
pub struct CallbackKey(hmac::Key);

impl fmt::Debug for CallbackKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallbackKey(***)")
    }
}

impl CallbackKey {
    /// The longest last part of a callback URL, in characters.
    pub const PART_MAX: usize = PREFIX.len() + 19 + 1 + 2 * TOKEN_BYTES;

    pub(super) fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The last part of the callback URL of a request.
    pub(super) fn part(&self, attempt: AttemptId) -> String {
        format!("{PREFIX}{attempt}-{}", self.token(attempt))
    }

    /// The request of a last part whose token is right. `None`: this ledger did not make it.
    #[must_use]
    pub fn attempt_of(&self, part: &str) -> Option<AttemptId> {
        let (number, token) = part.strip_prefix(PREFIX)?.split_once('-')?;
        // the same number in another spelling is not what was made
        let number = number.bytes().all(|byte| byte.is_ascii_digit()).then_some(number)?;
        let attempt = AttemptId(number.parse().ok()?);
        // digests are compared in constant time
        let is_right = blake3::hash(token.as_bytes()) == blake3::hash(self.token(attempt).as_bytes());
        is_right.then_some(attempt)
    }

    fn token(&self, attempt: AttemptId) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(PURPOSE);
        context.update(&attempt.0.to_be_bytes());
        hex(&context.sign().as_ref()[..TOKEN_BYTES])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_back_to_its_request_and_no_other_text_does() {
        let key = CallbackKey::new(&[7; 32]);
        let part = key.part(AttemptId(17));
        assert_eq!(key.attempt_of(&part), Some(AttemptId(17)));
        assert!(key.part(AttemptId(i64::MAX)).len() <= CallbackKey::PART_MAX);
        assert_eq!(CallbackKey::new(&[8; 32]).attempt_of(&part), None, "the token of another ledger");
        let token = part.rsplit_once('-').unwrap().1;
        for other in [
            "",
            "telecine-17-",
            "telecine-17",
            &format!("telecine-18-{token}"),
            &format!("telecine-+17-{token}"),
            &format!("telecine--17-{token}"),
            &format!("telecine-17-{}", token.to_uppercase()),
            &part[..part.len() - 1],
            &format!("{part}0"),
            &part[1..],
        ] {
            assert_eq!(key.attempt_of(other), None, "{other}");
        }
        assert!(!format!("{key:?}").contains("07"));
    }
}

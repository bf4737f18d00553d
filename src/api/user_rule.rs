//! The user's own rules for answers: what an answer means that the table does not know, or knows otherwise.

use super::wire::Envelope;

/// One rule, such as `0003:codec=bad-row` or `http 418=busy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRule {
    subject: Subject,
    /// In lower case; must occur in the message. Empty: every message.
    message: String,
    class: UserClass,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Subject {
    Code(String),
    Status(u16),
}

/// What a user may say of an answer. Never that a video was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UserClass {
    BadRow,
    Busy,
    InDoubt,
    Stop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected CODE=ACTION, CODE:TEXT=ACTION or 'http STATUS=ACTION', where ACTION is bad-row, busy, in-doubt or stop; such as \
     0003:codec=bad-row"
)]
/// A text that is not a rule.
pub struct UserRuleError;

impl std::str::FromStr for UserRule {
    type Err = UserRuleError;

    fn from_str(text: &str) -> Result<Self, UserRuleError> {
        let (answer, class) = text.rsplit_once('=').ok_or(UserRuleError)?;
        let (subject, message) = answer.split_once(':').unwrap_or((answer, ""));
        let subject = subject.trim();
        let subject = match subject.strip_prefix("http ") {
            Some(status) => {
                let status: u16 = status.trim().parse().map_err(|_| UserRuleError)?;
                // 2xx without the service's envelope is never an acceptance, and may be named
                (100..600).contains(&status).then_some(Subject::Status(status)).ok_or(UserRuleError)?
            }
            None => Subject::Code(code(subject)?),
        };
        let class = match class.trim() {
            "bad-row" => UserClass::BadRow,
            "busy" => UserClass::Busy,
            "in-doubt" => UserClass::InDoubt,
            "stop" => UserClass::Stop,
            _ => return Err(UserRuleError),
        };
        Ok(Self { subject, message: message.trim().to_lowercase(), class })
    }
}

/// A code as an envelope has it: digits without padding, or letters and digits.
fn code(text: &str) -> Result<String, UserRuleError> {
    let is_code = !text.is_empty()
        && text.len() <= 64
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    let code = super::wire::plain_code(text);
    // a success is never read as anything else
    if !is_code || matches!(code.as_str(), "0" | "200") { Err(UserRuleError) } else { Ok(code) }
}

impl UserRule {
    pub(super) fn class_of(&self, status: u16, envelope: Option<&Envelope>) -> Option<UserClass> {
        let is_subject = match (&self.subject, envelope) {
            (Subject::Code(code), Some(envelope)) => *code == envelope.code,
            (Subject::Code(_), None) => false,
            (Subject::Status(own), _) => *own == status,
        };
        let message = envelope.map(|envelope| envelope.message.to_lowercase()).unwrap_or_default();
        // an error under the code of a success is no success, unless it names a video
        let is_accepted = envelope.is_some_and(|envelope| {
            matches!(envelope.code.as_str(), "0" | "200") && (status < 400 || envelope.names_video())
        });
        (is_subject && !is_accepted && message.contains(&self.message)).then_some(self.class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_names_a_code_of_any_kind_or_a_status_and_never_turns_a_success() {
        for good in [
            "0001:Codec=bad-row",
            "429=busy",
            "E_LIMIT=busy",
            "quota.exceeded=busy",
            "http 418=in-doubt",
            "7777=stop",
        ] {
            assert!(good.parse::<UserRule>().is_ok(), "{good}");
        }
        for bad in [
            "0000=busy",
            "0=busy",
            "0200:x=bad-row",
            "1=accepted",
            "0001",
            "=busy",
            "http 99=busy",
            "http x=busy",
            "a b=busy",
        ] {
            assert!(bad.parse::<UserRule>().is_err(), "{bad}");
        }
    }
}

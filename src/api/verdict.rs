//! The service's answers as decisions: one table knows HTTP status, envelope code and message.
//!
//! The rule behind the table: only an answer that says clearly that nothing was taken lets an item go back to pending.
//! Whatever is unclear is in doubt.

use serde_json::Value;

use super::{
    transport::{Response, TransportError},
    wire::{self, Envelope},
};
use crate::{
    domain::{StopReason, UnixMillis, VideoNo},
    redact,
};

/// What an upload came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Taken, and named.
    Accepted {
        /// The video.
        video_no: VideoNo,
        /// When, by the service's clock.
        uploaded_at: Option<UnixMillis>,
    },
    /// Taken, and not named.
    AcceptedUnidentified,
    /// The row itself is refused for good.
    BadRow {
        /// The service's words.
        cause: String,
    },
    /// Not taken now; another time it may be.
    RefusedForNow {
        /// `Retry-After`, as it came.
        retry_after: Option<String>,
        /// The service's words.
        cause: String,
    },
    /// No row can be sent until somebody acts.
    StopRun {
        /// Why.
        reason: StopReason,
        /// Whether this request was certainly not taken.
        certainty: Certainty,
        /// The service's words.
        cause: String,
    },
    /// It may have been taken.
    InDoubt {
        /// What came instead of an answer.
        cause: String,
    },
    /// No byte left this machine.
    NotSent {
        /// What the system said.
        cause: String,
    },
}

/// Whether a request that stopped the run was certainly not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// The service itself said no.
    Refused,
    /// Somebody on the way said it.
    Unclear,
}

/// Why a read brought nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Asked too often.
    #[error("asked too often")]
    RefusedForNow {
        /// `Retry-After`, as it came.
        retry_after: Option<String>,
    },
    /// No read can succeed until somebody acts.
    #[error("{cause}")]
    StopRun {
        /// Why.
        reason: StopReason,
        /// The service's words.
        cause: String,
    },
    /// The host could not be reached.
    #[error("{cause}")]
    NotSent {
        /// What the system said.
        cause: String,
    },
    /// No usable answer.
    #[error("{cause}")]
    Unclear {
        /// What came instead.
        cause: String,
    },
}

/// A rule of the user's own: what an answer means that the table does not know, or knows otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRule {
    /// The envelope's code.
    code: String,
    /// In lower case, must occur in the message; empty matches everything.
    message: String,
    class: UserClass,
}

/// What a user may say of an answer; never that a video was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UserClass {
    BadRow,
    Busy,
    InDoubt,
}

/// A text that is no rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected CODE=WHAT or CODE:TEXT=WHAT, where WHAT is bad-row, busy or in-doubt; such as 0003:codec=bad-row"
)]
pub struct UserRuleError;

impl std::str::FromStr for UserRule {
    type Err = UserRuleError;

    fn from_str(text: &str) -> Result<Self, UserRuleError> {
        let (answer, what) = text.rsplit_once('=').ok_or(UserRuleError)?;
        let (code, message) = answer.split_once(':').unwrap_or((answer, ""));
        let code = code.trim();
        let is_code = code.len() == 4 && code.bytes().all(|byte| byte.is_ascii_digit());
        // a success is never to be read as anything else
        if !is_code || matches!(code, "0000" | "0200") {
            return Err(UserRuleError);
        }
        let class = match what.trim() {
            "bad-row" => UserClass::BadRow,
            "busy" => UserClass::Busy,
            "in-doubt" => UserClass::InDoubt,
            _ => return Err(UserRuleError),
        };
        Ok(Self { code: code.to_owned(), message: message.trim().to_lowercase(), class })
    }
}

impl UserRule {
    fn matches(&self, envelope: &Envelope) -> bool {
        self.code == envelope.code && envelope.message.to_lowercase().contains(&self.message)
    }

    const fn class(&self) -> Class {
        match self.class {
            UserClass::BadRow => Class::BadRow,
            UserClass::Busy => Class::RefusedForNow,
            UserClass::InDoubt => Class::InDoubt,
        }
    }
}

/// What a rule of the table decides.
#[derive(Clone, Copy)]
enum Class {
    Accepted,
    BadRow,
    RefusedForNow,
    Stop(StopReason),
    StopInDoubt(StopReason),
    InDoubt,
}

/// One line of the table; what is none or empty matches everything.
struct VerdictRule {
    status: Option<u16>,
    code: Option<&'static str>,
    /// Lower-case texts of which one must occur in the message.
    message: &'static [&'static str],
    class: Class,
}

const fn by_code(code: &'static str, message: &'static [&'static str], class: Class) -> VerdictRule {
    VerdictRule { status: None, code: Some(code), message, class }
}

const fn by_status(status: u16, class: Class) -> VerdictRule {
    VerdictRule { status: Some(status), code: None, message: &[], class }
}

/// Messages of `0001` and `0003` that speak of trouble on the way, not of the row.
const TRANSIENT: &[&str] = &[
    "network",
    "busy",
    "abnormal",
    "timeout",
    "timed out",
    "time out",
    "try again",
    "retry",
    "later",
    "internal",
];

/// A wrong path is answered as a bad parameter.
const WRONG_PATH: &[&str] = &["no static resource", "no handler"];

/// The table; the first rule that matches decides. What no rule matches is in doubt.
///
/// Sources: the service's error page (codes), its vendor's example client (`0001` as a transient edge error), a vendor
/// fixture that pairs `0409` with a busy service, and observed HTTP statuses that mirror the codes.
const VERDICT_RULES: &[VerdictRule] = &[
    by_code("0000", &[], Class::Accepted),
    by_code("0200", &[], Class::Accepted),
    by_code("0429", &[], Class::RefusedForNow),
    by_code("0401", &[], Class::Stop(StopReason::KeyRefused)),
    by_code("0402", &[], Class::Stop(StopReason::CreditsOut)),
    by_code("0403", &[], Class::Stop(StopReason::AccountDisabled)),
    by_code("9009", &[], Class::Stop(StopReason::NoPermission)),
    by_code("0001", WRONG_PATH, Class::Stop(StopReason::WrongAddress)),
    by_code("0003", WRONG_PATH, Class::Stop(StopReason::WrongAddress)),
    by_code("0001", TRANSIENT, Class::InDoubt),
    by_code("0003", TRANSIENT, Class::InDoubt),
    by_code("0001", &[], Class::BadRow),
    by_code("0003", &[], Class::BadRow),
    by_code("0409", &[], Class::InDoubt),
    by_status(429, Class::RefusedForNow),
    by_status(401, Class::Stop(StopReason::KeyRefused)),
    by_status(402, Class::Stop(StopReason::CreditsOut)),
    by_status(403, Class::Stop(StopReason::AccountDisabled)),
    by_status(404, Class::StopInDoubt(StopReason::WrongAddress)),
    by_status(405, Class::StopInDoubt(StopReason::WrongAddress)),
    by_status(301, Class::StopInDoubt(StopReason::WrongAddress)),
    by_status(302, Class::StopInDoubt(StopReason::WrongAddress)),
    by_status(303, Class::StopInDoubt(StopReason::WrongAddress)),
    by_status(307, Class::StopInDoubt(StopReason::WrongAddress)),
    by_status(308, Class::StopInDoubt(StopReason::WrongAddress)),
];

fn classify(status: u16, envelope: Option<&Envelope>, own: &[UserRule]) -> Class {
    let told = envelope.and_then(|envelope| own.iter().find(|rule| rule.matches(envelope)));
    if let Some(rule) = told.filter(|_| status < 500) {
        return rule.class();
    }
    let message = envelope.map(|envelope| envelope.message.to_lowercase()).unwrap_or_default();
    let matches = |rule: &&VerdictRule| {
        rule.status.is_none_or(|own| own == status)
            && rule.code.is_none_or(|own| envelope.is_some_and(|envelope| envelope.code == own))
            && (rule.message.is_empty() || rule.message.iter().any(|text| message.contains(text)))
    };
    let class = VERDICT_RULES.iter().find(matches).map_or(Class::InDoubt, |rule| rule.class);
    // a server that failed on the way may have taken the row before it complained about it
    if status >= 500 && matches!(class, Class::BadRow) { Class::InDoubt } else { class }
}

/// Decides what an upload came to, by the user's own rules first.
pub(super) fn of_upload(outcome: Result<Response, TransportError>, own: &[UserRule]) -> Verdict {
    let reply = match outcome {
        Ok(reply) => reply,
        Err(TransportError::NotSent(cause)) => return Verdict::NotSent { cause },
        Err(TransportError::NoAnswer(cause)) => return Verdict::InDoubt { cause },
    };
    let envelope = wire::parse_envelope(&reply.body);
    let cause = describe(&reply, envelope.as_ref());
    let stop = |reason, certainty, cause| Verdict::StopRun { reason, certainty, cause };
    match classify(reply.status, envelope.as_ref(), own) {
        Class::Accepted => match wire::parse_accepted(envelope.as_ref().map_or(&Value::Null, |e| &e.data)) {
            (Some(video_no), uploaded_at) => Verdict::Accepted { video_no, uploaded_at },
            (None, _) => Verdict::AcceptedUnidentified,
        },
        Class::BadRow => Verdict::BadRow { cause },
        Class::RefusedForNow => Verdict::RefusedForNow { retry_after: retry_after(&reply), cause },
        Class::Stop(reason) => stop(reason, Certainty::Refused, cause),
        Class::StopInDoubt(reason) => stop(reason, Certainty::Unclear, cause),
        Class::InDoubt => Verdict::InDoubt { cause },
    }
}

/// Decides what a read came to; `parse` reads its `data`.
pub(super) fn of_read<V>(
    outcome: Result<Response, TransportError>,
    parse: fn(&Value) -> Option<V>,
) -> Result<V, ReadError> {
    let reply = match outcome {
        Ok(reply) => reply,
        Err(TransportError::NotSent(cause)) => return Err(ReadError::NotSent { cause }),
        Err(TransportError::NoAnswer(cause)) => return Err(ReadError::Unclear { cause }),
    };
    let envelope = wire::parse_envelope(&reply.body);
    let cause = describe(&reply, envelope.as_ref());
    match classify(reply.status, envelope.as_ref(), &[]) {
        Class::Accepted => {
            let data = envelope.as_ref().map_or(&Value::Null, |envelope| &envelope.data);
            parse(data).ok_or(ReadError::Unclear { cause })
        }
        Class::RefusedForNow => Err(ReadError::RefusedForNow { retry_after: retry_after(&reply) }),
        Class::Stop(reason) | Class::StopInDoubt(reason) => Err(ReadError::StopRun { reason, cause }),
        Class::BadRow | Class::InDoubt => Err(ReadError::Unclear { cause }),
    }
}

/// `Retry-After`; a date is turned into seconds by the date of the answer, since the service's clock is not ours.
fn retry_after(reply: &Response) -> Option<String> {
    let text = reply.retry_after.as_ref()?;
    let timestamps = wire::parse_date(text).zip(reply.date.as_deref().and_then(wire::parse_date));
    Some(
        timestamps
            .map_or_else(|| text.clone(), |(until, now)| (until.since_ms(now).max(0) / 1000).to_string()),
    )
}

/// The answer for a reader: status, code and message, or the beginning of what came instead.
fn describe(reply: &Response, envelope: Option<&Envelope>) -> String {
    let status = reply.status;
    if let Some(location) = &reply.location {
        let host = url::Url::parse(location).ok().and_then(|url| url.host_str().map(str::to_owned));
        return format!(
            "HTTP {status}, redirect to {}",
            redact::clean(host.as_deref().unwrap_or("elsewhere"))
        );
    }
    match envelope {
        Some(Envelope { code, message, .. }) => {
            format!("HTTP {status}, code {}: {}", redact::clean(code), redact::opaque(message))
        }
        None if reply.body.is_empty() => format!("HTTP {status} without a body"),
        None => {
            let beginning = String::from_utf8_lossy(&reply.body[..reply.body.len().min(512)]).into_owned();
            format!("HTTP {status}, not the service's JSON: {}", redact::opaque(&beginning))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(status: u16, body: &str) -> Verdict {
        of_upload(Ok(Response { status, body: body.as_bytes().to_vec(), ..Response::default() }), &[])
    }

    fn kind(verdict: &Verdict) -> &'static str {
        match verdict {
            Verdict::Accepted { .. } => "accepted",
            Verdict::AcceptedUnidentified => "accepted unnamed",
            Verdict::BadRow { .. } => "bad row",
            Verdict::RefusedForNow { .. } => "refused for now",
            Verdict::StopRun { certainty: Certainty::Refused, .. } => "stop",
            Verdict::StopRun { certainty: Certainty::Unclear, .. } => "stop in doubt",
            Verdict::InDoubt { .. } => "in doubt",
            Verdict::NotSent { .. } => "not sent",
        }
    }

    #[test]
    fn a_rule_of_the_users_own_goes_first_and_never_turns_a_success_or_a_gateway_s_word() {
        let rule = |text: &str| text.parse::<UserRule>();
        let own =
            [rule("0001:Codec=bad-row").unwrap(), rule("0777=busy").unwrap(), rule("0003=in-doubt").unwrap()];
        let with_own = |status, body: &str| {
            let reply = Response { status, body: body.as_bytes().to_vec(), ..Response::default() };
            kind(&of_upload(Ok(reply), &own))
        };
        assert_eq!(with_own(200, r#"{"code":"0001","msg":"busy codec, try later"}"#), "bad row");
        assert_eq!(with_own(200, r#"{"code":"0001","msg":"busy, try later"}"#), "in doubt");
        assert_eq!(with_own(200, r#"{"code":"0777","msg":"x"}"#), "refused for now");
        assert_eq!(with_own(200, r#"{"code":"0003","msg":"tags too many"}"#), "in doubt");
        assert_eq!(with_own(503, r#"{"code":"0777","msg":"x"}"#), "in doubt");
        for bad in ["0000=busy", "0200:x=bad-row", "1=busy", "0001=accepted", "0001", "=busy"] {
            assert!(rule(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_documented_answer_has_its_verdict() {
        let accepted =
            r#"{"code":"0000","msg":"success","data":{"videoNo":"VI1234","uploadTime":"1700000000000"}}"#;
        for (status, body, expected) in [
            (200, accepted, "accepted"),
            (200, r#"{"code":0,"data":{"video_no":"VI1234"}}"#, "accepted"),
            (200, r#"{"code":"0000","msg":"success","data":null}"#, "accepted unnamed"),
            (200, r#"{"code":"0000","data":{"videoNo":"'; --"}}"#, "accepted unnamed"),
            (200, r#"{"code":"0001","msg":"url is invalid"}"#, "bad row"),
            (200, r#"{"code":"0003","msg":"tags too many"}"#, "bad row"),
            (200, r#"{"code":"0001","msg":"network abnormal"}"#, "in doubt"),
            (500, r#"{"code":"0001","msg":"upstream failed"}"#, "in doubt"),
            (200, r#"{"code":"0001","msg":"The network is abnormal, please try again later"}"#, "in doubt"),
            (200, r#"{"code":"0003","msg":"Service is busy"}"#, "in doubt"),
            (200, r#"{"code":"0001","msg":"No static resource api."}"#, "stop"),
            (200, r#"{"code":"0401","msg":"invalid key"}"#, "stop"),
            (200, r#"{"code":"0402","msg":"You don't have enough points."}"#, "stop"),
            (200, r#"{"code":403}"#, "stop"),
            (200, r#"{"code":"9009"}"#, "stop"),
            (200, r#"{"code":"0409","msg":"repeated"}"#, "in doubt"),
            (200, r#"{"code":"0429","msg":"Request has exceeded the limit."}"#, "refused for now"),
            (200, r#"{"code":429}"#, "refused for now"),
            (429, "slow down", "refused for now"),
            (401, "", "stop"),
            (402, "", "stop"),
            (403, "<html>", "stop"),
            (200, r#"{"code":"7777"}"#, "in doubt"),
            (200, "<html>ok</html>", "in doubt"),
            (200, r#"{"code":"0000","data":{"videoNo":"VI12"#, "in doubt"),
            (200, "", "in doubt"),
            (502, "<html>bad gateway</html>", "in doubt"),
            (503, r#"{"timestamp":1,"status":503,"error":"x"}"#, "in doubt"),
            (404, r#"{"timestamp":1,"status":404}"#, "stop in doubt"),
            (307, "", "stop in doubt"),
        ] {
            assert_eq!(kind(&upload(status, body)), expected, "{status} {body}");
        }
    }

    #[test]
    fn only_a_request_that_never_left_is_not_sent() {
        assert_eq!(kind(&of_upload(Err(TransportError::NotSent("refused".to_owned())), &[])), "not sent");
        assert_eq!(kind(&of_upload(Err(TransportError::NoAnswer("reset".to_owned())), &[])), "in doubt");
    }

    #[test]
    fn a_date_to_retry_after_is_read_by_the_services_own_clock() {
        let reply = |retry_after: &str, date: Option<&str>| Response {
            status: 429,
            retry_after: Some(retry_after.to_owned()),
            date: date.map(str::to_owned),
            ..Response::default()
        };
        let (noon, later) = ("Wed, 21 Oct 2015 12:00:00 GMT", "Wed, 21 Oct 2015 12:02:00 GMT");
        for (reply, expected) in [
            (reply(later, Some(noon)), "120"),
            (reply(noon, Some(later)), "0"),
            (reply("30", Some(noon)), "30"),
            (reply(later, None), later),
        ] {
            let Verdict::RefusedForNow { retry_after, .. } = of_upload(Ok(reply), &[]) else { panic!() };
            assert_eq!(retry_after.as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_stop_names_its_reason() {
        for (code, expected) in [
            ("0401", StopReason::KeyRefused),
            ("0402", StopReason::CreditsOut),
            ("0403", StopReason::AccountDisabled),
            ("9009", StopReason::NoPermission),
        ] {
            let Verdict::StopRun { reason, .. } = upload(200, &format!(r#"{{"code":"{code}"}}"#)) else {
                panic!("{code} does not stop")
            };
            assert_eq!(reason, expected);
        }
    }

    #[test]
    fn a_null_listing_is_unclear_and_null_metadata_is_not_visible() {
        let reply =
            |body: &str| Ok(Response { status: 200, body: body.as_bytes().to_vec(), ..Response::default() });
        let null = r#"{"code":"0000","data":null}"#;
        assert!(matches!(of_read(reply(null), wire::parse_list_page), Err(ReadError::Unclear { .. })));
        assert_eq!(of_read(reply(null), wire::parse_metadata), Ok(None));
        assert!(matches!(
            of_read(reply(r#"{"code":"0402"}"#), wire::parse_metadata),
            Err(ReadError::StopRun { reason: StopReason::CreditsOut, .. })
        ));
    }
}

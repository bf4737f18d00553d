//! The verdict on an answer: one decision from HTTP status, envelope code and message.
//!
//! An item returns to pending only after an answer that clearly says that nothing was accepted. An unclear answer
//! leaves it in doubt.

use serde_json::Value;

use super::{
    message::{Topic, topic, wait_named},
    transport::{Response, TransportError},
    user_rule::{UserClass, UserRule},
    wire::{self, Envelope},
};
use crate::{
    domain::{StopReason, UnixMillis, VideoNo},
    redact,
    retry::parse_retry_after,
};

/// The outcome of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Accepted, and named. `uploaded_at` is by the service's clock.
    Accepted { video_no: VideoNo, uploaded_at: Option<UnixMillis> },
    /// Accepted, and not named.
    AcceptedUnidentified,
    /// The row itself is rejected for good. By a rule of the user alone it is unclear whether a video was made.
    BadRow { certainty: Certainty, cause: String },
    /// Not accepted now; another time it may be. `retry_after` is the header as it came.
    RefusedForNow { retry_after: Option<String>, cause: String },
    /// No row can be sent until the operator acts.
    StopRun { reason: StopReason, certainty: Certainty, retry_after: Option<String>, cause: String },
    /// It may have been accepted.
    InDoubt { retry_after: Option<String>, cause: String },
    /// No byte left this machine.
    NotSent { cause: String },
}

impl Verdict {
    /// The same with another text of the cause.
    pub(super) fn map_cause(mut self, change: impl FnOnce(&str) -> String) -> Self {
        match &mut self {
            Self::Accepted { .. } | Self::AcceptedUnidentified => {}
            Self::BadRow { cause, .. }
            | Self::RefusedForNow { cause, .. }
            | Self::StopRun { cause, .. }
            | Self::InDoubt { cause, .. }
            | Self::NotSent { cause } => *cause = change(cause),
        }
        self
    }
}

/// Whether a request was certainly not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// The service itself refused it.
    Refused,
    /// Something between here and the service did, or a rule of the user says so.
    Unclear,
    /// No byte left this machine.
    NotSent,
}

/// Why a read failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Refused for now. `retry_after` is the header as it came.
    #[error("the service asks to read less often")]
    RefusedForNow { retry_after: Option<String> },
    /// No read can succeed until the operator acts.
    #[error("{cause}")]
    StopRun { reason: StopReason, cause: String },
    /// The host could not be reached.
    #[error("{cause}")]
    NotSent { cause: String },
    /// No usable answer.
    #[error("{cause}")]
    Unclear { retry_after: Option<String>, cause: String },
}

/// What the table decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Accepted,
    BadRow,
    RefusedForNow,
    Stop(StopReason),
    StopInDoubt(StopReason),
    InDoubt,
    /// In doubt by a code that nothing is known of: the user may say what it means.
    UnknownCode,
}

/// What an envelope code means. The service's error page names the codes; clients saw the others.
fn class_of_code(envelope: &Envelope) -> Class {
    let stop_unless_of_row = |reason| match topic(&envelope.message) {
        Topic::Row => Class::BadRow,
        Topic::Limit | Topic::Stop(_) | Topic::Unclear => Class::Stop(reason),
    };
    match envelope.code.as_str() {
        "0" | "200" if envelope.says_failed && !envelope.names_video() => Class::InDoubt,
        "0" | "200" => Class::Accepted,
        "429" => Class::RefusedForNow,
        "401" => stop_unless_of_row(StopReason::KeyRefused),
        "402" | "403" if topic(&envelope.message) == Topic::Limit => Class::RefusedForNow,
        "402" => Class::Stop(StopReason::CreditsOut),
        "403" => stop_unless_of_row(StopReason::AccountDisabled),
        "9009" => Class::Stop(StopReason::NoPermission),
        "410" => stop_unless_of_row(StopReason::Retired),
        "404" | "405" | "406" | "415" => stop_unless_of_row(StopReason::WrongRequest),
        "1" | "3" | "400" | "413" | "422" => class_of_message(&envelope.message),
        // a vendor fixture pairs it with a busy service
        "409" => Class::InDoubt,
        _ => Class::UnknownCode,
    }
}

/// What a message means where its code says nothing, or only that the request is at fault: of the row only when it names a field.
fn class_of_message(message: &str) -> Class {
    match topic(message) {
        Topic::Row => Class::BadRow,
        Topic::Stop(reason) => Class::Stop(reason),
        Topic::Limit => Class::RefusedForNow,
        Topic::Unclear => Class::InDoubt,
    }
}

/// What an HTTP status means where no envelope decides. Statuses mirror the codes.
fn class_of_status(status: u16, body: &[u8]) -> Class {
    match status {
        429 => Class::RefusedForNow,
        401 => Class::Stop(StopReason::KeyRefused),
        402 => Class::Stop(StopReason::CreditsOut),
        403 if is_html(body) => Class::StopInDoubt(StopReason::Blocked),
        // gateways refuse with it, too, and say why
        403 if topic(&message_of(body)) == Topic::Limit => Class::RefusedForNow,
        403 => Class::Stop(StopReason::AccountDisabled),
        407 => Class::StopInDoubt(StopReason::Blocked),
        410 => Class::StopInDoubt(StopReason::Retired),
        415 => Class::StopInDoubt(StopReason::WrongRequest),
        301 | 302 | 303 | 307 | 308 | 511 => Class::StopInDoubt(StopReason::NotTheService),
        404 | 405 => Class::StopInDoubt(StopReason::WrongAddress),
        400 | 413 | 422 => {
            let class = class_of_message(&message_of(body));
            // not the service's own message about a row
            if matches!(class, Class::BadRow | Class::RefusedForNow) { Class::InDoubt } else { class }
        }
        _ => Class::InDoubt,
    }
}

/// The text of a body without an envelope. JSON of another form has its message in quotes.
fn message_of(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(2_048)]).replace('"', " ")
}

fn is_html(body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let start: Vec<u8> = body.iter().copied().skip_while(u8::is_ascii_whitespace).take(15).collect();
    let start = String::from_utf8_lossy(&start).to_lowercase();
    start.starts_with("<!doctype html") || start.starts_with("<html")
}

fn classify(response: &Response, envelope: Option<&Envelope>, user_rules: &[UserRule]) -> Class {
    let status = response.status;
    let by_user = user_rules.iter().find_map(|rule| rule.class_of(status, envelope));
    if let Some(class) = by_user.filter(|_| status < 500) {
        return match class {
            UserClass::BadRow => Class::BadRow,
            UserClass::Busy => Class::RefusedForNow,
            UserClass::InDoubt => Class::InDoubt,
            UserClass::Stop => Class::Stop(StopReason::UserRule),
        };
    }
    let class = match envelope {
        Some(envelope) => class_of_both(status, envelope, &response.body),
        None => class_of_status(status, &response.body),
    };
    match class {
        _ if status < 500 => class,
        // a server that failed may have accepted the row before it complained
        Class::BadRow | Class::RefusedForNow if envelope.is_some_and(|own| own.code != "429") => {
            Class::InDoubt
        }
        Class::Stop(reason) if envelope.is_some_and(|own| matches!(own.code.as_str(), "1" | "3")) => {
            Class::StopInDoubt(reason)
        }
        Class::Accepted
        | Class::BadRow
        | Class::RefusedForNow
        | Class::Stop(_)
        | Class::StopInDoubt(_)
        | Class::InDoubt
        | Class::UnknownCode => class,
    }
}

/// The class of an envelope under an HTTP status: one classification. The status decides where the code says nothing, and where an
/// error has the code of a success.
fn class_of_both(status: u16, envelope: &Envelope, body: &[u8]) -> Class {
    let by_code = class_of_code(envelope);
    if status < 400 {
        return by_code;
    }
    let by_status = || class_of_status(status, body);
    match by_code {
        Class::Accepted if envelope.names_video() => by_code,
        Class::Accepted => by_status(),
        // a message that names a field in an answer that refuses all requests
        Class::BadRow | Class::InDoubt | Class::UnknownCode if status == 429 => Class::RefusedForNow,
        // the status decides, unless it says nothing either
        Class::InDoubt | Class::UnknownCode => {
            let by_status = by_status();
            if by_status == Class::InDoubt { by_code } else { by_status }
        }
        Class::BadRow | Class::RefusedForNow | Class::Stop(_) | Class::StopInDoubt(_) => by_code,
    }
}

/// Decides the outcome of an upload, by the user's own rules first.
pub(super) fn of_upload(outcome: Result<Response, TransportError>, user_rules: &[UserRule]) -> Verdict {
    let response = match outcome {
        Ok(response) => response,
        Err(TransportError::NotSent(cause)) => return Verdict::NotSent { cause },
        Err(TransportError::Unusable { reason, cause }) => {
            return Verdict::StopRun { reason, certainty: Certainty::NotSent, retry_after: None, cause };
        }
        Err(TransportError::NoAnswer(cause)) => return Verdict::InDoubt { retry_after: None, cause },
    };
    let envelope = wire::parse_envelope(&response.body);
    let cause = describe(&response, envelope.as_ref());
    let stop = |reason, certainty, cause| Verdict::StopRun {
        reason,
        certainty,
        retry_after: retry_after(&response),
        cause,
    };
    match classify(&response, envelope.as_ref(), user_rules) {
        Class::Accepted => {
            match wire::parse_accepted(envelope.as_ref().map_or(&Value::Null, |envelope| &envelope.data)) {
                (Some(video_no), uploaded_at) => Verdict::Accepted { video_no, uploaded_at },
                (None, _) => Verdict::AcceptedUnidentified,
            }
        }
        // it contradicts itself: a number is proof of a video
        Class::BadRow | Class::RefusedForNow if envelope.as_ref().is_some_and(Envelope::names_video) => {
            Verdict::InDoubt {
                retry_after: retry_after(&response),
                cause: format!("{cause}; it names a video"),
            }
        }
        Class::BadRow => {
            let by_table = classify(&response, envelope.as_ref(), &[]);
            let certainty = if by_table == Class::BadRow { Certainty::Refused } else { Certainty::Unclear };
            Verdict::BadRow { certainty, cause }
        }
        Class::RefusedForNow => {
            let named = || envelope.as_ref().and_then(|envelope| wait_named(&envelope.message));
            let reset = || limit_reset(&response);
            Verdict::RefusedForNow {
                retry_after: retry_after(&response).or_else(named).or_else(reset),
                cause,
            }
        }
        Class::Stop(reason) => stop(reason, Certainty::Refused, cause),
        Class::StopInDoubt(reason) => stop(reason, Certainty::Unclear, cause),
        Class::InDoubt => Verdict::InDoubt { retry_after: retry_after(&response), cause },
        Class::UnknownCode => {
            let code = envelope.as_ref().map_or("", |envelope| envelope.code.as_str());
            let hint = format!(
                "{cause}; telecine does not know this code: --verdict {}=bad-row, busy, in-doubt or stop says what it means",
                redact::clean(code)
            );
            Verdict::InDoubt { retry_after: retry_after(&response), cause: hint }
        }
    }
}

/// Decides the outcome of an upload of a file: as that of an upload, but that the file may be too large.
pub(super) fn of_file(outcome: Result<Response, TransportError>, user_rules: &[UserRule]) -> Verdict {
    let too_large = outcome.as_ref().ok().and_then(|response| too_large(response, user_rules));
    let verdict = of_upload(outcome, user_rules);
    let is_open =
        matches!(verdict, Verdict::InDoubt { .. } | Verdict::StopRun { certainty: Certainty::Unclear, .. });
    match too_large.filter(|_| is_open) {
        Some(cause) => Verdict::BadRow { certainty: Certainty::Refused, cause },
        None => verdict,
    }
}

/// What an answer says of a file that is too large, by its status or its code: such a file was not taken.
fn too_large(response: &Response, user_rules: &[UserRule]) -> Option<String> {
    let envelope = wire::parse_envelope(&response.body);
    if user_rules.iter().any(|rule| rule.class_of(response.status, envelope.as_ref()).is_some()) {
        return None;
    }
    let by_code = envelope.as_ref().is_some_and(|envelope| envelope.code == "413");
    let is_too_large = by_code || (response.status == 413 && envelope.is_none());
    is_too_large.then(|| format!("the file is too large ({})", describe(response, envelope.as_ref())))
}

/// Decides the outcome of a read; `parse` reads its `data`.
pub(super) fn of_read<V>(
    outcome: Result<Response, TransportError>,
    parse: impl FnOnce(&Value) -> Option<V>,
) -> Result<V, ReadError> {
    let response = match outcome {
        Ok(response) => response,
        Err(TransportError::NotSent(cause)) => return Err(ReadError::NotSent { cause }),
        Err(TransportError::Unusable { reason, cause }) => {
            return Err(ReadError::StopRun { reason, cause });
        }
        Err(TransportError::NoAnswer(cause)) => return Err(ReadError::Unclear { retry_after: None, cause }),
    };
    let envelope = wire::parse_envelope(&response.body);
    let cause = describe(&response, envelope.as_ref());
    let retry_after = retry_after(&response);
    match classify(&response, envelope.as_ref(), &[]) {
        Class::Accepted => {
            let data = envelope.as_ref().map_or(&Value::Null, |envelope| &envelope.data);
            let cause = format!("{cause}; its data has another form than expected");
            parse(data).ok_or(ReadError::Unclear { retry_after, cause })
        }
        Class::RefusedForNow => {
            Err(ReadError::RefusedForNow { retry_after: retry_after.or_else(|| limit_reset(&response)) })
        }
        Class::Stop(reason) | Class::StopInDoubt(reason) => Err(ReadError::StopRun { reason, cause }),
        // a read costs nothing, so the next upload is not made to find out
        Class::InDoubt if response.status < 400 && is_html(&response.body) => {
            Err(ReadError::StopRun { reason: StopReason::NotTheService, cause })
        }
        Class::BadRow | Class::InDoubt | Class::UnknownCode => Err(ReadError::Unclear { retry_after, cause }),
    }
}

/// `Retry-After`, in seconds where it can be read.
fn retry_after(response: &Response) -> Option<String> {
    let text = response.retry_after.as_ref()?;
    Some(seconds_of(text, response).unwrap_or_else(|| text.clone()))
}

/// When the limit that refused is reset, where that can be read.
fn limit_reset(response: &Response) -> Option<String> {
    let text = response.limit_reset.as_ref()?;
    seconds_of(text, response).or_else(|| parse_retry_after(text, UnixMillis(0)).map(|_| text.clone()))
}

/// A wait in seconds. A time is taken by the date of the answer, since the clock of the service is not ours. `None`: the answer has
/// no date, or the wait cannot be read.
fn seconds_of(text: &str, response: &Response) -> Option<String> {
    let now = response.date.as_deref().and_then(UnixMillis::parse_http_date)?;
    parse_retry_after(text, now).map(|wait| wait.as_secs().to_string())
}

/// The answer as text: status, code and message, or the beginning of what came instead.
fn describe(response: &Response, envelope: Option<&Envelope>) -> String {
    let status = response.status;
    if let Some(location) = &response.location {
        let host = url::Url::parse(location).ok().and_then(|url| url.host_str().map(str::to_owned));
        let host = redact::clean(host.as_deref().unwrap_or("another place"));
        return format!("HTTP {status}, redirect to {host}");
    }
    match envelope {
        Some(Envelope { shown_code, message, .. }) => {
            format!("HTTP {status}, code {}: {}", redact::clean(shown_code), redact::opaque(message))
        }
        None if response.body.is_empty() => format!("HTTP {status} without a body"),
        None if is_html(&response.body) => {
            format!("HTTP {status}, a web page and not the service's JSON{}", title_of(&response.body))
        }
        None => {
            let beginning =
                String::from_utf8_lossy(&response.body[..response.body.len().min(512)]).into_owned();
            format!("HTTP {status}, not the service's JSON: {}", redact::opaque(&beginning))
        }
    }
}

/// `: Guest network`, from the title of a web page.
fn title_of(page: &[u8]) -> String {
    let page = String::from_utf8_lossy(&page[..page.len().min(4_096)]).into_owned();
    let title = page.split_once("<title>").and_then(|(_, behind)| behind.split_once("</title>"));
    let title = title.map_or("", |(title, _)| title).split_whitespace().collect::<Vec<_>>().join(" ");
    if title.is_empty() { String::new() } else { format!(": {}", redact::opaque(&title)) }
}

#[cfg(test)]
mod tests;

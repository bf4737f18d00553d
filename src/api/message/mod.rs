//! Classifies the message of an answer. The service uses the codes `0001` and `0003` for everything, so the message
//! decides.
//!
//! Whole phrases decide, not single words: "must not be later than now" is about a field, "try again later" is not. A
//! message that is not clearly about a field of the row does not reject the row. The Chinese texts are those of the
//! service's own framework.

mod phrases;
mod quotes;

use phrases::{
    AGAIN, CONFIGURATION, CREDITS, CREDITS_LACK, FAULTS, FIELDS, KEY, KEY_FAULTS, KEY_REFUSED, LACK,
    LIMIT_PHRASES, LIMIT_WORDS, NOT_FOUND_IN_REQUEST, OF_ACCOUNT, OF_REQUESTS, RETIRED, SOURCE, TROUBLE,
    WRONG_PATH,
};

use crate::domain::{StopReason, parse_duration};

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    /// A field of the row, and what is wrong with it.
    Row,
    /// A limit of the account.
    Limit,
    /// Something that stops every row.
    Stop(StopReason),
    /// Trouble of the service, or nothing that is understood.
    Unclear,
}

/// Decides what a message is about. A request that "certainly was not accepted" is sent again, so every topic but
/// [`Topic::Unclear`] needs two things: what is named, and what is wrong with it.
pub(super) fn topic(message: &str) -> Topic {
    let text = quotes::without_values(&message.to_lowercase(), FIELDS);
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| contains_phrase(&text, phrase));
    let is_not_taken = || says(&["not supported", "unsupported", "not present", "is missing", "not allowed"]);
    // what is said of a field or of the source of a row concerns no other row
    let is_of_row = says(FIELDS) || says(SOURCE);
    if !is_of_row && says(WRONG_PATH) {
        return Topic::Stop(StopReason::WrongAddress);
    }
    if is_not_taken() && (says(NOT_FOUND_IN_REQUEST) || (!is_of_row && says(CONFIGURATION))) {
        return Topic::Stop(StopReason::WrongRequest);
    }
    if !is_of_row && says(RETIRED) {
        return Topic::Stop(StopReason::Retired);
    }
    if says(TROUBLE) {
        return Topic::Unclear;
    }
    // "frame rate limit" is said of a video
    let of_limits = ["frame rate", "bit rate"].iter().fold(text.clone(), |text, of| text.replace(of, " "));
    let limits = |phrases: &[&str]| phrases.iter().any(|phrase| contains_phrase(&of_limits, phrase));
    if limits(LIMIT_PHRASES) || (limits(LIMIT_WORDS) && limits(OF_ACCOUNT)) {
        return if says(CREDITS) { credits_topic(says(LACK)) } else { Topic::Limit };
    }
    if says(AGAIN) {
        return Topic::Unclear;
    }
    if is_of_row && says(FAULTS) {
        return Topic::Row;
    }
    if says(CREDITS_LACK) || (!is_of_row && says(CREDITS)) {
        return credits_topic(says(CREDITS_LACK) || says(LACK));
    }
    if !is_of_row && (says(KEY_REFUSED) || (says(KEY) && says(KEY_FAULTS))) {
        return Topic::Stop(StopReason::KeyRefused);
    }
    if !is_of_row && limits(LIMIT_WORDS) && limits(OF_REQUESTS) {
        return Topic::Limit;
    }
    Topic::Unclear
}

/// The wait that a message names, such as `20 seconds` in "try again in 20 seconds", in the form of a `Retry-After`.
pub(super) fn wait_named(message: &str) -> Option<String> {
    let text = message.to_lowercase();
    let words: Vec<&str> =
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let asks = |word: &&str| matches!(*word, "again" | "retry" | "wait");
    let at = words.iter().position(asks)?;
    let mut behind =
        words[at + 1..].iter().skip_while(|word| matches!(**word, "in" | "after" | "for" | "at" | "least"));
    let number = *behind.next()?;
    let unit = if number.ends_with(|c: char| c.is_ascii_digit()) { *behind.next()? } else { "" };
    let wait = format!("{number} {unit}");
    parse_duration(&wait).map(|_| wait)
}

/// What a message about credits means: that they lack, or nothing that is understood.
const fn credits_topic(they_lack: bool) -> Topic {
    if they_lack { Topic::Stop(StopReason::CreditsOut) } else { Topic::Unclear }
}

/// Whether a text contains a phrase as whole words, or with a leading `~` also inside a word. Scripts without blanks
/// between words are searched as they are.
fn contains_phrase(text: &str, phrase: &str) -> bool {
    if let Some(part) = phrase.strip_prefix('~') {
        return text.contains(part);
    }
    if !phrase.is_ascii() {
        return text.contains(phrase);
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut from = 0;
    while let Some(at) = text[from..].find(phrase) {
        let (start, end) = (from + at, from + at + phrase.len());
        let starts = !text[..start].ends_with(is_word);
        let ends = !text[end..].starts_with(is_word);
        if starts && ends {
            return true;
        }
        from = start + 1;
        while !text.is_char_boundary(from) {
            from += 1;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_the_rows_fault_only_when_it_names_a_field_and_what_is_wrong_with_it() {
        for message in [
            "url is invalid",
            "url: must not be blank",
            "tags size must be between 0 and 20",
            "tags too many",
            "tags exceeds the limit of 20",
            "camera_model length exceeds 200 characters",
            "datetime_taken format error, expected yyyy-MM-dd HH:mm:ss",
            "datetime_taken must not be later than now",
            "url must not point to an internal address",
            "latitude is required when longitude is given",
            "callback too long, please retry with a shorter one",
            "unique_id can not be empty",
            "unsupported video codec: av1 is not supported",
            "video size exceeds 1GB",
            "url points to an internal address",
            "url points to a file that is not a video",
            "Cannot download video from url: 401 Unauthorized",
            "url returned 401 Unauthorized",
            "url requires authentication",
            "Failed to fetch url: access token expired",
            "The url is no longer available",
            "video file no longer available",
            "url uses deprecated protocol http",
            "Unsupported media type of url: text/html",
            "url content-type is not supported",
            "Invalid url: content type text/html not allowed",
            "The video duration exceeds 2 hours",
            "Video resolution exceeds the limit",
            "视频时长超过限制",
            "标签数量超过上限",
            "url格式错误",
            "url 格式错误",
            "tags 不能为空",
            "video frame rate must be at most 60 frames per second",
            "frame rate limit exceeded",
            "url is invalid: https://host/full-throttle/v2.mp4",
            "url is invalid: https://host/exceptional/system-error.mp4",
            "Cannot open the video at https://host/end-credits/sunset/points.mp4",
            "The source url answered 403: missing authorization header",
            "Failed to download url: 404 No static resource v2.mp4.",
            "Failed to download url: the source answered 404",
            "tag 'rate limit' is too long",
            "callback \"https://host/too-many-requests\" is not reachable",
        ] {
            assert_eq!(topic(message), Topic::Row, "{message}");
        }
    }

    #[test]
    fn a_message_about_a_limit_is_no_fault_of_the_row() {
        for message in [
            "Request has exceeded the limit.",
            "2-hour cap is reached",
            "your upload quota for 2 hours has been exceeded",
            "The rolling 2-hour cap is reached",
            "Too many requests",
            "url upload rate limit exceeded, too many requests",
            "daily quota exceeded",
            "QPS limit",
            "You are sending requests too frequently",
            "请求过于频繁",
            "已达到上限",
            "The total video duration submitted in the last 2 hours exceeds the limit of your account",
            "Your account has used up its upload size for the last 2 hours",
            "You have reached the cap: at most 5 url uploads in 2 hours",
            "2-hour cap reached, you must wait before another url is accepted",
            "Too many url submissions, you must wait",
            "两小时内上传视频大小超过账户额度",
            "Too many requests, please try again later",
            "rate limit exceeded for https://host/system-error/timeout.mp4",
            "concurrent uploads limit reached",
        ] {
            assert_eq!(topic(message), Topic::Limit, "{message}");
        }
    }

    #[test]
    fn a_message_that_stops_every_row_names_its_reason() {
        for (message, reason) in [
            ("You don't have enough points.", StopReason::CreditsOut),
            ("insufficient balance", StopReason::CreditsOut),
            ("credits exceeded", StopReason::CreditsOut),
            ("Your account does not have any points: not enough credits", StopReason::CreditsOut),
            ("invalid token", StopReason::KeyRefused),
            ("Unauthorized", StopReason::KeyRefused),
            ("余额不足", StopReason::CreditsOut),
            ("authorization is wrong", StopReason::KeyRefused),
            ("The API key is disabled", StopReason::KeyRefused),
            ("This API is deprecated", StopReason::Retired),
            ("this endpoint is no longer supported", StopReason::Retired),
            ("No static resource serve/api/v1/upload_url.", StopReason::WrongAddress),
            ("Content type 'application/x-www-form-urlencoded' not supported", StopReason::WrongRequest),
            ("Request method 'POST' is not supported", StopReason::WrongRequest),
            (
                "Required request parameter 'url' for method parameter type String is not present",
                StopReason::WrongRequest,
            ),
        ] {
            assert_eq!(topic(message), Topic::Stop(reason), "{message}");
        }
    }

    #[test]
    fn a_wait_that_a_message_names_is_kept_and_the_length_of_a_window_is_none() {
        for (message, expected) in [
            ("Too many requests. Please try again in 20 seconds.", Some("20 seconds")),
            ("rate limited, retry after 30s", Some("30s ")),
            ("please wait 2 minutes", Some("2 minutes")),
            ("please wait for at least 1 hour", Some("1 hour")),
            ("at most 5 uploads in 2 hours", None),
            ("try again later", None),
            ("wait 5 of them", None),
        ] {
            assert_eq!(wait_named(message).as_deref(), expected, "{message}");
        }
    }

    #[test]
    fn trouble_of_the_service_and_what_is_not_understood_are_unclear() {
        for message in [
            "",
            "System error",
            "unknown error",
            "java.lang.NullPointerException",
            "### Error updating database. Cause: java.sql.SQLException: url invalid",
            "invalid url: connection timed out",
            "Connection refused",
            "I/O error on GET request",
            "The network is abnormal, please try again later",
            "Service is busy",
            "something happened",
            "网络异常,请稍后再试",
            "系统繁忙",
            "rpc error: code = DeadlineExceeded desc = context deadline exceeded",
            "context deadline exceeded",
            "java.lang.OutOfMemoryError: GC overhead limit exceeded",
            "Failed to enqueue the indexing task: max retries exceeded",
            "Concurrent update of record, version mismatch",
            "request processing time exceeded the limit",
            "Disk quota exceeded",
            "Too many connections",
            "the exchange rate cannot be read",
            "Failed to update user credits",
            "Failed to update the usage of the API key",
            "Failed to finish https://host/speed-limit/quota-exceeded.mp4",
            "The url cannot be processed now, please try again later",
        ] {
            assert_eq!(topic(message), Topic::Unclear, "{message}");
        }
    }
}

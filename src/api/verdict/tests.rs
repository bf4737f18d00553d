//! Every kind of answer, with its verdict.

use super::{super::status_word::StatusWords, *};

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
        Verdict::StopRun { certainty: Certainty::NotSent, .. } => "stop, not sent",
        Verdict::InDoubt { .. } => "in doubt",
        Verdict::NotSent { .. } => "not sent",
    }
}

#[test]
fn a_rule_of_the_user_goes_first_and_never_turns_a_success_or_the_answer_of_a_gateway() {
    let rules: Vec<UserRule> =
        ["0001:Codec=bad-row", "0777=busy", "0003=in-doubt", "http 418=stop", "E_ROW=bad-row", "-1=busy"]
            .iter()
            .map(|rule| rule.parse().unwrap())
            .collect();
    let with_rules = |status, body: &str| {
        let response = Response { status, body: body.as_bytes().to_vec(), ..Response::default() };
        kind(&of_upload(Ok(response), &rules))
    };
    assert_eq!(with_rules(200, r#"{"code":"0001","msg":"busy codec, try later"}"#), "bad row");
    assert_eq!(with_rules(200, r#"{"code":"0001","msg":"busy, try later"}"#), "in doubt");
    assert_eq!(with_rules(200, r#"{"code":"0777","msg":"x"}"#), "refused for now");
    assert_eq!(with_rules(200, r#"{"code":777,"msg":"x"}"#), "refused for now");
    assert_eq!(with_rules(200, r#"{"code":"E_ROW","msg":"x"}"#), "bad row");
    assert_eq!(with_rules(200, r#"{"code":"0003","msg":"tags too many"}"#), "in doubt");
    assert_eq!(with_rules(418, "short and stout"), "stop");
    assert_eq!(with_rules(200, r#"{"code":-1,"msg":"x"}"#), "refused for now");
    assert_eq!(with_rules(418, r#"{"code":0,"status":418}"#), "stop", "an error under the code of a success");
    assert_eq!(with_rules(418, r#"{"code":0,"data":{"videoNo":"VI1234"}}"#), "accepted");
    assert_eq!(with_rules(503, r#"{"code":"0777","msg":"x"}"#), "in doubt");
}

#[test]
fn a_file_that_is_too_large_is_a_bad_row_however_that_is_said() {
    let rule: UserRule = "http 413=in-doubt".parse().unwrap();
    let file = |status, body: &str, rules: &[UserRule]| {
        let response = Response { status, body: body.as_bytes().to_vec(), ..Response::default() };
        kind(&of_file(Ok(response), rules))
    };
    for (status, body) in [
        (413, ""),
        (413, "<html><title>413 Request Entity Too Large</title></html>"),
        (413, r#"{"timestamp":"x","status":413,"error":"Payload Too Large"}"#),
        (413, r#"{"code":413,"msg":"Payload Too Large"}"#),
        (200, r#"{"code":"0413","msg":"Payload Too Large"}"#),
        (200, r#"{"code":"0001","msg":"Maximum upload size exceeded"}"#),
        (200, r#"{"code":"0003","msg":"The file is too large"}"#),
    ] {
        assert_eq!(file(status, body, &[]), "bad row", "{status} {body}");
    }
    assert_eq!(file(413, "", &[rule]), "in doubt");
    assert_eq!(kind(&upload(413, "")), "in doubt", "a form is not large");
    assert_eq!(file(200, r#"{"code":"0001","msg":"Required part 'file' is not present."}"#, &[]), "stop");
    assert_eq!(
        file(200, r#"{"code":"0429","msg":"Request has exceeded the limit."}"#, &[]),
        "refused for now"
    );
    assert_eq!(file(500, r#"{"code":"0001","msg":"Maximum upload size exceeded"}"#, &[]), "in doubt");
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
        (403, "<html>", "stop in doubt"),
        (200, r#"{"code":"0001","msg":"System error"}"#, "in doubt"),
        (200, r#"{"code":"0001","msg":""}"#, "in doubt"),
        (200, r#"{"code":"0001","msg":null}"#, "in doubt"),
        (200, r#"{"code":"0001","msg":"The rolling 2-hour cap is reached"}"#, "refused for now"),
        (200, r#"{"code":"0003","msg":"insufficient balance"}"#, "stop"),
        (200, r#"{"code":"0001","msg":"This API is deprecated"}"#, "stop"),
        (200, r#"{"code":"1","msg":"url is invalid"}"#, "bad row"),
        (200, r#"{"code":1,"msg":"url is invalid"}"#, "bad row"),
        (200, r#"{"code":"00429","msg":"x"}"#, "refused for now"),
        (200, r#"{"code":"0","data":{"videoNo":"VI1234"}}"#, "accepted"),
        (200, r#"{"code":"200","data":{"videoNo":"VI1234"}}"#, "accepted"),
        (200, r#"{"code":"0000","success":false,"data":null}"#, "in doubt"),
        (200, r#"{"code":"0000","failed":true}"#, "in doubt"),
        (200, r#"{"code":"0000","success":false,"data":{"videoNo":"VI1234"}}"#, "accepted"),
        (400, r#"{"code":400,"msg":"url is invalid"}"#, "bad row"),
        (400, r#"{"code":"0400","msg":"bad request"}"#, "in doubt"),
        (413, r#"{"code":"413","msg":"tags too long"}"#, "bad row"),
        (422, r#"{"code":"0001","msg":"camera_model exceeds 200 characters"}"#, "bad row"),
        (400, r#"{"code":"E1","msg":"this version is deprecated"}"#, "stop"),
        (400, "this API is deprecated", "stop"),
        (410, "", "stop in doubt"),
        (200, r#"{"code":410}"#, "stop"),
        (415, "", "stop in doubt"),
        (200, r#"{"code":"404"}"#, "stop"),
        (200, r#"{"code":405}"#, "stop"),
        (403, "<!DOCTYPE html><html>blocked</html>", "stop in doubt"),
        (403, r#"{"message":"Forbidden"}"#, "stop"),
        (500, r#"{"code":"0001","msg":"url is invalid"}"#, "in doubt"),
        (503, "", "in doubt"),
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
fn the_status_and_the_code_of_an_answer_are_one_classification() {
    for (status, body, expected) in [
        (429, r#"{"name":"Too Many Requests","code":0,"status":429}"#, "refused for now"),
        (401, r#"{"name":"Unauthorized","code":0,"status":401}"#, "stop"),
        (503, r#"{"code":"0000","msg":"ok"}"#, "in doubt"),
        (503, r#"{"code":"0000","data":{"videoNo":"VI1234"}}"#, "accepted"),
        (429, r#"{"code":"0003","msg":"Too many url submissions, you must wait"}"#, "refused for now"),
        (429, r#"{"code":"0003","msg":"url is not accepted now: not supported"}"#, "refused for now"),
        (429, r#"{"code":"0409","msg":"Service is busy"}"#, "refused for now"),
        (401, r#"{"code":"0001","msg":"token error"}"#, "stop"),
        (403, r#"{"code":"0001","msg":"Failed to download url: forbidden"}"#, "bad row"),
        (200, r#"{"code":"404","msg":"Failed to download url: the source answered 404"}"#, "bad row"),
        (200, r#"{"code":403,"msg":"Failed to download url: the source answered 403"}"#, "bad row"),
        (500, r#"{"code":"0001","msg":"Request has exceeded the limit."}"#, "in doubt"),
        (500, r#"{"code":"0001","msg":"insufficient balance"}"#, "stop in doubt"),
        (503, r#"{"code":"0429","msg":"Request has exceeded the limit."}"#, "refused for now"),
        (400, "context deadline exceeded", "in doubt"),
        (200, r#"{"code":-1,"msg":"busy"}"#, "in doubt"),
        (200, r#"{"code":429.0,"msg":"x"}"#, "refused for now"),
        (200, "\u{feff}{\"code\":\"0000\",\"data\":{\"videoNo\":\"VI1234\"}}", "accepted"),
    ] {
        assert_eq!(kind(&upload(status, body)), expected, "{status} {body}");
    }
}

/// A page of a listing.
fn listed(data: &serde_json::Value) -> Option<crate::api::ListPage> {
    wire::parse_list_page(data, &StatusWords::default())
}

#[test]
fn only_a_request_that_never_left_is_not_sent() {
    assert_eq!(kind(&of_upload(Err(TransportError::NotSent("refused".to_owned())), &[])), "not sent");
    assert_eq!(kind(&of_upload(Err(TransportError::NoAnswer("reset".to_owned())), &[])), "in doubt");
    let unusable = TransportError::Unusable { reason: StopReason::ProxyUnusable, cause: "407".to_owned() };
    assert_eq!(kind(&of_upload(Err(unusable.clone()), &[])), "stop, not sent");
    assert!(matches!(of_read(Err(unusable), listed), Err(ReadError::StopRun { .. })));
}

#[test]
fn a_web_page_leaves_an_upload_in_doubt_and_ends_the_reads() {
    let page =
        |status, body: &str| Response { status, body: body.as_bytes().to_vec(), ..Response::default() };
    let login =
        page(200, "\u{feff}\n<!DOCTYPE html><html><head><title>\n Guest  network</title></head></html>");
    let Verdict::InDoubt { cause, .. } = of_upload(Ok(login.clone()), &[]) else { panic!() };
    assert_eq!(cause, "HTTP 200, a web page and not the service's JSON: Guest network");
    let stops = |response| {
        matches!(
            of_read(Ok(response), listed),
            Err(ReadError::StopRun { reason: StopReason::NotTheService, .. })
        )
    };
    assert!(stops(login));
    assert!(stops(page(302, "")) && stops(page(511, "<html></html>")));
    // a gateway that fails shows a page, too
    assert!(!stops(page(502, "<html></html>")) && !stops(page(200, "not JSON")));
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
        (reply("1445428830", Some(noon)), "30"),
        (reply("soon", Some(noon)), "soon"),
        (reply(later, None), later),
    ] {
        let Verdict::RefusedForNow { retry_after, .. } = of_upload(Ok(reply), &[]) else { panic!() };
        assert_eq!(retry_after.as_deref(), Some(expected));
    }
}

#[test]
fn the_reset_of_a_limit_is_the_wait_of_a_refusal_that_names_none() {
    let noon = "Wed, 21 Oct 2015 12:00:00 GMT";
    let wait = |status: u16, body: &str, retry_after: Option<&str>, reset: &str| {
        let reply = Response {
            status,
            retry_after: retry_after.map(str::to_owned),
            limit_reset: Some(reset.to_owned()),
            date: Some(noon.to_owned()),
            body: body.as_bytes().to_vec(),
            ..Response::default()
        };
        let verdict = of_upload(Ok(reply), &[]);
        let (Verdict::RefusedForNow { retry_after, .. } | Verdict::InDoubt { retry_after, .. }) = verdict
        else {
            panic!("{verdict:?}")
        };
        retry_after
    };
    assert_eq!(wait(429, "", None, "45").as_deref(), Some("45"));
    assert_eq!(wait(200, r#"{"code":"0429"}"#, None, "1445428860").as_deref(), Some("60"));
    assert_eq!(wait(429, "", Some("5"), "45").as_deref(), Some("5"), "Retry-After is about this request");
    assert_eq!(wait(429, "", None, "later"), None, "it cannot be read");
    assert_eq!(wait(500, "", None, "3600"), None, "a failure is no limit");
}

#[test]
fn a_refusal_that_names_a_limit_is_none_of_the_account_whatever_its_code() {
    for (status, body) in [
        (200, r#"{"code":"0403","msg":"Rolling 2-hour cap reached, please try again in 20 minutes"}"#),
        (403, r#"{"code":"0403","msg":"Rate limit exceeded"}"#),
        (403, r#"{"message":"API rate limit exceeded"}"#),
        (403, "Rate limit exceeded"),
        (402, r#"{"code":"0402","msg":"concurrent indexing cap reached, resets in 2 hours"}"#),
    ] {
        let verdict = upload(status, body);
        assert!(matches!(verdict, Verdict::RefusedForNow { .. }), "{body}: {verdict:?}");
    }
    for (status, body) in [
        (403, r#"{"code":"0403","msg":"the account is disabled"}"#),
        (403, ""),
        (402, r#"{"code":"0402","msg":"insufficient credits"}"#),
    ] {
        let verdict = upload(status, body);
        assert!(matches!(verdict, Verdict::StopRun { .. }), "{body}: {verdict:?}");
    }
}

#[test]
fn a_stopped_run_names_its_reason() {
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
    assert!(matches!(of_read(reply(null), listed), Err(ReadError::Unclear { .. })));
    assert_eq!(
        of_read(reply(null), |data| wire::parse_metadata(data, &StatusWords::default())),
        Ok(wire::MetadataAnswer::NotVisible)
    );
    assert!(matches!(
        of_read(reply(r#"{"code":"0402"}"#), |data| wire::parse_metadata(data, &StatusWords::default())),
        Err(ReadError::StopRun { reason: StopReason::CreditsOut, .. })
    ));
}

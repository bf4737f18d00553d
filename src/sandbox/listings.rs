//! The service's answers, letter by letter.

use serde_json::{Value, json};

use super::arrival::ClientView;
use crate::api::transport::Response;

pub(super) fn accept(data: &Value) -> ClientView {
    envelope("0000", "success", data)
}

pub(super) fn refuse(code: &str, message: &str) -> ClientView {
    envelope(code, message, &Value::Null)
}

pub(super) fn envelope(code: &str, message: &str, data: &Value) -> ClientView {
    let is_success = code == "0000";
    let body =
        json!({ "code": code, "msg": message, "data": data, "success": is_success, "failed": !is_success });
    page(200, &body.to_string())
}

pub(super) fn page(status: u16, body: &str) -> ClientView {
    ClientView::Answer(Response { status, body: body.as_bytes().to_vec(), ..Response::default() })
}

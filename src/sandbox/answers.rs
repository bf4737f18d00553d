//! The service's answers, letter by letter.

use serde_json::{Value, json};

use super::world::Sight;
use crate::service::transport::Reply;

pub(super) fn accept(data: &Value) -> Sight {
    envelope("0000", "success", data)
}

pub(super) fn refuse(code: &str, message: &str) -> Sight {
    envelope(code, message, &Value::Null)
}

pub(super) fn envelope(code: &str, message: &str, data: &Value) -> Sight {
    let is_success = code == "0000";
    let body =
        json!({ "code": code, "msg": message, "data": data, "success": is_success, "failed": !is_success });
    page(200, &body.to_string())
}

pub(super) fn page(status: u16, body: &str) -> Sight {
    Sight::Answer(Reply { status, body: body.as_bytes().to_vec(), ..Reply::default() })
}

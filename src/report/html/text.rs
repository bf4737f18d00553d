//! How values become text of the page. maud escapes all of it; what comes from outside loses its secrets here first.

use maud::{Markup, html};

use crate::{domain::UnixMillis, redact};

/// A sentence with words of a manifest, a server or the user. Its direction cannot change the text around it.
pub(super) fn foreign(text: &str) -> Markup {
    html! { bdi { (redact::sentence(text)) } }
}

/// An address, or a value that may be one.
pub(super) fn address(text: &str) -> Markup {
    html! { bdi { (redact::url(text)) } }
}

/// A time, for readers and for programs.
pub(super) fn time(at: UnixMillis) -> Markup {
    let text = at.to_string();
    let shown = text.replace('T', " ").replace('Z', " UTC");
    html! { time datetime=(text) { (shown) } }
}

/// A part of a whole in percent. What is not all never becomes 100 %, and what is not nothing never 0 %.
#[expect(clippy::cast_precision_loss, reason = "a rounded value for a reader")]
pub(super) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return String::new();
    }
    let share = part as f64 * 100.0 / whole as f64;
    match share {
        _ if part >= whole => "100 %".to_owned(),
        _ if part == 0 => "0 %".to_owned(),
        0.0..0.1 => "under 0.1 %".to_owned(),
        99.9.. => "over 99.9 %".to_owned(),
        _ => format!("{share:.1} %"),
    }
}

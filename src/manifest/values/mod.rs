//! Values: how a cell's text becomes what the service takes.

pub(super) mod coordinates;
pub(super) mod datetime;
pub(super) mod tags;

/// A text without the blanks around it: what [`str::trim`] gives, for less where there are none.
pub(super) fn trim(text: &str) -> &str {
    let is_plain = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_graphic);
    let bytes = text.as_bytes();
    if is_plain(bytes.first()) && is_plain(bytes.last()) { text } else { text.trim() }
}

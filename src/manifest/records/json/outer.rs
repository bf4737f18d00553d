//! What stands beside the records of a file, and is no part of any.

use super::{
    layout::fits_a_row,
    value::{cell_of, walk},
};
use crate::manifest::{mapping::parts_of, records::NamedKeys};

/// Keys that lead to the next page of an answer, where they hold something.
const NEXT: &[&str] = &[
    "next",
    "next_page",
    "next_page_token",
    "next_page_url",
    "next_link",
    "next_url",
    "next_href",
    "next_cursor",
    "next_token",
    "next_marker",
    "next_offset",
    "last_evaluated_key",
    "continuation_token",
    "resumption_token",
];
/// Keys that say so themselves.
const HAS_MORE: &[&str] = &["has_more", "has_next", "has_next_page", "is_truncated", "more_results"];

/// What a user should know of the keys beside the records: those that look like a field and that no rule names, and that the file is
/// one page of several. `object` is the whole without the records and without what is long. `named`: rules; `None` where every
/// row has these keys.
pub(super) fn notices(object: &str, named: Option<&NamedKeys>) -> Vec<String> {
    let (mut fields, mut next) = (Vec::new(), None);
    // an object that cannot be read is an error elsewhere
    let _ = walk(object, "", &mut |path, value| {
        if cell_of(value).is_ok_and(|cell| cell.is_empty()) {
            return Ok(());
        }
        if fits_a_row(path) && named.is_some_and(|named| named.all.iter().all(|name| name != path)) {
            fields.push(crate::redact::clean(path));
        }
        let is_one_of = |names: &[&str]| path.split('.').any(|key| names.contains(&parts_of(key).as_str()));
        if value == "true" && is_one_of(HAS_MORE) || !matches!(value, "true" | "false") && is_one_of(NEXT) {
            next.get_or_insert_with(|| crate::redact::clean(path));
        }
        Ok(())
    });
    let fields = fields.first().map(|first| {
        let all = fields.join(", ");
        format!("beside the rows, and in none of them: {all} (--map FIELD={first} takes it for every row)")
    });
    let next = next.map(|next| format!("{next} says that more rows follow: the file is one page of several"));
    fields.into_iter().chain(next).collect()
}

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

/// Keys that say how many records there are altogether, as the last parts of their paths.
const TOTALS: &[&str] = &[
    "total",
    "total_count",
    "total_items",
    "total_results",
    "total_records",
    "total_rows",
    "total_hits",
    "total_size",
    "total_elements",
    "total_entries",
    "num_found",
    "count",
    "record_count",
    "result_count",
];
/// What such a key may be in: `views.total` is no number of records.
const AROUND_TOTALS: &[&str] = &[
    "meta",
    "metadata",
    "pagination",
    "paging",
    "page",
    "page_info",
    "paginator",
    "hits",
    "response",
    "result",
    "results",
    "data",
    "info",
    "odata",
    "links",
    "search",
    "query",
];
/// Keys of a page and of the last one.
const PAGES: (&[&str], &[&str]) = (
    &["page", "current_page", "page_number"],
    &["pages", "total_pages", "page_count", "last_page", "num_pages"],
);

/// The keys beside the records.
#[derive(Default)]
pub(super) struct Beside {
    /// What looks like a field, and no rule names it.
    fields: Vec<String>,
    /// What leads to another page, or says that there is one.
    next: Option<String>,
    /// The largest number of records that is named, and its key.
    total: Option<(u64, String)>,
}

impl Beside {
    /// `object` is the whole without the records and without what is long. `named`: rules; `None` where every row has these keys.
    pub(super) fn of(object: &str, named: Option<&NamedKeys>) -> Self {
        let mut beside = Self::default();
        let (mut page, mut pages) = (None, None);
        // an object that cannot be read is an error elsewhere
        let _ = walk(object, "", &mut |path, value| {
            if cell_of(value).is_ok_and(|cell| cell.is_empty()) {
                return Ok(());
            }
            let clean = || crate::redact::clean(path);
            if fits_a_row(path) && named.is_some_and(|named| named.all.iter().all(|name| name != path)) {
                beside.fields.push(clean());
            }
            let keys: Vec<String> = path.split('.').map(parts_of).collect();
            let is_one_of = |names: &[&str]| keys.iter().any(|key| names.contains(&key.as_str()));
            // MediaWiki and Airtable name what goes on, and nothing else
            let goes_on = keys[0] == "continue" || path == "offset" && value.starts_with('"');
            if value == "true" && is_one_of(HAS_MORE)
                || !matches!(value, "true" | "false") && (is_one_of(NEXT) || goes_on)
            {
                beside.next.get_or_insert_with(clean);
            }
            let last = keys.last().map(String::as_str).unwrap_or_default();
            let Some(number) = value.trim_matches('"').parse::<u64>().ok() else { return Ok(()) };
            let around = |keys: &[String]| keys.iter().all(|key| AROUND_TOTALS.contains(&key.as_str()));
            let is_total = TOTALS.contains(&last) && around(&keys[..keys.len() - 1]);
            if is_total || keys.join(".").ends_with("hits.total.value") {
                beside.total =
                    beside.total.take().filter(|(known, _)| *known >= number).or(Some((number, clean())));
            }
            if PAGES.0.contains(&last) {
                page = Some(number);
            }
            if PAGES.1.contains(&last) {
                pages = Some((number, clean()));
            }
            Ok(())
        });
        if let (Some(page), Some((pages, path))) = (page, pages)
            && pages > page.max(1)
        {
            beside.next.get_or_insert(path);
        }
        beside
    }

    /// What a user should know: keys that look like a field, and that the file with this many rows is one page of several.
    pub(super) fn notices(self, rows: u64) -> Vec<String> {
        let fields = self.fields.first().map(|first| {
            let all = self.fields.join(", ");
            format!(
                "beside the rows, and in none of them: {all} (--map FIELD={first} takes it for every row)"
            )
        });
        let next = self
            .next
            .map(|next| format!("{next} says that more rows follow: the file is one page of several"));
        let total = self.total.filter(|(total, _)| *total > rows && rows > 0).map(|(total, path)| {
            format!("{path} says {total} rows, and the file has {rows}: it is one page of several")
        });
        fields.into_iter().chain(next.or(total)).collect()
    }
}

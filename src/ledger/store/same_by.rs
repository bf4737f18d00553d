//! Rows whose video was sent by the other rule of `--same-by`: it is the same video all the same.

use super::Store;
use crate::{
    domain::{ItemKey, ManifestRow, Problem, UnixMillis},
    ledger::{LedgerError, Snapshot, values::submission_of},
};

/// Set when the ledger takes the first item whose key is an id of the user.
const HAS_ITEMS_BY_ID: &str = "items_by_id";

impl Snapshot {
    /// Whether items of this ledger have ids of the user as keys.
    pub(super) fn has_items_by_id(&self) -> Result<bool, LedgerError> {
        Ok(self.kv_get(HAS_ITEMS_BY_ID)?.is_some())
    }

    /// What is wrong with a row whose video was sent by the other rule. `None`: it was not.
    pub(super) fn sent_by_other_rule(
        &self,
        row: &ManifestRow,
        has_items_by_id: bool,
    ) -> Result<Option<Problem>, LedgerError> {
        let submission = &row.submission;
        let (own, by_url) = (submission.key(), submission.url_key());
        let (other, rule) = match (&submission.item_id, &row.external_id) {
            (Some(_), _) => (by_url, "url"),
            (None, Some(id)) if has_items_by_id => (ItemKey::of(&submission.namespace, Some(id), ""), "id"),
            (None, _) => return Ok(None),
        };
        let sql = "SELECT submission FROM item WHERE key = ?1 AND attempt IS NOT NULL";
        let Some(sent) = self.find::<String>(sql, [other.0])? else { return Ok(None) };
        // another video may have the same id
        let is_same = submission_of(&sent)?.url_key() == by_url;
        let is_known = self.find::<i64>("SELECT 1 FROM item WHERE key = ?1", [own.0])?.is_some();
        Ok((is_same && !is_known).then(|| Problem {
            column: String::new(),
            column_number: 0,
            value: submission.url.to_string(),
            class: "same_by_changed".to_owned(),
            message: format!("the video of this row was sent already, with --same-by {rule}"),
            fix: format!("give the rule that it was sent with: --same-by {rule}"),
        }))
    }
}

impl Store {
    /// Notes that an item with an id of the user as its key was added.
    pub(super) fn note_item_by_id(&self, at: UnixMillis) -> Result<(), LedgerError> {
        self.kv_set(HAS_ITEMS_BY_ID, Some("true"), at)
    }
}

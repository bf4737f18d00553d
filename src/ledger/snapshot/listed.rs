//! Items as a list, chosen by state, time, reason and run, and the reasons counted.

use std::collections::BTreeMap;

use super::Snapshot;
use crate::{
    domain::{State, UnixMillis, has_reason, reason_of},
    ledger::{
        ItemId, LedgerError, RunId,
        sql::SqlRow,
        values::{state_of, unsigned},
    },
};

/// Reasons that are distinguished at most; what comes after them counts as one.
const REASONS_MAX: usize = 200;
/// The reason of rows without a cause.
const NO_REASON: &str = "no reason was given";

/// Which items to list.
#[derive(Clone, Debug, Default)]
pub struct ListFilter {
    /// Empty: every state.
    pub states: Vec<State>,
    /// Only items that changed at this time or later.
    pub since: Option<UnixMillis>,
    /// Only items whose reason contains this text.
    pub reason: Option<String>,
    /// Only items that this run read or sent.
    pub run: Option<RunId>,
}

/// One item of a list.
#[derive(Clone, Debug)]
pub struct ListedItem {
    pub item: ItemId,
    pub state: State,
    /// The manifest and the line in which its row was last read.
    pub manifest: String,
    pub line: u64,
    pub external_id: Option<String>,
    /// The complete address.
    pub url: String,
    pub namespace: String,
    pub video_no: Option<String>,
    pub sent_at: Option<UnixMillis>,
    /// When it last changed.
    pub changed_at: UnixMillis,
    pub cause: Option<String>,
}

/// How many items of one state have one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReasonCount {
    pub state: State,
    /// The cause without what differs from row to row.
    pub reason: String,
    pub count: u64,
}

impl Snapshot {
    /// Calls `show` with every item that the filter chooses, until it returns `false`.
    pub fn each_listed_item<E: From<LedgerError>>(
        &self,
        filter: &ListFilter,
        mut show: impl FnMut(ListedItem) -> Result<bool, E>,
    ) -> Result<(), E> {
        let sent = filter.run.map(|run| self.attempts_of_run(run)).transpose()?;
        let (first, last) = sent.flatten().unwrap_or((0, -1));
        let mut statement = self.connection.prepare(&sql_of(filter))?;
        let values = (filter.since.map(|since| since.0), filter.run.map(|run| run.0), first, last);
        let mut rows = statement.stream(values)?;
        while let Some(row) = rows.next()? {
            let item = listed_item(&row)?;
            let is_wanted = filter
                .reason
                .as_ref()
                .is_none_or(|text| has_reason(item.cause.as_deref().unwrap_or(NO_REASON), text));
            if is_wanted && !show(item)? {
                break;
            }
        }
        Ok(())
    }

    /// The reasons of the items in these states that a run read, or of all, each with its count, the most frequent first.
    pub fn reasons(&self, run: Option<RunId>, states: &[State]) -> Result<Vec<ReasonCount>, LedgerError> {
        let sql = format!(
            "SELECT item.state, item.cause, count(*) FROM item LEFT JOIN last_seen ON last_seen.item = item.id \
             WHERE item.state IN ({}) AND (CAST(?1 AS BIGINT) IS NULL OR last_seen.run = ?1) GROUP BY item.state, item.cause",
            names(states)
        );
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.stream([run.map(|run| run.0)])?;
        let mut counts: BTreeMap<(State, String), u64> = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let state = state_of(&row.get::<_, String>(0)?)?;
            let cause: Option<String> = row.get(1)?;
            let reason = reason_of(cause.as_deref().unwrap_or(NO_REASON));
            let is_known = counts.contains_key(&(state, reason.clone()));
            let reason = if is_known || counts.len() < REASONS_MAX { reason } else { String::new() };
            let count = unsigned(&row, 2)?;
            *counts.entry((state, reason)).or_default() += count;
        }
        let mut reasons: Vec<ReasonCount> =
            counts.into_iter().map(|((state, reason), count)| ReasonCount { state, reason, count }).collect();
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.count));
        Ok(reasons)
    }
}

fn names(states: &[State]) -> String {
    let names: Vec<String> = states.iter().map(|state| format!("'{state}'")).collect();
    names.join(", ")
}

/// A list by state goes by the index of the states, in its order: nothing is sorted, so that the list is streamed.
pub(in crate::ledger) fn sql_of(filter: &ListFilter) -> String {
    let (of_state, order) = if filter.states.is_empty() {
        ("TRUE".to_owned(), "item.id")
    } else {
        (format!("item.state IN ({})", names(&filter.states)), "item.state, item.manifest, item.id")
    };
    let changed_at = "coalesce((SELECT event.at FROM event WHERE event.item = item.id ORDER BY event.id DESC LIMIT 1), \
                      item.admitted_at)";
    format!(
        "SELECT item.id, item.state, item.external_id, item.namespace, item.cause, \
         item.submission ->> '$.url' AS url, coalesce(seen.identity, own.identity) AS seen_in, \
         coalesce(last_seen.line, item.line) AS seen_line, attempt.video_no, attempt.sent_at, \
         {changed_at} AS changed_at \
         FROM item LEFT JOIN manifest own ON own.id = item.manifest LEFT JOIN attempt ON attempt.id = item.attempt \
         LEFT JOIN last_seen ON last_seen.item = item.id LEFT JOIN manifest seen ON seen.id = last_seen.manifest \
         WHERE {of_state} AND (CAST(?1 AS BIGINT) IS NULL OR {changed_at} >= ?1) AND (CAST(?2 AS BIGINT) IS NULL OR last_seen.run = ?2 \
         OR EXISTS (SELECT 1 FROM attempt sent WHERE sent.item = item.id AND sent.id BETWEEN ?3 AND ?4)) \
         ORDER BY {order}"
    )
}

fn listed_item(row: &SqlRow<'_>) -> Result<ListedItem, LedgerError> {
    Ok(ListedItem {
        item: ItemId(row.get("id")?),
        state: state_of(&row.get::<_, String>("state")?)?,
        manifest: row.get("seen_in")?,
        line: unsigned(row, "seen_line")?,
        external_id: row.get("external_id")?,
        url: row.get("url")?,
        namespace: row.get("namespace")?,
        video_no: row.get("video_no")?,
        sent_at: row.get("sent_at")?,
        changed_at: row.get("changed_at")?,
        cause: row.get("cause")?,
    })
}

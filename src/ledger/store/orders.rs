//! Orders: idempotent. Each is carried out once, in the transaction that records its result.

use super::Store;
use crate::{
    domain::UnixMillis,
    ledger::{
        LedgerError, Order, OrderResult, ReviewDecision, Snapshot,
        sql::SqlRow,
        values::{from_json, impossible, to_json},
    },
};

impl Snapshot {
    /// Whether another process has handed over orders.
    pub fn has_handed_orders(&self) -> Result<bool, LedgerError> {
        let sql = "SELECT 1 FROM handed_order WHERE result IS NULL LIMIT 1";
        Ok(self.find::<i64>(sql, [])?.is_some())
    }
}

impl Store {
    /// Carries out an order.
    pub fn carry_out(&self, order: &Order, at: UnixMillis) -> Result<OrderResult, LedgerError> {
        match order {
            Order::Merge { name, object } => self.merge(name, object, at)?,
            Order::Forget { name } => self.kv_set(name, None, at)?,
            Order::Count { usage } => self.record_external_usage(usage)?,
            Order::Acknowledge { given } => {
                return Ok(OrderResult::Acknowledged { rows: self.acknowledge(given, at)? });
            }
            Order::Answer { items, decision } => {
                // the ledger's time, which no clock of another process is before
                let decision = ReviewDecision { at, ..decision.clone() };
                let answer = |item| Ok((item, self.answer(item, &decision)?));
                let outcomes = items.iter().copied().map(answer).collect::<Result<_, LedgerError>>()?;
                return Ok(OrderResult::Answered { outcomes });
            }
        }
        Ok(OrderResult::Done)
    }

    /// Carries out the orders that other processes have handed over, and records their results.
    pub fn carry_out_handed(&self, at: UnixMillis) -> Result<Vec<(Order, OrderResult)>, LedgerError> {
        let mut statement = self
            .connection
            .prepare("SELECT id, content FROM handed_order WHERE result IS NULL ORDER BY id")?;
        let read = |row: &SqlRow<'_>| Ok((row.get(0)?, row.get(1)?));
        let handed: Vec<(i64, String)> = statement.query_all([], read)?;
        let mut carried_out = Vec::with_capacity(handed.len());
        for (id, content) in handed {
            let order: Result<Order, _> = serde_json::from_str(&content);
            let order = match order {
                Ok(order) => order,
                Err(error) => {
                    self.record_result(id, &OrderResult::Refused { cause: error.to_string() })?;
                    continue;
                }
            };
            let undo = self.begin_job()?;
            let result = match self.carry_out(&order, at) {
                Ok(result) => {
                    self.keep_job(undo)?;
                    result
                }
                // a fault of the order, not of the ledger: nothing of it has happened
                Err(error @ (LedgerError::Illegal(_) | LedgerError::Impossible { .. })) => {
                    self.undo_job(undo)?;
                    OrderResult::Refused { cause: error.to_string() }
                }
                Err(error) => return Err(error),
            };
            self.record_result(id, &result)?;
            carried_out.push((order, result));
        }
        Ok(carried_out)
    }

    fn record_result(&self, id: i64, result: &OrderResult) -> Result<(), LedgerError> {
        self.change_one("UPDATE handed_order SET result = ?2 WHERE id = ?1", (id, to_json(result)?))
    }

    /// Merges a JSON object into the one stored under a name.
    fn merge(&self, name: &str, object: &str, at: UnixMillis) -> Result<(), LedgerError> {
        type Object = serde_json::Map<String, serde_json::Value>;
        let stored = self.kv_get(name)?.unwrap_or_else(|| "{}".to_owned());
        // a value that cannot be read is not replaced: that is left to the command that deletes it
        let mut merged: Object = serde_json::from_str(&stored)
            .map_err(|error| impossible(format!("the stored {name}: they are not JSON: {error}")))?;
        merged.extend(from_json::<Object>(object)?);
        merged.retain(|_, value| !value.is_null());
        self.kv_set(name, Some(&to_json(&merged)?), at)
    }
}

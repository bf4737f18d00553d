//! Why a run sends nothing although the limits allow it: kept in the ledger for whoever looks at the run from outside.

use serde::{Deserialize, Serialize};

use super::context::Context;
use crate::{
    domain::UnixMillis,
    ledger::{LedgerError, RunId, Snapshot},
};

/// The name under which the ledger keeps it.
const NAME: &str = "hold";

/// What a run waits for before it sends.
#[derive(Serialize, Deserialize)]
struct Hold {
    /// The number of the run.
    run: String,
    until_ms: i64,
    why: String,
}

impl<T> Context<T> {
    /// Records that a run sends nothing until then, and why; or that it goes on.
    pub(super) async fn hold_uploads(
        &self,
        run: RunId,
        hold: Option<(UnixMillis, &str)>,
    ) -> Result<(), LedgerError> {
        self.signals.set_held(hold.is_some());
        let hold =
            hold.map(|(until, why)| Hold { run: run.to_string(), until_ms: until.0, why: why.to_owned() });
        // it has no value that JSON cannot hold
        let text = hold.and_then(|hold| serde_json::to_string(&hold).ok());
        let at = self.clock.now();
        self.ledger.write(move |store| store.kv_set(NAME, text.as_deref(), at)).await
    }
}

/// Until when and why a run sends nothing, beside its limits. `None`: nothing holds it.
pub fn hold_of(snapshot: &Snapshot, run: RunId) -> Result<Option<(UnixMillis, String)>, LedgerError> {
    let text = snapshot.kv_get(NAME)?;
    let hold = text.and_then(|text| serde_json::from_str::<Hold>(&text).ok());
    let own = hold.filter(|hold| hold.run == run.to_string());
    Ok(own.map(|hold| (UnixMillis(hold.until_ms), hold.why)))
}

//! Orders: changes of the ledger that a command makes itself, or hands to the process that uses the ledger.
//!
//! A running import looks for handed orders every second. An order that it does not carry out, because it was killed, is
//! carried out by the next process that opens the ledger.

use std::time::Duration;

use super::{RequestedLimits, StoredLimits, limits};
use crate::{
    clock::Clock,
    domain::{counted, shown_name},
    error::Error,
    events::Event,
    ledger::{
        Ledger, LedgerError, LedgerPlace, Order, OrderResult, ReviewOutcome, RunId, Snapshot, hand_over,
    },
    pipeline::{self, Context, LEARNED_LIMITS},
};

/// How often a run looks for orders.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long a command waits for the process that uses the ledger.
const RESULT_WAIT: Duration = Duration::from_secs(15);
/// How often it looks for the result meanwhile.
const RESULT_INTERVAL: Duration = Duration::from_millis(100);

/// An order that was given.
#[derive(Debug)]
pub struct GivenOrder {
    /// `None`: it has not been carried out yet.
    pub result: Option<OrderResult>,
    /// The process that uses the ledger, to which it was handed. `None`: it was carried out here.
    pub holder: Option<String>,
}

impl GivenOrder {
    /// Who carries the order out, as a sentence. `None`: this process did.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        let holder = self.holder.as_ref()?;
        Some(if self.result.is_some() {
            format!("carried out by the running telecine ({holder})")
        } else {
            format!(
                "handed to the running telecine ({holder}), which has not carried it out yet; it does so later, or the next \
                 telecine that uses the ledger does: do not run the same command again"
            )
        })
    }
}

/// Carries an order out, or hands it to the process that uses the ledger and waits for the result for some seconds.
pub async fn give(path: &LedgerPlace, order: Order) -> Result<GivenOrder, Error> {
    let clock = Clock::real();
    let holder = match Ledger::open_offline(path, clock.now()) {
        Ok(ledger) => {
            let at = clock.now().max(ledger.read(Snapshot::latest_timestamp).await?);
            let result = ledger.write(move |store| store.carry_out(&order, at)).await;
            ledger.close().await;
            return given(Some(result?), None);
        }
        Err(LedgerError::Locked { holder, .. }) => holder,
        Err(error) => return Err(error.into()),
    };
    let id = hand_over(path, &order, clock.now())?;
    let until = clock.now().plus(RESULT_WAIT);
    loop {
        let result = Snapshot::open(path)?.order_result(id)?;
        if result.is_some() || clock.now() >= until {
            return given(result, Some(holder));
        }
        match Ledger::open_offline(path, clock.now()) {
            // the other process has ended, and opening the ledger carries the order out
            Ok(ledger) => ledger.close().await,
            Err(LedgerError::Locked { .. }) => clock.sleep(RESULT_INTERVAL).await,
            Err(error) => return Err(error.into()),
        }
    }
}

fn given(result: Option<OrderResult>, holder: Option<String>) -> Result<GivenOrder, Error> {
    match result {
        Some(OrderResult::Refused { cause }) => Err(Error::Usage(format!("nothing was changed: {cause}"))),
        Some(OrderResult::Done | OrderResult::Answered { .. } | OrderResult::Acknowledged { .. }) | None => {
            Ok(GivenOrder { result, holder })
        }
    }
}

/// Carries out the orders that other processes hand over, until the run ends. `limits` are those that the run asks for.
pub(super) async fn watch<T>(context: Context<T>, run: RunId, of_run: RequestedLimits) {
    let mut limits = of_run.clone();
    loop {
        tokio::select! {
            biased;
            () = context.signals.leave.cancelled() => return,
            () = context.clock.sleep(LOOK_INTERVAL) => {}
        }
        if let Err(error) = look(&context, run, &of_run, &mut limits).await {
            // the stages meet the same error, and the run ends with it
            tracing::warn!(%error, "orders of other commands cannot be carried out");
            return;
        }
    }
}

/// `of_run` are the limits of its command line, and `limits` those with the orders of before.
async fn look<T>(
    context: &Context<T>,
    run: RunId,
    of_run: &RequestedLimits,
    limits: &mut RequestedLimits,
) -> Result<(), Error> {
    if !context.ledger.read(Snapshot::has_handed_orders).await? {
        return Ok(());
    }
    let now = context.clock.now();
    let carried_out = context.ledger.write(move |store| store.carry_out_handed(now)).await?;
    for (order, _) in &carried_out {
        match order {
            // an order during the run is newer than its command line
            Order::Merge { object, .. } => limits.set(&StoredLimits::from_text(Some(object))?)?,
            Order::Forget { name } if name == LEARNED_LIMITS => {
                pipeline::forget_learned_limits(context).await?;
            }
            Order::Forget { .. } => *limits = of_run.clone(),
            Order::Count { .. } | Order::Answer { .. } | Order::Acknowledge { .. } => {}
        }
    }
    pipeline::change_limits(context, limits.resolve(&context.ledger).await?).await?;
    let in_force = context.limiter.limits();
    let now_kept = in_force.upload_text();
    context.ledger.write(move |store| limits::publish(store, run, &in_force, now)).await?;
    for (order, result) in &carried_out {
        let text = format!("another command: {}", text_of(order, result, &now_kept));
        context.events.emit(context.clock.now(), &Event::Message { text });
    }
    Ok(())
}

/// What an order changed, as a sentence.
fn text_of(order: &Order, result: &OrderResult, limits: &str) -> String {
    match (order, result) {
        (_, OrderResult::Refused { cause }) => format!("nothing was changed ({cause})"),
        (Order::Merge { .. }, _) => format!("this run keeps {limits} from now on"),
        (Order::Forget { name }, _) if name == LEARNED_LIMITS => {
            "the learned limits and the measured network delay are forgotten".to_owned()
        }
        (Order::Forget { .. }, _) => {
            format!("the limits of quota set are forgotten; this run keeps {limits} from now on")
        }
        (Order::Count { usage }, _) => {
            let requests = counted(usage.count.into(), "request", "requests");
            format!("{requests} ({}) of another tool: counted from now on", usage.endpoint)
        }
        (Order::Answer { decision, .. }, OrderResult::Answered { outcomes }) => {
            let done = outcomes.iter().filter(|(_, outcome)| *outcome == ReviewOutcome::Done);
            let items: Vec<String> = done.map(|(item, _)| item.to_string()).collect();
            if items.is_empty() {
                return "an answer that changed nothing".to_owned();
            }
            let noun = if items.len() == 1 { "item" } else { "items" };
            format!("{} for {noun} {}", shown_name(decision.answer.event().as_str()), items.join(", "))
        }
        (_, OrderResult::Acknowledged { rows }) => {
            counted(*rows, "bad row is acknowledged", "bad rows are acknowledged")
        }
        (Order::Acknowledge { .. }, _) => "an acknowledgement".to_owned(),
        (Order::Answer { .. }, OrderResult::Done) => "an answer".to_owned(),
    }
}

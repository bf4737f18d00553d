//! What a run emitted.

use std::sync::{Arc, Mutex};

use telecine::{
    domain::UnixMillis,
    events::{Event, EventSink},
};

/// Keeps every event, as JSON.
#[derive(Clone, Default)]
pub struct EventCollector(Arc<Mutex<Vec<serde_json::Value>>>);

impl EventSink for EventCollector {
    fn on_event(&self, _: UnixMillis, event: &Event) {
        self.0.lock().unwrap().push(serde_json::to_value(event).unwrap());
    }
}

impl EventCollector {
    pub fn count(&self, kind: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|event| event["event"] == kind).count()
    }

    pub fn all(&self, kind: &str) -> Vec<serde_json::Value> {
        self.0.lock().unwrap().iter().filter(|event| event["event"] == kind).cloned().collect()
    }
}

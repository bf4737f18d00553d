//! A sink that never keeps a run waiting: what it shows is written by a thread of its own.

use std::time::Duration;

use crate::{
    blocking::Outbox,
    domain::{UnixMillis, counted},
    events::{Event, EventSink},
};

/// Events that wait to be shown at most: some MiB.
const EVENTS_WAITING_MAX: usize = 32_768;

/// Passes events to another sink by way of a queue.
pub(super) struct QueuedSink {
    outbox: Outbox<Call>,
    finish_max: Option<Duration>,
}

/// What a sink is called with.
enum Call {
    Event(UnixMillis, Event),
    Close,
}

impl QueuedSink {
    /// At the end of a command, waits at most `finish_max` for the reader of the output. `None`: as long as it takes.
    pub(super) fn new(sink: impl EventSink + 'static, finish_max: Option<Duration>) -> Self {
        let outbox = Outbox::new(EVENTS_WAITING_MAX, move |dropped, call| match call {
            Call::Event(at, event) => {
                if dropped > 0 {
                    let missing = counted(dropped, "message is", "messages are");
                    let text = format!("{missing} missing here: this output is not read fast enough");
                    sink.on_event(at, &Event::Message { text });
                }
                sink.on_event(at, &event);
            }
            Call::Close => sink.close(),
        });
        Self { outbox, finish_max }
    }
}

impl EventSink for QueuedSink {
    fn on_event(&self, at: UnixMillis, event: &Event) {
        self.outbox.put(Call::Event(at, event.clone()));
    }

    fn close(&self) {
        self.outbox.put(Call::Close);
    }

    fn finish(&self) {
        self.outbox.finish(self.finish_max);
    }
}

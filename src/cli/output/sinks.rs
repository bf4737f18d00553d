//! The sinks of events for the flags of a command: text, JSON or nothing, for one account or several.

use std::{
    io::{self, Write as _},
    sync::{Arc, Mutex, PoisonError, mpsc},
};

use indicatif::MultiProgress;

use super::{
    super::args::OutputArgs,
    progress::{DRAWN_EVERY, STDERR_FINISH_MAX, TerminalSink, live_target},
    queued::QueuedSink,
    service_manager::ServiceManagerSink,
};
use crate::{
    domain::UnixMillis,
    events::{Event, EventBus, EventSink},
    report::SCHEMA,
};

/// The sinks for these flags.
pub(in crate::cli) fn events(output: &OutputArgs) -> EventBus {
    bus(sinks_for(output.json, output.quiet, 1), ServiceManagerSink::of_environment(None))
}

/// The display of several accounts whose imports run in one process. Cheap to clone.
#[derive(Clone)]
pub(in crate::cli) struct AccountsDisplay {
    output: OutputArgs,
    /// One live line for each account.
    lines: MultiProgress,
}

impl AccountsDisplay {
    pub(in crate::cli) fn new(output: &OutputArgs) -> Self {
        Self { output: output.clone(), lines: MultiProgress::with_draw_target(live_target()) }
    }

    /// The sinks for what is of the whole command. They show no progress.
    pub(in crate::cli) fn events(&self) -> EventBus {
        self.bus(None)
    }

    /// The sinks for one account: every line of text and every object names it.
    pub(in crate::cli) fn events_of(&self, account: &str) -> EventBus {
        self.bus(Some(account))
    }

    fn bus(&self, account: Option<&str>) -> EventBus {
        let sinks: Vec<Box<dyn EventSink>> = if self.output.json {
            vec![Box::new(QueuedSink::new(JsonLines { account: account.map(str::to_owned) }, None))]
        } else if self.output.quiet {
            Vec::new()
        } else {
            let text = TimedLines::new(TerminalSink::of_several(account, &self.lines));
            vec![Box::new(QueuedSink::new(text, Some(STDERR_FINISH_MAX)))]
        };
        bus(sinks, ServiceManagerSink::of_environment(account))
    }
}

fn bus(mut sinks: Vec<Box<dyn EventSink>>, manager: Option<ServiceManagerSink>) -> EventBus {
    if let Some(sink) = manager {
        sinks.push(Box::new(QueuedSink::new(sink, Some(STDERR_FINISH_MAX))));
    }
    EventBus::new(sinks)
}

/// JSON lines, text, or nothing; for a clock that runs `speed` times as fast as real time.
pub(in crate::cli) fn sinks_for(json: bool, quiet: bool, speed: u32) -> Vec<Box<dyn EventSink>> {
    if json {
        // the last object of the command comes behind all events
        vec![Box::new(QueuedSink::new(JsonLines { account: None }, None))]
    } else if quiet {
        Vec::new()
    } else {
        vec![Box::new(QueuedSink::new(TimedLines::new(TerminalSink::new(speed)), Some(STDERR_FINISH_MAX)))]
    }
}

/// Prints every event as one line of JSON on stdout.
struct JsonLines {
    account: Option<String>,
}

/// An event as a line of JSON.
#[derive(serde::Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct JsonLine<'a> {
    /// The version of this contract.
    schema: u32,
    /// When it happened.
    #[schemars(extend("format" = "date-time"))]
    at: String,
    /// The account, where one command imports for several.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    #[serde(flatten)]
    #[schemars(skip)]
    event: &'a Event,
}

impl EventSink for JsonLines {
    fn on_event(&self, at: UnixMillis, event: &Event) {
        let account = self.account.as_deref();
        let line = JsonLine { schema: SCHEMA, at: at.to_string(), account, event };
        if let Ok(line) = serde_json::to_string(&line) {
            // a reader that went away must not stop the import
            let _ = writeln!(io::stdout().lock(), "{line}");
        }
    }
}

/// Progress is also due while no event comes: a run that waits for its limits or for indexing is silent for hours.
struct TimedLines {
    sink: Arc<TerminalSink>,
    /// Its drop ends the thread that looks at the time.
    open: Mutex<Option<mpsc::Sender<()>>>,
}

impl TimedLines {
    fn new(sink: TerminalSink) -> Self {
        let sink = Arc::new(sink);
        let (open, ended) = mpsc::channel();
        let shown = Arc::clone(&sink);
        // the live line has a timer of its own
        if !sink.has_live_line() {
            std::thread::spawn(move || {
                while ended.recv_timeout(DRAWN_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                    shown.show_progress_meanwhile();
                }
            });
        }
        Self { sink, open: Mutex::new(Some(open)) }
    }
}

impl EventSink for TimedLines {
    fn on_event(&self, at: UnixMillis, event: &Event) {
        self.sink.on_event(at, event);
    }

    fn close(&self) {
        drop(self.open.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.sink.close();
    }
}

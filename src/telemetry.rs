//! Logs: the only place that knows tracing-subscriber. They go to stderr, as text or JSON.

use std::{io, sync::Arc};

use tracing_subscriber::{
    EnvFilter,
    fmt::{self, format::Writer, time::FormatTime},
    prelude::*,
};

use crate::{blocking::Outbox, clock::Clock};

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Takes each line of the log. Whoever logs does not wait until it is written.
pub struct LogLines(pub Arc<Outbox<Vec<u8>>>);

impl io::Write for LogLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.put(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The time of a line, in whole seconds as in every other line.
struct WholeSeconds(Clock);

impl FormatTime for WholeSeconds {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        write!(writer, "{}", self.0.now())
    }
}

/// Starts logging into `lines`. `filter` is in the language of `RUST_LOG`, such as `telecine=debug`.
///
/// Only telecine's own code logs by default: libraries might show what we would redact.
pub fn start(filter: &str, format: LogFormat, lines: &Arc<Outbox<Vec<u8>>>) {
    let lines = Arc::clone(lines);
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("telecine=warn"));
    let registry = tracing_subscriber::registry().with(filter);
    let layer = fmt::layer()
        .with_timer(WholeSeconds(Clock::real()))
        .with_writer(move || LogLines(Arc::clone(&lines)))
        .with_ansi(false)
        .with_target(false);
    // a second start is refused; the first one stands
    let _ = match format {
        LogFormat::Text => registry.with(layer).try_init(),
        LogFormat::Json => registry.with(layer.json()).try_init(),
    };
}

//! Runs blocking work, such as reading a file, on a thread beside the async runtime.
//!
//! A single-threaded runtime, as simulations use, runs the work in place. No thread then races another, so the same
//! seed gives the same run.

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::JoinHandle,
};

/// Begins the work; the handle brings its result.
pub fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        tokio::spawn(async move { work() })
    } else {
        tokio::task::spawn_blocking(work)
    }
}

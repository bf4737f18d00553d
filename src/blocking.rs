//! Runs blocking work, such as reading a file, on a thread beside the async runtime.
//!
//! On a runtime with one thread, as in simulations, it runs in place: no other work could run at the same time, and without
//! races between threads the same seed gives the same run.

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::JoinHandle,
};

/// Starts the work; the handle returns its result.
pub fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        tokio::spawn(async move { work() })
    } else {
        tokio::task::spawn_blocking(work)
    }
}

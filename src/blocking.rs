//! Work that blocks, such as reading a file or waiting for a disk: on a thread beside the runtime.
//!
//! On a runtime of one thread, as simulations use, it is done in place: nobody could do anything else meanwhile, and the
//! same seed tells the same story, since no thread races another.

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

//! Runs blocking work beside the async runtime: reading a file, or writing to a pipe.

use std::{
    collections::VecDeque,
    io::{self, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    time::Duration,
};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::JoinHandle,
};

/// How often to look whether a process has ended.
const WAIT_STEP: Duration = Duration::from_millis(10);

/// How long to wait for the error text of a command that has failed.
const LAST_WORDS_MAX: Duration = Duration::from_secs(1);
/// A shorter word of an output is no secret.
const SECRET_LENGTH_MIN: usize = 8;

/// Starts the work on a thread beside the runtime; the handle returns its result.
///
/// On a runtime with one thread, as in simulations, it runs in place: no other work could run at the same time, and without
/// races between threads the same seed gives the same run.
pub fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        tokio::spawn(async move { work() })
    } else {
        tokio::task::spawn_blocking(work)
    }
}

/// Waits for the end of a process. `None`: the time is over.
pub fn wait_for_process(child: &mut Child, time_max: Duration) -> io::Result<Option<ExitStatus>> {
    for _ in 0..=time_max.as_millis() / WAIT_STEP.as_millis() {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::park_timeout(WAIT_STEP);
    }
    Ok(None)
}

/// What a command prints that runs with sh. The error says what became of it, with the last line of its standard error;
/// what it printed, such as a key, is in no error.
pub fn output_of(command: &str, time_max: Duration) -> Result<Vec<u8>, String> {
    let error = |cause: io::Error| format!("cannot be run: {cause}");
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(error)?;
    let (stdout, stderr) = (read_whole(child.stdout.take()), read_whole(child.stderr.take()));
    let printed = stdout.recv_timeout(time_max).ok();
    // it may close its output and go on
    let status =
        if printed.is_some() { wait_for_process(&mut child, time_max).map_err(error)? } else { None };
    let (Some(stdout), Some(status)) = (printed, status) else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(format!("did not end within {} s", time_max.as_secs()));
    };
    if status.success() {
        return Ok(stdout);
    }
    // an agent that it started may keep the pipe open
    let said = stderr.recv_timeout(LAST_WORDS_MAX).unwrap_or_default();
    let said = without_words_of(&String::from_utf8_lossy(&said), &String::from_utf8_lossy(&stdout));
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it printed no error");
    Err(format!("failed ({status}): {}", crate::redact::opaque(last)))
}

/// An error text without what the command printed: it may repeat the key.
fn without_words_of(said: &str, printed: &str) -> String {
    let is_edge = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ':' | '{' | '}');
    let words = printed.split(is_edge).filter(|word| word.len() >= SECRET_LENGTH_MIN);
    let whole = Some(printed.trim()).filter(|whole| !whole.is_empty());
    whole.into_iter().chain(words).fold(said.to_owned(), |said, word| said.replace(word, "***"))
}

/// Everything that a process prints, up to its end.
fn read_whole(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // what was read before an error is enough
            let _ = pipe.read_to_end(&mut bytes);
        }
        // who waited may no longer need it
        let _ = tell.send(bytes);
    });
    told
}

/// Work that may stall, such as writing to a pipe that nobody reads: a thread of its own does it, one value after the other.
/// Whoever hands over a value never waits. What does not fit into the queue is dropped and counted.
pub struct Outbox<T> {
    shared: Arc<SharedQueue<T>>,
    values_max: usize,
}

struct SharedQueue<T> {
    queue: Mutex<Queue<T>>,
    changed: Condvar,
}

struct Queue<T> {
    /// Each with the number of values that were dropped before it.
    waiting: VecDeque<(u64, T)>,
    dropped: u64,
    is_working: bool,
    /// No more values will come, or no thread could be started.
    is_closed: bool,
}

impl<T> SharedQueue<T> {
    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next value. `None`: there will be none.
    fn next(&self) -> Option<(u64, T)> {
        let mut queue = self.lock();
        queue.is_working = false;
        self.changed.notify_all();
        loop {
            if let Some(next) = queue.waiting.pop_front() {
                queue.is_working = true;
                return Some(next);
            }
            if queue.is_closed {
                return None;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T: Send + 'static> Outbox<T> {
    /// Starts a thread that does the work: with the number of values that were dropped before a value, and the value.
    pub fn new(values_max: usize, mut work: impl FnMut(u64, T) + Send + 'static) -> Self {
        let queue = Queue { waiting: VecDeque::new(), dropped: 0, is_working: false, is_closed: false };
        let shared = Arc::new(SharedQueue { queue: Mutex::new(queue), changed: Condvar::new() });
        let own = Arc::clone(&shared);
        let started = std::thread::Builder::new().spawn(move || {
            while let Some((dropped, value)) = own.next() {
                work(dropped, value);
            }
        });
        shared.lock().is_closed = started.is_err();
        Self { shared, values_max }
    }

    /// Hands over a value. Never waits for the work.
    pub fn put(&self, value: T) {
        let mut queue = self.shared.lock();
        if queue.is_closed || queue.waiting.len() >= self.values_max {
            queue.dropped += 1;
            return;
        }
        let dropped = std::mem::take(&mut queue.dropped);
        queue.waiting.push_back((dropped, value));
        self.shared.changed.notify_all();
    }

    /// Waits until the work on every value so far is done, at most this long. `None`: without a bound.
    pub fn finish(&self, time_max: Option<Duration>) {
        let is_busy = |queue: &mut Queue<T>| !queue.waiting.is_empty() || queue.is_working;
        let queue = self.shared.lock();
        // the result says only whether it was done in time
        match time_max {
            Some(time_max) => drop(self.shared.changed.wait_timeout_while(queue, time_max, is_busy)),
            None => drop(self.shared.changed.wait_while(queue, is_busy)),
        }
    }
}

impl<T> Drop for Outbox<T> {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn whoever_hands_over_a_value_does_not_wait_for_work_that_stalls() {
        let (release, stalled) = mpsc::channel::<()>();
        let done = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&done);
        let outbox = Outbox::new(2, move |dropped, value| {
            let _ = stalled.recv();
            seen.lock().unwrap().push((dropped, value));
        });
        outbox.put(0);
        // taken from the queue before the next ones come
        while !outbox.shared.lock().is_working {
            std::thread::yield_now();
        }
        for value in 1..=5 {
            outbox.put(value);
        }
        outbox.finish(Some(Duration::ZERO));
        assert!(done.lock().unwrap().is_empty());
        for _ in 0..3 {
            release.send(()).unwrap();
        }
        outbox.finish(None);
        outbox.put(6);
        drop(release);
        outbox.finish(None);
        assert_eq!(*done.lock().unwrap(), [(0, 0), (0, 1), (0, 2), (3, 6)]);
    }
}

//! Tells others how a run went: a command, a ping URL and a webhook. A failure is a warning: it changes nothing about the run,
//! and the run waits for it some seconds at most.

use std::{
    io::Write as _,
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    time::Duration,
};

use url::Url;

use crate::{
    blocking::{self, wait_for_process},
    error::ExitCode,
    http_client::Poster,
    settings::credentials::KEY_VARIABLE,
};

/// How long a receiver may take.
const TIME_MAX: Duration = Duration::from_secs(5);

/// Who is notified of a run.
#[derive(Clone, Debug, Default)]
pub struct Notification {
    /// Run with `sh` at the end; the result is its standard input.
    pub on_end: Option<String>,
    /// Requested with `/start` at the start, and with `/EXIT_CODE` at the end, as healthchecks.io expects it.
    pub ping: Option<Url>,
    /// Receives the result as a POST of JSON.
    pub webhook: Option<Url>,
}

/// How a run ended, for those who are notified.
pub struct RunResult<'a> {
    /// The exit code of the process.
    pub code: ExitCode,
    /// The last object of the JSON output.
    pub json: &'a str,
    /// The same for people, short.
    pub text: &'a str,
}

impl Notification {
    /// Tells that a run begins. Returns warnings.
    pub async fn begin(&self) -> Vec<String> {
        let Some(ping) = &self.ping else { return Vec::new() };
        warning("--ping", post(&below(ping, "start"), "text/plain", String::new()).await)
    }

    /// Tells how the run ended, everybody at the same time. Returns warnings.
    pub async fn end(&self, result: &RunResult<'_>) -> Vec<String> {
        let command = async {
            let Some(command) = self.on_end.clone() else { return Vec::new() };
            let input = format!("{}\n", result.json);
            let ended = blocking::run(move || run_command(&command, input, TIME_MAX)).await;
            warning("--on-end", ended.unwrap_or_else(|error| Err(error.to_string())))
        };
        let ping = async {
            let Some(ping) = &self.ping else { return Vec::new() };
            let address = below(ping, &result.code.number().to_string());
            warning("--ping", post(&address, "text/plain; charset=utf-8", result.text.to_owned()).await)
        };
        let webhook = async {
            let Some(webhook) = &self.webhook else { return Vec::new() };
            warning("--webhook", post(webhook, "application/json", result.json.to_owned()).await)
        };
        let (command, ping, webhook) = tokio::join!(command, ping, webhook);
        [command, ping, webhook].concat()
    }
}

fn warning(flag: &str, done: Result<(), String>) -> Vec<String> {
    let text = |cause| format!("{flag}: {cause}; the run is not affected");
    done.err().map(text).into_iter().collect()
}

/// `https://host/ID` with `start` as `https://host/ID/start`.
fn below(url: &Url, part: &str) -> Url {
    let mut below = url.clone();
    if let Ok(mut parts) = below.path_segments_mut() {
        parts.pop_if_empty().push(part);
    }
    below
}

/// The address may hold a secret, so no error names it.
async fn post(url: &Url, content_type: &'static str, body: String) -> Result<(), String> {
    Poster::new(TIME_MAX)?.post(url, content_type, body).await
}

/// Runs a command in a process group of its own, which is stopped when its time is over. It does not see the API key.
fn run_command(command: &str, input: String, time_max: Duration) -> Result<(), String> {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .env_remove(KEY_VARIABLE)
        .stdin(Stdio::piped())
        // standard output belongs to the run
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("the command cannot be run: {error}"))?;
    let stdin = child.stdin.take();
    // it may read nothing, and a pipe holds 64 KiB only
    std::thread::spawn(move || {
        if let Some(mut stdin) = stdin {
            let _ = stdin.write_all(input.as_bytes());
        }
    });
    match wait_for_process(&mut child, time_max) {
        Ok(Some(status)) if status.success() => return Ok(()),
        Ok(Some(status)) => return Err(format!("the command failed ({status})")),
        Ok(None) => {}
        Err(error) => return Err(format!("the command cannot be waited for: {error}")),
    }
    stop(&mut child);
    Err(format!("the command did not end within {} s and was stopped", time_max.as_secs()))
}

fn stop(child: &mut Child) {
    let group = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_reads_the_result_does_not_see_the_key_and_is_stopped_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seen");
        let write = format!("cat > {}", path.display());
        assert_eq!(run_command(&write, "{}\n".to_owned(), TIME_MAX), Ok(()));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{}\n");
        let failed = run_command("exit 3", "x".repeat(200_000), TIME_MAX).unwrap_err();
        assert!(failed.contains('3'), "{failed}");
        let started = crate::clock::Clock::real();
        let late =
            run_command("sleep 600 & sleep 600", String::new(), Duration::from_millis(50)).unwrap_err();
        assert!(late.contains("did not end within"), "{late}");
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn the_exit_code_is_a_part_of_the_path_and_a_query_stays() {
        let of = |url: &str| below(&url.parse().unwrap(), "4").to_string();
        assert_eq!(of("https://hc-ping.com/abc"), "https://hc-ping.com/abc/4");
        assert_eq!(of("https://hc-ping.com/abc/"), "https://hc-ping.com/abc/4");
        assert_eq!(of("https://host/p?token=x"), "https://host/p/4?token=x");
    }
}

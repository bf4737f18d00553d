//! Processes that are measured: time, processor time, bytes written, and the most memory that was resident.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, WaitId, WaitIdOptions};

use super::words;

/// How often a process is looked at, for its memory and its end.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// What a process used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) bytes_written: f64,
    pub(crate) peak_mib: f64,
}

/// A process that runs; it is killed when it is dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) started: Instant,
    what: String,
    errors: std::path::PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        // one that has ended cannot be killed, which is right
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// Starts a command; its standard error goes to a file in `folder`, its standard output to `output`.
    pub(crate) fn start(command: &mut Command, folder: &Path, output: Stdio) -> Result<Self, String> {
        let errors = folder.join("errors.txt");
        let what = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(output).stderr(File::create(&errors).map_err(words)?);
        let started = Instant::now();
        let child = command.spawn().map_err(|error| format!("{what}: {error}"))?;
        Ok(Self { child, started, what, errors })
    }

    pub(crate) fn output(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// The most memory that was resident up to now.
    pub(crate) fn peak_mib(&self) -> f64 {
        let text = fs::read_to_string(self.path("status")).unwrap_or_default();
        number_after(&text, "VmHWM:") / 1024.0
    }

    fn path(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.child.id())
    }

    fn has_ended(&self) -> Result<bool, String> {
        let pid =
            i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).ok_or("a process has a number")?;
        // the process stays a zombie, whose figures can still be read
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        Ok(rustix::process::waitid(WaitId::Pid(pid), options).map_err(words)?.is_some())
    }

    /// Waits for the end, which must be one of these exit codes.
    pub(crate) fn end(mut self, codes: &[i32]) -> Result<Usage, String> {
        let mut peak_mib = 0.0_f64;
        while !self.has_ended()? {
            peak_mib = peak_mib.max(self.peak_mib());
            std::thread::sleep(LOOK_INTERVAL);
        }
        let seconds = self.started.elapsed().as_secs_f64();
        let written = fs::read_to_string(self.path("io")).unwrap_or_default();
        let usage = Usage {
            seconds,
            cpu_seconds: cpu_seconds(&fs::read_to_string(self.path("stat")).unwrap_or_default()),
            bytes_written: number_after(&written, "\nwrite_bytes:"),
            peak_mib,
        };
        let status = self.child.wait().map_err(words)?;
        if status.code().is_some_and(|code| codes.contains(&code)) {
            return Ok(usage);
        }
        let errors = fs::read_to_string(&self.errors).unwrap_or_default();
        Err(format!("{} ended with {status}: {errors}", self.what))
    }

    /// Kills the process as a crash would.
    pub(crate) fn kill(mut self) -> Result<(), String> {
        self.child.kill().map_err(words)?;
        self.child.wait().map(drop).map_err(words)
    }
}

/// Runs a command to its end, which must be one of these exit codes.
pub(crate) fn run(command: &mut Command, folder: &Path, codes: &[i32]) -> Result<Usage, String> {
    Running::start(command, folder, Stdio::null())?.end(codes)
}

fn number_after(text: &str, name: &str) -> f64 {
    let rest = text.find(name).map_or("", |at| &text[at + name.len()..]);
    rest.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0.0)
}

/// The time in user mode and in the kernel, the 14th and 15th field; the name before them may contain spaces.
fn cpu_seconds(stat: &str) -> f64 {
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    #[expect(clippy::cast_precision_loss, reason = "100 or so")]
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    ticks.sum::<f64>() / per_second
}

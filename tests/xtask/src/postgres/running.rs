//! An import that runs while something happens to its database.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use super::{stage::Stage, words};

/// An import that runs beside.
pub(super) struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    pub(super) fn start(stage: &Stage<'_>, port: u16) -> Result<Self, String> {
        let log = stage.file("running.log");
        let file = fs::File::create(&log).map_err(words)?;
        let mut command = stage.import("one", port, &["--no-wait"]);
        let child = command.stdout(Stdio::null()).stderr(file).spawn().map_err(words)?;
        Ok(Self { child, log })
    }

    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub(super) fn is_running(&mut self) -> Result<bool, String> {
        Ok(self.child.try_wait().map_err(words)?.is_none())
    }

    /// What it said, after its end.
    pub(super) fn end(&mut self, wait_max: Duration) -> Result<String, String> {
        let since = Instant::now();
        while self.is_running()? {
            if since.elapsed() > wait_max {
                let said = fs::read_to_string(&self.log).unwrap_or_default();
                return Err(format!("it did not end in {wait_max:?}: {said}"));
            }
            sleep(Duration::from_millis(20));
        }
        fs::read_to_string(&self.log).map_err(words)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

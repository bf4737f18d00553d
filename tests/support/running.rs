//! A telecine that runs as a process of its own, beside which a test gives other commands.
#![allow(unreachable_pub, missing_docs, reason = "this is a test")]

use std::{
    process::{Child, Stdio},
    time::Duration,
};

use super::cli::{CliFixture, SandboxProcess, result_of};

/// A command against a sandbox process.
pub fn against<'a>(sandbox: &'a SandboxProcess, args: &[&'a str]) -> Vec<&'a str> {
    let mut all = args.to_vec();
    all.extend(["--api-url", &sandbox.url]);
    all
}

/// A process that is killed when the test ends.
pub struct Running(pub Option<Child>);

impl Running {
    pub fn start(fixture: &CliFixture, args: &[&str]) -> Self {
        let mut command = fixture.command(args);
        Self(Some(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()))
    }

    pub fn kill(&mut self) {
        let process = self.0.as_mut().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Waits for the end for some seconds: exit code, standard output, standard error.
    #[track_caller]
    pub fn end(mut self) -> (i32, String, String) {
        let until_end = || self.0.as_mut().unwrap().try_wait().unwrap().is_some();
        wait_for("the end of the import", until_end);
        result_of(&self.0.take().unwrap().wait_with_output().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(process) = &mut self.0 {
            process.kill().ok();
            process.wait().ok();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "another process is waited for, in real time")]
pub fn pause(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

#[track_caller]
pub fn wait_for(what: &str, mut is_there: impl FnMut() -> bool) {
    for _ in 0..600 {
        if is_there() {
            return;
        }
        pause(50);
    }
    panic!("{what} did not come");
}

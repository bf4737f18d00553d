//! The real binary in a folder of its own, and a sandbox in a process of its own.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    missing_docs,
    reason = "each test file uses a part of it"
)]

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

pub const CANARY: &str = "sk-mavi-canary-7f3a";

/// A folder of its own, and the binary in it.
pub struct Stage {
    pub folder: tempfile::TempDir,
}

impl Stage {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        name.to_owned()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_telecine"));
        command.current_dir(self.folder.path()).args(args).env_clear().env("MEMORIES_API_KEY", CANARY);
        command
    }

    pub fn run(&self, args: &[&str]) -> (i32, String, String) {
        said(&self.command(args).output().unwrap())
    }

    /// The only report folder there is, or the latest.
    pub fn report(&self, below: &str) -> PathBuf {
        let mut runs: Vec<PathBuf> =
            fs::read_dir(self.path(below)).unwrap().map(|entry| entry.unwrap().path()).collect();
        runs.sort_by_key(|path| fs::metadata(path).unwrap().modified().unwrap());
        runs.pop().unwrap()
    }
}

pub fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// What the service took, as it took it: tags, moment and place. The marker is left out.
pub type Taken = (Vec<String>, Option<String>, Option<(f64, f64)>);

/// A sandbox in a process of its own; ends with the test.
pub struct Sandbox {
    pub process: Child,
    pub url: String,
    pub record: PathBuf,
}

impl Sandbox {
    pub fn start(stage: &Stage, args: &[&str]) -> Self {
        let record = stage.path("record.jsonl");
        let mut process = stage
            .command(&[
                "sandbox",
                "--listen",
                "127.0.0.1:0",
                "--record",
                "record.jsonl",
                "--index-delay",
                "1s",
            ])
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().rsplit(' ').next().unwrap().to_owned();
        Self { process, url, record }
    }

    /// Everything the service took, by URL; each was taken once.
    pub fn taken_whole(&self) -> BTreeMap<String, Taken> {
        let mut taken = BTreeMap::new();
        for line in fs::read_to_string(&self.record).unwrap().lines() {
            let video: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
            let tags = video["tags"].as_array().unwrap().iter().filter_map(text);
            let tags = tags.filter(|tag| !tag.starts_with("telecine:")).collect();
            let place = video["latitude"].as_f64().zip(video["longitude"].as_f64());
            let whole = (tags, text(&video["datetime_taken"]), place);
            let before = taken.insert(text(&video["url"]).unwrap(), whole);
            assert!(before.is_none(), "paid twice: {}", video["url"]);
        }
        taken
    }

    /// How often each URL was taken.
    pub fn taken(&self) -> BTreeMap<String, usize> {
        let mut taken = BTreeMap::new();
        for line in fs::read_to_string(&self.record).unwrap().lines() {
            let video: serde_json::Value = serde_json::from_str(line).unwrap();
            *taken.entry(video["url"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        taken
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

pub fn rows(count: usize) -> String {
    (0..count)
        .fold("id,url,tags\n".to_owned(), |text, n| text + &format!("R{n},https://host/clip-{n}.mp4,a;b\n"))
}

//! The real binary in a folder of its own, and the sandbox as a second process.
//!
//! Time passes [`SPEED`] times as fast in all processes of one fixture, so that no test waits for seconds. A test that
//! times something by real time, such as a signal in the middle of a request, takes a fixture in real time.
#![allow(unreachable_pub, clippy::unwrap_used, missing_docs, reason = "this is a test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

/// The API key of every command; it must appear in no output.
pub const API_KEY: &str = "sk-mavi-canary-7f3a";

/// How many times as fast as real time passes.
const SPEED: u32 = 40;

/// A temporary folder in which commands run.
pub struct CliFixture {
    folder: tempfile::TempDir,
    /// The value of `TELECINE_FAST_CLOCK`. `None`: time is real.
    fast_clock: Option<String>,
}

impl CliFixture {
    /// A fixture in which time passes fast.
    pub fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the processes of a fixture begin at the real time")]
        let origin_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        Self { fast_clock: Some(format!("{SPEED}@{origin_ms}")), ..Self::in_real_time() }
    }

    /// A fixture in which time is real.
    pub fn in_real_time() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), fast_clock: None }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into the folder, and returns its name.
    pub fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        name.to_owned()
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_telecine"));
        command.current_dir(self.folder.path()).args(args).env_clear().env("MEMORIES_API_KEY", API_KEY);
        command.envs(self.fast_clock.iter().map(|clock| ("TELECINE_FAST_CLOCK", clock)));
        command
    }

    /// Runs a command to its end: exit code, standard output, standard error.
    pub fn run(&self, args: &[&str]) -> (i32, String, String) {
        result_of(&self.command(args).output().unwrap())
    }

    /// The folder of the latest report.
    pub fn report(&self) -> PathBuf {
        self.report_in("state/reports")
    }

    /// The folder of the latest report of those below `folder`.
    pub fn report_in(&self, folder: &str) -> PathBuf {
        let mut runs: Vec<PathBuf> =
            fs::read_dir(self.path(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        runs.sort_by_key(|path| fs::metadata(path).unwrap().modified().unwrap());
        runs.pop().unwrap()
    }

    /// A file of the latest report.
    pub fn report_file(&self, name: &str) -> String {
        fs::read_to_string(self.report().join(name)).unwrap()
    }
}

/// Exit code, standard output, standard error.
pub fn result_of(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// A video as the sandbox accepted it. The marker tag is left out.
#[derive(Debug, PartialEq)]
pub struct AcceptedVideo {
    pub tags: Vec<String>,
    pub datetime_taken: Option<String>,
    pub coordinates: Option<(f64, f64)>,
}

/// The sandbox as a process. It ends with the test.
pub struct SandboxProcess {
    process: Child,
    pub url: String,
    record: PathBuf,
}

impl SandboxProcess {
    pub fn start(fixture: &CliFixture, args: &[&str]) -> Self {
        let record = fixture.path("record.jsonl");
        let mut process = fixture
            .command(&["sandbox", "--listen", "127.0.0.1:0", "--record", "record.jsonl"])
            .args(if args.contains(&"--index-delay") { &[][..] } else { &["--index-delay", "1s"] })
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().rsplit(' ').next().unwrap().to_owned();
        Self { process, url, record }
    }

    /// Every accepted video, by URL; each must have been accepted once.
    pub fn accepted_videos(&self) -> BTreeMap<String, AcceptedVideo> {
        let mut accepted = BTreeMap::new();
        for video in self.recorded() {
            let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
            let tags = video["tags"].as_array().unwrap().iter().filter_map(text);
            let video_of_row = AcceptedVideo {
                tags: tags.filter(|tag| !tag.starts_with("telecine:")).collect(),
                datetime_taken: text(&video["datetime_taken"]),
                coordinates: video["latitude"].as_f64().zip(video["longitude"].as_f64()),
            };
            let before = accepted.insert(text(&video["url"]).unwrap(), video_of_row);
            assert!(before.is_none(), "paid twice: {}", video["url"]);
        }
        accepted
    }

    /// How many times each URL was accepted.
    pub fn accepted_counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for video in self.recorded() {
            *counts.entry(video["url"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        counts
    }

    /// How many uploads were accepted.
    pub fn uploads(&self) -> usize {
        self.recorded().len()
    }

    /// Panics if an URL was accepted twice, or if another number of URLs than `count` was accepted.
    #[track_caller]
    pub fn assert_each_accepted_once(&self, count: usize) {
        let counts = self.accepted_counts();
        assert!(counts.values().all(|times| *times == 1), "paid twice: {counts:?}");
        assert_eq!(counts.len(), count, "{counts:?}");
    }

    /// The accepted videos, without the lines about their deletions.
    pub fn recorded(&self) -> Vec<serde_json::Value> {
        self.record().into_iter().filter(|video| video["deleted_at"].is_null()).collect()
    }

    /// The numbers of the deleted videos.
    pub fn deleted(&self) -> BTreeSet<String> {
        let deleted = self.record().into_iter().filter(|video| !video["deleted_at"].is_null());
        deleted.map(|video| video["video_no"].as_str().unwrap().to_owned()).collect()
    }

    fn record(&self) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(&self.record).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for SandboxProcess {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Says on the terminal that a test did not run, also where the output of tests that pass is not shown.
pub fn skipped(cause: &str) {
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    writeln!(std::io::stderr(), "\n*** SKIPPED, NOT TESTED: {test}: {cause} ***").ok();
}

/// A manifest with this many rows.
pub fn rows(count: usize) -> String {
    (0..count)
        .fold("id,url,tags\n".to_owned(), |text, n| text + &format!("R{n},https://host/clip-{n}.mp4,a;b\n"))
}

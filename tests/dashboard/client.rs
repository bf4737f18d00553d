//! A dashboard as a process, and a client that reads its page and its stream of events.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::Stdio,
    sync::mpsc,
    time::Duration,
};

use serde_json::Value;

use crate::{
    json::check_object,
    support::{
        cli::CliFixture,
        running::{Running, wait_for},
    },
};

/// An answer: its status, its headers in lower case, and its body.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: String,
    pub(super) body: String,
}

/// Sends these bytes, and reads until the server closes the connection.
#[track_caller]
pub(super) fn exchange(address: &str, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{request}: {text}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, headers: head.to_lowercase(), body: body.to_owned() }
}

#[track_caller]
pub(super) fn get(address: &str, path: &str) -> Answer {
    exchange(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"))
}

/// A dashboard as a process of its own.
pub(super) struct DashboardProcess {
    pub(super) process: Running,
    lines: BufReader<std::process::ChildStdout>,
    /// `127.0.0.1:PORT`.
    pub(super) address: String,
    pub(super) url: String,
}

impl DashboardProcess {
    pub(super) fn start(fixture: &CliFixture, args: &[&str]) -> Self {
        let listen = ["dashboard", "--json", "--listen"];
        let address = args.iter().find(|arg| arg.ends_with(":0")).map_or(&["127.0.0.1:0"][..], |_| &[]);
        let mut command = fixture.command(&[&listen[..], address, args].concat());
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
        assert_eq!(ready["event"], "dashboard_ready", "{line}");
        check_object(&ready, &["dashboard"]);
        let url = ready["url"].as_str().unwrap().to_owned();
        let address =
            url.trim_start_matches("http://").split('/').next().unwrap().replace("0.0.0.0", "127.0.0.1");
        Self { process: Running(Some(process)), lines, address, url }
    }

    /// The last line, once the process has ended.
    #[track_caller]
    pub(super) fn end(mut self) -> Value {
        wait_for("the end of the dashboard", || {
            self.process.0.as_mut().unwrap().try_wait().unwrap().is_some_and(|status| status.success())
        });
        let mut last = String::new();
        self.lines.read_to_string(&mut last).unwrap();
        let last = serde_json::from_str(&last).unwrap_or_else(|_| panic!("{last}"));
        check_object(&last, &["the end of dashboard", "the last object"]);
        last
    }

    pub(super) fn interrupt(&self) {
        let pid = self.process.0.as_ref().unwrap().id().to_string();
        assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    }
}

/// A stream of events that a thread reads: each its name and its data.
pub(super) fn stream_of(address: &str, query: &str) -> mpsc::Receiver<(String, String)> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(format!("GET /events{query} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).unwrap();
    let (sender, events) = mpsc::channel();
    std::thread::spawn(move || {
        let mut name = String::new();
        let mut data = String::new();
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if let Some(text) = line.strip_prefix("event: ") {
                text.clone_into(&mut name);
                data.clear();
            } else if let Some(text) = line.strip_prefix("data:") {
                data.push_str(text.trim_start());
            } else if line.is_empty() && !name.is_empty() {
                let event = (std::mem::take(&mut name), data.clone());
                if sender.send(event).is_err() {
                    return;
                }
            }
        }
    });
    events
}

/// Waits for an event with this text.
#[track_caller]
pub(super) fn wait_for_event(events: &mpsc::Receiver<(String, String)>, name: &str, text: &str) {
    let mut last = String::new();
    loop {
        match events.recv_timeout(Duration::from_secs(30)) {
            Ok((of, data)) if of == name && data.contains(text) => return,
            Ok((of, data)) if of == name => last = data,
            Ok(_) => {}
            Err(error) => panic!("no event {name} with {text} ({error}); the last one: {last}"),
        }
    }
}

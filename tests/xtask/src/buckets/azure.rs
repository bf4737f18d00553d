//! A container of Azurite, Microsoft's emulator of Azure Blob Storage, as a manifest. It needs Node.js, and is downloaded once by npx.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::hmac;

use super::{ODD_KEYS, content, encoded, get::Connection, judge, longest_key};
use crate::{
    program::{Ended, Sandbox, Telecine, finish, words},
    state_counts::Part,
};

/// The emulator, pinned: a later one may need another Node.js.
const PACKAGE: &str = "azurite@3.35.0";
/// The account that every emulator has, and its key, as Microsoft documents them.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const CONTAINER: &str = "archive";
/// How long the emulator may take to listen; the first time it is downloaded before.
const START_MAX: Duration = Duration::from_secs(30);

pub(super) enum Ran {
    Yes,
    /// The emulator cannot be had; the text says why.
    Skipped(String),
}

pub(super) fn run(telecine: &Telecine, part: &mut Part) -> Result<Ran, String> {
    let there = npx(&["azurite-blob", "--version"]).stderr(Stdio::null()).output();
    match there {
        Err(error) => return Ok(Ran::Skipped(format!("npx is not here ({error}); install Node.js"))),
        Ok(output) if !output.status.success() => {
            return Ok(Ran::Skipped(format!("npx cannot run {PACKAGE}")));
        }
        Ok(_) => {}
    }
    let emulator = Emulator::start()?;
    let mut keys: Vec<String> = ODD_KEYS.iter().map(|key| (*key).to_owned()).collect();
    keys.push(longest_key());
    emulator.fill(&keys)?;
    let sandbox = Sandbox::start(telecine, &[])?;
    let folder = tempfile::tempdir().map_err(words)?;
    let mut import = telecine.command(folder.path(), "machine", ACCOUNT);
    import
        .env("AZURE_STORAGE_KEY", KEY)
        .env("AZURE_STORAGE_SERVICE_ENDPOINT", emulator.url())
        .args(["import", &format!("az://{ACCOUNT}/{CONTAINER}/"), "--api-url", &sandbox.url])
        .args(["--quiet", "--rate", "200/s", "--list-rate", "1000/s", "--get-rate", "1000/s"]);
    let Ended { code, stderr } = finish(&import)?;
    if code != Some(0) {
        return Err(format!("the import ended with {code:?}: {stderr}"));
    }
    let accepted = sandbox.accepted(ACCOUNT)?;
    let start = format!("{}/{CONTAINER}/", emulator.url());
    let keys = keys.iter().map(String::as_str);
    part.add("objects", judge(&accepted, keys, |key| format!("{start}{}", encoded(key)))?);
    Ok(Ran::Yes)
}

/// A command of the package.
fn npx(args: &[&str]) -> Command {
    let mut command = Command::new("npx");
    command.args(["--yes", "--package", PACKAGE]).args(args).stdin(Stdio::null());
    command
}

/// The emulator, which listens on loopback until it is dropped.
struct Emulator {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Emulator {
    fn start() -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(words)?;
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).map_err(words)?.port();
        let process = npx(&[
            "azurite-blob",
            "--silent",
            "--inMemoryPersistence",
            "--disableTelemetry",
            "--blobHost",
            "127.0.0.1",
        ])
        .args(["--blobPort", &port.to_string()])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(words)?;
        let emulator = Self { process, port, _folder: folder };
        let since = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if since.elapsed() > START_MAX {
                return Err(format!("{PACKAGE} does not listen"));
            }
            sleep(Duration::from_millis(50));
        }
        Ok(emulator)
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/{ACCOUNT}", self.port)
    }

    /// Makes the container, and an object with its own bytes for each key.
    fn fill(&self, keys: &[String]) -> Result<(), String> {
        let mut connection = Connection::default();
        let token = account_token()?;
        let container = format!("{}/{CONTAINER}", self.url());
        let mut put =
            |link: &str, headers: &str, body: &[u8]| match connection.send("PUT", link, headers, body)? {
                (201, _) => Ok(()),
                (status, body) => Err(format!("{link}: {status}: {}", String::from_utf8_lossy(&body))),
            };
        put(&format!("{container}?restype=container&{token}"), "", &[])?;
        for key in keys {
            let link = format!("{container}/{}?{token}", encoded(key));
            put(&link, "x-ms-blob-type: BlockBlob\r\n", &content(key))?;
        }
        Ok(())
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // npx hands signals that ask on to the program below it
        if let Some(pid) = i32::try_from(self.process.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.process.wait();
    }
}

/// A token that may do everything in the account, made here: not by the code that is tested.
fn account_token() -> Result<String, String> {
    let (version, rights, end) = ("2020-12-06", "rwdlac", "2126-01-01T00:00:00Z");
    let text = format!("{ACCOUNT}\n{rights}\nb\nsco\n\n{end}\n\nhttps,http\n{version}\n\n");
    let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(KEY).map_err(words)?);
    let signature = STANDARD.encode(hmac::sign(&key, text.as_bytes()));
    Ok(format!(
        "sv={version}&ss=b&srt=sco&sp={rights}&se={}&spr=https,http&sig={}",
        encoded(end),
        encoded(&signature).replace('/', "%2F")
    ))
}

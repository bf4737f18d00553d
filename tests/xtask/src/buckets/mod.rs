//! `cargo xtask buckets`: telecine with storages that check every signature, and that nobody wrote for these tests. They run on loopback.

mod azure;
mod get;
mod s3;
mod store;

use std::{collections::HashMap, os::unix::fs::symlink, time::Instant};

use crate::{
    program::{Accepted, Telecine, words},
    state_counts::{self, Part},
};

const USAGE: &str = "usage: cargo xtask buckets [SUITE..] [--objects N] [--record]
       suites: s3 azure (without one: all of them)";

/// Each suite, in the order in which they run.
const SUITES: &[&str] = &["s3", "azure"];

/// Objects of a bucket, unless `--objects` says otherwise: some pages of a listing.
const OBJECTS: u64 = 3_000;

/// Keys that have to be encoded, each in its own way.
const ODD_KEYS: &[&str] = &[
    "a/a b.mp4",
    "a/a+b.mp4",
    "a/100%.mp4",
    "a/a%20b.mp4",
    "a/\u{1f3ac}/\u{fc}.mp4",
    "a/a?b#c&sig=d.mp4",
    "a/~-_.!*'();:@&=+$,.mp4",
    "a/\"quoted\", <k>&amp;.mp4",
];

pub(crate) fn run(mut args: impl Iterator<Item = String>) -> Result<bool, String> {
    let (mut suites, mut objects, mut is_recorded) = (Vec::new(), OBJECTS, false);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--objects" => {
                let number = args.next().and_then(|text| text.parse().ok());
                objects = number.ok_or("--objects needs a number")?;
            }
            "--record" => is_recorded = true,
            suite if SUITES.contains(&suite) => suites.push(arg),
            _ => return Err(USAGE.to_owned()),
        }
    }
    if suites.is_empty() {
        suites = SUITES.iter().map(|suite| (*suite).to_owned()).collect();
    }
    // this program is telecine under its name
    let folder = tempfile::tempdir().map_err(words)?;
    let binary = folder.path().join("telecine");
    symlink(std::env::current_exe().map_err(words)?, &binary).map_err(words)?;
    let telecine = Telecine { binary, failpoint: None };
    let mut is_good = true;
    for suite in &suites {
        is_good &= run_suite(suite, &telecine, objects, is_recorded)?;
    }
    Ok(is_good)
}

fn run_suite(suite: &str, telecine: &Telecine, objects: u64, is_recorded: bool) -> Result<bool, String> {
    let started = Instant::now();
    let mut part = Part::default();
    let ended = match suite {
        "s3" => s3::run(telecine, objects, &mut part),
        _ => match azure::run(telecine, &mut part) {
            Ok(azure::Ran::Yes) => Ok(()),
            Ok(azure::Ran::Skipped(cause)) => {
                println!("buckets azure: SKIPPED, {cause}");
                return Ok(true);
            }
            Err(fault) => Err(fault),
        },
    };
    part.failures.extend(ended.err());
    let seconds = started.elapsed().as_secs();
    println!("buckets {suite}: {:?} in {seconds} s, {} failures", part.counts, part.failures.len());
    for failure in &part.failures {
        println!("  {failure}");
    }
    if is_recorded {
        state_counts::record(&format!("buckets {suite}"), &part, &state_counts::commit(), seconds)?;
    }
    Ok(part.failures.is_empty())
}

/// The longest key, with characters of two and four bytes.
fn longest_key() -> String {
    let start = "a/\u{fc}\u{1f3ac}";
    format!("{start}{}.mp4", "k".repeat(1_024 - start.len() - ".mp4".len()))
}

/// The bytes of an object: its own.
fn content(key: &str) -> Vec<u8> {
    key.bytes().chain(*b"\r\n--\r\n").chain(0..=255).collect()
}

/// Each of these keys was accepted exactly once, and its link leads to the bytes of its object.
fn judge<'k>(
    accepted: &[Accepted],
    keys: impl Iterator<Item = &'k str>,
    path_of: impl Fn(&str) -> String,
) -> Result<u64, String> {
    let mut links: HashMap<&str, &str> = HashMap::new();
    for video in accepted {
        let address = video.url.split('?').next().unwrap_or_default();
        if links.insert(address, &video.url).is_some() {
            return Err(format!("{address} was paid twice"));
        }
    }
    let mut count = 0;
    let mut connection = get::Connection::default();
    for key in keys {
        let address = path_of(key);
        let link = links.remove(address.as_str()).ok_or_else(|| format!("{address} was not sent"))?;
        let (status, body) = connection.get(link)?;
        if status != 200 || body != content(key) {
            let text = String::from_utf8_lossy(&body);
            return Err(format!("the link to {key} gives {status}, {} bytes: {text:.300}", body.len()));
        }
        count += 1;
    }
    match links.keys().next() {
        Some(address) => Err(format!("{address} was sent, and is no object")),
        None => Ok(count),
    }
}

/// A key as it is in the path of a link.
fn encoded(key: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte);
    key.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

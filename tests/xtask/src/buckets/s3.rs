//! Buckets of S3 as manifests: listings in flat memory, imports that are killed, and credentials that end.

use std::{
    collections::BTreeSet,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use super::{
    ODD_KEYS, encoded, judge, longest_key,
    store::{BUCKET, SECRET, Standing, Store},
};
use crate::{
    bench::process,
    program::{Ended, Sandbox, Telecine, finish, words},
    state_counts::Part,
};

/// The account at the service of every import.
const ACCOUNT: &str = "buckets-key";
/// The ledger of imports by links.
const LINKS: &str = "links.db";
/// The account of the import that sends the bytes of objects.
const UPLOADS: &str = "uploads-key";
/// What a listing of ten times the objects may use more, in MiB.
const GROWTH_MAX_MIB: f64 = 12.0;
/// Kills of one import.
const KILLS: u64 = 3;
/// How long an import may take to its next kill.
const UPLOADS_MAX: Duration = Duration::from_mins(5);

/// One store, and a folder of its own for each of its imports.
struct Stage<'t> {
    telecine: &'t Telecine,
    store: Store,
    sandbox: Sandbox,
    folder: tempfile::TempDir,
}

pub(super) fn run(telecine: &Telecine, objects: u64, part: &mut Part) -> Result<(), String> {
    let store = Store::start(keys(objects))?;
    for id in ["AKIDFIRST", "AKIDSECOND"] {
        store.set_key(id, Standing::Valid);
    }
    store.set_key("AKIDEXPIRED", Standing::Expired);
    let sandbox = Sandbox::start(telecine, &[])?;
    let stage = Stage { telecine, store, sandbox, folder: tempfile::tempdir().map_err(words)? };
    stage.memory(part)?;
    stage.refusals(part)?;
    stage.uploads(part)?;
    stage.kills(part)
}

/// One key of ten is below `a/`.
fn keys(objects: u64) -> BTreeSet<String> {
    let mut keys: BTreeSet<String> = ODD_KEYS.iter().map(|key| (*key).to_owned()).collect();
    keys.insert(longest_key());
    let plain = (0..objects.saturating_sub(keys.len() as u64)).map(|number| {
        let folder = if number % 10 == 0 { "a" } else { "b" };
        format!("{folder}/{}/clip {number}.mp4", number % 97)
    });
    keys.extend(plain);
    keys
}

impl Stage<'_> {
    /// A command with the credentials of this key.
    fn command(&self, id: &str, args: &[&str]) -> Command {
        let mut command = self.telecine.command(self.folder.path(), "machine", ACCOUNT);
        command
            .env("AWS_ENDPOINT_URL", self.store.url())
            .env("AWS_ACCESS_KEY_ID", id)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .args(args);
        command
    }

    fn import(&self, id: &str, more: &[&str]) -> Command {
        let mut command =
            self.command(id, &["import", &format!("s3://{BUCKET}/"), "--api-url", &self.sandbox.url]);
        command.args(["--quiet", "--rate", "2000/s", "--list-rate", "1000/s", "--get-rate", "1000/s"]);
        command.args(["--concurrency", "32", "--settle-after", "1s"]).args(more);
        command.env("TELECINE_LEDGER", LINKS);
        command
    }

    /// A listing of all objects uses no more memory than that of a tenth of them.
    fn memory(&self, part: &mut Part) -> Result<(), String> {
        let peak = |prefix: &str| -> Result<f64, String> {
            let address = format!("s3://{BUCKET}/{prefix}");
            let mut command = self.command("AKIDFIRST", &["check", &address]);
            Ok(process::run(&mut command, self.folder.path(), &[0])?.peak_mib)
        };
        let (tenth, all) = (peak("a/")?, peak("")?);
        let count = self.store.objects().len();
        println!(
            "buckets s3: check of a tenth of {count} objects used {tenth:.1} MiB at most, of all of them {all:.1} MiB"
        );
        part.add("pages", self.store.pages());
        if all - tenth > GROWTH_MAX_MIB {
            return Err(format!("the memory of a listing grows with it: from {tenth:.1} to {all:.1} MiB"));
        }
        Ok(())
    }

    /// Credentials that the store refuses, before the listing and in its middle: nothing is sent, and the error says what is wrong.
    fn refusals(&self, part: &mut Part) -> Result<(), String> {
        self.store.set_key("AKIDLEAVING", Standing::Leaving(1));
        let wrong_secret = |command: &mut Command| {
            command.env("AWS_SECRET_ACCESS_KEY", "another");
        };
        let as_it_is = |_: &mut Command| {};
        type Change = fn(&mut Command);
        let cases: [(&str, Change, &str); 4] = [
            ("AKIDREVOKED", as_it_is, "the storage does not know the credentials (403 InvalidAccessKeyId)"),
            ("AKIDEXPIRED", as_it_is, "the credentials have expired (400 ExpiredToken)"),
            ("AKIDFIRST", wrong_secret, "the storage refuses the signature (403 SignatureDoesNotMatch)"),
            ("AKIDLEAVING", as_it_is, "the storage does not know the credentials (403 InvalidAccessKeyId)"),
        ];
        for (id, change, expected) in cases {
            let mut command = self.import(id, &[]);
            change(&mut command);
            let Ended { code, stderr } = finish(&command)?;
            if code != Some(3) || !stderr.contains(expected) {
                return Err(format!(
                    "{id}: it ended with {code:?}, and not with 3 and {expected:?}: {stderr}"
                ));
            }
            part.add("refusals", 1);
        }
        match self.sandbox.count()? {
            0 => Ok(()),
            sent => Err(format!("{sent} videos were sent without a listing")),
        }
    }

    /// Objects that telecine reads and sends itself, for an account and with a ledger of their own: each of them once.
    fn uploads(&self, part: &mut Part) -> Result<(), String> {
        let keys: Vec<&String> = self.store.objects().range("a/".to_owned().."b".to_owned()).collect();
        let mut command = self.import("AKIDFIRST", &["--via", "upload"]);
        command.env("MEMORIES_API_KEY", UPLOADS).env("TELECINE_LEDGER", "uploads.db").args([
            "--include",
            "a/*",
            "--no-wait",
        ]);
        process::run(&mut command, self.folder.path(), &[0, 5])?;
        let accepted = self.sandbox.accepted(UPLOADS)?;
        let mut sent: Vec<&str> = accepted.iter().map(|video| video.url.as_str()).collect();
        let name_of = |key: &&String| key.rsplit('/').next().unwrap_or_default().replace('"', "%22");
        let mut expected: Vec<String> = keys.iter().map(name_of).collect();
        sent.sort_unstable();
        expected.sort_unstable();
        if sent != expected {
            return Err(format!("{} objects were sent, and not each of {} once", sent.len(), expected.len()));
        }
        part.add("objects sent", sent.len() as u64);
        Ok(())
    }

    /// An import that is killed several times, and then goes on with another key: each object is at the service exactly once, and the
    /// store takes each link that the service got.
    fn kills(&self, part: &mut Part) -> Result<(), String> {
        let (count, before) = (self.store.objects().len() as u64, self.sandbox.count()?);
        for kill in 1..=KILLS {
            let running = process::Running::start(
                &mut self.import("AKIDFIRST", &["--no-wait"]),
                self.folder.path(),
                std::process::Stdio::null(),
            )?;
            self.wait_for(before + count * kill / (KILLS + 1))?;
            running.kill()?;
            part.add("kills", 1);
        }
        let mut last = self.import("AKIDSECOND", &["--wait", "1m"]);
        let usage = process::run(&mut last, self.folder.path(), &[0])?;
        println!(
            "buckets s3: the last import used {:.1} MiB at most, in {:.1} s",
            usage.peak_mib, usage.seconds
        );
        let Ended { code, stderr } =
            finish(&self.command("AKIDSECOND", &["ledger", "check", "--ledger", LINKS]))?;
        if code != Some(0) {
            return Err(format!("ledger check: {code:?} {stderr}"));
        }
        let accepted = self.sandbox.accepted(ACCOUNT)?;
        let by_second = accepted.iter().filter(|video| video.url.contains("AKIDSECOND")).count() as u64;
        if by_second == 0 {
            return Err("nothing was left to send for the last import".to_owned());
        }
        let start = format!("{}/{BUCKET}/", self.store.url());
        let keys = self.store.objects().iter().map(String::as_str);
        part.add("objects", judge(&accepted, keys, |key| format!("{start}{}", encoded(key)))?);
        Ok(())
    }

    /// Waits until the service has accepted so many videos.
    fn wait_for(&self, count: u64) -> Result<(), String> {
        let since = Instant::now();
        while self.sandbox.count()? < count {
            if since.elapsed() > UPLOADS_MAX {
                return Err(format!("{count} uploads did not come"));
            }
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

//! The real binary with manifests that name objects in buckets. Each link that the service receives is checked by a second
//! implementation of the signature, written for these tests.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use crate::support::{
    running::wait_for,
    service::{Answer, Service, ended, importing},
};

pub(crate) const REGION: &str = "eu-north-1";
pub(crate) const SECRET: &str = "canary/Secret+Key/7f3a";
/// It must not be printed or stored either.
const TOKEN: &str = "canary/Session+Token==";

/// An import whose credentials are in the variables.
fn import(folder: &Path, service: &Service, args: &[&str]) -> Command {
    let mut command = importing(folder, &service.url, &[&["--rate", "200/s"], args].concat());
    command
        .env("AWS_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", "AKIDFIRST")
        .env("AWS_SECRET_ACCESS_KEY", SECRET);
    command
}

fn manifest_of(folder: &Path, addresses: &[String]) {
    fs::write(folder.join("m.csv"), format!("url\n{}\n", addresses.join("\n"))).unwrap();
}

/// What a link says, after its signature proved to be right.
#[derive(Debug)]
pub(crate) struct CheckedLink {
    host: String,
    pub(crate) path: String,
    key_id: String,
    life: u64,
    token: Option<String>,
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned()
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key);
    ring::hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Checks a link as S3 does: with what the link itself says, and the secret.
#[track_caller]
pub(crate) fn checked(link: &str, secret: &str) -> CheckedLink {
    let (address, query) = link.split_once('?').unwrap();
    let (_, inside) = address.split_once("://").unwrap();
    let (host, path) = inside.split_once('/').unwrap();
    let parameter = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(own, _)| *own == name).map(|(_, value)| decoded(value))
    };
    let needed = |name: &str| parameter(name).unwrap_or_else(|| panic!("{name} is missing: {link}"));
    assert_eq!(needed("X-Amz-SignedHeaders"), "host");
    let credential = needed("X-Amz-Credential");
    let parts: Vec<&str> = credential.split('/').collect();
    let [key_id, day, region, store, end] = parts[..] else { panic!("{credential}") };
    assert!(needed("X-Amz-Date").starts_with(day) && (region, store, end) == (REGION, "s3", "aws4_request"));
    let mut signed: Vec<&str> =
        query.split('&').filter(|pair| !pair.starts_with("X-Amz-Signature=")).collect();
    signed.sort_unstable();
    let request = [
        "GET",
        &format!("/{path}"),
        &signed.join("&"),
        &format!("host:{host}"),
        "",
        "host",
        "UNSIGNED-PAYLOAD",
    ];
    let digest = ring::digest::digest(&ring::digest::SHA256, request.join("\n").as_bytes());
    let text = [
        "AWS4-HMAC-SHA256",
        &needed("X-Amz-Date"),
        &format!("{day}/{region}/s3/aws4_request"),
        &hexadecimal(digest.as_ref()),
    ];
    let by_day = hmac(format!("AWS4{secret}").as_bytes(), day);
    let key = hmac(&hmac(&hmac(&by_day, region), "s3"), "aws4_request");
    assert_eq!(hexadecimal(&hmac(&key, &text.join("\n"))), needed("X-Amz-Signature"), "{link}");
    CheckedLink {
        host: host.to_owned(),
        path: decoded(path),
        key_id: key_id.to_owned(),
        life: needed("X-Amz-Expires").parse().unwrap(),
        token: parameter("X-Amz-Security-Token"),
    }
}

/// Every byte of every file below a folder.
fn all_bytes(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        bytes.extend(if path.is_dir() { all_bytes(&path) } else { fs::read(path).unwrap() });
    }
    bytes
}

#[test]
fn objects_with_odd_keys_are_sent_as_correctly_signed_links_and_no_signature_is_kept() {
    let service = Service::start(Answer::Accept);
    let folder = tempfile::tempdir().unwrap();
    let mut keys: BTreeSet<String> = [
        "plain.mp4",
        "a b.mp4",
        "a+b.mp4",
        "100%.mp4",
        "a%20b.mp4",
        "🎬/ü.mp4",
        "/a//b.mp4",
        "a?b#c&sig=d.mp4",
        "~-_.!*'();:@&=+$.mp4",
    ]
    .map(str::to_owned)
    .into();
    keys.insert(format!("{}🎬.mp4", "k".repeat(1_016)));
    assert!(keys.iter().any(|key| key.len() == 1_024));
    let addresses: Vec<String> = keys.iter().map(|key| format!("s3://my-bucket/{key}")).collect();
    manifest_of(folder.path(), &addresses);
    let mut command = import(folder.path(), &service, &["--link-life", "90m"]);
    let (code, text) = ended(&command.env("AWS_SESSION_TOKEN", TOKEN).output().unwrap());
    assert_eq!(code, 0, "{text}");
    let links: Vec<CheckedLink> = service.urls().iter().map(|link| checked(link, SECRET)).collect();
    assert_eq!(links.iter().map(|link| link.path.clone()).collect::<BTreeSet<_>>(), keys);
    for link in &links {
        assert_eq!(link.host, format!("my-bucket.s3.{REGION}.amazonaws.com"));
        assert_eq!((link.life, link.token.as_deref()), (5_400, Some(TOKEN)));
    }
    let mut shown = importing(folder.path(), &service.url, &[]);
    let shown = ended(&shown.output().unwrap()).1;
    let mut list = Command::new(env!("CARGO_BIN_EXE_telecine"));
    let list = list.current_dir(folder.path()).env_clear().args(["list", "--json"]).output().unwrap();
    assert!(ended(&list).1.contains("s3://my-bucket/a+b.mp4"), "{}", ended(&list).1);
    let kept = all_bytes(folder.path());
    for secret in [SECRET, TOKEN, "X-Amz-", "canary"] {
        assert!(!text.contains(secret) && !shown.contains(secret), "{text}{shown}");
        assert!(memchr::memmem::find(&kept, secret.as_bytes()).is_none(), "{secret} is in a file");
    }
    assert!(memchr::memmem::find(&kept, b"s3://my-bucket/100%.mp4").is_some(), "the address is kept");
}

#[test]
fn without_credentials_nothing_is_claimed_and_the_same_command_resumes_with_them() {
    let service = Service::start(Answer::Accept);
    let folder = tempfile::tempdir().unwrap();
    manifest_of(folder.path(), &["s3://my-bucket/a.mp4".to_owned()]);
    let mut without = importing(folder.path(), &service.url, &["--rate", "200/s"]);
    let (code, text) = ended(&without.env("AWS_REGION", REGION).output().unwrap());
    assert_eq!((code, service.uploads()), (2, 0), "{text}");
    assert!(text.contains("no credentials for s3:// addresses: set AWS_ACCESS_KEY_ID"), "{text}");
    let mut explain = Command::new(env!("CARGO_BIN_EXE_telecine"));
    let args = ["explain", "s3://my-bucket/a.mp4", "--json"];
    let (_, explained) = ended(&explain.current_dir(folder.path()).env_clear().args(args).output().unwrap());
    let item: serde_json::Value = serde_json::from_str(&explained).unwrap();
    let item = &item["items"][0];
    assert_eq!(
        (&item["state"], item["requests"].as_array().map(Vec::len)),
        (&"pending".into(), Some(0)),
        "{explained}"
    );
    let mut check = Command::new(env!("CARGO_BIN_EXE_telecine"));
    let check = check.current_dir(folder.path()).env_clear().args(["check", "m.csv", "--probe"]);
    let (code, text) = ended(&check.env("AWS_REGION", REGION).output().unwrap());
    assert!(code == 2 && text.contains("--probe: no credentials for s3:// addresses"), "{code} {text}");
    let (code, text) = ended(&import(folder.path(), &service, &[]).output().unwrap());
    assert_eq!((code, service.uploads()), (0, 1), "{text}");
}

#[test]
fn rows_without_credentials_hold_up_no_other_row_and_the_run_ends_with_what_is_missing() {
    let service = Service::start(Answer::Accept);
    let folder = tempfile::tempdir().unwrap();
    let web = (0..9).map(|name| format!("https://host.example/{name}.mp4"));
    let rows = ["s3://my-bucket/a.mp4", "gs://my-bucket/b.mp4"].map(str::to_owned).into_iter().chain(web);
    manifest_of(folder.path(), &rows.collect::<Vec<_>>());
    let mut without = importing(folder.path(), &service.url, &["--rate", "200/s"]);
    let (code, text) = ended(&without.env("AWS_REGION", REGION).output().unwrap());
    assert_eq!((code, service.uploads()), (2, 9), "{text}");
    for said in [
        "no credentials for s3:// addresses: set AWS_ACCESS_KEY_ID",
        "no credentials for gs:// addresses",
        "rows of this storage wait, and the others are sent",
        "their rows were not sent, and all others were",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(text.contains("9 searchable") && text.contains("2 pending"), "{text}");
    let (code, text) = ended(&import(folder.path(), &service, &[]).output().unwrap());
    assert_eq!((code, service.uploads()), (2, 10), "only gs:// is without credentials now: {text}");
}

/// A command that prints credentials that expire at this time.
fn printing(expiration: &str) -> String {
    format!(
        r#"echo '{{"Version":1,"AccessKeyId":"AKIDCOMMAND","SecretAccessKey":"{SECRET}","SessionToken":"{TOKEN}","Expiration":"{expiration}"}}'"#
    )
}

#[test]
fn a_credentials_command_that_gives_none_ends_the_run_before_anything_is_sent() {
    let service = Service::start(Answer::Accept);
    let folder = tempfile::tempdir().unwrap();
    manifest_of(folder.path(), &["s3://my-bucket/a.mp4".to_owned()]);
    for (command, what) in [
        ("echo canary-printed; echo the vault is sealed >&2; exit 3", "the vault is sealed"),
        ("echo canary-printed", "the credentials command printed no credentials"),
        (&printing("2020-01-31T12:00:00Z"), "expire at 2020-01-31T12:00:00Z"),
    ] {
        let args = ["--source-credentials-command", command];
        let (code, text) = ended(&import(folder.path(), &service, &args).output().unwrap());
        assert_eq!((code, service.uploads()), (2, 0), "{text}");
        assert!(text.contains(what) && !text.contains("canary"), "{text}");
    }
    let lasting = printing("2126-01-31T12:00:00Z");
    let (code, text) = ended(
        &import(folder.path(), &service, &["--source-credentials-command", &lasting]).output().unwrap(),
    );
    assert_eq!((code, service.uploads()), (0, 1), "{text}");
    let link = checked(&service.urls()[0], SECRET);
    assert_eq!(
        (link.key_id.as_str(), link.token.as_deref(), link.life),
        ("AKIDCOMMAND", Some(TOKEN), 21_600)
    );
    assert!(!text.contains("--link-life"), "{text}");
}

#[test]
fn credentials_that_end_before_the_links_do_are_said_once() {
    let service = Service::start(Answer::Accept);
    let folder = tempfile::tempdir().unwrap();
    let addresses: Vec<String> = (0..5).map(|row| format!("s3://my-bucket/{row}.mp4")).collect();
    manifest_of(folder.path(), &addresses);
    let in_an_hour = "echo '{\"Version\":1,\"AccessKeyId\":\"k\",\"SecretAccessKey\":\"s\",\"Expiration\":\"'$(date -u -d '+1 hour' +%FT%TZ)'\"}'";
    let mut command = import(folder.path(), &service, &["--source-credentials-command", in_an_hour]);
    let (code, text) = ended(&command.env("PATH", "/usr/bin:/bin").output().unwrap());
    assert_eq!((code, service.uploads()), (0, 5), "{text}");
    assert_eq!(text.matches("--link-life").count(), 1, "{text}");
}

#[test]
fn after_a_kill_each_object_is_sent_once_and_what_is_left_is_signed_anew() {
    // the third answer does not come in time
    let service = Service::scripted(|number| if number == 3 { Answer::Raw("") } else { Answer::Accept });
    let folder = tempfile::tempdir().unwrap();
    let addresses: Vec<String> = (0..20).map(|row| format!("s3://my-bucket/{row}.mp4")).collect();
    manifest_of(folder.path(), &addresses);
    let mut first = importing(folder.path(), &service.url, &["--rate", "10/s", "-j", "4"])
        .env("AWS_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", "AKIDFIRST")
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the sixth upload", || service.uploads() >= 6);
    first.kill().unwrap();
    first.wait().unwrap();
    let before = service.urls().len();
    let mut second = import(folder.path(), &service, &["--no-wait"]);
    second.env("AWS_ACCESS_KEY_ID", "AKIDSECOND").env("AWS_SECRET_ACCESS_KEY", "another");
    let (_, text) = ended(&second.output().unwrap());
    let links = service.urls();
    // what was in flight may have been made or not: it is not sent again without proof
    assert!((16..20).contains(&links.len()) && links.len() > before, "{before} {links:?} {text}");
    let sources: BTreeSet<&str> = links.iter().map(|link| link.split('?').next().unwrap()).collect();
    assert_eq!(sources.len(), links.len(), "none was sent twice: {links:?}");
    for (number, link) in links.iter().enumerate() {
        let (key_id, secret) =
            if number < before { ("AKIDFIRST", SECRET) } else { ("AKIDSECOND", "another") };
        assert_eq!(checked(link, secret).key_id, key_id);
    }
}

#[test]
fn a_store_with_its_own_endpoint_a_profile_and_a_pinned_version_are_taken() {
    let service = Service::start(Answer::Accept);
    let folder = tempfile::tempdir().unwrap();
    manifest_of(folder.path(), &["s3://my-bucket/a.mp4?versionId=v/1".to_owned()]);
    fs::create_dir(folder.path().join(".aws")).unwrap();
    let credentials =
        format!("[archive]\naws_access_key_id = AKIDPROFILE\naws_secret_access_key = {SECRET}\n");
    fs::write(folder.path().join(".aws/credentials"), credentials).unwrap();
    let config =
        format!("[profile archive]\nregion = {REGION}\nendpoint_url = https://store.example:9000/\n");
    fs::write(folder.path().join(".aws/config"), config).unwrap();
    let mut command = importing(folder.path(), &service.url, &["--rate", "200/s"]);
    let (code, text) = ended(&command.env("AWS_PROFILE", "archive").output().unwrap());
    assert_eq!(code, 0, "{text}");
    let links = service.urls();
    let link = checked(&links[0], SECRET);
    assert_eq!((link.host.as_str(), link.path.as_str()), ("store.example:9000", "my-bucket/a.mp4"));
    assert!(links[0].contains("&versionId=v%2F1&"), "{links:?}");
}

#[test]
fn objects_in_google_cloud_storage_and_azure_are_sent_as_links_of_their_stores() {
    let service = Service::start(Answer::Accept);
    let folder = tempfile::tempdir().unwrap();
    manifest_of(folder.path(), &["gs://box/a b.mp4#17".to_owned(), "az://account1/box/a+b.mp4".to_owned()]);
    let key = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/bucket/service-account.json");
    let mut command = importing(folder.path(), &service.url, &["--rate", "200/s"]);
    command.env("GOOGLE_APPLICATION_CREDENTIALS", key).env("AZURE_STORAGE_KEY", "Y2FuYXJ5LWtleQ==");
    let (code, text) = ended(&command.output().unwrap());
    assert_eq!(code, 0, "{text}");
    let links = service.urls();
    let google = "https://storage.googleapis.com/box/a%20b.mp4?X-Goog-Algorithm=GOOG4-RSA-SHA256&";
    let azure = "https://account1.blob.core.windows.net/box/a%2Bb.mp4?sv=";
    // requests that leave at nearly the same time may arrive in another order
    let arrived = |beginning: &str, part: &str| {
        links.iter().any(|link| link.starts_with(beginning) && link.contains(part))
    };
    assert!(arrived(google, "&generation=17&X-Goog-Signature="), "{links:?}");
    assert!(arrived(azure, "&sp=r&spr=https&sig="), "{links:?}");
}

#[test]
fn the_sandbox_a_plan_a_preview_and_a_rehearsal_need_no_credentials() {
    let folder = tempfile::tempdir().unwrap();
    manifest_of(
        folder.path(),
        &["s3://b-1/a b.mp4", "gs://b-1/a.mp4", "az://acc/b-1/a.mp4"].map(str::to_owned),
    );
    for (args, what) in [
        (&["import", "m.csv", "--sandbox", "--rate", "50/s"][..], "all 3 items are searchable"),
        (&["plan", "m.csv"], "3"),
        (&["check", "m.csv"], "3"),
        (&["preview", "m.csv"], "s3://b-1/a b.mp4"),
        (&["rehearse", "m.csv", "--rate", "1/s", "--speed", "1000"], "3"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_telecine"));
        command.current_dir(folder.path()).env_clear().env("HOME", folder.path()).args(args);
        let (code, text) = ended(&command.output().unwrap());
        assert!(code == 0 && text.contains(what), "{args:?}: {code} {text}");
    }
}

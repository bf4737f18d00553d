//! Tests of signatures: an example of Amazon's documentation, and links that openssl signed; and of the life of credentials.

use std::{
    ffi::OsString,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use super::{credentials_command::S3Credentials, *};

const T0: UnixMillis = UnixMillis(1_700_000_000_000);
const HOUR: Duration = Duration::from_hours(1);
const ODD: &str = "a b+c%20/🎬.mp4";

fn s3(key_id: &str, secret: &str, endpoint: Option<&str>) -> S3Signer {
    let credentials =
        S3Credentials { key_id: key_id.to_owned(), secret: secret.into(), token: None, expires_at: None };
    S3Signer { credentials, region: "us-east-1".to_owned(), endpoint: endpoint.map(str::to_owned) }
}

fn link_of(address: &str, sign: impl FnOnce(&ObjectAddress<'_>) -> String) -> String {
    let url = SourceUrl::parse(address).unwrap();
    sign(&url.object().unwrap())
}

#[test]
fn a_link_to_s3_is_signed_as_the_documentation_of_amazon_signs_it() {
    // "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)"
    let key = s3("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None);
    let link = v4::UnsignedLink {
        origin: "https://examplebucket.s3.amazonaws.com",
        path: "/test.txt",
        vendor: "X-Amz",
        algorithm: "AWS4-HMAC-SHA256",
        signer: "AKIAIOSFODNN7EXAMPLE",
        scope: "us-east-1/s3/aws4_request",
        token: None,
        parameters: &[],
    };
    let at = UnixMillis(1_369_353_600_000); // 2013-05-24T00:00:00Z
    let link = link.signed(HOUR * 24, at, |day, text| Some(key.signature(day, text))).unwrap();
    let expected = "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    assert!(link.ends_with(expected), "{link}");
}

#[test]
fn a_link_to_s3_has_the_bucket_where_its_host_has_a_certificate() {
    for (address, endpoint, start) in [
        ("s3://my-bucket/a", None, "https://my-bucket.s3.us-east-1.amazonaws.com/a?"),
        ("s3://my.bucket/a", None, "https://s3.us-east-1.amazonaws.com/my.bucket/a?"),
        ("s3://My_Bucket//a", None, "https://s3.us-east-1.amazonaws.com/My_Bucket//a?"),
        ("s3://my-bucket/a?", Some("https://store:9000"), "https://store:9000/my-bucket/a%3F?"),
    ] {
        let link = link_of(address, |object| s3("k", "s", endpoint).sign(object, HOUR, T0));
        assert!(link.starts_with(start), "{link}");
    }
    let link = link_of("s3://bucket/a?versionId=x/y", |object| s3("k", "s", None).sign(object, HOUR, T0));
    assert!(link.contains("&versionId=x%2Fy&X-Amz-Signature="), "{link}");
}

#[test]
fn a_link_to_google_cloud_storage_is_signed_as_openssl_signs_it() {
    let signer =
        GoogleSigner::of_file(include_bytes!("../../tests/data/bucket/service-account.json")).unwrap();
    let link = link_of(&format!("gs://box/{ODD}#1700"), |object| signer.sign(object, HOUR, T0).unwrap());
    assert_eq!(link, GOOGLE_LINK);
    for (content, what) in
        [("{}", "not the key of a service account"), ("x", "not the key of a service account")]
    {
        assert!(
            GoogleSigner::of_file(content.as_bytes()).is_err_and(|error| error.contains(what)),
            "{content}"
        );
    }
    let broken = r#"{"client_email":"a","private_key":"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"}"#;
    assert!(GoogleSigner::of_file(broken.as_bytes()).is_err_and(|error| error.contains("not an RSA key")));
}

#[test]
fn a_link_to_azure_is_signed_as_its_string_to_sign_says() {
    let signer = AzureSigner::of_key(AZURE_KEY).unwrap();
    let link = link_of(&format!("az://account1/box/{ODD}"), |object| signer.sign(object, HOUR, T0));
    assert_eq!(link, AZURE_LINK);
}

async fn refused(account: &StorageAccount, pairs: &'static [(&'static str, &'static str)]) -> String {
    let variable =
        |name: &str| pairs.iter().find(|(own, _)| *own == name).map(|(_, value)| OsString::from(value));
    let sources = Sources::new(LinkRules::default(), variable, Clock::still(T0));
    sources.prepare(account).await.unwrap_err().to_string()
}

#[tokio::test]
async fn without_credentials_the_error_says_what_to_set() {
    let account = |storage, name: &str| StorageAccount { storage, name: name.to_owned() };
    let (s3, google) = (account(ObjectStorage::S3, ""), account(ObjectStorage::Google, ""));
    let azure = account(ObjectStorage::Azure, "one");
    for (account, pairs, what) in [
        (&s3, &[("AWS_REGION", "x")][..], "no credentials for s3:// addresses: set AWS_ACCESS_KEY_ID"),
        (&s3, &[("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "s")], "no region for s3:// addresses"),
        (&s3, &[("AWS_PROFILE", "work"), ("HOME", "/nowhere")], "AWS_PROFILE names work"),
        (&s3, &[("AWS_ENDPOINT_URL", "https://h/path")], "expected an origin such as"),
        (&google, &[], "set GOOGLE_APPLICATION_CREDENTIALS"),
        (&google, &[("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere")], "/nowhere: cannot be read"),
        (&azure, &[], "no credentials for az://one addresses"),
        (&azure, &[("AZURE_STORAGE_KEY", "~")], "AZURE_STORAGE_KEY is not Base64"),
        (&azure, &[("AZURE_STORAGE_ACCOUNT", "two"), ("AZURE_STORAGE_KEY", "AAAA")], "are those of two"),
    ] {
        let error = refused(account, pairs).await;
        assert!(error.contains(what), "{error}");
    }
}

/// A signer whose credentials expire after this time from [`T0`].
fn expiring(minutes: u64) -> Signer {
    let mut signer = s3("k", "s", None);
    signer.credentials.expires_at = Some(T0.plus(Duration::from_mins(minutes)));
    Signer::S3(signer)
}

#[tokio::test(start_paused = true)]
async fn credentials_are_obtained_again_before_they_expire_and_used_to_their_end_if_that_fails() {
    let account = StorageAccount { storage: ObjectStorage::S3, name: String::new() };
    let calls = Arc::new(AtomicU32::new(0));
    let own = Arc::clone(&calls);
    // no variable leads to credentials: each attempt fails
    let variable = move |_: &str| {
        own.fetch_add(1, Relaxed);
        None
    };
    let clock = Clock::of_runtime(T0);
    let sources = Sources::new(LinkRules::default(), variable, clock.clone());
    let until = T0.plus(Duration::from_mins(45));
    let earlier = PreparedSigner { signer: expiring(60), until, is_short_life_said: false };
    sources.signers().insert(account.clone(), earlier);
    let url = SourceUrl::parse("s3://bucket/a").unwrap();
    let is_signed = || sources.sign(&url.object().unwrap()).is_some();
    let valid_for = Duration::from_mins(45);
    assert_eq!(sources.prepare(&account).await, Ok(Preparation { valid_for, notice: None }));
    assert_eq!(calls.load(Relaxed), 0, "they are in use");
    clock.sleep_until(until).await;
    let later = sources.prepare(&account).await.unwrap();
    assert!(calls.load(Relaxed) > 0);
    assert_eq!(later.valid_for, REFRESH_INTERVAL_MIN, "they are asked for once a minute");
    let notice = later.notice.unwrap();
    assert!(notice.contains("the earlier credentials are used until"), "{notice}");
    clock.sleep_until(T0.plus(Duration::from_mins(59))).await;
    assert!(sources.prepare(&account).await.is_err(), "in the last minute they are useless");
    assert!(is_signed());
    clock.sleep_until(T0.plus(HOUR)).await;
    assert!(!is_signed(), "nothing is signed with expired ones");
}

#[tokio::test(start_paused = true)]
async fn that_credentials_end_before_the_links_do_is_said_once() {
    // they expire an hour after the beginning
    let command = "echo '{\"Version\":1,\"AccessKeyId\":\"k\",\"SecretAccessKey\":\"s\",\
                   \"Expiration\":\"2023-11-14T23:13:20Z\"}'";
    let rules = LinkRules { credentials_command: Some(command.to_owned()), ..LinkRules::default() };
    let clock = Clock::of_runtime(T0);
    let variable = |name: &str| (name == "AWS_REGION").then(|| OsString::from("x"));
    let sources = Sources::new(rules, variable, clock.clone());
    let account = StorageAccount { storage: ObjectStorage::S3, name: String::new() };
    let first = sources.prepare(&account).await.unwrap();
    assert!(first.notice.is_some_and(|notice| notice.contains("expire at 2023-11-14T23:13:20Z")));
    clock.sleep(first.valid_for).await;
    assert_eq!(sources.prepare(&account).await.unwrap().notice, None);
}

const AZURE_KEY: &str =
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";
const AZURE_LINK: &str = "https://account1.blob.core.windows.net/box/a%20b%2Bc%2520/%F0%9F%8E%AC.mp4?sv=2022-11-02&se=2023-11-14T23%3A13%3A20Z&sr=b&sp=r&spr=https&sig=mGugmdvbdes%2FD1dmaYcou%2FRKYpvYa3ooYudY712af84%3D";
const GOOGLE_LINK: &str = "https://storage.googleapis.com/box/a%20b%2Bc%2520/%F0%9F%8E%AC.mp4?X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential=signer%40test.iam.gserviceaccount.com%2F20231114%2Fauto%2Fstorage%2Fgoog4_request&X-Goog-Date=20231114T221320Z&X-Goog-Expires=3600&X-Goog-SignedHeaders=host&generation=1700&X-Goog-Signature=9dd4d3225c82f395b721d07d4615f5b1758f37f582f17a52168f3f5c52960f4f458031466d79ce6f2ed5946045e7f25abfec60dbffaa1f5b1430821b1260f790021dc9eb90b85b6e1cc9dfb5d348fac1f2e930d26c476b66a3cb41423ebc40e5cb8ea1443c8d4a85b0879d6f3141444209243d1484c499aa01b2baf2d365b44419ef3e085b659709d43f95ba97ab7c849f5fcee8e8b81979a767aa54b342fab1e8320e8c89f386b6a4e549f40d21d9d79ff796e15953fa203671466b15230b4de11dc500cc7e5190e43c15594a868a292a20e42ed1aaad23aeefa1d694d6800688c117e185f75d4bfae7aa8fe52f453b928eade36cc8e4220d802afbb948c63f";

//! The API key, the address and the high-water folder: flags, variables and files become checked values, once.

use std::{
    ffi::OsString,
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::{blocking::output_of, error::Error};

/// The service's own address.
pub const DEFAULT_ORIGIN: &str = "https://api.memories.ai";

/// A key command that takes longer is stopped: a person may have to unlock a vault meanwhile.
const KEY_COMMAND_TIME_MAX: Duration = Duration::from_mins(1);

/// The environment variable that holds the API key.
pub const KEY_VARIABLE: &str = "MEMORIES_API_KEY";

/// The environment variable that holds the address, beside telecine's own.
pub const URL_VARIABLE: &str = "MEMORIES_API_URL";

/// Checks the address of the service: an origin (no path), https, or http on loopback only, since the key travels.
pub fn origin(text: &str) -> Result<Url, Error> {
    let usage = |what: &str| Error::Usage(format!("--api-url {}: {what}", crate::redact::url(text)));
    let url = Url::parse(text)
        .map_err(|_| usage("not a URL; expected an origin such as https://api.memories.ai"))?;
    let host = url.host_str().ok_or_else(|| usage("it has no host"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(usage(
            "remove user and password; the key comes from the environment, a file or a command",
        ));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(usage("give the origin only; the path /serve/api/v1 is added"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(host) => Ok(url),
        "http" => Err(usage("plain http is for loopback only; use https")),
        _ => Err(usage("expected https")),
    }
}

/// Whether a server is on this machine.
#[must_use]
pub(crate) fn is_on_loopback(origin: &Url) -> bool {
    origin.host_str().is_some_and(is_loopback)
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Where the API key may come from. Never from the command line itself, which everybody on the machine can read.
#[derive(Clone, Debug, Default)]
pub struct KeySources<'a> {
    /// A file that holds it.
    pub file: Option<&'a Path>,
    /// A command that prints it.
    pub command: Option<&'a str>,
    /// The environment variable's value.
    pub variable: Option<String>,
}

/// Finds the API key: file, command, environment, in this order.
pub fn api_key(sources: &KeySources<'_>) -> Result<SecretString, Error> {
    let text = match (sources.file, sources.command, &sources.variable) {
        (Some(path), ..) => read_key_file(path)?,
        (None, Some(command), _) => run_key_command(command, KEY_COMMAND_TIME_MAX)?,
        (None, None, Some(value)) => value.clone(),
        (None, None, None) => {
            return Err(key_error(
                "no API key",
                format!(
                    "set {KEY_VARIABLE}, or give --key-file PATH or --key-command COMMAND; a file must be yours alone \
                     (chmod 600), and telecine.toml may name it: key-file = \"PATH\" (or try it without an account: \
                     --sandbox)"
                ),
            ));
        }
    };
    let source = match (sources.file, sources.command) {
        (Some(path), _) => format!("the file {}", path.display()),
        (None, Some(_)) => "the output of the key command".to_owned(),
        (None, None) => format!("the variable {KEY_VARIABLE}"),
    };
    let key = text.trim();
    if key.is_empty() {
        return Err(key_error("the API key is empty", format!("write the key into {source}")));
    }
    if key.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(key_error(
            "the API key contains spaces or line breaks",
            format!("only the key may be in {source}, on one line and without quotes or a name before it"),
        ));
    }
    Ok(SecretString::from(key))
}

fn key_error(cause: &str, advice: String) -> Error {
    Error::Key { cause: cause.to_owned(), advice }
}

fn read_key_file(path: &Path) -> Result<String, Error> {
    use std::os::unix::fs::PermissionsExt;
    let shown = path.display();
    let error = |cause: std::io::Error| {
        let advice = if cause.kind() == std::io::ErrorKind::NotFound {
            "correct the path of --key-file or key-file, or write the key there"
        } else {
            "make it a text file that you can read, with the key as its only line"
        };
        key_error(&format!("cannot read the key file {shown}: {cause}"), advice.to_owned())
    };
    let mode = fs::metadata(path).map_err(error)?.permissions().mode();
    if mode & 0o077 != 0 {
        let advice = format!("run: chmod 600 {}", crate::redact::shell_word(&shown.to_string()));
        return Err(key_error(&format!("the key file {shown} can be read by others"), advice));
    }
    fs::read_to_string(path).map_err(error)
}

fn run_key_command(command: &str, time_max: Duration) -> Result<String, Error> {
    let error = |cause: &str| {
        let advice = "run it by hand: it must print the key, and nothing else";
        key_error(&format!("the key command {cause}"), advice.to_owned())
    };
    let printed = output_of(command, time_max).map_err(|cause| error(&cause))?;
    String::from_utf8(printed).map_err(|_| error("printed no text"))
}

/// The folder of the high-water marks. `None`: the user has no folder for state.
#[must_use]
pub fn high_water_folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    state_folder(variable).map(|folder| folder.join("high-water"))
}

/// The folder of the registry of ledgers. `None`: the user has no folder for state.
#[must_use]
pub fn registry_folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    state_folder(variable).map(|folder| folder.join("accounts"))
}

/// The user's own folder for state. `None`: the user has none.
#[must_use]
pub fn state_folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let named = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = named("XDG_STATE_HOME").or_else(|| Some(named("HOME")?.join(".local/state")))?;
    state.is_absolute().then(|| state.join("telecine"))
}

/// A digest of the key, which a ledger recognises.
#[must_use]
pub fn key_digest(key: &SecretString) -> [u8; 32] {
    *blake3::hash(key.expose_secret().as_bytes()).as_bytes()
}

/// Random bytes from the system.
pub fn fresh_secret() -> Result<[u8; 32], Error> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)
        .map_err(|error| Error::Usage(format!("the system gives no random bytes: {error}")))?;
    Ok(secret)
}

/// A random seed from the system.
pub fn fresh_seed() -> Result<u64, Error> {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed)
        .map_err(|error| Error::Usage(format!("the system gives no random bytes: {error}")))?;
    Ok(u64::from_le_bytes(seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_taken_for_loopback_only() {
        for good in [
            "https://api.memories.ai",
            "https://api.memories.ai/",
            "http://127.0.0.1:8765",
            "http://[::1]:1",
            "http://localhost:1",
        ] {
            assert!(origin(good).is_ok(), "{good}");
        }
        for bad in [
            "http://api.memories.ai",
            "http://127.0.0.1.evil.example",
            "http://localhost.evil.example",
            "ftp://x",
            "api.memories.ai",
            "https://api.memories.ai/serve/api/v1",
            "https://user:pass@api.memories.ai",
            "https://api.memories.ai/?x=1",
        ] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "sk-mavi-1\n").unwrap();
        let sources = KeySources { file: Some(&path), ..KeySources::default() };
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(api_key(&sources).unwrap_err().to_string().contains("chmod 600"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(api_key(&sources).unwrap().expose_secret(), "sk-mavi-1");
    }

    #[test]
    fn a_key_comes_from_a_command_or_the_environment_too() {
        let command = KeySources { command: Some("printf 'sk-mavi-2\\n'"), ..KeySources::default() };
        assert_eq!(api_key(&command).unwrap().expose_secret(), "sk-mavi-2");
        let failing = KeySources {
            command: Some("echo begun; echo one >&2; echo vault is sealed >&2; exit 3"),
            ..KeySources::default()
        };
        let failed = api_key(&failing).unwrap_err().to_string();
        assert!(failed.contains(": vault is sealed: "), "its last line is shown: {failed}");
        let hanging = run_key_command("exec sleep 600", Duration::ZERO).unwrap_err();
        assert!(hanging.to_string().contains("did not end within"), "{hanging}");
        let closed = run_key_command("echo sk-mavi-4; exec >&-; exec sleep 600", Duration::from_millis(50));
        assert!(
            closed.unwrap_err().to_string().contains("did not end within"),
            "it closed its output and went on"
        );
        let variable = KeySources { variable: Some("sk-mavi-3".to_owned()), ..KeySources::default() };
        assert_eq!(api_key(&variable).unwrap().expose_secret(), "sk-mavi-3");
        assert!(api_key(&KeySources::default()).unwrap_err().to_string().contains(KEY_VARIABLE));
        let broken = KeySources { variable: Some("a b".to_owned()), ..KeySources::default() };
        assert!(api_key(&broken).is_err());
    }
}

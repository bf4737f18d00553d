//! The variables of the network: proxies, and certificate authorities. The HTTP client reads them, and skips what it cannot
//! use; here such a value is an error, so that no request leaves without the proxy it should take.

use std::{ffi::OsString, path::Path};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use url::Url;

use crate::error::Error;

/// Proxies by scheme, in upper and lower case.
const PROXIES: &[&[&str]] = &[&["HTTPS_PROXY", "https_proxy"], &["HTTP_PROXY", "http_proxy"], ALL_PROXIES];
/// The proxy of every scheme without one of its own.
const ALL_PROXIES: &[&str] = &["ALL_PROXY", "all_proxy"];
const SCHEMES: &[&str] = &["http", "https", "socks4", "socks4a", "socks5", "socks5h"];
const CERT_FILE: &str = "SSL_CERT_FILE";

/// Checks what requests to the service would use. Plain http is for this machine, without a proxy and certificates.
pub(crate) fn check(origin: &Url, variable: impl Fn(&str) -> Option<OsString>) -> Result<(), Error> {
    if origin.scheme() == "https" { check_all(variable) } else { Ok(()) }
}

/// Checks every variable.
pub(crate) fn check_all(variable: impl Fn(&str) -> Option<OsString>) -> Result<(), Error> {
    for names in PROXIES {
        // the first one that is set counts, also when it is empty
        if let Some((name, value)) = names.iter().find_map(|name| Some((*name, variable(name)?))) {
            check_proxy(name, &value)?;
        }
    }
    variable(CERT_FILE).map_or(Ok(()), |path| check_certificates(Path::new(&path)))
}

/// Never prints the value: it may hold a password.
fn check_proxy(name: &str, value: &OsString) -> Result<(), Error> {
    let error = |what: &str| {
        Error::Usage(format!(
            "{name}: {what}; write SCHEME://[USER:PASSWORD@]HOST[:PORT] with a scheme of {} and signs of the password \
             percent-encoded, or unset it",
            SCHEMES.join(", ")
        ))
    };
    let Some(text) = value.to_str() else { return Err(error("the value is not UTF-8")) };
    if text.is_empty() {
        return Ok(());
    }
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{}|#?".contains(&byte);
    if !text.bytes().all(is_plain) {
        return Err(error("the value contains a space or a character that must be percent-encoded"));
    }
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&whole).map_err(|_| error("the value is not the address of a proxy"))?;
    if !SCHEMES.contains(&url.scheme()) {
        return Err(error(&format!(
            "proxies of the scheme {} are not known",
            crate::redact::clean(url.scheme())
        )));
    }
    let is_bare = matches!(url.path(), "" | "/") && text.matches('@').count() <= 1;
    if url.host_str().is_none_or(str::is_empty) || !is_bare {
        return Err(error("the value is not the address of a proxy"));
    }
    Ok(())
}

fn check_certificates(path: &Path) -> Result<(), Error> {
    let error = |what: String| Error::Usage(format!("{CERT_FILE} {}: {what}", path.display()));
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|cause| error(format!("cannot be read: {cause}")))?;
    let (usable, _) = RootCertStore::empty().add_parsable_certificates(certificates.filter_map(Result::ok));
    if usable > 0 {
        return Ok(());
    }
    Err(error("holds no certificate of an authority; expected PEM text with BEGIN CERTIFICATE".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(pairs: &[(&str, &str)]) -> Result<(), String> {
        let variable =
            |name: &str| pairs.iter().find(|(own, _)| *own == name).map(|(_, value)| OsString::from(value));
        check_all(variable).map_err(|error| error.to_string())
    }

    #[test]
    fn a_proxy_that_the_client_would_skip_is_an_error_that_does_not_show_its_password() {
        for good in [
            "",
            "proxy.example",
            "proxy.example:3128",
            "http://proxy.example:3128/",
            "http://user:p%40ss@proxy.example:3128",
            "https://[::1]:3128",
            "socks5h://user:canary@127.0.0.1:1080",
            "socks4://proxy.example",
        ] {
            assert_eq!(checked(&[("HTTPS_PROXY", good)]), Ok(()), "{good}");
        }
        for bad in [
            "ftp://user:canary@proxy.example",
            "socks://proxy.example:1080",
            "http://user:canary#x@proxy.example",
            "http://user:canary/x@proxy.example",
            "http://user:can@ary@proxy.example",
            "http://user:canary x@proxy.example",
            "http://user:canary@proxy.example:port",
            "http://",
            "http://proxy.example/path",
        ] {
            for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"] {
                let error = checked(&[(name, bad)]).unwrap_err();
                assert!(error.starts_with(name) && !error.contains("canary"), "{bad}: {error}");
            }
        }
        assert_eq!(
            checked(&[("HTTPS_PROXY", ""), ("https_proxy", "ftp://x")]),
            Ok(()),
            "the first one counts"
        );
    }

    #[test]
    fn plain_http_needs_neither_a_proxy_nor_certificates() {
        let wrong = |_: &str| Some(OsString::from("ftp://x"));
        assert!(check(&"http://127.0.0.1:1".parse().unwrap(), wrong).is_ok());
        assert!(check(&"https://host.example".parse().unwrap(), wrong).is_err());
    }

    #[test]
    fn a_file_of_certificates_without_one_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let path = path.to_str().unwrap();
        let check = || checked(&[(CERT_FILE, path)]);
        assert!(check().unwrap_err().contains(path));
        std::fs::write(path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        assert!(check().unwrap_err().contains("no certificate"));
        std::fs::write(path, include_str!("../../tests/data/tls/ca.pem")).unwrap();
        assert_eq!(check(), Ok(()));
    }
}

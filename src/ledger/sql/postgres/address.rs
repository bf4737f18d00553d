//! The address of a ledger in a database: `postgres://user@host/database?schema=archive`.

use std::{
    env, fmt, fs, os::unix::fs::MetadataExt as _, path::PathBuf, str::FromStr, sync::Arc, time::Duration,
};

use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use tokio_postgres::config::{Config, Host, SslMode};

use crate::ledger::LedgerError;

/// The schema of a ledger whose address names none.
const SCHEMA: &str = "telecine";
/// How long a lease lasts that nobody renews. A longer one survives longer interruptions; a shorter one is taken over sooner.
const LEASE: Duration = Duration::from_secs(15);
/// The shortest lease: renewals every third of it must not be late on a busy machine.
const LEASE_MIN: Duration = Duration::from_secs(2);
const LEASE_MAX: Duration = Duration::from_hours(1);
/// How long to wait for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How often a connection is tried on which nothing comes, so that a server that is gone ends a read.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// The beginnings of an address.
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// Where a ledger is in a PostgreSQL database. It holds no password. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseAddress(Arc<Parts>);

#[derive(Clone, PartialEq, Eq)]
struct Parts {
    /// As it was given.
    text: String,
    config: Config,
    schema: String,
    lease: Duration,
    root_certificate: Option<PathBuf>,
}

impl fmt::Display for DatabaseAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl fmt::Debug for DatabaseAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl DatabaseAddress {
    /// Whether a text is an address of a database, and not a path.
    #[must_use]
    pub fn is_address(text: &str) -> bool {
        SCHEMES.iter().any(|scheme| text.starts_with(scheme))
    }

    pub(super) fn lease(&self) -> Duration {
        self.0.lease
    }

    /// The same place, for work with long statements: they are waited for as long as any lease may last.
    pub(in crate::ledger) fn with_patience(&self) -> Self {
        Self(Arc::new(Parts { lease: LEASE_MAX, ..(*self.0).clone() }))
    }

    pub(super) fn lease_ms(&self) -> i64 {
        i64::try_from(self.0.lease.as_millis()).unwrap_or(i64::MAX)
    }

    pub(in crate::ledger) fn schema(&self) -> &str {
        &self.0.schema
    }

    /// The schema as a word of SQL.
    pub(super) fn quoted_schema(&self) -> String {
        format!("\"{}\"", self.0.schema)
    }

    /// What to connect with: the password is read now, so that it is in no address.
    pub(super) fn config(&self) -> Result<Config, LedgerError> {
        let mut config = self.0.config.clone();
        if let Some(password) = password(&config).map_err(|cause| self.unusable(cause))? {
            config.password(password);
        }
        Ok(config)
    }

    /// How to encrypt. `None`: not at all. A certificate is always checked, with the name of the server.
    pub(super) fn tls(&self) -> Result<Option<rustls::ClientConfig>, LedgerError> {
        if self.0.config.get_ssl_mode() == SslMode::Disable {
            return Ok(None);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| self.unusable(error.to_string()))?;
        let mut roots = rustls::RootCertStore::empty();
        let own = self.0.root_certificate.clone().or_else(|| env::var_os("SSL_CERT_FILE").map(PathBuf::from));
        if let Some(file) = own {
            let unreadable = |error: &dyn fmt::Display| self.unusable(format!("{}: {error}", file.display()));
            for certificate in CertificateDer::pem_file_iter(&file).map_err(|error| unreadable(&error))? {
                let certificate = certificate.map_err(|error| unreadable(&error))?;
                roots.add(certificate).map_err(|error| unreadable(&error))?;
            }
        } else {
            roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
        }
        Ok(Some(builder.with_root_certificates(roots).with_no_client_auth()))
    }

    fn unusable(&self, cause: String) -> LedgerError {
        LedgerError::Database { place: self.0.text.clone(), cause }
    }
}

impl FromStr for DatabaseAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (target, query) = text.split_once('?').unwrap_or((text, ""));
        let authority = target.split_once("://").map_or("", |(_, rest)| rest);
        let user_info = authority.rsplit_once('@').map_or("", |(user_info, _)| user_info);
        let has_password =
            |query: &str| url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "password");
        if user_info.contains(':') || has_password(query) {
            return Err("the address must not contain the password, which other users of this machine could read: set \
                        PGPASSWORD, or PGPASSFILE with a file in the form of .pgpass"
                .to_owned());
        }
        let mut own = Own { schema: SCHEMA.to_owned(), lease: LEASE, root_certificate: None };
        let mut kept = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if !own.take(&name, &value)? {
                let value = if name == "sslmode" { ssl_mode(&value) } else { &value };
                kept.append_pair(&name, value);
            }
        }
        let given = format!("{target}?{}", kept.finish());
        let mut config: Config = given.parse().map_err(|error: tokio_postgres::Error| {
            let cause = std::error::Error::source(&error).map_or(String::new(), |cause| format!(": {cause}"));
            format!("{error}{cause}")
        })?;
        if config.get_hosts().is_empty() {
            return Err("the address names no host: postgres://user@host/database".to_owned());
        }
        if config.get_dbname().is_none() {
            return Err("the address names no database: postgres://user@host/database".to_owned());
        }
        if config.get_user().is_none()
            && let Some(user) =
                env::var("PGUSER").or_else(|_| env::var("USER")).ok().filter(|user| !user.is_empty())
        {
            config.user(user);
        }
        config.application_name("telecine");
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_MAX);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(own.lease);
        }
        if !given.contains("keepalives_idle=") {
            config.keepalives_idle(KEEPALIVE).keepalives_interval(KEEPALIVE).keepalives_retries(3);
        }
        let (schema, lease, root_certificate) = (own.schema, own.lease, own.root_certificate);
        Ok(Self(Arc::new(Parts { text: text.to_owned(), config, schema, lease, root_certificate })))
    }
}

/// What an address says beyond what PostgreSQL knows.
struct Own {
    schema: String,
    lease: Duration,
    root_certificate: Option<PathBuf>,
}

impl Own {
    /// Takes a parameter of the address. False if it is one of PostgreSQL.
    fn take(&mut self, name: &str, value: &str) -> Result<bool, String> {
        match name {
            "schema" => {
                let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
                let is_name = value.chars().all(is_word) && value.starts_with(|c: char| !c.is_ascii_digit());
                if value.is_empty() || value.len() > 63 || !is_name || value.starts_with("pg_") {
                    return Err(format!(
                        "schema={value:?}: a schema has up to 63 small letters, digits and _, and does not begin with a \
                         digit or pg_"
                    ));
                }
                value.clone_into(&mut self.schema);
            }
            "lease" => {
                let seconds = value.strip_suffix('s').unwrap_or(value).parse().map(Duration::from_secs);
                let lease = seconds.ok().filter(|lease| (LEASE_MIN..=LEASE_MAX).contains(lease));
                self.lease = lease.ok_or_else(|| {
                    format!("lease={value:?}: a lease lasts from 2s to 3600s, in whole seconds")
                })?;
            }
            "sslrootcert" => self.root_certificate = Some(PathBuf::from(value)),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// The modes of libpq that check a certificate are those that require one here: it is checked in every mode.
fn ssl_mode(value: &str) -> &str {
    if matches!(value, "verify-ca" | "verify-full") { "require" } else { value }
}

/// The password from `PGPASSWORD`, or from the file of `PGPASSFILE` or `~/.pgpass`.
fn password(config: &Config) -> Result<Option<String>, String> {
    if let Ok(password) = env::var("PGPASSWORD")
        && !password.is_empty()
    {
        return Ok(Some(password));
    }
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".pgpass"));
    let named = env::var_os("PGPASSFILE").filter(|file| !file.is_empty()).map(PathBuf::from);
    let Some(file) = named.clone().or_else(home) else { return Ok(None) };
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(_) if named.is_none() => return Ok(None),
        Err(error) => return Err(format!("the file of PGPASSFILE, {}: {error}", file.display())),
    };
    if fs::metadata(&file).is_ok_and(|meta| meta.mode() & 0o077 != 0) {
        return Err(format!("others can read {}; run: chmod 600 {0}", file.display()));
    }
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        Some(Host::Unix(_)) | None => "localhost".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432).to_string();
    let wanted = [
        host.as_str(),
        port.as_str(),
        config.get_dbname().unwrap_or_default(),
        config.get_user().unwrap_or_default(),
    ];
    Ok(text.lines().find_map(|line| password_of(line, wanted)))
}

/// The password of a line `host:port:database:user:password`, if it is for these. `*` is for all, and `\` is before a colon.
fn password_of(line: &str, wanted: [&str; 4]) -> Option<String> {
    let mut fields = vec![String::new()];
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ':' if fields.len() < 5 => fields.push(String::new()),
            '\\' => fields.last_mut()?.extend(letters.next()),
            letter => fields.last_mut()?.push(letter),
        }
    }
    let is_wanted = fields.iter().zip(wanted).all(|(field, wanted)| field == "*" || field == wanted);
    if line.starts_with('#') || fields.len() < 5 || !is_wanted { None } else { fields.pop() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(text: &str) -> String {
        text.parse::<DatabaseAddress>().unwrap_err()
    }

    #[test]
    fn an_address_with_a_password_is_refused_without_showing_it() {
        for address in ["postgres://ann:secret@host/db", "postgres://ann@host/db?password=secret"] {
            let error = error_of(address);
            assert!(error.contains("PGPASSWORD") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn the_parameters_of_telecine_are_taken_and_those_of_postgresql_are_left() {
        let text = "postgres://ann@one:5433,two/db?schema=archive_9&lease=30s&target_session_attrs=read-write&sslmode=verify-full";
        let address: DatabaseAddress = text.parse().unwrap();
        assert_eq!((address.schema(), address.lease_ms()), ("archive_9", 30_000));
        assert_eq!(address.0.config.get_hosts().len(), 2);
        assert_eq!(address.0.config.get_ssl_mode(), SslMode::Require);
        assert_eq!(address.to_string(), text);
        assert!(error_of("postgres://ann@host/db?schema=a\"b").contains("schema"));
        assert!(error_of("postgres://ann@host/db?lease=1").contains("2s to 3600s"));
        assert!(error_of("postgres://ann@host").contains("no database"));
        assert!(error_of("postgres:///db").contains("no host"));
        assert!(error_of("postgres://ann@host/db?colour=red").contains("colour"));
    }

    #[test]
    fn a_line_of_a_password_file_is_for_what_it_names() {
        let wanted = ["host", "5432", "db", "ann"];
        assert_eq!(password_of("host:5432:db:ann:a\\:b\\\\c:d", wanted).unwrap(), "a:b\\c:d");
        assert_eq!(password_of("*:*:*:ann:x", wanted).unwrap(), "x");
        for other in ["other:*:*:*:x", "# *:*:*:*:x", "host:5432:db:ann", ""] {
            assert_eq!(password_of(other, wanted), None, "{other}");
        }
    }
}
